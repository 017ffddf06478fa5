//! Every bound of the program, with its unit in the name and its reason.
//!
//! Hitting a bound is an outcome that is counted and named, never a panic and never a silent loss. Stages take the bounds
//! they need as values, so that tests can use small ones; the constants here are the defaults.

/// Longest head (start line and header fields) of a message, in bytes. Servers in the wild stop at 8 KiB to 64 KiB
/// (Apache's `LimitRequestFieldSize` is 8 KiB a field, 100 fields); a head beyond this is damage or an attack.
pub const HEAD_BYTES: usize = 1 << 20;

/// Most header fields in a message.
pub const HEADER_FIELDS: usize = 2_000;

/// Largest body that is kept of one message, in bytes; what is beyond is counted and hashed, not stored.
pub const BODY_BYTES: usize = 64 << 20;

/// Longest line of a JSONL file, in bytes: the largest body in base64 with its head, twice (request and response).
pub const LINE_BYTES: usize = 4 * BODY_BYTES;

/// Bytes of a direction of a connection that may wait for the other direction (a response that was captured before its
/// request, what follows a CONNECT or an Upgrade until it is answered); beyond it they are read as they are.
pub const HELD_BYTES: usize = 1 << 20;

/// Requests of a connection that may wait for their answers. Pipelines in the wild are some hundred deep; one-sided captures
/// never answer.
pub const OUTSTANDING_REQUESTS: usize = 4_096;

/// Bytes of the messages of a connection that may wait to be paired.
pub const OUTSTANDING_BYTES: usize = 64 << 20;

/// Most exchanges that are held at once to be joined with their outcomes; larger runs are read in several passes.
/// About 64 bytes each.
pub const JOIN_ENTRIES: usize = 4_000_000;

/// Most routes that are measured each by itself; what is beyond is measured together, as one route of its own name.
pub const MEASURED_ROUTES: usize = 2_000;

/// Most steps of a timeline; a longer run gets steps of two seconds, four, and so on. Six hours by the second.
pub const TIMELINE_STEPS: usize = 21_600;
