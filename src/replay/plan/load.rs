//! What the worker must know of a request beside its bytes, in one record of fixed size.

use crate::message::method::is_safe;
use crate::message::{Request, Version};
use crate::outcome::FailureKind;
use crate::replay::plan::spool::SpoolPlace;
use crate::replay::spoken::Spoken;

/// What the worker must know of a request beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Traits(pub(super) u16);

impl Traits {
    const HEAD: u16 = 1;
    const SAFE: u16 = 2;
    const EXPECTS: u16 = 4;
    const SIMPLE: u16 = 8;
    pub(super) const NOT_SENT: u16 = 16;
    pub(super) const REWRITE: u16 = 32;
    pub(super) const LAST: u16 = 64;
    pub(super) const CLOSES: u16 = 128;
    pub(super) const TWO: u16 = 256;
    pub(super) const SPREADS: u16 = 512;
    pub(super) const CORE: u16 = 1_024;
    pub(super) const SOCKET: u16 = 2_048;

    pub(super) fn of(request: &Request) -> Self {
        let expects =
            request.headers.all("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let bits = [
            (request.method.as_ref() == b"HEAD", Self::HEAD),
            (is_safe(&request.method), Self::SAFE),
            (expects && request.body.length > 0, Self::EXPECTS),
            (request.version == Version::Http09, Self::SIMPLE),
        ];
        Self(bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit))
    }

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// The answer has no body whatever it says.
    pub(in crate::replay) const fn is_head(self) -> bool {
        self.has(Self::HEAD)
    }

    /// May be sent again where nobody answered.
    pub(in crate::replay) const fn is_safe(self) -> bool {
        self.has(Self::SAFE)
    }

    /// The body waits for a `100 Continue` (RFC 9110 §10.1.1).
    pub(in crate::replay) const fn expects_continue(self) -> bool {
        self.has(Self::EXPECTS)
    }

    /// HTTP/0.9.
    pub(in crate::replay) const fn is_simple(self) -> bool {
        self.has(Self::SIMPLE)
    }

    /// It is the last of its lane.
    pub(in crate::replay) const fn is_last(self) -> bool {
        self.has(Self::LAST)
    }

    /// Its lane ends with a step of its own, and not with the answer to the last request.
    pub(in crate::replay) const fn lane_closes(self) -> bool {
        self.has(Self::CLOSES)
    }

    /// What it is prepared for.
    pub(in crate::replay) const fn spoken(self) -> Spoken {
        if self.has(Self::TWO) { Spoken::Two } else { Spoken::One }
    }

    /// Requests of its lane were under way at a time, which one connection of HTTP/1 cannot do:
    /// they go on as many as it takes.
    pub(in crate::replay) const fn spreads(self) -> bool {
        self.has(Self::SPREADS)
    }

    /// Its client was gRPC's C core.
    pub(in crate::replay) const fn is_core(self) -> bool {
        self.has(Self::CORE)
    }

    /// It opens a WebSocket, whose course stands behind it in the spool.
    pub(in crate::replay) const fn opens_socket(self) -> bool {
        self.has(Self::SOCKET)
    }

    /// Is not sent: why not, where it is not.
    pub(in crate::replay) const fn not_sent(self) -> Option<FailureKind> {
        if !self.has(Self::NOT_SENT) {
            None
        } else if self.has(Self::REWRITE) {
            Some(FailureKind::Rewrite)
        } else {
            Some(FailureKind::Skipped)
        }
    }
}

/// The common part of both records: what the bytes are and where they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Load {
    pub(in crate::replay) traits: Traits,
    /// 0 is the target, others are mapped hosts.
    pub(in crate::replay) upstream: u16,
    /// Index into [`Plan::names`], 0 for none.
    pub(in crate::replay) name: u32,
    /// Index into [`Plan::routes`].
    pub(in crate::replay) route: u16,
    /// The request's bytes; of one that is not sent, the reason.
    pub(in crate::replay) place: SpoolPlace,
    /// What is kept for binding values; of no length where the request has nothing to do with them.
    pub(in crate::replay) note: SpoolPlace,
    /// Length of the head in it.
    pub(in crate::replay) head: u32,
    /// Twice what v1 took for its answer, in milliseconds.
    pub(in crate::replay) patience_ms: u32,
    /// For how long v1's client read an answer that it did not read to the end, in milliseconds; 0
    /// where it did.
    pub(in crate::replay) reads_ms: u32,
    /// What its client announced on its connection: index into [`Plan::announced`], 0 where nothing
    /// is known.
    pub(in crate::replay) announced: u16,
    /// The status of that answer; 0 where its head had not come.
    pub(in crate::replay) status: u16,
}

impl Load {
    /// The head of v1's answer had come.
    pub(in crate::replay) const fn had_head(&self) -> bool {
        self.status > 0
    }

    /// For how long to read the answer, where v1's client left it.
    pub(in crate::replay) fn reads_ns(&self) -> Option<i64> {
        (self.reads_ms > 0).then(|| i64::from(self.reads_ms) * 1_000_000)
    }

    /// Twice what v1 took for its answer.
    pub(in crate::replay) fn patience_ns(&self) -> i64 {
        i64::from(self.patience_ms) * 1_000_000
    }
}
