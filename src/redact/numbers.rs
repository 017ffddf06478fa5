//! Numbers with a check digit: payment cards (ISO/IEC 7812-1) and bank accounts (IBAN, ISO 13616).

use std::ops::Range;

use super::shape::SecretShape;
use super::view::{View, ViewEncoding};

/// Adds the numbers in a run of digits, capitals, blanks and hyphens.
pub(super) fn find(text: &[u8], run: Range<usize>, found: &mut Vec<(Range<usize>, SecretShape)>) {
    let view = View::new(&text[run.clone()], ViewEncoding::Percent);
    if !view.is_encoded() {
        cards(text, run.clone(), found);
        ibans(text, run, found);
        return;
    }
    let mut inside = Vec::new();
    cards(&view.bytes, 0..view.bytes.len(), &mut inside);
    ibans(&view.bytes, 0..view.bytes.len(), &mut inside);
    found.extend(inside.into_iter().map(|(range, shape)| {
        let range = view.source_range(&range);
        let range = run.start + range.start..run.start + range.end;
        let is_encoded = memchr::memchr(b'%', &text[range.clone()]).is_some();
        (range, if is_encoded { SecretShape::Parameter } else { shape })
    }));
}

/// How many bytes at the start of `text` may stand between two groups of a number: one blank or
/// hyphen of any width, or another mark.
pub(super) const fn gap(text: &[u8]) -> usize {
    match text {
        [b' ' | b'-' | b'.' | b'/' | b'+' | b'\t', ..] => 1,
        // A blank that does not break.
        [0xc2, 0xa0, ..] => 2,
        // Figure, thin, hair and narrow blanks; hyphens and a dash.
        [0xe2, 0x80, 0x87 | 0x89 | 0x8a | 0x90 | 0x91 | 0x93 | 0xaf, ..] => 3,
        _ => 0,
    }
}

/// The number without what stands between its groups; none where there is anything else.
pub(super) fn without_gaps(text: &[u8]) -> Option<Vec<u8>> {
    let (mut number, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        if text[at].is_ascii_alphanumeric() {
            number.push(text[at].to_ascii_uppercase());
            at += 1;
        } else {
            at += Some(gap(&text[at..])).filter(|&length| length > 0)?;
        }
    }
    Some(number)
}

fn cards(text: &[u8], run: Range<usize>, found: &mut Vec<(Range<usize>, SecretShape)>) {
    let mut at = run.start;
    while at < run.end {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        // Digits, with one blank or mark between groups.
        let mut end = at;
        while at < run.end {
            if text[at].is_ascii_digit() {
                at += 1;
                end = at;
            } else if let length @ 1.. = gap(&text[at..])
                && text.get(at + length).is_some_and(u8::is_ascii_digit)
            {
                at += length;
            } else {
                break;
            }
        }
        at = at.max(end);
        let alone =
            |byte: Option<&u8>| byte.is_none_or(|&b| !b.is_ascii_alphanumeric() && b != b'_');
        let before = start.checked_sub(1).map(|before| &text[before]);
        if end - start < 13 || !alone(before) || before == Some(&b'.') || !alone(text.get(end)) {
            continue;
        }
        for range in card_ranges(&text[start..end]) {
            found.push((start + range.start..start + range.end, SecretShape::Card));
        }
    }
}

