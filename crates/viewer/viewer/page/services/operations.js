// @ts-check
// One service over time, and its operations with rate, errors and latencies; or, with `operation` and `kind` in the
// address, one operation over time.

import { chartPanel } from "../charts/panel.js";
import { h } from "../kit/dom.js";
import { figureColumns, searchAddress } from "../kit/figures.js";
import { visibleText } from "../kit/format.js";
import { link, navigate, setState, state } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { empty } from "../kit/state-box.js";
import { operationAddress as togetherAddress } from "../operation/address.js";
import { changeColumn } from "./before.js";
import { loaded } from "./loaded.js";
import { refusedColumn, refusedOverTime } from "./refused.js";
import { rangeOf, windowChoice } from "./window.js";

/** @type {import("../kit/router.js").View} */
export default function view(root, { params, query }) {
  const { service } = params;
  const [operation, kind] = [query.get("operation"), query.get("kind")];
  const chosen = operation === null ? {} : { operation, kind };
  const path = `/services/${encodeURIComponent(service)}/operations`;
  /** @param {{name: string, kind: string}} row */
  const filters = (row) => ({ service, operation: row.name, kind: row.kind, ...rangeOf(state()) });
  /** @param {{name: string, kind: string}} row */
  const operationAddressOf = (row) => togetherAddress({ ...filters(row), from_match: "true" });
  const charts = chartPanel({
    search: () => ({ service, ...chosen }),
    refused: !kind || kind === "server" ? refusedOverTime({ service, ...(operation === null ? {} : { operation }) }) : undefined,
    onRange: ({ from, to, min, max }) => {
      if (min === null) choice.choose({ from, to });
      else navigate(searchAddress({ service, ...chosen, from, to, min_duration: min, max_duration: max }));
    },
  });
  let more = new AbortController();
  /** @param {{name: string, kind: string}} row */
  const rowKey = (row) => `${row.kind} ${row.name}`;
  const change = changeColumn(rowKey);
  const refused = refusedColumn(rowKey, "operation", filters);
  const content = loaded(() => [path, rangeOf(state())], shown);
  const choice = windowChoice({ onRefresh: load });

  function load() {
    charts.load({ service, ...chosen, ...rangeOf(state()) });
    return content.load();
  }

  const table = sortable({
    label: `Operations of ${visibleText(service)}`,
    sort: query.get("sort") || "-rate",
    onSort: (sort) => setState({ sort: sort === "-rate" ? "" : sort }, { replace: true }),
    columns: [
      {
        key: "name",
        label: "Operation",
        isHeader: true,
        value: (row) => row.name,
        cell: (row) => name(service, row),
      },
      { key: "kind", label: "Kind", value: (row) => row.kind, cell: (row) => row.kind },
      ...figureColumns(filters, { afterErrors: [refused.column], afterLatencies: [change.column] }),
      {
        key: "together",
        label: "Together",
        cell: (row) => link(operationAddressOf(row), { title: "Where the time of this operation goes over many traces, and findings" }, "path"),
      },
    ],
  });
  const shownName = visibleText(operation) || "(no name)";
  root.append(
    h(
      "div",
      { class: "page" },
      h(
        "div",
        { class: "page-head" },
        h(
          "h1",
          { class: "service-title" },
          link("/services", "Services"),
          " / ",
          operation === null
            ? serviceChip(service)
            : [
                link(operationAddress(service, null), { class: "plain" }, serviceChip(service)),
                " / ",
                h("bdi", { class: "elide", title: shownName }, shownName),
                kind ? h("span", { class: "badge" }, kind) : null,
              ],
        ),
        choice.node,
      ),
      charts.node,
      content.node,
    ),
  );
  document.title = `${operation === null ? "" : `${shownName} · `}${visibleText(service)} · Waypost`;

  /** @param {import("../kit/api-types").OperationList} answer */
  function shown({ operations }) {
    const rows =
      operation === null ? operations : operations.filter((row) => row.name === operation && (!kind || row.kind === kind));
    table.show(rows);
    more.abort();
    more = new AbortController();
    change.load(path, rangeOf(state()), more.signal).then((isKnown) => isKnown && table.resort("change"));
    refused.load({ service, ...rangeOf(state()) }, more.signal).then((isKnown) => isKnown && table.resort("refused"));
    if (rows.length) return [table.node];
    return [
      empty(
        "No spans of this service in this time",
        h("p", {}, link(searchAddress({ service, ...chosen, from: "all" }), "Search all that is kept of it")),
      ),
    ];
  }

  load();
  return () => {
    more.abort();
    charts.dispose();
    content.dispose();
  };
}

/**
 * The page of an operation, or of its service, over the time that is shown.
 *
 * @param {string} service
 * @param {{name: string, kind: string} | null} row
 */
function operationAddress(service, row) {
  const { from, to } = rangeOf(state());
  const query = new URLSearchParams(row ? { operation: row.name, kind: row.kind } : {});
  if (state().get("from")) query.set("from", from);
  if (to) query.set("to", to);
  return `/services/${encodeURIComponent(service)}?${query}`;
}

/** @param {string} service @param {{name: string, kind: string}} row */
function name(service, row) {
  const text = visibleText(row.name) || "(no name)";
  return link(operationAddress(service, row), { class: "plain operation-name elide", title: text }, h("bdi", {}, text));
}
