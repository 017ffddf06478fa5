//! A prepared request with other values in it: what changes is written anew, and every other byte
//! stays as it was prepared.
//!
//! Where something changes is told by the message's parts ([`Changes`]), which know nothing of
//! HTTP/1. Here they are found in its text: the target in the start line, field values in their
//! lines, the body in its chunks.

use crate::message::edit::Changes;
use crate::message::wire::{Chunks, Verbatim};
use crate::message::{Body, Framing, Request};
use crate::wire::h1::encode;
use crate::wire::h1::verbatim::size_line;

/// Appends `request` with `changes`; gives the length of the head. `prepared`: its bytes, the first
/// `head` of which are its head; of a long one the first part will do where the body stays.
pub fn patched(
    out: &mut Vec<u8>,
    prepared: &[u8],
    head: usize,
    request: &Request,
    changes: &Changes,
) -> usize {
    let (start, head) = (out.len(), head.min(prepared.len()));
    if !patch_head(out, &prepared[..head], request, changes) {
        // Not the head of this request: it is written in the usual form.
        out.truncate(start);
        let target = changes.target.as_deref().unwrap_or(&request.target);
        let headers = changes.fields(&request.headers);
        encode::usual_head(out, (&request.method, target, request.version), &headers);
    }
    let length = out.len() - start;
    match &changes.body {
        Some(body) => patch_body(out, request, body),
        None => out.extend_from_slice(&prepared[head..]),
    }
    length
}

/// Appends the head, line by line. `false`: its lines are not the request's fields.
fn patch_head(out: &mut Vec<u8>, head: &[u8], request: &Request, changes: &Changes) -> bool {
    let mut lines = head.split_inclusive(|&byte| byte == b'\n');
    let Some(first) = lines.next() else { return false };
    match &changes.target {
        Some(target) if !patch_first(out, first, &request.target, target) => return false,
        Some(_) => {}
        None => out.extend_from_slice(first),
    }
    let (mut fields, mut changed) = (0, changes.fields.iter().peekable());
    // Whether the lines that a fold adds to the field go with it.
    let mut dropped = false;
    for line in lines {
        if line.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            for (name, value) in &changes.added {
                out.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
            }
            out.extend_from_slice(line);
            return fields == request.headers.len() && changed.peek().is_none();
        }
        if matches!(line[0], b' ' | b'\t') && fields > 0 {
            if !dropped {
                out.extend_from_slice(line);
            }
            continue;
        }
        dropped = match changed.next_if(|(at, _)| *at == fields) {
            Some((_, value)) => {
                if let Some(value) = value {
                    patch_field(out, line, value);
                }
                true
            }
            None => {
                out.extend_from_slice(line);
                false
            }
        };
        fields += 1;
    }
    false
}

/// Appends a start line with another target.
fn patch_first(out: &mut Vec<u8>, line: &[u8], old: &[u8], new: &[u8]) -> bool {
    let method = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(0);
    let Some(at) = memchr::memmem::find(&line[method..], old) else { return false };
    let at = method + at;
    out.extend_from_slice(&line[..at]);
    out.extend_from_slice(new);
    out.extend_from_slice(&line[at + old.len()..]);
    true
}

/// Appends a field's line with another value; the blanks around it stay.
fn patch_field(out: &mut Vec<u8>, line: &[u8], value: &[u8]) {
    let content = line.trim_ascii_end();
    let from = memchr::memchr(b':', content).map_or(content.len(), |colon| {
        let behind = &content[colon + 1..];
        content.len() - behind.trim_ascii_start().len()
    });
    out.extend_from_slice(&content[..from]);
    if content[..from].ends_with(b":") && content.len() == from && !value.is_empty() {
        out.push(b' ');
    }
    out.extend_from_slice(value);
    out.extend_from_slice(&line[content.len()..]);
}

/// Appends another body in the framing of the old one: chunks end where they did, as far as their
/// data is the same.
fn patch_body(out: &mut Vec<u8>, request: &Request, new: &[u8]) {
    if request.framing != Framing::Chunked {
        out.extend_from_slice(new);
        return;
    }
    let old = &request.body.bytes[..];
    let chunks = request.verbatim.as_ref().and_then(|verbatim| verbatim.chunks.as_ref());
    let chunks = chunks.and_then(|chunks| match chunks {
        Chunks::Sizes(sizes) => {
            let moved = moved(sizes, old, new).into_iter().filter(|&size| size > 0);
            Some(Chunks::Sizes(moved.collect()))
        }
        Chunks::Framing(framing) => reframed(framing, old, new).map(|f| Chunks::Framing(f.into())),
    });
    let changed = Request {
        framing: request.framing,
        body: Body::whole(new.to_vec()),
        trailers: request.trailers.clone(),
        verbatim: Verbatim::of(None, chunks),
        ..Request::default()
    };
    encode::body(out, &changed);
}

/// The sizes of the chunks of `new`, cut where `old` was: before and behind what changed at the
/// same places, inside as near to them as it goes.
fn moved(sizes: &[u64], old: &[u8], new: &[u8]) -> Vec<u64> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - same;
    let behind = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b);
    let (same, behind) = (same as u64, behind.count() as u64);
    let (old, new) = (old.len() as u64, new.len() as u64);
    let (mut end, mut last) = (0u64, 0u64);
    let mut cut: Vec<u64> = Vec::with_capacity(sizes.len());
    for size in sizes {
        end = end.saturating_add(*size).min(old);
        let at = match end {
            _ if end == old => new,
            _ if end <= same => end,
            _ if end >= old - behind => end + new - old,
            _ => end.min(new - behind),
        };
        let at = at.max(last);
        cut.push(at - last);
        last = at;
    }
    cut
}

