//! What a plan keeps of bound values: notes beside the requests, and how often each value is used.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bind::fill::expected::Expected;
use crate::bind::fill::socket::{self, InSocket};
use crate::bind::fill::touch::{Touches, Wanted};
use crate::bind::{Birth, Part, Parts};
use crate::exchange::socket::SocketSession;
use crate::exchange::{Exchange, ExchangeId, SocketMessage};
use crate::replay::binder::Uses;
use crate::replay::plan::spool::{Spool, SpoolPlace, SpoolReader, SpoolWriter};

/// Most values that commands supply.
const SUPPLIED: usize = 10_000;

/// Gathers it while the plan is made.
pub(in crate::replay) struct BoundWriter {
    parts: Arc<dyn Parts>,
    /// The one that was asked for last, and is asked for again when its exchange is added.
    last: Option<(ExchangeId, Option<Part>)>,
    notes: SpoolWriter,
    uses: Uses,
    waits: u64,
    holes: u64,
    pub(super) touches: Touches,
    wanted: BTreeSet<Wanted>,
}

/// What is kept of one request.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::replay) struct Note {
    /// When it was recorded, in nanoseconds since the epoch.
    pub(in crate::replay) at: i64,
    pub(in crate::replay) expected: Expected,
    /// Of the messages on its WebSocket that give values, one behind the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::replay) messages: Vec<Expected>,
}

/// What a plan knows of bound values.
pub(in crate::replay) struct PlanBound {
    pub(in crate::replay) parts: Arc<dyn Parts>,
    notes: Spool,
    pub(in crate::replay) uses: Arc<Uses>,
    pub(in crate::replay) touches: Arc<Touches>,
    /// Values that a command is to supply.
    pub(in crate::replay) wanted: Vec<Wanted>,
    /// Requests that wait for answers of other lanes, or for values.
    pub(in crate::replay) waits: u64,
    /// Values that are put into requests.
    pub(in crate::replay) holes: u64,
}

impl BoundWriter {
    pub(in crate::replay) fn new(
        folder: &Path,
        parts: Arc<dyn Parts>,
        touches: Touches,
    ) -> io::Result<Self> {
        let (notes, wanted) = (SpoolWriter::new(folder)?, BTreeSet::new());
        let (uses, last) = (Uses::new(), None);
        Ok(Self { parts, last, notes, uses, waits: 0, holes: 0, touches, wanted })
    }

    /// What an exchange has to do with bound values.
    pub(in crate::replay) fn part(&mut self, of: ExchangeId) -> io::Result<Option<Part>> {
        match self.last.take_if(|(last, _)| *last == of) {
            Some((_, part)) => Ok(part),
            None => self.parts.part(of),
        }
    }

    /// The client of an exchange that is added next.
    pub(in crate::replay) fn session(&mut self, of: ExchangeId) -> io::Result<Option<u32>> {
        let part = self.parts.part(of)?;
        let session = part.as_ref().map(|part| part.session);
        self.last = Some((of, part));
        Ok(session)
    }

    /// Keeps what is needed of an exchange that is sent; gives where it stands.
    pub(in crate::replay) fn add(
        &mut self,
        exchange: &Exchange,
        part: &Part,
    ) -> io::Result<SpoolPlace> {
        for used in &part.uses {
            let slot = used.slot as usize;
            if slot >= self.uses.len() {
                self.uses.resize(slot + 1, 0);
            }
            self.uses[slot] = self.uses[slot].saturating_add(1);
        }
        self.holes += part.uses.len() as u64;
        self.waits += u64::from(!part.after.is_empty() || !part.uses.is_empty());
        let socket = SocketSession::of(exchange).map(|session| {
            let mut whole = part.clone();
            let inside = InSocket::take_from(&mut whole);
            (whole.births, giving(session, &inside))
        });
        let births = socket.as_ref().map_or(&part.births, |(births, _)| births);
        let expected = match &exchange.response {
            Some(answer) => {
                let asked = exchange.request.as_ref().map(|request| &request.message.target[..]);
                let asked = asked.unwrap_or_default();
                Expected::of(&answer.message, births, asked, self.touches.schema())
            }
            None => Expected::default(),
        };
        let messages = socket.map_or_else(Vec::new, |(_, messages)| messages);
        let request = exchange.request.as_ref();
        if let Some(request) = request.filter(|_| !self.touches.is_empty()) {
            let wanted = self.touches.look(&request.message);
            self.wanted.extend(wanted.into_iter().filter(|wanted| !self.touches.has(wanted)));
            if self.wanted.len() > SUPPLIED {
                let why = format!("[[flow.supply]] is asked for more than {SUPPLIED} values");
                return Err(io::Error::other(why));
            }
        }
        let at = request.map_or(0, |request| request.at.nanos());
        let note = serde_json::to_vec(&Note { at, expected, messages })?;
        self.notes.append(|out| out.extend_from_slice(&note))
    }

    pub(in crate::replay) fn finish(self) -> io::Result<PlanBound> {
        Ok(PlanBound {
            parts: self.parts,
            notes: self.notes.finish()?,
            uses: Arc::new(self.uses),
            touches: Arc::new(self.touches),
            wanted: self.wanted.into_iter().collect(),
            waits: self.waits,
            holes: self.holes,
        })
    }
}

/// What v1's messages had where they issue values.
fn giving(session: SocketSession<'_>, inside: &InSocket) -> Vec<Expected> {
    let said: Vec<&SocketMessage> = session.answers().collect();
    let of = |(number, births): &(u32, Vec<Birth>)| match said.get(*number as usize) {
        Some(message) => socket::expected(births, message),
        None => Expected::default(),
    };
    inside.births.iter().map(of).collect()
}

impl PlanBound {
    /// A reader of the notes.
    pub(in crate::replay) fn notes(&self) -> SpoolReader {
        self.notes.reader()
    }
}

/// The note at a place.
pub(in crate::replay) fn note(notes: &mut SpoolReader, place: SpoolPlace) -> io::Result<Note> {
    Ok(serde_json::from_slice(&notes.get(place.offset, place.length as usize)?)?)
}
