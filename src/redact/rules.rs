//! What to redact: the rules of `--redact` as they are written, and what they match.
//!
//! `default`, `strict`, `header:NAME`, `cookie:NAME`, `query:NAME`, `form:NAME`, `json:PATH`,
//! `pattern:REGEX`. Names may hold `*`. A path is written as `$.user.cards[*].number`, `$..iban`,
//! `$['odd name'][0]`.

use std::fmt;
use std::str::FromStr;

/// One rule.
#[derive(Clone, Debug)]
pub enum RedactRule {
    /// The built-in set.
    Default,
    /// The built-in set; and bodies that it cannot search are left out.
    Strict,
    /// Headers of this name.
    Header(NamePattern),
    /// Cookies of this name, in requests and responses.
    Cookie(NamePattern),
    /// Query parameters of this name.
    Query(NamePattern),
    /// Fields of this name in forms.
    Form(NamePattern),
    /// What stands at this path in JSON.
    Json(RedactPath),
    /// What this expression matches anywhere; its first group, where it has one.
    Pattern(regex::bytes::Regex),
}

/// What a rule cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactRuleError {
    /// Not of the form.
    #[error(
        "{0:?} is no rule of redaction: write default, strict, header:NAME, cookie:NAME, \
         query:NAME, form:NAME, json:PATH or pattern:REGEX"
    )]
    Unknown(String),
    /// Not a path.
    #[error(
        "{0:?} is not a path that redaction understands: write for example $.user.cards[*].number \
         or $..iban"
    )]
    Path(String),
    /// Not a regular expression.
    #[error("the pattern is wrong: {0}")]
    Pattern(String),
}

impl FromStr for RedactRule {
    type Err = RedactRuleError;

    fn from_str(text: &str) -> Result<Self, RedactRuleError> {
        let unknown = || RedactRuleError::Unknown(text.to_owned());
        if text == "default" {
            return Ok(Self::Default);
        }
        if text == "strict" {
            return Ok(Self::Strict);
        }
        let (kind, what) = text.split_once(':').ok_or_else(unknown)?;
        if what.is_empty() {
            return Err(unknown());
        }
        Ok(match kind {
            "header" => Self::Header(NamePattern::new(what)),
            "cookie" => Self::Cookie(NamePattern::new(what)),
            "query" => Self::Query(NamePattern::new(what)),
            "form" => Self::Form(NamePattern::new(what)),
            "json" => Self::Json(what.parse()?),
            "pattern" => Self::Pattern(
                regex::bytes::Regex::new(what)
                    .map_err(|error| RedactRuleError::Pattern(error.to_string()))?,
            ),
            _ => return Err(unknown()),
        })
    }
}

/// As it is written, but for the case of names.
impl fmt::Display for RedactRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Strict => f.write_str("strict"),
            Self::Header(name) => write!(f, "header:{}", name.0.join("*")),
            Self::Cookie(name) => write!(f, "cookie:{}", name.0.join("*")),
            Self::Query(name) => write!(f, "query:{}", name.0.join("*")),
            Self::Form(name) => write!(f, "form:{}", name.0.join("*")),
            Self::Json(path) => write!(f, "json:{}", path.text),
            Self::Pattern(pattern) => write!(f, "pattern:{pattern}"),
        }
    }
}

/// A name, in which `*` stands for anything. Case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Vec<String>);

impl NamePattern {
    fn new(text: &str) -> Self {
        Self(text.to_lowercase().split('*').map(str::to_owned).collect())
    }

