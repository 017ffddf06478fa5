//! What stands on the page, in words: every text is made visible here and escaped by the template.

use askama::Template;

use super::text::{short, split_common, visible};
use super::{CallCluster, Egress, Report};
use crate::diff::{Class, Cluster, Kind};
use crate::gate::words::{count, duration, percent, plural, round_times, times};
use crate::gate::{ALL_CALLS, Finding, RuleResult, UNSAFE_CALLS, Unit, Verdict};
use crate::ledger::Ledger;
use crate::measure::{Histogram, RouteSummary, Side};
use crate::mock::ledger::Verdict as CallVerdict;
use crate::replay::FailureKind;

/// Where the two latencies are taken.
pub(super) const WHERE_MEASURED: &str =
    "v1's latency is taken at the tap, v2's at the replayer; each counts from the request's first byte to the answer's last.";

/// Most reasons on the first screen.
const WHYS: usize = 8;
/// Most rows of the table of routes and of rules.
const ROUTES: usize = 400;
const RULES: usize = 300;
/// Providers and routes of outgoing calls that are shown.
const EGRESS_ROUTES: usize = 200;
/// Clusters that are open at first.
const OPEN: usize = 1;
/// Bytes that the clusters' examples may take together, escaped; what is beyond stands in clusters.jsonl.
const EXAMPLE_BYTES: usize = 900_000;
/// Characters of a value, with few clusters and with many.
const VALUE_CHARS: [usize; 2] = [2_000, 300];
const MANY: usize = 100;

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
    trips: Vec<(String, String)>,
    time_lead: String,
    step: String,
    failures: Vec<(String, String, String, String, String)>,
    sides: Vec<&'static str>,
    statuses: Vec<(u16, Vec<String>)>,
    skipped: Vec<(String, String)>,
    egress: Option<EgressWords>,
    rules_lead: String,
    rules: Vec<RuleRow>,
    rules_left_out: usize,
    unmatched: Vec<String>,
    ledgers: Vec<LedgerTable>,
    unusable: Vec<String>,
    facts: Vec<(String, String)>,
    settings: String,
    generator: String,
}

struct VerdictWords {
    class: &'static str,
    mark: &'static str,
    word: &'static str,
    headline: &'static str,
}

struct Why {
    /// The route; empty for all.
    name: String,
    text: String,
    details: Vec<String>,
    links: Vec<Link>,
}

struct Link {
    href: String,
    label: &'static str,
    /// The route that its charts are to show.
    route: Option<String>,
}

struct Tile {
    class: &'static str,
    name: String,
    value: String,
    limit: String,
    state: &'static str,
}

struct CheckWords {
    holds: bool,
    why: String,
    advice: String,
}

struct ClusterWords {
    id: String,
    class: &'static str,
    open: bool,
    hidden: bool,
    full: bool,
    width: String,
    many: String,
    share: String,
    route: String,
    kind: &'static str,
    place: String,
    shape: String,
    only_where: Option<String>,
    why: String,
    expected: Option<[String; 3]>,
    actual: Option<[String; 3]>,
    example: String,
    example_place: String,
    target: String,
    at: String,
    differences: String,
    first: String,
    last: String,
    repeat: String,
}

struct RouteRow {
    all: bool,
    chart: bool,
    name: String,
    /// Sorted by the first, shown is the second.
    cells: Vec<(String, String)>,
    rank: u8,
    finding: &'static str,
    finding_words: &'static str,
}

struct RuleRow {
    why: String,
    rank: u8,
    finding: &'static str,
    finding_words: &'static str,
    rule: String,
    route: String,
    cells: Vec<(String, String)>,
}

struct EgressWords {
    lead: String,
    /// Said before all else: something was changed at a provider more often than by v1.
    alarm: String,
    /// Where the command lines send their calls.
    mock: &'static str,
    /// Clusters that are held against v2.
    held: usize,
    /// Provider, route, and calls by verdict.
    routes: Vec<(String, String, Vec<String>)>,
    /// The mock did not come to its end: what is missing is not known.
    incomplete: bool,
    clusters: Vec<CallWords>,
}

/// A cluster of outgoing calls.
struct CallWords {
    id: String,
    class: &'static str,
    open: bool,
    many: String,
    what: &'static str,
    route: String,
    provider: String,
    shape: String,
    /// Place, v1's value, v2's.
    places: Vec<(String, String, String)>,
    /// The bodies; none where that side made no call.
    expected: Option<String>,
    actual: Option<String>,
    causes: String,
    repeat: String,
    /// Why the calls are intended; empty where nobody said so.
    approved: String,
}

