//! `latency.hlog`: HdrHistogram's interval log (V2, compressed): for all routes an interval a
//! second and side, for each route one interval for the whole run. Values are nanoseconds from
//! sent; the column `Interval_Max` is in milliseconds, as HdrHistogram's tools expect. And `.hgrm`
//! files, one a side: percentiles as HdrHistogram's plotter reads them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Report;
use crate::measure::Side;

/// `latency.hlog`.
pub fn write(report: &Report<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let started = report.summary.started.unwrap_or(report.facts.started);
    let since = Duration::from_nanos(u64::try_from(started.nanos()).unwrap_or(0));
    let took = Duration::from_nanos(u64::try_from(report.summary.took_ns).unwrap_or(0));
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(
            "[Values: nanoseconds from sent to the last byte; tags: side:route, percent-encoded]",
        )
        .with_start_time(SystemTime::UNIX_EPOCH + since)
        .with_base_time(SystemTime::UNIX_EPOCH + since)
        .with_max_value_divisor(1_000_000.0);
    let mut log =
        builder.begin_log_with(&mut out, &mut serializer).expect("a vector takes every line");
    let step = Duration::from_secs(report.summary.timeline.step().unsigned_abs());
    for (second, cells) in report.summary.timeline.iter() {
        for side in report.sides() {
            let histogram = &cells[side as usize].latency;
            if histogram.count() == 0 {
                continue;
            }
            let tag = format!("{}:{}", side.name(), report.summary.all.route);
            let tag = Tag::new(&tag).expect("what a tag may not hold is encoded");
            let start = Duration::from_secs(u64::try_from(second).unwrap_or(0));
            log.write_histogram(&histogram.to_hdr(), start, step, Some(tag))
                .expect("a vector takes every line");
        }
    }
    for route in &report.summary.routes {
        for side in report.sides() {
            let histogram = route.side(side).sent.whole();
            if histogram.count() == 0 {
                continue;
            }
            let tag = format!("{}:{}", side.name(), encode(&route.route));
            let tag = Tag::new(&tag).expect("what a tag may not hold is encoded");
            log.write_histogram(&histogram.to_hdr(), Duration::ZERO, took, Some(tag))
                .expect("a vector takes every line");
        }
    }
    out
}

/// `latency.SIDE.hgrm`: HdrHistogram's table of percentiles of all routes, in milliseconds; none
/// where the side has no answer.
pub fn percentiles(report: &Report<'_>, side: Side) -> Option<Vec<u8>> {
    /// Lines to each halving of the distance to 100 %.
    const TICKS: u32 = 5;
    let histogram = report.summary.all.side(side).sent.whole().to_hdr();
    if histogram.is_empty() {
        return None;
    }
    let ms = |nanos: f64| nanos / 1e6;
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS) {
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = ms(step.value_iterated_to() as f64);
        let _ = write!(out, "{value:>12.3} {quantile:>14.12} {total:>10}");
        let _ = match quantile < 1.0 {
            true => writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(out),
        };
    }
    let _ = writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
         #[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]",
        ms(histogram.mean()),
        ms(histogram.stdev()),
        ms(histogram.max() as f64),
        histogram.len(),
        histogram.buckets(),
        SUB_BUCKETS
    );
    Some(out.into_bytes())
}

/// Buckets to a doubling, of three significant digits.
const SUB_BUCKETS: u32 = 2_048;

/// A route as part of a tag: spaces, commas, quotes, `%` and what is not printable ASCII in
/// percent-encoding.
pub fn encode(route: &str) -> String {
    let mut out = String::with_capacity(route.len() + 8);
    for byte in route.bytes() {
        if byte.is_ascii_graphic() && !b",\"%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
