//! The tap's protobuf: one trace a file, or many, each behind its length. Only the fields that make
//! exchanges are read (envoy/data/tap/v3/http.proto, core/v3/base.proto, core/v3/address.proto).

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;

use super::{TapItem, ToldMessage, Trace, TracePiece};
use crate::flow::Endpoint;
use crate::limits;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// A trace is no longer than two messages of the most that is kept.
const TRACE_BYTES: usize = 2 * (limits::BODY_BYTES + limits::HEAD_BYTES);
/// Bytes of a number of variable length, at most.
const VARINT_BYTES: usize = 10;

/// Whether a file that begins so is one: a trace of HTTP in a wrapper, behind a length or not,
/// whose first field is a message that holds messages.
pub fn is_one(beginning: &[u8]) -> bool {
    let is_wrapper = |bytes: &[u8]| {
        let mut fields = ProtoFields(bytes);
        let nested = |fields: &mut ProtoFields<'_>, numbers: &[u64]| {
            let (key, length) = (fields.varint()?, fields.varint()?);
            (key & 7 == 2 && numbers.contains(&(key >> 3)) && length > 0).then_some(length)
        };
        let outer = nested(&mut fields, &[1, 2]);
        // A buffered trace begins with its request, which begins with a header field and its key.
        let inner = nested(&mut fields, &[1, 2, 5]).or_else(|| {
            let mut segment = ProtoFields(bytes);
            let _ = (segment.varint(), segment.varint());
            // A segment begins with the number of its trace.
            (segment.varint()? == 8).then(|| segment.varint())?
        });
        match (outer, inner) {
            (Some(outer), Some(inner)) if bytes.first() == Some(&0x0a) => {
                inner < outer
                    && nested(&mut fields, &[1]).is_some()
                    && nested(&mut fields, &[1]).is_some_and(|length| length < 256)
                    && fields
                        .0
                        .first()
                        .is_none_or(|&byte| byte == b':' || byte.is_ascii_lowercase())
            }
            (Some(_), Some(_)) => true,
            _ => false,
        }
    };
    let mut delimited = ProtoFields(beginning);
    is_wrapper(beginning) || (delimited.varint().is_some() && is_wrapper(delimited.0))
}

/// Reads the traces; what is damaged ends the file.
pub(super) fn read<E: From<io::Error>>(
    mut input: impl BufRead,
    mut take: impl FnMut(TapItem) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a trace of Envoy is damaged");
    let beginning = input.fill_buf()?;
    // A wrapper begins with the key of its only field; a length before it is no such key, as
    // traces of 10 or 18 bytes have no request.
    let is_single = matches!(beginning.first(), Some(0x0a | 0x12)) && {
        let mut fields = ProtoFields(beginning);
        let (_, length) = (fields.varint(), fields.varint());
        length.is_some_and(|length| length >= 20)
    };
    let mut trace = Vec::new();
    if is_single {
        (&mut input).take(TRACE_BYTES as u64).read_to_end(&mut trace)?;
        return wrapper(&trace).ok_or_else(damaged).map_err(E::from).and_then(take);
    }
    while let Some(length) = length(&mut input)? {
        if length > TRACE_BYTES as u64 {
            return Err(damaged().into());
        }
        trace.clear();
        (&mut input).take(length).read_to_end(&mut trace)?;
        if (trace.len() as u64) < length {
            // Still being written, or cut: what came before is whole.
            return Ok(());
        }
        wrapper(&trace).ok_or_else(damaged).map_err(E::from).and_then(&mut take)?;
    }
    Ok(())
}

/// The length before a trace; none at the end.
fn length(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    while bytes.len() < VARINT_BYTES && bytes.last().is_none_or(|byte| byte & 0x80 != 0) {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            return Ok(None);
        }
        bytes.push(byte[0]);
    }
    Ok(ProtoFields(&bytes).varint())
}

/// The fields of a message (protobuf.dev, "Encoding").
struct ProtoFields<'a>(&'a [u8]);

enum ProtoValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> ProtoFields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for place in 0..VARINT_BYTES.min(self.0.len()) {
            let byte = self.0[place];
            value |= u64::from(byte & 0x7f).checked_shl(7 * place as u32)?;
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next field and its number; none where it is damaged. To be asked while there are bytes.
    fn field(&mut self) -> Option<(u64, ProtoValue<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => ProtoValue::Number(self.varint()?),
            1 => self.bytes(8).map(|_| ProtoValue::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                ProtoValue::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| ProtoValue::Other)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }

