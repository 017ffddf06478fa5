//! Sequence numbers (RFC 9293 §3.4): 32 bits that wrap, seen as 64-bit offsets near a known place.

/// The offset of `seq` in a stream whose offset 0 has sequence number `base`: the one nearest to
/// `near`.
pub(super) const fn offset(seq: u32, base: u32, near: i64) -> i64 {
    let expected = base.wrapping_add(near as u32);
    near + seq.wrapping_sub(expected) as i32 as i64
}

/// By how much a segment moves its stream on: SYN and FIN take a number each (RFC 9293 §3.4).
pub(super) const fn advance(syn: bool, length: u32, fin: bool) -> i64 {
    syn as i64 + length as i64 + fin as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_nearest_and_wrap() {
        for (seq, base, near, want) in [
            (100, 100, 0, 0),
            (99, 100, 0, -1),
            (5, u32::MAX - 4, 0, 10),
            (u32::MAX, 0, 1 << 32, (1 << 32) - 1),
            (0, 0, (1 << 32) - 1, 1 << 32),
            (7, 3, 5 << 32, (5 << 32) + 4),
        ] {
            assert_eq!(offset(seq, base, near), want, "{seq} {base} {near}");
        }
    }

    #[test]
    fn syn_and_fin_take_a_number_each() {
        for (syn, length, fin, want) in
            [(false, 0, false, 0), (true, 0, false, 1), (true, 5, false, 6), (false, 5, true, 6)]
        {
            assert_eq!(advance(syn, length, fin), want);
        }
    }
}
