//! What both ends of a connection say in turns, drawn at random: HTTP/2 with all its frames, h2c,
//! gRPC, WebSockets, HTTP/1; and any of it inside TLS, sealed by another implementation.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::SeededRandom;
use crate::wire::h2::frame::{PAYLOAD, PREFACE, flag, kind, write, write_block, write_settings};
use crate::wire::h2::hpack::{Encoder, Indexing};
use crate::wire::tls::tests::Log;
use crate::wire::websocket_frame;

/// The client's side; the server's is 1.
pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

/// What is said, in order, and by which side.
pub(super) type Script = Vec<(usize, Vec<u8>)>;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    One,
    Two,
    Upgraded,
    Grpc,
    Socket,
    /// A WebSocket whose messages are compressed.
    Deflated,
    /// A WebSocket on a stream of HTTP/2 (RFC 8441), among others.
    Bootstrapped,
}

pub(super) const SPEECHES: [Speech; 7] = [
    Speech::One,
    Speech::Two,
    Speech::Upgraded,
    Speech::Grpc,
    Speech::Socket,
    Speech::Deflated,
    Speech::Bootstrapped,
];

impl Speech {
    /// All of the connection is one WebSocket.
    pub(super) const fn is_socket(self) -> bool {
        matches!(self, Self::Socket | Self::Deflated)
    }
}

/// A script of a connection whose paths begin with `name`.
pub(super) fn script(speech: Speech, name: &str, random: &mut SeededRandom) -> Script {
    match speech {
        Speech::One => one(name, random),
        Speech::Two => Frames::default().script(name, false, random),
        Speech::Bootstrapped => {
            let frames = Frames { socket: true, ..Frames::default() };
            frames.script(name, false, random)
        }
        Speech::Upgraded => {
            let mut script = upgrade(name, "h2c", "HTTP2-Settings: AAMAAABk\r\n");
            let frames = Frames { stream: 1, ..Frames::default() };
            script.extend(frames.script(name, false, random));
            script
        }
        Speech::Grpc => Frames::default().script(name, true, random),
        Speech::Socket => socket(name, false, random),
        Speech::Deflated => socket(name, true, random),
    }
}

fn one(name: &str, random: &mut SeededRandom) -> Script {
    let mut script = Script::new();
    for number in 0..2 + random.below(4) {
        let body = text(random, 400);
        let (length, path) = (body.len(), format!("/{name}/{number}"));
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        script.push((CLIENT, [request.as_bytes(), &body].concat()));
        let body = text(random, 3_000);
        let head =
            format!("HTTP/1.1 200 OK\r\nX-Of: {path}\r\nContent-Length: {}\r\n\r\n", body.len());
        script.push((SERVER, [head.as_bytes(), &body].concat()));
    }
    script
}

/// The turn from HTTP/1 to another protocol.
fn upgrade(name: &str, to: &str, more: &str) -> Script {
    let request = format!(
        "GET /{name}/upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\
         {more}\r\n"
    );
    let more = if to == "h2c" { "" } else { more };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nX-Of: /{name}/upgrade\r\nConnection: Upgrade\r\n\
         Upgrade: {to}\r\n{more}\r\n"
    );
    vec![(CLIENT, request.into_bytes()), (SERVER, answer.into_bytes())]
}

fn socket(name: &str, deflated: bool, random: &mut SeededRandom) -> Script {
    let alone = random.below(2) == 0;
    let agreed = match (deflated, alone) {
        (false, _) => "",
        (true, false) => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        (true, true) => {
            "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
             server_no_context_takeover\r\n"
        }
    };
    let mut script = upgrade(name, "websocket", agreed);
    let mut ends = SocketEnds::new(deflated, alone);
    for _ in 0..4 + random.below(10) {
        ends.message(&mut script, random);
    }
    for side in [CLIENT, SERVER] {
        script.push((side, socket_frame(0x88, &[3, 232], side, random)));
    }
    script
}

