//! Places as bytes, for records that a stage spills to disk and reads again.
//!
//! A step is its sort, its number (LEB128) and, where it has one, its name behind its length.

use std::borrow::Cow;

use super::{Place, Step, Trail};
use crate::varint;

impl Place {
    /// Appends the place that `trail` leads to.
    pub fn write_trail(out: &mut Vec<u8>, trail: &Trail<'_>) {
        let mut count = 1_u64;
        let mut at = trail;
        while let Some(before) = at.before() {
            (at, count) = (before, count + 1);
        }
        varint::put(out, count);
        steps_to(out, trail);
    }

    /// Appends the place.
    pub fn write(&self, out: &mut Vec<u8>) {
        varint::put(out, self.0.len() as u64);
        self.0.iter().for_each(|step| write_step(out, step));
    }

    /// The place at the start of `bytes`, which goes on behind it; none where there is none.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let count = varint::take_length(bytes)?;
        let mut steps = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            steps.push(step(bytes)?);
        }
        Some(Self(steps))
    }
}

/// The steps of a trail, outermost first. Recursion is bounded by the depth of documents.
fn steps_to(out: &mut Vec<u8>, trail: &Trail<'_>) {
    if let Some(before) = trail.before() {
        steps_to(out, before);
    }
    write_step(out, trail.last());
}

fn write_step(out: &mut Vec<u8>, step: &Step<'_>) {
    out.push(step.sort());
    varint::put(out, step.number() as u64);
    if let Some(name) = step.name() {
        varint::put(out, name.len() as u64);
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        if matches!(step, Step::Header(_)) {
            out[start..].make_ascii_lowercase();
        }
    }
}

fn step(bytes: &mut &[u8]) -> Option<Step<'static>> {
    let (&sort, rest) = bytes.split_first()?;
    *bytes = rest;
    let number = varint::take_length(bytes)?;
    let mut name = || {
        let length = varint::take_length(bytes)?;
        let (name, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(Cow::Owned(std::str::from_utf8(name).ok()?.to_owned()))
    };
    Some(match sort {
        0 => Step::Method,
        1 => Step::Status,
        2 => Step::Segment(number),
        3 => Step::Query(name()?),
        4 => Step::Header(name()?),
        5 => Step::Cookie(name()?),
        6 => Step::Form(name()?),
        7 => Step::Part(name()?),
        8 => Step::PartAt(number),
        9 => Step::Root,
        10 => Step::Name(name()?),
        11 => Step::Again(number),
        12 => Step::Index(number),
        13 => Step::Key,
        14 => Step::Element(name()?, number),
        15 => Step::Attribute(name()?),
        16 => Step::Text(number),
        17 => Step::Namespace,
        18 => Step::Line(number),
        19 => Step::Event(number),
        20 => Step::Body,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_step_is_written_and_read() {
        let name = || Cow::Borrowed("Né'm");
        let steps = [
            Step::Method,
            Step::Status,
            Step::Segment(300),
            Step::Query(name()),
            Step::Header(Cow::Borrowed("X-Id")),
            Step::Cookie(name()),
            Step::Form(name()),
            Step::Part(name()),
            Step::PartAt(1),
            Step::Root,
            Step::Name(name()),
            Step::Again(2),
            Step::Index(70_000),
            Step::Key,
            Step::Element(name(), 3),
            Step::Attribute(name()),
            Step::Text(1),
            Step::Namespace,
            Step::Line(9),
            Step::Event(1),
            Step::Body,
        ];
        for step in &steps {
            let trail = Trail::new(Step::Root);
            let trail = trail.then(step.clone());
            let mut bytes = Vec::new();
            Place::write_trail(&mut bytes, &trail);
            let length = bytes.len();
            trail.place().write(&mut bytes);
            assert_eq!(bytes[..length], bytes[length..]);
            bytes.truncate(length);
            bytes.push(7);
            let mut rest = &bytes[..];
            assert_eq!(Place::read(&mut rest), Some(trail.place()), "{step:?}");
            assert_eq!(rest, [7]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_place_or_none(bytes: Vec<u8>) {
            let _ = Place::read(&mut &bytes[..]);
        }
    }
}
