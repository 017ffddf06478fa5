//! What a recording says of its redaction: by which rules, and under which key, which it names
//! without telling it.
//!
//! Who replays it sees by that whether v2's answers get the same tokens.

use serde::{Deserialize, Serialize};

/// The redaction of a recording, as its first line tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Redacted {
    /// The rules as they are written, sorted.
    pub rules: Vec<String>,
    /// Names the key of the tokens; none where several were used.
    #[serde(default)]
    pub key: Option<String>,
}

impl Redacted {
    /// Of what `parts` are of together. None where one of them is not redacted, as nothing can be
    /// relied on then.
    pub fn of_all<'a>(parts: impl IntoIterator<Item = &'a Option<Self>>) -> Option<Self> {
        let mut parts = parts.into_iter();
        parts
            .next()?
            .clone()
            .and_then(|first| parts.try_fold(first, |all, part| Some(all.joined(part.as_ref()?))))
    }

    /// Of something that was redacted so, and then by `ours` too. What both found has a token's
    /// token, which no key makes.
    #[must_use]
    pub fn then(self, ours: &Self) -> Self {
        let twice = self.rules.iter().any(|rule| ours.rules.contains(rule));
        let both = self.joined(ours);
        Self { key: both.key.filter(|_| !twice), ..both }
    }

    fn joined(mut self, other: &Self) -> Self {
        self.rules.extend_from_slice(&other.rules);
        self.rules.sort_unstable();
        self.rules.dedup();
        self.key = self.key.filter(|key| Some(key) == other.key.as_ref());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_told_as_one_only_where_all_are_redacted() {
        let of = |rules: &[&str], key: &str| {
            Some(Redacted {
                rules: rules.iter().map(|&rule| rule.to_owned()).collect(),
                key: Some(key.to_owned()),
            })
        };
        let one = of(&["default"], "a");
        assert_eq!(Redacted::of_all([&one, &one]), one);
        assert_eq!(
            Redacted::of_all([&one, &of(&["cookie:sid"], "a")]),
            of(&["cookie:sid", "default"], "a")
        );
        assert_eq!(Redacted::of_all([&one, &of(&["default"], "b")]).unwrap().key, None);
        assert_eq!(Redacted::of_all([&one, &None]), None);
        assert_eq!(Redacted::of_all([]), None);
        let (one, two) = (one.unwrap(), of(&["cookie:sid"], "a").unwrap());
        assert_eq!(one.clone().then(&two).key.as_deref(), Some("a"));
        assert_eq!(one.clone().then(&one).key, None);
    }
}
