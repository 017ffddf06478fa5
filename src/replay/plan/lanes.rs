//! Which lane a request is of, and which shard replays that lane.
//!
//! A lane is a connection, or where they are told apart a user: then the lanes of connections have
//! even numbers and those of users odd ones. A shard has whole lanes, and where values are bound
//! whole clients: those of a client wait for each other and give values to each other. A user is
//! of the client that its first request is of.

use rustc_hash::FxHashMap;

use crate::exchange::Exchange;
use crate::schedule::Recorded;
use crate::schedule::select::copy_hash;
use crate::schedule::users::Users;

/// Most users whose lanes are told apart.
const USERS: usize = 1 << 20;

/// By what a lane falls into a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Its connection.
    Connection(u64),
    /// Its client across connections.
    Session(u32),
    /// Its user.
    User(u64),
}

/// Bytes of one in a record.
pub(super) const OWNER_BYTES: usize = 1 + 8;

impl Owner {
    /// The hash of one of its copies, from 0: the same in every run, and on every machine.
    pub(super) fn hash(self, copy: u32) -> u64 {
        match self {
            Self::Connection(connection) => copy_hash("shard", connection, copy),
            Self::Session(session) => copy_hash("shard-session", u64::from(session), copy),
            Self::User(user) => copy_hash("shard-user", user, copy),
        }
    }

    pub(super) fn encode(self) -> [u8; OWNER_BYTES] {
        let (kind, number) = match self {
            Self::Connection(connection) => (0, connection),
            Self::Session(session) => (1, u64::from(session)),
            Self::User(user) => (2, user),
        };
        let mut bytes = [kind; OWNER_BYTES];
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; OWNER_BYTES]) -> Self {
        let [kind, number @ ..] = bytes;
        let number = u64::from_be_bytes(number);
        match kind {
            0 => Self::Connection(number),
            1 => Self::Session(number as u32),
            _ => Self::User(number),
        }
    }
}

/// Where a request stands in the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InLane {
    /// The lane's number, and where in it the request stands.
    pub(super) lane: (u64, u64),
    pub(super) owner: Owner,
}

/// All lanes of a recording.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by: Users,
    users: FxHashMap<u64, User>,
    /// How many numbers of lanes there are.
    pub(super) count: u64,
    /// Requests of users beyond the bound, which stay on the lanes of their connections.
    pub(super) beyond: u64,
}

#[derive(Clone, Copy, Debug)]
struct User {
    number: u64,
    owner: Owner,
}

impl Lanes {
    /// Lanes by connection or user.
    pub(super) fn new(by: Users) -> Self {
        Self { by, ..Self::default() }
    }

    /// The lane of an exchange, which is `recorded`; `session`: its client, where values are bound.
    /// Exchanges are asked for in the order of the recording.
    pub(super) fn of(
        &mut self,
        exchange: &Exchange,
        recorded: &Recorded,
        session: Option<u32>,
    ) -> InLane {
        let connection = exchange.id.connection;
        let (user, is_new) = self.user(exchange, session);
        self.beyond += u64::from(is_new && user.is_none());
        if let (Some((hash, user)), true) = (user, is_new) {
            self.users.insert(hash, user);
        }
        let in_lane = match user {
            // Sorted by time: the sign is turned, so that numbers compare like times. Requests of a
            // user came on any of a proxy's connections.
            Some((_, User { number, owner })) => {
                InLane { lane: (number * 2 + 1, recorded.at as u64 ^ (1 << 63)), owner }
            }
            None => {
                let number = match self.by {
                    Users::Connection => connection,
                    _ => connection.saturating_mul(2),
                };
                let owner = session.map_or(Owner::Connection(connection), Owner::Session);
                InLane { lane: (number, u64::from(exchange.id.ordinal)), owner }
            }
        };
        self.count = self.count.max(in_lane.lane.0.saturating_add(1));
        in_lane
    }

