//! What all commands share of the command line: the flags that each takes, and how sizes and
//! durations are written.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::paint::Color;
use crate::exchange::ExchangeId;
use crate::mode;
use crate::outcome::ReplayId;

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object a line: timestamp, level, message
    Json,
}

/// Flags that every command takes, before or after its name.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global")]
pub struct Global {
    /// Say more on standard error (repeat for more)
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Read settings from this file [default: shadowtap.toml]
    ///
    /// A flag beats the file. Without it, shadowtap.toml here or in a folder above is read, up to the
    /// repository's root.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Who may read what is written, which holds secrets: octal [default: 0600, its owner alone]
    #[arg(long, value_name = "MODE", global = true, value_parser = mode::parse)]
    pub mode: Option<u32>,
    /// Name the fields of Protocol Buffers by the .proto files in this folder, from which imports
    /// start (repeat for more)
    #[arg(long, value_name = "DIR", global = true)]
    pub proto: Vec<PathBuf>,
    /// Name them by this file, which protoc --descriptor_set_out or buf build wrote (repeat for
    /// more)
    #[arg(long, value_name = "FILE", global = true)]
    pub descriptor_set: Vec<PathBuf>,
    /// When to write in colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub color: Color,
    /// How messages on standard error are written: for people, or a JSON object a line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, global = true)]
    pub log_format: LogFormat,
    /// Show help: -h is short, --help is whole
    #[arg(short, long, action = ArgAction::Help, global = true)]
    pub help: Option<bool>,
    /// Show the version: --version with commit, target and libpcap's version
    #[arg(short = 'V', long, action = ArgAction::Version, global = true)]
    pub version: Option<bool>,
}

/// The exchange of an id; a suffix that names a copy of its request, as files of a run have it, may
/// stand behind it.
pub(crate) fn exchange_id(text: &str) -> Result<ExchangeId, String> {
    text.parse::<ReplayId>().map(|id| id.exchange)
}

/// Parses `10MiB`, `64k`, `1500` into bytes. Binary and decimal units; a bare number is bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size: write for example 1500, 64KiB, 10MiB or 2GB");
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number * factor as f64;
    if bytes.is_finite() && bytes < 9e18 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Parses `500ms`, `2h`, `1m30s` into nanoseconds; a bare number is seconds.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a duration: write for example 500ms, 30s, 5m or 2h");
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return if (0.0..9e9).contains(&seconds) {
            Ok((seconds * 1e9) as i64)
        } else {
            Err(wrong())
        };
    }
    let parsed = humantime::parse_duration(text).map_err(|_| wrong())?;
    i64::try_from(parsed.as_nanos()).map_err(|_| wrong())
}

/// The variable that sets a flag; none of what is no setting.
pub(super) fn variable(long: &str) -> Option<String> {
    match long {
        "help" | "version" => None,
        // The key itself is in the variable that this would be.
        "redact-key" => Some("SHADOWTAP_REDACT_KEY_FILE".to_owned()),
        _ => Some(format!("SHADOWTAP_{}", long.replace('-', "_").to_ascii_uppercase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_name_a_copy() {
        let id = ExchangeId { connection: 12, ordinal: 3 };
        assert_eq!((exchange_id("12-3"), exchange_id("12-3@2")), (Ok(id), Ok(id)));
        for text in ["", "12", "12-3@", "12-3@x", "@2"] {
            assert!(exchange_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_durations() {
        for (text, bytes) in [
            ("1500", 1500),
            ("10MiB", 10 << 20),
            ("64k", 65_536),
            ("1.5GB", 1_500_000_000),
            ("2 KiB", 2048),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "ten", "10 parsecs", "-1", "1e99GB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for (text, nanos) in [
            ("500ms", 500_000_000),
            ("2h", 7_200_000_000_000),
            ("3", 3_000_000_000),
            ("1m30s", 90_000_000_000),
        ] {
            assert_eq!(duration_ns(text), Ok(nanos), "{text}");
        }
        for text in ["", "soon", "-5s", "5 lightyears", "-1"] {
            assert!(duration_ns(text).is_err(), "{text}");
        }
    }
}
