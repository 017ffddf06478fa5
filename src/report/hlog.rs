//! `latency.hlog`: HdrHistogram's interval log (V2, compressed), one interval for the whole run, a
//! histogram for each side and route. Values are nanoseconds from sent; the column `Interval_Max`
//! is in milliseconds, as HdrHistogram's tools expect.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Report;

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
    for route in report.subjects() {
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
