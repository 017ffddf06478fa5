//! Reads of `exchanges.jsonl` and `outcomes.jsonl` only what measuring needs: times, status, method
//! and target. Headers and bodies are skipped without being decoded.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::exchange::{Completeness, ExchangeId};
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

#[cfg(test)]
mod tests {
    use super::*;

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
