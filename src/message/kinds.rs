//! Kinds of values that are told by their shape alone: dates, identifiers, tokens.
//!
//! Two values of one such kind may differ by themselves. Whether they do is for `noise` to say; a
//! kind says only what a value looks like, strictly: a plain word, a price or a name has none.

use std::fmt;
use std::hash::Hasher as _;

use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};

use super::dates;
use super::signed::{Payload, Signed};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    /// `2026-11-22T10:00:00Z` (RFC 3339), also with a blank for the T or without offset.
    Rfc3339,
    /// `Sun, 22 Nov 2026 10:00:00 GMT` (RFC 9110 §5.6.7, RFC 5322).
    HttpDate,
    /// `2026-11-22`.
    Date,
    /// A date, perhaps with a time, in another usual form ([`dates`]).
    Moment,
    /// How long something took, or runs, by what it is called.
    Elapsed,
    /// Seconds since 1970, perhaps with a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// Microseconds since 1970.
    EpochMicros,
    /// Nanoseconds since 1970.
    EpochNanos,
    /// A UUID of this version (RFC 9562).
    Uuid(u8),
    /// A ULID: 26 characters of Crockford's base 32.
    Ulid,
    /// A KSUID: 27 characters of base 62.
    Ksuid,
    /// An ObjectId: 24 hexadecimal digits, the first eight a time.
    ObjectId,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A value with a time and a signature, as sessions in cookies and CSRF tokens have it.
    Signed,
    /// A `traceparent` (W3C Trace Context).
    TraceParent,
    /// An entity tag (RFC 9110 §8.8.3).
    ETag,
    /// A word, a joiner and something that looks random, as in `ch_3f2a91c07be41d05`: a hash of the
    /// word, and the whole length.
    Prefixed(u16, u16),
    /// A salted hash of a password, by its scheme and costs: another each time that it is made.
    PasswordHash(u32),
    /// How long something may have taken, by its unit or its name: that it was measured is for all
    /// values of the place to show.
    Lasting,
    /// The machine that answered, where its name was made for it: a pod of Kubernetes
    /// (`web-7d9c5b8f4-x2x9k`), a host named by its address (`ip-10-0-3-17`). A hash of what the
    /// name begins with.
    Machine(u16),
    /// Where in a stream something is, as others that its server issued anew: `s121_4_0_10`.
    Position,
    /// A port from which a connection was made, behind the address of its machine.
    Port,
    /// The first characters of a secret, and so many of which something else stands for each.
    Masked(u16),
    /// This many hexadecimal digits that look random.
    Hex(u16),
    /// This many characters of base64 or base64url that look random.
    Token(u16),
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rfc3339 => f.write_str("rfc3339"),
            Self::HttpDate => f.write_str("http-date"),
            Self::Date => f.write_str("date"),
            Self::Moment => f.write_str("written date"),
            Self::Elapsed => f.write_str("time that something took"),
            Self::EpochSeconds => f.write_str("epoch-seconds"),
            Self::EpochMillis => f.write_str("epoch-milliseconds"),
            Self::EpochMicros => f.write_str("epoch-microseconds"),
            Self::EpochNanos => f.write_str("epoch-nanoseconds"),
            Self::Uuid(version) => write!(f, "uuid v{version}"),
            Self::Ulid => f.write_str("ulid"),
            Self::Ksuid => f.write_str("ksuid"),
            Self::ObjectId => f.write_str("objectid"),
            Self::Jwt => f.write_str("jwt"),
            Self::Signed => f.write_str("signed value"),
            Self::TraceParent => f.write_str("traceparent"),
            Self::ETag => f.write_str("etag"),
            Self::Prefixed(_, length) => write!(f, "prefixed identifier of {length} characters"),
            Self::PasswordHash(_) => f.write_str("password hash"),
            Self::Lasting => f.write_str("time that something may have taken"),
            Self::Machine(_) => f.write_str("name of a machine"),
            Self::Position => f.write_str("position in a stream"),
            Self::Port => f.write_str("port of a connection"),
            Self::Masked(_) => f.write_str("masked secret"),
            Self::Hex(digits) => write!(f, "{digits} hexadecimal digits"),
            Self::Token(length) => write!(f, "token of {length} characters"),
        }
    }
}