impl EgressWords {
    fn new(egress: &Egress) -> Self {
        let routes = egress.routes.iter().take(EGRESS_ROUTES).map(|route| {
            let cells = CallVerdict::ALL.into_iter().map(|verdict| count(route.counts.of(verdict))).collect();
            (seen(&route.provider, 100), seen(&route.route, 200), cells)
        });
        let mut lead = format!(
            "{} of {} of v2 to its providers are not v1's: {}.",
            count(egress.different),
            plural(egress.total(), "call", "calls"),
            egress.calls.iter().map(|(name, &n)| format!("{} {name}", count(n))).collect::<Vec<_>>().join(", ")
        );
        if egress.approved > 0 {
            lead += &format!(" {} only as approved.", plural(egress.approved, "more differs", "more differ"));
        }
        Self {
            lead,
            alarm: alarm(egress),
            mock: crate::diff::repeat::MOCK.trim_start_matches("http://"),
            routes: routes.collect(),
            incomplete: !egress.complete,
            held: egress.clusters.iter().filter(|cluster| cluster.approved.is_none()).count(),
            clusters: egress.clusters.iter().map(call_words).collect(),
        }
    }
}

/// What is said before all else: calls that change something at a provider and are not v1's.
fn alarm(egress: &Egress) -> String {
    match egress.unsafe_repeated {
        0 if egress.unsafe_different > 0 => format!(
            "{} of v2 that {} something at a provider {} not v1's",
            plural(egress.unsafe_different, "call", "calls"),
            if egress.unsafe_different == 1 { "changes" } else { "change" },
            if egress.unsafe_different == 1 { "is" } else { "are" }
        ),
        0 => String::new(),
        1 => "v2 made 1 call that changes something at a provider more often than v1".to_owned(),
        n => format!("v2 made {} calls that change something at a provider more often than v1", count(n)),
    }
}

fn call_words(cluster: &CallCluster) -> CallWords {
    let value = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), |value| seen(value, 120));
    let body = |text: &str| if text.is_empty() { "no body".to_owned() } else { seen(text, 500) };
    CallWords {
        id: seen(&cluster.id, 40),
        class: match &cluster.approved {
            Some(_) => "approved",
            None if cluster.changes => "regression",
            None => "noise",
        },
        open: cluster.changes && cluster.approved.is_none(),
        many: plural(cluster.calls, "call", "calls"),
        what: cluster.what,
        route: seen(&cluster.route, 200),
        provider: seen(&cluster.provider, 100),
        shape: seen(&cluster.shape, 80),
        places: cluster.places.iter().map(|(place, a, b)| (seen(place, 120), value(a), value(b))).collect(),
        expected: (cluster.verdict != "extra" || !cluster.expected.is_empty()).then(|| body(&cluster.expected)),
        actual: (cluster.verdict != "missing").then(|| body(&cluster.actual)),
        causes: seen(&cluster.causes.join(", "), 200),
        repeat: seen(&cluster.repeat, 6_000),
        approved: cluster.approved.as_deref().map(|why| seen(why, 300)).unwrap_or_default(),
    }
}

struct LedgerTable {
    name: &'static str,
    /// Name, count, class of the row.
    rows: Vec<(String, String, &'static str)>,
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
            tool: crate::exchange::log::TOOL.to_owned(),
            verdict: verdict(judgement.verdict),
            lead: lead(report),
            whys: whys(report),
            tiles: tiles(report),
            replayed: replayed(report),
            checks: judgement
                .checks
                .iter()
                .map(|check| CheckWords { holds: check.holds, why: seen(&check.why, 400), advice: check.advice.clone() })
                .collect(),
            notes: notes(report),
            regressions: report.clusters.count(Class::Regression),
            differences_lead: differences_lead(report),
            classes: [Class::Regression, Class::Approved, Class::Noise]
                .into_iter()
                .filter(|&class| report.clusters.count(class) > 0)
                .map(|class| (class.name(), count(report.clusters.count(class)), shown_at_first(report, class)))
                .collect(),
            clusters: clusters(report),
            latency_lead: latency_lead(report),
            reference: judgement.reference.name(),
            routes,
            routes_left_out,
            trips: trips(report),
            time_lead: format!(
                "By the second in which requests were sent, from the start of the replay. v1's stand where their replay \
                 was sent, so that the same requests stand above each other{}.",
                if step > 1 { format!("; the run is long, so a step is {step} s") } else { String::new() }
            ),
            step: if step > 1 { format!("{step} seconds") } else { "second".to_owned() },
            failures: summary
                .failures
                .iter()
                .map(|(kind, of)| {
                    (kind.name().to_owned(), count(of.count), seen(&of.route, 120), seen(&of.id, 40), seen(&of.example, 200))
                })
                .collect(),
            sides: report.sides().map(Side::name).collect(),
            statuses: statuses(report),
            skipped: summary.skipped.iter().map(|(reason, &n)| (seen(reason, 200), count(n))).collect(),
            egress: report.egress.map(EgressWords::new),
            rules_lead: format!(
                "A rule fails only where the whole interval is beyond what is allowed. Each bound holds with the confidence in the \
                 last column; where a rule is judged for many routes at once, it is raised (Holm) so that the chance of even \
                 one false alarm among them stays below {}.",
                percent(1.0 - judgement.rules.iter().map(|rule| rule.confidence).fold(1.0, f64::min))
            ),
            rules,
            rules_left_out,
            unmatched: report.unmatched().iter().map(|rule| seen(rule, 300)).collect(),
            ledgers: ledgers(report),
            unusable: summary.rejected_examples.iter().map(|line| seen(line, 300)).collect(),
            facts: facts(report),
            settings: pretty(&report.facts.settings),
            generator: pretty(&summary.generator),
        }
    }
}

