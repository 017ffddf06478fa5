//! The plan of a replay: exchanges in, in the order of their completion; steps out, in the order of
//! their time.
//!
//! Each request is chosen or not, changed as asked and encoded into the [spool](super::spool) at
//! once; what stays is a record of fixed size. Records are sorted twice, first by connection (what
//! waits for what, where lanes open and end), then by time. Both sorts spill to disk, so memory
//! does not grow with the capture.

pub mod guard;
mod names;
pub mod rewrite;
mod sound;
pub(super) mod spool;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::exchange::{Closed, Completeness, Exchange, ExchangeId};
use crate::flow::Endpoint;
use crate::ledger::Ledger;
use crate::message::method::is_safe;
use crate::message::target::{host, without_port};
use crate::message::{Headers, Request, Version};
use crate::outcome::{FailureKind, ReplayId};
use crate::record::exchanges::Rest;
use crate::replay::plan::guard::Captured;
use crate::replay::plan::rewrite::Rewriter;
use crate::replay::plan::spool::{Place, Spool, SpoolWriter};
use crate::schedule::lane::Lane;
use crate::schedule::pacing::{Pacing, Speed};
use crate::schedule::select::{Choice, Selection, Shard, copy_hash};
use crate::schedule::{Recorded, Release};
use crate::store::sorter::{Merge, Sorted, Sorter};
use crate::wire::h1::encode;
use crate::wire::h1::parser::Damage;

/// How long before its first request a connection is opened at the latest, so that opening it
/// delays nothing.
const OPEN_AHEAD_NS: i64 = 20_000_000;
/// Most server names (for TLS) that are told apart.
const NAMES: usize = 65_536;
/// The mark of a message that its connection ended inside of.
const ENDED_INSIDE: &str = Damage::Ended.name();
/// Most routes that are told apart while the replay runs.
const ROUTES: usize = 500;

/// What the user wants replayed, and how.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Which requests.
    pub selection: Selection,
    /// When.
    pub pacing: Pacing,
    /// Which part of the lanes.
    pub shard: Option<Shard>,
    /// With which changes.
    pub rewriter: Rewriter,
}

/// Labels a request for live figures: method and target to a route's name.
pub type RouteOf = Box<dyn Fn(&[u8], &[u8]) -> Arc<str> + Send>;

/// What the worker must know of a request beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Traits(u8);

impl Traits {
    const HEAD: u8 = 1;
    const SAFE: u8 = 2;
    const EXPECTS: u8 = 4;
    const SIMPLE: u8 = 8;
    const NOT_SENT: u8 = 16;
    const REWRITE: u8 = 32;
    const LAST: u8 = 64;
    const CLOSES: u8 = 128;

    fn of(request: &Request) -> Self {
        let expects =
            request.headers.all("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let bits = [
            (request.method.as_ref() == b"HEAD", Self::HEAD),
            (is_safe(&request.method), Self::SAFE),
            (expects && request.body.length > 0, Self::EXPECTS),
            (request.version == Version::Http09, Self::SIMPLE),
        ];
        Self(bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit))
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// The answer has no body whatever it says.
    pub(in crate::replay) const fn is_head(self) -> bool {
        self.has(Self::HEAD)
    }

    /// May be sent again where nobody answered.
    pub(in crate::replay) const fn is_safe(self) -> bool {
        self.has(Self::SAFE)
    }

    /// The body waits for a `100 Continue` (RFC 9110 §10.1.1).
    pub(in crate::replay) const fn expects_continue(self) -> bool {
        self.has(Self::EXPECTS)
    }

    /// HTTP/0.9.
    pub(in crate::replay) const fn is_simple(self) -> bool {
        self.has(Self::SIMPLE)
    }

    /// It is the last of its lane.
    pub(in crate::replay) const fn is_last(self) -> bool {
        self.has(Self::LAST)
    }

    /// Its lane ends with a step of its own, and not with the answer to the last request.
    pub(in crate::replay) const fn lane_closes(self) -> bool {
        self.has(Self::CLOSES)
    }

    /// Is not sent: why not, where it is not.
    pub(in crate::replay) const fn not_sent(self) -> Option<FailureKind> {
        if !self.has(Self::NOT_SENT) {
            None
        } else if self.has(Self::REWRITE) {
            Some(FailureKind::Rewrite)
        } else {
            Some(FailureKind::Skipped)
        }
    }
}

