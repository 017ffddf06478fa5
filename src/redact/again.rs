//! The second pass over an exchange: the secrets that the first one found are looked for everywhere
//! else, also where nothing says that there is one; percent-encoded, escaped, as references of
//! markup, in base64, in hexadecimal digits, in small letters, as in names of hosts, and in
//! capitals.

use std::ops::Range;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::view::{View, ViewEncoding};

/// Shortest secret that is looked for where no rule says that there is one; shorter ones are found
/// by chance.
pub(super) const SHORTEST: usize = 6;
/// Shortest one that is looked for in small letters, and in capitals.
const SHORTEST_SMALL: usize = 10;
/// Bytes of a window; each secret holds one that begins at a multiple of [`STRIDE`].
const WINDOW: usize = 4;
/// How far windows of a text are apart.
const STRIDE: usize = SHORTEST - WINDOW + 1;

/// The forms in which a secret may be repeated, each with its token in the same form; in one
/// buffer.
#[derive(Debug)]
pub(super) struct Forms {
    bytes: Vec<u8>,
    /// Where each begins, and its length: the secret, and right behind it the token.
    places: Vec<(usize, usize)>,
    /// Whether the secret is written like a word, so that texts have it by chance.
    is_word: bool,
}

impl Forms {
    /// The forms of a secret and its token, which is as long.
    pub(super) fn of(secret: &[u8], token: &[u8]) -> Self {
        let room = (secret.len() * 4 / 3 + 4) * 16 + secret.len() * 8;
        let mut forms = Self {
            bytes: Vec::with_capacity(room),
            places: Vec::with_capacity(11),
            is_word: is_word(secret),
        };
        forms.add(|out, is_token| out.extend_from_slice(if is_token { token } else { secret }));
        let cases: [(fn(&u8) -> bool, fn(&u8) -> u8); 2] = [
            (u8::is_ascii_uppercase, u8::to_ascii_lowercase),
            (u8::is_ascii_lowercase, u8::to_ascii_uppercase),
        ];
        for (has, other) in cases {
            if secret.len() >= SHORTEST_SMALL && secret.iter().any(has) {
                forms.add(|out, is_token| {
                    let value = if is_token { token } else { secret };
                    out.extend(value.iter().map(other));
                });
            }
        }
        for offset in 0..3 {
            let is_url = |url| {
                move |out: &mut Vec<u8>, is_token: bool| {
                    let value = if is_token { token } else { secret };
                    base64_inside(value, offset, url, out);
                }
            };
            forms.add(is_url(false));
            forms.add(is_url(true));
        }
        for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
            forms.add(|out, is_token| {
                for byte in if is_token { token } else { secret } {
                    out.extend([byte >> 4, byte & 15].map(|digit| digits[usize::from(digit)]));
                }
            });
        }
        forms
    }

    fn add(&mut self, write: impl Fn(&mut Vec<u8>, bool)) {
        let start = self.bytes.len();
        write(&mut self.bytes, false);
        let length = self.bytes.len() - start;
        let secret = &self.bytes[start..];
        if length < SHORTEST || self.iter().any(|(known, _)| known == secret) {
            self.bytes.truncate(start);
            return;
        }
        write(&mut self.bytes, true);
        self.places.push((start, length));
    }

    /// Each secret with its token.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.places.len()).map(|number| self.form(number))
    }

    fn form(&self, number: usize) -> (&[u8], &[u8]) {
        let (start, length) = self.places[number];
        self.bytes[start..start + 2 * length].split_at(length)
    }
}

/// Longest word, in bytes.
const LONGEST_WORD: usize = 16;

/// Whether a secret is one word of letters: `orders`, `Summer`.
fn is_word(secret: &[u8]) -> bool {
    secret.len() <= LONGEST_WORD
        && secret.iter().all(u8::is_ascii_alphabetic)
        && (secret.iter().skip(1).all(u8::is_ascii_lowercase)
            || secret.iter().all(u8::is_ascii_uppercase))
}

