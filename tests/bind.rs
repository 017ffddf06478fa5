//! Bound values against servers on loopback: what v2 issues is put where v1's stood, requests wait
//! for the answers that give it, whatever their connections, and what v2 does not issue is told. No
//! test asserts a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "support/replay_rig.rs"]
mod rig;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rig::*;
use shadowtap::bind::{Birth, Part, Use};
use shadowtap::exchange::{Exchange, ExchangeId};
use shadowtap::message::Body;
use shadowtap::replay::plan::Wishes;
use shadowtap::replay::session::target::Target;
use shadowtap::replay::{Arrivals, ReplayStop, Transport};
use shadowtap::schedule::pacing::{Pacing, Speed};
use shadowtap::schedule::select::{Selection, Shard};

// -- recordings
// ------------------------------------------------------------------------------------------

/// An exchange with what v1 answered, and its part.
struct Told {
    exchange: Exchange,
    part: Part,
}

/// A recorded exchange: `id` is `connection-ordinal`, times in milliseconds.
fn told(
    id: &str,
    at: i64,
    answered: i64,
    wire: &str,
    answer: (u16, &[(&str, &str)], &str),
) -> Told {
    let exchange_id: ExchangeId = id.parse().unwrap();
    let ExchangeId { connection, ordinal } = exchange_id;
    let wire = wire.as_bytes();
    let mut exchange = exchange(connection, ordinal, at * MS, Some(answered * MS), wire);
    let message = &mut exchange.response.as_mut().unwrap().message;
    let (status, fields, body) = answer;
    message.status = status;
    message.headers = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    message.body = Body::whole(body.as_bytes().to_vec());
    Told { exchange, part: Part { exchange: exchange_id, ..Part::default() } }
}

impl Told {
    fn session(mut self, session: u32) -> Self {
        self.part.session = session;
        self
    }

    fn after(mut self, ids: &[&str]) -> Self {
        self.part.after.extend(ids.iter().map(|id| id.parse::<ExchangeId>().unwrap()));
        self
    }

    fn births(mut self, births: &[(u32, &str, &str)]) -> Self {
        self.part.births.extend(births.iter().map(|&(slot, place, text)| Birth {
            slot,
            place: place.parse().unwrap(),
            range: None,
            text: text.into(),
            thing: None,
            flow: Some(slot),
        }));
        self
    }

    fn uses(mut self, uses: &[(u32, &str, &str)]) -> Self {
        self.part.uses.extend(uses.iter().map(|&(slot, place, from)| Use {
            slot,
            place: place.parse().unwrap(),
            range: None,
            flow: slot,
            from: from.parse().unwrap(),
        }));
        self
    }
}

fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.invalid\r\n{fields}\r\n")
}

fn post(path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: shop.invalid\r\n{fields}Content-Length: {length}\r\n\r\n\
         {body}"
    )
}

/// A user logs in on one connection and asks for what is his on another one.
fn login_and_use() -> Vec<Told> {
    vec![
        told("0-0", 0, 2, &post("/login", "", "{}"), (200, &[], r#"{"token":"v1-token-0001"}"#))
            .births(&[(0, "$.token", "v1-token-0001")]),
        told(
            "1-0",
            4,
            6,
            &get_with("/me", "Authorization: Bearer v1-token-0001\r\n"),
            (200, &[], r#"{"cart":"v1-cart-7"}"#),
        )
        .after(&["0-0"])
        .uses(&[(0, "header:authorization", "0-0")])
        .births(&[(1, "$.cart", "v1-cart-7")]),
        told("2-0", 8, 9, &get_with("/carts/v1-cart-7", ""), (200, &[], "{}"))
            .after(&["1-0"])
            .uses(&[(1, "path[2]", "1-0")]),
    ]
}

fn wishes(recorded: &[Told]) -> Wishes {
    let parts: BTreeMap<ExchangeId, Part> =
        recorded.iter().map(|told| (told.part.exchange, told.part.clone())).collect();
    Wishes {
        selection: Selection { unsafe_methods: true, ..Selection::default() },
        parts: Some(Arc::new(parts)),
        ..Wishes::default()
    }
}

fn exchanges(recorded: &[Told]) -> Vec<Exchange> {
    recorded.iter().map(|told| told.exchange.clone()).collect()
}

fn run(recorded: &[Told], options: &shadowtap::replay::ReplayOptions) -> Replayed {
    run_with(recorded, wishes(recorded), options)
}

fn run_with(
    recorded: &[Told],
    wishes: Wishes,
    options: &shadowtap::replay::ReplayOptions,
) -> Replayed {
    replay_with(&exchanges(recorded), wishes, options, &Arc::new(ReplayStop::default()))
}

// -- servers
// ------------------------------------------------------------------------------------------

/// What a server was asked, and what it is to say: fields with their line ends, and a body.
type Says = Arc<dyn Fn(&str, &str) -> Option<(u16, String, String)> + Send + Sync>;

/// A server that notes each head (and body) and says what it is told to; none closes.
fn shop(says: Says) -> (std::net::SocketAddr, Notes) {
    let notes = Notes::default();
    let seen = notes.clone();
    let address = server(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            });
            let body = peer.exactly(length.unwrap_or(0)).unwrap_or_default();
            let body = String::from_utf8_lossy(&body).into_owned();
            seen.add(format!("{head}{body}"));
            let Some((status, fields, answer)) = says(&head, &body) else { return };
            let length = answer.len();
            let head = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n");
            peer.say(format!("{head}{answer}").as_bytes());
        }
    });
    (address, notes)
}

