//! Texts of one exchange without its secrets.

use crate::message::{HeaderPart, Headers};
use crate::redact::{Echoes, Masker};
use crate::report::text::{short, visible};

/// Longest header field that is shown, in characters.
pub(super) const FIELD_CHARS: usize = 1_000;

/// Hides the secrets of one exchange, also where they are repeated without a name.
pub(crate) struct Hidden<'a> {
    pub(crate) masker: &'a Masker,
    pub(crate) echoes: Echoes,
}

impl Hidden<'_> {
    /// A text without secrets, on one line.
    pub(super) fn line(&self, masked: &str, most: usize) -> String {
        let mut text = masked.to_owned();
        self.echoes.hide(&mut text);
        visible(&short(&text, most)).into_owned()
    }

    pub(super) fn field(&self, name: &[u8], value: &[u8]) -> (String, String) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let masked = self.masker.header(&name, &value);
        (visible(&short(&name, 200)).into_owned(), self.line(&masked, FIELD_CHARS))
    }
}

/// The fields of a head: names and values.
pub(super) fn fields<'h>(
    headers: &'h Headers,
    hidden: &'h Hidden<'_>,
) -> impl Iterator<Item = (String, String)> + 'h {
    headers.parts().map(|(name, value)| {
        let told = |part: HeaderPart<'_>, text: String| match part.identity() {
            Some(_) => "(not known: its table entry came before the capture)".to_owned(),
            None => text,
        };
        let (shown_name, shown_value) = hidden.field(name.octets(), value.octets());
        (told(name, shown_name), told(value, shown_value))
    })
}
