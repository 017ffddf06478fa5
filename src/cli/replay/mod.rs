//! `shadowtap replay`: fires recorded requests at v2 and records what became of each.

mod execute;
mod flags;
mod flows;
mod input;
mod metrics;
mod otlp;
mod ran;
mod reading;
mod settings;
mod share;
mod start;
mod summary;
mod survey;
mod targets;
mod traces;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::execute::execute;
use self::execute::something_is_chosen;
pub use self::flags::{ReplayFlags, ReplayShape};
pub(crate) use self::ran::LiveFigures;
pub use self::ran::RanReplay;
pub use self::settings::ReplaySettings;
use super::config::Config;
use super::signals::{self, Grace};
use super::{Exit, Failure, Global, output};
use crate::diff::rules::Rules;
use crate::replay;
use crate::replay::ReplayStop;
use crate::replay::plan::Wishes;
use crate::replay::plan::rewrite::Rewriter;
use crate::run::RunFolder;

/// Replay recorded requests at v2, with their original timing
///
/// Writes what became of each request to DIR/outcomes.jsonl. Requests that may change something at
/// v2 (POST and others) are skipped unless --unsafe-methods is given, and the server that served
/// the capture is refused as a target.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap replay v1.pcap --target http://v2.staging:8080
  shadowtap replay v1.pcap --target http://v2.staging:8080 --speed 5 \\
      --include 'GET ^/search' -o reports/fast
  shadowtap replay v1.pcap --dry-run")]
pub struct ReplayArgs {
    #[command(flatten)]
    asked: ReplayAsked,
    /// With --dry-run: measure on loopback how many requests a second this machine can replay
    #[arg(help_heading = "Safety", long, requires = "dry_run")]
    calibrate: bool,
}

/// What `replay` and `run` are both asked for: what is replayed, how, and where it goes.
#[derive(Debug, clap::Args)]
pub struct ReplayAsked {
    /// Captures or recordings to replay; - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<String>,
    #[command(flatten)]
    pub(super) flags: ReplayFlags,
    /// Folder of the run [default: reports/TIME]
    #[arg(help_heading = "Output", short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Replace the run that the folder holds
    #[arg(help_heading = "Output", long)]
    pub(super) force: bool,
    /// Keep the records compressed, as exchanges.jsonl.zst and so on: every command reads them
    #[arg(help_heading = "Output", long)]
    pub(super) compress: bool,
    /// Only print what would be sent, and when
    #[arg(help_heading = "Safety", long)]
    pub(super) dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(
    ReplayArgs { asked, calibrate }: ReplayArgs,
    global: &Global,
) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let shape = ReplayShape::new(asked.flags, &config, &config.gate)?;
    if asked.dry_run {
        return dry_run(&asked.inputs, &shape, calibrate, &config, global);
    }
    let mut settings = ReplaySettings::new(asked.inputs, shape, asked.output, asked.force)?;
    let place = settings.place()?;
    // Also while figures wait to be asked for.
    let _grace = Grace::ask();
    let ran = execute(&settings, global);
    if let (Ok(ran), true) = (&ran, asked.compress) {
        compress(&ran.folder)?;
    }
    let text = ran.as_ref().map(|ran| place.told(&summary::text(ran)));
    place.put()?;
    output::print(&text.unwrap_or_default())?;
    let ran = ran?;
    let interrupted = ran.finished.interrupted;
    ran.watch.map_or(Ok(()), |watch| watch.linger(&settings.shape))?;
    Ok(if interrupted { Exit::Interrupted } else { Exit::Done })
}

/// Compresses the records of a run.
pub(crate) fn compress(folder: &RunFolder) -> Result<(), Failure> {
    folder.compress().map_err(|error| {
        let folder = folder.path().display();
        Failure::unusable(format!("cannot compress the records in {folder}")).because(&error)
    })
}

/// Prints the plan, and touches nothing.
pub(super) fn dry_run(
    inputs: &[String],
    shape: &ReplayShape,
    calibrate: bool,
    config: &Config,
    global: &Global,
) -> Result<Exit, Failure> {
    // What a run would refuse before its first request is refused here too.
    Rules::new(&config.diff).map_err(|error| Failure::usage(error.to_string()))?;
    let word = signals::word()?;
    let wishes = Wishes {
        selection: shape.selection.clone(),
        protocol: shape.protocol,
        pacing: shape.pacing,
        shard: shape.shard,
        rewriter: Rewriter::default(),
        parts: None,
        producers: false,
        lanes: shape.lanes.clone(),
        unnamed_host: None,
    };
    let (plan, flows) = input::read_only(inputs, wishes, shape, &word, global)?;
    if let Some(flows) = &flows {
        flows.warn(!shape.selection.unsafe_methods && !shape.flow.producers);
    }
    something_is_chosen(&plan, shape)?;
    let figures = plan
        .figures()
        .map_err(|error| Failure::unusable("cannot read the plan back").because(&error))?;
    let calibration = if calibrate {
        let stop = Arc::new(ReplayStop::default());
        let measured = replay::calibrate::calibrate(&std::env::temp_dir(), shape.workers, &stop);
        Some(
            measured.map_err(|error| {
                Failure::unusable("cannot measure this machine").because(&error)
            })?,
        )
    } else {
        None
    };
    summary::print_plan(&plan, &figures, shape, calibration)?;
    if let Some(flows) = &flows {
        output::print(&format!("\n{}", flows.page))?;
    }
    Ok(Exit::Done)
}
