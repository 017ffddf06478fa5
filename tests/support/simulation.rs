//! The gate's promise, shown on runs whose truth is known: equal versions fail in at most 5 of 100
//! runs, a p99 that is worse by half is found in at least 95 of 100. Seeded, so that it repeats
//! exactly.

use std::sync::Arc;

use rayon::prelude::*;

use shadowtap::diff::{RouteTotals, Totals};
use shadowtap::gate::{Evidence, Finding, Judgement, Outgoing, Policy, Verdict, judge};
use shadowtap::measure::{RouteSummary, Side, Summary, paired};

use crate::made_run::Random;

const RUNS: u64 = 1_000;
const MS: f64 = 1e6;

/// Shapes of latency, around 20 ms.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// As most services have it.
    LogNormal(f64),
    /// A queue's.
    Exponential,
    /// Two populations: a cache's hits and misses.
    Mixture,
}

impl Shape {
    fn sample(self, random: &mut Random) -> f64 {
        match self {
            Self::LogNormal(sigma) => 20.0 * MS * (sigma * random.normal()).exp(),
            Self::Exponential => -20.0 * MS * random.uniform().ln(),
            Self::Mixture if random.uniform() < 0.9 => 5.0 * MS * (0.2 * random.normal()).exp(),
            Self::Mixture => 60.0 * MS * (0.3 * random.normal()).exp(),
        }
    }
}

/// A run of routes with so many requests each; `worse` turns v1's latency into v2's.
fn run(
    seed: u64,
    routes: &[(Shape, u64)],
    worse: impl Fn(&mut Random, Shape) -> f64,
) -> (Summary, Totals) {
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let (mut summary, mut totals) = (Summary::default(), Totals::default());
    summary.all.route = Arc::from("ALL");
    for (index, &(shape, requests)) in routes.iter().enumerate() {
        let mut route =
            RouteSummary { route: format!("GET /{index}").into(), ..RouteSummary::default() };
        for number in 0..requests {
            let at = (number * 5_000_000) as i64;
            let both = [shape.sample(&mut random), worse(&mut random, shape)];
            let ratio = paired::scaled(both[1] as i64, both[0] as i64);
            route.ratios.record(at, ratio.expect("latencies above zero"));
            for (side, nanos) in [Side::V1, Side::V2].into_iter().zip(both) {
                let figures = &mut route.sides[side as usize];
                figures.requests += 1;
                *figures.statuses.entry(200).or_default() += 1;
                figures.sent.record(at, nanos as i64);
            }
        }
        route.pairs.count = requests;
        totals.compared += requests;
        totals.routes.push(RouteTotals {
            route: route.route.to_string(),
            compared: requests,
            ..RouteTotals::default()
        });
        summary.all.merge(&route);
        summary.routes.push(route);
    }
    summary.exchanges.insert("complete", totals.compared);
    (summary, totals)
}

fn judged(summary: &Summary, totals: &Totals) -> Judgement {
    judge(
        &Evidence {
            summary,
            totals,
            egress: None,
            state: None,
            tls: false,
            interrupted: false,
            scheduled: true,
            own_speed: true,
        },
        &Policy::default(),
    )
}

fn failing(
    routes: &(dyn Fn(u64) -> Vec<(Shape, u64)> + Sync),
    worse: fn(&mut Random, Shape) -> f64,
) -> u64 {
    let fails = |seed: u64| {
        let (summary, totals) = run(seed, &routes(seed), worse);
        judged(&summary, &totals).verdict == Verdict::Fail
    };
    (0..RUNS).into_par_iter().filter(|&seed| fails(seed)).count() as u64
}

#[test]
fn equal_versions_fail_in_at_most_one_run_of_twenty() {
    let shapes = [Shape::LogNormal(0.5), Shape::Exponential, Shape::Mixture, Shape::LogNormal(1.0)];
    // From one route of 60 to eight of some hundreds, all shapes mixed.
    let routes = |seed: u64| {
        let most = [60, 200, 400, 900][(seed % 4) as usize];
        (0..=seed % 8)
            .map(|route| (shapes[((seed / 4 + route) % 4) as usize], most / (1 + route)))
            .collect()
    };
    let failed = failing(&routes, |random, shape| shape.sample(random));
    assert!(failed <= RUNS / 20, "{failed} of {RUNS} runs of equal versions fail");
}

#[test]
fn a_tail_worse_by_half_is_found_in_nineteen_runs_of_twenty() {
    let one = |shape| move |_| vec![(shape, 2_000)];
    // Everything is slower by half …
    let failed = failing(&one(Shape::LogNormal(0.5)), |random, shape| 1.5 * shape.sample(random));
    assert!(
        failed >= RUNS * 95 / 100,
        "only {failed} of {RUNS} runs fail where all is slower by half"
    );
    // … or the slowest twentieth only, which no median shows.
    let tail = |random: &mut Random, shape: Shape| {
        let nanos = shape.sample(random);
        // p95 of the shape is 20 ms · e^(0.5 · 1.645).
        if nanos > 45.5 * MS { 1.5 * nanos } else { nanos }
    };
    let failed = failing(&one(Shape::LogNormal(0.5)), tail);
    assert!(
        failed >= RUNS * 95 / 100,
        "only {failed} of {RUNS} runs fail where the tail is slower by half"
    );
}

