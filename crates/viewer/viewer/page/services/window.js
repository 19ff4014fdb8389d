// Which stretch of time figures are of: an age up to now, in the address as `from`.

import { setState, state } from "../kit/router.js";
import { timeRange } from "../search/time-range.js";

const AGES = ["5m", "15m", "1h", "6h", "24h"];
const USUAL = "1h";

/** The age that the address names. */
export function windowOf(query) {
  const from = query.get("from");
  return from && /^\d+[smhdw]$/.test(from) ? from : USUAL;
}

/** The buttons to choose it; `onRefresh` loads what is shown. */
export function windowChoice({ onRefresh }) {
  const range = timeRange({
    ages: AGES,
    hasAll: false,
    hasCustom: false,
    onRefresh,
    onChange: ({ from }) => {
      setState({ from: from === USUAL ? "" : from });
      range.set({ from, to: "" });
      onRefresh();
    },
  });
  range.set({ from: windowOf(state()), to: "" });
  return { node: range.node };
}
