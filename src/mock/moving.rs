//! Times that writes say, and whether v2's may stand for v1's: the same time, both about now, or as
//! far from v2's clock as v1's is from its own. What a birthday or a day of delivery says moves with
//! no clock.

use crate::message::dates;
use crate::message::kinds::{self, ValueKind};
use crate::time::Timestamp;

/// In milliseconds, as all times here.
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// How far two clocks may be apart, and how long v2 may take to make a call.
const SLACK: i64 = 2 * MINUTE;
/// So long after the recording a day more or less tells nothing: zones and hours of the day differ.
const LONG_AFTER: i64 = 7 * DAY;
/// Days of the calendar (the first of next month) that are farther away do not move with it.
const CALENDAR: i64 = 400 * DAY;

/// A time as a value says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SaidTime {
    millis: i64,
    /// How many days further it is where the day stands before the month.
    other: i16,
    is_day: bool,
}

/// When v1 and v2 said something, and since when they did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    pub(super) v1: Timestamp,
    pub(super) v1_since: Timestamp,
    pub(super) v2: Timestamp,
    pub(super) v2_since: Timestamp,
}

impl SaidTime {
    /// The time that a text of a kind says; none where it says how long something took.
    pub(super) fn of(kind: ValueKind, text: &str) -> Option<Self> {
        if kind == ValueKind::Moment {
            let moment = dates::whole(text)?;
            let [first, second] = moment.readings.map(millis);
            let other = i16::try_from((second - first) / DAY).unwrap_or(0);
            return Some(Self { millis: first, other, is_day: moment.exact_s >= DAY });
        }
        let millis = millis(kinds::instant_of(kind, text)?);
        Some(Self { millis, other: 0, is_day: kind == ValueKind::Date })
    }

    /// As one number, and back.
    pub(super) const fn pack(self) -> u64 {
        (self.millis as u64) << 17 | (self.other as u16 as u64) << 1 | self.is_day as u64
    }

    /// The time that [`Self::pack`] wrote.
    pub(super) const fn unpack(packed: u64) -> Self {
        Self {
            millis: (packed as i64) >> 17,
            other: (packed >> 1) as u16 as i16,
            is_day: packed & 1 == 1,
        }
    }

    /// Whether it is about the time of a call, or its day.
    pub(super) fn is_near(self, at: Timestamp) -> bool {
        self.readings().into_iter().any(|time| self.is_between(time, at, at))
    }

    /// Whether both may mean one instant.
    pub(super) fn is_same(self, other: Self) -> bool {
        self.pairs(other).into_iter().any(|(mine, theirs)| mine == theirs)
    }

    fn readings(self) -> [i64; 2] {
        [self.millis, self.millis + i64::from(self.other) * DAY]
    }

    /// Both with the same one of their readings.
    fn pairs(self, other: Self) -> [(i64, i64); 2] {
        let [(a, b), (x, y)] = [self, other].map(|one| one.readings().into());
        [(a, x), (b, y)]
    }

    const fn slack(self) -> i64 {
        if self.is_day { 36 * HOUR } else { HOUR }
    }

    fn is_between(self, time: i64, from: Timestamp, to: Timestamp) -> bool {
        (millis(from) - self.slack()..=millis(to) + self.slack()).contains(&time)
    }
}

impl Clocks {
    /// Whether v2's time may stand for v1's.
    pub(super) fn admit(&self, mine: SaidTime, theirs: SaidTime) -> bool {
        mine.pairs(theirs).into_iter().any(|(at, then)| {
            at == then
                || self.are_about_now((mine, at), (theirs, then))
                || self.moved(at, then, mine.is_day && theirs.is_day)
        })
    }

    /// Whether both are times of the run that says them. v2 may be run at the recorded time.
    fn are_about_now(&self, (mine, at): (SaidTime, i64), (theirs, then): (SaidTime, i64)) -> bool {
        theirs.is_between(then, self.v1_since, self.v1)
            && (mine.is_between(at, self.v2_since, self.v2)
                || mine.is_between(at, self.v1_since, self.v1))
    }

    /// Whether a time is as far from v2's clock as v1's is from its own.
    fn moved(&self, at: i64, then: i64, are_days: bool) -> bool {
        let [v1, v2] = [self.v1, self.v2].map(millis);
        let (by, clock) = (at - then, v2 - v1);
        let is_long_after = clock.abs() > LONG_AFTER;
        // Of a time that is rounded to hours as much as that may be missing.
        let are_whole = |unit: i64| at % unit == 0 && then % unit == 0;
        let slack = if are_whole(HOUR) { HOUR } else { SLACK };
        if !are_days && (by - clock).abs() <= slack {
            return true;
        }
        // v2 may be run at the recorded time. A number that is far from that may count anything.
        let is_around = (then - v1).abs() <= CALENDAR;
        if is_around && !are_whole(MINUTE) && by.abs() <= SLACK {
            return true;
        }
        // The same hour of another day; in summer another one of UTC than in winter.
        let days = (by + DAY / 2).div_euclid(DAY);
        let by_hours = (by - days * DAY).abs();
        let passed = v2.div_euclid(DAY) - v1.div_euclid(DAY);
        let is_same_hour = by_hours == 0 || is_long_after && by_hours == HOUR;
        if is_same_hour && (days - passed).abs() <= i64::from(is_long_after) {
            return true;
        }
        is_same_hour
            && (then - v1).abs() <= CALENDAR
            && is_same_day_of_later_month(at, then, v1, v2)
    }
}