/// The common part of both records: what the bytes are and where they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Load {
    pub(in crate::replay) traits: Traits,
    /// 0 is the target, others are mapped hosts.
    pub(in crate::replay) upstream: u16,
    /// Index into [`Plan::names`], 0 for none.
    pub(in crate::replay) name: u32,
    /// Index into [`Plan::routes`].
    pub(in crate::replay) route: u16,
    /// The request's bytes; of one that is not sent, the reason.
    pub(in crate::replay) place: Place,
    /// Length of the head in it.
    pub(in crate::replay) head: u32,
    /// Twice what v1 took for its answer, in milliseconds.
    pub(in crate::replay) patience_ms: u32,
    /// For how long v1's client read an answer that it did not read to the end, in milliseconds; 0
    /// where it did.
    pub(in crate::replay) reads_ms: u32,
    /// The head of that answer had come.
    pub(in crate::replay) had_head: bool,
}

impl Load {
    /// For how long to read the answer, where v1's client left it.
    pub(in crate::replay) fn reads_ns(&self) -> Option<i64> {
        (self.reads_ms > 0).then(|| i64::from(self.reads_ms) * 1_000_000)
    }

    /// Twice what v1 took for its answer.
    pub(in crate::replay) fn patience_ns(&self) -> i64 {
        i64::from(self.patience_ms) * 1_000_000
    }
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::replay) enum StepKind {
    /// The lane's connection opens.
    Open = 0,
    /// A request is due.
    Send = 1,
    /// A request would have been due, but is not sent.
    Skip = 2,
    /// The lane's connection closes, once all answers are there. Behind the last request of all it
    /// stands for the end.
    Close = 3,
}

/// One step of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) struct Step {
    /// Captured nanoseconds since the first request.
    pub(in crate::replay) when: i64,
    pub(in crate::replay) id: ExchangeId,
    /// Copy, from 0.
    pub(in crate::replay) copy: u32,
    pub(in crate::replay) kind: StepKind,
    pub(in crate::replay) needs: u32,
    pub(in crate::replay) think: i64,
    pub(in crate::replay) load: Load,
}

/// A record of a request, sorted by connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    recorded: Recorded,
    load: Load,
}

/// Writes and reads the fields of fixed-size records.
struct Cursor<'a>(&'a mut [u8]);
struct Reader<'a>(&'a [u8]);

impl Cursor<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let (place, rest) = std::mem::take(&mut self.0).split_at_mut(N);
        place.copy_from_slice(&bytes);
        self.0 = rest;
    }

    /// With its sign turned, so that bytes compare like numbers.
    fn time(&mut self, nanos: i64) {
        self.put((nanos as u64 ^ (1 << 63)).to_be_bytes());
    }

    fn load(&mut self, load: &Load) {
        self.put([load.traits.0]);
        self.put(load.upstream.to_be_bytes());
        self.put(load.name.to_be_bytes());
        self.put(load.route.to_be_bytes());
        self.put(load.place.offset.to_be_bytes());
        self.put(load.place.length.to_be_bytes());
        self.put(load.head.to_be_bytes());
        self.put(load.patience_ms.to_be_bytes());
        self.put(load.reads_ms.to_be_bytes());
        self.put([u8::from(load.had_head)]);
    }
}

impl Reader<'_> {
    fn get<const N: usize>(&mut self) -> [u8; N] {
        let (place, rest) = self.0.split_at(N);
        self.0 = rest;
        place.try_into().expect("the slice was split at the array's length")
    }

    fn time(&mut self) -> i64 {
        (u64::from_be_bytes(self.get()) ^ (1 << 63)) as i64
    }

    fn load(&mut self) -> Load {
        let [traits] = self.get();
        Load {
            traits: Traits(traits),
            upstream: u16::from_be_bytes(self.get()),
            name: u32::from_be_bytes(self.get()),
            route: u16::from_be_bytes(self.get()),
            place: Place {
                offset: u64::from_be_bytes(self.get()),
                length: u64::from_be_bytes(self.get()),
            },
            head: u32::from_be_bytes(self.get()),
            patience_ms: u32::from_be_bytes(self.get()),
            reads_ms: u32::from_be_bytes(self.get()),
            had_head: self.get() == [1],
        }
    }
}

