/* SPDX-License-Identifier: BSD-2-Clause */
/* Elements from data. Text only ever becomes text: nothing here parses HTML. */

/** h("td", {class: "number"}, "42"): attributes; on* are listeners; null and false are left out. */
export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);

	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (value === null || value === undefined || value === false)
			continue;
		if (name.startsWith("on"))
			element.addEventListener(name.slice(2), value);
		else
			element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
	return element;
}

/** Set text only if it differs, so that a selection and a reader's place survive. */
export function setText(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}

export function setHidden(element, hidden) {
	if (element.hidden !== hidden)
		element.hidden = hidden;
}

/**
 * Make the children of `parent` those of `items`, keeping the elements of items that stay: focus,
 * hover and a click that has begun survive an update.
 * key(item) is a string; make(item) an element with an update(item) function in `element.update`.
 */
export function reconcile(parent, items, key, make) {
	const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
	let at = parent.firstElementChild;

	for (const item of items) {
		const k = key(item);
		let element = old.get(k);

		if (element) {
			old.delete(k);
		} else {
			element = make(item);
			element.dataset.key = k;
		}
		element.update(item);
		if (element === at)
			at = at.nextElementSibling;
		else
			parent.insertBefore(element, at);
	}
	for (const element of old.values())
		element.remove();
}

export const byId = (id) => document.getElementById(id);
