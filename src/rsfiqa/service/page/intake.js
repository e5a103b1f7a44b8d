/* Ways for pictures to come in: chosen, dropped anywhere on the page, pasted. */

/**
 * Listen for pictures.
 *
 * @param {HTMLElement} zone marked with the class "over" while something is dragged over the page.
 * @param {HTMLInputElement} input of type file.
 * @param {(files: File[], folders: string[]) => void} take
 */
export function listenForPictures(zone, input, take) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    if (files.length) take(files, []);
  });

  let depth = 0; // entering a child comes before leaving its parent
  const over = (change) => {
    depth = Math.max(0, depth + change);
    zone.classList.toggle("over", depth > 0);
  };
  addEventListener("dragenter", (event) => holdsFiles(event) && over(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && over(-1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    over(-depth);
    take(...filesOf(event.dataTransfer));
  });

  let pasted = 0;
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    // Browsers call whatever was copied from a page "image.png".
    const named = (file) =>
      file.name === "image.png"
        ? new File([file], `pasted picture ${++pasted}.png`, { type: file.type })
        : file;
    take(files.map(named), []);
  });
}

function holdsFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

function filesOf(transfer) {
  const files = [];
  const folders = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    if (entry?.isDirectory) folders.push(entry.name);
    else files.push(item.getAsFile());
  }
  return [files, folders];
}
