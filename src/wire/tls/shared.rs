//! What the TLS sessions of one shard share: secrets, guesses, and the account of what they were.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::account::{Shown, TlsAccount, TlsStanding};
use super::keylog::KeyRing;
use crate::limits;

/// What sessions of one shard share. The default has no secrets.
#[derive(Clone, Debug, Default)]
pub struct TlsShared(Arc<SharedParts>);

#[derive(Debug)]
struct SharedParts {
    ring: Arc<KeyRing>,
    /// Guesses at keys and record numbers that are left.
    guesses: AtomicU64,
    account: Mutex<TlsAccount>,
}

impl Default for SharedParts {
    fn default() -> Self {
        let guesses = AtomicU64::new(limits::TLS_GUESSES_SHARED);
        Self { ring: Arc::default(), guesses, account: Mutex::default() }
    }
}

impl TlsShared {
    /// For one shard.
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self(Arc::new(SharedParts { ring, ..SharedParts::default() }))
    }

    pub(super) fn ring(&self) -> &KeyRing {
        &self.0.ring
    }

    /// What became of the sessions that are over.
    pub fn account(&self) -> TlsAccount {
        self.0.account.lock().expect("no holder of this lock panics").clone()
    }

    /// Counts a session that is over.
    pub(super) fn count(&self, standing: TlsStanding, shown: &Shown) {
        self.0.account.lock().expect("no holder of this lock panics").add(standing, shown);
    }

    /// Takes `n` of the guesses that are left; false where there are fewer. The connections of a
    /// shard are read one after the other, so that this depends on them alone.
    pub(super) fn may_guess(&self, n: u64) -> bool {
        let left = self.0.guesses.load(Ordering::Relaxed).checked_sub(n);
        if let Some(left) = left {
            self.0.guesses.store(left, Ordering::Relaxed);
        }
        left.is_some()
    }
}
