//! What one exchange says: the values of its request and of its answer that may flow. A pure
//! function, on any thread.

use std::ops::Range;

use super::client::{self, Client};
use super::event::{CREDENTIAL, FIELD, ISSUED, MADE, RULED, SIGNED, WEAK};
use super::kept;
use super::memo::PlaceMemo;
use super::rules::{Chosen, FlowRules};
use super::strength::{self, is_strong, is_weak};
use super::things::{self, Nouns, Stands};
use crate::exchange::socket::SocketSession;
use crate::exchange::socket::list::{self, SocketForm};
use crate::exchange::{
    Completeness, Exchange, ExchangeId, SocketKind, SocketMessage, TimedResponse,
};
use crate::flow::Direction;
use crate::limits::WALKED_BODY_BYTES;
use crate::message::document::{Bounds, Form, Value, Visit, Walk};
use crate::message::grpc::{self, Codec};
use crate::message::kinds::{self, ValueKind};
use crate::message::place::{Place, Step, Trail};
use crate::message::{Request, fields, method, target};
use crate::route::rpc;

/// Values of a message for which there is room at first.
const ROOM: usize = 32;
/// Most other places of a value of an answer that are kept.
const OTHERS: usize = 3;
/// Most values of one message that are kept.
const MOST: usize = 10_000;

/// A value that may flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    /// Of the value, among those of its kind.
    pub(super) hash: u64,
    /// A request says it; else an answer shows it.
    pub(super) said: bool,
    /// As in [`super::event`].
    pub(super) flags: u8,
    /// The general place.
    pub(super) general: u64,
    /// Where it is kept, in [`SeenExchange::kept`].
    pub(super) kept: u32,
    /// Of a weak value, the kind of thing that it names; [`UNKNOWN_THING`] where that cannot be
    /// told: it flows if it is as drawn as others of its place.
    pub(super) thing: u32,
    /// Of a number that names a thing the number itself, else its length in bytes; 0 of a weak
    /// value that may be anything.
    pub(super) measure: u32,
    /// Of what its request may have made.
    pub(super) made: MadeName,
    /// When the request says it, or when its client knew what the answer shows: nanoseconds since
    /// 1970.
    pub(super) at: i64,
    /// Stands in a message of the WebSocket that its exchange opened.
    pub(super) in_session: bool,
    /// The value has nothing else beside it.
    pub(super) whole: bool,
    /// Its request makes what it names.
    pub(super) makes: bool,
    /// The first atom of what stands at its place.
    pub(super) first: bool,
    /// A rule says that it never flows.
    pub(super) never: bool,
}

/// What names something that a request may have made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MadeName {
    /// 0 where it is no number.
    pub(super) number: u64,
    /// In bytes.
    pub(super) length: u32,
}

impl MadeName {
    /// A number, or the one in base64 behind its kind; else a code.
    fn of(text: &str) -> Self {
        let encoded = || strength::encoded(text)?.1.parse().ok();
        let number = text.parse().ok().or_else(encoded).unwrap_or(0);
        Self { number, length: text.len() as u32 }
    }
}

/// No kind of thing.
pub(super) const UNKNOWN_THING: u32 = 0;

/// What an answer tells of that its request may have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Nothing.
    Nothing,
    /// What it leads to.
    Elsewhere,
    /// One thing.
    One,
    /// All that it tells of.
    All,
}

impl Made {
    fn of(request: &Request, status: Option<u16>, path: &str, operation: Option<&str>) -> Self {
        const OK: u16 = 200;
        const CREATED: u16 = 201;
        let asks = || {
            operation.map_or_else(
                || path.rsplit('/').next().is_some_and(things::only_reads),
                |operation| operation.split(' ').any(things::only_reads),
            )
        };
        match status {
            _ if !matches!(&*request.method, b"POST" | b"PUT") => Self::Nothing,
            Some(CREATED) => Self::All,
            Some(300..400) if *request.method == *b"POST" => Self::Elsewhere,
            Some(OK) if *request.method == *b"POST" && !asks() => Self::One,
            _ => Self::Nothing,
        }
    }
}

