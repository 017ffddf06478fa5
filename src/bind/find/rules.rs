//! The rules of `[flow]` as finding asks them: by exchange, then by place, each noting that it
//! matched.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::bind::config::{BindRule, FlowSection, FlowSpot, NeverRule};
use crate::message::Request;
use crate::message::place::Trail;
use crate::message::protobuf::{Call, Schema};

/// The rules, and which of them matched something.
pub(super) struct FlowRules<'r> {
    flows: Vec<&'r BindRule>,
    never: Vec<&'r NeverRule>,
    matched: Vec<AtomicBool>,
    schema: &'r Schema,
}

impl<'r> FlowRules<'r> {
    pub(super) fn new(section: &'r FlowSection, schema: &'r Schema) -> Self {
        let flows: Vec<_> = section.bind_rules().collect();
        let never: Vec<_> = section.never.iter().collect();
        let matched = (0..flows.len() + never.len()).map(|_| AtomicBool::new(false)).collect();
        Self { flows, never, matched, schema }
    }

    /// The call that a request makes, by the schemas that are known.
    pub(super) fn call(&self, request: &Request) -> Call {
        Call::of(self.schema, &request.target)
    }

    /// Those that may concern an exchange of this request.
    pub(super) fn of(&'r self, request: &Request) -> Chosen<'r> {
        let takes = |spot: &FlowSpot| spot.takes(request);
        let mut chosen =
            Chosen { rules: self, from: Vec::new(), to: Vec::new(), never: Vec::new() };
        for (number, rule) in self.flows.iter().enumerate() {
            if takes(&rule.from) {
                chosen.from.push(number);
            }
            if rule.to.as_ref().is_none_or(takes) {
                chosen.to.push(number);
            }
        }
        let never = self.never.iter().enumerate().filter(|(_, rule)| takes(&rule.at));
        chosen.never.extend(never.map(|(number, _)| number));
        chosen
    }

    /// The rules that matched nothing, as people wrote them.
    pub(super) fn unmatched(&self) -> Vec<String> {
        let flows = self.flows.iter().map(ToString::to_string);
        let all = flows.chain(self.never.iter().map(ToString::to_string));
        let idle = |matched: &AtomicBool| !matched.load(Ordering::Relaxed);
        all.zip(&self.matched).filter(|(_, m)| idle(m)).map(|(text, _)| text).collect()
    }

    fn note(&self, number: usize) {
        self.matched[number].store(true, Ordering::Relaxed);
    }
}

/// The rules that may concern one exchange.
pub(super) struct Chosen<'r> {
    rules: &'r FlowRules<'r>,
    from: Vec<usize>,
    to: Vec<usize>,
    never: Vec<usize>,
}

impl Chosen<'_> {
    /// The kinds by which rules join what stands at a place.
    pub(super) fn flows(&self, said: bool, at: &Trail<'_>) -> Vec<String> {
        let mut kinds = Vec::new();
        for &number in if said { &self.to } else { &self.from } {
            let rule = self.rules.flows[number];
            let covers = match said {
                true => rule.to.as_ref().is_none_or(|to| to.covers(at)),
                false => rule.from.covers(at),
            };
            if covers {
                // A use alone proves nothing: any value is one where no place is named.
                if !said {
                    self.rules.note(number);
                }
                kinds.push(format!("rule {number}"));
            }
        }
        kinds
    }

    /// Whether values at a place never flow.
    pub(super) fn never(&self, at: &Trail<'_>) -> bool {
        let Some(&number) = self.never.iter().find(|&&number| self.rules.never[number].covers(at))
        else {
            return false;
        };
        self.rules.note(self.rules.flows.len() + number);
        true
    }
}
