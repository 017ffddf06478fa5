//! Heads of recorded messages, each in one piece of memory: what the start line says, then the
//! fields as they stood.

use crate::message::Headers;
use crate::varint;

/// A head, read from its piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordedHead<'h> {
    /// Of a request its method and target, of an answer its reason.
    pub(super) start: [&'h [u8]; 2],
    pub(super) fields: RecordedFields<'h>,
    pub(super) trailers: RecordedFields<'h>,
}

/// Fields in their order; what is not known is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordedFields<'h>(&'h [u8]);

impl RecordedFields<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn to_headers(self) -> Headers {
        self.collect()
    }
}

impl<'h> Iterator for RecordedFields<'h> {
    type Item = (&'h [u8], &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some((text(&mut self.0), text(&mut self.0)))
    }
}

impl<'h> RecordedHead<'h> {
    /// Of what [`pack`] made.
    pub(super) fn of(mut packed: &'h [u8]) -> Self {
        let start = [text(&mut packed), text(&mut packed)];
        let fields = RecordedFields(text(&mut packed));
        Self { start, fields, trailers: RecordedFields(packed) }
    }
}

/// Appends a head to `out`.
pub(super) fn pack(start: [&[u8]; 2], headers: &Headers, trailers: &Headers, out: &mut Vec<u8>) {
    start.into_iter().for_each(|part| put(part, out));
    let mut fields = Vec::with_capacity(headers.weight());
    put_fields(headers, &mut fields);
    put(&fields, out);
    put_fields(trailers, out);
}

fn put_fields(headers: &Headers, out: &mut Vec<u8>) {
    for (name, value) in headers.iter() {
        put(name, out);
        put(value, out);
    }
}

/// A text behind its length.
fn put(text: &[u8], out: &mut Vec<u8>) {
    varint::put(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Takes a text off the front.
fn text<'h>(packed: &mut &'h [u8]) -> &'h [u8] {
    let length = varint::take_length(packed).unwrap_or_default();
    let (text, rest) = packed.split_at(length);
    *packed = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_as_they_were() {
        let long = vec![b'x'; 70_000];
        let fields: [(&[u8], &[u8]); 4] =
            [(b"Host", b"a"), (b"X-Long", &long), (b"host", b""), (b"", b"no name")];
        let headers: Headers = fields.into_iter().collect();
        let trailers: Headers = std::iter::once((&b"Sum"[..], &b"1"[..])).collect();
        for (headers, trailers) in
            [(&headers, &trailers), (&headers, &Headers::new()), (&Headers::new(), &trailers)]
        {
            let mut packed = Vec::new();
            pack([b"POST", b"/v1"], headers, trailers, &mut packed);
            let head = RecordedHead::of(&packed);
            assert_eq!(head.start, [b"POST", &b"/v1"[..]]);
            assert_eq!(head.fields.to_headers(), *headers);
            assert_eq!(head.trailers.to_headers(), *trailers);
            assert_eq!(head.trailers.is_empty(), trailers.is_empty());
        }
    }
}
