// @ts-check
// Conditions on attributes as the API writes them: `[scope:]key`, `key=value`, `key!=value`, `key~part`, and `key` with `>=`,
// `<=`, `>` or `<` and a number. Pure; crates/viewer/viewer/src/api/filter.rs is the other side.

export const SCOPES = ["span", "resource", "event", "link"];

/** Operators with their words; the empty one asks only whether the key is there. */
export const OPERATORS = [
  ["=", "is"],
  ["!=", "is not"],
  ["~", "contains"],
  [">=", "at least"],
  ["<=", "at most"],
  [">", "more than"],
  ["<", "less than"],
  ["", "exists"],
];

const SCOPED = /^(span|resource|event|link):/;

/**
 * The text of `{scope, key, operator, value}`.
 *
 * @param {{scope: string, key: string, operator: string, value: string}} condition
 */
export function write({ scope, key, operator, value }) {
  const isPlain = !/[=!~><]/.test(key) && !key.startsWith('"') && (scope || !SCOPED.test(key));
  const name = isPlain ? key : `"${key.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  return `${scope ? `${scope}:` : ""}${name}${operator}${operator ? value : ""}`;
}

/**
 * The parts of such a text; null when it is none.
 *
 * @param {string} text
 */
export function read(text) {
  const scope = SCOPED.exec(text)?.[1] ?? "";
  const rest = scope ? text.slice(scope.length + 1) : text;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"/.exec(rest);
  const [written] = quoted ?? /^[^=!~><]*/.exec(rest) ?? [""];
  const key = quoted ? quoted[1].replace(/\\(["\\])/g, "$1") : written;
  const tail = rest.slice(written.length);
  if (!key) return null;
  if (!tail) return { scope, key, operator: "", value: "" };
  const operator = ["!=", ">=", "<=", "=", "~", ">", "<"].find((sign) => tail.startsWith(sign));
  return operator ? { scope, key, operator, value: tail.slice(operator.length) } : null;
}

/**
 * The condition in words: "resource host.name is a".
 *
 * @param {string} text
 */
export function words(text) {
  const parts = read(text);
  if (!parts) return text;
  const { scope, key, operator, value } = parts;
  const word = OPERATORS.find(([sign]) => sign === operator)?.[1];
  return `${scope ? `${scope} ` : ""}${key} ${word}${operator ? ` ${value === "" ? "(empty)" : value}` : ""}`;
}
