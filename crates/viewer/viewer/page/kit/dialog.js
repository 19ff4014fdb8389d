// @ts-check
// Modal dialogs on <dialog>: Escape, the close button and a click beside it close; focus returns to where it was.

import { h, icon } from "./dom.js";

/**
 * Opens one. `body`: a node. Answers `{dialog, close, closed}`, `closed` being a promise.
 *
 * @param {{title: string, body: Node, class?: string}} options
 */
export function openDialog({ title, body, class: name = "" }) {
  const opener = document.activeElement;
  const heading = h("h2", { id: `dialog-title-${(count += 1)}` }, title);
  const closing = h("button", { type: "button", class: "quiet", "aria-label": "Close" }, icon("close"));
  const dialog = h(
    "dialog",
    { class: `dialog ${name}`, "aria-labelledby": heading.id },
    h("div", { class: "dialog-head" }, heading, closing),
    h("div", { class: "dialog-body" }, body),
  );
  const close = () => dialog.close();
  /** @type {Promise<void>} */
  const closed = new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
      done();
    });
  });
  closing.addEventListener("click", close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close, closed };
}

let count = 0;
