//! The recordings of shards put together again: each exchange where it stood in the whole, so that
//! what is made of it (routes, clusters, noise) is what a single run would have made. And what was
//! bound in each: the values that v2 issued there, and the flows with what became of them.
//!
//! In: the `exchanges.jsonl` of each shard with its places. Out: the whole, byte for byte but for
//! its first line. Memory holds one line of each shard.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use crate::limits;
use crate::record::exchanges::{self, End, Line, LineError};
use crate::record::flows::{Binding, Flow, FlowFigures};
use crate::record::places::{PlacesError, PlacesReader};

/// Why shards cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum WeaveError {
    /// A recording cannot be read.
    #[error("the recording of shard {shard} cannot be read")]
    Read {
        /// Which of those that were given, from 1.
        shard: usize,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A line of a recording cannot be used.
    #[error("line {line} of the recording of shard {shard} cannot be used")]
    Line {
        /// Which of those that were given, from 1.
        shard: usize,
        /// Number of the line, from 1.
        line: u64,
        /// Why.
        #[source]
        cause: LineError,
    },
    /// Its places cannot be used.
    #[error("places.jsonl of shard {shard} cannot be used")]
    Places {
        /// Which of those that were given, from 1.
        shard: usize,
        /// Why.
        #[source]
        cause: PlacesError,
    },
    /// A recording ends before its places do.
    #[error("the recording of shard {shard} ends early: exchange {place} of the whole is missing")]
    Short {
        /// Which of those that were given, from 1.
        shard: usize,
        /// Place in the whole, from 0.
        place: u64,
    },
    /// Nobody has it.
    #[error(
        "exchange {place} of the whole is in no shard: one of them is of another input or division"
    )]
    Gap {
        /// Place in the whole, from 0.
        place: u64,
    },
    /// Shards that saw wholes of different length.
    #[error(
        "the shards saw recordings of {one} and {other} exchanges: they are of different inputs"
    )]
    Sizes {
        /// One.
        one: u64,
        /// Another.
        other: u64,
    },
    /// The whole cannot be written.
    #[error("the whole recording cannot be written")]
    Write(#[source] io::Error),
}

/// A shard's recording under way.
struct Thread<R> {
    shard: usize,
    lines: R,
    line: u64,
    places: PlacesReader<R>,
    /// Place of the line that comes next.
    next: Option<u64>,
    header: Vec<u8>,
    end: Option<End>,
}

impl<R: BufRead> Thread<R> {
    fn open(shard: usize, lines: R, places: R) -> Result<Self, WeaveError> {
        let places =
            PlacesReader::open(places).map_err(|cause| WeaveError::Places { shard, cause })?;
        let header = Vec::new();
        let mut thread = Self { shard, lines, line: 0, places, next: None, header, end: None };
        thread.advance()?;
        Ok(thread)
    }

    fn advance(&mut self) -> Result<(), WeaveError> {
        let shard = self.shard;
        self.next = self.places.place().map_err(|cause| WeaveError::Places { shard, cause })?;
        Ok(())
    }

    /// The next line that is an exchange; false where there is none any more.
    fn exchange(&mut self, into: &mut Vec<u8>) -> Result<bool, WeaveError> {
        let shard = self.shard;
        loop {
            into.clear();
            self.line += 1;
            let mut limited = (&mut self.lines).take(limits::LINE_BYTES as u64);
            let read = limited.read_until(b'\n', into);
            if read.map_err(|cause| WeaveError::Read { shard, cause })? == 0 {
                return Ok(false);
            }
            // Exchanges begin with their id; all other lines name a format.
            if into.starts_with(b"{\"id\":") {
                return Ok(true);
            }
            match exchanges::read_outline(into.trim_ascii_end()) {
                Ok(Line::Header(_)) => self.header = into.clone(),
                Ok(Line::End(end)) => self.end = Some(*end),
                Ok(Line::Exchange(_)) => return Ok(true),
                Err(cause) => return Err(WeaveError::Line { shard, line: self.line, cause }),
            }
        }
    }

    /// Reads the last line.
    fn finish(&mut self, scratch: &mut Vec<u8>) -> Result<(), WeaveError> {
        while self.exchange(scratch)? {}
        Ok(())
    }
}

