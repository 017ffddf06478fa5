//! `routes.json`: learned routes written and read, so that commands that come later name requests
//! alike.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::segment::{RouteSegment, extension, literal_class};
use super::{MAX_SEGMENTS, ROOT, Routes, SLUG_ID, slug_key};

/// The format's name in `routes.json`.
const FORMAT: &str = "shadowtap/routes";

#[derive(Serialize, Deserialize)]
struct RouteFile {
    format: String,
    version: u32,
    patterns: Vec<String>,
    /// Learned routes as method and keys; more than their names, since `{n}` and `{id}` are one in
    /// a name.
    learned: Vec<(String, Vec<String>)>,
    /// The names, for people.
    #[serde(default)]
    routes: Vec<String>,
}

impl Serialize for Routes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut learned: Vec<_> = self.ends().collect();
        learned.sort();
        RouteFile {
            format: FORMAT.to_owned(),
            version: 1,
            patterns: self.patterns.iter().map(|pattern| pattern.text().to_owned()).collect(),
            learned,
            routes: self.names(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = RouteFile::deserialize(deserializer)?;
        if file.format != FORMAT || file.version > 1 {
            return Err(serde::de::Error::custom(format!(
                "not {FORMAT:?} of version 1: {:?} {}",
                file.format, file.version
            )));
        }
        let patterns = file
            .patterns
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)?;
        let mut routes = Self::new(patterns);
        for (method, keys) in &file.learned {
            let mut node = ROOT;
            for key in keys.iter().take(MAX_SEGMENTS) {
                let place = &mut routes.nodes[node as usize];
                let key = match key.strip_prefix(SLUG_ID) {
                    None => Cow::Borrowed(key.as_str()),
                    Some(extension) => {
                        place.groups.entry(extension.into()).or_default().ids = true;
                        Cow::Owned(slug_key(extension))
                    }
                };
                if let Some(extension) = key.strip_prefix("{slug}") {
                    // Words that went their own way stay; the rest of the group is merged.
                    place.groups.entry(extension.into()).or_default().slugs_merged = true;
                }
                node = match place.children.get(&*key) {
                    Some(&child) => child,
                    None => routes.make(node, key.into()),
                };
            }
            let method = routes.method(method.as_bytes());
            routes.nodes[node as usize].ends.push((method, Arc::from("")));
        }
        for node in &mut routes.nodes {
            let words: Vec<Box<str>> =
                node.children.keys().filter(|key| !key.starts_with('{')).cloned().collect();
            for (behind, group) in &mut node.groups {
                // A group whose words are all gone was merged whole.
                let any = words.iter().any(|key| {
                    extension(key) == &**behind && literal_class(key) == RouteSegment::Word
                });
                group.words_merged = group.slugs_merged && !any;
            }
            for key in words {
                let group = node.groups.entry(extension(&key).into()).or_default();
                *(if literal_class(&key) == RouteSegment::Word {
                    &mut group.words
                } else {
                    &mut group.slugs
                }) += 1;
            }
        }
        routes.settle();
        Ok(routes)
    }
}
