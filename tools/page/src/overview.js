/* SPDX-License-Identifier: BSD-2-Clause */
/* What an operator sees first: is something wrong, what is dropped, why, and how to undo it. */
import { read } from "./api.js";
import { Chart } from "./charts.js";
import { askAllow, askBlock, askDisallow, askEndExemption, askUnblock } from "./dialogs.js";
import { h, reconcile, setHidden, setText } from "./dom.js";
import { bytes, clock, compact, count, dateTime, decimals, duration, plural } from "./format.js";

/* A long IPv6 prefix may be broken behind a colon, an address nowhere else. */
export const breakable = (prefix) => prefix.split(/(?<=:)/).flatMap((part) => [part, h("wbr")]);
const sourceLink = (prefix) => h("a", { class: "source", href: `#/source/${encodeURIComponent(prefix)}` }, breakable(prefix));
const button = (text, label, onclick, kind = "") =>
	h("button", { class: `button ${kind}`, type: "button", "aria-label": label, onclick }, text);

/** A figure with a line below it. */
function tile(name, extra = "") {
	const big = h("dd", { class: "big" }), sub = h("dd", { class: "sub" });
	const element = h("div", { class: `card tile ${extra}` }, h("dt", {}, name), big, sub);

	return { element, set(value, below) { setText(big, value); setText(sub, below); } };
}

const kind = (column) => [column.number && "number", column.minor && "minor"].filter(Boolean).join(" ") || null;
const scroll = (name, ...children) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, children);

/**
 * A table whose rows follow the data. columns: [{name, cell(item) -> [text or node, sub], number,
 * sort(item), minor}]; the first is the row's heading. Where it is narrow, minor columns go, or, with
 * cards, each row becomes a card.
 */
export class Table {
	constructor({ caption, columns, key, actions, none, sort, filter, limit = 200, cards = false, fresh = false }) {
		Object.assign(this, { columns, key, actions, none, fresh, limit, items: [], sortBy: sort ?? null, filterText: "", filter });
		this.body = h("tbody");
		this.heads = columns.map((c) => h("th", { scope: "col", class: kind(c) },
			c.sort ? h("button", { type: "button", class: "sort", onclick: () => this.sort(c) }, c.name) : c.name));
		this.empty = h("p", { class: "none" });
		this.table = h("table", { class: cards ? "cards" : null, "aria-label": caption },
			h("thead", {}, h("tr", {}, this.heads,
				actions ? h("th", { scope: "col", class: "number" }, "Actions") : null)), this.body);
		this.element = h("div", {}, this.table, this.empty);
		this.mark();
	}

	sort(column) {
		const down = this.sortBy?.column === column.name ? !this.sortBy.down : !!column.number;

		this.sortBy = { column: column.name, down };
		this.mark();
		this.draw();
	}

	mark() {
		this.columns.forEach((c, i) => {
			if (this.sortBy?.column === c.name)
				this.heads[i].setAttribute("aria-sort", this.sortBy.down ? "descending" : "ascending");
			else
				this.heads[i].removeAttribute("aria-sort");
		});
	}

	makeRow(item) {
		const cells = this.columns.map((c, i) => i === 0 ? h("th", { scope: "row" }) :
			h("td", { class: kind(c), "data-label": c.name }));
		const row = h("tr", { class: this.fresh && this.drawn ? "row-new" : null }, cells);
		let shown = [];

		if (this.actions)
			row.append(h("td", { class: "number" }, h("div", { class: "actions" }, this.actions(item, () => row.item))));
		row.update = (now) => {
			row.item = now;
			this.columns.forEach((c, i) => {
				const [value, sub] = [c.cell(now)].flat();
				const text = typeof value === "string" ? `${value}\n${sub ?? ""}` : null;

				/* A node stays as it was made: it depends on the key alone. */
				if (text === null ? shown[i] !== undefined : text === shown[i])
					return;
				shown[i] = text ?? "";
				cells[i].classList.toggle("blank", value === "");
				cells[i].replaceChildren(value, ...(sub ? [h("span", { class: "sub" }, sub)] : []));
			});
		};
		return row;
	}

	draw() {
		const column = this.columns.find((c) => c.name === this.sortBy?.column);
		let items = this.filterText ? this.items.filter((i) => this.filter(i).includes(this.filterText)) : [...this.items];

		if (column)
			items.sort((a, b) => {
				const x = column.sort(a), y = column.sort(b);
				const order = x < y ? -1 : x > y ? 1 : 0;

				return this.sortBy.down ? -order : order;
			});
		setHidden(this.table, items.length === 0);
		setHidden(this.empty, items.length > 0);
		setText(this.empty, this.filterText && this.items.length ? "None of them has these words." : this.none);
		this.drawn ||= items.length === 0 || this.body.childElementCount > 0;
		reconcile(this.body, items.slice(0, this.limit), this.key, (item) => this.makeRow(item));
		this.shown = items.length;
	}

