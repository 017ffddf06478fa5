//! What a person looks for among a run's exchanges: `route:GET /orders/{id} status:500 out of
//! stock`. What stands behind no key is a text that is searched in request and answers.

use regex::bytes::{Regex, RegexBuilder};

use crate::exchange::Exchange;
use crate::message::{Body, Headers, Response, content};
use crate::outcome::Outcome;

/// Longest body that is searched, in bytes, codings undone.
const LONGEST_BODY: usize = 32 << 20;
/// Most terms.
const MOST_TERMS: usize = 32;

/// Terms that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    /// Stands in target, header fields or bodies, whatever its case.
    Text(Regex),
    /// Stands in the route.
    Route(Regex),
    /// A status of either side: its first digits.
    Status(String),
    /// The start of a cluster's id.
    Cluster(String),
    Lane(u64),
    /// The trace that v2 was asked in: the start of its id.
    Trace(String),
    /// v2 took longer, in nanoseconds.
    Slower(i64),
    /// v2 took more times as long as v1.
    SlowerThanV1(f64),
}

/// Why a text is no query.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct QueryError(String);

/// The terms that are known to hold, a bit each, and what the others need of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldTerms {
    terms: u32,
    v1_ns: Option<i64>,
}

const KEYS: [&str; 7] = ["route", "status", "cluster", "lane", "slower-than", "trace", "text"];

/// The key that was probably meant by one that is none.
pub fn nearest_key(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let far = |key: &str| strsim::osa_distance(&word, key);
    let near = |key: &&&str| (1..=1 + usize::from(key.len() > 5)).contains(&far(key));
    KEYS.iter().filter(near).min_by_key(|key| far(key)).copied()
}

impl Query {
    /// Reads a query; durations are read by `duration_ns`.
    pub fn parse(
        text: &str,
        duration_ns: impl Fn(&str) -> Result<i64, String>,
    ) -> Result<Self, QueryError> {
        let terms = split(text)
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| term(key, value, &duration_ns))
            .collect::<Result<Vec<_>, _>>()?;
        match terms.len() {
            0 => {
                Err(QueryError("the query is empty: name an exchange, a cluster or a text".into()))
            }
            n if n > MOST_TERMS => {
                Err(QueryError(format!("{n} terms are too many: at most {MOST_TERMS}")))
            }
            _ => Ok(Self { terms }),
        }
    }

    /// The starts of the clusters' ids that it names.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| match term {
            Term::Cluster(start) => Some(start.as_str()),
            _ => None,
        })
    }

    /// Whether it asks for the route.
    pub fn asks_for_route(&self) -> bool {
        self.terms.iter().any(|term| matches!(term, Term::Route(_)))
    }

    /// What holds by the recorded exchange; none where the query cannot hold any more.
    /// `in_cluster` says whether it is in a cluster whose id starts so.
    pub fn of_exchange(
        &self,
        exchange: &Exchange,
        route: &str,
        in_cluster: impl Fn(&str) -> bool,
    ) -> Option<HeldTerms> {
        let answer = exchange.response.as_ref();
        let v1 = answer.map(|answer| &answer.message);
        let mut held = HeldTerms { terms: 0, v1_ns: answer.and_then(|answer| answer.last_byte_ns) };
        for (bit, term) in self.terms.iter().enumerate() {
            let holds = match term {
                Term::Route(pattern) if !pattern.is_match(route.as_bytes()) => return None,
                Term::Cluster(start) if !in_cluster(start) => return None,
                Term::Route(_) | Term::Cluster(_) => true,
                Term::Text(pattern) => {
                    asked(pattern, exchange) || v1.is_some_and(|answer| answered(pattern, answer))
                }
                Term::Status(start) => v1.is_some_and(|answer| is_status(answer, start)),
                Term::Lane(_) | Term::Slower(_) | Term::SlowerThanV1(_) | Term::Trace(_) => false,
            };
            held.terms |= u32::from(holds) << bit;
        }
        Some(held)
    }

    /// Whether all terms hold, with what v2 did.
    pub fn holds(&self, held: HeldTerms, outcome: Option<&Outcome>) -> bool {
        let by_outcome = |term: &Term| {
            let Some(outcome) = outcome else { return false };
            let v2 = outcome.response.as_ref();
            let took = || Some(outcome.last_byte_ns?.saturating_sub(outcome.sent_ns?));
            match term {
                Term::Text(pattern) => v2.is_some_and(|answer| answered(pattern, answer)),
                Term::Status(start) => v2.is_some_and(|answer| is_status(answer, start)),
                Term::Lane(lane) => outcome.lane == *lane,
                Term::Trace(start) => outcome
                    .traceparent
                    .is_some_and(|parent| format!("{:032x}", parent.trace).starts_with(start)),
                Term::Slower(limit) => took().is_some_and(|nanos| nanos > *limit),
                Term::SlowerThanV1(factor) => {
                    took().zip(held.v1_ns).is_some_and(|(v2, v1)| v2 as f64 > v1 as f64 * factor)
                }
                Term::Route(_) | Term::Cluster(_) => false,
            }
        };
        let held = |bit: usize| held.terms >> bit & 1 == 1;
        self.terms.iter().enumerate().all(|(bit, term)| held(bit) || by_outcome(term))
    }
}

