//! What a call of v2 is answered with, in a table: each style of id at each place where one stands,
//! asked for again, for another thing, and written with a value that is made for the call.

use super::*;
use crate::exchange::{Completeness, Exchange, TimedRequest, TimedResponse};
use crate::message::{Body, Headers, Response};
use crate::mock::features::FeatureRules;
use crate::mock::selection::EgressSelection;

const NANOS: i64 = 1_795_341_600_000_000_000;

/// What one call says: method, target, header fields, body.
#[derive(Clone, Debug, Default)]
struct Said {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Said {
    fn request(&self) -> Request {
        let mut headers = Headers::new();
        headers.push(b"Host", b"api.example");
        for (name, value) in &self.fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        Request {
            method: self.method.into(),
            target: self.target.clone().into(),
            headers,
            body: Body::whole(self.body.clone()),
            ..Request::default()
        }
    }

    fn exchange(&self, number: u32, answer: &str) -> Exchange {
        let at = Timestamp::from_nanos(NANOS + i64::from(number) * 1_000_000_000);
        Exchange {
            carriage: None,
            id: ExchangeId { connection: 7, ordinal: number },
            client: "10.0.0.1:41000".parse().unwrap(),
            server: "192.0.2.7:80".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::Complete,
            request: Some(TimedRequest { at, duration_ns: 0, message: self.request() }),
            response: Some(TimedResponse {
                at,
                first_byte_ns: Some(1_000_000),
                last_byte_ns: Some(2_000_000),
                message: Response {
                    status: 200,
                    body: Body::whole(answer.to_owned()),
                    ..Response::default()
                },
            }),
            interim: vec![],
            opened_at: None,
            handshake_ns: None,
            marks: vec![],
            closed: vec![],
        }
    }
}

/// A mock without its sockets.
struct Desk {
    recording: CallRecording,
    stock: Stock,
}

impl Desk {
    fn of(calls: &[Said]) -> Self {
        let exchanges = calls
            .iter()
            .enumerate()
            .map(|(number, said)| said.exchange(number as u32, &format!("{{\"n\":{number}}}")))
            .collect();
        Self::with(exchanges)
    }

    fn with(exchanges: Vec<Exchange>) -> Self {
        let rules = FeatureRules::default();
        let recording =
            CallRecording::build(exchanges, &EgressSelection::default(), rules).unwrap();
        let stock = Stock::new(&recording, 1, None);
        Self { recording, stock }
    }

