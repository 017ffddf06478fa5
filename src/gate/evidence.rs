//! What a judgement is made of: a run's figures, and what else is known of it.

use crate::diff::Totals;
use crate::measure::Summary;
use crate::record::flows::FlowFigures;

/// What is known of a run.
pub struct Evidence<'a> {
    /// Its figures.
    pub summary: &'a Summary,
    /// What the diff counted.
    pub totals: &'a Totals,
    /// What is known of the recording's state, where values were bound.
    pub state: Option<&'a FlowFigures>,
    /// Calls of v2 to its providers, where a mock watched.
    pub egress: Option<Outgoing>,
    /// Whether the target is reached by TLS.
    pub tls: bool,
    /// Whether the run was broken off.
    pub interrupted: bool,
    /// Whether there was a schedule to hold; `--speed max` has none.
    pub scheduled: bool,
    /// Whether requests came as fast as they did to v1: at another speed its latencies say
    /// nothing of v2's.
    pub own_speed: bool,
}

/// Calls of v2 to its providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// All, with v1's that v2 did not make.
    pub total: u64,
    /// Those that differ from the recorded ones.
    pub different: u64,
    /// Those of them that change something at the provider.
    pub unsafe_different: u64,
    /// Reads that were answered by a recorded call that is only like them.
    pub drifted_reads: u64,
    /// Reads that v1 never made, to which there was no answer.
    pub missed_reads: u64,
    /// Whether the record of them lacks its end, so that there may have been others.
    pub broken_off: bool,
}
