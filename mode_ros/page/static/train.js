// The tab Train and evaluate: one look at the disk every two seconds while it is open, the same for every viewer.

import { $, list, make, say, text } from "./dom.js";
import { Evaluations } from "./evaluate.js";
import { SettingsForm } from "./forms.js";
import { Jobs, SIGNS, get, showState } from "./jobs.js";
import { ask } from "./line.js";
import { curve } from "./plots.js";

const LOOK_MS = 2000;
const CURVES = [
  ["denoising", "loss", { logarithmic: true }],
  ["error", "validation error"],
  ["balancing", "balancing loss"],
  ["gradient_norm", "norm of the gradient", { logarithmic: true }],
  ["learning_rate", "learning rate"],
  ["steps_per_second", "steps per second"],
];

const number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toPrecision(digits));
const duration = (seconds) => (seconds >= 3600 ? `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min` : seconds >= 60 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`);

class Train {
  constructor() {
    this.form = null;
    this.presets = {};
    this.runs = new Jobs($("train-runs"), (run) => `${run.label || run.name}${run.of ? `, ${run.step} of ${run.of} steps` : ""}${run.error === null ? "" : `, error ${number(run.error)}`}`, () => this.lookAtOne());
    this.evaluations = new Evaluations(this);
    this.checking = 0;
    $("train-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    $("train-preset").addEventListener("change", () => this.usePreset());
    $("train-undo").addEventListener("click", () => this.usePreset());
    $("train-search").addEventListener("input", () => this.form?.search($("train-search").value));
    // Enter in the search is no start of a training.
    $("train-search").addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    for (const word of ["stop", "resume"]) {
      $(`train-${word}`).addEventListener("click", async () => {
        $(`train-${word}`).disabled = true;
        say(await ask(`/train/runs/${encodeURIComponent(this.runs.name)}/${word}`));
        this.look();
      });
    }
    setInterval(() => this.look(), LOOK_MS);
    window.addEventListener("tab", () => this.look());
    this.look();
  }

  get open() {
    return !document.hidden && !$("train").hidden;
  }

  async look() {
    if (!this.open || this.looking) return;
    this.looking = true;
    try {
      if (!this.form) await this.build();
      const all = await get("/train/all");
      if (!all) return;
      this.form?.rename(all.names);
      this.runs.show(all.runs);
      this.evaluations.show(all);
      await this.lookAtOne();
    } finally {
      this.looking = false;
    }
  }

  async build() {
    const described = await get("/train/form");
    if (!described) return;
    this.presets = described.presets;
    $("train-preset").replaceChildren(...Object.keys(this.presets).map((name) => make("option", name, { value: name })));
    if ("small" in this.presets) $("train-preset").value = "small";
    this.form = new SettingsForm({ ...described, shown: described.first, first: $("train-first"), rest: $("train-fields"), changed: () => this.check() });
    this.usePreset();
  }

  usePreset() {
    const preset = this.presets[$("train-preset").value];
    const kept = this.form.changes;
    text($("train-preset-words"), preset.words);
    this.form.begin(preset.values);
    // What is chosen from the disk is no part of a preset.
    for (const [key, field] of this.form.fields) if (field.field.kind === "name" && kept[key]) field.value = kept[key];
    this.tellChanged();
  }

  tellChanged() {
    const count = Object.keys(this.form.changes).filter((key) => this.form.fields.get(key).field.kind !== "name").length;
    text($("train-changed"), count ? `(${count} changed)` : "");
  }

  async check() {
    this.tellChanged();
    const asked = ++this.checking;
    const answer = await ask("/train/check", { preset: $("train-preset").value, changes: this.form.changes });
    if (asked === this.checking && answer.problems) this.showProblems(answer.problems);
  }

  showProblems(problems) {
    text($("train-problem"), this.form.say(problems));
    const hidden = [...$("train-fields").querySelectorAll(".problem")].some((each) => each.textContent);
    if (hidden) $("train-more").open = true;
  }

  async start() {
    const answer = await ask("/train/start", { preset: $("train-preset").value, changes: this.form.changes, label: $("train-label").value });
    say(answer);
    this.showProblems(answer.problems ?? {});
    if (!answer.done) return;
    $("train-label").value = "";
    this.runs.choose(answer.name);
    this.look();
  }

  async lookAtOne() {
    const name = this.runs.name;
    const run = name && (await get(`/train/runs/${encodeURIComponent(name)}`));
    if (name !== this.runs.name) return;
    text($("train-one-title"), run ? run.label || run.name : "No training yet");
    for (const word of ["stop", "resume"]) $(`train-${word}`).disabled = !run?.can.includes(word);
    $("train-progress").hidden = !run?.of;
    if (!run) {
      showState($("train-one-state"), "", "");
      return;
    }
    const at = run.of ? `step ${run.step} of ${run.of}` : `step ${run.step}`;
    const left = run.state === "running" && run.left ? `, ${duration(run.left)} left` : "";
    showState($("train-one-state"), run.state, `${SIGNS[run.state]}: ${at}${left}`);
    $("train-progress").value = run.of ? run.step / run.of : 0;
    const best = run.best ? `smallest validation error ${number(run.best.error)} at step ${run.best.step} (1 is the spread of the recorded actions). ` : "";
    text($("train-one-words"), `${best}${run.words}`);
    list($("train-curves"), CURVES.map(([key, title, how]) => [title, run.curves[key], how]), ([title, points, how]) => curve(title, points, how));
    list($("train-tasks").tBodies[0], run.by_task, ([task, error, before]) => {
      const row = document.createElement("tr");
      row.append(make("td", task), make("td", number(error), { className: "n" }), make("td", number(before), { className: "n" }));
      return row;
    });
  }
}

new Train();
