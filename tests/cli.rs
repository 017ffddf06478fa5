//! The program as a user meets it: commands, files, exit codes, errors; and the whole road against
//! real servers.

mod support;

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
fn broken_input_is_one_clear_line_and_code_3() {
    let whole = small_capture();
    let broken: [(&str, &[u8]); 4] = [
        ("empty.pcap", b""),
        ("text.pcap", b"this is a text file, and a longer one than any magic number\n"),
        ("head.pcap", &whole[..24]),
        ("cut.pcap", &whole[..10]),
    ];
    for (name, bytes) in broken {
        let folder = folder_with(name, bytes);
        for arguments in [
            vec!["parse", name, "-o", "out.jsonl"],
            vec!["run", name, "--target", "http://127.0.0.1:9", "-o", "out"],
            vec!["inspect", name],
        ] {
            let ran = shadowtap(folder.path(), &arguments).expect(3).says(&[name]);
            assert!(
                ran.stderr.starts_with("shadowtap: ") || ran.stderr.contains("\nshadowtap: "),
                "{}",
                ran.stderr
            );
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    shadowtap(folder.path(), &["parse", "missing.pcap", "-o", "out.jsonl"])
        .expect(3)
        .says(&["missing.pcap"]);
}

#[test]
fn a_capture_cut_inside_a_record_is_used_up_to_there() {
    let whole = small_capture();
    let folder = folder_with("cut.pcap", &whole[..whole.len() - 30]);
    let ran = shadowtap(folder.path(), &["parse", "cut.pcap", "-o", "-"]).expect(0);
    assert_eq!(
        ran.stdout.lines().filter(|line| line.starts_with("{\"id\"")).count(),
        3,
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("cut"), "the damage is named: {}", ran.stderr);
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
fn standard_input_has_its_hash_in_run_json() {
    let capture = small_capture();
    let folder = folder_with("v1.pcap", &capture);
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["-q", "replay", "-", "--target", &shop("7"), "-o", "out"])
        .current_dir(folder.path())
        .stdin(fs::File::open(folder.path().join("v1.pcap")).expect("the capture"))
        .output()
        .expect("the program starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let run: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/run.json")).expect("run.json"))
            .expect("JSON");
    let sum = std::process::Command::new("sha256sum")
        .arg(folder.path().join("v1.pcap"))
        .output()
        .expect("sha256sum runs");
    let sum = String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(
        run["inputs"],
        serde_json::json!([{"name": "-", "bytes": capture.len(), "sha256": sum}])
    );
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
fn a_recording_stands_in_its_run_as_it_is_and_one_that_is_put_together_is_written_anew() {
    let folder = folder_with("v1.pcap", &small_capture());
    small_policy(folder.path());
    let path = |name: &str| folder.path().join(name);
    let read = |name: &str| fs::read_to_string(path(name)).expect(name);
    let target = shop("7");
    let run = |input: &str, out: &str, more: &[&str]| {
        let args = ["run", input, "--target", &target, "-o", out];
        shadowtap(folder.path(), &[&args[..], more].concat()).expect(0);
        let left = fs::read_dir(path(out)).expect("the run's folder");
        let names = left.map(|entry| entry.expect("an entry").file_name().into_string());
        let names: Vec<String> = names.map(|name| name.expect("a name in UTF-8")).collect();
        assert!(!names.iter().any(|name| name.ends_with(".part") || name.ends_with(".link")));
        read(&format!("{out}/exchanges.jsonl"))
    };
    shadowtap(folder.path(), &["parse", "v1.pcap", "-o", "v1.jsonl"]).expect(0);
    let recording = read("v1.jsonl");
    assert_eq!(run("v1.jsonl", "out", &[]), recording);
    let info: serde_json::Value = serde_json::from_str(&read("out/run.json")).expect("run.json");
    assert_eq!(info["inputs"][0]["bytes"], recording.len());
    let plain = info["inputs"][0]["sha256"].clone();
    // Its own recording, and once more for those that may not read the original.
    assert_eq!(run("out/exchanges.jsonl", "out", &["--force"]), recording);
    assert_eq!(run("v1.jsonl", "shown", &["--mode", "0644"]), recording);
    let mode = |name: &str| {
        let data = fs::metadata(path(name)).expect(name);
        std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777
    };
    assert_eq!((mode("v1.jsonl"), mode("shown/exchanges.jsonl")), (0o600, 0o644));
    // Hashed while it was read, or by itself.
    fs::write(path("packed.jsonl.gz"), gzipped(recording.as_bytes())).expect("a recording");
    run("packed.jsonl.gz", "packed", &[]);
    let lines: Vec<&str> = recording.lines().collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    let exchanges = &lines[1..lines.len() - 1];
    for (name, lines) in [
        ("odd", [&[first, "no exchange"], exchanges, &[last]].concat()),
        ("open", [&[first], exchanges].concat()),
    ] {
        let input = format!("{name}.jsonl");
        fs::write(path(&input), lines.join("\n") + "\n").expect("a recording");
        for more in [&[][..], &["--bind", "off", "--order", "connection", "--force"]] {
            let text = run(&input, name, more);
            let kept: Vec<&str> = text.lines().collect();
            assert_eq!(&kept[1..kept.len() - 1], exchanges, "{name}");
        }
        let info: serde_json::Value =
            serde_json::from_str(&read(&format!("{name}/run.json"))).expect("run.json");
        assert_ne!(info["inputs"][0]["sha256"], plain);
    }
    assert_eq!(read("v1.jsonl"), recording, "the original is never written to");
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
}

/// Exchanges of a run to standard output: id and target, in their order.
fn targets(ran: &support::Ran) -> Vec<(String, String)> {
    let lines =
        ran.stdout.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    lines
        .filter(|line| line["id"].is_string())
        .map(|line| (text(&line["id"]), text(&line["request"]["target"])))
        .collect()
}

/// A capture of one connection from `port` with one request, made `after_ns` after the others.
fn one_request(port: u16, target: &str, after_ns: u64) -> Vec<u8> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    Capture::new(200_000)
        .later(after_ns)
        .connection(port, &[(&request, &response("200 OK", "text/plain", "ok"))])
        .finish()
}

