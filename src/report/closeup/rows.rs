//! Two messages side by side: lines that belong together in one row, what differs marked, and how
//! much it matters.

use std::ops::Range;

use super::body::ShownLine;
use crate::diff::text::common;
use crate::diff::{Class, Kind};
use crate::report::text::split_common;

/// A difference of the exchange.
#[derive(Clone, Debug)]
pub struct Spot {
    /// What is to be thought of it.
    pub class: Class,
    /// What kind.
    pub kind: Kind,
    /// Where.
    pub place: String,
    /// v1's value and v2's.
    pub values: [Option<String>; 2],
    /// Its cluster.
    pub cluster: String,
    /// How the cluster changed, in words; empty where that is not known.
    pub shape: String,
}

/// How a row stands to what was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Both sides are alike.
    Same,
    /// They differ where nothing was found: not compared, or ignored by a rule.
    Apart,
    /// A difference of this class.
    Of(Class),
}

/// A line of both answers.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedRow {
    /// v1's and v2's.
    pub sides: [Option<ShownLine>; 2],
    /// What differs in each, in bytes of its text.
    pub marks: [Option<Range<usize>>; 2],
    /// How much it matters.
    pub standing: Standing,
}

/// What is shown of rows.
#[derive(Clone, Copy, Debug)]
pub enum ShownRows<'r> {
    /// A row.
    Row(&'r PairedRow),
    /// So many rows that are alike on both sides.
    Alike(usize),
}

/// Rows with `context` alike ones around each that differs; longer runs of alike ones are folded.
pub fn folded(rows: &[PairedRow], context: usize) -> Vec<ShownRows<'_>> {
    /// A fold that hides less is not worth its line.
    const LEAST: usize = 3;
    let differs = |row: &PairedRow| row.standing != Standing::Same;
    let mut keep = vec![false; rows.len()];
    for at in (0..rows.len()).filter(|&at| differs(&rows[at])) {
        let near = at.saturating_sub(context)..(at + context + 1).min(rows.len());
        keep[near].fill(true);
    }
    if !keep.contains(&true) {
        let all = rows.len() <= 2 * context + LEAST;
        let shown = if all { rows.len() } else { context };
        keep[..shown].fill(true);
    }
    let mut shown = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let run = keep[at..].iter().take_while(|&&kept| kept == keep[at]).count();
        if keep[at] || run < LEAST {
            shown.extend(rows[at..at + run].iter().map(ShownRows::Row));
        } else {
            shown.push(ShownRows::Alike(run));
        }
        at += run;
    }
    shown
}

/// Status lines and header fields: the fields of one name beside each other, in v1's order.
pub(super) fn heads(
    status: [Option<String>; 2],
    fields: [Vec<(String, String)>; 2],
    spots: &[Spot],
) -> Vec<PairedRow> {
    let class_of = |wanted: &dyn Fn(&Spot) -> bool| {
        spots.iter().filter(|spot| wanted(spot)).map(|spot| spot.class).min()
    };
    let top = class_of(&|spot| matches!(spot.kind, Kind::Status | Kind::Failure));
    let mut rows = vec![row(status.map(|text| text.map(ShownLine::plain)), top)];
    let [left, right] = fields;
    let lower = |name: &str| name.to_ascii_lowercase();
    let mut taken = vec![false; right.len()];
    let by_name = |name: &str, taken: &[bool]| {
        right.iter().enumerate().position(|(at, (other, _))| !taken[at] && lower(other) == name)
    };
    for (name, value) in &left {
        let key = lower(name);
        let other = by_name(&key, &taken).inspect(|&at| taken[at] = true).map(|at| &right[at]);
        let sides = [
            Some(ShownLine::field(name, value)),
            other.map(|(name, value)| ShownLine::field(name, value)),
        ];
        rows.push(row(sides, class_of(&|spot| is_field(spot, &key))));
    }
    for (at, (name, value)) in right.iter().enumerate() {
        if !taken[at] {
            let key = lower(name);
            rows.push(row(
                [None, Some(ShownLine::field(name, value))],
                class_of(&|spot| is_field(spot, &key)),
            ));
        }
    }
    rows
}

