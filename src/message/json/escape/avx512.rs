//! Escapes thirty-two bytes at a time where the processor can compress bytes (AVX-512 VBMI2): every
//! byte is put behind a backslash, and the backslashes that nobody asked for are squeezed out, so
//! that the time does not depend on how many there are.
#![expect(
    unsafe_code,
    reason = "a function for a processor's extension is called, after asking that the processor \
        has it, and vectors are stored to an array of their size"
)]

use std::arch::x86_64::{
    __m256i, __m512i, _mm_set_epi64x, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8_mask,
    _mm256_cmplt_epu8_mask, _mm256_mask_shuffle_epi8, _mm256_movepi8_mask, _mm256_set_epi64x,
    _mm256_set1_epi8, _mm512_cvtepu8_epi16, _mm512_maskz_compress_epi8, _mm512_or_si512,
    _mm512_set1_epi16, _mm512_slli_epi16, _mm512_storeu_si512, _pdep_u64,
};

use super::words::{BLOCK, Block, Escaped, SHORT_FORMS, escape_words};

/// Whether the processor has what [`escape_block`] is made of.
fn is_there() -> bool {
    std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vbmi2")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("popcnt")
}

/// Escapes at most [`BLOCK`] bytes to the front of `block`. None where the processor cannot.
pub(super) fn escape_block(block: &mut Escaped, text: &[u8]) -> Option<Block> {
    if !is_there() {
        return None;
    }
    // SAFETY: the function needs the extensions that `is_there` has just asked for, and nothing
    // else of its caller.
    Some(unsafe { with_compress(block, text) })
}

const VECTOR: usize = 32;

#[inline]
#[target_feature(enable = "avx512bw,avx512vl")]
fn load(bytes: &[u8; VECTOR]) -> __m256i {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| i64::from_le_bytes(words[at]);
    _mm256_set_epi64x(word(3), word(2), word(1), word(0))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl")]
fn store(block: &mut Escaped, n: usize, bytes: __m512i) {
    let room: &mut [u8; 2 * VECTOR] =
        (&mut block[n..n + 2 * VECTOR]).try_into().expect("the slice has this length");
    // SAFETY: `room` is as long as the vector, and this store asks for no alignment.
    unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), bytes) }
}

#[target_feature(enable = "avx512bw,avx512vl,avx512vbmi2,bmi2,popcnt")]
fn with_compress(block: &mut Escaped, text: &[u8]) -> Block {
    debug_assert!(text.len() <= BLOCK);
    let all = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
    let (low, high) = SHORT_FORMS;
    let short_forms =
        _mm256_broadcastsi128_si256(_mm_set_epi64x(high.cast_signed(), low.cast_signed()));
    let (mut n, mut beyond_ascii) = (0, 0);
    let (vectors, rest) = text.as_chunks::<VECTOR>();
    let mut last = [b' '; VECTOR];
    last[..rest.len()].copy_from_slice(rest);
    let last = (!rest.is_empty()).then_some((&last, rest.len()));
    for (bytes, length) in vectors.iter().map(|bytes| (bytes, VECTOR)).chain(last) {
        let text = load(bytes);
        beyond_ascii |= _mm256_movepi8_mask(text);
        let is = |byte: u8| _mm256_cmpeq_epi8_mask(text, all(byte));
        let control = _mm256_cmplt_epu8_mask(text, all(0x20));
        let short = is(b'\t') | is(b'\n') | is(b'\r');
        let long = control & !short | is(0x7f);
        if long != 0 {
            n = escape_words(block, n, &bytes[..length]).length;
            continue;
        }
        let special = control | is(b'"') | is(b'\\');
        let text = _mm256_mask_shuffle_epi8(text, short, short_forms, text);
        // A backslash below each byte.
        let pairs = _mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(text));
        let pairs = _mm512_or_si512(pairs, _mm512_set1_epi16(i16::from(b'\\')));
        let kept = _pdep_u64(u64::from(special), 0x5555_5555_5555_5555) | 0xaaaa_aaaa_aaaa_aaaa;
        store(block, n, _mm512_maskz_compress_epi8(kept, pairs));
        n += length + special.count_ones() as usize;
    }
    Block { length: n, is_ascii: beyond_ascii == 0 }
}
