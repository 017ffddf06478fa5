//! The first walk through the exchanges: routes are learned, and equal requests of the recording
//! are found, by which v1 is compared with itself.

use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::io;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHasher};

use super::calls;
use super::conditional::is_conditional;
use crate::exchange::{Completeness, Exchange};
use crate::message::Request;
use crate::message::method::is_safe;
use crate::message::target::path_and_query;
use crate::record::exchanges;
use crate::record::lines::Batches;
use crate::route::Routes;

/// Pairs of equal requests that are compared, of each request.
const MAX_PAIRS: u8 = 20;
/// Different requests that are remembered; beyond, further ones have no pairs.
const MAX_REQUESTS: usize = 4 << 20;
/// No pair.
pub(super) const NONE: u32 = u32::MAX;

/// What the first walk found. 16 bytes for each exchange.
pub(super) struct DiffSurvey {
    pub(super) routes: Routes,
    /// Where each exchange stands, by its rank in the file.
    pub(super) places: Vec<(u64, u32)>,
    /// The rank of the exchange before with an equal request; [`NONE`] where there is none.
    pub(super) pairs: Vec<u32>,
    /// Of conditional requests: the rank of the last full answer to the same question before.
    pub(super) full: FxHashMap<u32, u32>,
    /// The ranks of exchanges that may be written in Protocol Buffers.
    pub(super) calls: Vec<u32>,
    /// Lines that are no exchange.
    pub(super) damaged: u64,
    /// Whether the file was closed by its last line.
    pub(super) closed: bool,
}

/// What is needed of an exchange in the first walk.
pub(super) struct Brief {
    method: Vec<u8>,
    target: Vec<u8>,
    /// A hash of everything in the request that may shape the answer.
    request: u64,
    /// Who asks: a hash of cookies and credentials, 0 where there are none.
    session: u64,
    answered: bool,
    /// A hash of what is asked for, without the conditions; 0 where it is no `GET`.
    question: u64,
    conditional: bool,
    /// Whether the answer holds all that was asked for.
    full: bool,
    /// Whether it may be written in Protocol Buffers.
    is_call: bool,
}

enum SurveyItem {
    Exchange(Option<Brief>),
    Header,
    End,
    Damaged,
}

/// Looks at exchanges one after the other.
pub(super) struct Surveyor {
    pub(super) routes: Routes,
    pairing: EqualRequests,
    latest: FxHashMap<u64, u32>,
    rank: u32,
}

/// What a surveyor found of an exchange.
pub(super) struct Surveyed {
    /// As in [`DiffSurvey::pairs`].
    pub(super) pair: u32,
    /// As in [`DiffSurvey::full`].
    pub(super) full: Option<u32>,
    /// As in [`DiffSurvey::calls`].
    pub(super) is_call: bool,
}

impl Surveyor {
    pub(super) fn new(routes: Routes) -> Self {
        let (pairing, latest) = (EqualRequests::default(), FxHashMap::default());
        Self { routes, pairing, latest, rank: 0 }
    }

    /// Looks at the next exchange; none of one without a request.
    pub(super) fn look(&mut self, brief: Option<Brief>) -> Surveyed {
        let rank = self.rank;
        self.rank += 1;
        let mut found = Surveyed { pair: NONE, full: None, is_call: false };
        let Some(brief) = brief else { return found };
        found.pair = self.pairing.equal_before(&brief, rank);
        if brief.question != 0 {
            if brief.conditional {
                found.full = self.latest.get(&brief.question).copied();
            }
            let room = self.latest.len() < MAX_REQUESTS;
            if brief.full && (room || self.latest.contains_key(&brief.question)) {
                self.latest.insert(brief.question, rank);
            }
        }
        found.is_call = brief.is_call;
        self.routes.learn(&brief.method, &brief.target);
        found
    }
}

impl DiffSurvey {
    /// Of no exchange yet.
    pub(super) fn new() -> Self {
        Self {
            routes: Routes::default(),
            places: Vec::new(),
            pairs: Vec::new(),
            full: FxHashMap::default(),
            calls: Vec::new(),
            damaged: 0,
            closed: false,
        }
    }

    /// Adds the next exchange, which stands at `offset`.
    pub(super) fn add(&mut self, offset: u64, length: u32, found: &Surveyed) {
        let rank = self.places.len() as u32;
        self.places.push((offset, length));
        self.pairs.push(found.pair);
        if let Some(before) = found.full {
            self.full.insert(rank, before);
        }
        if found.is_call {
            self.calls.push(rank);
        }
    }
}

