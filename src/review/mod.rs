//! What a run's folder says: its records, read, measured and judged, as reports and people ask for
//! them.

pub(crate) mod closeups;
mod figures;
mod loaded;
mod outgoing;
mod placed;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use figures::{keep_figures, measuring};
pub(crate) use loaded::{Loaded, clusters, masker};
pub(crate) use outgoing::call_clusters;

use crate::measure;
use crate::mock::ledger::ReadError;
use crate::run::RunError;

/// Why a run cannot be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// A file that all need is missing.
    #[error("{} has no {name}: run `{how}` first", folder.display())]
    Lacking {
        /// Of which folder.
        folder: PathBuf,
        /// The file.
        name: &'static str,
        /// The command that writes it.
        how: String,
    },
    /// A file that is there cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its records cannot be measured.
    #[error(transparent)]
    Measure(#[from] measure::Error),
    /// A line of clusters is none.
    #[error("{}: line {line} is damaged: run `shadowtap diff` again", path.display())]
    Cluster {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// A line of flows is none.
    #[error("{}: line {line} is damaged", path.display())]
    Flow {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The ledger of outgoing calls is not what it was written as.
    #[error("{} is damaged", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: ReadError,
    },
}

impl ReviewError {
    /// That `path` cannot be read, for this reason.
    fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::Io { path: path.clone(), cause }
    }

    /// That a folder lacks a file which this command writes.
    fn lacking(folder: &Path, name: &'static str, command: &str) -> Self {
        let how = match command {
            "replay" => "shadowtap replay".to_owned(),
            other => format!("shadowtap {other} {}", folder.display()),
        };
        Self::Lacking { folder: folder.to_owned(), name, how }
    }
}