impl ValueKind {
    /// Whether its values are instants.
    pub const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Rfc3339
                | Self::HttpDate
                | Self::Date
                | Self::Moment
                | Self::Elapsed
                | Self::EpochSeconds
                | Self::EpochMillis
                | Self::EpochMicros
                | Self::EpochNanos
        )
    }

    /// Whether its values say of themselves what they are, so that no population need be asked.
    pub const fn is_structured(self) -> bool {
        matches!(
            self,
            Self::Uuid(_)
                | Self::Jwt
                | Self::Signed
                | Self::TraceParent
                | Self::ETag
                | Self::PasswordHash(_)
                | Self::Machine(_)
                | Self::Position
                | Self::Masked(_)
        )
    }

    /// Whether its values are made anew, each another one.
    pub const fn is_anew(self) -> bool {
        matches!(
            self,
            Self::Uuid(_)
                | Self::Ulid
                | Self::Ksuid
                | Self::ObjectId
                | Self::Prefixed(..)
                | Self::Hex(_)
                | Self::Token(_)
        )
    }

    /// The kind called `name` in a rule (`matches = "uuid"`), as a test of one value; none for a
    /// name that is no kind.
    pub fn test(name: &str) -> Option<fn(&str) -> bool> {
        Some(match name {
            "rfc3339" => |text| matches!(of_text(text), Some(Self::Rfc3339)),
            "http-date" => |text| matches!(of_text(text), Some(Self::HttpDate)),
            "date" => |text| matches!(of_text(text), Some(Self::Date)),
            "epoch" => |text| of_number(text).is_some(),
            "uuid" => |text| uuid(text.as_bytes()).is_some(),
            "ulid" => |text| ulid(text.as_bytes()),
            "ksuid" => |text| ksuid(text.as_bytes()),
            "objectid" => |text| object_id(text.as_bytes()),
            "jwt" => |text| jwt(text.as_bytes()),
            "etag" => |text| etag(text.as_bytes()),
            "hex" => |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "number" => |text| text.parse::<f64>().is_ok_and(f64::is_finite),
            "integer" => |text| {
                text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit())
                    && !text.is_empty()
            },
            _ => return None,
        })
    }

    /// Names that [`Self::test`] knows.
    pub const NAMES: &[&str] = &[
        "rfc3339",
        "http-date",
        "date",
        "epoch",
        "uuid",
        "ulid",
        "ksuid",
        "objectid",
        "jwt",
        "etag",
        "hex",
        "number",
        "integer",
    ];
}

/// Longest text of a time, in bytes: JavaScript's, with the name of its zone.
const TIME_BYTES: usize = 80;

/// The kind of a text; none for a plain one.
pub fn of_text(text: &str) -> Option<ValueKind> {
    let bytes = text.as_bytes();
    // Names of XML begin with no digit (SAML 2.0 Core §1.3.4).
    if let Some(rest) = text.strip_prefix('_').filter(|rest| !rest.starts_with('_')) {
        let is_id = |kind: &ValueKind| matches!(kind, ValueKind::Uuid(_) | ValueKind::Hex(32..));
        return of_text(rest).filter(is_id);
    }
    match bytes.len() {
        0..=7 => return None,
        55 if bytes[2] == b'-'
            && bytes[35] == b'-'
            && bytes[52] == b'-'
            && [&bytes[..2], &bytes[3..35], &bytes[36..52], &bytes[53..]]
                .concat()
                .iter()
                .all(u8::is_ascii_hexdigit) =>
        {
            return Some(ValueKind::TraceParent);
        }
        8..=TIME_BYTES => {
            if let Some(time) = written_time(text) {
                return Some(time);
            }
            if let Some(version) = uuid(bytes) {
                return Some(ValueKind::Uuid(version));
            }
            if ulid(bytes) {
                return Some(ValueKind::Ulid);
            }
            if object_id(bytes) {
                return Some(ValueKind::ObjectId);
            }
            if ksuid(bytes) {
                return Some(ValueKind::Ksuid);
            }
        }
        _ => {}
    }
    // Most texts are letters and digits alone, and what is below has other characters, too.
    let is_plain = bytes.iter().fold(true, |plain, byte| plain & byte.is_ascii_alphanumeric());
    if is_plain {
        return of_plain(text);
    }
    if etag(bytes) {
        return Some(ValueKind::ETag);
    }
    // A signed object begins as a token does, and may come compressed the next time; no claims are
    // as short as its time.
    if is_signed(bytes) {
        return Some(ValueKind::Signed);
    }
    if jwt(bytes) {
        return Some(ValueKind::Jwt);
    }
    let number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    if bytes.iter().all(number) && !bytes.ends_with(b".") {
        return of_number(text);
    }
    if let Some(kind) = password_hash(text).or_else(|| masked(text)) {
        return Some(kind);
    }
    machine(text).or_else(|| prefixed(bytes)).or_else(|| random(bytes))
}

/// The kind of a text of letters and digits that is no time.
fn of_plain(text: &str) -> Option<ValueKind> {
    let bytes = text.as_bytes();
    if bytes.iter().all(u8::is_ascii_digit) {
        return of_number(text);
    }
    run_together(bytes).or_else(|| random(bytes))
}

/// What looks random, by its length.
fn random(bytes: &[u8]) -> Option<ValueKind> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    if random_hex(bytes) {
        return Some(ValueKind::Hex(length));
    }
    random_token(bytes).then_some(ValueKind::Token(length))
}

/// Names what a text is made of, where that is words and at least two numbers, whatever these are:
/// `s121_4_0_10` and `s99_4_1_10` are of one make.
pub fn make_of(text: &str) -> Option<u64> {
    const LONGEST: usize = 256;
    let bytes = text.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:~".contains(byte);
    if bytes.len() > LONGEST || !bytes.iter().all(is_plain) {
        return None;
    }
    let numbers = bytes.split(|byte| !byte.is_ascii_digit()).filter(|run| !run.is_empty()).count();
    let letters = bytes.iter().any(u8::is_ascii_alphabetic);
    if numbers < 2 || !letters || written_time(text).is_some() {
        return None;
    }
    let mut hasher = FxHasher::default();
    let mut before = 0;
    for &byte in bytes {
        let shown = if byte.is_ascii_digit() { b'0' } else { byte };
        if shown != b'0' || before != b'0' {
            hasher.write_u8(shown);
        }
        before = shown;
    }
    Some(hasher.finish())
}

