//! Lines of servers: nginx, Apache, Envoy.

use std::net::IpAddr;

use super::logged::Logged;
use super::words::LogWord;
use crate::time::Timestamp;

/// What a line tells; none where it is of no form that is known.
pub(super) fn read(words: &[LogWord]) -> Option<Logged> {
    match words.first()? {
        LogWord::Bracketed(time) => envoy(time, words).or_else(|| apache_tls(time, words)),
        _ => common(words),
    }
}

/// `21/Sep/2026:14:13:20 +0000`, the time of the common log format.
pub(super) fn common_time(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    let nanos = parsed.to_timestamp().ok()?.as_nanosecond();
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

/// `[HOST[:PORT] ]CLIENT IDENT USER [TIME] "REQUEST" STATUS BYTES["REFERER" "AGENT" …]`. What
/// stands for the client may be a list that proxies made (`$http_x_forwarded_for`), quoted or not.
fn common(words: &[LogWord]) -> Option<Logged> {
    let is_time =
        |word: &LogWord| matches!(word, LogWord::Bracketed(time) if common_time(time).is_some());
    let place = words.iter().position(is_time)?;
    let request = words.get(place + 1)?.quoted()?;
    let status = words.get(place + 2)?.text().parse().ok()?;
    let before = lists(&words[..place]);
    let has_host = before.len() >= 4 && !are_addresses(&before[0]) && are_addresses(&before[1]);
    let client = before.get(usize::from(has_host))?;
    let mut logged = Logged {
        at: common_time(words[place].text()),
        client: client.clone(),
        host: if has_host { before[0].clone() } else { String::new() },
        status: Some(status),
        ..Logged::default()
    };
    logged.request_line(request);
    let mut quoted = words.get(place + 4..).unwrap_or_default().iter().filter_map(LogWord::quoted);
    let (referer, agent, forwarded) = (quoted.next(), quoted.next(), quoted.next());
    logged.field("User-Agent", agent.unwrap_or_default());
    logged.field("Referer", referer.unwrap_or_default());
    let forwarded = forwarded.filter(|text| are_addresses(text));
    let listed = client.contains(',').then_some(&**client);
    logged.field("X-Forwarded-For", forwarded.or(listed).unwrap_or_default());
    Some(logged)
}

/// Words, those of a list (`a, b`) as one.
fn lists(words: &[LogWord]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut().filter(|last| last.ends_with(',')) {
            Some(last) => {
                last.push(' ');
                last.push_str(word.text());
            }
            None => joined.push(word.text().to_owned()),
        }
    }
    joined
}

/// Whether a text says where a client is: an address, or several of them.
fn are_addresses(text: &str) -> bool {
    text.split(',').map(str::trim).all(|one| {
        one.parse::<IpAddr>().is_ok() || matches!(one, "localhost" | "unix:" | "unknown")
    })
}

/// What Apache's `ssl_request_log` holds: `[TIME] CLIENT PROTOCOL CIPHER "REQUEST" BYTES`.
fn apache_tls(time: &str, words: &[LogWord]) -> Option<Logged> {
    let is_tls = words.get(2)?.text();
    if !is_tls.starts_with("TLS") && !is_tls.starts_with("SSL") && is_tls != "-" {
        return None;
    }
    let mut logged = Logged {
        at: Some(common_time(time)?),
        client: words.get(1)?.text().to_owned(),
        is_https: is_tls != "-",
        ..Logged::default()
    };
    logged.request_line(words.get(4)?.quoted()?);
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
