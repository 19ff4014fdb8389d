// @ts-check
// What was received, kept, refused and dropped; how full the store is; where the viewer listens.

import { get, isAbort } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";
import { bytes, count, duration, percent, time, timeExact } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { reasonWords } from "../kit/reasons.js";
import { setState } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { failed, loading } from "../kit/state-box.js";

/**
 * @typedef {import("../kit/api-types").ViewerStatus} Status
 * @typedef {import("../kit/api-types").LedgerAccount} Account
 * @typedef {import("../kit/dom.js").Child} Child
 */
const EVERY_MS = 5000;
/** @param {Partial<Record<string, number>> | undefined} reasons */
const sum = (reasons) => Object.values(reasons ?? {}).reduce((/** @type {number} */ all, n) => all + (n ?? 0), 0);

/** @type {import("../kit/router.js").View} */
export default function view(root, { query }) {
  let asked = new AbortController();
  let timer = 0;
  const figures = h("div", { class: "status-figures" });
  const trouble = h("div", { role: "alert" });
  const problem = h("div", {});
  /**
   * @param {string} key
   * @param {string} label
   * @param {(row: Account) => number} value
   * @param {string} [title]
   * @returns {import("../kit/sortable.js").Column}
   */
  const number = (key, label, value, title) => ({
    key,
    label,
    isNumber: true,
    title,
    value,
    cell: (row) => counted(value(row)),
  });
  const table = sortable({
    label: "Ledger of each service",
    sort: query.get("sort") || "service",
    onSort: (sort) => setState({ sort: sort === "service" ? "" : sort }, { replace: true }),
    columns: [
      {
        key: "service",
        label: "Service",
        isHeader: true,
        value: (row) => row.service,
        cell: (row) => serviceChip(row.service),
      },
      number("received", "Spans received", (row) => row.received),
      number("stored", "= stored", (row) => row.stored),
      {
        key: "refused",
        label: "+ refused",
        isNumber: true,
        value: (row) => sum(row.refused),
        cell: (row) => reasons(row.refused),
      },
      {
        key: "evicted",
        label: "+ evicted",
        isNumber: true,
        value: (row) => sum(row.evicted),
        cell: (row) => reasons(row.evicted),
      },
      number("logs", "Logs received", (row) => row.logs?.received ?? 0),
      number("logs-stored", "= stored", (row) => row.logs?.stored ?? 0),
      number("logs-refused", "+ refused", (row) => row.logs.refused),
      number("logs-evicted", "+ evicted", (row) => row.logs.evicted),
    ],
  });
  root.append(
    h(
      "div",
      { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Status")),
      problem,
      trouble,
      figures,
      h("h2", { class: "ledger-title" }, "Ledger"),
      h("p", { class: "muted" }, "For each service: received = stored + refused + evicted, exactly."),
      table.node,
    ),
  );
  document.title = "Status · Waypost";
  clear(figures, loading());

  async function load() {
    clearTimeout(timer);
    asked.abort();
    asked = new AbortController();
    try {
      const status = await get("/status", {}, { signal: asked.signal });
      clear(problem);
      show(status);
    } catch (error) {
      if (isAbort(error)) return;
      clear(problem, failed(error));
    }
    timer = setTimeout(load, EVERY_MS);
  }

  /** @param {Status} status */
  function show(status) {
    const { usage, total, endpoints } = status;
    const words = usage.trouble;
    if (trouble.textContent !== (words ?? ""))
      clear(trouble, words ? h("p", { class: "note bad" }, icon("warning"), ` ${words}`) : null);
    clear(figures, holdings(usage, status.now), ledger(total), listening(endpoints, status));
    // A table that is being read is not drawn anew under the reader's focus.
    if (!table.node.contains(document.activeElement) || document.activeElement === table.node)
      table.show(status.services);
  }

  const unbind = keys.bind("Status", "r", "Load again", load);
  load();
  return () => {
    asked.abort();
    clearTimeout(timer);
    unbind();
  };
}

/** @param {number} n */
function counted(n) {
  return n ? count(n) : h("span", { class: "muted" }, "0");
}

/**
 * The sum, and each reason beneath.
 *
 * @param {Partial<Record<string, number>> | undefined} given
 */
function reasons(given) {
  const all = Object.entries(given ?? {}).flatMap(([reason, n]) => (n ? [/** @type {[string, number]} */ ([reason, n])] : []));
  if (!all.length) return counted(0);
  return h(
    "div",
    { class: "reasons" },
    h("span", {}, count(sum(given))),
    all.map(([reason, n]) => h("span", { class: "reason", title: reasonWords(reason) }, `${reason} ${count(n)}`)),
  );
}

/** @param {string} title @param {([string, Child] | null)[]} rows */
function pairs(title, rows) {
  return h(
    "section",
    { class: "figure-box" },
    h("h2", {}, title),
    h(
      "dl",
      {},
      rows.filter((row) => row !== null).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  );
}

/** @param {import("../kit/api-types").Usage} usage @param {string} now */
function holdings(usage, now) {
  const share = usage.budget ? Math.min(1, usage.bytes / usage.budget) : 0;
  const bar = h(
    "div",
    {
      class: "usage-bar",
      role: "meter",
      "aria-label": "Size of the store",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(share * 100),
    },
    h("div", { style: { width: `${share * 100}%` } }),
  );
  const held = usage.oldest ? BigInt(now) - BigInt(usage.oldest) : null;
  const rate =
    usage.holds_for == null
      ? "At the present rate nothing would have to go: no spans come in, or too few to say."
      : `You hold about ${duration(usage.holds_for)} at this rate.`;
  const limit = usage.keeps_for ? ` Spans older than ${duration(usage.keeps_for)} go in any case.` : "";
  return h(
    "section",
    { class: "figure-box" },
    h("h2", {}, "Store"),
    h("p", { class: "holds" }, rate + limit),
    bar,
    h(
      "dl",
      {},
      [
        ["Size", `${bytes(usage.bytes)} of ${bytes(usage.budget)} (${percent(share)})`],
        ["Spans", count(usage.spans)],
        ["Logs", count(usage.logs)],
        usage.spans ? ["Bytes a span", count(Math.round(usage.bytes / usage.spans))] : null,
        ["Files", count(usage.files)],
        usage.oldest
          ? [
              "Oldest",
              h(
                "time",
                { title: timeExact(usage.oldest) },
                `${time(usage.oldest, { date: true })}${held !== null && held > 0n ? ` (${duration(held)} ago)` : ""}`,
              ),
            ]
          : null,
        usage.newest
          ? ["Newest", h("time", { title: timeExact(usage.newest) }, time(usage.newest, { date: true }))]
          : null,
      ]
        .filter((line) => line !== null)
        .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  );
}

/** @param {import("../kit/api-types").LedgerTotal} total */
function ledger({ received, stored, refused, evicted }) {
  return pairs("All spans", [
    ["Received", count(received)],
    ["= stored", count(stored)],
    ["+ refused", reasons(refused)],
    ["+ evicted", reasons(evicted)],
  ]);
}

/** @param {import("../kit/api-types").Endpoints} endpoints @param {import("../kit/api-types").ViewerStatus} status */
function listening(endpoints, { version, started }) {
  /** @param {string} text */
  const code = (text) => h("code", {}, text);
  /** @param {string} name @param {string} address @returns {[string, Child] | null} */
  const row = (name, address) => (address ? [name, code(address)] : null);
  return pairs("Viewer", [
    row("OTLP gRPC", endpoints.otlp_grpc),
    row("OTLP HTTP", endpoints.otlp_http),
    row("Zipkin", endpoints.zipkin),
    row("This page", endpoints.ui),
    ["Version", version],
    ["Running since", h("time", { title: timeExact(started) }, time(started, { date: true }))],
  ]);
}
