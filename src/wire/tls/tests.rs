//! Connections of another implementation, cut anew, joined, thinned out, and with keys that come
//! late: the same plaintext, or a gap of the right length, and never a wrong byte.

use std::sync::{Arc, Mutex};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::{KeyRing, Plaintext, Shown, TlsConnection, TlsShared, TlsStanding};
use crate::flow::Direction::{self, ToClient, ToServer};
use crate::limits;
use crate::time::Timestamp;
use crate::wire::{Ending, PacketMark};

/// The secrets of a connection of rustls, as a key log has them.
#[derive(Debug, Default)]
pub(crate) struct Log(pub(crate) Mutex<String>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        self.0.lock().unwrap().push_str(&line);
    }
}

/// What one end sent at once.
struct SaidAtOnce {
    direction: Direction,
    sealed: Vec<u8>,
    /// Plaintext in it; none of the handshake.
    text: Vec<u8>,
    /// Bytes of the other direction that its sender had read.
    acked: u64,
}

/// A connection, and the secrets of it.
struct SpokenTls {
    said: Vec<SaidAtOnce>,
    keys: String,
    /// Where the handshake is over.
    begins: usize,
}

/// How much each of several messages holds, of the client's and the server's.
const SIZES: [(usize, usize); 6] =
    [(100, 1), (17, 40_000), (20_000, 300), (1, 16_384), (333, 5), (50, 70)];

