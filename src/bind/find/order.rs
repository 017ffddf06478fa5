//! What a client did one after the other: its exchanges by time, the sessions' numbers, and which
//! answers a request follows.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::path::Path;

use super::client::{AT_ONCE, ClientSession, Clients};
use super::event::{from_ordered, number, ordered};
use crate::bind::COURTESY_NS;
use crate::exchange::ExchangeId;
use crate::steps;
use crate::store::{Sorted, Sorter, Spooled};

/// Bytes of a line.
pub(super) const BYTES: usize = 35;

/// What is kept of every exchange, in the order of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrderLine {
    pub(super) id: ExchangeId,
    pub(super) identity: u32,
    pub(super) route: u32,
    /// When its request was said, and when it was answered.
    pub(super) at: i64,
    pub(super) answered: i64,
    /// Not replayed: its request counts in no figure.
    pub(super) is_beside: bool,
    /// Its request may change something.
    pub(super) may_change: bool,
    /// It opened a WebSocket.
    pub(super) opens: bool,
}

/// Bits of the last byte of a line.
const IS_BESIDE: u8 = 1;
const MAY_CHANGE: u8 = 2;
const OPENS: u8 = 4;

impl OrderLine {
    pub(super) fn pack(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[0..6].copy_from_slice(&self.id.connection.to_be_bytes()[2..]);
        out[6..10].copy_from_slice(&self.id.ordinal.to_be_bytes());
        out[10..14].copy_from_slice(&self.identity.to_be_bytes());
        out[14..18].copy_from_slice(&self.route.to_be_bytes());
        out[18..26].copy_from_slice(&self.at.to_be_bytes());
        out[26..34].copy_from_slice(&self.answered.to_be_bytes());
        out[34] = u8::from(self.is_beside) * IS_BESIDE
            + u8::from(self.may_change) * MAY_CHANGE
            + u8::from(self.opens) * OPENS;
        out
    }

    fn unpack(bytes: &[u8]) -> Self {
        Self {
            id: ExchangeId {
                connection: number(&bytes[0..6]),
                ordinal: number(&bytes[6..10]) as u32,
            },
            identity: number(&bytes[10..14]) as u32,
            route: number(&bytes[14..18]) as u32,
            at: number(&bytes[18..26]) as i64,
            answered: number(&bytes[26..34]) as i64,
            is_beside: bytes[34] & IS_BESIDE != 0,
            may_change: bytes[34] & MAY_CHANGE != 0,
            opens: bytes[34] & OPENS != 0,
        }
    }
}

/// All lines, in the order of the recording.
pub(super) fn lines(spooled: &Spooled) -> impl Iterator<Item = io::Result<OrderLine>> {
    let count = spooled.len() / BYTES as u64;
    let mut window = spooled.window();
    (0..count).map(move |n| window.bytes(n * BYTES as u64, BYTES).map(OrderLine::unpack))
}

/// Bytes of an exchange among those of its session: session, times, number, name, flags.
const SORTED: usize = 40;

/// The exchanges of sessions, one session after the other, each by time.
pub(super) struct Sessions(Sorted<SORTED>);

#[derive(Clone, Copy, Debug)]
struct Turn {
    session: ClientSession,
    at: i64,
    answered: i64,
    number: u64,
    id: ExchangeId,
    may_change: bool,
}

impl Turn {
    fn pack(&self) -> [u8; SORTED] {
        let mut out = [0; SORTED];
        out[0..8].copy_from_slice(&self.session.key().to_be_bytes());
        out[8..16].copy_from_slice(&ordered(self.at).to_be_bytes());
        out[16..21].copy_from_slice(&self.number.to_be_bytes()[3..]);
        out[21..29].copy_from_slice(&self.answered.to_be_bytes());
        out[29..35].copy_from_slice(&self.id.connection.to_be_bytes()[2..]);
        out[35..39].copy_from_slice(&self.id.ordinal.to_be_bytes());
        out[39] = u8::from(self.may_change);
        out
    }

    fn unpack(record: &[u8; SORTED]) -> Self {
        Self {
            session: ClientSession::of_key(number(&record[0..8])),
            at: from_ordered(number(&record[8..16])),
            number: number(&record[16..21]),
            answered: number(&record[21..29]) as i64,
            id: ExchangeId {
                connection: number(&record[29..35]),
                ordinal: number(&record[35..39]) as u32,
            },
            may_change: record[39] != 0,
        }
    }
}

