//! A recorded WebSocket (RFC 6455) played on the connection that v2's 101 opened.
//!
//! Each word of the client goes at its due time, behind as many messages of v2 as its client had of
//! v1's. v2's pings are answered, pongs are waited for by nobody. Messages go uncompressed, each in
//! one frame, whatever v2 agreed to (RFC 7692 §6 leaves that to the sender); v2's are uncompressed.

use std::io;

use bytes::Bytes;
use ring::rand::SecureRandom as _;

use crate::exchange::socket::{SocketEnd, is_name};
use crate::exchange::{SocketKind, SocketMessage};
use crate::flow::Direction;
use crate::message::encoding::base64_of;
use crate::message::{Body, Response};
use crate::outcome::{Failure, FailureKind, Owner, ReplayId};
use crate::replay::binder::SocketTies;
use crate::replay::plan::course::{Course, CourseWord};
use crate::replay::plan::spool::Spool;
use crate::replay::session::Written;
use crate::replay::session::socket::Socket;
use crate::replay::task::{Answer, TargetSide, shown};
use crate::schedule::pacing::Pacing;
use crate::time::Timestamp;
use crate::wire::websocket::{self, WebSocket};

/// What the client's key is put together with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of frames that are prepared at once.
const AT_ONCE: usize = 256 << 10;

/// A session while it is played.
pub(super) struct SocketPlay {
    course: Course,
    pacing: Pacing,
    /// Of an answer's message so much is kept.
    max_body: usize,
    /// Gates before some of its words, and who is told of v2's messages; and whose they are.
    ties: Option<SocketTies>,
    of: (TargetSide, ReplayId),
    /// There once v2 has opened it.
    open: Option<OpenSocket>,
}

/// A session that v2 has opened.
struct OpenSocket {
    reader: WebSocket,
    /// What v2 answered to the request.
    answer: Answer,
    /// When the request was due, by which all words are, and how long v2 is waited for.
    due: i64,
    patience: i64,
    /// The next word, and where its bytes stand.
    next: usize,
    content: u64,
    /// Frames that are being written.
    out: Vec<u8>,
    written: usize,
    /// The latest ping of v2 that is not answered (RFC 6455 §5.5.3).
    ping: Option<Bytes>,
    /// How many messages v2 sent.
    count: u32,
    /// What it said that counts.
    said: Vec<SocketMessage>,
    /// When a word was sent or a message came that was waited for, and when v2 took bytes last.
    progress: i64,
    wrote: i64,
    /// Since when v2 has said as much as v1 had, and the client all it had to say.
    settled: Option<i64>,
    /// It is over: with the failure that it came to, if any.
    over: Option<Option<Failure>>,
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// A word that is due then.
    Word(i64),
    /// The values that a word says, until then.
    Values(i64),
    /// That v2 takes what is being written, until then.
    Room(i64),
    /// Messages of v2, until then.
    Messages(i64),
    /// v2's close in answer to the client's, until then.
    Echo(i64),
    /// That v2 closes as v1 did, until then.
    Close(i64),
    /// That the time comes at which v1's session ended.
    End(i64),
}

impl SocketPlay {
    /// The session whose course begins at `offset`. Of a message `max_body` bytes are kept.
    pub(super) fn read(
        spool: &Spool,
        offset: u64,
        pacing: Pacing,
        max_body: usize,
    ) -> io::Result<Self> {
        let of = (TargetSide::Target, ReplayId::default());
        let course = Course::read(spool, offset)?;
        Ok(Self { course, pacing, max_body, ties: None, of, open: None })
    }

    /// Some of its words go when their gates are open, and v2's messages may give values.
    pub(super) fn tie(&mut self, ties: Option<SocketTies>, of: (TargetSide, ReplayId)) {
        (self.ties, self.of) = (ties, of);
    }

    /// Whether what the client's message of this number says is known.
    fn passes(&self, number: usize) -> bool {
        self.ties.as_ref().is_none_or(|ties| ties.gates.passes(number, self.of.0))
    }

