// The tab Episodes: what lies on the disk is listed and shown; what is pressed becomes a command, and its words are shown.

import { $, list, make, say, text } from "./dom.js";
import { Line, ask } from "./line.js";
import { Player } from "./episode_player.js";
import { plot } from "./episode_plots.js";

const RESULTS = { true: "✓ success", false: "✗ failure", null: "? unknown" };
const STATES = {
  running: "● Running", stopping: "● Ending", done: "✓ Done", "left out": "! Done, and something was left out",
  stopped: "■ Cancelled", failed: "✗ Failed", dead: "✗ Died",
};
const SILENT = "The page's server does not answer.";
const LEVELS = { done: "ok", "left out": "warning", failed: "error", dead: "error" };

let state = { items: [], job: null, folders: [] };
let shown = null; // the listing
let one = null; // number of the episode that is shown
let plots = [];
const chosen = new Set();
const flags = new Set();
const player = new Player((time) => plots.forEach((each) => each.at(time)));

const of = (key, ...more) => ["/episodes/of", key, ...more].map((part, k) => (k ? encodeURIComponent(part) : part)).join("/");
const current = () => state.items.find(({ key }) => key === $("ep-item").value);
const running = () => ["running", "stopping"].includes(state.job?.state);

// One of each kind waits for its answer: a browser lets few requests through, and others wait behind them.
const looks = {};
// null where another has taken its place; `lost` where it is worth another try.
async function look(kind, path) {
  looks[kind]?.abort();
  looks[kind] = new AbortController();
  try {
    const response = await fetch(path, { signal: looks[kind].signal });
    if (response.status === 401) return location.reload();
    if (!response.ok) return { problem: `The page's server answered ${response.status}.` };
    return await response.json();
  } catch (error) {
    return error.name === "AbortError" ? null : { problem: SILENT, lost: true };
  }
}

// ---- what there is ----------------------------------------------------------------------------------------------

function options(select, items, before) {
  const kept = select.value;
  list(select, items, ([value, words]) => make("option", words, { value }));
  if (items.some(([value]) => value === kept)) select.value = kept;
  return select.value !== before;
}

function take(data) {
  setLost(false);
  state = JSON.parse(data);
  const names = state.items.map(({ key, kind, name }) => [key, `${kind === "data set" ? "▤" : "●"} ${kind}: ${name}`]);
  options($("ep-item"), names.length ? names : [["", "nothing here yet"]]);
  const sets = state.items.filter(({ kind }) => kind === "data set").map(({ key, name }) => [key, `add to ${name}`]);
  options($("ep-into"), [["", "a new data set"], ...sets]);
  $("ep-name").hidden = $("ep-into").value !== "";
  showJob(state.job);
  refresh();
}

// While the server does not answer that is said instead, and then again what there is.
let facts = "";
let lost = false;
function tellFacts(words) {
  facts = words;
  text($("ep-facts"), lost ? SILENT : facts);
}
function setLost(now) {
  lost = now;
  tellFacts(facts);
}

let wanted = "";
async function refresh() {
  const item = current();
  if (!item) {
    shown = null;
    tellFacts(`Nothing has been recorded or converted under ${state.folders.join(", ") || "any folder"} yet.`);
    return showList();
  }
  const key = `${item.key} ${item.version}`;
  if (key === wanted) return;
  const again = wanted.startsWith(`${item.key} `);
  wanted = key;
  if (!again) {
    shown = null;
    showOne(null);
    forgetDoctor();
    tellFacts("Reading …");
    showList();
  }
  const found = await look("list", of(item.key));
  if (!found || wanted !== key) return; // another has been chosen meanwhile
  if (found.problem) {
    shown = null;
    if (found.lost) wanted = "";
    tellFacts(`✗ ${found.problem}`);
    return showList();
  }
  // Recordings only grow; numbers of a data set may be others now.
  if (again && item.kind === "data set") say({ done: true, words: `${item.name} has changed: this is how it is now. Nothing is chosen.` });
  shown = found;
  if (again) forgetDoctor();
  chosen.clear();
  const seconds = found.episodes.reduce((sum, each) => sum + each.seconds, 0);
  const count = found.episodes.length;
  tellFacts(`${count} episode${count === 1 ? "" : "s"}, ${Math.round(seconds)} s, robot ${found.robot ?? "unknown"}`);
  showList();
  const number = found.episodes.some((each) => each.number === one) ? one : found.episodes[0]?.number ?? null;
  showOne(number, again);
}

// ---- the list ---------------------------------------------------------------------------------------------------

function listed() {
  const words = $("ep-sentence").value.trim().toLowerCase();
  return (shown?.episodes ?? []).filter(
    (each) => (!words || each.goal.toLowerCase().includes(words)) && [...flags].every((flag) => each.flags.includes(flag)),
  );
}

