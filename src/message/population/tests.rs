//! Random values of every usual form are known for what they are, and what means something is not.

use super::*;

/// A small seeded generator (SplitMix64).
struct TestDice(u64);

impl TestDice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn of(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.below(letters.len() as u64) as usize]).collect()
    }
}

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Name, alphabet, length.
fn generators() -> Vec<(&'static str, String, usize)> {
    let with = |more: &str| format!("{BASE62}{more}");
    let mut all = vec![
        ("password with signs", with("!@#$%^&*()"), 24),
        ("nano id", with("-_"), 21),
        ("short nano id", with("-_"), 10),
        ("shortest nano id", with("-_"), 8),
        ("hex 8", "0123456789abcdef".to_owned(), 8),
        ("hex 12", "0123456789abcdef".to_owned(), 12),
        ("hex 32", "0123456789abcdef".to_owned(), 32),
        ("hex 64 upper", "0123456789ABCDEF".to_owned(), 64),
        ("ulid", "0123456789ABCDEFGHJKMNPQRSTVWXYZ".to_owned(), 26),
        ("ksuid", BASE62.to_owned(), 27),
        ("capitals and digits", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned(), 16),
        ("base 36", "0123456789abcdefghijklmnopqrstuvwxyz".to_owned(), 11),
        ("base 32", "abcdefghijklmnopqrstuvwxyz234567".to_owned(), 16),
        ("base 62", BASE62.to_owned(), 14),
        ("snowflake", "0123456789".to_owned(), 19),
    ];
    for bytes in [8_usize, 16, 20, 32] {
        all.push(("base64", with("+/"), (bytes * 4).div_ceil(3)));
        all.push(("base64url", with("-_"), (bytes * 4).div_ceil(3)));
    }
    all
}

fn population(values: &[String]) -> Population {
    let mut all = Population::default();
    values.iter().for_each(|value| all.add(TextForm::of(value)));
    all
}

#[test]
fn a_thousand_values_of_each_generator_are_drawn_and_admit_a_thousand_more() {
    for (name, alphabet, length) in generators() {
        let mut dice = TestDice(length as u64 ^ 77);
        let mut draw = |count: usize| -> Vec<String> {
            (0..count).map(|_| dice.of(&alphabet, length)).collect()
        };
        let (v1, v2) = (draw(1_000), draw(1_000));
        let (all, others) = (population(&v1), population(&v2));
        assert!(all.is_drawn(&others), "{name}");
        let refused: Vec<_> = v2.iter().filter(|value| !all.admits(TextForm::of(value))).collect();
        assert!(refused.is_empty(), "{name}: {refused:?}");
    }
}

#[test]
fn few_values_are_nearly_always_enough() {
    for (name, alphabet, length) in generators() {
        let mut dice = TestDice(length as u64 ^ 99);
        let mut missed = 0;
        for _ in 0..200 {
            let mut draw = || vec![dice.of(&alphabet, length), dice.of(&alphabet, length)];
            let (v1, v2) = (draw(), draw());
            let all = population(&v1);
            let fits = v2.iter().all(|value| all.admits(TextForm::of(value)));
            missed += usize::from(!all.is_drawn(&population(&v2)) || !fits);
        }
        // Two samples of a few characters say little.
        let allowed = if length <= 11 { 14 } else { 6 };
        assert!(missed <= allowed, "{name}: {missed} of 200");
    }
}

#[test]
fn letters_that_were_drawn_by_chance_are_no_words() {
    let mut dice = TestDice(12);
    let lower = &BASE62[36..];
    for (alphabet, length) in [(format!("{BASE62}-_"), 8), (BASE62[10..].to_owned(), 12)] {
        let v1: Vec<String> = (0..1_000).map(|_| dice.of(&alphabet, length)).collect();
        let all = population(&v1);
        let refused =
            (0..2_000).filter(|_| !all.admits(TextForm::of(&dice.of(lower, length)))).count();
        assert!(refused <= 30, "{alphabet}: {refused} of 2,000");
    }
    let base36: Vec<String> = (0..1_000)
        .map(|_| dice.of(&BASE62[36..], 1) + &dice.of("0123456789abcdefghijklmnopqrstuvwxyz", 24))
        .collect();
    let all = population(&base36);
    assert!(all.admits(TextForm::of("clowvumlhcayweivokwqgysog")));
    assert!(!all.admits(TextForm::of("undefinedundefinedundefin")));
}

