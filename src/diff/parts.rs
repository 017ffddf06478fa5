//! The values in which two texts differ, where all else in them is equal: the finest places there
//! are.
//!
//! `~3` behind a place is the third thing in its text, `~3.2` the second run of letters in it.
//! Noise is judged by these, so that a new id in a text hides no other price beside it.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::FxHasher;

use super::context::{Context, Look};
use super::instants::Instants;
use crate::message::ages::{self, Taken};
use crate::message::encoding::Encoding;
use crate::message::kinds::{self, ValueKind};
use crate::message::population::{Population, SHORTEST, TextForm};
use crate::message::tokens::{Token, runs, tokens};

/// Values of one text that are told apart; where more differ the text is taken as a whole.
const MAX_PARTS: usize = 24;
/// Longest text that is taken apart, in bytes.
pub(super) const LONGEST: usize = 16 << 10;

/// A value in which two texts differ.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferingPart {
    /// Where it is in the text; none for the text as a whole.
    pub at: Option<At>,
    /// How many of the following parts are within this one: it is noise where it is itself, or
    /// where all of them are.
    pub within: u8,
    /// Whether these are but the words at its start, behind which the values cannot be told apart.
    pub begun: bool,
    /// What it looks like.
    pub look: Look,
    /// Whether both values are letters only, or too short to be a time or a part of one: what v1
    /// always has there is none of a value that is drawn.
    pub word: bool,
    /// The forms of v1's and v2's value, where they may be drawn at random.
    pub forms: [Option<TextForm>; 2],
    /// The same of values that are too short to tell from a few of them.
    pub short: [Option<TextForm>; 2],
    /// v1's and v2's number, where both are one.
    pub numbers: Option<[f64; 2]>,
    /// Names v1's and v2's value in counts.
    pub values: [u64; 2],
    /// What times both are, where they are times.
    pub instants: Option<Instants>,
}

/// Which value of a text, and which part of that value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At(pub u16, pub u16);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self(value, 0) => write!(f, "~{value}"),
            Self(value, part) => write!(f, "~{value}.{part}"),
        }
    }
}

/// The parts in which two texts differ; none where they differ between their values too.
pub(super) fn of(context: &Context<'_>, a: &str, b: &str) -> Vec<DifferingPart> {
    if a.len().max(b.len()) > LONGEST {
        return Vec::new();
    }
    // The signs of a password are drawn like its letters.
    if are_passwords(a, b) {
        return vec![DifferingPart::as_written(context, a, b, None)];
    }
    let taken = [a, b].map(ages::taken);
    if taken[0].len() == taken[1].len() && !taken[0].is_empty() {
        return of_taken(context, [a, b], &taken);
    }
    of_tokens(context, [a, b], &[])
}

/// What stands in the place of what something took, while the rest of a text is taken apart.
const TAKEN: &str = "0 s";

/// The parts in which two texts differ that say as often how long something took.
fn of_taken(
    context: &Context<'_>,
    texts: [&str; 2],
    taken: &[Vec<Taken>; 2],
) -> Vec<DifferingPart> {
    let mut spans = Vec::new();
    let mut rest = [String::new(), String::new()];
    let mut from = [0; 2];
    for (one, other) in taken[0].iter().zip(&taken[1]) {
        for (side, taken) in [one, other].into_iter().enumerate() {
            rest[side].push_str(&texts[side][from[side]..taken.range.start]);
            from[side] = taken.range.end;
        }
        let at = rest[0].len();
        let said = [&texts[0][one.range.clone()], &texts[1][other.range.clone()]];
        spans.push(Span { at, said, nanos: [one.nanos, other.nanos] });
        rest.iter_mut().for_each(|text| text.push_str(TAKEN));
    }
    (0..2).for_each(|side| rest[side].push_str(&texts[side][from[side]..]));
    let parts = of_tokens(context, [&rest[0], &rest[1]], &spans);
    // Where they stand within other values they are no values of their own.
    if parts.is_empty() { of_tokens(context, texts, &[]) } else { parts }
}

/// What something took, as both texts say it at this place of v1's.
struct Span<'t> {
    at: usize,
    said: [&'t str; 2],
    nanos: [f64; 2],
}

