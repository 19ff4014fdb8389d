// @ts-check
// The viewer's own API under /api/v1 (docs/viewer-api.md), for the views.
//
// What fails is an ApiError with the answer's own words, and with the name of the parameter that was wrong if one was.
// A 401 is also told to whoever asked to know (`onUnauthorized`): the token page.

import { onHost } from "./base.js";

const BASE = onHost("/api/v1");
/** @type {() => void} */
let unauthorized = () => {};

/**
 * Calls `callback` whenever an answer is 401.
 *
 * @param {() => void} callback
 */
export function onUnauthorized(callback) {
  unauthorized = callback;
}

export class ApiError extends Error {
  /** @param {number} status @param {{title?: string, detail?: string, parameter?: string}} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `the viewer answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.title = problem.title ?? "";
    this.detail = problem.detail ?? "";
    this.parameter = problem.parameter ?? null;
  }
}

/**
 * A query string of an object or a URLSearchParams: lists are repeated, empty values left out.
 *
 * @param {object | undefined} params
 */
function queryString(params) {
  const query = new URLSearchParams();
  const entries = params instanceof URLSearchParams ? params : Object.entries(params ?? {});
  for (const [name, value] of entries) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one != null && one !== "") query.append(name, String(one));
    }
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/**
 * The address of a call, for links and downloads.
 *
 * @param {string} path
 * @param {object} [params]
 */
export function address(path, params) {
  return `${BASE}${path}${queryString(params)}`;
}

/**
 * The JSON answer of a GET. Throws ApiError; an aborted call throws the DOMException "AbortError".
 *
 * @template {string} Path
 * @param {Path} path
 * @param {object} [params]
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<import("./answers").AnswerOf<Path>>}
 */
export function get(path, params, { signal } = {}) {
  return call(address(path, params), { signal });
}

/**
 * The JSON answer of a POST. `body`: an object is sent as JSON; a Blob, a File or a string as it is.
 *
 * @template {string} Path
 * @param {Path} path
 * @param {object | Blob | string} body
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<import("./answers").PostAnswerOf<Path>>}
 */
export function post(path, body, { signal } = {}) {
  const raw = body instanceof Blob || typeof body === "string";
  return call(address(path), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: raw ? body : JSON.stringify(body),
    signal,
  });
}

/**
 * A DELETE, which answers nothing.
 *
 * @param {string} path
 */
export function remove(path) {
  return call(address(path), { method: "DELETE" });
}

/** @param {string} url @param {RequestInit} init @returns {Promise<any>} */
async function call(url, init) {
  let response;
  try {
    response = await fetch(url, { ...init, headers: { accept: "application/json", ...init.headers } });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, { title: "no answer", detail: "The viewer does not answer. Is it still running?" });
  }
  if (response.status === 401) unauthorized();
  if (!response.ok) throw new ApiError(response.status, await problem(response));
  return response.status === 204 ? null : response.json();
}

/** @param {Response} response */
async function problem(response) {
  try {
    return await response.json();
  } catch {
    return { title: response.statusText };
  }
}

/**
 * Whether this is only a call that was given up.
 *
 * @param {unknown} error
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * What was thrown, in words.
 *
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The parameter that the API did not take, if it was one, and why.
 *
 * @param {unknown} error
 * @returns {{parameter: string | null, message: string}}
 */
export function refusalOf(error) {
  return { parameter: error instanceof ApiError ? error.parameter : null, message: messageOf(error) };
}

/**
 * @typedef {{[Name in keyof import("./answers").TailEvents]?: (data: import("./answers").TailEvents[Name]) => void}} EventHandlers
 * @typedef {EventHandlers & {open?: () => void, error?: (gaveUp: boolean) => void}} StreamHandlers
 */

/**
 * Server-sent events. `handlers`: a function of the parsed data for each event name, and `open`, `error` (told whether
 * the browser gave up). Answers `{close()}`.
 *
 * @param {string} path
 * @param {object} params
 * @param {StreamHandlers} handlers
 */
export function stream(path, params, { open, error, ...events }) {
  const source = new EventSource(address(path, params));
  if (open) source.addEventListener("open", () => open());
  if (error) source.addEventListener("error", () => error(source.readyState === EventSource.CLOSED));
  for (const [name, handler] of Object.entries(events)) {
    source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
  }
  return { close: () => source.close() };
}
