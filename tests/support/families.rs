//! Runs of one route whose truth is known, in five families of latency: what the gate promises is
//! shown on them (`tests/report/`), and tabled by `benches/gate.rs`. Seeded, so that they repeat
//! exactly.

use std::sync::Arc;

use shadowtap::diff::{RouteTotals, Totals};
use shadowtap::gate::{Evidence, Judgement, Policy, judge};
use shadowtap::measure::{RouteSummary, Side, Summary, paired};

use crate::made_run::Random;

/// How latencies behave, around 20 ms.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    /// Each by itself: what most services have.
    Independent,
    /// A Pareto tail: the slowest are many times as slow as the median.
    Heavy,
    /// A cache's hits and misses, by chance on each side.
    Bimodal,
    /// The load comes and goes over some thirty requests: mostly the same on both sides, as the
    /// same requests come at the same times.
    Autocorrelated,
    /// Each side stands still now and then, by itself.
    Stalls,
}

/// All of them.
pub(crate) const FAMILIES: [Family; 5] =
    [Family::Independent, Family::Heavy, Family::Bimodal, Family::Autocorrelated, Family::Stalls];

/// Requests over which neighbours are alike.
const MEMORY: f64 = 30.0;

impl Family {
    /// Logarithms of the latencies of both sides, over 20 ms.
    fn logs(self, requests: usize, random: &mut Random) -> [Vec<f64>; 2] {
        let load = match self {
            Self::Autocorrelated => waves(requests, 0.4, random),
            _ => vec![0.0; requests],
        };
        [0, 1].map(|_| {
            let own = self.own(requests, random);
            load.iter().zip(own).map(|(load, own)| load + own).collect()
        })
    }

    fn own(self, requests: usize, random: &mut Random) -> Vec<f64> {
        let mut each = |sample: fn(&mut Random) -> f64| -> Vec<f64> {
            (0..requests).map(|_| sample(random)).collect()
        };
        match self {
            Self::Independent => each(|random| 0.5 * random.normal()),
            Self::Heavy => each(|random| -random.uniform().ln() / 1.5),
            Self::Bimodal => each(|random| match random.uniform() < 0.8 {
                true => -1.4 + 0.2 * random.normal(),
                false => 1.1 + 0.3 * random.normal(),
            }),
            Self::Autocorrelated => {
                let noise = each(|random| 0.3 * random.normal());
                let waves = waves(requests, 0.15, random);
                noise.iter().zip(waves).map(|(noise, wave)| noise + wave).collect()
            }
            Self::Stalls => {
                let mut logs = each(|random| 0.4 * random.normal());
                for _ in 0..requests / 200 {
                    let start = (random.uniform() * requests as f64) as usize;
                    let length = 10 + (random.uniform() * 30.0) as usize;
                    logs.iter_mut().skip(start).take(length).for_each(|log| *log += 2.5);
                }
                logs
            }
        }
    }

    /// A run of so many requests; `factor` turns v1's latency into v2's.
    pub(crate) fn run(self, requests: usize, factor: f64, seed: u64) -> (Summary, Totals) {
        let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1) ^ requests as u64);
        let [v1, v2] = self.logs(requests, &mut random);
        let mut route = RouteSummary { route: "GET /one".into(), ..RouteSummary::default() };
        for (number, (v1, v2)) in v1.into_iter().zip(v2).enumerate() {
            let both = [v1.exp(), factor * v2.exp()].map(|times| (20e6 * times) as i64);
            record(&mut route, number as i64 * 5_000_000, both);
        }
        let compared = requests as u64;
        route.pairs.count = compared;
        let name = route.route.to_string();
        let totals = Totals {
            compared,
            routes: vec![RouteTotals { route: name, compared, ..RouteTotals::default() }],
            ..Totals::default()
        };
        let mut summary = Summary::default();
        summary.exchanges.insert("complete", compared);
        summary.all.route = Arc::from("ALL");
        summary.all.merge(&route);
        summary.routes.push(route);
        (summary, totals)
    }
}

/// A series with a memory, of mean 0 and this deviation.
fn waves(requests: usize, deviation: f64, random: &mut Random) -> Vec<f64> {
    let kept = (-1.0 / MEMORY).exp();
    let mut wave = random.normal();
    let mut next = || {
        wave = kept * wave + (1.0 - kept * kept).sqrt() * random.normal();
        deviation * wave
    };
    (0..requests).map(|_| next()).collect()
}

fn record(route: &mut RouteSummary, at: i64, both: [i64; 2]) {
    let ratio = paired::scaled(both[1], both[0]).expect("latencies above zero");
    route.ratios.record(at, ratio);
    for (side, nanos) in [Side::V1, Side::V2].into_iter().zip(both) {
        let figures = &mut route.sides[side as usize];
        figures.requests += 1;
        *figures.statuses.entry(200).or_default() += 1;
        figures.sent.record(at, nanos);
    }
}

/// Judges a run by the defaults and a limit of 1.2 for typical latency.
pub(crate) fn judged(run: &(Summary, Totals)) -> Judgement {
    judge(&evidence(run), &policy())
}

/// The same, of a run whose requests came at another speed than v1's.
pub(crate) fn at_another_speed(run: &(Summary, Totals)) -> Judgement {
    judge(&Evidence { own_speed: false, ..evidence(run) }, &policy())
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.limits.typical_ratio = Some(1.2);
    policy
}

fn evidence(run: &(Summary, Totals)) -> Evidence<'_> {
    Evidence {
        summary: &run.0,
        totals: &run.1,
        egress: None,
        state: None,
        tls: false,
        interrupted: false,
        scheduled: true,
        own_speed: true,
    }
}
