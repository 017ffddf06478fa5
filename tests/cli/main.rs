//! The program as a user meets it: commands, files, exit codes, errors; and the whole road against
//! real servers.

#[path = "../support/mod.rs"]
mod support;

mod inputs;
mod secrets;

use std::fs;
use std::path::Path;

use support::pcap::Capture;
use support::port::Port;
use support::{response, server, shadowtap};

/// A capture of three exchanges on two connections.
fn small_capture() -> Vec<u8> {
    let json = |body: &str| response("200 OK", "application/json", body);
    Capture::new(200_000)
        .connection(
            40_001,
            &[
                (
                    "GET /items/1 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
                    &json("{\"id\":1,\"price\":10.5}"),
                ),
                (
                    "GET /items/2 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
                    &json("{\"id\":2,\"price\":7}"),
                ),
            ],
        )
        .connection(
            40_002,
            &[(
                "GET /health HTTP/1.1\r\nHost: shop.test\r\n\r\n",
                &response("200 OK", "text/plain", "ok"),
            )],
        )
        .finish()
}

/// v1 again, or v2 with `price` wrong on item 2.
fn shop(price: &'static str) -> String {
    let address = server(move |line| {
        let body = match line.split(' ').nth(1) {
            Some("/items/1") => "{\"id\":1,\"price\":10.5}".to_owned(),
            Some("/items/2") => format!("{{\"id\":2,\"price\":{price}}}"),
            Some("/health") => return response("200 OK", "text/plain", "ok"),
            _ => return response("404 Not Found", "text/plain", "no such thing"),
        };
        response("200 OK", "application/json", &body)
    });
    format!("http://{address}")
}

fn folder_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(name), bytes).expect("the input is written");
    folder
}

/// A policy under which three exchanges suffice, on a machine that may be busy with other tests.
fn small_policy(folder: &Path) {
    fs::write(
        folder.join("shadowtap.toml"),
        "[gate]\nmin_samples = 1\nmax_lateness_p99 = \"1m\"\nmax_p50_ratio = 1000.0\n\
         max_p99_ratio = 1000.0\n",
    )
    .expect("the policy is written");
}

#[test]
fn equal_answers_pass_and_every_file_of_the_contract_is_there() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    let ran = shadowtap(folder.path(), &["run", "v1.pcap", "--target", &shop("7.0"), "-o", "out"])
        .expect(0);
    assert!(ran.stdout.to_lowercase().contains("pass"), "{}", ran.stdout);
    for name in [
        "run.json",
        "exchanges.jsonl",
        "outcomes.jsonl",
        "differences.jsonl",
        "summary.json",
        "mismatches.csv",
        "latency.csv",
        "timeline.csv",
        "latency.hlog",
        "report.html",
        "junit.xml",
        "summary.md",
    ] {
        assert!(folder.path().join("out").join(name).is_file(), "{name} is missing");
    }
    let mismatches =
        fs::read_to_string(folder.path().join("out/mismatches.csv")).expect("mismatches.csv");
    assert_eq!(
        mismatches.trim_end(),
        "id,at,method,route,target,kind,place,expected,actual,class,cluster,root"
    );
}

#[test]
fn a_wrong_price_fails_the_gate_and_is_named() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &shop("8"), "-o", "out"])
        .expect(1)
        .prints(&["$.price"]);
    let mismatches =
        fs::read_to_string(folder.path().join("out/mismatches.csv")).expect("mismatches.csv");
    let rows: Vec<&str> = mismatches.lines().skip(1).collect();
    assert_eq!(rows.len(), 1, "{mismatches}");
    assert!(
        rows[0].contains("/items/2") && rows[0].contains(",body,$.price,7,8,regression,"),
        "{mismatches}"
    );
    // Each stage can be rerun alone and comes to the same.
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    assert_eq!(
        fs::read_to_string(folder.path().join("out/mismatches.csv")).expect("mismatches.csv"),
        mismatches
    );
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    shadowtap(folder.path(), &["gate", "out"]).expect(1);
    // What writes the table marks it for Excel, where it is asked to, and changes nothing else.
    shadowtap(folder.path(), &["diff", "out", "--excel"]).expect(0);
    let table = || fs::read_to_string(folder.path().join("out/mismatches.csv")).expect("a table");
    assert_eq!(table(), format!("\u{feff}{mismatches}"));
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    assert_eq!(table(), mismatches);
}

