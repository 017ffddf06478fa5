//! The kind of thing that a weak value names: `4` is a page in `/pages/4`, `page_id`,
//! `pages[*].id`, and nothing in `?limit=4`.

use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;

use rustc_hash::FxHasher;

use crate::message::place::{Step, Trail};

/// Words at the end of a name that say that its value identifies something.
const IDENTIFIES: [&str; 12] =
    ["id", "ids", "uid", "uuid", "guid", "pk", "key", "no", "nr", "num", "number", "ref"];
/// Names whose value is issued though it identifies nothing by itself.
const ISSUED: [&str; 18] = [
    "version",
    "revision",
    "rev",
    "etag",
    "token",
    "csrf",
    "xsrf",
    "nonce",
    "cursor",
    "marker",
    "continuation",
    "session",
    "sid",
    "ticket",
    "seq",
    "sequence",
    "lock",
    "handle",
];
/// Names of numbers that people count by, perhaps anew for each customer: in a request a house's as
/// well as a thing's.
const COUNTED: [&str; 4] = ["no", "nr", "num", "number"];
/// Qualifiers of an `id` that say which of a thing's ids it is, and nothing of the thing.
const WHICH_ID: [&str; 8] =
    ["database", "db", "legacy", "internal", "global", "numeric", "local", "relay"];
/// Kinds of things that are people, under the names by which services keep them …
const PEOPLE: [&str; 7] =
    ["user", "person", "people", "member", "signup", "register", "registration"];
/// … and as what other things know them.
const ROLES: [&str; 28] = [
    "author",
    "owner",
    "creator",
    "createdby",
    "updatedby",
    "modifiedby",
    "deletedby",
    "assignedto",
    "assignedby",
    "assignee",
    "reviewer",
    "manager",
    "sender",
    "recipient",
    "receiver",
    "actor",
    "approver",
    "approvedby",
    "requester",
    "submitter",
    "reporter",
    "editor",
    "uploader",
    "uploadedby",
    "follower",
    "friend",
    "inviter",
    "invitee",
];
/// The kind that all of these are of, too.
const PERSON: &str = "a person";
/// Names of others of the same kind.
const OF_OWN_KIND: [&str; 12] = [
    "parent",
    "root",
    "ancestor",
    "original",
    "previous",
    "predecessor",
    "successor",
    "sibling",
    "replyto",
    "inreplyto",
    "duplicateof",
    "origin",
];
/// Names of arrays and objects that only hold what the path names.
const HOLDERS: [&str; 20] = [
    "data",
    "result",
    "results",
    "row",
    "rows",
    "list",
    "object",
    "objects",
    "payload",
    "response",
    "attribute",
    "attributes",
    "entity",
    "entities",
    "value",
    "values",
    "record",
    "records",
    "element",
    "elements",
];
/// Parts of paths that say what is done, and names of holders that a path may end with.
const VERBS: [&str; 26] = [
    "create", "get", "list", "search", "find", "new", "add", "edit", "update", "delete", "remove",
    "save", "copy", "move", "restore", "query", "count", "batch", "me", "self", "current", "all",
    "show", "view", "detail", "index",
];
/// Parameters that count and order, and name nothing.
const COUNTERS: [&str; 22] = [
    "page", "pages", "limit", "offset", "size", "count", "start", "end", "from", "to", "sort",
    "order", "per", "max", "min", "width", "height", "quantity", "qty", "amount", "total", "step",
];

/// Parts of names of times that clients give back: when what they change was changed last, and until
/// when they know a list.
const GIVEN_BACK: [&str; 11] = [
    "update", "modif", "changed", "edited", "saved", "touched", "activity", "mtime", "lastmod",
    "since", "sync",
];
/// … and names of those that answers say of themselves, from which a client goes on.
const OF_ANSWERS: [&str; 5] = ["now", "servertime", "server_time", "as_of", "timestamp"];
/// A time that is given back.
const MOMENT: &str = "moment";

/// Words of names of what counts or joins messages of a conversation, and names no thing.
const OF_MESSAGES: [&str; 26] = [
    "message",
    "msg",
    "request",
    "req",
    "response",
    "reply",
    "event",
    "packet",
    "frame",
    "ack",
    "update",
    "call",
    "command",
    "cmd",
    "operation",
    "op",
    "subscription",
    "sub",
    "correlation",
    "trace",
    "transaction",
    "tx",
    "seq",
    "sequence",
    "client",
    "ref",
];

/// Longest path that names a resource, in characters.
const LONGEST_PATH: usize = 512;

/// Where a value that names a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// In an answer.
    Issued,
    /// In a request.
    Said,
}

/// Hashes of the kinds of things that a value at a place may name, and the shown name of the first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Things(pub(crate) Vec<String>);

