// @ts-check
// What a view of the services shows: asked for, shown, and asked for again with "r" or a button.

import { get, isAbort } from "../kit/api.js";
import { clear, h, keep } from "../kit/dom.js";
import { keys } from "../kit/keys.js";
import { failed, loading } from "../kit/state-box.js";

/**
 * `ask()` answers the path and parameters of a request, `show(answer)` the nodes to show for it. Answers
 * `{node, load, dispose}`; `load()` gives up on what was asked before.
 *
 * @template {string} Path
 * @param {() => [Path, object]} ask
 * @param {(answer: import("../kit/answers").AnswerOf<Path>) => Node[]} show
 */
export function loaded(ask, show) {
  let asked = new AbortController();
  const node = h("div", {});

  async function load() {
    asked.abort();
    asked = new AbortController();
    const slow = setTimeout(() => node.firstChild || clear(node, loading()), 200);
    try {
      const [path, parameters] = ask();
      keep(node, ...show(await get(path, parameters, { signal: asked.signal })));
    } catch (error) {
      if (!isAbort(error)) clear(node, failed(error, load));
    } finally {
      clearTimeout(slow);
    }
  }

  const unbind = keys.bind("Services", "r", "Load again", load);
  return {
    node,
    load,
    dispose() {
      asked.abort();
      unbind();
    },
  };
}
