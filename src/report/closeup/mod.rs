//! One exchange close up: its request, both answers side by side with the changed places marked,
//! its times, and what it waited for.
//!
//! In: an exchange, its outcome, its differences. Out: texts that may be shown as they are, after
//! the escape of the format that shows them: secrets are masked, and what cannot be seen is
//! visible.

mod body;
mod hidden;
pub mod json;
mod messages;
pub mod raw;
mod rows;
pub mod terminal;
mod times;

use std::collections::HashMap;

use crate::diff::Difference;
use crate::exchange::Exchange;
use crate::message::protobuf::Schema;
use crate::message::trace::TraceLink;
use crate::message::{Request, Response};
use crate::outcome::{Outcome, ReplayId};
use crate::record::flows::Binding;
use crate::redact::{Echoes, Masker};
use crate::time::Timestamp;

use super::shape_words;
use super::text::{short, visible};

pub use body::ShownLine;
pub(crate) use hidden::Hidden;
use hidden::{FIELD_CHARS, fields};
pub(crate) use rows::window;
pub use rows::{PairedRow, ShownRows, Spot, Standing, folded};
pub use times::{Flight, Times};

/// Longest target that is shown, in characters.
const TARGET_CHARS: usize = 2_000;
/// Most differences of one exchange that are listed.
const MOST_SPOTS: usize = 100;

/// What a close-up is made of.
pub struct CloseupSubject<'a> {
    /// Which request of the replay.
    pub id: ReplayId,
    /// What was recorded.
    pub exchange: &'a Exchange,
    /// What became of it at v2.
    pub outcome: Option<&'a Outcome>,
    /// The route, as reports name it.
    pub route: &'a str,
    /// Its differences.
    pub differences: &'a [Difference],
    /// How the clusters of its differences changed, by their ids.
    pub shapes: &'a HashMap<String, String>,
    /// The values that its answer issues.
    pub bindings: &'a [Binding],
    /// The values that were put into its request, each with where.
    pub put: &'a [(String, Binding)],
    /// Earlier requests of its lane, in order.
    pub before: &'a [Flight],
    /// The page that shows a trace, where one was named.
    pub trace_link: Option<&'a TraceLink>,
    /// Hides secrets.
    pub masker: &'a Masker,
    /// Names the fields of messages.
    pub schema: &'a Schema,
}

impl<'a> CloseupSubject<'a> {
    /// v1's answer and v2's.
    fn answers(&self) -> [Option<&'a Response>; 2] {
        let v1 = self.exchange.response.as_ref().map(|answer| &answer.message);
        [v1, self.outcome.and_then(|outcome| outcome.response.as_ref())]
    }
}

/// One exchange close up.
#[derive(Clone, Debug, Default)]
pub struct Closeup {
    /// Which request of the replay.
    pub id: ReplayId,
    /// Its lane.
    pub lane: Option<u64>,
    /// Its route.
    pub route: String,
    /// Method and target.
    pub title: String,
    /// Capture time of its request.
    pub at: Timestamp,
    /// What v1 and v2 answered: a status, or why there is none.
    pub statuses: [String; 2],
    /// Head and body of the request.
    pub request: Vec<ShownLine>,
    /// Status lines and header fields of both answers.
    pub heads: Vec<PairedRow>,
    /// Bodies of both answers.
    pub bodies: Vec<PairedRow>,
    /// The differences, the weightiest first.
    pub spots: Vec<Spot>,
    /// Differences beyond those that are listed.
    pub more_spots: usize,
    /// When what happened.
    pub times: Times,
    /// What was bound, in sentences.
    pub bound: Vec<String>,
    /// The trace that v2 was asked in: its id, and the page that shows it.
    pub trace: Option<(String, Option<String>)>,
}

