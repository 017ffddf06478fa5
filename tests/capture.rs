//! `shadowtap capture` on real devices: network namespaces with veth pairs, made and removed here.
//! Needs root on Linux; where the privilege is missing each test says so and passes, but for the
//! one that is about the lack of it.
#![cfg(target_os = "linux")]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot run says so, and what cannot fail here may panic"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PROGRAM: &str = env!("CARGO_BIN_EXE_shadowtap");
/// Waits are bounded by so many steps of [`STEP`].
const STEPS: u32 = 2_000;
const STEP: Duration = Duration::from_millis(10);

/// Two namespaces with a veth pair between them, as a pod and its node: `inside` has 10.9.0.2,
/// `outside` 10.9.0.1.
struct Pair {
    inside: String,
    outside: String,
}

fn run(command: &str) -> bool {
    let status = Command::new("sh")
        .args(["-c", command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Pair {
    /// None, with a word, where namespaces cannot be made.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("stap{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let pair = Self { inside: format!("{name}i"), outside: format!("{name}o") };
        let (i, o) = (&pair.inside, &pair.outside);
        let made = run(&format!(
            "ip netns add {i} && ip netns add {o} && ip -n {o} link add veth0 type veth peer name \
             eth0 netns {i} \
             && ip -n {o} addr add 10.9.0.1/24 dev veth0 && ip -n {i} addr add 10.9.0.2/24 dev \
             eth0 \
             && ip -n {o} link set veth0 up && ip -n {i} link set eth0 up && ip -n {o} link set lo \
             up && ip -n {i} link set lo up"
        ));
        if !made {
            println!("skipped: no privilege to make network namespaces here");
        }
        made.then_some(pair)
    }

    /// Sends frames as they are from the inner to the outer namespace.
    fn send(&self, frames: Vec<Vec<u8>>) {
        inside(&self.inside, move || {
            let mut device = pcap::Capture::from_device("eth0").unwrap().open().unwrap();
            for frame in frames {
                device.sendpacket(frame).unwrap();
            }
        });
    }

    /// Starts a capture in the outer namespace and waits until it listens.
    fn capture(&self, folder: &Path, arguments: &[&str]) -> Child {
        let before = entries(folder).len();
        let child = Command::new("ip")
            .args(["netns", "exec", &self.outside, PROGRAM, "capture"])
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The file is made when the devices are open.
        wait_for("the capture's file", || entries(folder).len() > before);
        child
    }

    /// Runs `n` requests from the outer to the inner namespace, one connection each, with answers
    /// of `size` bytes; returns the port.
    fn traffic(&self, listener: &TcpListener, address: &str, n: usize, size: usize) {
        let port = listener.local_addr().unwrap().port();
        let target: SocketAddr = format!("{address}:{port}").parse().unwrap();
        let server = std::thread::spawn({
            let listener = listener.try_clone().unwrap();
            move || {
                for _ in 0..n {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut request = [0; 512];
                    let _ = stream.read(&mut request).unwrap();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
                    );
                    stream.write_all(head.as_bytes()).unwrap();
                    stream.write_all(&vec![b'x'; size]).unwrap();
                }
            }
        });
        inside(&self.outside, move || {
            for k in 0..n {
                let mut stream = TcpStream::connect(target).unwrap();
                stream
                    .write_all(format!("GET /{k} HTTP/1.1\r\nHost: shop\r\n\r\n").as_bytes())
                    .unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).unwrap();
                assert!(answer.len() > size);
            }
        });
        server.join().unwrap();
    }

    fn listen(&self) -> TcpListener {
        inside(&self.inside, || TcpListener::bind("0.0.0.0:0").unwrap())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        run(&format!("ip netns del {}; ip netns del {}", self.inside, self.outside));
    }
}

/// Runs `work` in a namespace.
fn inside<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    std::thread::spawn(move || {
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&file),
            Some(LinkNameSpaceType::Network),
        )
        .unwrap();
        work()
    })
    .join()
    .unwrap()
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    for _ in 0..STEPS {
        if is_there() {
            return;
        }
        std::thread::sleep(STEP);
    }
    panic!("{what} did not come");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn signal(child: &Child, name: &str) {
    assert!(run(&format!("kill -{name} {}", child.id())));
}

