// @ts-check
// Search within the trace: the store looks through names, attributes, events and logs; the page marks what it found.

import { announce } from "../kit/announce.js";
import { get, isAbort, messageOf } from "../kit/api.js";
import { h, icon } from "../kit/dom.js";
import { count } from "../kit/format.js";
import { filterOf } from "./search-query.js";

const REST_MS = 250;

/**
 * Answers `{node, input, next(step), clear, dispose}`.
 *
 * @param {import("./state.js").State} state
 */
export function searchBox(state) {
  const { model } = state;
  const input = h("input", {
    type: "search",
    value: state.text,
    placeholder: "Find in this trace: text or key=value (/)",
    "aria-label": "Find in this trace",
    autocomplete: "off",
    spellcheck: "false",
    title: "Text within names and values, or conditions: key, key=value, key~part, key>=5, status=error",
  });
  const status = h("span", { class: "tr-search-status", role: "status" });
  /** @param {string} label @param {string} name @param {() => void} run */
  const button = (label, name, run) =>
    h("button", { type: "button", class: "quiet", "aria-label": label, title: label, on: { click: run } }, icon(name));
  const previous = button("Previous hit (N)", "chevron-up", () => next(-1));
  const following = button("Next hit (n)", "chevron-down", () => next(1));
  const only = h(
    "button",
    {
      type: "button",
      class: "quiet",
      title: "Show only hits and what they are in",
      on: { click: () => state.setOnlyHits(!state.isOnlyHits) },
    },
    icon("filter"),
    "Only hits",
  );
  const node = h("div", { class: "tr-search", role: "search" }, input, status, previous, following, only);
  /** @type {AbortController | null} */
  let fetching = null;
  let resting = 0;
  let isPartial = false;

  function typed() {
    clearTimeout(resting);
    resting = setTimeout(run, REST_MS);
  }

  async function run() {
    clearTimeout(resting);
    fetching?.abort();
    state.text = input.value.trim();
    const filter = filterOf(state.text);
    if (filter === null) return state.setHits(null);
    fetching = new AbortController();
    status.textContent = "…";
    try {
      const answer = await get(`/traces/${model.traceId}/matches`, filter, { signal: fetching.signal });
      isPartial = answer.is_partial;
      const rows = answer.span_ids
        .map((id) => model.rowOf(id))
        .filter((row) => row >= 0)
        .sort((one, other) => one - other);
      state.setHits(rows);
      announce(rows.length === 0 ? "No span fits" : `${count(rows.length)} spans fit`);
    } catch (error) {
      if (isAbort(error)) return;
      state.setHits([]);
      status.textContent = messageOf(error);
      input.setAttribute("aria-invalid", "true");
    }
  }

  /**
   * Goes to the next hit; false without hits.
   *
   * @param {number} step
   */
  function next(step) {
    return Boolean(state.hits?.length) && state.goToNext((row) => state.isHit(row), step);
  }

  function draw() {
    const hits = state.hits;
    input.removeAttribute("aria-invalid");
    for (const control of [previous, following, only]) control.hidden = hits === null || hits.length === 0;
    only.setAttribute("aria-pressed", String(state.isOnlyHits));
    if (hits === null) status.textContent = "";
    else if (hits.length === 0) status.textContent = "nothing found";
    else {
      const at = hits.indexOf(state.cursor);
      const place = at >= 0 ? `${count(at + 1)} of ` : "";
      status.textContent = `${place}${count(hits.length)}${isPartial ? " (the first)" : ""}`;
    }
  }

  function clear() {
    input.value = "";
    run();
  }

  input.addEventListener("input", typed);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (input.value.trim() !== state.text) run().then(() => next(1));
      else next(event.shiftKey ? -1 : 1);
    }
  });
  const unsubscribe = state.subscribe((what) => {
    if (what === "hits" || what === "cursor" || what === "rows") draw();
  });
  draw();
  if (state.text !== "") run();
  return {
    node,
    input,
    next,
    clear,
    dispose() {
      unsubscribe();
      clearTimeout(resting);
      fetching?.abort();
    },
  };
}
