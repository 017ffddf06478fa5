//! `shadowtap report`: writes every file of a report into a run's folder. The same run gives the
//! same bytes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::config::Config;
use super::history;
use super::output::{print, replace};
use super::paint::{colour, columns, look};
use super::policy::GateFlags;
use super::progress::show_measuring;
use super::remote::RunPlace;
use super::{Exit, Failure, Global};
use crate::gate::{Policy, Verdict};
use crate::measure::Side;
use crate::message::media::UTF_8_MARK;
use crate::message::protobuf::Schema;
use crate::report::compare::{self, Snapshot};
use crate::report::terminal::{self, WIDTH};
use crate::report::{Report, csv, github, hlog, html, json, junit, markdown, names};
use crate::review::Loaded;
use crate::run::RunFolder;
use crate::store::local::UnfinishedFile;

/// Write a run's report: page, tables, histograms, files for CI
///
/// Writes report.html, summary.md, junit.xml, summary.json, latency.csv, timeline.csv and
/// latency.hlog into DIR, from what `replay` and `diff` left there. Prints the verdict, but always
/// ends with 0 where it could write: `gate` judges.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap report reports/20261122T100000Z
  shadowtap report --compare reports/yesterday reports/today \\
      --history history.jsonl")]
pub struct ReportArgs {
    /// Folder of a run
    #[arg(value_name = "DIR", required_unless_present = "compare")]
    folder: Option<PathBuf>,
    /// Say what is new and what is gone in the second run against the first; writes no report
    #[arg(
        help_heading = "Output",
        long,
        num_args = 2,
        value_names = ["OLD_DIR", "NEW_DIR"],
        conflicts_with_all = ["folder", "excel"]
    )]
    compare: Vec<PathBuf>,
    /// Add the run to this file of a line a run, and show the trend
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The comparison as JSON
    #[arg(help_heading = "Output", long, requires = "compare")]
    json: bool,
    /// Begin the CSV files with a byte order mark, so that Excel reads them as UTF-8
    #[arg(help_heading = "Output", long)]
    excel: bool,
    /// Do not mask secrets in what is written
    #[arg(help_heading = "Output", long)]
    show_secrets: bool,
    #[command(flatten)]
    gate: GateFlags,
}

/// What a report needs.
#[derive(Debug)]
pub(crate) struct ReportSettings {
    /// The run's folder.
    pub(crate) folder: PathBuf,
    /// What is allowed.
    pub(crate) policy: Policy,
    /// Names the fields of messages.
    pub(crate) schema: Schema,
    /// Whether secrets are shown.
    pub(crate) show_secrets: bool,
    /// Whether tables begin with a byte order mark.
    pub(crate) excel: bool,
}

/// What came of it.
pub(crate) struct WrittenReport {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// The lines for the end of the run, for standard output.
    pub(crate) text: String,
    /// The run in short.
    pub(crate) snapshot: Snapshot,
}

pub(crate) fn run(args: ReportArgs, global: &Global) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    if let [old, new] = args.compare.as_slice() {
        return compare(old, new, &args, &config, global);
    }
    let Some(folder) = args.folder.clone() else {
        return Err(Failure::usage("name the folder of a run"));
    };
    let place = RunPlace::of_run(&folder)?;
    let policy = args.gate.clone().over_those_of(place.path())?.policy(&config)?;
    let folder = place.path().to_owned();
    let (schema, show_secrets) = (config.schema, args.show_secrets);
    let settings = ReportSettings { folder, policy, schema, show_secrets, excel: args.excel };
    let written = execute(&settings, global)?;
    tracing::info!("verdict: {}", written.verdict.name());
    let mut text = place.told(&written.text);
    place.put()?;
    if let Some(history) = &args.history {
        let runs = history::keep(history, &written.snapshot)?;
        text += &format!("\n{}", compare::table(&runs, columns(WIDTH), colour()));
    }
    print(&text)?;
    Ok(Exit::Done)
}

