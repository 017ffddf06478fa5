//! What was read, so that it can be known again: names, lengths and hashes of inputs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::message::encoding::hex;
use crate::record::noted::LineNotes;
use crate::store::paths::{local_files, local_path};
use crate::store::remote::is_store;
use crate::store::shown::without_secrets;

/// One input of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputInfo {
    /// As it was given.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// Names, lengths and hashes of inputs, for `run.json`: of files as they are, of others as they
/// were read, each object of a store by itself.
pub fn describe(names: &[String], prints: &Prints) -> Vec<InputInfo> {
    let read = prints.0.keys().filter(|name| is_store(name)).cloned();
    let local = |name: &String| match local_path(name) {
        Ok(Some(path)) => local_files(&path).unwrap_or_default(),
        _ => vec![name.clone()],
    };
    let others = names.iter().filter(|name| !is_store(name)).flat_map(local);
    let names: Vec<String> = others.chain(read).collect();
    let describe = |name: &String| {
        // Of a file that was not read to its end it says too little.
        let whole = |bytes| Path::new(name).metadata().map_or(true, |data| data.len() == bytes);
        let print = prints.get(name).filter(|(bytes, _)| whole(*bytes));
        let print = print.or_else(|| hash(Path::new(name)).ok());
        let (bytes, sha256) = print.unwrap_or_default();
        InputInfo { name: without_secrets(name), bytes, sha256 }
    };
    names.iter().map(describe).collect()
}

/// Lengths and hashes of inputs that can be read but once: standard input and downloads.
#[derive(Clone, Debug, Default)]
pub struct Prints(BTreeMap<String, Arc<Mutex<Print>>>);

#[derive(Clone, Debug, Default)]
struct Print {
    bytes: u64,
    hasher: sha2::Sha256,
}

impl Prints {
    /// `reader`, watched.
    pub(super) fn of(
        &mut self,
        name: &str,
        reader: impl Read + Send + 'static,
    ) -> Box<dyn Read + Send> {
        let print = Arc::<Mutex<Print>>::default();
        self.0.insert(name.to_owned(), Arc::clone(&print));
        Box::new(Watched::new(reader, print))
    }

    /// `reader` of a recording's lines, watched; unless it was so before.
    pub(super) fn of_lines(
        &mut self,
        name: &str,
        reader: Box<dyn BufRead + Send>,
        lines: Option<Arc<Mutex<LineNotes>>>,
    ) -> Box<dyn BufRead + Send> {
        if self.0.contains_key(name) {
            return reader;
        }
        let print = Arc::<Mutex<Print>>::default();
        self.0.insert(name.to_owned(), Arc::clone(&print));
        Box::new(Watched { lines, ..Watched::new(reader, print) })
    }

    fn get(&self, name: &str) -> Option<(u64, String)> {
        let print = self.0.get(name)?.lock().expect("no holder of this lock panics").clone();
        Some((print.bytes, hex(&print.hasher.finalize())))
    }
}

/// A reader whose bytes are counted and hashed on their way. The lock is free: one thread reads,
/// and the print is taken at the end.
struct Watched<R> {
    reader: R,
    print: Arc<Mutex<Print>>,
    lines: Option<Arc<Mutex<LineNotes>>>,
}

impl<R> Watched<R> {
    fn new(reader: R, print: Arc<Mutex<Print>>) -> Self {
        Self { reader, print, lines: None }
    }
}

/// Counts and hashes what passes by, and notes its lines.
fn see(bytes: &[u8], print: &Mutex<Print>, lines: Option<&Arc<Mutex<LineNotes>>>) {
    let mut print = print.lock().expect("no holder of this lock panics");
    print.bytes += bytes.len() as u64;
    print.hasher.update(bytes);
    if let Some(lines) = lines {
        lines.lock().expect("no holder of this lock panics").add(bytes);
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        see(&buffer[..got], &self.print, self.lines.as_ref());
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is there is given without another read.
        if let Ok(buffer) = self.reader.fill_buf() {
            see(&buffer[..amount.min(buffer.len())], &self.print, self.lines.as_ref());
        }
        self.reader.consume(amount);
    }
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer, mut bytes) = (sha2::Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            got => {
                hasher.update(&buffer[..got]);
                bytes += got as u64;
            }
        }
    }
    Ok((bytes, hex(&hasher.finalize())))
}
