//! Finds the next frame where bytes were lost or the capture joined in the middle: heads that lead
//! to one another.
//!
//! A head alone is nine octets that any body may hold. Three that follow one another, each with the
//! length, type, flags and stream that its kind allows, are no accident; nor are fewer that end
//! exactly where a packet ends, since senders hand over whole frames.

use crate::wire::h2::frame::{
    self, FrameHead, HEAD, PAYLOAD, flag, headers_fragment, kind, push_fragment,
};
use crate::wire::h2::hpack::Decoder;

/// Octets of such a row at least, where it does not begin a packet.
const CHAIN_BYTES: usize = 64;
/// The same where much looks like a head: more than so many of the places around it.
const CHAIN_AMONG_MANY: usize = 8;
const MANY_NEAR: usize = 16;
const NEAR: usize = 256;
/// How far the numbers of streams that are open together lie apart at most.
const STREAMS_APART: u32 = 1 << 16;
/// Heads in a row that prove each other.
const CHAIN: usize = 3;
/// Octets that are held while the heads behind a candidate are still to come.
const HELD: usize = 4 * (PAYLOAD + HEAD);

/// Heads of which those behind them have not come, at most.
const CANDIDATES: usize = 64;

/// Searches one direction.
#[derive(Debug)]
pub(in crate::wire) struct Search<M> {
    held: Vec<u8>,
    /// Where the slices in `held` begin, with their marks.
    slices: Vec<(usize, M)>,
    /// The first slice has lost its beginning.
    torn: bool,
    /// Where heads may stand that are not proved, in order.
    candidates: Vec<usize>,
    /// What comes before it in `held` is looked at.
    at: usize,
    /// Octets that belonged to nothing.
    skipped: u64,
}

enum FoundFrame {
    Yes,
    No,
    /// What would prove it has not come. The text of a body may look like a head; one that begins a
    /// slice or has led to another is more likely one, so that no other is taken before it.
    Later {
        likely: bool,
    },
}

impl<M> Default for Search<M> {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            slices: Vec::new(),
            torn: false,
            candidates: Vec::new(),
            at: 0,
            skipped: 0,
        }
    }
}

impl<M: Copy> Search<M> {
    /// Octets that belonged to no frame.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Octets that are held.
    pub(in crate::wire) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a slice. Where a frame begins in what was taken: everything from there, in slices, and
    /// the search is over.
    pub(in crate::wire) fn push(&mut self, slice: &[u8], mark: M) -> Option<Vec<(Vec<u8>, M)>> {
        self.slices.push((self.held.len(), mark));
        self.held.extend_from_slice(slice);
        let heads = (self.held.len() + 1).saturating_sub(HEAD);
        let fresh = self.at..heads.max(self.at);
        self.at = fresh.end;
        let mut open = Vec::new();
        let mut blocked = false;
        for place in std::mem::take(&mut self.candidates).into_iter().chain(fresh) {
            match self.look(place) {
                FoundFrame::Yes if !blocked => return Some(self.take(place)),
                FoundFrame::No => continue,
                FoundFrame::Yes => {}
                FoundFrame::Later { likely } => blocked |= likely,
            }
            if open.len() < CANDIDATES && self.held.len() - place <= HELD {
                open.push(place);
            }
        }
        self.candidates = open;
        self.let_go();
        None
    }

    /// Counts octets that belonged to no frame and were not given here.
    pub(super) fn skip(&mut self, octets: usize) {
        self.skipped += octets as u64;
    }

    /// Bytes are missing: no frame reaches over them.
    pub(in crate::wire) fn gap(&mut self) {
        self.at = self.held.len();
        self.candidates.clear();
        self.let_go();
    }

    /// Whether frames begin at a place.
    fn look(&self, place: usize) -> FoundFrame {
        let torn = self.torn && place == 0;
        let begins = !torn && self.slices.binary_search_by_key(&place, |slice| slice.0).is_ok();
        let mut next = place;
        let mut before = None;
        let mut chain = CHAIN;
        let mut proved = 0;
        while proved < chain {
            let Some(octets) = self.held.get(next..).and_then(|rest| rest.first_chunk::<HEAD>())
            else {
                let ends_slice = next == self.held.len();
                let enough = if begins { 1 } else { 2 };
                if ends_slice && proved >= enough {
                    return FoundFrame::Yes;
                }
                return FoundFrame::Later { likely: begins || proved > 1 };
            };
            let head = FrameHead::read(octets);
            if !is_plausible(head) || !follows(before, head) || !is_sound(head, &self.held, next) {
                return FoundFrame::No;
            }
            next += HEAD + head.length as usize;
            before = Some(head);
            proved += 1;
            if proved == CHAIN {
                chain = chain_near(&self.held, place);
            }
        }
        if begins || next - place >= CHAIN_BYTES { FoundFrame::Yes } else { FoundFrame::No }
    }

