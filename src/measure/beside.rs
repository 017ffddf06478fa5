//! Measures a run while it is compared, from the records that the diff has at hand: what comes out
//! is what reading them once more would give, or nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::join::{self, FigureCollector, JoinPass};
use super::records::{FigureLine, RecordedFigures, Replayed};
use super::{Side, Summary};
use crate::diff::engine::{Onlooker, RecordFile};
use crate::exchange::Exchange;
use crate::outcome::{FailureKind, Outcome};
use crate::record::exchanges::LineError;
use crate::route::{Routes, rpc};

/// Measures as an onlooker of the diff.
pub struct Measuring {
    pass: JoinPass,
    collector: FigureCollector,
    /// First and last lines, by file.
    opened: [u64; 3],
    closed: [u64; 3],
    names: [Option<String>; 3],
    /// Where the first failure of each kind stands among the outcomes.
    first: BTreeMap<FailureKind, u64>,
    has_missed: bool,
}

impl Measuring {
    /// A run of these files.
    pub fn new(exchanges: &Path, outcomes: &Path, baseline: Option<&Path>) -> Self {
        Self {
            pass: JoinPass::new(0, 1),
            collector: FigureCollector::new(baseline.is_some()),
            opened: [0; 3],
            closed: [0; 3],
            names: [Some(outcomes), baseline, Some(exchanges)]
                .map(|path| path.map(join::file_name)),
            first: BTreeMap::new(),
            has_missed: false,
        }
    }

    /// The figures; none where not all was shown, or where what came of it depends on the order of
    /// the records.
    pub fn finish(mut self) -> Option<Summary> {
        if self.has_missed || self.collector.is_crowded() {
            return None;
        }
        let summary = &mut self.collector.summary;
        summary.lanes = self.pass.lanes.len() as u64;
        for file in [RecordFile::Exchanges, RecordFile::Baseline, RecordFile::Outcomes] {
            let parts = match file {
                RecordFile::Exchanges => self.opened[file as usize].max(1),
                RecordFile::Outcomes | RecordFile::Baseline => 1,
            };
            if self.closed[file as usize] < parts {
                summary.unclosed.extend(self.names[file as usize].take());
            }
        }
        Some(self.collector.finish())
    }

    /// Keeps the failure that stands first in the file for its kind's example.
    fn keep_first(&mut self, offset: u64, replayed: &Replayed) {
        let Some(failure) = &replayed.failure else { return };
        let first = self.first.entry(failure.kind).or_insert(u64::MAX);
        if offset >= *first {
            return;
        }
        *first = offset;
        let Some(route) = self.pass.route_of(replayed.id.exchange) else { return };
        let example = self.collector.failure_on(route, replayed, failure);
        if let Some(known) = self.collector.summary.failures.get_mut(&failure.kind) {
            *known = super::FailureSummary { count: known.count, ..example };
        }
    }

    fn failures(&self, replayed: &Replayed) -> u64 {
        let of_kind = |kind| self.collector.summary.failures.get(&kind).map_or(0, |all| all.count);
        replayed.failure.as_ref().map_or(0, |failure| of_kind(failure.kind))
    }
}

/// What is taken of an exchange, with the route of its request.
pub struct SeenExchange(RecordedFigures, Option<Arc<str>>);

/// What is taken of an outcome.
pub struct SeenOutcome(Replayed);

/// The side that a file of outcomes tells of.
const fn side_of(file: RecordFile) -> Side {
    match file {
        RecordFile::Baseline => Side::Baseline,
        RecordFile::Outcomes | RecordFile::Exchanges => Side::V2,
    }
}

/// Whether a line is a file's last one and not its first; none where it is neither.
fn is_last<L, T>(line: Result<L, LineError>, of: impl Fn(L) -> FigureLine<T>) -> Option<bool> {
    match of(line.ok()?) {
        FigureLine::Header(_) => Some(false),
        FigureLine::End(_) => Some(true),
        FigureLine::Record(_) => None,
    }
}

impl Onlooker for Measuring {
    type Exchange = SeenExchange;
    type Outcome = SeenOutcome;

