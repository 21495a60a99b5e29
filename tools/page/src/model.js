/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon answers, as the page shows it. Pure: all of the API's shape is known here and
 * nowhere else. Times are unix seconds, rates packets per second.
 */
import { count, dateTime, decimals, duration, plural } from "./format.js";

const REASONS = {
	detected: "anomalous",
	manual: "blocked by hand",
	drill: "drill",
};
const ORIGINS = {
	automatic: "always allowed",
	configuration: "configuration",
	file: "allow list file",
	operator: "added by hand",
	service: "a service",
};

/* A time of the API, as unix seconds; 0: none. */
const seconds = (text) => (text ? Date.parse(text) / 1000 : 0);

/* In audit mode what would be dropped passes, and is counted twice here for that reason. */
const account = (a) => ({
	dropped: (a?.dropped ?? 0) + (a?.would_drop ?? 0),
	passed: (a?.received ?? 0) - (a?.dropped ?? 0),
});

/* The network ACL's own account of what it holds; null: it is not used. */
function buildAcl(n) {
	if (!n || n.enabled === false || n.state === undefined)
		return null;
	return {
		state: n.state,
		text: n.text ?? "",
		rules: n.rules ?? 0,
		budget: n.budget_granted ?? n.budget ?? 0,
		networksIn: n.blocked_networks ?? 0,
		networksOut: n.unblocked_networks ?? 0,
		sourcesIn: n.blocked_sources ?? 0,
		sourcesOut: n.unblocked_sources ?? 0,
		subnets: n.subnets ?? 0,
		inForce: n.in_force ?? "",
		inForceAt_s: n.in_force_at ?? 0,
		failedAt_s: n.failed_at ?? 0,
		audit: n.action === "allow",
	};
}

/* Where what is blocked is stopped. */
function places(b) {
	if (b.in_force === false)
		return [];
	return b.enforced?.nacl?.rule ? ["here", `network ACL, rule ${b.enforced.nacl.rule}`] : ["here only"];
}

/* null: this instance is in no fleet. */
function buildFleet(f) {
	if (!f || f.enabled === false || f.name === undefined)
		return null;
	const last = f.last_bin ?? {};

	return {
		name: f.name,
		node: f.node ?? "",
		together: f.together === true,
		why: f.why_alone ?? "",
		leader: f.leader ?? "",
		leads: f.leads === true,
		nodes: f.nodes ?? 0,
		lastStart_s: last.start ?? -1,
		lag_ms: last.lag_ms ?? 0,
		inLast: last.nodes ?? 0,
		late: last.nodes_late ?? 0,
		missing: last.nodes_missing ?? 0,
		round_trip_us: f.round_trip_us ?? 0,
	};
}

/* What decided, and when. */
const DECIDERS = {
	fast: "the fast path, within the bin",
	zscore: "its Z-score, when the bin closed",
	robust: "its distance from the median, when the bin closed",
};

function buildBlock(b) {
	return {
		prefix: b.prefix,
		reason: REASONS[b.reason] ?? b.reason,
		detected: b.reason === "detected",
		decider: DECIDERS[b.by] ?? "",
		limited: b.kind === "limit",
		measure: b.measure ?? "packets",
		value: b.max_value ?? b.max_packets ?? 0,
		spoofable: !!b.spoofable,
		note: b.note ?? "",
		zscore: b.max_zscore ?? 0,
		packets: b.max_packets ?? 0,
		dropped: b.dropped_packets ?? 0,
		bytes: b.dropped_bytes ?? 0,
		rate: b.drop_rate ?? 0,
		repeats: b.repeats ?? 0,
		since_s: seconds(b.since),
		ends_s: seconds(b.until),
		drill: !!b.drill,
		flagged: !!b.flagged,
		in_force: b.in_force !== false,
		enforced: places(b),
	};
}

/*
 * Sources that are anomalous, or would be: what the detector flagged and blocked, and of the last
 * bin's largest those above both limits that are not blocked.
 */
function buildFindings(blocks, sources, s) {
	const e = s.evaluation ?? {};
	const words = { allowed: "on the allow list", exempt: "left alone after an unblock", passed: "not blocked" };
	const flagged = blocks.filter((b) => b.flagged).map((b) => ({
		source: b.prefix,
		zscore: b.zscore,
		packets: b.packets,
		handled: b.in_force,
		verdict: !b.in_force ? "not in force" : s.mode === "audit" ? "would be blocked" : `blocked ${b.enforced.join(", ")}`,
	}));
	const others = sources.filter((x) => words[x.verdict] && x.zscore > e.min_zscore && x.packets > e.min_packets)
		.map((x) => ({ source: x.source, zscore: x.zscore, packets: x.packets, handled: x.verdict !== "passed", verdict: words[x.verdict] }));

	return [...flagged, ...others].sort((a, b) => b.zscore - a.zscore);
}

