//! What a replay left behind, and the figures that are served while it runs.

use super::flags::ReplayShape;
use super::metrics::Metrics;
use crate::cli::metrics::{MetricsServer, registry};
use crate::cli::{Failure, signals};
use crate::diff::engine::RunNotes;
use crate::replay::Finished;
use crate::run::RunFolder;

/// What a replay left behind.
pub struct RanReplay {
    /// The run's folder.
    pub folder: RunFolder,
    /// What it came to.
    pub finished: Finished,
    /// Requests that were planned.
    pub planned: u64,
    /// Lanes that were planned.
    pub lanes: u64,
    /// Whether there was a schedule to hold (not with `--speed max`).
    pub scheduled: bool,
    /// Own lateness at the 99th percentile that was allowed.
    pub max_lateness_ns: i64,
    /// What was noted of the records, where it was asked for.
    pub(crate) notes: RunNotes,
    /// Live figures, where they were asked for.
    pub(crate) watch: Option<LiveFigures>,
}

/// Live figures, served while there is one.
pub(crate) struct LiveFigures {
    /// What is counted.
    pub(crate) metrics: Metrics,
    server: MetricsServer,
}

impl LiveFigures {
    pub(super) fn start(address: &str) -> Result<Self, Failure> {
        let mut registry = registry();
        let metrics = Metrics::new(&mut registry);
        let server = MetricsServer::start(address, registry)?;
        tracing::info!("metrics at http://{}/metrics", server.address());
        Ok(Self { metrics, server })
    }

    /// The figures are final from now on.
    pub(crate) fn settle(&self) {
        self.server.settle();
    }

    /// Keeps the last figures until they were asked for, as long as the shape allows.
    pub(crate) fn linger(&self, shape: &ReplayShape) -> Result<(), Failure> {
        self.server.linger(shape.metrics_linger, &*signals::word()?);
        Ok(())
    }
}
