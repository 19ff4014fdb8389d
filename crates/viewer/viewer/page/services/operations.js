// The operations of one service with rate, errors and latencies.

import { h } from "../kit/dom.js";
import { figureColumns, searchAddress } from "../kit/figures.js";
import { visibleText } from "../kit/format.js";
import { link, setState, state } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { empty } from "../kit/state-box.js";
import { loaded } from "./loaded.js";
import { windowChoice, windowOf } from "./window.js";

export default function view(root, { params, query }) {
  const { service } = params;
  const path = `/services/${encodeURIComponent(service)}/operations`;
  const content = loaded(() => [path, { from: windowOf(state()) }], shown);
  const choice = windowChoice({ onRefresh: content.load });
  const filters = (row) => ({ service, operation: row.name, kind: row.kind, from: windowOf(state()) });
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
        cell: (row) => name(row, filters(row)),
      },
      { key: "kind", label: "Kind", value: (row) => row.kind, cell: (row) => row.kind },
      ...figureColumns(filters),
    ],
  });
  root.append(
    h(
      "div",
      { class: "page" },
      h(
        "div",
        { class: "page-head" },
        h("h1", { class: "service-title" }, link("/services", "Services"), " / ", serviceChip(service)),
        choice.node,
      ),
      content.node,
    ),
  );
  document.title = `${visibleText(service)} · Waypost`;

  function shown({ operations }) {
    table.show(operations);
    if (operations.length) return [table.node];
    return [
      empty(
        "No spans of this service in this time",
        h("p", {}, link(searchAddress({ service, from: "all" }), "Search all that is kept of it")),
      ),
    ];
  }

  content.load();
  return content.dispose;
}

function name(row, filters) {
  const text = visibleText(row.name) || "(no name)";
  return link(searchAddress(filters), { class: "plain operation-name elide", title: text }, h("bdi", {}, text));
}
