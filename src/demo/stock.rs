//! What the shop sells: made from a fixed seed, the same in both versions.

use super::{Dice, digest};

/// A product.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) category: &'static str,
    /// In cents.
    pub(super) list_price: u64,
    /// Percent off the list price; 0 for most.
    pub(super) discount: u64,
}

/// The number of the first product.
pub(super) const FIRST: u32 = 1001;
/// How many products there are.
pub(super) const PRODUCTS: u32 = 60;
/// The categories, in the order of the shelves.
pub(super) const CATEGORIES: [&str; 4] = ["tea", "coffee", "ceramics", "books"];

const KINDS: [[&str; 5]; 4] = [
    ["Sencha", "Assam", "Oolong", "Rooibos", "Maté"],
    ["Espresso", "Café Crème", "Filter", "Decaf", "Cold Brew"],
    ["Cup", "Teapot", "Saucer", "Jug", "Bowl"],
    ["Primer", "Atlas", "Almanac", "Cookbook", "Reader"],
];
const TRAITS: [&str; 6] = ["Classic", "Mountain", "Harbour", "Winter", "Garden", "Élan"];
const REVIEWS: [&str; 6] = [
    "Would buy again.",
    "Arrived in time.",
    "Smaller than I thought.",
    "A gift, well received.",
    "Fair for the price.",
    "Très bien.",
];

/// All products, by number.
pub(super) fn products() -> Vec<Product> {
    let mut dice = Dice::new(0x5409);
    (0..PRODUCTS)
        .map(|index| {
            let shelf = (index % 4) as usize;
            let kind = KINDS[shelf][dice.below(5) as usize];
            let quality = TRAITS[dice.below(6) as usize];
            Product {
                id: FIRST + index,
                name: format!("{quality} {kind}"),
                category: CATEGORIES[shelf],
                list_price: 290 + dice.below(120) * 50,
                discount: if index % 5 == 3 { 10 } else { 0 },
            }
        })
        .collect()
}

/// What people wrote about a product: stars and a sentence each.
pub(super) fn reviews(id: u32) -> Vec<(u64, &'static str)> {
    let mut dice = Dice::new(digest("reviews") ^ u64::from(id));
    (0..1 + dice.below(3)).map(|_| (1 + dice.below(5), REVIEWS[dice.below(6) as usize])).collect()
}
