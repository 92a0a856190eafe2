"use strict";

// The dials of what a target costs: each a slider with a field, and perhaps a list of known values. Every change
// shows all anew, by costs.js.
function beginCosts(data) {
  const dials = document.getElementById("cost-dials");
  const live = document.getElementById("cost-live");
  const settings = {};
  const field = (key) => dials.querySelector(`input[type=number][name=${key}]`);
  const slider = (key) => dials.querySelector(`input[type=range][name=${key}]`);
  const element = (tag, text, ...children) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
  };
  const filled = (tag, cell) => element(tag, cell[0], ...(cell[1] ? [element("small", cell[1])] : []));
  // What a field refuses, if it does: text that is no number reads as an empty field.
  const refused = ({ value, min, max, step, labels }) => {
    const isWhole = step === "1";
    const given = Number(value);
    if (value === "" || (given >= Number(min) && (max === "" || given <= Number(max)) && (!isWhole || Number.isInteger(given)))) return null;
    const range = max === "" ? `from ${min} on` : `from ${min} to ${max}`;
    return `${labels[0].firstChild.textContent.trim()}: ${value} is no ${isWhole ? "whole " : ""}number ${range}, and is left out.`;
  };
  const read = (key) => {
    const given = field(key);
    settings[key] = given.value === "" || refused(given) ? null : Number(given.value);
  };
  const targetOf = () => (settings.target ?? data.scale * data.targets[data.targets.length - 1]) / data.scale;
  const show = () => {
    const made = costs.shown(data, settings, targetOf());
    const lines = (rows) => rows.map(([title, ...cell]) => element("tr", "", Object.assign(element("th", title), { scope: "row" }), filled("td", cell)));
    live.querySelector(".title").textContent = `${data.name} ${made.text}`;
    live.querySelector(".checks").replaceChildren(
      ...[...keys.map((key) => refused(field(key))).filter((line) => line), ...made.warnings].map((line) => element("li", "", Object.assign(element("span", "warning"), { className: "tag warning" }), ` ${line}`)),
    );
    for (const [name, rows] of [["training", made.training], ["answers", made.answers]]) {
      const table = live.querySelector(`table.${name}`);
      table.tBodies[0].replaceChildren(...lines(rows));
      table.hidden = rows.length === 0;
      const on = name === "training" && made.gpus > 1 ? ` on ${made.gpus} GPUs` : "";
      table.caption.querySelector("span").textContent = `${on}, by the ${made.main}, with ${data.percent} intervals`;
    }
    const laws = live.querySelector("table.by-law");
    laws.tHead.rows[0].replaceChildren(...made.columns.map((title) => Object.assign(element("th", title), { scope: "col" })));
    laws.tBodies[0].replaceChildren(
      ...made.laws.map(({ law, cells }) => {
        const row = element("tr", "", Object.assign(element("th", law), { scope: "row" }), ...cells.map((cell) => filled("td", cell)));
        if (cells.length === 1) Object.assign(row.cells[1], { colSpan: made.columns.length - 1, className: "why" });
        return row;
      }),
    );
    live.querySelector(".differ").textContent = made.differ;
    const said = made.training.find((row) => row[0] === "Compute");
    const time = made.training.find((row) => row[0] === made.timed);
    const devices = made.gpus > 1 ? `${made.gpus} GPUs` : "one device";
    live.querySelector("[role=status]").textContent = said
      ? `${data.name} ${made.text}: ${said[1]}${time ? `, ${time[1]} of ${devices}` : ""}`
      : `${data.name} ${made.text}: not reached`;
    for (const each of [field("efficiency"), slider("efficiency")]) each.disabled = made.gpus === 1;
    return made;
  };
  // A slider follows its field, the field its slider.
  const placed = (key, made) => {
    const given = slider(key);
    const value = settings[key];
    if (key === "target") given.value = made.index;
    else if (value !== null) given.value = given.dataset.base ? Math.log10(Math.max(value, 1)) / Math.log10(given.dataset.base) : value;
    given.setAttribute("aria-valuetext", value === null ? "not chosen" : key === "target" ? made.text : `${costs.number(value)} ${given.dataset.unit}`);
    const list = dials.querySelector(`select[name=${key}]`);
    if (list) list.value = [...list.options].find((each) => each.value !== "" && Number(each.value) === value)?.value ?? "";
  };
  const keys = [...dials.querySelectorAll("input[type=range]")].map((each) => each.name);
  const changed = (event) => {
    const { name: key, type, value } = event.target;
    if (type === "range") {
      const base = event.target.dataset.base;
      const power = base ? base ** Number(value) : Number(value);
      const moved = base && !Number.isInteger(power) ? Number(power.toPrecision(2)) : power;
      field(key).value = key === "target" ? Number((data.scale * data.targets[moved]).toPrecision(6)) : moved;
    } else if (type === "select-one" && value !== "") {
      field(key).value = value;
    }
    read(key);
    placed(key, show());
  };
  dials.addEventListener("input", changed);
  dials.addEventListener("submit", (event) => event.preventDefault());
  keys.forEach(read);
  const made = show();
  keys.forEach((key) => placed(key, made));
  dials.hidden = live.hidden = false;
  document.getElementById("cost-tables").open = false;
  document.documentElement.dataset.costs = "live";
}

if ("DecompressionStream" in window) {
  unpack("packed-dials")
    .then((text) => beginCosts(JSON.parse(text)))
    .catch((problem) => console.warn("the costs stay tables:", problem));
}
