//! What stands on the page, in words: every text is made visible here and escaped by the template.

mod calls;
pub(super) mod clusters;
mod exchanges;
mod first;
mod flows;
mod next;
mod shown;
mod tables;

use askama::Template;

use super::Report;
use crate::diff::Class;
use crate::gate::Judgement;
use crate::gate::words::{count, percent, plural};
use crate::measure::{FailureSummary, Side, Summary};
use crate::outcome::FailureKind;
use calls::EgressWords;
use clusters::{ClusterWords, clusters, differences_lead, put_exchanges, shown_at_first};
use first::{CheckWords, Tile, VerdictWords, Why, lead, replayed, tiles, verdict, whys};
use flows::StateWords;
pub(super) use shown::{WHERE_MEASURED, factor};
use shown::{pretty, seen, tied};
use tables::{
    LedgerTable, RouteRow, RuleRow, facts, latency_lead, ledgers, pace_rows, route_rows, rule_rows,
    statuses, trips,
};

/// What the page is made of beside its words.
pub(super) struct Assets {
    pub(super) csp: String,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) data: String,
}

#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page {
    csp: String,
    style: String,
    script: String,
    data: String,
    run: String,
    tool: String,
    verdict: VerdictWords,
    lead: String,
    whys: Vec<Why>,
    tiles: Vec<Tile>,
    replayed: Vec<(String, String)>,
    checks: Vec<CheckWords>,
    notes: Vec<String>,
    regressions: u64,
    differences_lead: String,
    classes: Vec<(&'static str, String, bool)>,
    clusters: Vec<ClusterWords>,
    latency_lead: String,
    reference: &'static str,
    routes: Vec<RouteRow>,
    routes_left_out: usize,
    paces: Vec<(String, [String; 5])>,
    trips: Vec<(String, String)>,
    time_lead: String,
    step: String,
    nothing_sent: bool,
    failures: Vec<(String, String, String, String, String)>,
    sides: Vec<&'static str>,
    statuses: Vec<(u16, Vec<String>)>,
    skipped: Vec<(String, String)>,
    egress: Option<EgressWords>,
    state: Option<StateWords>,
    rules_lead: String,
    rules: Vec<RuleRow>,
    rules_left_out: usize,
    unmatched: Vec<String>,
    ledgers: Vec<LedgerTable>,
    unusable: Vec<String>,
    facts: Vec<(String, String)>,
    settings: String,
    generator: String,
    files: Vec<(String, &'static str)>,
}

impl Page {
    pub(super) fn new(report: &Report<'_>, assets: Assets, charted: usize) -> Self {
        let (summary, judgement) = (report.summary, report.judgement);
        let (routes, routes_left_out) = route_rows(report, charted);
        let (rules, rules_left_out) = rule_rows(report);
        let step = summary.timeline.step();
        Self {
            csp: assets.csp,
            style: assets.style,
            script: assets.script,
            data: assets.data,
            run: seen(&report.facts.run, 80),
            tool: crate::record::exchanges::TOOL.to_owned(),
            verdict: verdict(judgement.verdict),
            lead: tied(&lead(report)),
            whys: whys(report)
                .into_iter()
                .map(|why| Why { text: tied(&why.text), ..why })
                .collect(),
            tiles: tiles(report),
            replayed: replayed(report),
            checks: judgement
                .checks
                .iter()
                .map(|check| CheckWords {
                    holds: check.holds,
                    why: tied(&seen(&check.why, 400)),
                    advice: check.advice.clone(),
                })
                .collect(),
            notes: notes(report),
            regressions: report.clusters.count(Class::Regression),
            differences_lead: tied(&differences_lead(report)),
            classes: Class::ALL
                .into_iter()
                .filter(|&class| report.clusters.count(class) > 0)
                .map(|class| {
                    (
                        class.name(),
                        count(report.clusters.count(class)),
                        shown_at_first(report, class),
                    )
                })
                .collect(),
            clusters: clusters(report),
            latency_lead: latency_lead(report),
            reference: judgement.reference.name(),
            routes,
            routes_left_out,
            paces: pace_rows(report),
            trips: trips(report),
            time_lead: time_lead(step),
            step: if step > 1 { format!("{step} seconds") } else { "second".to_owned() },
            nothing_sent: summary.all.side(Side::V2).requests == 0,
            failures: failures(summary),
            sides: report.sides().map(Side::name).collect(),
            statuses: statuses(report),
            skipped: summary
                .skipped
                .iter()
                .map(|(reason, &n)| (seen(reason, 200), count(n)))
                .collect(),
            egress: report.egress.map(|egress| EgressWords::new(egress, report.folder)),
            state: StateWords::new(report),
            rules_lead: rules_lead(judgement),
            rules,
            rules_left_out,
            unmatched: report.unmatched().iter().map(|rule| seen(rule, 300)).collect(),
            ledgers: ledgers(report),
            unusable: summary.rejected_examples.iter().map(|line| seen(line, 300)).collect(),
            facts: facts(report),
            settings: pretty(&report.facts.settings),
            generator: pretty(&summary.generator),
            files: files(report),
        }
    }

    /// Puts exchanges into the clusters, as long as `room` bytes hold them.
    pub(super) fn put_exchanges(&mut self, report: &Report<'_>, room: usize) {
        put_exchanges(&mut self.clusters, report, room);
    }
}

/// What the drawings over time show; a step is so many seconds.
fn time_lead(step: i64) -> String {
    let step = match step {
        2.. => format!("; the run is long, so a step is {step} s"),
        _ => String::new(),
    };
    format!(
        "By the second in which requests were sent, from the start of the replay. v1's stand where \
         their replay was sent, so that the same requests stand above each other{step}."
    )
}

/// How the rules judge.
fn rules_lead(judgement: &Judgement) -> String {
    let surest = judgement.rules.iter().map(|rule| rule.confidence).fold(1.0, f64::min);
    format!(
        "A rule fails only where the whole interval is beyond what is allowed. Each bound holds \
         with the confidence in the last column; where a rule is judged for many routes at once, \
         it is raised (Holm) so that the chance of even one false alarm among them stays below {}.",
        percent(1.0 - surest)
    )
}

/// Failures by kind: how many, and route, id and words of one.
fn failures(summary: &Summary) -> Vec<(String, String, String, String, String)> {
    let row = |(kind, of): (&FailureKind, &FailureSummary)| {
        let (route, id, example) = (seen(&of.route, 120), seen(&of.id, 40), seen(&of.example, 200));
        (kind.name().to_owned(), count(of.count), route, id, example)
    };
    summary.failures.iter().map(row).collect()
}

/// The files beside the page, those first that people open.
fn files(report: &Report<'_>) -> Vec<(String, &'static str)> {
    const KNOWN: [(&str, &str); 16] = [
        ("mismatches.csv", "every difference"),
        ("latency.csv", "latencies by route"),
        ("timeline.csv", "second by second"),
        ("summary.md", "for a pull request"),
        ("summary.json", "all figures"),
        ("junit.xml", "for CI"),
        ("latency.hlog", "histograms"),
        ("latency.v1.hgrm", "percentiles of v1"),
        ("latency.v2.hgrm", "percentiles of v2"),
        ("latency.baseline.hgrm", "percentiles of the baseline"),
        ("clusters.jsonl", "differences by cause"),
        ("differences.jsonl", "every difference, for machines"),
        ("exchanges.jsonl", "the recording"),
        ("outcomes.jsonl", "the replay"),
        ("egress.jsonl", "calls to providers"),
        ("run.json", "what was run"),
    ];
    let is_measured = |name: &str| {
        let side = Side::ALL
            .into_iter()
            .find(|side| name.split('.').nth(1) == Some(side.name()) && name.ends_with(".hgrm"));
        side.is_none_or(|side| super::hlog::percentiles(report, side).is_some())
    };
    let there = |name: &str| {
        is_measured(name) && super::names::ALL.contains(&name)
            || report.files.iter().any(|file| file == name)
    };
    let found = |name: &str| {
        let compressed = format!("{name}.zst");
        if there(name) { Some(name.to_owned()) } else { Some(compressed).filter(|c| there(c)) }
    };
    KNOWN.into_iter().filter_map(|(name, what)| Some((found(name)?, what))).collect()
}

/// What is worth knowing of the run and no reason to distrust it.
fn notes(report: &Report<'_>) -> Vec<String> {
    let summary = report.summary;
    let mut notes = Vec::new();
    if !summary.unclosed.is_empty() {
        notes.push(format!(
            "{} cut off: the last line is missing.",
            summary.unclosed.join(" and ")
                + if summary.unclosed.len() == 1 { " is" } else { " are" }
        ));
    }
    let speed = report.facts.settings.get("speed");
    if report.judgement.reference == Side::V1
        && speed.is_some_and(|speed| factor(speed) != Some(1.0))
    {
        notes.push(
            "v2 was driven at another speed than v1, so their latencies are not of the same load: \
             --baseline drives both alike."
                .to_owned(),
        );
    }
    let unusable: u64 = summary.records_ledger.rejected.values().sum();
    if unusable > 0 {
        notes.push(format!("{} could not be used.", plural(unusable, "record", "records")));
    }
    for (name, ledger) in [("capture", &summary.capture_ledger), ("replay", &summary.replay_ledger)]
    {
        if ledger.balance() != 0 {
            notes.push(format!(
                "The ledger of the {name} does not balance by {}.",
                ledger.balance()
            ));
        }
    }
    notes
}
