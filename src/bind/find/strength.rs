//! Which values mean the same wherever they stand, told by their look alone.
//!
//! A *strong* value was made to be unlike any other: an identifier, a token, a time finer than
//! seconds. A *weak* one (a small number, a word) means something only beside the kind of thing
//! that it names. Dates, epoch seconds, versions, addresses and prose are neither: a request that
//! says one does not say it because an answer did.

use std::ops::Range;

use crate::message::dates;
use crate::message::encoding;
use crate::message::kinds::{self, ValueKind};
use crate::message::signed::Signed;

/// Shortest strong value, in bytes.
const SHORTEST: usize = 8;
/// Longest value that is looked at, in bytes.
pub(super) const LONGEST: usize = 8 << 10;
/// Longest weak value, in bytes.
const LONGEST_WEAK: usize = 64;
/// Digits of a number that is strong: an amount or a count is shorter.
const DIGITS: usize = 9;
/// Letters of one case in a row that are an identifier where no word is as long.
const CAPITALS: usize = 16;
/// Letters that no word has.
const LETTERS: usize = 28;
/// Length of a UUID.
const UUID: usize = 36;
/// Parts of one value that are looked at.
const PARTS: usize = 64;

/// Whether a whole value is strong.
pub(super) fn is_strong(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !(SHORTEST..=LONGEST).contains(&bytes.len()) {
        return is_short_position(bytes);
    }
    // Told in one pass: nearly all texts are asked for, and few go on behind it.
    let (mut digits, mut letters, mut held) = (0, 0, 0);
    for &byte in bytes {
        let class = CLASSES[byte as usize];
        if class & PLAIN == 0 {
            return false;
        }
        held |= class;
        digits += usize::from(class & DIGIT != 0);
        letters += usize::from(class & LETTER != 0);
    }
    if digits == bytes.len() {
        return digits >= DIGITS
            && kinds::of_number(text) != Some(ValueKind::EpochSeconds)
            && bytes.iter().any(|byte| *byte != bytes[0]);
    }
    if letters == 0 {
        return is_numbers(bytes);
    }
    let (has_dot, has_colon) = (held & DOT != 0, held & COLON != 0);
    if letters == 1 && is_figure(bytes) || has_colon && is_origin(text) {
        return false;
    }
    if digits == 0 {
        let drawn = is_odd(bytes) || is_sigil(bytes) || kinds::random_token(bytes);
        return drawn && !is_nil(bytes) || is_encoded(text);
    }
    if has_dot && is_fine_time(text) {
        return true;
    }
    // What it was drawn from matters only where it may be nothing or a version.
    if is_nil(bytes) || has_dot && is_version(text) {
        return kinds::of_text(text).is_some_and(|kind| !is_coarse_time(kind));
    }
    kinds::written_time(text).is_none()
}

/// `2026-11-28T10:00:00.345Z`: finer than seconds, as cursors of lists have it that follow a time.
fn is_fine_time(text: &str) -> bool {
    const FINE: usize = 3;
    let Some((_, fraction)) = text.split_once('.') else { return false };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    digits >= FINE
        && fraction[..digits].bytes().any(|digit| digit != b'0')
        && kinds::written_time(text).is_some()
}

/// Whether a value may be issued though it is short or a word.
pub(super) fn is_weak(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !(1..=LONGEST_WEAK).contains(&bytes.len()) {
        return false;
    }
    let (mut all, mut any) = (u8::MAX, 0);
    for &byte in bytes {
        let class = CLASSES[byte as usize];
        all &= class;
        any |= class;
    }
    all & SIMPLE != 0
        && any & (DIGIT | LETTER) != 0
        && !matches!(text, "0" | "true" | "false" | "null" | "none" | "None" | "undefined")
        && !(any & DIGIT != 0 && kinds::written_time(text).is_some())
}

/// Whether a whole text is a time by the second or the minute: a date with a clock, or seconds since
/// 1970.
pub(super) fn is_moment(text: &str) -> bool {
    /// Shortest and longest of them, in bytes, and the digits that a year, a day and a clock have.
    const LENGTHS: std::ops::RangeInclusive<usize> = 10..=48;
    const DIGITS: usize = 8;
    let first = text.as_bytes().first().copied().unwrap_or(0);
    if !LENGTHS.contains(&text.len())
        || !first.is_ascii_alphanumeric()
        || text.bytes().filter(u8::is_ascii_digit).take(DIGITS).count() < DIGITS
    {
        return false;
    }
    match kinds::written_time(text) {
        Some(ValueKind::Moment) => {
            dates::whole(text).is_some_and(|moment| moment.exact_s <= LEAST_EXACT)
        }
        Some(kind) => kind != ValueKind::Date,
        None => kinds::of_number(text) == Some(ValueKind::EpochSeconds) && !text.contains('.'),
    }
}

