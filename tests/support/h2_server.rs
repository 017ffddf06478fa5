//! A server of HTTP/2 in a test: it reads frames, tells what each stream asked, and says what it is
//! told to. Nothing of the replayer's session is in it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use shadowtap::message::{Headers, Request};
use shadowtap::wire::h2::frame::{self, FrameHead, FrameReader, Piece, flag, kind};
use shadowtap::wire::h2::hpack::{Decoder, Encoder, Indexing};

/// What a stream asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) stream: u32,
    pub(crate) fields: Vec<(String, String)>,
    raw: Headers,
    never: Vec<u32>,
    pub(crate) body: Vec<u8>,
    trailers: Headers,
}

impl Asked {
    /// The value of the first field of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    }

    /// All of it, to be compared.
    pub(crate) fn told(&self) -> String {
        text(&self.raw, &self.never, &self.body, &self.trailers)
    }
}

/// A recorded request in the same form.
pub(crate) fn told(request: &Request) -> String {
    let never = request.extras.as_ref().map_or(&[][..], |extras| &extras.never_indexed);
    text(&request.headers, never, &request.body.bytes, &request.trailers)
}

fn text(headers: &Headers, never: &[u32], body: &[u8], trailers: &Headers) -> String {
    format!("{headers:?} never {never:?} trailers {trailers:?} body {}", body.escape_ascii())
}

/// A server's end of a connection.
pub(crate) struct Talk {
    stream: TcpStream,
    /// How many connections came before.
    pub(crate) number: usize,
    encoder: Encoder,
    begun: Vec<u32>,
    /// What the client announced, and by how much it enlarged the connection's window.
    pub(crate) settings: Vec<(u16, u32)>,
    pub(crate) window: u32,
}

impl Talk {
    pub(crate) fn say(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// Says this again and again, until its client has had enough.
    pub(crate) fn flood(&mut self, octets: &[u8]) {
        let many = octets.repeat(16_384_usize.div_ceil(octets.len()));
        // A gigabyte, where it never has.
        for _ in 0..1 << 16 {
            if self.stream.write_all(&many).is_err() {
                break;
            }
        }
    }

    fn head(&mut self, stream: u32, fields: &[(&str, &str)], ends: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            self.encoder.field(name, value, Indexing::Incremental, &mut block);
        }
        let mut out = Vec::new();
        frame::write_block(&mut out, stream, &block, ends, frame::PAYLOAD);
        self.say(&out);
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self, stream: u32, body: &[u8]) {
        self.head(stream, &[(":status", "200"), ("content-type", "text/plain")], false);
        let mut out = Vec::new();
        frame::write(&mut out, kind::DATA, flag::END_STREAM, stream, body);
        self.say(&out);
    }

    /// A message of a call; the first behind a head, the last before its trailers.
    pub(crate) fn message(&mut self, stream: u32, message: &[u8], ends: bool) {
        if !self.begun.contains(&stream) {
            self.begun.push(stream);
            self.head(stream, &[(":status", "200"), ("content-type", "application/grpc")], false);
        }
        let mut out = Vec::new();
        frame::write(&mut out, kind::DATA, 0, stream, message);
        self.say(&out);
        if ends {
            self.head(stream, &[("grpc-status", "0")], true);
        }
    }

    /// A call that fails at once.
    pub(crate) fn fail(&mut self, stream: u32, status: &str) {
        let kind = ("content-type", "application/grpc");
        self.head(stream, &[(":status", "200"), kind, ("grpc-status", status)], true);
    }

    /// Whether no content and no request comes for a moment; acknowledgements and windows may.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut seen = [0; 4_096];
        let mut quiet = true;
        for _ in 0..12 {
            let n = self.stream.peek(&mut seen).unwrap_or_default();
            let mut rest = &seen[..n];
            while let [0, high, low, kind, ..] = *rest {
                quiet &= !matches!(kind, kind::DATA | kind::HEADERS);
                let length = 9 + usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(length..).unwrap_or_default();
            }
            // What was seen stays to be read.
            std::thread::sleep(Duration::from_millis(5));
        }
        self.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        quiet
    }
}

/// Listens; `each` is called for every request that is whole.
pub(crate) fn serve(each: impl Fn(&mut Talk, &Asked) + Send + Sync + 'static) -> SocketAddr {
    listen(move |talk| {
        read(talk, |talk, event| {
            if let Event::Whole(asked) = event {
                each(talk, asked);
            }
        });
    })
}

