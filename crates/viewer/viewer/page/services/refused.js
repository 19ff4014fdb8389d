// @ts-check
// Calls that a service refused: answered with 4xx, or with a status of gRPC that is the caller's fault. By the conventions they are no
// errors of the server, and so they stand beside the errors. They are counted among the spans that are kept, by when they began.

import { get, isAbort, messageOf } from "../kit/api.js";
import { clear } from "../kit/dom.js";
import { searchAddress } from "../kit/figures.js";
import { counted, percent } from "../kit/format.js";
import { link } from "../kit/router.js";
import { lateColumn } from "./late-column.js";

/** Conditions on a server's span; no span meets both. */
const REFUSED = ["http.response.status_code>=400", "rpc.response.status_code!=OK"];
const NO_ERROR = "status=error";

/**
 * `by` is what rows are: "service" or "operation"; `params(row)` are the search's filters for a row. Answers `{column, load}`.
 *
 * @param {(row: any) => string} rowKey
 * @param {"service" | "operation"} by
 * @param {(row: any) => object} params
 */
export function refusedColumn(rowKey, by, params) {
  /** @param {{calls: number}} row @param {{spans: number} | undefined} found */
  const share = (row, found) => (row.calls && found ? Math.min(1, found.spans / row.calls) : null);
  const late = lateColumn(rowKey, {
    key: "refused",
    label: "Refused",
    title: "Answered with 4xx, or a status of gRPC that is the caller's fault: no error of the service",
    value: share,
    fill(node, row, /** @type {{spans: number, attr: string} | undefined} */ found) {
      const part = share(row, found);
      node.className = part ? "refused" : "muted";
      const address = found && searchAddress({ ...params(row), kind: "server", attr: found.attr, not: NO_ERROR });
      clear(node, address && part ? link(address, { title: counted(found?.spans, "call") }, percent(part)) : "0 %");
    },
  });
  return {
    column: late.column,
    /**
     * @param {{from: string, to: string, service?: string}} range
     * @param {AbortSignal} signal
     */
    async load(range, signal) {
      try {
        /** @type {Map<string, {spans: number, attr: string}>} */
        const found = new Map();
        for (const attr of REFUSED) {
          const asked = { ...range, by, kind: "server", attr, not: NO_ERROR, limit: 500 };
          const { groups } = await get("/groups", asked, { signal });
          for (const { value, spans } of groups) {
            const key = by === "service" ? value : `server ${value}`;
            const before = found.get(key);
            found.set(key, { spans: spans + (before?.spans ?? 0), attr: before?.attr ?? attr });
          }
        }
        late.take(found);
        return true;
      } catch (error) {
        if (!isAbort(error)) console.warn(messageOf(error));
        return false;
      }
    },
  };
}

/**
 * For a chart panel: of each step of `/series` the share of its calls that were refused; null when none was. `search` are the filters of the
 * spans that are drawn.
 *
 * @param {object} search
 */
export function refusedOverTime(search) {
  /** @param {import("../kit/api-types").FiguresOverTime} drawn @param {AbortSignal} signal */
  return async ({ from, to, step, steps }, signal) => {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const attr of REFUSED) {
      // The end of the last step begins the next one.
      const asked = { ...search, kind: "server", attr, not: NO_ERROR, from, to: String(BigInt(to) - 1n), step: `${step}ns` };
      const found = await get("/search/series", asked, { signal });
      for (const { start, calls } of found.steps) counts.set(start, (counts.get(start) ?? 0) + calls);
    }
    if (![...counts.values()].some((count) => count > 0)) return null;
    return steps.map(({ start, calls }) => (calls ? Math.min(1, (counts.get(start) ?? 0) / calls) : null));
  };
}
