//! Whether a file is still being written: what is missing at its end is then no damage, it has only
//! not come yet.
//!
//! Known where a process that we may look at (all of them for root, else the user's own) has it
//! open for writing. Where there may be others, a file that has grown since it was opened counts as
//! well. Otherwise it counts as it lies there: one whose writer is gone is cut, however new it is.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A file that is being read, and how long it was when it was opened. It is known by its name, so
/// that thousands of inputs need no open file each.
#[derive(Clone, Debug)]
pub struct Watch {
    path: PathBuf,
    /// Its device and inode.
    id: (u64, u64),
    length: u64,
}

impl Watch {
    /// Of the file of this name; none for what has no length: pipes, devices.
    pub fn new(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self { path: path.to_owned(), id: id(&metadata), length: metadata.len() })
    }

    /// Reads the file from its start, with no file open between two reads. It fails where another
    /// file has its name by now.
    pub fn reader(&self) -> impl Read + Send + use<> {
        Reopened { watch: self.clone(), offset: 0 }
    }

    /// How long it was when it was opened, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is longer than when it was opened. Costs next to nothing.
    pub fn has_grown(&self) -> bool {
        self.metadata().is_some_and(|metadata| metadata.len() > self.length)
    }

    /// Whether it is still being written. Looks at every open file of every process, so ask where
    /// it matters only.
    pub fn is_being_written(&self) -> bool {
        self.is_written_by(&Writers::now())
    }

    /// As [`Self::is_being_written`], for many files at once.
    pub fn is_written_by(&self, writers: &Writers) -> bool {
        writers.0.contains(&self.id) || (self.has_grown() && !sees_all_processes())
    }

    fn metadata(&self) -> Option<fs::Metadata> {
        fs::metadata(&self.path).ok().filter(|metadata| id(metadata) == self.id)
    }
}

fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A file that is opened for each read.
struct Reopened {
    watch: Watch,
    offset: u64,
}

impl Read for Reopened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = File::open(&self.watch.path)?;
        if id(&file.metadata()?) != self.watch.id {
            return Err(io::Error::other("another file has its name by now"));
        }
        let got = file.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}

/// The files that processes have open for writing. Where a process is not ours to see, there is
/// nothing to list.
#[derive(Debug)]
pub struct Writers(HashSet<(u64, u64)>);

impl Writers {
    /// As it is now.
    pub fn now() -> Self {
        let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        let is_process = |name: &std::ffi::OsStr| {
            name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let processes = entries(Path::new("/proc")).filter(|entry| is_process(&entry.file_name()));
        let files = processes.flat_map(|process| {
            entries(&process.path().join("fd")).filter_map(move |descriptor| {
                let metadata = fs::metadata(descriptor.path()).ok()?;
                let info = process.path().join("fdinfo").join(descriptor.file_name());
                (metadata.is_file() && is_for_writing(&info)).then(|| id(&metadata))
            })
        });
        Self(files.collect())
    }
}

/// Whether a writer of another user would have been found.
fn sees_all_processes() -> bool {
    fs::read_dir("/proc/1/fd").is_ok()
}

/// Reads the flags that a descriptor was opened with (proc_pid_fdinfo(5)): the lowest two bits are
/// the access mode.
fn is_for_writing(info: &Path) -> bool {
    let text = fs::read_to_string(info).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_being_written_while_it_grows_or_has_a_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.pcap");
        let mut writer = File::create(&path).expect("a file");
        writer.write_all(b"one").expect("room");
        let watch = Watch::new(&path).expect("a file");
        assert_eq!((watch.length(), watch.has_grown()), (3, false));
        assert!(!cfg!(target_os = "linux") || watch.is_being_written(), "it is open for writing");
        writer.write_all(b"two").expect("room");
        assert!(watch.has_grown() && watch.is_being_written());
        drop(writer);
        assert!(!watch.is_being_written() || !sees_all_processes(), "it has grown, and is over");
        let again = Watch::new(&path).expect("a file");
        assert!(!again.is_being_written(), "nobody writes it any more");
    }
}