/// Whether what stands at `range` is all of a value, and no name: between quotes, in a field of a
/// form, in an element, or the whole text. `orders` as a password is no part of `/orders/list`.
fn is_whole_value(text: &[u8], range: &Range<usize>) -> bool {
    let (before, after) = (&text[..range.start], &text[range.end..]);
    match (before.last(), after.first()) {
        (None, None) => true,
        (Some(quote @ (b'"' | b'\'')), Some(next)) if quote == next => {
            let behind = after[1..].iter().find(|byte| !byte.is_ascii_whitespace());
            let around = before[..before.len() - 1].trim_ascii_end();
            // A member's name, or the value of an attribute that holds none.
            behind != Some(&b':') && (!around.ends_with(b"=") || around.ends_with(b"value="))
        }
        (Some(b'='), None | Some(b'&' | b';')) | (Some(b'>'), Some(b'<')) => true,
        _ => false,
    }
}

/// Longest value that is encoded without a buffer of its own, in bytes.
const SHORT: usize = 252;

/// Adds the part of a base64 text that `value` alone decides, where it stands `offset` bytes
/// (modulo three) into what was encoded.
fn base64_inside(value: &[u8], offset: usize, url: bool, out: &mut Vec<u8>) {
    let engine = if url { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
    let length = value.len() + offset;
    // The signs that share bits with the neighbours.
    let signs = (offset * 8).div_ceil(6)..length * 8 / 6;
    let mut padded = [0; SHORT + 3];
    let mut text = [0; (SHORT + 3) * 4 / 3];
    if length <= padded.len() {
        padded[offset..length].copy_from_slice(value);
        if engine.encode_slice(&padded[..length], &mut text).is_ok() {
            out.extend_from_slice(text.get(signs).unwrap_or_default());
        }
    } else {
        let text = engine.encode([&[0; 2][..offset], value].concat());
        out.extend_from_slice(text.as_bytes().get(signs).unwrap_or_default());
    }
}

/// The secrets of an exchange, ready to be looked for all at once: four bytes at every third place
/// of a text tell whether one may stand there.
pub(super) struct Repeated {
    secrets: Vec<Rc<Forms>>,
    /// Windows of all forms.
    windows: Vec<FormWindow>,
    /// The last window of each hash, and one more than its number; 0 for none.
    last: [u16; 1 << LAST_BITS],
    /// One bit for each window, by its hash.
    filter: [u64; 1 << (FILTER_BITS - 6)],
}

/// Four bytes of a form.
struct FormWindow {
    bytes: u32,
    secret: u16,
    form: u16,
    /// How far into the form.
    offset: u16,
    /// The one before with the same hash, by its number and one; 0 for none.
    before: u16,
}

/// How secrets may be written, by turns.
const ENCODINGS: [ViewEncoding; 5] = [
    ViewEncoding::Plain,
    ViewEncoding::Percent,
    ViewEncoding::Form,
    ViewEncoding::Json,
    ViewEncoding::Markup,
];

/// Bits of a hash: of the filter, which is asked for each window of a text, and of the table behind
/// it.
const FILTER_BITS: u32 = 14;
const LAST_BITS: u32 = 8;

const fn hash(window: u32, bits: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

fn window(text: &[u8]) -> u32 {
    u32::from_le_bytes([text[0], text[1], text[2], text[3]])
}

impl Repeated {
    pub(super) fn of(secrets: Vec<Rc<Forms>>) -> Self {
        let mut windows: Vec<FormWindow> = Vec::new();
        let mut last = [0; 1 << LAST_BITS];
        let mut filter = [0; 1 << (FILTER_BITS - 6)];
        for (index, forms) in secrets.iter().enumerate() {
            for (number, (secret, _)) in forms.iter().enumerate() {
                for offset in 0..STRIDE {
                    let bytes = window(&secret[offset..]);
                    let bit = hash(bytes, FILTER_BITS);
                    filter[bit / 64] |= 1 << (bit % 64);
                    let before = &mut last[hash(bytes, LAST_BITS)];
                    windows.push(FormWindow {
                        bytes,
                        secret: index as u16,
                        form: number as u16,
                        offset: offset as u16,
                        before: *before,
                    });
                    *before = windows.len() as u16;
                }
            }
        }
        Self { secrets, windows, last, filter }
    }

    /// The windows of these bytes.
    fn same(&self, bytes: u32) -> impl Iterator<Item = &FormWindow> {
        let at = |number: u16| self.windows.get(usize::from(number).wrapping_sub(1));
        std::iter::successors(at(self.last[hash(bytes, LAST_BITS)]), move |last| at(last.before))
            .filter(move |window| window.bytes == bytes)
    }

    /// `text` with all secrets replaced, as they are, percent-encoded, escaped or as references,
    /// also twice; none where there is none. Adds to `changes`.
    pub(super) fn replace(&self, text: &[u8], changes: &mut usize) -> Option<Vec<u8>> {
        if self.secrets.is_empty() || text.len() < SHORTEST {
            return None;
        }
        let is_plain = memchr::memchr3(b'%', b'+', b'\\', text).is_none();
        if is_plain && memchr::memchr(b'&', text).is_none() {
            let places = self.places(text);
            return (!places.is_empty()).then(|| written(text.to_vec(), places, changes));
        }
        let mut out: Option<Vec<u8>> = None;
        for encoding in ENCODINGS {
            let view = View::new(out.as_deref().unwrap_or(text), encoding);
            if encoding != ViewEncoding::Plain && !view.is_encoded() {
                continue;
            }
            let places = self.places(&view.bytes);
            let value = if !places.is_empty() {
                written(view.bytes.to_vec(), places, changes)
            } else if let Some(inner) = self.replaced_inside(&view, encoding, changes) {
                inner
            } else {
                continue;
            };
            out = Some(view.rewritten(value));
        }
        out
    }

    /// What a view says with the secrets replaced that are encoded once more in it:
    /// `&amp;amp;` in a page that shows XML.
    fn replaced_inside(
        &self,
        view: &View<'_>,
        encoding: ViewEncoding,
        changes: &mut usize,
    ) -> Option<Vec<u8>> {
        if encoding == ViewEncoding::Plain {
            return None;
        }
        let inner = View::new(&view.bytes, encoding);
        let places = if inner.is_encoded() { self.places(&inner.bytes) } else { Vec::new() };
        if places.is_empty() {
            return None;
        }
        let mut made = 0;
        let new = inner.rewritten(written(inner.bytes.to_vec(), places, &mut made));
        // A reference that becomes a letter is shorter.
        (new.len() == view.bytes.len()).then(|| {
            *changes += made;
            new
        })
    }

    /// `text` with all secrets replaced by what `mask` says of each, by its number.
    pub(super) fn masked<'m>(&self, text: &mut String, mask: impl Fn(usize) -> &'m str) {
        if self.secrets.is_empty() || text.len() < SHORTEST {
            return;
        }
        for encoding in ENCODINGS {
            let view = View::new(text.as_bytes(), encoding);
            if encoding != ViewEncoding::Plain && !view.is_encoded() {
                continue;
            }
            let mut places = self.places(&view.bytes);
            if places.is_empty() {
                continue;
            }
            places.sort_unstable_by_key(SecretPlace::order);
            let mut out = Vec::with_capacity(text.len());
            let (mut from, mut end) = (0, 0);
            for place in places {
                let range = view.source_range(&place.range());
                if range.start >= end {
                    out.extend_from_slice(&view.source()[from..range.start]);
                    out.extend_from_slice(mask(place.secret).as_bytes());
                }
                // Of two that overlap nothing stays.
                end = end.max(range.end);
                from = end;
            }
            out.extend_from_slice(&view.source()[from..]);
            *text = String::from_utf8_lossy(&out).into_owned();
        }
    }

    /// Where secrets stand.
    fn places(&self, text: &[u8]) -> Vec<SecretPlace<'_>> {
        let mut places = Vec::new();
        let mut at = 0;
        while at + WINDOW <= text.len() {
            let found = window(&text[at..]);
            let bit = hash(found, FILTER_BITS);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 1 {
                for window in self.same(found) {
                    let secret = usize::from(window.secret);
                    let forms = &self.secrets[secret];
                    let (form, token) = forms.form(usize::from(window.form));
                    if let Some(start) = at.checked_sub(usize::from(window.offset))
                        && text[start..].starts_with(form)
                        && (!forms.is_word || is_whole_value(text, &(start..start + form.len())))
                    {
                        places.push(SecretPlace { start, form, token, secret });
                    }
                }
            }
            at += STRIDE;
        }
        places
    }
}

