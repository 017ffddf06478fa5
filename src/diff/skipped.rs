//! Requests that change something and were not done at v2, and which answers may differ for want of
//! them: they were skipped, had a condition that names v1's state, or went with a value of v1's that
//! means nothing to v2.
//!
//! A `GET` that differs because the `PUT` before it was not done tells nothing of v2. Paths say
//! which one may show what another wrote: its own, those below it, and the collections above.

use std::hash::{Hash as _, Hasher as _};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::Kind;
use super::noise::Stat;
use crate::exchange::Exchange;
use crate::limits::SKIPPED_WRITES;
use crate::message::target::path_and_query;

/// Why a write was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// It was not sent.
    Unsent,
    /// v2 did not do it, since its condition did not hold there.
    Unmet,
    /// It went with a value of v1's, since v2 had issued none.
    Astray,
}

/// The writes that were not done so far.
#[derive(Default)]
pub(super) struct Skipped {
    unsent: Writes,
    unmet: Writes,
    astray: Writes,
    /// Hashes of the values that those said which went astray.
    said: FxHashSet<u64>,
}

/// Writes by their paths.
#[derive(Default)]
struct Writes {
    /// The latest write to each path, by the path's hash.
    written: FxHashMap<u64, u32>,
    /// The latest write below each path.
    below: FxHashMap<u64, u32>,
    /// What they were: `PUT /profile`.
    named: Vec<String>,
    count: u64,
}

/// A write that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UndoneWrite {
    pub(super) undone: Undone,
    pub(super) number: u32,
}

impl UndoneWrite {
    /// As a number above 0.
    pub(super) const fn code(self) -> u64 {
        ((self.number as u64) << 2 | self.undone as u64) + 1
    }

    /// None is 0.
    pub(super) fn of_code(code: u64) -> Option<Self> {
        let code = code.checked_sub(1)?;
        let undone = match code & 3 {
            0 => Undone::Unsent,
            1 => Undone::Unmet,
            _ => Undone::Astray,
        };
        Some(Self { undone, number: (code >> 2) as u32 })
    }
}

impl Skipped {
    /// Notes a write. `shown` is its target without secrets.
    pub(super) fn add(&mut self, method: &str, target: &[u8], shown: &str, undone: Undone) {
        self.of_mut(undone).add(method, target, shown);
    }

    /// Notes what a write that went astray said.
    pub(super) fn add_said(&mut self, values: &[u64]) {
        let room = SKIPPED_WRITES.saturating_sub(self.said.len());
        self.said.extend(values.iter().take(room));
    }

    /// How many were not sent.
    pub(super) const fn unsent(&self) -> u64 {
        self.unsent.count
    }

    /// How many had a condition that did not hold.
    pub(super) const fn unmet(&self) -> u64 {
        self.unmet.count
    }

    const fn of(&self, undone: Undone) -> &Writes {
        match undone {
            Undone::Unsent => &self.unsent,
            Undone::Unmet => &self.unmet,
            Undone::Astray => &self.astray,
        }
    }

    const fn of_mut(&mut self, undone: Undone) -> &mut Writes {
        match undone {
            Undone::Unsent => &mut self.unsent,
            Undone::Unmet => &mut self.unmet,
            Undone::Astray => &mut self.astray,
        }
    }

    /// The latest write that the answer to a request for `target` may show: one that was not sent,
    /// else one whose condition did not hold, else one that went astray.
    pub(super) fn before(&self, target: &[u8]) -> Option<UndoneWrite> {
        [Undone::Unsent, Undone::Unmet, Undone::Astray].into_iter().find_map(|undone| {
            let number = self.of(undone).before(target)?;
            Some(UndoneWrite { undone, number })
        })
    }

    /// Whether a change is explained by a write that was not done. What was sent did something, if
    /// not to what it was meant for: only what v1 shows of its own words is gone with it.
    pub(super) fn explains(&self, write: UndoneWrite, stat: &Stat, expected: u64) -> bool {
        explains(stat)
            && match write.undone {
                Undone::Unsent | Undone::Unmet => true,
                Undone::Astray => {
                    matches!(stat.kind, Kind::Body | Kind::Missing) && self.said.contains(&expected)
                }
            }
    }

    /// Why a difference behind a write says nothing of v2.
    pub(super) fn why(&self, write: UndoneWrite) -> String {
        let name = self.of(write.undone).name(write.number);
        match write.undone {
            Undone::Unsent => format!(
                "{name} before it was not done at v2, and nothing else differs so: \
                 --unsafe-methods sends what changes something"
            ),
            Undone::Unmet => format!(
                "{name} before it was not done at v2, since its condition names what v1 had; nothing \
                 else differs so"
            ),
            Undone::Astray => format!(
                "{name} before it said this, and went with a value that v2 did not issue; nothing \
                 else differs so"
            ),
        }
    }
}

impl Writes {
    fn add(&mut self, method: &str, target: &[u8], shown: &str) {
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

    fn before(&self, target: &[u8]) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let paths = prefixes(target);
        let written = paths.iter().filter_map(|path| self.written.get(path));
        let below = paths.last().and_then(|path| self.below.get(path));
        written.chain(below).copied().max()
    }

    fn name(&self, number: u32) -> &str {
        self.named.get(number as usize).map_or("a request", String::as_str)
    }
}

/// Whether v1 refused a request, so that it changed nothing: by a 4xx but those that say that the
/// time was up, or since it did not look at it.
pub(super) fn was_refused(exchange: &Exchange) -> bool {
    let status = exchange.response.as_ref().map(|response| response.message.status);
    matches!(status, Some(400..=407 | 409..=498)) || exchange.was_not_looked_at()
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
fn explains(stat: &Stat) -> bool {
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
            let why = skipped.before(target.as_bytes()).map(|write| skipped.why(write))?;
            why.split_once(" before it ").map(|(name, _)| name.to_owned())
        };
        assert_eq!(before(&skipped, "/profile"), None);
        skipped.add("PUT", b"/profile?x=1", "/profile?x=1", Undone::Unsent);
        skipped.add("DELETE", b"/api/v1/posts/5", "/api/v1/posts/5", Undone::Astray);
        skipped.add("PUT", b"/seats/7", "/seats/7", Undone::Unmet);
        assert_eq!((skipped.unsent(), skipped.unmet()), (1, 1));
        let is = |target: &str, name: &str| {
            assert_eq!(before(&skipped, target).as_deref(), Some(name), "{target}");
        };
        is("/profile", "PUT /profile");
        is("http://h/profile?fresh", "PUT /profile");
        is("/profile/picture", "PUT /profile");
        is("/seats/7", "PUT /seats/7");
        is("/api/v1/posts", "DELETE /api/v1/posts/5");
        is("/api/v1/posts/5/comments", "DELETE /api/v1/posts/5");
        for other in ["/", "/profiles", "/api/v1", "/api/v1/posts/6", "/posts/5"] {
            assert_eq!(before(&skipped, other), None, "{other}");
        }
        for undone in [Undone::Unsent, Undone::Unmet, Undone::Astray] {
            let write = UndoneWrite { undone, number: 5 };
            assert_eq!(UndoneWrite::of_code(write.code()), Some(write));
        }
        assert_eq!(UndoneWrite::of_code(0), None);
    }
}