    /// Whether v2 has opened it.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// v2's `answer` to the request that was due at `due` opened it ([`accepts`]).
    pub(super) fn open(&mut self, answer: Answer, due: i64, patience: i64, now: i64) {
        let response = answer.response.as_ref();
        let extensions = response.and_then(|all| all.headers.get("sec-websocket-extensions"));
        let reader = WebSocket::of_server(extensions, self.max_body);
        self.open = Some(OpenSocket {
            reader,
            answer,
            due,
            patience,
            next: 0,
            content: self.course.content,
            out: Vec::new(),
            written: 0,
            ping: None,
            count: 0,
            said: Vec::new(),
            progress: now,
            wrote: now,
            settled: None,
            over: None,
        });
        self.settle(now);
    }

    /// Takes what v2 sent; whether there may be more to write or to end.
    pub(super) fn hear(&mut self, input: &mut &[u8], now: i64) -> bool {
        let payload = std::mem::take(input);
        let Some(open) = &mut self.open else { return false };
        if open.over.is_some() {
            return false;
        }
        open.reader.bytes(Direction::ToClient, payload, Timestamp::from_nanos(now));
        let heard = open.reader.take_heard();
        let is_any = !heard.is_empty();
        for (_, _, kind, data) in heard {
            self.message(kind, data, now);
        }
        let Some(open) = &mut self.open else { return false };
        let Some(fault) = open.reader.fault().filter(|_| open.over.is_none()) else {
            return is_any;
        };
        let detail = format!("v2 broke the protocol of WebSockets: {fault}");
        open.over = Some(Some(Failure::new(FailureKind::Protocol, detail)));
        true
    }

    fn message(&mut self, kind: SocketKind, data: Body, now: i64) {
        let keeps = self.keeps(now);
        let Some(open) = self.open.as_mut().filter(|open| open.over.is_none()) else { return };
        let message = SocketMessage { direction: Direction::ToClient, at_ns: now, kind, data };
        match kind {
            SocketKind::Text | SocketKind::Binary => {
                if open.count < self.course.answers {
                    open.progress = now;
                }
                if let Some(ties) = &self.ties {
                    ties.said(self.of, open.count, &message);
                }
                open.count += 1;
                if keeps {
                    open.said.push(message);
                }
                self.settle(now);
            }
            SocketKind::Ping => open.ping = Some(message.data.bytes),
            SocketKind::Pong => {}
            SocketKind::Close => {
                let code = message.close_code();
                let left = &self.course.words[open.next..];
                let to_come = left.iter().filter(|word| word.kind.is_data()).count();
                let is_closed = left.is_empty() && self.course.end == SocketEnd::Client;
                if !is_closed {
                    let echo = message.data.bytes.get(..2).unwrap_or_default();
                    websocket::encode(&mut open.out, SocketKind::Close, echo, Some(mask()));
                }
                open.said.push(message);
                open.over = Some((to_come > 0).then(|| {
                    let detail = format!(
                        "v2 closed the WebSocket with code {code} while its client had more to \
                         say: messages to come: {to_come}"
                    );
                    Failure::new(FailureKind::Closed, detail)
                }));
            }
        }
    }

    /// Whether a message that comes now counts: v1 had sent one too, or had sent none in as long a
    /// time, or had sent its last. What else v1 would have said later is not known.
    fn keeps(&self, now: i64) -> bool {
        let Some(open) = &self.open else { return false };
        let is_quiet = |since: i64| now - since < self.pacing.stretch(self.course.quiet);
        match self.course.end {
            _ if open.count < self.course.answers => true,
            SocketEnd::Server => true,
            SocketEnd::Client if open.next >= self.course.words.len() => false,
            SocketEnd::Client | SocketEnd::Open => open.settled.is_none_or(is_quiet),
        }
    }

    /// Notes since when nothing more is to be said.
    fn settle(&mut self, now: i64) {
        let Some(open) = &mut self.open else { return };
        let left = &self.course.words[open.next..];
        let is_said = left.iter().all(|word| word.kind == SocketKind::Close);
        if is_said && open.count >= self.course.answers {
            open.settled.get_or_insert(now);
        }
    }