/// Says what the second run has that the first had not, and the other way round.
fn compare(
    old: &Path,
    new: &Path,
    args: &ReportArgs,
    config: &Config,
    global: &Global,
) -> Result<Exit, Failure> {
    let snapshot = |folder: &Path| -> Result<Snapshot, Failure> {
        let place = RunPlace::of_run(folder)?;
        let policy = args.gate.clone().over_those_of(place.path())?.policy(config)?;
        let run = RunFolder::open(place.path())?;
        let loaded = Loaded::read(&run, &policy, args.show_secrets, show_measuring(global))?;
        Ok(Snapshot::of(&loaded.report()))
    };
    let (old, new) = (snapshot(old)?, snapshot(new)?);
    let mut text = match args.json {
        true => compare::json(&old, &new).to_string() + "\n",
        false => compare::text(&old, &new, columns(WIDTH), colour()),
    };
    if let Some(history) = &args.history {
        history::keep(history, &old)?;
        let runs = history::keep(history, &new)?;
        if !args.json {
            text += &format!("\n{}", compare::table(&runs, columns(WIDTH), colour()));
        }
    }
    print(&text)?;
    Ok(Exit::Done)
}

/// Writes the files.
pub(crate) fn execute(
    settings: &ReportSettings,
    global: &Global,
) -> Result<WrittenReport, Failure> {
    let folder = RunFolder::open_to_write(&settings.folder)?;
    let mut loaded =
        Loaded::read(&folder, &settings.policy, settings.show_secrets, show_measuring(global))?;
    loaded.look_close(&folder, settings.show_secrets, &settings.schema)?;
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
        let bytes = write(&report);
        let marked = settings.excel && name.ends_with(".csv");
        replace(&folder.file(name), &if marked { [UTF_8_MARK, &bytes].concat() } else { bytes })?;
    }
    for (name, side) in [
        (names::V1_HGRM, Side::V1),
        (names::V2_HGRM, Side::V2),
        (names::BASELINE_HGRM, Side::Baseline),
    ] {
        if let Some(bytes) = hlog::percentiles(&report, side) {
            replace(&folder.file(name), &bytes)?;
        }
    }
    if settings.excel {
        mark(&folder.file(crate::run::names::MISMATCHES))?;
    }
    tell_github(&report)?;
    let text = terminal::write(&report, &settings.folder.to_string_lossy(), look());
    let snapshot = Snapshot::of(&report);
    Ok(WrittenReport { verdict: loaded.judgement().verdict, text, snapshot })
}

/// Puts a byte order mark before a table that the diff wrote, where it has none.
fn mark(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::unusable(format!("cannot write {}", path.display())).because(&error)
    };
    let Ok(mut table) = File::open(path) else { return Ok(()) };
    let mut start = Vec::new();
    let mut beginning = std::io::Read::by_ref(&mut table).take(UTF_8_MARK.len() as u64);
    beginning.read_to_end(&mut start).map_err(failed)?;
    if start == UTF_8_MARK {
        return Ok(());
    }
    let part = UnfinishedFile::create(path).map_err(failed)?;
    let mut file = part.file().map_err(failed)?;
    file.write_all(&[UTF_8_MARK, &start].concat()).map_err(failed)?;
    std::io::copy(&mut table, &mut file).map_err(failed)?;
    part.commit().map_err(failed)
}

/// In a job of GitHub Actions: annotations, and the summary on the job's page.
#[expect(clippy::print_stderr, reason = "annotations are read from the log")]
fn tell_github(report: &Report<'_>) -> Result<(), Failure> {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return Ok(());
    }
    eprint!("{}", github::annotations(report));
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let mut text = markdown::write(report);
    text.push(b'\n');
    let file = File::options().append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(&text)).map_err(|error| {
        let path = path.to_string_lossy().into_owned();
        Failure::unusable(format!("cannot write {path} (GITHUB_STEP_SUMMARY)")).because(&error)
    })
}
