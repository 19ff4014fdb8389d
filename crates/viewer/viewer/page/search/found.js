// Pages of results: the table, what was and was not looked at, and how to go on.

import { announce } from "../kit/announce.js";
import { get, isAbort } from "../kit/api.js";
import { clear, h, keep } from "../kit/dom.js";
import { counted, time } from "../kit/format.js";
import { setState } from "../kit/router.js";
import { empty } from "../kit/state-box.js";
import { PAGE_SIZE, hasFilters, searchParams } from "./query.js";
import { resultTable } from "./results.js";

const MOST_A_PAGE = 200;

/** Answers `{node, load(state, signal), show(answer, state), more(), move(step)}`. */
export function foundList({ onOrder, onWiden, onClear }) {
  const table = resultTable({ onOrder });
  const foot = h("div", { class: "results-foot" });
  const node = h("div", {});
  let state = null;
  let signal = null;
  let answer = null;
  let isBusy = false;

  /** As many rows as the address says, in as few requests as that takes. */
  async function load(wanted, abort) {
    signal = abort;
    let all = { traces: [], next: null, scanned_to: null };
    do {
      const limit = Math.min(MOST_A_PAGE, wanted.show - all.traces.length);
      const page = await get("/search", { ...searchParams(wanted), limit, after: all.next }, { signal });
      all = { ...page, traces: [...all.traces, ...page.traces] };
    } while (all.next && !all.scanned_to && all.traces.length < wanted.show);
    return all;
  }

  function show(found, wanted) {
    [answer, state] = [found, wanted];
    isBusy = false;
    if (found.traces.length) {
      table.show(found.traces, wanted.order, hasFilters(wanted));
      keep(node, table.node, foot);
    } else clear(node, nothing(), foot);
    drawFoot();
  }

  function nothing() {
    const buttons = h(
      "div",
      { class: "state-actions" },
      state.from === "all" ? null : h("button", { type: "button", on: { click: onWiden } }, "Search all that is kept"),
      hasFilters(state) ? h("button", { type: "button", on: { click: onClear } }, "Clear the conditions") : null,
    );
    const title = hasFilters(state) ? "No trace meets these conditions" : "No traces in this time";
    return empty(answer.scanned_to ? `${title} so far` : title, buttons);
  }

  function drawFoot(error) {
    const { next, scanned_to: scanned } = answer;
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
      error ? h("p", { class: "field-error", role: "alert" }, error.message) : null,
      next
        ? h("button", { type: "button", disabled: isBusy, on: { click: more } }, isBusy ? "Searching…" : label)
        : null,
      h("span", { class: "muted" }, words.join(" ")),
    );
  }

  async function more() {
    if (!answer?.next || isBusy) return;
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

  return { node, load, show, more, move: table.move };
}
