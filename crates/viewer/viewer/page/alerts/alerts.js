// @ts-check
// Alerts: what fires first, then what is unusual, the rules against their thresholds, silences, history, receivers and pinned
// traces. Loaded again every few seconds while it is looked at.

import { announce } from "../kit/announce.js";
import { get, isAbort, remove } from "../kit/api.js";
import { all, clear, h } from "../kit/dom.js";
import { count, counted } from "../kit/format.js";
import { copyLine } from "../kit/copy-line.js";
import { keys } from "../kit/keys.js";
import { empty, failed, loading } from "../kit/state-box.js";
import { alertCard, anomalyCard } from "./cards.js";
import { askForSilence } from "./silence.js";
import { historyTable, pinsTable, receiversTable, rulesTable, silencesTable } from "./tables.js";

/**
 * @typedef {import("../kit/api-types").AlertPage} AlertPage
 * @typedef {import("../kit/api-types").AnomalyList} AnomalyList
 * @typedef {import("../kit/api-types").PinList} PinList
 * @typedef {import("../kit/dom.js").Child} Child
 */
const EVERY_MS = 5000;
/** Rows of the history that are shown at once. */
const SHOWN = 50;

const EXAMPLE = `[[viewer.alerts.rules]]
name = "orders fail"
kind = "error-share"
service = "api-gateway"
operation = "POST /api/orders"
threshold = "5%"
window = "5m"
for = "2m"
severity = "page"`;

/** @param {HTMLElement} root */
export default function view(root) {
  let asked = new AbortController();
  let timer = 0;
  let told = "";
  const problem = h("div", {});
  const now = h("section", { class: "alert-section", "aria-label": "Now" });
  const unusual = h("section", { class: "alert-section", "aria-label": "Anomalies" });
  const rest = h("div", {});
  root.append(
    h("div", { class: "page alerts" }, h("div", { class: "page-head" }, h("h1", {}, "Alerts")), problem, now, unusual, rest),
  );
  clear(now, loading());
  document.title = "Alerts · Waypost";

  async function load() {
    asked.abort();
    clearTimeout(timer);
    asked = new AbortController();
    const { signal } = asked;
    try {
      const [alerts, anomalies, pins] = await Promise.all([
        get("/alerts", undefined, { signal }),
        get("/anomalies", undefined, { signal }),
        get("/pins", undefined, { signal }),
      ]);
      clear(problem);
      show(alerts, anomalies, pins);
    } catch (error) {
      if (isAbort(error)) return;
      clear(problem, failed(error, load));
    }
    timer = setTimeout(load, EVERY_MS);
  }

  /**
   * Shows something newer in place of what is there: what is marked stays, what has the focus or is open is so again.
   *
   * @param {HTMLElement} node
   * @param {...Child} content
   */
  function redraw(node, ...content) {
    const selection = getSelection();
    if (selection && !selection.isCollapsed && node.contains(selection.anchorNode)) return;
    const controls = () => all(node, "a, button, summary, [tabindex]");
    const held = controls().indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const label = controls()[held]?.textContent;
    const open = all(node, "details[open]").length > 0;
    clear(node, content);
    if (open) all(node, "details").forEach((one) => one.setAttribute("open", ""));
    const again = controls()[held];
    if (again && again.textContent === label) again.focus({ preventScroll: true });
  }

  /** @param {AlertPage} page @param {AnomalyList} anomalies @param {PinList} pins */
  function show(page, anomalies, pins) {
    const firing = page.alerts.filter((alert) => alert.state === "firing");
    const words = `${counted(firing.length, "alert")} firing, ${page.alerts.length - firing.length} pending`;
    if (told && told !== words) announce(words, { assertive: true });
    told = words;
    redraw(now, shownNow(page, words));
    redraw(unusual, shownAnomalies(anomalies));
    redraw(rest, shownRest(page, pins));
  }

  /** @param {AlertPage} page @param {string} words */
  function shownNow(page, words) {
    if (!page.rules.length) {
      return empty(
        "No rules yet",
        "Rules are written in the configuration file. The first one may be this:",
        copyLine(EXAMPLE),
      );
    }
    if (!page.alerts.length) return h("p", { class: "note alert-calm" }, "Nothing fires.");
    /** @param {import("../kit/api-types").AlertLine} alert */
    const silence = (alert) => askForSilence(alert, load);
    return [h("h2", {}, words), h("ul", { class: "alert-cards" }, page.alerts.map((alert) => alertCard(alert, { silence })))];
  }

  /** @param {AnomalyList} list */
  function shownAnomalies({ active, ended }) {
    /** @param {import("../kit/api-types").Anomaly[]} anomalies */
    const list = (anomalies) => h("ul", { class: "alert-cards" }, anomalies.map(anomalyCard));
    return [
      h("h2", {}, "Anomalies"),
      h(
        "p",
        { class: "muted" },
        "The last ten minutes against the same hour of earlier days and the last three hours, for every operation and every call to the outside.",
      ),
      active.length ? list(active) : h("p", { class: "note alert-calm" }, "Nothing is unusual now."),
      ended.length ? h("details", { class: "alert-ended" }, h("summary", {}, `${count(ended.length)} before`), list(ended)) : null,
    ];
  }

  /** @param {AlertPage} page @param {PinList} pins */
  function shownRest(page, pins) {
    /** @param {string} title @param {...Child} content */
    const section = (title, ...content) => h("section", { class: "alert-section", "aria-label": title }, h("h2", {}, title), content);
    const history = page.history.slice(0, SHOWN);
    return [
      page.rules.length ? section("Rules", rulesTable(page.rules)) : null,
      page.silences.length ? section("Silences", silencesTable(page.silences, (id) => change(`/silences/${id}`))) : null,
      history.length ? section("History", historyTable(history)) : null,
      page.receivers.length ? section("Receivers", receiversTable(page.receivers)) : null,
      section("Pinned traces", pinsTable(pins, (id) => change(`/traces/${id}/pin`))),
    ];
  }

  /** @param {string} path */
  async function change(path) {
    try {
      await remove(path);
    } catch (error) {
      clear(problem, failed(error));
    }
    load();
  }

  const unbind = keys.bind("Alerts", "r", "Load again", load);
  load();
  return () => {
    asked.abort();
    clearTimeout(timer);
    unbind();
  };
}
