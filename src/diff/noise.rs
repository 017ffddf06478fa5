//! Which places vary by themselves, and how sure that is.
//!
//! Three ways add up. *Self*: equal requests of the recording that v1 answered differently.
//! *Baseline*: the same requests answered once more by v1 in staging. *Shape*: both sides have the
//! same kind of value that is made anew for each answer. A measured place is noise only where v2
//! differs no more often than v1 does from itself; and whatever the way, what v1 never did (always
//! the same value where v1 varies, a value outside a small vocabulary) stays a regression. A change
//! of type or presence is a place of its own: noise of a value does not cover it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use statrs::function::factorial::ln_factorial;

use super::Kind;
use super::elapsed::words;
use super::growth::{Growth, counts_up};
use super::instants::InstantPairs;
use super::scatter::Scatter;
use crate::bind::find::things;
use crate::message::kinds::ValueKind;
use crate::message::population::{Population, TextForm};

/// A place is not noise where v2 differing so often would happen by chance with less than this
/// probability.
const SIGNIFICANCE: f64 = 3e-4;
/// … and where v2 differs more often than v1 by this factor; large samples find differences that
/// mean nothing.
const FACTOR: f64 = 1.25;
/// Pairs below which a measured place is said to rest on few samples.
const FEW: u64 = 5;
/// Different values of a place that are counted one by one.
const DISTINCT: usize = 64;
/// v1's values at a place are a vocabulary where there are at most so many …
const VOCABULARY: usize = 6;
/// … in at least so many exchanges, each of them more than once.
const VOCABULARY_SAMPLES: u64 = 24;
/// A word that v1 had so often, and no other, belongs to what is around it.
const CONSTANT_SAMPLES: u64 = 3;

/// Pairs in which what took some time is the same, and values that it has, from which it is data.
const ELAPSED_PAIRS: u64 = 12;
const ELAPSED_VALUES: usize = 6;

/// How often each value was seen, up to a number of different ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    counts: FxHashMap<u64, u32>,
    total: u64,
    full: bool,
}

impl Sketch {
    pub(super) fn add(&mut self, value: u64) {
        self.total += 1;
        if self.counts.len() < DISTINCT || self.counts.contains_key(&value) {
            *self.counts.entry(value).or_default() += 1;
        } else {
            self.full = true;
        }
    }

    /// The only value there is.
    fn constant(&self) -> bool {
        !self.full && self.counts.len() == 1
    }

    /// The probability that two of the values are equal.
    fn repeats(&self) -> f64 {
        let total = self.total.max(1) as f64;
        let square: f64 =
            self.counts.values().map(|&count| (f64::from(count) / total).powi(2)).sum();
        square.max(1.0 / total)
    }

    pub(super) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// Whether more than a tenth of the values come again.
    fn repeat_themselves(&self) -> bool {
        let counted: u64 = self.counts.values().map(|&count| u64::from(count)).sum();
        (counted - self.counts.len() as u64) * 10 > counted
    }

    pub(super) fn contains(&self, value: u64) -> bool {
        self.counts.contains_key(&value)
    }
}

/// Different values of one side of which it is counted how often each comes.
const KEPT: usize = 128;
/// Share of v2's values that are there already, from which they are not drawn anew.
const REPEATED: f64 = 0.25;
/// A chance by which nothing is explained any more.
const NO_CHANCE: f64 = 1e-6;

/// How often values come again: of all, those with the least hashes are counted one by one.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(BTreeMap<u64, u32>);

impl Repeats {
    pub(super) fn add(&mut self, value: u64) {
        *self.0.entry(value).or_default() += 1;
        if self.0.len() > KEPT {
            self.0.pop_last();
        }
    }

    /// How many of the counted values are there already, of how many.
    fn again(&self) -> (u64, u64) {
        let all = self.0.values().map(|&count| u64::from(count)).sum::<u64>();
        (all - self.0.len() as u64, all)
    }
}

/// Numbers from which their range is known, and by which factor others are beyond it.
const RANGE_SAMPLES: u64 = 20;
const BEYOND: f64 = 10.0;

/// How often v2 must have nothing where v1 always draws something, and by which chance at most.
const EMPTY: u64 = 3;
const EMPTY_CHANCE: f64 = 0.01;

/// The numbers of one side of a place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberRange {
    count: u64,
    negative: u64,
    least: f64,
    most: f64,
    /// Whether there is anything else.
    other: bool,
    /// All values, and those that are nothing.
    all: u64,
    empty: u64,
    /// The least and the most digits, of digits alone, and whether one of them begins with a zero:
    /// they are no number then.
    digits: Option<(usize, usize)>,
    has_zero: bool,
}

impl NumberRange {
    pub(super) fn add(&mut self, value: Option<&str>) {
        let text = value.unwrap_or_default();
        self.all += 1;
        self.empty += u64::from(value == Some(""));
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let (least, most) = self.digits.unwrap_or((text.len(), text.len()));
            self.digits = Some((least.min(text.len()), most.max(text.len())));
            self.has_zero |= text.len() > 1 && text.starts_with('0');
        }
        let number = value.and_then(|text| text.parse::<f64>().ok()).filter(|n| n.is_finite());
        let Some(number) = number else {
            self.other = true;
            return;
        };
        let is_first = self.count == 0;
        self.count += 1;
        self.negative += u64::from(number < 0.0);
        self.least = if is_first { number } else { self.least.min(number) };
        self.most = if is_first { number } else { self.most.max(number) };
    }

    /// How many digits all of these have, where they are digits and no numbers.
    fn code_length(&self) -> Option<usize> {
        let (least, most) = self.digits.filter(|_| !self.other)?;
        (least == most).then_some(least)
    }

    /// Whether all of these are beyond the range of others, which are all above zero.
    fn is_beyond(&self, others: &Self) -> bool {
        others.least > 0.0
            && !self.other
            && !others.other
            && (self.least > others.most * BEYOND || self.most < others.least / BEYOND)
    }
}

