//! No byte reaches the captured server, however its address is written: in a network of its own,
//! where this machine has addresses and names as it likes (root).

#![expect(clippy::unwrap_used, reason = "a test may fail where its data is not as it must be")]

#[path = "support/elsewhere.rs"]
mod elsewhere;

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PORT: u16 = 8080;

/// The captured server is at an address of this machine and listens on all of them.
const SPELLINGS: [&str; 42] = [
    "http://10.9.0.1:8080",
    "http://[::ffff:10.9.0.1]:8080",
    "http://[::ffff:a09:1]:8080",
    "http://[64:ff9b::10.9.0.1]:8080",
    "http://168361985:8080",
    "http://0x0a090001:8080",
    "http://0x0A.9.0.1:8080",
    "http://012.011.0.1:8080",
    "http://10.9.1:8080",
    "http://10.589825:8080",
    "http://10.9.0.2:8080",
    "http://[fd00:9::1]:8080",
    "http://[fd00:9:0:0:0:0:0:1]:8080",
    "http://127.0.0.1:8080",
    "http://127.0.0.1:08080",
    "http://127.1:8080",
    "http://127.200.3.4:8080",
    "http://2130706433:8080",
    "http://0x7f000001:8080",
    "http://0177.0.0.1:8080",
    "http://１２７.0.0.1:8080",
    "http://[::ffff:7f00:1]:8080",
    "http://[::1]:8080",
    "http://0.0.0.0:8080",
    "http://0:8080",
    "http://[::]:8080",
    "http://[::ffff:0.0.0.0]:8080",
    "http://localhost:8080",
    "http://LOCALHOST.:8080",
    "http://prod.example:8080",
    "http://PROD.example.:8080",
    "http://prod%2eexample:8080",
    "http://ｐｒｏｄ.example:8080",
    // Another name of it, and a name that something stands before: on any port.
    "http://alias.example:8080",
    "http://front.example:9090",
    "http://10.9.0.3:9090",
    // As people and editors write URLs.
    "HTTP://10.9.0.1:8080",
    "10.9.0.1:8080",
    "http://10.9.0.1.:8080",
    "https://10.9.0.1:8080",
    // A name beyond ASCII, as it is read and as resolvers have it.
    "http://bücher.example:8080",
    "http://xn--bcher-kva.example:8080",
];

/// What names no server that could be compared is no target at all.
const NO_TARGETS: [&str; 7] = [
    "http://[fe80::1%25lo]:8080",
    "http://[fe80::1%lo]:8080",
    "http://joe:secret@10.9.0.1:8080",
    "http://v2.example@10.9.0.1:8080",
    "http://10.9.0.1:8080/health",
    "http://256.9.0.1:8080",
    "file://10.9.0.1:8080",
];

/// Reads and counts what comes; answers nothing.
fn counting(address: (&str, u16), bytes: &Arc<AtomicU64>) {
    let listener = TcpListener::bind(address).unwrap();
    let bytes = Arc::clone(bytes);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), bytes) = (stream, Arc::clone(&bytes)) else { return };
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    bytes.fetch_add(n as u64, Ordering::Relaxed);
                }
            });
        }
    });
}

/// Requests of a recording: (server, host, which may have other fields behind it).
fn recording(folder: &Path, requests: &[(&str, &str)]) {
    let mut text = "{\"format\":\"shadowtap/exchanges\",\"version\":1,\
                    \"created\":\"2026-11-22T10:00:00Z\",\"tool\":\"t\",\"inputs\":[]}\n"
        .to_owned();
    for (n, (server, host)) in requests.iter().enumerate() {
        text += &format!(
            "{{\"id\":\"{n}-0\",\"connection\":{n},\"client\":\"10.0.0.9:4{n:03}\",\
             \"server\":\"{server}\",\"protocol\":\"http/1\",\
             \"completeness\":\"no-response\",\"request\":{{\
             \"at\":\"2026-11-22T10:00:00.00{}Z\",\"duration_ns\":0,\"method\":\"GET\",\
             \"target\":\"/\",\"version\":\"1.1\",\"headers\":[[\"Host\",\"{host}\"]],\
             \"body\":null,\"body_bytes\":0,\"framing\":\"none\",\"trailers\":[]}},\
             \"response\":null,\"interim\":[]}}\n",
            n % 10
        );
    }
    fs::write(folder.join("v1.jsonl"), text).unwrap();
}

