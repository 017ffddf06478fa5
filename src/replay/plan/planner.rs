//! Takes exchanges and makes the plan of them: chosen or not, changed as asked, encoded, cut into
//! lanes, each request with its due time and what it comes after.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bind::Part;
use crate::bind::fill::touch::Touches;
use crate::exchange::socket::SocketSession;
use crate::exchange::{Closed, Completeness, Exchange, HOST_UNKNOWN, UNANSWERED};
use crate::flow::Endpoint;
use crate::ledger::Ledger;
use crate::message::target::{host, without_port};
use crate::message::{Request, Version, grpc};
use crate::record::exchanges::Rest;
use crate::replay::plan::announced::Announced;
use crate::replay::plan::bound::BoundWriter;
use crate::replay::plan::course;
use crate::replay::plan::guard::Captured;
use crate::replay::plan::lanes::{InLane, Lanes, Owner};
use crate::replay::plan::load::{Load, Traits};
use crate::replay::plan::script::{self, Story};
use crate::replay::plan::spool::SpoolWriter;
use crate::replay::plan::step::StepKind;
use crate::replay::plan::step::{
    CLOSED_BYTES, ENTRY_BYTES, FieldCursor, PlanStep, STEP_BYTES, StepEntry, StepReader,
};
use crate::replay::plan::{Plan, PlanTotals, RouteOf, Wishes, sound, two};
use crate::replay::spoken::Spoken;
use crate::schedule::gaps::Gaps;
use crate::schedule::lane::LaneSchedule;
use crate::schedule::pacing::Speed;
use crate::schedule::select::{Choice, NOT_IN_SAMPLE, Sample, Selection, copy_hash};
use crate::schedule::users::Users;
use crate::schedule::{Recorded, Release};
use crate::store::sorter::{Merge, Sorter};
use crate::wire::h1::encode;
use crate::wire::h1::parser::Damage;
use crate::wire::h2::translate::in_http2;

