//! How long ago something was, as pages say it: `13 seconds ago`, `about 2 hours ago`, `just now`.
//! It is counted from when the page was made, so that it says when, as a date does. And how long
//! something took or runs: `1.2 ms`, `took 3s`, `3 days, 2:10`.

use std::ops::Range;

/// Units by their stems, with their seconds.
const UNITS: [(&str, i64); 15] = [
    ("second", 1),
    ("sec", 1),
    ("minute", MINUTE),
    ("min", MINUTE),
    ("hour", HOUR),
    ("hr", HOUR),
    ("day", DAY),
    ("week", 7 * DAY),
    ("month", 30 * DAY),
    ("year", 365 * DAY),
    ("s", 1),
    ("m", MINUTE),
    ("h", HOUR),
    ("d", DAY),
    ("w", 7 * DAY),
];
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Words before an amount that say how exact it is.
const ABOUT: [&str; 9] =
    ["about", "almost", "around", "nearly", "over", "less", "more", "than", "half"];
/// Amounts of one age: `1 year, 2 months ago`.
const AMOUNTS: usize = 3;

/// Amounts of one span of time, and units that no age has.
const SPAN_AMOUNTS: usize = 6;
const SMALL: [&str; 5] = ["ms", "us", "µs", "ns", "millis"];

/// How long ago something was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Age {
    /// Where it stands in the text.
    pub range: Range<usize>,
    /// In seconds.
    pub seconds: i64,
    /// How exact it is, in seconds: its smallest unit.
    pub exact_s: i64,
}

/// The ages that a text says, one behind the other.
pub fn ages(text: &str) -> Vec<Age> {
    let words: Vec<Range<usize>> = words(text).collect();
    let mut found = Vec::new();
    let mut free = 0;
    for (at, range) in words.iter().enumerate() {
        let word = |at: usize| &text[words[at].clone()];
        let age = if word(at) == "ago" {
            amounts(at, free, &word)
        } else if word(at).eq_ignore_ascii_case("now") && at > free && is_just(word(at - 1)) {
            Some((at - 1, 0, MINUTE))
        } else {
            None
        };
        if let Some((first, seconds, exact_s)) = age {
            found.push(Age { range: words[first].start..range.end, seconds, exact_s });
            free = at + 1;
        }
    }
    found
}

/// The age that a whole text is, without `ago`: only what stands around it tells that it is none
/// of how long something takes.
pub fn bare(text: &str) -> Option<Age> {
    let text = text.trim_end();
    let words: Vec<Range<usize>> = words(text).collect();
    let word = |at: usize| &text[words[at].clone()];
    let (first, seconds, exact_s) = amounts(words.len(), 0, &word)?;
    (first == 0).then(|| Age { range: words[0].start..text.len(), seconds, exact_s })
}

/// Whether a whole text says how long something takes or runs, in several units or as a clock:
/// `0h 53m 12s`, `3 days, 2:10`, `1d 02:10:05`.
pub fn is_span(text: &str) -> bool {
    let mut rest = text.trim();
    // ISO 8601: `PT0.012S`. What was planned has no fractions.
    if let Some(iso) = rest.strip_prefix("PT") {
        let of = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'H' | 'M' | 'S');
        let is_exact = iso.ends_with('S') && iso.contains('.');
        return is_exact && iso.starts_with(|c: char| c.is_ascii_digit()) && iso.chars().all(of);
    }
    let mut amounts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let behind = &rest[digits..];
        if digits == 0 || amounts >= SPAN_AMOUNTS {
            return false;
        }
        if let Some(clock) = behind.strip_prefix(':') {
            // A clock is the last of it.
            let parts: Vec<&str> = clock.split([':', '.']).collect();
            let is_part =
                |part: &&str| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty();
            return parts[0].len() == 2 && parts.len() <= 3 && parts.iter().all(is_part);
        }
        let behind = match behind.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => behind,
        };
        let word = behind.trim_start();
        let length = word.find(|c: char| !c.is_alphabetic()).unwrap_or(word.len());
        if length == 0 || unit(&word[..length]).is_none() && !SMALL.contains(&&word[..length]) {
            return false;
        }
        amounts += 1;
        rest = word[length..].trim_start_matches([',', ' ']);
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
    amounts > 0
}

/// A time that something took, as a text says it: `took 3s`, `done in 0.004 seconds`.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Where it stands, with its unit.
    pub range: Range<usize>,
    /// In nanoseconds.
    pub nanos: f64,
}