/// The kind of a time as people and programs write it: what of [`of_text`] costs little.
pub fn written_time(text: &str) -> Option<ValueKind> {
    let bytes = text.as_bytes();
    if !(8..=TIME_BYTES).contains(&bytes.len()) {
        return None;
    }
    if bytes[0].is_ascii_digit() && bytes.len() >= 10 && bytes[4] == b'-' {
        if date(bytes) {
            return Some(ValueKind::Date);
        }
        if is_usual_instant(bytes) || instant(text).is_some() {
            return Some(ValueKind::Rfc3339);
        }
    }
    if bytes.len() >= 26 && bytes[3] == b',' && http_date(text).is_some() {
        return Some(ValueKind::HttpDate);
    }
    dates::whole(text).map(|_| ValueKind::Moment)
}

/// The kind of a number: an epoch between 2001 and 2100, by its size.
pub fn of_number(text: &str) -> Option<ValueKind> {
    let whole = text.split('.').next().unwrap_or(text);
    if whole.len() < 9 || whole.len() > 19 || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = whole.parse().ok()?;
    const FIRST: u64 = 978_307_200;
    const LAST: u64 = 4_102_444_800;
    match value {
        FIRST..=LAST => Some(ValueKind::EpochSeconds),
        _ if (FIRST..=LAST).contains(&(value / 1_000)) => Some(ValueKind::EpochMillis),
        _ if (FIRST..=LAST).contains(&(value / 1_000_000)) => Some(ValueKind::EpochMicros),
        _ if (FIRST..=LAST).contains(&(value / 1_000_000_000)) => Some(ValueKind::EpochNanos),
        _ => None,
    }
}

/// The instant that a text writes, in whatever form; of two readings the first.
pub(crate) fn written_instant(text: &str) -> Option<Timestamp> {
    let written = written_time(text).and_then(|kind| instant_of(kind, text));
    written.or_else(|| Some(dates::whole(text)?.readings[0]))
}

/// The instant that a value of a time kind names.
pub fn instant_of(kind: ValueKind, text: &str) -> Option<Timestamp> {
    let scaled = |factor: i64| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole: i64 = whole.parse().ok()?;
        let mut nanos = 0;
        let mut unit = factor;
        for digit in fraction.bytes().take(9) {
            unit /= 10;
            nanos += i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?) * unit;
        }
        Some(Timestamp::from_nanos(whole.checked_mul(factor)?.checked_add(nanos)?))
    };
    match kind {
        ValueKind::Rfc3339 => instant(text),
        ValueKind::HttpDate => http_date(text),
        ValueKind::Date => format!("{text}T00:00:00Z").parse().ok(),
        ValueKind::EpochSeconds => scaled(NANOS_PER_SEC),
        ValueKind::EpochMillis => scaled(1_000_000),
        ValueKind::EpochMicros => scaled(1_000),
        ValueKind::EpochNanos => scaled(1),
        _ => None,
    }
}

/// When an identifier that says so was made: a UUID of time (versions 1, 6 and 7) or a ULID, of
/// this century.
pub fn made_at(text: &str) -> Option<Timestamp> {
    /// From the start of the Gregorian calendar until 1970, in steps of 100 ns (RFC 9562 §5.1).
    const GREGORIAN: i64 = 0x01b2_1dd2_1381_4000;
    let bytes = text.as_bytes();
    let hex = |parts: &[&str]| i64::from_str_radix(&parts.concat(), 16).ok();
    let since_gregorian = |steps: i64| steps.checked_sub(GREGORIAN)?.checked_mul(100);
    let nanos = match uuid(bytes) {
        Some(1) => since_gregorian(hex(&[&text[15..18], &text[9..13], &text[..8]])?)?,
        Some(6) => since_gregorian(hex(&[&text[..8], &text[9..13], &text[15..18]])?)?,
        Some(7) => hex(&[&text[..8], &text[9..13]])?.checked_mul(1_000_000)?,
        Some(_) => return None,
        None if ulid(bytes) => {
            const DIGITS: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
            let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
            let mut digits = bytes[..10].iter().map(digit);
            let millis = digits.try_fold(0_i64, |sum, digit| Some(sum * 32 + digit? as i64))?;
            millis.checked_mul(1_000_000)?
        }
        None => return None,
    };
    let is_of_this_century = (978_307_200..4_102_444_800).contains(&(nanos / NANOS_PER_SEC));
    is_of_this_century.then(|| Timestamp::from_nanos(nanos))
}

