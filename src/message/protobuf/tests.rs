//! Messages with and without a schema: equal forms, edits, and nothing that panics.

use proptest::prelude::*;
use prost_reflect::MessageDescriptor;

use super::named::{as_json as by_schema, with_json};
use super::numbered::as_json as by_shape;
use super::*;
use crate::message::Headers;
use crate::message::grpc::frame_of;

const SOURCE: &str = r#"
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
import "google/protobuf/any.proto";
enum Currency { UNKNOWN = 0; EUR = 1; }
message Money { Currency currency = 1; int64 units = 2; sint32 nanos = 3; }
message Order {
  fixed64 id = 1;
  repeated Money prices = 2;
  map<string, string> labels = 3;
  repeated int32 steps = 4;
  string card_token = 5;
  double weight = 7;
  Order parent = 9;
  google.protobuf.Timestamp made = 10;
  bytes thumb = 11;
  google.protobuf.Any more = 12;
  optional int32 maybe = 13;
}
service Shop { rpc Place(Order) returns (Money); }
"#;

fn schema() -> Schema {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("v1")).expect("room");
    std::fs::write(folder.path().join("v1/shop.proto"), SOURCE).expect("room");
    Schema::load(&[folder.path().to_owned()], &[]).expect("a schema")
}

fn order() -> MessageDescriptor {
    schema().question(b"/shop.v1.Shop/Place?x=1").expect("a method")
}

