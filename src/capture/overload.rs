//! Load shedding: what to let go of where live packets come faster than exchanges can be made of
//! them. A share of the connections goes, each as a whole, so that the others lose nothing. Without
//! it the kernel would drop packets of all of them, and damage most exchanges.
//!
//! The controller is a pure function of what it is told. It raises the share by a quarter of what
//! is still followed while the backlog grows, and lowers it by a sixteenth of all while there is
//! none: quick to give room, slow to take it back. It is asked by live sources alone; what is made
//! of a file never depends on how fast that goes.

/// Parts that the connections are divided into, by their hash.
const PARTS: u16 = 256;
/// The most that is let go of: something of the traffic is always recorded.
const MOST: u16 = PARTS - 4;
/// How much the share sinks by when it was calm for long enough.
const EASE: u16 = PARTS / 16;

/// A share of all connections, chosen by their hash. A larger share holds all that a smaller one
/// holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// No connection.
    pub const NONE: Self = Self(0);

    /// The share of `parts` in 256.
    pub fn of(parts: u16) -> Self {
        Self(parts.min(MOST))
    }

    /// Whether a connection with this (keyed) hash is among them.
    pub fn takes(self, hash: u64) -> bool {
        // Neither the bits that tables use nor the uppermost ones.
        (hash >> 40) as u16 % PARTS < self.0
    }

    /// In percent of all connections.
    pub fn percent(self) -> f64 {
        f64::from(self.0) * 100.0 / f64::from(PARTS)
    }
}

/// What a look at the capture shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadSeen {
    /// Nanoseconds since the packets that are next were captured.
    pub lag_ns: i64,
    /// Whether the queue between the reader and the parser is at least half full.
    pub crowded: bool,
    /// Packets that the kernel has dropped since the capture began.
    pub dropped: u64,
}

/// When the controller acts, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadBounds {
    /// A lag beyond this, with a crowded queue, is too much.
    pub late_ns: i64,
    /// A lag below this is none. The kernel keeps packets for a tenth of a second to hand over more
    /// at once.
    pub calm_ns: i64,
    /// Time from one look to the next.
    pub look_ns: i64,
    /// Time without a lag before the share sinks, and between two times that it does.
    pub ease_ns: i64,
}

impl Default for OverloadBounds {
    fn default() -> Self {
        Self {
            late_ns: 500_000_000,
            calm_ns: 250_000_000,
            look_ns: 100_000_000,
            ease_ns: 2_000_000_000,
        }
    }
}

/// Decides which share of the connections is let go of.
#[derive(Clone, Debug)]
pub struct Controller {
    bounds: OverloadBounds,
    share: Share,
    last: LoadSeen,
    /// Whether it was too late at the last look: a single stall of the disk is no overload.
    was_late: bool,
    looked: i64,
    calm_since: i64,
}

impl Controller {
    /// One that has seen nothing yet.
    pub fn new(bounds: OverloadBounds) -> Self {
        Self {
            bounds,
            share: Share::NONE,
            last: LoadSeen::default(),
            was_late: false,
            looked: i64::MIN,
            calm_since: 0,
        }
    }

