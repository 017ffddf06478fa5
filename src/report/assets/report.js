(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const all = (query, within) => Array.from((within || document).querySelectorAll(query));
const one = id => document.getElementById(id);
all(".js").forEach(tool => { tool.hidden = false; });

// Figures as the rest of the page writes them. Values are milliseconds.
const three = v => v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0);
const ms = v => v == null ? "–" : v === 0 ? "0" : v < 0.9995 ? three(v * 1e3) + " µs" : v < 999.5 ? three(v) + " ms" : three(v / 1e3) + " s";
const tick = v => {
  if (v == null) return "";
  if (v === 0) return "0";
  const [n, unit] = v < 0.9995 ? [v * 1e3, "µs"] : v < 999.5 ? [v, "ms"] : [v / 1e3, "s"];
  return +n.toPrecision(3) + " " + unit;
};
const percentile = x => x == null ? "–" : +((1 - 1 / x) * 100).toPrecision(Math.max(2, Math.ceil(Math.log10(x)) + 1)) + " %";
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shade = (value, alpha) => value + Math.round(alpha * 255).toString(16).padStart(2, "0");
const STYLE = { v1: ["--v1", [6, 4]], v2: ["--v2", []], baseline: ["--base", [2, 3]] };

const plots = new Map();
const height = () => window.innerWidth < 640 ? 220 : 280;
function axis(label, more) {
  return Object.assign({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1, size: 5 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", label, labelSize: label ? 18 : 0, labelGap: 0, gap: 4 }, more);
}
function line(side, label, value, more) {
  const [name, dash] = STYLE[side];
  return Object.assign({ label: label || side, stroke: colour(name), width: 2, dash, points: { show: false }, value: (_, v) => value(v), spanGaps: false }, more);
}
function draw(id, options, columns) {
  const box = one(id);
  const old = plots.get(id);
  if (old) { old.plot.destroy(); old.watch.disconnect(); plots.delete(id); }
  box.replaceChildren();
  if (!columns || columns[0].length === 0) {
    const nothing = document.createElement("p");
    nothing.textContent = "Nothing was measured.";
    box.append(nothing);
    return;
  }
  const width = () => Math.max(200, box.clientWidth);
  const plot = new uPlot(Object.assign({ width: width(), height: height(), padding: [10, 26, 0, 4], cursor: { drag: { x: true, y: false, uni: 10 }, focus: { prox: 24 } } }, options), columns, box);
  const watch = new ResizeObserver(() => { if (Math.abs(plot.width - width()) > 1) plot.setSize({ width: width(), height: plot.height }); });
  watch.observe(box);
  plots.set(id, { plot, watch, columns });
}
// The keyboard's way to zoom.
function keys(id) {
  one(id).addEventListener("keydown", event => {
    const held = plots.get(id);
    if (!held || event.ctrlKey || event.metaKey || event.altKey) return;
    const { plot, columns } = held, scale = plot.scales.x, log = scale.distr === 3;
    const to = log ? Math.log : v => v, from = log ? Math.exp : v => v;
    const lowest = to(columns[0][0]), highest = to(columns[0][columns[0].length - 1]);
    let [min, max] = [to(scale.min), to(scale.max)];
    const span = max - min, middle = (min + max) / 2;
    switch (event.key) {
      case "+": case "=": [min, max] = [middle - span / 3, middle + span / 3]; break;
      case "-": [min, max] = [middle - span * .75, middle + span * .75]; break;
      case "ArrowLeft": [min, max] = [min - span / 5, max - span / 5]; break;
      case "ArrowRight": [min, max] = [min + span / 5, max + span / 5]; break;
      case "0": case "Escape": [min, max] = [lowest, highest]; break;
      default: return;
    }
    event.preventDefault();
    if (max - min < (highest - lowest) / 1e4) return;
    [min, max] = [Math.max(min, lowest), Math.min(max, highest)];
    if (max > min) plot.setScale("x", { min: from(min), max: from(max) });
  });
}
["chart-percentiles", "chart-histogram", "chart-requests", "chart-errors", "chart-p99"].forEach(keys);

const select = one("route");
data.routes.forEach((route, index) => {
  const option = document.createElement("option");
  option.value = index;
  option.textContent = index === 0 ? "All routes" : route.name;
  select.append(option);
});
function latency() {
  const route = data.routes[+select.value || 0];
  if (!route) { draw("chart-percentiles"); draw("chart-histogram"); return; }
  const sides = data.sides.filter(side => route.quantiles[side]);
  const longest = Math.max(0, ...sides.map(side => route.quantiles[side].length));
  const x = data.grid.slice(0, longest);
  draw("chart-percentiles", {
    scales: { x: { distr: 3, time: false }, y: { distr: 3 } },
    axes: [
      axis("percentile", { size: 30, splits: (u, i, min, max) => [1, 2, 4, 10, 20, 100, 1e3, 1e4, 1e5, 1e6].filter(v => v >= min * .999 && v <= max * 1.001), values: (u, splits) => splits.map(percentile), filter: (u, s) => s, space: 40 }),
      axis("", { values: (u, splits) => splits.map(tick), size: 64 }),
    ],
    series: [{ label: "percentile", value: (_, v) => percentile(v) }].concat(sides.map(side => line(side, `${side} (${route.counts[side]})`, ms))),
  }, [x].concat(sides.map(side => x.map((_, i) => route.quantiles[side][i] ?? null))));
  const h = route.histogram;
  const stepped = uPlot.paths.stepped({ align: 1 });
  draw("chart-histogram", h && {
    scales: { x: { distr: 3, time: false }, y: { range: (u, min, max) => [0, max * 1.08 || 1] } },
    axes: [axis("latency", { size: 30, values: (u, splits) => splits.map(tick) }), axis("", { values: (u, splits) => splits.map(v => +v.toPrecision(3) + " %"), size: 56 })],
    series: [{ label: "from", value: (_, v) => ms(v) }].concat(sides.map(side => line(side, "", v => v == null ? "–" : v.toFixed(2) + " %", { paths: stepped, fill: shade(colour(STYLE[side][0]), .14), dash: [], width: 1.5 }))),
  }, h && [h.from].concat(sides.map(side => h[side])));
}
function time() {
  const t = data.timeline, sync = { key: "time" };
  if (!t || t.second.length === 0) { ["chart-requests", "chart-errors", "chart-p99"].forEach(id => draw(id)); return; }
  const clock = v => v == null ? "–" : v >= 60 ? `${Math.floor(v / 60)}:${String(Math.floor(v % 60)).padStart(2, "0")}` : +v.toFixed(1) + " s";
  const chart = (id, key, value, more) => {
    const sides = data.sides.filter(side => t[side]);
    draw(id, {
      height: 150, cursor: { drag: { x: true, y: false }, sync },
      scales: { x: { time: false }, y: Object.assign({ range: (u, min, max) => [0, Math.max(max * 1.1, more.least)] }, more.scale) },
      axes: [axis("", { size: 30, values: (u, splits) => splits.map(clock) }), axis("", { values: (u, splits) => splits.map(more.tick), size: 64 })],
      series: [{ label: "at", value: (_, v) => clock(v) }].concat(sides.map(side => line(side, "", value, { points: { show: t.second.length < 40, size: 5 } }))),
    }, [t.second].concat(sides.map(side => t[side][key])));
  };
  const whole = v => v == null ? "–" : String(v);
  chart("chart-requests", "requests", whole, { least: 1, tick: v => Number.isInteger(v) ? String(v) : "" });
  chart("chart-errors", "errors", whole, { least: 1, tick: v => Number.isInteger(v) ? String(v) : "" });
  chart("chart-p99", "p99", ms, { least: 0.001, tick });
}
function redraw() { latency(); time(); }
select.addEventListener("change", latency);
redraw();

// A route's name anywhere shows its charts.
document.addEventListener("click", event => {
  const link = event.target.closest("a[data-route]");
  if (!link) return;
  const index = data.routes.findIndex(route => route.name === link.dataset.route);
  if (index >= 0) { select.value = index; latency(); }
});

// A link into a cluster opens it.
function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (target && target.matches("details.cluster")) {
    target.hidden = false;
    target.open = true;
    target.scrollIntoView({ block: "start" });
    target.querySelector("summary").focus({ preventScroll: true });
  }
}
addEventListener("hashchange", reveal);
reveal();

// Clusters: by class and by text.
const search = one("cluster-filter");
if (search) {
  const clusters = all("#clusters > details");
  const texts = clusters.map(cluster => cluster.textContent.toLowerCase());
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const classes = new Set(all('input[name="class"]:checked').map(box => box.value));
    let shown = 0;
    clusters.forEach((cluster, i) => {
      const fits = classes.has(cluster.dataset.class) && words.every(word => texts[i].includes(word));
      cluster.hidden = !fits;
      shown += fits;
    });
    one("cluster-count").value = `${shown} of ${clusters.length}`;
  };
  search.addEventListener("input", show);
  all('input[name="class"]').forEach(box => box.addEventListener("change", show));
}

