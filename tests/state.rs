//! State in the diff: what follows from values that v2 did not issue is told once, by its root; and
//! values that stand for each other are equal.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "support/spoken.rs"]
mod spoken;

use shadowtap::diff::{Class, Kind};
use shadowtap::record::flows::Binding;
use spoken::{Talk, answer, binding, diff, diff_masked, diff_under, json, talk};

fn me(number: usize) -> Talk {
    let refused = answer(401, "application/json", "{\"error\":\"who are you\"}");
    talk(&format!("GET /me/{number}"), json("{\"name\":\"ada\"}"), refused)
}

fn login(v2: &str) -> Talk {
    talk("POST /auth/token", json("{\"access_token\":\"a1b2c3d4\",\"ttl\":60}"), json(v2))
}

#[test]
fn what_follows_from_a_value_that_was_not_issued_is_told_once() {
    let follow = (0..20).map(|n| me(n).lacking(0, "$.access_token"));
    let talks: Vec<Talk> = std::iter::once(login("{\"ttl\":60}")).chain(follow).collect();
    let found = diff(&talks);
    let totals = &found.findings.totals;
    assert_eq!((totals.compared, totals.mismatched), (1, 1), "the root alone");
    assert_eq!((totals.unbound, totals.unbound_differ, totals.not_issued), (20, 20, 1));
    assert_eq!(found.places(), ["$.access_token"]);
    let root = found.findings.clusters.iter().find(|c| c.class == Class::Regression).unwrap();
    assert_eq!((root.followed_by, &root.not_issued[..]), (20, &["$.access_token".to_owned()][..]));
    assert!(
        root.why.starts_with(
            "v2 did not issue $.access_token of POST /auth/token: 20 requests follow from it"
        ),
        "{}",
        root.why
    );
    let rest: Vec<_> =
        found.findings.clusters.iter().filter(|c| c.class != Class::Regression).collect();
    assert!(
        rest.iter().all(|c| c.class == Class::Consequence && c.root.as_ref() == Some(&root.id))
    );
    assert!(rest.iter().all(|c| c.only_where.is_none() && c.why.contains("POST /auth/token")));
    let named = found.differences.iter().filter(|one| one.class == Class::Consequence);
    let named: Vec<_> = named.map(|one| one.root.clone().unwrap()).collect();
    assert_eq!(named.len(), 20);
    assert!(named.iter().all(|one| one.root.to_string() == "0-0" && one.place == "$.access_token"));
}

#[test]
fn a_refused_login_is_its_own_root() {
    let refused = answer(500, "text/plain", "no");
    let login = talk("POST /auth/token", json("{\"access_token\":\"a1b2c3d4\"}"), refused);
    let talks = [login, me(1).lacking(0, "$.access_token")];
    let found = diff(&talks);
    assert_eq!(found.places(), ["status"], "the status says it, and nothing says it twice");
    let root = &found.findings.clusters[0];
    assert_eq!(root.not_issued, ["$.access_token"]);
}

#[test]
fn a_value_that_stands_nowhere_is_a_root_although_nothing_else_differs() {
    let both = || json("{\"ids\":[\"a1b2c3d4e5f6\"]}");
    let found = diff(&[talk("POST /x", both(), both()), me(1).lacking(0, "$.ids[0]")]);
    let root = &found.findings.clusters[0];
    assert_eq!(
        (root.kind, root.place.as_str(), root.shape.as_str()),
        (Kind::Missing, "$.ids[*]", "not issued")
    );
    assert_eq!(found.differences[0].place, "$.ids[0]");
}

#[test]
fn what_lacks_a_value_and_issues_one_leads_on_to_the_first() {
    let made = || talk("POST /carts", json("{\"id\":\"c-91\"}"), answer(401, "", ""));
    let talks = [
        login("{}"),
        made().lacking(0, "$.access_token"),
        me(1).lacking(1, "$.id"),
        me(2).lacking(1, "$.id").lacking(0, "$.access_token"),
    ];
    let found = diff(&talks);
    assert_eq!(found.findings.totals.not_issued, 1);
    let roots: Vec<_> = found.findings.clusters.iter().filter(|c| c.followed_by > 0).collect();
    assert_eq!((roots.len(), roots[0].followed_by), (1, 3));
}

#[test]
fn what_follows_from_a_request_that_was_not_sent_is_no_regression_at_all() {
    let talks = [login("{}").skipped(), me(1).lacking(0, "$.access_token")];
    let found = diff(&talks);
    assert_eq!(found.findings.totals.mismatched, 0);
    assert_eq!((found.findings.totals.not_issued, found.findings.totals.unbound), (0, 1));
    let told = found.of(Class::Consequence);
    assert!(told[0].contains("--include-producers"), "{told:?}");
}

