//! Figures as people read them: the same wording on the page, in Markdown and on the terminal.

/// A duration: `85 µs`, `1.24 ms`, `310 ms`, `2.50 s`; three digits.
pub fn duration(nanos: f64) -> String {
    if !nanos.is_finite() {
        return "?".to_owned();
    }
    let sign = if nanos < 0.0 { "−" } else { "" };
    let nanos = nanos.abs();
    let (value, unit) = match nanos {
        n if n < 999.5 => (n, "ns"),
        n if n < 999_500.0 => (n / 1e3, "µs"),
        n if n < 999_500_000.0 => (n / 1e6, "ms"),
        n if n < 600e9 => (n / 1e9, "s"),
        n => return format!("{sign}{}", long(n)),
    };
    if unit == "ns" {
        format!("{sign}{value:.0} ns")
    } else {
        format!("{sign}{} {unit}", three(value))
    }
}

/// A duration that a person chose: `5 ms` rather than `5.00 ms`.
pub fn round_duration(nanos: f64) -> String {
    let text = duration(nanos);
    let Some((number, unit)) = text.split_once(' ') else { return text };
    format!("{} {unit}", without_zeros(number))
}

/// A factor that a person chose: `1.5` rather than `1.50`.
pub fn round_times(factor: f64) -> String {
    without_zeros(&times(factor)).to_owned()
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Minutes and hours.
fn long(nanos: f64) -> String {
    let seconds = (nanos / 1e9).round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours == 0 {
        format!("{minutes} min {:02} s", seconds % 60)
    } else {
        format!("{hours} h {minutes:02} min")
    }
}

/// Three digits.
fn three(value: f64) -> String {
    match value.abs() {
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A share: `0 %`, `0.012 %`, `4.2 %`, `100 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 0.000_1 => return "under 0.0001 %".to_owned(),
        v if v < 0.01 => format!("{value:.4}"),
        v if v < 0.1 => format!("{value:.3}"),
        v if v < 1.0 => format!("{value:.2}"),
        v if (99.5..99.999_999).contains(&v) => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    };
    format!("{} %", without_zeros(&text))
}

/// A factor: `1.84`, `12.3`.
pub fn times(factor: f64) -> String {
    three(factor)
}

/// A count with separators: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 route`, `2 routes`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (nanos, text) in [
            (0.0, "0 ns"),
            (999.0, "999 ns"),
            (999.9, "1.00 µs"),
            (1_240_000.0, "1.24 ms"),
            (12_340_000.0, "12.3 ms"),
            (310_400_000.0, "310 ms"),
            (999_600_000.0, "1.00 s"),
            (61e9, "61.0 s"),
            (3_720e9, "1 h 02 min"),
            (-2_000_000.0, "−2.00 ms"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(duration(nanos), text, "{nanos}");
        }
        for (share, text) in [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.042, "4.2 %"),
            (0.5, "50 %"),
            (0.001, "0.1 %"),
            (0.000_123, "0.012 %"),
            (0.999_9, "99.99 %"),
            (1e-9, "under 0.0001 %"),
        ] {
            assert_eq!(percent(share), text, "{share}");
        }
        assert_eq!(round_duration(5e6), "5 ms");
        assert_eq!(round_duration(120e9), "120 s");
        assert_eq!(round_times(1.5), "1.5");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
        assert_eq!(plural(1, "route", "routes"), "1 route");
        assert_eq!(times(12.34), "12.3");
    }
}
