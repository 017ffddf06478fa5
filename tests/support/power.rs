//! What the gate promises of typical latency: equal versions hardly ever fail, versions that are
//! slower by half are caught, and what could have gone unseen is never a pass.

use rayon::prelude::*;

use shadowtap::gate::{Finding, Judgement, Verdict};

use crate::families::{FAMILIES, Family, judged};

const RUNS: u64 = 200;

/// How many of the runs are so.
fn count(
    family: Family,
    requests: usize,
    factor: f64,
    so: impl Fn(&Judgement) -> bool + Sync,
) -> u64 {
    let is = |&seed: &u64| so(&judged(&family.run(requests, factor, seed)));
    (0..RUNS).into_par_iter().filter(is).count() as u64
}

#[test]
fn equal_versions_of_every_family_fail_in_at_most_one_run_of_twenty() {
    for family in FAMILIES {
        for requests in [200, 1_000] {
            let failed = count(family, requests, 1.0, |run| run.verdict == Verdict::Fail);
            assert!(failed <= RUNS / 20, "{family:?}, {requests} requests: {failed} of {RUNS}");
        }
    }
}

#[test]
fn versions_slower_by_half_are_caught() {
    for (family, requests) in [
        (Family::Independent, 200),
        (Family::Heavy, 200),
        (Family::Bimodal, 200),
        (Family::Autocorrelated, 2_000),
        (Family::Stalls, 5_000),
    ] {
        let caught = count(family, requests, 1.5, |run| run.verdict == Verdict::Fail);
        assert!(
            caught >= RUNS * 95 / 100,
            "{family:?}, {requests} requests: only {caught} of {RUNS} caught"
        );
    }
}

#[test]
fn what_could_have_gone_unseen_is_no_pass_and_a_pass_tells_what_it_would_have_seen() {
    for family in FAMILIES {
        for seed in 0..40 {
            let run = judged(&family.run(200, 1.0, seed));
            let typical = run.rules.iter().find(|rule| rule.rule == "max_typical_ratio");
            let typical = typical.expect("the rule is judged");
            let blind = typical.noticeable.is_none_or(|noticed| noticed > 2.0);
            match run.verdict {
                Verdict::Pass => {
                    assert!(!blind, "{family:?}, seed {seed}: {typical:?}");
                    let said = run.reasons.join(" ");
                    assert!(said.contains("Typical latency: up to ×"), "{said}");
                    assert!(said.contains("The p99 of latency"), "{said}");
                }
                Verdict::CannotSay => assert!(blind, "{family:?}, seed {seed}: {typical:?}"),
                _ => assert_eq!(run.verdict, Verdict::Fail),
            }
        }
    }
}

#[test]
fn at_another_speed_latencies_are_not_judged_and_it_is_said() {
    let run = Family::Independent.run(1_000, 3.0, 1);
    assert_eq!(judged(&run).verdict, Verdict::Fail);
    let other = crate::families::at_another_speed(&run);
    assert_eq!(other.verdict, Verdict::Pass, "{:?}", other.reasons);
    assert!(other.reasons.join(" ").contains("use --baseline"), "{:?}", other.reasons);
    assert!(other.with(Finding::Fail).next().is_none());
}

#[test]
fn a_baseline_that_does_not_answer_as_v1_did_makes_the_run_invalid() {
    let (mut summary, totals) = Family::Independent.run(205, 1.0, 3);
    summary.has_baseline = true;
    (summary.baseline_answers, summary.baseline_otherwise) = (205, 188);
    let run = judged(&(summary.clone(), totals.clone()));
    assert_eq!(run.verdict, Verdict::Invalid, "{:?}", run.reasons);
    let said = run.reasons.join(" ");
    assert!(said.contains("The baseline answered 188 of 205 requests otherwise"), "{said}");
    (summary.baseline_answers, summary.baseline_otherwise) = (205, 3);
    assert_ne!(judged(&(summary, totals)).verdict, Verdict::Invalid);
}
