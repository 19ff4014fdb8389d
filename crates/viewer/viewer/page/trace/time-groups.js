// @ts-check
// The parts of the critical path added up as a reader asks for them, and what of it is said in one sentence. Pure.

/** As many alike calls, one after the other, are an N+1 query. */
const REPEATED_FROM = 5;

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {import("../kit/api-types").Category} Category
 * @typedef {{row: number, category: Category, time: number, spans: number, longest: number}} Group `row` has the longest part.
 */

/**
 * Parts added up, the longest first. `grouping`: "span" (each by itself), "name" (service and name) or "category".
 *
 * @param {Model} model
 * @param {string} grouping
 * @returns {Group[]}
 */
export function grouped(model, grouping) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const part of model.path?.parts ?? []) {
    const key =
      grouping === "span"
        ? `${part.row} ${part.category}`
        : grouping === "category"
          ? part.category
          : `${model.service[part.row]} ${model.name[part.row]} ${part.category}`;
    let group = groups.get(key);
    if (group === undefined)
      groups.set(key, (group = { row: part.row, category: part.category, time: 0, spans: 0, longest: 0 }));
    group.time += part.time;
    group.spans += 1;
    if (part.time > group.longest) [group.row, group.longest] = [part.row, part.time];
  }
  return [...groups.values()].sort((one, other) => other.time - one.time);
}

/**
 * By service and name where a name is there more than once: then no single span says where the time went.
 *
 * @param {Model} model
 */
export function usualGrouping(model) {
  const parts = model.path?.parts.length ?? 0;
  return grouped(model, "name").length < parts ? "name" : "span";
}

/**
 * Where most of the time went: by service and name, the root included; null when there is no time to divide.
 *
 * `isRepeated`: at least five calls of one span that are alike, none beginning before the one before it ended.
 *
 * @param {Model} model
 * @returns {(Group & {isRepeated: boolean}) | null}
 */
export function largest(model) {
  const [group] = grouped(model, "name");
  return group ? { ...group, isRepeated: isRepeated(model, group.row) } : null;
}

/**
 * Whether the row is one of several alike calls of its parent, one after the other.
 *
 * @param {Model} model
 * @param {number} row
 */
function isRepeated(model, row) {
  const { parent, service, name, kind, start, duration } = model;
  if (parent[row] < 0 || !["client", "producer"].includes(model.kindOf(row))) return false;
  let calls = 0;
  let end = -1;
  for (let at = parent[row] + 1; at < model.after(parent[row]); at = model.after(at)) {
    const isAlike = service[at] === service[row] && name[at] === name[row] && kind[at] === kind[row];
    if (!isAlike) continue;
    if (start[at] < end) return false;
    end = start[at] + duration[at];
    calls += 1;
  }
  return calls >= REPEATED_FROM;
}
