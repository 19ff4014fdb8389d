// @ts-check
// All services with rate, errors and latencies.

import { h } from "../kit/dom.js";
import { figureColumns } from "../kit/figures.js";
import { count } from "../kit/format.js";
import { link, setState, state } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { empty } from "../kit/state-box.js";
import { changeColumn } from "./before.js";
import { loaded } from "./loaded.js";
import { refusedColumn } from "./refused.js";
import { sparklines } from "./sparkline.js";
import { rangeOf, windowChoice } from "./window.js";

/** What is ill first. */
const USUAL_SORT = "-errors";

/** @type {import("../kit/router.js").View} */
export default function view(root, { query }) {
  let more = new AbortController();
  const change = changeColumn((row) => row.service);
  const refused = refusedColumn((row) => row.service, "service", (row) => ({ service: row.service, ...rangeOf(state()) }));
  const lines = sparklines();
  const content = loaded(() => ["/services", rangeOf(state())], shown);
  const choice = windowChoice({ onRefresh: content.load });
  /** @param {string} service */
  const address = (service) => {
    const { from, to } = rangeOf(state());
    return `/services/${encodeURIComponent(service)}?${new URLSearchParams(to ? { from, to } : { from })}`;
  };
  const table = sortable({
    label: "Services",
    sort: query.get("sort") || USUAL_SORT,
    onSort: (sort) => setState({ sort: sort === USUAL_SORT ? "" : sort }, { replace: true }),
    columns: [
      {
        key: "service",
        label: "Service",
        isHeader: true,
        value: (row) => row.service,
        cell: (row) => link(address(row.service), { class: "plain" }, serviceChip(row.service)),
      },
      { key: "calls-over-time", label: "Calls over time", cell: (row) => lines.cell(row.service) },
      {
        key: "operations",
        label: "Operations",
        isNumber: true,
        value: (row) => row.operations,
        cell: (row) => link(address(row.service), count(row.operations)),
      },
      ...figureColumns((row) => ({ service: row.service, ...rangeOf(state()) }), { afterErrors: [refused.column], afterLatencies: [change.column] }),
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

  /** @param {import("../kit/api-types").ServiceList} answer */
  function shown({ services }) {
    table.show(services);
    more.abort();
    more = new AbortController();
    addMore(services, rangeOf(state()), more.signal);
    if (services.length) return [table.node, note];
    return [
      empty("No service sent spans in this time", "Choose a longer time, or see Status for what was received."),
    ];
  }

  /**
   * @param {import("../kit/api-types").ServiceFigures[]} services
   * @param {{from: string, to: string}} range
   * @param {AbortSignal} signal
   */
  async function addMore(services, range, signal) {
    if (await change.load("/services", range, signal)) table.resort("change");
    if (await refused.load(range, signal)) table.resort("refused");
    await lines.load(
      services.map(({ service }) => service),
      range,
      signal,
    );
  }

  content.load();
  return () => {
    more.abort();
    content.dispose();
  };
}
