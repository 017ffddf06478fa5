//! What was found, as a file: shards share one search, and each of them makes its plan of it.
//!
//! A zstd stream with a checksum of its content: a line that says what follows and what it was
//! found in, the flows as lines of `flows.jsonl`, then parts and their index as they are on disk.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::parts::PartFile;
use super::{FlowTotals, FoundFlows};
use crate::limits::LINE_BYTES;
use crate::record::exchanges::{TOOL, write_line};

/// The format's name in the first line.
const FORMAT: &str = "shadowtap/found-flows";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// The fastest level that still finds what repeats: places and routes.
const LEVEL: i32 = 1;

/// What flows were found in, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundIn {
    /// The settings that flows depend on, or a hash of them.
    pub settings: String,
    /// Length and SHA-256 of each input.
    pub inputs: Vec<(u64, String)>,
}

#[derive(Serialize, Deserialize)]
struct SavedHeader {
    format: String,
    version: u32,
    tool: String,
    found_in: FoundIn,
    flows: u64,
    parts_bytes: u64,
    index_bytes: u64,
    totals: FlowTotals,
    unmatched: Vec<String>,
}

/// Why a file of found flows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read, or is damaged; or a temporary file cannot be written.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is none, or of another version of the program.
    #[error("it holds no flows that {TOOL} found")]
    Format,
}

/// Writes what was found.
///
/// # Errors
///
/// `out` cannot be written, or a temporary file cannot be read.
pub fn save(found: &FoundFlows, found_in: &FoundIn, out: impl Write) -> io::Result<()> {
    let mut out = zstd::stream::write::Encoder::new(out, LEVEL)?;
    out.include_checksum(true)?;
    let [parts_bytes, index_bytes] = found.parts.lengths();
    let header = SavedHeader {
        format: FORMAT.to_owned(),
        version: VERSION,
        tool: TOOL.to_owned(),
        found_in: found_in.clone(),
        flows: found.flows.len() as u64,
        parts_bytes,
        index_bytes,
        totals: found.totals.clone(),
        unmatched: found.unmatched.clone(),
    };
    let mut line = Vec::new();
    write_line(&mut line, &header);
    for flow in &found.flows {
        out.write_all(&line)?;
        line.clear();
        write_line(&mut line, flow);
    }
    out.write_all(&line)?;
    found.parts.copy_to(&mut out)?;
    out.finish()?.flush()
}

/// Reads it again, into temporary files in `folder`.
///
/// # Errors
///
/// See [`SavedError`].
pub fn load(input: impl Read, folder: &Path) -> Result<(FoundFlows, FoundIn), SavedError> {
    let mut input = BufReader::new(zstd::stream::read::Decoder::new(input)?);
    let header: SavedHeader = next_line(&mut input)?;
    if header.format != FORMAT || header.version != VERSION || header.tool != TOOL {
        return Err(SavedError::Format);
    }
    let flows = (0..header.flows).map(|_| next_line(&mut input)).collect::<Result<_, _>>()?;
    let parts = PartFile::copy_of(&mut input, [header.parts_bytes, header.index_bytes], folder)?;
    // The checksum is behind the last byte.
    if input.read(&mut [0])? > 0 {
        return Err(SavedError::Format);
    }
    let SavedHeader { totals, unmatched, found_in, .. } = header;
    Ok((FoundFlows { flows, parts, totals, unmatched }, found_in))
}

fn next_line<T: for<'de> Deserialize<'de>>(input: &mut impl BufRead) -> Result<T, SavedError> {
    let mut line = Vec::new();
    input.take(LINE_BYTES as u64).read_until(b'\n', &mut line)?;
    serde_json::from_slice(&line).map_err(|_| SavedError::Format)
}
