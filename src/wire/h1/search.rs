//! Where a message may start: what a line's first bytes say, for who searches behind lost bytes.

use crate::message::Version;
use crate::wire::h1::head::{self, StartLine};

/// How much of a line tells whether it may be a start line.
pub(super) const PREFIX: usize = 64;

/// Whether `text` begins with `pattern`, as far as it goes.
pub(super) fn is_prefix(pattern: &[u8], text: &[u8]) -> bool {
    let n = pattern.len().min(text.len());
    pattern[..n] == text[..n]
}

/// A method and a blank, as far as the bytes go, and no control bytes behind it.
pub(super) fn may_be_request(prefix: &[u8]) -> bool {
    let method = prefix.iter().take_while(|&&byte| head::is_token(byte)).count();
    let rest = &prefix[method..];
    let starts = prefix.first().is_some_and(u8::is_ascii_alphabetic) || rest.is_empty();
    starts
        && method > 0
        && (rest.is_empty() && method < PREFIX
            || rest.first().is_some_and(|&byte| matches!(byte, b' ' | b'\t')))
        && !rest.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n'))
}

pub(super) fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

pub(super) fn is_simple(start: &StartLine) -> bool {
    matches!(start, StartLine::Request { version: Version::Http09, .. })
}

/// Whether a header field seems to follow: a start line without version may have a head none the
/// less.
pub(super) fn looks_like_field(input: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', input).unwrap_or(input.len());
    let name = input[..end].iter().take_while(|&&byte| head::is_token(byte)).count();
    name > 0 && input.get(name) == Some(&b':')
}
