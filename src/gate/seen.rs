//! What a verdict rests on: the share of the tapped traffic that could be read, and what of it was
//! neither replayed nor compared.

use super::words::{count, percent, plural};
use super::{Check, Evidence, Policy};
use crate::diff::Totals;
use crate::measure::Summary;

/// Most reasons for skipping that are told.
const REASONS: usize = 3;

/// Why there is no verdict: too little of the tapped connections could be read, or too much of what
/// they said was not replayed.
pub(super) fn too_little(summary: &Summary, policy: &Policy) -> Option<String> {
    unreadable(summary, policy).or_else(|| {
        let (skipped, recorded) = (skipped(summary), summary.recorded());
        let share = recorded.saturating_sub(skipped) as f64 / recorded.max(1) as f64;
        (skipped > 0 && share < policy.min_seen).then(|| {
            format!(
                "Of {} {} not replayed ({}): what is left is {} of the traffic, and min_seen asks \
                 for {}. Replay them (--unsafe-methods), or lower min_seen.",
                plural(recorded, "exchange", "exchanges"),
                plural(skipped, "was", "were"),
                reasons(summary),
                percent(share),
                percent(policy.min_seen)
            )
        })
    })
}

fn skipped(summary: &Summary) -> u64 {
    summary.skipped.values().sum()
}

fn unreadable(summary: &Summary, policy: &Policy) -> Option<String> {
    let shares = summary.capture_ledger.seen.readable_share()?;
    (shares.connections < policy.min_seen).then(|| {
        format!(
            "Only {} of the tapped connections could be read{}; min_seen asks for {}. Give the \
             keys of TLS (--keylog), tap the plaintext side, or lower min_seen.",
            percent(shares.connections),
            unread(summary),
            percent(policy.min_seen)
        )
    })
}

/// Requests that tell nothing of v2, since what they say is not v2's own.
pub(super) struct UnboundRequests {
    /// Sent with v1's values, since v2 had issued none.
    pub(super) lacking: u64,
    /// Of these: the request that would have issued them was not sent.
    unsent: u64,
    /// Refused by v2, with values from before the capture.
    older: u64,
    requests: u64,
}

impl UnboundRequests {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let (summary, totals) = (evidence.summary, evidence.totals);
        // A value from before the capture that v2 takes is no harm.
        let refused = |(route, &older): (&String, &u64)| {
            summary.route(route).map_or(0, |route| route.pairs.refusals).min(older)
        };
        let older =
            evidence.state.map_or(0, |state| state.older_by_route.iter().map(refused).sum());
        Self {
            lacking: summary.unbound,
            unsent: totals.unbound_unsent.min(summary.unbound),
            older,
            requests: summary.replayed.max(totals.compared + totals.unbound).max(1),
        }
    }

    fn share_of(&self, count: u64) -> f64 {
        count.min(self.requests) as f64 / self.requests as f64
    }

    /// Whether there are too many of them by no fault of v2: then what it differs in says nothing.
    pub(super) fn is_ours(&self, policy: &Policy) -> bool {
        self.share_of(self.unsent + self.older) > policy.max_unbound_rate
    }

    /// Whether enough of the requests carried values of v2's own where they carried v1's.
    pub(super) fn check(&self, policy: &Policy) -> Check {
        let all = self.lacking + self.older;
        let why = match all {
            0 => "No request lacked a value that an answer had issued to v1's clients.".to_owned(),
            _ => {
                let lacking = format!(
                    "{} sent with values that v2 had not issued",
                    plural(self.lacking, "was", "were")
                );
                let older = format!(
                    "{} refused by v2 with values from before the capture",
                    plural(self.older, "was", "were")
                );
                let said = [(self.lacking, lacking), (self.older, older)];
                let said = said.into_iter().filter(|(count, _)| *count > 0).map(|(_, said)| said);
                format!(
                    "Of {} {} ({}); {} is allowed.",
                    plural(self.requests, "request", "requests"),
                    said.collect::<Vec<_>>().join(", and "),
                    percent(self.share_of(all)),
                    percent(policy.max_unbound_rate)
                )
            }
        };
        Check {
            name: UNBOUND.to_owned(),
            holds: self.share_of(all) <= policy.max_unbound_rate,
            why,
            advice: "Begin the capture before the sessions do, send what issues the values \
                     (--include-producers), give those that are older ([[flow.supply]]), or raise \
                     max_unbound_rate."
                .to_owned(),
        }
    }
}

/// The condition of a run that is about values.
pub(super) const UNBOUND: &str = "max_unbound_rate";

/// What of the traffic a pass says nothing about.
pub(super) fn sentences(summary: &Summary, totals: &Totals) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(shares) = summary.capture_ledger.seen.readable_share() {
        said.push(format!(
            "Of the tapped traffic {} of the connections, {} of the packets and {} of the bytes \
             could be read{}.",
            percent(shares.connections),
            percent(shares.packets),
            percent(shares.bytes),
            unread(summary)
        ));
    }
    let skipped = skipped(summary);
    if skipped > 0 {
        said.push(format!("{} not replayed: {}.", were(skipped), reasons(summary)));
    }
    let left = summary
        .recorded()
        .saturating_sub(skipped)
        .saturating_sub(totals.compared)
        .saturating_sub(totals.unbound);
    if totals.unbound > 0 {
        said.push(format!(
            "{} left out of every rate and latency: v2 had not issued what they use.",
            were(totals.unbound)
        ));
    }
    let sent = summary.replayed + skipped + summary.damaged();
    let unsent = summary.recorded().saturating_sub(sent).min(left);
    if unsent > 0 {
        said.push(format!("{} not sent: not chosen, or marked as a replay's own.", were(unsent)));
    }
    if left > unsent {
        let left = were(left - unsent);
        said.push(format!("{left} not compared: no whole answer on both sides."));
    }
    said
}