// Tables: filter and sort.
all(".table-filter").forEach(input => {
  const rows = all(`#${input.dataset.table} tbody tr`);
  const count = document.querySelector(`[data-count="${input.dataset.table}"]`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach(row => {
      const text = row.textContent.toLowerCase();
      const fits = words.every(word => text.includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    count.value = `${shown} of ${rows.length}`;
  });
});
all("table.sortable").forEach(table => {
  const heads = all("thead th", table), body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending" && (head.classList.contains("num") || head.getAttribute("aria-sort") === "ascending");
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => { const cell = row.cells[column]; const v = cell.dataset.v; return v === undefined ? cell.textContent.trim() : v === "" ? null : +v; };
      const rows = Array.from(body.rows).map(row => [key(row), row]);
      rows.sort(([a], [b]) => a === null ? (b === null ? 0 : 1) : b === null ? -1 : (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))) * (down ? -1 : 1));
      const pinned = rows.filter(([, row]) => row.classList.contains("all"));
      body.append(...pinned.map(([, row]) => row), ...rows.filter(([, row]) => !row.classList.contains("all")).map(([, row]) => row));
    });
  });
});

// Copy, theme, print.
all(".copy").forEach(button => {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
});
const theme = one("theme"), root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
theme.hidden = false;
theme.addEventListener("click", () => {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  redraw();
});
dark.addEventListener("change", redraw);
let opened = [], themed;
addEventListener("beforeprint", () => {
  opened = all("details.cluster:not([open]):not([hidden])").slice(0, 20);
  opened.forEach(cluster => { cluster.open = true; });
  themed = root.dataset.theme;
  root.dataset.theme = "light";
  redraw();
});
addEventListener("afterprint", () => {
  opened.forEach(cluster => { cluster.open = false; });
  if (themed) root.dataset.theme = themed; else delete root.dataset.theme;
  redraw();
});
})();
