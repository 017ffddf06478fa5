//! Files that commands write: compressed by their name (`.zst`, `.gz`), `-` for standard output,
//! and there only when they are whole: a file is written beside its place under another name and
//! takes it at the end.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, IoSlice, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::Failure;
use super::remote::{local_path, store_failure};
use crate::record::noted::LineNotes;
use crate::store::remote::{Remote, is_store};
use crate::store::writer;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Pieces that the kernel takes in one call (IOV_MAX).
const MOST_SLICES: usize = 1_024;
/// zstd's level: about as fast as a disk.
const ZSTD_LEVEL: i32 = 3;

/// The files that are not whole yet, for who ends the program in their midst.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Lines on their way into a file: gathered, so that few writes are made.
pub(crate) struct GatheredLines {
    file: File,
    lines: Vec<u8>,
    notes: Option<Arc<Mutex<LineNotes>>>,
}

impl GatheredLines {
    /// Lines that are at hand before they are written; the last of them may go beyond.
    const BYTES: usize = 1 << 20;

    pub(crate) fn new(file: File) -> Self {
        Self { file, lines: Vec::with_capacity(2 * Self::BYTES), notes: None }
    }

    /// The same, and notes what is written.
    pub(crate) fn noting(self, notes: Option<Arc<Mutex<LineNotes>>>) -> Self {
        Self { notes, ..self }
    }

    /// Adds what `write` appends to the buffer that it is given: whole lines.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.lines);
        if self.lines.len() >= Self::BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<File> {
        self.flush()?;
        Ok(self.file)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.lines)?;
        if let Some(notes) = &self.notes {
            notes.lock().expect("no holder of this lock panics").add(&self.lines);
        }
        self.lines.clear();
        Ok(())
    }
}

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

/// Opens `path` for writing and locks it. A writer that is just ending is waited for, and so is a
/// process that another one has just forked: it holds its parent's locks until it executes its own
/// program (flock(2), `FD_CLOEXEC`).
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    const TRIES: usize = 10;
    const PAUSE: Duration = Duration::from_millis(20);
    let mut busy = 0;
    loop {
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        // A file system without locks takes everybody at their word.
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            == Err(rustix::io::Errno::WOULDBLOCK)
        {
            busy += 1;
            if busy < TRIES {
                std::thread::sleep(PAUSE);
                continue;
            }
            let why = "another shadowtap is writing it";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
        }
        // Between the two calls its writer may have put it in its place.
        let (ours, there) = (file.metadata()?, fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}

/// Writes a whole file: a reader sees the old one or the new one, never half of one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = UnfinishedFile::create(path).and_then(|part| {
        part.file()?.write_all(bytes)?;
        part.commit()
    });
    written.map_err(|error| {
        Failure::unusable(format!("cannot write {}", path.display())).because(&error)
    })
}

/// An output that is being written.
pub(crate) struct Output {
    name: String,
    /// None for what is written in place.
    part: Option<UnfinishedFile>,
    /// The object of a store that it becomes.
    object: Option<Object>,
    writer: Option<CompressedWriter>,
    /// There is no room for more.
    is_full: bool,
}

enum CompressedWriter {
    Plain(BufWriter<Box<dyn Write + Send>>),
    Zstd(zstd::stream::write::Encoder<'static, Box<dyn Write + Send>>),
    Gzip(flate2::write::GzEncoder<Box<dyn Write + Send>>),
}

impl CompressedWriter {
    /// Compresses what is written to `file` as its name says.
    fn by_name(name: &Path, file: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(match name.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Self::Zstd(zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)?),
            Some("gz") => {
                Self::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::default()))
            }
            _ => Self::Plain(BufWriter::with_capacity(BUFFER_BYTES, file)),
        })
    }
}

/// An object under way, shared by who writes it and who finishes it.
#[derive(Clone)]
struct Object(Arc<Mutex<Option<writer::ObjectWriter>>>);

impl Object {
    fn with<T>(
        &self,
        act: impl FnOnce(&mut Option<writer::ObjectWriter>) -> io::Result<T>,
    ) -> io::Result<T> {
        act(&mut self.0.lock().expect("no holder of this lock panics"))
    }

