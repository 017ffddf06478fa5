//! `shadowtap merge`: adds the outcomes of shards to one run, which `diff` and `report` then take
//! like any other.

use std::path::{Path, PathBuf};

use super::output::print;
use super::progress::Progress;
use super::remote::RunPlace;
use super::{Exit, Failure, Global};
use crate::merge::{MergeError, MergedShards, ShardFolders};
use crate::run::RunFolder;

/// Add the results of shards to one run
///
/// Each DIR is the folder of `replay --shard I/N` of the same captures, or one that holds such
/// folders, here or in a store. `diff`, `report` and `gate`
/// take the folder that is made like that of any other run. Shards that did not start together are
/// put on the clock of the first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shadowtap merge shards/1 shards/2 shards/3 -o reports/whole
  shadowtap diff reports/whole && shadowtap report reports/whole \\
      && shadowtap gate reports/whole")]
pub struct MergeArgs {
    /// Folders of shards
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder to make
    #[arg(help_heading = "Output", short, long, value_name = "DIR")]
    output: PathBuf,
    /// Replace the run that the folder holds
    #[arg(help_heading = "Output", long)]
    force: bool,
}

pub(crate) fn run(args: MergeArgs, global: &Global) -> Result<Exit, Failure> {
    let shown = args.output.display().to_string();
    let mut shards = Vec::new();
    for folder in &args.folders {
        shards.extend(RunPlace::of_shards(folder)?);
    }
    let place = RunPlace::to_make(&args.output, args.force)?;
    let folders: Vec<PathBuf> = shards.iter().map(|shard| shard.path().to_owned()).collect();
    let merged = execute(&folders, place.path(), args.force, global)?;
    place.put()?;
    for warning in &merged.warnings {
        tracing::warn!("{warning}");
    }
    let output = super::exit::printable(&shown);
    print(&format!(
        "{} shards, {} outcomes: {output}\nnext: shadowtap diff {output}\n",
        merged.shards, merged.outcomes
    ))?;
    Ok(Exit::Done)
}

/// Adds them up.
fn execute(
    folders: &[PathBuf],
    output: &Path,
    force: bool,
    global: &Global,
) -> Result<MergedShards, Failure> {
    let shards = ShardFolders::open(folders, output)?;
    let into = RunFolder::create(output, force)?;
    let total = shards.bytes();
    let progress = Progress::start(global, "merge", Some(total));
    let mut done = 0;
    let merged = shards.merge(&into, |bytes| {
        done += bytes;
        progress.set(done, || format!("{} of {} MB", done / 1_000_000, total / 1_000_000));
    })?;
    Ok(merged)
}

impl From<MergeError> for Failure {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Run(error) => error.into(),
            MergeError::NoShard
            | MergeError::Itself(_)
            | MergeError::Captures { .. }
            | MergeError::Twice { .. }
            | MergeError::Shards { .. } => Self::usage(error.to_string()),
            _ => Self::unusable(error.to_string()).because(&error),
        }
    }
}