/// When a connection closed, sorted by connection.
const CLOSED_BYTES: usize = 8 + 8;
const LOAD_BYTES: usize = 1 + 2 + 4 + 2 + 8 + 8 + 4 + 4 + 4 + 1;
const ENTRY_BYTES: usize = 8 + 4 + 8 + 8 + 8 + LOAD_BYTES;
const STEP_BYTES: usize = 8 + 8 + 4 + 4 + 1 + 4 + 8 + LOAD_BYTES;
/// Stands for a time that is not known.
const NO_TIME: i64 = i64::MIN;

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let mut cursor = Cursor(&mut bytes);
        cursor.put(self.recorded.id.connection.to_be_bytes());
        cursor.put(self.recorded.id.ordinal.to_be_bytes());
        cursor.time(self.recorded.at);
        cursor.time(self.recorded.answered_at.unwrap_or(NO_TIME));
        cursor.time(self.recorded.opened_at.unwrap_or(NO_TIME));
        cursor.load(&self.load);
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut reader = Reader(bytes);
        let known = |nanos: i64| (nanos != NO_TIME).then_some(nanos);
        let connection = u64::from_be_bytes(reader.get());
        let ordinal = u32::from_be_bytes(reader.get());
        let recorded = Recorded {
            id: ExchangeId { connection, ordinal },
            at: reader.time(),
            answered_at: known(reader.time()),
            opened_at: known(reader.time()),
        };
        Self { recorded, load: reader.load() }
    }
}

impl Step {
    fn encode(&self) -> [u8; STEP_BYTES] {
        let mut bytes = [0; STEP_BYTES];
        let mut cursor = Cursor(&mut bytes);
        cursor.time(self.when);
        cursor.put(self.id.connection.to_be_bytes());
        cursor.put(self.copy.to_be_bytes());
        cursor.put(self.id.ordinal.to_be_bytes());
        cursor.put([self.kind as u8]);
        cursor.put(self.needs.to_be_bytes());
        cursor.time(self.think);
        cursor.load(&self.load);
        bytes
    }

    fn decode(bytes: &[u8; STEP_BYTES]) -> Self {
        let mut reader = Reader(bytes);
        let when = reader.time();
        let connection = u64::from_be_bytes(reader.get());
        let copy = u32::from_be_bytes(reader.get());
        let ordinal = u32::from_be_bytes(reader.get());
        let kind = match reader.get() {
            [0] => StepKind::Open,
            [1] => StepKind::Send,
            [2] => StepKind::Skip,
            _ => StepKind::Close,
        };
        let id = ExchangeId { connection, ordinal };
        Self {
            when,
            id,
            copy,
            kind,
            needs: u32::from_be_bytes(reader.get()),
            think: reader.time(),
            load: reader.load(),
        }
    }
}

/// Takes exchanges in any order.
pub struct Planner {
    wishes: Wishes,
    route_of: Option<RouteOf>,
    spool: SpoolWriter,
    entries: Sorter<ENTRY_BYTES>,
    closed: Sorter<CLOSED_BYTES>,
    /// A connection that is not among [`Self::closed`] was open when the capture ended.
    all_told: bool,
    steps: Sorter<STEP_BYTES>,
    captured: Captured,
    ledger: Ledger,
    methods: BTreeMap<String, u64>,
    names: Interner,
    routes: Interner,
    first_at: i64,
    connections: u64,
}

/// Texts by number; number 0 stands for "none" and for all that come after the bound.
struct Interner {
    texts: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, u32>,
    bound: usize,
}

impl Interner {
    fn new(bound: usize, none: &str) -> Self {
        Self { texts: vec![none.into()], numbers: FxHashMap::default(), bound }
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        if self.texts.len() >= self.bound {
            return 0;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }
}

impl Planner {
    /// A planner that keeps its temporary files (without a name) in `folder`.
    pub fn new(folder: &Path, wishes: Wishes, route_of: Option<RouteOf>) -> io::Result<Self> {
        Ok(Self {
            wishes,
            route_of,
            spool: SpoolWriter::new(folder)?,
            entries: Sorter::new(folder),
            closed: Sorter::new(folder),
            all_told: false,
            steps: Sorter::new(folder),
            captured: Captured::default(),
            ledger: Ledger::default(),
            methods: BTreeMap::new(),
            names: Interner::new(NAMES, ""),
            routes: Interner::new(ROUTES, "other"),
            first_at: i64::MAX,
            connections: 0,
        })
    }

