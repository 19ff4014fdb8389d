// The operations of one service with rate, errors and latencies.

import { get, isAbort } from "../kit/api.js";
import { clear, h, keep } from "../kit/dom.js";
import { figureColumns, searchAddress } from "../kit/figures.js";
import { visibleText } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { link, setState, state } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { windowChoice, windowOf } from "./window.js";

export default function view(root, { params, query }) {
  const { service } = params;
  let asked = new AbortController();
  const content = h("div", {});
  const choice = windowChoice({ onRefresh: load });
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
      content,
    ),
  );
  document.title = `${visibleText(service)} · Waypost`;

  async function load() {
    asked.abort();
    asked = new AbortController();
    const slow = setTimeout(() => content.firstChild || clear(content, loading()), 200);
    try {
      const { operations } = await get(
        `/services/${encodeURIComponent(service)}/operations`,
        { from: windowOf(state()) },
        { signal: asked.signal },
      );
      table.show(operations);
      keep(
        content,
        operations.length
          ? table.node
          : empty(
              "No spans of this service in this time",
              h("p", {}, link(searchAddress({ service, from: "all" }), "Search all that is kept of it")),
            ),
      );
    } catch (error) {
      if (!isAbort(error)) clear(content, failed(error, load));
    } finally {
      clearTimeout(slow);
    }
  }

  const unbind = keys.bind("Services", "r", "Load again", load);
  load();
  return () => {
    asked.abort();
    unbind();
  };
}

function name(row, filters) {
  const text = visibleText(row.name) || "(no name)";
  return link(searchAddress(filters), { class: "plain operation-name elide", title: text }, h("bdi", {}, text));
}
