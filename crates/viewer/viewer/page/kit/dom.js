// @ts-check
// Building nodes, for every view.
//
// Invariant: whatever a span says reaches the document as text or as the value of a harmless attribute. There is no way
// through here to markup, to an event handler given as a string, to a style attribute, or to a javascript: address.

/**
 * @typedef {Node | string | number | boolean | null | undefined} Leaf
 * @typedef {Leaf | Leaf[] | any[]} Child
 * @typedef {Record<string, any>} Props
 */

/** @type {"http://www.w3.org/2000/svg"} */
const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "open", "indeterminate", "scrollTop"]);
const ADDRESSES = new Set(["href", "src", "action", "formaction"]);
const SAFE_ADDRESS = /^(?:[/#?]|https?:\/\/|blob:)/i;

/**
 * An element. `props`: `class`, `dataset` (object), `on` ({event: listener}), `style` (object of CSS properties, custom
 * ones too), all else attributes: `true` is an empty attribute; `false`, `null` and `undefined` leave it out.
 * `aria-*` keep their booleans as words. Children: nodes, strings, numbers, lists; `null` and `false` are skipped.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props, ...children) {
  return filled(document.createElement(tag), props, children);
}

/**
 * The same for SVG.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, props, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

/**
 * Takes all children out, puts `children` in, answers the node.
 *
 * @template {Element} Into
 * @param {Into} node
 * @param {...Child} children
 */
export function clear(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/**
 * Puts exactly `children` into the node; those that are there stay untouched, and so does the focus within them.
 *
 * @param {Element} node
 * @param {...Child} children
 */
export function keep(node, ...children) {
  const wanted = children.flat().filter((child) => child instanceof Node);
  if (wanted.length === node.childNodes.length && wanted.every((child, at) => child === node.childNodes[at]))
    return node;
  return clear(node, wanted);
}

/**
 * Text that a span wrote, kept apart from the writing direction of its surroundings.
 *
 * @param {string} text
 * @param {Props} [props]
 */
export function quoted(text, props) {
  return h("bdi", props, text);
}

/**
 * What a selector finds within a node of this page.
 *
 * @param {ParentNode} node
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export function all(node, selector) {
  return [.../** @type {NodeListOf<HTMLElement>} */ (node.querySelectorAll(selector))];
}

/**
 * What an event happened on or in, by a selector; null when nothing fits.
 *
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function within(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/**
 * @template {Element} Into
 * @param {Into} node
 * @param {Props | undefined} props
 * @param {Child[]} children
 */
function filled(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value);
  append(node, children);
  return node;
}

/** @param {any} node @param {string} name @param {any} value */
function set(node, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) if (listener) node.addEventListener(event, listener);
  } else if (name === "dataset") {
    for (const [key, text] of Object.entries(value)) if (text != null) node.dataset[key] = text;
  } else if (name === "style") {
    for (const [key, text] of Object.entries(value)) setStyle(node, key, text);
  } else if (value == null) {
    return;
  } else if (name.startsWith("aria-")) {
    node.setAttribute(name, String(value));
  } else if (value === false) {
    return;
  } else if (/^on/i.test(name) || name === "innerHTML" || name === "outerHTML" || name === "srcdoc") {
    throw new TypeError(`${name} is not set through here`);
  } else if (ADDRESSES.has(name) && !SAFE_ADDRESS.test(String(value))) {
    return;
  } else if (PROPERTIES.has(name)) {
    node[name] = value;
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

/** @param {any} node @param {string} key @param {any} text */
function setStyle(node, key, text) {
  if (text == null) return;
  if (key.includes("-")) node.style.setProperty(key, String(text));
  else node.style[key] = String(text);
}

/** @param {Element} node @param {Child[]} children */
function append(node, children) {
  for (const child of children) {
    if (child == null || child === false || child === true) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : String(child));
  }
}

/** @type {Record<string, string>} */
const ICONS = {
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.5 10.5 14 14",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Zm0 0v12M8 5h3.5M8 8h6M8 11h3.5",
  dark: "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3Z",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  help: "M6 6a2 2 0 1 1 2.8 1.9c-.6.2-.8.6-.8 1.1v.5M8 12v.1",
  close: "m4 4 8 8M12 4l-8 8",
  "chevron-right": "m6 3.5 4.5 4.5L6 12.5",
  "chevron-left": "M10 3.5 5.5 8l4.5 4.5",
  "chevron-down": "M3.5 6 8 10.5 12.5 6",
  "chevron-up": "M3.5 10 8 5.5 12.5 10",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8Z",
  link: "M6.5 9.5a3 3 0 0 0 4.2 0l2.2-2.2a3 3 0 0 0-4.2-4.2l-.9.9M9.5 6.5a3 3 0 0 0-4.2 0L3.1 8.7a3 3 0 0 0 4.2 4.2l.9-.9",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
  upload: "M8 10.5v-8M4.5 6 8 2.5 11.5 6M2.5 13.5h11",
  refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3",
  play: "M4.5 3v10l8-5Z",
  pause: "M5 3v10M11 3v10",
  warning: "M8 2 14.5 13.5h-13ZM8 6v4M8 11.6v.3",
  error: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v4M8 10.8v.3",
  check: "m3 8.5 3.5 3.5L13 4.5",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 4.5V8l2.5 1.5",
  compare: "M2.5 5h9M9 2.5 11.5 5 9 7.5M13.5 11h-9M7 8.5 4.5 11 7 13.5",
  filter: "M2 3h12L9.5 8.5v4L6.5 14V8.5Z",
  table: "M2 3h12v10H2ZM2 6.5h12M6.5 6.5V13",
  graph:
    "M5 4a2 2 0 1 1-4 0 2 2 0 0 1 4 0ZM15 4a2 2 0 1 1-4 0 2 2 0 0 1 4 0ZM10 13a2 2 0 1 1-4 0 2 2 0 0 1 4 0ZM5 4h6M4 5.7l3 5.6M12 5.7l-3 5.6",
  focus: "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5ZM8 1.5v2M8 12.5v2M1.5 8h2M12.5 8h2",
  pin: "M5.5 2h5M6.5 2v4.5L4 9.5h8L9.5 6.5V2M8 9.5v4.5",
  more: "M3 8v.1M8 8v.1M13 8v.1",
  "kind-server": "M1.5 8H9M6 5l3 3-3 3M12.5 3v10",
  "kind-client": "M3.5 3v10M6 8h8M11 5l3 3-3 3",
  "kind-database": "M3 4.5c0-1.4 2.2-2.2 5-2.2s5 .8 5 2.2-2.2 2.2-5 2.2-5-.8-5-2.2ZM3 4.5v7c0 1.4 2.2 2.2 5 2.2s5-.8 5-2.2v-7M3 8c0 1.4 2.2 2.2 5 2.2s5-.8 5-2.2",
  "kind-queue": "M2 4.5h12v7H2ZM5 4.5v7M8 4.5v7M11 4.5v7",
};

/**
 * A small drawing, hidden from screen readers: what it stands beside or in carries the name.
 *
 * @param {string} name
 */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": true, focusable: "false" },
    svg("path", { d: ICONS[name] ?? "" }),
  );
}
