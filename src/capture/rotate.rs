//! Where a recording goes: a file, or a row of files cut by size or time, plain or zstd.
//!
//! A file is called `NAME.part` until it is complete, is readable by its owner only, and holds
//! whole records after every write, so that a kill loses at most what was not handed over yet. With
//! zstd each write is a frame of its own (RFC 8878 §3), so a file that was cut anywhere is readable
//! up to its last whole frame.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Gid, Uid};

use crate::mode;
use crate::store::uploads::Uploads;
use crate::time::{Monotonic, NANOS_PER_SEC, Timestamp};

/// Uncompressed bytes that make a zstd frame; fewer after [`FLUSH_NS`].
const FRAME_BYTES: usize = 1 << 20;
/// Longest that anything stays in memory.
const FLUSH_NS: i64 = NANOS_PER_SEC;
/// How often the room on the disk is looked up, since others write too.
const ROOM_EVERY_NS: i64 = NANOS_PER_SEC;
/// Fast; the capture must not take the processor from v1.
const ZSTD_LEVEL: i32 = 1;

/// What is written where.
#[derive(Clone, Debug)]
pub struct FilePlan {
    /// The file, or the pattern of the files' names (`%Y`, `%m`, `%d`, `%H`, `%M`, `%S`, in UTC).
    pub path: PathBuf,
    /// Whether to compress with zstd.
    pub compress: bool,
    /// Begin a new file before this one grows beyond so many bytes.
    pub rotate_size: Option<u64>,
    /// Begin a new file at each multiple of so many nanoseconds since the epoch.
    pub rotate_every: Option<i64>,
    /// Keep only so many complete files.
    pub keep_files: Option<usize>,
    /// Stop before the disk has less free room than this.
    pub min_free: u64,
    /// Replace a file that is there.
    pub force: bool,
    /// Give the files to this user.
    pub owner: Option<(Uid, Gid)>,
    /// Where complete files go; [`Self::keep_files`] is then the business of that.
    pub uploads: Option<Uploads>,
    /// Write to standard output instead of files.
    pub to_stdout: bool,
}

impl FilePlan {
    /// A single plain file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            compress: false,
            rotate_size: None,
            rotate_every: None,
            keep_files: None,
            min_free: 0,
            force: false,
            owner: None,
            uploads: None,
            to_stdout: false,
        }
    }

    const fn rotates(&self) -> bool {
        self.rotate_size.is_some() || self.rotate_every.is_some()
    }
}

/// How the records of a file are kept whole.
pub trait RecordCuts {
    /// What stands at the start of each file.
    fn start(&self, out: &mut Vec<u8>);
    /// What stands at the end of each file.
    fn end(&mut self, out: &mut Vec<u8>);
    /// Length and number of the whole records in the first `length` bytes of `bytes`.
    fn whole(&self, bytes: &[u8], length: usize) -> (usize, u64);
}

/// Why a recording cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file cannot be made.
    #[error("cannot make {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of this name is there.
    #[error("{0} exists: choose another name, or add --force to replace it")]
    Exists(PathBuf),
    /// Another program writes it.
    #[error("{0} is being written by another capture")]
    Busy(PathBuf),
    /// A write failed; the file was cut back to whole records.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk has less room than must stay free.
    #[error(
        "{path}: the disk has {free} bytes free, and {least} of them must stay so (--min-free)"
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What must stay free.
        least: u64,
    },
}

/// The files of a recording.
pub struct RecordingOutput<R> {
    plan: FilePlan,
    records: R,
    current: Option<CurrentFile>,
    /// Complete files, oldest first.
    complete: VecDeque<PathBuf>,
    serial: u64,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    frame: Vec<u8>,
    scratch: Vec<u8>,
    /// What may be written before the disk has to be looked at again.
    room: u64,
    looked: Monotonic,
    /// Records that were handed over and could not be written.
    lost: u64,
    files: u64,
    written: u64,
}

