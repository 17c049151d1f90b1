// Driving with a dead-man: what is held is repeated forty times a second, and nothing is sent when nothing is held; so of a
// gamepad, while no button of it is. What does not count although somebody holds it, because it was begun without a line or
// was let go for them, has its reason.

import { Clock } from "./clock.js";
import { Line } from "./line.js";

const REPEAT_MS = 25;
const AGAIN = "let go, and hold it again";
const KEY_NAMES = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right", Tab: "tab", Enter: "enter", Backspace: "backspace" };

export class Driver {
  // keys: as the server describes them; shown: whether the tab is open; changed: called when `why` may have changed.
  constructor(keys, { shown, changed }) {
    this.keys = new Set(keys.filter((key) => key.kind !== "tap").map((key) => key.key));
    this.taps = new Set(keys.filter((key) => key.kind === "tap").map((key) => key.key));
    this.shown = shown;
    this.changed = changed;
    this.refused = ""; // by the server
    this.lost = ""; // why what was held, by the sources in `cleared`, is held no more
    this.cleared = new Set();
    this.held = new Map(); // source (a pointer, a key) to what it holds
    this.byKeyboard = false;
    this.padHeld = false; // whether a button of it is
    this.padIdle = false; // whether the server has heard that none is
    this.padIndex = null; // of which pad it has
    this.clock = new Clock();
    this.line = new Line("/drive", {
      open: () => this.clock.forget(),
      message: (text) => this.hear(JSON.parse(text)),
      close: () => this.lineClosed(),
    });
    window.addEventListener("blur", () => this.letGo(`this window has lost the focus: ${AGAIN}`));
    window.addEventListener("tab", () => this.letGo());
    document.addEventListener("visibilitychange", () => document.hidden && this.letGo());
    window.addEventListener("keydown", (event) => this.key(event, true));
    window.addEventListener("keyup", (event) => this.key(event, false));
    setInterval(() => this.repeat(), REPEAT_MS);
  }

  // Why what somebody holds does not drive; '' while it does or nothing is held.
  get why() {
    if (this.refused || this.lost) return this.refused || this.lost;
    return this.held.size && !this.connected ? `there is no connection yet: ${AGAIN} when there is` : "";
  }

  get connected() {
    return this.line.up && this.clock.now() !== null;
  }

  get holding() {
    return this.held.size > 0 || this.padHeld;
  }

  hear({ clock, refused, ahead }) {
    if (ahead) this.clock.forget();
    if (refused !== undefined) this.refuse(refused);
    if (clock === undefined) return;
    const first = !this.connected;
    this.clock.hear(clock);
    if (first) this.lineOpen();
  }

  // What was held when the line was cut does not count on the next one.
  lineOpen() {
    this.wasUp = true;
    this.letGo(`it was held before the connection was there: ${AGAIN}`);
    this.send();
    this.changed();
  }

  // Also of every try to connect that fails, which takes nothing from anybody.
  lineClosed() {
    if (this.wasUp) this.letGo(`the connection broke: ${AGAIN}`);
    this.wasUp = false;
    this.refuse("");
  }

  refuse(words) {
    this.refused = words;
    this.changed();
  }

  hold(source, what) {
    this.lost = "";
    this.cleared.clear();
    // That nothing was held may have come late when the line began.
    if (!this.held.size && !this.padHeld) this.send();
    this.held.set(source, what);
    this.send();
    this.changed();
  }

  release(source) {
    if (this.held.delete(source)) this.send();
    if (this.cleared.delete(source) && !this.cleared.size) this.lost = "";
    this.changed();
  }

  letGo(why = "") {
    if (!this.held.size && !this.padHeld) {
      if (this.padIdle) this.send(); // what is pressed meanwhile does not count either
      return;
    }
    this.lost = why;
    this.cleared = new Set(this.held.keys());
    this.held.clear();
    this.padHeld = false;
    this.send();
    this.changed();
    document.querySelectorAll(".held").forEach((button) => button.classList.remove("held"));
  }

  tap(key) {
    this.send([key]);
  }

  key(event, down) {
    const name = KEY_NAMES[event.key] ?? (event.key.length === 1 ? event.key.toLowerCase() : event.key);
    // By its place: with another shift, what comes up is called otherwise than what went down.
    const source = `key ${event.code || name}`;
    if (!down) return this.release(source);
    // With these held, some systems never tell what comes up.
    if (event.ctrlKey || event.metaKey || event.altKey) return this.letGo();
    if (!this.byKeyboard || !this.shown()) return;
    if (event.target.matches("input, textarea")) return;
    if (!this.keys.has(name) && !this.taps.has(name)) return;
    event.preventDefault();
    if (event.repeat) return;
    if (this.taps.has(name)) this.tap(name);
    else this.hold(source, name);
  }

  pad() {
    if (!this.shown() || !document.hasFocus()) return null;
    return [...(navigator.getGamepads?.() ?? [])].find((pad) => pad?.connected && pad.mapping === "standard") ?? null;
  }

  repeat() {
    if (this.held.size) return this.send();
    const pad = this.pad();
    if (pad) return this.tellPad(pad);
    if (!this.padHeld && !this.padIdle) return;
    // Nobody sees any more what it does.
    this.padHeld = false;
    this.send();
  }

  tellPad(pad) {
    const axes = [...pad.axes].slice(0, 4).map((value) => (Number.isFinite(value) ? value : 0));
    const buttons = pad.buttons.map((button) => (button.pressed ? 1 : 0));
    this.padHeld = buttons.some((button) => button);
    if (this.padIdle && pad.index !== this.padIndex) this.send(); // of another one nobody has heard that nothing is held
    this.padIndex = pad.index;
    if (this.padIdle && !this.padHeld) return;
    // What is pressed after a silence counts as held from before it, so that nothing was is said once more.
    if (this.padIdle) this.tell({ axes: axes.map(() => 0), buttons: buttons.map(() => 0) });
    this.padIdle = this.tell({ axes, buttons }) && !this.padHeld;
    if (this.padHeld || !this.lost || this.cleared.size) return;
    this.lost = ""; // the pad was, and has been let go
    this.changed();
  }

  send(taps = []) {
    const held = [...this.held.values()];
    const keys = held.filter((what) => what !== null);
    this.padIdle = false; // the server forgets it with every word of keys
    this.tell({ keys, hold: held.length > keys.length, taps });
  }

  // Whether it was sent.
  tell(message) {
    return this.connected && this.line.send(JSON.stringify({ sent: this.clock.now(), ...message }));
  }
}

// A button that counts while it is held: by pointer, or by Enter while it has the focus.
export function holdable(button, driver, what) {
  const source = (event) => `pointer ${event.pointerId}`;
  button.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    button.setPointerCapture(event.pointerId);
    button.classList.add("held");
    driver.hold(source(event), what);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    button.addEventListener(name, (event) => {
      button.classList.remove("held");
      driver.release(source(event));
    });
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.repeat) return;
    event.preventDefault();
    button.classList.add("held");
    driver.hold(button, what);
  });
  for (const name of ["keyup", "blur"]) {
    button.addEventListener(name, () => {
      button.classList.remove("held");
      driver.release(button);
    });
  }
}
