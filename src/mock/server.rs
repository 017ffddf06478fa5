//! The mock on the network: a server by Host, a forward proxy, a CONNECT proxy and an HTTPS server
//! on one port.
//!
//! It fails closed: nothing in here opens a connection. A client that hangs holds its own
//! connection only, and not for good; HTTP/1 is spoken by `h1`, with the bytes as they were
//! recorded, HTTP/2 by `h2`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::authority::{Authority, AuthorityError};
use super::fault::Faults;
use super::journal::Journal;
use super::ledger::{Broken, Call, VerdictCounts};
use super::matcher::{MatchPolicy, Stock};
use super::namespace::Namespace;
use super::recording::CallRecording;
use super::seats::{Seat, Seats};
use super::shared::{CallerConnection, SharedMock, Timing, Trouble, count};
use super::stream::{Duplex, Prefixed};
use super::teller::Teller;
use super::writer::LedgerWriter;
use super::{h1, h2};
use crate::exchange::ExchangeId;
use crate::message::target::host_and_port;
use crate::redact::Masker;
use crate::replay::UnderWay;

/// Connections that wait to be taken; the kernel takes no more than its own limit.
const WAITING: i32 = 4_096;
/// Most connections at once; beyond, those that have waited longest for a request give way.
const CONNECTIONS: usize = 10_000;
/// Files that are not connections.
const OTHER_FILES: usize = 64;
/// How long a client may take for a head, a TLS handshake, the next piece of a body, or to read on.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most tunnels and TLS sessions inside each other.
const LAYERS: usize = 4;
/// How long the end waits for answers that are on their way.
const END_PATIENCE: Duration = Duration::from_millis(500);
/// How long accepting pauses where the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How to run a mock.
#[derive(Clone)]
pub struct ServeSettings {
    /// Where to listen; port 0 is a free one.
    pub listen: SocketAddr,
    /// When answers are given.
    pub timing: Timing,
    /// How calls are matched.
    pub policy: MatchPolicy,
    /// Faults on purpose.
    pub faults: Faults,
    /// The folder of the local certificate authority; none: no HTTPS.
    pub authority: Option<PathBuf>,
    /// Names under which v2 calls providers: `(name, recorded host)`.
    pub aliases: Vec<(String, String)>,
    /// Where to write the ledger.
    pub log: Option<PathBuf>,
    /// The inputs' names, for the ledger.
    pub inputs: Vec<String>,
    /// Told of each call; with it, answers carry the choice in `x-shadowtap-mock`.
    pub explain: Option<Arc<dyn Fn(&Call) + Send + Sync>>,
    /// Threads that answer; 0: as many as there are cores, at most 8.
    pub threads: usize,
    /// Masks secrets in the ledger and in misses.
    pub masker: Masker,
    /// How long a client may take for a head, the next piece of a body, or to read on.
    pub patience: Duration,
    /// How often each exchange is replayed (`--multiply`, `--loop`).
    pub copies: u32,
    /// The run's `bindings.jsonl`, which may grow: what v2 issued to its clients.
    pub bindings: Option<PathBuf>,
    /// Most connections at once.
    pub connections: usize,
}

impl ServeSettings {
    /// The defaults, listening at `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            timing: Timing::None,
            policy: MatchPolicy::default(),
            faults: Faults::default(),
            authority: None,
            aliases: vec![],
            log: None,
            inputs: vec![],
            explain: None,
            threads: 0,
            masker: Masker::random(),
            patience: PATIENCE,
            copies: 1,
            bindings: None,
            connections: CONNECTIONS,
        }
    }
}

/// Why a mock cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The ledger.
    #[error("cannot write {path}")]
    Log {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The certificate authority.
    #[error("no certificate authority")]
    Authority(#[from] AuthorityError),
    /// Threads.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
}

/// What came of a mock's run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MockFinished {
    /// Calls by verdict.
    pub counts: VerdictCounts,
    /// What went wrong with clients.
    pub broken: Broken,
    /// Where the ledger was written.
    pub log: Option<PathBuf>,
}

