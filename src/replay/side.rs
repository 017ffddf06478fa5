//! The two sides of a replay.

/// Which target an outcome is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetSide {
    /// v2.
    Target,
    /// v1 in staging.
    Baseline,
}
