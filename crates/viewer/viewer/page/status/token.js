// @ts-check
// Shown when the viewer asks for its token while the page is open: the cookie is gone, or the token is another one.

import { h } from "../kit/dom.js";
import { empty } from "../kit/state-box.js";

/** @type {import("../kit/router.js").View} */
export default function view(root) {
  document.title = "Token · Waypost";
  // Loading the address anew leads to the viewer's own form, and from there back here.
  const again = h(
    "button",
    { type: "button", class: "primary", on: { click: () => location.reload() } },
    "Give the token",
  );
  root.append(
    h(
      "div",
      { class: "page" },
      h("h1", { class: "visually-hidden" }, "Token"),
      empty("This viewer wants its token", "It was printed when the viewer started.", again),
    ),
  );
  again.focus();
  return () => {};
}
