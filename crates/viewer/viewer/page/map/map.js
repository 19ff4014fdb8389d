// @ts-check
// The service map: who calls whom, databases, caches, brokers and outside hosts included; as a drawing or as a table.

import { get, isAbort } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";
import { figureColumns } from "../kit/figures.js";
import { counted, visibleText } from "../kit/format.js";
import { keys } from "../kit/keys.js";
import { setState, state } from "../kit/router.js";
import { sortable } from "../kit/sortable.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { windowChoice, windowOf } from "../services/window.js";
import { edgeKey, graph } from "./graph.js";
import { edgeSearch, panel } from "./panel.js";
import { READABLE_NODES, alive, around, busiest, perCall, readableHops } from "./subset.js";

const SCOPE = "Map";
const STEP = 60;
/** As many calls for one are told in red. */
const CHATTY = 10;
const HOPS = [
  ["1", "1 call away"],
  ["2", "2 calls away"],
  ["3", "3 calls away"],
  ["all", "everything"],
];

/** @type {import("../kit/router.js").View} */
export default function view(root, { query }) {
  let asked = new AbortController();
  /** @type {import("./subset.js").Graph} */
  let data = { nodes: [], edges: [] };
  let living = alive(data);
  /** @type {import("./subset.js").Graph} */
  let shown = data;
  // A drawing needs room.
  const isNarrow = innerWidth <= 700;
  let isTable = query.has("as") ? query.get("as") === "table" : isNarrow;
  let selection = selected(query);
  const choice = windowChoice({ onRefresh: load });
  const drawing = graph({ onSelect: select });
  const side = panel({ onSelect: select });
  const table = edgeTable(query, () => data);
  const stage = h("div", { class: "map-body" });
  const message = h("div", { class: "map-message" });
  const center = h("select", { "aria-label": "Around which service" });
  const hops = h(
    "select",
    { "aria-label": "How far around it" },
    HOPS.map(([value, label]) => h("option", { value }, label)),
  );
  const focus = h("div", { class: "map-focus", role: "group", "aria-label": "Part of the map" }, "Around", center, hops);
  for (const choice of [center, hops])
    choice.addEventListener("change", () => {
      setState({ around: center.value, hops: hops.value }, { replace: true });
      draw();
    });
  const toggle = h("button", { type: "button", on: { click: () => turn(!isTable) } });
  const legend = h("p", { class: "muted map-legend" });
  const page = h(
    "div",
    { class: "page map-page" },
    h("div", { class: "page-head" }, h("h1", {}, "Map"), choice.node, focus, h("div", { class: "spread" }, toggle)),
    message,
    stage,
    legend,
  );
  root.append(page);
  document.title = "Map · Waypost";

  /** @param {import("./graph.js").Selection} next */
  function select(next) {
    selection = next;
    const [from, to] = next?.edge ? JSON.parse(next.edge) : ["", ""];
    setState({ node: next?.node ?? "", edge_from: from, edge_to: to }, { replace: true });
    drawing.mark(selection);
    side.show(selection, data, windowOf(state()));
    // What is called from beyond the drawn part becomes the middle of it.
    if (next?.node?.startsWith("service:") && !shown.nodes.some(({ id }) => id === next.node)) {
      setState({ around: next.node }, { replace: true });
      draw();
    }
    drawing.reveal(next?.node ?? to);
  }

  /** @param {boolean} toTable */
  function turn(toTable) {
    isTable = toTable;
    setState({ as: isTable === isNarrow ? "" : isTable ? "table" : "drawing" }, { replace: true });
    draw();
  }

  function draw() {
    clear(toggle, icon(isTable ? "graph" : "table"), isTable ? "As a drawing" : "As a table");
    page.classList.toggle("is-drawing", !isTable);
    shown = part();
    const isEmpty = shown.nodes.length === 0;
    const isPart = shown.nodes.length < living.nodes.length;
    clear(
      legend,
      isEmpty
        ? null
        : [
            `${counted(shown.nodes.length, "node")}${isPart ? ` of ${living.nodes.length}` : ""}, ${counted(shown.edges.length, "connection")}. `,
            living.silent ? `${counted(living.silent, "node")} without calls in this time left out. ` : null,
            "Wider lines: more calls. Red and dashed: some failed. Boxes: yellow when calls failed, red from 5 % on; as much of the outline is red as failed. ",
            "Latencies as the caller measured them where it did.",
          ],
    );
    if (isEmpty) {
      clear(stage, empty("No calls in this time", "Choose a longer time, or see Status for what was received."));
      return;
    }
    if (isTable) {
      table.show(data.edges);
      clear(stage, table.node);
      return;
    }
    clear(stage, drawing.node, side.node);
    drawing.show(shown);
    drawing.mark(selection);
    side.show(selection, data, windowOf(state()));
    if (selection?.node != null) drawing.reveal(selection.node);
  }

  /** What is drawn: all that had calls, or of a map that is too large for that what is near one service. */
  function part() {
    const query = state();
    const isLarge = living.nodes.length > READABLE_NODES;
    const services = living.nodes.filter(({ kind }) => kind === "service");
    const wanted = query.get("around");
    const id = services.some((node) => node.id === wanted) ? wanted : busiest(living);
    const usual = isLarge && id !== null ? String(readableHops(living, id)) : "all";
    const far = query.get("hops") || usual;
    focus.hidden = services.length < 2;
    clear(
      center,
      services.map((node) => h("option", { value: node.id }, visibleText(node.name))),
    );
    center.value = id ?? "";
    hops.value = far;
    return far === "all" || id === null ? living : around(living, id, Number(far));
  }

  async function load() {
    asked.abort();
    asked = new AbortController();
    const slow = setTimeout(() => clear(message, loading()), 200);
    try {
      data = await get("/map", { from: windowOf(state()) }, { signal: asked.signal });
      clear(message);
      living = alive(data);
      draw();
    } catch (error) {
      if (isAbort(error)) return;
      clear(stage);
      clear(message, failed(error, load));
    } finally {
      clearTimeout(slow);
    }
  }

  /** @param {() => void} run */
  const onDrawing = (run) => () => (isTable ? false : run());
  const bound = [
    keys.bind(
      SCOPE,
      "+",
      "Zoom in",
      onDrawing(() => drawing.zoom(1.25)),
    ),
    keys.bind(
      SCOPE,
      "=",
      "Zoom in",
      onDrawing(() => drawing.zoom(1.25)),
      { hidden: true },
    ),
    keys.bind(
      SCOPE,
      "-",
      "Zoom out",
      onDrawing(() => drawing.zoom(0.8)),
    ),
    keys.bind(
      SCOPE,
      "0",
      "Show all",
      onDrawing(() => drawing.fit()),
    ),
    keys.bind(
      SCOPE,
      "ArrowLeft",
      "Move",
      onDrawing(() => drawing.pan(STEP, 0)),
    ),
    keys.bind(
      SCOPE,
      "ArrowRight",
      "Move",
      onDrawing(() => drawing.pan(-STEP, 0)),
    ),
    keys.bind(
      SCOPE,
      "ArrowUp",
      "Move",
      onDrawing(() => drawing.pan(0, STEP)),
    ),
    keys.bind(
      SCOPE,
      "ArrowDown",
      "Move",
      onDrawing(() => drawing.pan(0, -STEP)),
    ),
    keys.bind(SCOPE, "v", "Drawing or table", () => turn(!isTable)),
    keys.bind(SCOPE, "Escape", "Select nothing", () => (selection ? select(null) : false)),
    keys.bind(SCOPE, "r", "Load again", load),
  ];
  load();
  return () => {
    asked.abort();
    side.dispose();
    bound.forEach((unbind) => unbind());
  };
}

