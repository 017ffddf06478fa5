//! Dates and times as people and programs write them, beside RFC 3339: what stands at the start of
//! a text, and which instant it may be.
//!
//! Read are `20261128T184000Z`, `28.11.2026`, `11/28/2026`, `2026/11/28`, HTTP's three forms
//! (RFC 9110 §5.6.7), `28/Nov/2026:18:40:00 +0000`, `Nov. 28, 2026, 6:40 p.m.` and their like, also
//! in other languages; `2026-W48-6` and `2026-332T18:40:00Z`, ISO 8601's weeks and days of the
//! year.

mod names;

use crate::steps;
use crate::time::Timestamp;

/// What a written date may mean: with the month first or the day first there are two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The readings; both the same where there is but one.
    pub readings: [Timestamp; 2],
    /// How exact it is, in seconds: a day, a minute or a second.
    pub exact_s: i64,
    /// How long its text is, in bytes.
    pub length: usize,
    /// Names the form: values of two forms are not alike.
    form: u8,
}

impl Moment {
    /// Whether two are written in the same form.
    pub const fn is_like(&self, other: &Self) -> bool {
        self.form == other.form && self.exact_s == other.exact_s
    }
}

/// The date that a whole text is.
pub fn whole(text: &str) -> Option<Moment> {
    at_start(text).filter(|moment| moment.length == text.len())
}

/// The date at the start of a text, as long as it goes.
pub fn at_start(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'0'..=b'9' => {
            // How many digits a form begins with, and what is behind them, tells it from others:
            // nearly all that begins with a digit is none of them.
            let digits = bytes.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
            match (digits, bytes.get(digits).copied().unwrap_or(0)) {
                (1 | 2, b'.' | b'/' | b'-' | b' ') => day_or_month_first(bytes),
                (4, b'W') => week(bytes),
                (4, b'-') => {
                    week(bytes).or_else(|| day_of_year(bytes)).or_else(|| year_first(bytes))
                }
                (4, b'/' | b'.' | 0x80..) => year_first(bytes),
                (8.., _) => basic(bytes),
                _ => None,
            }
        }
        b'A'..=b'Z' | b'a'..=b'z' | 0x80.. if goes_on_behind_a_word(bytes) => named(bytes),
        _ => None,
    }
}

/// Whether a name of a day or a month may stand at the start: a blank, a comma or a dot ends it.
fn goes_on_behind_a_word(bytes: &[u8]) -> bool {
    let is_of_word = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-' || !byte.is_ascii();
    let word = bytes.iter().take(LONGEST_WORD + 1).take_while(|byte| is_of_word(byte)).count();
    steps::add(word);
    matches!(bytes.get(word), Some(b' ' | b',' | b'.'))
}

/// Bytes beyond which a word is no name.
const LONGEST_WORD: usize = 48;

/// The length of a clock's reading at the start of a text: `18:40:05`, `6:40 p.m.`.
pub fn clock_at_start(text: &str) -> Option<usize> {
    let mut reader = DateReader::new(text.as_bytes());
    clock(&mut reader)?;
    (!reader.peek().is_ascii_alphanumeric() && reader.peek() != b':').then_some(reader.at)
}

/// The second of the day that a whole text names, and how exact it is in seconds.
pub fn clock_whole(text: &str) -> Option<(i64, i64)> {
    let mut reader = DateReader::new(text.as_bytes());
    clock(&mut reader).filter(|_| reader.at == text.len())
}

/// A reader of a text from its start.
#[derive(Clone, Copy)]
struct DateReader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> DateReader<'t> {
    const fn new(bytes: &'t [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// A number of so many digits, no more.
    fn number(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !digits.contains(&count) {
            return None;
        }
        self.at += count;
        std::str::from_utf8(&rest[..count]).ok()?.parse().ok()
    }

    /// Exactly so many digits of a longer run.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let part = self.bytes.get(self.at..self.at + count)?;
        if !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.at += count;
        std::str::from_utf8(part).ok()?.parse().ok()
    }

    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.bytes[self.at.min(self.bytes.len())..].starts_with(text).then(|| self.at += text.len())
    }

    fn word(&mut self) -> &'t [u8] {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        self.at += count;
        &rest[..count]
    }

    /// … with letters that are not ASCII, and a hyphen in it (`terça-feira`).
    fn any_word(&mut self) -> &'t str {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let rest = &rest[..rest.len().min(LONGEST_WORD)];
        let text = std::str::from_utf8(rest)
            .or_else(|error| std::str::from_utf8(&rest[..error.valid_up_to()]))
            .unwrap_or_default();
        let end = text.find(|c: char| !c.is_alphabetic() && c != '-').unwrap_or(text.len());
        steps::add(end);
        let word = text[..end].trim_end_matches('-');
        self.at += word.len();
        word
    }

    /// A month by its name or the start of it, perhaps with a dot (`Sept.`).
    fn month(&mut self) -> Option<i64> {
        let start = *self;
        let mut month = names::month(self.any_word());
        if month.is_none() {
            // `Nov-26`: the hyphen is none of the name.
            *self = start;
            month = std::str::from_utf8(self.word()).ok().and_then(names::month);
        }
        if self.peek() == b'.' {
            self.at += 1;
        }
        month
    }

    /// `de`, as in `30 de noviembre de 2026`, and a blank.
    fn of(&mut self) {
        let _ = self.skip(b"de ").or_else(|| self.skip(b"di "));
    }
}

