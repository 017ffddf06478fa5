//! Renamed members: what is shown as part of a rename, and what of it moved with its value.

use super::noise::Stat;
use super::spool::SpooledChange;

/// Values that say nothing: a member that has one is called renamed only where there is no choice.
const MUTE: [&str; 6] = ["null", "true", "false", "", "[]", "{}"];

/// The number under which each way of changing is shown: where a member was renamed, its removal
/// and the addition of its new name in other exchanges (where the value had changed as well) are
/// the same cause.
pub(super) fn aliases(stats: &[Stat]) -> Vec<u32> {
    let mut aliases: Vec<u32> = (0..stats.len() as u32).collect();
    let renamed = |stat: &Stat| {
        let (_, new) = names(&stat.label)?;
        let parent = &stat.general[..stat.general.rfind(['.', '['])?];
        Some([format!("{parent}.{new}"), format!("{parent}['{new}']")])
    };
    for (number, stat) in stats.iter().enumerate() {
        let Some(places) = renamed(stat).filter(|_| stat.live > 0) else { continue };
        for (other, alias) in stats.iter().zip(&mut aliases) {
            let removed = other.label == "removed" && other.general == stat.general;
            let added = other.label == "added" && places.contains(&other.general);
            if other.route == stat.route && other.live <= stat.live && (removed || added) {
                *alias = number as u32;
            }
        }
    }
    aliases
}

/// Which changes of an exchange, by their numbers in order, are the two parts of a rename whose
/// value is the same: only of values that say nothing is that not told as a rename. Of any other
/// what is shown may be the same and the value not (`5` and `"5"`, or ends that are not shown).
pub(super) fn moved(changes: &[SpooledChange], aliases: &[u32], stats: &[Stat]) -> Vec<usize> {
    let parts = changes.iter().enumerate().filter_map(|(index, change)| {
        let shown = aliases[change.key as usize];
        let (old, new) = names(&stats[shown as usize].label).filter(|_| shown != change.key)?;
        let (name, value, is_new) = match (&change.expected, &change.actual) {
            (Some(value), None) => (old, value, false),
            (None, Some(value)) => (new, value, true),
            _ => return None,
        };
        let parent = parent(&change.place, name)?;
        MUTE.contains(&&**value).then_some(((shown, parent, &**value), is_new, index))
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_unstable();
    let pairs = parts.chunk_by(|a, b| a.0 == b.0).filter(|all| matches!(all, [a, b] if a.1 != b.1));
    let mut moved: Vec<usize> = pairs.flatten().map(|(_, _, index)| *index).collect();
    moved.sort_unstable();
    moved
}

/// How something changed, in plain words: a renamed member with both names.
pub(crate) fn shape_words(shape: &str) -> String {
    match names(shape) {
        Some((old, new)) => format!("renamed `{old}` to `{new}`"),
        None => shape.to_owned(),
    }
}

/// The old and the new name that a label says.
fn names(label: &str) -> Option<(&str, &str)> {
    label.strip_prefix("renamed ")?.split_once('→')
}

/// The place of what has the member of this name that stands at `place`.
fn parent<'p>(place: &'p str, name: &str) -> Option<&'p str> {
    let quoted = |place: &'p str| place.strip_suffix("']")?.strip_suffix(name)?.strip_suffix("['");
    place.strip_suffix(name).and_then(|rest| rest.strip_suffix('.')).or_else(|| quoted(place))
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn only_a_value_that_moved_unchanged_is_part_of_an_approved_rename() {
        let stat = |general: &str, label: &str, live| Stat {
            general: general.to_owned(),
            live,
            ..Stat::new(0, Kind::Body, label)
        };
        let stats = [
            stat("$.all[*].price", "renamed price→the cost", 9),
            stat("$.all[*].price", "removed", 2),
            stat("$.all[*]['the cost']", "added", 2),
            stat("$.other", "removed", 2),
        ];
        let aliases = aliases(&stats);
        assert_eq!(aliases, [0, 0, 0, 3]);
        let change = |key, place: &str, values: [Option<&str>; 2]| SpooledChange {
            key,
            place: place.to_owned(),
            expected: values[0].map(str::to_owned),
            actual: values[1].map(str::to_owned),
            ..SpooledChange::default()
        };
        let gone = |at: usize, value| change(1, &format!("$.all[{at}].price"), [Some(value), None]);
        let new =
            |at: usize, value| change(2, &format!("$.all[{at}]['the cost']"), [None, Some(value)]);
        let of = |changes: &[SpooledChange]| moved(changes, &aliases, &stats);
        assert_eq!(of(&[gone(0, "true"), new(0, "true")]), [0, 1]);
        let other = change(3, "$.other", [Some("true"), None]);
        let apart = [gone(1, "null"), other, gone(0, "null"), new(2, "null"), new(0, "null")];
        assert_eq!(of(&apart), [2, 4]);
        let nothing: [usize; 0] = [];
        assert_eq!(of(&[gone(0, "true"), new(0, "false")]), nothing, "another value");
        assert_eq!(of(&[gone(0, "5"), new(0, "5")]), nothing, "a string may have come of a number");
        assert_eq!(of(&[gone(0, "true")]), nothing, "the value is gone");
        assert_eq!(of(&[]), nothing);
    }
}
