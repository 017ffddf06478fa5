//! Where exchanges come from: recordings so far; captures are read by `parse`.

pub mod foreign;
pub mod recording;
