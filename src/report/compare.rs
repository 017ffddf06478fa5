//! Two runs beside each other, and the trend over many: which causes are new, which are gone, how
//! the figures moved. A run is known by its [`Snapshot`], one line of a history that CI keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::terminal::{Colour, fit};
use super::text::instant;
use super::{Report, what};
use crate::gate::words::{count, duration, percent, plural};
use crate::measure::Side;
use crate::time::Timestamp;

/// The format's name, in every line of a history.
pub const FORMAT: &str = "shadowtap/history";
/// Its version.
pub const VERSION: u32 = 1;
/// Runs of a history that are shown.
const SHOWN: usize = 12;
/// Causes of each kind that are shown.
const CAUSES: usize = 20;
/// Routes of a run that are named in its line.
const ROUTES: usize = 500;

/// A run in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Names the run.
    pub run: String,
    /// When it started.
    pub started: Timestamp,
    /// `pass`, `fail`, `cannot-say` or `invalid`.
    pub verdict: String,
    /// Compared exchanges.
    pub compared: u64,
    /// Those of them that differ in a way that counts.
    pub mismatched: u64,
    /// Requests at v2.
    pub requests: u64,
    /// Those of them that failed or got a 5xx.
    pub errors: u64,
    /// Median latency of v2 from sent.
    pub p50_ns: Option<u64>,
    /// 99th percentile of the same.
    pub p99_ns: Option<u64>,
    /// The causes that count against v2: what each is about, by its cluster's id.
    pub causes: BTreeMap<String, String>,
    /// The routes that were asked at v2; empty where there are too many to be named, or where an
    /// older version wrote this.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub routes: BTreeSet<String>,
}

impl Snapshot {
    /// Of a run.
    pub fn of(report: &Report<'_>) -> Self {
        let v2 = report.summary.all.side(Side::V2);
        let latency = v2.sent.whole();
        let about =
            |cluster: &crate::diff::Cluster| format!("{}: {}", cluster.route, what(cluster));
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            run: report.facts.run.clone(),
            started: report.facts.started,
            verdict: report.judgement.verdict.name().to_owned(),
            compared: report.totals.compared,
            mismatched: report.totals.mismatched,
            requests: v2.requests,
            errors: v2.errors(),
            p50_ns: latency.quantile(0.5),
            p99_ns: latency.quantile(0.99),
            causes: report.clusters.regressions().map(|c| (c.id.clone(), about(c))).collect(),
            routes: match report.summary.routes.len() {
                0..=ROUTES => {
                    let asked = report.summary.routes.iter();
                    let asked = asked.filter(|route| route.side(Side::V2).requests > 0);
                    asked.map(|route| route.route.to_string()).collect()
                }
                _ => BTreeSet::new(),
            },
        }
    }

    /// The causes of `old` that this run has not: those that are gone, and those of routes that it
    /// did not ask, of which it says nothing.
    fn without<'o>(&'o self, old: &'o Self) -> [Vec<(&'o str, &'o str)>; 2] {
        let was_asked = |about: &str| {
            let is_of = |route: &String| {
                about.strip_prefix(&**route).is_some_and(|rest| rest.starts_with(": "))
            };
            self.routes.is_empty() || self.routes.iter().any(is_of)
        };
        let (gone, unseen) = old.beside(self).into_iter().partition(|(_, about)| was_asked(about));
        [gone, unseen]
    }

    /// Those of its causes that `other` has not.
    fn beside<'s>(&'s self, other: &'s Self) -> Vec<(&'s str, &'s str)> {
        let own = self.causes.iter().filter(|(id, _)| !other.causes.contains_key(*id));
        own.map(|(id, about)| (id.as_str(), about.as_str())).collect()
    }
}

/// What is new, what is gone and what stayed, for machines.
pub fn json(old: &Snapshot, new: &Snapshot) -> serde_json::Value {
    let causes = |of: Vec<(&str, &str)>| -> Vec<serde_json::Value> {
        of.iter().map(|(id, about)| serde_json::json!({"cluster": id, "what": about})).collect()
    };
    let stayed = new.causes.keys().filter(|id| old.causes.contains_key(*id)).count();
    let [gone, unseen] = new.without(old);
    serde_json::json!({
        "old": old, "new": new, "appeared": causes(new.beside(old)),
        "gone": causes(gone), "not_seen": causes(unseen), "stayed": stayed,
    })
}