#[test]
fn the_slow_route_of_a_small_run_is_found_and_named_and_no_other() {
    for seed in 0..100 {
        let routes: Vec<(Shape, u64)> = (0..6).map(|_| (Shape::LogNormal(0.4), 60)).collect();
        let (mut summary, totals) = run(seed, &routes, |random, shape| shape.sample(random));
        let mut random = Random(seed);
        let mut slow = RouteSummary { route: "GET /slow".into(), ..RouteSummary::default() };
        for number in 0..40 {
            for side in [Side::V1, Side::V2] {
                let nanos = Shape::LogNormal(0.4).sample(&mut random)
                    + if side == Side::V2 { 80.0 * MS } else { 0.0 };
                slow.sides[side as usize].sent.record(number * 5_000_000, nanos as i64);
            }
        }
        summary.all.merge(&slow);
        summary.routes.push(slow);
        let judgement = judged(&summary, &totals);
        let named: Vec<_> =
            judgement.with(Finding::Fail).filter_map(|rule| rule.route.as_deref()).collect();
        assert_eq!(named, ["GET /slow"], "seed {seed}: {:?}", judgement.reasons);
    }
}

#[test]
fn one_hiccup_and_a_ratio_of_microseconds_do_not_fail() {
    let (mut summary, totals) =
        run(3, &[(Shape::LogNormal(0.3), 2_000)], |random, shape| shape.sample(random));
    // v2 stands still for 250 ms: fifty requests in a row, 2.5 % of all, wait.
    for side in
        [&mut summary.routes[0], &mut summary.all].map(|route| &mut route.sides[Side::V2 as usize])
    {
        (0..50).for_each(|number| {
            side.sent.record((900 + number) * 5_000_000, (250 - 5 * number) * 1_000_000)
        });
    }
    let judgement = judged(&summary, &totals);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);

    // Three times as long, and still nothing that a user could feel.
    let (mut faster, totals) = run(4, &[(Shape::LogNormal(0.3), 2_000)], |random, _| {
        0.15 * MS * (0.3 * random.normal()).exp()
    });
    for route in faster.routes.iter_mut().chain([&mut faster.all]) {
        let v2 = route.sides[Side::V2 as usize].sent.clone();
        let mut v1 = shadowtap::measure::Blocks::default();
        let whole = v2.whole();
        (1..=whole.count()).for_each(|rank| {
            v1.record(rank as i64 * 5_000_000, whole.at_rank(rank).unwrap() as i64 / 3)
        });
        route.sides[Side::V1 as usize].sent = v1;
    }
    let judgement = judged(&faster, &totals);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert!(
        judgement.rules.iter().any(|rule| rule.why.contains("not held against v2")),
        "{:?}",
        judgement.rules
    );
}

#[test]
fn wrong_answers_fail_even_where_the_schedule_was_not_held() {
    let (mut summary, mut totals) =
        run(5, &[(Shape::LogNormal(0.3), 500)], |random, shape| 3.0 * shape.sample(random));
    (0..500).for_each(|_| summary.lateness.record(9_000_000));
    let invalid = judged(&summary, &totals);
    assert_eq!(invalid.verdict, Verdict::Invalid, "{:?}", invalid.reasons);
    assert!(invalid.reasons[0].contains("--shard"), "advice: {:?}", invalid.reasons);
    assert!(invalid.with(Finding::Fail).next().is_none(), "latency is not judged");

    let free = Evidence {
        summary: &summary,
        totals: &totals,
        egress: None,
        state: None,
        tls: false,
        interrupted: false,
        scheduled: false,
        own_speed: true,
    };
    assert_ne!(
        judge(&free, &Policy::default()).verdict,
        Verdict::Invalid,
        "without a schedule there is none to hold"
    );

    (totals.mismatched, totals.routes[0].mismatched) = (40, 40);
    let failed = judged(&summary, &totals);
    assert_eq!(failed.verdict, Verdict::Fail);
    assert!(
        failed.reasons[0].contains("40 of 500 compared exchanges differ"),
        "{:?}",
        failed.reasons
    );

    // Errors alone may be the late replayer's doing.
    for pairs in [&mut summary.all.pairs, &mut summary.routes[0].pairs] {
        pairs.new_errors = 40;
    }
    assert_eq!(judged(&summary, &totals).verdict, Verdict::Invalid);
}

