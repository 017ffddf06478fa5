//! The second pass over an exchange: the secrets that the first one found are looked for everywhere
//! else, also where nothing says that there is one; percent-encoded, escaped, in base64, and in small
//! letters, as in names of hosts.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::view::{Encoding, View};

/// Shortest secret that is looked for where no rule says that there is one; shorter ones are found
/// by chance.
pub(super) const SHORTEST: usize = 6;
/// Shortest one that is looked for in small letters.
const SHORTEST_SMALL: usize = 10;
/// Bytes of a window; each secret holds one that begins at a multiple of [`STRIDE`].
const WINDOW: usize = 4;
/// How far windows of a text are apart.
const STRIDE: usize = SHORTEST - WINDOW + 1;

/// A secret in a form that it may be repeated in, and its token in the same form.
#[derive(Debug)]
pub(super) struct Form {
    secret: Vec<u8>,
    token: Vec<u8>,
}

impl Form {
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub(super) fn token(&self) -> &[u8] {
        &self.token
    }
}

/// The forms in which a secret may be repeated, each with the same mask.
pub(super) fn masked_forms(secret: &[u8], mask: &[u8]) -> impl Iterator<Item = Form> {
    forms(secret, secret).into_iter().map(|form| Form { secret: form.secret, token: mask.to_vec() })
}

/// The forms in which a secret may be repeated.
pub(super) fn forms(secret: &[u8], token: &[u8]) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::with_capacity(7);
    let mut add = |secret: Vec<u8>, token: Vec<u8>| {
        if secret.len() >= SHORTEST && !forms.iter().any(|known| known.secret == secret) {
            forms.push(Form { secret, token });
        }
    };
    add(secret.to_vec(), token.to_vec());
    if secret.len() >= SHORTEST_SMALL {
        add(secret.to_ascii_lowercase(), token.to_ascii_lowercase());
    }
    for offset in 0..3 {
        for url in [false, true] {
            add(base64_inside(secret, offset, url), base64_inside(token, offset, url));
        }
    }
    forms
}

/// The part of a base64 text that `value` alone decides, where it stands `offset` bytes (modulo
/// three) into what was encoded.
fn base64_inside(value: &[u8], offset: usize, url: bool) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value);
    let engine = if url { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
    let mut text = engine.encode(&padded).into_bytes();
    // The signs that share bits with the neighbours.
    let first = (offset * 8).div_ceil(6);
    text.truncate(padded.len() * 8 / 6);
    text.drain(..first.min(text.len()));
    text
}

/// The secrets of an exchange, ready to be looked for all at once: four bytes at every third place of
/// a text tell whether one may stand there.
pub(super) struct Repeated {
    secrets: Vec<Rc<Vec<Form>>>,
    /// Windows of all forms, sorted: the window, which secret, which form, how far into it.
    windows: Vec<(u32, u32, u16, u16)>,
    /// One bit for each window, by its hash.
    filter: [u64; 64],
}

const fn bit(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> 20) as usize
}

fn window(text: &[u8]) -> u32 {
    u32::from_le_bytes([text[0], text[1], text[2], text[3]])
}

impl Repeated {
    pub(super) fn of(secrets: Vec<Rc<Vec<Form>>>) -> Self {
        let mut windows = Vec::new();
        let mut filter = [0; 64];
        for (index, forms) in secrets.iter().enumerate() {
            for (number, form) in forms.iter().enumerate() {
                for offset in 0..STRIDE {
                    let window = window(&form.secret[offset..]);
                    filter[bit(window) / 64] |= 1 << (bit(window) % 64);
                    windows.push((window, index as u32, number as u16, offset as u16));
                }
            }
        }
        windows.sort_unstable();
        Self { secrets, windows, filter }
    }

    /// `text` with all secrets replaced, as they are, percent-encoded or escaped; none where there is
    /// none. Adds to `changes`.
    pub(super) fn replace(&self, text: &[u8], changes: &mut usize) -> Option<Vec<u8>> {
        if self.secrets.is_empty() || text.len() < SHORTEST {
            return None;
        }
        if memchr::memchr3(b'%', b'+', b'\\', text).is_none() {
            let places = self.places(text);
            return (!places.is_empty()).then(|| written(text.to_vec(), places, changes));
        }
        let mut out: Option<Vec<u8>> = None;
        for encoding in [Encoding::Plain, Encoding::Percent, Encoding::Form, Encoding::Json] {
            let view = View::new(out.as_deref().unwrap_or(text), encoding);
            if encoding != Encoding::Plain && !view.is_encoded() {
                continue;
            }
            let places = self.places(&view.bytes);
            if places.is_empty() {
                continue;
            }
            let value = written(view.bytes.to_vec(), places, changes);
            out = Some(view.rewritten(&value));
        }
        out
    }

    /// Where secrets stand.
    fn places(&self, text: &[u8]) -> Vec<(usize, &Form)> {
        let mut places = Vec::new();
        let mut at = 0;
        while at + WINDOW <= text.len() {
            let found = window(&text[at..]);
            if self.filter[bit(found) / 64] >> (bit(found) % 64) & 1 == 1 {
                let first = self.windows.partition_point(|&(window, ..)| window < found);
                let same = self.windows[first..].iter().take_while(|(window, ..)| *window == found);
                for &(_, secret, form, offset) in same {
                    let form = &self.secrets[secret as usize][usize::from(form)];
                    let start = at.checked_sub(usize::from(offset));
                    if let Some(start) = start
                        && text[start..].starts_with(&form.secret)
                    {
                        places.push((start, form));
                    }
                }
            }
            at += STRIDE;
        }
        places
    }
}

/// The text with the tokens at their places.
fn written(mut text: Vec<u8>, mut places: Vec<(usize, &Form)>, changes: &mut usize) -> Vec<u8> {
    places.sort_unstable_by_key(|&(at, form)| (at, usize::MAX - form.secret.len()));
    let mut end = 0;
    for (at, form) in places {
        // Where two overlap, what hangs over is of the second.
        let from = end.max(at);
        let to = at + form.secret.len();
        if from < to {
            text[from..to].copy_from_slice(&form.token[from - at..]);
            end = to;
            *changes += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_wherever_they_begin_and_in_each_form() {
        let (secret, token) = (b"aB3dE5fG7h", b"xY1zW2vU3t");
        let repeated = Repeated::of(vec![Rc::new(forms(secret, token))]);
        let replaced = |text: &str| {
            let mut changes = 0;
            let new = repeated.replace(text.as_bytes(), &mut changes);
            assert_eq!(new.is_some(), changes > 0);
            new.map(|new| String::from_utf8(new).unwrap())
        };
        for before in 0..9 {
            let text = |value: &str| format!("{}{value}.", "-".repeat(before));
            assert_eq!(replaced(&text("aB3dE5fG7h")), Some(text("xY1zW2vU3t")));
            assert_eq!(replaced(&text("ab3de5fg7h")), Some(text("xy1zw2vu3t")));
        }
        assert_eq!(replaced("a%42%33dE5fG7h").as_deref(), Some("x%59%31zW2vU3t"));
        assert_eq!(replaced(r"a\u00423dE5fG7h").as_deref(), Some(r"x\u00591zW2vU3t"));
        assert_eq!(replaced("aB3dE5fG7").as_deref(), None);
        // A text of nothing but the start of a secret costs no more than its length.
        assert_eq!(replaced(&"aB3d".repeat(1000)), None);
    }
}
