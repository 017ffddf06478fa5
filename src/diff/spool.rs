//! Changes on their way to the disk and back: what a change is thought of is known only when all
//! are counted.
//!
//! A private format of one process: numbers of variable length, and texts with theirs.

use std::io::{self, Read, Write};

use super::skipped::UndoneWrite;
use crate::exchange::ExchangeId;
use crate::message::population::TextForm;
use crate::outcome::ReplayId;
use crate::time::Timestamp;
use crate::varint::{read as read_number, write as number};

/// Longest text that is read back: what is shown of a value is far shorter, a target may be longer.
const MAX_TEXT: usize = 16 << 20;

/// The changes of one compared exchange.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct SpoolRecord {
    pub(super) rank: u32,
    pub(super) id: ReplayId,
    pub(super) route: u32,
    pub(super) at: Timestamp,
    pub(super) method: String,
    pub(super) target: String,
    /// The write before it that was not done at v2 and may have changed what it answers.
    pub(super) behind: Option<UndoneWrite>,
    /// Where its request lacked a value that v2 did not issue: which, where that is told.
    pub(super) lacks: Option<Option<u32>>,
    pub(super) changes: Vec<SpooledChange>,
}

/// A change, with its route, general place and label as a number.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct SpooledChange {
    pub(super) key: u32,
    /// Whether both values look like one kind.
    pub(super) looks: bool,
    /// Whether the replay itself caused it.
    pub(super) excused: bool,
    /// Whether it is one of a tie, which is told only where that always holds.
    pub(super) is_tie: bool,
    pub(super) place: String,
    pub(super) expected: Option<String>,
    pub(super) actual: Option<String>,
    /// The values in which it differs.
    pub(super) parts: Vec<SpooledPart>,
    /// Values for which it shows that v2 did not issue them.
    pub(super) roots: Vec<u32>,
}

/// A value in a text, with its place as a number.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct SpooledPart {
    pub(super) key: u32,
    /// How many of the following parts are within this one.
    pub(super) within: u8,
    /// Whether these are but the words at its start.
    pub(super) begun: bool,
    /// Whether both values look like one kind.
    pub(super) looks: bool,
    /// Whether both are letters only.
    pub(super) word: bool,
    /// Whether both are times.
    pub(super) timed: bool,
    /// The form of v2's value, also where that is short.
    pub(super) form: Option<TextForm>,
    /// Names v2's value.
    pub(super) value: u64,
}

impl SpoolRecord {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        number(out, u64::from(self.rank))?;
        number(out, self.id.exchange.connection)?;
        number(out, u64::from(self.id.exchange.ordinal))?;
        number(out, u64::from(self.id.copy))?;
        number(out, u64::from(self.route))?;
        number(out, self.at.nanos() as u64)?;
        text(out, &self.method)?;
        text(out, &self.target)?;
        number(out, self.behind.map_or(0, UndoneWrite::code))?;
        number(out, self.lacks.map_or(0, |root| root.map_or(1, |root| u64::from(root) + 2)))?;
        number(out, self.changes.len() as u64)?;
        for change in &self.changes {
            number(out, u64::from(change.key))?;
            let has = |value: &Option<String>| u64::from(value.is_some());
            number(
                out,
                u64::from(change.looks)
                    | has(&change.expected) << 1
                    | has(&change.actual) << 2
                    | u64::from(change.excused) << 3
                    | u64::from(change.is_tie) << 4,
            )?;
            number(out, change.parts.len() as u64)?;
            for part in &change.parts {
                part.write(out)?;
            }
            number(out, change.roots.len() as u64)?;
            for &root in &change.roots {
                number(out, u64::from(root))?;
            }
            text(out, &change.place)?;
            for value in [&change.expected, &change.actual].into_iter().flatten() {
                text(out, value)?;
            }
        }
        Ok(())
    }

    /// The next record; none at the end.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let rank = match read_number(input) {
            Ok(rank) => rank as u32,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let exchange =
            ExchangeId { connection: read_number(input)?, ordinal: read_number(input)? as u32 };
        let id = ReplayId { exchange, copy: read_number(input)? as u32 };
        let route = read_number(input)? as u32;
        let at = Timestamp::from_nanos(read_number(input)? as i64);
        let (method, target) = (read_text(input)?, read_text(input)?);
        let behind = UndoneWrite::of_code(read_number(input)?);
        let lacks = match read_number(input)? {
            0 => None,
            1 => Some(None),
            root => Some(Some((root - 2) as u32)),
        };
        let count = read_number(input)?;
        let mut changes = Vec::new();
        for _ in 0..count {
            let key = read_number(input)? as u32;
            let flags = read_number(input)?;
            let count = read_number(input)?;
            let parts = (0..count).map(|_| SpooledPart::read(input)).collect::<Result<_, _>>()?;
            let count = read_number(input)?;
            let roots = (0..count)
                .map(|_| read_number(input).map(|root| root as u32))
                .collect::<Result<_, _>>()?;
            let place = read_text(input)?;
            let expected = if flags & 2 != 0 { Some(read_text(input)?) } else { None };
            let actual = if flags & 4 != 0 { Some(read_text(input)?) } else { None };
            let (looks, excused, is_tie) = (flags & 1 != 0, flags & 8 != 0, flags & 16 != 0);
            changes.push(SpooledChange {
                key,
                looks,
                excused,
                is_tie,
                place,
                expected,
                actual,
                parts,
                roots,
            });
        }
        Ok(Some(Self { rank, id, route, at, method, target, behind, lacks, changes }))
    }
}

