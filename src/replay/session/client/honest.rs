//! What the client library passes over and the wire transport does not: lengths that cannot be
//! meant, answers that nobody asked for, interim ones without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{HeaderMap, Request};
use tokio::sync::Notify;

use crate::limits;
use crate::message::fields::members;
use crate::outcome::{Failure, FailureKind};

fn lie(what: &str) -> Failure {
    Failure::new(FailureKind::Protocol, what)
}

/// The same words as on the wire transport.
pub(super) fn surplus() -> Failure {
    lie("bytes that no request asked for stand behind it")
}

pub(super) fn spoke_first() -> Failure {
    lie("v2 spoke before it was asked")
}

pub(super) fn bad_length() -> Failure {
    lie("the answer is not whole: bad-length")
}

pub(super) fn interims_without_end() -> Failure {
    lie("interim answers without end")
}

/// The declared length of an answer of HTTP/1 whose coding is no coding (`identity`), which the
/// library does not read; an error where lengths contradict each other or are none, also where no
/// body follows.
pub(super) fn length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let values = headers.get_all(TRANSFER_ENCODING);
    let codings = || values.iter().flat_map(|value| members(value.as_bytes()));
    if codings().any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Ok(None);
    }
    let is_coded = codings().next().is_some();
    let mut found = None;
    for member in
        headers.get_all(CONTENT_LENGTH).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','))
    {
        let text = std::str::from_utf8(member.trim_ascii()).map_err(|_| ())?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        let length = text.parse().map_err(|_| ())?;
        if length > limits::DECLARED_BYTES || found.is_some_and(|other| other != length) {
            return Err(());
        }
        found = Some(length);
    }
    Ok(found.filter(|_| is_coded))
}

/// Counts the interim answers to a request.
pub(super) struct Interims {
    without_end: Arc<Notify>,
}

impl Interims {
    pub(super) fn of<B>(message: &mut Request<B>) -> Self {
        let without_end = Arc::new(Notify::new());
        let (told, seen) = (Arc::clone(&without_end), AtomicU32::new(0));
        hyper::ext::on_informational(message, move |_| {
            if seen.fetch_add(1, Ordering::Relaxed) >= limits::INTERIM_ANSWERS {
                told.notify_one();
            }
        });
        Self { without_end }
    }

    /// Ends when there are more than any server means.
    pub(super) async fn without_end(&self) {
        self.without_end.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_cannot_be_meant_are_told() {
        let of = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            length(&headers)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("content-length", "2")]), Ok(None), "the library reads it");
        assert_eq!(of(&[("content-length", "2, 2"), ("content-length", "2")]), Ok(None));
        for wrong in ["-2", "", "2x", "+2", "1, 2", "99999999999999999999999"] {
            assert_eq!(of(&[("content-length", wrong)]), Err(()), "{wrong}");
        }
        assert_eq!(of(&[("content-length", "2"), ("content-length", "3")]), Err(()));
        let identity = ("transfer-encoding", "identity");
        assert_eq!(of(&[identity, ("content-length", "2")]), Ok(Some(2)));
        assert_eq!(of(&[identity]), Ok(None));
        assert_eq!(of(&[("transfer-encoding", "chunked"), ("content-length", "2, 3")]), Ok(None));
    }
}
