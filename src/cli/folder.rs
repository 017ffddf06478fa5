//! A run's folder: the names of its files, and `run.json`, which says what was run, with what, and when.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::time::Timestamp;

/// Names of the files in a run's folder.
pub mod names {
    /// What was run.
    pub const RUN: &str = "run.json";
    /// The recorded exchanges.
    pub const EXCHANGES: &str = "exchanges.jsonl";
    /// What became of them at v2.
    pub const OUTCOMES: &str = "outcomes.jsonl";
    /// What became of them at v1 in staging.
    pub const BASELINE: &str = "baseline.jsonl";
    /// Every difference.
    pub const DIFFERENCES: &str = "differences.jsonl";
    /// Differences by cause.
    pub const CLUSTERS: &str = "clusters.jsonl";
    /// The diff's counts.
    pub const DIFF: &str = "diff.json";
    /// The learned routes.
    pub const ROUTES: &str = "routes.json";
    /// Places that vary by themselves, with the evidence.
    pub const NOISE: &str = "noise.jsonl";
    /// v2's outgoing calls as the mock saw them.
    pub const EGRESS: &str = "egress.jsonl";
}

/// `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// Names the run; the value of the marker header.
    pub run: String,
    /// The command line, secrets masked.
    pub command: Vec<String>,
    /// `shadowtap X.Y.Z`.
    pub tool: String,
    /// The target's URL, without user information.
    pub target: String,
    /// The baseline's URL, where there was one.
    pub baseline: Option<String>,
    /// The captures.
    pub inputs: Vec<InputInfo>,
    /// The settings that shaped the run.
    pub settings: serde_json::Value,
    /// The machine: name, cores, kernel.
    pub host: serde_json::Value,
    /// When the command started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// One input of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputInfo {
    /// As it was given.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal; empty for standard input.
    pub sha256: String,
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run. One that holds a run already is refused unless `force`.
    pub fn create(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.join(names::RUN).exists() && !force {
            return Err(Failure::usage(format!(
                "{} holds a run already: choose another folder, or add --force to replace it",
                path.display()
            )));
        }
        std::fs::create_dir_all(path)
            .map_err(|error| Failure::unusable(format!("cannot make the folder {}", path.display())).because(&error))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Opens the folder of a run that was made before.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if !path.join(names::RUN).is_file() {
            return Err(Failure::unusable(format!("{} is not the folder of a run: it has no {}", path.display(), names::RUN)));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads `run.json`.
    pub fn info(&self) -> Result<RunInfo, Failure> {
        let path = self.file(names::RUN);
        let text =
            std::fs::read(&path).map_err(|error| Failure::unusable(format!("cannot read {}", path.display())).because(&error))?;
        serde_json::from_slice(&text).map_err(|error| Failure::unusable(format!("{} is damaged", path.display())).because(&error))
    }

    /// Writes `run.json`.
    pub fn write_info(&self, info: &RunInfo) -> Result<(), Failure> {
        let path = self.file(names::RUN);
        let mut text = serde_json::to_vec_pretty(info).expect("a record of strings and integers serialises");
        text.push(b'\n');
        std::fs::write(&path, text).map_err(|error| Failure::unusable(format!("cannot write {}", path.display())).because(&error))
    }
}
