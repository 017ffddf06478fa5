//! The records that a run's folder holds, as `reports/README.md` tells them: each table is made
//! from the doc comments of the fields that are read and written, and the program writes no field
//! that none of them names.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use shadowtap::diff::engine::MISMATCH_COLUMNS;
use shadowtap::exchange::{SocketKind, SocketMessage};
use shadowtap::flow::Direction;
use shadowtap::message::{Body, Response};
use shadowtap::outcome::{Failure, FailureKind, Outcome, Owner, Unbound};
use shadowtap::record::outcomes;
use support::shadowtap;

/// Headings of `reports/README.md`, and the struct in the file that tells the fields below it.
const TABLES: [(&str, &str, &str); 13] = [
    ("## exchanges.jsonl", "src/record/exchanges.rs", "RawExchange"),
    ("### `request`, `response`, `interim`", "src/record/json.rs", "RawMessage"),
    ("### `tls`", "src/exchange/mod.rs", "TlsSession"),
    ("### `messages`", "src/record/exchanges.rs", "RawSocketMessage"),
    ("## outcomes.jsonl", "src/outcome.rs", "Outcome"),
    ("### `failure`", "src/outcome.rs", "Failure"),
    ("## differences.jsonl, mismatches.csv", "src/diff/mod.rs", "Difference"),
    ("## clusters.jsonl", "src/diff/mod.rs", "Cluster"),
    ("## noise.jsonl", "src/diff/noise.rs", "NoisePlace"),
    ("## diff.json", "src/diff/totals.rs", "Totals"),
    ("## egress.jsonl", "src/mock/ledger.rs", "Call"),
    ("## flows.jsonl", "src/record/flows.rs", "Flow"),
    ("## bindings.jsonl", "src/record/flows.rs", "Binding"),
];

#[derive(Debug)]
struct Field {
    name: String,
    kind: String,
    what: String,
}

impl Field {
    fn row(&self) -> String {
        format!("| `{}` | {} | {} |", self.name, self.kind, self.what.replace('|', "\\|"))
    }
}

fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The fields of a struct: names as they are written, kinds in words, doc comments.
fn fields(file: &str, name: &str) -> Vec<Field> {
    let source = fs::read_to_string(project(file)).unwrap_or_else(|why| panic!("{file}: {why}"));
    let is_start = |line: &&str| {
        let line = line.trim_start_matches("pub(super) ").trim_start_matches("pub ");
        let words = line.strip_prefix("struct ");
        words.is_some_and(|rest| {
            rest.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '<']))
        })
    };
    let mut lines = source.lines().skip_while(|line| !is_start(line)).skip(1);
    let (mut found, mut what, mut attributes) = (Vec::new(), String::new(), String::new());
    for line in lines.by_ref().take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            what += text;
        } else if line.starts_with("#[") {
            attributes += line;
        } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(": ") {
            let name = name.trim_start_matches("pub ");
            let renamed =
                attributes.split_once("rename = \"").and_then(|(_, of)| of.split_once('"'));
            found.push(Field {
                name: renamed.map_or(name, |(name, _)| name).to_owned(),
                kind: in_words(kind, attributes.contains("skip_serializing_if")),
                what: told(&what),
            });
            what.clear();
            attributes.clear();
        }
    }
    assert!(!found.is_empty(), "{file} has no struct {name}");
    found
}

/// A type as users know it.
fn in_words(kind: &str, may_be_left_out: bool) -> String {
    let (inner, is_option) = match kind.strip_prefix("Option<") {
        Some(inner) => (inner.trim_end_matches('>'), true),
        None => (kind, false),
    };
    let word = match inner {
        "u16" | "u32" | "u64" | "i64" => "integer",
        "f64" => "number",
        "bool" => "true",
        "Timestamp" => "RFC 3339",
        "HeaderFields" => "array",
        _ if inner.starts_with("Vec<") || inner.starts_with('[') => "array",
        "RawChunks" => "text or array",
        "A" | "Response" | "Failure" | "TlsSession" | "ClientSettings" | "FlowEnd" | "Unbound" => {
            "object"
        }
        "Difference" => "object",
        _ if inner.contains("Map<") || inner.starts_with("RawMessage") => "object",
        _ => "text",
    };
    match (is_option, may_be_left_out) {
        (_, true) => format!("{word} or left out"),
        (true, false) => format!("{word} or null"),
        (false, false) => word.to_owned(),
    }
}