/// What of v2's numbers v1's never are.
fn beyond_range(stat: &Stat) -> Option<String> {
    let [v1, v2, staged] = &stat.numbers;
    if v1.other || v1.count < RANGE_SAMPLES {
        return None;
    }
    if v1.has_zero
        && v2.count >= RANGE_SAMPLES / 2
        && let (Some(a), Some(b)) = (v1.code_length(), v2.code_length())
        && a != b
    {
        return Some(format!("but v2's have {b} digits, and v1's {a}"));
    }
    // A temperature may pass zero at night. What begins at zero never does, nor what v1 in staging
    // keeps to at the same time.
    let far = v1.least.abs().max(v1.most.abs());
    let is_bound = staged.count >= RANGE_SAMPLES / 2
        || v1.least.abs().min(v1.most.abs()) <= far / BEYOND && v1.least * v1.most >= 0.0;
    let signs: [(&str, fn(&NumberRange) -> u64); 2] = [
        ("below zero", |range| range.negative),
        ("above zero", |range| if range.most > 0.0 { range.count - range.negative } else { 0 }),
    ];
    for (sign, of) in signs.into_iter().filter(|_| is_bound) {
        let all_v1 = v1.count + staged.count;
        if of(v1) + of(staged) == 0 && at_least(0, all_v1, of(v2), v2.count) < SIGNIFICANCE {
            return Some(format!("but {} of v2's numbers are {sign}, and none of v1's", of(v2)));
        }
    }
    // A counter of another process is anywhere; v1 in staging shows where that is.
    let is_steady = staged.count >= RANGE_SAMPLES / 2
        && !staged.other
        && staged.least >= v1.least / (BEYOND / 2.0)
        && staged.most <= v1.most * (BEYOND / 2.0);
    let is_other = v2.count >= RANGE_SAMPLES / 2 && v2.is_beyond(v1) && v2.is_beyond(staged);
    (is_steady && is_other).then(|| {
        format!(
            "but v2's numbers are {} to {}, and v1's, in staging too, {} to {}",
            v2.least, v2.most, v1.least, v1.most
        )
    })
}

/// What was counted of one way of changing at one place of a route.
#[derive(Clone, Debug)]
pub(super) struct Stat {
    pub(super) route: u32,
    pub(super) kind: Kind,
    pub(super) general: String,
    pub(super) label: String,
    pub(super) place_hash: u64,
    /// The place whose presence is counted: of a value in a text, that of the text.
    pub(super) counted_at: u64,
    /// Exchanges where v2 changed so, and all changes.
    pub(super) live: u64,
    pub(super) differences: u64,
    /// … of these exchanges, where every write before that could explain it was done.
    pub(super) clear: u64,
    /// Changes that look like a kind of value, and the first such kind.
    pub(super) looking: u64,
    pub(super) looks: Option<ValueKind>,
    /// Lists of new ids that stand in an order that is none, of v1 and of v2.
    pub(super) shuffled: [u64; 2],
    /// Pairs of equal requests of the recording where v1 changed so.
    pub(super) own: u64,
    /// Exchanges where v1 in staging changed so.
    pub(super) base: u64,
    /// Those of `live`, `own` and `base` in which texts differ between their values too.
    pub(super) loose: [u64; 3],
    /// Of a value in a text: the number of the text.
    pub(super) within: Option<u32>,
    /// The values of v1 and of v2, as far as they may be drawn at random.
    pub(super) drawn: [Population; 2],
    /// The same of values that are too short to tell from a few of them.
    pub(super) short: [Population; 2],
    /// How numbers of v1 and of v2 grow from one request to the next.
    pub(super) growth: Growth,
    /// How numbers of v1 and of v2 go with each other.
    pub(super) scatter: Scatter,
    /// The times of v1 and of v2 where both are times, but not near their requests.
    pub(super) instants: InstantPairs,
    /// The values of v1 and of v2.
    pub(super) values: [Sketch; 2],
    /// Those of v1 in staging alone.
    pub(super) staged: Sketch,
    /// How often the values of v1 and of v2 come again.
    pub(super) repeats: [Repeats; 2],
    /// The numbers of v1, of v2 and of v1 in staging.
    pub(super) numbers: [NumberRange; 3],
    /// How many of v2's values are among v1's.
    pub(super) last: [u64; 3],
}

impl Stat {
    /// Nothing counted yet.
    pub(super) fn new(route: u32, kind: Kind, label: &str) -> Self {
        Self {
            route,
            kind,
            general: String::new(),
            label: label.to_owned(),
            place_hash: 0,
            counted_at: 0,
            live: 0,
            differences: 0,
            clear: 0,
            looking: 0,
            looks: None,
            shuffled: [0; 2],
            own: 0,
            base: 0,
            loose: [0; 3],
            within: None,
            drawn: Default::default(),
            short: Default::default(),
            growth: Growth::default(),
            scatter: Scatter::default(),
            instants: InstantPairs::default(),
            values: Default::default(),
            staged: Sketch::default(),
            repeats: Default::default(),
            numbers: Default::default(),
            last: [0; 3],
        }
    }