#[test]
fn what_a_write_left_undone_for_want_of_a_value_follows_from_it_too() {
    let texts = |text: &str| json(format!("[{{\"text\":\"{text}\"}}]"));
    let add = || talk("POST /notes", json("{\"id\":\"n-4471a0\"}"), json("{}"));
    let put_at = |v2: u16, text: &str| {
        let refused = answer(v2, "application/json", "{}");
        let put = talk("PUT /notes/n-4471a0", json("{}"), refused).lacking(0, "$.id");
        put.asking("Content-Type", "application/json").saying(&format!("{{\"text\":\"{text}\"}}"))
    };
    let put = || put_at(404, "hello");
    let list = |path: &str| talk(path, texts("hello"), texts("old"));
    let found = diff(&[add(), put(), list("GET /notes?sort=text")]);
    assert_eq!(found.places(), ["$.id"], "the root alone");
    let told = found.of(Class::Consequence);
    assert!(told.iter().any(|one| one.contains("PUT /notes/n-4471a0 before it said")), "{told:?}");
    assert_eq!(found.findings.totals.skipped_writes, 0);
    // What shows nothing of it, was said by nobody, differed so before it, or was done after all,
    // is a difference.
    for talks in [
        vec![add(), put(), list("GET /pages")],
        vec![add(), put_at(404, "other"), list("GET /notes")],
        vec![add(), list("GET /notes"), put(), list("GET /notes")],
        vec![add(), put_at(200, "hello"), list("GET /notes")],
    ] {
        assert_eq!(diff(&talks).places().len(), 2, "{talks:?}");
    }
}

#[test]
fn what_a_write_said_is_known_again_where_it_is_shown_cut_or_masked() {
    let long = "one two three ".repeat(30);
    let key = "b7Qx0Zr4Lm9Tn2Vc8Kd1";
    for (name, said, found) in [
        ("text", &*long, diff as fn(&[Talk]) -> _),
        ("text", &*long, diff_masked),
        ("api_key", key, diff_masked),
        ("text", &*format!("the key is api_key={key}, keep it"), diff_masked),
    ] {
        let add = talk("POST /notes", json("{\"id\":\"n-4471a0\"}"), json("{}"));
        let put = talk("PUT /notes/n-4471a0", json("{}"), answer(404, "application/json", "{}"))
            .asking("Content-Type", "application/json")
            .saying(&format!("{{\"{name}\":\"{said}\"}}"))
            .lacking(0, "$.id");
        let shown = |text: &str| json(format!("[{{\"{name}\":\"{text}\"}}]"));
        let list = talk("GET /notes", shown(said), shown("old"));
        assert_eq!(found(&[add, put, list]).places(), ["$.id"], "{name}: {said}");
    }
}

#[test]
fn a_write_whose_condition_did_not_hold_was_not_done_whatever_it_lacked() {
    let add = talk("POST /notes", json("{\"id\":\"n-4471a0\",\"tag\":\"e-77b0a4\"}"), json("{}"));
    let put = |refused: u16| {
        let refused = answer(refused, "application/json", "{}");
        let put = talk("PUT /notes/n-4471a0", json("{}"), refused).lacking(0, "$.tag");
        put.asking("If-Match", "\"e-77b0a4\"")
    };
    // What the write made of it, it never said.
    let count = || talk("GET /notes/n-4471a0", json("{\"edits\":2}"), json("{\"edits\":1}"));
    let edits = |refused: u16| {
        let found = diff(&[add.clone(), put(refused), count()]);
        (found.places().contains(&"$.edits".to_owned()), found.findings.totals.unmet_writes)
    };
    assert_eq!(edits(412), (false, 1));
    assert_eq!(edits(404), (true, 0), "it may have been done to something else");
}

#[test]
fn consequences_excuse_nothing_that_counts() {
    // The same change where the value was issued is a regression still.
    let shown = |n: usize| talk(&format!("GET /me/{n}"), json("{\"n\":1}"), json("{\"n\":2}"));
    let talks = [login("{}"), shown(1).lacking(0, "$.access_token"), shown(2)];
    let found = diff(&talks);
    let totals = &found.findings.totals;
    assert_eq!((totals.compared, totals.mismatched, totals.unbound_differ), (2, 2, 1));
}

/// Two versions' ids of three things, and what binds them.
const IDS: [(&str, &str); 3] = [
    ("3f2a91c07be41d05", "zz41d05a8c07be9f"),
    ("77b0a4e2d19c6f38", "aa6f38b0e2d19c04"),
    ("c90d5e61f3a8b724", "mmb72405e1f3a8c9"),
];

fn issued() -> (Vec<Talk>, Vec<Binding>) {
    let made = |n: usize| {
        let of = |id: &str| json(format!("{{\"id\":\"{id}\",\"n\":{n}}}"));
        talk("POST /things", of(IDS[n].0), of(IDS[n].1))
    };
    let bound = (0..3).map(|n| binding(n, "$.id", IDS[n].0, IDS[n].1)).collect();
    ((0..3).map(made).collect(), bound)
}

fn then(later: Talk) -> Vec<String> {
    let (mut talks, bound) = issued();
    talks.push(later);
    let found = diff_under(&talks, "", [&bound, &[]]);
    let regressions = found.findings.clusters.iter().filter(|c| c.class == Class::Regression);
    regressions.map(|c| format!("{} {} {}", c.kind.name(), c.place, c.shape)).collect()
}

#[test]
fn what_stands_for_each_other_is_equal_wherever_it_stands() {
    let (a, b) = IDS[0];
    type Said = fn(&str) -> spoken::Said;
    let forms: [Said; 9] = [
        |id| json(format!("{{\"thing\":\"{id}\"}}")),
        |id| json(format!("{{\"url\":\"https://h.test/things/{id}?x=1#y\"}}")),
        |id| json(format!("{{\"by_id\":{{\"{id}\":{{\"n\":0}}}}}}")),
        |id| json(format!("{{\"text\":\"thing '{id}' was made, see arn:x:{id}.\"}}")),
        |id| json(format!("{{\"inner\":\"{{\\\"id\\\":\\\"{id}\\\"}}\"}}")),
        |id| answer(200, "text/html", format!("<p id=\"t_{id}_x\"><a href=\"/t/{id}\">{id}</a>")),
        |id| answer(200, "text/plain", format!("one\nid: {id} is new\ntwo")),
        |id| json("{}").with("Location", &format!("/things/{id}")).with("X-Thing", id),
        |id| json("{}").with("Set-Cookie", &format!("last={id}; Path=/")),
    ];
    for (number, form) in forms.into_iter().enumerate() {
        assert_eq!(then(talk("GET /x", form(a), form(b))), [""; 0], "{number}");
        let other = then(talk("GET /x", form(a), form(IDS[1].1)));
        assert!(!other.is_empty(), "{number}: another thing is a difference");
    }
}

