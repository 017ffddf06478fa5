//! Exchanges on the page: each with its request, both answers side by side, and its waterfall.
//! Each is rendered by itself, so that as many are shown as the page has room for.

use std::collections::HashMap;

use askama::Template;

use crate::diff::{Class, Cluster};
use crate::gate::words::{duration, plural};
use crate::report::closeup::terminal::spot_words;
use crate::report::closeup::{
    Closeup, Flight, PairedRow, ShownLine, ShownRows, Standing, folded, window,
};
use crate::report::cluster_id;

/// Alike lines around each that differs.
const CONTEXT: usize = 3;
/// Longest line, in characters; of a longer one the part around its mark.
const LINE_CHARS: usize = 300;
/// Lines of a request.
const REQUEST_LINES: usize = 60;
/// Earlier requests of the lane.
const BEFORE: usize = 4;
/// Differences that are told in words; the others are marked.
const SPOTS: usize = 12;
/// Length of a bar.
const BAR: f64 = 400.0;

/// The exchanges of one cluster.
#[derive(Default)]
pub(super) struct Exchanges {
    /// As HTML, escaped.
    pub(super) shown: Vec<String>,
    /// Ids of those that another cluster shows.
    pub(super) elsewhere: Vec<String>,
}

#[derive(Template)]
#[template(path = "exchange.html")]
struct ExchangeWords {
    id: String,
    title: String,
    v1: String,
    v2: String,
    spots: Vec<(&'static str, String)>,
    request: Vec<String>,
    rows: Vec<RowWords>,
    bars: Vec<BarWords>,
    waited: String,
    bound: Vec<String>,
    /// The trace's id, and the page that shows it.
    trace: Option<(String, String)>,
}

/// A row of both answers.
struct RowWords {
    /// Of the row: `held` for a regression, `apart` for what does not count, `alike` for a fold.
    class: &'static str,
    /// Of each side: before the mark, the mark, behind it.
    cells: [[String; 3]; 2],
    /// Instead of cells: so many alike lines.
    fold: String,
}

/// A bar of the waterfall.
struct BarWords {
    label: String,
    /// Where waiting, the time to the first byte and the time to the last one begin and end.
    parts: [(u32, u32); 3],
    took: String,
}

/// Puts exchanges into clusters as long as there is room for them, `room` bytes in all: each into
/// the first of its clusters, which the others lead to.
pub(super) fn exchanges(
    closeups: &[Closeup],
    clusters: &[Cluster],
    room: usize,
) -> HashMap<String, Exchanges> {
    let rank: HashMap<&str, usize> =
        clusters.iter().enumerate().map(|(rank, cluster)| (&*cluster.id, rank)).collect();
    let mut left = room;
    let mut found: HashMap<String, Exchanges> = HashMap::new();
    for closeup in closeups {
        let mut ranks: Vec<usize> =
            closeup.spots.iter().filter_map(|spot| rank.get(&*spot.cluster).copied()).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let Some((first, others)) = ranks.split_first() else { continue };
        let html = ExchangeWords::new(closeup).render().unwrap_or_default();
        if html.is_empty() || html.len() > left {
            continue;
        }
        left -= html.len();
        found.entry(cluster_id(&clusters[*first])).or_default().shown.push(html);
        for other in others {
            let id = closeup.id.to_string();
            let link = id.len() + 40;
            if link <= left {
                left -= link;
                found.entry(cluster_id(&clusters[*other])).or_default().elsewhere.push(id);
            }
        }
    }
    found
}

impl ExchangeWords {
    fn new(closeup: &Closeup) -> Self {
        let took = |nanos: Option<i64>| {
            nanos.map_or_else(String::new, |nanos| format!(" in {}", duration(nanos as f64)))
        };
        let v2 = closeup.times.v2.as_ref().and_then(Flight::took_ns);
        let [one, other] = &closeup.statuses;
        let told = closeup.spots.iter().take(SPOTS).map(|spot| {
            (if spot.class == Class::Regression { "held" } else { "apart" }, spot_words(spot))
        });
        let more = closeup.spots.len().saturating_sub(SPOTS) + closeup.more_spots;
        let more = (more > 0)
            .then(|| ("apart", plural(more as u64, "more difference", "more differences")));
        let all: Vec<PairedRow> = closeup.heads.iter().chain(&closeup.bodies).cloned().collect();
        Self {
            id: closeup.id.to_string(),
            title: closeup.title.clone(),
            v1: format!("{one}{}", took(closeup.times.v1[1])),
            v2: format!("{other}{}", took(v2)),
            spots: told.chain(more).collect(),
            request: request(&closeup.request),
            rows: folded(&all, CONTEXT).iter().map(row).collect(),
            bars: bars(closeup),
            waited: closeup.times.waited_for().unwrap_or_default(),
            bound: closeup.bound.clone(),
            trace: closeup.trace.clone().map(|(id, link)| (id, link.unwrap_or_default())),
        }
    }
}

fn request(lines: &[ShownLine]) -> Vec<String> {
    let mut shown: Vec<String> = lines
        .iter()
        .take(REQUEST_LINES)
        .map(|line| window(&line.text, None, LINE_CHARS).0)
        .collect();
    if lines.len() > REQUEST_LINES {
        let more = plural((lines.len() - REQUEST_LINES) as u64, "more line", "more lines");
        shown.push(format!("… and {more}"));
    }
    shown
}

fn row(shown: &ShownRows<'_>) -> RowWords {
    let row = match shown {
        ShownRows::Alike(many) => {
            let fold = plural(*many as u64, "line alike", "lines alike");
            return RowWords { class: "alike", cells: Default::default(), fold };
        }
        ShownRows::Row(row) => row,
    };
    let class = match row.standing {
        Standing::Same => "",
        Standing::Of(Class::Regression) => "held",
        Standing::Of(_) | Standing::Apart => "apart",
    };
    RowWords { class, cells: [0, 1].map(|side| cell(row, side)), fold: String::new() }
}

/// A side of a row: before the mark, the mark, behind it.
fn cell(row: &PairedRow, side: usize) -> [String; 3] {
    let Some(line) = &row.sides[side] else { return Default::default() };
    let (text, mark) = window(&line.text, row.marks[side].as_ref(), LINE_CHARS);
    match mark {
        None => [text, String::new(), String::new()],
        Some(mark) => {
            [&text[..mark.start], &text[mark.clone()], &text[mark.end..]].map(str::to_owned)
        }
    }
}

fn bars(closeup: &Closeup) -> Vec<BarWords> {
    let times = &closeup.times;
    let Some(flight) = &times.v2 else { return Vec::new() };
    let before = &times.before[times.before.len().saturating_sub(BEFORE)..];
    let after = |nanos: Option<i64>| nanos.map(|nanos| flight.due_ns.saturating_add(nanos));
    let v1 = Flight {
        due_ns: flight.due_ns,
        sent_ns: Some(flight.due_ns),
        first_byte_ns: after(times.v1[0]),
        ended_ns: after(times.v1[1]),
        ..Flight::default()
    };
    let all = || before.iter().chain([&v1, flight]);
    let end = |flight: &Flight| flight.ended_ns.or(flight.sent_ns).unwrap_or(flight.due_ns);
    let start = all().map(|flight| flight.due_ns).min().unwrap_or(0);
    let span = all().map(end).max().unwrap_or(start).saturating_sub(start).max(1) as f64;
    let at = |nanos: i64| {
        (nanos.saturating_sub(start) as f64 / span * BAR).clamp(0.0, BAR).round() as u32
    };
    let bar = |label: String, flight: &Flight| {
        let sent = flight.sent_ns.unwrap_or(flight.due_ns);
        let ended = flight.ended_ns.unwrap_or(sent);
        let first = flight.first_byte_ns.unwrap_or(ended);
        let [due, sent, first, ended] = [flight.due_ns, sent, first, ended].map(at);
        BarWords {
            label,
            parts: [(due, sent), (sent, first.max(sent + 1)), (first, ended)],
            took: flight.took_ns().map_or_else(|| "–".to_owned(), |nanos| duration(nanos as f64)),
        }
    };
    let earlier = before.iter().map(|other| bar(other.id.to_string(), other));
    earlier.chain([bar("v1".to_owned(), &v1), bar("v2".to_owned(), flight)]).collect()
}