    /// Adds v1's and v2's number of the answer that is this one of its route, and of all.
    pub(super) fn add_numbers(&mut self, numbers: [f64; 2], ranks: [u64; 2]) {
        self.growth.add(numbers, ranks);
        self.scatter.add(numbers);
    }

    /// The values of v1 as far as they may be drawn: of a place inside a text where both versions
    /// always have one value, these two, as of a build. One that stands alone may be a model or a
    /// flight.
    pub(super) fn drawn_of(&self) -> Cow<'_, Population> {
        let [v1, v2] = &self.drawn;
        let stay = self.within.is_some()
            && self.values.iter().all(Sketch::constant)
            && self.values[0].total >= CONSTANT_SAMPLES;
        match stay && !v1.is_drawn(v2) {
            true => Cow::Owned(v1.of_two(v2)),
            false => Cow::Borrowed(v1),
        }
    }

    /// Whether its name has one of these words.
    fn is_called(&self, any: &[&str]) -> bool {
        words(self.name()).iter().any(|word| any.contains(&&**word))
    }

    /// The last name of its place.
    fn name(&self) -> &str {
        let name = self.general.split('~').next().unwrap_or_default().trim_end_matches("[*]");
        match name.starts_with("line ") {
            true => name,
            false => name.rsplit(['.', '/', ' ', ';']).next().unwrap_or(name),
        }
    }

    /// Whether its name has one of these words, and no others but those `beside` them.
    fn is_only_called(&self, any: &[&str], beside: &[&str]) -> bool {
        let words = words(self.name());
        words.iter().any(|word| any.contains(&&**word))
            && words.iter().all(|word| any.contains(&&**word) || beside.contains(&&**word))
    }

    /// Whether its name says that its values name things: `id`, `order_id`, the `id` of an element.
    /// What people count (`invoice_no`) must not be another number.
    fn names_a_thing(&self) -> bool {
        const ATTRIBUTES: [&str; 4] = ["@id", "@value", "@for", "@data-id"];
        let name = self.name();
        self.label == "changed"
            && !words(name).last().is_some_and(|word| things::is_counted(word))
            && (ATTRIBUTES.contains(&name)
                || things::identified(name).is_some()
                || things::is_reference(name))
    }

    /// Whether its name says that it is about who answered.
    fn is_called_machine(&self) -> bool {
        const NAMES: [&str; 11] = [
            "by",
            "host",
            "hostname",
            "pod",
            "container",
            "machine",
            "worker",
            "replica",
            "served",
            "backend",
            "upstream",
        ];
        self.is_called(&NAMES)
    }

    /// Whether few values say which of a few machines answered.
    fn is_of_machine(&self) -> bool {
        self.is_called_machine()
            && (matches!(self.looks, Some(ValueKind::Machine(_)))
                || self.drawn[0].is_drawn(&self.drawn[1]))
    }

    /// Whether v1 has but few values here. One that was seen once means that there are others which
    /// were not seen yet; times never come back, however few there were in a short recording.
    fn has_vocabulary(&self) -> bool {
        let v1 = &self.values[0];
        !v1.full
            && (1..=VOCABULARY).contains(&v1.counts.len())
            && v1.counts.values().all(|&count| count > 1)
            && self.live >= VOCABULARY_SAMPLES
            && !self.is_of_process()
            && !self.looks.is_some_and(|kind| kind.is_time() || kind == ValueKind::Lasting)
            && !self.is_of_machine()
    }

    /// Whether v1 always has one value, and in staging always another one: its host's name, its
    /// process's number, the hash of its build. v2's may then be constant as well.
    fn is_of_process(&self) -> bool {
        let [v1, _] = &self.values;
        let Self { staged, own, .. } = self;
        *own == 0 && staged.constant() && staged.total >= CONSTANT_SAMPLES && v1.distinct() == 2
    }

    /// Whether a value may have come about as v1's did, as far as these show how.
    pub(super) fn resembles(&self, decision: &Decision, form: Option<TextForm>) -> bool {
        !decision.formed || self.drawn[0].resembles(form)
    }

    /// Whether v1 has but few values here, and never this one; of a `word`, whether v1 was seen
    /// with another one only, as with the prefix of an id.
    pub(super) fn is_unheard(&self, value: u64, word: bool) -> bool {
        let v1 = &self.values[0];
        let always = word && v1.constant() && v1.total >= CONSTANT_SAMPLES;
        // What is one value for all answers, and drawn, is the hash of a build.
        let of_build = || v1.constant() && self.drawn_of().is_drawn(&self.drawn[1]);
        (always || self.has_vocabulary() && !of_build()) && !v1.contains(value)
    }
}

/// How many samples there were in which the place could have changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Samples {
    pub(super) live: u64,
    pub(super) own: u64,
    pub(super) base: u64,
    /// Exchanges of `live` in which v2's value stands for v1's, which is another.
    pub(super) twins: u64,
    /// The replay took much less time than the recording.
    pub(super) is_faster: bool,
    /// v2's ids elsewhere are higher by as much as all of the place's numbers are.
    pub(super) is_raised: bool,
    /// Its requests may make something, and v2 numbers things otherwise than v1 did.
    pub(super) makes: bool,
}