/// Card numbers among the groups of digits of `run`: one group, or groups as they are printed on a
/// card (4-4-4-4, 4-6-5 …).
fn card_ranges(run: &[u8]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    for at in 0..=run.len() {
        if at == run.len() || !run[at].is_ascii_digit() {
            // Some marks have several bytes.
            groups.extend((from < at).then_some(from..at));
            from = at + 1;
        }
    }
    let mut found = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        let last = (first..groups.len().min(first + 5)).rev().find(|&last| {
            let lengths: Vec<usize> = groups[first..=last].iter().map(Range::len).collect();
            let printed =
                matches!(lengths[..], [_] | [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5]);
            // Digits behind a point are those of a fraction; a path or a sum is written with marks
            // that change.
            let start = groups[first].start;
            let part = &run[start..groups[last].end];
            let is_fraction = start > 0 && run[start - 1] == b'.';
            let mut marks = part.split(u8::is_ascii_digit).filter(|mark| !mark.is_empty());
            let mark = marks.next();
            let is_one_mark = marks.all(|other| Some(other) == mark);
            let digits: Vec<u8> = part.iter().copied().filter(u8::is_ascii_digit).collect();
            printed && !is_fraction && is_one_mark && is_card(&digits)
        });
        if let Some(last) = last {
            found.push(groups[first].start..groups[last].end);
            first = last;
        }
        first += 1;
    }
    found
}

/// Whether `digits` (ASCII) is a card number: a known issuer's range with its length, and the right
/// check digit.
pub fn is_card(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let leading =
        |n: usize| digits[..n].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let issued = match leading(4) {
        4000..=4999 => matches!(digits.len(), 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => digits.len() == 16,
        3400..=3499 | 3700..=3799 => digits.len() == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&digits.len()),
        3528..=3589 | 6011 | 6440..=6599 | 6200..=6299 | 8100..=8199 => digits.len() >= 16,
        5000..=5099 | 5600..=5899 | 6000..=6999 => true,
        2200..=2204 => digits.len() >= 16,
        _ => false,
    };
    issued && luhn(digits) == 0
}

/// The Luhn sum of `digits` (ASCII) modulo 10: zero where the check digit is right.
pub fn luhn(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') * (1 + (place as u32 & 1));
            if value > 9 { value - 9 } else { value }
        })
        .sum::<u32>()
        % 10
}

/// Lengths of account numbers by country, as SWIFT registers them.
const IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// How many characters an account number of this country has.
fn iban_length(country: &[u8]) -> Option<usize> {
    let known = IBAN_LENGTHS.binary_search_by_key(&country, |(country, _)| &country[..]).ok()?;
    Some(IBAN_LENGTHS[known].1)
}

/// How far before a run of digits an account number may begin: `gb82 west 1234…`, `mt84malt0110…`.
const BEFORE: usize = 16;
/// Longest account number as it is written, in bytes.
const LONGEST: usize = 64;

