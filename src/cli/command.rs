//! The command line put together: the program and its commands, each of which declares its flags in
//! its own file, and what holds for every flag of them: a variable of the environment, a place in
//! the short help or only in the whole one.

use std::ffi::OsString;

use clap::builder::{Str, ValueParser};
use clap::{
    Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueHint,
};

use super::args::{Global, variable};
#[cfg(target_os = "linux")]
use crate::capture::live;

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
    after_help = "Start with `shadowtap demo`, then `shadowtap run v1.pcap --target URL`. -h is \
        short, --help is whole.",
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
  0    done; v2 passed
  1    v2 failed the gate
  2    the command line or the configuration is wrong
  3    an input or output cannot be used
  4    the target cannot be used
  5    no verdict
  130  interrupted; what was measured until then is on disk"
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order of their use.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Command {
    /// Replay, compare, report and judge in one go.
    #[cfg(target_os = "linux")]
    Run(super::run::RunArgs),
    /// See it all at work: a small shop in two versions.
    #[cfg(target_os = "linux")]
    Demo(super::demo::DemoArgs),
    /// Record live traffic.
    #[cfg(target_os = "linux")]
    Capture(super::capture::CaptureArgs),
    /// Show what captures or recordings hold.
    Inspect(super::inspect::InspectArgs),
    /// Show the values that v1's answers issue and later requests use.
    Flows(super::flows::FlowsArgs),
    /// Show the interfaces that can be captured, or the one that leads to a pod.
    #[cfg(target_os = "linux")]
    Interfaces(super::interfaces::InterfacesArgs),
    /// Rebuild the HTTP exchanges of captures.
    Parse(super::parse::ParseArgs),
    /// Replay recorded requests at v2, with their original timing.
    #[cfg(target_os = "linux")]
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
    /// A command that needs Linux, and what followed it.
    #[cfg(not(target_os = "linux"))]
    #[command(external_subcommand)]
    Elsewhere(Vec<OsString>),
}

/// Flags that `-h` shows, by command; all others only `--help`. A command that is not named shows
/// all of its own.
const NEEDED: &[(&str, &[&str])] = &[
    ("run", REPLAYED),
    ("replay", REPLAYED),
    ("capture", &["interface", "port", "filter", "output", "duration", "rotate-size", "redact"]),
    ("parse", &["output", "port", "keylog", "redact"]),
    ("inspect", &["json", "port", "keylog"]),
    ("flows", &["json", "bind", "port", "keylog"]),
    ("mock", &["listen", "log", "provider", "provider-alias", "timing", "ca-dir", "fault"]),
    ("diff", &["approved", "noise", "excel", "list-ignored"]),
    ("report", &["compare", "history", "excel", "show-secrets"]),
    ("gate", &["json", "max-mismatch-rate", "max-error-rate", "max-p99-ratio", "min-samples"]),
];

/// The flags that most replays need.
const REPLAYED: &[&str] = &[
    "target",
    "output",
    "baseline",
    "include",
    "sample",
    "speed",
    "unsafe-methods",
    "dry-run",
    "wait-ready",
    "mock-listen",
    "max-p99-ratio",
];

/// Flags of all commands that `-h` shows.
const NEEDED_EVERYWHERE: &[&str] = &["quiet", "config", "help"];

/// The whole command line.
pub(super) fn command() -> clap::Command {
    let command = Cli::command()
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(long_version())
        .mut_args(|argument| with_variable(in_help(argument, &[])));
    command.mut_subcommands(|command| {
        let command = with_environment(command);
        let own = NEEDED.iter().find(|(name, _)| *name == command.get_name());
        let own: Option<Vec<String>> =
            own.map(|(_, flags)| flags.iter().map(|&flag| flag.to_owned()).collect());
        command.mut_args(move |argument| {
            let argument = match &own {
                Some(own) => in_help(argument, own),
                None => argument,
            };
            with_hint(with_variable(argument))
        })
    })
}

/// The rule by which flags are set from outside stands in every whole help, once.
fn with_environment(command: clap::Command) -> clap::Command {
    let examples = command.get_after_long_help().or_else(|| command.get_after_help());
    let examples = examples.map(|text| format!("{text}\n\n")).unwrap_or_default();
    command.after_long_help(format!(
        "{examples}Environment:\n  Every flag can be set by a variable: SHADOWTAP_ and its name in \
         capitals, with _ for -\n  (--max-p99-ratio by SHADOWTAP_MAX_P99_RATIO); a switch by true or \
         false. A flag beats it."
    ))
}

