//! Recordings of other tools come in, and go out for other tools: by content, by name, and back.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::fs;
use std::path::Path;

use support::{has, response, server, shadowtap};

fn demo() -> String {
    format!("{}/captures/demo.pcap", env!("CARGO_MANIFEST_DIR"))
}

/// The exchanges of a recording, without what no other format keeps: ids, ends, where they came by.
fn exchanges(folder: &Path, input: &str) -> Vec<serde_json::Value> {
    let printed = shadowtap(folder, &["-q", "parse", input, "-o", "-"]).expect(0).stdout;
    let lines = printed.lines().filter(|line| line.starts_with("{\"id\""));
    lines.map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn said(exchange: &serde_json::Value) -> serde_json::Value {
    let message = |side: &str| {
        let of = &exchange[side];
        serde_json::json!([of["method"], of["target"], of["headers"], of["body"], of["status"]])
    };
    serde_json::json!([exchange["request"]["at"], message("request"), message("response")])
}

#[test]
fn what_goes_out_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let before: Vec<_> = exchanges(folder.path(), &demo()).iter().map(said).collect();
    for name in ["x.har", "x.har.gz", "x.gor", "x.gor.zst", "x.jsonl", "x.stx", "x.stx.gz"] {
        shadowtap(folder.path(), &["export", &demo(), "-o", name]).expect(0).prints(&["2140"]);
        let mut after: Vec<_> = exchanges(folder.path(), name).iter().map(said).collect();
        let mut before = before.clone();
        for all in [&mut before, &mut after] {
            all.sort_by_key(ToString::to_string);
        }
        assert!(before == after, "{name} holds something else");
    }
}

/// What is known of an exchange, and what is not.
fn known(exchange: &serde_json::Value) -> String {
    let (asked, answer) = (&exchange["request"], &exchange["response"]);
    let headers = |of: &serde_json::Value| of["headers"].to_string().to_lowercase();
    format!(
        "{} {} {} {} {} {} {} {} {} {} {}",
        exchange["completeness"],
        asked["at"],
        asked["target"],
        headers(asked),
        asked["body"],
        answer["status"],
        headers(answer),
        answer["body"],
        answer["first_byte_ns"],
        answer["last_byte_ns"],
        exchange["marks"],
    )
}

/// Lists of requests, logs and damaged recordings: what each lacks. Times of `curl` lines are none of
/// a clock.
fn partly_known(folder: &Path) -> Vec<&'static str> {
    let log = r#"{"time":"2025-10-10T11:55:36Z","request":"GET /x HTTP/1.1","status":200,"request_time":0.012,"host":"shop.example"}
{"time":"2025-10-10T11:55:37Z","request":"GET /z HTTP/1.1","status":500,"host":"shop.example"}
{"time":"2025-10-10T11:55:38Z","request":"PUT /p HTTP/1.1","status":204,"host":"shop.example"}
"#;
    let curl = "curl 'https://api.example/v1/users?page=2' -H 'accept: text/html'\n\
                curl https://api.example/v1/users --data-raw '{\"n\":1}'\n\
                curl https://api.example/up -F file=@/etc/hostname\n";
    let exchange = |id: u32, state: &str, body: &str, answer: &str| {
        format!(
            r#"{{"id":"{id}-0","connection":{id},"client":"10.0.0.9:40112","server":"10.0.0.1:80","protocol":"http/1","completeness":"{state}","request":{{"at":"2026-11-22T10:00:0{id}.000000000Z","duration_ns":0,"method":"POST","target":"/{id}","version":"1.1","headers":[["Host","a.example"],["Content-Length","9"]],"body":{body},"body_bytes":9,"framing":"content-length","trailers":[]}},"response":{answer},"interim":[],"marks":["gap at packet {id}"]}}"#
        )
    };
    let answer = |first: &str, coding: &str, body: &str, bytes: u32| {
        format!(
            r#"{{{first}"status":200,"reason":"OK","version":"1.1","headers":[["Content-Length","9"]{coding}],"body":{body},"body_bytes":{bytes},"framing":"content-length","trailers":[]}}"#
        )
    };
    let whole = r#"{"utf8":"abcdefghi"}"#;
    let times = r#""first_byte_ns":1000000,"last_byte_ns":2000000,"#;
    let gzip = r#",["Content-Encoding","gzip"]"#;
    let lines = [
        exchange(0, "complete", whole, &answer(times, "", whole, 9)),
        exchange(1, "request-damaged", r#"{"utf8":"abc"}"#, &answer(times, "", whole, 9)),
        exchange(
            2,
            "response-damaged",
            whole,
            &answer(r#""first_byte_ns":1000000,"#, "", "null", 0),
        ),
        exchange(3, "response-damaged", whole, &answer("", gzip, r#"{"utf8":"abc"}"#, 3)),
        exchange(4, "no-response", whole, "null"),
        exchange(5, "complete", whole, &answer("", "", whole, 9)),
        exchange(6, "complete", whole, &answer(times, gzip, whole, 9)),
    ];
    let files =
        [("log.json", log.to_owned()), ("c.sh", curl.to_owned()), ("d.jsonl", lines.join("\n"))];
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("a recording");
    }
    vec!["log.json", "c.sh", "d.jsonl"]
}

#[test]
fn what_is_not_known_stays_unknown_in_a_har() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in partly_known(folder.path()) {
        let before: Vec<_> = exchanges(folder.path(), name).iter().map(known).collect();
        shadowtap(folder.path(), &["-q", "parse", name, "-o", "x.har"]).expect(0);
        let after: Vec<_> = exchanges(folder.path(), "x.har").iter().map(known).collect();
        assert_eq!(after, before, "{name}");
    }
}

#[test]
fn what_is_not_whole_is_left_out_of_a_gor_file_and_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |exchange: &serde_json::Value| {
        let asked = &exchange["request"];
        let answer = &exchange["response"];
        format!("{} {} {} {}", asked["at"], asked["target"], asked["body"], answer["last_byte_ns"])
    };
    for (name, told) in partly_known(folder.path()).into_iter().zip([
        &["left out: 1 exchange ", "2 requests are written without the answer"][..],
        &["left out: 1 exchange "],
        &["left out: 1 exchange ", "2 requests are written without the answer"],
    ]) {
        shadowtap(folder.path(), &["parse", name, "-o", "x.gor"]).expect(0).says(told);
        let after: Vec<_> = exchanges(folder.path(), "x.gor").iter().map(said).collect();
        let whole = |exchange: &&serde_json::Value| exchange["completeness"] != "request-damaged";
        let before = exchanges(folder.path(), name);
        let before: Vec<_> = before.iter().filter(whole).map(said).collect();
        let without = |all: &[String]| {
            let mut all = all.to_vec();
            all.sort();
            all
        };
        assert_eq!(without(&after), without(&before), "{name}");
    }
}

