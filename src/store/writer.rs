//! Writes an object: in one request where it is small, in parts where it is large. It is there as a
//! whole once it is finished, and not at all where its writer is dropped before.

use std::io::{self, Write};
use std::path::Path;

use object_store::{
    MultipartUpload, ObjectStore as _, ObjectStoreExt as _, PutPayload, WriteMultipart,
};

use super::remote::Remote;
use super::threads::runtime;

/// A part, at least. Stores take 10,000 of them.
const PART_BYTES: u64 = 8 << 20;
/// Parts that a file of known size is cut into, at most.
const PARTS: u64 = 9_000;
/// Parts that are under way at the same time.
const UNDER_WAY: usize = 4;

/// An object that is being written.
pub struct ObjectWriter {
    remote: Remote,
    part_bytes: usize,
    /// What waits for a first part to be full.
    start: Vec<u8>,
    upload: Option<WriteMultipart>,
}

impl Remote {
    /// Writes the object, which is there once [`ObjectWriter::finish`] says so.
    pub fn write(&self) -> ObjectWriter {
        ObjectWriter::new(self.clone(), 0)
    }

    /// Sends a file there.
    pub fn send(&self, file: &Path) -> io::Result<()> {
        let mut source = std::fs::File::open(file)?;
        let mut writer = ObjectWriter::new(self.clone(), source.metadata()?.len());
        io::copy(&mut source, &mut writer)?;
        writer.finish()
    }
}

impl ObjectWriter {
    /// `expected`: how many bytes will come, 0 where nobody knows.
    pub(super) fn new(remote: Remote, expected: u64) -> Self {
        let part_bytes = usize::try_from(PART_BYTES.max(expected / PARTS)).unwrap_or(usize::MAX);
        Self { remote, part_bytes, start: Vec::new(), upload: None }
    }

    /// Puts the object into the store.
    pub fn finish(mut self) -> io::Result<()> {
        let runtime = runtime()?;
        let done = match self.upload.take() {
            Some(upload) => runtime.block_on(upload.finish()).map(drop),
            None => {
                let payload = PutPayload::from(std::mem::take(&mut self.start));
                runtime.block_on(self.remote.store.put(&self.remote.path, payload)).map(drop)
            }
        };
        Ok(done.map_err(|error| self.remote.failed("written", error))?)
    }

    fn begin(&self) -> io::Result<Box<dyn MultipartUpload>> {
        let begun = self.remote.store.put_multipart_opts(&self.remote.path, Default::default());
        Ok(runtime()?.block_on(begun).map_err(|error| self.remote.failed("written", error))?)
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let runtime = runtime()?;
        // Parts are sent by tasks, which need to know where they run.
        let _entered = runtime.enter();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                self.start.extend_from_slice(bytes);
                if self.start.len() < self.part_bytes {
                    return Ok(bytes.len());
                }
                let mut upload =
                    WriteMultipart::new_with_chunk_size(self.begin()?, self.part_bytes);
                upload.write(&std::mem::take(&mut self.start));
                self.upload = Some(upload);
                return Ok(bytes.len());
            }
        };
        let room = runtime.block_on(upload.wait_for_capacity(UNDER_WAY));
        room.map_err(|error| self.remote.failed("written", error))?;
        upload.write(bytes);
        Ok(bytes.len())
    }

    /// What is not finished is not there: there is nothing to flush to.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), runtime()) {
            // The store forgets its parts by its own rules where it cannot be told.
            let _ = runtime.block_on(upload.abort());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::store::remote::tests::in_memory;

    #[test]
    fn what_is_dropped_is_not_there_and_what_is_finished_is_whole() {
        let part = vec![7; PART_BYTES as usize];
        for (parts, name) in [(0, "small"), (2, "large")] {
            let object = in_memory(name);
            let mut dropped = object.write();
            (0..parts).for_each(|_| dropped.write_all(&part).unwrap());
            dropped.write_all(b"end").unwrap();
            drop(dropped);
            assert_eq!(object.length().unwrap(), None);
            let mut writer = object.write();
            (0..parts).for_each(|_| writer.write_all(&part).unwrap());
            writer.write_all(b"end").unwrap();
            writer.finish().unwrap();
            let mut read = Vec::new();
            object.read().unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read.len(), parts * part.len() + 3);
            assert!(read.ends_with(b"\x07end") || parts == 0);
        }
    }
}
