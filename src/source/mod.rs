//! Where exchanges come from: recordings so far; captures are read by `parse`.

mod ahead;
pub mod foreign;
pub mod recording;
