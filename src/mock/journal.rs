//! What the mock keeps while it runs: what has been given, in which order, and the ledger's file.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustix::fs::FlockOperation;

use super::answer;
use super::fault::{Action, Faults};
use super::features::Content;
use super::ledger::{Broken, Call, CallPlace, CallVerdict, LedgerEnd, LedgerHeader, VerdictCounts};
use super::matcher::{CallQuery, FoundCall, MatchPolicy, MissReason, Prepared, Stock, Tier};
use super::recording::{AskedBody, CallRecording, RecordedCall};
use crate::diff::repeat;
use crate::exchange::ExchangeId;
use crate::message::Body;
use crate::message::target::origin_form;
use crate::mode;
use crate::record::exchanges::write_line;
use crate::redact::{Echoes, Masker};
use crate::time::Timestamp;

/// Longest value of a place that is shown, in characters.
const VALUE_SHOWN: usize = 120;
/// Longest beginning of a body that is shown, in characters.
const PAYLOAD_SHOWN: usize = 240;
/// Most places of one call that are shown.
const PLACES_SHOWN: usize = 40;

/// What came of a mock's run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MockFinished {
    /// Calls by verdict.
    pub counts: VerdictCounts,
    /// What went wrong with clients.
    pub broken: Broken,
    /// Where the ledger was written.
    pub log: Option<PathBuf>,
}

/// A new ledger at `path`, for one writer alone.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        == Err(rustix::io::Errno::WOULDBLOCK)
    {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "another mock is writing it"));
    }
    if file.metadata()?.is_file() {
        mode::keep_old(path)?;
        file.set_len(0)?;
    }
    Ok(file)
}

/// What is to be done with a call.
pub(super) struct CallDecision {
    /// The recorded call that answers; none: a miss.
    pub(super) index: Option<u32>,
    /// What a fault does to it.
    pub(super) actions: Vec<Action>,
    pub(super) call: Call,
}

/// The state that calls share.
pub(super) struct Journal {
    recording: Arc<CallRecording>,
    policy: MatchPolicy,
    masker: Masker,
    stock: Stock,
    faults: Faults,
    counts: VerdictCounts,
    /// By cause: the last call in v1's order that v2 has made.
    furthest: FxHashMap<u32, u32>,
    file: Option<BufWriter<File>>,
    path: Option<PathBuf>,
    line: Vec<u8>,
    /// The first error of the file; told at the end.
    error: Option<io::Error>,
}

impl Journal {
    pub(super) fn start(
        recording: Arc<CallRecording>,
        policy: MatchPolicy,
        masker: Masker,
        faults: Faults,
        log: Option<&Path>,
        inputs: &[String],
        stock: Stock,
    ) -> io::Result<Self> {
        let mut file = log.map(|path| open(path).map(BufWriter::new)).transpose()?;
        let mut line = Vec::new();
        if let Some(file) = &mut file {
            write_line(
                &mut line,
                &LedgerHeader::new(Timestamp::now(), inputs.to_vec(), recording.len() as u64),
            );
            file.write_all(&line)?;
            file.flush()?;
        }
        Ok(Self {
            recording,
            policy,
            masker,
            stock,
            faults,
            counts: VerdictCounts::default(),
            furthest: FxHashMap::default(),
            file,
            path: log.map(Path::to_owned),
            line,
            error: None,
        })
    }

