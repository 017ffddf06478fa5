//! What separates the exchanges of a cluster from the matching ones of their route: the smallest
//! sharp predicate over the request or v1's answer, such as `query.currency = "JPY"`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::change::{is_variable, short};
use crate::exchange::Exchange;
use crate::message::content;
use crate::message::json::tape::{Node, Tape, Type};
use crate::message::target::path_and_query;
use crate::redact::Masker;
use crate::redact::names::is_secret_parameter;

/// Most features of one exchange.
const MAX_FEATURES: usize = 400;
/// Longest value that a predicate names, in bytes.
const MAX_VALUE: usize = 80;
/// Deepest place in a document that is looked at.
const MAX_DEPTH: usize = 4;
/// Exchanges that a predicate must hold for, so that it is no accident.
pub(super) const FEWEST: u64 = 3;

/// Stands for a value that must not be told; only its presence may be.
const SECRET: &str = "\u{0}";

/// What is known of one exchange, by name; several values of one name are kept as a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Features(BTreeMap<String, String>);

/// A predicate over features.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Predicate {
    Equals(String, String),
    Present(String),
    Absent(String),
    NotAscii(String),
    Empty(String),
    AtLeast(String, f64),
    AtMost(String, f64),
    LongerThan(String, usize),
}

impl Features {
    /// The features of an exchange: request first, then v1's answer.
    pub(super) fn of(exchange: &Exchange, masker: &Masker) -> Self {
        let mut features = Self::default();
        let Some(request) = &exchange.request else { return features };
        let request = &request.message;
        let (path, query) = path_and_query(&request.target);
        for (at, segment) in path.split(|&byte| byte == b'/').skip(1).enumerate().take(16) {
            let text = percent_encoding_decoded(segment);
            features.put_unless_secret(format!("path[{at}]"), &text, masker);
        }
        for (name, value) in url::form_urlencoded::parse(query).take(64) {
            let is_secret = !masker.is_off() && is_secret_parameter(&name);
            let value = if is_secret { Cow::Borrowed(SECRET) } else { value };
            features.put_unless_secret(format!("query.{name}"), &value, masker);
        }
        for (name, value) in request.headers.iter() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let value = String::from_utf8_lossy(value);
            match name.as_str() {
                "cookie" => {
                    for cookie in value.split(';').take(32) {
                        features.put(
                            format!("cookie.{}", cookie.split('=').next().unwrap_or("").trim()),
                            SECRET,
                        );
                    }
                }
                _ if masker.header(&name, &value) != value => {
                    features.put(format!("header.{name}"), SECRET)
                }
                "content-length" => {}
                _ => features.put(format!("header.{name}"), &value),
            }
        }
        features.body("body", &request.headers, &request.body.bytes, masker);
        if let Some(response) = &exchange.response {
            features.put("response.status".to_owned(), &response.message.status.to_string());
            features.body(
                "response",
                &response.message.headers,
                &response.message.body.bytes,
                masker,
            );
        }
        features
    }

    fn body(
        &mut self,
        prefix: &str,
        headers: &crate::message::Headers,
        bytes: &[u8],
        masker: &Masker,
    ) {
        const LONGEST: usize = 1 << 20;
        if bytes.is_empty() || bytes.len() > LONGEST {
            return;
        }
        let Ok(content) = content::decode(bytes, headers.all("content-encoding"), LONGEST) else {
            return;
        };
        match content.trim_ascii_start().first() {
            Some(b'{' | b'[') => {
                if let Ok(tape) = Tape::parse(&content) {
                    self.json(prefix, tape.root(), 0, masker);
                }
            }
            _ if headers
                .get("content-type")
                .is_some_and(|t| t.starts_with(b"application/x-www-form-urlencoded")) =>
            {
                for (name, value) in url::form_urlencoded::parse(&content).take(64) {
                    if masker.field(&name, "x") == "x" {
                        self.put_unless_secret(format!("{prefix}.{name}"), &value, masker);
                    }
                }
            }
            _ => {}
        }
    }

    fn json(&mut self, name: &str, node: Node<'_, '_>, depth: usize, masker: &Masker) {
        match node.kind() {
            Type::Object if depth < MAX_DEPTH => {
                for (member, value) in node.members().take(64) {
                    let member = member.text();
                    if !is_variable(&member) && masker.field(&member, "x") == "x" {
                        self.json(&format!("{name}.{member}"), value, depth + 1, masker);
                    }
                }
            }
            Type::Array => self.put(format!("{name}.length"), &node.elements().count().to_string()),
            Type::Object => {}
            _ => self.put_unless_secret(name.to_owned(), &node.text(), masker),
        }
    }

    /// What holds a secret is the same as any other that does.
    fn put_unless_secret(&mut self, name: String, value: &str, masker: &Masker) {
        match masker.text(value) {
            Cow::Borrowed(value) => self.put(name, value),
            Cow::Owned(_) => self.put(name, SECRET),
        }
    }

    fn put(&mut self, name: String, value: &str) {
        if self.0.len() < MAX_FEATURES {
            let cut = value.char_indices().nth(MAX_VALUE).map_or(value, |(at, _)| &value[..at]);
            self.0.entry(name).or_insert_with(|| cut.to_owned());
        }
    }
}

