//! Escaping, format by format. What comes from a capture may hold anything.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use crate::diff::csv::visible;
use crate::time::Timestamp;

/// At most `most` characters; what is cut is said.
pub fn short(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            Cow::Owned(format!("{}… ({} characters)", &text[..at], text.chars().count()))
        }
    }
}

/// An instant without the digits below a millisecond, in UTC.
pub fn instant(at: Timestamp) -> String {
    at.to_string().get(..23).unwrap_or_default().replace('T', " ")
}

/// JSON that may stand in a script block: nothing in it ends the block, opens a comment or ends a
/// line of JavaScript.
pub fn script_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// Text in Markdown that stays text: visible, and every character that Markdown or HTML gives a
/// meaning as an entity.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in visible(text).chars() {
        if c.is_alphanumeric() || " /.,;%()?$'×·—–…→".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "&#{};", c as u32);
        }
    }
    out
}

/// The same as code: in `<code>`, where neither mentions nor links are made of it.
pub fn markdown_code(text: &str) -> String {
    format!("<code>{}</code>", markdown(text))
}

/// Where two texts differ: what they begin with alike, the two middles, what they end with alike.
pub fn split_common<'a>(a: &'a str, b: &'a str) -> ([&'a str; 3], [&'a str; 3]) {
    let prefix = a
        .char_indices()
        .zip(b.chars())
        .find(|((_, x), y)| x != y)
        .map_or(a.len().min(b.len()), |((at, _), _)| at);
    let (rest_a, rest_b) = (&a[prefix..], &b[prefix..]);
    let suffix: usize = rest_a
        .chars()
        .rev()
        .zip(rest_b.chars().rev())
        .take_while(|(x, y)| x == y)
        .map(|(x, _)| x.len_utf8())
        .sum();
    let cut = |text: &'a str| {
        [&text[..prefix], &text[prefix..text.len() - suffix], &text[text.len() - suffix..]]
    };
    (cut(a), cut(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(visible("a\u{1b}[31mb\u{202e}c\nd"), "a\\u{1b}[31mb\\u{202e}c\\nd");
        assert!(matches!(visible("plain ünï 語"), Cow::Borrowed(_)));
    }

    #[test]
    fn markdown_stays_text() {
        let hostile = "<script>|`**[x](http://e)@team #1 <!-- \n# h";
        let text = markdown(hostile);
        for c in ['<', '>', '|', '`', '*', '[', ']', '@', '!', '\n'] {
            assert!(!text.contains(c), "{c:?} in {text}");
        }
        assert!(!text.contains(" #"), "{text}");
    }

    #[test]
    fn a_script_block_cannot_be_left() {
        let text = script_json(&serde_json::to_string("</script><!--\u{2028}&").unwrap());
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "</script><!--\u{2028}&");
    }

    proptest! {
        #[test]
        fn splits_are_the_texts_again(a in "[ab語]{0,8}", b in "[ab語]{0,8}") {
            let (left, right) = split_common(&a, &b);
            prop_assert_eq!(left.concat(), a.clone());
            prop_assert_eq!(right.concat(), b.clone());
            prop_assert_eq!((left[0], left[2]), (right[0], right[2]));
            if a == b {
                prop_assert_eq!(left[1], "");
            }
        }
    }
}
