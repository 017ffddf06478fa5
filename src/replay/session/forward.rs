//! Who is at the other end of a connection, where this machine's kernel translates addresses on the
//! way (DNAT, REDIRECT, a ClusterIP by iptables or nftables): its table of connections tells.
//!
//! What is translated on other machines, by eBPF or by a proxy cannot be seen from here.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, TcpStream};

use crate::flow::Endpoint;

const TABLE: &str = "/proc/net/nf_conntrack";
/// Bytes of the table that are read: half a million connections.
const TABLE_BYTES: u64 = 128 << 20;

/// What is known of a connection's other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// The table cannot be read.
    Unknown,
    /// This machine translates nothing.
    Straight,
    /// It leads here instead.
    To(Endpoint),
}

/// Who is at the other end of `stream`.
pub(super) fn behind(stream: &TcpStream) -> Forward {
    let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return Forward::Unknown;
    };
    let [own, peer] = [own, peer].map(|end| Endpoint::new(end.ip().to_canonical(), end.port()));
    let Ok(table) = File::open(TABLE) else { return Forward::Unknown };
    let lines = BufReader::new(table.take(TABLE_BYTES)).lines().map_while(Result::ok);
    // A connection that is not in the table is not translated: that takes an entry.
    lines.filter_map(|line| leads(&line, own, peer)).next().unwrap_or(Forward::Straight)
}

/// Where the connection from `own` to `peer` leads, if `line` is about it: who answers on it.
fn leads(line: &str, own: Endpoint, peer: Endpoint) -> Option<Forward> {
    if !line.contains(" tcp ") {
        return None;
    }
    let mut ways = line.split(" src=").skip(1).map(way);
    let (asked, answers) = (ways.next()??, ways.next()??);
    (asked == (own, peer)).then(|| match answers.0 == peer {
        true => Forward::Straight,
        false => Forward::To(answers.0),
    })
}

/// `ADDRESS dst=ADDRESS sport=PORT dport=PORT …` as sender and receiver.
fn way(text: &str) -> Option<(Endpoint, Endpoint)> {
    let mut words = text.split_whitespace();
    let from: IpAddr = words.next()?.parse().ok()?;
    let to: IpAddr = words.next()?.strip_prefix("dst=")?.parse().ok()?;
    let from_port = words.next()?.strip_prefix("sport=")?.parse().ok()?;
    let to_port = words.next()?.strip_prefix("dport=")?.parse().ok()?;
    Some((Endpoint::new(from, from_port), Endpoint::new(to, to_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_who_answers() {
        let end = |text: &str| text.parse::<Endpoint>().unwrap();
        let own = end("10.0.0.9:40112");
        let service = end("10.96.0.10:80");
        let line = |answers: &str| {
            format!(
                "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=10.96.0.10 sport=40112 dport=80 \
                 src={answers} dst=10.0.0.9 sport=8080 dport=40112 [ASSURED] mark=0 zone=0 use=2"
            )
        };
        let translated = line("10.244.1.7");
        assert_eq!(leads(&translated, own, service), Some(Forward::To(end("10.244.1.7:8080"))));
        let straight = line("10.96.0.10").replace("sport=8080", "sport=80");
        assert_eq!(leads(&straight, own, service), Some(Forward::Straight));
        // Another port of the same service, another connection, no TCP, not a line of the table.
        let redirected = line("10.96.0.10");
        assert_eq!(leads(&redirected, own, service), Some(Forward::To(end("10.96.0.10:8080"))));
        for other in [
            translated.replace("sport=40112 dport=80", "sport=40113 dport=80"),
            translated.replace(" tcp ", " udp "),
            "ipv4 2 tcp 6 src=10.0.0.9".to_owned(),
            String::new(),
        ] {
            assert_eq!(leads(&other, own, service), None, "{other}");
        }
        let six = "ipv6     10 tcp      6 60 SYN_SENT src=fd00::9 dst=fd00::1 sport=1 dport=2 [UNREPLIED] \
                   src=fd00::7 dst=fd00::9 sport=3 dport=1 zone=0 use=2";
        let leads = leads(six, end("[fd00::9]:1"), end("[fd00::1]:2"));
        assert_eq!(leads, Some(Forward::To(end("[fd00::7]:3"))));
    }
}