/// Another program may have written the records: what diff, report, gate and show need of a run's
/// folder are its exchanges and outcomes.
#[test]
fn a_folder_of_records_alone_is_a_run() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    let replayed = ["replay", "v1.pcap", "--target", &shop("8"), "-o", "out"];
    shadowtap(folder.path(), &replayed).expect(0);
    for name in fs::read_dir(folder.path().join("out")).expect("the folder").flatten() {
        if !matches!(name.file_name().to_str(), Some("exchanges.jsonl" | "outcomes.jsonl")) {
            fs::remove_file(name.path()).expect("the file goes");
        }
    }
    shadowtap(folder.path(), &["diff", "out"]).expect(0).prints(&["$.price"]);
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    shadowtap(folder.path(), &["gate", "out"]).expect(1);
    shadowtap(folder.path(), &["show", "out", "0-1"]).expect(0).prints(&["/items/2"]);
    shadowtap(folder.path(), &replayed).expect(2).says(&["out holds a run already"]);
    let outcomes = folder.path().join("out/outcomes.jsonl");
    let records = fs::read_to_string(&outcomes).expect("outcomes.jsonl");
    let lines: Vec<&str> = records.lines().collect();
    // A replay that sent nothing is not one in which nothing differs.
    fs::write(&outcomes, format!("{}\n{}\n", lines[0], lines[lines.len() - 1])).expect("written");
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    shadowtap(folder.path(), &["gate", "out"]).expect(5);
    let page = fs::read_to_string(folder.path().join("out/report.html")).expect("report.html");
    assert!(page.contains("No answer was compared.") && page.contains("No request was sent"));
    for wrong in ["none differs", "each that was sent got", "0 of 0 requests"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    // The demo overwrites its own folder alone.
    shadowtap(folder.path(), &["demo", "-o", "out"]).expect(2).says(&["holds another run"]);
    fs::write(&outcomes, "{}\n").expect("written");
    shadowtap(folder.path(), &["gate", "out"]).expect(3).says(&["is none of outcomes"]);
    fs::remove_file(folder.path().join("out/outcomes.jsonl")).expect("the file goes");
    for command in ["diff", "report", "gate", "show"] {
        let told = "is not the folder of a run";
        shadowtap(folder.path(), &[command, "out"]).expect(3).says(&[told, "no outcomes.jsonl"]);
        shadowtap(folder.path(), &[command, "none"]).expect(3).says(&[told, "there is none"]);
    }
    assert!(!folder.path().join("none").exists());
    // It is no input, but holds one.
    let recording = ["is the folder of a run", "out/exchanges.jsonl"];
    shadowtap(folder.path(), &["inspect", "out"]).expect(3).says(&recording);
    shadowtap(folder.path(), &["inspect", "."]).expect(3).says(&["is a folder"]);
    // Also where it is compressed; what is there as it is goes before.
    let plain = fs::read(folder.path().join("out/exchanges.jsonl")).expect("the recording");
    let packed = zstd::bulk::compress(&plain, 3).expect("compressed");
    fs::write(folder.path().join("out/exchanges.jsonl.zst"), packed).expect("written");
    let inspect = || shadowtap(folder.path(), &["inspect", "out"]).expect(3);
    assert!(!inspect().says(&recording).stderr.contains(".zst"));
    fs::remove_file(folder.path().join("out/exchanges.jsonl")).expect("the file goes");
    inspect().says(&["name its recording, out/exchanges.jsonl.zst"]);
}

#[test]
fn a_run_marks_every_table_for_excel() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    let target = shop("7");
    let command = ["run", "v1.pcap", "--target", &target, "-o", "out", "--excel"];
    let ran = shadowtap(folder.path(), &command).expect(0);
    let mut tables = 0;
    for file in fs::read_dir(folder.path().join("out")).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            let bytes = fs::read(&path).expect("a table");
            let rest = bytes.strip_prefix(b"\xef\xbb\xbf").expect("a mark");
            assert!(rest[0].is_ascii_lowercase(), "{}", path.display());
            tables += 1;
        }
    }
    assert_eq!(tables, 3);
    // No figure is said twice, and none with another word.
    let page = fs::read_to_string(folder.path().join("out/report.html")).expect("a page");
    assert!(!page.contains("with copies") && !page.contains("There was no baseline"), "{page}");
    assert!(page.contains("no baseline was asked for"), "{page}");
    assert!(ran.stdout.contains("PASS"), "{}", ran.stdout);
}

