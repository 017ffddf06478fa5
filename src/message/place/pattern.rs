//! Places as people write them in rules: with `*` for any name or number, `..` for any number of
//! steps, and in all the spellings that were ever read.
//!
//! A pattern names what it leads to and all that stands under it. Beside the spelling in which
//! places are shown these are read: a dot for the colon (`query.page`), `json:$.a`,
//! `set-cookie:NAME`, `part NAME: $.a`, `/a/b@c`, `line 3`, a header field's bare name, and
//! `body.card`, which is a member of JSON as well as a field of a form.

use std::borrow::{Borrow, Cow};
use std::str::FromStr;

use super::{Place, Step, Trail};

/// A pattern of places.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Pattern {
    text: String,
    /// Any of these.
    ways: Vec<Vec<Want>>,
    any_case: bool,
}

/// What a step must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    /// This step; a `*` in its name stands for any characters where `open`, and a number of 0 for
    /// any number.
    Like { step: Step<'static>, open: bool },
    /// Any one step.
    Any,
    /// Any number of steps.
    Descend,
}

/// Stands for any number.
const ANY_NUMBER: usize = usize::MAX;

impl Pattern {
    /// A header field.
    pub fn header(name: &str) -> Self {
        Self::single(name, Step::Header(own(name)))
    }

    /// A cookie, sent or set.
    pub fn cookie(name: &str) -> Self {
        Self::single(name, Step::Cookie(own(name)))
    }

    /// A field of a form.
    pub fn form(name: &str) -> Self {
        Self::single(name, Step::Form(own(name)))
    }

    /// A JSONPath (RFC 9535) without filters, slices, unions and negative indices, over the steps
    /// below a document's root; none where it is another one.
    pub fn below_root(path: &str) -> Option<Self> {
        let text = path.trim();
        let mut wants = Vec::new();
        let rest = json(text.strip_prefix('$')?, &mut wants)?;
        rest.is_empty().then(|| Self { text: text.to_owned(), ways: vec![wants], any_case: false })
    }

    fn single(text: &str, step: Step<'static>) -> Self {
        let ways = vec![vec![Want::Like { step, open: false }]];
        Self { text: text.to_owned(), ways, any_case: false }
    }

    /// The same for names in any case.
    pub fn in_any_case(mut self) -> Self {
        self.any_case = true;
        self
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The only place that it leads to; none where it stands for several.
    pub fn place(&self) -> Option<Place> {
        let [way] = &self.ways[..] else { return None };
        let mut steps = Vec::with_capacity(way.len());
        for want in way {
            match want {
                Want::Like { step, open: true } if step.name().unwrap_or("").contains('*') => {
                    return None;
                }
                Want::Like { step: Step::Element(name, ANY_NUMBER), .. } => {
                    steps.push(Step::Element(name.clone(), 1));
                }
                Want::Like { step: Step::Text(ANY_NUMBER), .. } => steps.push(Step::Text(1)),
                Want::Like { step, .. } if step.number() != ANY_NUMBER => steps.push(step.clone()),
                _ => return None,
            }
        }
        Some(Place(steps))
    }

    /// Whether it leads to the place or to something that it stands under.
    pub fn covers(&self, at: &Trail<'_>) -> bool {
        self.covers_steps(&at.steps())
    }

    /// The same for a row of steps.
    pub fn covers_steps<'s>(&self, steps: &[impl Borrow<Step<'s>>]) -> bool {
        self.ways.iter().any(|way| leads(way, steps, self.any_case, true))
    }

    /// Whether it leads to the place of these steps itself.
    pub fn names_steps<'s>(&self, steps: &[impl Borrow<Step<'s>>]) -> bool {
        self.ways.iter().any(|way| leads(way, steps, self.any_case, false))
    }

    /// Whether any place in JSON, in a form, or in a body of another kind may be meant: then a body
    /// must be looked into.
    pub fn is_of_body(&self) -> bool {
        let outside = |way: &Vec<Want>| {
            matches!(
                way.first(),
                Some(Want::Like {
                    step: Step::Header(_)
                        | Step::Cookie(_)
                        | Step::Query(_)
                        | Step::Segment(_)
                        | Step::Status
                        | Step::Method,
                    ..
                })
            )
        };
        !self.ways.iter().all(outside)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `wants` lead to `steps`, or to something that it stands `under`. Patterns are short; the
/// recursion is bounded by the depth of the document.
fn leads<'s>(wants: &[Want], steps: &[impl Borrow<Step<'s>>], any_case: bool, under: bool) -> bool {
    match (wants.split_first(), steps.split_first()) {
        (None, None) => true,
        (None, Some((step, behind))) => {
            // One of several members of a name is still called so.
            under
                || matches!(step.borrow(), Step::Again(_)) && leads(wants, behind, any_case, under)
        }
        (Some((Want::Descend, rest)), _) => {
            (0..=steps.len()).any(|skip| leads(rest, &steps[skip..], any_case, under))
        }
        (Some(_), None) => false,
        (Some((want, rest)), Some((step, behind))) => {
            let step = step.borrow();
            want.is(step, any_case) && leads(rest, behind, any_case, under)
                || matches!(step, Step::Again(_)) && leads(wants, behind, any_case, under)
        }
    }
}