/// A running mock; ends when dropped.
pub struct Handle {
    address: SocketAddr,
    shared: Arc<SharedMock>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Handle {
    /// Starts a mock on threads of its own.
    pub fn start(recording: CallRecording, settings: ServeSettings) -> Result<Self, StartError> {
        Self::start_beside(recording, settings, false)
    }

    /// Starts a mock; `watches` says that a replay in this process tells by [`Handle::under_way`]
    /// what is at v2.
    pub fn start_beside(
        recording: CallRecording,
        settings: ServeSettings,
        watches: bool,
    ) -> Result<Self, StartError> {
        let files = raise_file_limit();
        let under_way = Arc::new(recording.watch());
        let recording = Arc::new(recording);
        let authority = settings.authority.as_deref().map(Authority::open).transpose()?;
        let listen = |cause| StartError::Listen { address: settings.listen, cause };
        let listener = TcpListener::bind(settings.listen).map_err(listen)?;
        // Many callers connect at once; the library's queue of 128 would let them wait a second.
        rustix::net::listen(&listener, WAITING).map_err(|cause| listen(cause.into()))?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let can_reset = settings.faults.can_reset();
        let stock = Stock::new(&recording, settings.copies, watches.then(|| under_way.clone()));
        let journal = Journal::new(Arc::clone(&recording), settings.policy, settings.faults, stock);
        let teller =
            Arc::new(Teller { recording: Arc::clone(&recording), masker: settings.masker });
        let start = |path: &PathBuf| {
            LedgerWriter::start(path, &settings.inputs, Arc::clone(&teller))
                .map_err(|cause| StartError::Log { path: path.clone(), cause })
        };
        let writer = settings.log.as_ref().map(start).transpose()?;
        let shared = Arc::new(SharedMock {
            recording,
            timing: settings.timing,
            aliases: settings.aliases,
            own: [
                address.to_string(),
                format!("localhost:{}", address.port()),
                address.ip().to_string(),
            ],
            own_port: format!(":{}", address.port()),
            authority,
            explain: settings.explain,
            can_reset,
            connections: settings.connections.min(files.saturating_sub(OTHER_FILES)).max(1),
            patience: settings.patience,
            held: AtomicUsize::new(0),
            trouble: Trouble::default(),
            under_way,
            watches,
            journal: Mutex::new(journal),
            teller,
            writer,
            namespace: settings.bindings.map(|path| Mutex::new(Namespace::of(path))),
        });
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(8),
            threads => threads,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("mock")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        {
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener).map_err(listen)?;
            runtime.spawn(accept(listener, Arc::clone(&shared)));
        }
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// To be told of the requests that v2 has not answered yet.
    pub fn under_way(&self) -> Arc<UnderWay> {
        Arc::clone(&self.shared.under_way)
    }

    /// Calls so far.
    pub fn counts(&self) -> VerdictCounts {
        self.shared.journal.lock().expect("no holder of this lock panics").counts()
    }

    /// What went wrong with clients so far.
    pub fn broken(&self) -> Broken {
        self.shared.trouble.counts()
    }

    /// Ends it and closes the ledger. Calls of v1 that v2 did not make are missing, unless they
    /// were caused by an exchange that `replayed` denies. Must not be called within a runtime.
    pub fn stop(mut self, replayed: &dyn Fn(ExchangeId) -> bool) -> io::Result<MockFinished> {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END_PATIENCE);
        }
        let broken = self.broken();
        let mut journal = self.shared.journal.lock().expect("no holder of this lock panics");
        let missing = journal.missing(replayed);
        let counts = journal.counts();
        let log = match &self.shared.writer {
            Some(writer) => Some(writer.finish(&missing, &counts, broken)?),
            None => None,
        };
        Ok(MockFinished { counts, broken, log })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// As many connections as the system allows: the default of 1,024 files is less than a busy v2
/// opens. Gives how many files there may be.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it cannot be raised, what is there must do.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let files = getrlimit(Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<SharedMock>) {
    let free = Arc::new(Semaphore::new(shared.connections));
    let seats = Seats::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely there are no more descriptors.
            seats.make_room();
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if free.available_permits() == 0 {
            seats.make_room();
        }
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let (shared, seat) = (Arc::clone(&shared), seats.take());
        tokio::spawn(async move {
            serve_socket(stream, seat, &shared).await;
            drop(place);
        });
    }
}

