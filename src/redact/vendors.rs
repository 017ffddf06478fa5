//! Tokens that carry a prefix of their issuer, by the table `vendors.tsv`; and some that are marked
//! in their middle.

use std::ops::Range;
use std::sync::LazyLock;

/// One kind of token.
#[derive(Debug)]
pub(super) struct Vendor {
    /// What it begins with.
    pub(super) prefix: &'static str,
    characters: fn(u8) -> bool,
    least: usize,
    most: usize,
}

/// Every kind, in the order of the table.
pub(super) static VENDORS: LazyLock<Vec<Vendor>> = LazyLock::new(|| {
    include_str!("vendors.tsv").lines().filter(|line| !line.starts_with('#')).map(row).collect()
});

fn row(line: &'static str) -> Vendor {
    let columns: Vec<&str> = line.split('\t').collect();
    let [_, prefix, characters, least, most] = columns[..] else {
        panic!("vendors.tsv: five columns, not {line:?}")
    };
    Vendor {
        prefix,
        characters: class(characters),
        least: least.parse().expect("vendors.tsv: a number"),
        most: most.parse().unwrap_or(usize::MAX),
    }
}

fn class(name: &str) -> fn(u8) -> bool {
    match name {
        "hex" => |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        "hex-dash" => |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'),
        "upper" => |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        "lower" => |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
        "alnum" => |byte| byte.is_ascii_alphanumeric(),
        "url" => is_url,
        "dot" => |byte| is_url(byte) || byte == b'.',
        "base64" => |byte| is_url(byte) || matches!(byte, b'+' | b'/' | b'='),
        // Hashes of passwords, in the form of crypt(3).
        "crypt" => |byte| byte.is_ascii_alphanumeric() || b"./$+=,-".contains(&byte),
        _ => panic!("vendors.tsv: {name:?} names no characters"),
    }
}

const fn is_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn run(text: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    text[from..].iter().position(|&byte| !is(byte)).unwrap_or(text.len() - from)
}

fn run_back(text: &[u8], to: usize, is: impl Fn(u8) -> bool) -> usize {
    text[..to].iter().rev().position(|&byte| !is(byte)).unwrap_or(to)
}

impl Vendor {
    /// The token of this kind at `at`, where there is one.
    pub(super) fn token(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        let begins = at == 0 || !text[at - 1].is_ascii_alphanumeric();
        if !begins || !text[at..].starts_with(self.prefix.as_bytes()) {
            return None;
        }
        let from = at + self.prefix.len();
        let most = self.most.saturating_add(1);
        let rest = &text[from..];
        let mut length =
            rest.iter().take(most).take_while(|&&byte| (self.characters)(byte)).count();
        // The end of a sentence.
        length -= run_back(&text[from..from + length], length, |byte| byte == b'.');
        (self.least..=self.most).contains(&length).then_some(at..from + length)
    }
}

#[cfg(test)]
impl Vendor {
    /// A token of this kind that is made of `signs`.
    pub(super) fn sample(&self, signs: &[u8]) -> String {
        let fitting = signs.iter().filter(|&&sign| (self.characters)(sign)).cycle();
        let rest = fitting.take(self.least).map(|&sign| char::from(sign));
        self.prefix.chars().chain(rest).collect()
    }
}

/// How many bytes of a token are its issuer's mark.
pub(super) fn mark_length(token: &[u8]) -> usize {
    let all =
        |vendor: &&Vendor| vendor.token(token, 0).is_some_and(|range| range.len() == token.len());
    VENDORS.iter().filter(all).map(|vendor| vendor.prefix.len()).max().unwrap_or(0)
}

