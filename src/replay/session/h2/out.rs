//! Frames that are to be written, as octets.

use crate::wire::h2::frame::{self, flag, kind};

/// Octets of a frame's head, and where its flags stand.
const HEAD: usize = 9;
const FLAGS: usize = 4;

/// What is to be written.
#[derive(Default)]
pub(super) struct StreamOut {
    octets: Vec<u8>,
    at: usize,
}

impl StreamOut {
    /// Where frames are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// How many octets were not written.
    pub(super) fn left(&self) -> usize {
        self.octets.len() - self.at
    }

    /// They themselves.
    pub(super) fn rest(&self) -> &[u8] {
        &self.octets[self.at..]
    }

    /// So many were written.
    pub(super) fn wrote(&mut self, n: usize) {
        self.at += n;
        if self.at >= self.octets.len() {
            self.clear();
        }
    }

    /// Nothing more is to be written.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.at = 0;
    }

    /// Appends the head of a frame of content, whose `n` octets follow; gives where it stands.
    pub(super) fn begin_data(&mut self, stream: u32, n: usize) -> usize {
        let at = self.octets.len();
        frame::write(&mut self.octets, kind::DATA, 0, stream, &[]);
        self.octets[at..at + 3].copy_from_slice(&(n as u32).to_be_bytes()[1..]);
        at
    }

    /// Lets the frame at `at` end its stream.
    pub(super) fn end_stream(&mut self, at: usize) {
        self.octets[at + FLAGS] |= flag::END_STREAM;
    }

    /// Takes back the frame at `at`, which has no content and is the last.
    pub(super) fn take_back(&mut self, at: usize) {
        debug_assert_eq!(self.octets.len(), at + HEAD, "it is the last, and empty");
        self.octets.truncate(at);
    }

    pub(super) fn window_update(&mut self, stream: u32, more: u32) {
        frame::write(&mut self.octets, kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    }

    pub(super) fn reset(&mut self, stream: u32, code: u32) {
        frame::write(&mut self.octets, kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    pub(super) fn acknowledge(&mut self, kind: u8, payload: &[u8]) {
        frame::write(&mut self.octets, kind, flag::ACK, 0, payload);
    }
}
