// @ts-check
// Live tail: spans as they come, the newest on top, at most 500. What the reader was too slow for is counted.

import { stream } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";
import { count, counted, duration, time, timeExact, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";

const MOST = 500;
const DRAW_MS = 150;

/** Answers `{node, start(params), togglePause, dispose}`. */
export function liveTail() {
  /** @type {{close: () => void} | null} */
  let source = null;
  /** @type {import("../kit/api-types").TailSpan[]} */
  let waiting = [];
  let timer = 0;
  let isPaused = false;
  let seen = 0;
  let missed = 0;
  let cut = 0;
  const body = h("tbody", {});
  const state = h("span", { class: "muted", role: "status" });
  const pause = h("button", { type: "button", "aria-pressed": false, on: { click: togglePause } });
  const emptying = h("button", { type: "button", on: { click: empty } }, "Empty the list");
  const head = ["Start", "Service", "Span", "Duration", "Status"].map((label) =>
    h("th", { scope: "col", class: label === "Duration" ? "num" : "" }, label),
  );
  const node = h(
    "section",
    { class: "tail", "aria-label": "Live spans" },
    h("div", { class: "tail-bar" }, pause, emptying, state),
    h(
      "div",
      { class: "table-box tail-box" },
      h("table", { class: "table", "aria-label": "Live spans" }, h("thead", {}, h("tr", {}, head)), body),
    ),
  );

  /** @param {import("../kit/api-types").TailSpan} span */
  function take(span) {
    waiting.push(span);
    // While paused, or while the tab is hidden and nothing is drawn, only what would be shown is kept.
    if (waiting.length > MOST) {
      waiting.shift();
      cut += 1;
    }
    timer ||= setTimeout(draw, DRAW_MS);
  }

  function draw() {
    timer = 0;
    if (!isPaused && waiting.length) {
      seen += waiting.length + cut;
      cut = 0;
      body.prepend(...waiting.reverse().map(row));
      waiting = [];
      while (body.rows.length > MOST) body.rows[body.rows.length - 1].remove();
    }
    tell();
  }

  /** @param {string} [text] */
  function tell(text) {
    const parts = [
      isPaused ? `paused, ${count(waiting.length + cut)} more came` : "live",
      `${counted(seen, "span")} seen`,
    ];
    if (missed) parts.push(`${count(missed)} missed: they came faster than this page could read`);
    if (body.rows.length >= MOST) parts.push(`the newest ${count(MOST)} are shown`);
    const words = text ?? parts.join("; ");
    if (state.textContent !== words) state.textContent = words;
  }

  function togglePause() {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    showPause();
    draw();
  }

  function showPause() {
    clear(pause, icon(isPaused ? "play" : "pause"), isPaused ? "Go on" : "Pause");
  }

  function empty() {
    clear(body);
    waiting = [];
    seen = missed = cut = 0;
    tell();
  }

  showPause();
  return {
    node,
    togglePause,
    /** @param {object} params */
    start(params) {
      source?.close();
      empty();
      tell("connecting…");
      source = stream("/tail", params, {
        open: () => tell(),
        span: take,
        missed: ({ spans }) => {
          missed += spans;
          tell();
        },
        error: (gaveUp) =>
          tell(
            gaveUp ? "The viewer refused this tail: is every condition right?" : "The connection broke; trying again…",
          ),
      });
    },
    dispose() {
      source?.close();
      clearTimeout(timer);
    },
  };
}

/** @param {import("../kit/api-types").TailSpan} span */
function row(span) {
  const name = visibleText(span.name) || "(no name)";
  return h(
    "tr",
    { class: span.status === "error" ? "failed-row" : "" },
    h("td", { class: "start" }, h("time", { title: timeExact(span.start) }, time(span.start))),
    h("td", {}, serviceChip(span.service)),
    h(
      "td",
      { class: "tail-name" },
      h(
        "div",
        {},
        link(`/trace/${span.trace_id}?span=${span.span_id}`, { class: "elide", title: name }, h("bdi", {}, name)),
        h("span", { class: "muted tail-kind" }, span.is_root ? `${span.kind}, root` : span.kind),
      ),
    ),
    h("td", { class: "num" }, duration(span.duration)),
    h(
      "td",
      {},
      span.status === "error" ? h("span", { class: "badge bad" }, "error") : h("span", { class: "muted" }, span.status),
    ),
  );
}
