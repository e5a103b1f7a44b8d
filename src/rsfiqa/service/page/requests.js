/* Asking the API that this page came with. */

const BUSY = [429, 503];
const RETRY_SECONDS = 5;

let key = null;

/** The key to show the server from now on; kept in memory only. */
export function showKey(value) {
  key = value;
}

/** A request that was not answered as asked. */
export class Refusal extends Error {
  /**
   * @param {string} sentence
   * @param {number} status of HTTP; 0 where nobody answered.
   * @param {number | null} retryAfter seconds after which it is worth asking again by itself.
   */
  constructor(sentence, status, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get wantsKey() {
    return this.status === 401;
  }
}

/**
 * Have a picture assessed.
 *
 * @param {File} file
 * @param {object} options of the API: reader, masks, maps, overlays, report.
 * @param {object} [more]
 * @param {AbortSignal} [more.signal] ends the request.
 * @param {(share: number) => void} [more.onSent] told how much of the file has left, 0..1.
 * @returns {Promise<object>} the answer.
 * @throws {Refusal} with one sentence for the reader.
 * @throws {DOMException} AbortError.
 */
export function assess(file, options, { signal, onSent } = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries(options)) form.append(name, String(value));
  form.append("image", file, file.name);
  return ask("POST", "v1/assess", { body: form, signal, onSent });
}

/** What assesses here, and within which limits. */
export function models() {
  return ask("GET", "v1/models", {});
}

// Not fetch(): that does not tell how far an upload is.
function ask(method, path, { body, signal, onSent }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open(method, path);
    request.responseType = "json";
    if (key !== null) request.setRequestHeader("X-API-Key", key);
    request.upload.onprogress = (event) => onSent?.(event.total ? event.loaded / event.total : 1);
    request.onload = () => {
      if (request.status === 200 && request.response) resolve(request.response);
      else reject(refusalOf(request));
    };
    request.onerror = () =>
      reject(new Refusal("The server does not answer; is it still running?", 0));
    request.onabort = () => reject(new DOMException("It was cancelled.", "AbortError"));
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) reject(new DOMException("It was cancelled.", "AbortError"));
    else request.send(body);
  });
}

function refusalOf(request) {
  const { status } = request;
  const sentence = request.response?.error ?? sentenceFor(status);
  const after = Number(request.getResponseHeader("Retry-After")) || RETRY_SECONDS;
  return new Refusal(sentence, status, BUSY.includes(status) ? after : null);
}

/** For answers that are not the server's own, such as a proxy's. */
function sentenceFor(status) {
  if (status === 413) return "The picture is larger than the server takes.";
  if (BUSY.includes(status)) return "The server is busy.";
  return `The server's answer makes no sense (status ${status}).`;
}