/// The file that is being written.
struct CurrentFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    /// Bytes on disk; whole records, or whole frames.
    length: u64,
    /// Records that wait to fill a frame, and how many.
    pending: Vec<u8>,
    pending_records: u64,
    /// Whether there is more than the head in it.
    holds_records: bool,
    flushed: Monotonic,
    /// When the next file begins.
    until: Option<Timestamp>,
}

impl CurrentFile {
    fn new(file: File, part: PathBuf, path: PathBuf, until: Option<Timestamp>) -> Self {
        Self {
            file,
            part,
            path,
            length: 0,
            pending: Vec::new(),
            pending_records: 0,
            holds_records: false,
            flushed: Monotonic::now(),
            until,
        }
    }
}

impl<R: RecordCuts> RecordingOutput<R> {
    /// Makes the first file, so that what is wrong with the name is known before anything is
    /// recorded.
    pub fn open(plan: FilePlan, records: R) -> Result<Self, OutputError> {
        let compressor = plan
            .compress
            .then(|| zstd::bulk::Compressor::new(ZSTD_LEVEL))
            .transpose()
            .map_err(|source| OutputError::Create { path: plan.path.clone(), source })?;
        let mut output = Self {
            plan,
            records,
            current: None,
            complete: VecDeque::new(),
            serial: 0,
            compressor,
            frame: Vec::new(),
            scratch: Vec::new(),
            room: 0,
            looked: Monotonic::now(),
            lost: 0,
            files: 0,
            written: 0,
        };
        output.begin(Timestamp::now())?;
        Ok(output)
    }

    /// The records' writer.
    pub const fn records(&self) -> &R {
        &self.records
    }

    /// The records' writer, to change what stands at the end.
    pub const fn records_mut(&mut self) -> &mut R {
        &mut self.records
    }

    /// Records that were handed over and could not be written.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// How many files were begun.
    pub const fn files(&self) -> u64 {
        self.files
    }

    /// How many bytes were written to disk.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Records `bytes`, which are `records` whole records.
    pub fn write(&mut self, bytes: &[u8], records: u64) -> Result<(), OutputError> {
        let result = self.try_write(bytes, records);
        if let Err((error, lost)) = result {
            self.lost += lost;
            return Err(error);
        }
        Ok(())
    }

    fn try_write(&mut self, bytes: &[u8], records: u64) -> Result<(), (OutputError, u64)> {
        let now = Timestamp::now();
        if let Some(current) = &self.current {
            let grown = current.length + (current.pending.len() + bytes.len()) as u64;
            // What waits for compression is counted uncompressed: a file never grows beyond its
            // size, and may stay below it.
            let full =
                self.plan.rotate_size.is_some_and(|size| current.holds_records && grown > size);
            if full || current.until.is_some_and(|until| now >= until) {
                self.complete().map_err(|error| (error, records))?;
            }
        }
        if self.current.is_none() {
            self.begin(now).map_err(|error| (error, records))?;
        }
        let Err(error) = self.look_for_room(bytes.len() as u64) else {
            return self.append(bytes, records);
        };
        // What there is room for is kept.
        let room = match &error {
            OutputError::NoRoom { free, least, .. } => {
                usize::try_from(free.saturating_sub(*least)).unwrap_or(usize::MAX)
            }
            _ => 0,
        };
        let (whole, kept) = self.records.whole(bytes, room.min(bytes.len()));
        let lost = records - kept.min(records);
        match self.append(&bytes[..whole], kept) {
            Ok(()) => Err((error, lost)),
            Err((full, more)) => Err((full, lost + more)),
        }
    }

    /// Puts what waits onto the disk where it has waited long enough, and completes a file whose
    /// time is over. To be called at least a few times a second.
    pub fn tick(&mut self) -> Result<(), OutputError> {
        self.look_for_room(0)?;
        let Some(current) = &self.current else { return Ok(()) };
        if current.until.is_some_and(|until| Timestamp::now() >= until) {
            return self.complete();
        }
        if current.flushed.elapsed() >= FLUSH_NS { self.flush() } else { Ok(()) }
    }

