//! HTTP/1 towards v2: read by the parser that reads captures, answered with the recorded bytes.
//!
//! Header fields keep their order, case and duplicates, which a server library would not give.
//! Every wait has an end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::{self, Asker, Reply, ReplyBody};
use super::desk::Handled;
use super::seats::Seat;
use super::shared::{CallerConnection, HELD_BYTES, SharedMock, count};
use super::stream::Duplex;
use crate::limits::WALKED_BODY_BYTES;
use crate::message::{Request, Version};
use crate::time::Monotonic;
use crate::wire::h1::parser::{
    AMBIGUOUS_FRAMING, Ending, Message, MessageSide, Parser, ParserLimits,
};

/// How much is read at once of a connection that sends little, in bytes.
pub(super) const READ_BYTES: usize = 4 << 10;
/// The same of one that sends much.
const READ_MUCH: usize = 64 << 10;
/// How long a whole request may take, in units of the patience.
const WHOLE: u32 = 10;
/// Longest head, in bytes.
const HEAD_BYTES: usize = 256 << 10;

/// A CONNECT that was granted: what the connection carries from now on is for `authority`.
pub(super) struct Tunnel {
    pub(super) authority: String,
    /// What the client sent behind the CONNECT.
    pub(super) left: Vec<u8>,
    pub(super) stream: Box<dyn Duplex>,
}

/// A client broke off, takes too long, or is to be left: the connection ends.
struct ClientEnded;

/// Serves a connection of which `first` was read already, until it ends or becomes a tunnel.
pub(super) async fn serve(
    stream: Box<dyn Duplex>,
    first: Vec<u8>,
    connection: &CallerConnection,
    shared: &SharedMock,
) -> Option<Tunnel> {
    let limits = ParserLimits {
        head_bytes: HEAD_BYTES,
        body_bytes: WALKED_BODY_BYTES,
        ..ParserLimits::default()
    };
    let parser = Parser::new(MessageSide::Requests, limits);
    let mut line = ClientLine {
        stream,
        parser,
        out: Vec::new(),
        held: 0,
        continued: false,
        since: None,
        seat: &connection.seat,
        shared,
    };
    let mut input = first;
    loop {
        match line.take(&input, connection).await {
            Ok(None) => {}
            Ok(Some((authority, left))) => {
                let ClientLine { stream, .. } = &mut line;
                let stream = std::mem::replace(stream, Box::new(tokio::io::empty()));
                return Some(Tunnel { authority, left, stream });
            }
            Err(ClientEnded) => return None,
        }
        let size = if input.len() == input.capacity() { READ_MUCH } else { READ_BYTES };
        if line.parser.is_between_messages() && input.capacity() > READ_BYTES {
            input = Vec::new();
        }
        input.clear();
        input.reserve(size);
        line.read(&mut input).await.ok()?;
    }
}

/// A connection.
struct ClientLine<'s> {
    stream: Box<dyn Duplex>,
    parser: Parser<()>,
    out: Vec<u8>,
    /// What is counted as held for it, in bytes.
    held: usize,
    /// Whether the request under way was told to go on.
    continued: bool,
    /// When the request under way began to come.
    since: Option<Monotonic>,
    seat: &'s Seat,
    shared: &'s SharedMock,
}

