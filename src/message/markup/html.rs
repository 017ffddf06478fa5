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
use super::quick::{self, Tokens};
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
    let mut page = Page::new(S::KNOWN);
    if quick::read(text, &mut page).is_ok() {
        return page.builder.finish();
    }
    read_fully::<S>(text)
}

/// By the full tokenizer, whatever the text holds.
fn read_fully<S: Offset>(text: &str) -> Option<Tree> {
    let mut page = Page::new(S::KNOWN);
    let mut emitter = DefaultEmitter::<S>::new_with_span();
    emitter.naively_switch_states(false);
    let parts = Cell::new(0);
    let mut tokenizer = Tokenizer::new_with_emitter(Bounded::new(text, &parts), emitter);
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
        if page.failed() {
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
                if let Some(state) = page.start(&name, attributes, tag.self_closing) {
                    tokenizer.set_state(state);
                }
            }
            Token::EndTag(tag) => page.end(&String::from_utf8_lossy(&tag.name)),
            Token::String(string) => {
                page.text(&String::from_utf8_lossy(&string), from..string.span.end.place());
            }
            Token::Doctype(doctype) => page.doctype(&quick::doctype_text(&doctype)),
            Token::Comment(_) | Token::Error(_) => {}
        }
    }
    page.builder.finish()
}

/// Makes a tree of tokens.
struct Page {
    builder: Builder,
    part: OpenParts,
}

impl Page {
    fn new(placed: bool) -> Self {
        Self { builder: Builder::new(placed), part: OpenParts::Nothing }
    }
}

impl Tokens for Page {
    fn start(
        &mut self,
        name: &str,
        attributes: Vec<Attribute>,
        self_closing: bool,
    ) -> Option<State> {
        let Self { builder, part } = self;
        if matches!(name, "html" | "head" | "body") {
            enter(builder, part, name, attributes);
            return None;
        }
        enter(builder, part, name, Vec::new());
        end_before(builder, name);
        builder.start(name, attributes);
        let foreign = builder.open().any(|open| matches!(open, "svg" | "math"));
        if VOID.contains(&name) || self_closing && foreign {
            builder.end();
            return None;
        }
        naive_next_state(name.as_bytes()).filter(|state| *state != State::Data && !foreign)
    }

    fn end(&mut self, name: &str) {
        let Self { builder, part } = self;
        if matches!(name, "html" | "body") {
            return;
        }
        if name == "head" && *part == OpenParts::Head {
            *part = OpenParts::AfterHead;
        }
        let depth = builder.open().position(|open| open == name);
        if let Some(depth) = depth {
            for _ in 0..=depth {
                builder.end();
            }
        }
    }

    fn text(&mut self, text: &str, span: Range<usize>) {
        let Self { builder, part } = self;
        if builder.open().next().is_none_or(|open| matches!(open, "html" | "head")) {
            if text.trim_ascii().is_empty() {
                return;
            }
            enter(builder, part, "", Vec::new());
        }
        builder.text(text, span);
    }

    fn doctype(&mut self, text: &str) {
        self.builder.doctype(text);
    }

    fn failed(&self) -> bool {
        self.builder.failed()
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by(read: impl FnOnce(&mut Page) -> bool) -> Option<String> {
        let mut page = Page::new(true);
        read(&mut page).then(|| format!("{:?}", page.builder.finish()))
    }

    fn quickly(text: &str) -> Option<String> {
        by(|page| quick::read(text, page).is_ok())
    }

    #[test]
    fn usual_pages_are_read_quickly() {
        for text in [
            "<!doctype html><html lang=\"de\"><head><meta charset=\"utf-8\"><title>A &amp; B\
             </title>\n<link rel=stylesheet href=/a.css></head><body><p>Gr\u{f6}\u{df}e<br/>x\
             <a HREF='/x?a=1&amp;b=2'>1</a><input disabled name=csrf value=\"3f2a\"></body></html>",
            "<!-- a -- b --><div data-x='{\"a\":1}'></div>",
            "<script>if (a < b && c) { x = \"</p>\" }</script>text",
            "<svg><path d=\"M0\"/></svg><style>a > b {}</style>",
            "<ul><li>a<li>b</ul> 1 > 2",
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD\" 'x'>\r\n<p\r\nid=a>a\r\n b</p><pre>\r\n\r\n</pre>",
        ] {
            let quick = quickly(text);
            assert!(quick.is_some(), "{text}");
            assert_eq!(quick, Some(format!("{:?}", read_fully::<usize>(text))), "{text}");
        }
        for text in ["a < b", "<a b=c\"d>", "<a", "a\rb", "a\0b", "<?a>", "<!doctype"] {
            assert_eq!(quickly(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Whatever is read quickly is what the full tokenizer reads, and stands where it says.
        #[test]
        fn what_is_read_quickly_is_what_stands_there(
            parts in prop::collection::vec(prop_oneof![
                "[a-c &;<>/!='\"-]{1,4}",
                "<(/)?(a|b|P|tr|td|svg|title|script|textarea|style|head|body|html|br)( [a-cA-C]{1,2}(=('[^'\r]{0,5}'|\"[^\"]{0,5}\"|[a-z0-9/&]{1,4}))?){0,3} ?/?>",
                "<!--[a >!<-]{0,6}-->",
                "<!(doctype|DOCTYPE) ?(html|HTML)( (public|SYSTEM) ?['\"a-z>]{0,4})?>",
                "&(amp;|lt;|lt|copy|copy=|#65;|#x1;|nope;| |a)",
                "</(script|style|title|textarea)[ >/]{1,2}",
                "([ \n\t]|\r\n){1,3}",
                "[a-z\u{80}-\u{a0}\u{fdd0}\u{ffff}\u{1f600}\u{1}]{1,3}",
            ], 0..8),
        ) {
            let text = parts.concat();
            if let Some(quick) = quickly(&text) {
                prop_assert_eq!(quick, format!("{:?}", read_fully::<usize>(&text)));
            }
        }
    }
}
