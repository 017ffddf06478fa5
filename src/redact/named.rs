//! Secrets in a text that stand behind a name: `password=…`, `"token": "…"`, lines of headers
//! (`Authorization: Bearer …`, `Cookie: …`), parameters of URLs, and credentials behind the scheme
//! that they are for (`Bearer …`, `Basic …`).
//!
//! A text has no grammar, so where a value ends is a guess, which errs on the longer side.

use std::ops::Range;

use super::names::{self, HeaderSecret};
use super::shape::SecretShape;
use super::view::{View, ViewEncoding};
use super::words::{
    LONGEST_LOOK, LONGEST_NAME, MOST_BLANKS, behind_blanks, ends, is_blank, is_of_name,
    name_around, quoted, word_at,
};
use super::{below, code, drawn, options, values};
use crate::message::kinds::{self, ValueKind};

/// Options that a user and a password follow: of curl, HTTPie and others.
const USERS: [&[u8]; 4] = [b"-u ", b"http -a ", b"--user ", b"--proxy-user "];
/// A colon as wide as the letters of East Asia.
const WIDE_COLON: &[u8] = "：".as_bytes();
/// What a password in quotes follows in SQL.
const IDENTIFIED: &[u8] = b"identified by ";

/// Up to where pairs were looked at.
#[derive(Default)]
pub(super) struct NamedUpTo {
    /// The last `=` or `:`.
    mark: Option<usize>,
    /// Where its pair ends.
    end: usize,
    /// Where the line ends that was looked at last.
    line: usize,
    /// Where the lines end that stand below a name and were looked at last.
    below: usize,
}

/// Adds what stands behind the name that a hit, which ends at `from`, is a part of.
pub(super) fn pair_around(
    text: &[u8],
    from: usize,
    done: &mut NamedUpTo,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) {
    if from <= done.end {
        return;
    }
    let option = USERS.iter().find(|option| text[..from].ends_with(option));
    if let Some(option) = option {
        let end = user_and_password(text, from - option.len(), from, found);
        done.end = end.unwrap_or(done.end);
        return;
    }
    if let Some(value) = options::of_command(text, from) {
        done.end = put(text, value, SecretShape::Named, found).unwrap_or(done.end);
        return;
    }
    let is_sql =
        || text[from.saturating_sub(IDENTIFIED.len())..from].eq_ignore_ascii_case(IDENTIFIED);
    if text[..from].ends_with(b" ") && is_sql() {
        let quoted =
            quoted(text, from).and_then(|quoted| put(text, quoted, SecretShape::Named, found));
        done.end = quoted.unwrap_or(done.end);
        return;
    }
    if let Some((name, value)) = code::escaped_pair(text, from) {
        let name = std::str::from_utf8(&text[name]).unwrap_or_default();
        let end = put_named(text, name, value, SecretShape::Named, found);
        done.end = end.unwrap_or(done.end);
        return;
    }
    if let Some(end) = encoded_pair(text, from, found) {
        done.end = end;
        return;
    }
    // Some stems have the sign with them: `?state=`.
    let mark = if text[..from].ends_with(b"=") { Some(from - 1) } else { mark_after(text, from) };
    if mark.is_none_or(|mark| text[mark..].starts_with(b"=>") || is_visibility(text, mark)) {
        done.end = loose_pair(text, from, found).unwrap_or(done.end);
    }
    let Some(mark) = mark.filter(|&at| at >= done.end && done.mark.is_none_or(|last| at > last))
    else {
        return;
    };
    done.mark = Some(mark);
    done.end = pair(text, mark, done, found).unwrap_or(0).max(mark + 1);
}

/// The `=` or `:` behind the name that goes on at `from`, and its quotes.
fn mark_after(text: &[u8], from: usize) -> Option<usize> {
    let rest = &text[from..];
    let mut at = rest.iter().take(LONGEST_NAME).take_while(|&&byte| is_of_name(byte)).count();
    if let Some(wide) = memchr::memmem::find(&rest[..at], WIDE_COLON) {
        return Some(from + wide);
    }
    // A member of TypeScript that may be left out: `token?: string`.
    at += usize::from(rest[at..].starts_with(b"?:"));
    at += usize::from(rest.get(at) == Some(&b'\\'));
    let quoted = matches!(rest.get(at), Some(b'"' | b'\'' | b'`'));
    at += usize::from(quoted);
    // `sessionStorage["access_token"] = …`
    at += usize::from(quoted && rest.get(at) == Some(&b']'));
    at += rest[at..].iter().take(2).take_while(|&&byte| byte == b'*').count();
    at += rest[at..].iter().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte)).count();
    matches!(rest.get(at), Some(b'=' | b':')).then_some(from + at)
}

/// Signs between a name and its value in a target that is encoded once, and once more.
const ENCODED_MARKS: [&[u8]; 6] = [b"%3D", b"%3d", b"%253D", b"%253d", b"%22%3A%22", b"%22%3a%22"];

