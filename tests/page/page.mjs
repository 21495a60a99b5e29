/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.mjs URL TOKEN OUT DAEMON_PID: the page in a browser, against a daemon that a flood reaches
 * while it runs, in TAP. OUT gets screenshots, a file `ready` when the flood may begin, and `gone` when
 * a daemon that was ended here may come back.
 * Environment: CHROMIUM, the browser; FLOODER, the source that will be blocked.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [url, token, out, daemon] = process.argv.slice(2);
const flooder = process.env.FLOODER ?? "203.0.113.1";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WAIT = { timeout: 30000 };
let n = 0, failed = 0;

async function check(name, test) {
	n++;
	try {
		const wrong = await test();

		if (wrong)
			throw new Error(typeof wrong === "string" ? wrong : JSON.stringify(wrong));
		console.log(`ok ${n} - ${name}`);
	} catch (error) {
		failed++;
		console.log(`not ok ${n} - ${name}`);
		console.log(String(error.stack ?? error).split("\n").slice(0, 14).map((l) => `#   ${l}`).join("\n"));
	}
}

async function api(path, method = "GET") {
	const response = await fetch(`${url}api/v1${path}`, { method, headers: { Authorization: `Bearer ${token}` } });

	return response.json();
}

/* Ask until it is so. */
async function until(what, test, ms = 20000) {
	const end = Date.now() + ms;

	while (!(await test())) {
		if (Date.now() > end)
			throw new Error(`not within ${ms} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

/* The charts have the width that the window leaves them: they are drawn anew after it has changed. */
const drawn = (p) => p.waitForFunction(() => [...document.querySelectorAll(".plot")].every((e) =>
	Math.abs((e.querySelector("canvas")?.getBoundingClientRect().width ?? -9) - e.clientWidth) < 2));

const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const requests = [], complaints = [];
/* What the test provokes: a page without its token, and a daemon that has gone. */
let expected = false;

async function open({ width = 1280, height = 900, colorScheme = "light", path = "#/", signedIn = true } = {}) {
	const context = await browser.newContext({ viewport: { width, height }, colorScheme });

	if (signedIn)
		await context.addInitScript((t) => sessionStorage.setItem("levee-token", t), token);
	const page = await context.newPage();

	page.setDefaultTimeout(WAIT.timeout);
	page.on("request", (request) => requests.push(request.url()));
	page.on("console", (message) => {
		if (["error", "warning"].includes(message.type()) && !expected)
			complaints.push(message.text());
	});
	page.on("pageerror", (error) => complaints.push(String(error)));
	await page.goto(url + path);
	return page;
}

const focused = (page) => page.evaluate(() => {
	const e = document.activeElement;

	return `${e.tagName.toLowerCase()} ${e.getAttribute("aria-label") ?? e.textContent.trim().slice(0, 60)}`;
});

/* Press Tab until the element has the focus; that it does is what is tested. */
async function tabTo(page, locator, most = 300) {
	for (let i = 0; i < most; i++) {
		if (await locator.evaluate((e) => e === document.activeElement))
			return;
		await page.keyboard.press("Tab");
	}
	throw new Error(`Tab does not reach ${locator}; the focus is on ${await focused(page)}`);
}

const named = (page, name) => page.getByRole("button", { name, exact: true });
const dialog = (page) => page.locator("dialog[open]");

/* ---- signing in ------------------------------------------------------------------------------- */

const page = await open({ signedIn: false });

expected = true;
await check("without a token the page asks for one", () => dialog(page).waitFor());
await check("a wrong token is refused, and it asks again", async () => {
	await page.keyboard.type("not-the-token-at-all");
	await page.keyboard.press("Enter");
	await page.getByText("Trying the token.").waitFor();
	await dialog(page).waitFor();
	return (await page.locator("h1").count()) ? "something is shown without the token" : null;
});
await check("with the token it shows what the daemon says", async () => {
	await page.locator("dialog[open] input[type=password]").fill(token);
	await page.keyboard.press("Enter");
	await page.locator("h1", { hasText: "Calm" }).waitFor();
});
expected = false;

/* Nothing of what follows can be, and each would only wait for its time to pass. */
if (failed) {
	await browser.close();
	console.log(`1..${n}`);
	process.exit(1);
}

/* ---- a flood ---------------------------------------------------------------------------------- */

await page.evaluate((source) => {
	window.shown = null;
	const look = () => {
		if (!window.shown && document.querySelector("h1")?.textContent.startsWith("Dropping") &&
			[...document.querySelectorAll("a.source")].some((a) => a.textContent === source))
			window.shown = Date.now();
	};

	new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}, flooder);
writeFileSync(`${out}/ready`, "");
await check("a flood is shown within 2 s of its detection", async () => {
	await page.waitForFunction(() => window.shown, null, { timeout: 60000, polling: 100 });
	const shown = await page.evaluate(() => window.shown);
	const { events } = await api("/events?limit=4096");
	const block = events.find((e) => e.kind === "block" && e.subject === flooder);
	const late_ms = shown - block.time_unix * 1000;

	console.log(`# shown ${late_ms.toFixed(0)} ms after the block`);
	return late_ms > 2000 ? `${late_ms} ms` : null;
});
await check("the row names reason, Z-score, packets and where", async () => {
	/* Both go on with every bin: at some moment they are of the same one. */
	await until("page and API agree", async () => {
		const { blocks } = await api("/blocks");
		const b = blocks.find((x) => x.prefix === flooder);
		const text = await page.locator("table.cards tr", { hasText: flooder }).first().innerText();

		return ["anomalous", b.max_zscore.toFixed(2), b.max_packets.toLocaleString("en"), "here"].every((w) => text.includes(w));
	});
});
await check("charts and figures follow", async () => {
	await page.waitForFunction(() => document.querySelectorAll(".plot canvas").length === 4);
	await page.waitForFunction(() => [...document.querySelectorAll(".plot")].every((p) => /\d+ bins to/.test(p.getAttribute("aria-label"))));
});

/* ---- what it looks like, and to whom ------------------------------------------------------------ */

async function violations(p) {
	await p.evaluate(`${axe};0`);
	const result = await p.evaluate(() => axe.run(document));

	return result.violations.map((v) => `${v.id}: ${v.nodes.map((x) => x.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
}

const overview = await open(), source = await open({ path: `#/source/${flooder}` });

/* The daemon of this test has no AWS account; what one that has says is put in its place. */
await overview.route("**/api/v1/nacl", (route) => route.fulfill({ json: { schema: 1, nacl: {
	state: "in force", text: "18 rules are in force", in_force: "acl-0123", action: "deny", subnets: 3, budget: 18, rules: 18,
	blocked_networks: 17, unblocked_networks: 4, blocked_sources: 1, unblocked_sources: 5, in_force_at: 1767225600 } } }));
await check("a network ACL's state is shown", async () => {
	const card = overview.locator("section", { has: overview.getByRole("heading", { name: "Network ACL" }) });

	await card.first().waitFor({ timeout: 15000 });
	const text = await card.first().innerText();

	return ["in force", "17 blocked at the ACL, 4 not", "18 of 18, on 3 subnets", "acl-0123"].filter((w) => !text.includes(w))
		.map((w) => `${w} is not in: ${text}`)[0];
});
for (const [name, p, plots] of [["overview", overview, 4], ["source", source, 1]]) {
	await check(`${name}: it is all there`, async () => {
		await p.locator("h1").waitFor();
		await p.waitForFunction((wanted) => document.querySelectorAll(".plot canvas").length === wanted, plots);
		if (name === "source")
			await p.locator(".why li").nth(3).waitFor();
	});
	for (const [width, height] of [[1280, 900], [400, 860]]) {
		for (const colorScheme of ["light", "dark"]) {
			await check(`${name}, ${width} pixels, ${colorScheme}: axe finds nothing, nothing sticks out`, async () => {
				await p.setViewportSize({ width, height });
				await p.emulateMedia({ colorScheme });
				await drawn(p);
				await p.screenshot({ path: `${out}/${name}-${width}-${colorScheme}.png`, fullPage: true });
				const wrong = await violations(p);
				const wide = await p.evaluate(() => document.documentElement.scrollWidth - innerWidth);

				if (wide > 0)
					wrong.push(`${wide} pixels wider than the window`);
				return wrong.length ? wrong.join("\n") : null;
			});
		}
	}
}
await source.context().close();

/* ---- by keyboard --------------------------------------------------------------------------------- */

await check("Tab reaches every control, and the focus shows", async () => {
	const seen = new Set(), wrong = [];

	await overview.setViewportSize({ width: 1280, height: 900 });
	await overview.evaluate(() => {
		/* From here on nothing changes below the focus. */
		window.fetch = () => new Promise(() => {});
		scrollTo(0, 0);
		window.all = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
			.filter((e) => e.checkVisibility() && !e.disabled);
	});
	await overview.waitForTimeout(500); /* an answer that was on its way */
	const total = await overview.evaluate(() => window.all.filter((e) => e.isConnected).length);

	/* An answer that took longer may have brought controls that are not counted. */
	for (let i = 0; i < 2 * total + 20 && seen.size < total; i++) {
		await overview.keyboard.press("Tab");
		const at = await overview.evaluate(() => {
			const e = document.activeElement;

			return { index: window.all.indexOf(e), name: e.outerHTML.slice(0, 100), ring: getComputedStyle(e).outlineStyle };
		});

		if (at.index >= 0)
			seen.add(at.index);
		if (at.index >= 0 && at.ring === "none")
			wrong.push(`no ring on ${at.name}`);
	}
	wrong.push(...await overview.evaluate((reached) => window.all.filter((e, i) => e.isConnected && !reached.includes(i))
		.map((e) => `Tab misses ${e.outerHTML.slice(0, 100)}`), [...seen]));
	console.log(`# ${seen.size} controls`);
	await overview.context().close();
	return wrong.slice(0, 5).join("\n") || (seen.size < 20 ? "so few?" : null);
});
await check("a dialog keeps the focus, Escape closes it and gives the focus back", async () => {
	const button = named(page, `Unblock ${flooder}`);

	await tabTo(page, button);
	await page.keyboard.press("Enter");
	await dialog(page).waitFor();
	for (let i = 0; i < 8; i++) {
		await page.keyboard.press("Tab");
		if (!(await page.evaluate(() => document.activeElement === document.body || !!document.activeElement.closest("dialog"))))
			return `the focus went to ${await focused(page)}`;
	}
	const wrong = await violations(page);

	await page.screenshot({ path: `${out}/dialog-1280-light.png` });
	await page.keyboard.press("Escape");
	await dialog(page).waitFor({ state: "detached" });
	if (wrong.length)
		return wrong.join("\n");
	return (await button.evaluate((e) => e === document.activeElement)) ? null : `the focus is on ${await focused(page)}`;
});
await check("unblock by keyboard", async () => {
	await tabTo(page, named(page, `Unblock ${flooder}`));
	await page.keyboard.press("Enter");
	await dialog(page).waitFor();
	await tabTo(page, dialog(page).getByRole("button", { name: "Unblock" }));
	await page.keyboard.press("Enter");
	await dialog(page).waitFor({ state: "detached" });
	await until("the block is gone", async () => !(await api("/blocks")).blocks.some((b) => b.prefix === flooder));
	await page.getByRole("heading", { name: "Left alone after an unblock" }).waitFor();
});
await check("judge again by keyboard", async () => {
	await tabTo(page, named(page, `Judge again: ${flooder}`));
	await page.keyboard.press("Enter");
	await tabTo(page, dialog(page).getByRole("button", { name: "Judge it again" }));
	await page.keyboard.press("Enter");
	await until("the exemption is gone", async () => (await api("/exemptions")).exemptions.length === 0);
});
await check("block by keyboard, with a length and a reason", async () => {
	await tabTo(page, named(page, "Block a source"));
	await page.keyboard.press("Enter");
	await dialog(page).waitFor();
	await page.keyboard.type("198.51.100.0/24");
	await page.keyboard.press("Tab");
	await page.keyboard.press("ArrowUp"); /* 2 hours -> 1 hour */
	await page.keyboard.press("Tab");
	await page.keyboard.type("ticket 4711");
	await page.keyboard.press("Enter");
	await dialog(page).waitFor({ state: "detached" });
	await page.locator("table.cards tr", { hasText: "ticket 4711" }).first().waitFor();
	const b = (await api("/blocks")).blocks.find((x) => x.prefix === "198.51.100.0/24");

	return b && b.note === "ticket 4711" && Math.abs(b.seconds_left - 3600) < 60 ? null : b ?? "there is no such block";
});
await check("what the daemon refuses is said in the dialog, and nothing is lost", async () => {
	expected = true; /* the browser notes the answer 400 */
	await tabTo(page, named(page, "Block a source"));
	await page.keyboard.press("Enter");
	await page.keyboard.type("198.51.100.300");
	await page.keyboard.press("Enter");
	await dialog(page).locator(".fault").waitFor();
	const said = await dialog(page).locator(".fault").innerText();
	const kept = await dialog(page).locator("input[name=prefix]").inputValue();

	await page.keyboard.press("Escape");
	await dialog(page).waitFor({ state: "detached" });
	expected = false;
	return said.length > 10 && kept === "198.51.100.300" ? null : `${said}; ${kept}`;
});
await check("allow and take off by keyboard", async () => {
	await tabTo(page, named(page, "Add to the allow list"));
	await page.keyboard.press("Enter");
	await page.keyboard.type("198.51.100.77");
	await page.keyboard.press("Enter");
	await until("it is allowed", async () => (await api("/allow")).allowed.some((a) => a.prefix === "198.51.100.77"));
	const off = named(page, "Take off: 198.51.100.77");

	await off.waitFor();
	await tabTo(page, off);
	await page.keyboard.press("Enter");
	await tabTo(page, dialog(page).getByRole("button", { name: "Take off" }));
	await page.keyboard.press("Enter");
	await until("it is taken off", async () => !(await api("/allow")).allowed.some((a) => a.prefix === "198.51.100.77"));
});
await check("sort, filter and the values of a chart by keyboard", async () => {
	const sort = page.getByRole("table", { name: "Blocked sources" , exact: true }).getByRole("button", { name: "Source" });

	await tabTo(page, sort);
	await page.keyboard.press("Enter");
	if ((await page.locator("th[aria-sort]").innerText()).trim().slice(0, 6) !== "Source")
		return "it does not sort";
	await tabTo(page, page.getByLabel("Filter blocked sources"));
	await page.keyboard.type("no such source");
	await page.getByText("None of them has these words.").waitFor();
	await page.getByLabel("Filter blocked sources").press("ControlOrMeta+a");
	await page.keyboard.press("Delete");
	await tabTo(page, page.locator("summary").first());
	await page.keyboard.press("Enter");
	await page.locator("table.values tbody tr").first().waitFor();
});
await check("a source's own page, and back, by keyboard", async () => {
	const link = page.locator("table.cards a.source", { hasText: "198.51.100.0/24" }).first();

	await tabTo(page, link);
	await page.keyboard.press("Enter");
	await page.locator("h1", { hasText: "198.51.100.0/24" }).waitFor();
	await page.locator(".why li", { hasText: "by hand: ticket 4711" }).waitFor();
	await tabTo(page, page.getByRole("link", { name: "All sources" }));
	await page.keyboard.press("Enter");
	await page.getByRole("heading", { name: "Blocked sources", exact: true }).waitFor();
});

/* ---- many blocks, long addresses ------------------------------------------------------------------ */

await check("what is behind the first thousand is found, and one address of an IPv6 source has its page", async () => {
	const address = "2001:db8:ffff:ffff:ffff:ffff:ffff:fff1", body = (prefix) => JSON.stringify({ prefix, for_s: 600 });
	const put = (prefix) => fetch(`${url}api/v1/blocks`, { method: "POST", body: body(prefix),
		headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } });

	await put(address);
	for (let i = 0; i < 1020; i += 20)
		await Promise.all(Array.from({ length: 20 }, (_, k) => put(`198.19.${(i + k) >> 8}.${(i + k) & 255}`)));
	const { total } = await api("/blocks");
	const badge = page.getByRole("region", { name: "Blocked sources", exact: true }).locator(".badge").first();

	await until("all are counted", async () => (await badge.innerText()) === `${total.toLocaleString("en")}, the first 200 shown`);
	await page.getByLabel("Filter blocked sources").fill("fff1");
	await page.getByRole("link", { name: address }).first().click();
	await page.locator("h1", { hasText: address }).waitFor();
	await page.locator(".badge", { hasText: "dropped" }).first().waitFor();
	await page.setViewportSize({ width: 400, height: 860 });
	await drawn(page);
	const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

	await page.screenshot({ path: `${out}/long-400-light.png` });
	await page.setViewportSize({ width: 1280, height: 900 });
	await page.goBack();
	await page.getByRole("heading", { name: "Blocked sources", exact: true }).waitFor();
	await fetch(`${url}api/v1/blocks/198.19.0.0/16`, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
	return wide > 0 ? `${wide} pixels wider than the window` : null;
});

/* ---- what it must not do ------------------------------------------------------------------------- */

await check("no script and no style is inline, and the policy forbids it", async () => {
	const response = await fetch(url);
	const html = await response.text(), policy = response.headers.get("content-security-policy") ?? "";
	const wrong = [];

	if (/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/i.test(html))
		wrong.push("something is inline");
	for (const wanted of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
		if (!policy.includes(wanted))
			wrong.push(`the policy lacks ${wanted}: ${policy}`);
	return /unsafe/.test(policy) || wrong.length ? wrong.join("\n") || policy : null;
});
await check("every request went to the daemon's own host", () => {
	const foreign = requests.filter((r) => !r.startsWith(url));

	console.log(`# ${requests.length} requests`);
	return foreign.length ? foreign.slice(0, 5).join(" ") : null;
});
await check("the browser has nothing to complain of", () => complaints.slice(0, 5).join("\n") || null);
await check("a daemon that is gone is said, with what stays in force", async () => {
	expected = true;
	process.kill(Number(daemon));
	await page.getByText("The kernel goes on counting and dropping").waitFor();
	await page.screenshot({ path: `${out}/gone-1280-light.png` });
	return (await page.locator("#live").innerText()) === "not connected" ? null : "still live";
});

await check("and that nothing of it is what happens now", async () => {
	await page.getByRole("heading", { name: "Not connected" }).waitFor();
	return /At \d\d:\d\d:\d\d UTC: (Dropping|Calm)/.test(await page.getByLabel("Verdict").innerText()) ? null : "it does not say of when it is";
});
writeFileSync(`${out}/gone`, "");
await check("a daemon that comes back is live again, with its blocks", async () => {
	await page.waitForFunction(() => document.querySelector("#live").innerText.startsWith("live"), null, { timeout: 60000 });
	await page.getByRole("heading", { name: "Not connected" }).waitFor({ state: "detached" });
	await page.getByText("The kernel goes on counting and dropping").waitFor({ state: "detached" });
	await page.locator("table.cards tr", { hasText: "ticket 4711" }).first().waitFor();
});

await browser.close();
console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
