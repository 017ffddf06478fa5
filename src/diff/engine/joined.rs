//! What the comparison of exchanges with their outcomes leaves: counts, and changes in the spool.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::diff::account::{Account, ComparedSide};
use crate::diff::change::{Change, Look, Sink};
use crate::diff::parts::DifferingPart;
use crate::diff::roots::{Met, Roots};
use crate::diff::skipped::{Skipped, Undone};
use crate::diff::spool::{SpoolRecord, SpooledChange, SpooledPart};
use crate::diff::{Kind, Totals};
use crate::outcome::ReplayId;
use crate::time::Timestamp;

/// What the comparison leaves.
pub(super) struct Joined {
    pub(super) account: Account,
    pub(super) totals: Totals,
    /// The route of each exchange that was compared, by rank.
    pub(super) route_of: Vec<u32>,
    pub(super) damaged_outcomes: u64,
    pub(super) skipped: Skipped,
    /// What was found of values that v2 did not issue, by number.
    pub(super) met: FxHashMap<u32, Met>,
    /// Answers of the baseline of another shape, by the changes that make it.
    pub(super) otherwise: FxHashMap<Vec<u32>, u64>,
    /// Whether each record was seen, and none twice; only where somebody looked on.
    pub(super) is_once_each: bool,
}

/// One exchange as compared.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) route: Option<Arc<str>>,
    /// Why it, or a copy of it, was not compared.
    pub(super) not: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
    /// v1 against itself.
    pub(super) own: Option<Sink>,
    pub(super) damaged: u64,
    /// The target, as it is and as it is shown.
    pub(super) target: (Bytes, String),
    /// The method, where a request that changes something was not done at v2, and why it was not.
    pub(super) skipped: Option<(String, Undone)>,
    /// Hashes of what such a request said that went astray.
    pub(super) astray: Vec<u64>,
    /// Copies of its request that v2 did not get.
    pub(super) unsent: Vec<ReplayId>,
}

pub(super) struct Row {
    pub(super) id: ReplayId,
    pub(super) at: Timestamp,
    /// When v2 was asked, where that is known.
    pub(super) sent: Option<Timestamp>,
    /// v1's status, where its answer is whole.
    pub(super) status: Option<u16>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) failed: bool,
    pub(super) sink: Sink,
    pub(super) base: Option<Sink>,
    /// Where its request lacked a value that v2 did not issue: which, where that is told.
    pub(super) lacks: Option<Option<u32>>,
    /// Its changes that show that v2 did not issue a value: number of the change, and of the root.
    pub(super) roots: Vec<(u32, u32)>,
}

impl Joined {
    /// Adds what was compared of one exchange: counts here, changes into `spool`.
    pub(super) fn take(
        &mut self,
        rank: u32,
        compared: Compared,
        roots: &Roots,
        spool: &mut impl Write,
    ) -> io::Result<()> {
        for reason in compared.not {
            *self.totals.not_compared.entry(reason.to_owned()).or_default() += 1;
        }
        self.damaged_outcomes += compared.damaged;
        for number in compared.unsent.iter().flat_map(|&id| roots.of_answer(id)) {
            let met = Met { route: compared.route.clone(), unsent: true };
            self.met.insert(*number, met);
        }
        let behind = self.skipped.before(&compared.target.0);
        if let Some((method, undone)) = &compared.skipped {
            self.skipped.add(method, &compared.target.0, &compared.target.1, *undone);
            self.skipped.add_said(&compared.astray);
        }
        let Some(route) = compared.route.filter(|_| !compared.rows.is_empty()) else {
            return Ok(());
        };
        let name = route;
        let route = self.account.route(&name);
        if compared.rows.iter().any(|row| row.lacks.is_none()) {
            self.route_of[rank as usize] = route;
        }
        if let Some(own) = &compared.own {
            self.account.add(ComparedSide::Own, route, own, true);
        }
        for row in compared.rows {
            self.account.asked([Some(row.at), row.sent]);
            if let Some(status) = row.status {
                self.account.answered(route, status);
            }
            let counts = row.lacks.is_none();
            self.totals.compared += u64::from(counts);
            self.totals.unbound += u64::from(!counts);
            self.totals.failed += u64::from(row.failed && counts);
            let of_route = &mut self.account.routes[route as usize];
            of_route.failed += u64::from(row.failed && counts);
            of_route.unbound += u64::from(!counts);
            for &(_, root) in &row.roots {
                self.met.insert(root, Met { route: Some(Arc::clone(&name)), unsent: false });
            }
            if let Some(base) = &row.base {
                let keys = self.account.add(ComparedSide::Base, route, base, true);
                let new = |key: u32| self.account.stats[key as usize].own == 0;
                let changes = base.changes.iter().zip(&keys);
                let others = changes.filter(|(change, (key, _))| is_of_shape(change) && new(*key));
                let others: Vec<u32> = others.map(|(_, (key, _))| *key).collect();
                self.totals.baseline_compared += 1;
                if !others.is_empty() {
                    *self.otherwise.entry(others).or_default() += 1;
                }
            }
            let keys = if counts {
                self.account.add(ComparedSide::Live, route, &row.sink, behind.is_none())
            } else {
                self.account.name(route, &row.sink)
            };
            if keys.is_empty() {
                continue;
            }
            let at = |at: usize| {
                let of_change = row.roots.iter().filter(move |(change, _)| *change as usize == at);
                of_change.map(|(_, root)| *root).collect()
            };
            let changes = row.sink.changes.into_iter().zip(keys).enumerate().map(
                |(number, (change, (key, numbers)))| SpooledChange {
                    key,
                    roots: at(number),
                    parts: spooled(&change.parts, &numbers),
                    looks: matches!(change.look, Look::Kind(_) | Look::Within(_)),
                    excused: change.look == Look::Excused,
                    is_tie: change.look == Look::Tie,
                    place: change.place,
                    expected: change.expected,
                    actual: change.actual,
                },
            );
            let record = SpoolRecord {
                rank,
                id: row.id,
                route,
                at: row.at,
                method: row.method,
                target: row.target,
                behind,
                lacks: row.lacks,
                changes: changes.collect(),
            };
            record.write(spool)?;
        }
        Ok(())
    }
}

/// Whether an answer with this change is of another shape: none at all, another kind of document,
/// or other members at its top.
fn is_of_shape(change: &Change) -> bool {
    let other = matches!(&*change.label, "removed" | "added")
        || change.label.contains('→') && !change.label.contains("null");
    let top = change.general.strip_prefix('$').is_some_and(|rest| {
        let rest = rest.strip_prefix(['.', '[']).unwrap_or(rest);
        !rest.trim_end_matches(']').contains(['.', '[', ' '])
    });
    match change.kind {
        Kind::Failure => true,
        Kind::Body | Kind::Missing => other && (top || change.general == "body"),
        Kind::Status | Kind::Header | Kind::Identity => false,
    }
}

fn spooled(parts: &[DifferingPart], numbers: &[u32]) -> Vec<SpooledPart> {
    let one = |(part, &key): (&DifferingPart, &u32)| SpooledPart {
        key,
        within: part.within,
        begun: part.begun,
        looks: matches!(part.look, Look::Kind(_) | Look::Within(_)),
        word: part.word,
        timed: part.instants.is_some(),
        form: part.forms[1].or(part.short[1]),
        value: part.values[1],
    };
    parts.iter().zip(numbers).map(one).collect()
}
