//! One packet for each link and tunnel, by hand; and every prefix of each, as the snap length may
//! cut it.

use super::*;
use proptest::prelude::*;

const PAYLOAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// TCP of 10.0.0.9:40000 or [2001:db8::9]:40000 to port 80.
fn tcp() -> Vec<u8> {
    let mut out = [40_000u16.to_be_bytes(), 80u16.to_be_bytes()].concat();
    out.extend_from_slice(&7u32.to_be_bytes());
    out.extend_from_slice(&9u32.to_be_bytes());
    out.extend_from_slice(&[0x60, 24, 1, 0, 0xde, 0xad, 0, 0, 1, 1, 1, 0]);
    out.extend_from_slice(PAYLOAD);
    out
}

fn ipv4(protocol: u8, place: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x46, 0];
    out.extend_from_slice(&(24 + body.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0x12, 0x34]);
    out.extend_from_slice(&place.to_be_bytes());
    out.extend_from_slice(&[64, protocol, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1, 1, 1, 1, 0]);
    out.extend_from_slice(body);
    out
}

fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(&[next, 64]);
    for last in [9, 1] {
        out.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    out.extend_from_slice(body);
    out
}

fn after(head: &[u8], body: &[u8]) -> Vec<u8> {
    [head, body].concat()
}

fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    after(&[&[2; 12][..], &kind.to_be_bytes()].concat(), body)
}

fn udp(port: u16, body: &[u8]) -> Vec<u8> {
    after(
        &[[0x30, 0x39], port.to_be_bytes(), (8 + body.len() as u16).to_be_bytes(), [0, 0]].concat(),
        body,
    )
}

fn try_decode(link: u16, bytes: &[u8], length: usize) -> Result<Decoded, Reject> {
    let (captured, length) = (bytes.len() as u32, length as u32);
    let frame = Frame {
        at: Timestamp::from_nanos(5),
        block: 3,
        start: 100,
        captured,
        length,
        link: LinkType(link),
    };
    decode(&frame, bytes, 77, HashKey([1, 2]))
}

fn segment(link: u16, bytes: &[u8]) -> Segment {
    match try_decode(link, bytes, bytes.len()) {
        Ok(Decoded::Segment(segment)) => segment,
        other => panic!("link {link}, {bytes:x?}: {other:?}"),
    }
}

