//! The record that the join sorts: a value that an answer shows or a request says, by its hash,
//! then by time.

use crate::exchange::ExchangeId;

/// Bytes of a record.
pub(super) const BYTES: usize = 59;

/// A value's appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ValueEvent {
    /// Of the value, among those of its kind.
    pub(super) hash: u64,
    /// When it was known to its client, or when it was said: nanoseconds since 1970.
    pub(super) at: i64,
    /// A request says it; else an answer shows it.
    pub(super) said: bool,
    /// Its request makes what it names: `PUT /notes/8f3a…`.
    pub(super) makes: bool,
    /// Stands in a message of a WebSocket, which was said or known after its request.
    pub(super) in_session: bool,
    /// Number of its exchange, in the order of the recording.
    pub(super) number: u64,
    /// What is known of it: [`WEAK`] and others.
    pub(super) flags: u8,
    /// Its exchange's name.
    pub(super) id: ExchangeId,
    /// Who its client is.
    pub(super) identity: u32,
    /// Route and place.
    pub(super) template: u32,
    /// Where its place and text are kept.
    pub(super) kept: u64,
    /// Of the path of its request.
    pub(super) path: u32,
    /// When its exchange was answered; [`i64::MAX`] where it was not.
    pub(super) answered: i64,
}

/// Means something only beside its kind of thing.
pub(super) const WEAK: u8 = 1;
/// A rule says that it flows.
pub(super) const RULED: u8 = 2;
/// Its request may change something.
pub(super) const UNSAFE: u8 = 4;
/// Of what an answer shows: its request made what it names.
pub(super) const MADE: u8 = UNSAFE;
/// Looks issued, where it stands.
pub(super) const ISSUED: u8 = 8;
/// Says who the client is.
pub(super) const CREDENTIAL: u8 = 16;
/// Stands inside a token that its client signed.
pub(super) const SIGNED: u8 = 32;
/// Is the path of its request, and orders requests only.
pub(super) const PATH: u8 = 64;
/// Stands in a header field, which creates nothing.
pub(super) const FIELD: u8 = 128;

impl ValueEvent {
    /// As bytes that sort by hash, time, and answers before requests.
    pub(super) fn pack(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[0..8].copy_from_slice(&self.hash.to_be_bytes());
        out[8..16].copy_from_slice(&ordered(self.at).to_be_bytes());
        out[16] = u8::from(self.said) | u8::from(self.makes) << 1 | u8::from(self.in_session) << 2;
        out[17..22].copy_from_slice(&self.number.to_be_bytes()[3..]);
        out[22..28].copy_from_slice(&self.kept.to_be_bytes()[2..]);
        out[28] = self.flags;
        out[29..35].copy_from_slice(&self.id.connection.to_be_bytes()[2..]);
        out[35..39].copy_from_slice(&self.id.ordinal.to_be_bytes());
        out[39..43].copy_from_slice(&self.identity.to_be_bytes());
        out[43..47].copy_from_slice(&self.template.to_be_bytes());
        out[47..51].copy_from_slice(&self.path.to_be_bytes());
        out[51..59].copy_from_slice(&self.answered.to_be_bytes());
        out
    }

    /// What [`Self::pack`] wrote.
    pub(super) fn unpack(record: &[u8; BYTES]) -> Self {
        Self {
            hash: number(&record[0..8]),
            at: from_ordered(number(&record[8..16])),
            said: record[16] & 1 != 0,
            makes: record[16] & 2 != 0,
            in_session: record[16] & 4 != 0,
            number: number(&record[17..22]),
            kept: number(&record[22..28]),
            flags: record[28],
            id: ExchangeId {
                connection: number(&record[29..35]),
                ordinal: number(&record[35..39]) as u32,
            },
            identity: number(&record[39..43]) as u32,
            template: number(&record[43..47]) as u32,
            path: number(&record[47..51]) as u32,
            answered: number(&record[51..59]) as i64,
        }
    }

    /// Whether this is known of it.
    pub(super) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Big-endian bytes as a number.
#[inline]
pub(super) fn number(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[8 - bytes.len()..].copy_from_slice(bytes);
    u64::from_be_bytes(eight)
}

/// A time whose bytes sort as it does.
pub(super) const fn ordered(time: i64) -> u64 {
    time as u64 ^ 1 << 63
}

/// The time that [`ordered`] was given.
pub(super) const fn from_ordered(time: u64) -> i64 {
    (time ^ 1 << 63) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_are_written_and_read(
            hash: u64, at: i64, said: bool, makes: bool, in_session: bool,
            number in 0..1_u64 << 40, flags: u8,
            connection in 0..1_u64 << 40, ordinal: u32, kept in 0..1_u64 << 48, answered: i64,
            small: (u32, u32, u32),
        ) {
            let event = ValueEvent {
                hash, at, said, makes, in_session, number, flags, kept, answered,
                id: ExchangeId { connection, ordinal },
                identity: small.0, template: small.1, path: small.2,
            };
            prop_assert_eq!(ValueEvent::unpack(&event.pack()), event);
        }

        #[test]
        fn times_sort_as_their_bytes(a: i64, b: i64) {
            prop_assert_eq!(a.cmp(&b), ordered(a).to_be_bytes().cmp(&ordered(b).to_be_bytes()));
        }
    }
}