/// What one exchange says.
#[derive(Debug)]
pub(super) struct SeenExchange {
    pub(super) id: ExchangeId,
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) operation: Option<String>,
    /// Its request may change something.
    pub(super) may_change: bool,
    /// Its request made what its path ends with (RFC 9110 §9.3.4).
    pub(super) created: bool,
    /// What its answer made.
    pub(super) made: Made,
    /// When the request was said, in nanoseconds since 1970.
    pub(super) at: i64,
    /// It opened a WebSocket: what is said there is said and known when it is.
    pub(super) opens: bool,
    /// When it was answered; [`i64::MAX`] where it was not.
    pub(super) answered: i64,
    pub(super) client: Client,
    pub(super) atoms: Vec<Atom>,
    /// Places and texts of the atoms; see [`kept`].
    pub(super) kept: Vec<u8>,
    /// Its client signed it.
    pub(super) is_signed: bool,
    /// Its body holds nothing that can be read.
    pub(super) is_opaque: bool,
    /// Its body holds numbers that no schema names.
    pub(super) is_unnamed: bool,
    /// A bound kept values from being looked at.
    pub(super) was_cut: bool,
}

/// Looks at an exchange; none where it has no whole request.
pub(super) fn look(
    exchange: &Exchange,
    rules: &FlowRules<'_>,
    memo: &mut PlaceMemo,
) -> Option<SeenExchange> {
    let timed = exchange.request.as_ref()?;
    if !exchange.completeness.request_is_whole() {
        return None;
    }
    let request = &timed.message;
    let at = timed.at.nanos();
    let complete = exchange.completeness == Completeness::Complete;
    let response = exchange.response.as_ref().filter(|_| complete);
    let answered = response
        .and_then(|response| response.last_byte_ns)
        .map_or(i64::MAX, |last| at.saturating_add(last.max(0)));
    let mut seen = SeenExchange {
        id: exchange.id,
        method: request.method.to_vec(),
        target: request.target.to_vec(),
        operation: rpc::operation(request),
        may_change: !method::is_safe(&request.method),
        created: *request.method == *b"PUT"
            && response.is_some_and(|response| response.message.status == 201),
        made: Made::Nothing,
        at,
        opens: false,
        answered,
        client: Client::of(exchange, request),
        atoms: Vec::with_capacity(ROOM),
        kept: Vec::with_capacity(ROOM * 48),
        is_signed: is_signed(request),
        is_opaque: false,
        is_unnamed: false,
        was_cut: false,
    };
    let path = std::str::from_utf8(target::path_and_query(&request.target).0).unwrap_or_default();
    let status = response.map(|response| response.message.status);
    seen.made = Made::of(request, status, path, seen.operation.as_deref());
    let nouns = Nouns::of(path).asked_by(&request.method);
    let chosen = rules.of(request);
    memo.begin();
    let mut looker = Looker::new(&mut seen, (Stands::Said, at), &nouns, &chosen, memo);
    let call = rules.call(request);
    let mut walk = Walk::new(&mut looker, Bounds::default()).of(call.clone());
    walk.request(request);
    let mut was_cut = walk.was_cut();
    if let Some(response) = response {
        std::mem::swap(&mut memo.known, &mut memo.echoed);
        let session = SocketSession::of(exchange);
        seen.opens = session.is_some();
        let known = known(response, seen.opens).map_or(answered, |at_ns| at.saturating_add(at_ns));
        let mut looker = Looker::new(&mut seen, (Stands::Issued, known), &nouns, &chosen, memo);
        let mut walk = Walk::new(&mut looker, Bounds::default()).of(call.clone());
        let settled = fields::settled(&response.message);
        walk.response(settled.as_ref().unwrap_or(&response.message));
        was_cut |= walk.was_cut();
        looker.keep_others();
        if let Some(session) = session {
            looker.in_session = true;
            was_cut |= look_at_session(&mut looker, session, at);
        }
        seen.client.given(&response.message);
    }
    seen.was_cut = was_cut;
    // Numbers mean something only where they are named.
    seen.is_unnamed &=
        !call.is_named() && matches!(grpc::codec_of(&request.headers), Some(Codec::Protobuf));
    Some(seen)
}

/// When a client knew what an answer says before the answer was there as a whole, in nanoseconds
/// since its request: a browser follows what a page says, and a WebSocket is open with its 101.
fn known(response: &TimedResponse, opens: bool) -> Option<i64> {
    let kind = response.message.headers.get("content-type").unwrap_or_default();
    let is_page = kind.len() >= 9 && kind[..9].eq_ignore_ascii_case(b"text/html");
    response.first_byte_ns.filter(|_| is_page || opens).map(|first| first.max(0))
}

