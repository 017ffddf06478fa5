// Opens a report in headless Chromium, offline, and uses it as a person would: no console error, no request, the table sorts and
// filters, a cluster opens from its link, a plot zooms, nothing of a capture runs. Takes pictures: light, dark, narrow, printed.
// Needs chromedriver and chromium; speaks WebDriver by itself.
//
//   node tests/support/browser.mjs reports/RUN/report.html [FOLDER FOR PICTURES]

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [page, pictures] = process.argv.slice(2);
if (!page) { console.error("usage: browser.mjs REPORT.html [FOLDER]"); process.exit(2); }
const url = pathToFileURL(resolve(page)).href;
if (pictures) mkdirSync(pictures, { recursive: true });

const free = () => new Promise((done, fail) => {
  const server = createServer().on("error", fail);
  server.listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => done(port)); });
});
const port = await free();
const driver = spawn("chromedriver", [`--port=${port}`], { stdio: "ignore" });
const pause = ms => new Promise(done => setTimeout(done, ms));
let session = "";

async function call(method, path, body) {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) });
  const { value } = await answer.json();
  if (value && value.error) throw new Error(`${path}: ${value.error}: ${value.message}`);
  return value;
}
const within = (method, path, body) => call(method, `/session/${session}${path}`, body);
const run = (script, ...args) => within("POST", "/execute/sync", { script, args });
const devtools = (cmd, params = {}) => within("POST", "/goog/cdp/execute", { cmd, params });

