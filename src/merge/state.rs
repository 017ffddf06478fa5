//! What was bound in each shard: the values that v2 issued there, and the flows with what became of
//! them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use crate::limits;
use crate::record::exchanges;
use crate::record::flows::{Binding, Flow, FlowFigures};

/// The flows of the whole. Every shard looks for them in the whole recording, so they are the same
/// in all of them, but for what was bound: that adds up. The last line is that of any shard.
pub(super) fn flows<R: BufRead>(shards: Vec<R>, out: &mut impl Write) -> io::Result<()> {
    let mut all: BTreeMap<u32, Flow> = BTreeMap::new();
    let mut last = Vec::new();
    for shard in shards {
        each_line(shard, |line| {
            if FlowFigures::is(line) {
                line.clone_into(&mut last);
                return Ok(());
            }
            let flow: Flow = serde_json::from_slice(line)?;
            match all.entry(flow.flow) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(flow);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let whole = entry.get_mut();
                    for (sum, part) in [
                        (&mut whole.bound, flow.bound),
                        (&mut whole.unbound, flow.unbound),
                        (&mut whole.not_issued, flow.not_issued),
                    ] {
                        *sum = sum.map_or(part, |sum| Some(sum + part.unwrap_or(0)));
                    }
                }
            }
            Ok(())
        })?;
    }
    let mut line = Vec::new();
    for flow in all.values() {
        line.clear();
        exchanges::write_line(&mut line, flow);
        out.write_all(&line)?;
    }
    out.write_all(&last)?;
    if !last.is_empty() {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// The bindings of the whole: those of each shard, in the order of the recording's values. Each
/// shard has its own in that order.
pub(super) fn bindings<R: BufRead>(shards: Vec<R>, out: &mut impl Write) -> io::Result<()> {
    let mut heads: Vec<(R, Option<(u32, Vec<u8>)>)> =
        shards.into_iter().map(|shard| (shard, None)).collect();
    for (shard, head) in &mut heads {
        *head = next_binding(shard)?;
    }
    loop {
        let slot = |head: &(R, Option<(u32, Vec<u8>)>)| head.1.as_ref().map(|(slot, _)| *slot);
        let first = (0..heads.len()).filter(|&at| heads[at].1.is_some());
        let Some(first) = first.min_by_key(|&at| (slot(&heads[at]), at)) else {
            return out.flush();
        };
        let (shard, head) = &mut heads[first];
        if let Some((_, line)) = std::mem::replace(head, next_binding(shard)?) {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
    }
}

/// The next line and the number of its value. The end of a line that was cut off is none.
fn next_binding(shard: &mut impl BufRead) -> io::Result<Option<(u32, Vec<u8>)>> {
    let mut line = Vec::new();
    let read = shard.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line)?;
    if read == 0 || line.pop() != Some(b'\n') {
        return Ok(None);
    }
    let binding: Binding = serde_json::from_slice(&line)?;
    Ok(Some((binding.slot, line)))
}

fn each_line(
    mut shard: impl BufRead,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if shard.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(line.trim_ascii_end())?;
    }
}
