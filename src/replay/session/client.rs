//! The client transport: requests through a negotiating HTTP client (hyper), for HTTP/2 targets and
//! for proxies.
//!
//! What differs from `wire`, since the client decides it, is listed in docs/replay.md. The captured
//! host stays in HTTP (`Host`, `:authority`), whatever name TLS asks for; connections lead to the
//! target's address whatever it is. A lane has connections of its own;
//! no connection pool is shared between lanes.

mod body;
mod fault;
mod honest;
mod proxy;
mod translate;
mod way;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::LocalSet;

pub use proxy::Proxy;
pub(in crate::replay) use translate::parse;
use translate::translate;
use way::{Carrier, Spoken, Way};

use crate::limits;
use crate::message::target::{host, host_and_port};
use crate::message::{Body, Framing, Headers, Request, Response, Version};
use crate::outcome::FailureKind;
use crate::replay::binder::Notice;
use crate::replay::plan::StepKind;
use crate::replay::recorder::generator;
use crate::replay::recorder::generator::GeneratorFigures;
use crate::replay::recorder::outbox::OutcomeBatch;
use crate::replay::shared::Shared;
use crate::replay::task::{Answer, Done, SentTimes, TargetSide, Task, bump};
use crate::replay::worker::lane::{Arrivals, Think};
use crate::schedule::after::After;

/// How often the client looks whether the replay was stopped.
const LOOK: Duration = Duration::from_millis(50);
/// Runs all lanes of `inbox` on this thread. `slots`: how many requests may be under way at the
/// same time. `keeps`: a lane keeps its connection between two requests.
pub(in crate::replay) fn run(
    shared: Arc<Shared>,
    proxy: Option<Proxy>,
    inbox: Receiver<Vec<Task>>,
    outbox: SyncSender<OutcomeBatch>,
    notices: Option<Sender<Notice>>,
    slots: usize,
    keeps: bool,
) -> io::Result<GeneratorFigures> {
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
        proxy: proxy.map(Rc::new),
        outbox,
        notices,
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
    proxy: Option<Rc<Proxy>>,
    outbox: SyncSender<OutcomeBatch>,
    /// Tells the thread that binds values of answers.
    notices: Option<Sender<Notice>>,
    slots: Semaphore,
    keeps: bool,
    figures: RefCell<GeneratorFigures>,
    /// Requests that were taken and are not recorded.
    under_way: Cell<usize>,
    changed: Notify,
    stopped: Cell<bool>,
    stop: Notify,
}

/// What the requests of a lane share.
#[derive(Default)]
struct LaneShelf {
    after: RefCell<After>,
    changed: Notify,
}

/// A request on its way.
#[derive(Clone, Copy)]
struct SentRequest {
    at: i64,
    waited: i64,
    connect_ns: Option<i64>,
}

