/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's HTTP API, on the host that the page came from and on no other. */

const BASE = "/api/v1";
const TIMEOUT_MS = 5000;

export class Unauthorized extends Error {}

let token = null;

try {
	token = sessionStorage.getItem("levee-token");
} catch {
	/* No storage: the token lives as long as the page. */
}

function headers(extra) {
	return token ? { ...extra, Authorization: `Bearer ${token}` } : { ...extra };
}

/* What the daemon says is wrong, or what the browser does. */
async function refusal(response) {
	let body = null;

	try {
		body = await response.json();
	} catch {
		/* no JSON: the status must do */
	}
	const text = body?.error?.message ?? body?.error ?? body?.message ?? `${response.status} ${response.statusText}`;

	return response.status === 401 ? new Unauthorized(text) : new Error(text);
}

async function call(method, path, body) {
	let response;

	try {
		response = await fetch(BASE + path, {
			method,
			headers: headers(body ? { "Content-Type": "application/json" } : {}),
			body: body ? JSON.stringify(body) : undefined,
			cache: "no-store",
			credentials: "omit",
			redirect: "error",
			signal: AbortSignal.timeout(TIMEOUT_MS),
		});
	} catch (error) {
		throw new Error(error.name === "TimeoutError" ? "no answer within 5 s" : "it cannot be reached");
	}
	read.refused = response.status === 401;
	if (!response.ok)
		throw await refusal(response);
	return response.status === 204 ? {} : response.json();
}

/* What a daemon does not have (a service that is off) is not an error of the page. */
const optional = (promise) => promise.catch((error) => {
	if (error instanceof Unauthorized)
		throw error;
	return null;
});

const HISTORY_MS = 30000;
const SLOW_MS = 10000;
const EVENTS_MAX = 4096;

/* Events come once: what is here already is not asked for again. */
let events = [];
let history = null;
let history_at = 0;

/* \return whether there were any */
async function newEvents() {
	const after = events.length ? events[events.length - 1].id : 0;
	const answer = await call("GET", `/events?after=${after}&limit=${EVENTS_MAX}`);

	events = [...events, ...answer.events].slice(-EVENTS_MAX);
	return answer.events.length > 0;
}

async function oldBlocks() {
	if (Date.now() - history_at < HISTORY_MS)
		return;
	history_at = Date.now();
	history = await optional(call("GET", `/history?since=${Math.floor(Date.now() / 1000) - 86400}&limit=1000`));
}

/* What changes only with an event: a bin, a block, a list. */
let slow = {};
let slow_at = 0;

async function readSlow() {
	const [bins, sources, allow, exemptions, nacl, fleet] = await Promise.all([
		optional(call("GET", "/bins?limit=120")),
		optional(call("GET", "/sources?limit=50")),
		optional(call("GET", "/allow?limit=1000")),
		optional(call("GET", "/exemptions?limit=1000")),
		optional(call("GET", "/nacl")),
		optional(call("GET", "/fleet")),
		oldBlocks(),
	]);

	slow = { bins, sources, allow, exemptions, nacl, fleet };
	slow_at = Date.now();
}

export const read = {
	async everything() {
		const [status, blocks, happened] = await Promise.all([
			call("GET", "/status"),
			optional(call("GET", `/blocks?order=drops&limit=${read.blocks}`)),
			optional(newEvents()),
		]);

		if (happened !== false || Date.now() - slow_at > SLOW_MS)
			await readSlow();
		return { status, blocks, events, history, ...slow };
	},
	blocks: 1000, /* of which the table shows the first; 10000 while somebody looks for one */
	refused: false, /* no token, or a wrong one: asking again is of no use until it changes */
	source: (prefix) => call("GET", `/sources/${encodeURIComponent(prefix)}`),
};

const said = (answer, fallback) => answer.message ?? fallback;
const lasting = (length) => (length === "" ? {} : { for_s: Number(length) });
const noted = (note) => (note ? { note } : {});
const query = (fields) => {
	const text = new URLSearchParams(fields).toString();

	return text ? `?${text}` : "";
};

export const request = {
	useToken(text) {
		token = text;
		read.refused = false;
		try {
			sessionStorage.setItem("levee-token", text);
		} catch {
			/* as above */
		}
	},
	block: async (prefix, length, note) =>
		said(await call("POST", "/blocks", { prefix, ...lasting(length), ...noted(note) }), `${prefix} is blocked.`),
	unblock: async (prefix, length, note) =>
		said(await call("DELETE", `/blocks/${encodeURIComponent(prefix)}${query({ ...lasting(length), ...noted(note) })}`), `${prefix} is not blocked any more.`),
	allow: async (prefix, note) =>
		said(await call("POST", "/allow", { prefix, ...noted(note) }), `${prefix} is on the allow list.`),
	disallow: async (prefix) =>
		said(await call("DELETE", `/allow/${encodeURIComponent(prefix)}`), `${prefix} is not on the allow list any more.`),
	endExemption: async (prefix) =>
		said(await call("DELETE", `/exemptions/${encodeURIComponent(prefix)}`), `${prefix} is judged again.`),
};

/* Call changed() for every event, over connections that break, until the page is left. */
export async function follow(changed) {
	for (let wait_ms = 500;; wait_ms = Math.min(wait_ms * 2, 10000)) {
		while (read.refused || !slow_at)
			await new Promise((resolve) => setTimeout(resolve, 200));
		try {
			const response = await fetch(`${BASE}/events`, {
				headers: headers({ Accept: "text/event-stream" }),
				cache: "no-store",
				credentials: "omit",
			});
			const reader = response.ok ? response.body.getReader() : null;

			for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
				wait_ms = 500;
				if (new TextDecoder().decode(part.value).includes("data:"))
					changed();
			}
		} catch {
			/* The polling says so; here it is only tried again. */
		}
		await new Promise((resolve) => setTimeout(resolve, wait_ms));
	}
}
