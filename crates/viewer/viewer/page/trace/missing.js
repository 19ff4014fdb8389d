// What stands where a trace is not kept, or could not be read.

import { h } from "../kit/dom.js";
import { link } from "../kit/router.js";
import { failed } from "../kit/state-box.js";
import { visibleText } from "../kit/format.js";
import { copyButton } from "./values.js";

/** A trace of which only logs are here. */
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

export function noTrace(id, error, retry) {
  if (error.status !== 404) return failed(error, retry);
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
      link("/search", { class: "button" }, "Search traces"),
    ),
  );
}
