//! The history of a project's runs: a JSONL file of a line a run, which CI keeps from job to job.

use std::path::Path;

use super::exit::unreadable;
use super::{Failure, output};
use crate::report::compare::{FORMAT, Snapshot, VERSION};

/// Runs that are kept; the oldest go first.
const MOST: usize = 1_000;

/// Adds a run to the file, or puts it in the place of what the file says of the same run; gives all
/// runs, the oldest first.
pub(super) fn keep(path: &Path, run: &Snapshot) -> Result<Vec<Snapshot>, Failure> {
    let mut runs = read(path)?;
    runs.retain(|other| other.run != run.run);
    runs.push(run.clone());
    runs.sort_by(|a, b| (a.started, &a.run).cmp(&(b.started, &b.run)));
    runs.drain(..runs.len().saturating_sub(MOST));
    let mut text = Vec::new();
    for run in &runs {
        crate::record::exchanges::write_line(&mut text, run);
    }
    output::replace(path, &text)?;
    Ok(runs)
}

fn read(path: &Path) -> Result<Vec<Snapshot>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut runs = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| {
            Failure::unusable(format!(
                "{}: line {} {what}: name another file for --history",
                path.display(),
                number + 1
            ))
        };
        let run: Snapshot =
            serde_json::from_str(line).map_err(|error| wrong("is damaged").because(&error))?;
        if run.format != FORMAT {
            return Err(wrong("is of no history of runs"));
        }
        if run.version > VERSION {
            return Err(wrong("was written by a newer shadowtap"));
        }
        runs.push(run);
    }
    Ok(runs)
}
