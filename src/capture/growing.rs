//! Whether a file is still being written: what is missing at its end is then no damage, it has only
//! not come yet.
//!
//! Known where a process that we may look at (all of them for root, else the user's own) has it open
//! for writing. Where there may be others, a file that has grown since it was opened counts as well.
//! Otherwise it counts as it lies there: one whose writer is gone is cut, however new it is.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file that is being read, and how long it was when it was opened.
#[derive(Debug)]
pub struct Watch {
    file: File,
    length: u64,
}

impl Watch {
    /// Of an open file; none for what has no length: pipes, devices.
    pub fn new(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Self { file: file.try_clone().ok()?, length: metadata.len() })
    }

    /// How long it was when it was opened, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is longer than when it was opened. Costs next to nothing.
    pub fn has_grown(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() > self.length)
    }

    /// Whether it is still being written. Looks at every open file of every process, so ask where
    /// it matters only.
    pub fn is_being_written(&self) -> bool {
        let own = self.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        own.is_ok_and(has_writer) || (self.has_grown() && !sees_all_processes())
    }
}

/// Whether a process has the file of this device and inode open for writing.
fn has_writer(file: (u64, u64)) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let is_process = |name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut processes = entries(Path::new("/proc")).filter(|entry| is_process(&entry.file_name()));
    processes.any(|process| {
        // Where it is not ours to see, there is nothing to list.
        entries(&process.path().join("fd")).any(|descriptor| {
            fs::metadata(descriptor.path())
                .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == file)
                && is_for_writing(&process.path().join("fdinfo").join(descriptor.file_name()))
        })
    })
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
        let watch = Watch::new(&File::open(&path).expect("it is there")).expect("a file");
        assert_eq!((watch.length(), watch.has_grown()), (3, false));
        assert!(!cfg!(target_os = "linux") || watch.is_being_written(), "it is open for writing");
        writer.write_all(b"two").expect("room");
        assert!(watch.has_grown() && watch.is_being_written());
        drop(writer);
        assert!(!watch.is_being_written() || !sees_all_processes(), "it has grown, and is over");
        let again = Watch::new(&File::open(&path).expect("it is there")).expect("a file");
        assert!(!again.is_being_written(), "nobody writes it any more");
    }
}
