/* The theme that was chosen before, set before anything is drawn. Not a module: those come later. */
"use strict";

try {
  const theme = localStorage.getItem("rsfiqa-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden here; the system's theme it is.
}
