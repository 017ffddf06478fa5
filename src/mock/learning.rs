//! What a recording's calls tell together of each: which places have values that are drawn, which
//! header fields say what is asked for, which values were there before a call, and which calls were
//! answered alike whatever they said.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::cause::{CauseFinder, Ingress, traces};
use super::context::{ContextNames, ContextSamples};
use super::drawn::DrawnSamples;
use super::features::{self, Content, FeatureRules, Known, Subject};
use super::hashing::hash_of;
use super::head::RecordedHead;
use super::naming::Names;
use super::recording::{AskedBody, CallRecording, Raw, RecordedAnswer, scope_of};
use super::seen::SeenValues;
use super::told::ToldSamples;
use crate::message::protobuf::{Readings, Speaker};

fn hash_of_names(names: &[u64]) -> u64 {
    let bytes: Vec<u8> = names.iter().flat_map(|name| name.to_le_bytes()).collect();
    hash_of(&bytes)
}

impl CallRecording {
    /// The values that name something in v1's requests, its calls and their answers.
    pub(super) fn seen(&self, ingress: &[Ingress], calls: &[Raw]) -> io::Result<SeenValues> {
        let mut seen = SeenValues::default();
        for one in ingress {
            one.names.iter().for_each(|&name| seen.add(name, one.at));
            one.times.iter().for_each(|&time| seen.add_time(time, one.at));
        }
        // A call that is made again says nothing new.
        let mut said = FxHashSet::default();
        for call in calls.iter().filter(|call| said.insert(hash_of_names(&call.names))) {
            call.names.iter().for_each(|&name| seen.add(name, call.at));
        }
        for call in calls {
            let Ok(answer) = &call.answer else { continue };
            let at = call.at.plus(answer.last_byte_ns);
            let response = self.response(answer)?;
            let names = features::names(b"", &response.headers, Content::of(&response.body));
            names.iter().for_each(|&name| seen.add(name, at));
        }
        Ok(seen)
    }

    /// What is known of the places of a scope.
    pub(super) fn known(&self, scope: u64) -> Known<'_> {
        static NONE: ContextNames = ContextNames::none();
        let context = self.contexts.get(&scope).unwrap_or(&NONE);
        Known { rules: &self.rules, drawn: &self.drawn, told: &self.told, context, scope }
    }

    /// The route of a call by its path alone, and with the operation that it names.
    pub(super) fn route_of(&self, call: &Raw) -> (Arc<str>, Arc<str>) {
        let [method, target] = RecordedHead::of(self.shelf.bytes(call.request)).start;
        let route = self.routes.route(method, target);
        let whole = match call.operation.as_deref() {
            Some(operation) => self.routes.route_of(method, target, Some(operation)),
            None => Arc::clone(&route),
        };
        (route, whole)
    }

    /// Learns which places have values that are drawn at random, which numbers v1 told its client
    /// (`ingress` is what may have caused the calls), and which header fields say what is asked for.
    pub(super) fn learn(&mut self, calls: &[Raw], ingress: &[Ingress]) -> io::Result<()> {
        self.learn_messages(calls)?;
        let mut samples = DrawnSamples::default();
        let mut told = ToldSamples::default();
        let mut contexts = ContextSamples::default();
        let mut finder = CauseFinder::new(ingress);
        for call in calls {
            let head = RecordedHead::of(self.shelf.bytes(call.request));
            let headers = head.fields.to_headers();
            let route = self.route_of(call).1;
            let scope = scope_of(&call.host, &route);
            contexts.add(scope, &headers, |name| is_compared(&self.rules, name));
            if let Ok(answer) = &call.answer
                && (200..300).contains(&answer.status())
                && let Some(kind) = self.head(answer).fields.to_headers().get("content-type")
            {
                contexts.add_type(scope, kind);
            }
            let AskedBody::Whole(kept) = &call.asked else { continue };
            let body = self.shelf.whole(kept)?;
            let subject = Subject {
                route: &route,
                target: head.start[1],
                headers: &headers,
                content: Content::Whole(&body),
                reads: call.reads,
                at: call.at,
            };
            let found = finder.find(call.at, call.client, &traces(&headers), &call.names);
            let causes = finder.may_have_caused(found, call.client);
            let is_told = |number| causes.iter().any(|cause| cause.tells(number));
            let both = (&mut samples, &mut told);
            features::sample(&subject, &self.rules, scope, both, is_told);
        }
        self.drawn = samples.judged();
        self.told = told.judged();
        self.contexts = contexts.judged();
        Ok(())
    }

    /// Learns how messages of Protocol Buffers are built of which no schema says so.
    fn learn_messages(&mut self, calls: &[Raw]) -> io::Result<()> {
        let Self { rules, shelf, .. } = self;
        let readings = Arc::make_mut(&mut rules.readings);
        for call in calls {
            let head = RecordedHead::of(shelf.bytes(call.request));
            let headers = head.fields.to_headers();
            let AskedBody::Whole(kept) = &call.asked else { continue };
            if Readings::may_be(&headers) {
                readings.learn(Speaker::Question, head.start[1], &headers, &shelf.whole(kept)?);
            }
        }
        Ok(())
    }

    /// Exactly equal requests whose answers differ in status or body.
    pub(super) fn count_contradictions(&self) -> u64 {
        let lists = || if self.contexts.is_empty() { &self.exact } else { &self.exact_in_context };
        lists().lists().filter(|calls| !self.are_answered_alike(calls)).count() as u64
    }

    fn are_answered_alike(&self, calls: &[u32]) -> bool {
        let answer =
            |index: u32| self.calls[index as usize].answer.as_ref().ok().map(RecordedAnswer::says);
        calls.windows(2).all(|pair| answer(pair[0]) == answer(pair[1]))
    }

    /// Whether calls that are equal by kind say different things, and were answered alike: what
    /// they say then names nothing.
    pub(super) fn is_given_alike(&self, group: u32) -> bool {
        let calls = self.group(group);
        let values = |index: u32| -> Vec<u64> {
            let features = self.features(&self.calls[index as usize]);
            let features = (0..features.len()).filter_map(|at| features.get(at));
            features.filter(|f| f.names == Names::Value).map(|f| f.value).collect()
        };
        let differ = |pair: &[u32]| values(pair[0]) != values(pair[1]);
        calls.windows(2).any(differ) && self.are_answered_alike(calls)
    }
}

fn is_compared(rules: &FeatureRules, name: &str) -> bool {
    rules.headers.iter().any(|own| own == name)
}