/// Ends a capture by SIGTERM and returns what it said.
fn end(child: Child) -> Output {
    signal(&child, "TERM");
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The number behind `name: ` on standard output.
fn count(output: &Output, name: &str) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {}", said(output))).parse().unwrap()
}

/// Packets of a pcap file: the data of each whole record; `cut` tells whether bytes are left over.
fn packets(bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let word = |at: usize| {
        bytes.get(at..at + 4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()) as usize)
    };
    assert_eq!(word(0), Some(0xa1b2_3c4d), "nanosecond pcap");
    let (mut at, mut packets) = (24, Vec::new());
    while let Some(length) = word(at + 8) {
        let Some(data) = bytes.get(at + 16..at + 16 + length) else { break };
        packets.push(data);
        at += 16 + length;
    }
    (packets, at != bytes.len())
}

fn holds(packet: &[u8], text: &[u8]) -> bool {
    packet.windows(text.len()).any(|window| window == text)
}

/// `payload` in TCP to `port` in IPv4.
fn ipv4_tcp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
    out[2..4].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&40_000u16.to_be_bytes());
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
    out
}

/// The same in IPv6.
fn ipv6_tcp(port: u16, payload: &[u8]) -> Vec<u8> {
    let tcp = ipv4_tcp(port, payload).split_off(20);
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
    out.extend_from_slice(&[6, 64]);
    out.extend_from_slice(&[0xfd; 32]);
    out.extend(tcp);
    out
}

fn ethernet(types: &[u8], packet: &[u8]) -> Vec<u8> {
    [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], types, packet].concat()
}

/// `frame` in UDP to `port` with the tunnel's header.
fn tunnelled(port: u16, header: &[u8], frame: &[u8]) -> Vec<u8> {
    let length = 8 + header.len() + frame.len();
    let mut out = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
    out[2..4].copy_from_slice(&(20 + length as u16).to_be_bytes());
    out.extend_from_slice(&50_000u16.to_be_bytes());
    out.extend_from_slice(&port.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(header);
    out.extend_from_slice(frame);
    ethernet(&[8, 0], &out)
}

#[test]
fn a_port_is_found_in_tagged_and_tunnelled_frames_and_another_is_not() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let capture = pair.capture(
        folder.path(),
        &["-i", "veth0", "--port", "8080", "--port", "9090", "-o", "v1.pcap"],
    );
    let frames = |port: u16, mark: &str| -> Vec<Vec<u8>> {
        let say = |what: &str| format!("GET /{mark}/{what} ").into_bytes();
        let vxlan = [8, 0, 0, 0, 0, 0, 7, 0];
        // Two words of options.
        let geneve = [2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 9, 9, 9, 9];
        let v4 = |what: &str| ipv4_tcp(port, &say(what));
        vec![
            ethernet(&[8, 0], &v4("plain")),
            ethernet(&[0x86, 0xdd], &ipv6_tcp(port, &say("six"))),
            ethernet(&[0x81, 0, 0, 7, 8, 0], &v4("vlan")),
            ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0], &v4("qinq")),
            tunnelled(4789, &vxlan, &ethernet(&[8, 0], &v4("vxlan"))),
            tunnelled(4789, &vxlan, &ethernet(&[0x86, 0xdd], &ipv6_tcp(port, &say("vxlan-six")))),
            tunnelled(6081, &geneve, &ethernet(&[8, 0], &v4("geneve"))),
            tunnelled(6081, &geneve, &ethernet(&[0x86, 0xdd], &ipv6_tcp(port, &say("geneve-six")))),
        ]
    };
    pair.send([frames(8080, "first"), frames(7070, "other"), frames(9090, "second")].concat());
    let output = end(capture);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let bytes = std::fs::read(folder.path().join("v1.pcap")).unwrap();
    let (packets, _) = packets(&bytes);
    let has = |text: &str| packets.iter().filter(|packet| holds(packet, text.as_bytes())).count();
    for mark in ["first", "second"] {
        for what in ["plain", "six", "vlan", "qinq", "vxlan", "vxlan-six", "geneve", "geneve-six"] {
            assert_eq!(has(&format!("GET /{mark}/{what} ")), 1, "{mark} {what}");
        }
    }
    assert_eq!(has("GET /other/"), 0);
    assert!(
        packets.iter().any(|packet| packet[12..14] == [0x81, 0] && holds(packet, b"/vlan ")),
        "the tag is in the file"
    );
}

