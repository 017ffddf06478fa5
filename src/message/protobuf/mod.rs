//! Protocol Buffers as JSON: by a schema with the names in it, else by field numbers.
//!
//! A message becomes a text of JSON that is compared, ruled over and redacted like any other.
//! Forms that mean the same give the same text: packed and unpacked elements, fields in any order,
//! defaults that are written and ones that are left out. With a schema ([`Schema`]) fields have
//! their names, enums their words, maps their keys. Without one a field is `#3`, and what its
//! octets are is learned from all samples of a method, of both versions ([`Shape`]).

mod details;
mod fields;
pub(crate) mod layout;
mod named;
mod numbered;
mod readings;
mod schema;
mod shape;
mod unnamed;

use crate::message::json::escape::escape;

pub use details::{DETAILS, details};
pub(crate) use fields::{Encoded, MAX_DEPTH, field};
pub use layout::Call;
pub use readings::{Read, Readings, Speaker};
pub use schema::{Schema, SchemaError};
pub use shape::Shape;
pub use unnamed::with_strings;

/// A number with a fraction; `NaN` and the infinities, which JSON has no numbers for, as words.
fn push_float<F: std::fmt::Display + Copy + Into<f64>>(out: &mut Vec<u8>, value: F) {
    let wide: f64 = value.into();
    let text = match wide {
        wide if wide.is_nan() => "\"NaN\"".to_owned(),
        f64::INFINITY => "\"Infinity\"".to_owned(),
        f64::NEG_INFINITY => "\"-Infinity\"".to_owned(),
        _ => value.to_string(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Whether octets are text that people or programs read.
fn is_text(octets: &[u8]) -> bool {
    let is_control = |octet: &u8| octet.is_ascii_control() && !octet.is_ascii_whitespace();
    !octets.is_empty() && !octets.iter().any(is_control) && std::str::from_utf8(octets).is_ok()
}

/// A string of JSON.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests;