/// A lane's ways: to each target, and under each name that TLS asks for.
type Ways = RefCell<FxHashMap<(u16, String), Rc<Way>>>;

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
        for (side, task) in [(TargetSide::Target, Some(task)), (TargetSide::Baseline, twin)] {
            let Some(task) = task else { continue };
            self.under_way.set(self.under_way.get() + 1);
            let key = (side == TargetSide::Baseline, task.lane);
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

    async fn lane(self: Rc<Self>, side: TargetSide, mut tasks: mpsc::UnboundedReceiver<Task>) {
        let ways = Rc::new(Ways::default());
        let shelf = Rc::new(LaneShelf::default());
        while let Some(task) = tasks.recv().await {
            if task.kind == StepKind::Close {
                let _ = self.unless_stopped(self.sleep_until(task.due)).await;
                return;
            }
            let Some(free) = self.unless_stopped(self.turn(side, &task, &shelf)).await else {
                self.record(
                    side,
                    &shelf,
                    task,
                    None,
                    Answer::failed(FailureKind::Skipped, "interrupted before it was sent"),
                );
                continue;
            };
            let request =
                Rc::clone(&self).request(side, Rc::clone(&ways), Rc::clone(&shelf), task, free);
            tokio::task::spawn_local(request);
        }
    }

    /// Waits until a request is due and may go; gives when v2 let it go.
    async fn turn(&self, side: TargetSide, task: &Task, shelf: &LaneShelf) -> i64 {
        self.sleep_until(task.due).await;
        let mut free = loop {
            let free = shelf.after.borrow_mut().free(task.when);
            match free {
                _ if self.shared.arrivals == Arrivals::Open => break i64::MIN,
                Some(free) => break free,
                None => shelf.changed.notified().await,
            }
        };
        shelf.after.borrow_mut().begins(task.id.exchange, task.answered);
        if let Some(gate) = &task.gate {
            free = free.max(gate.opened(side).await.free);
        }
        if free != i64::MIN && self.shared.think == Think::ThinkTime {
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

    /// The way of a request.
    fn way(&self, ways: &Ways, task: &Task, request: &Request) -> Rc<Way> {
        let named = host(request).and_then(|host| std::str::from_utf8(host).ok());
        let (name, _) = host_and_port(named.unwrap_or_default());
        let upstream = task.load.upstream;
        let mut ways = ways.borrow_mut();
        let way = ways.entry((upstream, name.to_owned())).or_insert_with(|| {
            let end = (upstream, task.lane);
            Rc::new(Way::new(&self.shared, self.proxy.clone(), end, name, self.keeps))
        });
        Rc::clone(way)
    }

    async fn request(
        self: Rc<Self>,
        side: TargetSide,
        ways: Rc<Ways>,
        shelf: Rc<LaneShelf>,
        mut task: Task,
        free: i64,
    ) {
        task.pass_gate(side, &self.shared.budget);
        task.trace(side, self.shared.traces.as_ref());
        let request = match self.whole(&task).and_then(|bytes| parse(&bytes)) {
            Ok(request) => request,
            Err(why) => {
                let answer = Answer::failed(FailureKind::Rewrite, why);
                return self.record(side, &shelf, task, None, answer);
            }
        };
        if self.slots.available_permits() == 0 {
            self.figures.borrow_mut().note("waited-for-a-connection-slot");
        }
        let Some(_slot) = self.unless_stopped(self.slots.acquire()).await else {
            let answer = Answer::failed(FailureKind::Skipped, "interrupted before it was sent");
            return self.record(side, &shelf, task, None, answer);
        };
        let way = self.way(&ways, &task, &request);
        let sent = Cell::new(None);
        let carried = self.carry(side, &way, &request, &mut task, free, &sent);
        let answer = match self.unless_stopped(carried).await {
            Some(answer) => answer,
            None => Answer::failed(FailureKind::Skipped, "interrupted before the answer was whole"),
        };
        self.record(side, &shelf, task, sent.get(), answer);
    }

    /// The request's bytes.
    fn whole(&self, task: &Task) -> Result<Vec<u8>, String> {
        let mut bytes = task.bytes.to_vec();
        let ahead = bytes.len();
        bytes.resize(ahead + task.rest() as usize, 0);
        let rest = task.load.place.offset + task.ahead;
        let read = self.shared.spool.read_at(&mut bytes[ahead..], rest);
        read.map(|()| bytes).map_err(|error| error.to_string())
    }

    /// Sends a request and reads its answer. A kept connection may be closed by v2 at any moment,
    /// also at the one of sending: then it goes again on a new one (RFC 9112 §9.3.1), once.
    async fn carry(
        &self,
        side: TargetSide,
        way: &Way,
        request: &Request,
        task: &mut Task,
        free: i64,
        sent: &Cell<Option<SentRequest>>,
    ) -> Answer {
        loop {
            let again = sent.get().is_some();
            let mut carrier = match way.take(again).await {
                Ok(carrier) => carrier,
                Err(failure) => return failure.into(),
            };
            let translated = translate(request, way.target(), carrier.spoken(), way.forwarder());
            let mut message = match translated {
                Ok(message) => message,
                Err(why) => return Answer::failed(FailureKind::Rewrite, why),
            };
            let interims = honest::Interims::of(&mut message);
            let is_fresh = carrier.connect_ns.is_some();
            if !again {
                sent.set(Some(self.leaves(side, task, free, carrier.connect_ns)));
            }
            let limit = Duration::from_nanos(self.shared.patience_ns(&task.load).unsigned_abs());
            let leaves = task.load.reads_ns().zip(sent.get()).map(|(reads, sent)| sent.at + reads);
            let exchange = async {
                tokio::select! {
                    // First: what comes with the last of them may be an answer.
                    biased;
                    () = interims.without_end() => Ok(honest::interims_without_end().into()),
                    sent = carrier.send(message) => match sent {
                        Ok(answer) => {
                            Ok(self.read(answer, carrier, way, (leaves, task.load.status)).await)
                        }
                        Err(why) => Err(why),
                    },
                }
            };
            match tokio::time::timeout(limit, exchange).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err((failure, unsent))) => {
                    if is_fresh || again || !(unsent || task.load.traits.is_safe()) {
                        let closed = |proxy: &Proxy| proxy.closed(failure.clone());
                        return way.forwarder().map_or_else(|| failure.clone(), closed).into();
                    }
                    self.figures.borrow_mut().note("sent-again");
                }
                Err(_) => {
                    let detail = format!("no whole answer within {limit:?}");
                    return Answer::failed(FailureKind::Timeout, detail);
                }
            }
        }
    }

    /// A request leaves: its lateness is measured.
    fn leaves(
        &self,
        side: TargetSide,
        task: &mut Task,
        free: i64,
        connect_ns: Option<i64>,
    ) -> SentRequest {
        let now = self.shared.clock.now();
        if self.shared.at_once {
            task.due = free.max(0).min(now);
        }
        // What v2 caused: the wait for its answer, then the wait for a connection.
        let for_answer = free.saturating_sub(task.due).max(0);
        let waited = for_answer.saturating_add(connect_ns.unwrap_or(0));
        let waited = waited.clamp(0, (now - task.due).max(0));
        {
            let mut figures = self.figures.borrow_mut();
            generator::record(&mut figures.lateness, now - task.due - waited);
            generator::record(&mut figures.waited, waited);
            figures.sent += 1;
            figures.bytes_sent += task.load.place.length;
        }
        bump(&self.shared.live[0].sent);
        self.shared.begins(side, task.id);
        SentRequest { at: now, waited, connect_ns }
    }

    /// `leaves`: when to leave it, as v1's client had; `expected`: v1's status.
    async fn read(
        &self,
        answer: hyper::Response<Incoming>,
        carrier: Carrier,
        way: &Way,
        (leaves, expected): (Option<i64>, u16),
    ) -> Answer {
        let first = self.shared.clock.now();
        let (head, mut body) = answer.into_parts();
        if let Some(refusal) = way.forwarder().and_then(|proxy| {
            let field = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
            proxy.refusal(head.status.as_u16(), expected, field)
        }) {
            return refusal.into();
        }
        let mut gathered = GatheredBody { most: self.shared.max_body, ..GatheredBody::default() };
        let mut is_left = false;
        let length = match carrier.spoken() {
            Spoken::One => honest::length(&head.headers),
            Spoken::Two => Ok(None),
        };
        let mut failure = loop {
            if length.is_err() || body.size_hint().lower() > limits::DECLARED_BYTES {
                break Some(honest::bad_length());
            }
            // The library reads to the connection's end where a coding is named that is none.
            if matches!(length, Ok(Some(length)) if gathered.length >= length) {
                break None;
            }
            let left = leaves.map_or(i64::MAX, |at| at.saturating_sub(self.shared.clock.now()));
            let left = Duration::from_nanos(left.max(0).unsigned_abs());
            let Ok(frame) = tokio::time::timeout(left, body.frame()).await else {
                is_left = true;
                break None;
            };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => gathered.push(&data),
                    Err(frame) => {
                        gathered.trailers = frame.into_trailers().ok().map(|f| fields(&f))
                    }
                },
                None => break None,
                Some(Err(error)) => break Some(fault::of_body(&error)),
            }
        };
        if failure.is_none() && !is_left {
            let is_over = matches!(length, Ok(Some(length)) if gathered.length > length);
            failure = is_over.then(honest::surplus);
            if failure.is_none() {
                failure = carrier.surplus().await;
            }
        }
        self.figures.borrow_mut().bytes_received += gathered.length;
        let is_whole = failure.is_none() && !is_left;
        let last = is_whole.then(|| self.shared.clock.now());
        if is_whole && !matches!(length, Ok(Some(_))) {
            way.give_back(carrier);
        }
        let headers = fields(&head.headers);
        let framing = match () {
            () if headers.get("transfer-encoding").is_some() => Framing::Chunked,
            () if headers.get("content-length").is_some() => Framing::ContentLength,
            () if gathered.length > 0 => Framing::Close,
            () => Framing::None,
        };
        let version = match head.version {
            hyper::Version::HTTP_2 => Version::Http2,
            hyper::Version::HTTP_10 => Version::Http10,
            _ => Version::Http11,
        };
        let status = head.status.as_u16();
        let (body, trailers) = gathered.end();
        let response =
            Response { status, version, headers, body, framing, trailers, ..Response::default() };
        Answer { first: Some(first), last, response: Some(response), failure, ..Answer::none() }
    }

    fn record(
        &self,
        side: TargetSide,
        shelf: &LaneShelf,
        task: Task,
        sent: Option<SentRequest>,
        answer: Answer,
    ) {
        let now = self.shared.clock.now();
        shelf.after.borrow_mut().ends(task.id.exchange, task.answered, now);
        shelf.changed.notify_waiters();
        let failure = answer.failure.as_ref();
        self.shared.hope(side).learn(sent.is_some(), answer.first, failure, &self.shared.stop);
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
                if answer.is_server_error() {
                    bump(&self.shared.live[0].server_errors);
                }
                if let (Some(sent), Some(last)) = (&sent, answer.last) {
                    generator::record(&mut figures.from_sent, last - sent.at);
                    generator::record(&mut figures.from_due, last - task.due);
                }
            }
        }
        if let Some(response) = &answer.response {
            figures.answer(response);
        }
        let ended = task.ended(side, &answer, now);
        if let (Some(notices), Some(ended)) = (&self.notices, ended) {
            // Where nobody hears it, the replay is being stopped.
            let _ = notices.send(Notice::Done(Box::new(ended)));
        }
        let sent = sent.map_or_else(SentTimes::default, |sent| SentTimes {
            at: Some(sent.at),
            connect_ns: sent.connect_ns,
            waited: sent.waited,
        });
        let outcome = task.outcome(side, answer, sent, now);
        // The recorder takes what comes; where it is gone, the replay is being stopped.
        let (route, request, filled) = (task.load.route, task.load.place, task.filled(side));
        let original = task.original();
        let _ = self.outbox.send(
            vec![Done { side, route, original, request, filled, socket: None, outcome }].into(),
        );
        self.under_way.set(self.under_way.get() - 1);
        self.changed.notify_one();
    }
}

/// A body under way.
#[derive(Default)]
struct GatheredBody {
    most: usize,
    kept: Vec<u8>,
    length: u64,
    hash: Option<Sha256>,
    trailers: Option<Headers>,
}

impl GatheredBody {
    fn push(&mut self, data: &[u8]) {
        let room = self.most.saturating_sub(self.kept.len()).min(data.len());
        if room < data.len() && self.hash.is_none() {
            self.hash = Some(Sha256::new_with_prefix(&self.kept));
        }
        if let Some(hash) = &mut self.hash {
            hash.update(data);
        }
        self.kept.extend_from_slice(&data[..room]);
        self.length += data.len() as u64;
    }

    fn end(self) -> (Body, Headers) {
        let sha256 = self.hash.map(|hash| hash.finalize().into());
        let body = Body { bytes: self.kept.into(), length: self.length, sha256 };
        (body, self.trailers.unwrap_or_default())
    }
}

fn fields(map: &hyper::HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}
