//! Where files are kept: beside a run, bounded in memory and gone when they are done (`sorter`,
//! `spool`), or there only when they are whole (`local`); as objects of a store (`remote`, opened
//! by `clouds`), read ahead in ranges (`reader`), written whole or not at all (`writer`), sent there
//! by a capture as they become complete (`uploads`); and at a URL, from where they are downloaded
//! (`http`).

mod clouds;
pub(crate) mod glob;
pub mod http;
pub(crate) mod local;
pub mod paths;
pub mod reader;
pub mod remote;
pub mod shown;
pub(crate) mod sorter;
pub(crate) mod spool;
mod threads;
pub mod uploads;
pub mod writer;

pub use sorter::nameless_file;
pub(crate) use sorter::{Sorted, Sorter};
pub(crate) use spool::{SpoolFile, Spooled, Window, WindowBytes};

/// Installs what this program's clients encrypt with, for those that look for it when they are made.
pub(crate) fn encrypt_by_ring() {
    // Another part of the program may have installed it; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
