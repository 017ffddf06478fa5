//! `outcomes.jsonl` (and its twin `baseline.jsonl`): the same conventions as `exchanges.jsonl`.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;
use crate::message::Response;
use crate::message::trace::TraceParent;
use crate::outcome::HostMap;
use crate::outcome::{Failure, Outcome, ReplayId, Unbound};
use crate::record::exchanges::{self, END_FORMAT, LineError, RawSocketMessage};
use crate::record::json::quick::Cursor;
use crate::record::json::{integer, response_fields, string};
use crate::time::Timestamp;

/// The format's name in the first line.
pub const FORMAT: &str = "shadowtap/outcomes";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomesHeader {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The run's id, as in the marker header.
    pub run: String,
    /// Where the requests went.
    pub target: String,
    /// When the replay started: the wall clock at 0 of all `_ns`.
    pub started: Timestamp,
    /// The settings that shaped it.
    #[serde(default)]
    pub settings: serde_json::Value,
}

impl OutcomesHeader {
    /// Hosts whose requests went to another server than the target.
    pub fn mapped(&self) -> Vec<HostMap> {
        let maps = self.settings["map_host"].as_array().into_iter().flatten();
        maps.filter_map(|map| map.as_str()?.parse().ok()).collect()
    }
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomesEnd {
    /// [`END_FORMAT`].
    pub format: String,
    /// How many outcomes the file holds.
    #[serde(default)]
    pub outcomes: u64,
    /// Requests in, sent, and not sent by reason.
    #[serde(default)]
    pub ledger: Ledger,
    /// What the replayer measured of itself (lateness, load); there once the replay ended.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub generator: serde_json::Value,
}

impl OutcomesEnd {
    /// The last line for `outcomes` outcomes.
    pub fn new(outcomes: u64, ledger: Ledger, generator: serde_json::Value) -> Self {
        Self { format: END_FORMAT.to_owned(), outcomes, ledger, generator }
    }
}

/// A line as read.
#[derive(Clone, Debug, PartialEq)]
pub enum OutcomeLine {
    /// A first line.
    Header(Box<OutcomesHeader>),
    /// An outcome.
    Outcome(Box<Outcome>),
    /// A last line.
    End(Box<OutcomesEnd>),
}

/// Where `unbound` must have begun in a line: before it are numbers.
const BEFORE_UNBOUND: usize = 512;

/// Whether a line says that its request lacked values which the target did not issue.
pub(crate) fn lacks_values(line: &[u8]) -> bool {
    let head = &line[..line.len().min(BEFORE_UNBOUND)];
    memchr::memmem::find(head, b"\"unbound\":[").is_some()
}

/// Appends an outcome as one line, with its line end.
pub fn write(out: &mut Vec<u8>, outcome: &Outcome) {
    let natural =
        |out: &mut Vec<u8>, number: u64| integer(out, i64::try_from(number).unwrap_or(i64::MAX));
    out.extend_from_slice(b"{\"id\":\"");
    natural(out, outcome.id.exchange.connection);
    out.push(b'-');
    integer(out, i64::from(outcome.id.exchange.ordinal));
    if outcome.id.copy > 1 {
        out.push(b'@');
        integer(out, i64::from(outcome.id.copy));
    }
    out.extend_from_slice(b"\",\"lane\":");
    natural(out, outcome.lane);
    out.extend_from_slice(b",\"due_ns\":");
    integer(out, outcome.due_ns);
    for (name, value) in [
        ("sent_ns", outcome.sent_ns),
        ("first_byte_ns", outcome.first_byte_ns),
        ("last_byte_ns", outcome.last_byte_ns),
        ("failed_ns", outcome.failed_ns),
        ("left_ns", outcome.left_ns),
        ("connect_ns", outcome.connect_ns),
        ("waited_ns", (outcome.waited_ns != 0).then_some(outcome.waited_ns)),
        ("bound", (outcome.bound != 0).then_some(i64::from(outcome.bound))),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            integer(out, value);
        }
    }
    for (index, unbound) in outcome.unbound.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"unbound\":[".as_slice() } else { b"," });
        out.extend_from_slice(b"{\"root\":");
        string(out, &unbound.root.to_string());
        out.extend_from_slice(b",\"place\":");
        string(out, &unbound.place);
        out.push(b'}');
    }
    if !outcome.unbound.is_empty() {
        out.push(b']');
    }
    if let Some(parent) = &outcome.traceparent {
        out.extend_from_slice(b",\"traceparent\":\"");
        let _ = write!(out, "{parent}");
        out.push(b'"');
    }
    out.extend_from_slice(b",\"response\":");
    match &outcome.response {
        None => out.extend_from_slice(b"null"),
        Some(response) => {
            out.push(b'{');
            response_fields(out, response);
            out.push(b'}');
        }
    }
    exchanges::messages(out, &outcome.messages);
    out.extend_from_slice(b",\"failure\":");
    match &outcome.failure {
        None => out.extend_from_slice(b"null"),
        Some(failure) => {
            out.extend_from_slice(b"{\"kind\":\"");
            out.extend_from_slice(failure.kind.name().as_bytes());
            out.extend_from_slice(b"\",\"detail\":");
            string(out, &failure.detail);
            if let Some(owner) = failure.owner {
                out.extend_from_slice(b",\"owner\":\"");
                out.extend_from_slice(owner.name().as_bytes());
                out.push(b'"');
            }
            out.push(b'}');
        }
    }
    out.extend_from_slice(b"}\n");
}

