//! What the user says about places: ignore them, or compare them in another way (`[[diff.ignore]]`,
//! `[[diff.match]]`).

mod path;

use std::cell::LazyCell;
use std::sync::Arc;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::path::Located;
use self::path::RulePath;
use crate::message::json::tape::Node;
use crate::message::kinds::ValueKind;
use crate::message::place::{Pattern, Step};
use crate::route::RoutePattern;

/// `[diff]` of `shadowtap.toml`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiffConfig {
    /// Routes that come before the learned ones, e.g. `GET /orders/{id}`.
    pub routes: Vec<String>,
    /// What is thought of a header, member or element that only v2 sends.
    pub additions: Additions,
    /// What is thought of v1's errors that v2 answers rightly.
    pub fixed: FixedErrors,
    /// Headers that are ignored by default and shall be compared.
    pub compare: Vec<String>,
    /// Places to ignore.
    pub ignore: Vec<IgnoreRule>,
    /// Places to compare in another way.
    #[serde(rename = "match")]
    pub matching: Vec<MatchRule>,
}

/// What is thought of something that only v2 sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Additions {
    /// It counts against v2.
    #[default]
    Regression,
    /// It is shown as approved.
    Approved,
}

/// What is thought of v1's errors that v2 answers rightly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FixedErrors {
    /// They are shown as fixed.
    #[default]
    Report,
    /// They count against v2.
    Fail,
}

/// One of `[[diff.ignore]]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IgnoreRule {
    /// Only on this route.
    pub route: Option<String>,
    /// A header or trailer, by name.
    pub header: Option<String>,
    /// A cookie that is set, by name.
    pub cookie: Option<String>,
    /// A form field, by name.
    pub field: Option<String>,
    /// A JSONPath (RFC 9535); what is under it is ignored as well.
    pub path: Option<String>,
    /// A place that is not one of JSON, as a cluster shows it (`/html/head/meta/@content`); a `*`
    /// at its end stands for any.
    pub place: Option<String>,
}

/// One of `[[diff.match]]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MatchRule {
    /// Only on this route.
    pub route: Option<String>,
    /// A header or trailer, by name.
    pub header: Option<String>,
    /// A cookie that is set, by name.
    pub cookie: Option<String>,
    /// A form field, by name.
    pub field: Option<String>,
    /// A JSONPath (RFC 9535).
    pub path: Option<String>,
    /// A place that is not one of JSON, as a cluster shows it (`/html/head/meta/@content`); a `*`
    /// at its end stands for any.
    pub place: Option<String>,
    /// Numbers may differ by this, or by this share (`"1%"`).
    pub tolerance: Option<Tolerance>,
    /// v2's value must be of this kind (`uuid`, `rfc3339`, …) or match this regular expression.
    pub matches: Option<String>,
    /// The array is a set.
    pub unordered: Option<bool>,
    /// The array's elements are identified by this member.
    pub by_key: Option<String>,
}

/// How far numbers may be apart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tolerance {
    /// By this much.
    Absolute(f64),
    /// By this share of v1's value: `"1%"`.
    Share(String),
}

/// How an array is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrayRule {
    /// As a set.
    Unordered,
    /// By this member of its elements.
    ByKey(String),
}

/// A rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {why}")]
pub struct RuleError {
    /// The rule, as a person would write it.
    pub rule: String,
    /// What is wrong with it.
    pub why: String,
}

#[derive(Debug)]
enum RulePlace {
    Header(String),
    Cookie(String),
    Field(String),
    Path(RulePath),
    /// A general place as clusters show it; whether any ending of it is meant; and the same as a
    /// pattern, in whatever spelling it is.
    Written {
        place: String,
        open: bool,
        pattern: Option<Pattern>,
    },
}

#[derive(Debug)]
enum RuleAction {
    Ignore,
    Within { tolerance: f64, share: bool },
    Kind(fn(&str) -> bool),
    Text(Regex),
    Array(ArrayRule),
}

#[derive(Debug)]
struct Rule {
    text: String,
    route: Option<String>,
    place: RulePlace,
    action: RuleAction,
}

