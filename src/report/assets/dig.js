// The page beside its charts: search, filters, tables, the keyboard, what stands in the address, and what can be copied and saved.
(() => {
"use strict";
const { data, select, plots, zooms, redraw, onChange, all, one } = window.shadowtap;
const root = document.documentElement;
const make = (name, more, ...inside) => { const node = Object.assign(document.createElement(name), more); node.append(...inside); return node; };
const words = text => text.toLowerCase().split(/\s+/).filter(Boolean);

// The address: behind the anchor the state of the page, so that a link shows what its sender saw.
const state = new Map();
let anchor = "", ready = false;
function remember() {
  if (!ready) return;
  const put = (key, value) => { if (value) state.set(key, value); else state.delete(key); };
  put("find", find.value);
  put("filter", clusterFilter && clusterFilter.value);
  const boxes = all('input[name="class"]');
  put("class", boxes.some(box => box.checked !== box.defaultChecked) && boxes.filter(box => box.checked).map(box => box.value).join(","));
  all(".table-filter").forEach(input => put(input.dataset.table, input.value));
  all("input.only").forEach(box => put("only-" + box.dataset.table, box.checked !== box.defaultChecked && String(box.checked)));
  all("table.sortable").forEach(table => {
    const head = table.querySelector("th[aria-sort]");
    put("sort-" + table.id, head && head.cellIndex + (head.getAttribute("aria-sort") === "descending" ? "d" : "a"));
  });
  put("route", +select.value > 0 && data.routes[+select.value].name);
  zooms.forEach((zoom, id) => put(id, `${+zoom.min.toPrecision(6)}~${+zoom.max.toPrecision(6)}`));
  all(".plot").forEach(plot => { if (!zooms.has(plot.id)) state.delete(plot.id); });
  put("theme", root.dataset.theme);
  const parts = [...state].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  const hash = [anchor, ...parts].join("&");
  history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
}
function recall() {
  const parts = location.hash.slice(1).split("&");
  const decode = text => { try { return decodeURIComponent(text); } catch { return ""; } };
  anchor = parts[0].includes("=") ? "" : decode(parts.shift() || "");
  const told = new Map(parts.filter(part => part.includes("=")).map(part => { const at = part.indexOf("="); return [decode(part.slice(0, at)), decode(part.slice(at + 1))]; }));
  if (told.size === 0) return;
  if (told.get("theme") === "dark" || told.get("theme") === "light") root.dataset.theme = told.get("theme");
  const route = data.routes.findIndex(route => route.name === told.get("route"));
  if (route > 0) select.value = route;
  all(".plot").forEach(plot => {
    const [min, max] = (told.get(plot.id) || "").split("~").map(Number);
    if (Number.isFinite(min) && max > min) zooms.set(plot.id, { min, max });
  });
  find.value = told.get("find") || "";
  if (clusterFilter) clusterFilter.value = told.get("filter") || "";
  if (told.has("class")) { const classes = told.get("class").split(","); all('input[name="class"]').forEach(box => { box.checked = classes.includes(box.value); }); }
  all(".table-filter").forEach(input => { input.value = told.get(input.dataset.table) || ""; });
  all("input.only").forEach(box => { if (told.has("only-" + box.dataset.table)) box.checked = told.get("only-" + box.dataset.table) === "true"; });
  all("table.sortable").forEach(table => {
    const [, column, way] = /^(\d+)([ad])$/.exec(told.get("sort-" + table.id) || "") || [];
    if (column !== undefined && table.tHead.rows[0].cells[+column]) sort(table, +column, way === "d");
  });
}

// On a narrow screen what comes behind the differences is opened by its heading.
const narrow = matchMedia("(max-width: 640px)");
const unfold = section => {
  if (!section.classList.contains("folded")) return;
  section.classList.remove("folded");
  const button = section.querySelector("h2 .fold");
  if (button) { button.textContent = "Hide"; button.setAttribute("aria-expanded", "true"); }
};
["state", "egress", "latency", "time", "failures", "rules", "ledger", "run"].map(one).filter(Boolean).forEach(section => {
  const head = section.querySelector("h2"), button = make("button", { type: "button", className: "quiet fold" }, "Show");
  button.setAttribute("aria-label", `Show or hide: ${head.textContent}`);
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    if (section.classList.contains("folded")) { unfold(section); redraw(); return; }
    section.classList.add("folded");
    button.textContent = "Show";
    button.setAttribute("aria-expanded", "false");
  });
  head.append(button);
  if (narrow.matches) section.classList.add("folded");
});
if (narrow.matches) all(".cluster[open]").forEach(cluster => { cluster.open = false; });

