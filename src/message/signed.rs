//! Values with a time and a signature, as sessions in cookies, links and forms have them: what they
//! are made of, and what can be read of it.
//!
//! `payload.time.signature` of itsdangerous has its time in base64 and may have JSON in base64 as its
//! payload; `payload:time:signature` of Django has its time in base 62. The signature is each
//! installation's own.

use std::borrow::Cow;

use super::encoding;

/// When the older signers of times began to count, in seconds since 1970.
const OLDER_EPOCH: i64 = 1_293_840_000;

/// A signed value by its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed<'t> {
    payload: &'t [u8],
    time: &'t [u8],
    pub(super) signature: &'t [u8],
    separator: u8,
}

/// What a payload says that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'t> {
    /// An object or an array of JSON.
    Json(Cow<'t, str>),
    /// A text.
    Text(Cow<'t, str>),
}

impl Signed<'_> {
    /// Shortest one, in bytes: a payload of one, a time of four, a signature of SHA-1, and what
    /// stands between them.
    pub(crate) const SHORTEST: usize = 1 + 4 + 27 + 2;
}

impl<'t> Signed<'t> {
    /// The parts of a text that is written as a signed value: a payload of any length, a time of four
    /// to eight characters, and a signature of SHA-1, SHA-256 or SHA-512. The payload may be JSON as
    /// it is.
    pub(crate) fn of(bytes: &'t [u8]) -> Option<Self> {
        let is_separator = |byte: &u8| matches!(byte, b'.' | b':');
        if bytes.len() < Self::SHORTEST {
            return None;
        }
        let last = bytes.iter().rposition(is_separator)?;
        let separator = bytes[last];
        let first = bytes[..last].iter().rposition(|byte| *byte == separator)?;
        let (payload, time, signature) =
            (&bytes[..first], &bytes[first + 1..last], &bytes[last + 1..]);
        let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let one = Self { payload, time, signature, separator };
        // What is signed may be an address of somebody.
        let is_plain =
            |byte: &u8| is_text(byte) || is_separator(byte) || matches!(byte, b'=' | b'@' | b'+');
        let is_one = !payload.is_empty()
            && (one.is_json() || payload.iter().all(is_plain))
            && (4..=8).contains(&time.len())
            && time.iter().all(is_text)
            && matches!(signature.len(), 27 | 43 | 86)
            && signature.iter().all(is_text);
        is_one.then_some(one)
    }

    /// Whether the payload is JSON as it is.
    pub(super) fn is_json(self) -> bool {
        matches!(self.payload, [b'[', .., b']'] | [b'{', .., b'}'] | [b'"', .., b'"'])
            && self.payload.iter().all(|byte| matches!(byte, b' '..=b'~'))
    }

    /// When it was signed, in seconds since 1970; none where that is no time of a living service.
    pub(crate) fn at(self) -> Option<i64> {
        const ALIVE: std::ops::RangeInclusive<i64> = 1_262_304_000..=4_102_444_800;
        let seconds = match self.separator {
            b':' => base62(self.time),
            _ => {
                let bytes = encoding::base64_bytes(std::str::from_utf8(self.time).ok()?)?;
                let add = |sum: i64, byte: &u8| sum << 8 | i64::from(*byte);
                (bytes.len() <= 5).then(|| bytes.iter().fold(0, add))?
            }
        };
        [seconds, seconds + OLDER_EPOCH].into_iter().find(|at| ALIVE.contains(at))
    }

    /// What its payload says; none where it is compressed, encrypted or of bytes.
    pub(crate) fn payload(self) -> Option<Payload<'t>> {
        let text = std::str::from_utf8(self.payload).ok()?;
        let of_json = |text: Cow<'t, str>| match text.trim_ascii().as_bytes() {
            [b'{', .., b'}'] | [b'[', .., b']'] => Some(Payload::Json(text)),
            [b'"', .., b'"'] => {
                serde_json::from_str(&text).ok().map(|text: String| Payload::Text(text.into()))
            }
            _ => None,
        };
        if self.is_json() {
            return of_json(text.into());
        }
        let decoded = encoding::base64_text(text).and_then(|text| of_json(text.into()));
        decoded.or_else(|| self.is_readable().then_some(Payload::Text(text.into())))
    }

    /// Whether the payload is what people and programs write, and nothing compressed, encrypted or
    /// drawn.
    fn is_readable(self) -> bool {
        /// As short, what is drawn is not told from what is written.
        const SHORT: usize = 8;
        let payload = self.payload;
        let class = |byte: u8| match byte {
            b'a'..=b'z' => 0,
            b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            _ => 3,
        };
        let turns = payload.windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
        let has = |of: u8| payload.iter().any(|byte| class(*byte) == of);
        let is_mixed = (0..3).all(has) && turns * 4 >= payload.len();
        !payload.starts_with(b".") && (payload.len() < SHORT || !is_mixed)
    }
}

/// The number that digits, capitals and small letters stand for, in this order.
fn base62(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |sum, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => 0,
        };
        sum * 62 + i64::from(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &str = "kJ8sQx0_vLw2T9bZfNn5rYc1XhE";

    fn of(text: &str) -> Option<(Option<Payload<'_>>, Option<i64>)> {
        Signed::of(text.as_bytes()).map(|one| (one.payload(), one.at()))
    }

    #[test]
    fn what_can_be_read_of_a_signed_value_is() {
        let text = |text: &'static str| Some(Payload::Text(text.into()));
        let json = |text: &'static str| Some(Payload::Json(text.into()));
        for (signed, payload, at) in [
            (
                "eyJ1c2VyX2lkIjo3LCJyb2xlIjoidXNlciJ9.agHiQA.",
                json(r#"{"user_id":7,"role":"user"}"#),
                1_778_508_352,
            ),
            ("WzcsImNhcnQiXQ.agHiQA.", json(r#"[7,"cart"]"#), 1_778_508_352),
            ("InRvazcwMCI.agHiQA.", text("tok700"), 1_778_508_352),
            (r#"{"a":1}.agHiQA."#, json(r#"{"a":1}"#), 1_778_508_352),
            ("doc7:1wNAtQ:", text("doc7"), 1_778_683_740),
            ("eve+1@shop.test:1wNAtQ:", text("eve+1@shop.test"), 1_778_683_740),
            ("Invoice500.Hf_iQA.", text("Invoice500"), 1_797_148_864),
            // Compressed, and bytes.
            (".eJyrVkosKMhJ.agHiQA.", None, 1_778_508_352),
            ("gASVQ1AAx9dDh4R2k4.agHiQA.", None, 1_778_508_352),
        ] {
            assert_eq!(of(&format!("{signed}{SHA1}")), Some((payload, Some(at))), "{signed}");
        }
        for other in ["a.b.c", "doc7:1wNAtQ:short", "a file.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE"] {
            assert_eq!(of(other), None, "{other}");
        }
        let zero = format!("x.AAAA.{SHA1}");
        assert_eq!(of(&zero).map(|(_, at)| at), Some(Some(OLDER_EPOCH)), "of the older epoch");
    }
}
