//! Messages of a WebSocket as the elements of one list in JSON, by which they are compared and the
//! values in them have places: `$[3].price` is in the fourth message.
//!
//! A message that is JSON stands in the list as such, another text as a string, octets by length
//! and hash, the end by its code and reason.

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
        (SocketKind::Text, Ok(text)) if !data.is_cut() => {
            let holds = text.trim_ascii_start().starts_with(['{', '[']);
            // A document that is laid out over several lines is one line as a string.
            let fits = matches!(form, SocketForm::List) || !text.contains(['\n', '\r']);
            if holds && fits && Tape::parse(&data.bytes).is_ok() {
                out.extend_from_slice(&data.bytes);
            } else {
                string(out, text);
            }
        }
        (SocketKind::Text, _) => string(out, &String::from_utf8_lossy(&data.bytes)),
        (kind, _) => {
            out.push(b'{');
            named(out, kind.name(), &digest_text(data.length, &Sha256::digest(&data.bytes)));
            out.push(b'}');
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// What a text message says of which this is the element in a list of JSON: a document as it
/// stands, or what the string holds.
pub fn content_of(element: &str) -> Vec<u8> {
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

    #[test]
    fn what_a_message_says_is_read_back_from_its_element() {
        for text in ["{\"a\": \"\u{e9}\"}", "[1, 2]", "42[\"join\",\"\\\"x\"]", "[no", "a\nb", ""] {
            let direction = Direction::ToServer;
            let data = Body::whole(text.as_bytes().to_vec());
            let message = SocketMessage { direction, at_ns: 0, kind: SocketKind::Text, data };
            let mut json = Vec::new();
            element(&mut json, &message, SocketForm::List);
            let json = String::from_utf8(json).expect("it is text");
            assert!(Tape::parse(json.as_bytes()).is_ok(), "{json}");
            assert_eq!(content_of(&json), text.as_bytes());
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
