// @ts-check
// Import of traces from a file of OTLP JSON.

import { messageOf, post } from "../kit/api.js";
import { h, icon, within } from "../kit/dom.js";
import { openDialog } from "../kit/dialog.js";
import { count, counted, visibleText } from "../kit/format.js";
import { reasonWords } from "../kit/reasons.js";
import { link, navigate } from "../kit/router.js";

const LISTED = 50;

/** A button that takes a file; a single trace opens at once. */
export function importButton() {
  const input = h("input", { type: "file", accept: ".json,application/json", hidden: true });
  const button = h(
    "button",
    { type: "button", title: "Import OTLP JSON", on: { click: () => input.click() } },
    icon("upload"),
    "Import",
  );
  input.addEventListener("change", async () => {
    const [file] = input.files ?? [];
    if (!file) return;
    button.disabled = true;
    try {
      taken(file.name, await post("/traces", file));
    } catch (error) {
      openDialog({ title: "The file was not imported", body: h("p", {}, messageOf(error)) });
    } finally {
      button.disabled = false;
      input.value = "";
    }
  });
  return h("span", {}, button, input);
}

/** @param {string} name @param {import("../kit/api-types").Imported} imported */
function taken(name, { trace_ids: ids, spans, logs, refused }) {
  const reasons = Object.entries(refused ?? {}).filter(([, n]) => n > 0);
  if (ids.length === 1 && !reasons.length) {
    navigate(`/trace/${ids[0]}`);
    return;
  }
  const body = h(
    "div",
    {},
    h(
      "p",
      {},
      `${counted(spans, "span")} and ${counted(logs, "log")} of ${counted(ids.length, "trace")} from ${visibleText(name)}.`,
    ),
    reasons.length
      ? h(
          "div",
          { class: "note bad" },
          h("p", {}, "Refused:"),
          h(
            "ul",
            {},
            reasons.map(([reason, n]) => h("li", {}, `${count(n)}: ${reasonWords(reason)}`)),
          ),
        )
      : null,
    h(
      "ul",
      { class: "mono" },
      ids.slice(0, LISTED).map((id) => h("li", {}, link(`/trace/${id}`, id))),
    ),
    ids.length > LISTED ? h("p", {}, `and ${count(ids.length - LISTED)} more`) : null,
  );
  const { dialog, close } = openDialog({ title: "Imported", body });
  dialog.addEventListener("click", (event) => within(event, "a") && close());
}