/// One field: its tag's octet, then the rest.
fn sized(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn named(message: &[u8]) -> String {
    let mut out = Vec::new();
    assert!(by_schema(&order(), message, &mut out), "{message:?}");
    String::from_utf8(out).expect("text")
}

fn numbered(samples: &[&[u8]], message: &[u8]) -> String {
    let (mut shape, mut out) = (Shape::default(), Vec::new());
    for sample in samples.iter().chain([&message]) {
        assert!(shape.learn(sample), "{sample:?}");
    }
    assert!(by_shape(&shape, message, &mut out));
    String::from_utf8(out).expect("text")
}

#[test]
fn a_schema_gives_names_and_equal_forms_one_text() {
    let schema = schema();
    assert_eq!(schema.answer(b"/twirp/shop.v1.Shop/Place").unwrap().name(), "Money");
    for target in [&b"/shop.v1.Shop/Other"[..], b"/other.Shop/Place", b"Place", b"*", b"/\xff/x"] {
        assert!(schema.question(target).is_none());
    }
    let money = [&[0x08, 1, 0x10][..], &[0x85, 0x01], &[0x18, 1]].concat();
    assert_eq!(
        named(&sized(2, &money)),
        r#"{"prices":[{"currency":"EUR","units":133,"nanos":-1}]}"#
    );
    let label = |key: &str, value: &str| {
        sized(3, &[sized(1, key.as_bytes()), sized(2, value.as_bytes())].concat())
    };
    let one = [label("b", "2"), label("a", "1")].concat();
    let other = [label("a", "1"), label("b", "2")].concat();
    assert_eq!(named(&one), r#"{"labels":{"a":"1","b":"2"}}"#);
    assert_eq!(named(&one), named(&other));
    assert_eq!(named(&sized(4, &[1, 2])), named(b"\x20\x01\x20\x02"), "packed or not");
    assert_eq!(named(&sized(5, b"")), "{}", "a default that is written");
    assert_eq!(named(b"\x68\x00"), r#"{"maybe":0}"#, "but where its presence counts");
    assert_eq!(named(&sized(10, b"\x08\x01")), r#"{"made":"1970-01-01T00:00:01.000000000Z"}"#);
    let any = [sized(1, b"x/shop.v1.Money"), sized(2, &money)].concat();
    assert!(named(&sized(12, &any)).contains(r#""value":{"currency":"EUR""#));
    let unknown = [sized(5, b"t"), vec![0xa0, 0x06, 7]].concat();
    assert_eq!(named(&unknown), "{\"card_token\":\"t\",\"#100\":7}", "what the schema has not");
    assert!(!by_schema(&order(), b"\x2a\x05x", &mut Vec::new()));
}

#[test]
fn edits_take_the_place_of_what_stood_there() {
    let kind = order();
    let inner = [sized(5, b"4242"), sized(11, b"\x01\x02")].concat();
    let label = sized(3, &[sized(1, b"secret"), sized(2, b"v")].concat());
    let message = [sized(5, b"tok"), sized(9, &inner), label, vec![0xa2, 0x06, 2, b'h', b'i']];
    let message = message.concat();
    let edit = |from: &str, to: &str| {
        let edited = named(&message).replace(from, to);
        named(&with_json(&kind, &message, edited.as_bytes()).expect("JSON"))
    };
    assert_eq!(edit("4242", "x-1"), named(&message).replace("4242", "x-1"));
    assert_eq!(edit("secret", "x-2"), named(&message).replace("secret", "x-2"));
    assert!(!edit("\"hi\"", "\"x-3\"").contains("hi"), "an unknown field is let go of");
    assert!(!edit("AQI=", "x-4").contains("AQI="));
    assert_eq!(
        with_json(&kind, &message, named(&message).as_bytes()).map(|m| named(&m)),
        Some(named(&message))
    );
    assert_eq!(with_json(&kind, &message, b"{"), None);
}

#[test]
fn without_a_schema_all_samples_decide_what_a_field_is() {
    let money = b"\x08\x01\x10\x05";
    assert_eq!(numbered(&[], &sized(2, money)), "{\"#2\":{\"#1\":1,\"#2\":5}}");
    // Another sample of the field is no message, so that none is.
    assert_eq!(numbered(&[&sized(2, b"\xff\xff")], &sized(2, money)), "{\"#2\":\"CAEQBQ==\"}");
    assert_eq!(numbered(&[], &sized(5, b"muted")), "{\"#5\":\"muted\"}", "a word that would parse");
    let two = [sized(2, b"a"), sized(2, b"b")].concat();
    assert_eq!(numbered(&[&two], &sized(2, b"a")), "{\"#2\":[\"a\"]}", "one of a list");
    let loose = b"\x20\x01\x20\x02";
    assert_eq!(numbered(&[loose], &sized(4, &[1, 2])), numbered(&[&sized(4, &[1, 2])], loose));
    assert_eq!(numbered(&[], &[&b"\x08\0"[..], &sized(5, b"")].concat()), "{}", "defaults");
    let double = [&[0x39][..], &1.5f64.to_le_bytes()].concat();
    assert_eq!(numbered(&[], &double), "{\"#7\":1.5}");
    let id = [&[0x09][..], &0x1234_5678_9abc_def0_u64.to_le_bytes()].concat();
    assert_eq!(numbered(&[], &id), "{\"#1\":1311768467463790320}");
    assert_eq!(numbered(&[], b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "{\"#2\":-1}");
    assert!(!Shape::default().learn(b"\x2a\x05x"));
}

#[test]
fn bodies_are_read_message_by_message_and_edited() {
    let readings = Readings::new(schema());
    let fields = |kind: &str| -> Headers {
        std::iter::once((&b"content-type"[..], kind.as_bytes())).collect()
    };
    let (path, grpc) = (&b"/shop.v1.Shop/Place"[..], fields("application/grpc"));
    let body = [frame_of(&sized(5, b"secret")), frame_of(b""), b"\0\0".to_vec()].concat();
    let read = readings.read(Speaker::Question, path, &grpc, &body).expect("known");
    assert_eq!(read.json, br#"[{"card_token":"secret"},{},"AAA="]"#);
    assert_eq!(read.unread, 1);
    let edited = br#"[{"card_token":"x-1"},{},"AAA="]"#;
    let edited = readings.write(Speaker::Question, path, &grpc, &body, edited).expect("fits");
    assert!(edited.starts_with(&frame_of(&sized(5, b"x-1"))) && edited.ends_with(b"\0\0"));
    let bare = fields("application/protobuf");
    let read = readings.read(Speaker::Question, path, &bare, &sized(5, b"t")).expect("known");
    assert_eq!(read.json, br#"{"card_token":"t"}"#);
    let json =
        readings.read(Speaker::Answer, b"/x/y", &fields("application/grpc+json"), &frame_of(b"{}"));
    assert_eq!(json.expect("JSON").json, b"[{}]");
    assert_eq!(readings.read(Speaker::Answer, b"/x/y", &grpc, &body), None);
    let mut learned = Readings::default();
    learned.learn(Speaker::Answer, b"/x/y?1", &grpc, &body);
    let read = learned.read(Speaker::Answer, b"/x/y", &grpc, &body).expect("learned");
    assert_eq!(read.json, br##"[{"#5":"secret"},{},"AAA="]"##);
}

#[test]
fn what_cannot_be_read_says_where_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let error = |folders: &[_], sets: &[_]| Schema::load(folders, sets).unwrap_err().to_string();
    assert!(error(std::slice::from_ref(&path), &[]).contains("holds no .proto file"));
    std::fs::write(path.join("a.proto"), "syntax = \"proto3\"; message A { B b = 1; }").unwrap();
    let text = error(std::slice::from_ref(&path), &[]);
    assert!(text.contains("a.proto") || text.contains('B'), "{text}");
    assert!(!text.contains('\n'));
    assert!(error(&[], &[path.join("a.proto")]).contains("no descriptor set"));
    assert!(error(&[], &[path.join("none")]).contains("cannot read"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_octets_give_json_or_nothing(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
    ) {
        let mut shape = Shape::default();
        let good: Vec<_> = messages.iter().filter(|message| shape.learn(message)).collect();
        let mut again = Shape::default();
        good.iter().rev().for_each(|message| assert!(again.learn(message)));
        prop_assert_eq!(&shape, &again, "the order of samples does not count");
        for message in good {
            let mut out = Vec::new();
            prop_assert!(by_shape(&shape, message, &mut out));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
    }
}
