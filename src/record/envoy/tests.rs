//! Traces of each form come out as the same exchanges, cut ones marked, damaged ones refused.

use proptest::prelude::*;

use super::*;

fn all(input: &[u8]) -> Result<Vec<Result<Exchange, Reason>>, String> {
    let mut found = Vec::new();
    let each = |read: Result<ReadEntry, Reason>| -> std::io::Result<()> {
        found.push(read.map(|read| read.exchange));
        Ok(())
    };
    let read = read(input, each).map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())?;
    Ok(found)
}

const BUFFERED: &str = r#"{"http_buffered_trace": {
 "request": {
  "headers": [{"key": ":authority", "value": "shop.local", "raw_value": ""},
   {"key": ":path", "value": "", "raw_value": "L2NhcnQ/eD0x"},
   {"key": ":method", "value": "POST"}, {"key": ":scheme", "value": "http"},
   {"key": "content-length", "value": "12"}],
  "body": {"truncated": false, "as_bytes": "eyJpdGVtIjogMSB9"}, "trailers": [],
  "headers_received_time": "2026-11-28T10:00:00.250Z"},
 "response": {
  "headers": [{"key": ":status", "value": "200"},
   {"key": "content-type", "value": "application/json"}],
  "body": {"truncated": TRUNCATED, "as_string": "{\"ok\":true}"}, "trailers": [],
  "headers_received_time": "2026-11-28T10:00:00.300Z"},
 "downstream_connection": {
  "local_address": {"socket_address": {"address": "10.0.0.1", "port_value": 8080}},
  "remote_address":
   {"socket_address": {"protocol": "TCP", "address": "10.0.0.9", "port_value": 40112}}}}}"#;

fn buffered(truncated: bool) -> Vec<u8> {
    BUFFERED.replace("TRUNCATED", if truncated { "true" } else { "false" }).into_bytes()
}

#[test]
fn a_buffered_trace_is_an_exchange() {
    let both = [buffered(false), buffered(true)].concat();
    let found = all(&both).unwrap();
    let exchange = found[0].as_ref().unwrap();
    let request = exchange.request.as_ref().unwrap();
    assert_eq!(request.at.to_string(), "2026-11-28T10:00:00.250000000Z");
    assert_eq!(
        (&*request.message.method, &*request.message.target),
        (&b"POST"[..], &b"/cart?x=1"[..])
    );
    assert_eq!(request.message.headers.get("host"), Some(&b"shop.local"[..]));
    assert_eq!(&*request.message.body.bytes, b"{\"item\": 1 }");
    assert_eq!(exchange.client, "10.0.0.9:40112".parse().unwrap());
    let response = exchange.response.as_ref().unwrap();
    assert_eq!((response.message.status, response.first_byte_ns), (200, Some(50_000_000)));
    assert_eq!(&*response.message.body.bytes, b"{\"ok\":true}");
    assert_eq!(exchange.completeness, Completeness::Complete);
    let cut = found[1].as_ref().unwrap();
    assert_eq!(cut.completeness, Completeness::ResponseDamaged);
    assert_eq!(cut.marks, ["response body cut by the tap"]);
}

#[test]
fn segments_are_put_together_by_their_trace() {
    let segment = |id: u64, rest: &str| {
        format!("{{\"http_streamed_trace_segment\": {{\"trace_id\": \"{id}\", {rest}}}}}\n")
    };
    let headers = |name: &str, pairs: &[(&str, &str)]| {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{{\"key\": \"{key}\", \"value\": \"{value}\"}}"))
            .collect();
        format!("\"{name}\": {{\"headers\": [{}]}}", pairs.join(", "))
    };
    let asked = |path| {
        headers("request_headers", &[(":method", "GET"), (":path", path), (":authority", "a")])
    };
    let text = segment(7, &asked("/seven"))
        + &segment(8, &asked("/eight"))
        + &segment(8, &headers("response_headers", &[(":status", "404")]))
        + &segment(7, &headers("response_headers", &[(":status", "200")]))
        + &segment(7, "\"response_body_chunk\": {\"as_string\": \"one \"}")
        + &segment(7, "\"response_body_chunk\": {\"as_string\": \"two\"}")
        + "{\"socket_buffered_trace\": {\"trace_id\": \"9\"}}\n"
        + &segment(10, &headers("response_headers", &[(":status", "200")]));
    let found = all(text.as_bytes()).unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|read| match read {
            Err(reason) => (*reason).to_owned(),
            Ok(exchange) => {
                let (request, response) =
                    (exchange.request.as_ref().unwrap(), exchange.response.as_ref().unwrap());
                let target = String::from_utf8_lossy(&request.message.target);
                let body = String::from_utf8_lossy(&response.message.body.bytes);
                format!("{target} {} {body}", response.message.status)
            }
        })
        .collect();
    assert_eq!(
        shown,
        ["envoy-socket-trace", "/seven 200 one two", "/eight 404 ", "envoy-answer-without-request"]
    );
}