/// Seconds to which a clock is exact that shows no seconds.
const LEAST_EXACT: i64 = 60;

/// Whether letters alone, or as many digits as a number may have, may have been drawn by chance: a
/// name may have mixed case, too. What else stands at their place tells.
pub(super) fn may_be_drawn(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !(SHORTEST..=LONGEST_WEAK).contains(&bytes.len()) {
        return false;
    }
    let all = |of: fn(&u8) -> bool| bytes.iter().all(of);
    all(u8::is_ascii_digit)
        || all(u8::is_ascii_alphanumeric) && is_figure(bytes)
        || all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
            && bytes[1..].iter().any(u8::is_ascii_uppercase)
            && bytes.iter().any(u8::is_ascii_lowercase)
}

/// Whether a strong value was drawn by chance or by a counter of its own, and not by people: it
/// looks issued wherever it came from.
pub(super) fn looks_issued(text: &str) -> bool {
    kinds::of_text(text).is_some_and(|kind| !kind.is_time())
        || text.len() >= 2 * CAPITALS && text.bytes().all(is_word)
}

/// The strong values inside a longer text, at the borders of its words: letters, digits, `-` and
/// `_` go together, as do the parts of a UUID behind a prefix, and those of a signed value, of which
/// none means anything without the others.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    // A part is shorter than all of it, and no word has parts but one with a UUID.
    let is_whole =
        bytes.len() <= SHORTEST || bytes.len() <= UUID && bytes.iter().all(|&byte| is_word(byte));
    let mut at = if is_whole { bytes.len() } else { 0 };
    let mut signed = signed(text).filter(|range| range.len() < text.len()).peekable();
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at + bytes[at..].iter().take_while(|&&byte| !is_word(byte)).count();
            if let Some(found) = signed.next_if(|range| range.start <= start) {
                at = found.end;
                return Some(found);
            }
            let end = start + bytes[start..].iter().take_while(|&&byte| is_word(byte)).count();
            at = end;
            // A date and a clock are one value, though a word ends between them.
            let rest = &text[start..];
            let moment = rest.starts_with(|c: char| c.is_ascii_digit());
            if let Some(moment) = moment.then(|| dates::at_start(rest)).flatten()
                && moment.length >= end - start
            {
                at = start + moment.length;
                continue;
            }
            if let Some(found) = in_word(text, start..end) {
                return Some(found);
            }
        }
        None
    })
    // What fills base64 up is no part of its own.
    .filter(|range| range.start > 0 || text[range.end..].bytes().any(|byte| byte != b'='))
    .take(PARTS)
}

/// The signed values in a text, with all that they sign: tokens of JSON, `payload.time.signature`.
/// What stands around them is nothing of theirs, as in a link or at the end of a sentence.
pub(in crate::bind) fn signed(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let is_of = |byte: &u8| is_word(*byte) || matches!(byte, b'.' | b':' | b'@' | b'+');
    let mut at = if bytes.len() < Signed::SHORTEST { bytes.len() } else { 0 };
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let from = at + bytes[at..].iter().take_while(|byte| !is_of(byte)).count();
            at = from + bytes[from..].iter().take_while(|byte| is_of(byte)).count();
            let run = text[from..at].trim_end_matches(['.', ':', '@', '+']);
            if run.len() < Signed::SHORTEST || run.matches(['.', ':']).nth(1).is_none() {
                continue;
            }
            // `ref:payload.time.signature`, `ref:payload:time:signature`: what is before it names it.
            let mut colons = run.rmatch_indices(':').map(|(colon, _)| colon);
            let is_dotted = run.rfind(['.', ':']).is_some_and(|last| run[last..].starts_with('.'));
            let name = if is_dotted { colons.next() } else { colons.nth(2) };
            let begin = name.map_or(0, |colon| colon + 1);
            let kind = kinds::of_text(&run[begin..]);
            if matches!(kind, Some(ValueKind::Jwt | ValueKind::Signed)) {
                return Some(from + begin..from + run.len());
            }
        }
        None
    })
}

