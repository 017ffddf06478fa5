//! Spans as OpenTelemetry's protocol has them (OTLP 1.x: `opentelemetry/proto/trace/v1`,
//! `collector/trace/v1`), as far as replayed requests need it.

use crate::message::grpc;
use crate::message::trace::{STATE_KEY, TraceParent, state_value};
use crate::replay::{Observed, TargetSide, Traces};

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportAnswer {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// `Resource`: who sent the spans.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// `Span`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3, 4")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Number(f64),
}

/// `SPAN_KIND_CLIENT`.
const CLIENT: i32 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    of(key, Value::Text(value.into()))
}

fn integer(key: &str, value: impl Into<i64>) -> KeyValue {
    of(key, Value::Integer(value.into()))
}

fn milliseconds(key: &str, nanos: i64) -> KeyValue {
    of(key, Value::Number(nanos as f64 / 1e6))
}

fn of(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// Who sends the spans of run `run`.
pub(super) fn resource(run: &str) -> Resource {
    Resource {
        attributes: vec![
            text("service.name", "shadowtap"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("shadowtap.run", run),
        ],
    }
}

/// What is sent at once.
pub(super) fn request(resource: &Resource, spans: Vec<Span>) -> ExportRequest {
    let scope =
        Scope { name: "shadowtap".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    }
}

/// The span of a replayed request, named by its route; none of one that was sent without a context.
/// Nothing of the request's own target is told: it may hold secrets.
pub(super) fn span(
    traces: &Traces,
    route: &str,
    server: Option<&(String, u16)>,
    observed: &Observed<'_>,
) -> Option<Span> {
    let &Observed { started, side, original, outcome, .. } = observed;
    let (sent, parent) = (outcome.sent_ns?, outcome.traceparent?);
    let own = traces.of(side, outcome.id);
    let is_own = own.trace == parent.trace;
    let end = outcome.last_byte_ns.or(outcome.failed_ns).or(outcome.left_ns).unwrap_or(sent);
    let at = |nanos: i64| u64::try_from(started.plus(nanos).nanos()).unwrap_or(0);
    let exchange = outcome.id.exchange;
    let state = state_value(exchange.connection, exchange.ordinal, outcome.id.copy);
    // What `http.request.method` and `http.route` are told of (semantic conventions, HTTP spans).
    let (method, path) = route.split_once(' ').unwrap_or(("_OTHER", route));
    let mut attributes = vec![
        text("shadowtap.exchange", outcome.id.to_string()),
        text("shadowtap.side", if side == TargetSide::Target { "v2" } else { "baseline" }),
        integer("shadowtap.lane", i64::try_from(outcome.lane).unwrap_or(i64::MAX)),
        text("http.request.method", method),
        text("http.route", path),
    ];
    if let Some((host, port)) = server {
        attributes.extend([text("server.address", host.clone()), integer("server.port", *port)]);
    }
    if original.status > 0 {
        attributes.push(integer("shadowtap.v1.status", original.status));
    }
    if let Some(took) = original.took_ns {
        attributes.push(milliseconds("shadowtap.v1.duration_ms", took));
    }
    if let Some(late) = outcome.own_lateness_ns() {
        attributes.push(milliseconds("shadowtap.lateness_ms", late));
    }
    if outcome.waited_ns > 0 {
        attributes.push(milliseconds("shadowtap.waited_ms", outcome.waited_ns));
    }
    let status = outcome.response.as_ref().map(|answer| (answer.status, answer));
    if let Some((status, answer)) = status {
        attributes.push(integer("http.response.status_code", status));
        if let Some(code) = grpc::status(answer) {
            attributes.push(integer("rpc.grpc.status_code", code));
        }
    }
    let judged = status.map(|(_, answer)| grpc::judged_status(answer)).filter(|code| *code >= 400);
    let failed = outcome.failure.as_ref();
    let wrong = failed.map(|failure| failure.kind.name().to_owned());
    let wrong = wrong.or_else(|| judged.map(|code| code.to_string()));
    if let Some(wrong) = &wrong {
        attributes.push(text("error.type", wrong.clone()));
    }
    let first = outcome
        .first_byte_ns
        .map(|first| Event { time_unix_nano: at(first), name: "first byte".to_owned() });
    let TraceParent { trace, span, flags } = parent;
    Some(Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: own.span.to_be_bytes().to_vec(),
        trace_state: if is_own { format!("{STATE_KEY}={state}") } else { String::new() },
        // In a context that was kept it stands beside what v2 does, below who called v1.
        parent_span_id: if is_own { Vec::new() } else { span.to_be_bytes().to_vec() },
        name: route.to_owned(),
        kind: CLIENT,
        start_time_unix_nano: at(sent),
        end_time_unix_nano: at(end),
        attributes,
        events: first.into_iter().collect(),
        status: wrong.map(|_| Status { message: String::new(), code: ERROR }),
        flags: u32::from(flags),
    })
}