#[test]
fn an_id_is_checked_and_no_noise() {
    let shown = |id: &str| json(format!("{{\"thing\":\"{id}\"}}"));
    let (a, _) = IDS[0];
    assert_eq!(
        then(talk("GET /x", shown(a), shown("9988776655443322"))),
        ["identity $.thing two ids for one"]
    );
    assert_eq!(then(talk("GET /x", shown(a), shown(IDS[2].1))), ["identity $.thing another thing"]);
}

#[test]
fn one_id_for_two_things_is_found_where_it_is_given() {
    let (talks, mut bound) = issued();
    bound[2].v2 = Some(IDS[0].1.to_owned());
    let found = diff_under(&talks, "", [&bound, &[]]);
    let identity: Vec<_> =
        found.findings.clusters.iter().filter(|c| c.kind == Kind::Identity).collect();
    assert_eq!(identity.len(), 2, "given, and shown where the other one was");
    let given = identity.iter().find(|c| c.shape == "one id for two").unwrap();
    assert_eq!((given.place.as_str(), given.class), ("$.id", Class::Regression));
}

#[test]
fn lists_in_the_order_of_their_ids_are_compared_by_identity() {
    let list = |all: &[(&str, u32)]| {
        let one = |(id, n): &(&str, u32)| format!("{{\"id\":\"{id}\",\"n\":{n}}}");
        json(format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(",")))
    };
    let v1 = [(IDS[0].0, 0), (IDS[1].0, 1), (IDS[2].0, 2)];
    let v2 = [(IDS[1].1, 1), (IDS[2].1, 2), (IDS[0].1, 0)];
    assert_eq!(then(talk("GET /things", list(&v1), list(&v2))), [""; 0], "both by id");
    let shuffled = [(IDS[2].1, 2), (IDS[0].1, 0), (IDS[1].1, 1)];
    assert_eq!(
        then(talk("GET /things", list(&v1), list(&shuffled))),
        ["body $ reordered"],
        "v2 shows another order than it created"
    );
    let changed = [(IDS[1].1, 1), (IDS[2].1, 9), (IDS[0].1, 0)];
    assert_eq!(then(talk("GET /things", list(&v1), list(&changed))), ["body $[*].n changed"]);
    let ids = |all: &[(&str, u32)]| {
        let ids: Vec<_> = all.iter().map(|(id, _)| format!("\"{id}\"")).collect();
        json(format!("[{}]", ids.join(",")))
    };
    assert_eq!(then(talk("GET /ids", ids(&v1), ids(&v2))), [""; 0]);
    assert_eq!(then(talk("GET /ids", ids(&v1), ids(&shuffled))), ["body $ reordered"]);
}

#[test]
fn lists_of_any_format_are_compared_by_identity() {
    let ids =
        |order: [usize; 3], v2: bool| order.map(|n| (if v2 { IDS[n].1 } else { IDS[n].0 }, n));
    type Said = fn(&[(&str, usize)]) -> spoken::Said;
    let forms: [(Said, &str); 6] = [
        (
            |all| {
                let item = |(id, n): &(&str, usize)| format!("<item id=\"{id}\"><n>{n}</n></item>");
                let items: String = all.iter().map(item).collect();
                answer(200, "application/xml", format!("<items>{items}</items>"))
            },
            "body /items reordered",
        ),
        (
            |all| {
                let item = |(id, n): &(&str, usize)| {
                    format!("\n<m:Item><m:Id>{id}</m:Id><m:n>{n}</m:n></m:Item>")
                };
                let items: String = all.iter().map(item).collect();
                let text = format!("<m:Items xmlns:m=\"urn:m\">{items}\n</m:Items>");
                answer(200, "application/xml", text)
            },
            "body /m:Items reordered",
        ),
        (
            |all| {
                let items: String = all.iter().map(|(id, _)| format!("<li>{id}</li>")).collect();
                answer(200, "text/html", format!("<ul>{items}</ul>"))
            },
            "body /html/body/ul reordered",
        ),
        (
            |all| {
                let pair = |(id, _): &(&str, usize)| format!("id={id}");
                let body = all.iter().map(pair).collect::<Vec<_>>().join("&");
                answer(200, "application/x-www-form-urlencoded", format!("x=1&{body}"))
            },
            "body form:id reordered",
        ),
        (
            |all| {
                let ids = all.iter().map(|(id, _)| *id).collect::<Vec<_>>().join(", ");
                json("{}").with("X-Things", &ids)
            },
            "header x-things reordered",
        ),
        (
            |all| {
                let with = |said: spoken::Said, (id, _): &(&str, usize)| said.with("X-Thing", id);
                all.iter().fold(json("{}"), with)
            },
            "header x-thing reordered",
        ),
    ];
    for (form, reordered) in forms {
        let v1 = form(&ids([0, 1, 2], false));
        // Each side in the order of its own ids, as a query sorts them.
        let sorted = form(&ids([1, 2, 0], true));
        assert_eq!(then(talk("GET /things", v1.clone(), sorted)), [""; 0], "{reordered}");
        let same = form(&ids([0, 1, 2], true));
        assert_eq!(then(talk("GET /things", v1.clone(), same)), [""; 0], "{reordered}");
        let shuffled = form(&ids([2, 0, 1], true));
        assert_eq!(then(talk("GET /things", v1, shuffled)), [reordered]);
    }
}

