//! Calls of gRPC: compared message by message with a schema and without, judged by their own
//! status, redacted by the names of their fields.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "support/spoken.rs"]
mod spoken;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};

use shadowtap::diff::Class;
use shadowtap::message::grpc::frame_of;
use shadowtap::message::protobuf::Schema;
use spoken::{Said, Talk, answer, diff, diff_named, diff_with, talk};

const SOURCE: &str = r#"
syntax = "proto3";
package shop.v1;
message Item { string sku = 1; int64 price = 2; }
message Order { string id = 1; repeated Item items = 2; map<string, string> labels = 3;
  repeated int32 steps = 4; string api_key = 5; }
service Shop { rpc Place(Order) returns (Order); rpc Watch(Order) returns (stream Order); }
"#;

fn sized(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

fn item(sku: &str, price: u8) -> Vec<u8> {
    sized(2, &[sized(1, sku.as_bytes()), vec![0x10, price]].concat())
}

fn order(id: &str, price: u8) -> Vec<u8> {
    [sized(1, id.as_bytes()), item("K-1", 3), item("K-22", price)].concat()
}

fn streamed(messages: &[Vec<u8>]) -> Said {
    let body: Vec<u8> = messages.iter().flat_map(|message| frame_of(message)).collect();
    answer(200, "application/grpc", body).ending("grpc-status", "0")
}

fn failed(status: &str) -> Said {
    answer(200, "application/grpc", "").with("grpc-status", status).with("grpc-message", "no")
}

fn calls(v1: impl Fn(usize) -> Said, v2: impl Fn(usize) -> Said) -> Vec<Talk> {
    let one = |n: usize| {
        talk("POST /shop.v1.Shop/Place", v1(n), v2(n)).asking("Content-Type", "application/grpc")
    };
    (0..30).map(one).collect()
}

fn schema(folder: &Path) -> Schema {
    std::fs::write(folder.join("shop.proto"), SOURCE).unwrap();
    Schema::load(&[folder.to_owned()], &[]).unwrap()
}

/// A service that answers with messages to requests that say nothing of them.
#[test]
fn a_message_that_no_request_announced_is_compared_by_its_fields() {
    let id = |side: u64, n: usize| {
        let drawn = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = drawn(drawn(n as u64) ^ drawn(side + 7) >> 3);
        format!("{:016x}", n ^ n >> 29)
    };
    for kind in
        ["application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf"]
    {
        let run = |price: u8, sku: &str| {
            let said = |side, n: usize, price, sku: &str| {
                let message = [sized(1, id(side, n).as_bytes()), item("K-1", 3), item(sku, price)];
                answer(200, kind, message.concat())
            };
            let one = |n: usize| {
                let (v1, v2) = (said(0, n, 7, "K-22"), said(1, n, price, sku));
                talk(&format!("GET /orders/{n}"), v1, v2)
            };
            diff(&(0..30).map(one).collect::<Vec<_>>()).places()
        };
        assert_eq!(run(7, "K-22"), [""; 0], "{kind}");
        assert_eq!(run(9, "K-22").len(), 1, "{kind}: another price");
        assert_eq!(run(7, "K-23").len(), 1, "{kind}: another thing");
    }
}

#[test]
fn a_change_in_a_message_is_one_cluster_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let talks = calls(
        |n| streamed(&[order(&format!("order {n}"), 7)]),
        |n| streamed(&[order(&format!("order {n}"), 9)]),
    );
    let found = diff_named(&talks, "", schema(folder.path()));
    assert_eq!(found.places(), ["$[*].items[*].price"]);
    assert!(found.findings.clusters[0].route == "POST /shop.v1.Shop/Place");
    assert_eq!(diff(&talks).places(), ["$[*]['#2'][*]['#2']"], "without a schema");
    let rule = "[[ignore]]\npath = \"$[*]['#2'][*]['#2']\"";
    assert_eq!(diff_with(&talks, rule).places(), [""; 0]);
    let rule = "[[match]]\npath = \"$..price\"\ntolerance = 5";
    assert_eq!(diff_named(&talks, rule, schema(folder.path())).places(), [""; 0]);
}

#[test]
fn forms_that_mean_the_same_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let label =
        |key: &str| sized(3, &[sized(1, key.as_bytes()), sized(2, b"value of it")].concat());
    let loose = [order("1", 7), label("b"), label("a"), vec![0x20, 1, 0x20, 2]].concat();
    let packed = [label("a"), order("1", 7), label("b"), sized(5, b""), sized(4, &[1, 2])].concat();
    let talks = calls(
        |_| streamed(std::slice::from_ref(&loose)),
        |_| streamed(std::slice::from_ref(&packed)),
    );
    assert_eq!(diff_named(&talks, "", schema(folder.path())).places(), [""; 0]);
    let loose = [order("1", 7), vec![0x20, 1, 0x20, 2]].concat();
    let packed = [order("1", 7), sized(4, &[1, 2])].concat();
    let talks = calls(
        |_| streamed(std::slice::from_ref(&loose)),
        |_| streamed(std::slice::from_ref(&packed)),
    );
    assert_eq!(diff(&talks).places(), [""; 0], "packed, without a schema");
}

