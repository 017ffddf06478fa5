//! What the replayer measures of itself: how late it sent, how long its loops took, what it cost. A
//! run whose generator could not keep the schedule is the generator's fault, not v2's, and says so.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rustix::time::ClockId;
use serde_json::{Value, json};

use crate::message::{Response, grpc};
use crate::outcome::FailureKind;

/// Largest value that the histograms tell apart: an hour.
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// A histogram of nanoseconds with three digits.
pub(in crate::replay) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, 3).expect("the bounds are valid for three digits")
}

/// Counts and histograms of one worker; merged at the end.
pub(in crate::replay) struct GeneratorFigures {
    /// Sent later than due, without what v2 caused.
    pub(in crate::replay) lateness: Histogram<u64>,
    /// What v2 caused.
    pub(in crate::replay) waited: Histogram<u64>,
    /// From due to whole answer.
    pub(in crate::replay) from_due: Histogram<u64>,
    /// From sent to whole answer.
    pub(in crate::replay) from_sent: Histogram<u64>,
    /// How long a round of a worker's loop kept other events waiting.
    pub(in crate::replay) loop_delay: Histogram<u64>,
    pub(in crate::replay) sent: u64,
    pub(in crate::replay) answered: u64,
    pub(in crate::replay) bytes_sent: u64,
    pub(in crate::replay) bytes_received: u64,
    pub(in crate::replay) failures: BTreeMap<&'static str, u64>,
    /// What is worth knowing beside it, by name.
    pub(in crate::replay) notes: BTreeMap<&'static str, u64>,
    /// Most tasks that waited on lanes at the same time.
    pub(in crate::replay) peak_waiting: u64,
    pub(in crate::replay) peak_connections: u64,
    pub(in crate::replay) status: BTreeMap<u16, u64>,
    /// Answers of gRPC by the status of the call.
    pub(in crate::replay) calls: BTreeMap<u16, u64>,
    /// How long the worker was able to run and had no processor.
    pub(in crate::replay) run_queue_ns: u64,
}

impl Default for GeneratorFigures {
    fn default() -> Self {
        Self {
            lateness: histogram(),
            waited: histogram(),
            from_due: histogram(),
            from_sent: histogram(),
            loop_delay: histogram(),
            sent: 0,
            answered: 0,
            bytes_sent: 0,
            bytes_received: 0,
            failures: BTreeMap::new(),
            notes: BTreeMap::new(),
            peak_waiting: 0,
            peak_connections: 0,
            status: BTreeMap::new(),
            calls: BTreeMap::new(),
            run_queue_ns: 0,
        }
    }
}

impl GeneratorFigures {
    /// Touches all of its memory, so that none of it has to be found when the first value comes.
    pub(in crate::replay) fn touch(&mut self) {
        for histogram in [
            &mut self.lateness,
            &mut self.waited,
            &mut self.from_due,
            &mut self.from_sent,
            &mut self.loop_delay,
        ] {
            histogram.reset();
        }
    }

    pub(in crate::replay) fn note(&mut self, name: &'static str) {
        *self.notes.entry(name).or_default() += 1;
    }

    pub(in crate::replay) fn fail(&mut self, kind: FailureKind) {
        *self.failures.entry(kind.name()).or_default() += 1;
    }

    /// Counts an answer by what it says of itself.
    pub(in crate::replay) fn answer(&mut self, response: &Response) {
        *self.status.entry(response.status).or_default() += 1;
        if let Some(code) = grpc::status(response) {
            *self.calls.entry(code).or_default() += 1;
        }
    }

    pub(in crate::replay) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.lateness, &other.lateness),
            (&mut self.waited, &other.waited),
            (&mut self.from_due, &other.from_due),
            (&mut self.from_sent, &other.from_sent),
            (&mut self.loop_delay, &other.loop_delay),
        ] {
            mine.add(theirs).expect("both have the same bounds");
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        for (mine, theirs) in
            [(&mut self.failures, &other.failures), (&mut self.notes, &other.notes)]
        {
            for (name, n) in theirs {
                *mine.entry(name).or_default() += n;
            }
        }
        for (all, more) in [(&mut self.status, &other.status), (&mut self.calls, &other.calls)] {
            more.iter().for_each(|(code, n)| *all.entry(*code).or_default() += n);
        }
        self.run_queue_ns += other.run_queue_ns;
        self.peak_waiting += other.peak_waiting;
        self.peak_connections += other.peak_connections;
    }
}

/// Records a signed length of time; below one nanosecond is one.
pub(in crate::replay) fn record(histogram: &mut Histogram<u64>, nanos: i64) {
    histogram.saturating_record(nanos.max(1).unsigned_abs());
}

/// Lengths of time of the last second or so: a histogram that is small enough to be read and
/// emptied between two requests.
pub(in crate::replay) struct RecentLengths {
    /// By powers of two, each in eight parts.
    counts: [u32; 64 * 8],
    all: u32,
}

impl Default for RecentLengths {
    fn default() -> Self {
        Self { counts: [0; 64 * 8], all: 0 }
    }
}