	update(items) {
		this.items = items;
		this.draw();
	}
}

export function where(block) {
	return block.enforced.length ? block.enforced.join(", ") : "nowhere";
}

/** An event as an item of a list, with its source unless the page is about that one. */
export function eventItem(e, withSource) {
	const figures = [e.zscore ? `Z-score ${decimals(e.zscore)}` : "", e.packets ? `${plural(e.packets, "packet")} in a bin` : "",
		e.dropped ? `${count(e.dropped)} dropped` : ""].filter(Boolean).join(", ");
	const isSource = /^[0-9a-f.:]+(\/\d+)?$/i.test(e.subject);
	const li = h("li", {},
		h("time", { datetime: new Date(e.time_s * 1000).toISOString(), title: dateTime(e.time_s) }, clock(e.time_s)),
		h("span", { class: `kind ${e.kind}` }, e.drill ? `${e.kind}, drill` : e.kind),
		h("span", { class: "text" }, withSource && isSource ? [sourceLink(e.subject), " "] : null,
			e.text, figures ? ` (${figures})` : ""));

	li.update = () => {};
	return li;
}

export class Overview {
	constructor(app) {
		this.app = app;
		this.title = "Levee";
		const done = () => app.refresh();

		/* the verdict */
		this.headline = h("h1");
		this.because = h("p");
		this.verdict = h("section", { class: "card verdict", "aria-label": "Verdict" },
			h("div", { class: "said", role: "status" }, this.headline, this.because),
			h("div", { class: "actions" },
				button("Block a source …", "Block a source", () => askBlock(null, done)),
				button("Allow …", "Add to the allow list", () => askAllow(null, done))));

		/* figures */
		this.tiles = {
			passed: tile("Traffic passed", "passed"),
			dropped: tile("Traffic dropped", "dropped"),
			sources: tile("Sources in the last bin"),
			abnormal: tile("Anomalous now"),
			blocked: tile("Blocked"),
			threshold: tile("Anomaly threshold"),
		};

		/* charts */
		this.charts = {
			traffic: new Chart({ title: "Network traffic", unit: "packets per bin", series: [
				{ label: "passed", color: "--passed", fill: true },
				{ label: "dropped", color: "--dropped", fill: true },
			] }),
			statistics: new Chart({ title: "Packet statistics", unit: "packets per source and bin, logarithmic", log: true, series: [
				{ label: "average", color: "--passed" },
				{ label: "standard deviation", color: "--deviation", dash: [2, 3] },
				{ label: "threshold", color: "--threshold", dash: [7, 4] },
				{ label: "largest anomaly", color: "--dropped", points: true },
			] }),
			sources: new Chart({ title: "Sources", unit: "sources per bin", series: [
				{ label: "all sources", color: "--passed", fill: true },
			] }),
			anomalous: new Chart({ title: "Sources above the packet minimum", unit: "sources per bin", bars: true, series: [
				{ label: "candidates", color: "--dropped", fill: true },
			] }),
		};

		/* blocked */
		this.blocks = new Table({
			caption: "Blocked sources",
			cards: true,
			fresh: true,
			key: (b) => b.prefix,
			none: "Nothing is blocked.",
			filter: (b) => `${b.prefix} ${b.reason} ${b.note}`.toLowerCase(),
			sort: { column: "Dropped", down: true },
			columns: [
				{ name: "Source", cell: (b) => sourceLink(b.prefix), sort: (b) => b.prefix },
				{ name: "Why", cell: (b) => [b.reason, b.note], sort: (b) => b.reason },
				{ name: "Z-score", number: true, cell: (b) => b.zscore ? decimals(b.zscore) : "", sort: (b) => b.zscore },
				{ name: "Packets in a bin", number: true, cell: (b) => b.packets ? count(b.packets) : "", sort: (b) => b.packets },
				{ name: "Dropped", number: true, cell: (b) => [compact(b.dropped), b.rate > 0.5 ? `${compact(b.rate)}/s now` : "none now"], sort: (b) => b.rate * 1e6 + b.dropped },
				{ name: "Where", cell: (b) => [where(b), b.drill ? "drill" : ""], sort: (b) => where(b) },
				{ name: "Ends in", number: true, cell: (b) => [b.ends_s ? duration(b.ends_s - app.model.now_s) : "never", b.ends_s ? `at ${clock(b.ends_s)}` : ""], sort: (b) => b.ends_s || Infinity },
			],
			actions: (b) => [
				button("Unblock", `Unblock ${b.prefix}`, () => askUnblock(b.prefix, done)),
				button("Allow", `Always allow ${b.prefix}`, () => askAllow(b.prefix, done)),
			],
		});
		this.blockCount = h("span", { class: "badge info" });
		const search = h("input", { type: "search", id: "block-filter", placeholder: "Filter", "aria-label": "Filter blocked sources",
			oninput: () => { this.filterBlocks(search.value.trim().toLowerCase()); } });

		/* abnormal */
		this.findings = new Table({
			caption: "Anomalous sources",
			cards: true,
			key: (f) => f.source,
			none: "No source is anomalous.",
			columns: [
				{ name: "Source", cell: (f) => sourceLink(f.source) },
				{ name: "Z-score", number: true, cell: (f) => decimals(f.zscore) },
				{ name: "Packets in a bin", number: true, cell: (f) => count(f.packets) },
				{ name: "Verdict", cell: (f) => f.verdict },
			],
			actions: (f) => [button("Allow", `Always allow anomalous ${f.source}`, () => askAllow(f.source, done))],
		});

		/* largest */
		this.top = new Table({
			caption: "Largest sources of the last bin",
			key: (s) => s.source,
			limit: 10,
			none: "No bin has been closed yet.",
			columns: [
				{ name: "Source", cell: (s) => sourceLink(s.source) },
				{ name: "Packets", number: true, cell: (s) => [count(s.packets), `${compact(s.rate)}/s`] },
				{ name: "Bytes", number: true, minor: true, cell: (s) => bytes(s.bytes) },
				{ name: "Z-score", number: true, cell: (s) => decimals(s.zscore) },
			],
			actions: (s) => [button("Block …", `Block ${s.source}`, () => askBlock(s.source, done))],
		});

		/* the grid of blocked sources per hour */
		this.hours = new Table({
			caption: "Blocked sources per hour",
			key: (x) => `${x.hour_s} ${x.source}`,
			none: "No source was blocked in the last day.",
			columns: [
				{ name: "Day, hour", cell: (x) => dateTime(x.hour_s).slice(8, 16) },
				{ name: "Source", cell: (x) => sourceLink(x.source) },
				{ name: "Z-score", number: true, cell: (x) => x.zscore ? decimals(x.zscore) : "–" },
				{ name: "Packets in a bin", number: true, cell: (x) => x.packets ? count(x.packets) : "–" },
				{ name: "Dropped", number: true, minor: true, cell: (x) => x.dropped ? count(x.dropped) : "–" },
			],
		});

		/* the network ACL */
		this.aclState = h("span", { class: "badge" });
		this.aclFacts = h("dl", { class: "facts" });
		this.aclCard = h("section", { class: "card" },
			h("div", { class: "heading" }, h("h2", {}, "Network ACL"), this.aclState), this.aclFacts);

		this.fleetState = h("span", { class: "badge" });
		this.fleetFacts = h("dl", { class: "facts" });
		this.fleetCard = h("section", { class: "card" },
			h("div", { class: "heading" }, h("h2", {}, "Fleet"), this.fleetState), this.fleetFacts);

		/* allow list, exemptions, events */
		this.allowed = new Table({
			caption: "Allow list",
			key: (a) => `${a.prefix} ${a.origin}`,
			none: "The allow list is empty.",
			columns: [
				{ name: "Prefix", cell: (a) => a.prefix },
				{ name: "From", cell: (a) => a.origin },
			],
			actions: (a) => a.removable ? [button("Take off", `Take off: ${a.prefix}`, () => askDisallow(a.prefix, done))] : [],
		});
		this.exempt = new Table({
			caption: "Left alone after an unblock",
			key: (x) => x.prefix,
			none: "No unblock is in force.",
			columns: [
				{ name: "Prefix", cell: (x) => sourceLink(x.prefix) },
				{ name: "Until", cell: (x) => [x.ends_s ? clock(x.ends_s) : "taken back", x.note] },
			],
			actions: (x) => [button("Judge again", `Judge again: ${x.prefix}`, () => askEndExemption(x.prefix, done))],
		});
		this.exemptCard = h("section", { class: "card" }, h("div", { class: "heading" }, h("h2", {}, "Left alone after an unblock")), this.exempt.element);
		this.events = h("ol", { class: "events", reversed: true });
		this.noEvents = h("p", { class: "none" }, "Nothing has happened since the daemon started.");

		const card = (title, ...children) => h("section", { class: "card" }, h("div", { class: "heading" }, h("h2", {}, title)), children);

		this.element = h("div", { class: "stack" },
			this.verdict,
			h("dl", { class: "tiles" }, Object.values(this.tiles).map((t) => t.element)),
			h("section", { class: "card", "aria-label": "Blocked sources" },
				h("div", { class: "heading" }, h("h2", {}, "Blocked sources"), this.blockCount, h("span", { class: "grow" }), search),
				this.blocks.element),
			this.aclCard,
			this.fleetCard,
			h("div", { class: "two charts" }, Object.values(this.charts).map((c) => c.element)),
			h("div", { class: "two" },
				card("Anomalous sources", this.findings.element),
				card("Largest sources of the last bin", this.top.element)),
			card("Blocked sources per hour", scroll("Blocked sources per hour", this.hours.element)),
			this.exemptCard,
			h("div", { class: "two" },
				card("Events", scroll("Events", this.events), this.noEvents),
				card("Allow list", scroll("Allow list", this.allowed.element))));
	}

