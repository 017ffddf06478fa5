//! Every capture with a truth gives its truth: each certain row is found once, equal in start line,
//! Host, versions, status, bodies and times to the nanosecond; and a capture whose rows are all
//! certain gives nothing more. What `inspect` counts of it is what these records add up to.
//!
//! The captures of the project are always there. More are read from the folder that
//! `SHADOWTAP_CAPTURES` names, or from `../shared/captures`, where that holds a `MANIFEST.jsonl`.
//! `-q` and exit code 3 (no exchange in it) are part of the deal.

#![expect(clippy::unwrap_used, reason = "a test may fail where its data is not as it must be")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// One exchange in comparable form, ours or the truth's.
#[derive(Debug, Default)]
struct Row {
    ends: (String, String),
    method: Option<Vec<u8>>,
    target: Vec<u8>,
    host: Option<Vec<u8>>,
    request_version: Option<String>,
    request_body: Option<(u64, String)>,
    request_at: Option<i64>,
    status: Option<u64>,
    response_version: Option<String>,
    response_body: Option<(u64, String)>,
    response_at: Option<i64>,
    completeness: String,
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        object => match (&object["base64"], &object["utf8"]) {
            (Value::String(text), _) => {
                base64::engine::general_purpose::STANDARD.decode(text).expect("valid base64")
            }
            (_, Value::String(text)) => text.clone().into_bytes(),
            _ => panic!("neither form of octets: {object}"),
        },
    }
}