/// Finds addresses that are many clients: more requests under way than one has.
pub(super) fn find_crowds(
    spooled: &Spooled,
    clients: &mut Clients,
    folder: &Path,
) -> io::Result<()> {
    let by_address = |line: &OrderLine, clients: &mut Clients| {
        clients.is_anonymous(line.identity).then(|| ClientSession::of_key(u64::from(line.identity)))
    };
    sorted(spooled, clients, folder, by_address)?.mark_crowds(clients).map(|_| ())
}

/// Sorts all exchanges by session; those of a session that turns out to be many clients are each of
/// their connection.
pub(super) fn sessions(
    spooled: &Spooled,
    clients: &mut Clients,
    folder: &Path,
) -> io::Result<Sessions> {
    let of = |line: &OrderLine, clients: &mut Clients| {
        Some(clients.session(line.identity, line.id.connection))
    };
    let sessions = sorted(spooled, clients, folder, of)?;
    match sessions.mark_crowds(clients)? {
        0 => Ok(sessions),
        _ => sorted(spooled, clients, folder, of),
    }
}

/// Sorts all exchanges by time, whosever they are.
pub(super) fn everybody(
    spooled: &Spooled,
    clients: &mut Clients,
    folder: &Path,
) -> io::Result<Sessions> {
    sorted(spooled, clients, folder, |_, _| Some(ClientSession::of_key(0)))
}

fn sorted(
    spooled: &Spooled,
    clients: &mut Clients,
    folder: &Path,
    session: impl Fn(&OrderLine, &mut Clients) -> Option<ClientSession>,
) -> io::Result<Sessions> {
    let mut sorter = Sorter::new(folder);
    for (number, line) in lines(spooled).enumerate() {
        let line = line?;
        let OrderLine { id, at, answered, may_change, .. } = line;
        if let Some(session) = session(&line, clients) {
            let number = number as u64;
            sorter.push(Turn { session, at, answered, number, id, may_change }.pack())?;
        }
    }
    Ok(Sessions(sorter.finish()?))
}

impl Sessions {
    fn turns(&self) -> io::Result<impl Iterator<Item = io::Result<Turn>>> {
        Ok(self.0.iter()?.map(|record| record.map(|record| Turn::unpack(&record))))
    }

    /// Finds sessions with more requests under way than one client has; says how many.
    fn mark_crowds(&self, clients: &mut Clients) -> io::Result<u64> {
        let mut crowds = 0;
        let mut of = None;
        let mut is_crowd = false;
        let mut ends = BinaryHeap::new();
        for turn in self.turns()? {
            let turn = turn?;
            if of != Some(turn.session) {
                (of, is_crowd) = (Some(turn.session), turn.session.is_lane());
                ends.clear();
            }
            if is_crowd || turn.answered == i64::MAX {
                continue;
            }
            while ends.peek().is_some_and(|Reverse(end)| *end <= turn.at) {
                ends.pop();
            }
            ends.push(Reverse(turn.answered));
            if ends.len() > AT_ONCE {
                is_crowd = true;
                crowds += 1;
                clients.is_many(turn.session);
            }
        }
        Ok(crowds)
    }

