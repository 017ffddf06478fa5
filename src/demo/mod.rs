//! A small shop in two versions, its payment provider, and the clients that drive it: what the demo
//! and the end-to-end tests replay.
//!
//! Version 1 is right. Version 2 has faults that are planted on purpose ([`ShopFaults`]) and
//! harmless noise (times, request ids, order of header fields), and it issues sessions, tokens,
//! carts and entity tags of its own, so that a comparison can be held to finding
//! all of the former and none of the latter. Everything listens on loopback and everything random
//! is seeded.

pub mod clients;
pub mod provider;
mod serve;
pub mod shop;
mod stock;

pub use serve::ShopServer;

/// The name under which clients know the shop: the `Host` of the ingress traffic.
pub const SHOP_HOST: &str = "shop.example";
/// The name under which the shop knows its payment provider: the `Host` of the egress traffic.
pub const PROVIDER_HOST: &str = "payments.example";

/// The faults of the shop's second version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShopFaults {
    /// `GET /carts/{id}` calls `item_count` `items_count`.
    pub renamed_field: bool,
    /// `GET /products/{id}` takes five times the discount off, on products that have one.
    pub wrong_price: bool,
    /// `GET /search` answers 500 where the query is not ASCII.
    pub broken_search: bool,
    /// `GET /products/{id}/reviews` takes [`shop::SLOWER_MS`] longer.
    pub slow_reviews: bool,
    /// `POST /carts/{id}/checkout` charges express orders twice.
    pub charges_twice: bool,
    /// `POST /gifts` does not say the gift card's token, which later requests use.
    pub lost_gift: bool,
}

impl ShopFaults {
    /// Version 1, or a version 2 that may go out.
    pub const NONE: Self = Self {
        renamed_field: false,
        wrong_price: false,
        broken_search: false,
        slow_reviews: false,
        charges_twice: false,
        lost_gift: false,
    };
    /// The version 2 that the demo shows.
    pub const ALL: Self = Self {
        renamed_field: true,
        wrong_price: true,
        broken_search: true,
        slow_reviews: true,
        charges_twice: true,
        lost_gift: true,
    };
}

/// A small seeded generator (SplitMix64): the demo must do the same in every run, and needs no more
/// than that.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// An integer below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A waiting time of a Poisson process with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// A random UUID (version 4).
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 50),
            low & 0xffff_ffff_ffff
        )
    }
}

/// Spreads the bits of a number (the finaliser of SplitMix64).
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number that depends on every byte of `text`.
pub(crate) fn digest(text: &str) -> u64 {
    text.bytes().fold(0x517c_c1b7_2722_0a95, |sum, byte| mix(sum ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_repeat_and_their_waiting_times_have_the_mean() {
        let (mut a, mut b) = (Dice::new(7), Dice::new(7));
        assert!((0..100).all(|_| a.next() == b.next()));
        let mean = (0..20_000).map(|_| a.exponential(40.0)).sum::<f64>() / 20_000.0;
        assert!((39.0..41.0).contains(&mean), "{mean}");
        let uuid = a.uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
    }
}
