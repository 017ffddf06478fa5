//! What happens with one call of v2, whatever protocol it came by: which provider it is for, what
//! is decided, what goes back.

use serde_json::json;

use super::answer::{MISS, Reply};
use super::fault::Action;
use super::ledger::Call;
use super::matcher::Query;
use super::server::{Connection, Shared, Timing};
use crate::message::Request;
use crate::message::target::canonical_authority;
use crate::time::Timestamp;

/// What a call gets.
pub(super) enum Handled<'s> {
    Reply(Reply<'s>),
    /// The connection is to be reset.
    Reset,
    /// Nothing, for as long as the client waits.
    Hang,
}

impl Shared {
    /// Decides what a call gets, writes it down, and waits where a fault says so.
    pub(super) async fn handle(&self, request: &Request, connection: &Connection) -> Handled<'_> {
        let host = self.host(request, connection);
        let query = Query { host: &host, request };
        let prepared = self.recording.prepare(&query, self.watches.then_some(&*self.under_way));
        let decision = self.journal.lock().expect("no holder of this lock panics").decide(
            &query,
            &prepared,
            Timestamp::now(),
        );
        if let Some(explain) = &self.explain {
            explain(&decision.call);
        }
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
            Some(answer) => Reply::recorded(answer, self.timing == Timing::Recorded),
            None => Reply::own(MISS, &self.miss(&decision.call)),
        };
        if self.explain.is_some() {
            reply.added.push(("x-shadowtap-mock", chosen(&decision.call)));
        }
        Handled::Reply(reply)
    }

    /// The provider that a request is for, as the recording names it.
    fn host(&self, request: &Request, connection: &Connection) -> String {
        let absolute =
            std::str::from_utf8(&request.target).ok().and_then(|target| target.split_once("://"));
        let absolute =
            absolute.map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let named = request.headers.get("host").and_then(|host| std::str::from_utf8(host).ok());
        let given = absolute.or(named).or(connection.tunnel.as_deref()).unwrap_or_default();
        let host = canonical_authority(given).into_owned();
        if let Some((_, recorded)) = self.aliases.iter().find(|(alias, _)| *alias == host) {
            return recorded.clone();
        }
        if self.recording.knows_host(&host) {
            return host;
        }
        // A name that leads to the mock, with the mock's port.
        if let Some(name) = host.strip_suffix(&self.own_port)
            && self.recording.knows_host(name)
        {
            return name.to_owned();
        }
        // A client that was given the mock's own address as its provider's, by whatever name of
        // this machine, means the only provider there is, or the only one that was called like
        // this.
        let direct = absolute.is_none() && connection.tunnel.is_none();
        let named_us = self.own.contains(&host) || direct && host.ends_with(&self.own_port);
        match self.recording.only_host_for(&request.method, &request.target).filter(|_| named_us) {
            Some(only) => only.to_owned(),
            None => host,
        }
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
            "nearest": call.recorded.map(|id| json!({ "recorded": id, "score": call.score, "lacks": call.places })),
            "recorded_providers": providers,
        })
    }
}

/// The choice in one line of ASCII.
fn chosen(call: &Call) -> String {
    let recorded = call.recorded.map(|id| format!(" {id}")).unwrap_or_default();
    format!("{}{recorded}; {}", call.verdict.name(), call.why)
}