#[test]
fn what_is_seen_is_kept_and_counted_and_the_file_is_its_owners() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (listener, other) = (pair.listen(), pair.listen());
    let port = listener.local_addr().unwrap().port().to_string();
    let capture = pair.capture(folder.path(), &["-i", "veth0", "--port", &port, "-o", "v1.pcap"]);
    pair.traffic(&listener, "10.9.0.2", 3, 10);
    pair.traffic(&other, "10.9.0.2", 4, 10);
    let output = end(capture);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let path = folder.path().join("v1.pcap");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(path).unwrap();
    let (packets, cut) = packets(&bytes);
    assert!(!cut);
    assert_eq!(
        packets.iter().filter(|packet| holds(packet, b"GET /")).count(),
        3,
        "of this port and of no other"
    );
    assert_eq!(count(&output, "packets kept"), packets.len() as u64);
    assert_eq!(count(&output, "packets seen"), packets.len() as u64);
    for name in ["dropped by kernel", "dropped by interface", "dropped by shadowtap"] {
        assert_eq!(count(&output, name), 0, "{name}");
    }
}

#[test]
fn any_and_several_interfaces() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let listener = pair.listen();
    let port = listener.local_addr().unwrap().port().to_string();
    let any = pair.capture(folder.path(), &["-i", "any", "--port", &port, "-o", "any.pcap"]);
    let both = pair
        .capture(folder.path(), &["-i", "lo", "-i", "veth0", "--port", &port, "-o", "both.pcapng"]);
    pair.traffic(&listener, "10.9.0.2", 3, 10);
    let (any, both) = (end(any), end(both));
    assert_eq!(
        (any.status.code(), both.status.code()),
        (Some(0), Some(0)),
        "{}{}",
        said(&any),
        said(&both)
    );
    let bytes = std::fs::read(folder.path().join("any.pcap")).unwrap();
    assert_eq!(packets(&bytes).0.iter().filter(|packet| holds(packet, b"GET /")).count(), 3);
    let bytes = std::fs::read(folder.path().join("both.pcapng")).unwrap();
    assert!(
        holds(&bytes, b"veth0") && holds(&bytes, b"lo\0\0") && holds(&bytes, b"GET /2 HTTP/1.1")
    );
    let refused = Command::new(PROGRAM)
        .args(["capture", "-i", "lo", "-i", "any", "-o", "x.pcap"])
        .current_dir(folder.path())
        .output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains(".pcapng"), "{}", said(&refused));
}

#[test]
fn files_are_rotated_and_the_oldest_removed() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let listener = pair.listen();
    let arguments = ["-i", "veth0", "-o", "v1.pcap", "--rotate-size", "100k", "--keep-files", "3"];
    let capture = pair.capture(folder.path(), &arguments);
    for _ in 0..5 {
        pair.traffic(&listener, "10.9.0.2", 10, 20_000);
    }
    let output = end(capture);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let files = entries(folder.path());
    assert_eq!(files.len(), 3, "{files:?}");
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let (packets, cut) = packets(&bytes);
        // A single packet may be as long as 64 KiB.
        assert!(
            !cut && !packets.is_empty() && bytes.len() <= 200_000,
            "{file:?}: {} bytes",
            bytes.len()
        );
    }
    assert!(count(&output, "packets kept") > 100);
    assert!(said(&output).contains("removed since: "), "{}", said(&output));
}