/// What stood around the chunks of `old`, for those of `new`: sizes are written anew, extensions
/// and line ends stay. None where it is not the framing of `old`.
fn reframed(framing: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let (mut parts, mut rest) = (Vec::new(), framing);
    let end = loop {
        let (line, size) = size_line(rest)?;
        let behind = &rest[line.len()..];
        if size == 0 {
            break rest;
        }
        let (close, behind) = behind.split_at(memchr::memchr(b'\n', behind)? + 1);
        parts.push((line, size, close));
        rest = behind;
    };
    let sizes: Vec<u64> = parts.iter().map(|(_, size, _)| *size).collect();
    if sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size)) != Some(old.len() as u64) {
        return None;
    }
    let mut out = Vec::with_capacity(framing.len());
    for ((line, old_size, close), size) in parts.into_iter().zip(moved(&sizes, old, new)) {
        if size == 0 {
            continue;
        }
        if size == old_size {
            out.extend_from_slice(line);
        } else {
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            out.extend_from_slice(format!("{size:x}").as_bytes());
            out.extend_from_slice(&line[digits..]);
        }
        out.extend_from_slice(close);
    }
    out.extend_from_slice(end);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::document::{Bounds, Walk};
    use crate::message::edit::Puts;
    use crate::wire::h1::parser::{Message, MessageSide, Parser};

    fn read(wire: &[u8]) -> Request {
        let mut parser = Parser::<u8>::new(MessageSide::Requests, Default::default());
        match parser.step(&mut &wire[..], 0).expect("a whole request").message {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a request was read"),
        }
    }

    fn put(wire: &str, puts: &[(&str, &str)]) -> String {
        let request = read(wire.as_bytes());
        let places = puts.iter().map(|(at, text)| (at.parse().unwrap(), (*text).to_owned()));
        let mut visit = Puts(places.collect());
        let edited = Walk::new(&mut visit, Bounds::default()).request(&request);
        let changes = Changes::of(&request.headers, edited);
        let mut out = Vec::new();
        let head = wire.find("\n\r\n").map_or_else(|| wire.find("\n\n").unwrap() + 2, |at| at + 3);
        let length = patched(&mut out, wire.as_bytes(), head, &request, &changes);
        assert!(out[..length].ends_with(b"\n"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_changes_is_written_anew() {
        for (wire, puts, expected) in [
            (
                "GET  /a/7?x=1  HTTP/1.1\r\nHost :  h \r\nCookie:a=1; b=2\r\n\r\n",
                &[("path[2]", "900"), ("cookie:b", "22")][..],
                "GET  /a/900?x=1  HTTP/1.1\r\nHost :  h \r\nCookie:a=1; b=22\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\nA: x\n\t y\nB:  z \n\n",
                &[("header:b", "new")],
                "GET / HTTP/1.1\nA: x\n\t y\nB:  new \n\n",
            ),
            (
                "GET / HTTP/1.1\nA: x\n\t y\nB: z\n\n",
                &[("header:a", "new")],
                "GET / HTTP/1.1\nA: new\nB: z\n\n",
            ),
            (
                "POST / HTTP/1.1\r\ncontent-LENGTH:  9\r\nContent-MD5: x\r\n\r\n{\"id\": 7}",
                &[("$.id", "1234")],
                "POST / HTTP/1.1\r\ncontent-LENGTH:  12\r\n\
                 Content-MD5: QOKaoCfAZuDZlthZQ2TDDw==\r\n\r\n{\"id\": 1234}",
            ),
        ] {
            let got = put(wire, puts);
            if wire.contains("MD5") {
                let digest = "Content-MD5: ";
                let cut = |text: &str| text[..text.find(digest).unwrap()].to_owned();
                assert_eq!(cut(&got), cut(expected));
                assert!(got.ends_with("==\r\n\r\n{\"id\": 1234}"), "{got}");
                continue;
            }
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn chunks_end_where_they_did() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (body, expected) in [
            (
                "5\r\n{\"id\"\r\n5\r\n: 7, \r\n6\r\n\"x\":1}\r\n0\r\n\r\n",
                "5\r\n{\"id\"\r\n8\r\n: 1234, \r\n6\r\n\"x\":1}\r\n0\r\n\r\n",
            ),
            (
                "7\r\n{\"id\": \r\n2;e=1\r\n7}\r\n0\r\nT:v\r\n\r\n",
                "7\r\n{\"id\": \r\n5;e=1\r\n1234}\r\n0\r\nT:v\r\n\r\n",
            ),
            ("9\r\n{\"id\": 7}\r\n0\r\n\r\n", "c\r\n{\"id\": 1234}\r\n0\r\n\r\n"),
        ] {
            let got = put(&format!("{head}{body}"), &[("$.id", "1234")]);
            assert_eq!(got, format!("{head}{expected}"));
        }
    }

    proptest! {
        #[test]
        fn chunks_hold_the_new_body_whatever_it_is(
            sizes in proptest::collection::vec(1u64..9, 1..6),
            new in "[a-c]{0,30}",
            fill in "[a-c]{40}",
        ) {
            let length: u64 = sizes.iter().sum();
            let old = &fill.as_bytes()[..length as usize];
            let moved = moved(&sizes, old, new.as_bytes());
            prop_assert_eq!(moved.iter().sum::<u64>(), new.len() as u64);
            if old == new.as_bytes() {
                prop_assert_eq!(moved, sizes);
            }
        }
    }
}
