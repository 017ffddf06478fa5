//! Where exchanges come from: captures, recordings and what other tools wrote, in files, on
//! standard input, in a store or at a URL; several of them merged by time.
//!
//! In: names of inputs. Out: exchanges in order ([`Inputs`]), and what was read ([`ReadInputs`]).
//! An input that cannot be used is a [`SourceError`]; what is damaged in one is counted, and told
//! in its warnings.

mod ahead;
pub mod foreign;
mod inputs;
mod prints;
pub mod recording;

use std::io;
use std::path::PathBuf;

pub(crate) use inputs::Original;
pub use inputs::{InputOptions, Inputs, ReadInputs};
pub use prints::{InputInfo, Prints, describe};

use self::foreign::ForeignError;
use self::recording::RecordingError;
use crate::capture::CaptureError;
use crate::store::http::DownloadError;
use crate::store::paths::PathError;
use crate::store::remote::StoreError;

/// Why inputs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// None was named.
    #[error("no input: give a capture, a recording, a URL, or - for standard input")]
    NoInput,
    /// The times of another one shall be moved.
    #[error("--offset names {0}, which is not among the inputs")]
    Offset(String),
    /// Standard input was named twice.
    #[error("standard input (-) can be read only once")]
    StdinTwice,
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Stdin(#[source] io::Error),
    /// A key log cannot be read.
    #[error("cannot read the key log {}: name the file that SSLKEYLOGFILE named when v1's clients or \
             servers ran", .path.display())]
    KeyLog {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A folder was named.
    #[error("{} is a folder: name the files in it, or file:///PATH for all below it", .0.display())]
    Folder(PathBuf),
    /// What was downloaded cannot be read.
    #[error("cannot read back {name}")]
    Back {
        /// The input.
        name: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A name stands for no file.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A store does not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A URL does not give it.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A capture cannot be read on.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A recording cannot be read on.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A recording of another tool cannot be read.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// The captures are empty.
    #[error("no packet in {names}{why}")]
    NoPacket {
        /// The inputs.
        names: String,
        /// What was found out on the way.
        why: String,
    },
    /// Nothing in them is HTTP.
    #[error("no HTTP exchange in {names}: {why}")]
    NoExchange {
        /// The inputs.
        names: String,
        /// What was in them instead.
        why: String,
    },
}

/// Who is shown how far the reading of captures is.
pub trait ReadingShown {
    /// Captures begin to be read, `total` bytes of them where that is known. What is given is
    /// called with the bytes, packets and exchanges so far; its end is that of the reading.
    fn start(&self, total: Option<u64>) -> impl FnMut(u64, u64, u64);
}
