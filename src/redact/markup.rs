//! Secrets in HTML and XML: everything below an element of a secret's name, attributes of one,
//! inputs of forms, and what is known by its look. Reads tags, not documents, so that damaged and
//! cut ones are searched too.

use std::ops::Range;

use super::drawn;
use super::edits::Edits;
use super::hide::{self, Hide};
use super::marks::Marks;
use super::names::HeaderSecret;
use super::view::{View, ViewEncoding};

/// Whether there is a tag in it: at its start, or with one that closes another. A password may hold
/// `<` and `>` as well.
pub(super) fn looks_like_it(content: &[u8]) -> bool {
    let starts = content.trim_ascii_start().starts_with(b"<");
    let mut is_tagged = false;
    memchr::memchr_iter(b'<', content).any(|at| {
        let Some(next) = content.get(at + 1) else { return false };
        is_tagged |= next.is_ascii_alphabetic();
        matches!(next, b'/' | b'!' | b'?') || is_tagged && starts
    }) || is_tagged && memchr::memmem::find(content, b"/>").is_some()
}

/// Elements whose text is the name of what the next element holds: of property lists and XML-RPC.
const NAMES: [&str; 4] = ["key", "name", "field", "property"];

/// The content with its secrets replaced; none where there are none.
pub(super) fn redact(hide: &mut impl Hide, content: &[u8]) -> Option<Vec<u8>> {
    let marks = Marks::of(hide, content);
    if marks.is_empty() && content.is_ascii() {
        return None;
    }
    let mut walk = SecretMarkupWalk {
        content,
        marks,
        edits: Edits::new(content),
        inside: None,
        named: None,
        label: None,
        holds_value: false,
        table: Table::default(),
    };
    let mut at = 0;
    while at < content.len() {
        let open = memchr::memchr(b'<', &content[at..]).map_or(content.len(), |found| at + found);
        walk.text(hide, at..open);
        if open == content.len() {
            break;
        }
        let close =
            memchr::memchr(b'>', &content[open..]).map_or(content.len(), |found| open + found);
        at = walk.tag(hide, open + 1..close);
    }
    walk.edits.finish()
}

struct SecretMarkupWalk<'a> {
    content: &'a [u8],
    marks: Marks,
    edits: Edits<'a>,
    /// The element of a secret's name that is open, how its text is secret, and how many of that
    /// name are open.
    inside: Option<(&'a [u8], HeaderSecret, usize)>,
    /// The text of an element named what the next one holds.
    named: Option<HeaderSecret>,
    /// The text before is the name of a secret: `<th>Password</th><td>…`, `<b>Token:</b> …`.
    label: Option<HeaderSecret>,
    /// The element that was opened last is one for values.
    holds_value: bool,
    table: Table,
}

/// Where in a table of a page the walk is.
#[derive(Default)]
struct Table {
    /// How the columns are secret by their heads.
    columns: Vec<Option<HeaderSecret>>,
    rows: usize,
    /// Cells of this row so far.
    cells: usize,
    /// Whether the open cell is one of a head.
    head: Option<bool>,
}

impl Table {
    fn open(&mut self, name: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("table") {
            *self = Self::default();
        } else if is("tr") {
            (self.rows, self.cells, self.head) = (self.rows + 1, 0, None);
        } else if is("th") || is("td") {
            self.cells += 1;
            self.head = Some(is("th") || self.rows == 1);
        }
    }

    fn close(&mut self, name: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("th") || is("td") || is("tr") || is("table") {
            self.head = None;
        }
    }

    /// The open cell names its column.
    fn name(&mut self, kind: HeaderSecret) {
        if self.head == Some(true) && self.cells <= MOST_COLUMNS {
            self.columns.resize(self.columns.len().max(self.cells), None);
            self.columns[self.cells - 1] = Some(kind);
        }
    }

    /// How the open cell is secret by its column.
    fn column(&self) -> Option<HeaderSecret> {
        let column = self.cells.checked_sub(1).filter(|_| self.head == Some(false))?;
        self.columns.get(column).copied().flatten()
    }
}

/// Most columns of a table whose heads are remembered.
const MOST_COLUMNS: usize = 1 << 10;
/// Elements that hold values.
const VALUES: [&str; 9] = ["td", "dd", "code", "pre", "kbd", "samp", "output", "var", "data"];