impl Want {
    fn is(&self, step: &Step<'_>, any_case: bool) -> bool {
        let Self::Like { step: wanted, open } = self else { return true };
        if let (Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_)) = (wanted, step) {
            return wanted.number() == ANY_NUMBER;
        }
        if wanted.sort() != step.sort() {
            return false;
        }
        let any_case = any_case || matches!(wanted, Step::Header(_));
        let number = wanted.number() == ANY_NUMBER || wanted.number() == step.number();
        number
            && match (wanted.name(), step.name()) {
                (Some(wanted), Some(name)) => is_named(wanted, name, *open, any_case),
                _ => true,
            }
    }
}

/// Whether `name` is what `wanted` says, in which `*` stands for any characters where `open`.
fn is_named(wanted: &str, name: &str, open: bool, any_case: bool) -> bool {
    if any_case {
        return is_named(&wanted.to_lowercase(), &name.to_lowercase(), open, false);
    }
    if !open || !wanted.contains('*') {
        return wanted == name;
    }
    let parts: Vec<&str> = wanted.split('*').collect();
    let [first, middle @ .., last] = &parts[..] else { return wanted == name };
    let Some(mut rest) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn own(name: &str) -> Cow<'static, str> {
    Cow::Owned(name.to_owned())
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = text.trim();
        let ways = ways(written).ok_or_else(|| {
            format!(
                "{text:?} is no place: write for example header:NAME, cookie:NAME, query:NAME, \
                 form:NAME, path[2], part:NAME, $.items[*].id or /order/@id"
            )
        })?;
        Ok(Self { text: written.to_owned(), ways, any_case: false })
    }
}

fn ways(text: &str) -> Option<Vec<Vec<Want>>> {
    if let Some(rest) = text.strip_prefix("response.") {
        if rest == "status" {
            return Some(vec![vec![like(Step::Status)]]);
        }
        return Some(vec![way(&format!("$.{rest}"))?]);
    }
    if let Some(rest) = text.strip_prefix("body.") {
        let form = vec![like(Step::Form(own(rest)))];
        return Some(match way(&format!("$.{rest}")) {
            Some(json) => vec![json, form],
            None => vec![form],
        });
    }
    Some(vec![way(text)?])
}

fn like(step: Step<'static>) -> Want {
    Want::Like { step, open: true }
}

fn way(text: &str) -> Option<Vec<Want>> {
    let mut wants = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        rest = document(rest, &mut wants)?.trim_start();
    }
    Some(wants)
}

