//! Takes secrets out of the answers that v2 gives to recorded requests, so that they compare with
//! v1's, which were redacted when they were recorded.
//!
//! A request of a redacted recording holds tokens where it held secrets, and v2 has seen nothing
//! else: what it repeats of them is a token already and stays one. Everything else in its answer is
//! a value of its own, and gets the token that v1's has if the values are equal.

use super::apply::{Pass, Redactor};
use super::known::KnownTokens;
use crate::exchange::SocketMessage;
use crate::message::{Headers, Request, Response};

/// What v2 was asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnsweredRequest<'a> {
    /// The request as it was sent, where it is known.
    pub request: Option<&'a Request>,
    /// What was said to v2 on the WebSocket that it opened.
    pub messages: &'a [SocketMessage],
    /// Names of its fields that were not recorded but given by who replays: their values are no
    /// tokens.
    pub given: &'a [String],
    /// The tokens of all requests, where the recording is redacted; none where requests hold their
    /// secrets.
    pub known: Option<&'a KnownTokens>,
}

impl Redactor {
    /// Adds the tokens that a request of a redacted recording holds.
    pub fn learn(&self, request: &Request, known: &mut KnownTokens) {
        let mut pass = Pass::new(self, None);
        pass.reads_tokens = true;
        pass.request(&mut request.clone());
        pass.tokens.iter().for_each(|token| known.add(token));
    }

    /// Redacts an answer; answers how many places were changed. `is_whole` is false for one that
    /// broke off.
    pub fn answer(
        &self,
        asked: AnsweredRequest<'_>,
        response: &mut Response,
        is_whole: bool,
    ) -> usize {
        self.session(asked, response, &mut [], is_whole)
    }

    /// The same with what v2 said on the WebSocket that its answer opened.
    pub fn session(
        &self,
        asked: AnsweredRequest<'_>,
        response: &mut Response,
        messages: &mut [SocketMessage],
        is_whole: bool,
    ) -> usize {
        let mut pass = Pass::new(self, asked.known);
        if let Some(request) = asked.request {
            let mut request = request.clone();
            let is_given = |name: &[u8]| {
                asked.given.iter().any(|given| name.eq_ignore_ascii_case(given.as_bytes()))
            };
            let (mut given, recorded): (Headers, Headers) = {
                let fields = request.headers.iter();
                (
                    fields.clone().filter(|(name, _)| is_given(name)).collect(),
                    fields.filter(|(name, _)| !is_given(name)).collect(),
                )
            };
            pass.headers(&mut given);
            request.headers = recorded;
            pass.reads_tokens = asked.known.is_some();
            pass.request(&mut request);
            asked.messages.iter().for_each(|message| drop(pass.message(message)));
            pass.reads_tokens = false;
        }
        let searched = pass.response(response, !is_whole);
        let said = messages.iter().map(|message| pass.message(message)).collect();
        let repeated = pass.repeated();
        let _ = pass.finish_response(&repeated, searched, response, !is_whole);
        let _ = pass.finish_messages(&repeated, messages, said);
        pass.changes
    }
}
