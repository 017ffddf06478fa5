//! Numbers that say how long something took or how long ago it was: `"took": 3`, `"uptime": 12.4`,
//! `"age": 306` beside a time. They are measured anew for each answer.
//!
//! A name must say so: a number alone may be anything. `age` may be a person's, so that an instant
//! beside it must bear it out; `duration` may be a film's, so that it must be as exact as only
//! clocks are, or all values of the place must show that they were measured.

use super::change::Context;
use crate::message::ages;
use crate::message::json::tape::{Node, Tape, Type};
use crate::message::kinds::{self, ValueKind};
use crate::steps;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// What a name says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// How long something took, or runs.
    Took,
    /// How long ago something was.
    Ago,
    /// How old something is, or somebody.
    Age,
    /// How long something is, if it is as exact as a measured one.
    Long,
}

/// Objects around a number in which instants are looked for.
const AROUND: usize = 3;
/// Longest of these, in bytes.
const LONGEST: usize = 16 << 10;
/// Decimals of a number that was measured.
const MEASURED: usize = 4;
/// Largest number that may be a latency: a minute, where it counts milliseconds.
const LATENCY: f64 = 60_000.0;
/// Nanoseconds of the units that ages are counted in.
const UNITS: [i64; 2] = [1_000_000, NANOS_PER_SEC];
/// How far an age may be from what its instant says: clocks, and how long an answer takes.
const SLACK: i64 = 5 * NANOS_PER_SEC;
/// How far two ages may be apart that no instant bears out, in milliseconds, and their share.
const APART: f64 = 10_000.0;

/// How two numbers called `name`, perhaps with a unit, are how long something took or how long ago
/// it was. `around` are the objects that hold them, the outermost first.
pub(super) fn elapsed(
    context: &Context<'_>,
    name: &str,
    texts: [&str; 2],
    around: &[[&[u8]; 2]],
) -> Option<ValueKind> {
    let says = says(name)?;
    let [a, b] = texts.map(|text| text.trim_end_matches(|c: char| c.is_alphabetic() || c == ' '));
    let (Ok(one), Ok(other)) = (a.parse::<f64>(), b.parse::<f64>()) else {
        let are_spans = says == Says::Took && texts.iter().all(|text| ages::is_span(text));
        return are_spans.then_some(ValueKind::Elapsed);
    };
    if one < 0.0 || other < 0.0 {
        return None;
    }
    let is_elapsed = match says {
        Says::Took => true,
        Says::Long => [a, b].iter().all(|text| decimals(text) >= MEASURED),
        Says::Ago => {
            is_borne_out(context, [one, other], around)
                || (one - other).abs() <= APART + one.max(other) / 10.0
        }
        Says::Age => is_borne_out(context, [one, other], around),
    };
    let may_be = says == Says::Long && is_latency(name) && one.max(other) <= LATENCY;
    match is_elapsed {
        true => Some(ValueKind::Elapsed),
        false => may_be.then_some(ValueKind::Lasting),
    }
}

/// Whether a name says that it is a latency, and no bound of one.
fn is_latency(name: &str) -> bool {
    const BOUNDS: [&str; 8] =
        ["max", "min", "limit", "target", "budget", "timeout", "sla", "allowed"];
    let words = words(name);
    words.iter().any(|word| word == "latency") && !words.iter().any(|w| BOUNDS.contains(&&**w))
}

/// `response_time_ms`, `lastActiveAgo`: what the words of a name say.
fn says(name: &str) -> Option<Says> {
    const TOOK: [&str; 5] = ["took", "elapsed", "uptime", "walltime", "cputime"];
    const OF: [&str; 11] = [
        "wall",
        "cpu",
        "response",
        "processing",
        "process",
        "query",
        "execution",
        "exec",
        "render",
        "run",
        "compute",
    ];
    const UNIT: [&str; 10] =
        ["ms", "millis", "milliseconds", "us", "micros", "ns", "nanos", "s", "sec", "seconds"];
    const LONG: [&str; 4] = ["duration", "latency", "time", "idle"];
    let mut words = words(name);
    while words.len() > 1 && UNIT.contains(&&**words.last()?) {
        words.pop();
    }
    let last = &**words.last()?;
    let before = words.len().checked_sub(2).map_or("", |at| &*words[at]);
    if words.iter().any(|word| TOOK.contains(&&**word)) || last == "time" && OF.contains(&before) {
        return Some(Says::Took);
    }
    match last {
        "ago" => Some(Says::Ago),
        "age" => Some(Says::Age),
        _ if LONG.contains(&last) => Some(Says::Long),
        _ => None,
    }
}