const failed = [];
function check(what, holds, seen) {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${holds ? "" : `: ${JSON.stringify(seen)}`}`);
  if (!holds) failed.push(what);
}
async function picture(name) {
  if (!pictures) return;
  const { cssContentSize: { width, height } } = await devtools("Page.getLayoutMetrics");
  const { data } = await devtools("Page.captureScreenshot", { captureBeyondViewport: true, clip: { x: 0, y: 0, width, height: Math.min(height, 9000), scale: 1 } });
  writeFileSync(join(pictures, name), Buffer.from(data, "base64"));
}
const media = scheme => devtools("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }] });
const size = (width, height) => devtools("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });

try {
  for (let tries = 0; ; tries++) {
    try { if ((await call("GET", "/status")).ready) break; } catch (error) { if (tries > 100) throw error; }
    await pause(100);
  }
  const { sessionId } = await call("POST", "/session", { capabilities: { alwaysMatch: {
    browserName: "chrome",
    "goog:chromeOptions": { args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"], perfLoggingPrefs: { enableNetwork: true } },
    "goog:loggingPrefs": { browser: "ALL", performance: "ALL" },
  } } });
  session = sessionId;
  await devtools("Network.enable");
  await devtools("Network.emulateNetworkConditions", { offline: true, latency: 0, downloadThroughput: 0, uploadThroughput: 0 });
  await size(1280, 900);
  await media("light");
  await within("POST", "/url", { url });
  await pause(400);

  const asked = (await within("POST", "/se/log", { type: "performance" }))
    .map(entry => JSON.parse(entry.message).message)
    .filter(message => message.method === "Network.requestWillBeSent")
    .map(message => message.params.request.url)
    .filter(asked => asked.split("#")[0] !== url && !asked.startsWith("data:"));
  check("the page asks the network for nothing", asked.length === 0, asked);
  check("the verdict stands on the first screen", await run(`
    const box = document.getElementById("headline").getBoundingClientRect();
    return box.top >= 0 && box.bottom < innerHeight && document.title.includes(document.getElementById("headline").textContent);`));
  check("nothing of the capture ran", (await run("return [window.pwned, document.querySelectorAll('script').length]")).join() === ",2",
    await run("return [window.pwned, document.querySelectorAll('script').length]"));
  check("every chart is drawn", await run(`
    return Array.from(document.querySelectorAll(".plot")).every(plot => plot.querySelector("canvas") || plot.querySelector("p"));`));
  await picture("light.png");

  const sorted = await run(`
    const table = document.getElementById("t-latency"), head = Array.from(table.tHead.rows[0].cells).findIndex(cell => cell.textContent.startsWith("p99 v2"));
    const values = () => Array.from(table.tBodies[0].rows).slice(1).map(row => row.cells[head].dataset.v).filter(Boolean).map(Number);
    const button = table.tHead.rows[0].cells[head].querySelector("button");
    button.click(); const down = values(); button.click(); const up = values();
    const monotone = (list, sign) => list.every((value, i) => i === 0 || sign * (value - list[i - 1]) >= 0);
    return monotone(down, -1) && monotone(up, 1) && table.tBodies[0].rows[0].classList.contains("all");`);
  check("the table of latencies sorts, with all routes on top", sorted);
  const filtered = await run(`
    const input = document.querySelector('[data-table="t-latency"]'), rows = Array.from(document.querySelectorAll("#t-latency tbody tr"));
    input.value = "no route is called so"; input.dispatchEvent(new Event("input")); const none = rows.filter(row => !row.hidden).length;
    input.value = ""; input.dispatchEvent(new Event("input")); return [none, rows.filter(row => !row.hidden).length === rows.length];`);
  check("the table of latencies filters", filtered[0] === 0 && filtered[1], filtered);

  const clusters = await run("return document.querySelectorAll('details.cluster').length");
  if (clusters > 0) {
    const opened = await run(`
      const cluster = Array.from(document.querySelectorAll("details.cluster.regression")).at(-1) || document.querySelector("details.cluster");
      cluster.open = false; location.hash = "#" + cluster.id; return cluster.id;`);
    await pause(200);
    check("a link opens its cluster", await run("return document.getElementById(arguments[0]).open", opened), opened);
    check("clusters filter", await run(`
      const input = document.getElementById("cluster-filter"); input.value = "zzz no such"; input.dispatchEvent(new Event("input"));
      const none = document.querySelectorAll("details.cluster:not([hidden])").length;
      input.value = ""; input.dispatchEvent(new Event("input")); return none === 0;`));
  }
  const labels = () => run("return document.querySelector('#chart-p99 canvas') ? document.querySelector('#chart-p99 canvas').toDataURL().length + '' : ''");
  if (await labels()) {
    const before = await run("return document.querySelector('#chart-p99 canvas').toDataURL()");
    await run("document.getElementById('chart-p99').focus(); document.getElementById('chart-p99').dispatchEvent(new KeyboardEvent('keydown', { key: '+' }))");
    await pause(150);
    const zoomed = await run("return document.querySelector('#chart-p99 canvas').toDataURL()");
    await run("document.getElementById('chart-p99').dispatchEvent(new KeyboardEvent('keydown', { key: '0' }))");
    await pause(150);
    const after = await run("return document.querySelector('#chart-p99 canvas').toDataURL()");
    check("a plot zooms and resets by the keyboard", before !== zoomed && after !== zoomed, [before === zoomed, after === zoomed]);
    const box = await run("const b = document.querySelector('#chart-percentiles .u-over'); b.scrollIntoView({ block: 'center' }); const r = b.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]");
    const unzoomed = await run("return document.querySelector('#chart-percentiles canvas').toDataURL()");
    const mouse = (type, x, y) => devtools("Input.dispatchMouseEvent", { type, x, y, button: "left", buttons: type === "mouseReleased" ? 0 : 1, clickCount: 1 });
    const [x, y] = [box[0] + box[2] * .2, box[1] + box[3] / 2];
    await mouse("mousePressed", x, y);
    for (const step of [.3, .4, .5]) await mouse("mouseMoved", box[0] + box[2] * step, y);
    await mouse("mouseReleased", box[0] + box[2] * .5, y);
    await pause(200);
    check("a plot zooms by the mouse", unzoomed !== await run("return document.querySelector('#chart-percentiles canvas').toDataURL()"));
  }
  check("controls and charts have names", await run(`
    return Array.from(document.querySelectorAll("button, input, select, [role=img], [role=region]")).every(e =>
      (e.textContent || "").trim() || e.getAttribute("aria-label") || e.closest("label"));`));

  await run("window.scrollTo(0, 0)");
  await media("dark");
  await pause(300);
  await picture("dark.png");
  await size(390, 844);
  await media("light");
  await pause(500);
  check("a phone need not scroll sideways", await run("return document.documentElement.scrollWidth <= innerWidth"), await run("return [document.documentElement.scrollWidth, innerWidth]"));
  await picture("narrow.png");
  await size(1280, 900);
  if (pictures) {
    const { data } = await devtools("Page.printToPDF", { printBackground: true, paperWidth: 8.27, paperHeight: 11.69 });
    writeFileSync(join(pictures, "print.pdf"), Buffer.from(data, "base64"));
  }
  const console_ = (await within("POST", "/se/log", { type: "browser" })).filter(entry => entry.level === "SEVERE" || entry.level === "WARNING");
  check("the console has no error", console_.length === 0, console_);
} finally {
  if (session) await within("DELETE", "").catch(() => {});
  driver.kill();
}
if (failed.length) { console.error(`${failed.length} of the checks failed`); process.exit(1); }
