// @ts-check
// All log records of the trace by time, those of no span too; a record leads to its span.

import { get, isAbort } from "../kit/api.js";
import { clear, h, keep } from "../kit/dom.js";
import { counted, duration } from "../kit/format.js";
import { SEVERITIES, logLine, whenOf } from "../kit/log-record.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { nameShown } from "./labels.js";

const AT_ONCE = 500;

/** @param {import("./state.js").State} state @param {import("./trace.js").Actions} actions */
export function logsView(state, actions) {
  const { model } = state;
  const severity = h(
    "select",
    { "aria-label": "Severity", on: { change: () => load() } },
    SEVERITIES.map(([value, label]) => h("option", { value }, label)),
  );
  const list = h("ul", { class: "logs", "aria-label": "Log records of the trace" });
  const foot = h("div", { class: "results-foot" });
  const body = h("div", {});
  const node = h(
    "div",
    { class: "tr-logs", tabindex: 0, role: "region", "aria-label": "Logs of the trace" },
    h("div", { class: "tr-logs-tools" }, severity),
    body,
  );
  let asked = new AbortController();
  let isLoaded = false;
  /** @type {string | null} */
  let next = null;

  async function load() {
    isLoaded = true;
    asked.abort();
    asked = new AbortController();
    clear(list);
    next = null;
    clear(body, loading());
    await more();
  }

  async function more() {
    const { signal } = asked;
    try {
      const page = await get(
        `/traces/${model.traceId}/logs`,
        { severity: severity.value, limit: AT_ONCE, after: next },
        { signal },
      );
      next = page.next;
      list.append(...page.logs.map(row));
      if (list.childElementCount) keep(body, list, foot);
      else clear(body, empty(severity.value ? "No log record as grave as that" : "No log records of this trace"));
      clear(
        foot,
        next ? h("button", { type: "button", on: { click: more } }, "More") : null,
        h("span", { class: "muted" }, `${counted(list.childElementCount, "record")}${next ? "" : ", no more"}.`),
      );
    } catch (error) {
      if (!isAbort(error)) clear(body, failed(error, load));
    }
  }

  /** @param {import("../kit/api-types").LogDetails} log */
  function row(log) {
    const after = Number(BigInt(whenOf(log)) - model.startTime);
    const when = after < 0 ? `−${duration(-after)}` : `+${duration(after)}`;
    const at = log.span_id === null ? -1 : model.rowOf(log.span_id);
    const more =
      at < 0
        ? h("span", { class: "muted log-trace" }, "no span")
        : h(
            "button",
            { type: "button", class: "textual log-trace elide", on: { click: () => actions.show(at) } },
            nameShown(model, at),
          );
    return logLine(log, { when, more });
  }

  return {
    node,
    grid: node,
    shown() {
      if (!isLoaded) load();
    },
    dispose() {
      asked.abort();
    },
  };
}