/// A value behind its name in a target that is encoded in another one, or in a text:
/// `?next=%2Fcb%3Faccess_token%3DVALUE`, `%7B%22token%22%3A%22VALUE%22%7D`. Answers where it ends.
fn encoded_pair(
    text: &[u8],
    from: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let rest = &text[from..text.len().min(from + LONGEST_NAME)];
    let name = &rest[..rest.iter().take_while(|&&byte| is_of_name(byte)).count()];
    let percent = memchr::memchr_iter(b'%', name).find_map(|at| {
        let mark = ENCODED_MARKS.iter().find(|mark| text[from + at..].starts_with(mark))?;
        Some((from + at, mark))
    });
    let (mark_at, mark) = percent?;
    let is_quoted = mark.starts_with(b"%22");
    let before = &text[mark_at.saturating_sub(LONGEST_NAME)..mark_at];
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let mut length = before.iter().rev().take_while(|byte| is_plain(byte)).count();
    // The digits of the sign before the name are none of it.
    let start = before.len() - length;
    if start > 0 && before[start - 1] == b'%' {
        length = length.saturating_sub(if before[start..].starts_with(b"25") { 4 } else { 2 });
    }
    let name = std::str::from_utf8(&text[mark_at - length..mark_at]).ok()?;
    let is_secret =
        if is_quoted { names::is_secret_field(name) } else { names::is_secret_parameter(name) };
    if !is_secret {
        return None;
    }
    let value = mark_at + mark.len();
    let ends_at = [b"%26", b"%23", b"%22", b"%27"];
    let end = value
        + (0..text.len() - value)
            .find(|&at| {
                let rest = &text[value + at..];
                rest[0].is_ascii_whitespace()
                    || b"\"'<>&#`\\".contains(&rest[0])
                    || ends_at.iter().any(|end| rest.starts_with(*end))
                    || rest.starts_with(b"%2526")
            })
            .unwrap_or(text.len() - value);
    put_named(text, name, value..end, SecretShape::Parameter, found)
}

/// Words that stand in a sentence between a secret's name and the secret.
const BETWEEN: [&str; 22] = [
    "are",
    "been",
    "changed",
    "following",
    "given",
    "has",
    "id",
    "is",
    "newly",
    "now",
    "provided",
    "received",
    "sent",
    "set",
    "specified",
    "supplied",
    "temporarily",
    "to",
    "type",
    "used",
    "value",
    "was",
];
/// Most of them.
const MOST_BETWEEN: usize = 4;
/// Words behind which the owner of a secret is told.
const OWNING: [&[u8]; 2] = [b"for", b"of"];

/// A secret that a sentence says after its name: `Incorrect API key provided: VALUE.`, `Your
/// temporary password is: VALUE`, `token VALUE has expired`. Only what looks drawn is one.
fn in_sentence(text: &[u8], name: Range<usize>) -> Option<Range<usize>> {
    let mut at = name.end;
    let (mut is_owner, mut is_owned) = (false, false);
    for _ in 0..=MOST_BETWEEN {
        let blanks = text[at..].iter().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte));
        let from = at + blanks.count();
        if from == at {
            return None;
        }
        let from = from + usize::from(matches!(text.get(from), Some(b'(' | b'<' | b'[')));
        let is_end = |byte: u8| byte.is_ascii_whitespace() || b"\"'`<>".contains(&byte);
        let word = &text[from..from + ends(&text[from..], is_end)];
        let bare = word.trim_ascii_end().len()
            - word.iter().rev().take_while(|byte| b".,;:!?)]".contains(byte)).count();
        if bare == 0 {
            return None;
        }
        let word = &word[..bare];
        // `token for joe is VALUE`: whoever it is for is no secret.
        if std::mem::take(&mut is_owner) {
            (at, is_owned) = (from + bare, true);
            continue;
        }
        // The start of a long one tells what all of it is.
        if !is_owned && is_drawn_alone(&word[..bare.min(LONGEST_LOOK)]) {
            return Some(from..from + bare);
        }
        let is_between = BETWEEN.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
        is_owner = OWNING.contains(&word);
        if !is_between && !is_owner {
            return None;
        }
        is_owned = false;
        at = from + bare;
        at += usize::from(text.get(at) == Some(&b':'));
    }
    None
}

/// Whether a word looks drawn, and is neither a time, a version nor a pair of its own.
fn is_drawn_alone(word: &[u8]) -> bool {
    /// Versions and names of files with points in them are shorter.
    const LONG: usize = 24;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~+=".contains(byte);
    let inside = &word[..word.len() - word.iter().rev().take_while(|&&b| b == b'=').count()];
    let is_time = || {
        let kind = std::str::from_utf8(word).ok().and_then(kinds::of_text);
        kind.is_some_and(ValueKind::is_time)
    };
    drawn::in_text(word)
        && word.iter().all(is_plain)
        && !inside.contains(&b'=')
        && (word.len() >= LONG || !inside.contains(&b'.'))
        && !is_time()
}

