//! What is JSON, as serde_json sees it; how nodes lead through a text; and that a text read beside
//! another is read the same.

use proptest::prelude::*;

use crate::message::json::tape::*;

#[test]
fn agrees_with_serde_json_on_what_is_json() {
    for text in [
        "null",
        " true ",
        "[]",
        "{}",
        "[1,2,[3]]",
        r#"{"a":{"b":[]},"a":1}"#,
        "-0",
        "1e5",
        "1.50E-3",
        "0",
        "\"\\u00e9\\n\"",
        r#""\ud83d\ude00""#,
        "[[[[]]]]",
        "\"\"",
        r#"{"":0}"#,
        "",
        "nul",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{1:2}",
        "01",
        "1.",
        "-",
        "1e",
        ".5",
        "+1",
        "NaN",
        "\"\u{1}\"",
        "\"abc",
        "[1 2]",
        "[1}",
        "{]",
        "1 2",
        "\"\\x\"",
        "\"\\u12\"",
        "[",
        "{\"a\":1",
        "tru",
        "'a'",
        "[\"a\" : 1]",
        "]",
        "\"\\",
    ] {
        let theirs = serde_json::from_str::<serde_json::Value>(text);
        assert_eq!(Tape::parse(text.as_bytes()).is_ok(), theirs.is_ok(), "{text:?}");
    }
    assert_eq!(Tape::parse(b"\"\xff\"").err(), Some(TapeError::Invalid(1)));
    assert_eq!(Tape::parse("[".repeat(1_000_000).as_bytes()).err(), Some(TapeError::TooDeep));
    assert!(Tape::parse(&[b"[".repeat(MAX_DEPTH), b"]".repeat(MAX_DEPTH)].concat()).is_ok());
}

#[test]
fn nodes_lead_through_the_text() {
    let tape = Tape::parse(br#"{"a":[1,{"x":2},"q\n\ud83d\ude00\ud800"],"a":null}"#).unwrap();
    let members: Vec<_> = tape
        .root()
        .members()
        .map(|(name, value)| (name.text().into_owned(), value.kind()))
        .collect();
    assert_eq!(members, [("a".to_owned(), Type::Array), ("a".to_owned(), Type::Null)]);
    let array: Vec<_> = tape.root().members().next().unwrap().1.elements().collect();
    assert_eq!(array[1].raw_str(), r#"{"x":2}"#);
    assert_eq!(array[2].text(), "q\n😀\u{fffd}");
    assert_eq!(array[2].elements().count() + array[2].members().count(), 0);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn rebuilt(node: Node<'_, '_>) -> serde_json::Value {
    match node.kind() {
        Type::Array => node.elements().map(rebuilt).collect::<Vec<_>>().into(),
        Type::Object => serde_json::Value::Object(
            node.members().map(|(k, v)| (k.text().into_owned(), rebuilt(v))).collect(),
        ),
        Type::String | Type::Escaped => node.text().into_owned().into(),
        _ => serde_json::from_str(node.raw_str()).unwrap(),
    }
}

proptest! {
    #[test]
    fn any_value_comes_back(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        // Not `value` itself: serde_json's default reading of doubles is not exact.
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(rebuilt(Tape::parse(text.as_bytes()).unwrap().root()), expected);
    }

    /// Whatever the other text, a text read beside it has the nodes that it has alone.
    #[test]
    fn the_other_text_changes_nothing(
        value in any_json(),
        other in any_json(),
        cuts in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..4_usize, "[\\[\\]{},:\"0-9a]{0,3}"),
            0..4,
        )
    ) {
        let nodes = |tape: Result<Tape<'_>, TapeError>| {
            tape.ok().map(|tape| {
                tape.nodes
                    .iter()
                    .map(|node| (node.start, node.end, node.next, node.kind))
                    .collect::<Vec<_>>()
            })
        };
        let text = value.to_string();
        let mut edited = text.clone().into_bytes();
        for (at, length, new) in cuts {
            let at = at.index(edited.len() + 1);
            edited.splice(at..(at + length).min(edited.len()), new.bytes());
        }
        let beside = serde_json::json!({ "a": other, "b": value }).to_string();
        for one in [text.as_bytes(), &edited, beside.as_bytes()] {
            for other in [text.as_bytes(), &edited, beside.as_bytes()] {
                if let Ok(other) = Tape::parse(other) {
                    prop_assert_eq!(
                        nodes(Tape::parse_beside(one, &other)),
                        nodes(Tape::parse(one))
                    );
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        bytes in prop::collection::vec(
            prop_oneof![
                Just(b'"'),
                Just(b'\\'),
                Just(b'{'),
                Just(b'}'),
                Just(b'['),
                Just(b']'),
                Just(b':'),
                Just(b','),
                Just(b'u'),
                any::<u8>()
            ],
            0..40,
        )
    ) {
        let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes);
        let ours = Tape::parse(&bytes);
        // serde_json refuses lone surrogates only when it builds a string; the tape keeps them.
        prop_assert_eq!(ours.is_ok(), theirs.is_ok() && std::str::from_utf8(&bytes).is_ok());
    }
}