/// A text from outside: visible, and not too long.
fn seen(text: &str, most: usize) -> String {
    visible(&short(text, most)).into_owned()
}

fn pretty(value: &serde_json::Value) -> String {
    let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    if empty {
        return String::new();
    }
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let lines: Vec<String> = text.lines().take(400).map(|line| seen(line, 300)).collect();
    lines.join("\n")
}

const fn verdict(verdict: Verdict) -> VerdictWords {
    let (class, mark, word) = match verdict {
        Verdict::Pass => ("pass", "✓", "pass"),
        Verdict::Fail => ("fail", "✕", "fail"),
        Verdict::CannotSay => ("open", "?", "no verdict"),
        Verdict::Invalid => ("open", "!", "invalid run"),
    };
    VerdictWords { class, mark, word, headline: verdict.headline() }
}

/// What happened, in two sentences.
fn lead(report: &Report<'_>) -> String {
    let (summary, totals) = (report.summary, report.totals);
    let mut text = format!(
        "{} of {} recorded from v1 were replayed at {}",
        count(summary.replayed),
        plural(summary.recorded(), "exchange", "exchanges"),
        seen(&report.facts.target, 120)
    );
    if let Some(speed) = report.facts.settings.get("speed").map(speed_words) {
        text += &speed;
    }
    text += &format!(
        ". {} compared: {}.",
        plural(totals.compared, "answer was", "answers were"),
        match totals.mismatched {
            0 => "none differs in a way that counts".to_owned(),
            1 => format!("one differs ({})", percent(1.0 / totals.compared.max(1) as f64)),
            n => format!("{} differ ({})", count(n), percent(n as f64 / totals.compared.max(1) as f64)),
        }
    );
    text
}

fn speed_words(speed: &serde_json::Value) -> String {
    match (factor(speed), speed.as_str()) {
        (Some(1.0), _) => " with their original timing".to_owned(),
        (Some(factor), _) => format!(" at {} times the original speed", round_times(factor)),
        (None, Some("max")) => " as fast as they may go".to_owned(),
        (None, Some(other)) => format!(" at speed {}", seen(other, 20)),
        _ => String::new(),
    }
}

/// The speed as a number, however it is written.
fn factor(speed: &serde_json::Value) -> Option<f64> {
    speed.as_f64().or_else(|| speed.as_str()?.trim_end_matches('x').parse().ok())
}

/// Why, with a way to the evidence: what fails over all exchanges stands on the tiles, so the routes come first, each with
/// all that it fails by.
fn whys(report: &Report<'_>) -> Vec<Why> {
    let judgement = report.judgement;
    if judgement.verdict != Verdict::Fail {
        let plain = |text: &String| Why { name: String::new(), text: seen(text, 500), details: Vec::new(), links: Vec::new() };
        return judgement.reasons.iter().take(WHYS).map(plain).collect();
    }
    let mut by_route: Vec<(Option<&str>, Vec<&RuleResult>)> = Vec::new();
    let of_calls = |rule: &RuleResult| rule.rule == UNSAFE_CALLS || rule.rule == ALL_CALLS;
    for rule in judgement.with(Finding::Fail).filter(|rule| !of_calls(rule)) {
        let route = rule.route.as_deref();
        match by_route.iter_mut().find(|(name, _)| *name == route) {
            Some((_, rules)) => rules.push(rule),
            None => by_route.push((route, vec![rule])),
        }
    }
    let of_routes = by_route.iter().filter(|(route, _)| route.is_some());
    let covered = |rule: &RuleResult| of_routes.clone().any(|(_, rules)| rules.iter().any(|own| own.rule == rule.rule));
    let of_all = by_route.iter().filter(|(route, _)| route.is_none()).filter_map(|(_, rules)| {
        let left: Vec<&RuleResult> = rules.iter().copied().filter(|rule| !covered(rule)).collect();
        (!left.is_empty()).then_some((None, left))
    });
    let groups: Vec<(Option<&str>, Vec<&RuleResult>)> = of_routes.clone().cloned().chain(of_all).collect();
    // Where all calls that differ change something, one sentence says both.
    let calls = judgement.with(Finding::Fail).find(|rule| of_calls(rule)).map(|rule| calls_why(report, rule));
    let mut whys: Vec<Why> =
        calls.into_iter().chain(groups.iter().take(WHYS).map(|(route, rules)| why(report, *route, rules))).collect();
    if groups.len() > WHYS {
        whys.push(Why {
            name: String::new(),
            text: format!("… and {}.", plural((groups.len() - WHYS) as u64, "more route", "more routes")),
            details: Vec::new(),
            links: vec![Link { href: "#rules".to_owned(), route: None, label: "All rules" }],
        });
    }
    whys
}

