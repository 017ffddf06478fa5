//! What a cluster needs of the program: the parts of the demo as servers of their own, and shards.

#[path = "support/s3.rs"]
mod s3;
#[expect(dead_code, reason = "shared with the other end-to-end tests, which use the rest")]
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use s3::Store;
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
    capture_of(0)
}

/// A capture whose exchanges take more than nine million bytes.
fn large_capture() -> Vec<u8> {
    let body = format!("{{\"text\":\"{}\"}}", "shadow and light ".repeat(20_000));
    let answer = response("200 OK", "application/json", &body);
    let request = "GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    let connections = 40_000..40_030;
    let capture = Capture::new(200_000);
    connections
        .fold(capture, |capture, port| capture.connection(port, &[(request, &answer)]))
        .finish()
}

/// The same, each request of another one of so many users.
fn capture_of(users: u16) -> Vec<u8> {
    let connections: u16 = 12;
    let mut capture = Capture::new(200_000);
    for connection in 0..connections {
        let answers: Vec<(String, String)> = (0..3)
            .map(|n| {
                let item = connection * 3 + n;
                let user = match users {
                    0 => String::new(),
                    _ => format!("X-User: user-{}\r\n", item % users),
                };
                let head = "HTTP/1.1\r\nHost: shop.test\r\n";
                let request = format!("GET /items/{item} {head}{user}\r\n");
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

/// What `diff` says of a run, without what depends on the run's own name. Each folder masks secrets
/// in its own way, so they are shown.
fn findings(folder: &Path) -> Vec<Vec<String>> {
    shadowtap(folder, &["diff", ".", "-q", "--show-secrets"]).expect(0);
    ["differences.jsonl", "clusters.jsonl", "noise.jsonl", "mismatches.csv", "diff.json"]
        .map(|name| lines(&folder.join(name)))
        .to_vec()
}

/// Replays a capture whole and in shards, which merge to the same; gives the lines of each shard's
/// recording, of seven.
fn sharded(v1: &[u8], more: &[&str]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("v1.pcap"), v1).expect("the capture is written");
    let target = v2();
    let replay = |input: &str, output: &str, shard: &[&str]| {
        let base = ["replay", input, "--target", &target, "--speed", "max", "-q", "-o", output];
        shadowtap(here, &[&base[..], more, shard].concat()).expect(0);
    };
    replay("v1.pcap", "whole", &[]);
    let whole = lines(&here.join("whole/exchanges.jsonl"));
    assert_eq!(whole.len(), 38);
    let expected = findings(&here.join("whole"));
    assert!(expected[1].iter().any(|cluster| cluster.contains("$.price")), "{expected:?}");
    // A recording is read line by line and a capture on all cores: both ways to the same parts.
    let mut last = Vec::new();
    for (input, count) in [("v1.pcap", 1), ("v1.pcap", 2), ("whole/exchanges.jsonl", 7)] {
        let shards: Vec<String> = (1..=count).map(|n| format!("of{count}/{n}")).collect();
        for (n, shard) in (1..).zip(&shards) {
            replay(input, shard, &["--shard", &format!("{n}/{count}")]);
        }
        let of = |shard: &String| {
            let lines = lines(&here.join(shard).join("exchanges.jsonl"));
            lines[1..lines.len() - 1].to_vec()
        };
        last = shards.iter().map(of).collect();
        let held: usize = last.iter().map(Vec::len).sum();
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
    last
}

/// A capture in which each connection makes a cart and asks for it by its number.
fn capture_of_carts() -> Vec<u8> {
    let mut capture = Capture::new(200_000);
    for connection in 0..12u16 {
        let cart = cart(1, u64::from(connection));
        let head = "HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        let made = response("200 OK", "application/json", &format!("{{\"cart\":\"{cart}\"}}"));
        let body = format!("{{\"cart\":\"{cart}\",\"price\":7}}");
        let asked = response("200 OK", "application/json", &body);
        capture = capture.connection(
            40_000 + connection,
            &[
                (&format!("GET /new/{connection} {head}"), &made),
                (&format!("GET /carts/{cart} {head}"), &asked),
                (&format!("GET /carts/{cart}/lines {head}"), &asked),
            ],
        );
    }
    capture.finish()
}

/// Number of a cart as a version makes them: twelve digits, drawn at random.
fn cart(version: u64, connection: u64) -> u64 {
    let mixed = (connection + 100 * version + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    100_000_000_000 + (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) % 900_000_000_000
}

/// v2 of the carts' service: with ids of its own.
fn carts() -> std::net::SocketAddr {
    server(|line| {
        let path = line.split(' ').nth(1).unwrap_or_default();
        let last = path.split('/').nth(2).unwrap_or_default();
        let body = match path.strip_prefix("/new/") {
            Some(connection) => {
                format!("{{\"cart\":\"{}\"}}", cart(2, connection.parse().unwrap_or(0)))
            }
            None => format!("{{\"cart\":\"{last}\",\"price\":7}}"),
        };
        response("200 OK", "application/json", &body)
    })
}

/// What v2 issued in a shard is what it issued: merged, nothing of it is a difference.
#[test]
fn what_shards_bound_is_bound_in_their_sum() {
    let address = carts();
    let target = format!("http://{address}");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("v1.pcap"), capture_of_carts()).expect("the capture is written");
    let replay = |output: &str, shard: &[&str]| {
        let base = ["replay", "v1.pcap", "--target", &target, "--speed", "max", "-q", "-o", output];
        shadowtap(here, &[&base[..], shard].concat()).expect(0);
    };
    replay("whole", &[]);
    let bound = lines(&here.join("whole/bindings.jsonl"));
    assert_eq!(bound.len(), 12, "{bound:?}");
    let flows = lines(&here.join("whole/flows.jsonl"));
    let expected = findings(&here.join("whole"));
    assert!(!expected[1].iter().any(|cluster| cluster.contains("regression")), "{expected:?}");
    for count in [1, 2, 7] {
        let shards: Vec<String> = (1..=count).map(|n| format!("of{count}/{n}")).collect();
        for (n, shard) in (1..).zip(&shards) {
            replay(shard, &["--shard", &format!("{n}/{count}")]);
        }
        let into = format!("whole-of-{count}");
        let mut arguments = vec!["merge", "-o", &into, "-q"];
        arguments.extend(shards.iter().map(String::as_str));
        shadowtap(here, &arguments).expect(0);
        assert_eq!(lines(&here.join(&into).join("bindings.jsonl")), bound, "of {count}");
        assert_eq!(lines(&here.join(&into).join("flows.jsonl")), flows, "of {count}");
        assert_eq!(findings(&here.join(&into)), expected, "of {count}");
    }
    // The same of shards in a store.
    let store = Store::start();
    for n in 1..=2 {
        for entry in std::fs::read_dir(here.join(format!("of2/{n}"))).expect("the shard") {
            let path = entry.expect("a file of it").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let held = std::fs::read(&path).expect("it is read");
            store.put(&format!("run/{n}/{name}"), &held);
        }
    }
    let stored = ["merge", "s3://bucket/run/", "-o", "stored", "-q"];
    let (code, said, _) = with_store(&store, here, &stored);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(lines(&here.join("stored/bindings.jsonl")), bound);
    assert_eq!(findings(&here.join("stored")), expected);
}

/// One shard looks for what flows, and the others take it from there: it comes to the same.
#[test]
fn shards_share_what_one_of_them_found() {
    let target = format!("http://{}", carts());
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let store = Store::start();
    std::fs::write(here.join("v1.pcap"), capture_of_carts()).expect("the capture is written");
    let base = ["replay", "v1.pcap", "--target", &target, "--speed", "max"];
    shadowtap(here, &[&base[..], &["-q", "-o", "whole"]].concat()).expect(0);
    let name = |n: &str| format!("of3/{n}");
    for (place, merged) in [("of3/flows", "one"), ("s3://bucket/of3/flows", "other")] {
        let shard = |n: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
            command.args(base).args(["--shard", &format!("{n}/3"), "--flows", place, "--force"]);
            command.args(["-o", &name(n), "-v"]).envs(store.environment());
            command.env("TMPDIR", here).env("NO_COLOR", "1").current_dir(here);
            let command = command.stderr(Stdio::piped()).stdout(Stdio::null());
            Held(command.spawn().expect("the program starts"))
        };
        // The others wait for the first one, whoever comes first.
        let mut early = shard("3");
        let mut said = String::new();
        let mut lines_of = BufReader::new(early.0.stderr.take().expect("it is piped"));
        while !said.contains("waiting for what flows") {
            assert!(lines_of.read_line(&mut said).is_ok_and(|got| got > 0), "{said}");
        }
        for mut shard in [shard("1"), shard("2"), early] {
            assert!(shard.0.wait().expect("it ends").success());
        }
        let shards: Vec<String> = ["1", "2", "3"].map(name).into();
        let merge = {
            let mut merge = vec!["merge", "-q", "-o", merged];
            merge.extend(shards.iter().map(String::as_str));
            merge
        };
        shadowtap(here, &merge).expect(0);
        for file in ["bindings.jsonl", "flows.jsonl"] {
            let expected = lines(&here.join("whole").join(file));
            assert_eq!(lines(&here.join(merged).join(file)), expected, "{place}: {file}");
            assert!(expected.len() > 1, "{expected:?}");
        }
        assert_eq!(findings(&here.join(merged)), findings(&here.join("whole")), "{place}");
    }
    assert!(!store.get("of3/flows").is_empty());
    // What was found in something else is refused, before anything is sent.
    let run = |more: &[&str]| {
        let shared = ["--flows", "of3/flows", "-q", "-o", "refused"];
        shadowtap(here, &[&base[..], &shared, more].concat())
    };
    for (more, why) in [
        (&["--bind", "likely"][..], "other settings"),
        (&["--bind", "off"], "binds nothing"),
        (&["--redact", "default"], "redact the recording first"),
    ] {
        let said = run(more).expect(2).stderr;
        assert!(said.contains(why), "{said}");
    }
    run(&[]).expect(0);
    let mut other = capture_of_carts();
    *other.last_mut().expect("it has bytes") ^= 1;
    std::fs::write(here.join("v1.pcap"), other).expect("the capture is written");
    let said = run(&["--force"]).expect(2).stderr;
    assert!(said.contains("other inputs") && said.contains("of3/flows"), "{said}");
}

#[test]
fn shards_hold_their_own_part_and_merge_to_what_one_run_says() {
    sharded(&capture(), &[]);
}

/// A process that does not outlive its test.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a shard is still writing is half of it, and what one that was killed left is told as that.
#[test]
fn a_shard_under_way_is_not_merged_and_one_that_was_cut_off_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("v1.pcap"), capture()).expect("the capture is written");
    let target = v2();
    let base = ["replay", "v1.pcap", "--target", &target, "--speed", "max", "-q"];
    shadowtap(here, &[&base[..], &["--shard", "2/2", "-o", "run/2"]].concat()).expect(0);
    let under_way = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(base)
        .args(["--shard", "1/2", "--start-at", "+1h", "-o", "run/1"])
        .current_dir(here)
        .spawn();
    let under_way = Held(under_way.expect("the program starts"));
    until("the shard is ready", || here.join("run/1/outcomes.jsonl").exists());
    let merge = ["merge", "run", "-o", "whole"];
    let refused = shadowtap(here, &merge).expect(3);
    assert!(refused.stderr.contains("another shadowtap is writing to run/1"), "{}", refused.stderr);
    assert!(!here.join("whole").exists(), "nothing was begun");
    drop(under_way);
    let merged = shadowtap(here, &merge).expect(0);
    assert!(merged.stderr.contains("the replay of run/1 was cut off"), "{}", merged.stderr);
    shadowtap(here, &["diff", "whole", "-q"]).expect(0);
    let judged = shadowtap(here, &["gate", "whole", "-q", "--max-mismatch-rate", "1"]).expect(5);
    assert!(judged.stdout.contains("outcomes.jsonl has no last line"), "{}", judged.stdout);
}

/// Merges while another run takes the place of one of the shards: whatever comes first, what is
/// merged is of one run.
#[test]
fn shards_that_are_sent_anew_meanwhile_are_not_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (store, target) = (Store::start(), v2());
    std::fs::write(here.join("v1.pcap"), capture()).expect("the capture is written");
    let run = |arguments: &[&str]| with_store(&store, here, arguments);
    for n in ["1", "2"] {
        let (shard, output) = (format!("{n}/2"), format!("s3://bucket/run/{n}"));
        let base = ["replay", "v1.pcap", "--target", &target, "--speed", "max", "-q", "-o"];
        let (code, said, _) = run(&[&base[..], &[&*output, "--shard", &shard]].concat());
        assert_eq!(code, Some(0), "{said}");
    }
    let merge = ["merge", "s3://bucket/run/", "-o", "whole", "-q"];
    // Another run of that shard is there as soon as the outcomes were fetched.
    let other = String::from_utf8(store.get("run/2/run.json")).expect("text");
    let other = other.replacen("\"run\": \"", "\"run\": \"other-", 1);
    store.after("run/2/outcomes.jsonl", "run/2/run.json", other.as_bytes());
    let (code, said, _) = run(&merge);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("another run took the place of s3://bucket/run/2"), "{said}");
    assert!(!here.join("whole/run.json").exists());
    let (code, said, _) = run(&merge);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn shards_cut_no_user_where_lanes_are_those_of_users() {
    let shards = sharded(&capture_of(5), &["--lanes", "header:x-user"]);
    let of = |shard: &Vec<String>, user: &str| shard.iter().filter(|l| l.contains(user)).count();
    for user in ["user-0", "user-1", "user-2", "user-3", "user-4"] {
        let counts: Vec<usize> = shards.iter().map(|shard| of(shard, user)).collect();
        let whole = 36 / 5 + usize::from(user == "user-0");
        assert!(counts.contains(&whole), "{user}: {counts:?}");
    }
}

