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
 * `nodes`: `[{id}]`, `edges`: `[{from, to}]`. Answers `{width, height, places: Map(id -> {x, y}), turned: Set(edge),
 * bends: Map(edge -> [{x, y}])}`: `x`, `y` are the upper left corner, `turned` the edges that lead back, a bend is where
 * a line enters a layer that it crosses.
 */
export function layout(nodes, edges) {
  const known = new Set(nodes.map(({ id }) => id));
  const proper = edges.filter(({ from, to }) => from !== to && known.has(from) && known.has(to));
  const ids = [...known].sort();
  const turned = backEdges(ids, proper);
  const forward = proper.map((edge) => (turned.has(edge) ? { from: edge.to, to: edge.from } : edge));
  const layers = layersOf(ids, forward);
  const lanes = addLanes(
    layers,
    proper.filter((edge) => !turned.has(edge)),
  );
  const pieces = [
    ...forward.filter((edge) => !lanes.has(edge)),
    ...[...lanes].flatMap(([edge, bends]) => piecesOf(edge, bends)),
  ];
  const { places, ...size } = placed(orderLayers(layers, pieces), pieces);
  const bends = new Map([...lanes].map(([edge, lane]) => [edge, lane.map((id) => places.get(id))]));
  return { ...size, places, turned, bends };
}

/** Puts a bend into each layer that an edge crosses; answers the bends of each such edge. */
function addLanes(layers, edges) {
  const depth = new Map(layers.flatMap((layer, at) => layer.map((id) => [id, at])));
  const long = edges.filter(({ from, to }) => depth.get(to) - depth.get(from) > 1);
  const wanted = long.reduce((sum, { from, to }) => sum + depth.get(to) - depth.get(from) - 1, 0);
  const lanes = new Map();
  if (wanted > MOST_BENDS) return lanes;
  let made = 0;
  for (const edge of long) {
    const lane = [];
    for (let at = depth.get(edge.from) + 1; at < depth.get(edge.to); at += 1) {
      const id = `${BEND}${(made += 1)}`;
      layers[at].push(id);
      lane.push(id);
    }
    lanes.set(edge, lane);
  }
  return lanes;
}

function piecesOf({ from, to }, bends) {
  const stops = [from, ...bends, to];
  return bends.concat(to).map((stop, at) => ({ from: stops[at], to: stop }));
}

/** How much of a row something takes. */
const sizeOf = (id) => (id.startsWith(BEND) ? BEND_SIZE : 1);

/** Edges that close a cycle in a walk that begins at nodes nobody calls. Without recursion: chains may be long. */
function backEdges(ids, edges) {
  const out = grouped(edges, "from");
  const called = new Set(edges.map(({ to }) => to));
  const starts = [...ids.filter((id) => !called.has(id)), ...ids.filter((id) => called.has(id))];
  const mark = new Map();
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

function grouped(edges, end) {
  const groups = new Map();
  for (const edge of edges) {
    if (!groups.has(edge[end])) groups.set(edge[end], []);
    groups.get(edge[end]).push(edge);
  }
  return groups;
}

/** The layer of a node is one behind the last of its callers. */
function layersOf(ids, edges) {
  const out = grouped(edges, "from");
  const waiting = new Map(ids.map((id) => [id, 0]));
  for (const { to } of edges) waiting.set(to, waiting.get(to) + 1);
  const depth = new Map(ids.map((id) => [id, 0]));
  const ready = ids.filter((id) => waiting.get(id) === 0);
  for (let at = 0; at < ready.length; at += 1) {
    for (const { to } of out.get(ready[at]) ?? []) {
      depth.set(to, Math.max(depth.get(to), depth.get(ready[at]) + 1));
      waiting.set(to, waiting.get(to) - 1);
      if (waiting.get(to) === 0) ready.push(to);
    }
  }
  const layers = [];
  for (const id of ids) (layers[depth.get(id)] ??= []).push(id);
  return layers;
}

/** Fewer crossings: each layer by the mean place of its neighbours, from both sides in turns. */
function orderLayers(layers, edges) {
  const before = grouped(edges, "to");
  const after = grouped(edges, "from");
  const place = new Map();
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
          // What is connected with nothing stands below the rest.
          const alone = before.has(id) || after.has(id) ? place.get(id) : 2;
          return [id, near.length ? near.reduce((sum, other) => sum + place.get(other), 0) / near.length : alone];
        }),
      );
      layer.sort((a, b) => mean.get(a) - mean.get(b) || (a < b ? -1 : 1));
      number(layer);
    }
  }
  return layers;
}

function placed(layers, edges) {
  const columns = layers.flatMap(split);
  const step = NODE.height + GAP.y;
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
  const places = new Map();
  columns.forEach((column, x) => {
    for (const id of column) places.set(id, { x: x * (NODE.width + GAP.x), y: (rows.get(id) - least) * step });
  });
  return { places, width: columns.length * (NODE.width + GAP.x) - GAP.x, height: (most - least) * step + NODE.height };
}

function split(layer) {
  const parts = Math.ceil(layer.reduce((sum, id) => sum + sizeOf(id), 0) / TALLEST);
  const size = Math.ceil(layer.length / parts);
  return Array.from({ length: parts }, (_, at) => layer.slice(at * size, (at + 1) * size));
}

/** Rows of a column with nothing between its members. */
function stacked(column) {
  let row = 0;
  return column.map((id, at) => (row += at ? (sizeOf(column[at - 1]) + sizeOf(id)) / 2 : 0));
}

function neighbours(edges) {
  const near = new Map();
  for (const { from, to } of edges) {
    for (const [one, other] of [
      [from, to],
      [to, from],
    ]) {
      if (!near.has(one)) near.set(one, []);
      near.get(one).push(other);
    }
  }
  return near;
}

/** Moves the members of a column towards their neighbours, keeping their order and their distance: least squares. */
function settle(column, rows, near) {
  const stops = stacked(column);
  const blocks = [];
  column.forEach((id, at) => {
    const others = near.get(id) ?? [];
    const goal = others.length ? others.reduce((sum, other) => sum + rows.get(other), 0) / others.length : rows.get(id);
    blocks.push({ mean: goal - stops[at], size: 1 });
    // Members that want to be where others are share the mean of what they want (pool adjacent violators).
    while (blocks.length > 1 && blocks.at(-2).mean > blocks.at(-1).mean) {
      const [a, b] = blocks.splice(-2);
      blocks.push({ mean: (a.mean * a.size + b.mean * b.size) / (a.size + b.size), size: a.size + b.size });
    }
  });
  const shifts = blocks.flatMap(({ mean, size }) => Array(size).fill(mean));
  column.forEach((id, at) => rows.set(id, stops[at] + shifts[at]));
}
