// The charts: what is drawn, by route, and how they are zoomed.
window.shadowtap = (() => {
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
// In the legend a line is as it is drawn: sides are told apart where colours are not.
const marker = (plot, i) => { const dash = plot.series[i].dash || []; return !dash.length ? "solid" : dash[0] > 3 ? "dashed" : "dotted"; };
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
  options.hooks = Object.assign({}, zoomed, options.hooks);
  const plot = new uPlot(Object.assign({ width: width(), height: height(), padding: [10, 26, 0, 4], legend: { markers: { width: 3, dash: marker } }, cursor: { drag: { x: true, y: false, uni: 10 }, focus: { prox: 24 } } }, options), columns, box);
  const watch = new ResizeObserver(() => { if (Math.abs(plot.width - width()) > 1) plot.setSize({ width: width(), height: plot.height }); });
  watch.observe(box);
  plots.set(id, { plot, watch, columns });
  const zoom = zooms.get(id);
  if (zoom) plot.setScale("x", zoom);
}
// Zooms outlive a chart that is drawn again, and stand in the address.
const zooms = new Map();
let changed = () => {};
const zoomed = { setScale: [(u, key) => {
  const id = u.root.parentElement && u.root.parentElement.id;
  if (key !== "x" || !id || !plots.has(id)) return;
  const x = u.data[0], { min, max } = u.scales.x;
  if (min <= x[0] && max >= x[x.length - 1]) zooms.delete(id); else zooms.set(id, { min, max });
  changed();
}] };
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
["chart-percentiles", "chart-histogram", "chart-pairs", "chart-requests", "chart-status", "chart-errors", "chart-p99"].forEach(keys);

const select = one("route");
data.routes.forEach((route, index) => {
  const option = document.createElement("option");
  option.value = index;
  option.textContent = index === 0 ? "All routes" : route.name;
  select.append(option);
});
// The percentiles of an axis, those that matter most first: none whose words would run into another's.
function percentiles(width, min, max) {
  const at = v => Math.log(v / min) / Math.log(max / min) * width, placed = [];
  [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 2, 20, 4].forEach(v => {
    if (v >= min * .999 && v <= max * 1.001 && placed.every(other => Math.abs(at(v) - at(other)) >= 48)) placed.push(v);
  });
  return placed.sort((a, b) => a - b);
}
// v1 is drawn above v2 and dashed, so that both are seen where they are equal.
const drawn = sides => [...sides].reverse();
function latency() {
  const route = data.routes[+select.value || 0];
  if (!route) { ["chart-percentiles", "chart-histogram", "chart-pairs"].forEach(id => draw(id)); return; }
  const sides = drawn(data.sides.filter(side => route.quantiles[side]));
  const longest = Math.max(0, ...sides.map(side => route.quantiles[side].length), route.due ? route.due.length : 0);
  const x = data.grid.slice(0, longest);
  const due = route.due ? [line("v2", "v2 from due", ms, { dash: [2, 4], width: 1.5 })] : [];
  draw("chart-percentiles", {
    scales: { x: { distr: 3, time: false }, y: { distr: 3 } },
    axes: [
      axis("percentile", { size: 30, splits: (u, i, min, max) => percentiles(u.width - 100, min, max), values: (u, splits) => splits.map(percentile), filter: (u, s) => s, space: 40 }),
      axis("", { values: (u, splits) => splits.map(tick), size: 64 }),
    ],
    series: [{ label: "percentile", value: (_, v) => percentile(v) }].concat(sides.map(side => line(side, `${side} (${route.counts[side]})`, ms)), due),
  }, [x].concat(sides.map(side => x.map((_, i) => route.quantiles[side][i] ?? null)), route.due ? [x.map((_, i) => route.due[i] ?? null)] : []));
  const h = route.histogram;
  const stepped = uPlot.paths.stepped({ align: 1 });
  draw("chart-histogram", h && {
    scales: { x: { distr: 3, time: false }, y: { range: (u, min, max) => [0, max * 1.08 || 1] } },
    axes: [axis("latency", { size: 30, values: (u, splits) => splits.map(tick) }), axis("", { values: (u, splits) => splits.map(v => +v.toPrecision(3) + " %"), size: 56 })],
    series: [{ label: "from", value: (_, v) => ms(v) }].concat(sides.map(side => line(side, "", v => v == null ? "–" : v.toFixed(2) + " %", { paths: stepped, fill: shade(colour(STYLE[side][0]), .14), width: 1.5 }))),
  }, h && [h.from].concat(sides.map(side => h[side])));
  pairs(route);
}
// The same request at v2 and at the other side: how much longer v2 took.
function pairs(route) {
  const change = v => v == null ? "–" : (v < 0 ? "−" : v > 0 ? "+" : "") + ms(Math.abs(v));
  const there = route.pairs && route.pairs.length > 0;
  draw("chart-pairs", there && {
    scales: { x: { time: false }, y: { range: (u, min, max) => [Math.min(min, 0) * 1.1, Math.max(max, 0) * 1.1 || 1] } },
    axes: [axis("share of requests", { size: 30, values: (u, splits) => splits.map(v => v + " %") }), axis("", { values: (u, splits) => splits.map(change), size: 76 })],
    series: [{ label: "share", value: (_, v) => v == null ? "–" : v + " %" }, line("v2", `v2 − ${data.other}`, change, { fill: shade(colour("--v2"), .12), fillTo: 0 })],
  }, there && [data.pairGrid, route.pairs]);
}
const CLASS_COLOURS = { "2xx": "--good", "3xx": "--link", "4xx": "--open", "5xx": "--bad", "1xx": "--soft", failed: "--bad" };
function time() {
  const route = data.routes[+select.value || 0], t = route && route.time, sync = { key: "time" };
  const ids = ["chart-requests", "chart-status", "chart-errors", "chart-p99"];
  one("time-route").textContent = !route || +select.value === 0 ? "All routes" : route.name;
  if (!t) { ids.forEach(id => draw(id)); return; }
  document.querySelectorAll(".step").forEach(step => { step.textContent = t.step > 1 ? `${t.step} seconds` : "second"; });
  const seconds = Array.from({ length: t.steps }, (_, i) => t.first + i * t.step);
  const clock = v => v == null ? "–" : v >= 60 ? `${Math.floor(v / 60)}:${String(Math.floor(v % 60)).padStart(2, "0")}` : +v.toFixed(1) + " s";
  const points = { show: t.steps < 40, size: 5 };
  // Where the first exchange of a cluster was due.
  const flags = { draw: [u => {
    const { ctx, bbox } = u, ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--bad");
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.textAlign = "left";
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    data.marks.forEach((mark, i) => {
      const x = Math.round(u.valToPos(mark.at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
      ctx.fillText(i + 1, x + 2 * ratio, bbox.top + (10 + i % 3 * 11) * ratio);
    });
    ctx.restore();
  }] };
  const chart = (id, series, more) => draw(id, {
    height: 150, cursor: { drag: { x: true, y: false }, sync }, hooks: data.marks.length ? flags : {},
    scales: { x: { time: false }, y: Object.assign({ range: (u, min, max) => [0, Math.max(max * 1.1, more.least)] }, more.scale) },
    axes: [axis("", { size: 30, values: (u, splits) => splits.map(clock) }), axis("", { values: (u, splits) => splits.map(more.tick), size: 64 })],
    series: [{ label: "at", value: (_, v) => clock(v) }].concat(series.map(([drawing]) => drawing)),
  }, [seconds].concat(series.map(([, values]) => values)));
  const whole = v => v == null ? "–" : String(v), integer = v => Number.isInteger(v) ? String(v) : "";
  const sides = drawn(data.sides.filter(side => t[side]));
  const of = (key, value) => sides.map(side => [line(side, "", value, { points }), t[side][key]]);
  chart("chart-requests", of("requests", whole), { least: 1, tick: integer });
  chart("chart-errors", of("errors", whole), { least: 1, tick: integer });
  chart("chart-p99", of("p99", ms), { least: 0.001, tick });
  const classes = sides.flatMap(side => Object.entries(t[side].classes).map(([name, values]) =>
    [line(side, `${side} ${name}`, whole, { points, stroke: colour(CLASS_COLOURS[name] || "--soft") }), values]));
  chart("chart-status", classes, { least: 1, tick: integer });
}
function redraw() { latency(); time(); }
select.addEventListener("change", () => { redraw(); changed(); });
redraw();
return { data, select, plots, zooms, redraw, latency, time, onChange: f => { changed = f; }, all, one };
})();
