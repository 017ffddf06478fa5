//! Archives of ZIP (APPNOTE 6.3): what they say beside when their entries were made.

use std::ops::Range;

/// Signatures of an entry, of its line in the directory, and of the end of that.
const ENTRY: &[u8] = b"PK\x03\x04";
const LINE: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of each without its texts.
const ENTRY_BYTES: usize = 30;
const LINE_BYTES: usize = 46;
const END_BYTES: usize = 22;
/// Extra fields that hold times: of Unix, and of NTFS.
const TIMES: [u16; 2] = [0x5455, 0x000a];

/// An archive with the times of its entries taken out; none where it is no whole one.
pub fn timeless(archive: &[u8]) -> Option<Vec<u8>> {
    if !archive.starts_with(ENTRY) {
        return None;
    }
    let end = memchr::memmem::rfind(archive, END).filter(|end| end + END_BYTES <= archive.len())?;
    let (lines, from) = (short(archive, end + 10)?, long(archive, end + 16)?);
    let mut out = archive.to_vec();
    let mut at = from;
    for _ in 0..lines {
        if archive.get(at..at + 4)? != LINE {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|field| short(archive, at + field));
        let (name, extra, comment) = (name?, extra?, comment?);
        let entry = long(archive, at + 42)?;
        if archive.get(entry..entry + 4)? != ENTRY {
            return None;
        }
        blank(&mut out, at + 12..at + 16)?;
        blank(&mut out, entry + 10..entry + 14)?;
        let behind = at + LINE_BYTES + name;
        blank_times(&mut out, behind..behind + extra)?;
        let own = [26, 28].map(|field| short(archive, entry + field));
        let start = entry + ENTRY_BYTES + own[0]?;
        blank_times(&mut out, start..start + own[1]?)?;
        at = behind + extra + comment;
    }
    (at <= end).then_some(out)
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_le_bytes(bytes).into())
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn blank(bytes: &mut [u8], range: Range<usize>) -> Option<()> {
    bytes.get_mut(range)?.fill(0);
    Some(())
}

/// Takes out the times that stand in extra fields.
fn blank_times(bytes: &mut [u8], fields: Range<usize>) -> Option<()> {
    let mut at = fields.start;
    while at + 4 <= fields.end {
        let (kind, length) = (short(bytes, at)?, short(bytes, at + 2)?);
        if TIMES.iter().any(|own| usize::from(*own) == kind) {
            blank(bytes, at + 4..at + 4 + length)?;
        }
        at += 4 + length;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of one stored entry, made at `time`, with a time of Unix beside it.
    fn archive(name: &str, content: &[u8], time: u32) -> Vec<u8> {
        let extra = [&[0x55, 0x54, 5, 0, 1][..], &time.to_le_bytes()].concat();
        let length = |n: usize| (n as u32).to_le_bytes();
        let two = |n: usize| (n as u16).to_le_bytes();
        let of_entry = [
            &[20, 0, 0, 0, 0, 0][..],
            &time.to_le_bytes(),
            &[1, 2, 3, 4],
            &length(content.len()),
            &length(content.len()),
            &two(name.len()),
            &two(extra.len()),
        ]
        .concat();
        let entry = [ENTRY, &of_entry, name.as_bytes(), &extra, content].concat();
        let line =
            [LINE, &[20, 3][..], &of_entry, &[0; 10], &length(0), name.as_bytes(), &extra].concat();
        let end = [
            END,
            &[0, 0, 0, 0, 1, 0, 1, 0][..],
            &length(line.len()),
            &length(entry.len()),
            &[0, 0],
        ]
        .concat();
        [entry, line, end].concat()
    }

    #[test]
    fn archives_are_equal_but_for_when_their_entries_were_made() {
        let one = archive("a.txt", b"item 7", 0x5b9a_1234);
        let later = archive("a.txt", b"item 7", 0x5b9a_5678);
        assert_ne!(one, later);
        assert!(timeless(&one).is_some());
        assert_eq!(timeless(&one), timeless(&later));
        for other in [archive("b.txt", b"item 7", 0x5b9a_5678), archive("a.txt", b"item 8", 1)] {
            assert_ne!(timeless(&one), timeless(&other));
        }
    }

    #[test]
    fn what_is_no_whole_archive_is_none() {
        let whole = archive("a.txt", b"item 7", 7);
        for length in 0..whole.len() {
            assert_eq!(timeless(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = timeless(&damaged);
        }
    }
}