    /// Chooses the answer of a call and writes it down.
    pub(super) fn decide(
        &mut self,
        query: &CallQuery<'_>,
        prepared: &Prepared,
        at: Timestamp,
    ) -> CallDecision {
        let recording = Arc::clone(&self.recording);
        let method = String::from_utf8_lossy(&query.request.method).into_owned();
        let target = origin_form(&query.request.target);
        let (fault, actions) = self.faults.draw(&method, &target).unzip();
        let actions = actions.unwrap_or_default();
        let spoilt = actions.iter().any(|action| !matches!(action, Action::Delay(_)));
        let found = recording.choose(query, prepared, &self.policy, &mut self.stock, spoilt);
        let mut call = Call {
            verdict: CallVerdict::Extra,
            at,
            provider: query.host.to_owned(),
            method,
            route: prepared.route.to_string(),
            target: self.masker.target(&target).into_owned(),
            payload: String::new(),
            recorded_payload: String::new(),
            recorded: None,
            times: 0,
            cause: recording.ingress_of(&prepared.causes),
            status: Some(answer::MISS),
            score: 0.0,
            why: String::new(),
            places: vec![],
            order_changed: false,
            fault,
            repeat: String::new(),
        };
        let theirs = match found {
            FoundCall::Answer { index, .. } | FoundCall::Miss { nearest: Some((index, _)), .. } => {
                Some(index)
            }
            FoundCall::Miss { .. } => None,
        };
        let answering = match found {
            FoundCall::Answer { index, tier, score, again, .. } => {
                self.answered(&mut call, query, prepared, index, (tier, score, again));
                Some(index)
            }
            FoundCall::Miss { nearest, reason } => {
                call.why = reason.text().to_owned();
                if reason == MissReason::Exhausted {
                    call.verdict = CallVerdict::Repeated;
                }
                if let Some((index, score)) = nearest {
                    call.recorded = Some(recording.calls[index as usize].id);
                    call.score = score;
                    call.places = self.places(query, prepared, index);
                }
                None
            }
        };
        if call.verdict != CallVerdict::Matched {
            call.payload = self.payload(query);
            call.repeat = repeat::call(query.host, &target, query.request, &self.masker);
            let echoes = Echoes::of(&self.masker, query.request, &[]);
            [&mut call.payload, &mut call.target].into_iter().for_each(|text| echoes.hide(text));
            if let Some(index) = theirs {
                call.recorded_payload = self.recorded_payload(&recording.calls[index as usize]);
            }
        }
        for action in &actions {
            match action {
                Action::Status(status) => call.status = Some(*status),
                Action::Reset | Action::Hang => call.status = None,
                Action::Delay(_) => {}
            }
        }
        self.write(&call);
        CallDecision { index: answering, actions, call }
    }

    fn answered(
        &mut self,
        call: &mut Call,
        query: &CallQuery<'_>,
        prepared: &Prepared,
        index: u32,
        (tier, score, again): (Tier, f64, bool),
    ) {
        let recording = Arc::clone(&self.recording);
        let recorded = &recording.calls[index as usize];
        call.recorded = Some(recorded.id);
        call.score = score;
        call.times = self.stock.given[index as usize];
        let causes = &prepared.causes;
        let is_theirs = match (causes.traced, recorded.caused_by) {
            (Some(traced), _) => recorded.cause == Some(traced),
            (None, Some(number)) => causes.open.is_empty() || causes.open.contains(&number),
            (None, None) => false,
        };
        if is_theirs {
            call.cause = recording.caused_by(recorded).or(call.cause);
        }
        call.verdict = match (again, tier) {
            (true, _) => CallVerdict::Repeated,
            (false, Tier::Nearest) => CallVerdict::Drifted,
            (false, _) => CallVerdict::Matched,
        };
        call.why = match (tier, again) {
            (Tier::Exact, false) => "equal".to_owned(),
            (Tier::ByKind, false) => "equal but for values that vary by themselves".to_owned(),
            (Tier::Nearest, false) => {
                format!("the nearest recorded call, {:.0}% in common", score * 100.0)
            }
            (_, true) => {
                "v1 made this call less often; answered with the last recorded answer again"
                    .to_owned()
            }
        };
        if tier == Tier::Nearest {
            call.places = self.places(query, prepared, index);
        }
        match &recorded.answer {
            Err(why) => {
                call.why = format!("{}; {why}", call.why);
                call.status = Some(answer::MISS);
            }
            Ok(answer) => call.status = Some(answer.head.status),
        }
        if let Some(cause) = recorded.cause
            && !again
        {
            let furthest = self.furthest.entry(cause).or_insert(index);
            // Calls that v1 made side by side have no order.
            call.order_changed =
                index < *furthest && recorded.ends_at <= recording.calls[*furthest as usize].at;
            *furthest = (*furthest).max(index);
        }
    }