    /// Puts all that waits onto the disk.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.end_frame().map_err(|(error, lost)| {
            self.lost += lost;
            error
        })
    }

    /// How long it may be until [`Self::tick`] has something to do where nothing is written and
    /// nothing waits; none for ever.
    pub fn due(&self) -> Option<Duration> {
        let until = self.current.as_ref()?.until?;
        Some(Duration::from_nanos(until.since(Timestamp::now()).max(0) as u64))
    }

    /// Completes the last file.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        if self.current.is_some() { self.complete() } else { Ok(()) }
    }

    /// The complete files that are still there, oldest first.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.complete.iter().map(PathBuf::as_path)
    }

    fn append(&mut self, bytes: &[u8], records: u64) -> Result<(), (OutputError, u64)> {
        let current = self.current.as_mut().expect("a file was begun before anything is appended");
        current.holds_records |= records > 0;
        if self.compressor.is_none() {
            return put(current, bytes, &mut self.written).map_err(|source| {
                // Cut back to whole records. What cannot be cut is still readable: readers take a
                // cut last record.
                let reached = current.file.metadata().map_or(current.length, |data| data.len());
                let reached = usize::try_from(reached.saturating_sub(current.length))
                    .unwrap_or(0)
                    .min(bytes.len());
                let (whole, kept) = self.records.whole(bytes, reached);
                current.length += whole as u64;
                let _ = current.file.set_len(current.length);
                (
                    OutputError::Write { path: current.part.clone(), source },
                    records - kept.min(records),
                )
            });
        }
        current.pending.extend_from_slice(bytes);
        current.pending_records += records;
        if current.pending.len() >= FRAME_BYTES { self.end_frame() } else { Ok(()) }
    }

    /// Writes what waits as a frame. On failure the file is cut back to its whole frames.
    fn end_frame(&mut self) -> Result<(), (OutputError, u64)> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.flushed = Monotonic::now();
        let Some(compressor) = self.compressor.as_mut().filter(|_| !current.pending.is_empty())
        else {
            return Ok(());
        };
        self.frame.clear();
        self.frame.reserve(zstd::zstd_safe::compress_bound(current.pending.len()));
        let result = compressor
            .compress_to_buffer(&current.pending, &mut self.frame)
            .and_then(|_| put(current, &self.frame, &mut self.written));
        let records = std::mem::take(&mut current.pending_records);
        current.pending.clear();
        result.map_err(|source| {
            let _ = current.file.set_len(current.length);
            (OutputError::Write { path: current.part.clone(), source }, records)
        })
    }

    fn begin(&mut self, now: Timestamp) -> Result<(), OutputError> {
        let until =
            self.plan.rotate_every.map(|every| now.plus(every - now.nanos().rem_euclid(every)));
        if self.plan.to_stdout {
            return self.begin_stdout();
        }
        let path = self.name(now)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| OutputError::Create { path, source }
        };
        mode::make_folder_of(&path).map_err(failed(&path))?;
        let part = suffixed(&path, ".part");
        let file = open_part(&part)?;
        if let Some((user, group)) = self.plan.owner {
            rustix::fs::fchown(&file, Some(user), Some(group))
                .map_err(|error| failed(&part)(error.into()))?;
        }
        self.room = 0;
        self.start(CurrentFile::new(file, part, path, until))
    }

    /// Standard output, as if it were a file that never ends.
    fn begin_stdout(&mut self) -> Result<(), OutputError> {
        let name = PathBuf::from("standard output");
        let file = rustix::io::dup(io::stdout())
            .map_err(|error| OutputError::Create { path: name.clone(), source: error.into() })?;
        self.start(CurrentFile::new(File::from(file), name.clone(), name, None))
    }

    /// Writes what stands at the start of a file.
    fn start(&mut self, current: CurrentFile) -> Result<(), OutputError> {
        self.files += 1;
        self.current = Some(current);
        self.look_for_room(1)?;
        let mut start = std::mem::take(&mut self.scratch);
        start.clear();
        self.records.start(&mut start);
        let result = self.append(&start, 0).and_then(|()| self.end_frame());
        self.scratch = start;
        result.map_err(|(error, _)| {
            // Not even the head of a file: better none than one that nobody can read.
            if let Some(current) = self.current.take()
                && !self.plan.to_stdout
            {
                let _ = std::fs::remove_file(&current.part);
            }
            error
        })
    }

    /// Closes the current file and gives it its name.
    fn complete(&mut self) -> Result<(), OutputError> {
        let mut end = std::mem::take(&mut self.scratch);
        end.clear();
        self.records.end(&mut end);
        // A full disk may have no room for the end; the file is readable without it.
        let result = self.append(&end, 0).and_then(|()| self.end_frame());
        self.scratch = end;
        let Some(current) = self.current.take() else { return Ok(()) };
        if !self.plan.to_stdout {
            std::fs::rename(&current.part, &current.path)
                .map_err(|source| OutputError::Create { path: current.path.clone(), source })?;
            match &self.plan.uploads {
                // It is the uploads' from here on, also to be taken away.
                Some(uploads) => uploads.push(current.path),
                None => self.complete.push_back(current.path),
            }
        }
        if let Some(keep) = self.plan.keep_files {
            while self.complete.len() > keep.max(1) {
                let oldest = self.complete.pop_front().expect("there are more files than are kept");
                if let Err(error) = std::fs::remove_file(&oldest) {
                    tracing::warn!("cannot remove {}: {error}", oldest.display());
                }
            }
        }
        result.map_err(|(error, lost)| {
            self.lost += lost;
            error
        })
    }

    /// The next file's name: the pattern filled in, numbered where the pattern does not tell files
    /// apart.
    fn name(&mut self, now: Timestamp) -> Result<PathBuf, OutputError> {
        let filled = fill(&self.plan.path, now);
        let patterned = filled != self.plan.path;
        if !self.plan.rotates() {
            return if self.taken(&filled) && !self.plan.force {
                Err(OutputError::Exists(filled))
            } else {
                Ok(filled)
            };
        }
        loop {
            self.serial += 1;
            let name = match (patterned, self.serial) {
                (true, 1) => filled.clone(),
                (true, n) => numbered(&filled, &format!("-{n}")),
                (false, n) => numbered(&filled, &format!("-{n:05}")),
            };
            if !self.taken(&name) || (self.plan.force && !self.complete.contains(&name)) {
                // With a pattern the number only tells files of the same second apart.
                if patterned {
                    self.serial = 0;
                }
                return Ok(name);
            }
        }
    }

    /// Whether a file of this name holds something. An empty one was made to be filled (`mktemp`).
    fn taken(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|data| !data.is_file() || data.len() > 0)
    }

    /// Makes sure that `more` bytes may be written without taking what must stay free.
    fn look_for_room(&mut self, more: u64) -> Result<(), OutputError> {
        if self.plan.min_free == 0 {
            return Ok(());
        }
        if more <= self.room && self.looked.elapsed() < ROOM_EVERY_NS {
            self.room -= more;
            return Ok(());
        }
        let Some(current) = &self.current else { return Ok(()) };
        let Ok(disk) = rustix::fs::fstatvfs(&current.file) else { return Ok(()) };
        self.looked = Monotonic::now();
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        match free.checked_sub(self.plan.min_free).and_then(|room| room.checked_sub(more)) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => {
                self.room = 0;
                Err(OutputError::NoRoom {
                    path: current.part.clone(),
                    free,
                    least: self.plan.min_free,
                })
            }
        }
    }
}