/// A value behind its name without `=` or `:`: `--token VALUE`, `machine x login joe password
/// VALUE` (netrc), `set("token", "VALUE")`, `'password' => 'VALUE'`, `password was "VALUE"`.
/// Answers where it ends.
fn loose_pair(
    text: &[u8],
    from: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let count = |bytes: &[u8]| bytes.iter().take_while(|&&byte| is_of_name(byte)).count();
    let end = from + count(&text[from..text.len().min(from + LONGEST_NAME)]);
    let quote = text.get(end).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    let mut at = end + usize::from(quote.is_some());
    let blanks = text[at..].iter().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte)).count();
    at += blanks;
    let start = name_around(text, end).start;
    if matches!(text.get(end + usize::from(quote.is_some())), Some(b']' | b':')) {
        return dumped(text, start..end, end + usize::from(quote.is_some()), found);
    }
    if quote.is_none() && text.get(end) == Some(&b'(') {
        let value = code::called(text, start..end)?;
        let name = std::str::from_utf8(&text[start..end]).ok()?;
        return put_named(text, name, value, SecretShape::Named, found);
    }
    if let Some(value) = options::of_protocol(text, start..end, at) {
        let end = value + word_length(&text[value..]);
        return put(text, value..end, SecretShape::Named, found);
    }
    let is_argument = || {
        let before = &text[..start];
        quote.is_some_and(|quote| before.ends_with(&[b'(', quote]))
    };
    // Where a value in quotes may begin, and how one without them must look.
    let (value, is_bare): (_, fn(&[u8]) -> bool) = match &text[at..] {
        // Printed by PHP: `[password] => VALUE`.
        [b'=', b'>', ..] if text[start..end].starts_with(b"[") => (at + 2, |_| true),
        [b'=', b'>', ..] | [b'-', b'>', b' ' | b'\t', ..] => (at + 2, drawn::in_text),
        // A member in code, too: `session->http2_conn`.
        [b'-', b'>', ..] => (at + 2, drawn::as_value),
        [b',', ..] if is_argument() => (at + 1, |_| false),
        rest if blanks > 0 && rest.starts_with(b"was ") => (at + 4, drawn::in_text),
        rest if blanks > 0 && (rest.starts_with(b"is ") || rest.starts_with(b"eq ")) => {
            (at + 3, drawn::in_text)
        }
        [b'\r' | b'\n', ..] => return named_by_line(text, start..end, at, found),
        [next, ..] if blanks > 0 && *next != b'-' => {
            let is_option = text[start..end].starts_with(b"--");
            let is_password =
                is_option || text[start..end] == *b"password" && follows_login(&text[..start]);
            (at, if is_password { |_| true } else { |_| false })
        }
        _ => return None,
    };
    let name = std::str::from_utf8(&text[start..end]).ok()?;
    let name = if names::is_secret_field(name) { name } else { two_words(text, &(start..end))? };
    if quote.is_none()
        && let Some(word) = in_sentence(text, start..end)
    {
        return put_named(text, name, word, SecretShape::Named, found);
    }
    let value =
        value + text[value..].iter().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte)).count();
    if let Some(quoted) = quoted(text, value) {
        return put_named(text, name, quoted, SecretShape::Named, found);
    }
    if quote.is_none()
        && let Some(value) = code::declared_behind(text, value)
    {
        return put_named(text, name, value, SecretShape::Named, found);
    }
    if !is_bare(word_at(text, value)) {
        return None;
    }
    let end = value + word_length(&text[value..]);
    (end > value).then(|| put_named(text, name, value..end, SecretShape::Named, found)).flatten()
}

/// Whether a colon stands before how visible a member of an object in PHP is: `:protected]=>`.
fn is_visibility(text: &[u8], colon: usize) -> bool {
    let rest = &text[colon..text.len().min(colon + LONGEST_NAME)];
    let end = rest.iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b']').count();
    [&b":protected"[..], b":private"].iter().any(|word| rest[..end].ends_with(word))
}

/// The value behind a member's name as dumps of PHP have it: `["token":protected]=>` and a string
/// in the next line, `[password] => VALUE`. Answers where it ends.
fn dumped(
    text: &[u8],
    name: Range<usize>,
    mut at: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let begins = text[..name.start].ends_with(b"[") || text[..name.start].ends_with(b"[\"");
    if text.get(at) == Some(&b':') {
        at += text[at..].iter().take(LONGEST_NAME).take_while(|&&byte| byte != b']').count();
    }
    let rest = text.get(at..)?.strip_prefix(b"]")?;
    let blanks = rest.iter().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte)).count();
    // `os.environ['TOKEN'] = 'VALUE'` has but one sign.
    let is_set = rest[blanks..].starts_with(b"= ");
    let rest = rest[blanks..].strip_prefix(if is_set { &b"="[..] } else { b"=>" })?;
    let begins = begins || text[..name.start].ends_with(b"['");
    let name = std::str::from_utf8(&text[name]).ok()?;
    if !begins || !names::is_secret_field(name) {
        return None;
    }
    let from = text.len() - rest.len();
    let blanks = rest.iter().take(LONGEST_NAME).take_while(|byte| byte.is_ascii_whitespace());
    let value = from + blanks.count();
    // `string(2) "k1"`
    let head = &text[value..text.len().min(value + LONGEST_NAME)];
    let quote = memchr::memchr(b'"', head).filter(|_| head.starts_with(b"string("));
    if let Some(quoted) = quoted(text, value + quote.unwrap_or(0)) {
        return put_named(text, name, quoted, SecretShape::Named, found);
    }
    // Code, not a value.
    if is_set {
        return None;
    }
    let end = value + ends(&text[value..], |byte| matches!(byte, b'\r' | b'\n'));
    put_named(text, name, value..end, SecretShape::Named, found)
}

