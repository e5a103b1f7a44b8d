/* Files to take away: what was answered, and what the server draws when asked. */

import { assess } from "./requests.js";

/** The answer as `rsfiqa assess` writes it. */
export function saveJson(picture) {
  const { maps: _, ...answer } = picture.answer;
  save(new Blob([JSON.stringify(answer, null, 1)], { type: "application/json" }), picture, "json");
}

/** The picture with a layer drawn over it: "regions", "attention" or "quality". */
export async function saveOverlay(picture, kind, signal) {
  const answer = await again(picture, { overlays: kind }, signal);
  const bytes = Uint8Array.from(atob(answer.overlays[kind]), (c) => c.charCodeAt(0));
  save(new Blob([bytes], { type: "image/png" }), picture, `${kind}.png`);
}

/** The page about this picture alone, which needs no server. */
export async function saveReport(picture, signal) {
  const { report } = await again(picture, { report: true }, signal);
  save(new Blob([report], { type: "text/html" }), picture, "html");
}

/** Ask anew: the answer is the same, and most people never want these files. */
function again(picture, wanted, signal) {
  const reader = picture.reads ? {} : { reader: false };
  return assess(picture.file, { masks: false, ...reader, ...wanted }, { signal });
}

function save(blob, picture, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${picture.name.replace(/\.[^.]*$/, "")}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
