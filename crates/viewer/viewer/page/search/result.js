// @ts-check
// How a call ended: the status code of HTTP or gRPC, from the attributes of its span. Pure.

/** Where the result of a call stands, by the conventions of today and of before. */
export const RESULT_KEYS = ["http.response.status_code", "http.status_code", "rpc.response.status_code", "rpc.grpc.status_code"];

/**
 * How a call ended, from the values of `RESULT_KEYS`: text, and how bad it is.
 *
 * @param {(string | null)[]} values
 * @returns {{text: string, look: "" | "warn" | "bad"} | null}
 */
export function resultOf(values) {
  const [http, old, rpc, grpc] = values;
  const code = http ?? old;
  if (code) return { text: code, look: /^5/.test(code) ? "bad" : /^4/.test(code) ? "warn" : "" };
  const status = rpc ?? (grpc === null ? null : (GRPC[Number(grpc)] ?? grpc));
  if (!status) return null;
  return { text: status, look: status === "OK" ? "" : SERVER_FAULTS.has(status) ? "bad" : "warn" };
}

/** Names of the codes of gRPC by their numbers, which older conventions wrote. */
const GRPC = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];
/** Those that are the server's fault by the conventions of OpenTelemetry. */
const SERVER_FAULTS = new Set(["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]);
