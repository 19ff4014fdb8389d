// @ts-check
// Numbers, times and names as people read them. Pure: nothing here touches the document.
//
// Durations are nanoseconds; points in time are decimal strings of nanoseconds, which a number could not hold exactly.

/** @type {[number, string][]} */
const UNITS = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
];
const NONE = "–";
export const SERVICE_COLORS = 12;

/**
 * "812 ns", "12 µs", "48.2 ms", "1.20 s", "3 min 20 s", "1 h 23 min", "4 d 2 h".
 *
 * @param {number | bigint | string | null | undefined} ns
 * @returns {string}
 */
export function duration(ns) {
  const value = Number(ns ?? NaN);
  if (!Number.isFinite(value)) return NONE;
  if (value < 0) return `−${duration(-value)}`;
  if (value < 1000) return `${Math.round(value)} ns`;
  // Where "60 s" would be shown.
  if (value >= 59.95e9) return long(Math.round(value / 1e9));
  for (const [size, unit] of UNITS) {
    // Rounding must not show "1000 µs" where "1 ms" is meant.
    if (value >= size * 0.9995) return `${digits(value / size)} ${unit}`;
  }
  return `${Math.round(value)} ns`;
}

/** @param {number} seconds */
function long(seconds) {
  /** @type {[number, string][]} */
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const at = parts.findIndex(([size]) => seconds >= size);
  const [size, unit] = parts[at];
  const whole = Math.floor(seconds / size);
  const [lesser, lesserUnit] = parts[at + 1] ?? [1, "s"];
  const rest = Math.floor((seconds % size) / lesser);
  return rest ? `${count(whole)} ${unit} ${rest} ${lesserUnit}` : `${count(whole)} ${unit}`;
}

/**
 * Three digits that count; none after the point when all would be zero.
 *
 * @param {number} value
 */
function digits(value) {
  const places = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return value.toFixed(places).replace(/\.0+$/, "");
}

/** @param {string | number | bigint} ns @returns {{date: Date, nanos: number} | null} */
function instant(ns) {
  try {
    const whole = BigInt(ns);
    const second = 1_000_000_000n;
    let seconds = whole / second;
    let rest = whole % second;
    if (rest < 0n) {
      rest += second;
      seconds -= 1n;
    }
    const date = new Date(Number(seconds) * 1000);
    return Number.isNaN(date.getTime()) ? null : { date, nanos: Number(rest) };
  } catch {
    return null;
  }
}

/** @param {number} n */
const two = (n) => String(n).padStart(2, "0");
/** @param {Date} date */
const day = (date) =>
  `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
/** @param {Date} date */
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

/**
 * Local time with milliseconds: "14:05:12.345", with `date` "2026-11-21 14:05:12.345".
 *
 * @param {string | number | bigint} ns
 * @param {{date?: boolean}} [options]
 */
export function time(ns, { date: withDate = false } = {}) {
  const at = instant(ns);
  if (!at) return NONE;
  const text = `${clock(at.date)}.${String(Math.floor(at.nanos / 1e6)).padStart(3, "0")}`;
  return withDate ? `${day(at.date)} ${text}` : text;
}

/**
 * Local time with all nine decimals and the offset: "2026-11-21 14:05:12.345678901 +01:00".
 *
 * @param {string | number | bigint} ns
 */
export function timeExact(ns) {
  const at = instant(ns);
  if (!at) return NONE;
  const minutes = -at.date.getTimezoneOffset();
  const offset = `${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return `${day(at.date)} ${clock(at.date)}.${String(at.nanos).padStart(9, "0")} ${offset}`;
}

/**
 * Milliseconds since 1970 (a number) of a time in nanoseconds.
 *
 * @param {string | number | bigint} ns
 */
export function toMillis(ns) {
  const at = instant(ns);
  return at ? at.date.getTime() + at.nanos / 1e6 : NaN;
}

