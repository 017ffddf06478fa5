//! `shadowtap show`, as users call it, on a run that is made by hand and diffed.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without has failed it")]

#[path = "support/made_run.rs"]
mod made_run;

use std::path::Path;
use std::process::{Command, Output};

use made_run::{MadeRun, cluster};
use serde_json::{Value, json};
use shadowtap::diff::Kind;

const TOKEN: &str = "s3cr3tTokenOfAnn0";
const HOSTILE: &str = "a\u{1b}]0;title\u{7}b\u{202e}c";

fn shadowtap(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .arg(arguments[0])
        .arg(folder)
        .args(&arguments[1..])
        .current_dir(folder.parent().unwrap())
        .env("NO_COLOR", "1")
        .env_remove("COLUMNS")
        .output()
        .unwrap()
}

fn said(arguments: &[&str], folder: &Path) -> String {
    let output = shadowtap(arguments, folder);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Three exchanges whose answers differ: a renamed member, a 500, a hostile text.
fn run(folder: &Path) {
    // What an earlier diff had found goes with this one.
    let old = cluster(1, "GET /old", Kind::Status, "status", [Some("200"), Some("500")], 1);
    MadeRun { exchanges: 24, clusters: vec![old], ..MadeRun::default() }.write(folder);
    let answers = [
        (
            200,
            json!({"id": 7, "item_count": 3, "name": "Mug"}).to_string(),
            200,
            json!({"id": 7, "items_count": 3, "name": "Mug"}).to_string(),
        ),
        (200, json!({"id": 8}).to_string(), 500, json!({"error": "no such column"}).to_string()),
        (200, json!({"note": HOSTILE}).to_string(), 200, json!({"note": "plain"}).to_string()),
    ];
    let rewrite = |name: &str, change: &dyn Fn(usize, &mut Value)| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for number in 0..answers.len() {
            let mut record: Value = serde_json::from_str(&lines[number + 1]).unwrap();
            change(number, &mut record);
            lines[number + 1] = record.to_string();
        }
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    };
    let put = |answer: &mut Value, status: u16, body: &str| {
        answer["status"] = status.into();
        answer["headers"] = json!([["Content-Type", "application/json"]]);
        answer["body"] = json!({ "utf8": body });
        answer["body_bytes"] = body.len().into();
    };
    rewrite("exchanges.jsonl", &|number, exchange| {
        let (status, body, ..) = &answers[number];
        exchange["request"]["headers"] =
            json!([["Host", "shop.local"], ["Authorization", format!("Bearer {TOKEN}")]]);
        put(&mut exchange["response"], *status, body);
    });
    rewrite("outcomes.jsonl", &|number, outcome| {
        let (.., status, body) = &answers[number];
        put(&mut outcome["response"], *status, body);
    });
    let diff = shadowtap(&["diff"], folder);
    assert!(diff.status.success(), "{diff:?}");
}

#[test]
fn an_exchange_is_shown_with_both_answers_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    run(&path);
    for columns in ["60", "80", "120"] {
        let output = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(["show", path.to_str().unwrap(), "0-0"])
            .env("NO_COLOR", "1")
            .env("COLUMNS", columns)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for part in ["item_count", "items_count", "renamed `item_count` to `items_count`"] {
            assert!(text.contains(part), "{part} at {columns} columns in\n{text}");
        }
        let width: usize = columns.parse().unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} of {width} columns:\n{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
    let text = said(&["show", "0-1"], &path);
    assert!(text.contains("500") && text.contains("no such column"), "{text}");
    // Nothing of a capture reaches a terminal raw.
    let text = said(&["show", "0-2"], &path);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    assert!(text.contains("\\u{202e}"), "{text}");
}

#[test]
fn machines_get_objects_and_commands_and_secrets_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    run(&path);
    let text = said(&["show", "0-0", "0-1", "--json"], &path);
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["id"], "0-0");
    assert_eq!(objects[1]["v2"]["status"], 500);
    assert_eq!(objects[1]["v1"]["status"], 200);
    let names: Vec<&str> = objects[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut told: Vec<&str> =
        shadowtap::report::closeup::json::FIELDS.iter().map(|field| field.name).collect();
    told.sort_unstable();
    assert_eq!(names, told);
    for flags in [&["--json"][..], &["--curl"], &["--raw"], &[]] {
        let masked = said(&[&["show", "0-0"], flags].concat(), &path);
        assert!(!masked.contains(TOKEN), "{flags:?}: {masked}");
        let plain = said(&[&["show", "0-0", "--unmasked"], flags].concat(), &path);
        assert!(plain.contains(TOKEN), "{flags:?}: {plain}");
    }
    let curl = said(&["show", "0-0", "--curl"], &path);
    assert!(curl.starts_with("curl ") && curl.contains("http://v2.staging:8080"), "{curl}");
    let raw = said(&["show", "0-1", "--raw"], &path);
    assert!(
        raw.contains("HTTP/1.1 500") && raw.contains("{\"error\":\"no such column\"}"),
        "{raw}"
    );
}

