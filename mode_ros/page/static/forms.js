// A form from a settings class's own descriptions: what differs from the values that it began with is what is sent.

import { list, make, text } from "./dom.js";

let count = 0;

class Field {
  constructor(field, names, changed) {
    this.field = field;
    this.key = field.key;
    const id = `field-${++count}`;
    this.place = make("div", "", { className: "field" });
    this.place.dataset.key = field.key;
    this.input = this.makeInput(names);
    this.input.id = id;
    this.input.setAttribute("aria-describedby", `${id}-words ${id}-problem`);
    const words = [field.words, field.range, field.default ? `usual: ${field.default}` : ""].filter(Boolean).join("; ");
    this.problem = make("p", "", { className: "problem", id: `${id}-problem` });
    this.place.append(make("label", field.key, { htmlFor: id }), this.input, make("p", words, { className: "fine", id: `${id}-words` }), this.problem);
    this.input.addEventListener("change", changed);
  }

  makeInput(names) {
    const { kind, choices, optional } = this.field;
    if (kind === "truth") return make("input", "", { type: "checkbox" });
    if (kind === "choice" || kind === "name") {
      const select = make("select", "");
      const options = kind === "name" ? { "": "none", ...names } : { ...(optional ? { [this.field.default === undefined ? "null" : ""]: "as it is" } : {}), ...Object.fromEntries(choices.map((choice) => [choice, choice])) };
      this.setOptions(select, options);
      return select;
    }
    return make("input", "", { type: "text", inputMode: kind === "whole" ? "numeric" : kind === "number" ? "decimal" : "text", autocomplete: "off", spellcheck: false });
  }

  setOptions(select, options) {
    const before = select.value;
    // What was chosen and is gone is refused when it is used; nothing else is chosen instead of it.
    const all = before in options || !before ? options : { ...options, [before]: `${before} is gone: choose` };
    list(select, Object.entries(all), ([value, words]) => make("option", words, { value }));
    if (before in all) select.value = before;
  }

  get value() {
    if (this.field.kind === "truth") return String(this.input.checked);
    const typed = this.input.value.trim();
    return typed === "" && this.field.optional && this.field.default === undefined ? "null" : typed;
  }

  set value(value) {
    if (this.field.kind === "truth") this.input.checked = value === "true";
    else this.input.value = value === "null" && this.input.tagName !== "SELECT" ? "" : value;
  }

  say(problem) {
    text(this.problem, problem ? `✗ ${problem}` : "");
    this.input.setAttribute("aria-invalid", String(Boolean(problem)));
  }
}

export class SettingsForm {
  // fields: as the server describes them; first, rest: the places of those in `shown` and of all others.
  constructor({ fields, names = {}, shown, first, rest, changed }) {
    this.begun = {};
    this.fields = new Map();
    const sections = new Map();
    for (const described of fields) {
      const field = new Field(described, names[described.names] ?? {}, () => {
        this.mark();
        changed();
      });
      this.fields.set(field.key, field);
      if (shown.includes(field.key)) {
        first.append(field.place);
        continue;
      }
      const name = field.key.includes(".") ? field.key.split(".")[0] : "";
      if (!sections.has(name)) {
        const section = make("fieldset", "");
        section.dataset.section = name;
        const problem = make("p", "", { className: "problem" });
        section.append(make("legend", name || "settings"), problem);
        sections.set(name, { section, problem });
        rest.append(section);
      }
      sections.get(name).section.append(field.place);
    }
    this.sections = sections;
  }

  begin(values) {
    this.begun = values;
    for (const [key, field] of this.fields) field.value = values[key] ?? "";
    this.say({});
    this.mark();
  }

  // Other names to choose from, which come and go with what is on the disk.
  rename(names) {
    for (const field of this.fields.values()) {
      if (field.field.kind === "name") field.setOptions(field.input, { "": "none", ...(names[field.field.names] ?? {}) });
    }
  }

  get changes() {
    const differing = [...this.fields].filter(([key, field]) => field.value !== (this.begun[key] ?? ""));
    return Object.fromEntries(differing.map(([key, field]) => [key, field.value]));
  }

  mark() {
    const changes = this.changes;
    for (const [key, field] of this.fields) field.place.classList.toggle("changed", key in changes && field.field.kind !== "name");
    return Object.keys(changes).length;
  }

  // problems: by key of a field, or of a section; returns those that have no place here.
  say(problems) {
    const rest = { ...problems };
    for (const [key, field] of this.fields) {
      field.say(rest[key] ?? "");
      delete rest[key];
    }
    for (const [name, { problem }] of this.sections) {
      const own = Object.keys(rest).filter((key) => name && (key === name || key.startsWith(`${name}.`)));
      text(problem, own.map((key) => `✗ ${rest[key]}`).join(" "));
      for (const key of own) delete rest[key];
    }
    return Object.values(rest).join(" ");
  }

  search(words) {
    const sought = words.trim().toLowerCase();
    for (const { section } of this.sections.values()) {
      let any = false;
      for (const place of section.querySelectorAll(".field")) {
        const hidden = Boolean(sought) && !place.textContent.toLowerCase().includes(sought);
        place.hidden = hidden;
        any = any || !hidden;
      }
      section.hidden = !any;
    }
  }
}
