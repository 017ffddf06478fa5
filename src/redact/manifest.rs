//! Secrets of Kubernetes in YAML: what stands below `data` and `stringData` of a document of
//! `kind: Secret`, whatever its names are. Goes by lines and how far they are indented.

use std::ops::Range;

use super::shape::SecretShape;

/// What says so.
pub(super) const SIGN: &str = "kind: Secret";

/// Adds the values of the document around the sign at `start`, which begins behind `done`. Answers
/// where the document ends.
pub(super) fn find(
    text: &[u8],
    start: usize,
    done: usize,
    found: &mut Vec<(Range<usize>, SecretShape)>,
) -> usize {
    let end = start + SIGN.len();
    let before = text[done..start].iter().rev().find(|byte| !matches!(byte, b' ' | b'-'));
    let is_line = before.is_none_or(|&byte| byte == b'\n')
        && text.get(end).is_none_or(u8::is_ascii_whitespace);
    if !is_line || text[start..end] != *SIGN.as_bytes() {
        return end;
    }
    let rule = b"\n---";
    let from = memchr::memmem::rfind(&text[done..start], rule).map_or(done, |at| done + at + 1);
    let to = memchr::memmem::find(&text[end..], rule).map_or(text.len(), |at| end + at);
    document(text, from..to, found);
    to
}

fn document(text: &[u8], range: Range<usize>, found: &mut Vec<(Range<usize>, SecretShape)>) {
    // How far the member is indented whose values are secret.
    let mut member: Option<usize> = None;
    let mut at = range.start;
    while at < range.end {
        let end = memchr::memchr(b'\n', &text[at..range.end]).map_or(range.end, |n| at + n);
        let line = &text[at..end];
        let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'-')).count();
        let rest = line[indent..].trim_ascii_end();
        if member.is_some_and(|outer| indent <= outer) && !rest.is_empty() {
            member = None;
        }
        let own = [&b"stringData:"[..], b"data:"].into_iter().find(|name| rest.starts_with(name));
        let value = match (member, own) {
            (Some(_), _) => Some(name_length(rest)),
            (None, Some(name)) => {
                member = Some(indent);
                Some(name.len())
            }
            (None, None) => None,
        };
        if let Some(name) = value {
            let value = rest[name..].trim_ascii_start();
            let from = at + indent + rest.len() - value.len();
            if !matches!(value, b"" | b"|" | b"|-" | b">" | b">-" | b"{}") {
                found.push((from..from + value.len(), SecretShape::Named));
            }
        }
        at = end + 1;
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
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }
}