/// A capture of a proxy that sends twelve users over two connections: each is given a cookie, and
/// asks for its own cart with it.
fn capture_of_a_proxy() -> Vec<u8> {
    let mut capture = Capture::new(200_000);
    for connection in 0..2u16 {
        let users = (0..12u64).filter(|user| user % 2 == u64::from(connection));
        let mut said = Vec::new();
        let (mut first, mut then) = (Vec::new(), Vec::new());
        for user in users {
            let id = cart(1, user);
            let set = format!("Set-Cookie: session={id}\r\n");
            let given = response("200 OK", "application/json", &format!("{{\"user\":{user}}}"));
            let given = given.replacen("\r\n", &format!("\r\n{set}"), 1);
            first.push((format!("GET /new/{user} HTTP/1.1\r\nHost: shop.test\r\n\r\n"), given));
            let cookie = format!("Cookie: session={id}\r\n");
            let own = response("200 OK", "application/json", "{\"price\":7}");
            for what in ["cart", "orders"] {
                let head = format!("GET /{what} HTTP/1.1\r\nHost: shop.test\r\n{cookie}\r\n");
                then.push((head, own.clone()));
            }
        }
        said.append(&mut first);
        said.append(&mut then);
        let said: Vec<(&str, &str)> =
            said.iter().map(|(request, answer)| (&**request, &**answer)).collect();
        capture = capture.connection(40_000 + connection, &said);
    }
    capture.finish()
}

