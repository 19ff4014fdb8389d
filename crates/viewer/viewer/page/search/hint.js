// @ts-check
// Where to look first when nothing is asked: which services fail, and which is slowest.

import { get, isAbort } from "../kit/api.js";
import { clear, h } from "../kit/dom.js";
import { errorShare, searchAddress } from "../kit/figures.js";
import { counted, duration, percent, visibleText } from "../kit/format.js";
import { link } from "../kit/router.js";
import { hasFilters } from "./query.js";

const NAMED = 3;

/**
 * Fills the node; leaves it empty where conditions say what is looked for.
 *
 * @param {Element} node
 * @param {import("./query.js").State} state
 * @param {AbortSignal} signal
 */
export async function hint(node, state, signal) {
  clear(node);
  if (hasFilters(state) || state.from === "all" || state.to) return;
  try {
    const { services } = await get("/services", { from: state.from }, { signal });
    const busy = services.filter(({ calls }) => calls > 0);
    if (!busy.length) return;
    const failing = busy.filter(({ errors }) => errors > 0).sort((one, other) => errorShare(other) - errorShare(one));
    const [slowest] = [...busy].sort((one, other) => other.p95 - one.p95);
    /** @param {{service: string}} row @param {object} [more] */
    const search = (row, more) => searchAddress({ service: row.service, from: state.from, ...more });
    const named = failing.slice(0, NAMED).flatMap((row, at) => [
      at ? ", " : ": ",
      link(search(row, { status: "error" }), { class: "bad" }, `${visibleText(row.service)} ${percent(errorShare(row))}`),
    ]);
    clear(
      node,
      h(
        "p",
        { class: "hint-line" },
        failing.length ? [`${failing.length} of ${counted(busy.length, "service")} with failed calls`, named] : `${counted(busy.length, "service")} answered without errors`,
        ". Slowest: ",
        link(search(slowest, { order: "longest" }), visibleText(slowest.service)),
        `, p95 ${duration(slowest.p95)}. `,
        link("/services", "All services"),
      ),
    );
  } catch (error) {
    // It is only a hint.
    if (!isAbort(error)) clear(node);
  }
}