/// The parts in which two texts differ; `spans` are what something took, in whose places both have
/// the same.
fn of_tokens(context: &Context<'_>, [a, b]: [&str; 2], spans: &[Span<'_>]) -> Vec<DifferingPart> {
    let mut parts = Vec::new();
    let mut spans = spans.iter().peekable();
    let mut from = 0;
    let (mut left, mut right) = (tokens(a), tokens(b));
    // Whether an address stood before, and its colon.
    let mut behind = Behind::Other;
    for number in 1_u16.. {
        let pair = (left.next(), right.next());
        let before = behind;
        if let (Some(one), Some(_)) = pair {
            behind = before.then(one);
        }
        let start = from;
        from += pair.0.map_or(0, |one| one.text().len());
        if let Some(span) = spans.next_if(|span| span.at < from) {
            if span.at != start {
                return Vec::new();
            }
            if span.said[0] != span.said[1] {
                let whole = a.len() == TAKEN.len() && b.len() == TAKEN.len();
                parts.push(DifferingPart::of_span(span, (!whole).then_some(At(number, 0))));
            }
            continue;
        }
        match pair {
            (None, None) => break,
            (Some(one), Some(other)) if one.text() == other.text() => {}
            (Some(Token::Mark(_)), Some(_)) | (Some(_), Some(Token::Mark(_))) => {
                return Vec::new();
            }
            (Some(one), Some(other)) => {
                let whole = one.text().len() == a.len() && other.text().len() == b.len();
                let at = (!whole).then_some(At(number, 0));
                let here = parts.len();
                value(context, [one, other], at, &mut parts);
                if before == Behind::Colon && kinds::are_ports([one.text(), other.text()]) {
                    parts[here].look = Look::Kind(ValueKind::Port);
                }
            }
            _ => return Vec::new(),
        }
        if parts.len() > MAX_PARTS {
            return Vec::new();
        }
    }
    parts
}

/// Whether both texts may be passwords that were generated, one of them with signs: chance may
/// leave them out of the other.
fn are_passwords(a: &str, b: &str) -> bool {
    let both = [a, b];
    both.iter().any(|text| TextForm::is_of_password(text))
        && both.iter().all(|text| TextForm::of(text).is_some())
}

/// What stands before a value of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// The address of a machine.
    Address,
    /// … and a colon.
    Colon,
    /// Anything else.
    Other,
}

impl Behind {
    fn then(self, token: Token<'_>) -> Self {
        let text = token.text();
        // Of an address in brackets the last digits stand before the bracket.
        match token {
            Token::Value(_) if text.parse::<std::net::Ipv4Addr>().is_ok() => Self::Address,
            Token::Mark(":") if self == Self::Address => Self::Colon,
            Token::Mark("]:") => Self::Colon,
            _ => Self::Other,
        }
    }
}

/// Whether the parts in which two texts differ are all such as each answer has anew.
pub(super) fn are_anew(parts: &[DifferingPart]) -> bool {
    let mut rest = parts;
    while let Some((part, behind)) = rest.split_first() {
        let (inner, next) = behind.split_at(behind.len().min(part.within.into()));
        let divided = !part.begun && !inner.is_empty();
        if !(part.is_anew() || divided && inner.iter().all(DifferingPart::is_anew)) {
            return false;
        }
        rest = next;
    }
    !parts.is_empty()
}

