//! Secrets: how they are recognised, and how they are kept out of what the program writes for people.
//!
//! [`names`] knows which headers, fields and parameters hold a secret, [`shapes`] finds secrets by their look anywhere in a
//! text (tokens, card numbers), and [`Masker`] replaces both by a short keyed hash in reports, logs and differences.

pub mod mask;
pub mod names;
pub mod scan;
pub mod shapes;

pub use mask::Masker;
