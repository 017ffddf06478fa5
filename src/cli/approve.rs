//! `shadowtap approve DIR CLUSTER --reason TEXT`: adds an intended difference, of answers or of
//! outgoing calls, to `approved.toml`.

use std::path::{Path, PathBuf};

use super::diff::{APPROVED_FILE, read_approvals};
use super::exit::unreadable;
use super::remote::RunPlace;
use super::{Exit, Failure, Global, output};
use crate::diff::approvals::{Approval, Approvals, CallApproval, is_day, without};
use crate::diff::{Class, Cluster};
use crate::mock::summary::CallSummary;
use crate::report::still_held;
use crate::run::{RunFolder, names};
use crate::time::Timestamp;

/// What a new file starts with.
const PREAMBLE: &str = "# Intended differences between v1 and v2: reviewed and checked in. See \
    `shadowtap approve --help`.\n";

/// Accept an intended difference, with a reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shadowtap approve reports/20261122T100000Z 3f2a91c07b \\
      --reason \"totals are in cents since v2\" --expires 2026-12-31")]
pub struct ApproveArgs {
    /// The folder of a run
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The cluster's id, or the start of it
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// Why it is intended
    #[arg(help_heading = "Gate", long, value_name = "TEXT")]
    reason: String,
    /// The last day on which it holds, such as 2026-12-31
    #[arg(help_heading = "Gate", long, value_name = "DATE")]
    expires: Option<String>,
    /// Where to write it
    #[arg(help_heading = "Output", long, value_name = "FILE", default_value = APPROVED_FILE)]
    file: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: ApproveArgs, _: &Global) -> Result<Exit, Failure> {
    let approval = execute(&args)?;
    let line = format!("approved in {}: {}", args.file.display(), approval.text());
    let mut text = super::exit::printable(&line) + "\n";
    if let Intended::Answers { but, .. } = &approval
        && !but.is_empty()
    {
        text += &format!("{but}\n");
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

/// What is approved.
enum Intended {
    Answers {
        approval: Approval,
        /// What it does not lift.
        but: &'static str,
    },
    Calls(CallApproval),
}

impl Intended {
    fn text(&self) -> String {
        match self {
            Self::Answers { approval, .. } => approval.text(),
            Self::Calls(approval) => approval.text(),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Answers { approval, .. } => approval.toml(),
            Self::Calls(approval) => approval.toml(),
        }
    }

    /// What a file says of the same difference: each entry, and whether it has ended.
    fn known(&self, file: &Approvals, today: &str) -> Vec<(String, bool)> {
        match self {
            Self::Answers { approval: own, .. } => {
                let key =
                    |of: &Approval| (of.route.clone(), of.kind, of.place.clone(), of.shape.clone());
                let same = file.approved.iter().filter(|other| key(other) == key(own));
                same.map(|other| (other.text(), other.is_expired(today))).collect()
            }
            Self::Calls(own) => {
                let same = file.approved_call.iter().filter(|other| other.is_of_same(own));
                same.map(|other| (other.text(), other.is_expired(today))).collect()
            }
        }
    }
}

fn execute(args: &ApproveArgs) -> Result<Intended, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::usage(
            "--reason is empty: say why the difference is intended, for those who review it",
        ));
    }
    if let Some(day) = args.expires.as_deref().filter(|day| !is_day(day)) {
        return Err(Failure::usage(format!(
            "--expires {day:?} is not a day: write for example 2026-12-31"
        )));
    }
    let today = Timestamp::now().to_string();
    if let Some(day) = args.expires.as_deref().filter(|day| **day < today[..10]) {
        return Err(Failure::usage(format!(
            "--expires {day} is past: an approval that has ended approves nothing"
        )));
    }
    let place = RunPlace::of_run(&args.dir)?;
    let folder = RunFolder::open(place.path())?;
    let intended = find(&folder, args)?;
    add(&args.file, &intended, &today[..10])?;
    Ok(intended)
}

