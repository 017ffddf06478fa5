// Reads a run's latency.hlog with HdrHistogram's JavaScript package and compares it with latency.csv.
//
//   npm install hdr-histogram-js && node tests/support/hlog.mjs reports/RUN

import * as hdr from "hdr-histogram-js";
import { readFileSync } from "node:fs";

const [folder] = process.argv.slice(2);
// Routes of this program hold no comma or quote unless a capture is hostile; such rows are quoted and left out here.
const rows = readFileSync(`${folder}/latency.csv`, "utf8").trim().split("\n").slice(1).filter(line => !line.includes('"')).map(line => line.split(","));
const reader = new hdr.HistogramLogReader(readFileSync(`${folder}/latency.hlog`, "utf8"));
// Intervals of one tag belong together.
const whole = new Map();
let read = 0, wrong = 0;
for (let histogram; (histogram = reader.nextIntervalHistogram()) !== null; read++) {
  const known = whole.get(histogram.tag);
  if (known) known.add(histogram); else whole.set(histogram.tag, histogram);
}
for (const [tag, histogram] of whole) {
  const at = tag.indexOf(":");
  const [side, route] = [tag.slice(0, at), decodeURIComponent(tag.slice(at + 1))];
  const row = rows.find(row => row[0] === route && row[1] === side && row[2] === "sent");
  const p99 = histogram.getValueAtPercentile(99) / 1e6;
  if (!row || +row[3] !== histogram.totalCount || Math.abs(p99 - row[10]) > 0.002 * p99) {
    console.error("differs:", tag, histogram.totalCount, p99, row);
    wrong++;
  }
}
console.log(`${whole.size} histograms read, ${wrong} differ from latency.csv`);
process.exit(wrong > 0 || read === 0 ? 1 : 0);
