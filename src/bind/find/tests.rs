//! What flows and what does not, in small recordings of each kind; and what holds for any.

use proptest::prelude::*;

use super::*;
use crate::bind::{Part, Parts as _};
use crate::exchange::ExchangeId;
use crate::exchange::{Carriage, SocketKind, SocketMessage, TimedRequest, TimedResponse};
use crate::flow::{Direction, Endpoint};
use crate::message::{Body, Headers, Request, Response};
use crate::record::flows::FlowEvidence;
use crate::time::Timestamp;

/// A recording that is made one exchange after the other.
#[derive(Debug, Default)]
struct MadeRecording {
    exchanges: Vec<Exchange>,
    rules: String,
    order: Order,
    bind: Bind,
}

/// One exchange: request line, fields, body; status, fields, body.
struct SaidExchange<'s> {
    lane: u64,
    request: &'s str,
    fields: &'s [(&'s str, &'s str)],
    body: &'s str,
    answer: &'s [(&'s str, &'s str)],
    says: &'s str,
}

const SAID: SaidExchange<'static> =
    SaidExchange { lane: 0, request: "GET /", fields: &[], body: "", answer: &[], says: "" };

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

impl MadeRecording {
    /// Adds an exchange a second after the last one, answered after 10 ms; gives its name.
    fn say(&mut self, said: &SaidExchange<'_>) -> ExchangeId {
        let second = self.exchanges.len() as i64;
        self.say_at(said, second * 1_000_000_000, 10_000_000)
    }

    fn say_at(&mut self, said: &SaidExchange<'_>, at: i64, takes: i64) -> ExchangeId {
        let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
        let client = format!("10.0.0.{}:4000", 1 + said.lane % 200);
        let mut exchange = Exchange::between(endpoint(&client), endpoint("10.0.1.1:80"));
        let ordinal = self.exchanges.iter().filter(|e| e.id.connection == said.lane).count();
        exchange.id = ExchangeId { connection: said.lane, ordinal: ordinal as u32 };
        let (method, target) = said.request.split_once(' ').expect("a request line");
        exchange.request = Some(TimedRequest {
            at: Timestamp::from_nanos(1_795_000_000_000_000_000 + at),
            duration_ns: 0,
            message: Request {
                method: method.to_owned().into(),
                target: target.to_owned().into(),
                headers: headers(said.fields),
                body: Body::whole(said.body.as_bytes().to_vec()),
                ..Request::default()
            },
        });
        exchange.response = Some(TimedResponse {
            at: Timestamp::from_nanos(1_795_000_000_000_000_000 + at + takes),
            first_byte_ns: Some(takes),
            last_byte_ns: Some(takes),
            message: Response {
                status: 200,
                headers: headers(said.answer),
                body: Body::whole(said.says.as_bytes().to_vec()),
                ..Response::default()
            },
        });
        let id = exchange.id;
        self.exchanges.push(exchange);
        id
    }

    fn found(&self) -> FoundFlows {
        let config = FindConfig {
            schema: Default::default(),
            rules: toml::from_str(&self.rules).expect("rules"),
            bind: self.bind,
            order: self.order,
            folder: std::env::temp_dir(),
        };
        let exchanges = self.exchanges.iter().cloned().map(Ok::<_, io::Error>);
        find(exchanges, &config).expect("room for temporary files")
    }

    /// What requests use: exchange, place, the value, and whose answer gives it.
    fn uses(&self) -> Vec<String> {
        shown(&self.found())
    }
}

fn parts(found: &FoundFlows) -> Vec<Part> {
    found.parts.iter().map(|part| part.expect("it can be read")).collect()
}

fn shown(found: &FoundFlows) -> Vec<String> {
    let parts = parts(found);
    let value = |slot: u32| {
        let births = parts.iter().flat_map(|part| &part.births);
        births.filter(|birth| birth.slot == slot).map(|birth| birth.text.to_string()).next()
    };
    let mut uses = Vec::new();
    for part in &parts {
        for used in &part.uses {
            let (id, place, from) = (part.exchange, &used.place, used.from);
            let text = value(used.slot).expect("each used value is issued");
            uses.push(format!("{id} {place} {text} {from}"));
        }
    }
    uses
}

const TOKEN: &str = "3f2a91c07be41d05a8c1";