/// Both ends of a WebSocket, with what their compression remembers.
struct SocketEnds {
    compress: Option<[flate2::Compress; 2]>,
    /// Each message is compressed by itself.
    alone: bool,
}

impl SocketEnds {
    fn new(deflated: bool, alone: bool) -> Self {
        let fresh = || flate2::Compress::new(flate2::Compression::fast(), false);
        Self { compress: deflated.then(|| [fresh(), fresh()]), alone }
    }

    /// A message of either side, in one frame or in two with a ping between them.
    fn message(&mut self, script: &mut Script, random: &mut SeededRandom) {
        let (side, length) = (random.below(2), [20, 300, 70_000][random.below(3)]);
        let mut content = text(random, length);
        let mut first = 1;
        if let Some(compress) = &mut self.compress {
            // What came before may come again, so that the window counts.
            content = content.repeat(1 + random.below(2));
            content.extend_from_slice(b"the same words at each end");
            let compress = &mut compress[side];
            if self.alone {
                compress.reset();
            }
            let mut out = Vec::with_capacity(content.len() * 2 + 1_000);
            let sync = flate2::FlushCompress::Sync;
            compress.compress_vec(&content, &mut out, sync).expect("memory takes it");
            assert!(out.ends_with(&[0, 0, 0xff, 0xff]), "it was flushed");
            out.truncate(out.len() - 4);
            (content, first) = (out, 0x41);
        }
        let cut = if random.below(3) == 0 { random.below(content.len() + 1) } else { 0 };
        if cut == 0 {
            return script.push((side, socket_frame(first | 0x80, &content, side, random)));
        }
        script.push((side, socket_frame(first, &content[..cut], side, random)));
        if random.below(2) == 0 {
            script.push((side, socket_frame(0x89, b"are you there", side, random)));
        }
        script.push((side, socket_frame(0x80, &content[cut..], side, random)));
    }
}

fn socket_frame(first: u8, content: &[u8], side: usize, random: &mut SeededRandom) -> Vec<u8> {
    let mask = (side == CLIENT).then(|| [0; 4].map(|_| random.below(256) as u8));
    websocket_frame(first, content, mask)
}

/// Letters and digits, no two parts of which are alike.
fn text(random: &mut SeededRandom, most: usize) -> Vec<u8> {
    (0..random.below(most)).map(|_| b'0' + random.below(74) as u8).collect()
}

/// Both ends of a connection of HTTP/2.
#[derive(Default)]
struct Frames {
    encoders: [Encoder; 2],
    script: Script,
    /// The next stream of the client.
    stream: u32,
    /// The first stream is a WebSocket.
    socket: bool,
}

/// What happens next on a stream.
enum FrameStep {
    Head(usize, Vec<(String, String)>, bool),
    Data(usize, Vec<u8>, bool),
    Promise(u32, Vec<(String, String)>),
    Reset(usize),
}

