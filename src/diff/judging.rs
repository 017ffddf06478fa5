//! Judges the changes of a diff: each has a class and a reason, and belongs to a cluster.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::account::{Account, value_hash};
use super::cluster::{self, Drafts, MemberSet};
use super::csv;
use super::engine::settings::CompareSettings;
use super::noise::{Decision, NoisePlace, Samples, Stat};
use super::renames;
use super::roots::{Met, Root, Roots};
use super::rules::{Additions, FixedErrors};
use super::skipped::{Skipped, UndoneWrite};
use super::spool::{SpoolRecord, SpooledChange, SpooledPart};
use super::{Class, Difference, Kind, Totals};
use crate::message::grpc;
use crate::message::population::{Population, TextForm};
use crate::outcome::Unbound;

/// The first number of what consequences follow from, beside those of approvals.
const CAUSES: usize = usize::MAX / 2;

/// What is known of values that v2 did not issue.
pub(super) struct Lacking<'j> {
    pub(super) roots: &'j Roots,
    /// What the walk over the exchanges found of each, by number.
    pub(super) met: &'j FxHashMap<u32, Met>,
    /// Numbers of causes: the same value of the same route is one.
    causes: FxHashMap<(String, String), usize>,
    /// The cluster in which each cause is shown.
    clusters: Vec<Option<String>>,
}

impl<'j> Lacking<'j> {
    pub(super) fn new(roots: &'j Roots, met: &'j FxHashMap<u32, Met>) -> Self {
        Self { roots, met, causes: FxHashMap::default(), clusters: Vec::new() }
    }

    fn route(&self, number: u32, root: &Root) -> String {
        let route = self.met.get(&number).and_then(|met| met.route.as_deref());
        route.map_or_else(|| format!("exchange {}", root.id.exchange), str::to_owned)
    }

    /// The number of what a root is one of.
    fn cause(&mut self, number: u32, root: &Root) -> usize {
        let next = self.clusters.len();
        let cause = *self.causes.entry((self.route(number, root), root.general())).or_insert(next);
        if cause == next {
            self.clusters.push(None);
        }
        cause
    }

    /// Why an exchange counts for nothing, and the number of the cause.
    fn consequence(&mut self, lacks: Option<u32>) -> (String, usize) {
        let named = lacks.and_then(|number| Some((number, self.roots.get(number)?)));
        let Some((number, root)) = named else {
            return ("sent with a value of v1's, since v2 had issued none".to_owned(), usize::MAX);
        };
        let cause = self.cause(number, root);
        let unsent = self.met.get(&number).is_none_or(|met| met.unsent);
        let why = if unsent {
            "whose request was not sent to v2: --include-producers sends it"
        } else {
            "which v2 did not issue"
        };
        (
            format!("sent with v1's {} of {}, {why}", root.general(), self.route(number, root)),
            CAUSES + cause,
        )
    }

    /// The cluster that consequences of a cause follow from.
    pub(super) fn cluster(&self, cause: usize) -> Option<&String> {
        self.clusters.get(cause)?.as_ref()
    }
}

/// Judges the records of the spool.
pub(super) struct Judge<'j> {
    pub(super) settings: &'j CompareSettings,
    pub(super) account: &'j Account,
    pub(super) decisions: &'j [(Decision, Samples)],
    pub(super) skipped: &'j Skipped,
    pub(super) lacking: Lacking<'j>,
    /// The key under which each is shown.
    pub(super) aliases: Vec<u32>,
    /// Keys that a noise file names.
    pub(super) known: Vec<bool>,
    pub(super) drafts: Drafts,
    pub(super) ids: FxHashMap<(u32, Class, usize), String>,
    pub(super) mismatched: Vec<u64>,
    /// Errors of v2 by route that are not its fault.
    pub(super) excused: Vec<u64>,
    pub(super) used: Vec<bool>,
    pub(super) regressed: MemberSet,
    pub(super) ranks: usize,
}

/// Why a value in a text is noise.
#[derive(Clone, Copy)]
struct PartNoise<'n> {
    why: &'n str,
    /// By what the value itself looks like, and not only as v1 varies there.
    by_looks: bool,
}

