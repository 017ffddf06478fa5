//! Reads of `exchanges.jsonl` and `outcomes.jsonl` only what measuring needs: times, status, method
//! and target. Headers and bodies are skipped without being decoded, lines are read on all cores,
//! and the order of the file is kept.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::{memchr_iter, memrchr};
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::exchange::{Completeness, ExchangeId};
use crate::limits;
use crate::outcome::{Failure, ReplayId};
use crate::record::exchanges::{END_FORMAT, LineError};
use crate::record::json::Octets;
use crate::time::Timestamp;

/// What measuring needs of an exchange.
#[derive(Debug, Deserialize)]
pub(super) struct Recorded {
    pub(super) id: ExchangeId,
    pub(super) completeness: Completeness,
    pub(super) handshake_ns: Option<i64>,
    #[serde(default)]
    pub(super) marks: Vec<String>,
    pub(super) request: Option<RecordedRequest>,
    pub(super) response: Option<RecordedResponse>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RecordedRequest {
    pub(super) at: Timestamp,
    pub(super) method: Octets,
    pub(super) target: Octets,
}

#[derive(Debug, Deserialize)]
pub(super) struct RecordedResponse {
    pub(super) last_byte_ns: Option<i64>,
    pub(super) status: u16,
}

/// What measuring needs of an outcome.
#[derive(Debug, Deserialize)]
pub(super) struct Replayed {
    pub(super) id: ReplayId,
    #[serde(default)]
    pub(super) lane: u64,
    pub(super) due_ns: i64,
    pub(super) sent_ns: Option<i64>,
    pub(super) last_byte_ns: Option<i64>,
    pub(super) failed_ns: Option<i64>,
    pub(super) left_ns: Option<i64>,
    pub(super) connect_ns: Option<i64>,
    #[serde(default)]
    pub(super) waited_ns: i64,
    /// Values of v1's that it was sent with for want of v2's.
    #[serde(default)]
    pub(super) unbound: Vec<IgnoredAny>,
    pub(super) response: Option<ReplayedResponse>,
    pub(super) failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReplayedResponse {
    pub(super) status: u16,
}

/// A line of a file of records.
#[derive(Debug)]
pub(super) enum Line<T> {
    /// A record.
    Record(T),
    /// A first line, as it is.
    Header(Vec<u8>),
    /// A last line, as it is.
    End(Vec<u8>),
}

#[derive(Deserialize)]
struct Probe {
    format: Option<String>,
    version: Option<u32>,
}

/// Reads one line of a file whose first line names `format` in a version up to `newest`.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    line: &[u8],
    format: &str,
    newest: u32,
) -> Result<Line<T>, LineError> {
    // As in `exchange::log`: a record of this program starts with its id.
    if line.starts_with(b"{\"id\"") {
        return Ok(Line::Record(serde_json::from_slice(line)?));
    }
    let probe: Probe = serde_json::from_slice(line)?;
    match (probe.format.as_deref(), probe.version) {
        (None, _) => Ok(Line::Record(serde_json::from_slice(line)?)),
        (Some(found), Some(version)) if found == format && version > newest => {
            Err(LineError::TooNew(version))
        }
        (Some(found), _) if found == format => Ok(Line::Header(line.to_vec())),
        (Some(END_FORMAT), _) => Ok(Line::End(line.to_vec())),
        (Some(other), _) => Err(LineError::OtherFormat(other.to_owned())),
    }
}

/// Opens a file of records: as named, or its `.zst` where only that is there.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let compressed = compressed_twin(path);
    if !path.exists() && compressed.exists() {
        return Ok(Box::new(zstd::stream::read::Decoder::new(File::open(compressed)?)?));
    }
    Ok(Box::new(File::open(path)?))
}

/// `NAME.zst` beside `NAME`.
pub fn compressed_twin(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".zst");
    PathBuf::from(name)
}

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 4 << 20;

/// Parses every line of `source` on all cores and gives the results to `each` in the order of the
/// file, with the number of the line (from 1). A line beyond [`limits::LINE_BYTES`] is given as
/// `None`; empty lines are left out.
pub(super) fn each_line<T: Send>(
    mut source: impl Read,
    parse: impl Fn(&[u8]) -> T + Sync,
    mut each: impl FnMut(u64, Option<T>),
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BLOCK_BYTES);
    let mut number = 0;
    let mut done = 0;
    let mut overlong = false;
    loop {
        let kept = buffer.len();
        let read = source.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut buffer)?;
        done += read as u64;
        progress(done);
        // The last line may lack its end.
        let end = if read == 0 {
            buffer.len()
        } else {
            memrchr(b'\n', &buffer[kept..]).map_or(0, |at| kept + at + 1)
        };
        let mut lines = Vec::new();
        let mut start = 0;
        for newline in memchr_iter(b'\n', &buffer[..end]).chain((read == 0).then_some(end)) {
            let line = &buffer[start..newline.max(start)];
            start = (newline + 1).min(buffer.len());
            number += 1;
            if std::mem::take(&mut overlong) {
                each(number, None);
            } else if !line.trim_ascii().is_empty() {
                lines.push((number, line));
            }
        }
        let parsed: Vec<(u64, T)> =
            lines.into_par_iter().map(|(number, line)| (number, parse(line))).collect();
        parsed.into_iter().for_each(|(number, value)| each(number, Some(value)));
        if read == 0 {
            return Ok(());
        }
        buffer.drain(..end);
        if buffer.len() > limits::LINE_BYTES {
            buffer.clear();
            overlong = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives few bytes at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(3).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn lines_come_in_order_with_their_numbers_and_the_last_may_lack_its_end() {
        let mut seen = Vec::new();
        each_line(
            Trickle(b"one\n\ntwo\nthree"),
            |line| String::from_utf8(line.to_vec()).unwrap(),
            |number, line| seen.push((number, line.unwrap())),
            |_| (),
        )
        .unwrap();
        assert_eq!(seen, [(1, "one".to_owned()), (3, "two".to_owned()), (4, "three".to_owned())]);
    }

    #[test]
    fn a_line_without_end_is_given_up_and_the_next_is_read() {
        let long = vec![b'x'; limits::LINE_BYTES + BLOCK_BYTES + 10];
        let text = [&long[..], b"\nshort\n"].concat();
        let mut seen = Vec::new();
        each_line(&text[..], <[u8]>::len, |number, line| seen.push((number, line)), |_| ())
            .unwrap();
        assert_eq!(seen, [(1, None), (2, Some(5))]);
    }

    #[test]
    fn first_and_last_lines_and_other_formats_are_told_apart() {
        let read = |line: &[u8]| read::<Recorded>(line, "shadowtap/exchanges", 1);
        assert!(matches!(
            read(br#"{"format":"shadowtap/exchanges","version":1}"#),
            Ok(Line::Header(_))
        ));
        assert!(matches!(
            read(br#"{"format":"shadowtap/exchanges","version":9}"#),
            Err(LineError::TooNew(9))
        ));
        assert!(matches!(
            read(br#"{"format":"shadowtap/outcomes","version":1}"#),
            Err(LineError::OtherFormat(_))
        ));
        assert!(matches!(read(br#"{"format":"shadowtap/end"}"#), Ok(Line::End(_))));
        assert!(matches!(read(b"{}"), Err(LineError::Malformed(_))));
    }
}