/**
 * Nanoseconds (a string) of milliseconds since 1970.
 *
 * @param {number} ms
 */
export function fromMillis(ms) {
  return Number.isFinite(ms) ? (BigInt(Math.floor(ms)) * 1_000_000n).toString() : "0";
}

/**
 * "12,345" in the reader's own grouping.
 *
 * @param {number | string | bigint | null | undefined} n
 */
export function count(n) {
  const value = Number(n ?? NaN);
  return Number.isFinite(value) ? value.toLocaleString() : NONE;
}

/**
 * "1 trace", "12,345 traces".
 *
 * @param {number | string | bigint} n
 * @param {string} noun
 */
export function counted(n, noun) {
  return `${count(n)} ${noun}${Number(n) === 1 ? "" : "s"}`;
}

/**
 * "640 B", "1.20 KiB", "10 GiB".
 *
 * @param {number | string | null | undefined} n
 */
export function bytes(n) {
  let value = Number(n ?? NaN);
  if (!Number.isFinite(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 999.5 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at ? digits(value) : Math.round(value)} ${units[at]}`;
}

/**
 * What rates of a column are told in, so that they can be compared: by the largest of them.
 *
 * @param {(number | null | undefined)[]} rates
 */
export function rateUnit(rates) {
  const most = Math.max(0, ...rates.map(Number).filter(Number.isFinite));
  if (most === 0 || most >= 0.0995) return RATE_UNITS[0];
  return most * 60 >= 0.0995 ? RATE_UNITS[1] : RATE_UNITS[2];
}

/** @type {[number, string][]} */
const RATE_UNITS = [
  [1, "/s"],
  [60, "/min"],
  [3600, "/h"],
];

/**
 * A rate in one of these units: "12.3/s", "< 0.01/s".
 *
 * @param {[number, string]} unit
 * @param {number | null | undefined} perSecond
 */
export function rateIn([size, unit], perSecond) {
  const value = Number(perSecond ?? NaN) * size;
  if (!Number.isFinite(value)) return NONE;
  if (value > 0 && value < 0.00995) return `< 0.01${unit}`;
  return `${value >= 1000 ? count(Math.round(value)) : digits(value)}${unit}`;
}

/**
 * Calls per second, or per minute or hour when they are few: "12.3/s", "2/min".
 *
 * @param {number | null | undefined} perSecond
 */
export function rate(perSecond) {
  const value = Number(perSecond ?? NaN);
  if (!Number.isFinite(value)) return NONE;
  if (value === 0) return "0/s";
  if (value >= 1000) return `${count(Math.round(value))}/s`;
  if (value >= 0.0995) return `${digits(value)}/s`;
  if (value * 60 >= 0.0995) return `${digits(value * 60)}/min`;
  return value * 3600 < 0.01 ? "< 0.01/h" : `${digits(value * 3600)}/h`;
}

/**
 * A share between 0 and 1: "0 %", "< 0.1 %", "2.4 %", "100 %".
 *
 * @param {number | null | undefined} share
 */
export function percent(share) {
  const value = Number(share ?? NaN) * 100;
  if (!Number.isFinite(value)) return NONE;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value > 99.9 && value < 100) return "> 99.9 %";
  return `${value.toFixed(1).replace(/\.0$/, "")} %`;
}

/**
 * The same number from 0 to 11 for the same name, always: the class `svc-<n>` has its colour.
 *
 * @param {string} name
 */
export function serviceColor(name) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193) >>> 0;
  // The low bits of this hash are weak for short names.
  return ((hash >>> 16) ^ (hash & 0xffff)) % SERVICE_COLORS;
}

/** @type {Record<string, string>} */
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };
// Control characters, marks that reorder or hide text, line separators, halves of surrogate pairs.
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * The text on one line, with what cannot be seen (or plays tricks) written as an escape.
 *
 * @param {unknown} text
 */
export function visibleText(text) {
  return String(text ?? "").replace(
    HIDDEN,
    (char) => NAMED[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