#[test]
fn a_killed_capture_leaves_all_but_the_last_second() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let listener = pair.listen();
    let mut plain = pair.capture(folder.path(), &["-i", "veth0", "-o", "a.pcap"]);
    let mut zstd = pair.capture(folder.path(), &["-i", "veth0", "-o", "b.pcap.zst"]);
    pair.traffic(&listener, "10.9.0.2", 5, 100);
    let requests =
        |bytes: &[u8]| packets(bytes).0.iter().filter(|packet| holds(packet, b"GET /")).count();
    let decompressed = || {
        let mut out = Vec::new();
        // What a torn last frame holds is lost; what comes before it is not.
        let _ = zstd::stream::copy_decode(
            File::open(folder.path().join("b.pcap.zst.part")).unwrap(),
            &mut out,
        );
        out
    };
    wait_for("the packets on disk", || {
        requests(&std::fs::read(folder.path().join("a.pcap.part")).unwrap()) == 5
            && requests(&decompressed()) == 5
    });
    for child in [&mut plain, &mut zstd] {
        signal(child, "KILL");
        child.wait().unwrap();
    }
    assert_eq!(requests(&std::fs::read(folder.path().join("a.pcap.part")).unwrap()), 5);
    assert_eq!(requests(&decompressed()), 5);
    // The next one of the same name keeps what the killed one left.
    let output = end(pair.capture(folder.path(), &["-i", "veth0", "-o", "a.pcap"]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(requests(&std::fs::read(folder.path().join("a.pcap.part.left-1")).unwrap()), 5);
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&format!("mount -t tmpfs -o size={size} tmpfs {}", folder.path().display()));
        if !made {
            println!("skipped: no privilege to mount a small disk here");
        }
        made.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(&format!("umount {}", self.0.path().display()));
    }
}

#[test]
fn a_full_disk_ends_it_with_a_readable_file() {
    let Some(pair) = Pair::new() else { return };
    for (name, least) in [("v1.pcap", "0"), ("v1.pcapng", "0"), ("room.pcap", "300k")] {
        let Some(disk) = SmallDisk::new("1m") else { return };
        let listener = pair.listen();
        let capture =
            pair.capture(disk.0.path(), &["-i", "veth0", "-o", name, "--min-free", least]);
        // Half of what the disk holds, and when that is written, more than it holds.
        pair.traffic(&listener, "10.9.0.2", 5, 100_000);
        let part = disk.0.path().join(format!("{name}.part"));
        wait_for("the first packets on disk", || {
            part.metadata().is_ok_and(|file| file.len() > 500_000)
        });
        for _ in 0..3 {
            pair.traffic(&listener, "10.9.0.2", 5, 100_000);
        }
        let output = capture.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {}", said(&output));
        let bytes = std::fs::read(disk.0.path().join(name)).unwrap();
        if name.ends_with(".pcap") {
            let (packets, cut) = packets(&bytes);
            assert!(!cut && packets.len() > 10, "{name}: {} packets", packets.len());
            assert_eq!(count(&output, "packets kept"), packets.len() as u64, "{}", said(&output));
        }
        let counted = count(&output, "packets kept")
            + count(&output, "dropped by kernel")
            + count(&output, "dropped by shadowtap");
        assert_eq!(count(&output, "packets seen"), counted, "{}", said(&output));
        let said = said(&output);
        assert!(said.contains(if least == "0" { "No space left" } else { "--min-free" }), "{said}");
    }
}

/// A file system that can be made to keep all writers waiting; thawed and unmounted when dropped.
struct SlowDisk(tempfile::TempDir);

impl SlowDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let made = run(&format!(
            "truncate -s 128M {path}/image && mkfs.ext4 -q -F {path}/image && mkdir {path}/disk && \
             mount -o loop {path}/image {path}/disk"
        ));
        if !made {
            println!("skipped: no privilege to mount a disk of a file here, or no mkfs.ext4");
        }
        made.then_some(Self(folder))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    fn freeze(&self) {
        assert!(
            run(&format!("fsfreeze -f {}", self.path().display())),
            "a mounted disk can be frozen"
        );
    }

    fn thaw(&self) -> bool {
        run(&format!("fsfreeze -u {}", self.path().display()))
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        self.thaw();
        run(&format!("umount {}", self.path().display()));
    }
}