impl Closeup {
    /// Of one exchange.
    pub fn of(subject: &CloseupSubject<'_>) -> Self {
        let CloseupSubject { exchange, outcome, masker, .. } = subject;
        let nothing = Request::default();
        let request = exchange.request.as_ref().map_or(&nothing, |request| &request.message);
        let answers = subject.answers();
        let said = messages::said(exchange, *outcome, subject.schema);
        let known = answers.iter().flatten().copied().chain(said.iter().flatten());
        let known: Vec<&Response> = known.collect();
        let hidden = Hidden { masker, echoes: Echoes::of(masker, request, &known) };
        // What was said in messages stands where other answers have their bodies.
        let contents = match &said {
            Some([_, v1, v2]) => [answers[0].map(|_| v1), answers[1].map(|_| v2)],
            None => answers,
        };
        let (spots, more_spots) = spots(subject.differences, subject.shapes);
        let failures = [v1_missing(exchange), v2_missing(*outcome, &hidden)];
        let statuses = [0, 1].map(|side| match (answers[side], &failures[side]) {
            (Some(answer), None) => answer.status.to_string(),
            (Some(answer), Some(why)) => format!("{}, {why}", answer.status),
            (None, why) => why.clone().unwrap_or_else(|| "no answer".to_owned()),
        });
        Self {
            id: subject.id,
            lane: outcome.map(|outcome| outcome.lane),
            route: visible(&short(subject.route, TARGET_CHARS)).into_owned(),
            title: title(request, &hidden),
            at: exchange.request.as_ref().map_or_else(Timestamp::default, |request| request.at),
            request: request_lines(request, said.as_ref().map(|[asked, ..]| asked), &hidden),
            heads: heads(answers, &failures, &spots, &hidden),
            bodies: rows::aligned(
                contents.map(|answer| {
                    answer.map_or_else(Vec::new, |answer| {
                        body::lines(&answer.headers, &answer.body, &answer.trailers, &hidden)
                    })
                }),
                &spots,
            ),
            times: Times::of(exchange, *outcome, subject.before),
            bound: bound(*outcome, subject, &hidden),
            trace: outcome.and_then(|outcome| outcome.traceparent).map(|parent| {
                let link = subject.trace_link.map(|link| link.of(parent));
                (format!("{:032x}", parent.trace), link)
            }),
            statuses,
            spots,
            more_spots,
        }
    }
}

fn title(request: &Request, hidden: &Hidden<'_>) -> String {
    let target = String::from_utf8_lossy(&request.target);
    let target = hidden.line(&hidden.masker.target(&target), TARGET_CHARS);
    format!("{} {target}", visible(&String::from_utf8_lossy(&request.method)))
}

/// `said`: by the client, in messages.
fn request_lines(
    request: &Request,
    said: Option<&Response>,
    hidden: &Hidden<'_>,
) -> Vec<ShownLine> {
    let mut lines = vec![ShownLine::plain(title(request, hidden))];
    lines.extend(
        fields(&request.headers, hidden).map(|(name, value)| ShownLine::field(&name, &value)),
    );
    let content = match said {
        Some(said) => body::lines(&said.headers, &said.body, &said.trailers, hidden),
        None => body::lines(&request.headers, &request.body, &request.trailers, hidden),
    };
    if !content.is_empty() {
        lines.push(ShownLine::plain(String::new()));
        lines.extend(content);
    }
    lines
}

/// Why v1's answer is not there, or not whole.
fn v1_missing(exchange: &Exchange) -> Option<String> {
    use crate::exchange::Completeness;
    match exchange.completeness {
        Completeness::Complete | Completeness::OrphanResponse => None,
        Completeness::NoResponse => Some("no answer before the connection ended".to_owned()),
        Completeness::RequestDamaged => Some("its request is not whole".to_owned()),
        Completeness::ResponseDamaged => Some("not whole".to_owned()),
    }
}

/// Why v2's answer is not there, or not whole.
fn v2_missing(outcome: Option<&Outcome>, hidden: &Hidden<'_>) -> Option<String> {
    let Some(outcome) = outcome else { return Some("not replayed".to_owned()) };
    let failure = outcome.failure.as_ref()?;
    let detail = hidden.line(&hidden.masker.text(&failure.detail), FIELD_CHARS);
    Some(match detail.is_empty() {
        true => failure.kind.name().to_owned(),
        false => format!("{}: {detail}", failure.kind.name()),
    })
}