type Fields = Vec<(String, String)>;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Frames {
    fn script(mut self, name: &str, grpc: bool, random: &mut SeededRandom) -> Script {
        let mut first = PREFACE.to_vec();
        write_settings(&mut first, &[(3, 100), (4, 1 << 20)]);
        self.script.push((CLIENT, first));
        let mut first = Vec::new();
        write_settings(&mut first, &[(3, 100)]);
        self.script.push((SERVER, first));
        // Streams whose steps are under way.
        let mut open: Vec<(u32, std::collections::VecDeque<FrameStep>)> = Vec::new();
        if self.stream == 1 {
            open.push((1, answer(1, grpc, random).into()));
        } else {
            self.stream = u32::MAX;
        }
        let mut left = 4 + random.below(8);
        while left > 0 || !open.is_empty() {
            if left > 0 && (open.len() < 4 && random.below(2) == 0 || open.is_empty()) {
                self.stream = self.stream.wrapping_add(2);
                left -= 1;
                let steps = if std::mem::take(&mut self.socket) {
                    bootstrap(name, random)
                } else {
                    let mut steps = ask(self.stream, name, grpc, random);
                    steps.extend(answer(self.stream, grpc, random));
                    steps
                };
                open.push((self.stream, steps.into()));
                // Heads of requests come in the order of their streams.
                let steps = &mut open.last_mut().expect("it was pushed").1;
                let head = steps.pop_front().expect("each begins with a head");
                self.step(self.stream, head, random);
                continue;
            }
            let which = random.below(open.len());
            let stream = open[which].0;
            match open[which].1.pop_front() {
                Some(step) => self.step(stream, step, random),
                None => drop(open.swap_remove(which)),
            }
            self.more(random);
        }
        self.script
    }

    /// Frames that belong to no exchange.
    fn more(&mut self, random: &mut SeededRandom) {
        let (side, mut out) = (random.below(2), Vec::new());
        match random.below(12) {
            0 => write(&mut out, kind::PING, 0, 0, &[7; 8]),
            1 => write(&mut out, kind::WINDOW_UPDATE, 0, 0, &[0, 0, 2, 9]),
            2 => write(&mut out, kind::SETTINGS, flag::ACK, 0, &[]),
            3 => write(&mut out, kind::PRIORITY, 0, 3, &[0, 0, 0, 1, 9]),
            // A type that nobody knows.
            4 => write(&mut out, 0xf3, 0, 0, b"whatever"),
            _ => return,
        }
        self.script.push((side, out));
    }

    fn step(&mut self, stream: u32, step: FrameStep, random: &mut SeededRandom) {
        let mut out = Vec::new();
        let side = match step {
            FrameStep::Head(side, fields, ends) => {
                let block = self.block(side, &fields, random);
                write_block(&mut out, stream, &block, ends, [PAYLOAD, 30][random.below(2)]);
                side
            }
            FrameStep::Data(side, content, ends) => {
                let end = if ends { flag::END_STREAM } else { 0 };
                if random.below(4) == 0 {
                    let pad = random.below(20);
                    let payload = [&[pad as u8][..], &content, &vec![0; pad]].concat();
                    write(&mut out, kind::DATA, end | flag::PADDED, stream, &payload);
                } else {
                    write(&mut out, kind::DATA, end, stream, &content);
                }
                side
            }
            FrameStep::Promise(promised, fields) => {
                let block = self.block(SERVER, &fields, random);
                let payload = [&promised.to_be_bytes()[..], &block].concat();
                write(&mut out, kind::PUSH_PROMISE, flag::END_HEADERS, stream, &payload);
                self.script.push((SERVER, out));
                let mut out = Vec::new();
                let block = self.block(SERVER, &response(promised, false), random);
                write_block(&mut out, promised, &block, false, PAYLOAD);
                write(&mut out, kind::DATA, flag::END_STREAM, promised, &text(random, 90));
                self.script.push((SERVER, out));
                return;
            }
            FrameStep::Reset(side) => {
                write(&mut out, kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
                side
            }
        };
        // Several frames of a side may come at once.
        match self.script.last_mut() {
            Some((last, octets)) if *last == side && random.below(4) == 0 => octets.extend(out),
            _ => self.script.push((side, out)),
        }
    }

    fn block(&mut self, side: usize, fields: &Fields, random: &mut SeededRandom) -> Vec<u8> {
        let (encoder, mut block) = (&mut self.encoders[side], Vec::new());
        if random.below(12) == 0 {
            encoder.allow([0, 100, 4_096][random.below(3)]);
        }
        encoder.begin(&mut block);
        for (name, value) in fields {
            let indexing = match random.below(8) {
                0 => Indexing::Never,
                1 => Indexing::Without,
                _ => Indexing::Incremental,
            };
            encoder.field(name.as_bytes(), value.as_bytes(), indexing, &mut block);
        }
        block
    }
}

/// A WebSocket on a stream.
fn bootstrap(name: &str, random: &mut SeededRandom) -> Vec<FrameStep> {
    let path = format!("/{name}/socket");
    let asked = fields(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", &path),
        (":authority", "shop.test"),
    ]);
    let mut steps = vec![
        FrameStep::Head(CLIENT, asked, false),
        FrameStep::Head(SERVER, fields(&[(":status", "200")]), false),
    ];
    let (mut ends, mut said) = (SocketEnds::new(false, false), Script::new());
    for _ in 0..3 + random.below(5) {
        ends.message(&mut said, random);
    }
    for (side, octets) in said {
        steps.extend(
            octets.chunks(PAYLOAD - 300).map(|part| FrameStep::Data(side, part.to_vec(), false)),
        );
    }
    for side in [CLIENT, SERVER] {
        steps.push(FrameStep::Data(side, Vec::new(), true));
    }
    steps
}

