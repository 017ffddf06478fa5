//! What `replay` says: its progress, its result, and the plan of a dry run.

use std::time::Duration;

use serde_json::Value;

use super::flags::ReplayShape;
use super::ran::RanReplay;
use crate::cli::exit::printable;
use crate::cli::{Failure, output};
use crate::gate::words::plural;
use crate::message::grpc;
use crate::replay::calibrate::Calibration;
use crate::replay::plan::{Plan, PlanFigures};
use crate::replay::{FlowCount, ReplayProgress};
use crate::time::NANOS_PER_SEC;

/// The text beside the progress bar: what matters most comes first, since a narrow terminal cuts
/// the rest. Errors are those of the report: failures and answers of 5xx.
pub(super) fn progress(now: &ReplayProgress, duration_ns: Option<i64>) -> String {
    let left = duration_ns.map(|duration| (duration - now.now_ns).max(0) / NANOS_PER_SEC);
    let left = left.map(|left| format!("{left}s left, ")).unwrap_or_default();
    format!(
        "{left}{} errors, {:.0}/s, late p99 {}, {} in flight, {} sent",
        now.failed + now.server_errors,
        now.rate(),
        time(now.lateness_p99_ns),
        now.in_flight(),
        now.sent,
    )
}

/// A length of time with a unit that suits it.
pub(super) fn time(nanos: i64) -> String {
    let value = nanos as f64;
    match nanos.unsigned_abs() {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.0} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.1} s", value / 1e9),
    }
}

fn field(figures: &Value, of: &str, name: &str) -> String {
    time(figures[of][name].as_i64().unwrap_or(0))
}

/// The result.
pub(super) fn text(ran: &RanReplay) -> String {
    page(lines(ran))
}

fn page(lines: Vec<String>) -> String {
    lines.iter().map(|line| printable(line) + "\n").collect()
}

fn lines(ran: &RanReplay) -> Vec<String> {
    let finished = &ran.finished;
    let own = &finished.generator;
    let lateness = format!(
        "own lateness p50 {}, p99 {}, max {}",
        field(own, "lateness", "p50_ns"),
        field(own, "lateness", "p99_ns"),
        field(own, "lateness", "max_ns")
    );
    // One or two of a few may be late by chance: they stand here, and do not make the run invalid.
    let late = match own["late"].as_u64() {
        Some(late @ 1..) => format!(
            "; {late} of {} more than {} late, 1 % may be",
            finished.sent,
            time(ran.max_lateness_ns)
        ),
        _ => String::new(),
    };
    let mut lines = vec![match (ran.scheduled, finished.held) {
        (false, _) => "as fast as the lanes allowed: no schedule to hold".to_owned(),
        (true, true) => format!("schedule held: {lateness}{late}"),
        (true, false)
            if own["notes"]["waited-for-a-connection-slot"].as_u64()
                > Some(finished.sent / 100) =>
        {
            format!(
                "INVALID, the schedule was not held: {lateness}{late}; requests waited for a \
                 connection: allow more with --max-connections or \
             ulimit -n, or use a --sample or more machines with --shard"
            )
        }
        (true, false) => format!(
            "INVALID, the schedule was not held: {lateness}{late}; use a slower --speed, a \
             --sample, more machines with --shard, or \
             --realtime"
        ),
    }];
    if finished.interrupted {
        lines.push("interrupted: the records up to here are written".to_owned());
    }
    let seconds = finished.duration_ns.max(1) as f64 / 1e9;
    lines.push(format!(
        "sent {} requests in {seconds:.1} s ({:.0}/s) on {} lanes; {} answered",
        finished.sent,
        finished.sent as f64 / seconds,
        ran.lanes,
        finished.answered
    ));
    let list = |counts: Vec<String>| counts.join(", ");
    if !finished.status.is_empty() {
        let counts = finished.status.iter().map(|(status, n)| format!("{status} × {n}")).collect();
        lines.push(format!("status: {}", list(counts)));
    }
    if !finished.calls.is_empty() {
        let shown = |(code, n): (&u16, &u64)| format!("{} × {n}", grpc::shown(*code));
        lines.push(format!("grpc-status: {}", list(finished.calls.iter().map(shown).collect())));
    }
    let failures: Vec<String> = finished
        .failures
        .iter()
        .filter(|(kind, _)| **kind != "skipped")
        .map(|(kind, n)| format!("{kind} × {n}"))
        .collect();
    if !failures.is_empty() {
        lines.push(format!("failed: {}", list(failures)));
    }
    // A request that found no connection failed and was not sent: it is told once.
    let told = |why: &str| why != "skipped" && finished.failures.contains_key(why);
    let not_sent = finished.ledger.rejected.iter().filter(|(why, _)| !told(why));
    let not_sent: Vec<String> = not_sent.map(|(why, n)| format!("{why} × {n}")).collect();
    if !not_sent.is_empty() {
        lines.push(format!("not sent: {}", list(not_sent)));
    }
    lines.extend(bound_line(&finished.flows));
    if finished.answered > 0 {
        let of = |what: &str| {
            format!(
                "p50 {}, p99 {}, max {}",
                field(own, what, "p50_ns"),
                field(own, what, "p99_ns"),
                field(own, what, "max_ns")
            )
        };
        lines.push(format!("latency from sent: {}", of("from_sent")));
        lines.push(format!("latency from due:  {}", of("from_due")));
    }
    if let Some(notes) = own["notes"].as_object().filter(|notes| !notes.is_empty()) {
        lines.push(format!(
            "noted: {}",
            list(notes.iter().map(|(name, n)| format!("{name} × {n}")).collect())
        ));
    }
    lines.push(ran.folder.path().display().to_string());
    lines
}