/// What a shell completes: by what the value is called. A place in the command line is no flag of a
/// heading.
fn with_hint(argument: Arg) -> Arg {
    let argument = match argument.is_positional() {
        true => argument.help_heading(None::<&'static str>),
        // So that a wrong number is told as one.
        false if argument.get_action().takes_values() => argument.allow_negative_numbers(true),
        false => argument,
    };
    let name = argument.get_value_names().and_then(|names| names.first()).map(Str::as_str);
    let hint = match name {
        Some("INPUT" | "FILE" | "FILE=D") => ValueHint::FilePath,
        Some("DIR") => ValueHint::DirPath,
        Some("DIR|INPUT") => ValueHint::AnyPath,
        Some("URL" | "URL|header|off" | "H=URL") => ValueHint::Url,
        Some("H" | "HOST" | "HOST:PORT") => ValueHint::Hostname,
        Some("USER") => ValueHint::Username,
        _ if argument.get_action().takes_values() => ValueHint::Other,
        _ => return argument,
    };
    argument.value_hint(hint)
}

/// Reads a command line.
pub(super) fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(as_help(arguments))?;
    Cli::from_arg_matches(&matches)
}

/// `shadowtap help [COMMAND]` is `shadowtap [COMMAND] --help`.
fn as_help(arguments: &[OsString]) -> Vec<OsString> {
    match arguments {
        [own, help, rest @ ..] if help == "help" => {
            [std::slice::from_ref(own), rest, &["--help".into()]].concat()
        }
        _ => arguments.to_vec(),
    }
}

/// The short help has one screen: what is not needed by most is in the whole one.
fn in_help(argument: Arg, needed: &[String]) -> Arg {
    let Some(long) = argument.get_long() else { return argument };
    let shown = needed.iter().any(|flag| flag == long) || NEEDED_EVERYWHERE.contains(&long);
    argument.hide_short_help(!shown)
}

fn with_variable(argument: Arg) -> Arg {
    let Some(name) = argument.get_long().and_then(variable) else { return argument };
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    let argument = match is_switch {
        true => argument.value_parser(truth(name.clone())),
        false => argument,
    };
    // CI sets variables to nothing where it has no value for them.
    match std::env::var_os(&name) {
        Some(value) if value.is_empty() => argument,
        _ => argument.env(name).hide_env(true),
    }
}

/// A switch that a variable sets: a typing error must not send requests that change something.
fn truth(variable: String) -> ValueParser {
    ValueParser::from(move |text: &str| match &*text.trim().to_ascii_lowercase() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{variable} is a switch: write true or false (1, 0, yes, no)")),
    })
}

fn long_version() -> String {
    format!(
        "{}\ncommit:  {}\ntarget:  {}\nlibpcap: {}",
        env!("CARGO_PKG_VERSION"),
        env!("SHADOWTAP_COMMIT"),
        env!("SHADOWTAP_BUILD_TARGET"),
        libpcap()
    )
}

#[cfg(target_os = "linux")]
fn libpcap() -> String {
    live::library_version()
}