#[test]
fn what_means_something_is_not_drawn() {
    let of = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        population(&values).is_drawn(&population(&values))
    };
    for values in [
        &["completed", "processing", "cancelled"][..],
        &["OrderCreatedEvent", "OrderShippedEvent"],
        &["ORDER_CONFIRMED", "PAYMENT_FAILED", "IN_DELIVERY"],
        &["12345678", "87654321", "24681357"],
        &["4111111111111111", "5500005555555559"],
        &["INV2026001234", "INV2026001235"],
        &["customer42", "customer4711", "customer7"],
        &["red-running-shoes", "blue-winter-jacket"],
        &["application/json", "application/xml"],
        &["/api/v1/orders", "/api/v2/customers"],
        &["en-US-posix", "de-DE-latin"],
        &["version2", "version3beta1"],
        &["20261128", "20261129", "20261130"],
        &["LON-HEATHROW-T5", "NYC-KENNEDY-T4"],
        &["iPhone15ProMax", "GalaxyS24Ultra"],
        &["short", "a"],
        &["tom@example.org", "ann@example.org"],
        &["production", "staging-eu"],
        &["AES256GCM", "CHACHA20POLY1305"],
        &["DE89370400440532", "FR14200410100505"],
        &["INV-2026-001234", "INV-2026-001235", "INV-2026-002001"],
        &["2026-W39-mon", "2026-W40-tue", "2026-W41-fri"],
        &["eu-west-1", "us-east-2", "ap-south-1"],
        &["terminal-2-gate-b14", "terminal-1-gate-a22"],
        &["iso-8859-1", "windows-1252"],
        &["Q1-2026", "Q2-2026", "Q3-2026"],
        &["plan-basic-12m", "plan-large-24m"],
        &["20261128-b2", "20261129-b7", "20261130-b1"],
        &["BX42A-10234", "BX42A-10235", "BX43A-20001"],
        &["LH4711-2026", "UA0093-2026", "BA1234-2026"],
        &["RED42-1001", "BLUE7-1002", "GREEN1-1003"],
        &["2026-W39-1", "2026-W40-2", "2026-W41-5"],
        &["getUserById(42)", "getUserById(17)", "getOrderById(9)"],
        &["iPhone15(Pro)Max", "GalaxyS24(Ultra)"],
        &["Save50%OffToday!", "Save20%OffSunday!"],
        &["tom&ann*friends", "red&green*colours"],
        &["$1,299.00", "$2,499.00"],
        &["#section-12-part", "#section-7-part-b"],
        &["~alice/projects-2026", "~bob/projects-2025"],
    ] {
        assert!(!of(values), "{values:?}");
    }
}

/// Random values are often written in groups.
#[test]
fn groups_of_letters_and_digits_are_drawn_together() {
    let capitals = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (alphabet, groups) in [
        ("0123456789abcdef", &[8_usize, 4, 4, 4, 12][..]),
        ("0123456789ABCDEF", &[8, 4, 4, 4, 12]),
        ("0123456789abcdef", &[2, 2, 2, 2, 2, 2]),
        (capitals, &[4, 4, 4]),
        (capitals, &[6, 4]),
        ("bcdfghjklmnpqrstvwxz2456789", &[10, 5]),
    ] {
        let mut dice = TestDice(groups.len() as u64);
        let mut draw = || -> Vec<String> {
            let one = |dice: &mut TestDice| -> String {
                groups.iter().map(|n| dice.of(alphabet, *n)).collect::<Vec<_>>().join("-")
            };
            (0..60).map(|_| one(&mut dice)).collect()
        };
        let (v1, v2) = (draw(), draw());
        let all = population(&v1);
        assert!(all.is_drawn(&population(&v2)), "{groups:?} of {alphabet}");
        assert!(v2.iter().all(|value| all.admits(TextForm::of(value))), "{groups:?}");
        if groups[0] < 4 {
            continue;
        }
        let none: Vec<_> = groups.iter().map(|n| "0".repeat(*n)).collect();
        assert!(!all.admits(TextForm::of(&none.join("-"))), "{groups:?}: zeros");
    }
}

/// Numbers of orders, of which a part counts or is drawn from digits alone.
#[test]
fn groups_of_digits_stand_beside_drawn_ones() {
    let capitals = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (first, second) in [(6, 4), (8, 3), (5, 6)] {
        let mut dice = TestDice(first as u64);
        let mut draw = |count: usize| -> Vec<String> {
            let one = |dice: &mut TestDice| {
                format!("{}-{}", dice.of(capitals, first), dice.of("0123456789", second))
            };
            (0..count).map(|_| one(&mut dice)).collect()
        };
        for count in [20, 300] {
            let (v1, v2) = (draw(count), draw(count));
            let all = population(&v1);
            assert!(all.is_drawn(&population(&v2)), "{first} {second}");
            let refused: Vec<_> = v2.iter().filter(|v| !all.admits(TextForm::of(v))).collect();
            assert!(refused.is_empty(), "{first} {second}: {refused:?}");
            assert!(!all.admits(TextForm::of(&format!("NOTFOUND-{}", "0".repeat(second)))));
        }
    }
}

/// Addresses of devices and fingerprints.
#[test]
fn pairs_with_colons_are_drawn_as_those_with_hyphens_are() {
    for pairs in [6, 20] {
        let mut dice = TestDice(pairs as u64);
        let mut draw = || -> Vec<String> {
            let one = |dice: &mut TestDice| -> String {
                (0..pairs).map(|_| dice.of("0123456789abcdef", 2)).collect::<Vec<_>>().join(":")
            };
            (0..40).map(|_| one(&mut dice)).collect()
        };
        let (v1, v2) = (draw(), draw());
        let all = population(&v1);
        assert!(all.is_drawn(&population(&v2)), "{pairs}");
        assert!(v2.iter().all(|value| all.admits(TextForm::of(value))), "{pairs}");
    }
}

