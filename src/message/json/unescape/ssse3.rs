//! Undoes escapes sixteen bytes at a time with the byte shuffles of x86-64 (SSSE3): which bytes are
//! backslashes that begin an escape is known of all of them at once, and a table says for eight
//! bytes how those that stay move together. No branch depends on where the escapes are.
#![expect(
    unsafe_code,
    reason = "a function for a processor's extension is called, after asking that the processor \
        has it"
)]

use std::arch::x86_64::__m128i;
use std::arch::x86_64::_mm_cmpeq_epi8;
use std::arch::x86_64::_mm_cvtsi128_si64;
use std::arch::x86_64::_mm_min_epu8;
use std::arch::x86_64::_mm_movemask_epi8;
use std::arch::x86_64::_mm_set1_epi8;
use std::arch::x86_64::_mm_shuffle_epi8;
use std::arch::x86_64::_mm_unpackhi_epi64;

use super::words::SAID;
use crate::message::json::escape::ssse3::{is_there, vector};

/// How many bytes come out before they are appended: enough to make the appends cheap.
const BLOCK: usize = 256;
/// Bytes that are read at once, and written beyond before it is known to be too much.
const VECTOR: usize = 16;

/// Appends what the start of a string's rest says, up to its end, an escape of another kind than a
/// letter's, or the last bytes of `text`; how many bytes that were. None where the processor
/// cannot.
pub(super) fn run(out: &mut Vec<u8>, text: &[u8]) -> Option<usize> {
    if !is_there() {
        return None;
    }
    let mut at = 0;
    let mut block = [0; BLOCK + VECTOR];
    loop {
        // SAFETY: the function needs SSSE3 and POPCNT, and nothing else of its caller; `is_there`
        // has just asked for both.
        let Run { read, said, goes_on } = unsafe { with_shuffles(&mut block, &text[at..]) };
        out.extend_from_slice(&block[..said]);
        at += read;
        if !goes_on {
            return Some(at);
        }
    }
}

/// What came of the bytes that were put to a block.
struct Run {
    /// How many were read.
    read: usize,
    /// How many came out.
    said: usize,
    /// Whether only the block's end has ended it.
    goes_on: bool,
}

/// For each pattern of bytes to be left out among eight: where each of the eight that come out is
/// from; those at the end are from nowhere.
const PLACES: [u64; 256] = {
    let mut table = [0; 256];
    let mut pattern = 0;
    while pattern < 256 {
        let (mut places, mut n, mut from) = ([0x80_u8; 8], 0, 0);
        while from < 8 {
            if pattern >> from & 1 == 0 {
                places[n] = from;
                n += 1;
            }
            from += 1;
        }
        table[pattern] = u64::from_le_bytes(places);
        pattern += 1;
    }
    table
};

/// Which backslashes begin an escape, the first of them by itself: every second one of a run that
/// has no other before it. A run that begins at an odd place has them at odd places; the borrow of
/// the subtraction carries that from the run's start to its end (as in simdjson, Langdale and
/// Lemire 2019).
const fn starts_of_escapes(backslashes: u32) -> u32 {
    const ODD: u32 = 0xaaaa_aaaa;
    ((backslashes << 1 | ODD).wrapping_sub(backslashes) ^ ODD) & backslashes
}

#[inline]
#[target_feature(enable = "ssse3")]
fn among(bytes: __m128i) -> u32 {
    _mm_movemask_epi8(bytes).cast_unsigned()
}

#[target_feature(enable = "ssse3,popcnt")]
fn with_shuffles(block: &mut [u8; BLOCK + VECTOR], text: &[u8]) -> Run {
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    let (mut read, mut n) = (0, 0);
    while n <= BLOCK {
        let Some(bytes) = text[read..].first_chunk::<VECTOR>() else {
            return Run { read, said: n, goes_on: false };
        };
        let both = u128::from_le_bytes(*bytes);
        let text = vector((both as u64, (both >> 64) as u64));
        let backslashes = among(_mm_cmpeq_epi8(text, all(b'\\')));
        let quotes = among(_mm_cmpeq_epi8(text, all(b'"')));
        let controls = among(_mm_cmpeq_epi8(_mm_min_epu8(text, all(0x1f)), text));
        if backslashes | quotes | controls == 0 {
            block[n..n + VECTOR].copy_from_slice(bytes);
            (read, n) = (read + VECTOR, n + VECTOR);
            continue;
        }
        let starts = starts_of_escapes(backslashes);
        let letters = starts << 1;
        let others = letters & !quotes & !backslashes & 0xffff;
        // An escape that begins with the last byte is read with the next ones.
        let is_parted = starts & 1 << (VECTOR - 1);
        let mut ends = quotes & !letters | controls | is_parted | 1 << VECTOR;
        each(others, |place| {
            if SAID[bytes[place] as usize] == 0 {
                ends |= 1 << (place - 1);
            }
        });
        let end = ends.trailing_zeros() as usize;
        let before = |place: usize| place - (starts & ((1 << place) - 1)).count_ones() as usize;
        let halves = [(text, starts & 0xff), (_mm_unpackhi_epi64(text, text), starts >> 8)];
        for (half, (bytes, left_out)) in halves.into_iter().enumerate() {
            let kept = _mm_shuffle_epi8(bytes, vector((PLACES[left_out as usize], 0)));
            let from = n + before(8 * half);
            block[from..from + 8].copy_from_slice(&_mm_cvtsi128_si64(kept).to_le_bytes());
        }
        // A line's end and its like are written as a letter that stands for them.
        each(others & ((1 << end) - 1), |place| {
            block[n + before(place)] = SAID[bytes[place] as usize];
        });
        (read, n) = (read + end, n + before(end));
        if end + usize::from(is_parted != 0) < VECTOR {
            return Run { read, said: n, goes_on: false };
        }
    }
    Run { read, said: n, goes_on: true }
}

/// The places of the bits that are set.
#[inline]
fn each(mut bits: u32, mut place: impl FnMut(usize)) {
    while bits != 0 {
        place(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_backslash_of_a_run_begins_an_escape() {
        for backslashes in 0..1 << VECTOR {
            let (mut expected, mut place) = (0, 0);
            while place < VECTOR {
                let is_start = backslashes >> place & 1 == 1;
                expected |= u32::from(is_start) << place;
                place += 1 + usize::from(is_start);
            }
            assert_eq!(starts_of_escapes(backslashes), expected, "{backslashes:b}");
        }
    }
}