#[test]
fn a_small_number_stands_for_another_only_beside_its_thing() {
    let bound =
        |place: &str| Binding { thing: Some("page".to_owned()), ..binding(0, place, "8", "1008") };
    let both = |form: fn(u32) -> String| (json(form(8)), json(form(1008)));
    let run = |form: fn(u32) -> String| {
        let (v1, v2) = both(form);
        let made = talk("POST /pages", json("{\"id\":8}"), json("{\"id\":1008}"));
        let talks = [made, talk("GET /shown", v1, v2)];
        diff_under(&talks, "", [&[bound("$.id")], &[]]).places()
    };
    assert_eq!(run(|n| format!("{{\"page_id\":{n},\"pages\":[{{\"id\":{n}}}]}}")), [""; 0]);
    assert_eq!(run(|n| format!("{{\"url\":\"/admin/pages/{n}/edit\"}}")), [""; 0]);
    assert_eq!(run(|n| format!("{{\"changes\":[{{\"id\":{n}}}]}}")), [""; 0]);
    assert_eq!(run(|n| format!("{{\"stock\":{n}}}")), ["$.stock"]);
    assert_eq!(run(|n| format!("{{\"url\":\"/orders/{n}\"}}")), ["$.url"]);
}

/// Numbers that v1 and v2 issued: the exchange, the place, the kind of thing, v1's and v2's.
type Issued = (usize, &'static str, &'static str, u32, u32);

fn numbers(all: &[Issued]) -> Vec<Binding> {
    let one = |&(at, place, thing, v1, v2): &Issued| Binding {
        thing: Some(thing.to_owned()),
        ..binding(at, place, &v1.to_string(), &v2.to_string())
    };
    all.iter().map(one).collect()
}

/// Customer 7 is 1007 at v2, order 7 is 2007, order 8 is 2008: where `form` differs whose ids these
/// are, of an answer to `asked` with v1's customer and order, and with those that v2 says.
fn named(asked: &str, kind: &str, form: fn(u32, u32) -> String, v2: (u32, u32)) -> Vec<String> {
    let made = |v1: u32, v2: u32| [v1, v2].map(|id| json(format!("{{\"id\":{id}}}")));
    let of = |route: &str, [v1, v2]: [spoken::Said; 2]| talk(route, v1, v2);
    let talks = [
        of("POST /customers", made(7, 1007)),
        of("POST /orders", made(7, 2007)),
        of("POST /orders", made(8, 2008)),
        talk(asked, answer(200, kind, form(7, 7)), answer(200, kind, form(v2.0, v2.1))),
    ];
    let bound = numbers(&[
        (0, "$.id", "customer", 7, 1007),
        (1, "$.id", "order", 7, 2007),
        (2, "$.id", "order", 8, 2008),
    ]);
    diff_under(&talks, "", [&bound, &[]]).places()
}

#[test]
fn another_things_id_is_none_of_a_thing_whose_kind_is_told() {
    type Form = fn(u32, u32) -> String;
    let forms: [(&str, Form); 9] = [
        // By what holds it, by the path, by the name of a list.
        ("GET /feed", |c, o| format!("[{{\"order\":{{\"id\":{o}}},\"customer\":{{\"id\":{c}}}}}]")),
        ("GET /orders/7", |c, o| format!("{{\"id\":{o},\"customer_id\":{c}}}")),
        ("GET /orders", |c, o| format!("{{\"items\":[{{\"id\":{o},\"customer_id\":{c}}}]}}")),
        ("GET /x", |c, o| {
            format!("{{\"orders\":[{{\"id\":{o}}}],\"customers\":[{{\"id\":{c}}}]}}")
        }),
        // By what stands beside it.
        ("GET /search", |c, o| {
            format!("[{{\"type\":\"order\",\"id\":{o}}},{{\"type\":\"customer\",\"id\":{c}}}]")
        }),
        ("GET /x", |c, o| {
            format!(
                "{{\"a\":{{\"__typename\":\"Order\",\"id\":{o}}},\"b\":{{\"kind\":\"shop.customer\",\"id\":{c}}}}}"
            )
        }),
        ("GET /feed", |c, o| format!("[{{\"id\":{o},\"customer\":{{\"id\":{c}}}}}]")),
        // By what a form and a page call it.
        ("GET /x", |c, o| format!("{{\"order\":{o},\"customer\":{c}}}")),
        ("GET /customers/7/orders", |c, o| {
            format!("{{\"data\":[{{\"id\":{o},\"customer\":{{\"id\":{c}}}}}]}}")
        }),
    ];
    for (asked, form) in forms {
        let of = |v2| named(asked, "application/json", form, v2);
        assert_eq!(of((1007, 2007)), [""; 0], "{asked} {}", form(7, 7));
        for other in [(1007, 1007), (2007, 2007), (2007, 1007), (1007, 2008)] {
            assert!(!of(other).is_empty(), "{asked} {} {other:?}", form(7, 7));
        }
    }
    // Where nothing tells, it may be any.
    let any: Form = |_, o| format!("{{\"changes\":[{{\"id\":{o}}}]}}");
    for id in [1007, 2007] {
        assert_eq!(named("GET /x", "application/json", any, (0, id)), [""; 0], "{id}");
    }
    assert_eq!(named("GET /x", "application/json", any, (0, 2008)), ["$.changes[*].id"]);
    // `user_id` may say the `id` of a user once more.
    let twice: Form = |c, _| format!("{{\"id\":{c},\"customer_id\":{c}}}");
    assert_eq!(named("GET /me", "application/json", twice, (1007, 0)), [""; 0]);
}

