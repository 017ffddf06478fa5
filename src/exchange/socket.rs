//! A WebSocket as an exchange has it: who ended the session, what its client said and when, and
//! what of the server's messages another server has to say as well.

pub mod list;

use crate::exchange::{Exchange, SocketKind, SocketMessage};
use crate::flow::Direction;
use crate::message::Headers;

/// What the marks of an exchange begin with that tell what is missing of its WebSocket.
pub const SOCKET_LACKS: &str = "websocket: ";

/// Who ended a session, by the first close frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocketEnd {
    /// Nobody: the capture ended before, or an end went away without a word.
    #[default]
    Open,
    /// The server.
    Server,
    /// The client.
    Client,
}

/// Something that a client said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketWord<'a> {
    /// What it says; never a pong, which only answers.
    pub message: &'a SocketMessage,
    /// How many messages of the server, without control frames, it had before that.
    pub had: u32,
}

/// A session, from the answer that opened it to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketSession<'a> {
    messages: &'a [SocketMessage],
    /// Who ended it.
    pub end: SocketEnd,
}

impl<'a> SocketSession<'a> {
    /// The session that an exchange of HTTP/1 opened (RFC 6455 §4.2.2), if it opened one.
    pub fn of(exchange: &'a Exchange) -> Option<Self> {
        let answer = &exchange.response.as_ref()?.message;
        let asked = exchange.request.as_ref().map(|request| &request.message.headers);
        let is_socket =
            answer.status == 101 && upgraded_to(asked, &answer.headers).is_some_and(is_name);
        let messages = exchange.carriage.as_ref().map_or(&[][..], |carriage| &carriage.messages);
        is_socket.then(|| Self::said(messages))
    }

    /// Of messages in the order in which they ended.
    pub fn said(messages: &'a [SocketMessage]) -> Self {
        let first = messages.iter().find(|message| message.kind == SocketKind::Close);
        let end = match first.map(|close| close.direction) {
            None => SocketEnd::Open,
            Some(Direction::ToServer) => SocketEnd::Client,
            Some(Direction::ToClient) => SocketEnd::Server,
        };
        Self { messages, end }
    }

    /// All messages.
    pub const fn messages(self) -> &'a [SocketMessage] {
        self.messages
    }

    /// Those up to the first close frame.
    fn before_end(self) -> &'a [SocketMessage] {
        let end = self.messages.iter().position(|message| message.kind == SocketKind::Close);
        &self.messages[..end.unwrap_or(self.messages.len())]
    }

    /// What its client said by itself: no pongs, and no close in answer to the server's.
    pub fn words(self) -> impl Iterator<Item = SocketWord<'a>> {
        let mut had = 0;
        let close = self.messages.get(self.before_end().len());
        let close = close.filter(|_| self.end == SocketEnd::Client);
        self.before_end().iter().chain(close).filter_map(move |message| {
            if message.direction == Direction::ToClient {
                had += u32::from(is_data(message));
                return None;
            }
            (message.kind != SocketKind::Pong).then_some(SocketWord { message, had })
        })
    }

    /// How many messages its client sent, control frames left out.
    pub fn sent(self) -> usize {
        self.words().filter(|word| is_data(word.message)).count()
    }

    /// The messages that its server sent while the session went on. What crossed the client's
    /// close on the way was not read by it, and no other server has to send it.
    pub fn answers(self) -> impl Iterator<Item = &'a SocketMessage> {
        let of_server =
            |message: &&SocketMessage| message.direction == Direction::ToClient && is_data(message);
        self.before_end().iter().filter(of_server)
    }

    /// The server's close frame, in answer to the client's or not.
    pub fn close(self) -> Option<&'a SocketMessage> {
        let is_close = |message: &&SocketMessage| {
            message.direction == Direction::ToClient && message.kind == SocketKind::Close
        };
        self.messages.iter().find(is_close)
    }

    /// When it ended as far as it is known, in nanoseconds since the request's first byte.
    pub fn ended_ns(self) -> i64 {
        let close = self.messages.get(self.before_end().len());
        let last = close.or_else(|| self.messages.last());
        last.map_or(0, |message| message.at_ns)
    }

    /// For how long nobody had said anything when its client ended it; nothing where it did not.
    pub fn quiet_ns(self) -> i64 {
        let last = self.before_end().iter().rfind(|message| is_data(message));
        match self.end {
            SocketEnd::Client => self.ended_ns() - last.map_or(0, |message| message.at_ns),
            SocketEnd::Open | SocketEnd::Server => 0,
        }
    }
}

