//! JSONPaths (RFC 9535) of rules, and whether they lead to the place of a change.
//!
//! A path of names, indices, `*` and `..` is matched against the steps of a change, without a look
//! at the documents. One with a filter, a slice, a union or a negative index says nothing without
//! them: it is evaluated over both, once for a pair of documents that differ, and only on routes
//! that have such a rule.

use std::borrow::Cow;

use rustc_hash::FxHashSet;
use serde_json::{Number, Value};
use serde_json_path::{JsonPath, PathElement};

use crate::message::json::tape::{Node, Type};
use crate::message::place::{Pattern, Step, json_path};

/// A path of a rule.
#[derive(Debug)]
pub(super) enum RulePath {
    /// Matched by steps.
    Plain(Pattern),
    /// Evaluated over the documents.
    Query(JsonPath),
}

/// Where the queries of a route lead in one pair of documents: for each rule the places in v1's and
/// in v2's, as they are shown.
#[derive(Debug, Default)]
pub struct Located(Vec<(u32, [FxHashSet<String>; 2])>);

/// The place of a change: in v1's document, or in v2's where v1 has nothing there.
pub(super) struct ChangePlace<'p> {
    steps: &'p [Step<'p>],
    located: &'p Located,
    side: usize,
}

impl Located {
    pub(super) fn find<'p>(
        paths: impl Iterator<Item = (u32, &'p RulePath)>,
        expected: Node<'_, '_>,
        actual: Node<'_, '_>,
    ) -> Self {
        let mut documents: Option<[Value; 2]> = None;
        let located = paths.filter_map(|(rule, path)| {
            let RulePath::Query(query) = path else { return None };
            let documents = documents.get_or_insert_with(|| [value(expected), value(actual)]);
            Some((rule, [places(query, &documents[0]), places(query, &documents[1])]))
        });
        Self(located.collect())
    }

    pub(super) fn place<'p>(&'p self, steps: &'p [Step<'p>], added: bool) -> ChangePlace<'p> {
        ChangePlace { steps, located: self, side: usize::from(added) }
    }

    fn holds(&self, rule: u32, side: usize, steps: &[Step<'_>]) -> bool {
        let of_rule = self.0.iter().find(|(of, _)| *of == rule);
        of_rule.is_some_and(|(_, sides)| {
            !sides[side].is_empty() && sides[side].contains(&json_path(steps, false))
        })
    }
}

impl RulePath {
    /// Checks a path; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The library is the judge of what is a path; plain ones need no look at documents.
        let query = JsonPath::parse(text).map_err(|error| {
            // Its text shows the place on a second line.
            let why = error.to_string();
            let why: Vec<&str> = why.split_whitespace().collect();
            format!("{text:?} is not a JSONPath (RFC 9535): {}", why.join(" "))
        })?;
        Ok(Pattern::below_root(text).map_or(Self::Query(query), Self::Plain))
    }

    /// Whether the path leads to the place.
    pub(super) fn is(&self, rule: u32, place: &ChangePlace<'_>) -> bool {
        match self {
            Self::Plain(pattern) => pattern.names_steps(place.steps),
            Self::Query(_) => place.located.holds(rule, place.side, place.steps),
        }
    }

    /// Whether the path leads to the place or to something that it stands under.
    pub(super) fn covers(&self, rule: u32, place: &ChangePlace<'_>) -> bool {
        match self {
            Self::Plain(pattern) => pattern.covers_steps(place.steps),
            Self::Query(_) => (0..=place.steps.len())
                .any(|length| place.located.holds(rule, place.side, &place.steps[..length])),
        }
    }
}

/// The places that a query leads to, written as the places of changes are.
fn places(query: &JsonPath, document: &Value) -> FxHashSet<String> {
    let located = query.query_located(document);
    let steps = |element: &PathElement<'_>| match element {
        PathElement::Name(name) => Step::Name(Cow::Owned((*name).to_owned())),
        PathElement::Index(index) => Step::Index(*index),
    };
    located
        .locations()
        .map(|path| json_path(&path.iter().map(steps).collect::<Vec<_>>(), false))
        .collect()
}

