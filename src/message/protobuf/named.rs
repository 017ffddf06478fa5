//! Messages as JSON by a schema, and back where a text of it was edited.

use std::collections::{BTreeMap, HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};
use serde_json::Value as Json;

use super::numbered;
use super::shape::Shape;
use super::{push_float, push_text};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Writes a message; false where it is not the one of its schema.
pub(super) fn as_json(kind: &MessageDescriptor, message: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(message) = DynamicMessage::decode(kind.clone(), message) else { return false };
    object(&message, out);
    true
}

fn object(message: &DynamicMessage, out: &mut Vec<u8>) {
    if let Some(time) = timestamp(message) {
        return push_text(out, &time.to_string());
    }
    out.push(b'{');
    let any = any(message);
    if let Some((name, inside)) = &any {
        member("@type", out, |out| push_text(out, name));
        member("value", out, |out| object(inside, out));
    } else {
        for (field, value) in message.fields() {
            member(field.name(), out, |out| push(&field.kind(), value, out));
        }
    }
    unknown(message, out);
    out.push(b'}');
}

fn member(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    if !out.ends_with(b"{") {
        out.push(b',');
    }
    push_text(out, name);
    out.push(b':');
    value(out);
}

/// Fields that the schema does not have, by their numbers.
fn unknown(message: &DynamicMessage, out: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    message.unknown_fields().for_each(|field| field.encode(&mut bytes));
    let mut text = Vec::new();
    if !bytes.is_empty() && numbered::as_json(&Shape::default(), &bytes, &mut text) {
        let members = &text[1..text.len() - 1];
        if !members.is_empty() && !out.ends_with(b"{") {
            out.push(b',');
        }
        out.extend_from_slice(members);
    }
}

