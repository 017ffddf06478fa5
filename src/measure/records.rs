//! Reads of `exchanges.jsonl` and `outcomes.jsonl` only what measuring needs: times, status, method
//! and target. Headers and bodies are skipped without being decoded, but for the status of calls.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::pace::Pace;
use crate::exchange::{Completeness, Exchange, ExchangeId};
use crate::message::grpc;
use crate::outcome::{Failure, Outcome, ReplayId};
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
    pub(super) response: Option<AnswerFigures>,
    /// How the messages of v1's answer came; not read with the rest.
    #[serde(skip)]
    pub(super) pace: Option<Pace>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RecordedRequest {
    pub(super) at: Timestamp,
    pub(super) method: Octets,
    pub(super) target: Octets,
}

impl RecordedFigures {
    /// What reading the line of an exchange gives.
    pub(super) fn of(exchange: &Exchange) -> Self {
        Self {
            id: exchange.id,
            completeness: exchange.completeness,
            handshake_ns: exchange.handshake_ns,
            marks: exchange.marks.clone(),
            request: exchange.request.as_ref().map(|request| RecordedRequest {
                at: request.at,
                method: Octets(request.message.method.clone()),
                target: Octets(request.message.target.clone()),
            }),
            response: exchange.response.as_ref().map(|response| AnswerFigures {
                last_byte_ns: response.last_byte_ns,
                status: grpc::judged_status(&response.message),
            }),
            pace: Pace::of_exchange(exchange),
        }
    }
}

/// What measuring needs of an answer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "WrittenAnswer")]
pub(super) struct AnswerFigures {
    /// When v1's was whole; of an outcome's the outcome tells it.
    pub(super) last_byte_ns: Option<i64>,
    /// The status that it is judged by: of a call of gRPC its own, since that of HTTP is 200
    /// whatever became of it.
    pub(super) status: u16,
}

#[derive(Deserialize)]
struct WrittenAnswer {
    last_byte_ns: Option<i64>,
    status: u16,
    #[serde(default)]
    headers: CallFields,
    #[serde(default)]
    trailers: CallFields,
    #[serde(default)]
    body: CallTrailers,
}

impl From<WrittenAnswer> for AnswerFigures {
    fn from(written: WrittenAnswer) -> Self {
        let WrittenAnswer { last_byte_ns, status, headers, trailers, body } = written;
        let in_body = body.0.filter(|_| headers.is_web);
        let call = trailers.status.or(headers.status).or(in_body);
        Self { last_byte_ns, status: grpc::judged(status, call) }
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
    pub(super) response: Option<AnswerFigures>,
    pub(super) failure: Option<Failure>,
    /// How the messages of the answer came; not read with the rest.
    #[serde(skip)]
    pub(super) pace: Option<Pace>,
}

impl Replayed {
    /// What reading the line of an outcome gives.
    pub(super) fn of(outcome: &Outcome) -> Self {
        Self {
            id: outcome.id,
            lane: outcome.lane,
            due_ns: outcome.due_ns,
            sent_ns: outcome.sent_ns,
            last_byte_ns: outcome.last_byte_ns,
            failed_ns: outcome.failed_ns,
            left_ns: outcome.left_ns,
            connect_ns: outcome.connect_ns,
            waited_ns: outcome.waited_ns,
            unbound: vec![IgnoredAny; outcome.unbound.len()],
            response: outcome.response.as_ref().map(|response| AnswerFigures {
                last_byte_ns: outcome.last_byte_ns,
                status: grpc::judged_status(response),
            }),
            failure: outcome.failure.clone(),
            pace: Pace::of_outcome(outcome),
        }
    }
}

/// What fields say of a call; no other field is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CallFields {
    status: Option<u16>,
    /// The content is that of gRPC-Web, whose trailers are in the body.
    is_web: bool,
}

/// The status among the trailers at the end of a body of gRPC-Web. Bodies that cannot be such are
/// passed over by their first octets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CallTrailers(Option<u16>);

impl CallTrailers {
    /// Of a body as records write it: `{"utf8":…}` or `{"base64":…}`.
    fn of(written: &str) -> Option<u16> {
        // A frame begins with 0, 1, 0x80 or 0x81, in base64 with one of these.
        let start = written.splitn(4, '"').nth(3)?.get(..2)?;
        if !matches!(start, "AA" | "AQ" | "gA" | "gQ") {
            return None;
        }
        let body: WrittenBody<'_> = serde_json::from_str(written).ok()?;
        match (body.base64, body.utf8) {
            (Some(base64), _) => {
                grpc::web_status("application/grpc-web", &STANDARD.decode(&*base64).ok()?)
            }
            (None, Some(text)) => grpc::web_status("application/grpc-web-text", text.as_bytes()),
            (None, None) => None,
        }
    }
}

#[derive(Deserialize)]
struct WrittenBody<'b> {
    #[serde(borrow)]
    utf8: Option<Cow<'b, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'b, str>>,
}

impl<'de> Deserialize<'de> for CallTrailers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(Self::of(written.get())))
    }
}

impl<'de> Deserialize<'de> for CallFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordFields;
        impl<'de> Visitor<'de> for RecordFields {
            type Value = CallFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("header fields")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<CallFields, A::Error> {
                let mut found = CallFields::default();
                while let Some(field) = fields.next_element()? {
                    match field {
                        CallField::Status(code) => found.status = found.status.or(code),
                        CallField::Web => found.is_web = true,
                        CallField::Other => {}
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_seq(RecordFields)
    }
}

/// A field, as far as it says something of a call.
enum CallField {
    Status(Option<u16>),
    Web,
    Other,
}

impl<'de> Deserialize<'de> for CallField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedPair;
        impl<'de> Visitor<'de> for NamedPair {
            type Value = CallField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name and a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<CallField, A::Error> {
                let name = pair.next_element::<&RawValue>()?.map_or("", RawValue::get);
                let name = name.trim_matches('"');
                let value = pair.next_element::<&RawValue>()?.map_or("", RawValue::get);
                while pair.next_element::<IgnoredAny>()?.is_some() {}
                let value = value.trim_matches('"').as_bytes();
                Ok(if name.eq_ignore_ascii_case(grpc::STATUS) {
                    CallField::Status(grpc::number(value))
                } else if name.eq_ignore_ascii_case("content-type") && grpc::is_web(value) {
                    CallField::Web
                } else {
                    CallField::Other
                })
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
            // gRPC-Web: `grpc-status:5` in the last frame of the body, plain and as text.
            (
                r#"{"status":200,"headers":[["Content-Type","application/grpc-web+proto"]],
                "body":{"base64":"AAAAAAF4gAAAAA1ncnBjLXN0YXR1czo1"}}"#,
                404,
            ),
            (
                r#"{"status":200,"headers":[["content-type","application/grpc-web-text"]],
                "body":{"utf8":"AAAAAAF4gAAAAA1ncnBjLXN0YXR1czo1"}}"#,
                404,
            ),
            (
                r#"{"status":200,"headers":[["content-type","text/plain"]],
                "body":{"utf8":"AAAAAAF4gAAAAA1ncnBjLXN0YXR1czo1"}}"#,
                200,
            ),
            (r#"{"status":200,"body":null}"#, 200),
        ] {
            let answer: AnswerFigures = serde_json::from_str(line).unwrap();
            assert_eq!(answer.status, status, "{line}");
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