    /// Tells each exchange's session, numbered from 0, and, where `follows`, the exchanges that it
    /// follows in it: those that were answered before it was said, but for those that others of
    /// them follow, and of many the last ones ([`Before`]). Gives the number of sessions.
    pub(super) fn tell(
        &self,
        follows: bool,
        mut tell: impl FnMut(u64, u32, &[ExchangeId]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut sessions = 0;
        let mut of = None;
        let mut before = Before::default();
        let mut after = Vec::new();
        for turn in self.turns()? {
            let turn = turn?;
            if of != Some(turn.session) {
                of = Some(turn.session);
                sessions += 1;
                before = Before::default();
            }
            after.clear();
            // The order of a connection is kept anyway.
            if follows && !turn.session.is_lane() {
                before.follow(&turn, &mut after);
            }
            let session = u32::try_from(sessions - 1).unwrap_or(u32::MAX);
            tell(turn.number, session, &after)?;
        }
        Ok(sessions)
    }

    /// Tells of each exchange those just before it, whoever asked ([`JustBefore`]).
    pub(super) fn tell_just_before(
        &self,
        mut tell: impl FnMut(u64, &mut [ExchangeId]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut before = JustBefore::default();
        let mut beside = Vec::new();
        for turn in self.turns()? {
            let turn = turn?;
            beside.clear();
            before.look(&turn, &mut beside);
            if !beside.is_empty() {
                tell(turn.number, &mut beside)?;
            }
        }
        Ok(())
    }
}

/// Most exchanges that one follows, beside the one that was said last: more than one client has
/// under way.
const MOST: usize = 16;

/// The exchanges of a session that the next one may follow. Of many that were under way together,
/// these are the [`MOST`] that were answered last, for which the others are hardly missed, and the
/// one that was said last, which had waited for those before it.
#[derive(Default)]
struct Before {
    under_way: UnderWay,
    /// Those of which the answer is known to the next one, as they were answered.
    known: VecDeque<AnsweredTurn>,
    /// The one of these that was said last.
    latest: Option<AnsweredTurn>,
}

/// An exchange that was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AnsweredTurn {
    answered: i64,
    at: i64,
    id: ExchangeId,
    may_change: bool,
}

/// Those of which the answer is not there yet, the first to be answered on top.
#[derive(Default)]
struct UnderWay(BinaryHeap<Reverse<AnsweredTurn>>);

impl UnderWay {
    /// The next one that was answered by then.
    fn answered(&mut self, at: i64) -> Option<AnsweredTurn> {
        self.0.peek().filter(|Reverse(one)| one.answered <= at)?;
        steps::add(1);
        self.0.pop().map(|Reverse(one)| one)
    }

