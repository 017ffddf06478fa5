//! Where each record stands in its file, noted while the file is written or read: who joins
//! outcomes with exchanges need not walk through the files for it.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};

use crate::exchange::ExchangeId;
use crate::outcome::ReplayId;
use crate::record::lines::id_of;
use crate::record::outcomes::lacks_values;
use crate::varint;

/// Bytes that are read or written at once.
const BUFFER: usize = 64 << 10;
/// Most bytes of a note of an outcome.
const NOTE_BYTES: usize = 4 * varint::MOST_BYTES;

/// Notes on their way into a file.
pub(crate) struct OutcomeNotes {
    out: BufWriter<File>,
    note: Vec<u8>,
}

impl OutcomeNotes {
    pub(crate) fn new(file: File) -> Self {
        Self { out: BufWriter::with_capacity(BUFFER, file), note: Vec::with_capacity(NOTE_BYTES) }
    }

    /// Notes whole lines that were written to the file of outcomes.
    pub(crate) fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            self.add_line(&lines[start..end])?;
            start = end + 1;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.note.clear();
        varint::put(&mut self.note, line.len() as u64);
        // A copy is 1 at least.
        let id = id_of(line).filter(|id| id.copy > 0 && !lacks_values(line));
        varint::put(&mut self.note, id.map_or(0, |id| u64::from(id.copy)));
        if let Some(ReplayId { exchange, .. }) = id {
            varint::put(&mut self.note, exchange.connection);
            varint::put(&mut self.note, u64::from(exchange.ordinal));
        }
        self.out.write_all(&self.note)
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A line as noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotedLine {
    /// Without its end.
    pub(crate) length: u32,
    /// Whose outcome it is; none of a line that has to be looked at.
    pub(crate) id: Option<ReplayId>,
}

/// Reads notes from the start of a file. What has another form ends them.
pub(crate) struct NotedLines(NotedNumbers);

impl NotedLines {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        NotedNumbers::new(file).map(Self)
    }

    /// The next one; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<NotedLine>> {
        let mut numbers = || -> io::Result<Option<NotedLine>> {
            let Some(length) = self.0.next_u32()? else { return Ok(None) };
            let copy = match self.0.next_u32()? {
                None => return Ok(None),
                Some(0) => return Ok(Some(NotedLine { length, id: None })),
                Some(copy) => copy,
            };
            let (Some(connection), Some(ordinal)) = (self.0.next()?, self.0.next_u32()?) else {
                return Ok(None);
            };
            let exchange = ExchangeId { connection, ordinal };
            Ok(Some(NotedLine { length, id: Some(ReplayId { exchange, copy }) }))
        };
        numbers()
    }
}

/// Numbers from the start of a file, as [`varint`] writes them.
pub(crate) struct NotedNumbers {
    file: File,
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
}

impl NotedNumbers {
    pub(crate) fn new(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self { file, bytes: Vec::new(), at: 0, ended: false })
    }

    /// The next one; none at the end, and where there is none.
    pub(crate) fn next(&mut self) -> io::Result<Option<u64>> {
        if self.bytes.len() - self.at < varint::MOST_BYTES && !self.ended {
            self.bytes.drain(..std::mem::take(&mut self.at));
            let got = (&self.file).take(BUFFER as u64).read_to_end(&mut self.bytes)?;
            self.ended = got == 0;
        }
        let mut rest = &self.bytes[self.at..];
        let number = varint::take(&mut rest);
        self.at = self.bytes.len() - rest.len();
        Ok(number)
    }

    /// The next one where it fits.
    pub(crate) fn next_u32(&mut self) -> io::Result<Option<u32>> {
        Ok(self.next()?.and_then(|number| u32::try_from(number).ok()))
    }
}

/// Numbers on their way into a file.
#[derive(Debug)]
pub(crate) struct NumberNotes {
    out: BufWriter<File>,
    note: Vec<u8>,
}

