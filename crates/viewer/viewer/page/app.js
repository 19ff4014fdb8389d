// @ts-check
// The frame of the page: header, keys that hold everywhere, and which view stands at which address.

import { choiceBar } from "./compare/choice.js";
import { alertBadge } from "./alerts/badge.js";
import { onUnauthorized } from "./kit/api.js";
import { onHost } from "./kit/base.js";
import { clear, h, icon, svg } from "./kit/dom.js";
import { keys } from "./kit/keys.js";
import { lastSearch } from "./kit/last-search.js";
import { cover, here, link, navigate, route, start } from "./kit/router.js";
import { assignColors } from "./kit/service-colors.js";
import { failed, loading } from "./kit/state-box.js";
import { theme } from "./kit/theme.js";
import notFound from "./status/not-found.js";
import tokenPage from "./status/token.js";

/** @type {{href: string, label: string, key: string, fits: (path: string) => boolean}[]} */
const PLACES = [
  { href: "/search", label: "Search", key: "g s", fits: (path) => path === "/" || path.startsWith("/search") },
  { href: "/services", label: "Services", key: "g v", fits: (path) => path.startsWith("/services") },
  { href: "/logs", label: "Logs", key: "g l", fits: (path) => path.startsWith("/logs") },
  { href: "/map", label: "Map", key: "g m", fits: (path) => path.startsWith("/map") },
  { href: "/alerts", label: "Alerts", key: "g a", fits: (path) => path.startsWith("/alerts") },
  { href: "/status", label: "Status", key: "g u", fits: (path) => path.startsWith("/status") },
];

/**
 * A view whose module is loaded when it is first shown.
 *
 * @param {() => Promise<{default: import("./kit/router.js").View}>} load
 * @returns {import("./kit/router.js").View}
 */
function lazily(load) {
  return (root, context) => {
    // Only the latest building may touch the page: the address can change before the module is there.
    let generation = 0;
    /** @type {any} */
    let result = null;
    let waiting = 0;

    /** @param {Parameters<import("./kit/router.js").View>[1]} current */
    function build(current) {
      const mine = ++generation;
      waiting = setTimeout(() => clear(root, loading()), 150);
      load().then(
        ({ default: view }) => {
          if (mine !== generation) return;
          clearTimeout(waiting);
          clear(root);
          result = view(root, current);
        },
        (error) => {
          if (mine !== generation) return;
          clearTimeout(waiting);
          clear(
            root,
            failed(error, () => location.reload()),
          );
        },
      );
    }

    function dispose() {
      generation += 1;
      clearTimeout(waiting);
      if (typeof result === "function") result();
      else result?.dispose?.();
      result = null;
    }

    build(context);
    return {
      dispose,
      /** @param {URLSearchParams} query */
      update(query) {
        if (result?.update) {
          result.update(query);
          return;
        }
        dispose();
        clear(root);
        build({ ...context, query });
      },
    };
  };
}

/**
 * The one box: what may be the id of a trace opens that trace; if there is none, and for all other text, everything that is
 * kept is searched for it.
 */
function goTo() {
  const input = h("input", {
    type: "search",
    name: "anything",
    placeholder: "Trace id, or any text",
    "aria-label": "Trace id, or any text",
    autocomplete: "off",
    spellcheck: "false",
  });
  const form = h("form", { class: "go-to", role: "search", "aria-label": "Trace by id, or text in all traces" }, input);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = input.value.trim();
    if (!typed) return;
    const id = typed.toLowerCase().replaceAll("-", "");
    input.value = "";
    if (/^[0-9a-f]{1,32}$/.test(id)) navigate(`/trace/${id}?${new URLSearchParams({ text: typed })}`);
    else navigate(`/search?${new URLSearchParams({ text: typed, from: "all" })}`);
  });
  return { form, input };
}

function themeButton() {
  /** @type {Record<string, string>} */
  const words = { auto: "as the system", dark: "dark", light: "light" };
  const button = h("button", { type: "button", class: "quiet" });
  const show = () => {
    clear(button, icon(theme.current()));
    const label = `Theme: ${words[theme.current()]}`;
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    theme.cycle();
    show();
  });
  show();
  return button;
}

function mark() {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", width: 18, height: 18, "aria-hidden": true },
    svg("path", { d: "M8 14.5V1.5M8 3h4.5l1.8 1.7-1.8 1.8H8M8 8H4L2.2 9.7 4 11.5h4" }),
  );
}

const main = h("main", { id: "main", tabindex: "-1" });
const { form, input } = goTo();
const anchors = PLACES.map(({ href, label }) => link(href, label, href === "/alerts" ? alertBadge() : null));
const help = h(
  "button",
  {
    type: "button",
    class: "quiet",
    "aria-label": "Keyboard help",
    title: "Keyboard help (?)",
    on: { click: () => keys.help() },
  },
  icon("help"),
);

document.body.append(
  h("a", { class: "skip", href: "#main", on: { click: skip } }, "To the content"),
  h(
    "header",
    { class: "top" },
    link("/", { class: "brand" }, mark(), "Waypost"),
    h("nav", { "aria-label": "Views" }, anchors),
    h("div", { class: "top-tools" }, form, themeButton(), help),
    choiceBar().node,
  ),
  main,
);

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  main.focus();
}

/**
 * A view's address; that of the search as it was.
 *
 * @param {string} href
 */
const addressOf = (href) => (href === "/search" && !here().startsWith("/search") ? lastSearch() : href);
PLACES.forEach(({ href, label, key }, at) => {
  keys.bind("Everywhere", key, label, () => navigate(addressOf(href)));
  anchors[at].addEventListener("click", () => anchors[at].setAttribute("href", onHost(addressOf(href))));
});
keys.bind("Everywhere", "g t", "Trace id, or any text", () => input.focus());

const search = lazily(() => import("./search/search.js"));
route("/", search);
route("/search", search);
route(
  "/trace/:id",
  lazily(() => import("./trace/trace.js")),
);
route(
  "/compare",
  lazily(() => import("./compare/compare.js")),
);
route(
  "/operation",
  lazily(() => import("./operation/operation.js")),
);
route(
  "/services",
  lazily(() => import("./services/services.js")),
);
route(
  "/services/:service",
  lazily(() => import("./services/operations.js")),
);
route(
  "/logs",
  lazily(() => import("./logs/logs.js")),
);
route(
  "/map",
  lazily(() => import("./map/map.js")),
);
route(
  "/alerts",
  lazily(() => import("./alerts/alerts.js")),
);
route(
  "/status",
  lazily(() => import("./status/status.js")),
);
route("*", notFound);

onUnauthorized(() => cover(tokenPage));
await assignColors();
start(main, (path) => {
  PLACES.forEach(({ fits }, at) => {
    if (path !== null && fits(path)) anchors[at].setAttribute("aria-current", "page");
    else anchors[at].removeAttribute("aria-current");
  });
});
