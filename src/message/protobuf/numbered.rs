//! Messages as JSON by the numbers of their fields.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{Encoded, fields, packed_varints};
use super::shape::{OctetsReading, Shape, ShapeField};
use super::{push_float, push_text};

/// Writes a message; false where it is none. Fields stand in the order of their numbers.
pub(super) fn as_json(shape: &Shape, message: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(found) = fields(message) else { return false };
    object(shape, &found, out);
    true
}

fn object(shape: &Shape, found: &[(u32, Encoded<'_>)], out: &mut Vec<u8>) {
    let mut by_number = BTreeMap::<u32, Vec<Encoded<'_>>>::new();
    for &(number, value) in found {
        by_number.entry(number).or_default().push(value);
    }
    out.push(b'{');
    let unknown = ShapeField::default();
    for (number, values) in by_number {
        let field = shape.field(number).unwrap_or(&unknown);
        let is_array = field.is_array() || values.len() > 1;
        if !is_array && is_default(field, values[0]) {
            continue;
        }
        let comma = if out.ends_with(b"{") { "" } else { "," };
        out.extend_from_slice(format!("{comma}\"#{number}\":").as_bytes());
        if is_array {
            array(field, &values, out);
        } else {
            value(field, values[0], out);
        }
    }
    out.push(b'}');
}

/// A default that is written means what one does that is left out.
fn is_default(field: &ShapeField, value: Encoded<'_>) -> bool {
    match value {
        Encoded::Varint(value) | Encoded::Fixed64(value) => value == 0,
        Encoded::Fixed32(value) => value == 0,
        Encoded::Bytes(bytes) => bytes.is_empty() && field.octets() != OctetsReading::Message,
        Encoded::Group(_) => false,
    }
}

fn array(field: &ShapeField, values: &[Encoded<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for &one in values {
        elements(field, one, out);
    }
    if out.ends_with(b",") {
        out.pop();
    }
    out.push(b']');
}

/// Each element with a comma behind it: packed ones are several.
fn elements(field: &ShapeField, one: Encoded<'_>, out: &mut Vec<u8>) {
    let mut each = |one: Encoded<'_>| {
        value(field, one, out);
        out.push(b',');
    };
    match (one, field.octets()) {
        (Encoded::Bytes(bytes), OctetsReading::PackedVarints) => {
            packed_varints(bytes).into_iter().flatten().map(Encoded::Varint).for_each(each);
        }
        (Encoded::Bytes(bytes), OctetsReading::Packed32) => {
            let (fours, _) = bytes.as_chunks();
            fours.iter().map(|&four| Encoded::Fixed32(u32::from_le_bytes(four))).for_each(each);
        }
        (Encoded::Bytes(bytes), OctetsReading::Packed64) => {
            let (eights, _) = bytes.as_chunks();
            eights.iter().map(|&eight| Encoded::Fixed64(u64::from_le_bytes(eight))).for_each(each);
        }
        _ => each(one),
    }
}

fn value(field: &ShapeField, value: Encoded<'_>, out: &mut Vec<u8>) {
    match value {
        // Most negative numbers are written as ten octets of two's complement.
        Encoded::Varint(value) => out.extend_from_slice(value.cast_signed().to_string().as_bytes()),
        Encoded::Fixed64(bits) if field.is_float() => push_float(out, f64::from_bits(bits)),
        Encoded::Fixed64(bits) => out.extend_from_slice(bits.to_string().as_bytes()),
        Encoded::Fixed32(bits) if field.is_float() => {
            push_float(out, f32::from_bits(bits));
        }
        Encoded::Fixed32(bits) => out.extend_from_slice(bits.to_string().as_bytes()),
        Encoded::Group(content) => {
            let found = fields(content).unwrap_or_default();
            object(&field.inside, &found, out);
        }
        Encoded::Bytes(bytes) => {
            match (field.octets(), fields(bytes), std::str::from_utf8(bytes)) {
                (OctetsReading::Message, Some(found), _) => object(&field.inside, &found, out),
                (OctetsReading::Text, _, Ok(text)) => push_text(out, text),
                _ => push_text(out, &STANDARD.encode(bytes)),
            }
        }
    }
}