/// All rules, checked.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    /// What is thought of additions.
    pub additions: Additions,
    /// What is thought of v1's errors that v2 answers rightly.
    pub fixed: FixedErrors,
    /// Headers to compare although they are ignored by default, in lower case.
    pub compare: Vec<String>,
    /// Routes that the user gave.
    pub patterns: Vec<RoutePattern>,
}

/// The rules of one route.
#[derive(Clone, Debug, Default)]
pub struct RouteRules {
    rules: Vec<(u32, Arc<Rule>)>,
    /// Headers to compare although they are ignored by default.
    pub compare: Arc<[String]>,
}

/// What the rules say of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleVerdict {
    /// It stays.
    Stays,
    /// This rule takes it.
    Taken(u32),
}

impl Rules {
    /// Checks the rules of a configuration.
    pub fn new(config: &DiffConfig) -> Result<Self, RuleError> {
        let mut rules = Vec::new();
        for rule in &config.ignore {
            let text = rule.text();
            let wrong = |why: String| RuleError { rule: text.clone(), why };
            let place = place([&rule.header, &rule.cookie, &rule.field, &rule.path, &rule.place])
                .map_err(wrong)?;
            rules.push(Arc::new(Rule {
                route: rule.route.as_deref().map(plain_route),
                place,
                action: RuleAction::Ignore,
                text,
            }));
        }
        for rule in &config.matching {
            let text = rule.text();
            let wrong = |why: String| RuleError { rule: text.clone(), why };
            let place = place([&rule.header, &rule.cookie, &rule.field, &rule.path, &rule.place])
                .map_err(wrong)?;
            let action = rule.action().map_err(wrong)?;
            if matches!(action, RuleAction::Array(_)) && !matches!(place, RulePlace::Path(_)) {
                return Err(wrong("only a path leads to an array".to_owned()));
            }
            rules.push(Arc::new(Rule {
                route: rule.route.as_deref().map(plain_route),
                place,
                action,
                text,
            }));
        }
        let patterns = config
            .routes
            .iter()
            .map(|text| {
                text.parse().map_err(|why| RuleError { rule: "[diff] routes".to_owned(), why })
            })
            .collect::<Result<_, _>>()?;
        let compare = config.compare.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Self { rules, additions: config.additions, fixed: config.fixed, compare, patterns })
    }

    /// The rules that hold on a route.
    pub fn of_route(&self, route: &str) -> RouteRules {
        let plain = plain_route(route);
        let holds = |rule: &Rule| match &rule.route {
            None => true,
            Some(wanted) => match wanted.strip_prefix("* ") {
                Some(path) => plain.split_once(' ').is_some_and(|(_, p)| p == path),
                None => *wanted == plain,
            },
        };
        let rules = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| holds(rule))
            .map(|(at, rule)| (at as u32, Arc::clone(rule)));
        RouteRules { rules: rules.collect(), compare: self.compare.clone().into() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A rule as a person would write it.
    pub fn text(&self, index: usize) -> &str {
        &self.rules[index].text
    }
}

