// STOP: said on a line that is open and asked for beside it, since either may wait behind something slow; again and again,
// until one of them was heard. The server knows a press by its page and number, and what comes of it later as the same one.

const AGAIN_MS = 300;
const TRIES = 10;
const LATER_MS = 1000;
// A request without an answer may wait on a network that was away: another one is tried beside it, up to so many.
const STUCK_MS = 2000;
const BESIDE = 3;
const WAITING = "STOP has not been heard yet.";
const WIRED = "Press the robot's own emergency stop.";

export class Stop {
  // line: the server tells on it which press it has heard there last; changed: called when `waiting` or `problem` may have
  // changed; heard: with what the server answered.
  constructor(line, { changed, heard }) {
    const page = Math.random().toString(36).slice(2);
    Object.assign(this, { line, changed, answered: heard, page, presses: 0, waiting: "", problem: "" });
    this.requests = new Map(); // AbortController to the press that it is of, and when it was asked for
  }

  async press() {
    const press = `${this.page} ${++this.presses}`;
    this.waiting = press;
    this.tell(WAITING);
    for (let attempt = 1; this.waiting === press; attempt++) {
      this.line.send(`stop ${press}`);
      const mine = [...this.requests.values()].filter((each) => each.press === press);
      if (mine.length < BESIDE && mine.every((each) => performance.now() - each.at > STUCK_MS)) this.ask(press);
      await new Promise((resolve) => setTimeout(resolve, attempt < TRIES ? AGAIN_MS : LATER_MS));
      if (this.waiting === press && this.problem === WAITING) this.fail(press, "no answer yet.");
    }
  }

  // No timeout: a late stop is better than none.
  async ask(press) {
    const request = new AbortController();
    this.requests.set(request, { press, at: performance.now() });
    try {
      const response = await fetch("/stop", { method: "POST", headers: { press }, signal: request.signal });
      if (response.ok) return this.heard(press, await response.json());
      const words = response.status === 401 ? "the token is no longer valid: load the page again." : `the page's server answered ${response.status}.`;
      this.fail(press, words);
    } catch {
      this.fail(press, "the page's server does not answer.");
    } finally {
      this.requests.delete(request);
    }
  }

  fail(press, words) {
    if (this.waiting === press) this.tell(`STOP HAS NOT BEEN HEARD: ${words} ${WIRED}`);
  }

  // press: the last one that was heard on the line; stands: whether what this page's server said still does.
  hear(press, stands) {
    const words = stands ? "Stop was said on estop." : "That stop was heard, and has been released since: press again.";
    if (press) this.heard(press, { done: stands, words });
  }

  heard(press, answer) {
    if (this.waiting !== press) return;
    this.waiting = "";
    // What waits, of earlier presses too, would say it once more, perhaps when the robot has long been released.
    for (const request of this.requests.keys()) request.abort();
    this.tell("");
    this.answered(answer);
  }

  tell(problem) {
    this.problem = problem;
    this.changed();
  }
}