#[test]
fn random_values_in_messages_are_noise_and_lost_messages_are_not() {
    let token = |n: usize, side: usize| {
        format!("{:016x}", (n * 2 + side + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    };
    let talks =
        calls(|n| streamed(&[order(&token(n, 0), 7)]), |n| streamed(&[order(&token(n, 1), 7)]));
    assert_eq!(diff(&talks).places(), [""; 0]);
    let talks = calls(
        |n| streamed(&[order(&format!("order {n}"), 7), order("second", 8)]),
        |n| streamed(&[order(&format!("order {n}"), 7)]),
    );
    assert_eq!(diff(&talks).places().len(), 1);
}

#[test]
fn the_status_of_a_call_is_its_status() {
    let good = |_: usize| streamed(&[order("1", 7)]);
    let found = diff(&calls(good, |_| failed("13")));
    assert_eq!(found.places(), ["grpc-status"]);
    let difference = &found.differences[0];
    assert_eq!(difference.expected.as_deref(), Some("0 OK"));
    assert_eq!(difference.actual.as_deref(), Some("13 INTERNAL"));
    let found = diff(&calls(|_| failed("13"), good));
    assert_eq!((found.places().len(), found.of(Class::Fixed).len()), (0, 1), "v1 failed");
    let found = diff(&calls(|_| failed("7"), good));
    assert_eq!(found.places(), ["grpc-status"], "whom v1 refused is let in");
    assert_eq!(diff(&calls(|_| failed("5"), |_| failed("5"))).places(), [""; 0]);
}

#[test]
fn what_a_failed_call_tells_beside_its_status_is_compared_by_what_it_says() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    let told = |left: u8| {
        let quota = [sized(1, b"carts"), vec![0x10, left]].concat();
        let any = [sized(1, b"type.googleapis.com/shop.v1.Quota"), sized(2, &quota)].concat();
        [&[8, 8][..], &sized(2, b"too many"), &sized(3, &any)].concat()
    };
    let details = |text: String| failed("8").with("grpc-status-details-bin", &text);
    let v1 = |_: usize| details(STANDARD.encode(told(3)));
    let same = diff(&calls(v1, |_| details(STANDARD_NO_PAD.encode(told(3)))));
    assert_eq!(same.places(), [""; 0]);
    let other = diff(&calls(v1, |_| details(STANDARD_NO_PAD.encode(told(4)))));
    let [difference, ..] = &other.differences[..] else { panic!("v2 tells another quota") };
    assert!(difference.place.to_string().contains("grpc-status-details-bin"));
    assert_eq!(difference.actual.as_deref(), Some("4"));
}

fn shadowtap(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shadowtap")).args(arguments).output().unwrap()
}

#[test]
fn fields_are_redacted_by_their_names_in_questions_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    schema(folder.path());
    let secret = "correct-horse-battery";
    let message = [order("1", 7), sized(5, secret.as_bytes())].concat();
    let mut talk =
        talk("POST /shop.v1.Shop/Place", streamed(std::slice::from_ref(&message)), Said::default())
            .asking("Content-Type", "application/grpc");
    talk.asked.body = frame_of(&message);
    let mut lines = Vec::new();
    let mut file = spoken::records(&[talk], "2026-11-22T10:00:00Z".parse().unwrap());
    file.read_to_end(&mut lines).unwrap();
    let input = folder.path().join("v1.jsonl");
    std::fs::write(&input, lines).unwrap();
    let (input, proto) = (input.to_str().unwrap(), folder.path().to_str().unwrap());
    let parsed = |flags: &[&str]| {
        let all = [&["parse", input, "-o", "-", "--redact", "default"][..], flags].concat();
        let output = shadowtap(&all);
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let holds = |text: &str| {
        let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        ["request", "response"].map(|side| {
            use base64::Engine as _;
            let body = &line[side]["body"];
            let bytes = match body["base64"].as_str() {
                Some(text) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
                None => body["utf8"].as_str().unwrap().as_bytes().to_vec(),
            };
            assert_eq!(bytes[..5], frame_of(&message)[..5], "framed as it was");
            memchr::memmem::find(&bytes, secret.as_bytes()).is_some()
        })
    };
    let (text, said) = parsed(&["--proto", proto]);
    assert_eq!(holds(&text), [false; 2]);
    assert!(!said.contains("could not be searched"), "{said}");
    let (text, said) = parsed(&[]);
    assert_eq!(holds(&text), [true; 2], "nothing names the field");
    assert!(said.contains("2 bodies") && said.contains("--proto"), "{said}");
    let wrong = shadowtap(&["--proto", "/nonexistent", "parse", input, "-o", "-"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("cannot read /nonexistent"));
}
