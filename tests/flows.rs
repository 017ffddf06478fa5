//! What `flows`, `inspect` and `--dry-run` show of values that answers issue and requests use.

#[expect(dead_code, reason = "these tests need no capture and no server")]
mod support;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use support::shadowtap;

/// Two users log in, put something into a cart and read it; a third came from before.
fn recording(folder: &Path) {
    let mut text = String::from("{\"format\":\"shadowtap/exchanges\",\"version\":1}\n");
    let mut second = 0;
    let mut say = |lane: u64, method: &str, target: &str, fields: Value, body: &str, says: &str| {
        second += 1;
        let line = json!({
            "id": format!("{lane}-0"), "connection": lane,
            "client": format!("10.0.0.{lane}:4000"), "server": "10.0.1.1:80",
            "protocol": "http/1", "completeness": "complete",
            "request": {
                "at": format!("2026-11-28T10:00:{second:02}Z"), "duration_ns": 0,
                "method": method, "target": target, "version": "1.1", "headers": fields,
                "body": {"utf8": body}, "body_bytes": body.len(),
                "framing": "content-length", "trailers": []
            },
            "response": {
                "first_byte_ns": 1_000_000, "last_byte_ns": 2_000_000, "status": 200,
                "reason": "OK", "version": "1.1",
                "headers": [["Content-Type", "application/json"]], "body": {"utf8": says},
                "body_bytes": says.len(), "framing": "content-length", "trailers": []
            },
            "interim": []
        });
        writeln!(text, "{line}").expect("memory");
    };
    for (lane, token) in [(1, "3f2a91c07be41d05a8c1"), (2, "9d8e7f6a5b4c3d2e1f00")] {
        say(lane, "POST", "/login", json!([]), "user=u", &json!({"token": token}).to_string());
    }
    for (lane, token, cart) in [(3, "3f2a91c07be41d05a8c1", 41), (4, "9d8e7f6a5b4c3d2e1f00", 42)] {
        let bearer = json!([["Authorization", format!("Bearer {token}")]]);
        say(lane, "POST", "/carts", bearer.clone(), "", &json!({"id": cart}).to_string());
        say(lane + 10, "GET", &format!("/carts/{cart}"), bearer, "", "{}");
    }
    let cookie = json!([["Cookie", "session=c0ffee00c0ffee00c0ffee00c0ffee01"]]);
    say(9, "GET", "/me", cookie, "", "{}");
    std::fs::write(folder.join("v1.jsonl"), text).expect("the recording is written");
}

#[test]
fn flows_are_shown_with_their_places_and_without_their_values() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    recording(folder.path());
    let shown = shadowtap(folder.path(), &["flows", "v1.jsonl"]).expect(0).prints(&[
        "3 users; 6 uses of 4 values in 4 of 7 requests; 1 request uses values from before",
        "sure     POST /login $.token",
        "→ header:authorization on 2 routes",
        "sure     POST /carts $.id",
        "→ path[2] in GET /carts/{id}",
        "older    1 request of GET /me",
    ]);
    assert!(!shown.stdout.contains("3f2a91c07be4"), "{}", shown.stdout);
    let lines = shadowtap(folder.path(), &["flows", "v1.jsonl", "--json"]).expect(0).stdout;
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["from"], json!({"route": "POST /login", "place": "$.token"}));
    assert_eq!((&lines[0]["uses"], &lines[0]["values"]), (&json!(4), &json!(2)));
    assert_eq!(lines[2]["sessions"], 3);
    assert_eq!(lines[2]["older_by_route"], json!({"GET /me": 1}));
    let uses = shadowtap(folder.path(), &["flows", "v1.jsonl", "--uses"]).expect(0).stdout;
    assert_eq!(uses.lines().count(), 6);
    assert!(uses.contains("masked") && !uses.contains("3f2a91c07be4"), "{uses}");
    let off = ["flows", "v1.jsonl", "--bind", "off"];
    shadowtap(folder.path(), &off).expect(0).prints(&["0 uses of 0 values"]);
    shadowtap(folder.path(), &["flows", "v1.jsonl", "--bind", "maybe"]).expect(2).says(&["likely"]);
}

#[test]
fn inspect_and_a_dry_run_show_them_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    recording(folder.path());
    let headline = "3 users; 6 uses of 4 values in 4 of 7 requests";
    shadowtap(folder.path(), &["inspect", "v1.jsonl"]).expect(0).prints(&[headline]);
    let counted = shadowtap(folder.path(), &["inspect", "v1.jsonl", "--no-flows"]).expect(0);
    assert!(!counted.stdout.contains("users;"), "{}", counted.stdout);
    let told = shadowtap(folder.path(), &["inspect", "v1.jsonl", "--json"]).expect(0).stdout;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["flows"][0]["from"]["place"], "$.token");
    assert_eq!(told["state"]["using"], 4);
    let skipped = "2 skipped POST /login give the values of 4 requests: add `--include-producers`";
    shadowtap(folder.path(), &["replay", "v1.jsonl", "--dry-run"])
        .expect(0)
        .prints(&[headline, "POST /login $.token"])
        .says(&[skipped]);
}

#[test]
fn rules_are_kept_and_those_that_match_nothing_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    recording(folder.path());
    let rules = "[flow]\nbind = \"sure\"\n[[flow.never]]\nplace = \"POST /carts $.id\"\n\
                 [[flow.never]]\nplace = \"cookie:none\"\n[[flow.bind]]\n\
                 from = { place = \"$.nothing\" }\n";
    std::fs::write(folder.path().join("shadowtap.toml"), rules).expect("the rules are written");
    shadowtap(folder.path(), &["flows", "v1.jsonl"]).expect(0).prints(&[
        "4 uses of 2 values",
        "refused  POST /carts $.id",
        "[[flow.never]] says so",
        "a rule matched nothing: [[flow.never]] cookie:none",
        "a rule matched nothing: [[flow.bind]] from $.nothing",
    ]);
    std::fs::write(folder.path().join("shadowtap.toml"), "[flow]\nmax_unbound = 1\n")
        .expect("the rules are written");
    shadowtap(folder.path(), &["flows", "v1.jsonl"]).expect(2).says(&["max_unbound_rate"]);
}
