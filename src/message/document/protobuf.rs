//! The values of calls: of each message its fields, by a schema with their names, else by their
//! numbers (`#3`). An edit writes one field anew; all other bytes stay.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::super::Headers;
use super::super::grpc::{self, Codec};
use super::super::place::{Step, Trail, is_variable};
use super::super::protobuf::layout::{
    FieldLayout, Layout, Octets, encoded_time, octets_of, octets_text, spans, with_length,
};
use super::super::protobuf::{Encoded, MAX_DEPTH};
use super::{Encoding, Form, Walk, kind_of};

impl Walk<'_> {
    /// The messages of a body, its content codings undone: one that is not framed is the document
    /// itself, else they stand in a list. None where it is the body of no call.
    pub(super) fn call(&mut self, headers: &Headers, body: &[u8]) -> Option<Option<Vec<u8>>> {
        let kind = kind_of(headers);
        let layout = self.call.layout(self.speaker);
        let root = Trail::new(Step::Root);
        if grpc::is_bare_protobuf(kind) {
            return Some(self.message(&root, &layout, body, 0));
        }
        let codec = grpc::codec(kind).filter(|codec| *codec != Codec::Other)?;
        let mut new = Vec::new();
        for (number, message) in grpc::messages(kind, headers, body).messages.iter().enumerate() {
            let at = root.then(Step::Index(number));
            let text = || std::str::from_utf8(message.as_deref()?).ok();
            new.push(match (codec, message) {
                (_, None) => None,
                (Codec::Json, _) => {
                    text().and_then(|text| self.json_at(&at, text)).map(String::into_bytes)
                }
                (_, Some(message)) => self.message(&at, &layout, message, 0),
            });
        }
        let changes = new.iter().any(Option::is_some);
        Some(changes.then(|| grpc::with_messages(kind, body, &new)).flatten())
    }

    /// A message; gives the edited one.
    fn message(
        &mut self,
        at: &Trail<'_>,
        layout: &Layout,
        message: &[u8],
        depth: usize,
    ) -> Option<Vec<u8>> {
        let fields = spans(message).filter(|_| depth < MAX_DEPTH);
        let Some(fields) = fields else {
            self.digest(at, message);
            return None;
        };
        if layout.is_duration() {
            return None;
        }
        if let Some(time) = layout.time(message) {
            let edited = self.one(at, &time.to_string(), Form::Text, Encoding::Plain);
            return edited.and_then(|text| text.parse().ok()).map(encoded_time);
        }
        let any = layout.inside_any(message);
        let mut turns: FxHashMap<u32, (usize, usize)> = FxHashMap::default();
        for field in &fields {
            turns.entry(field.number).or_default().1 += 1;
        }
        let mut out = Spliced::default();
        for field in &fields {
            if self.left == 0 {
                self.cut = true;
                break;
            }
            let (turn, count) = turns.entry(field.number).or_default();
            let own = match (&any, field.number) {
                (Some(inside), 2) => layout.field(2).holding(inside),
                _ => layout.field(field.number),
            };
            let is_list = own.is_list.unwrap_or(*count > 1);
            let place = FieldPlace { at, own: &own, depth };
            let new = match field.value {
                Encoded::Bytes(entry) if own.is_map => self.entry(&place, entry),
                value if is_list => self.elements(&place, value, turn),
                value => self.field(&at.then(Step::Name((&*own.name).into())), &own, value, depth),
            };
            out.put(message, &field.at, new);
        }
        out.finish(message)
    }

    /// An element of a list, or several in one field; `turn`: the next one's number.
    fn elements(
        &mut self,
        place: &FieldPlace<'_>,
        value: Encoded<'_>,
        turn: &mut usize,
    ) -> Option<Vec<u8>> {
        let FieldPlace { at, own, depth } = *place;
        let list = at.then(Step::Name((&*own.name).into()));
        let packed = match value {
            Encoded::Bytes(octets) => match own.octets(octets) {
                Octets::Packed(elements) => Some((octets, elements)),
                _ => None,
            },
            _ => None,
        };
        let Some((octets, elements)) = packed else {
            *turn += 1;
            return self.field(&list.then(Step::Index(*turn - 1)), own, value, depth);
        };
        let mut out = Spliced::default();
        for (element, at) in elements {
            if self.left == 0 {
                self.cut = true;
                break;
            }
            let new = self.field(&list.then(Step::Index(*turn)), own, element, depth);
            out.put(octets, &at, new);
            *turn += 1;
        }
        out.finish(octets).map(|new| with_length(&new))
    }

    /// An entry of a map: its value stands behind its key, as a member behind its name.
    fn entry(&mut self, place: &FieldPlace<'_>, entry: &[u8]) -> Option<Vec<u8>> {
        let FieldPlace { at, own, depth } = *place;
        let layout = own.group();
        let fields = spans(entry)?;
        let kinds = [layout.field(1), layout.field(2)];
        let key = fields.iter().find(|field| field.number == 1);
        let name = match key.map(|key| key.value) {
            Some(Encoded::Bytes(name)) => String::from_utf8_lossy(name).into_owned(),
            Some(number) => kinds[0].number(number)?.into_owned(),
            None => String::new(),
        };
        let map = at.then(Step::Name((&*own.name).into()));
        let member = map.then(Step::Name((&*name).into()));
        let mut out = Spliced::default();
        for field in &fields {
            let new = match field.number {
                1 if is_variable(&name) => {
                    let key = member.then(Step::Key);
                    let edited = self.one(&key, &name, Form::Key, Encoding::Plain);
                    edited.and_then(|edited| match field.value {
                        Encoded::Bytes(_) => Some(with_length(edited.as_bytes())),
                        _ => kinds[0].encoded(&edited),
                    })
                }
                2 => self.field(&member, &kinds[1], field.value, depth),
                _ => None,
            };
            out.put(entry, &field.at, new);
        }
        out.finish(entry).map(|new| with_length(&new))
    }

    /// What stands behind a tag; gives what is to stand there.
    fn field(
        &mut self,
        at: &Trail<'_>,
        own: &FieldLayout,
        value: Encoded<'_>,
        depth: usize,
    ) -> Option<Vec<u8>> {
        match value {
            Encoded::Bytes(octets) => match own.octets(octets) {
                Octets::Message(layout) => {
                    self.message(at, &layout, octets, depth + 1).map(|new| with_length(&new))
                }
                Octets::Text(text) => {
                    let edited = self.text(at, text, Encoding::Plain);
                    edited.map(|new| with_length(new.as_bytes()))
                }
                Octets::Bytes if octets.is_empty() => None,
                Octets::Bytes => {
                    let text = octets_text(octets);
                    let edited = self.one(at, &text, Form::Text, Encoding::Plain);
                    edited.map(|new| with_length(&octets_of(&new)))
                }
                Octets::Packed(_) => None,
            },
            // Groups are as old as they are rare.
            Encoded::Group(_) => None,
            number => {
                let text = own.number(number)?;
                let edited = self.one(at, &text, Form::Bare, Encoding::Bare);
                edited.and_then(|new| own.encoded(&new))
            }
        }
    }
}

/// Octets some parts of which are written anew; the others stay as they were.
#[derive(Default)]
struct Spliced {
    out: Vec<u8>,
    /// Up to where they are written; 0 where nothing is new.
    from: usize,
}

impl Spliced {
    /// Puts `new`, where there is any, in the place of a part behind those before.
    fn put(&mut self, octets: &[u8], at: &Range<usize>, new: Option<Vec<u8>>) {
        if let Some(new) = new {
            self.out.extend_from_slice(&octets[self.from..at.start]);
            self.out.extend_from_slice(&new);
            self.from = at.end;
        }
    }

    /// All of them; none where nothing is new.
    fn finish(mut self, octets: &[u8]) -> Option<Vec<u8>> {
        (self.from > 0).then(|| {
            self.out.extend_from_slice(&octets[self.from..]);
            self.out
        })
    }
}

/// Which field of which message.
#[derive(Clone, Copy)]
struct FieldPlace<'p> {
    at: &'p Trail<'p>,
    own: &'p FieldLayout,
    depth: usize,
}
