//! SIGINT and SIGTERM: the first ends the command within a second, the second at once.
//!
//! One word ([`Stop`]) is told of them. What measures (a capture, a parse, a replay, a mock) asks
//! for [`Grace`], hears the word and ends by itself, with everything on disk. What only computes
//! can be done again: it is ended where it stands, its unfinished files are taken away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Exit, Failure};
use crate::run;
use crate::stop::Stop;
use crate::store::local;

/// How long what has asked for it may take to end by itself.
const GRACE: Duration = Duration::from_millis(750);

/// How long a second signal is taken for the first one: `timeout` and others send it to the program
/// and to its group.
const TWIN: Duration = Duration::from_millis(100);

/// How often a word that no signal told is looked at: the command is about to end anyway.
const LOOK: Duration = Duration::from_millis(50);

static WORD: OnceLock<Arc<Stop>> = OnceLock::new();
/// Set by signals only: a stage tells the word too, where it is at its end or cannot go on.
static SIGNALLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// The next signal ends the program at once.
static LAST: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static ASKED_FOR_GRACE: AtomicUsize = AtomicUsize::new(0);

/// The word, which signals tell from the first call on.
pub(crate) fn word() -> Result<Arc<Stop>, Failure> {
    let cannot =
        |error: std::io::Error| Failure::unusable("cannot listen for signals").because(&error);
    if let Some(word) = WORD.get() {
        return Ok(Arc::clone(word));
    }
    let word = Stop::new().map_err(cannot)?;
    let signalled = SIGNALLED.get_or_init(Arc::default);
    let last = LAST.get_or_init(Arc::default);
    let register = |signal| {
        let (told, mouth) = word.for_signal()?;
        // Not by the word itself: a stage that told it, as a capture does at the end of its time,
        // is given what the first signal gives.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            Exit::Interrupted as i32,
            Arc::clone(last),
        )?;
        signal_hook::flag::register(signal, told)?;
        signal_hook::flag::register(signal, Arc::clone(signalled))?;
        signal_hook::low_level::pipe::register(signal, mouth)
    };
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        register(signal).map_err(cannot)?;
    }
    // Where a file may grow no further (`ulimit -f`) the write fails, as on a full disk.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map_err(cannot)?;
    Ok(Arc::clone(WORD.get_or_init(|| word)))
}

/// Whether a signal has come.
pub(crate) fn has_come() -> bool {
    SIGNALLED.get().is_some_and(|signalled| signalled.load(Ordering::Relaxed))
}

/// Starts the thread that ends the program where it does not end by itself.
pub(crate) fn watch() -> Result<(), Failure> {
    let word = word()?;
    let watch = move || {
        wait_for_first(&word);
        if ASKED_FOR_GRACE.load(Ordering::Relaxed) > 0 {
            hear_last();
            std::thread::sleep(GRACE - TWIN);
        }
        local::discard_unfinished();
        run::discard_unfinished();
        // Nothing that other threads hold is waited for.
        signal_hook::low_level::exit(Exit::Interrupted as i32);
    };
    start(watch)
}

/// Starts the thread behind which a second signal ends the program at once; where there is no
/// [`watch`], as a capture ends by itself.
pub(crate) fn watch_for_second() -> Result<(), Failure> {
    let word = word()?;
    start(move || {
        wait_for_first(&word);
        hear_last();
    })
}

fn start(watch: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .map(drop)
        .map_err(|error| Failure::unusable("cannot start a thread").because(&error))
}

fn wait_for_first(word: &Stop) {
    while !word.wait(None) {}
    while !has_come() {
        std::thread::sleep(LOOK);
    }
}

/// From now on, but for the first one's twin, the next signal is the last.
fn hear_last() {
    std::thread::sleep(TWIN);
    if let Some(last) = LAST.get() {
        last.store(true, Ordering::Relaxed);
    }
}

/// While there is one, a signal gives the program the time to end by itself.
pub(crate) struct Grace(());

impl Grace {
    pub(crate) fn ask() -> Self {
        ASKED_FOR_GRACE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Grace {
    fn drop(&mut self) {
        // Once a signal has come the time runs, whoever has it.
        ASKED_FOR_GRACE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Signals are the whole process's: a child of its own hears them.
    #[test]
    fn a_signal_behind_a_stages_own_end_is_the_first_one() {
        const ROLE: &str = "SHADOWTAP_TEST_SIGNALS";
        const NAME: &str = "cli::signals::tests::a_signal_behind_a_stages_own_end_is_the_first_one";
        let raise = || signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
        if let Some(signals) = std::env::var_os(ROLE) {
            word().unwrap().tell();
            assert!(!has_come());
            raise();
            assert!(has_come());
            // What `timeout` sends to the group, too.
            raise();
            if signals == "two" {
                watch_for_second().unwrap();
                while !LAST.get().unwrap().load(Ordering::Relaxed) {
                    std::thread::sleep(LOOK);
                }
                raise();
            }
            return;
        }
        let ends_with = |signals: &str| {
            let program = std::env::current_exe().unwrap();
            let mut child = Command::new(program);
            child.args([NAME, "--exact"]).env(ROLE, signals).output().unwrap().status.code()
        };
        assert_eq!(ends_with("one"), Some(0));
        assert_eq!(ends_with("two"), Some(Exit::Interrupted as i32));
    }
}
