//! Which requests are replayed: filters, samples and shards, and the ones that never are.
//!
//! Two kinds of no: a request that is *not selected* is only counted (the user did not want it);
//! one that is *skipped* gets an outcome with the reason, since its exchange is part of the run and
//! has no answer of v2.

use std::borrow::Cow;

use regex::bytes::Regex;
use sha2::{Digest as _, Sha256};

use crate::exchange::socket::{SOCKET_LACKS, SocketSession, is_name};
use crate::exchange::{Exchange, ExchangeId, TimedRequest};
use crate::message::Request;
use crate::message::fields::cookies;
use crate::message::method::{OVERRIDES, is_safe};
use crate::message::target::{is_for, path_and_query};
use crate::schedule::users::{Users, first_eight};
use crate::time::Timestamp;

/// `METHOD PATH-REGEX`: the method may be `*` or several with commas, the expression is searched in
/// the path of the target. Or `header:NAME=REGEX` and `cookie:NAME=REGEX`, searched in the values
/// of that name; without `=REGEX` any value will do.
#[derive(Clone, Debug)]
pub enum SelectRule {
    /// By method and path.
    Path(Vec<String>, Regex),
    /// By a header field.
    Header(String, Regex),
    /// By a cookie that the request carries.
    Cookie(String, Regex),
}

impl std::fmt::Display for SelectRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(methods, path) if methods.is_empty() => write!(f, "* {path}"),
            Self::Path(methods, path) => write!(f, "{} {path}", methods.join(",")),
            Self::Header(name, value) => write!(f, "header:{name}={value}"),
            Self::Cookie(name, value) => write!(f, "cookie:{name}={value}"),
        }
    }
}

impl std::str::FromStr for SelectRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let regex = |text: &str| {
            Regex::new(text)
                .map_err(|error| format!("{text:?} is not a regular expression: {error}"))
        };
        let named = |rest: &str| {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            match name.trim() {
                "" => {
                    Err(format!("{text:?} names nothing: write for example header:x-tenant=^acme$"))
                }
                name => regex(value).map(|value| (name.to_owned(), value)),
            }
        };
        if let Some(rest) = text.trim().strip_prefix("header:") {
            return named(rest).map(|(name, value)| Self::Header(name, value));
        }
        if let Some(rest) = text.trim().strip_prefix("cookie:") {
            return named(rest).map(|(name, value)| Self::Cookie(name, value));
        }
        let (methods, path) = match text.trim().split_once(char::is_whitespace) {
            Some((methods, path)) => (methods, path.trim()),
            None if text.trim().starts_with('/') => ("*", text.trim()),
            None => (text.trim(), ""),
        };
        if methods.is_empty() {
            return Err(format!(
                "{text:?} is not a rule: write for example 'GET ^/orders/' or '* /health'"
            ));
        }
        let methods = if methods == "*" {
            Vec::new()
        } else {
            methods.split(',').map(str::to_ascii_uppercase).collect()
        };
        Ok(Self::Path(methods, regex(path)?))
    }
}

impl SelectRule {
    /// Whether a request falls under the rule.
    pub fn matches(&self, request: &Request) -> bool {
        match self {
            Self::Path(methods, path) => {
                let named = |name: &String| request.method.eq_ignore_ascii_case(name.as_bytes());
                (methods.is_empty() || methods.iter().any(named))
                    && path.is_match(path_and_query(&request.target).0)
            }
            Self::Header(name, value) => {
                request.headers.all(name).any(|field| value.is_match(field))
            }
            Self::Cookie(name, value) => {
                let mut crumbs = request.headers.all("cookie").flat_map(cookies);
                crumbs.any(|crumb| crumb.name == name.as_bytes() && value.is_match(crumb.value))
            }
        }
    }
}

/// Part of the lanes: those whose hash falls in slice `index` of `count` equal ones. Text form:
/// `1/4` to `4/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which slice, from 0.
    pub index: u32,
    /// How many slices.
    pub count: u32,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (index, count) = text.split_once('/')?;
            let (index, count): (u32, u32) =
                (index.trim().parse().ok()?, count.trim().parse().ok()?);
            (1..=count).contains(&index).then(|| Self { index: index - 1, count })
        };
        parse().ok_or_else(|| {
            format!("{text:?} is not a shard: write for example 1/4 for the first of four")
        })
    }
}

