//! When requests go: as they are due, or as their clients waited for answers.

/// When a request that is due may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// In the order of the capture: after the answers that its client had, pipelined where they
    /// were pipelined.
    #[default]
    Causal,
    /// When it is due, on another connection where the lane's is busy.
    Open,
}

/// What a request keeps to that had to wait for v2's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Think {
    /// The schedule: it goes at once when its due time has passed.
    #[default]
    Schedule,
    /// The client's think time after the answer; never before it is due.
    ThinkTime,
}
