//! Files on their way to a store: a capture hands each over when it is complete, and it is kept
//! until the store has it, however long that takes. What an earlier capture left goes first.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::remote::{Remote, StoreError};

/// How long is waited after a first failure; twice as long after each further one, up to the
/// second.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// What one attempt may take of tries and time: this queue tries again by itself.
const TRIES: (usize, Duration) = (1, Duration::from_secs(10));
/// Names that are tried for a file where other objects have its own.
const NAMES: u32 = 1_000;

/// A file that waits.
struct WaitingFile {
    path: PathBuf,
    /// An attempt may have put it there, and nobody heard of it.
    uncertain: bool,
}

#[derive(Default)]
struct UploadState {
    waiting: VecDeque<WaitingFile>,
    /// Files that the store has and that are still here, oldest first.
    kept: VecDeque<PathBuf>,
    sent: u64,
    /// No more come.
    closed: bool,
    /// Why the last attempt failed; none since one succeeded.
    failing: Option<String>,
}

struct Queue {
    to: Remote,
    /// How many files stay here that the store has.
    keep: usize,
    state: Mutex<UploadState>,
    changed: Condvar,
}

/// What became of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentFiles {
    /// Files that the store has.
    pub files: u64,
    /// Files that it has not, which are still here.
    pub left: Vec<PathBuf>,
    /// Why.
    pub why: Option<String>,
}

/// Hands files over.
#[derive(Clone)]
pub struct Uploads(Arc<Queue>);

impl std::fmt::Debug for Uploads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uploads to {:?}", self.0.to)
    }
}

/// The thread that sends them.
pub struct Sender {
    uploads: Uploads,
    thread: JoinHandle<()>,
}

/// Starts to send files to the prefix `url`, keeping the newest `keep` here as well; first what an
/// earlier capture left in `spool`: files whose names end in `ending`, also such as it was killed
/// at.
pub fn start(url: &str, spool: &Path, ending: &str, keep: usize) -> io::Result<(Uploads, Sender)> {
    let to = Remote::with_patience(url, TRIES.0, TRIES.1)?;
    let mut state = UploadState::default();
    for path in left_over(spool, ending)? {
        tracing::info!("{} was left by an earlier capture: it goes first", path.display());
        state.waiting.push_back(WaitingFile { path, uncertain: true });
    }
    let queue = Queue { to, keep, state: Mutex::new(state), changed: Condvar::new() };
    let uploads = Uploads(Arc::new(queue));
    let of_thread = uploads.clone();
    let thread = std::thread::Builder::new()
        .name("uploads".to_owned())
        .spawn(move || of_thread.0.send_all())?;
    Ok((uploads.clone(), Sender { uploads, thread }))
}