#[test]
fn a_request_of_http2_is_one_of_http1_in_a_gor_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = |head: &str, rest: &str| {
        format!(
            r#"{{{head}"version":"2","headers":[{rest}],"body":{{"utf8":"abc"}},"body_bytes":3,"framing":"frames","trailers":[]}}"#
        )
    };
    let asked = message(
        r#""at":"2026-11-22T10:00:00.000000000Z","duration_ns":0,"method":"POST","target":"/g0","#,
        r#"[":method","POST"],[":scheme","http"],[":authority","a.example"],[":path","/g0"],["x-a","1"]"#,
    );
    let answer = message(
        r#""first_byte_ns":1000,"last_byte_ns":2000,"status":200,"reason":"","#,
        r#"[":status","200"],["content-type","text/plain"]"#,
    );
    let line = format!(
        r#"{{"id":"0-0","connection":0,"client":"10.0.0.9:1","server":"10.0.0.1:80","protocol":"http/2","completeness":"complete","request":{asked},"response":{answer},"interim":[]}}"#
    );
    fs::write(folder.path().join("h2.jsonl"), line).expect("a recording");
    shadowtap(folder.path(), &["-q", "export", "h2.jsonl", "-o", "x.gor"]).expect(0);
    let text = fs::read_to_string(folder.path().join("x.gor")).expect("text");
    for part in ["\nPOST /g0 HTTP/1.1\r\nhost: a.example\r\nx-a: 1\r\n", "\nHTTP/1.1 200 "] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains(":method") && !text.contains(":status"), "{text}");
    let back = exchanges(folder.path(), "x.gor");
    assert_eq!(back[0]["completeness"], "complete", "{back:?}");
    for side in ["request", "response"] {
        assert_eq!(back[0][side]["body"]["utf8"], "abc");
    }
}

