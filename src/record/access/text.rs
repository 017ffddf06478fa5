//! Lines of words, quoted texts and bracketed times: nginx, Apache, ALB, Envoy.

use std::net::IpAddr;

use super::Logged;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// A part of a line, with what stood around it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LogWord {
    Plain(String),
    Quoted(String),
    Bracketed(String),
}

impl LogWord {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) | Self::Bracketed(text) => text,
        }
    }

    fn quoted(&self) -> Option<&str> {
        match self {
            Self::Quoted(text) => Some(text),
            _ => None,
        }
    }
}

/// What a line tells; none where it is of no form that is known.
pub(super) fn read(line: &str) -> Option<Logged> {
    let words = words(line);
    match words.first()? {
        LogWord::Bracketed(time) => envoy(time, &words),
        LogWord::Plain(kind) if is_alb(kind, &words) => alb(&words),
        _ => common(&words),
    }
}

fn words(line: &str) -> Vec<LogWord> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    // Behind the last one no bracket is closed any more, and nobody looks for its end.
    let closed = rest.len() - rest.rfind(']').unwrap_or(0);
    while let Some(first) = rest.chars().next() {
        let word;
        (word, rest) = match first {
            '"' => quoted(&rest[1..]),
            '[' if rest.len() > closed => {
                let (inside, rest) = rest[1..].split_once(']').unwrap_or((&rest[1..], ""));
                (LogWord::Bracketed(inside.to_owned()), rest)
            }
            _ => {
                let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                (LogWord::Plain(word.to_owned()), rest)
            }
        };
        words.push(word);
        rest = rest.trim_start();
    }
    words
}

/// Up to the closing quote, escapes undone: `\"`, `\\`, and bytes as `\x1b`.
fn quoted(text: &str) -> (LogWord, &str) {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => {
                let hex = after.strip_prefix(b"x").and_then(|hex| hex.get(..2));
                let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
                match (hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()), after.split_first()) {
                    (Some(byte), _) => {
                        bytes.push(byte);
                        rest = &after[3..];
                    }
                    (None, Some((&escaped, more))) => {
                        bytes.push(escaped);
                        rest = more;
                    }
                    (None, None) => {}
                }
            }
            byte => bytes.push(byte),
        }
    }
    let word = LogWord::Quoted(String::from_utf8_lossy(&bytes).into_owned());
    (word, &text[text.len() - rest.len()..])
}

/// `21/Sep/2026:14:13:20 +0000`, the time of the common log format.
pub(super) fn common_time(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    let nanos = parsed.to_timestamp().ok()?.as_nanosecond();
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

/// `[HOST:PORT ]CLIENT IDENT USER [TIME] "REQUEST" STATUS BYTES["REFERER" "AGENT" …]`.
fn common(words: &[LogWord]) -> Option<Logged> {
    let is_time =
        |word: &LogWord| matches!(word, LogWord::Bracketed(time) if common_time(time).is_some());
    let place = words.iter().position(is_time)?;
    let request = words.get(place + 1)?.quoted()?;
    let status = words.get(place + 2)?.text().parse().ok()?;
    let is_address =
        |index: usize| words.get(index).is_some_and(|word| word.text().parse::<IpAddr>().is_ok());
    let has_host = place >= 4 && !is_address(0) && is_address(1);
    let client = words.get(usize::from(has_host)).filter(|_| place > 0)?;
    let mut logged = Logged {
        at: common_time(words[place].text()),
        client: client.text().to_owned(),
        host: if has_host { words[0].text().to_owned() } else { String::new() },
        status: Some(status),
        ..Logged::default()
    };
    logged.request_line(request);
    let mut quoted = words.get(place + 4..).unwrap_or_default().iter().filter_map(LogWord::quoted);
    let (referer, agent) = (quoted.next(), quoted.next());
    logged.field("User-Agent", agent.unwrap_or_default());
    logged.field("Referer", referer.unwrap_or_default());
    Some(logged)
}

/// Whether a line is of a load balancer: a kind of listener, a time, its name, the client.
fn is_alb(kind: &str, words: &[LogWord]) -> bool {
    matches!(kind, "http" | "https" | "h2" | "grpcs" | "ws" | "wss")
        && words.get(1).is_some_and(|word| word.text().parse::<Timestamp>().is_ok())
}

/// The fields of an ALB in their order:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html>.
fn alb(words: &[LogWord]) -> Option<Logged> {
    let text = |index: usize| words.get(index).map_or("-", LogWord::text);
    let seconds = |index: usize| text(index).parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
    // −1 stands for a part that was not reached.
    let parts = [5, 6, 7].map(seconds);
    let took = parts.iter().flatten().sum::<f64>();
    let created = words.iter().skip(21).find_map(|word| word.text().parse::<Timestamp>().ok());
    let mut logged = Logged {
        at: created.or_else(|| text(1).parse().ok()),
        is_end: created.is_none(),
        took_ns: parts[1].map(|_| (took * NANOS_PER_SEC as f64) as i64),
        client: text(3).to_owned(),
        is_https: matches!(text(0), "https" | "h2" | "grpcs" | "wss"),
        status: text(8).parse().ok(),
        ..Logged::default()
    };
    logged.request_line(words.get(12)?.quoted()?);
    logged.field("User-Agent", words.get(13)?.quoted()?);
    logged.field("X-Amzn-Trace-Id", text(17));
    Some(logged)
}

/// Envoy's default: `[START] "METHOD PATH PROTOCOL" STATUS FLAGS … DURATION UPSTREAM
/// "FORWARDED-FOR" "AGENT" "REQUEST-ID" "AUTHORITY" "UPSTREAM"`; Istio puts more before the four
/// quoted ones, so they are found by the authority's place before the upstream.
fn envoy(time: &str, words: &[LogWord]) -> Option<Logged> {
    let at = time.parse().ok()?;
    let request = words.get(1)?.quoted()?;
    let status = words.get(2)?.text().parse().ok();
    let quoted: Vec<usize> = (3..words.len()).filter(|&at| words[at].quoted().is_some()).collect();
    let upstream = *quoted.iter().rev().find(|&&at| is_upstream(words[at].text()))?;
    let before: Vec<usize> = quoted.iter().copied().filter(|&at| at < upstream).collect();
    let [.., forwarded, agent, id, authority] = before[..] else { return None };
    let mut logged = Logged {
        at: Some(at),
        took_ns: millis(words.get(forwarded.checked_sub(2)?)?.text()),
        client: words[forwarded].text().to_owned(),
        host: words[authority].text().to_owned(),
        status,
        ..Logged::default()
    };
    logged.request_line(request);
    logged.field("User-Agent", words[agent].text());
    logged.field("X-Request-Id", words[id].text());
    logged.field("X-Forwarded-For", words[forwarded].text());
    Some(logged)
}

/// `10.0.2.1:80`, `tcp://10.0.2.1:80`, or none.
fn is_upstream(text: &str) -> bool {
    let address = text.trim_start_matches("tcp://");
    text == "-" || address.parse::<std::net::SocketAddr>().is_ok()
}

fn millis(text: &str) -> Option<i64> {
    text.parse::<i64>().ok()?.checked_mul(1_000_000)
}
