//! v2's calls to its providers in words: what is said before all else, and each cluster with both
//! sides.

use super::next::{NextStep, approve};
use super::shown::seen;
use crate::gate::words::{count, plural};
use crate::mock::ledger::CallVerdict;
use crate::record::curl::quoted;
use crate::report::{CallCluster, Egress, anchor};

/// Providers and routes of outgoing calls that are shown.
const EGRESS_ROUTES: usize = 200;

pub(super) struct EgressWords {
    pub(super) lead: String,
    /// Said before all else: something was changed at a provider more often than by v1.
    pub(super) alarm: String,
    /// Where the command lines send their calls.
    pub(super) mock: &'static str,
    /// Clusters that are held against v2.
    pub(super) held: usize,
    /// Provider, route, and calls by verdict.
    pub(super) routes: Vec<(String, String, Vec<String>)>,
    /// The mock did not come to its end: what is missing is not known.
    pub(super) incomplete: bool,
    pub(super) clusters: Vec<CallWords>,
    /// How many clusters more there are; empty where there are none.
    pub(super) more: String,
}

/// A cluster of outgoing calls.
pub(super) struct CallWords {
    pub(super) id: String,
    pub(super) class: &'static str,
    pub(super) open: bool,
    pub(super) many: String,
    pub(super) what: &'static str,
    pub(super) route: String,
    pub(super) provider: String,
    pub(super) shape: String,
    /// Place, v1's value, v2's.
    pub(super) places: Vec<(String, String, String)>,
    /// The bodies; none where that side made no call.
    pub(super) expected: Option<String>,
    pub(super) actual: Option<String>,
    pub(super) causes: String,
    pub(super) repeat: String,
    /// Why the calls are intended; empty where nobody said so.
    pub(super) approved: String,
    /// What to do next.
    pub(super) next: Vec<NextStep>,
}

impl EgressWords {
    /// Of the run in `folder`.
    pub(super) fn new(egress: &Egress, folder: &str) -> Self {
        let routes = egress.routes.iter().take(EGRESS_ROUTES).map(|route| {
            let cells = CallVerdict::ALL
                .into_iter()
                .map(|verdict| count(route.counts.of(verdict)))
                .collect();
            (seen(&route.provider, 100), seen(&route.route, 200), cells)
        });
        let mut lead = format!(
            "{} of {} of v2 to its providers are not v1's: {}.",
            count(egress.different),
            plural(egress.total(), "call", "calls"),
            egress
                .calls
                .iter()
                .map(|(name, &n)| format!("{} {name}", count(n)))
                .collect::<Vec<_>>()
                .join(", ")
        );
        if egress.approved > 0 {
            lead += &format!(
                " {} only as approved.",
                plural(egress.approved, "more differs", "more differ")
            );
        }
        if egress.faulted > 0 {
            lead += &format!(" {} got a fault on purpose.", count(egress.faulted));
        }
        Self {
            lead,
            alarm: alarm(egress),
            mock: crate::diff::repeat::MOCK.trim_start_matches("http://"),
            routes: routes.collect(),
            incomplete: !egress.complete,
            held: egress.clusters.iter().filter(|cluster| cluster.approved.is_none()).count(),
            clusters: egress.clusters.iter().map(|cluster| call_words(cluster, folder)).collect(),
            more: match egress.more_clusters {
                0 => String::new(),
                n => plural(n, "smaller cluster", "smaller clusters"),
            },
        }
    }
}

/// What is said before all else: calls that change something at a provider and are not v1's.
pub(super) fn alarm(egress: &Egress) -> String {
    match egress.unsafe_repeated {
        0 if egress.unsafe_different > 0 => format!(
            "{} of v2 that {} something at a provider {} not v1's",
            plural(egress.unsafe_different, "call", "calls"),
            if egress.unsafe_different == 1 { "changes" } else { "change" },
            if egress.unsafe_different == 1 { "is" } else { "are" }
        ),
        0 => String::new(),
        1 => "v2 made 1 call that changes something at a provider more often than v1".to_owned(),
        n => format!(
            "v2 made {} calls that change something at a provider more often than v1",
            count(n)
        ),
    }
}

pub(super) fn call_words(cluster: &CallCluster, folder: &str) -> CallWords {
    let (quoted, id) = (quoted(folder), anchor(&cluster.id));
    let value = |value: &Option<String>| {
        value.as_deref().map_or_else(|| "nothing".to_owned(), |value| seen(value, 120))
    };
    let body = |text: &str| if text.is_empty() { "no body".to_owned() } else { seen(text, 500) };
    CallWords {
        id: seen(&cluster.id, 40),
        class: match &cluster.approved {
            Some(_) => "approved",
            None if cluster.changes => "regression",
            None => "noise",
        },
        open: cluster.changes && cluster.approved.is_none(),
        many: plural(cluster.calls, "call", "calls"),
        what: cluster.what,
        route: seen(&cluster.route, 200),
        provider: seen(&cluster.provider, 100),
        shape: seen(&cluster.shape, 80),
        places: cluster
            .places
            .iter()
            .map(|(place, a, b)| (seen(place, 120), value(a), value(b)))
            .collect(),
        expected: (cluster.verdict != "extra" || !cluster.expected.is_empty())
            .then(|| body(&cluster.expected)),
        actual: (cluster.verdict != "missing").then(|| body(&cluster.actual)),
        causes: seen(&cluster.causes.join(", "), 200),
        repeat: seen(&cluster.repeat, 6_000),
        approved: cluster.approved.as_deref().map(|why| seen(why, 300)).unwrap_or_default(),
        next: match &cluster.approved {
            Some(_) => Vec::new(),
            None => vec![
                NextStep { what: "Look at it", text: format!("shadowtap show {quoted} {id}") },
                NextStep { what: "It is intended", text: approve(&quoted, &id, "") },
            ],
        },
    }
}
