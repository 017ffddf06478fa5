//! The client transport: requests through a negotiating HTTP client (reqwest), for HTTP/2 targets
//! and for proxies.
//!
//! What differs from `wire`, since the client decides it, is listed in the README. Where TLS is
//! spoken the captured host goes into the URL and not into a `Host` field, since HTTP/2 has it as
//! `:authority` and servers refuse requests that name another host beside it (RFC 9113 §8.3.1);
//! names lead to the target's address whatever they are. One client per lane and target, so that
//! lanes still do not share connections.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::LocalSet;
use url::{Host, Url};

use crate::message::fields::{is_framing, is_hop_by_hop};
use crate::message::target::host;
use crate::message::{Body, Framing, Headers, Request, Response, Version};
use crate::outcome::{Failure, FailureKind, Outcome};
use crate::replay::plan::StepKind;
use crate::replay::recorder::generator;
use crate::replay::recorder::generator::Figures;
use crate::replay::recorder::outbox::Batch;
use crate::replay::session::probe::innermost;
use crate::replay::session::target::Target;
use crate::replay::session::tls::Trust;
use crate::replay::shared::Shared;
use crate::replay::task::{Done, Side, Task, bump};
use crate::replay::worker::lane::{Arrivals, Think};
use crate::wire::h1::parser;
use crate::wire::h1::parser::{Limits, Message, Parser};