    /// Writes the words that may go at `now`, and the answers to v2's control frames.
    pub(super) fn write(
        &mut self,
        socket: &mut Socket,
        spool: &Spool,
        now: i64,
    ) -> io::Result<Written> {
        loop {
            self.prepare(spool, now)?;
            let Some(open) = &mut self.open else { return Ok(Written::All) };
            if open.written == open.out.len() {
                break;
            }
            match socket.write(&open.out[open.written..], false) {
                Ok(n) => {
                    open.written += n;
                    open.wrote = now;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        socket.flush()?;
        Ok(if socket.wants_write() { Written::Blocked } else { Written::All })
    }

    /// Puts frames together once those before are written.
    fn prepare(&mut self, spool: &Spool, now: i64) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.written < open.out.len() {
            return Ok(());
        }
        (open.out, open.written, open.wrote) = (Vec::new(), 0, now);
        if open.over.is_some() {
            return Ok(());
        }
        if let Some(ping) = open.ping.take() {
            websocket::encode(&mut open.out, SocketKind::Pong, &ping, Some(mask()));
        }
        let ties = self.ties.as_ref();
        while let Some(word) = self.course.words.get(open.next)
            && open.is_free(word, self.pacing, now)
            && open.out.len() < AT_ONCE
            && ties.is_none_or(|ties| ties.gates.passes(open.next, self.of.0))
        {
            let content = match ties.and_then(|ties| ties.gates.filled(open.next, self.of.0)) {
                Some(filled) => filled,
                None => {
                    let mut content = vec![0; word.length as usize];
                    spool.read_at(&mut content, open.content)?;
                    content.into()
                }
            };
            websocket::encode(&mut open.out, word.kind, &content, Some(mask()));
            open.content += u64::from(word.length);
            open.next += 1;
            open.progress = now;
        }
        self.settle(now);
        Ok(())
    }

    /// Whether something could be written that is not.
    pub(super) fn is_writing(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.written < open.out.len() || open.pongs())
    }

    /// Whether a word is due and may go.
    pub(super) fn goes_on(&self, now: i64) -> bool {
        let Some(open) = &self.open else { return false };
        open.over.is_none()
            && !self.is_writing()
            && matches!(self.awaits(open), Awaits::Word(due) if due <= now)
    }

    fn awaits(&self, open: &OpenSocket) -> Awaits {
        let patient = |since: i64| since.max(open.progress).saturating_add(open.patience);
        if open.written < open.out.len() {
            return Awaits::Room(open.wrote.saturating_add(open.patience));
        }
        if let Some(word) = self.course.words.get(open.next) {
            let due = open.due_of(word, self.pacing);
            return match open.count >= word.had {
                true if self.passes(open.next) => Awaits::Word(due),
                true => Awaits::Values(patient(due).saturating_add(open.patience)),
                false => Awaits::Messages(patient(due)),
            };
        }
        let ended = open.due.saturating_add(self.pacing.stretch(self.course.ended_at));
        match self.course.end {
            SocketEnd::Client => Awaits::Echo(patient(i64::MIN)),
            _ if open.count < self.course.answers => Awaits::Messages(patient(ended)),
            SocketEnd::Server => Awaits::Close(patient(ended)),
            SocketEnd::Open => Awaits::End(ended),
        }
    }

    /// When the time changes something.
    pub(super) fn wakes_at(&self) -> i64 {
        let Some(open) = &self.open else { return i64::MAX };
        match self.awaits(open) {
            Awaits::Room(until) => until,
            _ if open.over.is_some() => i64::MIN,
            Awaits::Word(at)
            | Awaits::Messages(at)
            | Awaits::Echo(at)
            | Awaits::Close(at)
            | Awaits::Values(at)
            | Awaits::End(at) => at,
        }
    }

    /// What it came to, where it is over by now.
    pub(super) fn wake(&mut self, now: i64) -> Option<Answer> {
        let open = self.open.as_ref()?;
        let waited = shown(open.patience);
        let (count, answers) = (open.count.min(self.course.answers), self.course.answers);
        let timeout = |what: String| Some(Failure::new(FailureKind::Timeout, what));
        let failure = match (self.awaits(open), &open.over) {
            (Awaits::Room(until), Some(over)) if until <= now => over.clone(),
            (Awaits::Room(until), None) if until <= now => {
                timeout(format!("v2 took no more of the WebSocket within {waited}"))
            }
            (Awaits::Room(_), _) => return None,
            (_, Some(over)) => over.clone(),
            (Awaits::Messages(until), None) if until <= now => timeout(format!(
                "no message of the WebSocket within {waited}, behind {count} of the {answers} \
                 that v1 sent"
            )),
            // Who binds lets it go before that, with what is known, unless at full speed the request
            // that gives a value is not even read yet. That is not v2's doing.
            (Awaits::Values(until), None) if until <= now => timeout(
                "the values of the next message on the WebSocket were not there in time".to_owned(),
            )
            .map(|failure| failure.of(Owner::Replayer)),
            (Awaits::Close(until), None) if until <= now => {
                timeout(format!("v2 did not close the WebSocket within {waited}, as v1 had"))
            }
            // Who closed waits for the other end, but not for ever, and v1's client had left.
            (Awaits::Echo(until) | Awaits::End(until), None) if until <= now => None,
            _ => return None,
        };
        Some(self.finish(failure))
    }

    /// The connection ended, which `detail` tells in words.
    pub(super) fn end(&mut self, detail: &str) -> Option<Answer> {
        let open = self.open.as_ref()?;
        let to_send =
            self.course.words[open.next..].iter().filter(|word| word.kind.is_data()).count();
        let to_come = self.course.answers.saturating_sub(open.count);
        let failure = match &open.over {
            Some(over) => over.clone(),
            None if to_send > 0 || to_come > 0 => {
                let detail = format!(
                    "{detail}, inside the WebSocket: messages to come: {to_send} of its client, \
                     {to_come} of those that v1 sent"
                );
                Some(Failure::new(FailureKind::Closed, detail))
            }
            None => None,
        };
        Some(self.finish(failure))
    }

    fn finish(&mut self, failure: Option<Failure>) -> Answer {
        let Some(open) = self.open.take() else {
            return Answer::failed(FailureKind::Closed, "it was never opened");
        };
        let last = open.answer.last.filter(|_| failure.is_none());
        Answer { messages: open.said, failure, last, ..open.answer }
    }
}

impl OpenSocket {
    fn due_of(&self, word: &CourseWord, pacing: Pacing) -> i64 {
        self.due.saturating_add(pacing.stretch(word.at))
    }