    fn edge(&mut self, file: RecordFile, line: &[u8]) {
        let is_last = match file {
            RecordFile::Exchanges => {
                is_last(join::recorded(line, |_, _, _| Arc::from("")), |l| l.0)
            }
            RecordFile::Outcomes | RecordFile::Baseline => is_last(join::replayed(line), |l| l),
        };
        match (is_last, file) {
            (None, _) => self.miss(),
            (Some(false), RecordFile::Exchanges) => self.opened[file as usize] += 1,
            (Some(false), _) => self.collector.take_start(side_of(file), line),
            (Some(true), RecordFile::Exchanges) => {
                self.closed[file as usize] += 1;
                self.collector.take_capture_end(line);
            }
            (Some(true), _) => {
                self.closed[file as usize] += 1;
                self.collector.take_end(side_of(file), line);
            }
        }
    }

    fn exchange(&self, exchange: &Exchange, routes: &Routes) -> Self::Exchange {
        let request = exchange.request.as_ref();
        let route = request.filter(|_| exchange.completeness.request_is_whole()).map(|request| {
            let message = &request.message;
            let operation = rpc::operation(message);
            routes.route_of(&message.method, &message.target, operation.as_deref())
        });
        SeenExchange(RecordedFigures::of(exchange), route)
    }

    fn outcome(&self, outcome: &Outcome) -> Self::Outcome {
        SeenOutcome(Replayed::of(outcome))
    }

    fn take(
        &mut self,
        SeenExchange(recorded, route): Self::Exchange,
        [v2, baseline]: [Vec<(u64, Self::Outcome)>; 2],
    ) {
        self.pass.take_exchange(&mut self.collector, &recorded, route);
        let baseline = baseline.into_iter().map(|one| (Side::Baseline, one));
        for (side, (offset, SeenOutcome(replayed))) in
            baseline.chain(v2.into_iter().map(|one| (Side::V2, one)))
        {
            let failed = self.failures(&replayed);
            self.pass.take_outcome(&mut self.collector, side, &replayed);
            if self.failures(&replayed) > failed {
                self.keep_first(offset, &replayed);
            }
        }
        self.pass.settle(&mut self.collector);
    }

