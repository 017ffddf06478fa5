//! How texts and values stand on the page.

use crate::report::text::{short, visible};

/// Where the two latencies are taken.
pub(crate) const WHERE_MEASURED: &str = "v1's latency is taken at the tap, v2's at the replayer; \
    each counts from the request's first byte to the answer's last.";

/// A text from outside: visible, and not too long.
pub(super) fn seen(text: &str, most: usize) -> String {
    visible(&short(text, most)).into_owned()
}

/// A sentence of which no line begins with a percent sign.
pub(super) fn tied(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// A value of JSON in lines.
pub(super) fn pretty(value: &serde_json::Value) -> String {
    let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    if empty {
        return String::new();
    }
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let lines: Vec<String> = text.lines().take(400).map(|line| seen(line, 300)).collect();
    lines.join("\n")
}

/// The speed as a number, however it is written.
pub(crate) fn factor(speed: &serde_json::Value) -> Option<f64> {
    speed.as_f64().or_else(|| speed.as_str()?.trim_end_matches('x').parse().ok())
}

/// A row of a table of facts.
pub(super) fn fact(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}
