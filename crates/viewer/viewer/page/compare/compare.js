// @ts-check
// Two traces side by side: how much longer one took, what makes the difference, and their trees as one.

import { get, isAbort } from "../kit/api.js";
import { clear, h, icon, quoted } from "../kit/dom.js";
import { count, counted, duration, time, timeExact, visibleText } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { link, navigate, setState, state as addressState } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { compareAddress } from "./choice.js";
import { differenceOf, differing, relative, signed, timeDifference } from "./differences.js";

/** @typedef {import("../kit/api-types").ComparedTraces} Compared */
/** @typedef {import("../kit/api-types").ComparedLine} Line */

const CHANGES = 8;
const AT_ONCE = 300;
const SHOWN = [
  ["all", "Everything"],
  ["differing", "What differs"],
];

/** @type {import("../kit/router.js").View} */
export default function view(root, { query }) {
  const asked = new AbortController();
  const [left, right] = [query.get("left") ?? "", query.get("right") || "typical"];
  const page = h("div", { class: "page compare" });
  root.append(page);
  document.title = "Compare · Waypost";
  const unbind = keys.bind("Compare", "x", "Exchange the sides", () => exchange());
  let exchange = () => {};

  async function load() {
    if (left === "") return void clear(page, h("h1", {}, "Compare"), empty("No trace is named", "Open a trace and press Compare there, or choose two in a search."));
    clear(page, h("h1", {}, "Compare"), loading("Comparing…"));
    try {
      const answer = await get("/compare", { left, right }, { signal: asked.signal });
      exchange = () => navigate(compareAddress(answer.right.trace_id, answer.left.trace_id));
      show(answer);
    } catch (error) {
      if (!isAbort(error)) clear(page, h("h1", {}, "Compare"), failed(error, load), back());
    }
  }

  const back = () => h("p", {}, link(`/trace/${encodeURIComponent(left)}`, "Back to the trace"));

  /** @param {Compared} answer */
  function show(answer) {
    clear(
      page,
      h(
        "div",
        { class: "page-head" },
        h("h1", {}, "Compare"),
        h("button", { type: "button", title: "Exchange the sides (x)", on: { click: () => exchange() } }, icon("compare"), "Exchange"),
      ),
      heads(answer),
      changes(answer),
      tree(answer),
    );
  }

  load();
  return () => {
    asked.abort();
    unbind();
  };
}

/** @param {Compared} answer */
function heads({ left, right, typical }) {
  const by = right.duration - left.duration;
  /** @param {Compared["left"]} trace @param {string} label */
  const card = (trace, label) =>
    h(
      "section",
      { class: "compare-card", "aria-label": label },
      h("h2", {}, label),
      h("p", { class: "compare-name" }, serviceChip(trace.service), link(`/trace/${trace.trace_id}`, quoted(visibleText(trace.name) || "(no name)"))),
      h(
        "p",
        { class: "compare-facts" },
        h("strong", {}, duration(trace.duration)),
        counted(trace.spans, "span"),
        trace.errors ? h("span", { class: "bad" }, counted(trace.errors, "error")) : h("span", {}, "no errors"),
        h("time", { class: "muted", title: timeExact(trace.start) }, time(trace.start, { date: true })),
      ),
    );
  return h(
    "div",
    { class: "compare-heads" },
    card(left, "Left"),
    h(
      "p",
      { class: "compare-by" },
      h("strong", {}, by === 0 ? "as long" : signed(by, duration)),
      h("span", { class: "muted" }, relative(left.duration, right.duration)),
    ),
    h(
      "div",
      {},
      card(right, typical ? "Right: what is typical" : "Right"),
      typical
        ? h(
            "p",
            { class: "muted compare-typical" },
            `Of ${counted(typical.of, "trace")} with this root that were looked at, ${count(typical.same_shape)} did the same things; this one is the nearest to their median, ${duration(typical.median)}.`,
          )
        : null,
    ),
  );
}

/** What of the difference of the roots each service and operation makes. @param {Compared} answer */
function changes({ changes: all, left, right }) {
  const by = Math.abs(right.duration - left.duration);
  const largest = Math.max(1, ...all.map((place) => Math.abs(place.right - place.left)));
  const body = h("tbody", {});
  const more = h("button", { type: "button", class: "textual" });
  /** @param {number} until */
  function showMore(until) {
    const from = body.childElementCount;
    body.append(...all.slice(from, until).map((place) => changeRow(place, largest, by)));
    more.hidden = body.childElementCount >= all.length;
    more.textContent = `Show ${count(all.length - body.childElementCount)} more`;
  }
  more.addEventListener("click", () => showMore(all.length));
  showMore(CHANGES);
  return h(
    "section",
    {},
    h("h2", {}, "What makes the difference"),
    h("p", { class: "muted" }, "Own time of each operation on the two critical paths. The differences add up to that of the roots."),
    h(
      "div",
      { class: "table-box" },
      h(
        "table",
        { class: "table compare-changes" },
        h("thead", {}, h("tr", {}, ["Operation", "Left", "Right", "Difference"].map((label, at) => h("th", { scope: "col", class: at > 0 ? "num" : null }, label)))),
        body,
      ),
    ),
    more,
  );
}

