//! How often the whole road reads its records: bytes that pass through read and write calls, beside
//! the length of the recording; and that what is kept to spare a reading changes nothing.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use support::{response, server, shadowtap};

/// A body of JSON about as long as most are.
fn body(number: usize, price: &str) -> String {
    let mut body = format!("{{\"id\":{number},\"price\":{price},\"parts\":[");
    for part in 0..60 {
        let comma = if part > 0 { "," } else { "" };
        let _ = write!(
            body,
            "{comma}{{\"name\":\"part {part} of \\\"{number}\\\"\",\"stock\":{part}}}"
        );
    }
    body + "]}"
}

/// A recording of `count` answers of a catalogue, twenty a connection.
fn recording(count: usize) -> String {
    let mut text = String::from(
        "{\"format\":\"shadowtap/exchanges\",\"version\":1,\"created\":\"2026-11-22T10:00:00Z\",\
         \"tool\":\"test\",\"inputs\":[\"v1.pcap\"]}\n",
    );
    for n in 0..count {
        let (connection, ordinal) = (n / 20, n % 20);
        let body = body(n % 97, "7");
        let exchange = serde_json::json!({
            "connection": connection, "client": "10.0.0.9:40112", "server": "10.0.0.1:8080",
            "protocol": "http/1", "completeness": "complete",
            "request": {
                "at": format!("2026-11-22T10:00:{:02}.{:03}000000Z", n / 1_000, n % 1_000),
                "duration_ns": 0, "method": "GET", "target": format!("/items/{}", n % 97),
                "version": "1.1", "headers": [["Host", "shop.test"]], "body": null, "body_bytes": 0,
                "framing": "none", "trailers": [],
            },
            "response": {
                "first_byte_ns": 900_000, "last_byte_ns": 1_000_000, "status": 200, "reason": "OK",
                "version": "1.1", "headers": [["Content-Type", "application/json"]],
                "body": { "utf8": body }, "body_bytes": body.len(), "framing": "content-length",
                "trailers": [],
            },
            "interim": [],
        });
        let line = exchange.to_string();
        let _ = writeln!(text, "{{\"id\":\"{connection}-{ordinal}\",{}", &line[1..]);
    }
    let _ = writeln!(
        text,
        "{{\"format\":\"shadowtap/end\",\"exchanges\":{count},\"ledger\":{{\"in\":{count},\
         \"used\":{count}}}}}"
    );
    text
}

/// v2, with another price for some items.
fn shop(is_dearer: fn(usize) -> bool) -> String {
    let address = server(move |line| {
        let target = line.split(' ').nth(1).unwrap_or_default();
        let number = target.rsplit('/').next().and_then(|number| number.parse().ok());
        let number: usize = number.unwrap_or_default();
        let price = if is_dearer(number) { "8" } else { "7" };
        response("200 OK", "application/json", &body(number, price))
    });
    format!("http://{address}")
}

/// How many bytes a run of a recording of `count` answers reads and writes, and how long the
/// recording is; none where the system does not tell.
fn passed(count: usize, target: &str) -> Option<[f64; 3]> {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let recording = recording(count);
    fs::write(folder.join("v1.jsonl"), &recording).expect("a recording");
    // What a shell's children read is counted for the shell when they have ended.
    let counted = "\"$@\" >/dev/null 2>&1; cat /proc/$$/io";
    let ran = Command::new("sh")
        .args(["-c", counted, "sh", env!("CARGO_BIN_EXE_shadowtap")])
        .args(["-q", "run", "v1.jsonl", "--target", target, "--speed", "max", "-o", "out"])
        .current_dir(folder)
        .output()
        .expect("a shell");
    let told = String::from_utf8(ran.stdout).expect("text");
    let outcomes = fs::read_to_string(folder.join("out/outcomes.jsonl")).expect("outcomes");
    assert_eq!(outcomes.matches("\"status\":200").count(), count);
    let count = |name: &str| -> Option<f64> {
        told.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    };
    Some([count("rchar:")?, count("wchar:")?, recording.len() as f64])
}

