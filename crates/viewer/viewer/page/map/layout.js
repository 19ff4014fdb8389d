// @ts-check
// Places for the nodes of the map: layers from left to right, callers before what they call. Pure.
//
// The usual four steps of layered drawing: break cycles, give layers by longest path, order each layer by the middles of
// its neighbours, then move nodes towards them. A line over several layers has a lane of its own in those between, so
// that it does not go behind nodes. Deterministic: the same graph is drawn the same.

export const NODE = { width: 168, height: 46 };
const GAP = { x: 124, y: 20 };
const SWEEPS = 12;
/** A layer taller than this goes on in columns beside it. */
const TALLEST = 24;
/** A lane is a bend in each layer it crosses; of very many, none is made. */
const BEND = "\u0000bend ";
const MOST_BENDS = 4000;
const BEND_SIZE = 0.4;

/**
 * @typedef {{from: string, to: string}} Edge
 * @typedef {{x: number, y: number}} Spot
 */

/**
 * `nodes`: `[{id}]`, `edges`: `[{from, to}]`. Answers `{width, height, places: Map(id -> {x, y}), turned: Set(edge),
 * bends: Map(edge -> [{x, y}])}`: `x`, `y` are the upper left corner, `turned` the edges that lead back, a bend is where
 * a line enters a layer that it crosses.
 * @template {Edge} Of
 * @param {{id: string}[]} nodes
 * @param {Of[]} edges
 * @returns {{width: number, height: number, places: Map<string, Spot>, turned: Set<Of>, bends: Map<Of, Spot[]>}}
 */
export function layout(nodes, edges) {
  const known = new Set(nodes.map(({ id }) => id));
  const proper = edges.filter(({ from, to }) => from !== to && known.has(from) && known.has(to));
  const ids = [...known].sort();
  const turned = backEdges(ids, proper);
  /** @type {Edge[]} */
  const forward = proper.map((edge) => (turned.has(edge) ? { from: edge.to, to: edge.from } : edge));
  const layers = layersOf(ids, forward);
  const lanes = addLanes(
    layers,
    proper.filter((edge) => !turned.has(edge)),
  );
  const pieces = [
    ...forward.filter((edge) => !lanes.has(/** @type {Of} */ (edge))),
    ...[...lanes].flatMap(([edge, bends]) => piecesOf(edge, bends)),
  ];
  const { places, ...size } = placed(orderLayers(layers, pieces), pieces);
  /** @type {Map<Of, Spot[]>} */
  const bends = new Map();
  for (const [edge, lane] of lanes) bends.set(edge, lane.flatMap((id) => places.get(id) ?? []));
  return { ...size, places, turned, bends };
}

/**
 * Puts a bend into each layer that an edge crosses; answers the bends of each such edge.
 *
 * @template {Edge} Of
 * @param {string[][]} layers
 * @param {Of[]} edges
 * @returns {Map<Of, string[]>}
 */
function addLanes(layers, edges) {
  const depths = new Map(layers.flatMap((layer, at) => layer.map((id) => /** @type {[string, number]} */ ([id, at]))));
  const depth = (/** @type {string} */ id) => depths.get(id) ?? 0;
  const long = edges.filter(({ from, to }) => depth(to) - depth(from) > 1);
  const wanted = long.reduce((sum, { from, to }) => sum + depth(to) - depth(from) - 1, 0);
  /** @type {Map<Of, string[]>} */
  const lanes = new Map();
  if (wanted > MOST_BENDS) return lanes;
  let made = 0;
  for (const edge of long) {
    /** @type {string[]} */
    const lane = [];
    for (let at = depth(edge.from) + 1; at < depth(edge.to); at += 1) {
      const id = `${BEND}${(made += 1)}`;
      layers[at].push(id);
      lane.push(id);
    }
    lanes.set(edge, lane);
  }
  return lanes;
}

