//! Messages of which nothing is known but how they are encoded, with other strings in them.
//!
//! A field with a length is a message where it parses as one, else a string where it is text, else
//! octets. Text that happens to parse as a message is looked at as text too, so that nothing that
//! is written in it is passed over.

use super::fields::{Encoded, MAX_DEPTH, field};
use super::is_text;
use crate::varint;

/// A message with its strings edited; `edit` gives what takes a string's place. None where nothing
/// changes, or where it is no message.
pub fn with_strings(
    message: &[u8],
    edit: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len());
    walk(message, 0, &mut out, edit)?.then_some(out)
}

/// Whether anything of a message changed; none where it is no message.
fn walk(
    message: &[u8],
    depth: usize,
    out: &mut Vec<u8>,
    edit: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Option<bool> {
    let (mut rest, mut changed) = (message, false);
    while !rest.is_empty() {
        let before = rest;
        let (number, value) = field(&mut rest, depth)?;
        let octets = &before[..before.len() - rest.len()];
        let new = match value {
            Encoded::Bytes(content) => edited(content, depth, edit).map(|new| {
                let mut octets = Vec::with_capacity(new.len() + 8);
                varint::put(&mut octets, u64::from(number) << 3 | 2);
                varint::put(&mut octets, new.len() as u64);
                octets.extend_from_slice(&new);
                octets
            }),
            Encoded::Group(content) if depth < MAX_DEPTH => {
                let mut new = Vec::new();
                varint::put(&mut new, u64::from(number) << 3 | 3);
                let is_changed = walk(content, depth + 1, &mut new, edit)?;
                varint::put(&mut new, u64::from(number) << 3 | 4);
                is_changed.then_some(new)
            }
            _ => None,
        };
        changed |= new.is_some();
        out.extend_from_slice(new.as_deref().unwrap_or(octets));
    }
    Some(changed)
}

/// The content of a field with a length, where it changes.
fn edited(
    content: &[u8],
    depth: usize,
    edit: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut inside = Vec::new();
    let is_message = depth < MAX_DEPTH
        && content.len() > 1
        && walk(content, depth + 1, &mut inside, edit) == Some(true);
    if is_message {
        return Some(inside);
    }
    is_text(content).then(|| edit(content)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hidden(text: &[u8]) -> Option<Vec<u8>> {
        let at = memchr::memmem::find(text, b"secret")?;
        Some([&text[..at], b"***", &text[at + 6..]].concat())
    }

    fn length(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, content.len() as u8][..], content].concat()
    }

    #[test]
    fn strings_at_any_depth_are_edited_and_all_else_stays() {
        let plain =
            [&b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\0"[..], &length(9, &[0xff, 0xfe])].concat();
        let group = |content: &[u8]| [&b"\x23"[..], content, b"\x24"].concat();
        for (message, wanted) in [
            (length(1, b"a secret word"), Some(length(1, b"a *** word"))),
            (length(3, &length(2, b"secret")), Some(length(3, &length(2, b"***")))),
            (length(3, &length(1, b"secret")), Some(length(3, &length(1, b"***")))),
            (group(&length(1, b"secret")), Some(group(&length(1, b"***")))),
            (length(1, b"{\"a\":\"secret\"}"), Some(length(1, b"{\"a\":\"***\"}"))),
            (length(1, b"nothing"), None),
            (length(1, b"\x00secret"), None),
            (b"\x0asecret".to_vec(), None),
        ] {
            let around = |inner: &[u8]| [&plain[..], inner, &plain].concat();
            let read = with_strings(&around(&message), &mut hidden);
            assert_eq!(read, wanted.map(|wanted| around(&wanted)), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_walked(
            octets in prop::collection::vec(prop_oneof![0u8..40, any::<u8>()], 0..200)
        ) {
            prop_assert_eq!(with_strings(&octets, &mut |_| None), None);
            let _ = with_strings(&octets, &mut |text| Some(text.to_vec()));
        }
    }
}
