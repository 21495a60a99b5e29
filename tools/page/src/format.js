/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and times as an operator reads them. All times are UTC, as in the log. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345: exact. */
export function count(n) {
	return Number.isFinite(n) ? whole.format(n) : "–";
}

/** 12.3K: where room is short; the exact value belongs beside it or into a title. */
export function compact(n) {
	return Number.isFinite(n) ? (Math.abs(n) < 10000 ? whole.format(n) : short.format(n)) : "–";
}

export function decimals(n, digits = 2) {
	return Number.isFinite(n) ? n.toFixed(digits) : "–";
}

const two = (n) => String(n).padStart(2, "0");

/** 14:05:09 [unix s]. */
export function clock(s) {
	if (!s)
		return "–";
	const d = new Date(s * 1000);

	return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
}

/** 14:05. */
export function hourMinute(s) {
	return s ? clock(s).slice(0, 5) : "–";
}

/** 2026-11-25 14:05:09 UTC. */
export function dateTime(s) {
	return s ? `${new Date(s * 1000).toISOString().slice(0, 10)} ${clock(s)} UTC` : "–";
}

/** 42 s, 5 min 3 s, 2 h 14 min, 3 d 4 h. */
export function duration(s) {
	s = Math.max(0, Math.round(s));
	if (s < 60)
		return `${s} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ${s % 60} s`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function bytes(n) {
	const units = ["B", "KB", "MB", "GB", "TB", "PB"];
	let i = 0;

	if (!Number.isFinite(n))
		return "–";
	while (n >= 1000 && i < units.length - 1) {
		n /= 1000;
		i++;
	}
	return `${i ? n.toFixed(1) : n} ${units[i]}`;
}

/** "1 source", "3 sources". */
export function plural(n, one, many = `${one}s`) {
	return `${count(n)} ${n === 1 ? one : many}`;
}
