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
use spoken::{Talk, answer, diff, json, talk};

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
fn consequences_excuse_nothing_that_counts() {
    // The same change where the value was issued is a regression still.
    let shown = |n: usize| talk(&format!("GET /me/{n}"), json("{\"n\":1}"), json("{\"n\":2}"));
    let talks = [login("{}"), shown(1).lacking(0, "$.access_token"), shown(2)];
    let found = diff(&talks);
    let totals = &found.findings.totals;
    assert_eq!((totals.compared, totals.mismatched, totals.unbound_differ), (2, 2, 1));
}