fn response(stream: u32, grpc: bool) -> Fields {
    let kind = if grpc { "application/grpc" } else { "text/plain" };
    let token = format!("token {}", stream % 9);
    fields(&[(":status", "200"), ("content-type", kind), ("x-token", &token), ("server", "s")])
}

/// A message of gRPC.
fn message(random: &mut SeededRandom) -> Vec<u8> {
    let text = text(random, 200);
    [&[0][..], &(text.len() as u32).to_be_bytes(), &text].concat()
}

fn content(grpc: bool, random: &mut SeededRandom) -> Vec<u8> {
    let most = [40, 900, 9_000][random.below(3)];
    if grpc { message(random) } else { text(random, most) }
}

fn ask(stream: u32, name: &str, grpc: bool, random: &mut SeededRandom) -> Vec<FrameStep> {
    let path = format!("/{name}/{}", if random.below(2) == 0 { stream } else { stream % 8 });
    let method = if grpc || random.below(2) == 0 { "POST" } else { "GET" };
    let mut head = fields(&[
        (":method", method),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "shop.test"),
        ("user-agent", "a client"),
    ]);
    if random.below(3) == 0 {
        head.push(("x-trace".to_owned(), format!("{stream:08x}").repeat(random.below(9))));
    }
    if grpc {
        head.extend(fields(&[("te", "trailers"), ("content-type", "application/grpc")]));
    }
    let bare = method == "GET";
    let mut steps = vec![FrameStep::Head(CLIENT, head, bare)];
    if !bare {
        let trailers = random.below(4) == 0;
        let pieces = 1 + random.below(3);
        for piece in 0..pieces {
            let ends = piece + 1 == pieces && !trailers;
            steps.push(FrameStep::Data(CLIENT, content(grpc, random), ends));
        }
        if trailers {
            steps.push(FrameStep::Head(CLIENT, fields(&[("x-sum", "77")]), true));
        }
    }
    if !grpc && random.below(8) == 0 {
        let style = format!("/{name}/pushed/{stream}");
        let head = fields(&[(":method", "GET"), (":scheme", "http"), (":path", &style)]);
        steps.push(FrameStep::Promise(stream + 1, head));
    }
    steps
}

fn answer(stream: u32, grpc: bool, random: &mut SeededRandom) -> Vec<FrameStep> {
    let mut steps = Vec::new();
    if random.below(8) == 0 {
        steps.push(FrameStep::Head(SERVER, fields(&[(":status", "103"), ("link", "x")]), false));
    }
    let bare = !grpc && random.below(5) == 0;
    steps.push(FrameStep::Head(SERVER, response(stream, grpc), bare));
    if bare {
        return steps;
    }
    if random.below(12) == 0 {
        steps.push(FrameStep::Data(SERVER, content(grpc, random), false));
        steps.push(FrameStep::Reset(SERVER));
        return steps;
    }
    let (trailers, pieces) = (grpc || random.below(4) == 0, 1 + random.below(4));
    for piece in 0..pieces {
        let ends = piece + 1 == pieces && !trailers;
        steps.push(FrameStep::Data(SERVER, content(grpc, random), ends));
    }
    if trailers {
        let status = (stream % 3).to_string();
        let fields = fields(&[("grpc-status", &status), ("grpc-message", "")]);
        steps.push(FrameStep::Head(SERVER, fields, true));
    }
    steps
}

