// @ts-check
// The keyboard: what is bound now, and the sheet that lists it.
//
// A binding is active from `bind` until the function it answers is called, or its scope is unbound. The latest wins; one
// that answers `false` lets an earlier one have the key. Nothing fires while someone types or while a dialog is open.

import { h } from "./dom.js";
import { openDialog } from "./dialog.js";

/**
 * @typedef {{scope: string, combo: string, label: string, run: (event: KeyboardEvent) => any, inInputs: boolean, hidden: boolean}} Binding
 */
/** @type {Binding[]} */
const bindings = [];
let pending = "";
let pendingTimer = 0;

/**
 * `combo`: "j", "G", "?", "ArrowDown", "Shift+ArrowDown", "Ctrl+k", or two keys after one another: "g s".
 *
 * @param {string} scope
 * @param {string} combo
 * @param {string} label
 * @param {Binding["run"]} run
 * @param {{inInputs?: boolean, hidden?: boolean}} [options]
 */
function bind(scope, combo, label, run, { inInputs = false, hidden = false } = {}) {
  const binding = { scope, combo, label, run, inInputs, hidden };
  bindings.push(binding);
  return () => {
    const at = bindings.indexOf(binding);
    if (at >= 0) bindings.splice(at, 1);
  };
}

/** @param {string} scope */
function unbindScope(scope) {
  for (let at = bindings.length - 1; at >= 0; at -= 1) if (bindings[at].scope === scope) bindings.splice(at, 1);
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  if (!(target instanceof Element)) return false;
  if (target.closest("textarea, select, [contenteditable]")) return true;
  const input = target.closest("input");
  return input !== null && !["checkbox", "radio", "button", "submit", "range", "file"].includes(input.type);
}

/**
 * Enter and Space belong to the control that has the focus.
 *
 * @param {EventTarget | null} target
 * @param {string} key
 */
function isOwnKey(target, key) {
  return (
    (key === "Enter" || key === " ") &&
    target instanceof Element &&
    Boolean(target.closest("button, a, summary, input"))
  );
}

/** @param {KeyboardEvent} event */
function nameOf(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  // Shift is already in the character that a key writes.
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  parts.push(event.key === " " ? "Space" : event.key);
  return parts.join("+");
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.defaultPrevented || event.isComposing || isOwnKey(event.target, event.key)) return;
  if (document.querySelector("dialog[open]")) return;
  const typing = isTyping(event.target);
  const name = nameOf(event);
  const sequence = pending ? `${pending} ${name}` : name;
  pending = "";
  clearTimeout(pendingTimer);
  for (const wanted of sequence === name ? [name] : [sequence, name]) {
    for (const binding of bindings.toReversed()) {
      if (binding.combo !== wanted || (typing && !binding.inInputs)) continue;
      if (binding.run(event) === false) continue;
      event.preventDefault();
      return;
    }
  }
  if (!typing && bindings.some((binding) => binding.combo.startsWith(`${name} `))) {
    pending = name;
    pendingTimer = setTimeout(() => (pending = ""), 1200);
  }
}

/**
 * What else the sheet explains: rows of signs and words by title.
 *
 * @type {Map<string, [string, string][]>}
 */
const legends = new Map();

/**
 * Puts an explanation of signs into the sheet until the function that it answers is called.
 *
 * @param {string} title
 * @param {[string, string][]} rows
 */
function describe(title, rows) {
  legends.set(title, rows);
  return () => legends.delete(title);
}

/** @type {Record<string, string>} */
const WORDS = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

/** @param {string} combo */
function caps(combo) {
  return combo
    .split(" ")
    .flatMap((step, at) => [
      at ? " then " : null,
      ...step.split(/\+(?=.)/).map((part, n) => [n ? "+" : null, h("kbd", {}, WORDS[part] ?? part)]),
    ]);
}

/** The sheet of all that is bound now. */
function help() {
  /** @type {Map<string, Map<string, string[]>>} */
  const scopes = new Map();
  for (const { scope, combo, label, hidden } of bindings) {
    if (hidden) continue;
    if (!scopes.has(scope)) scopes.set(scope, new Map());
    const labels = /** @type {Map<string, string[]>} */ (scopes.get(scope));
    labels.set(label, [...(labels.get(label) ?? []), combo]);
  }
  const body = h("div", { class: "key-sheet" });
  for (const [scope, labels] of scopes) {
    const rows = [...labels].map(([label, combos]) => [
      h(
        "dt",
        {},
        combos.map((combo, at) => [at ? " or " : null, caps(combo)]),
      ),
      h("dd", {}, label),
    ]);
    body.append(h("section", {}, h("h3", {}, scope), h("dl", {}, rows)));
  }
  for (const [title, rows] of legends) {
    const entries = rows.map(([sign, words]) => [h("dt", {}, h("span", { class: "tr-mark" }, sign)), h("dd", {}, words)]);
    body.append(h("section", {}, h("h3", {}, title), h("dl", {}, entries)));
  }
  openDialog({ title: "Keyboard and marks", body, class: "key-dialog" });
}

/**
 * What the reader used last, for the style sheet: rings are drawn for keys.
 *
 * @param {"key" | "pointer"} input
 */
const used = (input) => () => (document.documentElement.dataset.input = input);

document.addEventListener("keydown", used("key"), { capture: true });
document.addEventListener("pointerdown", used("pointer"), { capture: true });
document.addEventListener("keydown", pressed);
bind("Everywhere", "?", "This sheet", help);

export const keys = { bind, unbindScope, describe, help };
