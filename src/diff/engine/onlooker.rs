//! Who looks on while a run is compared: the comparison has each exchange with its outcomes at hand
//! once, and what else is wanted of them is taken then, so that nobody reads them a second time.

use rustc_hash::FxHasher;

use crate::diff::index::Index;
use crate::exchange::{Exchange, ExchangeId};
use crate::outcome::Outcome;
use crate::route::Routes;

/// The files of a run's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFile {
    /// `outcomes.jsonl`.
    Outcomes = 0,
    /// `baseline.jsonl`.
    Baseline = 1,
    /// `exchanges.jsonl`.
    Exchanges = 2,
}

/// Files of outcomes.
pub(super) const REPLAYED: [RecordFile; 2] = [RecordFile::Outcomes, RecordFile::Baseline];

/// Takes what it wants of the records of a run while they are compared.
pub trait Onlooker: Sync {
    /// What is taken of an exchange.
    type Exchange: Send;
    /// What is taken of an outcome.
    type Outcome: Send;
    /// Whether there is anything to take.
    const LOOKS: bool = true;

    /// A first or last line of a file.
    fn edge(&mut self, file: RecordFile, line: &[u8]);

    /// Looks at an exchange, on any thread.
    fn exchange(&self, exchange: &Exchange, routes: &Routes) -> Self::Exchange;

    /// Looks at an outcome, on any thread.
    fn outcome(&self, outcome: &Outcome) -> Self::Outcome;

    /// Takes what was seen of an exchange and of all its outcomes at v2 and at the baseline, each
    /// with its place in the file and in the order of these; in the order of the recording.
    fn take(&mut self, exchange: Self::Exchange, outcomes: [Vec<(u64, Self::Outcome)>; 2]);

    /// There are records that were not shown, or not once each: what was taken is not all.
    fn miss(&mut self);
}

/// Nobody.
pub(super) struct Nobody;

impl Onlooker for Nobody {
    type Exchange = ();
    type Outcome = ();
    const LOOKS: bool = false;

    fn edge(&mut self, _: RecordFile, _: &[u8]) {}

    fn exchange(&self, _: &Exchange, _: &Routes) {}

    fn outcome(&self, _: &Outcome) {}

    fn take(&mut self, (): (), _: [Vec<(u64, ())>; 2]) {}

    fn miss(&mut self) {}
}

/// What was seen of one exchange and its outcomes; these by their places in the index.
pub(super) struct Sighting<O: Onlooker> {
    id: ExchangeId,
    exchange: O::Exchange,
    outcomes: [Vec<(usize, O::Outcome)>; 2],
}

impl<O: Onlooker> Sighting<O> {
    pub(super) fn new(id: ExchangeId, exchange: O::Exchange) -> Self {
        Self { id, exchange, outcomes: [Vec::new(), Vec::new()] }
    }

    /// Keeps what was seen of an outcome; of one that was shown before nothing more.
    pub(super) fn add(&mut self, file: RecordFile, at: usize, look: impl FnOnce() -> O::Outcome) {
        let of_file = &mut self.outcomes[file as usize];
        if O::LOOKS
            && let Err(place) = of_file.binary_search_by_key(&at, |(at, _)| *at)
        {
            of_file.insert(place, (at, look()));
        }
    }

    /// Whether an outcome was shown.
    pub(super) fn has(&self, file: RecordFile, at: usize) -> bool {
        self.outcomes[file as usize].binary_search_by_key(&at, |(at, _)| *at).is_ok()
    }
}

/// Which records were shown: a bit for each outcome, and eight bytes for each exchange without one.
pub(super) struct Shown {
    outcomes: [Vec<u64>; 2],
    counts: [usize; 2],
    /// Hashes of their ids. Two that are equal by chance cost a second reading and nothing else.
    without: Vec<u64>,
    is_once_each: bool,
}

impl Shown {
    /// Nothing of these files yet.
    pub(super) fn of(indexes: [Option<&Index>; 2]) -> Self {
        let bits = |index: Option<&Index>| vec![0; index.map_or(0, Index::len).div_ceil(64)];
        Self {
            outcomes: indexes.map(bits),
            counts: [0; 2],
            without: Vec::new(),
            is_once_each: true,
        }
    }

    /// Hands on what was seen of an exchange.
    pub(super) fn hand_on<O: Onlooker>(
        &mut self,
        sighting: Sighting<O>,
        indexes: [Option<&Index>; 2],
        onlooker: &mut O,
    ) {
        let Sighting { id, exchange, outcomes } = sighting;
        if outcomes.iter().all(Vec::is_empty) {
            self.without.push(hash_of(id));
        }
        let mut file = 0;
        let outcomes = outcomes.map(|of_file| {
            let index = indexes[file];
            for &(at, _) in &of_file {
                let (word, bit) = (&mut self.outcomes[file][at / 64], 1 << (at % 64));
                self.is_once_each &= *word & bit == 0;
                *word |= bit;
            }
            self.counts[file] += of_file.len();
            file += 1;
            let place = |at| index.map_or(0, |index: &Index| index.offset(at));
            let mut of_file: Vec<_> =
                of_file.into_iter().map(|(at, one)| (place(at), one)).collect();
            of_file.sort_by_key(|(offset, _)| *offset);
            of_file
        });
        onlooker.take(exchange, outcomes);
    }

    /// Whether each exchange and each outcome was shown, and none twice.
    pub(super) fn all(mut self, indexes: [Option<&Index>; 2]) -> bool {
        self.without.sort_unstable();
        let is_twice = self.without.windows(2).any(|two| two[0] == two[1]);
        let lens = indexes.map(|index| index.map_or(0, Index::len));
        let is_whole = |index: &Index| index.damaged == 0 && !index.has_doubles;
        self.is_once_each
            && !is_twice
            && lens == self.counts
            && indexes.into_iter().flatten().all(is_whole)
    }
}

fn hash_of(id: ExchangeId) -> u64 {
    use std::hash::{Hash as _, Hasher as _};

    let mut hasher = FxHasher::default();
    id.hash(&mut hasher);
    hasher.finish()
}