/// A route without the names of its parameters, which are the writer's choice.
fn plain_route(route: &str) -> String {
    let mut out = String::with_capacity(route.len());
    let mut inside = false;
    for c in route.trim().chars() {
        match c {
            '{' => {
                inside = true;
                out.push_str("{}");
            }
            '}' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// The place that a rule names by header, cookie, field, path or place.
fn place(names: [&Option<String>; 5]) -> Result<RulePlace, String> {
    match names.map(Option::as_deref) {
        [Some(name), None, None, None, None] => Ok(RulePlace::Header(name.to_ascii_lowercase())),
        [None, Some(name), None, None, None] => Ok(RulePlace::Cookie(name.to_owned())),
        [None, None, Some(name), None, None] => Ok(RulePlace::Field(name.to_owned())),
        [None, None, None, Some(path), None] => RulePath::parse(path).map(RulePlace::Path),
        [None, None, None, None, Some(place)]
            if place.starts_with('$') && !place.contains(" $") =>
        {
            Err("a place of JSON is written as path = …".to_owned())
        }
        [None, None, None, None, Some(place)] => {
            let start = place.strip_suffix('*');
            Ok(RulePlace::Written {
                place: start.unwrap_or(place).to_owned(),
                open: start.is_some(),
                pattern: place.parse().ok(),
            })
        }
        _ => Err("exactly one of header, cookie, field, path and place is needed".to_owned()),
    }
}

fn described(section: &str, parts: &[(&str, Option<String>)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} = {}", value.as_ref()?)))
        .collect();
    format!("[[diff.{section}]] {}", parts.join(", "))
}

fn quoted(text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| format!("{text:?}"))
}

impl IgnoreRule {
    fn text(&self) -> String {
        let parts = [
            ("route", quoted(&self.route)),
            ("header", quoted(&self.header)),
            ("cookie", quoted(&self.cookie)),
            ("field", quoted(&self.field)),
            ("path", quoted(&self.path)),
            ("place", quoted(&self.place)),
        ];
        described("ignore", &parts)
    }
}

impl MatchRule {
    fn text(&self) -> String {
        let tolerance = self.tolerance.as_ref().map(|tolerance| match tolerance {
            Tolerance::Absolute(value) => value.to_string(),
            Tolerance::Share(text) => format!("{text:?}"),
        });
        let parts = [
            ("route", quoted(&self.route)),
            ("header", quoted(&self.header)),
            ("cookie", quoted(&self.cookie)),
            ("field", quoted(&self.field)),
            ("path", quoted(&self.path)),
            ("place", quoted(&self.place)),
            ("tolerance", tolerance),
            ("matches", quoted(&self.matches)),
            ("unordered", self.unordered.map(|value| value.to_string())),
            ("by_key", quoted(&self.by_key)),
        ];
        described("match", &parts)
    }

    fn action(&self) -> Result<RuleAction, String> {
        match (&self.tolerance, &self.matches, self.unordered.unwrap_or(false), &self.by_key) {
            (Some(Tolerance::Absolute(value)), None, false, None) if *value >= 0.0 => {
                Ok(RuleAction::Within { tolerance: *value, share: false })
            }
            (Some(Tolerance::Share(text)), None, false, None) => {
                let percent =
                    text.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
                let percent = percent
                    .filter(|percent| *percent >= 0.0)
                    .ok_or("write a tolerance as 0.01 or \"1%\"")?;
                Ok(RuleAction::Within { tolerance: percent / 100.0, share: true })
            }
            (None, Some(text), false, None) => match ValueKind::test(text) {
                Some(test) => Ok(RuleAction::Kind(test)),
                None => Regex::new(text).map(RuleAction::Text).map_err(|error| {
                    // Its text draws the place over several lines; the last one says what is wrong.
                    let why = error.to_string();
                    let why = why
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .trim_start_matches("error: ")
                        .to_owned();
                    format!(
                        "{text:?} is neither a kind ({}) nor a regular expression: {why}",
                        ValueKind::NAMES.join(", ")
                    )
                }),
            },
            (None, None, true, None) => Ok(RuleAction::Array(ArrayRule::Unordered)),
            (None, None, false, Some(key)) => Ok(RuleAction::Array(ArrayRule::ByKey(key.clone()))),
            _ => Err(
                "exactly one of tolerance (not negative), matches, unordered and by_key is needed"
                    .to_owned(),
            ),
        }
    }
}

impl RuleAction {
    /// Whether the action takes a change from `a` to `b`.
    fn takes(&self, a: Option<&str>, b: Option<&str>) -> bool {
        match (self, a, b) {
            (Self::Ignore, ..) => true,
            (Self::Within { tolerance, share }, Some(a), Some(b)) => {
                let (Ok(a), Ok(b)) = (a.trim().parse::<f64>(), b.trim().parse::<f64>()) else {
                    return false;
                };
                let allowed = if *share { tolerance * a.abs() } else { *tolerance };
                // A millionth of slack: the difference of two decimals is seldom exact in binary.
                (a - b).abs() <= allowed * 1.000_001
            }
            (Self::Kind(test), Some(_), Some(b)) => test(b),
            (Self::Text(regex), Some(_), Some(b)) => regex.is_match(b),
            _ => false,
        }
    }
}

impl RouteRules {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn judge(
        &self,
        fits: impl Fn(&RulePlace) -> bool,
        a: Option<&str>,
        b: Option<&str>,
    ) -> RuleVerdict {
        let mut rules = self.rules.iter();
        rules
            .find(|(_, rule)| fits(&rule.place) && rule.action.takes(a, b))
            .map_or(RuleVerdict::Stays, |(index, _)| RuleVerdict::Taken(*index))
    }

    /// What the rules say of a changed header.
    pub fn judge_header(&self, name: &str, a: Option<&str>, b: Option<&str>) -> RuleVerdict {
        self.judge(|place| matches!(place, RulePlace::Header(wanted) if wanted == name), a, b)
    }

    /// What the rules say of a changed cookie.
    pub fn judge_cookie(&self, name: &str, a: Option<&str>, b: Option<&str>) -> RuleVerdict {
        self.judge(|place| matches!(place, RulePlace::Cookie(wanted) if wanted == name), a, b)
    }

    /// What the rules say of a changed form field.
    pub fn judge_field(&self, name: &str, a: Option<&str>, b: Option<&str>) -> RuleVerdict {
        self.judge(|place| matches!(place, RulePlace::Field(wanted) if wanted == name), a, b)
    }

    /// What the rules say of a change at a place that is written as clusters show it: of markup, of
    /// lines, of a part.
    pub fn judge_place(&self, general: &str, a: Option<&str>, b: Option<&str>) -> RuleVerdict {
        // Clusters show places in a spelling that patterns read.
        let at = LazyCell::new(|| general.parse::<Pattern>().ok()?.place());
        let fits = |place: &RulePlace| match place {
            RulePlace::Written { place, open, pattern } => {
                let is_written = match open {
                    true => general.starts_with(&**place),
                    false => *place == general,
                };
                is_written
                    || pattern.as_ref().is_some_and(|pattern| {
                        at.as_ref().is_some_and(|at| pattern.names_steps(at.steps()))
                    })
            }
            _ => false,
        };
        self.judge(fits, a, b)
    }

    /// Where the paths with filters, slices, unions and negative indices lead in two documents;
    /// empty where no rule has one.
    pub fn locate(&self, expected: Node<'_, '_>, actual: Node<'_, '_>) -> Located {
        let paths = self.rules.iter().filter_map(|(index, rule)| match &rule.place {
            RulePlace::Path(path) => Some((*index, path)),
            _ => None,
        });
        Located::find(paths, expected, actual)
    }

    /// What the rules say of a change in a JSON document.
    pub fn judge_json(
        &self,
        located: &Located,
        steps: &[Step<'_>],
        a: Option<&str>,
        b: Option<&str>,
    ) -> RuleVerdict {
        let place = located.place(steps, a.is_none());
        let mut rules = self.rules.iter();
        rules
            .find(|(index, rule)| match (&rule.place, &rule.action) {
                (RulePlace::Path(path), RuleAction::Ignore) => path.covers(*index, &place),
                (RulePlace::Path(path), action) => path.is(*index, &place) && action.takes(a, b),
                _ => false,
            })
            .map_or(RuleVerdict::Stays, |(index, _)| RuleVerdict::Taken(*index))
    }

    /// How the array at a place is compared, and the rule that says so.
    pub fn array(&self, located: &Located, steps: &[Step<'_>]) -> Option<(u32, ArrayRule)> {
        let place = located.place(steps, false);
        self.rules.iter().find_map(|(index, rule)| match (&rule.place, &rule.action) {
            (RulePlace::Path(path), RuleAction::Array(how)) if path.is(*index, &place) => {
                Some((*index, how.clone()))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::path::tests::steps;
    use super::*;

    #[test]
    fn rules_hold_where_they_say_and_do_what_they_say() {
        let config: DiffConfig = toml::from_str(
            r#"
            [[ignore]]
            header = "X-Build"
            [[ignore]]
            route = "GET /orders/{order}"
            path = "$.made"
            [[match]]
            path = "$..price"
            tolerance = 0.01
            [[match]]
            path = "$.share"
            tolerance = "10%"
            [[match]]
            path = "$.id"
            matches = "uuid"
            [[match]]
            path = "$.code"
            matches = "^[A-Z]+$"
            [[match]]
            path = "$.tags"
            unordered = true
            "#,
        )
        .unwrap();
        let rules = Rules::new(&config).unwrap();
        let route = rules.of_route("GET /orders/{id}");
        let json = |route: &RouteRules, path: &str, a: &str, b: &str| {
            route.judge_json(&Located::default(), &steps(path), Some(a), Some(b))
        };
        assert_eq!(route.judge_header("x-build", Some("1"), None), RuleVerdict::Taken(0));
        assert_eq!(json(&route, "$.made", "1", "2"), RuleVerdict::Taken(1));
        assert_eq!(
            json(&rules.of_route("GET /carts/{id}"), "$.made", "1", "2"),
            RuleVerdict::Stays
        );
        assert_eq!(json(&route, "$.a.price", "12.99", "13.00"), RuleVerdict::Taken(2));
        assert_eq!(json(&route, "$.a.price", "12.99", "13.01"), RuleVerdict::Stays);
        assert_eq!(json(&route, "$.share", "100", "110"), RuleVerdict::Taken(3));
        assert_eq!(
            json(&route, "$.id", "1", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
            RuleVerdict::Taken(4)
        );
        assert_eq!(json(&route, "$.id", "1", "2"), RuleVerdict::Stays);
        assert_eq!(json(&route, "$.code", "x", "ABC"), RuleVerdict::Taken(5));
        assert_eq!(
            route.array(&Located::default(), &steps("$.tags")),
            Some((6, ArrayRule::Unordered))
        );
        assert_eq!(
            rules.text(1),
            r#"[[diff.ignore]] route = "GET /orders/{order}", path = "$.made""#
        );
    }

    #[test]
    fn a_rule_that_cannot_be_used_is_an_error_that_names_it() {
        for text in [
            "[[ignore]]\nroute = 'GET /'",
            "[[ignore]]\nheader = 'a'\npath = '$.a'",
            "[[match]]\npath = '$.a'",
            "[[match]]\npath = '$.a'\ntolerance = -1",
            "[[match]]\npath = '$.a'\ntolerance = 'much'",
            "[[match]]\npath = '$.a'\nmatches = '('",
            "[[match]]\nheader = 'a'\nunordered = true",
            "routes = ['orders']",
        ] {
            let config: DiffConfig = toml::from_str(text).unwrap();
            let error =
                Rules::new(&config).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("diff") && !error.contains('\n'), "{text}: {error}");
        }
        assert!(toml::from_str::<DiffConfig>("[[match]]\npaht = '$.a'").is_err());
    }

    #[test]
    fn a_place_is_meant_in_whatever_spelling_it_is_written() {
        for (written, takes, leaves) in [
            ("/html/head/meta/@content", "/html/head/meta/@content", "/html/head/meta/@name"),
            ("/order/*/@id", "/order/item/@id", "/order/@id"),
            ("/order/*", "/order/item/name", "/orders/item"),
            ("/a/b@c", "/a/b/@c", "/a/b"),
            ("query.page", "query:page", "query:pages"),
            ("part card: $.a[*].price", "part card: $.a[*].price", "part card: $.a[*].name"),
        ] {
            let rule = format!("[[ignore]]\nplace = '{written}'");
            let config: DiffConfig = toml::from_str(&rule).expect("a rule");
            let rules = Rules::new(&config).expect("rules").of_route("GET /");
            let judge = |general: &str| rules.judge_place(general, Some("1"), Some("2"));
            assert_eq!(judge(takes), RuleVerdict::Taken(0), "{written}: {takes}");
            assert_eq!(judge(leaves), RuleVerdict::Stays, "{written}: {leaves}");
        }
    }
}
