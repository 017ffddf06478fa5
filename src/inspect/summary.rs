//! Everything that `inspect` says, in the form of its `--json`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::latencies::Quantiles;
use crate::exchange::{Completeness, ExchangeId};
use crate::time::Timestamp;

/// Everything that `inspect` says, in the form of its `--json`.
#[derive(Debug, Serialize)]
pub struct InspectSummary {
    /// When the first request began.
    pub first: Option<Timestamp>,
    /// When the last byte was seen.
    pub last: Option<Timestamp>,
    /// From the one to the other, in nanoseconds.
    pub span_ns: i64,
    /// Connections with an exchange.
    pub connections: u64,
    /// Exchanges, whole or not.
    pub exchanges: u64,
    /// How many there are of each completeness.
    pub completeness: BTreeMap<&'static str, u64>,
    /// Bytes of bodies of requests.
    pub request_body_bytes: u64,
    /// Bytes of bodies of responses.
    pub response_body_bytes: u64,
    /// Exchanges over time.
    pub rate: Rate,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Calls of gRPC by the number of their status.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grpc_statuses: BTreeMap<u16, u64>,
    /// Servers by address and port, the busiest first; without those that a recording does not tell.
    pub servers: Vec<CountedName>,
    /// Hosts, the busiest first.
    pub hosts: Vec<CountedName>,
    /// Routes, the busiest first.
    pub routes: Vec<SurveyedRoute>,
    /// Latencies to the first byte of whole answers.
    pub first_byte: Quantiles,
    /// Latencies to the last byte of whole answers.
    pub last_byte: Quantiles,
    /// Answers that were captured before their requests.
    pub answers_captured_before_requests: u64,
    /// Why exchanges are damaged or odd.
    pub damages: BTreeMap<String, DamageReason>,
    /// Damaged exchanges, so many as are listed.
    pub damaged: Vec<Listed>,
    /// Those beyond.
    pub damaged_not_listed: u64,
}

/// Exchanges over time, by when their requests began.
#[derive(Debug, Serialize)]
pub struct Rate {
    /// Exchanges a second over the whole span.
    pub mean_per_s: f64,
    /// The same of the busiest bucket.
    pub busiest_per_s: f64,
    /// Width of a bucket, in nanoseconds.
    pub width_ns: i64,
    /// The buckets that have any.
    pub timeline: Vec<Bucket>,
}

/// One bucket of the timeline.
#[derive(Debug, Serialize)]
pub struct Bucket {
    /// When it begins.
    pub at: Timestamp,
    /// Exchanges that began in it.
    pub exchanges: u64,
    /// Those of them that were answered by an error of the server.
    pub errors: u64,
}

/// A name and how often it was seen.
#[derive(Debug, Serialize)]
pub struct CountedName {
    /// The name.
    pub name: String,
    /// How often it was seen.
    pub exchanges: u64,
}

/// One route.
#[derive(Debug, Serialize)]
pub struct SurveyedRoute {
    /// Method and path template.
    pub route: String,
    /// Exchanges of it.
    pub exchanges: u64,
    /// Those of them that were answered by an error of the server.
    pub errors: u64,
    /// Different paths that belong to it.
    pub paths: u64,
    /// Latencies to the last byte of whole answers.
    pub latency: Quantiles,
}

/// A reason why exchanges are damaged or odd.
#[derive(Debug, Serialize)]
pub struct DamageReason {
    /// Exchanges with it.
    pub exchanges: u64,
    /// Connections with such an exchange.
    pub connections: u64,
    /// The first one.
    pub example: ExchangeId,
    /// What was said of that one.
    pub detail: String,
    #[serde(skip)]
    pub(super) last: Option<u64>,
}

/// A damaged exchange.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its name.
    pub id: ExchangeId,
    /// How complete it is.
    pub completeness: Completeness,
    /// Client and server.
    pub connection: String,
    /// What is wrong with it.
    pub marks: Vec<String>,
}