/// A UUID in a word, where there is one, else the word itself, where it is strong.
fn in_word(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    if word.len() < SHORTEST {
        return None;
    }
    // `r-f81d4fae-7dec-…`: what stands before it names its kind, and may stand elsewhere without.
    let uuid = |start: usize| {
        let part = text.get(start..start + UUID)?;
        kinds::uuid(part.as_bytes()).map(|_| start..start + UUID)
    };
    let ends = [word.start, word.end.saturating_sub(UUID).max(word.start)];
    if word.len() >= UUID
        && let Some(found) = ends.into_iter().find_map(uuid)
    {
        return Some(found);
    }
    is_strong(&text[word.clone()]).then_some(word)
}

const fn is_word(byte: u8) -> bool {
    CLASSES[byte as usize] & WORD != 0
}

const WORD: u8 = 1;
/// What identifiers, tokens and cursors are written with; prose and lists have more.
const PLAIN: u8 = 2;
const DIGIT: u8 = 4;
const LETTER: u8 = 8;
/// Stands in weak values.
const SIMPLE: u8 = 16;
const DOT: u8 = 32;
const COLON: u8 = 64;

/// Which bytes are what: every byte of a recording is asked for.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            classes[byte as usize] |= WORD;
        }
        let apart =
            matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b',' | b';');
        if byte.is_ascii_graphic() && !apart {
            classes[byte as usize] |= PLAIN;
        }
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b':' | b'~' | b'=' | b'+' | b'@')
        {
            classes[byte as usize] |= SIMPLE;
        }
        classes[byte as usize] |= match byte {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' | b'a'..=b'z' => LETTER,
            b'.' => DOT,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Times by the second or coarser: two events may share one, and clocks give them to everybody.
const fn is_coarse_time(kind: ValueKind) -> bool {
    kind.is_time()
        && !matches!(kind, ValueKind::EpochMillis | ValueKind::EpochMicros | ValueKind::EpochNanos)
}

/// `1.5e-10`, `0x1f`, `12:30:05`, `10.0.0.1:8080`: few letters among figures.
fn is_figure(bytes: &[u8]) -> bool {
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let exponent = bytes.iter().filter(|byte| matches!(byte, b'e' | b'E' | b'x')).count();
    letters == 1
        && exponent == 1
        && bytes[0] != b'e'
        && bytes[0] != b'E'
        && bytes.iter().all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b'e' | b'E' | b'x' | b'.' | b'+' | b'-' | b':')
        })
}

/// `11323808-1795959569-11`: a file's number, time and size, as entity tags of file servers have
/// them; `20261128100000|9`: where a list goes on. Amounts, clocks, addresses and the numbers of
/// cards and books have no part as long, or fewer digits.
fn is_numbers(bytes: &[u8]) -> bool {
    let mut parts = bytes.split(|byte| !byte.is_ascii_digit());
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    // Nobody writes an amount with a bar.
    let least = if bytes.contains(&b'|') { DIGITS } else { CAPITALS };
    digits >= least
        && bytes[0].is_ascii_digit()
        && bytes.iter().all(|byte| byte.is_ascii_digit() || b"-_.|".contains(byte))
        && parts.any(|part| part.len() >= DIGITS && part.iter().any(|digit| *digit != part[0]))
}

/// `https://shop.example:8443`, `shop.example:8443`: where a service is, which it was told.
fn is_origin(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let host_like = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    host.bytes().all(host_like)
        && match scheme {
            "" => is_port && (host.contains('.') || host.eq_ignore_ascii_case("localhost")),
            _ => port.is_empty() || is_port,
        }
}

/// The nil UUID and its like stand for nothing.
fn is_nil(bytes: &[u8]) -> bool {
    let mut signs = bytes.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let first = signs.next();
    signs.all(|byte| Some(byte) == first)
}

/// `2.14.3-rc1`, `v1.22.0`, `python3.11`: a name with its version.
fn is_version(text: &str) -> bool {
    let Some(dot) = text.find('.') else { return false };
    let bytes = text.as_bytes();
    let around = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    dot > 0
        && around(dot - 1)
        && around(dot + 1)
        && numbers.clone().count() >= 2
        && numbers.map(str::len).max().unwrap_or(0) <= 4
        && text.len() <= 32
}

/// `s2_0_0`: where a young stream is, as servers of Matrix number what their clients have seen; a
/// version is written with a `v`.
fn is_short_position(bytes: &[u8]) -> bool {
    let (Some(letter), 5..SHORTEST) = (bytes.first(), bytes.len()) else { return false };
    let mut numbers = bytes[1..].split(|byte| *byte == b'_');
    letter.is_ascii_lowercase()
        && *letter != b'v'
        && numbers.all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
        && bytes.iter().filter(|byte| **byte == b'_').count() >= 2
}

