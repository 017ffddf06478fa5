//! How a worker is woken: by an `eventfd`, told which lanes are to be looked at.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::side::TargetSide;

/// A lane to be looked at, or what goes on its connections.
pub(super) struct Ring {
    pub(super) side: TargetSide,
    pub(super) lane: u64,
    pub(super) connections: bool,
}

/// A worker's door bell: which lanes are to be looked at, and the event that wakes it.
pub(super) struct Bell {
    pub(super) lanes: Sender<Ring>,
    pub(super) wake: Arc<OwnedFd>,
}

/// Wakes the worker that waits on this `eventfd`.
pub(super) fn wake(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1u64.to_ne_bytes());
}
