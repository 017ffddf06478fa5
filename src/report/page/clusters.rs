//! Differences of answers in words: what each cluster is about, with an example of both sides.

use super::exchanges::exchanges;
use super::next::{NextStep, steps};
use super::shown::seen;
use crate::diff::{Class, Cluster};
use crate::gate::words::{count, percent, plural};
use crate::report::Report;
use crate::report::text::instant;
use crate::report::text::{short, split_common, visible};
use crate::report::{anchor, cluster_id, elsewhere, how_many, shape_words};

/// Clusters that are open at first.
const OPEN: usize = 1;

/// Bytes that the clusters' examples may take together, escaped; what is beyond stands in
/// clusters.jsonl.
const EXAMPLE_BYTES: usize = 900_000;

/// Characters of a value, with few clusters and with many.
const VALUE_CHARS: [usize; 2] = [2_000, 300];

const MANY: usize = 100;

/// Exchanges of a cluster that are listed at once.
const LISTED: usize = 10;

pub(super) struct ClusterWords {
    pub(super) id: String,
    pub(super) class: &'static str,
    pub(super) open: bool,
    pub(super) hidden: bool,
    pub(super) full: bool,
    pub(super) width: String,
    pub(super) many: String,
    pub(super) share: String,
    pub(super) route: String,
    pub(super) kind: &'static str,
    pub(super) place: String,
    pub(super) shape: String,
    pub(super) only_where: Option<String>,
    pub(super) why: String,
    /// The cluster that it follows from.
    pub(super) root: String,
    pub(super) expected: Option<[String; 3]>,
    pub(super) actual: Option<[String; 3]>,
    pub(super) example: String,
    pub(super) example_place: String,
    pub(super) target: String,
    pub(super) at: String,
    pub(super) differences: String,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) repeat: String,
    /// What to do next.
    pub(super) next: Vec<NextStep>,
    /// Its exchanges close up, as HTML: the first ones, and those behind them.
    pub(super) exchanges: Vec<String>,
    pub(super) rest: Vec<String>,
    pub(super) rest_words: String,
    /// Ids of those that another cluster shows.
    pub(super) elsewhere: Vec<String>,
    /// How many there are beside those that are shown; empty where there are none.
    pub(super) more: String,
}

pub(super) fn differences_lead(report: &Report<'_>) -> String {
    let totals = report.totals;
    let clusters = report.clusters.count(Class::Regression);
    let mut text = if totals.compared == 0 {
        "No answer was compared.".to_owned()
    } else if clusters == 0 {
        format!(
            "No difference that counts in {}.",
            plural(totals.compared, "compared answer", "compared answers")
        )
    } else {
        format!(
            "{} of {} differ: {}, the largest first.",
            count(totals.mismatched),
            plural(totals.compared, "compared answer", "compared answers"),
            how_many(report)
        )
    };
    for (number, how) in [
        (totals.unbound_differ, "in what follows from values that v2 did not issue"),
        (totals.consequences, "in what follows from requests that were not done at v2"),
        (totals.fixed, "in that v1 failed and v2 answers"),
    ] {
        if number > 0 {
            text += &format!(" {} only {how}.", plural(number, "more differs", "more differ"));
        }
    }
    if totals.noisy > 0 {
        text += &format!(
            " {} only in what varies by itself.",
            plural(totals.noisy, "more differs", "more differ")
        );
    }
    if totals.approved > 0 {
        text += &format!(
            " {} only as approved.",
            plural(totals.approved, "more differs", "more differ")
        );
    }
    let not: u64 = totals.not_compared.values().sum();
    if not > 0 {
        let by = totals
            .not_compared
            .iter()
            .map(|(reason, &n)| format!("{} {}", count(n), seen(&reason.replace('-', " "), 60)))
            .collect::<Vec<_>>();
        text += &format!(" Not compared: {}.", by.join(", "));
    }
    let shown = report.clusters.kept.len() as u64;
    let total: u64 = report.clusters.counts.iter().sum();
    if shown < total {
        text += &format!(
            " The {} largest of {} clusters are shown; all are in clusters.jsonl.",
            count(shown),
            count(total)
        );
    }
    text
}

/// Noise and approved differences are there, but not in the way; alone they may as well be seen.
pub(super) fn shown_at_first(report: &Report<'_>, class: Class) -> bool {
    class == Class::Regression || report.clusters.count(Class::Regression) == 0
}

pub(super) fn clusters(report: &Report<'_>) -> Vec<ClusterWords> {
    let many = report.clusters.kept.len() > MANY;
    let most = VALUE_CHARS[usize::from(many)];
    let mut left = EXAMPLE_BYTES;
    report
        .clusters
        .kept
        .iter()
        .enumerate()
        .map(|(index, cluster)| {
            let mut words = cluster_words(cluster, most, report.folder);
            words.open = index < OPEN && cluster.class == Class::Regression;
            words.hidden = !shown_at_first(report, cluster.class);
            let cost = words.cost();
            words.full = cost <= left;
            left = left.saturating_sub(cost);
            words
        })
        .collect()
}

