//! Opens the records of TLS connections with secrets that somebody logged, and hands on plaintext.
//!
//! In: bytes, gaps and ends of both directions of a connection, each in stream order. Out: the
//! same of the plaintext, to a [`Plaintext`]. A byte's time is that of the packet that completed
//! its record: what its reader could have read, and no earlier. Acknowledgements are carried over.
//!
//! A record counts only where its tag or MAC proves it. So does its place in the sequence, which
//! is why a lost packet costs the records that it touched and no others, and why a connection of
//! TLS 1.3 can be joined in the middle (`resync`). What waits for a key is held within bounds.

mod account;
mod conversation;
mod handshake;
pub(in crate::wire) mod initial;
mod keylog;
mod keys;
mod names;
mod opener;
mod records;
mod resync;
mod schedule;
mod secret;
mod session;
pub(in crate::wire) mod shared;
mod side;
mod suite;
#[cfg(test)]
pub(crate) mod tests;
mod transcript;

pub use account::{Shown, TlsAccount, TlsStanding};
pub use keylog::KeyRing;
pub use session::{Plaintext, TlsConnection};
pub use shared::TlsShared;

pub(in crate::wire) use conversation::Tls;
