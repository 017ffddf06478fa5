//! What is measured of a run, and kept beside its records for who asks next.

use std::path::{Path, PathBuf};

use super::ReviewError;
use crate::limits;
use crate::measure::beside::Measuring;
use crate::measure::{RunRecords, Summary, compressed_twin as zst, kept, measure};
use crate::route::Routes;
use crate::run::{RunFolder, json, names, present};
use crate::store::local;

/// The files of a run's records.
struct RecordPaths {
    exchanges: PathBuf,
    outcomes: PathBuf,
    baseline: Option<PathBuf>,
}

impl RecordPaths {
    fn of(folder: &RunFolder) -> Self {
        Self {
            exchanges: folder.file(names::EXCHANGES),
            outcomes: folder.file(names::OUTCOMES),
            baseline: Some(folder.file(names::BASELINE)).filter(|path| present(path)),
        }
    }

    fn all(&self) -> [Option<&Path>; 3] {
        [Some(self.exchanges.as_path()), Some(self.outcomes.as_path()), self.baseline.as_deref()]
    }

    /// What is measured from these files by the names of these routes.
    fn source(&self, routes: &Routes) -> Option<kept::MeasuredFrom> {
        let named = serde_json::to_string(routes).unwrap_or_default();
        kept::MeasuredFrom::of(&self.all(), named)
    }
}

/// Measures a run while it is compared.
pub(crate) fn measuring(folder: &RunFolder) -> Measuring {
    let paths = RecordPaths::of(folder);
    Measuring::new(&paths.exchanges, &paths.outcomes, paths.baseline.as_deref())
}

/// Keeps what was measured for who reports and judges.
pub(crate) fn keep_figures(folder: &RunFolder, summary: &Summary) -> Result<(), ReviewError> {
    let routes: Routes = json(&folder.file(names::ROUTES))?;
    if let Some(source) = RecordPaths::of(folder).source(&routes) {
        keep(folder, summary, &source);
    }
    Ok(())
}

fn keep(folder: &RunFolder, summary: &Summary, source: &kept::MeasuredFrom) {
    let path = folder.file(names::MEASURED);
    if let Err(error) = local::replace(&path, &kept::write(summary, source)) {
        // Whoever only reads the folder measures again.
        tracing::debug!("cannot write {}: {error}", path.display());
    }
}

/// What is measured of a run: what was kept of it where its files are the same, else anew.
/// `progress` is told how many bytes were read, and of how many.
pub(super) fn figures(
    folder: &RunFolder,
    routes: &Routes,
    mut progress: impl FnMut(u64, u64),
) -> Result<Summary, ReviewError> {
    let paths = RecordPaths::of(folder);
    let source = paths.source(routes);
    let before = std::fs::read(folder.file(names::MEASURED)).ok();
    if let Some(summary) = before.zip(source.as_ref()).and_then(|(text, of)| kept::read(&text, of))
    {
        return Ok(summary);
    }
    let length = |path: &Path| {
        path.metadata().or_else(|_| zst(path).metadata()).map_or(0, |data| data.len())
    };
    let total = paths.all().into_iter().flatten().map(length).sum();
    let records = RunRecords {
        exchanges: &paths.exchanges,
        outcomes: &paths.outcomes,
        baseline: paths.baseline.as_deref(),
        route: &|method, target, operation| routes.route_of(method, target, operation),
        most_entries: limits::JOIN_ENTRIES,
    };
    let summary = measure(&records, |done| progress(done, total))?;
    if let Some(source) = source {
        keep(folder, &summary, &source);
    }
    Ok(summary)
}
