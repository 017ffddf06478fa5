//! What caused a recorded call: the ingress exchange that v1 was serving when it made it.
//!
//! Told by trace headers where both carry one; else by the times, where v1 served one request only;
//! else by a value (a cart's id, say) that the call has in common with one of the requests that v1
//! was serving, and with no other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::features::{self, Content};
use super::moving::SaidTime;
use super::naming;
use crate::exchange::{Exchange, ExchangeId};
use crate::message::method::is_safe;
use crate::message::target::path_and_query;
use crate::message::trace::{TRACESTATE, exchange_in_state};
use crate::message::{Headers, Request};
use crate::time::Timestamp;

/// Header fields that name the request that a call belongs to; equal values mean the same cause.
const TRACE_HEADERS: [&str; 9] = [
    "traceparent",
    "x-b3-traceid",
    "b3",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
    "x-correlation-id",
    "x-request-id",
];
/// Shortest value that names a request, in bytes: shorter ones are flags.
const TRACE_BYTES: usize = 6;

/// What is kept of an ingress exchange.
#[derive(Debug)]
pub(super) struct Ingress {
    pub(super) id: ExchangeId,
    pub(super) at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) server: IpAddr,
    pub(super) traces: Vec<u64>,
    /// Hashes of the values in it that name something, sorted.
    pub(super) names: Box<[u64]>,
    /// The times that it says.
    pub(super) times: Vec<SaidTime>,
    /// Of one that changes something: hashes of what its answer names, sorted.
    pub(super) answered: Box<[u64]>,
    /// Whether somebody is new by it.
    pub(super) makes_things: bool,
    /// Hashes of the numbers that its answer tells where they name something, and its request does
    /// not say; sorted.
    told: Box<[u64]>,
}

impl Ingress {
    /// Whether v1 may have made up a value for it: it tells its client, or somebody is new by it.
    pub(super) fn may_have_made(&self, text: u64) -> bool {
        self.makes_things || self.answered.binary_search(&text).is_ok() || self.tells(text)
    }

    /// Whether v1 told its client a number that it had made up for it.
    pub(super) fn tells(&self, number: u64) -> bool {
        self.told.binary_search(&number).is_ok()
    }

    /// Of an exchange that has a request.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        let request = exchange.request.as_ref()?;
        let lasted =
            exchange.response.as_ref().and_then(|response| response.last_byte_ns).unwrap_or(0);
        let Request { method, target, headers, body, .. } = &request.message;
        let (names, times) = features::names_and_times(target, headers, Content::of(body));
        let changes = !is_safe(method);
        let answer = exchange.response.as_ref().filter(|_| changes).map(|answer| &answer.message);
        let answered =
            answer.map(|answer| features::names(b"", &answer.headers, Content::of(&answer.body)));
        let path = String::from_utf8_lossy(path_and_query(target).0);
        let told = answer.map_or_else(Vec::new, |answer| {
            let content = Content::of(&answer.body);
            let mut told = features::numbers(b"", &answer.headers, content, false);
            if !told.is_empty() {
                let said = features::numbers(target, headers, Content::of(body), true);
                told.retain(|number| said.binary_search(number).is_err());
            }
            told
        });
        Some(Self {
            id: exchange.id,
            at: request.at,
            ends_at: request.at.plus(lasted),
            server: exchange.server.address,
            traces: traces(headers),
            names,
            times,
            answered: answered.unwrap_or_default(),
            makes_things: changes && naming::makes_things(&path),
            told: told.into(),
        })
    }
}

/// Hashes of the values in a request that name something, sorted.
pub(super) fn names(request: &Request) -> Box<[u64]> {
    features::names(&request.target, &request.headers, Content::of(&request.body))
}

/// How many of the names two requests have in common.
pub(super) fn in_common(a: &[u64], b: &[u64]) -> usize {
    a.iter().filter(|name| b.binary_search(name).is_ok()).count()
}

/// Of `numbers` the only one that has most of the names of `own`; none where several have as many,
/// or none has one.
pub(super) fn most_named<'a>(
    own: &[u64],
    all: impl Iterator<Item = (u32, &'a [u64])>,
) -> Option<u32> {
    let mut best = (0, None);
    for (number, names) in all {
        let common = in_common(own, names);
        if common > best.0 {
            best = (common, Some(number));
        } else if common == best.0 {
            best.1 = None;
        }
    }
    best.1
}

