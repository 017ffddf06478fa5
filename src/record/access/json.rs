//! Lines of JSON: members are known by their names, however they are written (`request_method`,
//! `requestMethod`, `RequestMethod`), also inside other objects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::logged::Logged;
use super::text::common_time;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Most members of one line that are looked at.
const MEMBERS: usize = 500;

/// Members by their names in lower case, without what separates words.
#[derive(Default)]
struct LogMembers {
    by_name: BTreeMap<String, String>,
    /// Header fields of the request, where the log holds them as an object.
    fields: Vec<(String, String)>,
}

impl LogMembers {
    fn gather(&mut self, object: &serde_json::Map<String, Value>, is_answer: bool) {
        for (name, value) in object {
            if self.by_name.len() + self.fields.len() > MEMBERS {
                return;
            }
            let key = plain(name);
            match value {
                Value::Object(fields) if matches!(&*key, "headers" | "requestheaders") => {
                    if !is_answer {
                        self.headers(fields);
                    }
                }
                Value::Object(inner) => self.gather(inner, is_answer || key.starts_with("resp")),
                _ if is_answer && key != "status" && key != "statuscode" => {}
                _ => {
                    let Some(text) = text(value) else { continue };
                    if let Some(field) = header(name) {
                        self.fields.push((field, text.clone()));
                    }
                    self.by_name.entry(key).or_insert(text);
                }
            }
        }
    }

    fn headers(&mut self, fields: &serde_json::Map<String, Value>) {
        for (name, value) in fields.iter().take(MEMBERS) {
            let values = match value {
                Value::Array(values) => values.iter().filter_map(text).collect(),
                value => text(value).into_iter().collect::<Vec<_>>(),
            };
            self.fields.extend(values.into_iter().map(|value| (name.clone(), value)));
        }
    }

    /// The first of `names` that says something.
    fn first(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .filter_map(|name| self.by_name.get(*name))
            .map(String::as_str)
            .find(|text| !matches!(*text, "" | "-"))
    }

