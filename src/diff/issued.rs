//! What v1 had issued by the time of an answer: an answer names nothing that was made after it.
//!
//! Exchanges that issue numbers are known by their names; when they were is found out as the
//! recording is walked through.

use rustc_hash::FxHashMap;

use crate::exchange::{Exchange, ExchangeId};
use crate::record::lines::id_of;
use crate::time::Timestamp;

/// Status of an answer after which messages of a WebSocket follow (RFC 6455 §4.2.2).
const SWITCHING: u16 = 101;

/// After and before all that is recorded.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);
const EVER: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Exchanges that issue something, numbered.
#[derive(Debug, Default)]
pub(super) struct Issuers(FxHashMap<ExchangeId, u32>);

impl Issuers {
    /// The number of an exchange.
    pub(super) fn number(&mut self, id: ExchangeId) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(id).or_insert(next)
    }
}

/// When each of them was asked, as far as the recording was walked through: 8 bytes for each.
#[derive(Debug)]
pub(super) struct IssueTimes {
    times: Vec<Timestamp>,
    /// When the last exchange was asked that was seen; none where it is the last of all.
    until: Option<Timestamp>,
}

impl IssueTimes {
    /// None is known yet.
    pub(super) fn new(issuers: &Issuers) -> Self {
        Self { times: vec![NEVER; issuers.0.len()], until: None }
    }

    /// Takes in the next lines of the recording.
    pub(super) fn read<'l>(
        &mut self,
        issuers: &Issuers,
        lines: impl Iterator<Item = &'l [u8]>,
        are_last: bool,
    ) {
        self.until = None;
        let mut last = None;
        for line in lines {
            last = Some(line);
            let issuer = id_of(line).and_then(|id| issuers.0.get(&id.exchange));
            if let Some(time) = issuer.and_then(|&issuer| self.times.get_mut(issuer as usize)) {
                // One whose time cannot be read may have been at any.
                *time = asked_at(line).unwrap_or(EVER);
            }
        }
        if !are_last {
            self.until = Some(last.and_then(asked_at).unwrap_or(EVER));
        }
    }

    /// What had been issued when v1 had answered; none where that is not known: it went on while
    /// exchanges began that were not seen yet.
    pub(super) fn by(&self, exchange: &Exchange) -> Option<IssuedBy<'_>> {
        let answer = exchange.response.as_ref()?;
        let asked = exchange.request.as_ref()?.at;
        let at = asked.plus(answer.last_byte_ns.filter(|_| answer.message.status != SWITCHING)?);
        self.until.is_none_or(|until| at < until).then_some(IssuedBy { times: &self.times, at })
    }
}

/// What had been issued at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct IssuedBy<'t> {
    times: &'t [Timestamp],
    at: Timestamp,
}

impl IssuedBy<'_> {
    /// Whether the exchange of this number may have issued by then.
    pub(super) fn has(self, issuer: u32) -> bool {
        self.times.get(issuer as usize).is_none_or(|time| *time <= self.at)
    }
}

/// When v1 was asked what a line tells: the first time in it.
fn asked_at(line: &[u8]) -> Option<Timestamp> {
    const AT: &[u8] = b"\"at\":\"";
    const LONGEST: usize = 64;
    let from = memchr::memmem::find(line, AT)? + AT.len();
    let rest = line.get(from..line.len().min(from + LONGEST))?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{TimedRequest, TimedResponse};

    #[test]
    fn what_was_made_later_is_not_issued_yet() {
        let at = |second: u32| format!("2026-11-29T01:00:{second:02}Z");
        let line = |n: u32, second: u32| {
            format!(r#"{{"id":"{n}-0","client":"a","request":{{"at":"{}"}}}}"#, at(second))
        };
        let mut issuers = Issuers::default();
        let numbers =
            [0, 1, 7].map(|connection| issuers.number(ExchangeId { connection, ordinal: 0 }));
        let mut times = IssueTimes::new(&issuers);
        let answered = |second: u32, status: u16| {
            let mut answer = TimedResponse { last_byte_ns: Some(1), ..TimedResponse::default() };
            answer.message.status = status;
            let request = TimedRequest { at: at(second).parse().unwrap(), ..Default::default() };
            let ends = ["10.0.0.9:1", "10.0.0.1:80"].map(|end| end.parse().unwrap());
            Exchange {
                request: Some(request),
                response: Some(answer),
                ..Exchange::between(ends[0], ends[1])
            }
        };
        let known = |times: &IssueTimes, second: u32, status: u16| {
            times.by(&answered(second, status)).map(|by| numbers.map(|number| by.has(number)))
        };
        let lines = [line(0, 10), line(5, 12), line(1, 20), line(6, 30)];
        times.read(&issuers, lines.iter().map(String::as_bytes), false);
        assert_eq!(known(&times, 10, 200), Some([true, false, false]));
        assert_eq!(known(&times, 25, 200), Some([true, true, false]));
        assert_eq!(known(&times, 30, 200), None, "what follows was not seen yet");
        assert_eq!(known(&times, 10, 101), None, "it goes on");
        times.read(&issuers, [line(7, 40)].iter().map(String::as_bytes), true);
        assert_eq!(known(&times, 50, 200), Some([true, true, true]));
    }
}
