//! Joins what answers show with what requests say: the sorted events of one value after the other,
//! so that memory does not grow with the recording.
//!
//! Whoever says a value first owns it. One that a request said before any answer is its client's:
//! it is never bound, and its first saying in a request that may change something creates it. One
//! that an answer showed first was issued, and each later saying is a use of one of the answers
//! that showed it: as its own client came to know it, if that can be told.

use std::io;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::client::{ClientSession, Clients};
use super::event::{
    CREDENTIAL, FIELD, ISSUED, MADE, PATH, RULED, SIGNED, UNSAFE, ValueEvent, WEAK,
};
use crate::exchange::ExchangeId;

/// Whom a request waits for, beside what its own connection asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The answers that give its values.
    Connection,
    /// Also requests that create or change what it names.
    Data,
    /// Also all that its session had been answered.
    #[default]
    Session,
    /// Also all that anybody had been answered.
    All,
}

/// Sessions whose latest sight of one value is kept; beyond, its birth stands for all.
const SIGHTS: usize = 1 << 16;

/// Clients that share a name which one of them made: it and the one that it made it for.
const FEW: usize = 2;

/// Connections that one value may join to whom it was given.
const FOLLOWERS: usize = 1 << 10;

/// What the join finds, one after the other.
pub(super) trait Finds {
    /// A request says a value that an answer issued.
    fn used(&mut self, birth: &ValueEvent, used: &ValueEvent) -> io::Result<()>;
    /// An answer issued a value that no request says: it names what its request made, or a later
    /// answer shows it again.
    fn shown(&mut self, birth: &ValueEvent) -> io::Result<()>;
    /// A request says a value that looks issued, but by no answer.
    fn older(&mut self, said: &ValueEvent) -> io::Result<()>;
    /// A request can only follow an exchange.
    fn after(&mut self, said: &ValueEvent, exchange: ExchangeId) -> io::Result<()>;
    /// The events of one value are over.
    fn ended(&mut self);
}

/// Joins clients by the credentials that answers gave them, and by what one of them alone was
/// given.
pub(super) fn credentials(
    events: impl Iterator<Item = io::Result<ValueEvent>>,
    clients: &mut Clients,
) -> io::Result<()> {
    let mut group = CredentialGroup::default();
    let mut of = None;
    for event in events {
        let event = event?;
        if event.flags & (WEAK | PATH | RULED) != 0 {
            continue;
        }
        if of != Some(event.hash) {
            group.end(clients);
            of = Some(event.hash);
        }
        group.take(&event, clients);
    }
    group.end(clients);
    Ok(())
}

/// Who was given a value, and who says it.
#[derive(Default)]
struct CredentialGroup {
    began: bool,
    birth: Option<ValueEvent>,
    /// Others were given it, too.
    is_shared: bool,
    /// Connections whose client is not known, each after the other's answer.
    followers: Vec<u64>,
    answered: Option<i64>,
}

impl CredentialGroup {
    fn take(&mut self, event: &ValueEvent, clients: &mut Clients) {
        if !std::mem::replace(&mut self.began, true) {
            // A value that a request says first is its client's.
            self.birth = (!event.said).then_some(*event);
            return;
        }
        let Some(birth) = self.birth else { return };
        let of = |event: &ValueEvent| (event.identity, event.id.connection);
        if !event.said {
            self.is_shared |= clients.owner(of(&birth)) != clients.owner(of(event));
        } else if event.is(CREDENTIAL) {
            // A credential of all, such as a key of the application, joins nobody.
            if !self.is_shared {
                clients.give(of(&birth), event.identity);
            }
        } else if event.is(UNSAFE) && clients.may_follow(of(event), birth.identity) {
            // Two at once are two.
            self.is_shared |= self.answered.is_some_and(|answered| answered > event.at);
            self.answered = self.answered.max(Some(event.answered));
            if self.followers.len() < FOLLOWERS {
                self.followers.push(event.id.connection);
            }
        }
    }

    fn end(&mut self, clients: &mut Clients) {
        if let Some(birth) = self.birth.filter(|_| !self.is_shared) {
            self.followers
                .iter()
                .for_each(|&connection| clients.follow(connection, birth.identity));
        }
        self.followers.clear();
        (self.began, self.birth, self.is_shared, self.answered) = (false, None, false, None);
    }
}

/// Joins all events.
pub(super) fn values(
    events: impl Iterator<Item = io::Result<ValueEvent>>,
    clients: &mut Clients,
    order: Order,
    finds: &mut impl Finds,
) -> io::Result<()> {
    let mut group = EventGroup::default();
    let mut of = None;
    for event in events {
        let event = event?;
        if of != Some(event.hash) {
            group.end(finds)?;
            group.begin(&event);
            of = Some(event.hash);
        }
        let session = clients.session(event.identity, event.id.connection);
        group.take(event, session, order, finds)?;
    }
    group.end(finds)
}

/// The events of one value so far.
#[derive(Default)]
struct EventGroup {
    /// A request said it first.
    is_clients: bool,
    /// A request made what it names.
    is_made: bool,
    birth: Option<(ValueEvent, ClientSession)>,
    births: u64,
    is_used: bool,
    /// A request says it in a token that its client signed, and not otherwise: it may be who the
    /// client is.
    is_in_token: bool,
    /// The latest answers that showed it, by session, and by session and path.
    by_session: FxHashMap<ClientSession, ValueEvent>,
    by_path: FxHashMap<(ClientSession, u32), ValueEvent>,
    /// The first request that says it in its path or body and may change something.
    creator: Option<(ValueEvent, ClientSession)>,
    /// Sessions that said it, as far as they are few.
    sayers: Vec<ClientSession>,
    /// The latest of each session.
    changers: FxHashMap<ClientSession, ValueEvent>,
    /// The latest change of the path that it is.
    changer: Option<ValueEvent>,
}

