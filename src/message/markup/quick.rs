//! The tokens of HTML as nearly all pages write them, cut out of the text at once.
//!
//! Plain tags, values in quotes, texts, comments, scripts and styles. Whatever else stands there (a
//! stray `<`, a broken tag, NUL) ends the reading, and the whole text is left to the full tokenizer,
//! as are the type of the document and the characters that references stand for. What is read is
//! the same either way.

use std::ops::Range;

use html5gum::{Doctype, SpanBound, State, Token, Tokenizer};
use memchr::{memchr, memmem};

use super::tree::Attribute;

/// Attributes of one tag beyond which it is left to the full tokenizer, which has a bound of its
/// own.
const ATTRIBUTES: usize = 64;

/// Takes tokens, in their order.
pub(super) trait Tokens {
    /// A start tag. Gives the state in which what follows is read, where that is not the usual one.
    fn start(
        &mut self,
        name: &str,
        attributes: Vec<Attribute>,
        self_closing: bool,
    ) -> Option<State>;
    fn end(&mut self, name: &str);
    /// A text and where it stands.
    fn text(&mut self, text: &str, span: Range<usize>);
    fn doctype(&mut self, text: &str);
    /// Whether there is no use in going on.
    fn failed(&self) -> bool;
}

/// The text was not read to its end.
pub(super) struct Unusual;

/// Reads all of a text.
pub(super) fn read(text: &str, tokens: &mut impl Tokens) -> Result<(), Unusual> {
    let mut quick = Quick { text, bytes: text.as_bytes(), at: 0 };
    // A line may end with two bytes; a carriage return alone is a line's end as well.
    let mut returns = memchr::memchr_iter(b'\r', quick.bytes);
    let is_alone = |at: usize| quick.bytes.get(at + 1) != Some(&b'\n');
    if memchr(0, quick.bytes).is_some() || returns.any(is_alone) {
        return Err(Unusual);
    }
    while quick.at < quick.bytes.len() && !tokens.failed() {
        quick.token(tokens)?;
    }
    Ok(())
}

struct Quick<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