#[test]
fn a_run_of_a_recording_reads_each_record_no_more_than_it_must() {
    let target = shop(|_| false);
    // Of what a longer recording takes, so that what every run reads does not count. The table of
    // this machine's sockets is read as well: megabytes, for as long as many connections that have
    // ended lately stand in it (TIME_WAIT). So the least of some runs counts.
    const RUNS: usize = 3;
    let least = |count| {
        let mut least = passed(count, &target)?;
        for _ in 1..RUNS {
            let again = passed(count, &target)?;
            least = std::array::from_fn(|at| least[at].min(again[at]));
        }
        Some(least)
    };
    let [Some(less), Some(more)] = [500, 3_500].map(least) else { return };
    let [read, written, longer] = std::array::from_fn(|at| more[at] - less[at]);
    let [read, written] = [read / longer, written / longer];
    // To plan it and to compare it; the outcomes once.
    assert!(read > 2.0 && read < 3.2, "{read} times, and {written} written");
    assert!(written > 0.9 && written < 1.3, "{written} times");
}

#[test]
fn a_page_is_the_same_whether_its_records_are_searched_or_known() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("v1.jsonl"), recording(400)).expect("a recording");
    let target = shop(|number| number % 3 == 0);
    let run = ["run", "v1.jsonl", "--target", &target, "--speed", "max", "-o", "out"];
    shadowtap(folder.path(), &run);
    let path = |name: &str| folder.path().join("out").join(name);
    let page = || {
        shadowtap(folder.path(), &["report", "out"]).expect(0);
        fs::read_to_string(path("report.html")).expect("report.html")
    };
    let known = page();
    assert!(known.contains("/items/3"));
    let placed = fs::read_to_string(path(".placed.json")).expect("where the records are");
    fs::remove_file(path(".placed.json")).expect("a file");
    assert_eq!(page(), known, "searched");
    // What is known is believed as long as the files are the same.
    let mut fewer: serde_json::Value = serde_json::from_str(&placed).expect("JSON");
    fewer["placed"]["ids"].as_array_mut().expect("ids").truncate(1);
    fs::write(path(".placed.json"), fewer.to_string()).expect("another file");
    assert_ne!(page(), known);
    let differences = fs::read(path("differences.jsonl")).expect("differences.jsonl");
    fs::write(path("differences.jsonl"), [&differences[..], b"\n"].concat())
        .expect("other records");
    assert_eq!(page(), known, "searched again");
    fs::write(path(".placed.json"), "{").expect("nothing of use");
    assert_eq!(page(), known);
}

#[test]
fn records_that_are_kept_compressed_are_read_as_plain_ones_are() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("v1.jsonl"), recording(400)).expect("a recording");
    let target = shop(|number| number % 3 == 0);
    let run = ["run", "v1.jsonl", "--target", &target, "--speed", "max", "-o", "out", "--compress"];
    shadowtap(folder.path(), &run);
    let path = |name: &str| folder.path().join("out").join(name);
    let records = ["exchanges.jsonl", "outcomes.jsonl", "differences.jsonl"];
    for name in records {
        assert!(!path(name).exists() && path(&format!("{name}.zst")).is_file(), "{name}");
    }
    let page = || fs::read_to_string(path("report.html")).expect("report.html");
    let first = page();
    assert!(first.contains("href=\"exchanges.jsonl.zst\""), "links lead to what is there");
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    assert!(page() == first, "another page");
    shadowtap(folder.path(), &["show", "out", "0-3"]).expect(0);
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    assert!(path("differences.jsonl").is_file() && !path("differences.jsonl.zst").exists());
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    assert!(page() == first.replace("differences.jsonl.zst", "differences.jsonl"), "another page");
}
