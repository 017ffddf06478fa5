//! How a request stood on the wire, where that is more than its parts tell: a head with odd blanks,
//! folds or line ends, and where a chunked body was cut. Kept for the odd ones only, so that what
//! is replayed is what came, byte for byte.

use crate::limits;
use crate::message::Headers;
use crate::message::wire::{Chunks, sum};
use crate::wire::h1::body::chunk_size;
use crate::wire::h1::pieces::{chunk, trailer_section};

/// Gathers what stands around the chunks of a body that is read.
#[derive(Debug, Default)]
pub(super) struct ChunkGather {
    bytes: Vec<u8>,
    length: usize,
    keeps: bool,
}

impl ChunkGather {
    /// Keeps what it is given, up to a limit, or counts it only.
    pub(super) fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// Adds bytes that are not a chunk's data.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.is_full() {
            self.bytes = Vec::new();
        } else if self.keeps {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether there was too much of it to keep.
    pub(super) const fn is_full(&self) -> bool {
        self.length > limits::CHUNK_FRAMING_BYTES
    }

    /// How much memory it takes.
    pub(super) fn kept(&self) -> usize {
        self.bytes.capacity()
    }

    /// The chunks, where they are not what an encoder makes of the body: one chunk at most, and its
    /// `trailers`.
    pub(super) fn finish(self, trailers: &Headers) -> Option<Chunks> {
        if self.bytes.is_empty() {
            return None;
        }
        let mut sizes = Vec::new();
        let mut rest = &self.bytes[..];
        let usual = loop {
            let Some((line, size)) = size_line(rest) else { break false };
            if !is_usual(line, size) {
                break false;
            }
            rest = &rest[line.len()..];
            if size == 0 {
                let mut end = Vec::new();
                trailer_section(&mut end, trailers);
                break rest == end;
            }
            sizes.push(size);
            let Some(behind) = rest.strip_prefix(b"\r\n") else { break false };
            rest = behind;
        };
        match usual {
            true if sizes.len() < 2 => None,
            true => Some(Chunks::Sizes(sizes)),
            false => Some(Chunks::Framing(self.bytes.into())),
        }
    }
}

/// The line with a chunk's size at the front of `framing`, and the size.
pub(super) fn size_line(framing: &[u8]) -> Option<(&[u8], u64)> {
    let line = &framing[..=memchr::memchr(b'\n', framing)?];
    Some((line, chunk_size(line.trim_ascii_end())?))
}

/// Lower-case digits without leading zeros, and CRLF.
fn is_usual(line: &[u8], size: u64) -> bool {
    let Some(digits) = line.strip_suffix(b"\r\n") else { return false };
    let plain = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain && (digits[0] != b'0' || size == 0 && digits.len() == 1)
}

/// Appends `body` in these chunks, with everything behind the last. Answers whether they fit the
/// body; where they do not (the recording was edited) nothing is appended.
pub(super) fn chunked(out: &mut Vec<u8>, body: &[u8], chunks: &Chunks, trailers: &Headers) -> bool {
    let start = out.len();
    let fits = match chunks {
        Chunks::Sizes(sizes) => in_sizes(out, body, sizes, trailers),
        Chunks::Framing(framing) => in_framing(out, body, framing).is_some(),
    };
    if !fits {
        out.truncate(start);
    }
    fits
}

fn in_sizes(out: &mut Vec<u8>, mut body: &[u8], sizes: &[u64], trailers: &Headers) -> bool {
    if sum(sizes) != Some(body.len() as u64) || sizes.contains(&0) {
        return false;
    }
    for &size in sizes {
        let (data, rest) = body.split_at(size as usize);
        chunk(out, data);
        body = rest;
    }
    out.extend_from_slice(b"0\r\n");
    trailer_section(out, trailers);
    true
}

