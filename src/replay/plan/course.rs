//! The course of a WebSocket as it stands in the spool, right behind the request that opens it:
//! what its client says, when, and behind how much of what its server said.

use std::io;

use crate::exchange::socket::{SocketEnd, SocketSession};
use crate::exchange::{SocketKind, SocketMessage};
use crate::flow::Direction;
use crate::message::Body;
use crate::replay::plan::spool::Spool;
use crate::varint::fixed;

/// Something that the client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) struct CourseWord {
    pub(in crate::replay) kind: SocketKind,
    /// Nanoseconds since the request's first byte, in captured time.
    pub(in crate::replay) at: i64,
    /// How many messages of the server its client had.
    pub(in crate::replay) had: u32,
    /// How many bytes it is long, in the spool behind those before it.
    pub(in crate::replay) length: u32,
}

/// A course.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Course {
    /// What the client says, in order.
    pub(in crate::replay) words: Vec<CourseWord>,
    /// How many messages v1 sent, up to the end.
    pub(in crate::replay) answers: u32,
    /// Who ended the session, and when.
    pub(in crate::replay) end: SocketEnd,
    pub(in crate::replay) ended_at: i64,
    /// For how long nobody had said anything when the client ended it.
    pub(in crate::replay) quiet: i64,
    /// Where the bytes of the first word stand.
    pub(in crate::replay) content: u64,
}

const HEAD_BYTES: usize = 4 + 4 + 1 + 8 + 8;
const WORD_BYTES: usize = 1 + 8 + 4 + 4;
const KINDS: [SocketKind; 4] =
    [SocketKind::Text, SocketKind::Binary, SocketKind::Close, SocketKind::Ping];
const ENDS: [SocketEnd; 3] = [SocketEnd::Open, SocketEnd::Server, SocketEnd::Client];

/// Appends the course of a session.
pub(in crate::replay) fn write(out: &mut Vec<u8>, session: SocketSession<'_>) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    out.extend_from_slice(&count(session.words().count()).to_be_bytes());
    out.extend_from_slice(&count(session.answers().count()).to_be_bytes());
    out.push(ENDS.iter().position(|end| *end == session.end).unwrap_or_default() as u8);
    out.extend_from_slice(&session.ended_ns().to_be_bytes());
    out.extend_from_slice(&session.quiet_ns().to_be_bytes());
    for word in session.words() {
        let message = word.message;
        out.push(KINDS.iter().position(|kind| *kind == message.kind).unwrap_or_default() as u8);
        out.extend_from_slice(&message.at_ns.to_be_bytes());
        out.extend_from_slice(&word.had.to_be_bytes());
        out.extend_from_slice(&count(message.data.bytes.len()).to_be_bytes());
    }
    session.words().for_each(|word| out.extend_from_slice(&word.message.data.bytes));
}

impl Course {
    /// Reads the course that begins at `offset`, without the bytes of its words.
    pub(in crate::replay) fn read(spool: &Spool, offset: u64) -> io::Result<Self> {
        Self::read_up_to(spool, offset, u32::MAX)
    }

    /// The same of the first `most` words alone.
    pub(in crate::replay) fn read_up_to(spool: &Spool, offset: u64, most: u32) -> io::Result<Self> {
        let mut head = [0; HEAD_BYTES];
        spool.read_at(&mut head, offset)?;
        let input = &mut &head[..];
        let count = u32::from_be_bytes(get(input));
        let mut course = Self {
            answers: u32::from_be_bytes(get(input)),
            end: ENDS[usize::from(get::<1>(input)[0]).min(ENDS.len() - 1)],
            ended_at: i64::from_be_bytes(get(input)),
            quiet: i64::from_be_bytes(get(input)),
            ..Self::default()
        };
        let known = count.min(most);
        let mut words = vec![0; known as usize * WORD_BYTES];
        let behind = offset + HEAD_BYTES as u64;
        spool.read_at(&mut words, behind)?;
        course.content = behind + u64::from(count) * WORD_BYTES as u64;
        let input = &mut &words[..];
        course.words = (0..known)
            .map(|_| CourseWord {
                kind: KINDS[usize::from(get::<1>(input)[0]).min(KINDS.len() - 1)],
                at: i64::from_be_bytes(get(input)),
                had: u32::from_be_bytes(get(input)),
                length: u32::from_be_bytes(get(input)),
            })
            .collect();
        Ok(course)
    }

    /// What the client says, with its bytes.
    pub(in crate::replay) fn said(&self, spool: &Spool) -> io::Result<Vec<SocketMessage>> {
        let mut from = self.content;
        let word = |word: &CourseWord| {
            let mut bytes = vec![0; word.length as usize];
            spool.read_at(&mut bytes, from)?;
            from += u64::from(word.length);
            Ok(SocketMessage {
                direction: Direction::ToServer,
                at_ns: word.at,
                kind: word.kind,
                data: Body::whole(bytes),
            })
        };
        self.words.iter().map(word).collect()
    }
}

fn get<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    fixed(input).expect("records have a fixed length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::plan::spool::SpoolWriter;

    #[test]
    fn what_is_written_is_read_back() {
        let said = |direction, at_ns, kind, data: &'static str| SocketMessage {
            direction,
            at_ns,
            kind,
            data: Body::whole(data),
        };
        let (up, down) = (Direction::ToServer, Direction::ToClient);
        let messages = [
            said(down, 5, SocketKind::Text, "hello"),
            said(up, 10, SocketKind::Text, "one"),
            said(up, 20, SocketKind::Binary, "three"),
            said(up, 30, SocketKind::Ping, ""),
            said(up, 99, SocketKind::Close, "\u{3}\u{4}"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let mut spool = SpoolWriter::new(folder.path()).unwrap();
        spool.append(|out| out.extend_from_slice(b"a request")).unwrap();
        let place = spool.append(|out| write(out, SocketSession::said(&messages))).unwrap();
        let spool = spool.finish().unwrap();
        let course = Course::read(&spool, place.offset).unwrap();
        let told: Vec<_> =
            course.words.iter().map(|word| (word.kind.name(), word.at, word.had)).collect();
        let expected = [("text", 10, 1), ("binary", 20, 1), ("ping", 30, 1), ("close", 99, 1)];
        assert_eq!(told, expected);
        assert_eq!((course.answers, course.end), (1, SocketEnd::Client));
        assert_eq!((course.ended_at, course.quiet), (99, 79));
        assert_eq!(course.said(&spool).unwrap(), messages[1..]);
        let begun = Course::read_up_to(&spool, place.offset, 2).unwrap();
        assert_eq!(begun.said(&spool).unwrap(), messages[1..3], "the others' bytes stay behind");
    }
}
