//! The state of a run on the page: what was bound, what v2 did not issue and what follows from it,
//! and the table of flows.

use super::shown::seen;
use crate::gate::words::{count, percent, plural};
use crate::record::flows::{Flow, FlowEvidence};
use crate::report::Report;
use crate::report::cluster_id;
use crate::report::state::{followers, root_words, roots, sentence};

/// Roots that are listed.
const ROOTS: usize = 30;
/// Clusters that are named below a root.
const FOLLOWERS: usize = 12;

/// The section, ready for its template.
pub(super) struct StateWords {
    pub(super) lead: String,
    pub(super) roots: Vec<RootWords>,
    pub(super) more_roots: String,
    pub(super) flows: Vec<FlowRow>,
    pub(super) more: String,
    pub(super) older: Vec<(String, String)>,
}

/// A value that v2 did not issue.
pub(super) struct RootWords {
    /// The cluster that shows it.
    pub(super) id: String,
    pub(super) text: String,
    /// Clusters that follow from it: id and what they are about.
    pub(super) followers: Vec<(String, String)>,
    pub(super) more: String,
}

/// A row of the table of flows.
pub(super) struct FlowRow {
    pub(super) from: String,
    pub(super) from_place: String,
    pub(super) to: String,
    pub(super) to_place: String,
    pub(super) class: &'static str,
    pub(super) why: String,
    /// Values to sort by, and as they are shown.
    pub(super) cells: Vec<(f64, String)>,
}

impl StateWords {
    /// None where nothing was to be bound.
    pub(super) fn new(report: &Report<'_>) -> Option<Self> {
        let lead = sentence(report)?;
        let followers = followers(report);
        let roots = roots(report);
        let words = roots.iter().take(ROOTS).map(|root| {
            let follow = followers.get(root.id.as_str()).map_or(&[][..], Vec::as_slice);
            RootWords {
                id: cluster_id(root),
                text: seen(&root_words(root), 400),
                followers: follow
                    .iter()
                    .take(FOLLOWERS)
                    .map(|cluster| (cluster_id(cluster), seen(&cluster.route, 120)))
                    .collect(),
                more: more(follow.len(), FOLLOWERS, ["more change", "more changes"]),
            }
        });
        let state = report.state;
        let flows = state.map_or(&[][..], |state| &state.flows);
        let older = state.into_iter().flat_map(|state| &state.figures.older_by_route);
        Some(Self {
            lead,
            roots: words.collect(),
            more_roots: more(roots.len(), ROOTS, ["more value", "more values"]),
            flows: flows.iter().map(FlowRow::new).collect(),
            more: state
                .filter(|state| state.more > 0)
                .map(|state| plural(state.more, "more flow is", "more flows are"))
                .unwrap_or_default(),
            older: older.take(ROOTS).map(|(route, &n)| (seen(route, 160), count(n))).collect(),
        })
    }
}

fn more(all: usize, shown: usize, [one, many]: [&str; 2]) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        rest => plural(rest as u64, one, many),
    }
}

impl FlowRow {
    fn new(flow: &Flow) -> Self {
        let [first, rest @ ..] = flow.to.as_slice() else {
            return Self::ends(flow, "nowhere".to_owned(), String::new());
        };
        let to = match rest.len() {
            0 => seen(&first.route, 160),
            rest => {
                format!("{} and {}", seen(&first.route, 120), plural(rest as u64, "more", "more"))
            }
        };
        Self::ends(flow, to, seen(&first.place, 160))
    }

    fn ends(flow: &Flow, to: String, to_place: String) -> Self {
        let number = |n: u64| (n as f64, count(n));
        let after = |n: Option<u64>| n.map_or((-1.0, "·".to_owned()), number);
        Self {
            from: seen(&flow.from.route, 160),
            from_place: seen(&flow.from.place, 160),
            to,
            to_place,
            class: match flow.class {
                FlowEvidence::Sure => "sure",
                FlowEvidence::Likely => "likely",
                FlowEvidence::Refused => "refused",
            },
            why: seen(flow.reason.as_deref().unwrap_or_default(), 200),
            cells: vec![
                number(flow.values),
                number(flow.uses),
                (flow.coverage, percent(flow.coverage)),
                after(flow.bound),
                after(flow.unbound),
                after(flow.not_issued),
            ],
        }
    }
}