#[test]
fn a_recording_goes_into_frames_and_comes_back_byte_by_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let read = |name: &str| fs::read(folder.path().join(name)).expect(name);
    let parse = |args: &[&str]| {
        shadowtap(folder.path(), &[&["-q", "parse"][..], args].concat()).expect(0);
    };
    parse(&[&demo(), "-o", "x.jsonl"]);
    parse(&["x.jsonl", "-o", "x.stx"]);
    parse(&["x.stx", "-o", "back.jsonl"]);
    assert!(read("back.jsonl") == read("x.jsonl"), "frames hold something else");
    // However many threads read and write, and from the capture itself.
    for (input, threads) in [("x.jsonl", "1"), ("x.jsonl", "3"), ("x.stx", "1"), ("x.stx", "4")] {
        parse(&[input, "--threads", threads, "-o", "again.stx"]);
        assert!(read("again.stx") == read("x.stx"), "{input} with {threads} threads");
    }
    parse(&[&demo(), "-o", "captured.stx"]);
    parse(&["captured.stx", "-o", "captured.jsonl"]);
    let lines = |bytes: Vec<u8>| bytes.split(|&b| b == b'\n').skip(1).map(<[u8]>::to_vec).collect();
    let (captured, before): (Vec<_>, Vec<_>) =
        (lines(read("captured.jsonl")), lines(read("x.jsonl")));
    assert!(captured == before, "frames of a capture hold something else");
    for command in [&["inspect", "--json"][..], &["flows"]] {
        let told = |input| shadowtap(folder.path(), &[command, &[input]].concat()).expect(0).stdout;
        assert_eq!(told("x.stx"), told("x.jsonl").replace("x.jsonl", "x.stx"));
    }
}

#[test]
fn frames_that_are_cut_or_damaged_are_told_and_the_others_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    shadowtap(folder.path(), &["-q", "parse", &demo(), "-o", "x.stx"]).expect(0);
    let whole = fs::read(path("x.stx")).expect("frames");
    let mut twice = [&whole[..], &whole].concat();
    let cut = &twice[..whole.len() + whole.len() / 2];
    fs::write(path("cut.stx"), cut).expect("a copy");
    shadowtap(folder.path(), &["parse", "cut.stx", "-o", "cut.jsonl"])
        .expect(0)
        .says(&["cut.stx: ends inside"]);
    // Within the first frame of exchanges.
    twice[4_000] ^= 1;
    fs::write(path("damaged.stx"), twice).expect("a copy");
    shadowtap(folder.path(), &["parse", "damaged.stx", "-o", "damaged.jsonl"]).expect(0).says(&[
        "damaged.stx: line",
        "is left out",
        "hash",
    ]);
    fs::write(path("newer.stx"), [&whole[..8], &[9], &whole[9..]].concat()).expect("a copy");
    shadowtap(folder.path(), &["parse", "newer.stx", "-o", "newer.jsonl"]).expect(3).says(&[
        "newer.stx",
        "version 9",
        "newer",
    ]);
}

#[test]
fn curl_lines_come_back_with_their_requests() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    shadowtap(folder.path(), &["export", &demo(), "-o", "x.sh", "--include", "POST /carts"])
        .expect(0);
    let lines = fs::read_to_string(folder.path().join("x.sh")).expect("curl lines");
    assert!(lines.starts_with("#!/bin/bash\n"), "{lines}");
    let request = |exchange: &serde_json::Value| {
        let fields = exchange["request"]["headers"].as_array().cloned().unwrap_or_default();
        let of_connection = |name: &str| name.eq_ignore_ascii_case("connection");
        let mut fields: Vec<_> = fields
            .into_iter()
            .filter(|field| !field[0].as_str().is_some_and(of_connection))
            .map(|field| (field[0].to_string().to_lowercase(), field[1].clone()))
            .collect();
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        let of = &exchange["request"];
        serde_json::json!([of["method"], of["target"], fields, of["body"]]).to_string()
    };
    let posts = |exchange: &&serde_json::Value| {
        exchange["request"]["method"] == "POST"
            && exchange["request"]["target"].as_str().is_some_and(|t| t.starts_with("/carts"))
    };
    let mut before: Vec<_> =
        exchanges(folder.path(), &demo()).iter().filter(posts).map(request).collect();
    let mut after: Vec<_> = exchanges(folder.path(), "x.sh").iter().map(request).collect();
    before.sort();
    after.sort();
    assert!(!before.is_empty());
    assert_eq!(before, after);
}

#[test]
fn exchanges_that_are_named_are_written_alone_and_those_that_are_not_there_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let export =
        |ids: &str| shadowtap(folder.path(), &["export", &demo(), "-o", "x.jsonl", "--id", ids]);
    export("1-1,2-1").expect(0).prints(&["2 exchanges as exchanges"]);
    export("1-1").expect(0).prints(&["1 exchange as exchanges"]);
    export("1-1,99999-9").expect(0).says(&["no exchange 99999-9"]);
    export("99999-9").expect(3).says(&["no exchange 99999-9"]);
    let target = ["--target", "http://127.0.0.1:9", "--dry-run"];
    let replay = |ids: &str| {
        shadowtap(folder.path(), &[&["replay", &demo(), "--id", ids], &target[..]].concat())
    };
    replay("1-1,99999-9").expect(0).says(&["--id 99999-9 names no exchange"]);
    replay("99999-9").expect(3).says(&["--id 99999-9 names no exchange"]);
}

