// @ts-check
// Dark, light, or as the system has it. The choice is kept in this browser; theme-first.js applies it before the first
// paint.

const KEY = "waypost-theme";
const ORDER = ["auto", "dark", "light"];

function stored() {
  try {
    const value = localStorage.getItem(KEY) ?? "auto";
    return ORDER.includes(value) ? value : "auto";
  } catch {
    return "auto";
  }
}

let choice = stored();

function apply() {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

/** "auto", "dark" or "light". */
function current() {
  return choice;
}

/** Takes the next of the three; answers it. */
function cycle() {
  choice = ORDER[(ORDER.indexOf(choice) + 1) % ORDER.length];
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  apply();
  dispatchEvent(new CustomEvent("themechange"));
  return choice;
}

/** Whether the page is dark at this moment. */
function isDark() {
  return choice === "dark" || (choice === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  dispatchEvent(new CustomEvent("themechange")),
);
apply();

export const theme = { current, cycle, isDark };