    /// The share from now on; `now` is in nanoseconds of a clock that is never set.
    pub fn look(&mut self, now: i64, load: LoadSeen) -> Share {
        if now.saturating_sub(self.looked) < self.bounds.look_ns {
            return self.share;
        }
        self.looked = now;
        let late = load.crowded && load.lag_ns > self.bounds.late_ns;
        let growing = late && self.was_late && load.lag_ns >= self.last.lag_ns;
        // Where the queue is empty the parser is not what packets are lost by.
        let losing = load.crowded && load.dropped > self.last.dropped;
        if growing || losing {
            let followed = PARTS - self.share.0;
            self.share = Share::of(self.share.0 + followed.div_ceil(4));
        }
        if late || losing || load.lag_ns > self.bounds.calm_ns {
            self.calm_since = now;
        } else if now.saturating_sub(self.calm_since) >= self.bounds.ease_ns {
            self.share = Share(self.share.0.saturating_sub(EASE));
            self.calm_since = now;
        }
        (self.last, self.was_late) = (load, late);
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn load(lag_ms: i64, crowded: bool, dropped: u64) -> LoadSeen {
        LoadSeen { lag_ns: lag_ms * MS, crowded, dropped }
    }

    /// The shares, in parts, at looks a tenth of a second apart.
    fn shares(loads: &[LoadSeen]) -> Vec<u16> {
        let mut controller = Controller::new(OverloadBounds::default());
        loads
            .iter()
            .enumerate()
            .map(|(n, &load)| controller.look(n as i64 * 100 * MS, load).0)
            .collect()
    }

    #[test]
    fn a_growing_backlog_is_answered_at_once_and_a_shrinking_one_waited_for() {
        let growing = [0, 600, 700, 800, 900].map(|lag| load(lag, true, 0));
        assert_eq!(shares(&growing), [0, 0, 64, 112, 148]);
        let shrinking = [600, 700, 650, 600, 550, 400, 300].map(|lag| load(lag, true, 0));
        assert_eq!(shares(&shrinking), [0, 64, 64, 64, 64, 64, 64]);
    }

    #[test]
    fn neither_a_stall_nor_a_clock_that_was_set_nor_a_queue_of_small_batches_is_an_overload() {
        assert_eq!(
            shares(&[load(0, false, 0), load(900, true, 0), load(300, true, 0), load(0, false, 0)]),
            [0; 4]
        );
        assert_eq!(
            shares(&[
                load(3_600_000, false, 0),
                load(3_600_000, false, 0),
                load(3_600_001, false, 0)
            ]),
            [0; 3]
        );
        assert_eq!(shares(&[load(120, true, 0); 5]), [0; 5]);
        // Lost by a ring that is too small, while the parser waits for work.
        assert_eq!(shares(&[load(50, false, 10), load(50, false, 99)]), [0; 2]);
    }

    #[test]
    fn packets_that_the_kernel_drops_of_a_crowded_capture_are_answered_without_waiting() {
        assert_eq!(
            shares(&[load(200, true, 0), load(200, true, 7), load(200, true, 7)]),
            [0, 64, 64]
        );
    }

    #[test]
    fn the_share_is_bounded_and_sinks_to_nothing_when_it_is_calm_for_long() {
        let mut loads = vec![load(5_000, true, 0); 60];
        assert_eq!(*shares(&loads).last().unwrap(), MOST);
        // In between it neither rises nor sinks.
        loads.extend([load(300, true, 0); 100]);
        assert_eq!(*shares(&loads).last().unwrap(), MOST);
        loads.extend([load(50, false, 0); 15]);
        assert_eq!(*shares(&loads).last().unwrap(), MOST, "calm for less than two seconds");
        loads.extend([load(50, false, 0); 400]);
        let all = shares(&loads);
        assert_eq!(*all.last().unwrap(), 0);
        let falls = all[160..].windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert_eq!(falls, usize::from(MOST.div_ceil(EASE)));
    }

    #[test]
    fn looks_in_between_change_nothing() {
        let mut controller = Controller::new(OverloadBounds::default());
        for n in 0..90 {
            assert_eq!(controller.look(n * MS, load(900 + n, true, n as u64)), Share::NONE);
        }
    }

    #[test]
    fn a_larger_share_holds_the_smaller_one_and_takes_what_it_says() {
        let mut state = 1_u64;
        let hashes: Vec<u64> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state ^ (state >> 29)
        })
        .take(20_000)
        .collect();
        let taken = |share: Share| hashes.iter().filter(|&&hash| share.takes(hash)).count();
        assert_eq!(taken(Share::NONE), 0);
        let half = Share::of(128);
        assert!((9_500..10_500).contains(&taken(half)), "{}", taken(half));
        assert!(hashes.iter().all(|&hash| !half.takes(hash) || Share::of(180).takes(hash)));
        assert_eq!((half.percent(), Share::of(1_000).0), (50.0, MOST));
    }
}