/* Blocks by hour and source: the largest bin and Z-score of each, and what was dropped in the end. */
function buildHours(events, history, now_s) {
	const hours = new Map();
	const first = events.length ? events[events.length - 1].time_s : Infinity;

	for (const e of [...events, ...history.filter((x) => x.time_s < first)]) {
		if (!["block", "harden", "lift"].includes(e.kind) || !e.subject || e.time_s < now_s - 86400)
			continue;
		const hour_s = Math.floor(e.time_s / 3600) * 3600;
		const key = `${hour_s} ${e.subject}`;
		const row = hours.get(key) ?? { hour_s, source: e.subject, zscore: 0, packets: 0, dropped: 0 };

		row.zscore = Math.max(row.zscore, e.zscore);
		row.packets = Math.max(row.packets, e.packets);
		row.dropped = Math.max(row.dropped, e.dropped);
		hours.set(key, row);
	}
	return [...hours.values()].sort((a, b) => b.hour_s - a.hour_s || b.zscore - a.zscore).slice(0, 100);
}

const buildEvent = (e, i) => ({
	id: e.id ?? `h${i}`,
	time_s: e.time_unix ?? seconds(e.time),
	kind: e.kind,
	subject: e.subject ?? "",
	text: e.text || e.subject || "",
	zscore: e.zscore ?? 0,
	packets: e.packets ?? 0,
	dropped: e.dropped ?? 0,
	drill: !!e.drill,
});

export function buildModel(api) {
	const s = api.status;
	const acl = buildAcl(api.nacl?.nacl);
	const blocks = (api.blocks?.blocks ?? []).map((b) => buildBlock(b));
	const fleet = buildFleet(api.fleet?.fleet);
	const evaluation = s.evaluation ?? {};
	const sources = api.sources?.sources ?? [];
	const last = s.account?.last_bin ?? {};
	const total = account(s.account?.since_start);
	const events = api.events.map(buildEvent).sort((a, b) => b.id - a.id);
	const history = (api.history?.history ?? []).map(buildEvent);
	const bin_s = s.bin?.length_s ?? 60;
	const drop_rate = s.account?.drop_rate ?? 0;
	const would = blocks.reduce((sum, b) => sum + b.rate, 0);
	const audit = s.mode === "audit";
	const now_s = seconds(s.time);

	return {
		now_s,
		version: s.version,
		interfaces: (s.interfaces ?? []).join(" "),
		audit,
		bin_s,
		min_packets: evaluation.min_packets ?? 0,
		min_zscore: evaluation.min_zscore ?? 0,
		total,
		rates: {
			passed: Math.max(0, (s.account?.receive_rate ?? 0) - drop_rate),
			dropped: audit ? would : drop_rate,
		},
		last: {
			end_s: api.sources?.bin_start ? api.sources.bin_start + bin_s : 0,
			sources: s.sources ?? 0,
			received: last.received ?? 0,
		},
		evaluation: {
			n: evaluation.values ?? 0,
			mean: evaluation.values ? evaluation.mean : NaN,
			stddev: evaluation.values ? evaluation.stddev : NaN,
			threshold: evaluation.values ? evaluation.threshold : NaN,
		},
		flagged: evaluation.flagged ?? 0,
		spared: (evaluation.left_alone_allowed ?? 0) + (evaluation.left_alone_exempt ?? 0),
		findings: buildFindings(blocks, sources, s),
		bins: (api.bins?.bins ?? []).map((b) => ({
			start_s: b.start,
			passed: b.account ? account(b.account).passed : null,
			dropped: b.account ? account(b.account).dropped : null,
			mean: b.values ? b.mean : null,
			stddev: b.values ? b.stddev : null,
			largest: b.largest || null,
			sources: b.values ?? null,
			candidates: b.above_minimum ?? 0,
		})),
		blocks,
		blocksTotal: api.blocks?.total ?? blocks.length,
		top: sources.map((x) => ({ source: x.source, packets: x.packets, bytes: x.bytes, rate: x.rate, zscore: x.zscore ?? NaN, verdict: x.verdict })),
		allowed: (api.allow?.allowed ?? []).map((a) => ({
			prefix: a.prefix,
			origin: ORIGINS[a.origin] ?? a.origin,
			removable: a.origin === "operator",
		})),
		exemptions: (api.exemptions?.exemptions ?? []).map((x) => ({ prefix: x.prefix, ends_s: seconds(x.until), note: x.note ?? "" })),
		acl,
		fleet,
		problems: s.problems ?? [],
		events,
		hours: buildHours(events, history, now_s),
	};
}

const VERDICTS = {
	blocked: { text: "dropped", kind: "bad" },
	would_block: { text: "would be dropped", kind: "warn" },
	allowed: { text: "on the allow list", kind: "good" },
	exempt: { text: "left alone after an unblock", kind: "warn" },
	passed: { text: "passes", kind: "good" },
};