#[test]
fn a_k6_script_is_javascript_with_every_request() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    shadowtap(folder.path(), &["export", &demo(), "-o", "load.js"]).expect(0);
    let script = fs::read_to_string(folder.path().join("load.js")).expect("a script");
    assert!(script.contains("from 'k6/http'") && script.contains("export default function"));
    assert_eq!(script.lines().filter(|line| line.starts_with("  [\"")).count(), 2140);
    if has("node") {
        fs::rename(folder.path().join("load.js"), folder.path().join("load.mjs")).expect("renamed");
        let checked = std::process::Command::new("node")
            .args(["--check", "load.mjs"])
            .current_dir(folder.path())
            .output()
            .expect("node runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn a_name_that_means_another_format_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["x.pcap", "x.json", "x.csv", "x.txt", "x.hra", "x.goreplay", "x.tgz"] {
        let ending = name.trim_start_matches('x');
        shadowtap(folder.path(), &["export", &demo(), "-o", name])
            .expect(2)
            .says(&[ending, ".har"]);
        shadowtap(folder.path(), &["parse", &demo(), "-o", name])
            .expect(2)
            .says(&[ending, ".jsonl", ".har"]);
    }
    shadowtap(folder.path(), &["parse", &demo(), "-o", "x.js"]).expect(2).says(&["export"]);
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing is written");
}

#[test]
fn a_log_is_replayed_and_compared_by_what_it_knows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = "10.0.0.9 - - [21/Sep/2026:14:13:20 +0000] \"GET /a HTTP/1.1\" 200 2 \"-\" \"x\"\n\
               10.0.0.9 - - [21/Sep/2026:14:13:20 +0000] \"GET /gone HTTP/1.1\" 404 0 \"-\" \"x\"\n\
               10.0.0.9 - - [21/Sep/2026:14:13:20 +0000] \"GET /broken HTTP/1.1\" 200 2 \"-\" \
               \"x\"\n\
               10.0.0.9 - - [21/Sep/2026:14:13:20 +0000] \"POST /a HTTP/1.1\" 201 2 \"-\" \"x\"\n";
    fs::write(folder.path().join("access.log"), log).expect("a log");
    let v2 = server(|line| match line.split(' ').nth(1) {
        Some("/a") => response("200 OK", "text/plain", "ok"),
        Some("/broken") => response("500 Internal Server Error", "text/plain", "no"),
        _ => response("404 Not Found", "text/plain", "no"),
    });
    let target = format!("http://{v2}");
    let replay = ["replay", "access.log", "--target", &target, "-o", "out", "--unsafe-methods"];
    shadowtap(folder.path(), &replay).expect(0);
    let compared = ["3 exchanges compared, 1 not", "1 differ", "200→500"];
    shadowtap(folder.path(), &["diff", "out"]).expect(0).prints(&compared);
    let judged = shadowtap(folder.path(), &["gate", "out"]).expect(1);
    assert!(!judged.stdout.contains("damaged"), "{}", judged.stdout);
    let mismatches = fs::read_to_string(folder.path().join("out/mismatches.csv")).expect("a table");
    assert_eq!(mismatches.lines().skip(1).count(), 1, "{mismatches}");
    let outcomes = fs::read_to_string(folder.path().join("out/outcomes.jsonl")).expect("outcomes");
    assert!(outcomes.contains("not whole"), "the POST has no body: {outcomes}");
}

/// Where a log agrees with v2 that counts, though it tells no latency of v1's.
#[test]
fn a_log_that_v2_agrees_with_passes_but_for_latency() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = "10.0.0.9 - - [21/Sep/2026:14:13:20 +0000] \"GET /a HTTP/1.1\" 200 2 \"-\" \"x\"\n";
    fs::write(folder.path().join("access.log"), line.repeat(20)).expect("a log");
    let policy = "[gate]\nmin_samples = 1\nmax_lateness_p99 = \"1m\"\nmax_mismatch_rate = 0.5\n\
                  max_error_rate = 0.5\n";
    fs::write(folder.path().join("shadowtap.toml"), policy).expect("a policy");
    let target = format!("http://{}", server(|_| response("200 OK", "text/plain", "ok")));
    let run = ["run", "access.log", "--target", &target, "-o", "out"];
    shadowtap(folder.path(), &run).expect(5).prints(&["20 compared, 0 differ", "--baseline"]);
    shadowtap(folder.path(), &["gate", "out", "--must-see", "inf"])
        .expect(0)
        .prints(&["latencies are not known"]);
}

