//! What a comparison knows beside the two answers, and what that says of two values: whether both
//! are as far from their requests, or of a kind whose values vary by themselves.

use std::cell::{Cell, OnceCell};
#[cfg(test)]
use std::sync::LazyLock;

use super::bindings::Bound;
use super::rules::RouteRules;
use crate::limits;
use crate::message::Request;
use crate::message::ages::{self, Age};
use crate::message::dates;
use crate::message::kinds::{self, ValueKind};
use crate::message::protobuf::Readings;
use crate::redact::Masker;
use crate::steps;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// A day.
const DAY_NS: i64 = 86_400 * NANOS_PER_SEC;

/// What a change looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Look {
    /// Like a change.
    Plain,
    /// Both sides have this kind, whose values may vary by themselves.
    Kind(ValueKind),
    /// Both sides are texts that are equal but for parts of one kind.
    Within(ValueKind),
    /// Two lists of new ids in another order: whether that is none in v1's, and in v2's.
    Shuffled([bool; 2]),
    /// What the replay itself causes: not held against v2.
    Excused,
    /// What v1's answer says of itself does not hold in v2's: only told where it always holds in
    /// v1's.
    Tie,
}

/// What a comparison knows beside the two answers.
pub struct Context<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// When v1 was asked.
    pub expected_at: Timestamp,
    /// When v2 was asked; none where that is not known.
    pub actual_at: Option<Timestamp>,
    /// Tells the authorities (lower case) that are v1 itself, and those that are v2: few
    /// comparisons ask.
    pub hosts: &'a dyn Fn() -> [Vec<String>; 2],
    /// Whether the replay asks in clear what v1 was asked by HTTPS: links may then lose theirs.
    pub in_clear: bool,
    /// The rules of the route.
    pub rules: &'a RouteRules,
    /// How messages of Protocol Buffers are read.
    pub readings: &'a Readings,
    /// Hides secrets.
    pub masker: &'a Masker,
    /// What v2 issued in the place of v1's values.
    pub bound: Option<Bound<'a>>,
    /// What is known of the request's bytes.
    pub asked: Asked,
}

/// What a request says, for the many values of an answer that ask whether it named them.
#[derive(Default)]
pub struct Asked {
    /// A bit for the hash of each run of eight bytes in it: where one of a value's is missing, so
    /// is the value.
    runs: OnceCell<Vec<u64>>,
    /// Bytes that were looked through so far.
    looked: Cell<usize>,
}

/// Bytes of a run.
const RUN: usize = 8;
/// Bytes of a request that are looked through without knowing its runs.
const SMALL: usize = 4 << 10;

impl Asked {
    pub(super) fn names(&self, request: &Request, value: &[u8]) -> bool {
        let parts = [&request.target[..], &request.body.bytes[..]];
        let bytes = parts.iter().map(|part| part.len()).sum();
        if bytes > SMALL && value.len() >= RUN {
            let runs = self.runs.get_or_init(|| {
                steps::add(bytes);
                let mut runs = vec![0; (bytes / 8).next_power_of_two()];
                for run in parts.iter().flat_map(|part| part.windows(RUN)) {
                    let (word, bit) = Self::place(run, runs.len());
                    runs[word] |= 1 << bit;
                }
                runs
            });
            steps::add(value.len());
            let is_there = |run| {
                let (word, bit) = Self::place(run, runs.len());
                runs[word] & 1 << bit != 0
            };
            if !value.windows(RUN).all(is_there) {
                return false;
            }
        }
        let looked = self.looked.get().saturating_add(bytes);
        self.looked.set(looked);
        if looked > limits::ASKED_BYTES {
            return true;
        }
        steps::add(bytes);
        parts.iter().any(|part| memchr::memmem::find(part, value).is_some())
    }

    /// The word and the bit of a run, among so many words (a power of two).
    fn place(run: &[u8], words: usize) -> (usize, u32) {
        let run = u64::from_le_bytes(run.try_into().expect("a run has its length"));
        let hash = run.wrapping_mul(0x9e37_79b1_85eb_ca87);
        // Digits differ in few bits: once is not enough to spread them.
        let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        ((hash >> 32) as usize & (words - 1), (hash >> 58) as u32)
    }
}

