//! Nothing hangs, nothing is lost by a kill, nobody else reads what is written: the program as
//! signals, full disks and other users meet it.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::pcap::Capture;
use support::{response, server, shadowtap};

/// Requests of connections of their own, `apart_ms` after each other.
fn capture(requests: u16, apart_ms: u64) -> Vec<u8> {
    let mut capture = Capture::new(1_000);
    for number in 0..requests {
        let request = format!("GET /items/{number} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        let answer = response("200 OK", "application/json", "{\"a\":1}");
        capture = capture
            .later(apart_ms * 1_000_000)
            .connection(20_000 + number, &[(request.as_str(), answer.as_str())]);
    }
    capture.finish()
}

fn folder_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(name), bytes).expect("the input is written");
    folder
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .arg("-q")
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal)
        .expect("the child is there");
}

/// Waits until `there` says so; a test that waits for longer has failed.
fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

fn shop() -> String {
    format!("http://{}", server(|_| response("200 OK", "application/json", "{\"a\":2}")))
}

#[test]
fn what_is_written_is_its_owners_alone_whatever_the_umask() {
    let folder = folder_with("v1.pcap", &capture(3, 1));
    // A run that was there before, open to all.
    let old = folder.path().join("old");
    fs::create_dir(&old).expect("a folder");
    for name in ["run.json", "exchanges.jsonl", "outcomes.jsonl", "baseline.jsonl", "egress.jsonl"]
    {
        fs::write(old.join(name), "{}").expect("a file");
        fs::set_permissions(old.join(name), fs::Permissions::from_mode(0o666)).expect("its mode");
    }
    fs::set_permissions(&old, fs::Permissions::from_mode(0o777)).expect("its mode");
    let (target, program) = (shop(), env!("CARGO_BIN_EXE_shadowtap"));
    for (output, more) in [("new", ""), ("old", "--force"), ("open", "--mode 0640")] {
        let line = format!(
            "umask 000; exec {program} -q run v1.pcap --target {target} --baseline {target} \
             --mock-listen 127.0.0.1:0 --provider shop.test -o {output} {more}"
        );
        let ran =
            Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().expect("sh");
        let (files, folders) = if output == "open" { (0o640, 0o750) } else { (0o600, 0o700) };
        let out = folder.path().join(output);
        assert!(out.join("egress.jsonl").is_file(), "{ran:?}");
        assert_eq!(mode(&out), folders, "{output}");
        let names = fs::read_dir(&out).expect("the folder");
        for path in names.map(|entry| entry.expect("an entry").path()) {
            assert_eq!(mode(&path), files, "{path:?} {ran:?}");
        }
    }
    shadowtap(folder.path(), &["parse", "v1.pcap", "-o", "v1.jsonl"]).expect(0);
    assert_eq!(mode(&folder.path().join("v1.jsonl")), 0o600);
    shadowtap(folder.path(), &["parse", "v1.pcap", "-o", "v1.jsonl", "--mode", "0477"]).expect(2);
}

#[test]
fn a_folder_has_one_writer_and_a_killed_one_is_no_obstacle() {
    let folder = folder_with("v1.pcap", &capture(60, 1_000));
    let target = shop();
    let arguments = ["replay", "v1.pcap", "--target", &target, "-o", "out"];
    let mut first = start(folder.path(), &arguments);
    let run = folder.path().join("out/run.json");
    wait_until("the first run", || run.exists());
    for more in [&arguments[..], &[&arguments[..], &["--force"]].concat(), &["diff", "out"]] {
        shadowtap(folder.path(), more).expect(3).says(&["another shadowtap is writing to out"]);
    }
    // A file of its own beside the run's is no way into its folder either.
    for more in [
        ["parse", "v1.pcap", "-o", "out/exchanges.jsonl"],
        ["export", "v1.pcap", "-o", "out/../out/v1.har"],
    ] {
        shadowtap(folder.path(), &more).expect(3).says(&["another shadowtap is writing to out"]);
    }
    assert!(!folder.path().join("out/v1.har").exists());
    signal(&first, rustix::process::Signal::KILL);
    first.wait().expect("it ends");
    let again = [&arguments[..], &["--force", "--speed", "max"]].concat();
    shadowtap(folder.path(), &again).expect(0);
    shadowtap(folder.path(), &["export", "out", "-o", "out/v1.har"]).expect(0);
}

