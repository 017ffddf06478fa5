//! The end of a run on a terminal: the verdict, the largest clusters, a small table; in as many
//! columns as there are, from 60 to 120.

use std::fmt::Write as _;

use super::text::visible;
use super::{Report, anchor, apart, elsewhere, how_many, names, once_each, still_held, what};
use crate::gate::Verdict;
use crate::gate::words::{count, duration, plural, times};
use crate::measure::{Histogram, RouteSummary, Side};
use crate::record::curl::quoted;

/// Columns where nobody says how many there are.
pub const WIDTH: usize = 80;
/// Columns that are used: no fewer, no more.
pub const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;
/// Columns before what is said of a cluster.
const MARGIN: usize = 18;
/// Lines that are said of it at most.
const TOLD: usize = 3;

const CLUSTERS: usize = 5;
const ROUTES: usize = 8;
const REASONS: usize = 7;
const UNMATCHED: usize = 5;

/// Whether escape sequences for colour are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal.
    On,
    /// Elsewhere, and where `NO_COLOR` is set.
    Off,
}

impl Colour {
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// How the end of a run is shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Colours.
    pub colour: Colour,
}

/// The lines, with their ends. `folder` is where the report's files are, as it is to be shown.
pub fn write(report: &Report<'_>, folder: &str, look: Look) -> String {
    let mut out = String::new();
    verdict(report, &mut out, look);
    seen(report, &mut out, look);
    clusters(report, folder, &mut out, look);
    calls(report, folder, &mut out, look);
    latency(report, &mut out, look);
    pace(report, &mut out, look);
    unmatched(report, &mut out, look);
    let page = format!("{}/{}", folder.trim_end_matches('/'), names::REPORT_HTML);
    let _ = writeln!(out, "\nreport: {}", visible(&page));
    out
}

/// The verdict and its reasons alone.
pub fn verdict_lines(report: &Report<'_>, look: Look) -> String {
    let mut out = String::new();
    verdict(report, &mut out, look);
    out
}

fn verdict(report: &Report<'_>, out: &mut String, look: Look) {
    let judgement = report.judgement;
    let (word, code) = match judgement.verdict {
        Verdict::Pass => ("PASS", "1;32"),
        Verdict::Fail => ("FAIL", "1;31"),
        Verdict::CannotSay | Verdict::Invalid => ("NO VERDICT", "1;33"),
    };
    let said = judgement.verdict.headline().trim_start_matches("No verdict: ");
    let _ = writeln!(out, "{}  {said}", look.colour.paint(code, word));
    let reasons: Vec<&String> =
        judgement.reasons.iter().filter(|reason| !is_said_by_another(report, reason)).collect();
    for reason in reasons.iter().take(REASONS) {
        for (index, line) in wrap(&visible(reason), look.width - 4).iter().enumerate() {
            let _ = writeln!(out, "  {} {line}", if index == 0 { "-" } else { " " });
        }
    }
    if let Some(more @ 1..) = reasons.len().checked_sub(REASONS) {
        let _ = writeln!(out, "  - … and {more} more: the report has them all.");
    }
    for line in apart(report) {
        for (index, line) in wrap(&line, look.width - 4).iter().enumerate() {
            let _ = writeln!(out, "  {} {line}", if index == 0 { "-" } else { " " });
        }
    }
}

/// Where all calls that differ change something, one sentence says both.
fn is_said_by_another(report: &Report<'_>, reason: &str) -> bool {
    let same = |egress: &super::Egress| egress.different == egress.unsafe_different;
    let rules = &report.judgement.rules;
    let of_all = rules.iter().find(|rule| rule.rule == crate::gate::ALL_CALLS);
    report.egress.is_some_and(same) && of_all.is_some_and(|rule| rule.why == reason)
}

