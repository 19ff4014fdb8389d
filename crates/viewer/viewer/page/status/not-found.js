// @ts-check
// An address that is none of this page's.

import { h } from "../kit/dom.js";
import { link } from "../kit/router.js";
import { empty } from "../kit/state-box.js";

/** @type {import("../kit/router.js").View} */
export default function view(root) {
  document.title = "Not found · Waypost";
  root.append(
    h(
      "div",
      { class: "page" },
      h("h1", { class: "visually-hidden" }, "Not found"),
      empty("There is nothing at this address", h("p", {}, link("/search", "To the search"))),
    ),
  );
  return () => {};
}
