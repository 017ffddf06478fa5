//! The mock on the network: a server by Host, a forward proxy, a CONNECT proxy and an HTTPS server on one port.
//!
//! It fails closed: nothing in here opens a connection. A client that hangs holds its own connection only, and not for good;
//! a body that is larger than what is compared is read and hashed, not kept.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::answer::{self, Content as AnswerBody, MISS};
use super::authority::{Authority, AuthorityError};
use super::fault::{Action, Faults};
use super::features::{BODY_COMPARED, Content};
use super::journal::{Decision, Finished, Journal};
use super::ledger::{Call, Counts};
use super::matcher::{Policy, Query};
use super::recording::{Recording, canonical_host};
use crate::exchange::ExchangeId;
use crate::exchange::redact::Masker;
use crate::time::{Monotonic, Timestamp};

/// Most connections at once; more wait to be accepted.
const CONNECTIONS: usize = 10_000;
/// How long a client may take for a head, a TLS handshake, or the next piece of a body.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the ledger is put on disk.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How long the end waits for answers that are on their way.
const END_PATIENCE: Duration = Duration::from_millis(500);
/// How long accepting pauses where the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When an answer is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timing {
    /// At once.
    #[default]
    None,
    /// As long after its request as it was recorded, first byte and last byte.
    Recorded,
}

/// How to run a mock.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 is a free one.
    pub listen: SocketAddr,
    /// When answers are given.
    pub timing: Timing,
    /// How calls are matched.
    pub policy: Policy,
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
}