/// A connection that users of several shards share ends in each with its own part.
#[test]
fn shards_of_what_a_proxy_sent_end_and_merge_to_the_whole() {
    let address = server(|line| {
        let path = line.split(' ').nth(1).unwrap_or_default();
        match path.strip_prefix("/new/").and_then(|user| user.parse::<u64>().ok()) {
            Some(user) => {
                let set = format!("\r\nSet-Cookie: session={}\r\n", cart(2, user));
                let body = format!("{{\"user\":{user}}}");
                response("200 OK", "application/json", &body).replacen("\r\n", &set, 1)
            }
            None => response("200 OK", "application/json", "{\"price\":8}"),
        }
    });
    let target = format!("http://{address}");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("v1.pcap"), capture_of_a_proxy()).expect("the capture is written");
    for (way, lanes) in [("connection", "connection"), ("user", "cookie:session")] {
        let replay = |output: &str, more: &[&str]| {
            let base =
                ["replay", "v1.pcap", "--target", &target, "--speed", "max", "--lanes", lanes];
            let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
            command.args(base).args(["-q", "-o", output]).args(more).current_dir(here);
            let mut child =
                Held(command.stderr(Stdio::null()).spawn().expect("the program starts"));
            let mut code = None;
            let what = format!("{output} ends");
            until(&what, || {
                code = child.0.try_wait().expect("it is there");
                code.is_some()
            });
            assert_eq!(code.and_then(|code| code.code()), Some(0), "{output}");
        };
        replay(&format!("{way}/whole"), &[]);
        let expected = findings(&here.join(way).join("whole"));
        for count in [2, 3] {
            let shards: Vec<String> = (1..=count).map(|n| format!("{way}/of{count}/{n}")).collect();
            for (n, shard) in (1..).zip(&shards) {
                replay(shard, &["--shard", &format!("{n}/{count}")]);
                // In copies, too, each of which may be in another shard.
                let copies = format!("{way}/copies-of{count}/{n}");
                replay(&copies, &["--shard", &format!("{n}/{count}"), "--multiply", "3"]);
            }
            let into = format!("{way}/whole-of-{count}");
            shadowtap(here, &["merge", &format!("{way}/of{count}"), "-o", &into, "-q"]).expect(0);
            for (found, wanted) in findings(&here.join(&into)).iter().zip(&expected) {
                let other = found.iter().zip(wanted).find(|(found, wanted)| found != wanted);
                assert_eq!((other, found.len()), (None, wanted.len()), "{way} of {count}");
            }
            let copies = format!("{way}/copies-of-{count}");
            let all = format!("{way}/copies-of{count}");
            let merged = shadowtap(here, &["merge", &all, "-o", &copies]).expect(0);
            assert!(merged.stdout.contains(" 108 outcomes"), "{}", merged.stdout);
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

/// Runs the program against a store.
fn with_store(store: &Store, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
    command.args(arguments).current_dir(folder).envs(store.environment());
    command.env("TMPDIR", folder).env("NO_COLOR", "1");
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said, output.stdout)
}

#[test]
fn inputs_outputs_and_runs_are_in_a_store() {
    in_a_store_of("s3");
}

#[test]
fn inputs_outputs_and_runs_are_in_a_store_of_google() {
    in_a_store_of("gs");
}

/// The whole way through a store whose URLs begin so; below, they are written as those of S3.
fn in_a_store_of(scheme: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (store, target) = (Store::start(), v2());
    std::fs::write(here.join("v1.pcap"), capture()).expect("the capture is written");
    store.put("v1/2026-11-28T10.pcap", &capture());
    store.put("v1/notes/readme.txt", b"not asked for");
    let run = |arguments: &[&str], code: i32| {
        let own = format!("{scheme}://");
        let arguments: Vec<_> = arguments.iter().map(|word| word.replace("s3://", &own)).collect();
        let arguments: Vec<&str> = arguments.iter().map(|word| &**word).collect();
        let (ended, said, stdout) = with_store(&store, here, &arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        let stdout = String::from_utf8_lossy(&stdout).replace(&own, "s3://");
        (said.replace(&own, "s3://"), stdout)
    };
    // From the store and to it, as from a file to a file.
    run(&["parse", "v1.pcap", "-o", "here.jsonl", "-q"], 0);
    run(&["parse", "s3://bucket/v1/*T10.pcap", "-o", "s3://bucket/x/v1.jsonl.zst", "-q"], 0);
    let there = zstd::decode_all(&store.get("x/v1.jsonl.zst")[..]).expect("it is compressed");
    let there = String::from_utf8(there).expect("it is text");
    assert!(there.lines().skip(1).eq(lines(&here.join("here.jsonl")).iter().skip(1)));
    // What is larger than a part goes there in several.
    std::fs::write(here.join("large.pcap"), large_capture()).expect("the capture is written");
    run(&["parse", "large.pcap", "-o", "large.jsonl", "-q"], 0);
    run(&["parse", "large.pcap", "-o", "s3://bucket/large.jsonl", "-q"], 0);
    let there = store.get("large.jsonl");
    assert!(there.len() > (8 << 20) + 1, "{}", there.len());
    let behind_first = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == b'\n').expect("a first line");
        bytes[end..].to_vec()
    };
    let large = std::fs::read(here.join("large.jsonl")).expect("it was written");
    assert!(behind_first(&there) == behind_first(&large));
    store.remove("large.jsonl");
    let url = format!("file://{}/v1.pcap", here.display());
    assert!(run(&["inspect", &url], 0).1.contains("36"));

    // Shards, through the store; the merged run is that of one run.
    let replay = |more: &[&str]| {
        let base = ["replay", "s3://bucket/x/", "--target", &target, "--speed", "max", "-q"];
        run(&[&base[..], more].concat(), 0)
    };
    replay(&["-o", "whole"]);
    for n in 1..=3 {
        let (shard, output) = (format!("{n}/3"), format!("s3://bucket/shards/v2/{n}"));
        replay(&["--shard", &shard, "--start-at", "+60ms", "-o", &output, "--force"]);
        // Here they run one after another: each is the first one.
        assert!(store.get("shards/v2/start.json").starts_with(b"{\"format\":\"shadowtap/start\""));
        store.remove("shards/v2/start.json");
    }
    run(&["merge", "s3://bucket/shards/v2/", "-o", "s3://bucket/runs/v2", "-q"], 0);
    run(&["diff", "s3://bucket/runs/v2", "-q"], 0);
    findings(&here.join("whole"));
    for name in ["differences.jsonl", "clusters.jsonl", "noise.jsonl"] {
        let merged = String::from_utf8(store.get(&format!("runs/v2/{name}"))).expect("text");
        let whole = lines(&here.join("whole").join(name));
        assert_eq!(merged.lines().count(), whole.len(), "{name}");
    }
    run(&["report", "s3://bucket/runs/v2", "-q"], 0);
    assert!(store.get("runs/v2/report.html").starts_with(b"<!"));
    run(&["gate", "s3://bucket/runs/v2", "-q", "--min-samples", "10"], 1);
    // Looked at there as well.
    let cause = run(&["show", "s3://bucket/runs/v2"], 0).1;
    let cluster = cause.split_whitespace().next().expect("a cluster").to_owned();
    assert!(cause.contains("shadowtap show s3://bucket/runs/v2 "), "{cause}");
    run(&["approve", "s3://bucket/runs/v2", &cluster, "--reason", "meant so"], 0);
    run(&["export", "s3://bucket/runs/v2", "-o", "s3://bucket/out.har"], 0);
    assert!(store.get("out.har").starts_with(b"{"));
    for command in ["show", "gate", "diff"] {
        let none = run(&[command, "s3://bucket/runs/v9"], 3).0;
        assert!(none.contains("s3://bucket/runs/v9 is not the folder of a run"), "{none}");
    }
    let again = run(&["merge", "s3://bucket/shards/v2/", "-o", "s3://bucket/runs/v2", "-q"], 2).0;
    assert!(again.contains("holds a run already"), "{again}");
    let nothing = run(&["parse", "s3://bucket/v7/", "-o", "-"], 3).0;
    assert!(nothing.contains("s3://bucket/v7/ is not in the store"), "{nothing}");
    let left = std::fs::read_dir(here).expect("the folder").flatten();
    let left: Vec<_> =
        left.filter(|entry| entry.path().to_string_lossy().contains("shadowtap-")).collect();
    assert!(left.is_empty(), "nothing is left here: {left:?}");
}