/* Why, step by step, in the numbers that the detector used. */
function explain(s, bins, block) {
	const e = s.evaluation ?? {};
	const worst = bins.reduce((a, b) => (!a || b.packets > a.packets ? b : a), null);
	const steps = [];

	if (s.allowed)
		steps.push(`It is in ${s.allowed.prefix} of the allow list (${ORIGINS[s.allowed.origin] ?? s.allowed.origin}), which wins over everything: it is neither counted nor blocked.`);
	if (block && !block.detected && !block.drill)
		steps.push(`It was blocked by hand${block.note ? `: ${block.note}` : ""}.`);
	if (s.exemption)
		steps.push(`It was unblocked by hand; the detector leaves it alone${s.exemption.until ? ` until ${dateTime(seconds(s.exemption.until))}` : ""}.`);
	if (!e.values)
		return [...steps, "No bin has been closed yet, so nothing is known to compare it with."];
	steps.push(`Over ${count(e.values)} values of the window (one per source and bin) the average is ${decimals(e.mean)} packets, the standard deviation ${decimals(e.stddev)}.`);
	steps.push(`Anomalous is a bin with a Z-score above ${decimals(e.min_zscore, 1)}, which is above ${decimals(e.threshold)} packets, and with more than ${count(e.min_packets)} packets.`);
	if (worst)
		steps.push(`Its largest bin of the window began at ${dateTime(worst.start_s)} and has ${plural(worst.packets, "packet")}: ` +
			`(${count(worst.packets)} − ${decimals(e.mean)}) / ${decimals(e.stddev)} = ${decimals(worst.zscore)}, ` +
			`${worst.abnormal ? "so it is anomalous" : "within the limits"}.`);
	else
		steps.push(`It has no bin of more than ${count(e.min_packets)} packets in the window${block?.detected ? "" : ", so it is within the limits"}.`);
	if (e.masked)
		steps.push(`Masking: ${count(e.above_minimum)} values are above ${count(e.min_packets)} packets, too many for all their Z-scores to pass ${decimals(e.min_zscore, 1)}.`);
	if (block?.detected)
		steps.push(`It was ${block.limited ? "limited" : "blocked"} at ${dateTime(block.since_s)} by ${block.decider || "a detector"}; at its worst it had a Z-score of ${decimals(block.zscore)} with ${plural(block.packets, "packet")} in a bin` +
			`${block.measure === "packets" ? "" : `, judged by its ${block.measure}: ${count(block.value)}`}.`);
	return steps;
}

/* One source, with the reasons for its verdict in words. */
export function sourceModel(s, m) {
	const bins = s.bins ?? [];
	const raw = s.block;
	const block = raw ? m.blocks.find((b) => b.prefix === raw.prefix) ?? buildBlock(raw) : null;
	const byStart = new Map(bins.map((b) => [b.start, b.packets]));
	const last = s.last_bin ?? {};
	const limit = s.evaluation?.values ? Math.max(s.evaluation.threshold, s.evaluation.min_packets) : null;
	const own = bins.map((b) => ({ start_s: b.start, packets: b.packets, zscore: b.zscore, abnormal: b.abnormal }));

	return {
		subject: block?.prefix ?? s.source,
		state: VERDICTS[s.verdict] ?? { text: s.verdict, kind: "info" },
		can: {
			unblock: !!block,
			block: !block && !s.allowed,
			allow: !s.allowed,
			disallow: s.allowed?.origin === "operator",
			judge: !!s.exemption,
		},
		allowedPrefix: s.allowed?.prefix,
		exemptPrefix: s.exemption?.prefix,
		facts: [
			["Counted as", s.source],
			["Running bin", Number.isFinite(s.running_packets) ? `${plural(s.running_packets, "packet")} so far` : ""],
			["Last bin", Number.isFinite(last.packets) ? `${plural(last.packets, "packet")}, Z-score ${decimals(last.zscore ?? NaN)}` :
				last.at_most === 0 && last.start ? "no packet counted" : Number.isFinite(last.at_most) && last.start ? `at most ${plural(last.at_most, "packet")}` : ""],
			["Blocked", block && block.prefix !== s.source ? block.prefix : ""],
			["Blocked since", block ? dateTime(block.since_s) : ""],
			["Block ends", block ? block.ends_s ? `${dateTime(block.ends_s)}, in ${duration(block.ends_s - m.now_s)}` : "when it is taken back" : ""],
			["Reason", block ? [block.reason, block.note].filter(Boolean).join(": ") : ""],
			["Decided by", block?.detected ? block.decider : ""],
			["Action", block?.limited ? "limited: a rate passes, the rest is dropped" : ""],
			["Address", block?.spoofable ? "never seen with an established flow: it may be made up" : ""],
			["Blocked before", block?.repeats ? `${plural(block.repeats, "time")}` : ""],
			["Dropped", block ? `${plural(block.dropped, "packet")}, ${count(block.rate)}/s now` : ""],
			["Enforced", block ? block.enforced.join(", ") || "nowhere: the allow list covers it" : ""],
		],
		why: explain(s, own, block),
		bins: own,
		chart: {
			times: m.bins.map((b) => b.start_s),
			packets: m.bins.map((b) => byStart.get(b.start_s) ?? null),
			threshold: m.bins.map(() => limit),
		},
		chartNote: `Counted packets alone: not what was dropped, and no bin of ${count(m.min_packets)} packets or fewer.`,
		events: m.events.filter((x) => x.subject === (block?.prefix ?? s.source) || x.subject === s.source),
	};
}
