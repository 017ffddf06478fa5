//! What holds for all connections of a kind: the settings that are announced (RFC 9113 §6.5), and
//! the windows of flow control (§6.9).

use crate::exchange::ClientSettings;
use crate::limits;
use crate::schedule::pacing::Pacing;
use crate::wire::h2::frame;

/// The window that everybody begins with (RFC 9113 §6.9.2).
pub(super) const WINDOW: i64 = 65_535;

/// How much v2 may send before it is allowed more (RFC 9113 §6.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// What the client of the captured connection announced; where that is not known, as
    /// [`Self::Large`].
    #[default]
    Captured,
    /// What every client begins with: 64 KiB on a stream, and on the connection.
    Initial,
    /// So much that they never keep v2 waiting: 16 MiB on a stream, 64 MiB on the connection.
    Large,
}

impl Windows {
    /// What connections with these announce.
    pub(in crate::replay) fn rules(self, pacing: Pacing, max_body: usize) -> H2Rules {
        let (window, more) = match self {
            Self::Initial => (WINDOW as u32, 0),
            Self::Large | Self::Captured => (16 << 20, (64 << 20) - WINDOW as u32),
        };
        // No pushes: nobody asked for what they hold.
        let settings = vec![(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, window)];
        let (as_captured, frame) = (self == Self::Captured, frame::PAYLOAD);
        H2Rules { settings, window, topped_up: 0, more, frame, pacing, max_body, as_captured }
    }
}

/// Settings (RFC 9113 §6.5.2).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
/// What these can be at most (RFC 9113 §6.5.2).
pub(super) const LARGEST_WINDOW: i64 = i32::MAX as i64;
pub(super) const LARGEST_FRAME: u32 = (1 << 24) - 1;
/// With it gRPC's C core says that it takes binary metadata as it is, and not in base64 ("True
/// Binary Metadata", gRFC G1).
pub(super) const TRUE_BINARY: u16 = 0xfe03;

/// What holds for all connections of a kind.
#[derive(Clone, Debug)]
pub(in crate::replay) struct H2Rules {
    /// The settings that are announced.
    pub(in crate::replay) settings: Vec<(u16, u32)>,
    /// The window of each stream, as these announce it, and by how much each is enlarged at once
    /// where they announce less than everybody begins with.
    pub(in crate::replay) window: u32,
    pub(in crate::replay) topped_up: u32,
    /// By how much the window of the connection is larger than what everybody begins with.
    pub(in crate::replay) more: u32,
    /// Largest payload of a frame.
    pub(in crate::replay) frame: usize,
    /// When parts of a request are due.
    pub(in crate::replay) pacing: Pacing,
    /// Most bytes that are kept of an answer's body.
    pub(in crate::replay) max_body: usize,
    /// What the captured client announced is announced again.
    pub(in crate::replay) as_captured: bool,
}

impl H2Rules {
    /// The same for a connection whose client `announced` this, as far as that is known; `as_core`:
    /// it was gRPC's C core.
    pub(in crate::replay) fn speaking(
        &self,
        announced: Option<&ClientSettings>,
        as_core: bool,
    ) -> Self {
        let mut rules = self.clone();
        match announced.filter(|_| self.as_captured) {
            Some(announced) => rules.announce(announced),
            None if as_core => rules.settings.push((TRUE_BINARY, 1)),
            None => {}
        }
        rules
    }

    /// Announces the same, but for pushes: nobody asked for what they hold.
    fn announce(&mut self, announced: &ClientSettings) {
        let (mut window, mut frame) = (WINDOW as u32, frame::PAYLOAD as u32);
        self.settings.clear();
        for &(name, value) in &announced.values {
            let value = match name {
                HEADER_TABLE_SIZE => value.min(limits::HPACK_TABLE_BYTES as u32),
                ENABLE_PUSH => 0,
                INITIAL_WINDOW_SIZE => value.min(LARGEST_WINDOW as u32),
                MAX_FRAME_SIZE => value.clamp(frame::PAYLOAD as u32, LARGEST_FRAME),
                _ => value,
            };
            match name {
                INITIAL_WINDOW_SIZE => window = value,
                MAX_FRAME_SIZE => frame = value,
                _ => {}
            }
            self.settings.push((name, value));
        }
        if self.settings.iter().all(|&(name, _)| name != ENABLE_PUSH) {
            self.settings.push((ENABLE_PUSH, 0));
        }
        // A client that announces less enlarges the windows of streams as it goes, which nobody
        // could do for it: v2 would wait for us.
        self.topped_up = (WINDOW as u32).saturating_sub(window);
        self.window = window + self.topped_up;
        self.more = announced.window.min((LARGEST_WINDOW - WINDOW) as u32);
        self.frame = frame as usize;
    }
}
