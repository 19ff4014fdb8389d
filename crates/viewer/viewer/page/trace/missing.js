// @ts-check
// What stands where a trace is not kept, or could not be read.

import { get } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { link } from "../kit/router.js";
import { failed } from "../kit/state-box.js";
import { counted, visibleText } from "../kit/format.js";
import { logLine } from "../kit/log-record.js";
import { textSearch } from "../search/query.js";
import { copyButton } from "./values.js";

/**
 * A trace of which only logs are here.
 *
 * @param {string} id
 * @param {() => void} retry
 */
export function noSpans(id, retry) {
  return h(
    "div",
    { class: "tr-missing-page" },
    h("h1", {}, "No spans of this trace are kept"),
    h("p", {}, h("code", { class: "tr-id" }, visibleText(id)), copyButton(id, "trace id")),
    h("p", {}, "Something of it is here, logs perhaps, but no span yet."),
    h(
      "p",
      { class: "tr-missing-actions" },
      h("button", { type: "button", class: "primary", on: { click: retry } }, "Look again"),
    ),
  );
}

/** @param {string} id @param {any} error @param {() => void} retry */
export function noTrace(id, error, retry) {
  if (error.status !== 404) return failed(error, retry);
  const logs = h("div", {});
  showLogs(id, logs);
  return h(
    "div",
    { class: "tr-missing-page" },
    h("h1", {}, "This trace is not kept"),
    h("p", {}, h("code", { class: "tr-id" }, visibleText(id)), copyButton(id, "trace id")),
    h("p", {}, "It may be that:"),
    h(
      "ul",
      {},
      h("li", {}, "its spans have not come yet: programs send them some seconds after they end;"),
      h("li", {}, "the program that made it did not sample it, or sends its spans elsewhere;"),
      h(
        "li",
        {},
        "its spans were refused, or evicted to make room: ",
        link("/status", "the status page"),
        " counts both for every service;",
      ),
      h("li", {}, "the id is not whole: a trace id has 32 hexadecimal digits; leading zeros may be left out."),
    ),
    h(
      "p",
      { class: "tr-missing-actions" },
      h("button", { type: "button", class: "primary", on: { click: retry } }, "Look again"),
      link(`/search?${textSearch(id)}`, { class: "button" }, "Search for it as text"),
    ),
    logs,
  );
}

/**
 * Programs may send the log records of a trace and not its spans.
 *
 * @param {string} id
 * @param {Element} into
 */
async function showLogs(id, into) {
  try {
    const { logs, next } = await get(`/traces/${encodeURIComponent(id)}/logs`, { limit: 100 });
    if (!logs.length) return;
    clear(
      into,
      h("h2", {}, `${counted(logs.length, "log record")}${next ? " and more" : ""} of it are here`),
      h(
        "ul",
        { class: "logs" },
        logs.map((log) => logLine(log)),
      ),
    );
  } catch {
    // What is wrong with the trace is said already.
  }
}
