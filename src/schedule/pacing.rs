//! From captured time to due time: speed, ramp, loops, and the copies that `--multiply` makes.
//!
//! A due time is absolute: `start + (request time − first request time) / speed`, computed once
//! from the offset alone. Nothing is added up from gap to gap, so nothing drifts: a slow v2 cannot
//! slow its own load down, which would hide its latency (coordinated omission). All functions
//! keep order: a later offset is never due earlier.

use crate::time::NANOS_PER_SEC;

/// How fast the captured time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// That many captured seconds in a second; positive and finite.
    Factor(f64),
    /// Each lane sends as soon as it may.
    Max,
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
            Ok(factor) if factor.is_finite() && (1e-6..=1e6).contains(&factor) => {
                Ok(Self::Factor(factor))
            }
            _ => Err(format!("{text:?} is not a speed: write for example 1, 0.5, 10 or max")),
        }
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "{factor}"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// The wishes that turn offsets into due times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacing {
    /// How fast.
    pub speed: Speed,
    /// The rate rises linearly from nothing to the full one in this time; zero for none.
    pub ramp_ns: i64,
    /// How often the schedule is played, at least once.
    pub loops: u32,
    /// How many copies of each lane, at least one.
    pub multiply: u32,
    /// Copies after the first start later by a time between zero and this, so that a burst is not
    /// merely doubled at the same instant.
    pub jitter_ns: i64,
    /// Times without any request are cut to this, in captured nanoseconds; none are where it is
    /// not said.
    pub max_gap_ns: Option<i64>,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            speed: Speed::Factor(1.0),
            ramp_ns: 0,
            loops: 1,
            multiply: 1,
            jitter_ns: NANOS_PER_SEC,
            max_gap_ns: None,
        }
    }
}

impl Pacing {
    /// When `offset` (captured nanoseconds since the first request) is due, in nanoseconds since
    /// the start. With [`Speed::Max`] everything is due at once.
    pub fn due(&self, offset: i64) -> i64 {
        let Speed::Factor(speed) = self.speed else { return 0 };
        // A double holds integers exactly up to 2⁵³ ns, 104 days.
        let even = if speed == 1.0 { offset } else { (offset as f64 / speed).round() as i64 };
        if self.ramp_ns <= 0 || even <= 0 {
            return even;
        }
        // While the ramp lasts the pace at t is t/ramp, so t²/(2·ramp) of the schedule has passed
        // at t; after it, all of it comes half a ramp later.
        let half = self.ramp_ns / 2;
        if even >= half {
            even.saturating_add(half)
        } else {
            (2.0 * self.ramp_ns as f64 * even as f64).sqrt().round() as i64
        }
    }

    /// A length of captured time (a think time) at this speed.
    pub fn stretch(&self, nanos: i64) -> i64 {
        match self.speed {
            Speed::Factor(speed) => (nanos as f64 / speed).round() as i64,
            Speed::Max => 0,
        }
    }

    /// A length of real time in captured time: how far ahead in the capture one must look to be
    /// `nanos` early.
    pub fn captured(&self, nanos: i64) -> i64 {
        match self.speed {
            Speed::Factor(speed) => (nanos as f64 * speed).round() as i64,
            Speed::Max => 0,
        }
    }

    /// By how much captured time copy `copy` (from 0) of a lane starts later, from a hash of the
    /// lane and the copy.
    pub fn shift(&self, copy: u32, hash: u64) -> i64 {
        if copy == 0 || self.jitter_ns <= 0 {
            return 0;
        }
        let within = (u128::from(hash) * u128::from(self.jitter_ns.unsigned_abs())) >> 64;
        self.captured(i64::try_from(within).unwrap_or(i64::MAX))
    }

