//! gRPC and Protocol Buffers: any body is taken apart, learned and read as JSON with and without a
//! schema; what is read is JSON, a message is read as itself again where it is written anew, and
//! strings that are looked at keep every other octet.
//!
//! Input: a byte of choices, then the body.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shadowtap::message::Headers;
use shadowtap::message::grpc;
use shadowtap::message::media::MediaType;
use shadowtap::message::protobuf::{Readings, Schema, Speaker, details, with_strings};

const SCHEMA: &str = r#"
syntax = "proto3";
package a;
import "google/protobuf/timestamp.proto";
import "google/protobuf/any.proto";
enum Word { NONE = 0; ONE = 1; }
message Deep {
  Word word = 1; int64 units = 2; sint32 nanos = 3; fixed64 id = 4; repeated Deep inner = 5;
  map<string, string> labels = 6; repeated int32 steps = 7; string text = 8; double weight = 9;
  google.protobuf.Timestamp made = 10; bytes thumb = 11; google.protobuf.Any more = 12;
  optional int32 maybe = 13; oneof either { bool yes = 14; float no = 15; }
  map<int32, Deep> by_number = 16; repeated fixed32 words = 17;
}
service Shop { rpc Place(Deep) returns (Deep); }
"#;

static NAMED: LazyLock<Readings> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("shadowtap-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("a.proto"), SCHEMA).expect("room");
    let schema = Schema::load(std::slice::from_ref(&folder), &[]).expect("a schema");
    std::fs::remove_dir_all(&folder).expect("its own folder");
    Readings::new(schema)
});

const TYPES: [&str; 6] = [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-web",
    "application/grpc-web-text",
    "application/x-protobuf",
    "application/grpc+json",
];

fuzz_target!(|data: &[u8]| {
    let [choice, body @ ..] = data else { return };
    let mut headers = Headers::new();
    let media = TYPES[usize::from(*choice) % TYPES.len()];
    headers.push(b"content-type", media.as_bytes());
    if choice & 0x40 != 0 {
        headers.push(b"grpc-encoding", b"gzip");
    }
    let said = if choice & 0x80 == 0 { Speaker::Question } else { Speaker::Answer };
    let mut learned = Readings::default();
    for part in body.chunks(body.len() / 2 + 1).chain([body]) {
        learned.learn(said, b"/a.Shop/Place", &headers, part);
    }
    for readings in [&learned, &*NAMED] {
        let Some(read) = readings.read(said, b"/a.Shop/Place", &headers, body) else { continue };
        let text = std::str::from_utf8(&read.json).expect("JSON is text");
        let parsed = serde_json::from_str::<serde_json::Value>(text);
        assert!(parsed.is_ok() || text.len() > 1 << 16 || is_deep(text), "{text}");
        if read.unread == 0
            && let Some(new) =
                readings.write(said, b"/a.Shop/Place", &headers, body, text.as_bytes())
        {
            let again = readings.read(said, b"/a.Shop/Place", &headers, &new).expect("a body");
            let again = String::from_utf8_lossy(&again.json);
            // Messages that are JSON themselves may have blanks around them.
            let said = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            let is_same = text == again || said(text).is_some() && said(text) == said(&again);
            assert!(is_same, "{text} {again} {body:?} {new:?}");
        }
    }
    let kind = MediaType::new(media.as_bytes());
    let messages = grpc::messages(kind, &headers, body);
    assert!(messages.rest <= body.len());
    let kept: Vec<_> = messages.messages.iter().map(|_| None).collect();
    let _ = grpc::with_messages(kind, body, &kept);
    let _ = details([body, body]);
    let mut strings = 0;
    let unchanged = with_strings(body, &mut |text| {
        strings += text.len();
        None
    });
    assert_eq!(unchanged, None, "nothing was edited");
    let _ = with_strings(body, &mut |text| (text.len() > 2).then(|| b"x".to_vec()));
});

/// Deeper than the reader that checks it goes.
fn is_deep(text: &str) -> bool {
    let (mut depth, mut most) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most > 100
}
