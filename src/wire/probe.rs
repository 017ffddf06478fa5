//! Names what a stream carries by its first bytes, so that what is not HTTP/1 is named in the
//! ledger and costs no parsing; and chooses the reader for what has one. A protocol is a folder
//! beside this file and two arms in it.

use crate::wire::conversation::{Conversation, Origin};
use crate::wire::h2::frame::PREFACE;
use crate::wire::h2::pairing::Streams;
use crate::wire::setup::{Inner, Setup};
use crate::wire::tls::Tls;

/// What the first bytes of one direction say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// Beyond doubt: the direction needs no reading.
    Certain(&'static str),
    /// Likely, but HTTP may still come (a proxy's handshake, a text protocol).
    Likely(&'static str),
    /// Nothing known.
    Unknown,
}

/// Whether more bytes are needed to tell: they may become the preface of HTTP/2, its first frame,
/// or a record of TLS.
pub(crate) fn is_too_short(first: &[u8]) -> bool {
    match first {
        [0x15..=0x17, rest @ ..] => rest.len() < 4 && rest.first().is_none_or(|&major| major == 3),
        [0, rest @ ..] => rest.len() < 8 && rest.first().is_none_or(|&high| high == 0),
        _ => first.len() < PREFACE.len() && PREFACE.starts_with(first),
    }
}

/// Looks at the first bytes of a direction.
pub(crate) fn guess(first: &[u8]) -> Guess {
    use Guess::{Certain, Likely, Unknown};
    match first {
        // A TLS record: alert, handshake or (joined later) data, version 3.x, a length below 2^14 +
        // 256 (RFC 8446 §5.1).
        [0x15..=0x17, 0x03, 0..=4, high, _, ..] if *high <= 0x41 => Certain("tls"),
        _ if first.starts_with(PREFACE) => Certain("http/2"),
        // SETTINGS on stream 0 as the first frame: the server's side of HTTP/2 (RFC 9113 §3.4).
        [0, 0, length, 4, 0 | 1, 0, 0, 0, 0, ..] if length % 6 == 0 => Certain("http/2"),
        _ if first.starts_with(b"SSH-") => Certain("ssh"),
        _ if first.starts_with(b"AMQP") => Certain("amqp"),
        _ if first.starts_with(b"\x13BitTorrent protocol") => Certain("bittorrent"),
        // PostgreSQL: start-up message 3.0, or a request for TLS.
        [0, 0, _, _, 0, 3, 0, 0, ..] | [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f, ..] => {
            Certain("postgresql")
        }
        // MySQL: the server's greeting, packet 0, protocol 10.
        [_, _, 0, 0, 10, b'0'..=b'9', b'.' | b'0'..=b'9', ..] => Certain("mysql"),
        [b'*', b'1'..=b'9', .., b'\n'] if is_redis(first) => Certain("redis"),
        [5, 1..=4, ..] if first.len() <= 6 => Likely("socks"),
        [4, 1 | 2, _, _, _, _, _, _, ..] => Likely("socks"),
        _ if [&b"EHLO "[..], b"HELO ", b"220 ", b"220-"]
            .iter()
            .any(|greeting| first.starts_with(greeting)) =>
        {
            Likely("smtp-or-ftp")
        }
        _ if first.starts_with(b"+OK") => Likely("pop3"),
        _ if first.starts_with(b"* OK") => Likely("imap"),
        _ => {
            let line = &first[..memchr::memchr(b'\n', first).unwrap_or(first.len())];
            if memchr::memmem::find(line, b"RTSP/1.").is_some() {
                Likely("rtsp")
            } else if memchr::memmem::find(line, b"SIP/2.0").is_some() {
                Likely("sip")
            } else {
                Unknown
            }
        }
    }
}

/// The conversation for a protocol that [`guess`] named; none where nobody reads it.
pub(super) fn start(
    name: &str,
    origin: Origin,
    setup: &Setup,
    inside: Inner,
) -> Option<Box<dyn Conversation>> {
    match name {
        "tls" => Some(Box::new(Tls::new(origin, setup, inside))),
        "http/2" => Some(Box::new(Streams::new(origin, setup.limits).in_records(setup.in_records))),
        _ => None,
    }
}

/// `*2\r\n$4\r\n…`: an array of bulk strings.
fn is_redis(first: &[u8]) -> bool {
    let rest = first[1..].trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest[digits..].starts_with(b"\r\n$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_first_bytes() {
        for (first, wanted) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], Guess::Certain("tls")),
            (b"\x16\x03\x01\xff\x00\x01", Guess::Unknown),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Guess::Certain("http/2")),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", Guess::Certain("http/2")),
            (b"SSH-2.0-OpenSSH\r\n", Guess::Certain("ssh")),
            (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", Guess::Certain("redis")),
            (b"*2 things\n", Guess::Unknown),
            (b"J\0\0\0\n8.0.36\0", Guess::Certain("mysql")),
            (b"\x05\x01\x00", Guess::Likely("socks")),
            (b"220 ready\r\n", Guess::Likely("smtp-or-ftp")),
            (b"DESCRIBE rtsp://c/ RTSP/1.0\r\n", Guess::Likely("rtsp")),
            (b"GET / HTTP/1.1\r\n", Guess::Unknown),
            (b"", Guess::Unknown),
        ] {
            assert_eq!(guess(first), wanted, "{}", first.escape_ascii());
        }
    }
}
