/* SPDX-License-Identifier: BSD-2-Clause */
/* One source's own page: what it is doing, why it is judged as it is, its history, and what to do. */
import { read } from "./api.js";
import { Chart } from "./charts.js";
import { askAllow, askBlock, askDisallow, askEndExemption, askUnblock } from "./dialogs.js";
import { h, reconcile, setHidden, setText } from "./dom.js";
import { sourceModel } from "./model.js";
import { count, dateTime, decimals } from "./format.js";
import { Table, breakable, eventItem } from "./overview.js";

export class SourcePage {
	constructor(app, prefix) {
		this.app = app;
		this.prefix = prefix;
		this.title = `${prefix} – Levee`;
		const done = () => app.refresh();
		const act = (text, ask, kind, of = () => this.subject) =>
			h("button", { class: `button ${kind ?? ""}`, type: "button", hidden: true, onclick: () => ask(of(), done) }, text);

		this.subject = prefix;
		this.status = h("span", { class: "badge" });
		this.buttons = {
			unblock: act("Unblock …", askUnblock, "primary"),
			block: act("Block …", askBlock, "danger"),
			allow: act("Always allow …", askAllow),
			disallow: act("Take off the allow list …", askDisallow, "", () => this.allowedPrefix),
			judge: act("Judge again …", askEndExemption, "", () => this.exemptPrefix),
		};
		this.facts = h("dl", { class: "facts" });
		this.why = h("ol", { class: "why" });
		this.chart = new Chart({ title: "Packets of this source", unit: "packets per bin", series: [
			{ label: "packets", color: "--dropped", fill: true, points: true },
			{ label: "threshold", color: "--threshold", dash: [7, 4] },
		] });
		this.chartNote = h("p", { class: "quiet" });
		this.bins = new Table({
			caption: "Bins of this source",
			key: (b) => String(b.start_s),
			none: "In no bin of the window is it above the packet minimum.",
			columns: [
				{ name: "Bin (UTC)", cell: (b) => dateTime(b.start_s).slice(5, 19) },
				{ name: "Packets", number: true, cell: (b) => count(b.packets) },
				{ name: "Z-score", number: true, cell: (b) => decimals(b.zscore) },
				{ name: "Verdict", cell: (b) => b.abnormal ? "anomalous" : "within the limits" },
			],
		});
		this.events = h("ol", { class: "events", reversed: true });
		this.noEvents = h("p", { class: "none" }, "Nothing is recorded of this source.");
		const card = (title, ...children) => h("section", { class: "card" }, h("div", { class: "heading" }, h("h2", {}, title)), children);

		this.fault = h("p", { class: "notice warn", hidden: true });
		/* what there is to say once the daemon has answered */
		this.known = h("div", { class: "stack", hidden: true },
			h("div", { class: "two" }, card("Why", this.why), h("div", { class: "stack" }, this.chart.element, this.chartNote)),
			h("div", { class: "two" }, card("Its bins above the packet minimum", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Its bins" }, this.bins.element)), card("History", this.events, this.noEvents)));
		this.element = h("div", { class: "stack" },
			h("p", {}, h("a", { href: "#/" }, "← All sources")),
			h("section", { class: "card" },
				h("div", { class: "heading" }, h("h1", { class: "mono" }, breakable(prefix)), this.status, h("span", { class: "grow" }),
					h("div", { class: "actions" }, Object.values(this.buttons))),
				this.facts),
			this.fault,
			this.known);
	}

	async update(m) {
		if (this.asking)
			return;
		this.asking = true;
		try {
			const s = sourceModel(await read.source(this.prefix), m);

			setHidden(this.fault, true);
			this.show(s, m);
		} catch (error) {
			setText(this.fault, `This source could not be looked up: ${error.message}`);
			setHidden(this.fault, false);
		} finally {
			this.asking = false;
		}
	}

	show(s, m) {
		setHidden(this.known, false);
		this.subject = s.subject;
		this.allowedPrefix = s.allowedPrefix;
		this.exemptPrefix = s.exemptPrefix;
		setText(this.status, s.state.text);
		this.status.className = `badge ${s.state.kind}`;
		setHidden(this.buttons.unblock, !s.can.unblock);
		setHidden(this.buttons.block, !s.can.block);
		setHidden(this.buttons.allow, !s.can.allow);
		setHidden(this.buttons.disallow, !s.can.disallow);
		setHidden(this.buttons.judge, !s.can.judge);
		const facts = s.facts.filter(([, value]) => value);
		const text = JSON.stringify(facts);

		if (text !== this.factsText) {
			this.factsText = text;
			this.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
		}
		reconcile(this.why, s.why.map((t, i) => ({ t, i })), (x) => String(x.i), () => {
			const li = h("li");

			li.update = (x) => setText(li, x.t);
			return li;
		});
		this.chart.update(s.chart.times, [s.chart.packets, s.chart.threshold]);
		setText(this.chartNote, s.chartNote);
		this.bins.update([...s.bins].reverse());
		setHidden(this.noEvents, s.events.length > 0);
		reconcile(this.events, s.events, (e) => String(e.id), (e) => eventItem(e, false));
	}
}