    /// Adds an exchange.
    pub fn add(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.captured.add(exchange);
        self.connections = self.connections.max(exchange.id.connection.saturating_add(1));
        self.add_closed(&exchange.closed)?;
        let Some(recorded) = Recorded::new(exchange) else {
            self.ledger.reject("no-request", 1);
            return Ok(());
        };
        let reason = match self.wishes.selection.choose(exchange) {
            Choice::Leave(why) => {
                self.ledger.reject(why, 1);
                return Ok(());
            }
            Choice::Skip(reason) => Some((Traits(Traits::NOT_SENT), reason)),
            Choice::Send => None,
        };
        let request = &exchange
            .request
            .as_ref()
            .expect("an exchange that was recorded with a request has one")
            .message;
        self.first_at = self.first_at.min(recorded.at);
        let load = match reason {
            Some((traits, reason)) => self.not_sent(traits, &reason)?,
            None => Load {
                patience_ms: patience_ms(&recorded),
                reads_ms: reads_ms(exchange, &recorded),
                had_head: exchange.response.is_some(),
                ..self.encode(request)?
            },
        };
        if load.traits.not_sent().is_none() && self.in_shard(exchange.id.connection, 0) {
            self.count_method(request);
        }
        self.entries.push(Entry { recorded, load }.encode())
    }

    /// Adds where servers were seen beside the addresses that the exchanges tell.
    pub fn also_at<'a>(&mut self, servers: impl IntoIterator<Item = &'a Endpoint>) {
        servers.into_iter().for_each(|&server| self.captured.add_server(server));
    }

    /// Adds the connections that closed behind the last exchange. Where it is known of all whether
    /// they did, the others stay open until the replay ends.
    pub fn end(&mut self, rest: &Rest) -> io::Result<()> {
        self.all_told = rest.open.is_some();
        self.add_closed(&rest.closed)
    }

    fn add_closed(&mut self, closed: &[Closed]) -> io::Result<()> {
        for Closed(connection, at) in closed {
            let mut record = [0; CLOSED_BYTES];
            let mut cursor = Cursor(&mut record);
            cursor.put(connection.to_be_bytes());
            cursor.time(at.nanos());
            self.closed.push(record)?;
        }
        Ok(())
    }

    fn not_sent(&mut self, traits: Traits, reason: &str) -> io::Result<Load> {
        let place = self.spool.append(|out| out.extend_from_slice(reason.as_bytes()))?;
        Ok(Load { traits, place, ..Load::default() })
    }

    fn encode(&mut self, request: &Request) -> io::Result<Load> {
        let translated;
        let request = match request.version {
            Version::Http2 => {
                translated = encode::in_http1(request);
                &translated
            }
            _ => request,
        };
        let route = self
            .route_of
            .as_ref()
            .map_or(0, |route_of| self.routes.number(&route_of(&request.method, &request.target)));
        let upstream = self.wishes.rewriter.upstream(request);
        let mut head = 0;
        let mut name = self.name_of(request);
        let mut objection = None;
        let unsafe_too = self.wishes.selection.unsafe_methods;
        let mut check = |out: &mut Vec<u8>, start: usize, sent: &Request| {
            objection = sound::objection(sent, &out[start..], unsafe_too);
            if objection.is_some() {
                out.truncate(start);
            }
        };
        let place = if let Some(marker) = self.wishes.rewriter.only_marks(request) {
            self.spool.append(|out| {
                let start = out.len();
                encode::request_head_with(out, request, marker);
                head = out.len() - start;
                encode::body(out, request);
                check(out, start, request);
            })?
        } else {
            let mut changed = head_of(request);
            if changed.version == Version::Http2 {
                // Only the client transport gets these; between here and there they are HTTP/1.1.
                changed.version = Version::Http11;
                changed.headers = without_pseudo_fields(&changed.headers);
                if request.body.length > 0 && changed.headers.get("content-length").is_none() {
                    changed
                        .headers
                        .push(b"content-length", request.body.length.to_string().as_bytes());
                }
            }
            if let Err(why) = self.wishes.rewriter.apply(&mut changed) {
                return self.not_sent(Traits(Traits::NOT_SENT | Traits::REWRITE), &why);
            }
            name = self.name_of(&changed);
            self.spool.append(|out| {
                let start = out.len();
                encode::request_head(out, &changed);
                head = out.len() - start;
                encode::body(out, request);
                check(out, start, &changed);
            })?
        };
        if let Some(why) = objection {
            return self.not_sent(Traits(Traits::NOT_SENT), why);
        }
        Ok(Load {
            traits: Traits::of(request),
            upstream,
            name,
            route: u16::try_from(route).unwrap_or(0),
            place,
            head: u32::try_from(head).unwrap_or(u32::MAX),
            patience_ms: 0,
            reads_ms: 0,
            had_head: false,
        })
    }

