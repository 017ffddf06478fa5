//! Reads the inputs of a replay, once and once more.

use std::sync::{Arc, Mutex};

use super::flags::ReplayShape;
use crate::cli::{Exit, Failure, Global};
use crate::record::noted::LineNotes;
use crate::source::{InputOptions, Inputs, Original, ReadInputs};
use crate::stop::Stop;

/// Opens them.
pub(super) fn open(
    inputs: &[String],
    shape: &ReplayShape,
    lines: Option<Arc<Mutex<LineNotes>>>,
    word: &Arc<Stop>,
) -> Result<Inputs, Failure> {
    let stop = Some(Arc::clone(word));
    Ok(Inputs::open(inputs, InputOptions { stop, lines, ..shape.beside.options() })?)
}

pub(super) fn unless_interrupted(word: &Stop) -> Result<(), Failure> {
    if word.is_told() {
        Err(Failure::new(Exit::Interrupted, "interrupted while reading the input"))
    } else {
        Ok(())
    }
}

pub(super) fn with_exchanges(done: ReadInputs, word: &Stop) -> Result<ReadInputs, Failure> {
    unless_interrupted(word)?;
    for warning in &done.warnings {
        tracing::warn!("{warning}");
    }
    Ok(done.require_exchanges()?)
}

/// Gives the lines of a recording that was read already, and turned out to be put together or
/// damaged.
pub(super) fn write_again(
    original: &Original,
    done: &ReadInputs,
    word: &Stop,
    global: &Global,
    mut write: impl FnMut(&dyn Fn(&mut Vec<u8>)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = done.exchanges;
    // What was appended in the meantime belongs to no plan.
    original.open(done.prints.clone())?.lines::<Failure>(
        global,
        None,
        false,
        false,
        |_, line| {
            unless_interrupted(word)?;
            if left > 0 {
                left -= 1;
                write(line)?;
            }
            Ok(())
        },
    )?;
    Ok(())
}