/// Why v2's calls to its providers do not pass, with the first of them.
fn calls_why(report: &Report<'_>, rule: &RuleResult) -> Why {
    let clusters = report.egress.map_or(&[][..], |egress| &egress.clusters);
    let held = clusters.iter().filter(|cluster| cluster.approved.is_none());
    let details = held.take(3).map(|cluster| {
        let calls = plural(cluster.calls, "call", "calls");
        let cause = cluster.causes.first().map(|cause| format!(", first caused by exchange {cause}")).unwrap_or_default();
        seen(&format!("{} at {}: {calls} {}{cause}", cluster.route, cluster.provider, cluster.what), 300)
    });
    Why {
        name: String::new(),
        text: seen(&rule.why, 500),
        details: details.collect(),
        links: vec![Link { href: "#egress".to_owned(), label: "See the calls", route: None }],
    }
}

fn why(report: &Report<'_>, route: Option<&str>, rules: &[&RuleResult]) -> Why {
    let mut links: Vec<Link> = Vec::new();
    let mut details = Vec::new();
    for rule in rules {
        let errors = rule.rule == "max_error_rate";
        let cluster = report.clusters.regressions().find(|cluster| {
            route.is_none_or(|route| cluster.route == route) && (!errors || matches!(cluster.kind, Kind::Status | Kind::Failure))
        });
        let (href, label, to_route) = match cluster {
            _ if rule.rule.starts_with("max_p") => ("#latency".to_owned(), "See the latencies", route),
            Some(cluster) => {
                if route.is_some() {
                    details.push(example(cluster));
                }
                let label = match cluster.kind {
                    Kind::Status => "See the status",
                    Kind::Header => "See the header",
                    Kind::Body => "See the body",
                    Kind::Missing => "See what is missing",
                    Kind::Failure => "See the failure",
                };
                (format!("#c-{}", cluster_id(cluster)), label, None)
            }
            None => ("#failures".to_owned(), "See the failures", None),
        };
        if links.iter().all(|link| link.href != href) {
            links.push(Link { href, label, route: to_route.map(|route| visible(route).into_owned()) });
        }
    }
    details.dedup();
    let prefix = route.map(|route| format!("{route}: ")).unwrap_or_default();
    let sentences: Vec<&str> = rules.iter().map(|rule| rule.why.strip_prefix(&prefix).unwrap_or(&rule.why)).collect();
    Why { name: route.map(|route| seen(route, 160)).unwrap_or_default(), text: seen(&sentences.join(" "), 900), details, links }
}

/// A cluster in a line.
fn example(cluster: &Cluster) -> String {
    let value = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), |value| seen(value, 60));
    let same = cluster.example.expected == cluster.example.actual;
    // The values of a renamed field are the same.
    let values = match same {
        true => seen(&cluster.shape, 120),
        false => format!("{} → {}", value(&cluster.example.expected), value(&cluster.example.actual)),
    };
    if cluster.place == cluster.kind.name() {
        format!("{}: {values}", cluster.kind.name())
    } else {
        format!("{} {}: {values}", cluster.kind.name(), seen(&cluster.place, 80))
    }
}

/// A cluster's id as part of an address.
fn cluster_id(cluster: &Cluster) -> String {
    cluster.id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect()
}