impl<'t> Quick<'t> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn token(&mut self, tokens: &mut impl Tokens) -> Result<(), Unusual> {
        if self.peek(0) != Some(b'<') {
            let rest = &self.bytes[self.at..];
            let end = self.at + memchr(b'<', rest).unwrap_or(rest.len());
            return self.said(end, tokens);
        }
        match (self.peek(1), self.peek(2)) {
            (Some(letter), _) if letter.is_ascii_alphabetic() => {
                self.at += 1;
                self.start_tag(tokens)
            }
            (Some(b'/'), Some(letter)) if letter.is_ascii_alphabetic() => {
                self.at += 2;
                let name = self.name()?;
                self.blanks();
                self.expect(b'>')?;
                tokens.end(&name);
                Ok(())
            }
            (Some(b'!'), Some(b'-')) => self.comment(),
            (Some(b'!'), Some(b'd' | b'D')) => self.doctype(tokens),
            _ => Err(Unusual),
        }
    }

    /// The text up to `end`, with what its references stand for.
    fn said(&mut self, end: usize, tokens: &mut impl Tokens) -> Result<(), Unusual> {
        let (span, raw) = (self.at..end, &self.text[self.at..end]);
        // Errors that the tokenizer tells cut a text in two, and the end of a tag before one that
        // begins so would not be found.
        if raw.starts_with('>') || !is_usual(raw.as_bytes()) {
            return Err(Unusual);
        }
        self.at = end;
        if memchr(b'&', raw.as_bytes()).is_none() {
            tokens.text(raw, span);
            return Ok(());
        }
        let mut read = Tokenizer::new(raw);
        match (read.next(), read.next()) {
            (Some(Ok(Token::String(text))), None) => {
                tokens.text(&String::from_utf8_lossy(&text), span);
                Ok(())
            }
            _ => Err(Unusual),
        }
    }

    /// A name in small letters.
    fn name(&mut self) -> Result<std::borrow::Cow<'t, str>, Unusual> {
        let rest = &self.bytes[self.at..];
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_:.@".contains(byte);
        let length = rest.iter().take_while(|byte| is_of_name(byte)).count();
        if length == 0 {
            return Err(Unusual);
        }
        let name = &self.text[self.at..self.at + length];
        self.at += length;
        Ok(match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => name.to_ascii_lowercase().into(),
            false => name.into(),
        })
    }

    fn blanks(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| is_blank(**byte)).count();
        self.at += count;
        count > 0
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unusual> {
        if self.peek(0) != Some(byte) {
            return Err(Unusual);
        }
        self.at += 1;
        Ok(())
    }

    fn start_tag(&mut self, tokens: &mut impl Tokens) -> Result<(), Unusual> {
        let name = self.name()?;
        let mut attributes: Vec<Attribute> = Vec::new();
        let self_closing = loop {
            let blanks = self.blanks();
            match self.peek(0) {
                Some(b'>') => break false,
                Some(b'/') => {
                    self.at += 1;
                    if self.peek(0) != Some(b'>') {
                        return Err(Unusual);
                    }
                    break true;
                }
                _ if !blanks || attributes.len() >= ATTRIBUTES => return Err(Unusual),
                _ => {
                    let attribute = self.attribute()?;
                    // The first of one name counts.
                    if attributes.iter().all(|known| known.0 != attribute.0) {
                        attributes.push(attribute);
                    }
                }
            }
        };
        self.expect(b'>')?;
        match tokens.start(&name, attributes, self_closing) {
            None => Ok(()),
            Some(State::RawText | State::ScriptData) => self.raw(&name, tokens),
            Some(State::RcData) => self.titled(&name, tokens),
            Some(_) => Err(Unusual),
        }
    }

    fn attribute(&mut self) -> Result<Attribute, Unusual> {
        let name = self.name()?;
        if self.peek(0) != Some(b'=') {
            // A blank before the sign is rare.
            let is_alone = match self.peek(0) {
                Some(b'>' | b'/') => true,
                Some(byte) => {
                    let behind = self.bytes[self.at..].iter().find(|byte| !is_blank(**byte));
                    is_blank(byte) && behind.is_some_and(|byte| *byte != b'=')
                }
                None => false,
            };
            return if is_alone { Ok((name.into(), "".into(), 0..0)) } else { Err(Unusual) };
        }
        self.at += 1;
        let from = self.at;
        let value = match self.peek(0) {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                let length = memchr(quote, &self.bytes[self.at..]).ok_or(Unusual)?;
                let value = &self.text[self.at..self.at + length];
                self.at += length + 1;
                value
            }
            Some(_) => {
                let rest = &self.bytes[self.at..];
                let is_of_value = |byte: &u8| {
                    byte.is_ascii_graphic()
                        && !matches!(byte, b'"' | b'\'' | b'<' | b'=' | b'`' | b'>')
                };
                let length = rest.iter().take_while(|byte| is_of_value(byte)).count();
                let value = &self.text[self.at..self.at + length];
                self.at += length;
                // Blank or end; another byte makes more of it.
                let ends = self.peek(0).is_some_and(|byte| is_blank(byte) || byte == b'>');
                if length == 0 || !ends {
                    return Err(Unusual);
                }
                value
            }
            None => return Err(Unusual),
        };
        let span = if value.is_empty() { 0..0 } else { from as u32..self.at as u32 };
        let value = if memchr::memchr2(b'&', b'\r', value.as_bytes()).is_some() {
            referred(value)?
        } else {
            value.into()
        };
        Ok((name.into(), value, span))
    }

    /// The text of a script or a style, up to the tag that ends it.
    fn raw(&mut self, name: &str, tokens: &mut impl Tokens) -> Result<(), Unusual> {
        let end = self.end_of(name)?;
        let raw = &self.text[self.at..end];
        // A script in a comment may hold the tag that ends it.
        if memmem::find(raw.as_bytes(), b"<!--").is_some() || !is_usual(raw.as_bytes()) {
            return Err(Unusual);
        }
        if !raw.is_empty() {
            tokens.text(raw, self.at..end);
        }
        self.at = end;
        Ok(())
    }

    /// The text of a title or a text area: with references, and no tags.
    fn titled(&mut self, name: &str, tokens: &mut impl Tokens) -> Result<(), Unusual> {
        let end = self.end_of(name)?;
        if memchr(b'<', &self.bytes[self.at..end]).is_some() {
            return Err(Unusual);
        }
        if end == self.at { Ok(()) } else { self.said(end, tokens) }
    }

    /// Where the end tag of this name begins.
    fn end_of(&self, name: &str) -> Result<usize, Unusual> {
        let rest = &self.bytes[self.at..];
        let found = memmem::find_iter(rest, b"</").find(|at| {
            let behind = &rest[at + 2..];
            behind.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name.as_bytes()))
                && behind
                    .get(name.len())
                    .is_some_and(|byte| is_blank(*byte) || b"/>".contains(byte))
        });
        found.map(|at| self.at + at).ok_or(Unusual)
    }

    fn comment(&mut self) -> Result<(), Unusual> {
        const OPEN: &[u8] = b"<!--";
        let rest = &self.bytes[self.at..];
        let within = rest.strip_prefix(OPEN).ok_or(Unusual)?;
        let end = memmem::find(within, b"-->").ok_or(Unusual)?;
        let said = &within[..end];
        // An empty one may end early, and `--!>` ends one as well.
        if within.starts_with(b">")
            || within.starts_with(b"->")
            || memmem::find(&within[..end + 1], b"--!").is_some()
            || said.ends_with(b"<!-")
        {
            return Err(Unusual);
        }
        self.at += OPEN.len() + end + b"-->".len();
        Ok(())
    }

    fn doctype(&mut self, tokens: &mut impl Tokens) -> Result<(), Unusual> {
        let rest = &self.text[self.at..];
        // Whatever stands there, also in quotes, this ends it.
        let end = memchr(b'>', rest.as_bytes()).ok_or(Unusual)? + 1;
        let is_said = |token: &Result<Token, _>| !matches!(token, Ok(Token::Error(_)));
        let mut read = Tokenizer::new(&rest[..end]).filter(is_said);
        let (Some(Ok(Token::Doctype(doctype))), None) = (read.next(), read.next()) else {
            return Err(Unusual);
        };
        self.at += end;
        tokens.doctype(&doctype_text(&doctype));
        Ok(())
    }
}