/// `2026-11-22T10:00:00Z`, as most services write it, on a day that each month has.
fn is_usual_instant(bytes: &[u8]) -> bool {
    let two = |at: usize| {
        let digits = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
        if digits.0 < 10 && digits.1 < 10 { digits.0 * 10 + digits.1 } else { u8::MAX }
    };
    bytes.len() == 20
        && [bytes[4], bytes[7], bytes[10], bytes[13], bytes[16], bytes[19]] == *b"--T::Z"
        && (19..=20).contains(&two(0))
        && two(2) < 100
        && (1..=12).contains(&two(5))
        && (1..=28).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

/// `2026-11-22T10:00:00.123Z`, with a blank for the T or without an offset (then taken as UTC).
fn instant(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 19
        || !text.is_ascii()
        || !date(&bytes[..10])
        || !matches!(bytes[10], b'T' | b't' | b' ')
        || bytes[13] != b':'
    {
        return None;
    }
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    // No offset, or one without colon (`+0000`).
    let behind = bytes[19..]
        .iter()
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .map_or(text.len(), |at| 19 + at);
    match &text[behind..] {
        "" => format!("{text}Z").parse().ok(),
        offset if offset.len() == 5 && matches!(bytes[behind], b'+' | b'-') => {
            format!("{}{}:{}", &text[..behind], &offset[..3], &offset[3..]).parse().ok()
        }
        _ => None,
    }
}

/// `Sun, 22 Nov 2026 10:00:00 GMT`, also with hyphens as cookies have it, and with an offset in
/// digits.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(',')?.1.trim();
    let mut parts = rest.split([' ', '-']).filter(|part| !part.is_empty());
    let day: u8 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month))? + 1;
    let year: u16 = parts.next()?.parse().ok()?;
    let clock = parts.next()?;
    let zone = parts.next()?;
    let zone = if matches!(zone, "GMT" | "UTC" | "+0000" | "0000") { "Z" } else { return None };
    format!("{year:04}-{month:02}-{day:02}T{clock}{zone}").parse().ok()
}

/// `2026-11-22`.
pub(crate) fn date(bytes: &[u8]) -> bool {
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| {
            if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() }
        })
        && (1..=12).contains(&((bytes[5] - b'0') * 10 + (bytes[6] - b'0')))
        && (1..=31).contains(&((bytes[8] - b'0') * 10 + (bytes[9] - b'0')))
}

/// The version of a UUID, in its text form of 36 characters; the nil UUID is a constant, not an
/// identifier.
pub(crate) fn uuid(bytes: &[u8]) -> Option<u8> {
    if bytes.len() != 36 {
        return None;
    }
    let fits = bytes.iter().enumerate().all(|(at, byte)| {
        if matches!(at, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    });
    let version = (bytes[14] as char).to_digit(16)? as u8;
    (fits && (1..=8).contains(&version)).then_some(version)
}

pub(crate) fn ulid(bytes: &[u8]) -> bool {
    bytes.len() == 26
        && matches!(bytes[0], b'0'..=b'7')
        && bytes.iter().all(|byte| {
            byte.is_ascii_digit() || byte.is_ascii_uppercase() && !b"ILOU".contains(byte)
        })
        && bytes.iter().filter(|byte| byte.is_ascii_digit()).count() >= 3
}

pub(crate) fn ksuid(bytes: &[u8]) -> bool {
    bytes.len() == 27 && bytes.iter().all(u8::is_ascii_alphanumeric) && mixed(bytes) >= 3
}

pub(crate) fn object_id(bytes: &[u8]) -> bool {
    if bytes.len() != 24 || !bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return false;
    }
    let seconds = bytes[..8]
        .iter()
        .fold(0_u64, |sum, byte| sum * 16 + u64::from((*byte as char).to_digit(16).unwrap_or(0)));
    (978_307_200..4_102_444_800).contains(&seconds)
        && bytes.iter().any(|byte| byte.is_ascii_alphabetic())
}

fn jwt(bytes: &[u8]) -> bool {
    bytes.starts_with(b"eyJ")
        && bytes.iter().filter(|byte| **byte == b'.').count() == 2
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'='))
}

/// `payload.time.signature`, or with colons: a signature that looks random. One of SHA-1 has no digit
/// now and then; it is told from a name by its time.
pub(crate) fn is_signed(bytes: &[u8]) -> bool {
    let Some(signed) = Signed::of(bytes) else { return false };
    let signature = signed.signature;
    let capitals = || signature.windows(2).any(|pair| pair.iter().all(u8::is_ascii_uppercase));
    signed.is_json()
        || mixed(signature) == 3 && changes_of_kind(signature) * 4 >= signature.len()
        || mixed(signature) == 2
            && changes_of_kind(signature) * 5 >= signature.len()
            && signed.at().is_some()
            && (capitals() || matches!(signed.payload(), Some(Payload::Json(_))))
}

/// `e81a76**********************`: what pages show of salts, hashes and keys. Of a card or an
/// account the last digits are shown, which mean something.
fn masked(text: &str) -> Option<ValueKind> {
    /// Most characters that are shown, and least that are not.
    const SHOWN: usize = 12;
    const HIDDEN: usize = 8;
    let shown = text.trim_end_matches(['*', '•']);
    let hidden = text[shown.len()..].chars().count();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+$".contains(&byte);
    ((1..=SHOWN).contains(&shown.len()) && hidden >= HIDDEN && shown.bytes().all(plain))
        .then(|| ValueKind::Masked(u16::try_from(hidden).unwrap_or(u16::MAX)))
}