    fn finish(self) -> io::Result<()> {
        self.with(|writer| writer.take().map_or(Ok(()), writer::ObjectWriter::finish))
    }
}

impl Write for Object {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|writer| writer.as_mut().map_or(Ok(0), |writer| writer.write(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Starts to write `name`. What is no regular file (a pipe, `/dev/null`) is written in place.
    pub(crate) fn create(name: &str) -> Result<Self, Failure> {
        let cannot =
            |error: &io::Error| Failure::unusable(format!("cannot write {name}")).because(error);
        if name == "-" {
            let writer = CompressedWriter::Plain(BufWriter::with_capacity(
                BUFFER_BYTES,
                Box::new(io::stdout()),
            ));
            return Ok(Self {
                name: "standard output".to_owned(),
                part: None,
                object: None,
                writer: Some(writer),
                is_full: false,
            });
        }
        if is_store(name) {
            return Self::object(name);
        }
        let local = local_path(name)?;
        let name = local.as_deref().unwrap_or(name);
        let path = PathBuf::from(name);
        let special = fs::metadata(&path).is_ok_and(|found| !found.is_file());
        if special && path.is_dir() {
            return Err(Failure::unusable(format!("cannot write {name}: it is a folder")));
        }
        let (part, file) = if special {
            (None, File::options().write(true).open(&path).map_err(|error| cannot(&error))?)
        } else {
            let part = UnfinishedFile::create(&path).map_err(|error| cannot(&error))?;
            let file = part.file().map_err(|error| cannot(&error))?;
            (Some(part), file)
        };
        let writer =
            CompressedWriter::by_name(&path, Box::new(file)).map_err(|error| cannot(&error))?;
        let name = name.to_owned();
        Ok(Self { name, part, object: None, writer: Some(writer), is_full: false })
    }

    /// Starts to write an object of a store.
    fn object(url: &str) -> Result<Self, Failure> {
        let remote = Remote::parse(url).map_err(|error| store_failure(&error))?;
        let object = Object(Arc::new(Mutex::new(Some(remote.write()))));
        let writer = CompressedWriter::by_name(Path::new(url), Box::new(object.clone()))
            .map_err(|error| Failure::unusable(format!("cannot write {url}")).because(&error))?;
        let (part, object) = (None, Some(object));
        Ok(Self { name: url.to_owned(), part, object, writer: Some(writer), is_full: false })
    }

    /// Whether it goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.part.is_none() && self.object.is_none() && self.name == "standard output"
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = match writer {
            CompressedWriter::Plain(writer) => writer.write_all(bytes),
            CompressedWriter::Zstd(writer) => writer.write_all(bytes),
            CompressedWriter::Gzip(writer) => writer.write_all(bytes),
        };
        written.map_err(|error| self.cannot(&error))
    }

    /// Adds many pieces, without gathering them first where they need no compression.
    pub(crate) fn write_all<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Failure> {
        let Some(CompressedWriter::Plain(writer)) = &mut self.writer else {
            for piece in pieces {
                self.write(piece)?;
            }
            return Ok(());
        };
        let slices: Vec<IoSlice<'_>> = pieces.map(IoSlice::new).collect();
        let written = writer.flush().and_then(|()| {
            // Short lists are written at once; the kernel takes so many.
            slices.chunks(MOST_SLICES).try_for_each(|some| write_vectored(writer.get_mut(), some))
        });
        written.map_err(|error| self.cannot(&error))
    }

    /// Ends the file and puts it in its place.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let ended = match self.writer.take() {
            None => Ok(()),
            Some(CompressedWriter::Plain(mut writer)) => writer.flush(),
            Some(CompressedWriter::Zstd(writer)) => {
                writer.finish().and_then(|mut file| file.flush())
            }
            Some(CompressedWriter::Gzip(writer)) => {
                writer.finish().and_then(|mut file| file.flush())
            }
        };
        ended.map_err(|error| self.cannot(&error))?;
        if let Some(part) = self.part.take() {
            part.commit().map_err(|error| self.cannot(&error))?;
        }
        match self.object.take() {
            Some(object) => object.finish().map_err(|error| self.cannot(&error)),
            None => Ok(()),
        }
    }

    /// Ends an output that could not be written further; says what is left of it.
    pub(crate) fn full(self, failure: Failure) -> Failure {
        let name = self.name.clone();
        if !self.is_full {
            return failure;
        }
        match self.keep_lines() {
            Some(lines) => failure.but(format!("its first {lines} lines are in {name}")),
            None => failure.but(format!("nothing of it was kept in {name}")),
        }
    }

    /// Where the disk is full: puts the whole lines that were written in their place, unless an
    /// earlier file has it, and says how many there are.
    fn keep_lines(mut self) -> Option<u64> {
        let part = self.part.take()?;
        match self.writer.take() {
            // What is gathered has no room either.
            Some(CompressedWriter::Plain(writer)) if !part.path.exists() => {
                drop(writer.into_parts())
            }
            _ => return None,
        }
        let lines = cut_behind_last_line(&part.part).ok().filter(|&lines| lines > 0)?;
        part.commit().ok().map(|()| lines)
    }

    fn cannot(&mut self, error: &io::Error) -> Failure {
        self.is_full |= matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        if self.is_stdout() && error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::unread();
        }
        Failure::unusable(format!("cannot write {}", self.name)).because(error)
    }
}