impl Judge<'_> {
    pub(super) fn record(&mut self, record: &SpoolRecord, totals: &mut Totals) -> Vec<Difference> {
        let mut differences = Vec::with_capacity(record.changes.len());
        let mut seen = [false; Class::ALL.len()];
        let mut error = false;
        let consequence = record.lacks.map(|lacks| self.lacking.consequence(lacks));
        let root = self.root_of(record);
        let moved = renames::moved(&record.changes, &self.aliases, &self.account.stats);
        let mut told: Vec<u32> = Vec::new();
        for (index, change) in record.changes.iter().enumerate() {
            if change.is_tie && (consequence.is_some() || !self.breaks(change, &told)) {
                continue;
            }
            let is_moved = moved.binary_search(&index).is_ok();
            let (class, which, why) = match &consequence {
                Some((why, cause)) => (Class::Consequence, *cause, why.clone()),
                None => self.class(change, record.behind, is_moved),
            };
            seen[class as usize] = true;
            if matches!(class, Class::Regression | Class::Approved) {
                told.push(change.key);
            }
            let of_v2 = matches!(class, Class::Regression | Class::Approved);
            error |= !of_v2 && is_new_error(&self.account.stats[change.key as usize]);
            let key = match class {
                Class::Regression => self.shown(change, is_moved),
                Class::Approved => self.approval(change, is_moved).map_or(change.key, |all| all.1),
                _ => change.key,
            };
            let stat = &self.account.stats[key as usize];
            let route = &self.account.routes[stat.route as usize].name;
            let follows = which.checked_sub(CAUSES).filter(|_| consequence.is_some());
            let of_cause = if follows.is_some() { which } else { 0 };
            // A cluster keeps its name when it is approved, also where that holds for a part.
            let is_same = matches!(class, Class::Regression | Class::Approved);
            let apart = (!is_same).then_some(class);
            let named = || {
                let root = follows.and(consequence.as_ref()).map(|(why, _)| &**why);
                cluster::id(route, stat, apart, root)
            };
            let cluster = self.ids.entry((key, class, of_cause)).or_insert_with(named).clone();
            let difference = Difference {
                id: record.id,
                at: record.at,
                method: record.method.clone(),
                route: route.to_string(),
                target: record.target.clone(),
                kind: stat.kind,
                place: change.place.clone(),
                expected: change.expected.clone(),
                actual: change.actual.clone(),
                class,
                cluster,
                root: root.clone(),
            };
            let draft = self.drafts.add(key, which, record.rank, self.ranks, &difference, &why);
            draft.cause = follows;
            for &number in &change.roots {
                let Some(root) = self.lacking.roots.get(number) else { continue };
                draft.followed(root.general(), root.requests);
                let cause = self.lacking.cause(number, root);
                self.lacking.clusters[cause].get_or_insert_with(|| difference.cluster.clone());
            }
            differences.push(difference);
        }
        if record.lacks.is_some() {
            totals.unbound_differ += u64::from(!differences.is_empty());
            return differences;
        }
        self.excused[record.route as usize] += u64::from(error);
        match Class::ALL.into_iter().find(|class| seen[*class as usize]) {
            Some(Class::Regression) => {
                totals.mismatched += 1;
                self.mismatched[record.route as usize] += 1;
                self.regressed.insert(record.rank);
            }
            Some(Class::Consequence) => totals.consequences += 1,
            Some(Class::Fixed) => totals.fixed += 1,
            Some(Class::Approved) => totals.approved += 1,
            _ => totals.noisy += 1,
        }
        differences
    }

    /// Whether a change breaks what always holds in v1's answers, and none of those that are `told`
    /// says the same of one of its places.
    fn breaks(&self, change: &SpooledChange, told: &[u32]) -> bool {
        let is_of = |place: &str, general: &str| {
            let rest = place.strip_prefix(general);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let general = |key: &u32| &*self.account.stats[*key as usize].general;
        let is_told = |place: &str| told.iter().any(|key| is_of(place, general(key)));
        self.decisions[change.key as usize].0.broken && !change.place.split(" = ").any(is_told)
    }

    /// The approval that holds for a change, and the key under which it does: its own, else that of
    /// the rename that it is a part of, where its value `is_moved` and not another one.
    fn approval(&self, change: &SpooledChange, is_moved: bool) -> Option<(usize, u32)> {
        let (own, shown) = (change.key, self.aliases[change.key as usize]);
        let values = [change.expected.as_deref(), change.actual.as_deref()];
        let renamed = || is_moved.then(|| self.found(shown, [None, None]))?;
        let own = self.found(own, values).map(|approval| (approval, own));
        own.or_else(|| renamed().map(|approval| (approval, shown)))
    }

    /// The approval of a way of changing.
    fn found(&self, key: u32, values: [Option<&str>; 2]) -> Option<usize> {
        let stat = &self.account.stats[key as usize];
        let route = &self.account.routes[stat.route as usize].name;
        let (place, label) = (&stat.general, &stat.label);
        let (approvals, today) = (&self.settings.approvals, &self.settings.today);
        approvals.find(route, stat.kind, place, label, values, today)
    }

    /// The key under which a regression is shown: that of the rename that it is a part of, unless
    /// the rename has an approval that does not hold for it.
    fn shown(&self, change: &SpooledChange, is_moved: bool) -> u32 {
        let shown = self.aliases[change.key as usize];
        let is_part = shown != change.key && !is_moved;
        let is_apart = is_part && self.found(shown, [None, None]).is_some();
        if is_apart { change.key } else { shown }
    }

    /// The value for want of which an exchange differs.
    fn root_of(&self, record: &SpoolRecord) -> Option<Unbound> {
        Some(self.lacking.roots.get(record.lacks??)?.unbound())
    }

    /// Why all values in which a text differs are noise; none where one of them is not.
    fn noise_of_parts(&self, change: &SpooledChange) -> Option<String> {
        let mut why = None;
        let mut rest = &change.parts[..];
        while let Some((part, behind)) = rest.split_first() {
            let (inner_all, next) = behind.split_at(behind.len().min(part.within.into()));
            let own = self.noise_of_part(part, change);
            // What is drawn as a whole has no parts, though symbols in it may divide two of it
            // alike.
            let stat = self.account.stats.get(part.key as usize);
            let one = stat.is_some_and(|stat| stat.drawn[0].is_drawn(&Population::default()));
            let are_short = || inner_all.iter().all(|part| self.is_short(part));
            let inner = if part.begun || one && !are_short() { &[] } else { inner_all };
            let within = || {
                let mut all = inner.iter().map(|part| self.noise_of_part(part, change));
                let first = all.next()??;
                all.all(|one| one.is_some()).then_some(first.why)
            };
            // That v1 varies it somewhere says nothing of the part that v2 has otherwise, and what
            // is drawn has no part that is always one of a few words.
            if inner_all.iter().any(|part| self.is_unheard(part)) {
                return None;
            }
            let found = match own {
                Some(own) if own.by_looks || !self.varies_in_parts(inner) => Some(own.why),
                _ => within(),
            };
            why.get_or_insert(found?);
            rest = next;
        }
        why.map(str::to_owned)
    }

    /// Whether short values are drawn at a part of a value.
    fn is_short(&self, part: &SpooledPart) -> bool {
        self.decisions.get(part.key as usize).is_some_and(|(decision, _)| decision.short)
    }

    /// Whether v1 has but few values at a part of a value, and never this one.
    fn is_unheard(&self, part: &SpooledPart) -> bool {
        self.account
            .stats
            .get(part.key as usize)
            .is_some_and(|stat| stat.is_unheard(part.value, part.word))
    }

    /// Whether v1 was seen to vary in one of these parts of a value.
    fn varies_in_parts(&self, inner: &[SpooledPart]) -> bool {
        let stats = inner.iter().filter_map(|part| self.account.stats.get(part.key as usize));
        stats.into_iter().any(|stat| stat.own + stat.base > 0)
    }

    fn noise_of_part(&self, part: &SpooledPart, change: &SpooledChange) -> Option<PartNoise<'_>> {
        let stat = self.account.stats.get(part.key as usize)?;
        let decision = &self.decisions[part.key as usize].0;
        // A text that is one value is judged as such elsewhere.
        let alone = part.key == change.key;
        let value = if alone { value_hash(&change.actual) } else { part.value };
        let (form, short) = match part.form {
            Some(form) if form.is_short() => (None, Some(form)),
            form => (form, None),
        };
        let drawn = decision.drawn && stat.drawn_of().admits(form)
            || decision.short && stat.short[0].admits(short);
        let timed = decision.timed && part.timed;
        let looks = timed || !alone && decision.shaped && part.looks;
        let heard = !decision.vocabulary || stat.values[0].contains(value);
        if self.known[part.key as usize] {
            return Some(PartNoise { why: "named by the noise file", by_looks: true });
        }
        let measured = !alone && decision.measured && stat.resembles(decision, form);
        (heard && (drawn || looks || measured))
            .then_some(PartNoise { why: &decision.why, by_looks: drawn || looks })
    }

    /// Whether v1 failed where v2 answers. That v2 lets in whom v1 refused, or takes what v1 found
    /// wrong, is no mending; and where v1 answers others, that it has none here says something: the
    /// thing was deleted, is somebody else's, or was asked for too often.
    fn is_fixed(&self, stat: &Stat) -> bool {
        let failed = |status| match status {
            404 | 410 | 429 => !self.account.answers(stat.route),
            _ => status >= 500 || status == 408,
        };
        statuses(stat).is_some_and(|(v1, v2)| failed(v1) && (200..400).contains(&v2))
    }

    /// The status that v2 gave, where v1 gave it to no such request in the recording: that it gives
    /// it elsewhere, as a baseline in staging, excuses nothing.
    fn strange(&self, key: u32) -> Option<u16> {
        let stat = &self.account.stats[key as usize];
        let (_, status) = statuses(stat).filter(|_| stat.general != grpc::STATUS)?;
        (!self.account.gave(stat.route, status)).then_some(status)
    }

    /// Why a change is noise; none where it is not. `unheard` says that v1 never had the value.
    fn noise(&self, change: &SpooledChange, unheard: bool) -> Option<String> {
        if self.known[change.key as usize] {
            return Some("named by the noise file".to_owned());
        }
        if self.strange(change.key).is_some() {
            return None;
        }
        let (decision, _) = &self.decisions[change.key as usize];
        if decision.never_empty && change.actual.as_deref() == Some("") {
            return None;
        }
        self.noise_of_parts(change).or_else(|| {
            let in_parts = change.parts.first().is_some_and(|part| part.key != change.key);
            let (one, inner) = change.parts.split_first().unzip();
            let inner = inner.filter(|_| one.is_some_and(|one| !one.begun)).unwrap_or_default();
            let stat = &self.account.stats[change.key as usize];
            let long = |form: &TextForm| !form.is_short();
            let resembles = one.is_none_or(|one| stat.resembles(decision, one.form.filter(long)));
            // What is drawn as a whole has no parts.
            let is_one = stat.drawn[0].is_drawn(&Population::default());
            let in_whole = || is_one || !self.varies_in_parts(inner);
            let measured = match in_parts {
                true => decision.whole,
                false if change.parts.is_empty() => decision.measured && !decision.reworded,
                false => decision.measured && resembles && in_whole(),
            };
            let noise = measured || !in_parts && decision.shaped && change.looks;
            let unheard = unheard || !in_parts && inner.iter().any(|part| self.is_unheard(part));
            (noise && !unheard).then(|| decision.why.clone())
        })
    }

    /// The class of a change, which approval gives it, and why. `behind` is the write before it
    /// that was not done at v2; `is_moved` says that it is a part of a rename, with the same value.
    fn class(
        &mut self,
        change: &SpooledChange,
        behind: Option<UndoneWrite>,
        is_moved: bool,
    ) -> (Class, usize, String) {
        if change.excused {
            return (Class::Noise, usize::MAX, EXCUSED.to_owned());
        }
        let stat = &self.account.stats[change.key as usize];
        let (decision, _) = &self.decisions[change.key as usize];
        let unheard =
            || decision.vocabulary && !stat.values[0].contains(value_hash(&change.actual));
        if change.roots.is_empty()
            && let Some(why) = self.noise(change, unheard())
        {
            return (Class::Noise, usize::MAX, why);
        }
        if let Some((index, _)) = self.approval(change, is_moved) {
            self.used[index] = true;
            let approval = &self.settings.approvals.approved[index];
            let until =
                approval.expires.as_deref().map(|day| format!(" until {day}")).unwrap_or_default();
            if approval.is_expired(&self.settings.today) {
                return (
                    Class::Regression,
                    index,
                    format!("was approved{until}: {}", approval.reason),
                );
            }
            return (Class::Approved, index, format!("approved{until}: {}", approval.reason));
        }
        if stat.label == "added" && self.settings.rules.additions == Additions::Approved {
            return (
                Class::Approved,
                usize::MAX,
                "additions are approved by [diff] additions".to_owned(),
            );
        }
        if self.is_fixed(stat) && self.settings.rules.fixed == FixedErrors::Report {
            let why = "v1 failed here, v2 answers ([diff] fixed = \"fail\" counts it)".to_owned();
            return (Class::Fixed, usize::MAX, why);
        }
        if let Some(write) = behind
            && stat.clear == 0
            && self.skipped.explains(write, stat, value_hash(&change.expected))
        {
            return (Class::Consequence, usize::MAX, self.skipped.why(write));
        }
        let why = if let Some(status) = self.strange(change.key).filter(|_| decision.measured) {
            format!("{}; but v1 never gave {status} in the recording", decision.why)
        } else if (decision.measured || decision.shaped) && unheard() {
            format!(
                "{}; but v1 has only {} values there, and never this one",
                decision.why,
                stat.values[0].distinct()
            )
        } else {
            decision.why.clone()
        };
        (Class::Regression, usize::MAX, why)
    }
}