/// A document as the library reads it; a number beyond a double's range is null there. The tape has
/// bounded the depth.
fn value(node: Node<'_, '_>) -> Value {
    match node.kind() {
        Type::Null => Value::Null,
        Type::Boolean => Value::Bool(node.raw() == b"true"),
        Type::Number => node.raw_str().parse::<Number>().map_or(Value::Null, Value::Number),
        Type::String | Type::Escaped => Value::String(node.text().into_owned()),
        Type::Array => Value::Array(node.elements().map(value).collect()),
        Type::Object => Value::Object(
            node.members()
                .map(|(name, member)| (name.text().into_owned(), value(member)))
                .collect(),
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::message::json::tape::Tape;
    use crate::message::place::Place;

    /// The steps below the root of a place in JSON.
    pub(crate) fn steps(path: &str) -> Vec<Step<'static>> {
        let place: Place = path.parse().unwrap();
        place.steps()[1..].to_vec()
    }

    #[test]
    fn paths_match_as_rfc_9535_says() {
        let nowhere = Located::default();
        for (rule, place, is, covers) in [
            ("$", "$", true, true),
            ("$", "$.a", false, true),
            ("$.a", "$.a", true, true),
            ("$.a", "$.a[0].b", false, true),
            ("$.a", "$.ab", false, false),
            ("$.a[*].b", "$.a[3].b", true, true),
            ("$.a[2]", "$.a[3]", false, false),
            ("$..price", "$.items[3].price", true, true),
            ("$..price", "$.price", true, true),
            ("$..price", "$.price.net", false, true),
            ("$['a b'].*", "$['a b'].x", true, true),
            ("$..[*].x", "$.a.b.x", true, true),
            ("$.é", "$.é", true, true),
            (r"$['a\\b']", r"$['a\\b']", true, true),
            (r"$['a\nb']", r"$['a\u000ab']", true, true),
            ("$['*']", "$.a", false, false),
        ] {
            let path = RulePath::parse(rule).unwrap();
            assert!(matches!(path, RulePath::Plain(_)), "{rule}");
            let steps = steps(place);
            let place = nowhere.place(&steps, false);
            assert_eq!(
                (path.is(0, &place), path.covers(0, &place)),
                (is, covers),
                "{rule} {:?}",
                place.steps
            );
        }
        for wrong in ["a", "$.", "$[", "$.a[", "$[?@.a>]", "$[?length(@.a)]", "$[1:2:3:4]"] {
            let error = RulePath::parse(wrong).err().unwrap_or_default();
            assert!(error.contains("RFC 9535") && !error.contains('\n'), "{wrong}: {error}");
        }
    }

    #[test]
    fn filters_slices_unions_negative_indices_and_functions_are_evaluated() {
        let document = br#"{"items":[{"kind":"a","price":1},{"kind":"b","price":20,"n":{"x":1}},
            {"kind":"a b","price":3e400}],
            "it's":[1,2,3,4],"a":1,"b":2,"c":3,"a\\b":4}"#;
        for (rule, place, is, covers) in [
            ("$.items[?@.kind=='b'].price", "$.items[1].price", true, true),
            ("$.items[?@.kind=='b'].price", "$.items[0].price", false, false),
            ("$.items[?@.price>10]", "$.items[1].n.x", false, true),
            ("$.items[?@.price>10]", "$.items[2].price", false, false),
            ("$.items[?match(@.kind, 'a.*')].price", "$.items[2].price", true, true),
            ("$.items[?search(@.kind, '[b]')].kind", "$.items[0].kind", false, false),
            ("$.items[?length(@.kind)==3].kind", "$.items[2].kind", true, true),
            ("$.items[?count(@.*)==3].kind", "$.items[1].kind", true, true),
            ("$.items[?value(@..x)==1].kind", "$.items[1].kind", true, true),
            ("$.items[-1].kind", "$.items[2].kind", true, true),
            ("$.items[-1].kind", "$.items[1].kind", false, false),
            ("$[\"it's\"][1:3]", "$[\"it's\"][2]", true, true),
            ("$[\"it's\"][1:3]", "$[\"it's\"][3]", false, false),
            ("$[\"it's\"][::-2]", "$[\"it's\"][1]", true, true),
            ("$['a','c']", "$.c", true, true),
            ("$['a','c']", "$.b", false, false),
            ("$..[?@.x]", "$.items[1].n.x", false, true),
            ("$[?@ == $.b]", "$.b", true, true),
        ] {
            let path = RulePath::parse(rule).unwrap();
            assert!(matches!(path, RulePath::Query(_)), "{rule}");
            let (tape, empty) = (Tape::parse(document).unwrap(), Tape::parse(b"{}").unwrap());
            let steps = steps(place);
            for added in [false, true] {
                let sides =
                    if added { [empty.root(), tape.root()] } else { [tape.root(), empty.root()] };
                let located = Located::find([(7, &path)].into_iter(), sides[0], sides[1]);
                let at = located.place(&steps, added);
                assert_eq!(
                    (path.is(7, &at), path.covers(7, &at)),
                    (is, covers),
                    "{rule} {place} added: {added}"
                );
                let other = located.place(&steps, !added);
                assert!(
                    !path.is(7, &other) && !path.is(8, &at),
                    "{rule}: of the other document, of another rule"
                );
            }
        }
    }
}
