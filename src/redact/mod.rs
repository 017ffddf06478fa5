//! Secrets: how they are recognised, how they are hidden from readers, and how they are taken out
//! of recordings.
//!
//! [`names`] knows which headers, fields and parameters hold a secret, [`shapes`] finds secrets by
//! their look anywhere in a text (tokens, card numbers, what stands behind a secret's name).
//! [`Masker`] replaces both by a short keyed hash in reports, logs and differences. [`Redactor`]
//! replaces them in exchanges, by rules, with tokens of the same length and kind, so that what is
//! recorded can still be replayed, joined and compared.

#[cfg(test)]
mod agreement;
pub mod answer;
pub mod apply;
mod body;
mod hide;
mod markup;
pub mod mask;
mod named;
pub mod names;
#[cfg(test)]
mod properties;
pub mod rules;
pub mod scan;
pub mod shapes;
pub mod token;
pub mod view;

pub use answer::{Asked, Known};
pub use apply::Redactor;
pub use mask::{Masker, random_key};
pub use rules::{Rule, RuleError};
