//! What a command reads: damaged, cut and growing files, several at once, pipes and URLs.

use super::*;

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
fn a_key_log_that_cannot_be_read_is_an_input_that_cannot() {
    let folder = folder_with("v1.pcap", &small_capture());
    for keylog in ["nowhere.log", "."] {
        for command in [
            &["parse", "v1.pcap", "-o", "x.jsonl"][..],
            &["inspect", "v1.pcap"],
            &["replay", "v1.pcap", "--target", "http://127.0.0.1:9", "-o", "out"],
        ] {
            let says = format!("cannot read the key log {keylog}");
            shadowtap(folder.path(), &[command, &["--keylog", keylog]].concat())
                .expect(3)
                .says(&[&says]);
        }
    }
    assert!(!folder.path().join("out").exists() && !folder.path().join("x.jsonl").exists());
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}