#[test]
fn a_slow_disk_is_waited_for_and_what_it_costs_is_counted() {
    let Some(pair) = Pair::new() else { return };
    let Some(disk) = SlowDisk::new() else { return };
    // What fits into the queue is not lost; what does not is, and is counted: the queue and the
    // ring hold 33 MiB.
    for (name, answers, size, lossy) in
        [("short.pcap", 20, 10_000, false), ("long.pcap", 60, 1_000_000, true)]
    {
        let listener = pair.listen();
        let port = listener.local_addr().unwrap().port().to_string();
        let capture = pair.capture(
            &disk.path(),
            &["-i", "veth0", "--port", &port, "--buffer", "1MiB", "-o", name],
        );
        disk.freeze();
        pair.traffic(&listener, "10.9.0.2", answers, size);
        assert!(disk.thaw());
        let output = end(capture);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", said(&output));
        let bytes = std::fs::read(disk.path().join(name)).unwrap();
        let (packets, cut) = packets(&bytes);
        assert!(!cut);
        assert_eq!(count(&output, "packets kept"), packets.len() as u64, "{}", said(&output));
        let dropped = count(&output, "dropped by kernel");
        assert_eq!(dropped > 0, lossy, "{name}: {}", said(&output));
        assert_eq!(
            count(&output, "packets seen"),
            packets.len() as u64 + dropped,
            "{}",
            said(&output)
        );
        if !lossy {
            assert_eq!(packets.iter().filter(|packet| holds(packet, b"GET /")).count(), answers);
        }
    }
}

/// The exchanges of a recording, its first line, and its last.
fn lines(text: &str) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    all.partition(|line| line.get("id").is_some())
}

#[test]
fn exchanges_are_written_as_they_complete_and_redacted() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "a key for this very test\n").unwrap();
    let listener = pair.listen();
    let port = listener.local_addr().unwrap().port().to_string();
    let redact = [
        "--redact",
        r"pattern:GET|shop",
        "--redact",
        "header:Content-Length",
        "--redact-key",
        key.path().to_str().unwrap(),
    ];
    let common = ["-i", "veth0", "--port", &port];
    let plain = pair.capture(folder.path(), &[&common[..], &["-o", "plain.jsonl"]].concat());
    let redacted = pair
        .capture(folder.path(), &[&common[..], &["-o", "redacted.jsonl.zst"], &redact].concat());
    let packets = pair.capture(folder.path(), &[&common[..], &["-o", "v1.pcap"]].concat());
    pair.traffic(&listener, "10.9.0.2", 20, 30_000);
    // They are there while it still runs.
    let part = folder.path().join("plain.jsonl.part");
    wait_for("the exchanges", || {
        std::fs::read_to_string(&part).unwrap().matches("\"completeness\":\"complete\"").count()
            == 20
    });
    let outputs = [end(plain), end(redacted), end(packets)];
    for output in &outputs {
        assert_eq!(output.status.code(), Some(0), "{}", said(output));
    }
    assert_eq!(count(&outputs[0], "exchanges"), 20);
    let text = std::fs::read_to_string(folder.path().join("plain.jsonl")).unwrap();
    let (exchanges, frame) = lines(&text);
    assert_eq!((exchanges.len(), frame.len()), (20, 2));
    assert_eq!(frame[1]["exchanges"], 20);
    let ledger = &frame[1]["ledger"];
    assert_eq!(ledger["in"].as_u64(), Some(count(&outputs[0], "packets kept")), "{ledger}");
    for (k, exchange) in exchanges.iter().enumerate() {
        assert_eq!(exchange["request"]["target"], format!("/{k}"));
        assert_eq!(exchange["response"]["body_bytes"], 30_000);
    }
    // The same as from the packets, later.
    let parsed = Command::new(PROGRAM)
        .args(["parse", "v1.pcap", "-o", "-"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (later, _) = lines(&String::from_utf8(parsed.stdout).unwrap());
    let told = |exchange: &serde_json::Value| {
        (
            exchange["request"]["target"].clone(),
            exchange["response"]["headers"].clone(),
            exchange["client"].clone(),
        )
    };
    assert_eq!(
        later.iter().map(told).collect::<Vec<_>>(),
        exchanges.iter().map(told).collect::<Vec<_>>()
    );
    // Redacted: the same exchanges without what the rules name, the lengths kept.
    let text = String::from_utf8(
        zstd::decode_all(File::open(folder.path().join("redacted.jsonl.zst")).unwrap()).unwrap(),
    )
    .unwrap();
    let (exchanges, _) = lines(&text);
    assert_eq!(exchanges.len(), 20);
    for exchange in &exchanges {
        let host = exchange["request"]["headers"][0][1].as_str().unwrap();
        assert!(host != "shop" && host.len() == 4, "{host}");
        let length = exchange["response"]["headers"][0][1].as_str().unwrap();
        assert!(length != "30000" && length.len() == 5, "{length}");
    }
    let refused = Command::new(PROGRAM)
        .args(["capture", "-i", "lo", "-o", "x.pcap", "--redact", "default"])
        .current_dir(folder.path())
        .output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("x.jsonl"), "{}", said(&refused));
}