#[cfg(not(target_os = "linux"))]
fn libpcap() -> &'static str {
    "none, as nothing is captured here"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What people look under.
    const HEADINGS: [&str; 11] = [
        "Target",
        "Which requests",
        "Timing",
        "Connections",
        "Safety",
        "State",
        "Mock",
        "Gate",
        "Input",
        "Output",
        "Global",
    ];

    /// Every command, and those inside some.
    fn commands(within: &clap::Command) -> Vec<clap::Command> {
        let own = within.get_subcommands();
        own.flat_map(|command| [vec![command.clone()], commands(command)].concat()).collect()
    }

    fn flags(command: &clap::Command) -> impl Iterator<Item = &Arg> {
        command.get_arguments().filter(|argument| argument.get_long().is_some())
    }

    #[test]
    fn the_declaration_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_stands_under_a_heading_that_people_know() {
        let mut without = Vec::new();
        for command in commands(&command()) {
            for flag in flags(&command) {
                let heading = flag.get_help_heading().unwrap_or_default();
                let (name, flag) = (command.get_name(), flag.get_id());
                if !HEADINGS.contains(&heading) {
                    without.push(format!("{name} {flag}: {heading:?}"));
                }
            }
        }
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn every_needed_flag_is_there_and_the_short_help_fits_one_screen() {
        let mut whole = command();
        whole.build();
        for (name, needed) in NEEDED {
            let command = whole.find_subcommand(name).unwrap_or_else(|| panic!("no {name}"));
            let known: BTreeSet<&str> = flags(command).filter_map(Arg::get_long).collect();
            let there = needed.iter().filter(|flag| known.contains(*flag)).count();
            let shared = ["mock-listen", "max-p99-ratio"];
            let missing = |flag: &&&str| !known.contains(**flag) && !shared.contains(*flag);
            assert!(there > 0 && needed.iter().find(missing).is_none(), "{name}: {needed:?}");
        }
        for command in whole.get_subcommands_mut() {
            let lines = command.clone().term_width(80).render_help().to_string().lines().count();
            assert!(lines <= 50, "{} -h has {lines} lines", command.get_name());
        }
    }

    #[test]
    fn shells_complete_files_where_files_are_meant() {
        let whole = command();
        let mut without = Vec::new();
        for command in commands(&whole) {
            for argument in command.get_arguments() {
                let name = argument.get_value_names().and_then(|names| names.first());
                let is_path = name.is_some_and(|name| {
                    ["FILE", "DIR", "INPUT"].iter().any(|path| name.split('|').any(|n| n == *path))
                });
                let hint = argument.get_value_hint();
                let offers =
                    matches!(hint, ValueHint::FilePath | ValueHint::DirPath | ValueHint::AnyPath);
                if is_path != offers && name.is_none_or(|name| name.as_str() != "FILE=D") {
                    without.push(format!("{} {}: {hint:?}", command.get_name(), argument.get_id()));
                }
            }
        }
        assert!(without.is_empty(), "{without:#?}");
    }

    #[test]
    fn help_is_a_command_too() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (asked, done) in [
            ("shadowtap help", "shadowtap --help"),
            ("shadowtap help run", "shadowtap run --help"),
            ("shadowtap run help", "shadowtap run help"),
        ] {
            assert_eq!(as_help(&words(asked)), words(done));
        }
    }

    #[test]
    fn every_whole_help_says_how_variables_are_named() {
        for mut command in command().get_subcommands().cloned() {
            let help = command.render_long_help().to_string();
            assert_eq!(
                help.matches("SHADOWTAP_MAX_P99_RATIO").count(),
                1,
                "{}",
                command.get_name()
            );
            let help = command.render_help().to_string();
            assert!(!help.contains("SHADOWTAP_MAX"), "{}", command.get_name());
        }
    }

    #[test]
    fn switches_are_set_by_truth_values_alone() {
        let parser = truth("SHADOWTAP_X".to_owned());
        let parse = |text: &str| {
            let command = clap::Command::new("x");
            let argument = Arg::new("x").long("x").value_parser(parser.clone());
            let found = command.arg(argument).try_get_matches_from(["x", "--x", text]);
            found
                .map(|found| found.get_one::<bool>("x").copied())
                .map_err(|error| error.to_string())
        };
        for (text, value) in
            [("true", true), ("1", true), ("YES", true), ("0", false), ("no", false)]
        {
            assert_eq!(parse(text), Ok(Some(value)), "{text}");
        }
        for text in ["banana", "2", "y n"] {
            assert!(parse(text).is_err_and(|error| error.contains("SHADOWTAP_X")), "{text}");
        }
    }

    #[test]
    fn examples_can_be_copied_where_the_terminal_has_80_columns() {
        let whole = command();
        let mut wrapped = Vec::new();
        for command in [vec![whole.clone()], commands(&whole)].concat() {
            let helps = [command.get_after_help(), command.get_after_long_help()];
            let texts = helps.into_iter().flatten().map(ToString::to_string);
            for text in texts {
                let examples = text.lines().skip_while(|line| !line.starts_with("Example"));
                let examples = examples.skip(1).take_while(|line| line.starts_with(' '));
                wrapped.extend(examples.filter(|line| line.len() > 79).map(str::to_owned));
            }
        }
        assert!(wrapped.is_empty(), "{wrapped:#?}");
    }

    #[test]
    fn each_flag_has_one_variable_of_its_own() {
        for command in command().get_subcommands() {
            let mut seen = BTreeSet::new();
            for name in flags(command).filter_map(|flag| variable(flag.get_long()?)) {
                assert_ne!(name, "SHADOWTAP_REDACT_KEY", "that one holds the key itself");
                assert!(seen.insert(name.clone()), "{name} twice");
            }
        }
    }
}