#[test]
fn records_alone_are_a_run_in_a_store_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let (store, target) = (Store::start(), v2());
    std::fs::write(here.join("v1.pcap"), capture()).expect("the capture is written");
    let run = |arguments: &[&str], code: i32| {
        let (ended, said, _) = with_store(&store, here, arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        said
    };
    let replay = ["replay", "v1.pcap", "--target", &target, "--speed", "max", "-q", "-o"];
    run(&[&replay[..], &["whole"]].concat(), 0);
    let of_whole = |name: &str| std::fs::read(here.join("whole").join(name)).expect(name);
    for name in ["exchanges.jsonl", "outcomes.jsonl"] {
        let bytes = of_whole(name);
        store.put(&format!("plain/{name}"), &bytes);
        let packed = zstd::bulk::compress(&bytes, 3).expect("compressed");
        store.put(&format!("packed/{name}.zst"), &packed);
    }
    for prefix in ["plain", "packed"] {
        let url = format!("s3://bucket/{prefix}");
        let before = store.keys();
        // It is not replaced unasked.
        let refused = run(&[&replay[..], &[&*url]].concat(), 2);
        assert!(refused.contains("holds a run already"), "{refused}");
        assert_eq!(store.keys(), before);
        // What was found goes there, beside the records, and no `run.json` is made up.
        run(&["diff", &url, "-q"], 0);
        assert!(store.get(&format!("{prefix}/diff.json")).starts_with(b"{"));
        run(&["report", &url, "-q"], 0);
        assert!(store.get(&format!("{prefix}/report.html")).starts_with(b"<!"));
        let after = store.keys();
        assert!(before.iter().all(|key| after.contains(key)), "{after:?}");
        assert!(!after.contains(&format!("{prefix}/run.json")), "{after:?}");
        // Its recording is that of a run.
        run(&["export", &url, "-o", &format!("{prefix}.har")], 0);
    }
    assert_eq!(store.get("plain/outcomes.jsonl"), of_whole("outcomes.jsonl"));
    // Of both forms the plain one is read, in a store as in a folder.
    store.put("plain/exchanges.jsonl.zst", b"what another program left");
    run(&["export", "s3://bucket/plain", "-o", "again.har"], 0);
    run(&["export", "whole", "-o", "whole.har"], 0);
    let har = |name: &str| std::fs::read(here.join(name)).expect(name);
    for name in ["plain.har", "packed.har", "again.har"] {
        assert!(har(name) == har("whole.har"), "{name}");
    }
    // Where it is replaced on purpose, the new run is whole.
    run(&[&replay[..], &["s3://bucket/packed", "--force"]].concat(), 0);
    let keys = store.keys();
    let of_packed = keys.iter().filter_map(|key| key.strip_prefix("packed/"));
    let of_packed: Vec<&str> = of_packed.collect();
    assert!(
        ["exchanges.jsonl", "outcomes.jsonl", "run.json"].iter().all(|n| of_packed.contains(n))
    );
    assert!(!of_packed.iter().any(|name| name.ends_with(".zst")), "{of_packed:?}");
}

