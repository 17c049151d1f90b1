// A WebSocket that comes back by itself. Every message is handed on; nothing is kept for later.

import { Clock } from "./clock.js";

const ANSWER_SECONDS = 20;

export class Line {
  constructor(path, { open = () => {}, message = () => {}, close = () => {}, binary = false } = {}) {
    Object.assign(this, { path, open, message, close, binary });
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    if (this.binary) socket.binaryType = "arraybuffer";
    this.heardAt = performance.now();
    socket.onopen = () => {
      this.heardAt = performance.now();
      this.open();
    };
    socket.onmessage = (event) => {
      this.heardAt = performance.now();
      this.message(event.data);
    };
    socket.onclose = (event) => {
      if (this.ended) return;
      this.close(event.code);
      setTimeout(() => this.ended || this.connect(), 1000);
    };
    this.socket = socket;
  }

  // One that has said nothing for so many ms may be gone without a word, as after a sleep, and one that is still to open may
  // wait for long after the network is back: another takes its place at once.
  renew(silent) {
    const { readyState } = this.socket;
    const opening = readyState === WebSocket.CONNECTING;
    if (!(opening || this.up) || performance.now() - this.heardAt < (opening ? 2 * silent : silent)) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.close();
    this.connect();
  }

  // Does not come back.
  end() {
    this.ended = true;
    this.socket.close();
  }

  get up() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  // Whether it was sent.
  send(text) {
    // What waits in the browser is the past when it arrives.
    if (!this.up || this.socket.bufferedAmount >= 4096) return false;
    this.socket.send(text);
    return true;
  }
}

// The server's clock, by which a request says when it was asked for: one that then waits behind others is refused.
export const clock = new Clock();

// What is refused where it comes late, and so needs the clock.
const MOVES = /^\/(release|goals?|call\/.*)$/;

// Asks the server to do something; its words, or why there are none. seconds: how long it may take.
export async function ask(path, body, seconds = ANSWER_SECONDS) {
  const pressed = clock.now();
  if (pressed === null && MOVES.test(path)) return { done: false, words: "There is no connection to the page's server yet: press again.", lost: true };
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...(pressed === null ? {} : { pressed: pressed.toFixed(3) }) },
      body: JSON.stringify(body ?? {}),
      signal: AbortSignal.timeout(seconds * 1000),
    });
    if (response.status === 401) return { done: false, words: "The token is no longer valid: load the page again." };
    if (!response.ok) return { done: false, words: `The page's server answered ${response.status}.` };
    const answer = await response.json();
    if (answer.late) clock.forget(); // it may be the clock that is wrong, as after a sleep of either machine
    return answer;
  } catch (error) {
    if (error.name === "TimeoutError") return { done: false, words: `No answer for ${seconds} s: look whether it was done.`, lost: true };
    return { done: false, words: "The page's server does not answer.", lost: true };
  }
}
