//! What a cluster needs of the program: the parts of the demo as servers of their own, and shards.

#[expect(dead_code, reason = "shared with the other end-to-end tests, which use the rest")]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::pcap::Capture;
use support::{response, server, shadowtap};

/// A server of the program's own, ended by SIGTERM when it is dropped.
struct Serving {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(["demo", "serve"])
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line that says where it listens");
        let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
        Self { child, lines, address }
    }

    /// Ends it; what it said last.
    fn end(mut self) -> String {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)
            .expect("the child is there");
        let mut said = String::new();
        while self.lines.read_line(&mut said).is_ok_and(|bytes| bytes > 0) {}
        assert_eq!(self.child.wait().expect("the child ends").code(), Some(0), "{said}");
        said
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_parts_of_the_demo_serve_by_themselves() {
    let provider = Serving::start(&["provider"]);
    let shop = Serving::start(&["v1", "--provider", &provider.address]);
    let here = Path::new(".");
    let visit = ["demo", "customers", &shop.address, "--sessions", "12", "-q"];
    shadowtap(here, &visit).expect(0).prints(&["12 customers", " 0 sessions broke off"]);
    shop.end();
    let charged = provider.end();
    assert!(charged.contains("charged ") && !charged.contains("charged 0 "), "{charged}");

    let gone = ["demo", "customers", "127.0.0.1:1", "--sessions", "1", "-q"];
    shadowtap(here, &gone).expect(4).says(&["no request was answered"]);
    shadowtap(here, &["demo", "customers", "shop"]).expect(2).says(&["host and a port"]);
    shadowtap(here, &["demo", "serve", "v3"]).expect(2);
}

#[test]
fn the_interface_of_an_address_is_found() {
    let here = Path::new(".");
    shadowtap(here, &["interfaces"]).expect(0).prints(&["lo 127.0.0.1"]);
    let own = shadowtap(here, &["interfaces", "--pod-ip", "127.0.0.1"]).expect(0);
    assert_eq!(own.stdout, "lo\n");
    // An address that is kept for documentation (RFC 5737) is on no machine.
    let other = shadowtap(here, &["interfaces", "--pod-ip", "203.0.113.9"]).expect(3);
    assert!(other.stderr.contains("--filter 'host 203.0.113.9'"), "{}", other.stderr);
}

/// A capture of twelve connections with three requests each.
fn capture() -> Vec<u8> {
    let connections = 12;
    let mut capture = Capture::new(200_000);
    for connection in 0..connections {
        let answers: Vec<(String, String)> = (0..3)
            .map(|n| {
                let item = connection * 3 + n;
                let request = format!("GET /items/{item} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
                let body = format!("{{\"id\":{item},\"price\":7,\"at\":{}}}", 1_000 + item);
                (request, response("200 OK", "application/json", &body))
            })
            .collect();
        let answers: Vec<(&str, &str)> =
            answers.iter().map(|(request, answer)| (&**request, &**answer)).collect();
        capture = capture.connection(40_000 + connection, &answers);
    }
    capture.finish()
}

/// A v2 that has one price wrong.
fn v2() -> String {
    let address = server(|line| {
        let item = line.split(['/', ' ']).nth(3).unwrap_or_default().to_owned();
        let price = if item == "7" { 8 } else { 7 };
        let at = 1_000 + item.parse::<u32>().unwrap_or(0);
        let body = format!("{{\"id\":{item},\"price\":{price},\"at\":{at}}}");
        response("200 OK", "application/json", &body)
    });
    format!("http://{address}")
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
    text.lines().map(str::to_owned).collect()
}

/// What `diff` says of a run, without what depends on the run's own name.
fn findings(folder: &Path) -> Vec<Vec<String>> {
    shadowtap(folder, &["diff", ".", "-q"]).expect(0);
    ["differences.jsonl", "clusters.jsonl", "noise.jsonl", "mismatches.csv", "diff.json"]
        .map(|name| lines(&folder.join(name)))
        .to_vec()
}

#[test]
fn shards_hold_their_own_part_and_merge_to_what_one_run_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("v1.pcap"), capture()).expect("the capture is written");
    let target = v2();
    let replay = |input: &str, output: &str, more: &[&str]| {
        let base = ["replay", input, "--target", &target, "--speed", "max", "-q", "-o", output];
        shadowtap(here, &[&base[..], more].concat()).expect(0);
    };
    replay("v1.pcap", "whole", &[]);
    let whole = lines(&here.join("whole/exchanges.jsonl"));
    assert_eq!(whole.len(), 38);
    let expected = findings(&here.join("whole"));
    assert!(expected[1].iter().any(|cluster| cluster.contains("$.price")), "{expected:?}");
    // A recording is read line by line and a capture on all cores: both ways to the same parts.
    for (input, count) in [("v1.pcap", 1), ("v1.pcap", 2), ("whole/exchanges.jsonl", 7)] {
        let shards: Vec<String> = (1..=count).map(|n| format!("of{count}/{n}")).collect();
        for (n, shard) in (1..).zip(&shards) {
            replay(input, shard, &["--shard", &format!("{n}/{count}")]);
        }
        let held: usize = shards
            .iter()
            .map(|shard| lines(&here.join(shard).join("exchanges.jsonl")).len() - 2)
            .sum();
        assert_eq!(held, 36, "each exchange is in one shard");
        let into = format!("whole-of-{count}");
        let mut arguments = vec!["merge", "-o", &into, "-q"];
        // In whatever order they are named.
        arguments.extend(shards.iter().rev().map(String::as_str));
        shadowtap(here, &arguments).expect(0);
        assert_eq!(lines(&here.join(&into).join("exchanges.jsonl"))[1..], whole[1..]);
        assert_eq!(findings(&here.join(&into)), expected);
        if count > 1 {
            arguments.pop();
            arguments.push("--force");
            shadowtap(here, &arguments).expect(2).says(&[&format!("1/{count} is missing")]);
        }
    }
}

#[test]
fn a_shard_is_chosen_by_the_index_of_its_job_and_starts_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("v1.pcap"), capture()).expect("the capture is written");
    let target = v2();
    let replay = |index: Option<&str>, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
        command.args(["replay", "v1.pcap", "--target", &target, "--speed", "max", "-q"]);
        command.args(more).current_dir(here).env_remove("JOB_COMPLETION_INDEX");
        command.envs(index.map(|index| ("JOB_COMPLETION_INDEX", index)));
        let output = command.output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let indexed = ["--shard", "index/3", "--start-at", "+100ms", "-o", "run/3"];
    let (code, said) = replay(Some("2"), &indexed);
    assert_eq!(code, Some(0), "{said}");
    let info = std::fs::read_to_string(here.join("run/3/run.json")).expect("run.json");
    assert!(info.contains("\"3/3\""), "the index counts from 0: {info}");
    assert!(here.join("run/start.json").exists());
    for (index, more, why) in [
        (None, &["--shard", "index/3"][..], "JOB_COMPLETION_INDEX is not set"),
        (Some("3"), &["--shard", "index/3"], "none of 3 shards"),
        (None, &["--start-at", "2020-01-01T00:00:00Z"], "has passed"),
        (Some("0"), &["--shard", "index/3", "--start-at", "+1ms", "-o", "run/1"], "has passed"),
    ] {
        let (code, said) = replay(index, more);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert!(!here.join("run/1").exists(), "what did not begin leaves nothing");
}