/// How long before its first request a connection is opened at the latest, so that opening it
/// delays nothing.
const OPEN_AHEAD_NS: i64 = 20_000_000;
/// What clients on gRPC's C core call themselves, among other things.
const GRPC_CORE: &[u8] = b"grpc-c/";
/// Most server names (for TLS) that are told apart.
const NAMES: usize = 65_536;
/// The mark of a message that its connection ended inside of.
const ENDED_INSIDE: &str = Damage::Ended.name();
/// Most routes that are told apart while the replay runs.
const ROUTES: usize = 500;

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
    announced: Announced,
    routes: Interner,
    first_at: i64,
    /// When requests that are chosen came, where gaps are cut.
    times: Option<Sorter<8>>,
    /// The last request that is chosen, and how many there are, of all shards.
    last_at: i64,
    chosen: u64,
    lanes: Lanes,
    bound: Option<BoundWriter>,
    /// With unsafe methods: for those whose answers give values.
    producers: Option<Selection>,
    /// The share of the clients that is replayed, where values are bound.
    sample: Option<Sample>,
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
        let parts = wishes.parts.clone();
        let bound =
            parts.map(|parts| BoundWriter::new(folder, parts, Touches::default())).transpose()?;
        let mut wishes = wishes;
        let mut captured = Captured::default();
        captured.look_for(&wishes.selection.ids);
        let by_connection = wishes.selection.sample_by == Users::Connection;
        // A client's connections are replayed together or not at all.
        let sample = wishes.selection.sample.take_if(|_| bound.is_some() && by_connection);
        let all = || Selection { unsafe_methods: true, ..wishes.selection.clone() };
        let times = wishes.pacing.max_gap_ns.map(|_| Sorter::new(folder));
        Ok(Self {
            sample,
            producers: wishes.producers.then(all),
            bound,
            lanes: Lanes::new(wishes.lanes.clone()),
            wishes,
            route_of,
            spool: SpoolWriter::new(folder)?,
            entries: Sorter::new(folder),
            closed: Sorter::new(folder),
            times,
            all_told: false,
            steps: Sorter::new(folder),
            captured,
            ledger: Ledger::default(),
            methods: BTreeMap::new(),
            names: Interner::new(NAMES, ""),
            announced: Announced::default(),
            routes: Interner::new(ROUTES, "other"),
            first_at: i64::MAX,
            last_at: i64::MIN,
            chosen: 0,
        })
    }

    /// The same, with what `[flow]` says of values that no flow gives.
    #[must_use]
    pub fn touching(mut self, touches: Touches) -> Self {
        if let Some(bound) = &mut self.bound {
            bound.touches = touches;
        }
        self
    }

    /// Adds an exchange. Those that [`Self::holds`] denies are needed too, though not their bodies:
    /// when all shards begin and loop depends on all of them.
    pub fn add(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.captured.add(exchange);
        let announced = self.announced.number(exchange);
        let named = self.with_host(exchange);
        let exchange = named.as_ref().unwrap_or(exchange);
        self.add_closed(&exchange.closed)?;
        let Some(recorded) = Recorded::new(exchange) else {
            self.ledger.reject("no-request", 1);
            return Ok(());
        };
        let part = self.part(exchange)?;
        let session = part.as_ref().map(|part| part.session);
        let InLane { lane, owner } = self.lanes.of(exchange, &recorded, session);
        let is_users = self.lanes.is_users(lane.0);
        // Answers to a user came in any order, whatever connections it had.
        let recorded = match is_users {
            true => Recorded { opened_at: None, concurrent: true, ..recorded },
            false => recorded,
        };
        let gives = part.as_ref().is_some_and(|part| part.births.iter().any(|b| b.flow.is_some()));
        let selection = self.producers.as_ref().filter(|_| gives).unwrap_or(&self.wishes.selection);
        let is_held = self.is_held(owner);
        if let (Some(sample), Some(session)) = (self.sample, session)
            && !sample.holds(copy_hash("sample-session", u64::from(session), 0))
        {
            self.ledger.reject(NOT_IN_SAMPLE, 1);
            return Ok(());
        }
        let reason = match selection.choose(exchange) {
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
        if reason.is_none() {
            self.last_at = self.last_at.max(recorded.at);
            self.chosen += 1;
            if let Some(times) = &mut self.times {
                let mut record = [0; 8];
                FieldCursor(&mut record).time(recorded.at);
                times.push(record)?;
            }
        }
        let load = match reason {
            // Never sent from here, so its bytes are not needed.
            reason if !is_held => Load {
                traits: Traits(if reason.is_some() { Traits::NOT_SENT } else { 0 }),
                ..Load::default()
            },
            Some((traits, reason)) => self.not_sent(traits, &reason)?,
            None => Load {
                patience_ms: patience_ms(&recorded),
                reads_ms: reads_ms(exchange, &recorded),
                status: exchange
                    .response
                    .as_ref()
                    .map_or(0, |answer| grpc::judged_status(&answer.message).max(1)),
                ..self.encode(exchange, request)?
            },
        };
        let mut load = Load { announced, ..load };
        if is_users && load.traits.spoken() == Spoken::One {
            // What a user had under way side by side needs connections side by side.
            load.traits.0 |= Traits::SPREADS;
        }
        let is_sent = load.traits.not_sent().is_none();
        if is_sent && self.in_shard(owner, 0) {
            self.count_method(request);
        }
        if let (true, Some(bound), Some(part)) = (is_sent && is_held, &mut self.bound, &part) {
            load.note = bound.add(exchange, part)?;
        }
        let recorded = match SocketSession::of(exchange).filter(|_| is_sent) {
            // What its user sent while it was open did not wait for its end.
            Some(session) => Recorded {
                answered_at: Some(recorded.at.saturating_add(session.ended_ns())),
                ..recorded
            },
            None => recorded,
        };
        self.entries.push(StepEntry { lane, owner, recorded, load }.encode())
    }

    /// What an exchange has to do with bound values.
    fn part(&mut self, exchange: &Exchange) -> io::Result<Option<Part>> {
        self.bound.as_mut().map_or(Ok(None), |bound| bound.part(exchange.id))
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
            let mut cursor = FieldCursor(&mut record);
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

    /// Prepares a request for the protocol that it goes over.
    fn encode(&mut self, exchange: &Exchange, request: &Request) -> io::Result<Load> {
        let is_two = request.version == Version::Http2;
        // Asked in HTTP/1, and answered on a stream: `Upgrade: h2c` (RFC 7540 §3.2).
        let is_upgraded = !is_two && exchange.protocol == "http/2";
        match self.wishes.protocol {
            Some(Spoken::One) if is_two => {
                let mut load = self.encode_one(&encode::in_http1(request))?;
                load.traits.0 |= Traits::SPREADS;
                Ok(load)
            }
            Some(Spoken::Two) if matches!(request.version, Version::Http10 | Version::Http11) => {
                let carriage = exchange.carriage.as_deref();
                let tls = carriage.is_some_and(|carriage| carriage.tls.is_some());
                let scheme = if tls { "https" } else { "http" };
                self.encode_two(Story::default(), &in_http2(request, scheme))
            }
            None if is_upgraded => self.encode_two(Story::of(exchange), &in_http2(request, "http")),
            _ if is_two => self.encode_two(Story::of(exchange), request),
            _ => {
                let load = self.encode_one(request)?;
                match SocketSession::of(exchange) {
                    Some(session) => self.with_course(load, session),
                    None => Ok(load),
                }
            }
        }
    }

    /// Puts the course of a WebSocket right behind the request that opens it.
    fn with_course(&mut self, load: Load, session: SocketSession<'_>) -> io::Result<Load> {
        if load.traits.not_sent().is_some() {
            return Ok(load);
        }
        let place = self.spool.append(|out| course::write(out, session))?;
        debug_assert_eq!(place.offset, load.place.offset + load.place.length);
        Ok(Load { traits: Traits(load.traits.0 | Traits::SOCKET), ..load })
    }

    fn encode_two(&mut self, story: Story, request: &Request) -> io::Result<Load> {
        let upstream = self.wishes.rewriter.upstream(request);
        let changed = match two::changed(&self.wishes.rewriter, request) {
            Ok(changed) => changed,
            Err(why) => return self.not_sent(Traits(Traits::NOT_SENT | Traits::REWRITE), &why),
        };
        if let Some(why) = sound::objection_to_stream(&changed) {
            return self.not_sent(Traits(Traits::NOT_SENT), why);
        }
        let mut head = 0;
        let place = self.spool.append(|out| head = script::write(out, &changed, story))?;
        let mut traits = Traits::of(&changed);
        traits.0 |= Traits::TWO;
        let agent = request.headers.get("user-agent").unwrap_or_default();
        if memchr::memmem::find(agent, GRPC_CORE).is_some() {
            traits.0 |= Traits::CORE;
        }
        Ok(Load {
            traits,
            upstream,
            name: self.name_of(&changed),
            route: self.route(request),
            place,
            head: u32::try_from(head).unwrap_or(u32::MAX),
            ..Load::default()
        })
    }

    /// The number of a request's route.
    fn route(&mut self, request: &Request) -> u16 {
        let Some(route_of) = &self.route_of else { return 0 };
        let route = route_of(&request.method, &request.target);
        u16::try_from(self.routes.number(&route)).unwrap_or(0)
    }

    fn encode_one(&mut self, request: &Request) -> io::Result<Load> {
        let route = self.route(request);
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
            route,
            place,
            head: u32::try_from(head).unwrap_or(u32::MAX),
            ..Load::default()
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
        let gaps = self.gaps()?;
        self.last_at = gaps.map(self.last_at);
        let ends = ConnectionEnds { closed: closed.iter()?, next: None, all_told: self.all_told };
        let lanes = std::mem::take(&mut self.lanes);
        if lanes.beyond > 0 {
            self.ledger.note("requests-of-users-beyond-the-bound", lanes.beyond);
        }
        let mut ends = WithoutGaps { ends, gaps: &gaps, lanes: &lanes };
        let mut totals = PlanTotals::default();
        let mut tracks = self.tracks();
        let mut lane = None;
        for record in entries.iter()? {
            let mut entry = StepEntry::decode(&record?);
            entry.recorded = entry.recorded.mapped(|time| gaps.map(time));
            if lane.is_some_and(|lane| lane != entry.lane.0) {
                self.end_lane(&mut tracks, &mut ends, &mut totals)?;
            }
            lane = Some(entry.lane.0);
            if entry.load.traits.not_sent().is_some() {
                self.skip(&entry, &mut totals)?;
                continue;
            }
            for LaneTrack { copies, schedule, held } in &mut tracks {
                if !self.in_shard(entry.owner, copies.start) {
                    self.ledger.reject("other-shard", u64::from(copies.end - copies.start));
                    continue;
                }
                if let Some(release) = schedule.push(&entry.recorded, self.first_at) {
                    let before = held.expect("a lane holds back one release, and its entry too");
                    self.release(&release, None, &before, copies, &mut totals)?;
                }
                *held = Some(entry);
            }
        }
        self.end_lane(&mut tracks, &mut ends, &mut totals)?;
        drop(entries);
        let pacing = self.wishes.pacing;
        Ok(Plan {
            period: self.period(&totals),
            pacing,
            steps: self.steps.finish()?,
            spool: self.spool.finish()?,
            bound: self.bound.map(BoundWriter::finish).transpose()?,
            captured: self.captured,
            ledger: self.ledger,
            methods: self.methods,
            names: self.names.texts,
            announced: self.announced.into_kinds(),
            routes: self.routes.texts,
            lanes: lanes.count.max(1),
            totals,
        })
    }

    /// What is made of each lane: one schedule for all of its copies, or in a shard one for each,
    /// since a connection that several clients shared is in as many shards as these, and begins and
    /// ends in each with its own part.
    fn tracks(&self) -> Vec<LaneTrack> {
        let copies = self.wishes.pacing.multiply.max(1);
        let track = |copies| LaneTrack { copies, schedule: LaneSchedule::default(), held: None };
        match self.wishes.shard {
            None => vec![track(0..copies)],
            Some(_) => (0..copies).map(|copy| track(copy..copy + 1)).collect(),
        }
    }

    /// Releases what ends a lane.
    fn end_lane(
        &mut self,
        tracks: &mut [LaneTrack],
        ends: &mut WithoutGaps<'_>,
        totals: &mut PlanTotals,
    ) -> io::Result<()> {
        let Some(last) = tracks.iter().find_map(|track| track.held) else { return Ok(()) };
        let end = ends.of_lane(&last)?;
        for LaneTrack { copies, schedule, held } in tracks {
            if let (Some(release), Some(last)) = (std::mem::take(schedule).finish(), held.take()) {
                self.release(&release, end, &last, copies, totals)?;
            }
        }
        Ok(())
    }

    /// The times without requests that are cut.
    fn gaps(&mut self) -> io::Result<Gaps> {
        let (Some(times), Some(longest)) = (self.times.take(), self.wishes.pacing.max_gap_ns)
        else {
            return Ok(Gaps::default());
        };
        let times = times.finish()?;
        Gaps::new(times.iter()?.map(|record| Ok(StepReader(&record?).time())), longest)
    }

    /// The distance between two loops: of all shards the same, so that they stay together.
    fn period(&self, totals: &PlanTotals) -> i64 {
        let pacing = self.wishes.pacing;
        if self.wishes.shard.is_none() {
            return pacing.period(totals.span, totals.sends);
        }
        let span = self.last_at.saturating_sub(self.first_at).max(0);
        let latest = if pacing.multiply > 1 { pacing.shift(1, u64::MAX) } else { 0 };
        let sends = self.chosen.saturating_mul(u64::from(pacing.multiply.max(1)));
        pacing.period(span.saturating_add(latest), sends)
    }

    /// Whether any copy of an exchange is in the shard; asked of each before it is added.
    pub fn holds(&mut self, exchange: &Exchange) -> io::Result<bool> {
        if self.wishes.shard.is_none() {
            return Ok(true);
        }
        let bound = self.bound.as_mut();
        let session = bound.map_or(Ok(None), |bound| bound.session(exchange.id))?;
        Ok(self.is_held(self.lanes.owner(exchange, session)))
    }

    fn is_held(&self, owner: Owner) -> bool {
        let mut copies = 0..self.wishes.pacing.multiply.max(1);
        copies.any(|copy| self.in_shard(owner, copy))
    }

    /// Whether a copy of a lane is of this shard.
    fn in_shard(&self, owner: Owner, copy: u32) -> bool {
        self.wishes.shard.is_none_or(|shard| shard.holds(owner.hash(copy)))
    }

    /// How much later a copy of a lane goes. Where values are bound all of a copy goes
    /// together, since its connections wait for each other.
    fn shift(&self, lane: u64, copy: u32) -> i64 {
        let apart = if self.bound.is_some() { 0 } else { lane };
        let hash = if copy == 0 { 0 } else { copy_hash("jitter", apart, copy) };
        self.wishes.pacing.shift(copy, hash)
    }

    /// `closed`: when the connection closed, of a lane that ends with this request; none where the
    /// lane goes on or that is not known.
    fn release(
        &mut self,
        release: &Release,
        closed: Option<i64>,
        entry: &StepEntry,
        copies: &Range<u32>,
        totals: &mut PlanTotals,
    ) -> io::Result<()> {
        let pacing = self.wishes.pacing;
        let StepEntry { mut load, .. } = *entry;
        if load.reads_ms > 0 {
            // Its client left when the connection closed; where that is not known, behind the last
            // byte that came, and without one it is waited for like any other.
            let left = closed.filter(|&at| at != i64::MAX).map(|at| {
                at.saturating_sub(self.first_at).saturating_sub(release.offset) / 1_000_000
            });
            let known = (load.reads_ms != UNKNOWN_MS).then_some(load.reads_ms);
            let left = left.and_then(|left| u32::try_from(left.max(1)).ok());
            // Over HTTP/2 it leaves a stream, and keeps the connection.
            load.reads_ms = match load.traits.spoken() {
                Spoken::Two => known.or(left).unwrap_or(0),
                Spoken::One => left.or(known).unwrap_or(0),
            };
        }
        let closed = closed.filter(|_| pacing.speed != Speed::Max);
        let closed = closed.map(|at| at.saturating_sub(self.first_at).max(release.offset));
        for copy in copies.clone() {
            let shift = self.shift(entry.lane.0, copy);
            let mut load = load;
            if release.last {
                load.traits.0 |=
                    if closed.is_some() { Traits::LAST | Traits::CLOSES } else { Traits::LAST };
            }
            let when = release.offset.saturating_add(shift);
            let step = PlanStep {
                when,
                id: release.id,
                lane: entry.lane.0,
                copy,
                kind: StepKind::Send,
                answered: release.answered.saturating_add(shift),
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
                    self.steps
                        .push(PlanStep { when: open, kind: StepKind::Open, ..step }.encode())?;
                }
            }
            if let Some(closed) = closed {
                self.steps.push(
                    PlanStep { when: closed.saturating_add(shift), kind: StepKind::Close, ..step }
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

    fn skip(&mut self, entry: &StepEntry, totals: &mut PlanTotals) -> io::Result<()> {
        if !self.in_shard(entry.owner, 0) {
            self.ledger.reject("other-shard", 1);
            return Ok(());
        }
        totals.skips += 1;
        let when = entry.recorded.at.saturating_sub(self.first_at);
        let (id, lane, load) = (entry.recorded.id, entry.lane.0, entry.load);
        self.steps.push(
            PlanStep {
                when,
                id,
                lane,
                copy: 0,
                kind: StepKind::Skip,
                answered: i64::MAX,
                think: 0,
                load,
            }
            .encode(),
        )
    }
}

impl Planner {
    /// An exchange whose recording names no host (a log) gets the target's: HTTP/1.1 needs one
    /// (RFC 9112 §3.2).
    fn with_host(&self, exchange: &Exchange) -> Option<Exchange> {
        let host = self.wishes.unnamed_host.as_ref()?;
        if !exchange.is_marked(HOST_UNKNOWN) {
            return None;
        }
        let mut named = exchange.clone();
        named.request.as_mut()?.message.headers.push(b"Host", host.as_bytes());
        Some(named)
    }
}

/// A lane on its way to releases, of some of its copies.
struct LaneTrack {
    copies: Range<u32>,
    schedule: LaneSchedule,
    /// The last request, which is held back.
    held: Option<StepEntry>,
}

/// The ends of connections in times without gaps.
struct WithoutGaps<'a> {
    ends: ConnectionEnds<'a>,
    gaps: &'a Gaps,
    lanes: &'a Lanes,
}

impl WithoutGaps<'_> {
    /// When the lane closed that ends with `last`; a user's has no end but its last answer.
    fn of_lane(&mut self, last: &StepEntry) -> io::Result<Option<i64>> {
        if self.lanes.is_users(last.lane.0) {
            Ok(None)
        } else {
            self.of(last.recorded.id.connection)
        }
    }

    fn of(&mut self, connection: u64) -> io::Result<Option<i64>> {
        let mapped = |at| if at == i64::MAX { at } else { self.gaps.map(at) };
        Ok(self.ends.of(connection)?.map(mapped))
    }
}

/// When connections closed, asked in their order.
struct ConnectionEnds<'a> {
    closed: Merge<'a, CLOSED_BYTES>,
    /// Read, and of a connection that was not asked for yet.
    next: Option<(u64, i64)>,
    all_told: bool,
}

impl ConnectionEnds<'_> {
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
            let mut reader = StepReader(&record);
            self.next = Some((u64::from_be_bytes(reader.get()), reader.time()));
        }
        Ok(found.or(self.all_told.then_some(i64::MAX)))
    }
}

/// Stands for a time of reading that only the connection's end tells.
const UNKNOWN_MS: u32 = u32::MAX;

/// For how long v1's client read, where it left before the answer was whole: a stream, a download,
/// a long poll. Bytes that only the capture lacks do not count.
fn reads_ms(exchange: &Exchange, recorded: &Recorded) -> u32 {
    let is_left = match exchange.completeness {
        Completeness::NoResponse => !exchange.is_marked(UNANSWERED),
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
