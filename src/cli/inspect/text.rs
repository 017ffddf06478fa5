//! What `inspect` shows to people: under 100 columns, nothing raw from the capture.

use std::fmt::Write as _;

use crate::cli::account::{COMPLETENESS, ledger_table};
use crate::cli::exit::printable;
use crate::inspect::{InspectSummary, Quantiles};
use crate::ledger::Ledger;
use crate::message::grpc;
use crate::report::terminal::wrap;

/// Rows of the lists of hosts, routes and damages; `--json` has all.
const ROWS: usize = 20;
/// Columns of the drawing of the rate, where there are so many.
const COLUMNS: usize = 72;
/// Columns where nobody says how many there are.
pub(super) const WIDTH: usize = 100;

/// The whole page.
pub(super) fn page(
    inputs: &[String],
    summary: &InspectSummary,
    flows: Option<&str>,
    ledger: &Ledger,
    warnings: &[String],
    width: usize,
) -> String {
    let mut page = String::new();
    let names: Vec<String> = inputs.iter().map(|name| printable(name)).collect();
    line(&mut page, &names.join(", "));
    for warning in warnings {
        line(&mut page, &format!("warning: {}", printable(warning)));
    }
    overview(&mut page, summary, width);
    rate(&mut page, summary, width);
    latency(&mut page, summary, width);
    let statuses = summary.statuses.iter().map(|(status, count)| (*count, status.to_string()));
    list(&mut page, "status codes", statuses.collect(), width);
    let calls = summary.grpc_statuses.iter().map(|(code, count)| (*count, grpc::shown(*code)));
    list(&mut page, "gRPC status codes", calls.collect(), width);
    for (title, names) in [("servers", &summary.servers), ("hosts", &summary.hosts)] {
        let rows = names.iter().map(|counted| (counted.exchanges, counted.name.clone()));
        list(&mut page, title, rows.collect(), width);
    }
    routes(&mut page, summary, width);
    if let Some(flows) = flows {
        title(&mut page, "values that answers issue and requests use");
        fitted(&mut page, flows, width);
    }
    damages(&mut page, summary, width);
    title(&mut page, "packets");
    fitted(&mut page, &ledger_table(ledger), width);
    page
}