/// How often the client looks whether the replay was stopped.
const LOOK: Duration = Duration::from_millis(50);
/// Whether the client sets a field itself, or cannot send what it announces.
fn is_own(name: &[u8]) -> bool {
    [&b"expect"[..], b"trailer"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Runs all lanes of `inbox` on this thread. `slots`: how many requests may be under way at the
/// same time. `keeps`: a lane keeps its connection between two requests.
pub(in crate::replay) fn run(
    shared: Arc<Shared>,
    proxy: Option<String>,
    inbox: Receiver<Vec<Task>>,
    outbox: SyncSender<Batch>,
    slots: usize,
    keeps: bool,
) -> io::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = mpsc::unbounded_channel();
    // What is in this channel is bounded by the feeder's budget; the thread ends with the feeder.
    let bridge = std::thread::Builder::new().name("client-inbox".to_owned()).spawn(move || {
        while let Ok(batch) = inbox.recv() {
            if sender.send(batch).is_err() {
                return;
            }
        }
    })?;
    let crew = Rc::new(Crew {
        shared,
        proxy,
        outbox,
        slots: Semaphore::new(slots.min(Semaphore::MAX_PERMITS)),
        keeps,
        figures: RefCell::default(),
        under_way: Cell::new(0),
        changed: Notify::new(),
        stopped: Cell::new(false),
        stop: Notify::new(),
    });
    LocalSet::new().block_on(&runtime, Rc::clone(&crew).run(receiver));
    drop(runtime);
    let _ = bridge.join();
    Ok(crew.figures.take())
}

struct Crew {
    shared: Arc<Shared>,
    proxy: Option<String>,
    outbox: SyncSender<Batch>,
    slots: Semaphore,
    keeps: bool,
    figures: RefCell<Figures>,
    /// Requests that were taken and are not recorded.
    under_way: Cell<usize>,
    changed: Notify,
    stopped: Cell<bool>,
    stop: Notify,
}

/// What the requests of a lane share.
#[derive(Default)]
struct Shelf {
    done: Cell<u32>,
    done_at: Cell<i64>,
    changed: Notify,
}

/// A request on its way.
struct Sent {
    at: i64,
    waited: i64,
}

impl Crew {
    async fn run(self: Rc<Self>, mut inbox: mpsc::UnboundedReceiver<Vec<Task>>) {
        let mut lanes: FxHashMap<(bool, u64), mpsc::UnboundedSender<Task>> = FxHashMap::default();
        loop {
            if self.shared.stop.is_set() && !self.stopped.replace(true) {
                self.stop.notify_waiters();
            }
            match tokio::time::timeout(LOOK, inbox.recv()).await {
                Ok(Some(batch)) => {
                    batch.into_iter().for_each(|task| self.dispatch(&mut lanes, task))
                }
                Ok(None) if self.under_way.get() == 0 => return,
                Ok(None) => {
                    lanes.clear();
                    let _ = tokio::time::timeout(LOOK, self.changed.notified()).await;
                }
                Err(_) => {}
            }
        }
    }

    fn dispatch(
        self: &Rc<Self>,
        lanes: &mut FxHashMap<(bool, u64), mpsc::UnboundedSender<Task>>,
        task: Task,
    ) {
        match task.kind {
            StepKind::Send => {}
            // A client opens its connections itself.
            StepKind::Open | StepKind::Skip => return,
            StepKind::Close => {
                for baseline in [false, true] {
                    if let Some(lane) = lanes.remove(&(baseline, task.lane)) {
                        let _ = lane.send(task.clone());
                    }
                }
                return;
            }
        }
        let twin = self.shared.baseline.map(|baseline| {
            self.shared.budget.take(1, task.bytes.len());
            Task {
                load: crate::replay::plan::Load { upstream: baseline, ..task.load },
                ..task.clone()
            }
        });
        for (side, task) in [(Side::Target, Some(task)), (Side::Baseline, twin)] {
            let Some(task) = task else { continue };
            self.under_way.set(self.under_way.get() + 1);
            let key = (side == Side::Baseline, task.lane);
            let last = task.load.traits.is_last() && !task.load.traits.lane_closes();
            let sender = lanes.entry(key).or_insert_with(|| {
                let (sender, tasks) = mpsc::unbounded_channel();
                tokio::task::spawn_local(Rc::clone(self).lane(side, tasks));
                sender
            });
            // A lane takes tasks until its sender is dropped.
            let _ = sender.send(task);
            if last {
                lanes.remove(&key);
            }
        }
    }

    async fn lane(self: Rc<Self>, side: Side, mut tasks: mpsc::UnboundedReceiver<Task>) {
        let mut clients: FxHashMap<u16, Result<reqwest::Client, String>> = FxHashMap::default();
        let shelf = Rc::new(Shelf { done_at: Cell::new(i64::MIN), ..Shelf::default() });
        while let Some(task) = tasks.recv().await {
            if task.kind == StepKind::Close {
                let _ = self.unless_stopped(self.sleep_until(task.due)).await;
                return;
            }
            let Some(free) = self.unless_stopped(self.turn(&task, &shelf)).await else {
                self.record(
                    side,
                    &shelf,
                    task,
                    None,
                    Answer::failed(FailureKind::Skipped, "interrupted before it was sent"),
                );
                continue;
            };
            let upstream = task.load.upstream;
            match clients
                .entry(upstream)
                .or_insert_with(|| self.client(self.target(upstream).address(task.lane)))
            {
                Ok(client) => {
                    tokio::task::spawn_local(Rc::clone(&self).request(
                        side,
                        client.clone(),
                        Rc::clone(&shelf),
                        task,
                        free,
                    ));
                }
                Err(why) => self.record(
                    side,
                    &shelf,
                    task,
                    None,
                    Answer::failed(FailureKind::Tls, why.clone()),
                ),
            }
        }
    }

    /// Waits until a request is due and may go; gives when v2 let it go.
    async fn turn(&self, task: &Task, shelf: &Shelf) -> i64 {
        self.sleep_until(task.due).await;
        if self.shared.arrivals == Arrivals::Open || task.needs == 0 {
            return i64::MIN;
        }
        while shelf.done.get() < task.needs {
            shelf.changed.notified().await;
        }
        let mut free = shelf.done_at.get();
        if self.shared.think == Think::ThinkTime {
            free = free.saturating_add(task.think);
            self.sleep_until(free).await;
        }
        free
    }

    async fn sleep_until(&self, at: i64) {
        let wait = at.saturating_sub(self.shared.clock.now());
        if wait > 0 {
            tokio::time::sleep(Duration::from_nanos(wait.unsigned_abs())).await;
        }
    }

    async fn unless_stopped<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let stopped = async {
            loop {
                let notified = self.stop.notified();
                if self.stopped.get() {
                    return;
                }
                notified.await;
            }
        };
        tokio::select! {
            () = stopped => None,
            value = what => Some(value),
        }
    }

    fn target(&self, upstream: u16) -> &Target {
        &self.shared.targets[usize::from(upstream).min(self.shared.targets.len() - 1)]
    }

    /// A client whose connections all lead to `address`, or to the proxy.
    fn client(&self, address: SocketAddr) -> Result<reqwest::Client, String> {
        let tls = match &self.shared.tls {
            Some(config) => (**config).clone(),
            // The library wants a configuration in any case.
            None => (*Trust::nobody().config(&[]).map_err(|error| error.to_string())?).clone(),
        };
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls)
            .connect_timeout(Duration::from_nanos(self.shared.timeout_ns.unsigned_abs()))
            .tcp_nodelay(true);
        let builder = builder.pool_max_idle_per_host(usize::from(self.keeps));
        let builder = match &self.proxy {
            Some(proxy) => {
                builder.proxy(reqwest::Proxy::all(proxy).map_err(|error| innermost(&error))?)
            }
            None => builder.no_proxy().dns_resolver(Leads(address)),
        };
        builder.build().map_err(|error| innermost(&error))
    }

    async fn request(
        self: Rc<Self>,
        side: Side,
        client: reqwest::Client,
        shelf: Rc<Shelf>,
        mut task: Task,
        free: i64,
    ) {
        let request = match self.translate(&task, self.target(task.load.upstream)) {
            Ok(request) => request,
            Err(why) => {
                return self.record(
                    side,
                    &shelf,
                    task,
                    None,
                    Answer::failed(FailureKind::Rewrite, why),
                );
            }
        };
        if self.slots.available_permits() == 0 {
            self.figures.borrow_mut().note("waited-for-a-connection-slot");
        }
        let Some(_slot) = self.unless_stopped(self.slots.acquire()).await else {
            let answer = Answer::failed(FailureKind::Skipped, "interrupted before it was sent");
            return self.record(side, &shelf, task, None, answer);
        };
        let now = self.shared.clock.now();
        if self.shared.at_once {
            task.due = free.max(0).min(now);
        }
        let waited = free.saturating_sub(task.due).clamp(0, (now - task.due).max(0));
        {
            let mut figures = self.figures.borrow_mut();
            generator::record(&mut figures.lateness, now - task.due - waited);
            generator::record(&mut figures.waited, waited);
            figures.sent += 1;
            figures.bytes_sent += task.load.place.length;
        }
        bump(&self.shared.live[0].sent);
        self.shared.begins(side, task.id);
        let sent = Sent { at: now, waited };
        let limit = Duration::from_nanos(self.shared.patience_ns(&task.load).unsigned_abs());
        let answer =
            self.unless_stopped(tokio::time::timeout(limit, self.exchange(&client, request))).await;
        let answer = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => {
                Answer::failed(FailureKind::Timeout, format!("no whole answer within {limit:?}"))
            }
            None => Answer::failed(FailureKind::Skipped, "interrupted before the answer was whole"),
        };
        self.record(side, &shelf, task, Some(sent), answer);
    }

    async fn exchange(&self, client: &reqwest::Client, request: reqwest::Request) -> Answer {
        let mut answer = match client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => return Answer::failed(kind_of(&error), innermost(&error)),
        };
        let first = self.shared.clock.now();
        let mut kept = Vec::new();
        let mut length = 0u64;
        let mut hash = None;
        let failure = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => {
                    let room = self.shared.max_body.saturating_sub(kept.len()).min(chunk.len());
                    if room < chunk.len() && hash.is_none() {
                        hash = Some(Sha256::new_with_prefix(&kept));
                    }
                    if let Some(hash) = &mut hash {
                        hash.update(&chunk);
                    }
                    kept.extend_from_slice(&chunk[..room]);
                    length += chunk.len() as u64;
                }
                Ok(None) => break None,
                Err(error) => {
                    break Some(Failure::new(
                        FailureKind::Closed,
                        format!("{}, inside the answer", innermost(&error)),
                    ));
                }
            }
        };
        self.figures.borrow_mut().bytes_received += length;
        let last = failure.is_none().then(|| self.shared.clock.now());
        let headers: Headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
            .collect();
        let framing = match () {
            () if headers.get("transfer-encoding").is_some() => Framing::Chunked,
            () if headers.get("content-length").is_some() => Framing::ContentLength,
            () if length > 0 => Framing::Close,
            () => Framing::None,
        };
        let response = Response {
            extras: None,
            status: answer.status().as_u16(),
            reason: bytes::Bytes::new(),
            version: match answer.version() {
                reqwest::Version::HTTP_2 => Version::Http2,
                reqwest::Version::HTTP_10 => Version::Http10,
                _ => Version::Http11,
            },
            headers,
            body: Body {
                bytes: kept.into(),
                length,
                sha256: hash.map(|hash| hash.finalize().into()),
            },
            framing,
            trailers: Headers::new(),
        };
        Answer { first: Some(first), last, response: Some(response), failure }
    }

    /// The request as the client wants it.
    fn translate(&self, task: &Task, target: &Target) -> Result<reqwest::Request, String> {
        let mut bytes = task.bytes.to_vec();
        let ahead = bytes.len();
        bytes.resize(task.load.place.length as usize, 0);
        self.shared
            .spool
            .read_at(&mut bytes[ahead..], task.load.place.offset + ahead as u64)
            .map_err(|error| error.to_string())?;
        let request = parse(&bytes)?;
        let path = std::str::from_utf8(&request.target)
            .map_err(|_| "its target is not UTF-8, which a URL must be".to_owned())?;
        let path = path
            .find("://")
            .and_then(|scheme| path[scheme + 3..].find('/').map(|at| &path[scheme + 3 + at..]))
            .unwrap_or(path);
        let mut url = target
            .url
            .join(if path == "*" { "/" } else { path })
            .map_err(|error| format!("its target is not a URL: {error}"))?;
        if url.host() != target.url.host()
            || url.port_or_known_default() != target.url.port_or_known_default()
        {
            // `//host/path` would be another host.
            return Err("its target would lead to another host".to_owned());
        }
        // A proxy resolves names itself: a captured one would lead it to the captured server.
        if target.tls
            && self.proxy.is_none()
            && let Some(Ok(host)) = host(&request).map(std::str::from_utf8)
        {
            name_host(&mut url, host);
        }
        let method = reqwest::Method::from_bytes(&request.method)
            .map_err(|_| "its method is not a token".to_owned())?;
        let mut translated = reqwest::Request::new(method, url);
        for (name, value) in request.headers.iter() {
            let dropped = is_hop_by_hop(name) || is_framing(name) || is_own(name);
            if dropped || (target.tls && name.eq_ignore_ascii_case(b"host")) {
                continue;
            }
            let name = reqwest::header::HeaderName::from_bytes(name)
                .map_err(|_| "a header's name is not a token".to_owned())?;
            let value = reqwest::header::HeaderValue::from_bytes(value)
                .map_err(|_| format!("the value of header {name} cannot be sent"))?;
            translated.headers_mut().append(name, value);
        }
        if request.framing != Framing::None {
            *translated.body_mut() = Some(request.body.bytes.into());
        }
        Ok(translated)
    }

    fn record(&self, side: Side, shelf: &Shelf, task: Task, sent: Option<Sent>, answer: Answer) {
        let now = self.shared.clock.now();
        shelf.done.set(shelf.done.get().saturating_add(1));
        shelf.done_at.set(shelf.done_at.get().max(now));
        shelf.changed.notify_waiters();
        if sent.is_some() {
            self.shared.ends(side, task.id);
        }
        self.shared.budget.give_back(1, task.bytes.len());
        let mut figures = self.figures.borrow_mut();
        match &answer.failure {
            Some(failure) => {
                figures.fail(failure.kind);
                bump(&self.shared.live[0].failed);
            }
            None => {
                figures.answered += 1;
                bump(&self.shared.live[0].answered);
                if let (Some(sent), Some(last)) = (&sent, answer.last) {
                    generator::record(&mut figures.from_sent, last - sent.at);
                    generator::record(&mut figures.from_due, last - task.due);
                }
            }
        }
        if let Some(response) = &answer.response {
            *figures.status.entry(response.status).or_default() += 1;
        }
        let outcome = Outcome {
            id: task.id,
            lane: task.lane,
            due_ns: task.due,
            sent_ns: sent.as_ref().map(|sent| sent.at),
            first_byte_ns: answer.first,
            last_byte_ns: answer.last,
            failed_ns: answer.failure.as_ref().map(|_| now),
            connect_ns: None,
            waited_ns: sent.map_or(0, |sent| sent.waited),
            response: answer.response,
            failure: answer.failure,
        };
        // The recorder takes what comes; where it is gone, the replay is being stopped.
        let _ = self.outbox.send(
            vec![Done { side, route: task.load.route, request: task.load.place, outcome }].into(),
        );
        self.under_way.set(self.under_way.get() - 1);
        self.changed.notify_one();
    }
}