    /// The server's name for TLS: by the host that is sent.
    fn name_of(&mut self, request: &Request) -> u32 {
        let name = host(request).map(without_port).and_then(|name| std::str::from_utf8(name).ok());
        name.map_or(0, |name| self.names.number(name))
    }

    fn count_method(&mut self, request: &Request) {
        if self.methods.len() < 100
            && let Ok(method) = std::str::from_utf8(&request.method)
        {
            match self.methods.get_mut(method) {
                Some(count) => *count += 1,
                None => {
                    self.methods.insert(method.to_owned(), 1);
                }
            }
        }
    }

    /// Ends the input: lanes are cut, waits and due times computed.
    pub fn finish(mut self) -> io::Result<Plan> {
        let entries = std::mem::replace(&mut self.entries, Sorter::new(Path::new(""))).finish()?;
        let closed = std::mem::replace(&mut self.closed, Sorter::new(Path::new(""))).finish()?;
        let mut ends = Ends { closed: closed.iter()?, next: None, all_told: self.all_told };
        let mut totals = Totals::default();
        let mut lane = Lane::default();
        let mut held: Option<Entry> = None;
        for record in entries.iter()? {
            let entry = Entry::decode(&record?);
            if let Some(before) = held
                && before.recorded.id.connection != entry.recorded.id.connection
            {
                if let Some(release) = std::mem::take(&mut lane).finish() {
                    let end = ends.of(release.id.connection)?;
                    self.release(&release, end, &before.load, &mut totals)?;
                }
                held = None;
            }
            if entry.load.traits.not_sent().is_some() {
                self.skip(&entry, &mut totals)?;
                continue;
            }
            if let Some(release) = lane.push(&entry.recorded, self.first_at) {
                let before = held.expect("a lane holds back one release, whose entry is held too");
                self.release(&release, None, &before.load, &mut totals)?;
            }
            held = Some(entry);
        }
        if let (Some(release), Some(before)) = (lane.finish(), held) {
            let end = ends.of(release.id.connection)?;
            self.release(&release, end, &before.load, &mut totals)?;
        }
        drop(entries);
        let pacing = self.wishes.pacing;
        Ok(Plan {
            period: pacing.period(totals.span, totals.sends),
            pacing,
            steps: self.steps.finish()?,
            spool: self.spool.finish()?,
            captured: self.captured,
            ledger: self.ledger,
            methods: self.methods,
            names: self.names.texts,
            routes: self.routes.texts,
            connections: self.connections.max(1),
            totals,
        })
    }

    fn in_shard(&self, connection: u64, copy: u32) -> bool {
        self.wishes.shard.is_none_or(|shard| shard.holds(copy_hash("shard", connection, copy)))
    }

    /// `closed`: when the connection closed, of a lane that ends with this request; none where the
    /// lane goes on or that is not known.
    fn release(
        &mut self,
        release: &Release,
        closed: Option<i64>,
        load: &Load,
        totals: &mut Totals,
    ) -> io::Result<()> {
        let pacing = self.wishes.pacing;
        let mut load = *load;
        if load.reads_ms > 0 {
            // Its client left when the connection closed; where that is not known, behind the last
            // byte that came, and without one it is waited for like any other.
            let left = closed.filter(|&at| at != i64::MAX).map(|at| {
                at.saturating_sub(self.first_at).saturating_sub(release.offset) / 1_000_000
            });
            let known = (load.reads_ms != UNKNOWN_MS).then_some(load.reads_ms);
            let left = left.and_then(|left| u32::try_from(left.max(1)).ok());
            load.reads_ms = left.or(known).unwrap_or(0);
        }
        let closed = closed.filter(|_| pacing.speed != Speed::Max);
        let closed = closed.map(|at| at.saturating_sub(self.first_at).max(release.offset));
        for copy in 0..pacing.multiply.max(1) {
            if !self.in_shard(release.id.connection, copy) {
                self.ledger.reject("other-shard", 1);
                continue;
            }
            let hash = if copy == 0 { 0 } else { copy_hash("jitter", release.id.connection, copy) };
            let shift = pacing.shift(copy, hash);
            let mut load = load;
            if release.last {
                load.traits.0 |=
                    if closed.is_some() { Traits::LAST | Traits::CLOSES } else { Traits::LAST };
            }
            let when = release.offset.saturating_add(shift);
            let step = Step {
                when,
                id: release.id,
                copy,
                kind: StepKind::Send,
                needs: release.needs,
                think: release.think,
                load,
            };
            if let Some(open) = release.open {
                totals.lanes += 1;
                if pacing.speed != Speed::Max {
                    let open = open
                        .saturating_add(shift)
                        .min(when.saturating_sub(pacing.captured(OPEN_AHEAD_NS)));
                    totals.earliest_open = totals.earliest_open.min(open);
                    self.steps.push(Step { when: open, kind: StepKind::Open, ..step }.encode())?;
                }
            }
            if let Some(closed) = closed {
                self.steps.push(
                    Step { when: closed.saturating_add(shift), kind: StepKind::Close, ..step }
                        .encode(),
                )?;
            }
            totals.span = totals.span.max(when);
            totals.sends += 1;
            totals.bytes += load.place.length;
            self.steps.push(step.encode())?;
        }
        Ok(())
    }

