//! Runs the rounds of a parse, on a thread of its own where there are several. A bounded channel is
//! the backpressure: who takes exchanges slowly lets the parser wait, and memory stays flat.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::output::{Render, RoundOutput};
use super::round::RoundEngine;
use super::{ParseOptions, ParseSummary};
use crate::capture::{CaptureError, PacketSource};

/// A capture that is being parsed.
pub struct Parse<R: Render> {
    driver: Driver<R>,
    current: Option<RoundOutput<R::Item>>,
    summary: Option<ParseSummary>,
}

enum Driver<R: Render> {
    Here(Box<RoundEngine<R>>),
    There {
        outputs: Receiver<DriverWord<R::Item>>,
        back: SyncSender<RoundOutput<R::Item>>,
        thread: Option<JoinHandle<()>>,
    },
    Ended,
}

enum DriverWord<T> {
    Output(RoundOutput<T>),
    Failed(CaptureError),
    Ended(Box<ParseSummary>),
}

/// Runs the engine to its end, or until nobody listens any more.
fn drive<R: Render>(
    mut engine: RoundEngine<R>,
    tell: &SyncSender<DriverWord<R::Item>>,
    used: &Receiver<RoundOutput<R::Item>>,
) {
    loop {
        let (told, more) = match engine.step(used) {
            Ok(Some(output)) => (DriverWord::Output(output), true),
            Ok(None) if engine.is_ended() => (DriverWord::Ended(Box::new(engine.summary())), false),
            Ok(None) => continue,
            Err(error) => (DriverWord::Failed(error), false),
        };
        if tell.send(told).is_err() || !more {
            return;
        }
    }
}

/// Rounds that may be finished before the caller takes them.
const AHEAD: usize = 2;

impl<R: Render> Parse<R> {
    /// Starts to parse `source`.
    pub fn start(source: Box<dyn PacketSource>, options: &ParseOptions, render: R) -> Self {
        let engine = RoundEngine::new(source, options, render);
        let threads = options.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("parse-{n}"));
        let driver = match (threads, pool.build()) {
            (2.., Ok(pool)) => {
                let (tell, outputs) = sync_channel(AHEAD);
                let (back, used) = sync_channel(2 * AHEAD);
                let drive = move || pool.install(move || drive(engine, &tell, &used));
                let thread = std::thread::Builder::new().name("parse".to_owned()).spawn(drive);
                match thread {
                    Ok(thread) => Driver::There { outputs, back, thread: Some(thread) },
                    Err(_) => Driver::Ended,
                }
            }
            _ => Driver::Here(Box::new(engine)),
        };
        Self { driver, current: None, summary: None }
    }

    /// The exchanges that were completed next; none once the input is used up, and
    /// [`Self::summary`] is there.
    pub fn next_output(&mut self) -> Result<Option<&mut RoundOutput<R::Item>>, CaptureError> {
        let used = self.current.take();
        match &mut self.driver {
            Driver::Ended => return Ok(None),
            Driver::Here(engine) => {
                if let Some(used) = used {
                    engine.recycle(used);
                }
                self.current = engine.step_alone()?;
                if self.current.is_none() {
                    self.summary = Some(engine.summary());
                    self.driver = Driver::Ended;
                }
            }
            Driver::There { outputs, back, thread } => {
                if let Some(used) = used {
                    // Where there is no room it is not needed.
                    let _ = back.try_send(used);
                }
                match outputs.recv() {
                    Ok(DriverWord::Output(output)) => self.current = Some(output),
                    Ok(DriverWord::Failed(error)) => return Err(error),
                    Ok(DriverWord::Ended(summary)) => self.summary = Some(*summary),
                    Err(_) => {
                        // The thread ended without a word: it panicked, and so do we.
                        if let Some(Err(panic)) = thread.take().map(JoinHandle::join) {
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
                if self.current.is_none() {
                    self.driver = Driver::Ended;
                }
            }
        }
        Ok(self.current.as_mut())
    }

    /// The account, once all exchanges were taken.
    pub fn summary(&mut self) -> Option<ParseSummary> {
        self.summary.take()
    }
}
