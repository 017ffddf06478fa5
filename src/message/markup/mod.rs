//! Markup as trees: HTML by the rules of browsers, XML strictly.

pub(crate) mod html;
pub(crate) mod tree;
pub(crate) mod xml;