    fn skip(&mut self, entry: &Entry, totals: &mut Totals) -> io::Result<()> {
        if !self.in_shard(entry.recorded.id.connection, 0) {
            self.ledger.reject("other-shard", 1);
            return Ok(());
        }
        totals.skips += 1;
        let when = entry.recorded.at.saturating_sub(self.first_at);
        let (id, load) = (entry.recorded.id, entry.load);
        self.steps.push(
            Step { when, id, copy: 0, kind: StepKind::Skip, needs: 0, think: 0, load }.encode(),
        )
    }
}

/// When connections closed, asked in their order.
struct Ends<'a> {
    closed: Merge<'a, CLOSED_BYTES>,
    /// Read, and of a connection that was not asked for yet.
    next: Option<(u64, i64)>,
    all_told: bool,
}

impl Ends<'_> {
    /// The end of a connection: the far future where it was still open when the capture ended, none
    /// where it is not known.
    fn of(&mut self, connection: u64) -> io::Result<Option<i64>> {
        let mut found = None;
        loop {
            match self.next.take() {
                Some(next) if next.0 > connection => {
                    self.next = Some(next);
                    break;
                }
                Some((of, at)) if of == connection => found = Some(at),
                _ => {}
            }
            let Some(record) = self.closed.next() else { break };
            let record = record?;
            let mut reader = Reader(&record);
            self.next = Some((u64::from_be_bytes(reader.get()), reader.time()));
        }
        Ok(found.or(self.all_told.then_some(i64::MAX)))
    }
}

/// The header fields of a request of HTTP/2 as HTTP/1 has them (RFC 9113 §8.3.1): `:authority` is
/// its `Host`, the other pseudo-header fields are in its start line.
fn without_pseudo_fields(headers: &Headers) -> Headers {
    let mut plain = Headers::with_capacity(headers.len(), 512);
    let authority = headers.get(":authority").filter(|_| headers.get("host").is_none());
    if let Some(authority) = authority {
        plain.push(b"host", authority);
    }
    headers.iter().filter(|(name, _)| !name.starts_with(b":")).for_each(|(n, v)| plain.push(n, v));
    plain
}

/// Stands for a time of reading that only the connection's end tells.
const UNKNOWN_MS: u32 = u32::MAX;

/// For how long v1's client read, where it left before the answer was whole: a stream, a download,
/// a long poll. Bytes that only the capture lacks do not count.
fn reads_ms(exchange: &Exchange, recorded: &Recorded) -> u32 {
    let is_left = match exchange.completeness {
        Completeness::NoResponse => true,
        Completeness::ResponseDamaged => exchange
            .marks
            .iter()
            .any(|mark| mark.starts_with("response") && mark.contains(ENDED_INSIDE)),
        _ => false,
    };
    let read = recorded.answered_at.map(|last| last.saturating_sub(recorded.at) / 1_000_000);
    match read {
        _ if !is_left => 0,
        Some(read) => u32::try_from(read.max(1)).unwrap_or(UNKNOWN_MS),
        None => UNKNOWN_MS,
    }
}

/// How long v2 may take where v1 took long: twice as long.
fn patience_ms(recorded: &Recorded) -> u32 {
    let took = recorded.answered_at.map_or(0, |answered| answered.saturating_sub(recorded.at));
    u32::try_from(took.max(0) / 500_000).unwrap_or(u32::MAX)
}

/// A request without its body, for the changes to its head.
fn head_of(request: &Request) -> Request {
    Request {
        method: request.method.clone(),
        target: request.target.clone(),
        version: request.version,
        headers: request.headers.clone(),
        verbatim: request.verbatim.clone(),
        ..Request::default()
    }
}