/// Looks at what both ends of a WebSocket say, one message after the other: who says a value first
/// owns it. Gives whether a bound kept values from being looked at.
fn look_at_session(looker: &mut Looker<'_>, session: SocketSession<'_>, opened: i64) -> bool {
    let shown = session.answers().enumerate();
    let said = session.words().map(|word| word.message).enumerate();
    let mut messages: Vec<(usize, &SocketMessage)> = shown.chain(said).collect();
    messages.sort_by_key(|(_, message)| message.at_ns);
    let (mut json, mut was_cut) = (Vec::new(), false);
    for (number, message) in messages {
        let is_said = message.direction == Direction::ToServer;
        if !list::is_told(message) {
            looker.seen.is_opaque |= is_said && message.kind == SocketKind::Binary;
            continue;
        }
        if message.data.bytes.len() > WALKED_BODY_BYTES || looker.left == 0 {
            was_cut = true;
            continue;
        }
        looker.stands = if is_said { Stands::Said } else { Stands::Issued };
        looker.at = opened.saturating_add(message.at_ns);
        json.clear();
        list::element(&mut json, message, SocketForm::List);
        let mut walk = Walk::new(looker, Bounds::default());
        walk.list_element(number, std::str::from_utf8(&json).unwrap_or_default());
        was_cut |= walk.was_cut();
    }
    was_cut
}

/// Whether this is a message of a WebSocket itself, and nothing in it.
fn is_in_message(at: Option<&Trail<'_>>) -> bool {
    let octets = |at: &&Trail<'_>| at.last().name() == Some(list::OCTETS);
    let message = at.and_then(|at| if octets(&at) { at.before() } else { Some(at) });
    let list = message.and_then(Trail::before);
    list.is_some_and(|list| matches!(list.last(), Step::Root))
}

/// Whether a client computed something over its request that nobody else can.
fn is_signed(request: &Request) -> bool {
    let scheme = request
        .headers
        .get("authorization")
        .and_then(fields::credentials)
        .map(|(scheme, _)| scheme.to_ascii_lowercase())
        .unwrap_or_default();
    let named = |names: &[&str]| names.iter().any(|name| request.headers.get(name).is_some());
    let query = target::path_and_query(&request.target).1.to_ascii_lowercase();
    scheme.starts_with(b"aws4-")
        || scheme.starts_with(b"hmac")
        || matches!(&scheme[..], b"digest" | b"signature" | b"oauth" | b"sharedkey")
        || named(&["signature", "x-signature", "x-hub-signature-256", "x-hub-signature"])
        || [&b"x-amz-signature="[..], b"signature=", b"x-goog-signature="]
            .iter()
            .any(|name| memchr::memmem::find(&query, name).is_some())
}

/// Header fields that say nothing that an answer issues and a request uses: of the connection, of
/// the representation, of the sender's make, and of times.
const HEADERS: [&str; 41] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-digest",
    "content-security-policy",
    "content-type",
    "date",
    "digest",
    "dnt",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-connection",
    "server",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-powered-by",
];
/// Beginnings of such names.
const FAMILIES: [&str; 7] =
    [":", "access-control-", "sec-", "x-forwarded-", "x-real-", "upgrade-insecure-", "amz-sdk-"];

fn is_plain_header(name: &str) -> bool {
    HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn is_silent_header(name: &str) -> bool {
    let starts = |family: &&str| {
        name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family))
    };
    is_plain_header(name) || FAMILIES.iter().any(starts)
}

/// Walks one message.
struct Looker<'l> {
    seen: &'l mut SeenExchange,
    stands: Stands,
    /// When that is said or known, and whether on a WebSocket.
    at: i64,
    in_session: bool,
    nouns: &'l Nouns,
    chosen: &'l Chosen<'l>,
    /// Beside what is known of places: values of this message, and the atom of each; of an answer
    /// what its own request says, which is no birth.
    memo: &'l mut PlaceMemo,
    /// Places of tokens that the client signed.
    signed: Vec<u64>,
    /// The URL in a value that is walked, and the noun before the segment that is next.
    url: (u64, Option<String>),
    /// Number of the value at hand.
    value: u32,
    left: usize,
    /// Other places of values of an answer, as bytes: the atom, the general place, where the bytes
    /// end.
    others: Vec<(u32, u64, usize)>,
    other_places: Vec<u8>,
}

