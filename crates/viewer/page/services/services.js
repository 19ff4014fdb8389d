// All services with rate, errors and latencies.

import { get, isAbort } from "../kit/api.js";
import { clear, h, keep } from "../kit/dom.js";
import { figureColumns } from "../kit/figures.js";
import { count } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { link, setState, state } from "../kit/router.js";
import { serviceChip } from "../kit/service-chip.js";
import { sortable } from "../kit/sortable.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { windowChoice, windowOf } from "./window.js";

export default function view(root, { query }) {
  let asked = new AbortController();
  const content = h("div", {});
  const choice = windowChoice({ onRefresh: load });
  const address = (service) => `/services/${encodeURIComponent(service)}?from=${windowOf(state())}`;
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
      ...figureColumns((row) => ({ service: row.service, from: windowOf(state()) })),
    ],
  });
  const note = h(
    "p",
    { class: "muted foot-note" },
    "Of spans that arrived in this time; of server and consumer spans, or of root spans where a service has neither. Latencies are exact within 2 %.",
  );
  root.append(
    h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", {}, "Services"), choice.node), content),
  );
  document.title = "Services · Waypost";

  async function load() {
    asked.abort();
    asked = new AbortController();
    const slow = setTimeout(() => content.firstChild || clear(content, loading()), 200);
    try {
      const { services } = await get("/services", { from: windowOf(state()) }, { signal: asked.signal });
      table.show(services);
      keep(
        content,
        ...(services.length
          ? [table.node, note]
          : [
              empty("No service sent spans in this time", "Choose a longer time, or see Status for what was received."),
            ]),
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
