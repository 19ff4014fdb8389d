// @ts-check
// Why spans are not kept, in words. An unknown reason is shown as it is.

/** @type {Record<string, string>} */
const WORDS = {
  malformed: "could not be read as what their sender said they are",
  invalid_id: "without a valid trace or span id",
  attribute_limit: "more attributes than a span may have",
  part_limit: "more events or links than a span may have",
  trace_limit: "the trace has as many spans as a trace may have",
  too_large: "larger than a request may be",
  overloaded: "came faster than they could be stored; senders were asked to try again",
  disk: "could not be written to the disk",
  repeated: "were here already",
  size: "evicted to stay within the size of the store",
  age: "evicted because they were older than the store keeps spans",
};

/** @param {string} reason */
export function reasonWords(reason) {
  return WORDS[reason] ?? reason;
}
