//! Handshake messages: cut out of records, and read as far as opening records needs it (RFC 8446
//! §4, RFC 5246 §7.4). What a message says beside that is passed over.

use super::opener::TlsVersion;
use crate::limits;

/// Types of handshake messages.
pub(super) mod kind {
    pub(in super::super) const HELLO_REQUEST: u8 = 0;
    pub(in super::super) const CLIENT_HELLO: u8 = 1;
    pub(in super::super) const SERVER_HELLO: u8 = 2;
    pub(in super::super) const NEW_SESSION_TICKET: u8 = 4;
    pub(in super::super) const END_OF_EARLY_DATA: u8 = 5;
    pub(in super::super) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(in super::super) const CERTIFICATE: u8 = 11;
    pub(in super::super) const SERVER_HELLO_DONE: u8 = 14;
    pub(in super::super) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(in super::super) const FINISHED: u8 = 20;
    pub(in super::super) const KEY_UPDATE: u8 = 24;
}

/// What [`Messages::read`] gives.
pub(super) enum HandshakeRead<'a> {
    /// The next octets of a message that is passed over, its header among them.
    Passed(&'a [u8]),
    /// A message: its type, and its body where that is needed.
    Message(u8, &'a [u8]),
}

/// Cuts messages out of the handshake records of one direction.
#[derive(Debug, Default)]
pub(super) struct HandshakeMessages {
    /// A message that is not whole, its header first.
    buffer: Vec<u8>,
    /// Bytes to come of a message that nobody needs.
    skip: usize,
}

impl HandshakeMessages {
    /// Takes the content of a record, and gives types and bodies of the messages that it ends;
    /// bodies of those that nobody needs are empty, and their octets are given as they come.
    pub(super) fn read(&mut self, mut content: &[u8], mut take: impl FnMut(HandshakeRead<'_>)) {
        loop {
            let passed = self.skip.min(content.len());
            self.skip -= passed;
            if passed > 0 {
                take(HandshakeRead::Passed(&content[..passed]));
            }
            content = &content[passed..];
            let wanted = self.wanted();
            let part = (wanted - self.buffer.len()).min(content.len());
            self.buffer.extend_from_slice(&content[..part]);
            content = &content[part..];
            if self.buffer.len() < 4 {
                return;
            }
            let (message, length) = (self.buffer[0], self.length());
            if !is_needed(message) || length > limits::HANDSHAKE_BYTES {
                take(HandshakeRead::Message(message, &[]));
                // RFC 5246 §7.4.1.1: a HelloRequest is no part of what is hashed.
                if message != kind::HELLO_REQUEST {
                    take(HandshakeRead::Passed(&self.buffer));
                }
                self.buffer.clear();
                self.skip = length;
            } else if self.buffer.len() == 4 + length {
                take(HandshakeRead::Message(message, &self.buffer[4..]));
                self.buffer.clear();
            } else if content.is_empty() {
                return;
            }
        }
    }

    /// Bytes that the buffer needs for the next step.
    fn wanted(&self) -> usize {
        if self.buffer.len() < 4 { 4 } else { 4 + self.length() }
    }

    fn length(&self) -> usize {
        usize::from(self.buffer[1]) << 16
            | usize::from(self.buffer[2]) << 8
            | usize::from(self.buffer[3])
    }

    /// Records are missing here.
    pub(super) fn lose(&mut self) {
        *self = Self::default();
    }

    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }
}

fn is_needed(message: u8) -> bool {
    matches!(
        message,
        kind::CLIENT_HELLO
            | kind::SERVER_HELLO
            | kind::NEW_SESSION_TICKET
            | kind::ENCRYPTED_EXTENSIONS
            | kind::CLIENT_KEY_EXCHANGE
    )
}

/// What a ClientHello offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    pub(super) session: Vec<u8>,
    pub(super) sni: Option<String>,
    /// Protocols, in the client's order.
    pub(super) alpn: Vec<String>,
    /// A ticket of TLS 1.2 and before.
    pub(super) ticket: Vec<u8>,
    /// Data under the key of an earlier connection follows.
    pub(super) early: bool,
}

