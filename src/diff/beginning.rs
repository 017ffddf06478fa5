//! The beginnings of two contents, of which the first one was cut off: as much of the second as
//! stands for what is known of the first.

use super::content::json_lines;
use crate::message::json::tape::{Node, Tape, Type};

/// The whole lines of v1's text, and as many of v2's; none where there is none.
pub(super) fn of_lines<'t>(a: &'t [u8], b: &'t [u8]) -> Option<[&'t [u8]; 2]> {
    let end = memchr::memrchr(b'\n', a)? + 1;
    let lines = memchr::memchr_iter(b'\n', &a[..end]).count();
    let behind = memchr::memchr_iter(b'\n', b).nth(lines - 1);
    Some([&a[..end], behind.map_or(b, |at| &b[..=at])])
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
    fn a_name_that_v2_repeats_costs_no_more_than_n_log_n() {
        crate::steps::hold_to_n_log_n(500, |n| {
            crate::steps::add(n);
            let a = format!("{{\"x\":[{}", "1,".repeat(n));
            let b = format!("{{{}}}", vec!["\"x\":[]"; n].join(","));
            assert!(matches!(of_json(a.as_bytes(), b.as_bytes(), false), Begun::Both(_)));
        });
    }
}
