// The cameras of one episode, played together: one button and one slider, since the space bar is STOP here.

import { $, text } from "./dom.js";

export class Player {
  constructor(moved) {
    this.moved = moved;
    this.videos = [];
    this.seconds = 0;
    $("ep-play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    $("ep-time").addEventListener("input", () => {
      this.pause();
      this.seek(Number($("ep-time").value));
    });
  }

  // cameras: name to {start, seconds}; source: name to address.
  show(cameras, source, seconds) {
    this.pause();
    this.seconds = seconds;
    $("ep-player").hidden = !seconds;
    $("ep-time").max = seconds;
    this.videos = Object.entries(cameras).map(([name, { start }]) => {
      const figure = document.createElement("figure");
      const video = document.createElement("video");
      Object.assign(video, { muted: true, playsInline: true, preload: "auto", tabIndex: -1, src: source(name) });
      const caption = document.createElement("figcaption");
      caption.append(name);
      video.setAttribute("aria-label", `camera ${name}`);
      video.addEventListener("error", () => text(caption, `${name}: ✗ its video cannot be shown`));
      video.addEventListener("loadedmetadata", () => (video.currentTime = start + this.time));
      figure.append(video, caption);
      return { figure, video, start };
    });
    this.seek(0);
    return this.videos.map(({ figure }) => figure);
  }

  play() {
    if (this.time >= this.seconds - 0.02) this.seek(0);
    this.playing = true;
    this.began = performance.now() - 1000 * this.time;
    for (const { video } of this.videos) video.play().catch(() => {});
    this.word("❚❚", "Pause");
    this.step();
  }

  pause() {
    this.playing = false;
    for (const { video } of this.videos) video.pause();
    this.word("▶", "Play");
  }

  seek(time) {
    this.time = Math.min(Math.max(time, 0), this.seconds);
    for (const { video, start } of this.videos) if (video.readyState) video.currentTime = start + this.time;
    this.tell();
  }

  step() {
    if (!this.playing) return;
    const first = this.videos.find(({ video }) => video.readyState >= 2);
    this.time = first ? first.video.currentTime - first.start : (performance.now() - this.began) / 1000;
    if (this.time >= this.seconds || first?.video.ended) {
      this.time = this.seconds;
      this.pause();
    } else requestAnimationFrame(() => this.step());
    this.tell();
  }

  tell() {
    $("ep-time").value = this.time;
    text($("ep-now"), `${this.time.toFixed(1)} s`);
    this.moved(this.time);
  }

  word(icon, words) {
    text($("ep-play").querySelector("[aria-hidden]"), icon);
    text($("ep-play").querySelector(".words"), words);
  }
}
