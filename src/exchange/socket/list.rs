//! Messages of a WebSocket as the elements of one list in JSON, by which they are compared and the
//! values in them have places: `$[3].price` is in the fourth message.
//!
//! A message that is JSON stands in the list as such, another text as a string, octets by length
//! and hash, the end by its code and reason. JSON that was sent as octets stands below `binary`,
//! and JSON behind the digits of a packet below these, and an event of Socket.IO below its name:
//! the room of `42["join",{"room":7}]` is `$[3]['42'].join[0].room`.

use sha2::{Digest as _, Sha256};

use crate::exchange::{SocketKind, SocketMessage};
use crate::flow::Direction;
use crate::message::Body;
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
/// What stands between packets in a body.
const PACKET_END: u8 = 0x1e;
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
            if let Some(framed) = FramedJson::of(message, form) =>
        {
            out.extend_from_slice(framed.before.as_bytes());
            out.extend_from_slice(framed.document);
            out.extend_from_slice(framed.after.as_bytes());
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
    message.kind == SocketKind::Text || FramedJson::of(message, SocketForm::List).is_some()
}

/// The list of the packets of Engine.IO in a body, as long polling has them where there is no
/// WebSocket yet; none where it holds anything else, or no JSON.
pub fn packets(body: &[u8]) -> Option<Vec<u8>> {
    let is_packet = |part: &[u8]| matches!(part.first(), Some(b'0'..=b'6'));
    let parts = || body.split(|byte| *byte == PACKET_END);
    if !parts().all(is_packet) {
        return None;
    }
    let message = |part: &[u8]| {
        let (direction, data) = (Direction::ToClient, Body::whole(part.to_vec()));
        SocketMessage { direction, at_ns: 0, kind: SocketKind::Text, data }
    };
    let all: Vec<SocketMessage> = parts().map(message).collect();
    let holds = all.iter().any(|one| FramedJson::of(one, SocketForm::List).is_some());
    holds.then(|| written(SocketForm::List, &all))
}

/// The JSON in a message, with what stands around it in a list, and what does in the message.
struct FramedJson<'m> {
    before: String,
    document: &'m [u8],
    after: &'static str,
    /// What stands before it in the message.
    head: &'m str,
}

impl<'m> FramedJson<'m> {
    /// A document that is laid out over several lines does not stand on one line.
    fn of(message: &'m SocketMessage, form: SocketForm) -> Option<Self> {
        let data = &message.data;
        let is_laid_out = || data.bytes.iter().any(|byte| b"\n\r".contains(byte));
        if data.is_cut() || matches!(form, SocketForm::Lines) && is_laid_out() {
            return None;
        }
        let text = std::str::from_utf8(&data.bytes).ok()?;
        let (head, document) = match message.kind {
            SocketKind::Binary => ("", text),
            SocketKind::Text => text.split_at_checked(packet(text.as_bytes()))?,
            _ => return None,
        };
        let holds = document.trim_ascii_start().starts_with(['{', '[']);
        if !holds || Tape::parse(document.as_bytes()).is_err() {
            return None;
        }
        let framed = |before, end: usize, after| {
            let (head, document) = text.split_at(end);
            Self { before, document: document.as_bytes(), after, head }
        };
        Some(match (message.kind, head, event(document)) {
            (SocketKind::Binary, ..) => framed(format!("{{\"{OCTETS}\":"), 0, "}"),
            (_, "", _) => framed(String::new(), 0, ""),
            (_, _, None) => framed(format!("{{\"{head}\":"), head.len(), "}"),
            (_, _, Some((name, end))) => {
                framed(format!("{{\"{head}\":{{\"{name}\":["), head.len() + end, "}}")
            }
        })
    }
}

/// The name of an event of Socket.IO, and where what it says begins: `["join",{"room":7}]`.
fn event(document: &str) -> Option<(&str, usize)> {
    let rest = document.strip_prefix("[\"")?;
    let (name, behind) = rest.split_once('"')?;
    let end = document.len() - behind.len();
    let is_plain = !name.contains('\\') && name.len() <= PACKET_BYTES;
    let end = match behind.as_bytes().first() {
        Some(b',') => end + 1,
        Some(b']') => end,
        _ => return None,
    };
    is_plain.then_some((name, end))
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

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// What a message says when this is its element in a list of JSON: a document as it stands, or what
/// the string holds. `message` is how it was.
pub fn content_of(message: &SocketMessage, element: &str) -> Vec<u8> {
    if let Some(FramedJson { before, after, head, .. }) = FramedJson::of(message, SocketForm::List)
    {
        let inside = element.strip_prefix(&before).and_then(|rest| rest.strip_suffix(after));
        return [head, inside.unwrap_or(element)].concat().into_bytes();
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
            "42[\"join\" , 1]",
            "42[\"jo\\\"in\",1]",
            "43[[1]]",
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
            ("42[\"join\",{\"id\":7}]", "{\"42\":{\"join\":[{\"id\":7}]}}"),
            ("42[\"join\"]", "{\"42\":{\"join\":[]}}"),
            ("42[\"join\" ]", "{\"42\":[\"join\" ]}"),
            ("0{\"sid\":\"a\"}", "{\"0\":{\"sid\":\"a\"}}"),
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
    fn packets_in_a_body_are_a_list() {
        let told =
            |body: &str| packets(body.as_bytes()).map(|json| String::from_utf8(json).unwrap());
        let two = "40{\"sid\":\"a\"}\u{1e}2\u{1e}42[\"x\",1]";
        assert_eq!(
            told(two).as_deref(),
            Some("[{\"40\":{\"sid\":\"a\"}},\"2\",{\"42\":{\"x\":[1]}}]")
        );
        for other in ["", "42", "ok", "7{}", "40{no", "[1]", "40{}\u{1e}", "2026-11-30 [1]"] {
            assert_eq!(told(other), None, "{other}");
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