/// The value in the line behind one that names it, as lists of YAML have them:
/// `- name: DB_PASSWORD`, `value: VALUE`. Answers where it ends.
fn named_by_line(
    text: &[u8],
    name: Range<usize>,
    line_end: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let before = text[..name.start].trim_ascii_end();
    let is_name = [&b"name:"[..], b"key:", b"Name:", b"Key:"].iter().any(|n| before.ends_with(n));
    let is_event = before.ends_with(b"event:");
    let blanks = |at: usize| {
        text[at..].iter().take(LONGEST_NAME).take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let next = line_end + blanks(line_end);
    let rest = &text[next..];
    // An event of a stream is told by its name, and then what it says.
    let length = match rest {
        [b'v' | b'V', b'a', b'l', b'u', b'e', b':', ..] if is_name => b"value:".len(),
        [b'd', b'a', b't', b'a', b':', ..] if is_event => b"data:".len(),
        _ => return None,
    };
    let name = std::str::from_utf8(&text[name]).ok()?;
    if !names::is_secret_field(name) || is_event && !drawn::in_text(behind_name(rest, length)) {
        return None;
    }
    let from = next + length;
    let from = from + text[from..].iter().take_while(|&&byte| is_blank(byte)).count();
    let line = from..from + ends(&text[from..], |byte| matches!(byte, b'\r' | b'\n'));
    put_named(text, name, quoted(text, from).unwrap_or(line), SecretShape::Named, found)
}

/// The word behind the name of a field that has `length` bytes.
fn behind_name(line: &[u8], length: usize) -> &[u8] {
    word_at(line, behind_blanks(line, length))
}

/// Whether `machine HOST login NAME` stands before it, as in a netrc.
fn follows_login(before: &[u8]) -> bool {
    let before = &before[before.len().saturating_sub(2 * LONGEST_NAME)..];
    let mut words = before.rsplit(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let [_user, login, _host, machine] = std::array::from_fn(|_| words.next());
    login == Some(b"login") && machine == Some(b"machine")
}

/// The password of `-u joe:PASSWORD`, which begins at `option`. Numbers of users and groups are
/// none.
fn user_and_password(
    text: &[u8],
    option: usize,
    from: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    if option > 0 && !matches!(text[option - 1], b' ' | b'\t' | b'\n' | b'"' | b'\'') {
        return None;
    }
    let from = from + usize::from(matches!(text.get(from), Some(b'"' | b'\'')));
    let word = &text[from..from
        + ends(&text[from..], |byte| {
            byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\' | b'<')
        })];
    let colon = memchr::memchr(b':', word)?;
    let (user, password) = (&word[..colon], &word[colon + 1..]);
    let is_pair = !user.contains(&b'/') && !password.iter().all(u8::is_ascii_digit);
    is_pair.then(|| put(text, from + colon + 1..from + word.len(), SecretShape::Named, found))?
}

/// The lines of a block of YAML behind `name: |` or `name: >`, of which `line` is the rest.
fn block(text: &[u8], line: Range<usize>) -> Option<Range<usize>> {
    let [b'|' | b'>', modifiers @ ..] = text[line.clone()].trim_ascii() else { return None };
    if !matches!(modifiers, b"" | b"-" | b"+") {
        return None;
    }
    let newline = line.end + usize::from(text.get(line.end) == Some(&b'\r'));
    let first = (text.get(newline) == Some(&b'\n')).then_some(newline + 1)?;
    let indent = ends(&text[first..], |byte| byte != b' ');
    let mut end = first;
    while indent > 0 && ends(&text[end..], |byte| byte != b' ') >= indent {
        end += ends(&text[end..], |byte| byte == b'\n');
        if end >= text.len() {
            break;
        }
        end += 1;
    }
    (end > first + indent).then(|| first + indent..end.min(text.len()))
}

/// Whether a text begins with a number of few digits, and nothing that would make it a password.
fn is_count(text: &[u8]) -> bool {
    let digits = text.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'/');
    (1..4).contains(&digits) && text.get(digits).is_none_or(is_end)
}

/// Whether `=` at `at` is the padding of base64 and no sign between a name and its value: letters
/// of all sorts may spell a secret's name by chance.
fn is_padding(text: &[u8], name: &Range<usize>, at: usize) -> bool {
    const SHORTEST: usize = 15;
    let word = &text[name.clone()];
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    name.end == at
        && text.get(at + 1).is_none_or(|&next| is_blank(next))
        && word.len() >= SHORTEST
        && word.len() % 4 == 3
        && word.iter().all(u8::is_ascii_alphanumeric)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
}

/// Fewest characters of credentials behind their scheme.
const SHORTEST_CREDENTIALS: usize = 6;

/// Credentials behind their scheme (RFC 6750 §2.1, RFC 7617 §2): what is no word of a sentence, and
/// no parameter of a challenge. Answers where they end.
pub(super) fn scheme(
    text: &[u8],
    start: usize,
    end: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if start > 0 && is_word(text[start - 1]) {
        return None;
    }
    let rest = &text[end..];
    let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
    let gap = match rest {
        _ if blanks > 0 => blanks,
        [b'%', b'2', b'0', ..] => 3,
        [b'+', ..] => 1,
        _ => return None,
    };
    let from = end + gap;
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/_~.-".contains(byte);
    let length = text[from..].iter().take_while(is_part).count();
    crate::steps::add(length);
    let padding = text[from + length..].iter().take_while(|&&byte| byte == b'=').count();
    let bytes = &text[from..from + length + padding];
    if length < SHORTEST_CREDENTIALS {
        return None;
    }
    let is_prose = bytes.len() < 20
        && bytes[1..].iter().all(|byte| byte.is_ascii_lowercase() || b"./-=".contains(byte));
    // Names of parameters are short.
    let is_parameter = padding > 0
        && length <= LONGEST_NAME
        && text
            .get(from + bytes.len())
            .is_some_and(|&next| next == b'"' || next.is_ascii_alphanumeric());
    if !is_prose && !is_parameter {
        let is_basic = text[start..end].eq_ignore_ascii_case(b"basic");
        let shape = if is_basic { SecretShape::Basic } else { SecretShape::Named };
        found.push((from..from + bytes.len(), shape));
        return Some(from + bytes.len());
    }
    None
}

/// What stands behind the `=` or `:` at `at`, where the name before it is a secret's. Answers where
/// the pair ends.
fn pair(
    text: &[u8],
    at: usize,
    done: &mut NamedUpTo,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let name = name_before(text, at)?;
    let is_wide = text[at..].starts_with(WIDE_COLON);
    // Comparisons, arrows, paths of modules and schemes of URLs are no pairs.
    let colon = text[at] == b':' || is_wide;
    let mut from = at + if is_wide { WIDE_COLON.len() } else { 1 };
    match text.get(from)? {
        _ if is_wide => {}
        b'=' if colon => from += 1,
        b'=' | b'>' | b'~' if !colon => return None,
        // A value in base64 (RFC 2849), but no path of a module.
        b':' if colon && text.get(from + 1) == Some(&b' ') => from += 1,
        b':' if colon => return None,
        b'/' if colon && text.get(from + 1) == Some(&b'/') => return None,
        _ => {}
    }
    if !colon && is_padding(text, &name, at) {
        return None;
    }
    let before = name.start.checked_sub(1).map(|before| text[before]);
    let of_url = !colon
        && (matches!(before, Some(b'?' | b'&' | b'#'))
            || text[..name.start].ends_with(b"&amp;")
            || text[..name.start].ends_with(b"%26"));
    let decoded = View::new(&text[name.clone()], ViewEncoding::Percent);
    let word = std::str::from_utf8(&decoded.bytes).ok()?;
    // What stands behind `host:` in a text is seldom an authority with a password, and a key to
    // something seldom a secret.
    let header = if colon { names::header_secret(word) } else { None };
    let header =
        header.filter(|kind| !matches!(kind, HeaderSecret::Authority | HeaderSecret::Drawn));
    let parameter = if of_url { names::parameter_secret(word) } else { None };
    let two_words = two_words(text, &name);
    // What is secret by its look is so in a line of text, too.
    let by_look = if of_url { None } else { names::field_secret(word) };
    let by_look = by_look.filter(|kind| kind.is_by_look());
    let is_line = names::is_extension(word) || by_look.is_none();
    let secret = header.is_some()
        || by_look.is_some()
        || two_words.is_some()
        || parameter.is_some()
        || !of_url && !colon && names::is_secret_field(word);
    if !secret {
        return None;
    }
    let is_between = |byte: u8| is_blank(byte) || byte == b'*';
    from += text[from..].iter().take(MOST_BLANKS).take_while(|&&byte| is_between(byte)).count();
    if of_url {
        return in_target(text, from, parameter, found);
    }
    let word = two_words.unwrap_or(word);
    // `pass: 12, fail: 0` tells of tests.
    if word.eq_ignore_ascii_case("pass") && is_count(&text[from..]) {
        return None;
    }
    let quoted = quoted(text, from).or_else(|| code::encoded_quotes(text, from));
    if let Some(quoted) = quoted.clone().filter(|quoted| !quoted.is_empty()) {
        return put_named(text, word, quoted, SecretShape::Named, found);
    }
    let otherwise = if colon { code::declared(text, from) } else { None };
    if let Some(value) = otherwise.or_else(|| code::alternative(text, from)) {
        return put_named(text, word, value, SecretShape::Named, found);
    }
    if let Some(quoted) = quoted {
        return Some(quoted.end);
    }
    // `x["token"] = y` hands on a variable.
    if text[name.end..at].trim_ascii_end().ends_with(b"]") {
        return None;
    }
    // The line that the pair stands in, or what encloses it in quotes.
    let enclosing = before
        .filter(|byte| matches!(byte, b'"' | b'\'') && text[name.end..at].trim_ascii().is_empty());
    if done.line <= from {
        done.line = from + ends(&text[from..], |byte| matches!(byte, b'\r' | b'\n' | b'<'));
    }
    let quote = enclosing.and_then(|quote| memchr::memchr(quote, &text[from..done.line]));
    let line = from..quote.map_or(done.line, |length| from + length);
    if colon && let Some(block) = block(text, line.clone()) {
        return put_named(text, word, block, SecretShape::Named, found);
    }
    if colon && text[line.clone()].trim_ascii().is_empty() && line.start >= done.below {
        let tell = |value| {
            put_named(text, word, value, SecretShape::Named, found);
        };
        done.below = below::find(text, name.start, line.end, tell).max(done.below);
        return Some(line.end);
    }
    match header {
        Some(HeaderSecret::Credentials) => {
            let (range, shape) = credentials(text, line);
            put(text, range, shape, found)
        }
        Some(kind)
            if !kind.is_whole() || kind == HeaderSecret::Whole && begins_line(text, name.start) =>
        {
            // As where the header itself is, but for a line of a text that may say something else.
            let kind = if is_line { kind } else { HeaderSecret::Made };
            let inside = values::find(kind, text[line.clone()].trim_ascii_end());
            found.extend(
                inside
                    .into_iter()
                    .map(|(at, shape)| (line.start + at.start..line.start + at.end, shape)),
            );
            Some(line.end)
        }
        _ => {
            let end = from + word_length(&text[from..line.end]);
            // A call is code, not a value; what it is given may be one: `Some("VALUE")`.
            if text.get(end) == Some(&b'(') {
                let value = code::only_argument(text, end)?;
                let value = Some(value).filter(|at| code::is_argument(&text[at.clone()]))?;
                return put_named(text, word, value, SecretShape::Named, found);
            }
            put_named(text, word, from..end, SecretShape::Named, found)
        }
    }
}

/// The value of a parameter of a URL, which begins at `from`. Answers where it ends.
fn in_target(
    text: &[u8],
    from: usize,
    parameter: Option<HeaderSecret>,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let is_end = |byte: u8| byte.is_ascii_whitespace() || b"\"'<>&#`\\".contains(&byte);
    if let Some(kind) = parameter.filter(|kind| kind.is_by_look()) {
        let head = &text[from..text.len().min(from + LONGEST_LOOK)];
        let head = View::new(&head[..ends(head, is_end)], ViewEncoding::Percent);
        if values::find(kind, &head.bytes).is_empty() {
            return None;
        }
    }
    let end = from + ends(&text[from..], is_end);
    put(text, from..end, SecretShape::Parameter, found)
}

fn put(
    text: &[u8],
    range: Range<usize>,
    shape: SecretShape,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let value = text[range.clone()].trim_ascii_end();
    let range = range.start..range.start + value.len();
    if !value.is_empty() && !values::is_harmless(value) {
        found.push((range.clone(), shape));
    }
    Some(range.end)
}

/// Adds the value of a name, where it is one that the name asks for. Answers where it ends.
fn put_named(
    text: &[u8],
    name: &str,
    range: Range<usize>,
    shape: SecretShape,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    crate::steps::add(range.len());
    // `{password: password}` of a script hands on a variable.
    if text[range.clone()].eq_ignore_ascii_case(name.as_bytes()) {
        return Some(range.end);
    }
    let kind = names::field_secret(name).filter(|kind| kind.is_by_look());
    let is_none = kind.is_some_and(|kind| {
        values::find(kind, &text[range.start..range.end.min(range.start + LONGEST_LOOK)]).is_empty()
    });
    if is_none { Some(range.end) } else { put(text, range, shape, found) }
}

/// The name of two words that stands before a sign: `API key: …`.
fn two_words<'a>(text: &'a [u8], last: &Range<usize>) -> Option<&'a str> {
    const SECOND: [&str; 7] = ["key", "code", "string", "number", "phrase", "answer", "passe"];
    let word = String::from_utf8_lossy(&text[last.clone()]).to_ascii_lowercase();
    let word_before = |end: usize| {
        let before = text[..end].strip_suffix(b" ")?;
        let word = name_around(before, before.len());
        (word.len() > 1).then_some(word.start)
    };
    let mut start = word_before(last.start)?;
    // `mot de passe`
    if word == "passe" {
        start = word_before(start)?;
    }
    let first = last.start - start;
    let name = &text[start..last.end];
    let name = std::str::from_utf8(name).ok()?;
    (SECOND.contains(&&*word) && first > 1 && names::is_secret_field(name)).then_some(name)
}

