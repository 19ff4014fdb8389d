// @ts-check
// All services with rate, errors and latencies.

import { h } from "../kit/dom.js";
import { figureColumns } from "../kit/figures.js";
import { count } from "../kit/format.js";
import { link, setState, state } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { empty } from "../kit/state-box.js";
import { loaded } from "./loaded.js";
import { rangeOf, windowChoice } from "./window.js";

export default function view(root, { query }) {
  const content = loaded(() => ["/services", rangeOf(state())], shown);
  const choice = windowChoice({ onRefresh: content.load });
  const address = (service) => {
    const { from, to } = rangeOf(state());
    return `/services/${encodeURIComponent(service)}?${new URLSearchParams(to ? { from, to } : { from })}`;
  };
  const table = sortable({
    label: "Services",
    sort: query.get("sort") || "service",
    onSort: (sort) => setState({ sort: sort === "service" ? "" : sort }, { replace: true }),
    columns: [
      {
        key: "service",
        label: "Service",
        isHeader: true,
        value: (row) => row.service,
        cell: (row) => link(address(row.service), { class: "plain" }, serviceChip(row.service)),
      },
      {
        key: "operations",
        label: "Operations",
        isNumber: true,
        value: (row) => row.operations,
        cell: (row) => link(address(row.service), count(row.operations)),
      },
      ...figureColumns((row) => ({ service: row.service, ...rangeOf(state()) })),
    ],
  });
  const note = h(
    "p",
    { class: "muted foot-note" },
    "Of spans that arrived in this time; of server and consumer spans, or of root spans where a service has neither. Latencies are exact within 2 %.",
  );
  root.append(
    h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", {}, "Services"), choice.node), content.node),
  );
  document.title = "Services · Waypost";

  function shown({ services }) {
    table.show(services);
    if (services.length) return [table.node, note];
    return [
      empty("No service sent spans in this time", "Choose a longer time, or see Status for what was received."),
    ];
  }

  content.load();
  return content.dispose;
}
