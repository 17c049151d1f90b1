// Camera tiles: the next picture is asked for when the last one is shown, so that a slow line gets fewer, not older ones.

import { Line } from "./line.js";

const SHOWN_AGE_MS = 250;

export function makeTiles(place, cameras) {
  for (const camera of cameras) new Tile(place, camera);
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
    caption.append(name, this.age);
    this.figure.append(frame, caption);
    place.append(this.figure);
    this.stamped = null;
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

  tellAge() {
    const age = this.stamped === null ? null : (performance.now() - this.stamped) / 1000;
    const old = age === null || age > Math.max(2 * this.camera.max_age, 0.5);
    this.figure.dataset.level = old ? "error" : "ok";
    const words = age === null ? "⚠ no picture yet" : `${old ? "⚠ OLD: " : ""}${age.toFixed(1)} s`;
    if (this.age.textContent !== words) this.age.textContent = words;
  }
}
