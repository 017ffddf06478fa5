//! The tap's protobuf: one trace a file, its segments one behind the other, or many, each behind its
//! length. Only the fields that make exchanges are read (envoy/data/tap/v3/http.proto, core/v3/base.proto, core/v3/address.proto).

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;

use super::{TapItem, ToldMessage, Trace, TracePiece};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::protobuf::{Encoded, field};
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::varint;

/// A trace is no longer than two messages of the most that is kept.
const TRACE_BYTES: usize = 2 * (limits::BODY_BYTES + limits::HEAD_BYTES);

/// Whether a file that begins so is one: a trace of HTTP in a wrapper, behind a length or not,
/// whose first field is a message that holds messages.
pub fn is_one(beginning: &[u8]) -> bool {
    let is_wrapper = |bytes: &[u8]| {
        let mut fields = bytes;
        let nested = |fields: &mut &[u8], numbers: &[u64]| {
            let (key, length) = (varint::take(fields)?, varint::take(fields)?);
            (key & 7 == 2 && numbers.contains(&(key >> 3)) && length > 0).then_some(length)
        };
        let outer = nested(&mut fields, &[1, 2]);
        // A buffered trace begins with its request, which begins with a header field and its key.
        let inner = nested(&mut fields, &[1, 2, 5]).or_else(|| {
            let mut segment = bytes;
            let _ = (varint::take(&mut segment), varint::take(&mut segment));
            // A segment begins with the number of its trace.
            (varint::take(&mut segment)? == 8).then(|| varint::take(&mut segment))?
        });
        match (outer, inner) {
            (Some(outer), Some(inner)) if bytes.first() == Some(&0x0a) => {
                inner < outer
                    && nested(&mut fields, &[1]).is_some()
                    && nested(&mut fields, &[1]).is_some_and(|length| length < 256)
                    && fields.first().is_none_or(|&byte| byte == b':' || byte.is_ascii_lowercase())
            }
            (Some(_), Some(_)) => true,
            _ => false,
        }
    };
    let mut delimited = beginning;
    is_wrapper(beginning) || (varint::take(&mut delimited).is_some() && is_wrapper(delimited))
}

/// Reads the traces; what is damaged ends the file.
pub(super) fn read<E: From<io::Error>>(
    mut input: impl BufRead,
    mut take: impl FnMut(TapItem) -> Result<(), E>,
) -> Result<(), E> {
    let beginning = input.fill_buf()?;
    // A wrapper begins with the key of its only field; a length before it is no such key, as
    // traces of 10 or 18 bytes have no request.
    let is_single = matches!(beginning.first(), Some(0x0a | 0x12)) && {
        let mut fields = beginning;
        let (_, length) = (varint::take(&mut fields), varint::take(&mut fields));
        length.is_some_and(|length| length >= 20)
    };
    let mut trace = Vec::new();
    // What was cut, or is still being written, ends the file: what came before is whole.
    if is_single {
        while let Some(key) = number(&mut input)? {
            let (kind, 2) = (key >> 3, key & 7) else { return Err(damaged().into()) };
            let Some(length) = number(&mut input)? else { return Ok(()) };
            if !filled(&mut trace, &mut input, length)? {
                return Ok(());
            }
            let item = item(kind, &trace).ok_or_else(damaged)?;
            item.map_or(Ok(()), &mut take)?;
        }
        return Ok(());
    }
    while let Some(length) = number(&mut input)? {
        if !filled(&mut trace, &mut input, length)? {
            return Ok(());
        }
        let item = wrapper(&trace).ok_or_else(damaged)?;
        item.map_or(Ok(()), &mut take)?;
    }
    Ok(())
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a trace of Envoy is damaged")
}

/// Reads so many bytes; whether they were there.
fn filled(trace: &mut Vec<u8>, input: &mut impl BufRead, length: u64) -> io::Result<bool> {
    if length > TRACE_BYTES as u64 {
        return Err(damaged());
    }
    trace.clear();
    input.take(length).read_to_end(trace)?;
    Ok(trace.len() as u64 == length)
}

/// A number that stands before a trace; none at the end.
fn number(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    while bytes.len() < varint::MOST_BYTES && bytes.last().is_none_or(|byte| byte & 0x80 != 0) {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            return Ok(None);
        }
        bytes.push(byte[0]);
    }
    Ok(varint::take(&mut &bytes[..]))
}

/// Hands each field of a message to `take`; none where the message is damaged.
fn each<'a>(
    mut message: &'a [u8],
    mut take: impl FnMut(u32, Encoded<'a>) -> Option<()>,
) -> Option<()> {
    while !message.is_empty() {
        let (number, value) = field(&mut message, 0)?;
        take(number, value)?;
    }
    Some(())
}

/// What a wrapper says; none inside where that is nothing.
fn wrapper(bytes: &[u8]) -> Option<Option<TapItem>> {
    let mut found = None;
    each(bytes, |number, value| {
        if let Encoded::Bytes(bytes) = value {
            found = item(u64::from(number), bytes)?;
        }
        Some(())
    })?;
    Some(found)
}

