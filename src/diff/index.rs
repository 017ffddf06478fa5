//! Where each outcome stands in its file, by the name of its request: what joins outcomes to
//! exchanges without holding either.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::roots::Roots;
use crate::exchange::ExchangeId;
use crate::message::Request;
use crate::outcome::{HostMap, Outcome, ReplayId, server_of};
use crate::record::lines::{Batches, id_of, read_at};
use crate::record::noted::{NotedLine, NotedLines};
use crate::record::outcomes;
use crate::record::outcomes::OutcomeLine;
use crate::time::Timestamp;

/// Where an outcome stands: 32 bytes for each.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    id: ReplayId,
    length: u32,
    offset: u64,
}

/// The outcomes of a file.
pub(super) struct Index {
    file: File,
    entries: Vec<IndexEntry>,
    /// When each part of the file started, by offset: shards that were put together have several.
    starts: Vec<(u64, Timestamp)>,
    /// Where the requests went.
    target: String,
    /// Hosts whose requests went elsewhere, and where.
    mapped: Vec<HostMap>,
    /// Values that the target did not issue.
    pub(super) roots: Roots,
    /// Lines that are no outcome.
    pub(super) damaged: u64,
    /// Whether the file was closed by its last line.
    pub(super) closed: bool,
    /// Whether a request has several outcomes.
    pub(super) has_doubles: bool,
}

impl Index {
    fn new(file: File) -> Self {
        Self {
            file,
            entries: Vec::new(),
            starts: Vec::new(),
            target: String::new(),
            mapped: vec![],
            roots: Roots::default(),
            damaged: 0,
            closed: false,
            has_doubles: false,
        }
    }

    /// Walks the file once, unless its lines were noted when they were written; first and last
    /// lines are given to `edge`.
    pub(super) fn build(
        file: File,
        notes: Option<File>,
        mut progress: impl FnMut(u64),
        mut edge: impl FnMut(&[u8]),
    ) -> io::Result<Self> {
        if let Some(notes) = notes
            && let Some((index, edges)) = Self::from_notes(file.try_clone()?, notes)?
        {
            edges.iter().for_each(|line| edge(line));
            return Ok(index.settled());
        }
        let mut index = Self::new(file);
        let file = index.file.try_clone()?;
        let mut batches = Batches::new(&file)?;
        while let Some(batch) = batches.next()? {
            for at in 0..batch.len() {
                let (offset, line) = batch.line(at);
                index.add(offset, line, &mut edge);
            }
            progress(batches.position());
        }
        index.damaged += batches.too_long;
        Ok(index.settled())
    }

    /// The same from notes, with the first and last lines; none where they are not of all lines.
    fn from_notes(file: File, notes: File) -> io::Result<Option<(Self, Vec<Vec<u8>>)>> {
        let whole = file.metadata()?.len();
        let mut index = Self::new(file);
        let mut notes = NotedLines::new(notes)?;
        let (mut offset, mut edges) = (0, Vec::new());
        while let Some(NotedLine { length, id }) = notes.next()? {
            let end = offset + u64::from(length) + 1;
            if end > whole {
                return Ok(None);
            }
            match id {
                Some(id) => index.entries.push(IndexEntry { id, length, offset }),
                None if length == 0 => {}
                None => {
                    let line = read_at(&index.file, offset, length)?;
                    index.add(offset, &line, &mut |line| edges.push(line.to_vec()));
                }
            }
            offset = end;
        }
        Ok((offset == whole).then_some((index, edges)))
    }

    fn settled(mut self) -> Self {
        // The last of several outcomes of one request counts, as for a run that was resumed.
        self.entries.sort_by_key(|entry| (entry.id, std::cmp::Reverse(entry.offset)));
        let all = self.entries.len();
        self.entries.dedup_by_key(|entry| entry.id);
        self.has_doubles = self.entries.len() < all;
        self.entries.shrink_to_fit();
        self.roots.settle();
        self
    }

    fn add(&mut self, offset: u64, line: &[u8], edge: &mut impl FnMut(&[u8])) {
        let length = line.len() as u32;
        // A line that was cut is found when it is read; one that cannot be whole is no outcome.
        if let Some(id) = id_of(line) {
            self.entries.push(IndexEntry { id, length, offset });
            self.roots.note(id, line);
            return;
        }
        match outcomes::read(line) {
            Ok(OutcomeLine::Outcome(outcome)) => {
                self.entries.push(IndexEntry { id: outcome.id, length, offset });
                self.roots.note(outcome.id, line);
            }
            Ok(OutcomeLine::Header(header)) => {
                edge(line);
                self.starts.push((offset, header.started));
                self.mapped = header.mapped();
                self.target = header.target;
                self.closed = false;
            }
            Ok(OutcomeLine::End(_)) => {
                edge(line);
                self.closed = true;
            }
            Err(_) => self.damaged += 1,
        }
    }

