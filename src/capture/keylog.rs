//! Key logs that are read while they grow: a live tap's clients write their secrets while it runs.
//!
//! Each round asks for what is new. A file that is not there yet is looked for again, one that was
//! begun anew is read from its start.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::limits;

/// Key logs, and how far each was read.
#[derive(Clone, Debug, Default)]
pub struct KeyLogs {
    files: Vec<Growing>,
}

#[derive(Clone, Debug)]
struct Growing {
    path: PathBuf,
    /// Device and inode, to know it again.
    inode: Option<(u64, u64)>,
    /// Up to here all lines were read.
    read: u64,
    /// Length when it was read last.
    length: u64,
}

impl KeyLogs {
    /// Of these files, none of which was read yet.
    pub fn new(paths: &[PathBuf]) -> Self {
        let growing =
            |path: &PathBuf| Growing { path: path.clone(), inode: None, read: 0, length: 0 };
        Self { files: paths.iter().map(growing).collect() }
    }

    /// Appends the lines that are new. What cannot be read now may be later.
    pub fn read(&mut self, into: &mut Vec<u8>) {
        for file in &mut self.files {
            let _ = file.read(into);
        }
    }
}

impl Growing {
    fn read(&mut self, into: &mut Vec<u8>) -> std::io::Result<()> {
        let known = std::fs::metadata(&self.path)?;
        let inode = Some((known.dev(), known.ino()));
        if self.inode != inode || known.len() < self.length {
            (self.inode, self.read, self.length) = (inode, 0, 0);
        }
        let regular = known.is_file();
        if regular && known.len() == self.length {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        if regular {
            file.seek(SeekFrom::Start(self.read))?;
        } else if self.length > 0 {
            // A pipe is read once.
            return Ok(());
        }
        let before = into.len();
        file.take(limits::KEYLOG_BYTES).read_to_end(into)?;
        let got = &into[before..];
        // A last line that is not whole counts as it is, and again once it is.
        let whole = memchr::memrchr(b'\n', got).map_or(0, |at| at + 1);
        self.length = self.read + got.len() as u64;
        self.read += whole as u64;
        into.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_growing_file_gives_each_line_and_a_cut_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut logs = KeyLogs::new(std::slice::from_ref(&path));
        let mut read = || {
            let mut text = Vec::new();
            logs.read(&mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(read(), "", "it is not there yet");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(read(), "one\ntw\n");
        assert_eq!(read(), "");
        file.write_all(b"o\nthree\n").unwrap();
        assert_eq!(read(), "two\nthree\n\n");
        assert_eq!(read(), "");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(), "");
        std::fs::write(&path, b"anew\n").unwrap();
        assert_eq!(read(), "anew\n\n");
    }
}