fn etag(bytes: &[u8]) -> bool {
    let inner = bytes.strip_prefix(b"W/").unwrap_or(bytes);
    inner.len() >= 2
        && inner[0] == b'"'
        && inner[inner.len() - 1] == b'"'
        && !inner[1..inner.len() - 1].contains(&b'"')
}

/// `ch_3f2a91c07be41d05`, `req-0190163d…`, `UsernameToken-0FAE…`: a short word, a joiner, at least
/// twelve random characters; sixteen in capitals.
fn prefixed(bytes: &[u8]) -> Option<ValueKind> {
    joined(bytes).or_else(|| run_together(bytes))
}

/// `t6b0dbdcbb66ea328204871`: letters that end with one that is no hexadecimal digit, and what PHP
/// and others draw behind them.
fn run_together(bytes: &[u8]) -> Option<ValueKind> {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let word = bytes.iter().rposition(|byte| !is_hex(byte))? + 1;
    let (word, rest) = bytes.split_at(word);
    let drawn = rest.len() >= 12 && changes_of_kind(rest) >= 3;
    (word.len() <= 16 && drawn && word.iter().all(u8::is_ascii_lowercase))
        .then(|| prefixed_by(word, bytes.len()))
}

/// A kind by its word and its whole length.
fn prefixed_by(word: &[u8], length: usize) -> ValueKind {
    let add = |sum: u16, &byte: &u8| sum.wrapping_mul(31).wrapping_add(u16::from(byte));
    ValueKind::Prefixed(word.iter().fold(0, add), u16::try_from(length).unwrap_or(u16::MAX))
}

fn joined(bytes: &[u8]) -> Option<ValueKind> {
    let word = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let rest = bytes.get(word + 1..)?;
    // What letters of both cases are joined with may be as random as they are.
    let lower = bytes[..word].iter().all(u8::is_ascii_lowercase);
    let random = uuid(rest).is_some()
        || ulid(rest)
        || random_hex(rest)
        || lower && random_token(rest)
        || rest.len() >= 12
            && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && changes_of_kind(rest) >= 3;
    if !(1..=16).contains(&word) || !matches!(bytes[word], b'_' | b'-') || !random {
        return None;
    }
    Some(prefixed_by(&bytes[..word], bytes.len()))
}

/// `$2b$12$…` and others of the modular crypt format (bcrypt, argon2, scrypt, SHA-crypt), and
/// `pbkdf2_sha256$600000$salt$hash` of Django: a scheme, costs, salt and hash between dollars.
fn password_hash(text: &str) -> Option<ValueKind> {
    has_scheme_of_passwords(text).then_some(())?;
    let (costs, hash) = text.rsplit_once('$')?;
    let is_code = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./+-_=".contains(&byte))
    };
    // bcrypt has salt and hash in one; elsewhere the salt is the part before.
    let costs = if hash.len() == 53 { costs } else { costs.rsplit_once('$')?.0 };
    let is_one = hash.len() >= 20 && is_code(hash) && text.len() <= PASSWORD_HASH_BYTES;
    let kept =
        || costs.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    is_one.then(|| ValueKind::PasswordHash(kept()))
}

/// Longest hash of a password, in bytes.
const PASSWORD_HASH_BYTES: usize = 512;

fn has_scheme_of_passwords(text: &str) -> bool {
    let behind = text.strip_prefix('$').unwrap_or(text);
    // The longest name of a scheme is `django_pbkdf2_sha256`.
    let end = behind.bytes().take(24).position(|byte| byte == b'$');
    match end.map(|end| &behind[..end]) {
        None => false,
        Some("1" | "2a" | "2b" | "2x" | "2y" | "5" | "6" | "7" | "y" | "sha1") => true,
        Some(scheme) => ["argon2", "scrypt", "pbkdf2", "bcrypt", "md5", "sha256", "sha512"]
            .iter()
            .any(|family| scheme.starts_with(family)),
    }
}

/// How long the salted hash of a password is that stands at the start of a text.
pub(crate) fn password_hash_at_start(text: &str) -> Option<usize> {
    if !has_scheme_of_passwords(text) {
        return None;
    }
    let is_code = |byte: &u8| byte.is_ascii_alphanumeric() || b"./+-_=$,".contains(byte);
    let length = text.bytes().take(PASSWORD_HASH_BYTES + 1).take_while(is_code).count();
    // bcrypt's last part has its length; a sentence may end behind any other.
    let last = text[..length].rfind('$')? + 1;
    let bcrypt = text.starts_with("$2") && length - last >= 53;
    let whole =
        if bcrypt { &text[..last + 53] } else { text[..length].trim_end_matches(['.', ',']) };
    password_hash(whole).map(|_| whole.len())
}

