//! `shadowtap approve DIR CLUSTER --reason TEXT`: adds an intended difference to `approved.toml`.

use std::path::{Path, PathBuf};

use super::diff::{APPROVED_FILE, read_approvals};
use super::folder::{RunFolder, names};
use super::{Exit, Failure, Global};
use crate::diff::approvals::{Approval, is_day, without};
use crate::diff::{Class, Cluster};
use crate::time::Timestamp;

/// What a new file starts with.
const PREAMBLE: &str = "# Intended differences between v1 and v2: reviewed and checked in. See `shadowtap approve --help`.\n";

/// Accept an intended difference, with a reason.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  shadowtap approve reports/2026-11-22T10-00-00 3f2a91c07b --reason \"totals are in cents since v2\" \
    --expires 2026-12-31"
)]
pub struct Args {
    /// The folder of a run
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The cluster's id, or the start of it
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// Why it is intended
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The last day on which it holds, such as 2026-12-31
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Where to write it
    #[arg(long, value_name = "FILE", default_value = APPROVED_FILE)]
    file: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: Args, _: &Global) -> Result<Exit, Failure> {
    let approval = execute(&args)?;
    let line = format!("approved in {}: {}", args.file.display(), approval.text());
    super::output::print(&(super::exit::printable(&line) + "\n"))?;
    Ok(Exit::Done)
}

fn execute(args: &Args) -> Result<Approval, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::usage("--reason is empty: say why the difference is intended, for those who review it"));
    }
    if let Some(day) = args.expires.as_deref().filter(|day| !is_day(day)) {
        return Err(Failure::usage(format!("--expires {day:?} is not a day: write for example 2026-12-31")));
    }
    let today = Timestamp::now().to_string();
    if let Some(day) = args.expires.as_deref().filter(|day| **day < today[..10]) {
        return Err(Failure::usage(format!("--expires {day} is past: an approval that has ended approves nothing")));
    }
    let folder = RunFolder::open(&args.dir)?;
    let cluster = find(&folder.file(names::CLUSTERS), &args.cluster)?;
    if cluster.class == Class::Noise {
        return Err(Failure::usage(format!("{} is noise already and needs no approval: {}", cluster.id, cluster.why)));
    }
    let approval = Approval::of(&cluster, args.reason.trim(), args.expires.as_deref());
    add(&args.file, &approval, &today[..10])?;
    Ok(approval)
}

/// The cluster whose id starts so.
fn find(path: &Path, id: &str) -> Result<Cluster, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::unusable(format!("cannot read {}: run `shadowtap diff` first", path.display())).because(&error)
    })?;
    let damaged = |error: serde_json::Error| Failure::unusable(format!("{} is damaged", path.display())).because(&error);
    let clusters = text.lines().map(serde_json::from_str).collect::<Result<Vec<Cluster>, _>>().map_err(damaged)?;
    let mut fitting = clusters.into_iter().filter(|cluster| !id.is_empty() && cluster.id.starts_with(id));
    let Some(cluster) = fitting.next() else {
        return Err(Failure::usage(format!("no cluster {id:?} in {}", path.display())));
    };
    // One id may name several rows where an approval holds for a part; they have the same route, place and kind.
    match fitting.find(|other| other.id != cluster.id) {
        Some(other) => Err(Failure::usage(format!("{id:?} names several clusters, among them {} and {}", cluster.id, other.id))),
        None => Ok(cluster),
    }
}

/// Adds the approval at the end of the file, which stays as it is, with its comments; one of the same difference that has ended
/// is taken away.
fn add(path: &Path, approval: &Approval, today: &str) -> Result<(), Failure> {
    let mut text = if path.exists() {
        let known = read_approvals(path)?;
        let same = |other: &Approval| {
            (&other.route, other.kind, &other.place, &other.shape)
                == (&approval.route, approval.kind, &approval.place, &approval.shape)
        };
        if let Some(other) = known.approved.iter().find(|other| same(other) && !other.is_expired(today)) {
            return Err(Failure::usage(format!("{} has it already: {}", path.display(), other.text())));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(&error))?;
        without(&text, same)
    } else {
        PREAMBLE.to_owned()
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&approval.toml());
    std::fs::write(path, text).map_err(|error| Failure::unusable(format!("cannot write {}", path.display())).because(&error))
}
