// STOP: said on a line that is open and asked for beside it, since either may wait behind something slow; again and again,
// until one of them was heard.

const AGAIN_MS = 300;
const TRIES = 10;
const WAITING = "STOP has not been heard yet.";
const WIRED = "Press the robot's own emergency stop.";

export class Stop {
  // line: the server tells on it the number of the last stop that it has heard there; changed: called when `trying` or
  // `problem` may have changed; heard: with what the server answered.
  constructor(line, { changed, heard }) {
    Object.assign(this, { line, changed, answered: heard, presses: 0, waiting: null, trying: false, problem: "" });
  }

  async press() {
    const press = { number: String(++this.presses), request: null };
    this.waiting = press;
    this.trying = true;
    this.tell(WAITING);
    for (let attempt = 0; attempt < TRIES; attempt++) {
      this.line.send(`stop ${press.number}`);
      if (!press.request) this.ask(press);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      if (this.waiting !== press) return;
      if (this.problem === WAITING) this.tell(`STOP HAS NOT BEEN HEARD: no answer yet. ${WIRED}`);
    }
    this.trying = false;
    this.changed();
  }

  // No timeout: a late stop is better than none.
  async ask(press) {
    press.request = new AbortController();
    try {
      const response = await fetch("/stop", { method: "POST", signal: press.request.signal });
      if (response.ok) return this.heard(press, await response.json());
      const words = response.status === 401 ? "the token is no longer valid: load the page again." : `the page's server answered ${response.status}.`;
      this.fail(press, words);
    } catch {
      this.fail(press, "the page's server does not answer.");
    }
    press.request = null;
  }

  fail(press, words) {
    if (this.waiting === press) this.tell(`STOP HAS NOT BEEN HEARD: ${words} ${WIRED}`);
  }

  // number: of the last stop that was heard on the line.
  hear(number) {
    if (this.waiting?.number === number) this.heard(this.waiting, { done: true, words: "Stop was said on estop." });
  }

  // The robot stands stopped by now, whoever was heard.
  stands() {
    if (this.problem) this.tell("");
  }

  heard(press, answer) {
    if (this.waiting !== press) return;
    this.waiting = null;
    this.trying = false;
    // The other way would say it once more, perhaps when the robot has long been released.
    press.request?.abort();
    this.tell("");
    this.answered(answer);
  }

  tell(problem) {
    this.problem = problem;
    this.changed();
  }
}