/// Whether a difference is of a header field; its place may go on within the value.
fn is_field(spot: &Spot, name: &str) -> bool {
    let place = spot.place.strip_prefix("header:").unwrap_or(&spot.place);
    let ends = |rest: &str| {
        rest.is_empty() || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-')
    };
    matches!(spot.kind, Kind::Header | Kind::Missing) && place.strip_prefix(name).is_some_and(ends)
}

/// A row whose sides differ only in what was not compared stands apart; alike sides are alike
/// whatever was found.
fn row(sides: [Option<ShownLine>; 2], class: Option<Class>) -> PairedRow {
    let text = |side: &Option<ShownLine>| side.as_ref().map(|line| bare(&line.text).to_owned());
    let fields_alike = match &sides {
        [Some(a), Some(b)] => {
            !a.name.is_empty()
                && a.text[a.name.clone()].eq_ignore_ascii_case(&b.text[b.name.clone()])
                && a.text[a.value.clone()] == b.text[b.value.clone()]
        }
        _ => false,
    };
    if text(&sides[0]) == text(&sides[1]) || fields_alike {
        return PairedRow { sides, marks: [None, None], standing: Standing::Same };
    }
    let marks = marks(&sides);
    PairedRow { sides, marks, standing: class.map_or(Standing::Apart, Standing::Of) }
}

/// A line without the comma that another line behind it makes necessary.
fn bare(text: &str) -> &str {
    text.strip_suffix(',').unwrap_or(text)
}

/// What differs in two lines: their names, their values, or the part of a long value.
fn marks(sides: &[Option<ShownLine>; 2]) -> [Option<Range<usize>>; 2] {
    let [Some(a), Some(b)] = sides else {
        return [0, 1].map(|side| sides[side].as_ref().map(whole));
    };
    let (names, values) = (
        [&a.text[a.name.clone()], &b.text[b.name.clone()]],
        [&a.text[a.value.clone()], &b.text[b.value.clone()]],
    );
    match (names[0] == names[1], values[0] == values[1]) {
        (false, true) => [Some(a.name.clone()), Some(b.name.clone())],
        (false, false) => [Some(whole(a)), Some(whole(b))],
        (true, _) => {
            let parts = middle(values[0], values[1]);
            let at = |line: &ShownLine, part: &Range<usize>| {
                Some(line.value.start + part.start..line.value.start + part.end)
            };
            [at(a, &parts[0]), at(b, &parts[1])]
        }
    }
}

fn whole(line: &ShownLine) -> Range<usize> {
    let start = if line.name.is_empty() { line.value.start } else { line.name.start };
    start..line.value.end
}

/// Where two values differ. Short ones, and those with little in common, differ as a whole: half a
/// number says nothing.
fn middle(a: &str, b: &str) -> [Range<usize>; 2] {
    const SHORT: usize = 40;
    let (left, right) = split_common(a, b);
    let longest = a.len().max(b.len());
    if longest <= SHORT || (left[0].len() + left[2].len()) * 3 < longest {
        return [0..a.len(), 0..b.len()];
    }
    let part = |parts: [&str; 3]| parts[0].len()..parts[0].len() + parts[1].len();
    [part(left), part(right)]
}

/// Lines of both bodies, those that belong together in one row.
pub(super) fn aligned(sides: [Vec<ShownLine>; 2], spots: &[Spot]) -> Vec<PairedRow> {
    let body: Vec<&Spot> = spots
        .iter()
        .filter(|spot| matches!(spot.kind, Kind::Body | Kind::Missing | Kind::Identity))
        .collect();
    let found = |line: &ShownLine| {
        body.iter().filter(|spot| stands_at(line, &spot.place)).map(|spot| spot.class).min()
    };
    let located = |spot: &&&Spot| sides.iter().flatten().any(|line| stands_at(line, &spot.place));
    // Differences of texts are named by lines of their own count.
    let elsewhere = body.iter().filter(|spot| !located(spot)).map(|spot| spot.class).min();
    let class = |sides: &[Option<ShownLine>; 2]| {
        sides.iter().flatten().filter_map(found).min().or(elsewhere)
    };
    let [left, right] = &sides;
    let mut rows = Vec::new();
    let mut put = |a: Option<&ShownLine>, b: Option<&ShownLine>| {
        let sides = [a.cloned(), b.cloned()];
        let class = class(&sides);
        rows.push(row(sides, class));
    };
    let texts =
        |lines: &[ShownLine]| lines.iter().map(|line| bare(&line.text).to_owned()).collect();
    let (a, b): (Vec<String>, Vec<String>) = (texts(left), texts(right));
    for_hunks(&a, &b, |a, b| {
        let places = |lines: &[ShownLine]| lines.iter().map(|line| line.place.clone()).collect();
        let (a, b) = (&left[a], &right[b]);
        if a.len() == b.len() {
            return a.iter().zip(b).for_each(|(a, b)| put(Some(a), Some(b)));
        }
        let (x, y): (Vec<String>, Vec<String>) = (places(a), places(b));
        for_hunks(&x, &y, |x, y| side_by_side(&a[x], &b[y], &mut put));
    });
    rows
}

