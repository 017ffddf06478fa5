//! What is shown while a command runs: a bar on a terminal, a plain line every ten seconds elsewhere, nothing with `-q`.
//! Always on standard error.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Global;
use crate::time::Monotonic;

/// How often a plain line is printed where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// A running display; ends when dropped.
pub struct Progress {
    shared: Arc<Shared>,
    bar: Option<ProgressBar>,
    printer: Option<JoinHandle<()>>,
}

struct Shared {
    what: &'static str,
    total: Option<u64>,
    done: AtomicU64,
    message: Mutex<String>,
    started: Monotonic,
    ended: AtomicBool,
}

impl Progress {
    /// Shows `what` is being done; `total` in the unit of [`Self::set`], where it is known.
    pub fn start(global: &Global, what: &'static str, total: Option<u64>) -> Self {
        let shared = Arc::new(Shared {
            what,
            total,
            done: AtomicU64::new(0),
            message: Mutex::new(String::new()),
            started: Monotonic::now(),
            ended: AtomicBool::new(false),
        });
        if global.quiet {
            return Self { shared, bar: None, printer: None };
        }
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
            let template = if total.is_some() {
                "{prefix} [{bar:30}] {percent:>3}% {eta:>4} left {msg}"
            } else {
                "{prefix} {elapsed} {msg}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(what);
            return Self { shared, bar: Some(bar), printer: None };
        }
        let printer = std::thread::Builder::new().name("progress".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.print_lines()
        });
        Self { shared, bar: None, printer: printer.ok() }
    }

    /// How much is done, and what to say beside it. Cheap enough for some thousand calls a second; not for every packet.
    pub fn set(&self, done: u64, message: impl FnOnce() -> String) {
        self.shared.done.store(done, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(message());
        } else if self.printer.is_some()
            && let Ok(mut kept) = self.shared.message.lock()
        {
            *kept = message();
        }
    }
}

impl Shared {
    #[expect(clippy::print_stderr, reason = "the plain progress line")]
    fn print_lines(&self) {
        loop {
            std::thread::park_timeout(PLAIN_EVERY);
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            let done = self.done.load(Ordering::Relaxed);
            let share = self
                .total
                .filter(|&total| total > 0)
                .map(|total| format!(" {}%", done.min(total) * 100 / total))
                .unwrap_or_default();
            let message = self.message.lock().map(|message| message.clone()).unwrap_or_default();
            eprintln!("{}:{share} after {} s {message}", self.what, self.started.elapsed() / crate::time::NANOS_PER_SEC);
        }
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
