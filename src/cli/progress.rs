//! What is shown while a command runs: a bar on a terminal, a plain line every ten seconds
//! elsewhere, nothing with `-q`. Always on standard error.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::LogFormat;
use super::{Global, log};
use crate::time::{Monotonic, NANOS_PER_SEC};

/// How often a plain line is printed where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// How often the bar moves on a terminal.
const BAR_HZ: u8 = 8;
/// What ends sooner than this needs no bar.
const BAR_AFTER_NS: i64 = NANOS_PER_SEC;
/// Columns of the bar, its share and what parts them.
const BESIDE_BAR: usize = " [        ] 100% ".len();

/// A running display; ends when dropped.
pub struct Progress {
    shared: Arc<SharedProgress>,
    bar: Option<ProgressBar>,
    /// What is said beside the bar begins with the time that is left.
    tells_its_end: bool,
    /// The bar is on the screen.
    is_seen: AtomicBool,
    printer: Option<JoinHandle<()>>,
    /// When its owner's next call prints a line, in nanoseconds since the start, where there is no
    /// printer.
    next_line: Option<AtomicI64>,
}

struct SharedProgress {
    global: Global,
    what: &'static str,
    total: Option<u64>,
    done: AtomicU64,
    message: Mutex<String>,
    started: Monotonic,
    ended: AtomicBool,
}

/// Shows that a run is being measured, from when its files are read; told how many bytes were, and
/// of how many.
pub(crate) fn show_measuring(global: &Global) -> impl FnMut(u64, u64) {
    let mut progress = None;
    move |done, total| {
        progress
            .get_or_insert_with(|| Progress::start(global, "report", Some(total)))
            .set(done, || format!("{} of {} MB", done / 1_000_000, total / 1_000_000));
    }
}

impl Progress {
    /// Shows `what` is being done; `total` in the unit of [`Self::set`], where it is known.
    pub fn start(global: &Global, what: &'static str, total: Option<u64>) -> Self {
        let mut progress = Self::beaten(global, what, total);
        if progress.next_line.take().is_some() {
            let shared = Arc::clone(&progress.shared);
            let printer = std::thread::Builder::new()
                .name("progress".to_owned())
                .spawn(move || shared.print_lines());
            progress.printer = printer.ok();
        }
        progress
    }

    /// The same without a thread of its own, for who must not wake up without need: shown by calls
    /// of [`Self::set`] alone, one of which is due every [`Self::beat`].
    pub fn beaten(global: &Global, what: &'static str, total: Option<u64>) -> Self {
        let shared = Arc::new(SharedProgress {
            global: global.clone(),
            what,
            total,
            done: AtomicU64::new(0),
            message: Mutex::new(String::new()),
            started: Monotonic::now(),
            ended: AtomicBool::new(false),
        });
        let is_text = global.log_format == LogFormat::Text;
        let has_bar = !global.quiet && is_text && std::io::stderr().is_terminal();
        let first_line = AtomicI64::new(PLAIN_EVERY.as_nanos() as i64);
        Self {
            bar: has_bar.then(|| Self::bar(&shared, "{eta:>4} left")),
            shared,
            tells_its_end: false,
            is_seen: AtomicBool::new(false),
            printer: None,
            next_line: (!global.quiet && !has_bar).then_some(first_line),
        }
    }

    /// For work of which is known when it ends: what is said beside the bar begins with that, and
    /// nothing is estimated.
    #[must_use]
    pub fn until_known(mut self) -> Self {
        self.tells_its_end = true;
        if self.bar.is_some() {
            self.bar = Some(Self::bar(&self.shared, ""));
        }
        self
    }