    fn is_free(&self, word: &CourseWord, pacing: Pacing, now: i64) -> bool {
        self.count >= word.had && self.due_of(word, pacing) <= now
    }

    /// A ping waits for its answer.
    fn pongs(&self) -> bool {
        self.ping.is_some() && self.over.is_none()
    }
}

/// A mask that nobody can foresee (RFC 6455 §5.3).
fn mask() -> [u8; 4] {
    let mut mask = [0; 4];
    // The kernel's generator does not fail once it is there; a mask of zeros is a mask too.
    let _ = ring::rand::SystemRandom::new().fill(&mut mask);
    mask
}

/// Whether a 101 is the answer to a request with this head for a WebSocket, else what is wrong with
/// it (RFC 6455 §4.1).
pub(super) fn accepts(request: &[u8], response: &Response) -> Result<(), &'static str> {
    if !response.headers.get("upgrade").is_some_and(is_name) {
        return Err("v2 switched to something else than a WebSocket");
    }
    let Some(key) = key_of(request) else { return Ok(()) };
    let digest =
        ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    let expected = base64_of(digest.as_ref(), false);
    match response.headers.get("sec-websocket-accept") {
        Some(accept) if accept.trim_ascii() == expected.as_bytes() => Ok(()),
        Some(_) => Err("v2's sec-websocket-accept is not that of the request's key"),
        None => Err("v2's 101 has no sec-websocket-accept"),
    }
}

