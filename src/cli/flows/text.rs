//! Flows as people read them: under 100 columns, places and routes and no value.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::bind::find::{FlowTotals, FoundFlows};
use crate::cli::exit::printable;
use crate::record::flows::{Flow, FlowEvidence};

/// Flows that are shown; `--json` has all.
const ROWS: usize = 30;
/// Places of use that are shown of one flow.
const PLACES: usize = 3;
/// Routes with older values that are shown.
const ROUTES: usize = 5;
/// Columns of a line.
const WIDTH: usize = 98;

/// The headline, the flows, and what cannot be bound.
pub(crate) fn page(found: &FoundFlows) -> String {
    let mut page = headline(&found.totals);
    page.push('\n');
    for flow in found.flows.iter().take(ROWS) {
        row(&mut page, flow);
    }
    if let Some(more) = found.flows.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = writeln!(page, "  and {more} more: --json shows all");
    }
    unbound(&mut page, &found.totals);
    for rule in &found.unmatched {
        line(&mut page, &format!("a rule matched nothing: {rule}"));
    }
    page
}

/// `41 users; 1,279 uses of 229 values in 193 of 205 requests; …`
fn headline(totals: &FlowTotals) -> String {
    let FlowTotals { sessions, uses, values, using, requests, older, .. } = *totals;
    let mut text = format!(
        "{}; {} of {} in {} of {}",
        counted(sessions, "user"),
        counted(uses, "use"),
        counted(values, "value"),
        thousands(using),
        counted(requests, "request"),
    );
    if older > 0 {
        let verb = if older == 1 { "uses" } else { "use" };
        let requests = counted(older, "request");
        let _ = write!(text, "; {requests} {verb} values from before the capture");
    }
    text
}

fn row(page: &mut String, flow: &Flow) {
    let class = match flow.class {
        FlowEvidence::Sure => "sure",
        FlowEvidence::Likely => "likely",
        FlowEvidence::Refused => "refused",
    };
    line(page, &format!("  {class:<8} {} {}", flow.from.route, flow.from.place));
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for end in &flow.to {
        places.entry(&end.place).or_default().push(&end.route);
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by(|(a, x), (b, y)| y.len().cmp(&x.len()).then_with(|| a.cmp(b)));
    for (place, routes) in places.iter().take(PLACES) {
        let on = match &routes[..] {
            [route] => format!("in {route}"),
            several => format!("on {} routes", several.len()),
        };
        line(page, &format!("           → {place} {on}"));
    }
    if let Some(more) = places.len().checked_sub(PLACES).filter(|more| *more > 0) {
        let _ = writeln!(page, "           and {}", counted(more as u64, "more place"));
    }
    let mut says = format!(
        "           {} of {}, {:.0} % of what stands there",
        counted(flow.uses, "use"),
        counted(flow.values, "value"),
        flow.coverage * 100.0
    );
    if let Some(reason) = &flow.reason {
        let _ = write!(says, "; {reason}");
    }
    line(page, &says);
}

fn unbound(page: &mut String, totals: &FlowTotals) {
    for (route, requests) in totals.older_by_route.iter().take(ROUTES) {
        let requests = counted(*requests, "request");
        line(
            page,
            &format!("  older    {requests} of {route} with values from before the capture"),
        );
    }
    for (count, what) in [
        (totals.signed, "signed by its client, which nobody else can do anew"),
        (totals.opaque, "with a body that cannot be read"),
        (totals.unnamed, "whose numbers no schema names: add --proto or --descriptor-set"),
        (totals.cut, "too large to be looked at as a whole"),
    ] {
        if count > 0 {
            line(page, &format!("  unseen   {} {what}", counted(count, "request")));
        }
    }
}

/// A line of what may come from a capture, cut where it is too long.
fn line(page: &mut String, text: &str) {
    let text = printable(text);
    match text.char_indices().nth(WIDTH) {
        Some((at, _)) => {
            page.push_str(&text[..at]);
            page.push('…');
        }
        None => page.push_str(&text),
    }
    page.push('\n');
}

/// `2 requests`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// A number with commas.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_says_who_uses_what() {
        let totals = FlowTotals {
            requests: 1_205,
            sessions: 41,
            values: 229,
            uses: 1_279,
            using: 193,
            older: 1,
            ..FlowTotals::default()
        };
        assert_eq!(
            headline(&totals),
            "41 users; 1,279 uses of 229 values in 193 of 1,205 requests; 1 request uses values \
             from before the capture"
        );
    }
}