/// A clock's reading: seconds since midnight, with the offset taken off, and how exact it is.
fn clock(reader: &mut DateReader<'_>) -> Option<(i64, i64)> {
    let start = *reader;
    let read = |reader: &mut DateReader<'_>| {
        let before = half_before(reader);
        let mut hour = reader.number(1..=2)?;
        if let Some((minute, second)) = counted(reader) {
            let exact = if second.is_some() { 1 } else { 60 };
            let second = second.unwrap_or(0);
            return (hour < 24 && minute < 60 && second <= 60)
                .then_some(((hour * 60 + minute) * 60 + second, exact));
        }
        reader.skip(b":")?;
        let minute = reader.digits(2)?;
        let (mut second, mut exact) = (0, 60);
        if reader.peek() == b':' {
            reader.skip(b":")?;
            (second, exact) = (reader.digits(2)?, 1);
            if matches!(reader.peek(), b'.' | b',') {
                let mut fraction = *reader;
                fraction.at += 1;
                if fraction.number(1..=9).is_some() {
                    *reader = fraction;
                }
            }
        }
        if let Some(afternoon) = before.or_else(|| half_of_day(reader)) {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        (hour < 24 && minute < 60 && second <= 60)
            .then(|| ((hour * 60 + minute) * 60 + second - zone(reader), exact))
    };
    let found = read(reader);
    if found.is_none() {
        *reader = start;
    }
    found
}

/// `14h13`, `14時13分20秒`: minutes and seconds behind the hour.
fn counted(reader: &mut DateReader<'_>) -> Option<(i64, Option<i64>)> {
    let mut ahead = *reader;
    if ahead.skip(b"h").is_some() {
        let minute = ahead.digits(2)?;
        *reader = ahead;
        return Some((minute, None));
    }
    ahead.skip("時".as_bytes()).or_else(|| ahead.skip("时".as_bytes()))?;
    let minute = ahead.number(1..=2)?;
    ahead.skip("分".as_bytes())?;
    *reader = ahead;
    let second = ahead.number(1..=2).filter(|_| ahead.skip("秒".as_bytes()).is_some());
    if second.is_some() {
        *reader = ahead;
    }
    Some((minute, second))
}

/// `오후 2:13`: whether it is the afternoon.
fn half_before(reader: &mut DateReader<'_>) -> Option<bool> {
    let (_, afternoon) =
        names::HALVES.iter().find(|(name, _)| reader.skip(name.as_bytes()).is_some())?;
    let _ = reader.skip(b" ");
    Some(*afternoon)
}

/// `am`, `PM`, `p.m.`: whether it is the afternoon.
fn half_of_day(reader: &mut DateReader<'_>) -> Option<bool> {
    let mut ahead = *reader;
    // Browsers write a narrow blank.
    let _ = [&b" "[..], "\u{202f}".as_bytes(), "\u{a0}".as_bytes()]
        .into_iter()
        .find_map(|blank| ahead.skip(blank));
    let first = ahead.peek().to_ascii_lowercase();
    let rest = &ahead.bytes[ahead.at.min(ahead.bytes.len())..];
    for form in ["?.m.", "?m"] {
        let fits = rest.len() >= form.len()
            && rest[1..form.len()].eq_ignore_ascii_case(&form.as_bytes()[1..]);
        if fits && matches!(first, b'a' | b'p') {
            reader.at = ahead.at + form.len();
            return Some(first == b'p');
        }
    }
    None
}

