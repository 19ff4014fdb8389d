// @ts-check
// Addresses and views. Every view keeps its whole state in the query, so that each address is a permalink.
//
// A view is `view(root, {params, query})` and answers a function that ends it, or `{dispose, update}`: `update(query)` is
// called when only the query changed by a link or by going back, instead of building the view anew.

import { onHost, onPage } from "./base.js";
import { h } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/** @type {{names: string[], test: RegExp, view: View}[]} */
const routes = [];
/** @typedef {(root: HTMLElement, context: {params: Record<string, string>, query: URLSearchParams}) => any} View */

/** @type {View} */
let fallback = () => {};
/** @type {HTMLElement} */
let root;
/** @type {{path: string | null, dispose?: () => void, update?: (query: URLSearchParams) => void} | null} */
let current = null;
/** @type {(path: string | null) => void} */
let changed = () => {};

/**
 * Registers a view for a pattern such as `/trace/:id`. The pattern `*` is for all that fits nothing else.
 *
 * @param {string} pattern
 * @param {View} view
 */
export function route(pattern, view) {
  if (pattern === "*") fallback = view;
  else routes.push({ names: [...pattern.matchAll(/:(\w+)/g)].map((match) => match[1]), test: matcher(pattern), view });
}

/** @param {string} pattern */
function matcher(pattern) {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/:\w+/g, "([^/]+)");
  return new RegExp(`^${escaped}/?$`);
}

/**
 * Starts with the present address. `onChange(path)` is told of every view that is put in.
 *
 * @param {HTMLElement} into
 * @param {(path: string | null) => void} onChange
 */
export function start(into, onChange) {
  root = into;
  changed = onChange;
  addEventListener("popstate", () => show());
  document.addEventListener("click", followed);
  show();
}

/**
 * Goes to an address of this page.
 *
 * @param {string} url
 * @param {{replace?: boolean}} [options]
 */
export function navigate(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", onHost(url));
  show();
}

/** The present address as `navigate` takes it. */
export function here() {
  return onPage(location.pathname) + location.search;
}

/**
 * An anchor that is followed without loading the page anew. The first child may be an object of props.
 *
 * @param {string} href
 * @param {...import("./dom.js").Child | import("./dom.js").Props} children
 */
export function link(href, ...children) {
  const [first, ...rest] = children;
  const hasProps = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  const address = onHost(href);
  return hasProps
    ? h("a", { .../** @type {import("./dom.js").Props} */ (first), href: address }, .../** @type {Child[]} */ (rest))
    : h("a", { href: address }, .../** @type {Child[]} */ (children));
}

/** The present query: a copy. */
export function state() {
  return new URLSearchParams(location.search);
}

/**
 * Changes the query of the present address: `null`, "" and an empty list take a name out, a list repeats it; names not
 * given stay. The view is not called: who changes the state knows.
 *
 * @param {Record<string, any>} params
 * @param {{replace?: boolean}} [options]
 */
export function setState(params, { replace = false } = {}) {
  const query = state();
  for (const [name, value] of Object.entries(params)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one != null && one !== "") query.append(name, String(one));
    }
  }
  const text = query.toString();
  const url = location.pathname + (text ? `?${text}` : "");
  if (url === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", url);
}

/**
 * Ends the present view and shows `view` instead, at the same address.
 *
 * @param {View} view
 */
export function cover(view) {
  put({ path: null, view, params: {} });
}

/** @param {MouseEvent} event */
function followed(event) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const anchor = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!anchor || anchor.hasAttribute("download") || anchor.getAttribute("target")) return;
  const url = new URL(anchor.getAttribute("href") ?? "", location.href);
  if (url.origin !== location.origin || !find(onPage(url.pathname))) return;
  if (url.pathname === location.pathname && url.search === location.search && url.hash) return;
  event.preventDefault();
  navigate(onPage(url.pathname) + url.search);
}

/** @param {string} path @returns {{view: View, params: Record<string, string>} | null} */
function find(path) {
  for (const { names, test, view } of routes) {
    const match = test.exec(path);
    if (!match) continue;
    /** @type {Record<string, string>} */
    const params = {};
    names.forEach((name, at) => (params[name] = decoded(match[at + 1])));
    return { view, params };
  }
  return null;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function show() {
  const path = onPage(location.pathname);
  if (current?.path === path && current.update) {
    current.update(state());
    changed(path);
    return;
  }
  const found = find(path) ?? { view: fallback, params: {} };
  put({ path, ...found });
}

/** @param {{path: string | null, view: View, params: Record<string, string>}} found */
function put({ path, view, params }) {
  const isFirst = current === null;
  try {
    current?.dispose?.();
  } catch (error) {
    console.error(error);
  }
  root.replaceChildren();
  current = { path };
  const result = view(root, { params, query: state() });
  current = typeof result === "function" ? { path, dispose: result } : { path, ...result };
  changed(path);
  if (!isFirst) {
    root.scrollTop = 0;
    root.focus({ preventScroll: true });
  }
}