impl Context<'_> {
    /// What the change from `a` to `b` looks like.
    pub fn look(&self, a: &str, b: &str, number: bool) -> Look {
        let kind = if number { kinds::of_number } else { kinds::of_text };
        match (kind(a), kind(b)) {
            (Some(kind), Some(other)) if kind == other => self.same_kind(kind, a, b),
            _ if number => Look::Plain,
            _ if self.are_ages(a, b) => Look::Kind(ValueKind::Moment),
            _ => self.within(a, b).map_or(Look::Plain, Look::Within),
        }
    }

    /// What the change of one value looks like.
    pub(super) fn look_of_value(&self, a: &str, b: &str) -> Look {
        match (kinds::of_text(a), kinds::of_text(b)) {
            (Some(kind), Some(other)) if kind == other => self.same_kind(kind, a, b),
            _ if self.are_clocks(a, b) => Look::Kind(ValueKind::Moment),
            _ => Look::Plain,
        }
    }

    fn same_kind(&self, kind: ValueKind, a: &str, b: &str) -> Look {
        let varies = match kind {
            kind if kind.is_time() => self.same_time(kind, a, b),
            // It was signed anew: an equal one is of the same second.
            ValueKind::Signed => true,
            ValueKind::Uuid(_) | ValueKind::Hex(_) if other_case(a, b) => false,
            _ => !self.asked_for(a),
        };
        if varies { Look::Kind(kind) } else { Look::Plain }
    }

    /// Whether two times stand in the same relation to their requests.
    fn same_time(&self, kind: ValueKind, a: &str, b: &str) -> bool {
        if kind == ValueKind::Moment {
            return match (dates::whole(a), dates::whole(b)) {
                (Some(a), Some(b)) if a.is_like(&b) => {
                    let exact = if a.exact_s > 1 { a.exact_s * NANOS_PER_SEC } else { 0 };
                    let mut pairs = a.readings.into_iter().zip(b.readings);
                    pairs.any(|(a, b)| match exact {
                        DAY_NS => self.days_moved(a, b),
                        _ => self.same_distance(a, b, exact),
                    })
                }
                _ => false,
            };
        }
        match (kinds::instant_of(kind, a), kinds::instant_of(kind, b)) {
            // A date has no time of day.
            (Some(a), Some(b)) if kind == ValueKind::Date => self.days_moved(a, b),
            (Some(a), Some(b)) => self.same_distance(a, b, 0),
            _ => false,
        }
    }

    /// Whether two words are the times of day of two requests. One that is exact to the second says
    /// so by itself; `10:30` may be when a shop opens, and must have moved as the requests did.
    fn are_clocks(&self, a: &str, b: &str) -> bool {
        const DAY: i64 = 86_400;
        /// How long before the answer it may have been: clocks, and how long an answer takes.
        const SLACK_S: i64 = 5;
        if clock(a) && clock(b) {
            return true;
        }
        let (Some((a, 60)), Some((b, 60)), Some(at)) =
            (dates::clock_whole(a), dates::clock_whole(b), self.actual_at)
        else {
            return false;
        };
        let moved = at.since(self.expected_at) / NANOS_PER_SEC;
        let apart = (b - a - moved).rem_euclid(DAY);
        apart.min(DAY - apart) < 60 + SLACK_S
    }

    /// Whether two texts are equal but for how long ago something was.
    fn are_ages(&self, a: &str, b: &str) -> bool {
        const LONGEST: usize = 4 << 10;
        if a.len().max(b.len()) > LONGEST {
            return false;
        }
        let (left, right) = (ages::ages(a), ages::ages(b));
        let between = |text: &'_ str, all: &[Age]| -> Vec<String> {
            let starts = std::iter::once(0).chain(all.iter().map(|age| age.range.end));
            let ends = all.iter().map(|age| age.range.start).chain([text.len()]);
            starts.zip(ends).map(|(start, end)| text[start..end].to_owned()).collect()
        };
        !left.is_empty()
            && left.len() == right.len()
            && left.iter().zip(&right).all(|(a, b)| self.same_age(a, b))
            && between(a, &left) == between(b, &right)
    }

    /// Whether two texts beside a date each say how long ago it was.
    pub(super) fn are_bare_ages(&self, a: &str, b: &str) -> bool {
        let (a, b) = (ages::bare(a.trim()), ages::bare(b.trim()));
        a.zip(b).is_some_and(|(a, b)| self.same_age(&a, &b))
    }

    fn same_age(&self, a: &Age, b: &Age) -> bool {
        let Some(actual_at) = self.actual_at else { return false };
        let ago = |at: Timestamp, age: &Age| {
            at.plus(age.seconds.saturating_mul(NANOS_PER_SEC).saturating_neg())
        };
        let exact = a.exact_s.max(b.exact_s).saturating_mul(NANOS_PER_SEC);
        let (then, other) = (ago(self.expected_at, a), ago(actual_at, b));
        // v2's data may have been made for the replay, or be those that v1 had.
        self.same_distance(then, other, exact)
            || then.since(other).saturating_abs() <= exact.saturating_mul(2)
    }

    /// Whether a time was in the year before v1 was asked.
    pub(super) fn is_of_last_year(&self, at: Timestamp) -> bool {
        const YEAR: i64 = 366 * DAY_NS;
        const SLACK: i64 = 60 * NANOS_PER_SEC;
        (-SLACK..=YEAR).contains(&self.expected_at.since(at))
    }

    /// Whether v1 made a time while it answered, and v2 long before or after.
    pub(super) fn is_stale(&self, a: Timestamp, b: Timestamp) -> bool {
        const FRESH: i64 = 60 * NANOS_PER_SEC;
        let is_fresh = a.since(self.expected_at).saturating_abs() <= FRESH;
        is_fresh && self.actual_at.is_some() && !self.same_distance(a, b, 0)
    }

    /// Whether two instants are both near their requests, or both as far from them. `exact` is how
    /// exact they are, where that is coarse.
    fn same_distance(&self, a: Timestamp, b: Timestamp, exact: i64) -> bool {
        /// Both as near as this: made while answering, or not long before.
        const NEAR: i64 = 600 * NANOS_PER_SEC;
        let Some(actual_at) = self.actual_at else { return false };
        let (a, b) = (a.since(self.expected_at), b.since(actual_at));
        let slack = if exact > 0 { exact } else { self.slack(a, actual_at) };
        a.saturating_abs().max(b.saturating_abs()) <= NEAR
            || a.saturating_sub(b).saturating_abs() <= slack
    }

    /// Whether a day moved as the requests did: by as many midnights as lie between them in any
    /// zone of the world. Minutes have one of them only where an hour, or a quarter of one, begins
    /// between them.
    fn days_moved(&self, a: Timestamp, b: Timestamp) -> bool {
        const QUARTER: i64 = 900 * NANOS_PER_SEC;
        /// Zones are from twelve hours behind UTC to fourteen before it.
        const ZONES: std::ops::RangeInclusive<i64> = -12 * 4..=14 * 4;
        let Some(actual_at) = self.actual_at else { return false };
        let moved = b.since(a) / DAY_NS;
        let slack = self.slack(a.since(self.expected_at), actual_at);
        let day =
            |at: Timestamp, zone: i64| at.nanos().saturating_add(zone * QUARTER).div_euclid(DAY_NS);
        ZONES.into_iter().any(|zone| {
            let least = day(actual_at, zone) - day(self.expected_at.plus(slack), zone);
            let most = day(actual_at.plus(slack), zone) - day(self.expected_at, zone);
            (least..=most).contains(&moved)
        })
    }

    /// How far two distances from their requests may be apart: by clocks, by how long an answer
    /// takes, and by 2 %. What did not move as the requests did stays as far from that as it is far
    /// away.
    fn slack(&self, distance: i64, actual_at: Timestamp) -> i64 {
        const SLACK: i64 = 5 * NANOS_PER_SEC;
        const LEAST: i64 = 60 * NANOS_PER_SEC;
        let most = (actual_at.since(self.expected_at).saturating_abs() / 4).max(LEAST);
        SLACK + (distance.saturating_abs() / 50).min(most)
    }

    /// Whether the request itself names the value: then it is no accident.
    pub(super) fn asked_for(&self, value: &str) -> bool {
        self.asked.names(self.request, value.as_bytes())
    }

    /// The kind of the parts in which two texts differ, where each pair of parts has one kind and
    /// all else is equal.
    fn within(&self, a: &str, b: &str) -> Option<ValueKind> {
        const LONGEST: usize = 16 << 10;
        if a.len().max(b.len()) > LONGEST {
            return None;
        }
        let mut found = None;
        let (mut left, mut right) = (words(a), words(b));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return found,
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) if self.are_clocks(a, b) => {
                    found = found.or(Some(ValueKind::Rfc3339))
                }
                (Some(a), Some(b)) => match (kinds::of_text(a), kinds::of_text(b)) {
                    (Some(kind), Some(other)) if kind == other => {
                        if kind.is_time() && !self.same_time(kind, a, b)
                            || !kind.is_time() && self.asked_for(a)
                        {
                            return None;
                        }
                        found = Some(kind);
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }
}

