//! Why shards cannot be put together.

use std::io;
use std::path::{Path, PathBuf};

use super::weave::WeaveError;
use crate::record::exchanges::LineError;
use crate::run::RunError;

/// Why folders cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// None was named.
    #[error("name at least one folder")]
    NoShard,
    /// One of them is that of the whole.
    #[error("{} is to be read and to be made: choose another -o", .0.display())]
    Itself(PathBuf),
    /// They are of different inputs.
    #[error(
        "{} and {} are of different captures: only shards of one run can be added",
        one.display(),
        other.display()
    )]
    Captures {
        /// One folder.
        one: PathBuf,
        /// Another.
        other: PathBuf,
    },
    /// Some requests are in two of them.
    #[error("{} {what}: its outcomes would count twice", folder.display())]
    Twice {
        /// The second one.
        folder: PathBuf,
        /// What it is.
        what: String,
    },
    /// Some of the whole are missing.
    #[error("{given} of {count} shards were given and the whole needs all: {missing}")]
    Shards {
        /// How many were given.
        given: usize,
        /// How many there are.
        count: usize,
        /// Which ones are missing.
        missing: String,
    },
    /// A file that all need is missing.
    #[error("{name} is missing in {folders} of the folders")]
    Lacking {
        /// The file.
        name: &'static str,
        /// In how many.
        folders: usize,
    },
    /// A folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The recordings do not fit together.
    #[error("{folders}: {cause}")]
    Weave {
        /// Of which folders.
        folders: String,
        /// Why.
        #[source]
        cause: WeaveError,
    },
    /// The outcomes do not begin as they should.
    #[error("{} does not begin with the line that names its format", .0.display())]
    Begins(PathBuf),
    /// A line of outcomes cannot be used.
    #[error("{}: line {line} cannot be used", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Why.
        #[source]
        cause: LineError,
    },
    /// The file system does not let something be done.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

impl MergeError {
    pub(super) fn read(path: &Path, cause: io::Error) -> Self {
        Self::Io { what: format!("read {}", path.display()), cause }
    }

    pub(super) fn write(path: &Path, cause: io::Error) -> Self {
        Self::Io { what: format!("write {}", path.display()), cause }
    }

    pub(super) fn line(path: &Path, line: u64, cause: LineError) -> Self {
        Self::Line { path: path.to_owned(), line, cause }
    }
}