#[test]
fn a_file_that_is_still_being_written_is_used_and_not_called_damaged() {
    use std::io::Write as _;
    let whole = small_capture();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut writer = fs::File::create(folder.path().join("v1.pcap")).expect("the capture is begun");
    shadowtap(folder.path(), &["parse", "v1.pcap", "-o", "-"])
        .expect(3)
        .says(&["v1.pcap is still being written"]);
    writer.write_all(&whole[..whole.len() - 30]).expect("room");
    let ran = shadowtap(folder.path(), &["parse", "v1.pcap", "-o", "-"])
        .expect(0)
        .says(&["v1.pcap: still being written"]);
    assert_eq!(targets(&ran).len(), 3, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("\"inputs-still-being-written\":1")
            && !ran.stdout.contains("damaged-inputs"),
        "{}",
        ran.stdout
    );
    // A recording without its end, likewise.
    let mut recording =
        fs::File::create(folder.path().join("v1.jsonl")).expect("the recording is begun");
    recording.write_all(&ran.stdout.as_bytes()[..ran.stdout.len() - 50]).expect("room");
    shadowtap(folder.path(), &["inspect", "v1.jsonl"])
        .expect(0)
        .prints(&["v1.jsonl: still being written"]);
    drop((writer, recording));
    // Nobody writes them any more: now it is damage.
    shadowtap(folder.path(), &["parse", "v1.pcap", "-o", "-"])
        .expect(0)
        .says(&["v1.pcap: damaged at byte", "damaged-inputs"]);
    shadowtap(folder.path(), &["inspect", "v1.jsonl"])
        .expect(0)
        .prints(&["v1.jsonl: ends inside line"]);
}

#[test]
fn several_inputs_are_merged_by_time_with_their_offsets_and_one_given_twice_counts_once() {
    let folder = folder_with("first.pcap", &one_request(40_001, "/a", 0));
    fs::write(folder.path().join("second.pcap"), one_request(40_002, "/b", 1_000_000_000))
        .expect("written");
    let read = |arguments: &[&str]| targets(&shadowtap(folder.path(), arguments).expect(0));
    let named = |ids: [(&str, &str); 2]| ids.map(|(id, target)| (id.to_owned(), target.to_owned()));
    let merged = read(&["parse", "second.pcap", "first.pcap", "-o", "-"]);
    assert_eq!(merged, named([("0-0", "/a"), ("1-0", "/b")]));
    let moved =
        read(&["parse", "second.pcap", "first.pcap", "--offset", "second.pcap=-2s", "-o", "-"]);
    assert_eq!(moved, named([("0-0", "/b"), ("1-0", "/a")]));
    shadowtap(folder.path(), &["parse", "first.pcap", "--offset", "other.pcap=1s", "-o", "-"])
        .expect(2)
        .says(&["other.pcap"]);

    let twice = shadowtap(folder.path(), &["parse", "first.pcap", "first.pcap", "-o", "-"])
        .expect(0)
        .says(&["rejected: duplicate"]);
    assert_eq!(targets(&twice), [("0-0".to_owned(), "/a".to_owned())], "{}", twice.stdout);

    // A capture and a recording, in either order of arguments.
    shadowtap(folder.path(), &["parse", "second.pcap", "-o", "second.jsonl"]).expect(0);
    for inputs in [["first.pcap", "second.jsonl"], ["second.jsonl", "first.pcap"]] {
        let mixed = read(&["parse", inputs[0], inputs[1], "-o", "-"]);
        assert_eq!(mixed, named([("0-0", "/a"), ("1-0", "/b")]));
    }
    let earlier =
        read(&["parse", "first.pcap", "second.jsonl", "--offset", "second.jsonl=-1h", "-o", "-"]);
    assert_eq!(earlier, named([("1-0", "/b"), ("0-0", "/a")]));
}