fn speak(suite: rustls::SupportedCipherSuite) -> SpokenTls {
    let signed = rcgen::generate_simple_self_signed(vec!["shop.test".to_owned()]).unwrap();
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![suite];
    let provider = Arc::new(provider);
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let log = Arc::new(Log::default());
    client.key_log = Arc::<Log>::clone(&log);
    let name = ServerName::try_from("shop.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let (mut said, mut sent) = (Vec::new(), [0u64; 2]);
    let mut pass = |client: &mut ClientConnection, server: &mut ServerConnection, text: &[u8]| {
        let mut any = false;
        for direction in [ToServer, ToClient] {
            let mut sealed = Vec::new();
            match direction {
                ToServer => {
                    while client.wants_write() {
                        client.write_tls(&mut sealed).unwrap();
                    }
                }
                ToClient => {
                    while server.wants_write() {
                        server.write_tls(&mut sealed).unwrap();
                    }
                }
            }
            let mut rest = &sealed[..];
            while !rest.is_empty() {
                match direction {
                    ToServer => read(server, &mut rest),
                    ToClient => read(client, &mut rest),
                }
            }
            if sealed.is_empty() {
                continue;
            }
            any = true;
            let acked = sent[1 - direction as usize];
            sent[direction as usize] += sealed.len() as u64;
            said.push(SaidAtOnce { direction, sealed, text: text.to_vec(), acked });
        }
        (any, said.len())
    };
    let mut begins = 0;
    while let (true, n) = pass(&mut client, &mut server, &[]) {
        begins = n;
    }
    for (number, (asked, answered)) in SIZES.into_iter().enumerate() {
        let text = |length: usize, salt: usize| -> Vec<u8> {
            (0..length).map(|at| (at * 31 + at / 251 + number * 7 + salt) as u8).collect()
        };
        for (from_client, text) in [(true, text(asked, 1)), (false, text(answered, 2))] {
            // Piece by piece, as the buffers of the implementation are bounded.
            for piece in text.chunks(16_000) {
                use std::io::Write as _;
                let written = if from_client {
                    client.writer().write(piece)
                } else {
                    server.writer().write(piece)
                };
                assert_eq!(written.unwrap(), piece.len());
                pass(&mut client, &mut server, piece);
            }
        }
    }
    let keys = log.0.lock().unwrap().clone();
    SpokenTls { said, keys, begins }
}

fn read<S>(into: &mut rustls::ConnectionCommon<S>, from: &mut &[u8])
where
    S: rustls::SideData,
{
    use std::io::Read as _;
    into.read_tls(from).unwrap();
    let state = into.process_new_packets().unwrap();
    let mut text = vec![0; state.plaintext_bytes_to_read()];
    into.reader().read_exact(&mut text).unwrap();
}

/// Plaintext by direction; what is missing is `None`.
#[derive(Default)]
struct Got {
    text: [Vec<Option<u8>>; 2],
    shown: Option<Shown>,
}

impl Plaintext for Got {
    fn shows(&mut self, shown: Shown, _: Option<Timestamp>) {
        self.shown = Some(shown);
    }

    fn bytes(&mut self, direction: Direction, text: &[u8], mark: PacketMark) {
        let other = self.text[1 - direction as usize].len() as u64;
        assert!(mark.ack.is_none_or(|ack| ack <= other), "{mark:?}: {other} bytes were given");
        self.text[direction as usize].extend(text.iter().copied().map(Some));
    }

    fn gap(&mut self, direction: Direction, bytes: u64, _: PacketMark) {
        self.text[direction as usize].extend(std::iter::repeat_n(None, bytes as usize));
    }

    fn close(&mut self, _: Direction, _: Ending) {}
}

/// Gives what was said from the `from`th on, but for the `lost` one, in pieces of `size` bytes.
fn hear(
    spoken: &SpokenTls,
    from: usize,
    lost: Option<usize>,
    size: usize,
    keys: &str,
) -> (TlsConnection, Got) {
    let ring = Arc::new(KeyRing::default());
    ring.add(keys.as_bytes());
    let mut session = TlsConnection::new(TlsShared::new(ring), from > 0);
    let (mut got, mut skipped) = (Got::default(), [0; 2]);
    for (number, said) in spoken.said.iter().enumerate() {
        if number < from {
            skipped[said.direction as usize] += said.sealed.len() as u64;
            continue;
        }
        let ack = said.acked.checked_sub(skipped[1 - said.direction as usize]);
        let at = Timestamp::from_nanos(number as i64);
        let mark = PacketMark { at, packet: number as u64, ack, cut: false };
        if lost == Some(number) {
            session.gap(said.direction, said.sealed.len() as u64, mark, &mut got);
            continue;
        }
        for piece in said.sealed.chunks(size) {
            session.bytes(said.direction, piece, mark, &mut got);
        }
    }
    session.finish(&mut got);
    (session, got)
}

/// The plaintext of a direction from the `from`th on; `None` for the `lost` one.
fn wanted(
    spoken: &SpokenTls,
    direction: Direction,
    from: usize,
    lost: Option<usize>,
) -> Vec<Option<u8>> {
    let said = spoken.said.iter().enumerate().skip(from);
    said.filter(|(_, said)| said.direction == direction)
        .flat_map(|(number, said)| {
            said.text.iter().map(move |&byte| (lost != Some(number)).then_some(byte))
        })
        .collect()
}

fn suites() -> Vec<rustls::SupportedCipherSuite> {
    use rustls::crypto::ring::cipher_suite as ring;
    vec![
        ring::TLS13_AES_128_GCM_SHA256,
        ring::TLS13_AES_256_GCM_SHA384,
        ring::TLS13_CHACHA20_POLY1305_SHA256,
        ring::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ring::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ring::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ]
}

fn is_13(suite: &rustls::SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

#[test]
fn any_cut_gives_the_same_plaintext() {
    for suite in suites() {
        let spoken = speak(suite);
        for size in [1, 7, 1_448, 1 << 20] {
            let (session, got) = hear(&spoken, 0, None, size, &spoken.keys);
            for direction in [ToServer, ToClient] {
                let whole = wanted(&spoken, direction, spoken.begins, None);
                assert!(got.text[direction as usize] == whole, "{suite:?} {direction:?} {size}");
            }
            assert_eq!(session.standing(), TlsStanding::Read);
            let shown = got.shown.unwrap();
            assert_eq!(shown.sni.as_deref(), Some("shop.test"));
            assert_eq!(shown.version, Some(if is_13(&suite) { "1.3" } else { "1.2" }));
            let name = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
            assert_eq!(shown.suite, Some(&*name));
            assert!(!shown.joined && !shown.resumed);
        }
    }
}

#[test]
fn a_loss_costs_what_was_lost_and_no_more() {
    for suite in suites() {
        let spoken = speak(suite);
        for lost in spoken.begins..spoken.said.len() {
            let (_, got) = hear(&spoken, 0, Some(lost), 1_448, &spoken.keys);
            for direction in [ToServer, ToClient] {
                let mut want = wanted(&spoken, direction, spoken.begins, Some(lost));
                let got = &got.text[direction as usize];
                // Behind what is lost at the end nothing proves how much that was.
                while want.len() > got.len() && want.last() == Some(&None) {
                    want.pop();
                }
                assert!(*got == want, "{suite:?} {lost} {direction:?}");
            }
        }
    }
}

#[test]
fn a_connection_of_1_3_is_read_from_where_it_is_joined() {
    for suite in suites().into_iter().filter(is_13) {
        let spoken = speak(suite);
        for from in 1..spoken.said.len() {
            let (session, got) = hear(&spoken, from, None, 1_448, &spoken.keys);
            for direction in [ToServer, ToClient] {
                let want = wanted(&spoken, direction, from.max(spoken.begins), None);
                assert!(got.text[direction as usize] == want, "{suite:?} {from} {direction:?}");
            }
            assert_eq!(session.standing(), TlsStanding::Read);
        }
    }
}

#[test]
fn a_connection_of_1_2_cannot_be_joined_and_gives_nothing() {
    let suite = rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let spoken = speak(suite);
    for from in [1, spoken.begins, spoken.begins + 3] {
        let (session, got) = hear(&spoken, from, None, 1_448, &spoken.keys);
        assert!(got.text.iter().all(Vec::is_empty), "{from}");
        assert_eq!(session.standing(), TlsStanding::Joined, "{from}");
    }
}

#[test]
fn without_a_key_nothing_is_given_and_what_is_held_is_bounded() {
    for suite in [suites()[0], suites()[3]] {
        let spoken = speak(suite);
        let other = speak(suite).keys;
        for keys in ["", &other] {
            let (session, got) = hear(&spoken, 0, None, 1_448, keys);
            assert!(got.text.iter().all(Vec::is_empty));
            assert_eq!(session.standing(), TlsStanding::NoKey);
            assert_eq!(session.shown().sni.as_deref(), Some("shop.test"));
        }
        let mut session = TlsConnection::new(TlsShared::default(), false);
        let mut got = Got::default();
        for _ in 0..8 {
            for said in &spoken.said {
                session.bytes(said.direction, &said.sealed, PacketMark::default(), &mut got);
                assert!(session.held() <= limits::TLS_HELD_BYTES);
            }
        }
        assert!(!session.wants());
        assert_eq!(session.standing(), TlsStanding::NoKey);
    }
}

#[test]
fn keys_may_come_behind_their_packets() {
    for suite in suites() {
        let spoken = speak(suite);
        for late in [1, spoken.begins, spoken.begins + 4, spoken.said.len()] {
            let ring = Arc::new(KeyRing::default());
            let mut session = TlsConnection::new(TlsShared::new(Arc::clone(&ring)), false);
            let mut got = Got::default();
            for (number, said) in spoken.said.iter().enumerate() {
                if number == late {
                    ring.add(spoken.keys.as_bytes());
                }
                session.bytes(said.direction, &said.sealed, PacketMark::default(), &mut got);
            }
            ring.add(spoken.keys.as_bytes());
            session.finish(&mut got);
            for direction in [ToServer, ToClient] {
                let whole = wanted(&spoken, direction, spoken.begins, None);
                assert!(got.text[direction as usize] == whole, "{suite:?} {late} {direction:?}");
            }
        }
    }
}

#[test]
fn a_wrong_key_gives_nothing_and_is_named() {
    for suite in [suites()[0], suites()[3]] {
        let spoken = speak(suite);
        // The right connection, other secrets.
        let wrong: String = spoken
            .keys
            .lines()
            .map(|line| {
                let (start, secret) = line.rsplit_once(' ').unwrap();
                format!("{start} {}\n", secret.chars().rev().collect::<String>())
            })
            .collect();
        let (session, got) = hear(&spoken, 0, None, 1_448, &wrong);
        assert!(got.text.iter().all(Vec::is_empty));
        assert_eq!(session.standing(), TlsStanding::WrongKey, "{suite:?}");
    }
}
