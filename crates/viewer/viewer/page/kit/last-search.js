// @ts-check
// The search that was shown last, so that "Search" and the way back from a trace lead to it.

let last = "/search";
let hasSearched = false;

/** @param {string} address path and query */
export function remember(address) {
  last = address;
  hasSearched = true;
}

/** The address of the last search; of an empty one when there was none. */
export function lastSearch() {
  return last;
}

/** Whether there was one since the page was loaded. */
export function isSearched() {
  return hasSearched;
}
