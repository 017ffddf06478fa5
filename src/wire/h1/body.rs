//! A body under way: keeps its bytes up to a limit, counts and hashes what is beyond.
//!
//! Memory follows what has come, never what a header declared.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::message::Body;
use crate::wire::h1::parsed::ParserLimits;

/// Most bytes that are reserved at once for a body whose length was declared but whose bytes have
/// not come.
const RESERVE_BYTES: u64 = 16 << 10;

/// Gathers a body.
#[derive(Debug, Default)]
pub(crate) struct BodyGather {
    kept: Vec<u8>,
    length: u64,
    limit: usize,
    hash: Option<Box<Sha256>>,
    hashes: bool,
    holed: bool,
    /// How much was kept when bytes may have been lost, in whichever number.
    sure: Option<usize>,
}

impl BodyGather {
    /// Keeps as much as `limits` say; `declared` is a hint only.
    pub(crate) fn new(limits: &ParserLimits, declared: u64) -> Self {
        let reserve = declared.min(RESERVE_BYTES).min(limits.body_bytes as u64) as usize;
        Self {
            kept: Vec::with_capacity(reserve),
            limit: limits.body_bytes,
            hashes: limits.hash_rest,
            ..Self::default()
        }
    }

    /// Adds bytes that follow what came before.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.holed {
            // What stands behind a hole is counted; kept is the part before it, so that offsets in
            // it stay true.
            return;
        }
        let room = (self.limit - self.kept.len()).min(bytes.len());
        if self.hashes && self.hash.is_none() && room < bytes.len() {
            self.hash = Some(Box::new(Sha256::new_with_prefix(&self.kept)));
        }
        self.kept.extend_from_slice(&bytes[..room]);
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
    }

    /// Counts `n` bytes that were sent and are missing.
    pub(crate) fn skip(&mut self, n: u64) {
        self.length += n;
        self.holed |= n > 0;
    }

    /// Bytes may be missing here; whether they are is told at the end.
    pub(crate) fn doubt(&mut self) {
        self.sure.get_or_insert(self.kept.len());
    }

    /// Bytes were missing where they may have been: kept is the part before.
    pub(crate) fn lose_doubted(&mut self) {
        if let Some(sure) = self.sure {
            self.kept.truncate(sure);
            self.holed = true;
        }
    }

    /// How many bytes there were.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether bytes came that are not kept, of a body that is to be kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.hash.is_some() && self.kept.len() as u64 != self.length
    }

    /// How much memory the kept bytes take.
    pub(crate) fn kept(&self) -> usize {
        self.kept.capacity()
    }

    /// Lets go of what is kept, and keeps nothing more: the body is counted and hashed.
    pub(crate) fn let_go(&mut self) {
        if self.hashes && self.hash.is_none() {
            self.hash = Some(Box::new(Sha256::new_with_prefix(&self.kept)));
        }
        (self.kept, self.limit) = (Vec::new(), 0);
    }

    /// The body. Where bytes are missing there is no hash: it would name something that was never
    /// sent.
    pub(crate) fn finish(self) -> Body {
        let sha256 = self.hash.filter(|_| !self.holed).map(|hash| hash.finalize().into());
        Body { bytes: Bytes::from(self.kept), length: self.length, sha256 }
    }
}

/// The size that a chunk's first line tells (RFC 9112 §7.1): hexadecimal digits, blanks around
/// them, an extension after `;`.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let digits = line[..end].trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |size, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        size.checked_mul(16)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_the_limit_are_hashed_and_not_kept() {
        let mut gather =
            BodyGather::new(&ParserLimits { body_bytes: 4, ..ParserLimits::default() }, u64::MAX);
        for part in [&b"ab"[..], b"cde", b"", b"fg"] {
            gather.push(part);
        }
        let body = gather.finish();
        assert_eq!((&body.bytes[..], body.length), (&b"abcd"[..], 7));
        assert_eq!(body.sha256, Some(Sha256::digest(b"abcdefg").into()));
    }

    #[test]
    fn what_is_let_go_is_hashed_all_the_same() {
        let mut gather = BodyGather::new(&ParserLimits::default(), 0);
        gather.push(b"abc");
        gather.let_go();
        gather.push(b"def");
        let body = gather.finish();
        assert_eq!(
            (body.bytes.len(), body.length, body.sha256),
            (0, 6, Some(Sha256::digest(b"abcdef").into()))
        );
    }

    #[test]
    fn a_hole_is_counted_and_ends_what_is_kept() {
        let mut gather =
            BodyGather::new(&ParserLimits { body_bytes: 4, ..ParserLimits::default() }, 9);
        gather.push(b"ab");
        gather.skip(3);
        gather.push(b"cdef");
        assert_eq!(
            gather.finish(),
            Body { bytes: Bytes::from_static(b"ab"), length: 9, sha256: None }
        );
    }

    #[test]
    fn a_doubt_ends_what_is_kept_where_nothing_lifts_it() {
        let gathered = |lost: bool| {
            let mut gather = BodyGather::new(&ParserLimits::default(), 0);
            gather.push(b"ab");
            gather.doubt();
            gather.push(b"cd");
            gather.doubt();
            gather.push(b"e");
            if lost {
                gather.lose_doubted();
            }
            gather.finish()
        };
        assert_eq!(gathered(false), Body::whole(&b"abcde"[..]));
        let lost = Body { bytes: Bytes::from_static(b"ab"), length: 5, sha256: None };
        assert_eq!(gathered(true), lost);
    }

    #[test]
    fn chunk_sizes_as_they_are_seen_in_the_wild() {
        for (line, size) in [
            (&b"0"[..], Some(0)),
            (b"1a", Some(26)),
            (b"000000FF", Some(255)),
            (b" 10 ;name=\"v;\"", Some(16)),
            (b"5\t", Some(5)),
            (b"ffffffffffffffff", Some(u64::MAX)),
            (b"10000000000000000", None),
            (b"", None),
            (b";x", None),
            (b"0x10", None),
            (b"-1", None),
            (b"1 2", None),
        ] {
            assert_eq!(chunk_size(line), size, "{}", String::from_utf8_lossy(line));
        }
    }
}