pub(super) fn cluster_words(cluster: &Cluster, most: usize, folder: &str) -> ClusterWords {
    let example = &cluster.example;
    let value =
        |value: &Option<String>| value.as_deref().map(|value| short(value, most).into_owned());
    // What a renamed member holds is the same: its names differ.
    let names = cluster.shape.strip_prefix("renamed ").and_then(|names| names.split_once('→'));
    let named = |value: Option<String>, name: &str| value.map(|value| format!("{name}: {value}"));
    let (expected, actual) = match (value(&example.expected), value(&example.actual), names) {
        (expected, actual, Some((old, new))) => (named(expected, old), named(actual, new)),
        (expected, actual, None) => (expected, actual),
    };
    let ([a, b, c], [x, y, z]) =
        highlight(expected.as_deref().unwrap_or_default(), actual.as_deref().unwrap_or_default());
    // Where one side has nothing there is nothing to point at within the other.
    let both = expected.is_some() && actual.is_some();
    let parts = |there: bool, parts: [&str; 3]| {
        there.then(|| {
            if both {
                parts.map(lines)
            } else {
                [lines(&parts.concat()), String::new(), String::new()]
            }
        })
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
        place: if cluster.place == cluster.kind.name() {
            String::new()
        } else {
            seen(&cluster.place, 160)
        },
        shape: seen(&shape_words(&cluster.shape), 120),
        only_where: cluster.only_where.as_deref().map(|only| seen(only, 160)),
        root: cluster.root.as_deref().map(anchor).unwrap_or_default(),
        why: [elsewhere(cluster), seen(&cluster.why, 300)]
            .iter()
            .filter(|text| !text.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("; "),
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
        next: steps(cluster, folder),
        exchanges: Vec::new(),
        rest: Vec::new(),
        rest_words: String::new(),
        elsewhere: Vec::new(),
        more: plural(cluster.exchanges, "exchange", "exchanges"),
    }
}

/// Where two values differ. Short ones, and those with little in common, are marked as a whole:
/// half a number says nothing.
pub(super) fn highlight<'a>(expected: &'a str, actual: &'a str) -> ([&'a str; 3], [&'a str; 3]) {
    const SHORT: usize = 24;
    if expected == actual {
        return ([expected, "", ""], [actual, "", ""]);
    }
    let (left, right) = split_common(expected, actual);
    let common = left[0].len() + left[2].len();
    let longest = expected.len().max(actual.len());
    if longest <= SHORT || common * 3 < longest {
        (["", expected, ""], ["", actual, ""])
    } else {
        (left, right)
    }
}

/// Visible, line by line: values and commands keep their lines.
pub(super) fn lines(text: &str) -> String {
    text.split('\n').map(|line| visible(line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// Puts exchanges into the clusters, as long as `room` bytes hold them.
pub(super) fn put_exchanges(words: &mut [ClusterWords], report: &Report<'_>, room: usize) {
    let mut found = exchanges(report.closeups, &report.clusters.kept, room);
    for (words, cluster) in words.iter_mut().zip(&report.clusters.kept) {
        let Some(here) = words.full.then(|| found.remove(&words.id)).flatten() else { continue };
        let shown = (here.shown.len() + here.elsewhere.len()) as u64;
        words.more = match cluster.exchanges.saturating_sub(shown) {
            0 => String::new(),
            more => plural(more, "more exchange", "more exchanges"),
        };
        (words.exchanges, words.elsewhere) = (here.shown, here.elsewhere);
        words.rest = words.exchanges.split_off(words.exchanges.len().min(LISTED));
        words.rest_words = plural(words.rest.len() as u64, "more exchange", "more exchanges");
        if let (true, Some(first)) = (words.open, words.exchanges.first_mut()) {
            *first = first.replacen("<details ", "<details open ", 1);
        }
    }
}

impl ClusterWords {
    /// Bytes of the example once it is escaped.
    pub(super) fn cost(&self) -> usize {
        let escaped =
            |text: &str| text.len() + 5 * text.matches(['<', '>', '&', '"', '\'']).count();
        let values = self
            .expected
            .iter()
            .chain(&self.actual)
            .flatten()
            .map(|text| escaped(text))
            .sum::<usize>();
        let next: usize = self.next.iter().map(|step| escaped(&step.text) + 190).sum();
        values + next + escaped(&self.repeat) + escaped(&self.target) + escaped(&self.why) + 900
    }
}
