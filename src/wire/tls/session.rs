//! One TLS connection: cuts records out of its bytes, holds what waits for a key, and passes over
//! what is missing. What records say is read in `records`, keys are found in `keys`, and what was
//! lost is searched in `resync`.

use super::account::{Shown, TlsStanding};
use super::handshake::{ClientHello, ServerHello};
use super::opener::{HEADER, TlsVersion};
use super::schedule;
use super::shared::TlsShared;
use super::side::{Cut, HeldPiece, KeyPhase, Lost, TlsSide, record_length};
use super::suite::Suite;
use super::transcript::Transcript;

use crate::flow::Direction;
use crate::limits;
use crate::time::Timestamp;
use crate::wire::Ending;
use crate::wire::PacketMark;

/// Where plaintext goes.
pub trait Plaintext {
    /// What the connection shows of itself, before the first bytes and when it changes; requests
    /// that came no later than `early_until` were sent before the handshake was over.
    fn shows(&mut self, shown: Shown, early_until: Option<Timestamp>);
    /// The next bytes of a direction, of one record.
    fn bytes(&mut self, direction: Direction, text: &[u8], mark: PacketMark);
    /// Bytes that are missing: as many as the records that were lost can have held.
    fn gap(&mut self, direction: Direction, bytes: u64, mark: PacketMark);
    /// A direction has ended.
    fn close(&mut self, direction: Direction, ending: Ending);
}

/// Most plaintext of a record (RFC 8446 §5.1).
const LONGEST_TEXT: u64 = 1 << 14;

/// The client's side, unless the ClientHello came the other way.
const CLIENT: usize = 0;

/// One TLS connection.
pub struct TlsConnection {
    pub(super) shared: TlsShared,
    /// By direction: to the server, to the client.
    pub(super) sides: [TlsSide; 2],
    /// Which side is the client's.
    pub(super) client: usize,
    pub(super) client_hello: Option<ClientHello>,
    pub(super) server_hello: Option<ServerHello>,
    pub(super) suite: Option<Suite>,
    pub(super) version: Option<TlsVersion>,
    /// Keys of TLS 1.2 and before, for when a ChangeCipherSpec starts them.
    pub(super) next_keys: Option<[schedule::DirectionKeys; 2]>,
    /// The first bytes of an encrypted premaster secret.
    pub(super) encrypted: Vec<u8>,
    /// What the handshake said until then.
    pub(super) transcript: Transcript,
    /// The server asked for another ClientHello.
    pub(super) retry: bool,
    /// Whether the server reads the early data.
    pub(super) early: Option<bool>,
    /// The last early data.
    pub(super) early_until: Option<Timestamp>,
    /// What it shows of itself is not told yet.
    pub(super) news: bool,
    pub(super) alpn: Option<String>,
    pub(super) resumed: bool,
    /// Of TLS 1.2 and before: whether the handshake agrees on a new secret.
    pub(super) full: Option<bool>,
    /// The name of the ticket that resumes this session.
    pub(super) issued: Option<Vec<u8>>,
    pub(super) joined: bool,
    /// Its keys were found by trial.
    pub(super) joined_later: bool,
    /// The other direction of one whose keys were found may search again.
    pub(super) retry_other: bool,
    /// The ring's generation that keys were looked up in.
    pub(super) generation: u64,
    /// Pieces given so far.
    pub(super) order: u64,
    /// What waits may go on.
    pub(super) changed: bool,
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) guesses: u64,
    /// Nothing of it is read any more.
    pub(super) given_up: bool,
    pub(super) scratch: Vec<u8>,
}

impl std::fmt::Debug for TlsConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("shown", &self.shown()).finish_non_exhaustive()
    }
}

impl TlsConnection {
    /// For a connection that begins now, or that the capture `joined` in the middle.
    pub fn new(shared: TlsShared, joined: bool) -> Self {
        Self {
            generation: shared.ring().generation(),
            shared,
            sides: [TlsSide::new(), TlsSide::new()],
            client: CLIENT,
            client_hello: None,
            server_hello: None,
            suite: None,
            version: None,
            next_keys: None,
            encrypted: Vec::new(),
            transcript: Transcript::default(),
            retry: false,
            early: None,
            early_until: None,
            news: true,
            alpn: None,
            resumed: false,
            full: None,
            issued: None,
            joined,
            joined_later: false,
            retry_other: false,
            order: 0,
            changed: false,
            opened: 0,
            failed: 0,
            guesses: 0,
            given_up: false,
            scratch: Vec::new(),
        }
    }

