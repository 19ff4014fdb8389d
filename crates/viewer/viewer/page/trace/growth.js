// @ts-check
// Offers the spans of a young trace that came after it was loaded. Only small traces are asked for again by themselves:
// the answer is the whole trace.

import { get } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";
import { count, toMillis } from "../kit/format.js";
import { plural } from "./labels.js";

const YOUNG_MS = 60_000;
const SMALL = 5000;
const FIRST_MS = 2000;

/**
 * Shows itself in `node`; `take(answer)` shows a newer answer. Answers a function that ends it.
 *
 * @param {import("./model.js").Model} model
 * @param {HTMLElement} node
 * @param {(answer: import("../kit/api-types").TraceAnswer | null) => void} take
 */
export function watchGrowth(model, node, take) {
  let wait = FIRST_MS;
  let timer = 0;
  const ended = new AbortController();
  const age = () => Date.now() - toMillis((model.startTime + BigInt(Math.ceil(model.span))).toString());
  const isYoung = () => Math.abs(age()) < YOUNG_MS;

  async function look() {
    try {
      const answer = document.hidden
        ? null
        : await get(`/traces/${model.traceId}`, undefined, { signal: ended.signal });
      const more = answer === null ? 0 : answer.spans - model.count;
      if (more > 0) {
        clear(
          node,
          h(
            "button",
            { type: "button", on: { click: () => take(answer) } },
            icon("refresh"),
            `${count(more)} more ${plural("span", more)}: show`,
          ),
        );
      }
    } catch {
      // It is only an offer: the reader has the trace as it was.
    }
    wait *= 2;
    later();
  }

  function later() {
    if (!ended.signal.aborted && isYoung()) timer = setTimeout(look, wait);
  }

  if (isYoung() && model.count < SMALL) later();
  else if (isYoung()) {
    clear(
      node,
      h("button", { type: "button", on: { click: () => take(null) } }, icon("refresh"), "Look for more spans"),
    );
  }
  return () => {
    ended.abort();
    clearTimeout(timer);
  };
}
