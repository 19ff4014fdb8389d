// @ts-check
// What stands where content is not there yet, not there at all, or could not be had.

import { h, icon } from "./dom.js";

/** While waiting. */
export function loading(text = "Loading…") {
  return h(
    "div",
    { class: "state-box loading", role: "status" },
    h("span", { class: "spinner", "aria-hidden": true }),
    text,
  );
}

/**
 * Nothing to show; `more` are nodes or strings beneath.
 *
 * @param {import("./dom.js").Child} title
 * @param {...import("./dom.js").Child} more
 */
export function empty(title, ...more) {
  return h("div", { class: "state-box" }, h("p", { class: "state-title" }, title), more.map(paragraph));
}

/**
 * What failed, in the words of the error; `retry` adds a button.
 *
 * @param {any} error
 * @param {() => void} [retry]
 */
export function failed(error, retry) {
  return h(
    "div",
    { class: "state-box failed", role: "alert" },
    icon("error"),
    h("p", { class: "state-title" }, error?.message || "Something went wrong."),
    error?.parameter ? h("p", {}, "Parameter: ", h("code", {}, error.parameter)) : null,
    retry ? h("button", { type: "button", on: { click: retry } }, "Try again") : null,
  );
}

/** @param {import("./dom.js").Child} part */
function paragraph(part) {
  return part instanceof Node ? part : h("p", {}, part);
}
