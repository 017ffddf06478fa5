//! Requests that were skipped although they change something, and which answers may differ for
//! want of them.
//!
//! A `GET` that differs because the `PUT` before it was not sent tells nothing of v2. Paths say
//! which one may show what another wrote: its own, those below it, and the collections above.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHasher};

use super::Kind;
use super::noise::Stat;
use crate::exchange::Exchange;
use crate::limits::SKIPPED_WRITES;
use crate::message::target::path_and_query;

/// The writes that were skipped so far.
#[derive(Default)]
pub(super) struct Skipped {
    /// The latest write to each path, by the path's hash.
    written: FxHashMap<u64, u32>,
    /// The latest write below each path.
    below: FxHashMap<u64, u32>,
    /// What they were: `PUT /profile`.
    named: Vec<String>,
    pub(super) count: u64,
}

impl Skipped {
    /// Notes a write. `shown` is its target without secrets.
    pub(super) fn add(&mut self, method: &str, target: &[u8], shown: &str) {
        self.count += 1;
        let paths = prefixes(target);
        let Some((path, above)) = paths.split_last() else { return };
        if self.named.len() >= SKIPPED_WRITES {
            return;
        }
        let number = self.named.len() as u32;
        let shown = shown.split('?').next().unwrap_or(shown);
        self.named.push(format!("{method} {}", super::change::short(shown)));
        self.written.insert(*path, number);
        for path in above {
            self.below.insert(*path, number);
        }
    }

    /// The latest write that the answer to a request for `target` may show.
    pub(super) fn before(&self, target: &[u8]) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let paths = prefixes(target);
        let written = paths.iter().filter_map(|path| self.written.get(path));
        let below = paths.last().and_then(|path| self.below.get(path));
        written.chain(below).copied().max()
    }

    pub(super) fn name(&self, number: u32) -> &str {
        self.named.get(number as usize).map_or("a request", String::as_str)
    }
}

/// Whether v1 refused a request, so that it changed nothing: by a 4xx but those that say that the
/// time was up.
pub(super) fn was_refused(exchange: &Exchange) -> bool {
    let status = exchange.response.as_ref().map(|response| response.message.status);
    matches!(status, Some(400..=407 | 409..=498))
}

/// The hashes of a path and of those above it, the shortest first; what only says which API it is
/// (`/api/v1`) names nothing.
fn prefixes(target: &[u8]) -> Vec<u64> {
    let (path, _) = path_and_query(target);
    let mut hasher = FxHasher::default();
    let mut named = false;
    let segments = path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty());
    let hashes = segments.filter_map(|segment| {
        segment.hash(&mut hasher);
        named |= !is_prefix(segment);
        named.then(|| hasher.finish())
    });
    hashes.collect()
}

fn is_prefix(segment: &[u8]) -> bool {
    segment.eq_ignore_ascii_case(b"api")
        || segment.eq_ignore_ascii_case(b"rest")
        || segment.len() <= 3 && segment[0] == b'v' && segment[1..].iter().all(u8::is_ascii_digit)
}

/// Whether a way of changing can come of a write that is missing: values, members and elements,
/// and things that are there or not; never what v2 cannot do, or calls or writes otherwise.
pub(super) fn explains(stat: &Stat) -> bool {
    let values = |label: &str| {
        matches!(label, "changed" | "added" | "removed" | "reordered" | "length")
            || label.ends_with("→null")
            || label.starts_with("null→")
    };
    match stat.kind {
        Kind::Failure | Kind::Identity => false,
        Kind::Status => stat.label.split_once('→').is_some_and(|(_, status)| status < "500"),
        Kind::Header => stat.label == "changed",
        Kind::Missing => super::account::of_body(&stat.general),
        Kind::Body => values(&stat.label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_show_what_was_written_to_their_path_below_it_or_above() {
        let mut skipped = Skipped::default();
        let before = |skipped: &Skipped, target: &str| {
            skipped.before(target.as_bytes()).map(|number| skipped.name(number).to_owned())
        };
        assert_eq!(before(&skipped, "/profile"), None);
        skipped.add("PUT", b"/profile?x=1", "/profile?x=1");
        skipped.add("DELETE", b"/api/v1/posts/5", "/api/v1/posts/5");
        let is = |target: &str, name: &str| {
            assert_eq!(before(&skipped, target).as_deref(), Some(name), "{target}");
        };
        is("/profile", "PUT /profile");
        is("http://h/profile?fresh", "PUT /profile");
        is("/profile/picture", "PUT /profile");
        is("/api/v1/posts", "DELETE /api/v1/posts/5");
        is("/api/v1/posts/5/comments", "DELETE /api/v1/posts/5");
        for other in ["/", "/profiles", "/api/v1", "/api/v1/posts/6", "/posts/5"] {
            assert_eq!(before(&skipped, other), None, "{other}");
        }
    }
}