/** @param {Edge} edge @param {string[]} bends @returns {Edge[]} */
function piecesOf({ from, to }, bends) {
  const stops = [from, ...bends, to];
  return bends.concat(to).map((stop, at) => ({ from: stops[at], to: stop }));
}

/**
 * How much of a row something takes.
 *
 * @param {string} id
 */
const sizeOf = (id) => (id.startsWith(BEND) ? BEND_SIZE : 1);

/**
 * Edges that close a cycle in a walk that begins at nodes nobody calls. Without recursion: chains may be long.
 *
 * @template {Edge} Of
 * @param {string[]} ids
 * @param {Of[]} edges
 * @returns {Set<Of>}
 */
function backEdges(ids, edges) {
  const out = grouped(edges, "from");
  const called = new Set(edges.map(({ to }) => to));
  const starts = [...ids.filter((id) => !called.has(id)), ...ids.filter((id) => called.has(id))];
  /** @type {Map<string, "open" | "done">} */
  const mark = new Map();
  /** @type {Set<Of>} */
  const back = new Set();
  for (const start of starts) {
    if (mark.has(start)) continue;
    mark.set(start, "open");
    const stack = [{ id: start, at: 0 }];
    while (stack.length) {
      const top = stack[stack.length - 1];
      const edge = (out.get(top.id) ?? [])[top.at];
      if (!edge) {
        mark.set(top.id, "done");
        stack.pop();
        continue;
      }
      top.at += 1;
      if (mark.get(edge.to) === "open") back.add(edge);
      else if (!mark.has(edge.to)) {
        mark.set(edge.to, "open");
        stack.push({ id: edge.to, at: 0 });
      }
    }
  }
  return back;
}

/** @template {Edge} Of @param {Of[]} edges @param {"from" | "to"} end @returns {Map<string, Of[]>} */
function grouped(edges, end) {
  /** @type {Map<string, Of[]>} */
  const groups = new Map();
  for (const edge of edges) {
    const group = groups.get(edge[end]);
    if (group) group.push(edge);
    else groups.set(edge[end], [edge]);
  }
  return groups;
}

/**
 * The layer of a node is one behind the last of its callers.
 *
 * @param {string[]} ids
 * @param {Edge[]} edges
 * @returns {string[][]}
 */
function layersOf(ids, edges) {
  const out = grouped(edges, "from");
  const waiting = new Map(ids.map((id) => [id, 0]));
  for (const { to } of edges) waiting.set(to, (waiting.get(to) ?? 0) + 1);
  const depth = new Map(ids.map((id) => [id, 0]));
  const ready = ids.filter((id) => waiting.get(id) === 0);
  for (let at = 0; at < ready.length; at += 1) {
    for (const { to } of out.get(ready[at]) ?? []) {
      depth.set(to, Math.max(depth.get(to) ?? 0, (depth.get(ready[at]) ?? 0) + 1));
      waiting.set(to, (waiting.get(to) ?? 0) - 1);
      if (waiting.get(to) === 0) ready.push(to);
    }
  }
  /** @type {string[][]} */
  const layers = [];
  for (const id of ids) (layers[depth.get(id) ?? 0] ??= []).push(id);
  return layers;
}

/**
 * Fewer crossings: each layer by the mean place of its neighbours, from both sides in turns.
 *
 * @param {string[][]} layers
 * @param {Edge[]} edges
 */
function orderLayers(layers, edges) {
  const before = grouped(edges, "to");
  const after = grouped(edges, "from");
  /** @type {Map<string, number>} */
  const place = new Map();
  /** @param {string[]} layer */
  const number = (layer) => layer.forEach((id, at) => place.set(id, (at + 0.5) / layer.length));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const isDown = sweep % 2 === 0;
    const sequence = isDown ? layers : layers.toReversed();
    for (const layer of sequence) {
      const mean = new Map(
        layer.map((id) => {
          const near = isDown
            ? (before.get(id) ?? []).map(({ from }) => from)
            : (after.get(id) ?? []).map(({ to }) => to);
          const at = (/** @type {string} */ one) => place.get(one) ?? 0;
          // What is connected with nothing stands below the rest.
          const alone = before.has(id) || after.has(id) ? at(id) : 2;
          return [id, near.length ? near.reduce((sum, other) => sum + at(other), 0) / near.length : alone];
        }),
      );
      layer.sort((a, b) => (mean.get(a) ?? 0) - (mean.get(b) ?? 0) || (a < b ? -1 : 1));
      number(layer);
    }
  }
  return layers;
}