/// The name in front of the `=` or `:` at `at`, without quotes around it.
fn name_before(text: &[u8], at: usize) -> Option<Range<usize>> {
    let blanks =
        text[..at].iter().rev().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte)).count();
    let mut end = at - blanks;
    end -= usize::from(text[..end].ends_with(b"?") && text[at] == b':');
    end -= text[..end].iter().rev().take(2).take_while(|&&byte| byte == b'*').count();
    if matches!(text[..end], [.., b'"' | b'\'' | b'`', b']']) {
        end -= 1;
    }
    if end > 0 && matches!(text[end - 1], b'"' | b'\'' | b'`') {
        end -= 1;
        end -= usize::from(end > 0 && text[end - 1] == b'\\');
    }
    let length =
        text[..end].iter().rev().take(LONGEST_NAME).take_while(|&&byte| is_of_name(byte)).count();
    let mut start = end - length;
    // `%26` and `%3F` in front of a name are an encoded `&` and `?`, not of it.
    for mark in [b"%26", b"%3F", b"%3f", b"%23"] {
        if let Some(found) = memchr::memmem::rfind(&text[start..end], mark) {
            start += found + mark.len();
        }
    }
    (start < end).then_some(start..end)
}

/// Whether nothing but blanks or a mark of quotation stands before `start` in its line.
fn begins_line(text: &[u8], start: usize) -> bool {
    let before = text[..start]
        .iter()
        .rev()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'>' | b'-' | b'*'));
    before.is_none_or(|byte| matches!(byte, b'\r' | b'\n'))
}

