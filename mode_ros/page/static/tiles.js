// Camera tiles: the next picture is asked for when the last one is shown, so that a slow line gets fewer, not older ones.

import { Line } from "./line.js";

const SHOWN_AGE_MS = 250;
const RATE_MS = 3000; // over which pictures are counted

export function makeTiles(place, cameras) {
  return cameras.map((camera) => new Tile(place, camera));
}

class Tile {
  constructor(place, camera) {
    this.camera = camera;
    this.figure = document.createElement("figure");
    this.figure.dataset.level = "error";
    this.figure.dataset.camera = camera.name;
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.style.aspectRatio = `${camera.width} / ${camera.height}`;
    this.image = new Image();
    this.image.alt = `camera ${camera.name}`;
    frame.append(this.image);
    const caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.textContent = camera.name;
    this.age = document.createElement("span");
    this.age.className = "age";
    this.came = document.createElement("span");
    this.came.className = "rate";
    this.came.title = "pictures that come to the page";
    caption.append(name, this.came, this.age);
    this.figure.append(frame, caption);
    place.append(this.figure);
    this.stamped = null;
    this.numbers = []; // [when (ms), number of messages by then]
    this.problem = "";
    this.waiting = false;
    this.image.onload = () => this.shown();
    this.image.onerror = () => this.shown();
    this.line = new Line(`/cameras/${encodeURIComponent(camera.name)}`, {
      binary: true,
      open: () => this.next(),
      message: (data) => this.take(data),
      close: () => (this.asked = false),
    });
    document.addEventListener("visibilitychange", () => this.next());
    window.addEventListener("tab", () => this.next());
    setInterval(() => this.tellAge(), SHOWN_AGE_MS);
  }

  next() {
    // Nobody looks: the window is hidden, or a tab that does without the cameras is open.
    const unseen = document.hidden || this.figure.offsetParent === null;
    if (this.asked || this.waiting || unseen || !this.line.up) return;
    this.asked = true;
    this.line.send("next");
  }

  take(data) {
    this.asked = false;
    this.waiting = true;
    const age = new DataView(data).getFloat64(0, true);
    this.stamped = performance.now() - 1000 * age;
    const before = this.image.src;
    this.image.src = URL.createObjectURL(new Blob([new Uint8Array(data, 8)]));
    if (before) URL.revokeObjectURL(before);
  }

  shown() {
    this.waiting = false;
    this.figure.dataset.pictures = 1 + Number(this.figure.dataset.pictures ?? 0);
    this.next();
  }

  // What the server tells of the camera: how many pictures have come to it, and why none can be shown.
  arrives(told) {
    if (!told) return;
    const now = performance.now();
    this.problem = told.problem;
    if (told.number < (this.numbers.at(-1)?.[1] ?? 0)) this.numbers = []; // another server
    this.numbers.push([now, told.number]);
    while (now - this.numbers[0][0] > RATE_MS) this.numbers.shift();
  }

  get rate() {
    const [[began, first], [ended, last]] = [this.numbers[0] ?? [0, 0], this.numbers.at(-1) ?? [0, 0]];
    return ended - began > RATE_MS / 3 ? `${Math.round((1000 * (last - first)) / (ended - began))}/s` : "";
  }

  tellAge() {
    const age = this.stamped === null ? null : (performance.now() - this.stamped) / 1000;
    const old = age === null || age > Math.max(2 * this.camera.max_age, 0.5);
    this.figure.dataset.level = old ? "error" : "ok";
    const words = age === null ? `⚠ ${this.problem || "no picture yet"}` : `${old ? "⚠ OLD: " : ""}${age.toFixed(1)} s`;
    const rate = old ? "" : this.rate;
    if (this.came.textContent !== rate) this.came.textContent = rate;
    if (this.age.textContent !== words) this.age.textContent = words;
  }
}