#[test]
fn outcomes_are_on_disk_within_a_second_of_a_kill() {
    let folder = folder_with("v1.pcap", &capture(600, 20));
    let target = shop();
    let both = ["replay", "v1.pcap", "--target", &target, "--baseline", &target, "-o", "out"];
    let mut child = start(folder.path(), &both);
    let out = folder.path().join("out");
    let last_due = |name: &str| {
        let text = fs::read_to_string(out.join(name)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let line: serde_json::Value =
            serde_json::from_str(whole.lines().last()?).expect("whole lines");
        line["due_ns"].as_u64()
    };
    // Written while it runs, and not all at its end: 12 seconds are planned.
    wait_until("some outcomes", || {
        ["outcomes.jsonl", "baseline.jsonl"]
            .iter()
            .all(|name| last_due(name).is_some_and(|due| due > 2_000_000_000))
    });
    assert!(child.try_wait().expect("its state").is_none(), "it still runs");
    signal(&child, rustix::process::Signal::KILL);
    child.wait().expect("it ends");
    shadowtap(folder.path(), &["diff", "out"]).expect(0);
    shadowtap(folder.path(), &["report", "out"]).expect(0);
    shadowtap(folder.path(), &["gate", "out"]).prints(&["broken off"]);
}

#[test]
fn a_signal_ends_a_command_that_waits_for_a_pipe() {
    let folder = folder_with("v1.pcap", &capture(40, 1));
    let whole = fs::read(folder.path().join("v1.pcap")).expect("the capture");
    for arguments in [
        &["parse", "pipe", "-o", "out.jsonl"][..],
        &["inspect", "pipe"],
        &["replay", "pipe", "--target", "http://127.0.0.1:9", "-o", "run"],
        &["mock", "pipe", "--listen", "127.0.0.1:0"],
    ] {
        for given in [0, whole.len() / 2] {
            let pipe = folder.path().join("pipe");
            let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
            assert!(made.success());
            let mut child = start(folder.path(), arguments);
            let mut writer = None;
            if given > 0 {
                let mut open = fs::File::options().write(true).open(&pipe).expect("the pipe");
                open.write_all(&whole[..given]).expect("the pipe takes it");
                writer = Some(open);
            } else {
                let tasks = format!("/proc/{}/task", child.id());
                wait_until("the thread that hears signals", || {
                    fs::read_dir(&tasks).is_ok_and(|tasks| tasks.count() > 1)
                });
            }
            signal(&child, rustix::process::Signal::TERM);
            assert_eq!(child.wait().expect("it ends").code(), Some(130), "{arguments:?} {given}");
            drop(writer);
            fs::remove_file(&pipe).expect("the pipe");
            assert!(!folder.path().join("run").exists(), "nothing was replayed: there is no run");
            let names = fs::read_dir(folder.path()).expect("the folder");
            let left: Vec<_> = names
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
                .filter(|name| name.ends_with(".part"))
                .collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[test]
fn a_signal_ends_what_computes_and_leaves_what_was_measured() {
    // One answer of which every line is another: far more than a second of comparing.
    let lines = |word: &'static str| {
        (0..250_000).map(|i| format!("<p class=\"{word}{i}\">{i}</p>")).collect::<String>()
    };
    let page = |word| response("200 OK", "text/html", &lines(word));
    let request = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let recorded = page("a");
    let bytes = Capture::new(1).connection(20_000, &[(request, recorded.as_str())]).finish();
    let folder = folder_with("v1.pcap", &bytes);
    let answer = page("b");
    let target = format!("http://{}", server(move |_| answer.clone()));
    let mut child = start(folder.path(), &["run", "v1.pcap", "--target", &target, "-o", "out"]);
    let out = folder.path().join("out");
    wait_until("the diff", || out.join(".differences.jsonl.part").exists());
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(!out.join(".differences.jsonl.part").exists());
    assert!(!out.join("differences.jsonl").exists(), "never half of it");
    let outcomes = fs::read_to_string(out.join("outcomes.jsonl")).expect("outcomes.jsonl");
    assert!(outcomes.lines().last().is_some_and(|line| line.contains("shadowtap/end")));
}

#[test]
fn a_demo_that_is_interrupted_while_it_captures_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: capturing needs root");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = start(folder.path(), &["demo", "-o", "shown"]);
    let shown = folder.path().join("shown");
    wait_until("the capture", || shown.join("demo.pcap.part").exists());
    signal(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(!shown.exists(), "a part of it was left");
}

/// `ulimit -f` bounds the files of a program: who reaches the bound is told so, and what was
/// written stays readable.
#[test]
fn a_bound_on_the_size_of_files_is_told_like_a_full_disk() {
    let folder = folder_with("v1.pcap", &capture(600, 1));
    let target = shop();
    let bounded = |arguments: &[&str]| {
        Command::new("bash")
            .args(["-c", "ulimit -f 100; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_shadowtap")])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("bash is there")
    };
    for arguments in [
        &["parse", "v1.pcap", "-o", "x.jsonl"][..],
        &["replay", "v1.pcap", "--target", &target, "--speed", "max", "-o", "out"],
        &["run", "v1.pcap", "--target", &target, "--speed", "max", "-o", "run"],
        &["export", "v1.pcap", "-o", "x.har"],
    ] {
        let output = bounded(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("File too large"), "{arguments:?}: {said}");
    }
    // The whole lines that were written are there.
    shadowtap(folder.path(), &["inspect", "x.jsonl"]).expect(0);
    // Of a compressed file, too; this one is full of what cannot be made much shorter.
    let mut random = 7_u64;
    let mut noise = Capture::new(1_000);
    for number in 0..600 {
        let digits = (0..60).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{random:016x}")
        });
        let answer = response("200 OK", "text/plain", &digits.collect::<String>());
        let request = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        noise = noise.connection(20_000 + number, &[(request, answer.as_str())]);
    }
    fs::write(folder.path().join("noise.pcap"), noise.finish()).expect("the input is written");
    for name in ["x.jsonl.zst", "x.jsonl.gz"] {
        let output = bounded(&["parse", "noise.pcap", "-o", name]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{name}: {said}");
        assert!(said.contains("lines are in"), "{name}: {said}");
        shadowtap(folder.path(), &["inspect", name]).expect(0);
    }
}
