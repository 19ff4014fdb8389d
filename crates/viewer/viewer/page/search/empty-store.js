// @ts-check
// What stands here while nothing has been received: where to send, two lines that send, and what was refused so far.

import { get, isAbort } from "../kit/api.js";
import { announce } from "../kit/announce.js";
import { clear, h } from "../kit/dom.js";
import { count, counted, fromMillis } from "../kit/format.js";
import { copyLine } from "../kit/copy-line.js";
import { reasonWords } from "../kit/reasons.js";

const EVERY_MS = 1000;

/**
 * Answers `{node, dispose}`; `onFirst()` is called once when something is there.
 *
 * @param {{status: import("../kit/api-types").ViewerStatus, onFirst: () => void}} options
 */
export function emptyStore({ status, onFirst }) {
  const refused = h("div", { "aria-live": "polite" });
  const node = h(
    "section",
    { class: "empty-store" },
    h("h2", {}, "No trace has come in yet"),
    h("p", {}, "This page changes by itself when the first one does. The viewer listens on:"),
    endpoints(status.endpoints),
    h("h3", {}, "Point a program with an OpenTelemetry SDK here"),
    copyLine(
      `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${reachable(status.endpoints.otlp_http)} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`,
    ),
    h("h3", {}, "Or send one span by hand"),
    copyLine(() => curl(status.endpoints.otlp_http)),
    refused,
  );
  const call = new AbortController();
  let timer = 0;

  async function look() {
    try {
      const now = await get("/status", {}, { signal: call.signal });
      if (now.usage.spans > 0) {
        announce("The first trace is here.");
        onFirst();
        return;
      }
      showRefused(refused, now.total);
    } catch (error) {
      if (isAbort(error)) return;
    }
    timer = setTimeout(look, EVERY_MS);
  }

  showRefused(refused, status.total);
  timer = setTimeout(look, EVERY_MS);
  return {
    node,
    dispose() {
      call.abort();
      clearTimeout(timer);
    },
  };
}

/** @param {import("../kit/api-types").Endpoints} endpoints */
function endpoints({ otlp_grpc: grpc, otlp_http: http, zipkin }) {
  const rows = [
    ["OTLP over gRPC", grpc],
    ["OTLP over HTTP (protobuf or JSON)", http && `http://${reachable(http)}/v1/traces`],
    ["Zipkin v2", zipkin && `http://${reachable(zipkin)}/api/v2/spans`],
  ];
  return h(
    "dl",
    { class: "endpoints" },
    rows.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value))]),
  );
}

/**
 * Where to connect to what listens on all addresses: the host by which this page was reached.
 *
 * @param {string} address
 */
function reachable(address) {
  return address.replace(/^(?:0\.0\.0\.0|\[::\])(?=:\d+$)/, location.hostname);
}

/**
 * One span that ends now; new ids and times for each copy.
 *
 * @param {string} address
 */
function curl(address) {
  /** @param {number} bytes */
  const hex = (bytes) =>
    [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const now = Date.now();
  const span = {
    traceId: hex(16),
    spanId: hex(8),
    name: "hello",
    kind: 2,
    startTimeUnixNano: fromMillis(now - 120),
    endTimeUnixNano: fromMillis(now),
  };
  const body = {
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "try-out" } }] },
        scopeSpans: [{ spans: [span] }],
      },
    ],
  };
  return `curl -sS http://${reachable(address)}/v1/traces -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}

/** @param {HTMLElement} node @param {import("../kit/api-types").LedgerTotal} total */
function showRefused(node, { received, refused }) {
  const reasons = Object.entries(refused ?? {}).filter(([, spans]) => spans > 0);
  if (!reasons.length) {
    if (node.childElementCount !== 1) clear(node, h("p", { class: "muted" }, "Nothing was refused so far."));
    return;
  }
  const title = `${counted(received, "span")} came in and ${received === 1 ? "was" : "were"} refused:`;
  if (node.dataset.shown === JSON.stringify(refused)) return;
  node.dataset.shown = JSON.stringify(refused);
  clear(
    node,
    h(
      "div",
      { class: "note bad" },
      h("p", {}, title),
      h(
        "ul",
        {},
        reasons.map(([reason, spans]) => h("li", {}, `${count(spans)}: ${reasonWords(reason)}`)),
      ),
    ),
  );
}