/// Every form, with a name for the failure.
fn forms() -> Vec<(&'static str, u16, Vec<u8>)> {
    let ip = ipv4(6, 0x4000, &tcp());
    let ip6 = ipv6(6, &tcp());
    let frame = ethernet(0x0800, &ip);
    let extensions =
        after(&[60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 1], &tcp());
    let vxlan = udp(4789, &after(&[8, 0, 0, 0, 0, 0, 42, 0], &frame));
    let geneve = udp(
        6081,
        &after(
            &[1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 4],
            &ethernet(0x0800, &ipv4(17, 0, &vxlan)),
        ),
    );
    let pppoe = after(&[0x11, 0, 0, 1, 0, 0], &after(&[0, 0x21], &ip));
    let snap = after(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip);
    let plain = after(&[&[0x08, 0x01][..], &[0; 22]].concat(), &snap);
    let wireless = after(&[&[0x88, 0x01][..], &[0; 24]].concat(), &snap);
    vec![
        ("ethernet", 1, frame.clone()),
        ("padding", 1, after(&frame, &[0xaa; 9])),
        ("vlan in qinq", 1, ethernet(0x88a8, &after(&[0, 5, 0x81, 0, 0, 6, 8, 0], &ip))),
        ("llc and snap", 1, ethernet(100, &after(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip))),
        ("mpls", 1, ethernet(0x8847, &after(&[0, 0, 0x10, 64, 0, 0, 0x11, 64], &ip))),
        ("mpls pseudowire", 1, ethernet(0x8847, &after(&[0, 0, 0x11, 64, 0, 0, 0, 0], &frame))),
        ("pppoe", 1, ethernet(0x8864, &pppoe)),
        ("ppp", 9, after(&[0xff, 3, 0, 0x21], &ip)),
        ("null, little", 0, after(&[2, 0, 0, 0], &ip)),
        ("null, big", 0, after(&[0, 0, 0, 30], &ip6)),
        ("loop", 108, after(&[0, 0, 0, 2], &ip)),
        ("sll", 113, after(&[&[0; 14][..], &[8, 0]].concat(), &ip)),
        ("sll2", 276, after(&[&[0x86, 0xdd][..], &[0; 18]].concat(), &ip6)),
        ("raw", 101, ip.clone()),
        ("raw ipv6", 229, ip6.clone()),
        ("hdlc", 104, after(&[0x0f, 0, 8, 0], &ip)),
        ("ipv6 extensions, atomic fragment", 101, ipv6(0, &extensions)),
        (
            "authentication header",
            101,
            ipv4(51, 0, &after(&[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &tcp())),
        ),
        ("ip in ip", 101, ipv4(4, 0, &ip)),
        ("6in4", 101, ipv4(41, 0, &ip6)),
        (
            "gre with key and sequence",
            101,
            ipv4(47, 0, &after(&[0x30, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0, 2], &ip)),
        ),
        (
            "erspan 2",
            101,
            ipv4(47, 0, &after(&[&[0x10, 0, 0x88, 0xbe][..], &[0; 12]].concat(), &frame)),
        ),
        (
            "erspan 3",
            101,
            ipv4(47, 0, &after(&[&[0x10, 0, 0x22, 0xeb][..], &[0; 16]].concat(), &frame)),
        ),
        ("vxlan", 101, ipv4(17, 0, &vxlan)),
        ("vxlan-gpe", 101, ipv4(17, 0, &udp(4790, &after(&[0xc, 0, 0, 1, 0, 0, 42, 0], &ip)))),
        ("vxlan in geneve", 101, ipv4(17, 0, &geneve)),
        ("gtp-u with an extension", 101, {
            let head = [0x34, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0];
            ipv4(17, 0, &udp(2152, &after(&head, &ip)))
        }),
        (
            "pseudowire without a control word",
            1,
            ethernet(0x8847, &after(&[0, 0, 0x11, 64, 0, 0x1b, 0x21, 1, 2, 3], &frame[6..])),
        ),
        ("l2tp 3", 101, ipv4(115, 0, &after(&[0, 0, 0, 9, 1, 2, 3, 4], &frame))),
        ("l2tp 2", 101, {
            let head = [0x4a, 2, 0, 99, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 9, 9, 0xff, 3, 0, 0x21];
            ipv4(17, 0, &udp(1701, &after(&head, &ip)))
        }),
        ("teredo", 101, {
            let head = [0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 5, 6, 1, 2, 3, 4];
            ipv4(17, 0, &udp(3544, &after(&head, &ip6)))
        }),
        ("ayiya", 101, {
            let head = after(&[0x41, 0x52, 0x11, 41, 0, 0, 0, 0], &[7; 36]);
            ipv4(17, 0, &udp(5072, &after(&head, &ip6)))
        }),
        ("capwap", 101, { ipv4(17, 0, &udp(5247, &after(&[0, 0x10, 2, 0, 0, 0, 0, 0], &frame))) }),
        ("capwap of wireless frames", 101, {
            ipv4(17, 0, &udp(5247, &after(&[0, 0x10, 3, 0, 0, 0, 0, 0], &wireless)))
        }),
        ("hsr", 1, ethernet(0x892f, &after(&[0, 60, 0, 1, 8, 0], &ip))),
        ("cisco metadata", 1, ethernet(0x8909, &after(&[1, 1, 0, 1, 0, 100, 8, 0], &ip))),
        ("dsa", 1, ethernet(0xdada, &after(&[0, 0, 0, 1, 0, 2, 8, 0], &ip))),
        ("fabricpath", 1, ethernet(0x8903, &after(&[0, 0x5f], &frame))),
        ("trill", 1, ethernet(0x22f3, &after(&[0, 0x5f, 0, 1, 0, 2, 3, 4, 5, 6], &frame))),
        ("macsec, clear", 1, ethernet(0x88e5, &after(&[0, 0, 0, 0, 0, 1, 8, 0], &ip))),
        (
            "macsec, clear, with its sender",
            1,
            ethernet(0x88e5, &after(&[0x20, 0, 0, 0, 0, 1, 8, 8, 8, 8, 8, 8, 8, 8, 8, 0], &ip)),
        ),
        ("wlan", 105, wireless),
        ("wlan between stations", 105, {
            let head = after(&[0x88, 0x03], &[0; 28]);
            after(&head, &after(&[0x80, 0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 0, 60], &snap))
        }),
        ("radiotap with padding", 127, {
            // A clock, flags (padded), one more word of fields.
            let head = [0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7];
            let frame = after(&[0x88, 0x02], &after(&[0; 22], &[0, 0, 0, 0]));
            after(&after(&head, &[0x20]), &after(&frame, &snap))
        }),
        ("prism", 119, after(&[&[0, 0, 0, 0x41, 12, 0, 0, 0][..], &[0; 4]].concat(), &plain)),
        ("avs", 163, after(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 12][..], &[0; 4]].concat(), &plain)),
        ("ppi", 192, after(&[0, 0, 8, 0, 105, 0, 0, 0], &plain)),
        ("ppi around ethernet", 192, after(&[0, 0, 8, 0, 1, 0, 0, 0], &frame)),
        ("ppp with direction", 204, after(&[1, 0xff, 3, 0, 0x21], &ip)),
        ("pppd", 166, after(&[1, 3, 0, 0x21], &ip)),
        ("hdlc with direction", 205, after(&[1, 0x0f, 0, 8, 0], &ip)),
        ("atm", 11, snap.clone()),
        ("frame relay", 107, after(&[0x18, 0x41, 3, 0xcc], &ip)),
        ("frame relay, snap", 107, after(&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &ip)),
        ("frame relay, cisco", 107, after(&[0x18, 0x41, 8, 0], &ip)),
        ("token ring", 6, after(&[&[0; 14][..], &snap].concat(), &[])),
        ("token ring with a route", 6, {
            let head = [0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 4, 0, 0, 0];
            after(&head, &snap)
        }),
        ("fddi", 10, after(&[0; 13], &snap)),
        ("enc", 109, after(&[2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], &ip)),
        ("pflog", 117, after(&[&[61, 2, 0, 0][..], &[0; 60]].concat(), &ip)),
        ("firewire", 138, after(&[&[0; 16][..], &[8, 0]].concat(), &ip)),
        ("netanalyzer", 240, after(&[0; 4], &frame)),
        ("netanalyzer with a preamble", 241, after(&[0; 12], &frame)),
        ("preamble", 274, after(&[0x55; 8], &frame)),
        ("total length 0", 101, {
            let mut packet = ip;
            packet[2..4].copy_from_slice(&[0, 0]);
            packet
        }),
    ]
}

