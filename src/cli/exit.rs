//! Exit codes and the errors that people see: one line that says what, where and what to do, then
//! the causes.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::review::ReviewError;
use crate::run::RunError;
use crate::store::shown;

/// The exit codes of `CONTRACT`; scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; with a gate: v2 passed.
    Done = 0,
    /// The gate failed: v2 differs or is slower than allowed.
    GateFailed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// An input cannot be used, or an output cannot be written.
    Unusable = 3,
    /// The target cannot be used: never reachable, or refused as unsafe.
    Target = 4,
    /// No verdict: the run is invalid or has too few samples.
    NoVerdict = 5,
    /// Interrupted; what was measured until then is on disk and readable.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended without its result.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line: what, where, and what to do.
    what: String,
    /// The causes, nearest first.
    causes: Vec<String>,
}

impl Failure {
    /// A failure with its line.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), causes: Vec::new() }
    }

    /// Nothing is wrong, and nobody is left to read the result: whoever closed the pipe has seen
    /// enough.
    pub(crate) fn unread() -> Self {
        Self::new(Exit::Done, "")
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_silent(&self) -> bool {
        self.what.is_empty()
    }

    /// Adds an error and what caused it.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many errors print their source as well; once is enough.
            if !self.causes.iter().chain([&self.what]).any(|said| said.contains(&text)) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds what holds nevertheless.
    #[must_use]
    pub(crate) fn but(mut self, what: String) -> Self {
        self.what = format!("{}: {what}", self.what);
        self
    }

    /// The command line or the configuration is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// An input cannot be used or an output cannot be written.
    pub fn unusable(what: impl Into<String>) -> Self {
        Self::new(Exit::Unusable, what)
    }

    /// The target cannot be used.
    pub fn target(what: impl Into<String>) -> Self {
        Self::new(Exit::Target, what)
    }
}

/// The failure of a file that is there and cannot be read.
pub(crate) fn unreadable(path: &Path, error: &dyn Error) -> Failure {
    Failure::unusable(format!("cannot read {}", path.display())).because(error)
}

/// The failure of a file that cannot be written.
pub(crate) fn unwritable(path: &Path, error: &dyn Error) -> Failure {
    Failure::unusable(format!("cannot write {}", path.display())).because(error)
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match error {
            RunError::Taken(_) => Exit::Usage,
            _ => Exit::Unusable,
        };
        Self::new(exit, error.to_string()).because(&error)
    }
}

impl From<ReviewError> for Failure {
    fn from(error: ReviewError) -> Self {
        match error {
            ReviewError::Run(error) => error.into(),
            error => Self::unusable(error.to_string()).because(&error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&shown::in_message(&self.what)))?;
        for cause in &self.causes {
            write!(f, "\n  because: {}", printable(&shown::in_message(cause)))?;
        }
        Ok(())
    }
}

/// `text` without control characters, and without those that turn the direction of writing or
/// cannot be seen, so that nothing from a capture or a file name reaches the terminal raw.
pub fn printable(text: &str) -> String {
    let hidden = |c: char| {
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .flat_map(|c| {
            if c.is_control() || hidden(c) {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        let codes = [
            (Exit::Done, 0),
            (Exit::GateFailed, 1),
            (Exit::Usage, 2),
            (Exit::Unusable, 3),
            (Exit::Target, 4),
            (Exit::NoVerdict, 5),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in codes {
            assert_eq!(exit as u8, code);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let failure = Failure::unusable("cannot read \u{1b}[31mred")
            .because(&std::io::Error::other("bell\u{7}"));
        let text = failure.to_string();
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
        assert!(text.contains("because: bell\\u{7}"), "{text}");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
    }
}