/// A capture of loopback that is told to end.
struct Tap(Child);

impl Tap {
    /// None where this process may not capture.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn start(store: &Store, folder: &Path, arguments: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: capturing needs root");
            return None;
        }
        let child = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(["capture", "-i", "lo", "-q"])
            .args(arguments)
            .current_dir(folder)
            .envs(store.environment())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Some(Self(child))
    }

    fn end(mut self) -> (Option<i32>, Vec<u8>, String) {
        let process = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        let (mut out, mut said) = (Vec::new(), String::new());
        self.0.stdout.take().expect("piped").read_to_end(&mut out).expect("its output");
        self.0.stderr.take().expect("piped").read_to_string(&mut said).expect("its errors");
        (self.0.wait().expect("the child ends").code(), out, said)
    }
}

/// Waits until it is so; fails where it never becomes so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn ask(port: u16) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server");
    stream.write_all(b"GET /items/1 HTTP/1.1\r\nHost: shop.test\r\n\r\n").expect("a request");
    let _ = stream.read(&mut [0; 4096]).expect("an answer");
}

#[test]
fn a_capture_keeps_each_file_until_the_store_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let store = Store::start();
    let port: u16 = v2().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let spool = here.join("spool");
    let files = |ending: &str| {
        let entries = std::fs::read_dir(&spool).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().to_string_lossy().ends_with(ending)).count()
    };
    let (number, output) = (port.to_string(), "s3://bucket/taps/v1.pcap");
    let arguments = ["--port", &number, "-o", output, "--spool", "spool", "--rotate-every", "1s"];
    let Some(tap) = Tap::start(&store, here, &arguments) else { return };
    until("a file is begun", || files(".part") > 0);
    until("a complete file is in the store", || {
        ask(port);
        !store.keys().is_empty()
    });
    store.away(true);
    until("files wait", || {
        ask(port);
        files(".pcap") >= 2
    });
    store.away(false);
    until("the store has them", || store.keys().len() >= 3 && files(".pcap") == 0);
    store.away(true);
    ask(port);
    let (code, _, said) = tap.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("spool") && said.contains("s3://bucket/taps"), "{said}");
    let waiting = files(".pcap");
    assert!(waiting > 0, "what the store does not have stays");

    // What a killed capture wrote goes with the next one.
    std::fs::write(spool.join("killed.pcap.part"), capture()).expect("what was left");
    store.away(false);
    let before = store.keys().len();
    let tap = Tap::start(&store, here, &arguments).expect("it was allowed before");
    until("what was left is in the store", || store.keys().len() > before + waiting);
    let (code, out, said) = tap.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(String::from_utf8_lossy(&out).contains("s3://bucket/taps"), "it says where");
    assert_eq!(store.get("taps/killed.pcap"), capture());
    assert_eq!(files(""), 0, "nothing is left here");
    let (code, said, _) =
        with_store(&store, here, &["parse", "s3://bucket/taps/", "-o", "x.jsonl"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_capture_streams_to_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let store = Store::start();
    let port: u16 = v2().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    for (format, begins) in [("pcap", &[0x4d, 0x3c, 0xb2, 0xa1][..]), ("jsonl", b"{\"format\"")] {
        let number = port.to_string();
        let arguments = ["--port", &number, "-o", "-", "--format", format];
        let Some(mut tap) = Tap::start(&store, here, &arguments) else { return };
        let mut start = vec![0; begins.len()];
        // The first line of exchanges and the head of packets come before anything is seen.
        tap.0.stdout.as_mut().expect("piped").read_exact(&mut start).expect("it streams");
        assert_eq!(start, begins, "{format}");
        ask(port);
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (code, rest, said) = tap.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("packets seen: "), "the counts stand beside: {said}");
        std::fs::write(here.join("streamed"), [start, rest].concat()).expect("what was streamed");
        shadowtap(here, &["parse", "streamed", "-o", "x.jsonl"]).expect(0);
        assert!(lines(&here.join("x.jsonl"))[1].contains("/items/1"));
    }
    let refused = shadowtap(here, &["capture", "-i", "lo", "-o", "v1.pcap", "--format", "jsonl"]);
    refused.expect(2).says(&["--format"]);
}

