//! The replay's clock: nanoseconds since its start on the monotonic clock, and how a worker waits
//! for an instant.
//!
//! Waiting is a `timerfd` set to the absolute instant in the worker's `epoll`: no rounding to
//! milliseconds, no timer slack, and sockets wake it as well. The last stretch before a due time is
//! spun, since waking up costs tens of microseconds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::time::{Monotonic, NANOS_PER_SEC};

/// The zero of all `_ns` of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) struct Clock {
    start: Monotonic,
}

impl Clock {
    pub(in crate::replay) const fn starting_at(start: Monotonic) -> Self {
        Self { start }
    }

    /// Nanoseconds since the start; negative before it.
    pub(in crate::replay) fn now(self) -> i64 {
        Monotonic::now().since(self.start)
    }
}

/// An alarm for a worker's `epoll`.
pub(in crate::replay) struct Alarm {
    fd: OwnedFd,
    clock: Clock,
    /// When it is set to ring; none where it is not set.
    set: Option<i64>,
}

impl Alarm {
    pub(in crate::replay) fn new(clock: Clock) -> io::Result<Self> {
        let fd = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self { fd, clock, set: None })
    }

    /// Sets it to an instant of the replay's clock; one that has passed rings at once.
    pub(in crate::replay) fn set(&mut self, at: i64) -> io::Result<()> {
        if self.set == Some(at) {
            return Ok(());
        }
        // All zero would turn the timer off.
        let nanos = self.clock.start.plus(at).nanos().max(1);
        let value = Timespec { tv_sec: nanos / NANOS_PER_SEC, tv_nsec: nanos % NANOS_PER_SEC };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::time::timerfd_settime(
            &self.fd,
            TimerfdTimerFlags::ABSTIME,
            &Itimerspec { it_interval: never, it_value: value },
        )?;
        self.set = Some(at);
        Ok(())
    }

    /// It rang: it is not set any more. Gives the instant for which it was.
    pub(in crate::replay) fn rang(&mut self) -> Option<i64> {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.fd, &mut count);
        self.set.take()
    }
}

/// How long before a due time a worker is awake: as long as all but one of a hundred wake-ups take
/// on this machine, which is a few microseconds on some and a hundred on others (virtual ones,
/// whose processors are put to sleep by their host).
#[derive(Clone, Copy, Debug)]
pub(in crate::replay) struct Margin(i64);

impl Margin {
    /// Bounds of it: what is spun at most, for each request.
    const LEAST_NS: i64 = 20_000;
    pub(in crate::replay) const MOST_NS: i64 = 200_000;
    /// By so much it grows for a wake-up that took longer, and shrinks for a hundred that did not:
    /// one that took very long says no more than another.
    const STEP_NS: i64 = 10_000;

    pub(in crate::replay) const fn new() -> Self {
        Self(100_000)
    }

    pub(in crate::replay) const fn ns(self) -> i64 {
        self.0
    }

    /// A wake-up came so late.
    pub(in crate::replay) fn woke(&mut self, late: i64) {
        let change = if late > self.0 { Self::STEP_NS * 99 / 100 } else { -Self::STEP_NS / 100 };
        self.0 = (self.0 + change).clamp(Self::LEAST_NS, Self::MOST_NS);
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
            assert_eq!(alarm.rang(), Some(at));
        }
        assert_eq!(alarm.rang(), None);
    }

    #[test]
    fn the_margin_covers_all_but_one_wake_up_of_a_hundred() {
        let mut margin = Margin::new();
        // Fifty microseconds and up, evenly to a hundred and fifty; and stalls, which are rarer
        // than one of a hundred.
        let mut below = 0;
        for n in 0..200_000i64 {
            let late = if n % 1_000 == 0 { 5_000_000 } else { 50_000 + n * 7_919 % 100_000 };
            below += i64::from(late <= margin.ns() && n >= 100_000);
            margin.woke(late);
        }
        assert!((98_500..=99_500).contains(&below), "{below}");
        (0..100_000).for_each(|_| margin.woke(3_000));
        assert_eq!(margin.ns(), Margin::LEAST_NS);
        (0..100_000).for_each(|_| margin.woke(1_000_000));
        assert_eq!(margin.ns(), Margin::MOST_NS);
    }
}