/** @param {string[][]} layers @param {Edge[]} edges */
function placed(layers, edges) {
  const columns = layers.flatMap(split);
  const step = NODE.height + GAP.y;
  /** @type {Map<string, number>} */
  const rows = new Map();
  for (const column of columns) {
    const stops = stacked(column);
    column.forEach((id, at) => rows.set(id, stops[at] - (stops.at(-1) ?? 0) / 2));
  }
  const near = neighbours(edges);
  for (let sweep = 0; sweep < 6; sweep += 1)
    for (const column of sweep % 2 ? columns.toReversed() : columns) settle(column, rows, near);
  const least = Math.min(0, ...rows.values());
  const most = Math.max(0, ...rows.values());
  /** @type {Map<string, Spot>} */
  const places = new Map();
  columns.forEach((column, x) => {
    for (const id of column) places.set(id, { x: x * (NODE.width + GAP.x), y: ((rows.get(id) ?? 0) - least) * step });
  });
  return { places, width: columns.length * (NODE.width + GAP.x) - GAP.x, height: (most - least) * step + NODE.height };
}

/** @param {string[]} layer */
function split(layer) {
  const parts = Math.ceil(layer.reduce((sum, id) => sum + sizeOf(id), 0) / TALLEST);
  const size = Math.ceil(layer.length / parts);
  return Array.from({ length: parts }, (_, at) => layer.slice(at * size, (at + 1) * size));
}

/**
 * Rows of a column with nothing between its members.
 *
 * @param {string[]} column
 */
function stacked(column) {
  let row = 0;
  return column.map((id, at) => (row += at ? (sizeOf(column[at - 1]) + sizeOf(id)) / 2 : 0));
}

/** @param {Edge[]} edges @returns {Map<string, string[]>} */
function neighbours(edges) {
  /** @type {Map<string, string[]>} */
  const near = new Map();
  for (const { from, to } of edges) {
    for (const [one, other] of [
      [from, to],
      [to, from],
    ]) {
      const others = near.get(one);
      if (others) others.push(other);
      else near.set(one, [other]);
    }
  }
  return near;
}

/**
 * Moves the members of a column towards their neighbours, keeping their order and their distance: least squares.
 *
 * @param {string[]} column
 * @param {Map<string, number>} rows
 * @param {Map<string, string[]>} near
 */
function settle(column, rows, near) {
  const stops = stacked(column);
  /** @type {{mean: number, size: number}[]} */
  const blocks = [];
  column.forEach((id, at) => {
    const others = near.get(id) ?? [];
    const row = (/** @type {string} */ one) => rows.get(one) ?? 0;
    const goal = others.length ? others.reduce((sum, other) => sum + row(other), 0) / others.length : row(id);
    blocks.push({ mean: goal - stops[at], size: 1 });
    // Members that want to be where others are share the mean of what they want (pool adjacent violators).
    while (blocks.length > 1 && blocks[blocks.length - 2].mean > blocks[blocks.length - 1].mean) {
      const [a, b] = blocks.splice(-2);
      blocks.push({ mean: (a.mean * a.size + b.mean * b.size) / (a.size + b.size), size: a.size + b.size });
    }
  });
  const shifts = blocks.flatMap(({ mean, size }) => /** @type {number[]} */ (Array(size).fill(mean)));
  column.forEach((id, at) => rows.set(id, stops[at] + shifts[at]));
}