impl Settings {
    /// The defaults, listening at `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            timing: Timing::None,
            policy: Policy::default(),
            faults: Faults::default(),
            authority: None,
            aliases: vec![],
            log: None,
            inputs: vec![],
            explain: None,
            threads: 0,
            masker: Masker::random(),
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

/// A running mock; ends when dropped.
pub struct Handle {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Shared {
    recording: Arc<Recording>,
    timing: Timing,
    aliases: Vec<(String, String)>,
    /// Its own address in the forms that a client may call it by.
    own: [String; 3],
    /// `:` and its port.
    own_port: String,
    authority: Option<Authority>,
    explain: Option<Arc<dyn Fn(&Call) + Send + Sync>>,
    can_reset: bool,
    journal: Mutex<Journal>,
}

/// What is known of a connection.
#[derive(Default)]
struct Connection {
    /// The host of the CONNECT that opened it.
    tunnel: Option<String>,
    /// To reset it, where a fault may want that.
    raw: Option<std::os::fd::OwnedFd>,
}

impl Handle {
    /// Starts a mock on threads of its own.
    pub fn start(recording: Recording, settings: Settings) -> Result<Self, StartError> {
        let recording = Arc::new(recording);
        let authority = settings.authority.as_deref().map(Authority::open).transpose()?;
        let listen = |cause| StartError::Listen { address: settings.listen, cause };
        let listener = TcpListener::bind(settings.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let can_reset = settings.faults.can_reset();
        let journal = Journal::start(
            Arc::clone(&recording),
            settings.policy,
            settings.masker,
            settings.faults,
            settings.log.as_deref(),
            &settings.inputs,
        )
        .map_err(|cause| StartError::Log { path: settings.log.clone().unwrap_or_default(), cause })?;
        let shared = Arc::new(Shared {
            recording,
            timing: settings.timing,
            aliases: settings.aliases,
            own: [address.to_string(), format!("localhost:{}", address.port()), address.ip().to_string()],
            own_port: format!(":{}", address.port()),
            authority,
            explain: settings.explain,
            can_reset,
            journal: Mutex::new(journal),
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
            runtime.spawn(flush(Arc::clone(&shared)));
        }
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls so far.
    pub fn counts(&self) -> Counts {
        self.shared.journal.lock().expect("no holder of this lock panics").counts()
    }

    /// Ends it and closes the ledger. Calls of v1 that v2 did not make are missing, unless they were caused by an exchange that
    /// `replayed` denies. Must not be called within a runtime.
    pub fn stop(mut self, replayed: &dyn Fn(ExchangeId) -> bool) -> io::Result<Finished> {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END_PATIENCE);
        }
        self.shared.journal.lock().expect("no holder of this lock panics").finish(replayed)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn flush(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        shared.journal.lock().expect("no holder of this lock panics").flush();
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            serve_socket(stream, shared).await;
            drop(place);
        });
    }
}

async fn serve_socket(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut first = [0; 1];
    let Ok(Ok(1..)) = tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await else { return };
    let raw = if shared.can_reset { rustix::io::dup(&stream).ok() } else { None };
    serve(stream, first[0], shared, Connection { tunnel: None, raw }).await;
}

/// The first byte of a TLS record with a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Serves a connection whose first byte is known (and not taken from it).
async fn serve<S>(stream: S, first: u8, shared: Arc<Shared>, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if first != TLS_HANDSHAKE {
        return serve_http(stream, shared, connection).await;
    }
    let Some(authority) = &shared.authority else {
        tracing::warn!("a client speaks TLS: start the mock with --ca-dir to answer it");
        return;
    };
    let accepted = tokio::time::timeout(PATIENCE, async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = start.client_hello().server_name().map(str::to_owned);
        let name = name.or_else(|| connection.tunnel.as_deref().map(bare)).unwrap_or_else(|| shared.own[2].clone());
        let config = authority.server(&name).map_err(io::Error::other)?;
        start.into_stream(config).await
    });
    match accepted.await {
        Ok(Ok(stream)) => serve_http(stream, shared, connection).await,
        Ok(Err(error)) => tracing::info!("a TLS handshake failed: {error}"),
        Err(_) => tracing::info!("a TLS handshake took too long"),
    }
}

/// A host without its port.
fn bare(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Ends a connection without an answer; hyper closes it.
#[derive(Debug, thiserror::Error)]
#[error("ended on purpose")]
struct Cut;

fn serve_http<S>(stream: S, shared: Arc<Shared>, connection: Connection) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = Arc::new(connection);
    let service = service_fn(move |request| {
        let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
        async move { shared.answer(request, &connection).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).title_case_headers(true).half_close(true);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PATIENCE);
    async move {
        if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

/// A request's body as it came.
enum Received {
    Whole(Bytes),
    Hashed { length: u64, sha256: [u8; 32] },
}

impl Received {
    fn content(&self) -> Content<'_> {
        match self {
            Self::Whole(bytes) => Content::Whole(bytes),
            Self::Hashed { length, sha256 } => Content::Hashed { length: *length, sha256: *sha256 },
        }
    }
}

/// Reads a body; none where the client broke off or took too long.
async fn receive(mut body: Incoming) -> Option<Received> {
    let mut kept = BytesMut::new();
    let mut only: Option<Bytes> = None;
    let mut hasher: Option<Sha256> = None;
    let mut length = 0_u64;
    loop {
        let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.ok()? else { break };
        let Ok(data) = frame.ok()?.into_data() else { continue };
        length += data.len() as u64;
        if let Some(hasher) = &mut hasher {
            hasher.update(&data);
        } else if length > BODY_COMPARED as u64 {
            let hasher = hasher.insert(Sha256::new());
            for part in [only.take().as_deref().unwrap_or_default(), &*std::mem::take(&mut kept), &*data] {
                hasher.update(part);
            }
        } else if only.is_none() && kept.is_empty() {
            only = Some(data);
        } else {
            kept.extend_from_slice(only.take().as_deref().unwrap_or_default());
            kept.extend_from_slice(&data);
        }
    }
    Some(match hasher {
        Some(hasher) => Received::Hashed { length, sha256: hasher.finalize().into() },
        None => Received::Whole(only.unwrap_or_else(|| kept.freeze())),
    })
}

impl Shared {
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Result<Response<AnswerBody>, Cut> {
        let (arrived, at) = (Monotonic::now(), Timestamp::now());
        if request.method() == Method::CONNECT {
            return Ok(self.tunnel(&mut request));
        }
        let (head, body) = request.into_parts();
        let Some(body) = receive(body).await else { return Ok(answer::empty(408)) };
        let host = self.host(&head, connection);
        let decision = self.decide(&head, &body, &host, at);
        if let Some(explain) = &self.explain {
            explain(&decision.call);
        }
        for action in &decision.actions {
            match action {
                Action::Delay(delay) => tokio::time::sleep(*delay).await,
                Action::Status(status) => return Ok(answer::empty(*status)),
                Action::Hang => std::future::pending().await,
                Action::Reset => {
                    if let Some(raw) = &connection.raw {
                        // With no time to linger, closing resets (RFC 9293 §3.10.4, ABORT).
                        let _ = rustix::net::sockopt::set_socket_linger(raw, Some(Duration::ZERO));
                        let _ = rustix::net::shutdown(raw, rustix::net::Shutdown::Read);
                    }
                    return Err(Cut);
                }
            }
        }
        let mut response = match decision.index {
            Some(index) if decision.call.status != Some(MISS) => self.recorded(index, arrived, head.method == Method::HEAD).await,
            _ => answer::own(MISS, &self.miss(&decision.call)),
        };
        if self.explain.is_some()
            && let Ok(value) = HeaderValue::from_str(&chosen(&decision.call))
        {
            response.headers_mut().insert("x-shadowtap-mock", value);
        }
        Ok(response)
    }

    fn decide(&self, head: &hyper::http::request::Parts, body: &Received, host: &str, at: Timestamp) -> Decision {
        let target = head.uri.to_string();
        let header = |name: &str| Some(String::from_utf8_lossy(head.headers.get(name)?.as_bytes()).into_owned());
        let query = Query {
            host,
            method: head.method.as_str().as_bytes(),
            target: target.as_bytes(),
            headers: &header,
            content: body.content(),
        };
        let prepared = self.recording.prepare(&query);
        self.journal.lock().expect("no holder of this lock panics").decide(&query, &prepared, at)
    }

    async fn recorded(&self, index: u32, arrived: Monotonic, head: bool) -> Response<AnswerBody> {
        let call = &self.recording.calls[index as usize];
        let response = call.response.as_ref().expect("a call without an answer is a miss");
        if self.timing == Timing::None {
            return answer::recorded(response, None, head);
        }
        let wait = |until: i64| Duration::from_nanos(u64::try_from(until - arrived.elapsed()).unwrap_or(0));
        tokio::time::sleep(wait(call.first_byte_ns)).await;
        let rest = (call.last_byte_ns > call.first_byte_ns).then(|| tokio::time::sleep(wait(call.last_byte_ns)));
        answer::recorded(response, rest, head)
    }

    /// Opens a tunnel to this very mock: the bytes in it are served like those of a connection.
    fn tunnel(self: Arc<Self>, request: &mut Request<Incoming>) -> Response<AnswerBody> {
        let Some(authority) = request.uri().authority().map(ToString::to_string) else { return answer::empty(400) };
        if self.authority.is_none() && authority.ends_with(":443") {
            let body = json!({ "error": "shadowtap mock: HTTPS needs a certificate authority: start it with --ca-dir" });
            return answer::own(501, &body);
        }
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let mut stream = TokioIo::new(upgraded);
            let mut first = [0; 1];
            let Ok(Ok(1..)) = tokio::time::timeout(PATIENCE, stream.read(&mut first)).await else { return };
            let (read, write) = tokio::io::split(stream);
            let stream = tokio::io::join(io::Cursor::new(first).chain(read), write);
            let connection = Connection { tunnel: Some(authority), raw: None };
            Box::pin(serve(stream, first[0], self, connection)).await;
        });
        answer::empty(200)
    }

    /// The provider that a request is for, as the recording names it.
    fn host(&self, head: &hyper::http::request::Parts, connection: &Connection) -> String {
        let absolute = head.uri.authority().map(hyper::http::uri::Authority::as_str);
        let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let given = absolute.or(named).or(connection.tunnel.as_deref()).unwrap_or_default();
        let host = canonical_host(given.rsplit('@').next().unwrap_or(given));
        if let Some((_, recorded)) = self.aliases.iter().find(|(alias, _)| *alias == host) {
            return recorded.clone();
        }
        // A name that leads to the mock, with the mock's port.
        if let Some(name) = host.strip_suffix(&self.own_port)
            && !self.recording.knows_host(&host)
            && self.recording.knows_host(name)
        {
            return name.to_owned();
        }
        // A client that was given the mock's own address as its provider's means the only provider there is.
        if self.own.contains(&host)
            && !self.recording.knows_host(&host)
            && let Some(only) = self.recording.only_host()
        {
            return only.to_owned();
        }
        host
    }

    fn miss(&self, call: &Call) -> serde_json::Value {
        let providers: Vec<&str> = self.recording.hosts().map(|(host, _)| host).take(20).collect();
        json!({
            "error": "shadowtap mock: not recorded",
            "why": call.why,
            "method": call.method,
            "provider": call.provider,
            "target": call.target,
            "route": call.route,
            "nearest": call.recorded.map(|id| json!({ "recorded": id, "score": call.score, "lacks": call.places })),
            "recorded_providers": providers,
        })
    }
}

/// The choice in one line of ASCII.
fn chosen(call: &Call) -> String {
    match call.recorded {
        Some(id) => format!("{} {id}; {}", call.verdict.name(), call.why),
        None => format!("{}; {}", call.verdict.name(), call.why),
    }
}
