//! Files that are there only when they are whole: written beside their place under another name,
//! which they take at the end; locked by who writes them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::mode;

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// The files that are not whole yet, for who ends the program in their midst.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Takes away what is not whole: the program ends.
pub(crate) fn discard_unfinished() {
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        while let Some(part) = unfinished.pop_first() {
            let _ = fs::remove_file(part);
        }
    }
}

/// A file that is written beside its place and takes it when it is whole: `x.jsonl` is
/// `.x.jsonl.part` until then. Who writes it has it locked; one that a killed program left is
/// written anew.
pub(crate) struct UnfinishedFile {
    path: PathBuf,
    part: PathBuf,
    file: Option<File>,
    /// What takes the place instead, under another name.
    original: Option<PathBuf>,
}

impl UnfinishedFile {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!(".{name}.part"));
        mode::make_folder_of(path)?;
        let file = lock(&part)?;
        file.set_len(0)?;
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            unfinished.insert(part.clone());
        }
        Ok(Self { path: path.to_owned(), part, file: Some(file), original: None })
    }

    /// Another handle of the file.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), File::try_clone)
    }

    /// Opens what was written so far, to be read.
    pub(crate) fn open(&self) -> io::Result<File> {
        File::open(&self.part)
    }

    /// Fills the file with what `original` holds: by a clone of it, or by another name for it where
    /// that lets nobody read what a copy would keep from him, else by a copy. Who changes the
    /// original in place later changes the other name's file too; this program never does so.
    pub(crate) fn fill_from(&mut self, original: &Path) -> io::Result<()> {
        let (mut file, mut source) = (self.file()?, File::open(original)?);
        #[cfg(target_os = "linux")]
        if rustix::fs::ioctl_ficlone(&file, &source).is_ok() {
            return Ok(());
        }
        let folder = self.part.parent().map_or_else(|| fs::metadata("."), fs::metadata)?;
        if may_stand_for(&source.metadata()?, &file.metadata()?, &folder) {
            self.original = Some(fs::canonicalize(original)?);
            return Ok(());
        }
        io::copy(&mut source, &mut file).map(drop)
    }

    /// Whether there is a file already whose place it would take.
    pub(crate) fn replaces_another(&self) -> bool {
        self.path.exists()
    }

    /// Cuts what was written behind its last whole line; how many lines it has then.
    pub(crate) fn cut_behind_last_line(&self) -> io::Result<u64> {
        cut_behind_last_line(&self.part)
    }

    /// Puts the file in its place.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        if let Some(original) = self.original.take() {
            if self.link(&original).is_ok() {
                return Ok(());
            }
            io::copy(&mut File::open(&original)?, &mut self.file()?)?;
        }
        let moved = fs::rename(&self.part, &self.path);
        if moved.is_ok() {
            self.forget();
        }
        moved
    }

    /// Puts another name of `original` in its place. What is unfinished is never that: whoever
    /// comes next empties it.
    fn link(&self, original: &Path) -> io::Result<()> {
        let beside = self.part.with_extension("link");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::hard_link(original, &beside)?,
        }
        let moved = fs::rename(&beside, &self.path);
        // Two names of one file are left as they are (rename(2)).
        let _ = fs::remove_file(&beside);
        moved
    }

    fn forget(&mut self) {
        self.file = None;
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            unfinished.remove(&self.part);
        }
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.part);
            self.forget();
        }
    }
}

/// Whether another name of `theirs` may stand for the file `ours` in `folder`: all who may read
/// ours may read theirs, and who else may does not get into the folder.
fn may_stand_for(theirs: &fs::Metadata, ours: &fs::Metadata, folder: &fs::Metadata) -> bool {
    const READ: u32 = 0o444;
    const ENTERED_BY_OTHERS: u32 = 0o011;
    let owner = |data: &fs::Metadata| (data.dev(), data.uid());
    let may_read = |data: &fs::Metadata| data.mode() & READ;
    let is_same = theirs.gid() == ours.gid() && may_read(theirs) == may_read(ours);
    let is_wider = may_read(ours) & !may_read(theirs) == 0;
    let is_owners = folder.uid() == ours.uid() && folder.mode() & ENTERED_BY_OTHERS == 0;
    // Groups need not be compared where a folder lets none in.
    owner(theirs) == owner(ours) && (is_same || is_wider && is_owners)
}

