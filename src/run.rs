//! A run's folder: the names of its files, and `run.json`, which says what was run, with what, and
//! when.
//!
//! Who writes to a folder has it locked. Records are read and written by those who know their
//! forms; here is where they are.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::limits;
use crate::measure::{compressed_twin as zst, open_records};
use crate::message::encoding::hex;
use crate::message::trace::TraceLink;
use crate::mode;
use crate::record::lines::ZSTD_LEVEL;
use crate::record::outcomes::OutcomesHeader;
pub use crate::source::InputInfo;
use crate::store::local;
use crate::store::shown;
use crate::time::Timestamp;

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is none, or there is none.
    #[error(
        "{name} is not the folder of a run: {why}; name what `shadowtap run` or `replay` wrote"
    )]
    NoRun {
        /// As people know it.
        name: String,
        /// What is there instead.
        why: String,
    },
    /// A run is in it, and is not to be replaced.
    #[error(
        "{} holds a run already: choose another folder, or add --force to replace it", .0.display()
    )]
    Taken(PathBuf),
    /// Another program writes to it.
    #[error(
        "another shadowtap is writing to {}: wait for its end, or choose another folder",
        .0.display()
    )]
    Busy(PathBuf),
    /// The file system does not let something be done.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A file in it is not what it was written as.
    #[error("{} is damaged: run the command that wrote it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The first line of the outcomes is of something else.
    #[error("the first line of {} is none of outcomes", path.display())]
    Outcomes {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
}

impl RunError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::Io { what, path, cause }
    }
}

/// Names of the files in a run's folder.
pub mod names {
    /// What was run.
    pub const RUN: &str = "run.json";
    /// The recorded exchanges.
    pub const EXCHANGES: &str = "exchanges.jsonl";
    /// Of a shard: which of the exchanges of the whole it holds.
    pub const PLACES: &str = "places.jsonl";
    /// What became of them at v2.
    pub const OUTCOMES: &str = "outcomes.jsonl";
    /// What became of them at v1 in staging.
    pub const BASELINE: &str = "baseline.jsonl";
    /// Every difference.
    pub const DIFFERENCES: &str = "differences.jsonl";
    /// The differences as a table.
    pub const MISMATCHES: &str = "mismatches.csv";
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
    /// What the recording's answers issued and its requests used, and what became of it.
    pub const FLOWS: &str = "flows.jsonl";
    /// What v2 issued in the place of v1's values.
    pub const BINDINGS: &str = "bindings.jsonl";
    /// What v1 in staging issued.
    pub const BASELINE_BINDINGS: &str = "baseline-bindings.jsonl";
    /// The figures of the run, beside what they were measured from.
    pub const MEASURED: &str = ".measured.json";
    /// Where the records stand that the page shows.
    pub const PLACED: &str = ".placed.json";
    /// Locked by who writes to the folder.
    pub const LOCK: &str = ".lock";
}

/// More than the first line of any record has, in bytes.
const FIRST_LINE: u64 = 16 << 20;

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
    /// The gate's flags that `run` was given.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub gate: serde_json::Value,
    /// The machine: name, cores, kernel.
    pub host: serde_json::Value,
    /// When the command started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

impl RunInfo {
    /// Whether its writer was cut off before it could say when it ended.
    #[must_use]
    pub fn never_ended(&self) -> bool {
        self.ended < self.started
    }

    /// The page that shows a request's trace, where one was named.
    pub fn trace_link(&self) -> Option<TraceLink> {
        self.settings["traces"]["link"].as_str()?.parse().ok()
    }
}

/// `20261122T100000Z-1a2b3c`: sorts by time, and two runs that start together differ.
pub fn run_id() -> String {
    let now = Timestamp::now();
    let mut digest = Sha256::new();
    digest.update(now.nanos().to_le_bytes());
    digest.update(std::process::id().to_le_bytes());
    format!("{}-{}", stamp(now), hex(&digest.finalize()[..3]))
}

/// `reports/20261122T100000Z`, or one that nothing has yet: `reports/20261122T100000Z-2`.
pub fn default_path() -> PathBuf {
    free(&format!("reports/{}", stamp(Timestamp::now())), "")
}

/// A path that nothing has: `begin` and `end`, with a number between them where that is taken.
pub(crate) fn free(begin: &str, end: &str) -> PathBuf {
    let numbers = (2..).map(|number: u64| format!("-{number}"));
    let mut paths =
        std::iter::once(String::new()).chain(numbers).map(|n| format!("{begin}{n}{end}"));
    let is_free = |path: &String| {
        [path.clone(), format!("{path}.part")].iter().all(|path| !Path::new(path).exists())
    };
    paths.find(is_free).map(PathBuf::from).expect("not all numbers are taken")
}