async fn serve_socket(stream: TcpStream, seat: Arc<Seat>, shared: &Arc<SharedMock>) {
    let _ = stream.set_nodelay(true);
    let raw = if shared.can_reset { rustix::io::dup(&stream).ok() } else { None };
    serve(Box::new(stream), CallerConnection { tunnel: None, raw, seat }, shared).await;
}

/// The first byte of a TLS record with a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;
/// How the preface of HTTP/2 begins (RFC 9113 §3.4); no method does.
const PREFACE: &[u8] = b"PRI ";

/// Serves whatever a connection speaks, tunnels and TLS inside each other included.
async fn serve(
    mut stream: Box<dyn Duplex>,
    mut connection: CallerConnection,
    shared: &Arc<SharedMock>,
) {
    for _ in 0..LAYERS {
        let Some(first) = first_bytes(&mut stream, &connection.seat, shared).await else { return };
        if first[0] == TLS_HANDSHAKE {
            let Some(secure) = secure(Prefixed::new(first, stream), &connection, shared).await
            else {
                return count(&shared.trouble.no_tls);
            };
            stream = secure;
        } else if first.starts_with(PREFACE) {
            return h2::serve(Prefixed::new(first, stream), connection, Arc::clone(shared)).await;
        } else {
            let Some(tunnel) = h1::serve(stream, first, &connection, shared).await else { return };
            connection.tunnel = Some(tunnel.authority);
            stream = Box::new(Prefixed::new(tunnel.left, tunnel.stream));
        }
    }
}

/// What comes first on a connection: enough to know what it speaks. None where nothing comes.
async fn first_bytes(
    stream: &mut Box<dyn Duplex>,
    seat: &Seat,
    shared: &SharedMock,
) -> Option<Vec<u8>> {
    let mut first = Vec::with_capacity(h1::READ_BYTES);
    loop {
        let read = tokio::time::timeout(shared.idle(), stream.read_buf(&mut first));
        match seat.wait(read).await? {
            Ok(Ok(1..)) if PREFACE.starts_with(&first) && first.len() < PREFACE.len() => {}
            Ok(Ok(1..)) => return Some(first),
            _ => {
                if !first.is_empty() {
                    count(&shared.trouble.unfinished);
                }
                return None;
            }
        }
    }
}

/// The server's side of TLS, with a certificate for the name that the client asks for.
async fn secure(
    stream: Prefixed,
    connection: &CallerConnection,
    shared: &SharedMock,
) -> Option<Box<dyn Duplex>> {
    let Some(authority) = &shared.authority else {
        tracing::warn!("a client speaks TLS: start the mock with --ca-dir to answer it");
        return None;
    };
    let accepted = tokio::time::timeout(shared.patience, async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = start.client_hello().server_name().map(str::to_owned);
        let name = name
            .or_else(|| connection.tunnel.as_deref().map(bare))
            .unwrap_or_else(|| shared.own[2].clone());
        let config = authority.server(&name).map_err(io::Error::other)?;
        start.into_stream(config).await
    });
    match accepted.await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => tracing::info!("a TLS handshake failed: {error}"),
        Err(_) => tracing::info!("a TLS handshake took too long"),
    }
    None
}

/// A host without its port.
fn bare(host: &str) -> String {
    host_and_port(host).0.trim_start_matches('[').trim_end_matches(']').to_owned()
}
