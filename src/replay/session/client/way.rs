//! The client transport's connections: a lane's own towards one target, straight or through a
//! proxy, in HTTP/2 where TLS agrees on it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(super) use crate::replay::session::Spoken;

use super::body::SentBody;
use super::fault;
use super::honest;
use super::proxy::Proxy;
use crate::limits;
use crate::outcome::{Failure, FailureKind, Owner};
use crate::replay::session::target::Target;
use crate::replay::session::tls;
use crate::replay::shared::Shared;

/// A request as it is sent.
pub(super) type SentMessage = Request<SentBody>;
/// An answer, or why there is none and whether the request was sent at all.
pub(super) type Sent = Result<hyper::Response<Incoming>, (Failure, bool)>;

enum WayLine {
    One(http1::SendRequest<SentBody>),
    Two(http2::SendRequest<SentBody>),
}

/// A connection that carries a request.
pub(super) struct Carrier {
    line: WayLine,
    /// How its driver ended, where it did.
    ended: Rc<RefCell<Option<Failure>>>,
    /// How long it took to open; there for the request that opened it.
    pub(super) connect_ns: Option<i64>,
}

impl Carrier {
    /// Which protocol it speaks.
    pub(super) const fn spoken(&self) -> Spoken {
        match self.line {
            WayLine::One(_) => Spoken::One,
            WayLine::Two(_) => Spoken::Two,
        }
    }

    fn is_open(&self) -> bool {
        match &self.line {
            WayLine::One(line) => !line.is_closed(),
            WayLine::Two(line) => !line.is_closed(),
        }
    }

    /// Why its driver ended, where v2 said something that nobody had asked for.
    fn lie(&self) -> Option<Failure> {
        let ended = self.ended.borrow();
        ended.clone().filter(|failure| failure.kind == FailureKind::Protocol)
    }

    /// Whether bytes stand behind an answer that was read: the driver finds them when it looks for
    /// the next one.
    pub(super) async fn surplus(&self) -> Option<Failure> {
        if self.spoken() == Spoken::Two {
            return None;
        }
        // Once for the end of the body, once for what stands behind it.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        self.lie().map(|_| honest::surplus())
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, message: SentMessage) -> Sent {
        if self.spoken() == Spoken::One {
            // The driver looks whether v2 speaks first. What it says on a connection that was used
            // before is often its farewell.
            tokio::task::yield_now().await;
            if self.connect_ns.is_some() && self.lie().is_some() {
                return Err((honest::spoke_first(), true));
            }
        }
        let sent = match &mut self.line {
            WayLine::One(line) => match line.ready().await {
                Ok(()) => line.try_send_request(message).await,
                Err(error) => return Err((self.why(&error), true)),
            },
            WayLine::Two(line) => match line.ready().await {
                Ok(()) => line.try_send_request(message).await,
                Err(error) => return Err((self.why(&error), true)),
            },
        };
        match sent {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.unsent(error)),
        }
    }

    fn unsent(&self, mut error: TrySendError<SentMessage>) -> (Failure, bool) {
        let unsent = error.take_message().is_some();
        (self.why(&error.into_error()), unsent)
    }

    /// What the connection ended by says more than what became of a request on it.
    fn why(&self, error: &hyper::Error) -> Failure {
        let ended = self.ended.borrow();
        ended.clone().unwrap_or_else(|| fault::of(error))
    }
}

/// The way of a lane to a target.
pub(super) struct Way {
    shared: Arc<Shared>,
    proxy: Option<Rc<Proxy>>,
    upstream: u16,
    lane: u64,
    name: Option<ServerName<'static>>,
    /// Idle connections of HTTP/1 are kept.
    keeps: bool,
    idle: RefCell<Vec<Carrier>>,
    /// The one connection of HTTP/2.
    two: RefCell<Option<Carrier>>,
    /// Whoever opens the first connection finds out what is spoken.
    spoken: Cell<Option<Spoken>>,
    finding_out: tokio::sync::Mutex<()>,
}

impl Way {
    pub(super) fn new(
        shared: &Arc<Shared>,
        proxy: Option<Rc<Proxy>>,
        (upstream, lane): (u16, u64),
        host: &str,
        keeps: bool,
    ) -> Self {
        let target = &shared.targets[usize::from(upstream).min(shared.targets.len() - 1)];
        Self {
            name: shared.sni.name(host, target),
            shared: Arc::clone(shared),
            proxy,
            upstream,
            lane,
            keeps,
            idle: RefCell::default(),
            two: RefCell::default(),
            spoken: Cell::new((!target.tls).then_some(Spoken::One)),
            finding_out: tokio::sync::Mutex::new(()),
        }
    }

    /// Where it leads.
    pub(super) fn target(&self) -> &Target {
        &self.shared.targets[usize::from(self.upstream).min(self.shared.targets.len() - 1)]
    }