    /// Adds the calls of v1 that v2 did not make and closes the file. A call whose ingress exchange
    /// is known counts only where `replayed` says that it was replayed.
    pub(super) fn finish(
        &mut self,
        replayed: &dyn Fn(ExchangeId) -> bool,
        broken: Broken,
    ) -> io::Result<MockFinished> {
        let recording = Arc::clone(&self.recording);
        for (index, recorded) in recording.calls.iter().enumerate() {
            let caused_by = recording.caused_by(recorded);
            if self.stock.tried[index] || caused_by.is_some_and(|id| !replayed(id)) {
                continue;
            }
            let lacking =
                self.stock.due(recorded.caused_by).saturating_sub(self.stock.given[index]);
            if lacking == 0 {
                continue;
            }
            let target = origin_form(&recorded.request.target);
            let call = Call {
                verdict: CallVerdict::Missing,
                at: recorded.at,
                provider: recorded.host.to_string(),
                method: String::from_utf8_lossy(&recorded.request.method).into_owned(),
                route: recorded.route.to_string(),
                target: self.masker.target(&target).into_owned(),
                payload: String::new(),
                recorded_payload: self.recorded_payload(recorded),
                recorded: Some(recorded.id),
                times: self.stock.given[index],
                cause: caused_by,
                status: None,
                score: 0.0,
                why: "v2 did not make this call".to_owned(),
                places: vec![],
                order_changed: false,
                fault: None,
                repeat: self.repeat_of(recorded, &target),
            };
            for _ in 0..lacking {
                self.write(&call);
            }
        }
        self.line.clear();
        write_line(&mut self.line, &LedgerEnd::new(&self.counts, broken));
        if let Some(mut file) = self.file.take() {
            let closed = file.write_all(&self.line).and_then(|()| file.flush());
            self.error = self.error.take().or(closed.err());
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(MockFinished { counts: self.counts, broken, log: self.path.clone() }),
        }
    }

    pub(super) fn counts(&self) -> VerdictCounts {
        self.counts
    }

    /// Puts what was written on disk, so that a killed mock leaves its ledger.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush()
        {
            self.error.get_or_insert(error);
        }
    }

    fn write(&mut self, call: &Call) {
        self.counts.add(call);
        let Some(file) = &mut self.file else { return };
        self.line.clear();
        write_line(&mut self.line, call);
        if let Err(error) = file.write_all(&self.line) {
            self.error.get_or_insert(error);
            self.file = None;
        }
    }

    /// Where a call differs from a recorded one, as it is shown. What cannot be read back from disk
    /// is not told apart.
    fn places(&self, query: &CallQuery<'_>, prepared: &Prepared, index: u32) -> Vec<CallPlace> {
        match self.recording.places(query, &prepared.route, index) {
            Ok(places) => self.shown(places),
            Err(error) => {
                tracing::warn!("a recorded body cannot be read back: {error}");
                Vec::new()
            }
        }
    }

    fn shown(&self, places: Vec<CallPlace>) -> Vec<CallPlace> {
        let short = |place: &str, value: Option<String>| {
            value.map(|value| cut(&self.masker.place(place, &value), VALUE_SHOWN))
        };
        places
            .into_iter()
            .take(PLACES_SHOWN)
            .map(|place| CallPlace {
                expected: short(&place.place, place.expected),
                actual: short(&place.place, place.actual),
                place: cut(&place.place, VALUE_SHOWN),
            })
            .collect()
    }

    fn payload(&self, query: &CallQuery<'_>) -> String {
        match query.content() {
            Content::Whole(bytes) => self.beginning(bytes),
            Content::Hashed { length, .. } => format!("({length} bytes)"),
        }
    }

    fn recorded_payload(&self, recorded: &RecordedCall) -> String {
        match recorded.asked {
            AskedBody::Whole(_) => {
                self.recording.asked(recorded).map(|body| self.beginning(&body)).unwrap_or_default()
            }
            AskedBody::Hashed { length, .. } => format!("({length} bytes)"),
        }
    }

    /// A command line that makes a recorded call.
    fn repeat_of(&self, recorded: &RecordedCall, target: &str) -> String {
        let mut request = recorded.request.clone();
        request.body = match recorded.asked {
            AskedBody::Whole(_) => {
                self.recording.asked(recorded).map(Body::whole).unwrap_or_default()
            }
            AskedBody::Hashed { length, sha256 } => {
                Body { length, sha256: Some(sha256), ..Body::default() }
            }
        };
        repeat::call(&recorded.host, target, &request, &self.masker)
    }

    fn beginning(&self, bytes: &[u8]) -> String {
        // Masking needs whole values, so more is looked at than is shown.
        match std::str::from_utf8(&bytes[..bytes.len().min(16 * PAYLOAD_SHOWN)]) {
            Ok(text) => cut(&self.masker.text(text), PAYLOAD_SHOWN),
            Err(error) if error.valid_up_to() > 0 && bytes.len() > 16 * PAYLOAD_SHOWN => {
                let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                cut(&self.masker.text(text), PAYLOAD_SHOWN)
            }
            Err(_) => format!("({} bytes)", bytes.len()),
        }
    }
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