#[test]
fn lists_of_requests_are_replayed_and_nothing_is_said_of_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(
        folder.path().join("list"),
        "curl http://shop.example/a\ncurl http://shop.example/b\n",
    )
    .expect("a list");
    let v2 = server(|_| response("404 Not Found", "text/plain", "no"));
    let target = format!("http://{v2}");
    let replay = ["replay", "list", "--target", &target, "-o", "out", "--speed", "100"];
    shadowtap(folder.path(), &replay).expect(0);
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    let mismatches = fs::read_to_string(folder.path().join("out/mismatches.csv")).expect("a table");
    assert_eq!(mismatches.lines().count(), 1, "v1 may have said 404 too: {mismatches}");
}

/// Each request of a recording in `tests/recordings`: method, target, completeness, bytes of its
/// body; then what was left out.
const OF_OTHERS: &[(&str, &[&str], &[&str])] = &[
    (
        "chromium-left-pages.har",
        &[
            "GET /v/macbook-air/i/images/overview/ar_icon__hvtmrzi5rcia_large_2x.png \
             response-damaged 0",
            "GET /shop/buy-mac/macbook-air?product=MGN63LL/A&step=config complete 0",
            "GET /4982/store.apple.com/shop/rs-external/rel/us/ac-globalnav-dist/images/be15095f-\
             5a20-57d0-ad14-cf4c638e223a/globalnav_links_tv_image__dtzdy60o3imq_large.svg \
             complete 0",
        ],
        &["har-entry-never-sent"],
    ),
    (
        "chromium-posts.har",
        &["POST /api/register complete 50", "PATCH /api/users/2 complete 41"],
        &[],
    ),
    ("pcap2har-websocket.har", &["GET / complete 0"], &[]),
    ("null-type.har", &["PATCH /api/users/2 complete 145"], &[]),
    ("form-without-text.har", &["POST /api/users complete 23"], &[]),
    ("insomnia.har", &["POST /foo/bar?foo=bar complete 12"], &["har-entry-without-url"]),
    (
        "postman-folders.json",
        &[
            "POST /api/users request-damaged 0",
            "POST /api/users no-response 7",
            "POST /api/users no-response 12",
            "POST /api/users request-damaged 0",
            "POST /api/users no-response 0",
        ],
        &["postman-variable-unknown"],
    ),
    (
        "curl-many.sh",
        &[
            "GET /1/2/3 no-response 0",
            "GET /foo/bar no-response 0",
            "GET / no-response 0",
            "GET / no-response 0",
        ],
        &["curl-line-of-another-command"],
    ),
    ("curl-options.sh", &["POST /api/v1/send no-response 23"], &[]),
    ("curl-ansi-quotes.sh", &["POST / no-response 82"], &[]),
    ("curl-form.sh", &["POST /signup request-damaged 0"], &[]),
];

#[test]
fn recordings_that_other_tools_published_are_read_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, requests, left_out) in OF_OTHERS {
        let input = format!("{}/tests/recordings/{name}", env!("CARGO_MANIFEST_DIR"));
        let ran = shadowtap(folder.path(), &["parse", &input, "-o", "-"]).expect(0);
        let lines: Vec<serde_json::Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let told = |line: &serde_json::Value| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let (request, whole) = (&line["request"], text(&line["completeness"]));
            let (method, target) = (text(&request["method"]), text(&request["target"]));
            // What is said of a request that lacks a part is not the matter here.
            let bytes = if whole == "request-damaged" { 0 } else { length(&request["body"]) };
            format!("{method} {target} {whole} {bytes}")
        };
        let read: Vec<String> =
            lines.iter().filter(|line| line.get("id").is_some()).map(told).collect();
        let mut expected: Vec<String> = requests.iter().map(ToString::to_string).collect();
        let mut read_sorted = read.clone();
        read_sorted.sort();
        expected.sort();
        assert_eq!(read_sorted, expected, "{name}");
        let rejected = lines.last().expect("an end")["ledger"]["rejected"].clone();
        let names: Vec<&String> =
            rejected.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        assert_eq!(names, *left_out, "{name}");
    }
}

/// Bytes of a body as a record holds it.
fn length(body: &serde_json::Value) -> usize {
    body["utf8"].as_str().map_or(0, str::len)
}
