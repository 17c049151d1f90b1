// The page: what the server tells is shown, what is pressed is asked of it.

import { $, ICONS, list, make, say, text } from "./dom.js";
import { Driver, holdable } from "./driving.js";
import { Ahead } from "./ahead.js";
import { Line, ask, clock } from "./line.js";
import { Stop } from "./stop.js";
import { makeTiles } from "./tiles.js";

const SILENT_MS = 2500;

// The space bar is a letter there, and STOP everywhere else.
const TEXT = "textarea, input:not([type=checkbox], [type=radio], [type=range], [type=button], [type=submit])";

let heard = -Infinity;
let reason = "";

// ---- stop --------------------------------------------------------------------------------------------------------

const line = new Line("/state", { open: () => clock.forget(), message: (data) => hear(JSON.parse(data)) });
const stop = new Stop(line, {
  changed: () => {
    $("stop").classList.toggle("held", Boolean(stop.waiting));
    showReason(reason);
  },
  heard: say,
});
$("stop").addEventListener("click", () => stop.press());
window.addEventListener(
  "keydown",
  (event) => {
    if (event.target.matches("input[type=checkbox]") && event.key === "Enter") {
      event.preventDefault(); // as the space bar elsewhere, which is STOP here
      return event.target.click();
    }
    if (event.code !== "Space" || event.target.matches(TEXT)) return;
    event.preventDefault(); // no button of the page is pressed by it
    event.stopPropagation();
    if (!event.repeat) stop.press();
  },
  true,
);
window.addEventListener("keyup", (event) => {
  if (event.code === "Space" && !event.target.matches(TEXT)) event.preventDefault();
}, true);

// ---- what is asked for -------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-call]")) {
  button.addEventListener("click", async () => say(await ask(`/call/${button.dataset.call}`)));
}
$("release").addEventListener("click", async () => say(await ask("/release")));
$("goal-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await ask("/goal", { goal: $("goal").value });
  say(answer);
  if (!answer.done) return;
  $("goal").value = "";
  $("goal").blur(); // so that the space bar is STOP for what begins now
});

$("queue").addEventListener("click", async () => {
  const goals = $("goal").value.split(";").map((goal) => goal.trim()).filter(Boolean);
  const answer = await ask("/goals", { goals });
  say(answer);
  if (answer.done) $("goal").value = "";
});

// ---- tabs and theme ----------------------------------------------------------------------------------------------

const tabs = [...document.querySelectorAll("[role=tab]")];
function open(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
  // A tab that needs the whole width does without the cameras beside it.
  document.body.classList.toggle("wide", $(tab.getAttribute("aria-controls")).hasAttribute("data-wide"));
  // The tab's own script hears of it, and whoever draws what is hidden now.
  window.dispatchEvent(new CustomEvent("tab", { detail: tab.getAttribute("aria-controls") }));
  history.replaceState(null, "", `#/${tab.getAttribute("aria-controls")}`);
}
for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    open(next);
    next.focus();
  });
}
open(tabs.find((tab) => `#/${tab.getAttribute("aria-controls")}` === location.hash) ?? tabs[0]);

const themes = ["auto", "light", "dark"];
function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
  $("theme").setAttribute("aria-label", `Light or dark: ${name}`);
  $("theme").title = `light or dark: ${name}`;
}
theme(themes.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");
$("theme").addEventListener("click", () =>
  theme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]),
);

// ---- what is shown -----------------------------------------------------------------------------------------------

function chip(level, words) {
  $("state").dataset.level = level;
  text($("state").querySelector(".icon"), ICONS[level]);
  text($("state").querySelector(".words"), words);
}

function showReason(words) {
  reason = words;
  text($("reason"), [stop.problem, words].filter(Boolean).join(" "));
}

function showSafety({ safety, nodes, estop, drive }) {
  const controller = nodes.controller;
  const lost = ["silent", "missing"].includes(controller.level);
  const own = estop.own && !lost ? "This page has said stop. " : "";
  if (lost) chip(controller.level, "no controller");
  else if (safety?.latched) chip("error", "STOPPED");
  else if (drive?.driver) chip("warning", "driven by hand");
  else if (safety?.stopped) chip("warning", "holding");
  else chip(controller.level, controller.words.split(":")[0] || "running");
  if (lost) showReason(controller.words);
  else if (safety?.latched) {
    const still = safety.now && !estop.own ? `Still: ${safety.now}.` : "Release lets the robot move again.";
    showReason(`${own}${safety.check}: ${safety.reason}. ${estop.others ? "It was not said here, so it is released where it was." : still}`);
  } else if (safety?.stopped) showReason(safety.reason);
  else showReason(controller.level === "ok" ? "" : controller.words);
  $("release").classList.toggle("primary", Boolean(safety?.latched));
}

function showQueue(queue) {
  $("queue").hidden = queue === null;
  $("queued").hidden = !queue?.of;
  if (!queue?.of) return;
  const where = queue.goal ? `goal ${queue.ended.length + 1} of ${queue.of}` : `all ${queue.of} goals are over`;
  text($("queued").querySelector("span"), `${where}, ${queue["in a row"]} succeeded in a row`);
}