/// An approval of the cluster that is named, among those of answers and of outgoing calls.
fn find(folder: &RunFolder, args: &ApproveArgs) -> Result<Intended, Failure> {
    let (reason, expires) = (args.reason.trim(), args.expires.as_deref());
    let answers = find_answers(&folder.file(names::CLUSTERS), &args.cluster)?;
    let calls = find_calls(&folder.file(names::EGRESS), &args.cluster)?;
    let ids: Vec<&str> = answers
        .iter()
        .map(|one| one.id.as_str())
        .chain(calls.iter().map(|one| one.id.as_str()))
        .collect();
    if let [first, .., last] = ids[..] {
        return Err(Failure::usage(format!(
            "{:?} names several clusters, among them {first} and {last}",
            args.cluster
        )));
    }
    match (answers.first(), calls.first()) {
        (Some(cluster), _) if cluster.class == Class::Noise => Err(Failure::usage(format!(
            "{} is noise already and needs no approval: {}",
            cluster.id, cluster.why
        ))),
        (Some(cluster), _) => Ok(Intended::Answers {
            approval: Approval::of(cluster, reason, expires),
            but: still_held(cluster),
        }),
        (None, Some(cluster)) => Ok(Intended::Calls(cluster.approval(reason, expires))),
        (None, None) => Err(Failure::usage(format!(
            "no cluster {:?} in {}: `shadowtap show {1}` lists them",
            args.cluster,
            args.dir.display()
        ))),
    }
}

/// The clusters of outgoing calls whose id starts so, each once.
fn find_calls(
    path: &Path,
    id: &str,
) -> Result<Vec<crate::mock::summary::OutgoingCluster>, Failure> {
    if id.is_empty() || !path.is_file() {
        return Ok(Vec::new());
    }
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let summary = CallSummary::read(std::io::BufReader::new(file), &[])
        .map_err(|error| unreadable(path, &error))?;
    Ok(summary.clusters.into_iter().filter(|cluster| cluster.id.starts_with(id)).collect())
}

/// The clusters of answers whose id starts so, each once: one id may name several rows where an
/// approval holds for a part, and they have the same route, place and kind.
fn find_answers(path: &Path, id: &str) -> Result<Vec<Cluster>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::unusable(format!("cannot read {}: run `shadowtap diff` first", path.display()))
            .because(&error)
    })?;
    let damaged = |error: serde_json::Error| {
        Failure::unusable(format!("{} is damaged", path.display())).because(&error)
    };
    let clusters = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Cluster>, _>>()
        .map_err(damaged)?;
    let mut fitting: Vec<Cluster> = clusters
        .into_iter()
        .filter(|cluster| !id.is_empty() && cluster.id.starts_with(id))
        .collect();
    fitting.sort_by(|one, other| one.id.cmp(&other.id));
    fitting.dedup_by(|one, other| one.id == other.id);
    Ok(fitting)
}

/// Adds the approval at the end of the file, which stays as it is, with its comments; one of the
/// same difference that has ended is taken away.
fn add(path: &Path, intended: &Intended, today: &str) -> Result<(), Failure> {
    let mut text = if path.exists() {
        let known = read_approvals(path)?;
        if let Some((other, _)) = intended.known(&known, today).iter().find(|(_, ended)| !ended) {
            return Err(Failure::usage(format!("{} has it already: {other}", path.display())));
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read {}", path.display())).because(&error)
        })?;
        without(&text, |entry| !intended.known(entry, today).is_empty())
    } else {
        PREAMBLE.to_owned()
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&intended.toml());
    // Where it is a link, what it leads to is written. It is for all who may read it now.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&path).map(|there| there.permissions());
    output::replace(&path, text.as_bytes())?;
    match mode {
        Ok(mode) => std::fs::set_permissions(&path, mode),
        Err(_) => crate::mode::as_users(&path),
    }
    .map_err(|error| Failure::unusable(format!("cannot write {}", path.display())).because(&error))
}
