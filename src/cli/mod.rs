//! The commands: arguments as declared, settings as checked, one file per command.
//!
//! A command prints its result on standard output and all else on standard error, and returns an
//! [`Exit`] or a [`Failure`].

pub mod approve;
pub mod args;
pub mod capture;
pub mod config;
pub mod demo;
pub mod diff;
mod evidence;
pub mod exit;
pub mod folder;
pub mod gate;
pub mod input;
pub mod inspect;
mod interfaces;
pub mod merge;
pub mod mock;
mod output;
pub mod parse;
pub mod progress;
pub mod redaction;
pub mod replay;
pub mod report;
pub mod run;
mod shown;
mod signals;

use std::ffi::OsString;

use clap::Parser as _;

pub use args::{Cli, Command, Global};
pub use exit::{Exit, Failure};

use crate::mode;

/// Runs the program for `arguments` (the first is its own name).
#[expect(clippy::print_stderr, reason = "the one place that reports how a command ended")]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to standard output with code 0, and errors to standard
            // error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    start_logging(&cli.global);
    mode::keep(cli.global.mode.unwrap_or(mode::OWNER_ALONE));
    match dispatch(cli) {
        Ok(exit) => exit,
        // Once a signal has come, inputs end early; what fails by that is no fault of theirs.
        Err(failure) if signals::has_come() && failure.exit != Exit::Interrupted => {
            eprintln!("shadowtap: interrupted: {failure}");
            Exit::Interrupted
        }
        Err(failure) => {
            if !failure.is_silent() {
                eprintln!("shadowtap: {failure}");
            }
            failure.exit
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    // Also for commands that take nothing from it: a configuration that is wrong is said at once.
    config::Config::load(&cli.global)?;
    // A capture gives its privileges away before it starts a thread, and ends by itself.
    if !matches!(cli.command, Command::Capture(_)) {
        signals::watch()?;
    }
    match cli.command {
        Command::Capture(args) => capture::run(args, &cli.global),
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Interfaces(args) => interfaces::run(&args),
        Command::Parse(args) => parse::run(args, &cli.global),
        Command::Replay(args) => replay::run(args, &cli.global),
        Command::Diff(args) => diff::run(args, &cli.global),
        Command::Approve(args) => approve::run(args, &cli.global),
        Command::Gate(args) => gate::run(args, &cli.global),
        Command::Merge(args) => merge::run(args, &cli.global),
        Command::Report(args) => report::run(args, &cli.global),
        Command::Run(args) => run::run(args, &cli.global),
        Command::Mock(args) => mock::run(args, &cli.global),
        Command::Demo(args) => demo::run(args, &cli.global),
    }
}

/// `-v` shows what is done, `-vv` how; `-q` shows errors only.
fn start_logging(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (false, 1) => tracing::Level::INFO,
        (false, 2) => tracing::Level::DEBUG,
        (false, _) => tracing::Level::TRACE,
    };
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none(),
        )
        .try_init();
}
