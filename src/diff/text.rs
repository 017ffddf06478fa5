//! Text compared by lines.
//!
//! A line that differs is named by what both sides have in common at its start, so that the same
//! line of many pages is one place whatever its number.

use std::borrow::Cow;

use super::Kind;
use super::change::{Change, Context, Differ, SeenChange, Sink, hash_place, kind_of, short};
use super::rules::RuleVerdict;
use crate::message::tokens::tokens;
use crate::redact::Masker;
use crate::redact::mask::MASK;
use crate::steps;

/// Most insertions and deletions that are followed; texts further apart differ as a whole between
/// their common ends.
const MAX_EDITS: usize = 400;
/// Longest start of a line that names its place, in characters.
const ANCHOR: usize = 40;

/// How the lines of a text end: as those of a network, some of them at least, or none of them.
fn line_ends(text: &str) -> Option<&'static str> {
    let is_long = || memchr::memmem::find(text.as_bytes(), b"\r\n").is_some();
    text.contains('\n').then(|| if is_long() { "CRLF" } else { "LF" })
}

/// Compares two texts. That one has line ends of a kind that the other has nowhere is one change.
pub(super) fn compare(context: &Context<'_>, expected: &str, actual: &str, sink: &mut Sink) {
    let lines = |text| str::lines(text).collect::<Vec<_>>();
    let (left, right) = (lines(expected), lines(actual));
    let head = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let tail = left[head..]
        .iter()
        .rev()
        .zip(right[head..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (middle, other) = (&left[head..left.len() - tail], &right[head..right.len() - tail]);
    let ends = [expected, actual].map(line_ends);
    if let [Some(a), Some(b)] = ends
        && a != b
    {
        let [a, b] = [a, b].map(|end| Some(end.to_owned()));
        sink.plain(Kind::Body, "line ends", "changed", a, b, SeenChange::PLAIN);
    }
    if middle.is_empty() && other.is_empty() {
        // The last line end is missing, or some differ.
        return;
    }
    // Whole texts are masked, since what a line holds may be said in another. Places are where no
    // secret is, whether secrets are shown or not, so that they are the same in both.
    let masker = context.masker;
    let shown = [masker.lines(expected), masker.lines(actual)];
    let anchors = masker.is_off().then(|| {
        let masker = Masker::new(b"");
        [masker.lines(expected), masker.lines(actual)]
    });
    let texts = Texts { shown: &shown, anchors: anchors.as_ref().unwrap_or(&shown) };
    for (a, b) in hunks(middle, other) {
        let range = |lines: TextLines| head + lines.start..head + lines.end;
        hunk(context, [&left, &right], &texts, [range(a), range(b)], sink);
    }
}

/// The lines of v1's and v2's text as they are shown, and as places are named by them.
struct Texts<'t> {
    shown: &'t [Vec<String>; 2],
    anchors: &'t [Vec<String>; 2],
}

type TextLines = std::ops::Range<usize>;

/// The ranges of lines that differ.
fn hunks(left: &[&str], right: &[&str]) -> Vec<(TextLines, TextLines)> {
    if left.len() == right.len()
        && left.iter().zip(right).filter(|(a, b)| a != b).count() * 2 <= left.len()
    {
        // Line by line, as where only values differ.
        return (0..left.len())
            .filter(|&at| left[at] != right[at])
            .map(|at| (at..at + 1, at..at + 1))
            .collect();
    }
    let Some(common) = common(left, right) else { return vec![(0..left.len(), 0..right.len())] };
    let mut hunks = Vec::new();
    let (mut a, mut b) = (0, 0);
    for (x, y) in common.into_iter().chain([(left.len(), right.len())]) {
        if a < x || b < y {
            hunks.push((a..x, b..y));
        }
        (a, b) = (x + 1, y + 1);
    }
    hunks
}

/// Pairs of equal items of a shortest edit (Myers 1986), in order; none where it needs more than
/// [`MAX_EDITS`].
pub(crate) fn common<T: PartialEq>(left: &[T], right: &[T]) -> Option<Vec<(usize, usize)>> {
    let (n, m) = (left.len() as isize, right.len() as isize);
    let most = MAX_EDITS.min(left.len() + right.len()) as isize;
    let at = |k: isize| (k + most + 1) as usize;
    let mut reach = vec![0_isize; 2 * most as usize + 3];
    let mut trace: Vec<Vec<isize>> = Vec::new();
    for edits in 0..=most {
        // Only the diagonals that this many edits can reach are kept.
        trace.push(reach[at(-edits - 1)..=at(edits + 1).min(reach.len() - 1)].to_vec());
        for k in (-edits..=edits).step_by(2) {
            let down = k == -edits || k != edits && reach[at(k - 1)] < reach[at(k + 1)];
            let mut x = if down { reach[at(k + 1)] } else { reach[at(k - 1)] + 1 };
            steps::add(1);
            while x < n && x - k < m && left[x as usize] == right[(x - k) as usize] {
                steps::add(1);
                x += 1;
            }
            reach[at(k)] = x;
            if x >= n && x - k >= m {
                return Some(backtrack(&trace, n, m));
            }
        }
    }
    None
}

fn backtrack(trace: &[Vec<isize>], n: isize, m: isize) -> Vec<(usize, usize)> {
    let (mut x, mut y) = (n, m);
    let mut pairs = Vec::new();
    for (edits, reach) in trace.iter().enumerate().rev() {
        let edits = edits as isize;
        let get = |k: isize| reach[(k + edits + 1) as usize];
        let k = x - y;
        let down = k == -edits || k != edits && get(k - 1) < get(k + 1);
        let before = if down { k + 1 } else { k - 1 };
        let (from_x, from_y) =
            if edits == 0 { (0, 0) } else { (get(before), get(before) - before) };
        let start = if edits == 0 {
            0
        } else if down {
            from_x
        } else {
            from_x + 1
        };
        while x > start && y > 0 {
            x -= 1;
            y -= 1;
            pairs.push((x as usize, y as usize));
        }
        (x, y) = (from_x, from_y);
    }
    pairs.reverse();
    pairs
}

fn hunk(
    context: &Context<'_>,
    sides: [&[&str]; 2],
    texts: &Texts<'_>,
    [left, right]: [TextLines; 2],
    sink: &mut Sink,
) {
    if left.len() == right.len() {
        for (a, b) in left.zip(right) {
            let (one, other) = (sides[0][a], sides[1][b]);
            if one != other {
                let (label, look) = match context.differ(one, other, false, Default::default) {
                    Differ::Not => continue,
                    Differ::Identity(label) => (label, SeenChange::PLAIN),
                    Differ::So(seen) => ("changed", seen),
                };
                change(
                    context,
                    sides,
                    texts,
                    [a..a + 1, b..b + 1],
                    format!("line {}", a + 1),
                    label,
                    look,
                    sink,
                );
            }
        }
        return;
    }
    let first = left.start;
    let place = match left.len() {
        0 => format!("after line {first}"),
        1 => format!("line {}", first + 1),
        count => format!("lines {} to {}", first + 1, first + count),
    };
    let label = match (left.is_empty(), right.is_empty()) {
        (false, true) => "removed",
        (true, false) => "added",
        _ => "changed",
    };
    change(context, sides, texts, [left, right], place, label, SeenChange::PLAIN, sink);
}

#[expect(clippy::too_many_arguments, reason = "what a change of lines is, and where it goes")]
fn change(
    context: &Context<'_>,
    sides: [&[&str]; 2],
    texts: &Texts<'_>,
    ranges: [TextLines; 2],
    place: String,
    label: &'static str,
    seen: SeenChange,
    sink: &mut Sink,
) {
    let joined = |side: usize| {
        (!ranges[side].is_empty()).then(|| sides[side][ranges[side].clone()].join("\n"))
    };
    let of = |lines: &[Vec<String>; 2], side: usize| {
        (!ranges[side].is_empty()).then(|| lines[side][ranges[side].clone()].join("\n"))
    };
    let general = match (of(texts.anchors, 0), of(texts.anchors, 1)) {
        (Some(a), Some(b)) => anchor(&a, &b),
        (Some(only), None) | (None, Some(only)) => anchor(&only, &only),
        (None, None) => "line".to_owned(),
    };
    if let RuleVerdict::Taken(rule) =
        context.rules.judge_place(&general, joined(0).as_deref(), joined(1).as_deref())
    {
        sink.ruled.push(rule);
        return;
    }
    let shown = |side: usize| of(texts.shown, side).map(|text| short(&text));
    let kind = kind_of(label, Kind::Body);
    let place_hash = hash_place(&general);
    let label = Cow::Borrowed(label);
    sink.add(Change {
        kind,
        place,
        general,
        place_hash,
        label,
        expected: shown(0),
        actual: shown(1),
        look: seen.look,
        parts: seen.parts,
        numbers: seen.numbers,
    });
}

/// `line "<meta name="`: what two lines start with, up to the end of a word or to a secret: its
/// mask is another in each run.
fn anchor(a: &str, b: &str) -> String {
    let before_mask = |text: &'_ str| text.find(MASK).unwrap_or(text.len());
    let (a, b) = (a[..before_mask(a)].trim_start(), b[..before_mask(b)].trim_start());
    // Values that begin alike by chance belong to no place.
    let equal = tokens(a).zip(tokens(b)).take_while(|(one, other)| one == other);
    let mut end = 0;
    for (token, _) in equal {
        if a[..end].chars().count() >= ANCHOR {
            break;
        }
        end += token.text().len();
    }
    let start = match a[..end].char_indices().nth(ANCHOR) {
        // Not within a word.
        Some((at, _)) => {
            let cut = &a[..at];
            cut.rfind(|c: char| !c.is_alphanumeric()).map_or("", |at| &cut[..at])
        }
        None => &a[..end],
    };
    let start = start.trim_end();
    // A digit is seldom a part of what a line is.
    let start = start.split(|c: char| c.is_ascii_digit()).next().unwrap_or("").trim_end();
    if start.is_empty() { "line".to_owned() } else { format!("line \"{start}\"") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn line_ends_are_of_a_kind() {
        for (text, ends) in [
            ("a", None),
            ("", None),
            ("a\nb\n", Some("LF")),
            ("a\r\nb\r\n", Some("CRLF")),
            ("a\r\nb\n", Some("CRLF")),
        ] {
            assert_eq!(line_ends(text), ends, "{text:?}");
        }
    }

    #[test]
    fn only_what_differs_is_a_hunk() {
        let of = |a: &str, b: &str| {
            let (a, b): (Vec<_>, Vec<_>) = (a.split(' ').collect(), b.split(' ').collect());
            hunks(&a, &b)
        };
        assert_eq!(of("a b c d", "a x c d"), [(1..2, 1..2)]);
        assert_eq!(of("a b c d", "a c d"), [(1..2, 1..1)]);
        assert_eq!(of("a c d", "a b c d e"), [(1..1, 1..2), (3..3, 4..5)]);
        assert_eq!(
            anchor("  <meta csrf=\"abc1\">", "  <meta csrf=\"abd2\">"),
            "line \"<meta csrf=\"\""
        );
        assert_eq!(anchor("x", "y"), "line");
    }

    #[test]
    fn no_text_costs_more_than_n_log_n() {
        let line = |n: usize, side: usize, kind: usize| match kind {
            0 => format!("{n} {side}"),
            1 => (if side == 0 { n } else { 1_000_000 - n }).to_string(),
            _ => (n % 3).to_string(),
        };
        for kind in 0..3 {
            steps::hold_to_n_log_n(2 * MAX_EDITS, |n| {
                let lines = |side| -> Vec<String> {
                    (0..n + 5 * side).map(|n| line(n, side, kind)).collect()
                };
                common(&lines(0), &lines(1));
            });
        }
    }

    proptest! {
        #[test]
        fn hunks_hold_all_that_differs_and_the_rest_is_equal(
            a in "[abc]{0,30}",
            b in "[abc]{0,30}"
        ) {
            let left: Vec<&str> = a.split("").collect();
            let right: Vec<&str> = b.split("").collect();
            let (mut x, mut y) = (0, 0);
            let end = (left.len()..left.len(), right.len()..right.len());
            for (one, two) in hunks(&left, &right).into_iter().chain([end]) {
                prop_assert!(x <= one.start && y <= two.start);
                prop_assert_eq!(&left[x..one.start], &right[y..two.start]);
                (x, y) = (one.end, two.end);
            }
        }
    }
}
