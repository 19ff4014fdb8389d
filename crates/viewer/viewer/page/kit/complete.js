// @ts-check
// Completion of a text field: an ARIA combobox with a list beneath. What is typed stays what was typed unless a
// suggestion is picked.

import { all, clear, h } from "./dom.js";
import { isAbort } from "./api.js";
import { visibleText } from "./format.js";

const WAIT_MS = 90;
let lists = 0;

/**
 * Makes `input` complete from `source(part, signal)`, which answers a promise of `{names: [string | {name, hint}],
 * is_partial}`. A pick sets the value and fires a bubbling "change". Answers the node that holds both.
 *
 * `isStrict`: only a name is a value. Enter takes the name that is typed, else the first that fits; what fits none stays.
 * `put(entry)` does something else with a pick than to make it the value, and answers whether there is more to suggest.
 *
 * @typedef {{name: string, hint?: string, [more: string]: any}} Entry
 * @param {HTMLInputElement} input
 * @param {(part: string, signal: AbortSignal) => Promise<{names: (string | Entry)[], is_partial: boolean}>} source
 * @param {{isStrict?: boolean, put?: (entry: Entry) => boolean}} [options]
 */
export function completing(input, source, { isStrict = false, put } = {}) {
  const list = h("ul", { class: "completions", role: "listbox", id: `completions-${(lists += 1)}`, hidden: true });
  list.setAttribute("aria-label", "Suggestions");
  const box = h("div", { class: "completing" }, input, list);
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
    autocomplete: "off",
    spellcheck: "false",
  })) {
    input.setAttribute(name, value);
  }
  /** @type {AbortController | null} */
  let asked = null;
  let timer = 0;
  let active = -1;

  const options = () => all(list, "[role=option]");

  function close() {
    clearTimeout(timer);
    asked?.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  /** @param {number} at */
  function activate(at) {
    const all = options();
    if (!all.length) return;
    active = (at + all.length) % all.length;
    all.forEach((option, n) => option.setAttribute("aria-selected", String(n === active)));
    all[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", all[active].id);
  }

  /** @param {string} value */
  function pick(value) {
    input.value = value;
    close();
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** @param {Entry} entry */
  function take(entry) {
    if (!put) return pick(entry.name);
    close();
    if (put(entry)) ask(0);
  }

  /** @param {{names?: (string | Entry)[], is_partial?: boolean}} answer */
  function show({ names = [], is_partial: isPartial = false }) {
    clear(
      list,
      names.map((entry, at) => {
        /** @type {Entry} */
        const whole = typeof entry === "string" ? { name: entry } : entry;
        const { name, hint } = whole;
        const option = h(
          "li",
          { role: "option", id: `${list.id}-${at}`, "aria-selected": "false", title: visibleText(name) },
          h("bdi", {}, visibleText(name)),
          hint ? h("span", { class: "hint" }, hint) : null,
        );
        option.addEventListener("mousedown", (event) => event.preventDefault());
        option.addEventListener("click", () => take(whole));
        return option;
      }),
      isPartial && names.length ? h("li", { class: "rest", role: "presentation" }, "more exist: type on") : null,
    );
    active = -1;
    list.hidden = names.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    input.removeAttribute("aria-activedescendant");
  }

  /** @param {number} wait */
  function ask(wait) {
    clearTimeout(timer);
    asked?.abort();
    const call = (asked = new AbortController());
    timer = setTimeout(async () => {
      try {
        const typed = input.value;
        const answer = await source(typed, call.signal);
        if (call.signal.aborted || document.activeElement !== input) return;
        show(answer);
        // What the suggestions are for: those of what was typed before may stand until they come.
        list.dataset.of = typed;
      } catch (error) {
        // Without suggestions the field is still a field; what is wrong is said by the search itself.
        if (!isAbort(error)) close();
      }
    }, wait);
  }

  /** The suggestions may not be here yet. */
  async function takeFirst() {
    const typed = input.value.trim();
    clearTimeout(timer);
    asked?.abort();
    const call = (asked = new AbortController());
    try {
      const answer = await source(typed, call.signal);
      const names = answer.names.map((entry) => (typeof entry === "string" ? entry : entry.name));
      pick(names.includes(typed) ? typed : (names[0] ?? typed));
    } catch (error) {
      if (!isAbort(error)) pick(typed);
    }
  }

  input.addEventListener("input", () => ask(WAIT_MS));
  input.addEventListener("blur", close);
  input.addEventListener("click", () => list.hidden && ask(0));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) ask(0);
      else activate(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
    } else if (event.key === "Enter" && !list.hidden && active >= 0) {
      event.preventDefault();
      options()[active].click();
    } else if (event.key === "Enter" && isStrict && input.value.trim()) {
      event.preventDefault();
      takeFirst();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Enter") {
      close();
    }
  });
  return box;
}