/// A document's type with its identifiers, which choose how a browser lays the page out.
pub(super) fn doctype_text<S: SpanBound>(doctype: &Doctype<S>) -> String {
    let mut text = String::from_utf8_lossy(&doctype.name).to_ascii_lowercase();
    for identifier in [&doctype.public_identifier, &doctype.system_identifier].into_iter().flatten()
    {
        text.push_str(&format!(" \"{}\"", String::from_utf8_lossy(identifier)));
    }
    text
}

/// Whether a text holds nothing that the full tokenizer calls an error: control characters and
/// code points that are no characters.
fn is_usual(text: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte < b' ' && !is_blank(*byte) || *byte == 0x7f;
    if text.iter().any(is_control) {
        return false;
    }
    if text.is_ascii() {
        return true;
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.chars().all(|c| {
        let code = u32::from(c);
        !(0x80..0xa0).contains(&code)
            && !(0xfdd0..0xfdf0).contains(&code)
            && code & 0xfffe != 0xfffe
    })
}

/// The value of an attribute, with what its references stand for.
fn referred(value: &str) -> Result<Box<str>, Unusual> {
    let quote = if value.contains('"') { '\'' } else { '"' };
    if value.contains(quote) {
        return Err(Unusual);
    }
    let tag = format!("<a b={quote}{value}{quote}>");
    let tag = Tokenizer::new(&*tag).find_map(|token| match token {
        Ok(Token::StartTag(tag)) => Some(tag),
        _ => None,
    });
    let value = tag.and_then(|tag| tag.attributes.into_values().next()).ok_or(Unusual)?;
    Ok(String::from_utf8_lossy(&value).into())
}