impl ClientLine<'_> {
    /// Answers all requests that end in `input`; gives the authority and the rest where one opened
    /// a tunnel.
    async fn take(
        &mut self,
        input: &[u8],
        connection: &CallerConnection,
    ) -> Result<Option<(String, Vec<u8>)>, ClientEnded> {
        let mut rest = input;
        while let Some(parsed) = self.parser.step(&mut rest, ()) {
            (self.continued, self.since) = (false, None);
            let Message::Request(request) = parsed.message else { return Err(ClientEnded) };
            // Which of two names is meant nobody can say (RFC 9112 §3.2), nor where a body ends whose
            // length can be read in two ways.
            let ambiguous = parsed.oddities.iter().any(|oddity| AMBIGUOUS_FRAMING.contains(oddity));
            let mut hosts = request.headers.all("host");
            let two_hosts =
                hosts.next().is_some_and(|host| host.contains(&b',')) || hosts.next().is_some();
            if parsed.damage.is_some() || ambiguous || two_hosts {
                return self.refuse(400).await;
            }
            let asker = Asker {
                head: &request.method[..] == b"HEAD",
                version: request.version,
                persists: parsed.persists,
            };
            if &request.method[..] == b"CONNECT" {
                if let Some(authority) = self.connect(&request, asker).await? {
                    return Ok(Some((authority, rest.to_vec())));
                }
                continue;
            }
            self.answer(&request, asker, connection).await?;
            if !parsed.persists {
                let _ = tokio::time::timeout(self.shared.patience, self.stream.shutdown()).await;
                return Err(ClientEnded);
            }
        }
        if self.parser.is_lost() {
            return self.refuse(400).await;
        }
        self.hold();
        if self.shared.held.load(std::sync::atomic::Ordering::Relaxed) > HELD_BYTES {
            if self.parser.current().is_none() && !self.parser.is_between_messages() {
                return self.refuse(431).await;
            }
            self.parser.let_go();
            self.hold();
        }
        if !self.continued
            && let Some(Message::Request(request)) = self.parser.current()
            && request
                .headers
                .get("expect")
                .is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"))
        {
            self.continued = true;
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(None)
    }

    /// Keeps the account of what is held of requests under way.
    fn hold(&mut self) {
        let now = self.parser.held();
        let held = &self.shared.held;
        if now > self.held {
            held.fetch_add(now - self.held, std::sync::atomic::Ordering::Relaxed);
        } else if now < self.held {
            held.fetch_sub(self.held - now, std::sync::atomic::Ordering::Relaxed);
        }
        self.held = now;
    }

    /// Reads what comes next.
    async fn read(&mut self, input: &mut Vec<u8>) -> Result<(), ClientEnded> {
        let between = self.parser.is_between_messages();
        let in_head = !between && self.parser.current().is_none();
        let patience = if between {
            self.shared.idle()
        } else {
            // Who sends byte by byte has as long as all others: for the head, and for the whole.
            let since = *self.since.get_or_insert_with(Monotonic::now);
            let whole = if in_head { 1 } else { WHOLE };
            (self.shared.patience * whole)
                .saturating_sub(Duration::from_nanos(since.elapsed().max(0).unsigned_abs()))
                .min(self.shared.patience)
        };
        let read = tokio::time::timeout(patience, self.stream.read_buf(input));
        // Who has said nothing whole yet gives way to others.
        let read = match between || in_head {
            true => self.seat.wait(read).await.ok_or(ClientEnded)?,
            false => read.await,
        };
        match read {
            Ok(Ok(1..)) => return Ok(()),
            Ok(_) => {
                if !between || self.parser.finish(Ending::Cut).is_some() {
                    count(&self.shared.trouble.unfinished);
                }
            }
            Err(_) if between => {}
            Err(_) => {
                count(&self.shared.trouble.unfinished);
                let _ = self.reply(&Reply::empty(408), LAST, Monotonic::now()).await;
            }
        }
        Err(ClientEnded)
    }

    /// What came is no request: says so, and ends.
    async fn refuse<T>(&mut self, status: u16) -> Result<T, ClientEnded> {
        count(&self.shared.trouble.not_understood);
        self.reply(&Reply::empty(status), LAST, Monotonic::now()).await?;
        let _ = tokio::time::timeout(self.shared.patience, self.stream.shutdown()).await;
        Err(ClientEnded)
    }

    /// Opens a tunnel to this very mock: the bytes in it are served like those of a connection.
    async fn connect(
        &mut self,
        request: &Request,
        asker: Asker,
    ) -> Result<Option<String>, ClientEnded> {
        let authority = String::from_utf8_lossy(&request.target).into_owned();
        if self.shared.authority.is_none() && authority.ends_with(":443") {
            let body = serde_json::json!({ "error": "shadowtap mock: HTTPS needs a certificate \
                authority: start it with --ca-dir" });
            self.reply(&Reply::own(501, &body), asker, Monotonic::now()).await?;
            return Ok(None);
        }
        self.send(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        Ok(Some(authority))
    }

    async fn answer(
        &mut self,
        request: &Request,
        asker: Asker,
        connection: &CallerConnection,
    ) -> Result<(), ClientEnded> {
        let shared = self.shared;
        let arrived = Monotonic::now();
        match shared.handle(request, connection).await {
            Handled::Reply(reply) => self.reply(&reply, asker, arrived).await,
            Handled::Reset => {
                if let Some(raw) = &connection.raw {
                    // With no time to linger, closing resets (RFC 9293 §3.10.4, ABORT).
                    let _ = rustix::net::sockopt::set_socket_linger(raw, Some(Duration::ZERO));
                }
                Err(ClientEnded)
            }
            Handled::Hang => {
                // Until the client gives up.
                let mut dropped = [0; 512];
                while let Ok(1..) = self.stream.read(&mut dropped).await {}
                Err(ClientEnded)
            }
        }
    }

    async fn reply(
        &mut self,
        reply: &Reply<'_>,
        asker: Asker,
        arrived: Monotonic,
    ) -> Result<(), ClientEnded> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let sent = self.reply_with(reply, asker, arrived, &mut out).await;
        out.shrink_to(READ_MUCH);
        self.out = out;
        sent
    }

    async fn reply_with(
        &mut self,
        reply: &Reply<'_>,
        asker: Asker,
        arrived: Monotonic,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientEnded> {
        let chunks = reply.write_head(asker, out);
        if let Some((first, _)) = reply.due {
            wait(arrived, first).await;
        }
        let body = reply.body.as_ref().filter(|_| reply.has_body(asker));
        let mut from = 0;
        for (until, at) in reply.steps() {
            if reply.due.is_some_and(|(first, _)| at > first) {
                self.send(out).await?;
                out.clear();
                wait(arrived, at).await;
            }
            let Some(body) = body else { continue };
            while from < until.min(body.len()) {
                from += self.append(body, from, until, chunks, out)?;
                if out.len() >= READ_MUCH {
                    self.send(out).await?;
                    out.clear();
                }
            }
        }
        if chunks {
            reply.write_end(out);
        }
        self.send(out).await
    }

    /// Appends the next part of a body; gives its length.
    fn append(
        &self,
        body: &ReplyBody,
        from: u64,
        until: u64,
        chunks: bool,
        out: &mut Vec<u8>,
    ) -> Result<u64, ClientEnded> {
        let part = body.part(&self.shared.recording.shelf, from, until).map_err(|error| {
            tracing::warn!("a recorded body cannot be read back: {error}");
            ClientEnded
        })?;
        if chunks {
            answer::write_chunk(&part, out)
        } else {
            out.extend_from_slice(&part)
        }
        Ok(part.len() as u64)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), ClientEnded> {
        let patience = self.shared.patience;
        let mut sent = 0;
        while sent < bytes.len() {
            match tokio::time::timeout(patience, self.stream.write(&bytes[sent..])).await {
                Ok(Ok(more @ 1..)) => sent += more,
                _ => return self.unread(),
            }
        }
        match tokio::time::timeout(patience, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            _ => self.unread(),
        }
    }

    /// The client does not read its answer.
    fn unread(&self) -> Result<(), ClientEnded> {
        count(&self.shared.trouble.unread);
        Err(ClientEnded)
    }
}

impl Drop for ClientLine<'_> {
    fn drop(&mut self) {
        self.shared.held.fetch_sub(self.held, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Of an answer after which the connection ends.
const LAST: Asker = Asker { head: false, version: Version::Http11, persists: false };

/// Waits until so many nanoseconds after `arrived`.
pub(super) async fn wait(arrived: Monotonic, until: i64) {
    if let Ok(left @ 1..) = u64::try_from(until - arrived.elapsed()) {
        tokio::time::sleep(Duration::from_nanos(left)).await;
    }
}