/// The credentials of an `Authorization` line: one word behind a scheme that has one, else all
/// parameters.
fn credentials(text: &[u8], line: Range<usize>) -> (Range<usize>, SecretShape) {
    /// Schemes whose credentials are one word (token68 of RFC 9110 §11.4, and usual ones).
    const ONE_WORD: [&[u8]; 8] =
        [b"bearer", b"basic", b"token", b"apikey", b"api-key", b"dpop", b"negotiate", b"ntlm"];
    let word = ends(&text[line.clone()], is_blank);
    let scheme = &text[line.start..line.start + word];
    let blanks =
        text[line.start + word..line.end].iter().take_while(|&&byte| is_blank(byte)).count();
    let from = line.start + word + blanks;
    if from >= line.end {
        let end = line.start + ends(scheme, |byte| matches!(byte, b'"' | b'\''));
        return (line.start..end, SecretShape::Named);
    }
    let is_basic = scheme.eq_ignore_ascii_case(b"basic");
    let range = if ONE_WORD.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        from..from
            + ends(&text[from..line.end], |byte| {
                is_blank(byte) || matches!(byte, b'"' | b'\'' | b',')
            })
    } else {
        from..line.end
    };
    // As where the header itself is: user and password have their own tokens.
    let is_pair = is_basic && values::basic(text[range.clone()].trim_ascii_end()).is_some();
    (range, if is_pair { SecretShape::Basic } else { SecretShape::Named })
}