#[test]
fn what_is_as_far_apart_as_others_may_be_of_a_kind_that_is_not_known() {
    let profile = |id: u32| json(format!("{{\"id\":{id},\"customer\":{{\"id\":{id}}}}}"));
    let made = |id: u32| json(format!("{{\"id\":{id}}}"));
    let run = |items: u32| {
        let talks = [
            talk("POST /customers", made(7), made(1007)),
            talk("POST /orders", made(7), made(2007)),
            talk("POST /items", made(9), made(items)),
            talk("GET /profile", profile(7), profile(1007)),
        ];
        let bound = numbers(&[
            (0, "$.id", "customer", 7, 1007),
            (1, "$.id", "order", 7, 2007),
            (2, "$.id", "item", 9, items),
        ]);
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    assert_eq!(run(1009), [""; 0], "all but orders are a thousand higher");
    assert_eq!(run(3009), ["$.id"], "it is the customer's");
}

#[test]
fn a_page_says_the_number_that_was_asked_for_in_many_ways() {
    type Form = fn(u32, u32) -> String;
    let forms: [Form; 11] = [
        |_, o| format!("<form><input type=hidden name=id value={o}></form>"),
        |_, o| format!("<form><input type=hidden name=order value={o}></form>"),
        |_, o| format!("<table><tr id={o}><td>x</td></tr></table>"),
        |_, o| format!("<div data-id={o}>x</div>"),
        |_, o| format!("<a href='/order.php?id={o}'>x</a>"),
        |_, o| format!("<select name=which><option value={o} selected>x</option></select>"),
        |_, o| format!("<h1>Order No. {o}</h1>"),
        |_, o| format!("<title>Order {o}</title>"),
        |_, o| format!("<table><tr><th>ID</th><td>{o}</td></tr></table>"),
        |_, o| format!("<button onclick='remove({o})'>x</button>"),
        |_, o| format!("<button onclick='show(\"order\", \"{o}\")'>x</button>"),
    ];
    for form in forms {
        for asked in ["GET /orders/7", "GET /orders/7/page"] {
            let of = |order: u32| named(asked, "text/html", form, (0, order));
            assert_eq!(of(2007), [""; 0], "{asked} {}", form(0, 7));
            for other in [1007, 2008, 8] {
                assert!(!of(other).is_empty(), "{asked} {} {other}", form(0, 7));
            }
        }
    }
    let count: Form = |_, o| format!("<p>{o} pieces</p>");
    assert!(!named("GET /orders/7", "text/html", count, (0, 2007)).is_empty());
    let page: Form = |_, o| format!("<p>page {o}</p>");
    assert!(!named("GET /orders/7", "text/html", page, (0, 2007)).is_empty());
}

#[test]
fn a_number_that_people_count_is_no_id() {
    let run = |form: fn(u32, u32) -> String, v2: (u32, u32)| {
        let made = [7, 1007].map(|id| json(format!("{{\"id\":{id},\"number\":1}}")));
        let [v1, other] = made;
        let [a, b] = [(7, 7), v2].map(|(id, number)| json(form(id, number)));
        let talks = [talk("POST /orders", v1, other), talk("GET /orders/7", a, b)];
        let bound = numbers(&[(0, "$.id", "order", 7, 1007)]);
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    // The seventh of a customer, by chance, is the seventh of all.
    let alone = |_: u32, number: u32| format!("{{\"number\":{number}}}");
    assert_eq!(run(alone, (0, 1007)), ["$.number"]);
    assert_eq!(run(|_, number| format!("{{\"house\":{{\"no\":{number}}}}}"), (0, 1007)).len(), 1);
    // What always has its id as its number.
    let both = |id: u32, number: u32| format!("{{\"id\":{id},\"number\":{number}}}");
    assert_eq!(run(both, (1007, 1007)), [""; 0]);
    assert_eq!(run(both, (1007, 1008)), ["$.number"]);
    // Numbers that are issued as such, as issues have them beside their ids.
    let issue = |id: u32, number: u32| json(format!("{{\"id\":{id},\"number\":{number}}}"));
    let listed = |v2: (u32, u32)| {
        let made = talk("POST /issues", issue(8, 3), issue(1008, 503));
        let talks = [made, talk("GET /issues", issue(8, 3), issue(v2.0, v2.1))];
        let bound = numbers(&[
            (0, "$.id", "issue", 8, 1008),
            (0, "$.number", "issue", 3, 503),
            (0, "$.id", "issue", 3, 1003),
        ]);
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    assert_eq!(listed((1008, 503)), [""; 0]);
    assert_eq!(listed((1008, 1003)).len(), 1);
}

#[test]
fn an_answer_names_nothing_that_was_issued_after_it() {
    let shown = |id: u32| json(format!("{{\"plans\":[{{\"id\":{id},\"name\":\"pro\"}}]}}"));
    let made = |id: u32| json(format!("{{\"id\":{id}}}"));
    let run = |early: u32| {
        let talks = [
            talk("GET /plans", shown(2), shown(early)),
            talk("POST /orders", made(2), made(1002)),
            talk("GET /found", shown(2), shown(1002)),
        ];
        let bound = numbers(&[(1, "$.id", "order", 2, 1002)]);
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    assert_eq!(run(2), [""; 0]);
    assert_eq!(run(1002), ["$.plans[*].id"]);
}

#[test]
fn a_number_in_base64_is_that_of_its_thing() {
    // `Task:2` and `Task:1002`.
    let bound = binding(0, "$.id", "VGFzazoy", "VGFzazoxMDAy");
    let run = |v1: &str, v2: &str| {
        let made =
            talk("POST /x", json("{\"id\":\"VGFzazoy\"}"), json("{\"id\":\"VGFzazoxMDAy\"}"));
        let talks = [made, talk("GET /tasks", json(v1), json(v2))];
        diff_under(&talks, "", [std::slice::from_ref(&bound), &[]]).places()
    };
    assert_eq!(run("{\"task\":{\"number\":2}}", "{\"task\":{\"number\":1002}}"), [""; 0]);
    // `cursor:2`, `cursor:1002`.
    let cursor = |text: &str| format!("{{\"endCursor\":\"{text}\"}}");
    assert_eq!(run(&cursor("Y3Vyc29yOjI="), &cursor("Y3Vyc29yOjEwMDI=")), [""; 0]);
    assert_eq!(run(&cursor("Y3Vyc29yOjI="), &cursor("Y3Vyc29yOjEwMDM=")), ["$.endCursor"]);
    assert_eq!(run("{\"stock\":2}", "{\"stock\":1002}"), ["$.stock"]);
}

#[test]
fn a_number_in_base64_is_of_no_other_kind() {
    // `User:2`, `User:5002`; `Task:2`, `Task:1002`.
    let ids = [
        ("VXNlcjoy", "VXNlcjo1MDAy"),
        ("VGFzazoy", "VGFzazoxMDAy"),
        // `User:3`, `User:5003`.
        ("VXNlcjoz", "VXNlcjo1MDAz"),
    ];
    let bound = [0, 1, 2].map(|n| binding(n, "$.id", ids[n].0, ids[n].1));
    let run = |place: &str, v1: &str, v2: &str| {
        let said = |id: &str| json(format!("{{\"{place}\":\"{id}\"}}"));
        let made = |n: usize| talk("POST /x", said(ids[n].0), said(ids[n].1));
        let talks = [made(0), made(1), made(2), talk("GET /x", said(v1), said(v2))];
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    for (v1, v2) in ids {
        assert_eq!(run("id", v1, v2), [""; 0]);
    }
    for (v1, v2) in [
        // `User:1002`, `Task:5002`; `Task:3`, which nobody uses, and `Task:5003`.
        ("VXNlcjoy", "VXNlcjoxMDAy"),
        ("VGFzazoy", "VGFzazo1MDAy"),
        ("VGFzazoz", "VGFzazo1MDAz"),
    ] {
        assert_eq!(run("node", v1, v2).len(), 1, "{v1} {v2}");
    }
    // The places of a list have a kind of their own: either may be meant.
    assert_eq!(run("after", "Y3Vyc29yOjI=", "Y3Vyc29yOjEwMDI="), [""; 0]);
}

#[test]
fn what_v1_issued_is_no_position_elsewhere() {
    let bound = [
        binding(0, "$.next_batch", "s122_4_0", "s422_46_0"),
        binding(0, "$.invoice", "INV-2026-00001", "INV-2026-01001"),
        binding(0, "$.previous", "INV-2025-00700", "INV-2025-00700"),
    ];
    let issued = |position: &str, invoice: &str| {
        json(format!(
            "{{\"next_batch\":\"{position}\",\"invoice\":\"{invoice}\",\"previous\":\"INV-2025-00700\"}}"
        ))
    };
    let run = |name: &str, v1: &str, v2: &str| {
        let said = |text: &str| json(format!("{{\"{name}\":\"{text}\"}}"));
        let made = talk(
            "POST /x",
            issued("s122_4_0", "INV-2026-00001"),
            issued("s422_46_0", "INV-2026-01001"),
        );
        let talks = [made, talk("GET /y", said(v1), said(v2))];
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    for (name, v1, v2) in [
        ("start", "s122_4_0", "s422_46_0"),
        // What nobody uses, and what stands where such are issued.
        ("end", "s119_3_0", "s417_45_0"),
        ("next_batch", "s122_4_0", "s423_46_0"),
        ("invoice", "INV-2026-00009", "INV-2026-01009"),
    ] {
        assert_eq!(run(name, v1, v2), [""; 0], "{name} {v1} {v2}");
    }
    for (name, v1, v2) in [
        ("start", "s122_4_0", "s423_46_0"),
        ("end", "s119_3_0", "s422_46_0"),
        ("no", "INV-2025-00107", "INV-2025-00114"),
        ("previous", "INV-2025-00700", "INV-2025-00701"),
        ("invoice", "INV-2026-00001", "INV-2026-01002"),
    ] {
        assert_eq!(run(name, v1, v2).len(), 1, "{name} {v1} {v2}");
    }
}

#[test]
fn a_number_behind_its_word_is_the_thing_of_that_number() {
    let bound = Binding {
        thing: Some("tracker".to_owned()),
        ..binding(0, "header:location path[2]", "bug8", "bug1008")
    };
    let run = |form: fn(u32) -> String| {
        let html = |n: u32| answer(200, "text/html", form(n));
        let link = |n: u32| json("{}").with("Location", &format!("/tracker/bug{n}"));
        let made = talk("POST /tracker/bug", link(8), link(1008));
        let talks = [made, talk("GET /tracker/shown", html(8), html(1008))];
        diff_under(&talks, "", [std::slice::from_ref(&bound), &[]]).places()
    };
    assert_eq!(
        run(|n| format!("<form action=bug{n}><a href='bug{n}?x=1'>See bug{n}.</a></form>")),
        [""; 0]
    );
    assert_eq!(run(|n| format!("<h2>Bug #{n}: it fails</h2><p>Copy of bug #{n}")), [""; 0]);
    assert_eq!(run(|n| format!("<a href=file{n}>it</a>")).len(), 1);
    assert_eq!(run(|n| format!("<p>{n} pieces")).len(), 1);
}

#[test]
fn copies_have_bindings_of_their_own() {
    let shown = |id: &str| json(format!("{{\"thing\":\"{id}\"}}"));
    let (mut talks, mut bound) = issued();
    bound.iter_mut().for_each(|one| one.id.copy = 2);
    talks.push(talk("GET /x", shown(IDS[0].0), shown(IDS[1].1)));
    let found = diff_under(&talks, "", [&bound, &[]]);
    assert!(found.findings.clusters.iter().all(|c| c.kind != Kind::Identity), "of another copy");
}

#[test]
fn what_nobody_uses_is_noise_although_the_rest_of_its_place_is_bound() {
    let token = |n: usize, seed: u64| {
        format!(
            "{:032x}",
            (n as u128 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                ^ u128::from(seed).wrapping_mul(0xd1b5_4a32_d192_ed03 << 61)
        )
    };
    let login = |n: usize| {
        let of = |seed| json(format!("{{\"csrf\":\"{}\"}}", token(n, seed)));
        talk(&format!("POST /login?n={n}"), of(1), of(99))
    };
    let talks: Vec<Talk> = (0..20).map(login).collect();
    let bound: Vec<_> =
        (0..14).map(|n| binding(n, "$.csrf", &token(n, 1), &token(n, 99))).collect();
    assert_eq!(diff_under(&talks, "", [&bound, &[]]).places(), [""; 0]);
}

#[test]
fn rows_of_a_page_have_the_numbers_of_its_links() {
    type Form = fn(u32, u32) -> String;
    // The link's number, and the row's.
    let forms: [Form; 8] = [
        |a, b| format!("<tr id='row-{b}'><td><a href='/orders/{a}'>x</a></td></tr>"),
        |a, b| format!("<div data-key={b}><a href='/orders/{a}/edit'>x</a></div>"),
        |a, b| format!("<p><a href='/show.php?order={a}'>x</a> {b}</p>"),
        |a, b| format!("<p><a href='/order.php?id={a}'>x</a> <b>{b}</b></p>"),
        |a, b| {
            format!("<form action='/orders/{a}'><button onclick=\"drop('{b}')\">x</button></form>")
        },
        |a, b| format!("<ol><li id=order{a} value={b}>x</li></ol>"),
        |a, b| format!("<p id=order-{a}>x</p><p aria-label='x{b}'>y</p>"),
        |a, b| format!("<select name=order_id><option value={a}>x</option></select><i>{b}</i>"),
    ];
    for form in forms {
        let page = |link: u32, row: u32| {
            let body = format!("<html><body>{}</body></html>", form(link, row));
            answer(200, "text/html", body)
        };
        let of = |row: u32| {
            let talks = [
                talk("POST /orders", json("{\"id\":7}"), json("{\"id\":2007}")),
                talk("POST /orders", json("{\"id\":8}"), json("{\"id\":2008}")),
                talk("GET /home", page(7, 7), page(2007, row)),
            ];
            let bound = numbers(&[(0, "$.id", "order", 7, 2007), (1, "$.id", "order", 8, 2008)]);
            diff_under(&talks, "", [&bound, &[]]).places()
        };
        assert_eq!(of(2007), [""; 0], "{}", form(7, 7));
        for other in [2008, 1007, 8] {
            assert!(!of(other).is_empty(), "{} {other}", form(7, 7));
        }
    }
}

#[test]
fn what_is_above_a_thing_is_of_its_kind() {
    let made = |id: u32| json(format!("{{\"id\":{id}}}"));
    let run = |v1: &str, v2: &str| {
        let of = |path: &str| json(format!("{{\"path\":\"{path}\"}}"));
        let talks = [
            talk("POST /folders", made(1), made(1001)),
            talk("POST /folders", made(5), made(1005)),
            talk("GET /folders/5", of(v1), of(v2)),
        ];
        let bound = numbers(&[(0, "$.id", "folder", 1, 1001), (1, "$.id", "folder", 5, 1005)]);
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    assert_eq!(run("/1/5", "/1001/1005"), [""; 0]);
    assert_eq!(run("1.5", "1001.1005"), [""; 0]);
    for wrong in ["/1005/1001", "/1001/1001", "/1001", "/1001/1005/1005"] {
        assert_eq!(run("/1/5", wrong), ["$.path"], "{wrong}");
    }
    assert_eq!(run("5 of 1", "1005 of 1001"), ["$.path"]);
}

#[test]
fn people_are_one_kind_under_the_names_of_what_they_do() {
    let made = |id: u32| json(format!("{{\"id\":{id}}}"));
    let run = |name: &str, v2: u32| {
        let of = |id: u32| json(format!("{{\"{name}\":{id}}}"));
        let talks = [
            talk("POST /signup", made(4), made(1004)),
            talk("POST /signup", made(5), made(1005)),
            talk("GET /pages/1", of(4), of(v2)),
        ];
        let bound = numbers(&[(0, "$.id", "signup", 4, 1004), (1, "$.id", "signup", 5, 1005)]);
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    for name in ["author_id", "author", "created_by", "user_id", "ownerId"] {
        assert_eq!(run(name, 1004), [""; 0], "{name}");
        assert_eq!(run(name, 1005).len(), 1, "{name}");
    }
    for name in ["level", "page_id", "count"] {
        assert_eq!(run(name, 1004).len(), 1, "{name}");
    }
}

#[test]
fn ids_that_are_all_as_much_higher_as_others_are_no_findings() {
    let made = |id: usize| json(format!("{{\"id\":{id}}}"));
    let run = |name: &str, higher: fn(usize) -> usize| {
        let entry = |id: usize| json(format!("{{\"entries\":[{{\"{name}\":{id}}}]}}"));
        let mut talks = vec![];
        let mut bound = vec![];
        for n in 0..4 {
            bound.extend(numbers(&[(n, "$.id", "order", n as u32, 300 + n as u32)]));
            talks.push(talk("POST /orders", made(n), made(300 + n)));
        }
        for n in 40..46 {
            talks.push(talk(
                &format!("GET /log?since={}", 7_000 + 9 * n),
                entry(n),
                entry(n + higher(n)),
            ));
        }
        let found = diff_under(&talks, "", [&bound, &[]]);
        found.places()
    };
    assert_eq!(run("id", |_| 300), [""; 0]);
    assert_eq!(run("entry_id", |_| 300), [""; 0]);
    // By another number, not all by the same, or under a name that names nothing or counts.
    assert_eq!(run("id", |_| 299).len(), 1);
    assert_eq!(run("invoice_no", |_| 300).len(), 1);
    assert_eq!(run("id", |n| if n == 43 { 301 } else { 300 }).len(), 1);
    assert_eq!(run("stock", |_| 300).len(), 1);
}

#[test]
fn what_a_request_makes_has_a_number_of_each_sides_own_counter() {
    let run = |route: &str, name: &str, v2: fn(usize) -> usize| {
        let made = |id: usize| json(format!("{{\"{name}\":{id},\"total\":9}}"));
        let talks: Vec<Talk> = (0..12)
            .map(|n| talk(&format!("{route}?x={}", 500 + 7 * n), made(20 + n), made(v2(n))))
            .collect();
        diff_under(&talks, "", [&[], &[]]).places()
    };
    for name in ["order_id", "id", "ticketId"] {
        assert_eq!(run("POST /checkout", name, |n| 3_000 + 2 * n), [""; 0], "{name}");
        // Of two requests under way together the later one may be the first.
        assert_eq!(
            run("POST /checkout", name, |n| 3_000 + n + usize::from(n == 3) - usize::from(n == 4))
                .len(),
            0,
            "{name}"
        );
        // One for two, another thing's, or none that a counter gives.
        assert_eq!(run("POST /checkout", name, |n| 3_000 + n / 2).len(), 1, "{name}");
        assert_eq!(run("POST /checkout", name, |_| 3_000).len(), 1, "{name}");
        assert_eq!(run("POST /checkout", name, |n| 3_000 - n).len(), 1, "{name}");
        // What is looked at is not made.
        assert_eq!(run("GET /orders", name, |n| 3_000 + n).len(), 1, "{name}");
    }
    assert_eq!(run("POST /checkout", "total_cents", |n| 3_000 + n).len(), 1);
}

#[test]
fn where_v2_numbers_as_v1_did_another_number_is_a_finding() {
    let run = |orders: fn(u32) -> u32, accounts: fn(u32) -> u32| {
        let made = |order: u32, account: u32| {
            json(format!("{{\"id\":{order},\"from\":{{\"id\":{account}}}}}"))
        };
        let mut bound = vec![];
        let mut talks = vec![];
        for n in 0..12 {
            let (at, order, account) = (n as usize, 40 + n, 70 + n);
            talks.push(talk(
                &format!("POST /orders?x={}", 5_000 + 7 * n),
                made(order, account),
                made(orders(order), accounts(account)),
            ));
            bound.extend(numbers(&[
                (at, "$.id", "order", order, orders(order)),
                (at, "$.from.id", "from", account, accounts(account)),
            ]));
            // Said again, and not.
            bound[2 * at].flow = Some(0);
            bound[2 * at + 1].flow = None;
        }
        diff_under(&talks, "", [&bound, &[]]).places()
    };
    assert_eq!(run(|n| n, |n| n), [""; 0]);
    assert_eq!(run(|n| n + 500, |n| n + 900), [""; 0], "counters of its own");
    assert_eq!(run(|n| n, |n| n + 1), ["$.from.id"], "another account");
    // Of two requests under way together the later one may be the first.
    assert_eq!(run(|n| n, |n| n + u32::from(n == 74) - u32::from(n == 75)), [""; 0]);
}
