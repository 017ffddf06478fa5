//! Secrets: how they are recognised, how they are hidden from readers, and how they are taken out
//! of recordings.
//!
//! [`names`] knows which headers, fields and parameters hold a secret, [`shapes`] finds secrets by
//! their look anywhere in a text (tokens, card numbers, what stands behind a secret's name).
//! [`Masker`] replaces both by a short keyed hash in reports, logs and differences. [`Redactor`]
//! replaces them in exchanges, by rules, with tokens of the same length and kind, so that what is
//! recorded can still be replayed, joined and compared.

mod again;
#[cfg(test)]
mod agreement;
pub mod answer;
pub mod apply;
mod below;
mod body;
mod code;
mod drawn;
mod echoes;
mod edits;
mod events;
mod hide;
mod hider;
mod json;
mod known;
mod manifest;
mod marks;
mod markup;
pub mod mask;
mod named;
pub mod names;
mod numbers;
mod options;
mod packed;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod properties;
mod routes;
pub mod rules;
pub mod scan;
pub mod shape;
pub mod shapes;
mod sieve;
mod tables;
pub mod token;
mod unnamed;
mod values;
mod vendors;
pub mod view;
mod words;
mod wrapped;

pub use answer::AnsweredRequest;
pub use apply::{Redactor, Unsearched};
pub use echoes::Echoes;
pub use known::KnownTokens;
pub use mask::{Masker, random_key};
pub use rules::{RedactRule, RedactRuleError};
