//! The results of shards put together to one run, which `diff` and `report` then take like any
//! other.
//!
//! Each shard holds the exchanges and the outcomes of its own lanes. In: the folders of shards.
//! Out: the folder of the whole. Lines are copied one by one, so memory does not grow with the run.

mod check;
mod error;
mod outcomes;
mod state;
mod weave;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use self::check::{check, info};
pub use self::error::MergeError;
pub use self::weave::{WeaveError, weave};
use crate::measure::open_records;
use crate::run::{RunFolder, RunInfo, names, present};

/// Files of a shard that its sum needs; each may be compressed.
pub(crate) const OF_SHARD: [&str; 8] = [
    names::RUN,
    names::EXCHANGES,
    names::PLACES,
    names::OUTCOMES,
    names::BASELINE,
    names::FLOWS,
    names::BINDINGS,
    names::BASELINE_BINDINGS,
];

/// What was added up.
#[derive(Debug)]
pub struct MergedShards {
    /// How many there were.
    pub shards: usize,
    /// Outcomes of the whole.
    pub outcomes: u64,
    /// What people should know of it.
    pub warnings: Vec<String>,
}

/// Shards that are to be put together, checked.
pub struct ShardFolders {
    shards: Vec<(RunFolder, RunInfo)>,
    warnings: Vec<String>,
}

impl ShardFolders {
    /// Opens the folders of the shards of a whole that shall be in `output`.
    pub fn open(folders: &[PathBuf], output: &Path) -> Result<Self, MergeError> {
        let output = output.canonicalize().ok();
        let mut shards = Vec::new();
        for path in folders {
            if output.is_some() && path.canonicalize().ok() == output {
                return Err(MergeError::Itself(path.clone()));
            }
            // What is still written to is half of a shard.
            let folder = RunFolder::open_at_rest(path)?;
            let info = folder.info()?;
            shards.push((folder, info));
        }
        let warnings = check(&shards)?;
        Ok(Self { shards, warnings })
    }

    /// Bytes of outcomes that they hold.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files(names::OUTCOMES).map(|path| path.metadata().map_or(0, |data| data.len())).sum()
    }

    fn files(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        self.shards.iter().map(move |(folder, _)| folder.file(name))
    }

    /// Puts them together in the folder `into`; `progress` is told of bytes of outcomes.
    pub fn merge(
        self,
        into: &RunFolder,
        mut progress: impl FnMut(u64),
    ) -> Result<MergedShards, MergeError> {
        recording(&self.shards, into)?;
        let mut warnings = Vec::new();
        for name in [names::FLOWS, names::BINDINGS, names::BASELINE_BINDINGS] {
            warnings.extend(bound(&self.shards, name, into)?);
        }
        let outcomes = self.join(names::OUTCOMES, into, &mut progress)?;
        if self.files(names::BASELINE).any(|path| present(&path)) {
            self.join(names::BASELINE, into, &mut progress)?;
        }
        into.write_info(&info(&self.shards))?;
        let warnings = self.warnings.into_iter().chain(warnings).collect();
        Ok(MergedShards { shards: self.shards.len(), outcomes, warnings })
    }

    /// One file of outcomes from those of all shards.
    fn join(
        &self,
        name: &'static str,
        into: &RunFolder,
        progress: &mut impl FnMut(u64),
    ) -> Result<u64, MergeError> {
        let parts: Vec<PathBuf> = self.files(name).filter(|path| present(path)).collect();
        if parts.len() != self.shards.len() {
            return Err(MergeError::Lacking { name, folders: self.shards.len() - parts.len() });
        }
        outcomes::join(&parts, &into.file(name), progress)
    }
}

/// The recording of the whole: what shards that hold their own part only have in common, or what
/// all of them have.
fn recording(shards: &[(RunFolder, RunInfo)], into: &RunFolder) -> Result<(), MergeError> {
    let to = into.file(names::EXCHANGES);
    let parts: Vec<&RunFolder> = shards
        .iter()
        .map(|(folder, _)| folder)
        .filter(|f| present(&f.file(names::PLACES)))
        .collect();
    match shards.first() {
        Some((first, _)) if parts.is_empty() => return unpack(&first.file(names::EXCHANGES), &to),
        _ if parts.len() == shards.len() => {}
        _ => {
            let folders = shards.len() - parts.len();
            return Err(MergeError::Lacking { name: names::PLACES, folders });
        }
    }
    let open = |path: PathBuf| {
        open_records(&path)
            .map(|file| BufReader::with_capacity(1 << 18, file))
            .map_err(|cause| MergeError::read(&path, cause))
    };
    let threads = parts.iter().map(|folder| {
        Ok((open(folder.file(names::EXCHANGES))?, open(folder.file(names::PLACES))?))
    });
    let threads = threads.collect::<Result<Vec<_>, MergeError>>()?;
    let file = File::create(&to).map_err(|cause| MergeError::write(&to, cause))?;
    let woven = weave(threads, &mut BufWriter::with_capacity(1 << 20, file));
    woven.map(drop).map_err(|cause| match cause {
        WeaveError::Write(cause) => MergeError::write(&to, cause),
        cause => {
            let folders: Vec<_> = parts.iter().map(|f| f.path().display().to_string()).collect();
            MergeError::Weave { folders: folders.join(", "), cause }
        }
    })
}

/// What was bound, of all shards; says so where some of them do not tell.
fn bound(
    shards: &[(RunFolder, RunInfo)],
    name: &str,
    into: &RunFolder,
) -> Result<Option<String>, MergeError> {
    let parts: Vec<PathBuf> =
        shards.iter().map(|(folder, _)| folder.file(name)).filter(|path| present(path)).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let files = parts.iter().map(|path| {
        open_records(path)
            .map(|file| BufReader::with_capacity(1 << 18, file))
            .map_err(|cause| MergeError::read(path, cause))
    });
    let files = files.collect::<Result<Vec<_>, MergeError>>()?;
    let to = into.file(name);
    let added = File::create(&to).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        match name {
            names::FLOWS => state::flows(files, &mut out),
            _ => state::bindings(files, &mut out),
        }
    });
    added.map_err(|cause| {
        let what = format!("add {name} of the folders to {}", to.display());
        MergeError::Io { what, cause }
    })?;
    let missing = shards.len() - parts.len();
    Ok((missing > 0).then(|| {
        format!(
            "{name} is missing in {missing} of the folders: values that v2 issued there in the \
             place of v1's count as differences"
        )
    }))
}

/// Copies a file of records, which may be compressed.
fn unpack(from: &Path, to: &Path) -> Result<(), MergeError> {
    let copied = open_records(from)
        .and_then(|mut source| std::io::copy(&mut source, &mut File::create(to)?));
    copied.map(drop).map_err(|cause| {
        let what = format!("copy {} to {}", from.display(), to.display());
        MergeError::Io { what, cause }
    })
}