/// The words of a name, in small letters.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && small {
            words.push(String::new());
        }
        small = c.is_lowercase();
        if c.is_alphanumeric() {
            words.last_mut().expect("there is one").extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How many decimals a number has; one with an exponent has many.
fn decimals(text: &str) -> usize {
    match text.split_once('.') {
        _ if text.contains(['e', 'E']) => MEASURED,
        Some((_, decimals)) => decimals.len(),
        None => 0,
    }
}

/// Whether an instant beside two ages says of both that they are as old.
fn is_borne_out(context: &Context<'_>, ages: [f64; 2], around: &[[&[u8]; 2]]) -> bool {
    let Some(actual_at) = context.actual_at else { return false };
    let asked = [context.expected_at, actual_at];
    let holders = around.iter().rev().take(AROUND);
    holders.into_iter().any(|texts| {
        if texts.iter().any(|text| text.len() > LONGEST) {
            return false;
        }
        let [Some(one), Some(other)] = texts.map(instants) else { return false };
        let is_old = |side: usize, unit: i64, instant: Timestamp| {
            let old = asked[side].since(instant);
            let said = (ages[side] * unit as f64) as i64;
            old.saturating_sub(said).saturating_abs() <= SLACK + said / 50
        };
        one.iter().any(|(name, instant)| {
            let same = other.iter().filter(|(own, _)| own == name);
            let mut pairs = same.map(|(_, twin)| [*instant, *twin]);
            pairs.any(|pair| UNITS.iter().any(|u| (0..2).all(|at| is_old(at, *u, pair[at]))))
        })
    })
}

/// The members of an object that are instants.
fn instants(text: &[u8]) -> Option<Vec<(String, Timestamp)>> {
    steps::add(text.len());
    let tape = Tape::parse(text).ok()?;
    let members = tape.root().members();
    Some(
        members
            .filter_map(|(name, value)| Some((name.text().into_owned(), instant(value)?)))
            .collect(),
    )
}

fn instant(value: Node<'_, '_>) -> Option<Timestamp> {
    let text = value.text();
    match value.kind() {
        Type::Number => kinds::instant_of(kinds::of_number(&text)?, &text),
        Type::String | Type::Escaped => kinds::written_instant(&text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;

    fn kind(name: &str, values: [&str; 2], around: [&str; 2]) -> Option<ValueKind> {
        let request = Request::default();
        let context = Context {
            actual_at: Some("2026-11-23T12:00:00Z".parse().unwrap()),
            ..Context::plain(&request)
        };
        super::elapsed(&context, name, values, &[around.map(str::as_bytes)])
    }

    fn elapsed(name: &str, values: [&str; 2], around: [&str; 2]) -> bool {
        kind(name, values, around) == Some(ValueKind::Elapsed)
    }

    #[test]
    fn what_may_have_been_measured_is_told_from_what_was() {
        for (name, values) in [
            ("latency_ms", ["12", "30"]),
            ("dbLatency", ["12", "30"]),
            ("latency", ["0.12", "0.3"]),
        ] {
            assert_eq!(kind(name, values, ["{}", "{}"]), Some(ValueKind::Lasting), "{name}");
        }
        for (name, values) in [
            ("duration", ["120", "96"]),
            ("duration_ms", ["181000", "247000"]),
            ("time", ["5", "6"]),
            ("time", ["78.21", "93.4"]),
            ("max_latency", ["12", "30"]),
            ("items", ["1.25", "3.5"]),
        ] {
            assert_eq!(kind(name, values, ["{}", "{}"]), None, "{name}");
        }
    }

    #[test]
    fn what_a_server_measured_says_so_by_its_name() {
        for (name, values) in [
            ("took", ["3", "11"]),
            ("took", ["1.23ms", "870 µs"]),
            ("elapsed_ms", ["0", "4"]),
            ("processUptime", ["12.25", "1.5"]),
            ("responseTimeMs", ["12", "300"]),
            ("query-time", ["0.1", "0.2"]),
            ("cpuTime", ["2", "3"]),
            ("walltime", ["0.001", "0.036"]),
            ("duration", ["0.00231", "0.01022"]),
            ("time", ["1.2e-05", "0.000031"]),
            ("last_active_ago", ["7", "1032"]),
            ("uptime", ["3 days, 2:10", "0:03"]),
            ("process_uptime", ["0h 53m 12s", "1h 2m 0s"]),
            ("elapsed", ["PT0.012S", "PT1M2.5S"]),
        ] {
            assert!(elapsed(name, values, ["{}", "{}"]), "{name}");
        }
        for (name, values) in [
            ("took", ["3", "-1"]),
            ("uptime", ["3 days, 2:10", "unknown"]),
            ("duration", ["2h 10m", "3h 10m"]),
            ("duration", ["120", "240"]),
            ("duration", ["1.5", "2.5"]),
            ("time", ["0.00231", "2"]),
            ("age", ["42", "43"]),
            ("usage", ["1", "2"]),
            ("stock", ["3", "4"]),
            ("timeout_ms", ["500", "600"]),
            ("last_active_ago", ["7", "100032"]),
        ] {
            assert!(!elapsed(name, values, ["{}", "{}"]), "{name}");
        }
    }

    #[test]
    fn an_age_is_borne_out_by_an_instant_beside_it() {
        let at = [r#"{"ts": 1795341599000}"#, r#"{"ts": 1795435198000}"#];
        assert!(elapsed("age", ["1000", "2000"], at), "in milliseconds");
        assert!(!elapsed("age", ["1000", "90000"], at), "not as old as v2 says");
        assert!(!elapsed("age", ["90000", "2000"], at), "not as old as v1 says");
        let other = [r#"{"ts": 1795341599000}"#, r#"{"t2": 1795435198000}"#];
        assert!(!elapsed("age", ["1000", "2000"], other), "no instant that both have");
        let written = [r#"{"at": "2026-11-22T09:00:00Z"}"#, r#"{"at": "2026-11-23T10:00:00Z"}"#];
        assert!(elapsed("age", ["3600", "7200"], written), "in seconds");
        assert!(!elapsed("age", ["3600", "3600"], written));
    }
}