/// What is known of a way of changing at a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Decision {
    /// Noise whatever the value looks like.
    pub(super) measured: bool,
    /// Noise where the value looks like its kind.
    pub(super) shaped: bool,
    /// Noise where the value may be drawn from v1's.
    pub(super) drawn: bool,
    /// Noise where the value is short, and may be drawn from v1's.
    pub(super) short: bool,
    /// Noise where both values are times.
    pub(super) timed: bool,
    /// Noise as a whole, whatever its parts are: v1's own texts differ in more than values.
    pub(super) whole: bool,
    /// v2 has other words around its values, more often than v1.
    pub(super) reworded: bool,
    /// v1's own values look drawn at random, enough of them to know their form.
    pub(super) formed: bool,
    /// Values outside v1's vocabulary are no noise.
    pub(super) vocabulary: bool,
    /// v2's value is nothing now and then, and v1's never.
    pub(super) never_empty: bool,
    /// v2 breaks what v1's answers always say of themselves.
    pub(super) broken: bool,
    /// Why, in words; also why not, where there was something to be said for noise.
    pub(super) why: String,
}

/// Judges a way of changing. `opposite` is the same for the change in the other direction: v1
/// against itself has no direction.
pub(super) fn decide(stat: &Stat, samples: Samples, opposite: (u64, u64)) -> Decision {
    let mut decision = Decision::default();
    let mut said = Vec::new();
    let own = (stat.own + opposite.0).min(samples.own.max(stat.own + opposite.0));
    let ways = [
        ("v1 answers equal requests differently", own, samples.own.max(own)),
        (
            "v1 in staging differs as well",
            stat.base + opposite.1,
            samples.base.max(stat.base + opposite.1),
        ),
    ];
    let live = samples.live.max(stat.live);
    for (what, changed, of) in ways {
        if changed == 0 || of == 0 {
            continue;
        }
        let p = at_least(changed, of, stat.live, live);
        let more = stat.live as f64 / live as f64 > FACTOR * changed as f64 / of as f64;
        let few = if of < FEW { ", few samples" } else { "" };
        if p < SIGNIFICANCE && more {
            said.push(format!(
                "not noise although {what} in {changed} of {of}: v2 differs in {} of {live} (p = \
                 {p:.1e})",
                stat.live
            ));
        } else {
            decision.measured = true;
            said.push(format!(
                "{what} in {changed} of {of}{few}; v2 differs in {} of {live}",
                stat.live
            ));
        }
    }
    // A few things may stand in order by chance; what has an order never breaks it.
    if let [one, other] = stat.shuffled
        && one > 0
        && other > 0
    {
        decision.measured = true;
        said.push(format!("new ids in no order in {one} lists of v1 and in {other} of v2"));
    }
    if let Some(kind) = stat.looks.filter(|_| stat.label == "changed") {
        match against_shape(stat, kind, samples, live) {
            None => {
                decision.shaped = true;
                said.push(format!("both are {kind}"));
            }
            Some(why) => said.push(why),
        }
    }
    if stat.label == "changed" && stat.drawn_of().is_drawn(&stat.drawn[1]) {
        match against(stat, "drawn at random", samples, live) {
            None => {
                decision.drawn = true;
                said.push("v1's values look drawn at random".to_owned());
            }
            Some(why) => said.push(why),
        }
    }
    if stat.label == "changed" && stat.short[0].is_drawn_of_many(&stat.short[1]) {
        let again = stat.values.iter().find(|values| values.repeat_themselves());
        match against(stat, "drawn at random", samples, live) {
            None if again.is_none() => {
                decision.short = true;
                said.push("v1's values look drawn at random".to_owned());
            }
            None => said.push("drawn at random, but the same ones again".to_owned()),
            Some(why) => said.push(why),
        }
    }
    if stat.label == "changed" && stat.instants.are_drawn() {
        match against_new(stat, "times drawn at random", samples, live) {
            None => {
                decision.timed = true;
                said.push("times of v1 and of v2 look drawn at random".to_owned());
            }
            Some(why) => said.push(why),
        }
    }
    if (decision.measured || decision.shaped || decision.drawn) && stat.label == "changed" {
        let [v1, v2] = &stat.values;
        // v2 is always the same where v1 hardly ever is. Times of a fast replay may well be equal.
        let frozen = v2.constant()
            && v2.total >= if decision.drawn { 3 } else { 5 }
            && v1.repeats().powf(v2.total as f64 - 1.0) < 1e-4
            && !v1.constant();
        let excused = stat.looks.is_some_and(ValueKind::is_time)
            || stat.is_of_process()
            || stat.is_of_machine();
        if frozen && !excused {
            said.push(format!(
                "but v2 always has the same value ({} times) where v1 varies",
                v2.total
            ));
            (decision.measured, decision.shaped, decision.drawn) = (false, false, false);
        }
        decision.vocabulary = stat.has_vocabulary() && !v1.constant();
    }
    let is_anew = decision.measured && stat.drawn[0].has_form()
        || decision.drawn
        || decision.shaped && stat.looks.is_some_and(|kind| kind.is_anew());
    if stat.label == "changed"
        && let Some(why) = is_anew.then(|| against_form(stat, samples.is_faster)).flatten()
    {
        said.push(why);
        (decision.measured, decision.shaped, decision.drawn) = (false, false, false);
    }
    if decision.measured
        && stat.label == "changed"
        && let Some(why) = beyond_range(stat)
    {
        said.push(why);
        decision.measured = false;
    }
    if decision.measured && stat.label == "changed" {
        let [new, own, base] = stat.loose;
        let own = own + base;
        let (of_own, of_live) = ((stat.own + stat.base).max(own), stat.live.max(new));
        decision.reworded = at_least(own, of_own, new, of_live) < SIGNIFICANCE
            && new as f64 / of_live as f64 > FACTOR * own as f64 / of_own as f64;
    }
    decision.formed = decision.measured && stat.drawn[0].has_form();
    let [v1, v2, staged] = &stat.numbers;
    let (empty, all) = (v1.empty + staged.empty, v1.all + staged.all);
    decision.never_empty = (decision.formed || decision.drawn)
        && empty == 0
        && v2.empty >= EMPTY
        && at_least(0, all, v2.empty, v2.all) < EMPTY_CHANCE;
    if decision.formed && stat.drawn[0].has_other_length(&stat.drawn[1]) {
        decision.measured = false;
        said.push("but v2's values always have another length".to_owned());
    }
    decision.whole =
        decision.measured && (stat.loose[1] + stat.loose[2]) * 2 >= stat.own + stat.base;
    if !decision.measured && stat.label == "changed" && counts(stat, samples) {
        decision.measured = true;
        said.push("both count requests".to_owned());
    }
    if !decision.measured && samples.is_raised && stat.names_a_thing() {
        decision.measured = true;
        let by = stat.scatter.raise.of_all().unwrap_or_default();
        said.push(format!("v2's numbers are higher by {by}, as its ids are elsewhere"));
    }
    if !decision.measured && samples.makes && stat.names_a_thing() && numbers_anew(stat, samples) {
        decision.measured = true;
        said.push("both number what they make, each by its own counter".to_owned());
    }
    decision.why = said.join("; ");
    decision
}

