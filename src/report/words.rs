//! Clusters in words.

use std::collections::BTreeSet;

use crate::diff::renames::shape_words;
use crate::diff::{Cluster, Kind};
use crate::gate::words::plural;

/// What a cluster is about: its kind, its place where that says more, and how it changed.
pub(crate) fn what(cluster: &Cluster) -> String {
    let kind = cluster.kind.name();
    let is_said = [kind, &cluster.shape].contains(&&*cluster.place);
    let place = if is_said { "" } else { cluster.place.as_str() };
    let shape = shape_words(&cluster.shape);
    [kind, place, &shape].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What approving a cluster does not lift; empty where that is all that holds it back.
pub(crate) fn still_held(cluster: &Cluster) -> &'static str {
    let to_error = match cluster.shape.split_once('→') {
        Some((_, status)) => status.trim_start().starts_with('5'),
        None => cluster.example.actual.as_deref().is_some_and(|status| status.starts_with('5')),
    };
    match cluster.kind {
        Kind::Status if to_error => {
            "approved or not, v2's 5xx count as errors: [gate] max_error_rate must allow them"
        }
        Kind::Failure => {
            "approved or not, requests without an answer of v2's count as errors: [gate] \
             max_error_rate must allow them"
        }
        _ => "",
    }
}

/// Both values of a cluster's example; of a renamed member both names, as its value stayed.
pub(crate) fn both_values(cluster: &Cluster) -> [Option<String>; 2] {
    let (old, new) = (&cluster.example.expected, &cluster.example.actual);
    let names = cluster.shape.strip_prefix("renamed ").and_then(|names| names.split_once('→'));
    match names {
        Some((one, other)) if old == new => {
            let with = |name: &str, value: &Option<String>| {
                value.as_ref().map(|value| format!("{name}: {value}"))
            };
            [with(one, old), with(other, new)]
        }
        _ => [old.clone(), new.clone()],
    }
}

/// What a ledger counts of protocols, in words: `http/1-bytes` is `bytes of HTTP/1`; none of what is
/// no such count.
pub(crate) fn of_protocol(name: &str) -> Option<String> {
    const PROTOCOLS: [(&str, &str); 6] = [
        ("http/1", "HTTP/1"),
        ("http/2", "HTTP/2"),
        ("websocket", "WebSockets"),
        ("tls", "TLS"),
        ("tcp", "TCP"),
        ("unknown", "other protocols"),
    ];
    ["bytes", "connections", "packets"].into_iter().find_map(|unit| {
        let of = name.strip_suffix(unit)?.strip_suffix('-')?;
        let (_, protocol) = PROTOCOLS.iter().find(|(known, _)| *known == of)?;
        Some(format!("{unit} of {protocol}"))
    })
}

/// A cluster's id as part of an address.
pub(crate) fn cluster_id(cluster: &Cluster) -> String {
    anchor(&cluster.id)
}

/// An id as part of an address.
pub(crate) fn anchor(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect()
}

/// Where else the change of a cluster was found; empty where it was not.
pub(crate) fn elsewhere(cluster: &Cluster) -> String {
    match cluster.also_on {
        0 => String::new(),
        routes => format!("the same on {}", plural(routes, "more route", "more routes")),
    }
}

/// The clusters for a short list, largest first: a change that was found on many routes is listed
/// once.
pub(crate) fn once_each<'c>(
    clusters: impl Iterator<Item = &'c Cluster>,
) -> impl Iterator<Item = &'c Cluster> {
    let mut listed = BTreeSet::new();
    clusters.filter(move |cluster| {
        cluster.also_on == 0
            || listed.insert((cluster.kind, cluster.place.as_str(), cluster.shape.as_str()))
    })
}
