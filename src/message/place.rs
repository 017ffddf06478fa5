//! Where a value stands in a message: one way to name it, for rules, reports, and the program
//! itself.
//!
//! A place is a row of steps, written as `path[2]`, `query:page`, `header:location`,
//! `cookie:session`, `form:card`, `part:order $.items[0].price`, `/order/line[2]/@sku`, `line[3]`,
//! `status`. A step into what a value itself holds follows behind a blank: `$.payload $.amount` is
//! JSON in a string of JSON. Segments of a path, elements of one name and lines are counted from 1,
//! elements of JSON arrays and parts without name from 0.

mod code;
pub mod pattern;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

pub use self::pattern::Pattern;
use super::kinds;
use crate::limits;

/// A step towards a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step<'a> {
    /// The method of a request.
    Method,
    /// The status of an answer.
    Status,
    /// A segment of the path, from 1.
    Segment(usize),
    /// A parameter of the query.
    Query(Cow<'a, str>),
    /// A header field; case does not count.
    Header(Cow<'a, str>),
    /// A cookie, sent or set.
    Cookie(Cow<'a, str>),
    /// A field of a form.
    Form(Cow<'a, str>),
    /// A part of a multipart body, by name.
    Part(Cow<'a, str>),
    /// A part without a name of its own, from 0.
    PartAt(usize),
    /// `$`: the document of JSON.
    Root,
    /// A member of an object.
    Name(Cow<'a, str>),
    /// Of several members of one name, this one, from 2.
    Again(usize),
    /// An element of an array, from 0.
    Index(usize),
    /// The name of the member itself.
    Key,
    /// An element of markup: its name without prefix, and which of its name, from 1.
    Element(Cow<'a, str>, usize),
    /// An attribute of an element or a cookie.
    Attribute(Cow<'a, str>),
    /// A text in markup, from 1.
    Text(usize),
    /// The namespace that an element is in, where its parent is in another.
    Namespace,
    /// A line, from 1.
    Line(usize),
    /// An event of a stream, from 1.
    Event(usize),
    /// The whole body.
    Body,
}

/// A place that stands by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(Vec<Step<'static>>);

impl Place {
    /// Of these steps.
    pub fn new<'s>(steps: impl IntoIterator<Item = &'s Step<'s>>) -> Self {
        Self(steps.into_iter().map(Step::to_static).collect())
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step<'static>] {
        &self.0
    }

    /// Names the place, as the [`hash`](Trail::hash) of the trail that leads to it does.
    pub fn hash(&self) -> u64 {
        self.0.iter().fold(0, |hash, step| step.mixed(hash, false))
    }

    /// Names the places that differ from this one in numbers, as [`Trail::general`] does.
    pub fn general(&self) -> u64 {
        self.0.iter().fold(0, |hash, step| step.mixed(hash, true))
    }

    /// Names the innermost element of an array that the place is in, as [`hash`](Self::hash) and
    /// [`general`](Self::general) do.
    pub fn element(&self) -> Option<(u64, u64)> {
        let last = self.0.iter().rposition(|step| matches!(step, Step::Index(_)))?;
        let steps = || self.0[..=last].iter();
        let named = |general| steps().fold(0, |hash, step| step.mixed(hash, general));
        Some((named(false), named(true)))
    }

    /// As it is written, with numbers and names that are values as `[*]`.
    pub fn general_text(&self) -> String {
        General(self.0.iter().collect()).to_string()
    }
}

/// A place in JSON as RFC 9535 writes it, by the steps below the document's root; where `general`,
/// with numbers and names that are values as `[*]`.
pub fn json_path(steps: &[Step<'_>], general: bool) -> String {
    struct Path<'p>(&'p [Step<'p>], bool);
    impl fmt::Display for Path<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_steps(f, std::iter::once(&Step::Root).chain(self.0), self.1)
        }
    }
    Path(steps, general).to_string()
}

/// A written place with numbers and names that are values as `[*]`; a text that is no place as it
/// is.
pub fn general_text(place: &str) -> String {
    place.parse::<Place>().map_or_else(|_| place.to_owned(), |place| place.general_text())
}

/// A place with numbers and names that are values left out.
struct General<'g>(Vec<&'g Step<'g>>);

impl fmt::Display for General<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_steps(f, self.0.iter().copied(), true)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_steps(f, self.0.iter(), false)
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern: Pattern = text.parse()?;
        pattern.place().ok_or_else(|| format!("{text:?} stands for several places"))
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_step(f, self, None, false)
    }
}

impl Step<'_> {
    /// The same, free of what it borrows.
    pub fn to_static(&self) -> Step<'static> {
        let own = |name: &Cow<'_, str>| Cow::Owned(told(name).into_owned());
        match self {
            Self::Method => Step::Method,
            Self::Status => Step::Status,
            Self::Segment(index) => Step::Segment(*index),
            Self::Query(name) => Step::Query(own(name)),
            Self::Header(name) => Step::Header(Cow::Owned(told(name).to_ascii_lowercase())),
            Self::Cookie(name) => Step::Cookie(own(name)),
            Self::Form(name) => Step::Form(own(name)),
            Self::Part(name) => Step::Part(own(name)),
            Self::PartAt(index) => Step::PartAt(*index),
            Self::Root => Step::Root,
            Self::Name(name) => Step::Name(own(name)),
            Self::Again(index) => Step::Again(*index),
            Self::Index(index) => Step::Index(*index),
            Self::Key => Step::Key,
            Self::Element(name, index) => Step::Element(own(name), *index),
            Self::Attribute(name) => Step::Attribute(own(name)),
            Self::Text(index) => Step::Text(*index),
            Self::Namespace => Step::Namespace,
            Self::Line(index) => Step::Line(*index),
            Self::Event(index) => Step::Event(*index),
            Self::Body => Step::Body,
        }
    }

    /// The same, its name no longer than places have it.
    #[inline]
    fn bounded(self) -> Self {
        let is_long = |name: &str| name.len() > limits::PLACE_NAME_BYTES;
        if self.name().is_some_and(is_long) { self.to_static() } else { self }
    }

    /// The name in it, where it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Query(name)
            | Self::Header(name)
            | Self::Cookie(name)
            | Self::Form(name)
            | Self::Part(name)
            | Self::Name(name)
            | Self::Element(name, _)
            | Self::Attribute(name) => Some(name),
            _ => None,
        }
    }

    fn is_variable(&self) -> bool {
        matches!(self, Self::Name(name) if is_variable(name))
    }

    /// Its number, where it has one.
    const fn number(&self) -> usize {
        match self {
            Self::Segment(index)
            | Self::PartAt(index)
            | Self::Again(index)
            | Self::Index(index)
            | Self::Element(_, index)
            | Self::Text(index)
            | Self::Line(index)
            | Self::Event(index) => *index,
            _ => 0,
        }
    }

    const fn sort(&self) -> u8 {
        match self {
            Self::Method => 0,
            Self::Status => 1,
            Self::Segment(_) => 2,
            Self::Query(_) => 3,
            Self::Header(_) => 4,
            Self::Cookie(_) => 5,
            Self::Form(_) => 6,
            Self::Part(_) => 7,
            Self::PartAt(_) => 8,
            Self::Root => 9,
            Self::Name(_) => 10,
            Self::Again(_) => 11,
            Self::Index(_) => 12,
            Self::Key => 13,
            Self::Element(..) => 14,
            Self::Attribute(_) => 15,
            Self::Text(_) => 16,
            Self::Namespace => 17,
            Self::Line(_) => 18,
            Self::Event(_) => 19,
            Self::Body => 20,
        }
    }

    /// The hash of the place that this step leads to from one with the hash `parent`; where
    /// `general`, places that differ only in numbers have one.
    fn mixed(&self, parent: u64, general: bool) -> u64 {
        let own = self.mixed_both([parent; 2], general && self.is_variable());
        own[usize::from(general)]
    }

    /// The hash of the place that this step leads to, and the general one, of those that it leads
    /// from; `varies` where its name is a value.
    fn mixed_both(&self, [parent, general]: [u64; 2], varies: bool) -> [u64; 2] {
        /// An odd number of 64 bits without a pattern (of xxHash).
        const FACTOR: u64 = 0x9e37_79b1_85eb_ca87;
        let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
        let (sort, number) = (u64::from(self.sort()), self.number() as u64);
        // A segment's number is what names it.
        let counted = if matches!(self, Self::Segment(_)) { number } else { 0 };
        let mut hashes = [mix(parent, sort | number << 8), mix(general, sort | counted << 8)];
        if let Some(name) = self.name() {
            let any_case = matches!(self, Self::Header(_));
            let mut add = |mut chunk: [u8; 8], length: usize| {
                if any_case {
                    chunk.make_ascii_lowercase();
                }
                let word = u64::from_le_bytes(chunk) ^ length as u64;
                hashes[0] = mix(hashes[0], word);
                if !varies {
                    hashes[1] = mix(hashes[1], word);
                }
            };
            let (chunks, rest) = name.as_bytes().as_chunks::<8>();
            chunks.iter().for_each(|chunk| add(*chunk, 8));
            if !rest.is_empty() {
                let mut chunk = [0; 8];
                rest.iter().zip(&mut chunk).for_each(|(byte, out)| *out = *byte);
                add(chunk, rest.len());
            }
        }
        hashes.map(|hash| hash ^ hash >> 29)
    }
}

