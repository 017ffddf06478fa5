//! Access logs as requests: nginx and Apache (common, combined, with the virtual host before),
//! load balancers (AWS, HAProxy), Envoy's default text, logs that say what their fields are (IIS,
//! CloudFront), and JSON objects a line (nginx, Envoy, Istio, Caddy, Traefik), whose members are
//! known by name. Also as the runtimes of containers and syslog keep them.
//!
//! A log tells of a request what its format names: method and target, the status, perhaps the host,
//! how long it took and a few fields. Bodies and other fields are in none of them. So an answer has
//! its status and is never whole, and a request whose method has a body is damaged: it is counted
//! and never replayed.

mod balancers;
mod json;
mod logged;
mod text;
mod w3c;
mod words;

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};
use std::net::IpAddr;

use bytes::Bytes;

use crate::exchange::{
    Completeness, Exchange, HOST_UNKNOWN, OF_A_LOG, TimedRequest, TimedResponse,
};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::target::{authority, host_and_port, origin_form};
use crate::message::{Body, Framing, Headers, Request, Response};
use crate::record::har::read::{ReadEntry, Reason, UNKNOWN, version};
use crate::time::Timestamp;

use logged::Logged;
use w3c::LogFields;
use words::words;

/// Whether a text begins with a line of a log, or says what the fields of its lines are.
pub fn is_one(beginning: &[u8]) -> bool {
    let mut fields = LogFields::default();
    for line in beginning.split(|&byte| byte == b'\n') {
        let Some(directive) = line.strip_prefix(b"#") else {
            let logged = logged(line, &fields);
            return logged.is_some_and(|logged| exchange(logged).is_ok());
        };
        fields.directive(&String::from_utf8_lossy(directive));
        if fields.are_of_requests() {
            return true;
        }
    }
    false
}

/// Reads a log; `each` says by an error that it cannot go on.
pub fn read<E: From<io::Error>>(
    mut input: impl BufRead,
    mut each: impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
) -> Result<(), E> {
    let mut line = Vec::new();
    let mut fields = LogFields::default();
    loop {
        line.clear();
        let most = limits::HEAD_BYTES as u64;
        if input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == most && line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            each(Err("access-log-line-too-long"))?;
            continue;
        }
        let text = line.trim_ascii();
        if let Some(directive) = text.strip_prefix(b"#") {
            fields.directive(&String::from_utf8_lossy(directive));
            continue;
        }
        if text.is_empty() {
            continue;
        }
        each(logged(text, &fields).map_or(Err("access-log-line-not-understood"), exchange))?;
    }
}

fn logged(line: &[u8], fields: &LogFields) -> Option<Logged> {
    let line = std::str::from_utf8(line.trim_ascii()).ok()?;
    if fields.are_of_requests() {
        return fields.read(line);
    }
    let unwrapped = out_of_container(line);
    let line = out_of_syslog(unwrapped.as_deref().unwrap_or(line).trim());
    if line.starts_with('{') {
        return json::read(line);
    }
    let words = words(line);
    text::read(&words).or_else(|| balancers::read(&words))
}

/// What a program wrote, out of the line that syslog made of it (RFC 3164, §4.1): `[<PRIORITY>]TIME
/// HOST PROGRAM[[PID]]: LINE`, where the time is `Sep 21 14:13:20` or one of RFC 3339.
fn out_of_syslog(line: &str) -> &str {
    let begun = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let Some((head, said)) = begun.map_or(line, |(_, rest)| rest).split_once(": ") else {
        return line;
    };
    let words: Vec<&str> = head.split_ascii_whitespace().collect();
    let is_time = match &words[..] {
        [_, day, time, _, _] => {
            day.parse::<u8>().is_ok() && time.split(':').all(|part| part.parse::<u8>().is_ok())
        }
        [time, _, _] => time.parse::<Timestamp>().is_ok(),
        _ => false,
    };
    if is_time { said.trim_start() } else { line }
}

/// What a container wrote, out of the line that its runtime made of it: JSON with the member `log`
/// (Docker), or `TIME STREAM TAG LINE` (CRI).
fn out_of_container(line: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct DockerLine<'l> {
        #[serde(borrow)]
        log: Cow<'l, str>,
    }
    if line.starts_with('{') {
        if !line.contains("\"log\"") {
            return None;
        }
        return serde_json::from_str::<DockerLine<'_>>(line).ok().map(|line| line.log);
    }
    let (time, rest) = line.split_once(' ')?;
    let rest = rest.strip_prefix("stdout ").or_else(|| rest.strip_prefix("stderr "))?;
    let rest = rest.strip_prefix("F ").or_else(|| rest.strip_prefix("P "))?;
    time.parse::<Timestamp>().ok().map(|_| Cow::Borrowed(rest))
}

