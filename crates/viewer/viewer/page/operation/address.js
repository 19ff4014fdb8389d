// @ts-check
// The address of the page of many traces.

/**
 * The address of this page for a search; `params` are those of the API.
 *
 * @param {Record<string, any>} params
 */
export function operationAddress(params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
  }
  return `/operation?${query}`;
}
