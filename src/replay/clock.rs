//! The replay's clock: nanoseconds since its start on the monotonic clock, and how a worker waits for an instant.
//!
//! Waiting is a `timerfd` set to the absolute instant in the worker's `epoll`: no rounding to milliseconds, no timer slack,
//! and sockets wake it as well. The last stretch before a due time is spun, since waking up costs tens of microseconds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::time::{Monotonic, NANOS_PER_SEC};

/// The zero of all `_ns` of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    start: Monotonic,
}

impl Clock {
    pub(super) const fn starting_at(start: Monotonic) -> Self {
        Self { start }
    }

    /// Nanoseconds since the start; negative before it.
    pub(super) fn now(self) -> i64 {
        Monotonic::now().since(self.start)
    }
}

/// An alarm for a worker's `epoll`.
pub(super) struct Alarm {
    fd: OwnedFd,
    clock: Clock,
    /// When it is set to ring; none where it is not set.
    set: Option<i64>,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> io::Result<Self> {
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { fd, clock, set: None })
    }

    /// Sets it to an instant of the replay's clock; one that has passed rings at once.
    pub(super) fn set(&mut self, at: i64) -> io::Result<()> {
        if self.set == Some(at) {
            return Ok(());
        }
        // All zero would turn the timer off.
        let nanos = self.clock.start.plus(at).nanos().max(1);
        let value = Timespec { tv_sec: nanos / NANOS_PER_SEC, tv_nsec: nanos % NANOS_PER_SEC };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval: never, it_value: value })?;
        self.set = Some(at);
        Ok(())
    }

    /// It rang: it is not set any more.
    pub(super) fn rang(&mut self) {
        self.set = None;
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.fd, &mut count);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn the_alarm_does_not_ring_early() {
        let clock = Clock::starting_at(Monotonic::now());
        let mut alarm = Alarm::new(clock).unwrap();
        for at in [3_000_000, 3_000_000, 0, 5_000_000] {
            alarm.set(at).unwrap();
            let mut fds = [PollFd::new(&alarm, PollFlags::IN)];
            poll(&mut fds, None).unwrap();
            assert!(clock.now() >= at);
            alarm.rang();
        }
    }
}
