//! Secrets in the lines below a name, as YAML has them: items of a list, and what stands under
//! other names. Goes by lines and how far they are indented.

use std::ops::Range;

use super::drawn;
use super::names;
use super::words::{behind_blanks, ends, is_blank, quoted};

/// Most lines below a name that are looked at.
const MOST_LINES: usize = 256;

/// Tells the values that stand below the name at `name`, behind the line that ends at `end`.
/// Answers where those lines end.
pub(super) fn find(
    text: &[u8],
    name: usize,
    end: usize,
    mut tell: impl FnMut(Range<usize>),
) -> usize {
    let Some(indent) = indent_of(text, name) else { return end };
    let mut at = end;
    for _ in 0..MOST_LINES {
        // Behind the end of the line before.
        let start = at + ends(&text[at..], |byte| byte == b'\n') + 1;
        if start >= text.len() {
            break;
        }
        let line = start..start + ends(&text[start..], |byte| matches!(byte, b'\r' | b'\n'));
        let blanks = text[line.clone()].iter().take_while(|&&byte| is_blank(byte)).count();
        let from = line.start + blanks;
        if from < line.end {
            let is_item = text[from..line.end].starts_with(b"- ");
            if blanks + usize::from(is_item) <= indent {
                break;
            }
            if let Some(value) = value(text, from..line.end, is_item) {
                tell(value);
            }
        }
        at = line.end;
    }
    at
}

/// How far the line is indented that begins with the name at `name`; none where something stands
/// before it.
fn indent_of(text: &[u8], name: usize) -> Option<usize> {
    let before = text[..name].strip_suffix(b"\"").unwrap_or(&text[..name]);
    let blanks = before.iter().rev().take_while(|&&byte| is_blank(byte) || byte == b'-').count();
    let start = before.len() - blanks;
    crate::steps::add(blanks);
    (start == 0 || text[start - 1] == b'\n').then_some(blanks)
}

/// The value in a line: what a list holds, or what stands behind another name, where it looks like
/// a value and no word. What has a secret's own name is found by it.
fn value(text: &[u8], line: Range<usize>, is_item: bool) -> Option<Range<usize>> {
    let from = if is_item { behind_blanks(text, line.start + 1) } else { line.start };
    let says = &text[from..line.end];
    let colon = memchr::memmem::find(says, b": ").filter(|_| !says.starts_with(b"\""));
    let start = colon.map_or(from, |colon| behind_blanks(text, from + colon + 1));
    if colon.is_some_and(|colon| names::is_secret_name(says[..colon].trim_ascii())) {
        return None;
    }
    let value = match quoted(&text[..line.end], start) {
        Some(quoted) => quoted,
        None => start..start + text[start..line.end].trim_ascii_end().len(),
    };
    let word = &text[value.clone()];
    let is_value = if is_item || colon.is_some() { drawn::in_cell } else { drawn::in_text };
    let is_sign = word.first().is_none_or(|byte| b"#&*!|>{[^$%@/.".contains(byte));
    let is_name = names::is_secret_name(word);
    (is_value(word) && !is_sign && !is_name && word.iter().any(u8::is_ascii_digit)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::shapes;

    fn texts(text: &str) -> Vec<&str> {
        shapes::find(text.as_bytes(), false).into_iter().map(|(range, _)| &text[range]).collect()
    }

    #[test]
    fn what_stands_below_a_name_is_found() {
        for (text, expected) in [
            ("password:\n  - k1k1\n  - \"k2k2\"\nname: x1x1\n", &["k1k1", "k2k2"][..]),
            ("password:\n- k1k1\nname: x1x1\n", &["k1k1"]),
            (
                "a:\n  secrets:\n    b:\n      c: k1k1\n\n    d: k2k2\n  e: x1x1\n",
                &["k1k1", "k2k2"],
            ),
            ("secrets:\r\n  password: hunter\r\n  url: k1k1\r\n", &["hunter", "k1k1"]),
            ("  token:\n    aB3dE5fG7\n", &["aB3dE5fG7"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn words_below_a_name_are_left() {
        for text in [
            "Password:\n  - at least 8 characters\n  - one digit\n",
            "password:\n  type: string\n  format: password\n  $ref: \"#/a/b1\"\n",
            "services:\n  a:\n    secrets:\n      - db_password2\n      - cert\n",
            "tokens:\n  - the1\n  - cat2\n",
            "the token:\nx1x1x1x1x1\n",
        ] {
            assert_eq!(texts(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn names_below_each_other_take_no_more_than_n_log_n() {
        for unit in ["token:\n", "token:\n  - a1b2\n", "- token:\n", "token:\n\n"] {
            crate::steps::hold_to_n_log_n(1_000, |n| {
                crate::steps::add(n);
                drop(texts(&unit.repeat(n)));
            });
        }
        crate::steps::hold_to_n_log_n(40_000, |n| {
            // As many bytes as that, about.
            let lines = (0..n.isqrt()).map(|depth| format!("{}token:\n", " ".repeat(depth)));
            crate::steps::add(n);
            drop(texts(&lines.collect::<String>()));
        });
    }
}