/// Writes the whole of `shards` (the lines of each and its places) to `out`; how many exchanges it
/// has.
pub fn weave<R: BufRead>(shards: Vec<(R, R)>, out: &mut impl Write) -> Result<u64, WeaveError> {
    let mut threads = shards
        .into_iter()
        .enumerate()
        .map(|(number, (lines, places))| Thread::open(number + 1, lines, places))
        .collect::<Result<Vec<_>, _>>()?;
    let (mut place, mut line, mut began) = (0_u64, Vec::new(), false);
    while threads.iter().any(|thread| thread.next.is_some()) {
        let mut written = false;
        // Copies of a lane may be in several shards, so one exchange may be in several recordings.
        for thread in threads.iter_mut().filter(|thread| thread.next == Some(place)) {
            if !thread.exchange(&mut line)? {
                return Err(WeaveError::Short { shard: thread.shard, place });
            }
            if !std::mem::replace(&mut began, true) {
                out.write_all(&thread.header).map_err(WeaveError::Write)?;
            }
            if !std::mem::replace(&mut written, true) {
                out.write_all(&line).map_err(WeaveError::Write)?;
            }
            thread.advance()?;
        }
        if !written {
            return Err(WeaveError::Gap { place });
        }
        place += 1;
    }
    for thread in &mut threads {
        thread.finish(&mut line)?;
    }
    if size(&threads)?.is_some_and(|of| of != place) {
        return Err(WeaveError::Gap { place });
    }
    if let Some(Thread { header, .. }) = threads.first().filter(|_| !began) {
        out.write_all(header).map_err(WeaveError::Write)?;
    }
    // All shards read the same packets: the account of one is that of the whole.
    let ends: Option<Vec<End>> = threads.into_iter().map(|thread| thread.end).collect();
    if let Some(end) = ends.and_then(|ends| ends.into_iter().next()) {
        line.clear();
        exchanges::write_line(&mut line, &End::new(place, end.ledger, end.rest));
        out.write_all(&line).map_err(WeaveError::Write)?;
    }
    out.flush().map_err(WeaveError::Write)?;
    Ok(place)
}

/// How long the whole is, by those whose places were read to the end.
/// The flows of the whole. Every shard looks for them in the whole recording, so they are the same
/// in all of them, but for what was bound: that adds up. The last line is that of any shard.
pub fn flows<R: BufRead>(shards: Vec<R>, out: &mut impl Write) -> io::Result<()> {
    let mut all: BTreeMap<u32, Flow> = BTreeMap::new();
    let mut last = Vec::new();
    for shard in shards {
        each_line(shard, |line| {
            if FlowFigures::is(line) {
                line.clone_into(&mut last);
                return Ok(());
            }
            let flow: Flow = serde_json::from_slice(line)?;
            match all.entry(flow.flow) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(flow);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let whole = entry.get_mut();
                    for (sum, part) in [
                        (&mut whole.bound, flow.bound),
                        (&mut whole.unbound, flow.unbound),
                        (&mut whole.not_issued, flow.not_issued),
                    ] {
                        *sum = sum.map_or(part, |sum| Some(sum + part.unwrap_or(0)));
                    }
                }
            }
            Ok(())
        })?;
    }
    let mut line = Vec::new();
    for flow in all.values() {
        line.clear();
        exchanges::write_line(&mut line, flow);
        out.write_all(&line)?;
    }
    out.write_all(&last)?;
    if !last.is_empty() {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// The bindings of the whole: those of each shard, in the order of the recording's values. Each
/// shard has its own in that order.
pub fn bindings<R: BufRead>(shards: Vec<R>, out: &mut impl Write) -> io::Result<()> {
    let mut heads: Vec<(R, Option<(u32, Vec<u8>)>)> =
        shards.into_iter().map(|shard| (shard, None)).collect();
    for (shard, head) in &mut heads {
        *head = next_binding(shard)?;
    }
    loop {
        let slot = |head: &(R, Option<(u32, Vec<u8>)>)| head.1.as_ref().map(|(slot, _)| *slot);
        let first = (0..heads.len()).filter(|&at| heads[at].1.is_some());
        let Some(first) = first.min_by_key(|&at| (slot(&heads[at]), at)) else {
            return out.flush();
        };
        let (shard, head) = &mut heads[first];
        if let Some((_, line)) = std::mem::replace(head, next_binding(shard)?) {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
    }
}

/// The next line and the number of its value. The end of a line that was cut off is none.
fn next_binding(shard: &mut impl BufRead) -> io::Result<Option<(u32, Vec<u8>)>> {
    let mut line = Vec::new();
    let read = shard.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line)?;
    if read == 0 || line.pop() != Some(b'\n') {
        return Ok(None);
    }
    let binding: Binding = serde_json::from_slice(&line)?;
    Ok(Some((binding.slot, line)))
}

fn each_line(
    mut shard: impl BufRead,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if shard.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(line.trim_ascii_end())?;
    }
}

