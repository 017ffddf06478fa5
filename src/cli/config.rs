//! `shadowtap.toml`: read once, checked by type; an unknown key is an error that names it and the
//! nearest known one.
//!
//! Each section's type belongs to the stage that it configures.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Failure, Global};
use crate::message::protobuf::Schema;

/// The file that is read where `--config` names none.
pub const DEFAULT_FILE: &str = "shadowtap.toml";

/// The settings of shadowtap, as `shadowtap.toml` holds them.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// `[capture]`
    pub capture: crate::capture::config::CaptureSection,
    /// `[messages]`
    pub messages: MessageSchemas,
    /// What `[messages]` or the flags in its place name.
    #[serde(skip)]
    pub schema: Schema,
    /// `[mock]`
    pub mock: crate::mock::MockConfig,
    /// `[replay]`
    pub replay: crate::replay::config::ReplaySection,
    /// `[flow]`
    pub flow: crate::bind::config::FlowSection,
    /// How answers are compared.
    pub diff: crate::diff::rules::DiffConfig,
    /// What v2 is allowed.
    pub gate: crate::gate::Policy,
}

/// Where the schemas of messages are.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSchemas {
    /// As `--proto`.
    pub proto: Vec<PathBuf>,
    /// As `--descriptor-set`.
    pub descriptor_set: Vec<PathBuf>,
}

impl MessageSchemas {
    /// The schema that the flags name, else the file.
    fn schema(&self, global: &Global) -> Result<Schema, Failure> {
        let given = !global.proto.is_empty() || !global.descriptor_set.is_empty();
        let loaded = match given {
            true => Schema::load(&global.proto, &global.descriptor_set),
            false => Schema::load(&self.proto, &self.descriptor_set),
        };
        loaded.map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => Failure::usage(error.to_string()).because(&cause),
            None => Failure::usage(error.to_string()),
        })
    }
}

impl Config {
    /// Reads the file that [`find`] finds; where there is none, the defaults hold.
    pub fn load(global: &Global) -> Result<Self, Failure> {
        let mut config = match find(global)? {
            Some(path) => Self::parse(&text(&path)?, &path)?,
            None => Self::default(),
        };
        config.schema = config.messages.schema(global)?;
        Ok(config)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        toml::from_str(&named_apart(text)).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let message = error.message();
            let hint = nearest_key(message)
                .map(|key| format!("; did you mean `{key}`?"))
                .unwrap_or_default();
            Failure::usage(format!("{}: line {line}: {message}{hint}", path.display()))
        })
    }
}

/// The text with `[[flow.bind]]` under a name of its own. In `[flow]` the key `bind` says how sure
/// a flow must be, and TOML lets no key be a value and a list of tables.
pub(super) fn named_apart(text: &str) -> Cow<'_, str> {
    const WRITTEN: &str = "[[flow.bind]]";
    if !text.contains(WRITTEN) {
        return Cow::Borrowed(text);
    }
    let line = |line: &str| match line.trim_start().starts_with(WRITTEN) {
        true => line.replacen(WRITTEN, "[[flow.bind_rule]]", 1),
        false => line.to_owned(),
    };
    Cow::Owned(text.split_inclusive('\n').map(line).collect())
}

/// The file that is read: the one that `--config` names, else the nearest [`DEFAULT_FILE`] here or
/// in a folder above, up to the root of the repository. Outside of a repository only this folder
/// counts, so that nobody's file in `/tmp` is taken for one's own.
pub(super) fn find(global: &Global) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = &global.config {
        return Ok(Some(path.clone()));
    }
    let here = PathBuf::from(DEFAULT_FILE);
    if here.exists() {
        return Ok(Some(here));
    }
    let folder = std::env::current_dir()
        .map_err(|error| Failure::usage("cannot tell the working folder").because(&error))?;
    Ok(above(&folder))
}

fn above(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join(".git").exists();
    let root = folder.ancestors().find(is_root)?;
    let within = folder.ancestors().take_while(|folder| folder.starts_with(root));
    within.map(|folder| folder.join(DEFAULT_FILE)).find(|path| path.exists())
}

/// The file's text.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read the configuration {}", path.display())).because(&error)
    })
}

/// From serde's "unknown field `x`, expected one of `a`, `b`": the known key nearest to the unknown
/// one.
fn nearest_key(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted.max_by(|a, b| {
        strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_have_a_class_and_rules() {
        let text = "[flow]\nbind = \"likely\"\n[[flow.bind]]\nfrom = { place = \"$.a\" }\n\
                    [[ flow.never ]]\nname = \"x\"\n";
        let config = Config::parse(text, Path::new("f.toml")).expect("it is right");
        assert_eq!(config.flow.level(), crate::bind::config::Bind::Likely);
        assert_eq!((config.flow.bind_rules().count(), config.flow.never.len()), (1, 1));
        let text = "[flow]\nmax_unbound = 0.1\n";
        let error = Config::parse(text, Path::new("f.toml")).expect_err("a wrong key");
        let said = error.to_string();
        assert!(said.contains("f.toml: line 2") && said.contains("`max_unbound_rate`?"), "{said}");
    }

    #[test]
    fn the_file_is_looked_for_up_to_the_repositorys_root() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("repository");
        let deep = root.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(outside.path().join(DEFAULT_FILE), "").unwrap();
        assert_eq!(above(&deep), None, "this is no repository");
        std::fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(above(&deep), None, "what is above the root is not of it");
        std::fs::write(root.join(DEFAULT_FILE), "").unwrap();
        assert_eq!(above(&deep), Some(root.join(DEFAULT_FILE)));
        std::fs::write(root.join("a").join(DEFAULT_FILE), "").unwrap();
        assert_eq!(above(&deep), Some(root.join("a").join(DEFAULT_FILE)));
    }

    #[test]
    fn the_nearest_key_is_named() {
        let message = "unknown field `max_mismatchrate`, expected one of `max_error_rate`, \
            `max_mismatch_rate`, `min_samples`";
        assert_eq!(nearest_key(message), Some("max_mismatch_rate"));
        assert_eq!(nearest_key("expected a string"), None);
    }
}
