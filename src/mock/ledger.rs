//! `egress.jsonl`: each of v2's outgoing calls with the recorded call that answered it, and each of
//! v1's that v2 did not make.
//!
//! The same conventions as the other JSONL files: a first line that names the format, a last one
//! that closes it.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::exchange::ExchangeId;
use crate::limits;
use crate::message::method::is_safe;
use crate::record::exchanges::{END_FORMAT, TOOL};
use crate::time::Timestamp;

/// The format's name in the first line.
pub const FORMAT: &str = "shadowtap/egress";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerHeader {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// When the mock started.
    pub created: Timestamp,
    /// Program and version.
    #[serde(default)]
    pub tool: String,
    /// Where the recorded calls came from.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// How many recorded calls the mock can answer with.
    #[serde(default)]
    pub recorded: u64,
}

impl LedgerHeader {
    /// The first line of a ledger that starts at `created`.
    pub fn new(created: Timestamp, inputs: Vec<String>, recorded: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            created,
            tool: TOOL.to_owned(),
            inputs,
            recorded,
        }
    }
}

/// What a call of v2 is, beside v1's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallVerdict {
    /// v1 made it as well: equal, but for values that vary by themselves.
    Matched,
    /// v1 made it with another payload: answered from the nearest recorded call.
    Drifted,
    /// v1 made it as well, but less often.
    Repeated,
    /// v1 never made it: answered with 599.
    Extra,
    /// v1 made it and v2 did not.
    Missing,
}

impl CallVerdict {
    /// All of them, in the order of the summary.
    pub const ALL: [Self; 5] =
        [Self::Matched, Self::Drifted, Self::Repeated, Self::Extra, Self::Missing];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Drifted => "drifted",
            Self::Repeated => "repeated",
            Self::Extra => "extra",
            Self::Missing => "missing",
        }
    }
}

/// A place where a call differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPlace {
    /// Where: `$.amount` (JSONPath into the body), `query:currency`, `form:card`, `header:accept`,
    /// `path[2]`, `body`.
    pub place: String,
    /// v1's value in short; none where v1 has none.
    pub expected: Option<String>,
    /// v2's value in short; none where v2 has none.
    pub actual: Option<String>,
}

/// A line: a call of v2, or one of v1 that v2 did not make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// `matched`; `drifted`: v1 made it with another payload; `repeated`: v1 made it less often;
    /// `extra`: v1 never made it, answered with 599; `missing`: v2 did not make it.
    pub verdict: CallVerdict,
    /// When it reached the mock; for a missing one: the capture time of v1's.
    pub at: Timestamp,
    /// The provider's host, with its port where it is not the scheme's own.
    pub provider: String,
    /// The method.
    pub method: String,
    /// The route, e.g. `POST /v1/charges`.
    pub route: String,
    /// The request-target in origin form.
    pub target: String,
    /// The beginning of v2's body, secrets masked, as a person tells calls apart by it; not told of
    /// matched calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub payload: String,
    /// The same of v1's, where the two may differ.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recorded_payload: String,
    /// The recorded call that answered; for an extra one: the nearest, which did not.
    pub recorded: Option<ExchangeId>,
    /// How often that one has answered by now; 0 for an extra or missing one.
    #[serde(default)]
    pub times: u32,
    /// The ingress exchange that caused it, where that is known.
    #[serde(default)]
    pub cause: Option<ExchangeId>,
    /// The status that was given.
    pub status: Option<u16>,
    /// From 0 (nothing in common) to 1 (equal but for values that vary by themselves).
    #[serde(default)]
    pub score: f64,
    /// Why this recorded call, or why none, in words.
    pub why: String,
    /// Where it differs from the recorded one: place, v1's value, v2's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<CallPlace>,
    /// Whether v1 made the calls of this cause in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub order_changed: bool,
    /// The fault that was injected on purpose (counted as `faulted` in the last line).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// A `curl` line that repeats the call (of a missing one: v1's) at a mock on
    /// `127.0.0.1:9099`, secrets masked; not told of matched calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repeat: String,
}

impl Call {
    /// Whether the method is one that changes something at the provider (RFC 9110 §9.2.1).
    pub fn is_unsafe(&self) -> bool {
        !is_safe(self.method.as_bytes())
    }
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEnd {
    /// [`END_FORMAT`].
    pub format: String,
    /// Calls by verdict.
    #[serde(default)]
    pub calls: BTreeMap<String, u64>,
    /// What went wrong with clients.
    #[serde(default)]
    pub broken: Broken,
}

/// What never became a call, or whose answer was not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Broken {
    /// Requests that never came whole: the client broke off or took too long.
    pub unfinished: u64,
    /// What is no HTTP request.
    pub not_understood: u64,
    /// Answers that the client did not read.
    pub unread: u64,
    /// TLS handshakes that failed, or came where there is no certificate authority.
    pub no_tls: u64,
}

impl LedgerEnd {
    /// The last line for these counts.
    pub fn new(counts: &VerdictCounts, broken: Broken) -> Self {
        let calls = CallVerdict::ALL
            .into_iter()
            .map(|verdict| (verdict.name().to_owned(), counts.of(verdict)))
            .collect();
        Self { format: END_FORMAT.to_owned(), calls, broken }
    }
}

