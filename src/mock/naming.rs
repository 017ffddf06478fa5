//! Which of the values that vary by themselves name what a call is about: a customer's UUID does, a
//! nonce does not.

use crate::message::Headers;
use crate::message::dates;
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{Step, Trail};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Whether a value that varies by itself names what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Names {
    /// It is made anew for each call.
    No,
    /// It is made anew for each thing that is done: one of a write that is not to be done twice.
    Key,
    /// It is a time that a write says.
    Time,
    /// It may: in a call that reads unless the recording shows that it does not, in one that writes
    /// where the recording or what it is called shows that it does.
    Value,
    /// It is a segment of the path.
    Path,
}

/// What is known of a call whose values are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Its method and its path with what is open in it.
    pub(super) route: &'a str,
    /// Whether it only reads.
    pub(super) reads: bool,
    /// When it is made.
    pub(super) at: Timestamp,
}

/// Whether a value that varies by itself names what is asked for, where nothing is known of its
/// place but what it is called.
pub(super) fn names_by(
    asked: Asked<'_>,
    at: &Trail<'_>,
    text: &str,
    kind: Option<ValueKind>,
) -> Names {
    let is_time = kind.is_some_and(ValueKind::is_time);
    let is_fresh = || kind.is_some_and(|kind| is_fresh(kind, text, asked.at));
    match at.last() {
        _ if is_time && !asked.reads && is_fresh() && at.name().is_some_and(says_when_made) => {
            Names::No
        }
        // Ids that are numbers look like times in nanoseconds.
        _ if is_time && !asked.reads && (kind != Some(ValueKind::EpochNanos) || is_fresh()) => {
            Names::Time
        }
        _ if is_time && is_fresh() => Names::No,
        Step::Segment(_) if at.before().is_none() => Names::Path,
        _ if !asked.reads && at.name().is_some_and(is_key) => Names::Key,
        _ if is_made_anew(at) => Names::No,
        _ => Names::Value,
    }
}

/// Whether a value of a write that varies by itself is of something that was there before the
/// write: by where it stands, by what it is called, or since it was made long before.
pub(super) fn exists(
    asked: Asked<'_>,
    at: &Trail<'_>,
    text: &str,
    kind: Option<ValueKind>,
) -> bool {
    if kind.is_some_and(|kind| !kind.is_anew()) {
        return false;
    }
    if let Some(made) = kinds::made_at(text) {
        return asked.at.since(made) > DAY;
    }
    let (method, path) = asked.route.split_once(' ').unwrap_or_default();
    let keys: Vec<&str> = path.split('/').collect();
    let is_fixed = |key: &&&str| !key.is_empty() && !key.contains(['{', '*']);
    let changes_one = matches!(method, "DELETE" | "PATCH");
    match at.last() {
        // What is changed, or done something with, is there; what is put may be new.
        Step::Segment(number) if at.before().is_none() => {
            changes_one
                || method == "POST" && keys.get(number + 1).as_ref().is_some_and(is_fixed)
                || method == "PUT"
                    && keys.len() == number + 1
                    && keys.get(number.wrapping_sub(1)).is_some_and(|key| is_someone(&words(key)))
        }
        Step::Query(_) if at.before().is_none() && method == "DELETE" => true,
        _ => {
            let named = noun_at(at);
            // Who makes a customer may name it, also as whose account it is.
            let made = keys.iter().rfind(is_fixed).map(|key| words(key)).unwrap_or_default();
            let noun = |words: &[String]| words.last().map(|word| singular(word).to_owned());
            let is_new = noun(&made) == noun(&named) || is_person(&made) && is_person(&named);
            is_thing(&named) && !is_new
        }
    }
}

/// Whether a path is called as one by which somebody is new: a customer that v1 makes there has a
/// name of its own at v2.
pub(super) fn makes_things(path: &str) -> bool {
    const NEW: [&str; 12] = [
        "enrol",
        "enroll",
        "import",
        "invitation",
        "invite",
        "join",
        "onboard",
        "onboarding",
        "register",
        "registration",
        "signup",
        "subscribe",
    ];
    let mut keys = path.split('/').rev().filter(|key| !key.is_empty());
    keys.next().is_some_and(|last| {
        let all = words(last);
        let is_new = |word: &String| NEW.contains(&&**word);
        all.iter().any(is_new) || all.ends_with(&["sign".into(), "up".into()]) || is_someone(&all)
    })
}

