// @ts-check
// Above the list of a search: its spans as dots, over time, in groups, or compared with each other. One of these at a time,
// named in the address as `look`; each takes what a reader chooses in it back into the search.

import { chartPanel } from "../charts/panel.js";
import { get, isAbort } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { link, setState, state as addressState } from "../kit/router.js";
import { failed } from "../kit/state-box.js";
import { operationAddress } from "../operation/address.js";
import { differences } from "./differences.js";
import { groups } from "./groups.js";
import { filterParams, pointParams, pointsAreRoots } from "./query.js";

/** @typedef {import("./query.js").State} State */

const LOOKS = [
  ["dots", "Dots"],
  ["time", "Over time"],
  ["groups", "Group by"],
  ["differences", "What is different"],
];

/**
 * Answers `{node, load(state, hasTraces), dispose}`. `plot` is the node with the dots; `onChange(params)` changes the
 * search.
 *
 * @param {{plot: HTMLElement, onChange: (params: object) => void}} options
 */
export function overview({ plot, onChange }) {
  let asked = new AbortController();
  /** @type {State | null} */
  let state = null;
  const charts = chartPanel({
    path: "/search/series",
    search: () => (state ? filterParams(state) : {}),
    onRange: ({ from, to, min, max }) => {
      const durations = min === null ? {} : { min_duration: min, max_duration: max };
      // Where roots are drawn, what was chosen is of roots.
      const root = min !== null && state && pointsAreRoots(state) ? { root: "true" } : {};
      onChange({ from, to, ...durations, ...root });
    },
  });
  const again = () => state && load(state, true);
  const grouped = groups({ onChange, onBy: again });
  const compared = differences({ onChange, onSelected: again });
  /**
   * @type {Record<string, {node: HTMLElement, load?: (params: Record<string, any>, signal: AbortSignal) => Promise<void>}>}
   */
  const panels = { dots: { node: plot }, time: charts, groups: grouped, differences: compared };
  const problem = h("div", {});
  const buttons = LOOKS.map(([look, label]) =>
    h("button", { type: "button", "aria-pressed": false, dataset: { look }, on: { click: () => turn(look) } }, label),
  );
  const place = h("div", {});
  const together = h("p", { class: "overview-together" });
  const node = h(
    "section",
    { class: "overview", "aria-label": "All spans that were found" },
    h("div", { class: "segments", role: "group", "aria-label": "Shown as" }, buttons),
    together,
    problem,
    place,
  );

  /** @param {string} look */
  function turn(look) {
    setState({ look: look === "dots" ? "" : look }, { replace: true });
    again();
  }

  /** @param {State} next @param {boolean} hasTraces */
  async function load(next, hasTraces) {
    state = next;
    node.hidden = !hasTraces;
    const { from, to } = next;
    clear(
      together,
      link(operationAddress({ ...filterParams(next), from, to }), "Where the time goes in these traces"),
      " · ",
      link(operationAddress({ ...filterParams(next), from, to, view: "findings" }), "Findings in them"),
    );
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const named = addressState().get("look") ?? "";
    const look = named in panels ? named : "dots";
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.look === look));
    clear(problem);
    if (place.firstChild !== panels[look].node) clear(place, panels[look].node);
    if (look === "dots" || !hasTraces) return;
    try {
      const params = await spanParams(next, signal);
      // Reasons stand on the spans where something failed, which are seldom roots.
      await panels[look].load?.(look === "groups" && pointsAreRoots(next) ? { ...params, root: "" } : params, signal);
    } catch (error) {
      if (!isAbort(error)) clear(problem, failed(error, () => load(next, true)));
    }
  }

  return {
    node,
    load,
    dispose() {
      asked.abort();
      charts.dispose();
    },
  };
}

/**
 * The spans that the dots stand for, as parameters. What is drawn over time needs a beginning and an end.
 *
 * @param {State} state
 * @param {AbortSignal} signal
 */
async function spanParams(state, signal) {
  const { limit: _, ...params } = pointParams(state);
  if (state.from !== "all") return params;
  const { usage } = await get("/status", {}, { signal });
  return { ...params, from: usage.oldest ?? "1h" };
}