/// Reads what stands between two blanks: steps into one thing.
fn document<'t>(text: &'t str, wants: &mut Vec<Want>) -> Option<&'t str> {
    let text = text.strip_prefix("json:").unwrap_or(text);
    if let Some(rest) = text.strip_prefix('$') {
        wants.push(like(Step::Root));
        return json(rest, wants);
    }
    if text.starts_with('/') {
        return markup(text, wants);
    }
    if let Some(rest) = text.strip_prefix('@') {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        wants.push(like(Step::Attribute(own(&rest[..end]))));
        return Some(&rest[end..]);
    }
    for (word, step) in [("status", Step::Status), ("method", Step::Method), ("body", Step::Body)] {
        if let Some(rest) = word_end(text, word) {
            wants.push(like(step));
            return Some(rest);
        }
    }
    let numbered: [(&str, fn(usize) -> Step<'static>); 4] = [
        ("path", Step::Segment),
        ("line", Step::Line),
        ("event", Step::Event),
        ("part", Step::PartAt),
    ];
    for (word, step) in numbered {
        if let Some((number, rest)) = counted(text, word) {
            wants.push(like(step(number)));
            return Some(rest);
        }
    }
    let named: [(&str, fn(Cow<'static, str>) -> Step<'static>); 7] = [
        ("query", Step::Query),
        ("header", Step::Header),
        ("set-cookie", Step::Cookie),
        ("cookie", Step::Cookie),
        ("form", Step::Form),
        ("field", Step::Form),
        ("part", Step::Part),
    ];
    for (word, step) in named {
        let Some(rest) = text.strip_prefix(word) else { continue };
        if let Some(rest) = rest.strip_prefix([':', '.']) {
            return named_step(rest, step, wants);
        }
        // `part NAME: $.a`
        if word == "part"
            && let Some((name, behind)) =
                rest.strip_prefix(' ').and_then(|rest| rest.split_once(": "))
        {
            wants.push(match name.parse() {
                Ok(number) => like(Step::PartAt(number)),
                Err(_) => like(Step::Part(own(name))),
            });
            return Some(behind);
        }
    }
    bare_header(text, wants)
}

/// A header field's name alone, as reports show it.
fn bare_header<'t>(text: &'t str, wants: &mut Vec<Want>) -> Option<&'t str> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) || !wants.is_empty() {
        return None;
    }
    wants.push(like(Step::Header(own(name))));
    Some(rest)
}

/// What follows a word that stands alone.
fn word_end<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(word)?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
}

/// `word[3]`, `word[*]` or `word 3`.
fn counted<'t>(text: &'t str, word: &str) -> Option<(usize, &'t str)> {
    let rest = text.strip_prefix(word)?;
    if let Some(inside) = rest.strip_prefix('[') {
        let (number, rest) = inside.split_once(']')?;
        return Some((if number == "*" { ANY_NUMBER } else { number.parse().ok()? }, rest));
    }
    let inside = rest.strip_prefix(' ')?;
    let end = inside.find(|c: char| !c.is_ascii_digit()).unwrap_or(inside.len());
    let behind = &inside[end..];
    (behind.is_empty() || behind.starts_with(' '))
        .then_some(())
        .and_then(|()| Some((inside[..end].parse().ok()?, behind)))
}

/// A name in quotes or up to a blank, perhaps with an attribute behind a semicolon.
fn named_step<'t>(
    text: &'t str,
    step: fn(Cow<'static, str>) -> Step<'static>,
    wants: &mut Vec<Want>,
) -> Option<&'t str> {
    if text.starts_with(['\'', '"']) {
        let (name, rest) = in_quotes(text)?;
        wants.push(Want::Like { step: step(name.into()), open: false });
        return Some(rest);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (name, attribute) = match name.split_once(';') {
        Some((name, attribute)) => (name, Some(attribute)),
        None => (name, None),
    };
    // `query.b[1]`: which of several says nothing, their order does not count.
    let name = name
        .strip_suffix(']')
        .and_then(|name| name.rsplit_once('['))
        .filter(|(_, index)| index.parse::<usize>().is_ok())
        .map_or(name, |(name, _)| name);
    if name.is_empty() {
        return None;
    }
    wants.push(like(step(own(name))));
    wants.extend(attribute.map(|name| like(Step::Attribute(own(name)))));
    Some(rest)
}