/// What a field of a wrapper says; none inside where that is nothing.
fn item(number: u64, bytes: &[u8]) -> Option<Option<TapItem>> {
    match number {
        1 => Some(Some(TapItem::Whole(buffered(bytes)?))),
        2 => segment(bytes),
        3 | 4 => Some(Some(TapItem::Socket)),
        _ => Some(None),
    }
}

fn buffered(bytes: &[u8]) -> Option<Trace> {
    let mut trace = Trace::default();
    each(bytes, |number, value| {
        match (number, value) {
            (1, Encoded::Bytes(bytes)) => trace.request = Some(told(bytes)?),
            (2, Encoded::Bytes(bytes)) => trace.response = Some(told(bytes)?),
            (3, Encoded::Bytes(bytes)) => {
                each(bytes, |number, value| {
                    match (number, value) {
                        (1, Encoded::Bytes(bytes)) => trace.server = endpoint(bytes)?,
                        (2, Encoded::Bytes(bytes)) => trace.client = endpoint(bytes)?,
                        _ => {}
                    }
                    Some(())
                })?;
            }
            _ => {}
        }
        Some(())
    })?;
    Some(trace)
}

fn told(bytes: &[u8]) -> Option<ToldMessage> {
    let mut told = ToldMessage::default();
    each(bytes, |number, value| {
        match (number, value) {
            (1, Encoded::Bytes(bytes)) => told.headers.push(header(bytes)?),
            (2, Encoded::Bytes(bytes)) => (told.body, told.cut) = body(bytes)?,
            (3, Encoded::Bytes(bytes)) => told.trailers.push(header(bytes)?),
            (4, Encoded::Bytes(bytes)) => told.at = Some(time(bytes)?),
            _ => {}
        }
        Some(())
    })?;
    Some(told)
}

fn header(bytes: &[u8]) -> Option<(Bytes, Bytes)> {
    let (mut key, mut value) = (Bytes::new(), Bytes::new());
    each(bytes, |number, field| {
        match (number, field) {
            (1, Encoded::Bytes(bytes)) => key = Bytes::copy_from_slice(bytes),
            // As text, or raw where it is none.
            (2 | 3, Encoded::Bytes(bytes)) => value = Bytes::copy_from_slice(bytes),
            _ => {}
        }
        Some(())
    })?;
    Some((key, value))
}

fn body(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut body, mut cut) = (Vec::new(), false);
    each(bytes, |number, value| {
        match (number, value) {
            (1 | 2, Encoded::Bytes(bytes)) => body = bytes.to_vec(),
            (3, Encoded::Varint(number)) => cut = number != 0,
            _ => {}
        }
        Some(())
    })?;
    Some((body, cut))
}

/// `google.protobuf.Timestamp`: seconds and nanoseconds.
fn time(bytes: &[u8]) -> Option<Timestamp> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    each(bytes, |number, value| {
        match (number, value) {
            (1, Encoded::Varint(number)) => seconds = number.cast_signed(),
            (2, Encoded::Varint(number)) => nanos = number.cast_signed(),
            _ => {}
        }
        Some(())
    })?;
    let whole = seconds.checked_mul(NANOS_PER_SEC)?.checked_add(nanos)?;
    Some(Timestamp::from_nanos(whole))
}

/// An address of a socket; none inside for others.
fn endpoint(bytes: &[u8]) -> Option<Option<Endpoint>> {
    let mut found = None;
    each(bytes, |number, value| {
        let (1, Encoded::Bytes(bytes)) = (number, value) else { return Some(()) };
        let (mut address, mut port) = (None, 0);
        each(bytes, |number, value| {
            match (number, value) {
                (2, Encoded::Bytes(bytes)) => {
                    address = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                }
                (3, Encoded::Varint(number)) => port = u16::try_from(number).unwrap_or(0),
                _ => {}
            }
            Some(())
        })?;
        found = address.map(|address| Endpoint::new(address, port));
        Some(())
    })?;
    Some(found)
}

fn header_map(bytes: &[u8]) -> Option<Vec<(Bytes, Bytes)>> {
    let mut headers = Vec::new();
    each(bytes, |number, value| {
        if let (1, Encoded::Bytes(bytes)) = (number, value) {
            headers.push(header(bytes)?);
        }
        Some(())
    })?;
    Some(headers)
}

/// A segment; none inside where it has no piece.
fn segment(bytes: &[u8]) -> Option<Option<TapItem>> {
    let (mut id, mut piece) = (0, None);
    each(bytes, |number, value| {
        match (number, value) {
            (1, Encoded::Varint(number)) => id = number,
            (2 | 5, Encoded::Bytes(bytes)) => {
                piece = Some((number > 4, TracePiece::Headers(header_map(bytes)?)));
            }
            (3 | 6, Encoded::Bytes(bytes)) => {
                let (bytes, cut) = body(bytes)?;
                piece = Some((number > 4, TracePiece::Body(bytes, cut)));
            }
            (4 | 7, Encoded::Bytes(bytes)) => {
                piece = Some((number > 4, TracePiece::Trailers(header_map(bytes)?)));
            }
            _ => {}
        }
        Some(())
    })?;
    Some(piece.map(|(is_answer, piece)| TapItem::Segment(id, is_answer, piece)))
}
