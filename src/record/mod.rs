//! The records of a run as lines of JSON: `exchanges.jsonl` and `outcomes.jsonl`, written by hand
//! (the writer is on the hot path of `parse`), read by hand where they are in our own form, and
//! through serde where not.

pub mod access;
pub mod curl;
pub mod envoy;
pub mod exchanges;
pub mod flows;
pub mod form;
pub mod framed;
pub mod gor;
pub mod har;
pub mod json;
pub mod k6;
pub(crate) mod lines;
pub(crate) mod loose;
pub(crate) mod noted;
pub mod outcomes;
pub mod places;
pub mod postman;
