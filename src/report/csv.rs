//! `latency.csv` and `timeline.csv`. Durations in milliseconds; a cell is empty where nothing was
//! measured.

use super::{Column, Report, column, text};
use crate::diff::csv::cell;
use crate::measure::histogram::QUANTILES;
use crate::measure::{Histogram, Side};

/// Columns of `latency.csv`.
pub const LATENCY: [Column; 13] = [
    column("route", "text", "`ALL` for all routes together (the first rows), else the route"),
    column("side", "`v1`, `v2`, `baseline`", "whose answers"),
    column(
        "from",
        "`sent`, `due`, `first-message`, `between-messages`",
        "where latency starts: when the request was sent, or when it was due; of streams of \
         messages also how long the first one took, and the mean time between them",
    ),
    column(
        "count",
        "requests",
        "latencies measured: requests with a whole answer, 5xx among them; from `due` also those \
         that timed out; streams in the rows of messages",
    ),
    column("errors", "requests", "failures, and answers with a status of 500 or above"),
    column("min_ms", "ms", "the shortest"),
    column("mean_ms", "ms", "the mean"),
    column("p50_ms", "ms", "half of the requests took no longer"),
    column("p90_ms", "ms", "90 % took no longer"),
    column("p95_ms", "ms", "95 % took no longer"),
    column("p99_ms", "ms", "99 % took no longer"),
    column("p999_ms", "ms", "99.9 % took no longer"),
    column("max_ms", "ms", "the longest"),
];

/// Columns of `timeline.csv`.
pub const TIMELINE: [Column; 7] = [
    column(
        "second",
        "s",
        "the first second of the step, from the start of the replay; a step is 1 s, in runs over 6 \
         hours longer",
    ),
    column(
        "side",
        "`v1`, `v2`, `baseline`",
        "whose answers; v1's stand in the second in which their replay was sent",
    ),
    column("requests", "requests", "sent in that step"),
    column(
        "errors",
        "requests",
        "those of them that failed or were answered with a status of 500 or above",
    ),
    column("p50_ms", "ms", "median latency from sent"),
    column("p99_ms", "ms", "99 % took no longer"),
    column(
        "lateness_p99_ms",
        "ms",
        "how late the replayer itself sent at most 99 % of them; empty for v1",
    ),
];

/// `latency.csv`.
pub fn latency(report: &Report<'_>) -> Vec<u8> {
    let mut table = CsvTable::new(&LATENCY);
    for row in report.latencies() {
        let latency = &row.latency;
        let mut cells = vec![
            cell(&text::visible(row.route)).into_owned(),
            row.side.name().to_owned(),
            row.from.name().to_owned(),
            latency.count().to_string(),
            row.errors.to_string(),
            ms(latency.min().map(|nanos| nanos as f64)),
            ms(latency.mean()),
        ];
        cells.extend(QUANTILES.map(|(_, quantile)| quantile_ms(latency, quantile)));
        cells.push(ms(latency.max().map(|nanos| nanos as f64)));
        table.row(&cells);
    }
    table.bytes()
}

/// `timeline.csv`.
pub fn timeline(report: &Report<'_>) -> Vec<u8> {
    let mut table = CsvTable::new(&TIMELINE);
    for (second, cells) in report.summary.timeline.iter() {
        for side in report.sides() {
            let cell = &cells[side as usize];
            if cell.requests == 0 {
                continue;
            }
            table.row(&[
                second.to_string(),
                side.name().to_owned(),
                cell.requests.to_string(),
                cell.errors.to_string(),
                quantile_ms(&cell.latency, 0.5),
                quantile_ms(&cell.latency, 0.99),
                if side == Side::V1 { String::new() } else { quantile_ms(&cell.lateness, 0.99) },
            ]);
        }
    }
    table.bytes()
}

fn quantile_ms(histogram: &Histogram, quantile: f64) -> String {
    ms(histogram.quantile(quantile).map(|nanos| nanos as f64))
}

/// Milliseconds without needless zeros.
fn ms(nanos: Option<f64>) -> String {
    let Some(nanos) = nanos else { return String::new() };
    let text = format!("{:.6}", nanos / 1e6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct CsvTable {
    writer: ::csv::Writer<Vec<u8>>,
}

impl CsvTable {
    fn new(columns: &[Column]) -> Self {
        let mut table = Self { writer: ::csv::Writer::from_writer(Vec::new()) };
        table.row(&columns.iter().map(|column| column.name.to_owned()).collect::<Vec<_>>());
        table
    }

    fn row(&mut self, cells: &[String]) {
        self.writer
            .write_record(cells)
            .expect("a vector takes every row, and rows have as many cells as columns");
    }

    fn bytes(self) -> Vec<u8> {
        self.writer.into_inner().expect("a vector takes every row")
    }
}