impl Predicate {
    fn holds(&self, features: &Features) -> bool {
        let number = |name: &str| features.0.get(name).and_then(|value| value.parse::<f64>().ok());
        match self {
            Self::Equals(name, value) => features.0.get(name) == Some(value),
            Self::Present(name) => features.0.contains_key(name),
            Self::Absent(name) => !features.0.contains_key(name),
            Self::NotAscii(name) => features.0.get(name).is_some_and(|value| !value.is_ascii()),
            Self::Empty(name) => features.0.get(name).is_some_and(String::is_empty),
            Self::AtLeast(name, bound) => number(name).is_some_and(|value| value >= *bound),
            Self::AtMost(name, bound) => number(name).is_some_and(|value| value <= *bound),
            Self::LongerThan(name, bound) => {
                features.0.get(name).is_some_and(|value| value.len() > *bound)
            }
        }
    }

    /// Simpler ones first: about the request rather than the answer, equality rather than a bound,
    /// and a short name.
    fn cost(&self) -> (u8, u8, usize, String) {
        let (kind, name) = match self {
            Self::Equals(name, _) => (0, name),
            Self::NotAscii(name) | Self::Empty(name) => (1, name),
            Self::Present(name) | Self::Absent(name) => (2, name),
            Self::AtLeast(name, _) | Self::AtMost(name, _) => (3, name),
            Self::LongerThan(name, _) => (4, name),
        };
        let about = if name == "response.status" {
            2
        } else if name.starts_with("response") {
            3
        } else if name.starts_with("header.") {
            1
        } else {
            0
        };
        (about, kind, name.len(), name.clone())
    }

    fn text(&self) -> String {
        match self {
            Self::Equals(name, value) => format!("{name} = \"{}\"", short(value)),
            Self::Present(name) => format!("{name} is there"),
            Self::Absent(name) => format!("{name} is not there"),
            Self::NotAscii(name) => format!("{name} is not ASCII"),
            Self::Empty(name) => format!("{name} is empty"),
            Self::AtLeast(name, bound) => format!("{name} ≥ {bound}"),
            Self::AtMost(name, bound) => format!("{name} ≤ {bound}"),
            Self::LongerThan(name, bound) => format!("{name} has more than {bound} bytes"),
        }
    }
}

/// Candidates that hold for all of `members` and for none of `others`, the simplest first.
pub(super) fn candidates(members: &[Features], others: &[Features]) -> Vec<Predicate> {
    if (members.len() as u64) < FEWEST || others.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let names: FxHashSet<&String> =
        members.iter().chain(others).flat_map(|features| features.0.keys()).collect();
    for name in names {
        let first = members[0].0.get(name);
        let mut tries = vec![
            Predicate::Present(name.clone()),
            Predicate::Absent(name.clone()),
            Predicate::NotAscii(name.clone()),
            Predicate::Empty(name.clone()),
        ];
        let told = first.filter(|value| !value.is_empty() && *value != SECRET);
        tries.extend(told.map(|value| Predicate::Equals(name.clone(), value.clone())));
        let numbers = |features: &[Features]| {
            let values = features
                .iter()
                .filter_map(|features| features.0.get(name))
                .filter_map(|value| value.parse::<f64>().ok());
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let ((low, high), (other_low, other_high)) = (numbers(members), numbers(others));
        if low > other_high && other_high.is_finite() {
            tries.push(Predicate::AtLeast(name.clone(), low));
        }
        if high < other_low && other_low.is_finite() {
            tries.push(Predicate::AtMost(name.clone(), high));
        }
        let lengths = |features: &[Features]| {
            features
                .iter()
                .filter_map(|features| features.0.get(name))
                .map(String::len)
                .collect::<Vec<_>>()
        };
        let (mine, theirs) = (lengths(members), lengths(others));
        if let (Some(shortest), Some(longest)) = (mine.iter().min(), theirs.iter().max())
            && shortest > longest
            && low.is_infinite()
        {
            tries.push(Predicate::LongerThan(name.clone(), *longest));
        }
        found.extend(tries.into_iter().filter(|predicate| {
            members.iter().all(|features| predicate.holds(features))
                && !others.iter().any(|features| predicate.holds(features))
        }));
    }
    found.sort_by_key(Predicate::cost);
    found
}

/// Counts for how many of the members and of the others a predicate holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    members: [u64; 2],
    others: [u64; 2],
}

