// @ts-check
// The traces that were found: a table in which every row leads to its trace, and the pages after the first.

import { chooseButton } from "../compare/choice.js";
import { all, clear, h, icon, within } from "../kit/dom.js";
import { count, counted, duration, time, timeExact, toMillis, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { RESULT_KEYS, resultOf } from "./result.js";

/** Services with errors that are named in a row. */
const MAX_FAILED = 2;
/** As long as this after its end a trace may still be incomplete only because its spans are on their way. */
const ARRIVING_MS = 10_000;
/** @type {Record<string, string>} */
const TURNS = { newest: "oldest", oldest: "newest", longest: "shortest", shortest: "longest" };
/** @type {Record<string, [string, string]>} */
const SORTED = {
  newest: ["start", "descending"],
  oldest: ["start", "ascending"],
  longest: ["duration", "descending"],
  shortest: ["duration", "ascending"],
};

/**
 * Answers `{node, show(traces, state, hasFilters), append(traces), move(step)}`; `onOrder(order)` when a header is pressed.
 *
 * @param {{onOrder: (order: string) => void}} options
 */
export function resultTable({ onOrder }) {
  /** @type {FoundTrace[]} */
  let traces = [];
  let order = "newest";
  let isFiltered = false;
  /** @type {string[]} */
  let columns = [];
  const body = h("tbody", { role: "rowgroup" });
  const headers = {
    start: sortable("Start", "start", "newest"),
    duration: sortable("Duration", "duration", "longest"),
  };
  /** @param {string} label @param {string} [name] */
  const plain = (label, name = "") => h("th", { role: "columnheader", scope: "col", class: name }, label);
  const head = h("tr", { role: "row" });
  const table = h(
    "table",
    { class: "table results", role: "table", "aria-label": "Traces" },
    h("thead", { role: "rowgroup" }, head),
    body,
  );

  function drawHead() {
    clear(
      head,
      headers.start,
      plain("Trace", "trace"),
      plain("Status", "result"),
      headers.duration,
      plain("Spans", "num"),
      plain("Errors", "num"),
      columns.map((name) => h("th", { role: "columnheader", scope: "col", class: "attribute elide", title: visibleText(name) }, h("bdi", {}, visibleText(name)))),
      plain("Services", "services"),
    );
    table.classList.toggle("has-attributes", columns.length > 0);
    table.style.minWidth = columns.length > 2 ? `${620 + 120 * columns.length}px` : "";
  }

  // Anywhere on a row leads to its trace, but where text was selected or a link of its own stands.
  body.addEventListener("click", (event) => {
    if (within(event, "a, button") || String(getSelection())) return;
    const link = within(event, "tr")?.querySelector("a.trace-link");
    if (link instanceof HTMLAnchorElement) link.click();
  });

  /** @param {string} label @param {string} column @param {string} first */
  function sortable(label, column, first) {
    const press = () => onOrder(SORTED[order][0] === column ? TURNS[order] : first);
    const button = h(
      "button",
      { type: "button", class: "sort", title: "Orders by the span that meets the conditions", on: { click: press } },
      label,
      icon("chevron-down"),
    );
    return h("th", { role: "columnheader", scope: "col", class: column }, button);
  }

  function showOrder() {
    for (const [column, header] of Object.entries(headers)) {
      const [sorted, direction] = SORTED[order] ?? [];
      const isSorted = sorted === column;
      header.setAttribute("aria-sort", isSorted ? direction : "none");
      clear(
        all(header, ".sort")[0],
        column === "start" ? "Start" : "Duration",
        icon(isSorted && direction === "ascending" ? "chevron-up" : "chevron-down"),
      );
    }
  }

  /** The bars share one scale: the longest trace shown. */
  function scale() {
    const longest = Math.max(1, ...traces.map((trace) => trace.duration));
    all(body, ".duration-bar").forEach(
      (bar, at) => (bar.style.width = `${Math.max(0.5, (100 * traces[at].duration) / longest)}%`),
    );
  }

  return {
    node: h("div", { class: "table-box results-box" }, table),
    /** @param {FoundTrace[]} found @param {{order: string, columns: string[]}} state @param {boolean} hasFilters */
    show(found, state, hasFilters) {
      [traces, order, columns, isFiltered] = [found, state.order, state.columns, hasFilters];
      drawHead();
      showOrder();
      clear(
        body,
        traces.map((trace) => row(trace, { isFiltered, order, columns })),
      );
      scale();
    },
    /** @param {FoundTrace[]} found */
    append(found) {
      traces = [...traces, ...found];
      body.append(...found.map((trace) => row(trace, { isFiltered, order, columns })));
      scale();
      body.rows[traces.length - found.length]?.querySelector("a")?.focus();
    },
    /**
     * Moves the focus by rows; answers false at the ends.
     *
     * @param {number} step
     */
    move(step) {
      const links = all(body, "a.trace-link");
      const row = document.activeElement?.closest("tr");
      const at = links.findIndex((link) => row?.contains(link));
      const next = links[at < 0 ? (step > 0 ? 0 : -1) : at + step];
      next?.focus();
      next?.scrollIntoView({ block: "nearest" });
      return Boolean(next);
    },
    get length() {
      return traces.length;
    },
  };
}

/** @typedef {import("../kit/api-types").FoundTrace} FoundTrace */

/**
 * @param {FoundTrace} trace
 * @param {{isFiltered: boolean, order: string, columns: string[]}} shown
 */
function row(trace, { isFiltered, order, columns }) {
  const { root, match } = trace;
  const isElsewhere = isFiltered && match && root && match.span_id !== root.span_id;
  const name = root ? visibleText(root.name) || "(no name)" : "(no span kept)";
  // What the rows are sorted by stands in the column: the span that was found, which without conditions is the root.
  const { start } = match ?? trace;
  const isByDuration = match && SORTED[order]?.[0] === "duration";
  return h(
    "tr",
    { role: "row" },
    h("td", { role: "cell", class: "start" }, h("time", { title: timeExact(start) }, when(start))),
    h(
      "td",
      { role: "cell", class: "trace" },
      h(
        "div",
        { class: "trace-line" },
        root ? serviceChip(root.service) : null,
        link(`/trace/${trace.trace_id}`, { class: "trace-link elide", title: name }, h("bdi", {}, name)),
        marks(trace),
        chooseButton(trace.trace_id, name),
      ),
      isElsewhere ? matched(trace) : null,
      trace.error && !(isElsewhere && trace.error.span_id === match.span_id) ? failure(trace) : null,
    ),
    h("td", { role: "cell", class: "result" }, resultBadge(trace)),
    h(
      "td",
      { role: "cell", class: "duration" },
      h(
        "span",
        { class: "num" },
        duration(isByDuration ? match.duration : trace.duration),
        isByDuration && match.duration !== trace.duration
          ? h("span", { class: "muted" }, ` of ${duration(trace.duration)}`)
          : null,
      ),
      h(
        "span",
        { class: "duration-track", "aria-hidden": true },
        h("span", { class: `duration-bar${trace.errors ? " bad-bar" : ""}` }),
      ),
    ),
    h("td", { role: "cell", class: "num spans", dataset: { label: "spans" } }, count(trace.spans)),
    h(
      "td",
      { role: "cell", class: `num errors${trace.errors ? " bad" : " muted"}`, dataset: { label: "errors" } },
      count(trace.errors),
    ),
    columns.map((name, at) => attribute(name, trace.columns[RESULT_KEYS.length + at])),
    h("td", { role: "cell", class: "services" }, services(trace)),
  );
}

/**
 * The date only where it is not today's.
 *
 * @param {string} start
 */
function when(start) {
  const today = time(`${BigInt(Date.now()) * 1_000_000n}`, { date: true }).slice(0, 10);
  const text = time(start, { date: true });
  return text.startsWith(today) ? text.slice(11) : text;
}

/** @param {FoundTrace} trace */
function marks({ root, orphans, complete, start, duration: length }) {
  const badge = root?.status === "error" ? h("span", { class: "badge bad" }, "error") : null;
  // Programs send a span when it has ended, some seconds later: the parents come last.
  const age = Date.now() - toMillis(start) - length / 1e6;
  if (!complete && age < ARRIVING_MS)
    return [badge, h("span", { class: "badge", title: "Its last spans may still be on their way" }, "arriving")];
  return [
    root?.status === "error" ? h("span", { class: "badge bad" }, "error") : null,
    root && !root.is_root
      ? h("span", { class: "badge warn", title: "The root span is not here; this is the earliest that is." }, "no root")
      : null,
    complete
      ? null
      : h(
          "span",
          {
            class: "badge warn",
            title: orphans
              ? `Incomplete: ${counted(orphans, "span")} without the parent`
              : "Incomplete: spans were refused or evicted",
          },
          icon("warning"),
          h("span", { class: "visually-hidden" }, "incomplete"),
        ),
  ];
}

/** @param {FoundTrace} trace */
function matched({ trace_id: id, start, match, error }) {
  const message = error?.span_id === match.span_id ? error.reason : match.message;
  const offset = BigInt(match.start) - BigInt(start);
  return h(
    "div",
    { class: "match-line muted" },
    link(`/trace/${id}?span=${match.span_id}`, spanWords({ ...match, message })),
    ` ${duration(match.duration)} at +${duration(offset)}`,
    match.status === "error" ? h("span", { class: "badge bad" }, "error") : null,
  );
}

/**
 * Where it failed, and why.
 *
 * @param {FoundTrace} trace
 */
function failure({ trace_id: id, error }) {
  if (!error) return null;
  const why = spanWords({ ...error, message: error.reason });
  return h(
    "div",
    { class: "match-line bad elide" },
    h("span", { "aria-hidden": true }, "✕ "),
    link(`/trace/${id}?span=${error.span_id}`, { class: "bad", title: why }, why),
  );
}

/**
 * "payment-service charge: card declined"
 *
 * @param {{service: string, name: string, message: string}} span
 */
function spanWords({ service, name, message }) {
  const words = `${visibleText(service)} ${visibleText(name) || "(no name)"}`;
  return message ? `${words}: ${visibleText(message)}` : words;
}

/** @param {FoundTrace} trace */
function resultBadge({ columns }) {
  const result = resultOf(columns.slice(0, RESULT_KEYS.length));
  return result ? h("span", { class: `badge result-code ${result.look}`, title: result.text }, visibleText(result.text)) : null;
}

/** @param {string} name @param {string | null | undefined} value */
function attribute(name, value) {
  const text = value == null ? "–" : visibleText(value) || "(empty)";
  const look = value == null ? "attribute elide muted" : "attribute elide";
  return h("td", { role: "cell", class: look, title: text, dataset: { name } }, h("bdi", {}, text));
}

/**
 * Those with errors by name, the others by their number.
 *
 * @param {FoundTrace} trace
 */
function services({ services: all }) {
  const failed = all.filter(({ errors }) => errors).sort((a, b) => b.errors - a.errors).slice(0, MAX_FAILED);
  const rest = all.filter((one) => !failed.includes(one)).map(({ name }) => visibleText(name) || "(no name)");
  const more = failed.length ? `+${rest.length}` : count(rest.length);
  return h(
    "div",
    { class: "chips" },
    failed.map((one) => serviceChip(one.name, one)),
    rest.length ? h("span", { class: "chip more-services", title: rest.join(", ") }, more) : null,
  );
}