#[test]
fn standard_input_and_urls_are_inputs_as_well() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let capture = small_capture();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["parse", "-", "-o", "out.jsonl"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    // As a pipe may deliver it.
    capture.chunks(97).for_each(|part| input.write_all(part).expect("the program reads"));
    drop(input);
    assert!(child.wait().expect("it ends").success());
    let from_pipe = fs::read_to_string(folder.path().join("out.jsonl")).expect("written");
    assert_eq!(from_pipe.matches("\"completeness\":\"complete\"").count(), 3);
    shadowtap(folder.path(), &["parse", "-", "-", "-o", "x.jsonl"])
        .expect(2)
        .says(&["standard input"]);

    // The recording, since the test's server sends text.
    let recording: &'static str = from_pipe.leak();
    let address = server(move |line| match line.split(' ').nth(1) {
        Some(target) if target.starts_with("/v1.jsonl") => {
            response("200 OK", "application/json", recording)
        }
        _ => response("404 Not Found", "text/plain", "no such thing"),
    });
    let url = format!("http://{address}/v1.jsonl?key=secret");
    let ran = shadowtap(folder.path(), &["parse", &url, "-o", "-"]).expect(0);
    assert_eq!(targets(&ran).len(), 3, "{}", ran.stdout);
    let failed = shadowtap(
        folder.path(),
        &["parse", &format!("http://{address}/other?key=secret"), "-o", "-"],
    )
    .expect(3)
    .says(&["404"]);
    assert!(!failed.stderr.contains("secret"), "{}", failed.stderr);
}

