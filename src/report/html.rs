//! `report.html`: one file that asks the network for nothing. The page is complete without its
//! script, which draws the charts and sorts the tables. A content security policy names the script
//! and the style by their hashes, so that nothing from a capture could run even if it came past the
//! escaping.

use askama::Template as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::page::{Assets, Page};
use super::{Report, text};
use crate::measure::{Histogram, Side};

const UPLOT: &str = include_str!("assets/uPlot.iife.min.js");
const UPLOT_LICENSE: &str = include_str!("assets/uPlot.LICENSE");
const UPLOT_CSS: &str = include_str!("assets/uPlot.min.css");
const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// Most routes with charts of their own.
const CHARTED_ROUTES: usize = 150;
/// Most steps of the timeline's charts.
const STEPS: usize = 500;
/// Points of the percentile axis: twelve to a factor of ten of 1 / (1 − p), up to 99.9999 %.
const GRID: usize = 73;
const GRID_PER_DECADE: f64 = 12.0;
/// Bars of a histogram.
const BARS: usize = 56;

/// `report.html`.
pub fn write(report: &Report<'_>) -> Vec<u8> {
    let style = format!("{UPLOT_CSS}\n{STYLE}");
    let script = format!("/*! uPlot\n{UPLOT_LICENSE}*/\n{UPLOT}\n{SCRIPT}");
    let hash = |text: &str| BASE64.encode(Sha256::digest(text.as_bytes()));
    let csp = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(&style),
        hash(&script)
    );
    let data = text::script_json(&data(report));
    let page = Page::new(report, Assets { csp, style, script, data }, CHARTED_ROUTES);
    page.render().expect("a page of texts renders").into_bytes()
}

/// What the charts draw. Latencies in milliseconds.
fn data(report: &Report<'_>) -> String {
    let sides: Vec<Side> = report.sides().collect();
    let grid: Vec<f64> =
        (0..GRID).map(|index| digits(10f64.powf(index as f64 / GRID_PER_DECADE), 5)).collect();
    let routes: Vec<serde_json::Value> = report
        .subjects()
        .take(1 + CHARTED_ROUTES)
        .map(|route| {
            let wholes: Vec<(Side, Histogram)> = sides.iter().map(|&side| (side, route.side(side).sent.whole())).collect();
            let mut value = serde_json::json!({"name": text::visible(&route.route)});
            let of = |figure: &dyn Fn(&Histogram) -> serde_json::Value| -> serde_json::Map<String, serde_json::Value> {
                let filled = wholes.iter().filter(|(_, histogram)| histogram.count() > 0);
                filled.map(|(side, histogram)| (side.name().to_owned(), figure(histogram))).collect()
            };
            value["counts"] = of(&|histogram| histogram.count().into()).into();
            value["quantiles"] = of(&|histogram| quantiles(histogram, &grid).into()).into();
            value["histogram"] = bars(&wholes).unwrap_or_default();
            value
        })
        .collect();
    let names: Vec<&str> = sides.iter().map(|side| side.name()).collect();
    serde_json::json!({"sides": names, "grid": grid, "routes": routes, "timeline": timeline(report, &sides)}).to_string()
}

/// Latencies at the percentiles of the grid, as far as the samples tell them apart, and the longest
/// at the end.
fn quantiles(histogram: &Histogram, grid: &[f64]) -> Vec<f64> {
    let count = histogram.count() as f64;
    let told = grid.partition_point(|&x| x <= count) + 1;
    let at = |x: &f64| histogram.quantile(1.0 - 1.0 / x).unwrap_or(0);
    grid.iter().take(told).map(|x| milliseconds(at(x))).collect()
}

/// Shares of requests by latency, on one scale for all sides.
fn bars(wholes: &[(Side, Histogram)]) -> Option<serde_json::Value> {
    let low = wholes.iter().filter_map(|(_, histogram)| histogram.min()).min()?.max(1_000) as f64;
    let high = wholes.iter().filter_map(|(_, histogram)| histogram.max()).max()? as f64;
    let high = high.max(low * 1.5);
    let step = (high / low).powf(1.0 / BARS as f64);
    let edges: Vec<f64> = (0..=BARS + 1).map(|index| low * step.powi(index as i32)).collect();
    let mut value = serde_json::json!({"from": edges.iter().map(|&edge| digits(edge / 1e6, 4)).collect::<Vec<_>>()});
    for (side, histogram) in wholes.iter().filter(|(_, histogram)| histogram.count() > 0) {
        let mut shares = vec![0.0; edges.len()];
        for (from, _, count) in histogram.buckets() {
            let index =
                ((from.max(1) as f64 / low).ln() / step.ln()).clamp(0.0, BARS as f64) as usize;
            shares[index] += count as f64;
        }
        let total = histogram.count() as f64;
        value[side.name()] =
            shares.iter().map(|share| digits(share / total * 100.0, 4)).collect::<Vec<_>>().into();
    }
    Some(value)
}

fn timeline(report: &Report<'_>, sides: &[Side]) -> serde_json::Value {
    let timeline = report.summary.timeline.at_most(STEPS);
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    timeline.iter().for_each(|(second, _)| (first, last) = (first.min(second), last.max(second)));
    if first > last {
        return serde_json::Value::Null;
    }
    // A second without a request is a point as well.
    let steps = ((last - first) / timeline.step()) as usize + 1;
    let seconds: Vec<i64> =
        (0..steps).map(|index| first + index as i64 * timeline.step()).collect();
    let mut value = serde_json::json!({"step": timeline.step(), "second": seconds});
    for &side in sides {
        let (mut requests, mut errors, mut p99) =
            (vec![0; steps], vec![0; steps], vec![None; steps]);
        for (second, cells) in timeline.iter() {
            let (index, cell) =
                (((second - first) / timeline.step()) as usize, &cells[side as usize]);
            (requests[index], errors[index]) = (cell.requests, cell.errors);
            p99[index] = cell.latency.quantile(0.99).map(milliseconds);
        }
        if requests.iter().any(|&n| n > 0) {
            value[side.name()] =
                serde_json::json!({"requests": requests, "errors": errors, "p99": p99});
        }
    }
    value
}

fn milliseconds(nanos: u64) -> f64 {
    digits(nanos as f64 / 1e6, 4)
}

/// A number with so many digits, for a shorter file.
fn digits(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(digits - 1 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}
