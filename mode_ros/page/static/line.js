// A WebSocket that comes back by itself. Every message is handed on; nothing is kept for later.

export class Line {
  constructor(path, { open = () => {}, message = () => {}, close = () => {}, binary = false } = {}) {
    Object.assign(this, { path, open, message, close, binary });
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    if (this.binary) socket.binaryType = "arraybuffer";
    socket.onopen = () => this.open();
    socket.onmessage = (event) => this.message(event.data);
    socket.onclose = (event) => {
      this.close(event.code);
      setTimeout(() => this.connect(), 1000);
    };
    this.socket = socket;
  }

  get up() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(text) {
    // What waits in the browser is the past when it arrives.
    if (this.up && this.socket.bufferedAmount < 4096) this.socket.send(text);
  }
}

// Asks the server to do something; its words, or why there are none.
export async function ask(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    if (response.status === 401) return { done: false, words: "The token is no longer valid: load the page again." };
    if (!response.ok) return { done: false, words: `The page's server answered ${response.status}.` };
    return await response.json();
  } catch {
    return { done: false, words: "The page's server does not answer.", lost: true };
  }
}
