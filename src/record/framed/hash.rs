//! The hash by which a damaged frame is known.

/// A hash of bytes that stays the same on all machines and in all versions. It finds damage and
/// tells contents apart; it withstands nobody who wants two contents to have one hash.
///
/// Eight bytes and eight bytes are multiplied into 128 bits, whose halves are put together; see
/// `docs/formats.md`.
pub fn hash(bytes: &[u8]) -> u64 {
    const FIRST: u64 = 0x9e37_79b1_85eb_ca87;
    const SECOND: u64 = 0xc2b2_ae3d_27d4_eb4f;
    let fold = |one: u64, other: u64| {
        let product = u128::from(one) * u128::from(other);
        product as u64 ^ (product >> 64) as u64
    };
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let mut state = FIRST ^ bytes.len() as u64;
    let mut step = |one: u64, other: u64| {
        state = fold(state ^ one, SECOND ^ other).wrapping_add(state.rotate_left(29));
    };
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        step(word(&pair[..8]), word(&pair[8..]));
    }
    let middle = rest.len().min(8);
    step(word(&rest[..middle]), word(&rest[middle..]));
    fold(state ^ SECOND, FIRST)
}