fn ibans(text: &[u8], run: Range<usize>, found: &mut Vec<(Range<usize>, SecretShape)>) {
    // Small letters are in no run: the country and the bank may stand before one.
    let is_before = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-');
    let before = text[..run.start].iter().rev().take(BEFORE).take_while(is_before).count();
    let mut at = run.start - before;
    while at + 15 <= run.end {
        let begins = at == 0 || !(text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_');
        match begins.then(|| iban(&text[at..text.len().min(at + LONGEST)])).flatten() {
            Some(length)
                if text.get(at + length).is_none_or(|next| !next.is_ascii_alphanumeric()) =>
            {
                found.push((at..at + length, SecretShape::Iban));
                at += length;
            }
            _ => at += 1,
        }
    }
}

/// How many bytes of `text` an account number takes that begins there, with blanks or hyphens
/// between its groups.
fn iban(text: &[u8]) -> Option<usize> {
    let [first, second, check, ..] = text else { return None };
    let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    let length = iban_length(&country).filter(|_| check.is_ascii_digit())?;
    let mut characters = Vec::with_capacity(length);
    let mut at = 0;
    while at < text.len() {
        if text[at].is_ascii_alphanumeric() {
            characters.push(text[at].to_ascii_uppercase());
            at += 1;
        } else {
            let is_group = characters.len() % 4 == 0 && !matches!(text[at], b'.' | b'/' | b'+');
            at += Some(gap(&text[at..])).filter(|&length| is_group && length > 0)?;
        }
        if characters.len() == length {
            return is_iban(&characters).then_some(at);
        }
    }
    None
}

/// Whether `characters` is an account number: a country with its length, and the right check
/// digits.
pub(super) fn is_iban(characters: &[u8]) -> bool {
    characters.len() >= 15
        && iban_length(&characters[..2]) == Some(characters.len())
        && characters[2..4].iter().all(u8::is_ascii_digit)
        && remainder(characters) == Some(1)
}

/// The remainder by 97 once the first four characters stand at the end and letters are numbers.
fn remainder(characters: &[u8]) -> Option<u32> {
    characters[4..].iter().chain(&characters[..4]).try_fold(0, |sum, &byte| match byte {
        b'0'..=b'9' => Some((sum * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((sum * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    })
}

/// Puts the right check digits into an account number.
pub(super) fn check_iban(characters: &mut [u8]) {
    characters[2..4].copy_from_slice(b"00");
    let check = 98 - remainder(characters).unwrap_or(0);
    characters[2..4].copy_from_slice(&[b'0' + (check / 10) as u8, b'0' + (check % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_a_number_may_stand_apart_in_any_usual_way() {
        for number in [
            "4111 1111 1111 1111",
            "4111\u{a0}1111\u{a0}1111\u{a0}1111",
            "4111\u{2009}1111\u{2009}1111\u{2009}1111",
            "4111\u{2011}1111\u{2011}1111\u{2011}1111",
            "4111\t1111\t1111\t1111",
            "4111%201111%201111%201111",
            "4111%C2%A01111%C2%A01111%C2%A01111",
            "DE89%203704%200044%200532%200130%2000",
        ] {
            let text = format!("to {number}, please");
            let found = super::super::shapes::find(text.as_bytes(), false);
            let [(range, _)] = &found[..] else { panic!("{number}: {found:?}") };
            assert_eq!(&text[range.clone()], number);
            let redactor = super::super::Redactor::new(&[super::super::RedactRule::Default], b"k");
            let new = redactor.body_of_type(b"text/plain", text.as_bytes());
            assert_eq!(new.len(), text.len());
            let again = super::super::shapes::find(&new, false);
            assert_eq!(again, found, "a token is a number of the same kind");
            assert_ne!(new, text.as_bytes());
        }
        for none in ["4111\u{a0}1111 1111\u{a0}1111", "4111%401111%401111%401111"] {
            assert!(super::super::shapes::find(none.as_bytes(), false).is_empty(), "{none}");
        }
    }

    #[test]
    fn accounts_need_a_country_a_length_and_the_check_digits() {
        assert!(IBAN_LENGTHS.is_sorted());
        let texts = |text: &str| {
            let mut found = Vec::new();
            super::super::sieve::each(
                text.as_bytes(),
                |_| true,
                |hit| {
                    if hit.kinds.has(super::super::sieve::Kinds::DIGITS) {
                        ibans(text.as_bytes(), hit.start..hit.end, &mut found);
                    }
                },
            );
            found.into_iter().map(|(range, _)| text[range].to_owned()).collect::<Vec<_>>()
        };
        for number in [
            "DE89370400440532013000",
            "GB29 NWBK 6016 1331 9268 19",
            "NO9386011117947",
            "NL91ABNA0417164300",
            "MT84MALT011000012345MTLCAST001S",
            "FR14-2004-1010-0505-0001-3M02-606",
            "de89370400440532013000",
            "gb82 west 1234 5698 7654 32",
            "nl91abna0417164300",
            "mt84malt011000012345mtlcast001s",
            "De89\u{a0}3704\u{a0}0044\u{a0}0532\u{a0}0130\u{a0}00",
        ] {
            assert_eq!(texts(&format!("TO {number} ")), [number]);
            assert_eq!(texts(number), [number]);
        }
        for none in [
            "DE89370400440532013001",
            "XDE89370400440532013000",
            "DE893704004405320130001",
            "ZZ89370400440532013000",
        ] {
            assert_eq!(texts(none), [""; 0], "{none}");
        }
        let mut own = *b"DE00370400440532013000";
        check_iban(&mut own);
        assert_eq!(&own, b"DE89370400440532013000");
    }
}
