//! What became of a replayed request: its times, the answer or the failure, and its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::exchange::{ExchangeId, SocketMessage};
use crate::message::target::is_for;
use crate::message::trace::TraceParent;
use crate::message::{Request, Response};
use crate::text_form::text_form;

/// Names a replayed request: the exchange's id, and which copy of it where `--multiply` or `--loop`
/// made several. Text form: `12-3`, `12-3@2` for the second copy onward (the first has no suffix).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayId {
    /// The recorded exchange.
    pub exchange: ExchangeId,
    /// Which copy, from 1.
    pub copy: u32,
}

impl ReplayId {
    /// The first copy of `exchange`.
    pub const fn first(exchange: ExchangeId) -> Self {
        Self { exchange, copy: 1 }
    }
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exchange.fmt(f)?;
        if self.copy > 1 {
            write!(f, "@{}", self.copy)?;
        }
        Ok(())
    }
}

impl FromStr for ReplayId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (exchange, copy) = match text.split_once('@') {
            None => (text, 1),
            Some((exchange, copy)) => {
                (exchange, copy.parse().map_err(|_| format!("not a copy's number: {copy:?}"))?)
            }
        };
        Ok(Self { exchange: exchange.parse()?, copy })
    }
}

text_form!(ReplayId);

/// The header field that tells a replayed request from a real one.
pub const MARKER: &str = "x-shadowtap-replay";

/// Why a request has no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Not sent, on purpose (unsafe method, not whole, upgrade).
    Skipped,
    /// The target's name has no address.
    Resolve,
    /// No connection.
    Connect,
    /// No TLS session.
    Tls,
    /// No (whole) answer in time.
    Timeout,
    /// Closed or reset before the answer was whole.
    Closed,
    /// What came is not HTTP.
    Protocol,
    /// The request could not be rewritten as asked.
    Rewrite,
}

impl FailureKind {
    /// The name in files, e.g. `timeout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Rewrite => "rewrite",
        }
    }
}

/// A failure with what a person needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `skipped`, `resolve`, `connect`, `tls`, `timeout`, `closed`, `protocol` or `rewrite`.
    pub kind: FailureKind,
    /// In words.
    #[serde(default)]
    pub detail: String,
    /// Whose doing it is, where it is not v2's: `replayer`, `settings` or `proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl Failure {
    /// A failure of v2.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), owner: None }
    }

    /// The same, of somebody else.
    #[must_use]
    pub fn of(self, owner: impl Into<Option<Owner>>) -> Self {
        Self { owner: owner.into(), ..self }
    }
}

/// Whose doing a failure is that is not v2's. Such a request was not answered by v2 and says
/// nothing about it: it is not compared, it is no error, and a run that has some is not to be
/// trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The replayer's machine: no local port, no file descriptor.
    Replayer,
    /// What it was told: whom to trust, under which name to ask, as whom.
    Settings,
    /// The proxy between it and v2.
    Proxy,
}

impl Owner {
    /// The name in files, e.g. `replayer`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replayer => "replayer",
            Self::Settings => "settings",
            Self::Proxy => "proxy",
        }
    }
}

/// What became of one request. All times count in nanoseconds from the start of the replay on the
/// monotonic clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Which request: `12-3`, of a copy `12-3@2`.
    pub id: ReplayId,
    /// Its lane: one captured connection is one lane, copies are lanes of their own.
    pub lane: u64,
    /// When it was due by the schedule.
    pub due_ns: i64,
    /// When its first byte was handed to the kernel; none if it never was.
    pub sent_ns: Option<i64>,
    /// When the first byte of the answer came.
    pub first_byte_ns: Option<i64>,
    /// When the last byte of the answer came.
    pub last_byte_ns: Option<i64>,
    /// When it was given up, of a failure: for so long a user would have waited, at least.
    pub failed_ns: Option<i64>,
    /// When the replayer left the answer, as v1's client had left v1's: what came until then is
    /// [`Self::response`], and nothing failed.
    pub left_ns: Option<i64>,
    /// How long the connection took to open (TCP and TLS); there where this request opened it.
    pub connect_ns: Option<i64>,
    /// The part of `sent_ns − due_ns` that was spent waiting for v2 (an earlier answer on the lane,
    /// a connection); the rest is the replayer's own lateness. Left out where it is 0.
    pub waited_ns: i64,
    /// How many values of v2's were put into the request, in the place of v1's; left out where none
    /// was.
    pub bound: u32,
    /// The values that it was sent with as recorded, since v2 had issued none in their place: the
    /// request that should have (`root`), and the `place` in its answer. Left out where there are
    /// none.
    pub unbound: Vec<Unbound>,
    /// The context of the trace that it was sent with, where traces were asked for.
    pub traceparent: Option<TraceParent>,
    /// What v2 answered; also there beside a failure where part of an answer came.
    pub response: Option<Response>,
    /// What v2 said on the WebSocket that its 101 opened, in order, with its close; other control
    /// frames are left out. `at_ns` counts as all times here.
    pub messages: Vec<SocketMessage>,
    /// Why there is no usable answer.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// The replayer's own lateness: how much later than due (and than v2 allowed) it was sent.
    pub fn own_lateness_ns(&self) -> Option<i64> {
        Some((self.sent_ns? - self.due_ns - self.waited_ns).max(0))
    }
}

/// A value that v2 did not issue where v1 did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unbound {
    /// The replayed request whose answer should have issued it.
    pub root: ReplayId,
    /// Where it stands in v1's answer.
    pub place: String,
}

/// `H=URL`: requests for host `H` go to `URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMap {
    /// The host as requests name it, with or without port.
    pub host: String,
    /// Where they go.
    pub url: String,
}

impl FromStr for HostMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((host, url)) if !host.is_empty() && !url.is_empty() => {
                Ok(Self { host: host.to_owned(), url: url.to_owned() })
            }
            _ => Err(format!(
                "{text:?} maps no host: write for example shop.example=http://v2.staging:8080"
            )),
        }
    }
}

/// Where `request` goes, and whether its host is mapped to another server than `target`.
pub fn server_of<'a>(request: &Request, target: &'a str, mapped: &'a [HostMap]) -> (&'a str, bool) {
    match mapped.iter().find(|map| is_for(request, &map.host)) {
        Some(map) => (&map.url, true),
        None => (target, false),
    }
}