/// The rules over all exchanges that are set.
fn tiles(report: &Report<'_>) -> Vec<Tile> {
    let name = |rule: &RuleResult| match rule.rule.as_str() {
        "max_mismatch_rate" => "Answers that differ".to_owned(),
        "max_error_rate" => "New errors".to_owned(),
        "max_new_status_rate" => "New status codes".to_owned(),
        UNSAFE_CALLS => "Provider calls with effects that differ".to_owned(),
        ALL_CALLS => "Provider calls that differ".to_owned(),
        rule => {
            rule.trim_start_matches("max_").replace("_ratio", format!(", v2 / {}", report.judgement.reference.name()).as_str())
        }
    };
    let rules = &report.judgement.rules;
    // Where the same calls are judged by both rules, one tile shows them.
    let both = |rule: &RuleResult| {
        rule.rule == ALL_CALLS && rules.iter().any(|other| other.rule == UNSAFE_CALLS && other.measured == rule.measured)
    };
    let overall = rules.iter().filter(|rule| rule.route.is_none() && !both(rule));
    overall
        .take(8)
        .map(|rule| Tile {
            class: rule.finding.name(),
            name: name(rule),
            value: rule.measured.map_or_else(|| "–".to_owned(), |value| rule.unit.words(value)),
            limit: format!("{} allowed", rule.unit.limit_words(rule.limit)),
            state: finding_words(rule.finding),
        })
        .collect()
}

const fn finding_words(finding: Finding) -> &'static str {
    match finding {
        Finding::Pass => "pass",
        Finding::Fail => "fail",
        Finding::CannotSay => "cannot say",
        Finding::Invalid => "not judged",
    }
}

fn fact(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}

fn replayed(report: &Report<'_>) -> Vec<(String, String)> {
    let summary = report.summary;
    let mut facts = Vec::new();
    if let (Some(first), Some(last)) = (summary.first_at, summary.last_at) {
        let (from, to) = (instant(first), instant(last));
        let to = if from.get(..10) == to.get(..10) { to.get(11..).unwrap_or(&to).to_owned() } else { to };
        facts.push(fact("Recorded", format!("{from} to {to} UTC")));
        facts.push(fact(
            "Span",
            format!("{}, replayed in {}", duration(last.since(first) as f64), duration(summary.took_ns as f64)),
        ));
    }
    facts.push(fact("Exchanges", format!("{} recorded, {} replayed", count(summary.recorded()), count(summary.replayed))));
    let requests = summary.all.side(Side::V2).requests;
    if requests != summary.replayed {
        facts.push(fact("Requests", format!("{} sent, with copies", count(requests))));
    }
    let skipped: u64 = summary.skipped.values().sum();
    facts.push(fact("Skipped", if skipped == 0 { "none".to_owned() } else { format!("{} on purpose", count(skipped)) }));
    // v1's own calls to its providers are in the capture too, and other hosts and ports that were not chosen.
    let others = summary.recorded().saturating_sub(summary.replayed + skipped + summary.damaged());
    if others > 0 {
        let calls = if report.egress.is_some() { ", v1's calls to its providers among them" } else { "" };
        facts.push(fact("Not chosen", format!("{}{calls}", count(others))));
    }
    facts.push(fact("Damaged", if summary.damaged() == 0 { "none".to_owned() } else { count(summary.damaged()) }));
    facts.push(fact("Lanes", plural(summary.lanes, "connection", "connections")));
    facts.push(fact("Target", seen(&report.facts.target, 200)));
    if let Some(baseline) = &report.facts.baseline {
        facts.push(fact("Baseline", seen(baseline, 200)));
    }
    facts
}

/// Without the digits below a millisecond.
fn instant(at: crate::time::Timestamp) -> String {
    at.to_string().get(..23).unwrap_or_default().replace('T', " ")
}

/// What is worth knowing of the run and no reason to distrust it.
fn notes(report: &Report<'_>) -> Vec<String> {
    let summary = report.summary;
    let mut notes = Vec::new();
    if !summary.unclosed.is_empty() {
        notes.push(format!(
            "{} cut off: the last line is missing.",
            summary.unclosed.join(" and ") + if summary.unclosed.len() == 1 { " is" } else { " are" }
        ));
    }
    let speed = report.facts.settings.get("speed");
    if report.judgement.reference == Side::V1 && speed.is_some_and(|speed| factor(speed) != Some(1.0)) {
        notes.push(
            "v2 was driven at another speed than v1, so their latencies are not of the same load: --baseline drives both alike."
                .to_owned(),
        );
    }
    let unusable: u64 = summary.records_ledger.rejected.values().sum();
    if unusable > 0 {
        notes.push(format!("{} could not be used.", plural(unusable, "record", "records")));
    }
    for (name, ledger) in [("capture", &summary.capture_ledger), ("replay", &summary.replay_ledger)] {
        if ledger.balance() != 0 {
            notes.push(format!("The ledger of the {name} does not balance by {}.", ledger.balance()));
        }
    }
    notes
}

