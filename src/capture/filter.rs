//! The filter of `--port`, as a text for libpcap.
//!
//! `tcp port 8080` alone sees neither tagged nor tunnelled frames nor the later fragments of a
//! datagram, and the exchanges in them would be missing without a trace; so the ports are asked for
//! in all places where a node's traffic carries them.

use std::fmt::Write as _;

/// UDP ports of VXLAN (RFC 7348; 8472 is what Linux and Flannel used first) and GENEVE (RFC 8926).
const VXLAN: &str = "(udp dst port 4789 or udp dst port 8472)";
const GENEVE: &str = "udp dst port 6081";

/// The filter for TCP to and from `ports` and, where given, the user's own filter, both of which
/// must hold; empty for all. `tagged` asks for frames with one or two VLAN tags too.
///
/// Nothing may stand in it that only the kernel can decide (`inbound`): libpcap itself filters what
/// the ring held before the kernel had the filter, and drops what it cannot decide.
pub fn expression(ports: &[u16], own: Option<&str>, tagged: bool) -> String {
    let mut parts = Vec::new();
    if let Some(own) = own.map(str::trim).filter(|own| !own.is_empty()) {
        parts.push(format!("({own})"));
    }
    if !ports.is_empty() {
        // Last, since `vlan` moves the offsets of all that follows it.
        parts.push(format!("({})", ported(ports, tagged)));
    }
    parts.join(" and ")
}

fn ported(ports: &[u16], tagged: bool) -> String {
    let any_of = |test: &dyn Fn(u16) -> String| {
        ports.iter().map(|&port| test(port)).collect::<Vec<_>>().join(" or ")
    };
    let plain = any_of(&|port| format!("tcp port {port}"));
    // Later fragments have no ports; the parser joins them, or counts them.
    let fragments = "(ip proto 6 and ip[6:2] & 0x1fff != 0) or ip6[6] = 44";
    let mut out = format!("{plain} or {fragments}");
    // Inner Ethernet starts 8 octets behind the UDP header's 8, and behind GENEVE's options, which
    // come in words.
    for (outer, inner) in [(VXLAN, "16"), (GENEVE, "(16 + ((udp[8] & 0x3f) << 2))")] {
        let v4 = format!("(udp[{inner} + 14] & 0x0f) * 4");
        let in_v4 = any_of(&|port| {
            format!(
                "udp[{inner} + 14 + {v4} : 2] = {port} or udp[{inner} + 16 + {v4} : 2] = {port}"
            )
        });
        let in_v6 = any_of(&|port| {
            format!("udp[{inner} + 54 : 2] = {port} or udp[{inner} + 56 : 2] = {port}")
        });
        let _ = write!(
            out,
            " or (ip and {outer} and ((udp[{inner} + 12 : 2] = 0x0800 and udp[{inner} + 23] = 6 \
             and ({in_v4})) \
             or (udp[{inner} + 12 : 2] = 0x86dd and udp[{inner} + 20] = 6 and ({in_v6})) or \
             udp[{inner} + 12 : 2] = 0x8100))"
        );
    }
    // Offsets of udp[…] hold for IPv4 outside only; what GRE, IP in IP and IPv6 tunnels carry is
    // left to the parser.
    let _ = write!(
        out,
        " or (ip6 and ({VXLAN} or {GENEVE})) or ip proto 47 or ip proto 4 or ip proto 41"
    );
    if tagged {
        let _ = write!(
            out,
            " or (vlan and ({plain} or {fragments})) or (vlan and ({plain} or {fragments}))"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined() {
        assert_eq!(expression(&[], None, true), "");
        assert_eq!(expression(&[], Some(" host 10.0.0.1 "), true), "(host 10.0.0.1)");
        assert_eq!(expression(&[], Some(" "), true), "");
        let both = expression(&[80, 8080], Some("host 10.0.0.1"), true);
        assert!(
            both.starts_with("(host 10.0.0.1) and (tcp port 80 or tcp port 8080 or "),
            "{both}"
        );
        assert!(both.ends_with("))"), "{both}");
    }
}