fn body(value: &Value) -> (u64, String) {
    let bytes = bytes(value);
    (bytes.len() as u64, Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn ours(record: &Value) -> Row {
    let (request, response) = (&record["request"], &record["response"]);
    let at = text(&request["at"])
        .map(|at| at.parse::<shadowtap::time::Timestamp>().expect("a time").nanos());
    let mut row = Row {
        ends: (text(&record["client"]).unwrap(), text(&record["server"]).unwrap()),
        completeness: text(&record["completeness"]).unwrap(),
        ..Row::default()
    };
    if !request.is_null() {
        row.method = Some(bytes(&request["method"]));
        row.target = bytes(&request["target"]);
        let field = |wanted: &[u8]| {
            let called = |pair: &&Value| bytes(&pair[0]).eq_ignore_ascii_case(wanted);
            request["headers"].as_array().unwrap().iter().find(called).map(|pair| bytes(&pair[1]))
        };
        row.host = field(b":authority").or_else(|| field(b"host"));
        row.request_version = text(&request["version"]);
        row.request_body = Some(body(&request["body"]));
        row.request_at = at;
    }
    if !response.is_null() {
        row.status = response["status"].as_u64();
        row.response_version = text(&response["version"]);
        row.response_body = Some(body(&response["body"]));
        row.response_at = at.zip(response["first_byte_ns"].as_i64()).map(|(at, after)| at + after);
    }
    row
}

fn latin1(value: &Value) -> Option<Vec<u8>> {
    value
        .as_str()
        .map(|text| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect())
}

fn epoch_ns(value: &Value) -> Option<i64> {
    let text = text(value)?;
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let nanos: i64 = format!("{part:0<9}")[..9].parse().ok()?;
    Some(whole.parse::<i64>().ok()? * 1_000_000_000 + nanos)
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    want: Option<T>,
    have: Option<T>,
) -> Option<String> {
    (want.is_some() && want != have).then(|| format!("{what}: truth {want:?}, got {have:?}"))
}

/// What is wrong with `got` as the exchange that `truth` tells.
fn differences(truth: &Value, got: &Row) -> Vec<String> {
    let version = |value: &Value| text(value).filter(|v| !v.is_empty() && v != "0.9");
    let whole_body = |side: &str| {
        let complete = truth[format!("{side}_complete")].as_bool().unwrap_or(false);
        let length = truth[format!("{side}_body_len")].as_u64().filter(|_| complete)?;
        Some((length, text(&truth[format!("{side}_body_sha256")])?))
    };
    let mut wrong = Vec::new();
    if let Some(method) = latin1(&truth["method"]) {
        wrong.extend(same("method", Some(method), got.method.clone()));
        wrong.extend(same("target", latin1(&truth["uri"]), Some(got.target.clone())));
        wrong.extend(same("host", latin1(&truth["host"]), got.host.clone()));
        wrong.extend(same(
            "request version",
            version(&truth["req_version"]),
            got.request_version.clone(),
        ));
        wrong.extend(same("request body", whole_body("req"), got.request_body.clone()));
        wrong.extend(same("request time", epoch_ns(&truth["req_time_first"]), got.request_at));
    } else if got.method.is_some() {
        wrong.push("request: truth none".to_owned());
    }
    if let Some(status) = truth["status"].as_u64() {
        wrong.extend(same("status", Some(status), got.status));
        wrong.extend(same(
            "response version",
            version(&truth["resp_version"]),
            got.response_version.clone(),
        ));
        wrong.extend(same("response body", whole_body("resp"), got.response_body.clone()));
        if got.response_at.is_some() {
            wrong.extend(same(
                "response time",
                epoch_ns(&truth["resp_time_first"]),
                got.response_at,
            ));
        }
    } else if let Some(status) = got.status {
        wrong.push(format!("response: truth none, got {status}"));
    }
    let complete = |side: &str| truth[side].as_bool() == Some(true);
    let pair = truth["method"].is_string()
        && truth["status"].is_u64()
        && complete("req_complete")
        && complete("resp_complete");
    if pair && got.completeness != "complete" {
        wrong.push(format!("completeness: truth complete, got {}", got.completeness));
    }
    wrong
}

/// Clients of rows that are sealed by RC4, which is named and not opened.
const RC4: [&str; 1] = ["127.0.0.1:44270"];

/// Compares all exchanges of a capture with its truth: (certain rows, what is wrong).
fn judge(truths: &[Value], rows: Vec<Row>) -> (usize, Vec<String>) {
    let opened = |truth: &&Value| {
        truth["tls"].as_bool() != Some(true)
            || !truth["client"].as_str().is_some_and(|client| RC4.contains(&client))
    };
    let counts = |truth: &&Value| truth["proto"] == "http/1" && opened(truth);
    let certain = |truth: &Value| truth["certain"].as_bool() == Some(true);
    let mut pool: HashMap<(String, String), Vec<Row>> = HashMap::new();
    for row in rows {
        pool.entry(row.ends.clone()).or_default().push(row);
    }
    let (mut wanted, mut wrong) = (0, Vec::new());
    for truth in truths.iter().filter(counts).filter(|truth| certain(truth)) {
        wanted += 1;
        let ends = (text(&truth["client"]).unwrap(), text(&truth["server"]).unwrap());
        let rows = pool.entry(ends.clone()).or_default();
        let scored: Vec<Vec<String>> = rows.iter().map(|row| differences(truth, row)).collect();
        let Some(nearest) = (0..scored.len()).min_by_key(|&at| scored[at].len()) else {
            wrong.push(format!(
                "{} {} of {ends:?}: no exchange of this connection is left",
                truth["method"], truth["uri"]
            ));
            continue;
        };
        let differs = |what: &str| scored[nearest].iter().any(|line| line.starts_with(what));
        if !scored[nearest].is_empty() {
            wrong.push(format!(
                "{} {} of {ends:?}: {}",
                truth["method"],
                truth["uri"],
                scored[nearest].join("; ")
            ));
        }
        // The same exchange, wrong in a field, is not an extra one as well.
        if !differs("method") && !differs("target") {
            rows.remove(nearest);
        }
    }
    if !truths.is_empty() && truths.iter().all(|truth| certain(truth) && counts(&truth)) {
        for row in pool.into_values().flatten() {
            let target = String::from_utf8_lossy(&row.target).into_owned();
            wrong.push(format!("extra: {target} -> {:?} of {:?}", row.status, row.ends));
        }
    }
    (wanted, wrong)
}

/// `--keylog` with the key log that lies beside a capture.
fn keylog(capture: &Path) -> Vec<std::ffi::OsString> {
    let mut path = capture.as_os_str().to_owned();
    path.push(".keylog.txt");
    if Path::new(&path).exists() { vec!["--keylog".into(), path] } else { Vec::new() }
}

/// The records that `shadowtap parse` makes of a capture.
fn parse(capture: &Path, threads: usize) -> Vec<u8> {
    let run = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .arg("parse")
        .arg(capture)
        .args(["-o", "-", "-q", "--threads", &threads.to_string()])
        .args(keylog(capture))
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(
        matches!(run.status.code(), Some(0 | 3)),
        "{}: {:?}\n{errors}",
        capture.display(),
        run.status
    );
    run.stdout
}

/// Compares captures; answers how many exchanges were wanted and lists what is wrong.
fn compare(captures: &[(PathBuf, PathBuf)], threads: usize) -> (usize, Vec<String>) {
    let (mut wanted, mut wrong) = (0, Vec::new());
    for (capture, truth) in captures {
        let truths = fs::read_to_string(truth).expect("the truth is there");
        let truths: Vec<Value> =
            truths.lines().map(|line| serde_json::from_str(line).expect("a truth row")).collect();
        let output = parse(capture, threads);
        let records = output.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let records =
            records.map(|line| serde_json::from_slice::<Value>(line).expect("a line of JSON"));
        let rows = records
            .filter(|record| record.get("id").is_some())
            .map(|record| ours(&record))
            .collect();
        let (rows, lines) = judge(&truths, rows);
        wanted += rows;
        wrong.extend(
            counted_otherwise(capture, &output)
                .into_iter()
                .map(|line| format!("{}: {line}", capture.display())),
        );
        wrong.extend(lines.into_iter().map(|line| format!("{}: {line}", capture.display())));
    }
    (wanted, wrong)
}

/// What `inspect`, which reads outlines only, says otherwise than the records that `parse` makes of
/// the same capture.
fn counted_otherwise(capture: &Path, records: &[u8]) -> Vec<String> {
    let run = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .arg("inspect")
        .arg(capture)
        .args(["--json", "-q", "--threads", "2"])
        .args(keylog(capture))
        .output()
        .expect("the program starts");
    let records = records.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let records: Vec<Value> =
        records.map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect();
    let Some(end) = records.iter().find(|record| record["format"] == "shadowtap/end") else {
        let code = run.status.code();
        return if code == Some(3) {
            Vec::new()
        } else {
            vec![format!("parse finds nothing and inspect exits with {code:?}")]
        };
    };
    let told: Value = serde_json::from_slice(&run.stdout).expect("inspect answers JSON");
    let mut counted = serde_json::Map::new();
    let (mut statuses, mut hosts) = (counted.clone(), counted.clone());
    let mut servers = counted.clone();
    let mut sums = [0; 2];
    let count = |map: &mut serde_json::Map<String, Value>, name: String| {
        let before = map.get(&name).and_then(Value::as_u64).unwrap_or(0);
        map.insert(name, Value::from(before + 1));
    };
    for record in records.iter().filter(|record| record.get("id").is_some()) {
        count(&mut counted, record["completeness"].as_str().unwrap().to_owned());
        if let Some(status) = record["response"]["status"].as_u64() {
            count(&mut statuses, status.to_string());
        }
        if let Some(host) = ours(record).host {
            count(&mut hosts, String::from_utf8_lossy(&host).into_owned());
        }
        count(&mut servers, record["server"].as_str().unwrap().to_owned());
        for (sum, side) in sums.iter_mut().zip(["request", "response"]) {
            *sum += record[side]["body_bytes"].as_u64().unwrap_or(0);
        }
    }
    let named = |list: &str| {
        let all = told[list].as_array().unwrap().iter();
        let all = all
            .map(|named| (named["name"].as_str().unwrap().to_owned(), named["exchanges"].clone()));
        Value::Object(all.collect())
    };
    let pairs = [
        ("completeness", &told["completeness"], &Value::Object(counted)),
        ("statuses", &told["statuses"], &Value::Object(statuses)),
        ("hosts", &named("hosts"), &Value::Object(hosts)),
        ("servers", &named("servers"), &Value::Object(servers)),
        ("bytes of request bodies", &told["request_body_bytes"], &Value::from(sums[0])),
        ("bytes of response bodies", &told["response_body_bytes"], &Value::from(sums[1])),
        ("ledger", &told["ledger"], &end["ledger"]),
    ];
    let differing = pairs.iter().filter(|(_, told, want)| told != want);
    differing.map(|(what, told, want)| format!("inspect: {what} {told}, parse: {want}")).collect()
}

fn own() -> Vec<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut found: Vec<_> = fs::read_dir(&folder)
        .expect("the captures are part of the project")
        .map(|entry| entry.expect("an entry of captures").path())
        .filter_map(|path| {
            let capture = path.to_str()?.strip_suffix(".truth.jsonl")?;
            Some((PathBuf::from(capture), path.clone()))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_project_s_captures_give_their_truths() {
    let captures = own();
    assert!(captures.len() >= 22, "captures with a truth are part of the project");
    let (wanted, wrong) = compare(&captures, 2);
    assert!(
        wrong.is_empty(),
        "{} of {wanted} exchanges are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(wanted >= 40, "certain rows were compared: {wanted}");
}

#[test]
fn the_number_of_threads_does_not_show() {
    for (capture, _) in own() {
        let strip = |output: Vec<u8>| -> Vec<Vec<u8>> {
            // The first line holds the time of writing.
            output.split(|&byte| byte == b'\n').skip(1).map(<[u8]>::to_vec).collect()
        };
        let one = strip(parse(&capture, 1));
        assert!(one.len() >= 2, "{} gave exchanges and an end", capture.display());
        for threads in [2, 3] {
            assert_eq!(
                strip(parse(&capture, threads)),
                one,
                "{} with {threads} threads",
                capture.display()
            );
        }
    }
}

#[test]
fn every_shared_capture_gives_its_truth() {
    every_capture_of("SHADOWTAP_CAPTURES", "../shared/captures");
}

/// The rows of HTTP/1 in them, most of them in TLS.
#[test]
fn every_shared_capture_of_tls_gives_its_truth() {
    every_capture_of("SHADOWTAP_PROTOCOLS", "../shared/protocols");
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn every_capture_of(variable: &str, folder: &str) {
    let folder = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), PathBuf::from);
    let Ok(manifest) = fs::read_to_string(folder.join("MANIFEST.jsonl")) else {
        println!(
            "no captures to compare in {}: set {variable} to a folder with a MANIFEST.jsonl",
            folder.display()
        );
        return;
    };
    let captures: Vec<_> = manifest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of the manifest"))
        .map(|entry| {
            (
                folder.join(entry["file"].as_str().unwrap()),
                folder.join(entry["truth"].as_str().unwrap()),
            )
        })
        .collect();
    let (wanted, wrong) = compare(&captures, 2);
    assert!(
        wrong.is_empty(),
        "{} of {wanted} exchanges are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(wanted > 0, "{} holds captures with certain rows", folder.display());
}

#[test]
fn the_comparison_finds_what_is_wrong() {
    let truth = serde_json::json!({
        "proto": "http/1", "certain": true, "client": "a:1", "server": "b:2", "method": "GET",
        "uri": "/", "req_complete": true, "req_body_len": 0,
        "req_body_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "req_time_first": "1.000000005", "status": 200, "resp_complete": false
    });
    let record = |target: &str, at: &str| {
        serde_json::json!({
            "client": "a:1", "server": "b:2", "completeness": "complete",
            "request": {"at": at, "method": "GET", "target": target, "version": "1.1",
                        "headers": [], "body": null},
            "response": {"status": 200, "version": "1.1", "first_byte_ns": 3, "body": null}
        })
    };
    let judge_one = |records: &[Value]| {
        judge(std::slice::from_ref(&truth), records.iter().map(ours).collect()).1
    };
    let right = record("/", "1970-01-01T00:00:01.000000005Z");
    assert!(judge_one(std::slice::from_ref(&right)).is_empty());
    assert!(judge_one(&[]).len() == 1, "a missing exchange");
    assert!(judge_one(&[right.clone(), right]).len() == 1, "an extra exchange");
    assert!(judge_one(&[record("/", "1970-01-01T00:00:01.000000006Z")]).len() == 1, "another time");
    assert!(
        judge_one(&[record("/x", "1970-01-01T00:00:01.000000005Z")]).len() == 2,
        "another target is missing and extra"
    );
}

/// What is wrong with a record as the exchange of HTTP/2, gRPC or a WebSocket that `truth` tells.
fn differs_in_frames(truth: &Value, record: &Value) -> Vec<String> {
    let (request, response) = (&record["request"], &record["response"]);
    let field = |value: &Value| if value.is_null() { None } else { Some(bytes(value)) };
    let pairs = |list: &Value| -> Vec<_> {
        let pairs = list.as_array().into_iter().flatten();
        let lower = |name: Vec<u8>| name.to_ascii_lowercase();
        pairs.map(|pair| (field(&pair[0]).map(lower), field(&pair[1]))).collect()
    };
    let true_pairs = |list: &Value| -> Vec<_> {
        let pairs = list.as_array().into_iter().flatten();
        pairs.map(|pair| (latin1(&pair[0]), latin1(&pair[1]))).collect()
    };
    let mut wrong = Vec::new();
    for (theirs, ours) in [
        ("req_headers", &request["headers"]),
        ("req_trailers", &request["trailers"]),
        ("resp_headers", &response["headers"]),
        ("resp_trailers", &response["trailers"]),
    ] {
        if truth[theirs].is_array() {
            wrong.extend(same(theirs, Some(true_pairs(&truth[theirs])), Some(pairs(ours))));
        }
    }
    for (theirs, ours) in [
        ("h2_stream", &record["stream"]),
        ("pushed_by", &record["pushed_by"]),
        ("req_reset", &request["reset"]),
        ("resp_reset", &response["reset"]),
    ] {
        wrong.extend(same(theirs, truth[theirs].as_u64(), Some(ours.as_u64()).flatten()));
    }
    if let Some(wanted) = truth["interim"].as_array() {
        let interim = record["interim"].as_array().into_iter().flatten();
        let interim: Vec<Value> = interim.map(|one| one["status"].clone()).collect();
        wrong.extend(same("interim", Some(wanted), Some(&interim)));
    }
    for (theirs, side) in [("c2s", "client"), ("s2c", "server")] {
        let Some(wanted) = truth["websocket"][theirs].as_array() else { continue };
        let said = record["messages"].as_array().into_iter().flatten();
        let said: Vec<Value> = said
            .filter(|message| message["from"] == side)
            .map(|message| {
                let codes = [("text", 1), ("binary", 2), ("close", 8), ("ping", 9), ("pong", 10)];
                let code = codes.iter().find(|(name, _)| message["type"] == *name).unwrap().1;
                let (length, sha256) = body(&message["data"]);
                serde_json::json!([code, length, sha256])
            })
            .collect();
        wrong.extend(same("messages", Some(wanted), Some(&said)));
    }
    wrong
}

/// Captures with HTTP/2, gRPC, WebSockets and event streams: each row is found, with every header
/// field in its order, trailers, streams, resets and messages, as far as its truth tells them.
#[test]
fn every_shared_capture_of_other_protocols_gives_its_truth() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/protocols");
    let Ok(manifest) = fs::read_to_string(folder.join("MANIFEST.jsonl")) else {
        println!("no captures to compare in {}", folder.display());
        return;
    };
    let entries =
        manifest.lines().map(|entry| serde_json::from_str(entry).expect("a line of the manifest"));
    let path = |value: &Value| folder.join(value.as_str().unwrap());
    let captures: Vec<_> =
        entries.map(|entry: Value| (path(&entry["file"]), path(&entry["truth"]))).collect();
    let (wanted, wrong) = compare_in_frames(&captures);
    assert!(wrong.is_empty(), "{} of {wanted} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(wanted >= 150, "rows were compared: {wanted}");
}

#[test]
fn the_project_s_captures_of_other_protocols_give_their_truths() {
    let (wanted, wrong) = compare_in_frames(&own());
    assert!(wrong.is_empty(), "{} of {wanted} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(wanted >= 52, "rows were compared: {wanted}");
}

/// Compares captures; answers how many exchanges were wanted and lists what is wrong.
fn compare_in_frames(captures: &[(PathBuf, PathBuf)]) -> (usize, Vec<String>) {
    let (mut wanted, mut wrong) = (0, Vec::new());
    for (capture, truth) in captures {
        let truths = fs::read_to_string(truth).unwrap();
        let truths = truths.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let truths: Vec<_> =
            truths.filter(|truth| truth["certain"].as_bool() == Some(true)).collect();
        if truths.is_empty() {
            continue;
        }
        let output = parse(capture, 2);
        assert_eq!(
            output.split(|byte| *byte == b'\n').skip(1).collect::<Vec<_>>(),
            parse(capture, 1).split(|byte| *byte == b'\n').skip(1).collect::<Vec<_>>(),
            "{} with one thread",
            capture.display()
        );
        let lines = output.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let mut records: Vec<Value> = lines
            .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
            .filter(|record: &Value| record.get("id").is_some())
            .collect();
        for truth in truths {
            wanted += 1;
            let all = |record: &Value| {
                let ends =
                    (record["client"] == truth["client"], record["server"] == truth["server"]);
                let mut wrong = differs_in_frames(&truth, record);
                wrong.extend(same("ends", Some((true, true)), Some(ends)));
                // What is joined has no one who could call it complete.
                if truth["joined"].is_null() {
                    wrong.extend(differences(&truth, &ours(record)));
                }
                wrong
            };
            match records.iter().position(|record| all(record).is_empty()) {
                Some(place) => drop(records.swap_remove(place)),
                None => {
                    let nearest = records.iter().map(all).min_by_key(Vec::len);
                    wrong.push(format!("{}: {truth}: {nearest:?}", capture.display()));
                }
            }
        }
    }
    (wanted, wrong)
}
