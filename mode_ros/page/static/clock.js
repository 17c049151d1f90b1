// The server's clock, from the times that it tells: never ahead of it, and behind by how long the fastest of them took.
// Where either clock stood still for a while that is no longer so: who sees it forgets what was heard.

// The clocks of browser and server part by less than this (seconds per second).
const DRIFT = 2e-4;

export class Clock {
  constructor() {
    this.forget();
  }

  forget() {
    this.offset = -Infinity;
    this.heardAt = 0;
  }

  // seconds: what the server's clock was when it said so.
  hear(seconds) {
    const here = performance.now() / 1000;
    const drifted = this.offset - DRIFT * (here - this.heardAt);
    this.offset = Math.max(seconds - here, drifted);
    this.heardAt = here;
  }

  // Seconds, null before it has been heard.
  now() {
    return this.offset === -Infinity ? null : this.offset + performance.now() / 1000;
  }
}