    /// Hands each field to `each`; none where the message is damaged.
    fn each(mut self, mut each: impl FnMut(u64, ProtoValue<'a>) -> Option<()>) -> Option<()> {
        while !self.0.is_empty() {
            let (number, value) = self.field()?;
            each(number, value)?;
        }
        Some(())
    }
}

fn wrapper(bytes: &[u8]) -> Option<TapItem> {
    let mut found = None;
    ProtoFields(bytes).each(|number, value| {
        match (number, value) {
            (1, ProtoValue::Bytes(bytes)) => found = Some(TapItem::Whole(buffered(bytes)?)),
            (2, ProtoValue::Bytes(bytes)) => found = segment(bytes)?,
            (3 | 4, _) => found = Some(TapItem::Socket),
            _ => {}
        }
        Some(())
    })?;
    found
}

fn buffered(bytes: &[u8]) -> Option<Trace> {
    let mut trace = Trace::default();
    ProtoFields(bytes).each(|number, value| {
        match (number, value) {
            (1, ProtoValue::Bytes(bytes)) => trace.request = Some(told(bytes)?),
            (2, ProtoValue::Bytes(bytes)) => trace.response = Some(told(bytes)?),
            (3, ProtoValue::Bytes(bytes)) => {
                ProtoFields(bytes).each(|number, value| {
                    match (number, value) {
                        (1, ProtoValue::Bytes(bytes)) => trace.server = endpoint(bytes)?,
                        (2, ProtoValue::Bytes(bytes)) => trace.client = endpoint(bytes)?,
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
    ProtoFields(bytes).each(|number, value| {
        match (number, value) {
            (1, ProtoValue::Bytes(bytes)) => told.headers.push(header(bytes)?),
            (2, ProtoValue::Bytes(bytes)) => (told.body, told.cut) = body(bytes)?,
            (3, ProtoValue::Bytes(bytes)) => told.trailers.push(header(bytes)?),
            (4, ProtoValue::Bytes(bytes)) => told.at = Some(time(bytes)?),
            _ => {}
        }
        Some(())
    })?;
    Some(told)
}

fn header(bytes: &[u8]) -> Option<(Bytes, Bytes)> {
    let (mut key, mut value) = (Bytes::new(), Bytes::new());
    ProtoFields(bytes).each(|number, field| {
        match (number, field) {
            (1, ProtoValue::Bytes(bytes)) => key = Bytes::copy_from_slice(bytes),
            // As text, or raw where it is none.
            (2 | 3, ProtoValue::Bytes(bytes)) => value = Bytes::copy_from_slice(bytes),
            _ => {}
        }
        Some(())
    })?;
    Some((key, value))
}

fn body(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut body, mut cut) = (Vec::new(), false);
    ProtoFields(bytes).each(|number, value| {
        match (number, value) {
            (1 | 2, ProtoValue::Bytes(bytes)) => body = bytes.to_vec(),
            (3, ProtoValue::Number(number)) => cut = number != 0,
            _ => {}
        }
        Some(())
    })?;
    Some((body, cut))
}

/// `google.protobuf.Timestamp`: seconds and nanoseconds.
fn time(bytes: &[u8]) -> Option<Timestamp> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    ProtoFields(bytes).each(|number, value| {
        match (number, value) {
            (1, ProtoValue::Number(number)) => seconds = number.cast_signed(),
            (2, ProtoValue::Number(number)) => nanos = number.cast_signed(),
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
    ProtoFields(bytes).each(|number, value| {
        let (1, ProtoValue::Bytes(bytes)) = (number, value) else { return Some(()) };
        let (mut address, mut port) = (None, 0);
        ProtoFields(bytes).each(|number, value| {
            match (number, value) {
                (2, ProtoValue::Bytes(bytes)) => {
                    address = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                }
                (3, ProtoValue::Number(number)) => port = u16::try_from(number).unwrap_or(0),
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
    ProtoFields(bytes).each(|number, value| {
        if let (1, ProtoValue::Bytes(bytes)) = (number, value) {
            headers.push(header(bytes)?);
        }
        Some(())
    })?;
    Some(headers)
}

/// A segment; none inside where it has no piece.
fn segment(bytes: &[u8]) -> Option<Option<TapItem>> {
    let (mut id, mut piece) = (0, None);
    ProtoFields(bytes).each(|number, value| {
        match (number, value) {
            (1, ProtoValue::Number(number)) => id = number,
            (2 | 5, ProtoValue::Bytes(bytes)) => {
                piece = Some((number > 4, TracePiece::Headers(header_map(bytes)?)));
            }
            (3 | 6, ProtoValue::Bytes(bytes)) => {
                let (bytes, cut) = body(bytes)?;
                piece = Some((number > 4, TracePiece::Body(bytes, cut)));
            }
            (4 | 7, ProtoValue::Bytes(bytes)) => {
                piece = Some((number > 4, TracePiece::Trailers(header_map(bytes)?)));
            }
            _ => {}
        }
        Some(())
    })?;
    Some(piece.map(|(is_answer, piece)| TapItem::Segment(id, is_answer, piece)))
}