/// What a ServerHello chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) version: TlsVersion,
    pub(super) random: [u8; 32],
    pub(super) session: Vec<u8>,
    pub(super) suite: u16,
    /// Asks for another ClientHello.
    pub(super) retry: bool,
    pub(super) encrypt_then_mac: bool,
    /// The master secret is bound to the handshake (RFC 7627).
    pub(super) extended_master: bool,
    pub(super) alpn: Option<String>,
    /// Goes on from an earlier connection (TLS 1.3).
    pub(super) psk: bool,
}

/// What the server says under its handshake key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EncryptedExtensions {
    pub(super) alpn: Option<String>,
    /// It reads the early data.
    pub(super) early: bool,
}

/// SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Reads fields of a message; none where it is too short.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector with its length in one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A vector with its length in two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    /// Extensions until the end, or until one is cut.
    fn extensions(&mut self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = Fields(self.long().unwrap_or_default());
        std::iter::from_fn(move || Some((rest.u16()?, rest.long()?)))
    }
}

/// Numbers of extensions.
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const ALPN: u16 = 16;
    pub(super) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(super) const EXTENDED_MASTER: u16 = 23;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const EARLY_DATA: u16 = 42;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
}

/// Reads the body of a ClientHello.
pub(super) fn client_hello(body: &[u8]) -> Option<ClientHello> {
    let mut fields = Fields(body);
    fields.u16()?;
    let mut hello = ClientHello { random: fields.random()?, ..ClientHello::default() };
    hello.session = fields.short()?.to_vec();
    fields.long()?;
    fields.short()?;
    for (number, value) in fields.extensions() {
        match number {
            extension::SERVER_NAME => hello.sni = server_name(value),
            extension::ALPN => hello.alpn = protocols(value),
            extension::SESSION_TICKET => hello.ticket = value.to_vec(),
            extension::EARLY_DATA => hello.early = true,
            _ => {}
        }
    }
    Some(hello)
}

/// Reads the body of a ServerHello.
pub(super) fn server_hello(body: &[u8]) -> Option<ServerHello> {
    let mut fields = Fields(body);
    let legacy = fields.u16()?;
    let random = fields.random()?;
    let session = fields.short()?.to_vec();
    let suite = fields.u16()?;
    fields.u8()?;
    let (mut version, mut alpn, mut psk) = (legacy, None, false);
    let (mut encrypt_then_mac, mut extended_master) = (false, false);
    for (number, value) in fields.extensions() {
        match number {
            extension::SUPPORTED_VERSIONS => version = Fields(value).u16().unwrap_or(version),
            extension::ENCRYPT_THEN_MAC => encrypt_then_mac = true,
            extension::EXTENDED_MASTER => extended_master = true,
            extension::ALPN => alpn = protocols(value).into_iter().next(),
            extension::PRE_SHARED_KEY => psk = true,
            _ => {}
        }
    }
    let version = TlsVersion::of(version)?;
    let retry = random == RETRY;
    Some(ServerHello {
        version,
        random,
        session,
        suite,
        retry,
        encrypt_then_mac,
        extended_master,
        alpn,
        psk,
    })
}

/// Reads the body of an EncryptedExtensions.
pub(super) fn encrypted_extensions(body: &[u8]) -> EncryptedExtensions {
    let mut said = EncryptedExtensions::default();
    for (number, value) in Fields(body).extensions() {
        match number {
            extension::ALPN => said.alpn = protocols(value).into_iter().next(),
            extension::EARLY_DATA => said.early = true,
            _ => {}
        }
    }
    said
}

/// The ticket in the body of a NewSessionTicket of TLS 1.2 (RFC 5077 §3.3).
pub(super) fn ticket(body: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(body);
    fields.take(4)?;
    fields.long().filter(|ticket| !ticket.is_empty())
}

/// The host name of a server_name extension (RFC 6066 §3).
fn server_name(value: &[u8]) -> Option<String> {
    let mut list = Fields(Fields(value).long()?);
    while let (Some(kind), Some(name)) = (list.u8(), list.long()) {
        if kind == 0 {
            return plain(name);
        }
    }
    None
}