#[test]
fn too_few_samples_give_no_verdict() {
    let folder = folder_with("v1.pcap", &small_capture());
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &shop("7"), "-o", "out"]).expect(5);
}

#[test]
fn a_target_that_nobody_listens_on_is_code_4() {
    let folder = folder_with("v1.pcap", &small_capture());
    let port = Port::take();
    let target = format!("http://{}", port.address);
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &target, "-o", "out"])
        .expect(4)
        .says(&[&target]);
}

#[test]
fn a_target_that_speaks_no_tls_is_code_4_before_the_first_request() {
    let folder = folder_with("v1.pcap", &small_capture());
    let address = server(|_| response("400 Bad Request", "text/plain", "no TLS here"));
    let target = format!("https://{address}");
    let refused = shadowtap(
        folder.path(),
        &["run", "v1.pcap", "--target", &target, "--insecure", "-o", "out"],
    );
    refused.expect(4).says(&[&target, "--insecure", "http://"]);
    let no_certificate =
        ["run", "v1.pcap", "--target", &target, "--ca", "missing.pem", "-o", "out"];
    shadowtap(folder.path(), &no_certificate).expect(3).says(&["missing.pem"]);
    assert!(!folder.path().join("out/outcomes.jsonl").exists());
}

#[test]
fn a_target_that_speaks_tls_alone_is_code_4_and_told() {
    use std::io::{Read, Write};
    // What servers of TLS say to who speaks none: an alert, a line, nothing at all.
    let answers: [&'static [u8]; 3] = [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
        b"",
    ];
    let served = |answer: &'static [u8], tls: bool| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut bytes) = (stream.unwrap(), [0; 4096]);
                let asked = stream.read(&mut bytes).unwrap_or(0);
                let hello = tls && asked > 0 && bytes[0] == 0x16;
                let _ = stream.write_all(if hello { answers[0] } else { answer });
            }
        });
        target
    };
    for answer in answers {
        for transport in ["wire", "client"] {
            let dir = folder_with("v1.pcap", &small_capture());
            let target = served(answer, true);
            let arguments =
                ["run", "v1.pcap", "--target", &target, "--transport", transport, "-o", "r"];
            shadowtap(dir.path(), &arguments).expect(4).says(&[&target.replace("http", "https")]);
        }
    }
    // A v2 that answers nothing of the kind and speaks no TLS is v2's own fault.
    for answer in &answers[1..] {
        let dir = folder_with("v1.pcap", &small_capture());
        let target = served(answer, false);
        let ran = shadowtap(dir.path(), &["run", "v1.pcap", "--target", &target, "-o", "r"]);
        assert!(matches!(ran.code, 1 | 5), "{}: {}", ran.code, ran.stderr);
    }
}

#[test]
fn the_flags_of_the_gate_stay_with_the_run() {
    let folder = folder_with("v1.pcap", &small_capture());
    let target = shop("10.5");
    let flags = [
        "--min-samples",
        "1",
        "--max-lateness-p99",
        "1m",
        "--max-p50-ratio",
        "inf",
        "--max-p99-ratio",
        "inf",
    ];
    let run = [
        "run",
        "v1.pcap",
        "--target",
        &target,
        "-o",
        "out",
        "--max-mismatch-rate",
        "1",
        "--max-error-rate",
        "1",
    ];
    shadowtap(folder.path(), &[&run[..], &flags[..]].concat()).expect(0);
    let files = || {
        ["summary.json", "summary.md", "report.html", "junit.xml"]
            .map(|name| fs::read(folder.path().join("out").join(name)).expect(name))
    };
    let made = files();
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    assert!(files() == made, "made again, all files are the same");
    shadowtap(folder.path(), &["gate", "out"]).expect(0);
    shadowtap(folder.path(), &["gate", "out", "--min-samples", "1000"]).expect(5);
}

#[test]
fn the_captured_server_is_refused_as_a_target() {
    let folder = folder_with("v1.pcap", &small_capture());
    shadowtap(
        folder.path(),
        &["replay", "v1.pcap", "--target", "http://10.0.0.1:8080", "-o", "out"],
    )
    .expect(4)
    .says(&["10.0.0.1:8080", "--allow-captured-server"]);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let folder = folder_with("v1.pcap", &small_capture());
    fs::write(folder.path().join("shadowtap.toml"), "[gate]\nmax_mismach_rate = 0.1\n")
        .expect("the configuration is written");
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", "http://127.0.0.1:9", "-o", "out"])
        .expect(2)
        .says(&["shadowtap.toml", "max_mismach_rate", "max_mismatch_rate"]);
}