/// A doc comment as the rest of a sentence: no links, a small letter at its start, no full stop.
fn told(doc: &str) -> String {
    let doc = doc.trim().trim_end_matches('.').replace("[`Self::", "`").replace("[`", "`");
    let doc = doc.replace("`]", "`");
    let mut chars = doc.chars();
    let (first, second) = (chars.next(), chars.next());
    match (first, second) {
        (Some(first), Some(second)) if !second.is_uppercase() && !second.is_numeric() => {
            first.to_lowercase().collect::<String>() + &doc[first.len_utf8()..]
        }
        _ => doc,
    }
}

#[test]
fn the_readme_tells_every_field_of_every_record() {
    let readme = fs::read_to_string(project("reports/README.md")).unwrap();
    let mut wrong = String::new();
    for (heading, file, name) in TABLES {
        let expected: Vec<String> = fields(file, name).iter().map(Field::row).collect();
        let below = readme.split_once(&format!("\n{heading}\n")).map_or("", |(_, below)| below);
        let below = below.split("\n#").next().unwrap_or_default();
        let rows: Vec<&str> = below.lines().filter(|line| line.starts_with("| `")).collect();
        if rows != expected {
            wrong += &format!("{heading}\n\n| field | kind | what |\n|---|---|---|\n");
            wrong += &expected.join("\n");
            wrong += "\n\n";
        }
    }
    assert!(wrong.is_empty(), "reports/README.md must have these tables:\n\n{wrong}");
    let columns: Vec<String> =
        fields("src/diff/mod.rs", "Difference").into_iter().map(|field| field.name).collect();
    assert_eq!(columns, MISMATCH_COLUMNS);
}

fn names(file: &str, name: &str) -> BTreeSet<String> {
    fields(file, name).into_iter().map(|field| field.name).collect()
}

/// Notes the keys of an object that `known` lacks.
fn strange(value: &serde_json::Value, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    found.extend(keys.filter(|key| !known.contains(*key)).cloned());
}

/// Outcomes are written by hand, too.
#[test]
fn an_outcome_is_written_with_all_its_fields_and_no_other() {
    let whole = Outcome {
        sent_ns: Some(1),
        first_byte_ns: Some(2),
        last_byte_ns: Some(3),
        failed_ns: Some(4),
        left_ns: Some(5),
        connect_ns: Some(6),
        waited_ns: 7,
        bound: 8,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok(),
        unbound: vec![Unbound { root: "1-0".parse().unwrap(), place: "$.id".to_owned() }],
        response: Some(Response::default()),
        messages: vec![SocketMessage {
            direction: Direction::ToClient,
            at_ns: 9,
            kind: SocketKind::Text,
            data: Body::whole("hello"),
        }],
        failure: Some(Failure::new(FailureKind::Connect, "no port").of(Owner::Replayer)),
        ..Outcome::default()
    };
    let mut line = Vec::new();
    outcomes::write(&mut line, &whole);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let keys = |of: &serde_json::Value| -> BTreeSet<String> {
        of.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&line), names("src/outcome.rs", "Outcome"));
    assert_eq!(keys(&line["failure"]), names("src/outcome.rs", "Failure"));
    assert_eq!(keys(&line["unbound"][0]), names("src/outcome.rs", "Unbound"));
}

/// Exchanges are written by hand: what their lines hold is what the tables tell. `connection`
/// repeats the first number of `id` for who reads lines with other tools.
#[test]
fn no_line_holds_a_field_that_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut exchange = names("src/record/exchanges.rs", "RawExchange");
    exchange.insert("connection".to_owned());
    let message = names("src/record/json.rs", "RawMessage");
    let socket = names("src/record/exchanges.rs", "RawSocketMessage");
    let (mut found, mut lines) = (BTreeSet::new(), 0);
    let captures = fs::read_dir(project("captures")).unwrap().map(|entry| entry.unwrap().path());
    for capture in captures.filter(|path| path.extension().is_some_and(|end| end == "pcap")) {
        let capture = capture.to_str().unwrap();
        let keys = format!("{capture}.keylog.txt");
        let mut words = vec!["-q", "parse", capture, "-o", "-"];
        if fs::exists(&keys).unwrap() {
            words.extend(["--keylog", &keys]);
        }
        let output = shadowtap(folder.path(), &words);
        for line in output.stdout.lines().filter(|line| line.starts_with("{\"id\"")) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            lines += 1;
            strange(&value, &exchange, &mut found);
            let interim = value["interim"].as_array().into_iter().flatten();
            for said in [&value["request"], &value["response"]].into_iter().chain(interim) {
                strange(said, &message, &mut found);
            }
            for said in value["messages"].as_array().into_iter().flatten() {
                strange(said, &socket, &mut found);
            }
        }
    }
    assert!(lines > 2_000, "{lines} lines were looked at");
    assert!(found.is_empty(), "reports/README.md does not tell {found:?}");
}
