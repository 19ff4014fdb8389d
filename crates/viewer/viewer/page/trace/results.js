// @ts-check
// What the rows tell beside names and times: how calls ended, and what databases and brokers they went to. Asked for after the
// rows are drawn, of traces that are not very large.

import { get, isAbort, messageOf } from "../kit/api.js";
import { RESULT_KEYS, resultOf } from "../search/result.js";

/** Attributes of larger traces are not read for this. */
const MAX_SPANS = 5000;
const SYSTEM_KEYS = ["db.system.name", "db.system", "messaging.system"];
const REASON_KEYS = ["message", "error.type"];

/** @typedef {{result: ReturnType<typeof resultOf>, system: string, isBroker: boolean, message: string, errorType: string}} Told */

/** Fills `state.told`, by row, and says so. @param {any} state @param {AbortSignal} signal */
export async function tellResults(state, signal) {
  const { model } = state;
  if (model.count > MAX_SPANS) return;
  try {
    const column = [...RESULT_KEYS, ...SYSTEM_KEYS, ...REASON_KEYS];
    const { spans } = await get(`/traces/${model.traceId}/columns`, { column }, { signal });
    state.setTold(new Map(spans.map(({ span_id: id, values }) => [model.rowOf(id), told(values)])));
  } catch (error) {
    // The rows stand without it.
    if (!isAbort(error)) console.warn(messageOf(error));
  }
}

/** @param {(string | null)[]} values @returns {Told} */
function told(values) {
  const [db, oldDb, broker, message, errorType] = values.slice(RESULT_KEYS.length);
  const result = resultOf(values.slice(0, RESULT_KEYS.length));
  return {
    // That a call went well is said of HTTP, whose codes tell more than that.
    result: result?.text === "OK" ? null : result,
    system: db ?? oldDb ?? broker ?? "",
    isBroker: !db && !oldDb && Boolean(broker),
    message: message ?? "",
    errorType: errorType ?? "",
  };
}

/**
 * Signs of kinds of calls, and what they say.
 *
 * @type {Record<string, [string, string]>}
 */
const SIGNS = { server: ["server", "server"], client: ["client", "client"], producer: ["queue", "producer"], consumer: ["queue", "consumer"] };

/**
 * The sign of a row's kind and what it says: `[sign, words]`; none for work within a service.
 *
 * @param {import("./model.js").Model} model
 * @param {number} row
 * @param {Told | undefined} told
 * @returns {[string, string] | null}
 */
export function kindSign(model, row, told) {
  if (told?.system) return [told.isBroker ? "queue" : "database", told.system];
  const kind = model.kindOf(row);
  return SIGNS[kind] ?? null;
}