/// What a text says that something took: a number with a unit behind words that say so. Without
/// them it may be a setting, a delivery, a film.
pub fn taken(text: &str) -> Vec<Taken> {
    const UNITS: [(&str, f64); 17] = [
        ("ns", 1.0),
        ("nanoseconds", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("usec", 1e3),
        ("microseconds", 1e3),
        ("ms", 1e6),
        ("msec", 1e6),
        ("msecs", 1e6),
        ("millis", 1e6),
        ("milliseconds", 1e6),
        ("s", 1e9),
        ("sec", 1e9),
        ("secs", 1e9),
        ("second", 1e9),
        ("seconds", 1e9),
    ];
    /// Longest number, in bytes.
    const LONGEST: usize = 24;
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) {
        let number =
            bytes[start..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let end = start + number;
        at = end;
        let is_inside = start > 0
            && (bytes[start - 1].is_ascii_alphanumeric()
                || b"-_+/~%.,:".contains(&bytes[start - 1])
                || bytes[start - 1] >= 0x80);
        if is_inside || number > LONGEST {
            continue;
        }
        let Ok(value) = text[start..end].parse::<f64>() else { continue };
        let unit = end + usize::from(bytes.get(end) == Some(&b' '));
        let length = text[unit..].find(|c: char| !c.is_alphabetic()).unwrap_or(text.len() - unit);
        let goes_on = bytes.get(unit + length).is_some_and(|b| b.is_ascii_digit() || *b == b'_');
        let name = &text[unit..unit + length];
        let Some((_, nanos)) = UNITS.iter().find(|(own, _)| *own == name).filter(|_| !goes_on)
        else {
            continue;
        };
        if is_said_to_take(&text[..start]) {
            found.push(Taken { range: start..unit + length, nanos: value * nanos });
            at = unit + length;
        }
    }
    found
}

/// Whether the words before an amount say that something took so long.
fn is_said_to_take(before: &str) -> bool {
    const WORDS: [&str; 4] = ["took", "takes", "elapsed", "runtime"];
    /// What is done `in` a time.
    const DONE: [&str; 20] = [
        "made",
        "done",
        "finished",
        "completed",
        "generated",
        "created",
        "rendered",
        "processed",
        "loaded",
        "served",
        "executed",
        "answered",
        "returned",
        "built",
        "compiled",
        "succeeded",
        "failed",
        "request",
        "response",
        "results",
    ];
    let is_done = |word: &str| DONE.iter().any(|own| word.eq_ignore_ascii_case(own));
    let mut words = before
        .rsplit(|c: char| !c.is_alphanumeric())
        .filter(|word| word.starts_with(char::is_alphabetic));
    let last = words.next().unwrap_or_default().to_ascii_lowercase();
    match &*last {
        // When it was done may stand between: `rendered on 2026-11-29 at 10:00:00Z in 3 ms`.
        "in" => words.find(|word| !is_of_time(word)).is_some_and(is_done),
        // As databases say it: `1 row in set (0.02 sec)`.
        "set" => words.next().is_some_and(|word| word.eq_ignore_ascii_case("in")),
        word => WORDS.contains(&word) || before.ends_with('(') && is_done(word),
    }
}

/// Whether a word is a part of when something was: `on`, `Nov`, `Sunday`, `UTC`.
fn is_of_time(word: &str) -> bool {
    const WORDS: [&str; 8] = ["on", "at", "utc", "gmt", "am", "pm", "cet", "cest"];
    const NAMES: [&str; 19] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mon",
        "tue", "wed", "thu", "fri", "sat", "sun",
    ];
    let is_begun =
        |name: &&str| word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name));
    WORDS.iter().any(|own| word.eq_ignore_ascii_case(own)) || NAMES.iter().any(is_begun)
}

fn is_just(word: &str) -> bool {
    ["just", "right"].iter().any(|own| word.eq_ignore_ascii_case(own))
}

/// What the words before `end` and not before `from` say: where they begin, the seconds, and the
/// smallest unit.
fn amounts<'t>(
    end: usize,
    from: usize,
    word: &dyn Fn(usize) -> &'t str,
) -> Option<(usize, i64, i64)> {
    let (mut at, mut seconds, mut exact_s) = (end, 0_i64, i64::MAX);
    for _ in 0..AMOUNTS {
        let before = if at > from && at < end && word(at - 1) == "and" { at - 1 } else { at };
        let Some((first, count, unit)) = amount(before, from, word) else { break };
        at = first;
        seconds = seconds.saturating_add(count.saturating_mul(unit));
        exact_s = exact_s.min(unit);
    }
    if at == end {
        return None;
    }
    while at > from && ABOUT.iter().any(|own| word(at - 1).eq_ignore_ascii_case(own)) {
        at -= 1;
    }
    Some((at, seconds, exact_s))
}