/// `Z`, ` GMT`, ` +0100`, `+01:00`: seconds to take off; nothing where there is none.
fn zone(reader: &mut DateReader<'_>) -> i64 {
    let mut ahead = *reader;
    if ahead.peek() == b' ' {
        ahead.at += 1;
    }
    for name in [&b"Z"[..], b"GMT", b"UTC"] {
        let mut named = ahead;
        if named.skip(name).is_some() && !named.peek().is_ascii_alphanumeric() {
            // JavaScript's `GMT+0100 (Central European Standard Time)`.
            let off = if name == b"GMT" { offset(&mut named) } else { None };
            if off.is_some() {
                let _ = zone_in_words(&mut named);
            }
            *reader = named;
            return off.unwrap_or(0);
        }
    }
    let Some(off) = offset(&mut ahead) else { return 0 };
    *reader = ahead;
    off
}

/// `+0100`, `-01:00`: seconds to take off.
fn offset(reader: &mut DateReader<'_>) -> Option<i64> {
    let mut ahead = *reader;
    let sign = match ahead.peek() {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    ahead.at += 1;
    let hours = ahead.digits(2)?;
    let _ = ahead.skip(b":");
    let minutes = ahead.digits(2)?;
    *reader = ahead;
    Some(sign * (hours * 60 + minutes) * 60)
}

/// ` (Coordinated Universal Time)` behind an offset.
fn zone_in_words(reader: &mut DateReader<'_>) -> Option<()> {
    let mut ahead = *reader;
    ahead.skip(b" (")?;
    while !ahead.word().is_empty() {
        if ahead.skip(b")").is_some() {
            *reader = ahead;
            return Some(());
        }
        ahead.skip(b" ")?;
    }
    None
}

/// A clock behind a date: after a blank, a comma, a word, a `T` or the colon of access logs.
fn clock_behind(reader: &mut DateReader<'_>) -> Option<(i64, i64)> {
    for between in names::BETWEEN {
        let mut ahead = *reader;
        if ahead.skip(between.as_bytes()).is_some()
            && let Some(found) = clock(&mut ahead)
        {
            *reader = ahead;
            return Some(found);
        }
    }
    None
}

fn moment(form: u8, days: [[i64; 3]; 2], reader: &mut DateReader<'_>) -> Option<Moment> {
    let (seconds, exact_s) = clock_behind(reader).unwrap_or((0, DAY_S));
    if reader.peek().is_ascii_alphanumeric() {
        return None;
    }
    let [first, second] = days.map(|day| at(day, seconds));
    let (first, second) = (first.or(second)?, second.or(first)?);
    Some(Moment { readings: [first, second], exact_s, length: reader.at, form })
}

/// The instant so many seconds after the start of a day.
fn at([year, month, day]: [i64; 3], seconds: i64) -> Option<Timestamp> {
    if !(1990..=2100).contains(&year) {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Counted in years that begin with March, so that a leap year's day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    let days = days_of_years + (153 * month + 2) / 5 + day - 1 - EPOCH_DAYS;
    Some(Timestamp::from_nanos((days * DAY_S + seconds) * crate::time::NANOS_PER_SEC))
}

/// Days from the first of March of the year 0 to 1970.
const EPOCH_DAYS: i64 = 719_468;
const DAY_S: i64 = 86_400;

/// `20261128T184000Z`, ISO 8601's basic form, and `20261128T18:40:00`; `20261128184000` and
/// `20261128-184000` as file names have it, perhaps with milliseconds.
fn basic(bytes: &[u8]) -> Option<Moment> {
    let mut reader = DateReader::new(bytes);
    let day = [reader.digits(4)?, reader.digits(2)?, reader.digits(2)?];
    let joiner = reader.peek();
    match joiner {
        b'T' | b'-' | b'_' => reader.at += 1,
        b'0'..=b'2' => {}
        _ => return None,
    }
    let hour = reader.digits(2)?;
    // XML-RPC writes `20261128T18:40:00`.
    let is_long = joiner == b'T' && reader.skip(b":").is_some();
    let minute = reader.digits(2)?;
    if is_long {
        reader.skip(b":")?;
    }
    let second = reader.digits(2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if reader.peek() == b'.' {
        reader.at += 1;
        reader.number(1..=9)?;
    } else if joiner != b'T' && reader.peek().is_ascii_digit() {
        reader.number(3..=3)?;
    }
    let seconds = (hour * 60 + minute) * 60 + second - zone(&mut reader);
    let found = at(day, seconds).filter(|_| !reader.peek().is_ascii_alphanumeric())?;
    let form = match joiner {
        b'0'..=b'9' => 0,
        _ if is_long => 9,
        _ => joiner | 128,
    };
    Some(Moment { readings: [found; 2], exact_s: 1, length: reader.at, form })
}

/// `2026-W48`, `2026-W48-6`, `2026W486`: a week of ISO 8601, or a day of it.
fn week(bytes: &[u8]) -> Option<Moment> {
    let mut reader = DateReader::new(bytes);
    let year = reader.digits(4)?;
    let is_long = reader.skip(b"-").is_some();
    reader.skip(b"W")?;
    let number = reader.digits(2).filter(|number| (1..=53).contains(number))?;
    let mut ahead = reader;
    let joined = !is_long || ahead.skip(b"-").is_some();
    let day = if joined { ahead.digits(1).filter(|day| (1..=7).contains(day)) } else { None };
    if day.is_some() {
        reader = ahead;
    }
    // The fourth of January is in the first week, which begins on a Monday.
    let fourth = at([year, 1, 4], 0)?;
    let days = fourth.nanos().div_euclid(DAY_S * crate::time::NANOS_PER_SEC);
    let weekday = (days + 3).rem_euclid(7);
    let first = fourth.plus(-weekday * DAY_S * crate::time::NANOS_PER_SEC);
    let passed = (number - 1) * 7 + day.unwrap_or(1) - 1;
    let found = first.plus(passed * DAY_S * crate::time::NANOS_PER_SEC);
    let exact_s = if day.is_some() { DAY_S } else { 7 * DAY_S };
    let form = if is_long { 7 } else { 8 };
    let ends = !reader.peek().is_ascii_alphanumeric();
    ends.then_some(Moment { readings: [found; 2], exact_s, length: reader.at, form })
}

/// `2026-332T18:40:00Z`: the day of the year (ISO 8601).
fn day_of_year(bytes: &[u8]) -> Option<Moment> {
    let mut reader = DateReader::new(bytes);
    let year = reader.number(4..=4)?;
    reader.skip(b"-")?;
    let day = reader.number(3..=3).filter(|day| (1..=366).contains(day))?;
    reader.skip(b"T")?;
    let (seconds, exact_s) = clock(&mut reader)?;
    let found = at([year, 1, 1], (day - 1) * DAY_S + seconds)?;
    let ends = !reader.peek().is_ascii_alphanumeric();
    ends.then_some(Moment { readings: [found; 2], exact_s, length: reader.at, form: 10 })
}

/// `2026年11月28日 18時40分`, `2026년 11월 28일`: each number with its word.
fn with_words(year: i64, mut reader: DateReader<'_>) -> Option<Moment> {
    let words = ["年", "月", "日", "년", "월", "일"].map(str::as_bytes);
    let own = if reader.skip(words[0]).is_some() { 0 } else { 3 };
    if own == 3 {
        reader.skip(words[3])?;
    }
    let _ = reader.skip(b" ");
    let month = reader.number(1..=2)?;
    reader.skip(words[own + 1])?;
    let _ = reader.skip(b" ");
    let day = reader.number(1..=2)?;
    reader.skip(words[own + 2])?;
    moment(11, [[year, month, day]; 2], &mut reader)
}

/// `2026/11/28`, `2026-11-28 18:40`, `2026.11.28`, `2026. 11. 28. 18:40`.
fn year_first(bytes: &[u8]) -> Option<Moment> {
    let mut reader = DateReader::new(bytes);
    let year = reader.number(4..=4)?;
    let joiner = reader.peek();
    if !joiner.is_ascii() {
        return with_words(year, reader);
    }
    if !matches!(joiner, b'-' | b'/' | b'.') {
        return None;
    }
    reader.at += 1;
    let wide = joiner == b'.' && reader.skip(b" ").is_some();
    let month = reader.number(1..=2)?;
    reader.skip(&[joiner])?;
    if wide {
        reader.skip(b" ")?;
    }
    let day = reader.number(1..=2)?;
    if wide {
        reader.skip(b".")?;
    }
    moment(joiner, [[year, month, day]; 2], &mut reader)
}

/// `28.11.2026`, `11/28/2026`, `28-11-2026`, `28 Nov 2026`, `28/Nov/2026`.
fn day_or_month_first(bytes: &[u8]) -> Option<Moment> {
    let mut reader = DateReader::new(bytes);
    let first = reader.number(1..=2)?;
    let joiner = reader.peek();
    if !matches!(joiner, b'.' | b'/' | b'-' | b' ') {
        return None;
    }
    reader.at += 1;
    if reader.peek() == b' ' {
        reader.at += 1;
    }
    if reader.peek().is_ascii_alphabetic() || !reader.peek().is_ascii() {
        reader.of();
        let month = reader.month()?;
        reader.at += 1;
        reader.of();
        // RFC 850 has two digits of the year.
        let year = match reader.number(4..=4) {
            Some(year) => year,
            None if joiner == b'-' => 2000 + reader.number(2..=2)?,
            None => return None,
        };
        return moment(2, [[year, month, first]; 2], &mut reader);
    }
    let second = reader.number(1..=2)?;
    reader.skip(&[joiner]).filter(|()| joiner != b' ')?;
    if joiner == b'.' {
        let _ = reader.skip(b" ");
    }
    let year = reader.number(4..=4)?;
    let days = match joiner {
        b'/' => [[year, first, second], [year, second, first]],
        _ => [[year, second, first]; 2],
    };
    moment(joiner | 128, days, &mut reader)
}

/// `Sun, 22 Nov 2026 10:00:00 GMT`, `Sunday, 22-Nov-26 10:00:00 GMT`; `Sat Nov 28 18:40:00 2026`,
/// `Sat Nov 28 2026 18:40:00 GMT+0000 (Coordinated Universal Time)`; `Nov. 28, 2026, 6:40 p.m.`,
/// `November 28, 2026`.
fn named(bytes: &[u8]) -> Option<Moment> {
    let mut reader = DateReader::new(bytes);
    let start = reader;
    let weekday = names::is_weekday(reader.any_word());
    if weekday {
        let _ = reader.skip(b",");
        reader.skip(b" ")?;
        if reader.peek().is_ascii_digit() {
            let inner = day_or_month_first(&bytes[reader.at..])?;
            return Some(Moment { length: inner.length + reader.at, form: 3, ..inner });
        }
    } else {
        reader = start;
    }
    // The month stands first in English alone.
    if !weekday && !bytes[0].is_ascii_uppercase() {
        return None;
    }
    let month = reader.month()?;
    reader.skip(b" ")?;
    let _ = reader.skip(b" ");
    let day = reader.number(1..=2)?;
    if weekday && reader.peek() == b' ' {
        reader.at += 1;
        if let Some(year) = reader.number(4..=4) {
            return moment(6, [[year, month, day]; 2], &mut reader);
        }
        // asctime: the clock stands before the year.
        let (seconds, exact_s) = clock(&mut reader)?;
        reader.skip(b" ")?;
        let year = reader.number(4..=4)?;
        let found = at([year, month, day], seconds)?;
        return Some(Moment { readings: [found; 2], exact_s, length: reader.at, form: 4 });
    }
    let _ = reader.skip(b",");
    reader.skip(b" ")?;
    let year = reader.number(4..=4)?;
    moment(5, [[year, month, day]; 2], &mut reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_their_usual_forms() {
        for (text, instant) in [
            ("20261128T184000Z", "2026-11-28T18:40:00Z"),
            ("20261128T18:40:00", "2026-11-28T18:40:00Z"),
            ("20261128T184000.123+0100", "2026-11-28T17:40:00Z"),
            ("28.11.2026", "2026-11-28T00:00:00Z"),
            ("28.11.2026 18:40", "2026-11-28T18:40:00Z"),
            ("11/28/2026", "2026-11-28T00:00:00Z"),
            ("11/28/2026, 6:40:05 PM", "2026-11-28T18:40:05Z"),
            ("2026/11/28 18:40:00", "2026-11-28T18:40:00Z"),
            ("Sat, 28 Nov 2026 18:40:00 GMT", "2026-11-28T18:40:00Z"),
            ("Sat Nov 28 18:40:00 2026", "2026-11-28T18:40:00Z"),
            ("28/Nov/2026:18:40:00 +0000", "2026-11-28T18:40:00Z"),
            ("Nov. 28, 2026, 6:40 p.m.", "2026-11-28T18:40:00Z"),
            ("November 28, 2026", "2026-11-28T00:00:00Z"),
            ("Nov 28, 2026 at 12:05 am", "2026-11-28T00:05:00Z"),
            ("28 November 2026 18:40", "2026-11-28T18:40:00Z"),
            ("2026-11-28 18:40", "2026-11-28T18:40:00Z"),
            ("2026-11-28.18:40:05", "2026-11-28T18:40:05Z"),
            ("20261128184000", "2026-11-28T18:40:00Z"),
            ("20261128184000123", "2026-11-28T18:40:00Z"),
            ("20261128-184000", "2026-11-28T18:40:00Z"),
            ("20261128_184000", "2026-11-28T18:40:00Z"),
            ("28. 11. 2026", "2026-11-28T00:00:00Z"),
            ("2026-W48-6", "2026-11-28T00:00:00Z"),
            ("2026W486", "2026-11-28T00:00:00Z"),
            ("2026-W48", "2026-11-23T00:00:00Z"),
            ("2026-W01-1", "2025-12-29T00:00:00Z"),
            ("2020-W53-5", "2021-01-01T00:00:00Z"),
            ("28. 11. 2026 18:40", "2026-11-28T18:40:00Z"),
            ("Saturday, 28-Nov-26 18:40:00 GMT", "2026-11-28T18:40:00Z"),
            ("28-Nov-26 18:40", "2026-11-28T18:40:00Z"),
            (
                "Sat Nov 28 2026 19:40:00 GMT+0100 (Central European Standard Time)",
                "2026-11-28T18:40:00Z",
            ),
            ("Sat Nov 28 2026", "2026-11-28T00:00:00Z"),
            ("Sat Nov 28 18:40:00 UTC 2026", "2026-11-28T18:40:00Z"),
            ("11/28/2026, 6:40:05\u{202f}PM", "2026-11-28T18:40:05Z"),
            ("Saturday, November 28, 2026 at 6:40 PM", "2026-11-28T18:40:00Z"),
            ("28. November 2026 um 18:40", "2026-11-28T18:40:00Z"),
            ("Samstag, 28. Dezember 2026, 18:40", "2026-12-28T18:40:00Z"),
            ("3. März 2026", "2026-03-03T00:00:00Z"),
            ("samedi 28 novembre 2026 à 18:40", "2026-11-28T18:40:00Z"),
            ("28/11/2026 à 18h40", "2026-11-28T18:40:00Z"),
            ("28 févr. 2026, 18:40", "2026-02-28T18:40:00Z"),
            ("1 août 2026", "2026-08-01T00:00:00Z"),
            ("sábado, 28 de noviembre de 2026, 18:40", "2026-11-28T18:40:00Z"),
            ("28 de março de 2026 às 18:40", "2026-03-28T18:40:00Z"),
            ("terça-feira, 24 de novembro de 2026 às 18:40", "2026-11-24T18:40:00Z"),
            ("lunedì 23 novembre 2026 alle ore 18:40", "2026-11-23T18:40:00Z"),
            ("zaterdag 28 november 2026 om 18:40", "2026-11-28T18:40:00Z"),
            ("28 listopada 2026 18:40", "2026-11-28T18:40:00Z"),
            ("2026年11月28日 18時40分", "2026-11-28T18:40:00Z"),
            ("2026年11月28日 18:40:05", "2026-11-28T18:40:05Z"),
            ("2026年11月28日 下午6:40", "2026-11-28T18:40:00Z"),
            ("2026년 11월 28일 오후 6:40", "2026-11-28T18:40:00Z"),
            ("2026. 11. 28. 오후 6:40:05", "2026-11-28T18:40:05Z"),
            ("2026. 11. 28. 18:40", "2026-11-28T18:40:00Z"),
            ("2026-332T18:40:00Z", "2026-11-28T18:40:00Z"),
        ] {
            let found = whole(text).map(|moment| moment.readings[0]);
            assert_eq!(found, Some(instant.parse().unwrap()), "{text}");
        }
        let both = whole("03/04/2026").unwrap().readings;
        assert_ne!(both[0], both[1], "a month and a day that may change places");
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "12",
            "1.2.3",
            "10.0.0.1",
            "May",
            "May day",
            "31.02.26",
            "99/99/2026",
            "March 5",
            "12:30",
            "20261128",
            "Sunday lunch",
            "1/2",
            "28.11.20266",
            "2026.11.28.18",
            "Mayor 1, 2026x",
            "20261128284000",
            "2026112818400",
            "2026112818400012",
            "20261328184000",
            "20261128-1840",
            "28 Nov 26",
            "2026-332",
            "2026-367T18:40:00Z",
            "mars 2026",
            "a marzo 28 2026",
            "2026年11月",
            "24h48",
            "1h30 de 2026",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_ends_in_a_panic(
            text in "[0-9A-Za-z:/., +-]{0,40}|[0-9年月日時분월일 .à:mars-]{0,30}",
        ) {
            let _ = at_start(&text);
        }
    }
}