/// Calls by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictCounts {
    /// v1 made them as well.
    pub matched: u64,
    /// v1 made them with another payload.
    pub drifted: u64,
    /// v1 made them less often.
    pub repeated: u64,
    /// v1 never made them.
    pub extra: u64,
    /// v2 did not make them.
    pub missing: u64,
    /// Calls (of any verdict) whose place among the calls of the same cause changed.
    pub order_changed: u64,
    /// Calls (of any verdict) that got a fault on purpose.
    pub faulted: u64,
    /// Repeated calls with a method that changes something.
    pub unsafe_repeated: u64,
    /// Extra calls with a method that changes something.
    pub unsafe_extra: u64,
    /// Calls with a method that changes something, made with another payload.
    pub unsafe_drifted: u64,
    /// Calls with a method that changes something that v2 did not make though their cause was
    /// replayed.
    pub unsafe_missing: u64,
}

/// What counts of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) verdict: CallVerdict,
    /// Whether its method may change something.
    pub(super) changes: bool,
    /// Whether the ingress exchange that caused it is known.
    pub(super) caused: bool,
    pub(super) order_changed: bool,
    pub(super) faulted: bool,
}

impl VerdictCounts {
    /// Counts the call of a line.
    pub fn add(&mut self, call: &Call) {
        self.count(Counted {
            verdict: call.verdict,
            changes: call.is_unsafe(),
            caused: call.cause.is_some(),
            order_changed: call.order_changed,
            faulted: call.fault.is_some(),
        });
    }

    /// Counts one call.
    pub(super) fn count(&mut self, call: Counted) {
        let changes = u64::from(call.changes);
        match call.verdict {
            CallVerdict::Matched => self.matched += 1,
            CallVerdict::Drifted => {
                (self.drifted, self.unsafe_drifted) =
                    (self.drifted + 1, self.unsafe_drifted + changes)
            }
            CallVerdict::Repeated => {
                (self.repeated, self.unsafe_repeated) =
                    (self.repeated + 1, self.unsafe_repeated + changes)
            }
            CallVerdict::Extra => {
                (self.extra, self.unsafe_extra) = (self.extra + 1, self.unsafe_extra + changes)
            }
            CallVerdict::Missing => {
                self.missing += 1;
                self.unsafe_missing += if call.caused { changes } else { 0 };
            }
        }
        self.order_changed += u64::from(call.order_changed);
        self.faulted += u64::from(call.faulted);
    }

    /// Calls that change something at a provider and are not v1's: surplus ones, other ones, and
    /// ones that surely lack.
    pub const fn unsafe_different(&self) -> u64 {
        self.unsafe_repeated + self.unsafe_extra + self.unsafe_drifted + self.unsafe_missing
    }

    /// Reads that were answered by a recorded call that is only like them.
    pub const fn drifted_reads(&self) -> u64 {
        self.drifted.saturating_sub(self.unsafe_drifted)
    }

    /// Reads that v1 never made, to which the recording had no answer.
    pub const fn missed_reads(&self) -> u64 {
        self.extra.saturating_sub(self.unsafe_extra)
    }

    /// How many of one verdict.
    pub const fn of(&self, verdict: CallVerdict) -> u64 {
        match verdict {
            CallVerdict::Matched => self.matched,
            CallVerdict::Drifted => self.drifted,
            CallVerdict::Repeated => self.repeated,
            CallVerdict::Extra => self.extra,
            CallVerdict::Missing => self.missing,
        }
    }

    /// Calls that are not v1's.
    pub const fn different(&self) -> u64 {
        self.drifted + self.repeated + self.extra + self.missing + self.order_changed
    }

    /// The calls that v2 made.
    pub const fn made(&self) -> u64 {
        self.matched + self.drifted + self.repeated + self.extra
    }

    /// Whether v2 called as v1 did.
    pub const fn is_clean(&self) -> bool {
        self.made() == self.matched && self.missing == 0 && self.order_changed == 0
    }
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("cannot read it")]
    Io(#[from] std::io::Error),
    /// A line of it.
    #[error("line {line}: {message}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

#[derive(Deserialize)]
struct LedgerProbe {
    format: Option<String>,
    version: Option<u32>,
}

/// Reads `egress.jsonl` call by call; gives whether its last line is there.
pub fn read(mut reader: impl BufRead, mut each: impl FnMut(Call)) -> Result<bool, ReadError> {
    let mut text = Vec::new();
    let mut complete = false;
    for line in 1.. {
        text.clear();
        let taken = std::io::Read::take(&mut reader, limits::LINE_BYTES as u64)
            .read_until(b'\n', &mut text)?;
        if taken == 0 {
            break;
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let wrong = |message: String| ReadError::Line { line, message };
        let probe: LedgerProbe =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match probe.format.as_deref() {
            None => each(serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?),
            Some(FORMAT) if probe.version > Some(VERSION) => {
                return Err(wrong(format!(
                    "version {} is newer than {VERSION}",
                    probe.version.unwrap_or_default()
                )));
            }
            Some(FORMAT) => complete = false,
            Some(END_FORMAT) => complete = true,
            Some(other) => {
                return Err(wrong(format!("a file of format {other:?}, not {FORMAT:?}")));
            }
        }
    }
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_refused_with_its_line() {
        for text in [
            "hello",
            "{\"format\":\"shadowtap/outcomes\",\"version\":1}",
            "{\"format\":\"shadowtap/egress\",\"version\":2}",
        ] {
            assert!(
                matches!(read(text.as_bytes(), |_| {}), Err(ReadError::Line { line: 1, .. })),
                "{text}"
            );
        }
    }
}