/// A value where it stands.
struct ToldValue<'v> {
    at: &'v Trail<'v>,
    text: &'v str,
    flags: u8,
    /// Whether a rule says that it never flows, once that was asked.
    never: Option<bool>,
    /// No atom of it was made yet.
    first: bool,
    /// It stands alone where a weak value may name a thing.
    is_weak: bool,
    /// It names a thing, by its place; once that was asked.
    names: Option<bool>,
}

impl ToldValue<'_> {
    fn names(&mut self) -> bool {
        let at = self.at;
        *self.names.get_or_insert_with(|| {
            matches!(at.last(), Step::Segment(_)) || at.name().is_some_and(things::is_identifier)
        })
    }
}

impl<'l> Looker<'l> {
    fn new(
        seen: &'l mut SeenExchange,
        (stands, at): (Stands, i64),
        nouns: &'l Nouns,
        chosen: &'l Chosen<'l>,
        memo: &'l mut PlaceMemo,
    ) -> Self {
        Self {
            seen,
            stands,
            at,
            in_session: false,
            nouns,
            chosen,
            memo,
            signed: Vec::new(),
            url: (0, None),
            value: 0,
            left: MOST,
            others: Vec::new(),
            other_places: Vec::new(),
        }
    }

    /// A value; `deep` where what it holds is told too.
    fn told(&mut self, at: &Trail<'_>, value: Value<'_>, deep: bool) {
        let text = value.text;
        if text.is_empty() || text.len() > strength::LONGEST || says_nothing(at) {
            return;
        }
        self.value += 1;
        if self.is_token(at, text) {
            self.seen.client.says(text);
        }
        let mut told = ToldValue {
            at,
            text,
            flags: self.flags(at, text),
            never: None,
            first: true,
            is_weak: false,
            names: None,
        };
        for thing in self.chosen.flows(self.stands == Stands::Said, at) {
            self.add(&mut told, None, &thing, RULED);
        }
        let noun = self.noun(at, text);
        if value.form == Form::Bare && text.contains(['.', 'e', 'E']) {
            return;
        }
        if is_strong(text) || kinds::is_signed(text.as_bytes()) {
            // A number with its kind in base64 is drawn by nobody.
            let is_made = self.makes_anew(at) && strength::encoded(text).is_some();
            self.add(&mut told, None, "", if is_made { MADE } else { 0 });
        } else if let Some(name) = opaque_cookie(at, text) {
            self.add(&mut told, None, &format!("cookie {name}"), 0);
        } else if !deep && !self.in_session && self.moment(&mut told, value.label) {
            // It means something only where it is given back.
            return;
        } else if !deep && is_weak(text) && self.takes_weak(at) {
            if strength::may_be_drawn(text) && !self.in_session {
                self.add(&mut told, None, "", WEAK);
            }
            self.weak(&mut told, value, noun.as_deref());
        }
        if !deep {
            self.inner(&mut told);
        }
    }

    /// Whether weak values mean something there. On a WebSocket many count messages: the `id` that
    /// stands first in a client's, and what a server sends without a word on what it names.
    fn takes_weak(&self, at: &Trail<'_>) -> bool {
        if !self.in_session {
            return true;
        }
        let (name, holder) = (at.last().name(), things::nearest_name(at.before()));
        let holder = holder.filter(|holder| *holder != list::OCTETS);
        match self.stands {
            Stands::Said => name != Some("id") || holder.is_some() || !is_in_message(at.before()),
            Stands::Issued => name.is_some_and(|name| things::names_beside_messages(name, holder)),
        }
    }