// A link into a cluster or an exchange opens it, and all that it stands in.
function reveal(id) {
  const target = id && document.getElementById(id);
  if (!target) return;
  for (let node = target; node; node = node.parentElement) {
    if (node.matches("details")) { node.hidden = false; node.open = true; }
    unfold(node);
  }
  target.scrollIntoView({ block: "start" });
  const summary = target.matches("details") && target.querySelector("summary");
  if (summary) summary.focus({ preventScroll: true });
}
// A second click on the same link leads there again.
document.addEventListener("click", event => {
  const link = event.target.closest('a[href^="#"]');
  if (link) reveal(decodeURIComponent(link.hash.slice(1)));
});
addEventListener("hashchange", () => {
  anchor = location.hash.slice(1).split("&")[0];
  if (anchor.includes("=")) anchor = "";
  reveal(decodeURIComponent(anchor));
  remember();
});
// A route's name anywhere shows its charts.
document.addEventListener("click", event => {
  const link = event.target.closest("a[data-route]");
  if (!link) return;
  const index = data.routes.findIndex(route => route.name === link.dataset.route);
  if (index >= 0) { select.value = index; redraw(); remember(); }
});

// Clusters: by class and by text, their exchanges among it.
const clusterFilter = one("cluster-filter");
const clusters = all("#clusters > details");
const textOf = new WeakMap();
const text = node => { let known = textOf.get(node); if (known === undefined) { known = node.textContent.toLowerCase(); textOf.set(node, known); } return known; };
function showClusters() {
  if (!clusterFilter) return;
  const wanted = words(clusterFilter.value);
  const classes = new Set(all('input[name="class"]:checked').map(box => box.value));
  let shown = 0;
  clusters.forEach(cluster => {
    const fits = classes.has(cluster.dataset.class) && wanted.every(word => text(cluster).includes(word));
    cluster.hidden = !fits;
    shown += fits;
  });
  one("cluster-count").value = `${shown} of ${clusters.length}`;
}
if (clusterFilter) {
  clusterFilter.addEventListener("input", () => { showClusters(); remember(); });
  all('input[name="class"]').forEach(box => box.addEventListener("change", () => { showClusters(); remember(); }));
  const expand = one("expand");
  const label = () => { expand.textContent = clusters.some(cluster => !cluster.hidden && !cluster.open) ? "Expand all" : "Collapse all"; };
  expand.addEventListener("click", () => {
    const open = expand.textContent === "Expand all";
    clusters.forEach(cluster => { if (!cluster.hidden) cluster.open = open; });
    label();
  });
  one("clusters").addEventListener("toggle", label, true);
}

// Search over all that stands on the page: exchanges, clusters, routes, rules, calls.
const find = one("find"), hits = one("hits");
const MOST_HITS = 60;
let targets;
function index() {
  const named = (kind, node, label) => ({ kind, node, label });
  return [
    ...clusters.map(node => named("difference", node, node.querySelector("summary").textContent.replace(/\s+/g, " ").trim())),
    ...all(".exchange").map(node => named("exchange", node, node.querySelector("summary").textContent.trim())),
    ...all("#egress > details").map(node => named("provider call", node, node.querySelector("summary").textContent.replace(/\s+/g, " ").trim())),
    ...all("#t-latency tbody tr").map(node => named("route", node, node.cells[0].textContent)),
    ...all("#t-rules tbody tr").map(node => named("rule", node, `${node.cells[1].textContent} ${node.cells[2].textContent}: ${node.cells[0].textContent}`)),
  ];
}
// Of a cluster only what is its own: its exchanges are found by themselves.
const own = target => {
  if (target.kind !== "difference") return text(target.node);
  if (target.text === undefined) target.text = Array.from(target.node.children, child => child.matches(".body") ? Array.from(child.children, part => part.matches(".exchange") ? "" : part.textContent).join(" ") : child.textContent).join(" ").toLowerCase();
  return target.text;
};
function search() {
  const wanted = words(find.value);
  hits.replaceChildren();
  hits.hidden = wanted.length === 0;
  find.setAttribute("aria-expanded", String(!hits.hidden));
  if (hits.hidden) return;
  targets = targets || index();
  const found = targets.filter(target => wanted.every(word => own(target).includes(word)));
  // What is named by its id comes first.
  const id = wanted.join(" "), exact = target => target.node.id && target.node.id.slice(2) === id;
  found.sort((a, b) => exact(b) - exact(a));
  found.slice(0, MOST_HITS).forEach(target => {
    const button = make("button", { type: "button" }, make("small", {}, target.kind), " ", target.label.slice(0, 160));
    button.addEventListener("click", () => go(target.node));
    hits.append(make("li", {}, button));
  });
  const said = found.length === 0 ? "Nothing is found on this page: shadowtap show searches the whole run." : found.length > MOST_HITS ? `… and ${found.length - MOST_HITS} more` : "";
  if (said) hits.append(make("li", { className: "none" }, said));
  one("found").value = `${found.length} found`;
}
function go(node) {
  hits.hidden = true;
  find.setAttribute("aria-expanded", "false");
  if (node.id) { anchor = node.id; reveal(node.id); remember(); return; }
  node.hidden = false;
  node.scrollIntoView({ block: "center" });
  node.tabIndex = -1;
  node.focus({ preventScroll: true });
}
find.addEventListener("input", () => { search(); remember(); });
find.addEventListener("keydown", event => {
  const first = hits.querySelector("button");
  if (event.key === "Enter" && first) { event.preventDefault(); first.click(); }
  if (event.key === "ArrowDown" && first) { event.preventDefault(); first.focus(); }
  if (event.key === "Escape") { find.value = ""; search(); remember(); find.blur(); }
});
hits.addEventListener("keydown", event => {
  const buttons = all("button", hits), at = buttons.indexOf(document.activeElement);
  if (event.key === "Escape") { hits.hidden = true; find.focus(); }
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const next = buttons[at + (event.key === "ArrowDown" ? 1 : -1)];
    (next || find).focus();
  }
});