impl RecentLengths {
    pub(in crate::replay) fn add(&mut self, nanos: i64) {
        let nanos = nanos.max(8).unsigned_abs();
        let power = nanos.ilog2();
        let part = (nanos >> (power - 3)) & 7;
        self.counts[(power * 8) as usize + part as usize] += 1;
        self.all += 1;
    }

    /// The 99th percentile, at most an eighth too high; zero where there is nothing.
    pub(in crate::replay) fn p99(&self) -> i64 {
        let mut above = self.all.div_ceil(100);
        for (place, count) in self.counts.iter().enumerate().rev().filter(|(_, count)| **count > 0)
        {
            if *count >= above {
                let (power, part) = (place / 8, place % 8);
                return i64::try_from((9 + part as u128) << (power - 3)).unwrap_or(i64::MAX);
            }
            above -= count;
        }
        0
    }
}

/// Quantiles of a histogram in nanoseconds.
pub(in crate::replay) fn quantiles(histogram: &Histogram<u64>) -> Value {
    json!({
        "count": histogram.len(),
        "mean_ns": histogram.mean() as u64,
        "p50_ns": histogram.value_at_quantile(0.5),
        "p90_ns": histogram.value_at_quantile(0.9),
        "p99_ns": histogram.value_at_quantile(0.99),
        "p999_ns": histogram.value_at_quantile(0.999),
        "max_ns": histogram.max(),
    })
}

/// How long the calling thread was able to run and had no processor, in nanoseconds (the second
/// figure of `schedstat`); 0 where the system does not tell.
pub(in crate::replay) fn run_queue_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).unwrap_or(0)
}

/// CPU time at a moment: of this process, and of the whole machine.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::replay) struct CpuMark {
    process_ns: i64,
    /// Busy and all ticks of all cores; none where the system does not tell.
    machine: Option<(u64, u64)>,
    /// Ticks that the host took from this machine, and all.
    stolen: Option<(u64, u64)>,
}

impl CpuMark {
    pub(in crate::replay) fn now() -> Self {
        let spec = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
        Self {
            process_ns: spec.tv_sec * crate::time::NANOS_PER_SEC + spec.tv_nsec,
            machine: machine_ticks(|ticks| {
                Some(ticks.iter().sum::<u64>() - (ticks.get(3)? + ticks.get(4)?))
            }),
            stolen: machine_ticks(|ticks| ticks.get(7).copied()),
        }
    }

    /// CPU seconds of the process since `earlier`, the share of the machine that was busy, and the
    /// share that the host gave to others (each 0 to 1).
    pub(in crate::replay) fn since(self, earlier: Self) -> (f64, Option<f64>, Option<f64>) {
        let share = |now: Option<(u64, u64)>, before: Option<(u64, u64)>| {
            let ((part, all), (part_before, all_before)) = now.zip(before)?;
            let all = all.checked_sub(all_before).filter(|&all| all > 0)?;
            Some(part.saturating_sub(part_before) as f64 / all as f64)
        };
        (
            (self.process_ns - earlier.process_ns) as f64 / 1e9,
            share(self.machine, earlier.machine),
            share(self.stolen, earlier.stolen),
        )
    }
}

/// Part and whole of the first line of `/proc/stat`: user nice system idle iowait irq softirq steal
/// (guest times are in user already).
fn machine_ticks(part: impl Fn(&[u64]) -> Option<u64>) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    Some((part(&ticks)?, ticks.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_figures_are_sums() {
        let (mut a, mut b) = (GeneratorFigures::default(), GeneratorFigures::default());
        record(&mut a.lateness, 10);
        record(&mut b.lateness, -3);
        (a.sent, b.sent) = (2, 3);
        b.fail(FailureKind::Timeout);
        b.note("reopened");
        b.note("reopened");
        a.merge(&b);
        assert_eq!(
            (a.lateness.len(), a.sent, a.failures["timeout"], a.notes["reopened"]),
            (2, 5, 1, 2)
        );
        assert_eq!(quantiles(&a.lateness)["max_ns"], 10);
    }

    #[test]
    fn the_recent_p99_is_at_most_an_eighth_too_high() {
        assert_eq!(RecentLengths::default().p99(), 0);
        for values in [
            vec![1],
            vec![70_000; 50],
            (1..=1_000).map(|n| n * 1_000).collect(),
            vec![i64::MAX, -5, 12],
        ] {
            let mut recent = RecentLengths::default();
            values.iter().for_each(|&value| recent.add(value));
            let mut sorted = values;
            sorted.sort_unstable();
            let exact = sorted[sorted.len() - sorted.len().div_ceil(100)].max(8);
            assert!(
                recent.p99() >= exact && recent.p99() <= exact.saturating_add(exact / 8 + 1),
                "{} for {exact}",
                recent.p99()
            );
        }
    }

    #[test]
    fn cpu_time_goes_on() {
        let before = CpuMark::now();
        let sum: u64 =
            std::hint::black_box((0..2_000_000u64).fold(0, |a, b| a ^ b.wrapping_mul(a | 1)));
        std::hint::black_box(sum);
        assert!(CpuMark::now().since(before).0 > 0.0);
    }
}