fn put(current: &mut CurrentFile, bytes: &[u8], written: &mut u64) -> io::Result<()> {
    current.file.write_all(bytes)?;
    current.length += bytes.len() as u64;
    *written += bytes.len() as u64;
    Ok(())
}

/// Makes the file that is written to, and locks it. One that a killed capture left is kept under
/// another name.
fn open_part(part: &Path) -> Result<File, OutputError> {
    let failed = |source: io::Error| OutputError::Create { path: part.to_owned(), source };
    if let Ok(left) = File::open(part) {
        if rustix::fs::flock(&left, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(OutputError::Busy(part.to_owned()));
        }
        if left.metadata().is_ok_and(|data| data.len() > 0) {
            let kept = (1u32..)
                .map(|n| suffixed(part, &format!(".left-{n}")))
                .find(|path| !path.exists())
                .expect("there are fewer than four billion files");
            std::fs::rename(part, &kept).map_err(failed)?;
            tracing::warn!(
                "{} was left by a capture that was killed: kept as {}",
                part.display(),
                kept.display()
            );
        } else {
            std::fs::remove_file(part).map_err(failed)?;
        }
    }
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(mode::kept())
        .open(part)
        .map_err(failed)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| OutputError::Busy(part.to_owned()))?;
    Ok(file)
}

