//! `report.html`: one file that asks the network for nothing. The page is complete without its
//! script, which draws the charts and sorts the tables. A content security policy names the script
//! and the style by their hashes, so that nothing from a capture could run even if it came past the
//! escaping.

use askama::Template as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::cluster_id;
use super::page::{Assets, Page, factor};
use super::{Report, once_each, text, what};
use crate::measure::timeline::{CLASSES, Timeline};
use crate::measure::{Histogram, RouteSummary, Side};

const UPLOT: &str = include_str!("assets/uPlot.iife.min.js");
const UPLOT_LICENSE: &str = include_str!("assets/uPlot.LICENSE");
const UPLOT_CSS: &str = include_str!("assets/uPlot.min.css");
const STYLE: &str = include_str!("assets/report.css");
const CHARTS: &str = include_str!("assets/charts.js");
const DIG: &str = include_str!("assets/dig.js");

/// Length of the page, in bytes, up to which exchanges are put on it.
const PAGE_BYTES: usize = 1_950_000;
/// Most routes whose figures over time are drawn.
const ROUTES_OVER_TIME: usize = 24;
/// Most clusters whose first occurrence is marked.
const MARKS: usize = 12;
/// Percentiles at which the differences of pairs are drawn.
const PAIR_GRID: [f64; 27] = [
    0.0, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0,
    65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 97.5, 99.0, 99.5, 100.0,
];
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
    let script = format!("/*! uPlot\n{UPLOT_LICENSE}*/\n{UPLOT}\n{CHARTS}\n{DIG}");
    let hash = |text: &str| BASE64.encode(Sha256::digest(text.as_bytes()));
    let csp = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        hash(&style),
        hash(&script)
    );
    let data = text::script_json(&data(report));
    let mut page = Page::new(report, Assets { csp, style, script, data }, CHARTED_ROUTES);
    let render = |page: &Page| page.render().expect("a page of texts renders");
    // Exchanges have the room that all else leaves.
    let bare = render(&page).len();
    page.put_exchanges(report, PAGE_BYTES.saturating_sub(bare));
    render(&page).into_bytes()
}

/// What the charts draw. Latencies in milliseconds.
fn data(report: &Report<'_>) -> String {
    let sides: Vec<Side> = report.sides().collect();
    let grid: Vec<f64> =
        (0..GRID).map(|index| digits(10f64.powf(index as f64 / GRID_PER_DECADE), 5)).collect();
    let routes: Vec<serde_json::Value> = report
        .subjects()
        .take(1 + CHARTED_ROUTES)
        .enumerate()
        .map(|(index, route)| {
            let wholes: Vec<(Side, Histogram)> =
                sides.iter().map(|&side| (side, route.side(side).sent.whole())).collect();
            let mut value = serde_json::json!({"name": text::visible(&route.route)});
            let of = |figure: &dyn Fn(&Histogram) -> serde_json::Value| -> serde_json::Map<String,
                serde_json::Value> {
                let filled = wholes.iter().filter(|(_, histogram)| histogram.count() > 0);
                filled.map(|(side, histogram)| (side.name().to_owned(),
                    figure(histogram))).collect()
            };
            value["counts"] = of(&|histogram| histogram.count().into()).into();
            value["quantiles"] = of(&|histogram| quantiles(histogram, &grid).into()).into();
            value["histogram"] = bars(&wholes).unwrap_or_default();
            let due = &route.side(Side::V2).due;
            if due.count() > 0 {
                value["due"] = quantiles(due, &grid).into();
            }
            value["pairs"] = changes(route).into();
            value["time"] = match index {
                0 => timeline(report.summary.timeline.at_most(STEPS), &sides),
                1..=ROUTES_OVER_TIME => timeline(route.over_time.clone(), &sides),
                _ => serde_json::Value::Null,
            };
            value
        })
        .collect();
    let names: Vec<&str> = sides.iter().map(|side| side.name()).collect();
    serde_json::json!({
        "sides": names, "grid": grid, "pairGrid": PAIR_GRID, "routes": routes,
        "marks": marks(report), "other": report.judgement.reference.name(),
    })
    .to_string()
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
    let mut value = serde_json::json!({"from": edges.iter().map(|&edge| digits(edge / 1e6,
        4)).collect::<Vec<_>>()});
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

/// How much longer v2 took than the other side, request by request, at the percentiles of
/// [`PAIR_GRID`]; nothing where there are no pairs.
fn changes(route: &RouteSummary) -> Vec<f64> {
    let (faster, slower) = (&route.faster, &route.slower);
    let count = faster.count() + slower.count();
    let at = |percentile: f64| {
        let rank = ((percentile / 100.0 * count as f64).ceil() as u64).clamp(1, count);
        match rank.checked_sub(faster.count()) {
            Some(above @ 1..) => slower.at_rank(above).map(milliseconds),
            // The largest gain stands first.
            _ => faster.at_rank(faster.count() + 1 - rank).map(|gain| -milliseconds(gain)),
        }
    };
    if count == 0 { Vec::new() } else { PAIR_GRID.into_iter().filter_map(at).collect() }
}

/// When the first exchange of each of the largest regressions was due, in seconds from the start of
/// the replay; nothing where the replay had no schedule.
fn marks(report: &Report<'_>) -> Vec<serde_json::Value> {
    let speed = report.facts.settings.get("speed");
    let speed = speed.map_or(Some(1.0), factor).filter(|speed| *speed > 0.0);
    let (Some(first), Some(speed)) = (report.summary.first_at, speed) else { return Vec::new() };
    let regressions = once_each(report.clusters.regressions()).take(MARKS);
    regressions
        .map(|cluster| {
            let at = cluster.first_at.since(first) as f64 / 1e9 / speed;
            let what = format!("{}: {}", text::visible(&cluster.route), what(cluster));
            serde_json::json!({
                "at": digits(at, 5), "id": cluster_id(cluster),
                "what": text::short(&text::visible(&what), 120),
            })
        })
        .collect()
}

/// Requests, errors, latencies and answers by class of status, step by step.
fn timeline(timeline: Timeline, sides: &[Side]) -> serde_json::Value {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    timeline.iter().for_each(|(second, _)| (first, last) = (first.min(second), last.max(second)));
    if first > last {
        return serde_json::Value::Null;
    }
    // A second without a request is a point as well.
    let steps = ((last - first) / timeline.step()) as usize + 1;
    let mut value = serde_json::json!({"step": timeline.step(), "first": first, "steps": steps});
    for &side in sides {
        let (mut requests, mut errors, mut p99) =
            (vec![0; steps], vec![0; steps], vec![None; steps]);
        let mut classes = vec![vec![0; steps]; CLASSES];
        for (second, cells) in timeline.iter() {
            let (index, cell) =
                (((second - first) / timeline.step()) as usize, &cells[side as usize]);
            (requests[index], errors[index]) = (cell.requests, cell.errors);
            p99[index] = cell.latency.quantile(0.99).map(milliseconds);
            classes.iter_mut().zip(cell.classes).for_each(|(of, count)| of[index] = count);
        }
        if requests.iter().any(|&n| n > 0) {
            let named = classes.into_iter().enumerate().filter(|(_, of)| of.iter().any(|&n| n > 0));
            let name = |class: usize| match class {
                0 => "failed".to_owned(),
                class => format!("{class}xx"),
            };
            let classes: serde_json::Map<String, serde_json::Value> =
                named.map(|(class, of)| (name(class), of.into())).collect();
            value[side.name()] = serde_json::json!({
                "requests": requests, "errors": errors, "p99": p99, "classes": classes,
            });
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
