//! What happens with one call of v2, whatever protocol it came by: which provider it is for, what
//! is decided, what goes back.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::json;

use super::answer::{MISS, Reply};
use super::fault::Action;
use super::journal::CallDecision;
use super::ledger::Call;
use super::matcher::{CallQuery, Prepared};
use super::namespace::TurnedPairs;
use super::recording::RecordedAnswer;
use super::shared::{CallerConnection, SharedMock, Timing};
use super::writer::WaitingCall;
use super::{provider, status};
use crate::limits::WALKED_BODY_BYTES;
use crate::message::target;
use crate::message::{Request, Response};
use crate::time::Timestamp;

/// What a call gets.
pub(super) enum Handled<'s> {
    Reply(Reply<'s>),
    /// The connection is to be reset.
    Reset,
    /// Nothing, for as long as the client waits.
    Hang,
}

impl SharedMock {
    /// Decides what a call gets, writes it down, and waits where a fault says so.
    pub(super) async fn handle(
        &self,
        request: &Request,
        connection: &CallerConnection,
    ) -> Handled<'_> {
        if let Some(reply) = status::answer(self, &request.target) {
            return Handled::Reply(reply);
        }
        let host = self.host(request, connection);
        let asked = request;
        let (turned, pairs) = self.turned_back(request);
        let request = &*turned;
        let query = CallQuery::new(&host, request);
        let prepared = self.recording.prepare(&query, self.watches.then_some(&*self.under_way));
        let prepared = prepared.turned(&pairs);
        let decision = self.decide(&query, &prepared);
        let explained = self.explain.as_ref().map(|explain| {
            let call = self.teller.call(&decision.entry, &query, &prepared.route);
            explain(&call);
            chosen(&call)
        });
        for action in &decision.actions {
            match action {
                Action::Delay(delay) => tokio::time::sleep(*delay).await,
                Action::Status(status) => return Handled::Reply(Reply::empty(*status)),
                Action::Hang => return Handled::Hang,
                Action::Reset => return Handled::Reset,
            }
        }
        let recorded = decision
            .index
            .and_then(|index| self.recording.calls[index as usize].answer.as_ref().ok());
        let mut reply = match recorded {
            Some(answer) => {
                let timed = self.timing == Timing::Recorded;
                let reply = Reply::recorded(&self.recording, answer, timed);
                match self.turned_forth(answer, asked, pairs) {
                    Some(turned) => reply.turned(turned),
                    None => reply,
                }
            }
            None => {
                let call = self.teller.call(&decision.entry, &query, &prepared.route);
                Reply::own(MISS, &self.miss(&call))
            }
        };
        if let Some(explained) = explained {
            reply.added.push(("x-shadowtap-mock", explained));
        }
        Handled::Reply(reply)
    }

    /// Decides, and gives the ledger what was decided, in this order for all calls.
    fn decide(&self, query: &CallQuery<'_>, prepared: &Prepared) -> CallDecision {
        let line = self.writer.as_ref().map(|writer| (writer, query.request.clone()));
        let mut journal = self.journal.lock().expect("no holder of this lock panics");
        let decision = journal.decide(query, prepared, Timestamp::now());
        let Some((writer, request)) = line else { return decision };
        let (host, route) = (query.host.to_owned(), Arc::clone(&prepared.route));
        let too_many =
            writer.push(WaitingCall { entry: decision.entry.clone(), host, route, request });
        drop(journal);
        if too_many {
            writer.catch_up();
        }
        decision
    }

    /// A call with v1's values in the place of those that v2 issued.
    fn turned_back<'r>(&self, request: &'r Request) -> (Cow<'r, Request>, TurnedPairs) {
        let Some(namespace) = &self.namespace else { return (Cow::Borrowed(request), vec![]) };
        let mut namespace = namespace.lock().expect("no holder of this lock panics");
        if let Err(error) = namespace.update() {
            tracing::warn!("cannot read the bindings: {error}");
        }
        namespace.back(request)
    }

    /// A recorded answer with v2's values in the place of v1's.
    fn turned_forth(
        &self,
        answer: &RecordedAnswer,
        request: &Request,
        pairs: TurnedPairs,
    ) -> Option<Response> {
        let namespace = self.namespace.as_ref()?;
        if answer.body.len() > WALKED_BODY_BYTES as u64 {
            return None;
        }
        let whole = self.recording.response(answer).ok()?;
        namespace.lock().expect("no holder of this lock panics").forth(&whole, request, pairs)
    }

    /// The provider that a request is for, as the recording names it.
    fn host(&self, request: &Request, connection: &CallerConnection) -> String {
        let absolute = target::authority(&request.target).map(String::from_utf8_lossy);
        let field = || request.headers.get("host").map(String::from_utf8_lossy);
        let tunnel = || connection.tunnel.as_deref().map(Cow::Borrowed);
        let to_proxy = absolute.is_some() || connection.tunnel.is_some();
        let authority = absolute.or_else(field).or_else(tunnel).unwrap_or_default();
        let own = provider::Own { names: &self.own, port: &self.own_port, aliases: &self.aliases };
        let named = provider::Named { authority: &authority, to_proxy };
        provider::find(&self.recording, &own, &named, &request.method, &request.target)
    }

    fn miss(&self, call: &Call) -> serde_json::Value {
        let providers: Vec<&str> = self.recording.hosts().map(|(host, _)| host).take(20).collect();
        json!({
            "error": "shadowtap mock: not recorded",
            "why": call.why,
            "method": call.method,
            "provider": call.provider,
            "target": call.target,
            "route": call.route,
            "nearest": call.recorded.map(|id| json!({ "recorded": id, "score": call.score,
            "lacks": call.places })),
            "recorded_providers": providers,
        })
    }
}

/// The choice in one line of ASCII.
fn chosen(call: &Call) -> String {
    let recorded = call.recorded.map(|id| format!(" {id}")).unwrap_or_default();
    format!("{}{recorded}; {}", call.verdict.name(), call.why)
}
