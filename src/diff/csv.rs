//! CSV for people and their spreadsheets: cells that a spreadsheet would run as a formula are made text.

use std::borrow::Cow;
use std::io::{self, Write};

/// A CSV writer whose cells are safe to open in a spreadsheet.
pub struct Writer<W: Write>(csv::Writer<W>);

impl<W: Write> Writer<W> {
    /// Starts with the column names.
    pub fn new(out: W, columns: &[&str]) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(columns).map_err(io::Error::other)?;
        Ok(Self(writer))
    }

    /// Writes a row.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        for text in cells {
            self.0.write_field(cell(text).as_bytes()).map_err(io::Error::other)?;
        }
        self.0.write_record(None::<&[u8]>).map_err(io::Error::other)
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A cell's text: with an apostrophe before what a spreadsheet takes for a formula (`=`, `+`, `-`, `@`, a tab, a line end),
/// unless it is a plain number.
pub fn cell(text: &str) -> Cow<'_, str> {
    let formula = matches!(text.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n'));
    let number = text.len() > 1
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.'))
        && text.parse::<f64>().is_ok();
    if formula && !number { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        for (text, expected) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1-1", "'+1-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("-5", "-5"),
            ("-5.25", "-5.25"),
            ("+3", "+3"),
            ("-", "'-"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, &["a", "b"]).unwrap();
        writer.row(["=1,2", "x\"y\nz"]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(String::from_utf8(out).unwrap(), "a,b\n\"'=1,2\",\"x\"\"y\nz\"\n");
    }
}
