//! Time as data, and the only place that reads a clock.
//!
//! Capture times are integers of nanoseconds taken from packet headers ([`Timestamp`]); everything
//! that is computed from them is integer arithmetic and repeats exactly. Code that must know what
//! time it is now asks this module, so that a search for `now` finds every reader.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds in a second.
pub const NANOS_PER_SEC: i64 = 1_000_000_000;

/// An instant of the wall clock: nanoseconds since 1970-01-01T00:00:00Z.
///
/// Text form: RFC 3339 in UTC with nine digits of fraction, as `CONTRACT` files hold it. The range
/// is 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds and nanoseconds since the epoch, as packet headers have them; out of range
    /// saturates.
    pub const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SEC).saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; negative where `earlier` is the later one; saturating.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant moved by `nanos` (negative: back); saturating.
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The wall clock's present.
    #[expect(clippy::disallowed_methods, reason = "this module is the reader of clocks")]
    pub fn now() -> Self {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Writes the text form into a fixed buffer without allocating; the hot path of the exchange
    /// writer.
    pub fn rfc3339(self) -> [u8; 30] {
        let seconds = self.0.div_euclid(NANOS_PER_SEC);
        let nanos = self.0.rem_euclid(NANOS_PER_SEC);
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let mut rest = seconds.rem_euclid(86_400);
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        // Of 32 bits, which divide faster: years of 64 bits of nanoseconds are 1677 to 2262.
        let mut put = |at: usize, digits: usize, value: i64| {
            let mut value = value as u32;
            for place in (at..at + digits).rev() {
                out[place] = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(17, 2, rest % 60);
        rest /= 60;
        put(14, 2, rest % 60);
        put(11, 2, rest / 60);
        put(20, 9, nanos);
        out
    }
}

/// Days since the epoch to a civil date in the proleptic Gregorian calendar (era of 400 years,
/// March first).
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.rfc3339();
        f.write_str(std::str::from_utf8(&text).expect("the text form is made of ASCII digits"))
    }
}

/// A text that is not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time: {0:?}")]
pub struct ParseTimestampError(String);

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(own) = read_own_form(text.as_bytes()) {
            return Ok(own);
        }
        let parsed: jiff::Timestamp =
            text.parse().map_err(|_| ParseTimestampError(text.chars().take(64).collect()))?;
        i64::try_from(parsed.as_nanosecond())
            .map(Self)
            .map_err(|_| ParseTimestampError(text.to_owned()))
    }
}

/// Reads the form that [`Timestamp::rfc3339`] writes: the hot path of reading files. Any other form
/// is left to the library, and so is what could only be a mistake (a day that the month does not
/// have).
fn read_own_form(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 30] = text.try_into().ok()?;
    let separators =
        [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b'Z')];
    if separators.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        text[range].iter().try_fold(0i64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, nanos) =
        (number(11..13)?, number(14..16)?, number(17..19)?, number(20..29)?);
    if !(1..=12).contains(&month)
        || !(1..=28).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
        || !(1678..2262).contains(&year)
    {
        return None;
    }
    // The reverse of `civil`: years begin in March, so that the day of the leap year is the last.
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468;
    Some(Timestamp::from_parts(days * 86_400 + hour * 3_600 + minute * 60 + second, nanos))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.rfc3339();
        serializer.serialize_str(
            std::str::from_utf8(&text).expect("the text form is made of ASCII digits"),
        )
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A reading of the monotonic clock (`CLOCK_MONOTONIC`), comparable only with others of the same
/// boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(i64);

impl Monotonic {
    /// The monotonic clock's present.
    pub fn now() -> Self {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Self(spec.tv_sec * NANOS_PER_SEC + spec.tv_nsec)
    }

    /// Nanoseconds from `earlier` to `self`.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Nanoseconds since `self`.
    pub fn elapsed(self) -> i64 {
        Self::now().since(self)
    }

    /// This reading moved by `nanos`; saturating.
    pub const fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The reading as nanoseconds of `CLOCK_MONOTONIC`, for absolute sleeps.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_agrees_with_the_library() {
        for nanos in [
            0,
            1,
            -1,
            1_795_341_600_000_123_456,
            -62_135_596_800,
            951_826_554_999_999_999,
            i64::MAX,
            i64::MIN + 1_000_000_000,
        ] {
            let time = Timestamp::from_nanos(nanos);
            let text = time.to_string();
            assert_eq!(text.parse(), Ok(time), "{text}");
        }
        assert_eq!(
            Timestamp::from_nanos(1_795_341_600_000_123_456).to_string(),
            "2026-11-22T10:00:00.000123456Z"
        );
        assert_eq!(
            "2026-11-22T11:00:00.5+01:00".parse::<Timestamp>().unwrap().to_string(),
            "2026-11-22T10:00:00.500000000Z"
        );
    }

    #[test]
    fn the_quick_reader_agrees_with_the_library() {
        for day in (-100_000..100_000i64).step_by(37) {
            let time = Timestamp::from_parts(
                day * 86_400 + (day * 7_919).rem_euclid(86_400),
                (day * 104_729).rem_euclid(NANOS_PER_SEC),
            );
            let text = time.to_string();
            let library: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(
                i128::from(text.parse::<Timestamp>().unwrap().nanos()),
                library.as_nanosecond(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_an_error() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
