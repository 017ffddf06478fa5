//! How much of the traffic was readable: every byte of a payload is readable or has a reason.

use super::*;
use crate::ledger::{Seen, Traffic};

fn said(port: u16, parts: &[(usize, &str)]) -> Vec<Vec<u8>> {
    let mut wire = Wire::new(port, [77, 4_000_000_000]);
    for (from, text) in parts {
        wire.say(*from, text.as_bytes(), &mut SeededRandom(7), 100_000);
    }
    wire.packets
}

fn seen(packets: &[Vec<u8>], ports: &[u16]) -> Seen {
    let (_, ledger) = run_with(
        packets.to_vec(),
        5,
        &ParseOptions { threads: 1, ports: ports.to_vec(), ..ParseOptions::default() },
    );
    ledger.seen
}

const ASK: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn each_connection_is_readable_or_has_a_reason() {
    let both = (ASK.len() + ANSWER.len()) as u64;
    let traffic = |connections, packets, bytes| Traffic { connections, packets, bytes };
    let plain = said(40_001, &[(0, ASK), (1, ANSWER)]);
    let ssh = said(40_002, &[(1, "SSH-2.0-a\r\n"), (0, "SSH-2.0-b\r\n")]);
    let silent = said(40_003, &[]);
    let odd = said(40_004, &[(0, "\u{1}\u{2}\u{3} what is this"), (1, "\u{4}\u{5} nothing")]);
    let all = [plain, ssh, silent, odd].concat();
    let told = seen(&all, &[]);
    assert_eq!(told.readable, traffic(1, 7, both), "{told:?}");
    assert_eq!(told.unread["ssh"], traffic(1, 7, 22), "{told:?}");
    assert_eq!(told.unread["unknown"].connections, 1, "{told:?}");
    assert_eq!(told.all().connections, 3, "the silent one has nothing to read: {told:?}");
    assert!(seen(&all, &[9_999]).is_empty(), "nothing of it was asked for");
    assert_eq!(seen(&all, &[8_080]), told);
}

#[test]
fn bytes_of_a_readable_connection_that_are_not_read_have_a_reason() {
    let upgrade = "GET /w HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: other/1\r\n\r\n";
    let switched = "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: other/1\r\n\r\n";
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9_000));
    let junk = format!("{ANSWER}{}", "junk ".repeat(50));
    let behind = said(
        40_001,
        &[(0, upgrade), (1, switched), (0, "frames and more frames"), (1, "and those of v1")],
    );
    let mut lossy = said(
        40_002,
        &[(0, ASK), (1, &long[..6_000]), (1, &long[6_000..9_000]), (1, &long[9_000..])],
    );
    let lost = lossy.iter().position(|packet| packet.len() == 40 + 3_000).expect("a packet");
    lossy.remove(lost);
    let surplus = said(40_003, &[(0, ASK), (1, &junk)]);
    for (name, packets, reason, bytes) in [
        ("switched", behind, "upgraded", 22 + 15),
        ("lossy", lossy, "lost", 3_000),
        ("surplus", surplus, "no-message", 250),
    ] {
        let of = |packet: &Vec<u8>| packet.len() as u64 - 40;
        let sent: u64 = packets.iter().map(of).sum();
        let told = seen(&packets, &[]);
        let unread = told.unread.get(reason).copied().unwrap_or_default();
        assert_eq!(unread, Traffic { bytes, ..Traffic::default() }, "{name}: {told:?}");
        let lost = if name == "lossy" { bytes } else { 0 };
        assert_eq!(told.all().bytes, sent + lost, "{name}: {told:?}");
        assert_eq!(told.readable.connections, 1, "{name}: {told:?}");
        let share = told.readable_share().expect("it is known").bytes;
        assert!(share < 1.0 && share > 0.0, "{name}: {share}");
    }
}

#[test]
fn quic_is_told_by_its_connections_and_other_datagrams_are_not() {
    let datagram = |port: u16, payload: &[u8]| {
        let length = (28 + payload.len() as u16).to_be_bytes();
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, 17, 0, 0];
        packet.extend_from_slice(&[10, 0, 0, 9, 10, 0, 0, 1]);
        packet.extend_from_slice(&port.to_be_bytes());
        packet.extend_from_slice(&[1, 187]);
        packet.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
        packet.extend_from_slice(&[0, 0]);
        [packet.as_slice(), payload].concat()
    };
    let (long, short) = (&b"\xc3\0\0\0\x01\x08 ..."[..], &b"\x43 sealed"[..]);
    let packets = [
        datagram(5_001, long),
        datagram(5_001, short),
        datagram(5_002, long),
        datagram(5_003, short),
    ];
    let (_, ledger) =
        run_with(packets.to_vec(), 2, &ParseOptions { threads: 1, ..ParseOptions::default() });
    assert_eq!((ledger.rejected["quic"], ledger.rejected["udp"]), (3, 1), "{ledger:?}");
    let bytes = (2 * long.len() + short.len()) as u64;
    assert_eq!(ledger.seen.unread["quic"], Traffic { connections: 2, packets: 3, bytes });
    assert_eq!(ledger.noted["quic-unread-server-nameless"], 2);
    assert!(seen(&packets, &[8_080]).is_empty(), "nothing of it was asked for");
    assert_eq!(seen(&packets, &[443]), ledger.seen);
}