/// What stands in quotes, escapes undone, and what follows.
fn in_quotes(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    let mut name = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'u' => {
                    let code: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    name.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                'b' => name.push('\u{8}'),
                'f' => name.push('\u{c}'),
                'n' => name.push('\n'),
                'r' => name.push('\r'),
                't' => name.push('\t'),
                c => name.push(c),
            },
            c if c == quote => return Some((name, &text[1 + at + 1..])),
            c => name.push(c),
        }
    }
    None
}

/// The steps of a JSONPath (RFC 9535) without filters, slices, unions and negative indices.
fn json<'t>(text: &'t str, wants: &mut Vec<Want>) -> Option<&'t str> {
    let mut rest = text;
    loop {
        if let Some(behind) = rest.strip_prefix("..") {
            wants.push(Want::Descend);
            rest = if behind.starts_with('[') { behind } else { shorthand(behind, wants)? };
        } else if let Some(behind) = rest.strip_prefix('.') {
            rest = shorthand(behind, wants)?;
        } else if let Some(behind) = rest.strip_prefix('[') {
            rest = bracket(behind.trim_start(), wants)?;
        } else if let Some(behind) = rest.strip_prefix('~') {
            wants.push(like(Step::Key));
            rest = behind;
        } else if let Some((number, behind)) = again(rest) {
            wants.push(like(Step::Again(number)));
            rest = behind;
        } else {
            return (rest.is_empty() || rest.starts_with(' ')).then_some(rest);
        }
    }
}

fn again(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.strip_prefix('(')?.split_once(')')?;
    Some((number.parse().ok()?, rest))
}

fn shorthand<'t>(text: &'t str, wants: &mut Vec<Want>) -> Option<&'t str> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '*' || c == '-' || !c.is_ascii();
    let end = text.find(|c: char| !part(c)).unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    wants.push(match &text[..end] {
        "*" => Want::Any,
        name => like(Step::Name(own(name))),
    });
    Some(&text[end..])
}

fn bracket<'t>(text: &'t str, wants: &mut Vec<Want>) -> Option<&'t str> {
    let rest = if text.starts_with(['\'', '"']) {
        let (name, rest) = in_quotes(text)?;
        wants.push(Want::Like { step: Step::Name(name.into()), open: false });
        rest
    } else if let Some(rest) = text.strip_prefix('*') {
        wants.push(Want::Any);
        rest
    } else {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        wants.push(like(Step::Index(text[..end].parse().ok()?)));
        &text[end..]
    };
    rest.trim_start().strip_prefix(']')
}

/// `/a/b[2]/@c`, `/a/b/text()`, `/a/b@c`, `/a/*`.
fn markup<'t>(text: &'t str, wants: &mut Vec<Want>) -> Option<&'t str> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    for step in path[1..].split('/') {
        if step.is_empty() {
            wants.push(Want::Descend);
            continue;
        }
        let (element, attribute) = match step.split_once('@') {
            Some((element, attribute)) => (element, Some(attribute)),
            None => (step, None),
        };
        if !element.is_empty() {
            wants.push(element_step(element)?);
        }
        wants.extend(attribute.map(|name| match name {
            "*" => Want::Any,
            name => like(Step::Attribute(own(name))),
        }));
    }
    Some(rest)
}

fn element_step(text: &str) -> Option<Want> {
    let (name, number) = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        Some((name, "*")) => (name, ANY_NUMBER),
        Some((name, number)) => (name, number.parse().ok()?),
        None => (text, ANY_NUMBER),
    };
    Some(match name {
        "*" => Want::Any,
        "text()" => like(Step::Text(number)),
        "namespace()" => like(Step::Namespace),
        // Reports show a prefix where there is one; a place has none.
        name => like(Step::Element(own(name.rsplit(':').next()?), number)),
    })
}
