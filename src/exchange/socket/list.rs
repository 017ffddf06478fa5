//! Messages of a WebSocket as the elements of one list in JSON, by which they are compared and the
//! values in them have places: `$[3].price` is in the fourth message.
//!
//! A message that is JSON stands in the list as such, another text as a string, octets by length
//! and hash, the end by its code and reason. JSON that was sent as octets stands below `binary`,
//! and JSON behind the digits of a packet (`42["join",{"room":7}]`, as Engine.IO and Socket.IO have
//! it) below these.

use sha2::{Digest as _, Sha256};

use crate::exchange::{SocketKind, SocketMessage};
use crate::message::document::digest_text;
use crate::message::json::escape::escape;
use crate::message::json::tape::Tape;
use crate::message::place::{Place, Step};

/// How messages stand one behind the other.
#[derive(Clone, Copy, Debug)]
pub enum SocketForm {
    /// As a list in JSON.
    List,
    /// Each on a line of its own.
    Lines,
}

/// Below which name JSON stands that was sent as octets.
pub const OCTETS: &str = "binary";
/// Longest beginning of a packet.
const PACKET_BYTES: usize = 64;

/// Messages one behind the other.
pub fn written<'m>(
    form: SocketForm,
    messages: impl IntoIterator<Item = &'m SocketMessage>,
) -> Vec<u8> {
    let (first, between, last) = match form {
        SocketForm::List => (&b"["[..], b',', &b"]"[..]),
        SocketForm::Lines => (&b""[..], b'\n', &b""[..]),
    };
    let mut out = first.to_vec();
    for (place, message) in messages.into_iter().enumerate() {
        if place > 0 {
            out.push(between);
        }
        element(&mut out, message, form);
    }
    out.extend_from_slice(last);
    out
}

