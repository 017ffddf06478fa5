//! Routes and places as flows name them, numbered while the recording is read. Bounded: routes by
//! what is learned of paths, places by a limit.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::event::{MADE, RULED, WEAK};
use super::kept;
use super::look::{Atom, SeenExchange};
use crate::record::flows::FlowEnd;
use crate::route::Routes;

/// Most ends of flows that are told apart; a service has some thousand.
const MOST: usize = 1 << 18;
/// What has no end of its own any more.
pub(super) const OTHER: u32 = u32::MAX;

/// A route, by the first of its requests.
struct KnownRoute {
    method: Vec<u8>,
    target: Vec<u8>,
    operation: Option<String>,
    name: Arc<str>,
}

/// A place of a route.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) route: u32,
    pub(super) place: Arc<str>,
    /// How many values stood there.
    pub(super) values: u64,
    /// A rule says that none of them flows.
    pub(super) never: bool,
    /// Strong values there: the length of the first, how many have it and how many do not, and the
    /// value that was counted last.
    drawn: (u32, u32, u32),
    last: u64,
    /// What answers made there.
    made: MadeValues,
}

/// The values at a place where answers may say what their requests made.
#[derive(Clone, Debug, Default)]
struct MadeValues {
    count: u32,
    /// Numbers that are higher than the one before.
    rises: u32,
    last: u64,
    /// The length of the first one that is no number, and whether all of these have it.
    length: u32,
    differ: bool,
    /// The first values, hashed; and whether one of them came again.
    first: FxHashSet<u64>,
    again: bool,
}

impl MadeValues {
    /// Values that are held beside each other.
    const HELD: usize = 256;

    fn add(&mut self, atom: &Atom) {
        let (hash, number) = (atom.hash, atom.made.number);
        self.count += 1;
        if number == 0 {
            self.differ |= self.length > 0 && self.length != atom.made.length;
            self.length = atom.made.length;
        }
        self.rises += u32::from(number > self.last || self.count == 1);
        self.last = number;
        if self.first.contains(&hash) {
            self.again = true;
        } else if self.first.len() < Self::HELD {
            self.first.insert(hash);
        }
    }

    /// Whether they are made anew for each answer: no value stands there twice, as one of a status,
    /// a role or a page does; numbers rise as a counter's, and codes are of one length.
    fn are_anew(&self) -> bool {
        const NUMBERS: u32 = 3;
        const CODES: u32 = 6;
        let steps = self.count.saturating_sub(1);
        let are_new = match self.length {
            0 => self.count >= NUMBERS && self.rises.saturating_sub(1) * 10 >= steps * 7,
            _ => self.count >= CODES && !self.differ,
        };
        are_new && !self.again
    }
}

/// Strong values of one length that speak for a place.
const DRAWN: u32 = 2;

impl Template {
    /// Takes note of a strong value.
    fn takes(&mut self, atom: &Atom) {
        if self.last == atom.hash {
            return;
        }
        self.last = atom.hash;
        let (length, same, others) = &mut self.drawn;
        if *same == 0 {
            *length = atom.measure;
        }
        *if *length == atom.measure { same } else { others } += 1;
    }

    /// Whether values there name what was made.
    pub(super) fn makes_anew(&self) -> bool {
        self.made.are_anew()
    }

    /// Whether a value of this length, of letters alone, is as drawn as the others of the place.
    pub(super) const fn is_drawn(&self, length: u32) -> bool {
        let (own, same, others) = self.drawn;
        own == length && same >= DRAWN && others * 4 <= same
    }
}

/// All routes and places.
#[derive(Default)]
pub(super) struct Templates {
    learned: Routes,
    routes: Vec<KnownRoute>,
    by_name: FxHashMap<Arc<str>, u32>,
    templates: Vec<Template>,
    by_place: FxHashMap<(u32, u64, bool), u32>,
}

impl Templates {
    /// The number of an exchange's route.
    pub(super) fn route(&mut self, seen: &SeenExchange) -> u32 {
        self.learned.learn(&seen.method, &seen.target);
        let operation = seen.operation.as_deref();
        let name = self.learned.route_of(&seen.method, &seen.target, operation);
        if let Some(&route) = self.by_name.get(&name) {
            return route;
        }
        if self.routes.len() >= MOST {
            return OTHER;
        }
        let route = self.routes.len() as u32;
        self.routes.push(KnownRoute {
            method: seen.method.clone(),
            target: seen.target.clone(),
            operation: seen.operation.clone(),
            name: Arc::clone(&name),
        });
        self.by_name.insert(name, route);
        route
    }

    /// The number of a value's place.
    pub(super) fn template(&mut self, route: u32, atom: &Atom, seen: &SeenExchange) -> u32 {
        let key = (route, atom.general, atom.said);
        let template = match self.by_place.get(&key) {
            Some(&template) => template,
            None if self.templates.len() >= MOST || route == OTHER => return OTHER,
            None => {
                let Some(kept) = kept::at(&seen.kept, atom.kept) else { return OTHER };
                let template = self.templates.len() as u32;
                self.templates.push(Template {
                    route,
                    place: kept.place.general_text().into(),
                    values: 0,
                    never: atom.never,
                    drawn: (0, 0, 0),
                    last: 0,
                    made: MadeValues::default(),
                });
                self.by_place.insert(key, template);
                template
            }
        };
        let of = &mut self.templates[template as usize];
        of.values += u64::from(atom.first);
        if !atom.said && atom.whole && atom.flags & (WEAK | RULED) == 0 {
            of.takes(atom);
        }
        if !atom.said && atom.flags & MADE != 0 {
            of.made.add(atom);
        }
        template
    }

    /// Gives every route the name that it has once all is learned.
    pub(super) fn settle(&mut self) {
        self.learned.settle();
        self.by_name = FxHashMap::default();
        self.by_place = FxHashMap::default();
        for known in &mut self.routes {
            let operation = known.operation.as_deref();
            known.name = self.learned.route_of(&known.method, &known.target, operation);
        }
    }

    pub(super) fn get(&self, template: u32) -> Option<&Template> {
        self.templates.get(template as usize)
    }

    /// The name of a route.
    pub(super) fn route_name(&self, route: u32) -> Arc<str> {
        self.routes.get(route as usize).map_or_else(|| "(others)".into(), |r| Arc::clone(&r.name))
    }

    /// How reports name an end.
    pub(super) fn end(&self, template: u32) -> FlowEnd {
        match self.get(template) {
            Some(of) => FlowEnd {
                route: self.route_name(of.route).to_string(),
                place: of.place.to_string(),
            },
            None => FlowEnd { route: "(others)".to_owned(), place: "(others)".to_owned() },
        }
    }
}