    /// What a weak value names.
    fn weak(&mut self, told: &mut ToldValue<'_>, value: Value<'_>, noun: Option<&str>) {
        let is_segment = matches!(told.at.last(), Step::Segment(_));
        if is_segment && things::is_verb(told.text) {
            return;
        }
        told.is_weak = true;
        // A time by the second is an identifier only where one stands.
        if kinds::of_number(told.text) == Some(ValueKind::EpochSeconds) && !told.names() {
            return;
        }
        /// Shortest code that is drawn: a shorter one is a word.
        const CODE: usize = 5;
        let bytes = told.text.as_bytes();
        let may_be_made = bytes.iter().all(u8::is_ascii_digit)
            || bytes.len() >= CODE && bytes.iter().all(u8::is_ascii_alphanumeric)
            || strength::may_be_drawn(told.text);
        let mut own = if may_be_made && self.makes_anew(told.at) { WEAK | MADE } else { WEAK };
        if let Some(noun) = noun {
            self.add(told, None, noun, own);
            // One of its kinds is enough.
            own = WEAK;
        }
        let kinds = self.memo.kinds(told.at, self.stands, value.label, self.nouns);
        let told_kind = value.kind.and_then(things::told);
        let is_told = told_kind.is_some() && self.stands == Stands::Said;
        if let Some(kind) = told_kind.as_deref().filter(|_| is_told) {
            self.add(told, None, kind, WEAK);
        }
        for thing in kinds.iter().flat_map(|kinds| kinds.iter()) {
            self.add(told, None, thing, own);
            own = WEAK;
        }
        if let Some(kind) = told_kind.filter(|_| !is_told) {
            self.add(told, None, &kind, WEAK);
        }
    }

    /// Whether an answer says there what it made: an `id` in the answer to a request that creates
    /// something. Of several in a list only where the answer says that it created (RFC 9110
    /// §15.3.2): others may be what was found.
    fn makes_anew(&self, at: &Trail<'_>) -> bool {
        let made = match self.stands {
            Stands::Said => return false,
            Stands::Issued => self.seen.made,
        };
        let is_listed = || {
            std::iter::successors(Some(at), |at| at.before())
                .any(|at| matches!(at.last(), Step::Index(_)))
        };
        let is_led_to = || {
            matches!(at.before().map(Trail::last), Some(Step::Header(name))
                if name.eq_ignore_ascii_case("location"))
        };
        let name = match at.last() {
            Step::Name(name) => name,
            Step::Segment(_) => return made != Made::Nothing && is_led_to(),
            _ => return false,
        };
        let names_it = || things::is_nameless(name) && !things::is_counted(name);
        match made {
            Made::Nothing | Made::Elsewhere => false,
            Made::One => names_it() && !is_listed(),
            Made::All => names_it(),
        }
    }

    /// A time by the second, where a request gives it back to who said it: when a page was, or a
    /// thing was changed, and until when a list is known. Whether it was one.
    fn moment(&mut self, told: &mut ToldValue<'_>, label: Option<&str>) -> bool {
        if !strength::is_moment(told.text) || told.names() {
            return false;
        }
        let Some(thing) = things::given_back(told.at, label, self.stands, self.nouns) else {
            return false;
        };
        // A condition names the answer of its own resource.
        let is_condition = matches!(told.at.last(), Step::Header(_));
        self.add(told, None, &thing, if is_condition { 0 } else { WEAK });
        true
    }

    /// Values inside a longer one.
    fn inner(&mut self, told: &mut ToldValue<'_>) {
        let text = told.text;
        if text.starts_with('/') {
            let path = text.find(['?', '#']).map_or(text, |end| &text[..end]);
            for (range, thing) in things::in_path(path) {
                self.add(told, Some(range), &thing, WEAK);
            }
        }
        // `user:token`, as credentials have it.
        if let (Step::Header(_), Some((user, secret))) = (told.at.last(), text.split_once(':'))
            && kinds::is_signed(secret.as_bytes())
        {
            self.add(told, Some(user.len() + 1..text.len()), "", 0);
        }
        for range in strength::parts(text) {
            // A signature is said with what it signs, never alone.
            if range.end < text.len() || !kinds::is_signed(text.as_bytes()) {
                self.add(told, Some(range), "", 0);
            }
        }
    }

    /// What a part of a URL in a value names: of a segment, the kind of thing that the segments
    /// before it name; of a number in the query, what its parameter is called (`?oldid=5`), as the
    /// request has it that follows the link.
    fn noun(&mut self, at: &Trail<'_>, text: &str) -> Option<String> {
        let url = at.before()?;
        if let Step::Query(name) = at.last() {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            if things::is_nameless(name) {
                // `/topic.php?id=5` names a topic.
                return self.url.1.clone().filter(|_| is_number && self.url.0 == url.hash());
            }
            return (is_number && !things::is_counter(name)).then(|| things::singular(name))?;
        }
        let Step::Segment(_) = at.last() else { return None };
        if self.url.0 != url.hash() {
            self.url = (url.hash(), None);
        }
        let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
        if !has_digit && !things::is_verb(text) {
            self.url.1 = things::singular(text);
        }
        self.url.1.clone().filter(|_| has_digit)
    }