fn heads(
    answers: [Option<&Response>; 2],
    failures: &[Option<String>; 2],
    spots: &[Spot],
    hidden: &Hidden<'_>,
) -> Vec<PairedRow> {
    let status = [0, 1].map(|side| {
        let missing = failures[side].as_ref().map(|why| format!("({why})"));
        let told = answers[side].map(|answer| {
            let reason = String::from_utf8_lossy(&answer.reason);
            format!("{} {}", answer.status, hidden.line(&hidden.masker.text(&reason), 100))
                .trim_end()
                .to_owned()
        });
        let text: Vec<String> = told.into_iter().chain(missing).collect();
        (!text.is_empty()).then(|| text.join(" "))
    });
    let all = answers
        .map(|answer| answer.map_or_else(Vec::new, |a| fields(&a.headers, hidden).collect()));
    rows::heads(status, all, spots)
}

fn spots(differences: &[Difference], shapes: &HashMap<String, String>) -> (Vec<Spot>, usize) {
    let mut sorted: Vec<&Difference> = differences.iter().collect();
    sorted.sort_by_key(|difference| difference.class);
    let value = |value: &Option<String>| value.as_deref().map(|text| visible(text).into_owned());
    let spots = sorted.iter().take(MOST_SPOTS).map(|difference| Spot {
        class: difference.class,
        kind: difference.kind,
        place: visible(&short(&difference.place, 300)).into_owned(),
        values: [value(&difference.expected), value(&difference.actual)],
        cluster: visible(&short(&difference.cluster, 40)).into_owned(),
        shape: shapes.get(&difference.cluster).map_or_else(String::new, |shape| {
            visible(&short(&shape_words(shape), 200)).into_owned()
        }),
    });
    (spots.collect(), sorted.len().saturating_sub(MOST_SPOTS))
}

/// What was bound in it: values of v2 that were put into its request, such as were wanting, and
/// those that its answer issues.
fn bound(
    outcome: Option<&Outcome>,
    CloseupSubject { bindings, put, .. }: &CloseupSubject<'_>,
    hidden: &Hidden<'_>,
) -> Vec<String> {
    use crate::gate::words::plural;
    /// Most bindings that are told.
    const MOST: usize = 30;
    let value = |text: &str| hidden.line(&hidden.masker.text(text), 120);
    let mut told = Vec::new();
    let Some(outcome) = outcome else { return told };
    if outcome.bound > 0 {
        let many = plural(u64::from(outcome.bound), "value of v2 was", "values of v2 were");
        told.push(format!("{many} put into its request, in the place of v1's."));
    }
    told.extend(put.iter().take(MOST).filter_map(|(place, binding)| {
        let v2 = binding.v2.as_deref()?;
        // What v2 issued stands in no message here, so that only its place, and v1's, tell that it is
        // a secret.
        let masker = hidden.masker;
        let is_secret = value(&binding.v1) != visible(&short(&binding.v1, 120))
            || [place, &binding.place].iter().any(|place| *masker.place(place, v2) != *v2);
        let value = |text: &str| match is_secret {
            true => hidden.line(&masker.secret(text), 120),
            false => value(text),
        };
        Some(format!(
            "Put in at {}: {} for {}, as issued in the answer to {} ({}).",
            visible(place),
            value(v2),
            value(&binding.v1),
            binding.id,
            visible(&binding.place)
        ))
    }));
    told.extend(outcome.unbound.iter().take(MOST).map(|unbound| {
        let place = visible(&unbound.place).into_owned();
        format!("Sent with v1's value: v2 did not issue {place} in its answer to {}.", unbound.root)
    }));
    told.extend(bindings.iter().take(MOST).map(|binding| {
        let place = visible(&binding.place).into_owned();
        match (&binding.v2, &binding.reason) {
            (Some(v2), _) => {
                format!("Issues {place}: v1 gave {}, v2 gave {}.", value(&binding.v1), value(v2))
            }
            (None, Some(reason)) => format!(
                "Issues {place}: v1 gave {}, v2 none: {}.",
                value(&binding.v1),
                visible(reason)
            ),
            (None, None) => format!("Issues {place}: v1 gave {}, v2 none.", value(&binding.v1)),
        }
    }));
    told
}
