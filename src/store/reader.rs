//! Reads an object in ranges that are asked for ahead of the reader, so that a store's latency does
//! not show. An input that only waits for its turn holds its first small range and nothing more.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};
use tokio::task::JoinHandle;

use super::remote::{Remote, StoreError};
use super::threads::runtime;

/// The first range: what a file's kind and first packet need.
const FIRST_BYTES: u64 = 256 << 10;
/// All others.
const RANGE_BYTES: u64 = 4 << 20;
/// Ranges that are under way or wait to be read.
const AHEAD: usize = 3;

/// An object under way.
pub struct ObjectReader {
    remote: Remote,
    length: u64,
    /// The version that is read: an object that is replaced meanwhile is no mixture of both.
    e_tag: Option<String>,
    /// Up to where ranges were asked for.
    asked: u64,
    ahead: VecDeque<JoinHandle<object_store::Result<Bytes>>>,
    current: Bytes,
}

impl Remote {
    /// Reads the object from its start.
    pub fn read(&self) -> Result<ObjectReader, StoreError> {
        let meta = self.wait("read", self.store.head(&self.path))?;
        Ok(ObjectReader::new(self.clone(), meta.size, meta.e_tag))
    }

    /// Fetches the object into a file.
    pub fn fetch(&self, file: &Path) -> io::Result<()> {
        let mut into = std::fs::File::create(file)?;
        io::copy(&mut self.read()?, &mut into).map(drop)
    }
}

impl ObjectReader {
    pub(super) fn new(remote: Remote, length: u64, e_tag: Option<String>) -> Self {
        let (ahead, current) = (VecDeque::new(), Bytes::new());
        Self { remote, length, e_tag, asked: 0, ahead, current }
    }

    /// How many bytes the object has.
    pub const fn length(&self) -> u64 {
        self.length
    }

    fn ask_ahead(&mut self) -> io::Result<()> {
        let depth = if self.asked == 0 { 1 } else { AHEAD };
        while self.ahead.len() < depth && self.asked < self.length {
            let size = if self.asked == 0 { FIRST_BYTES } else { RANGE_BYTES };
            let range = self.asked..self.length.min(self.asked + size);
            self.asked = range.end;
            let options = GetOptions {
                range: Some(GetRange::Bounded(range)),
                if_match: self.e_tag.clone(),
                ..GetOptions::default()
            };
            let (store, path) = (Arc::clone(&self.remote.store), self.remote.path.clone());
            self.ahead.push_back(
                runtime()?
                    .spawn(async move { store.get_opts(&path, options).await?.bytes().await }),
            );
        }
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            self.ask_ahead()?;
            let Some(next) = self.ahead.pop_front() else { return Ok(0) };
            let got = runtime()?.block_on(next).map_err(io::Error::other)?;
            self.current = got.map_err(|error| self.remote.failed("read on", error))?;
        }
        let taken = self.current.split_to(self.current.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        self.ahead.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::remote::tests::in_memory;

    #[test]
    fn an_object_of_many_ranges_is_read_in_order_and_one_that_is_replaced_is_not_mixed() {
        let object = in_memory("v1.pcap");
        let bytes: Vec<u8> =
            (0..(FIRST_BYTES + 3 * RANGE_BYTES + 7)).map(|n| (n / 251) as u8).collect();
        assert!(object.create(bytes.clone()).unwrap());
        let mut read = Vec::new();
        object.read().unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);

        let mut reader = object.read().unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();
        let mut writer = object.write();
        io::Write::write_all(&mut writer, b"another one").unwrap();
        writer.finish().unwrap();
        assert!(reader.read_to_end(&mut read).is_err());
        assert_eq!(object.length().unwrap(), Some(11));
        assert!(in_memory("nothing").read().is_err());
    }
}
