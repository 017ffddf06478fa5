//! How one side answered a request, beside how the other did.

use super::{Pairs, paired};

/// One request at v2 and at the other side.
pub(super) fn pair(v2: Answered, other: Answered) -> Pairs {
    let refused = v2.refuses(other);
    Pairs {
        count: 1,
        new_errors: u64::from((v2.is_error() || refused) && !other.is_error()),
        gone_errors: u64::from((!v2.is_error() && other.is_error()) || other.refuses(v2)),
        refusals: u64::from(refused),
    }
}

/// What one side did with a request.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    /// None of a failure.
    pub(super) status: Option<u16>,
    /// Latency of the whole answer.
    pub(super) nanos: Option<i64>,
}

impl Answered {
    pub(super) const fn is_error(self) -> bool {
        matches!(self.status, None | Some(500..))
    }

    /// Whether this is no where `other` was granted: not allowed, sent elsewhere, not found.
    pub(super) const fn refuses(self, other: Self) -> bool {
        matches!(other.status, Some(200..=299))
            && matches!(self.status, Some(301..=303 | 307 | 308 | 401 | 403 | 404))
    }

    /// v2's latency over the other side's, where the answers are of one class.
    pub(super) fn ratio_to(self, other: Self) -> Option<i64> {
        let same = self.status? / 100 == other.status? / 100;
        paired::scaled(self.nanos?, other.nanos?).filter(|_| same)
    }
}
