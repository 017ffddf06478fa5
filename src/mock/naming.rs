//! Which of the values that vary by themselves name what a call is about: a customer's UUID does, a
//! nonce does not.

use crate::message::dates;
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{Step, Trail};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Whether a value that varies by itself names what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Names {
    /// It is made anew for each call.
    No,
    /// It may: in a call that reads unless the recording shows that it does not, in one that writes
    /// where the recording has the value before.
    Value,
    /// It is a segment of the path.
    Path,
}

/// What is known of a call whose values are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether it only reads.
    pub(super) reads: bool,
    /// When it is made.
    pub(super) at: Timestamp,
}

/// Whether a value that varies by itself names what is asked for, where nothing is known of its
/// place but what it is called.
pub(super) fn names_by(asked: Asked, at: &Trail<'_>, text: &str, kind: Option<ValueKind>) -> Names {
    let is_time = kind.is_some_and(ValueKind::is_time);
    let fresh =
        is_time && (!asked.reads || kind.is_some_and(|kind| is_fresh(kind, text, asked.at)));
    match at.last() {
        _ if fresh => Names::No,
        Step::Segment(_) if at.before().is_none() => Names::Path,
        _ if is_made_anew(at) => Names::No,
        _ => Names::Value,
    }
}

/// Whether a time is about that of the call, or its day.
pub(super) fn is_fresh(kind: ValueKind, text: &str, at: Timestamp) -> bool {
    const HOUR: i64 = 3_600 * NANOS_PER_SEC;
    let near = |time: Timestamp, hours: i64| time.since(at).saturating_abs() <= hours * HOUR;
    match kind {
        ValueKind::Moment => dates::whole(text).is_some_and(|moment| {
            let hours = if moment.exact_s >= 86_400 { 36 } else { 1 };
            moment.readings.into_iter().any(|time| near(time, hours))
        }),
        ValueKind::Date => kinds::instant_of(kind, text).is_some_and(|time| near(time, 36)),
        _ => kinds::instant_of(kind, text).is_some_and(|time| near(time, 1)),
    }
}

/// Names of hashes that stand for a document that both sides know: persisted queries.
const DOCUMENTS: [&str; 5] = ["sha256hash", "queryhash", "documenthash", "documentid", "queryid"];

/// Names of values that are new in each call.
/// In lower case, without what stands between words.
const NAMES: [&str; 33] = [
    "",
    "amzsdkinvocationid",
    "cachebust",
    "cachebuster",
    "cb",
    "clientmutationid",
    "clientrequestid",
    "correlationid",
    "expires",
    "hmac",
    "idempotencykey",
    "invocationid",
    "messageid",
    "nonce",
    "oauthnonce",
    "oauthsignature",
    "oauthtimestamp",
    "rand",
    "random",
    "reqid",
    "requestid",
    "requesttime",
    "rnd",
    "sig",
    "signature",
    "spanid",
    "timestamp",
    "traceid",
    "traceparent",
    "ts",
    "xamzcredential",
    "xamzdate",
    "xamzsignature",
];

/// Names of the signature of a target (Azure's SAS, S3, GCS, OSS, CloudFront, OAuth 1).
const SIGNATURES: [&str; 7] = [
    "hmac",
    "oauthsignature",
    "sig",
    "signature",
    "xamzsignature",
    "xgoogsignature",
    "xosssignature",
];
/// Names of what is signed with a target and new in each: from when and until when it holds, by
/// which key.
const SIGNED: [&str; 17] = [
    "exp",
    "expires",
    "expiry",
    "keypairid",
    "policy",
    "se",
    "ske",
    "skt",
    "st",
    "xamzcredential",
    "xamzdate",
    "xamzsecuritytoken",
    "xgoogcredential",
    "xgoogdate",
    "xosscredential",
    "xossdate",
    "xosssecuritytoken",
];

/// Whether a query has a signature.
pub(super) fn is_signed(query: &[u8]) -> bool {
    query.split(|&byte| byte == b'&').any(|pair| {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        std::str::from_utf8(name).is_ok_and(|name| SIGNATURES.contains(&&*plain(name)))
    })
}

/// Whether a place is the signature of a target, or what is signed with it and new in each.
pub(super) fn is_of_signature(at: &Trail<'_>) -> bool {
    let Step::Query(name) = at.last() else { return false };
    let name = plain(name);
    at.before().is_none() && (SIGNATURES.contains(&&*name) || SIGNED.contains(&&*name))
}

/// Whether a place holds such a hash: what is asked is told by it alone.
pub(super) fn is_document(at: &Trail<'_>) -> bool {
    at.name().is_some_and(|name| DOCUMENTS.contains(&&*plain(name)))
}

/// Whether a place is called what says that its value is new in each call. A message has an id of
/// its own where it is sent; who asks by one asks for that message.
fn is_made_anew(at: &Trail<'_>) -> bool {
    let asks = matches!(at.last(), Step::Query(_)) && at.before().is_none();
    at.name().is_some_and(|name| says_new(name) && !(asks && plain(name) == "messageid"))
}

/// A name in lower case, without what stands between words.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a name says so.
pub(super) fn says_new(name: &str) -> bool {
    let plain = plain(name);
    let is_new = |name: &str| NAMES.contains(&name);
    is_new(&plain) || plain.strip_prefix('x').is_some_and(is_new) || plain.starts_with("xgoog")
}