fn differences_lead(report: &Report<'_>) -> String {
    let totals = report.totals;
    let clusters = report.clusters.count(Class::Regression);
    let mut text = if clusters == 0 {
        format!("No difference that counts in {}.", plural(totals.compared, "compared answer", "compared answers"))
    } else {
        format!(
            "{} of {} differ, for {}, the largest first.",
            count(totals.mismatched),
            plural(totals.compared, "compared answer", "compared answers"),
            plural(clusters, "cause", "causes")
        )
    };
    if totals.noisy > 0 {
        text += &format!(" {} only in what varies by itself.", plural(totals.noisy, "more differs", "more differ"));
    }
    if totals.approved > 0 {
        text += &format!(" {} only as approved.", plural(totals.approved, "more differs", "more differ"));
    }
    let not: u64 = totals.not_compared.values().sum();
    if not > 0 {
        let by = totals.not_compared.iter().map(|(reason, &n)| format!("{} {}", count(n), seen(reason, 60))).collect::<Vec<_>>();
        text += &format!(" Not compared: {}.", by.join(", "));
    }
    let shown = report.clusters.kept.len() as u64;
    let total: u64 = report.clusters.counts.iter().sum();
    if shown < total {
        text += &format!(" The {} largest of {} clusters are shown; all are in clusters.jsonl.", count(shown), count(total));
    }
    text
}

/// Noise and approved differences are there, but not in the way; alone they may as well be seen.
fn shown_at_first(report: &Report<'_>, class: Class) -> bool {
    class == Class::Regression || report.clusters.count(Class::Regression) == 0
}

fn clusters(report: &Report<'_>) -> Vec<ClusterWords> {
    let many = report.clusters.kept.len() > MANY;
    let most = VALUE_CHARS[usize::from(many)];
    let mut left = EXAMPLE_BYTES;
    report
        .clusters
        .kept
        .iter()
        .enumerate()
        .map(|(index, cluster)| {
            let mut words = cluster_words(cluster, most);
            words.open = index < OPEN && cluster.class == Class::Regression;
            words.hidden = !shown_at_first(report, cluster.class);
            let cost = words.cost();
            words.full = cost <= left;
            left = left.saturating_sub(cost);
            words
        })
        .collect()
}

fn cluster_words(cluster: &Cluster, most: usize) -> ClusterWords {
    let example = &cluster.example;
    let value = |value: &Option<String>| value.as_deref().map(|value| short(value, most).into_owned());
    let (expected, actual) = (value(&example.expected), value(&example.actual));
    let ([a, b, c], [x, y, z]) = highlight(expected.as_deref().unwrap_or_default(), actual.as_deref().unwrap_or_default());
    // Where one side has nothing there is nothing to point at within the other.
    let both = expected.is_some() && actual.is_some();
    let parts = |there: bool, parts: [&str; 3]| {
        there.then(|| if both { parts.map(lines) } else { [lines(&parts.concat()), String::new(), String::new()] })
    };
    let share = cluster.exchanges as f64 / cluster.compared.max(cluster.exchanges).max(1) as f64;
    ClusterWords {
        id: cluster_id(cluster),
        class: cluster.class.name(),
        open: false,
        hidden: false,
        full: true,
        width: format!("{:.1}", (share * 100.0).max(1.5)),
        many: format!("{} of {}", count(cluster.exchanges), count(cluster.compared)),
        share: percent(share),
        route: seen(&cluster.route, 160),
        kind: cluster.kind.name(),
        place: if cluster.place == cluster.kind.name() { String::new() } else { seen(&cluster.place, 160) },
        shape: seen(&cluster.shape, 80),
        only_where: cluster.only_where.as_deref().map(|only| seen(only, 160)),
        why: seen(&cluster.why, 300),
        expected: parts(expected.is_some(), [a, b, c]),
        actual: parts(actual.is_some(), [x, y, z]),
        example: example.id.to_string(),
        example_place: seen(&example.place, 160),
        target: seen(&format!("{} {}", example.method, example.target), 200),
        at: example.at.to_string(),
        differences: plural(cluster.differences, "time", "times"),
        first: instant(cluster.first_at),
        last: instant(cluster.last_at),
        repeat: lines(&short(&cluster.repeat, 3 * most)),
    }
}

/// Where two values differ. Short ones, and those with little in common, are marked as a whole: half a number says nothing.
fn highlight<'a>(expected: &'a str, actual: &'a str) -> ([&'a str; 3], [&'a str; 3]) {
    const SHORT: usize = 24;
    if expected == actual {
        return ([expected, "", ""], [actual, "", ""]);
    }
    let (left, right) = split_common(expected, actual);
    let common = left[0].len() + left[2].len();
    let longest = expected.len().max(actual.len());
    if longest <= SHORT || common * 3 < longest { (["", expected, ""], ["", actual, ""]) } else { (left, right) }
}

/// Visible, line by line: values and commands keep their lines.
fn lines(text: &str) -> String {
    text.split('\n').map(|line| visible(line).into_owned()).collect::<Vec<_>>().join("\n")
}

