//! `summary.md`: fits a pull-request comment (under 60,000 characters) and starts with the verdict.

use std::fmt::Write as _;

use super::text::{markdown, markdown_code, short, visible};
use super::{
    From, Report, anchor, apart, both_values, elsewhere, how_many, once_each, still_held, what,
};
use crate::diff::Cluster;
use crate::gate::words::{count, duration, percent, plural, times};
use crate::gate::{Finding, Verdict};
use crate::measure::Side;
use crate::record::curl::quoted;

/// Most characters of the file; GitHub takes 65,536 in a comment.
pub const MOST_CHARACTERS: usize = 60_000;

const CLUSTERS: usize = 10;
const ROUTES: usize = 12;
const VALUE_CHARS: usize = 120;
const COMMAND_CHARS: usize = 600;

/// `summary.md`.
pub fn write(report: &Report<'_>) -> Vec<u8> {
    let mut out = String::new();
    head(report, &mut out);
    // Sections stand in the order of their weight; one that does not fit any more is left out and
    // said so.
    let mut left_out = Vec::new();
    let sections: [(&str, fn(&Report<'_>, &mut String)); 5] = [
        ("calls to providers", calls),
        ("differences", clusters),
        ("latency", latency),
        ("rules", rules),
        ("trust", trust),
    ];
    for (name, section) in sections {
        let mut text = String::new();
        section(report, &mut text);
        if out.chars().count() + text.chars().count() < MOST_CHARACTERS - 500 {
            out.push_str(&text);
        } else {
            left_out.push(name);
        }
    }
    if !left_out.is_empty() {
        let _ = writeln!(
            out,
            "\nLeft out, for want of room: {}. See report.html.",
            left_out.join(", ")
        );
    }
    out.into_bytes()
}

fn head(report: &Report<'_>, out: &mut String) {
    let judgement = report.judgement;
    let mark = match judgement.verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::CannotSay | Verdict::Invalid => "⚠️",
    };
    let _ = writeln!(out, "## {mark} {}\n", judgement.verdict.headline());
    for reason in &judgement.reasons {
        let _ = writeln!(out, "- {}", markdown(&short(reason, 500)));
    }
    let summary = report.summary;
    let _ = writeln!(
        out,
        "\n{} of {} replayed at {} in {}; {} compared, {} mismatched.",
        count(summary.replayed),
        plural(summary.recorded(), "exchange", "exchanges"),
        markdown_code(&short(&report.facts.target, 200)),
        duration(summary.took_ns as f64),
        count(report.totals.compared),
        count(report.totals.mismatched)
    );
    for line in apart(report) {
        let _ = writeln!(out, "\n{line}");
    }
}

/// v2's outgoing calls that are not v1's, those that change something at a provider first.
fn calls(report: &Report<'_>, out: &mut String) {
    let held: Vec<_> = report
        .egress
        .into_iter()
        .flat_map(|egress| &egress.clusters)
        .filter(|cluster| cluster.approved.is_none())
        .collect();
    if held.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### Calls to providers\n");
    for cluster in held.iter().take(CLUSTERS) {
        let _ = writeln!(
            out,
            "- {} at {}: {} {}{}{}, cluster {}",
            markdown_code(&short(&cluster.route, VALUE_CHARS)),
            markdown_code(&short(&cluster.provider, VALUE_CHARS)),
            plural(cluster.calls, "call", "calls"),
            cluster.what,
            if cluster.shape.is_empty() {
                String::new()
            } else {
                format!(" ({})", markdown(&short(&cluster.shape, VALUE_CHARS)))
            },
            cluster
                .causes
                .first()
                .map(|cause| format!(", first caused by exchange {}", markdown_code(cause)))
                .unwrap_or_default(),
            markdown_code(&anchor(&cluster.id))
        );
    }
    let more = held.len().saturating_sub(CLUSTERS) as u64
        + report.egress.map_or(0, |egress| egress.more_clusters);
    if more > 0 {
        let _ = writeln!(out, "\n… and {} more.", plural(more, "cluster", "clusters"));
    }
}

fn clusters(report: &Report<'_>, out: &mut String) {
    let found: Vec<_> = once_each(report.clusters.regressions()).take(CLUSTERS).collect();
    if found.is_empty() {
        return;
    }
    let total = report.clusters.count(crate::diff::Class::Regression);
    let _ = writeln!(
        out,
        "\n### Differences: {}\n\n| route | what | exchanges | v1 | v2 |\n|---|---|---:|---|---|",
        how_many(report)
    );
    let value = |value: Option<&str>| {
        value.map_or_else(|| "·".to_owned(), |value| markdown_code(&short(value, VALUE_CHARS)))
    };
    for cluster in &found {
        let [old, new] = both_values(cluster);
        let _ = writeln!(
            out,
            "| {} | {}{} | {} of {} | {} | {} |",
            markdown_code(&short(&cluster.route, VALUE_CHARS)),
            markdown_code(&short(&what(cluster), 2 * VALUE_CHARS)),
            beside(cluster),
            count(cluster.exchanges),
            count(cluster.compared),
            value(old.as_deref()),
            value(new.as_deref())
        );
    }
    if total > found.len() as u64 {
        let _ = writeln!(
            out,
            "\n… and {} more.",
            plural(total - found.len() as u64, "cluster", "clusters")
        );
    }
    let _ = writeln!(out, "\n<details><summary>Commands that repeat them</summary>\n");
    for cluster in &found {
        let _ = writeln!(
            out,
            "{} {}\n",
            markdown_code(&short(&cluster.route, VALUE_CHARS)),
            markdown_code(&short(&cluster.place, VALUE_CHARS)),
        );
        let folder = quoted(report.folder);
        let id = super::cluster_id(cluster);
        // A command that is cut would do something else.
        let repeat = match cluster.repeat.chars().count() {
            0..=COMMAND_CHARS => cluster.repeat.as_str(),
            _ => "# the command that repeats it is too long for here: see shadowtap show",
        };
        let but = match still_held(cluster) {
            "" => String::new(),
            but => format!("\n# {but}"),
        };
        let commands = format!(
            "{repeat}\nshadowtap show {folder} {id}\n\
             shadowtap approve {folder} {id} --reason 'say here why it is intended'{but}"
        );
        fenced(&commands, out);
    }
    let _ = writeln!(out, "</details>");
}

/// Commands in a block that can be copied as it is (CommonMark §4.5). What could end the block or
/// be taken for more than text by who reads no fences is written in entities instead.
fn fenced(commands: &str, out: &mut String) {
    let lines: Vec<String> = commands.lines().map(|line| visible(line).into_owned()).collect();
    let text = lines.join("\n");
    let _ = match text.contains(['`', '<']) || text.contains("](") {
        false => writeln!(out, "```sh\n{text}\n```\n"),
        true => {
            let lines: Vec<String> = lines.iter().map(|line| markdown(line)).collect();
            writeln!(out, "<pre>{}</pre>\n", lines.join("\n"))
        }
    };
}

/// Where else a change was found, and what follows from it.
fn beside(cluster: &Cluster) -> String {
    let mut said = String::new();
    if cluster.also_on > 0 {
        let _ = write!(said, ", {}", elsewhere(cluster));
    }
    if cluster.followed_by > 0 {
        let follow = plural(cluster.followed_by, "request follows", "requests follow");
        let _ = write!(said, ", {follow} from it");
    }
    said
}

fn latency(report: &Report<'_>, out: &mut String) {
    let reference = report.judgement.reference;
    let name = reference.name();
    let _ = writeln!(
        out,
        "\n### Latency\n\n| route | requests | p50 {name} | p50 v2 | p99 {name} | p99 v2 | × |\n\
         |---|---:|---:|---:|---:|---:|---:|"
    );
    for route in report.subjects().take(1 + ROUTES) {
        let (old, new) = (route.side(reference).sent.whole(), route.side(Side::V2).sent.whole());
        let at = |histogram: &crate::measure::Histogram, quantile| {
            histogram
                .quantile(quantile)
                .map_or_else(|| "·".to_owned(), |nanos| duration(nanos as f64))
        };
        let factor = match (old.quantile(0.99), new.quantile(0.99)) {
            (Some(old), Some(new)) if old > 0 => times(new as f64 / old as f64),
            _ => "·".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {factor} |",
            markdown_code(&short(&route.route, VALUE_CHARS)),
            count(route.side(Side::V2).requests),
            at(&old, 0.5),
            at(&new, 0.5),
            at(&old, 0.99),
            at(&new, 0.99)
        );
    }
    if report.summary.routes.len() > ROUTES {
        let _ = writeln!(
            out,
            "\n… and {} more.",
            plural((report.summary.routes.len() - ROUTES) as u64, "route", "routes")
        );
    }
    let _ =
        writeln!(out, "\nFrom {}; {}", From::Sent.name(), markdown(super::page::WHERE_MEASURED));
}

fn rules(report: &Report<'_>, out: &mut String) {
    let _ = writeln!(
        out,
        "\n### Rules\n\n| rule | route | finding | measured | between | allowed | samples |\n\
         |---|---|---|---:|---:|---:|---:|"
    );
    let shown = report
        .judgement
        .rules
        .iter()
        .filter(|rule| rule.route.is_none() || rule.finding == Finding::Fail);
    for rule in shown.take(40) {
        let words = |value: Option<f64>| {
            value.map_or_else(|| "?".to_owned(), |value| rule.unit.words(value))
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} … {} | {} | {} |",
            markdown_code(&rule.rule),
            rule.route.as_deref().map_or_else(
                || "all".to_owned(),
                |route| markdown_code(&short(route, VALUE_CHARS))
            ),
            rule.words(),
            words(rule.measured),
            words(rule.low),
            words(rule.high),
            rule.unit.limit_words(rule.limit),
            count(rule.count)
        );
    }
}

fn trust(report: &Report<'_>, out: &mut String) {
    let _ = writeln!(out, "\n### Is the run to be trusted?\n");
    for check in &report.judgement.checks {
        let _ = writeln!(
            out,
            "- {} {}",
            if check.holds { "yes:" } else { "**no:**" },
            markdown(&check.why)
        );
    }
    let skipped: u64 = report.summary.skipped.values().sum();
    if skipped > 0 {
        let _ = writeln!(
            out,
            "- {} not sent, on purpose.",
            plural(skipped, "request was", "requests were")
        );
    }
    let recorded = report.summary.recorded();
    let damaged = report.summary.damaged();
    if damaged > 0 {
        let _ = writeln!(
            out,
            "- {} of the recorded exchanges are damaged.",
            percent(damaged as f64 / recorded.max(1) as f64)
        );
    }
    let unmatched = report.unmatched();
    if !unmatched.is_empty() {
        let _ = writeln!(
            out,
            "- {} nothing.",
            plural(unmatched.len() as u64, "rule matched", "rules matched")
        );
    }
}
