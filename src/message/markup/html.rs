//! HTML by the tokenizer of the standard; the tree above its tokens is a plain one.
//!
//! Elements without content end at once, those whose end may be left out (`p`, `li`, `td` …) end
//! where the next of their kind starts, and `html`, `head` and `body` are there whether they are
//! written or not. Nothing else of the standard's tree construction is done: no element is moved.
//! Both sides are read by the same rules, so that this decides how a place is called and not
//! whether documents are equal.

use std::cell::Cell;
use std::ops::Range;

use html5gum::{DefaultEmitter, Span, SpanBound, State, Token, Tokenizer, naive_next_state};

use super::bounded::Bounded;
use super::tree::{Attribute, Builder, Tree};

/// Elements that have no content (HTML §13.1.2).
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];
/// What ends an open element of the first name: a start of one of the others.
const ENDED_BY: [(&str, &[&str]); 9] = [
    ("li", &["li"]),
    ("dt", &["dt", "dd"]),
    ("dd", &["dt", "dd"]),
    ("option", &["option", "optgroup"]),
    ("tr", &["tr", "tbody", "tfoot"]),
    ("td", &["td", "th", "tr", "tbody", "tfoot"]),
    ("th", &["td", "th", "tr", "tbody", "tfoot"]),
    (
        "p",
        &[
            "p",
            "div",
            "ul",
            "ol",
            "dl",
            "table",
            "section",
            "article",
            "form",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "pre",
            "blockquote",
            "header",
            "footer",
            "main",
            "nav",
            "aside",
            "address",
            "fieldset",
            "figure",
        ],
    ),
    ("thead", &["tbody", "tfoot"]),
];

/// Elements that stand in the head where there is no body yet.
const METADATA: [&str; 9] =
    ["base", "link", "meta", "noscript", "script", "style", "template", "title", "basefont"];

/// How far the parts that every document has are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenParts {
    Nothing,
    Html,
    Head,
    AfterHead,
    Body,
}

/// Where a token stands, or nothing.
trait Offset: SpanBound {
    /// Whether it is known.
    const KNOWN: bool;
    fn place(self) -> usize;
}

impl Offset for () {
    const KNOWN: bool = false;
    fn place(self) -> usize {
        0
    }
}

impl Offset for usize {
    const KNOWN: bool = true;
    fn place(self) -> usize {
        self
    }
}

/// Reads any text as HTML; none where it is too deep or too large, or a tag of it too long.
pub(crate) fn parse(text: &str) -> Option<Tree> {
    read::<()>(text)
}

/// The same with where everything stands.
pub(crate) fn parse_placed(text: &str) -> Option<Tree> {
    read::<usize>(text)
}

