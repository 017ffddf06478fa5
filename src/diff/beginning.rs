//! The beginnings of two contents, of which the first one was cut off: as much of the second as
//! stands for what is known of the first.

use rustc_hash::FxHashMap;

use super::content::json_lines;
use crate::message::json::tape::{Node, Tape, Type};

/// The whole lines of v1's text, and as many of v2's; none where there is none.
pub(super) fn of_lines<'t>(a: &'t [u8], b: &'t [u8]) -> Option<[&'t [u8]; 2]> {
    let end = memchr::memrchr(b'\n', a)? + 1;
    let lines = memchr::memchr_iter(b'\n', &a[..end]).count();
    let behind = memchr::memchr_iter(b'\n', b).nth(lines - 1);
    Some([&a[..end], behind.map_or(b, |at| &b[..=at])])
}

/// v1's markup up to its last whole tag, and as many tags of v2's, with what is open closed where
/// it `must_close`; none where there is no tag. Where v2's `is_cut`, as far as both go.
pub(super) fn of_markup(
    a: &[u8],
    b: &[u8],
    is_cut: bool,
    must_close: bool,
) -> Option<[Vec<u8>; 2]> {
    let tags = |text: &[u8]| {
        let end = memchr::memrchr(b'>', text).unwrap_or(0);
        memchr::memchr_iter(b'<', &text[..end]).count()
    };
    let count = if is_cut { tags(a).min(tags(b)) } else { tags(a) };
    let nth = count.checked_sub(1)?;
    let short = |text: &[u8]| {
        let end = memchr::memchr_iter(b'<', text)
            .nth(nth)
            .and_then(|at| Some(at + memchr::memchr(b'>', &text[at..])? + 1));
        let mut out = text[..end.unwrap_or(text.len())].to_vec();
        if must_close {
            close_elements(&mut out);
        }
        out
    };
    Some([a, b].map(short))
}

/// Writes the end tags of the elements that are open at the end of XML.
fn close_elements(text: &mut Vec<u8>) {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'<', &text[at..]) {
        let rest = &text[at + found..];
        let behind: &[u8] = match rest {
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            [b'<', b'!', b'[', ..] => b"]]>",
            _ => b">",
        };
        let Some(end) = memchr::memmem::find(rest, behind) else {
            // A comment or CDATA that was cut says nothing that is whole.
            text.truncate(at + found);
            break;
        };
        match rest.get(1) {
            Some(b'/') => _ = open.pop(),
            Some(b'!' | b'?') => {}
            _ if rest[end - 1] == b'/' => {}
            _ => {
                let name = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b'>';
                open.push(rest[1..].iter().copied().take_while(name).collect::<Vec<u8>>());
            }
        }
        at += found + end + behind.len();
    }
    for name in open.iter().rev() {
        text.extend_from_slice(&[b"</", name.as_slice(), b">"].concat());
    }
}

/// The whole pairs of v1's form, and as many of v2's of each name; none where there is none.
pub(super) fn of_form(a: &[u8], b: &[u8]) -> Option<[Vec<u8>; 2]> {
    let whole = &a[..memchr::memrchr(b'&', a)?];
    let name = |pair: &[u8]| pair.split(|&byte| byte == b'=').next().unwrap_or(pair).to_vec();
    let pairs = |text: &[u8]| text.split(|&byte| byte == b'&').map(<[u8]>::to_vec).collect();
    let (of_a, mut of_b): (Vec<_>, Vec<_>) = (pairs(whole), pairs(b));
    let mut names: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
    of_a.iter().for_each(|pair| *names.entry(name(pair)).or_default() += 1);
    of_b.retain(|pair| {
        let left = names.get_mut(&name(pair)).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    });
    Some([whole.to_vec(), of_b.join(&b'&')])
}

/// How v2's content goes with v1's cut document.
pub(super) enum Begun {
    /// Both as far as the shorter one goes.
    Both([Vec<u8>; 2]),
    /// v2's is whole, and no JSON.
    Other,
    /// v1's is no JSON, or v2's was cut where nothing is known of it.
    Unknown,
}

/// v1's cut document with what was open closed, and v2's without the elements and members that
/// v1's may have had behind the cut. Where v2's `is_cut`, v1's without what v2's may have had.
pub(super) fn of_json(a: &[u8], b: &[u8], is_cut: bool) -> Begun {
    let Some((closed_a, open)) = closed(a) else { return Begun::Unknown };
    let Ok(left) = Tape::parse(&closed_a) else { return Begun::Unknown };
    let short = |of: &Tape<'_>, open, all: &Tape<'_>| {
        let mut out = Vec::new();
        cut(of.root(), all.root(), open, &mut out);
        out
    };
    if let Ok(right) = Tape::parse(b) {
        let short = short(&left, open, &right);
        return Begun::Both([closed_a, short]);
    }
    if !is_cut {
        return of_lines_of_json(a, b);
    }
    let Some((closed_b, behind)) = closed(b) else { return Begun::Unknown };
    let Ok(right) = Tape::parse(&closed_b) else { return Begun::Unknown };
    Begun::Both([short(&right, behind, &left), short(&left, open, &right)])
}