	/* A verdict of an hour ago is none: what it was is said, and when. */
	stale(m) {
		this.element.classList.add("stale");
		this.verdict.className = "card verdict off";
		setText(this.headline, "Not connected: this is not what happens now");
		setText(this.because, `At ${clock(m.now_s)} UTC: ${this.said.head}. Everything below is of that time.`);
	}

	updateVerdict(m) {
		/* A block that is seconds old has no rate yet, and is what somebody must see at once. */
		const isNew = (b) => b.flagged && b.since_s > m.now_s - 10;
		const active = m.blocks.filter((b) => b.in_force && !b.drill && (b.rate > 0.5 || isNew(b)));
		const drills = m.blocks.filter((b) => b.drill).length;
		const verb = m.audit ? "would be dropped" : "dropped";
		let kind = "good", head, because;

		if (active.length > 0) {
			const worst = active.reduce((a, b) => (b.rate > a.rate ? b : a));

			kind = "bad";
			head = `${m.audit ? "Would drop" : "Dropping"} ${plural(active.length, "source")}, ${worst.rate > 0.5 ? `${compact(m.rates.dropped)} packets/s` : "blocked just now"}`;
			because = `${active.length > 1 ? "Most from " : ""}${worst.prefix}: ` +
				`${worst.rate > 0.5 ? `${compact(worst.rate)} packets/s ${verb}` : `${count(worst.packets)} packets in a bin`}; ${worst.reason}` +
				(worst.zscore ? `, Z-score ${decimals(worst.zscore)}` : "") + ".";
		} else if (m.findings.some((f) => !f.handled)) {
			kind = "warn";
			head = `${plural(m.findings.filter((f) => !f.handled).length, "anomalous source")} not blocked`;
			because = "See the verdicts below.";
		} else if (m.blocks.length > 0) {
			head = "Calm: what is blocked sends nothing now";
			because = `${plural(m.blocksTotal, "block")} in force${drills ? `, ${drills} of them a drill` : ""}; those that were detected end by themselves.`;
		} else {
			head = "Calm: nothing is blocked";
			because = m.evaluation.n ? `No source is above ${count(Math.max(m.min_packets, m.evaluation.threshold))} packets in a bin of ${duration(m.bin_s)}.`
				: "No bin has been closed yet; detection begins with the first.";
		}
		this.said = { head };
		this.element.classList.remove("stale");
		this.verdict.className = `card verdict ${kind === "good" ? "" : kind}`;
		setText(this.headline, head);
		setText(this.because, because);
	}