/// The key in the head of a request.
fn key_of(request: &[u8]) -> Option<&[u8]> {
    request.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at(colon);
        name.eq_ignore_ascii_case(b"sec-websocket-key").then(|| value[1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use proptest::prelude::*;

    use super::*;
    use crate::exchange::socket::SocketSession;
    use crate::replay::gate::{Ready, SocketGates};
    use crate::replay::plan::course;
    use crate::replay::plan::spool::SpoolWriter;
    use crate::schedule::pacing::Speed;

    const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: \
                             dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const PATIENCE: i64 = 1_000;

    fn response(fields: &[(&'static str, &'static str)]) -> Response {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Response { status: 101, headers: fields.collect(), ..Response::default() }
    }

    fn accepted() -> Response {
        // The example of RFC 6455 §1.3.
        response(&[
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ])
    }

    fn said(direction: Direction, at_ns: i64, kind: SocketKind, data: &str) -> SocketMessage {
        let data = match kind {
            SocketKind::Close => Body::whole(vec![3, 232]),
            _ => Body::whole(data.as_bytes().to_vec()),
        };
        SocketMessage { direction, at_ns, kind, data }
    }

    /// `c hello` is a word of the client; each is ten nanoseconds behind the one before.
    fn recorded(texts: &[&str]) -> Vec<SocketMessage> {
        let message = |(at, text): (i64, &&str)| {
            let (from, text) = text.split_once(' ').expect("c or s, and what it says");
            let direction = if from == "c" { Direction::ToServer } else { Direction::ToClient };
            let kind = match text {
                "ping" => SocketKind::Ping,
                "pong" => SocketKind::Pong,
                "close" => SocketKind::Close,
                _ => SocketKind::Text,
            };
            said(direction, at * 10, kind, text)
        };
        (1..).zip(texts).map(message).collect()
    }

    struct Rig {
        play: SocketPlay,
        spool: Spool,
        /// Reads what goes to v2.
        v2: WebSocket,
    }

    impl Rig {
        fn new(messages: &[SocketMessage]) -> Self {
            Self::at_speed(messages, Speed::Factor(1.0))
        }

        fn at_speed(messages: &[SocketMessage], speed: Speed) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = SpoolWriter::new(folder.path()).unwrap();
            let session = SocketSession::said(messages);
            let place = spool.append(|out| course::write(out, session)).unwrap();
            let spool = spool.finish().unwrap();
            let pacing = Pacing { speed, ..Pacing::default() };
            let mut play = SocketPlay::read(&spool, place.offset, pacing, 1 << 20).unwrap();
            let answer = Answer {
                first: Some(1),
                last: Some(1),
                response: Some(accepted()),
                ..Answer::none()
            };
            play.open(answer, 0, PATIENCE, 1);
            Self { play, spool, v2: WebSocket::new(None, 1 << 20) }
        }

        /// What goes to v2 at this time.
        fn goes(&mut self, now: i64) -> Vec<String> {
            loop {
                self.play.prepare(&self.spool, now).unwrap();
                let open = self.play.open.as_mut().unwrap();
                let (at, part) = (Timestamp::from_nanos(now), &open.out[open.written..]);
                if part.is_empty() {
                    break;
                }
                self.v2.bytes(Direction::ToServer, part, at);
                open.written = open.out.len();
            }
            let told = |(_, _, kind, data): &(_, _, SocketKind, Body)| match kind {
                SocketKind::Text => String::from_utf8_lossy(&data.bytes).into_owned(),
                kind => kind.name().to_owned(),
            };
            self.v2.take_heard().iter().map(told).collect()
        }

        fn hears(&mut self, kind: SocketKind, data: &[u8], now: i64) {
            let mut frame = Vec::new();
            websocket::encode(&mut frame, kind, data, None);
            self.play.hear(&mut &frame[..], now);
        }

        fn over(&mut self, now: i64) -> Option<(Vec<String>, Option<String>)> {
            let answer = self.play.wake(now)?;
            let told = |said: SocketMessage| String::from_utf8_lossy(&said.data.bytes).into_owned();
            let failure = answer.failure.map(|failure| failure.kind.name().to_owned());
            Some((answer.messages.into_iter().map(told).collect(), failure))
        }
    }

    #[test]
    fn words_go_at_their_time_behind_what_their_client_had() {
        let mut rig =
            Rig::new(&recorded(&["s hi", "c one", "s two", "s three", "c four", "c close"]));
        assert_eq!(rig.goes(100), [""; 0], "due, and v2 has said nothing");
        rig.hears(SocketKind::Text, b"hi", 101);
        assert_eq!(rig.goes(101), ["one"]);
        rig.hears(SocketKind::Ping, b"there?", 102);
        rig.hears(SocketKind::Pong, b"", 102);
        assert_eq!(rig.goes(102), ["pong"], "control frames let nothing go");
        rig.hears(SocketKind::Text, b"two", 103);
        assert_eq!(rig.goes(103), [""; 0]);
        rig.hears(SocketKind::Text, b"three", 104);
        assert_eq!(rig.goes(104), ["four", "close"]);
        assert_eq!(rig.over(200), None, "v2 has not closed");
        rig.hears(SocketKind::Close, &[3, 232], 210);
        let messages = ["hi", "two", "three", "\u{3}\u{fffd}"].map(str::to_owned).to_vec();
        assert_eq!(rig.over(210), Some((messages, None)));
    }

    #[test]
    fn nothing_goes_before_its_time_whatever_the_speed() {
        let messages = recorded(&["s hi", "c one"]);
        for (speed, due) in [(1.0, 20), (2.0, 10), (0.5, 40)] {
            let mut rig = Rig::at_speed(&messages, Speed::Factor(speed));
            rig.hears(SocketKind::Text, b"hi", 2);
            assert_eq!(rig.goes(due - 1), [""; 0]);
            assert_eq!(rig.play.wakes_at(), due);
            assert!(!rig.play.goes_on(due - 1) && rig.play.goes_on(due));
            assert_eq!(rig.goes(due), ["one"]);
            assert_eq!(rig.over(due), Some((vec!["hi".to_owned()], None)), "v1's ended here");
        }
    }

    #[test]
    fn a_v2_that_does_otherwise_is_told_from_one_that_is_late() {
        let v1 = recorded(&["s hi", "c one", "s two", "s close"]);
        // It never says what its client waits for; or all but the end.
        let mut rig = Rig::new(&v1);
        assert_eq!(rig.play.wakes_at(), 20 + PATIENCE);
        assert_eq!(rig.over(19 + PATIENCE), None);
        assert_eq!(rig.over(20 + PATIENCE), Some((vec![], Some("timeout".to_owned()))));
        let mut rig = Rig::new(&v1);
        for (text, at) in [("hi", 5), ("two", 30), ("more", 500)] {
            rig.hears(SocketKind::Text, text.as_bytes(), at);
            rig.goes(at);
        }
        for _ in 0..3 {
            rig.hears(SocketKind::Ping, b"", 900);
            assert_eq!(rig.goes(900), ["pong"], "who only pings does not last for ever");
        }
        let all = ["hi", "two", "more"].map(str::to_owned).to_vec();
        assert_eq!(rig.over(40 + PATIENCE), Some((all, Some("timeout".to_owned()))));
        // It closes before its client is done, or behind that with less said.
        let mut rig = Rig::new(&v1);
        rig.hears(SocketKind::Close, &[3, 243], 4);
        assert_eq!(rig.goes(4), ["close"], "it is told that its close came");
        assert_eq!(rig.over(4).unwrap().1, Some("closed".to_owned()));
        let mut rig = Rig::new(&v1);
        rig.hears(SocketKind::Text, b"hi", 5);
        assert_eq!(rig.goes(30), ["one"]);
        rig.hears(SocketKind::Close, &[3, 243], 31);
        rig.goes(31);
        assert_eq!(rig.over(31).unwrap().1, None, "what it did not say is a difference");
        // Its connection ends.
        let mut rig = Rig::new(&v1);
        let end = rig.play.end("closed by v2").unwrap().failure.unwrap();
        assert!(end.kind == FailureKind::Closed && end.detail.contains("to come: 1 of its client"));
        // It breaks the protocol.
        let mut rig = Rig::new(&v1);
        assert!(rig.play.hear(&mut &[0x91, 0][..], 3));
        assert_eq!(rig.over(3), Some((vec![], Some("protocol".to_owned()))));
    }

    #[test]
    fn a_word_whose_values_are_not_there_is_not_v2s_doing() {
        let mut rig = Rig::new(&recorded(&["c one"]));
        let gates = Arc::new(SocketGates::new([0].into_iter(), [].into_iter()));
        let (binder, _) = mpsc::channel();
        let of = (TargetSide::Target, ReplayId::default());
        rig.play.tie(Some(SocketTies { gates: Arc::clone(&gates), binder }), of);
        assert_eq!(rig.goes(20), [""; 0], "nobody has filled it");
        assert!(rig.play.wake(PATIENCE + 20).is_none(), "who fills it has as long again");
        let failure = rig.play.wake(2 * PATIENCE + 20).and_then(|answer| answer.failure);
        let told = failure.map(|failure| (failure.kind, failure.owner));
        assert_eq!(told, Some((FailureKind::Timeout, Some(Owner::Replayer))));
        let mut rig = Rig::new(&recorded(&["c one"]));
        gates.gate(0).unwrap().open(TargetSide::Target, Ready::default());
        let (binder, _) = mpsc::channel();
        rig.play.tie(Some(SocketTies { gates, binder }), of);
        assert_eq!(rig.goes(20), ["one"]);
    }

    #[test]
    fn more_than_v1_said_counts_where_v1_was_silent_for_as_long() {
        let v1 = recorded(&["c one", "s two", "c close", "s close"]);
        let kept = |at: &[i64]| {
            let mut rig = Rig::new(&v1);
            rig.goes(10);
            at.iter().for_each(|&at| rig.hears(SocketKind::Text, b"x", at));
            rig.goes(40);
            rig.hears(SocketKind::Text, b"crossed the close", 41);
            rig.hears(SocketKind::Close, &[3, 232], 42);
            rig.goes(42);
            rig.over(42).unwrap().0.len() - 1
        };
        assert_eq!(kept(&[20]), 1);
        assert_eq!(kept(&[20, 29]), 2, "v1 had been silent for 10 ns");
        assert_eq!(kept(&[20, 30]), 1, "what it would have said later is not known");
    }

    #[test]
    fn who_does_not_take_the_key_opens_nothing() {
        let accept = |value| [("upgrade", "websocket"), ("sec-websocket-accept", value)];
        for (answer, what) in [
            (response(&accept("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")[..1]), "no sec-websocket-accept"),
            (response(&accept("AAAALMBiTxaQ9kYGzzhZRbK+xOo=")), "is not that of"),
            (response(&[("upgrade", "h2c")]), "something else"),
        ] {
            assert!(accepts(REQUEST, &answer).unwrap_err().contains(what));
        }
        assert_eq!(accepts(REQUEST, &accepted()), Ok(()));
        assert_eq!(accepts(b"GET / HTTP/1.1\r\n\r\n", &accepted()), Ok(()), "it had none");
    }

    proptest! {
        /// No word goes before its time, nor before v2 has said as much as v1 had; each goes once,
        /// in order; and a v2 that says as much as v1, whenever it does, is heard to the end.
        #[test]
        fn the_order_of_a_session_is_kept(
            steps in prop::collection::vec(any::<bool>(), 0..30),
            pauses in prop::collection::vec(0..400_i64, 30),
        ) {
            let texts: Vec<String> = (0..).zip(&steps)
                .map(|(n, up)| format!("{} {n}", if *up { "c" } else { "s" }))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let messages = recorded(&texts);
            let mut rig = Rig::new(&messages);
            let (mut now, mut sent, mut heard) = (2, Vec::new(), 0_u32);
            let mut answers = messages.iter().filter(|m| m.direction == Direction::ToClient);
            for pause in pauses {
                now += pause;
                for word in rig.goes(now) {
                    let place: usize = word.parse().unwrap();
                    prop_assert!(messages[place].at_ns <= now);
                    let to_client = |m: &&SocketMessage| m.direction == Direction::ToClient;
                    let had = messages[..place].iter().filter(to_client);
                    prop_assert!(had.count() as u32 <= heard);
                    sent.push(place);
                }
                if let Some(answer) = answers.next() {
                    rig.hears(SocketKind::Text, &answer.data.bytes, now);
                    heard += 1;
                }
            }
            now += 400;
            sent.extend(rig.goes(now).into_iter().map(|word| word.parse::<usize>().unwrap()));
            let all: Vec<usize> = (0..steps.len()).filter(|&place| steps[place]).collect();
            prop_assert_eq!(sent, all);
            let (said, failure) = rig.over(now).unwrap();
            prop_assert_eq!(failure, None);
            prop_assert_eq!(said.len() as u32, heard);
        }
    }
}
