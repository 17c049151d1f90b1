// Work that goes on in processes of its own: how it is told, and a list of it.

import { list, make, text } from "./dom.js";

export const SIGNS = { running: "▶ running", stopping: "… stopping", done: "✓ done", stopped: "❚❚ stopped", failed: "✗ failed", dead: "✗ ended without a word", elsewhere: "– not done; started elsewhere" };
const LEVELS = { running: "ok", done: "ok", failed: "error", dead: "error", stopping: "warning", stopped: "warning", elsewhere: "missing" };

export const get = async (path, seconds = 30) => {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(seconds * 1000) });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
};

// A list of jobs, of which one is shown; the newest until another is chosen.
export class Jobs {
  constructor(place, describe, chosen) {
    Object.assign(this, { place, describe, chosen, name: null });
  }

  show(jobs) {
    if (!jobs.some(({ name }) => name === this.name)) this.choose(jobs[0]?.name ?? null);
    const focused = this.place.contains(document.activeElement);
    list(this.place, jobs.map((job) => [job.name, job.state, this.describe(job), job.name === this.name]), ([name, state, words, on]) => {
      const button = make("button", "", { type: "button" });
      button.dataset.name = name;
      button.setAttribute("aria-pressed", String(on));
      button.append(make("span", SIGNS[state], { className: "level" }), ` ${words}`);
      button.addEventListener("click", () => {
        this.choose(name);
        this.show(jobs);
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    // Whoever goes through the list with the keyboard stays where they were.
    if (focused) [...this.place.querySelectorAll("button")].find(({ dataset }) => dataset.name === this.name)?.focus();
  }

  choose(name) {
    if (this.name === name) return;
    this.name = name;
    this.chosen();
  }
}

export const showState = (element, state, words) => {
  text(element, words);
  element.dataset.level = LEVELS[state] ?? "";
};
