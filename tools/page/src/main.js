/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page's own loop: read everything each two seconds, at once when the daemon tells of an event,
 * and not at all while nobody looks. What is on the screen is the daemon's last answer; when it does
 * not answer, that is said, and how old the values are.
 */
import { Unauthorized, follow, read } from "./api.js";
import { askToken } from "./dialogs.js";
import { byId, h, setHidden, setText } from "./dom.js";
import { clock, duration } from "./format.js";
import { buildModel } from "./model.js";
import { Overview } from "./overview.js";
import { SourcePage } from "./source.js";

const POLL_MS = 2000;
const STALE_MS = 7000;

const app = {
	model: null,
	view: null,
	answered: 0, /* when the daemon last answered [ms] */
	busy: false,
	again: false,
	timer: 0,

	async refresh() {
		if (app.busy) {
			app.again = true;
			return;
		}
		app.busy = true;
		try {
			const answers = await read.everything();

			app.answered = Date.now();
			try {
				app.model = buildModel(answers);
				app.draw();
			} catch (error) {
				console.error(error); /* a fault of the page, not of the daemon */
			}
		} catch (error) {
			app.failed(error);
		} finally {
			app.busy = false;
			app.live();
			clearTimeout(app.timer);
			if (!document.hidden && !read.refused)
				app.timer = setTimeout(app.refresh, app.again ? 100 : POLL_MS);
			app.again = false;
		}
	},

	failed(error) {
		app.error = error;
		if (error instanceof Unauthorized && !byId("dialogs").firstElementChild)
			askToken(error.message, app.refresh);
	},

	route() {
		const source = location.hash.match(/^#\/source\/(.+)$/);
		let prefix = null;

		try {
			prefix = source ? decodeURIComponent(source[1]) : null;
		} catch {
			location.hash = "#/";
			return;
		}
		app.view = prefix ? new SourcePage(app, prefix) : new Overview(app);
		document.title = app.view.title;
		if (!app.model)
			return;
		byId("view").replaceChildren(app.view.element);
		app.draw();
		app.live();
		scrollTo(0, 0);
		byId("main").focus({ preventScroll: true });
	},

	draw() {
		const m = app.model;

		if (app.view.element.parentElement !== byId("view"))
			byId("view").replaceChildren(app.view.element);
		setText(byId("where"), m.interfaces);
		setText(byId("mode"), m.audit ? "audit: nothing is dropped" : "enforce");
		byId("mode").className = `badge ${m.audit ? "warn" : "info"}`;
		setHidden(byId("mode"), false);
		app.view.update(m);
	},

	/* What the top and the alerts say about the connection and the daemon's health. */
	live() {
		const off = Date.now() - app.answered > STALE_MS;
		const alerts = [];

		byId("live").classList.toggle("off", off);
		if (off && app.model)
			app.view.stale?.(app.model);
		if (off && app.answered)
			alerts.push(["bad", `The daemon has not answered for ${duration((Date.now() - app.answered) / 1000)}` +
				`${app.error ? ` (${app.error.message})` : ""}. What is shown is of ${clock(app.model?.now_s)} UTC. ` +
				"The kernel goes on counting and dropping, and blocks end by themselves."]);
		else if (off)
			alerts.push(["bad", `The daemon does not answer${app.error ? `: ${app.error.message}` : ""}.`]);
		for (const p of off ? [] : app.model?.problems ?? [])
			alerts.push([p.not_ready ? "bad" : "warn", p.text]);
		setText(byId("live"), off ? "not connected" : `live, ${clock(app.model?.now_s)} UTC`);
		const text = JSON.stringify(alerts);

		if (text !== app.alertText) {
			app.alertText = text;
			byId("alerts").replaceChildren(...alerts.map(([kind, t]) => h("p", { class: `notice ${kind}` }, t)));
		}
	},
};

addEventListener("hashchange", app.route);
document.addEventListener("visibilitychange", () => !document.hidden && app.refresh());
setInterval(app.live, 1000);
app.route();
app.refresh();
follow(() => app.refresh());