/// Methods whose requests have a body: without it they are not what was sent.
fn has_body(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH" | "QUERY" | "REPORT" | "PROPFIND" | "PROPPATCH")
}

/// What methods and names of header fields are made of (RFC 9110, §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a text may be a value of a header field: a log's escapes may hide the end of one.
fn is_value(text: &str) -> bool {
    !text.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
}

fn exchange(logged: Logged) -> Result<ReadEntry, Reason> {
    if logged.method.is_empty() || !logged.method.bytes().all(is_token) {
        return Err("access-log-request-not-http");
    }
    let is_text = |byte: u8| byte > b' ' && byte != 0x7f;
    if logged.target.is_empty() || !logged.target.bytes().all(is_text) {
        return Err("access-log-request-not-http");
    }
    let Some(logged_at) = logged.at else { return Err("access-log-line-without-time") };
    let took = logged.took_ns.filter(|&took| took >= 0);
    let at = if logged.is_end { logged_at.plus(-took.unwrap_or(0)) } else { logged_at };
    let mut marks = vec![OF_A_LOG.to_owned()];
    let request = request(&logged, &mut marks);
    let port = host_and_port(&host_of(&logged)).1.unwrap_or(if logged.is_https { 443 } else { 80 });
    let client = client(&logged.client);
    let is_whole = logged.body.is_some() || !has_body(&logged.method);
    let response = logged.status.map(|status| TimedResponse {
        at: at.plus(took.unwrap_or(0)),
        first_byte_ns: took,
        last_byte_ns: None,
        message: Response { status, framing: Framing::None, ..Response::default() },
    });
    let completeness = match (is_whole, &response) {
        (false, _) => Completeness::RequestDamaged,
        (true, None) => Completeness::NoResponse,
        (true, Some(_)) => Completeness::ResponseDamaged,
    };
    let exchange = Exchange {
        completeness,
        request: Some(TimedRequest { at, duration_ns: 0, message: request }),
        response,
        marks,
        ..Exchange::between(client, Endpoint::new(UNKNOWN, port))
    };
    Ok(ReadEntry { exchange, key: logged.client })
}

/// The host that a request was for: that of an absolute target first.
fn host_of(logged: &Logged) -> String {
    match authority(logged.target.as_bytes()) {
        Some(authority) => String::from_utf8_lossy(authority).into_owned(),
        None => logged.host.clone(),
    }
}

fn request(logged: &Logged, marks: &mut Vec<String>) -> Request {
    let mut headers = Headers::new();
    let host = host_of(logged);
    match &*host {
        "" | "-" | "_" => marks.push(HOST_UNKNOWN.to_owned()),
        host if !is_value(host) || host.contains(' ') => marks.push(HOST_UNKNOWN.to_owned()),
        host => headers.push(b"Host", host.as_bytes()),
    }
    let names_one = |name: &str| !name.is_empty() && name.bytes().all(is_token);
    let fields = logged.fields.iter().filter(|(name, value)| names_one(name) && is_value(value));
    for (name, value) in fields {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    let body = logged.body.clone().unwrap_or_default();
    if has_body(&logged.method) {
        match logged.body {
            Some(_) => headers.push(b"Content-Length", body.len().to_string().as_bytes()),
            None => marks.push("the access log does not hold the request's body".to_owned()),
        }
    }
    let framing = if body.is_empty() { Framing::None } else { Framing::ContentLength };
    Request {
        method: Bytes::from(logged.method.clone()),
        target: Bytes::from(origin_form(logged.target.as_bytes())),
        version: version(&logged.protocol, marks),
        headers,
        body: Body::whole(body),
        framing,
        ..Request::default()
    }
}

/// `10.0.0.9`, `10.0.0.9:40112`, `[::1]:40112`; of a list the first.
fn client(text: &str) -> Endpoint {
    let text = text.split(',').next().unwrap_or_default().trim();
    let (host, port) = match text.parse::<IpAddr>() {
        Ok(_) => (text, None),
        Err(_) => host_and_port(text),
    };
    let address = host.trim_matches(['[', ']']).parse().unwrap_or(UNKNOWN);
    Endpoint::new(address, port.unwrap_or(0))
}

#[cfg(test)]
mod tests;
