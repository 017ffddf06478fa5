//! Content codings undone: any bytes under any codings come to at most the limit, or are refused.
//!
//! Input: a byte that chooses the codings, then the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shadowtap::message::content;

const CODINGS: [&[&[u8]]; 8] = [
    &[b"gzip"],
    &[b"deflate"],
    &[b"br"],
    &[b"zstd"],
    &[b"gzip, br"],
    &[b"zstd", b"x-gzip"],
    &[b"identity, deflate"],
    &[b"br,br,zstd,gzip"],
];
const LIMIT: usize = 1 << 18;

fuzz_target!(|data: &[u8]| {
    let [choice, body @ ..] = data else { return };
    let values = CODINGS[usize::from(*choice) % CODINGS.len()];
    if let Ok(content) = content::decode(body, values.iter().copied(), LIMIT) {
        assert!(content.len() <= LIMIT);
    }
});