    /// The proxy that reads its requests: one that only tunnels does not.
    pub(super) fn forwarder(&self) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|_| !self.target().tls)
    }

    /// A connection for a request; `fresh`: none that was used before.
    pub(super) async fn take(&self, fresh: bool) -> Result<Carrier, Failure> {
        let finding_out = match self.spoken.get() {
            None => Some(self.finding_out.lock().await),
            Some(_) => None,
        };
        if let Some(known) = self.known(fresh) {
            return Ok(known);
        }
        let limit = Duration::from_nanos(self.shared.timeout_ns.unsigned_abs());
        let opened = tokio::time::timeout(limit, self.open()).await.unwrap_or_else(|_| {
            let detail = format!("no answer to the attempt to connect within {limit:?}");
            Err(Failure::new(FailureKind::Connect, detail))
        })?;
        self.spoken.set(Some(opened.spoken()));
        drop(finding_out);
        if let WayLine::Two(line) = &opened.line {
            let (line, ended) = (WayLine::Two(line.clone()), Rc::clone(&opened.ended));
            *self.two.borrow_mut() = Some(Carrier { line, ended, connect_ns: None });
        }
        Ok(opened)
    }

    fn known(&self, fresh: bool) -> Option<Carrier> {
        if let Some(Carrier { line: WayLine::Two(line), ended, .. }) =
            self.two.borrow().as_ref().filter(|two| !fresh && two.is_open())
        {
            let (line, ended) = (WayLine::Two(line.clone()), Rc::clone(ended));
            return Some(Carrier { line, ended, connect_ns: None });
        }
        let mut idle = self.idle.borrow_mut();
        if fresh {
            idle.clear();
        }
        std::iter::from_fn(|| idle.pop()).find(Carrier::is_open)
    }

    /// Takes a connection back whose answer is whole.
    pub(super) fn give_back(&self, carrier: Carrier) {
        if self.keeps && carrier.spoken() == Spoken::One && carrier.is_open() {
            self.idle.borrow_mut().push(Carrier { connect_ns: None, ..carrier });
        }
    }

    async fn open(&self) -> Result<Carrier, Failure> {
        let started = self.shared.clock.now();
        let target = self.target();
        let end = match &self.proxy {
            Some(proxy) => proxy.address,
            None => target.address(self.lane),
        };
        let stream = TcpStream::connect(end).await.map_err(|error| match &self.proxy {
            Some(proxy) => proxy.failure(&error.to_string()),
            None => fault::of_socket(&error),
        })?;
        // Where that is not to be had, small requests wait a little.
        let _ = stream.set_nodelay(true);
        let opened = match (target.tls, &self.proxy) {
            (false, _) => self.speak(stream, Spoken::One).await,
            (true, None) => self.encrypt(stream).await,
            (true, Some(proxy)) => self.encrypt(proxy.tunnel(stream, target).await?).await,
        };
        let mut opened = opened?;
        opened.connect_ns = Some(self.shared.clock.now() - started);
        Ok(opened)
    }

    async fn encrypt(&self, stream: TcpStream) -> Result<Carrier, Failure> {
        let (Some([_, config]), Some(name)) = (&self.shared.tls, self.name.clone()) else {
            let failure = Failure::new(FailureKind::Tls, "no server name to ask for: --sni NAME");
            return Err(failure.of(Owner::Settings));
        };
        let session = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        let session = session.map_err(|error| tls::failure(&error))?;
        let spoken = match session.get_ref().1.alpn_protocol() {
            Some(b"h2") => Spoken::Two,
            _ => Spoken::One,
        };
        self.speak(session, spoken).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        spoken: Spoken,
    ) -> Result<Carrier, Failure> {
        let io = TokioIo::new(stream);
        let ended = Rc::default();
        let line = match spoken {
            Spoken::One => {
                let mut builder = http1::Builder::new();
                builder.max_headers(limits::HEADER_FIELDS);
                let (line, driver) =
                    builder.handshake(io).await.map_err(|error| fault::of(&error))?;
                drive(driver, &ended);
                WayLine::One(line)
            }
            Spoken::Two => {
                let builder = http2::Builder::new(Local);
                let (line, driver) =
                    builder.handshake(io).await.map_err(|error| fault::of(&error))?;
                drive(driver, &ended);
                WayLine::Two(line)
            }
        };
        Ok(Carrier { line, ended, connect_ns: None })
    }
}

/// Runs a connection beside its requests, and keeps how it ended.
fn drive(
    driver: impl Future<Output = hyper::Result<()>> + 'static,
    ended: &Rc<RefCell<Option<Failure>>>,
) {
    let ended = Rc::clone(ended);
    tokio::task::spawn_local(async move {
        if let Err(error) = driver.await {
            *ended.borrow_mut() = Some(fault::of(&error));
        }
    });
}

/// Spawns on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