/// The room that must stay free where the user says nothing: 100 MiB, or a twentieth of a small
/// disk.
pub fn default_min_free(folder: &Path) -> u64 {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    rustix::fs::statvfs(existing)
        .map_or(0, |room| (room.f_blocks.saturating_mul(room.f_frsize) / 20).min(100 << 20))
}

/// Fills a pattern in (`%Y%m%dT%H%M%S`, `%%`), in UTC. Other conversions stay as they are.
fn fill(pattern: &Path, now: Timestamp) -> PathBuf {
    let Some(text) = pattern.to_str().filter(|text| text.contains('%')) else {
        return pattern.to_owned();
    };
    let stamp = now.to_string();
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('Y') => out.push_str(&stamp[0..4]),
            Some('m') => out.push_str(&stamp[5..7]),
            Some('d') => out.push_str(&stamp[8..10]),
            Some('H') => out.push_str(&stamp[11..13]),
            Some('M') => out.push_str(&stamp[14..16]),
            Some('S') => out.push_str(&stamp[17..19]),
            Some('F') => out.push_str(&stamp[0..10]),
            Some('s') => out.push_str(&now.nanos().div_euclid(NANOS_PER_SEC).to_string()),
            Some('%') => out.push('%'),
            other => out.extend(['%'].into_iter().chain(other)),
        }
    }
    PathBuf::from(out)
}