/** @param {Compared["changes"][number]} place @param {number} largest @param {number} by */
function changeRow(place, largest, by) {
  const difference = place.right - place.left;
  const share = by > 0 ? ` (${Math.round((Math.abs(difference) / by) * 100)} %)` : "";
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, serviceChip(place.service), " ", quoted(visibleText(place.operation))),
    h("td", { class: "num", dataset: { label: "left" } }, place.left > 0 ? duration(place.left) : "–"),
    h("td", { class: "num", dataset: { label: "right" } }, place.right > 0 ? duration(place.right) : "–"),
    h("td", { class: "num compare-difference" }, bar(difference, largest), h("span", { title: `of the difference of the roots${share}` }, signed(difference, duration))),
  );
}

/**
 * A bar to the right for longer, to the left for shorter.
 *
 * @param {number} difference
 * @param {number} largest
 */
function bar(difference, largest) {
  const width = `${Math.min(50, (Math.abs(difference) / largest) * 50)}%`;
  return h("span", { class: `compare-bar-track ${difference < 0 ? "is-less" : "is-more"}`, "aria-hidden": true }, h("i", { style: { width } }));
}

/** @param {Compared} answer */
function tree(answer) {
  const { lines, left, right, left_out: leftOut } = answer;
  const longer = Math.max(left.duration, right.duration);
  const largest = Math.max(1, ...lines.map((line) => Math.abs(timeDifference(line))));
  const body = h("tbody", {});
  const more = h("button", { type: "button" });
  const note = h("p", { class: "muted", role: "status" });
  const buttons = SHOWN.map(([value, label]) => h("button", { type: "button", dataset: { value }, on: { click: () => choose(value) } }, label));
  /** @type {number[]} */
  let places = [];

  /** @param {string} value */
  function choose(value) {
    setState({ show: value === "all" ? "" : value }, { replace: true });
    draw();
  }

  function draw() {
    const shown = addressState().get("show") === "differing" ? "differing" : "all";
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === shown));
    places = shown === "all" ? lines.map((_, at) => at) : differing(lines, longer);
    clear(body);
    /** @param {"left" | "right"} side */
    const only = (side) => lines.filter((line) => differenceOf(line, longer) === side).length;
    note.textContent = `${count(lines.length)} lines; only the left has ${count(only("left"))}, only the right ${count(only("right"))}${leftOut ? `; ${count(leftOut)} more are not shown` : ""}.`;
    if (places.length === 0) clear(body, h("tr", {}, h("td", { colspan: 4, class: "muted" }, "Nothing differs but for small times.")));
    showMore();
  }

  function showMore() {
    const from = places.length === 0 ? 0 : body.childElementCount;
    body.append(...places.slice(from, from + AT_ONCE).map((at) => lineRow(answer, lines[at], longer, largest)));
    more.hidden = places.length <= from + AT_ONCE;
    more.textContent = `Show more: ${count(places.length - from - AT_ONCE)} lines are left`;
  }

  more.addEventListener("click", showMore);
  draw();
  return h(
    "section",
    {},
    h("div", { class: "page-head" }, h("h2", {}, "Side by side"), h("div", { class: "segments", role: "group", "aria-label": "Lines" }, buttons), note),
    h(
      "div",
      { class: "table-box" },
      h(
        "table",
        { class: "table compare-tree" },
        h("thead", {}, h("tr", {}, ["Span", "Left", "Right", "Difference"].map((label, at) => h("th", { scope: "col", class: at > 0 ? "num" : null }, label)))),
        body,
      ),
    ),
    more,
  );
}

const WORDS = { left: "only left", right: "only right", count: "another number", time: "", same: "" };

/** @param {Compared} answer @param {Line} line @param {number} longer @param {number} largest */
function lineRow(answer, line, longer, largest) {
  const is = differenceOf(line, longer);
  const difference = timeDifference(line);
  return h(
    "tr",
    { class: `is-${is}` },
    h(
      "th",
      { scope: "row", style: { "--depth": String(Math.min(line.depth, 40)) } },
      h(
        "div",
        { class: "compare-span" },
        serviceChip(line.service),
        h("bdi", { class: "elide", title: visibleText(line.name) }, visibleText(line.name) || "(no name)"),
        WORDS[is] ? h("span", { class: `badge ${is === "count" ? "warn" : ""}` }, WORDS[is]) : null,
      ),
    ),
    sideCell(answer.left.trace_id, line.left, "left"),
    sideCell(answer.right.trace_id, line.right, "right"),
    h(
      "td",
      { class: "num compare-difference" },
      bar(difference, largest),
      h("span", {}, signed(difference, duration)),
      h("span", { class: "muted" }, line.left && line.right ? relative(line.left.time, line.right.time) : ""),
    ),
  );
}

/** @param {string} traceId @param {Line["left"]} side @param {string} label */
function sideCell(traceId, side, label) {
  if (side === null) return h("td", { class: "num muted", dataset: { label } }, "–");
  const words = side.spans > 1 ? `${count(side.spans)} × ` : "";
  return h(
    "td",
    { class: "num", dataset: { label } },
    link(
      `/trace/${traceId}?span=${side.span_ids[0]}`,
      { title: `${counted(side.spans, "span")}, ${duration(side.on_path)} on the critical path` },
      `${words}${duration(side.time)}`,
    ),
    side.errors ? h("span", { class: "bad", title: counted(side.errors, "error") }, " ✕") : null,
  );
}
