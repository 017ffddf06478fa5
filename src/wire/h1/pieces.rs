//! The pieces that messages are written of: header fields, chunks, trailer sections.

use crate::message::Headers;

/// Appends a chunk.
pub(super) fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends what follows the last chunk.
pub(super) fn trailer_section(out: &mut Vec<u8>, trailers: &Headers) {
    fields(out, trailers);
    out.extend_from_slice(b"\r\n");
}

/// Appends header fields.
pub(super) fn fields(out: &mut Vec<u8>, headers: &Headers) {
    for pair in headers.iter() {
        field(out, pair);
    }
}

/// Appends one header field.
pub(super) fn field(out: &mut Vec<u8>, (name, value): (&[u8], &[u8])) {
    out.extend_from_slice(name);
    out.extend_from_slice(if value.is_empty() { b":" } else { b": " });
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
