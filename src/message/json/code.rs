//! JSON in code: which parts of a script are documents, as in `window.state = {"user":1};` or
//! `set({"token":"x"});`.

use std::ops::Range;

use super::tape::Tape;

/// Documents of one script that are told apart.
const MOST: usize = 64;
/// How often a byte may be looked at on the average: code has braces in braces.
const LOOKS: usize = 4;

/// Where documents stand in a text that is none itself, in its order. What code makes of members
/// without quotes is none.
pub(crate) fn documents(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    let mut left = bytes.len().saturating_mul(LOOKS);
    while let Some(start) = memchr::memchr2(b'{', b'[', &bytes[at..]).map(|next| at + next) {
        at = start + 1;
        if !begins(&bytes[start..]) {
            continue;
        }
        let Some(length) = length(&bytes[start..], &mut left) else { continue };
        let end = start + length;
        if Tape::parse(&bytes[start..end]).is_ok() {
            found.push(start..end);
            at = end;
            if found.len() == MOST {
                break;
            }
        }
    }
    found
}

/// Whether a bracket may begin a document: an object with a member in quotes, or a list of objects
/// or lists. Code has other braces as well.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    let object = |bytes: &[u8]| {
        bytes.strip_prefix(b"{").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\""))
    };
    match bytes.strip_prefix(b"[").map(<[u8]>::trim_ascii_start) {
        Some(rest) => rest.starts_with(b"[") || object(rest),
        None => object(bytes),
    }
}

/// How long what begins with a bracket is, up to the one that closes it. `left` is how many bytes
/// may still be looked at.
fn length(bytes: &[u8], left: &mut usize) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(*left)];
    let (mut depth, mut is_text) = (0_usize, false);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' if is_text => at += 1,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    *left -= at.min(bytes.len());
    (depth == 0 && at <= bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        documents(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn documents_are_found_in_code() {
        for (text, all) in [
            ("var s = {\"a\":1};", &["{\"a\":1}"][..]),
            (
                "on(function(){ use({\"k\":\"}\\\"\"}); A=[{\"b\":[2]}]; });",
                &["{\"k\":\"}\\\"\"}", "[{\"b\":[2]}]"],
            ),
            ("f('#x', {\"a\":{}}, {}, [[\"n\", 1]])", &["{\"a\":{}}", "[[\"n\", 1]]"]),
            // An object with code in it is none, one within it is.
            ("g({\"a\": function() { h({\"b\":1}) }})", &["{\"b\":1}"]),
            ("if (a) { b[0] = {c: 1} }", &[]),
            ("{\"a\":", &[]),
            ("{\"a\\", &[]),
            ("", &[]),
        ] {
            assert_eq!(found(text), all, "{text}");
        }
    }

    #[test]
    fn braces_in_braces_cost_no_more_than_their_share() {
        let deep = "{\"".repeat(1 << 17);
        assert!(documents(&deep).is_empty());
        let many = "f({\"a\":1});".repeat(MOST + 1);
        assert_eq!(documents(&many).len(), MOST);
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_is_json(text in "([{}\\[\\]\"\\\\:,a1 é]|\\{\"a\":1\\}){0,60}") {
            for part in found(&text) {
                proptest::prop_assert!(Tape::parse(part.as_bytes()).is_ok(), "{}", part);
            }
        }
    }
}
