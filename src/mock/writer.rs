//! Writes the ledger behind the calls, on a thread of its own. A call waits for its line only where
//! more lines wait than may: that is its backpressure.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::journal::{Entry, Missing};
use super::ledger::{Broken, LedgerEnd, LedgerHeader, VerdictCounts};
use super::matcher::CallQuery;
use super::teller::Teller;
use crate::limits::{MOCK_LINES, MOCK_LINES_BYTES};
use crate::message::Request;
use crate::mode;
use crate::record::exchanges::write_line;
use crate::time::{Monotonic, Timestamp};

/// How often the ledger is put on disk.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// Calls that are written together, where they come fast.
const TOGETHER: usize = 64;

/// A call that waits for its line.
pub(super) struct WaitingCall {
    pub(super) entry: Entry,
    pub(super) host: String,
    pub(super) route: Arc<str>,
    pub(super) request: Request,
}

/// The ledger that is being written; ends when dropped.
pub(super) struct LedgerWriter {
    shared: Arc<LedgerShared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
}

struct LedgerShared {
    teller: Arc<Teller>,
    queue: Mutex<LineQueue>,
    more: Condvar,
    /// Taken before the queue's lock, never while that is held: lines keep the queue's order.
    ledger: Mutex<LedgerFile>,
}

#[derive(Default)]
struct LineQueue {
    calls: Vec<WaitingCall>,
    /// Bytes of their bodies.
    bytes: usize,
    ended: bool,
}

struct LedgerFile {
    file: Option<BufWriter<File>>,
    line: Vec<u8>,
    /// The first error of the file; told at the end.
    error: Option<io::Error>,
}

/// A new ledger at `path`, for one writer alone.
fn open(path: &Path) -> io::Result<File> {
    mode::make_folder_of(path)?;
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        == Err(rustix::io::Errno::WOULDBLOCK)
    {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "another mock is writing it"));
    }
    if file.metadata()?.is_file() {
        mode::keep_old(path)?;
        file.set_len(0)?;
    }
    Ok(file)
}

impl LedgerWriter {
    /// Opens the ledger at `path` and writes its first line.
    pub(super) fn start(path: &Path, inputs: &[String], teller: Arc<Teller>) -> io::Result<Self> {
        let mut file = BufWriter::new(open(path)?);
        let mut line = Vec::new();
        let recorded = teller.recording.len() as u64;
        write_line(&mut line, &LedgerHeader::new(Timestamp::now(), inputs.to_vec(), recorded));
        file.write_all(&line)?;
        file.flush()?;
        let shared = Arc::new(LedgerShared {
            teller,
            queue: Mutex::default(),
            more: Condvar::new(),
            ledger: Mutex::new(LedgerFile { file: Some(file), line, error: None }),
        });
        let writing = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("mock-ledger".to_owned()).spawn(move || {
                let mut flushed = Monotonic::now();
                while writing.wait() {
                    let idle = writing.write_all() < TOGETHER;
                    if idle || flushed.elapsed() >= FLUSH_EVERY.as_nanos() as i64 {
                        writing.ledger().flush();
                        flushed = Monotonic::now();
                    }
                }
                writing.write_all();
            })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), path: path.to_owned() })
    }

    /// Takes a call; in the order of the decisions. Whether more wait than may: then
    /// [`Self::catch_up`] is to be called.
    pub(super) fn push(&self, call: WaitingCall) -> bool {
        let mut queue = self.shared.queue();
        queue.bytes += call.request.body.bytes.len();
        queue.calls.push(call);
        if queue.calls.len() == TOGETHER {
            self.shared.more.notify_one();
        }
        queue.calls.len() > MOCK_LINES || queue.bytes > MOCK_LINES_BYTES
    }

    /// Writes what waits, on this thread.
    pub(super) fn catch_up(&self) {
        self.shared.write_all();
    }

    /// Writes what waits, the calls that v2 did not make, and the last line.
    pub(super) fn finish(
        &self,
        missing: &[Missing],
        counts: &VerdictCounts,
        broken: Broken,
    ) -> io::Result<PathBuf> {
        self.end();
        let mut ledger = self.shared.ledger();
        for missing in missing {
            let call = self.shared.teller.missing(missing);
            for _ in 0..missing.lacking {
                ledger.write(&call);
            }
        }
        ledger.write(&LedgerEnd::new(counts, broken));
        ledger.flush();
        match ledger.error.take() {
            Some(error) => Err(error),
            None => Ok(self.path.clone()),
        }
    }

    /// Lets the thread write what waits, and ends it.
    fn end(&self) {
        self.shared.queue().ended = true;
        self.shared.more.notify_one();
        let thread = self.thread.lock().expect("no holder of this lock panics").take();
        if let Some(thread) = thread {
            // A panic was told on standard error; what it did not write is missing.
            let _ = thread.join();
        }
    }
}

impl Drop for LedgerWriter {
    fn drop(&mut self) {
        self.end();
    }
}

impl LedgerShared {
    fn queue(&self) -> MutexGuard<'_, LineQueue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    fn ledger(&self) -> MutexGuard<'_, LedgerFile> {
        self.ledger.lock().expect("no holder of this lock panics")
    }

    /// Waits until there is something to write, and for no longer than a line may be missing on
    /// disk; false at the end.
    fn wait(&self) -> bool {
        let idle = |queue: &mut LineQueue| !queue.ended && queue.calls.len() < TOGETHER;
        let waited = self.more.wait_timeout_while(self.queue(), FLUSH_EVERY, idle);
        !waited.expect("no holder of this lock panics").0.ended
    }

    /// Writes what waits; how many calls.
    fn write_all(&self) -> usize {
        let mut ledger = self.ledger();
        let calls = {
            let mut queue = self.queue();
            queue.bytes = 0;
            std::mem::take(&mut queue.calls)
        };
        for WaitingCall { entry, host, route, request } in &calls {
            let call = self.teller.call(entry, &CallQuery::new(host, request), route);
            ledger.write(&call);
        }
        calls.len()
    }
}

impl LedgerFile {
    fn write(&mut self, line: &impl serde::Serialize) {
        let Some(file) = &mut self.file else { return };
        self.line.clear();
        write_line(&mut self.line, line);
        if let Err(error) = file.write_all(&self.line) {
            self.error.get_or_insert(error);
            self.file = None;
        }
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush()
        {
            self.error.get_or_insert(error);
        }
    }
}
