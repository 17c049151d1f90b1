// Numbers over time as SVG: dashes and names beside the colours, a bar above where a person drove, a line at the time shown.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 116, LEFT = 56, RIGHT = 6, TOP = 14, BOTTOM = 18, HAND = 6;
const LINES = 8;

function shape(name, attributes, words) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (words !== undefined) element.textContent = words;
  return element;
}

const short = (value) => String(Number(value.toPrecision(3)));

// One plot. Returns its element and a function that moves the line to a time in seconds.
// width: of its place in pixels, so that its words are not stretched.
export function plot({ kind, title, names, units, values }, times, seconds, driven, width) {
  units = units.map((unit) => (unit === "1" ? "" : unit));
  const place = document.createElement("div");
  place.className = "plot";
  const every = values.flat();
  let low = Math.min(...every), high = Math.max(...every);
  if (low === high) [low, high] = [low - 1, high + 1];
  const x = (time) => LEFT + (time / Math.max(seconds, 1e-9)) * (width - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const head = document.createElement("h3");
  const unit = new Set(units).size === 1 && units[0] ? ` (${units[0]})` : "";
  head.textContent = `${kind} ${title}${unit}`.trim();
  const words = `${head.textContent}: ${names.map((name, k) => `${name} from ${short(Math.min(...values[k]))} to ${short(Math.max(...values[k]))}`).join(", ")}`;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words });
  for (const [from, to] of driven) {
    svg.append(shape("rect", { class: "hand", x: x(from), y: TOP - HAND - 2, width: Math.max(x(to) - x(from), 1), height: HAND }));
  }
  svg.append(shape("path", { class: "axis", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${width - RIGHT}` }));
  svg.append(shape("text", { x: LEFT - 4, y: TOP + 6, "text-anchor": "end" }, short(high)));
  svg.append(shape("text", { x: LEFT - 4, y: HEIGHT - BOTTOM, "text-anchor": "end" }, short(low)));
  svg.append(shape("text", { x: LEFT, y: HEIGHT - 4 }, "0"));
  svg.append(shape("text", { x: width - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, `${seconds.toFixed(1)} s`));
  values.forEach((column, k) => {
    const points = column.map((value, i) => `${x(times[i]).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    svg.append(shape("polyline", { class: `line-${k % LINES}`, points }));
  });
  const cursor = shape("line", { class: "cursor", x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM });
  svg.append(cursor);
  place.append(head, svg, legend(names, units, unit, driven.length > 0));
  return {
    element: place,
    at(time) {
      cursor.setAttribute("x1", x(time));
      cursor.setAttribute("x2", x(time));
    },
  };
}

function legend(names, units, same, driven) {
  const list = document.createElement("ul");
  names.forEach((name, k) => {
    const item = document.createElement("li");
    const sample = shape("svg", { viewBox: "0 0 30 8", "aria-hidden": "true" });
    sample.append(shape("polyline", { class: `line-${k % LINES}`, points: "0,4 30,4" }));
    item.append(sample, units[k] && !same ? `${name} (${units[k]})` : name);
    list.append(item);
  });
  if (driven) {
    const item = document.createElement("li");
    const sample = shape("svg", { viewBox: "0 0 30 8", "aria-hidden": "true" });
    sample.append(shape("rect", { class: "hand", x: 0, y: 1, width: 30, height: HAND }));
    item.append(sample, "a person drove");
    list.append(item);
  }
  return list;
}
