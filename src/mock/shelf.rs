//! Where recorded bodies are kept: small ones in memory, large ones in a file without a name, so
//! that memory follows the number of calls and not the size of what was answered.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;

use crate::store::nameless_file;

/// Largest body that is kept in memory, in bytes.
const IN_MEMORY: usize = 16 << 10;
/// How much of a body on disk is read at once, in bytes.
pub(super) const BLOCK: usize = 256 << 10;

/// A body, in memory or on disk.
#[derive(Clone, Debug)]
pub(super) enum ShelvedBody {
    Here(Bytes),
    OnDisk { at: u64, length: u64 },
}

impl ShelvedBody {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::OnDisk { length, .. } => *length,
        }
    }
}

/// The file of the large ones; there is none before the first.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    file: Option<File>,
    length: u64,
}

impl Shelf {
    /// Keeps a body; a small one is copied, so that it holds on to nothing larger than itself.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> io::Result<ShelvedBody> {
        if bytes.len() <= IN_MEMORY {
            return Ok(ShelvedBody::Here(Bytes::copy_from_slice(bytes)));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless_file(&std::env::temp_dir())?),
        };
        let at = self.length;
        file.write_all_at(bytes, at)?;
        self.length += bytes.len() as u64;
        Ok(ShelvedBody::OnDisk { at, length: bytes.len() as u64 })
    }

    /// A part of a body: from `from` on, as much as there is and at most a block, and of a body in
    /// memory all.
    pub(super) fn part(&self, kept: &ShelvedBody, from: u64, until: u64) -> io::Result<Bytes> {
        let until = until.min(kept.len());
        let from = from.min(until);
        match kept {
            ShelvedBody::Here(bytes) => Ok(bytes.slice(from as usize..until as usize)),
            ShelvedBody::OnDisk { at, .. } => {
                let mut block = vec![0; usize::try_from(until - from).unwrap_or(BLOCK).min(BLOCK)];
                let file = self.file.as_ref().expect("what is on disk was written there");
                file.read_exact_at(&mut block, at + from)?;
                Ok(block.into())
            }
        }
    }

    /// A whole body.
    pub(super) fn whole(&self, kept: &ShelvedBody) -> io::Result<Bytes> {
        if let ShelvedBody::Here(bytes) = kept {
            return Ok(bytes.clone());
        }
        let mut all = Vec::new();
        while (all.len() as u64) < kept.len() {
            all.extend_from_slice(&self.part(kept, all.len() as u64, u64::MAX)?);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_whole_and_in_parts_wherever_they_are() {
        let mut shelf = Shelf::default();
        let bodies: Vec<Vec<u8>> = [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * BLOCK + 7]
            .map(|n| (0..n).map(|i| i as u8).collect())
            .into();
        let kept: Vec<ShelvedBody> = bodies.iter().map(|body| shelf.keep(body).unwrap()).collect();
        for (body, kept) in bodies.iter().zip(&kept) {
            assert_eq!(kept.len(), body.len() as u64);
            assert!(shelf.whole(kept).unwrap() == *body);
            let half = body.len() / 2;
            assert!(body[half..].starts_with(&shelf.part(kept, half as u64, u64::MAX).unwrap()));
        }
        assert!(
            matches!(kept[2], ShelvedBody::Here(_))
                && matches!(kept[3], ShelvedBody::OnDisk { .. })
        );
    }
}
