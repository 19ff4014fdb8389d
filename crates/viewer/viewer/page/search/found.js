// @ts-check
// Pages of results: the table, what was and was not looked at, and how to go on.

import { announce } from "../kit/announce.js";
import { get, isAbort, messageOf } from "../kit/api.js";
import { clear, h, keep } from "../kit/dom.js";
import { counted, time, visibleText } from "../kit/format.js";
import { setState } from "../kit/router.js";
import { empty } from "../kit/state-box.js";
import { nearest } from "./nearest.js";
import { PAGE_SIZE, anySpanParams, hasFilters, listsRoots, searchParams } from "./query.js";
import { resultTable } from "./results.js";

/** @typedef {import("./query.js").State} State */
/** @typedef {import("../kit/api-types").SearchPage} SearchPage */

const MOST_A_PAGE = 200;

/**
 * Answers `{node, load(state, signal), show(answer, state), more(), move(step), hasRootless()}`.
 *
 * @param {{onOrder: (order: string) => void, onWiden: () => void, onClear: () => void, onService: (service: string) => void}} options
 */
export function foundList({ onOrder, onWiden, onClear, onService }) {
  const table = resultTable({ onOrder });
  const others = resultTable({ onOrder });
  const othersTitle = h("summary", {});
  const othersBox = h("details", { class: "rootless" }, othersTitle, others.node);
  /** @type {import("../kit/api-types").FoundTrace[]} */
  let rootless = [];
  const foot = h("div", { class: "results-foot" });
  const node = h("div", {});
  /** @type {State | null} */
  let state = null;
  /** @type {AbortSignal | undefined} */
  let signal;
  /** @type {SearchPage | null} */
  let answer = null;
  let isBusy = false;

  /**
   * As many rows as the address says, in as few requests as that takes.
   *
   * @param {State} wanted
   * @param {AbortSignal} abort
   */
  async function load(wanted, abort) {
    signal = abort;
    /** @type {SearchPage} */
    let all = { traces: [], next: null, scanned_to: null };
    do {
      const limit = Math.min(MOST_A_PAGE, wanted.show - all.traces.length);
      const page = await get("/search", { ...searchParams(wanted), limit, after: all.next }, { signal });
      all = { ...page, traces: [...all.traces, ...page.traces] };
    } while (all.next && !all.scanned_to && all.traces.length < wanted.show);
    rootless = listsRoots(wanted) ? await withoutRoot(wanted) : [];
    return all;
  }

  /**
   * Of the first traces by any of their spans, those whose root is not here (yet): the list of roots has them not.
   *
   * @param {State} wanted
   */
  async function withoutRoot(wanted) {
    const page = await get("/search", { ...anySpanParams(wanted), limit: PAGE_SIZE }, { signal });
    return page.traces.filter(({ root }) => !root.is_root);
  }

  /** @param {SearchPage} found @param {State} wanted */
  function show(found, wanted) {
    [answer, state] = [found, wanted];
    isBusy = false;
    if (rootless.length) {
      clear(othersTitle, `${counted(rootless.length, "trace")} without a root span: it has not come yet, or was not sent here`);
      othersBox.open = found.traces.length === 0;
      others.show(rootless, wanted, false);
    }
    const above = rootless.length ? [othersBox] : [];
    if (found.traces.length) {
      table.show(found.traces, wanted, !listsRoots(wanted));
      keep(node, ...above, table.node, foot);
    } else if (rootless.length) keep(node, ...above, foot);
    else clear(node, nothing(found, wanted), foot);
    drawFoot();
  }

  /** @param {SearchPage} answer @param {State} state */
  function nothing(answer, state) {
    const buttons = h(
      "div",
      { class: "state-actions" },
      state.from === "all" ? null : h("button", { type: "button", on: { click: onWiden } }, "Search all that is kept"),
      hasFilters(state) ? h("button", { type: "button", on: { click: onClear } }, "Clear the conditions") : null,
    );
    const title = hasFilters(state) ? "No trace meets these conditions" : "No traces in this time";
    const unknown = h("div", {});
    if (state.span.service) suggestServices(state.span.service, unknown);
    return empty(answer.scanned_to ? `${title} so far` : title, unknown, buttons);
  }

  /**
   * Says that there is no such service, if so, and which there are that are alike.
   *
   * @param {string} name
   * @param {Element} into
   */
  async function suggestServices(name, into) {
    try {
      const { names } = await get("/names/services", {}, { signal });
      if (names.includes(name)) return;
      const near = nearest(name, names);
      clear(
        into,
        h("p", {}, "No service is called ", h("strong", {}, visibleText(name)), near.length ? ". Is it one of these?" : "."),
        h(
          "div",
          { class: "chips" },
          near.map((one) => h("button", { type: "button", class: "chip", on: { click: () => onService(one) } }, visibleText(one))),
        ),
      );
    } catch {
      // It is only a hint.
    }
  }

  /** @param {unknown} [error] */
  function drawFoot(error) {
    if (!answer || !state) return;
    const { next, scanned_to: scanned } = answer;
    /** @type {string[]} */
    const words = [];
    if (table.length && answer.traces.length)
      words.push(`${counted(table.length, "trace")}${next ? "" : ", no more"}.`);
    if (scanned)
      words.push(
        `${state.order === "oldest" ? "Searched up to" : "Searched back to"} ${time(scanned, { date: true })}; what is ${state.order === "oldest" ? "later" : "older"} was not looked at yet.`,
      );
    const label = scanned ? "Go on searching" : "More";
    clear(
      foot,
      error ? h("p", { class: "field-error", role: "alert" }, messageOf(error)) : null,
      next
        ? h("button", { type: "button", disabled: isBusy, on: { click: more } }, isBusy ? "Searching…" : label)
        : null,
      h("span", { class: "muted" }, words.join(" ")),
    );
  }

  async function more() {
    if (!answer?.next || !state || isBusy) return;
    isBusy = true;
    drawFoot();
    const before = answer;
    try {
      const page = await get("/search", { ...searchParams(state), limit: PAGE_SIZE, after: answer.next }, { signal });
      // Meanwhile something else may have been searched.
      if (answer !== before) return;
      isBusy = false;
      const isFirst = answer.traces.length === 0;
      answer = { ...page, traces: [...answer.traces, ...page.traces] };
      setState({ show: answer.traces.length > PAGE_SIZE ? answer.traces.length : "" }, { replace: true });
      if (isFirst) show(answer, state);
      else {
        if (page.traces.length) table.append(page.traces);
        drawFoot();
        if (!page.traces.length) foot.querySelector("button")?.focus();
      }
      announce(counted(page.traces.length, "more trace"));
    } catch (error) {
      if (answer !== before) return;
      isBusy = false;
      if (!isAbort(error)) drawFoot(error);
    }
  }

  return { node, load, show, more, move: table.move, hasRootless: () => rootless.length > 0 };
}