fn ok(body: &str) -> Option<(u16, String, String)> {
    Some((200, String::new(), body.to_owned()))
}

/// A shop with ids of its own, which are never issued twice.
fn fresh() -> Says {
    let next = AtomicU32::new(1);
    Arc::new(move |head, _| {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let token = |head: &str| head.split("Bearer ").nth(1)?.lines().next().map(str::to_owned);
        if head.starts_with("POST /login") {
            ok(&format!(r#"{{"token":"v2-token-{number}"}}"#))
        } else if head.starts_with("GET /me") {
            // The cart tells whose token it was.
            let token = token(head).unwrap_or_default();
            ok(&format!(r#"{{"cart":"of-{token}"}}"#))
        } else {
            ok(head.split(' ').nth(1).unwrap_or_default())
        }
    })
}

fn body_of<'r>(replayed: &'r Replayed, id: &str) -> &'r str {
    let response = replayed.outcome(id).response.as_ref().unwrap();
    std::str::from_utf8(&response.body.bytes).unwrap()
}

// -- values
// ------------------------------------------------------------------------------------------

#[test]
fn what_v2_issues_is_sent_where_v1s_stood() {
    let recorded = login_and_use();
    let (address, _) = shop(fresh());
    for transport in [Transport::Wire, Transport::Client { proxy: None }] {
        let options = shadowtap::replay::ReplayOptions { transport, ..options(address) };
        let replayed = run(&recorded, &options);
        let token = replayed.bindings[0][0].v2.clone().unwrap();
        assert!(token.starts_with("v2-token-"), "{token}");
        assert_eq!(body_of(&replayed, "2-0"), format!("/carts/of-{token}"));
        let told: Vec<_> = replayed.outcomes.iter().map(|o| (o.bound, o.unbound.len())).collect();
        assert_eq!(told.iter().map(|told| told.0).sum::<u32>(), 2);
        assert!(told.iter().all(|told| told.1 == 0), "{told:?}");
        let flows = &replayed.finished.flows;
        assert_eq!((flows[0].bound, flows[1].bound, flows[0].not_issued), (1, 1, 0));
    }
}

#[test]
fn where_v2_issues_the_same_the_captured_bytes_are_sent() {
    let wire =
        "GET  /me?a=%7e HTTP/1.1\r\nHost:shop\r\naUTHORIZATION:  Bearer v1-token-0001 \r\n\r\n";
    let mut recorded = login_and_use();
    recorded.truncate(1);
    recorded.push(told("1-0", 4, 6, wire, (200, &[], "")).uses(&[(
        0,
        "header:authorization",
        "0-0",
    )]));
    let (address, notes) = shop(Arc::new(|_, _| ok(r#"{"token":"v1-token-0001"}"#)));
    let replayed = run(&recorded, &options(address));
    assert_eq!(replayed.outcome("1-0").bound, 1);
    assert_eq!(notes.all()[1], wire);
}

#[test]
fn lengths_follow_and_all_else_stays() {
    let body = r#"{"cart":"v1-cart-7",  "n" : 1}"#;
    let recorded = [
        told("0-0", 0, 2, &post("/carts", "", ""), (201, &[], r#"{"id":"v1-cart-7"}"#))
            .births(&[(0, "$.id", "v1-cart-7")]),
        told("1-0", 4, 6, &post("/orders", "X-Odd:  a \r\n", body), (200, &[], ""))
            .uses(&[(0, "$.cart", "0-0")]),
    ];
    let (address, notes) = shop(Arc::new(|_, _| ok(r#"{"id":"a cart of v2's own"}"#)));
    run(&recorded, &options(address));
    let new = body.replace("v1-cart-7", "a cart of v2's own");
    assert_eq!(notes.all()[1], post("/orders", "X-Odd:  a \r\n", &new));
}

#[test]
fn a_database_whose_numbers_are_higher() {
    let recorded = [
        told("0-0", 0, 2, &post("/orders", "", ""), (201, &[("Location", "/orders/41")], ""))
            .births(&[(0, "header:location path[2]", "41")]),
        told("0-1", 4, 6, &get_with("/orders/41/items", ""), (200, &[("ETag", "\"e1\"")], ""))
            .uses(&[(0, "path[2]", "0-0")])
            .births(&[(1, "header:etag", "e1")]),
        told("0-2", 8, 9, &get_with("/orders/41", "If-Match: \"e1\"\r\n"), (200, &[], ""))
            .uses(&[(0, "path[2]", "0-0"), (1, "header:if-match", "0-1")]),
    ];
    let (address, notes) = shop(Arc::new(|head, _| {
        let tag = "ETag: W/\"e2\"\r\n".to_owned();
        match head.starts_with("POST") {
            true => Some((201, "Location: /orders/1041\r\n".to_owned(), String::new())),
            false => Some((200, tag, String::new())),
        }
    }));
    let replayed = run(&recorded, &options(address));
    assert_eq!(notes.all()[1], get_with("/orders/1041/items", ""));
    assert_eq!(notes.all()[2], get_with("/orders/1041", "If-Match: \"e2\"\r\n"));
    assert_eq!(replayed.outcome("0-2").bound, 2);
}

#[test]
fn a_value_that_is_issued_in_another_field_is_found_where_it_is_the_only_one() {
    let recorded = login_and_use();
    for (answer, bound) in [
        (r#"{"session":{"token":"v2-a"}}"#, 1),
        (r#"{"session":{"token":"v2-a"},"old":{"token":"v2-b"}}"#, 0),
        (r#"{"token":""}"#, 0),
    ] {
        let (address, _) = shop(Arc::new(move |_, _| ok(answer)));
        let replayed = run(&recorded, &options(address));
        assert_eq!(replayed.outcome("1-0").bound, bound, "{answer}");
    }
}

#[test]
fn a_value_that_stands_at_several_places_is_taken_from_the_first_that_has_it() {
    let location = [("Location", "/orders/41")];
    let recorded = [
        told("0-0", 0, 2, &post("/orders", "", ""), (201, &location, r#"{"id":41}"#))
            .births(&[(0, "header:location path[2]", "41"), (0, "$.id", "41")]),
        told("0-1", 4, 6, &get_with("/orders/41", ""), (200, &[], ""))
            .uses(&[(0, "path[2]", "0-0")]),
    ];
    for (fields, answer, asked, place) in [
        ("Location: /orders/7\r\n", r#"{"id":7}"#, Some("/orders/7"), "header:location path[2]"),
        ("", r#"{"id":8}"#, Some("/orders/8"), "$.id"),
        ("Location: /orders/9\r\n", "{}", Some("/orders/9"), "header:location path[2]"),
        ("", "{}", None, "header:location path[2]"),
    ] {
        let (address, notes) = shop(Arc::new(move |head, _| match head.starts_with("POST") {
            true => Some((201, fields.to_owned(), answer.to_owned())),
            false => ok("{}"),
        }));
        let replayed = run(&recorded, &options(address));
        assert_eq!(notes.all()[1], get_with(asked.unwrap_or("/orders/41"), ""), "{answer}");
        let told: Vec<_> =
            replayed.bindings[0].iter().map(|b| (&*b.place, b.v2.is_some())).collect();
        assert_eq!(told, [(place, asked.is_some())], "a line for each value");
        let unbound = &replayed.outcome("0-1").unbound;
        assert_eq!(unbound.len(), usize::from(asked.is_none()));
    }
}

/// Two things under one id: sent as v2 says, and told.
#[test]
fn a_server_that_gives_one_id_twice() {
    let made = |n: u32| {
        let id = format!("{n}-0");
        let answer = format!(r#"{{"id":"v1-thing-{n}"}}"#);
        told(
            &id,
            i64::from(n) * 4,
            i64::from(n) * 4 + 2,
            &post("/things", "", ""),
            (201, &[], &answer),
        )
        .births(&[(n, "$.id", &format!("v1-thing-{n}"))])
    };
    let used = |n: u32| {
        told(
            &format!("{n}-1"),
            20,
            22,
            &get_with(&format!("/things/v1-thing-{n}"), ""),
            (200, &[], ""),
        )
        .uses(&[(n, "path[2]", &format!("{n}-0"))])
    };
    let recorded = [made(0), made(1), used(0), used(1)];
    let (address, notes) = shop(Arc::new(|_, _| ok(r#"{"id":"the-same"}"#)));
    let replayed = run(&recorded, &options(address));
    let asked = get_with("/things/the-same", "");
    assert_eq!(notes.all().iter().filter(|head| **head == asked).count(), 2);
    let issued: Vec<_> = replayed.bindings[0].iter().map(|b| b.v2.as_deref()).collect();
    assert_eq!(issued, [Some("the-same"); 2], "the diff tells that they are one: tests/state.rs");
}

// -- what v2 does not issue
// ------------------------------------------------------------------------------------------

#[test]
fn what_v2_does_not_issue_is_the_root_of_all_that_follows() {
    let recorded = login_and_use();
    let (address, notes) = shop(Arc::new(|head, _| match head.starts_with("POST") {
        true => ok("{}"),
        false => Some((401, String::new(), "who are you?".to_owned())),
    }));
    let replayed = run(&recorded, &options(address));
    for id in ["1-0", "2-0"] {
        let outcome = replayed.outcome(id);
        let roots: Vec<_> =
            outcome.unbound.iter().map(|u| format!("{} {}", u.root, u.place)).collect();
        assert_eq!((outcome.bound, roots), (0, vec!["0-0 $.token".to_owned()]), "{id}");
    }
    assert!(notes.all()[1].contains("Bearer v1-token-0001"), "sent as recorded");
    let reasons: Vec<_> =
        replayed.bindings[0].iter().map(|b| (b.v2.clone(), b.reason.clone().unwrap())).collect();
    let no_token = "no $.token in the answer".to_owned();
    assert_eq!(reasons, [(None, no_token), (None, "answered 401".to_owned())]);
    let flows = &replayed.finished.flows;
    assert_eq!((flows[0].unbound, flows[1].unbound, flows[0].not_issued), (1, 1, 1));
}

#[test]
fn a_login_that_fails_or_is_not_sent_is_a_root_as_well() {
    let recorded = login_and_use();
    let (address, _) =
        shop(Arc::new(|head, _| if head.starts_with("POST") { None } else { ok("{}") }));
    let replayed = run(&recorded, &options(address));
    assert!(replayed.result("0-0").starts_with("closed"));
    assert_eq!(replayed.outcome("1-0").unbound[0].root.to_string(), "0-0");
    assert!(replayed.bindings[0][0].reason.as_ref().unwrap().starts_with("closed: "));
    // Skipped, as it may change something; unless who gives values is wanted.
    let (address, _) = shop(fresh());
    for (producers, unbound) in [(false, 1), (true, 0)] {
        let wishes = Wishes { selection: Selection::default(), producers, ..wishes(&recorded) };
        let replayed = run_with(&recorded, wishes, &options(address));
        let outcome = replayed.outcome("1-0");
        assert_eq!(outcome.unbound.len(), unbound);
        if let Some(unbound) = outcome.unbound.first() {
            assert_eq!((unbound.root.to_string().as_str(), &*unbound.place), ("0-0", "$.token"));
        }
    }
}

// -- order
// ------------------------------------------------------------------------------------------

#[test]
fn a_request_waits_for_the_answer_of_another_connection_and_no_other_user_does() {
    let mut recorded = login_and_use();
    recorded.push(told("3-0", 5, 6, &get_with("/other", ""), (200, &[], "")).session(1));
    for workers in [1, 3] {
        // The login is answered when the other user's request was seen.
        let others = Notes::default();
        let seen = others.clone();
        let (address, notes) = shop(Arc::new(move |head, _| {
            if head.starts_with("GET /other") {
                seen.add("seen");
            }
            if head.starts_with("POST") {
                assert!(others.wait_for("seen"), "nobody waits for a login of somebody else");
                return ok(r#"{"token":"late"}"#);
            }
            ok(r#"{"cart":"c"}"#)
        }));
        let options = shadowtap::replay::ReplayOptions { workers, ..options(address) };
        let replayed = run(&recorded, &options);
        assert_eq!(replayed.finished.answered, 4);
        assert!(replayed.outcome("1-0").waited_ns > 0, "v2's lateness, not ours");
        let path = |head: &String| head.split(' ').nth(1).unwrap().to_owned();
        let mut order: Vec<_> = notes.all().iter().map(path).collect();
        // The first two are on connections of their own: either may be heard first.
        order[..2].sort();
        assert_eq!(order, ["/login", "/other", "/me", "/carts/c"]);
        assert!(notes.all()[2].contains("Bearer late"));
    }
}

#[test]
fn nobody_waits_longer_than_the_timeout() {
    let recorded = login_and_use();
    let (address, notes) = shop(Arc::new(|head, _| {
        if head.starts_with("POST") {
            std::thread::sleep(std::time::Duration::from_secs(3));
            return None;
        }
        ok(r#"{"cart":"c"}"#)
    }));
    let options = shadowtap::replay::ReplayOptions { timeout_ns: 300 * MS, ..options(address) };
    let replayed = run(&recorded, &options);
    assert!(replayed.result("0-0").starts_with("timeout"));
    assert_eq!(replayed.outcome("1-0").unbound[0].root.to_string(), "0-0");
    assert!(replayed.outcome("2-0").sent_ns.is_some());
    assert!(notes.all().iter().any(|head| head.contains("Bearer v1-token-0001")));
}

#[test]
fn a_stopped_replay_does_not_wait() {
    let recorded = login_and_use();
    let stop = Arc::new(ReplayStop::default());
    let told = Arc::clone(&stop);
    let (address, _) = shop(Arc::new(move |_, _| {
        told.set();
        std::thread::sleep(std::time::Duration::from_secs(3));
        None
    }));
    let plan_wishes = wishes(&recorded);
    let replayed = replay_with(&exchanges(&recorded), plan_wishes, &options(address), &stop);
    assert!(replayed.finished.interrupted);
    assert_eq!(replayed.finished.answered, 0);
}

#[test]
fn what_is_not_replayed_is_not_waited_for() {
    let mut recorded = login_and_use();
    recorded.remove(0);
    let (address, notes) = shop(fresh());
    let replayed = run(&recorded, &options(address));
    assert_eq!(replayed.finished.answered, 2);
    assert!(notes.all()[0].contains("Bearer v1-token-0001"));
    let unbound = &replayed.outcome("1-0").unbound;
    assert_eq!(
        (unbound[0].root.to_string(), &*unbound[0].place),
        ("0-0".to_owned(), "header:authorization")
    );
}

#[test]
fn values_are_bound_however_requests_arrive() {
    let recorded = login_and_use();
    let (address, _) = shop(fresh());
    for (speed, arrivals) in [
        (Speed::Max, Arrivals::Causal),
        (Speed::Factor(50.0), Arrivals::Causal),
        (Speed::Factor(1.0), Arrivals::Open),
    ] {
        let pacing = Pacing { speed, ..Pacing::default() };
        let options = shadowtap::replay::ReplayOptions { arrivals, ..options(address) };
        let replayed = run_with(&recorded, Wishes { pacing, ..wishes(&recorded) }, &options);
        let token = replayed.bindings[0][0].v2.clone().unwrap();
        assert_eq!(body_of(&replayed, "2-0"), format!("/carts/of-{token}"), "{speed:?}");
    }
}

// -- copies, loops, shards, the baseline
// ------------------------------------------------------------------------------------------

#[test]
fn each_copy_is_a_user_of_its_own() {
    let recorded = login_and_use();
    let (address, _) = shop(fresh());
    let pacing = Pacing { multiply: 3, loops: 2, jitter_ns: 30 * MS, ..Pacing::default() };
    let options = shadowtap::replay::ReplayOptions { workers: 2, ..options(address) };
    let replayed = run_with(&recorded, Wishes { pacing, ..wishes(&recorded) }, &options);
    assert_eq!(replayed.finished.answered, 18);
    let mut tokens = Vec::new();
    for copy in 1..=6 {
        let name = |id: &str| if copy == 1 { id.to_owned() } else { format!("{id}@{copy}") };
        let issued = replayed.bindings[0].iter().find(|b| b.id.to_string() == name("0-0")).unwrap();
        let token = issued.v2.clone().unwrap();
        assert_eq!(body_of(&replayed, &name("2-0")), format!("/carts/of-{token}"), "copy {copy}");
        tokens.push(token);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 6);
}

#[test]
fn the_baseline_has_values_of_its_own() {
    let recorded = login_and_use();
    let (address, _) = shop(fresh());
    let (one, _) = shop(Arc::new(|head, _| match head.starts_with("POST") {
        true => ok(r#"{"token":"of v1"}"#),
        false => ok(&format!(r#"{{"cart":"c","saw":{}}}"#, head.contains("Bearer of v1"))),
    }));
    let baseline = Some(Target::resolve(&format!("http://{one}")).unwrap());
    let options = shadowtap::replay::ReplayOptions { baseline, ..options(address) };
    let replayed = run(&recorded, &options);
    assert!(body_of(&replayed, "2-0").contains("v2-token"));
    let me = replayed.baseline.iter().find(|outcome| outcome.id.to_string() == "1-0").unwrap();
    assert!(me.response.as_ref().unwrap().body.bytes.ends_with(b"\"saw\":true}"));
    let issued = |side: usize| replayed.bindings[side][0].v2.clone().unwrap();
    assert!(issued(0).starts_with("v2-token-") && issued(1) == "of v1");
}

#[test]
fn a_shard_has_whole_sessions() {
    let mut recorded = Vec::new();
    for user in 0..20u64 {
        let login = format!("{}-0", 2 * user);
        let token = format!("v1-token-{user}");
        recorded.push(
            told(
                &login,
                0,
                2,
                &post("/login", "", ""),
                (200, &[], &format!(r#"{{"token":"{token}"}}"#)),
            )
            .session(user as u32)
            .births(&[(user as u32, "$.token", &token)]),
        );
        let fields = format!("Authorization: Bearer {token}\r\n");
        recorded.push(
            told(&format!("{}-0", 2 * user + 1), 4, 6, &get_with("/me", &fields), (200, &[], ""))
                .session(user as u32)
                .uses(&[(user as u32, "header:authorization", &login)]),
        );
    }
    let (address, _) = shop(fresh());
    let mut sent = 0;
    for index in 0..3 {
        let shard = Some(Shard { index, count: 3 });
        let replayed =
            run_with(&recorded, Wishes { shard, ..wishes(&recorded) }, &options(address));
        assert!(replayed.outcomes.iter().all(|outcome| outcome.unbound.is_empty()));
        sent += replayed.finished.answered;
    }
    assert_eq!(sent, 40);
}

// -- cookies
// ------------------------------------------------------------------------------------------

#[test]
fn cookies_that_only_v2_sets_are_sent_in_their_session() {
    let recorded = [
        told("0-0", 0, 2, &get_with("/", ""), (200, &[("Set-Cookie", "sid=v1-session-1")], ""))
            .births(&[(0, "cookie:sid", "v1-session-1")]),
        told(
            "1-0",
            4,
            6,
            &get_with("/a", "Cookie: sid=v1-session-1; theme=dark\r\n"),
            (200, &[], ""),
        )
        .after(&["0-0"])
        .uses(&[(0, "cookie:sid", "0-0")]),
        told("2-0", 4, 6, &get_with("/b", "Cookie: theme=dark\r\n"), (200, &[], ""))
            .session(1)
            .after(&["0-0"]),
    ];
    let (address, notes) = shop(Arc::new(|_, _| {
        let fields = "Set-Cookie: sid=v2-session; Path=/\r\nSet-Cookie: csrf=x1; Path=/\r\n\
                      Set-Cookie: theme=; Path=/; Max-Age=0\r\n";
        Some((200, fields.to_owned(), String::new()))
    }));
    run(&recorded, &options(address));
    let all = notes.all();
    let seen = |path: &str| all.iter().find(|head| head.starts_with(path)).unwrap().clone();
    assert_eq!(seen("GET /a"), get_with("/a", "Cookie: sid=v2-session; csrf=x1\r\n"));
    assert_eq!(seen("GET /b"), get_with("/b", "Cookie: theme=dark\r\n"), "another session");
}

#[test]
fn two_users_at_once_have_their_own_values() {
    let mut recorded = Vec::new();
    for user in 0..8u64 {
        let (connection, slot) = (10 * user, user as u32 * 2);
        let (login, me) = (format!("{connection}-0"), format!("{}-0", connection + 1));
        let (token, cart) = (format!("v1-token-{user}"), format!("v1-cart-{user}"));
        recorded.push(
            told(
                &login,
                0,
                2,
                &post("/login", "", ""),
                (200, &[], &format!(r#"{{"token":"{token}"}}"#)),
            )
            .session(user as u32)
            .births(&[(slot, "$.token", &token)]),
        );
        let fields = format!("Authorization: Bearer {token}\r\n");
        recorded.push(
            told(
                &me,
                4,
                6,
                &get_with("/me", &fields),
                (200, &[], &format!(r#"{{"cart":"{cart}"}}"#)),
            )
            .session(user as u32)
            .uses(&[(slot, "header:authorization", &login)])
            .births(&[(slot + 1, "$.cart", &cart)]),
        );
        recorded.push(
            told(
                &format!("{}-0", connection + 2),
                8,
                9,
                &get_with(&format!("/carts/{cart}"), ""),
                (200, &[], ""),
            )
            .session(user as u32)
            .uses(&[(slot + 1, "path[2]", &me)]),
        );
    }
    let (address, _) = shop(fresh());
    let options = shadowtap::replay::ReplayOptions { workers: 4, ..options(address) };
    let replayed = run(&recorded, &options);
    let tokens: Mutex<Vec<String>> = Mutex::default();
    for user in 0..8 {
        let login = format!("{}-0", 10 * user);
        let issued = replayed.bindings[0].iter().find(|b| b.id.to_string() == login).unwrap();
        let token = issued.v2.clone().unwrap();
        assert_eq!(
            body_of(&replayed, &format!("{}-0", 10 * user + 2)),
            format!("/carts/of-{token}")
        );
        tokens.lock().unwrap().push(token);
    }
    assert_eq!(tokens.lock().unwrap().len(), 8);
}

// -- the program
// ------------------------------------------------------------------------------------------

/// A recording of two users: each logs in, asks who he is, and makes an account.
fn two_users(folder: &std::path::Path) -> std::path::PathBuf {
    let mut out = Vec::new();
    for (user, token) in ["tok_Zk81xQ0vLm2", "tok_Rb44wT7pYc9"].into_iter().enumerate() {
        let (connection, at) = (3 * user as u64, 40 * user as i64);
        let id = |n: u64| format!("{}-0", connection + n);
        let login = format!(r#"{{"username":"user{user}","password":"gone-{user}"}}"#);
        let json = "Content-Type: application/json\r\n";
        let json_answer: &[(&str, &str)] = &[("Content-Type", "application/json")];
        let issued = format!(r#"{{"token":"{token}"}}"#);
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let account = format!(r#"{{"name":"box-of-{user}"}}"#);
        for told in [
            told(&id(0), at, at + 2, &post("/login", json, &login), (200, json_answer, &issued)),
            told(&id(1), at + 6, at + 8, &get_with("/me", &bearer), (200, json_answer, "{}")),
            told(
                &id(2),
                at + 12,
                at + 14,
                &post("/accounts", &format!("{bearer}{json}"), &account),
                (201, json_answer, "{}"),
            ),
        ] {
            shadowtap::record::exchanges::write(&mut out, &told.exchange);
        }
    }
    let path = folder.join("v1.jsonl");
    std::fs::write(&path, out).unwrap();
    path
}

/// Runs `shadowtap replay` of the two users in `folder`; gives what it says.
fn program(folder: &std::path::Path, address: std::net::SocketAddr, flags: &[&str]) -> String {
    let input = two_users(folder);
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .current_dir(folder)
        .args(["replay", "--allow-captured-server", "--no-marker", "--force", "-o", "run"])
        .args(["--target", &format!("http://{address}")])
        .args(flags)
        .arg(input)
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = format!("{}{}", said(&ran.stdout), said(&ran.stderr));
    assert!(ran.status.success(), "{all}");
    all
}

#[test]
fn the_program_finds_what_flows_and_binds_it() {
    let folder = tempfile::tempdir().unwrap();
    let (address, notes) = shop(fresh());
    let said = program(folder.path(), address, &["--unsafe-methods"]);
    assert!(said.contains("bound: 4 uses"), "{said}");
    let sent = notes.all().concat();
    assert!(!sent.contains("tok_") && sent.matches("Bearer v2-token-").count() == 4, "{sent}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("run").join(name)).unwrap();
    assert!(read("flows.jsonl").contains(r#""bound":4,"unbound":0,"not_issued":0"#));
    assert_eq!(read("bindings.jsonl").matches(r#""v2":"v2-token-"#).count(), 2);

    let before = notes.all().len();
    program(folder.path(), address, &["--unsafe-methods", "--bind", "off"]);
    let sent = notes.all()[before..].concat();
    assert_eq!(sent.matches("Bearer tok_").count(), 4, "as it was recorded: {sent}");
    assert!(!folder.path().join("run/bindings.jsonl").exists(), "of the run before");

    let said = program(folder.path(), address, &["--dry-run", "--unsafe-methods"]);
    assert!(said.contains("bound: 4 values are put into requests"), "{said}");
}

#[test]
fn the_program_sends_logins_where_these_alone_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (address, notes) = shop(fresh());
    let said = program(folder.path(), address, &[]);
    assert!(said.contains("--include-producers"), "{said}");
    assert!(said.contains("bound: 0 uses of values that v2 issued in place of v1's; "), "{said}");
    let state = |want: &str| {
        for step in ["diff", "report"] {
            let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
                .current_dir(folder.path())
                .args([step, "run", "-q"])
                .output()
                .unwrap();
            assert!(ran.stderr.is_empty(), "{step}: {}", String::from_utf8_lossy(&ran.stderr));
        }
        let told = std::fs::read_to_string(folder.path().join("run/summary.md")).unwrap();
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(want), "{want}: {told}");
    };
    state("none of 4 uses of 2 values bound in ");
    let before = notes.all().len();
    program(folder.path(), address, &["--include-producers"]);
    let sent = notes.all()[before..].concat();
    assert_eq!(
        (sent.matches("POST /login").count(), sent.matches("POST /accounts").count()),
        (2, 0)
    );
    assert_eq!(sent.matches("Bearer v2-token-").count(), 2, "{sent}");
    state("2 uses of 2 values bound in ");
}

#[test]
fn the_program_supplies_passwords_and_makes_names_different_in_copies() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"
        [[flow.supply]]
        place = "$.password"
        command = "echo pw-of-{user}"
        [[flow.vary]]
        place = "POST /accounts $.name"
        [[flow.vary]]
        place = "$.nowhere"
    "#;
    std::fs::write(folder.path().join("shadowtap.toml"), config).unwrap();
    let (address, notes) = shop(fresh());
    let flags = ["--unsafe-methods", "--multiply", "2", "--jitter", "10ms"];
    let said = program(folder.path(), address, &flags);
    assert!(said.contains("[[flow.vary]] $.nowhere matched nothing"), "{said}");
    let sent = notes.all().concat();
    for (what, times) in [
        (r#""password":"pw-of-user0""#, 2),
        (r#""password":"pw-of-user1""#, 2),
        (r#""name":"box-of-0""#, 1),
        (r#""name":"box-of-0-2""#, 1),
        ("Bearer v2-token-", 8),
    ] {
        assert_eq!(sent.matches(what).count(), times, "{what} in {sent}");
    }
    let bindings = std::fs::read_to_string(folder.path().join("run/bindings.jsonl")).unwrap();
    assert!(bindings.contains(r#""v1":"box-of-1","v2":"box-of-1-2""#), "{bindings}");
}