fn size<R: BufRead>(threads: &[Thread<R>]) -> Result<Option<u64>, WeaveError> {
    let mut sizes = threads.iter().filter_map(|thread| thread.places.sizes());
    let Some(one) = sizes.next().map(|sizes| sizes.of) else { return Ok(None) };
    match sizes.find(|sizes| sizes.of != one) {
        Some(sizes) => Err(WeaveError::Sizes { one, other: sizes.of }),
        None => Ok(Some(one)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::Ledger;
    use crate::record::exchanges::{Header, Rest};
    use crate::record::places::PlacesWriter;
    use crate::time::Timestamp;

    fn whole(exchanges: u64) -> Vec<u8> {
        let mut out = Vec::new();
        exchanges::write_line(&mut out, &Header::new(Timestamp::from_nanos(0), vec![]));
        for n in 0..exchanges {
            out.extend_from_slice(format!("{{\"id\":\"{n}-0\",\"connection\":{n}}}\n").as_bytes());
        }
        let end = End::new(exchanges, Ledger::default(), Rest::default());
        exchanges::write_line(&mut out, &end);
        out
    }

    /// The part of `whole` whose lines `holds` names.
    fn part(whole: &[u8], holds: impl Fn(usize) -> bool) -> (Vec<u8>, Vec<u8>) {
        let (mut lines, mut places) = (Vec::new(), Vec::new());
        let mut writer = PlacesWriter::new(&mut places);
        let mut number = 0;
        for line in whole.split_inclusive(|&byte| byte == b'\n') {
            if line.starts_with(b"{\"id\"") {
                let ours = holds(number);
                writer.count(ours).unwrap();
                number += 1;
                if !ours {
                    continue;
                }
            }
            lines.extend_from_slice(line);
        }
        writer.finish().unwrap();
        (lines, places)
    }

    fn woven(parts: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<u8>, WeaveError> {
        let mut out = Vec::new();
        let parts = parts.iter().map(|(lines, places)| (&lines[..], &places[..])).collect();
        weave(parts, &mut out).map(|_| out)
    }

    proptest! {
        #[test]
        fn shards_make_the_whole_again(
            owners in proptest::collection::vec(0_usize..7, 0..80),
            also in proptest::collection::vec(0_usize..7, 80),
        ) {
            let whole = whole(owners.len() as u64);
            let parts: Vec<_> = (0..7)
                .map(|shard| part(&whole, |n| owners[n] == shard || also[n] == shard))
                .collect();
            let got = woven(&parts).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&whole));
        }
    }

    #[test]
    fn what_is_missing_or_of_another_recording_is_told() {
        let (ten, twelve) = (whole(10), whole(12));
        let even = part(&ten, |n| n % 2 == 0);
        let odd = part(&ten, |n| n % 2 == 1);
        let error = |parts: &[_]| woven(parts).unwrap_err().to_string();
        assert!(
            error(std::slice::from_ref(&even)).contains("exchange 1 of"),
            "{}",
            error(std::slice::from_ref(&even))
        );
        assert!(error(&[part(&ten, |n| n < 9)]).contains("exchange 9 of"));
        let other = part(&twelve, |n| n % 2 == 1 && n < 10);
        assert!(error(&[even.clone(), other]).contains("10 and 12"));
        let mut short = odd.clone();
        short.0 = short.0[..short.0.len() / 2].to_vec();
        assert!(woven(&[even, short]).is_err());
        let mut unread = odd;
        unread.1 = b"nonsense\n".to_vec();
        assert!(error(&[unread]).contains("places.jsonl of shard 1"));
    }
}
