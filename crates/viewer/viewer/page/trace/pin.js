// @ts-check
// The button that pins a trace, so that retention does not take it, and takes the pin off again.

import { announce } from "../kit/announce.js";
import { get, messageOf, post, remove } from "../kit/api.js";
import { clear, h, icon } from "../kit/dom.js";

/** @param {string} id of the trace */
export function pinButton(id) {
  const path = `/traces/${id}/pin`;
  const problem = h("span", { class: "field-error", role: "alert", hidden: true });
  const button = h("button", { type: "button", class: "quiet tr-pin", on: { click: change } });
  /** @type {import("../kit/api-types").Pin | null} */
  let pin = null;

  function show() {
    clear(button, icon("pin"), pin ? "Pinned" : "Pin");
    button.setAttribute("aria-pressed", String(pin !== null));
    const whose = pin?.by === "alert" ? ` (by an alert: ${pin.reason})` : "";
    button.title = pin ? `Kept whatever retention drops${whose}. Take the pin off` : "Keep this trace whatever retention drops";
  }

  async function change() {
    button.disabled = true;
    problem.hidden = true;
    try {
      if (pin) {
        await remove(path);
        pin = null;
      } else {
        pin = await post(path, "");
      }
      announce(pin ? "Pinned" : "No longer pinned");
    } catch (error) {
      problem.hidden = false;
      problem.textContent = messageOf(error);
    }
    button.disabled = false;
    show();
  }

  // Of all pins, as most traces have none and a request that fails is a line in the console.
  get("/pins").then(
    ({ pins }) => {
      pin = pins.find((one) => one.trace_id === id) ?? null;
      show();
    },
    () => {},
  );
  show();
  return h("span", { class: "tr-pinning" }, button, problem);
}
