//! Secrets of Kubernetes in YAML: what stands below `data` and `stringData` of a document of
//! `kind: Secret`, whatever its names are. Goes by lines and how far they are indented.

use std::ops::Range;

use super::shape::SecretShape;

/// What says so.
pub(super) const SIGNS: [&str; 3] = ["kind: Secret", "kind: \"Secret\"", "kind: 'Secret'"];

/// A line, by how far it is indented.
struct ManifestLine {
    /// Where it ends, without its end.
    end: usize,
    /// Blanks before it.
    blanks: usize,
    /// Blanks and dashes before it.
    indent: usize,
    /// Whether it says anything.
    is_empty: bool,
}

impl ManifestLine {
    fn at(text: &[u8], start: usize) -> Self {
        let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |n| start + n);
        let line = &text[start..end];
        let count = |is: fn(u8) -> bool| line.iter().take_while(|&&byte| is(byte)).count();
        let blanks = count(|byte| byte == b' ');
        Self {
            end,
            blanks,
            indent: count(|byte| matches!(byte, b' ' | b'-')),
            is_empty: line.trim_ascii().is_empty() || line[blanks..].starts_with(b"#"),
        }
    }
}

/// Adds the values of the object around the sign at `sign`, which begins behind `done`. Answers
/// where the object ends: the document, or the item of a list.
pub(super) fn find(
    text: &[u8],
    sign: Range<usize>,
    done: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> Option<usize> {
    let before = text[done..sign.start].iter().rev();
    let indent = before.take_while(|byte| matches!(byte, b' ' | b'-')).count();
    let line = sign.start - indent;
    let is_line = (line == 0 || text[line - 1] == b'\n')
        && text.get(sign.end).is_none_or(u8::is_ascii_whitespace)
        && SIGNS.iter().any(|known| text[sign.clone()] == *known.as_bytes());
    if !is_line {
        return None;
    }
    let from = first_line(text, line, indent, done);
    let to = end(text, line, indent);
    members(text, from..to, indent, found);
    Some(to)
}

/// Where the object begins of whose lines one begins at `line`, and whose members are indented by
/// `indent`.
fn first_line(text: &[u8], line: usize, indent: usize, done: usize) -> usize {
    let mut start = line;
    let mut at = line;
    loop {
        let line = ManifestLine::at(text, at);
        crate::steps::add(line.end + 1 - at);
        let is_outer = line.blanks < indent && !line.is_empty;
        if text[at..].starts_with(b"---") || is_outer && line.indent != indent {
            return start;
        }
        start = at;
        if is_outer || at <= done {
            return start;
        }
        at = memchr::memrchr(b'\n', &text[done..at - 1]).map_or(done, |n| done + n + 1);
    }
}

/// Where the object ends.
fn end(text: &[u8], line: usize, indent: usize) -> usize {
    let mut at = ManifestLine::at(text, line).end + 1;
    while at < text.len() {
        let line = ManifestLine::at(text, at);
        if text[at..].starts_with(b"---") || line.blanks < indent && !line.is_empty {
            return at;
        }
        at = line.end + 1;
    }
    text.len()
}

/// Adds the values below those members that are secret, which are indented by `indent`.
fn members(
    text: &[u8],
    range: Range<usize>,
    indent: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) {
    let mut is_member = false;
    let mut at = range.start;
    while at < range.end {
        let line = ManifestLine::at(text, at);
        let from = at + line.indent;
        let rest = text[from..line.end].trim_ascii_end();
        at = line.end + 1;
        is_member &= line.indent > indent || rest.is_empty();
        let own = [&b"stringData:"[..], b"data:"].into_iter().find(|name| rest.starts_with(name));
        let name = match own.filter(|_| line.indent == indent) {
            Some(name) => name.len(),
            None if is_member => name_length(rest),
            None => continue,
        };
        is_member = true;
        let value = rest[name..].trim_ascii_start();
        let from = from + rest.len() - value.len();
        if !matches!(value, b"" | b"|" | b"|-" | b">" | b">-" | b"{}") {
            found.push((from..from + value.len(), SecretShape::Named));
        }
    }
}

/// How long the name before a value is, with its colon; 0 for a line of a text.
fn name_length(line: &[u8]) -> usize {
    let name = line.iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b':').count();
    let is_named =
        line.get(name) == Some(&b':') && line.get(name + 1).is_none_or(u8::is_ascii_whitespace);
    if is_named { name + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    fn texts(text: &str) -> Vec<&str> {
        let found = super::super::shapes::find(text.as_bytes(), false);
        found.into_iter().map(|(range, _)| &text[range]).collect()
    }

    #[test]
    fn values_of_a_secret_are_found_and_no_other_documents() {
        for (text, expected) in [
            ("kind: Secret\nstringData:\n  a: k1\n  b: 'k2'\ntype: Opaque\n", &["k1", "'k2'"][..]),
            ("apiVersion: v1\ndata:\n  a: azE=\nkind: Secret\nmetadata:\n  name: x\n", &["azE="]),
            ("kind: Secret\nstringData:\n  a: |\n    k 1\n    k2\n", &["k 1", "k2"]),
            ("kind: Secret\nstringData: {a: k1}\n", &["{a: k1}"]),
            ("- kind: Secret\n  data:\n    a: k1\n", &["k1"]),
            ("kind: ConfigMap\ndata:\n  a: b\n---\nkind: Secret\ndata:\n  c: k1\n", &["k1"]),
            ("kind: Secret\ndata:\n  c: k1\n---\nkind: ConfigMap\ndata:\n  a: b\n", &["k1"]),
            ("kind: SecretStore\ndata:\n  a: b\n", &[]),
            ("a kind: Secret\ndata:\n  a: b\n", &[]),
            ("kind: Secret\ndata: {}\n", &[]),
            ("kind: \"Secret\"\ndata:\n  a: k1\n", &["k1"]),
            ("data:\n  a: k1\nkind: 'Secret'\n", &["k1"]),
            ("kind: \"Secrets\"\ndata:\n  a: b\n", &[]),
            ("data:\n  a: k1\nnote: a kind: Secret\nkind: Secret\n", &["k1"]),
            (
                "kind: List\nitems:\n- kind: ConfigMap\n  data:\n    a: b\n- data:\n    a: k1\n\n\
                 # of joe\n  kind: Secret\n- kind: ConfigMap\n  data:\n    a: b\n",
                &["k1"],
            ),
            (
                "items:\n  - data:\n      a: b\n    kind: ConfigMap\n  - kind: Secret\n    data:\n      \
                 a: k1\n  - kind: Secret\n    data:\n      a: k2\n  - data:\n      a: b\n",
                &["k1", "k2"],
            ),
            ("kind: Secret\nmetadata:\n  data: b\nstringData:\n  a: k1\n", &["k1"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn many_secrets_in_a_list_take_no_more_than_n_log_n() {
        let item = "- kind: Secret\n  data:\n    a: k1\n";
        for unit in [item, "kind: Secret\n", "a kind: Secret "] {
            crate::steps::hold_to_n_log_n(1_000, |n| {
                crate::steps::add(n);
                drop(texts(&unit.repeat(n)));
            });
        }
    }
}