#[test]
fn filters_that_leave_nothing_over_are_an_error_and_leave_nothing_behind() {
    let folder = folder_with("v1.pcap", &small_capture());
    for arguments in [
        &["replay", "v1.pcap", "--include", "GET ^/nowhere", "--target", &shop("7"), "-o", "out"][..],
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

/// What v1 and v2 both hold in secret: a session that they issue at each login, and a customer's
/// address and card.
const SECRETS: [&str; 4] =
    ["s3ss10n-0f-joe-7f3a9c", "joe.black@shop.example", "4111 1111 1111 1111", "open-sesame-42"];

/// Both versions: a login, which repeats who logged in, the account, and a search.
fn account(line: &str) -> String {
    let [session, email, card, _] = SECRETS;
    let target = line.split(' ').nth(1).unwrap_or_default();
    let body = match target.split_once('?') {
        Some(("/login", query)) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            let body = format!("{{\"asked\":\"{query}\",\"session_token\":\"{session}\"}}");
            return format!(
                "{head}Set-Cookie: sid={session}; Path=/\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        _ => format!("{{\"path\":\"{target}\",\"owner\":\"{email}\",\"payment\":\"card {card}\"}}"),
    };
    response("200 OK", "application/json", &body)
}

fn capture_with_secrets() -> Vec<u8> {
    let [session, email, _, password] = SECRETS;
    let requests = [
        format!("GET /login?email={email}&password={password} HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
        format!("GET /account HTTP/1.1\r\nHost: shop.test\r\nCookie: sid={session}\r\n\r\n"),
    ];
    let answers =
        requests.each_ref().map(|request| account(request.lines().next().unwrap_or_default()));
    let exchanges: Vec<(&str, &str)> =
        requests.iter().zip(&answers).map(|(ask, answer)| (&**ask, &**answer)).collect();
    Capture::new(200_000).connection(40_001, &exchanges).finish()
}

/// Fails where a file of the run holds a secret.
#[track_caller]
fn holds_no_secret(run: &Path) {
    for entry in fs::read_dir(run).expect("the run's folder") {
        let path = entry.expect("an entry").path();
        let text =
            String::from_utf8_lossy(&fs::read(&path).expect("a file of the run")).into_owned();
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn an_equal_v2_is_equal_to_a_redacted_recording_under_its_key_and_not_without_a_warning() {
    let folder = folder_with("v1.pcap", &capture_with_secrets());
    small_policy(folder.path());
    for (name, key) in
        [("key", "0123456789abcdef0123456789abcdef"), ("other", "fedcba9876543210fedcba9876543210")]
    {
        fs::write(folder.path().join(name), key).expect("a key");
    }
    let redact = ["--redact", "default", "--redact-key", "key"];
    shadowtap(folder.path(), &[&["parse", "v1.pcap", "-o", "v1.jsonl"][..], &redact].concat())
        .expect(0);
    let recorded = fs::read_to_string(folder.path().join("v1.jsonl")).expect("the recording");
    assert!(
        recorded
            .lines()
            .next()
            .is_some_and(|first| first.contains(r#""redacted":{"rules":["default"],"key":""#)),
        "{recorded}"
    );
    let target = format!("http://{}", server(account));
    let baseline = format!("http://{}", server(account));
    let run = |out: &str, more: &[&str]| {
        let common = ["run", "v1.jsonl", "--target", &target, "-o", out];
        shadowtap(folder.path(), &[&common[..], more].concat())
    };
    for (out, more) in [
        ("same", &[][..]),
        ("client", &["--transport", "client"]),
        ("both", &["--baseline", &baseline]),
    ] {
        let ran = run(out, &[&redact[..], more].concat()).expect(0);
        assert!(!ran.stderr.contains("redacted"), "{}", ran.stderr);
        holds_no_secret(&folder.path().join(out));
        let outcomes = fs::read_to_string(folder.path().join(out).join("outcomes.jsonl"))
            .expect("outcomes.jsonl");
        assert_eq!(outcomes.matches("\"status\":200").count(), 2, "{outcomes}");
    }
    // Each way to miss it is told, and how to mend it.
    run("plain", &[])
        .expect(1)
        .says(&["v2's answers are not", "add --redact default --redact-key FILE"]);
    run("other-key", &["--redact", "default", "--redact-key", "other"])
        .expect(1)
        .says(&["under another key", "--redact-key FILE"]);
    holds_no_secret(&folder.path().join("other-key"));
    run("other-rules", &["--redact", "cookie:sid", "--redact-key", "key"])
        .expect(1)
        .says(&["other rules", "--redact default"]);
    // The file says it as well as flags do; a replay alone does the same.
    let policy = fs::read_to_string(folder.path().join("shadowtap.toml")).expect("the policy");
    let section = "[replay]\nredact = [\"default\"]\nredact_key = \"key\"\n";
    fs::write(folder.path().join("shadowtap.toml"), format!("{section}{policy}"))
        .expect("the policy");
    shadowtap(folder.path(), &["replay", "v1.jsonl", "--target", &target, "-o", "alone"]).expect(0);
    holds_no_secret(&folder.path().join("alone"));
    let settings = fs::read_to_string(folder.path().join("alone/run.json")).expect("run.json");
    assert!(
        settings.contains("\"redacted\"") && !settings.contains("0123456789abcdef"),
        "{settings}"
    );
    shadowtap(
        folder.path(),
        &["replay", "v1.jsonl", "v1.pcap", "--target", &target, "-o", "mixed"],
    )
    .expect(2)
    .says(&["some inputs are redacted and others are not"]);
    assert!(!folder.path().join("mixed").exists());
}

#[test]
fn a_capture_is_replayed_with_its_secrets_and_leaves_none_in_the_folder() {
    let folder = folder_with("v1.pcap", &capture_with_secrets());
    small_policy(folder.path());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let lines = std::sync::Arc::clone(&seen);
    let v2 = server(move |line| {
        lines.lock().expect("no panic").push(line.to_owned());
        account(line)
    });
    // The key is drawn anew: within one run that is enough.
    shadowtap(
        folder.path(),
        &[
            "run",
            "v1.pcap",
            "--redact",
            "default",
            "--target",
            &format!("http://{v2}"),
            "-o",
            "out",
        ],
    )
    .expect(0);
    holds_no_secret(&folder.path().join("out"));
    assert!(
        seen.lock().expect("no panic").iter().any(|line| line.contains(SECRETS[3])),
        "v2 got what was captured"
    );
    let recorded =
        fs::read_to_string(folder.path().join("out/exchanges.jsonl")).expect("exchanges.jsonl");
    assert!(
        recorded.lines().next().is_some_and(|first| first.contains("\"redacted\"")),
        "{recorded}"
    );
}

#[test]
fn a_replay_reads_tls_by_a_key_log_and_names_paths_that_come_near_a_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/tls12-cbc-etm.pcap");
    let keys = format!("{capture}.keylog.txt");
    let plan = |flags: &[&str]| {
        let plain = ["replay", capture, "--dry-run", "--target", "http://127.0.0.1:1"];
        shadowtap(folder.path(), &[&plain[..], flags].concat())
    };
    plan(&[]).expect(3);
    plan(&["--keylog", &keys]).expect(0).prints(&["would send 3 requests"]);
    plan(&["--keylog", &keys, "--include", "GET ^/gett$"])
        .expect(3)
        .says(&["nearest to --include 'GET ^/gett$' come GET /get"]);
    plan(&["--keylog", &keys, "--offset", "other.pcap=1s"])
        .expect(2)
        .says(&["--offset names other.pcap"]);
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}