/// What was seen, and what was not sent or not compared, in two lines.
fn seen(report: &Report<'_>, out: &mut String, look: Look) {
    let (summary, totals) = (report.summary, report.totals);
    let mut said = format!(
        "Seen: {} of {} replayed, {} compared, {} differ",
        count(summary.replayed),
        plural(summary.recorded(), "recorded exchange", "recorded exchanges"),
        count(totals.compared),
        count(totals.mismatched)
    );
    if totals.approved > 0 {
        said += &format!(", {} as approved", count(totals.approved));
    }
    if totals.noisy > 0 {
        let more = plural(totals.noisy, "more differs", "more differ");
        said += &format!(" ({more} only in what varies by itself)");
    }
    let not_compared = not_compared(totals);
    if !not_compared.is_empty() {
        said += &format!("; not compared: {}", not_compared.join(", "));
    }
    let skipped: u64 = summary.skipped.values().sum();
    if skipped > 0 {
        let reasons: Vec<String> = summary
            .skipped
            .iter()
            .take(3)
            .map(|(reason, &n)| format!("{} {}", count(n), reason))
            .collect();
        said += &format!("; {} skipped ({})", count(skipped), reasons.join(", "));
    }
    let others = summary.recorded().saturating_sub(summary.replayed + skipped + summary.damaged());
    if others > 0 {
        let (label, text) = super::left_out(report, others);
        said += &format!("; {}: {text}", label.to_lowercase());
    }
    if summary.damaged() > 0 {
        said += &format!("; {} damaged in the capture", count(summary.damaged()));
    }
    let _ = writeln!(out);
    for line in wrap(&visible(&(said + ".")), look.width) {
        let _ = writeln!(out, "{line}");
    }
}

/// Why answers to requests that were sent were not compared, each with how many.
fn not_compared(totals: &crate::diff::Totals) -> Vec<String> {
    let elsewhere = ["not-replayed", "skipped"];
    let told = totals.not_compared.iter().filter(|(reason, _)| !elsewhere.contains(&&***reason));
    let told = told.map(|(reason, &n)| format!("{} {}", count(n), reason.replace('-', " ")));
    let unbound =
        (totals.unbound > 0).then(|| format!("{} sent with v1's values", count(totals.unbound)));
    told.chain(unbound).collect()
}

/// Rules and approvals that matched nothing: a typing error, or no longer needed.
fn unmatched(report: &Report<'_>, out: &mut String, look: Look) {
    let unmatched = report.unmatched();
    if unmatched.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", look.colour.paint("1", "Rules that matched nothing"));
    for rule in unmatched.iter().take(UNMATCHED) {
        let _ = writeln!(out, "  {}", fit(rule, look.width - 2).trim_end());
    }
    if unmatched.len() > UNMATCHED {
        let more = (unmatched.len() - UNMATCHED) as u64;
        let _ = writeln!(out, "  … and {}", plural(more, "more", "more"));
    }
}

fn clusters(report: &Report<'_>, folder: &str, out: &mut String, look: Look) {
    let total = report.clusters.count(crate::diff::Class::Regression);
    if total == 0 {
        return;
    }
    let head = format!("Differences: {}", how_many(report));
    let _ = writeln!(out, "\n{}", look.colour.paint("1", &head));
    let shown: Vec<_> = once_each(report.clusters.regressions()).take(CLUSTERS).collect();
    for cluster in &shown {
        let many = format!("{} of {}", count(cluster.exchanges), count(cluster.compared));
        let head = format!("{many}  {}", cluster.route);
        let id = fit(&super::cluster_id(cluster), 15);
        let _ = writeln!(out, "  {id} {}", fit(&head, look.width - MARGIN).trim_end());
        let about = match &cluster.only_where {
            Some(only) => format!("{} (only where {only})", what(cluster)),
            None => what(cluster),
        };
        tell(&about, out, look);
        if cluster.followed_by > 0 {
            let follow = plural(cluster.followed_by, "request follows", "requests follow");
            tell(&format!("{follow} from it"), out, look);
        }
        if cluster.also_on > 0 {
            tell(&elsewhere(cluster), out, look);
        }
    }
    if total > shown.len() as u64 {
        let _ = writeln!(
            out,
            "  … and {}",
            plural(total - shown.len() as u64, "more cluster", "more clusters")
        );
    }
    let Some(first) = shown.first() else { return };
    next(folder, &super::cluster_id(first), out);
    tell(still_held(first), out, look);
}

/// What is said of a cluster, below its name.
fn tell(text: &str, out: &mut String, look: Look) {
    if text.is_empty() {
        return;
    }
    let room = look.width - MARGIN;
    let mut lines = wrap(&visible(text), room);
    if lines.len() > TOLD {
        lines.truncate(TOLD);
        lines[TOLD - 1] = fit(&format!("{} …", lines[TOLD - 1]), room).trim_end().to_owned();
    }
    for line in lines {
        let _ = writeln!(out, "{:MARGIN$}{line}", "");
    }
}