/// Keys with their values; what stands behind no key is a text.
fn split(text: &str) -> Vec<(&'static str, &str)> {
    let starts: Vec<(usize, &'static str)> = text
        .char_indices()
        .filter(|&(at, _)| at == 0 || text[..at].ends_with(char::is_whitespace))
        .filter_map(|(at, _)| {
            let rest = &text[at..];
            let key = KEYS.iter().find(|key| {
                rest.strip_prefix(*key).is_some_and(|behind| behind.starts_with(':'))
            })?;
            Some((at, *key))
        })
        .collect();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    let first = starts.first().map_or(text.len(), |(at, _)| *at);
    let mut found = vec![("text", text[..first].trim())];
    for (&(at, key), end) in starts.iter().zip(ends) {
        let value = text[at + key.len() + 1..end].trim();
        // A route and a text may hold blanks; behind the others a text goes on.
        match value.split_once(char::is_whitespace) {
            Some((value, rest)) if !matches!(key, "route" | "text") => {
                found.extend([(key, value), ("text", rest.trim())]);
            }
            _ => found.push((key, value)),
        }
    }
    found
}

fn term(
    key: &str,
    value: &str,
    duration_ns: &impl Fn(&str) -> Result<i64, String>,
) -> Result<Term, QueryError> {
    let value = value.trim_matches('"');
    let wrong = |what: String| Err(QueryError(what));
    match key {
        "route" => Ok(Term::Route(literal(value))),
        "status" => {
            let start = value.trim_end_matches(['x', 'X']);
            let digits = !start.is_empty() && start.bytes().all(|byte| byte.is_ascii_digit());
            match digits && value.len() <= 3 {
                true => Ok(Term::Status(start.to_owned())),
                false => wrong(format!(
                    "status:{value} is no status: write for example status:500 or status:5xx"
                )),
            }
        }
        "cluster" => Ok(Term::Cluster(value.to_owned())),
        "trace" => {
            let start = value.to_ascii_lowercase();
            let is_start = start.len() <= 32 && start.bytes().all(|byte| byte.is_ascii_hexdigit());
            match is_start {
                true => Ok(Term::Trace(start)),
                false => {
                    wrong(format!("trace:{value} is no trace: write its id, or how it begins"))
                }
            }
        }
        "lane" => match value.parse() {
            Ok(lane) => Ok(Term::Lane(lane)),
            Err(_) => {
                wrong(format!("lane:{value} is no lane: write its number, for example lane:12"))
            }
        },
        "slower-than" => match value.strip_suffix(['x', '×']).map(str::parse::<f64>) {
            Some(Ok(factor)) if factor.is_finite() => Ok(Term::SlowerThanV1(factor)),
            _ => match duration_ns(value) {
                Ok(nanos) => Ok(Term::Slower(nanos)),
                Err(_) => wrong(format!(
                    "slower-than:{value} is no duration: write for example slower-than:500ms, or \
                     slower-than:2x for twice v1's time"
                )),
            },
        },
        _ => Ok(Term::Text(literal(value))),
    }
}

/// A text in whatever case.
fn literal(text: &str) -> Regex {
    let build = |unicode: bool| {
        RegexBuilder::new(&regex::escape(text)).case_insensitive(true).unicode(unicode).build()
    };
    build(true)
        .or_else(|_| build(false))
        .unwrap_or_else(|_| Regex::new("$^").expect("an expression that nothing matches is one"))
}

fn asked(pattern: &Regex, exchange: &Exchange) -> bool {
    let Some(request) = exchange.request.as_ref().map(|request| &request.message) else {
        return false;
    };
    let line = [&request.method[..], b" ", &request.target[..]].concat();
    pattern.is_match(&line)
        || in_fields(pattern, &request.headers)
        || in_body(pattern, &request.headers, &request.body)
}

fn answered(pattern: &Regex, answer: &Response) -> bool {
    let line = [answer.status.to_string().as_bytes(), b" ", &answer.reason[..]].concat();
    pattern.is_match(&line)
        || in_fields(pattern, &answer.headers)
        || in_body(pattern, &answer.headers, &answer.body)
}

fn in_fields(pattern: &Regex, headers: &Headers) -> bool {
    let mut line = Vec::new();
    headers.iter().any(|(name, value)| {
        line.clear();
        line.extend_from_slice(name);
        line.extend_from_slice(b": ");
        line.extend_from_slice(value);
        pattern.is_match(&line)
    })
}

fn in_body(pattern: &Regex, headers: &Headers, body: &Body) -> bool {
    let codings = headers.all("content-encoding");
    match content::decode(&body.bytes, codings, LONGEST_BODY) {
        Ok(content) => pattern.is_match(&content),
        Err(_) => pattern.is_match(&body.bytes),
    }
}

fn is_status(answer: &Response, start: &str) -> bool {
    answer.status.to_string().starts_with(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::exchanges;

    fn query(text: &str) -> Query {
        Query::parse(text, milliseconds).unwrap()
    }

    fn milliseconds(text: &str) -> Result<i64, String> {
        let number = text.strip_suffix("ms").and_then(|number| number.parse::<i64>().ok());
        number.map(|number| number * 1_000_000).ok_or_else(|| "no duration".to_owned())
    }

    fn exchange() -> Exchange {
        let line = br#"{"id":"12-3","connection":12,"client":"10.0.0.9:40112",
            "server":"10.0.0.1:80","protocol":"http/1","completeness":"complete",
            "request":{"at":"2026-11-22T10:00:00Z","duration_ns":0,"method":"GET",
            "target":"/orders/7?q=Mug","version":"1.1","headers":[],"body":null,"body_bytes":0,
            "framing":"none","trailers":[]},
            "response":{"first_byte_ns":900000,"last_byte_ns":1000000,"status":200,"reason":"OK",
            "version":"1.1","headers":[],"body":{"utf8":"{\"name\": \"Blue \\\"mug\\\"\"}"},
            "body_bytes":24,"framing":"content-length","trailers":[]},"interim":[]}"#;
        match exchanges::read(line) {
            Ok(exchanges::Line::Exchange(exchange)) => *exchange,
            other => panic!("{other:?}"),
        }
    }

    fn found(text: &str) -> bool {
        let answer = Response {
            status: 503,
            body: Body::whole(&b"Out of stock"[..]),
            ..Response::default()
        };
        let outcome = Outcome {
            lane: 12,
            sent_ns: Some(0),
            last_byte_ns: Some(3_000_000),
            response: Some(answer),
            ..Outcome::default()
        };
        let query = query(text);
        query
            .of_exchange(&exchange(), "GET /orders/{id}", |start| "3f2a91".starts_with(start))
            .is_some_and(|held| query.holds(held, Some(&outcome)))
    }

    #[test]
    fn all_terms_must_hold_on_either_side() {
        for text in [
            "mug",
            "blue \\\"MUG",
            "out of stock",
            "status:200",
            "status:503",
            "status:5xx status:2xx",
            "route:GET /orders/{id} status:503 lane:12",
            "lane:12 text:out of stock",
            "cluster:3f2a",
            "slower-than:2ms",
            "slower-than:2.5x",
            "get /orders/7",
        ] {
            assert!(found(text), "{text}");
        }
        for text in [
            "cup",
            "status:404",
            "route:GET /carts",
            "lane:1 mug",
            "cluster:77",
            "slower-than:3ms",
            "slower-than:4x",
            "mug status:404",
        ] {
            assert!(!found(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_query_says_how_to_write_one() {
        for (text, says) in [
            ("  ", "empty"),
            ("status:abc", "status:5xx"),
            ("lane:x", "lane:12"),
            ("slower-than:soon", "500ms"),
        ] {
            let error = Query::parse(text, milliseconds).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
