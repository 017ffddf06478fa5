// Digs through a report as a person would, in headless Chromium without a network: searches, opens an exchange, reads both bodies,
// copies the line that approves a cluster, runs it, and judges again: that cluster is gone. Then at 390 pixels, on paper, by keyboard
// alone, and by axe-core. Says what does not hold and ends with 1.
//
//   npm install && node drive.mjs SHADOWTAP RUN [FOLDER FOR PICTURES]

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [program, given, pictures] = process.argv.slice(2);
if (!given) { console.error("usage: drive.mjs SHADOWTAP RUN [FOLDER]"); process.exit(2); }
const work = mkdtempSync(join(tmpdir(), "page-"));
const run = join(work, "run");
cpSync(given, run, { recursive: true });
if (pictures) mkdirSync(pictures, { recursive: true });
const shadowtap = (...words) => spawnSync(resolve(program), words, { cwd: work, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });

const failed = [];
const check = (what, holds, seen) => {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${holds ? "" : `: ${JSON.stringify(seen)}`}`);
  if (!holds) failed.push(what);
};
const report = () => { const made = shadowtap("report", "run"); check("the report is written", made.status === 0, made.stderr); };
report();
const page = join(run, "report.html"), url = pathToFileURL(page).href;
check("the page is under 2 MB", statSync(page).size < 2e6, statSync(page).size);

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const errors = [], asked = [];
async function open(options, hash = "") {
  const context = await browser.newContext({ reducedMotion: "reduce", permissions: ["clipboard-read", "clipboard-write"], ...options });
  const tab = await context.newPage();
  tab.on("console", message => { if (message.type() === "error") errors.push(message.text()); });
  tab.on("pageerror", error => errors.push(String(error)));
  tab.on("request", request => { if (!/^(file|data|blob):/.test(request.url())) asked.push(request.url()); });
  const started = Date.now();
  await tab.goto(url + hash);
  tab.took = Date.now() - started;
  return tab;
}
const picture = async (tab, name, options = {}) => { if (pictures) await tab.screenshot({ path: join(pictures, name), ...options }); };
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
async function violations(tab, what) {
  // The policy of the page lets no other script in, so this one comes by the debugger.
  const session = await tab.context().newCDPSession(tab);
  await session.send("Runtime.evaluate", { expression: axe });
  const { result } = await session.send("Runtime.evaluate", { awaitPromise: true, returnByValue: true,
    expression: "axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations.map(v => v.id + ' ' + v.nodes.length + ': ' + v.nodes[0].html.slice(0, 160)))" });
  check(`axe-core finds nothing (${what})`, Array.isArray(result.value) && result.value.length === 0, result.value ?? result);
}

try {
  const tab = await open({ viewport: { width: 1280, height: 900 } });
  check("the page answers within a second", tab.took < 1000, tab.took);
  await picture(tab, "first.png");
  await picture(tab, "whole.png", { fullPage: true });
  await violations(tab, "light");
  // Axis labels are drawn on a canvas: uPlot knows where.
  const near = await tab.evaluate(() => {
    const close = [];
    shadowtap.plots.forEach(({ plot }, id) => {
      const axis = plot.axes[0], said = (axis._splits || []).map((split, i) => [split, axis._values[i]]).filter(([split, text]) => split != null && text);
      const at = said.map(([split, text]) => ({ text: String(text), x: plot.valToPos(split, "x") }));
      at.slice(1).forEach((label, i) => { if (label.x - at[i].x < 3.2 * (label.text.length + at[i].text.length)) close.push(`${id}: ${at[i].text} ${label.text}`); });
    });
    return close;
  });
  check("no label of a chart runs into another", near.length === 0, near);
  const swatches = await tab.evaluate(() => Array.from(document.querySelectorAll("#chart-percentiles .u-legend .u-marker")).map(mark => getComputedStyle(mark).borderTopStyle));
  check("the legend tells v1 and v2 apart as the lines are", new Set(swatches.filter(style => style !== "none")).size > 1, swatches);
  const apart = await tab.evaluate(() => Array.from(document.querySelectorAll(".account")).map(box => [box.querySelector("caption").getBoundingClientRect(), box.querySelector(".save").getBoundingClientRect()]).every(([a, b]) => Math.abs(a.top - b.top) < 20));
  check("each ledger has its button beside its name", apart);

  // Search, dig to a body.
  await tab.keyboard.press("/");
  check("/ goes to the search", await tab.evaluate(() => document.activeElement.id === "find"));
  const id = await tab.evaluate(() => document.querySelector(".cluster.regression .exchange").id.slice(2));
  await tab.keyboard.type(id);
  await picture(tab, "search.png");
  await tab.keyboard.press("Enter");
  const exchange = tab.locator(`[id="x-${id}"]`);
  check("an exchange is found by its id and opened", await exchange.evaluate(node => node.open));
  const bodies = await exchange.locator("table.both tbody").innerText();
  check("its answers are there side by side, what differs marked", bodies.length > 20 && await exchange.locator("table.both mark").count() > 0, bodies.slice(0, 200));
  check("its waterfall is there", await exchange.locator("table.wf path").count() > 1);
  await exchange.scrollIntoViewIfNeeded();
  await picture(tab, "exchange.png");
  await violations(tab, "an exchange open");
  await tab.keyboard.press("j");
  const after = await tab.evaluate(() => document.activeElement.textContent);
  await tab.keyboard.press("k");
  check("j and k go on and back", after !== await tab.evaluate(() => document.activeElement.textContent), after);

  // What stands in the address brings the page back.
  await tab.selectOption("#route", "1");
  await tab.fill("#cluster-filter", "price");
  await tab.click("#t-latency thead th:nth-child(7) button");
  await tab.click("#theme");
  const hash = await tab.evaluate(() => location.hash);
  const again = await open({ viewport: { width: 1280, height: 900 } }, hash);
  check("a link shows what its sender saw", await again.evaluate(() => document.querySelector("#route").value === "1" && document.querySelector("#cluster-filter").value === "price"
    && document.documentElement.dataset.theme === "dark" && document.querySelector("#t-latency th[aria-sort]") !== null), hash);
  await picture(again, "dark.png", { fullPage: true });
  await violations(again, "dark");
  await again.context().close();
  await tab.fill("#cluster-filter", "");

  // Tables and charts can be saved.
  for (const [what, button] of [["a table as CSV", "#latency .scroll"], ["a chart as SVG", null]]) {
    const name = button ? "#latency button.save:has-text('CSV')" : "#latency figure button.save:has-text('SVG')";
    const [download] = await Promise.all([tab.waitForEvent("download"), tab.locator(name).first().click()]);
    const text = readFileSync(await download.path(), "utf8");
    check(`${what} is saved`, text.length > 200 && (button ? text.includes("All routes") : text.includes("<polyline")), text.slice(0, 200));
  }

  // Copy the line that approves, use it, judge again: that cause is gone.
  const cluster = tab.locator(".cluster.regression").first();
  const name = (await cluster.getAttribute("id")).slice(2);
  await cluster.evaluate(node => { node.open = true; });
  const step = cluster.locator(".next .repeat", { hasText: "shadowtap approve" });
  await step.locator("button.copy").click();
  const line = await tab.evaluate(() => navigator.clipboard.readText());
  check("the line that approves is copied", line.startsWith("shadowtap approve run ") && line.includes(name), line);
  const used = spawnSync("sh", ["-c", line.replace(/^shadowtap/, JSON.stringify(resolve(program)))], { cwd: work, encoding: "utf8" });
  check("it works as it is", used.status === 0, used.stderr);
  const diffed = shadowtap("diff", "run");
  check("the run is compared again", diffed.status === 0, diffed.stderr);
  report();
  await tab.goto("about:blank");
  await tab.goto(url);
  const classes = await tab.locator(".cluster.regression").evaluateAll(nodes => nodes.map(node => node.id.slice(2)));
  check("what was approved is a regression no more", !classes.includes(name), classes);

  // All that differs approved, the gate has nothing against the answers any more.
  for (const other of classes) shadowtap("approve", "run", other, "--reason", "all of it is intended here");
  shadowtap("diff", "run");
  const gate = JSON.parse(shadowtap("gate", "run", "--json").stdout);
  const mismatch = gate.rules.find(rule => rule.rule === "max_mismatch_rate" && rule.route === null);
  check("with all approved no answer is held against v2", mismatch.finding === "pass", mismatch);

  // A narrow screen.
  const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  const { height, wide } = await phone.evaluate(() => ({ height: document.documentElement.scrollHeight, wide: document.documentElement.scrollWidth }));
  check("at 390 pixels nothing is wider than the screen", wide <= 390, wide);
  check("at 390 pixels the page is under 8 screens", height < 8 * 844, height / 844);
  await picture(phone, "narrow.png", { fullPage: true });
  // Also what is opened by its heading, and all in it.
  const sides = await phone.evaluate(() => {
    document.querySelectorAll("section.folded").forEach(section => section.classList.remove("folded"));
    document.querySelectorAll("details").forEach(part => { part.open = true; });
    const wide = Array.from(document.querySelectorAll("main section")).filter(section => section.scrollWidth > section.clientWidth + 1).map(section => section.id);
    const tables = Array.from(document.querySelectorAll("main section .scroll")).filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.getAttribute("aria-label") || box.textContent.trim().slice(0, 40));
    return { page: document.documentElement.scrollWidth, wide, tables };
  });
  check("at 390 pixels nothing that is opened is wider than the screen", sides.page <= 390 && sides.wide.length === 0, sides);
  check("at 390 pixels no table goes sideways", sides.tables.length === 0, sides.tables);
  await picture(phone, "narrow-open.png", { fullPage: true });
  await violations(phone, "390 pixels");
  await phone.context().close();

  // Paper.
  const paper = await open({});
  const pdf = await paper.pdf({ format: "A4" });
  if (pictures) writeFileSync(join(pictures, "paper.pdf"), pdf);
  check("it prints", pdf.length > 10_000, pdf.length);
  await paper.emulateMedia({ media: "print" });
  const dead = await paper.evaluate(() => {
    dispatchEvent(new Event("beforeprint"));
    const links = Array.from(document.querySelectorAll('a[href^="#"]')).filter(link => link.checkVisibility());
    const lost = links.map(link => link.getAttribute("href")).filter(to => { const node = document.getElementById(to.slice(1)); return !node || !node.checkVisibility(); });
    dispatchEvent(new Event("afterprint"));
    return lost;
  });
  check("no link on paper leads to what is not there", dead.length === 0, dead.slice(0, 5));
  await paper.context().close();

  // The keyboard alone: everything that a mouse can press is reached by Tab, and seen to be.
  const keys = await open({ viewport: { width: 1280, height: 900 } });
  const seen = new Set();
  for (let step = 0; step < 3000; step++) {
    await keys.keyboard.press("Tab");
    const at = await keys.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return null;
      node.dataset.reached = "1";
      return getComputedStyle(node).outlineStyle !== "none" ? "seen" : "unseen " + node.outerHTML.slice(0, 120);
    });
    if (at === null) break;
    seen.add(at);
  }
  check("what has the focus shows it", [...seen].every(at => at === "seen"), [...seen].slice(0, 3));
  const missed = await keys.evaluate(() => Array.from(document.querySelectorAll("main button, main summary, main select, main input")).filter(node => node.checkVisibility() && !node.dataset.reached).length);
  check("Tab reaches everything that can be pressed", missed === 0, missed);
  await keys.context().close();

  check("nothing went wrong in the page", errors.length === 0, errors.slice(0, 5));
  check("the network was asked for nothing", asked.length === 0, asked.slice(0, 5));
} catch (error) {
  check("the page can be driven", false, String(error && error.stack));
} finally {
  await browser.close();
  rmSync(work, { recursive: true, force: true });
}
process.exit(failed.length ? 1 : 0);