impl ClusterWords {
    /// Bytes of the example once it is escaped.
    fn cost(&self) -> usize {
        let escaped = |text: &str| text.len() + 5 * text.matches(['<', '>', '&', '"', '\'']).count();
        let values = self.expected.iter().chain(&self.actual).flatten().map(|text| escaped(text)).sum::<usize>();
        values + escaped(&self.repeat) + escaped(&self.target) + escaped(&self.why) + 900
    }
}

fn latency_lead(report: &Report<'_>) -> String {
    let failed = &report.summary.all.side(Side::V2).failures;
    let timeouts = failed.get(&FailureKind::Timeout).copied().unwrap_or(0);
    let others = failed.values().sum::<u64>() - timeouts;
    let mut left_out = Vec::new();
    if timeouts > 0 {
        left_out.push(format!(
            "{} of v2 timed out: from due {} with the time waited, from sent not at all",
            plural(timeouts, "request", "requests"),
            if timeouts == 1 { "it counts" } else { "they count" }
        ));
    }
    if others > 0 {
        left_out.push(format!(
            "{} of v2 failed otherwise and {} no latency",
            plural(others, "request", "requests"),
            if others == 1 { "has" } else { "have" }
        ));
    }
    let left_out: String = left_out.iter().map(|sentence| format!(" {sentence}.")).collect();
    measured_where(report) + &left_out
}

fn measured_where(report: &Report<'_>) -> String {
    match report.judgement.reference {
        Side::Baseline => "v2 is compared with the baseline: v1 in staging, replayed by the same schedule from the same place. \
                           v1's own latency was taken at the tap."
            .to_owned(),
        _ => format!(
            "{WHERE_MEASURED} A round trip to v2 is in v2's figures and may not be in v1's; --baseline measures both from one place."
        ),
    }
}

fn route_rows(report: &Report<'_>, charted: usize) -> (Vec<RouteRow>, usize) {
    let total = report.summary.routes.len();
    let rules = &report.judgement.rules;
    let mut findings: std::collections::HashMap<&str, Finding> = std::collections::HashMap::new();
    for rule in rules {
        let finding = findings.entry(rule.route.as_deref().unwrap_or("ALL")).or_insert(rule.finding);
        *finding = (*finding).min(rule.finding);
    }
    let rows = report.subjects().take(1 + ROUTES).enumerate().map(|(index, route)| {
        let finding = findings.get(&*route.route).copied().unwrap_or(Finding::CannotSay);
        RouteRow {
            all: index == 0,
            chart: index <= charted,
            name: if index == 0 { "All routes".to_owned() } else { visible(&route.route).into_owned() },
            cells: latency_cells(report, route),
            rank: finding as u8,
            finding: finding.name(),
            finding_words: finding_words(finding),
        }
    });
    (rows.collect(), total.saturating_sub(ROUTES))
}

fn latency_cells(report: &Report<'_>, route: &RouteSummary) -> Vec<(String, String)> {
    let v2 = route.side(Side::V2);
    let (old, new) = (route.side(report.judgement.reference).sent.whole(), v2.sent.whole());
    let number = |n: u64| (n.to_string(), count(n));
    let nanos = |value: Option<u64>| match value {
        Some(value) => (value.to_string(), duration(value as f64)),
        None => (String::new(), "–".to_owned()),
    };
    let at = |histogram: &Histogram, quantile| nanos(histogram.quantile(quantile));
    let factor = match (old.quantile(0.99), new.quantile(0.99)) {
        (Some(old), Some(new)) if old > 0 => {
            let factor = new as f64 / old as f64;
            (format!("{factor:.6}"), times(factor))
        }
        _ => (String::new(), "–".to_owned()),
    };
    let mut cells = vec![number(v2.requests), number(v2.errors())];
    for quantile in [0.5, 0.99] {
        cells.extend([at(&old, quantile), at(&new, quantile)]);
    }
    cells.extend([factor, at(&v2.due, 0.99)]);
    cells
}

/// The ways between.
fn trips(report: &Report<'_>) -> Vec<(String, String)> {
    let summary = report.summary;
    let words = |histogram: &Histogram| match (histogram.quantile(0.5), histogram.quantile(0.99)) {
        (Some(median), Some(p99)) => {
            let of = plural(histogram.count(), "connection", "connections");
            format!("median {}, p99 {}, {of}", duration(median as f64), duration(p99 as f64))
        }
        _ => "not seen".to_owned(),
    };
    let mut facts = vec![
        fact("Handshake, v1", format!("{} (round trip of v1's clients, at the tap)", words(&summary.handshakes))),
        fact("Connect, v2", format!("{} (from the replayer)", words(&summary.connects))),
    ];
    if summary.has_baseline {
        facts.push(fact("Connect, baseline", format!("{} (from the replayer)", words(&summary.baseline_connects))));
    }
    facts
}