fn were(exchanges: u64) -> String {
    plural(exchanges, "exchange was", "exchanges were")
}

/// How the first line of a pass begins: what approvals and skips hide is said.
pub(super) fn none_differs(summary: &Summary, totals: &Totals) -> String {
    let compared = plural(totals.compared, "compared exchange", "compared exchanges");
    let hidden = match skipped(summary) {
        0 => String::new(),
        skipped => {
            let recorded = count(summary.recorded().max(skipped));
            let were = if skipped == 1 { "was" } else { "were" };
            format!("; {} of {recorded} {were} not replayed", count(skipped))
        }
    };
    match totals.approved {
        0 => format!("None of {compared} differs{hidden}."),
        approved => {
            format!("Of {compared} {} differ as approved, no other does{hidden}.", count(approved))
        }
    }
}

fn reasons(summary: &Summary) -> String {
    let mut all: Vec<_> = summary.skipped.iter().collect();
    all.sort_by_key(|&(reason, n)| (std::cmp::Reverse(*n), reason));
    let told: Vec<String> =
        all.iter().take(REASONS).map(|(reason, n)| format!("{reason} × {}", count(**n))).collect();
    told.join(", ")
}

/// The largest reason why connections could not be read.
fn unread(summary: &Summary) -> String {
    let seen = &summary.capture_ledger.seen;
    let largest = seen.unread.iter().max_by_key(|(_, traffic)| traffic.connections);
    match largest.filter(|(_, traffic)| traffic.connections > 0) {
        Some((reason, traffic)) => {
            format!(" ({reason}: {})", plural(traffic.connections, "connection", "connections"))
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Pairs, RouteSummary};
    use crate::record::flows::FlowFigures;

    fn run(refusals: u64, lacking: u64, unsent: u64) -> (bool, bool) {
        let (check, is_ours) = checked(refusals, lacking, unsent);
        (check.holds, is_ours)
    }

    fn checked(refusals: u64, lacking: u64, unsent: u64) -> (Check, bool) {
        let route = RouteSummary {
            route: "GET /me".into(),
            pairs: Pairs { count: 60, refusals, ..Pairs::default() },
            ..RouteSummary::default()
        };
        let summary =
            Summary { replayed: 100, unbound: lacking, routes: vec![route], ..Summary::default() };
        let totals = Totals { unbound_unsent: unsent, ..Totals::default() };
        let state = FlowFigures {
            older: 50,
            older_by_route: [("GET /me".to_owned(), 50)].into(),
            ..FlowFigures::default()
        };
        let evidence = Evidence {
            summary: &summary,
            totals: &totals,
            state: Some(&state),
            egress: None,
            tls: false,
            interrupted: false,
            scheduled: true,
            own_speed: true,
        };
        let unbound = UnboundRequests::of(&evidence);
        (unbound.check(&Policy::default()), unbound.is_ours(&Policy::default()))
    }

    #[test]
    fn no_verdict_rests_on_less_than_half_of_the_exchanges() {
        let of = |skipped: u64, min_seen: f64| {
            let skipped = [("unsafe method POST".to_owned(), skipped)];
            let summary = Summary {
                exchanges: [("complete", 200)].into(),
                skipped: skipped.into_iter().filter(|(_, count)| *count > 0).collect(),
                ..Summary::default()
            };
            let policy = Policy { min_seen, ..Policy::default() };
            let totals = Totals { compared: 200, ..Totals::default() };
            (too_little(&summary, &policy), none_differs(&summary, &totals))
        };
        let all = "None of 200 compared exchanges differs";
        assert_eq!(of(0, 0.5), (None, format!("{all}.")));
        assert_eq!(of(1, 0.5), (None, format!("{all}; 1 of 200 was not replayed.")));
        assert_eq!(of(100, 0.5), (None, format!("{all}; 100 of 200 were not replayed.")));
        let why = of(101, 0.5).0.expect("more than half");
        assert!(why.contains("101 were not replayed (unsafe method POST × 101)"), "{why}");
        assert!(why.contains("--unsafe-methods") && why.contains("min_seen"), "{why}");
        assert_eq!(of(101, 0.4).0, None);
        assert!(of(1, 1.0).0.is_some());
    }

    #[test]
    fn only_what_happened_is_told_of_requests_that_lacked_values() {
        let why = |refusals, lacking| checked(refusals, lacking, 0).0.why;
        let of = "Of 100 requests";
        assert_eq!(
            why(0, 20),
            format!("{of} 20 were sent with values that v2 had not issued (20 %); 5 % is allowed.")
        );
        let older = "40 were refused by v2 with values from before the capture";
        assert_eq!(why(40, 0), format!("{of} {older} (40 %); 5 % is allowed."));
        assert_eq!(
            why(40, 1),
            format!(
                "{of} 1 was sent with values that v2 had not issued, and {older} (41 %); 5 % is \
                 allowed."
            )
        );
    }

    #[test]
    fn values_from_before_the_capture_count_where_v2_refuses_them() {
        assert_eq!(run(0, 0, 0), (true, false), "v2 takes them");
        assert_eq!(run(40, 0, 0), (false, true), "nobody could give v2 others");
        assert_eq!(run(0, 20, 0), (false, false), "v2 did not issue them: its own doing");
        assert_eq!(run(0, 20, 20), (false, true), "they were not asked for");
        assert_eq!(run(2, 2, 0), (true, false), "few");
    }
}
