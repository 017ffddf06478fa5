//! Files that stages keep beside a run: bounded in memory, gone when they are done.

pub(crate) mod sorter;

pub use sorter::nameless_file;
