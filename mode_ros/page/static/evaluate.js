// Policies, their experts, evaluations and their films.

import { $, list, make, say, text } from "./dom.js";
import { SettingsForm } from "./forms.js";
import { Jobs, SIGNS, get, showState } from "./jobs.js";
import { ask } from "./line.js";
import { shades } from "./plots.js";

const FIRST = ["suite", "tasks", "rollouts"];
// What has a process of its own made first, and what reads a policy from the disk.
const FORM_SECONDS = 90;
const LOAD_SECONDS = 600;
const percent = (rate) => `${Math.round(100 * rate)} %`;

export class Evaluations {
  constructor(train) {
    this.train = train;
    this.form = null;
    this.gone = ""; // the policy that was chosen, where it is not there any more
    this.busy = new Set();
    this.jobs = new Jobs($("evaluations"), (one) => `${one.policy}${one.suite ? `, ${one.suite}` : ""}: ${one.solved} of ${one.done} solved`, () => this.lookAtOne());
    $("evaluate-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    $("policy-load").addEventListener("click", () => this.load());
    $("policy-look").addEventListener("click", () => this.lookAtExperts());
    $("policy").addEventListener("change", () => {
      this.gone = "";
      this.enable();
      this.forgetExperts();
    });
    for (const word of ["stop", "resume"]) {
      $(`evaluation-${word}`).addEventListener("click", async () => {
        $(`evaluation-${word}`).disabled = true;
        say(await ask(`/train/evaluations/${encodeURIComponent(this.jobs.name)}/${word}`));
        this.train.look();
      });
    }
  }

  async show({ runs, evaluations, policies }) {
    // A training's words come before its name.
    const labels = runs.filter(({ label }) => label);
    const words = (name) => {
      const run = labels.find((each) => name === each.name || name.startsWith(`${each.name}, `));
      return run ? `${run.label}: ${name}` : name;
    };
    this.showPolicies(policies, words);
    this.jobs.show(evaluations);
    await this.lookAtOne();
    if (!this.form && !this.building) await this.build();
  }

  // Another policy than the one that was chosen is never chosen by itself.
  showPolicies(policies, words) {
    const chosen = $("policy").value || this.gone;
    const gone = policies.includes(chosen) ? "" : chosen;
    if (gone && !this.gone) this.forgetExperts();
    this.gone = gone;
    const missing = gone ? [["", `${gone} is gone: choose`]] : [];
    list($("policy"), [...missing, ...policies.map((name) => [name, words(name)])], ([value, shown]) => make("option", shown, { value, disabled: !value }));
    if (chosen) $("policy").value = gone ? "" : chosen;
    this.enable();
  }

  enable() {
    for (const button of ["policy-load", "policy-look", "evaluate-start"]) $(button).disabled = Boolean(this.gone) || this.busy.has(button);
  }

  setBusy(button, busy) {
    if (busy) this.busy.add(button);
    else this.busy.delete(button);
    this.enable();
  }

  async build() {
    this.building = true;
    const described = await get("/train/evaluation-form", FORM_SECONDS);
    this.building = false;
    if (!described?.fields.length) {
      text($("evaluate-problem"), described?.problem ?? "");
      return;
    }
    text($("evaluate-problem"), "");
    this.form = new SettingsForm({ ...described, shown: FIRST, first: $("evaluate-first"), rest: $("evaluate-fields"), changed: () => {} });
    this.form.begin(Object.fromEntries(described.fields.map(({ key, default: usual }) => [key, String(usual)])));
  }

  async start() {
    if (!this.form) return;
    const answer = await ask("/train/evaluate", { policy: $("policy").value, values: this.form.changes }, FORM_SECONDS);
    say(answer);
    const problems = { ...(answer.problems ?? {}) };
    text($("policy-problem"), problems.policy ? `✗ ${problems.policy}` : "");
    delete problems.policy;
    text($("evaluate-problem"), this.form.say(problems));
    if (!answer.done) return;
    this.jobs.choose(answer.name);
    this.train.look();
  }

  async load() {
    this.setBusy("policy-load", true);
    text($("policy-now"), "It is being loaded; the robot holds meanwhile.");
    const answer = await ask("/train/load", { policy: $("policy").value }, LOAD_SECONDS);
    say(answer);
    text($("policy-now"), answer.words);
    this.setBusy("policy-load", false);
  }

  forgetExperts() {
    text($("experts-words"), "");
    $("experts").replaceChildren();
    text($("policy-now"), "");
  }

  async lookAtExperts() {
    this.setBusy("policy-look", true);
    text($("experts-words"), "Looking, which takes some seconds.");
    const policy = $("policy").value;
    const found = await ask("/train/experts", { policy }, LOAD_SECONDS);
    this.setBusy("policy-look", false);
    if (policy !== $("policy").value) return;
    if (!found.done) {
      text($("experts-words"), `✗ ${found.words}`);
      return;
    }
    const { sigmas, use, findings } = found;
    text($("experts-words"), findings.length ? findings.map((finding) => `! ${finding}`).join(" ") : "✓ no findings.");
    const ends = [sigmas[0], sigmas[sigmas.length - 1]].map((sigma) => `σ ${sigma.toPrecision(2)}`);
    $("experts").replaceChildren(
      ...use[0].map((_, layer) =>
        shades(`layer ${layer}: use of the experts`, use[0][layer].map((_, expert) => use.map((level) => level[layer][expert])), use[0][layer].map((_, expert) => `expert ${expert}`), ...ends),
      ),
    );
  }

  async lookAtOne() {
    const name = this.jobs.name;
    const one = name && (await get(`/train/evaluations/${encodeURIComponent(name)}`));
    if (name !== this.jobs.name) return;
    for (const word of ["stop", "resume"]) $(`evaluation-${word}`).disabled = !one?.can.includes(word);
    if (!one) return;
    text($("evaluation-title"), `${one.policy}${one.suite ? `, ${one.suite}` : ""}`);
    showState($("evaluation-state"), one.state, `${SIGNS[one.state]}: ${one.solved} of ${one.done} episodes solved`);
    text($("evaluation-words"), one.words);
    list($("evaluation-rows").tBodies[0], one.rows, ({ task, successes, rollouts, rate, low, high }) => {
      const row = document.createElement("tr");
      row.append(make("td", task), make("td", `${successes} of ${rollouts}`, { className: "n" }), make("td", percent(rate), { className: "n" }), make("td", `${percent(low)} to ${percent(high)}`, { className: "n" }));
      return row;
    });
    list($("films"), one.films.map((film) => [name, film]), ([of, film]) => {
      const address = `${encodeURIComponent(of)}/${encodeURIComponent(film)}`;
      const video = make("video", "", { controls: true, preload: "none", src: `/train/films/${address}`, poster: `/train/posters/${address}` });
      video.setAttribute("aria-label", `film of ${film}`);
      const item = document.createElement("li");
      item.append(video, make("p", `${film} (not solved)`, { className: "fine" }));
      return item;
    });
  }
}
