//! Challenges (`WWW-Authenticate`, `Proxy-Authenticate`; RFC 9110 §11.6.1) compared by scheme and
//! parameter, so that a nonce that is new each time hides no other change; places are
//! `www-authenticate:SCHEME` and `www-authenticate:SCHEME;parameter`.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::place::told;

/// What differs between two fields' challenges: the part of the place behind the header's name, and
/// each side's value.
pub(super) fn differing(a: &[&[u8]], b: &[&[u8]]) -> Vec<(String, Option<String>, Option<String>)> {
    let (a, b) = (parts(a), parts(b));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        // A scheme that is gone takes its parameters along.
        .filter(|name| match name.split_once(';') {
            Some((scheme, _)) => a.contains_key(scheme) && b.contains_key(scheme),
            None => true,
        })
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| (name.clone(), a.get(name).cloned(), b.get(name).cloned()))
        .collect()
}

/// Schemes with an empty value and their parameters without quotes; names in lower case.
fn parts(values: &[&[u8]]) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    let mut scheme = String::new();
    for item in values.iter().flat_map(|value| items(value)) {
        let end = item.find([' ', '=']).unwrap_or(item.len());
        let parameter = match item[end..].trim_start().strip_prefix('=') {
            Some(_) => &*item,
            None => {
                // Each parameter repeats it.
                scheme = told(&item[..end]).to_ascii_lowercase();
                parts.insert(scheme.clone(), scheme.clone());
                item[end..].trim()
            }
        };
        if parameter.is_empty() {
            continue;
        }
        // A token (`Negotiate oYG8…=`) has nothing behind its equals signs.
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) if !value.trim_matches('=').is_empty() => {
                (name.trim().to_ascii_lowercase(), value.trim())
            }
            _ => ("token".to_owned(), parameter),
        };
        let value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
            None => value.to_owned(),
        };
        // RFC 7616 §3.3: these are the same in any case.
        let value = if matches!(&*name, "stale" | "algorithm") {
            value.to_ascii_lowercase()
        } else {
            value
        };
        parts.insert(format!("{scheme};{name}"), value);
    }
    parts
}

/// The items of a list, whose commas may stand in quotes.
fn items(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let (mut items, mut item) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            _ => {
                quoted ^= c == '"' && !escaped;
                escaped = quoted && c == '\\' && !escaped;
                item.push(c);
            }
        }
    }
    items.push(item);
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(a: &[&'static str], b: &[&'static str]) -> Vec<String> {
        let bytes = |values: &[&'static str]| {
            values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>()
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        differing(&bytes(a), &bytes(b))
            .into_iter()
            .map(|(place, a, b)| format!("{place} {}→{}", text(a), text(b)))
            .collect()
    }

    #[test]
    fn a_new_nonce_hides_nothing() {
        let digest = r#"Digest realm="a, b", nonce="1", qop="auth", algorithm=MD5, stale=FALSE"#;
        assert_eq!(
            differ(
                &[digest],
                &[r#"digest QOP=auth, nonce="1",realm="a, b" , stale=false, algorithm="md5""#]
            ),
            [""; 0]
        );
        assert_eq!(
            differ(
                &[digest],
                &[r#"Digest realm="a, b", nonce="2", algorithm=SHA-256, stale=False"#]
            ),
            ["digest;algorithm md5→sha-256", "digest;nonce 1→2", "digest;qop auth→-"]
        );
        assert_eq!(
            differ(&["Basic realm=x, Negotiate"], &["Negotiate abc==", "Basic realm=\"x\""]),
            ["negotiate;token -→abc=="]
        );
        assert_eq!(differ(&["Bearer", digest], &[digest]), ["bearer bearer→-"]);
        for odd in ["", ",,", "=", "\"", "\"\\", "a b=\"", "é \u{1}=x"] {
            assert_eq!(differ(&[odd], &[odd]), [""; 0], "{odd:?}");
        }
    }
}
