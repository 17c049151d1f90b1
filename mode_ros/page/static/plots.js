// Plots as SVG: a curve over steps, and tables as shades. Colours come from the page, so that they are right in the dark.

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, words) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (words !== undefined) made.textContent = words;
  return made;
}

function canvas(width, height, title) {
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  svg.append(element("text", { x: 4, y: 13 }, title));
  return svg;
}

const short = (value) => (Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.001) ? value.toExponential(1) : String(Number(value.toPrecision(3))));

// points: [[step, value], …]; logarithmic: what is not above 0 is left out.
export function curve(title, points, { logarithmic = false } = {}) {
  const [width, height, left, right, top, bottom] = [340, 150, 54, 8, 22, 20];
  const shown = points.filter(([, y]) => !logarithmic || y > 0).map(([x, y]) => [x, logarithmic ? Math.log10(y) : y]);
  const last = points.length ? points[points.length - 1][1] : null;
  const svg = canvas(width, height, last === null ? `${title}: nothing yet` : `${title}: ${short(last)}`);
  if (!shown.length) return svg;
  const xs = shown.map(([x]) => x);
  const ys = shown.map(([, y]) => y);
  const [first, end] = [Math.min(...xs), Math.max(...xs)];
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const place = ([x, y]) => [
    left + ((x - first) / Math.max(end - first, 1e-9)) * (width - left - right),
    top + ((high - y) / (high - low)) * (height - top - bottom),
  ];
  const real = (value) => short(logarithmic ? 10 ** value : value);
  svg.append(
    element("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
    element("text", { x: left - 4, y: top + 8, "text-anchor": "end" }, real(high)),
    element("text", { x: left - 4, y: height - bottom, "text-anchor": "end" }, real(low)),
    element("text", { x: left, y: height - 5 }, String(first)),
    element("text", { x: width - right, y: height - 5, "text-anchor": "end" }, `step ${end}`),
  );
  const drawn = shown.map(place);
  if (drawn.length > 1) svg.append(element("polyline", { class: "curve", points: drawn.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") }));
  const [x, y] = drawn[drawn.length - 1];
  svg.append(element("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 3, fill: "currentColor" }));
  return svg;
}

// values: rows of numbers from 0 to 1; names: of the rows. More is darker on light and lighter on dark.
export function shades(title, values, names, from, to) {
  const [width, left, top, cell] = [340, 66, 20, 16];
  const height = top + cell * values.length + 18;
  const svg = canvas(width, height, title);
  const step = (width - left - 6) / Math.max(values[0]?.length ?? 1, 1);
  values.forEach((row, number) => {
    svg.append(element("text", { x: left - 5, y: top + cell * (number + 0.75), "text-anchor": "end" }, names[number]));
    row.forEach((value, column) => {
      const box = element("rect", {
        x: (left + column * step).toFixed(1), y: top + number * cell, width: (step + 0.2).toFixed(1), height: cell - 1,
        fill: "currentColor", "fill-opacity": (0.04 + 0.9 * Math.min(Math.max(value, 0), 1)).toFixed(3),
      });
      box.append(element("title", {}, `${names[number]}: ${value.toFixed(2)}`));
      svg.append(box);
    });
  });
  svg.append(element("text", { x: left, y: height - 4 }, from), element("text", { x: width - 6, y: height - 4, "text-anchor": "end" }, to));
  return svg;
}