fn in_framing(out: &mut Vec<u8>, mut body: &[u8], mut framing: &[u8]) -> Option<()> {
    loop {
        let (line, size) = size_line(framing)?;
        framing = &framing[line.len()..];
        out.extend_from_slice(line);
        if size == 0 {
            out.extend_from_slice(framing);
            return body.is_empty().then_some(());
        }
        let (data, rest) = body.split_at_checked(usize::try_from(size).ok()?)?;
        let (end, behind) = framing.split_at(memchr::memchr(b'\n', framing)? + 1);
        out.extend_from_slice(data);
        out.extend_from_slice(end);
        (body, framing) = (rest, behind);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::wire::Verbatim;

    fn gathered(parts: &[&str], trailers: &Headers) -> Option<Chunks> {
        let mut gather = ChunkGather::new(true);
        parts.iter().for_each(|part| gather.push(part.as_bytes()));
        gather.finish(trailers)
    }

    #[test]
    fn only_what_is_not_usual_is_kept() {
        let trailers: Headers = [(&b"T"[..], &b"v"[..])].into_iter().collect();
        let none = Headers::new();
        assert_eq!(gathered(&[], &none), None);
        assert_eq!(gathered(&["0\r\n", "\r\n"], &none), None);
        assert_eq!(gathered(&["1f\r\n", "\r\n", "0\r\n", "T: v\r\n\r\n"], &trailers), None);
        assert_eq!(
            gathered(&["1f\r\n", "\r\n", "3\r\n", "\r\n", "0\r\n", "\r\n"], &none),
            Some(Chunks::Sizes(vec![31, 3]))
        );
        for odd in [
            &["1F\r\n\r\n0\r\n\r\n"][..],
            &["01\r\n\r\n0\r\n\r\n"],
            &["1;a=b\r\n\r\n0\r\n\r\n"],
            &["1\n\r\n0\r\n\r\n"],
            &["1\r\n\n0\r\n\r\n"],
            &["1\r\n\r\n00\r\n\r\n"],
            &["1\r\n\r\n0\r\nT:v\r\n\r\n"],
            &["1\r\n\r\n0\r\n\n"],
        ] {
            assert_eq!(
                gathered(odd, &none),
                Some(Chunks::Framing(Bytes::from_static(odd[0].as_bytes()))),
                "{odd:?}"
            );
        }
    }

    #[test]
    fn chunks_that_do_not_fit_the_body_are_not_used() {
        let framing = |text: &'static str| Chunks::Framing(Bytes::from_static(text.as_bytes()));
        let mut out = b"head".to_vec();
        for chunks in [
            Chunks::Sizes(vec![1, 1]),
            Chunks::Sizes(vec![3, 0]),
            Chunks::Sizes(vec![u64::MAX, 4]),
            framing("2\r\n\r\n0\r\n\r\n"),
            framing("4\r\n\r\n0\r\n\r\n"),
            framing("ffffffffffffffff\r\n\r\n0\r\n\r\n"),
            framing("3\r\n\r\n"),
            framing(""),
        ] {
            assert!(!chunked(&mut out, b"abc", &chunks, &Headers::new()), "{chunks:?}");
            assert_eq!(out, b"head");
        }
        assert!(chunked(&mut out, b"abc", &framing("3;x\n\r\n0\n\n"), &Headers::new()));
        assert_eq!(out, b"head3;x\nabc\r\n0\n\n");
    }

    #[test]
    fn too_much_framing_is_not_kept() {
        let mut gather = ChunkGather::new(true);
        for _ in 0..=limits::CHUNK_FRAMING_BYTES / 6 {
            gather.push(b"1;x\r\n\r\n");
        }
        assert!(gather.is_full() && gather.kept() == 0);
        assert_eq!(gather.finish(&Headers::new()), None);
    }

    #[test]
    fn a_field_goes_behind_the_others_of_a_head_that_is_kept() {
        for (head, with) in [
            ("GET / HTTP/1.1\r\nA:b\r\n\r\n", "GET / HTTP/1.1\r\nA:b\r\nN: v\r\n\r\n"),
            ("GET / HTTP/1.1\n\n", "GET / HTTP/1.1\nN: v\r\n\n"),
        ] {
            let mut verbatim =
                Verbatim { head: Some(Bytes::from_static(head.as_bytes())), chunks: None };
            verbatim.push_field(b"N", b"v");
            assert_eq!(verbatim.head.as_deref(), Some(with.as_bytes()));
        }
    }
}