/// Lines that are broken between words where they are too long, each below its own beginning.
fn fitted(page: &mut String, text: &str, width: usize) {
    for own in text.lines() {
        let indent: String = own.chars().take_while(|c| *c == ' ').collect();
        let room = width.saturating_sub(indent.chars().count()).max(20);
        match own.chars().count() <= width {
            true => line(page, own),
            false => wrap(own.trim_start(), room)
                .iter()
                .for_each(|part| line(page, &format!("{indent}{part}"))),
        }
    }
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn title(page: &mut String, text: &str) {
    page.push('\n');
    line(page, text);
}

fn overview(page: &mut String, summary: &InspectSummary, width: usize) {
    page.push('\n');
    if let Some((first, last)) = summary.first.zip(summary.last) {
        // Nanoseconds are for `--json`.
        let short = |time: crate::time::Timestamp| time.to_string()[..23].replace('T', " ");
        let took = duration(summary.span_ns.unsigned_abs());
        let sep = if width < 80 { "\n              " } else { " " };
        let _ =
            writeln!(page, "span          {} to{sep}{} UTC ({took})", short(first), &short(last));
    }
    let _ = writeln!(page, "connections   {}", summary.connections);
    let _ = writeln!(page, "exchanges     {}", summary.exchanges);
    for how in COMPLETENESS {
        if let Some(count) = summary.completeness.get(how.name()) {
            let _ = writeln!(
                page,
                "  {:<18}{count:>12}  {}",
                how.name(),
                share(*count, summary.exchanges)
            );
        }
    }
    let (up, down) = (bytes(summary.request_body_bytes), bytes(summary.response_body_bytes));
    let _ = writeln!(page, "bodies        {up} in requests, {down} in responses");
}

fn rate(page: &mut String, summary: &InspectSummary, columns: usize) {
    let rate = &summary.rate;
    let (Some(first), Some(last)) = (rate.timeline.first(), rate.timeline.last()) else { return };
    let width = duration(rate.width_ns.unsigned_abs());
    title(
        page,
        &format!(
            "rate          {:.1}/s, {:.1}/s in the busiest {width}",
            rate.mean_per_s, rate.busiest_per_s
        ),
    );
    let span = (last.at.since(first.at) / rate.width_ns + 1).max(1);
    let columns =
        usize::try_from(span).unwrap_or(usize::MAX).min(COLUMNS.min(columns.saturating_sub(4)));
    let mut counts = vec![0u64; columns];
    for bucket in &rate.timeline {
        let place = i128::from(bucket.at.since(first.at) / rate.width_ns) * columns as i128
            / i128::from(span);
        counts[(place as usize).min(columns - 1)] += bucket.exchanges;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let drawn: String = counts.iter().map(|&count| level(count, most)).collect();
    line(page, &format!("  {drawn}"));
}

/// A block as high as its share of the highest; nothing only where there is nothing.
fn level(count: u64, most: u64) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if count == 0 {
        ' '
    } else {
        LEVELS[(u128::from(count) * 8).div_ceil(u128::from(most)) as usize - 1]
    }
}

fn latency(page: &mut String, summary: &InspectSummary, width: usize) {
    if summary.last_byte.count == 0 {
        return;
    }
    // Where there is no room for all, the quantiles between go.
    let is_narrow = width < 93;
    let figures = |q: &Quantiles| {
        let all = [
            ("min", q.min_ns, false),
            ("p50", q.p50_ns, true),
            ("p90", q.p90_ns, false),
            ("p95", q.p95_ns, false),
            ("p99", q.p99_ns, true),
            ("p99.9", q.p999_ns, false),
            ("max", q.max_ns, true),
        ];
        all.into_iter().filter(move |(.., needed)| *needed || !is_narrow)
    };
    let heads: String =
        figures(&summary.first_byte).map(|(name, ..)| format!("{name:>10}")).collect();
    title(page, &format!("latency           count{heads}"));
    for (name, q) in [("first byte", &summary.first_byte), ("last byte", &summary.last_byte)] {
        let cells: String =
            figures(q).map(|(_, nanos, _)| format!("{:>10}", duration(nanos))).collect();
        let _ = writeln!(page, "  {name:<12}{:>9}{cells}", q.count);
    }
    if summary.answers_captured_before_requests > 0 {
        let count = summary.answers_captured_before_requests;
        let _ = writeln!(
            page,
            "  {count} answers were captured before their requests: their first byte counts as 0"
        );
    }
}

fn list(page: &mut String, name: &str, rows: Vec<(u64, String)>, width: usize) {
    if rows.is_empty() {
        return;
    }
    title(page, name);
    for (count, text) in rows.iter().take(ROWS) {
        let _ = writeln!(page, "  {count:>12}  {}", cut(text, (width - 16).min(80)));
    }
    more(page, rows.len());
}

fn routes(page: &mut String, summary: &InspectSummary, width: usize) {
    if summary.routes.is_empty() {
        return;
    }
    let is_narrow = width < 80;
    title(
        page,
        match is_narrow {
            true => "routes      count    errors       p99  ",
            false => "routes      count    errors       p50       p99  ",
        },
    );
    for route in summary.routes.iter().take(ROWS) {
        let Quantiles { p50_ns, p99_ns, count, .. } = route.latency;
        let shown = |nanos| if count == 0 { "-".to_owned() } else { duration(nanos) };
        let half = if is_narrow { String::new() } else { format!("{:>10}", shown(p50_ns)) };
        let figures =
            format!("  {:>15}{:>10}{half}{:>10}  ", route.exchanges, route.errors, shown(p99_ns),);
        let room = (width - figures.chars().count()).min(48);
        let _ = writeln!(page, "{figures}{}", cut(&route.route, room));
    }
    more(page, summary.routes.len());
}

fn damages(page: &mut String, summary: &InspectSummary, width: usize) {
    if summary.damages.is_empty() {
        return;
    }
    let mut rows: Vec<_> = summary.damages.iter().collect();
    rows.sort_by(|a, b| b.1.exchanges.cmp(&a.1.exchanges).then_with(|| a.0.cmp(b.0)));
    title(page, "damaged or odd: exchanges, connections; why (N: any number)");
    let room = (width - 20).min(78);
    for (reason, damage) in rows.iter().take(ROWS) {
        let _ = writeln!(
            page,
            "  {:>8}{:>8}  {}",
            damage.exchanges,
            damage.connections,
            cut(reason, room)
        );
        let detail =
            if damage.detail.is_empty() { String::new() } else { format!(": {}", damage.detail) };
        let _ = writeln!(page, "{:>20}{}", "", cut(&format!("{}{detail}", damage.example), room));
    }
    more(page, rows.len());
}

fn more(page: &mut String, rows: usize) {
    if rows > ROWS {
        let _ = writeln!(page, "  {:>12}  more (--json shows all)", rows - ROWS);
    }
}

/// At most `columns` characters, without control characters.
fn cut(text: &str, columns: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= columns {
        return text;
    }
    text.chars().take(columns - 1).chain(['…']).collect()
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// Three digits and a unit.
fn duration(nanos: u64) -> String {
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        1_000_000_000..120_000_000_000 => (nanos as f64 / 1e9, "s"),
        120_000_000_000..7_200_000_000_000 => (nanos as f64 / 60e9, "min"),
        _ => (nanos as f64 / 3600e9, "h"),
    };
    format!("{} {unit}", three_digits(value))
}

fn bytes(count: u64) -> String {
    let (value, unit) = match count {
        0..1_024 => return format!("{count} bytes"),
        1_024..1_048_576 => (count as f64 / 1024.0, "KiB"),
        1_048_576..1_073_741_824 => (count as f64 / 1_048_576.0, "MiB"),
        _ => (count as f64 / 1_073_741_824.0, "GiB"),
    };
    format!("{} {unit}", three_digits(value))
}

fn three_digits(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let cases = [
            (7, "7 ns"),
            (1_234, "1.23 µs"),
            (45_678_000, "45.7 ms"),
            (3_000_000_000, "3.00 s"),
            (600_000_000_000, "10.0 min"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text);
        }
        assert_eq!((bytes(3), bytes(1 << 20)), ("3 bytes".to_owned(), "1.00 MiB".to_owned()));
    }

    #[test]
    fn texts_from_a_capture_are_cut_and_harmless() {
        assert_eq!(cut("a\u{1b}[31m", 80), "a\\u{1b}[31m");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!((level(0, 9), level(1, 900), level(900, 900)), (' ', '▁', '█'));
    }
}
