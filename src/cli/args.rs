//! The command line as declared: the program, what all commands share, and how sizes and durations
//! are written. Each command declares its own flags in its own file; `command` puts them together.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::log::LogFormat;
use super::paint::Color;
use crate::mode;

/// Replaces a live shadow deployment by an offline one: capture v1's traffic, replay it at v2,
/// compare, judge.
#[derive(Debug, Parser)]
#[command(
    name = "shadowtap",
    propagate_version = true,
    arg_required_else_help = true,
    disable_help_flag = true,
    disable_version_flag = true,
    max_term_width = 110,
    after_help = "Start with `shadowtap demo`, then `shadowtap run v1.pcap --target URL`. -h is short, --help is whole.",
    after_long_help = "\
Examples:
  shadowtap demo
  shadowtap capture -i eth0 --port 8080 -o v1.pcap --duration 10m
  shadowtap run v1.pcap --target http://v2.staging:8080 -o reports/v2

Environment:
  Every flag can be set by a variable: --target by SHADOWTAP_TARGET, --max-p99-ratio by
  SHADOWTAP_MAX_P99_RATIO; a switch by 1, 0, true or false. A flag beats its variable, a variable
  beats shadowtap.toml, the file beats the default. `shadowtap config` shows what holds.
  SHADOWTAP_REDACT_KEY holds the key of redaction itself, SHADOWTAP_REDACT_KEY_FILE names its file.
  NO_COLOR, FORCE_COLOR and CLICOLOR_FORCE choose colours, RUST_LOG what is logged.

Exit codes:
  0 done, v2 passed   1 v2 failed the gate   2 wrong command line or configuration
  3 an input or output cannot be used   4 the target cannot be used   5 no verdict
  130 interrupted; what was measured until then is on disk"
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
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
    /// Read settings from this file (a flag beats the file) [default: shadowtap.toml here or in a
    /// folder above, up to the repository's root]
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

/// The commands, in the order of their use.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Command {
    /// Replay, compare, report and judge in one go.
    Run(super::run::RunArgs),
    /// See it all at work: a small shop in two versions.
    Demo(super::demo::DemoArgs),
    /// Record live traffic.
    Capture(super::capture::CaptureArgs),
    /// Show what captures or recordings hold.
    Inspect(super::inspect::InspectArgs),
    /// Show the values that v1's answers issue and later requests use.
    Flows(super::flows::FlowsArgs),
    /// Show the interfaces that can be captured, or the one that leads to a pod.
    Interfaces(super::interfaces::InterfacesArgs),
    /// Rebuild the HTTP exchanges of captures.
    Parse(super::parse::ParseArgs),
    /// Replay recorded requests at v2, with their original timing.
    Replay(super::replay::ReplayArgs),
    /// Look at exchanges of a run: both answers side by side.
    Show(super::show::ShowArgs),
    /// Answer v2's outgoing calls from the recording.
    Mock(super::mock::MockArgs),
    /// Compare what v2 answered with what v1 answered.
    Diff(super::diff::DiffArgs),
    /// Write a run's report.
    Report(super::report::ReportArgs),
    /// Judge a run by the policy.
    Gate(super::gate::GateArgs),
    /// Accept an intended difference, with a reason.
    Approve(super::approve::ApproveArgs),
    /// Add the results of shards to one run.
    Merge(super::merge::MergeArgs),
    /// Write recorded exchanges for another tool.
    Export(super::export::ExportArgs),
    /// Show what holds and from where: a variable, shadowtap.toml, the default.
    Config(super::configuration::ConfigArgs),
    /// Print the completions of a shell.
    Completions(super::completions::CompletionsArgs),
    /// Write the manual pages.
    Man(super::man::ManArgs),
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

#[cfg(test)]
mod tests {
    use super::*;

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