    /// What the connection shows of itself.
    pub fn shown(&self) -> Shown {
        Shown {
            version: self.version.map(TlsVersion::name),
            suite: self.suite.map(|suite| suite.name),
            sni: self.client_hello.as_ref().and_then(|hello| hello.sni.clone()),
            alpn: self.alpn.clone(),
            resumed: self.resumed,
            joined: self.joined_later,
        }
    }

    /// What became of it.
    pub fn standing(&self) -> TlsStanding {
        let sealed = self.sides.iter().any(|side| side.phase > KeyPhase::Clear);
        let lost = |side: &TlsSide| matches!(side.cut, Cut::Lost(_));
        let opens = self.suite.is_none_or(|suite| suite.cipher.is_some());
        if self.opened > 0 {
            TlsStanding::Read
        } else if self.version == Some(TlsVersion::Ssl3) || !opens {
            TlsStanding::Unsupported
        } else if self.client_hello.is_none() && (self.joined || self.sides.iter().any(lost)) {
            TlsStanding::Joined
        } else if self.failed > 0 {
            TlsStanding::WrongKey
        } else if sealed || self.sides.iter().any(|side| side.held() > 0) {
            TlsStanding::NoKey
        } else {
            TlsStanding::Empty
        }
    }

    /// Whether its bytes are needed.
    pub fn wants(&self) -> bool {
        !self.given_up
    }

    /// Bytes that it holds: records that are not whole, and what waits for a key.
    pub fn held(&self) -> usize {
        self.sides.iter().map(TlsSide::held).sum::<usize>() + self.transcript.held()
    }

    /// Lets go of what waits for a key, where memory is short.
    pub fn relieve(&mut self) {
        if self.waits() {
            self.give_up();
        }
    }

    /// Whether anything waits for a key.
    pub fn waits(&self) -> bool {
        self.sides.iter().any(|side| side.waits_since().is_some())
    }

    /// Whether another connection may tell the key that it waits for: that of the session that it
    /// resumes, in TLS 1.2 and before.
    pub fn waits_for_session(&self) -> bool {
        let may_resume = self.full != Some(true) && self.version != Some(TlsVersion::Tls13);
        may_resume && self.server_hello.is_some() && self.waits()
    }

    /// Lets what waits go on, where there are more keys now.
    pub fn retry(&mut self, out: &mut impl Plaintext) {
        self.go_on(out);
    }