    fn flags(&self, at: &Trail<'_>, text: &str) -> u8 {
        if self.stands == Stands::Issued {
            return 0;
        }
        let mut flags = if self.is_signed(at) { SIGNED } else { 0 };
        let alone = at.before().is_none();
        if alone && matches!(at.last(), Step::Header(_) | Step::Cookie(_)) {
            flags |= FIELD;
        }
        let is_credential = alone && client::is_credential(at.last()) || self.is_token(at, text);
        if is_credential {
            flags |= CREDENTIAL;
        }
        let is_condition = matches!(at.last(), Step::Header(name)
            if fields::CONDITIONS.iter().any(|own| name.eq_ignore_ascii_case(own)));
        // What a client creates it names itself.
        let creates = self.seen.may_change && self.seen.method != b"DELETE";
        let asks = !creates
            && match at.last() {
                Step::Segment(_) => true,
                Step::Query(name) => !is_made_by_clients(name),
                _ => false,
            };
        let comes_from_v1 = is_credential && !self.seen.is_signed || is_condition || asks;
        if alone && comes_from_v1 && strength::looks_issued(text) {
            flags |= ISSUED;
        }
        flags
    }

    /// Whether it tells who the client is though no header field does.
    fn is_token(&self, at: &Trail<'_>, text: &str) -> bool {
        self.stands == Stands::Said
            && self.seen.client.shows_nothing()
            && !matches!(at.last(), Step::Header(_) | Step::Cookie(_) | Step::Segment(_))
            && is_strong(text)
            && at.name().is_some_and(client::is_token_field)
    }

    /// Whether the request made what is named there.
    fn makes(&self, at: &Trail<'_>) -> bool {
        let is_end = matches!(at.last(), Step::Segment(number) if self.nouns.ends_at(*number));
        self.seen.created && is_end && at.before().is_none()
    }

    /// Whether a place is inside a token that the client signed.
    fn is_signed(&self, at: &Trail<'_>) -> bool {
        let mut around = at.before().filter(|_| !self.signed.is_empty());
        while let Some(trail) = around {
            if self.signed.contains(&trail.hash()) {
                return true;
            }
            around = trail.before();
        }
        false
    }

    fn add(
        &mut self,
        told: &mut ToldValue<'_>,
        range: Option<Range<usize>>,
        thing: &str,
        flags: u8,
    ) {
        let text = range.clone().map_or(told.text, |range| &told.text[range]);
        let hash = things::hash(text, thing);
        let said = self.stands == Stands::Said;
        let echoes = !said && flags & RULED == 0 && self.memo.echoed.contains_key(&hash);
        if self.left == 0 || echoes {
            return;
        }
        // An answer issues a value once: where it stands alone, if it does anywhere; and on a
        // WebSocket where it stands first, if its client had not said it before.
        let known = self.memo.known.get(&hash).map(|&at| at as usize).filter(|_| !said);
        if let Some(at) = known
            && (range.is_some() || self.seen.atoms[at].whole || self.in_session)
        {
            if range.is_none() && !self.in_session {
                self.other(at, told.at);
            }
            return;
        }
        self.left -= 1;
        // A part that has a kind is a segment.
        let range_names = range.is_some();
        let never = *told.never.get_or_insert_with(|| self.chosen.never(told.at));
        let atom = Atom {
            hash,
            said,
            at: self.at,
            in_session: self.in_session,
            whole: range.is_none(),
            makes: said && range.is_none() && self.makes(told.at),
            flags: told.flags | flags,
            general: told.at.general(),
            kept: kept::write(&mut self.seen.kept, (self.value, told.at), range, text, thing),
            thing: match thing {
                "" => UNKNOWN_THING,
                thing => things::hash("", thing) as u32 | 1,
            },
            measure: match (flags & WEAK != 0, thing) {
                (true, "") | (false, _) => text.len() as u32,
                _ if range_names || told.is_weak && told.names() => text.parse().unwrap_or(0),
                _ => 0,
            },
            made: if flags & MADE != 0 { MadeName::of(text) } else { MadeName::default() },
            first: std::mem::take(&mut told.first),
            never,
        };
        match known {
            Some(at) => self.seen.atoms[at] = atom,
            None => {
                self.memo.known.entry(hash).or_insert(self.seen.atoms.len() as u32);
                self.seen.atoms.push(atom);
            }
        }
    }
}

