// @ts-check
// Where the page stands on its host: below a path when a proxy serves it there (`viewer.base_path`), else at the root.

/** The path without a slash at its end; "" at the root. */
export const BASE_PATH = globalThis.document?.documentElement.dataset.base ?? "";

/**
 * The address on the host of a path of this page.
 *
 * @param {string} path
 */
export function onHost(path) {
  return BASE_PATH + path;
}

/**
 * The path of this page of one on the host.
 *
 * @param {string} path
 */
export function onPage(path) {
  return BASE_PATH && path.startsWith(BASE_PATH) ? path.slice(BASE_PATH.length) || "/" : path;
}
