//! The built-in list of header fields that say nothing about v2, or not by their bytes.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// How a header of the built-in list is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Not at all.
    Ignored,
    /// Whether it is there; its value is not looked at.
    Presence,
    /// Whether it is there, and a date: `0` and `-1` mean that it has expired (RFC 9111 §5.3).
    Expiry,
    /// Whether it is there, and weak or strong (RFC 9110 §8.8.3).
    EntityTag,
    /// As a set of comma-separated members, case apart.
    Set,
}

impl How {
    /// In words, for `diff --list-ignored`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Presence => "presence only",
            Self::Expiry => "presence, and whether it is a date",
            Self::EntityTag => "presence, weak or strong",
            Self::Set => "as a set",
        }
    }
}

/// Headers that are not compared by their value: name (a trailing `*` stands for any ending), how,
/// and why. `[diff] compare = ["server"]` compares one of them after all.
pub const BUILT_IN: &[(&str, How, &str)] = &[
    ("date", How::Ignored, "when it was sent"),
    ("age", How::Ignored, "how long a cache had it"),
    ("connection", How::Ignored, "of the connection (RFC 9110 §7.6.1)"),
    ("keep-alive", How::Ignored, "of the connection"),
    ("proxy-connection", How::Ignored, "of the connection"),
    ("transfer-encoding", How::Ignored, "of the connection"),
    ("te", How::Ignored, "of the connection"),
    ("trailer", How::Ignored, "announces trailers, which are compared"),
    ("upgrade", How::Ignored, "of the connection"),
    ("sec-websocket-accept", How::Ignored, "follows from the request; checked when it comes"),
    (
        "content-length",
        How::Ignored,
        "follows from the body, which is compared (compared where there is none, as for HEAD)",
    ),
    ("grpc-status", How::Ignored, "compared as the status of the call"),
    ("content-md5", How::Ignored, "follows from the body"),
    ("digest", How::Ignored, "follows from the body"),
    ("content-digest", How::Ignored, "follows from the body"),
    ("repr-digest", How::Ignored, "follows from the body"),
    ("server", How::Ignored, "names the software, which is what was changed"),
    ("via", How::Ignored, "names the proxies between, which differ in staging"),
    ("x-powered-by", How::Ignored, "names the software"),
    ("x-served-by", How::Ignored, "names the machine"),
    ("x-backend-server", How::Ignored, "names the machine"),
    ("x-runtime", How::Ignored, "how long it took"),
    ("x-response-time", How::Ignored, "how long it took"),
    ("x-process-time", How::Ignored, "how long it took"),
    ("server-timing", How::Ignored, "how long it took"),
    ("x-timer", How::Ignored, "how long it took"),
    ("x-envoy-*", How::Ignored, "of the mesh around v1"),
    ("x-varnish", How::Ignored, "of the cache before v1"),
    ("x-cache*", How::Ignored, "of the cache before v1"),
    ("cf-*", How::Ignored, "of the network before v1"),
    ("x-amz-cf-*", How::Ignored, "of the network before v1"),
    ("alt-svc", How::Ignored, "of the edge before v1"),
    ("nel", How::Ignored, "of the edge before v1"),
    ("report-to", How::Ignored, "of the edge before v1"),
    ("traceparent", How::Ignored, "a trace's id"),
    ("tracestate", How::Ignored, "a trace's id"),
    ("traceresponse", How::Ignored, "a trace's id"),
    ("b3", How::Ignored, "a trace's id"),
    ("x-b3-*", How::Ignored, "a trace's id"),
    ("x-trace-id", How::Ignored, "a trace's id"),
    ("x-cloud-trace-context", How::Ignored, "a trace's id"),
    ("x-amzn-trace-id", How::Ignored, "a trace's id"),
    ("x-datadog-*", How::Ignored, "a trace's id"),
    ("uber-trace-id", How::Ignored, "a trace's id"),
    ("x-shadowtap-replay", How::Ignored, "the replay's own marker"),
    ("request-id", How::Presence, "new for each request"),
    ("x-request-id", How::Presence, "new for each request"),
    ("x-correlation-id", How::Presence, "new for each request"),
    ("x-amzn-requestid", How::Presence, "new for each request"),
    ("x-amz-request-id", How::Presence, "new for each request"),
    ("x-amz-id-2", How::Presence, "new for each request"),
    ("x-ratelimit-remaining", How::Presence, "counts what came before"),
    ("x-ratelimit-reset", How::Presence, "a time"),
    ("ratelimit-remaining", How::Presence, "counts what came before"),
    ("ratelimit-reset", How::Presence, "a time"),
    ("ratelimit", How::Presence, "counts what came before"),
    ("last-modified", How::Presence, "when the file was deployed"),
    ("expires", How::Expiry, "a time; Cache-Control is compared"),
    ("etag", How::EntityTag, "made from versions, times or inodes; the body is compared"),
    ("vary", How::Set, "an unordered list"),
    ("allow", How::Set, "an unordered list"),
    ("accept-patch", How::Set, "an unordered list"),
    ("accept-post", How::Set, "an unordered list"),
    ("cache-control", How::Set, "directives in any order"),
    ("pragma", How::Set, "directives in any order"),
    ("access-control-allow-methods", How::Set, "an unordered list"),
    ("access-control-allow-headers", How::Set, "an unordered list"),
    ("access-control-expose-headers", How::Set, "an unordered list"),
    ("clear-site-data", How::Set, "an unordered list"),
];

/// [`BUILT_IN`] by whole names, and by how names start.
static BY_NAME: LazyLock<(FxHashMap<&str, How>, Vec<(&str, How)>)> = LazyLock::new(|| {
    let (mut names, mut starts) = (FxHashMap::default(), Vec::new());
    for &(pattern, how, _) in BUILT_IN {
        match pattern.strip_suffix('*') {
            None => drop(names.insert(pattern, how)),
            Some(start) => starts.push((start, how)),
        }
    }
    (names, starts)
});

/// The built-in way to compare the header of this (lower case) name; none means by value.
pub(super) fn built_in(name: &str) -> Option<How> {
    let (names, starts) = &*BY_NAME;
    names
        .get(name)
        .copied()
        .or_else(|| starts.iter().find(|(start, _)| name.starts_with(start)).map(|(_, how)| *how))
}

/// Whether two values of a field that a body repeats say the same, as answers of batches do
/// (`$.responses[0].headers.Date`): by the same table.
pub(super) fn are_equal_in_body(wanted: &[String], name: &str, a: &str, b: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if wanted.contains(&name) {
        return false;
    }
    match built_in(&name) {
        Some(How::Ignored | How::Presence | How::Expiry) => true,
        Some(How::EntityTag) => a.starts_with("W/") == b.starts_with("W/"),
        Some(How::Set) => members(&[a.as_bytes()]) == members(&[b.as_bytes()]),
        None => false,
    }
}

/// Comma-separated members, in lower case, sorted.
pub(super) fn members(values: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut members: Vec<Vec<u8>> = values
        .iter()
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|member| member.trim_ascii().to_ascii_lowercase())
        .filter(|member| !member.is_empty())
        .collect();
    members.sort();
    members.dedup();
    members
}