function showList() {
  const isSet = shown?.kind === "data set";
  const rows = listed();
  list($("ep-list"), rows.map((each) => [shown.version, each]), ([, each]) => row(each));
  for (const button of document.querySelectorAll("#ep-filters [data-flag]")) {
    const count = (shown?.episodes ?? []).filter((each) => each.flags.includes(button.dataset.flag)).length;
    text(button, `${button.dataset.flag} ${count}`);
  }
  $("ep-edit").hidden = !isSet;
  $("ep-convert").hidden = shown?.kind !== "recordings";
  text($("ep-edits-count"), shown?.edits.length ? `${shown.edits.length}` : "none");
  list($("ep-edits"), shown?.edits ?? [], (words) => make("li", words));
  mark();
}

function row(each) {
  const made = document.createElement("tr");
  made.dataset.number = each.number;
  const box = make("input", "", { type: "checkbox" });
  box.setAttribute("aria-label", `Choose episode ${each.number}`);
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(each.number);
    else chosen.delete(each.number);
    mark();
  });
  const open = make("button", `${each.number}`, { type: "button" });
  open.setAttribute("aria-label", `Show episode ${each.number}`);
  open.addEventListener("click", () => showOne(each.number));
  const result = make("span", RESULTS[each.success]);
  result.dataset.level = { true: "ok", false: "error", null: "missing" }[each.success];
  const look = make("span", each.flags.filter((flag) => flag !== "failed").join(", "), { className: "flag" });
  const goal = each.problem ? `✗ ${each.problem}` : each.goal || "no goal";
  for (const content of [box, open, each.seconds.toFixed(1), result, look, goal]) {
    const cell = document.createElement("td");
    cell.append(content);
    made.append(cell);
  }
  return made;
}

function mark() {
  const rows = listed();
  for (const made of $("ep-list").children) {
    made.setAttribute("aria-current", String(Number(made.dataset.number) === one));
    made.querySelector("input").checked = chosen.has(Number(made.dataset.number));
  }
  $("ep-all").checked = rows.length > 0 && rows.every(({ number }) => chosen.has(number));
  const hidden = chosen.size - seen().length;
  const words = chosen.size ? `${seen().length} chosen${hidden ? `; ${hidden} more are hidden by the filters, and not meant` : ""}` : one === null ? "" : `Episode ${one} is shown, and meant where none is chosen`;
  text($("ep-chosen"), shown?.kind === "data set" ? words : shown ? "Recordings stay as they are: convert them, and edit the data set." : "");
  for (const button of document.querySelectorAll("[data-edit], #ep-relabel button, #ep-convert button, #ep-replay")) button.disabled = running();
  document.querySelector("[data-edit=undo]").disabled = running() || !shown?.edits.length;
}

$("ep-all").addEventListener("change", () => {
  for (const { number } of listed()) {
    if ($("ep-all").checked) chosen.add(number);
    else chosen.delete(number);
  }
  mark();
});
$("ep-sentence").addEventListener("input", showList);
for (const button of document.querySelectorAll("#ep-filters [data-flag]")) {
  button.addEventListener("click", () => {
    if (!flags.delete(button.dataset.flag)) flags.add(button.dataset.flag);
    button.setAttribute("aria-pressed", String(flags.has(button.dataset.flag)));
    showList();
  });
}
$("ep-item").addEventListener("change", () => {
  wanted = ""; // also what could not be read before is read again
  refresh();
});
$("ep-into").addEventListener("change", () => ($("ep-name").hidden = $("ep-into").value !== ""));

// ---- one episode ------------------------------------------------------------------------------------------------

// A few spans are told one by one, many by their share.
function spans(found, seconds) {
  if (found.length <= 3) return found.map(([from, to]) => `${from.toFixed(1)} to ${to.toFixed(1)} s`).join(", ");
  const share = found.reduce((sum, [from, to]) => sum + to - from, 0) / seconds;
  return `${Math.round(100 * share)} %, in ${found.length} pieces`;
}

async function showOne(number, again = false) {
  const item = current();
  one = number;
  mark();
  $("ep-replay").hidden = shown?.kind !== "data set" || number === null;
  if (number === null || !item) {
    clear("No episode is chosen", "");
    return;
  }
  const each = shown.episodes.find((episode) => episode.number === number);
  const title = `Episode ${number}: ${each.goal || "no goal"}`;
  if (!again) clear(title, "Reading …");
  const version = wanted;
  const found = await look("episode", of(item.key, String(number)));
  if (!found || one !== number || wanted !== version) return;
  clear(title, "");
  if (found.lost) wanted = "";
  if (found.problem) return text($("ep-about"), `✗ ${found.problem}`);
  const facts = [each.name, `${found.seconds.toFixed(1)} s`, RESULTS[each.success]].filter(Boolean);
  facts.push(found.driven.length ? `driven by hand ${spans(found.driven, found.seconds)}` : "not driven by hand");
  if (found.still.length) facts.push(`standing still ${spans(found.still, found.seconds)}`);
  text($("ep-about"), facts.join(" · "));
  list($("ep-notes"), found.left_out ?? [], (words) => make("li", `! ${words}`));
  const films = player.show(found.videos, (camera) => `${of(item.key, String(number), "video", camera)}?${item.version}`, found.times.length ? found.seconds : 0);
  $("ep-pictures").replaceChildren(...films, ...Object.entries(found.pictures).map(([camera, images]) => strip(camera, images)));
  plots = found.times.length ? found.plots.map((each) => plot(each, found.times, found.seconds, found.driven, $("ep-plots").clientWidth || 600)) : [];
  $("ep-plots").replaceChildren(...plots.map(({ element }) => element));
  player.tell();
}

