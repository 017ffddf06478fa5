//! Files that stages keep beside a run: bounded in memory, gone when they are done.

pub(crate) mod sorter;
pub(crate) mod spool;

pub use sorter::nameless_file;
pub(crate) use sorter::{Sorted, Sorter};
pub(crate) use spool::{Spool, Spooled, Window};