/// How long the pairs of hexadecimal digits with colons between them are that stand at the start of
/// a text: the address of a device (`3c:22:fb:8e:01:d4`), the fingerprint of a certificate.
pub(crate) fn hex_pairs_at_start(bytes: &[u8]) -> Option<usize> {
    /// A device's address has six or eight of them, fingerprints have 16, 20, 32 or 64.
    const PAIRS: [usize; 6] = [6, 8, 16, 20, 32, 64];
    let pair = |at: usize| {
        let pair = bytes.get(at..at + 2).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        pair && (at == 0 || bytes[at - 1] == b':')
    };
    let pairs = (0..=64).take_while(|n| pair(n * 3)).count();
    let length = (pairs * 3).checked_sub(1)?;
    let goes_on = bytes.get(length).is_some_and(|byte| byte.is_ascii_alphanumeric());
    (PAIRS.contains(&pairs) && !goes_on && bytes.get(length) != Some(&b':')).then_some(length)
}

/// `web-7d9c5b8f4-x2x9k`, as Kubernetes names the pods of a Deployment: what it is called, a hash
/// of its template, five characters; none of these has vowels, so that they spell no word. And
/// `ip-10-0-3-17`, as clouds name hosts.
pub(crate) fn machine(text: &str) -> Option<ValueKind> {
    const TEMPLATE: &[u8] = b"456789bcdf";
    const OWN: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let (rest, own) = text.rsplit_once('-')?;
    let hashed = |name: &str| {
        let sum = |sum: u16, byte: u8| sum.wrapping_mul(31).wrapping_add(u16::from(byte));
        Some(ValueKind::Machine(name.bytes().fold(0, sum)))
    };
    if let Some(address) = text.strip_prefix("ip-") {
        let numbers = address.split('-').map(str::parse::<u8>);
        return if numbers.clone().count() == 4 && numbers.into_iter().all(|number| number.is_ok()) {
            hashed("ip")
        } else {
            None
        };
    }
    let (name, template) = rest.rsplit_once('-')?;
    let is_of = |text: &str, letters: &[u8]| text.bytes().all(|byte| letters.contains(&byte));
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-/.".contains(&byte);
    let is_pod = own.len() == 5
        && is_of(own, OWN)
        && (6..=10).contains(&template.len())
        && is_of(template, TEMPLATE)
        && template.bytes().any(|byte| byte.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(is_name);
    if is_pod { hashed(name) } else { None }
}

/// Whether two numbers behind the address of a machine are such ports as systems choose by
/// themselves for connections (RFC 6335 §6, and Linux' range, which begins lower).
pub(crate) fn are_ports(numbers: [&str; 2]) -> bool {
    numbers.iter().all(|text| text.len() == 5 && text.parse::<u16>().is_ok_and(|n| n >= 32_768))
}

/// At least 16 hexadecimal digits of one case that look random.
pub(crate) fn random_hex(bytes: &[u8]) -> bool {
    let lower = || bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let upper = || bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    bytes.len() >= 16
        && (lower() || upper())
        && bytes.iter().any(u8::is_ascii_digit)
        && bytes.iter().any(u8::is_ascii_alphabetic)
        && entropy(bytes) >= if bytes.len() >= 32 { 3.0 } else { 2.5 }
}

/// At least 16 characters of base64 or base64url that look random: three kinds of character, and no
/// words.
pub(crate) fn random_token(bytes: &[u8]) -> bool {
    bytes.len() >= 16
        && bytes.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
        })
        && (mixed(bytes) >= 3 || drawn_letters(bytes))
        && changes_of_kind(bytes) * 4 >= bytes.len()
        && entropy(bytes) >= 3.2
}

/// Whether letters alone, of both cases, look random: names have capitals one by one, but for an
/// abbreviation.
fn drawn_letters(bytes: &[u8]) -> bool {
    /// Signs that an alphabet of random text has beside letters; names have one between words.
    const SIGNS: usize = 2;
    let runs = bytes.chunk_by(|a, b| a.is_ascii_uppercase() == b.is_ascii_uppercase());
    let capitals = runs.filter(|run| run.len() > 1 && run[0].is_ascii_uppercase()).count();
    let is_sign = |byte: &&u8| matches!(byte, b'-' | b'_' | b'+' | b'/');
    let signs = bytes.iter().filter(is_sign).count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    letters + signs == bytes.len() && signs <= SIGNS && capitals >= 2
}

/// How many of lower case, upper case and digit there are.
fn mixed(bytes: &[u8]) -> usize {
    usize::from(bytes.iter().any(u8::is_ascii_lowercase))
        + usize::from(bytes.iter().any(u8::is_ascii_uppercase))
        + usize::from(bytes.iter().any(u8::is_ascii_digit))
}

/// How often the kind of character changes: words change seldom, random text at every second
/// character.
fn changes_of_kind(bytes: &[u8]) -> usize {
    const KINDS: [u8; 256] = {
        let mut kinds = [3; 256];
        let mut byte = 0;
        while byte < kinds.len() {
            kinds[byte] = match byte as u8 {
                b'a'..=b'z' => 0,
                b'A'..=b'Z' => 1,
                b'0'..=b'9' => 2,
                _ => 3,
            };
            byte += 1;
        }
        kinds
    };
    let kind = |byte: u8| KINDS[usize::from(byte)];
    bytes.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count()
}

/// Shannon's entropy in bits a byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for &byte in bytes {
        counts[byte as usize] += 1;
    }
    // A text has far fewer bytes than there are values of one.
    let logs: f64 = bytes.iter().map(|&byte| log2(counts[byte as usize])).sum();
    let total = bytes.len() as f64;
    total.log2() - logs / total
}

