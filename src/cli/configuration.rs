//! `shadowtap config`: what holds, and from where: a variable, the file, the default.
//!
//! The settings are those of the file's schema, so that none is forgotten.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::args::variable as variable_of;
use super::config::{self, Config};
use super::exit::printable;
use super::output::print;
use super::policy::GateFlags;
use super::{Exit, Failure, Global, diff};
use crate::gate::Policy;
use crate::run;
use crate::store::shown;

/// Show what holds and from where: a variable, shadowtap.toml, the default
///
/// What it prints is a file of settings itself. Values that may be secret are masked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap config
  SHADOWTAP_TARGET=http://v2.staging:8080 shadowtap config --json \\
      | jq '.settings[] | select(.from != \"default\")'
  # then `#:schema shadowtap.schema.json` in shadowtap.toml:
  shadowtap config --schema > shadowtap.schema.json")]
pub struct ConfigArgs {
    /// Print everything as JSON
    #[arg(help_heading = "Output", long)]
    json: bool,
    /// Print the JSON schema of shadowtap.toml, for editors
    #[arg(help_heading = "Output", long, conflicts_with = "json")]
    schema: bool,
}

/// A setting with its value.
#[derive(Debug, Serialize)]
struct Setting {
    section: String,
    key: String,
    /// None where nothing sets it, and what holds then has no value of its own.
    value: Option<Value>,
    /// The variable's name, the file's path, or `default`.
    from: String,
}

/// The form of `--json`.
#[derive(Debug, Serialize)]
struct ConfigReport {
    format: &'static str,
    version: u32,
    file: Option<PathBuf>,
    settings: Vec<Setting>,
}

pub(super) fn run(
    args: &ConfigArgs,
    whole: &clap::Command,
    global: &Global,
) -> Result<Exit, Failure> {
    if args.schema {
        print(&schema())?;
        return Ok(Exit::Done);
    }
    let file = config::find(global)?;
    // A rule or a limit that is wrong is told here, too, and not only by who would use it.
    let whole_file = Config::load(global)?;
    diff::check(&whole_file, None)?;
    GateFlags::default().policy(&whole_file)?;
    let written: toml::Table = match &file {
        // It has been checked when the command began.
        Some(path) => config::named_apart(&config::text(path)?).parse().unwrap_or_default(),
        None => toml::Table::new(),
    };
    let settings = settings(whole, &written, file.as_ref(), |name| {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    });
    if args.json {
        let report = ConfigReport { format: "shadowtap/config", version: 1, file, settings };
        let text = serde_json::to_string_pretty(&report).expect("settings serialise");
        print(&(text + "\n"))?;
    } else {
        print(&page(&settings, file.as_ref()))?;
    }
    Ok(Exit::Done)
}

/// The JSON schema of `shadowtap.toml`.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Config);
    serde_json::to_string_pretty(&schema).expect("a schema serialises") + "\n"
}

fn settings(
    whole: &clap::Command,
    written: &toml::Table,
    file: Option<&PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<Setting> {
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap_or_default();
    let policy = Policy::default().as_written();
    let mut settings = Vec::new();
    for (section, place) in properties(&schema, &schema) {
        let flags = whole.find_subcommand(if section == "gate" { "run" } else { section });
        for (key, described) in properties(&schema, place) {
            let long = key.replace('_', "-");
            let flag = flags.and_then(|command| {
                command.get_arguments().find(|argument| argument.get_long() == Some(&long))
            });
            let named = flag.and_then(|_| variable_of(&long));
            let of_file = written.get(section).and_then(|section| section.get(key));
            let (value, from) = if let Some((name, value)) =
                named.and_then(|name| variable(&name).map(|value| (name, value)))
            {
                (Some(Value::String(value)), name)
            } else if let (Some(value), Some(file)) = (of_file, file) {
                (serde_json::to_value(value).ok(), file.display().to_string())
            } else {
                // Most limits stand in no flag's help.
                let of_gate = policy.get(key).filter(|value| section == "gate" && is_told(value));
                let value = of_gate.cloned().or_else(|| default(described, flag));
                (value, "default".to_owned())
            };
            let value = value.map(|value| masked(key, value));
            settings.push(Setting { section: section.clone(), key: key.clone(), value, from });
        }
    }
    settings
}

/// The members of an object in a schema, by reference or in place.
fn properties<'s>(
    schema: &'s Value,
    place: &'s Value,
) -> impl Iterator<Item = (&'s String, &'s Value)> {
    let name = place["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
    let place = name.map_or(place, |name| &schema["$defs"][name]);
    place["properties"].as_object().into_iter().flatten()
}

/// What holds where nothing is set: by the schema, else as the flag's help tells it.
fn default(described: &Value, flag: Option<&clap::Arg>) -> Option<Value> {
    if let Some(value) = described.get("default").filter(|value| is_told(value)) {
        return Some(value.clone());
    }
    let help = flag?.get_help()?.to_string();
    let told = help.split("[default: ").nth(1)?.split([']', ';', ',']).next()?;
    Some(Value::String(told.to_owned()))
}

fn is_told(value: &Value) -> bool {
    !value.is_null() && *value != Value::Array(Vec::new())
}

/// Header values and what stands in URLs beside host and path may be secret.
fn masked(key: &str, value: Value) -> Value {
    match value {
        Value::String(text) if key == "header" => Value::String(run::without_value(&text)),
        Value::String(text) => Value::String(shown::without_secrets(&text)),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| masked(key, value)).collect())
        }
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, value)| (name, masked(key, value))).collect(),
        ),
        other => other,
    }
}

