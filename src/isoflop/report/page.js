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

async function drawCharts() {
  if (!("DecompressionStream" in window)) return;
  const { views, runs } = JSON.parse(await unpack("packed-charts"));
  const script = document.createElement("script");
  script.textContent = await unpack("packed-plotly");
  document.head.append(script);
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const spec = views[figure.dataset.chart];
    const place = figure.querySelector(".live");
    if (!spec) continue;
    for (const trace of spec.data) if (trace.meta === "runs") trace.text = trace.text.map((i) => runs[i]);
    place.hidden = false;
    const narrow = figure.clientWidth < 560;
    if (narrow) {
      spec.layout.font.size = 12;
      spec.layout.legend.y = -0.24;
    }
    const entries = spec.data.filter((trace) => trace.showlegend !== false).length;
    const columns = Math.max(1, Math.floor(figure.clientWidth / 135));
    spec.layout.height = (narrow ? 380 : 480) + 22 * Math.ceil(entries / columns);
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: narrow ? false : "hover",
      showSendToCloud: false, // the page keeps its data to itself
    };
    await window.Plotly.newPlot(place, spec.data, spec.layout, config);
    figure.querySelector(".still").hidden = true;
    figure.dataset.state = "live";
  }
  document.documentElement.dataset.charts = "live";
}

drawCharts().catch((problem) => console.warn("the charts stay drawings:", problem));
