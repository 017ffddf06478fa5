//! No byte reaches the captured server, however its address is written: in a network of its own,
//! where this machine has addresses and names as it likes (root).

#![expect(clippy::unwrap_used, reason = "a test may fail where its data is not as it must be")]

#[path = "support/elsewhere.rs"]
mod elsewhere;

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PORT: u16 = 8080;

/// The captured server is at an address of this machine and listens on all of them.
const SPELLINGS: [&str; 36] = [
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

/// Requests of a recording: (server, host).
fn recording(folder: &Path, requests: &[(&str, &str)]) {
    let mut text = "{\"format\":\"shadowtap/exchanges\",\"version\":1,\"created\":\"2026-11-22T10:00:00Z\",\"tool\":\"t\",\"inputs\":[]}\n".to_owned();
    for (n, (server, host)) in requests.iter().enumerate() {
        text += &format!(
            "{{\"id\":\"{n}-0\",\"connection\":{n},\"client\":\"10.0.0.9:4{n:03}\",\"server\":\"{server}\",\
             \"protocol\":\"http/1\",\"completeness\":\"no-response\",\"request\":{{\
             \"at\":\"2026-11-22T10:00:00.00{}Z\",\"duration_ns\":0,\"method\":\"GET\",\"target\":\"/\",\
             \"version\":\"1.1\",\"headers\":[[\"Host\",\"{host}\"]],\"body\":null,\"body_bytes\":0,\
             \"framing\":\"none\",\"trailers\":[]}},\"response\":null,\"interim\":[]}}\n",
            n % 10
        );
    }
    fs::write(folder.join("v1.jsonl"), text).unwrap();
}

/// The exit code of a replay with these flags, and what it said.
fn replay(folder: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
    command.current_dir(folder).args(["replay", "v1.jsonl", "--force", "-o", "r"]);
    let out = command.args(["--timeout", "300ms"]).args(flags).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn no_byte_reaches_the_captured_server_in_any_spelling() {
    const NAME: &str = "no_byte_reaches_the_captured_server_in_any_spelling";
    if !elsewhere::is_here(NAME) {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        let names =
            "127.0.0.1 localhost\n10.9.0.1 prod.example alias.example\n10.9.0.3 front.example\n";
        fs::write(hosts.path(), names).unwrap();
        let shell = format!(
            "ip link set lo up; for a in 10.9.0.1 10.9.0.2 10.9.0.3; do ip addr add $a/32 dev lo; done; \
             ip -6 addr add fd00:9::1/128 dev lo nodad; mount --bind {} /etc/hosts; exec \"$0\" \"$@\"",
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
    // The other ways in which a request could leave.
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let v2 = format!("http://{}", elsewhere.local_addr().unwrap());
    for flags in [
        ["--baseline", "http://127.1:8080"],
        ["--map-host", "prod.example=http://[::]:8080"],
        ["--wait-ready", "http://0:8080/health"],
    ] {
        let (code, said) = replay(folder.path(), &[&["--target", &v2][..], &flags[..]].concat());
        assert_eq!(code, Some(4), "{flags:?}: {said}");
        assert_eq!(bytes.load(Ordering::Relaxed), 0, "{flags:?}: {said}");
    }
    // A neighbour is no captured server: v1 and v2 may share a machine.
    let (code, said) = replay(folder.path(), &["--target", &v2]);
    assert_ne!(code, Some(4), "{said}");
}