/// Whether two are the first or the last day of months that are as far apart as the clocks' are.
fn is_same_day_of_later_month(at: i64, then: i64, v1: i64, v2: i64) -> bool {
    let passed = month(v2) - month(v1);
    let begins = |time: i64| month(time - DAY) != month(time);
    let ends = |time: i64| begins(time + DAY);
    passed != 0
        && month(at) - month(then) == passed
        && (begins(at) && begins(then) || ends(at) && ends(then))
}

/// The number of the month that a time is in.
fn month(time: i64) -> i64 {
    let text = Timestamp::from_nanos(time.saturating_mul(NANOS)).rfc3339();
    let number = |digits: &[u8]| {
        digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')))
    };
    number(&text[..4]) * 12 + number(&text[5..7])
}

fn millis(time: Timestamp) -> i64 {
    time.nanos().div_euclid(NANOS)
}

/// Of a millisecond.
const NANOS: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> SaidTime {
        let kind = kinds::of_number(text).or_else(|| kinds::of_text(text)).expect("a time");
        SaidTime::of(kind, text).expect("a time")
    }

    fn clocks(v1: &str, v2: &str) -> Clocks {
        let [v1, v2] = [v1, v2].map(|text| text.parse().expect("a time"));
        Clocks { v1, v1_since: v1, v2, v2_since: v2 }
    }

    #[test]
    fn times_of_now_and_times_that_move_with_the_clock_may_differ() {
        for (v1, v2, theirs, mine) in [
            // Now, in each form.
            ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z", "2026-09-21", "2026-11-30"),
            ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z", "1790000000", "1796072400"),
            (
                "2026-09-21T13:33:20Z",
                "2026-11-30T21:00:00Z",
                "2026-09-21T13:33:19.5Z",
                "2026-11-30T22:00:01+01:00",
            ),
            // In a fortnight, in two hours, in three months, at ten the day after tomorrow.
            ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z", "2026-10-05", "2026-12-14"),
            (
                "2026-09-21T13:33:20Z",
                "2026-11-30T21:00:00Z",
                "2026-09-21T15:33:20Z",
                "2026-11-30T23:00:01Z",
            ),
            (
                "2026-09-21T13:33:20Z",
                "2026-11-30T21:00:00Z",
                "2026-09-23T10:00:00Z",
                "2026-12-02T10:00:00Z",
            ),
            // The first and the last of next month.
            ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z", "2026-10-01", "2026-12-01"),
            ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z", "31.10.2026", "31.12.2026"),
            // Ten o'clock in Berlin, in summer and in winter.
            (
                "2026-10-20T09:00:00Z",
                "2026-11-03T09:00:00Z",
                "2026-10-23T08:00:00Z",
                "2026-11-06T09:00:00Z",
            ),
            // v2 is run at the recorded time.
            (
                "2026-09-21T13:33:20Z",
                "2026-11-30T21:00:00Z",
                "2026-10-05T13:33:20Z",
                "2026-10-05T13:33:41Z",
            ),
            ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z", "12/24/2026", "12/24/2026"),
        ] {
            assert!(clocks(v1, v2).admit(said(mine), said(theirs)), "{theirs} {mine}");
        }
    }

    #[test]
    fn what_moves_with_no_clock_is_another_time() {
        let (v1, v2) = ("2026-09-21T13:33:20Z", "2026-11-30T21:00:00Z");
        for (theirs, mine) in [
            ("2026-12-24", "2027-12-24"),
            ("2026-12-24", "2026-12-25"),
            ("2026-12-24", "2026-12-23"),
            ("1990-05-01", "1991-05-01"),
            ("1990-05-01", "1990-07-01"),
            ("2028-05-01", "2028-06-01"),
            ("12/24/2026", "12/25/2026"),
            ("31.12.2026", "31.12.2027"),
            ("1798761600", "1798848000"),
            ("2026-12-24T10:00:00Z", "2026-12-24T22:00:00Z"),
            ("2026-12-24T10:00:00Z", "2026-12-25T10:00:00Z"),
            // Numbers that are no times.
            ("1234567890", "1234567891"),
            ("1541815603606", "1541815603607"),
            // v1 says now, v2 a year ago.
            ("2026-09-21T13:33:20Z", "2025-11-30T21:00:00Z"),
        ] {
            assert!(!clocks(v1, v2).admit(said(mine), said(theirs)), "{theirs} {mine}");
        }
        // A replay on the same day moves no day.
        let same = clocks("2026-09-21T09:00:00Z", "2026-09-21T13:00:00Z");
        assert!(!same.admit(said("2026-12-25"), said("2026-12-24")));
        assert!(same.admit(said("2026-12-24"), said("2026-12-24")));
    }

    #[test]
    fn times_are_kept_as_numbers() {
        for text in ["1960-05-01", "2026-12-24T10:00:00Z", "05/01/2026", "1798761600"] {
            let time = said(text);
            assert_eq!(SaidTime::unpack(time.pack()), time, "{text}");
        }
    }
}