fn push(kind: &Kind, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::I32(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::I64(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::U32(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::U64(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::F32(value) => push_float(out, *value),
        Value::F64(value) => push_float(out, *value),
        Value::String(text) => push_text(out, text),
        Value::Bytes(bytes) => push_text(out, &STANDARD.encode(bytes)),
        Value::EnumNumber(number) => {
            let word = kind.as_enum().and_then(|words| words.get_value(*number));
            match word {
                Some(word) => push_text(out, word.name()),
                None => out.extend_from_slice(number.to_string().as_bytes()),
            }
        }
        Value::Message(message) => object(message, out),
        Value::List(values) => list(kind, values, out),
        Value::Map(entries) => map(kind, entries, out),
    }
}

fn list(kind: &Kind, values: &[Value], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(kind, value, out);
    }
    out.push(b']');
}

/// Keys stand in their order: that of the encoding means nothing.
fn map(kind: &Kind, entries: &HashMap<MapKey, Value>, out: &mut Vec<u8>) {
    let Some(entry) = kind.as_message() else { return };
    let kind = entry.map_entry_value_field().kind();
    let sorted: BTreeMap<String, &Value> =
        entries.iter().map(|(key, value)| (key_text(key), value)).collect();
    out.push(b'{');
    for (key, value) in sorted {
        member(&key, out, |out| push(&kind, value, out));
    }
    out.push(b'}');
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// The instant that a `google.protobuf.Timestamp` is.
fn timestamp(message: &DynamicMessage) -> Option<Timestamp> {
    if message.descriptor().full_name() != "google.protobuf.Timestamp" {
        return None;
    }
    let number = |name| message.get_field_by_name(name);
    let seconds = number("seconds")?.as_i64()?;
    let nanos = number("nanos")?.as_i32().filter(|nanos| (0..1_000_000_000).contains(nanos))?;
    let all = seconds.checked_mul(NANOS_PER_SEC)?.checked_add(i64::from(nanos))?;
    Some(Timestamp::from_nanos(all))
}

/// The type and the message inside of a `google.protobuf.Any` whose type is known.
fn any(message: &DynamicMessage) -> Option<(String, DynamicMessage)> {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return None;
    }
    let (url, value) =
        (message.get_field_by_name("type_url")?, message.get_field_by_name("value")?);
    let url = url.as_str()?;
    let pool = message.descriptor().parent_pool().clone();
    let kind = pool.get_message_by_name(url.rsplit('/').next()?)?;
    let inside = DynamicMessage::decode(kind, value.as_bytes()?.clone()).ok()?;
    Some((url.to_owned(), inside))
}

/// The message with what was edited in its JSON, which [`as_json`] wrote. A text that does not fit
/// where it is to stand (a word in the place of a number) leaves the default there: nothing of the
/// old value stays. None where the edited text is no JSON.
pub(super) fn with_json(
    kind: &MessageDescriptor,
    message: &[u8],
    edited: &[u8],
) -> Option<Vec<u8>> {
    let mut message = DynamicMessage::decode(kind.clone(), message).ok()?;
    let edited: Json = serde_json::from_slice(edited).ok()?;
    put(&mut message, &edited);
    Some(message.encode_to_vec())
}

fn put(message: &mut DynamicMessage, edited: &Json) {
    let mut old = Vec::new();
    object(message, &mut old);
    let Ok(old) = serde_json::from_slice::<Json>(&old) else { return };
    if old == *edited {
        return;
    }
    let (Json::Object(old), Json::Object(edited)) = (old, edited) else {
        // A time that is no time any more.
        return message.clear();
    };
    if old.iter().any(|(name, value)| name.starts_with('#') && edited.get(name) != Some(value)) {
        message.take_unknown_fields().for_each(drop);
    }
    if let Some((url, mut inside)) = any(message) {
        if let Some(edited) = edited.get("value") {
            put(&mut inside, edited);
        }
        message.set_field_by_name("type_url", Value::String(url));
        return message.set_field_by_name("value", Value::Bytes(inside.encode_to_vec().into()));
    }
    for (field, value) in message.fields_mut() {
        match edited.get(field.name()) {
            Some(edited) => put_value(&field.kind(), value, edited),
            None => *value = Value::default_value_for_field(&field),
        }
    }
}

fn put_value(kind: &Kind, value: &mut Value, edited: &Json) {
    let text = match edited {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Bool(value) => *value = edited.as_bool().unwrap_or_default(),
        Value::I32(value) => *value = text.parse().unwrap_or_default(),
        Value::I64(value) => *value = text.parse().unwrap_or_default(),
        Value::U32(value) => *value = text.parse().unwrap_or_default(),
        Value::U64(value) => *value = text.parse().unwrap_or_default(),
        Value::F32(value) => *value = text.parse().unwrap_or_default(),
        Value::F64(value) => *value = text.parse().unwrap_or_default(),
        Value::String(value) => *value = text,
        Value::Bytes(value) => {
            *value = STANDARD.decode(&text).unwrap_or_else(|_| text.into_bytes()).into();
        }
        Value::EnumNumber(number) => {
            let word = kind.as_enum().and_then(|words| words.get_value_by_name(&text));
            *number = word.map_or_else(|| text.parse().unwrap_or_default(), |word| word.number());
        }
        Value::Message(message) => put(message, edited),
        Value::List(values) => {
            let edited = edited.as_array().map_or(&[][..], Vec::as_slice);
            values.truncate(edited.len());
            values.iter_mut().zip(edited).for_each(|(value, new)| put_value(kind, value, new));
        }
        Value::Map(entries) => put_entries(kind, entries, edited),
    }
}

/// Entries whose keys were edited stand in the order of their old keys.
fn put_entries(kind: &Kind, entries: &mut HashMap<MapKey, Value>, edited: &Json) {
    let (Some(entry), Json::Object(edited)) = (kind.as_message(), edited) else {
        return entries.clear();
    };
    let kind = entry.map_entry_value_field().kind();
    let old: BTreeMap<String, (MapKey, Value)> =
        entries.drain().map(|(key, value)| (key_text(&key), (key, value))).collect();
    let known: HashSet<String> = old.keys().cloned().collect();
    let mut new = edited.iter().filter(|(key, _)| !known.contains(*key));
    for (text, (key, mut value)) in old {
        match (edited.get(&text), &key) {
            (Some(edited), _) => {
                put_value(&kind, &mut value, edited);
                entries.insert(key, value);
            }
            (None, MapKey::String(_)) => {
                if let Some((key, edited)) = new.next() {
                    put_value(&kind, &mut value, edited);
                    entries.insert(MapKey::String(key.clone()), value);
                }
            }
            (None, _) => {}
        }
    }
}