/// Tries to lock, and pauses between them.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Opens `path` for writing and locks it. A writer that is just ending is waited for, and so is a
/// process that another one has just forked: it holds its parent's locks until it executes its own
/// program (flock(2), `FD_CLOEXEC`).
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    loop {
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        locked(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Between the two calls its writer may have put it in its place.
        let (ours, there) = (file.metadata()?, fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}

/// Keeps writers of `path` away, but no other readers, for as long as the file is kept. None where
/// nobody ever locked it, or where it may not be opened.
pub(crate) fn lock_to_read(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => locked(&file, FlockOperation::NonBlockingLockShared).map(|()| Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

fn locked(file: &File, how: FlockOperation) -> io::Result<()> {
    // A file system without locks takes everybody at their word.
    let is_busy = || rustix::fs::flock(file, how) == Err(rustix::io::Errno::WOULDBLOCK);
    for _ in 1..TRIES {
        if !is_busy() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    let why = "another shadowtap is writing it";
    if is_busy() { Err(io::Error::new(io::ErrorKind::WouldBlock, why)) } else { Ok(()) }
}

/// Writes a whole file: a reader sees the old one or the new one, never half of one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = UnfinishedFile::create(path)?;
    part.file()?.write_all(bytes)?;
    part.commit()
}

/// Cuts a file behind its last whole line; how many lines it has then.
fn cut_behind_last_line(path: &Path) -> io::Result<u64> {
    let file = File::options().read(true).write(true).open(path)?;
    let (mut lines, mut end, mut at) = (0, 0, 0_u64);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = io::Read::read(&mut &file, &mut block)?;
        if read == 0 {
            break;
        }
        for newline in memchr::memchr_iter(b'\n', &block[..read]) {
            (lines, end) = (lines + 1, at + newline as u64 + 1);
        }
        at += read as u64;
    }
    file.set_len(end)?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_has_one_writer_and_what_a_killed_one_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        fs::write(folder.path().join(".x.jsonl.part"), "what a killed one left").unwrap();
        let one = UnfinishedFile::create(&path).unwrap();
        let error = UnfinishedFile::create(&path).map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        one.file().unwrap().write_all(b"one").unwrap();
        one.commit().unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_recording_gets_another_name_only_where_nobody_can_read_more_by_it() {
        for (theirs, folder, is_linked) in [
            (0o600, 0o700, true),
            (0o600, 0o755, true),
            (0o644, 0o700, true),
            (0o640, 0o700, true),
            (0o664, 0o700, true),
            (0o400, 0o700, true),
            (0o644, 0o755, false),
            (0o640, 0o750, false),
            (0o604, 0o701, false),
            (0o644, 0o710, false),
        ] {
            let there = tempfile::tempdir().unwrap();
            let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
            let original = there.path().join("v1.jsonl");
            fs::write(&original, "exchanges").unwrap();
            set(&original, theirs).unwrap();
            let run = there.path().join("run");
            fs::create_dir(&run).unwrap();
            set(&run, folder).unwrap();
            let path = run.join("exchanges.jsonl");
            let mut part = UnfinishedFile::create(&path).unwrap();
            part.file().unwrap().set_permissions(Permissions::from_mode(0o600)).unwrap();
            part.fill_from(&original).unwrap();
            part.commit().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"exchanges");
            let [one, other] = [&original, &path].map(|path| fs::metadata(path).unwrap());
            // A file system that clones files has no need of another name.
            if one.ino() != other.ino() {
                assert_eq!(other.mode() & 0o777, 0o600, "{theirs:o} in {folder:o}");
            }
            if !is_linked {
                assert_ne!(one.ino(), other.ino(), "{theirs:o} in {folder:o}");
            }
            assert_eq!(fs::read_dir(&run).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_lock_that_is_kept_is_told_and_one_that_is_let_go_of_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path).unwrap();
        assert_eq!(lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // As many times as it takes: the other thread may be slow.
        let waiting = std::thread::spawn(move || {
            std::iter::repeat_with(|| lock(&path)).find_map(Result::ok).is_some()
        });
        drop(held);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn who_reads_keeps_writers_away_and_no_readers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(lock_to_read(&path).unwrap().is_none(), "nobody ever wrote there");
        let writing = lock(&path).unwrap();
        let refused = lock_to_read(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(writing);
        let reading = [lock_to_read(&path), lock_to_read(&path)].map(Result::unwrap);
        assert!(reading.iter().all(Option::is_some));
        assert_eq!(lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(reading);
        lock(&path).unwrap();
    }
}