/// Tells runs of equal items and of what stands between them, in order.
fn for_hunks<T: PartialEq>(a: &[T], b: &[T], mut each: impl FnMut(Range<usize>, Range<usize>)) {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let tail = |a: &[T], b: &[T]| {
        a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count()
    };
    let tail = tail(a, b);
    let (m, n) = (a.len() - tail, b.len() - tail);
    let between = common(&a[head..m], &b[head..n]).unwrap_or_default();
    let (mut x, mut y) = (0, 0);
    let pairs = (0..head)
        .map(|at| (at, at))
        .chain(between.into_iter().map(|(i, j)| (head + i, head + j)))
        .chain((0..tail).map(|at| (m + at, n + at)))
        .chain([(a.len(), b.len())]);
    for (i, j) in pairs {
        if x < i || y < j {
            each(x..i, y..j);
        }
        if i < a.len() {
            each(i..i + 1, j..j + 1);
        }
        (x, y) = (i + 1, j + 1);
    }
}

fn side_by_side<'l>(
    a: &'l [ShownLine],
    b: &'l [ShownLine],
    put: &mut impl FnMut(Option<&'l ShownLine>, Option<&'l ShownLine>),
) {
    (0..a.len().max(b.len())).for_each(|at| put(a.get(at), b.get(at)));
}

/// Whether a difference at `place` stands on the line: it is the line's own place, one inside its
/// value, or holds the line.
fn stands_at(line: &ShownLine, place: &str) -> bool {
    if line.place.is_empty() {
        return false;
    }
    let goes_on = |longer: &str, shorter: &str, next: &[char]| {
        longer.strip_prefix(shorter).is_some_and(|rest| rest.is_empty() || rest.starts_with(next))
    };
    goes_on(place, &line.place, &[' ']) || goes_on(&line.place, place, &['.', '['])
}