	updateTiles(m) {
		const t = this.tiles;
		const atAcl = Math.min(m.acl?.sourcesIn ?? 0, m.blocksTotal);

		t.passed.set(`${compact(m.rates.passed)}/s`, `${compact(m.total.passed)} packets since the start`);
		t.dropped.set(`${compact(m.rates.dropped)}/s`, `${compact(m.total.dropped)} packets ${m.audit ? "would be dropped" : "since the start"}`);
		t.sources.set(count(m.last.sources), m.last.end_s ? `bin to ${clock(m.last.end_s)}` : "no bin closed yet");
		t.abnormal.set(count(m.flagged), m.spared ? `${plural(m.spared, "more", "more")} left alone` : "sources in the window");
		t.blocked.set(count(m.blocksTotal), m.acl ? `${count(atAcl)} at the ACL, ${count(m.blocksTotal - atAcl)} only here` : "on this instance");
		t.threshold.set(count(m.evaluation.threshold), `average ${decimals(m.evaluation.mean, 1)}, deviation ${decimals(m.evaluation.stddev, 1)}`);
	}

	/* Whoever looks for a block looks among all that the API gives. */
	filterBlocks(text) {
		this.blocks.filterText = text;
		this.blocks.draw();
		this.updateCount();
		read.blocks = text ? 10000 : 1000;
		if (text && this.total > this.blocks.items.length)
			this.app.refresh();
	}

