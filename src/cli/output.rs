//! Files that commands write: compressed by their name (`.zst`, `.gz`), `-` for standard output,
//! and there only when they are whole: a file is written beside its place under another name and
//! takes it at the end.

use std::fs::{self, File};
use std::io::{self, BufWriter, IoSlice, Write};
use std::path::{Path, PathBuf};

use super::Failure;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Pieces that the kernel takes in one call (IOV_MAX).
const MOST_SLICES: usize = 1_024;
/// zstd's level: about as fast as a disk.
const ZSTD_LEVEL: i32 = 3;

/// An output that is being written.
pub(crate) struct Output {
    name: String,
    /// The file's place, and the name under which it is written until then.
    place: Option<(PathBuf, PathBuf)>,
    writer: Option<Writer>,
}

enum Writer {
    Plain(BufWriter<Box<dyn Write + Send>>),
    Zstd(zstd::stream::write::Encoder<'static, Box<dyn Write + Send>>),
    Gzip(flate2::write::GzEncoder<Box<dyn Write + Send>>),
}

impl Output {
    /// Starts to write `name`. What is no regular file (a pipe, `/dev/null`) is written in place.
    pub(crate) fn create(name: &str) -> Result<Self, Failure> {
        let cannot =
            |error: &io::Error| Failure::unusable(format!("cannot write {name}")).because(error);
        if name == "-" {
            let writer =
                Writer::Plain(BufWriter::with_capacity(BUFFER_BYTES, Box::new(io::stdout())));
            return Ok(Self {
                name: "standard output".to_owned(),
                place: None,
                writer: Some(writer),
            });
        }
        let path = PathBuf::from(name);
        let special = fs::metadata(&path).is_ok_and(|found| !found.is_file());
        if special && path.is_dir() {
            return Err(Failure::unusable(format!("cannot write {name}: it is a folder")));
        }
        let part = if special { path.clone() } else { part_of(&path) };
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(!special)
            .open(&part)
            .map_err(|error| cannot(&error))?;
        let file: Box<dyn Write + Send> = Box::new(file);
        let writer = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Writer::Zstd(
                zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)
                    .map_err(|error| cannot(&error))?,
            ),
            Some("gz") => {
                Writer::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::default()))
            }
            _ => Writer::Plain(BufWriter::with_capacity(BUFFER_BYTES, file)),
        };
        Ok(Self {
            name: name.to_owned(),
            place: (!special).then_some((path, part)),
            writer: Some(writer),
        })
    }

    /// Whether it goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.place.is_none() && self.name == "standard output"
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = match writer {
            Writer::Plain(writer) => writer.write_all(bytes),
            Writer::Zstd(writer) => writer.write_all(bytes),
            Writer::Gzip(writer) => writer.write_all(bytes),
        };
        written.map_err(|error| self.cannot(&error))
    }

    /// Adds many pieces, without gathering them first where they need no compression.
    pub(crate) fn write_all<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Failure> {
        let Some(Writer::Plain(writer)) = &mut self.writer else {
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
            Some(Writer::Plain(mut writer)) => writer.flush(),
            Some(Writer::Zstd(writer)) => writer.finish().and_then(|mut file| file.flush()),
            Some(Writer::Gzip(writer)) => writer.finish().and_then(|mut file| file.flush()),
        };
        ended.map_err(|error| self.cannot(&error))?;
        if let Some((path, part)) = self.place.take() {
            fs::rename(&part, &path).map_err(|error| self.cannot(&error))?;
        }
        Ok(())
    }

    fn cannot(&self, error: &io::Error) -> Failure {
        if self.is_stdout() && error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::unread();
        }
        Failure::unusable(format!("cannot write {}", self.name)).because(error)
    }
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
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unusable("cannot write standard output").because(&error))
        }
        _ => Ok(()),
    }
}

/// `exchanges.jsonl` is `.exchanges.jsonl.part` until it is whole; the process number keeps two
/// runs apart.
fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((_, part)) = &self.place {
            let _ = fs::remove_file(part);
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert!(Output::create("/nonexistent/folder/x").is_err());
    }
}