/// `20261122T100000Z`
pub(crate) fn stamp(at: Timestamp) -> String {
    let text = at.to_string();
    let digits: String = text[..19].chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{digits}Z")
}

/// A command line for files: values of `--header` may be secrets, and so may be what stands in URLs
/// beside host and path.
pub fn command_line(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut header = false;
    arguments
        .map(|argument| {
            let masked = match argument.strip_prefix("--header=") {
                Some(field) => format!("--header={}", without_value(field)),
                None if header => without_value(&argument),
                None => match argument
                    .split_once("://")
                    .is_some()
                    .then(|| mask_url(&argument))
                    .flatten()
                {
                    Some(url) => url,
                    None => argument.clone(),
                },
            };
            header = argument == "--header";
            masked
        })
        .collect()
}

pub(crate) fn without_value(field: &str) -> String {
    field.split_once(':').map_or_else(|| field.to_owned(), |(name, _)| format!("{name}: (masked)"))
}

/// `--flag=URL`, `H=URL` or `URL` without secrets; none where there is no URL in it.
fn mask_url(argument: &str) -> Option<String> {
    let colon = argument.find("://")?;
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let scheme = argument.as_bytes()[..colon].iter().rev().take_while(|byte| is_scheme(byte));
    let (before, url) = argument.split_at(colon - scheme.count());
    Some(format!("{before}{}", shown::without_secrets(url)))
}

/// A URL without user information and query.
pub fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot have any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.as_str().to_owned()
}

/// The machine: name, cores, kernel.
pub fn host() -> serde_json::Value {
    let system = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    serde_json::json!({
        "name": system.nodename().to_string_lossy(),
        "cores": cores,
        "kernel": system.release().to_string_lossy(),
        "machine": system.machine().to_string_lossy(),
    })
}

/// The folders that this program writes to: locked by a file in them.
static HELD: Mutex<BTreeMap<PathBuf, Weak<File>>> = Mutex::new(BTreeMap::new());

/// Keeps other programs from writing to `folder`, as long as any of this one's steps does.
fn hold(folder: &Path) -> Result<Arc<File>, RunError> {
    let path = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut held = HELD.lock().expect("no holder of this lock panics");
    if let Some(file) = held.get(&path).and_then(Weak::upgrade) {
        return Ok(file);
    }
    let file = local::lock(&path.join(names::LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => RunError::Busy(folder.to_owned()),
        _ => RunError::io("write to", folder)(error),
    })?;
    let file = Arc::new(file);
    held.insert(path, Arc::downgrade(&file));
    Ok(file)
}

/// Keeps runs away from the folder of the file at `path`, as long as what it answers is kept: who
/// writes a file there does not write into a run that is under way.
pub(crate) fn hold_off(path: &Path) -> Result<Option<File>, RunError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let Ok(full) = folder.canonicalize() else { return Ok(None) };
    // A run of this program writes its own files.
    let held = HELD.lock().expect("no holder of this lock panics");
    if held.get(&full).is_some_and(|file| file.strong_count() > 0) {
        return Ok(None);
    }
    local::lock_to_read(&full.join(names::LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => RunError::Busy(folder.to_owned()),
        _ => RunError::io("write to", folder)(error),
    })
}

/// A file, or the same compressed.
pub(crate) fn present(path: &Path) -> bool {
    path.is_file() || zst(path).is_file()
}

/// The name that a file has in a folder, of which `has` knows the files: its own, else that of the
/// same compressed.
fn name_in<E>(
    name: &str,
    mut has: impl FnMut(&str) -> Result<bool, E>,
) -> Result<Option<String>, E> {
    for form in [PathBuf::from(name), zst(Path::new(name))] {
        let form = form.to_string_lossy().into_owned();
        if has(&form)? {
            return Ok(Some(form));
        }
    }
    Ok(None)
}

/// The recording in a folder, here or in a store, of which `has` knows the files.
pub(crate) fn recording_in<E>(
    has: impl FnMut(&str) -> Result<bool, E>,
) -> Result<Option<String>, E> {
    name_in(names::EXCHANGES, has)
}

