//! Whether a call of v2 is about another thing than a recorded one, though both are equal but for
//! values that vary by themselves: a write for another customer, or for another day.
//!
//! Two UUIDs tell nothing of what they name. That v2's names another thing is known where v1's was
//! there before the call; where v2 says what v1 said in another call, since what is drawn is not
//! drawn twice; where v2 said v1's own values at this place before, and so reads them where v1 did;
//! and where it says for two things what v1 said of one.

use super::features::{Feature, Weight};
use super::hashing::{hash_of, value_at};
use super::matcher::{Causes, Prepared, Stock, both};
use super::moving::Clocks;
use super::naming::{Names, key_of, key_place};
use super::recording::{CallRecording, RecordedCall};

impl CallRecording {
    /// Whether a call that is equal by kind is about the same thing: what names it is equal or
    /// bound, or v1 made it up for this call, as v2 may.
    pub(super) fn is_about_the_same(
        &self,
        prepared: &Prepared,
        call: &RecordedCall,
        stock: &Stock,
    ) -> bool {
        let mut same = true;
        both(&prepared.taken.features, self.features(call), |mine, theirs| {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                same &= mine.value == theirs.value
                    || !self.names_another(prepared, call, mine, theirs, stock);
            }
        });
        same
    }

    /// Whether a value names another thing than the recorded call's at its place, which varies.
    pub(super) fn names_another(
        &self,
        prepared: &Prepared,
        call: &RecordedCall,
        mine: Feature,
        theirs: Feature,
        stock: &Stock,
    ) -> bool {
        let names = mine.names.max(theirs.names);
        if names == Names::No || stock.bound.are_one(mine.text, theirs.text) {
            return false;
        }
        if names == Names::Time {
            // Of what v1 says of now by its name, v2's may be any.
            let is_told = theirs.names == Names::Time;
            let times = mine.time.zip(theirs.time).filter(|_| is_told);
            let Some((mine, said)) = times else { return false };
            let moves = !theirs.known && self.clocks(prepared, call, stock).admit(mine, said);
            return !moves && !mine.is_same(said);
        }
        if prepared.reads {
            // v1 was given the same for each.
            if names == Names::Value && self.alike[call.group as usize] {
                return false;
            }
            return theirs.known || !Self::one_cause(&prepared.causes, call);
        }
        let place = value_at(theirs.place, false, prepared.scope);
        let is_own = self.is_said_once(prepared.scope, theirs);
        if is_own && stock.bound.is_of_another(place, mine.text, theirs.text) {
            return true;
        }
        names != Names::Key
            && (theirs.known || self.is_said(prepared.scope, mine) || stock.bound.is_read(place))
    }

    fn clocks(&self, prepared: &Prepared, call: &RecordedCall, stock: &Stock) -> Clocks {
        Clocks { v1: call.at, v1_since: self.since, v2: prepared.at, v2_since: stock.since }
    }

    /// Whether v1 said a value at this place in some call, or in one only.
    fn is_said(&self, scope: u64, feature: Feature) -> bool {
        self.aim(scope).is_some_and(|aim| !aim.postings.get(feature.value).is_empty())
    }

    fn is_said_once(&self, scope: u64, feature: Feature) -> bool {
        self.aim(scope).is_some_and(|aim| aim.postings.get(feature.value).len() == 1)
    }

    pub(super) fn one_cause(causes: &Causes, call: &RecordedCall) -> bool {
        match (causes.traced, call.cause, call.caused_by) {
            (Some(mine), Some(theirs), _) => mine == theirs,
            (None, _, Some(theirs)) => causes.open.contains(&theirs),
            _ => false,
        }
    }

    /// Whether v1 made a call for an exchange that v2 has not been sent, while others are at v2
    /// that may have made this one. What a queue or a timer makes is of no exchange.
    pub(super) fn is_to_come(&self, causes: &Causes, index: u32, stock: &Stock) -> bool {
        let Some(number) = self.calls[index as usize].caused_by else { return false };
        let sent = || stock.under_way.as_ref().map_or(1, |watch| watch.times_sent(number));
        let aim = self.calls[index as usize].aim;
        causes.traced.is_none()
            && !self.aims[aim as usize].is_apart
            && !causes.open.is_empty()
            && !causes.open.contains(&number)
            && sent() == 0
    }

    /// The places, hashed, at which a call names another thing than a recorded one.
    pub(super) fn others(&self, prepared: &Prepared, index: u32, stock: &Stock) -> Box<[u64]> {
        let call = &self.calls[index as usize];
        let mut places = Vec::new();
        both(&prepared.taken.features, self.features(call), |mine, theirs| {
            if let (Some(mine), Some(theirs)) = (mine, theirs)
                && mine.value != theirs.value
                && mine.kind == theirs.kind
                && self.names_another(prepared, call, mine, theirs, stock)
            {
                places.push(theirs.place);
            }
        });
        if self.is_key_of_another(prepared, call, stock) {
            places.push(key_place());
        }
        places.into_boxed_slice()
    }

    /// Whether the field by which a write is done once has the value of another write of v2's, to
    /// which v1 gave another one.
    pub(super) fn is_key_of_another(
        &self,
        prepared: &Prepared,
        call: &RecordedCall,
        stock: &Stock,
    ) -> bool {
        let Some((mine, theirs)) = self.keys(prepared, call) else { return false };
        stock.bound.is_of_another(key_place(), mine, theirs)
    }

    fn keys(&self, prepared: &Prepared, call: &RecordedCall) -> Option<(u64, u64)> {
        let mine = prepared.key?;
        let request = self.request(call);
        Some((mine, hash_of(key_of(&request.headers)?)))
    }

    /// Keeps what v2 said in the place of v1's values: what it made up, and what it read where v1
    /// did.
    pub(super) fn bind(&self, prepared: &Prepared, index: u32, stock: &mut Stock) {
        let call = &self.calls[index as usize];
        let mut made = Vec::new();
        let mut read = Vec::new();
        both(&prepared.taken.features, self.features(call), |mine, theirs| {
            let (Some(mine), Some(theirs)) = (mine, theirs) else { return };
            let varies = mine.weight == Weight::Volatile && theirs.weight == Weight::Volatile;
            if !varies || theirs.known || theirs.time.is_some() {
                return;
            }
            let place = value_at(theirs.place, false, prepared.scope);
            let is_own = !prepared.reads && self.is_said_once(prepared.scope, theirs);
            if mine.text != theirs.text {
                if !self.names_another(prepared, call, mine, theirs, stock) {
                    made.push((place, mine.text, theirs.text, is_own));
                }
            } else if is_own
                && theirs.names >= Names::Value
                && !prepared.turned.contains(&mine.text)
            {
                read.push((place, mine.text));
            }
        });
        for (place, mine, theirs, is_own) in made {
            stock.bound.add(mine, theirs);
            if is_own {
                stock.bound.say(place, mine, theirs);
            }
        }
        for (place, text) in read {
            stock.bound.read(place, text);
            stock.bound.say(place, text, text);
        }
        if let Some((mine, theirs)) = self.keys(prepared, call) {
            stock.bound.say(key_place(), mine, theirs);
        }
    }
}