/// The same where v2 has several documents, a line each, under the name of one.
fn of_lines_of_json(a: &[u8], b: &[u8]) -> Begun {
    let lines = json_lines(b);
    // Nothing at all would be no lines.
    if b.trim_ascii().is_empty() || Tape::parse(&lines).is_err() {
        return Begun::Other;
    }
    of_json(&[b"[", a].concat(), &lines, true)
}

/// A cut document up to the last value in it that is whole, with its containers closed, and how
/// many these are: none where nothing but the end of its answer is missing.
fn closed(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut open = Vec::new();
    let mut end = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => match string_end(text, at) {
                Some(end) => at = end,
                None => break,
            },
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => _ = open.pop()?,
            _ => {}
        }
        match text.get(at)? {
            b'{' | b'[' | b'}' | b']' => end = at + 1,
            b',' => end = at,
            _ => {}
        }
        at += 1;
    }
    let count = open.len();
    let closers = open.into_iter().rev();
    (end > 0).then(|| (text[..end].iter().copied().chain(closers).collect(), count))
}

/// Where the string ends that begins at `at`; none where the text ends before.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        match text[from + found] {
            b'"' => return Some(from + found),
            _ => from += found + 2,
        }
    }
}

/// Writes `b` without what stands behind the end of `a`, of which the last values of `open`
/// containers, one in another, were cut.
fn cut(a: Node<'_, '_>, b: Node<'_, '_>, open: usize, out: &mut Vec<u8>) {
    match (a.kind(), b.kind()) {
        (Type::Array, Type::Array) if open > 0 => {
            let (count, last) =
                a.elements().fold((0, None), |(count, _), one| (count + 1, Some(one)));
            crate::steps::add(count);
            out.push(b'[');
            for (index, element) in b.elements().take(count).enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                match last.filter(|_| index + 1 == count) {
                    Some(last) => cut(last, element, open - 1, out),
                    None => out.extend_from_slice(&written(element)),
                }
            }
            out.push(b']');
        }
        (Type::Object, Type::Object) if open > 0 => {
            let known: Vec<_> = a.members().map(|(name, value)| (name.raw(), value)).collect();
            let names: rustc_hash::FxHashSet<&[u8]> = known.iter().map(|(name, _)| *name).collect();
            // Once: a name that v2 repeats must not walk v1's value each time.
            let mut last = known.last();
            let mut comma: &[u8] = b"";
            out.push(b'{');
            for (name, value) in b.members().filter(|(name, _)| names.contains(name.raw())) {
                out.extend_from_slice(comma);
                comma = b",";
                out.extend_from_slice(&[b"\"", name.raw(), b"\":"].concat());
                match last.take_if(|(last, _)| *last == name.raw()) {
                    Some((_, last)) => cut(*last, value, open - 1, out),
                    None => out.extend_from_slice(&written(value)),
                }
            }
            out.push(b'}');
        }
        _ => out.extend_from_slice(&written(b)),
    }
}

/// A value as it is written.
fn written(node: Node<'_, '_>) -> Vec<u8> {
    match node.is_string() {
        true => [b"\"", node.raw(), b"\""].concat(),
        false => node.raw().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_cut_behind_as_many_tags() {
        let of = |a: &str, b: &str, is_cut, must_close| {
            of_markup(a.as_bytes(), b.as_bytes(), is_cut, must_close)
                .map(|both| both.map(|one| String::from_utf8(one).unwrap()))
        };
        let both = |a: &str, b: &str| Some([a.to_owned(), b.to_owned()]);
        assert_eq!(
            of("<a><b>x</b><c", "<a><b>y</b><c/></a>", false, false),
            both("<a><b>x</b>", "<a><b>y</b>")
        );
        assert_eq!(
            of("<a x='1'><b>x</b><c", "<a x='1'><b/>", true, true),
            both("<a x='1'><b></b></a>", "<a x='1'><b/></a>")
        );
        let whole = "<?xml version='1.0'?><!-- <x> --><a><d/><b><![CDATA[<y>]]></b><c>1</c><e>";
        assert_eq!(
            of(&format!("{whole}2"), &format!("{whole}3</e></a>"), false, true),
            both(&format!("{whole}</e></a>"), &format!("{whole}</e></a>"))
        );
        assert_eq!(of("x > y", "<a>", false, true), None);
        assert_eq!(of("<a", "<a>", false, true), None);
        let form = of_form(b"a=1&b=2&c=", b"c=9&b=3&a=1&d=4").unwrap();
        assert_eq!(form, [b"a=1&b=2".to_vec(), b"b=3&a=1".to_vec()]);
        let form = of_form(b"i=1&i=2&i=", b"i=1&i=2&i=3&j=1").unwrap();
        assert_eq!(form, [b"i=1&i=2".to_vec(), b"i=1&i=2".to_vec()]);
    }

    #[test]
    fn a_name_that_v2_repeats_costs_no_more_than_n_log_n() {
        crate::steps::hold_to_n_log_n(500, |n| {
            crate::steps::add(n);
            let a = format!("{{\"x\":[{}", "1,".repeat(n));
            let b = format!("{{{}}}", vec!["\"x\":[]"; n].join(","));
            assert!(matches!(of_json(a.as_bytes(), b.as_bytes(), false), Begun::Both(_)));
        });
    }
}
