//! What to do next about a cluster, ready to be copied: look at it, approve it, or have its place
//! compared in another way.

use crate::diff::{Cluster, Kind};
use crate::record::curl::quoted;
use crate::report::still_held;
use crate::report::text::visible;

/// A step.
pub(super) struct NextStep {
    /// What it does.
    pub(super) what: &'static str,
    /// What is to be copied.
    pub(super) text: String,
}

/// The steps for a cluster of the run in `folder`.
pub(super) fn steps(cluster: &Cluster, folder: &str) -> Vec<NextStep> {
    let id = crate::report::cluster_id(cluster);
    let folder = quoted(folder);
    let mut steps = vec![
        NextStep { what: "Look at all of them", text: format!("shadowtap show {folder} {id}") },
        NextStep { what: "It is intended", text: approve(&folder, &id, still_held(cluster)) },
    ];
    // What requests need is missing, whether its place is compared or not.
    let is_needed = !cluster.not_issued.is_empty();
    if let Some(place) = rule_place(cluster).filter(|_| !is_needed) {
        let route = toml_string(&cluster.route);
        steps.push(NextStep {
            what: "Never compare it (shadowtap.toml)",
            text: format!("[[diff.ignore]]\nroute = {route}\n{place}"),
        });
        if let Some(how) = looser(cluster) {
            steps.push(NextStep {
                what: "Compare it less strictly (shadowtap.toml)",
                text: format!("[[diff.match]]\nroute = {route}\n{place}\n{how}"),
            });
        }
    }
    steps
}

/// The command that approves a cluster; what it does not lift stands behind it as a comment.
pub(super) fn approve(folder: &str, id: &str, but: &str) -> String {
    let line = format!("shadowtap approve {folder} {id} --reason 'say here why it is intended'");
    if but.is_empty() { line } else { format!("{line}\n# {but}") }
}

/// The key of a rule for just this place; none where no rule can name it.
fn rule_place(cluster: &Cluster) -> Option<String> {
    let place = cluster.place.as_str();
    match cluster.kind {
        Kind::Header => Some(format!("header = {}", toml_string(place))),
        Kind::Body | Kind::Missing | Kind::Identity
            if place.starts_with('$') && !place.contains(' ') =>
        {
            Some(format!("path = {}", toml_string(place)))
        }
        Kind::Body | Kind::Missing | Kind::Identity if place.starts_with('/') => {
            Some(format!("place = {}", toml_string(place)))
        }
        _ => None,
    }
}

/// A looser comparison that would take the example for equal.
fn looser(cluster: &Cluster) -> Option<String> {
    if cluster.shape == "reordered" {
        return Some("unordered = true".to_owned());
    }
    let number = |value: &Option<String>| value.as_deref()?.parse::<f64>().ok();
    let (one, other) = (number(&cluster.example.expected)?, number(&cluster.example.actual)?);
    let apart = (one - other).abs();
    (apart.is_finite() && apart > 0.0).then(|| format!("tolerance = {}", round_up(apart)))
}

/// The next larger number of two digits.
fn round_up(number: f64) -> String {
    let scale = 10f64.powi(1 - number.log10().floor() as i32);
    let up = (number * scale * (1.0 - 1e-9)).ceil() / scale;
    let text = format!("{up:.12}");
    let text = text.trim_end_matches('0');
    // A tolerance is a number with a point.
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}

/// A basic string of TOML.
fn toml_string(text: &str) -> String {
    let text = visible(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_and_texts_are_toml() {
        for (number, text) in [(12.0, "12.0"), (0.001_234, "0.0013"), (1_196.0, "1200.0")] {
            assert_eq!(round_up(number), text);
        }
        let text = toml_string("a\"b\\c\u{1b}");
        let parsed: toml::Table = toml::from_str(&format!("x = {text}")).unwrap();
        assert_eq!(parsed["x"].as_str(), Some("a\"b\\c\\u{1b}"));
    }
}
