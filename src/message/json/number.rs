//! Numbers compared by value, exactly, from their digits: `1.0` is `1`, `1e2` is `100`, and
//! `9007199254740993` is not `9007199254740992`, which a comparison of doubles would say.

use std::cmp::Ordering;

/// A decimal number as its significant digits and the power of ten of the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Vec<u8>,
    /// `0.digits × 10^exponent`.
    exponent: i64,
}

impl Decimal {
    /// Reads a JSON number. None for a text that is none, or whose exponent does not fit 32 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty()
            || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let end = all.iter().rposition(|digit| *digit != b'0').map_or(leading, |last| last + 1);
        let digits = all[leading.min(end)..end].to_vec();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self {
            negative,
            digits,
            exponent: i64::from(exponent) + whole.len() as i64 - leading as i64,
        })
    }

    /// The nearest double; infinite where it is too large.
    pub fn to_f64(&self) -> f64 {
        let digits = std::str::from_utf8(&self.digits).unwrap_or("0");
        format!("{}0.{digits}e{}", if self.negative { "-" } else { "" }, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// Whether it has no fraction.
    pub fn is_integer(&self) -> bool {
        self.digits.len() as i64 <= self.exponent || self.digits.is_empty()
    }

    /// What `other` is of this, where that is a plain factor: `×100`, `÷1000`, `×1.1`, `×-1`. By
    /// doubles, rounded to eight digits and checked by multiplying back.
    pub fn factor(&self, other: &Self) -> Option<String> {
        let (a, b) = (self.to_f64(), other.to_f64());
        if a == 0.0 || b == 0.0 || !a.is_finite() || !b.is_finite() {
            return None;
        }
        let close = |factor: f64| ((a * factor - b) / b).abs() < 1e-9;
        let (up, down) = (b / a, a / b);
        for (sign, ratio) in [('×', up), ('÷', down)] {
            let rounded = ratio.round();
            let factor = if sign == '×' { rounded } else { 1.0 / rounded };
            if rounded.abs() >= 1.0 && rounded.abs() < 1e12 && rounded != 1.0 && close(factor) {
                return Some(format!("{sign}{rounded}"));
            }
        }
        let rounded = (up * 1e4).round() / 1e4;
        (rounded != 0.0 && rounded != 1.0 && close(rounded)).then(|| format!("×{rounded}"))
    }

    /// What must be added to this to get `other`: `+1`, `-0.5`.
    pub fn step(&self, other: &Self) -> Option<String> {
        let (a, b) = (self.to_f64(), other.to_f64());
        let step = ((b - a) * 1e6).round() / 1e6;
        ((a + step - b).abs() <= b.abs() * 1e-12 && step != 0.0 && step.abs() < 1e12)
            .then(|| format!("{step:+}"))
    }
}

/// The shortest plain form; one with an exponent where that would be long.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Longest run of zeros that is written out.
        const ZEROS: i64 = 20;
        let digits = std::str::from_utf8(&self.digits).unwrap_or("0");
        let sign = if self.negative { "-" } else { "" };
        let (length, point) = (digits.len() as i64, self.exponent);
        match point {
            _ if digits.is_empty() => f.write_str("0"),
            _ if (length..=length + ZEROS).contains(&point) => {
                write!(f, "{sign}{digits}{}", "0".repeat((point - length) as usize))
            }
            _ if (1..length).contains(&point) => {
                let (whole, fraction) = digits.split_at(point as usize);
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ if (-ZEROS..=0).contains(&point) => {
                write!(f, "{sign}0.{}{digits}", "0".repeat(-point as usize))
            }
            _ => write!(f, "{sign}{digits}e{}", point - length),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| match (a.digits.is_empty(), b.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => a.exponent.cmp(&b.exponent).then_with(|| a.digits.cmp(&b.digits)),
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

/// Whether two JSON numbers have the same value. Texts that are no number are equal where they are
/// the same.
pub fn equal(a: &str, b: &str) -> bool {
    a == b || matches!((Decimal::parse(a), Decimal::parse(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_compared_exactly() {
        for (a, b) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("-0", "0"),
            ("0.0e9", "0"),
            ("1.50E-3", "0.0015"),
            ("10", "1e+1"),
            ("120", "1.2e2"),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("9007199254740993", "9007199254740992"),
            ("1", "-1"),
            ("0.1", "0.10000000000000001"),
            ("1e400", "1e401"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
        assert!(
            equal("1e99999999999", "1e99999999999") && !equal("1e99999999999", "1e99999999998")
        );
    }

    #[test]
    fn equal_numbers_have_one_form() {
        for (text, shown) in [
            ("1.0", "1"),
            ("-1.50e1", "-15"),
            ("0.00120", "0.0012"),
            ("12.5", "12.5"),
            ("-0.0", "0"),
            ("1e3", "1000"),
            ("1e100", "1e100"),
            ("12e-100", "12e-100"),
        ] {
            let number = Decimal::parse(text).unwrap();
            assert_eq!(number.to_string(), shown, "{text}");
            assert_eq!(Decimal::parse(shown), Some(number), "{text}");
        }
    }

    #[test]
    fn factors_and_steps_are_named() {
        let change = |a: &str, b: &str| {
            let (a, b) = (Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap());
            (a.factor(&b).unwrap_or_default(), a.step(&b).unwrap_or_default())
        };
        assert_eq!(change("12.99", "1299"), ("×100".to_owned(), "+1286.01".to_owned()));
        assert_eq!(change("1299", "12.99").0, "÷100");
        assert_eq!(change("10", "11"), ("×1.1".to_owned(), "+1".to_owned()));
        assert_eq!(change("5", "-5").0, "×-1");
        assert_eq!(change("3", "10"), (String::new(), "+7".to_owned()));
        assert_eq!(change("0", "7"), (String::new(), "+7".to_owned()));
    }

    proptest! {
        #[test]
        fn order_is_that_of_integers(a in any::<i128>(), b in any::<i128>()) {
            let (left, right) =
                (Decimal::parse(&a.to_string()).unwrap(), Decimal::parse(&b.to_string()).unwrap());
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert!(left.is_integer());
        }
    }
}
