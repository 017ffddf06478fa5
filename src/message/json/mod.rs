//! JSON text: read into a tape, its numbers compared by value, its strings escaped and unescaped.

pub(crate) mod code;
pub(crate) mod escape;
pub mod number;
pub mod tape;
pub(crate) mod unescape;