/// How long a bare value is: to a blank or a quote, or to a separator behind which another pair, or
/// nothing more, comes.
fn word_length(text: &[u8]) -> usize {
    let length = length_of_word(text);
    crate::steps::add(length);
    length
}

fn length_of_word(text: &[u8]) -> usize {
    for (at, &byte) in text.iter().enumerate() {
        let end = match byte {
            b'"' | b'\'' | b'`' | b'>' => true,
            _ if byte.is_ascii_whitespace() => true,
            b'(' => true,
            b')' | b']' | b'}' => {
                text[at + 1..].iter().take(LONGEST_NAME).all(|next| !next.is_ascii_alphanumeric())
                    || begins_pair(&text[at + 1..])
            }
            b',' | b';' | b'&' | b'|' => begins_pair(&text[at + 1..]),
            _ => false,
        };
        if end {
            return at;
        }
    }
    text.len()
}

/// Whether `text` begins with white space, the name of another pair, or nothing.
fn begins_pair(text: &[u8]) -> bool {
    let name = ends(&text[..text.len().min(LONGEST_NAME)], |byte| {
        !(byte.is_ascii_alphanumeric() || b"_-.%[]\"'".contains(&byte))
    });
    match text.get(name) {
        None => text.is_empty(),
        Some(next) if name == 0 => {
            next.is_ascii_whitespace() || matches!(next, b'{' | b'}' | b')' | b']' | b',' | b';')
        }
        Some(next) => matches!(next, b'=' | b':'),
    }
}

#[cfg(test)]
mod tests {

    fn texts(text: &str) -> Vec<&str> {
        let found = super::super::shapes::find(text.as_bytes(), false);
        found.into_iter().map(|(range, _)| &text[range]).collect()
    }