impl EventGroup {
    fn begin(&mut self, first: &ValueEvent) {
        // Maps keep their room for the next value, unless one value took much of it.
        let clear = |map: &mut FxHashMap<ClientSession, ValueEvent>| match map.capacity() {
            0..=1_024 => map.clear(),
            _ => *map = FxHashMap::default(),
        };
        clear(&mut self.by_session);
        clear(&mut self.changers);
        match self.by_path.capacity() {
            0..=1_024 => self.by_path.clear(),
            _ => self.by_path = FxHashMap::default(),
        }
        (self.is_clients, self.is_made) = (first.said, false);
        (self.birth, self.births, self.is_used, self.is_in_token) = (None, 0, false, false);
        (self.creator, self.changer) = (None, None);
        self.sayers.clear();
    }

    fn end(&mut self, finds: &mut impl Finds) -> io::Result<()> {
        let is_shown = |birth: &ValueEvent| self.births > 1 || birth.is(MADE) || self.is_in_token;
        if let Some((birth, _)) = self.birth.filter(|(birth, _)| is_shown(birth) && !self.is_used) {
            finds.shown(&birth)?;
        }
        finds.ended();
        Ok(())
    }

    fn take(
        &mut self,
        event: ValueEvent,
        session: ClientSession,
        order: Order,
        finds: &mut impl Finds,
    ) -> io::Result<()> {
        if event.is(PATH) {
            return self.path(event, order, finds);
        }
        if !event.said {
            if !self.is_clients || event.is(RULED) {
                self.shown(event, session);
            }
            return Ok(());
        }
        match self.source(&event, session) {
            Some(birth) => {
                self.is_in_token |= event.is(SIGNED);
                // What stands in a token that its client signed takes nothing from the answer.
                self.is_used |=
                    !event.is(SIGNED) && self.birth.is_some_and(|(first, _)| first == birth);
                finds.used(&birth, &event)?;
            }
            None if event.is(ISSUED) && !event.is(WEAK | RULED) && !self.is_made => {
                finds.older(&event)?;
            }
            None => {}
        }
        self.is_made |= event.makes;
        // A message of a WebSocket keeps no order but that of its values: its request came before.
        if !event.is(WEAK | RULED) && !event.in_session {
            self.related(event, session, order, finds)?;
        }
        Ok(())
    }

    fn shown(&mut self, event: ValueEvent, session: ClientSession) {
        self.births += 1;
        self.birth.get_or_insert((event, session));
        if self.by_session.len() < SIGHTS {
            self.by_session.insert(session, event);
        }
        if self.by_path.len() < SIGHTS {
            self.by_path.insert((session, event.path), event);
        }
    }

    /// The answer that a use has its value from.
    fn source(&self, used: &ValueEvent, session: ClientSession) -> Option<ValueEvent> {
        let (birth, first) = self.birth?;
        let found = match (
            // Of the same resource: its entity tag, the next part of its list.
            self.by_path.get(&(session, used.path)),
            self.by_session.get(&session),
        ) {
            (Some(same), _) => *same,
            // What means something only beside its kind may be another one's by now.
            (None, Some(own)) if used.is(WEAK) || first != session => *own,
            (None, _) => birth,
        };
        // Of two at one instant the earlier one in the recording.
        ((found.at, found.number) < (used.at, used.number)).then_some(found)
    }

    /// Requests that share a value of which one may change something: what the others say may not
    /// be there before it.
    fn related(
        &mut self,
        event: ValueEvent,
        session: ClientSession,
        order: Order,
        finds: &mut impl Finds,
    ) -> io::Result<()> {
        if order == Order::Connection {
            return Ok(());
        }
        if self.sayers.len() <= FEW && !self.sayers.contains(&session) {
            self.sayers.push(session);
        }
        if let Some((creator, whose)) = self.creator
            && creator.answered <= event.at
            // Of another client's only a name that it made for this one: what many say, as the key
            // of an application, would let them all wait for the first.
            && (whose == session && order == Order::Data
                || whose != session
                    && self.sayers.len() <= FEW
                    && creator.template != event.template)
        {
            finds.after(&event, creator.id)?;
        }
        if let Some(changer) = self.changers.get(&session)
            && order == Order::Data
            && changer.answered <= event.at
        {
            finds.after(&event, changer.id)?;
        }
        if event.is(UNSAFE) {
            if !event.is(FIELD) {
                self.creator.get_or_insert((event, session));
            }
            if self.changers.len() < SIGHTS {
                self.changers.insert(session, event);
            }
        }
        Ok(())
    }

    /// Requests of one path, of which one changes what it names.
    fn path(&mut self, event: ValueEvent, order: Order, finds: &mut impl Finds) -> io::Result<()> {
        if order == Order::Connection {
            return Ok(());
        }
        if let Some(changer) = self.changer.filter(|changer| changer.answered <= event.at) {
            finds.after(&event, changer.id)?;
        }
        if event.is(UNSAFE) && event.answered != i64::MAX {
            self.changer = Some(event);
        }
        Ok(())
    }
}