#[test]
fn a_killed_capture_of_exchanges_leaves_all_but_the_last_second() {
    let Some(pair) = Pair::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let listener = pair.listen();
    let mut plain = pair.capture(folder.path(), &["-i", "veth0", "-o", "a.jsonl"]);
    let mut zstd = pair.capture(folder.path(), &["-i", "veth0", "-o", "b.jsonl.zst"]);
    pair.traffic(&listener, "10.9.0.2", 5, 100);
    let text = |name: &str| {
        let mut bytes = Vec::new();
        let file = File::open(folder.path().join(name)).unwrap();
        // What a torn last frame holds is lost; what comes before it is not.
        let _ = if name.contains(".zst") {
            zstd::stream::copy_decode(file, &mut bytes)
        } else {
            std::io::copy(&mut &file, &mut bytes).map(drop)
        };
        String::from_utf8(bytes).unwrap()
    };
    let complete = |name: &str| text(name).matches("\"completeness\":\"complete\"").count();
    let names = ["a.jsonl.part", "b.jsonl.zst.part"];
    wait_for("the exchanges on disk", || names.iter().all(|name| complete(name) == 5));
    for child in [&mut plain, &mut zstd] {
        signal(child, "KILL");
        child.wait().unwrap();
    }
    for name in names {
        let text = text(name);
        let (exchanges, frame) = lines(&text);
        assert_eq!(
            (exchanges.len(), frame.len()),
            (5, 1),
            "{name}: the last line is missing, and nothing else"
        );
        // As any other recording, also under the name that it was left with.
        let read = Command::new(PROGRAM)
            .args(["inspect", "--json", name])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(read.status.code(), Some(0), "{name}: {}", said(&read));
        let seen: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
        assert_eq!(seen["completeness"]["complete"], 5, "{seen}");
    }
}

#[test]
fn wrong_names_and_filters_are_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    if !shadowtap::capture::privilege::may_capture() {
        println!("skipped: no privilege to capture here");
        return;
    }
    for (arguments, code, words) in [
        (&["-i", "nothere", "-o", "a.pcap"][..], 2, "there are"),
        (&["-i", "lo", "--filter", "tcp prt 80", "-o", "a.pcap"], 2, "syntax error"),
        (&["-i", "lo", "-o", "a.txt"], 2, ".pcapng"),
        (&[], 2, "-i"),
        (&["-i", "lo", "-o", "/proc/nothere/a.pcap"], 3, "cannot make"),
        (&["-i", "lo", "--user", "nobody-of-that-name"], 2, "no user"),
        (&["-i", "lo", "--keep-files", "2"], 2, "--rotate-size"),
    ] {
        let output = Command::new(PROGRAM)
            .arg("capture")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
    assert!(entries(folder.path()).is_empty(), "nothing is left behind");
}