/// Walks the file once; first and last lines are given to `edge`.
pub(super) fn survey(
    file: &File,
    routes: Routes,
    mut progress: impl FnMut(u64),
    mut edge: impl FnMut(&[u8]),
) -> io::Result<DiffSurvey> {
    let mut batches = Batches::new(file)?;
    let mut surveyor = Surveyor::new(routes);
    let mut survey = DiffSurvey::new();
    while let Some(batch) = batches.next()? {
        let items: Vec<SurveyItem> = (0..batch.len())
            .into_par_iter()
            .with_min_len(16)
            .map(|at| brief(batch.line(at).1))
            .collect();
        for (at, item) in items.into_iter().enumerate() {
            match item {
                SurveyItem::Header | SurveyItem::End => {
                    survey.closed = matches!(item, SurveyItem::End);
                    edge(batch.line(at).1);
                }
                SurveyItem::Damaged => survey.damaged += 1,
                SurveyItem::Exchange(brief) => {
                    let (offset, line) = batch.line(at);
                    survey.add(offset, line.len() as u32, &surveyor.look(brief));
                }
            }
        }
        progress(batches.position());
    }
    survey.routes = surveyor.routes;
    survey.routes.settle();
    survey.damaged += batches.too_long;
    Ok(survey)
}

/// Whether a line closes a recording, where it opens or closes one.
pub(super) fn is_closing(line: &[u8]) -> Option<bool> {
    match brief(line) {
        SurveyItem::Header => Some(false),
        SurveyItem::End => Some(true),
        SurveyItem::Exchange(_) | SurveyItem::Damaged => None,
    }
}

fn brief(line: &[u8]) -> SurveyItem {
    match exchanges::read_asked(line) {
        Ok(Some(asked)) => {
            // Quotes inside of values are escaped: this is the answer's own member.
            let is_ok = || memchr::memmem::find(line, b"\"status\":200").is_some();
            let is_answered = asked.completeness == Completeness::Complete && asked.answered;
            let is_call = || memchr::memmem::find(line, b"protobuf").is_some();
            let brief =
                asked.request.map(|asked| Brief::of(&asked.message, is_answered, is_ok, is_call));
            SurveyItem::Exchange(brief)
        }
        Ok(None) if memchr::memmem::find(line, exchanges::END_FORMAT.as_bytes()).is_some() => {
            SurveyItem::End
        }
        Ok(None) => SurveyItem::Header,
        Err(_) => SurveyItem::Damaged,
    }
}

impl Brief {
    /// Of an exchange at hand.
    pub(super) fn of_exchange(exchange: &Exchange) -> Option<Self> {
        let answer = exchange.response.as_ref();
        let is_answered = exchange.completeness == Completeness::Complete && answer.is_some();
        let is_ok = || answer.is_some_and(|answer| answer.message.status == 200);
        let kind = || answer?.message.headers.get("content-type");
        let is_call =
            || kind().is_some_and(|kind| memchr::memmem::find(kind, b"protobuf").is_some());
        Some(Self::of(&exchange.request.as_ref()?.message, is_answered, is_ok, is_call))
    }

    /// Of a request, whether its answer is complete, and whether that is 200 or may be a message of
    /// Protocol Buffers.
    fn of(
        request: &Request,
        answered: bool,
        is_ok: impl FnOnce() -> bool,
        is_call: impl FnOnce() -> bool,
    ) -> Self {
        let mut whole = FxHasher::default();
        let mut session = FxHasher::default();
        let mut has_session = false;
        let mut question = FxHasher::default();
        let mut partial = false;
        (&*request.method, &*request.target, &*request.body.bytes, request.body.length)
            .hash(&mut whole);
        request.target.hash(&mut question);
        for (name, value) in request.headers.iter() {
            let name = name.to_ascii_lowercase();
            match name.as_slice() {
                b"cookie" | b"authorization" | b"x-api-key" => {
                    (&name, value).hash(&mut session);
                    (&name, value).hash(&mut whole);
                    (&name, value).hash(&mut question);
                    has_session = true;
                }
                // What negotiates content, ranges and conditions.
                b"host" | b"accept" | b"accept-language" | b"accept-encoding" | b"content-type"
                | b"origin" | b"x-requested-with" => {
                    (&name, value).hash(&mut whole);
                    (&name, value).hash(&mut question);
                }
                b"range" => {
                    partial = true;
                    (&name, value).hash(&mut whole);
                }
                b"if-none-match" | b"if-modified-since" => (&name, value).hash(&mut whole),
                _ => {}
            }
        }
        Self {
            method: request.method.to_vec(),
            target: request.target.to_vec(),
            request: whole.finish(),
            session: if has_session { session.finish() } else { 0 },
            answered,
            question: if &*request.method == b"GET" { question.finish() | 1 } else { 0 },
            is_call: calls::may_be(request) || is_call(),
            conditional: is_conditional(&request.headers),
            full: answered && !partial && &*request.method == b"GET" && is_ok(),
        }
    }
}