fn statuses(report: &Report<'_>) -> Vec<(u16, Vec<String>)> {
    let all = &report.summary.all;
    let sides: Vec<Side> = report.sides().collect();
    let mut codes: Vec<u16> = sides.iter().flat_map(|&side| all.side(side).statuses.keys().copied()).collect();
    codes.sort_unstable();
    codes.dedup();
    let cell = |code: u16, side: Side| all.side(side).statuses.get(&code).map_or_else(|| "–".to_owned(), |&n| count(n));
    codes.into_iter().take(100).map(|code| (code, sides.iter().map(|&side| cell(code, side)).collect())).collect()
}

fn rule_rows(report: &Report<'_>) -> (Vec<RuleRow>, usize) {
    let rules = &report.judgement.rules;
    // All exchanges first, then what is not a pass; the order within is that of the rules.
    let mut order: Vec<&RuleResult> = rules.iter().collect();
    order.sort_by_key(|rule| (rule.route.is_some(), rule.finding));
    let rows = order.iter().take(RULES).map(|rule| {
        let value = |value: Option<f64>| match value {
            Some(value) => (format!("{value:.9}"), rule.unit.words(value)),
            None => (String::new(), "–".to_owned()),
        };
        RuleRow {
            why: seen(&rule.why, 500),
            rank: rule.finding as u8,
            finding: rule.finding.name(),
            finding_words: finding_words(rule.finding),
            rule: rule.rule.clone(),
            route: rule.route.as_deref().map_or_else(|| "all".to_owned(), |route| seen(route, 160)),
            cells: vec![
                value(rule.measured),
                value(rule.low.filter(|&low| low > 0.0 || rule.unit == Unit::Share || rule.unit == Unit::Count)),
                value(rule.high),
                (format!("{:.9}", rule.limit), rule.unit.limit_words(rule.limit)),
                (
                    rule.count.to_string(),
                    if rule.effective_count < rule.count {
                        format!("{} (worth {})", count(rule.count), count(rule.effective_count))
                    } else {
                        count(rule.count)
                    },
                ),
                (format!("{:.6}", rule.confidence), percent(rule.confidence)),
            ],
        }
    });
    (rows.collect(), rules.len().saturating_sub(RULES))
}

fn ledgers(report: &Report<'_>) -> Vec<LedgerTable> {
    let summary = report.summary;
    let table = |name: &'static str, ledger: &Ledger| LedgerTable {
        name,
        rows: std::iter::once(("in".to_owned(), count(ledger.input), "sum"))
            .chain(std::iter::once(("used".to_owned(), count(ledger.used), "part")))
            .chain(ledger.rejected.iter().map(|(reason, &n)| (seen(reason, 100), count(n), "part")))
            .chain(ledger.noted.iter().map(|(name, &n)| (format!("noted: {}", seen(name, 100)), count(n), "note")))
            .collect(),
    };
    let mut tables = vec![LedgerTable {
        name: "Exchanges in the recording",
        rows: std::iter::once(("in".to_owned(), count(summary.recorded()), "sum"))
            .chain(summary.exchanges.iter().map(|(name, &n)| ((*name).to_owned(), count(n), "part")))
            .collect(),
    }];
    let of = [
        ("Packets of the capture", &summary.capture_ledger),
        ("Requests of the replay", &summary.replay_ledger),
        ("Records of this report", &summary.records_ledger),
    ];
    tables.extend(of.into_iter().filter(|(_, ledger)| **ledger != Ledger::default()).map(|(name, ledger)| table(name, ledger)));
    tables
}

fn facts(report: &Report<'_>) -> Vec<(String, String)> {
    let facts = report.facts;
    let mut list = vec![fact("Run", seen(&facts.run, 80)), fact("Command", seen(&facts.command.join(" "), 1_000))];
    list.push(fact("Replayed with", seen(&facts.tool, 80)));
    list.push(fact("Started", format!("{} UTC", instant(facts.started))));
    list.push(fact("Ended", format!("{} UTC{}", instant(facts.ended), if facts.interrupted { ", interrupted" } else { "" })));
    for input in facts.inputs.iter().take(20) {
        let hash = if input.sha256.is_empty() { String::new() } else { format!(", SHA-256 {}", seen(&input.sha256, 64)) };
        list.push(fact("Capture", format!("{}, {} bytes{hash}", seen(&input.name, 300), count(input.bytes))));
    }
    if facts.inputs.len() > 20 {
        list.push(fact("Captures", format!("… and {} more", facts.inputs.len() - 20)));
    }
    if let Some(host) = facts.host.as_object() {
        let words = host
            .iter()
            .map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        list.push(fact("Machine", visible(&short(&words.collect::<Vec<_>>().join(", "), 300)).into_owned()));
    }
    list
}
