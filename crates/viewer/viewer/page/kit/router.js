// @ts-check
// Addresses and views. Every view keeps its whole state in the query, so that each address is a permalink.
//
// A view is `view(root, {params, query})` and answers a function that ends it, or `{dispose, update}`: `update(query)` is
// called when only the query changed by a link or by going back, instead of building the view anew.

import { onHost, onPage } from "./base.js";
import { h } from "./dom.js";

const routes = [];
/** @typedef {(root: HTMLElement, context: {params: Record<string, string>, query: URLSearchParams}) => any} View */

/** @type {View} */
let fallback = () => {};
/** @type {HTMLElement} */
let root;
let current = null;
/** @type {(path: string | null) => void} */
let changed = () => {};

/** Registers a view for a pattern such as `/trace/:id`. The pattern `*` is for all that fits nothing else. */
export function route(pattern, view) {
  if (pattern === "*") fallback = view;
  else routes.push({ names: [...pattern.matchAll(/:(\w+)/g)].map((match) => match[1]), test: matcher(pattern), view });
}

function matcher(pattern) {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/:\w+/g, "([^/]+)");
  return new RegExp(`^${escaped}/?$`);
}

/** Starts with the present address. `onChange(path)` is told of every view that is put in. */
export function start(into, onChange) {
  root = into;
  changed = onChange;
  addEventListener("popstate", () => show());
  document.addEventListener("click", followed);
  show();
}

/** Goes to an address of this page. */
export function navigate(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", onHost(url));
  show();
}

/** The present address as `navigate` takes it. */
export function here() {
  return onPage(location.pathname) + location.search;
}

/** An anchor that is followed without loading the page anew. The first child may be an object of props. */
export function link(href, ...children) {
  const [first, ...rest] = children;
  const hasProps = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  const address = onHost(href);
  return hasProps ? h("a", { ...first, href: address }, ...rest) : h("a", { href: address }, ...children);
}

/** The present query: a copy. */
export function state() {
  return new URLSearchParams(location.search);
}

/**
 * Changes the query of the present address: `null`, "" and an empty list take a name out, a list repeats it; names not
 * given stay. The view is not called: who changes the state knows.
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

/** Ends the present view and shows `view` instead, at the same address. */
export function cover(view) {
  put({ path: null, view, params: {} });
}

function followed(event) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const anchor = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!anchor || anchor.hasAttribute("download") || anchor.getAttribute("target")) return;
  const url = new URL(anchor.getAttribute("href"), location.href);
  if (url.origin !== location.origin || !find(onPage(url.pathname))) return;
  if (url.pathname === location.pathname && url.search === location.search && url.hash) return;
  event.preventDefault();
  navigate(onPage(url.pathname) + url.search);
}

function find(path) {
  for (const { names, test, view } of routes) {
    const match = test.exec(path);
    if (!match) continue;
    const params = {};
    names.forEach((name, at) => (params[name] = decoded(match[at + 1])));
    return { view, params };
  }
  return null;
}

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