    /// By what an exchange falls into a shard: as [`Self::of`] is about to say.
    pub(super) fn owner(&self, exchange: &Exchange, session: Option<u32>) -> Owner {
        match self.user(exchange, session).0 {
            Some((_, user)) => user.owner,
            None => session.map_or(Owner::Connection(exchange.id.connection), Owner::Session),
        }
    }

    /// The user of an exchange, by the hash of its name, and whether its name is new; none where
    /// its connection stands for it.
    fn user(&self, exchange: &Exchange, session: Option<u32>) -> (Option<(u64, User)>, bool) {
        let Some(hash) = self.by.of(exchange) else { return (None, false) };
        if let Some(&known) = self.users.get(&hash) {
            return (Some((hash, known)), false);
        }
        if self.users.len() >= USERS {
            return (None, true);
        }
        let owner = session.map_or(Owner::User(hash), Owner::Session);
        (Some((hash, User { number: self.users.len() as u64, owner })), true)
    }

    /// Whether a lane is a user's.
    pub(super) fn is_users(&self, number: u64) -> bool {
        self.by != Users::Connection && number % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{ExchangeId, TimedRequest};
    use crate::message::{Headers, Request};

    fn exchange(connection: u64, user: Option<&str>) -> Exchange {
        let endpoint = |text: &str| text.parse().expect("an endpoint");
        let mut exchange = Exchange::between(endpoint("192.0.2.1:1"), endpoint("192.0.2.2:80"));
        exchange.id = ExchangeId { connection, ordinal: 3 };
        let mut headers = Headers::default();
        headers.push(b"Cookie", format!("sid={}", user.unwrap_or_default()).as_bytes());
        let headers = if user.is_some() { headers } else { Headers::default() };
        let message = Request { headers, ..Request::default() };
        exchange.request = Some(TimedRequest { message, ..TimedRequest::default() });
        exchange
    }

    fn of(lanes: &mut Lanes, exchange: &Exchange, session: Option<u32>) -> (u64, Owner) {
        let recorded = Recorded::new(exchange).expect("it has a request");
        let expected = lanes.owner(exchange, session);
        let InLane { lane, owner } = lanes.of(exchange, &recorded, session);
        assert_eq!(owner, expected, "asked before it is added, it is said the same");
        assert_eq!(lanes.is_users(lane.0), !matches!(owner, Owner::Connection(_)) && lane.1 > 3);
        (lane.0, owner)
    }

    #[test]
    fn a_lane_is_a_connection_or_a_user() {
        let mut lanes = Lanes::new(Users::Connection);
        assert_eq!(of(&mut lanes, &exchange(7, Some("ann")), None), (7, Owner::Connection(7)));
        let mut lanes = Lanes::new(Users::Cookie("sid".to_owned()));
        let (ann, owner) = of(&mut lanes, &exchange(7, Some("ann")), None);
        assert!(matches!(owner, Owner::User(_)));
        assert_eq!(of(&mut lanes, &exchange(8, Some("ann")), None), (ann, owner));
        assert_ne!(of(&mut lanes, &exchange(7, Some("bob")), None), (ann, owner));
        assert_eq!(of(&mut lanes, &exchange(7, None), None), (14, Owner::Connection(7)));
        assert_eq!((lanes.count, lanes.beyond), (15, 0));
    }

    #[test]
    fn a_lane_is_in_one_shard_though_its_client_changes() {
        let mut lanes = Lanes::new(Users::Cookie("sid".to_owned()));
        let (ann, owner) = of(&mut lanes, &exchange(7, Some("ann")), Some(5));
        assert_eq!(owner, Owner::Session(5));
        assert_eq!(of(&mut lanes, &exchange(8, Some("ann")), Some(6)), (ann, owner));
        assert_eq!(of(&mut lanes, &exchange(8, None), Some(6)).1, Owner::Session(6));
    }

    #[test]
    fn owners_are_written_and_read() {
        let all = [Owner::Connection(u64::MAX), Owner::Session(u32::MAX), Owner::User(3)];
        for owner in all {
            assert_eq!(Owner::decode(owner.encode()), owner);
        }
        assert_ne!(all[2].hash(0), all[2].hash(1));
    }
}
