//! The commands: arguments as declared, settings as checked, one file per command.
//!
//! A command prints its result on standard output and all else on standard error, and returns an
//! [`Exit`] or a [`Failure`].

mod account;
pub mod approve;
pub mod args;
#[cfg(target_os = "linux")]
pub mod capture;
mod command;
pub mod completions;
pub mod config;
pub mod configuration;
#[cfg(target_os = "linux")]
pub mod demo;
pub mod diff;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
pub mod exit;
pub mod export;
pub mod flows;
pub mod gate;
mod history;
mod input;
pub mod inspect;
#[cfg(target_os = "linux")]
mod interfaces;
mod log;
mod man;
pub mod merge;
mod metrics;
pub mod mock;
mod output;
mod paint;
pub mod parse;
mod policy;
pub mod progress;
mod reading;
pub mod redaction;
mod remote;
#[cfg(target_os = "linux")]
pub mod replay;
pub mod report;
#[cfg(target_os = "linux")]
pub mod run;
pub mod show;
mod signals;

use std::ffi::OsString;

use clap::error::ErrorKind;

pub use args::Global;
pub use command::{Cli, Command};
pub use exit::{Exit, Failure};

use crate::mode;

/// Runs the program for `arguments` (the first is its own name).
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    paint::keep(paint::Color::of(&arguments));
    let cli = match command::read(&arguments) {
        Ok(cli) => cli,
        Err(error) => return no_command(&error, &arguments),
    };
    log::start(&cli.global);
    let format = cli.global.log_format;
    mode::keep(cli.global.mode.unwrap_or(mode::OWNER_ALONE));
    match dispatch(cli) {
        Ok(exit) => exit,
        // Once a signal has come, inputs end early; what fails by that is no fault of theirs.
        Err(failure) if signals::has_come() && failure.exit != Exit::Interrupted => {
            log::fail(format, "interrupted: ", &failure);
            Exit::Interrupted
        }
        Err(failure) => {
            if !failure.is_silent() {
                log::fail(format, "", &failure);
            }
            failure.exit
        }
    }
}

/// Help and version go to standard output and end with 0, errors to standard error, in one line as
/// all of them.
fn no_command(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let named = arguments.iter().skip(1).find(|argument| argument.to_str().is_none());
    if let Some(named) = named.filter(|_| error.kind() == ErrorKind::InvalidUtf8) {
        log::complain(&format!(
            "shadowtap: {named:?} is not UTF-8: rename it, or name it by a link (ln -s)\n"
        ));
        return Exit::Usage;
    }
    let paints = if error.use_stderr() { paint::on_stderr() } else { paint::on_stdout() };
    let text = error.render();
    let shown = if paints { text.ansi().to_string() } else { text.to_string() };
    if !error.use_stderr() {
        return output::print(&shown).map_or_else(|failure| failure.exit, |()| Exit::Done);
    }
    // Who gives no command at all is shown what there is.
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    log::complain(&if is_help { shown } else { in_one_line(&text.to_string(), &shown) });
    Exit::Usage
}

/// A complaint of several paragraphs as one line, without the usage that `--help` tells. `shown` is
/// the same text, perhaps in colour.
fn in_one_line(plain: &str, shown: &str) -> String {
    let paragraphs = plain.trim_end().split("\n\n").zip(shown.trim_end().split("\n\n"));
    let told = paragraphs.filter(|(plain, _)| !plain.starts_with("Usage:")).map(|(_, shown)| {
        let lines: Vec<&str> = shown.lines().map(str::trim).collect();
        lines.join(" ")
    });
    let told: Vec<String> = told.collect();
    let line = told.join("; ").replacen("error:", "shadowtap:", 1);
    line.replacen("; For more information, try", "; try", 1).trim_end_matches('.').to_owned() + "\n"
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    // Also for commands that take nothing from it: a configuration that is wrong is said at once.
    config::Config::load(&cli.global)?;
    // A capture gives its privileges away before it starts a thread, and ends by itself.
    #[cfg(target_os = "linux")]
    if !matches!(cli.command, Command::Capture(_)) {
        signals::watch()?;
    }
    #[cfg(not(target_os = "linux"))]
    signals::watch()?;
    match cli.command {
        #[cfg(target_os = "linux")]
        Command::Capture(args) => capture::run(args, &cli.global),
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Flows(args) => flows::run(args, &cli.global),
        #[cfg(target_os = "linux")]
        Command::Interfaces(args) => interfaces::run(&args),
        Command::Parse(args) => parse::run(args, &cli.global),
        #[cfg(target_os = "linux")]
        Command::Replay(args) => replay::run(args, &cli.global),
        Command::Diff(args) => diff::run(args, &cli.global),
        Command::Approve(args) => approve::run(args, &cli.global),
        Command::Gate(args) => gate::run(args, &cli.global),
        Command::Merge(args) => merge::run(args, &cli.global),
        Command::Report(args) => report::run(args, &cli.global),
        #[cfg(target_os = "linux")]
        Command::Run(args) => run::run(args, &cli.global),
        Command::Show(args) => show::run(args, &cli.global),
        Command::Mock(args) => mock::run(args, &cli.global),
        #[cfg(target_os = "linux")]
        Command::Demo(args) => demo::run(args, &cli.global),
        Command::Export(args) => export::run(args, &cli.global),
        Command::Config(args) => configuration::run(&args, &command::command(), &cli.global),
        Command::Completions(args) => completions::run(&args, command::command()),
        Command::Man(args) => man::run(&args, command::command()),
        #[cfg(not(target_os = "linux"))]
        Command::Elsewhere(words) => elsewhere::run(&words),
    }
}