/// What a plan adds up to, for one loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests to be sent.
    pub sends: u64,
    /// Requests that are part of the run and not sent.
    pub skips: u64,
    /// Lanes.
    pub lanes: u64,
    /// Bytes to be sent.
    pub bytes: u64,
    /// Captured nanoseconds from the first request to the last.
    pub span: i64,
    /// Captured nanoseconds from the first request to the first opening of a connection; not above
    /// zero.
    pub earliest_open: i64,
}

/// The finished plan.
pub struct Plan {
    pub(in crate::replay) pacing: Pacing,
    pub(in crate::replay) steps: Sorted<STEP_BYTES>,
    pub(in crate::replay) spool: Spool,
    /// Who served the capture.
    pub captured: Captured,
    /// What is not part of the run, by reason.
    pub ledger: Ledger,
    /// Requests to be sent, by method (of the first copy).
    pub methods: BTreeMap<String, u64>,
    pub(in crate::replay) names: Vec<Arc<str>>,
    /// The routes' names by their number.
    pub routes: Vec<Arc<str>>,
    pub(in crate::replay) connections: u64,
    pub(in crate::replay) period: i64,
    /// What it adds up to.
    pub totals: Totals,
}

/// What a plan looks like in time, for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Nanoseconds of one loop at its pace.
    pub duration_ns: i64,
    /// Most requests due within one second of the replay.
    pub peak_second: u64,
    /// Most lanes that are open at the same time.
    pub peak_lanes: u64,
    /// Requests that are not sent, by reason.
    pub skipped: BTreeMap<String, u64>,
}

impl Plan {
    /// How many requests are to be sent, all loops counted.
    pub fn sends(&self) -> u64 {
        self.totals.sends.saturating_mul(u64::from(self.pacing.loops.max(1)))
    }

    /// How long it takes by the schedule; none for [`Speed::Max`].
    pub fn duration_ns(&self) -> Option<i64> {
        let rounds = i64::from(self.pacing.loops.max(1)) - 1;
        (self.pacing.speed != Speed::Max).then(|| {
            self.pacing.due(self.totals.span.saturating_add(self.period.saturating_mul(rounds)))
        })
    }

    /// How long before the first request the first connection opens at this pace.
    pub(in crate::replay) fn lead_ns(&self) -> i64 {
        self.pacing.due(self.totals.earliest_open).saturating_neg().max(0)
    }