/// Cuts a file behind its last whole line; how many lines it has then.
fn cut_behind_last_line(path: &Path) -> io::Result<u64> {
    let file = File::options().read(true).write(true).open(path)?;
    let (mut lines, mut end, mut at) = (0, 0, 0_u64);
    let mut block = vec![0; BUFFER_BYTES];
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

/// Writes all of `slices`, however many calls that takes.
fn write_vectored(writer: &mut dyn Write, mut slices: &[IoSlice<'_>]) -> io::Result<()> {
    // Bytes of the first slice that were written already.
    let mut done = 0;
    while let Some(first) = slices.first() {
        if done == first.len() {
            (slices, done) = (&slices[1..], 0);
            continue;
        }
        let written =
            if done > 0 { writer.write(&first[done..]) } else { writer.write_vectored(slices) };
        let mut written = match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        while let Some(first) = slices.first() {
            let left = first.len() - done;
            if written < left {
                done += written;
                break;
            }
            written -= left;
            (slices, done) = (&slices[1..], 0);
        }
    }
    Ok(())
}

/// Prints a command's result. A reader that has gone away (`| head`) has what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// The same for a result that may be no text.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unusable("cannot write standard output").because(&error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let mut output = Output::create(path.to_str().unwrap()).unwrap();
        output.write(b"some").unwrap();
        assert!(!path.exists());
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"some");
        let mut dropped = Output::create(path.to_str().unwrap()).unwrap();
        dropped.write(b"other").unwrap();
        drop(dropped);
        assert_eq!(fs::read(&path).unwrap(), b"some");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

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
    fn pieces_are_written_whole_by_a_writer_that_takes_little() {
        struct Slow(Vec<u8>);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let n = bytes.len().min(3);
                self.0.extend_from_slice(&bytes[..n]);
                Ok(n)
            }
            fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(5).collect();
                self.0.extend_from_slice(&all);
                Ok(all.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new());
        let pieces =
            [&b""[..], b"a", b"", b"bcdefghijk", b"lm", b"nopqrstuvwxyz", b""].map(IoSlice::new);
        write_vectored(&mut slow, &pieces).unwrap();
        assert_eq!(slow.0, b"abcdefghijklmnopqrstuvwxyz");
    }

    #[test]
    fn names_choose_the_compression() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.zst", "x.gz"] {
            let path = folder.path().join(name);
            let mut output = Output::create(path.to_str().unwrap()).unwrap();
            output.write(&b"hello ".repeat(1000)).unwrap();
            output.finish().unwrap();
            let file = File::open(&path).unwrap();
            let mut text = Vec::new();
            if name == "x.zst" {
                zstd::stream::read::Decoder::new(file).unwrap().read_to_end(&mut text).unwrap();
            } else {
                flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
            }
            assert_eq!(text, b"hello ".repeat(1000));
        }
        assert!(Output::create(folder.path().to_str().unwrap()).is_err());
        assert!(Output::create("/nonexistent/folder/x").is_err());
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
}