    fn or_nothing(&self, names: &[&str]) -> String {
        self.first(names).unwrap_or_default().to_owned()
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The header field that a member is: nginx names them `http_NAME`, Envoy and others by name.
fn header(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let field = match &*lower {
        "user_agent" | "useragent" | "user-agent" => "User-Agent",
        "referer" | "referrer" => "Referer",
        "x_forwarded_for" | "x-forwarded-for" => "X-Forwarded-For",
        "cookie" => "Cookie",
        "authorization" => "Authorization",
        _ => {
            const OTHERS: [&str; 7] =
                ["host", "version", "method", "status", "uri", "request", "protocol"];
            let field = lower.strip_prefix("http_").filter(|field| !OTHERS.contains(field))?;
            return Some(field.replace('_', "-"));
        }
    };
    Some(field.to_owned())
}

/// What a line tells; none where it names no request.
pub(super) fn read(line: &str) -> Option<Logged> {
    let Value::Object(object) = serde_json::from_str(line).ok()? else { return None };
    let mut members = LogMembers::default();
    members.gather(&object, false);
    let (at, is_end) = time(&members);
    let mut logged = Logged {
        at,
        is_end,
        took_ns: took(&members),
        client: members.or_nothing(&[
            "remoteaddr",
            "clientip",
            "remoteip",
            "clientaddr",
            "clienthost",
            "downstreamremoteaddress",
            "client",
            "xforwardedfor",
        ]),
        host: members.or_nothing(&[
            "httphost",
            "authority",
            "requesthost",
            "vhost",
            "host",
            "domainname",
            "servername",
        ]),
        is_https: members.first(&["scheme", "requestscheme"]) == Some("https"),
        status: members
            .first(&["status", "responsecode", "statuscode", "downstreamstatus", "elbstatuscode"])
            .and_then(|status| status.parse().ok()),
        body: members.by_name.get("requestbody").filter(|body| *body != "-").cloned(),
        ..Logged::default()
    };
    let line = members.first(&["request", "requestline"]).map(str::to_owned);
    if !line.is_some_and(|line| logged.request_line(&line)) {
        logged.method = members.first(&["requestmethod", "method", "httpmethod"])?.to_owned();
        logged.target = target(&members)?;
        logged.protocol =
            members.or_nothing(&["serverprotocol", "protocol", "requestprotocol", "proto"]);
    }
    let is_named = |name: &str| name.eq_ignore_ascii_case("host") || name.starts_with(':');
    let host = members.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    if let Some((_, host)) = host.filter(|_| logged.host.is_empty()) {
        logged.host.clone_from(host);
    }
    if let Some(id) = members.first(&["xrequestid", "requestid"]) {
        logged.field("X-Request-Id", id);
    }
    for (name, value) in members.fields.iter().filter(|(name, _)| !is_named(name)) {
        let is_framing = crate::message::fields::is_framing(name.as_bytes());
        let is_there = logged.fields.iter().any(|(there, _)| there.eq_ignore_ascii_case(name));
        if !is_framing && !is_there {
            logged.field(name, value);
        }
    }
    Some(logged)
}

fn target(members: &LogMembers) -> Option<String> {
    let names = ["requesturi", "uri", "path", "url", "requesturl", "requestpath", "uripath"];
    let path = members.first(&names)?;
    let query = members.first(&["args", "querystring", "query", "uriquery"]);
    Some(match query.map(|query| query.trim_start_matches('?')) {
        Some(query) if !path.contains('?') && !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    })
}

/// When, and whether that is when the answer ended: logs are written then, unless they say that it
/// is the start.
fn time(members: &LogMembers) -> (Option<Timestamp>, bool) {
    let starts = ["starttime", "startutc", "requestcreationtime", "startlocal"];
    if let Some(at) = members.first(&starts).and_then(instant) {
        return (Some(at), false);
    }
    let ends = ["msec", "timeiso8601", "timelocal", "timestamp", "time", "ts", "datetime"];
    (ends.iter().filter_map(|name| members.first(&[name])).find_map(instant), true)
}

/// RFC 3339, the common log format, or a number since 1970 whose size tells its unit.
fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    common_time(text).or_else(|| {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let number: i64 = whole.parse().ok().filter(|number| *number > 0)?;
        let unit = match number {
            0..100_000_000_000 => NANOS_PER_SEC,
            100_000_000_000..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1_000,
            _ => 1,
        };
        Some(Timestamp::from_nanos(number.checked_mul(unit)?.checked_add(fraction(part, unit))?))
    })
}

/// Digits behind the point, in nanoseconds.
fn fraction(digits: &str, unit: i64) -> i64 {
    let digits = digits.bytes().take_while(u8::is_ascii_digit).take(9);
    digits
        .fold((0, unit / 10), |(sum, unit), digit| {
            (sum + i64::from(digit - b'0') * unit, unit / 10)
        })
        .0
}

/// How long it took. nginx counts seconds, Envoy milliseconds, Traefik nanoseconds, Caddy seconds
/// with a point.
fn took(members: &LogMembers) -> Option<i64> {
    let scaled = |name: &str, unit: f64| {
        let number: f64 = members.first(&[name])?.parse().ok()?;
        (0.0..1e15).contains(&number).then_some((number * unit) as i64)
    };
    let duration = members.first(&["duration"]);
    let unit = match duration {
        _ if members.by_name.contains_key("startutc") => 1.0,
        _ if members.by_name.contains_key("starttime") => 1e6,
        Some(text) if text.contains('.') => 1e9,
        _ => 1e6,
    };
    scaled("requesttime", 1e9)
        .or_else(|| scaled("durationms", 1e6))
        .or_else(|| scaled("responsetimems", 1e6))
        .or_else(|| scaled("duration", unit))
}