/// The bytes of a field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    out.extend(length_before(bytes));
    out
}

fn length_before(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = Vec::new();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

fn header(key: &str, value: &str) -> Vec<u8> {
    field(1, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
}

fn in_proto() -> Vec<u8> {
    let address = |address: &str, port: u16| {
        let port =
            [vec![3 << 3], vec![port as u8 | 0x80, (port >> 7) as u8 | 0x80, (port >> 14) as u8]];
        field(1, &[field(2, address.as_bytes()), port.concat()].concat())
    };
    let request = [
        header(":authority", "shop.local"),
        header(":path", "/cart?x=1"),
        header(":method", "POST"),
        header(":scheme", "http"),
        header("content-length", "12"),
        field(2, &field(1, b"{\"item\": 1 }")),
    ];
    let response = [
        header(":status", "200"),
        header("content-type", "application/json"),
        field(2, &[field(2, b"{\"ok\":true}"), vec![3 << 3, 0]].concat()),
    ];
    let connection =
        [field(1, &address("10.0.0.1", 8080)), field(2, &address("10.0.0.9", 40112))].concat();
    let trace = [field(1, &request.concat()), field(2, &response.concat()), field(3, &connection)];
    field(1, &trace.concat())
}

#[test]
fn protobuf_says_the_same_as_json() {
    let expected = all(&buffered(false)).unwrap().remove(0).unwrap();
    let one = in_proto();
    let many = [length_before(&one), length_before(&one)].concat();
    for (bytes, count) in [(&one, 1), (&many, 2)] {
        assert!(is_proto(&bytes[..bytes.len().min(64)]));
        let found = all(bytes).unwrap();
        assert_eq!(found.len(), count);
        let exchange = found[0].as_ref().unwrap();
        let (got, wanted) =
            (exchange.request.as_ref().unwrap(), expected.request.as_ref().unwrap());
        assert_eq!(got.message, wanted.message);
        assert_eq!((exchange.client, exchange.server), (expected.client, expected.server));
        let (got, wanted) =
            (exchange.response.as_ref().unwrap(), expected.response.as_ref().unwrap());
        assert_eq!(got.message, wanted.message);
    }
    assert_eq!(all(&many[..many.len() - 5]).unwrap().len(), 1, "the second one is cut");
    for other in [&b"\x0a\x00"[..], b"GET / HTTP/1.1\r\n", b"\xd4\xc3\xb2\xa1", b"", b"\x0a"] {
        assert!(!is_proto(other), "{other:?}");
    }
}

/// As Envoy writes them into a file: behind each other, or each behind its length.
#[test]
fn segments_in_protobuf_are_put_together_too() {
    let id = 10_313_582_200_480_763_149_u64;
    let mut number = vec![1 << 3];
    crate::varint::put(&mut number, id);
    let segment = |piece: Vec<u8>| field(2, &[number.clone(), piece].concat());
    let asked = [
        header(":authority", "shop.local"),
        header(":path", "/cart?x=1"),
        header(":method", "POST"),
        header(":scheme", "http"),
        header("content-length", "12"),
    ];
    let segments = [
        segment(field(2, &asked.concat())),
        segment(field(3, &field(1, b"{\"item\":"))),
        segment(field(3, &field(1, b" 1 }"))),
        segment(field(5, &header(":status", "200"))),
        segment(field(6, &[field(1, b"{\"ok\":true}"), vec![3 << 3, 1]].concat())),
    ];
    let delimited: Vec<u8> = segments.iter().flat_map(|one| length_before(one)).collect();
    for bytes in [segments.concat(), delimited] {
        assert!(is_proto(&bytes));
        let found = all(&bytes).unwrap();
        let [Ok(exchange)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(exchange.request.as_ref().unwrap().message.body.bytes, b"{\"item\": 1 }"[..]);
        assert_eq!(exchange.completeness, Completeness::ResponseDamaged);
        let cut = all(&bytes[..bytes.len() - 5]).unwrap();
        let [Ok(exchange)] = &cut[..] else { panic!("{cut:?}") };
        assert_eq!(exchange.response.as_ref().unwrap().message.body.bytes.len(), 0);
    }
}

proptest! {
    #[test]
    fn no_bytes_end_in_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (is_proto(&bytes), all(&bytes));
        let mut trace = in_proto();
        for (place, byte) in trace.iter_mut().rev().zip(&bytes) {
            *place ^= byte & 7;
        }
        let _ = all(&trace);
    }
}