impl Tally {
    pub(super) fn count(&mut self, predicate: &Predicate, features: &Features, member: bool) {
        let side = if member { &mut self.members } else { &mut self.others };
        side[0] += u64::from(predicate.holds(features));
        side[1] += 1;
    }

    /// Sharp: for nearly all of the members and hardly any of the others.
    pub(super) fn is_sharp(&self) -> bool {
        let ([held, members], [wrongly, others]) = (self.members, self.others);
        members >= FEWEST
            && others > 0
            && held * 100 >= members * 99
            && wrongly * 100 <= others
            && wrongly * 20 <= held
    }

    /// `query.currency = "JPY" (all 412, none of 9031 others)`.
    pub(super) fn text(&self, predicate: &Predicate) -> String {
        let ([held, members], [wrongly, others]) = (self.members, self.others);
        let mine =
            if held == members { format!("all {members}") } else { format!("{held} of {members}") };
        let theirs = if wrongly == 0 {
            format!("none of {others}")
        } else {
            format!("{wrongly} of {others}")
        };
        format!("{} ({mine}, {theirs} others)", predicate.text())
    }
}

fn percent_encoding_decoded(segment: &[u8]) -> String {
    // A segment without `=` and `&` is decoded as a form's name is, apart from the plus sign.
    let text = String::from_utf8_lossy(segment)
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Completeness, ExchangeId, TimedRequest, TimedResponse};
    use crate::message::{Body, Request, Response};

    fn exchange(target: &str, body: &str) -> Features {
        let request = Request {
            method: "GET".into(),
            target: target.to_owned().into(),
            ..Request::default()
        };
        let response = Response {
            status: 200,
            body: Body::whole(body.as_bytes().to_vec()),
            ..Response::default()
        };
        let exchange = Exchange {
            carriage: None,
            id: ExchangeId::default(),
            client: "1.2.3.4:5".parse().unwrap(),
            server: "1.2.3.4:6".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::Complete,
            request: Some(TimedRequest { message: request, ..TimedRequest::default() }),
            response: Some(TimedResponse { message: response, ..TimedResponse::default() }),
            interim: vec![],
            opened_at: None,
            handshake_ns: None,
            marks: vec![],
            closed: vec![],
        };
        Features::of(&exchange, &Masker::new(b"k"))
    }

    fn best(members: &[Features], others: &[Features]) -> Option<String> {
        let best = candidates(members, others).into_iter().next()?;
        let mut tally = Tally::default();
        members.iter().for_each(|features| tally.count(&best, features, true));
        others.iter().for_each(|features| tally.count(&best, features, false));
        tally.is_sharp().then(|| tally.text(&best))
    }

    #[test]
    fn the_simplest_sharp_predicate_is_found() {
        let many = |target: &str, body: &str| {
            (0..4).map(|n| exchange(&target.replace('#', &n.to_string()), body)).collect::<Vec<_>>()
        };
        let cases = [
            (
                "/p/#?currency=JPY&page=1",
                "{}",
                "/p/#?currency=EUR&page=1",
                "{}",
                "query.currency = \"JPY\" (all 4, none of 4 others)",
            ),
            (
                "/s?q=caf%C3%A9#",
                "{}",
                "/s?q=cafe#",
                "{}",
                "query.q is not ASCII (all 4, none of 4 others)",
            ),
            ("/s?page=9#", "{}", "/s?page=1#", "{}", "query.page ≥ 90 (all 4, none of 4 others)"),
            (
                "/p/#",
                "{\"stock\":0}",
                "/p/#",
                "{\"stock\":3}",
                "response.stock = \"0\" (all 4, none of 4 others)",
            ),
            ("/p/#?token=a", "{}", "/p/#", "{}", "query.token is there (all 4, none of 4 others)"),
        ];
        for (member, body, other, other_body, expected) in cases {
            let found = best(&many(member, body), &many(other, other_body));
            assert_eq!(found.as_deref(), Some(expected), "{member}");
        }
        assert_eq!(best(&many("/p/#", "{}"), &many("/p/#", "{}")), None);
        assert_eq!(
            best(&many("/p/#", "{}")[..2], &many("/q/#", "{}")),
            None,
            "two are an accident"
        );
    }
}
