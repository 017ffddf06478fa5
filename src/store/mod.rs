//! Where files are kept: beside a run, bounded in memory and gone when they are done (`sorter`);
//! and as objects of a store (`remote`), read ahead in ranges (`reader`), written whole or not at
//! all (`writer`), sent there by a capture as they become complete (`uploads`).

pub(crate) mod glob;
pub mod reader;
pub mod remote;
pub(crate) mod sorter;
pub(crate) mod spool;
pub mod uploads;
pub mod writer;

pub use sorter::nameless_file;
pub(crate) use sorter::{Sorted, Sorter};
pub(crate) use spool::{SpoolFile, Spooled, Window};