/// Whether a run is in a folder, here or in a store, of which `has` knows the files: what was run,
/// or only its records.
pub(crate) fn is_run_in<E>(mut has: impl FnMut(&str) -> Result<bool, E>) -> Result<bool, E> {
    Ok(has(names::RUN)? || name_in(names::OUTCOMES, has)?.is_some())
}

/// What a folder here has.
fn has_file(folder: &Path) -> impl Fn(&str) -> Result<bool, Infallible> {
    move |name| Ok(folder.join(name).is_file())
}

/// Whether a run is in `folder`.
pub(crate) fn is_there(folder: &Path) -> bool {
    let Ok(is_there) = is_run_in(has_file(folder));
    is_there
}

/// The recording in `folder`.
pub(crate) fn recording_of(folder: &Path) -> Option<PathBuf> {
    let Ok(name) = recording_in(has_file(folder));
    name.map(|name| folder.join(name))
}

fn discard(folder: &Path) {
    if !folder.join(names::RUN).exists() {
        let _ = std::fs::remove_file(folder.join(names::LOCK));
        let _ = std::fs::remove_dir(folder);
    }
}

/// Takes away the folders in which no run came to be: the program ends in the midst of something.
pub(crate) fn discard_unfinished() {
    if let Ok(held) = HELD.lock() {
        held.iter().filter(|(_, file)| file.strong_count() > 0).for_each(|(path, _)| discard(path));
    }
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Kept for as long as it may be written to.
    _lock: Option<Arc<File>>,
}

impl RunFolder {
    /// Makes the folder of a new run. One that holds a run already is refused unless `force`.
    pub fn create(path: &Path, force: bool) -> Result<Self, RunError> {
        std::fs::create_dir_all(path).map_err(RunError::io("make the folder", path))?;
        let lock = hold(path)?;
        if is_there(path) {
            if !force {
                return Err(RunError::Taken(path.to_owned()));
            }
            // Of another user the folder may be, and its files are new in any case.
            let _ = mode::keep_old(path);
        }
        Ok(Self { path: path.to_owned(), _lock: Some(lock) })
    }

    /// Takes away a folder in which no run came to be.
    pub(crate) fn discard(&self) {
        discard(&self.path);
    }

    /// The same where a mock has begun its ledger in it.
    pub(crate) fn discard_begun(&self) {
        if !is_there(&self.path) {
            for name in [names::EGRESS, names::BINDINGS] {
                let _ = std::fs::remove_file(self.file(name));
            }
            self.discard();
        }
    }

    /// Opens the folder of a run that was made before, to write into it.
    pub fn open_to_write(path: &Path) -> Result<Self, RunError> {
        let folder = Self::open(path)?;
        Ok(Self { _lock: Some(hold(path)?), ..folder })
    }