function showRun({ goal, goals, success, nodes, queue }) {
  showQueue(queue);
  text($("goal-now"), goal || "none yet");
  const { "goal finding": finding, "goal read as": meaning } = nodes.policy.values;
  text($("goal-finding"), finding ? `! ${nodes.policy.name}: ${finding}` : meaning ? `Read as “${meaning}”.` : "");
  $("goal-finding").classList.toggle("calm", !finding);
  list($("goals"), goals, (sentence) => {
    const button = make("button", sentence, { type: "button" });
    button.addEventListener("click", async () => say(await ask("/goal", { goal: sentence })));
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  for (const figure of document.querySelectorAll("#figures dd")) {
    const value = nodes[figure.dataset.of]?.values[figure.dataset.key];
    text(figure, value ? `${value} ${figure.dataset.unit ?? ""}`.trim() : "–");
  }
  $("new-scene").hidden = nodes.simulator.level === "missing";
  const before = success.before.map((done) => (done ? "✓" : "✗")).join(" ");
  const now = success.now === null ? "nobody tells" : success.now ? "✓ success" : "not yet";
  text($("success"), `This episode: ${now}.` + (before ? ` Before: ${before} (${success.before.filter(Boolean).length} of ${success.before.length})` : ""));
}

function showRecorder({ level, words, values }) {
  const recording = Boolean(values.episode);
  const there = !["silent", "missing"].includes(level);
  text($("recording"), recording ? `● ${values.episode}: ${words}` : there && words.startsWith("cannot") ? "! cannot start" : `${ICONS[level]} ${words}`);
  $("recording").dataset.level = recording ? "error" : level;
  const missing = words.startsWith("cannot start: ") && there ? words.slice(14).split("; ") : [];
  list($("missing"), missing, (reason) => make("li", `! ${reason}`));
  const shown = ["seconds", "MB", "dropped", "episodes"];
  const rates = Object.keys(values).filter((key) => key.startsWith("rate "));
  list($("recorder"), [...shown, ...rates].map((key) => [key.replace("rate /", "").replace("rate ", "").replaceAll("/", "/\u200b"), values[key] || "–"]), ([name, value]) => {
    const pair = document.createElement("div");
    pair.append(make("dt", name), make("dd", value));
    return pair;
  });
}

function showNodes(nodes) {
  list($("nodes"), Object.values(nodes).map(({ name, level, words }) => [name, level, words]), ([name, level, words]) => {
    const item = document.createElement("li");
    const sign = make("span", `${ICONS[level]} ${level}`, { className: "level" });
    sign.dataset.level = level;
    item.append(sign, make("span", words.startsWith(name) ? words : `${name}: ${words}`));
    return item;
  });
}

let ahead = null;
let driver = null;
let tiles = [];
let latest = null;
let cannotDrive = "";
function showDriving() {
  if (!latest) return;
  const { drive, intervention } = latest;
  const waiting = !driver?.connected ? "… no connection for driving yet" : driver.holding ? "○ what you hold has not been heard yet" : "nobody drives";
  const who = drive?.driver ? `● ${drive.driver} drives` : intervention ? "● somebody drives" : waiting;
  const how = drive ? `, speed ${Math.round(100 * drive.speed)} %${drive.chosen ? `, ${drive.chosen}` : ""}` : "";
  const why = cannotDrive || driver?.why;
  text($("driving"), (why ? `✗ Not driving: ${why}. ` : "") + who + how);
}

function hear(state) {
  clock.hear(state.clock);
  stop.hear(state.stopped, state.estop.own);
  if (about && state.start !== about.start) lookAgain();
  show(state);
}

function show(state) {
  heard = performance.now();
  showSafety(state);
  showRun(state);
  showRecorder(state.nodes.recorder);
  showNodes(state.nodes);
  latest = state;
  showDriving();
  ahead?.show(state.ahead);
  for (const tile of tiles) tile.arrives(state.cameras[tile.camera.name]);
}

setInterval(() => {
  if (performance.now() - heard < SILENT_MS) return;
  line.renew(SILENT_MS);
  chip("silent", "no connection");
  showReason("The page's server does not answer: what is shown is old, and STOP may not be heard. It is tried again every second.");
}, 500);

function buildDriving({ keys, cannot_drive: cannot }) {
  cannotDrive = cannot;
  driver = new Driver(keys, { shown: () => !$("drive").hidden, changed: showDriving });
  for (const key of keys) {
    const button = make("button", key.kind === "motion" ? `${key.label} ${key.sign}` : key.label, { type: "button" });
    button.dataset.key = key.key;
    button.append(make("kbd", key.key));
    if (key.kind === "tap") button.addEventListener("click", () => driver.tap(key.key));
    else holdable(button, driver, key.key);
    $(key.kind === "tap" ? "others" : "motions").append(button);
  }
  holdable($("hold"), driver, null);
  $("keys-drive").addEventListener("click", () => {
    driver.byKeyboard = !driver.byKeyboard;
    if (!driver.byKeyboard) driver.letGo();
    $("keys-drive").setAttribute("aria-pressed", String(driver.byKeyboard));
    text($("keys-drive"), `Keys drive: ${driver.byKeyboard ? "on" : "off"}`);
  });
  setInterval(() => text($("pad"), driver.pad() ? "A gamepad is there." : ""), 1000);
}

async function askAbout() {
  for (;;) {
    try {
      const response = await fetch("/about");
      if (response.status === 401) return location.reload();
      return await response.json();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

// The server has started anew. Where it is the same robot's and the same page, what was typed stays.
let about = null;
let looking = false;
async function lookAgain() {
  if (looking || stop.waiting) return; // a stop that has not been heard goes first
  looking = true;
  const found = await askAbout();
  const [now, before] = [found, about].map((each) => JSON.stringify({ ...each, start: "" }));
  if (now !== before) return location.reload();
  about = found;
  looking = false;
}

askAbout().then((found) => {
  about = found;
  text($("robot"), about.robot);
  document.title = `${about.robot} – mode_ros`;
  tiles = makeTiles($("tiles"), about.cameras);
  ahead = new Ahead($("ahead"), $("ahead-words"), about.dimensions);
  buildDriving(about);
});