#[test]
fn another_length_another_alphabet_and_words_are_refused() {
    let mut dice = TestDice(5);
    for (name, alphabet, length) in generators() {
        let v1: Vec<String> = (0..100).map(|_| dice.of(&alphabet, length)).collect();
        let all = population(&v1);
        let mut other = |alphabet: &str, length: usize| TextForm::of(&dice.of(alphabet, length));
        assert!(!all.admits(other(&alphabet, length + 1)), "{name}: longer");
        assert!(!all.admits(other(&alphabet, length - 1)), "{name}: shorter");
        assert!(!all.admits(other("!§$%&", length)), "{name}: another alphabet");
        let word = "productionproductionproductionproductionproductionproductionproduction";
        assert!(!all.admits(TextForm::of(&word[..length])), "{name}: a word");
        if !alphabet.contains('z') {
            assert!(
                !all.admits(other("ghijklmnopqrstuvwxyz0123456789", length)),
                "{name}: letters"
            );
        }
    }
}

#[test]
fn evidence_adds_up_in_any_order() {
    let mut dice = TestDice(3);
    let values: Vec<String> = (0..40).map(|_| dice.of(BASE62, 20)).collect();
    let whole = population(&values);
    let (mut left, right) = (population(&values[..13]), population(&values[13..]));
    left.merge(&right);
    assert_eq!(left, whole);
    for value in &values {
        let form = TextForm::of(value).unwrap();
        assert_eq!(TextForm::unpack(form.pack()), form);
    }
}

/// The words that programs write where they have no value, cut or filled up to the right length.
#[test]
fn words_with_digits_are_refused_and_drawn_values_are_not_words() {
    let of = |alphabet: &str, length: usize| {
        let mut dice = TestDice(length as u64 + 31);
        let values: Vec<String> = (0..200).map(|_| dice.of(alphabet, length)).collect();
        population(&values)
    };
    let base36 = &BASE62.replace(|letter: char| letter.is_ascii_uppercase(), "");
    let nano = &format!("{BASE62}-_");
    for (alphabet, word) in [
        (base36, "undefined1"),
        (base36, "null0000"),
        (base36, "00000000"),
        (base36, "0000000000000001"),
        (base36, "test0000"),
        (base36, "error12345"),
        (base36, "placeholder1"),
        (base36, "anonymous2026"),
        (base36, "unknown000"),
        (nano, "undefined1"),
        (nano, "null0000"),
        (nano, "UserNotFoundError"),
        (nano, "error-not-found"),
        (nano, "NullPointerException1"),
        (nano, "internal_error_500"),
        (nano, "session-expired"),
        (nano, "00000000-0000-0000"),
        (nano, "AAAAAAAAAAAAAAAA0000"),
        (nano, "TOKEN_EXPIRED"),
        (nano, "missing-1"),
    ] {
        let all = of(alphabet, word.len());
        assert!(!all.admits(TextForm::of(word)), "{word}");
    }
    let hex = &"0123456789abcdef".to_owned();
    assert!(!of(hex, 16).admits(TextForm::of("0000000000000000")));
    let capitals = &"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned();
    for alphabet in [base36, nano, hex, capitals, &BASE62.to_owned()] {
        for length in [8, 10, 12, 16, 21, 32, 64, 200] {
            let all = of(alphabet, length);
            let mut dice = TestDice(7);
            let refused = (0..4_000)
                .filter(|_| !all.admits(TextForm::of(&dice.of(alphabet, length))))
                .count();
            assert!(refused <= 2, "{length} of {alphabet}: {refused} of 4,000");
        }
    }
}

#[test]
fn the_other_case_and_the_other_end_of_base64_are_other_forms() {
    let of = |values: &dyn Fn(u128) -> String| {
        let mut all = Population::default();
        for n in 0..12 {
            let bits = (n + 1_u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            all.add(TextForm::of(&values(bits ^ bits >> 59)));
        }
        all
    };
    let (small, capital) = (of(&|n| format!("{n:032x}")), of(&|n| format!("{n:032X}")));
    assert_eq!(small.differs_in_form(&capital), Some("the other case"));
    assert_eq!(capital.differs_in_form(&small), Some("the other case"));
    assert_eq!(small.differs_in_form(&of(&|n| format!("{:032x}", !n))), None);
    let base64 = |end: &'static str| {
        of(&move |n| crate::message::encoding::base64_of(&n.to_be_bytes(), true) + end)
    };
    assert_eq!(base64("==").differs_in_form(&base64("")), Some("no padding"));
    assert_eq!(base64("").differs_in_form(&base64("==")), Some("padding"));
    let mixed = of(&|n| format!("{n:x}") + if n % 2 == 0 { "A" } else { "b" });
    assert_eq!(mixed.differs_in_form(&capital), None, "both cases");
}
