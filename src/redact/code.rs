//! Secrets in code: in a declaration with a type, as the only argument of a function, as what a
//! value falls back to, and in quotes that are written as escapes.

use std::ops::Range;

use super::drawn;
use super::names;
use super::words::{
    LONGEST_LOOK, LONGEST_NAME, behind_blanks, ends, is_blank, is_of_name, name_around, quoted,
};

/// Most bytes of a type in a declaration.
const LONGEST_TYPE: usize = 48;

/// The value in quotes behind the type that begins at `from`: `String = "VALUE"`.
pub(super) fn declared(text: &[u8], from: usize) -> Option<Range<usize>> {
    let window = &text[from..text.len().min(from + LONGEST_TYPE)];
    let equals = memchr::memchr(b'=', window)?;
    let kind = window[..equals].trim_ascii_end();
    let is_of_type = |byte: &u8| byte.is_ascii_alphabetic() || b"_<>&'?.,[]* ".contains(byte);
    // Blanks stand in a type behind `&`, and between brackets.
    let is_one = !kind.contains(&b' ') || matches!(kind[0], b'&' | b'*') || kind.contains(&b'<');
    // Every type of texts is called so in some way; `keyId="k"` is another pair.
    let is_of_texts =
        kind.windows(3).any(|at| at.eq_ignore_ascii_case(b"str")) || TYPES.contains(&kind);
    if !is_of_texts || !kind.iter().all(is_of_type) || !is_one {
        return None;
    }
    near_quoted(text, behind_blanks(text, from + equals + 1))
}

/// Types of texts that languages write between a name and its value.
const TYPES: [&[u8]; 6] = [b"string", b"*string", b"[]byte", b"String", b"str", b"char"];

/// The value in quotes behind a type of texts, as Go has it: `password string = "VALUE"`.
pub(super) fn declared_behind(text: &[u8], from: usize) -> Option<Range<usize>> {
    let is_type = |kind: &&[u8]| {
        let rest = text[from..].strip_prefix(*kind);
        rest.is_some_and(|rest| rest.first().is_some_and(|&byte| is_blank(byte)))
    };
    TYPES.iter().find(|kind| is_type(kind)).and_then(|_| declared(text, from))
}

/// What stands in quotes at `at`, as far as a value is looked at.
fn near_quoted(text: &[u8], at: usize) -> Option<Range<usize>> {
    quoted(&text[..text.len().min(at + LONGEST_LOOK)], at)
}

/// What functions begin with that are given a secret to keep, and no name to look up.
const SETTING: [&str; 6] = ["set", "with", "use", "put", "save", "store"];
/// What functions begin with that look up what they are given.
const LOOKING_UP: [&str; 8] = ["get", "find", "fetch", "has", "is", "load", "read", "remove"];

/// The only argument, in quotes, of a function of a secret's name: `setToken("VALUE")`.
pub(super) fn called(text: &[u8], name: Range<usize>) -> Option<Range<usize>> {
    let argument = only_argument(text, name.end)?;
    let name = std::str::from_utf8(&text[name]).ok()?;
    let function = name.rsplit('.').next().unwrap_or(name);
    let begins = |words: &[&str]| {
        words.iter().any(|word| {
            let start = function.get(..word.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        })
    };
    if begins(&LOOKING_UP) || !names::is_secret_field(name) {
        return None;
    }
    let value = &text[argument.clone()];
    let is_value = if begins(&SETTING) { drawn::in_cell(value) } else { is_argument(value) };
    is_value.then_some(argument)
}

/// What stands in quotes, alone, between the brackets that open at `open`.
pub(super) fn only_argument(text: &[u8], open: usize) -> Option<Range<usize>> {
    let quote = *text.get(open + 1).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    let from = open + 2;
    let window = &text[from..text.len().min(from + LONGEST_LOOK)];
    crate::steps::add(window.len().min(LONGEST_NAME));
    let length = memchr::memchr(quote, window)?;
    (text.get(from + length + 1) == Some(&b')')).then_some(from..from + length)
}

/// Whether the argument of a function is a value and no name of one: `env("API_TOKEN_2")`.
pub(super) fn is_argument(value: &[u8]) -> bool {
    let is_constant = value.iter().all(|byte| !byte.is_ascii_lowercase());
    drawn::in_text(value) && !is_constant && !names::is_secret_name(value)
}

/// Bytes of a statement in which another value may stand.
const STATEMENT: usize = 128;

/// The value in quotes that code falls back to: `x || "VALUE"`, `"" or "VALUE"`, `a ? "VALUE" : b`.
pub(super) fn alternative(text: &[u8], from: usize) -> Option<Range<usize>> {
    const SIGNS: [&[u8]; 4] = [b"|| ", b" or ", b"?? ", b"?"];
    let window = &text[from..text.len().min(from + STATEMENT)];
    let line = &window[..ends(window, |byte| matches!(byte, b'\n' | b';' | b'<'))];
    SIGNS.iter().find_map(|sign| {
        let at = from + memchr::memmem::find(line, sign)? + sign.len();
        near_quoted(text, behind_blanks(text, at)).filter(|value| is_argument(&text[value.clone()]))
    })
}

/// What stands in quotes at `from` that are encoded as in a target: `%27VALUE%27`.
pub(super) fn encoded_quotes(text: &[u8], from: usize) -> Option<Range<usize>> {
    let quote = text.get(from..from + 3).filter(|at| matches!(*at, b"%27" | b"%22"))?;
    let window = &text[from + 3..text.len().min(from + LONGEST_LOOK)];
    crate::steps::add(window.len().min(LONGEST_NAME));
    memchr::memmem::find(window, quote).map(|length| from + 3..from + 3 + length)
}

/// How quotes are written in a text within JavaScript.
const ESCAPED_QUOTES: [&[u8]; 2] = [b"\\u0022", b"\\x22"];

/// A value behind its name where quotes are escapes: `{\u0022token\u0022:\u0022VALUE\u0022}`.
/// Answers where both stand.
pub(super) fn escaped_pair(text: &[u8], from: usize) -> Option<(Range<usize>, Range<usize>)> {
    let rest = &text[from..text.len().min(from + LONGEST_NAME)];
    let length = rest.iter().take_while(|&&byte| is_of_name(byte)).count();
    let quote = ESCAPED_QUOTES.iter().find(|quote| rest[length..].starts_with(quote))?;
    let blanks = |rest: &[u8]| rest.iter().take_while(|&&byte| is_blank(byte)).count();
    let mut at = length + quote.len();
    at += blanks(&rest[at..]);
    at += usize::from(rest.get(at) == Some(&b':'));
    at += blanks(&rest[at..]);
    if !rest[at..].starts_with(quote) || rest[at - 1] == quote[quote.len() - 1] {
        return None;
    }
    let name = name_around(text, from + length);
    // The last signs of the escape before the name look like a part of it.
    let is_escape = text[..name.start].ends_with(b"\\");
    let name = name.start + if is_escape { quote.len() - 1 } else { 0 }..name.end;
    if !names::is_secret_name(text.get(name.clone())?) {
        return None;
    }
    let value = from + at + quote.len();
    let end = value + ends(&text[value..], |byte| matches!(byte, b'\\' | b'"' | b'\n'));
    Some((name, value..end))
}
