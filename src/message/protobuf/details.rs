//! `grpc-status-details-bin` as JSON: a `google.rpc.Status`, whose details are messages behind the
//! names of their types (`google.protobuf.Any`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::fields::{Encoded, fields};
use super::numbered::as_json;
use super::push_text;
use super::shape::Shape;

/// The field of an answer that says more of a call's failure than its status.
pub const DETAILS: &str = "grpc-status-details-bin";

/// Senders leave the padding out or not (gRPC over HTTP2, "Binary-Header").
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A `google.rpc.Status`.
#[derive(Default)]
struct RpcStatus {
    code: u64,
    message: Vec<u8>,
    /// Names of types, and messages.
    details: Vec<(Vec<u8>, Vec<u8>)>,
}

impl RpcStatus {
    fn read(value: &[u8]) -> Option<Self> {
        // What a peer takes for true binary begins with a zero and is not in base64.
        let octets = match value {
            [0, octets @ ..] => octets.to_vec(),
            text => BINARY.decode(text).ok()?,
        };
        let mut status = Self::default();
        for field in fields(&octets)? {
            match field {
                (1, Encoded::Varint(code)) => status.code = code,
                (2, Encoded::Bytes(message)) => status.message = message.to_vec(),
                (3, Encoded::Bytes(any)) => {
                    let (mut name, mut value) = (Vec::new(), Vec::new());
                    for part in fields(any)? {
                        match part {
                            (1, Encoded::Bytes(octets)) => name = octets.to_vec(),
                            (2, Encoded::Bytes(octets)) => value = octets.to_vec(),
                            _ => return None,
                        }
                    }
                    status.details.push((name, value));
                }
                _ => return None,
            }
        }
        Some(status)
    }

    fn write(&self, shapes: &BTreeMap<&[u8], Shape>) -> Vec<u8> {
        let mut out = format!("{{\"code\":{},\"message\":", self.code).into_bytes();
        push_text(&mut out, &String::from_utf8_lossy(&self.message));
        out.extend_from_slice(b",\"details\":[");
        for (place, (name, value)) in self.details.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"{\"@type\":" } else { b",{\"@type\":" });
            push_text(&mut out, &String::from_utf8_lossy(name));
            out.extend_from_slice(b",\"value\":");
            let start = out.len();
            let is_message =
                shapes.get(&name[..]).is_some_and(|shape| as_json(shape, value, &mut out));
            if !is_message {
                out.truncate(start);
                push_text(&mut out, &BINARY.encode(value));
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// The field's values of two answers as JSON, read in the same way; none where one of them is no
/// `google.rpc.Status`.
pub fn details(values: [&[u8]; 2]) -> Option<[Vec<u8>; 2]> {
    let [a, b] = values.map(RpcStatus::read);
    let all = [a?, b?];
    let mut shapes = BTreeMap::<&[u8], Shape>::new();
    for (name, value) in all.iter().flat_map(|status| &status.details) {
        shapes.entry(name).or_default().learn(value);
    }
    Some(all.each_ref().map(|status| status.write(&shapes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, octets: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, octets.len() as u8][..], octets].concat()
    }

    fn status(code: u8, message: &str, details: &[(&str, &[u8])]) -> Vec<u8> {
        let any = |(name, value): &(&str, &[u8])| {
            field(3, &[field(1, name.as_bytes()), field(2, value)].concat())
        };
        let details: Vec<u8> = details.iter().flat_map(any).collect();
        [&[8, code][..], &field(2, message.as_bytes()), &details].concat()
    }

    fn texts(a: &[u8], b: &[u8]) -> Option<[String; 2]> {
        details([a, b]).map(|both| both.map(|json| String::from_utf8(json).unwrap()))
    }

    #[test]
    fn a_status_is_read_in_every_form_of_the_field() {
        let info = field(1, b"OUT_OF_STOCK");
        let octets = status(9, "no \"more\"", &[("t/ErrorInfo", &info), ("t/Retry", b"\x08\x05")]);
        let padded = BINARY.encode(&octets);
        let bare = padded.trim_end_matches('=').to_owned();
        let raw = [&[0][..], &octets].concat();
        let [a, b] = texts(padded.as_bytes(), bare.as_bytes()).unwrap();
        assert_eq!(a, b);
        assert_eq!(texts(&raw, bare.as_bytes()).unwrap()[0], a);
        assert_eq!(
            a,
            "{\"code\":9,\"message\":\"no \\\"more\\\"\",\"details\":[{\"@type\":\"t/ErrorInfo\",\
             \"value\":{\"#1\":\"OUT_OF_STOCK\"}},{\"@type\":\"t/Retry\",\"value\":{\"#1\":5}}]}"
        );
    }

    #[test]
    fn both_sides_are_read_alike_and_what_is_no_message_stays_octets() {
        let value = |octets: &[u8]| BINARY.encode(status(3, "", &[("t/X", octets)]));
        let [a, b] = texts(value(b"\x08\x01").as_bytes(), value(b"\xff").as_bytes()).unwrap();
        assert!(a.contains(r##""value":{"#1":1}"##) || a.contains(r#""value":"CAE=""#), "{a}");
        assert!(b.contains(r#""value":"/w==""#), "{b}");
        assert_eq!(texts(b"!", value(b"").as_bytes()), None);
        assert_eq!(texts(b"/w==", value(b"").as_bytes()), None);
        for end in 0..=40 {
            let octets = status(3, "abc", &[("t/X", b"\x08\x01")]);
            let cut = BINARY.encode(&octets[..end.min(octets.len())]);
            let _ = texts(cut.as_bytes(), cut.as_bytes());
        }
    }
}