fn read<S: Offset>(text: &str) -> Option<Tree> {
    let mut builder = Builder::new(S::KNOWN);
    let mut emitter = DefaultEmitter::<S>::new_with_span();
    emitter.naively_switch_states(false);
    let parts = Cell::new(0);
    let mut tokenizer = Tokenizer::new_with_emitter(Bounded::new(text, &parts), emitter);
    let mut part = OpenParts::Nothing;
    // Where the token before ended: the tokenizer tells the start of a text in a script wrongly.
    let mut behind = 0;
    while let Some(token) = tokenizer.next() {
        let Ok(token) = token else { return None };
        parts.set(0);
        let from = behind;
        if S::KNOWN
            && let Some(end) = end_of(&token)
        {
            // A tag's place may leave out what closes it.
            behind = end + usize::from(text.as_bytes().get(end) == Some(&b'>'));
        }
        if builder.failed() {
            return None;
        }
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                let attributes = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| (boxed(name), boxed(value), value_span(text, value.span)))
                    .collect();
                if matches!(&*name, "html" | "head" | "body") {
                    enter(&mut builder, &mut part, &name, attributes);
                    continue;
                }
                enter(&mut builder, &mut part, &name, Vec::new());
                end_before(&mut builder, &name);
                builder.start(&name, attributes);
                let foreign = builder.open().any(|open| matches!(open, "svg" | "math"));
                if VOID.contains(&&*name) || tag.self_closing && foreign {
                    builder.end();
                } else if let Some(state) =
                    naive_next_state(&tag.name).filter(|state| *state != State::Data && !foreign)
                {
                    tokenizer.set_state(state);
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name);
                if matches!(&*name, "html" | "body") {
                    continue;
                }
                if name == "head" && part == OpenParts::Head {
                    part = OpenParts::AfterHead;
                }
                let depth = builder.open().position(|open| open == name);
                if let Some(depth) = depth {
                    for _ in 0..=depth {
                        builder.end();
                    }
                }
            }
            Token::String(string) => {
                if builder.open().next().is_none_or(|open| matches!(open, "html" | "head")) {
                    if string.trim_ascii().is_empty() {
                        continue;
                    }
                    enter(&mut builder, &mut part, "", Vec::new());
                }
                let span = from..string.span.end.place();
                builder.text(&String::from_utf8_lossy(&string), span);
            }
            Token::Doctype(doctype) => {
                // Its identifiers choose how a browser lays the page out.
                let mut text = String::from_utf8_lossy(&doctype.name).to_ascii_lowercase();
                for identifier in
                    [&doctype.public_identifier, &doctype.system_identifier].into_iter().flatten()
                {
                    text.push_str(&format!(" \"{}\"", String::from_utf8_lossy(identifier)));
                }
                builder.doctype(&text);
            }
            Token::Comment(_) | Token::Error(_) => {}
        }
    }
    builder.finish()
}

/// Where a token ends; none for one that is only a complaint.
fn end_of<S: Offset>(token: &Token<S>) -> Option<usize> {
    let span = match token {
        Token::StartTag(tag) => tag.span,
        Token::EndTag(tag) => tag.span,
        Token::String(string) => string.span,
        Token::Comment(comment) => comment.span,
        Token::Doctype(doctype) => doctype.span,
        Token::Error(_) => return None,
    };
    Some(span.end.place())
}

/// Where an attribute's value stands with its quotes; the tokenizer tells where the attribute does.
fn value_span<S: Offset>(text: &str, span: Span<S>) -> Range<u32> {
    let (start, end) = (span.start.place(), span.end.place().min(text.len()));
    let Some(written) = text.get(start..end) else { return 0..0 };
    let Some(equals) = written.find('=') else { return 0..0 };
    let value = written[equals + 1..].trim_start();
    let from = end - value.len();
    let length = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |at| at + 2),
        _ => value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len()),
    };
    from as u32..(from + length) as u32
}

fn boxed(text: &[u8]) -> Box<str> {
    String::from_utf8_lossy(text).into()
}

/// Opens the parts of the document in which `name` stands (a text has no name); `attributes` are
/// those of the part itself.
fn enter(builder: &mut Builder, part: &mut OpenParts, name: &str, attributes: Vec<Attribute>) {
    let own = |wanted: &str| if name == wanted { attributes.clone() } else { Vec::new() };
    if *part == OpenParts::Nothing {
        builder.start("html", own("html"));
        *part = OpenParts::Html;
    }
    if name == "html" {
        return;
    }
    let metadata = METADATA.contains(&name);
    if *part == OpenParts::Html && (name == "head" || metadata) {
        builder.start("head", own("head"));
        *part = OpenParts::Head;
    }
    // Within an element of the head (a `noscript`, a `template`) all is the head's.
    let stays = *part == OpenParts::Head && builder.open().next() != Some("head");
    if *part == OpenParts::Body
        || name == "head"
        || *part == OpenParts::Head && metadata
        || stays && name != "body"
    {
        return;
    }
    while builder.open().any(|open| open == "head") {
        builder.end();
    }
    builder.start("body", own("body"));
    *part = OpenParts::Body;
}

/// Ends the open elements that a start of `name` ends.
fn end_before(builder: &mut Builder, name: &str) {
    loop {
        let ended = |open: &str| {
            ENDED_BY.iter().any(|(element, by)| *element == open && by.contains(&name))
        };
        if !builder.open().next().is_some_and(ended) {
            return;
        }
        builder.end();
    }
}