#[test]
fn it_goes_on_as_another_user_and_says_what_privilege_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    // A place where everybody can run it from. It is copied by another process: what is open for
    // writing here is so in all that other tests start meanwhile, too, and cannot be run then.
    let program = folder.path().join("shadowtap");
    assert!(Command::new("cp").arg(PROGRAM).arg(&program).status().unwrap().success());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    if !shadowtap::capture::privilege::may_capture() {
        let output = Command::new(&program)
            .args(["capture", "-i", "lo"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(
            said(&output).contains("setcap cap_net_raw,cap_net_admin=eip"),
            "{}",
            said(&output)
        );
        println!("skipped: the rest, for want of privilege");
        return;
    }
    let lacking = Command::new(&program)
        .args(["capture", "-i", "lo"])
        .current_dir(folder.path())
        .uid(65_534)
        .gid(65_534)
        .output();
    let lacking = lacking.unwrap();
    assert_eq!(lacking.status.code(), Some(3), "{}", said(&lacking));
    let words = format!("sudo setcap cap_net_raw,cap_net_admin=eip {}", program.display());
    assert!(said(&lacking).contains(&words), "{}", said(&lacking));
    // Another command, of somebody else's run.
    let private = folder.path().join("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    let denied = Command::new(&program)
        .args(["gate", "private"])
        .current_dir(folder.path())
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    assert_eq!(denied.status.code(), Some(3), "{}", said(&denied));
    assert!(said(&denied).contains("this user may not look into it"), "{}", said(&denied));
    let arguments =
        ["capture", "-i", "lo", "--user", "65534:65534", "-o", "v1.pcap", "--duration", "300ms"];
    let output =
        Command::new(&program).args(arguments).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&folder.path().join("v1.pcap").metadata().unwrap()),
        65_534
    );
}

/// What deploy/README.md says is needed is enough, and less is not.
#[test]
fn the_documented_capabilities_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let with = |capabilities: &str, arguments: &[&str]| {
        let set = format!("--bounding-set=-all{capabilities}");
        let program = [
            "--inh-caps=-all",
            &set,
            "--",
            PROGRAM,
            "capture",
            "-i",
            "lo",
            "--duration",
            "10ms",
            "--force",
            "-o",
            "v1.pcap",
        ];
        Command::new("setpriv").args(program).args(arguments).current_dir(folder.path()).output()
    };
    if !shadowtap::capture::privilege::may_capture()
        || !run("setpriv --bounding-set=-all,+net_raw,+setuid,+setgid -- true")
    {
        println!("skipped: no privilege to capture here, or no setpriv to give some of it away");
        return;
    }
    let other = ["--user", "65534:65534"];
    for (capabilities, arguments, code) in [
        (",+net_raw", &[][..], 0),
        (",+net_raw,+setuid,+setgid", &other, 0),
        (",+net_raw", &other, 3),
        (",+setuid,+setgid", &[], 3),
    ] {
        let _ = std::fs::remove_file(folder.path().join("v1.pcap"));
        let output = with(capabilities, arguments).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{capabilities} {arguments:?}: {}",
            said(&output)
        );
    }
}

/// The top of the repository.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `deploy/`.
fn deploy(name: &str) -> String {
    std::fs::read_to_string(repository().join("deploy").join(name)).unwrap()
}

/// The arguments of each `shadowtap capture` in the shell lines of the guide.
fn captures_of_the_guide() -> Vec<Vec<String>> {
    let guide = deploy("README.md").replace("\\\n", " ");
    let shell = guide
        .split("```")
        .skip(1)
        .step_by(2)
        .flat_map(str::lines)
        .filter_map(|line| line.split_once("shadowtap capture "));
    let words = |line: &str| -> Vec<String> {
        let command = line.split('#').next().unwrap_or_default().split_whitespace();
        // What is behind it is the shell's.
        let command = command.take_while(|&word| word != ">");
        command.map(|word| word.trim_matches('\'').to_owned()).collect()
    };
    shell.map(|(_, arguments)| words(arguments)).collect()
}

/// The arguments of the tap's DaemonSet, which stand one to a line.
fn arguments_of_the_manifest() -> Vec<String> {
    let manifest = deploy("kubernetes/tap/daemonset.yaml");
    let lines = manifest.lines().skip_while(|line| line.trim() != "args:").skip(1).map(str::trim);
    let lines = lines.filter(|line| !line.starts_with('#'));
    let arguments: Vec<String> =
        lines.map_while(|line| line.strip_prefix("- ")).map(str::to_owned).collect();
    let (command, arguments) = arguments.split_first().unwrap();
    assert_eq!(command, "capture");
    let replaced = |word: &String| {
        word.replace("$(STORE)", "s3://bucket").replace("--interface=any", "--interface=eth0")
    };
    arguments.iter().map(replaced).collect()
}