    /// Everything from a place on.
    fn take(&mut self, place: usize) -> Vec<(Vec<u8>, M)> {
        let ends = self.slices.iter().skip(1).map(|(start, _)| *start).chain([self.held.len()]);
        let found = self
            .slices
            .iter()
            .zip(ends)
            .filter(|(_, end)| *end > place)
            .map(|(&(start, mark), end)| (self.held[start.max(place)..end].to_vec(), mark))
            .collect();
        let skipped = self.skipped + place as u64;
        *self = Self { skipped, ..Self::default() };
        found
    }

    /// Forgets what comes before the first candidate.
    fn let_go(&mut self) {
        let until = self.candidates.first().map_or(self.at, |first| *first);
        if until < PAYLOAD && until < self.held.len() {
            return;
        }
        self.skipped += until as u64;
        self.held.drain(..until);
        self.at -= until;
        self.candidates.iter_mut().for_each(|place| *place -= until);
        let first = self.slices.partition_point(|(start, _)| *start <= until).saturating_sub(1);
        self.slices.drain(..first);
        self.torn = until > 0 && self.slices.first().is_some_and(|(start, _)| *start < until)
            || until == 0 && self.torn;
        self.slices.iter_mut().for_each(|(start, _)| *start = start.saturating_sub(until));
        if self.held.is_empty() {
            self.slices.clear();
            self.torn = false;
        }
    }
}

/// Where a slice that stands alone has frames beyond doubt; none where what comes behind it must
/// decide.
pub(super) fn find(slice: &[u8]) -> Option<usize> {
    for place in 0..slice.len().saturating_sub(HEAD - 1) {
        let mut next = place;
        let mut proved = 0;
        let mut before = None;
        let mut chain = CHAIN;
        while proved < chain {
            match slice.get(next..).and_then(|rest| rest.first_chunk()).map(FrameHead::read) {
                Some(head)
                    if is_plausible(head)
                        && follows(before, head)
                        && is_sound(head, slice, next) =>
                {
                    next += HEAD + head.length as usize;
                    before = Some(head);
                }
                Some(_) => break,
                None if place == 0 || proved > 1 => return None,
                None => break,
            }
            proved += 1;
            if proved == CHAIN {
                chain = chain_near(slice, place);
            }
        }
        if proved == chain && (place == 0 || next - place >= CHAIN_BYTES) {
            return Some(place);
        }
    }
    None
}

/// Whether octets that may be anything look like the head of a frame.
fn is_plausible(head: FrameHead) -> bool {
    let flags = match head.kind {
        kind::DATA => flag::END_STREAM | flag::PADDED,
        kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
        kind::SETTINGS | kind::PING => flag::ACK,
        kind::PUSH_PROMISE => flag::END_HEADERS | flag::PADDED,
        kind::CONTINUATION => flag::END_HEADERS,
        kind::PRIORITY | kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => 0,
        _ => return false,
    };
    let acknowledges = head.kind == kind::SETTINGS && head.has(flag::ACK);
    // Nobody sends an empty frame that says nothing; zeros would be full of them.
    let says_nothing = head.length == 0
        && matches!(head.kind, kind::DATA | kind::HEADERS | kind::CONTINUATION)
        && head.flags & flag::END_STREAM == 0;
    head.is_possible()
        && !head.reserved
        && head.flags & !flags == 0
        && head.length as usize <= PAYLOAD
        && head.stream < 1 << 30
        && !(acknowledges && head.length > 0)
        && !says_nothing
}

/// How many heads in a row prove each other at a place: more where much looks like a head, as it
/// does among the zeros and small numbers of images and tables.
fn chain_near(held: &[u8], place: usize) -> usize {
    let near = &held[place.saturating_sub(NEAR)..held.len().min(place + NEAR)];
    let heads = near.windows(HEAD).filter(|octets| {
        octets.first_chunk().is_some_and(|octets| is_plausible(FrameHead::read(octets)))
    });
    if heads.count() > MANY_NEAR { CHAIN_AMONG_MANY } else { CHAIN }
}

