//! What stands in a message, field by field as it is encoded: name and type by a schema, else the
//! number and what the octets look like.
//!
//! Unlike [`readings`](super::readings) it keeps to the bytes: one field can be written anew and
//! all others stay as they were.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor};

use super::fields::{Encoded, field, fields};
use super::{Schema, Speaker, is_text};
use crate::time::{NANOS_PER_SEC, Timestamp};
use crate::varint;

/// What is called: its messages have names where a schema knows the method.
#[derive(Clone, Debug, Default)]
pub struct Call(Option<MethodDescriptor>);

impl Call {
    /// The call that a request with this target makes.
    pub fn of(schema: &Schema, target: &[u8]) -> Self {
        Self(schema.method(target))
    }

    /// Whether a schema names its messages.
    pub const fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// The message that one side says.
    pub(crate) fn layout(&self, said: Speaker) -> Layout {
        Layout(self.0.as_ref().map(|method| match said {
            Speaker::Question => method.input(),
            Speaker::Answer => method.output(),
        }))
    }
}

/// What the fields of a message are called and hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout(Option<MessageDescriptor>);

/// A field where it stands.
#[derive(Clone, Debug)]
pub(crate) struct FieldSpan<'m> {
    pub(crate) number: u32,
    pub(crate) value: Encoded<'m>,
    /// What is behind the tag.
    pub(crate) at: Range<usize>,
}

/// The fields of a message; none where it is no message.
pub(crate) fn spans(message: &[u8]) -> Option<Vec<FieldSpan<'_>>> {
    let (mut found, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        let mut behind = rest;
        varint::take(&mut behind)?;
        let start = message.len() - behind.len();
        let (number, value) = field(&mut rest, 0)?;
        found.push(FieldSpan { number, value, at: start..message.len() - rest.len() });
    }
    Some(found)
}

impl Layout {
    /// What a schema says of a field, else nothing but its number.
    pub(crate) fn field(&self, number: u32) -> FieldLayout {
        let known = self.0.as_ref().and_then(|message| message.get_field(number));
        match known {
            Some(field) => FieldLayout {
                name: field.name().to_owned(),
                is_list: Some(field.is_list()),
                is_map: field.is_map(),
                kind: Some(field.kind()),
            },
            None => {
                FieldLayout { name: format!("#{number}"), is_list: None, is_map: false, kind: None }
            }
        }
    }

    /// The instant that a message of this layout is: `google.protobuf.Timestamp`, or what looks
    /// like it.
    pub(crate) fn time(&self, message: &[u8]) -> Option<Timestamp> {
        /// From 2001 to 2100: what else begins with a number is no time.
        const LIKELY: Range<u64> = 1_000_000_000..4_102_444_800;
        let is = |name: &str| self.0.as_ref().is_some_and(|kind| kind.full_name() == name);
        let (seconds, nanos) = match fields(message)?[..] {
            [(1, Encoded::Varint(seconds))] => (seconds, 0),
            [(1, Encoded::Varint(seconds)), (2, Encoded::Varint(nanos))] => (seconds, nanos),
            _ => return None,
        };
        let is_time = match &self.0 {
            Some(_) => is("google.protobuf.Timestamp"),
            None => nanos > 0 && LIKELY.contains(&seconds),
        };
        let nanos = i64::try_from(nanos).ok().filter(|nanos| (0..NANOS_PER_SEC).contains(nanos))?;
        let all = seconds.cast_signed().checked_mul(NANOS_PER_SEC)?.checked_add(nanos)?;
        is_time.then(|| Timestamp::from_nanos(all))
    }

    /// Whether it says how long something is: nothing that one side issues.
    pub(crate) fn is_duration(&self) -> bool {
        self.0.as_ref().is_some_and(|kind| kind.full_name() == "google.protobuf.Duration")
    }

    /// The layout of the message in a `google.protobuf.Any`, whose type a schema knows.
    pub(crate) fn inside_any(&self, message: &[u8]) -> Option<Self> {
        let own = self.0.as_ref().filter(|kind| kind.full_name() == "google.protobuf.Any")?;
        let url = fields(message)?.into_iter().find_map(|field| match field {
            (1, Encoded::Bytes(url)) => std::str::from_utf8(url).ok(),
            _ => None,
        })?;
        let name = url.rsplit('/').next()?;
        own.parent_pool().get_message_by_name(name).map(|kind| Self(Some(kind)))
    }
}

