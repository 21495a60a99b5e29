/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Charts over the bins of the window. A chart is a picture to a screen reader, named by what it
 * shows; the same values are in a table below it, which opens by keyboard.
 */
import uPlot from "uplot";

import { h, setText } from "./dom.js";
import { clock, compact, count, hourMinute } from "./format.js";

const HEIGHT = 180;
/* 1, 2, 5, 10, ...: steps between ticks. */
const WHOLE = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((k) => k * 10 ** i)).flat();

function color(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axis(extra) {
	return {
		stroke: color("--muted"),
		grid: { stroke: color("--line"), width: 1 },
		ticks: { stroke: color("--line"), width: 1, size: 4 },
		font: "12px system-ui, sans-serif",
		...extra,
	};
}

/**
 * title: heading; unit: of all values; series: [{label, color: "--passed", fill, dash}].
 * update(times, columns): unix s ascending, and one array a series, null where there is no value.
 */
export class Chart {
	constructor({ title, unit, series, bars = false, log = false }) {
		this.series = series;
		this.unit = unit;
		this.bars = bars;
		this.log = log; /* what is 0 has no place on it, and is left out */
		this.data = [[], ...series.map(() => [])];
		this.plot = null;
		this.values = series.map((s) => h("span", { class: "value" }));
		this.when = h("span", { class: "when" });
		this.picture = h("div", { class: "plot", role: "img", "aria-label": title });
		this.table = h("table", { class: "values" });
		this.details = h("details", { class: "chart-table", ontoggle: () => this.fillTable() },
			h("summary", {}, "Values as a table"),
			h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, values` },
				this.table));
		this.element = h("figure", { class: "card chart" },
			h("figcaption", {}, h("h3", {}, title), h("span", { class: "unit" }, unit), this.when),
			h("div", { class: "legend" },
				series.map((s, i) => h("span", { class: "key" },
					h("span", { class: `swatch ${s.color.slice(2)}`, "aria-hidden": "true" }),
					`${s.label} `, this.values[i]))),
			this.picture, this.details);
		this.title = title;
		new ResizeObserver(() => this.resize()).observe(this.picture);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
	}

	options() {
		return {
			width: Math.max(200, this.picture.clientWidth),
			height: HEIGHT,
			padding: [null, 32, null, null], /* half of the last time below it */
			tzDate: (s) => uPlot.tzDate(new Date(s * 1e3), "Etc/UTC"),
			legend: { show: false },
			cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
			scales: {
				x: { time: true },
				y: this.log ? { distr: 3, log: 10 } : { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] },
			},
			axes: [
				axis({ space: 70, values: (u, ticks) => ticks.map(ticks[1] - ticks[0] < 60 ? clock : hourMinute) }),
				/* Values are whole, but for averages, which are on a logarithmic scale. */
				axis({ size: 54, incrs: this.log ? undefined : WHOLE,
					values: (u, ticks) => ticks.map((t) => (t === null ? "" : t < 1 ? String(t) : compact(t))) }),
			],
			series: [{}, ...this.series.map((s) => ({
				label: s.label,
				stroke: color(s.color),
				width: 2,
				dash: s.dash,
				fill: s.fill ? color(`${s.color}-fill`) : undefined,
				spanGaps: !s.points,
				/* A value between two that are missing makes no line. */
				points: { show: !!s.points || this.data[0].length < 3, size: 6, fill: color(s.color) },
				paths: this.bars ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined,
			}))],
			hooks: { setCursor: [(u) => this.readout(u.cursor.idx)] },
		};
	}

	rebuild() {
		this.plot?.destroy();
		this.plot = null;
		if (this.picture.clientWidth > 0 && this.data[0].length > 0)
			this.plot = new uPlot(this.options(), this.data, this.picture);
		this.readout(null);
	}

	resize() {
		if (!this.plot)
			this.rebuild();
		else if (this.plot.width !== this.picture.clientWidth)
			this.plot.setSize({ width: this.picture.clientWidth, height: HEIGHT });
	}

	/* The values under the pointer; without one, the newest. */
	readout(index) {
		const last = this.data[0].length - 1;
		const i = index ?? last;

		this.values.forEach((v, s) => setText(v, i >= 0 ? count(this.data[s + 1][i] ?? NaN) : "–"));
		setText(this.when, i >= 0 ? `${clock(this.data[0][i])} UTC` : "");
	}

	fillTable() {
		if (!this.details.open)
			return;
		this.table.replaceChildren(
			h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Bin (UTC)"),
				this.series.map((s) => h("th", { scope: "col", class: "number" }, s.label)))),
			h("tbody", {}, this.data[0].map((t, i) => h("tr", {},
				h("th", { scope: "row" }, clock(t)),
				this.series.map((s, k) => h("td", { class: "number" },
					count(this.data[k + 1][i] ?? NaN))))).reverse()));
	}

	update(times, columns) {
		const few = this.data[0].length < 3;

		this.data = [times, ...(this.log ? columns.map((c) => c.map((v) => (v > 0 ? v : null))) : columns)];
		if (!this.plot || few)
			this.rebuild();
		else
			this.plot.setData(this.data);
		this.readout(this.plot?.cursor.idx ?? null);
		this.fillTable();
		const last = times.length - 1;
		this.picture.setAttribute("aria-label", last < 0 ? `${this.title}: no bin yet` :
			`${this.title}, ${times.length} bins to ${clock(times[last])} UTC; in the last: ` +
			this.series.map((s, i) => `${s.label} ${count(columns[i][last] ?? NaN)}`).join(", "));
	}
}