impl<'a> SecretMarkupWalk<'a> {
    fn text(&mut self, hide: &mut impl Hide, range: Range<usize>) {
        let text = &self.content[range.clone()];
        if text.trim_ascii().is_empty() {
            return;
        }
        let (has_look, has_name) = self.marks.has_look(self.content, &range);
        let labelled = self.label.take().or_else(|| self.table.column()).filter(|_| {
            let is_value = if self.holds_value { drawn::in_cell } else { drawn::in_text };
            self.inside.is_none() && is_value(text)
        });
        let new = match self.inside.map(|(_, kind, _)| kind).or(labelled) {
            Some(kind) => {
                // The blanks around it are none of it.
                let start = range.start + text.len() - text.trim_ascii_start().len();
                let inner = start..start + text.trim_ascii().len();
                let value = &self.content[inner.clone()];
                let new = hide::whole(hide, kind, value, ViewEncoding::Markup);
                if labelled.is_some() {
                    self.edits.put(&inner, new);
                    return;
                }
                hide::whole(hide, kind, text, ViewEncoding::Markup)
            }
            None if has_look => hide::parts(hide, text, ViewEncoding::Markup),
            None => None,
        };
        if has_name && self.inside.is_none() {
            self.label = label(hide, text);
            self.label.iter().for_each(|&kind| self.table.name(kind));
        }
        self.named = None;
        if has_name && self.inside.is_none() && self.is_in_name(range.start) {
            let name = std::str::from_utf8(text.trim_ascii()).unwrap_or_default();
            self.named = hide.field(name);
        }
        self.edits.put(&range, new);
    }

    /// Whether the element that ends before `at` holds a name.
    fn is_in_name(&self, at: usize) -> bool {
        let before = &self.content[at.saturating_sub(12)..at];
        NAMES.iter().any(|name| {
            before.strip_suffix(b">").is_some_and(|tag| {
                let from = tag.len().checked_sub(name.len() + 1);
                from.is_some_and(|from| {
                    tag[from] == b'<' && tag[from + 1..].eq_ignore_ascii_case(name.as_bytes())
                })
            })
        })
    }

    /// One tag, without its brackets. Answers where the text behind it begins.
    fn tag(&mut self, hide: &mut impl Hide, tag: Range<usize>) -> usize {
        let content = self.content;
        let behind = (tag.end + 1).min(content.len());
        if let Some(end) = content[tag.clone()].strip_prefix(b"![CDATA[") {
            // Text, which ends with `]]>` and not with the first `>`.
            let start = tag.end - end.len();
            let end = memchr::memmem::find(&content[start..], b"]]>")
                .map_or(content.len(), |found| start + found);
            let text = &content[start..end];
            let new = match self.inside {
                Some((_, kind, _)) => hide::whole(hide, kind, text, ViewEncoding::Plain),
                None => hide::parts(hide, text, ViewEncoding::Plain),
            };
            self.edits.put(&(start..end), new);
            return (end + 3).min(content.len());
        }
        if content.get(tag.start) == Some(&b'/') {
            let name = content[tag.start + 1..tag.end].trim_ascii();
            self.table.close(name);
            if let Some((open, _, depth)) = &mut self.inside
                && open.eq_ignore_ascii_case(name)
            {
                *depth -= 1;
                if *depth == 0 {
                    self.inside = None;
                }
            }
            return behind;
        }
        let name_end = content[tag.clone()]
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || *byte == b'/');
        let name = &content[tag.start..tag.start + name_end.unwrap_or(tag.len())];
        if matches!(name.first(), Some(b'!' | b'?')) {
            // Comments and declarations.
            if self.marks.has_look(content, &tag).0 {
                let new = hide::parts(hide, &content[tag.clone()], ViewEncoding::Plain);
                self.edits.put(&tag, new);
            }
            return behind;
        }
        self.element(hide, name, tag);
        behind
    }

    fn element(&mut self, hide: &mut impl Hide, name: &'a [u8], tag: Range<usize>) {
        let content = self.content;
        self.table.open(name);
        self.holds_value = VALUES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        let by_name = hide.field(local(name));
        let all = self.inside.map(|(_, kind, _)| kind).or(by_name);
        let range = tag.start + name.len()..tag.end;
        let field = self.attributes(hide, name, range, all);
        let is_empty = content[tag].ends_with(b"/") || is_void(name);
        let secret = by_name.or(field).or(self.named.take());
        match (&mut self.inside, secret) {
            (Some((open, _, depth)), _) if open.eq_ignore_ascii_case(name) && !is_empty => {
                *depth += 1;
            }
            (None, Some(kind)) if !is_empty => self.inside = Some((name, kind, 1)),
            _ => {}
        }
    }

    /// The attributes of one tag; of an element that is `all` secret each of them. Answers how the
    /// element's text is secret by them.
    fn attributes(
        &mut self,
        hide: &mut impl Hide,
        element: &[u8],
        range: Range<usize>,
        all: Option<HeaderSecret>,
    ) -> Option<HeaderSecret> {
        let content = self.content;
        let found = attributes(content, range);
        // <input name="csrf_token" value="…">, <input type=password value=…>
        let is_around = |known: &&str| element.eq_ignore_ascii_case(known.as_bytes());
        let holds_text = !CONTAINERS.iter().any(is_around);
        let mut announced = None;
        let field = found.iter().find_map(|(name, value)| {
            let value = View::new(&content[value.clone()], ViewEncoding::Markup);
            let value = std::str::from_utf8(&value.bytes).ok()?;
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("type") || is("autocomplete") {
                let value = value.to_ascii_lowercase();
                let is_secret = value == "password"
                    || value.split_ascii_whitespace().any(|word| AUTOCOMPLETE.contains(&word));
                return is_secret.then_some(HeaderSecret::Whole);
            }
            let names = is("name") || is("id") || is("key") || is("property") || is("itemprop");
            let names = names || is("data-name") || is("data-key") || is("data-field");
            names.then(|| hide.form_field(value)).flatten()
        });
        let is_input = element.eq_ignore_ascii_case(b"input");
        let label = if is_input { self.label.take() } else { None };
        for (name, value) in &found {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            let is_value = is("value") || is("content") || is("data-value") || is("val");
            let is_label = is("name") || is("id") || is("key") || is("type") || is("for");
            let is_namespace = name.starts_with(b"xmlns");
            let secret = all
                .filter(|_| !(is_namespace || is_label && is_void(element)))
                .or_else(|| hide.field(local(name)))
                .or(field.filter(|_| is_value));
            let text = &content[value.clone()];
            let secret = secret.or(label.filter(|_| is_value && drawn::in_cell(text)));
            let new = match secret {
                Some(kind) => hide::whole(hide, kind, text, ViewEncoding::Markup),
                None => {
                    let (has_look, has_name) = self.marks.has_look(content, value);
                    if has_name && is("class") {
                        announced = announced.or_else(|| class(hide, text));
                    }
                    if has_look { hide::parts(hide, text, ViewEncoding::Markup) } else { None }
                }
            };
            self.edits.put(value, new);
        }
        // `<span id=password>VALUE</span>`, `<b class="api-key">VALUE</b>`: of what is made for
        // people the text is secret only where it looks so.
        let announced = announced.or(field.filter(|_| !holds_text));
        let announced = announced.filter(|kind| *kind == HeaderSecret::Whole);
        if announced.is_some() && !is_input {
            self.label = announced;
        }
        field.filter(|_| holds_text)
    }
}