impl Shard {
    /// The shard of a pod of an Indexed Job: `index` counts from 0 and is what the pod finds in
    /// `JOB_COMPLETION_INDEX`.
    pub fn of_job(count: &str, index: Option<&str>) -> Result<Self, String> {
        let index = index.ok_or(
            "JOB_COMPLETION_INDEX is not set: run as a Job with completionMode: Indexed, or write \
             1/4 for the first of four",
        )?;
        let parse = || {
            let (index, count): (u32, u32) =
                (index.trim().parse().ok()?, count.trim().parse().ok()?);
            (index < count).then_some(Self { index, count })
        };
        parse().ok_or_else(|| {
            format!(
                "JOB_COMPLETION_INDEX is {index:?}, which is none of {count} shards: give as many \
                 completions as shards"
            )
        })
    }

    /// Whether a lane with this hash belongs to the shard. Every hash belongs to exactly one.
    pub const fn holds(self, hash: u64) -> bool {
        ((hash as u128 * self.count as u128) >> 64) as u32 == self.index
    }
}

/// A share of the connections. Text form: `10%`, `0.5%`, `25`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    share: f64,
}

impl std::str::FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().trim_end_matches('%').trim().parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self { share: percent / 100.0 }),
            _ => Err(format!(
                "{text:?} is not a sample: write a percentage above 0 and up to 100, for example \
                 10%"
            )),
        }
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.share * 100.0)
    }
}

impl Sample {
    /// Whether a connection with this hash is in the sample. A larger sample holds all of a smaller
    /// one.
    pub fn holds(self, hash: u64) -> bool {
        // 2⁻⁶⁴ · hash is below 1, also after rounding, for all that matters here: a share of 1
        // takes everything.
        self.share >= 1.0 || hash as f64 * (-64f64).exp2() < self.share
    }
}

/// The hash of a connection under a key: the same in every run and on every machine, and
/// independent for different keys.
pub fn connection_hash(key: &str, exchange: &Exchange) -> u64 {
    let mut digest = Sha256::new();
    digest.update(key.as_bytes());
    digest.update([0]);
    digest.update(exchange.id.connection.to_le_bytes());
    for end in [exchange.client, exchange.server] {
        match end.address {
            std::net::IpAddr::V4(address) => digest.update(address.octets()),
            std::net::IpAddr::V6(address) => digest.update(address.octets()),
        }
        digest.update(end.port.to_le_bytes());
    }
    first_eight(&digest.finalize())
}

/// The hash of copy `copy` of a lane, from the hash of its connection.
pub fn copy_hash(key: &str, connection: u64, copy: u32) -> u64 {
    let mut digest = Sha256::new();
    digest.update(key.as_bytes());
    digest.update([0]);
    digest.update(connection.to_le_bytes());
    digest.update(copy.to_le_bytes());
    first_eight(&digest.finalize())
}

/// What is to become of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To be sent.
    Send,
    /// Part of the run, but not to be sent, for this reason.
    Skip(Cow<'static, str>),
    /// Not part of the run, for this reason (a stable name for the ledger).
    Leave(&'static str),
}

/// The user's wishes.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only what one of these matches, where there are any.
    pub include: Vec<SelectRule>,
    /// Not what one of these matches.
    pub exclude: Vec<SelectRule>,
    /// Only these hosts (`Host` without its port where the wish has none), where there are any.
    pub hosts: Vec<String>,
    /// Only connections to these server ports, where there are any.
    pub ports: Vec<u16>,
    /// Only requests of that time or later.
    pub from: Option<Timestamp>,
    /// Only requests before that time.
    pub to: Option<Timestamp>,
    /// Only these exchanges and what they depend on, the earlier requests of their connections,
    /// where there are any; in order.
    pub ids: Vec<ExchangeId>,
    /// Only a share of the connections.
    pub sample: Option<Sample>,
    /// Of what the sample is a share.
    pub sample_by: Users,
    /// Also methods that are not safe, and WebSockets whose clients said something.
    pub unsafe_methods: bool,
    /// Why no WebSocket is played, where none is.
    pub no_sockets: Option<&'static str>,
    /// The header that marks a replayed request: what carries it was sent by a replay, and no user
    /// sent it.
    pub marker: Option<&'static str>,
}

