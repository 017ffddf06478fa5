//! Clusters in words.

use std::collections::BTreeSet;

use crate::diff::Cluster;
use crate::gate::words::plural;

/// What a cluster is about: its kind, its place where that says more, and how it changed.
pub(crate) fn what(cluster: &Cluster) -> String {
    let kind = cluster.kind.name();
    let is_said = [kind, &cluster.shape].contains(&&*cluster.place);
    let place = if is_said { "" } else { cluster.place.as_str() };
    let shape = shape_words(&cluster.shape);
    [kind, place, &shape].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// How something changed, in plain words: a renamed member with both names.
pub(crate) fn shape_words(shape: &str) -> String {
    let Some((old, new)) = shape.strip_prefix("renamed ").and_then(|names| names.split_once('→'))
    else {
        return shape.to_owned();
    };
    format!("renamed `{old}` to `{new}`")
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
