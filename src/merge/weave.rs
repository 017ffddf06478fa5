//! The recording of the whole: each exchange where it stood, so that what is made of it (routes,
//! clusters, noise) is what a single run would have made.
//!
//! In: the `exchanges.jsonl` of each shard with its places. Out: the whole, byte for byte but for
//! its first line. Memory holds one line of each shard.

use std::io::{self, BufRead, Read as _, Write};

use crate::limits;
use crate::record::exchanges::{self, End, Line, LineError};
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