/// An amount before `end`: where it begins, how many, and of how many seconds.
fn amount<'t>(
    end: usize,
    from: usize,
    word: &dyn Fn(usize) -> &'t str,
) -> Option<(usize, i64, i64)> {
    let last = end.checked_sub(1).filter(|last| *last >= from)?;
    let text = word(last);
    if text == "moments" {
        let few = last > from && word(last - 1) == "few";
        let article = few && last > from + 1 && word(last - 2).eq_ignore_ascii_case("a");
        return Some((last - usize::from(few) - usize::from(article), 0, MINUTE));
    }
    // `5h`, `12min`.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return Some((last, text[..digits].parse().ok()?, unit(&text[digits..])?));
    }
    let unit = unit(text).filter(|_| text.len() > 1)?;
    let count = last.checked_sub(1).filter(|count| *count >= from)?;
    match word(count) {
        one if ["a", "an", "one"].iter().any(|own| one.eq_ignore_ascii_case(own)) => {
            Some((count, 1, unit))
        }
        "few" if count > from && word(count - 1).eq_ignore_ascii_case("a") => {
            Some((count - 1, 1, unit))
        }
        number => Some((count, number.parse().ok().filter(|count| *count >= 0)?, unit)),
    }
}

fn unit(word: &str) -> Option<i64> {
    let of = |stem: &str| UNITS.iter().find(|(own, _)| own.eq_ignore_ascii_case(stem));
    let one = word.strip_suffix('s').filter(|stem| stem.len() > 1);
    of(word).or_else(|| of(one?)).map(|(_, seconds)| *seconds)
}

/// Words of letters and digits.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + rest.find(char::is_alphanumeric)?;
        let end = text[start..].find(|c: char| !c.is_alphanumeric());
        at = end.map_or(text.len(), |end| start + end);
        Some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_took_is_told_by_the_words_before_it() {
        let spans = |text: &str| -> Vec<String> {
            taken(text).into_iter().map(|taken| text[taken.range].to_owned()).collect()
        };
        for (text, span) in [
            ("took 3s", "3s"),
            ("done in 0.004 seconds", "0.004 seconds"),
            ("2 rows in set (0.02 sec)", "0.02 sec"),
            ("Rendered 2026-11-29T01:00:00Z in 6.68 ms", "6.68 ms"),
            ("Page generated on Sun, 29 Nov 2026 at 10:00 UTC in 12 ms", "12 ms"),
            ("Generated (0.123s)", "0.123s"),
        ] {
            assert_eq!(spans(text), [span], "{text}");
        }
        for text in [
            "arrives in 3 seconds",
            "created 5 items in 3 ms",
            "opens on Sunday in 3 seconds",
            "lap (0.123s)",
            "generated 0.123s",
            "Retry in 5 s",
        ] {
            assert_eq!(spans(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn spans_of_time_are_told_from_other_texts() {
        for text in [
            "0h 53m 12s",
            "3 days, 2:10",
            "1d 02:10:05",
            "12 days, 4 hours and 3 minutes",
            "2:10:05.123",
            "5m0.250s",
            "870 µs",
        ] {
            assert!(is_span(text), "{text}");
        }
        for text in
            ["", "3", "three days", "3 apples", "-3 days", "3 days ago", "2:1", "1.2.3", "2m of"]
        {
            assert!(!is_span(text), "{text}");
        }
    }

    #[test]
    fn ages_are_read_as_pages_write_them() {
        for (text, seconds, exact_s) in [
            ("13 seconds ago", 13, 1),
            ("1 second ago", 1, 1),
            ("less than a minute ago", 60, 60),
            ("about 2 hours ago", 7200, 3600),
            ("2 hours, 5 minutes ago", 7500, 60),
            ("1 year and 2 months ago", 425 * DAY, 30 * DAY),
            ("an hour ago", 3600, 3600),
            ("a few seconds ago", 1, 1),
            ("a few moments ago", 0, 60),
            ("5h ago", 18000, 3600),
            ("Just now", 0, 60),
        ] {
            let age = Age { range: 0..text.len(), seconds, exact_s };
            assert_eq!(ages(text), [age], "{text}");
        }
        let text = "Added by Ann 3 minutes ago. Updated 10 seconds ago.";
        let found: Vec<&str> = ages(text).iter().map(|age| &text[age.range.clone()]).collect();
        assert_eq!(found, ["3 minutes ago", "10 seconds ago"]);
        for text in ["", "ago", "long ago", "seconds ago", "5 apples ago", "-", "5 minutes", "now"]
        {
            assert_eq!(ages(text), [], "{text}");
        }
    }

    #[test]
    fn an_age_alone_is_all_of_its_text() {
        for (text, seconds) in
            [("0 seconds", 0), ("less than a minute", 60), ("about 2 hours ", 7200)]
        {
            assert_eq!(bare(text).map(|age| age.seconds), Some(seconds), "{text}");
        }
        for text in ["waits 5 seconds", "seconds", "5", "", "5 seconds left"] {
            assert_eq!(bare(text), None, "{text}");
        }
    }

    /// Any text, and texts of the words of ages.
    const TEXTS: &str = "\\PC{0,60}|([0-9]{0,20}(s|min| hours?| a| few| ago| and|, ))*";

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in TEXTS) {
            for age in ages(&text).into_iter().chain(bare(&text)) {
                proptest::prop_assert!(age.range.end <= text.len() && age.seconds >= 0);
            }
        }
    }
}