/// Whether a member's name is a value rather than a name, as in a map from ids.
pub fn is_variable(name: &str) -> bool {
    let bytes = name.as_bytes();
    match bytes.len() {
        0 => false,
        _ if bytes.iter().all(u8::is_ascii_digit) => true,
        1..=9 => false,
        10 => kinds::date(bytes),
        // Rooms and events of Matrix: a sign of their kind, and the server that drew them.
        _ if matches!(bytes[0], b'!' | b'$') => {
            bytes.contains(&b':') || kinds::of_text(&name[1..]).is_some()
        }
        _ => bytes.iter().any(u8::is_ascii_digit) && kinds::of_text(name).is_some(),
    }
}

/// The steps to a value while a document is walked: each knows the one before it, nothing is
/// allocated, and what names a place is worked out when somebody asks for it.
#[derive(Clone, Debug)]
pub struct Trail<'t> {
    before: Option<&'t Trail<'t>>,
    step: Step<'t>,
    /// What names it, and its general place, once that was asked for.
    named: Cell<Option<[u64; 2]>>,
    varies: bool,
    is_variable: bool,
}

impl<'t> Trail<'t> {
    /// The first step.
    pub fn new(step: Step<'t>) -> Self {
        let step = step.bounded();
        let is_variable = step.is_variable();
        Self { before: None, named: Cell::new(None), varies: is_variable, is_variable, step }
    }