// The keyboard: / searches, j and k go through what differs and its exchanges, e opens all.
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); find.focus(); find.select(); }
  if (event.key === "e" && one("expand")) one("expand").click();
  if (event.key !== "j" && event.key !== "k") return;
  const seen = all("#clusters summary, #egress > details > summary").filter(summary => summary.checkVisibility ? summary.checkVisibility() : summary.offsetParent !== null);
  if (seen.length === 0) return;
  event.preventDefault();
  const active = document.activeElement, at = seen.indexOf(active);
  const after = seen.findIndex(summary => active.compareDocumentPosition(summary) & Node.DOCUMENT_POSITION_FOLLOWING);
  const next = event.key === "j" ? (at < 0 ? Math.max(after, 0) : at + 1) : at - 1;
  const summary = seen[Math.min(Math.max(next, 0), seen.length - 1)];
  summary.focus({ preventScroll: true });
  summary.scrollIntoView({ block: "nearest" });
});

// Tables: filter, only failures, sort, save. On a narrow screen a row is a card that names its cells.
function filter(table) {
  const rows = Array.from(table.tBodies[0].rows);
  const input = document.querySelector(`.table-filter[data-table="${table.id}"]`), only = document.querySelector(`input.only[data-table="${table.id}"]`);
  const wanted = words(input.value);
  let shown = 0;
  rows.forEach(row => {
    const fits = wanted.every(word => text(row).includes(word)) && !(only && only.checked && !row.querySelector(".badge.fail, .badge.invalid"));
    row.hidden = !fits;
    shown += fits;
  });
  document.querySelector(`[data-count="${table.id}"]`).value = shown < rows.length ? `${shown} of ${rows.length}` : "";
}
all(".table-filter").forEach(input => input.addEventListener("input", () => { filter(one(input.dataset.table)); remember(); }));
all("input.only").forEach(box => box.addEventListener("change", () => { filter(one(box.dataset.table)); remember(); }));
function sort(table, column, down) {
  const heads = all("thead th", table), body = table.tBodies[0];
  heads.forEach(other => other.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => { const cell = row.cells[column]; const v = cell.dataset.v; return v === undefined ? cell.textContent.trim() : v === "" ? null : +v; };
  const rows = Array.from(body.rows).map(row => [key(row), row]);
  rows.sort(([a], [b]) => a === null ? (b === null ? 0 : 1) : b === null ? -1 : (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))) * (down ? -1 : 1));
  const pinned = rows.filter(([, row]) => row.classList.contains("all"));
  body.append(...pinned.map(([, row]) => row), ...rows.filter(([, row]) => !row.classList.contains("all")).map(([, row]) => row));
}
all("table.sortable").forEach(table => {
  all("thead th", table).forEach((head, column) => {
    const button = make("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(table, column, now !== "descending" && (head.classList.contains("num") || now === "ascending"));
      remember();
    });
  });
});
all("section table:not(.both):not(.wf)").forEach(table => {
  const heads = all("thead th", table).map(head => head.textContent);
  Array.from(table.tBodies[0] ? table.tBodies[0].rows : []).forEach(row => Array.from(row.cells).forEach((cell, i) => { if (heads[i]) cell.dataset.l = heads[i]; }));
});
const save = (name, content, kind) => {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type: kind }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};
// A cell that a spreadsheet would run is text.
const cell = value => { const safe = /^[=+\-@]/.test(value) && !/^[-+]?[\d.]+$/.test(value) ? "'" + value : value; return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe; };
all("section table:not(.both):not(.wf)").forEach(table => {
  const box = table.closest(".scroll"), caption = table.caption ? table.caption.textContent : "table";
  if (!box || table.rows.length < 2) return;
  const button = make("button", { type: "button", className: "quiet save" }, "CSV");
  button.setAttribute("aria-label", `Save as CSV: ${caption}`);
  button.addEventListener("click", () => save(caption.toLowerCase().replace(/\W+/g, "-") + ".csv", Array.from(table.rows).map(row => Array.from(row.cells).map(td => cell(td.textContent.replace(/\s+/g, " ").trim())).join(",")).join("\r\n") + "\r\n", "text/csv"));
  box.before(button);
});
// Charts: as they are drawn, or as lines.
const xml = value => String(value).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
function svg(plot, title) {
  const w = plot.width, h = plot.height + 20, ratio = devicePixelRatio || 1, { left, top, width, height } = plot.bbox;
  const out = [`<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" font-family="sans-serif" font-size="11"><title>${xml(title)}</title><rect width="100%" height="100%" fill="#fff"/>`];
  plot.axes.forEach((axis, i) => (axis._splits || []).forEach((split, j) => {
    if (split == null || !axis._values || axis._values[j] == null) return;
    const at = plot.valToPos(split, axis.scale, true) / ratio;
    out.push(i === 0 ? `<path d="M${at} ${top / ratio}v${height / ratio}" stroke="#ddd"/><text x="${at}" y="${(top + height) / ratio + 14}" text-anchor="middle">${xml(axis._values[j])}</text>`
      : `<path d="M${left / ratio} ${at}h${width / ratio}" stroke="#ddd"/><text x="${left / ratio - 5}" y="${at + 4}" text-anchor="end">${xml(axis._values[j])}</text>`);
  }));
  plot.series.slice(1).forEach((series, i) => {
    const values = plot.data[i + 1], points = [];
    plot.data[0].forEach((x, j) => { if (values[j] != null) points.push(`${(plot.valToPos(x, "x", true) / ratio).toFixed(1)} ${(plot.valToPos(values[j], series.scale, true) / ratio).toFixed(1)}`); });
    const stroke = typeof series.stroke === "function" ? series.stroke(plot, i + 1) : series.stroke;
    out.push(`<polyline points="${points.join(" ")}" fill="none" stroke="${xml(stroke)}" stroke-width="2" stroke-dasharray="${(series.dash || []).join(" ")}"/><text x="${left / ratio + 8 + i * 130}" y="${h - 6}" fill="${xml(stroke)}">${xml(series.label)}</text>`);
  });
  return out.join("\n") + "\n</svg>\n";
}
all("figure.chart").forEach(figure => {
  const id = figure.querySelector(".plot").id, caption = figure.querySelector("figcaption"), name = id.replace("chart-", "");
  const title = caption.textContent.trim(), saves = make("span", { className: "saves" });
  caption.prepend(saves);
  [["SVG", plot => save(name + ".svg", svg(plot, title), "image/svg+xml")], ["PNG", plot => plot.ctx.canvas.toBlob(blob => save(name + ".png", blob))]].forEach(([kind, act]) => {
    const button = make("button", { type: "button", className: "quiet save" }, kind);
    button.setAttribute("aria-label", `Save as ${kind}: ${title}`);
    button.addEventListener("click", () => { const held = plots.get(id); if (held) act(held.plot); });
    saves.append(button);
  });
});
// What the marks over time stand for.
const legend = one("marks");
if (legend && data.marks.length) {
  legend.hidden = false;
  legend.append(...data.marks.map(mark => make("li", {}, make("a", { href: "#c-" + mark.id }, mark.what))));
}

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
const theme = one("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
theme.hidden = false;
theme.addEventListener("click", () => {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  redraw();
  remember();
});
dark.addEventListener("change", redraw);
let opened = [], dead = [], themed;
addEventListener("beforeprint", () => {
  all("section.folded").forEach(unfold);
  opened = all("details.cluster:not([open]):not([hidden])").slice(0, 20);
  opened.forEach(cluster => { cluster.open = true; });
  // Paper has no place for what is folded away: what leads there is no link.
  dead = all('a[href^="#"]').filter(link => { const to = one(link.hash.slice(1)); return !to || !to.checkVisibility(); });
  dead.forEach(link => { link.dataset.to = link.getAttribute("href"); link.removeAttribute("href"); });
  themed = root.dataset.theme;
  root.dataset.theme = "light";
  redraw();
});
addEventListener("afterprint", () => {
  dead.forEach(link => link.setAttribute("href", link.dataset.to));
  opened.forEach(cluster => { cluster.open = false; });
  if (themed) root.dataset.theme = themed; else delete root.dataset.theme;
  redraw();
});

if (narrow.matches) all("input.only").forEach(box => { box.checked = true; });
recall();
showClusters();
all(".table-filter").forEach(input => filter(one(input.dataset.table)));
if (find.value) search();
if (state.size || location.hash.includes("=")) redraw();
ready = true;
onChange(remember);
reveal(anchor);
})();