#[test]
fn an_existing_run_is_not_overwritten_without_force() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    let target = shop("7");
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &target, "-o", "out"]).expect(0);
    let before = fs::read(folder.path().join("out/outcomes.jsonl")).expect("outcomes.jsonl");
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &target, "-o", "out"])
        .expect(2)
        .says(&["--force"]);
    assert_eq!(fs::read(folder.path().join("out/outcomes.jsonl")).expect("outcomes.jsonl"), before);
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &target, "-o", "out", "--force"])
        .expect(0);
}

#[test]
fn every_command_has_help_with_an_example_and_global_flags_stand_anywhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in [
        "capture", "parse", "inspect", "replay", "diff", "report", "gate", "run", "approve",
        "mock", "demo", "merge", "flows",
    ] {
        shadowtap(folder.path(), &[command, "--help"]).expect(0).prints(&[
            "Example",
            &format!("shadowtap {command}"),
            "--config",
        ]);
    }
    fs::write(folder.path().join("v1.pcap"), small_capture()).expect("the input is written");
    for arguments in [["-q", "inspect", "v1.pcap"], ["inspect", "v1.pcap", "-q"]] {
        shadowtap(folder.path(), &arguments).expect(0);
    }
    shadowtap(folder.path(), &["no-such-command"]).expect(2);
    shadowtap(folder.path(), &["replay", "v1.pcap"]).expect(2).says(&["--target"]);
}

/// The whole road on real input: nginx, curl and wrk, recorded by tcpdump.
#[test]
fn nginx_recorded_by_tcpdump_matches_itself_and_not_with_one_file_changed() {
    if let Some(why) = support::nginx::missing() {
        eprintln!("skipped: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = folder.path().join("site");
    fs::create_dir(&site).expect("the site's folder");
    let items: String =
        (0..200).map(|n| format!("{{\"id\":{n},\"name\":\"item {n}\"}},")).collect();
    fs::write(site.join("items.json"), format!("[{}]", items.trim_end_matches(',')))
        .expect("items.json");
    fs::write(site.join("price.json"), "{\"currency\":\"EUR\",\"price\":10}").expect("price.json");
    fs::write(site.join("page.html"), format!("<p>{}</p>", "shadow ".repeat(300)))
        .expect("page.html");
    fs::write(
        site.join("blob.bin"),
        (0..300_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect::<Vec<u8>>(),
    )
    .expect("blob.bin");
    let nginx = support::nginx::Nginx::start(folder.path());
    let capture = folder.path().join("v1.pcap");
    let tcpdump = support::nginx::Tcpdump::start(nginx.port, &capture);
    let url = nginx.url();
    let curl = |arguments: &[&str], paths: &[&str]| {
        let status = std::process::Command::new("curl")
            .args(["-s", "--max-time", "10"])
            .args(arguments)
            .args(paths.iter().map(|path| format!("{url}/{path}")))
            .stdout(std::process::Stdio::null())
            .status()
            .expect("curl runs");
        assert!(status.success(), "curl {arguments:?} {paths:?}");
    };
    for _ in 0..5 {
        curl(&[], &["items.json", "price.json", "page.html"]);
        curl(&["-H", "Accept-Encoding: gzip"], &["items.json"]);
        curl(&["-r", "100-2000"], &["blob.bin"]);
        curl(&["-I"], &["page.html"]);
        curl(&["-0"], &["price.json"]);
        curl(&[], &["no-such-file"]);
        curl(&[], &["blob.bin"]);
    }
    let wrk = std::process::Command::new("wrk")
        .args(["-t1", "-c4", "-d1s", &format!("{url}/price.json")])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("wrk runs");
    assert!(wrk.success());
    tcpdump.stop();

    // The latency of a machine that is busy with tests says nothing about nginx: this test is about
    // the answers.
    fs::write(
        folder.path().join("shadowtap.toml"),
        "[gate]\nmax_p50_ratio = 1000.0\nmax_p99_ratio = 1000.0\nmax_lateness_p99 = \"30s\"\n",
    )
    .expect("the policy");
    let again = ["run", "v1.pcap", "--target", &url, "--allow-captured-server"];
    shadowtap(folder.path(), &[&again[..], &["-o", "same"]].concat()).expect(0);
    let rows = |run: &str| -> Vec<String> {
        let text = fs::read_to_string(folder.path().join(run).join("mismatches.csv"))
            .expect("mismatches.csv");
        text.lines().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(rows("same"), Vec::<String>::new());

    fs::write(site.join("price.json"), "{\"currency\":\"EUR\",\"price\":11}").expect("price.json");
    shadowtap(folder.path(), &[&again[..], &["-o", "changed"]].concat())
        .expect(1)
        .prints(&["GET /price.json", "$.price"]);
    let changed = rows("changed");
    assert!(!changed.is_empty());
    for row in &changed {
        assert!(row.contains(",GET /price.json,"), "only that file's route differs: {row}");
    }
    // Regressions are at the price; what follows from a new file (its ETag, its time) is not
    // counted as one.
    assert!(
        changed
            .iter()
            .filter(|row| row.contains(",regression,"))
            .all(|row| row.contains(",body,$.price,10,11,")),
        "{changed:?}"
    );
}

#[test]
fn the_guide_lists_the_headers_that_are_not_compared() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compared.md");
    let guide = fs::read_to_string(guide).expect("docs/compared.md");
    for (name, how, why) in shadowtap::diff::header_table::BUILT_IN {
        let row =
            guide.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("docs/compared.md does not list {name}"));
        assert!(
            row.contains(&format!("| {} |", how.name())) && row.contains(why),
            "docs/compared.md says something else of {name}: {row}"
        );
    }
}

#[test]
fn a_forced_replay_leaves_nothing_that_an_older_run_was_judged_by() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &shop("7"), "-o", "out"]).expect(0);
    shadowtap(
        folder.path(),
        &["replay", "v1.pcap", "--target", &shop("8"), "-o", "out", "--force"],
    )
    .expect(0);
    assert!(
        !folder.path().join("out/summary.md").exists()
            && !folder.path().join("out/diff.json").exists()
    );
    shadowtap(folder.path(), &["gate", "out"]).expect(3).says(&["shadowtap diff"]);
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    shadowtap(folder.path(), &["gate", "out"]).expect(1);
}

