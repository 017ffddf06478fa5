//! JSON text: read into a tape, its numbers compared by value, its strings escaped.

pub(crate) mod code;
pub(crate) mod escape;
pub mod number;
pub mod tape;