/// The words by which a value's place is called: of `$.customer.id` those of `customer`.
fn noun_at(at: &Trail<'_>) -> Vec<String> {
    const IDS: [&str; 4] = ["guid", "id", "ids", "uuid"];
    let mut trail = Some(at);
    while let Some(step) = trail {
        if let Some(name) = step.last().name() {
            let mut all = words(name);
            while all.last().is_some_and(|word| IDS.contains(&&**word)) {
                all.pop();
            }
            if !all.is_empty() {
                return all;
            }
        }
        trail = step.before();
    }
    Vec::new()
}

/// Whether words name a thing that is there before somebody writes of it: who pays, with what, what
/// is paid for.
fn is_thing(words: &[String]) -> bool {
    const THINGS: [&str; 44] = [
        "account",
        "assignee",
        "author",
        "beneficiary",
        "card",
        "charge",
        "company",
        "courier",
        "creditor",
        "customer",
        "debtor",
        "destination",
        "driver",
        "employee",
        "employer",
        "intent",
        "mandate",
        "member",
        "merchant",
        "method",
        "organisation",
        "organization",
        "patient",
        "payee",
        "payer",
        "person",
        "plan",
        "price",
        "product",
        "recipient",
        "seller",
        "sender",
        "shop",
        "source",
        "staff",
        "store",
        "subscriber",
        "subscription",
        "supplier",
        "tenant",
        "user",
        "vendor",
        "wallet",
        "workspace",
    ];
    /// A token of these stands for it.
    const TOKENS: [&str; 3] = ["card", "method", "source"];
    match words {
        [.., of, last] if last == "token" => TOKENS.contains(&&**of),
        [.., last] => THINGS.contains(&singular(last)),
        [] => false,
    }
}

/// Whether such a thing is somebody, or belongs to one; a charge or a price may be made by any call.
fn is_someone(words: &[String]) -> bool {
    const ACTS: [&str; 7] =
        ["charge", "destination", "intent", "method", "plan", "price", "source"];
    is_thing(words) && !words.last().is_some_and(|word| ACTS.contains(&singular(word)))
}

/// Whether words name a person, or what a provider keeps of one.
fn is_person(words: &[String]) -> bool {
    const PEOPLE: [&str; 11] = [
        "account",
        "contact",
        "customer",
        "guest",
        "member",
        "patient",
        "person",
        "profile",
        "recipient",
        "subscriber",
        "user",
    ];
    words.last().is_some_and(|word| PEOPLE.contains(&singular(word)))
}

fn singular(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}

/// The words of a name, in lower case: `toAccount`, `to_account`, `metadata[to-account]`.
fn words(name: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        let begins = !before.is_ascii_alphanumeric()
            || c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            if begins {
                all.push(String::new());
            }
            if let Some(word) = all.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        before = c;
    }
    all
}

/// Whether a name says that its value is when the call, or what is sent with it, was made.
fn says_when_made(name: &str) -> bool {
    const MADE: [&str; 12] = [
        "created",
        "creation",
        "iat",
        "instant",
        "issued",
        "modified",
        "now",
        "sent",
        "signed",
        "timestamp",
        "ts",
        "updated",
    ];
    words(name).iter().any(|word| MADE.contains(&&**word))
}

/// Whether a name says that a write with its value is done once, however often it is asked for:
/// `Idempotency-Key`.
pub(super) fn is_key(name: &str) -> bool {
    let plain = plain(name);
    plain.contains("idempoten") || plain == "paypalrequestid"
}

/// The header field by which a write is done once, as a place.
pub(super) fn key_place() -> u64 {
    Trail::new(Step::Header("idempotency-key".into())).hash()
}

/// The value of that field, in whatever spelling of its name.
pub(super) fn key_of(headers: &Headers) -> Option<&[u8]> {
    let mut fields = headers.iter().filter(|(name, _)| std::str::from_utf8(name).is_ok_and(is_key));
    fields.next().map(|(_, value)| value.trim_ascii())
}

const DAY: i64 = 24 * 3_600 * NANOS_PER_SEC;

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