    fn add(&mut self, turn: &Turn) {
        let Turn { answered, at, id, may_change, .. } = *turn;
        if answered != i64::MAX {
            self.0.push(Reverse(AnsweredTurn { answered: answered.max(at), at, id, may_change }));
        }
    }
}

impl Before {
    fn follow(&mut self, turn: &Turn, after: &mut Vec<ExchangeId>) {
        while let Some(one) = self.under_way.answered(turn.at) {
            self.known.push_back(one);
            self.latest = self.latest.filter(|latest| latest.at > one.at).or(Some(one));
        }
        if let Some(latest) = self.latest {
            // Whoever waits for the latest one has waited for those before it.
            while self.known.len() > MOST
                || self.known.front().is_some_and(|one| one.answered <= latest.at)
            {
                self.known.pop_front();
            }
            let latest = latest.id;
            let others = self.known.iter().map(|one| one.id).filter(|id| *id != latest);
            after.extend(others.chain([latest]));
            steps::add(after.len());
        }
        self.under_way.add(turn);
    }
}

/// Most changes, and most reads, just before a request.
const NEAREST: usize = 4;

/// Those that were answered shortly before a request was said, one of the two a change: what the
/// request was told may rest on which of them came first.
#[derive(Default)]
struct JustBefore {
    under_way: UnderWay,
    changes: VecDeque<AnsweredTurn>,
    reads: VecDeque<AnsweredTurn>,
}

impl JustBefore {
    fn look(&mut self, turn: &Turn, beside: &mut Vec<ExchangeId>) {
        while let Some(one) = self.under_way.answered(turn.at) {
            let of = if one.may_change { &mut self.changes } else { &mut self.reads };
            of.push_back(one);
        }
        for of in [&mut self.changes, &mut self.reads] {
            while of.len() > NEAREST
                || of.front().is_some_and(|one| turn.at.saturating_sub(one.answered) > COURTESY_NS)
            {
                of.pop_front();
            }
        }
        beside.extend(self.changes.iter().map(|one| one.id));
        if turn.may_change {
            beside.extend(self.reads.iter().map(|one| one.id));
        }
        steps::add(beside.len());
        self.under_way.add(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: &[(i64, i64)]) -> Vec<Vec<u32>> {
        let mut before = Before::default();
        let mut all = Vec::new();
        for (ordinal, &(at, answered)) in times.iter().enumerate() {
            let id = ExchangeId { connection: 0, ordinal: ordinal as u32 };
            let session = ClientSession::of_key(0);
            let mut after = Vec::new();
            before.follow(
                &Turn { session, at, answered, number: 0, id, may_change: false },
                &mut after,
            );
            let mut after: Vec<u32> = after.into_iter().map(|id| id.ordinal).collect();
            after.sort_unstable();
            all.push(after);
        }
        all
    }

    #[test]
    fn a_request_follows_what_was_answered_before_it() {
        assert_eq!(after(&[(0, 1), (2, 3), (4, 5)]), [vec![], vec![0], vec![1]]);
        // Two at once, then one that had both answers.
        assert_eq!(after(&[(0, 5), (1, 4), (6, 7)]), [vec![], vec![], vec![0, 1]]);
        // One is still under way.
        assert_eq!(
            after(&[(0, 9), (1, 4), (6, 7), (10, 11)]),
            [vec![], vec![], vec![1], vec![0, 2]]
        );
        // One was never answered.
        assert_eq!(after(&[(0, i64::MAX), (1, 2), (3, 4)]), [vec![], vec![], vec![1]]);
        // Said and answered in one instant, as logs of whole seconds say.
        assert_eq!(after(&[(7, 7), (7, 7), (7, 7), (8, 9)]), [vec![], vec![0], vec![1], vec![2]]);
    }

    /// `n` at once, a short one, and as many again when all are answered.
    fn waves(n: i64) -> Vec<(i64, i64)> {
        let wave = |at: i64| (0..n).map(move |one| (at + one, at + 1_000_000 + one));
        wave(0).chain([(n, n + 1)]).chain(wave(2_000_000)).collect()
    }

    #[test]
    fn of_many_the_last_answered_and_the_last_said_are_followed() {
        let n = 40;
        let all = after(&waves(n));
        let expected: Vec<u32> = (n as u32 - MOST as u32..=n as u32).collect();
        assert!(all[n as usize + 1..].iter().all(|after| *after == expected), "{all:?}");
        // No client has so many: none is left out.
        let few: Vec<u32> = (0..=AT_ONCE as u32).collect();
        assert_eq!(after(&waves(AT_ONCE as i64)).last(), Some(&few));
    }

    /// What goes just before each: when it was said and answered in milliseconds, and whether it
    /// may change something.
    fn beside(times: &[(i64, i64, bool)]) -> Vec<Vec<u32>> {
        let mut before = JustBefore::default();
        let mut all = Vec::new();
        for (ordinal, &(at, answered, may_change)) in times.iter().enumerate() {
            let id = ExchangeId { connection: 0, ordinal: ordinal as u32 };
            let session = ClientSession::of_key(0);
            let ms = |time: i64| time.saturating_mul(1_000_000);
            let (at, answered) = (ms(at), ms(answered));
            let mut beside = Vec::new();
            before.look(&Turn { session, at, answered, number: 0, id, may_change }, &mut beside);
            let mut beside: Vec<u32> = beside.into_iter().map(|id| id.ordinal).collect();
            beside.sort_unstable();
            all.push(beside);
        }
        all
    }

    #[test]
    fn what_was_changed_a_tenth_of_a_second_before_is_just_before() {
        let all = beside(&[
            (0, 10, true),
            (5, 8, false),
            (50, 300, true),
            (110, 120, false),
            (111, 120, false),
            (250, i64::MAX, true),
            (400, 401, false),
            (401, 402, false),
        ]);
        // The third is under way until 300; the sixth is never answered.
        let expected = [vec![], vec![], vec![0, 1], vec![0], vec![], vec![], vec![2], vec![]];
        assert_eq!(all, expected);
    }

    #[test]
    fn of_many_changes_the_last_answered_are_just_before() {
        let mut all: Vec<_> = (0..20).map(|n| (n, 40 - n, true)).collect();
        all.push((50, 51, false));
        let expected: Vec<u32> = (0..NEAREST as u32).collect();
        assert_eq!(beside(&all).last(), Some(&expected));
        steps::hold_to_n_log_n(500, |n| {
            let wave = |n: usize| (0..n as i64).map(|one| (one / 100, 1 + one / 90, one % 3 == 0));
            drop(beside(&wave(n).collect::<Vec<_>>()));
        });
    }

    #[test]
    fn waves_of_everybody_cost_no_more_than_n_log_n() {
        steps::hold_to_n_log_n(500, |n| drop(after(&waves(n as i64))));
    }

    #[test]
    fn lines_are_written_and_read() {
        let line = OrderLine {
            id: ExchangeId { connection: 1 << 39, ordinal: 7 },
            identity: 3,
            route: u32::MAX,
            at: -5,
            answered: i64::MAX,
            is_beside: true,
            may_change: false,
            opens: false,
        };
        assert_eq!(OrderLine::unpack(&line.pack()), line);
    }
}