/// Whether v1's and v2's numbers are each side's own, one after the other and none again.
fn numbers_anew(stat: &Stat, samples: Samples) -> bool {
    let stays = samples.own >= 3 && stat.own == 0 || samples.base >= 3 && stat.base == 0;
    let again = stat.repeats.iter().any(|repeats| repeats.again().0 > 0);
    !stays && !again && stat.growth.rises()
}

/// Whether v1's and v2's numbers count requests, and nothing says that they do not.
fn counts(stat: &Stat, samples: Samples) -> bool {
    const NAMES: [&str; 19] = [
        "hit",
        "hits",
        "visit",
        "visits",
        "visitor",
        "visitors",
        "view",
        "views",
        "pageviews",
        "request",
        "requests",
        "call",
        "calls",
        "counter",
        "ticks",
        "accesses",
        "invocations",
        "served",
        "handled",
    ];
    /// Words that say nothing else beside these.
    const BESIDE: [&str; 13] = [
        "x", "count", "total", "number", "num", "no", "n", "of", "so", "far", "page", "today",
        "times",
    ];
    let stays = samples.own >= 3 && stat.own == 0 || samples.base >= 3 && stat.base == 0;
    !stays && stat.is_only_called(&NAMES, &BESIDE) && counts_up(&stat.growth, samples.live)
}

/// What speaks against v2's making values anew as v1 does: another case, no padding, the same ones
/// again. In a replay that `is_faster` one may come again that lasts for a while.
fn against_form(stat: &Stat, is_faster: bool) -> Option<String> {
    let [v1, v2] = &stat.drawn;
    if let Some(what) = v1.differs_in_form(v2) {
        return Some(format!("but v2's values always have {what}"));
    }
    let [(again, all), (theirs, of)] = [stat.repeats[0].again(), stat.repeats[1].again()];
    let many = theirs as f64 > REPEATED * of as f64;
    if many && !is_faster && at_least(again, all, theirs, of) < NO_CHANCE {
        return Some(format!(
            "but {theirs} of {of} values of v2 are there already, and {again} of {all} of v1's"
        ));
    }
    None
}

/// Judges whether v2 breaks what v1's answers always say of themselves: `tied` is in how many of
/// them it can be seen.
pub(super) fn decide_tie(stat: &Stat, tied: Option<u64>) -> Decision {
    let never = stat.own + stat.base == 0;
    let Some(tied) = tied.filter(|_| never) else { return Decision::default() };
    let p = at_least(0, tied.max(stat.live), stat.live, tied.max(stat.live));
    if p >= SIGNIFICANCE {
        return Decision::default();
    }
    let why = format!(
        "v1's answers are never so, {tied} of them; v2's are in {} (p = {p:.1e})",
        stat.live
    );
    Decision { broken: true, why, ..Decision::default() }
}