impl SpooledPart {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let bits = [self.looks, self.form.is_some(), self.word, self.timed, self.begun];
        let flags = (0..).zip(bits).fold(0, |all, (at, bit)| all | u64::from(bit) << at);
        number(out, u64::from(self.key) | u64::from(self.within) << 32 | flags << 40)?;
        number(out, self.form.map_or(0, TextForm::pack))?;
        number(out, self.value)
    }

    fn read(input: &mut impl Read) -> io::Result<Self> {
        let (head, form, value) = (read_number(input)?, read_number(input)?, read_number(input)?);
        let flags = head >> 40;
        Ok(Self {
            key: head as u32,
            within: (head >> 32) as u8,
            looks: flags & 1 != 0,
            word: flags & 4 != 0,
            timed: flags & 8 != 0,
            begun: flags & 16 != 0,
            form: (flags & 2 != 0).then(|| TextForm::unpack(form)),
            value,
        })
    }
}

fn text(out: &mut impl Write, text: &str) -> io::Result<()> {
    number(out, text.len() as u64)?;
    out.write_all(text.as_bytes())
}

fn read_text(input: &mut impl Read) -> io::Result<String> {
    let length = usize::try_from(read_number(input)?).ok().filter(|length| *length <= MAX_TEXT);
    let mut bytes = vec![0; length.ok_or_else(|| io::Error::other("the spool is damaged"))?];
    input.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::super::skipped::Undone;
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let change = |expected: Option<&str>| SpooledChange {
            key: 7,
            looks: expected.is_none(),
            excused: expected.is_some(),
            is_tie: expected.is_none(),
            place: "$.é".to_owned(),
            expected: expected.map(str::to_owned),
            actual: Some("2".to_owned()),
            parts: vec![
                SpooledPart::default(),
                SpooledPart {
                    key: 9,
                    within: 1,
                    begun: true,
                    looks: true,
                    word: true,
                    timed: true,
                    form: TextForm::of("3f2a91c07be41d05"),
                    value: u64::MAX,
                },
            ],
            roots: vec![5],
        };
        let record = SpoolRecord {
            rank: 3,
            id: "12-3@2".parse().unwrap(),
            route: 9,
            at: Timestamp::from_nanos(-5),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            behind: Some(UndoneWrite { undone: Undone::Astray, number: 0 }),
            lacks: Some(Some(7)),
            changes: vec![change(None), change(Some("1"))],
        };
        let mut bytes = Vec::new();
        record.write(&mut bytes).unwrap();
        SpoolRecord::default().write(&mut bytes).unwrap();
        let mut input = &bytes[..];
        assert_eq!(SpoolRecord::read(&mut input).unwrap(), Some(record));
        assert_eq!(SpoolRecord::read(&mut input).unwrap(), Some(SpoolRecord::default()));
        assert_eq!(SpoolRecord::read(&mut input).unwrap(), None);
    }
}
