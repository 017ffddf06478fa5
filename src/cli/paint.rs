//! Whether to write in colour: by `--color`, by the environment, by who reads it.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::OnceLock;

use clap::ValueEnum;

use crate::report::terminal::{Colour, Look, WIDTH, WIDTHS};

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Also into files and pipes
    Always,
    /// Nowhere
    Never,
}

static ASKED: OnceLock<Color> = OnceLock::new();

impl Color {
    /// What a command line asks for, before it is known to be right: errors are in colour too.
    pub(super) fn of(arguments: &[OsString]) -> Self {
        let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        let after = |index: usize| texts.get(index + 1).map(|text| &**text);
        let asked = texts.iter().enumerate().rev().find_map(|(index, text)| match &**text {
            "--color" => after(index),
            text => text.strip_prefix("--color="),
        });
        let variable = std::env::var("SHADOWTAP_COLOR").ok();
        asked
            .or(variable.as_deref())
            .and_then(|word| Self::from_str(word, false).ok())
            .unwrap_or_default()
    }

    /// Whether a stream is written in colour. `NO_COLOR` beats the variables that force it.
    fn paints(self, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        let says = |name: &str| variable(name).filter(|value| !value.is_empty());
        let forces = |name: &str| says(name).is_some_and(|value| value != "0");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if says("NO_COLOR").is_some() => false,
            Self::Auto if forces("FORCE_COLOR") || forces("CLICOLOR_FORCE") => true,
            Self::Auto if says("CLICOLOR").is_some_and(|value| value == "0") => false,
            Self::Auto => is_terminal && says("TERM").is_none_or(|terminal| terminal != "dumb"),
        }
    }
}

/// Keeps what the command line asks for.
pub(super) fn keep(color: Color) {
    // Only the program's start says it, and it says it once.
    let _ = ASKED.set(color);
}

fn paints(is_terminal: bool) -> bool {
    let asked = ASKED.get().copied().unwrap_or_default();
    asked.paints(is_terminal, |name| std::env::var(name).ok())
}

/// Whether messages on standard error are in colour.
pub(super) fn on_stderr() -> bool {
    paints(std::io::stderr().is_terminal())
}

/// Whether results on standard output are in colour.
pub(super) fn on_stdout() -> bool {
    paints(std::io::stdout().is_terminal())
}

/// The same for a report's lines.
pub(crate) fn colour() -> Colour {
    if on_stdout() { Colour::On } else { Colour::Off }
}

/// How the end of a run is shown on standard output.
pub(super) fn look() -> Look {
    Look { width: columns(WIDTH), colour: colour() }
}

/// The columns of the terminal, or those that `COLUMNS` says, within what is used; `usual` where
/// nobody knows.
pub(super) fn columns(usual: usize) -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    let own = || rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let columns = asked.or_else(|| own().map(|size| usize::from(size.ws_col)));
    columns.filter(|&n| n > 0).unwrap_or(usual).clamp(*WIDTHS.start(), *WIDTHS.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_where_no_flag_does() {
        let paints = |color: Color, terminal: bool, variables: &[(&str, &str)]| {
            let found = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned())
            };
            color.paints(terminal, found)
        };
        assert!(paints(Color::Auto, true, &[]) && !paints(Color::Auto, false, &[]));
        assert!(!paints(Color::Auto, true, &[("NO_COLOR", "1")]));
        assert!(paints(Color::Auto, true, &[("NO_COLOR", "")]));
        for name in ["FORCE_COLOR", "CLICOLOR_FORCE"] {
            assert!(paints(Color::Auto, false, &[(name, "1")]));
            assert!(!paints(Color::Auto, false, &[(name, "0")]));
            assert!(!paints(Color::Auto, false, &[(name, "1"), ("NO_COLOR", "1")]));
            assert!(!paints(Color::Never, true, &[(name, "1")]));
        }
        assert!(!paints(Color::Auto, true, &[("CLICOLOR", "0")]));
        assert!(!paints(Color::Auto, true, &[("TERM", "dumb")]));
        assert!(paints(Color::Always, false, &[("NO_COLOR", "1")]));
    }

    #[test]
    fn the_last_color_of_a_command_line_counts() {
        let of = |words: &[&str]| Color::of(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of(&["shadowtap", "--color", "never", "run"]), Color::Never);
        assert_eq!(of(&["shadowtap", "--color=never", "run", "--color=always"]), Color::Always);
        assert_eq!(of(&["shadowtap", "run", "--color"]), Color::Auto);
    }
}
