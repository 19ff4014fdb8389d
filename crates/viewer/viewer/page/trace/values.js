// @ts-check
// Typed values of attributes, events and logs as text and as nodes. Every string is shown as text, whatever is in it.

import { announce } from "../kit/announce.js";
import { h, icon, quoted } from "../kit/dom.js";
import { visibleText } from "../kit/format.js";

/** Longer values open on demand. */
const LONG = 600;
/** Deeper maps and arrays are shown as JSON text, not as a list within a list. */
const DEEPEST = 5;

/**
 * @typedef {import("../kit/api-types").TypedValue} TypedValue
 * @typedef {import("../kit/api-types").Attribute} Attribute
 */

/**
 * A value as text: what is copied and what the filter looks at.
 *
 * @param {TypedValue} one
 * @returns {string}
 */
export function valueText({ type, value }) {
  if (type === "empty" || value === null || value === undefined) return "";
  if (type === "array") return `[${value.map(valueText).join(", ")}]`;
  if (type === "map") return `{${value.map((one) => `${one.key}: ${valueText(one)}`).join(", ")}}`;
  // What is shown is what a search finds.
  if (type === "bytes") return hex(value);
  if (type === "double") return plainNumber(value);
  return String(value);
}

/**
 * Attributes as a JSON object, indented; of a key that occurs twice the last counts.
 *
 * @param {Attribute[]} attributes
 */
export function attributesAsJson(attributes) {
  return JSON.stringify(Object.fromEntries(attributes.map((one) => [one.key, plain(one)])), null, 2);
}

/** @param {TypedValue} one @returns {any} */
function plain({ type, value }) {
  if (type === "array") return value.map(plain);
  if (type === "map") return Object.fromEntries(value.map((entry) => [entry.key, plain(entry)]));
  if (type === "int") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  return type === "bytes" ? hex(value) : value;
}

/**
 * Bytes in base64 as hexadecimal digits.
 *
 * @param {string} base64
 */
function hex(base64) {
  return Array.from(atob(base64), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

/**
 * A floating point number without an exponent: "1000000000000000000000" and "0.000000001", where JavaScript writes 1e+21
 * and 1e-9.
 *
 * @param {number | string} value
 */
export function plainNumber(value) {
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(String(value));
  if (!match) return String(value);
  const [, sign, first, fraction = "", exponent] = match;
  const digits = first + fraction;
  const point = Number(exponent) + 1;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  return sign + digits.padEnd(point, "0");
}

/**
 * A value as nodes.
 *
 * @param {TypedValue} one
 * @param {number} [depth]
 * @returns {HTMLElement}
 */
export function valueNode(one, depth = 0) {
  const { type, value } = one;
  if (type === "empty" || value === null || value === undefined) return h("span", { class: "muted" }, "empty");
  const isList = type === "array" || type === "map";
  if (isList && value.length === 0)
    return h("span", { class: "muted" }, type === "map" ? "{} no entries" : "[] no entries");
  if (isList && depth < DEEPEST) {
    const items = value.map((item) =>
      h(
        "li",
        {},
        type === "map" ? [quoted(visibleText(/** @type {Attribute} */ (item).key), { class: "tr-key" }), ": "] : null,
        valueNode(item, depth + 1),
      ),
    );
    return h("ul", { class: "tr-list" }, items);
  }
  const text = valueText(one);
  if (type === "string" && text === "") return h("span", { class: "muted" }, "“” no characters");
  if (text.length <= LONG) return quoted(lines(text), { class: `tr-value tr-value-${type}` });
  const node = quoted(lines(text.slice(0, LONG)), { class: "tr-value" });
  const more = h(
    "button",
    { type: "button", class: "textual" },
    `… ${(text.length - LONG).toLocaleString()} more characters`,
  );
  more.addEventListener("click", () => {
    node.textContent = lines(text);
    more.remove();
  });
  return h("span", {}, node, " ", more);
}

/**
 * Control characters made visible, but for line breaks, which queries and stack traces need.
 *
 * @param {string} text
 */
function lines(text) {
  return text
    .split("\n")
    .map((line) => visibleText(line))
    .join("\n");
}

/**
 * A button that copies `text`.
 *
 * @param {string} text
 * @param {string} what
 */
export function copyButton(text, what) {
  const button = h(
    "button",
    { type: "button", class: "quiet tr-copy", "aria-label": `Copy ${what}`, title: `Copy ${what}` },
    icon("copy"),
  );
  button.addEventListener("click", async () => {
    const isCopied = await copy(text);
    announce(isCopied ? `Copied ${what}` : "The browser did not allow copying");
    button.replaceChildren(icon(isCopied ? "check" : "error"));
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * A table of attributes with their types and copy buttons; null when there is none and nothing was dropped.
 *
 * @param {Attribute[]} attributes
 * @param {number} dropped
 */
export function attributeTable(attributes, dropped) {
  if (attributes.length === 0 && !dropped) return null;
  const rows = attributes.map((one) =>
    h(
      "tr",
      { dataset: { filter: `${one.key}\n${valueText(one)}`.toLowerCase() } },
      h("th", { scope: "row" }, quoted(visibleText(one.key), { class: "tr-key" })),
      h("td", { title: one.type }, valueNode(one), one.type === "string" ? null : h("span", { class: "tr-type" }, one.type)),
      h("td", { class: "tr-copy-cell" }, copyButton(valueText(one), one.key.slice(0, 60))),
    ),
  );
  return [
    h("table", { class: "tr-attributes" }, h("tbody", {}, rows)),
    dropped
      ? h("p", { class: "tr-dropped" }, `${dropped.toLocaleString()} more were dropped before they came here.`)
      : null,
  ];
}
