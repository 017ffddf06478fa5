//! Reads of `exchanges.jsonl` and `outcomes.jsonl` only what measuring needs: times, status, method
//! and target. Headers and bodies are skipped without being decoded.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::exchange::{Completeness, ExchangeId};
use crate::message::grpc;
use crate::outcome::{Failure, ReplayId};
use crate::record::exchanges::{END_FORMAT, LineError};
use crate::record::json::Octets;
use crate::time::Timestamp;

/// What measuring needs of an exchange.
#[derive(Debug, Deserialize)]
pub(super) struct RecordedFigures {
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
    status: u16,
    #[serde(default)]
    headers: CallStatus,
    #[serde(default)]
    trailers: CallStatus,
}

impl RecordedResponse {
    /// The status that it is judged by.
    pub(super) fn status(&self) -> u16 {
        judged(self.status, self.trailers, self.headers)
    }
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
    status: u16,
    #[serde(default)]
    headers: CallStatus,
    #[serde(default)]
    trailers: CallStatus,
}

impl ReplayedResponse {
    /// The status that it is judged by.
    pub(super) fn status(&self) -> u16 {
        judged(self.status, self.trailers, self.headers)
    }
}

/// A call of gRPC is judged by its own status: that of HTTP is 200 whatever became of it.
fn judged(status: u16, trailers: CallStatus, headers: CallStatus) -> u16 {
    grpc::judged(status, trailers.0.or(headers.0))
}

/// The status of a call among fields; no other field is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CallStatus(Option<u16>);

impl<'de> Deserialize<'de> for CallStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordFields;
        impl<'de> Visitor<'de> for RecordFields {
            type Value = CallStatus;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("header fields")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<CallStatus, A::Error> {
                let mut found = CallStatus::default();
                while let Some(StatusField(code)) = fields.next_element()? {
                    found.0 = found.0.or(code);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_seq(RecordFields)
    }
}

/// A field, where it is the status of a call.
struct StatusField(Option<u16>);

impl<'de> Deserialize<'de> for StatusField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedPair;
        impl<'de> Visitor<'de> for NamedPair {
            type Value = StatusField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name and a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<StatusField, A::Error> {
                let name = pair.next_element::<&RawValue>()?.map_or("", RawValue::get);
                let is_status = name.trim_matches('"').eq_ignore_ascii_case(grpc::STATUS);
                let value = pair.next_element::<&RawValue>()?.map_or("", RawValue::get);
                while pair.next_element::<IgnoredAny>()?.is_some() {}
                let code = || grpc::number(value.trim_matches('"').as_bytes());
                Ok(StatusField(if is_status { code() } else { None }))
            }
        }
        deserializer.deserialize_seq(NamedPair)
    }
}

/// A line of a file of records.
#[derive(Debug)]
pub(super) enum FigureLine<T> {
    /// A record.
    Record(T),
    /// A first line, as it is.
    Header(Vec<u8>),
    /// A last line, as it is.
    End(Vec<u8>),
}

#[derive(Deserialize)]
struct FigureProbe {
    format: Option<String>,
    version: Option<u32>,
}

/// Reads one line of a file whose first line names `format` in a version up to `newest`.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    line: &[u8],
    format: &str,
    newest: u32,
) -> Result<FigureLine<T>, LineError> {
    // As in `exchange::log`: a record of this program starts with its id.
    if line.starts_with(b"{\"id\"") {
        return Ok(FigureLine::Record(serde_json::from_slice(line)?));
    }
    let probe: FigureProbe = serde_json::from_slice(line)?;
    match (probe.format.as_deref(), probe.version) {
        (None, _) => Ok(FigureLine::Record(serde_json::from_slice(line)?)),
        (Some(found), Some(version)) if found == format && version > newest => {
            Err(LineError::TooNew(version))
        }
        (Some(found), _) if found == format => Ok(FigureLine::Header(line.to_vec())),
        (Some(END_FORMAT), _) => Ok(FigureLine::End(line.to_vec())),
        (Some(other), _) => Err(LineError::OtherFormat(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_judged_by_its_own_status() {
        for (line, status) in [
            (r#"{"status":200,"headers":[["a","b"]],"trailers":[]}"#, 200),
            (r#"{"status":200,"headers":[],"trailers":[["x",null],["grpc-status","13"]]}"#, 500),
            (r#"{"status":200,"headers":[["Grpc-Status","5"],[null,{"base64":"AA=="}]]}"#, 404),
            (r#"{"status":200,"headers":[["grpc-status","0"]]}"#, 200),
            (r#"{"status":503,"headers":[["grpc-status","0"]]}"#, 503),
        ] {
            let response: ReplayedResponse = serde_json::from_str(line).unwrap();
            assert_eq!(response.status(), status, "{line}");
        }
    }

    #[test]
    fn first_and_last_lines_and_other_formats_are_told_apart() {
        let read = |line: &[u8]| read::<RecordedFigures>(line, "shadowtap/exchanges", 1);
        assert!(matches!(
            read(br#"{"format":"shadowtap/exchanges","version":1}"#),
            Ok(FigureLine::Header(_))
        ));
        assert!(matches!(
            read(br#"{"format":"shadowtap/exchanges","version":9}"#),
            Err(LineError::TooNew(9))
        ));
        assert!(matches!(
            read(br#"{"format":"shadowtap/outcomes","version":1}"#),
            Err(LineError::OtherFormat(_))
        ));
        assert!(matches!(read(br#"{"format":"shadowtap/end"}"#), Ok(FigureLine::End(_))));
        assert!(matches!(read(b"{}"), Err(LineError::Malformed(_))));
    }
}