#[test]
fn a_run_is_measured_once_and_again_when_its_records_change() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &shop("7"), "-o", "out"]).expect(0);
    let path = |name: &str| folder.path().join("out").join(name);
    let summary = fs::read(path("summary.json")).expect("summary.json");
    let report = || {
        shadowtap(folder.path(), &["report", "out"]).expect(0);
        fs::read(path("summary.json")).expect("summary.json") == summary
    };
    assert!(report(), "what was kept says the same");
    // What was kept is believed, as long as it is of these records.
    let kept = fs::read_to_string(path(".measured.json")).expect("what was measured");
    let lanes = |text: &str, by: u64| {
        let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        value["summary"]["lanes"] =
            (value["summary"]["lanes"].as_u64().expect("lanes") + by).into();
        value.to_string()
    };
    fs::write(path(".measured.json"), lanes(&kept, 1)).expect("another summary");
    assert!(!report());
    let outcomes = fs::read(path("outcomes.jsonl")).expect("outcomes.jsonl");
    fs::write(path("outcomes.jsonl"), [&outcomes[..], b"\n"].concat()).expect("other records");
    assert!(report(), "measured again");
    fs::write(path(".measured.json"), "{").expect("no summary");
    assert!(report());
}

#[test]
fn a_run_with_a_mock_that_does_not_begin_leaves_nothing_behind() {
    let folder = folder_with("v1.pcap", &small_capture());
    let run = |input: &str, target: &str, code: i32| {
        let arguments =
            ["run", input, "--target", target, "--mock-listen", "127.0.0.1:0", "-o", "out"];
        shadowtap(folder.path(), &arguments).expect(code);
        assert!(!folder.path().join("out").exists(), "{input}, {target}");
    };
    let closed = Port::take();
    run("v1.pcap", &format!("http://{}", closed.address), 4);
    run("none.pcap", &shop("7"), 3);
}

