//! What a verdict rests on: the share of the tapped traffic that could be read, and what of it was
//! neither replayed nor compared.

use super::Policy;
use super::words::{count, percent, plural};
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
    let left = summary.recorded().saturating_sub(skipped).saturating_sub(totals.compared);
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