/// Adds a value that differs, and what differs in it where it is put together.
fn value(
    context: &Context<'_>,
    [a, b]: [Token<'_>; 2],
    at: Option<At>,
    parts: &mut Vec<DifferingPart>,
) {
    if let (Token::Chunk(one), Token::Chunk(other)) = (a, b)
        && has_numbered_segments(one, other)
    {
        let number = at.map_or(1, |At(number, _)| number);
        for (at, (one, other)) in (1_u16..).zip(one.split('/').zip(other.split('/'))) {
            if one != other {
                parts.push(DifferingPart::of_chunk(context, [one, other], Some(At(number, at))));
            }
        }
        return;
    }
    if let (Token::Chunk(one), Token::Chunk(other)) = (a, b)
        && kinds::machine(one).is_some()
        && kinds::machine(one) == kinds::machine(other)
    {
        parts.push(DifferingPart::as_written(context, one, other, at));
        return;
    }
    let here = parts.len();
    parts.push(match (a, b) {
        (Token::Chunk(one), Token::Chunk(other)) => {
            DifferingPart::of_chunk(context, [one, other], at)
        }
        _ => DifferingPart::of(context, a.text(), b.text(), at),
    });
    if let (Token::Chunk(a), Token::Chunk(b)) = (a, b) {
        let number = at.map_or(1, |At(number, _)| number);
        if let Err(sure) = inner(context, [a, b], number, parts) {
            parts.truncate(sure);
            let words = parts[here + 1..].iter().take_while(|part| part.word).count();
            parts.truncate(here + 1 + words);
            parts[here].begun = words > 0;
        }
        parts[here].within = (parts.len() - here - 1) as u8;
    }
}

/// Whether two chunks are paths with a number in the same place of both: `users/4711/` before a
/// token. Base64 has a slash now and then, and hardly ever two digits and nothing else around it in
/// both of two values; what such a number means is not drawn with the token beside it.
fn has_numbered_segments(a: &str, b: &str) -> bool {
    const DIGITS: usize = 12;
    let number = |text: &str| {
        (1..=DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut pairs = a.split('/').zip(b.split('/'));
    a.contains('/')
        && a.split('/').count() == b.split('/').count()
        && pairs.any(|(one, other)| number(one) && number(other))
}

/// The length of the words at the start of both chunks, with the symbols behind them: `nonce-`,
/// `/orders/s%3A`.
fn common_start(a: &str, b: &str) -> usize {
    let both = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let common = &a.as_bytes()[..both];
    let behind = |at: usize| match common[at] {
        b'-' | b'_' | b'~' | b'+' | b'/' => Some(at + 1),
        b'%' => Some(at + 3).filter(|end| *end <= both),
        _ => None,
    };
    // Two drawn values may begin with the same symbol by chance, and are then too short behind it.
    let left = a.len().min(b.len());
    let ends = || (0..both).rev().filter_map(behind);
    let enough = ends().find(|end| end + SHORTEST <= left);
    enough.or_else(|| ends().next()).unwrap_or(0)
}

/// The length of the segments at the end of both chunks, behind a value of each: `/manifest`.
/// Shorter ones may be the end of base64.
fn common_end(a: &str, b: &str) -> usize {
    const LEAST: usize = 6;
    let both = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    let end = &a.as_bytes()[a.len() - both..];
    let length = end.iter().position(|byte| *byte == b'/').map_or(0, |at| both - at);
    if length >= LEAST && length < a.len().min(b.len()) { length } else { 0 }
}

/// Adds the runs in which two chunks differ. Where they differ between them too, are one run each
/// or too many: how many parts there are up to the last symbol that both have.
fn inner(
    context: &Context<'_>,
    [a, b]: [&str; 2],
    number: u16,
    parts: &mut Vec<DifferingPart>,
) -> Result<(), usize> {
    let (mut left, mut right) = (runs(a), runs(b));
    let mut sure = parts.len();
    for run in 1_u16.. {
        match (left.next(), right.next()) {
            (None, None) if run > 2 => return Ok(()),
            (Some(one), Some(other)) if one == other => {
                if let Token::Mark(_) = one {
                    sure = parts.len();
                }
            }
            (Some(Token::Chunk(one)), Some(Token::Chunk(other))) => {
                parts.push(DifferingPart::of(context, one, other, Some(At(number, run))));
            }
            _ => break,
        }
        if parts.len() > MAX_PARTS {
            break;
        }
    }
    Err(sure)
}

impl DifferingPart {
    /// Whether it is likelier drawn at random than written, or of a kind that is made anew.
    fn is_anew(&self) -> bool {
        let mut both = Population::default();
        self.forms.into_iter().for_each(|form| both.add(form));
        matches!(self.look, Look::Kind(_)) || both.leans_drawn()
    }

    fn of(context: &Context<'_>, a: &str, b: &str, at: Option<At>) -> Self {
        // What is `%2F` in one value is a letter in another.
        let [a, b] = [a, b].map(|text| Encoding::Percent.decoded(text));
        Self::as_written(context, &a, &b, at)
    }

    /// Of two chunks, behind the words that both begin with.
    fn of_chunk(context: &Context<'_>, [a, b]: [&str; 2], at: Option<At>) -> Self {
        let common = common_start(a, b);
        let (a, b) = (&a[common..], &b[common..]);
        let end = if common > 0 { common_end(a, b) } else { 0 };
        Self::of(context, &a[..a.len() - end], &b[..b.len() - end], at)
    }

    fn as_written(context: &Context<'_>, a: &str, b: &str, at: Option<At>) -> Self {
        let forms = [a, b].map(TextForm::of);
        let short = short_forms(a, b);
        let free = (forms != [None, None] || short != [None, None]) && !context.asked_for(a);
        Self {
            at,
            within: 0,
            begun: false,
            look: context.look_of_value(a, b),
            word: [a, b].iter().all(|text| is_word(text)),
            forms: if free { forms } else { [None, None] },
            short: if free { short } else { [None, None] },
            numbers: numbers(context, a, b),
            values: [a, b].map(hash),
            instants: instants(context, a, b),
        }
    }

    fn of_span(span: &Span<'_>, at: Option<At>) -> Self {
        Self {
            at,
            within: 0,
            begun: false,
            look: Look::Kind(ValueKind::Lasting),
            word: false,
            forms: [None, None],
            short: [None, None],
            numbers: Some(span.nanos),
            values: span.said.map(hash),
            instants: None,
        }
    }

    /// Two numbers that are times; none where they are not.
    pub(super) fn of_numbers(context: &Context<'_>, a: &str, b: &str) -> Option<Self> {
        Some(Self {
            at: None,
            within: 0,
            begun: false,
            look: Look::Plain,
            word: false,
            forms: [None, None],
            short: [None, None],
            numbers: None,
            values: [a, b].map(hash),
            instants: Some(instants(context, a, b)?),
        })
    }
}

/// What times two values are; none where the request names v1's.
fn instants(context: &Context<'_>, a: &str, b: &str) -> Option<Instants> {
    let later = context.actual_at.map_or(0, |at| at.since(context.expected_at));
    Instants::of(a, b, later).filter(|_| !context.asked_for(a))
}

/// The numbers that two values are, where both are plain integers; none where the request names
/// v1's.
pub(super) fn numbers(context: &Context<'_>, a: &str, b: &str) -> Option<[f64; 2]> {
    /// Digits of the longest that a double holds exactly.
    const LONGEST: usize = 15;
    let is_plain = |text: &str| {
        (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let [one, other] = behind_word(a, b);
    let both = is_plain(one) && is_plain(other) && !context.asked_for(a);
    both.then(|| Some([one.parse().ok()?, other.parse().ok()?]))?
}

/// Two values without the word that both begin with: the numbers of `row5` and `row-5`.
fn behind_word<'t>(a: &'t str, b: &'t str) -> [&'t str; 2] {
    let digit = |text: &str| text.find(|c: char| c.is_ascii_digit());
    match (digit(a), digit(b)) {
        (Some(at), Some(to)) if a[..at] == b[..to] => [&a[at..], &b[to..]],
        _ => [a, b],
    }
}

/// The forms of two values of four to seven characters behind what names of temporary files begin
/// with; of any others so few characters do not say that they were drawn.
fn short_forms(a: &str, b: &str) -> [Option<TextForm>; 2] {
    const BEGIN: [&str; 3] = ["tmp", "temp", "php"];
    let behind = |word: &str| Some([a.strip_prefix(word)?, b.strip_prefix(word)?]);
    BEGIN.into_iter().find_map(behind).map_or([None; 2], |both| both.map(TextForm::of_short))
}

/// Letters only, up to three digits (a year has four), or a few letters and digits: `red`, `5`,
/// `v2`.
fn is_word(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.chars().all(char::is_alphabetic)
        || text.len() <= 4 && digits <= 3 && text.chars().all(char::is_alphanumeric)
}

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;

    #[test]
    fn a_number_in_a_path_is_told_apart_from_the_token_behind_it() {
        const TOKENS: [&str; 2] =
            ["Kx81mQzR4tWv90LpYsBe27HcJuNd65Fg", "b7TgY2nMq9XsE4rCvU1oZk83WjLhDf60"];
        let request = Request::default();
        let context = Context::plain(&request);
        let anew = |one: &str, other: &str| {
            let [a, b] = [one, other].map(|text| {
                TOKENS.iter().enumerate().fold(text.to_owned(), |text, (at, token)| {
                    text.replace(&format!("<{at}>"), token)
                })
            });
            are_anew(&of(&context, &a, &b))
        };
        for (a, b) in [
            ("https://x.example/users/0/<0>", "https://x.example/users/1/<1>"),
            ("57/<0>", "58/<1>"),
            ("/reset/1/<0>/next", "/reset/2/<1>/next"),
            ("/files/<0>/12", "/files/<1>/13"),
        ] {
            assert!(!anew(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("https://x.example/users/7/<0>", "https://x.example/users/7/<1>"),
            ("57/<0>", "57/<1>"),
            ("/files/<0>/12", "/files/<1>/12"),
            // Base64 that has a slash.
            ("Kx81mQzR4tWv/90LpYsBe27", "b7TgY2nMq9Xs/E4rCvU1oZk"),
            ("7/81mQzR4tWv90LpYsBe27", "b/TgY2nMq9XsE4rCvU1oZk"),
        ] {
            assert!(anew(a, b), "{a} {b}");
        }
    }
}
