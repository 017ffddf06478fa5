//! Where what was recorded is kept: heads and small bodies in few large blocks of memory, large
//! bodies in a file without a name, so that memory follows the number of calls and not the size of
//! what was answered.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustc_hash::FxHashMap;

use super::hashing::hash_of;
use crate::store::nameless_file;

/// Largest body that is kept in memory, in bytes.
const IN_MEMORY: usize = 16 << 10;
/// How much of a body on disk is read at once, in bytes.
pub(super) const BLOCK: usize = 256 << 10;
/// Size of the first block of memory; each further one is twice as large, up to [`LARGEST`].
const FIRST: usize = 16 << 10;
/// Size of the largest blocks of memory, in bytes.
const LARGEST: usize = 1 << 20;

/// Bytes in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShelfPiece {
    block: u32,
    at: u32,
    length: u32,
}

/// A body, in memory or on disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum ShelvedBody {
    Here(ShelfPiece),
    OnDisk { at: u64, length: u64 },
}

impl ShelvedBody {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Here(piece) => u64::from(piece.length),
            Self::OnDisk { length, .. } => *length,
        }
    }
}

/// The blocks, and the file of the large ones; there is none before the first.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    blocks: Vec<Vec<u8>>,
    /// By hash: pieces that others may share.
    shared: FxHashMap<u64, ShelfPiece>,
    file: Option<File>,
    length: u64,
}

impl Shelf {
    /// Keeps a body.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> io::Result<ShelvedBody> {
        if bytes.len() <= IN_MEMORY {
            return Ok(ShelvedBody::Here(self.put(bytes)));
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

    /// Keeps bytes in memory.
    pub(super) fn put(&mut self, bytes: &[u8]) -> ShelfPiece {
        let room = self.blocks.last().map_or(0, |block| block.capacity() - block.len());
        if room < bytes.len() {
            let size = (FIRST << self.blocks.len().min(16)).min(LARGEST);
            self.blocks.push(Vec::with_capacity(size.max(bytes.len())));
        }
        let number = self.blocks.len().saturating_sub(1);
        let Some(block) = self.blocks.last_mut() else { return ShelfPiece::default() };
        let at = block.len();
        block.extend_from_slice(bytes);
        let narrow = |number: usize| u32::try_from(number).expect("blocks are below 4 GiB");
        ShelfPiece { block: narrow(number), at: narrow(at), length: narrow(bytes.len()) }
    }

    /// Keeps bytes in memory that others may have as well: equal ones once.
    pub(super) fn put_shared(&mut self, bytes: &[u8]) -> ShelfPiece {
        let hash = hash_of(bytes);
        if let Some(&known) = self.shared.get(&hash)
            && self.bytes(known) == bytes
        {
            return known;
        }
        let piece = self.put(bytes);
        self.shared.insert(hash, piece);
        piece
    }

    /// Nothing more is put.
    pub(super) fn settle(&mut self) {
        self.shared = FxHashMap::default();
        if let Some(last) = self.blocks.last_mut() {
            last.shrink_to_fit();
        }
        self.blocks.shrink_to_fit();
    }

    /// What is in memory.
    pub(super) fn bytes(&self, piece: ShelfPiece) -> &[u8] {
        let ShelfPiece { block, at, length } = piece;
        let (at, length) = (at as usize, length as usize);
        self.blocks.get(block as usize).map_or(&[], |block| &block[at..at + length])
    }

    /// A part of a body: from `from` on, as much as there is and at most a block, and of a body in
    /// memory all.
    pub(super) fn part(
        &self,
        kept: &ShelvedBody,
        from: u64,
        until: u64,
    ) -> io::Result<Cow<'_, [u8]>> {
        let until = until.min(kept.len());
        let from = from.min(until);
        match kept {
            ShelvedBody::Here(piece) => {
                Ok(Cow::Borrowed(&self.bytes(*piece)[from as usize..until as usize]))
            }
            ShelvedBody::OnDisk { at, .. } => {
                let mut block = vec![0; usize::try_from(until - from).unwrap_or(BLOCK).min(BLOCK)];
                let file = self.file.as_ref().expect("what is on disk was written there");
                file.read_exact_at(&mut block, at + from)?;
                Ok(Cow::Owned(block))
            }
        }
    }

    /// A whole body.
    pub(super) fn whole(&self, kept: &ShelvedBody) -> io::Result<Cow<'_, [u8]>> {
        if let ShelvedBody::Here(piece) = kept {
            return Ok(Cow::Borrowed(self.bytes(*piece)));
        }
        let mut all = Vec::new();
        while (all.len() as u64) < kept.len() {
            all.extend_from_slice(&self.part(kept, all.len() as u64, u64::MAX)?);
        }
        Ok(Cow::Owned(all))
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
        shelf.settle();
        for (body, kept) in bodies.iter().zip(&kept) {
            assert_eq!(kept.len(), body.len() as u64);
            assert!(*shelf.whole(kept).unwrap() == **body);
            let half = body.len() / 2;
            let part = shelf.part(kept, half as u64, u64::MAX).unwrap();
            assert!(body[half..].starts_with(&part));
        }
        assert!(
            matches!(kept[2], ShelvedBody::Here(_))
                && matches!(kept[3], ShelvedBody::OnDisk { .. })
        );
    }

    #[test]
    fn pieces_come_back_from_all_blocks_and_equal_ones_are_kept_once() {
        let mut shelf = Shelf::default();
        let texts: Vec<Vec<u8>> =
            (0..3_000_usize).map(|n| n.to_string().repeat(1 + n % 900).into_bytes()).collect();
        let pieces: Vec<ShelfPiece> = texts.iter().map(|text| shelf.put_shared(text)).collect();
        let used = |shelf: &Shelf| shelf.blocks.iter().map(Vec::len).sum::<usize>();
        let before = used(&shelf);
        let again: Vec<ShelfPiece> = texts.iter().map(|text| shelf.put_shared(text)).collect();
        assert_eq!(used(&shelf), before);
        let large = shelf.put(&vec![7; 3 * LARGEST]);
        shelf.settle();
        assert!(shelf.blocks.len() > 3);
        for ((text, piece), again) in texts.iter().zip(pieces).zip(again) {
            assert_eq!(shelf.bytes(piece), text);
            assert_eq!(shelf.bytes(again), text);
        }
        assert_eq!(shelf.bytes(large).len(), 3 * LARGEST);
    }
}
