//! A small seeded generator (SplitMix64): the same values in every run.

/// Dice, by their seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// So many letters of an alphabet of ASCII.
    pub(crate) fn of(&mut self, alphabet: &str, length: usize) -> String {
        let mut one = || alphabet.as_bytes()[self.below(alphabet.len() as u64) as usize] as char;
        (0..length).map(|_| one()).collect()
    }
}