    /// A bar that is not on the screen yet; as wide as the terminal, whatever it has to say.
    fn bar(shared: &SharedProgress, left: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(shared.total, ProgressDrawTarget::hidden());
        let template = match shared.total {
            Some(_) if left.is_empty() => "{prefix} [{bar:8}] {percent:>3}% {wide_msg}".to_owned(),
            Some(_) => format!("{{prefix}} [{{bar:8}}] {{percent:>3}}% {left}, {{wide_msg}}"),
            None => "{prefix} {elapsed} {wide_msg}".to_owned(),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(shared.what);
        bar
    }

    /// How many columns the terminal leaves for a message beside the bar.
    fn room(&self) -> usize {
        let columns = rustix::termios::tcgetwinsize(std::io::stderr())
            .ok()
            .map_or(80, |size| usize::from(size.ws_col));
        let beside = match self.shared.total {
            Some(_) if self.tells_its_end => BESIDE_BAR,
            Some(_) => BESIDE_BAR + " 120s left,".len(),
            None => " 120s ".len(),
        };
        columns.saturating_sub(self.shared.what.len() + beside)
    }

    /// How often something new can be shown; never with `-q`.
    pub fn beat(&self) -> Option<Duration> {
        match (&self.bar, &self.next_line) {
            (Some(_), _) => Some(Duration::from_secs(1) / u32::from(BAR_HZ)),
            (None, Some(_)) => Some(PLAIN_EVERY),
            (None, None) => None,
        }
    }

    /// How much is done, and what to say beside it. Cheap enough for some thousand calls a second;
    /// not for every packet.
    pub fn set(&self, done: u64, message: impl FnOnce() -> String) {
        self.shared.done.store(done, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            if self.shared.started.elapsed() < BAR_AFTER_NS {
                return;
            }
            let message = message();
            bar.set_message(fitting(&message, self.room()).to_owned());
            if !self.is_seen.swap(true, Ordering::Relaxed) {
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(BAR_HZ));
            }
        } else if self.printer.is_some()
            && let Ok(mut kept) = self.shared.message.lock()
        {
            *kept = message();
        } else if let Some(next) = &self.next_line {
            let now = self.shared.started.elapsed();
            if now >= next.load(Ordering::Relaxed) {
                next.store(now + PLAIN_EVERY.as_nanos() as i64, Ordering::Relaxed);
                self.shared.print_line(&message());
            }
        }
    }
}

/// As many of the items of a message, which commas part, as `columns` hold; the first one always.
fn fitting(message: &str, columns: usize) -> &str {
    let ends = message.match_indices(", ").map(|(at, _)| at).chain([message.len()]);
    let held = ends.take_while(|&end| message[..end].chars().count() <= columns).last();
    held.or_else(|| message.find(", ")).map_or(message, |end| &message[..end])
}

impl SharedProgress {
    fn print_lines(&self) {
        loop {
            std::thread::park_timeout(PLAIN_EVERY);
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            let message = self.message.lock().map(|message| message.clone()).unwrap_or_default();
            self.print_line(&message);
        }
    }

    fn print_line(&self, message: &str) {
        let done = self.done.load(Ordering::Relaxed);
        let share = self
            .total
            .filter(|&total| total > 0)
            .map(|total| format!(" {}%", done.min(total) * 100 / total))
            .unwrap_or_default();
        let seconds = self.started.elapsed() / NANOS_PER_SEC;
        let comma = if message.is_empty() { "" } else { ", " };
        let what = self.what;
        log::say(&self.global, &format!("{what}:{share} after {seconds} s{comma}{message}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(printer) = self.printer.take() {
            printer.thread().unpark();
            let _ = printer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_shows_whole_items() {
        let message = "12s left, 44 errors, 195/s, own lateness p99 4.2 ms";
        assert_eq!(fitting(message, 80), message);
        assert_eq!(fitting(message, 37), "12s left, 44 errors, 195/s");
        assert_eq!(fitting(message, 26), "12s left, 44 errors, 195/s");
        assert_eq!(fitting(message, 25), "12s left, 44 errors");
        assert_eq!(fitting(message, 0), "12s left");
        assert_eq!(fitting("é12345", 3), "é12345");
        assert_eq!(fitting("", 3), "");
    }
}