/// Whether one of two values has capitals alone, and the other one small letters.
fn other_case(a: &str, b: &str) -> bool {
    let case = |text: &str| {
        let small = text.bytes().any(|byte| byte.is_ascii_lowercase());
        let capital = text.bytes().any(|byte| byte.is_ascii_uppercase());
        (small != capital).then_some(small)
    };
    case(a).zip(case(b)).is_some_and(|(a, b)| a != b)
}

/// Words and what stands between them, in turn.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+');
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = part(rest.chars().next()?);
        let end = rest.find(|c| part(c) != first).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

/// `10:00:00`, perhaps with a fraction.
fn clock(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 8
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            8 => *byte == b'.',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
impl<'a> Context<'a> {
    /// What tests compare with: no rules, nothing bound, nothing hidden.
    pub(super) fn plain(request: &'a Request) -> Self {
        static RULES: LazyLock<RouteRules> = LazyLock::new(RouteRules::default);
        static READINGS: LazyLock<Readings> = LazyLock::new(Readings::default);
        static MASKER: Masker = Masker::off();
        Self {
            request,
            expected_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            actual_at: None,
            hosts: &Default::default,
            in_clear: false,
            rules: &RULES,
            readings: &READINGS,
            masker: &MASKER,
            bound: None,
            asked: Asked::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_moves_by_midnights_and_by_nothing_else() {
        let request = Request::default();
        let dates = [
            ["2024-09-11", "2024-09-12"],
            ["11.09.2024", "12.09.2024"],
            ["September 11, 2024", "September 12, 2024"],
            ["2027-01-31", "2027-02-01"],
        ];
        for (expected_at, actual_at, is_noise) in [
            // No hour and no quarter of one begins between them: it was midnight nowhere.
            ("2026-11-22T10:07:00Z", "2026-11-22T10:09:00Z", false),
            ("2026-11-22T23:40:00Z", "2026-11-23T00:20:00Z", true),
            ("2026-11-22T10:07:00Z", "2026-11-23T10:09:00Z", true),
            ("2026-11-22T10:07:00Z", "2026-11-25T10:09:00Z", false),
        ] {
            let context = Context {
                expected_at: expected_at.parse().unwrap(),
                actual_at: Some(actual_at.parse().unwrap()),
                ..Context::plain(&request)
            };
            for [a, b] in dates {
                let look = context.look(a, b, false);
                assert_eq!(look != Look::Plain, is_noise, "{a} {b}, {expected_at} to {actual_at}");
            }
        }
    }
}