/// What a weak value at `at` may name; `nouns` are those of the request's path.
pub(crate) fn at(at: &Trail<'_>, stands: Stands, label: Option<&str>, nouns: &Nouns) -> Things {
    let mut found = kinds_at(at, stands, label, nouns);
    found.people(stands);
    found
}

fn kinds_at(at: &Trail<'_>, stands: Stands, label: Option<&str>, nouns: &Nouns) -> Things {
    let mut found = Things::default();
    if let Some(label) = label {
        found.named(label, None, stands, nouns);
        return found;
    }
    match at.last() {
        // Of a URL in a value its own path says what it names.
        Step::Segment(index) if at.before().is_none() => found.behind(*index, nouns),
        Step::Segment(_) => {}
        Step::Cookie(name) => found.0.push(format!("cookie {name}")),
        Step::Header(name) if is_tag(name) => {
            found.0.push(nouns.entity_tag());
        }
        Step::Header(name) if name.eq_ignore_ascii_case("authorization") => {
            found.push(Some("token"));
        }
        Step::Header(name) => {
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix("x-").unwrap_or(&name);
            if identifies(name).is_some() || is_issued(name) {
                found.named(name, None, stands, nouns);
            }
        }
        Step::Query(name) => found.named(name, None, stands, nouns),
        Step::Form(name) | Step::Part(name) | Step::Name(name)
            if stands == Stands::Said && is_reference(name) =>
        {
            found.push(Some(name));
        }
        Step::Form(name) | Step::Part(name) => found.named(name, None, stands, nouns),
        Step::Name(name) => found.named(name, holder(at.before(), nouns), stands, nouns),
        // A list of ids: `"page_ids": [4, 5]`.
        Step::Index(_) => {
            let name = nearest_name(at.before());
            if let Some(name) = name.filter(|name| identifies(name).is_some()) {
                found.named(name, None, stands, nouns);
            } else if stands == Stands::Said
                && let Some(name) = name
            {
                found.push(Some(name));
            }
        }
        Step::Key => found.push(holder(at.before().and_then(Trail::before), nouns)),
        Step::Text(_) | Step::Attribute(_) => {
            if let Some(name) = nearest_name(Some(at)) {
                found.named(name, None, stands, nouns);
            }
        }
        _ => {}
    }
    found
}

