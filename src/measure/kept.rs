//! A summary on disk, so that nobody measures the same records twice: with it stands what it was
//! measured from, and it counts for nothing else.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Summary, compressed_twin};
use crate::record::exchanges::TOOL;

/// The format's name.
const FORMAT: &str = "shadowtap/measured";
/// Of what this program writes; no other is read.
const VERSION: u32 = 2;

/// What a summary was measured from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredFrom {
    /// Which program measured.
    tool: String,
    /// Of each file of records its number, length and last change.
    files: Vec<Option<[i64; 4]>>,
    /// Hash of how routes are named.
    routes: u64,
}

impl MeasuredFrom {
    /// Of these files, of which each may be there compressed; none where one of them is not.
    pub fn of(files: &[Option<&Path>], routes: impl Hash) -> Option<Self> {
        let seen = |path: &Path| {
            let data = path.metadata().or_else(|_| compressed_twin(path).metadata()).ok()?;
            let (file, length) = (data.ino().cast_signed(), data.len().cast_signed());
            Some([file, length, data.mtime(), data.mtime_nsec()])
        };
        let files = files.iter().map(|path| path.map_or(Some(None), |path| seen(path).map(Some)));
        let mut hasher = DefaultHasher::new();
        routes.hash(&mut hasher);
        let files = files.collect::<Option<_>>()?;
        Some(Self { tool: TOOL.to_owned(), files, routes: hasher.finish() })
    }
}

#[derive(Serialize)]
struct WrittenSummary<'w> {
    format: &'w str,
    version: u32,
    source: &'w MeasuredFrom,
    summary: &'w Summary,
}

#[derive(Deserialize)]
struct MeasuredProbe {
    format: String,
    version: u32,
    source: MeasuredFrom,
}

#[derive(Deserialize)]
struct ReadSummary {
    summary: Summary,
}

/// A summary as it is kept.
pub fn write(summary: &Summary, source: &MeasuredFrom) -> Vec<u8> {
    let written = WrittenSummary { format: FORMAT, version: VERSION, source, summary };
    let mut text = serde_json::to_vec(&written).expect("counts and texts serialise");
    text.push(b'\n');
    text
}

/// The summary that was kept, where it was measured from just this.
pub fn read(text: &[u8], source: &MeasuredFrom) -> Option<Summary> {
    let probe: MeasuredProbe = serde_json::from_slice(text).ok()?;
    let is_this = probe.format == FORMAT && probe.version == VERSION && probe.source == *source;
    is_this.then(|| serde_json::from_slice::<ReadSummary>(text).ok())?.map(|read| read.summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Completeness;
    use crate::measure::{FailureSummary, RouteSummary, Side};
    use crate::outcome::FailureKind;
    use crate::time::Timestamp;

    fn summary() -> Summary {
        let mut route = RouteSummary { route: "GET /a/{id}".into(), ..RouteSummary::default() };
        for n in 0..2_000_i64 {
            let side = &mut route.sides[(n % 3) as usize];
            side.requests += 1;
            *side.statuses.entry(200 + (n % 5) as u16 * 100).or_default() += 1;
            side.sent.record(n * 7_000_000, n * n * 31);
            side.due.record(i64::MAX - n);
            side.first_message.record(n * 3);
            side.between_messages.record(n);
            route.slower.record(n);
            route.over_time.cell(Side::ALL[(n % 3) as usize], n * 1_000_000_000).requests += 1;
        }
        let mut summary = Summary { all: route.clone(), ..Summary::default() };
        summary.exchanges.insert(Completeness::NoResponse.name(), 7);
        summary.skipped.insert("unsafe method \"POST\"".to_owned(), 3);
        summary.failures.insert(FailureKind::Tls, FailureSummary::default());
        summary.first_at = Some(Timestamp::from_nanos(1_795_341_600_123_456_789));
        summary.generator = serde_json::json!({ "share": 0.1, "shards": [{ "n": 1 }] });
        summary.routes = vec![route];
        summary
    }

    #[test]
    fn a_summary_comes_back_as_it_was_and_only_for_its_own_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outcomes.jsonl");
        std::fs::write(&path, "one").unwrap();
        let source = |routes: &str| MeasuredFrom::of(&[Some(&path), None], routes);
        let (before, summary) = (source("a").unwrap(), summary());
        let text = write(&summary, &before);
        assert_eq!(read(&text, &source("a").unwrap()), Some(summary));
        assert_eq!(read(&text, &source("b").unwrap()), None);
        std::fs::write(&path, "other").unwrap();
        assert_eq!(read(&text, &source("a").unwrap()), None);
        assert_eq!(read(b"{}", &before), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(source("a"), None);
    }
}