struct Answer {
    first: Option<i64>,
    last: Option<i64>,
    response: Option<Response>,
    failure: Option<Failure>,
}

impl Answer {
    fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { first: None, last: None, response: None, failure: Some(Failure::new(kind, detail)) }
    }
}

/// Resolves every name to the one address that its lane goes to.
struct Leads(SocketAddr);

impl reqwest::dns::Resolve for Leads {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Puts the captured host into the URL, where it is a name: an address in a URL would be connected
/// to. Its port is kept where it is the target's, for the same reason; without one the connection
/// goes to the port of [`Leads`].
fn name_host(url: &mut Url, host: &str) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port.parse::<u16>().ok())
        }
        _ => (host, None),
    };
    if !matches!(Host::parse(name), Ok(Host::Domain(_))) {
        return;
    }
    let kept = port.filter(|port| url.port() == Some(*port));
    let mut named = url.clone();
    if named.set_host(Some(name)).is_ok() && named.set_port(kept).is_ok() {
        *url = named;
    }
}

/// A request as it stands in the spool.
pub(in crate::replay) fn parse(bytes: &[u8]) -> Result<Request, String> {
    let mut parser = Parser::<u8>::new(
        parser::Side::Requests,
        Limits { body_bytes: usize::MAX, ..Limits::default() },
    );
    let mut input = bytes;
    match parser.step(&mut input, 0).map(|parsed| parsed.message) {
        Some(Message::Request(request)) => Ok(request),
        _ => Err("it is not a request that the client can send".to_owned()),
    }
}

