//! What a cluster needs of the program: the parts of the demo as servers of their own.

#[expect(dead_code, reason = "shared with the other end-to-end tests, which use the rest")]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::shadowtap;

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
