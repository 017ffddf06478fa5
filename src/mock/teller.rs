//! Makes the ledger's lines: what was decided of a call, beside what the call and the recorded one
//! say. Needs no lock, and so can be done behind the call.

use std::borrow::Cow;
use std::sync::Arc;

use super::features::Content;
use super::journal::{Entry, Missing};
use super::ledger::{Call, CallPlace, CallVerdict};
use super::matcher::{CallQuery, FoundCall, Tier};
use super::recording::{AskedBody, CallRecording, RecordedCall};
use crate::diff::repeat;
use crate::message::target::origin_form;
use crate::message::{Body, Request};
use crate::redact::{Echoes, Masker};

/// Longest value of a place that is shown, in characters.
const VALUE_SHOWN: usize = 120;
/// Longest beginning of a body that is shown, in characters.
const PAYLOAD_SHOWN: usize = 240;
/// Most places of one call that are shown.
const PLACES_SHOWN: usize = 40;

/// Tells of calls.
pub(super) struct Teller {
    pub(super) recording: Arc<CallRecording>,
    pub(super) masker: Masker,
}

impl Teller {
    /// A call of v2 with what was decided of it.
    pub(super) fn call(&self, entry: &Entry, query: &CallQuery<'_>, route: &str) -> Call {
        let target = origin_form(&query.request.target);
        let (why, score) = self.why(entry);
        let mut call = Call {
            verdict: entry.verdict,
            at: entry.at,
            provider: query.host.to_owned(),
            method: String::from_utf8_lossy(&query.request.method).into_owned(),
            route: route.to_owned(),
            target: self.masker.target(&target).into_owned(),
            payload: String::new(),
            recorded_payload: String::new(),
            recorded: None,
            times: entry.times,
            cause: entry.cause,
            status: entry.status,
            score,
            why: why.into_owned(),
            places: vec![],
            order_changed: entry.order_changed,
            fault: entry.fault.clone(),
            repeat: String::new(),
        };
        let theirs = match entry.found {
            FoundCall::Answer { index, .. } | FoundCall::Miss { nearest: Some((index, _)), .. } => {
                Some(index)
            }
            FoundCall::Miss { nearest: None, .. } => None,
        };
        let by_likeness = match entry.found {
            FoundCall::Answer { tier, .. } => tier == Tier::Nearest,
            FoundCall::Miss { .. } => true,
        };
        if let Some(index) = theirs {
            call.recorded = Some(self.recording.calls[index as usize].id);
            if by_likeness {
                call.places = self.places(query, route, index, &entry.others);
            }
        }
        if call.verdict != CallVerdict::Matched {
            call.payload = self.payload(query);
            call.repeat = repeat::call(query.host, &target, query.request, &self.masker);
            let echoes = Echoes::of(&self.masker, query.request, &[]);
            [&mut call.payload, &mut call.target].into_iter().for_each(|text| echoes.hide(text));
            if let Some(index) = theirs {
                call.recorded_payload =
                    self.recorded_payload(&self.recording.calls[index as usize]);
            }
        }
        call
    }

    /// Why this recorded call, or why none; and how much the two have in common.
    fn why(&self, entry: &Entry) -> (Cow<'static, str>, f64) {
        let (index, tier, score, again) = match entry.found {
            FoundCall::Answer { index, tier, score, again, .. } => (index, tier, score, again),
            FoundCall::Miss { nearest, reason } => {
                return (Cow::Borrowed(reason.text()), nearest.map_or(0.0, |(_, score)| score));
            }
        };
        let why: Cow<'static, str> = match (tier, again) {
            (Tier::Exact, false) => Cow::Borrowed("equal"),
            (Tier::ByKind, false) => Cow::Borrowed("equal but for values that vary by themselves"),
            (Tier::Nearest, false) if !entry.others.is_empty() => format!(
                "the nearest recorded call, {:.0}% in common; what it names is another thing",
                score * 100.0
            )
            .into(),
            (Tier::Nearest, false) => {
                format!("the nearest recorded call, {:.0}% in common", score * 100.0).into()
            }
            (_, true) => Cow::Borrowed(
                "v1 made this call less often; answered with the last recorded answer again",
            ),
        };
        match &self.recording.calls[index as usize].answer {
            Err(lacks) => (format!("{why}; {lacks}").into(), score),
            Ok(_) => (why, score),
        }
    }

    /// A call of v1 that v2 did not make.
    pub(super) fn missing(&self, missing: &Missing) -> Call {
        let recorded = &self.recording.calls[missing.index as usize];
        let (host, route) = self.recording.aim_of(recorded);
        let request = self.recording.request(recorded);
        let target = origin_form(&request.target);
        Call {
            verdict: CallVerdict::Missing,
            at: recorded.at,
            provider: host.to_string(),
            method: String::from_utf8_lossy(&request.method).into_owned(),
            route: route.to_string(),
            target: self.masker.target(&target).into_owned(),
            payload: String::new(),
            recorded_payload: self.recorded_payload(recorded),
            recorded: Some(recorded.id),
            times: missing.times,
            cause: missing.cause,
            status: None,
            score: 0.0,
            why: "v2 did not make this call".to_owned(),
            places: vec![],
            order_changed: false,
            fault: None,
            repeat: self.repeat_of(recorded, &request, host, &target),
        }
    }

    /// Where a call differs from a recorded one, as it is shown. What cannot be read back from disk
    /// is not told apart.
    fn places(
        &self,
        query: &CallQuery<'_>,
        route: &str,
        index: u32,
        others: &[u64],
    ) -> Vec<CallPlace> {
        match self.recording.places(query, route, index, others) {
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
        match &recorded.asked {
            AskedBody::Whole(_) => {
                self.recording.asked(recorded).map(|body| self.beginning(&body)).unwrap_or_default()
            }
            AskedBody::Hashed(hashed) => format!("({} bytes)", hashed.length),
        }
    }

    /// A command line that makes a recorded call.
    fn repeat_of(
        &self,
        recorded: &RecordedCall,
        request: &Request,
        host: &str,
        target: &str,
    ) -> String {
        let body = match &recorded.asked {
            AskedBody::Whole(_) => {
                let body = self.recording.asked(recorded);
                body.map(|body| Body::whole(body.into_owned())).unwrap_or_default()
            }
            AskedBody::Hashed(hashed) => {
                Body { length: hashed.length, sha256: Some(hashed.sha256), ..Body::default() }
            }
        };
        let request = Request { body, ..request.clone() };
        repeat::call(host, target, &request, &self.masker)
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
