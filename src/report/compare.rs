//! Two runs beside each other, and the trend over many: which causes are new, which are gone, how
//! the figures moved. A run is known by its [`Snapshot`], one line of a history that CI keeps.

use std::collections::BTreeMap;
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
        }
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
    serde_json::json!({
        "old": old, "new": new, "appeared": causes(new.beside(old)),
        "gone": causes(old.beside(new)), "stayed": stayed,
    })
}

/// The same for people, in `width` columns.
pub fn text(old: &Snapshot, new: &Snapshot, width: usize, colour: Colour) -> String {
    let mut out = String::new();
    let stayed = new.causes.len() - new.beside(old).len();
    for (title, code, causes) in
        [("New", "1;31", new.beside(old)), ("Gone", "1;32", old.beside(new))]
    {
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
}
