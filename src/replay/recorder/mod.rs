//! What is written of a replay: outcomes as lines, and the replayer's own figures.

pub(super) mod generator;
pub(super) mod outbox;
pub(super) mod record;
pub(super) mod redaction;