/// Finds equal requests. Between them nothing may have been written that the answer could show: a
/// write by the same session, or to the same resource, starts a new age of it.
#[derive(Default)]
struct EqualRequests {
    latest: FxHashMap<u64, (u32, u8)>,
    ages: FxHashMap<u64, u32>,
}

impl EqualRequests {
    fn equal_before(&mut self, brief: &Brief, rank: u32) -> u32 {
        let safe = is_safe(&brief.method);
        let resources = resources(&brief.target);
        if !safe {
            for resource in resources.into_iter().chain([brief.session]).filter(|hash| *hash != 0) {
                if self.ages.len() < MAX_REQUESTS || self.ages.contains_key(&resource) {
                    *self.ages.entry(resource).or_default() += 1;
                }
            }
        }
        if !brief.answered {
            return NONE;
        }
        let mut hasher = FxHasher::default();
        brief.request.hash(&mut hasher);
        // A write sees its own effect; equal writes are compared whatever lies between.
        if safe {
            let age = |hash: u64| self.ages.get(&hash).copied().unwrap_or(0);
            (age(resources[usize::from(resources[1] != 0)]), age(brief.session)).hash(&mut hasher);
        }
        let hash = hasher.finish();
        if self.latest.len() >= MAX_REQUESTS && !self.latest.contains_key(&hash) {
            return NONE;
        }
        match self.latest.get_mut(&hash) {
            None => {
                self.latest.insert(hash, (rank, 0));
                NONE
            }
            Some((before, pairs)) if *pairs < MAX_PAIRS => {
                *pairs += 1;
                // The one before and not the first: pairs that share a member would count its
                // oddity again and again.
                std::mem::replace(before, rank)
            }
            Some(_) => NONE,
        }
    }
}

/// Hashes of the collection and of the member that a path names: `/carts` and `/carts/5` of
/// `/api/v1/carts/5/items`; 0 where there is none.
fn resources(target: &[u8]) -> [u64; 2] {
    let (path, _) = path_and_query(target);
    let prefix = |segment: &&[u8]| {
        segment.is_empty()
            || segment.eq_ignore_ascii_case(b"api")
            || segment.eq_ignore_ascii_case(b"rest")
            || segment.len() <= 3
                && segment[0] == b'v'
                && segment[1..].iter().all(u8::is_ascii_digit)
    };
    let mut segments =
        path.split(|&byte| byte == b'/').skip_while(prefix).filter(|segment| !segment.is_empty());
    let mut hasher = FxHasher::default();
    let mut next = || {
        segments.next().map_or(0, |segment| {
            segment.hash(&mut hasher);
            hasher.finish() | 1
        })
    };
    let first = next();
    [first, next()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(requests: &[(&str, &str, u64)]) -> Vec<Option<u32>> {
        let mut pairing = EqualRequests::default();
        requests
            .iter()
            .enumerate()
            .map(|(rank, (method, target, session))| {
                let mut hasher = FxHasher::default();
                (method, target, session).hash(&mut hasher);
                let brief = Brief {
                    method: method.as_bytes().to_vec(),
                    target: target.as_bytes().to_vec(),
                    request: hasher.finish(),
                    session: *session,
                    answered: true,
                    question: 0,
                    conditional: false,
                    is_call: false,
                    full: false,
                };
                Some(pairing.equal_before(&brief, rank as u32)).filter(|before| *before != NONE)
            })
            .collect()
    }

    #[test]
    fn equal_requests_are_paired_unless_something_was_written_between() {
        assert_eq!(
            pairs(&[("GET", "/a", 0), ("GET", "/b", 0), ("GET", "/a", 0), ("GET", "/a", 0)]),
            [None, None, Some(0), Some(2)]
        );
        let cart = [
            ("GET", "/api/v1/carts/5", 0),
            ("POST", "/api/v1/carts/5/items", 0),
            ("GET", "/api/v1/carts/5", 0),
        ];
        assert_eq!(pairs(&cart), [None, None, None]);
        let other = [("GET", "/carts/6", 0), ("POST", "/carts/5/items", 0), ("GET", "/carts/6", 0)];
        assert_eq!(pairs(&other), [None, None, Some(0)]);
        let list = [("GET", "/carts", 0), ("PUT", "/carts/5", 0), ("GET", "/carts", 0)];
        assert_eq!(pairs(&list), [None, None, None]);
        let session =
            [("GET", "/me", 7), ("POST", "/login", 7), ("GET", "/me", 7), ("GET", "/me", 8)];
        assert_eq!(pairs(&session), [None, None, None, None]);
        assert_eq!(pairs(&[("POST", "/x", 0), ("POST", "/x", 0)]), [None, Some(0)]);
    }
}