/// What stands in the middle of a token, and how to find its ends from there.
pub(super) const MIDDLES: &[(&str, fn(&[u8], usize) -> Option<Range<usize>>)] = &[
    // Telegram's bots: their number, a colon, and about 35 characters that begin so.
    (":AA", |text, at| {
        let number = run_back(text, at, |byte| byte.is_ascii_digit());
        let length = text[at + 1..].iter().take(41).take_while(|&&byte| is_url(byte)).count();
        ((8..=10).contains(&number) && (30..=40).contains(&length))
            .then(|| at - number..at + 1 + length)
    }),
    // Firebase Cloud Messaging: eleven characters, and about 130 that begin so.
    (":APA91b", |text, at| {
        let name = run_back(text, at, is_url);
        let length = run(text, at + 1, is_url);
        (name >= 11 && length >= 100).then(|| at - name..at + 1 + length)
    }),
    // MaxMind: six characters, a line, 29 and this.
    ("_mmk", |text, at| {
        let before = run_back(text, at, is_url);
        let ends = text.get(at + 4).is_none_or(|&next| !is_url(next));
        (before == 36 && ends).then(|| at - 36..at + 4)
    }),
    // Mailchimp: 32 hexadecimal digits and the data centre.
    ("-us", |text, at| {
        let number = run(text, at + 3, |byte| byte.is_ascii_digit());
        let digits = run_back(text, at, class("hex"));
        (digits == 32 && (1..=2).contains(&number)).then(|| at - 32..at + 3 + number)
    }),
    // Terraform Cloud.
    (".atlasv1.", |text, at| {
        let name = run_back(text, at, |byte| byte.is_ascii_alphanumeric());
        let length = run(text, at + 9, is_url);
        (name == 14 && length >= 60).then(|| at - name..at + 9 + length)
    }),
    // Client secrets of Microsoft Entra ID: three characters, this, and more than thirty.
    ("8Q~", entra),
    ("7Q~", entra),
    // The password in a code that lets devices into a wireless network: `WIFI:T:WPA;S:home;P:…;;`.
    ("WIFI:", |text, at| {
        let code = &text[..text.len().min(at + 256)];
        let mut from = at + "WIFI:".len();
        loop {
            let is_password = code.get(from..)?.starts_with(b"P:");
            let mut end = from;
            while let Some(&byte) = code.get(end)
                && !matches!(byte, b';' | b'\n')
                && !(is_password && byte == b'"')
            {
                end += 1 + usize::from(byte == b'\\');
            }
            if is_password {
                return (end > from + 2).then(|| from + 2..end.min(code.len()));
            }
            if code.get(end) != Some(&b';') {
                return None;
            }
            from = end + 1;
        }
    }),
    // Drivers of Oracle: `jdbc:oracle:thin:joe/PASSWORD@//db`.
    ("jdbc:oracle:", |text, at| {
        let url = &text[at..text.len().min(at + 256)];
        let url = &url[..run(url, 0, |byte| byte.is_ascii_graphic() && !b"\"'<>".contains(&byte))];
        let slash = memchr::memchr(b'/', url)?;
        let end = memchr::memchr(b'@', url).filter(|&end| end > slash + 1)?;
        Some(at + slash + 1..at + end)
    }),
    // Hooks of Zapier: the account, and what may be short.
    ("hooks.zapier.com/hooks/catch/", |text, at| {
        let account = at + "hooks.zapier.com/hooks/catch/".len();
        let slash = account + run(text, account, |byte| byte.is_ascii_digit());
        let length = run(text, slash + 1, |byte| byte.is_ascii_alphanumeric());
        (text.get(slash) == Some(&b'/') && length >= 5).then(|| slash + 1..slash + 1 + length)
    }),
    // Addresses of calendars: `/private-0123…/basic.ics`.
    ("/private-", |text, at| {
        let from = at + "/private-".len();
        let length = run(text, from, class("hex"));
        (length >= 16).then(|| from..from + length)
    }),
    // Airtable: 14 characters after `pat`, and 64 hexadecimal digits.
    ("pat", |text, at| {
        let name = run(text, at + 3, |byte| byte.is_ascii_alphanumeric());
        let from = at + 3 + name + 1;
        let dotted = name == 14 && text.get(from - 1) == Some(&b'.');
        (dotted && run(text, from, class("hex")) == 64).then_some(at..from + 64)
    }),
];

fn entra(text: &[u8], at: usize) -> Option<Range<usize>> {
    let is = |byte: &&u8| is_url(**byte) || matches!(byte, b'.' | b'~');
    let before = text[..at].iter().rev().take(4).take_while(is).count();
    let length = text[at + 3..].iter().take(35).take_while(is).count();
    (before == 3 && (31..=34).contains(&length)).then(|| at - 3..at + 3 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_at_least_sixty_kinds_each_with_a_prefix_of_its_own() {
        let mut prefixes: Vec<&str> = VENDORS.iter().map(|vendor| vendor.prefix).collect();
        assert!(prefixes.len() >= 100, "{}", prefixes.len());
        prefixes.sort_unstable();
        let count = prefixes.len();
        prefixes.dedup();
        assert_eq!(prefixes.len(), count);
    }

    #[test]
    fn the_password_of_a_wireless_network_is_the_field_that_is_named_so() {
        let (_, password) = MIDDLES.iter().find(|(sign, _)| *sign == "WIFI:").unwrap();
        for (code, expected) in [
            ("WIFI:S:SHOP:1;T:WPA;P:hunter22;;", Some("hunter22")),
            ("WIFI:P:hunter22;S:home;;", Some("hunter22")),
            ("WIFI:S:\"my;net\";P:a\\;b;;", Some("a\\;b")),
            ("WIFI:S:a\\;P:b;T:nopass;;", None),
            ("WIFI:S:home;P:", None),
            ("WIFI:", None),
        ] {
            let range = password(code.as_bytes(), 0);
            assert_eq!(range.map(|range| &code[range]), expected, "{code}");
        }
    }

    #[test]
    fn a_token_has_its_length_and_begins_where_a_word_begins() {
        let find = |text: &str| {
            let tokens = VENDORS.iter().flat_map(|vendor| {
                (0..text.len()).filter_map(|at| vendor.token(text.as_bytes(), at))
            });
            tokens.map(|range| text[range].to_owned()).collect::<Vec<_>>()
        };
        let hex = "0123456789abcdef0123456789abcdef";
        assert_eq!(find(&format!("at SK{hex}.")), [format!("SK{hex}")]);
        assert_eq!(find(&format!("SK{hex}0 TASK{hex} SK{}", &hex[1..])), [""; 0]);
        let secret = "hvs.CAESIJ1234567890abcdef";
        assert_eq!(find(&format!("({secret}).")), [secret]);
        assert_eq!(mark_length(b"sk_live_0123456789abcdefghij"), 8);
        assert_eq!(mark_length(b"nothing of that kind"), 0);
    }
}
