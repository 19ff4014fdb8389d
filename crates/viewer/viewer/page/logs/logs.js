// @ts-check
// Log records by service, severity and text, the newest first; those without a trace too. The address is the state.

import { announce } from "../kit/announce.js";
import { get, isAbort, messageOf, refusalOf } from "../kit/api.js";
import { completing } from "../kit/complete.js";
import { clear, h, icon, keep } from "../kit/dom.js";
import { counted, time } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { SEVERITIES, logLine } from "../kit/log-record.js";
import { link, setState, state as addressState } from "../kit/router.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { timeRange } from "../search/time-range.js";

const SCOPE = "Logs";
const USUAL = "1h";
const AT_ONCE = 100;

/**
 * What the address asks for.
 *
 * @param {URLSearchParams} query
 */
function read(query) {
  /** @param {string} name */
  const text = (name) => query.get(name) ?? "";
  const from = text("from") || USUAL;
  return { service: text("service"), severity: text("severity"), text: text("text"), from, to: text("to") };
}

/** @param {ReturnType<typeof read>} state */
function paramsOf({ from, ...rest }) {
  return { ...rest, from: from === "all" ? "" : from, limit: AT_ONCE };
}

/** @type {import("../kit/router.js").View} */
export default function view(root, { query }) {
  let state = read(query);
  let asked = new AbortController();
  /** @type {import("../kit/api-types").LogPage | null} */
  let last = null;

  const service = h("input", { type: "text", name: "service", placeholder: "any", "aria-label": "Service" });
  const severity = h(
    "select",
    { name: "severity", "aria-label": "Severity" },
    SEVERITIES.map(([value, label]) => h("option", { value }, label)),
  );
  const text = h("input", {
    type: "search",
    name: "text",
    placeholder: "text in bodies, events, keys and values",
    "aria-label": "Text",
    autocomplete: "off",
    spellcheck: "false",
  });
  const serviceBox = completing(
    service,
    async (part, signal) => get("/names/services", { part, limit: 20 }, { signal }),
    { isStrict: true },
  );
  const form = h(
    "form",
    { class: "log-filter", "aria-label": "Conditions", novalidate: true },
    h("label", {}, "Service", serviceBox),
    severity,
    text,
    h("button", { type: "submit", class: "primary" }, icon("search"), "Search"),
  );
  const range = timeRange({
    onChange: ({ from, to }) => change({ from: from === USUAL && !to ? "" : from, to }),
    onRefresh: () => load(),
  });
  const list = h("ul", { class: "logs", "aria-label": "Log records" });
  const foot = h("div", { class: "results-foot" });
  const results = h("div", {});
  root.append(
    h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", {}, "Logs"), range.node), form, results),
  );
  document.title = "Logs · Waypost";

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  form.addEventListener("change", apply);

  function apply() {
    change({ service: service.value.trim(), severity: severity.value, text: text.value.trim() });
  }

  /** @param {Record<string, string>} params */
  function change(params) {
    const before = location.search;
    setState(params);
    state = read(addressState());
    if (location.search !== before) load();
  }

  function showForm() {
    service.value = state.service;
    severity.value = state.severity;
    text.value = state.text;
    range.set(state);
  }

  async function load() {
    asked.abort();
    asked = new AbortController();
    showForm();
    const { signal } = asked;
    const slow = setTimeout(() => clear(results, loading("Searching…")), 200);
    try {
      last = await get("/logs", paramsOf(state), { signal });
      clearTimeout(slow);
      show();
    } catch (error) {
      clearTimeout(slow);
      if (isAbort(error)) return;
      range.showError(refusalOf(error));
      clear(results, failed(error, load));
    }
  }

  function show() {
    clear(list, last?.logs.map(row));
    if (last?.logs.length) keep(results, list, foot);
    else clear(results, nothing(), foot);
    drawFoot();
    announce(counted(last?.logs.length ?? 0, "log record"));
  }

  /** @param {import("../kit/api-types").LogDetails} log */
  function row(log) {
    const { trace_id: trace, span_id: span } = log;
    const address = span ? `/trace/${trace}?span=${span}` : `/trace/${trace}?view=logs`;
    const more = trace
      ? link(address, { class: "log-trace", title: "The trace during which it was written" }, "trace")
      : h("span", { class: "muted log-trace", title: "It names no trace" }, "no trace");
    return logLine(log, { more });
  }

  function nothing() {
    const widen = h("button", { type: "button", on: { click: () => change({ from: "all", to: "" }) } }, "Search all that is kept");
    return empty("No log record meets these conditions", state.from === "all" ? null : widen);
  }

  /** @param {unknown} [error] */
  function drawFoot(error) {
    const scanned = last?.scanned_to;
    clear(
      foot,
      error ? h("p", { class: "field-error", role: "alert" }, messageOf(error)) : null,
      last?.next ? h("button", { type: "button", on: { click: more } }, scanned ? "Go on searching" : "More") : null,
      h(
        "span",
        { class: "muted" },
        `${counted(list.childElementCount, "record")}${last?.next ? "" : ", no more"}.`,
        scanned ? ` Searched back to ${time(scanned, { date: true })}; what is older was not looked at yet.` : null,
      ),
    );
  }

  async function more() {
    const before = last;
    if (!before?.next) return;
    try {
      const page = await get("/logs", { ...paramsOf(state), after: before.next }, { signal: asked.signal });
      if (last !== before) return;
      last = page;
      list.append(...page.logs.map(row));
      keep(results, list, foot);
      drawFoot();
    } catch (error) {
      if (!isAbort(error) && last === before) drawFoot(error);
    }
  }

  const bound = [
    keys.bind(SCOPE, "/", "Text to search for", () => text.focus()),
    keys.bind(SCOPE, "n", "More records", more),
    keys.bind(SCOPE, "r", "Search again", load),
  ];
  load();
  return {
    /** @param {URLSearchParams} next */
    update(next) {
      state = read(next);
      load();
    },
    dispose() {
      asked.abort();
      bound.forEach((unbind) => unbind());
    },
  };
}
