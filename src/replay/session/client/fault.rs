//! What the client library's errors mean for a request.

use std::error::Error;
use std::io;

use crate::outcome::{Failure, FailureKind, Owner};
use crate::replay::session::probe::innermost;
use crate::replay::session::tls;

/// Of a connection or a request on it.
pub(super) fn of(error: &hyper::Error) -> Failure {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<io::Error>().and_then(tls::refusal) {
            return refusal;
        }
        source = cause.source();
    }
    let said = error.to_string();
    match () {
        () if said.contains("unexpected message") => {
            Failure::new(FailureKind::Protocol, "v2 said something that nobody had asked for")
        }
        () if error.is_timeout() => Failure::new(FailureKind::Timeout, innermost(error)),
        () if error.is_parse() => Failure::new(
            FailureKind::Protocol,
            format!("what came is not an HTTP response: {}", innermost(error)),
        ),
        () => Failure::new(FailureKind::Closed, innermost(error)),
    }
}

/// Of the body of an answer: what the library cannot read is no end of the connection.
pub(super) fn of_body(error: &hyper::Error) -> Failure {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut is_unreadable = error.is_parse();
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        is_unreadable |=
            matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
        source = cause.source();
    }
    let failure = of(error);
    if is_unreadable && failure.kind == FailureKind::Closed {
        let detail = format!("the answer is not whole: {}", failure.detail);
        return Failure { kind: FailureKind::Protocol, detail, ..failure };
    }
    let detail = format!("{}, inside the answer", failure.detail);
    Failure { detail, ..failure }
}

/// Of an attempt to connect.
pub(super) fn of_socket(error: &io::Error) -> Failure {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let failure = Failure::new(FailureKind::Connect, error.to_string());
    match errno {
        Some(
            Errno::ADDRNOTAVAIL
            | Errno::ADDRINUSE
            | Errno::MFILE
            | Errno::NFILE
            | Errno::PERM
            | Errno::ACCESS,
        ) => failure.of(Owner::Replayer),
        _ => failure,
    }
}
