// @ts-check
// A small drawing of a service's calls and failures over the time that is shown, asked for one service at a time.

import { get, isAbort } from "../kit/api.js";
import { clear, h, svg } from "../kit/dom.js";
import { percent, rate, visibleText } from "../kit/format.js";

const [WIDTH, HEIGHT] = [110, 22];
/** Services that are drawn; requests at once. */
const MAX_DRAWN = 60;
const AT_ONCE = 3;

/**
 * Points of a line, and of the failures below it, of `[calls, errors]` in steps. Pure.
 *
 * @param {{calls: number, errors: number}[]} steps
 */
export function shapeOf(steps) {
  const most = Math.max(1, ...steps.map(({ calls }) => calls));
  /** @param {number} at */
  const x = (at) => ((at * WIDTH) / Math.max(1, steps.length - 1)).toFixed(1);
  /** @param {number} value */
  const y = (value) => (HEIGHT - 1 - ((HEIGHT - 3) * value) / most).toFixed(1);
  /** @param {number[]} values */
  const along = (values) => values.map((value, at) => `${at ? "L" : "M"}${x(at)} ${y(value)}`).join("");
  const failed = along(steps.map(({ errors }) => errors));
  return {
    line: along(steps.map(({ calls }) => calls)),
    area: `${failed}L${x(steps.length - 1)} ${HEIGHT}L0 ${HEIGHT}Z`,
    hasErrors: steps.some(({ errors }) => errors > 0),
  };
}

/** Answers `{cell(service), load(services, range, signal)}`. */
export function sparklines() {
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map();

  /** @param {string} service */
  function cell(service) {
    let node = cells.get(service);
    if (!node) cells.set(service, (node = h("span", { class: "sparkline" })));
    return node;
  }

  /** @param {string} service @param {object} range @param {AbortSignal} signal */
  async function draw(service, range, signal) {
    const { steps } = await get("/series", { service, ...range }, { signal });
    if (steps.length < 2) return;
    const { line, area, hasErrors } = shapeOf(steps);
    const rates = steps.flatMap((step) => (step.rate === null ? [] : [step.rate]));
    const calls = steps.reduce((sum, step) => sum + step.calls, 0);
    const errors = steps.reduce((sum, step) => sum + step.errors, 0);
    const words = `${visibleText(service)}: ${rate(Math.min(...rates))} to ${rate(Math.max(...rates))}, ${percent(calls ? errors / calls : 0)} failed`;
    clear(
      cell(service),
      svg(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": words },
        svg("title", {}, words),
        hasErrors ? svg("path", { class: "sparkline-errors", d: area }) : null,
        svg("path", { class: "sparkline-line", d: line }),
      ),
    );
  }

  /** @param {string[]} services @param {object} range @param {AbortSignal} signal */
  async function load(services, range, signal) {
    const waiting = services.slice(0, MAX_DRAWN);
    const worker = async () => {
      for (let service = waiting.shift(); service !== undefined && !signal.aborted; service = waiting.shift()) {
        try {
          await draw(service, range, signal);
        } catch (error) {
          if (isAbort(error)) return;
          clear(cell(service));
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  return { cell, load };
}