function clear(title, words) {
  text($("ep-title"), title);
  text($("ep-about"), words);
  plots = [];
  player.show({}, () => "", 0);
  for (const place of ["ep-pictures", "ep-plots"]) $(place).replaceChildren();
  list($("ep-notes"), [], () => null);
}

function strip(camera, images) {
  const figure = make("figure", "", { className: "strip" });
  const row = document.createElement("div");
  row.append(...images.map((image, k) => make("img", "", { src: `data:image/jpeg;base64,${image}`, alt: `${camera}, picture ${k + 1} of ${images.length}` })));
  const caption = document.createElement("figcaption");
  caption.append(images.length ? `${camera}, from the beginning to the end` : `${camera}: no picture`);
  figure.append(row, caption);
  return figure;
}

// ---- what is done -----------------------------------------------------------------------------------------------

// What a filter hides is not meant, so that nothing is dropped that nobody sees.
const seen = () => listed().map(({ number }) => number).filter((number) => chosen.has(number));
const meant = () => (chosen.size ? seen() : one === null ? [] : [one]);

async function act(what, body) {
  const item = current();
  if (!item) return say({ done: false, words: "There is nothing to do it to." });
  const answer = await ask(of(item.key, what), { revision: shown?.revision, ...body });
  say(answer);
  return answer;
}
for (const button of document.querySelectorAll("[data-edit]")) {
  button.addEventListener("click", () => act("edit", { do: button.dataset.edit, episodes: meant() }));
}
$("ep-relabel").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await act("edit", { do: "relabel", episodes: meant(), goal: $("ep-goal").value });
  if (answer?.done) $("ep-goal").value = "";
});
$("ep-convert").addEventListener("submit", async (event) => {
  event.preventDefault();
  await act("convert", { into: $("ep-into").value, name: $("ep-name").value.trim(), keep_failures: $("ep-keep").checked });
});
$("ep-replay").addEventListener("click", () => act("replay", { episode: one }));
$("ep-cancel").addEventListener("click", async () => say(await ask("/episodes/cancel")));

function showJob(job) {
  $("ep-job").hidden = !job;
  mark();
  if (!job) return;
  $("ep-job-state").dataset.level = LEVELS[job.state] ?? "";
  text($("ep-job-state"), `${STATES[job.state]}${job.percent === null ? "" : ` ${job.percent} %`}`);
  text($("ep-job-command"), job.command);
  text($("ep-job-who"), `asked for by ${job.who}`);
  $("ep-job-percent").hidden = job.percent === null;
  $("ep-job-percent").value = job.percent ?? 0;
  text($("ep-job-words"), job.words);
  $("ep-cancel").hidden = !running();
  $("ep-job-more").hidden = !job.lines.length;
  list($("ep-job-lines"), job.lines, (line) => make("li", line));
}

function forgetDoctor() {
  text($("ep-doctor-words"), "");
  list($("ep-findings"), [], () => null);
}
$("ep-doctor").addEventListener("click", async () => {
  const item = current();
  if (!item) return;
  forgetDoctor();
  text($("ep-doctor-words"), "The doctor looks …");
  const found = await look("doctor", of(item.key, "doctor"));
  if (!found || current()?.key !== item.key) return;
  if (found.problem) return text($("ep-doctor-words"), `✗ ${found.problem}`);
  const begin = found.lines.findIndex((line) => /^\d+ things? to look at:$/.test(line));
  text($("ep-doctor-words"), found.suspicious ? `! ${found.lines[begin]}` : "✓ Nothing suspicious was found.");
  list($("ep-findings"), found.suspicious ? found.lines.slice(begin + 1) : [], (line) => make("li", `! ${line.trim()}`));
});

// ---- only who looks at the tab makes the server look at the disk ---------------------------------------------------

let line = null;
function follow() {
  if (!document.hidden && !$("episodes").hidden) {
    line ??= new Line("/episodes/state", { message: take, close: () => setLost(true) });
    return;
  }
  line?.end();
  line = null;
}
follow();
document.addEventListener("visibilitychange", follow);
window.addEventListener("tab", ({ detail }) => {
  follow();
  if (detail !== "episodes") player.pause();
});
