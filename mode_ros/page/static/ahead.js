// What the robot is about to do: for each action dimension the rest of the chunk, from now at the left, within its bounds.

import { text } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, TOP, SHOWN] = [120, 52, 14, 32];

const add = (parent, name, attributes) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  parent.append(made);
  return made;
};

export class Ahead {
  constructor(place, words, dimensions) {
    this.words = words;
    this.strips = dimensions.map(({ name, unit, lower, upper }) => {
      const svg = add(place, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `planned ${name}` });
      const up = (value) => TOP + ((upper - value) / Math.max(upper - lower, 1e-9)) * (HEIGHT - TOP - 2);
      if (lower <= 0 && upper >= 0) add(svg, "path", { class: "zero", d: `M0 ${up(0)}H${WIDTH}` });
      const label = add(svg, "text", { x: 2, y: 10 });
      return { name, unit, up, label, whole: add(svg, "polyline", { class: "line" }), decided: add(svg, "polyline", { class: "line decided" }) };
    });
  }

  show(ahead) {
    const count = ahead?.values[0]?.length ?? 0;
    text(this.words, count ? `the next ${(count * ahead.period).toFixed(2)} s${ahead.decided ? `, dashed: decided before, ${Math.min(ahead.decided, count)} of ${count} actions` : ""}` : "nothing is planned");
    this.strips.forEach(({ name, unit, up, label, whole, decided }, number) => {
      const values = ahead?.values[number] ?? [];
      // Steps, as they are commanded; one action is as wide as another, so that a chunk is seen to run out.
      const step = WIDTH / SHOWN;
      const points = values.map((value, at) => `${(at * step).toFixed(1)},${up(value).toFixed(1)} ${((at + 1) * step).toFixed(1)},${up(value).toFixed(1)}`);
      text(label, values.length ? `${name} ${values[0].toPrecision(2)} ${unit === "1" ? "" : unit}` : name);
      whole.setAttribute("points", points.slice(ahead?.decided ?? 0).join(" "));
      decided.setAttribute("points", points.slice(0, ahead?.decided ?? 0).join(" "));
    });
  }
}