/// Why a change is noise that the replay itself causes.
const EXCUSED: &str = "the request carries a validator of v1 (If-None-Match and its like), which \
                       means nothing to v2; contents are compared where v1's is known";

/// v1's and v2's status, where it is the status that changed.
fn statuses(stat: &Stat) -> Option<(u16, u16)> {
    let (a, b) = stat.label.split_once('→').filter(|_| stat.kind == Kind::Status)?;
    if stat.general != grpc::STATUS {
        return Some((a.parse().ok()?, b.parse().ok()?));
    }
    // No status is an error as the client sees it.
    let code = |text: &str| text.parse().map_or(500, grpc::as_http);
    Some((code(a), code(b)))
}

fn is_new_error(stat: &Stat) -> bool {
    statuses(stat).is_some_and(|(v1, v2)| v1 < 400 && v2 >= 400)
}

pub(super) fn write_row<W: Write>(
    rows: &mut csv::CsvWriter<W>,
    difference: &Difference,
) -> io::Result<()> {
    let (id, at) = (difference.id.to_string(), difference.at.to_string());
    let named = |unbound: &Unbound| format!("{} {}", unbound.root, unbound.place);
    let root = difference.root.as_ref().map(named).unwrap_or_default();
    rows.row([
        id.as_str(),
        &at,
        &difference.method,
        &difference.route,
        &difference.target,
        difference.kind.name(),
        &difference.place,
        difference.expected.as_deref().unwrap_or(""),
        difference.actual.as_deref().unwrap_or(""),
        difference.class.name(),
        &difference.cluster,
        &root,
    ])
}

