//! Exchanges as a script of k6: the recorded requests at their times, each lane by a virtual user
//! of its own.
//!
//! The script is data with a short program behind it. k6 checks nothing but what the script checks:
//! that v2 answers with v1's status.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::exchange::Exchange;
use crate::message::fields::{is_framing, is_hop_by_hop};
use crate::message::target::{host, origin_form};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Writes a script: what stands before the requests, the requests, what stands behind them.
#[derive(Debug, Default)]
pub struct K6Script {
    first: Option<Timestamp>,
    /// The highest number of a connection, and one more.
    lanes: u64,
}

/// The program behind the data: each virtual user takes the lanes whose number it has.
const PROGRAM: &str = r#"
// At most so many virtual users: lanes share them beyond that.
const USERS = Math.min(LANES, Number(__ENV.USERS || 200));
const SPEED = Number(__ENV.SPEED || 1);

export const options = {
  discardResponseBodies: true,
  scenarios: {
    recorded: { executor: 'per-vu-iterations', vus: USERS, iterations: 1, maxDuration: '24h' },
  },
};

export function setup() {
  return { start: Date.now() };
}

export default function (data) {
  for (const [id, lane, due, method, url, target, headers, body, is64, status] of requests) {
    if (lane % USERS !== exec.vu.idInTest - 1) continue;
    const wait = data.start + (due * 1000) / SPEED - Date.now();
    if (wait > 0) sleep(wait / 1000);
    const bytes = is64 ? encoding.b64decode(body) : body;
    const answer = http.request(method, (__ENV.TARGET || url) + target, bytes, {
      headers, redirects: 0, tags: { name: `${method} ${target.split('?')[0]}`, exchange: id },
    });
    if (status) check(answer, { 'status as recorded': (a) => a.status === status });
  }
}
"#;

impl K6Script {
    /// What stands before the first request.
    pub fn beginning(tool: &str) -> String {
        format!(
            "// Recorded requests for k6, by {tool}: k6 run -e TARGET=http://v2.staging:8080 FILE\n\
             // -e SPEED=2 is twice as fast, -e USERS=50 has fewer virtual users.\n\
             import http from 'k6/http';\nimport encoding from 'k6/encoding';\n\
             import exec from 'k6/execution';\nimport {{ check, sleep }} from 'k6';\n\n\
             // id, lane, due in seconds, method, server, target, headers, body, in base64,
             // status\n\
             const requests = [\n"
        )
    }

    /// Appends a request; false of one that is not whole or that JSON cannot hold.
    pub fn write(&mut self, out: &mut Vec<u8>, exchange: &Exchange) -> bool {
        let Some(request) = &exchange.request else { return false };
        let message = &request.message;
        let is_sayable = message.headers.unknown() == 0 && !message.body.is_cut();
        if !exchange.completeness.request_is_whole() || !is_sayable {
            return false;
        }
        let first = *self.first.get_or_insert(request.at);
        self.lanes = self.lanes.max(exchange.id.connection.saturating_add(1));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut headers = serde_json::Map::new();
        for (name, value) in message.headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
            if is_hop_by_hop(name) || is_framing(name) {
                continue;
            }
            // k6 takes one value a name: a second one is joined as RFC 9110 §5.3 allows.
            let joins = if name.eq_ignore_ascii_case(b"cookie") { "; " } else { ", " };
            let value = match headers.get(&text(name)).and_then(serde_json::Value::as_str) {
                Some(before) => format!("{before}{joins}{}", text(value)),
                None => text(value),
            };
            headers.insert(text(name), value.into());
        }
        let body = &message.body.bytes;
        let (body, is64) = match std::str::from_utf8(body) {
            Ok("") => (serde_json::Value::Null, false),
            Ok(text) => (text.into(), false),
            Err(_) => (STANDARD.encode(body).into(), true),
        };
        let scheme = if exchange.server.port == 443 { "https" } else { "http" };
        let authority = host(message).map_or_else(|| exchange.server.to_string(), text);
        let line = json!([
            exchange.id.to_string(),
            exchange.id.connection,
            request.at.since(first).max(0) as f64 / NANOS_PER_SEC as f64,
            text(&message.method),
            format!("{scheme}://{authority}"),
            origin_form(&message.target),
            headers,
            body,
            is64,
            exchange.response.as_ref().map_or(0, |answer| answer.message.status),
        ]);
        out.extend_from_slice(b"  ");
        out.extend_from_slice(in_javascript(&line.to_string()).as_bytes());
        out.extend_from_slice(b",\n");
        true
    }

    /// What stands behind the last request.
    pub fn end(&self) -> String {
        format!("];\nconst LANES = {};\n{PROGRAM}", self.lanes.max(1))
    }
}

/// JSON as older engines of JavaScript read it, and without what could end a script in a page.
fn in_javascript(json: &str) -> String {
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029").replace("</", "<\\/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::TimedRequest;
    use crate::flow::Endpoint;
    use crate::message::{Body, Headers, Request};
    use crate::record::har::read::UNKNOWN;

    fn exchange(at: i64, connection: u64, body: &'static [u8]) -> Exchange {
        let mut headers = Headers::new();
        for (name, value) in [("Host", "x"), ("Content-Length", "9"), ("A", "1"), ("A", "2")] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let message = Request {
            method: "POST".into(),
            target: "/</script>".into(),
            headers,
            body: Body::whole(body),
            ..Request::default()
        };
        let at = Timestamp::from_nanos(at);
        let mut exchange = Exchange::between(Endpoint::new(UNKNOWN, 0), Endpoint::new(UNKNOWN, 80));
        exchange.id.connection = connection;
        exchange.request = Some(TimedRequest { at, message, ..TimedRequest::default() });
        exchange
    }

    #[test]
    fn requests_stand_at_their_times_on_their_lanes() {
        let mut script = K6Script::default();
        let mut out = Vec::new();
        assert!(script.write(&mut out, &exchange(5 * NANOS_PER_SEC, 0, b"a")));
        assert!(script.write(&mut out, &exchange(6 * NANOS_PER_SEC, 3, &[0xff])));
        let text = String::from_utf8(out).expect("UTF-8");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line.trim().trim_end_matches(',')).expect(line))
            .collect();
        assert_eq!(lines[0][2], 0.0);
        assert_eq!(lines[1][2], 1.0);
        assert_eq!(lines[0][6], json!({"Host": "x", "A": "1, 2"}));
        assert_eq!((&lines[1][7], &lines[1][8]), (&json!("/w=="), &json!(true)));
        assert!(script.end().contains("const LANES = 4;"));
        assert!(!text.contains("</"), "{text}");
    }
}
