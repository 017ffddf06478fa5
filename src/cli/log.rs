//! What is said on standard error: levels by `-v`, `-q` and `RUST_LOG`, for people or as JSON.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::LogFormat;
use super::{Failure, Global, paint};

/// Starts logging. `-v` shows what is done, `-vv` how, `-q` errors only; where there is neither,
/// `RUST_LOG` chooses.
pub(super) fn start(global: &Global) {
    let (filter, wrong) = filter(global, std::env::var("RUST_LOG").ok().as_deref());
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, in tests, changes nothing.
    let _ = match global.log_format {
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_target(false)
                    .without_time()
                    .with_ansi(paint::on_stderr()),
            )
            .try_init(),
    };
    if let Some(wrong) = wrong {
        tracing::warn!(
            "RUST_LOG={wrong}: not understood: write for example info or shadowtap=debug"
        );
    }
}

/// What passes, and a `RUST_LOG` that is none.
fn filter(global: &Global, variable: Option<&str>) -> (Targets, Option<String>) {
    let usual = match (global.quiet, global.verbose, global.log_format) {
        (true, ..) => LevelFilter::ERROR,
        (false, 0, LogFormat::Text) => LevelFilter::WARN,
        (false, 0, LogFormat::Json) | (false, 1, _) => LevelFilter::INFO,
        (false, 2, _) => LevelFilter::DEBUG,
        (false, ..) => LevelFilter::TRACE,
    };
    let usual = Targets::new().with_default(usual);
    let is_silent = global.quiet || global.verbose > 0;
    match variable.filter(|text| !is_silent && !text.trim().is_empty()) {
        None => (usual, None),
        Some(text) => match text.parse::<Targets>() {
            Ok(targets) => (targets, None),
            Err(_) => (usual, Some(text.to_owned())),
        },
    }
}

/// Says what is going on, unless `-q`.
#[expect(clippy::print_stderr, reason = "the one place that tells people what is going on")]
pub(super) fn say(global: &Global, text: &str) {
    match global.log_format {
        _ if global.quiet => {}
        LogFormat::Text => eprintln!("{text}"),
        LogFormat::Json => tracing::info!("{text}"),
    }
}

/// Says what is wrong with a command line, before anything is known of it.
#[expect(clippy::print_stderr, reason = "there is no logging yet")]
pub(super) fn complain(text: &str) {
    eprint!("{text}");
}

/// Says why a command ended without its result.
#[expect(clippy::print_stderr, reason = "the one place that reports how a command ended")]
pub(super) fn fail(format: LogFormat, before: &str, failure: &Failure) {
    match format {
        LogFormat::Text => eprintln!("shadowtap: {before}{failure}"),
        LogFormat::Json => tracing::error!("{before}{failure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &Targets, level: tracing::Level) -> bool {
        filter.would_enable("shadowtap::parse", &level)
    }

    #[test]
    fn a_flag_beats_the_variable_and_a_wrong_variable_is_named() {
        let global = |quiet, verbose| Global { quiet, verbose, ..Global::default() };
        let (plain, _) = filter(&global(false, 0), None);
        assert!(passes(&plain, tracing::Level::WARN) && !passes(&plain, tracing::Level::INFO));
        let (asked, _) = filter(&global(false, 0), Some("shadowtap=debug"));
        assert!(passes(&asked, tracing::Level::DEBUG));
        let (quiet, _) = filter(&global(true, 0), Some("trace"));
        assert!(!passes(&quiet, tracing::Level::WARN));
        let (_, wrong) = filter(&global(false, 0), Some("a=b=c"));
        assert_eq!(wrong.as_deref(), Some("a=b=c"));
    }
}