#[test]
fn a_refused_replay_does_not_touch_the_run_that_was_there() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    shadowtap(folder.path(), &["run", "v1.pcap", "--target", &shop("7"), "-o", "out"]).expect(0);
    let files = || -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(folder.path().join("out"))
            .expect("the run's folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| (path.display().to_string(), fs::read(&path).expect("a file of the run")))
            .collect();
        files.sort();
        files
    };
    let before = files();
    fs::write(
        folder.path().join("less.pcap"),
        Capture::new(1_000)
            .connection(40_001, &[("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 204 N\r\n\r\n")])
            .finish(),
    )
    .expect("another capture");
    let captured_server = [
        "replay",
        "less.pcap",
        "--target",
        "http://10.0.0.1:8080",
        "--map-host",
        "x=http://10.0.0.1:8080",
        "-o",
        "out",
        "--force",
    ];
    shadowtap(folder.path(), &captured_server).expect(4);
    assert_eq!(files(), before);
}

#[test]
fn a_signal_ends_the_wait_for_the_target() {
    let folder = folder_with("v1.pcap", &small_capture());
    // Asked once, the server has seen that the program waits; it is never ready.
    let (asked, is_asked) = std::sync::mpsc::channel();
    let url = format!(
        "http://{}",
        server(move |_| {
            let _ = asked.send(());
            response("503 Service Unavailable", "text/plain", "not yet")
        })
    );
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["-q", "run", "v1.pcap", "--target", &url, "--wait-ready", &url, "-o", "out"])
        .current_dir(folder.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    is_asked
        .recv_timeout(std::time::Duration::from_secs(60))
        .expect("the program asks whether it is ready");
    let sent = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(sent.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}

#[test]
fn a_full_or_closed_standard_output_is_no_panic() {
    let folder = folder_with("v1.pcap", &small_capture());
    let program = env!("CARGO_BIN_EXE_shadowtap");
    for (line, code) in [
        (format!("{program} replay v1.pcap --dry-run > /dev/full"), 3),
        (format!("{program} inspect v1.pcap > /dev/full"), 3),
        (format!("({program} parse v1.pcap -o -; echo $? > code) | true; exit $(cat code)"), 0),
        (
            format!(
                "({program} replay v1.pcap --dry-run; echo $? > code) | true; exit $(cat code)"
            ),
            0,
        ),
    ] {
        let ran = std::process::Command::new("bash")
            .args(["-c", &line])
            .current_dir(folder.path())
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(
            ran.status.code() == Some(code) && !said.contains("panicked"),
            "{line}: {:?}\n{said}",
            ran.status
        );
    }
}

#[test]
fn a_configuration_that_is_wrong_is_said_by_every_command() {
    let folder = folder_with("v1.pcap", &small_capture());
    fs::write(folder.path().join("other.toml"), "[gaet]\n").expect("the configuration is written");
    for command in [
        vec!["inspect", "v1.pcap"],
        vec!["parse", "v1.pcap", "-o", "-"],
        vec!["merge", "a", "-o", "b"],
    ] {
        shadowtap(folder.path(), &[&["--config", "missing.toml"], &command[..]].concat())
            .expect(2)
            .says(&["missing.toml"]);
        shadowtap(folder.path(), &[&command[..], &["--config", "other.toml"]].concat())
            .expect(2)
            .says(&["gaet", "gate"]);
    }
    // A rule that is wrong is told by who shows the settings, too.
    for (rule, says) in [
        ("[[diff.match]]\npath = \"$.x\"\n", "diff.match"),
        ("[[diff.ignore]]\npath = \"$..[\"\n", "$..["),
        ("[gate]\nconfidence = 2.0\n", "confidence"),
    ] {
        fs::write(folder.path().join("shadowtap.toml"), rule)
            .expect("the configuration is written");
        shadowtap(folder.path(), &["config"]).expect(2).says(&[says]);
    }
}

#[test]
fn a_run_that_is_interrupted_says_where_it_is() {
    let folder = folder_with("v1.pcap", &long_capture(100));
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["run", "v1.pcap", "--target", &shop("7"), "-o", "out"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let outcomes = folder.path().join("out/outcomes.jsonl");
    for _ in 0..2_000 {
        if fs::read_to_string(&outcomes).is_ok_and(|text| text.lines().count() >= 2) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT)
        .expect("the child is there");
    let ended = child.wait_with_output().expect("the child ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted: what was measured is in out;"), "{said}");
    // Whatever else there is by then, that can be compared.
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
}

#[test]
fn filters_that_leave_nothing_over_are_an_error_and_leave_nothing_behind() {
    let folder = folder_with("v1.pcap", &small_capture());
    let target = shop("7");
    for arguments in [
        &["replay", "v1.pcap", "--include", "GET ^/nowhere", "--target", &target, "-o", "out"][..],
        &["replay", "v1.pcap", "--host", "other.test", "--dry-run"],
    ] {
        shadowtap(folder.path(), arguments).expect(3).says(&["no exchange was chosen (3 "]);
        assert!(!folder.path().join("out").exists());
    }
    // A shard may be empty: its neighbours are not.
    shadowtap(
        folder.path(),
        &["replay", "v1.pcap", "--shard", "1/1000", "--target", &shop("7"), "-o", "out"],
    )
    .expect(0);
}

#[test]
fn what_matches_nothing_is_told_with_what_comes_nearest() {
    let folder = folder_with("v1.pcap", &small_capture());
    let target = shop("7");
    let replay = |flags: &[&str]| {
        let common = ["replay", "v1.pcap", "--target", &target, "-o", "out", "--force"];
        shadowtap(folder.path(), &[&common[..], flags].concat())
    };
    let mapped = format!("*.tset={target}");
    let mapped_too = format!("shop.test={target}");
    for (flags, says) in [
        (
            &["--map-host", &mapped, "--map-host", &mapped_too][..],
            ["--map-host *.tset", "shop.test"],
        ),
        (&["--rewrite", "^/v1/=>/v2/"], ["--rewrite '^/v1/=>/v2/'", "GET /items/1"]),
        (&["--rewrite", "^/items=>/items", "--rewrite", "^/itms=>/i"], ["'^/itms=>/i'", "/items/"]),
        (&["--exclude", "GET ^/helth"], ["--exclude 'GET ^/helth'", "GET /health"]),
        (&["--exclude", "cookie:x=y"], ["--exclude 'cookie:x=y'", "no request"]),
        (&["--include", "GET .", "--include", "GET ^/zz"], ["--include 'GET ^/zz'", "no request"]),
        (&["--remove-header", "Hots"], ["--remove-header Hots", "host"]),
    ] {
        replay(flags).expect(0).says(&says);
    }
    for (flags, code, says) in [
        (&["--id", "77-1"][..], 3, ["--id 77-1 names no exchange", "1-0"]),
        (&["--from", "2099-01-01T00:00:00Z"], 3, ["the recording goes from ", "is behind it"]),
        (&["--to", "1999-01-01T00:00:00Z"], 3, ["the recording goes from ", "is before it"]),
        (
            &["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"],
            2,
            ["--from 2026-01-02T00:00:00", "is not before --to 2026-01-01T00:00:00"],
        ),
        (
            &["--baseline", "http://127.0.0.1:1"],
            4,
            ["nobody answers at the baseline http://127.0.0.1:1", "refused"],
        ),
    ] {
        replay(flags).expect(code).says(&says);
    }
    // v1 itself took longer than v2 may.
    let answer = response("200 OK", "text/plain", "ok");
    let asked = "GET /health HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let slow = Capture::new(40_000_000).connection(40_001, &[(asked, &answer)]).finish();
    let slow = folder_with("v1.pcap", &slow);
    let arguments = ["replay", "v1.pcap", "--target", &target, "-o", "out", "--timeout", "30ms"];
    shadowtap(slow.path(), &arguments)
        .expect(0)
        .says(&["--timeout 30ms is less than v1 took for an answer (up to "]);
    // What only replays sent is not to be had by other filters.
    let marked = "GET /a HTTP/1.1\r\nHost: shop.test\r\nx-shadowtap-replay: r\r\n\r\n";
    let capture = Capture::new(200_000).connection(40_001, &[(marked, &answer)]).finish();
    let folder = folder_with("v1.pcap", &capture);
    let told = shadowtap(folder.path(), &["replay", "v1.pcap", "--target", &target, "-o", "out"]);
    let told = told.expect(3).says(&["all 1 recorded requests carry x-shadowtap-replay"]);
    assert!(!told.stderr.contains("--include"), "{}", told.stderr);
}

#[test]
fn what_a_run_would_refuse_is_refused_before_it_and_by_a_dry_run() {
    let folder = folder_with("v1.pcap", &small_capture());
    fs::write(folder.path().join("shadowtap.toml"), "[[diff.ignore]]\npath = \"$[\"\n")
        .expect("the rules are written");
    shadowtap(folder.path(), &["replay", "v1.pcap", "--dry-run"]).expect(2);
    fs::remove_file(folder.path().join("shadowtap.toml")).expect("the rules are taken away");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let metrics = taken.local_addr().expect("a bound address").to_string();
    shadowtap(
        folder.path(),
        &["replay", "v1.pcap", "--target", &shop("7"), "--metrics", &metrics, "-o", "out"],
    )
    .expect(2)
    .says(&["cannot listen there"]);
    assert!(!folder.path().join("out").exists(), "no empty folder is left");
}

#[test]
fn run_json_tells_which_requests_were_chosen_and_no_secret() {
    let folder = folder_with("v1.pcap", &small_capture());
    let arguments = [
        "replay",
        "v1.pcap",
        "--target",
        &shop("7"),
        "--include",
        "GET ^/items",
        "--exclude",
        "* 2$",
        "--sample",
        "100%",
    ];
    let more = ["--header", "Authorization: s3cret", "-o", "out"];
    shadowtap(folder.path(), &[&arguments[..], &more[..]].concat()).expect(0);
    let text = fs::read_to_string(folder.path().join("out/run.json")).expect("run.json");
    let settings: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let settings = &settings["settings"];
    assert_eq!(settings["include"], serde_json::json!(["GET ^/items"]));
    assert_eq!(settings["exclude"], serde_json::json!(["* 2$"]));
    assert_eq!(
        (&settings["sample"], &settings["header"]),
        (&serde_json::json!("100%"), &serde_json::json!(["Authorization"]))
    );
    assert!(!text.contains("s3cret"));
}

/// A capture of `n` requests, a second apart.
fn long_capture(n: u16) -> Vec<u8> {
    let answer = response("200 OK", "text/plain", &"x".repeat(4_000));
    let exchanges: Vec<(String, String)> = (0..n)
        .map(|i| (format!("GET /{i} HTTP/1.1\r\nHost: shop.test\r\n\r\n"), answer.clone()))
        .collect();
    let exchanges: Vec<(&str, &str)> =
        exchanges.iter().map(|(request, answer)| (&request[..], &answer[..])).collect();
    Capture::new(1_000_000_000).connection(40_001, &exchanges).finish()
}

#[test]
fn ctrl_c_ends_a_long_replay_with_readable_records() {
    let folder = folder_with("v1.pcap", &long_capture(100));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["replay", "v1.pcap", "--target", &shop("7"), "-o", "out", "-q"])
        .current_dir(folder.path())
        .spawn()
        .expect("the program starts");
    let outcomes = folder.path().join("out/outcomes.jsonl");
    let lines = || fs::read_to_string(&outcomes).map_or(0, |text| text.lines().count());
    for _ in 0..2_000 {
        if lines() >= 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT)
        .expect("the child is there");
    let status = child.wait().expect("the child ends");
    assert_eq!(status.code(), Some(130), "of 100 seconds nearly all were left");
    let text = fs::read_to_string(&outcomes).expect("outcomes.jsonl");
    let last: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON");
    assert_eq!(last["format"], "shadowtap/end");
    assert_eq!(last["ledger"]["in"], 100, "every request is accounted for: {last}");
}