    /// A step further.
    pub fn then<'n>(&'n self, step: Step<'n>) -> Trail<'n>
    where
        't: 'n,
    {
        let step = step.bounded();
        let is_variable = step.is_variable();
        let varies = self.varies || is_variable;
        Trail { before: Some(self), named: Cell::new(None), varies, is_variable, step }
    }

    /// What names the place, and its general place; of each trail worked out once.
    fn named(&self) -> [u64; 2] {
        if let Some(named) = self.named.get() {
            return named;
        }
        // A trail is no longer than documents are deep.
        let before = self.before.map_or([0; 2], Trail::named);
        let named = self.step.mixed_both(before, self.is_variable);
        self.named.set(Some(named));
        named
    }

    /// Names the place.
    pub fn hash(&self) -> u64 {
        self.named()[0]
    }

    /// Names the places that differ from this one in numbers (of elements, lines) and in names that
    /// are values, and this one.
    pub fn general(&self) -> u64 {
        self.named()[1]
    }

    /// Whether a name on the way is a value rather than a name ([`is_variable`]).
    pub const fn varies(&self) -> bool {
        self.varies
    }

    /// Whether its last step is a name that is a value.
    pub const fn is_variable(&self) -> bool {
        self.is_variable
    }

    /// The last step.
    pub const fn last(&self) -> &Step<'t> {
        &self.step
    }

    /// The trail that leads to the step before the last one.
    pub const fn before(&self) -> Option<&'t Trail<'t>> {
        self.before
    }

    /// The name that stands nearest to the value: a member's, a field's, an element's.
    pub fn name(&self) -> Option<&str> {
        let mut at = Some(self);
        while let Some(trail) = at {
            if let Some(name) = trail.step.name() {
                return Some(name);
            }
            at = trail.before;
        }
        None
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> Vec<&Step<'t>> {
        let mut steps = Vec::with_capacity(8);
        let mut at = Some(self);
        while let Some(trail) = at {
            steps.push(&trail.step);
            at = trail.before;
        }
        steps.reverse();
        steps
    }

    /// The place by itself.
    pub fn place(&self) -> Place {
        Place(self.steps().into_iter().map(Step::to_static).collect())
    }

    /// As places are written, with numbers and names that are values as `[*]`.
    pub fn general_text(&self) -> String {
        General(self.steps()).to_string()
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_steps(f, self.steps().into_iter(), false)
    }
}

