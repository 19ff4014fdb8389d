// @ts-check
// What is typed into the trace's search box as a span filter of the API: conditions on attributes, and text. Pure.

const FIELDS = new Set(["service", "operation", "kind", "status", "min_duration", "max_duration"]);
const TOKEN = /(?:"[^"]*"|[^\s"])+/g;
// A condition has a key, perhaps in quotes, and one of the API's signs.
const CONDITION = /^((?:(?:span|resource|event|link):)?(?:"[^"]+"|[^=!~><"\s]+))(!=|>=|<=|=|~)(.*)$/;

/**
 * `{text, attr: [], service, …}` for the API; null for nothing.
 *
 * @param {string} typed
 */
export function filterOf(typed) {
  /** @type {{attr: string[], [name: string]: any}} */
  const filter = { attr: [] };
  const words = [];
  for (const token of typed.match(TOKEN) ?? []) {
    const condition = CONDITION.exec(token);
    if (condition === null) {
      words.push(unquoted(token));
      continue;
    }
    const [, key, sign, value] = condition;
    if (sign === "=" && FIELDS.has(key)) filter[key] = unquoted(value);
    else filter.attr.push(key + sign + unquoted(value));
  }
  // Spaces between words that are no conditions belong to the text that is looked for.
  if (words.length > 0) filter.text = words.join(" ");
  return words.length > 0 || filter.attr.length > 0 || Object.keys(filter).length > 1 ? filter : null;
}

/** @param {string} text */
function unquoted(text) {
  return /^".*"$/s.test(text) && text.length > 1 ? text.slice(1, -1) : text;
}
