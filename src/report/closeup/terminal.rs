//! A close-up on a terminal: side by side from 80 columns on, one below the other on fewer. What
//! differs is told by the sign between the sides, and by colour where there is one.

use std::fmt::Write as _;
use std::ops::Range;

use super::window;
use super::{Closeup, Flight, PairedRow, ShownRows, Spot, Standing, folded};
use crate::diff::{Class, Kind};
use crate::gate::words::{duration, plural};
use crate::report::terminal::{Colour, WIDTHS, wrap};
use crate::report::text::instant;

/// From so many columns on the answers stand side by side.
const SIDE_BY_SIDE: usize = 80;
/// Rows of the terminal that one line may take.
const WRAPS: usize = 8;
/// Columns of a bar's label and of the figures behind it.
const LABEL: usize = 11;
const FIGURES: usize = 21;

/// How a close-up is shown.
#[derive(Clone, Copy, Debug)]
pub struct TerminalLook {
    /// Columns.
    pub width: usize,
    /// Alike lines around each that differs; none folds nothing.
    pub context: Option<usize>,
    /// Colours.
    pub colour: Colour,
}

/// The lines, with their ends.
pub fn write(closeup: &Closeup, look: TerminalLook) -> String {
    let look = TerminalLook { width: look.width.clamp(*WIDTHS.start(), *WIDTHS.end()), ..look };
    let mut page = TerminalPage { out: String::new(), look };
    page.title(closeup);
    page.differences(closeup);
    page.request(closeup);
    page.answers(closeup);
    page.times(closeup);
    page.sentences("State", &closeup.bound);
    page.out
}

struct TerminalPage {
    out: String,
    look: TerminalLook,
}

impl TerminalPage {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn heading(&mut self, text: &str) {
        let text = self.look.colour.paint("1", text);
        let _ = write!(self.out, "\n{text}\n");
    }

    fn wrapped(&mut self, indent: usize, text: &str) {
        for chunk in wrap(text, self.look.width - indent) {
            self.line(&format!("{}{chunk}", " ".repeat(indent)));
        }
    }

    fn sentences(&mut self, heading: &str, sentences: &[String]) {
        if !sentences.is_empty() {
            self.heading(heading);
            sentences.iter().for_each(|sentence| self.wrapped(2, sentence));
        }
    }

    fn title(&mut self, closeup: &Closeup) {
        let head = format!("{}  {}", closeup.id, closeup.route);
        for line in wrap(&head, self.look.width) {
            let line = self.look.colour.paint("1", &line);
            self.line(&line);
        }
        self.wrapped(0, &closeup.title);
        let took = |nanos: Option<i64>| {
            nanos.map_or_else(String::new, |nanos| format!(" in {}", duration(nanos as f64)))
        };
        let lane = closeup.lane.map_or_else(String::new, |lane| format!(", lane {lane}"));
        let v2 = closeup.times.v2.as_ref().and_then(Flight::took_ns);
        let [one, other] = &closeup.statuses;
        let said = format!(
            "recorded {} UTC{lane}; v1 {one}{}; v2 {other}{}",
            instant(closeup.at),
            took(closeup.times.v1[1]),
            took(v2)
        );
        self.wrapped(0, &said);
        match &closeup.trace {
            // A line that is cut is no link any more.
            Some((_, Some(link))) => self.line(link),
            Some((id, None)) => self.line(&format!("trace {id}")),
            None => {}
        }
    }

    fn differences(&mut self, closeup: &Closeup) {
        if closeup.spots.is_empty() {
            return self.line("No difference was found.");
        }
        self.heading("Differences");
        for spot in &closeup.spots {
            let code = if spot.class == Class::Regression { "31" } else { "2" };
            for (index, text) in wrap(&spot_words(spot), self.look.width - 4).iter().enumerate() {
                let sign = if index == 0 { sign(Standing::Of(spot.class)) } else { ' ' };
                let line = self.look.colour.paint(code, &format!("  {sign} {text}"));
                self.line(&line);
            }
        }
        if closeup.more_spots > 0 {
            let more = plural(closeup.more_spots as u64, "more difference", "more differences");
            self.line(&format!("    … and {more}"));
        }
    }

