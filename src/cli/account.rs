//! The account of what was read, as people see it.

use super::exit::printable;
use crate::exchange::Completeness;
use crate::ledger::{Ledger, Seen, Traffic};
use crate::report::of_protocol;

/// Every [`Completeness`], in its order.
pub(crate) const COMPLETENESS: [Completeness; 5] = [
    Completeness::Complete,
    Completeness::NoResponse,
    Completeness::RequestDamaged,
    Completeness::ResponseDamaged,
    Completeness::OrphanResponse,
];

/// The account as a table: packets or entries in, used, rejected by reason; then what was noted.
pub(crate) fn ledger_table(ledger: &Ledger) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut row = |name: &str, count: u64| {
        let _ = writeln!(text, "  {count:>14}  {}", printable(name));
    };
    row("records in", ledger.input);
    row("used", ledger.used);
    for (reason, &count) in &ledger.rejected {
        row(&format!("rejected: {reason}"), count);
    }
    for (name, &count) in &ledger.noted {
        row(&format!("noted: {}", of_protocol(name).as_deref().unwrap_or(name)), count);
    }
    text + &seen_table(&ledger.seen)
}

/// How much of the traffic was readable, and the rest by reason; nothing where that is not known.
fn seen_table(seen: &Seen) -> String {
    use std::fmt::Write as _;
    let (Some(share), of) = (seen.readable_share(), seen.readable) else { return String::new() };
    let percent = |share: f64| format!("{:.1} %", (share * 1_000.0).floor() / 10.0);
    let all = seen.all();
    let mut text = format!(
        "  readable: {} of {} connections ({}), {} of {} packets ({}), {} of {} bytes ({})\n",
        of.connections,
        all.connections,
        percent(share.connections),
        of.packets,
        all.packets,
        percent(share.packets),
        of.bytes,
        all.bytes,
        percent(share.bytes),
    );
    for (reason, Traffic { connections, packets, bytes }) in &seen.unread {
        let reason = printable(reason);
        let _ = writeln!(
            text,
            "  not readable: {reason}: {connections} connections, {packets} packets, {bytes} bytes"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completeness_counts_stand_in_its_order() {
        for (place, how) in COMPLETENESS.iter().enumerate() {
            assert_eq!(*how as usize, place);
        }
    }
}
