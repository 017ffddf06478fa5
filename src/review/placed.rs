//! Where the records stand that a page shows, as a run's folder keeps it: who makes the page reads
//! just these, as long as the files are still those that the diff saw.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::diff::engine::Span;
use crate::measure::kept::MeasuredFrom;
use crate::outcome::ReplayId;
use crate::run::{RunFolder, names};
use crate::store::local;

/// The files that places are of.
const FILES: [&str; 4] = [names::EXCHANGES, names::OUTCOMES, names::DIFFERENCES, names::CLUSTERS];
/// The format's name.
const FORMAT: &str = "shadowtap/placed";
/// Of what this program writes; no other is read.
const VERSION: u32 = 1;

/// The exchanges of a page and where their records are.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Placed {
    /// In the order of their weight.
    pub(super) ids: Vec<ReplayId>,
    /// In `exchanges.jsonl`, in its order; so are the others.
    pub(super) exchanges: Vec<Span>,
    /// In `outcomes.jsonl`.
    pub(super) outcomes: Vec<Span>,
    /// In `differences.jsonl`.
    pub(super) differences: Vec<Span>,
}

#[derive(Serialize, Deserialize)]
struct PlacedFile {
    format: String,
    version: u32,
    source: MeasuredFrom,
    placed: Placed,
}

/// What the files are now; none where one is not there as it was written.
fn source(folder: &RunFolder) -> Option<MeasuredFrom> {
    let paths = FILES.map(|name| folder.file(name));
    let are_plain = paths.iter().all(|path| path.is_file());
    are_plain
        .then(|| MeasuredFrom::of(&paths.each_ref().map(|path| Some(path.as_path())), FORMAT))?
}

impl Placed {
    /// Keeps them in a folder. Who cannot write there finds nothing later, and searches.
    pub(super) fn keep(mut self, folder: &RunFolder) {
        for spans in [&mut self.exchanges, &mut self.outcomes, &mut self.differences] {
            spans.sort_unstable();
            spans.dedup();
        }
        let Some(source) = source(folder) else { return };
        let file = PlacedFile { format: FORMAT.to_owned(), version: VERSION, source, placed: self };
        let mut text = serde_json::to_vec(&file).expect("numbers and texts serialise");
        text.push(b'\n');
        let path = folder.file(names::PLACED);
        if let Err(error) = local::replace(&path, &text) {
            tracing::debug!("cannot write {}: {error}", path.display());
        }
    }

    /// Those of a folder, where its files are what they were.
    pub(super) fn of(folder: &RunFolder) -> Option<Self> {
        let text = std::fs::read(folder.file(names::PLACED)).ok()?;
        let file: PlacedFile = serde_json::from_slice(&text).ok()?;
        let is_this =
            file.format == FORMAT && file.version == VERSION && Some(file.source) == source(folder);
        is_this.then_some(file.placed)
    }
}

/// Gives the lines in these parts of a file that are no longer than `longest`, in order.
pub(super) fn each_line(
    path: &Path,
    spans: &[Span],
    longest: usize,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    for &(offset, len) in spans {
        // No more than there is, whatever the places say.
        let len = len.min(length.saturating_sub(offset));
        if len > longest as u64 {
            continue;
        }
        bytes.resize(len as usize, 0);
        file.read_exact_at(&mut bytes, offset)?;
        bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).for_each(&mut each);
    }
    Ok(())
}