/// Which keys a noise file names.
pub(super) fn known_noise(account: &Account, noise: &[NoisePlace]) -> Vec<bool> {
    let named = |stat: &Stat| {
        let route = &account.routes[stat.route as usize].name;
        noise.iter().any(|known| {
            (known.route == "*" || *known.route == **route)
                && known.place == stat.general
                && known.shape == stat.label
        })
    };
    account.stats.iter().map(named).collect()
}

/// The noisy places with their evidence.
pub(super) fn noise_places(
    account: &Account,
    decisions: &[(Decision, Samples)],
) -> Vec<NoisePlace> {
    let mut places: Vec<NoisePlace> = account
        .stats
        .iter()
        .zip(decisions)
        .filter(|(stat, (decision, _))| {
            let drawn = decision.drawn || decision.timed;
            stat.live > 0 && (decision.measured || decision.shaped || drawn)
        })
        .map(|(stat, (decision, samples))| {
            let by = [
                ("self", decision.measured && stat.own > 0),
                ("baseline", decision.measured && stat.base > 0),
                ("shape", decision.shaped),
                ("drawn", decision.drawn || decision.timed),
            ];
            NoisePlace {
                route: account.routes[stat.route as usize].name.to_string(),
                place: stat.general.clone(),
                shape: stat.label.clone(),
                by: by
                    .iter()
                    .filter(|(_, holds)| *holds)
                    .map(|(name, _)| (*name).to_owned())
                    .collect(),
                kind: stat.looks.filter(|_| decision.shaped).map(|kind| kind.to_string()),
                own: [stat.own, samples.own],
                baseline: [stat.base, samples.base],
                live: [stat.live, samples.live.max(stat.live)],
                why: decision.why.clone(),
            }
        })
        .collect();
    places.sort_by(|a, b| (&a.route, &a.place, &a.shape).cmp(&(&b.route, &b.place, &b.shape)));
    places
}