fn kind_of(error: &reqwest::Error) -> FailureKind {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<rustls::Error>()
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|io| io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()))
        {
            return FailureKind::Tls;
        }
        source = cause.source();
    }
    match () {
        () if error.is_timeout() => FailureKind::Timeout,
        () if error.is_connect() => FailureKind::Connect,
        () if innermost(error).contains("invalid HTTP") => FailureKind::Protocol,
        () => FailureKind::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_host_never_leads_elsewhere() {
        let named = |url: &str, host: &str| {
            let mut url = Url::parse(url).unwrap();
            name_host(&mut url, host);
            url.to_string()
        };
        for (host, expected) in [
            ("Shop.invalid", "https://shop.invalid/a?b"),
            ("shop.invalid:8443", "https://shop.invalid:8443/a?b"),
            ("shop.invalid:8080", "https://shop.invalid/a?b"),
            ("10.0.0.1", "https://v2:8443/a?b"),
            ("10.0.0.1:8443", "https://v2:8443/a?b"),
            ("0x7f.1", "https://v2:8443/a?b"),
            ("[::1]:8443", "https://v2:8443/a?b"),
            ("2001:db8::1", "https://v2:8443/a?b"),
            ("user@shop.invalid", "https://v2:8443/a?b"),
            ("shop.invalid/x", "https://v2:8443/a?b"),
            ("", "https://v2:8443/a?b"),
        ] {
            assert_eq!(named("https://v2:8443/a?b", host), expected, "{host:?}");
        }
        // Where the target has its scheme's own port, another one must not be asked for.
        assert_eq!(named("https://v2/", "shop.invalid:8443"), "https://shop.invalid/");
    }
}
