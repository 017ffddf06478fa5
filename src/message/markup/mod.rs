//! Markup as trees: HTML by the rules of browsers, XML strictly.

mod bounded;
pub(crate) mod html;
mod quick;
pub(crate) mod tree;
pub(crate) mod xml;
