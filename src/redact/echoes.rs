//! Secrets that an exchange names in one place and repeats in another without a name: what is shown
//! of it goes by all of them.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::again::{self, Forms, Repeated};
use super::hide::{self, Hide};
use super::names;
use super::shapes::SecretShape;
use super::sieve::Kinds;
use super::view::ViewEncoding;
use super::{Masker, body};
use crate::message::{Headers, Request, Response, content};

/// Longest body that is searched for names, in bytes.
const LONGEST_BODY: usize = 64 << 10;
/// Most secrets of one exchange.
const MOST: usize = 64;

/// The secrets of one exchange, with their masks.
#[derive(Default)]
pub struct Echoes {
    known: Option<(Repeated, Vec<String>)>,
}

impl Echoes {
    /// The secrets that a request and answers to it name.
    pub fn of(masker: &Masker, request: &Request, answers: &[&Response]) -> Self {
        let mut names = Collector { masker, found: RefCell::default() };
        if masker.is_off() {
            return Self::default();
        }
        hide::target(&mut names, &request.target);
        names.message(&request.headers, &request.body.bytes);
        for answer in answers {
            hide::parts(&mut names, &answer.reason, ViewEncoding::Plain);
            names.message(&answer.headers, &answer.body.bytes);
        }
        let found = names.found.into_inner();
        let known = (!found.is_empty()).then(|| {
            let forms = found.iter().map(|(secret, _)| Rc::new(Forms::of(secret, secret)));
            let masks = found.iter().map(|(_, mask)| String::from_utf8_lossy(mask).into_owned());
            (Repeated::of(forms.collect()), masks.collect())
        });
        Self { known }
    }

    /// The text without the secrets.
    pub fn hide(&self, text: &mut String) {
        if let Some((secrets, masks)) = &self.known {
            secrets.masked(text, |number| &masks[number]);
        }
    }
}

/// Notes what would be masked.
struct Collector<'a> {
    masker: &'a Masker,
    found: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Collector<'_> {
    fn message(&mut self, headers: &Headers, bytes: &[u8]) {
        for (name, value) in headers.iter() {
            match names::header_secret(&String::from_utf8_lossy(name)) {
                Some(kind) => hide::whole(self, kind, value, ViewEncoding::Plain),
                None => hide::parts(self, value, ViewEncoding::Plain),
            };
        }
        if bytes.len() > LONGEST_BODY {
            return;
        }
        if let Ok(text) = content::decode(bytes, headers.all("content-encoding"), LONGEST_BODY) {
            body::redact(self, headers.get("content-type").unwrap_or_default(), &text);
        }
    }
}

impl Hide for Collector<'_> {
    const KEEPS_LENGTH: bool = false;

    fn hidden(&mut self, value: &[u8], source: &[u8]) -> Option<Vec<u8>> {
        let mask = Hide::hidden(&mut &*self.masker, value, source)?;
        let mut found = self.found.borrow_mut();
        let is_new = !found.iter().any(|(known, _)| known == value);
        if is_new && value.len() >= again::SHORTEST && found.len() < MOST {
            found.push((value.to_vec(), mask.clone()));
        }
        Some(mask)
    }

    fn noticed(&mut self, value: &[u8]) {
        let _ = self.hidden(value, value);
    }

    fn by_look(&self, value: &[u8]) -> Vec<(Range<usize>, SecretShape)> {
        self.masker.by_look(value)
    }

    /// Numbers of cards and accounts have the same look wherever they are shown.
    fn looks_for(&self, kinds: Kinds) -> bool {
        !kinds.has(Kinds::AT) && kinds != Kinds::DIGITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    #[test]
    fn what_is_named_once_is_hidden_wherever_it_is_shown() {
        let masker = Masker::new(b"key");
        let mut request = Request::default();
        request.headers.push(b"X-Api-Key", b"aYJYwY4azJ5oAPmg");
        // joe:pa55-of-joe
        request.headers.push(b"Authorization", b"Basic am9lOnBhNTUtb2Ytam9l");
        request.body = Body::whole(&br#"{"password":"hunter2hunter2"}"#[..]);
        let answer =
            Response { body: Body::whole(&b"token=s3cr3t-w0rd"[..]), ..Response::default() };
        let echoes = Echoes::of(&masker, &request, &[&answer]);
        let hidden = |text: &str| {
            let mut text = text.to_owned();
            echoes.hide(&mut text);
            text
        };
        for secret in ["aYJYwY4azJ5oAPmg", "hunter2hunter2", "s3cr3t-w0rd", "pa55-of-joe"] {
            assert_eq!(hidden(&format!("no {secret}!")), format!("no {}!", masker.secret(secret)));
        }
        assert!(!hidden("ayjywy4azj5oapmg.example").contains("ayjy"));
        let mask = |secret| masker.secret(secret);
        for text in [r"hunter2\u0068unter2", "%68unter2hunter2", "hunter2hunter2&#32;"] {
            assert_eq!(hidden(text).trim_end_matches("&#32;"), mask("hunter2hunter2"), "{text}");
        }
        assert_eq!(hidden("nothing of that"), "nothing of that");
        let off = Echoes::of(&Masker::off(), &request, &[]);
        let mut shown = "aYJYwY4azJ5oAPmg".to_owned();
        off.hide(&mut shown);
        assert_eq!(shown, "aYJYwY4azJ5oAPmg");
    }
}