	/* How many there are, or have the words, and how many of these are shown. */
	updateCount() {
		const { shown, limit, items, filterText } = this.blocks;
		const of = this.total > items.length ? ` of the first ${count(items.length)}` : "";
		const parts = [filterText ? `${count(shown)}${of}` : count(this.total)];

		if (shown > limit)
			parts.push(`the first ${limit} shown`);
		setText(this.blockCount, parts.join(", "));
	}

	updateFleet(m) {
		const f = m.fleet;

		setHidden(this.fleetCard, !f);
		if (!f)
			return;
		setText(this.fleetState, f.together ? "together" : "alone");
		this.fleetState.className = `badge ${f.together ? f.missing ? "warn" : "good" : "bad"}`;
		const last = [`${count(f.inLast)} of ${plural(f.inLast + f.missing, "instance")}`,
			f.late ? `${count(f.late)} late` : "", `result after ${decimals(f.lag_ms / 1000, 1)} s`];
		const facts = [
			["Who decides", f.together ? `the fleet ${f.name}` : `this instance alone: ${f.why}`],
			["Instances", `${count(f.nodes)}; this one is ${f.node}`],
			["Leader", f.leader ? `${f.leader}${f.leads ? ", this one" : ""}` : "none at present"],
			["Last bin", f.lastStart_s >= 0 ? `of ${clock(f.lastStart_s)}: ${last.filter(Boolean).join(", ")}` : "none yet"],
		];
		const text = JSON.stringify(facts);

		if (text === this.fleetText)
			return;
		this.fleetText = text;
		this.fleetFacts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
	}

	updateAcl(m) {
		const a = m.acl;

		setHidden(this.aclCard, !a);
		if (!a)
			return;
		setText(this.aclState, a.audit ? `${a.state}, audit` : a.state);
		this.aclState.className = `badge ${/force/.test(a.state) ? "good" : /stop|fail/.test(a.state) ? "bad" : "warn"}`;
		const facts = [
			["Anomalous networks", `${count(a.networksIn)} blocked at the ACL, ${count(a.networksOut)} not`],
			["Anomalous sources", `${count(a.sourcesIn)} blocked at the ACL, ${count(a.sourcesOut)} only on the instances`],
			["Rules", `${count(a.rules)} of ${count(a.budget)}, on ${plural(a.subnets, "subnet")}`],
			["In force", [a.inForce, a.inForceAt_s ? `read back at ${dateTime(a.inForceAt_s)}` : ""].filter(Boolean).join(", ")],
			["Last failure", a.failedAt_s ? dateTime(a.failedAt_s) : ""],
			["What it does", a.text],
		].filter(([, value]) => value);
		const text = JSON.stringify(facts);

		if (text === this.aclText)
			return;
		this.aclText = text;
		this.aclFacts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
	}

	updateCharts(m) {
		const times = m.bins.map((b) => b.start_s);
		const of = (f) => m.bins.map(f);

		this.charts.traffic.update(times, [of((b) => b.passed), of((b) => b.dropped)]);
		this.charts.statistics.update(times, [of((b) => b.mean), of((b) => b.stddev), of(() => m.evaluation.threshold), of((b) => b.largest)]);
		this.charts.sources.update(times, [of((b) => b.sources)]);
		this.charts.anomalous.update(times, [of((b) => b.candidates)]);
	}

	updateEvents(m) {
		/* Bins are in the charts. */
		const events = m.events.filter((e) => e.kind !== "bin" && e.kind !== "update").slice(0, 100);

		setHidden(this.noEvents, events.length > 0);
		reconcile(this.events, events, (e) => String(e.id), (e) => eventItem(e, true));
	}

	update(m) {
		this.updateVerdict(m);
		this.updateTiles(m);
		this.blocks.update(m.blocks);
		this.total = m.blocksTotal;
		this.updateCount();
		this.updateAcl(m);
		this.updateFleet(m);
		this.updateCharts(m);
		this.findings.update(m.findings);
		this.top.update(m.top);
		this.hours.update(m.hours);
		this.allowed.update(m.allowed);
		setHidden(this.exemptCard, m.exemptions.length === 0);
		this.exempt.update(m.exemptions);
		this.updateEvents(m);
	}
}
