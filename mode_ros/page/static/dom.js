// What every part of the page uses to change it: only what differs is written, so that nothing flickers.

export const $ = (id) => document.getElementById(id);
export const ICONS = { ok: "✓", warning: "!", error: "✗", stale: "?", silent: "✗", missing: "–" };

export const text = (element, words) => {
  if (element.textContent !== words) element.textContent = words;
};
export const make = (tag, words, attributes = {}) => {
  const element = document.createElement(tag);
  element.textContent = words;
  Object.assign(element, attributes);
  return element;
};
// Makes the children of a list anew only where they differ.
export const list = (element, items, build) => {
  const key = JSON.stringify(items);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...items.map(build));
};

// What somebody answered, in the line at the top.
export function say({ done, words }) {
  text($("answer"), `${done ? "✓" : "✗"} ${words}`);
  $("answer").dataset.level = done ? "ok" : "error";
}