/// `!jsVtLhgegXzQwRbfTM:chat.test`: drawn letters behind a sign of their kind, with the server that
/// drew them, as Matrix names rooms and events.
fn is_sigil(bytes: &[u8]) -> bool {
    let Some((b'!' | b'$', rest)) = bytes.split_first() else { return false };
    let drawn = rest.split(|byte| *byte == b':').next().unwrap_or(rest);
    drawn.len() >= CAPITALS && is_odd(drawn)
}

/// `VGFzazoxNw==`: in base64 a kind of thing and a number (`Task:17`), as servers of GraphQL name
/// things and the places of their lists.
fn is_encoded(text: &str) -> bool {
    encoded(text).is_some()
}

/// The kind and the number of such a value, as it is written but for the base64.
pub(crate) fn encoded(text: &str) -> Option<(String, String)> {
    // Of ASCII, three bytes begin with one of the first half of the alphabet; words seldom do.
    let ascii = |four: &[u8]| matches!(four[0], b'A'..=b'Z' | b'a'..=b'f' | b'=');
    let is_as_long = (SHORTEST..=LONGEST_WEAK).contains(&text.len());
    if !is_as_long || !text.as_bytes().chunks(4).all(ascii) {
        return None;
    }
    let mut kind = encoding::base64_text(text)?;
    let number = kind.split_off(kind.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    let is_kind = kind.ends_with([':', '/', '|'])
        && kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.bytes().all(|byte| byte.is_ascii_graphic());
    (is_kind && !number.is_empty()).then_some((kind, number))
}

/// Letters alone that are no word: many capitals, or case that changes as it does in no name.
fn is_odd(bytes: &[u8]) -> bool {
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    if letters < bytes.len() && !bytes.ends_with(b"=") {
        return false;
    }
    if bytes.len() >= LETTERS || bytes.len() >= CAPITALS && bytes.iter().all(u8::is_ascii_uppercase)
    {
        return true;
    }
    let case = |byte: u8| byte.is_ascii_uppercase();
    // A capital behind a small letter begins a word; one behind another capital seldom does.
    let changes = bytes.windows(2).filter(|pair| case(pair[0]) != case(pair[1])).count();
    changes * 3 >= bytes.len() && changes >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_to_be_unlike_any_other_is_strong() {
        for text in [
            "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
            "3f2a91c07be41d05",
            "vpc-27c44dcf",
            "AROARZPUZDIKABCDEFGH",
            "eyJhbGciOiJub25lIn0.eyJuIjoxfQ.sig",
            "1795341600123",
            "187654321",
            "qWzKbNaE",
            "WZuyytLHMHFvEZGylfQWwcfw",
            "fzRvTQPOoRaJUoOcL+ig+xdv",
            "WRapIDq/PtLipkmjAwWHvEjO",
            "BqTRXZ+LkDWQfMhVbNcYSGpR",
            "xkQWaRtyBNmmpoLKJhgfdSA",
            "e5132429",
            "arn:aws:sqs:us-east-1:123456789012:q1",
            "us-east-1_5d9b2f0aa",
            "c2Vzc2lvbjo0Mg==",
            "TGlzdDox",
            "VGFzazoxNw==",
            "Y3Vyc29yOjEw",
            "ktdzymtluzhlzqepwlecrdahfzzkjdaaydsl",
            "11323808-1795959569-11",
            "20261128100000|9",
            "1355517523.000005",
            "!jsVtLhgegXzQwRbfTM:chat.test",
            "2026-11-28T10:00:00.345Z",
            "2026-11-28T10:00:00.345678+01:00",
            "https://shop.example/3f2a91c07be41d05",
            "s2_0_0",
            "t17_4_0",
        ] {
            assert!(is_strong(text), "{text}");
        }
        for text in [
            "1795341600",
            "2026-11-28",
            "2026-11-28T10:00:00Z",
            "2026-11-28T10:00:00.000Z",
            "Sun, 22 Nov 2026 10:00:00 GMT",
            "12345678",
            "99999999999",
            "application",
            "TGlzdDo=",
            "description_of_things",
            "!important-Thing:of.test",
            "PENDING_APPROVAL",
            "camelCaseName",
            "createXMLHttpRequestObject",
            "parseHTTPSURLFromJSONText",
            "10.0.0.1:8080",
            "http://10.0.0.1:8080",
            "https://shop-2.example/",
            "localhost:18460",
            "4111-1111-1111-1111",
            "978-3-16-148410-0",
            "00000000000-000000000",
            "1795341600-11",
            "2.14.3-rc1",
            "1.5e-10000",
            "00000000-0000-0000-0000-000000000000",
            "a text with 8 words",
            "charset=utf-8; x",
            "short1",
            "v1_0_2",
            "s2_0",
            "s2__0_1",
            "S2_0_0",
            "größe123456",
        ] {
            assert!(!is_strong(text), "{text}");
        }
    }

    #[test]
    fn a_moment_has_a_day_and_a_clock() {
        for text in [
            "2026-11-28T10:00:00Z",
            "2026-11-28 10:00",
            "2026-11-28.10:00:00",
            "20261128T100000Z",
            "Sat, 28 Nov 2026 10:00:00 GMT",
            "Nov. 28, 2026, 6:40 p.m.",
            "1795341600",
        ] {
            assert!(is_moment(text), "{text}");
        }
        for text in [
            "2026-11-28",
            "28.11.2026",
            "Nov. 28, 2026",
            "10:00:00",
            "1795341600.5",
            "4111111111111111",
            "a text of 20261128 words",
        ] {
            assert!(!is_moment(text), "{text}");
        }
    }

    #[test]
    fn letters_of_mixed_case_may_be_drawn() {
        for text in ["JziyaSUQ", "Sp_LGTeu", "EXKWKGUm", "PostgreSQL", "75632050", "5e132429"] {
            assert!(may_be_drawn(text) && !is_strong(text), "{text}");
        }
        for text in [
            "settings",
            "Settings",
            "SETTINGS",
            "MyApp",
            "two words AB",
            "a-BC-4-dEfg",
            "7563205",
            "1.5e-1000",
        ] {
            assert!(!may_be_drawn(text), "{text}");
        }
    }

    #[test]
    fn weak_values_are_short_and_no_times() {
        for text in ["4", "42", "alice", "xkqjvbzt", "v3", "page-8"] {
            assert!(is_weak(text), "{text}");
        }
        for text in ["", "0", "true", "null", "2026-11-28", "a b", "--", "größe"] {
            assert!(!is_weak(text), "{text}");
        }
    }

    #[test]
    fn strong_values_are_found_inside_longer_ones() {
        for (text, found) in [
            ("mlflow-artifacts:/2/3f2a91c07be41d05a/model", &["3f2a91c07be41d05a"][..]),
            ("run_id='3f2a91c07be41d05a'", &["3f2a91c07be41d05a"]),
            (
                "r-f81d4fae-7dec-41d0-a765-00a0c91e6bf6.json",
                &["f81d4fae-7dec-41d0-a765-00a0c91e6bf6"],
            ),
            ("made 2026-11-28T10:00:00Z by 1795341600", &[]),
            ("a1b2c3d4 and e5f6a7b8", &["a1b2c3d4", "e5f6a7b8"]),
            ("a1b2c3d4", &[]),
            ("VGFzazoxMA==", &[]),
            ("ids=VGFzazoxMA==", &["VGFzazoxMA"]),
            ("é a1b2c3d4é", &["a1b2c3d4"]),
            (
                "/dl?t=eyJmIjogMn0.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE&x=1",
                &["eyJmIjogMn0.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE"],
            ),
            (
                "Go to http://a.test/r/eve@shop.test:1wNAtQ:kJ8sQx0_vLw2T9bZfNn5rYc1XhE/ now",
                &["eve@shop.test:1wNAtQ:kJ8sQx0_vLw2T9bZfNn5rYc1XhE"],
            ),
            (
                "code:.eJyrVkosKMhJ.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE.",
                &[".eJyrVkosKMhJ.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE"],
            ),
            (
                "<a href='/in?k=eyJhbGciOiJub25lIn0.eyJuIjoxfQ.c2lnbmF0dXJl'>a1b2c3d4</a>",
                &["eyJhbGciOiJub25lIn0.eyJuIjoxfQ.c2lnbmF0dXJl", "a1b2c3d4"],
            ),
            // Alone it is no part of its own.
            (
                "eyJ1c2VyX2lkIjo3fQ.agHiQA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE",
                &["eyJ1c2VyX2lkIjo3fQ", "kJ8sQx0_vLw2T9bZfNn5rYc1XhE"],
            ),
        ] {
            let parts: Vec<&str> = parts(text).map(|range| &text[range]).collect();
            assert_eq!(parts, found, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart(text in "\\PC{0,80}|[0-9a-f-]{0,90}") {
            for range in parts(&text) {
                proptest::prop_assert!(is_strong(&text[range]));
            }
            let _ = (is_weak(&text), looks_issued(&text));
        }
    }
}
