//! Outputs of commands: compressed by their name (`.zst`, `.gz`), `-` for standard output, objects
//! of a store; a file is there only when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Failure;
use crate::record::lines::ZSTD_LEVEL;
use crate::record::noted::LineNotes;
use crate::run;
use crate::store::local::{self, UnfinishedFile};
use crate::store::paths::local_path;
use crate::store::remote::{Remote, is_store};
use crate::store::writer;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Pieces that the kernel takes in one call (IOV_MAX).
const MOST_SLICES: usize = 1_024;

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

/// Writes a whole file: a reader sees the old one or the new one, never half of one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    local::replace(path, bytes).map_err(|error| {
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
    /// Keeps runs away from the folder.
    _lock: Option<File>,
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
                _lock: None,
            });
        }
        if is_store(name) {
            return Self::object(name);
        }
        let local = local_path(name)?;
        let name = local.as_deref().unwrap_or(name);
        let path = PathBuf::from(name);
        let special = std::fs::metadata(&path).is_ok_and(|found| !found.is_file());
        if special && path.is_dir() {
            return Err(Failure::unusable(format!("cannot write {name}: it is a folder")));
        }
        let lock = if special { None } else { run::hold_off(&path)? };
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
        let (object, writer) = (None, Some(writer));
        Ok(Self { name, part, object, writer, is_full: false, _lock: lock })
    }

    /// Starts to write an object of a store.
    fn object(url: &str) -> Result<Self, Failure> {
        let remote = Remote::parse(url)?;
        let object = Object(Arc::new(Mutex::new(Some(remote.write()))));
        let writer = CompressedWriter::by_name(Path::new(url), Box::new(object.clone()))
            .map_err(|error| Failure::unusable(format!("cannot write {url}")).because(&error))?;
        let (part, object) = (None, Some(object));
        let (name, writer) = (url.to_owned(), Some(writer));
        Ok(Self { name, part, object, writer, is_full: false, _lock: None })
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
        let writer = self.writer.take()?;
        if part.replaces_another() {
            return None;
        }
        let lines = match writer {
            // What is gathered has no room either.
            CompressedWriter::Plain(writer) => {
                drop(writer.into_parts());
                part.cut_behind_last_line().ok()?
            }
            // The end of a compressed file has no room, but what came before it can be read.
            CompressedWriter::Zstd(writer) => {
                drop(writer);
                lines_in(zstd::stream::read::Decoder::new(part.open().ok()?).ok()?)
            }
            CompressedWriter::Gzip(writer) => {
                drop(writer);
                lines_in(flate2::read::MultiGzDecoder::new(part.open().ok()?))
            }
        };
        if lines == 0 {
            return None;
        }
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

/// Whole lines up to where `reader` has no more.
fn lines_in(mut reader: impl Read) -> u64 {
    let mut block = vec![0; BUFFER_BYTES];
    let mut lines = 0;
    while let Ok(length @ 1..) = reader.read(&mut block) {
        lines += memchr::memchr_iter(b'\n', &block[..length]).count() as u64;
    }
    lines
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
    use std::fs;
    use std::io::Read as _;

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
        assert!(Output::create("/dev/null/folder/x").is_err());
        let deep = folder.path().join("made/on/the/way.jsonl");
        Output::create(deep.to_str().unwrap()).unwrap().finish().unwrap();
        assert!(deep.is_file());
    }
}