#[test]
fn a_disk_that_fills_up_ends_the_replay_with_3_and_readable_records() {
    let folder = folder_with("v1.pcap", &long_capture(100));
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=768k", "none"])
        .arg(&disk)
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: mounting a small disk takes root");
        return;
    }
    let answers = server(|_| response("200 OK", "text/plain", &"y".repeat(20_000)));
    let target = format!("http://{answers}");
    let ran = shadowtap(
        folder.path(),
        &["replay", "v1.pcap", "--target", &target, "--speed", "max", "-o", "disk/out"],
    );
    let text = fs::read_to_string(disk.join("out/outcomes.jsonl"));
    let left = fs::read_dir(disk.join("out")).map_or(0, |names| {
        let names = names.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".part")).count()
    });
    let umount = std::process::Command::new("umount").arg("-l").arg(&disk).status();
    assert!(umount.is_ok_and(|status| status.success()));
    let text = text.expect("outcomes.jsonl");
    assert!(text.lines().count() >= 1 && text.ends_with('\n'), "whole lines only");
    let kept = format!("the first {} are on disk", text.lines().count() - 1);
    ran.expect(3).says(&["outcomes cannot be written", &kept]);
    assert_eq!(left, 0, "nothing half written fills the disk");
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("each line is readable");
    }
}