/// What speaks against a value's being made anew for each answer although it looks so.
fn against_shape(stat: &Stat, kind: ValueKind, samples: Samples, live: u64) -> Option<String> {
    // What took as long for equal requests each time, and is another for others, is data.
    if matches!(kind, ValueKind::Elapsed | ValueKind::Lasting) {
        if let Some(why) = against_taken(stat, kind) {
            return Some(why);
        }
        let varies = kind == ValueKind::Lasting
            || stat.values[0].full
            || stat.values[0].distinct() >= ELAPSED_VALUES;
        let pairs = [
            (samples.own, stat.own, "equal requests"),
            (samples.base, stat.base, "them in staging"),
        ];
        let same = pairs.into_iter().find(|(of, changed, _)| *of >= ELAPSED_PAIRS && *changed == 0);
        return same.filter(|_| varies).map(|(of, _, to)| {
            format!("it may be a {kind}, but v1 gave {to} the same value in all {of} pairs")
        });
    }
    // Times were compared with the times of the requests already.
    if kind.is_time() {
        const NAMES: [&str; 5] = ["version", "revision", "schema", "migration", "release"];
        let [v1, v2] = &stat.values;
        let stay = v1.constant() && v2.constant() && v2.total >= CONSTANT_SAMPLES;
        // When it was loaded is the process's own.
        const WHEN: [&str; 4] = ["at", "loaded", "checked", "cached"];
        let is_version = stay && stat.is_called(&NAMES) && !stat.is_called(&WHEN);
        return is_version.then(|| format!("both are {kind}, but it is called a version"));
    }
    // What is written like a machine's name may be anything else.
    if matches!(kind, ValueKind::Machine(_)) && !stat.is_called_machine() {
        return Some(format!("both look like a {kind}, but the place is not called so"));
    }
    // Streams move at their own pace, and may be as far as v1's.
    if kind == ValueKind::Position {
        return None;
    }
    // A server's port may be as high as a client's, but it stays.
    let v1 = &stat.values[0];
    if kind == ValueKind::Port && !v1.full && v1.distinct() as u64 * 2 <= v1.total {
        return Some(format!("both are {kind}, but v1 has the same ones again"));
    }
    // Of one second all are equal; v2 has v1's only where both take theirs back.
    if kind == ValueKind::Signed {
        return against_own(stat, &kind.to_string());
    }
    against(stat, &kind.to_string(), samples, live)
}

/// What speaks against numbers' being measured: both versions always have the same one, as no clock
/// of small units does, or v2's follow from v1's.
fn against_taken(stat: &Stat, kind: ValueKind) -> Option<String> {
    /// Clocks may well count up to this each time.
    const IDLE: f64 = 4.0;
    if kind == ValueKind::Lasting {
        let is_measured = stat.scatter.is_measured();
        return (!is_measured).then(|| format!("both may be {kind}, but do not vary as measured"));
    }
    let [v1, v2] = &stat.values;
    let [one, other, _] = &stat.numbers;
    let idle = !one.other && !other.other && one.most.max(other.most) <= IDLE;
    let stay = v1.constant() && v2.constant() && v2.total >= ELAPSED_PAIRS && !idle;
    // What runs for days says so with the same words for a while.
    let is_long = stat.is_called(&["uptime"]);
    (stay && !is_long).then(|| format!("both may be {kind}, but v1 and v2 always say the same"))
}

/// What speaks against values' being made anew for each answer.
fn against(stat: &Stat, kind: &str, samples: Samples, live: u64) -> Option<String> {
    against_new(stat, kind, samples, live).or_else(|| against_own(stat, kind))
}

/// … by how often they are equal.
fn against_new(stat: &Stat, kind: &str, samples: Samples, live: u64) -> Option<String> {
    // What is kept there v2 made anew as well, where its values stand for v1's elsewhere.
    if samples.own >= 3 && stat.own == 0 && samples.twins == 0 {
        return Some(format!(
            "both are {kind}, but v1 gave equal requests the same value in all {} pairs",
            samples.own
        ));
    }
    if samples.base >= 3 && stat.base == 0 {
        return Some(format!(
            "both are {kind}, but v1 in staging gave the same value in all {} exchanges",
            samples.base
        ));
    }
    let equal = live.saturating_sub(stat.live).saturating_sub(samples.twins);
    if live >= 5 && equal * 10 > live {
        return Some(format!(
            "both are {kind}, but v2 has v1's value in {equal} of {live} exchanges"
        ));
    }
    None
}

/// … by whether they are v1's in another order. Of days there are but few.
fn against_own(stat: &Stat, kind: &str) -> Option<String> {
    let [v1, v2] = &stat.values;
    let shared = v2
        .counts
        .iter()
        .filter(|(value, _)| v1.contains(**value))
        .map(|(_, count)| u64::from(*count))
        .sum::<u64>();
    if v2.total >= 2 && shared * 2 > v2.total {
        return Some(format!("both are {kind}, but v2's values are v1's of other exchanges"));
    }
    None
}

/// The probability of at least `k2` of `n2`, if `k1 + k2` of `n1 + n2` were dealt by chance
/// (Fisher's exact test, one-sided).
pub(super) fn at_least(k1: u64, n1: u64, k2: u64, n2: u64) -> f64 {
    let (all, marked) = (n1 + n2, k1 + k2);
    let choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let total = choose(all, n2);
    let most = marked.min(n2);
    let least = k2.max(n2.saturating_sub(all - marked));
    let mut sum = 0.0;
    for k in least..=most {
        let term = (choose(marked, k) + choose(all - marked, n2 - k) - total).exp();
        sum += term;
        // Terms fall fast beyond the mode.
        if term < sum * 1e-12 && k > least + 8 {
            break;
        }
    }
    f64::min(sum, 1.0)
}

/// The label of the change in the other direction.
pub(super) fn reversed(label: &str) -> Option<String> {
    match label {
        "removed" => Some("added".to_owned()),
        "added" => Some("removed".to_owned()),
        _ => match label.strip_prefix("renamed ") {
            Some(names) => names.split_once('→').map(|(a, b)| format!("renamed {b}→{a}")),
            None => label.split_once('→').map(|(a, b)| format!("{b}→{a}")),
        },
    }
}

