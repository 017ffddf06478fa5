//! Who is at the other end of a connection, where this machine's kernel translates addresses on the
//! way (DNAT, REDIRECT, a ClusterIP by iptables, nftables or eBPF). Its table of connections tells,
//! which takes root to read; where the server is on this machine, so does its own socket, which
//! anybody may see.
//!
//! What is translated on other machines or by a proxy cannot be seen from here.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};

use crate::flow::Endpoint;

const TABLE: &str = "/proc/net/nf_conntrack";
/// The sockets of this machine (of its network namespace), for IPv4 and IPv6.
const SOCKETS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// Bytes of a table that are read: half a million connections.
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
    let translated = match lines(TABLE) {
        // A connection that is not in the table is not translated by it: that takes an entry.
        Some(mut all) => all.find_map(|line| leads(&line, own, peer)).unwrap_or(Forward::Straight),
        None => Forward::Unknown,
    };
    if let Forward::To(_) = translated {
        return translated;
    }
    let mut sockets = SOCKETS.iter().filter_map(|path| lines(path)).flatten();
    let server = sockets.find_map(|line| serves(&line, own).filter(|&server| server != peer));
    server.map_or(translated, Forward::To)
}

fn lines(path: &str) -> Option<impl Iterator<Item = String>> {
    let table = File::open(path).ok()?;
    Some(BufReader::new(table.take(TABLE_BYTES)).lines().map_while(Result::ok))
}

/// The near end of the socket in `line` whose far end is `client`.
fn serves(line: &str, client: Endpoint) -> Option<Endpoint> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (near, far) = (words.next()?, words.next()?);
    (end(far)? == client).then(|| end(near))?
}

/// `0100007F:1F90`: the address in words of 32 bits as the processor stores them, the port.
fn end(text: &str) -> Option<Endpoint> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(Endpoint::new(address, u16::from_str_radix(port, 16).ok()?))
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
                "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=10.96.0.10 sport=40112 \
                 dport=80 \
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
        let six = "ipv6     10 tcp      6 60 SYN_SENT src=fd00::9 dst=fd00::1 sport=1 dport=2 \
            [UNREPLIED] \
                   src=fd00::7 dst=fd00::9 sport=3 dport=1 zone=0 use=2";
        let leads = leads(six, end("[fd00::9]:1"), end("[fd00::1]:2"));
        assert_eq!(leads, Some(Forward::To(end("[fd00::7]:3"))));
    }

    #[test]
    fn a_socket_of_this_machine_tells_whom_it_serves() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let endpoint = |end: std::net::SocketAddr| Endpoint::new(end.ip(), end.port());
        let own = endpoint(stream.local_addr().unwrap());
        let server = endpoint(listener.local_addr().unwrap());
        let mut sockets = lines(SOCKETS[0]).unwrap();
        assert!(sockets.any(|line| serves(&line, own) == Some(server)));
        assert!(!matches!(behind(&stream), Forward::To(_)), "nobody stands between");
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
        let words = mapped.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let written: String = words.map(|word| format!("{word:08X}")).collect();
        assert_eq!(end(&(written + ":0050")), Some("127.0.0.1:80".parse().unwrap()));
        for line in ["", "  sl  local_address rem_address   st", "1: 0100007F:1F90", "1: é:1 é:2"]
        {
            assert_eq!(serves(line, own), None, "{line}");
        }
    }
}