#[test]
fn too_few_and_not_beyond_doubt_are_no_verdict() {
    let (summary, totals) =
        run(6, &[(Shape::LogNormal(0.3), 40)], |random, shape| shape.sample(random));
    let few = judged(&summary, &totals);
    assert_eq!(few.verdict, Verdict::CannotSay);
    assert!(few.reasons[0].contains("min_samples asks for 100"), "{:?}", few.reasons);

    let (summary, mut totals) =
        run(7, &[(Shape::LogNormal(0.3), 400)], |random, shape| shape.sample(random));
    (totals.mismatched, totals.routes[0].mismatched) = (1, 1);
    let doubt = judged(&summary, &totals);
    assert_eq!(
        doubt.verdict,
        Verdict::CannotSay,
        "one of 400 is more than 0.1 %, but not beyond doubt"
    );
    assert!(doubt.reasons[0].contains("may be chance"), "{:?}", doubt.reasons);
    let judgement = judge(
        &Evidence {
            summary: &summary,
            totals: &totals,
            egress: None,
            state: None,
            tls: false,
            interrupted: false,
            scheduled: true,
            own_speed: true,
        },
        &Policy { demand: vec![], ..Policy::default() },
    );
    assert_eq!(judgement.verdict, Verdict::Pass, "a policy may be content with that");
}

#[test]
fn flaky_versions_are_not_each_others_fault() {
    let (mut summary, totals) =
        run(8, &[(Shape::LogNormal(0.3), 1_000)], |random, shape| shape.sample(random));
    for pairs in [&mut summary.all.pairs, &mut summary.routes[0].pairs] {
        (pairs.new_errors, pairs.gone_errors) = (12, 10);
    }
    assert_eq!(judged(&summary, &totals).verdict, Verdict::Pass);
    for pairs in [&mut summary.all.pairs, &mut summary.routes[0].pairs] {
        (pairs.new_errors, pairs.gone_errors) = (30, 2);
    }
    let judgement = judged(&summary, &totals);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(
        judgement.reasons[0].contains("v2 fails on 30 of 1,000 requests"),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn a_baseline_is_preferred_to_the_capture() {
    let (mut summary, totals) =
        run(9, &[(Shape::LogNormal(0.3), 1_000)], |random, shape| 2.0 * shape.sample(random));
    assert_eq!(judged(&summary, &totals).verdict, Verdict::Fail);
    summary.has_baseline = true;
    for route in summary.routes.iter_mut().chain([&mut summary.all]) {
        route.sides[Side::Baseline as usize] = route.sides[Side::V2 as usize].clone();
        let mut same = shadowtap::measure::Blocks::default();
        (0..1_000).for_each(|number| same.record(number * 5_000_000, 1_000_000));
        route.ratios = same;
    }
    let judgement = judged(&summary, &totals);
    assert_eq!(
        (judgement.verdict, judgement.reference),
        (Verdict::Pass, Side::Baseline),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn a_stricter_route_and_one_that_is_not_there() {
    let (summary, totals) =
        run(10, &[(Shape::LogNormal(0.2), 1_000)], |random, shape| shape.sample(random));
    let policy: Policy = toml::from_str(
        "[[route]]\nroute = \"GET /0\"\nmax_p99 = \"15ms\"\n[[route]]\nroute = \"GET /nowhere\"\n\
         max_p99 = \"1ms\"\n",
    )
    .unwrap();
    let judgement = judge(
        &Evidence {
            summary: &summary,
            totals: &totals,
            state: None,
            egress: Some(Outgoing { total: 3, ..Outgoing::default() }),
            tls: false,
            interrupted: false,
            scheduled: true,
            own_speed: true,
        },
        &policy,
    );
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(
        judgement.with(Finding::Fail).map(|rule| rule.rule.as_str()).collect::<Vec<_>>(),
        ["max_p99"]
    );
    assert_eq!(judgement.unmatched_routes, ["GET /nowhere"]);
}

/// What v2 makes of a miss, or of the answer to another question, is not what it makes of an
/// answer.
#[test]
fn a_read_that_v1_never_made_fails_unless_the_policy_allows_it() {
    let (summary, totals) =
        run(12, &[(Shape::LogNormal(0.2), 1_000)], |random, shape| shape.sample(random));
    let judged = |calls: Outgoing, policy: &str| {
        let policy: Policy = toml::from_str(policy).unwrap();
        let evidence = Evidence {
            summary: &summary,
            totals: &totals,
            state: None,
            egress: Some(calls),
            tls: false,
            interrupted: false,
            scheduled: true,
            own_speed: true,
        };
        let judgement = judge(&evidence, &policy);
        let failed = judgement.with(Finding::Fail).map(|rule| rule.rule.clone());
        (judgement.verdict, failed.collect::<Vec<_>>())
    };
    let calls = Outgoing { total: 9, ..Outgoing::default() };
    assert_eq!(judged(calls, "").0, Verdict::Pass);
    // What is behind a record that was cut off may have been any calls.
    let cut = Outgoing { broken_off: true, ..calls };
    assert_eq!(judged(cut, "").0, Verdict::Invalid);
    for (calls, rule) in [
        (Outgoing { missed_reads: 2, ..calls }, "max_missed_reads"),
        (Outgoing { drifted_reads: 2, ..calls }, "max_drifted_reads"),
    ] {
        assert_eq!(judged(calls, ""), (Verdict::Fail, vec![rule.to_owned()]));
        assert_eq!(judged(calls, &format!("{rule} = 1")).0, Verdict::Fail);
        assert_eq!(judged(calls, &format!("{rule} = 2")).0, Verdict::Pass);
    }
}
