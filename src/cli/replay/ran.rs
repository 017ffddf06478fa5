//! What a replay left behind, and the figures that are served while it runs.

use std::sync::Arc;

use super::flags::ReplayShape;
use super::metrics::Metrics;
use crate::cli::metrics::{MetricsPusher, MetricsServer, registry};
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

/// Live figures, served and pushed while there are any.
pub(crate) struct LiveFigures {
    /// What is counted.
    pub(crate) metrics: Metrics,
    server: Option<MetricsServer>,
    pusher: Option<MetricsPusher>,
}

impl LiveFigures {
    /// Begins to serve and push as the shape says; none where it says neither.
    pub(super) fn start(shape: &ReplayShape) -> Result<Option<Self>, Failure> {
        if shape.metrics.is_none() && shape.metrics_push.is_none() {
            return Ok(None);
        }
        let mut registry = registry();
        let metrics = Metrics::new(&mut registry);
        let registry = Arc::new(registry);
        let serve = |address| MetricsServer::start(address, Arc::clone(&registry));
        let server = shape.metrics.as_deref().map(serve).transpose()?;
        if let Some(server) = &server {
            tracing::info!("metrics at http://{}/metrics", server.address());
        }
        let push = |to| MetricsPusher::start(to, Arc::clone(&registry));
        let pusher = shape.metrics_push.as_ref().map(push).transpose()?;
        Ok(Some(Self { metrics, server, pusher }))
    }

    /// The figures are final from now on.
    pub(crate) fn settle(&self) {
        self.server.iter().for_each(MetricsServer::settle);
    }

    /// Pushes the last figures, and keeps them until they were asked for, as long as the shape
    /// allows.
    pub(crate) fn linger(self, shape: &ReplayShape) -> Result<(), Failure> {
        let word = signals::word()?;
        if let Some(lost) = self.pusher.and_then(|pusher| pusher.end(&word)) {
            tracing::warn!("{lost}");
        }
        if let Some(server) = &self.server {
            server.linger(shape.metrics_linger, &word);
        }
        Ok(())
    }
}