/// An instant as a message.
pub(crate) fn encoded_time(time: Timestamp) -> Vec<u8> {
    let mut out = vec![8];
    varint::put(&mut out, time.nanos().div_euclid(NANOS_PER_SEC).cast_unsigned());
    let nanos = time.nanos().rem_euclid(NANOS_PER_SEC);
    if nanos > 0 {
        out.push(2 << 3);
        varint::put(&mut out, nanos.cast_unsigned());
    }
    out
}

/// What is known of a field.
#[derive(Clone, Debug)]
pub(crate) struct FieldLayout {
    /// Its name, or `#3`.
    pub(crate) name: String,
    /// Whether it is repeated, where that is known.
    pub(crate) is_list: Option<bool>,
    /// Whether it is a map.
    pub(crate) is_map: bool,
    kind: Option<Kind>,
}

/// What a field with a length holds.
#[derive(Clone, Debug)]
pub(crate) enum Octets<'m> {
    /// A message.
    Message(Layout),
    /// A string.
    Text(&'m str),
    /// Anything.
    Bytes,
    /// Elements of a list: numbers without tags, and where each stands.
    Packed(Vec<(Encoded<'m>, Range<usize>)>),
}

impl FieldLayout {
    /// The field with a message of this layout in it.
    pub(crate) fn holding(self, inside: &Layout) -> Self {
        Self { kind: inside.0.clone().map(Kind::Message), ..self }
    }

    /// What stands behind the length.
    pub(crate) fn octets<'m>(&self, octets: &'m [u8]) -> Octets<'m> {
        match &self.kind {
            Some(Kind::Message(message)) => Octets::Message(Layout(Some(message.clone()))),
            Some(Kind::String) => std::str::from_utf8(octets).map_or(Octets::Bytes, Octets::Text),
            Some(Kind::Bytes) => Octets::Bytes,
            Some(kind) => packed(kind, octets).map_or(Octets::Bytes, Octets::Packed),
            None => looks(octets),
        }
    }

    /// The layout of what a map's field or a group holds.
    pub(crate) fn group(&self) -> Layout {
        Layout(self.kind.as_ref().and_then(Kind::as_message).cloned())
    }

    /// What a number says. Of one that nothing names, only what is written as a varint is told:
    /// the others are mostly fractions, which nobody issues.
    pub(crate) fn number(&self, value: Encoded<'_>) -> Option<Cow<'static, str>> {
        let own = |text: String| Some(Cow::Owned(text));
        let of_enum = |number: u64| {
            let words = self.kind.as_ref()?.as_enum()?.clone();
            let word = words.get_value(i32::try_from(number.cast_signed()).ok()?)?;
            Some(Cow::Owned(word.name().to_owned()))
        };
        match (&self.kind, value) {
            (Some(Kind::Bool), Encoded::Varint(value)) => {
                Some(Cow::Borrowed(if value == 0 { "false" } else { "true" }))
            }
            (Some(Kind::Enum(_)), Encoded::Varint(value)) => of_enum(value),
            (Some(Kind::Sint32 | Kind::Sint64), Encoded::Varint(value)) => {
                own(((value >> 1).cast_signed() ^ -((value & 1).cast_signed())).to_string())
            }
            (Some(Kind::Uint32 | Kind::Uint64), Encoded::Varint(value)) => own(value.to_string()),
            (Some(Kind::Int32 | Kind::Int64) | None, Encoded::Varint(value)) => {
                own(value.cast_signed().to_string())
            }
            (Some(Kind::Fixed64), Encoded::Fixed64(bits)) => own(bits.to_string()),
            (Some(Kind::Sfixed64), Encoded::Fixed64(bits)) => own(bits.cast_signed().to_string()),
            (Some(Kind::Fixed32), Encoded::Fixed32(bits)) => own(bits.to_string()),
            (Some(Kind::Sfixed32), Encoded::Fixed32(bits)) => own(bits.cast_signed().to_string()),
            (Some(Kind::Double), Encoded::Fixed64(bits)) => own(f64::from_bits(bits).to_string()),
            (Some(Kind::Float), Encoded::Fixed32(bits)) => own(f32::from_bits(bits).to_string()),
            _ => None,
        }
    }

    /// A number as it is encoded, from its text; none where it does not fit.
    pub(crate) fn encoded(&self, text: &str) -> Option<Vec<u8>> {
        let varint = |value: u64| {
            let mut out = Vec::new();
            varint::put(&mut out, value);
            out
        };
        let signed = |value: i64| varint(value.cast_unsigned());
        let zigzag = |value: i64| varint((value << 1 ^ value >> 63).cast_unsigned());
        Some(match self.kind.as_ref() {
            None => match text.parse() {
                Ok(value) => signed(value),
                Err(_) => varint(text.parse().ok()?),
            },
            Some(Kind::Bool) => varint(u64::from(text.parse::<bool>().ok()?)),
            Some(Kind::Enum(words)) => match words.get_value_by_name(text) {
                Some(word) => signed(word.number().into()),
                None => signed(text.parse::<i32>().ok()?.into()),
            },
            Some(Kind::Int32) => signed(text.parse::<i32>().ok()?.into()),
            Some(Kind::Int64) => signed(text.parse().ok()?),
            Some(Kind::Uint32) => varint(text.parse::<u32>().ok()?.into()),
            Some(Kind::Uint64) => varint(text.parse().ok()?),
            Some(Kind::Sint32) => zigzag(text.parse::<i32>().ok()?.into()),
            Some(Kind::Sint64) => zigzag(text.parse().ok()?),
            Some(Kind::Fixed32) => text.parse::<u32>().ok()?.to_le_bytes().to_vec(),
            Some(Kind::Sfixed32) => text.parse::<i32>().ok()?.to_le_bytes().to_vec(),
            Some(Kind::Float) => text.parse::<f32>().ok()?.to_le_bytes().to_vec(),
            Some(Kind::Fixed64) => text.parse::<u64>().ok()?.to_le_bytes().to_vec(),
            Some(Kind::Sfixed64) => text.parse::<i64>().ok()?.to_le_bytes().to_vec(),
            Some(Kind::Double) => text.parse::<f64>().ok()?.to_le_bytes().to_vec(),
            Some(Kind::String | Kind::Bytes | Kind::Message(_)) => return None,
        })
    }
}

/// Octets that are no text, as a text.
pub(crate) fn octets_text(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// The octets of [`octets_text`].
pub(crate) fn octets_of(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// A field's content with its length before it.
pub(crate) fn with_length(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 4);
    varint::put(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

/// What octets are that nothing names. Text that happens to parse as a message is text: a message
/// of letters alone is known by a text in it that fills it.
fn looks(octets: &[u8]) -> Octets<'_> {
    let text = std::str::from_utf8(octets).ok().filter(|_| is_text(octets));
    // One in four hundred tokens of fifty letters and digits parses as a message with a text.
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let message = if text.is_some() && octets.iter().all(is_word) { None } else { fields(octets) };
    match (text, message) {
        (_, None) | (None, Some(_)) if octets.is_empty() => Octets::Bytes,
        (None, Some(_)) => Octets::Message(Layout::default()),
        (Some(_), Some(found)) if found.iter().any(holds_text) => {
            Octets::Message(Layout::default())
        }
        (Some(text), _) => Octets::Text(text),
        (None, None) => Octets::Bytes,
    }
}

fn holds_text((_, value): &(u32, Encoded<'_>)) -> bool {
    matches!(value, Encoded::Bytes(content) if is_text(content))
}

/// The elements of a list of numbers, and where each stands; none where the octets are no such
/// list.
fn packed<'m>(kind: &Kind, octets: &'m [u8]) -> Option<Vec<(Encoded<'m>, Range<usize>)>> {
    let (mut found, mut rest) = (Vec::new(), octets);
    while !rest.is_empty() {
        let start = octets.len() - rest.len();
        let element = match kind {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => {
                Encoded::Fixed64(u64::from_le_bytes(varint::fixed(&mut rest)?))
            }
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => {
                Encoded::Fixed32(u32::from_le_bytes(varint::fixed(&mut rest)?))
            }
            _ => Encoded::Varint(varint::take(&mut rest)?),
        };
        found.push((element, start..octets.len() - rest.len()));
    }
    Some(found)
}