#[test]
fn a_token_flows_from_a_login_to_what_shows_it() {
    let mut recording = MadeRecording::default();
    let login = |lane, user, token: &'static str| SaidExchange {
        lane,
        request: "POST /auth/token",
        body: user,
        says: token,
        ..SAID
    };
    recording.say(&login(0, "user=ann", r#"{"access_token":"3f2a91c07be41d05a8c1"}"#));
    recording.say(&login(1, "user=bob", r#"{"access_token":"9d8e7f6a5b4c3d2e1f00"}"#));
    for (lane, token) in [(2, TOKEN), (3, "9d8e7f6a5b4c3d2e1f00"), (4, TOKEN)] {
        let bearer = format!("Bearer {token}");
        recording.say(&SaidExchange {
            lane,
            request: "GET /me",
            fields: &[("Authorization", &bearer)],
            ..SAID
        });
    }
    assert_eq!(
        recording.uses(),
        [
            format!("2-0 header:authorization {TOKEN} 0-0"),
            "3-0 header:authorization 9d8e7f6a5b4c3d2e1f00 1-0".to_owned(),
            format!("4-0 header:authorization {TOKEN} 0-0"),
        ]
    );
    let found = recording.found();
    assert_eq!(found.flows.len(), 1);
    let flow = &found.flows[0];
    assert_eq!((flow.class, flow.uses, flow.values), (FlowEvidence::Sure, 3, 2));
    assert_eq!(
        (flow.from.route.as_str(), flow.from.place.as_str()),
        ("POST /auth/token", "$.access_token")
    );
    assert_eq!(flow.to.len(), 1);
    assert!((flow.coverage - 1.0).abs() < 1e-9);
    // Two users, each with the connection that it logged in on.
    assert_eq!(found.totals.sessions, 2);
    assert_eq!(
        found.totals.producers[0].to_string(),
        "2 skipped POST /auth/token give the values \
        of 3 requests: add `--include-producers`"
    );
    let parts = parts(&found);
    let id = |connection| ExchangeId { connection, ordinal: 0 };
    assert_eq!(parts[4].after, [id(0), id(2)]);
}

#[test]
fn what_a_client_says_first_is_its_own() {
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange {
        request: "POST /orders",
        fields: &[("Idempotency-Key", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6")],
        body: r#"{"name":"order-12345678"}"#,
        says: r#"{"name":"order-12345678","key":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6"}"#,
        ..SAID
    });
    recording.say(&SaidExchange { request: "GET /orders?name=order-12345678", ..SAID });
    assert_eq!(recording.uses(), Vec::<String>::new());
    assert_eq!(recording.found().totals.older, 0);
}

#[test]
fn weak_values_flow_within_one_kind_of_thing() {
    let mut recording = MadeRecording::default();
    for n in [4, 5] {
        recording.say(&SaidExchange {
            request: "POST /pages",
            body: &format!("title=t{n}"),
            says: &format!(r#"{{"id":{n},"count":9}}"#),
            ..SAID
        });
    }
    recording.say(&SaidExchange { request: "GET /admin/pages/4/edit?limit=5&page=4", ..SAID });
    recording.say(&SaidExchange {
        request: "POST /links",
        body: r#"{"page_id":5,"count":9}"#,
        ..SAID
    });
    recording.say(&SaidExchange { request: "GET /users/4", ..SAID });
    assert_eq!(recording.uses(), ["0-2 path[3] 4 0-0", "0-3 $.page_id 5 0-1"]);
    assert_eq!(recording.found().flows[0].class, FlowEvidence::Sure);
}

#[test]
fn items_of_a_thing_are_no_things_of_its_kind() {
    let mut recording = MadeRecording::default();
    for n in [4, 5] {
        let says = format!(r#"{{"id":{n},"items":[{{"id":{}}}]}}"#, 10 - n);
        recording.say(&SaidExchange { request: "POST /orders", says: "{\"id\":3}", ..SAID });
        let path = format!("GET /orders/{n}");
        recording.say(&SaidExchange { request: &path, says: &says, ..SAID });
    }
    recording.say(&SaidExchange { request: "GET /orders/6", ..SAID });
    recording.say(&SaidExchange { request: "GET /items/6", ..SAID });
    recording.say(&SaidExchange { request: "GET /items/5", ..SAID });
    assert_eq!(recording.uses(), ["0-5 path[2] 6 0-1", "0-6 path[2] 5 0-3"]);
}

#[test]
fn letters_flow_where_drawn_values_do() {
    let link =
        |code: &str| format!("<a href=\"/s/{code}\">{code}</a><a href=\"/PostgreSQL\">x</a>");
    let mut recording = MadeRecording::default();
    for code in ["5p6u2cb2", "rP5Y4DvX", "JziyaSUQ", "Sp_LGTeu"] {
        recording.say(&SaidExchange { request: "POST /s", says: &link(code), ..SAID });
        recording.say(&SaidExchange { request: &format!("GET /s/{code}"), ..SAID });
        recording.say(&SaidExchange { request: "GET /PostgreSQL", ..SAID });
    }
    let uses = recording.uses();
    let expected: Vec<String> =
        [("5p6u2cb2", 0), ("rP5Y4DvX", 3), ("JziyaSUQ", 6), ("Sp_LGTeu", 9)]
            .map(|(code, n)| format!("0-{} path[2] {code} 0-{n}", n + 1))
            .into();
    assert_eq!(uses, expected);
}

#[test]
fn numbers_of_new_things_are_bound_though_no_request_says_them() {
    let list = |notes: &[u32]| {
        let items: Vec<String> = notes.iter().map(|n| format!(r#"{{"note_id":{n}}}"#)).collect();
        format!(r#"{{"items":[{}],"status_id":77}}"#, items.join(","))
    };
    let mut recording = MadeRecording::default();
    let mut say = |request: &str, says: &str| {
        recording.say(&SaidExchange { request, says, ..SAID });
    };
    say("GET /all", &list(&[1, 2, 3]));
    say("GET /all", &list(&[1, 2, 3]));
    say("POST /notes", &list(&[4]));
    say("DELETE /notes/4", "");
    say("POST /notes", &list(&[5]));
    say("DELETE /notes/5", "");
    say("POST /all", &list(&[6, 2]));
    say("GET /all", &list(&[6, 2]));
    let births: Vec<String> = parts(&recording.found())
        .iter()
        .flat_map(|part| &part.births)
        .map(|birth| birth.text.to_string())
        .collect();
    assert_eq!(births, ["4", "5", "6"]);
}

#[test]
fn what_a_request_made_is_bound_though_nobody_says_it_again() {
    type Said<'s> = (&'s str, u16, Option<String>, String);
    let births = |said: &[Said<'_>]| -> Vec<String> {
        let mut recording = MadeRecording::default();
        for (request, status, location, says) in said {
            let answer: Vec<_> = location.iter().map(|to| ("Location", to.as_str())).collect();
            recording.say(&SaidExchange { request, answer: &answer, says, ..SAID });
            let exchange = recording.exchanges.last_mut().expect("it was said");
            exchange.response.as_mut().expect("an answer").message.status = *status;
        }
        let parts = parts(&recording.found());
        let births = parts.iter().flat_map(|part| &part.births);
        let shown = |birth: &crate::bind::Birth| {
            format!("{} {}", birth.text, birth.thing.as_deref().unwrap_or_default())
        };
        births.map(shown).collect()
    };
    // What three answers say, the first of them told.
    let three = |request: &str, status: u16, says: &dyn Fn(u32) -> String| {
        let said = [7, 8, 9].map(|n| (request, status, None, says(n)));
        let all = births(&said);
        all[..all.len() / 3].to_vec()
    };
    let order = |n: u32| {
        format!(
            r#"{{"id":{n},"no":3,"qty":{n},"items":[{{"id":{}}}],"to":{{"id":{}}},"role":{{"id":{}}}}}"#,
            n + 40,
            n + 20,
            n % 2
        )
    };
    assert_eq!(three("POST /orders", 201, &order), ["7 order", "47 item", "27 to"]);
    // Of a list it may be what was found.
    assert_eq!(three("POST /orders", 200, &order), ["7 order", "27 to"]);
    assert_eq!(three("PUT /orders/7", 200, &order), [""; 0]);
    for looks in ["POST /orders/search", "POST /listOrders", "POST /get", "GET /orders"] {
        assert_eq!(three(looks, 200, &order), [""; 0], "{looks}");
    }
    // A status, a role or a step comes again, or does not rise.
    for values in [[1, 2, 1], [3, 2, 1]] {
        let says = |n: u32| format!(r#"{{"id":{}}}"#, values[n as usize - 7]);
        assert_eq!(three("POST /orders", 201, &says), [""; 0], "{values:?}");
    }
    let node = |n: u32| {
        let id = crate::message::encoding::base64_of(format!("Post:{n}").as_bytes(), false);
        format!(r#"{{"data":{{"create":{{"id":"{id}","databaseId":{n},"total":{n}}}}}}}"#)
    };
    assert_eq!(three("POST /graphql", 200, &node), ["UG9zdDo3 ", "7 create"]);
    let led = |request, to: fn(u32) -> String| -> Vec<String> {
        births(&[7, 8, 9].map(|n| (request, 303, Some(to(n)), String::new())))
    };
    let edit = |n| format!("/admin/orders/{n}/edit");
    assert_eq!(led("POST /admin/orders", edit), ["7 order", "8 order", "9 order"]);
    assert_eq!(led("GET /admin/orders", edit), [""; 0]);
    assert_eq!(led("POST /wizard", |n| format!("/wizard/step/{}", n % 2 + 1)), [""; 0]);
    // One that its client chose is its client's.
    let mut chosen = vec![("GET /orders/7", 404, None, String::new())];
    chosen.extend([7, 8, 9].map(|n| ("POST /orders", 201, None, format!("{{\"id\":{n}}}"))));
    assert_eq!(births(&chosen), ["8 order", "9 order"]);
}

/// What requests with bodies of JSON use, also where one weak value says so: request line, body, and
/// what the answer says.
fn uses_in_json(said: &[(&str, &str, &str)]) -> Vec<String> {
    let mut recording = MadeRecording { bind: Bind::Likely, ..MadeRecording::default() };
    for (request, body, says) in said {
        let fields = &[("Content-Type", "application/json")];
        recording.say(&SaidExchange { request, fields, body, says, ..SAID });
    }
    recording.uses()
}

#[test]
fn people_are_known_by_what_they_are_to_others() {
    let uses = uses_in_json(&[
        ("POST /signup", "{}", r#"{"id":4}"#),
        ("POST /users", "{}", r#"{"id":5}"#),
        ("POST /pages", r#"{"author_id":5}"#, r#"{"id":1}"#),
        ("POST /tasks", r#"{"assignee":4,"created_by":5,"points":4}"#, r#"{"id":2}"#),
        ("GET /users/4", "", ""),
        // Whom nobody made is from before the recording; a membership is no person.
        ("POST /pages", r#"{"author_id":6,"level":5}"#, ""),
        ("GET /members/5", "", ""),
    ]);
    assert_eq!(
        uses,
        [
            "0-2 $.author_id 5 0-1",
            "0-3 $.assignee 4 0-0",
            "0-3 $.created_by 5 0-1",
            "0-4 path[2] 4 0-0",
        ]
    );
}

#[test]
fn where_there_are_authors_an_author_is_no_user() {
    let said = |path| {
        [
            ("POST /users", "{}", r#"{"id":5}"#),
            ("GET /users/5", "", ""),
            (path, "", "{}"),
            ("POST /books", r#"{"author_id":5,"editor_id":5}"#, r#"{"id":1}"#),
        ]
    };
    let uses = ["0-1 path[2] 5 0-0", "0-3 $.author_id 5 0-0", "0-3 $.editor_id 5 0-0"];
    assert_eq!(uses_in_json(&said("GET /books")), uses);
    assert_eq!(uses_in_json(&said("GET /authors")), [uses[0], uses[2]]);
    assert_eq!(uses_in_json(&said("GET /api/author/7?x=1")), [uses[0], uses[2]]);
}

#[test]
fn a_parent_is_one_of_its_own_kind() {
    let uses = uses_in_json(&[
        ("POST /folders", r#"{"name":"a"}"#, r#"{"id":4}"#),
        ("POST /folders", r#"{"parent_id":4}"#, r#"{"id":5}"#),
        ("POST /folders", r#"{"parent":5,"rank":5}"#, r#"{"id":6}"#),
        ("POST /notes", r#"{"parent_id":5,"folder":{"root_id":4}}"#, r#"{"id":9}"#),
    ]);
    assert_eq!(uses, ["0-1 $.parent_id 4 0-0", "0-2 $.parent 5 0-1", "0-3 $.folder.root_id 4 0-0"]);
}

#[test]
fn an_id_in_a_request_is_of_the_type_beside_it() {
    let uses = uses_in_json(&[
        ("POST /orders", "{}", r#"{"id":4}"#),
        ("POST /customers", "{}", r#"{"id":5}"#),
        ("POST /comments", r#"{"on":{"type":"order","id":4}}"#, r#"{"id":8}"#),
        ("POST /comments", r#"{"on":{"id":"5","kind":"shop.Customer"}}"#, r#"{"id":9}"#),
        ("POST /comments", r#"{"on":{"type":"order","id":5}}"#, r#"{"id":10}"#),
    ]);
    assert_eq!(uses, ["0-2 $.on.id 4 0-0", "0-3 $.on.id 5 0-1"]);
}

#[test]
fn a_number_in_a_request_is_one_that_was_issued_as_a_number() {
    let uses = uses_in_json(&[
        ("POST /houses", r#"{"no":4}"#, r#"{"id":4}"#),
        ("POST /houses", r#"{"no":4}"#, r#"{"id":5}"#),
        ("GET /houses/4", "", ""),
        ("POST /issues", "{}", r#"{"id":71,"number":8}"#),
        ("POST /links", r#"{"issue":{"number":8}}"#, ""),
        ("GET /issues/8", "", ""),
    ]);
    assert_eq!(uses, ["0-2 path[2] 4 0-0", "0-4 $.issue.number 8 0-3", "0-5 path[2] 8 0-3"]);
}

#[test]
fn who_a_client_is_is_bound_though_only_its_token_says_so() {
    let claims = crate::message::encoding::base64_of(
        br#"{"sub":"9c1d7e02-55ab-4c3f-8b1e-0a2b3c4d5e6f","iat":1795000000}"#,
        true,
    );
    let token = format!(
        "eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJlLW9mLXRoZS10b2tlbi0wMTIz",
        claims.trim_end_matches('=')
    );
    let cookie = format!("sid={token}");
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange {
        request: "POST /signup",
        answer: &[("Set-Cookie", &cookie)],
        says: r#"{"id":"9c1d7e02-55ab-4c3f-8b1e-0a2b3c4d5e6f"}"#,
        ..SAID
    });
    recording.say(&SaidExchange { request: "GET /me", fields: &[("Cookie", &cookie)], ..SAID });
    let found = recording.found();
    let births = &parts(&found)[0].births;
    assert!(births.iter().any(|birth| birth.text.starts_with("9c1d7e02")), "{births:?}");
}

#[test]
fn the_second_that_a_form_gives_back_is_its_pages() {
    let mut recording = MadeRecording::default();
    for second in ["1796009698", "1796009702", "1796009711"] {
        let page = format!(
            "<p>Written at {second}</p><form method=post action=/wiki><input type=hidden name=date \
             value={second}><input name=text></form>"
        );
        let html = &[("Content-Type", "text/html")];
        recording.say(&SaidExchange { request: "GET /wiki", answer: html, says: &page, ..SAID });
        let form = format!("date={second}&until={second}&text=x");
        let fields = &[("Content-Type", "application/x-www-form-urlencoded")];
        recording.say(&SaidExchange { request: "POST /wiki", fields, body: &form, ..SAID });
    }
    let uses = recording.uses();
    assert_eq!(uses.len(), 3, "{uses:?}");
    assert!(uses.iter().all(|used| used.contains(" form:date ")), "{uses:?}");
}

#[test]
fn a_time_flows_where_it_is_given_back() {
    let mut recording = MadeRecording::default();
    let html = &[("Content-Type", "text/html")];
    let form = &[("Content-Type", "application/x-www-form-urlencoded")];
    for second in 10..13 {
        let time = format!("2026-11-28.10:00:{second}");
        let page = format!(
            "<p>Changed at {time}</p><form method=post><input type=hidden name=@lastactivity \
             value={time}><input type=hidden name=until value=2026-12-24><input name=text></form>"
        );
        recording.say(&SaidExchange { request: "GET /bug7", answer: html, says: &page, ..SAID });
        let body = format!("@lastactivity={time}&until=2026-12-24&other={time}");
        recording.say(&SaidExchange { request: "POST /bug7", fields: form, body: &body, ..SAID });
    }
    for second in 20..23 {
        let time = format!("2026-11-28T10:00:{second}Z");
        let note = format!(r#"{{"title":"x","updated_at":"{time}","opens":"{time}"}}"#);
        recording.say(&SaidExchange { request: "GET /notes", says: &note, ..SAID });
        recording.say(&SaidExchange { request: "PUT /notes", body: &note, ..SAID });
    }
    for second in 30..33 {
        let says = format!(r#"{{"serverTime":"2026-11-28 10:00:{second}","at":17953416{second}}}"#);
        recording.say(&SaidExchange { request: "GET /changes", says: &says, ..SAID });
        let request = format!(
            "GET /changes?since=2026-11-28%2010:00:{second}&at=17953416{second}&day=2026-11-28"
        );
        recording.say(&SaidExchange { request: &request, ..SAID });
    }
    let uses = recording.uses();
    let of = |place: &str| uses.iter().filter(|used| used.contains(place)).count();
    let places = [" form:@lastactivity ", " $.updated_at ", " query:since "];
    assert_eq!((places.map(of), uses.len()), ([3; 3], 9), "{uses:?}");
}

#[test]
fn a_condition_has_the_time_of_its_own_resource() {
    let mut recording = MadeRecording::default();
    let time = "Sat, 28 Nov 2026 10:00:00 GMT";
    let changed = &[("Last-Modified", time), ("Expires", "Sat, 28 Nov 2026 11:00:00 GMT")];
    recording.say(&SaidExchange { request: "GET /a.css", answer: changed, ..SAID });
    recording.say(&SaidExchange { request: "GET /b.css", ..SAID });
    for request in ["GET /a.css", "GET /b.css"] {
        let fields = &[("If-Modified-Since", time)];
        recording.say(&SaidExchange { request, fields, ..SAID });
    }
    let fields = &[("If-Unmodified-Since", time)];
    recording.say(&SaidExchange { request: "PUT /a.css", fields, ..SAID });
    let uses = recording.uses();
    let said = |id: &str, name: &str| format!("{id} header:{name} {time} 0-0");
    let expected = [said("0-2", "if-modified-since"), said("0-4", "if-unmodified-since")];
    assert_eq!(uses, expected);
}

#[test]
fn a_time_that_a_client_says_first_is_its_own() {
    let mut recording = MadeRecording::default();
    for second in 10..13 {
        let body = format!(r#"{{"updated_at":"2026-11-28T10:00:{second}Z"}}"#);
        recording.say(&SaidExchange { request: "POST /notes", body: &body, ..SAID });
        recording.say(&SaidExchange { request: "GET /notes", says: &body, ..SAID });
        recording.say(&SaidExchange { request: "PUT /notes", body: &body, ..SAID });
    }
    assert_eq!(recording.uses(), Vec::<String>::new());
}

#[test]
fn a_token_without_a_scheme_or_in_a_message_tells_who_it_is() {
    for is_field in [true, false] {
        let mut recording = MadeRecording::default();
        let token = |n: usize| format!("{n}a2f91c07be41d05{n}");
        // Both from one address, in turns.
        for n in 0..2 {
            let says = format!(r#"{{"result":"{}"}}"#, token(n));
            recording.say(&SaidExchange {
                lane: 200 * n as u64,
                request: "POST /rpc",
                body: &format!(r#"{{"method":"user.login","params":["u{n}"]}}"#),
                says: &says,
                ..SAID
            });
        }
        for turn in 0..6 {
            let n = turn % 2;
            let fields = [("Authorization", &*token(n))];
            let body = format!(r#"{{"method":"item.get","auth":"{}"}}"#, token(n));
            recording.say(&SaidExchange {
                // Each on a connection of its own.
                lane: 200 * (2 + turn as u64),
                request: "POST /rpc",
                fields: if is_field { &fields } else { &[] },
                body: if is_field { "{}" } else { &body },
                ..SAID
            });
        }
        assert_eq!(recording.found().totals.sessions, 2, "in a field: {is_field}");
    }
}

#[test]
fn one_weak_value_is_likely_only() {
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange { request: "POST /pages", says: r#"{"id":4}"#, ..SAID });
    recording.say(&SaidExchange { request: "GET /pages/4", ..SAID });
    assert_eq!(recording.found().flows[0].class, FlowEvidence::Likely);
    assert_eq!(recording.uses(), Vec::<String>::new());
    recording.bind = Bind::Likely;
    assert_eq!(recording.uses(), ["0-1 path[2] 4 0-0"]);
}

#[test]
fn every_place_of_an_answer_and_a_request_is_looked_at() {
    let id = |n: u32| format!("{n:08x}-7dec-41d0-a765-00a0c91e6bf6");
    let page = format!(
        "<html><head><meta name=csrf content={0}></head><form action=/x/{1}><input name=t \
         value={2}>\
         </form><script>var a = \"{3}\";</script><p data-id={4}>",
        id(10),
        id(11),
        id(12),
        id(13),
        id(14)
    );
    let json = format!(
        r#"{{"a":"{}","b":"{{\"c\":\"{}\"}}","list":[{{"{}":1}}],"uri":"x:/2/{}/y"}}"#,
        id(20),
        id(21),
        id(22),
        id(23)
    );
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange {
        request: "GET /start",
        answer: &[
            ("Set-Cookie", &format!("sid={}; Path=/", id(1))),
            ("Location", &format!("/items/{}?cursor={}", id(2), id(3))),
            ("Link", &format!("</items?after={}>; rel=next", id(4))),
            ("ETag", &format!("W/\"{}\"", id(5))),
            ("X-Upload-Id", &id(6)),
        ],
        says: &json,
        ..SAID
    });
    recording.say(&SaidExchange {
        request: "GET /page",
        answer: &[("Content-Type", "text/html")],
        says: &page,
        ..SAID
    });
    let xml = format!("<r><id>{}</id><x ref='{}'/></r>", id(30), id(31));
    recording.say(&SaidExchange {
        request: "GET /xml",
        answer: &[("Content-Type", "text/html")],
        says: &xml,
        ..SAID
    });
    let basic = format!(
        "Basic {}",
        crate::message::encoding::base64_of(format!("u:{}", id(20)).as_bytes(), false)
    );
    let multipart =
        format!("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n{}\r\n--b--", id(21));
    recording.say(&SaidExchange {
        request: &format!("POST /items/{}?c={}&enc=x%2F{}", id(2), id(3), id(4)),
        fields: &[
            ("Cookie", &format!("sid={}", id(1))),
            ("If-Match", &format!("\"{}\"", id(5))),
            ("X-Upload-Id", &id(6)),
            ("Referer", &format!("http://h/x/{}", id(11))),
            ("Authorization", &basic),
            ("Content-Type", "multipart/form-data; boundary=b"),
        ],
        body: &multipart,
        ..SAID
    });
    recording.say(&SaidExchange {
        request: "POST /form",
        fields: &[("Content-Type", "application/x-www-form-urlencoded")],
        body: &format!("t={}&csrf={}&s={}&d={}", id(12), id(10), id(13), id(14)),
        ..SAID
    });
    recording.say(&SaidExchange {
        request: "POST /json",
        body: &format!(r#"{{"k":"{}","u":"mlflow:/{}/z"}}"#, id(22), id(23)),
        ..SAID
    });
    recording.say(&SaidExchange {
        request: "POST /soap",
        fields: &[("Content-Type", "text/plain")],
        body: &format!("<r><id>{}</id><x ref='{}'/></r>", id(30), id(31)),
        ..SAID
    });
    let uses = recording.uses();
    for n in [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 20, 21, 22, 23, 30, 31] {
        assert!(uses.iter().any(|line| line.contains(&id(n))), "{n}: {uses:#?}");
    }
}

#[test]
fn a_value_is_looked_for_wherever_its_answer_has_it() {
    let mut recording = MadeRecording::default();
    let location = [("Location", "/orders/41")];
    let says = r#"{"id":41,"n":2,"order_id":41,"orders":[{"id":41},{"id":41}],"at":41}"#;
    recording.say(&SaidExchange { request: "POST /orders", answer: &location, says, ..SAID });
    recording.say(&SaidExchange { request: "GET /orders/41", ..SAID });
    recording.say(&SaidExchange {
        request: "POST /orders",
        answer: &[("Location", "/orders/42")],
        ..SAID
    });
    recording.say(&SaidExchange { request: "GET /orders/42", ..SAID });
    let found = recording.found();
    let births = &parts(&found)[0].births;
    let places: Vec<String> = births.iter().map(|birth| birth.place.to_string()).collect();
    let expected = ["header:location path[2]", "$.id", "$.order_id", "$.orders[0].id"];
    assert_eq!(places, expected);
    assert!(births.iter().all(|birth| birth.slot == births[0].slot && &*birth.text == "41"));
    assert_eq!((found.totals.values, found.totals.uses), (2, 2));
}

#[test]
fn the_own_answer_comes_before_the_first_one() {
    // Two calendars begin with one entity tag; each client has it from its own.
    let mut recording = MadeRecording::default();
    let auth = |user: &str| {
        format!(
            "Basic {}",
            crate::message::encoding::base64_of(format!("{user}:pw").as_bytes(), false)
        )
    };
    let sync = "http://radicale.org/ns/sync/e3b0c44298fc1c149afbf4c8996fb924";
    for (lane, user) in [(0, "ann"), (1, "bob")] {
        recording.say(&SaidExchange {
            lane,
            request: &format!("PROPFIND /{user}/cal"),
            fields: &[("Authorization", &auth(user))],
            says: &format!("<m><sync-token>{sync}</sync-token></m>"),
            ..SAID
        });
    }
    for (lane, user) in [(2, "bob"), (3, "ann")] {
        recording.say(&SaidExchange {
            lane,
            request: &format!("REPORT /{user}/cal"),
            fields: &[("Authorization", &auth(user))],
            body: &format!("<s><sync-token>{sync}</sync-token></s>"),
            ..SAID
        });
    }
    let uses = recording.uses();
    assert_eq!(uses.len(), 2, "{uses:#?}");
    assert!(uses[0].starts_with("2-0 ") && uses[0].ends_with(" 1-0"), "{uses:#?}");
    assert!(uses[1].starts_with("3-0 ") && uses[1].ends_with(" 0-0"), "{uses:#?}");
}

#[test]
fn values_from_before_the_recording_are_counted_by_route() {
    let mut recording = MadeRecording::default();
    let cookie = "session=3f2a91c07be41d05a8c1";
    for _ in 0..3 {
        recording.say(&SaidExchange {
            request: "GET /cart",
            fields: &[("Cookie", cookie)],
            ..SAID
        });
    }
    recording.say(&SaidExchange { request: "GET /about", ..SAID });
    let found = recording.found();
    assert_eq!(found.totals.older, 3);
    assert_eq!(found.totals.older_by_route, [("GET /cart".to_owned(), 3)]);
    assert_eq!(parts(&found).iter().map(|part| part.older).collect::<Vec<_>>(), [1, 1, 1, 0]);
}

#[test]
fn values_of_one_place_are_used_each() {
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange {
        request: "POST /a",
        says: r#"{"x":"3f2a91c07be41d05","y":"9d8e7f6a5b4c3d2e"}"#,
        ..SAID
    });
    recording
        .say(&SaidExchange { request: "GET /b?id=3f2a91c07be41d05&id=9d8e7f6a5b4c3d2e", ..SAID });
    assert_eq!(
        recording.uses(),
        ["0-1 query:id 3f2a91c07be41d05 0-0", "0-1 query:id 9d8e7f6a5b4c3d2e 0-0"]
    );
}

#[test]
fn a_token_is_used_whole_or_signed_anew() {
    let token = |sub: &str| {
        let claims = format!(r#"{{"sub":"{sub}"}}"#);
        let claims = crate::message::encoding::base64_of(claims.as_bytes(), true);
        format!("eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl")
    };
    let (issued, own) = (token("3f2a91c07be41d05"), token("9d8e7f6a5b4c3d2e"));
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange {
        request: "POST /login",
        says: &format!(r#"{{"id":"9d8e7f6a5b4c3d2e","token":"{issued}"}}"#),
        ..SAID
    });
    for token in [&issued, &own] {
        let bearer = format!("Bearer {token}");
        recording.say(&SaidExchange {
            request: "GET /me",
            fields: &[("Authorization", &bearer)],
            ..SAID
        });
    }
    assert_eq!(recording.uses(), [format!("0-1 header:authorization {issued} 0-0")]);
    let refused: Vec<_> = recording
        .found()
        .flows
        .into_iter()
        .filter(|flow| flow.class == FlowEvidence::Refused)
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].from.place.as_str(), refused[0].uses), ("$.id", 1));
}

#[test]
fn a_signed_value_is_used_whole_wherever_it_was_said() {
    let signed = [
        "eyJmaWxlIjogMTd9.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE",
        "eyJmaWxlIjoxN30:1wNAtQ:kJ8sQx0_vLw2T9bZfNn5rYc1XhEoi8zIi4hOBc9YLvG",
        ".eJyrVkosKMhJ.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlMg",
    ];
    for (token, place) in signed.iter().flat_map(|token| [(token, "query:k"), (token, "path[2]")]) {
        let link =
            if place == "path[2]" { format!("/dl/{token}") } else { format!("/dl?k={token}") };
        for said in [
            format!(r#"{{"link":"{link}"}}"#),
            format!(r#"{{"text":"Get it at http://files.test{link} before 2026-11-28."}}"#),
            format!(r#"{{"text":"It is {link}."}}"#),
            format!(r#"{{"page":"<p>Your file: <a href='{link}'>get</a></p>"}}"#),
            format!(r#"{{"page":"see [this]({link}), or \"{link}\""}}"#),
        ] {
            let mut recording = MadeRecording::default();
            recording.say(&SaidExchange { request: "POST /files", says: &said, ..SAID });
            recording.say(&SaidExchange { request: &format!("GET {link}"), ..SAID });
            assert_eq!(recording.uses(), [format!("0-1 {place} {token} 0-0")], "{said}");
        }
    }
}

#[test]
fn the_query_of_a_relative_link_is_read_as_one() {
    let token = "naRx7q/gMz+2Wd1yTb5c0Qk8Lw==";
    let written = "naRx7q%2FgMz%2B2Wd1yTb5c0Qk8Lw%3D%3D";
    for link in [format!("/open?u=1&sig={written}"), format!("/a/b?key={written}#top")] {
        let (asked, _) = link.split_once('#').unwrap_or((&link, ""));
        let name = if link.contains("sig=") { "sig" } else { "key" };
        let mut recording = MadeRecording::default();
        let says = format!(r#"{{"next":"{link}"}}"#);
        recording.say(&SaidExchange { request: "POST /links", says: &says, ..SAID });
        recording.say(&SaidExchange { request: &format!("GET {asked}"), ..SAID });
        assert_eq!(recording.uses(), [format!("0-1 query:{name} {token} 0-0")], "{link}");
    }
}

#[test]
fn times_are_bound_only_where_they_identify() {
    let mut recording = MadeRecording::default();
    for n in 0..3 {
        let (at, tag) = (1_795_341_600 + n, 1_795_341_600_123_u64 + n);
        recording.say(&SaidExchange {
            request: "POST /jobs",
            answer: &[("ETag", &format!("\"{tag}\""))],
            says: &format!(r#"{{"version":{at},"created":"2026-11-28T10:00:0{n}Z","id":{at}}}"#),
            ..SAID
        });
        recording.say(&SaidExchange {
            request: &format!("GET /jobs/{at}?version={at}&since=2026-11-28T10:00:0{n}Z"),
            fields: &[("If-None-Match", &format!("\"{tag}\""))],
            ..SAID
        });
    }
    let uses = recording.uses();
    assert_eq!(uses.len(), 6, "{uses:#?}");
    assert!(uses.iter().all(|line| line.contains(" path[2] ") || line.contains("if-none-match")));
}

#[test]
fn what_a_client_created_is_not_from_before_the_capture() {
    let mut recording = MadeRecording::default();
    let (own, other) =
        ("59a0299b-f951-4525-8b61-9c9eb22ee12d", "2cb2d0a4-c43c-4639-94a9-73c39d2c029d");
    for (id, status) in [(own, 201), (other, 200)] {
        recording.say(&SaidExchange { request: &format!("PUT /notes/{id}"), ..SAID });
        let last = recording.exchanges.last_mut().and_then(|last| last.response.as_mut());
        last.expect("an answer").message.status = status;
        recording.say(&SaidExchange { request: &format!("GET /notes/{id}"), ..SAID });
        recording.say(&SaidExchange { request: &format!("DELETE /notes/{id}"), ..SAID });
    }
    let found = recording.found();
    // The second one was there before: it was replaced, not created.
    assert_eq!(parts(&found).iter().map(|part| part.older).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1]);
}

#[test]
fn what_is_not_replayed_gives_values_and_counts_in_no_figure() {
    let (own, other) =
        ("59a0299b-f951-4525-8b61-9c9eb22ee12d", "2cb2d0a4-c43c-4639-94a9-73c39d2c029d");
    let mut recording = MadeRecording::default();
    let says = format!(r#"{{"id":"{own}"}}"#);
    recording.say(&SaidExchange { request: "POST /notes", says: &says, ..SAID });
    recording.say(&SaidExchange { request: &format!("GET /notes/{own}"), ..SAID });
    recording.say(&SaidExchange { request: &format!("GET /notes/{own}/{other}"), ..SAID });
    let config = FindConfig {
        schema: Default::default(),
        rules: FlowSection::default(),
        bind: Bind::default(),
        order: Order::default(),
        folder: std::env::temp_dir(),
    };
    let figures = |beside: bool| {
        let mut finder = Finder::new(&config).expect("room");
        for (number, exchange) in recording.exchanges.iter().cloned().enumerate() {
            match beside && number == 2 {
                true => finder.add_beside(exchange).expect("room"),
                false => finder.add(exchange).expect("room"),
            }
        }
        let totals = finder.finish().expect("room").totals;
        (totals.requests, totals.uses, totals.using, totals.values, totals.older)
    };
    assert_eq!(figures(false), (3, 2, 2, 1, 1));
    assert_eq!(figures(true), (2, 1, 1, 1, 0));
}

#[test]
fn a_cookie_is_sent_back_as_it_came_whatever_it_is_made_of() {
    let signed = r#""2|1:0|10:1795921818|4:name|12:eyJ1IjogMX0=|3c79be8c4857973e2794af2121ea67""#;
    for cookie in [signed, r#"{"user":4,"at":1795921818}.c2ln"#, "user 4 until 1795921818, signed"]
    {
        let mut recording = MadeRecording::default();
        let set = format!("who={cookie}; Path=/; HttpOnly");
        recording.say(&SaidExchange {
            request: "POST /login",
            answer: &[("Set-Cookie", &set)],
            ..SAID
        });
        let sent = format!("who={cookie}");
        recording.say(&SaidExchange { request: "GET /me", fields: &[("Cookie", &sent)], ..SAID });
        assert_eq!(recording.uses(), [format!("0-1 cookie:who {cookie} 0-0")]);
        let found = recording.found();
        assert_eq!(found.flows[0].class, FlowEvidence::Sure, "{cookie}");
    }
}

#[test]
fn rules_bind_and_forbid() {
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange {
        request: "POST /login",
        says: r#"{"pin":"12","id":"3f2a91c07be41d05"}"#,
        ..SAID
    });
    recording.say(&SaidExchange { request: "GET /me?pin=12&id=3f2a91c07be41d05", ..SAID });
    assert_eq!(recording.uses(), ["0-1 query:id 3f2a91c07be41d05 0-0"]);
    recording.rules = r#"
        [[bind_rule]]
        from = { route = "POST /login", place = "$.pin" }
        to = { route = "GET /me", place = "query:pin" }
        [[never]]
        name = "id"
        [[never]]
        place = "cookie:none"
    "#
    .to_owned();
    assert_eq!(recording.uses(), ["0-1 query:pin 12 0-0"]);
    let found = recording.found();
    let refused = found.flows.iter().find(|flow| flow.class == FlowEvidence::Refused).expect("one");
    assert_eq!(refused.reason.as_deref(), Some("[[flow.never]] says so"));
    assert_eq!(found.unmatched, ["[[flow.never]] cookie:none"]);
}

#[test]
fn a_proxys_address_is_no_session() {
    let mut recording = MadeRecording::default();
    for n in 0..4 {
        let client = format!("192.0.2.{}, 10.0.0.1", n % 2);
        recording.say(&SaidExchange {
            lane: 0,
            request: "GET /a",
            fields: &[("X-Forwarded-For", &client)],
            ..SAID
        });
    }
    let parts = parts(&recording.found());
    let sessions: Vec<u32> = parts.iter().map(|part| part.session).collect();
    assert_eq!(sessions, [0, 1, 0, 1]);
    assert_eq!(parts[3].after, [ExchangeId { connection: 0, ordinal: 1 }]);
}

/// The sessions of a recording of several clients at one address: who says what, the cookies that
/// are set then.
fn sessions(said: &[(u64, &str, &str, &str)]) -> Vec<u32> {
    let mut recording = MadeRecording::default();
    for &(lane, request, cookie, set) in said {
        let (fields, answer) = ([("Cookie", cookie)], [("Set-Cookie", set)]);
        recording.say(&SaidExchange {
            lane: lane * 200,
            request,
            fields: if cookie.is_empty() { &[] } else { &fields },
            answer: if set.is_empty() { &[] } else { &answer },
            ..SAID
        });
    }
    parts(&recording.found()).iter().map(|part| part.session).collect()
}

#[test]
fn a_cookie_that_changes_with_each_answer_is_one_client() {
    let cookie = |name: &str, n: usize| format!("{name}=a{n:03}b7f2c91e0d4{n}");
    let [a, b]: [Vec<String>; 2] =
        ["session", "state"].map(|name| (0..5).map(|n| cookie(name, n)).collect());
    let of = |a: &[String], lanes: [u64; 5]| {
        sessions(&[
            (lanes[0], "GET /", "", &a[0]),
            (9, "GET /", "", "session=zzz0y7f2c91e0d49"),
            // Given twice, as two of one second are.
            (lanes[1], "GET /a", &a[0], &a[1]),
            (lanes[2], "GET /b", &a[0], &a[1]),
            // Away and back again: what it holds is what it held.
            (lanes[3], "GET /c", &a[1], &a[2]),
            (lanes[4], "GET /d", &a[2], &a[1]),
            (lanes[4], "GET /e", &a[1], ""),
        ])
    };
    for (all, lanes) in [(&a, [0; 5]), (&b, [0; 5]), (&a, [0, 1, 2, 3, 4]), (&b, [0, 1, 0, 1, 2])] {
        let found = of(all, lanes);
        let own: Vec<u32> = [0, 2, 3, 4, 5, 6].into_iter().map(|n| found[n]).collect();
        assert!(own.iter().all(|session| *session == own[0]), "{lanes:?}: {found:?}");
        assert_ne!(found[1], own[0], "{lanes:?}");
    }
}

#[test]
fn a_cookie_that_all_are_given_joins_nobody() {
    let all = "variant=blue-20261129a7";
    let found = sessions(&[
        (0, "GET /", "session=aaaa1111bbbb", all),
        (1, "GET /", "session=cccc2222dddd", all),
        (0, "GET /a", "session=aaaa1111bbbb; variant=blue-20261129a7", ""),
        (1, "GET /a", "session=cccc2222dddd; variant=blue-20261129a7", ""),
        (2, "GET /a", "variant=blue-20261129a7; session=cccc2222dddd", ""),
    ]);
    assert_eq!(found[2], found[0]);
    assert_eq!(found[3], found[1]);
    assert_eq!(found[4], found[1]);
    assert_ne!(found[0], found[1]);
    // Empty again after a logout: as that of everybody.
    let empty = "session=e0e0e0e0aa11";
    let found = sessions(&[
        (0, "GET /logout", "session=aaaa1111bbbb", empty),
        (1, "GET /logout", "session=cccc2222dddd", empty),
        (0, "GET /", empty, ""),
        (1, "GET /", empty, ""),
    ]);
    assert_ne!(found[2], found[3], "{found:?}");
}

#[test]
fn what_a_connection_says_before_a_login_is_who_logs_in_there() {
    let found = sessions(&[
        (0, "GET /", "", ""),
        (200, "GET /", "", ""),
        (0, "POST /login", "", "session=aaaa1111bbbb"),
        (200, "POST /login", "", "session=cccc2222dddd"),
        (0, "GET /a", "session=aaaa1111bbbb", ""),
        (200, "GET /a", "session=cccc2222dddd", ""),
        (0, "GET /after", "", ""),
    ]);
    assert_eq!(found, [0, 1, 0, 1, 0, 1, 0]);
    // A proxy's connection is nobody's.
    let found = sessions(&[
        (0, "GET /", "", ""),
        (0, "GET /a", "session=aaaa1111bbbb", ""),
        (0, "GET /a", "session=cccc2222dddd", ""),
        (0, "GET /", "", ""),
    ]);
    assert!(found[0] == found[3] && found[0] != found[1] && found[0] != found[2], "{found:?}");
}

#[test]
fn a_token_in_a_body_tells_who_says_it() {
    let mut recording = MadeRecording::default();
    let mut say = |lane: u64, request, body: String, says: String| {
        let said = SaidExchange { lane: lane * 200, request, body: &body, says: &says, ..SAID };
        recording.say(&said);
    };
    let tokens = ["3f2a91c07be41d05a8c1", "91c07be41d05a8c13f2a"];
    for (n, token) in (0..).zip(tokens) {
        say(
            n,
            "POST /login",
            String::new(),
            format!(r#"{{"Session":{{"AccessToken":"{token}"}}}}"#),
        );
    }
    for step in 1..4 {
        for (n, token) in (0..).zip(tokens) {
            say(
                step * 10 + n,
                "POST /do",
                format!(r#"{{"AccessToken":"{token}"}}"#),
                String::new(),
            );
        }
    }
    let found = parts(&recording.found());
    let all: Vec<u32> = found.iter().map(|part| part.session).collect();
    assert_eq!(all, [0, 1, 0, 1, 0, 1, 0, 1]);
    // Each in its own order.
    let id = |connection: u64| ExchangeId { connection: connection * 200, ordinal: 0 };
    for (part, latest, others) in [(6, id(20), id(21)), (7, id(21), id(20))] {
        assert!(found[part].after.contains(&latest), "{:?}", found[part].after);
        assert!(!found[part].after.contains(&others), "{:?}", found[part].after);
    }
}

#[test]
fn who_shows_nothing_may_be_the_one_that_was_given_what_it_says() {
    let of = |address: u64, takes: i64, request: &str| {
        let mut recording = MadeRecording::default();
        let mut say = |lane: u64, fields: &[(&str, &str)], request: &str, says: &str| {
            let at = recording.exchanges.len() as i64 * 1_000_000_000;
            let takes = if says.is_empty() { takes } else { 10_000_000 };
            recording.say_at(&SaidExchange { lane, request, fields, says, ..SAID }, at, takes);
        };
        let key = ("X-Api-Key", "ak3f2a91c07be41d");
        say(200, &[("X-Api-Key", "other91c07be41d0")], "POST /apps", r#"{"id":"x"}"#);
        say(0, &[key], "POST /apps", r#"{"id":"app-31415926"}"#);
        say(address + 400, &[], request, "");
        say(address + 600, &[], request, "");
        let found = parts(&recording.found());
        found.iter().map(|part| part.session).collect::<Vec<u32>>()
    };
    let login = "POST /login?client=app-31415926";
    let found = of(0, 10_000_000, login);
    assert_eq!((found[2], found[3]), (found[1], found[1]), "{found:?}");
    assert_ne!(found[0], found[1]);
    // From elsewhere, two at once, and what changes nothing.
    for (address, takes, request) in
        [(1, 10_000_000, login), (0, 1_500_000_000, login), (0, 1, "GET /apps/app-31415926")]
    {
        let found = of(address, takes, request);
        assert!(found[2] != found[1] && found[3] != found[1], "{address} {takes}: {found:?}");
    }
}

#[test]
fn an_address_with_many_requests_at_once_is_many_clients() {
    let mut recording = MadeRecording::default();
    for n in 0..9 {
        let said = SaidExchange { lane: n * 200, request: "GET /a", ..SAID };
        recording.say_at(&said, n as i64, 1_000_000);
    }
    recording.say(&SaidExchange { lane: 5_000, request: "GET /b", ..SAID });
    let found = recording.found();
    assert_eq!(found.totals.sessions, 10);
    assert!(parts(&found).iter().all(|part| part.after.is_empty()));
}

#[test]
fn what_is_created_is_there_before_it_is_named() {
    let mut recording = MadeRecording { order: Order::Data, ..MadeRecording::default() };
    recording.say(&SaidExchange {
        lane: 0,
        request: "POST /tables",
        body: r#"{"name":"orders-20"}"#,
        ..SAID
    });
    recording.say(&SaidExchange {
        lane: 1,
        request: "POST /rows",
        body: r#"{"table":"orders-20"}"#,
        ..SAID
    });
    recording.say(&SaidExchange { lane: 2, request: "PUT /a/b", ..SAID });
    recording.say(&SaidExchange { lane: 3, request: "GET /a/b", ..SAID });
    let after =
        |found: &FoundFlows| parts(found).into_iter().map(|part| part.after).collect::<Vec<_>>();
    let id = |connection| ExchangeId { connection, ordinal: 0 };
    assert_eq!(after(&recording.found()), [vec![], vec![id(0)], vec![], vec![id(2)]]);
    recording.order = Order::Connection;
    assert!(after(&recording.found()).iter().all(Vec::is_empty));
}

#[test]
fn all_are_followed_where_the_order_of_all_is_asked_for() {
    let mut recording = MadeRecording { order: Order::All, ..MadeRecording::default() };
    for lane in 0..3 {
        recording.say(&SaidExchange { lane, request: "POST /marks", ..SAID });
    }
    let after = |found: &FoundFlows| {
        let waits = |part: Part| part.after.iter().map(|id| id.connection).collect::<Vec<_>>();
        parts(found).into_iter().map(waits).collect::<Vec<_>>()
    };
    assert_eq!(after(&recording.found()), [vec![], vec![0], vec![1]]);
    recording.order = Order::Session;
    assert!(after(&recording.found()).iter().all(Vec::is_empty));
}

#[test]
fn what_others_changed_just_before_is_gone_behind() {
    let mut recording = MadeRecording::default();
    let requests = ["POST /marks", "GET /marks", "GET /", "PUT /marks/1", "GET /own"];
    for (n, request) in requests.into_iter().enumerate() {
        let (lane, at) = ((n as u64).min(3), n as i64 * 20_000_000);
        recording.say_at(&SaidExchange { lane, request, ..SAID }, at, 10_000_000);
    }
    let beside = |found: &FoundFlows| {
        let others = |part: Part| part.beside.iter().map(|id| id.connection).collect::<Vec<_>>();
        parts(found).into_iter().map(others).collect::<Vec<_>>()
    };
    // A change goes behind what was read; what was read does not go behind what was read. Its own
    // connection keeps its order anyway.
    let expected = [vec![], vec![0], vec![0], vec![0, 1, 2], vec![0]];
    assert_eq!(beside(&recording.found()), expected);
    for order in [Order::Connection, Order::Data, Order::All] {
        recording.order = order;
        assert!(beside(&recording.found()).iter().all(Vec::is_empty), "{order:?}");
    }
}

#[test]
fn nobody_waits_for_others_who_say_what_all_say() {
    let mut recording = MadeRecording::default();
    for lane in 0..4 {
        recording.say(&SaidExchange {
            lane,
            request: "POST /login",
            fields: &[("X-Tenant", "tenant-20261")],
            body: r#"{"client_id":"app-31415926","user":"u"}"#,
            says: &format!(r#"{{"token":"t{lane}"}}"#),
            ..SAID
        });
    }
    for lane in 0..4 {
        recording.say(&SaidExchange {
            lane: 10 + lane,
            request: "POST /orders?client_id=app-31415926",
            fields: &[("X-Tenant", "tenant-20261"), ("Authorization", &format!("Bearer t{lane}"))],
            ..SAID
        });
    }
    let found = recording.found();
    let after: Vec<_> = parts(&found).into_iter().map(|part| part.after).collect();
    let login = |connection| vec![ExchangeId { connection, ordinal: 0 }];
    assert!(after[..4].iter().all(Vec::is_empty), "{after:?}");
    // Each waits for its own login, whose short token means something in its place alone.
    assert_eq!(after[4..], [login(0), login(1), login(2), login(3)]);
}

/// Exchanges of few values and few clients, so that everything meets.
fn recordings() -> impl Strategy<Value = MadeRecording> {
    let value = prop_oneof![
        Just("3f2a91c07be41d05"),
        Just("9d8e7f6a5b4c3d2e"),
        Just("4"),
        Just("42"),
        Just("alice1234"),
        Just("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
        Just("1795341600123"),
        Just("\u{e9}\u{1F600}"),
    ];
    let exchange =
        (0..5_u64, 0..6_usize, 0..40_i64, 0..20_i64, value.clone(), value.clone(), value);
    prop::collection::vec(exchange, 0..40).prop_map(|all| {
        let mut recording = MadeRecording::default();
        for (lane, form, at, takes, a, b, c) in all {
            let cookie = format!("sid={a}; x={b}");
            let (request, body) = match form {
                0 => (format!("GET /pages/{a}?id={b}"), String::new()),
                1 => ("POST /pages".to_owned(), format!(r#"{{"page_id":"{a}","n":["{b}"]}}"#)),
                2 => (format!("PUT /pages/{a}"), format!("t={b}&u=x%2F{c}")),
                3 => ("DELETE /".to_owned(), b.to_owned()),
                4 => (format!("GET /{b}/{c}"), String::new()),
                _ => ("POST /login".to_owned(), format!("<a id='{a}'>{b}</a>")),
            };
            let set = format!("sid={c}");
            recording.say_at(
                &SaidExchange {
                    lane,
                    request: &request,
                    fields: &[("Cookie", &cookie)],
                    body: &body,
                    answer: &[("Set-Cookie", &set), ("Location", &format!("/pages/{b}"))],
                    says: &format!(r#"{{"id":"{c}","pages":[{{"id":"{a}x1"}}]}}"#),
                },
                at,
                takes,
            );
        }
        recording
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn waits_only_point_back(mut recording in recordings(), order in 0..4_usize) {
        recording.order =
            [Order::Connection, Order::Data, Order::Session, Order::All][order];
        let found = recording.found();
        let places: std::collections::HashMap<ExchangeId, (i64, usize)> = recording
            .exchanges
            .iter()
            .enumerate()
            .map(|(n, e)| (e.id, (e.request.as_ref().map_or(0, |r| r.at.nanos()), n)))
            .collect();
        for part in parts(&found) {
            for after in part.after.iter().chain(&part.beside) {
                prop_assert!(places[after] < places[&part.exchange], "{after} {}", part.exchange);
            }
            for used in &part.uses {
                prop_assert!(part.after.contains(&used.from));
                let gives =
                    found.parts.part(used.from).expect("it can be read").expect("it is there");
                prop_assert!(gives.births.iter().any(|birth| birth.slot == used.slot));
            }
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_threads(recording in recordings()) {
        let within = |threads| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let found = pool.install(|| recording.found());
            (parts(&found), found.flows.clone(), found.totals.clone())
        };
        prop_assert_eq!(within(1), within(4));
    }
}

/// What applications that were tried say: devpi, MediaWiki, WsgiDAV, Synapse, oidc-provider.
#[test]
fn values_of_real_applications_flow() {
    let uses = |asked: &str, says: &str, fields: &[(&str, &str)], then: &str| {
        let mut recording = MadeRecording::default();
        let kind = if says.starts_with("<p>") { "text/html" } else { "" };
        let answer = &[("Content-Type", kind)];
        recording.say(&SaidExchange { request: asked, says, answer, ..SAID });
        recording.say(&SaidExchange { request: then, fields, ..SAID });
        recording.bind = Bind::Likely;
        recording.uses()
    };
    let token = r#"["ann", [], true].awwxoQ.IIb8cUBl1Vh751rw9IQyQFJItks"#;
    let hidden = "YW5uOlsiYW5uIiwgW10sIHRydWVdLmF3d3hvUS5JSWI4Y1VCbDFWaDc1MXJ3OUlReVFGSkl0a3M=";
    let says = format!("{{\"password\":{token:?}}}");
    let found = uses("POST /+login", &says, &[("X-Devpi-Auth", hidden)], "GET /ann");
    assert_eq!(found, [format!("0-1 header:x-devpi-auth {token} 0-0")]);
    let page = "<p><a href='/index.php?title=One&amp;oldid=5&amp;limit=7'>older</a></p>";
    let found = uses("GET /index.php?title=One", page, &[], "GET /index.php?oldid=5&limit=7");
    assert_eq!(found, ["0-1 query:oldid 5 0-0"]);
    let page = "<p><a href='/topic.php?id=5&amp;start=5'>a topic</a></p>";
    let found = uses("GET /index.php", page, &[], "GET /topic.php?id=5&start=5");
    assert_eq!(found, ["0-1 query:id 5 0-0"]);
    let tag = "11323808-1795959569-11";
    let says = format!("<m xmlns='DAV:'><getetag>\"{tag}\"</getetag></m>");
    let found = uses("PROPFIND /a", &says, &[("If-Match", "\"11323808-1795959569-11\"")], "PUT /a");
    assert_eq!(found, [format!("0-1 header:if-match {tag} 0-0")]);
    let room = "!jsVtLhgegXzQwRbfTM:chat.test";
    let says = format!("{{\"join\":{{\"{room}\":{{}}}}}}");
    let found = uses("GET /sync", &says, &[], "GET /rooms/!jsVtLhgegXzQwRbfTM:chat.test/state");
    assert_eq!(found, [format!("0-1 path[2] {room} 0-0")]);
    let says = r#"{"user_code":"XPVN-DMHB"}"#;
    let found = uses("POST /device/auth", says, &[], "GET /device?user_code=XPVN-DMHB");
    assert_eq!(found, ["0-1 query:user_code XPVN-DMHB 0-0"]);
    let says = r#"{"issuer":"https://shop-2.example:8443"}"#;
    let found = uses("GET /about", says, &[], "GET /?at=https%3A%2F%2Fshop-2.example%3A8443");
    assert_eq!(found, Vec::<String>::new(), "where a service is, is no value of its own");
}

#[test]
fn what_clients_draw_is_not_from_before_the_capture() {
    let older = |name: &str| {
        let mut recording = MadeRecording::default();
        let request = format!("GET /auth?{name}=Xk3J9fQ2mZ7pL0vB5nR8tY1wC4sD6gHa");
        recording.say(&SaidExchange { request: &request, ..SAID });
        recording.found().totals.older
    };
    assert_eq!(["state", "nonce", "code_challenge", "cursor"].map(older), [0, 0, 0, 1]);
}

/// Makes the last exchange one that opened a WebSocket; each message is so many nanoseconds behind
/// its request: `c` of its client, `s` of the server.
fn opens(recording: &mut MadeRecording, said: &[(i64, &str)]) {
    let exchange = recording.exchanges.last_mut().expect("an exchange");
    let answer = &mut exchange.response.as_mut().expect("an answer").message;
    answer.status = 101;
    answer.headers.push(b"Upgrade", b"websocket");
    let message = |(at_ns, text): &(i64, &str)| {
        let (from, text) = text.split_once(' ').expect("who, and what");
        let direction = if from == "c" { Direction::ToServer } else { Direction::ToClient };
        let data = Body::whole(text.as_bytes().to_vec());
        SocketMessage { direction, at_ns: *at_ns, kind: SocketKind::Text, data }
    };
    let messages = said.iter().map(message).collect();
    exchange.carriage = Some(Box::new(Carriage { messages, ..Carriage::default() }));
}

const SECOND: i64 = 1_000_000_000;

#[test]
fn what_is_said_on_a_websocket_flows_when_it_is_said() {
    let mut recording = MadeRecording::default();
    let token = format!(r#"{{"access_token":"{TOKEN}"}}"#);
    recording.say(&SaidExchange { request: "POST /login", body: "ann", says: &token, ..SAID });
    recording.say(&SaidExchange { lane: 1, request: "GET /live", ..SAID });
    opens(
        &mut recording,
        &[
            (SECOND / 4, &format!(r#"c {{"type":"auth","token":"{TOKEN}"}}"#)),
            (SECOND / 2, r#"s {"room":"9d8e7f6a5b4c3d2e1f00"}"#),
            // Issued by the next request, while the WebSocket is open.
            (2 * SECOND, "c 42[\"join\",\"77aa01bc99de02ff31\",\"9d8e7f6a5b4c3d2e1f00\"]"),
            (3 * SECOND, r#"s {"joined":"77aa01bc99de02ff31"}"#),
            // Its client's own, which the server repeats, and the counters of both.
            (4 * SECOND, r#"c {"id":5,"nonce":"0c1d2e3f4a5b6c7d8e"}"#),
            (5 * SECOND, r#"s {"id":6,"nonce":"0c1d2e3f4a5b6c7d8e"}"#),
            (6 * SECOND, r#"c {"id":6,"nonce":"0c1d2e3f4a5b6c7d8e"}"#),
        ],
    );
    let ticket = r#"{"ticket":"77aa01bc99de02ff31"}"#;
    recording.say_at(
        &SaidExchange { lane: 2, request: "POST /tickets", says: ticket, ..SAID },
        SECOND + SECOND * 3 / 4,
        1_000_000,
    );
    recording.say_at(
        &SaidExchange { lane: 2, request: "GET /rooms/9d8e7f6a5b4c3d2e1f00", ..SAID },
        10 * SECOND,
        1_000_000,
    );
    let found = recording.found();
    assert_eq!(
        shown(&found),
        [
            format!("1-0 $[0].token {TOKEN} 0-0"),
            "1-0 $[1]['42'].join[0] 77aa01bc99de02ff31 2-0".to_owned(),
            "1-0 $[1]['42'].join[1] 9d8e7f6a5b4c3d2e1f00 1-0".to_owned(),
            "2-1 path[2] 9d8e7f6a5b4c3d2e1f00 1-0".to_owned(),
        ]
    );
    let of = |id: &str| {
        let part = found.parts.part(id.parse().expect("an id")).expect("it can be read");
        part.expect("it is there")
    };
    let opening = of("1-0");
    assert!(!opening.after.contains(&"2-0".parse().expect("an id")), "it went before that");
    let births: Vec<String> = opening.births.iter().map(|birth| birth.place.to_string()).collect();
    assert_eq!(births, ["$[0].room"]);
}

/// Small numbers: of orders that a server makes, in a packet and in octets, and of messages.
#[test]
fn small_numbers_on_a_websocket_flow_where_they_are_named() {
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange { request: "GET /live", ..SAID });
    let said = [
        r#"c 42["create",{"id":1,"name":"a"}]"#,
        r#"s 42["created",{"message_id":17,"order":{"id":17}}]"#,
        r#"c 42["get",{"order_id":17}]"#,
        r#"c 42["create",{"id":2,"name":"b"}]"#,
        r#"s 42["created",{"message_id":23,"order":{"id":23}}]"#,
        r#"c 42["get",{"order_id":23}]"#,
        r#"s {"id":31,"seq":32,"data":{"id":33}}"#,
        r#"c {"id":31,"seq":32,"message_id":23,"data":{"id":33}}"#,
    ];
    let said: Vec<_> = (1..).zip(said).map(|(at, text)| (at * SECOND / 4, text)).collect();
    opens(&mut recording, &said);
    let message = |number: usize, data: &str| SocketMessage {
        direction: if number.is_multiple_of(2) { Direction::ToClient } else { Direction::ToServer },
        at_ns: 3 * SECOND + number as i64 * SECOND / 4,
        kind: SocketKind::Binary,
        data: Body::whole(data.as_bytes().to_vec()),
    };
    let octets = [
        r#"{"id":7,"cart_id":41}"#,
        r#"{"id":7,"cart":41}"#,
        r#"{"id":8,"cart_id":43}"#,
        r#"{"id":8,"cart":43}"#,
    ];
    let carriage = recording.exchanges.last_mut().unwrap().carriage.as_mut().unwrap();
    carriage.messages.extend(octets.iter().enumerate().map(|(at, text)| message(at, text)));
    assert_eq!(
        shown(&recording.found()),
        [
            "0-0 $[1]['42'].get[0].order_id 17 0-0",
            "0-0 $[3]['42'].get[0].order_id 23 0-0",
            "0-0 $[5].binary.cart 41 0-0",
            "0-0 $[6].binary.cart 43 0-0",
        ]
    );
}

#[test]
fn what_a_client_said_first_on_a_websocket_is_its_own() {
    let mut recording = MadeRecording::default();
    recording.say(&SaidExchange { request: "GET /live", ..SAID });
    opens(
        &mut recording,
        &[
            (SECOND / 4, r#"c {"key":"9d8e7f6a5b4c3d2e1f00"}"#),
            (SECOND / 2, r#"s {"key":"9d8e7f6a5b4c3d2e1f00"}"#),
        ],
    );
    recording.say(&SaidExchange { lane: 1, request: "GET /k/9d8e7f6a5b4c3d2e1f00", ..SAID });
    assert_eq!(recording.uses(), [""; 0]);
}