/// v2's calls to its providers that are not v1's, those that change something there first.
fn calls(report: &Report<'_>, folder: &str, out: &mut String, look: Look) {
    let Some(egress) = report.egress else { return };
    let held: Vec<_> =
        egress.clusters.iter().filter(|cluster| cluster.approved.is_none()).collect();
    if held.is_empty() && egress.faulted == 0 {
        return;
    }
    let _ = writeln!(out, "\n{}", look.colour.paint("1", "Calls to providers"));
    if egress.faulted > 0 {
        let _ = writeln!(
            out,
            "  {} answered with a fault on purpose",
            fit_right(&plural(egress.faulted, "call", "calls"), 15)
        );
    }
    for cluster in held.iter().take(CLUSTERS) {
        let many = plural(cluster.calls, "call", "calls");
        let route = format!("{many}  {} at {}", cluster.route, cluster.provider);
        let _ = writeln!(
            out,
            "  {} {}",
            fit(&anchor(&cluster.id), 15),
            fit(&route, look.width - MARGIN).trim_end()
        );
        let cause = cluster
            .causes
            .first()
            .map(|id| format!(", first by exchange {id}"))
            .unwrap_or_default();
        let shape =
            if cluster.shape.is_empty() { String::new() } else { format!(" ({})", cluster.shape) };
        let about = format!("{}{cause}{shape}", cluster.what);
        tell(&about, out, look);
    }
    let more = held.len().saturating_sub(CLUSTERS) as u64 + egress.more_clusters;
    if more > 0 {
        let _ = writeln!(out, "  … and {}", plural(more, "more cluster", "more clusters"));
    }
    if let Some(first) = held.first() {
        next(folder, &anchor(&first.id), out);
    }
}

/// The commands for a cluster.
fn next(folder: &str, id: &str, out: &mut String) {
    let folder = quoted(folder);
    for (what, command) in [
        ("look:", format!("shadowtap show {folder} {id}")),
        ("intended:", format!("shadowtap approve {folder} {id} --reason WHY")),
    ] {
        let _ = writeln!(out, "  {what:<15} {}", visible(&command));
    }
}

fn latency(report: &Report<'_>, out: &mut String, look: Look) {
    let reference = report.judgement.reference;
    let name = if reference == Side::Baseline { "base" } else { "v1" };
    let [p50, p99] = ["p50", "p99"].map(|quantile| format!("{quantile} {name}"));
    let cells = ["requests", &p50, "p50 v2", &p99, "p99 v2", "×"].map(str::to_owned);
    let head = row("Latency", &cells, 3, look);
    let _ = writeln!(out, "\n{}", look.colour.paint("1", head.trim_end()));
    for route in report.subjects().take(1 + ROUTES) {
        let (old, new) = (route.side(reference).sent.whole(), route.side(Side::V2).sent.whole());
        let at = |histogram: &Histogram, quantile| {
            histogram
                .quantile(quantile)
                .map_or_else(|| "·".to_owned(), |nanos| duration(nanos as f64).replace(' ', ""))
        };
        let factor = match (old.quantile(0.99), new.quantile(0.99)) {
            (Some(old), Some(new)) if old > 0 => times(new as f64 / old as f64),
            _ => "·".to_owned(),
        };
        let cells = [
            short_count(route.side(Side::V2).requests),
            at(&old, 0.5),
            at(&new, 0.5),
            at(&old, 0.99),
            at(&new, 0.99),
            factor,
        ];
        let _ = writeln!(out, "{}", row(&route.route, &cells, 3, look));
    }
    if report.summary.routes.len() > ROUTES {
        let more = (report.summary.routes.len() - ROUTES) as u64;
        let _ = writeln!(out, "… and {}", plural(more, "more route", "more routes"));
    }
}

/// How the messages of streams came, where there were some.
fn pace(report: &Report<'_>, out: &mut String, look: Look) {
    let reference = report.judgement.reference;
    let name = if reference == Side::Baseline { "base" } else { "v1" };
    let has_streams = |route: &&RouteSummary| route.side(Side::V2).first_message.count() > 0;
    let mut routes = report.summary.routes.iter().filter(has_streams).take(ROUTES).peekable();
    if routes.peek().is_none() {
        return;
    }
    let [first, gap] = ["first", "gap"].map(|what| format!("{what} {name}"));
    let cells = ["streams", &first, "first v2", &gap, "gap v2"].map(str::to_owned);
    let head = row("Messages, p50", &cells, 1, look);
    let _ = writeln!(out, "\n{}", look.colour.paint("1", head.trim_end()));
    for route in routes {
        let (old, new) = (route.side(reference), route.side(Side::V2));
        let half = |histogram: &Histogram| {
            let half = histogram.quantile(0.5);
            half.map_or_else(|| "·".to_owned(), |nanos| duration(nanos as f64).replace(' ', ""))
        };
        let cells = [
            short_count(new.first_message.count()),
            half(&old.first_message),
            half(&new.first_message),
            half(&old.between_messages),
            half(&new.between_messages),
        ];
        let _ = writeln!(out, "{}", row(&route.route, &cells, 1, look));
    }
}