/// The same for people, in `width` columns.
pub fn text(old: &Snapshot, new: &Snapshot, width: usize, colour: Colour) -> String {
    let mut out = String::new();
    let stayed = new.causes.len() - new.beside(old).len();
    let [gone, unseen] = new.without(old);
    for (title, code, causes) in [
        ("New", "1;31", new.beside(old)),
        ("Gone", "1;32", gone),
        ("Not seen, as their routes were not asked", "1;33", unseen),
    ] {
        if title.starts_with("Not") && causes.is_empty() {
            continue;
        }
        let many = plural(causes.len() as u64, "cause", "causes");
        let _ = writeln!(out, "{}", colour.paint(code, &format!("{title}: {many}")));
        for (id, about) in causes.iter().take(CAUSES) {
            let _ = writeln!(out, "{}", fit(&format!("  {id}  {about}"), width).trim_end());
        }
        if causes.len() > CAUSES {
            let _ = writeln!(out, "  … and {} more", causes.len() - CAUSES);
        }
    }
    let _ = writeln!(out, "Stayed: {}\n", plural(stayed as u64, "cause", "causes"));
    out + &table(&[old.clone(), new.clone()], width, colour)
}

/// The figures of several runs, a line each, the newest last.
pub fn table(runs: &[Snapshot], width: usize, colour: Colour) -> String {
    let head = format!(
        "{:<19} {:<10} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "Run", "verdict", "compared", "differ", "errors", "p50 v2", "p99 v2"
    );
    let mut out = colour.paint("1", fit(&head, width).trim_end()) + "\n";
    for run in &runs[runs.len().saturating_sub(SHOWN)..] {
        let share = |part: u64, whole: u64| match whole {
            0 => "·".to_owned(),
            whole => percent(part as f64 / whole as f64).replace(' ', ""),
        };
        let time = |nanos: Option<u64>| {
            nanos.map_or_else(|| "·".to_owned(), |n| duration(n as f64).replace(' ', ""))
        };
        let started = instant(run.started);
        let line = format!(
            "{:<19} {:<10} {:>9} {:>8} {:>8} {:>9} {:>9}",
            started.get(..19).unwrap_or(&started),
            run.verdict,
            count(run.compared),
            share(run.mismatched, run.compared),
            share(run.errors, run.requests),
            time(run.p50_ns),
            time(run.p99_ns)
        );
        let _ = writeln!(out, "{}", fit(&line, width).trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, causes: &[&str]) -> Snapshot {
        let causes = causes.iter().map(|id| ((*id).to_owned(), format!("GET /{id}: gone")));
        Snapshot {
            run: name.to_owned(),
            verdict: "fail".to_owned(),
            compared: 100,
            mismatched: 4,
            causes: causes.collect(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn causes_are_new_gone_or_stayed() {
        let (old, new) = (run("a", &["1", "2"]), run("b", &["2", "3", "4"]));
        let value = json(&old, &new);
        assert_eq!(value["stayed"], 1);
        assert_eq!(value["appeared"][0]["cluster"], "3");
        assert_eq!(value["gone"][0]["cluster"], "1");
        let said = text(&old, &new, 80, Colour::Off);
        for part in ["New: 2 causes", "Gone: 1 cause", "Stayed: 1 cause", "4%"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    }

    #[test]
    fn what_was_not_asked_is_not_seen_and_not_gone() {
        let (old, mut new) = (run("a", &["1", "2", "3"]), run("b", &["3"]));
        new.routes = ["GET /1", "GET /3"].map(str::to_owned).into();
        let value = json(&old, &new);
        assert_eq!(value["gone"].as_array().map(Vec::len), Some(1), "{value}");
        assert_eq!(value["gone"][0]["cluster"], "1");
        assert_eq!(value["not_seen"][0]["cluster"], "2");
        let said = text(&old, &new, 80, Colour::Off);
        assert!(said.contains("Gone: 1 cause") && said.contains("Not seen"), "{said}");
        // A line of an older version names no routes.
        new.routes.clear();
        assert_eq!(json(&old, &new)["gone"].as_array().map(Vec::len), Some(2));
    }
}