/// Which values were put into a request: where, and from which answer; secret ones are hidden though
/// they stand in no message that is shown.
#[test]
fn values_that_were_put_in_are_listed() {
    const NEW: &str = "an0therTokenOfAnn1";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    run(&path);
    let object: Value = serde_json::from_str(&said(&["show", "0-1", "--json"], &path)).unwrap();
    let outcomes = std::fs::read_to_string(path.join("outcomes.jsonl")).unwrap();
    let bound = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(mut outcome) if outcome["id"] == "0-1" => {
            outcome["bound"] = 1.into();
            outcome.to_string()
        }
        _ => line.to_owned(),
    };
    let outcomes: Vec<String> = outcomes.lines().map(bound).collect();
    std::fs::write(path.join("outcomes.jsonl"), outcomes.join("\n") + "\n").unwrap();
    let flow = json!({"flow": 0, "class": "sure", "uses": 1, "values": 1, "coverage": 1.0,
        "from": {"route": "POST /login", "place": "$.token"},
        "to": [{"route": object["route"], "place": "header:authorization"}]});
    std::fs::write(path.join("flows.jsonl"), format!("{flow}\n")).unwrap();
    let binding = |id: &str, v1: &str, flow: u32| json!({"slot": 0, "id": id, "place": "$.token", "flow": flow, "v1": v1, "v2": NEW});
    // Of another copy, of another value, of another flow.
    let others =
        [binding("1-0@2", TOKEN, 0), binding("1-1", "s3cr3t", 0), binding("1-2", TOKEN, 1)];
    let lines: Vec<String> =
        others.iter().chain([&binding("1-0", TOKEN, 0)]).map(Value::to_string).collect();
    std::fs::write(path.join("bindings.jsonl"), lines.join("\n") + "\n").unwrap();
    let shown = said(&["show", "0-1"], &path);
    let state = shown.split("State").nth(1).unwrap();
    assert!(state.contains("Put in at header:authorization"), "{shown}");
    assert!(state.replace("\n  ", " ").contains("in the answer to 1-0 ($.token)"), "{shown}");
    assert_eq!(state.matches("Put in at").count(), 1, "{shown}");
    assert!(!shown.contains(NEW) && !shown.contains(TOKEN), "{shown}");
    let shown = said(&["show", "0-1", "--unmasked"], &path);
    assert!(shown.contains(NEW) && shown.contains(TOKEN), "{shown}");
}

/// What approving does not lift is said wherever a cluster can be approved.
#[test]
fn a_cluster_of_5xx_says_that_they_count_as_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    run(&path);
    let of = |id: &str| {
        let object: Value = serde_json::from_str(&said(&["show", id, "--json"], &path)).unwrap();
        object["differences"][0]["cluster"].as_str().unwrap().to_owned()
    };
    let (renamed, failing) = (of("0-0"), of("0-1"));
    let report = shadowtap(&["report"], &path);
    assert!(report.status.success(), "{report:?}");
    let page = std::fs::read_to_string(path.join("report.html")).unwrap();
    // A renamed member has both names where its value stayed.
    let markdown = std::fs::read_to_string(path.join("summary.md")).unwrap();
    assert!(markdown.contains("items&#95;count&#58; 3"), "{markdown}");
    let file = folder.path().join("approved.toml");
    for (id, is_held) in [(&renamed, false), (&failing, true)] {
        let shown = said(&["show", id], &path);
        assert_eq!(shown.contains("max_error_rate"), is_held, "{shown}");
        let line = page.split(&format!("approve {} {id} ", path.display())).nth(1).unwrap();
        let line = line.split("</code>").next().unwrap();
        assert_eq!(line.contains("max_error_rate"), is_held, "{line}");
        let words = ["approve", id, "--reason", "x", "--file", file.to_str().unwrap()];
        let approved = said(&words, &path);
        assert_eq!(approved.contains("max_error_rate"), is_held, "{approved}");
    }
}

#[test]
fn exchanges_are_found_by_text_status_route_and_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    run(&path);
    let ids = |query: &[&str]| -> Vec<String> {
        let text = said(&[&["show", "--json", "--limit", "100"], query].concat(), &path);
        text.lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(ids(&["no such column"]), ["0-1"]);
    assert_eq!(ids(&["NO", "such", "column"]), ["0-1"]);
    assert_eq!(ids(&["status:5xx"]), ["0-1"]);
    assert_eq!(ids(&["status:5xx items_count"]), [""; 0]);
    assert_eq!(ids(&["lane:0"]).len(), 12);
    assert_eq!(ids(&["slower-than:1h"]), [""; 0]);
    let text = said(&["show", "0-0", "--json"], &path);
    let object: Value = serde_json::from_str(&text).unwrap();
    let cluster = object["differences"][0]["cluster"].as_str().unwrap();
    assert!(ids(&[cluster]).contains(&"0-0".to_owned()));
    assert!(ids(&[&format!("cluster:{} items_count", &cluster[..6])]).contains(&"0-0".to_owned()));
    let route = object["route"].as_str().unwrap();
    let of_route = ids(&[&format!("route:{route}")]);
    assert!(of_route.contains(&"0-0".to_owned()) && of_route.len() < 24, "{of_route:?}");
}

#[test]
fn what_is_not_there_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    run(&path);
    let overview = said(&["show"], &path);
    assert!(overview.contains("renamed `item_count` to `items_count`"), "{overview}");
    for (arguments, code, says) in [
        (&["show", "99-1"][..], 2, "no exchange 99-1"),
        (&["show", "status:abc"], 2, "status:5xx"),
        (&["show", "0-0", "--json", "--raw"], 2, "cannot be used with"),
    ] {
        let output = shadowtap(arguments, &path);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
    for (query, hint) in [
        ("stauts:500", "Did you mean status:500?"),
        ("rotue:GET", "Did you mean route:GET?"),
        ("slower_than:9h", "Did you mean slower-than:9h?"),
        ("abcdef0123", "No cluster is called so"),
    ] {
        let text = said(&["show", query], &path);
        assert!(text.contains("No exchange fits.") && text.contains(hint), "{query}: {text}");
    }
    assert_eq!(said(&["show", "nothing of the kind"], &path), "No exchange fits.\n");
    let nowhere = shadowtap(&["show"], folder.path());
    assert_eq!(nowhere.status.code(), Some(3));
}
