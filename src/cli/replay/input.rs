//! From the inputs to the plan, and to the run's own `exchanges.jsonl` on the way.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;

use super::Signals;
use crate::cli::folder::{InputInfo, RunFolder, names};
use crate::cli::progress::Progress;
use crate::cli::{Failure, Global};
use crate::exchange::Exchange;
use crate::exchange::log::{self, End, Header, Line};
use crate::limits;
use crate::replay::plan::{Plan, Wishes};
use crate::time::Timestamp;

/// What the inputs came to.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) inputs: Vec<InputInfo>,
}

/// Reads the inputs, writes their exchanges into the folder, and plans the replay.
pub(super) fn read_into(
    inputs: &[String],
    folder: &RunFolder,
    wishes: Wishes,
    signals: &Signals,
    global: &Global,
) -> Result<Planned, Failure> {
    let mut planner = super::planner(folder.path(), wishes)?;
    // Beside, then renamed: the input may be this folder's own file.
    let path = folder.file(names::EXCHANGES);
    let part = folder.file("exchanges.jsonl.part");
    let cannot = |error: std::io::Error| Failure::unusable(format!("cannot write {}", path.display())).because(&error);
    let mut file = File::create(&part).map_err(cannot)?;
    let mut buffer = Vec::with_capacity(1 << 20);
    log::write_line(&mut buffer, &Header::new(Timestamp::now(), inputs.to_vec()));
    let mut count = 0;
    let ended = each_exchange(inputs, signals, global, |exchange| {
        log::write(&mut buffer, exchange);
        count += 1;
        if buffer.len() >= 1 << 20 {
            file.write_all(&buffer).map_err(cannot)?;
            buffer.clear();
        }
        planner.add(exchange).map_err(cannot)
    });
    let end = ended.and_then(|end| {
        log::write_line(&mut buffer, &End::new(count, end.ledger));
        file.write_all(&buffer).map_err(cannot)?;
        std::fs::rename(&part, &path).map_err(cannot)
    });
    if let Err(failure) = end {
        let _ = std::fs::remove_file(&part);
        return Err(failure);
    }
    let plan = planner.finish().map_err(cannot)?;
    let inputs = inputs.iter().map(|name| InputInfo::of(name)).collect();
    Ok(Planned { plan, inputs })
}

/// Reads the inputs and plans the replay; leaves nothing behind.
pub(super) fn read_only(inputs: &[String], wishes: Wishes, signals: &Signals, global: &Global) -> Result<Plan, Failure> {
    let folder = std::env::temp_dir();
    let cannot = |error: std::io::Error| Failure::unusable(format!("cannot write to {}", folder.display())).because(&error);
    let mut planner = super::planner(&folder, wishes)?;
    each_exchange(inputs, signals, global, |exchange| planner.add(exchange).map_err(cannot))?;
    planner.finish().map_err(cannot)
}

/// Gives every exchange of the inputs to `take`.
fn each_exchange(
    inputs: &[String],
    signals: &Signals,
    global: &Global,
    mut take: impl FnMut(&Exchange) -> Result<(), Failure>,
) -> Result<End, Failure> {
    let progress = Progress::start(global, "read", None);
    let mut total = End::new(0, crate::ledger::Ledger::default());
    let mut count = 0u64;
    for name in inputs {
        let file: Box<dyn Read> = if name == "-" { Box::new(std::io::stdin()) } else { Box::new(open(Path::new(name))?) };
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        let mut number = 0u64;
        let mut closed = false;
        loop {
            line.clear();
            number += 1;
            let unreadable = |error: std::io::Error| Failure::unusable(format!("cannot read {name}")).because(&error);
            let n = (&mut reader).take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line).map_err(unreadable)?;
            if n == 0 {
                break;
            }
            let at = || format!("{name}: line {number}");
            match log::read(line.trim_ascii_end()) {
                Ok(Line::Exchange(exchange)) => {
                    take(&exchange)?;
                    count += 1;
                    if count.is_multiple_of(1024) {
                        progress.set(count, || format!("{count} exchanges"));
                        if signals.came() {
                            return Err(Failure::new(crate::cli::Exit::Interrupted, "interrupted while reading the input"));
                        }
                    }
                }
                Ok(Line::Header(_)) => closed = false,
                Ok(Line::End(end)) => {
                    closed = true;
                    total.ledger.merge(&end.ledger);
                }
                Err(_) if !line.ends_with(b"\n") => tracing::warn!("{}: cut inside a line, which is left out", at()),
                Err(error) => return Err(Failure::unusable(format!("{} cannot be used", at())).because(&error)),
            }
        }
        if !closed {
            tracing::warn!("{name} has no last line: it may have been cut");
        }
    }
    if count == 0 {
        return Err(Failure::unusable(format!("no exchange in {}", inputs.join(", "))));
    }
    Ok(total)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::unusable(format!("cannot open {}", path.display())).because(&error))
}