/// Appends a message as it stands among others.
pub fn element(out: &mut Vec<u8>, message: &SocketMessage, form: SocketForm) {
    let data = &message.data;
    let named = |out: &mut Vec<u8>, name: &str, value: &str| {
        out.extend_from_slice(b"\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        string(out, value);
    };
    match (message.kind, std::str::from_utf8(&data.bytes)) {
        (SocketKind::Close, _) => {
            out.extend_from_slice(format!("{{\"close\":{},", message.close_code()).as_bytes());
            named(out, "reason", &message.close_reason());
            out.push(b'}');
        }
        (SocketKind::Text | SocketKind::Binary, Ok(_))
            if let Some((name, document)) = document(message, form) =>
        {
            match name {
                None => out.extend_from_slice(document),
                Some(name) => {
                    out.extend_from_slice(before(name).as_bytes());
                    out.extend_from_slice(document);
                    out.push(b'}');
                }
            }
        }
        (SocketKind::Text, Ok(text)) if !data.is_cut() => string(out, text),
        (SocketKind::Text, _) => string(out, &String::from_utf8_lossy(&data.bytes)),
        (kind, _) => {
            out.push(b'{');
            named(out, kind.name(), &digest_text(data.length, &Sha256::digest(&data.bytes)));
            out.push(b'}');
        }
    }
}

/// Whether the values of a message can be looked at.
pub fn is_told(message: &SocketMessage) -> bool {
    message.kind == SocketKind::Text || document(message, SocketForm::List).is_some()
}

/// The JSON in a message, and the name below which it stands among others, where it does not stand
/// there by itself. A document that is laid out over several lines does not on one line.
fn document(message: &SocketMessage, form: SocketForm) -> Option<(Option<&str>, &[u8])> {
    let data = &message.data;
    let bytes = &data.bytes[..];
    if data.is_cut()
        || matches!(form, SocketForm::Lines) && bytes.iter().any(|b| b"\n\r".contains(b))
    {
        return None;
    }
    let (name, document) = match message.kind {
        SocketKind::Binary => (Some(OCTETS), bytes),
        SocketKind::Text => match packet(bytes) {
            0 => (None, bytes),
            end => (Some(std::str::from_utf8(&bytes[..end]).ok()?), &bytes[end..]),
        },
        _ => return None,
    };
    let holds = matches!(document.trim_ascii_start().first(), Some(b'{' | b'['));
    (holds && Tape::parse(document).is_ok()).then_some((name, document))
}

/// Where the JSON of a packet begins: behind its types, the count of what is attached, the namespace
/// and the number of an acknowledgement (`451-/admin,12["x"]`).
fn packet(bytes: &[u8]) -> usize {
    let digits =
        |at: usize| at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = digits(0);
    if at == 0 {
        return 0;
    }
    at += usize::from(bytes.get(at) == Some(&b'-'));
    if bytes.get(at) == Some(&b'/') {
        let name = bytes[at..].iter().take(PACKET_BYTES);
        let plain =
            |byte: &&u8| !matches!(byte, b',' | b'"' | b'\\' | b'{' | b'[' | ..=b' ' | 0x7f..);
        at += name.take_while(plain).count();
        if bytes.get(at) != Some(&b',') {
            return 0;
        }
        at += 1;
    }
    let end = digits(at);
    if end <= PACKET_BYTES { end } else { 0 }
}

/// What stands before JSON below a name, and `}` behind it.
fn before(name: &str) -> String {
    format!("{{\"{name}\":")
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// What a message says when this is its element in a list of JSON: a document as it stands, or what
/// the string holds. `message` is how it was.
pub fn content_of(message: &SocketMessage, element: &str) -> Vec<u8> {
    if let Some((Some(name), _)) = document(message, SocketForm::List) {
        let inside = element.strip_prefix(&before(name)).and_then(|rest| rest.strip_suffix('}'));
        let packet = if message.kind == SocketKind::Text { name } else { "" };
        return [packet, inside.unwrap_or(element)].concat().into_bytes();
    }
    match Tape::parse(element.as_bytes()) {
        Ok(tape) if tape.root().is_string() => tape.root().text().into_owned().into_bytes(),
        _ => element.as_bytes().to_vec(),
    }
}

/// The message that a place in such a list is in, from 0.
pub fn number_of(place: &Place) -> Option<u32> {
    match place.steps() {
        [Step::Root, Step::Index(number), ..] => u32::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Direction;
    use crate::message::Body;

    fn told(kind: SocketKind, octets: &[u8], form: SocketForm) -> (String, SocketMessage) {
        let data = Body::whole(octets.to_vec());
        let message = SocketMessage { direction: Direction::ToServer, at_ns: 0, kind, data };
        let mut json = Vec::new();
        element(&mut json, &message, form);
        (String::from_utf8(json).expect("it is text"), message)
    }

    #[test]
    fn what_a_message_says_is_read_back_from_its_element() {
        for text in [
            "{\"a\": \"\u{e9}\"}",
            "[1, 2]",
            "42[\"join\",\"\\\"x\"]",
            "4217[\"join\"]",
            "42/admin,17[\"join\", {} ]",
            "0{\"sid\":\"a\"}",
            "42[no",
            "42/ad\"min,[1]",
            "7",
            "[no",
            "a\nb",
            "",
        ] {
            for kind in [SocketKind::Text, SocketKind::Binary] {
                let (json, message) = told(kind, text.as_bytes(), SocketForm::List);
                assert!(Tape::parse(json.as_bytes()).is_ok(), "{json}");
                if is_told(&message) {
                    assert_eq!(content_of(&message, &json), text.as_bytes(), "{json}");
                }
            }
        }
    }

    #[test]
    fn json_in_octets_and_in_packets_stands_below_a_name() {
        use SocketForm::{Lines, List};
        let octets = |octets: &[u8], form| {
            let (json, message) = told(SocketKind::Binary, octets, form);
            (json, is_told(&message))
        };
        let laid_out = b"{\"a\":\n1}";
        let (json, is_told) = octets(laid_out, List);
        assert_eq!((&json[..], is_told), ("{\"binary\":{\"a\":\n1}}", true));
        assert!(octets(laid_out, Lines).0.starts_with("{\"binary\":\""), "not on one line");
        for other in [&b"\x00\xff"[..], b"plain", b"{no", b"\x93{1}", b"42[1]"] {
            let (json, is_told) = octets(other, List);
            assert!(json.starts_with("{\"binary\":\"") && !is_told, "{json}");
        }
        for (text, wanted) in [
            ("42[\"join\",{\"id\":7}]", "{\"42\":[\"join\",{\"id\":7}]}"),
            ("451-/admin,12[1]", "{\"451-/admin,12\":[1]}"),
            ("42[no", "\"42[no\""),
            ("42/a[1]", "\"42/a[1]\""),
            ("-42[1]", "\"-42[1]\""),
            ("7", "\"7\""),
        ] {
            assert_eq!(told(SocketKind::Text, text.as_bytes(), List).0, wanted);
        }
    }

    #[test]
    fn a_place_says_which_message_it_is_in() {
        let number = |place: &str| number_of(&place.parse().expect("a place"));
        assert_eq!(number("$[3].price"), Some(3));
        assert_eq!(number("$[0]"), Some(0));
        assert_eq!((number("$.items[3]"), number("header:location")), (None, None));
    }
}