    fn request(&mut self, closeup: &Closeup) {
        self.heading("Request");
        let most = self.look.width * WRAPS;
        for line in &closeup.request {
            let (text, _) = window(&line.text, None, most);
            self.wrapped(2, &text);
        }
    }

    fn answers(&mut self, closeup: &Closeup) {
        self.heading("Answers of v1 and v2");
        self.rows(&closeup.heads);
        if !closeup.bodies.is_empty() {
            self.line("");
            self.rows(&closeup.bodies);
        }
    }

    fn rows(&mut self, rows: &[PairedRow]) {
        let context = self.look.context.unwrap_or(rows.len());
        for shown in folded(rows, context) {
            match shown {
                ShownRows::Alike(many) => {
                    let text = plural(many as u64, "line alike", "lines alike");
                    let text = self.look.colour.paint("2", &format!("  ··· {text}"));
                    self.line(&text);
                }
                ShownRows::Row(row) if self.look.width >= SIDE_BY_SIDE => self.beside(row),
                ShownRows::Row(row) => self.below(row),
            }
        }
    }

    /// Both sides of a row, side by side.
    fn beside(&mut self, row: &PairedRow) {
        let width = (self.look.width - 3) / 2;
        let cells = [0, 1].map(|side| self.cell(row, side, width));
        let sign = sign(row.standing);
        let sign = match row.standing {
            Standing::Same => self.look.colour.paint("2", "│"),
            _ => sign.to_string(),
        };
        for at in 0..cells[0].len().max(cells[1].len()) {
            let empty = (String::new(), 0);
            let (left, used) = cells[0].get(at).unwrap_or(&empty);
            let (right, _) = cells[1].get(at).unwrap_or(&empty);
            let pad = " ".repeat(width.saturating_sub(*used));
            self.line(&format!("{left}{pad} {sign} {right}"));
        }
    }

    /// The lines of a cell with their widths, marked.
    fn cell(&self, row: &PairedRow, side: usize, width: usize) -> Vec<(String, usize)> {
        let Some(line) = &row.sides[side] else { return Vec::new() };
        let (text, mark) = window(&line.text, row.marks[side].as_ref(), width * WRAPS);
        let code = if side == 0 { "31" } else { "32" };
        chunks(&text, width)
            .into_iter()
            .map(|at| {
                let part = &text[at.clone()];
                (self.marked(part, mark.as_ref(), at, code), part.chars().count())
            })
            .collect()
    }

    /// A part of a text, what of the mark falls in it painted.
    fn marked(
        &self,
        part: &str,
        mark: Option<&Range<usize>>,
        at: Range<usize>,
        code: &str,
    ) -> String {
        let Some(mark) = mark else { return part.to_owned() };
        let (start, end) = (mark.start.clamp(at.start, at.end), mark.end.clamp(at.start, at.end));
        if start >= end {
            return part.to_owned();
        }
        let (start, end) = (start - at.start, end - at.start);
        let painted = self.look.colour.paint(code, &part[start..end]);
        format!("{}{painted}{}", &part[..start], &part[end..])
    }

    /// Both sides of a row, v1's above v2's where they differ.
    fn below(&mut self, row: &PairedRow) {
        let one = |page: &mut Self, side: usize, sign: &str| {
            for (index, (text, _)) in
                page.cell(row, side, page.look.width - 5).into_iter().enumerate()
            {
                let sign = if index == 0 { sign } else { "  " };
                page.line(&format!("{sign:<5}{text}"));
            }
        };
        if row.standing == Standing::Same {
            return one(self, 0, "");
        }
        let sign = sign(row.standing);
        one(self, 0, &format!("{sign} v1"));
        one(self, 1, &format!("{sign} v2"));
    }

