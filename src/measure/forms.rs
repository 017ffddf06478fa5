//! Forms in which figures are kept on disk, where they are not those of their types.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize as _, Deserializer, Serializer};

use crate::exchange::Completeness;

/// Reads counts by completeness, whose names are the program's own.
pub(super) fn by_completeness<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    let counts = BTreeMap::<Completeness, u64>::deserialize(deserializer)?;
    Ok(counts.into_iter().map(|(of, count)| (of.name(), count)).collect())
}

/// Writes a text that is shared.
pub(super) fn write_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Reads one.
pub(super) fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}
