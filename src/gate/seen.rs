//! What a verdict rests on: the share of the tapped traffic that could be read, and what of it was
//! neither replayed nor compared.

use super::words::{count, percent, plural};
use super::{Check, Evidence, Policy};
use crate::diff::Totals;
use crate::measure::Summary;

/// Most reasons for skipping that are told.
const REASONS: usize = 3;

/// Why there is no verdict: too little of the tapped connections could be read.
pub(super) fn too_little(summary: &Summary, policy: &Policy) -> Option<String> {
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

/// Whether enough of the requests carried values of v2's own where they carried v1's.
pub(super) fn unbound(evidence: &Evidence<'_>, policy: &Policy) -> Check {
    let lacking = evidence.summary.unbound;
    let older = evidence.state.map_or(0, |state| state.older);
    let requests =
        evidence.summary.replayed.max(evidence.totals.compared + evidence.totals.unbound);
    let share = (lacking + older).min(requests) as f64 / requests.max(1) as f64;
    Check {
        name: "max_unbound_rate".to_owned(),
        holds: share <= policy.max_unbound_rate,
        why: match lacking + older {
            0 => "No request lacked a value that an answer had issued to v1's clients.".to_owned(),
            _ => format!(
                "Of {} {} sent with values that v2 had not issued and {} values from before the \
                 capture ({}); {} is allowed.",
                plural(requests, "request", "requests"),
                plural(lacking, "was", "were"),
                plural(older, "uses", "use"),
                percent(share),
                percent(policy.max_unbound_rate)
            ),
        },
        advice: "Begin the capture before the sessions do, send what issues the values \
                 (--include-producers), give those that are older ([[flow.supply]]), or raise \
                 max_unbound_rate."
            .to_owned(),
    }
}

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
    let skipped: u64 = summary.skipped.values().sum();
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
    if left > 0 {
        said.push(format!("{} not compared: no whole answer on both sides.", were(left)));
    }
    said
}

fn were(exchanges: u64) -> String {
    plural(exchanges, "exchange was", "exchanges were")
}

/// How the first line of a pass begins: what approvals hide is said.
pub(super) fn none_differs(totals: &Totals) -> String {
    let compared = plural(totals.compared, "compared exchange", "compared exchanges");
    match totals.approved {
        0 => format!("None of {compared} differs."),
        hidden => format!("Of {compared} {} differ as approved, no other does.", count(hidden)),
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