/// A noisy place with its evidence: a line of `noise.jsonl`, which a person may read, edit and give
/// to the next run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoisePlace {
    /// The route; `*` holds everywhere.
    pub route: String,
    /// The general place.
    pub place: String,
    /// How it changes by itself.
    pub shape: String,
    /// The ways in which it was found: `self`, `baseline`, `shape`, `drawn`,
    /// `file`.
    pub by: Vec<String>,
    /// The kind of its values, where it was found by shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Pairs of equal requests that v1 answered differently there, of all such pairs with the
    /// place.
    pub own: [u64; 2],
    /// Exchanges where v1 in staging differs, of all with the place.
    pub baseline: [u64; 2],
    /// Exchanges where v2 differs, of all with the place.
    pub live: [u64; 2],
    /// The same in words.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(live: u64, own: u64) -> Stat {
        Stat {
            general: "$.a".to_owned(),
            live,
            differences: live,
            clear: live,
            own,
            last: [u64::MAX; 3],
            ..Stat::new(0, Kind::Body, "changed")
        }
    }

    fn samples(live: u64, own: u64) -> Samples {
        Samples { live, own, ..Samples::default() }
    }

    #[test]
    fn the_test_is_fishers() {
        // 8 of 10 against 1 of 10: the textbook's 0.0027 (one-sided).
        assert!((at_least(1, 10, 8, 10) - 0.002_738).abs() < 1e-5);
        assert!((at_least(0, 5, 0, 5) - 1.0).abs() < 1e-9);
        assert!(at_least(1, 100, 100_000, 100_000) < 1e-100);
        assert!(at_least(50_000, 100_000, 50_000, 100_000) > 0.4);
    }

    #[test]
    fn v2_may_differ_as_often_as_v1_from_itself_and_no_more() {
        assert!(decide(&stat(10, 9), samples(10, 9), (0, 0)).measured);
        assert!(decide(&stat(1, 1), samples(1, 1), (0, 0)).measured);
        assert!(!decide(&stat(10, 0), samples(10, 9), (0, 0)).measured, "v1 never varies");
        let rare = decide(&stat(100, 1), samples(100, 100), (0, 0));
        assert!(!rare.measured && rare.why.contains("not noise"), "{rare:?}");
        assert!(
            decide(&stat(10, 0), samples(10, 9), (9, 0)).measured,
            "v1 varies in the other direction"
        );
    }

    #[test]
    fn a_constant_where_v1_varies_is_no_noise() {
        let mut frozen = stat(10, 9);
        let mut varied = stat(10, 9);
        for n in 0..10 {
            frozen.values[0].add(n);
            frozen.values[1].add(99);
            varied.values[0].add(n);
            varied.values[1].add(n + 100);
        }
        assert!(!decide(&frozen, samples(10, 9), (0, 0)).measured);
        assert!(decide(&varied, samples(10, 9), (0, 0)).measured);
    }

    #[test]
    fn what_each_process_has_for_itself_is_noise_beside_another_process_of_v1() {
        let judged = |own: u64, staged: u64| {
            let mut stat = stat(40, own);
            stat.base = 40;
            for n in 0..40 {
                let staged = if staged == 1 { 1 } else { 1 + n % staged };
                stat.values[0].add(0);
                stat.values[0].add(staged);
                stat.staged.add(staged);
                stat.values[1].add(99);
            }
            decide(&stat, Samples { base: 40, ..samples(40, 9) }, (0, 0))
        };
        let hosts = judged(0, 1);
        assert!(hosts.measured && !hosts.vocabulary, "{hosts:?}");
        assert!(!judged(0, 3).measured, "v1 in staging varies, and v2 does not");
        assert!(!judged(9, 1).measured, "v1 itself varies, and v2 does not");
    }

    #[test]
    fn numbers_of_another_sign_or_scale_are_no_noise() {
        let judged = |v1: &dyn Fn(i64) -> f64, v2: &dyn Fn(i64) -> f64, staged: bool| {
            let mut stat = stat(40, 30);
            for n in 0..40 {
                let (a, b) = (v1(n).to_string(), v2(n * 7 + 3).to_string());
                for (side, text) in [(0, &a), (1, &b)] {
                    stat.values[side].add(n as u64 * 2 + side as u64);
                    stat.numbers[side].add(Some(text));
                }
                if staged {
                    stat.base += 1;
                    stat.numbers[2].add(Some(&v1(n * 5 + 1).to_string()));
                }
            }
            decide(&stat, Samples { base: stat.base, ..samples(40, 30) }, (0, 0)).measured
        };
        let (few, wide) = (|n: i64| (n % 37 + 1) as f64, |n: i64| (n % 90 + 10) as f64);
        assert!(judged(&few, &few, false) && judged(&wide, &wide, true));
        assert!(!judged(&few, &|n| -few(n), false), "below zero");
        assert!(!judged(&|n| -few(n), &few, false), "above zero");
        assert!(judged(&|n| few(n) - 20.0, &few, false), "either");
        let warm = |n: i64| (n % 7 + 5) as f64;
        assert!(judged(&warm, &|n| warm(n) - 20.0, false), "a cold night");
        assert!(!judged(&warm, &|n| warm(n) - 20.0, true), "not where v1 is in staging");
        // Without v1 in staging nobody knows what another process counts.
        assert!(judged(&wide, &|n| wide(n) * 1000.0, false));
        assert!(!judged(&wide, &|n| wide(n) * 1000.0, true), "a thousand times as much");
        assert!(!judged(&wide, &|n| wide(n) / 1000.0, true), "a thousandth");
        assert!(judged(&wide, &|n| wide(n) * 3.0, true));
    }

    #[test]
    fn codes_of_another_length_are_no_noise() {
        let judged = |v1: &dyn Fn(u64) -> String, v2: &dyn Fn(u64) -> String| {
            let mut stat = stat(40, 30);
            for n in 0..40 {
                for (side, text) in [v1(n * 977), v2(n * 1_013 + 5)].iter().enumerate() {
                    stat.values[side].add(n * 2 + side as u64);
                    stat.numbers[side].add(Some(text));
                }
            }
            decide(&stat, samples(40, 30), (0, 0)).measured
        };
        let code = |n: u64| format!("{:06}", n * 7_919 % 1_000_000);
        assert!(judged(&code, &code));
        assert!(!judged(&code, &|n| format!("{:04}", n % 10_000)), "shorter");
        assert!(!judged(&code, &|n| format!("{:08}", n)), "longer");
        // Numbers have any length.
        assert!(judged(&|n| (n + 100_000).to_string(), &|n| (n + 1_000_000).to_string()));
    }

    #[test]
    fn values_made_anew_do_not_come_again() {
        let judged = |values: u64, is_faster: bool| {
            let mut stat = stat(120, 0);
            stat.looks = Some(ValueKind::Token(24));
            for n in 0..120 {
                for (side, value) in [n, 1_000 + n % values].into_iter().enumerate() {
                    stat.values[side].add(value.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    stat.repeats[side].add(value.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                }
            }
            decide(&stat, Samples { is_faster, ..samples(120, 0) }, (0, 0)).shaped
        };
        assert!(judged(120, false) && judged(100, false));
        assert!(!judged(4, false) && !judged(40, false));
        assert!(judged(40, true), "what lasts for a while comes again in a fast replay");
    }

    #[test]
    fn what_took_as_long_for_equal_requests_is_data() {
        let judged = |own: u64, pairs: u64, values: u64| {
            let mut stat = stat(40, own);
            stat.looks = Some(ValueKind::Elapsed);
            for n in 0..40 {
                stat.values[0].add(n % values);
                stat.values[1].add(n % values + 50);
            }
            let decision = decide(&stat, samples(40, pairs), (0, 0));
            decision.shaped || decision.measured
        };
        assert!(!judged(0, 30, 20));
        assert!(judged(3, 30, 20), "it varies");
        assert!(judged(0, 3, 20), "too few pairs");
        assert!(judged(0, 30, 2), "too few values");
    }

    #[test]
    fn ties_count_where_they_always_hold_and_are_often_broken() {
        let broken = |live: u64, own: u64, tied: Option<u64>| {
            let stat = Stat { label: super::super::ties::PARTED.to_owned(), ..stat(live, own) };
            decide_tie(&stat, tied).broken
        };
        assert!(broken(7, 0, Some(7)) && broken(12, 0, Some(120)));
        assert!(!broken(3, 0, Some(3)) && !broken(2, 0, Some(120)), "too few");
        assert!(!broken(120, 1, Some(120)), "v1 breaks it, too");
        assert!(!broken(120, 0, None));
    }

    #[test]
    fn a_small_vocabulary_is_kept_to_once_it_is_known() {
        let varied = |live: u64, values: u64| {
            let mut stat = stat(live, 9);
            for n in 0..live {
                stat.values[0].add(n % values);
                stat.values[1].add((n + 1) % values);
            }
            decide(&stat, samples(live, 9), (0, 0))
        };
        assert!(varied(40, 3).measured && varied(40, 3).vocabulary);
        assert!(!varied(10, 3).vocabulary, "too few");
        let mut seconds = stat(40, 9);
        for n in 0..40 {
            seconds.values[0].add(n % 3);
            seconds.values[1].add(100 + n % 3);
        }
        seconds.looks = Some(ValueKind::Rfc3339);
        let decision = decide(&seconds, samples(40, 9), (0, 0));
        assert!(
            decision.shaped && !decision.vocabulary,
            "the seconds of a short recording do not come back"
        );
        assert!(!varied(40, 30).vocabulary, "too many values");
    }

    #[test]
    fn a_kind_is_noise_unless_v1_shows_that_it_is_data() {
        let mut uuid = stat(10, 0);
        uuid.looks = Some(ValueKind::Uuid(4));
        assert!(decide(&uuid, samples(10, 0), (0, 0)).shaped);
        assert!(!decide(&uuid, samples(10, 5), (0, 0)).shaped, "constant for equal requests");
        assert!(!decide(&uuid, samples(20, 0), (0, 0)).shaped, "equal in half of the exchanges");
        for n in 0..10 {
            uuid.values[0].add(n);
            uuid.values[1].add((n + 1) % 10);
        }
        assert!(!decide(&uuid, samples(10, 0), (0, 0)).shaped, "v1's values in another order");
    }

    #[test]
    fn labels_have_a_direction() {
        assert_eq!(reversed("removed").as_deref(), Some("added"));
        assert_eq!(reversed("200→500").as_deref(), Some("500→200"));
        assert_eq!(reversed("renamed a→b").as_deref(), Some("renamed b→a"));
        assert_eq!(reversed("changed"), None);
    }
}