/// What names the cause in header fields, most telling first, hashed.
pub(super) fn traces(headers: &Headers) -> Vec<u64> {
    let mut traces = Vec::new();
    for name in TRACE_HEADERS {
        let Some(value) = headers.get(name) else { continue };
        let value = String::from_utf8_lossy(value);
        let id = trace_id(name, value.trim());
        if id.len() >= TRACE_BYTES {
            let mut hasher = DefaultHasher::new();
            id.to_ascii_lowercase().hash(&mut hasher);
            traces.push(hasher.finish());
        }
    }
    traces
}

/// The ingress exchange that a call of v2's names: its replayed request carried it along
/// (`--traces`).
pub(super) fn named(headers: &Headers) -> Option<ExchangeId> {
    let (connection, ordinal) = headers.all(TRACESTATE).find_map(exchange_in_state)?;
    Some(ExchangeId { connection, ordinal })
}

/// The part of a trace header that stays the same from hop to hop.
fn trace_id<'a>(name: &str, value: &'a str) -> &'a str {
    match name {
        "traceparent" => value.split('-').nth(1).unwrap_or_default(),
        "b3" => value.split('-').next().unwrap_or_default(),
        "uber-trace-id" => value.split([':', '%']).next().unwrap_or_default(),
        "x-cloud-trace-context" => value.split('/').next().unwrap_or_default(),
        "x-amzn-trace-id" => {
            value.split(';').find_map(|part| part.trim().strip_prefix("Root=")).unwrap_or_default()
        }
        _ => value,
    }
}

/// Finds the ingress exchange of each call; both are given in the order of their times.
pub(super) struct CauseFinder<'a> {
    ingress: &'a [Ingress],
    by_trace: FxHashMap<u64, Vec<usize>>,
    next: usize,
    /// Exchanges that began and did not end before the last call.
    open: Vec<usize>,
}

impl<'a> CauseFinder<'a> {
    pub(super) fn new(ingress: &'a [Ingress]) -> Self {
        let mut by_trace: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (index, one) in ingress.iter().enumerate() {
            for trace in &one.traces {
                by_trace.entry(*trace).or_default().push(index);
            }
        }
        Self { ingress, by_trace, next: 0, open: Vec::new() }
    }

    /// The place in the list of the exchange that caused a call.
    pub(super) fn find(
        &mut self,
        at: Timestamp,
        caller: IpAddr,
        traces: &[u64],
        names: &[u64],
    ) -> Option<usize> {
        while let Some(one) = self.ingress.get(self.next)
            && one.at <= at
        {
            self.open.push(self.next);
            self.next += 1;
        }
        self.open.retain(|&index| self.ingress[index].ends_at >= at);
        if let Some(known) = traces.iter().find_map(|trace| self.by_trace.get(trace)) {
            // Of several requests with this trace (one session, say) the one that was open, else
            // the last one before.
            let before = known.partition_point(|&index| self.ingress[index].at <= at);
            let open =
                known[..before].iter().rev().find(|&&index| self.ingress[index].ends_at >= at);
            return open.or(known[..before].last()).copied();
        }
        let serving: Vec<usize> = self.serving(caller).collect();
        match serving.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => {
                let of = |&index: &usize| (index as u32, &*self.ingress[index].names);
                most_named(names, several.iter().map(of)).map(|index| index as usize)
            }
        }
    }

    /// The exchanges that `caller` was serving at the last call that was asked for.
    fn serving(&self, caller: IpAddr) -> impl Iterator<Item = usize> {
        self.open.iter().copied().filter(move |&index| self.ingress[index].server == caller)
    }

    /// Those that may have caused the last call, which is of `cause` where that is known.
    pub(super) fn may_have_caused(&self, cause: Option<usize>, caller: IpAddr) -> Vec<&'a Ingress> {
        let ingress = self.ingress;
        match cause {
            Some(cause) => vec![&ingress[cause]],
            None => self.serving(caller).map(|index| &ingress[index]).collect(),
        }
    }
}