    /// What a call gets: `= N` where recorded call N answers as one that matches, `~ N` as one that
    /// drifted, else why none does.
    fn ask(&mut self, said: &Said) -> String {
        let request = said.request();
        let query = CallQuery::new("api.example", &request);
        let prepared = self.recording.prepare(&query, None);
        let policy = MatchPolicy::default();
        let found = self.recording.choose(&query, &prepared, &policy, &mut self.stock, false);
        match found {
            FoundCall::Answer { index, tier: Tier::Nearest, .. } => format!("~ {index}"),
            FoundCall::Answer { index, .. } => format!("= {index}"),
            FoundCall::Miss { reason, .. } => format!("{reason:?}"),
        }
    }
}

/// Styles of ids, each with three that name three things.
const IDS: [(&str, [&str; 3]); 13] = [
    ("number", ["4711", "4712", "9034"]),
    ("long number", ["8231045571", "8231045572", "7731045999"]),
    ("word", ["alice", "bob", "carol"]),
    ("prefixed", ["cus_4711", "cus_4712", "cus_9034"]),
    (
        "UUID",
        [
            "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            "0b6f7c1e-1d0a-4d1c-9a53-2f6b1c7c0a22",
            "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
        ],
    ),
    (
        "UUID of time",
        [
            "0190163d-8694-739b-aea5-966c26f8ad91",
            "0190163d-9a01-7c2b-8e5f-1b2c3d4e5f60",
            "0190163e-0007-7fff-9abc-0a0b0c0d0e0f",
        ],
    ),
    (
        "ULID",
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ", "01F8MECHZX3TBDSZ7XRADM79XE"],
    ),
    (
        "hex",
        [
            "3f2a91c0be41d0570190fe14a7c3b2d8",
            "9c04b17e5a2d46f88b3e6d1f0a957c24",
            "e7d1a5b3c9f04826915d7e3a0b6c8f42",
        ],
    ),
    (
        "object id",
        ["507f1f77bcf86cd799439011", "64b7f0c2a1e9d83f5c6b7a90", "65a1c2d3e4f5061728394a5b"],
    ),
    ("snowflake", ["1541815603606036480", "1541815603606036481", "1212092628029698048"]),
    ("nano id", ["V1StGXR8_Z5jdHi6B-myT", "x8Lq_3Zt-A0owWCLdC7pQ", "DFyuzX9kQ21gnneGEYw0s"]),
    ("token", ["kX1v0O3yqX7n2Qabz81Mw9", "9aZ1v0O3yqX7n2QpLr5Tq0", "pR7sT2uV9wX4yZ1aB6cD3e"]),
    ("cursor", ["eyJpZCI6MTAwfQ==", "eyJpZCI6MjAwfQ==", "eyJpZCI6MzAwfQ=="]),
];

fn said(
    method: &'static str,
    target: String,
    fields: &[(&'static str, &str)],
    body: String,
) -> Said {
    let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Said { method, target, fields, body: body.into_bytes() }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A message of Protocol Buffers with a text in its first field, framed as gRPC.
fn grpc(id: &str) -> Vec<u8> {
    let mut message = vec![0x0a, id.len() as u8];
    message.extend_from_slice(id.as_bytes());
    let mut body = vec![0];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend(message);
    body
}

/// A read at one place, of what an id names.
fn read_at(place: &str, id: &str) -> Said {
    let get = |target: String, fields: &[(&'static str, &str)]| {
        said("GET", target, fields, String::new())
    };
    let post = |target: &str, field: (&'static str, &str), body: String| {
        said("POST", target.to_owned(), &[JSON, field], body)
    };
    const NONE: (&str, &str) = ("Accept", "*/*");
    let encoded = id.replace('=', "%3D");
    match place {
        "path" => get(format!("/orders/{encoded}"), &[]),
        "path inside" => get(format!("/orders/{encoded}/items"), &[]),
        "query" => get(format!("/orders?customer={encoded}&size=5"), &[]),
        "matrix parameter" => get(format!("/orders;customer={encoded}/items"), &[]),
        "header" => get("/orders".to_owned(), &[("X-Customer", id)]),
        "tenant" => get("/orders".to_owned(), &[("X-Tenant-Id", id), ("User-Agent", "v/1")]),
        "cookie" => get("/orders".to_owned(), &[("Cookie", &format!("theme=dark; customer={id}"))]),
        "search" => post(
            "/orders/_search",
            NONE,
            format!(r#"{{"query":{{"term":{{"customer":"{id}"}}}}}}"#),
        ),
        "form" => said(
            "POST",
            "/orders/search".to_owned(),
            &[("Content-Type", "application/x-www-form-urlencoded")],
            format!("customer={encoded}&size=5"),
        ),
        "GraphQL variable" => post(
            "/graphql",
            NONE,
            format!(
                "{{\"query\":\"query Order($id: ID!) {{ order(id: $id) {{ total }} }}\",\
                 \"variables\":{{\"id\":\"{id}\"}}}}"
            ),
        ),
        "GraphQL text" => post(
            "/graphql",
            NONE,
            format!(r#"{{"query":"{{ order(id: \"{id}\") {{ total }} }}"}}"#),
        ),
        "JSON-RPC" => post(
            "/rpc",
            NONE,
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getOrder","params":["{id}"]}}"#),
        ),
        "DynamoDB" => post(
            "/",
            ("X-Amz-Target", "DynamoDB_20120810.GetItem"),
            format!(r#"{{"TableName":"orders","Key":{{"pk":{{"S":"{id}"}}}}}}"#),
        ),
        "SOAP" => said(
            "POST",
            "/soap".to_owned(),
            &[("Content-Type", "text/xml"), ("SOAPAction", "\"urn:o#GetOrder\"")],
            format!(
                "<e:Envelope \
                 xmlns:e='u'><e:Body><GetOrder><Id>{id}</Id></GetOrder></e:Body></e:Envelope>"
            ),
        ),
        "gRPC" => Said {
            method: "POST",
            target: "/orders.Orders/GetOrder".to_owned(),
            fields: vec![("Content-Type", "application/grpc".to_owned())],
            body: grpc(id),
        },
        _ => unreachable!("{place}"),
    }
}

const PLACES: [&str; 15] = [
    "path",
    "path inside",
    "query",
    "matrix parameter",
    "header",
    "tenant",
    "cookie",
    "search",
    "form",
    "GraphQL variable",
    "GraphQL text",
    "JSON-RPC",
    "DynamoDB",
    "SOAP",
    "gRPC",
];

#[test]
fn a_read_is_answered_for_what_it_names_and_for_nothing_else() {
    let mut wrong = Vec::new();
    for place in PLACES {
        for (style, [one, two, other]) in IDS {
            let calls = [read_at(place, one), read_at(place, two)];
            for recorded in [&calls[..1], &calls[..]] {
                let mut desk = Desk::of(recorded);
                for (index, call) in recorded.iter().enumerate().rev() {
                    let got = desk.ask(call);
                    if got != format!("= {index}") {
                        wrong.push(format!("{style} in {place}, again: {got}"));
                    }
                }
                let got = desk.ask(&read_at(place, other));
                if got.starts_with(['=', '~']) {
                    wrong.push(format!("{style} in {place}, another of {}: {got}", recorded.len()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

#[test]
fn a_date_or_a_page_that_a_read_asks_for_is_what_it_names() {
    for (one, other) in [
        ("/rates?date=2026-09-21", "/rates?date=2026-09-22"),
        ("/rates?from=2026-09-21T00:00:00Z", "/rates?from=2026-09-28T00:00:00Z"),
        ("/rates/2026-09-21", "/rates/2026-09-22"),
        ("/events?since=1789916400", "/events?since=1789920000"),
        ("/orders?page=2", "/orders?page=3"),
        ("/orders?cursor=b3JkZXI6MTAw", "/orders?cursor=b3JkZXI6MjAw"),
    ] {
        let of = |target: &str| said("GET", target.to_owned(), &[], String::new());
        let mut desk = Desk::of(&[of(one)]);
        assert_eq!(desk.ask(&of(one)), "= 0", "{one}");
        let got = desk.ask(&of(other));
        assert!(!got.starts_with(['=', '~']), "{one} {other}: {got}");
    }
}

/// A write with an amount, a key of its own, and an id that names what it is about.
fn write_at(place: &str, key: &str, amount: u32, about: &str) -> Said {
    let body = format!(r#"{{"amount":{amount},"currency":"EUR","about":"{about}"}}"#);
    match place {
        "header" => said("POST", "/charges".to_owned(), &[JSON, ("Idempotency-Key", key)], body),
        "JSON" => said(
            "POST",
            "/charges".to_owned(),
            &[JSON],
            format!(r#"{{"key":"{key}","amount":{amount},"currency":"EUR","about":"{about}"}}"#),
        ),
        "query" => said("POST", format!("/charges?key={key}"), &[JSON], body),
        "path" => said("PUT", format!("/charges/{key}"), &[JSON], body),
        "form" => said(
            "POST",
            "/charges".to_owned(),
            &[("Content-Type", "application/x-www-form-urlencoded")],
            format!("key={key}&amount={amount}&currency=EUR&about={about}"),
        ),
        "JSON-RPC" => said(
            "POST",
            "/rpc".to_owned(),
            &[JSON],
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"charge\",\
                 \"params\":{{\"key\":\"{key}\",\"amount\":{amount},\"about\":\"{about}\"}}}}",
                key.len() + key.bytes().map(usize::from).sum::<usize>()
            ),
        ),
        "XML" => said(
            "POST",
            "/soap".to_owned(),
            &[("Content-Type", "text/xml"), ("SOAPAction", "\"charge\"")],
            format!(
                "<Charge><Key>urn:uuid:{key}</Key><Amount>{amount}</Amount><For>{about}</For></Char\
                 ge>"
            ),
        ),
        _ => unreachable!("{place}"),
    }
}

#[test]
fn a_write_matches_with_a_key_of_its_own_and_drifts_with_another_amount() {
    for place in ["header", "JSON", "query", "path", "form", "JSON-RPC", "XML"] {
        for (style, [one, two, fresh]) in &IDS[4..12] {
            // What says when it was made is made now.
            let [one, two, fresh] = match *style {
                "UUID of time" => [
                    "01a202b2-c564-7a51-b6f1-2b8c1d4e5f60",
                    "01a202b2-c94c-7c2b-8e5f-1b2c3d4e5f60",
                    "01a22e41-e480-7fff-9abc-0a0b0c0d0e0f",
                ],
                "ULID" => [
                    "01M81B5HB4TSV4RRFFQ69G5FAV",
                    "01M81B5JACACTAV9WEVGEMMVRZ",
                    "01M8Q43S40CHZX3TBDSZ7XRADM",
                ],
                _ => [*one, *two, *fresh],
            };
            let of = |key: &str, amount| write_at(place, key, amount, "o-1");
            let mut desk = Desk::of(&[of(one, 100), of(two, 200)]);
            assert_eq!(desk.ask(&of(fresh, 200)), "= 1", "{style} in {place}");
            let mut desk = Desk::of(&[of(one, 100)]);
            assert_eq!(desk.ask(&of(fresh, 999)), "~ 0", "{style} in {place}, another amount");
        }
    }
}

#[test]
fn writes_with_other_amounts_are_one_drift_each() {
    let of = |key: &str, amount| write_at("JSON", key, amount, "o-1");
    let keys = IDS[4].1;
    let mut desk = Desk::of(&[of(keys[0], 100), of(keys[1], 200), of(keys[2], 300)]);
    let got: Vec<String> = [
        (110, "0e02b2c3-58cc-4372-a567-0e02b2c3d479"),
        (210, "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
        (310, "9a1de644-815e-46d1-bb8f-aa1837f8a88b"),
    ]
    .iter()
    .map(|&(amount, key)| desk.ask(&of(key, amount)))
    .collect();
    assert_eq!(got, ["~ 0", "~ 1", "~ 2"]);
}

#[test]
fn what_was_named_before_is_named_by_a_write_too() {
    let uuids = IDS[4].1;
    let read = |id: &str| read_at("path", id);
    let write = |about: &str| write_at("header", "k", 100, about);
    let mut desk = Desk::of(&[read(uuids[0]), write(uuids[0])]);
    assert_eq!(desk.ask(&write(uuids[0])), "= 1");
    let got = desk.ask(&write(uuids[1]));
    assert!(!got.starts_with('='), "{got}");
}

#[test]
fn what_v2_made_up_is_known_by_its_own_name_later() {
    let [one, _, own] = IDS[4].1;
    let put = |id: &str| said("PUT", format!("/receipts/{id}.txt"), &[], "paid".to_owned());
    let get = |id: &str| said("GET", format!("/receipts/{id}.txt"), &[], String::new());
    let mut desk = Desk::of(&[put(one), get(one)]);
    assert_eq!(desk.ask(&get(own)), "Other", "before it was put");
    assert_eq!(desk.ask(&put(own)), "= 0");
    assert_eq!(desk.ask(&get(own)), "= 1");
    assert_eq!(desk.ask(&get(IDS[4].1[1])), "Other");
}

/// A signed link is another one each time; what it leads to is what is asked for.
#[test]
fn signed_links_are_known_by_what_they_lead_to() {
    const SIGNED: [(&str, [&str; 2]); 5] = [
        (
            "sv=2022-11-02&sp=r&",
            [
                "st=2026-11-28T09%3A00%3A00Z&se=2027-02-28T10%3A00%3A00Z&\
                 sig=Z%2FRHIX5Xcg0Mq2rqI3Ol",
                "st=2026-12-01T09:00:00Z&se=2027-03-01&sig=y0Cq8dN7hWm1bT2vE5kJ%3D",
            ],
        ),
        (
            "response-content-type=a&",
            [
                "Expires=1790000000&Signature=Ab3dE5fG7hI9-~xyz__&Key-Pair-Id=K2JCJMDEHXQW5F",
                "Expires=1790300000&Signature=Zq7hT2mXw9Lk-~abc__&Key-Pair-Id=K3AAAMDEHXQW5F",
            ],
        ),
        (
            "X-Goog-SignedHeaders=host&",
            [
                "X-Goog-Credential=a%2F20261128%2Fauto&X-Goog-Date=20261128T000000Z&\
                 X-Goog-Signature=ab",
                "X-Goog-Credential=a%2F20261129%2Fauto&X-Goog-Date=20261129T000000Z&\
                 X-Goog-Signature=cd",
            ],
        ),
        (
            "partNumber=1&",
            [
                "X-Amz-Credential=AKID%2F20261128%2Feu&X-Amz-Date=20261128T000000Z&\
                 X-Amz-Signature=ab",
                "X-Amz-Credential=AKID%2F20261129%2Feu&X-Amz-Date=20261129T000000Z&\
                 X-Amz-Signature=cd",
            ],
        ),
        ("page=2&", ["exp=1790000000&hmac=abcd", "exp=1790009999&hmac=ef01"]),
    ];
    for (same, [one, other]) in SIGNED {
        let of = |path: &str, same: &str, own: &str| {
            said("GET", format!("/c/{path}?{same}{own}"), &[], String::new())
        };
        let recorded = [of("a.txt", same, one), of("b.txt", same, one)];
        let mut desk = Desk::of(&recorded);
        assert_eq!(desk.ask(&of("b.txt", same, other)), "= 1", "{same}");
        let elsewhere = desk.ask(&of("c.txt", same, other));
        assert!(!elsewhere.starts_with('='), "{same} {elsewhere}");
        let changed = same.replace(['1', '2', 'r', 'a'], "7");
        let else_asked = desk.ask(&of("a.txt", &changed, other));
        assert!(!else_asked.starts_with('='), "{changed} {else_asked}");
        // The same names say what is asked for where nothing is signed.
        let mut desk = Desk::of(&[said("GET", "/c?st=7&se=8".into(), &[], String::new())]);
        assert!(
            !desk.ask(&said("GET", "/c?st=7&se=9".into(), &[], String::new())).starts_with('=')
        );
    }
}

#[test]
fn a_path_is_the_same_however_its_letters_are_escaped() {
    let plain = |target: &str| said("GET", target.into(), &[], String::new());
    let recorded = [
        plain("/a-b/c_d~e"),
        plain("/o/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11"),
        plain("/u/%40joe"),
        plain("/x/a%2Fb"),
    ];
    let mut desk = Desk::of(&recorded);
    for (target, expected) in [
        ("/a%2Db/c%5Fd%7e", "Route"),
        ("/a%2Db/c%5Fd%7Ee", "= 0"),
        ("/o/6f1d7c1e%2D0d0a%2D4d1c%2D9a53%2D2f6b1c7c0a11", "= 1"),
        ("/u/@joe", "= 2"),
        ("/x/a%2fb", "= 3"),
        ("/x/a/b", "Route"),
    ] {
        assert_eq!(desk.ask(&plain(target)), expected, "{target}");
    }
}

#[test]
fn objects_are_put_under_the_day_and_time_of_their_call() {
    let (then, now) = (Timestamp::from_nanos(NANOS).to_string(), Timestamp::now().to_string());
    let put = |form: &str, at: &str, id: &str| {
        let epoch = at.parse::<Timestamp>().unwrap().nanos() / 1_000_000;
        let target = form
            .replace("Y", &at[..4])
            .replace("M", &at[5..7])
            .replace("D", &at[8..10])
            .replace("E", &epoch.to_string())
            .replace("#", id);
        said("PUT", target, &[("Content-Type", "text/plain")], "hello".to_owned())
    };
    let [one, two] = ["kX1v0O3yqX7n2Qabz81Mw9", "9aZ1v0O3yqX7n2QpLr5Tq0"];
    for form in [
        "/b/Y/M/D/#.json",
        "/b/year=Y/month=M/day=D/#",
        "/b/day=Y-M-D/part-0-#.gz",
        "/b/totals-E.csv",
        "/b/Y-M-D_totals.csv",
        "/b/#_200.png",
        "/b/r_#-1024.webp",
    ] {
        let mut desk = Desk::of(&[put(form, &then, one)]);
        assert_eq!(desk.ask(&put(form, &now, two)), "= 0", "{form}");
    }
    for (form, other) in [
        ("/b/#_200.png", "/b/#_400.png"),
        ("/b/#-16", "/b/#-32"),
        ("/b/totals-E.csv", "/b/orders-E.csv"),
        ("/b/day=Y-M-D/a.gz", "/b/day=Y-M-D/b.gz"),
        ("/b/2019/M/D/#.json", "/b/2020/M/D/#.json"),
    ] {
        let mut desk = Desk::of(&[put(form, &then, one)]);
        assert!(!desk.ask(&put(other, &now, two)).starts_with('='), "{form} {other}");
    }
}

#[test]
fn accept_chooses_among_answers_of_several_types() {
    let of = |accept: &str| said("GET", "/rates".to_owned(), &[("Accept", accept)], String::new());
    let typed = |number: u32, kind: &str| {
        let mut exchange = of(kind).exchange(number, kind);
        let answer = exchange.response.as_mut().unwrap();
        answer.message.headers.push(b"Content-Type", format!("{kind}; charset=utf-8").as_bytes());
        exchange
    };
    let kinds = ["application/json", "text/csv", "application/xml"];
    let desk = || {
        let exchanges = (0..).zip(kinds).map(|(number, kind)| typed(number, kind)).collect();
        Desk::with(exchanges)
    };
    for (accept, expected) in [
        ("text/csv", "= 1"),
        ("application/xml, text/csv;q=0.5", "= 2"),
        ("text/*", "= 1"),
        ("application/json;q=0.2, */*;q=0.1", "= 0"),
        ("TEXT/CSV; q=1.0, application/json; q=0.9", "= 1"),
        ("*/*", "= 0"),
    ] {
        assert_eq!(desk().ask(&of(accept)), expected, "{accept}");
    }
}

#[test]
fn the_user_of_basic_credentials_says_whose_data_is_wanted() {
    let basic = |pair: &str| {
        let credentials = crate::message::encoding::base64_of(pair.as_bytes(), false);
        said(
            "GET",
            "/me".into(),
            &[("Authorization", &format!("Basic {credentials}"))],
            String::new(),
        )
    };
    let mut desk = Desk::of(&[basic("joe:a"), basic("ann:b")]);
    assert_eq!(desk.ask(&basic("ann:other")), "= 1");
    assert_eq!(desk.ask(&basic("joe:a")), "= 0");
    assert!(!desk.ask(&basic("eve:a")).starts_with('='));
    // One user is the caller's own.
    let mut desk = Desk::of(&[basic("joe:a")]);
    assert_eq!(desk.ask(&basic("staging:x")), "= 0");
}

#[test]
fn what_is_new_in_each_call_hides_no_read() {
    let [one, two, fresh] = IDS[4].1;
    for place in ["nonce", "X-Request-Id", "X-Trace", "requestId", "_"] {
        let of = |value: &str| match place {
            "X-Request-Id" | "X-Trace" => {
                said("GET", "/orders".to_owned(), &[(place_of(place), value)], String::new())
            }
            _ => said("GET", format!("/orders?{place}={value}"), &[], String::new()),
        };
        let mut desk = Desk::of(&[of(one), of(two)]);
        assert!(desk.ask(&of(fresh)).starts_with('='), "{place}");
    }
    // Four sessions of a library that numbers its calls in a field of its own.
    let calls: Vec<Said> =
        ["a1b2c3d4e5f60718", "9f8e7d6c5b4a3928", "13579bdf02468ace", "0f1e2d3c4b5a6978"]
            .iter()
            .map(|value| said("GET", "/orders".to_owned(), &[("X-Wire", value)], String::new()))
            .collect();
    let mut desk = Desk::of(&calls);
    let own = said("GET", "/orders".to_owned(), &[("X-Wire", "7c6b5a4938271605")], String::new());
    assert!(desk.ask(&own).starts_with('='));
}

fn place_of(name: &str) -> &'static str {
    if name == "X-Trace" { "X-Trace" } else { "X-Request-Id" }
}

#[test]
fn header_fields_of_the_client_hide_no_read_and_a_lacking_tenant_does() {
    let of =
        |fields: &[(&'static str, &str)]| said("GET", "/orders".to_owned(), fields, String::new());
    let recorded = of(&[
        ("X-Tenant", "acme"),
        ("User-Agent", "v1"),
        ("X-Client-Version", "1.0"),
        ("Accept", "a/b"),
    ]);
    let mut desk = Desk::of(&[recorded]);
    for fields in [
        &[("X-Tenant", "acme"), ("User-Agent", "v2"), ("X-Client-Version", "2.0")][..],
        &[("X-Tenant", "acme"), ("X-New", "yes"), ("Authorization", "Bearer x")],
    ] {
        assert_eq!(desk.ask(&of(fields)), "= 0", "{fields:?}");
    }
    assert_eq!(desk.ask(&of(&[("Accept", "*/*")])), "Other");
    assert_eq!(desk.ask(&of(&[("X-Tenant", "globex")])), "Other");
}

/// What tells calls apart is asked for by its lack, too, of reads and of writes.
#[test]
fn a_call_that_lacks_what_tells_apart_is_another_call() {
    for (name, [one, two]) in [
        ("X-Tenant-Id", ["acme", "globex"]),
        ("X-Channel", ["web", "phone"]),
        ("Accept-Language", ["de", "fr"]),
        ("X-Api-Version", ["2", "3"]),
        ("Stripe-Account", ["acct_1", "acct_2"]),
        ("Cookie", ["lang=de", "lang=fr"]),
    ] {
        let of = |value: &str| said("GET", "/me".to_owned(), &[(name, value)], String::new());
        let lacking = || said("GET", "/me".to_owned(), &[], String::new());
        let mut desk = Desk::of(&[of(one), of(two)]);
        assert_eq!(desk.ask(&of(two)), "= 1", "{name}");
        assert_eq!(desk.ask(&lacking()), "Other", "{name} is lacking");
        // Who was answered without it is answered without it.
        let mut desk = Desk::of(&[of(one), lacking(), of(two)]);
        assert_eq!(desk.ask(&lacking()), "= 1", "{name}: v1 lacked it once");
        let charge = |fields: &[(&'static str, &str)]| {
            said("POST", "/charges".to_owned(), fields, "amount=5".to_owned())
        };
        let mut desk = Desk::of(&[charge(&[(name, one)]), charge(&[(name, two)])]);
        assert_eq!(desk.ask(&charge(&[(name, two)])), "= 1", "{name}");
        let got = desk.ask(&charge(&[]));
        assert!(!got.starts_with('='), "{name} is lacking in a write: {got}");
    }
}

/// Who asks by the id of a message asks for that message; who sends one makes an id of its own.
#[test]
fn messages_are_asked_for_by_their_ids() {
    let [one, two, fresh] = IDS[4].1;
    for name in ["messageId", "message_id", "Message-ID"] {
        let read = |id: &str| said("GET", format!("/m?{name}={id}"), &[], String::new());
        let mut desk = Desk::of(&[read(one), read(two)]);
        assert_eq!(desk.ask(&read(two)), "= 1", "{name}");
        assert_eq!(desk.ask(&read(fresh)), "Other", "{name}");
        let send = |id: &str| {
            said("POST", "/m".to_owned(), &[JSON], format!(r#"{{"{name}":"{id}","text":"hi"}}"#))
        };
        let mut desk = Desk::of(&[send(one), send(two)]);
        assert_eq!(desk.ask(&send(fresh)), "= 0", "{name}");
    }
}

/// One value in all calls tells nothing apart: it is the caller's own, and v2's is another.
#[test]
fn what_all_calls_say_is_of_the_caller_unless_it_names_a_thing() {
    let of = |path: &str, stage: &str, shop: &str, language: &str| {
        let fields = [("X-Stage", stage), ("X-Shop", shop), ("X-Lang", language)];
        said("GET", format!("/prices/{path}"), &fields, String::new())
    };
    let languages = ["de", "fr", "de", "fr", "it"].into_iter().enumerate();
    let calls: Vec<_> =
        languages.map(|(at, language)| of(&at.to_string(), "live", "s7", language)).collect();
    let mut desk = Desk::of(&calls);
    assert_eq!(desk.ask(&of("1", "test", "s7", "fr")), "= 1");
    assert_eq!(desk.ask(&of("2", "test", "s8", "de")), "Other");
    assert_eq!(desk.ask(&of("3", "test", "s7", "it")), "Other");
}

#[test]
fn operations_of_one_path_are_calls_of_their_own() {
    let rpc = |id: u32, method: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["x"]}}"#);
        said("POST", "/rpc".to_owned(), &[JSON], body)
    };
    let mut desk = Desk::of(&[rpc(1, "getBalance"), rpc(2, "getOrders")]);
    assert_eq!(desk.ask(&rpc(9, "getOrders")), "= 1");
    assert_eq!(desk.ask(&rpc(3, "getCards")), "Route");
    let aws = |action: &str| {
        let body = format!("Action={action}&Version=2012-11-05&QueueName=a");
        said("POST", "/".to_owned(), &[("Content-Type", "application/x-www-form-urlencoded")], body)
    };
    let mut desk = Desk::of(&[aws("GetQueueUrl"), aws("ListQueues")]);
    assert_eq!(desk.ask(&aws("ListQueues")), "= 1");
    assert_eq!(desk.ask(&aws("ListRules")), "Route");
}

/// Messages that no schema names are compared by their fields: their order tells nothing apart,
/// what is asked for does.
#[test]
fn messages_without_a_schema_are_compared_by_their_fields() {
    let frame = |parts: &[&[u8]]| {
        let message = parts.concat();
        [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat()
    };
    let of = |parts: &[&[u8]]| Said {
        method: "POST",
        target: "/shop.Shop/Find".to_owned(),
        fields: vec![("Content-Type", "application/grpc".to_owned())],
        body: frame(parts),
    };
    let id = |id: u8| [0x0a, 6, b's', b'k', b'u', b'-', b'4', id];
    let page = |page: u8| [0x10, page];
    let packed = [0x1a, 2, 5, 9];
    let calls = [of(&[&id(b'1'), &page(1), &packed]), of(&[&id(b'2'), &page(1), &packed])];
    let mut desk = Desk::of(&calls);
    assert_eq!(desk.ask(&of(&[&page(1), &packed, &id(b'2')])), "= 1", "another order");
    assert_eq!(desk.ask(&of(&[&id(b'7'), &page(1), &packed])), "Other", "another id");
}

/// A write that says one thing at a place of its own, of so many calls with amounts of their own.
fn about(name: &str, number: usize, value: &str) -> Said {
    let body = format!(r#"{{"amount":{},"{name}":"{value}"}}"#, 100 + number);
    said("POST", "/payments".to_owned(), &[JSON], body)
}

/// Ids of a style, as many as are wanted: of things that are there, and made up anew.
fn id(style: &str, number: usize, anew: bool) -> String {
    let digits = |from: usize, count: usize| -> String {
        let seed = number * 2 + usize::from(anew);
        (0..count)
            .map(|at| {
                let mixed = (seed as u64 + 1)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left((from + at) as u32 * 7 % 64)
                    .wrapping_mul(0xd6e8_feb8_6659_fd93);
                char::from_digit((mixed >> 40) as u32 % 16, 16).unwrap()
            })
            .collect()
    };
    match style {
        "UUID" => format!(
            "{}-{}-4{}-9{}-{}",
            digits(0, 8),
            digits(8, 4),
            digits(12, 3),
            digits(15, 3),
            digits(18, 12)
        ),
        "prefixed" => format!("cus_{}", digits(0, 20)),
        "hex" => digits(0, 32),
        _ => unreachable!("{style}"),
    }
}

#[test]
fn a_write_for_whom_v1_does_not_name_is_another_write() {
    let mut wrong = Vec::new();
    for style in ["UUID", "prefixed", "hex"] {
        let own = |number| id(style, number, false);
        // A customer, and a thing of which nobody knows what it is.
        for name in ["customer", "payerId", "to_account", "holding"] {
            let calls: Vec<Said> = (0..20).map(|n| about(name, n, &own(n))).collect();
            type Says<'s> = &'s dyn Fn(usize) -> String;
            let cases: [(&str, Says<'_>, usize); 5] = [
                ("equal", &|n| own(n), 0),
                ("the neighbour's", &|n| own((n + 1) % 20), 20),
                ("always the first", &|_| own(0), 19),
                ("one of ten", &|n| if n % 10 == 3 { id(style, n, true) } else { own(n) }, 2),
                ("unknown", &|n| id(style, n, true), if name == "holding" { 0 } else { 20 }),
            ];
            for (case, says, expected) in cases {
                let mut desk = Desk::of(&calls);
                let asked = (0..20).map(|n| (n, desk.ask(&about(name, n, &says(n)))));
                let found = asked.filter(|(n, got)| *got != format!("= {n}")).count();
                if found != expected {
                    wrong.push(format!("{style} {name} {case}: {found} of {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_v1_makes_up_for_a_write_v2_makes_up_anew() {
    for style in ["UUID", "prefixed", "hex"] {
        for name in ["reference", "order_id", "key", "nonce", "correlation_id", "receipt"] {
            let calls: Vec<Said> = (0..20).map(|n| about(name, n, &id(style, n, false))).collect();
            let mut desk = Desk::of(&calls);
            for n in 0..20 {
                let got = desk.ask(&about(name, n, &id(style, n, true)));
                assert_eq!(got, format!("= {n}"), "{style} {name}");
            }
        }
        // Who makes a customer names it, or whose account it is.
        let make = |path: &str, value: String| {
            let body = format!(r#"{{"customer_id":"{value}"}}"#);
            said("POST", path.to_owned(), &[JSON], body)
        };
        for path in ["/customers", "/v1/accounts"] {
            let mut desk = Desk::of(&[make(path, id(style, 1, false))]);
            assert_eq!(desk.ask(&make(path, id(style, 1, true))), "= 0", "{style} {path}");
        }
        let mut desk = Desk::of(&[make("/v1/cards", id(style, 1, false))]);
        assert_ne!(desk.ask(&make("/v1/cards", id(style, 1, true))), "= 0", "{style}");
    }
}

#[test]
fn what_is_changed_by_its_path_is_there() {
    for style in ["UUID", "prefixed", "hex"] {
        let [one, other] = [false, true].map(|anew| id(style, 1, anew));
        for (method, path) in [
            ("DELETE", "/cards/#"),
            ("PATCH", "/cards/#"),
            ("DELETE", "/cards?id=#"),
            ("POST", "/charges/#/refund"),
            ("PUT", "/customers/#"),
        ] {
            let of = |id: &str| said(method, path.replace('#', id), &[JSON], "{}".to_owned());
            let mut desk = Desk::of(&[of(&one)]);
            assert_eq!(desk.ask(&of(&one)), "= 0", "{method} {path}");
            let got = desk.ask(&of(&other));
            assert!(!got.starts_with('='), "{style} {method} {path}: {got}");
        }
    }
}

#[test]
fn one_key_for_two_writes_is_none_of_their_own() {
    let keyed = |name: &'static str, key: &str, amount: u32| {
        let body = format!(r#"{{"amount":{amount}}}"#);
        said("POST", "/charges".to_owned(), &[JSON, (name, key)], body)
    };
    let within = |key: &str, amount: u32| {
        let body = format!(r#"{{"amount":{amount},"idempotencyKey":"{key}"}}"#);
        said("POST", "/charges".to_owned(), &[JSON], body)
    };
    let [one, two, own] = IDS[4].1;
    for name in ["Idempotency-Key", "X-Idempotency-Key", "PayPal-Request-Id"] {
        let mut desk = Desk::of(&[keyed(name, one, 5), keyed(name, two, 7)]);
        assert_eq!(desk.ask(&keyed(name, own, 5)), "= 0", "{name}");
        assert_eq!(desk.ask(&keyed(name, own, 7)), "~ 1", "{name}");
        let mut desk = Desk::of(&[keyed(name, one, 5), keyed(name, two, 7)]);
        assert_eq!(desk.ask(&keyed(name, "f81d4fae", 5)), "= 0", "{name}");
        assert_eq!(desk.ask(&keyed(name, own, 7)), "= 1", "{name}");
        // v1 tried again with one key.
        let mut desk = Desk::of(&[keyed(name, one, 5), keyed(name, one, 5)]);
        assert_eq!(desk.ask(&keyed(name, own, 5)), "= 0", "{name}");
        assert_eq!(desk.ask(&keyed(name, own, 5)), "= 1", "{name}");
    }
    let mut desk = Desk::of(&[within(one, 5), within(two, 7)]);
    assert_eq!(desk.ask(&within(own, 5)), "= 0");
    let got = desk.ask(&within(own, 7));
    assert!(!got.starts_with('='), "{got}");
}

#[test]
fn a_write_for_another_day_is_another_write() {
    let of = |value: &str| about("day", 1, value);
    for (one, other) in [
        ("2026-12-24", "2027-12-24"),
        ("2026-12-24", "2026-12-25"),
        ("1990-05-01", "1991-05-01"),
        ("12/24/2026", "12/25/2026"),
        ("2027-12-24T10:00:00Z", "2027-12-24T22:00:00Z"),
        ("until 2027-12-24 at noon", "until 2027-12-25 at noon"),
    ] {
        let mut desk = Desk::of(&[of(one)]);
        let got = desk.ask(&of(other));
        assert!(!got.starts_with('='), "{one} {other}: {got}");
        assert_eq!(desk.ask(&of(one)), "= 0", "{one}");
    }
    // When a call is made v2 says as it likes; when something was made that is there it does not.
    let [then, now, other] =
        [NANOS, NANOS + 86_400_000_000_000 * 3, NANOS - 86_400_000_000_000 * 90]
            .map(|nanos| Timestamp::from_nanos(nanos).to_string());
    for name in ["created", "wsu:Created", "sentAt", "order_timestamp"] {
        let mut desk = Desk::of(&[about(name, 1, &then)]);
        assert_eq!(desk.ask(&about(name, 1, &now)), "= 0", "{name}");
        let mut desk = Desk::of(&[about(name, 1, &other)]);
        let got = desk.ask(&about(name, 1, &Timestamp::now().to_string()));
        assert!(!got.starts_with('='), "{name} {got}");
    }
    // A day of now, and one that is as far from now.
    let days = |at: Timestamp, days: i64| at.plus(days * 86_400_000_000_000).to_string();
    for (ahead, length) in [(0, 30), (0, 10), (14, 10), (365, 10), (-30, 19)] {
        let [then, now] = [Timestamp::from_nanos(NANOS + 1_000_000_000), Timestamp::now()]
            .map(|at| days(at, ahead)[..length].to_owned());
        let mut desk = Desk::of(&[about("x", 0, "x"), of(&then)]);
        assert_eq!(desk.ask(&of(&now)), "= 1", "{then} {now}");
    }
}

/// A checkout of v1's client that lasts so many seconds, on one connection with the others.
fn checkout(ordinal: u32, lasts_s: i64) -> Exchange {
    let asked = said("POST", format!("/checkout/{ordinal}"), &[], String::new());
    let mut asked = asked.exchange(ordinal * 10, "{}");
    asked.client = "192.0.2.9:4000".parse().unwrap();
    asked.server = "10.0.0.1:8080".parse().unwrap();
    asked.id = ExchangeId { connection: 1, ordinal };
    asked.response.as_mut().unwrap().last_byte_ns = Some(lasts_s * 1_000_000_000);
    asked
}

/// Exchanges with a call of v1's each, so many side by side; what v2's calls are answered with where
/// they come in the same order.
fn side_by_side(lasts_s: u32, copies: usize) -> Vec<(u32, bool)> {
    let key = |number: u32, anew: bool| id("UUID", number as usize, anew);
    let pay = |key: &str| about("reference", 1, key);
    let mut all = Vec::new();
    for ordinal in 0..8 {
        let asked = checkout(ordinal, i64::from(lasts_s));
        all.extend([asked, pay(&key(ordinal, false)).exchange(ordinal * 10 + 5, "{}")]);
    }
    let recording =
        CallRecording::build(all, &EgressSelection::default(), FeatureRules::default()).unwrap();
    let watch = Arc::new(recording.watch());
    let mut stock = Stock::new(&recording, 1, Some(Arc::clone(&watch)));
    let mut got = Vec::new();
    for ordinal in 0..8 {
        watch.begin(ExchangeId { connection: 1, ordinal });
        if let Some(ended) = ordinal.checked_sub(lasts_s / 10) {
            watch.end(ExchangeId { connection: 1, ordinal: ended });
        }
        for copy in 0..copies {
            let request = pay(&key(ordinal + 100 * copy as u32, true)).request();
            let query = CallQuery::new("api.example", &request);
            let prepared = recording.prepare(&query, Some(&watch));
            let policy = MatchPolicy::default();
            match recording.choose(&query, &prepared, &policy, &mut stock, false) {
                FoundCall::Answer { index, again, .. } => got.push((index, again)),
                FoundCall::Miss { reason, .. } => panic!("{reason:?}"),
            }
        }
    }
    got
}

#[test]
fn equal_calls_of_exchanges_side_by_side_are_no_repeated_calls() {
    for lasts_s in [8, 25, 45] {
        let got = side_by_side(lasts_s, 1);
        assert!(got.iter().all(|(_, again)| !again), "{lasts_s} {got:?}");
        let mut each: Vec<u32> = got.iter().map(|(index, _)| *index).collect();
        each.sort_unstable();
        assert_eq!(each, [0, 1, 2, 3, 4, 5, 6, 7], "{lasts_s}");
        // Who makes each twice is found out.
        let repeated = side_by_side(lasts_s, 2).iter().filter(|(_, again)| *again).count();
        assert!((7..=8).contains(&repeated), "{lasts_s} {repeated}");
    }
}

/// What a queue sends is of no exchange, whichever is open at that moment: v2's may be faster.
#[test]
fn what_a_queue_sends_is_none_of_what_is_to_come() {
    let mut all = Vec::new();
    for ordinal in 0..8 {
        let asked = checkout(ordinal, 5);
        let mail = about("letter", 1, &id("UUID", ordinal as usize, false));
        all.extend([asked, mail.exchange(ordinal * 10 + 13, "{}")]);
    }
    let recording =
        CallRecording::build(all, &EgressSelection::default(), FeatureRules::default()).unwrap();
    let watch = Arc::new(recording.watch());
    let mut stock = Stock::new(&recording, 1, Some(Arc::clone(&watch)));
    for ordinal in 0..8_u32 {
        watch.begin(ExchangeId { connection: 1, ordinal });
        let request = about("letter", 1, &id("UUID", ordinal as usize, false)).request();
        let query = CallQuery::new("api.example", &request);
        let prepared = recording.prepare(&query, Some(&watch));
        let found = recording.choose(&query, &prepared, &MatchPolicy::default(), &mut stock, false);
        assert!(
            matches!(found, FoundCall::Answer { index, tier: Tier::Exact, again: false, .. }
                if index == ordinal),
            "{ordinal} {found:?}"
        );
        watch.end(ExchangeId { connection: 1, ordinal });
    }
}

/// Exchanges of two clients that pay at once, one after the other, each with a call of v1's.
#[test]
fn a_call_that_v1_made_for_an_exchange_to_come_is_not_this_ones() {
    let [one, two] = [false, true].map(|anew| id("UUID", 1, anew));
    let pay = |who: &str| about("holding", 1, who);
    let exchanges = |ordinal: u32, who: &str| {
        let at = ordinal * 10;
        let mut asked =
            said("POST", format!("/checkout/{ordinal}"), &[], String::new()).exchange(at, "{}");
        asked.client = "192.0.2.9:4000".parse().unwrap();
        asked.server = "10.0.0.1:8080".parse().unwrap();
        asked.id = ExchangeId { connection: 1, ordinal };
        asked.response.as_mut().unwrap().last_byte_ns = Some(5_000_000_000);
        [asked, pay(who).exchange(at + 1, "{}")]
    };
    let all: Vec<Exchange> =
        [exchanges(1, &one), exchanges(2, &two)].into_iter().flatten().collect();
    let recording =
        CallRecording::build(all, &EgressSelection::default(), FeatureRules::default()).unwrap();
    let watch = Arc::new(recording.watch());
    let mut stock = Stock::new(&recording, 1, Some(Arc::clone(&watch)));
    let mut ask = |who: &str| {
        let request = pay(who).request();
        let query = CallQuery::new("api.example", &request);
        let prepared = recording.prepare(&query, Some(&watch));
        let found = recording.choose(&query, &prepared, &MatchPolicy::default(), &mut stock, false);
        match found {
            FoundCall::Answer { index, tier, again, .. } => (index, tier, again),
            FoundCall::Miss { reason, .. } => panic!("{reason:?}"),
        }
    };
    let checkout = |ordinal| ExchangeId { connection: 1, ordinal };
    watch.begin(checkout(1));
    assert_eq!(ask(&two), (0, Tier::Nearest, false), "the other one's, too early");
    watch.end(checkout(1));
    watch.begin(checkout(2));
    assert_eq!(ask(&two), (1, Tier::Exact, false));
}
