//! Reads whole records of a session: what is clear, what the keys open, and what that says.

use super::handshake::HandshakeRead;
use super::opener::{HEADER, OpenedRecord, TlsVersion};
use super::session::{Plaintext, TlsConnection, direction};
use super::side::{KeyPhase, content};
use crate::wire::Ending;
use crate::wire::PacketMark;

impl TlsConnection {
    /// Reads a whole record; false where it must wait for a key or for the other direction.
    pub(super) fn record(
        &mut self,
        side: usize,
        record: &mut [u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) -> bool {
        match self.sides[side].phase {
            KeyPhase::Clear => self.clear(side, record, mark, out),
            // RFC 8446 §5: a ChangeCipherSpec of TLS 1.3 says nothing.
            _ if record[0] == content::CHANGE_CIPHER_SPEC && self.is_13() => true,
            KeyPhase::Wait => false,
            KeyPhase::Early | KeyPhase::Handshake | KeyPhase::Data => {
                self.sealed(side, record, mark, out);
                true
            }
        }
    }

    pub(super) fn is_13(&self) -> bool {
        self.version == Some(TlsVersion::Tls13)
    }

    fn clear(
        &mut self,
        side: usize,
        record: &mut [u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) -> bool {
        match record[0] {
            content::CHANGE_CIPHER_SPEC if self.server_hello.is_some() => self.start_epoch(side),
            content::CHANGE_CIPHER_SPEC => {}
            content::DATA => return self.sealed_too_soon(side),
            kind => {
                let all = OpenedRecord { start: HEADER, end: record.len() };
                self.content(side, kind, &record[all.start..all.end], mark, out);
            }
        }
        true
    }

    /// Sealed data where nothing said so yet: early data, whose suite the server's hello tells, or
    /// a hello that is missing.
    fn sealed_too_soon(&mut self, side: usize) -> bool {
        // Early data before a second ClientHello is not read by anybody.
        self.retry && side == self.client
    }

    fn sealed(
        &mut self,
        side: usize,
        record: &mut [u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        let state = &mut self.sides[side];
        let Some(epoch) = &mut state.epoch else { return };
        if epoch.tentative {
            return self.sealed_maybe(side, record, mark, out);
        }
        match epoch.opener.open(state.number, record) {
            Some((kind, opened)) => {
                state.number += 1;
                self.opened += 1;
                self.content(side, kind, &record[opened.start..opened.end], mark, out);
            }
            None => {
                self.failed += 1;
                state.lose(record.len() as u64);
            }
        }
    }

    /// Opens a record where the key that holds may start later.
    fn sealed_maybe(
        &mut self,
        side: usize,
        record: &[u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        let mut copy = record.to_vec();
        let state = &mut self.sides[side];
        let Some(epoch) = &mut state.epoch else { return };
        match epoch.opener.open(state.number, &mut copy) {
            Some((kind, opened)) => {
                epoch.tentative = false;
                state.number += 1;
                self.opened += 1;
                self.content(side, kind, &copy[opened.start..opened.end], mark, out);
            }
            None => self.failed += 1,
        }
    }

    /// What a record holds, once it is open.
    pub(super) fn content(
        &mut self,
        side: usize,
        kind: u8,
        text: &[u8],
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        match kind {
            content::DATA => self.data(side, text, mark, out),
            content::HANDSHAKE => self.handshake(side, text),
            content::CHANGE_CIPHER_SPEC => self.start_epoch(side),
            content::ALERT => self.alert(side, text, out),
            _ => {}
        }
    }

    fn alert(&mut self, side: usize, text: &[u8], out: &mut impl Plaintext) {
        // Level, and what it is: 0 is close_notify (RFC 8446 §6.1).
        let ends = matches!(text, [_, 0]);
        if ends && !std::mem::replace(&mut self.sides[side].closed, true) {
            out.close(direction(side), Ending::Closed);
        }
    }

    fn data(&mut self, side: usize, text: &[u8], mark: PacketMark, out: &mut impl Plaintext) {
        let ack = mark.ack.map(|ack| self.sides[1 - side].acks.plain(ack));
        let state = &mut self.sides[side];
        if text.is_empty() || state.closed {
            return;
        }
        if state.phase == KeyPhase::Early {
            (self.early_until, self.news) = (Some(mark.at), true);
        }
        state.plain += text.len() as u64;
        state.acks.push(state.position, state.plain);
        self.tell(out);
        out.bytes(direction(side), text, PacketMark { ack, ..mark });
    }

    fn handshake(&mut self, side: usize, text: &[u8]) {
        let mut messages = std::mem::take(&mut self.sides[side].messages);
        messages.read(text, |read| match read {
            HandshakeRead::Passed(octets) => self.transcript.add(octets),
            HandshakeRead::Message(kind, body) => self.message(side, kind, body),
        });
        self.sides[side].messages = messages;
    }

    /// A record of this length cannot be read: a part of it is missing.
    pub(super) fn damaged(
        &mut self,
        side: usize,
        length: u64,
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        let state = &mut self.sides[side];
        state.buffer.clear();
        state.messages.lose();
        if state.phase > KeyPhase::Clear {
            state.number += 1;
        }
        let overhead = state.overhead();
        if state.phase == KeyPhase::Data {
            self.missing(side, length.saturating_sub(overhead), mark, out);
        }
    }

    /// Tells that plaintext is missing.
    pub(super) fn missing(
        &mut self,
        side: usize,
        bytes: u64,
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        let state = &mut self.sides[side];
        if bytes == 0 || state.closed {
            return;
        }
        state.plain += bytes;
        state.acks.push(state.position, state.plain);
        self.tell(out);
        out.gap(direction(side), bytes, PacketMark { ack: None, ..mark });
    }

    /// Tells what the connection shows of itself, where that is news.
    fn tell(&mut self, out: &mut impl Plaintext) {
        if std::mem::take(&mut self.news) {
            out.shows(self.shown(), self.early_until);
        }
    }
}