impl Looker<'_> {
    /// Takes note of another place of a value: where v2's answer lacks the first, it may have this.
    fn other(&mut self, atom: usize, at: &Trail<'_>) {
        let general = at.general();
        let is_of = |other: &&(u32, u64, usize)| other.0 as usize == atom;
        let own = self.others.iter().rev().take(OTHERS * 8).filter(is_of);
        let is_known = self.seen.atoms[atom].general == general;
        if is_known || own.clone().count() >= OTHERS || own.clone().any(|o| o.1 == general) {
            return;
        }
        Place::write_trail(&mut self.other_places, at);
        self.others.push((atom as u32, general, self.other_places.len()));
    }

    /// Puts the other places of values beside them.
    fn keep_others(&mut self) {
        let starts = std::iter::once(0).chain(self.others.iter().map(|other| other.2));
        let spans = self.others.iter().zip(starts).map(|(other, start)| (other.0, start..other.2));
        let mut spans: Vec<(u32, Range<usize>)> = spans.collect();
        spans.sort_by_key(|(atom, _)| *atom);
        let mut places = Vec::new();
        for of_one in spans.chunk_by(|a, b| a.0 == b.0) {
            places.clear();
            for (_, span) in of_one.iter().take(OTHERS) {
                places.extend_from_slice(&self.other_places[span.clone()]);
            }
            let atom = &mut self.seen.atoms[of_one[0].0 as usize];
            atom.kept = kept::write_with(&mut self.seen.kept, atom.kept, &places);
        }
    }
}

impl Visit for Looker<'_> {
    fn passes_over(&self, header: &str) -> bool {
        is_plain_header(header)
    }

    fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        if value.form == Form::Bare && self.stands == Stands::Said {
            self.seen.is_unnamed |= at.name().is_some_and(|name| name.starts_with('#'));
        }
        match value.form {
            Form::Text | Form::Bare | Form::Key => self.told(at, value, false),
            Form::Digest if self.stands == Stands::Said => self.seen.is_opaque = true,
            Form::Digest | Form::Empty => {}
        }
        None
    }

    fn inside(&mut self, at: &Trail<'_>, value: Value<'_>) -> bool {
        self.told(at, value, true);
        let is_signed = || {
            let kind = kinds::of_text(value.text);
            matches!(kind, Some(ValueKind::Jwt | ValueKind::Signed))
        };
        if self.stands == Stands::Said && is_signed() {
            self.signed.push(at.hash());
        }
        true
    }
}

/// The name of a cookie whose value is neither strong nor a word: quoted, with blanks, signed JSON.
/// Its client sends it back as it came (RFC 6265 §5.4), so all of it flows together: a time or a
/// length inside may be signed along with what looks issued.
fn opaque_cookie<'t>(at: &'t Trail<'_>, text: &str) -> Option<&'t str> {
    match at.last() {
        Step::Cookie(name) if at.before().is_none() && !is_weak(text) => Some(name),
        _ => None,
    }
}

/// Parameters that clients draw at random themselves: of OAuth 2.0 (RFC 6749 §4.1.1, RFC 7636
/// §4.3), OpenID Connect, SAML and digests.
fn is_made_by_clients(name: &str) -> bool {
    ["state", "nonce", "code_challenge", "cnonce", "SAMLRequest", "RelayState"].contains(&name)
}

/// Places whose values mean nothing to other messages.
fn says_nothing(at: &Trail<'_>) -> bool {
    match at.last() {
        Step::Method | Step::Status | Step::Namespace => true,
        Step::Header(name) => is_silent_header(name),
        // When a cookie ends, and where it is sent.
        Step::Attribute(_) => {
            matches!(at.before().map(Trail::last), Some(Step::Cookie(_)))
        }
        _ => false,
    }
}
