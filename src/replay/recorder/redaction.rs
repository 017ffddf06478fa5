//! Takes secrets out of answers before they are written, on the recorder's thread: what is sent,
//! and when, does not change.
//!
//! What of its request comes again in an answer is told by the request itself, which is read back
//! from the spool.

use std::io;
use std::sync::Arc;

use crate::redact::Redactor;
use crate::redact::{Asked, Known};
use crate::replay::plan::spool::Spool;
use crate::replay::session::client;
use crate::replay::task::Done;

/// How answers are redacted.
#[derive(Debug)]
pub struct Redaction {
    /// The rules and the key.
    pub redactor: Redactor,
    /// The tokens that requests hold, where the recording is redacted already.
    pub known: Option<Known>,
    /// Names of the header fields that are set in every request: they were not recorded.
    pub given: Vec<String>,
}

/// Redacts one outcome after the other.
pub(in crate::replay) struct Redacting {
    pub(in crate::replay) by: Arc<Redaction>,
    pub(in crate::replay) spool: Spool,
}

impl Redacting {
    /// Redacts the answer, where there is one.
    pub(in crate::replay) fn apply(&self, done: &mut Done) -> io::Result<()> {
        let is_whole = done.outcome.failure.is_none();
        let Some(response) = &mut done.outcome.response else { return Ok(()) };
        let mut bytes = vec![0; usize::try_from(done.request.length).unwrap_or(usize::MAX)];
        self.spool.read_at(&mut bytes, done.request.offset)?;
        let request = client::parse(&bytes).ok();
        let Redaction { redactor, known, given } = &*self.by;
        redactor.answer(
            Asked { request: request.as_ref(), given, known: known.as_ref() },
            response,
            is_whole,
        );
        Ok(())
    }
}