/// Why a request that a replay had sent is left out.
pub const REPLAYED_BEFORE: &str = "replayed-before";

/// Why what is not in the sample is left out.
pub const NOT_IN_SAMPLE: &str = "not-in-sample";

impl Selection {
    /// Decides on one exchange. Shards are not decided here: they cut lanes, and a lane may be a
    /// copy.
    pub fn choose(&self, exchange: &Exchange) -> Choice {
        let Some(request) = &exchange.request else { return Choice::Leave("no-request") };
        let at = request.at;
        let request = &request.message;
        if self.marker.is_some_and(|marker| request.headers.get(marker).is_some()) {
            return Choice::Leave(REPLAYED_BEFORE);
        }
        if self.is_for_other_port(exchange) {
            return Choice::Leave("other-port");
        }
        if self.is_for_other_host(request) {
            return Choice::Leave("other-host");
        }
        if self.from.is_some_and(|from| at < from) || self.to.is_some_and(|to| at >= to) {
            return Choice::Leave("other-time");
        }
        if !self.ids.is_empty() && !self.leads_to_chosen(exchange.id) {
            return Choice::Leave("other-id");
        }
        if !self.include.is_empty() && !self.include.iter().any(|rule| rule.matches(request)) {
            return Choice::Leave("not-included");
        }
        if self.exclude.iter().any(|rule| rule.matches(request)) {
            return Choice::Leave("excluded");
        }
        let of = || match self.sample_by.of(exchange) {
            Some(user) => copy_hash("sample-user", user, 0),
            None => connection_hash("sample", exchange),
        };
        if self.sample.is_some_and(|sample| !sample.holds(of())) {
            return Choice::Leave(NOT_IN_SAMPLE);
        }
        self.skip(exchange, request).map_or(Choice::Send, Choice::Skip)
    }

    /// Whether an exchange went to a host or port that was not chosen: a call that v1 made itself.
    pub fn is_for_others(&self, exchange: &Exchange) -> bool {
        let other_host = |request: &TimedRequest| self.is_for_other_host(&request.message);
        self.is_for_other_port(exchange) || exchange.request.as_ref().is_some_and(other_host)
    }

    fn is_for_other_port(&self, exchange: &Exchange) -> bool {
        !self.ports.is_empty() && !self.ports.contains(&exchange.server.port)
    }

    fn is_for_other_host(&self, request: &Request) -> bool {
        !self.hosts.is_empty() && !self.hosts.iter().any(|host| is_for(request, host))
    }

    /// Whether an exchange is among the chosen ones, or comes before one on its connection: its
    /// answer may be what that one's client went by.
    fn leads_to_chosen(&self, id: ExchangeId) -> bool {
        let next = self.ids.partition_point(|chosen| *chosen < id);
        self.ids.get(next).is_some_and(|chosen| chosen.connection == id.connection)
    }

