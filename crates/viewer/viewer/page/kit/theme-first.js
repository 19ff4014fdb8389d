// @ts-check
// Not a module: runs before the first paint, so that a chosen theme does not flash the other one.
try {
  const choice = localStorage.getItem("waypost-theme");
  if (choice === "dark" || choice === "light") document.documentElement.dataset.theme = choice;
} catch {
  // Without storage the system's theme holds.
}