/// Listens; `each` is called for every part of a request's content.
pub(crate) fn serve_parts(
    each: impl Fn(&mut Talk, u32, &[u8], bool) + Send + Sync + 'static,
) -> SocketAddr {
    listen(move |talk| {
        read(talk, |talk, event| {
            if let Event::Part(stream, part, ends) = event {
                each(talk, stream, part, ends);
            }
        });
    })
}

/// Listens; `first` is called once the connection is there, and nothing is ever answered.
pub(crate) fn serve_after(first: impl Fn(&mut Talk) + Send + Sync + 'static) -> SocketAddr {
    listen(move |talk| {
        first(talk);
        read(talk, |_, _| {});
    })
}

fn listen(serve: impl Fn(&mut Talk) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.set_nodelay(true).unwrap();
                let (encoder, begun, settings) = Default::default();
                let mut talk = Talk { stream, number, encoder, begun, settings, window: 0 };
                serve(&mut talk);
            });
        }
    });
    address
}

enum Event<'a> {
    Whole(&'a Asked),
    Part(u32, &'a [u8], bool),
}

fn read(talk: &mut Talk, mut each: impl FnMut(&mut Talk, Event<'_>)) {
    let mut hello = Vec::new();
    frame::write_settings(&mut hello, &[]);
    talk.say(&hello);
    let mut reader = FrameReader::<u8>::new(1 << 24);
    let mut decoder = Decoder::default();
    let mut open: BTreeMap<u32, Asked> = BTreeMap::new();
    let mut block: (FrameHead, Vec<u8>) = Default::default();
    let mut buffer = vec![0; 65_536];
    while let Ok(n) = talk.stream.read(&mut buffer) {
        if n == 0 {
            return;
        }
        let mut rest = &buffer[..n];
        loop {
            let step = reader.step(rest, 0);
            rest = &rest[step.used..];
            let Some(piece) = step.piece else { break };
            match piece {
                Piece::Data(head, content) => {
                    open.entry(head.stream).or_default().body.extend_from_slice(content);
                    let ends = head.ends_stream();
                    each(talk, Event::Part(head.stream, content, ends));
                }
                Piece::DataEnd(head) => {
                    let mut more = Vec::new();
                    if head.length > 0 {
                        for stream in [0, head.stream] {
                            let payload = head.length.to_be_bytes();
                            frame::write(&mut more, kind::WINDOW_UPDATE, 0, stream, &payload);
                        }
                    }
                    talk.say(&more);
                    if head.ends_stream() {
                        whole(talk, &mut open, head.stream, &mut each);
                    }
                }
                Piece::Frame(head, payload) if head.kind == kind::SETTINGS => {
                    if !head.has(flag::ACK) {
                        let mut ack = Vec::new();
                        frame::write(&mut ack, kind::SETTINGS, flag::ACK, 0, &[]);
                        talk.say(&ack);
                        talk.settings.extend(frame::settings(payload));
                    }
                }
                Piece::Frame(head, more)
                    if (head.kind, head.stream) == (kind::WINDOW_UPDATE, 0) =>
                {
                    talk.window += frame::number(more).unwrap();
                }
                Piece::Frame(head, payload) if head.has_block() => {
                    if head.kind == kind::HEADERS {
                        block = (head, Vec::new());
                    }
                    block.1.extend_from_slice(payload);
                    if !head.has(flag::END_HEADERS) {
                        continue;
                    }
                    let decoded = decoder.decode(&block.1).unwrap();
                    let stream = block.0.stream;
                    let asked = open.entry(stream).or_default();
                    if asked.stream == 0 {
                        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
                        asked.stream = stream;
                        asked.fields =
                            decoded.fields.iter().map(|(n, v)| (text(n), text(v))).collect();
                        (asked.raw, asked.never) = (decoded.fields, decoded.never_indexed);
                    } else {
                        asked.trailers = decoded.fields;
                    }
                    if block.0.ends_stream() {
                        whole(talk, &mut open, stream, &mut each);
                    }
                }
                Piece::Frame(..) | Piece::TooLong(_) => {}
            }
        }
    }
}

fn whole(
    talk: &mut Talk,
    open: &mut BTreeMap<u32, Asked>,
    stream: u32,
    each: &mut impl FnMut(&mut Talk, Event<'_>),
) {
    if let Some(asked) = open.remove(&stream) {
        each(talk, Event::Whole(&asked));
    }
}