fn write_steps<'s>(
    f: &mut fmt::Formatter<'_>,
    steps: impl Iterator<Item = &'s Step<'s>>,
    general: bool,
) -> fmt::Result {
    let mut before: Option<&Step<'_>> = None;
    for step in steps {
        let goes_on = match step {
            Step::Name(_) | Step::Again(_) | Step::Index(_) | Step::Key => true,
            Step::Attribute(_) => matches!(before, Some(Step::Element(..) | Step::Cookie(_))),
            Step::Element(..) | Step::Text(_) => matches!(before, Some(Step::Element(..))),
            Step::Namespace => matches!(before, Some(Step::Element(..) | Step::Attribute(_))),
            _ => false,
        };
        if before.is_some() && !goes_on {
            f.write_str(" ")?;
        }
        write_step(f, step, before, general)?;
        before = Some(step);
    }
    Ok(())
}

fn write_step(
    f: &mut fmt::Formatter<'_>,
    step: &Step<'_>,
    before: Option<&Step<'_>>,
    general: bool,
) -> fmt::Result {
    let numbered = |f: &mut fmt::Formatter<'_>, what: &str, index: usize| match general {
        true => write!(f, "{what}[*]"),
        false => write!(f, "{what}[{index}]"),
    };
    // Most elements are alone, and need no number.
    let which = |f: &mut fmt::Formatter<'_>, index: usize| match index {
        0 | 1 => Ok(()),
        _ if general => Ok(()),
        _ => write!(f, "[{index}]"),
    };
    match step {
        Step::Method => f.write_str("method"),
        Step::Status => f.write_str("status"),
        Step::Segment(index) => write!(f, "path[{index}]"),
        Step::Query(name) => named(f, "query:", name),
        Step::Header(name) => named(f, "header:", &told(name).to_ascii_lowercase()),
        Step::Cookie(name) => named(f, "cookie:", name),
        Step::Form(name) => named(f, "form:", name),
        Step::Part(name) => named(f, "part:", name),
        Step::PartAt(index) => numbered(f, "part", *index),
        Step::Root => f.write_str("$"),
        Step::Name(name) if general && is_variable(name) => f.write_str("[*]"),
        Step::Name(name) => member(f, name),
        Step::Again(index) => write!(f, "({index})"),
        Step::Index(index) => numbered(f, "", *index),
        Step::Key => f.write_str("~"),
        Step::Element(name, index) => {
            write!(f, "/{}", told(name))?;
            which(f, *index)
        }
        Step::Attribute(name) if matches!(before, Some(Step::Cookie(_))) => {
            write!(f, ";{}", told(name))
        }
        Step::Attribute(name) if matches!(before, Some(Step::Element(..))) => {
            write!(f, "/@{}", told(name))
        }
        Step::Attribute(name) => write!(f, "@{}", told(name)),
        Step::Text(index) => {
            f.write_str("/text()")?;
            which(f, *index)
        }
        Step::Namespace => f.write_str("/namespace()"),
        Step::Line(index) => numbered(f, "line", *index),
        Step::Event(index) => numbered(f, "event", *index),
        Step::Body => f.write_str("body"),
    }
}

/// A name as places have it: one that is too long by its start and its hash.
pub fn told(name: &str) -> Cow<'_, str> {
    const START: usize = 100;
    if name.len() <= limits::PLACE_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let hash = Step::Header(name.into()).mixed(0, false);
    let start = name.char_indices().nth(START).map_or(name, |(at, _)| &name[..at]);
    Cow::Owned(format!("{start}…{hash:016x}"))
}

/// A name behind its prefix, in quotes where it could be misread.
fn named(f: &mut fmt::Formatter<'_>, prefix: &str, name: &str) -> fmt::Result {
    let name = &*told(name);
    f.write_str(prefix)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "'\"\\;*".contains(c);
    if name.is_empty() || name.contains(odd) { quoted(f, name) } else { f.write_str(name) }
}

/// A member as RFC 9535 writes it: `.name`, or in brackets.
fn member(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let name = &*told(name);
    let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain {
        return write!(f, ".{name}");
    }
    f.write_str("[")?;
    quoted(f, name)?;
    f.write_str("]")
}

fn quoted(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    f.write_str("'")?;
    for c in name.chars() {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("'")
}

#[cfg(test)]
mod tests;