/// `v1.pcap.zst` with `-2` before its endings: `v1-2.pcap.zst`.
fn numbered(path: &Path, number: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.strip_suffix(".zst").unwrap_or(&name);
    let stem = plain.rfind('.').filter(|&at| at > 0).unwrap_or(plain.len());
    path.with_file_name(format!("{}{number}{}", &name[..stem], &name[stem..]))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Records of one line each.
    struct RecordLines;

    impl RecordCuts for RecordLines {
        fn start(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"start\n");
        }

        fn end(&mut self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"end\n");
        }

        fn whole(&self, bytes: &[u8], length: usize) -> (usize, u64) {
            let whole =
                bytes[..length].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            (whole, bytes[..whole].iter().filter(|&&byte| byte == b'\n').count() as u64)
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_complete_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/v1.pcap");
        let mut output = RecordingOutput::open(FilePlan::file(&path), RecordLines).unwrap();
        output.write(b"one\n", 1).unwrap();
        assert_eq!(names(path.parent().unwrap()), ["v1.pcap.part"]);
        assert_eq!(std::fs::read(suffixed(&path, ".part")).unwrap(), b"start\none\n");
        assert!(matches!(
            RecordingOutput::open(FilePlan::file(&path), RecordLines),
            Err(OutputError::Busy(_))
        ));
        output.finish().unwrap();
        assert_eq!(names(path.parent().unwrap()), ["v1.pcap"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"start\none\nend\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(
            RecordingOutput::open(FilePlan::file(&path), RecordLines),
            Err(OutputError::Exists(_))
        ));
        let mut forced =
            RecordingOutput::open(FilePlan { force: true, ..FilePlan::file(&path) }, RecordLines)
                .unwrap();
        forced.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"start\nend\n");
    }

    #[test]
    fn what_a_killed_capture_left_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.pcap");
        std::fs::write(suffixed(&path, ".part"), b"left").unwrap();
        let mut output = RecordingOutput::open(FilePlan::file(&path), RecordLines).unwrap();
        output.finish().unwrap();
        assert_eq!(names(folder.path()), ["v1.pcap", "v1.pcap.part.left-1"]);
    }

    #[test]
    fn files_are_cut_by_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.pcap");
        let plan = FilePlan { rotate_size: Some(20), keep_files: Some(2), ..FilePlan::file(&path) };
        let mut output = RecordingOutput::open(plan, RecordLines).unwrap();
        for _ in 0..5 {
            output.write(b"0123456789\n", 1).unwrap();
        }
        output.finish().unwrap();
        assert_eq!(names(folder.path()), ["v1-00004.pcap", "v1-00005.pcap"]);
        assert_eq!(
            std::fs::read(folder.path().join("v1-00005.pcap")).unwrap(),
            b"start\n0123456789\nend\n"
        );
    }

    #[test]
    fn each_frame_of_zstd_is_readable_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.jsonl.zst");
        let mut output = RecordingOutput::open(
            FilePlan { compress: true, ..FilePlan::file(&path) },
            RecordLines,
        )
        .unwrap();
        output.write(b"one\n", 1).unwrap();
        output.flush().unwrap();
        output.write(b"two\n", 1).unwrap();
        let part = std::fs::read(suffixed(&path, ".part")).unwrap();
        assert_eq!(
            zstd::decode_all(&part[..]).unwrap(),
            b"start\none\n",
            "what waits is not on the disk, what was flushed is"
        );
        output.finish().unwrap();
        assert_eq!(
            zstd::decode_all(File::open(&path).unwrap()).unwrap(),
            b"start\none\ntwo\nend\n"
        );
    }

    #[test]
    fn patterns_are_filled_in_and_names_told_apart() {
        let now = Timestamp::from_nanos(1_795_341_600_000_123_456);
        assert_eq!(
            fill(Path::new("a/%Y%m%dT%H%M%SZ-%%-%q%"), now),
            Path::new("a/20261122T100000Z-%-%q%")
        );
        assert_eq!(numbered(Path::new("a/v1.pcap.zst"), "-2"), Path::new("a/v1-2.pcap.zst"));
        assert_eq!(numbered(Path::new("v1"), "-2"), Path::new("v1-2"));
        let folder = tempfile::tempdir().unwrap();
        let plan =
            FilePlan { rotate_size: Some(1), ..FilePlan::file(folder.path().join("%Y.pcap")) };
        let mut output = RecordingOutput::open(plan, RecordLines).unwrap();
        for _ in 0..3 {
            output.write(b"x\n", 1).unwrap();
        }
        output.finish().unwrap();
        let year = &Timestamp::now().to_string()[..4];
        assert_eq!(
            names(folder.path()),
            [format!("{year}-2.pcap"), format!("{year}-3.pcap"), format!("{year}.pcap")]
        );
    }

    #[test]
    fn too_little_room_ends_it_with_a_readable_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.pcap");
        let plan = FilePlan { min_free: u64::MAX, ..FilePlan::file(&path) };
        assert!(matches!(
            RecordingOutput::open(plan, RecordLines),
            Err(OutputError::NoRoom { .. })
        ));
    }
}
