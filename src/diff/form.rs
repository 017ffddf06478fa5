//! Form bodies (`application/x-www-form-urlencoded`) compared by field; places are `form:NAME`.

use std::collections::BTreeMap;

use super::Kind;
use super::change::{Context, Differ, SeenChange, Sink, Step, hash_place, kind_of, shown_below};
use super::embedded::{self, Base};
use super::rules::RuleVerdict;

/// Compares two forms: values of one name in their order, ids by what they name, names in any.
pub(super) fn compare(context: &Context<'_>, expected: &str, actual: &str, sink: &mut Sink) {
    let mut names: BTreeMap<String, [Vec<String>; 2]> = BTreeMap::new();
    for (side, text) in [expected, actual].into_iter().enumerate() {
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            names.entry(name.into_owned()).or_default()[side].push(value.into_owned());
        }
    }
    for (name, [a, b]) in names {
        let place = format!("form:{name}");
        sink.saw(hash_place(&place));
        match context.same_things(&a, &b, &[Step::Form((&*name).into())]) {
            Some(same) if same.in_order => {
                sink.twins.push(hash_place(&place));
                continue;
            }
            Some(_) => {
                let [a, b] = [a, b].map(|values| values.join(", "));
                if let RuleVerdict::Taken(rule) =
                    context.rules.judge_field(&name, Some(&a), Some(&b))
                {
                    sink.ruled.push(rule);
                    continue;
                }
                let shown = |values: &str| Some(shown_below(context.masker, [&*name], values));
                let (a, b) = (shown(&a), shown(&b));
                sink.plain(Kind::Body, &place, "reordered", a, b, SeenChange::PLAIN);
                continue;
            }
            None => {}
        }
        for index in 0..a.len().max(b.len()) {
            let (a, b) = (a.get(index).map(String::as_str), b.get(index).map(String::as_str));
            if a == b {
                continue;
            }
            if let RuleVerdict::Taken(rule) = context.rules.judge_field(&name, a, b) {
                sink.ruled.push(rule);
                continue;
            }
            if let (Some(a), Some(b)) = (a, b) {
                let base = Base::plain(Kind::Body, &place, &name);
                if embedded::compare(context, &base, a, b, sink) {
                    continue;
                }
            }
            let (label, look) = match (a, b) {
                (Some(a), Some(b)) => {
                    let steps = [Step::Form((&*name).into())];
                    match context.differ_at(a, b, false, &steps) {
                        Differ::Not => {
                            sink.twins.push(hash_place(&place));
                            continue;
                        }
                        Differ::Identity(label) => (label, SeenChange::PLAIN),
                        Differ::So(seen) => ("changed", seen),
                    }
                }
                (Some(_), None) => ("removed", SeenChange::PLAIN),
                _ => ("added", SeenChange::PLAIN),
            };
            let shown = |value: Option<&str>| {
                value.map(|value| shown_below(context.masker, [&*name], value))
            };
            sink.plain(kind_of(label, Kind::Body), &place, label, shown(a), shown(b), look);
        }
    }
}