#[test]
fn links_and_tunnels_lead_to_the_same_segment() {
    for (name, link, bytes) in forms() {
        let segment = segment(link, &bytes);
        let start = segment.start as usize - 100;
        assert_eq!(&bytes[start..start + segment.captured as usize], PAYLOAD, "{name}");
        assert_eq!(
            (segment.captured, segment.length as usize),
            (PAYLOAD.len() as u32, PAYLOAD.len()),
            "{name}"
        );
        assert_eq!(
            (segment.seq, segment.ack, segment.flags, segment.block, segment.number),
            (7, 9, TcpFlags(24), 3, 77),
            "{name}"
        );
        assert_eq!(
            (segment.pair.low.port.min(segment.pair.high.port), segment.from_low),
            (80, false),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_tunnel_is_rejected_for_what_it_is() {
    // PPP in L2TP 3: its bytes are no type of Ethernet.
    let ppp = after(&[0, 0, 0, 9], &[0xff, 3, 0, 0x21, 9, 9, 9, 9, 9, 9, 9, 9, 0xab, 0xcd]);
    let packet = ipv4(115, 0, &after(&ppp, &[0x77; 40]));
    assert_eq!(try_decode(101, &packet, packet.len()), Err(Reject::Protocol(115)));
    // A datagram of QUIC between a port of Teredo's and a client, of which the capture has a start.
    let quic = ipv4(17, 0, &udp(3544, &after(&[0x41], &[7; 60])));
    let cut = quic.len() - 40;
    let decoded = try_decode(101, &quic[..cut], quic.len());
    assert!(matches!(decoded, Ok(Decoded::Datagram(_))), "{decoded:?}");
}

#[test]
fn virtual_networks_are_told_apart_and_priority_tags_are_none() {
    let ip = ipv4(6, 0, &tcp());
    let tagged = |tag: u8| segment(1, &ethernet(0x8100, &after(&[0, tag, 8, 0], &ip))).network;
    let vni = |id: u8| {
        segment(
            101,
            &ipv4(17, 0, &udp(4789, &after(&[8, 0, 0, 0, 0, 0, id, 0], &ethernet(0x0800, &ip)))),
        )
        .network
    };
    assert_eq!((tagged(0), segment(101, &ip).network), (0, 0));
    let networks = [tagged(5), tagged(6), vni(5), vni(6)];
    for (at, network) in networks.iter().enumerate() {
        assert!(*network != 0 && !networks[..at].contains(network), "{networks:?}");
    }
}

#[test]
fn what_the_snap_length_cut_is_missing_and_never_a_panic() {
    for (name, link, bytes) in forms() {
        for cut in 0..bytes.len() {
            match try_decode(link, &bytes[..cut], bytes.len()) {
                Ok(Decoded::Segment(segment)) => {
                    assert!(
                        segment.captured < segment.length || name == "padding",
                        "{name} cut at {cut}: {segment:?}"
                    );
                    assert!(
                        segment.start as usize - 100 + segment.captured as usize <= cut,
                        "{name} cut at {cut}"
                    );
                }
                Ok(other) => panic!("{name} cut at {cut} is {other:?}"),
                Err(Reject::Cut(_)) => {}
                // A length of zero says nothing of what is missing.
                Err(reject) => {
                    assert!(matches!(reject, Reject::Malformed(_)), "{name} cut at {cut}: {reject}")
                }
            }
        }
    }
}

#[test]
fn other_packets_are_rejected_by_name() {
    for (link, bytes, name) in [
        (1, ethernet(0x0806, &[0; 28]), "arp"),
        (1, ethernet(0x88cc, &[0; 28]), "lldp"),
        (101, ipv4(1, 0, &[0; 8]), "icmp"),
        (101, ipv4(17, 0, &udp(53, b"?")), "udp"),
        (101, ipv4(17, 0, &udp(443, b"\xc3\0\0\0\x01\x08")), "quic"),
        (101, ipv6(17, &udp(8443, b"\xe0\x6b\x33\x43\xcf\x08")), "quic"),
        (101, ipv4(17, 0, &udp(443, b"\xc3\0\0\0\0\x08")), "udp"),
        (101, ipv4(17, 0, &udp(443, b"\xf0\xff\0\0\x1d\0")), "quic"),
        (101, ipv4(17, 0, &udp(443, b"\x43\0\0\0\x01\x08")), "udp"),
        (101, ipv4(17, 0, &udp(443, b"\xc3\0\0\0\x05\x08")), "udp"),
        (101, ipv6(58, &[0; 8]), "icmpv6"),
        (101, ipv4(89, 0, &[0; 8]), "ip-protocol-89"),
        (147, vec![0; 40], "link-type-147"),
        (101, vec![0x51; 40], "malformed-ip"),
        (101, ipv4(6, 0, &[0; 20]), "malformed-tcp"),
        (105, after(&[0x80, 0], &[0; 40]), "wlan-management"),
        (105, after(&[0xb4, 0], &[0; 40]), "wlan-control"),
        (105, after(&[0xc8, 1], &[0; 40]), "wlan-no-data"),
        (105, after(&[0x88, 0x41], &[0; 40]), "wlan-encrypted"),
        (101, ipv4(17, 0, &udp(1701, b"\xc8\x02\0\x0c\0\0\0\0")), "udp"),
        (101, ipv4(17, 0, &udp(3544, b"\0nything")), "udp"),
        (1, ethernet(0x88e5, &[0x2c; 60]), "macsec"),
    ] {
        let reject = match try_decode(link, &bytes, bytes.len()) {
            Ok(Decoded::Datagram(datagram)) => {
                assert_eq!((datagram.captured, datagram.length), (6, 6));
                datagram.reject()
            }
            decoded => decoded.unwrap_err(),
        };
        assert_eq!(reject.to_string(), name);
    }
    let mut nested = ipv4(6, 0, &tcp());
    for _ in 0..60 {
        nested = ipv4(4, 0, &nested);
    }
    assert_eq!(try_decode(101, &nested, nested.len()), Err(Reject::TooDeep));
}

/// The fragments of an IPv4 packet: offset in eights, whether more follow, bytes.
fn fragments(parts: &[(u16, bool, &[u8])]) -> Vec<(Fragment, Vec<u8>)> {
    parts
        .iter()
        .map(|&(offset, more, bytes)| {
            let packet = ipv4(6, offset | u16::from(more) << 13, bytes);
            match try_decode(101, &packet, packet.len()) {
                Ok(Decoded::Fragment(fragment)) => (fragment, bytes.to_vec()),
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

#[test]
fn fragments_are_joined_in_any_order_and_the_first_copy_wins() {
    let whole = tcp();
    let other = [b'!'; 8];
    let parts = [
        (0, true, &whole[..16]),
        (2, true, &whole[16..32]),
        (3, true, &other[..]),
        (4, false, &whole[32..]),
    ];
    for order in [[0, 1, 2, 3], [3, 1, 2, 0], [1, 2, 0, 3], [1, 3, 2, 0]] {
        let mut joining = Fragments::default();
        let parts = fragments(&parts);
        let mut found = None;
        for at in order {
            let (fragment, bytes) = &parts[at];
            match joining.add(fragment, bytes, 9, HashKey([1, 2])) {
                fragment::Joined::Waiting => assert!(found.is_none()),
                fragment::Joined::Whole(decoded, bytes, others) => {
                    found = found.or(Some((decoded, bytes, others)))
                }
            }
        }
        let (decoded, bytes, others) = found.unwrap_or_else(|| panic!("{order:?} is whole"));
        let Ok(Decoded::Segment(segment)) = decoded else { panic!("{decoded:?}") };
        assert_eq!((bytes, segment.block, joining.overlapping), (whole.clone(), 9, 1), "{order:?}");
        assert_eq!(segment.length as usize, PAYLOAD.len());
        assert_eq!(others, 3);
    }
}

#[test]
fn fragments_that_never_became_whole_are_given_up_and_counted() {
    let whole = tcp();
    let mut joining = Fragments::default();
    let mut parts = fragments(&[(0, true, &whole[..16]), (0, true, &whole[..16])]);
    parts[1].0.id = 5;
    parts[1].0.at = Timestamp::from_nanos(limits::FRAGMENT_AGE_NS + 6);
    for (fragment, bytes) in &parts {
        assert_eq!(joining.add(fragment, bytes, 0, HashKey([1, 2])), fragment::Joined::Waiting);
    }
    assert_eq!(joining.given_up, 1, "the older one");
    joining.finish();
    assert_eq!(joining.given_up, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(
        link in
            prop::sample::select(vec![0u16, 1, 9, 12, 51, 101, 104, 108, 113, 228, 229, 239, 276]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        more in 0usize..100
    ) {
        let _ = try_decode(link, &bytes, bytes.len() + more);
    }

    #[test]
    fn no_damaged_packet_panics(
        form in 0usize..28,
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index
    ) {
        let (_, link, mut bytes) = forms().swap_remove(form);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let length = bytes.len();
        bytes.truncate(1 + cut.index(length));
        let _ = try_decode(link, &bytes, length);
    }
}