/// The names of an ALPN extension (RFC 7301 §3.1).
fn protocols(value: &[u8]) -> Vec<String> {
    let mut list = Fields(Fields(value).long().unwrap_or_default());
    std::iter::from_fn(|| list.short()).take(64).filter_map(plain).collect()
}

/// Text of visible characters, as names are made of.
fn plain(bytes: &[u8]) -> Option<String> {
    let visible = bytes.iter().all(u8::is_ascii_graphic) && !bytes.is_empty();
    visible.then(|| bytes.iter().map(|&byte| char::from(byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
    }

    fn long(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
    }

    fn extension(number: u16, value: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &long(value)].concat()
    }

    #[test]
    fn messages_are_cut_out_of_records_however_these_are_cut() {
        let all = [
            message(kind::CERTIFICATE, &[7; 5000]),
            message(kind::NEW_SESSION_TICKET, b"ticket"),
            message(kind::FINISHED, &[1; 32]),
            message(kind::KEY_UPDATE, &[0]),
            message(0, &[]),
        ]
        .concat();
        let cut = |size: usize| {
            let (mut messages, mut got) = (HandshakeMessages::default(), Vec::new());
            let mut passed = Vec::new();
            for content in all.chunks(size) {
                messages.read(content, |read| match read {
                    HandshakeRead::Passed(octets) => passed.extend_from_slice(octets),
                    HandshakeRead::Message(kind, body) => got.push((kind, body.to_vec())),
                });
            }
            assert_eq!(messages.held(), 0);
            // All but the ticket, which is given with its message, and the HelloRequest.
            assert_eq!(passed.len(), all.len() - 10 - 4);
            got
        };
        let whole = cut(all.len());
        let kinds: Vec<u8> = whole.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [11, 4, 20, 24, 0]);
        assert_eq!(whole[1].1, b"ticket");
        for size in [1, 2, 3, 5, 100, 4999, 5010] {
            assert_eq!(cut(size), whole, "{size}");
        }
    }

    #[test]
    fn a_client_hello_tells_name_protocols_ticket_and_early_data() {
        let name = long(&[&[0][..], &long(b"shop.test")].concat());
        let extensions = [
            extension(0, &name),
            extension(16, &long(b"\x02h2\x08http/1.1")),
            extension(35, b"old"),
            extension(0x4a4a, b""),
            extension(42, b""),
        ]
        .concat();
        let body =
            [&[3, 3][..], &[5; 32], &[2, 8, 9], &long(&[0x13, 1]), &[1, 0], &long(&extensions)]
                .concat();
        let hello = client_hello(&body).unwrap();
        assert_eq!(hello.random, [5; 32]);
        assert_eq!(hello.session, [8, 9]);
        assert_eq!(hello.sni.as_deref(), Some("shop.test"));
        assert_eq!(hello.alpn, ["h2", "http/1.1"]);
        assert_eq!((hello.ticket.as_slice(), hello.early), (&b"old"[..], true));
        for length in 0..body.len() {
            let _ = client_hello(&body[..length]);
        }
    }

    #[test]
    fn a_server_hello_tells_the_version_that_holds() {
        let hello = |extensions: &[u8], random: [u8; 32]| {
            let body =
                [&[3, 3][..], &random, &[0], &[0xc0, 0x2f], &[0], &long(extensions)].concat();
            server_hello(&body).unwrap()
        };
        let old = hello(&extension(22, b""), [1; 32]);
        assert_eq!(
            (old.version, old.encrypt_then_mac, old.suite),
            (TlsVersion::Tls12, true, 0xc02f)
        );
        let new = hello(&[extension(43, &[3, 4]), extension(41, &[0, 0])].concat(), [1; 32]);
        assert_eq!((new.version, new.psk, new.retry), (TlsVersion::Tls13, true, false));
        assert!(hello(&extension(43, &[3, 4]), RETRY).retry);
        let bare = server_hello(&[&[3, 1][..], &[1; 32], &[0], &[0, 0x2f], &[0]].concat());
        assert_eq!(bare.unwrap().version, TlsVersion::Tls10);
    }
}