/// At most `most` characters of a line, those around its mark; what is cut is `…`.
pub(crate) fn window(
    line: &str,
    mark: Option<&Range<usize>>,
    most: usize,
) -> (String, Option<Range<usize>>) {
    if line.len() <= most || line.chars().count() <= most {
        return (line.to_owned(), mark.cloned());
    }
    let marked = mark.map_or(0, |mark| line[..mark.start].chars().count());
    // A quarter of the room for what stands before the mark.
    let skipped = if marked + most / 4 < most { 0 } else { marked - most / 4 };
    let byte = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(at, _)| at);
    let (start, end) = (byte(skipped), byte(skipped + most));
    let (before, behind) =
        (if start > 0 { "…" } else { "" }, if end < line.len() { "…" } else { "" });
    let shifted = mark.map(|mark| {
        let at = |at: usize| at.clamp(start, end) - start + before.len();
        at(mark.start)..at(mark.end)
    });
    (format!("{before}{}{behind}", &line[start..end]), shifted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Headers, Response};
    use crate::redact::{Echoes, Masker};

    fn lines(content_type: &str, text: &str) -> Vec<ShownLine> {
        let mut headers = Headers::new();
        headers.push(b"content-type", content_type.as_bytes());
        let masker = Masker::off();
        let hidden = super::super::Hidden { masker: &masker, echoes: Echoes::default() };
        let body = crate::message::Body::whole(text.to_owned());
        super::super::body::lines(&headers, &body, &Response::default().trailers, &hidden)
    }

    fn spot(place: &str, class: Class) -> Spot {
        Spot {
            class,
            kind: Kind::Body,
            place: place.to_owned(),
            values: [None, None],
            cluster: String::new(),
            shape: String::new(),
        }
    }

    /// Each row that is not alike, as `standing v1's mark|v2's mark`.
    fn marked(kind: &str, a: &str, b: &str, spots: &[Spot]) -> Vec<String> {
        let rows = aligned([lines(kind, a), lines(kind, b)], spots);
        let of = |row: &PairedRow, side: usize| {
            let line = row.sides[side].as_ref()?;
            Some(line.text[row.marks[side].clone()?].to_owned())
        };
        rows.iter()
            .filter(|row| row.standing != Standing::Same)
            .map(|row| {
                let [a, b] = [0, 1].map(|side| of(row, side).unwrap_or_else(|| "–".to_owned()));
                format!("{:?} {a}|{b}", row.standing)
            })
            .collect()
    }

    const JSON: &str = "application/json";

    #[test]
    fn changed_places_are_marked_in_their_context() {
        let regression = [spot("$.n", Class::Regression)];
        assert_eq!(
            marked(JSON, r#"{"a":1,"n":2,"t":5}"#, r#"{"a":1,"n":3,"t":6}"#, &regression),
            ["Of(Regression) 2|3", "Apart 5|6"]
        );
        // A rename shows both names.
        assert_eq!(
            marked(JSON, r#"{"n":2,"x":1}"#, r#"{"num":2,"x":1}"#, &regression),
            ["Of(Regression) \"n\"|\"num\""]
        );
        // What is missing stands alone, with all that is in it.
        let gone = [spot("$.o", Class::Regression)];
        assert_eq!(
            marked(JSON, r#"{"a":1,"o":{"p":1}}"#, r#"{"a":1}"#, &gone),
            ["Of(Regression) \"o\": {|–", "Of(Regression) \"p\": 1|–", "Apart }|–"]
        );
    }

    #[test]
    fn what_moved_stands_beside_its_like() {
        let (a, b) = (r#"[{"id":1},{"id":2},{"id":3}]"#, r#"[{"id":1},{"id":3}]"#);
        let rows = aligned([lines(JSON, a), lines(JSON, b)], &[]);
        let both = rows.iter().filter(|row| row.sides.iter().all(Option::is_some)).count();
        assert_eq!(both, lines(JSON, b).len());
        assert_eq!(marked(JSON, "[1]", "[1.0]", &[]), ["Apart 1|1.0"]);
    }

    #[test]
    fn every_format_is_laid_out_and_texts_are_marked_by_line() {
        let text = [spot("line 2", Class::Regression)];
        assert_eq!(marked("text/plain", "a\nb\nc", "a\nx\nc", &text), ["Of(Regression) b|x"]);
        let form = [spot("form:q", Class::Regression)];
        assert_eq!(
            marked("application/x-www-form-urlencoded", "q=1&r=2", "q=3&r=2", &form),
            ["Of(Regression) 1|3"]
        );
        assert_eq!(lines("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n").len(), 6);
        assert_eq!(lines("application/octet-stream", "\u{0}\u{1}").len(), 2);
        let long = format!("<a>{}</a>", "<b>x</b>".repeat(40));
        assert_eq!(lines("text/html", &long).len(), 42);
    }

    #[test]
    fn long_runs_that_are_alike_are_folded_around_what_differs() {
        let many = |changed: usize| {
            let items: Vec<String> = (0..40)
                .map(|n| if n == changed { "-1".to_owned() } else { n.to_string() })
                .collect();
            format!("[{}]", items.join(","))
        };
        let rows = aligned([lines(JSON, &many(99)), lines(JSON, &many(20))], &[]);
        let shown = folded(&rows, 2);
        let alike: usize = shown
            .iter()
            .map(|shown| if let ShownRows::Alike(many) = shown { *many } else { 0 })
            .sum();
        assert_eq!((rows.len(), alike, shown.len()), (42, 37, 7));
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        let line = format!("{}X{}", "é".repeat(100), "ß".repeat(100));
        let at = line.find('X').unwrap();
        let (text, mark) = window(&line, Some(&(at..at + 1)), 40);
        assert_eq!(&text[mark.unwrap()], "X");
        assert_eq!(text.chars().count(), 42);
        assert_eq!(window("short", None, 40), ("short".to_owned(), None));
    }
}
