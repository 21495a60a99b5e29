/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that changes something asks first, says in words what will happen, and shows the
 * daemon's own answer. <dialog> keeps the focus inside and gives it back.
 */
import { byId, h, setHidden, setText } from "./dom.js";
import { request } from "./api.js";

const LENGTHS = [
	["600", "10 minutes"],
	["3600", "1 hour"],
	["7200", "2 hours"],
	["86400", "1 day"],
	["604800", "1 week"],
];
const BLOCK_LENGTHS = [...LENGTHS, ["", "Until it is taken back"]];
const UNBLOCK_LENGTHS = [["", "Until its flood has left the window"], ...LENGTHS];

let toastTimer = 0;

export function toast(text) {
	setText(byId("toast"), text);
	clearTimeout(toastTimer);
	toastTimer = setTimeout(() => setText(byId("toast"), ""), 8000);
}

/*
 * title, says: lines of text; fields: elements; label of the button, danger: it takes protection
 * or access away; send(form) returns what to say when it is done, or throws.
 */
function ask({ title, says, fields = [], label, danger = false, send, done }) {
	const fault = h("p", { class: "fault", role: "alert", hidden: true });
	const go = h("button", { class: `button ${danger ? "danger" : "primary"}`, type: "submit" }, label);
	const cancel = h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel");
	const form = h("form", { method: "dialog" },
		h("h2", { id: "dialog-title" }, title),
		says.map((s) => h("p", {}, s)), fields, fault,
		h("div", { class: "buttons" }, cancel, go));
	const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);

	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		go.disabled = true;
		setHidden(fault, true);
		try {
			const said = await send(new FormData(form));

			dialog.close();
			toast(said);
			done?.();
		} catch (error) {
			setText(fault, error.message);
			setHidden(fault, false);
			go.disabled = false;
		}
	});
	dialog.addEventListener("close", () => dialog.remove());
	byId("dialogs").append(dialog);
	dialog.showModal();
	(form.querySelector("input:not([readonly]), select") ?? go).focus();
}

function field(label, control, hint) {
	const id = `f-${control.name}`;

	control.id = id;
	if (hint)
		control.setAttribute("aria-describedby", `${id}-hint`);
	return h("div", { class: "field" }, h("label", { for: id }, label), control,
		hint ? h("span", { class: "hint", id: `${id}-hint` }, hint) : null);
}

const prefixField = (value) => field("Address or prefix",
	h("input", { name: "prefix", required: true, maxlength: "64", autocomplete: "off", spellcheck: "false", value: value ?? "" }),
	"198.51.100.7, 198.51.100.0/24 or 2001:db8:7::/64");
const reasonField = () => field("Reason", h("input", { name: "reason", maxlength: "95", autocomplete: "off" }),
	"For whoever looks at this next");
const lengthField = (label, choices, chosen) => field(label, h("select", { name: "length" },
	choices.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));

export function askBlock(prefix, done) {
	ask({
		title: prefix ? `Block ${prefix}?` : "Block a source",
		says: ["All its packets are dropped on this instance at once, whatever they are. The allow list wins over a block."],
		fields: [prefix ? h("input", { type: "hidden", name: "prefix", value: prefix }) : prefixField(),
			lengthField("For how long", BLOCK_LENGTHS, "7200"), reasonField()],
		label: "Block",
		danger: true,
		send: (form) => request.block(form.get("prefix").trim(), form.get("length"), form.get("reason").trim()),
		done,
	});
}

export function askUnblock(prefix, done) {
	ask({
		title: `Unblock ${prefix}?`,
		says: ["Its packets pass from now on. The detector leaves it alone for that long, over a restart as well."],
		fields: [h("input", { type: "hidden", name: "prefix", value: prefix }),
			lengthField("Leave it alone for", UNBLOCK_LENGTHS, ""), reasonField()],
		label: "Unblock",
		send: (form) => request.unblock(form.get("prefix"), form.get("length"), form.get("reason").trim()),
		done,
	});
}

export function askAllow(prefix, done) {
	ask({
		title: prefix ? `Always allow ${prefix}?` : "Add to the allow list",
		says: ["It is never counted and never blocked again, until it is taken off the allow list."],
		fields: [prefix ? h("input", { type: "hidden", name: "prefix", value: prefix }) : prefixField(), reasonField()],
		label: "Allow",
		send: (form) => request.allow(form.get("prefix").trim(), form.get("reason").trim()),
		done,
	});
}

export function askDisallow(prefix, done) {
	ask({
		title: `Take ${prefix} off the allow list?`,
		says: ["It is counted and judged like any other source from now on."],
		fields: [h("input", { type: "hidden", name: "prefix", value: prefix })],
		label: "Take off",
		danger: true,
		send: (form) => request.disallow(form.get("prefix")),
		done,
	});
}

export function askEndExemption(prefix, done) {
	ask({
		title: `Judge ${prefix} again?`,
		says: ["An unblock protects it from the detector; that ends now. If it is abnormal, it is blocked at the next evaluation."],
		fields: [h("input", { type: "hidden", name: "prefix", value: prefix })],
		label: "Judge it again",
		send: (form) => request.endExemption(form.get("prefix")),
		done,
	});
}

/* The token of a daemon on TCP: kept for this tab alone. */
export function askToken(why, done) {
	ask({
		title: "Token",
		says: [why, "It is kept in this tab until it is closed."],
		fields: [field("Bearer token", h("input", { name: "token", type: "password", required: true, autocomplete: "off" }))],
		label: "Use it",
		send: async (form) => {
			request.useToken(form.get("token").trim());
			return "Trying the token.";
		},
		done,
	});
}