/// As a file of settings, with where each comes from behind it; what holds by default is a remark.
fn page(settings: &[Setting], file: Option<&PathBuf>) -> String {
    let mut text = match file {
        Some(path) => format!("# file: {}\n", printable(&path.display().to_string())),
        None => format!("# file: none ({} here or in a folder above)\n", config::DEFAULT_FILE),
    };
    let mut section = "";
    let (set, unset): (Vec<&Setting>, Vec<&Setting>) =
        settings.iter().partition(|setting| !is_table(setting));
    // Tables of tables stand behind their section's plain keys.
    for setting in set.into_iter().chain(unset) {
        if section != setting.section && !is_table(setting) {
            section = &setting.section;
            let _ = writeln!(text, "\n[{section}]");
        }
        let (key, from) = (&setting.key, printable(&setting.from));
        let _ = match &setting.value {
            Some(Value::Array(tables)) if is_table(setting) => {
                for table in tables {
                    let _ = writeln!(text, "\n[[{}.{key}]]  # {from}", setting.section);
                    for (name, value) in table.as_object().into_iter().flatten() {
                        let _ = writeln!(text, "{name} = {}", in_toml(value));
                    }
                }
                Ok(())
            }
            Some(value) if setting.from == "default" => {
                writeln!(text, "# {key} = {}  # default", in_toml(value))
            }
            Some(value) => writeln!(text, "{key} = {}  # {from}", in_toml(value)),
            None => writeln!(text, "# {key}  # not set"),
        };
    }
    text
}

fn is_table(setting: &Setting) -> bool {
    let first = setting.value.as_ref().and_then(|value| value.get(0));
    first.is_some_and(Value::is_object)
}

/// A value as TOML writes it.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", in_toml(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(in_toml).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::command;

    /// `docs/shadowtap.schema.json` is what editors read; UPDATE=1 writes it anew.
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/shadowtap.schema.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, schema()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == schema(), "run: shadowtap config --schema > docs/shadowtap.schema.json");
    }

    #[test]
    fn a_variable_beats_the_file_and_the_file_the_default() {
        let written: toml::Table = "[replay]\nspeed = 2.0\ntarget = \"http://file\"\n\
            header = [\"Authorization: Bearer s3cret\"]\n[[diff.ignore]]\nheader = \"date\"\n"
            .parse()
            .unwrap();
        let file = PathBuf::from("shadowtap.toml");
        let settings = settings(&command(), &written, Some(&file), |name| {
            (name == "SHADOWTAP_TARGET").then(|| "http://u:s3cret@variable/".to_owned())
        });
        let of = |section: &str, key: &str| {
            let found = settings.iter().find(|s| s.section == section && s.key == key);
            let found = found.unwrap_or_else(|| panic!("{section}.{key}"));
            (found.value.clone(), &*found.from)
        };
        assert_eq!(of("replay", "target"), (Some("http://variable/".into()), "SHADOWTAP_TARGET"));
        assert_eq!(of("replay", "speed"), (Some(2.0.into()), "shadowtap.toml"));
        assert_eq!(of("replay", "jitter"), (Some("1s".into()), "default"));
        assert_eq!(of("gate", "min_samples"), (Some(100.into()), "default"));
        assert_eq!(of("gate", "min_seen"), (Some(0.5.into()), "default"));
        assert_eq!(of("gate", "max_lateness_p99"), (Some("5ms".into()), "default"));
        assert_eq!(of("diff", "additions"), (Some("regression".into()), "default"));
        let text = page(&settings, Some(&file));
        assert!(!text.contains("s3cret"), "{text}");
        let again: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again["replay"]["target"].as_str(), Some("http://variable/"));
        assert_eq!(again["diff"]["ignore"][0]["header"].as_str(), Some("date"));
    }
}