/// As what a time at `at` is given back, if it may be: the input of a page, when a resource was
/// changed, what lists are asked for since when.
pub(super) fn given_back(
    at: &Trail<'_>,
    label: Option<&str>,
    stands: Stands,
    nouns: &Nouns,
) -> Option<String> {
    // Asked for every time of a list: nothing is made.
    let has = |name: &str, part: &str| {
        name.as_bytes().windows(part.len()).any(|own| own.eq_ignore_ascii_case(part.as_bytes()))
    };
    let is_known = |name: &str| {
        GIVEN_BACK.iter().any(|part| has(name, part))
            || stands == Stands::Issued
                && OF_ANSWERS.iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    match at.last() {
        Step::Header(name) => is_time_of_change(name).then(|| format!("time of {}", nouns.path)),
        Step::Form(name) | Step::Part(name) => Some(format!("input {name}")),
        Step::Attribute(name) if name == "value" => Some(format!("input {}", label?)),
        Step::Name(name) | Step::Query(name) => is_known(name).then(|| MOMENT.to_owned()),
        _ => None,
    }
}

/// Whether a thing is a time that is given back: two may be of one second.
pub(crate) fn is_moment(thing: &str) -> bool {
    thing == MOMENT || ["time of ", "input "].iter().any(|start| thing.starts_with(start))
}

/// Header fields that say when a resource was changed (RFC 9110 §8.8.2, §13.1).
fn is_time_of_change(name: &str) -> bool {
    ["last-modified", "if-modified-since", "if-unmodified-since", "if-range"]
        .iter()
        .any(|own| name.eq_ignore_ascii_case(own))
}

/// Header fields that hold entity tags.
fn is_tag(name: &str) -> bool {
    ["etag", "if-match", "if-none-match"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

impl Things {
    fn push(&mut self, name: Option<&str>) {
        if let Some(name) = name.and_then(singular)
            && !self.0.contains(&name)
        {
            self.0.push(name);
        }
    }

    /// Of people also that they are.
    fn people(&mut self, stands: Stands) {
        let is_person = |name: &String| match stands {
            Stands::Issued => is_person(name),
            // A membership is asked for by the same word.
            Stands::Said => name == "user" || ROLES.contains(&name.as_str()),
        };
        if self.0.iter().any(is_person) {
            self.0.push(PERSON.to_owned());
        }
    }

    /// What holds a field, or what the path is about.
    fn held(&mut self, holder: Option<&str>, nouns: &Nouns) {
        match holder {
            Some(holder) => self.push(Some(holder)),
            None => nouns.own().for_each(|noun| self.push(Some(noun))),
        }
    }

    /// What a segment of the request's path names: `/pages/4` a page, as do `/pages/id/4` and
    /// `/pages/by-number/4`.
    fn behind(&mut self, index: usize, nouns: &Nouns) {
        let Some((at, noun)) = nouns.noun_before(index) else { return };
        let name = ["by-", "by_", "By"].iter().find_map(|by| noun.strip_prefix(by)).unwrap_or(noun);
        match identifies(name) {
            Some("") => self.push(nouns.before(at)),
            _ => self.push(Some(noun)),
        }
        self.push(Some(name));
    }

    /// What a field called `name` in `holder` names.
    fn named(&mut self, name: &str, holder: Option<&str>, stands: Stands, nouns: &Nouns) {
        // `filter[author][_eq]` asks for authors.
        let name = name.split('[').next_back().filter(|last| !last.starts_with('_')).map_or(
            name.trim_end_matches("[_eq]").trim_end_matches(']').rsplit('[').next().unwrap_or(name),
            |last| last.trim_end_matches(']'),
        );
        let is_one_of = |all: &[&str], name: &str| {
            singular(name).is_some_and(|name| all.contains(&name.as_str()))
        };
        match identifies(name) {
            Some("") if is_counted(name) => {
                // A number in a request is one that was issued as a number.
                let mut of = Self::default();
                of.held(holder, nouns);
                self.0.extend(of.0.iter().map(|noun| format!("number of {noun}")));
                if stands == Stands::Issued {
                    of.0.iter().for_each(|noun| self.push(Some(noun)));
                }
            }
            Some("") => self.held(holder, nouns),
            Some(thing) => {
                self.push(Some(thing));
                if is_one_of(&OF_OWN_KIND, thing) {
                    self.held(holder, nouns);
                }
                // `parent_page_id` is a page as well.
                if let Some((_, last)) = thing.rsplit_once(['_', '-', '.']) {
                    self.push(Some(last));
                }
                self.push(which_of(thing));
            }
            None if is_issued(name) => {
                self.push(Some(name));
                self.push(words(name).last().as_deref());
            }
            None if code_of(name).is_some() => {
                self.push(code_of(name));
                self.push(words(name).last().as_deref());
            }
            None if stands == Stands::Said && !is_counter(name) => {
                self.push(Some(name));
                if is_one_of(&OF_OWN_KIND, name) {
                    self.held(holder, nouns);
                }
            }
            None if is_one_of(&OF_OWN_KIND, name) => self.held(holder, nouns),
            None => {}
        }
    }
}

/// Whether a call that is named so only looks at what is there: `search`, `listOrders`, `query`.
pub(super) fn only_reads(name: &str) -> bool {
    const READS: [&str; 14] = [
        "get", "list", "search", "find", "query", "count", "show", "view", "detail", "fetch",
        "read", "lookup", "check", "validate",
    ];
    words(name).next().is_some_and(|word| READS.contains(&word.as_str()))
}

/// Whether a field of this name holds what people count by.
pub(crate) fn is_counted(name: &str) -> bool {
    COUNTED.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether things of this kind are people, by the name of their kind or by what they are to others.
pub(crate) fn is_person(kind: &str) -> bool {
    PEOPLE.contains(&kind) || ROLES.contains(&kind)
}

/// A bit for each role.
pub(super) type RoleSet = u32;

/// The roles that a path keeps as things of their own: `/authors/5` is no user.
pub(super) fn roles_in_path(path: &str) -> RoleSet {
    let is = |segment: &str, role: &str| {
        let one = segment.strip_suffix(['s', 'S']).unwrap_or(segment);
        one.eq_ignore_ascii_case(role) || segment.eq_ignore_ascii_case(role)
    };
    let of = |segment: &str| ROLES.iter().position(|role| is(segment, role));
    path.split('/').filter_map(of).fold(0, |roles, at| roles | 1 << at)
}

/// The role that a general place is named after, if it is one.
pub(super) fn role_at(place: &str) -> RoleSet {
    let place = place.trim_end_matches("[*]").trim_end_matches(['\'', ']']);
    let name = place.rsplit(['.', ':', '\'', '/', ' ', '[']).next().unwrap_or(place);
    let thing = identifies(name).filter(|thing| !thing.is_empty()).unwrap_or(name);
    let role = singular(thing).and_then(|thing| ROLES.iter().position(|role| *role == thing));
    role.map_or(0, |at| 1 << at)
}

/// The hash of the kind that all people are of, as [`hash`] tells kinds apart.
pub(super) fn person_kind() -> u32 {
    hash("", PERSON) as u32 | 1
}

/// Kinds under which a person may have been issued.
pub(crate) fn people() -> impl Iterator<Item = String> {
    PEOPLE.iter().chain(&[PERSON]).map(|kind| (*kind).to_owned())
}

/// What a name that identifies something identifies: `page_id` a page, `id` what holds it.
fn identifies(name: &str) -> Option<&str> {
    let is_known = |part: &str| IDENTIFIES.iter().any(|own| own.eq_ignore_ascii_case(part));
    let name = name.trim_start_matches(['_', '@', '$']);
    if is_known(name) {
        return Some("");
    }
    if let Some(head) = run_together(name) {
        return Some(head);
    }
    let split = name.rfind(['_', '-', '.', ':']).map(|at| (at, at + 1)).or_else(|| {
        // `pageId`, `pageID`.
        let at = name.rfind(|c: char| c.is_ascii_lowercase())? + 1;
        let tail = name.get(at..).filter(|tail| !tail.is_empty());
        tail.map(|_| (at, at)).or_else(|| {
            let at = name.rfind(|c: char| c.is_ascii_uppercase()).filter(|at| *at > 0)?;
            Some((at, at))
        })
    })?;
    let (head, tail) = (name.get(..split.0)?, name.get(split.1..)?);
    let is_which = WHICH_ID.iter().any(|own| own.eq_ignore_ascii_case(head));
    (!head.is_empty() && is_known(tail)).then_some(if is_which { "" } else { head })
}

/// What a name identifies that is written in one: `pageid`, `userids`, `jobid`; no word that ends
/// so, nor what is made of one.
fn run_together(name: &str) -> Option<&str> {
    /// What things' names end in, too (`approvalid`, `jobid`): words only as a whole. Shorter ones
    /// (`bid`, `kid`) have no name of a thing before their end.
    const WHOLE: [&str; 16] = [
        "currentbid",
        "firstaid",
        "highestbid",
        "invalid",
        "isvalid",
        "lastbid",
        "maxbid",
        "mermaid",
        "minbid",
        "outbid",
        "overbid",
        "placid",
        "startbid",
        "startingbid",
        "valid",
        "winningbid",
    ];
    const ENDS: [&str; 17] = [
        "android",
        "asteroid",
        "avoid",
        "centroid",
        "ellipsoid",
        "euclid",
        "fluid",
        "grid",
        "hybrid",
        "liquid",
        "paid",
        "rapid",
        "sigmoid",
        "solid",
        "squid",
        "vivid",
        "void",
    ];
    /// Shortest name of a thing: `oldid`.
    const SHORTEST: usize = 3;
    let one = name.strip_suffix('s').unwrap_or(name);
    let head = one.strip_suffix("id").filter(|head| head.len() >= SHORTEST)?;
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_word = WHOLE.contains(&one) || ENDS.iter().any(|word| one.ends_with(word));
    (plain && !is_word).then_some(head)
}

/// A thing without the word before it that says which one it is: `newrev`, `parentpage`.
fn which_of(thing: &str) -> Option<&str> {
    const WHICH: [&str; 14] = [
        "new", "old", "base", "parent", "last", "first", "prev", "previous", "next", "current",
        "source", "target", "latest", "root",
    ];
    const SHORTEST: usize = 3;
    let rest = WHICH.iter().find_map(|which| thing.strip_prefix(which))?;
    (rest.len() >= SHORTEST && rest.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(rest)
}

/// Whether a field called `name` in `holder` identifies a thing beside messages that are counted:
/// `order_id`, and the `id` of an `order`; not `id` alone, `message_id` or `seq`.
pub(super) fn names_beside_messages(name: &str, holder: Option<&str>) -> bool {
    let words_of = |name: &str| words(name).collect::<Vec<_>>();
    let ends = ["id", "ids", "uid"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let thing = match identifies(name).filter(|_| ends) {
        Some("") => holder.filter(|holder| !is_holder(holder) && !is_items(holder)),
        thing => thing,
    };
    let is_of_messages = |word: &String| OF_MESSAGES.contains(&word.as_str());
    thing.is_some_and(|thing| {
        thing.starts_with(|c: char| c.is_alphabetic())
            && !words_of(thing).iter().any(is_of_messages)
    })
}

/// Whether a field of this name identifies what holds it: `id`.
pub(crate) fn is_nameless(name: &str) -> bool {
    identifies(name) == Some("")
}

/// What a field of this name identifies: `page` of `page_id`, nothing of its own of `id`.
pub(crate) fn identified(name: &str) -> Option<&str> {
    identifies(name)
}

/// Whether a field of this name identifies something.
pub(super) fn is_identifier(name: &str) -> bool {
    identifies(name).is_some()
}

fn is_issued(name: &str) -> bool {
    is_entity_tag(name) || words(name).any(|word| ISSUED.contains(&word.as_str()))
}

/// Whether a field of this name holds an entity tag: `eTag`, `_etag`, WebDAV's `getetag`.
pub(crate) fn is_entity_tag(name: &str) -> bool {
    const TAG: &str = "etag";
    let tail = name.len().checked_sub(TAG.len()).and_then(|at| name.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(TAG))
}

/// What a name is the code of that people read out to each other: `code`, `invite_code`,
/// `joinCode`; codes of countries, errors and the like are a standard's.
fn code_of(name: &str) -> Option<&str> {
    const READ_OUT: [&str; 24] = [
        "invite",
        "invitation",
        "join",
        "room",
        "access",
        "reset",
        "confirmation",
        "verification",
        "booking",
        "order",
        "tracking",
        "promo",
        "coupon",
        "voucher",
        "pairing",
        "short",
        "user",
        "device",
        "activation",
        "recovery",
        "referral",
        "gift",
        "redeem",
        "claim",
    ];
    let at = name.len().checked_sub("code".len())?;
    let head = name.get(..at)?.trim_end_matches(['_', '-']);
    let is_code = name.get(at..)?.eq_ignore_ascii_case("code");
    // A user's code is no user.
    let is_whole =
        head.is_empty() || ["user", "device"].iter().any(|w| head.eq_ignore_ascii_case(w));
    let own = if is_whole { name } else { head };
    let known = head.is_empty() || READ_OUT.iter().any(|word| head.eq_ignore_ascii_case(word));
    (is_code && known).then_some(own)
}

/// Whether what is a direction in a query is a thing in a body: the order that a line is of.
pub(crate) fn is_reference(name: &str) -> bool {
    name.eq_ignore_ascii_case("order")
}

pub(crate) fn is_counter(name: &str) -> bool {
    words(name).next().is_some_and(|word| COUNTERS.contains(&word.as_str()))
}

/// The words of a name, in lower case: `nextPageToken` has three.
pub(crate) fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = false;
    for c in name.chars() {
        let begins = c.is_uppercase() && before;
        before = c.is_lowercase() || c.is_ascii_digit();
        if (begins || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    words.push(word);
    words.into_iter().filter(|word| !word.is_empty())
}

/// The name of the nearest array or object around a value that says what it holds.
fn holder<'t>(mut at: Option<&'t Trail<'t>>, nouns: &Nouns) -> Option<&'t str> {
    let mut items = None;
    while let Some(trail) = at {
        match trail.last() {
            Step::Name(name) | Step::Element(name, _) if is_items(name) => {
                items = items.or(Some(&**name));
            }
            Step::Name(name) | Step::Element(name, _) if !is_holder(name) => {
                // What a named thing holds are its own items.
                return items.or(Some(name));
            }
            Step::Name(_) | Step::Index(_) | Step::Again(_) | Step::Element(..) => {}
            _ => break,
        }
        at = trail.before();
    }
    items.filter(|_| nouns.asks_for_one())
}

/// Whether an array of this name holds what the path names, or what one of these holds: the
/// `items` of a list are what it lists, those of an order are not.
fn is_items(name: &str) -> bool {
    name.eq_ignore_ascii_case("items") || name.eq_ignore_ascii_case("item")
}

pub(super) fn nearest_name<'t>(mut at: Option<&'t Trail<'t>>) -> Option<&'t str> {
    while let Some(trail) = at {
        match trail.last() {
            Step::Name(name) | Step::Element(name, _) | Step::Attribute(name) => return Some(name),
            Step::Index(_) | Step::Text(_) => at = trail.before(),
            _ => return None,
        }
    }
    None
}

fn is_holder(name: &str) -> bool {
    HOLDERS.iter().any(|holder| name.eq_ignore_ascii_case(holder))
}

/// The kind of thing that a service calls so: `order` of `shop.order`.
pub(crate) fn told(kind: &str) -> Option<String> {
    kind.rsplit(['.', '/', ':', '#']).next().and_then(singular)
}

/// `pages`, `Pages` and `page` are one kind.
pub(crate) fn singular(name: &str) -> Option<String> {
    let lower: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if lower.is_empty() || lower.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match lower.as_str() {
        short if short.len() < 4 || short.ends_with("ss") || short.ends_with("us") => lower,
        plural if plural.ends_with("ies") => format!("{}y", &plural[..plural.len() - 3]),
        plural if ["ches", "shes", "xes", "sses"].iter().any(|end| plural.ends_with(end)) => {
            plural[..plural.len() - 2].to_owned()
        }
        plural => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
    })
}

/// What the path of a request names: its literal segments.
#[derive(Debug, Default)]
pub(crate) struct Nouns {
    /// The path, as it is written.
    pub(super) path: String,
    /// Segments by their number from 1; none for one that is a value itself.
    segments: Vec<Option<String>>,
    /// Names the segments, and how they are asked for.
    pub(super) hash: u64,
    /// It makes one of what the path names.
    makes: bool,
}

impl Nouns {
    /// Of a path.
    pub(crate) fn of(path: &str) -> Self {
        let literal = |segment: &str| {
            let word = segment.bytes().any(|byte| byte.is_ascii_alphabetic())
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            let value = segment.bytes().filter(u8::is_ascii_digit).count() >= 2
                || super::strength::is_strong(segment);
            (word && !value).then(|| segment.to_owned())
        };
        let end = match path.len() {
            0..=LONGEST_PATH => path.len(),
            _ => path.char_indices().map(|(at, _)| at).nth(LONGEST_PATH).unwrap_or(path.len()),
        };
        let segments: Vec<Option<String>> = path.split('/').skip(1).map(literal).collect();
        let mut hasher = FxHasher::default();
        segments.hash(&mut hasher);
        Self { path: path[..end].to_owned(), segments, hash: hasher.finish(), makes: false }
    }

    /// The same for a request of `method`: one that posts to a path is answered by one of what the
    /// path names, unless it only looks.
    pub(crate) fn asked_by(mut self, method: &[u8]) -> Self {
        self.makes = method == b"POST" && !self.path.rsplit('/').next().is_some_and(only_reads);
        self.hash ^= u64::from(self.makes) << 32;
        self
    }

    /// What an entity tag of this path names.
    pub(crate) fn entity_tag(&self) -> String {
        format!("entity tag of {}", self.path)
    }

    /// The last literal segment before the one of this number.
    pub(super) fn before(&self, number: usize) -> Option<&str> {
        self.noun_before(number).map(|(_, noun)| noun)
    }

    /// The same with its number.
    fn noun_before(&self, number: usize) -> Option<(usize, &str)> {
        let before = self.segments.get(..number.checked_sub(1)?)?;
        let nouns = before.iter().enumerate().rev();
        nouns
            .filter_map(|(at, noun)| Some((at + 1, noun.as_deref()?)))
            .find(|(_, noun)| !is_verb(noun))
    }

    /// Whether the path has no segment behind the one of this number.
    pub(super) fn ends_at(&self, number: usize) -> bool {
        self.segments.len() == number
    }

    /// Whether the path leads to one thing: it ends with what names it, makes it, or is a call for
    /// one.
    fn asks_for_one(&self) -> bool {
        if self.makes {
            return true;
        }
        match called(&self.path) {
            Some(about) => about
                .first()
                .is_some_and(|noun| singular(noun).is_some_and(|one| noun.len() == one.len())),
            None => {
                let segments = self.path.trim_end_matches('/').split('/').count();
                let last = segments.checked_sub(2).and_then(|last| self.segments.get(last));
                last.is_some_and(Option::is_none)
            }
        }
    }

    /// What the path as a whole is about: its last noun, the one before it where it ends with what
    /// is done.
    pub(crate) fn own(&self) -> impl Iterator<Item = &str> {
        let called = called(&self.path);
        let own = || self.before(self.segments.len() + 1).into_iter().collect();
        called.unwrap_or_else(own).into_iter()
    }
}

/// What a call of this path is about, where the path is one: `/shop.v1.Orders/CreateOrder` an
/// order, and so `/shop.v1.OrderService/Create`. Of several words all, the last and the first may
/// be meant: `GetOrderStatus` takes the id of an order.
fn called(path: &str) -> Option<Vec<&str>> {
    let (before, method) = path.rsplit_once('/')?;
    let (_, service) = before.rsplit_once('/')?;
    let own = service.rsplit('.').next().unwrap_or(service);
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !is_name(own) || !is_name(method) {
        return None;
    }
    let words = camel(method);
    if own == service && !words.first().is_some_and(|word| is_verb(&method[word.clone()])) {
        return None;
    }
    let is_verb = |word: &Range<usize>| is_verb(&method[word.clone()]);
    let by = words.iter().skip(2).position(|word| &method[word.clone()] == "By");
    let mut about = &words[..by.map_or(words.len(), |by| by + 2)];
    // `OrderCreate`, `CreateOrder`, `BatchGetOrders`.
    match about {
        [first, .., last] if is_verb(last) && !is_verb(first) => {
            about = &about[..about.len() - 1];
        }
        _ => about = about.get(1..).unwrap_or_default(),
    }
    while about.first().is_some_and(is_verb) {
        about = &about[1..];
    }
    let (Some(first), Some(last)) = (about.first(), about.last()) else {
        let service = ["Service", "Api", "API"].iter().find_map(|end| own.strip_suffix(end));
        return Some(vec![service.filter(|name| !name.is_empty()).unwrap_or(own)]);
    };
    let mut found = vec![&method[first.start..last.end], &method[last.clone()]];
    found.push(&method[first.clone()]);
    found.dedup();
    Some(found)
}

/// Where the words of a name stand that are told apart by their capitals: `GetHTTPRoute` has three.
fn camel(name: &str) -> Vec<Range<usize>> {
    let bytes = name.as_bytes();
    let is_upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
    let begins = |&at: &usize| {
        at == 0
            || is_upper(at)
                && (!is_upper(at - 1) || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase))
    };
    let starts: Vec<usize> = (0..bytes.len()).filter(begins).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Whether a segment says what is done, or names the interface.
pub(super) fn is_verb(noun: &str) -> bool {
    VERBS.iter().any(|verb| noun.eq_ignore_ascii_case(verb))
        || noun.eq_ignore_ascii_case("api")
        || noun.len() == 2 && noun.starts_with(['v', 'V']) && noun.as_bytes()[1].is_ascii_digit()
}

/// What a URL in a value names: ranges of its segments that may be weak values, with their kinds.
pub(super) fn in_path(path: &str) -> Vec<(Range<usize>, String)> {
    let nouns = Nouns::of(path);
    let mut found = Vec::new();
    let mut at = 0;
    for (index, segment) in path.split('/').enumerate() {
        let range = at..at + segment.len();
        at = range.end + 1;
        // A word in a link is a part of the service; what has a digit may name something.
        if index > 0
            && segment.bytes().any(|byte| byte.is_ascii_digit())
            && super::strength::is_weak(segment)
            && !is_verb(segment)
            && let Some(noun) = nouns.before(index)
            && let Some(thing) = singular(noun)
        {
            found.push((range, thing));
        }
    }
    found
}

/// A value's hash among those of its kind.
pub(super) fn hash(text: &str, thing: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (thing, text).hash(&mut hasher);
    // FxHash leaves the low bits of short texts alike.
    hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::place::Place;

    fn of(place: &str, stands: Stands, path: &str) -> Vec<String> {
        let place: Place = place.parse().expect("a place");
        fn walk<R>(
            steps: &[Step<'static>],
            before: Option<&Trail<'_>>,
            then: &mut dyn FnMut(&Trail<'_>) -> R,
        ) -> Option<R> {
            let (first, rest) = steps.split_first()?;
            let trail = match before {
                Some(before) => before.then(first.clone()),
                None => Trail::new(first.clone()),
            };
            Some(if rest.is_empty() { then(&trail) } else { walk(rest, Some(&trail), then)? })
        }
        let nouns = Nouns::of(path);
        walk(place.steps(), None, &mut |trail| at(trail, stands, None, &nouns).0)
            .expect("a place has steps")
    }

    #[test]
    fn roles_are_found_in_paths_and_in_names_of_places() {
        let of = |role: &str| role_at(role);
        assert_eq!(roles_in_path("/api/authors/5/books"), of("author"));
        assert_eq!(roles_in_path("/Owners"), of("owner"));
        assert_eq!(roles_in_path("/api/users/5"), 0);
        for place in
            ["$.author_id", "$.books[*].author", "query:authorId", "$['a-b'].author", "form:author"]
        {
            assert_eq!(role_at(place), of("author"), "{place}");
            assert!(role_at(place) > 0, "{place}");
        }
        for place in ["$.user_id", "$.author.name", "path[2]", ""] {
            assert_eq!(role_at(place), 0, "{place}");
        }
        assert!(ROLES.len() <= RoleSet::BITS as usize);
    }

    #[test]
    fn one_kind_of_thing_has_many_names() {
        for (place, stands, path, kind) in [
            ("path[2]", Stands::Said, "/pages/4", "page"),
            ("path[3]", Stands::Said, "/admin/pages/4/edit", "page"),
            ("path[3]", Stands::Said, "/pages/id/4", "page"),
            ("path[3]", Stands::Said, "/pages/by-number/4", "page"),
            ("path[3]", Stands::Said, "/rooms/by-code/XKCD", "code"),
            ("path[2]", Stands::Said, "/join/XKCD", "join"),
            ("$.code", Stands::Issued, "/rooms", "code"),
            ("$.joinCode", Stands::Issued, "/rooms", "code"),
            ("$.invite_code", Stands::Issued, "/rooms", "invite"),
            ("$.user_code", Stands::Issued, "/device/auth", "usercode"),
            ("query:page_id", Stands::Said, "/edit", "page"),
            ("query:filter[author][_eq]", Stands::Said, "/items/books", "author"),
            ("$.author", Stands::Said, "/items/books", "author"),
            ("$.pageId", Stands::Issued, "/x", "page"),
            ("$.pageID", Stands::Issued, "/x", "page"),
            ("$.pageid", Stands::Issued, "/x", "page"),
            ("$.newlotid", Stands::Issued, "/x", "lot"),
            ("form:baselotid", Stands::Said, "/x", "lot"),
            ("query:lotids", Stands::Said, "/x", "lot"),
            ("$.jobid", Stands::Issued, "/x", "job"),
            ("$.taskid", Stands::Issued, "/x", "task"),
            ("query:teamid", Stands::Said, "/x", "team"),
            ("form:mediaid", Stands::Said, "/x", "media"),
            ("$.streamids", Stands::Issued, "/x", "stream"),
            ("$.approvalid", Stands::Issued, "/x", "approval"),
            ("$.parent_lot", Stands::Said, "/x", "parentlot"),
            ("$.order", Stands::Said, "/lines", "order"),
            ("form:order", Stands::Said, "/lines", "order"),
            ("$.pages[0].id", Stands::Issued, "/x", "page"),
            ("$.data[0].id", Stands::Issued, "/api/pages", "page"),
            ("$.id", Stands::Issued, "/api/v1/pages", "page"),
            ("$.id", Stands::Issued, "/api/pages/create", "page"),
            ("$.data.id", Stands::Issued, "/items/categories", "category"),
            ("$.version", Stands::Issued, "/models/create", "version"),
            ("$.user.id", Stands::Issued, "/me", "user"),
            ("cookie:cart", Stands::Said, "/x", "cookie cart"),
            ("header:etag", Stands::Issued, "/a/4", "entity tag of /a/4"),
            ("header:if-match", Stands::Said, "/a/4", "entity tag of /a/4"),
            ("form:version", Stands::Said, "/x", "version"),
            ("/order/id/text()", Stands::Issued, "/orders", "order"),
            ("$[0].id", Stands::Issued, "/shop.v1.Orders/CreateOrder", "order"),
            ("$[0].id", Stands::Said, "/shop.v1.Orders/GetOrder", "order"),
            ("$[0].id", Stands::Said, "/shop.v1.OrderService/Get", "order"),
            ("$[0].ids[1]", Stands::Said, "/shop.v1.Orders/BatchGetOrders", "order"),
            ("$[0].id", Stands::Said, "/shop.v1.Orders/GetOrderStatus", "order"),
            ("$[0].id", Stands::Said, "/shop.v1.Orders/GetOrderById", "order"),
            ("$[0].id", Stands::Said, "/shop.v1.Orders/OrderCreate", "order"),
            ("$[0].id", Stands::Issued, "/twirp/shop.v1.Shop/MakeHat", "hat"),
            ("$[0].orders[2].id", Stands::Issued, "/shop.v1.Shop/List", "order"),
            ("$.id", Stands::Said, "/Orders/Details", "detail"),
            ("$.items[1].id", Stands::Issued, "/orders", "order"),
            ("$.items[1].id", Stands::Issued, "/orders/4", "item"),
            ("$.items[1].id", Stands::Issued, "/orders/4/", "item"),
            ("$.items[1].id", Stands::Issued, "/orders/", "order"),
            ("$.data.items[1].id", Stands::Issued, "/orders/4", "item"),
            ("$.orders[0].items[1].id", Stands::Issued, "/orders", "item"),
            ("$[0].items[1].id", Stands::Issued, "/shop.v1.Shop/GetOrder", "item"),
            ("$[0].items[1].id", Stands::Issued, "/shop.v1.Shop/ListOrders", "order"),
            ("$[0].orders[1].items[0].id", Stands::Issued, "/shop.v1.Shop/ListOrders", "item"),
        ] {
            assert!(
                of(place, stands, path).contains(&kind.to_owned()),
                "{place} of {path}: {:?}",
                of(place, stands, path)
            );
        }
    }

    #[test]
    fn what_counts_names_nothing() {
        for (place, stands) in [
            ("query:page", Stands::Said),
            ("query:order", Stands::Said),
            ("$.order", Stands::Issued),
            ("$.order_by", Stands::Said),
            ("query:limit", Stands::Said),
            ("$.quantity", Stands::Said),
            ("$.quantity", Stands::Issued),
            ("$.price", Stands::Issued),
            ("$.title", Stands::Issued),
            ("$.kid", Stands::Issued),
            ("$.bids", Stands::Issued),
            ("$.highestbid", Stands::Issued),
            ("$.isvalid", Stands::Issued),
            ("$.amountpaid", Stands::Issued),
            ("$.datagrid", Stands::Issued),
            ("header:content-length", Stands::Said),
        ] {
            assert_eq!(of(place, stands, "/pages"), Vec::<String>::new(), "{place}");
        }
    }

    #[test]
    fn paths_in_values_name_what_stands_in_them() {
        let path = "/admin/pages/4/edit";
        let found: Vec<_> = in_path(path)
            .into_iter()
            .map(|(range, thing)| (path[range].to_owned(), thing))
            .collect();
        assert!(found.contains(&("4".to_owned(), "page".to_owned())), "{found:?}");
    }
}
