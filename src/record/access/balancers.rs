//! Lines of load balancers: those of AWS (ALB, and ELB before it) and HAProxy's.

use super::logged::Logged;
use super::words::LogWord;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// What a line tells; none where it is of none of them.
pub(super) fn read(words: &[LogWord]) -> Option<Logged> {
    let is_time = |index: usize| {
        words.get(index).is_some_and(|word| word.text().parse::<Timestamp>().is_ok())
    };
    match words.first()?.text() {
        "http" | "https" | "h2" | "grpcs" | "ws" | "wss" if is_time(1) => alb(words),
        _ if is_time(0) => elb(words),
        _ => haproxy(words),
    }
}

fn text(words: &[LogWord], index: usize) -> &str {
    words.get(index).map_or("-", LogWord::text)
}

/// How long a request took, of the three parts from the word at `first` on; −1 stands for a part
/// that was not reached.
fn took(words: &[LogWord], first: usize) -> Option<i64> {
    let seconds = |index| text(words, index).parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
    let parts = [first, first + 1, first + 2].map(seconds);
    parts[1].map(|_| (parts.iter().flatten().sum::<f64>() * NANOS_PER_SEC as f64) as i64)
}

/// The fields of an ALB in their order ("Access logs for your Application Load Balancer" in the
/// guide of Elastic Load Balancing).
fn alb(words: &[LogWord]) -> Option<Logged> {
    let created = words.iter().skip(21).find_map(|word| word.text().parse::<Timestamp>().ok());
    let mut logged = Logged {
        at: created.or_else(|| text(words, 1).parse().ok()),
        is_end: created.is_none(),
        took_ns: took(words, 5),
        client: text(words, 3).to_owned(),
        is_https: matches!(text(words, 0), "https" | "h2" | "grpcs" | "wss"),
        status: text(words, 8).parse().ok(),
        ..Logged::default()
    };
    logged.request_line(words.get(12)?.quoted()?);
    logged.field("User-Agent", words.get(13)?.quoted()?);
    logged.field("X-Amzn-Trace-Id", text(words, 17));
    Some(logged)
}

/// The fields of a classic load balancer in their order; its time is when the request came:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html>.
fn elb(words: &[LogWord]) -> Option<Logged> {
    let mut logged = Logged {
        at: text(words, 0).parse().ok(),
        took_ns: took(words, 4),
        client: text(words, 2).to_owned(),
        status: text(words, 7).parse().ok(),
        ..Logged::default()
    };
    logged.request_line(words.get(11)?.quoted()?);
    logged.is_https = logged.target.starts_with("https:");
    logged.field("User-Agent", words.get(12)?.quoted()?);
    Some(logged)
}

/// HAProxy's `httplog`: `CLIENT:PORT [TIME] FRONTEND BACKEND/SERVER TIMERS STATUS … "REQUEST"`.
/// Its time has no zone and is read as UTC. People put words of their own behind the server.
fn haproxy(words: &[LogWord]) -> Option<Logged> {
    let place = words.iter().position(|word| matches!(word, LogWord::Bracketed(_)))?;
    let timers = (place + 3..words.len().min(place + 8))
        .find(|&index| text(words, index).matches('/').count() == 4)?;
    let at = jiff::civil::DateTime::strptime("%d/%b/%Y:%H:%M:%S%.f", words[place].text()).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond();
    let total = text(words, timers).rsplit('/').next()?.trim_start_matches('+').parse::<i64>();
    let mut logged = Logged {
        at: i64::try_from(at).ok().map(Timestamp::from_nanos),
        took_ns: total.ok()?.checked_mul(1_000_000),
        client: text(words, place.checked_sub(1)?).to_owned(),
        is_https: text(words, place + 1).ends_with('~'),
        status: text(words, timers + 1).parse().ok(),
        ..Logged::default()
    };
    logged.request_line(words.iter().rev().find_map(LogWord::quoted)?);
    Some(logged)
}