    #[test]
    fn values_behind_names_are_found() {
        for (text, expected) in [
            ("Authorization: Bearer s3cret\npassword=hunter2\n", &["s3cret", "hunter2"][..]),
            ("sent 'authorization: Basic abc' and more", &["abc"]),
            ("Authorization: Bearer s3cret status=200", &["s3cret"]),
            (
                "Authorization: Digest username=\"joe\", response=\"ab\"",
                &["username=\"joe\", response=\"ab\""],
            ),
            ("Cookie: a=b; c=d\r\nHost: x", &["b", "d"]),
            ("Set-Cookie: sid=x; Path=/", &["x"]),
            ("X-Api-Key: a b\nHost: x", &["a b"]),
            ("got Bearer abcDEF123 from him", &["abcDEF123"]),
            ("host=x;password=a;b,c;user=y", &["a;b,c"]),
            ("{token=abc}", &["abc"]),
            ("retry(password=\"a b\", token='c')", &["a b", "c"]),
            (r#"said "{\"password\": \"a b\", \"x\":1}""#, &["a b"]),
            ("password : hunter2", &["hunter2"]),
            (
                "sessionStorage[\"access_token\"] = \"q7Zr0pW3\"; x['token']='a1'",
                &["q7Zr0pW3", "a1"],
            ),
            ("x[\"token\"] == y; {password: password}", &[]),
            ("contraseña: k9k9\nпароль: p8p8", &["k9k9", "p8p8"]),
            ("token = '''a1b2'''", &["a1b2"]),
            ("go to https://x/y?a=1&token=t%20u&b=2 now", &["t%20u"]),
            ("<a href=\"/x?code=c1&amp;key=k1#access_token=f1\">", &["c1", "k1", "f1"]),
            ("user[password]=x&user%5Btoken%5D=y", &["x", "y"]),
            ("/x;jsessionid=abc?x=1", &["abc?x=1"]),
            ("run --api-key k1 --token 'k 2' --verbose", &["k1", "k 2"]),
            ("machine x login joe password k1 port 1", &["k1"]),
            ("curl -u joe:k1 --user 'ann:k2' x", &["k1", "k2"]),
            ("set('token', 'k1'); put(\"api_key\" , \"k2\")", &["k1", "k2"]),
            ("'password' => 'k1', secret => \"k2\"", &["k1", "k2"]),
            ("the password was 'k1' and the secret is \"k2\"", &["k1", "k2"]),
            ("go to /x?next=%2Fcb%3Faccess_token%3Dk1%26a%3D1 now", &["k1"]),
            ("at /x?next=%252Fcb%253Faccess_token%253Dk1%2526a now", &["k1"]),
            ("/x?f=%7B%22password%22%3A%22k1%22%2C%22a%22%3A1%7D", &["k1"]),
            ("API key: k1\n**Token:** k2\n**Access code**: `k3`\n", &["k1", "k2", "k3"]),
            ("your new password is Xk3mP9qLw2 now", &["Xk3mP9qLw2"]),
            ("filter=token eq 'k1'", &["k1"]),
            ("- name: DB_PASSWORD\n  value: k1\n- name: A\n  value: b\n", &["k1"]),
            ("CREATE USER joe IDENTIFIED BY 'k1';", &["k1"]),
            ("dn: x\nuserPassword:: azE=\n", &["azE="]),
            ("curl --proxy-user joe:k1 x; http -a joe:k2 y; DB_PASS='k3'", &["k1", "k2", "k3"]),
            ("array(1) {\n  [\"token\":protected]=>\n  string(2) \"k1\"\n}\n", &["k1"]),
            ("Array\n(\n    [password] => k1\n    [a] => b\n)", &["k1"]),
            ("os.environ['TOKEN'] = 'k1'; a['x'] = 'y'", &["k1"]),
            ("token => aB3dE5fG7h\ntoken -> bC4eF6gH8i", &["aB3dE5fG7h", "bC4eF6gH8i"]),
            ("at https://x.example/cb?state=aB3dE5fG7hI9jK1l&code=k2", &["aB3dE5fG7hI9jK1l", "k2"]),
            ("token ->aB3dE5fG7hI9jK1l;", &["aB3dE5fG7hI9jK1l"]),
            ("a['token'] = 'k1';a['token'] = b;a['token'] = 'k2'", &["k1", "k2"]),
            ("[\"token\"]=>\"k1\"[\"token\"]=>string(2) \"k2\"", &["k1", "k2"]),
            ("pw=hunter22 heslo: x1-y2\nUser code: WDJB-MJHT", &["hunter22", "x1-y2", "WDJB-MJHT"]),
            ("a:\n  token: |-\n    k1\n    k2\n  b: c", &["k1\n    k2"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn names_in_a_row_take_no_more_than_n_log_n() {
        for unit in [
            "token=>",
            "token ->",
            "token=>a1-",
            "a['token'] = b;",
            "[\"token\"]=>\"a\"",
            "[\"token\"]=>string(1) \"a\"",
            "[token]=>",
            "?state=",
            "&state=a1/",
            "token was ",
            "password=\"\"\"",
            "token: next(",
            "setToken(\"",
            "token: String = \"",
            "token || '",
            "token=x ? `",
            "mysql -p",
            "redis-cli -a '",
            "token for joe is ",
            "token=%27",
            "event: token\n",
            "event: token\ndata: a1-",
            "token：",
            "USER a\nPASS ",
            "\\u0022token\\u0022:\\u0022",
            "signature: a",
        ] {
            crate::steps::hold_to_n_log_n(2_000, |n| {
                crate::steps::add(n);
                drop(texts(&unit.repeat(n)));
            });
        }
        crate::steps::hold_to_n_log_n(2_000, |n| {
            drop(texts(&format!("{}=x", "bearer+".repeat(n))));
        });
    }

    #[test]
    fn a_long_secret_in_a_sentence_is_hidden_to_its_end() {
        let long = "Xk3mP9qLw2".repeat(80);
        assert_eq!(texts(&format!("The session token {long} has expired")), [long]);
    }

    #[test]
    fn what_is_no_secret_is_left() {
        for text in [
            "Basic authentication is required",
            "WWW-Authenticate: Bearer realm=\"shop\"",
            "Bearer error=\"invalid_token\"",
            "tokenize: yes, passenger=joe, shopping=on, max_tokens=5",
            "if (token == x) token => y; token::new(); token://x",
            "password: ",
            "password=",
            "token=null&secret=true",
            "token=next()",
            "code=5 key=7",
            "=x :y",
            "docker run -u 1000:1000 --user 10:20 x",
            "the password was reset, the token is old",
            "--token --verbose, login with password only, --max-tokens 5",
            "in('password', 3), f(token, 'x')",
            "the token is expired, the password was changed, the code is 5",
            "- name: DB_HOST\n  value: db\n",
            "GET /orders?state=closed&page=2&policy=retain",
            "[tokens] => 5, [password_required] => 1",
            "a key: b, the primary key: id, ls -a x:y/z",
            "next=%2Fcb%3Fpage%3D2%26max_tokens%3D3",
            "at session->http2_conn and token->sha256sum; of x.c",
            "at session ->http2_conn and token ->sha256sum; of x.c",
            "the pw=low heslo: slunce, 'parola' => 'ciao', user code: EMP-00123",
            "/x?state=WaitingForCustomerReply&policy=B2C_1_SignUpSignIn&hash=9f8a7b6c",
            "/x?h=gcpu2e8p&e=6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11&hash=0x9f8a7b6c5d4e3f2a",
            "/x?state=%2Fcheckout%2Fdone%3Fstep%3D2&state=backInStockSoon",
            "you sent Y2wn7Njs1Token3gePinXo4= and that",
        ] {
            assert_eq!(texts(text), [""; 0], "{text}");
        }
    }
}