    /// Where `request` went, and whether its host was mapped to another.
    pub(super) fn target_of(&self, request: &Request) -> (&str, bool) {
        server_of(request, &self.target, &self.mapped)
    }

    /// How many outcomes.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The outcomes of an exchange: one, or one for each copy of its request.
    pub(super) fn of(&self, id: ExchangeId) -> Range<usize> {
        let from = self.entries.partition_point(|entry| entry.id.exchange < id);
        let to = from + self.entries[from..].partition_point(|entry| entry.id.exchange == id);
        from..to
    }

    /// Where the outcome of a request is: its first byte and its length.
    pub(super) fn span(&self, id: ReplayId) -> Option<(u64, u64)> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        let entry = self.entries[at];
        Some((entry.offset, u64::from(entry.length)))
    }

    /// Where an outcome stands in the file.
    pub(super) fn offset(&self, at: usize) -> u64 {
        self.entries[at].offset
    }

    /// The line of an outcome.
    pub(super) fn line(&self, at: usize) -> io::Result<Vec<u8>> {
        let entry = self.entries[at];
        read_at(&self.file, entry.offset, entry.length)
    }

    /// Reads an outcome, and when its part of the file started; none where the line is damaged.
    pub(super) fn read(&self, at: usize) -> io::Result<Option<(Outcome, Option<Timestamp>)>> {
        Ok(self.outcome(at, &self.line(at)?))
    }

    /// The same from the line at hand.
    pub(super) fn outcome(&self, at: usize, line: &[u8]) -> Option<(Outcome, Option<Timestamp>)> {
        let offset = self.offset(at);
        let started =
            self.starts[..self.starts.partition_point(|(start, _)| *start <= offset)].last();
        match outcomes::read(line) {
            Ok(OutcomeLine::Outcome(outcome)) => {
                Some((*outcome, started.map(|(_, started)| *started)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::record::noted::OutcomeNotes;

    const HEADER: &str = "{\"format\":\"shadowtap/outcomes\",\"version\":1,\"run\":\"r\",\
                          \"target\":\"http://v2\",\"started\":\"2026-11-23T10:00:00Z\",\
                          \"settings\":{\"map_host\":[\"a=http://b\"]}}";
    const END: &str = r#"{"format":"shadowtap/end","outcomes":1,"ledger":{"in":1,"used":1}}"#;

    /// What an index holds, and the first and last lines that it told.
    fn seen(file: &File, notes: Option<File>) -> String {
        let mut edges = Vec::new();
        let edge = |line: &[u8]| edges.push(String::from_utf8_lossy(line).into_owned());
        let index = Index::build(file.try_clone().unwrap(), notes, |_| (), edge).unwrap();
        let Index { entries, starts, target, mapped, damaged, closed, has_doubles, .. } = &index;
        let roots: Vec<_> = entries.iter().map(|entry| index.roots.of(entry.id)).collect();
        format!(
            "{entries:?} {starts:?} {target} {mapped:?} {damaged} {closed} {has_doubles} {roots:?} \
             {edges:?}"
        )
    }

    #[test]
    fn notes_of_lines_give_the_index_that_a_walk_gives() {
        let outcome = |id: &str| format!(r#"{{"id":"{id}","lane":1,"due_ns":3,"failure":null}}"#);
        let unbound = "{\"id\":\"3-1\",\"lane\":3,\"due_ns\":1,\"unbound\":[{\"root\":\"1-0\",\
                       \"place\":\"$.id\"}],\"failure\":null}";
        let lines = |all: &[&str]| -> Vec<String> { all.iter().map(|&line| line.into()).collect() };
        let (one, two, copy) = (outcome("1-0"), outcome("2-7"), outcome("2-7@2"));
        for lines in [
            lines(&[HEADER, &two, &one, &copy, unbound, END]),
            lines(&[HEADER, &one, "garbage", &two]),
            lines(&[HEADER, &one, END, HEADER, &two, &one, END]),
            lines(&[HEADER, &one, "", &two, END]),
            lines(&[HEADER, &one, r#"{"id":"4-1","lane":"#, r#"{ "id":"5-1"}"#, END]),
            Vec::new(),
        ] {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let noted = || {
                let notes = tempfile::tempfile().unwrap();
                let mut writer = OutcomeNotes::new(notes.try_clone().unwrap());
                writer.add(text.as_bytes()).unwrap();
                writer.finish().unwrap();
                notes
            };
            let walked = seen(&file, None);
            assert_eq!(seen(&file, Some(noted())), walked, "{lines:?}");
            // Notes of less than the file, or of more, are of no use.
            let cut = noted();
            cut.set_len(cut.metadata().unwrap().len() / 2).unwrap();
            assert_eq!(seen(&file, Some(cut)), walked, "{lines:?}");
            let more = noted();
            let mut end = more.try_clone().unwrap();
            end.write_all(&[9, 0]).unwrap();
            assert_eq!(seen(&file, Some(more)), walked, "{lines:?}");
        }
    }
}