/// A row of a table: a route and figures of at most eight characters, the first `few` of which are
/// left out where there is no room for all.
fn row(name: &str, cells: &[String], few: usize, look: Look) -> String {
    const CELL: usize = 9;
    const NAME: usize = 28;
    const LONGEST: usize = 60;
    let cells = if look.width < NAME + 6 * CELL - 2 { &cells[few..] } else { cells };
    let room = (look.width - CELL * cells.len()).min(LONGEST);
    let figures: String = cells.iter().map(|cell| format!(" {cell:>8}")).collect();
    fit(name, room) + &figures
}

/// A count in at most eight characters.
fn short_count(n: u64) -> String {
    match n {
        0..10_000_000 => n.to_string(),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// Exactly `width` characters, cut with `…` or filled up. Characters of double width count once: a
/// column may be off there.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

fn fit_right(text: &str, width: usize) -> String {
    if text.chars().count() <= width { format!("{text:>width$}") } else { fit(text, width) }
}

/// The words of a text, with what is read as one: a number and its `%`, a `×` and its number.
fn unbroken(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let parts = |(at, _): &(usize, &str)| {
            let (before, after) = (&text[..*at], &text[at + 1..]);
            !after.starts_with('%') && before != "×" && !before.ends_with(" ×")
        };
        let end = text.match_indices(' ').find(parts).map(|(at, _)| at);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// Lines of at most `width` characters, broken at spaces; a longer word is broken anywhere.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in unbroken(text) {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let space = usize::from(used > 0);
            if used + space + word.len() <= width {
                if space == 1 {
                    line.push(' ');
                }
                line.extend(word.drain(..));
            } else if used == 0 {
                line.extend(word.drain(..width));
                lines.push(String::new());
            } else {
                lines.push(String::new());
            }
        }
    }
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_fit_and_no_letter_is_lost(text in "[a-z語%× ]{0,200}") {
            let lines = wrap(&text, 20);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= 20), "{:?}", lines);
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }

    #[test]
    fn no_line_begins_with_a_percent_sign_or_ends_with_a_times_sign() {
        assert_eq!(wrap("at least 97.6 %); 0.1 % is", 13), ["at least", "97.6 %);", "0.1 % is"]);
        assert_eq!(wrap("up to × 1043 would", 9), ["up to", "× 1043", "would"]);
        assert_eq!(wrap("a %", 20), ["a %"]);
    }

    #[test]
    fn rows_fit_and_a_narrow_one_has_the_last_figures() {
        let cells: Vec<String> = (1..=6).map(|n| format!("{n}ms")).collect();
        for width in [60, 79, 80, 120] {
            let look = Look { width, colour: Colour::Off };
            let row = row("GET /products/{id}/reviews", &cells, 3, look);
            assert!(row.chars().count() <= width && row.ends_with(" 6ms"), "{row}");
            assert_eq!(row.contains(" 1ms"), width >= 80, "{row}");
        }
        let look = Look { width: 60, colour: Colour::Off };
        let mut out = String::new();
        tell(&"word ".repeat(60), &mut out, look);
        assert_eq!(out.lines().count(), TOLD);
        assert!(
            out.lines().all(|line| line.chars().count() <= 60) && out.ends_with("…\n"),
            "{out}"
        );
    }

    #[test]
    fn what_was_sent_and_not_compared_has_its_reasons() {
        let reasons = [("not-replayed", 7), ("response-damaged", 3), ("skipped", 2)];
        let totals = crate::diff::Totals {
            not_compared: reasons.map(|(reason, n)| (reason.to_owned(), n)).into(),
            unbound: 1,
            ..crate::diff::Totals::default()
        };
        assert_eq!(not_compared(&totals), ["3 response damaged", "1 sent with v1's values"]);
        assert!(not_compared(&crate::diff::Totals::default()).is_empty());
    }

    #[test]
    fn cells_are_as_wide_as_asked() {
        assert_eq!(fit("GET /a", 8), "GET /a  ");
        assert_eq!(fit("GET /a/long/one", 8), "GET /a/…");
        assert_eq!(fit("a\u{1b}[2J", 12).chars().count(), 12);
    }
}
