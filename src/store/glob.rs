//! Patterns of names in a store: `*` and `?` within a segment of the path, `[a-c]` and `[!a-c]` for
//! one character, `**` for any number of segments.

use regex::Regex;

/// Whether a name is a pattern.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// What a segment of a path must look like.
pub(crate) enum GlobSegment {
    /// Just this.
    Name(String),
    /// What fits.
    Fits(Regex),
    /// Any number of segments.
    Any,
}

/// The segments of a pattern. A bracket that does not close stands for itself.
pub(crate) fn segments(pattern: &str) -> Vec<GlobSegment> {
    let segment = |text: &str| match text {
        "**" => GlobSegment::Any,
        text if is_pattern(text) => {
            // What `expression` writes is well-formed but for ranges such as `[z-a]`.
            Regex::new(&expression(text))
                .map_or_else(|_| GlobSegment::Name(text.to_owned()), GlobSegment::Fits)
        }
        text => GlobSegment::Name(text.to_owned()),
    };
    pattern.split('/').filter(|text| !text.is_empty()).map(segment).collect()
}

fn expression(segment: &str) -> String {
    let mut out = String::from("^");
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match (first, after.find(']').filter(|&end| end > 0)) {
            ('*', _) => {
                out.push_str(".*");
                after
            }
            ('?', _) => {
                out.push('.');
                after
            }
            ('[', Some(end)) => {
                let (not, set) = match after[..end].strip_prefix('!') {
                    Some(set) => ("^", set),
                    None => ("", &after[..end]),
                };
                let set: String = set.chars().map(in_class).collect();
                out.push_str(&format!("[{not}{set}]"));
                &after[end + 1..]
            }
            _ => {
                out.push_str(&regex::escape(first.encode_utf8(&mut [0; 4])));
                after
            }
        };
    }
    out.push('$');
    out
}

/// A character of a set, without the meaning that it has for regular expressions.
fn in_class(c: char) -> String {
    if c == '-' || c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") }
}

impl GlobSegment {
    /// Whether a segment of a name fits.
    pub(crate) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Name(text) => text == name,
            Self::Fits(regex) => regex.is_match(name),
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_as_shells_do() {
        let fits = |pattern: &str, name: &str| segments(pattern)[0].fits(name);
        assert!(fits("2026-11-28T*.pcapng.zst", "2026-11-28T10.pcapng.zst"));
        assert!(!fits("2026-11-28T*.pcapng.zst", "2026-11-28T10.pcapngxzst"));
        assert!(fits("v?.pcap", "v1.pcap") && !fits("v?.pcap", "v12.pcap"));
        assert!(fits("v[1-3].pcap", "v2.pcap") && !fits("v[!1-3].pcap", "v2.pcap"));
        assert!(fits("a[.]b", "a.b") && fits("a[b", "a[b") && fits("[^]", "^"));
        assert!(matches!(segments("a/**/b")[1], GlobSegment::Any));
        assert!(is_pattern("a/*") && !is_pattern("a/b"));
    }
}
