//! The word that ends a replay early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::stop::Stop;

/// Set to end the replay early.
#[derive(Default)]
pub struct ReplayStop {
    set: AtomicBool,
    program: Option<Arc<Stop>>,
}

impl ReplayStop {
    /// Set as well once the whole program shall end.
    pub fn below(program: Arc<Stop>) -> Self {
        Self { set: AtomicBool::new(false), program: Some(program) }
    }

    /// Ends the replay within a second.
    pub fn set(&self) {
        self.set.store(true, Ordering::Release);
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
            || self.program.as_ref().is_some_and(|program| program.is_told())
    }
}