/// How the text of an element of these classes is secret.
fn class(hide: &impl Hide, names: &[u8]) -> Option<HeaderSecret> {
    let names = std::str::from_utf8(names).ok()?;
    names.split_ascii_whitespace().find_map(|name| hide.field(name))
}

/// How what a text announces is secret: it is nothing but a name, or ends in one: `Password`,
/// `API key:`, `Your password is`.
fn label(hide: &impl Hide, text: &[u8]) -> Option<HeaderSecret> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let name = text.trim_end_matches([':', '=']).trim_end();
    let name = name.strip_suffix(" is").unwrap_or(name);
    let is_name = name.len() <= LONGEST_LABEL
        && name.split_ascii_whitespace().count() <= 4
        && !name.contains(['?', '!', '.', ',', '=', ':', '(']);
    is_name.then(|| hide.field(name)).flatten()
}

/// Longest text that names what follows it, in bytes.
const LONGEST_LABEL: usize = 48;

/// Elements of HTML whose text is for people, or is a program, whatever their name.
const CONTAINERS: [&str; 36] = [
    "a", "article", "aside", "b", "body", "button", "div", "dt", "em", "fieldset", "footer",
    "form", "h1", "h2", "h3", "h4", "header", "html", "i", "iframe", "label", "legend", "li",
    "main", "nav", "ol", "p", "script", "section", "select", "span", "strong", "style", "table",
    "tr", "ul",
];

/// What browsers fill secrets in by.
const AUTOCOMPLETE: [&str; 5] =
    ["current-password", "new-password", "one-time-code", "cc-number", "cc-csc"];

/// Elements of HTML that have no text.
fn is_void(name: &[u8]) -> bool {
    ["input", "meta", "br", "img", "link", "hr", "source"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The name without its prefix.
fn local(name: &[u8]) -> &str {
    let name = std::str::from_utf8(name).unwrap_or_default();
    name.rsplit(':').next().unwrap_or(name)
}

/// Names and values of the attributes of one tag.
fn attributes(content: &[u8], range: Range<usize>) -> Vec<(&[u8], Range<usize>)> {
    let mut found: Vec<(&[u8], Range<usize>)> = Vec::new();
    let mut at = range.start;
    while let Some(equals) = memchr::memchr(b'=', &content[at..range.end]).map(|found| at + found) {
        let name = content[at..equals].trim_ascii_end();
        let name = &name[name
            .iter()
            .rposition(|byte| byte.is_ascii_whitespace())
            .map_or(0, |found| found + 1)..];
        let blanks = content[equals + 1..range.end]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let from = equals + 1 + blanks;
        let quote =
            content[from..range.end].first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let value = match quote {
            Some(quote) => {
                let from = from + 1;
                from..memchr::memchr(quote, &content[from..range.end])
                    .map_or(range.end, |found| from + found)
            }
            None => {
                let end =
                    content[from..range.end].iter().position(|byte| byte.is_ascii_whitespace());
                from..end.map_or(range.end, |found| from + found)
            }
        };
        found.push((name, value.clone()));
        at = (value.end + usize::from(quote.is_some())).min(range.end);
    }
    found
}