/// Where a secret stands, with its token.
struct SecretPlace<'a> {
    start: usize,
    form: &'a [u8],
    token: &'a [u8],
    /// Which one, by its number.
    secret: usize,
}

impl SecretPlace<'_> {
    /// By their starts, the longer first.
    const fn order(&self) -> (usize, usize) {
        (self.start, usize::MAX - self.form.len())
    }

    const fn range(&self) -> Range<usize> {
        self.start..self.start + self.form.len()
    }
}

/// The text with the tokens at their places.
fn written(mut text: Vec<u8>, mut places: Vec<SecretPlace<'_>>, changes: &mut usize) -> Vec<u8> {
    places.sort_unstable_by_key(SecretPlace::order);
    let mut end = 0;
    for place in places {
        // Where two overlap, what hangs over is of the second.
        let Range { start, end: to } = place.range();
        let from = end.max(start);
        if from < to {
            text[from..to].copy_from_slice(&place.token[from - start..]);
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
        let repeated = Repeated::of(vec![Rc::new(Forms::of(secret, token))]);
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
            assert_eq!(replaced(&text("AB3DE5FG7H")), Some(text("XY1ZW2VU3T")));
        }
        assert_eq!(replaced("a%42%33dE5fG7h").as_deref(), Some("x%59%31zW2vU3t"));
        assert_eq!(replaced(r"a\u00423dE5fG7h").as_deref(), Some(r"x\u00591zW2vU3t"));
        assert_eq!(
            replaced("k=61423364453566473768 K=61423364453566473768").as_deref(),
            Some("k=7859317a573276553374 K=7859317a573276553374")
        );
        assert_eq!(replaced("a&#66;3dE5fG7h &amp;").as_deref(), Some("xY1zW2vU3t &amp;"));
        assert_eq!(replaced("aB3dE5fG7").as_deref(), None);
        // A text of nothing but the start of a secret costs no more than its length.
        assert_eq!(replaced(&"aB3d".repeat(1000)), None);
    }

    #[test]
    fn a_secret_that_is_a_word_is_replaced_as_a_whole_value_only() {
        let replaced = |secret: &str, text: &str| {
            let token = "x".repeat(secret.len());
            let forms = Forms::of(secret.as_bytes(), token.as_bytes());
            let new = Repeated::of(vec![Rc::new(forms)]).replace(text.as_bytes(), &mut 0);
            new.map(|new| String::from_utf8(new).unwrap())
        };
        for (secret, text) in [
            ("orders", "/orders/list?orders=1"),
            ("password", r#"{"password" : 1,"old_password":"b"}"#),
            ("secret", "a=b&client_secret=abc&secret=1"),
            ("application", "application/json"),
            ("content", "<input name=\"content\"><content>x</content>"),
            ("Summer", "Summer is here"),
        ] {
            assert_eq!(replaced(secret, text), None, "{secret} {text}");
        }
        for (secret, text, expected) in [
            (
                "orders",
                r#"{"a":"orders","orders":["orders"]}"#,
                r#"{"a":"xxxxxx","orders":["xxxxxx"]}"#,
            ),
            ("orders", "orders", "xxxxxx"),
            ("orders", "a=orders&orders=orders", "a=xxxxxx&orders=xxxxxx"),
            ("orders", "<b>orders</b><i value='orders'>", "<b>xxxxxx</b><i value='xxxxxx'>"),
            ("orders", "/o?q=%6frders", "/o?q=%78xxxxx"),
            ("orders1", "/orders1/list", "/xxxxxxx/list"),
            ("hunTer", "no hunTer here", "no xxxxxx here"),
        ] {
            assert_eq!(replaced(secret, text).as_deref(), Some(expected), "{secret} {text}");
        }
    }
}
