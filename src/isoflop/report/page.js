"use strict";

// Tables: a click on a header sorts its column; unknown values stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.closest("th");
    const column = head.cellIndex;
    const numeric = "numeric" in head.dataset;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const rows = Array.from(body.rows, (row) => {
      const text = row.cells[column].textContent.trim();
      return { row, text, value: numeric ? parseFloat(text.replace(/,/g, "")) : NaN };
    });
    rows.sort((a, b) => {
      if (!numeric) return (down ? -1 : 1) * compare(a.text, b.text);
      if (Number.isNaN(a.value) || Number.isNaN(b.value)) {
        return Number.isNaN(a.value) - Number.isNaN(b.value);
      }
      return (down ? -1 : 1) * (a.value - b.value);
    });
    body.append(...rows.map((entry) => entry.row));
  });
}

// Charts: unpack plotly from this very page, then put each chart in its drawing's place.
async function unpack(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const darkness = window.matchMedia("(prefers-color-scheme: dark)");

// Colours of a dark page in place of those of a light one.
function tinted(value, colours) {
  const text = JSON.stringify(value);
  const change = (colour) => colours[colour.toLowerCase()] ?? colour;
  return JSON.parse(darkness.matches ? text.replace(/#[0-9a-f]{6}/gi, change) : text);
}

// Few enough ticks for a phone: whole powers of ten where there are several, else every second one.
function thin(axis) {
  const shown = axis.tickvals.map((at, i) => [Math.log10(at), at, axis.ticktext[i]]);
  const seen = shown.filter(([power]) => power >= axis.range[0] && power <= axis.range[1]);
  if (seen.length <= 6) return;
  const whole = seen.filter(([power]) => Math.abs(power - Math.round(power)) < 1e-6);
  const kept = whole.length >= 3 && whole.length <= 6 ? whole : seen.filter((_, i) => i % 2 === 0);
  axis.tickvals = kept.map((entry) => entry[1]);
  axis.ticktext = kept.map((entry) => entry[2]);
}

// An entry of a legend: a button that switches what it stands for, or a mere key where it switches nothing.
function entryOf(entry, title, off, redraw) {
  const place = document.createElement(entry.tag ? "button" : "span");
  const swatch = document.createElement("i");
  const drawn = ["line", "dash", "dot", "band"].includes(entry.drawn);
  swatch.className = `swatch ${drawn ? entry.drawn : "glyph"}`;
  if (!drawn) swatch.textContent = entry.drawn;
  swatch.style[entry.drawn === "band" ? "background" : "color"] = entry.colour;
  place.append(swatch, entry.name);
  if (!entry.tag) {
    place.className = "key";
    return place;
  }
  place.type = "button";
  place.setAttribute("aria-label", `${title} ${entry.name}`.trim());
  const mark = () => place.setAttribute("aria-pressed", String(!off.has(entry.tag)));
  mark();
  place.addEventListener("click", () => {
    if (!off.delete(entry.tag)) off.add(entry.tag);
    mark();
    redraw();
  });
  return place;
}

// One chart in the place of its drawing; it is drawn again where the page turns dark or light.
function charted(figure, given, colours) {
  const place = figure.querySelector(".live");
  const legend = figure.querySelector(".legend");
  const off = new Set(given.legend.flatMap((part) => part.entries.filter((e) => !e.on).map((e) => e.tag)));
  const narrow = figure.clientWidth < 560;
  const first = figure.closest(".first") !== null;
  const height = narrow ? (first ? 250 : 340) : first ? 430 : 400;
  const hidden = (trace) => trace.tags.some((tag) => off.has(tag));
  const restyle = () => {
    window.Plotly.restyle(place, { visible: given.data.map((trace) => !hidden(trace)) });
  };
  const fillLegend = () => {
    while (legend.children.length > 1) legend.lastChild.remove();
    for (const part of tinted(given.legend, colours)) {
      const row = document.createElement("div");
      row.setAttribute("role", "group");
      if (part.title) {
        row.setAttribute("aria-label", part.title);
        row.append(Object.assign(document.createElement("b"), { textContent: part.title }));
      }
      row.append(...part.entries.map((entry) => entryOf(entry, part.title, off, restyle)));
      legend.append(row);
    }
  };
  const draw = async () => {
    const { data, layout } = tinted({ data: given.data, layout: given.layout }, colours);
    data.forEach((trace) => (trace.visible = !hidden(trace)));
    Object.assign(layout, { height, font: { ...layout.font, size: narrow ? 12 : 13 } });
    if (narrow) {
      thin(layout.xaxis);
      Object.assign(layout.margin, { l: 46, r: 6, t: 10, b: 42 });
    }
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: narrow ? false : "hover",
      showSendToCloud: false, // the page keeps its data to itself
      toImageButtonOptions: { filename: figure.dataset.chart },
    };
    await window.Plotly.react(place, data, layout, config);
    fillLegend();
  };
  place.hidden = false;
  legend.hidden = false;
  legend.open = !narrow;
  darkness.addEventListener("change", draw);
  return draw();
}

async function drawCharts() {
  if (!("DecompressionStream" in window)) return;
  const { views, runs, dark } = JSON.parse(await unpack("packed-charts"));
  const script = document.createElement("script");
  script.textContent = await unpack("packed-plotly");
  document.head.append(script);
  const waiting = [...document.querySelectorAll("figure[data-chart]")].filter((f) => views[f.dataset.chart]);
  const draw = async (figure) => {
    const spec = views[figure.dataset.chart];
    waiting.splice(waiting.indexOf(figure), 1);
    for (const trace of spec.data) if (trace.meta === "runs") trace.text = trace.text.map((i) => runs[i]);
    await charted(figure, spec, dark);
    figure.querySelector(".still").hidden = true;
    figure.dataset.state = "live";
  };
  // A chart that is folded away has no width: it is drawn when its fold is opened.
  const drawSeen = async () => {
    for (const figure of waiting.filter((each) => each.clientWidth > 0)) await draw(figure);
  };
  await drawSeen();
  for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", drawSeen);
  document.documentElement.dataset.charts = "live";
}

// Folds: a link to what lies in one opens it, and so does printing.
function unfold(place) {
  for (let at = place; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
}

function reveal() {
  const place = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
  if (!place) return;
  unfold(place);
  place.scrollIntoView();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  const place = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (place) unfold(place);
});
window.addEventListener("hashchange", reveal);
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(unfold));
reveal();

drawCharts().catch((problem) => console.warn("the charts stay drawings:", problem));
