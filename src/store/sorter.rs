//! Sorts more records than memory should hold: fixed-size records in sorted runs on disk, merged
//! when read.
//!
//! Records are compared as bytes, so keys stand first and big-endian. What fits into one run never
//! touches the disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rayon::slice::ParallelSliceMut as _;

/// Records of a run, and of a reader's buffer while merging, in bytes.
const RUN_BYTES: usize = 24 << 20;
const READ_BYTES: usize = 64 << 10;

/// A file without a name in `folder`: gone when it is dropped, also after a kill.
pub fn nameless_file(folder: &Path) -> io::Result<File> {
    // What it holds may be secret, for as long as it has a name too.
    let open = |path: &PathBuf| {
        File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
    };
    for attempt in 0..100u32 {
        let path = folder.join(format!(".shadowtap-{}-{attempt}.tmp", std::process::id()));
        match open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "a hundred temporary files of this process are there already",
    ))
}

/// Takes records of `N` bytes in any order.
pub(crate) struct Sorter<const N: usize> {
    folder: PathBuf,
    limit: usize,
    records: Vec<[u8; N]>,
    file: Option<File>,
    runs: Vec<SortedRun>,
    end: u64,
}

#[derive(Clone, Copy)]
struct SortedRun {
    start: u64,
    end: u64,
}

impl<const N: usize> Sorter<N> {
    /// A sorter that spills into `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with_limit(folder, RUN_BYTES / N)
    }

    fn with_limit(folder: &Path, limit: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            limit: limit.max(1),
            records: Vec::new(),
            file: None,
            runs: Vec::new(),
            end: 0,
        }
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.records.len() == self.limit {
            self.spill()?;
        }
        if self.records.capacity() == 0 {
            // Only what is touched takes memory; growing would touch all of it again.
            self.records.reserve_exact(self.limit);
        }
        self.records.push(record);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        sort(&mut self.records);
        let file = match &mut self.file {
            Some(file) => file,
            slot => slot.insert(nameless_file(&self.folder)?),
        };
        let bytes = self.records.as_flattened();
        file.write_all_at(bytes, self.end)?;
        let start = self.end;
        self.end += bytes.len() as u64;
        self.runs.push(SortedRun { start, end: self.end });
        self.records.clear();
        Ok(())
    }

    /// Ends the input.
    pub(crate) fn finish(mut self) -> io::Result<Sorted<N>> {
        if self.file.is_some() {
            self.spill()?;
            self.records = Vec::new();
        } else {
            sort(&mut self.records);
        }
        Ok(Sorted { records: self.records, file: self.file, runs: self.runs })
    }
}

/// Sorts records: by their first sixteen bytes as one number, which nearly always tell them apart,
/// and by the rest.
fn sort<const N: usize>(records: &mut [[u8; N]]) {
    let first = |record: &[u8; N]| {
        let mut key = [0; 16];
        let n = N.min(16);
        key[..n].copy_from_slice(&record[..n]);
        u128::from_be_bytes(key)
    };
    records.par_sort_unstable_by(|a, b| {
        first(a).cmp(&first(b)).then_with(|| a[N.min(16)..].cmp(&b[N.min(16)..]))
    });
}

/// Sorted records; can be read any number of times.
pub(crate) struct Sorted<const N: usize> {
    records: Vec<[u8; N]>,
    file: Option<File>,
    runs: Vec<SortedRun>,
}

impl<const N: usize> Sorted<N> {
    /// All records in order.
    pub(crate) fn iter(&self) -> io::Result<Merge<'_, N>> {
        let mut merge =
            Merge { memory: self.records.iter(), readers: Vec::new(), heads: BinaryHeap::new() };
        if let Some(file) = &self.file {
            for run in &self.runs {
                let mut reader = RunReader { file, run: *run, buffer: Vec::new(), at: 0 };
                if let Some(record) = reader.next()? {
                    merge.heads.push(Reverse((record, merge.readers.len())));
                }
                merge.readers.push(reader);
            }
        }
        Ok(merge)
    }
}

/// Reads sorted records.
pub(crate) struct Merge<'a, const N: usize> {
    memory: std::slice::Iter<'a, [u8; N]>,
    readers: Vec<RunReader<'a, N>>,
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Merge<'_, N> {
    fn advance(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(Reverse((record, from))) = self.heads.pop() else {
            return Ok(self.memory.next().copied());
        };
        if let Some(next) = self.readers[from].next()? {
            self.heads.push(Reverse((next, from)));
        }
        Ok(Some(record))
    }
}

impl<const N: usize> Iterator for Merge<'_, N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

struct RunReader<'a, const N: usize> {
    file: &'a File,
    run: SortedRun,
    buffer: Vec<u8>,
    at: usize,
}

impl<const N: usize> RunReader<'_, N> {
    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.at == self.buffer.len() {
            let left = (self.run.end - self.run.start).min((READ_BYTES / N * N) as u64) as usize;
            if left == 0 {
                return Ok(None);
            }
            self.buffer.resize(left, 0);
            self.file.read_exact_at(&mut self.buffer, self.run.start)?;
            self.run.start += left as u64;
            self.at = 0;
        }
        let record = self.buffer[self.at..self.at + N]
            .try_into()
            .expect("the slice has the record's length");
        self.at += N;
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_also_what_does_not_fit(values: Vec<u32>, limit in 1usize..50) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::<4>::with_limit(folder.path(), limit);
            for value in &values {
                sorter.push(value.to_be_bytes()).unwrap();
            }
            let sorted = sorter.finish().unwrap();
            let mut expected = values;
            expected.sort_unstable();
            for _ in 0..2 {
                let got: Vec<u32> = sorted
                    .iter()
                    .unwrap()
                    .map(|record| u32::from_be_bytes(record.unwrap()))
                    .collect();
                prop_assert_eq!(&got, &expected);
            }
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