    /// Opens the folder of a run that was made before.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        if is_there(path) {
            return Ok(Self { path: path.to_owned(), _lock: None });
        }
        // What may not be looked into is not empty, and what may not be reached is not missing.
        let looked = path.join(names::RUN).try_exists().err();
        let denied = looked.filter(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let why = match (path.is_dir(), path.exists()) {
            _ if denied.is_some() => "this user may not look into it".to_owned(),
            (true, _) => format!("it has no {} and no {}", names::RUN, names::OUTCOMES),
            (false, true) => "it is a file".to_owned(),
            (false, false) => "there is none".to_owned(),
        };
        Err(RunError::NoRun { name: path.display().to_string(), why })
    }

    /// The same for who reads all of it: nobody writes to it meanwhile.
    pub(crate) fn open_at_rest(path: &Path) -> Result<Self, RunError> {
        let folder = Self::open(path)?;
        let lock = local::lock_to_read(&folder.file(names::LOCK));
        let lock = lock.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => RunError::Busy(path.to_owned()),
            _ => RunError::io("read", path)(error),
        })?;
        Ok(Self { _lock: lock.map(Arc::new), ..folder })
    }

    /// Takes away what an earlier run left, so that nothing of it can be taken for this one's: all
    /// files that commands write here, but the recording with its places and, where
    /// `keep_egress`, the mock's ledger.
    pub(crate) fn clear(&self, keep_egress: bool) -> Result<(), RunError> {
        let files = [
            names::OUTCOMES,
            names::BASELINE,
            names::DIFFERENCES,
            names::CLUSTERS,
            names::DIFF,
            names::ROUTES,
            names::NOISE,
            names::MEASURED,
            names::PLACED,
            names::FLOWS,
            names::BINDINGS,
            names::BASELINE_BINDINGS,
            names::MISMATCHES,
        ];
        let egress = (!keep_egress).then_some(names::EGRESS);
        for name in files.into_iter().chain(crate::report::names::ALL.iter().copied()).chain(egress)
        {
            let kinds = [name.to_owned(), format!("{name}.zst"), format!(".{name}.part")];
            for path in kinds.map(|name| self.file(&name)) {
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(RunError::io("remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Compresses the records, which are read as they were under their names with `.zst`.
    pub(crate) fn compress(&self) -> io::Result<()> {
        [names::EXCHANGES, names::OUTCOMES, names::BASELINE, names::DIFFERENCES]
            .into_iter()
            .map(|name| self.file(name))
            .filter(|path| path.is_file())
            .try_for_each(|path| compress(&path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads `run.json`; where another program made the folder and there is none, the first line of
    /// the outcomes says what it can.
    pub fn info(&self) -> Result<RunInfo, RunError> {
        let path = self.file(names::RUN);
        if !path.exists() {
            return self.info_of_outcomes();
        }
        json(&path)
    }

    fn info_of_outcomes(&self) -> Result<RunInfo, RunError> {
        let path = self.file(names::OUTCOMES);
        let mut line = String::new();
        open_records(&path)
            .and_then(|file| BufReader::new(file.take(FIRST_LINE)).read_line(&mut line))
            .map_err(RunError::io("read", &path))?;
        let header: OutcomesHeader =
            serde_json::from_str(&line).map_err(|cause| RunError::Outcomes { path, cause })?;
        Ok(RunInfo {
            run: header.run,
            target: header.target,
            settings: header.settings,
            started: header.started,
            ended: header.started,
            ..RunInfo::default()
        })
    }

    /// Writes `run.json`.
    pub fn write_info(&self, info: &RunInfo) -> Result<(), RunError> {
        let path = self.file(names::RUN);
        let mut text =
            serde_json::to_vec_pretty(info).expect("a record of strings and integers serialises");
        text.push(b'\n');
        local::replace(&path, &text).map_err(RunError::io("write", &path))
    }
}

/// A file of a run that holds one value.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = std::fs::read(path).map_err(RunError::io("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|cause| RunError::Damaged { path: path.to_owned(), cause })
}

/// Puts a file of records, compressed, in its own place.
fn compress(path: &Path) -> io::Result<()> {
    let part = local::UnfinishedFile::create(&zst(path))?;
    let mut encoder = zstd::stream::write::Encoder::new(part.file()?, ZSTD_LEVEL)?;
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    part.commit()?;
    std::fs::remove_file(path)
}

/// Gives each line of a file of records, which may be compressed, with its number from 1; blank
/// lines are left out, and a file that is not there has none.
pub fn lines<E: From<RunError>>(
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if !present(path) {
        return Ok(());
    }
    let file = open_records(path).map_err(RunError::io("read", path))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line);
        if read.map_err(RunError::io("read", path))? == 0 {
            break;
        }
        if !line.trim_ascii().is_empty() {
            each(number, &line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_nobody_named_is_a_free_one() {
        let folder = tempfile::tempdir().unwrap();
        let begin = folder.path().join("20261122T100000Z").to_str().unwrap().to_owned();
        let next = || free(&begin, ".pcap").to_str().unwrap()[begin.len()..].to_owned();
        assert_eq!(next(), ".pcap");
        std::fs::write(format!("{begin}.pcap"), "").unwrap();
        assert_eq!(next(), "-2.pcap");
        std::fs::write(format!("{begin}-2.pcap.part"), "").unwrap();
        assert_eq!(next(), "-3.pcap");
    }

    #[test]
    fn no_secret_reaches_the_file() {
        let line = [
            "shadowtap",
            "replay",
            "--header",
            "Authorization: Bearer s3cret",
            "--header=Cookie: s3cret",
            "--wait-ready=http://user:s3cret@v2:80/healthz?token=s3cret",
            "http://user:s3cret@store/v1.pcap",
            "--map-host",
            "a=http://v2:81",
        ];
        let masked = command_line(line.iter().map(|&argument| argument.to_owned()));
        assert!(!masked.concat().contains("s3cret"), "{masked:?}");
        assert_eq!(
            masked[3..6],
            [
                "Authorization: (masked)",
                "--header=Cookie: (masked)",
                "--wait-ready=http://v2:80/healthz"
            ]
        );
        assert_eq!(masked[8], "a=http://v2:81");
    }

    #[test]
    fn runs_have_names_of_their_own() {
        assert_ne!(run_id(), run_id());
    }
}
