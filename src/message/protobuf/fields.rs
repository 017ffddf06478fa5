//! The fields of a message as they are encoded (Protocol Buffers, "Encoding").

use crate::varint;

/// A field's value, as far as its encoding tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoded<'m> {
    /// A varint.
    Varint(u64),
    /// Eight octets.
    Fixed64(u64),
    /// Four octets.
    Fixed32(u32),
    /// A string, bytes, a message, or packed elements.
    Bytes(&'m [u8]),
    /// What stands between the start and the end of a group.
    Group(&'m [u8]),
}

/// Deepest nesting that is read.
pub(crate) const MAX_DEPTH: usize = 64;

/// The fields of `message` with their numbers, in order; none where it is no message.
pub(super) fn fields(message: &[u8]) -> Option<Vec<(u32, Encoded<'_>)>> {
    let (mut found, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        found.push(field(&mut rest, 0)?);
    }
    Some(found)
}

/// The next field and its number; none where there is none whole. `depth`: of groups around it.
pub(crate) fn field<'m>(rest: &mut &'m [u8], depth: usize) -> Option<(u32, Encoded<'m>)> {
    let tag = varint::take(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number))?;
    let value = match tag & 7 {
        0 => Encoded::Varint(varint::take(rest)?),
        1 => Encoded::Fixed64(u64::from_le_bytes(varint::fixed(rest)?)),
        2 => {
            let length = usize::try_from(varint::take(rest)?).ok()?;
            let (value, behind) = rest.split_at_checked(length)?;
            *rest = behind;
            Encoded::Bytes(value)
        }
        3 if depth < MAX_DEPTH => Encoded::Group(group(rest, number, depth)?),
        5 => Encoded::Fixed32(u32::from_le_bytes(varint::fixed(rest)?)),
        _ => return None,
    };
    Some((number, value))
}

/// The content of a group up to the tag that ends it.
fn group<'m>(rest: &mut &'m [u8], number: u32, depth: usize) -> Option<&'m [u8]> {
    let content = *rest;
    loop {
        let before = *rest;
        let mut ahead = *rest;
        let tag = varint::take(&mut ahead)?;
        if tag & 7 == 4 {
            *rest = ahead;
            let is_own = tag >> 3 == u64::from(number);
            return is_own.then(|| &content[..content.len() - before.len()]);
        }
        field(rest, depth + 1)?;
    }
}

/// The varints that packed elements are; none where they are none.
pub(super) fn packed_varints(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        found.push(varint::take(&mut bytes)?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_read_and_anything_else_is_no_message() {
        let message = b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\0\x1a\x02hi\x23\x08\x01\x24\x2d\x07\0\0\0";
        let wanted = vec![
            (1, Encoded::Varint(150)),
            (2, Encoded::Fixed64(1)),
            (3, Encoded::Bytes(b"hi")),
            (4, Encoded::Group(b"\x08\x01")),
            (5, Encoded::Fixed32(7)),
        ];
        assert_eq!(fields(message), Some(wanted));
        assert_eq!(
            fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").map(|f| f.len()),
            Some(1)
        );
        for wrong in [
            &b"\x08"[..],
            b"\x00\x01",
            b"\x1a\x05hi",
            b"\x23\x08\x01\x2c",
            b"\x24",
            b"\x0e",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        ] {
            assert_eq!(fields(wrong), None, "{wrong:?}");
        }
        let deep = b"\x0b".repeat(100_000);
        assert_eq!(fields(&deep), None);
    }
}
