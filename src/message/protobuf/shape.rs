//! What the fields of messages are, learned from samples where there is no schema.

use std::collections::BTreeMap;

use super::fields::{Encoded, MAX_DEPTH, fields, packed_varints};

/// Fields that are known of one method; beyond, a field is read by its value alone.
const MAX_FIELDS: usize = 16_384;

/// The fields of a message, as all samples of it allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    fields: BTreeMap<u32, ShapeField>,
}

/// What samples said of a field. Each word excludes a reading: samples may come in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ShapeField {
    /// One message had several of it.
    repeated: bool,
    /// It came by itself: as a varint, with four octets, with eight.
    scalar: [bool; 3],
    /// It came with a length, and was not empty.
    sized: bool,
    not_float: bool,
    not_text: bool,
    /// One had a sign that is in no text of one line.
    not_plain: bool,
    not_message: bool,
    /// One is no row of varints, of fours, of eights.
    not_packed: [bool; 3],
    pub(super) inside: Shape,
}

/// How the octets of a field are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OctetsReading {
    Message,
    Text,
    PackedVarints,
    Packed32,
    Packed64,
    Bytes,
}

impl Shape {
    /// Learns from a message; whether it is one.
    pub fn learn(&mut self, message: &[u8]) -> bool {
        let mut room = MAX_FIELDS.saturating_sub(self.count());
        self.learn_within(message, &mut room, 0)
    }

    fn count(&self) -> usize {
        self.fields.values().map(|field| 1 + field.inside.count()).sum()
    }

    fn learn_within(&mut self, message: &[u8], room: &mut usize, depth: usize) -> bool {
        let Some(found) = fields(message) else { return false };
        let mut before = BTreeMap::<u32, u32>::new();
        for (number, value) in found {
            if !self.fields.contains_key(&number) {
                if *room == 0 {
                    continue;
                }
                *room -= 1;
            }
            let times = before.entry(number).or_default();
            *times += 1;
            let field = self.fields.entry(number).or_default();
            field.repeated |= *times > 1;
            field.learn(value, room, depth);
        }
        true
    }

    pub(super) fn field(&self, number: u32) -> Option<&ShapeField> {
        self.fields.get(&number)
    }
}

impl ShapeField {
    fn learn(&mut self, value: Encoded<'_>, room: &mut usize, depth: usize) {
        match value {
            Encoded::Varint(_) => self.scalar[0] = true,
            Encoded::Fixed64(bits) => {
                self.scalar[2] = true;
                self.not_float |= !is_likely_float(f64::from_bits(bits));
            }
            Encoded::Fixed32(bits) => {
                self.scalar[1] = true;
                self.not_float |= !is_likely_float(f64::from(f32::from_bits(bits)));
            }
            Encoded::Bytes([]) => {}
            Encoded::Bytes(bytes) => self.learn_bytes(bytes, room, depth),
            Encoded::Group(content) => {
                let _ = depth < MAX_DEPTH && self.inside.learn_within(content, room, depth + 1);
            }
        }
    }

    fn learn_bytes(&mut self, bytes: &[u8], room: &mut usize, depth: usize) {
        self.sized = true;
        let text = std::str::from_utf8(bytes).ok();
        let in_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        self.not_text |= !text.is_some_and(|text| text.chars().all(in_text));
        self.not_plain |= text.is_none_or(|text| text.chars().any(char::is_control));
        let [varints, fours, eights] = &mut self.not_packed;
        *varints |= packed_varints(bytes).is_none();
        *fours |= !bytes.len().is_multiple_of(4);
        *eights |= !bytes.len().is_multiple_of(8);
        if !self.not_message {
            let deep = depth >= MAX_DEPTH;
            self.not_message = deep || !self.inside.learn_within(bytes, room, depth + 1);
        }
        if self.not_message {
            self.inside = Shape::default();
        }
    }

    /// Whether its four or eight octets are a number with a fraction.
    pub(super) const fn is_float(&self) -> bool {
        !self.not_float
    }

    /// How its octets are read: those of a field that also came one by one are packed elements;
    /// what all samples allow as a message is one, unless all are plain texts.
    pub(super) fn octets(&self) -> OctetsReading {
        let packed = |which: usize| self.scalar[which] && !self.not_packed[which];
        if packed(0) {
            OctetsReading::PackedVarints
        } else if packed(1) {
            OctetsReading::Packed32
        } else if packed(2) {
            OctetsReading::Packed64
        } else if self.sized && !self.not_message && self.not_plain {
            OctetsReading::Message
        } else if !self.not_text {
            OctetsReading::Text
        } else {
            OctetsReading::Bytes
        }
    }

    /// Whether it stands in an array.
    pub(super) fn is_array(&self) -> bool {
        let packed =
            [OctetsReading::PackedVarints, OctetsReading::Packed32, OctetsReading::Packed64];
        self.repeated || self.sized && packed.contains(&self.octets())
    }
}

/// Numbers that people have fractions of; whole numbers in eight octets hardly ever look so.
fn is_likely_float(value: f64) -> bool {
    let size = value.abs();
    value == 0.0 || (1e-9..1e15).contains(&size)
}