#[test]
fn the_figures_of_a_run_are_kept_until_they_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("v1.pcap"), capture()).expect("the capture is written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["run", "v1.pcap", "--target", &v2(), "--speed", "max", "-o", "out", "-v"])
        .args(["--metrics", "127.0.0.1:0", "--metrics-linger", "1h"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(said.read_line(&mut line).expect("a line") > 0, "it ended before it listened");
        if let Some((_, address)) = line.trim().split_once("metrics at http://") {
            break address.trim_end_matches("/metrics").to_owned();
        }
    };
    let drained = std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    // What it prints comes at its end, when the figures are whole.
    let mut page = vec![0; 1];
    child.stdout.as_mut().expect("piped").read_exact(&mut page).expect("the verdict");
    let mut stream = std::net::TcpStream::connect(&address).expect("it still serves");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("a question");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the figures");
    for figure in [
        "shadowtap_requests_total{version=\"v1\",route=\"GET /items/{id}\",code=\"200\"} 36",
        "shadowtap_requests_total{version=\"v2\",route=\"GET /items/{id}\",code=\"200\"} 36",
        "shadowtap_differences{class=\"regression\"} 1",
        "shadowtap_verdict{verdict=",
        "shadowtap_build_info{",
    ] {
        assert!(text.contains(figure), "{figure} is not in:\n{text}");
    }
    child.stdout.take().expect("piped").read_to_end(&mut page).expect("the rest");
    assert!([1, 5].contains(&child.wait().expect("it ends").code().unwrap_or(0)));
    drained.join().expect("no panic").expect("its errors are read");
}
