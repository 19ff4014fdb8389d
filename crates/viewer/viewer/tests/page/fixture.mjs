// A trace as GET /traces/{id} answers it, from rows given in depth-first order.

import { Model } from "../../page/trace/model.js";

/** Rows: `{depth, name, service, kind, status, start, duration, orphan}`; what is left out is ordinary. */
export function answer(rows, { segments = [], repairs = [] } = {}) {
  const parents = [];
  const parent = rows.map(({ depth }, row) => {
    parents[depth] = row;
    return depth === 0 ? -1 : parents[depth - 1];
  });
  const descendants = rows.map(() => 0);
  for (let row = rows.length - 1; row >= 0; row -= 1)
    if (parent[row] >= 0) descendants[parent[row]] += descendants[row] + 1;
  const names = [...new Set(rows.map((row) => row.name ?? "op"))];
  const services = [...new Set(rows.map((row) => row.service ?? "shop"))];
  const column = (make) => rows.map(make);
  return {
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    start: "1790000000123456789",
    duration: 1000,
    spans: rows.length,
    errors: rows.filter((row) => row.status === "error").length,
    services,
    names,
    rows: {
      id: column((row, at) => row.id ?? (at + 1).toString(16).padStart(16, "0")),
      parent,
      depth: column((row) => row.depth),
      descendants,
      service: column((row) => services.indexOf(row.service ?? "shop")),
      name: column((row) => names.indexOf(row.name ?? "op")),
      kind: column((row) => row.kind ?? "internal"),
      status: column((row) => row.status ?? "unset"),
      start: column((row) => row.start ?? 0),
      duration: column((row) => row.duration ?? 10),
      attributes: column(() => 0),
      events: column(() => 0),
      links: column(() => 0),
      logs: column(() => 0),
      dropped: column(() => 0),
      orphan: column((row) => row.orphan ?? false),
    },
    roots: parent.flatMap((at, row) => (at < 0 ? [row] : [])),
    repairs,
    completeness: { complete: true, orphans: 0, refused: {}, evicted: 0, dropped: 0 },
    critical_path: { root: 0, segments, parts: [], slowest: null, overlaps: [], outliving: [] },
  };
}

export function modelOf(rows, more) {
  return new Model(answer(rows, more));
}

/** `count` alike below a root. */
export function repeats(count, change = {}) {
  return [
    { depth: 0, name: "root", duration: 1000 },
    ...Array.from({ length: count }, (_, at) => ({
      depth: 1,
      name: "SELECT",
      start: at * 20,
      duration: 10 + at,
      ...change[at],
    })),
  ];
}