    /// Whether it names `name`.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let [first, middle @ .., last] = &self.0[..] else { return self.0[0] == name };
        let Some(mut rest) =
            name.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last))
        else {
            return false;
        };
        for part in middle {
            match rest.find(&**part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

/// A path into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedactPath {
    text: String,
    segments: Vec<RedactSegment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RedactSegment {
    Member(String),
    Index(usize),
    /// Any member or element.
    Any,
    /// Any number of steps.
    Descend,
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedactStep {
    /// Into a member of an object.
    Member(String),
    /// Into an element of an array.
    Index(usize),
}

impl RedactPath {
    /// Whether it leads to the value that `steps` lead to, or to one that holds it.
    pub fn reaches(&self, steps: &[RedactStep]) -> bool {
        reaches(&self.segments, steps)
    }
}

fn reaches(path: &[RedactSegment], steps: &[RedactStep]) -> bool {
    match (path, steps) {
        // Whatever is inside the value that is named, is named.
        ([], _) => true,
        ([RedactSegment::Descend, rest @ ..], steps) => {
            (0..=steps.len()).any(|from| reaches(rest, &steps[from..]))
        }
        ([segment, rest @ ..], [step, steps @ ..]) => {
            let fits = match (segment, step) {
                (RedactSegment::Any, _) => true,
                (RedactSegment::Member(name), RedactStep::Member(member)) => name == member,
                (RedactSegment::Index(index), RedactStep::Index(element)) => index == element,
                _ => false,
            };
            fits && reaches(rest, steps)
        }
        (_, []) => false,
    }
}

impl FromStr for RedactPath {
    type Err = RedactRuleError;

    fn from_str(text: &str) -> Result<Self, RedactRuleError> {
        let wrong = || RedactRuleError::Path(text.to_owned());
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("..") {
                segments.push(RedactSegment::Descend);
                // `..name` and `..[0]`.
                rest = after;
                if !rest.starts_with('[') {
                    rest = member(rest, &mut segments).ok_or_else(wrong)?;
                }
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = member(after, &mut segments).ok_or_else(wrong)?;
            } else if let Some(after) = rest.strip_prefix('[') {
                let end = after.find(']').ok_or_else(wrong)?;
                let quoted = |quote| {
                    after[..end].strip_prefix(quote).and_then(|inside| inside.strip_suffix(quote))
                };
                segments.push(match (&after[..end], quoted('\'').or_else(|| quoted('"'))) {
                    (_, Some(name)) => RedactSegment::Member(name.to_owned()),
                    ("*", None) => RedactSegment::Any,
                    (index, None) => RedactSegment::Index(index.parse().map_err(|_| wrong())?),
                });
                rest = &after[end + 1..];
            } else {
                return Err(wrong());
            }
        }
        if segments.is_empty() || segments.len() > 64 {
            Err(wrong())
        } else {
            Ok(Self { text: text.to_owned(), segments })
        }
    }
}

fn member<'a>(text: &'a str, segments: &mut Vec<RedactSegment>) -> Option<&'a str> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    segments.push(match &text[..end] {
        "" => return None,
        "*" => RedactSegment::Any,
        name => RedactSegment::Member(name.to_owned()),
    });
    Some(&text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<RedactStep> {
        text.split('/')
            .map(|step| {
                step.parse().map_or_else(|_| RedactStep::Member(step.to_owned()), RedactStep::Index)
            })
            .collect()
    }

    #[test]
    fn paths_reach_what_they_name() {
        for (path, yes, no) in [
            ("$.a.b", "a/b", "a/c"),
            ("$.a", "a/deeper/0", "b/a"),
            ("$.a[*].n", "a/3/n", "a/n"),
            ("$..n", "x/0/n", "x/0/m"),
            ("$['odd name'][1]", "odd name/1", "odd name/0"),
            ("$.*.n", "q/n", "q/r/n"),
        ] {
            let path: RedactPath = path.parse().unwrap();
            assert!(path.reaches(&steps(yes)) && !path.reaches(&steps(no)), "{path:?}");
        }
        for wrong in ["", "a", "$", "$.", "$a", "$[", "$[x]", "$.a..", "$...a"] {
            assert!(wrong.parse::<RedactPath>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_are_read_and_names_match_with_stars() {
        for rule in [
            "default",
            "header:X-Secret-*",
            "cookie:sid",
            "query:q",
            "form:a",
            "json:$.a",
            r"pattern:\bID-\d+",
        ] {
            assert_eq!(
                rule.parse::<RedactRule>().unwrap().to_string(),
                rule.replace("X-Secret", "x-secret")
            );
        }
        for wrong in ["", "all", "header:", "body:x", "json:a", "pattern:("] {
            assert!(wrong.parse::<RedactRule>().is_err(), "{wrong}");
        }
        let name = NamePattern::new("X-*-Key*");
        assert!(
            name.matches("x-api-key")
                && name.matches("X-A-B-KEY-2")
                && !name.matches("x-key")
                && !name.matches("api-key")
        );
        assert!(
            NamePattern::new("sid").matches("SID")
                && !NamePattern::new("sid").matches("side")
                && NamePattern::new("*").matches("")
        );
    }
}