    fn skip(&self, exchange: &Exchange, request: &Request) -> Option<Cow<'static, str>> {
        if !exchange.completeness.request_is_whole() {
            return Some("the request is not whole in the capture".into());
        }
        if request.body.is_cut() {
            return Some("the request's body was cut by a limit when it was parsed".into());
        }
        if request.method.as_ref() == b"CONNECT" {
            if request.headers.get(":protocol").is_some_and(is_name) {
                return Some("a WebSocket on a stream of HTTP/2 (RFC 8441) is not played".into());
            }
            return Some(
                "CONNECT opens a tunnel, whose bytes are not part of the capture's exchanges"
                    .into(),
            );
        }
        if exchange.carriage.as_ref().is_some_and(|carriage| carriage.pushed_by.is_some()) {
            return Some("pushed by the server: no client asked for it".into());
        }
        if exchange.was_not_looked_at() {
            return Some("v1 did not look at it: its client was told to ask again".into());
        }
        // What was only offered (RFC 9110 §7.8) and not taken is an ordinary exchange.
        if let Some(session) = SocketSession::of(exchange) {
            return self.skip_socket(exchange, session);
        }
        if exchange.response.as_ref().is_some_and(|answer| answer.message.status == 101) {
            let protocol =
                String::from_utf8_lossy(request.headers.get("upgrade").unwrap_or_default())
                    .into_owned();
            return Some(format!("upgrade to {protocol}: what follows is not HTTP").into());
        }
        if self.unsafe_methods {
            return None;
        }
        // A server may do what such a field says, whatever the method; an empty one says nothing.
        let own = &request.method[..];
        let fields = OVERRIDES.iter().flat_map(|name| request.headers.all(name));
        let method = match is_safe(own) {
            true => fields
                .map(<[u8]>::trim_ascii)
                .find(|field| !field.is_empty() && !is_safe(&field.to_ascii_uppercase()))?,
            false => own,
        };
        Some(format!("unsafe method {}", String::from_utf8_lossy(method)).into())
    }

    /// Why a WebSocket is not played. What its client said may change something, whatever the
    /// method that opened it; and where messages are missing, nobody knows what v2 would answer.
    fn skip_socket(
        &self,
        exchange: &Exchange,
        session: SocketSession<'_>,
    ) -> Option<Cow<'static, str>> {
        if let Some(why) = self.no_sockets {
            return Some(why.into());
        }
        let mut lacks = exchange.marks.iter().filter_map(|mark| mark.strip_prefix(SOCKET_LACKS));
        if let Some(what) = lacks.next() {
            return Some(format!("the WebSocket is not whole in the capture: {what}").into());
        }
        if session.messages().is_empty() {
            return Some("upgrade to websocket: none of its messages were recorded".into());
        }
        if session.words().any(|word| word.message.data.is_cut()) {
            return Some("a message of the WebSocket was cut by a limit when it was parsed".into());
        }
        match session.sent() {
            0 => None,
            _ if self.unsafe_methods => None,
            1 => Some("unsafe WebSocket: its client sent a message".into()),
            sent => Some(format!("unsafe WebSocket: its client sent {sent} messages").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::{
        Carriage, Completeness, ExchangeId, SocketKind, SocketMessage, TimedRequest, TimedResponse,
    };
    use crate::flow::Direction;
    use crate::message::{Body, Response};

    fn exchange(method: &str, target: &str, headers: &[(&str, &str)]) -> Exchange {
        let ends = ["10.0.0.9:40112", "10.0.0.1:8080"].map(|end| end.parse().unwrap());
        Exchange {
            id: ExchangeId { connection: 3, ordinal: 0 },
            completeness: Completeness::Complete,
            request: Some(TimedRequest {
                message: Request {
                    method: Bytes::copy_from_slice(method.as_bytes()),
                    target: Bytes::copy_from_slice(target.as_bytes()),
                    headers: headers
                        .iter()
                        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                        .collect(),
                    ..Request::default()
                },
                ..TimedRequest::default()
            }),
            ..Exchange::between(ends[0], ends[1])
        }
    }

    #[test]
    fn what_v1_did_not_look_at_is_not_done_twice() {
        let left = Exchange {
            marks: vec!["not looked at: GOAWAY NO_ERROR (0)".into()],
            ..exchange("POST", "/pay", &[])
        };
        let all = Selection { unsafe_methods: true, ..Selection::default() };
        let request = &left.request.as_ref().unwrap().message;
        let reason = all.skip(&left, request).unwrap();
        assert!(reason.starts_with("v1 did not look at it"), "{reason}");
    }

    #[test]
    fn unsafe_methods_upgrades_and_tunnels_are_skipped_with_the_reason() {
        let all = Selection { unsafe_methods: true, ..Selection::default() };
        let upgrade = [("Upgrade", "other/1"), ("Connection", "keep-alive, Upgrade")];
        let answered = |status| Exchange {
            response: Some(TimedResponse {
                message: Response { status, ..Response::default() },
                ..TimedResponse::default()
            }),
            ..exchange("GET", "/ws", &upgrade)
        };
        for (exchange, plain, with_unsafe) in [
            (exchange("GET", "/", &[]), None, None),
            (exchange("QUERY", "/", &[]), None, None),
            (
                exchange("GET", "/", &[("X-HTTP-Method-Override", "DELETE")]),
                Some("unsafe method DELETE"),
                None,
            ),
            (exchange("GET", "/", &[("X-HTTP-Method", "get")]), None, None),
            (exchange("GET", "/", &[("X-HTTP-Method-Override", " ")]), None, None),
            (
                exchange("GET", "/", &[("X-HTTP-Method", ""), ("X-Method-Override", "PUT")]),
                Some("unsafe method PUT"),
                None,
            ),
            (exchange("POST", "/", &[]), Some("unsafe method POST"), None),
            (exchange("get", "/", &[]), Some("unsafe method get"), None),
            (answered(101), Some("upgrade to other/1"), Some("upgrade to other/1")),
            (answered(200), None, None),
            (answered(403), None, None),
            (answered(426), None, None),
            (exchange("GET", "/ws", &upgrade), None, None),
            (exchange("GET", "/", &upgrade[..1]), None, None),
            (exchange("CONNECT", "a:443", &[]), Some("CONNECT"), Some("CONNECT")),
        ] {
            for (selection, expected) in [(&Selection::default(), plain), (&all, with_unsafe)] {
                match (selection.choose(&exchange), expected) {
                    (Choice::Send, None) => {}
                    (Choice::Skip(reason), Some(start)) => {
                        assert!(reason.starts_with(start), "{reason}")
                    }
                    (choice, expected) => {
                        panic!("{choice:?} where {expected:?} was expected, for {exchange:?}")
                    }
                }
            }
        }
    }

    #[test]
    fn a_websocket_is_played_where_its_client_said_nothing_or_may_change_something() {
        let said = |direction, kind, text: &'static str| SocketMessage {
            direction,
            at_ns: 5,
            kind,
            data: Body::whole(text),
        };
        let (up, down) = (Direction::ToServer, Direction::ToClient);
        let ping = said(up, SocketKind::Ping, "");
        let news = said(down, SocketKind::Text, "news");
        let order = said(up, SocketKind::Text, "buy");
        let cut = SocketMessage {
            data: Body { length: 9, ..Body::whole("cut") },
            ..said(up, SocketKind::Binary, "")
        };
        let opened = |messages: &[&SocketMessage]| Exchange {
            response: Some(TimedResponse {
                message: Response {
                    status: 101,
                    headers: [(&b"Upgrade"[..], &b"WebSocket"[..])].into_iter().collect(),
                    ..Response::default()
                },
                ..TimedResponse::default()
            }),
            carriage: Some(Box::new(Carriage {
                messages: messages.iter().copied().cloned().collect(),
                ..Carriage::default()
            })),
            ..exchange("GET", "/ws", &[("Upgrade", "websocket")])
        };
        let lossy = Exchange {
            marks: vec!["websocket: gap of 7 bytes of the server".to_owned()],
            ..opened(&[&news])
        };
        let two =
            Exchange { marks: vec![], ..exchange("CONNECT", "/ws", &[(":protocol", "websocket")]) };
        let all = Selection { unsafe_methods: true, ..Selection::default() };
        let none = Selection { no_sockets: Some("not asked for"), ..all.clone() };
        for (exchange, plain, with_unsafe) in [
            (opened(&[&news, &ping]), "", ""),
            (opened(&[&news, &order]), "unsafe WebSocket: its client sent a message", ""),
            (opened(&[&order, &order]), "unsafe WebSocket: its client sent 2 messages", ""),
            (opened(&[]), "upgrade to websocket: none", "upgrade to websocket: none"),
            (opened(&[&cut]), "a message of the", "a message of the"),
            (lossy, "the WebSocket is not whole", "the WebSocket is not whole"),
            (two, "a WebSocket on a stream", "a WebSocket on a stream"),
        ] {
            for (selection, expected) in [(&Selection::default(), plain), (&all, with_unsafe)] {
                let told = match selection.choose(&exchange) {
                    Choice::Skip(reason) => reason.into_owned(),
                    choice => format!("{choice:?}").replace("Send", ""),
                };
                assert!(
                    told.starts_with(expected) && told.is_empty() == expected.is_empty(),
                    "{told}"
                );
            }
        }
        assert_eq!(none.choose(&opened(&[&news])), Choice::Skip("not asked for".into()));
    }

    #[test]
    fn what_is_not_whole_is_skipped_and_an_orphan_left() {
        let mut damaged = exchange("GET", "/", &[]);
        damaged.completeness = Completeness::RequestDamaged;
        assert!(matches!(Selection::default().choose(&damaged), Choice::Skip(_)));
        let mut cut = exchange("GET", "/", &[]);
        cut.request.as_mut().unwrap().message.body.length = 9;
        assert!(matches!(Selection::default().choose(&cut), Choice::Skip(_)));
        let mut orphan = exchange("GET", "/", &[]);
        orphan.request = None;
        assert_eq!(Selection::default().choose(&orphan), Choice::Leave("no-request"));
    }

    #[test]
    fn what_a_replay_had_sent_is_left_out_where_the_marker_is_known() {
        let marked = exchange("GET", "/", &[("X-Shadowtap-Replay", "r1")]);
        let known = Selection { marker: Some("x-shadowtap-replay"), ..Selection::default() };
        assert_eq!(known.choose(&marked), Choice::Leave(REPLAYED_BEFORE));
        assert_eq!(known.choose(&exchange("GET", "/", &[])), Choice::Send);
        assert_eq!(Selection::default().choose(&marked), Choice::Send);
    }

    #[test]
    fn filters() {
        let rule = |text: &str| text.parse::<SelectRule>().unwrap();
        let orders = exchange("GET", "/orders/7?debug=/health", &[("host", "Shop.local:8080")]);
        for (selection, expected) in [
            (
                Selection { include: vec![rule("GET ^/orders/")], ..Selection::default() },
                Choice::Send,
            ),
            (
                Selection { include: vec![rule("POST,get /orders")], ..Selection::default() },
                Choice::Send,
            ),
            (
                Selection { include: vec![rule("POST /orders")], ..Selection::default() },
                Choice::Leave("not-included"),
            ),
            (
                Selection { include: vec![rule("* /health")], ..Selection::default() },
                Choice::Leave("not-included"),
            ),
            (
                Selection { exclude: vec![rule("/orders/\\d+$")], ..Selection::default() },
                Choice::Leave("excluded"),
            ),
            (Selection { exclude: vec![rule("HEAD")], ..Selection::default() }, Choice::Send),
            (
                Selection { hosts: vec!["shop.local".to_owned()], ..Selection::default() },
                Choice::Send,
            ),
            (
                Selection { hosts: vec!["shop.local:8080".to_owned()], ..Selection::default() },
                Choice::Send,
            ),
            (
                Selection { hosts: vec!["shop.local:80".to_owned()], ..Selection::default() },
                Choice::Leave("other-host"),
            ),
            (Selection { ports: vec![8080], ..Selection::default() }, Choice::Send),
            (Selection { ports: vec![80], ..Selection::default() }, Choice::Leave("other-port")),
        ] {
            assert_eq!(selection.choose(&orders), expected, "{selection:?}");
        }
        assert!("GET (".parse::<SelectRule>().is_err() && "".parse::<SelectRule>().is_err());
    }

    #[test]
    fn requests_are_chosen_by_header_cookie_time_and_id() {
        let fields = [("X-Tenant", "acme"), ("Cookie", "a=1; plan=gold"), ("Host", "eu.prod:80")];
        let mut one = exchange("GET", "/", &fields);
        one.request.as_mut().unwrap().at = Timestamp::from_nanos(100);
        let rules = |text: &str| vec![text.parse::<SelectRule>().unwrap()];
        let chosen = |selection: &Selection| selection.choose(&one) == Choice::Send;
        for (rule, matches) in [
            ("header:x-tenant=^acme$", true),
            ("header:x-tenant=^ac$", false),
            ("header:x-tenant", true),
            ("header:x-other", false),
            ("cookie:plan=gold", true),
            ("cookie:plan=^g$", false),
            ("cookie:Plan", false),
        ] {
            let include = Selection { include: rules(rule), ..Selection::default() };
            let exclude = Selection { exclude: rules(rule), ..Selection::default() };
            assert_eq!((chosen(&include), chosen(&exclude)), (matches, !matches), "{rule}");
        }
        let at = |nanos| Some(Timestamp::from_nanos(nanos));
        for (from, to, matches) in [
            (at(100), None, true),
            (at(101), None, false),
            (None, at(100), false),
            (None, at(101), true),
        ] {
            assert_eq!(chosen(&Selection { from, to, ..Selection::default() }), matches);
        }
        let id = |ordinal| vec![ExchangeId { connection: 3, ordinal }];
        assert!(chosen(&Selection { ids: id(0), ..Selection::default() }));
        // What a later request of its connection may depend on goes with it.
        assert!(chosen(&Selection { ids: id(1), ..Selection::default() }));
        let later = exchange_id(exchange("GET", "/", &[]), 2);
        assert_eq!(
            Selection { ids: id(1), ..Selection::default() }.choose(&later),
            Choice::Leave("other-id")
        );
        let other = vec![ExchangeId { connection: 4, ordinal: 9 }];
        assert!(!chosen(&Selection { ids: other, ..Selection::default() }));
        for (host, matches) in
            [("*.prod", true), ("*.prod:80", true), ("*.prod:81", false), ("*.od", false)]
        {
            let hosts = vec![host.to_owned()];
            assert_eq!(chosen(&Selection { hosts, ..Selection::default() }), matches, "{host}");
        }
        assert!(
            "header:=x".parse::<SelectRule>().is_err()
                && "cookie:a=(".parse::<SelectRule>().is_err()
        );
    }

    fn exchange_id(exchange: Exchange, ordinal: u32) -> Exchange {
        Exchange { id: ExchangeId { ordinal, ..exchange.id }, ..exchange }
    }

    #[test]
    fn samples_and_shards_as_written() {
        for text in ["", "0", "101%", "-1", "many"] {
            assert!(text.parse::<Sample>().is_err(), "{text}");
        }
        for text in ["", "0/4", "5/4", "1", "a/b", "1/0"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("1/4".parse(), Ok(Shard { index: 0, count: 4 }));
        let all: Sample = "100%".parse().unwrap();
        assert!(all.holds(0) && all.holds(u64::MAX));
    }

    #[test]
    fn a_sample_has_its_share_and_does_not_change() {
        let sample: Sample = "10%".parse().unwrap();
        let mut exchange = exchange("GET", "/", &[]);
        let taken: Vec<u64> = (0..10_000)
            .filter(|&connection| {
                exchange.id.connection = connection;
                sample.holds(connection_hash("sample", &exchange))
            })
            .collect();
        assert!((900..1_100).contains(&taken.len()), "{}", taken.len());
        assert_eq!(
            taken[..4],
            [8, 11, 16, 45],
            "the same connections in every run, on every machine"
        );
    }

    proptest! {
        #[test]
        fn shards_partition(hash: u64, count in 1u32..100) {
            let holders = (0..count).filter(|&index| Shard { index, count }.holds(hash)).count();
            prop_assert_eq!(holders, 1);
        }

        #[test]
        fn a_larger_sample_holds_the_smaller(hash: u64, a in 0.1f64..100.0, b in 0.1f64..100.0) {
            let small: Sample = format!("{}%", a.min(b)).parse().unwrap();
            let large: Sample = format!("{}%", a.max(b)).parse().unwrap();
            prop_assert!(!small.holds(hash) || large.holds(hash));
        }
    }
}
