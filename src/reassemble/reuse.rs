//! Which connection a segment belongs to, where the same two ends had more than one: in several
//! virtual networks, or one after another.
//!
//! What looks like the start of another connection may be a stray: a delayed SYN, a second answer
//! to one. So the connection that goes on is kept beside the new one until a segment fits the new
//! one alone, and is replaced only then.

use super::connection::{Belongs, Connection};
use super::table::{ConnectionSlot, ConnectionTable, HashedPair};
use super::{DirectionEnd, EventStreams};
use crate::decode::{Segment, TcpFlags};

impl<T: EventStreams> ConnectionTable<T> {
    /// The slot of the connection that a segment belongs to, which may be a new one.
    pub(super) fn find(&mut self, segment: &Segment) -> u32 {
        let place = HashedPair::of(segment);
        let mut next = self.places.get(&place).copied();
        let mut meshing = None;
        while let Some(index) = next {
            let slot = self.slot(index);
            let connection = &slot.connection;
            if is_of_network(connection, segment.network) {
                if connection.unproven {
                    return self.find_among_two(index, place, segment);
                }
                if connection.belongs(segment) == Belongs::Yes {
                    return index;
                }
                if segment.flags.has(TcpFlags::SYN) && connection.may_go_on() {
                    return self.insert_beside(index, place, segment);
                }
                self.replaced += 1;
                self.remove(index, DirectionEnd::Replaced);
                return self.insert(place, segment);
            }
            if meshing.is_none() && !connection.over && connection.meshes(segment) {
                meshing = Some(index);
            }
            next = slot.sibling;
        }
        if let Some(index) = meshing {
            self.connection(index).other_networks.push(segment.network);
            return index;
        }
        self.insert(place, segment)
    }

    /// A connection that may be a stray, before the one that it may replace.
    fn insert_beside(&mut self, old: u32, place: HashedPair, segment: &Segment) -> u32 {
        let connection = self.connection(old);
        let mut networks = connection.other_networks.clone();
        networks.push(connection.network);
        networks.retain(|&network| network != segment.network);
        let new = self.insert(place, segment);
        let connection = self.connection(new);
        (connection.unproven, connection.other_networks) = (true, networks);
        new
    }

    /// `new` is not proved: the segment belongs to it, or to the one that it may replace.
    fn find_among_two(&mut self, new: u32, place: HashedPair, segment: &Segment) -> u32 {
        let Some(old) = self.replaced_by(new, segment.network) else {
            self.connection(new).unproven = false;
            return new;
        };
        let belongs = [new, old].map(|index| self.slot(index).connection.belongs(segment));
        if segment.flags.has(TcpFlags::SYN) && belongs == [Belongs::NewEpoch; 2] {
            // A third number: the second one came to nothing.
            self.remove(new, DirectionEnd::Replaced);
            return self.insert_beside(old, place, segment);
        }
        let fits = [new, old].map(|index| self.slot(index).connection.fits(segment));
        match fits {
            [Some(_), None] if proves(segment) => {
                self.replaced += 1;
                self.remove(old, DirectionEnd::Replaced);
                self.connection(new).unproven = false;
                new
            }
            [Some(_), None] => new,
            [Some(nearer), Some(further)] if nearer < further => new,
            _ => old,
        }
    }

    /// The connection of this network that comes behind `new` among those of the same ends.
    fn replaced_by(&self, new: u32, network: u32) -> Option<u32> {
        let mut next = self.slot(new).sibling;
        while let Some(index) = next {
            let slot = self.slot(index);
            if is_of_network(&slot.connection, network) {
                return Some(index);
            }
            next = slot.sibling;
        }
        None
    }

    fn slot(&self, index: u32) -> &ConnectionSlot<T::Stream> {
        self.slots[index as usize].as_ref().expect("siblings are taken slots")
    }

    fn connection(&mut self, index: u32) -> &mut Connection<T::Stream> {
        &mut self.slots[index as usize].as_mut().expect("siblings are taken slots").connection
    }
}

fn is_of_network<S>(connection: &Connection<S>, network: u32) -> bool {
    connection.network == network || connection.other_networks.contains(&network)
}

/// Whether a segment shows that both ends, or the one that is seen, hold to a connection: an
/// answered SYN or what comes behind it. A SYN alone, again or not, shows nothing.
fn proves(segment: &Segment) -> bool {
    segment.flags.has(TcpFlags::ACK) && !segment.flags.has(TcpFlags::RST)
}