/** @param {URLSearchParams} query @returns {import("./graph.js").Selection} */
function selected(query) {
  const [node, from] = [query.get("node"), query.get("edge_from")];
  if (node) return { node };
  if (from)
    return { edge: edgeKey({ from, to: query.get("edge_to") ?? "" }) };
  return null;
}

/**
 * The same as a table of calls.
 *
 * @param {URLSearchParams} query
 * @param {() => import("./subset.js").Graph} data
 */
function edgeTable(query, data) {
  /** @param {string} id */
  const nodeOf = (id) => data().nodes.find((node) => node.id === id) ?? { name: id, kind: "external", calls: null };
  /** @param {"from" | "to"} key @param {string} label @returns {import("../kit/sortable.js").Column} */
  const end = (key, label) => ({
    key,
    label,
    isHeader: key === "from",
    value: (edge) => nodeOf(edge[key]).name,
    cell: (edge) =>
      h(
        "span",
        { class: "map-end" },
        h("bdi", { class: "elide", title: visibleText(nodeOf(edge[key]).name) }, visibleText(nodeOf(edge[key]).name)),
        h("span", { class: "muted" }, ` ${nodeOf(edge[key]).kind}`),
      ),
  });
  return sortable({
    label: "Calls",
    sort: query.get("sort") || "-rate",
    onSort: (sort) => setState({ sort: sort === "-rate" ? "" : sort }, { replace: true }),
    columns: [
      end("from", "From"),
      end("to", "To"),
      {
        key: "per_call",
        label: "Per call",
        title: "Calls for each call that the caller itself took: many to a database are one query in a loop",
        isNumber: true,
        value: (edge) => perCall(edge, nodeOf(edge.from)),
        cell(edge) {
          const many = perCall(edge, nodeOf(edge.from));
          if (many === null) return h("span", { class: "muted" }, "–");
          const isChatty = many >= CHATTY;
          return h("span", { class: isChatty ? "bad" : "" }, many >= 99.5 ? String(Math.round(many)) : many.toFixed(1));
        },
      },
      ...figureColumns((edge) => edgeSearch(nodeOf(edge.from), nodeOf(edge.to), windowOf(state()))),
    ],
  });
}
