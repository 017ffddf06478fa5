//! Places and texts of values, beside the records that are sorted: written once, read where a value
//! turns out to flow.

use std::io;
use std::ops::Range;

use crate::message::place::{Place, Trail};
use crate::store::Window;

/// What is kept of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Where it stands.
    pub(super) place: Place,
    /// The bytes of it in the decoded value there; none where it is all of it.
    pub(super) range: Option<Range<u32>>,
    /// What it says.
    pub(super) text: Box<str>,
    /// The kind of thing that it names; empty where it means the same everywhere.
    pub(super) thing: Box<str>,
    /// Which value of the message it is or is in: a place may have several.
    pub(super) value: u32,
    /// Where else in its answer it stands.
    pub(super) others: Vec<Place>,
}

/// Bytes of the length before each.
const LENGTH: usize = 4;

/// Appends a value and gives where it begins.
pub(super) fn write(
    out: &mut Vec<u8>,
    (value, at): (u32, &Trail<'_>),
    range: Option<Range<usize>>,
    text: &str,
    thing: &str,
) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    let (from, whole) = range.map_or((0, 1), |range| (range.start as u32, 0));
    out.push(whole);
    out.extend_from_slice(&from.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
    for text in [text, thing] {
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    Place::write_trail(out, at);
    let length = (out.len() - start - LENGTH) as u32;
    out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    start as u32
}

/// Appends the value that begins at `offset` once more, with other places of it, as
/// [`Place::write_trail`] wrote them; gives where it begins.
pub(super) fn write_with(out: &mut Vec<u8>, offset: u32, others: &[u8]) -> u32 {
    let start = out.len();
    let known = offset as usize..offset as usize + bytes_at(out, offset).map_or(0, <[u8]>::len);
    out.extend_from_within(known);
    out.extend_from_slice(others);
    let length = (out.len() - start - LENGTH) as u32;
    out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    start as u32
}

/// Reads the value that begins at `offset`.
pub(super) fn read(window: &mut Window<'_>, offset: u64) -> io::Result<Kept> {
    let length = window.bytes(offset, LENGTH)?;
    let length = u32::from_le_bytes(length.try_into().expect("four bytes were asked for"));
    let bytes = window.bytes(offset + LENGTH as u64, length as usize)?;
    parse(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a value was not kept"))
}

/// The bytes of the value that begins at `offset` of what was written, with their length.
pub(super) fn bytes_at(bytes: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = bytes.get(offset as usize..)?;
    let length = u32::from_le_bytes(*rest.first_chunk::<LENGTH>()?);
    rest.get(..LENGTH + length as usize)
}

/// The value that begins at `offset` of what was written.
pub(super) fn at(bytes: &[u8], offset: u32) -> Option<Kept> {
    parse(&bytes_at(bytes, offset)?[LENGTH..])
}

/// A value without its length.
fn parse(mut bytes: &[u8]) -> Option<Kept> {
    let (head, rest) = bytes.split_first_chunk::<9>()?;
    bytes = rest;
    let mut text = || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        bytes = rest;
        Some(Box::from(std::str::from_utf8(text).ok()?))
    };
    let (text, thing): (Box<str>, Box<str>) = (text()?, text()?);
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (from, value) = (number(1), number(5));
    let range = (head[0] == 0).then(|| from..from + text.len() as u32);
    let place = Place::read(&mut bytes)?;
    let mut others = Vec::new();
    while !bytes.is_empty() {
        others.push(Place::read(&mut bytes)?);
    }
    Some(Kept { place, range, text, thing, value, others })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::place::Step;

    fn at_offset(bytes: &[u8], offset: u32) -> Kept {
        at(bytes, offset).expect("it was written")
    }

    #[test]
    fn values_are_written_and_read() {
        let root = Trail::new(Step::Root);
        let trail = root.then(Step::Name("id".into()));
        let mut bytes = Vec::new();
        assert_eq!(write(&mut bytes, (1, &trail), Some(2..6), "abcd", ""), 0);
        let second = write(&mut bytes, (2, &trail), None, "7", "page");
        let first = at_offset(&bytes, 0);
        assert_eq!((first.range, &*first.text, &*first.thing), (Some(2..6), "abcd", ""));
        let second = at_offset(&bytes, second);
        assert_eq!((second.range, &*second.text, &*second.thing), (None, "7", "page"));
        assert_eq!((first.value, second.value), (1, 2));
        assert_eq!(second.place.to_string(), "$.id");
        let mut others = Vec::new();
        Place::write_trail(&mut others, &root.then(Step::Name("self".into())));
        Place::write_trail(&mut others, &Trail::new(Step::Header("Location".into())));
        let third = write_with(&mut bytes, 0, &others);
        let third = at_offset(&bytes, third);
        let others: Vec<String> = third.others.iter().map(ToString::to_string).collect();
        assert_eq!((&*third.text, others.join(" ")), ("abcd", "$.self header:location".to_owned()));
    }
}
