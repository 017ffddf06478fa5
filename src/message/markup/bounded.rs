//! What the tokenizer of HTML reads from: text, until one tag has more attributes than any page
//! has. The tokenizer calls itself for each further attribute in double quotes, so that a tag of
//! some ten thousand of them would be the end of the stack, and of the program.

use std::cell::Cell;

use html5gum::{Readable, Reader};

use crate::limits::TAG_ATTRIBUTES;

/// A tag has too many attributes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a tag has more than {TAG_ATTRIBUTES} attributes")]
pub(super) struct TooMany;

/// A text whose reader fails where a tag is too long.
pub(super) struct Bounded<'a> {
    text: <&'a str as Readable<'a>>::Reader,
    /// Parts of quoted values since the last token, or since the tokenizer was back in its loop.
    parts: &'a Cell<usize>,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(text: &'a str, parts: &'a Cell<usize>) -> Self {
        Self { text: text.to_reader(), parts }
    }
}

fn never<T>(read: Result<T, std::convert::Infallible>) -> T {
    match read {
        Ok(read) => read,
    }
}

impl Reader for Bounded<'_> {
    type Error = TooMany;

    fn read_byte(&mut self) -> Result<Option<u8>, TooMany> {
        Ok(never(self.text.read_byte()))
    }

    fn try_read_string(&mut self, text: &[u8], case_sensitive: bool) -> Result<bool, TooMany> {
        Ok(never(self.text.try_read_string(text, case_sensitive)))
    }

    fn read_until<'b>(
        &'b mut self,
        needle: &[u8],
        char_buf: &'b mut [u8; 4],
    ) -> Result<Option<&'b [u8]>, TooMany> {
        let read = never(self.text.read_until(needle, char_buf));
        if needle.contains(&b'"') && needle.contains(&b'&') {
            // A value and the quote that ends it.
            let is_back = read.is_none_or(|read| read == b"&");
            let parts = if is_back { 0 } else { self.parts.get() + 1 };
            self.parts.set(parts);
            if parts > 2 * TAG_ATTRIBUTES {
                return Err(TooMany);
            }
        }
        Ok(read)
    }
}