impl NumberNotes {
    pub(crate) fn new(file: File) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, file),
            note: Vec::with_capacity(varint::MOST_BYTES),
        }
    }

    pub(crate) fn add(&mut self, number: u64) -> io::Result<()> {
        self.note.clear();
        varint::put(&mut self.note, number);
        self.out.write_all(&self.note)
    }

    /// Writes what is left.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How long the lines are of a file whose bytes pass by, however they are cut.
#[derive(Debug)]
pub(crate) struct LineNotes {
    numbers: NumberNotes,
    /// Of the line that has not ended.
    begun: u64,
    /// The notes could not be written, and are of no use.
    failed: bool,
}

impl LineNotes {
    pub(crate) fn new(file: File) -> Self {
        Self { numbers: NumberNotes::new(file), begun: 0, failed: false }
    }

    /// Notes the next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let length = std::mem::take(&mut self.begun) + (end - start) as u64;
            self.failed = self.failed || self.numbers.add(length).is_err();
            start = end + 1;
        }
        self.begun += (bytes.len() - start) as u64;
    }

    /// Writes what is left; whether all was noted, up to a last line with its end.
    pub(crate) fn finish(&mut self) -> bool {
        !self.failed && self.begun == 0 && self.numbers.flush().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_back_with_its_length_and_its_name() {
        let mut lines = vec![(r#"{"format":"shadowtap/outcomes"}"#.to_owned(), None)];
        for n in 0..20_000_u64 {
            let connection = n * n * 31;
            let copy = if n % 3 == 0 { format!("@{}", n % 7 + 2) } else { String::new() };
            let id = format!("{connection}-{}{copy}", n % 100);
            let body = "x".repeat(n as usize % 90);
            lines.push((format!(r#"{{"id":"{id}","x":"{body}"}}"#), Some(id)));
        }
        lines.push((r#"{"id":"7-1","due_ns":1,"unbound":[{"root":"1-0"}]}"#.to_owned(), None));
        lines.push((r#"{ "id":"7-2"}"#.to_owned(), None));
        let file = tempfile::tempfile().unwrap();
        let mut notes = OutcomeNotes::new(file.try_clone().unwrap());
        for some in lines.chunks(7) {
            let text: Vec<u8> =
                some.iter().flat_map(|(line, _)| [line, "\n"].concat().into_bytes()).collect();
            notes.add(&text).unwrap();
        }
        notes.finish().unwrap();
        let mut read = NotedLines::new(file).unwrap();
        for (line, id) in &lines {
            let noted = read.next().unwrap().unwrap();
            assert_eq!(noted.length as usize, line.len());
            assert_eq!(noted.id, id.as_ref().map(|id| id.parse().unwrap()), "{line}");
        }
        assert_eq!(read.next().unwrap(), None);
    }

    #[test]
    fn notes_that_were_cut_end_there() {
        let file = tempfile::tempfile().unwrap();
        let mut notes = OutcomeNotes::new(file.try_clone().unwrap());
        notes.add(b"{\"id\":\"300-1\"}\n{\"id\":\"70000-1\"}\n").unwrap();
        notes.finish().unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        let mut read = NotedLines::new(file).unwrap();
        assert!(read.next().unwrap().is_some());
        assert_eq!(read.next().unwrap(), None);
    }

    #[test]
    fn lengths_of_lines_do_not_depend_on_how_the_bytes_are_cut() {
        let text: Vec<u8> =
            (0..3_000_usize).flat_map(|n| [&vec![b'x'; n * 7 % 301][..], b"\n"].concat()).collect();
        for cut in [1, 3, 300, 4_096, text.len()] {
            let file = tempfile::tempfile().unwrap();
            let mut notes = LineNotes::new(file.try_clone().unwrap());
            text.chunks(cut).for_each(|bytes| notes.add(bytes));
            assert!(notes.finish());
            let mut read = NotedNumbers::new(file).unwrap();
            for n in 0..3_000 {
                assert_eq!(read.next().unwrap(), Some(n * 7 % 301), "cut by {cut}");
            }
            assert_eq!(read.next().unwrap(), None);
        }
        let mut open = LineNotes::new(tempfile::tempfile().unwrap());
        open.add(b"one\ntwo");
        assert!(!open.finish());
    }
}
