/* The pictures of this page and how far each of them is. */

import { assess, Refusal } from "./requests.js";
import { bytesText, capitalized } from "./words.js";

const AT_ONCE = 2; // the next one is on its way while the model works
const TRIES = 20; // of a busy server, before a person is asked

let next = 1;

/** One picture, from the moment it was chosen. */
export class Picture {
  /** @param {File} file */
  constructor(file) {
    this.number = next++;
    this.file = file;
    this.url = URL.createObjectURL(file);
    /** @type {"waiting"|"sending"|"assessing"|"busy"|"done"|"failed"|"cancelled"} */
    this.state = "waiting";
    this.sent = 0; // share of the file
    this.since = 0; // when the state began, in ms
    this.until = 0; // when a busy server is asked again, in ms
    this.sentence = ""; // why it failed
    this.again = true; // whether trying again may help
    this.wantsKey = false;
    this.answer = null;
    this.reads = true;
    this.abort = new AbortController();
  }

  get name() {
    return this.file.name;
  }

  get active() {
    return ["waiting", "sending", "assessing", "busy"].includes(this.state);
  }
}

/** A list of pictures, two of which are worked on. Tells of changes by "change", of the picture. */
export class Work extends EventTarget {
  pictures = [];
  limits = null;
  reads = true; // whether regions are to be read

  /** Take a file in; what can be known to fail fails here. */
  add(file) {
    const picture = new Picture(file);
    picture.reads = this.reads;
    this.pictures.push(picture);
    const trouble = this.#troubleWith(file);
    if (trouble) this.#fail(picture, trouble, false);
    else this.#set(picture, "waiting");
    this.#start();
    return picture;
  }

  /** Take in something that is no file, to say so in its place. */
  refuse(name, sentence) {
    const picture = new Picture(new File([], name));
    this.pictures.push(picture);
    this.#fail(picture, sentence, false);
    return picture;
  }

  cancel(picture) {
    picture.abort.abort();
    this.#set(picture, "cancelled");
    this.#start();
  }

  retry(picture) {
    picture.abort = new AbortController();
    picture.reads = this.reads;
    picture.wantsKey = false;
    this.#set(picture, "waiting");
    this.#start();
  }

  remove(picture) {
    picture.abort.abort();
    URL.revokeObjectURL(picture.url);
    this.pictures = this.pictures.filter((other) => other !== picture);
    this.dispatchEvent(new CustomEvent("remove", { detail: picture }));
    this.#start();
  }

  #start() {
    const running = this.pictures.filter((p) => p.active && p.state !== "waiting").length;
    const waiting = this.pictures.filter((p) => p.state === "waiting");
    for (const picture of waiting.slice(0, Math.max(0, AT_ONCE - running))) this.#run(picture);
  }

  async #run(picture) {
    const { signal } = picture.abort;
    const onSent = (share) => {
      picture.sent = share;
      this.#set(picture, share < 1 ? "sending" : "assessing");
    };
    const options = { maps: "attention", ...(picture.reads ? {} : { reader: false }) };
    try {
      for (let tries = 1; ; tries++) {
        picture.sent = 0;
        this.#set(picture, "sending");
        try {
          picture.answer = await assess(picture.file, options, { signal, onSent });
          break;
        } catch (error) {
          if (!error.retryAfter || tries === TRIES) throw error;
          picture.until = Date.now() + 1000 * error.retryAfter;
          this.#set(picture, "busy");
          await pause(1000 * error.retryAfter, signal);
        }
      }
      this.#set(picture, "done");
    } catch (error) {
      if (signal.aborted) return; // whoever did it has said so
      if (!(error instanceof Refusal)) throw error;
      picture.wantsKey = error.wantsKey;
      this.#fail(picture, error.message, ![413, 415, 422].includes(error.status));
    } finally {
      this.#start();
    }
  }

  #troubleWith(file) {
    if (file.type && !file.type.startsWith("image/")) return `${file.name} is no picture.`;
    if (!file.size) return `${file.name} is empty.`;
    const most = this.limits?.max_bytes;
    if (most && file.size > most) {
      return `${file.name} has ${bytesText(file.size)}; at most ${bytesText(most)} are taken.`;
    }
    return null;
  }

  #fail(picture, sentence, again) {
    picture.sentence = sentence.startsWith(picture.name) ? sentence : capitalized(sentence);
    picture.again = again;
    this.#set(picture, "failed");
  }

  #set(picture, state) {
    if (picture.state !== state) picture.since = Date.now();
    picture.state = state;
    this.dispatchEvent(new CustomEvent("change", { detail: picture }));
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("It was cancelled.", "AbortError"));
    });
  });
}
