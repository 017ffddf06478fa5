//! The simplest sharp predicate is found, whatever the format that its value stands in, and no
//! secret is told.

use super::*;
use crate::exchange::{Completeness, ExchangeId, TimedRequest, TimedResponse};
use crate::message::{Request, Response};

/// A request with its type and body, and v1's answer.
type Said<'s> = (&'s str, &'s [(&'s str, &'s str)], &'s str, &'s str);

fn exchange((target, headers, asked, answered): Said<'_>, n: usize) -> Features {
    let filled = |text: &str| text.replace('#', &n.to_string());
    let mut request = Request {
        method: "POST".into(),
        target: filled(target).into(),
        body: Body::whole(filled(asked).into_bytes()),
        ..Request::default()
    };
    for (name, value) in headers {
        request.headers.push(name.as_bytes(), filled(value).as_bytes());
    }
    let response = Response {
        status: 200,
        body: Body::whole(filled(answered).into_bytes()),
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
    Features::of(&exchange, &Readings::default(), &Masker::new(b"k"))
}

fn many(said: Said<'_>) -> Vec<Features> {
    (0..4).map(|n| exchange(said, n)).collect()
}

fn best(members: &[Features], others: &[Features]) -> Option<String> {
    let best = candidates(members, others).into_iter().next()?;
    let mut tally = Tally::default();
    members.iter().for_each(|features| tally.count(&best, features, true));
    others.iter().for_each(|features| tally.count(&best, features, false));
    tally.is_sharp().then(|| tally.text(&best))
}

const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
const PARTS: &[(&str, &str)] = &[("Content-Type", "multipart/form-data; boundary=b")];
const XML: &[(&str, &str)] = &[("Content-Type", "application/xml")];

fn part(value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"size\"\r\n\r\n{value}\r\n--b--\r\n")
}

#[test]
fn the_simplest_sharp_predicate_is_found_in_every_format() {
    let (large, small) = (part("large"), part("small"));
    let gift = "<order><gift wrapped='yes'/><n>#</n></order>";
    let plain = "<order><gift wrapped='no'/><n>#</n></order>";
    let cases: &[(Said<'_>, Said<'_>, &str)] = &[
        (
            ("/p/#?currency=JPY&page=1", &[], "", "{}"),
            ("/p/#?currency=EUR&page=1", &[], "", "{}"),
            "query:currency = \"JPY\"",
        ),
        (("/s?q=caf%C3%A9#", &[], "", ""), ("/s?q=cafe#", &[], "", ""), "query:q is not ASCII"),
        (("/s?page=9#", &[], "", ""), ("/s?page=1#", &[], "", ""), "query:page ≥ 90"),
        (("/eu/p/#", &[], "", ""), ("/us/p/#", &[], "", ""), "path[1] = \"eu\""),
        (("/s?q=", &[], "", ""), ("/s?q=a#", &[], "", ""), "query:q is empty"),
        (
            ("/p/#", &[], "", "{\"stock\":0}"),
            ("/p/#", &[], "", "{\"stock\":3}"),
            "response $.stock = \"0\"",
        ),
        (
            ("/p", &[("X-Tenant", "acme")], "", ""),
            ("/p", &[("X-Tenant", "globex")], "", ""),
            "header:x-tenant = \"acme\"",
        ),
        (
            ("/p", &[("Cookie", "variant=#")], "", ""),
            ("/p", &[("Cookie", "other=#")], "", ""),
            "cookie:other is not there",
        ),
        (("/p", FORM, "size=large&n=#", ""), ("/p", FORM, "size=small&n=#", ""), {
            "form:size = \"large\""
        }),
        (("/p", PARTS, &large, ""), ("/p", PARTS, &small, ""), "part:size = \"large\""),
        (("/p", XML, gift, ""), ("/p", XML, plain, ""), "/order/gift/@wrapped = \"yes\""),
        (
            ("/p", &[], "{\"pay\":{\"by\":\"card\"},\"n\":#}", ""),
            ("/p", &[], "{\"pay\":{\"by\":\"cash\"},\"n\":#}", ""),
            "$.pay.by = \"card\"",
        ),
        (
            ("/p", &[], "", "{\"items\":[]}"),
            ("/p", &[], "", "{\"items\":[{\"a\":#},{\"a\":#}]}"),
            "response length of $.items = \"0\"",
        ),
        (
            ("/p", &[], "[{\"kind\":\"new\",\"n\":#},{\"kind\":\"#\"}]", ""),
            ("/p", &[], "[{\"kind\":\"old\",\"n\":#},{\"kind\":\"#\"}]", ""),
            "$[0].kind = \"new\"",
        ),
        (
            ("/p", &[], "{\"filter\":\"{\\\"lang\\\":\\\"de\\\"}\"}", ""),
            ("/p", &[], "{\"filter\":\"{\\\"lang\\\":\\\"en\\\"}\"}", ""),
            "$.filter $.lang = \"de\"",
        ),
    ];
    for &(member, other, expected) in cases {
        let found = best(&many(member), &many(other));
        let expected = format!("{expected} (all 4, none of 4 others)");
        assert_eq!(found.as_deref(), Some(&*expected), "{member:?}");
    }
}

#[test]
fn a_secret_is_known_to_be_there_and_never_told() {
    let asked = "{\"password\":\"hunter2hunter\",\"card\":\"4111111111111111\"}";
    let headers: &[(&str, &str)] = &[
        ("Authorization", "Basic dXNlcjpodW50ZXIyaHVudGVy"),
        ("Cookie", "seen=hunter2hunter"),
        ("X-Api-Key", "hunter2hunter"),
    ];
    let features = exchange(("/p?token=hunter2hunter", headers, asked, ""), 0);
    let told: Vec<_> = features.0.values().flatten().collect();
    assert!(!told.iter().any(|value| value.contains("hunter") || value.contains("4111")));
    assert!(told.len() < features.0.len(), "{features:?}");
    assert_eq!(
        best(&many(("/p/#?token=a", &[], "", "")), &many(("/p/#", &[], "", ""))).as_deref(),
        Some("query:token is there (all 4, none of 4 others)")
    );
}

#[test]
fn what_is_the_same_or_an_accident_separates_nothing() {
    let same = many(("/p/#", &[], "", "{}"));
    assert_eq!(best(&same, &same), None);
    assert_eq!(best(&same[..2], &many(("/q/#", &[], "", "{}"))), None, "two are an accident");
    // What stands further in an array has no place of its own.
    let [one, other] = ["a", "b"].map(|word| format!("{{\"tags\":[\"x\",\"{word}\"]}}"));
    assert_eq!(best(&many(("/p", &[], &one, "")), &many(("/p", &[], &other, ""))), None);
}