/// The logarithm of a count; small ones are known.
fn log2(count: u32) -> f64 {
    const SMALL: [f64; 8] = [
        f64::NEG_INFINITY,
        0.0,
        1.0,
        1.584_962_500_721_156,
        2.0,
        2.321_928_094_887_362,
        2.584_962_500_721_156,
        2.807_354_922_057_604,
    ];
    SMALL.get(count as usize).copied().unwrap_or_else(|| f64::from(count).log2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_shannons() {
        let of = |text: &str, bits: f64| {
            assert!(
                (entropy(text.as_bytes()) - bits).abs() < 1e-9,
                "{text}: {}",
                entropy(text.as_bytes())
            );
        };
        of("aaaaaaaaaaaa", 0.0);
        of("aabb", 1.0);
        of("0123456789abcdef", 4.0);
        of("aaaaaaaaab", 0.468_995_593_589_281);
    }

    #[test]
    fn a_time_that_goes_on_in_another_script_is_none() {
        assert_eq!(instant("2026-10-22t10:0-\u{41c}\u{1d9}\u{1de}/r1a2b"), None);
        assert_eq!(instant("2026-10-22T10:00:0\u{e9}0"), None);
    }

    #[test]
    fn each_kind_is_known_and_plain_values_have_none() {
        for (text, kind) in [
            ("2026-11-22T10:00:00Z", ValueKind::Rfc3339),
            ("2026-11-22T10:00:00.123456+01:00", ValueKind::Rfc3339),
            ("2026-11-22 10:00:00", ValueKind::Rfc3339),
            ("2026-11-22T10:00:00.5+0100", ValueKind::Rfc3339),
            ("Sun, 22 Nov 2026 10:00:00 GMT", ValueKind::HttpDate),
            ("Sun, 22-Nov-2026 10:00:00 GMT", ValueKind::HttpDate),
            ("2026-11-22", ValueKind::Date),
            ("1795341600", ValueKind::EpochSeconds),
            ("1795341600123", ValueKind::EpochMillis),
            ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", ValueKind::Uuid(4)),
            ("0190163d-8694-739b-aea5-966c26f8ad91", ValueKind::Uuid(7)),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", ValueKind::Ulid),
            ("0ujtsYcgvSTl8PAuAdqWYSMnLOv", ValueKind::Ksuid),
            ("507f1f77bcf86cd799439011", ValueKind::ObjectId),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", ValueKind::Jwt),
            ("eyJ1IjoxfQ.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE", ValueKind::Signed),
            ("IjNhZjEi.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE", ValueKind::Signed),
            (".eJyrViouSVWyUlAqLU4t.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE", ValueKind::Signed),
            ("1:1rAbCd:kJ8sQx0_vLw2T9bZfNn5rYc1XhEkJ8sQx0_vLw2T9bZ", ValueKind::Signed),
            ("[\"ann\", true].awwxoQ.kJ8sQx0_vLw2T9bZfNn5rYc1XhE", ValueKind::Signed),
            ("eyJ1IjoxfQ.aSl2mA.kJxsQxq_vLwzTpbZfNnerYcOXhE", ValueKind::Signed),
            ("ann.aSl2mA.kJxsQX-_vLwzTpbZ-NnerYcO_hE", ValueKind::Signed),
            ("eve+1@shop.test:1rAbCd:kJ8sQx0_vLw2T9bZfNn5rYc1XhE", ValueKind::Signed),
            ("LH********************", ValueKind::Masked(20)),
            ("658595••••••••", ValueKind::Masked(8)),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ValueKind::TraceParent),
            ("W/\"5f3a-17c2\"", ValueKind::ETag),
            ("4bf92f3577b34da6a3ce929d0e0e4736", ValueKind::Hex(32)),
            ("dGhpcyBpcyBBIDNzZWNyZXQ5", ValueKind::Token(24)),
            ("WZuyytLHMHFvEZGylfQWwcfw", ValueKind::Token(24)),
            ("KXvQ-ZtRbnMWqePLasDfg", ValueKind::Token(21)),
        ] {
            assert_eq!(of_text(text), Some(kind), "{text}");
        }
        for text in [
            "",
            "hello",
            "12.50",
            "1234",
            "red-running-shoes",
            "2026-13-45",
            "DeliveryAddressIncomplete",
            "aaaaaaaaaaaaaaaaaaaa",
            "00000000-0000-0000-0000-000000000000",
            "The quick brown fox jumps",
            "ORDER_CONFIRMED",
            "application/json",
            "a.b.c",
            "module.assets.someVeryLongCamelCaseNamesX",
            "shop.index.createXMLHttpRequestForOnes",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn prefixed_identifiers_have_their_prefix_in_common() {
        let kind = of_text("ch_c20714b8f21e7327");
        assert!(matches!(kind, Some(ValueKind::Prefixed(_, 19))), "{kind:?}");
        assert_eq!(of_text("ch_0190fe148f21e732"), kind);
        assert_ne!(of_text("re_c20714b8f21e7327"), kind);
        let kind = of_text("UsernameToken-0FAE4E72B005D284BA6492933CB9BFE7");
        assert!(matches!(kind, Some(ValueKind::Prefixed(..))), "{kind:?}");
        assert_ne!(of_text("TS-00C47F1006D779171CB09EE33B8CC952"), kind);
        let kind = of_text("t6b0dbdcbb66ea328204871");
        assert!(matches!(kind, Some(ValueKind::Prefixed(_, 23))), "{kind:?}");
        assert_eq!(of_text("t6b0dbe562d00e067959538"), kind);
        assert_ne!(of_text("x6b0dbe562d00e067959538"), kind);
        for plain in ["row000000000001", "paid20261128100000", "faceb00cfacade", "t6b0dbe562d0"] {
            assert!(!matches!(of_text(plain), Some(ValueKind::Prefixed(..))), "{plain}");
        }
        for plain in ["order-confirmation", "en-us", "utf-8", "a-b", "line_000000000001", "sha-"] {
            assert_eq!(of_text(plain), None, "{plain}");
        }
    }

    #[test]
    fn salted_hashes_of_passwords_are_known_with_their_scheme_and_costs() {
        let bcrypt = of_text("$2b$12$W.xX98OVYc7AyHK7vrn84OOMMIW4GrXHDEjEq65ncrrN9K7MOfm5G");
        assert!(matches!(bcrypt, Some(ValueKind::PasswordHash(_))), "{bcrypt:?}");
        let again = of_text("$2b$12$KIXQ0Zt1mB5uEJd0bq8l4ekQxS8n0p7y5rR1cWv3uT9aHf2dGjLmO");
        assert_eq!(again, bcrypt);
        let cheaper = of_text("$2b$04$KIXQ0Zt1mB5uEJd0bq8l4ekQxS8n0p7y5rR1cWv3uT9aHf2dGjLmO");
        assert_ne!(cheaper, bcrypt);
        for other in [
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
            "pbkdf2_sha256$600000$WxS8n0p7y5rR$Zt1mB5uEJd0bq8l4ekQxS8n0p7y5rR1cWv3uT9aHf2c=",
            "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq",
        ] {
            assert!(matches!(of_text(other), Some(ValueKind::PasswordHash(_))), "{other}");
        }
        let text = "$2b$12$KIXQ0Zt1mB5uEJd0bq8l4ekQxS8n0p7y5rR1cWv3uT9aHf2dGjLmO. Then";
        assert_eq!(password_hash_at_start(text), Some(60));
        assert_eq!(password_hash_at_start("$2b or not $2b"), None);
        for plain in ["$2b$12$short", "US$100$a-price-of-some-twenty-letters", "$HOME$PATH"] {
            assert_eq!(of_text(plain), None, "{plain}");
        }
    }

    #[test]
    fn pairs_of_hexadecimal_digits_are_one_value() {
        for (text, length) in [
            ("3c:22:fb:8e:01:d4 up", Some(17)),
            ("3C:22:FB:8E:01:D4", Some(17)),
            ("3c:22:fb:8e:01", None),
            ("3c:22:fb:8e:01:d4:", None),
            ("3c:22:fb:8e:01:d4f", None),
            ("10:20:30", None),
            ("MD5:3c", None),
            ("", None),
        ] {
            assert_eq!(hex_pairs_at_start(text.as_bytes()), length, "{text}");
        }
        let fingerprint = vec!["a7"; 20].join(":");
        assert_eq!(hex_pairs_at_start(fingerprint.as_bytes()), Some(59));
    }

    #[test]
    fn ids_that_say_when_they_were_made_are_read() {
        for (text, made) in [
            ("0190163d-8694-739b-aea5-966c26f8ad91", Some("2024-06-14T10:14:09.300Z")),
            ("c232ab00-9414-11ec-b3c8-9f6bdeced846", Some("2022-02-22T19:22:22Z")),
            ("1ec9414c-232a-6b00-b3c8-9f6bdeced846", Some("2022-02-22T19:22:22Z")),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", Some("2016-07-30T23:54:10.259Z")),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", None),
            ("6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11", None),
            ("507f1f77bcf86cd799439011", None),
        ] {
            let made = made.map(|made| made.parse().expect("a time"));
            assert_eq!(made_at(text), made, "{text}");
        }
    }

    #[test]
    fn times_are_read() {
        let ten = "2026-11-22T10:00:00Z".parse().unwrap();
        for (kind, text) in [
            (ValueKind::HttpDate, "Sun, 22 Nov 2026 10:00:00 GMT"),
            (ValueKind::Rfc3339, "2026-11-22 10:00:00"),
            (ValueKind::Rfc3339, "2026-11-22T11:00:00+0100"),
            (ValueKind::EpochSeconds, "1795341600"),
            (ValueKind::EpochSeconds, "1795341600.000"),
            (ValueKind::EpochMillis, "1795341600000"),
        ] {
            assert_eq!(instant_of(kind, text), Some(ten), "{text}");
        }
        assert_eq!(
            instant_of(ValueKind::EpochSeconds, "1795341600.5").map(Timestamp::nanos),
            Some(1_795_341_600_500_000_000)
        );
    }
}
