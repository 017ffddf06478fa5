//! `places.jsonl` of a shard: which exchanges of the whole recording its `exchanges.jsonl` holds,
//! so that the recordings of all shards can be put together again as they were.
//!
//! Between the usual first and last lines each line is `[first, count]`: a row of exchanges that
//! follow each other in the whole, counted from 0.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::record::exchanges::{END_FORMAT, TOOL, write_line};

/// The format's name in the first line.
pub const FORMAT: &str = "shadowtap/places";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// No line of such a file is longer.
const LINE_BYTES: u64 = 4_096;

#[derive(Serialize, Deserialize)]
struct PlacesHeader {
    format: String,
    version: u32,
    #[serde(default)]
    tool: String,
}

/// The last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// How many exchanges the shard holds.
    pub exchanges: u64,
    /// How many the whole recording has.
    pub of: u64,
}

#[derive(Serialize, Deserialize)]
struct PlacesEnd {
    format: String,
    #[serde(flatten)]
    sizes: Sizes,
}

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is no such file, or a newer one.
    #[error("its first line names no format that this version reads")]
    Format,
    /// A line is none of its kind, or does not lie behind the one before.
    #[error("line {0} cannot be used")]
    Line(u64),
    /// It has no last line: who wrote it was killed.
    #[error("it has no last line: the shard did not read its input to the end")]
    Unfinished,
}

/// Writes the places of a shard while it reads the whole.
pub struct PlacesWriter<W> {
    out: W,
    buffer: Vec<u8>,
    row: Option<(u64, u64)>,
    sizes: Sizes,
}

impl<W: Write> PlacesWriter<W> {
    /// Begins.
    pub fn new(out: W) -> Self {
        let header =
            PlacesHeader { format: FORMAT.to_owned(), version: VERSION, tool: TOOL.to_owned() };
        let mut buffer = Vec::new();
        write_line(&mut buffer, &header);
        Self { out, buffer, row: None, sizes: Sizes { exchanges: 0, of: 0 } }
    }

    /// Counts the next exchange of the whole: whether it is the shard's.
    pub fn count(&mut self, ours: bool) -> io::Result<()> {
        let place = self.sizes.of;
        self.sizes.of += 1;
        if !ours {
            return Ok(());
        }
        self.sizes.exchanges += 1;
        match &mut self.row {
            Some((first, count)) if *first + *count == place => *count += 1,
            row => {
                if let Some(row) = row.replace((place, 1)) {
                    write_line(&mut self.buffer, &row);
                }
            }
        }
        if self.buffer.len() >= 1 << 16 {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes the last line.
    pub fn finish(mut self) -> io::Result<Sizes> {
        if let Some(row) = self.row.take() {
            write_line(&mut self.buffer, &row);
        }
        let end = PlacesEnd { format: END_FORMAT.to_owned(), sizes: self.sizes };
        write_line(&mut self.buffer, &end);
        self.out.write_all(&self.buffer)?;
        self.out.flush()?;
        Ok(self.sizes)
    }
}

/// Reads them again, place by place.
pub struct PlacesReader<R> {
    input: R,
    line: u64,
    text: Vec<u8>,
    row: (u64, u64),
    /// The first place that the next row may begin at.
    next: u64,
    end: Option<Sizes>,
}

impl<R: BufRead> PlacesReader<R> {
    /// Reads the first line.
    pub fn open(input: R) -> Result<Self, PlacesError> {
        let mut reader = Self { input, line: 0, text: Vec::new(), row: (0, 0), next: 0, end: None };
        reader.read_line()?;
        match serde_json::from_slice::<PlacesHeader>(&reader.text) {
            Ok(header) if header.format == FORMAT && header.version <= VERSION => Ok(reader),
            _ => Err(PlacesError::Format),
        }
    }

    /// The next place; none behind the last one.
    pub fn place(&mut self) -> Result<Option<u64>, PlacesError> {
        if self.end.is_some() {
            return Ok(None);
        }
        if self.row.1 == 0 {
            self.read_line()?;
            if self.text.is_empty() {
                return Err(PlacesError::Unfinished);
            }
            if let Ok(PlacesEnd { sizes, .. }) = serde_json::from_slice(&self.text) {
                self.end = Some(sizes);
                return Ok(None);
            }
            let wrong = PlacesError::Line(self.line);
            let (first, count): (u64, u64) =
                serde_json::from_slice(&self.text).map_err(|_| PlacesError::Line(self.line))?;
            let behind = first.checked_add(count).ok_or(PlacesError::Line(self.line))?;
            if first < self.next || count == 0 {
                return Err(wrong);
            }
            (self.row, self.next) = ((first, count), behind);
        }
        let place = self.row.0;
        self.row = (place + 1, self.row.1 - 1);
        Ok(Some(place))
    }

    /// What the last line says, once it was read.
    pub const fn sizes(&self) -> Option<Sizes> {
        self.end
    }

    fn read_line(&mut self) -> Result<(), PlacesError> {
        self.text.clear();
        self.line += 1;
        let mut limited = io::Read::take(&mut self.input, LINE_BYTES);
        limited.read_until(b'\n', &mut self.text)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<(Vec<u64>, Sizes), PlacesError> {
        let mut reader = PlacesReader::open(bytes)?;
        let mut places = Vec::new();
        while let Some(place) = reader.place()? {
            places.push(place);
        }
        Ok((places, reader.sizes().expect("the last line was read")))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ours in proptest::collection::vec(any::<bool>(), 0..300)) {
            let mut bytes = Vec::new();
            let mut writer = PlacesWriter::new(&mut bytes);
            ours.iter().try_for_each(|&ours| writer.count(ours)).unwrap();
            let sizes = writer.finish().unwrap();
            let places: Vec<u64> =
                (0..).zip(&ours).filter(|(_, ours)| **ours).map(|(place, _)| place).collect();
            prop_assert_eq!(sizes, Sizes { exchanges: places.len() as u64, of: ours.len() as u64 });
            prop_assert_eq!(read(&bytes).unwrap(), (places, sizes));
        }
    }

    #[test]
    fn what_is_damaged_is_refused_and_says_where() {
        let head = "{\"format\":\"shadowtap/places\",\"version\":1}\n";
        let end = "{\"format\":\"shadowtap/end\",\"exchanges\":2,\"of\":9}\n";
        let error = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(read(format!("{head}[0,2]\n{end}").as_bytes()).is_ok());
        assert!(error(&format!("{head}[0,2]\n")).contains("no last line"));
        assert!(error(&format!("{head}[5,2]\n[3,1]\n{end}")).contains("line 3"));
        assert!(error(&format!("{head}[5,0]\n{end}")).contains("line 2"));
        assert!(error(&format!("{head}[18446744073709551615,1]\n{end}")).contains("line 2"));
        assert!(error(&format!("{head}[0,2\n{end}")).contains("line 2"));
        assert!(error("{\"format\":\"shadowtap/places\",\"version\":2}\n").contains("no format"));
        assert!(error("").contains("no format"));
    }
}