/// The certificate of the server, and its key.
fn signed() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static SIGNED: OnceLock<(CertificateDer<'static>, Vec<u8>)> = OnceLock::new();
    SIGNED.get_or_init(|| {
        // Signatures whose length is always the same.
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let mut about =
            rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).expect("a name");
        about.serial_number = Some(7.into());
        let certificate = about.self_signed(&key).expect("a certificate");
        (certificate.der().clone(), key.serialize_der())
    })
}

/// Suites of TLS 1.3 and 1.2.
pub(super) fn suites() -> [rustls::SupportedCipherSuite; 4] {
    use rustls::crypto::ring::cipher_suite as ring;
    [
        ring::TLS13_AES_128_GCM_SHA256,
        ring::TLS13_CHACHA20_POLY1305_SHA256,
        ring::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ring::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ]
}

/// The two ends of a TLS connection.
struct Sealers {
    client: ClientConnection,
    server: ServerConnection,
    log: Arc<Log>,
}

impl Sealers {
    /// Records hold at most so many octets with their heads.
    fn new(suite: rustls::SupportedCipherSuite, alpn: &[u8], most: Option<usize>) -> Self {
        let (certificate, key) = signed();
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = vec![suite];
        let provider = Arc::new(provider);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[suite.version()])
            .expect("a version")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[suite.version()])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let log = Arc::new(Log::default());
        client.key_log = Arc::<Log>::clone(&log);
        (client.max_fragment_size, server.max_fragment_size) = (most, most);
        client.alpn_protocols = vec![alpn.to_vec()];
        server.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("shop.test").expect("a name");
        let client = ClientConnection::new(Arc::new(client), name).expect("a client");
        let server = ServerConnection::new(Arc::new(server)).expect("a server");
        Self { client, server, log }
    }

    /// What an end has to say, read by the other one.
    fn pass(&mut self, side: usize, script: &mut Script) -> bool {
        let mut sealed = Vec::new();
        if side == CLIENT {
            while self.client.wants_write() {
                self.client.write_tls(&mut sealed).expect("memory takes it");
            }
            hear(&mut self.server, &sealed);
        } else {
            while self.server.wants_write() {
                self.server.write_tls(&mut sealed).expect("memory takes it");
            }
            hear(&mut self.client, &sealed);
        }
        let any = !sealed.is_empty();
        if any {
            script.push((side, sealed));
        }
        any
    }
}

fn hear<S: rustls::SideData>(into: &mut rustls::ConnectionCommon<S>, mut from: &[u8]) {
    use std::io::Read as _;
    while !from.is_empty() {
        into.read_tls(&mut from).expect("records");
        let state = into.process_new_packets().expect("sound records");
        let mut text = vec![0; state.plaintext_bytes_to_read()];
        into.reader().read_exact(&mut text).expect("as much as was told");
    }
}

/// A script inside TLS, and the secrets of it.
pub(super) fn sealed(
    script: &Script,
    suite: rustls::SupportedCipherSuite,
    alpn: &[u8],
    most: Option<usize>,
) -> (Script, String) {
    use std::io::Write as _;
    let mut ends = Sealers::new(suite, alpn, most);
    let mut out = Script::new();
    while ends.pass(CLIENT, &mut out) | ends.pass(SERVER, &mut out) {}
    for (side, text) in script {
        for piece in text.chunks(16_000) {
            let written = match *side {
                CLIENT => ends.client.writer().write(piece),
                _ => ends.server.writer().write(piece),
            };
            assert_eq!(written.expect("its buffer takes it"), piece.len());
            ends.pass(*side, &mut out);
        }
    }
    ends.client.send_close_notify();
    ends.server.send_close_notify();
    let _ = ends.pass(CLIENT, &mut out) | ends.pass(SERVER, &mut out);
    let keys = ends.log.0.lock().expect("nobody panics in it").clone();
    (out, keys)
}