    /// The next bytes of a direction.
    pub fn bytes(
        &mut self,
        direction: Direction,
        payload: &[u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        if self.given_up || payload.is_empty() {
            return;
        }
        let (side, order) = (index(direction), self.next_order());
        self.begin(side, payload);
        self.sides[side].come += payload.len() as u64;
        if self.sides[side].waits_since().is_some() || self.awaits_other(side, mark) {
            self.sides[side].hold(order, HeldPiece::Bytes(payload.to_vec(), mark), false);
        } else {
            self.read(side, order, payload, mark, out);
        }
        self.go_on(out);
        self.bound(out);
    }

    /// `n` bytes of a direction are missing here.
    pub fn gap(
        &mut self,
        direction: Direction,
        n: u64,
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        if self.given_up {
            return;
        }
        let (side, order) = (index(direction), self.next_order());
        self.sides[side].begun = true;
        self.sides[side].come += n;
        if self.sides[side].waits_since().is_some() {
            self.sides[side].hold(order, HeldPiece::Gap(n, mark), false);
        } else {
            self.skip(side, n, mark, out);
        }
        self.go_on(out);
    }

    /// A direction has ended.
    pub fn close(&mut self, direction: Direction, ending: Ending, out: &mut impl Plaintext) {
        if self.given_up {
            return;
        }
        let (side, order) = (index(direction), self.next_order());
        if self.sides[side].waits_since().is_some() {
            self.sides[side].hold(order, HeldPiece::End(ending), false);
        } else {
            self.end(side, ending, out);
        }
        self.go_on(out);
    }

    /// Nothing more comes: hands on what can be read with the keys that there are.
    pub fn finish(&mut self, out: &mut impl Plaintext) {
        self.go_on(out);
        for side in 0..self.sides.len() {
            if self.sides[side].waits_since().is_none() {
                self.search_to_the_end(side, out);
            }
        }
        self.lose_hope(out);
        for side in 0..self.sides.len() {
            if self.sides[side].waits_since().is_none() {
                self.miss_the_rest(side, out);
            }
        }
    }

    /// Tells that the last records of a direction are missing, where they are.
    fn miss_the_rest(&mut self, side: usize, out: &mut impl Plaintext) {
        let state = &mut self.sides[side];
        let Cut::Lost(Lost { bytes, joined: false, mark, .. }) = state.cut else { return };
        let (lost, overhead) = (bytes + state.buffer.len() as u64, state.overhead());
        state.buffer.clear();
        if state.phase == KeyPhase::Data && lost > 0 && self.opened > 0 {
            let records = lost.div_ceil(LONGEST_TEXT + overhead);
            let text = lost.saturating_sub(records * overhead).max(1);
            self.sides[side].cut = Cut::Records;
            self.missing(side, text, mark, out);
        }
    }

    /// Whether a packet acknowledges what was lost of the other direction, while it is not known
    /// how much plaintext that was.
    fn awaits_other(&self, side: usize, mark: PacketMark) -> bool {
        let searches = matches!(self.sides[side].cut, Cut::Lost(_));
        !searches && mark.ack.is_some_and(|ack| self.sides[1 - side].is_unsettled(ack))
    }

    /// Lets directions go on that wait to know what was lost of the other one; whether one may have
    /// waited.
    fn lose_hope(&mut self, out: &mut impl Plaintext) -> bool {
        let [first, second] = &mut self.sides;
        let waited = first.lose_hope() | second.lose_hope();
        self.changed |= waited;
        self.go_on(out);
        waited
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// At the first bytes of a direction: whether the capture joined it in the middle.
    fn begin(&mut self, side: usize, payload: &[u8]) {
        if std::mem::replace(&mut self.sides[side].begun, true) || !self.joined {
            return;
        }
        let hello = matches!(payload, [22, 3, _, _, _, 1 | 2, ..]);
        if !hello {
            self.sides[side].cut = Cut::Lost(Lost { joined: true, ..Lost::default() });
        }
    }

    /// Lets what waits go on, where something changed.
    fn go_on(&mut self, out: &mut impl Plaintext) {
        let generation = self.shared.ring().generation();
        if std::mem::replace(&mut self.generation, generation) != generation {
            self.find_keys();
            (self.changed, self.retry_other) = (true, true);
        }
        while std::mem::take(&mut self.changed) {
            if std::mem::take(&mut self.retry_other) {
                self.unstick(out);
            }
            while self.step(out) {}
        }
    }

    /// Moves on what has waited longest and can go on; false where nothing can.
    fn step(&mut self, out: &mut impl Plaintext) -> bool {
        let since = [0, 1].map(|side| self.sides[side].waits_since().unwrap_or(u64::MAX));
        let first = usize::from(since[1] < since[0]);
        [first, 1 - first].into_iter().any(|side| self.step_of(side, out))
    }

    fn step_of(&mut self, side: usize, out: &mut impl Plaintext) -> bool {
        if let Some((order, mark)) = self.sides[side].whole.take() {
            let mut record = std::mem::take(&mut self.sides[side].buffer);
            let done = self.record(side, &mut record, mark, out);
            if !done {
                self.sides[side].whole = Some((order, mark));
                self.sides[side].buffer = record;
            }
            return done;
        }
        if matches!(self.sides[side].cut, Cut::Lost(Lost { stuck: true, .. })) {
            return false;
        }
        if let Some((_, HeldPiece::Bytes(_, mark))) = self.sides[side].pending.front()
            && self.awaits_other(side, *mark)
        {
            return false;
        }
        let Some((order, piece)) = self.sides[side].next_held() else { return false };
        match piece {
            HeldPiece::Bytes(bytes, mark) => return self.read(side, order, &bytes, mark, out),
            HeldPiece::Gap(n, mark) => self.skip(side, n, mark, out),
            HeldPiece::End(ending) => self.end(side, ending, out),
        }
        true
    }

    /// Cuts records out of bytes and reads them, until one must wait: it and what is behind it are
    /// held. Whether anything was used.
    pub(super) fn read(
        &mut self,
        side: usize,
        order: u64,
        payload: &[u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) -> bool {
        let mut rest = payload;
        while !rest.is_empty() && !self.given_up {
            debug_assert!(self.sides[side].is_counted(rest.len()), "{:?}", self.sides[side].cut);
            match &mut self.sides[side].cut {
                Cut::Skip(left) => {
                    let passed = (*left).min(rest.len());
                    *left -= passed;
                    if *left == 0 {
                        self.sides[side].cut = Cut::Records;
                    }
                    self.sides[side].position += passed as u64;
                    rest = &rest[passed..];
                }
                Cut::Lost(Lost { stuck: true, .. }) => {
                    self.sides[side].hold(order, HeldPiece::Bytes(rest.to_vec(), mark), true);
                    return rest.len() < payload.len();
                }
                Cut::Lost(_) => {
                    self.sides[side].buffer.extend_from_slice(rest);
                    self.sides[side].position += rest.len() as u64;
                    self.search(side, order, mark, out);
                    return true;
                }
                Cut::Records => {
                    let had = self.sides[side].buffer.len();
                    let Some(used) = self.cut(side, order, rest, mark, out) else {
                        self.sides[side].search_from(had);
                        continue;
                    };
                    rest = &rest[used..];
                    if self.sides[side].whole.is_some() {
                        if !rest.is_empty() {
                            self.sides[side].hold(
                                order,
                                HeldPiece::Bytes(rest.to_vec(), mark),
                                true,
                            );
                        }
                        return true;
                    }
                }
            }
        }
        true
    }

    /// Takes one record, or what there is of it; how many bytes that were. None where no record
    /// stands there.
    fn cut(
        &mut self,
        side: usize,
        order: u64,
        rest: &[u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) -> Option<usize> {
        let had = self.sides[side].buffer.len();
        if had == 0 && rest.len() >= HEADER {
            let length = record_length(rest)?;
            if let Some(record) = rest.get(..length) {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                scratch.extend_from_slice(record);
                self.whole(side, order, &mut scratch, mark, out);
                self.scratch = scratch;
                return Some(length);
            }
        }
        let buffer = &mut self.sides[side].buffer;
        let header = HEADER.saturating_sub(had).min(rest.len());
        buffer.extend_from_slice(&rest[..header]);
        if buffer.len() < HEADER {
            return Some(header);
        }
        let length = record_length(buffer)?;
        let part = (length - buffer.len()).min(rest.len() - header);
        buffer.extend_from_slice(&rest[header..header + part]);
        if buffer.len() == length {
            let mut record = std::mem::take(buffer);
            self.whole(side, order, &mut record, mark, out);
            if self.sides[side].buffer.is_empty() {
                record.clear();
                self.sides[side].buffer = record;
            }
        }
        Some(header + part)
    }

    /// A record is whole: reads it, or keeps it where it must wait.
    fn whole(
        &mut self,
        side: usize,
        order: u64,
        record: &mut Vec<u8>,
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        self.sides[side].position += record.len() as u64;
        if !self.record(side, record, mark, out) {
            self.sides[side].whole = Some((order, mark));
            self.sides[side].buffer = std::mem::take(record);
        }
    }

    /// Bytes are missing: inside a record whose end is known that costs this record; else the next
    /// one is searched for.
    fn skip(&mut self, side: usize, n: u64, mark: PacketMark, out: &mut impl Plaintext) {
        self.transcript.lose();
        let state = &mut self.sides[side];
        let had = state.buffer.len() as u64;
        match &mut state.cut {
            Cut::Records => {
                let rest = record_length(&state.buffer).map_or(0, |length| length as u64 - had);
                let chained = state.epoch.as_ref().is_some_and(|epoch| epoch.opener.is_chained());
                if rest > 0 && n <= rest && !chained {
                    let left = (rest - n) as usize;
                    let length = had + rest;
                    state.position += had + n;
                    self.damaged(side, length, mark, out);
                    let cut = if left == 0 { Cut::Records } else { Cut::Skip(left) };
                    self.sides[side].cut = cut;
                } else {
                    state.position += had + n;
                    state.lose(had + n);
                }
            }
            Cut::Skip(left) if n <= *left as u64 => {
                *left -= n as usize;
                state.position += n;
                if *left == 0 {
                    state.cut = Cut::Records;
                }
            }
            Cut::Skip(_) => {
                state.position += n;
                state.lose(n);
            }
            Cut::Lost(lost) => {
                let (bytes, joined) = (lost.bytes + had + n, lost.joined);
                state.position += n;
                state.lose(bytes);
                if let Cut::Lost(lost) = &mut state.cut {
                    lost.joined = joined;
                }
            }
        }
    }

    fn end(&mut self, side: usize, ending: Ending, out: &mut impl Plaintext) {
        self.search_to_the_end(side, out);
        self.changed |= self.sides[side].lose_hope();
        let partial = !self.sides[side].buffer.is_empty() || self.sides[side].cut != Cut::Records;
        let ending = if partial && self.opened > 0 { Ending::Cut } else { ending };
        self.miss_the_rest(side, out);
        if !std::mem::replace(&mut self.sides[side].closed, true) {
            out.close(direction(side), ending);
        }
    }

    fn bound(&mut self, out: &mut impl Plaintext) {
        if self.waits() && self.held() > limits::TLS_HELD_BYTES && !self.lose_hope(out) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.given_up = true;
        self.sides.iter_mut().for_each(TlsSide::clear);
        (self.scratch, self.next_keys) = (Vec::new(), None);
        self.transcript = Transcript::default();
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::ToServer => 0,
        Direction::ToClient => 1,
    }
}

pub(super) const fn direction(side: usize) -> Direction {
    if side == 0 { Direction::ToServer } else { Direction::ToClient }
}