/// Whether a payload is one of its kind, as far as it is there (RFC 9113 §6): `head` stands at `at`
/// of `held`.
fn is_sound(head: FrameHead, held: &[u8], at: usize) -> bool {
    let Some(payload) = held.get(at + HEAD..at + HEAD + head.length as usize) else { return true };
    let code = |payload: &[u8]| frame::number(payload).is_some_and(|code| code < 14);
    match head.kind {
        kind::SETTINGS => frame::settings(payload).all(|(name, _)| (1..=16).contains(&name)),
        kind::RST_STREAM => code(payload),
        kind::GOAWAY => code(&payload[4..]),
        kind::WINDOW_UPDATE => {
            frame::number(payload).is_some_and(|step| step > 0 && step >> 31 == 0)
        }
        kind::HEADERS if head.has(flag::END_HEADERS) => {
            headers_fragment(head, payload).is_some_and(is_block)
        }
        kind::PUSH_PROMISE if head.has(flag::END_HEADERS) => {
            push_fragment(head, payload).is_some_and(|(_, block)| is_block(block))
        }
        _ => true,
    }
}

/// Whether octets are a header block with fields as HTTP has them.
fn is_block(block: &[u8]) -> bool {
    let mut decoder = Decoder::default();
    decoder.lost();
    let token = |octet: &u8| octet.is_ascii_graphic() && !octet.is_ascii_uppercase();
    decoder.decode(block).is_ok_and(|block| {
        let mut names = block.fields.parts().map(|(name, _)| name);
        !block.fields.is_empty()
            && names.all(|name| {
                let octets = name.octets();
                name.identity().is_some() || !octets.is_empty() && octets.iter().all(token)
            })
    })
}

/// Whether a frame may stand behind another one: the parts of a header block follow one another
/// (RFC 9113 §6.10), and the streams of a connection have numbers that are near each other.
fn follows(before: Option<FrameHead>, head: FrameHead) -> bool {
    let Some(before) = before else { return true };
    let open = before.has_block() && !before.has(flag::END_HEADERS);
    let near = before.stream == 0
        || head.stream == 0
        || before.stream.abs_diff(head.stream) <= STREAMS_APART;
    near && open == (head.kind == kind::CONTINUATION) && (!open || head.stream == before.stream)
}

#[cfg(test)]
mod tests {
    use super::super::frame::{write, write_block};
    use super::*;

    fn frames() -> Vec<u8> {
        let mut out = Vec::new();
        write_block(&mut out, 5, &[0x82; 30], true, PAYLOAD);
        write(&mut out, kind::DATA, 0, 3, &[b'x'; 300]);
        write(&mut out, kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]);
        out
    }

    fn found(slices: &[&[u8]]) -> Option<(Vec<u8>, usize)> {
        let mut search = Search::default();
        for (number, slice) in slices.iter().enumerate() {
            if let Some(all) = search.push(slice, number) {
                let first = all.first().map_or(0, |(_, mark)| *mark);
                return Some((all.into_iter().flat_map(|(octets, _)| octets).collect(), first));
            }
        }
        None
    }

    #[test]
    fn the_next_frame_is_found_behind_the_rest_of_a_body() {
        let frames = frames();
        let body =
            [&b"some rest of a body \0\0\x04\x03\0\0\0\0\x09 and more"[..], &frames].concat();
        assert_eq!(found(&[&body]), Some((frames.clone(), 0)));
        assert_eq!(found(&[&body[..25], &body[25..70], &body[70..]]), Some((frames.clone(), 1)));
        assert_eq!(found(&[b"rest", &frames]), Some((frames.clone(), 1)));
    }

    #[test]
    fn a_single_frame_counts_where_it_fills_its_packet() {
        let mut one = Vec::new();
        write(&mut one, kind::HEADERS, flag::END_HEADERS, 7, &[0x82; 12]);
        assert_eq!(found(&[b"rest of a body", &one]), Some((one.clone(), 1)));
        assert_eq!(found(&[&[&b"rest"[..], &one].concat()]), None);
        assert_eq!(found(&[&one[..one.len() - 1]]), None);
    }

    /// Octets of images and tables: mostly zeros and small numbers.
    #[test]
    fn sparse_octets_are_no_frames() {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let octets: Vec<u8> = (0..1_000_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state % 10 < 7 { 0 } else { (state >> 32) as u8 % 16 }
            })
            .collect();
        for slice in octets.chunks(1_400) {
            assert_eq!(find(slice), None);
            assert_eq!(found(&[slice]), None);
        }
    }

    #[test]
    fn text_and_zeros_are_no_frames() {
        for slice in
            [&[0u8; 4000][..], &[0xff; 4000], &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50)]
        {
            assert_eq!(found(&[slice, slice]), None);
        }
    }
}