/// Complete files of an earlier capture, and what one was killed at, by its name when complete.
fn left_over(spool: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(spool) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let holds = fs::metadata(&path).is_ok_and(|data| data.is_file() && data.len() > 0);
        if !holds || name.starts_with('.') {
            continue;
        }
        if name.ends_with(ending) {
            found.push(path);
        } else if let Some((whole, _)) = name.split_once(".part")
            && whole.ends_with(ending)
            && !is_locked(&path)
        {
            let whole = (0..NAMES)
                .map(|n| spool.join(numbered(whole, ending, n)))
                .find(|whole| !whole.exists());
            let Some(whole) = whole else { continue };
            fs::rename(&path, &whole)?;
            found.push(whole);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether another capture writes it.
fn is_locked(path: &Path) -> bool {
    let file = fs::File::open(path);
    file.is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

/// `v1.pcap` for 0, `v1-2.pcap` for 1, and so on.
fn numbered(name: &str, ending: &str, n: u32) -> String {
    match n {
        0 => name.to_owned(),
        n => format!("{}-{}{ending}", name.strip_suffix(ending).unwrap_or(name), n + 1),
    }
}

impl Uploads {
    /// Hands over a complete file.
    pub fn push(&self, path: PathBuf) {
        self.0.state().waiting.push_back(WaitingFile { path, uncertain: false });
        self.0.changed.notify_all();
    }

    /// How many files the store has, and how many wait.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.0.state();
        (state.sent, state.waiting.len() as u64)
    }
}

impl Sender {
    /// Waits for the files that are under way, and for those that wait as long as the store takes
    /// them.
    pub fn finish(self) -> SentFiles {
        self.uploads.0.state().closed = true;
        self.uploads.0.changed.notify_all();
        // A thread that panicked has sent nothing more: what it had not sent is left.
        let _ = self.thread.join();
        let mut state = self.uploads.0.state();
        let left = state.waiting.drain(..).map(|waiting| waiting.path).collect();
        SentFiles { files: state.sent, left, why: state.failing.take() }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn send_all(&self) {
        let mut wait = WAITS.0;
        while let Some((path, uncertain)) = self.next() {
            let sent = self.send(&path, uncertain);
            let mut state = self.state();
            match sent {
                Ok(()) => {
                    state.waiting.pop_front();
                    state.sent += 1;
                    state.failing = None;
                    state.kept.push_back(path);
                    wait = WAITS.0;
                    let surplus = state.kept.len().saturating_sub(self.keep);
                    for path in state.kept.drain(..surplus) {
                        if let Err(error) = fs::remove_file(&path) {
                            tracing::warn!("cannot remove {}: {error}", path.display());
                        }
                    }
                }
                Err(error) => {
                    let why = with_causes(&error);
                    if state.failing.is_none() {
                        let (url, path) = (self.to.url(), path.display());
                        tracing::warn!("{path} waits for {url}: {why}");
                    }
                    state.failing = Some(why);
                    if let Some(waiting) = state.waiting.front_mut() {
                        waiting.uncertain = true;
                    }
                    // At the end of the capture an attempt that fails is the last one.
                    if state.closed {
                        return;
                    }
                    let waited =
                        self.changed.wait_timeout_while(state, wait, |state| !state.closed);
                    drop(waited);
                    wait = (wait * 2).min(WAITS.1);
                }
            }
        }
    }

    /// The next file, once there is one; none at the end.
    fn next(&self) -> Option<(PathBuf, bool)> {
        let state = self.state();
        let state = self
            .changed
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.waiting.front().map(|waiting| (waiting.path.clone(), waiting.uncertain))
    }

    /// Sends a file under its name, or under the next one that no other object has.
    fn send(&self, path: &Path, uncertain: bool) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let length = fs::metadata(path)?.len();
        let dot = name.find('.').unwrap_or(name.len());
        for n in 0..NAMES {
            let object = self.to.join(&numbered(&name, &name[dot..], n));
            match object.length()? {
                None => return object.send(path),
                Some(there) if uncertain && there == length => return Ok(()),
                Some(_) => {}
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

fn with_causes(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    // The store's own error is the first cause, and says what failed.
    if let Some(store) = error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>()) {
        next = std::error::Error::source(store);
    }
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::remote::tests::in_memory;

    fn queue(keep: usize) -> Queue {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Queue { to: in_memory("v1"), keep, state, changed }
    }

    fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn files_stay_until_the_store_has_them_and_no_object_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(1);
        let paths = ["a.pcap", "b.pcap"].map(|name| file(folder.path(), name, b"12345"));
        assert!(queue.to.join("a.pcap").create(b"of another node".to_vec()).unwrap());
        for path in &paths {
            let waiting = WaitingFile { path: path.clone(), uncertain: false };
            queue.state().waiting.push_back(waiting);
        }
        queue.state().closed = true;
        queue.send_all();
        let state = queue.state();
        assert_eq!((state.sent, state.waiting.len()), (2, 0));
        assert!(!paths[0].exists() && paths[1].exists(), "the newest stays");
        let length = |name: &str| queue.to.join(name).length().unwrap();
        assert_eq!(length("a.pcap"), Some(15));
        assert_eq!((length("a-2.pcap"), length("b.pcap")), (Some(5), Some(5)));
    }

    #[test]
    fn a_file_that_may_have_been_sent_is_not_sent_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, path) = (queue(0), file(folder.path(), "a.pcap", b"12345"));
        queue.send(&path, false).unwrap();
        queue.send(&path, true).unwrap();
        assert_eq!(queue.to.join("a-2.pcap").length().unwrap(), None);
        queue.send(&path, false).unwrap();
        assert_eq!(queue.to.join("a-2.pcap").length().unwrap(), Some(5));
    }

    #[test]
    fn what_a_killed_capture_left_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.pcap.zst", "b.pcap.zst.part", "a.pcap.zst.part.left-1", "notes.txt", ".x"] {
            file(folder.path(), name, b"x");
        }
        file(folder.path(), "empty.pcap.zst.part", b"");
        let busy = fs::File::open(file(folder.path(), "c.pcap.zst.part", b"x")).unwrap();
        rustix::fs::flock(&busy, FlockOperation::LockExclusive).unwrap();
        let found = left_over(folder.path(), ".pcap.zst").unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a-2.pcap.zst", "a.pcap.zst", "b.pcap.zst"]);
        assert!(left_over(&folder.path().join("none"), ".pcap").unwrap().is_empty());
    }
}