    fn times(&mut self, closeup: &Closeup) {
        let times = &closeup.times;
        let Some(flight) = &times.v2 else { return };
        self.heading("Times from due: · waits, ─ to the first byte, ━ to the last");
        let start = times.before.iter().map(|other| other.due_ns).min().unwrap_or(flight.due_ns);
        let start = start.min(flight.due_ns);
        let end = |flight: &Flight| flight.ended_ns.or(flight.sent_ns).unwrap_or(flight.due_ns);
        let v1_end = flight.due_ns.saturating_add(times.v1[1].unwrap_or(0));
        let last = times.before.iter().map(end).max().unwrap_or(start).max(end(flight)).max(v1_end);
        let scale = Scale { start, span: last.saturating_sub(start).max(1), width: self.bars() };
        for other in &times.before {
            self.bar(&other.id.to_string(), &scale.flight(other), other.took_ns());
        }
        let v1 = Flight {
            due_ns: flight.due_ns,
            sent_ns: Some(flight.due_ns),
            first_byte_ns: times.v1[0].map(|nanos| flight.due_ns.saturating_add(nanos)),
            ended_ns: times.v1[1].map(|nanos| flight.due_ns.saturating_add(nanos)),
            ..Flight::default()
        };
        self.bar("v1", &scale.flight(&v1), v1.took_ns());
        self.bar("v2", &scale.flight(flight), flight.took_ns());
        if let Some(waited) = times.waited_for() {
            self.wrapped(2, &waited);
        }
    }

    const fn bars(&self) -> usize {
        self.look.width - LABEL - FIGURES
    }

    fn bar(&mut self, label: &str, bar: &str, took: Option<i64>) {
        let took = took.map_or_else(|| "–".to_owned(), |nanos| duration(nanos as f64));
        let label: String = label.chars().take(LABEL - 3).collect();
        self.line(&format!("  {label:<9}{bar} {took:>10}"));
    }
}

/// Where instants stand on a bar.
struct Scale {
    start: i64,
    span: i64,
    width: usize,
}

impl Scale {
    fn at(&self, nanos: i64) -> usize {
        let share = nanos.saturating_sub(self.start) as f64 / self.span as f64;
        (share * self.width as f64).round().clamp(0.0, self.width as f64) as usize
    }

    fn flight(&self, flight: &Flight) -> String {
        let mut bar = vec![' '; self.width];
        let sent = flight.sent_ns.unwrap_or(flight.due_ns);
        let ended = flight.ended_ns.unwrap_or(sent);
        let first = flight.first_byte_ns.unwrap_or(ended);
        for (from, to, sign) in
            [(flight.due_ns, sent, '·'), (sent, first, '─'), (first, ended, '━')]
        {
            let (from, to) = (self.at(from), self.at(to));
            bar[from..to.max(from)].fill(sign);
        }
        // What is too short for a column is seen nevertheless.
        let at = self.at(sent).min(self.width - 1);
        if bar[at] == ' ' {
            bar[at] = '━';
        }
        bar.into_iter().collect()
    }
}

/// What stands between the sides of a row.
const fn sign(standing: Standing) -> char {
    match standing {
        Standing::Same => ' ',
        Standing::Of(Class::Regression) => '≠',
        Standing::Of(_) | Standing::Apart => '~',
    }
}

/// A difference in words.
pub fn spot_words(spot: &Spot) -> String {
    let class = match spot.class {
        Class::Regression => String::new(),
        other => format!("{}: ", other.name()),
    };
    let place = if spot.place == spot.kind.name() { "" } else { spot.place.as_str() };
    let kind = match spot.kind {
        Kind::Missing => "missing",
        other => other.name(),
    };
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let [one, other] = &spot.values;
    let values = match one == other {
        // The values of a renamed member are the same.
        true if !spot.shape.is_empty() => spot.shape.clone(),
        true => value(one),
        false => format!("{} → {}", value(one), value(other)),
    };
    let about = [kind, place].join(" ");
    format!("{class}{}: {values} (cluster {})", about.trim_end(), spot.cluster)
}

/// The byte ranges of a text's parts of `width` characters.
fn chunks(text: &str, width: usize) -> Vec<Range<usize>> {
    let starts: Vec<usize> = text.char_indices().step_by(width.max(1)).map(|(at, _)| at).collect();
    let starts = if starts.is_empty() { vec![0] } else { starts };
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(from, to)| from..to).collect()
}
