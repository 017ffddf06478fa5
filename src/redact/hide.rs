//! Where secrets stand in targets and forms, for both that hide them: the masker for readers and
//! the redactor for recordings. Since both walk by the same steps, neither can see a secret that
//! the other does not.

use super::names;
use super::rules::Step;
use super::view::{Encoding, View};

/// What is done with secrets, and which names the one who does it takes for secret.
pub(super) trait Hide {
    /// What stands in place of a value that is secret as a whole; none where there is no value.
    fn whole(&mut self, source: &[u8], encoding: Encoding) -> Option<Vec<u8>>;

    /// The value with the secrets replaced that are known by their look; none where there is none.
    fn parts(&mut self, source: &[u8], encoding: Encoding) -> Option<Vec<u8>>;

    /// Whether `source` holds anything that [`Self::parts`] would replace; cheaper than looking at
    /// each value in it.
    fn holds_parts(&self, source: &[u8]) -> bool;

    /// Whether a member of JSON, an element or attribute of XML is secret by its name.
    fn is_field(&self, name: &str) -> bool {
        names::is_secret_field(name)
    }

    /// Whether a field of a form is secret.
    fn is_form_field(&self, name: &str) -> bool {
        names::is_secret_field(name)
    }

    /// Whether a parameter of a query is secret.
    fn is_parameter(&self, name: &str) -> bool {
        names::is_secret_parameter(name)
    }

    /// Whether paths matter at all.
    fn has_paths(&self) -> bool {
        false
    }

    /// Whether a path into JSON is secret.
    fn is_path(&self, _steps: &[Step]) -> bool {
        false
    }
}

/// What the names of `name=value` pairs are.
#[derive(Clone, Copy)]
pub(super) enum Pairs {
    /// Parameters of a query.
    Query,
    /// Fields of a form.
    Form,
}

/// Whether a value is nothing but a URL or a target with parameters; in any other text they are
/// found by their look.
pub(super) fn is_url(value: &[u8]) -> bool {
    let inside = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'"');
    memchr::memchr2(b'?', b'#', value).is_some()
        && (matches!(value.first(), Some(b'/' | b'?' | b'#' | b'.'))
            || memchr::memmem::find(value, b"://").is_some())
        && !value.iter().any(inside)
}

/// A request target or URL: by the names in its query, and in its fragment, where OAuth's implicit
/// flow puts tokens (RFC 6749 §4.2.2); by the look of what stands elsewhere.
pub(super) fn target(hide: &mut impl Hide, target: &[u8]) -> Option<Vec<u8>> {
    let (rest, fragment) = cut(target, b'#');
    let (path, query) = cut(rest, b'?');
    let new_path = hide.parts(path, Encoding::Percent);
    let new_query = query.and_then(|query| pairs(hide, query, Pairs::Query));
    let new_fragment = fragment.and_then(|fragment| match cut(fragment, b'?') {
        // Routes of pages: `#/callback?access_token=…`.
        (before, Some(after)) => {
            let (new_before, new_after) =
                (hide.parts(before, Encoding::Percent), pairs(hide, after, Pairs::Query));
            (new_before.is_some() || new_after.is_some()).then(|| {
                [
                    new_before.as_deref().unwrap_or(before),
                    b"?",
                    new_after.as_deref().unwrap_or(after),
                ]
                .concat()
            })
        }
        _ => pairs(hide, fragment, Pairs::Query),
    });
    if new_path.is_none() && new_query.is_none() && new_fragment.is_none() {
        return None;
    }
    let mut out = new_path.unwrap_or_else(|| path.to_vec());
    for (mark, old, new) in [(b'?', query, new_query), (b'#', fragment, new_fragment)] {
        if let Some(old) = old {
            out.push(mark);
            out.extend_from_slice(new.as_deref().unwrap_or(old));
        }
    }
    Some(out)
}

fn cut(text: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(mark, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// `name=value&name=value`
pub(super) fn pairs(hide: &mut impl Hide, form: &[u8], kind: Pairs) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(form.len());
    let mut changed = false;
    for (index, pair) in form.split(|&byte| byte == b'&').enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        let Some(equals) = memchr::memchr(b'=', pair) else {
            let part = hide.parts(pair, Encoding::Form);
            changed |= part.is_some();
            out.extend_from_slice(part.as_deref().unwrap_or(pair));
            continue;
        };
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let decoded = View::new(name, Encoding::Form);
        let decoded = String::from_utf8_lossy(&decoded.bytes);
        let secret = match kind {
            Pairs::Query => hide.is_parameter(&decoded),
            Pairs::Form => hide.is_form_field(&decoded),
        };
        let new = if secret {
            hide.whole(value, Encoding::Form)
        } else {
            hide.parts(value, Encoding::Form)
        };
        changed |= new.is_some();
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(new.as_deref().unwrap_or(value));
    }
    changed.then_some(out)
}