    /// The distance between two loops in captured time: the span and one mean gap, so that the rate
    /// does not stumble at the seam.
    pub fn period(&self, span: i64, requests: u64) -> i64 {
        let gaps = i64::try_from(requests.saturating_sub(1).max(1)).unwrap_or(i64::MAX);
        span.saturating_add((span / gaps).clamp(1, NANOS_PER_SEC))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pacing(speed: f64, ramp_ns: i64) -> Pacing {
        Pacing { speed: Speed::Factor(speed), ramp_ns, ..Pacing::default() }
    }

    #[test]
    fn due_times() {
        // (speed, ramp, offset) → due
        for (speed, ramp, offset, due) in [
            (1.0, 0, 1_234_567_891, 1_234_567_891),
            (2.0, 0, 1_000_000_001, 500_000_001),
            (0.5, 0, 3, 6),
            (1.0, 0, -40, -40),
            (5.0, 0, 86_400 * NANOS_PER_SEC, 17_280 * NANOS_PER_SEC),
            // A ramp of 10 s: after 2.5 s a thirty-second … of it: t² = 2·10·s.
            (1.0, 10 * NANOS_PER_SEC, NANOS_PER_SEC / 20, NANOS_PER_SEC),
            (1.0, 10 * NANOS_PER_SEC, 5 * NANOS_PER_SEC, 10 * NANOS_PER_SEC),
            (1.0, 10 * NANOS_PER_SEC, 60 * NANOS_PER_SEC, 65 * NANOS_PER_SEC),
            (2.0, 10 * NANOS_PER_SEC, 60 * NANOS_PER_SEC, 35 * NANOS_PER_SEC),
        ] {
            assert_eq!(
                pacing(speed, ramp).due(offset),
                due,
                "speed {speed}, ramp {ramp}, offset {offset}"
            );
        }
        assert_eq!(Pacing { speed: Speed::Max, ..Pacing::default() }.due(77), 0);
    }

    #[test]
    fn speeds_as_written() {
        for (text, speed) in [
            ("1", Speed::Factor(1.0)),
            ("0.25", Speed::Factor(0.25)),
            ("10x", Speed::Factor(10.0)),
            ("max", Speed::Max),
        ] {
            assert_eq!(text.parse(), Ok(speed), "{text}");
        }
        for text in ["", "0", "-1", "nan", "inf", "fast", "1e9"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }

    #[test]
    fn copies_are_spread_over_the_window_and_the_first_is_not_moved() {
        let pacing = Pacing { jitter_ns: 1_000, speed: Speed::Factor(2.0), ..Pacing::default() };
        assert_eq!(pacing.shift(0, u64::MAX), 0);
        assert_eq!(pacing.shift(1, 0), 0);
        assert_eq!(
            pacing.shift(1, 1 << 63),
            1_000,
            "half of the window, in captured time at speed 2"
        );
        assert_eq!(pacing.shift(1, u64::MAX), 1_998);
    }

    #[test]
    fn a_loop_follows_after_a_mean_gap() {
        assert_eq!(Pacing::default().period(1_000, 11), 1_100);
        assert_eq!(Pacing::default().period(0, 1), 1);
    }

    proptest! {
        #[test]
        fn order_is_kept_and_speed_scales(
            a in 0i64..1 << 50, b in 0i64..1 << 50, speed in 0.01f64..100.0, ramp in 0i64..1 << 40
        ) {
            let (low, high) = (a.min(b), a.max(b));
            let pacing = pacing(speed, ramp);
            prop_assert!(pacing.due(low) <= pacing.due(high));
            prop_assert!(pacing.due(low) >= (low as f64 / speed) as i64 - 1, "a ramp only delays");
            let plain = Pacing { ramp_ns: 0, ..pacing };
            let exact = low as f64 / speed;
            prop_assert!((plain.due(low) as f64 - exact).abs() <= 1.0);
        }

        #[test]
        fn a_shift_is_within_the_window(hash: u64, jitter in 0i64..1 << 40, copy in 0u32..5) {
            let pacing = Pacing { jitter_ns: jitter, ..Pacing::default() };
            let shift = pacing.shift(copy, hash);
            prop_assert!((0..=jitter).contains(&shift));
        }
    }
}
