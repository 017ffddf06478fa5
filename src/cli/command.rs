//! The command line put together: what is declared, and what holds for every flag of it: a variable
//! of the environment, a place in the short help or only in the whole one.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use crate::capture::live;

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
        let own = NEEDED.iter().find(|(name, _)| *name == command.get_name());
        let own: Option<Vec<String>> =
            own.map(|(_, flags)| flags.iter().map(|&flag| flag.to_owned()).collect());
        command.mut_args(move |argument| {
            let argument = match &own {
                Some(own) => in_help(argument, own),
                None => argument,
            };
            with_variable(argument)
        })
    })
}

/// Reads a command line.
pub(super) fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The short help has one screen: what is not needed by most is in the whole one.
fn in_help(argument: Arg, needed: &[String]) -> Arg {
    let Some(long) = argument.get_long() else { return argument };
    let shown = needed.iter().any(|flag| flag == long) || NEEDED_EVERYWHERE.contains(&long);
    argument.hide_short_help(!shown)
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

fn with_variable(argument: Arg) -> Arg {
    let Some(name) = argument.get_long().and_then(variable) else { return argument };
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    let argument =
        if is_switch { argument.value_parser(FalseyValueParser::new()) } else { argument };
    // CI sets variables to nothing where it has no value for them.
    match std::env::var_os(&name) {
        Some(value) if value.is_empty() => argument,
        _ => argument.env(name).hide_env(true),
    }
}

fn long_version() -> String {
    format!(
        "{}\ncommit:  {}\ntarget:  {}\nlibpcap: {}",
        env!("CARGO_PKG_VERSION"),
        env!("SHADOWTAP_COMMIT"),
        env!("SHADOWTAP_BUILD_TARGET"),
        live::library_version()
    )
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
            let lines = command.render_help().to_string().lines().count();
            assert!(lines <= 50, "{} -h has {lines} lines", command.get_name());
        }
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
