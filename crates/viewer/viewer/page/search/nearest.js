// @ts-check
// Names that are like one that was typed. Pure.

/**
 * The most alike first: those that contain it, then those with the fewest letters changed; at most `most`.
 *
 * @param {string} typed
 * @param {string[]} names
 * @param {number} [most]
 */
export function nearest(typed, names, most = 5) {
  const wanted = typed.toLowerCase();
  const ranked = names.map((name) => {
    const lower = name.toLowerCase();
    const contains = lower.includes(wanted) || wanted.includes(lower);
    return { name, distance: contains ? 0 : distance(wanted, lower) };
  });
  return ranked
    .filter((one) => one.distance <= Math.max(2, wanted.length / 2))
    .sort((one, other) => one.distance - other.distance || (one.name < other.name ? -1 : 1))
    .slice(0, most)
    .map((one) => one.name);
}

/**
 * Letters to add, take out or change (Levenshtein).
 *
 * @param {string} one
 * @param {string} other
 */
function distance(one, other) {
  let before = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const now = [row];
    for (let at = 1; at <= other.length; at += 1) {
      const change = before[at - 1] + (one[row - 1] === other[at - 1] ? 0 : 1);
      now.push(Math.min(change, before[at] + 1, now[at - 1] + 1));
    }
    before = now;
  }
  return before[other.length];
}