/// Each command is taken as it is written up to the interface, which is not there.
#[test]
fn the_commands_of_the_guide_and_the_manifest_are_taken() {
    let commands: Vec<Vec<String>> =
        captures_of_the_guide().into_iter().chain([arguments_of_the_manifest()]).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let folder = tempfile::tempdir().unwrap();
        let arguments = command.iter().map(|word| {
            let word = word.replace("/var/lib/shadowtap/", "").replace("/tmp/", "");
            if word == "eth0" {
                "nowhere0".to_owned()
            } else {
                word.replace("--interface=eth0", "--interface=nowhere0")
            }
        });
        let output = Command::new(PROGRAM)
            .arg("capture")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        // Without the privilege the interfaces are not even looked at.
        let told = said(&output);
        assert!(
            matches!(output.status.code(), Some(2 | 3)) && !told.contains("unexpected argument"),
            "{command:?}: {told}"
        );
        assert!(told.contains("nowhere0") || told.contains("setcap"), "{command:?}: {told}");
    }
}

/// What the image is built from is there, and is called so.
#[test]
fn the_dockerfile_copies_what_there_is() {
    let program = Path::new(PROGRAM).file_name().unwrap().to_str().unwrap();
    let mut copies = 0;
    for line in deploy("Dockerfile").lines().filter_map(|line| line.strip_prefix("COPY ")) {
        copies += 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        let (sources, _) = words.split_at(words.len() - 1);
        match sources {
            ["--from=build", built] => assert_eq!(*built, format!("/src/target/release/{program}")),
            sources => {
                assert!(sources.iter().all(|source| repository().join(source).exists()), "{line}")
            }
        }
    }
    assert_eq!(copies, 3);
    assert!(repository().join("Cargo.lock").exists(), "--locked builds from it");
    // What the build reads must not be left out of what the image is built from.
    let ignored = deploy("Dockerfile.dockerignore");
    for line in ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let needed = ["src", "captures", "Cargo", "benches", "tests", "*"]
            .iter()
            .any(|needed| line.starts_with(needed));
        assert!(!needed, "{line} is left out");
    }
}

/// Against the published schemas of Kubernetes, which `kubernetes-validate` (PyPI) brings along.
#[test]
fn the_kubernetes_manifests_are_of_the_published_schema() {
    if !run("python3 -c 'import kubernetes_validate'") {
        println!("skipped: the schemas are not there: pip install kubernetes-validate");
        return;
    }
    // What `kubectl debug --custom` takes is the part of an ephemeral container that it does not
    // make itself.
    let folder = tempfile::tempdir().unwrap();
    let mut container: serde_json::Value =
        serde_json::from_str(&deploy("kubernetes/ephemeral.json")).unwrap();
    container["name"] = "tap".into();
    container["image"] = "registry.example/shadowtap:0.1".into();
    container["targetContainerName"] = "v1".into();
    let pod = |container: &serde_json::Value| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "v1" },
            "spec": {
                "containers": [{ "name": "v1", "image": "v1" }],
                "ephemeralContainers": [container],
            },
        })
    };
    let validate = |path: &Path| {
        Command::new("python3")
            .args(["-m", "kubernetes_validate", "--strict"])
            .arg(path)
            .output()
            .unwrap()
    };
    let written = folder.path().join("pod.json");
    std::fs::write(&written, pod(&container).to_string()).unwrap();
    let mut manifests = vec![written.clone()];
    for part in ["base", "tap", "replay", "shards", "v2", "demo"] {
        let folder = repository().join("deploy/kubernetes").join(part);
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        manifests.extend(paths.filter(|path| !path.ends_with("kustomization.yaml")));
    }
    assert!(manifests.len() > 12, "{manifests:?}");
    for path in manifests {
        let output = validate(&path);
        assert!(output.status.success(), "{}", said(&output));
    }
    container["securityContext"]["capability"] = "NET_RAW".into();
    std::fs::write(&written, pod(&container).to_string()).unwrap();
    assert!(!validate(&written).status.success(), "an unknown field is found");
}

/// Packets on a terminal help nobody and may change how it behaves: `script` gives one.
#[test]
fn packets_do_not_go_to_a_terminal() {
    let line = format!("{PROGRAM} capture -i lo --duration 1s -o -");
    let mut script = Command::new("script");
    let ran = script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    let Ok(output) = ran else {
        println!("skipped: there is no script here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("packets are no text for a terminal"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}