/// The exit code of a replay with these flags, and what it said.
fn replay(folder: &Path, flags: &[&str]) -> (Option<i32>, String) {
    replay_as("root", folder, flags)
}

/// The program as run by root, or by somebody who may not read the kernel's table of connections.
fn as_user(user: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_shadowtap");
    if user == "root" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    command.args(nobody).args(["--inh-caps=-all", "--bounding-set=-all", program]);
    command
}

fn replay_as(user: &str, folder: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = as_user(user);
    let output = format!("of-{user}");
    command.current_dir(folder).args(["replay", "v1.jsonl", "--force", "-o", &output]);
    let out = command.args(["--timeout", "300ms"]).args(flags).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn no_byte_reaches_the_captured_server_in_any_spelling() {
    const NAME: &str = "no_byte_reaches_the_captured_server_in_any_spelling";
    if !elsewhere::is_here(NAME) {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        let names = "127.0.0.1 localhost\n10.9.0.1 prod.example alias.example\n\
                     10.9.0.1 xn--bcher-kva.example\n10.9.0.3 front.example\n";
        fs::write(hosts.path(), names).unwrap();
        let shell = format!(
            "ip link set lo up; for a in 10.9.0.1 10.9.0.2 10.9.0.3; do ip addr add $a/32 dev lo; \
             done; \
             ip -6 addr add fd00:9::1/128 dev lo nodad; mount --bind {} /etc/hosts; exec \"$0\" \
             \"$@\"",
            hosts.path().display()
        );
        elsewhere::run(NAME, &shell);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = Arc::new(AtomicU64::new(0));
    counting(("::", PORT), &bytes);
    counting(("10.9.0.3", 9090), &bytes);
    recording(
        folder.path(),
        &[
            ("10.9.0.1:8080", "prod.example"),
            ("[fd00:9::1]:8080", "prod.example:8080"),
            ("10.244.1.7:80", "front.example"),
        ],
    );
    for target in SPELLINGS {
        let (code, said) = replay(folder.path(), &["--target", target]);
        assert_eq!(code, Some(4), "{target}: {said}");
        assert_eq!(bytes.load(Ordering::Relaxed), 0, "{target}: {said}");
    }
    for target in NO_TARGETS {
        let (code, said) = replay(folder.path(), &["--target", target]);
        assert_eq!(code, Some(2), "{target}: {said}");
        assert_eq!(bytes.load(Ordering::Relaxed), 0, "{target}: {said}");
    }
    // The other ways in which a request could leave.
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let v2 = format!("http://{}", elsewhere.local_addr().unwrap());
    for flags in [
        ["--baseline", "http://127.1:8080"],
        ["--map-host", "prod.example=http://[::]:8080"],
        ["--map-host", "v2.example=http://PROD.example.:8080"],
        ["--wait-ready", "http://0:8080/health"],
    ] {
        let (code, said) = replay(folder.path(), &[&["--target", &v2][..], &flags[..]].concat());
        assert_eq!(code, Some(4), "{flags:?}: {said}");
        assert_eq!(bytes.load(Ordering::Relaxed), 0, "{flags:?}: {said}");
    }
    let through = ["--target", &v2, "--transport", "client", "--proxy", "http://0x7f.1:8080"];
    let (code, said) = replay(folder.path(), &through);
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(bytes.load(Ordering::Relaxed), 0, "{said}");
    // A rule that makes another request of each names a server in it, and leads nowhere else.
    for rule in ["^/=>http://10.9.0.1:8080/", "^/=>//10.9.0.1:8080/", "^=>@10.9.0.1:8080"] {
        let (_, said) = replay(folder.path(), &["--target", &v2, "--rewrite", rule]);
        assert_eq!(bytes.load(Ordering::Relaxed), 0, "{rule}: {said}");
    }
    // However the requests say whom they were for.
    for host in [
        "joe@prod.example",
        "other.invalid, prod.example",
        "x.invalid\"],[\"X-Forwarded-Host\",\"PROD.example",
        "x.invalid\"],[\"Forwarded\",\"for=10.0.0.9;Host=prod.example;proto=http",
        "x.invalid\"],[\"forwarded\",\"for=a, host=\\\"prod.example:8080\\\"",
    ] {
        recording(folder.path(), &[("10.244.1.7:80", host)]);
        let (code, said) = replay(folder.path(), &["--target", "http://10.9.0.1:8080"]);
        assert_eq!(code, Some(4), "{host}: {said}");
        assert_eq!(bytes.load(Ordering::Relaxed), 0, "{host}: {said}");
    }
    // A neighbour is no captured server: v1 and v2 may share a machine.
    let (code, said) = replay(folder.path(), &["--target", &v2]);
    assert_ne!(code, Some(4), "{said}");
}

/// Ports of this machine that its kernel forwards to the captured server, by both of its tools.
const FORWARDING: &str = "\
    nft add table ip n; nft 'add chain ip n o { type nat hook output priority -100; }'; \
    nft add rule ip n o tcp dport 9001 redirect to :8080; \
    nft add rule ip n o ip daddr 10.96.0.10 tcp dport 80 dnat to 10.9.0.1:8080; \
    nft add rule ip n o ip daddr 10.96.0.12 tcp dport 80 dnat to numgen inc mod 3 map \
    '{ 0: 10.9.0.4 . 80, 1: 10.9.0.4 . 80, 2: 10.9.0.1 . 8080 }'; \
    nft add table ip6 n; nft 'add chain ip6 n o { type nat hook output priority -100; }'; \
    nft add rule ip6 n o tcp dport 9002 redirect to :8080; \
    iptables -t nat -A OUTPUT -p tcp --dport 9003 -j REDIRECT --to-ports 8080; \
    iptables -t nat -A OUTPUT -d 10.96.0.11 -p tcp --dport 80 -j DNAT --to-destination \
    127.0.0.1:8080";

#[test]
fn no_byte_reaches_the_captured_server_through_a_forwarder() {
    const NAME: &str = "no_byte_reaches_the_captured_server_through_a_forwarder";
    if !elsewhere::is_here(NAME) {
        for tool in ["nft", "iptables"] {
            if Command::new(tool).arg("--version").output().is_err() {
                println!("skipped, {tool} is missing");
                return;
            }
        }
        let hosts = tempfile::NamedTempFile::new().unwrap();
        fs::write(hosts.path(), "10.9.0.4 half.example\n10.96.0.10 half.example\n").unwrap();
        fs::set_permissions(hosts.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let shell = format!(
            "ip link set lo up; ip addr add 10.9.0.1/32 dev lo; ip addr add 10.9.0.4/32 dev lo; \
             ip route add 10.96.0.0/24 dev lo; mount --bind {} /etc/hosts; {FORWARDING}; \
             exec \"$0\" \"$@\"",
            hosts.path().display()
        );
        elsewhere::run(NAME, &shell);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = Arc::new(AtomicU64::new(0));
    counting(("::", PORT), &bytes);
    recording(folder.path(), &[("10.9.0.1:8080", "prod.invalid")]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let neighbour = TcpListener::bind(("10.9.0.4", 80)).unwrap();
    let v2 = format!("http://{}", neighbour.local_addr().unwrap());
    let forwarded = [
        "http://127.0.0.1:9001",
        "http://10.9.0.1:9001",
        "http://10.96.0.10",
        "http://[::1]:9002",
        "http://127.0.0.1:9003",
        "http://10.96.0.11",
        // One endpoint of several is enough, whichever the first connection gets.
        "http://10.96.0.12",
        // One address of several is enough, as lanes are spread over all of them.
        "http://half.example",
    ];
    let mut ways: Vec<Vec<&str>> =
        forwarded.iter().map(|target| vec!["--target", target]).collect();
    ways.push(vec!["--target", &v2, "--baseline", "http://10.96.0.10"]);
    ways.push(vec!["--target", &v2, "--map-host", "prod.invalid=http://127.0.0.1:9001"]);
    let proxy = ["--transport", "client", "--proxy", "http://127.0.0.1:9003"];
    ways.push([&["--target", &v2][..], &proxy].concat());
    ways.push(vec!["--target", &v2, "--wait-ready", "http://127.0.0.1:9001/health"]);
    for user in ["root", "nobody"] {
        if !as_user(user).arg("--version").output().is_ok_and(|out| out.status.success()) {
            println!("skipped, {user} cannot start the program");
            continue;
        }
        for flags in &ways {
            let (code, said) = replay_as(user, folder.path(), flags);
            assert_eq!(code, Some(4), "{user} {flags:?}: {said}");
            assert!(said.contains("which served the capture"), "{user} {flags:?}: {said}");
            assert_eq!(bytes.load(Ordering::Relaxed), 0, "{user} {flags:?}: {said}");
        }
    }
    let (code, said) = replay(folder.path(), &["--target", &v2]);
    assert_ne!(code, Some(4), "{said}");
}