    /// The steps of one loop in order.
    pub(in crate::replay) fn steps(
        &self,
    ) -> io::Result<impl Iterator<Item = io::Result<Step>> + use<'_>> {
        let merge: Merge<'_, STEP_BYTES> = self.steps.iter()?;
        Ok(merge.map(|record| record.map(|record| Step::decode(&record))))
    }

    /// The id and the lane of a step in loop `round`.
    pub(in crate::replay) fn identity(&self, step: &Step, round: u32) -> (ReplayId, u64) {
        let copy = round.saturating_mul(self.pacing.multiply.max(1)).saturating_add(step.copy);
        let lane =
            u64::from(copy).saturating_mul(self.connections).saturating_add(step.id.connection);
        (ReplayId { exchange: step.id, copy: copy.saturating_add(1) }, lane)
    }

    /// Reads the plan through once and says what it looks like.
    pub fn figures(&self) -> io::Result<Figures> {
        let mut figures =
            Figures { duration_ns: self.pacing.due(self.totals.span), ..Figures::default() };
        let mut spool = self.spool.reader();
        let (mut open, mut second, mut in_second) = (0u64, i64::MIN, 0u64);
        for step in self.steps()? {
            let step = step?;
            match step.kind {
                StepKind::Open => open += 1,
                StepKind::Close => open = open.saturating_sub(1),
                StepKind::Skip => {
                    let reason =
                        spool.get(step.load.place.offset, step.load.place.length as usize)?;
                    let reason = String::from_utf8_lossy(&reason).into_owned();
                    if figures.skipped.len() < 100 || figures.skipped.contains_key(&reason) {
                        *figures.skipped.entry(reason).or_default() += 1;
                    }
                }
                StepKind::Send => {
                    let now = self.pacing.due(step.when).div_euclid(crate::time::NANOS_PER_SEC);
                    if now != second {
                        (second, in_second) = (now, 0);
                    }
                    in_second += 1;
                    figures.peak_second = figures.peak_second.max(in_second);
                }
            }
            figures.peak_lanes = figures.peak_lanes.max(open);
            if step.kind == StepKind::Send
                && step.load.traits.is_last()
                && !step.load.traits.lane_closes()
            {
                open = open.saturating_sub(1);
            }
        }
        if self.pacing.speed == Speed::Max {
            (figures.peak_second, figures.peak_lanes) = (0, self.totals.lanes);
        }
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::TimedRequest;
    use crate::time::Timestamp;

    const MS: i64 = 1_000_000;

    fn exchange(connection: u64, ordinal: u32, at: i64) -> Exchange {
        Exchange {
            carriage: None,
            id: ExchangeId { connection, ordinal },
            client: "192.0.2.1:1".parse().unwrap(),
            server: "192.0.2.2:80".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::NoResponse,
            request: Some(TimedRequest {
                at: Timestamp::from_nanos(at),
                duration_ns: 0,
                message: Request { method: "GET".into(), target: "/".into(), ..Request::default() },
            }),
            response: None,
            interim: vec![],
            opened_at: None,
            handshake_ns: None,
            marks: vec![],
            closed: vec![],
        }
    }

    /// When the lanes of three connections close, told so: the first in time, the second after the
    /// last request, the third not at all.
    fn closes(speed: Speed, open: Option<u64>) -> (Vec<(u64, i64)>, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let wishes = Wishes { pacing: Pacing { speed, ..Pacing::default() }, ..Wishes::default() };
        let mut planner = Planner::new(folder.path(), wishes, None).unwrap();
        let told = |connection, at| Closed(connection, Timestamp::from_nanos(at));
        let mut last = exchange(2, 1, 50 * MS);
        last.closed = vec![told(0, 31 * MS), told(9, 5)];
        for exchange in [exchange(0, 0, MS), exchange(1, 0, 2 * MS), exchange(2, 0, 3 * MS), last] {
            planner.add(&exchange).unwrap();
        }
        planner.end(&Rest { closed: vec![told(1, 70 * MS)], open }).unwrap();
        let plan = planner.finish().unwrap();
        let steps: Vec<Step> = plan.steps().unwrap().map(Result::unwrap).collect();
        let of_kind = |kind| steps.iter().filter(move |step| step.kind == kind);
        let ends = of_kind(StepKind::Send)
            .filter(|step| step.load.traits.is_last() && !step.load.traits.lane_closes());
        (
            of_kind(StepKind::Close).map(|step| (step.id.connection, step.when)).collect(),
            ends.map(|step| step.id.connection).collect(),
        )
    }

    #[test]
    fn a_server_is_asked_for_by_the_host_that_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let mut asked = exchange(0, 0, MS);
        asked.request.as_mut().unwrap().message.headers.push(b"Host", b"captured.invalid:8443");
        let host = "host: other.invalid".parse().unwrap();
        for (set, name) in [(vec![], "captured.invalid"), (vec![host], "other.invalid")] {
            let wishes =
                Wishes { rewriter: Rewriter { set, ..Rewriter::default() }, ..Wishes::default() };
            let mut planner = Planner::new(folder.path(), wishes, None).unwrap();
            planner.add(&asked).unwrap();
            let plan = planner.finish().unwrap();
            let step = plan
                .steps()
                .unwrap()
                .map(Result::unwrap)
                .find(|step| step.kind == StepKind::Send)
                .unwrap();
            assert_eq!(&*plan.names[step.load.name as usize], name);
        }
    }

    #[test]
    fn fields_of_http_2_become_those_of_http_1() {
        let fields = |pairs: &[(&str, &str)]| -> Headers {
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
        };
        let two = [(":method", "GET"), (":authority", "a"), (":path", "/"), ("x", "1")];
        assert_eq!(without_pseudo_fields(&fields(&two)), fields(&[("host", "a"), ("x", "1")]));
        let both = [(":authority", "a"), ("host", "b")];
        assert_eq!(without_pseudo_fields(&fields(&both)), fields(&[("host", "b")]));
    }

    #[test]
    fn a_lane_closes_by_a_step_where_its_end_is_known_and_with_its_last_answer_where_it_is_not() {
        let one = Speed::Factor(1.0);
        assert_eq!(closes(one, Some(1)).0, [(0, 30 * MS), (1, 69 * MS), (2, i64::MAX - MS)]);
        assert_eq!(closes(one, Some(1)).1, [0; 0]);
        assert_eq!(closes(one, None), (vec![(0, 30 * MS), (1, 69 * MS)], vec![2]));
        assert_eq!(closes(Speed::Max, Some(1)), (vec![], vec![0, 1, 2]));
    }
}
