//! CSV for people, their terminals and their spreadsheets: what cannot be seen is made visible, so
//! that a row is a line and nothing reaches a terminal raw, and cells that a spreadsheet would run
//! as a formula are made text.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// A CSV writer whose cells are safe to open in a spreadsheet.
pub struct CsvWriter<W: Write>(csv::Writer<W>);

impl<W: Write> CsvWriter<W> {
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

/// A cell's text: visible, and with an apostrophe before what a spreadsheet takes for a formula
/// (`=`, `+`, `-`, `@`), unless it is a plain number.
pub fn cell(text: &str) -> Cow<'_, str> {
    let formula = matches!(text.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@'));
    let number = text.len() > 1
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.'))
        && text.parse::<f64>().is_ok();
    if formula && !number { Cow::Owned(format!("'{}", visible(text))) } else { visible(text) }
}

/// Makes what a reader cannot see, or what changes what the reader sees, visible: control
/// characters, marks that turn the direction of writing, and other characters without a glyph
/// become `\u{…}`. Line ends and tabs become `\n` and `\t`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Control characters; marks and overrides of direction (U+200E, U+202A …, U+2066 …), joiners, line
/// and paragraph separators, the byte-order mark, tags, and what XML forbids.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
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
            ("\t=1", "\\t=1"),
            ("\u{1b}[31mred\r\nx\u{202e}", "\\u{1b}[31mred\\r\\nx\\u{202e}"),
            ("=\u{7}", "'=\\u{7}"),
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
        let mut writer = CsvWriter::new(&mut out, &["a", "b"]).unwrap();
        writer.row(["=1,2", "x\"y\nz"]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(String::from_utf8(out).unwrap(), "a,b\n\"'=1,2\",\"x\"\"y\\nz\"\n");
    }
}
