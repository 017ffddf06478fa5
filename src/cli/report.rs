//! `shadowtap report`: writes every file of a report into a run's folder. The same run gives the
//! same bytes.

use std::path::PathBuf;

use super::config::Config;
use super::evidence::{GateFlags, Loaded};
use super::folder::RunFolder;
use super::output::{print, replace};
use super::paint::colour;
use super::{Exit, Failure, Global};
use crate::gate::{Policy, Verdict};
use crate::report::terminal;
use crate::report::{Report, csv, hlog, html, json, junit, markdown, names};

/// Write a run's report: page, tables, histograms, files for CI
///
/// Writes report.html, summary.md, junit.xml, summary.json, latency.csv, timeline.csv and
/// latency.hlog into DIR, from what `replay` and `diff` left there. Prints the verdict, but always
/// ends with 0 where it could write: `gate` judges.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  shadowtap report reports/2026-11-22T10-00-00Z")]
pub struct Args {
    /// Folder of a run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Do not mask secrets in what is written
    #[arg(help_heading = "Output", long)]
    show_secrets: bool,
    #[command(flatten)]
    gate: GateFlags,
}

/// What a report needs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The run's folder.
    pub(crate) folder: PathBuf,
    /// What is allowed.
    pub(crate) policy: Policy,
    /// Whether secrets are shown.
    pub(crate) show_secrets: bool,
}

/// What came of it.
pub(crate) struct Written {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// The lines for the end of the run, for standard output.
    pub(crate) text: String,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let policy = args.gate.over_those_of(&args.folder)?.policy(&config)?;
    let written = execute(
        &Settings { folder: args.folder, policy, show_secrets: args.show_secrets },
        global,
    )?;
    tracing::info!("verdict: {}", written.verdict.name());
    print(&written.text)?;
    Ok(Exit::Done)
}

/// Writes the files.
pub(crate) fn execute(settings: &Settings, global: &Global) -> Result<Written, Failure> {
    let folder = RunFolder::open_to_write(&settings.folder)?;
    let mut loaded = Loaded::read(&folder, &settings.policy, settings.show_secrets, global)?;
    loaded.look_close(&folder, settings.show_secrets)?;
    let report = loaded.report();
    let files: [(&str, fn(&Report<'_>) -> Vec<u8>); 7] = [
        (names::LATENCY_CSV, csv::latency),
        (names::TIMELINE_CSV, csv::timeline),
        (names::LATENCY_HLOG, hlog::write),
        (names::SUMMARY_JSON, json::write),
        (names::JUNIT_XML, junit::write),
        (names::SUMMARY_MD, markdown::write),
        (names::REPORT_HTML, html::write),
    ];
    for (name, write) in files {
        replace(&folder.file(name), &write(&report))?;
    }
    let text = terminal::write(&report, &settings.folder.to_string_lossy(), colour());
    Ok(Written { verdict: loaded.judgement().verdict, text })
}
