// @ts-check
// What the traces of a search, or of an operation, have in common. The address has the filters of the search, and of the page's own:
// `view`, `traces` (how many are looked at), `from_match` (each from the span on that was searched for) and `by`.

import { get, isAbort } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { count, counted, duration, visibleText } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { link, setState, state as addressState } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { filterParams, read } from "../search/query.js";
import { flameView } from "./flame.js";
import { edgesView, findingsView, placesView } from "./parts.js";

/** @typedef {import("../kit/api-types").CommonOfTraces} Common */

/** @type {[string, string, string, (answer: Common) => HTMLElement][]} */
const VIEWS = [
  ["", "Where the time goes", "1", placesView],
  ["flame", "Merged tree", "2", flameView],
  ["calls", "Calls", "3", edgesView],
  ["findings", "Findings", "4", findingsView],
];
const SIZES = ["20", "100", "500"];
const USUAL_SIZE = "100";

/** @type {import("../kit/router.js").View} */
export default function view(root) {
  let asked = new AbortController();
  /** @type {Common | null} */
  let answer = null;
  const facts = h("p", { class: "op-facts", role: "status" });
  const content = h("div", {});
  const tabs = VIEWS.map(([name, label, key]) =>
    h("button", { type: "button", dataset: { view: name }, title: `${label} (${key})`, on: { click: () => turn(name) } }, label),
  );
  const size = h(
    "select",
    { "aria-label": "Traces to look at", on: { change: () => ask({ traces: size.value === USUAL_SIZE ? "" : size.value }) } },
    SIZES.map((value) => h("option", { value }, `${value} traces`)),
  );
  const fromMatch = h("input", { type: "checkbox", on: { change: () => ask({ from_match: fromMatch.checked ? "true" : "" }) } });
  const title = h("h1", {});
  const back = h("span", {});
  root.append(
    h(
      "div",
      { class: "page operation" },
      h("div", { class: "page-head" }, title, back, h("div", { class: "spread op-tools" }, h("label", { class: "op-check" }, fromMatch, "only below the span that was searched for"), size)),
      facts,
      h("div", { class: "segments", role: "group", "aria-label": "Shown as" }, tabs),
      content,
    ),
  );
  document.title = "Many traces · Waypost";
  const unbind = [
    ...VIEWS.map(([name, label, key]) => keys.bind("Many traces", key, label, () => turn(name))),
    keys.bind("Many traces", "r", "Load again", () => load()),
  ];

  /** @param {Record<string, string>} params */
  function ask(params) {
    setState(params);
    load();
  }

  /** @param {string} name */
  function turn(name) {
    setState({ view: name }, { replace: true });
    draw();
  }

  async function load() {
    asked.abort();
    asked = new AbortController();
    const query = addressState();
    const search = read(query);
    const params = {
      ...filterParams(search),
      ...(search.from === "all" ? { to: search.to } : { from: search.from, to: search.to }),
      traces: query.get("traces") ?? "",
      from_match: query.get("from_match") ?? "",
    };
    size.value = SIZES.includes(params.traces) ? params.traces : USUAL_SIZE;
    fromMatch.checked = params.from_match === "true";
    head(search, query);
    answer = null;
    clear(content, loading("Looking through the traces…"));
    try {
      answer = await get("/aggregate", params, { signal: asked.signal });
      draw();
    } catch (error) {
      if (!isAbort(error)) clear(content, failed(error, load));
    }
  }

  /** @param {ReturnType<typeof read>} search @param {URLSearchParams} query */
  function head(search, query) {
    const { service, operation } = search.span;
    const words = operation ? visibleText(operation) : service ? null : "Traces of the search";
    clear(title, service ? serviceChip(service) : null, " ", words ? h("bdi", {}, words) : null);
    const without = new URLSearchParams(query);
    for (const own of ["view", "traces", "from_match", "by"]) without.delete(own);
    clear(back, link(`/search?${without}`, "The traces one by one"));
  }

  function draw() {
    const shown = VIEWS.find(([name]) => name === (addressState().get("view") ?? "")) ?? VIEWS[0];
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.view === shown[0]));
    if (answer === null) return;
    const found = answer;
    tabs[3].textContent = `Findings (${count(found.findings.length)})`;
    clear(facts, factsOf(found));
    if (found.traces === 0)
      clear(content, empty("No traces meet these conditions", h("p", {}, link("/search", "Search for others"))));
    else clear(content, shown[3](found));
  }

  load();
  return {
    update() {
      load();
    },
    dispose() {
      asked.abort();
      unbind.forEach((end) => end());
    },
  };
}

/** @param {Common} answer */
function factsOf({ traces, matching, is_partial: isPartial, p50, p95 }) {
  const of = `${isPartial ? "at least " : ""}${counted(matching, "trace")}`;
  return [
    h("strong", {}, traces === matching && !isPartial ? `all ${counted(traces, "trace")}` : `${count(traces)} of ${of}, chosen evenly`),
    ` · p50 ${duration(p50)} · p95 ${duration(p95)}`,
  ];
}