/// What became of the values that v1 had issued; none where none was used.
fn bound_line(flows: &[FlowCount]) -> Option<String> {
    let sum = |count: fn(&FlowCount) -> u64| flows.iter().map(count).sum::<u64>();
    let (bound, unbound) = (sum(|flow| flow.bound), sum(|flow| flow.unbound));
    let lacking = sum(|flow| flow.not_issued);
    (bound + unbound > 0).then(|| {
        let kept = if unbound > 0 { format!("; {unbound} kept v1's") } else { String::new() };
        let why = match lacking {
            0 => String::new(),
            lacking => format!(", as v2 did not issue {}", plural(lacking, "value", "values")),
        };
        format!("bound: {bound} uses of values that v2 issued in place of v1's{kept}{why}")
    })
}

/// The plan of a dry run.
pub(super) fn print_plan(
    plan: &Plan,
    figures: &PlanFigures,
    shape: &ReplayShape,
    calibration: Option<Calibration>,
) -> Result<(), Failure> {
    let mut lines = plan_lines(plan, figures, shape);
    lines.extend(calibration.map(|measured| calibration_line(measured, figures)));
    output::print(&page(lines))
}

fn calibration_line(measured: Calibration, figures: &PlanFigures) -> String {
    let per_second = measured.per_second;
    let verdict = match figures.peak_second as f64 / per_second.max(1.0) {
        _ if figures.peak_second == 0 => "",
        share if share > 0.8 => {
            ": too little for the busiest second, use more machines with --shard"
        }
        share if share > 0.4 => ": enough, but the schedule may not be held to the microsecond",
        _ => ": ample",
    };
    format!(
        "this machine replays about {per_second:.0} small requests/s on loopback, at {:.2} CPU \
         seconds per 100,000{verdict}",
        measured.cpu_per_100k_s
    )
}

/// A number of bytes in the unit that leaves two digits or more.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn plan_lines(plan: &Plan, figures: &PlanFigures, shape: &ReplayShape) -> Vec<String> {
    let totals = &plan.totals;
    let mut lines = vec![format!(
        "would send {} requests on {} lanes, {}",
        plan.sends(),
        totals.lanes * u64::from(shape.pacing.loops),
        size(totals.bytes.saturating_mul(u64::from(shape.pacing.loops)))
    )];
    match plan.duration_ns() {
        Some(duration) => {
            let seconds = (duration as f64 / 1e9).max(1e-9);
            lines.push(format!(
                "in {:?} at speed {}: {:.1} requests/s on average, {} in the busiest second, {} \
                 lanes open at most",
                Duration::from_millis((duration / 1_000_000).max(0).unsigned_abs()),
                shape.pacing.speed,
                plan.sends() as f64 / seconds.max(1.0),
                figures.peak_second,
                figures.peak_lanes
            ));
        }
        None => lines.push("as fast as the lanes allow (--speed max)".to_owned()),
    }
    if !plan.methods.is_empty() {
        let methods: Vec<String> =
            plan.methods.iter().map(|(method, n)| format!("{method} × {n}")).collect();
        lines.push(format!("methods: {}", methods.join(", ")));
    }
    if let Some((waits, values)) = plan.bound() {
        lines.push(format!(
            "bound: {values} values are put into requests; {waits} requests wait for answers of \
             other connections or for such values"
        ));
    }
    for (reason, n) in &figures.skipped {
        lines.push(format!("skipped: {n} × {reason}"));
    }
    for (reason, n) in &plan.ledger.rejected {
        lines.push(format!("left out: {n} × {reason}"));
    }
    let target = shape.target.as_deref().unwrap_or("(no --target given)");
    lines.push(format!(
        "target: {target}, connections: {}",
        shape.max_connections.map_or("no limit".to_owned(), |n| n.to_string())
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_that_suits_them() {
        for (nanos, text) in [
            (999, "999 ns"),
            (41_234, "41 µs"),
            (1_500_000, "1.5 ms"),
            (2_000_000_000, "2.0 s"),
            (-5, "-5 ns"),
        ] {
            assert_eq!(time(nanos), text);
        }
    }
}