    fn miss(&mut self) {
        self.has_missed = true;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::diff::engine::{self, CompareInputs, CompareSettings, DiffOutputs};
    use crate::limits;
    use crate::measure::{RunRecords, measure};
    use crate::redact::Masker;

    const EXCHANGES: u32 = 60;

    /// The lines of a recording and of its outcomes.
    struct Records {
        exchanges: Vec<String>,
        /// v2's and the baseline's.
        outcomes: [Vec<String>; 2],
    }

    fn records(has_baseline: bool) -> Records {
        let at = |n| format!("2026-11-22T10:00:{:02}.{:03}000000Z", n / 10, n % 10);
        let exchange = |n: u32| {
            let (connection, ordinal, at) = (n / 5, n % 5, at(n));
            let method = if n % 9 == 4 { "POST" } else { "GET" };
            let status = if n % 17 == 3 { 500 } else { 200 };
            let handshake = if ordinal == 0 { "\"handshake_ns\":70000," } else { "" };
            let message =
                r#""version":"1.1","headers":[],"body":null,"body_bytes":0,"framing":"none""#;
            let answer = match n % 13 {
                12 => r#""response":null,"interim":[]}"#.to_owned(),
                _ => format!(
                    "\"response\":{{\"first_byte_ns\":900,\"last_byte_ns\":{},\"status\":{status},\
                     \"reason\":\"\",\"trailers\":[],{message}}},\"interim\":[]}}",
                    1_000 + 37 * n
                ),
            };
            let completeness = if n % 13 == 12 { "no-response" } else { "complete" };
            format!(
                "{{\"id\":\"{connection}-{ordinal}\",\"connection\":{connection},\
                 \"client\":\"10.0.0.9:4{connection:03}\",\"server\":\"10.0.0.1:80\",\
                 \"protocol\":\"http/1\",\"completeness\":\"{completeness}\",\
                 {handshake}\"request\":{{\"at\":\"{at}\",\"duration_ns\":0,\
                 \"method\":\"{method}\",\"target\":\"/{}/{n}\",\"trailers\":[],{message}}},\
                 {answer}",
                ["cart", "me", "items"][n as usize % 3]
            )
        };
        let outcome = |n: u32, copy: u32, side: u32| {
            let id = format!("{}-{}@{copy}", n / 5, n % 5);
            let sent = i64::from(n) * 100_000_000 + i64::from(copy);
            let start = format!(r#"{{"id":"{id}","lane":{},"due_ns":{sent}"#, n / 5);
            match (n + side) % 11 {
                1 => format!(
                    r#"{start},"failure":{{"kind":"skipped","detail":"unsafe method {copy}"}}}}"#
                ),
                4 => format!(
                    "{start},\"sent_ns\":{sent},\"failed_ns\":{},\
                     \"failure\":{{\"kind\":\"timeout\",\"detail\":\"copy {copy}\"}}}}",
                    sent + 9_000
                ),
                6 => format!(
                    "{start},\"failure\":{{\"kind\":\"connect\",\"detail\":\"no port\",\
                     \"owner\":\"replayer\"}}}}"
                ),
                7 => format!(
                    "{start},\"sent_ns\":{sent},\"unbound\":[{{\"root\":\"0-0\",\
                     \"place\":\"$.id\"}}],\"response\":{{\"status\":404,\"headers\":[],\
                     \"body\":null}},\"failure\":null}}"
                ),
                of => format!(
                    "{start},\"sent_ns\":{},\"first_byte_ns\":{sent},\"last_byte_ns\":{},\
                     \"connect_ns\":{},\"response\":{{\"status\":{},\"reason\":\"\",\
                     \"version\":\"1.1\",\"headers\":[],\"body\":null,\"body_bytes\":0,\
                     \"framing\":\"none\",\"trailers\":[]}},\"failure\":null}}",
                    sent + 50,
                    sent + 3_000 + 41 * i64::from(n),
                    900 + n,
                    [200, 200, 500, 302][of as usize % 4]
                ),
            }
        };
        let side = |side: u32| {
            let head = "{\"format\":\"shadowtap/outcomes\",\"version\":1,\"run\":\"r\",\
                        \"target\":\"http://v2\",\"started\":\"2026-11-23T10:00:00Z\",\
                        \"settings\":{}}";
            let mut lines = vec![head.to_owned()];
            // As answers came, and not as they were recorded.
            let order = (0..EXCHANGES).map(|n| n * 7 % EXCHANGES);
            lines.extend(order.flat_map(|n| [2, 1].map(|copy| outcome(n, copy, side))));
            lines.push(
                "{\"format\":\"shadowtap/end\",\"outcomes\":120,\"ledger\":{\"in\":120,\
                 \"used\":120},\"generator\":{\"load\":1}}"
                    .to_owned(),
            );
            lines
        };
        let mut exchanges = vec![
            "{\"format\":\"shadowtap/exchanges\",\"version\":1,\
             \"created\":\"2026-11-22T10:00:00Z\",\"tool\":\"t\",\"inputs\":[]}"
                .to_owned(),
        ];
        exchanges.extend((0..EXCHANGES).map(exchange));
        exchanges.push(
            r#"{"format":"shadowtap/end","exchanges":60,"ledger":{"in":9,"used":9}}"#.to_owned(),
        );
        let baseline = if has_baseline { side(3) } else { Vec::new() };
        Records { exchanges, outcomes: [side(0), baseline] }
    }

    /// What was measured while these were compared, and what measuring them again gives.
    fn both(records: &Records) -> (Option<Summary>, Result<Summary, super::super::Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [exchanges, outcomes, baseline] =
            ["exchanges.jsonl", "outcomes.jsonl", "baseline.jsonl"].map(path);
        let [v2, other] = &records.outcomes;
        for (path, lines) in [(&exchanges, &records.exchanges), (&outcomes, v2), (&baseline, other)]
        {
            std::fs::write(path, lines.join("\n") + "\n").unwrap();
        }
        let has_baseline = !other.is_empty();
        let baseline = Some(baseline).filter(|_| has_baseline);
        let mut measuring = Measuring::new(&exchanges, &outcomes, baseline.as_deref());
        let inputs = CompareInputs {
            exchanges: File::open(&exchanges).unwrap(),
            outcomes: File::open(&outcomes).unwrap(),
            baseline: baseline.as_ref().map(|path| File::open(path).unwrap()),
            bindings: [None, None],
            spool: tempfile::tempfile().unwrap(),
        };
        let settings = CompareSettings {
            rules: Default::default(),
            approvals: Default::default(),
            noise: Vec::new(),
            routes: None,
            schema: Default::default(),
            masker: Masker::off(),
            today: "2026-11-23".to_owned(),
        };
        let outputs =
            DiffOutputs { differences: &mut std::io::sink(), mismatches: &mut std::io::sink() };
        let found = engine::run_before(
            &mut measuring,
            Default::default(),
            inputs,
            &settings,
            outputs,
            &|_, _| (),
        )
        .unwrap();
        let routes = found.routes;
        let again = measure(
            &RunRecords {
                exchanges: &exchanges,
                outcomes: &outcomes,
                baseline: baseline.as_deref(),
                route: &|method, target, operation| routes.route_of(method, target, operation),
                most_entries: limits::JOIN_ENTRIES,
            },
            |_| (),
        );
        (measuring.finish(), again)
    }

    #[test]
    fn what_is_measured_beside_is_what_measuring_again_gives_or_nothing() {
        type Edit = fn(&mut Records);
        let kinds: [(&str, bool, Edit); 16] = [
            ("as it is", true, |_| ()),
            ("no last lines", true, |all| {
                all.exchanges.pop();
                all.outcomes[0].pop();
            }),
            ("put together", true, |all| {
                for lines in [&mut all.exchanges, &mut all.outcomes[0]] {
                    let (first, last) = (lines[0].clone(), lines[lines.len() - 1].clone());
                    lines.insert(30, last);
                    lines.insert(31, first);
                }
            }),
            ("backwards", true, |all| all.outcomes[0][1..121].reverse()),
            ("exchanges without outcomes", true, |all| {
                all.outcomes[0].retain(|line| !line.starts_with(r#"{"id":"3-"#));
            }),
            ("blanks between", true, |all| {
                all.exchanges[7] = all.exchanges[7].replace(r#","request""#, r#" , "request""#);
            }),
            ("outcomes without exchanges", false, |all| {
                all.exchanges.remove(9);
            }),
            ("a request twice", false, |all| {
                let again = all.outcomes[0][9].clone();
                all.outcomes[0].insert(40, again);
            }),
            ("an exchange twice", false, |all| {
                let again = all.exchanges[9].clone();
                all.exchanges.insert(20, again);
            }),
            ("an exchange twice without outcomes", false, |all| {
                let again = all.exchanges[16].clone();
                all.exchanges.insert(20, again);
                all.outcomes[0].retain(|line| !line.starts_with(r#"{"id":"3-"#));
            }),
            ("a damaged outcome", false, |all| all.outcomes[0][9].truncate(40)),
            ("a damaged exchange", false, |all| all.exchanges[9].truncate(200)),
            ("a damaged answer", false, |all| {
                let cut = all.exchanges[9].replace(r#""status":"#, r#""stat":"#);
                all.exchanges[9] = cut;
            }),
            ("lines of something else", false, |all| all.exchanges.insert(9, "some".to_owned())),
            ("another time to start from", true, |all| {
                let other = all.outcomes[0][0].replace("11-23T10", "11-23T09");
                all.outcomes[0].insert(50, other);
            }),
            ("very many reasons", false, |all| {
                for (n, line) in all.outcomes[0].iter_mut().enumerate().skip(1).take(120) {
                    let id = line[..line.find(",\"due").unwrap()].to_owned();
                    let why = format!(r#""failure":{{"kind":"skipped","detail":"reason {n}"}}"#);
                    *line = format!(r#"{id},"due_ns":1,{why}}}"#);
                }
            }),
        ];
        for has_baseline in [false, true] {
            for (name, is_given, edit) in &kinds {
                let mut all = records(has_baseline);
                edit(&mut all);
                let (beside, again) = both(&all);
                assert_eq!(beside.is_some(), *is_given, "{name}, baseline: {has_baseline}");
                if let Some(beside) = beside {
                    assert_eq!(beside, again.unwrap(), "{name}, baseline: {has_baseline}");
                }
            }
        }
    }
}