#[derive(Deserialize)]
struct RawOutcome {
    id: ReplayId,
    #[serde(default)]
    lane: u64,
    due_ns: i64,
    sent_ns: Option<i64>,
    first_byte_ns: Option<i64>,
    last_byte_ns: Option<i64>,
    failed_ns: Option<i64>,
    left_ns: Option<i64>,
    connect_ns: Option<i64>,
    #[serde(default)]
    waited_ns: i64,
    #[serde(default)]
    bound: u32,
    #[serde(default)]
    unbound: Vec<Unbound>,
    traceparent: Option<TraceParent>,
    response: Option<Response>,
    #[serde(default)]
    messages: Vec<RawSocketMessage>,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct OutcomesProbe {
    format: Option<String>,
    version: Option<u32>,
}

/// Reads one line.
pub fn read(line: &[u8]) -> Result<OutcomeLine, LineError> {
    if let Some(outcome) = own_form(line) {
        return Ok(OutcomeLine::Outcome(Box::new(outcome)));
    }
    if line.starts_with(b"{\"id\"") {
        return read_outcome(line);
    }
    let probe: OutcomesProbe = serde_json::from_slice(line)?;
    match (probe.format.as_deref(), probe.version) {
        (None, _) => read_outcome(line),
        (Some(FORMAT), Some(version)) if version > VERSION => Err(LineError::TooNew(version)),
        (Some(FORMAT), _) => Ok(OutcomeLine::Header(serde_json::from_slice(line)?)),
        (Some(END_FORMAT), _) => Ok(OutcomeLine::End(serde_json::from_slice(line)?)),
        (Some(other), _) => Err(LineError::OtherFormat(other.to_owned())),
    }
}

/// An answered request, where the line has the form in which [`write`] puts it; see
/// [`crate::record::json::quick`].
fn own_form(line: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(line)?;
    cursor.expect(b"{\"id\":\"")?;
    let id = cursor.plain()?.parse().ok()?;
    cursor.expect(b",\"lane\":")?;
    let lane = u64::try_from(cursor.integer()?).ok()?;
    cursor.expect(b",\"due_ns\":")?;
    let due_ns = cursor.integer()?;
    let mut time =
        |name: &[u8]| if cursor.skip(name) { cursor.integer().map(Some) } else { Some(None) };
    let (sent_ns, first_byte_ns) = (time(b",\"sent_ns\":")?, time(b",\"first_byte_ns\":")?);
    let (last_byte_ns, failed_ns) = (time(b",\"last_byte_ns\":")?, time(b",\"failed_ns\":")?);
    let left_ns = time(b",\"left_ns\":")?;
    let (connect_ns, waited_ns) =
        (time(b",\"connect_ns\":")?, time(b",\"waited_ns\":")?.unwrap_or(0));
    let bound = u32::try_from(time(b",\"bound\":")?.unwrap_or(0)).ok()?;
    let traceparent = match cursor.skip(b",\"traceparent\":\"") {
        true => Some(cursor.plain()?.parse().ok()?),
        false => None,
    };
    cursor.expect(b",\"response\":{")?;
    let response = Some(cursor.response()?);
    cursor.expect(b",\"failure\":null}")?;
    cursor.end()?;
    let times = Outcome {
        due_ns,
        sent_ns,
        first_byte_ns,
        last_byte_ns,
        failed_ns,
        left_ns,
        connect_ns,
        waited_ns,
        bound,
        traceparent,
        ..Outcome::default()
    };
    Some(Outcome { id, lane, response, ..times })
}

fn read_outcome(line: &[u8]) -> Result<OutcomeLine, LineError> {
    let raw: RawOutcome = serde_json::from_slice(line)?;
    Ok(OutcomeLine::Outcome(Box::new(Outcome {
        id: raw.id,
        lane: raw.lane,
        due_ns: raw.due_ns,
        sent_ns: raw.sent_ns,
        first_byte_ns: raw.first_byte_ns,
        last_byte_ns: raw.last_byte_ns,
        failed_ns: raw.failed_ns,
        left_ns: raw.left_ns,
        connect_ns: raw.connect_ns,
        waited_ns: raw.waited_ns,
        bound: raw.bound,
        unbound: raw.unbound,
        traceparent: raw.traceparent,
        response: raw.response,
        messages: raw.messages.into_iter().map(RawSocketMessage::into_message).collect(),
        failure: raw.failure,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{SocketKind, SocketMessage};
    use crate::flow::Direction;
    use crate::message::Body;
    use crate::outcome::{FailureKind, Owner};

    #[test]
    fn what_is_written_is_read_back() {
        let answered = Outcome {
            id: "12-3@2".parse().unwrap(),
            lane: 12,
            due_ns: 5,
            sent_ns: Some(41_000),
            first_byte_ns: Some(900_000),
            last_byte_ns: Some(950_000),
            failed_ns: None,
            left_ns: None,
            connect_ns: Some(80_000),
            waited_ns: 7,
            traceparent: None,
            bound: 2,
            unbound: Vec::new(),
            response: Some(Response { status: 204, ..Response::default() }),
            messages: Vec::new(),
            failure: None,
        };
        let skipped = Outcome {
            id: "13-0".parse().unwrap(),
            failed_ns: Some(70),
            failure: Some(Failure::new(FailureKind::Skipped, "unsafe method \"POST\"")),
            ..Outcome::default()
        };
        let own = Outcome {
            failure: Some(Failure::new(FailureKind::Connect, "no port").of(Owner::Replayer)),
            ..skipped.clone()
        };
        let left = Outcome { left_ns: Some(960_000), last_byte_ns: None, ..answered.clone() };
        let missed = |place: &str| Unbound { root: "0-1@2".parse().unwrap(), place: place.into() };
        let unbound = vec![missed("$.token"), missed("cookie:s\"id")];
        let unbound = Outcome { unbound, ..answered.clone() };
        let said = |kind, data: &'static [u8]| SocketMessage {
            direction: Direction::ToClient,
            at_ns: 970_000,
            kind,
            data: Body::whole(data),
        };
        let messages = vec![
            said(SocketKind::Text, b"{\"a\":1}"),
            said(SocketKind::Binary, &[0, 255]),
            said(SocketKind::Close, &[3, 232]),
        ];
        let played = Outcome { messages, ..answered.clone() };
        let failure = Some(Failure::new(FailureKind::Protocol, "a masked frame"));
        let broken = Outcome { failure, ..played.clone() };
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
        let traced = Outcome { traceparent: parent, bound: 2, ..answered.clone() };
        let lacking = Outcome { traceparent: parent, ..unbound.clone() };
        let all = [answered, skipped, own, left, unbound, played, broken, traced, lacking];
        for outcome in all {
            let mut line = Vec::new();
            write(&mut line, &outcome);
            assert_eq!(
                read(&line).unwrap(),
                OutcomeLine::Outcome(Box::new(outcome)),
                "{}",
                String::from_utf8_lossy(&line)
            );
        }
    }

    #[test]
    fn own_lateness_leaves_out_what_v2_caused() {
        let outcome =
            Outcome { due_ns: 100, sent_ns: Some(1_000), waited_ns: 850, ..Outcome::default() };
        assert_eq!(outcome.own_lateness_ns(), Some(50));
        assert_eq!(Outcome::default().own_lateness_ns(), None);
    }
}