impl SocketMessage {
    /// The code of a close frame; 1005 stands for none (RFC 6455 §7.1.5).
    pub fn close_code(&self) -> u16 {
        match self.data.bytes[..] {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 1005,
        }
    }

    /// The reason in a close frame.
    pub fn close_reason(&self) -> String {
        String::from_utf8_lossy(self.data.bytes.get(2..).unwrap_or_default()).into_owned()
    }
}

/// Whether it is what the two ends have to say, and no control frame.
pub fn is_data(message: &SocketMessage) -> bool {
    message.kind.is_data()
}

/// What a recorded 101 leads to. Some do not say (Jetty's to HTTP/2): to what was asked for. A
/// server that is asked for a WebSocket in a replay must say so (RFC 6455 §4.1).
pub fn upgraded_to<'h>(asked: Option<&'h Headers>, answered: &'h Headers) -> Option<&'h [u8]> {
    answered.get("upgrade").or_else(|| asked?.get("upgrade"))
}

/// Whether an `Upgrade` field names the protocol.
pub fn is_name(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"websocket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    fn message(text: &str, at_ns: i64) -> SocketMessage {
        let (from, said) = text.split_once(' ').expect("c or s, and what it says");
        let kind = match said {
            "ping" => SocketKind::Ping,
            "pong" => SocketKind::Pong,
            _ if said.starts_with("close") => SocketKind::Close,
            _ => SocketKind::Text,
        };
        let direction = if from == "c" { Direction::ToServer } else { Direction::ToClient };
        let data = if kind == SocketKind::Close { vec![3, 232] } else { said.into() };
        SocketMessage { direction, at_ns, kind, data: Body::whole(data) }
    }

    fn told(texts: &[&str]) -> (SocketEnd, Vec<String>, usize, i64) {
        let messages: Vec<_> = (0..).zip(texts).map(|(at, text)| message(text, at * 10)).collect();
        let session = SocketSession::said(&messages);
        let words = session.words().map(|SocketWord { message, had }| match message.kind {
            SocketKind::Text => {
                format!("{} after {had}", String::from_utf8_lossy(&message.data.bytes))
            }
            kind => format!("{} after {had}", kind.name()),
        });
        (session.end, words.collect(), session.answers().count(), session.quiet_ns())
    }

    #[test]
    fn a_client_speaks_behind_the_messages_that_it_had() {
        let (end, words, answers, quiet) = told(&[
            "s hello", "c a", "s ping", "c pong", "s 1", "s 2", "c b", "c ping", "s pong",
            "c close", "s late", "s close",
        ]);
        assert_eq!(end, SocketEnd::Client);
        assert_eq!(words, ["a after 1", "b after 3", "ping after 3", "close after 3"]);
        assert_eq!((answers, quiet), (3, 30), "what crossed the close was not read");
    }

    #[test]
    fn an_answer_to_a_close_is_no_word_of_its_own() {
        let (end, words, answers, quiet) = told(&["c a", "s 1", "s close", "c close"]);
        assert_eq!((end, answers, quiet), (SocketEnd::Server, 1, 0));
        assert_eq!(words, ["a after 0"]);
        let (end, words, answers, _) = told(&["s 1", "c a"]);
        assert_eq!((end, answers), (SocketEnd::Open, 1));
        assert_eq!(words, ["a after 1"]);
    }
}
