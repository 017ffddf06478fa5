//! Escapes sixteen bytes at a time with the byte shuffles of x86-64 (SSSE3): bodies of JSON have an
//! escape every few bytes, where a loop that jumps from one to the next spends its time on branches
//! that nothing can predict.
#![expect(
    unsafe_code,
    reason = "a function for a processor's extension is called, after asking that the processor \
        has it"
)]

use std::arch::x86_64::__m128i;
use std::arch::x86_64::_mm_and_si128;
use std::arch::x86_64::_mm_andnot_si128;
use std::arch::x86_64::_mm_cmpeq_epi8;
use std::arch::x86_64::_mm_cmplt_epi8;
use std::arch::x86_64::_mm_cvtsi128_si64;
use std::arch::x86_64::_mm_min_epu8;
use std::arch::x86_64::_mm_movemask_epi8;
use std::arch::x86_64::_mm_or_si128;
use std::arch::x86_64::_mm_set_epi64x;
use std::arch::x86_64::_mm_set1_epi8;
use std::arch::x86_64::_mm_setzero_si128;
use std::arch::x86_64::_mm_shuffle_epi8;
use std::arch::x86_64::_mm_unpackhi_epi64;

use super::words::{BLOCK, Block, Escaped, HIGH, SHORT_FORMS, escape_words};

/// Whether the processor has what [`escape_block`] is made of, and what undoes it.
pub(in crate::message::json) fn is_there() -> bool {
    std::arch::is_x86_feature_detected!("ssse3") && std::arch::is_x86_feature_detected!("popcnt")
}

/// Escapes at most [`BLOCK`] bytes to the front of `block`. None where the processor cannot.
pub(super) fn escape_block(block: &mut Escaped, text: &[u8]) -> Option<Block> {
    if !is_there() {
        return None;
    }
    // SAFETY: the function needs SSSE3 and POPCNT, and nothing else of its caller; `is_there` has
    // just asked for both.
    Some(unsafe { with_shuffles(block, text) })
}

/// For each pattern of bytes to be escaped among eight: which byte goes where, the high bit set
/// where a backslash goes.
const PLACES: [(u64, u64); 256] = {
    let mut table = [(0, 0); 256];
    let mut pattern = 0;
    while pattern < 256 {
        let (mut places, mut n, mut from) = ([0u8; 16], 0, 0);
        while from < 8 {
            if pattern >> from & 1 == 1 {
                places[n] = 0x80;
                n += 1;
            }
            places[n] = from;
            n += 1;
            from += 1;
        }
        let places = u128::from_le_bytes(places);
        table[pattern] = (places as u64, (places >> 64) as u64);
        pattern += 1;
    }
    table
};

#[inline]
#[target_feature(enable = "ssse3")]
pub(in crate::message::json) fn vector((low, high): (u64, u64)) -> __m128i {
    _mm_set_epi64x(high.cast_signed(), low.cast_signed())
}

#[inline]
#[target_feature(enable = "ssse3")]
fn store(block: &mut Escaped, n: usize, bytes: __m128i) {
    let high = _mm_unpackhi_epi64(bytes, bytes);
    block[n..n + 8].copy_from_slice(&_mm_cvtsi128_si64(bytes).to_le_bytes());
    block[n + 8..n + 16].copy_from_slice(&_mm_cvtsi128_si64(high).to_le_bytes());
}

#[target_feature(enable = "ssse3,popcnt")]
fn with_shuffles(block: &mut Escaped, text: &[u8]) -> Block {
    debug_assert!(text.len() <= BLOCK);
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    let short_forms = vector(SHORT_FORMS);
    let (words, rest) = text.as_chunks::<16>();
    let (mut n, mut seen) = (0, 0);
    for bytes in words {
        let both = u128::from_le_bytes(*bytes);
        seen |= both as u64 | (both >> 64) as u64;
        let text = vector((both as u64, (both >> 64) as u64));
        let quoted =
            _mm_or_si128(_mm_cmpeq_epi8(text, all(b'"')), _mm_cmpeq_epi8(text, all(b'\\')));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(text, all(0x1f)), text);
        let delete = _mm_cmpeq_epi8(text, all(0x7f));
        let special = _mm_or_si128(_mm_or_si128(quoted, control), delete);
        let pattern = _mm_movemask_epi8(special) as usize;
        if pattern == 0 {
            block[n..n + 16].copy_from_slice(bytes);
            n += 16;
            continue;
        }
        let tab_or_line =
            _mm_or_si128(_mm_cmpeq_epi8(text, all(b'\t')), _mm_cmpeq_epi8(text, all(b'\n')));
        let short = _mm_or_si128(tab_or_line, _mm_cmpeq_epi8(text, all(b'\r')));
        let long = _mm_or_si128(_mm_andnot_si128(short, control), delete);
        if _mm_movemask_epi8(long) != 0 {
            n = escape_words(block, n, bytes).length;
            continue;
        }
        let forms = _mm_and_si128(_mm_shuffle_epi8(short_forms, text), short);
        let text = _mm_or_si128(_mm_andnot_si128(short, text), forms);
        for (half, pattern) in
            [(text, pattern & 0xff), (_mm_unpackhi_epi64(text, text), pattern >> 8)]
        {
            let places = vector(PLACES[pattern]);
            let backslashes =
                _mm_and_si128(_mm_cmplt_epi8(places, _mm_setzero_si128()), all(b'\\'));
            store(block, n, _mm_or_si128(_mm_shuffle_epi8(half, places), backslashes));
            n += 8 + pattern.count_ones() as usize;
        }
    }
    let escaped = escape_words(block, n, rest);
    Block { is_ascii: escaped.is_ascii && seen & HIGH == 0, ..escaped }
}
