//! Who a client is across its connections: by the credential that it shows, else by its address as
//! long as one request followed the other there.
//!
//! Credentials are joined where one request shows two of them, and where an answer to one gives
//! another (`finish`). A proxy's address is many clients: `Forwarded` (RFC 7239) and
//! `X-Forwarded-For` say whom it stands for, and an address that shows several credentials, or has
//! more requests under way than a browser does, is nobody.

use rustc_hash::{FxHashMap, FxHashSet};

use super::strength;
use super::things;
use crate::exchange::Exchange;
use crate::message::fields::forwarded_for;
use crate::message::place::Step;
use crate::message::{Request, Response, encoding, fields};

/// Most clients that are told apart; beyond, each connection is its own.
const MOST: usize = 1 << 20;
/// Most pairs of credentials that are joined.
const MOST_PAIRS: usize = 1 << 21;
/// How often cookies are looked at that several clients may have been given.
const ROUNDS: usize = 3;
/// Cookies that one was given after the other until it was given the first again.
const STEPS_BACK: usize = 16;
/// Requests that a browser has under way to one host, over HTTP/1.
pub(super) const AT_ONCE: usize = 6;

/// What one exchange tells of its client.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// Hashes of what it shows, the likeliest credential first.
    shown: Vec<u64>,
    /// Hashes of what it says elsewhere that tells who it is: tokens in its body or its query.
    said: Vec<u64>,
    /// Hashes of the cookies that the answer sets.
    set: Vec<u64>,
    /// Where it comes from.
    address: u64,
}

impl Client {
    pub(super) fn of(exchange: &Exchange, request: &Request) -> Self {
        let from =
            forwarded_for(&request.headers).unwrap_or_else(|| exchange.client.address.to_string());
        Self {
            shown: shown(request),
            said: Vec::new(),
            set: Vec::new(),
            address: things::hash(&from, "address"),
        }
    }

    /// Whether no header field tells who it is.
    pub(super) fn shows_nothing(&self) -> bool {
        self.shown.is_empty()
    }

    /// Takes note of a token in the body or the query of its request.
    pub(super) fn says(&mut self, token: &str) {
        // Whoever shows who it is may well speak of others.
        if self.shown.is_empty() && self.said.is_empty() {
            self.said.push(things::hash(token, ""));
        }
    }

    /// Takes note of the cookies that its answer sets.
    pub(super) fn given(&mut self, response: &Response) {
        for field in response.headers.all("set-cookie") {
            let cookie = fields::set_cookie(field);
            if let Some(hash) = of_cookie(cookie.name, cookie.value) {
                self.set.push(hash);
            }
        }
        self.set.retain(|set| !self.shown.contains(set));
    }
}

/// Whether a place may hold a credential: a cookie, `Authorization`, a header field for tokens.
pub(super) fn is_credential(step: &Step<'_>) -> bool {
    match step {
        Step::Cookie(_) => true,
        Step::Header(name) => names_credential(name.as_bytes()),
        _ => false,
    }
}

/// Whether a header field of this name may hold a credential.
fn names_credential(name: &[u8]) -> bool {
    let ends = |end: &[u8]| {
        let tail = name.len().checked_sub(end.len()).map(|at| &name[at..]);
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    match name.last().map(u8::to_ascii_lowercase) {
        Some(b'n') => {
            name.eq_ignore_ascii_case(b"authorization") || ends(b"token") || ends(b"session")
        }
        Some(b'd') => ends(b"session-id"),
        Some(b'h') => ends(b"auth"),
        Some(b'y') => ends(b"api-key") || ends(b"apikey"),
        _ => false,
    }
}

/// Whether a field of this name holds what tells who its client is, where no header field does:
/// `access_token`, `sessionId`, `AuthToken`.
pub(super) fn is_token_field(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "accesstoken",
        "refreshtoken",
        "authtoken",
        "sessiontoken",
        "bearertoken",
        "idtoken",
        "sessionid",
        "sessionkey",
        "sid",
        "jsessionid",
        "phpsessid",
        "jwt",
        // Of a message of JSON-RPC, and of what calls it so.
        "auth",
        "session",
        "sessid",
    ];
    let word = || name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    NAMES.iter().any(|own| word().eq(own.bytes()))
}

fn shown(request: &Request) -> Vec<u64> {
    let mut shown = Vec::new();
    if let Some(field) = request.headers.get("authorization") {
        shown.extend(of_authorization(field));
    }
    let mut others = Vec::new();
    for field in request.headers.all("cookie") {
        for cookie in fields::cookies(field) {
            if let Some(hash) = of_cookie(cookie.name, cookie.value) {
                if is_session(cookie.name) { shown.push(hash) } else { others.push(hash) }
            }
        }
    }
    for (name, value) in request.headers.iter() {
        if !name.eq_ignore_ascii_case(b"authorization")
            && names_credential(name)
            && let Ok(text) = std::str::from_utf8(value)
            && strength::is_strong(text.trim())
        {
            others.push(things::hash(text.trim(), ""));
        }
    }
    shown.extend(others);
    shown
}

fn of_authorization(field: &[u8]) -> Option<u64> {
    let Some((scheme, from)) = fields::credentials(field) else {
        // A token without a word on what it is.
        let text = std::str::from_utf8(field).ok()?.trim();
        return strength::is_strong(text).then(|| things::hash(text, ""));
    };
    let rest = std::str::from_utf8(&field[from..]).ok()?.trim();
    let scheme = scheme.to_ascii_lowercase();
    let named = |name: &str| {
        let (_, behind) = rest.split_once(name)?;
        behind.trim_start_matches('"').split(['"', ',', '/', ' ']).next()
    };
    match &scheme[..] {
        b"bearer" | b"token" | b"apikey" => Some(things::hash(rest, "")),
        b"basic" => {
            let text = encoding::base64_text(rest)?;
            let user = text.split(':').next().unwrap_or(&text);
            Some(things::hash(user, "user"))
        }
        b"digest" => Some(things::hash(named("username=")?, "user")),
        _ if scheme.starts_with(b"aws4-") => Some(things::hash(named("Credential=")?, "")),
        _ => None,
    }
}

fn of_cookie(name: &[u8], value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let text = encoding::Encoding::Percent.decoded(text);
    if strength::is_strong(&text) {
        return Some(things::hash(&text, ""));
    }
    // What is a word or a small number is else a setting, which many have.
    let is_own = is_session(name) && !text.is_empty();
    is_own.then(|| things::hash(&text, &String::from_utf8_lossy(name)))
}

fn is_session(name: &[u8]) -> bool {
    // Names are short: less than it takes to prepare a search.
    let holds = |part: &[u8]| name.windows(part.len()).any(|own| own.eq_ignore_ascii_case(part));
    [&b"sess"[..], b"sid", b"auth", b"token", b"jwt", b"login", b"remember"].into_iter().any(holds)
        && !holds(b"csrf")
        && !holds(b"xsrf")
}

/// Nobody: its connection stands for it.
pub(super) const NOBODY: u32 = u32::MAX;

/// Who a session is: clients that are joined, or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientSession(u64);

const LANE: u64 = 1 << 63;

impl ClientSession {
    /// One of which too much is known to keep.
    const UNKNOWN: Self = Self(u64::MAX);

    /// As a number that sorts clients before connections.
    pub(super) const fn key(self) -> u64 {
        self.0
    }

    /// Of such a number.
    pub(super) const fn of_key(key: u64) -> Self {
        Self(key)
    }

    /// Whether a connection stands for it.
    pub(super) const fn is_lane(self) -> bool {
        self.0 & LANE != 0
    }

    const fn lane(connection: u64) -> Self {
        Self(connection | LANE)
    }

    fn of_node(node: u32) -> Self {
        Self(u64::from(node))
    }

    /// The number of the client that it is, where no connection stands for it.
    fn node(self) -> Option<u32> {
        (!self.is_lane()).then_some(self.0 as u32)
    }
}

#[derive(Clone, Copy, Debug)]
struct ClientNode {
    parent: u32,
    is_address: bool,
    /// Who was given it as a cookie by the first answer that set it.
    given: Option<ClientSession>,
    /// Several clients were given it; several came from this address.
    is_shared: bool,
    /// Of an address: the credential that came from there first. Of a credential: the address that
    /// it came from first.
    first: u32,
    /// More requests under way than one client has.
    is_busy: bool,
}

/// All clients of a recording.
#[derive(Default)]
pub(super) struct Clients {
    numbers: FxHashMap<u64, u32>,
    nodes: Vec<ClientNode>,
    /// Credentials of one client.
    pairs: FxHashSet<(u32, u32)>,
    /// Cookies that were set again, and who was given them then.
    gifts: FxHashSet<(u32, ClientSession)>,
    /// Connections of clients that showed a credential only later.
    lanes: FxHashMap<u64, u32>,
    /// The credential that a connection showed first, and each that came after another one.
    first: FxHashMap<u64, u32>,
    later: FxHashSet<(u64, u32)>,
}

impl Clients {
    /// The number of an exchange's client.
    pub(super) fn add(&mut self, client: &Client, connection: u64) -> u32 {
        let address = self.node(client.address, true);
        let mut first = None;
        for hash in client.shown.iter().chain(&client.said) {
            let Some(node) = self.node(*hash, false) else { continue };
            self.pair(&mut first, node);
        }
        let holder = first.map_or(ClientSession::lane(connection), ClientSession::of_node);
        for hash in &client.set {
            let Some(node) = self.node(*hash, false) else { continue };
            match self.nodes[node as usize].given {
                None => self.nodes[node as usize].given = Some(holder),
                Some(given) if given != holder => {
                    // Whether they are one client shows when all are joined.
                    self.nodes[node as usize].is_shared = true;
                    if self.gifts.len() < MOST_PAIRS {
                        self.gifts.insert((node, holder));
                    } else {
                        self.gifts.insert((node, ClientSession::UNKNOWN));
                    }
                }
                Some(_) => {}
            }
            self.pair(&mut first, node);
        }
        if let Some(first) = first {
            self.shows(connection, first);
        }
        if let (Some(address), Some(first)) = (address, first) {
            let own = &mut self.nodes[first as usize].first;
            if *own == NOBODY {
                *own = address;
            }
            let node = &mut self.nodes[address as usize];
            if node.first == NOBODY {
                node.first = first;
            } else if node.first != first && self.pairs.len() < MOST_PAIRS {
                // Whether it is the same client shows when all are joined.
                self.pairs.insert((address, first));
            }
        }
        first.or(address).unwrap_or(NOBODY)
    }

    /// Takes note that a connection shows a credential.
    fn shows(&mut self, connection: u64, credential: u32) {
        match self.first.get(&connection) {
            None if self.first.len() < MOST => {
                self.first.insert(connection, credential);
            }
            Some(first) if *first != credential && self.later.len() < MOST_PAIRS => {
                self.later.insert((connection, credential));
            }
            // What is not known of is of no one client.
            Some(first) if *first != credential => {
                self.later.insert((connection, NOBODY));
            }
            _ => {}
        }
    }

    /// Takes note that a client has a credential beside its first one.
    fn pair(&mut self, first: &mut Option<u32>, node: u32) {
        match *first {
            None => *first = Some(node),
            Some(first) if first != node && self.pairs.len() < MOST_PAIRS => {
                self.pairs.insert((first, node));
            }
            Some(_) => {}
        }
    }

    fn node(&mut self, hash: u64, is_address: bool) -> Option<u32> {
        if let Some(&node) = self.numbers.get(&hash) {
            return Some(node);
        }
        if self.nodes.len() >= MOST {
            return None;
        }
        Some(self.new_node(Some(hash), is_address))
    }

    fn new_node(&mut self, hash: Option<u64>, is_address: bool) -> u32 {
        let node = self.nodes.len() as u32;
        self.nodes.push(ClientNode {
            parent: node,
            is_address,
            given: None,
            is_shared: false,
            first: NOBODY,
            is_busy: false,
        });
        if let Some(hash) = hash {
            self.numbers.insert(hash, node);
        }
        node
    }

    /// Whether it is known by nothing but its address.
    pub(super) fn is_anonymous(&self, identity: u32) -> bool {
        self.nodes.get(identity as usize).is_some_and(|node| node.is_address)
    }

    /// Joins what one request showed together, but for what several clients were given.
    pub(super) fn join_pairs(&mut self) {
        let mut pairs: Vec<_> = std::mem::take(&mut self.pairs).into_iter().collect();
        pairs.sort_unstable();
        let (addresses, credentials): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(a, _)| self.nodes[*a as usize].is_address);
        let mut gifts: Vec<_> = std::mem::take(&mut self.gifts).into_iter().collect();
        gifts.sort_unstable();
        for _ in 0..ROUNDS {
            for &(a, b) in &credentials {
                let shared = |node: u32| self.nodes[node as usize].is_shared;
                if !shared(a) && !shared(b) {
                    self.join(a, b);
                }
            }
            if !self.find_own(&gifts) {
                break;
            }
        }
        for (address, other) in addresses {
            let first = self.nodes[address as usize].first;
            if self.root(first) != self.root(other) {
                self.nodes[address as usize].is_shared = true;
            }
        }
        for node in 0..self.nodes.len() as u32 {
            let ClientNode { is_address, is_shared, first, .. } = self.nodes[node as usize];
            if is_address && !is_shared && first != NOBODY {
                self.join(first, node);
            }
        }
    }

    /// Finds cookies that one client was given again and again; whether there was one. A session
    /// that is kept in its cookie has the same one whenever it holds the same.
    fn find_own(&mut self, gifts: &[(u32, ClientSession)]) -> bool {
        let mut found = false;
        for of_one in gifts.chunk_by(|a, b| a.0 == b.0) {
            let node = of_one[0].0;
            let ClientNode { given, is_shared, .. } = self.nodes[node as usize];
            if !is_shared {
                continue;
            }
            let mut owner = None;
            let holders = given.into_iter().chain(of_one.iter().map(|gift| gift.1));
            let mut is_one = true;
            for holder in holders {
                if self.is_from(holder, node) {
                    continue;
                }
                let holder =
                    holder.node().map_or(holder, |at| ClientSession::of_node(self.root(at)));
                is_one &= *owner.get_or_insert(holder) == holder;
            }
            self.nodes[node as usize].is_shared = !is_one;
            found |= is_one;
        }
        found
    }

    /// Whether who was given a cookie has what it showed from an answer to the cookie itself.
    fn is_from(&self, holder: ClientSession, cookie: u32) -> bool {
        let mut at = holder.node();
        for _ in 0..STEPS_BACK {
            match at {
                Some(node) if node == cookie => return true,
                Some(node) => {
                    at = self.nodes[node as usize].given.and_then(ClientSession::node);
                }
                None => return false,
            }
        }
        false
    }

    /// Joins the client of one exchange with that of another, which shows a credential that the
    /// first one was given.
    pub(super) fn give(&mut self, from: (u32, u64), to: u32) {
        let (identity, connection) = from;
        if to == NOBODY || self.is_anonymous(to) {
            return;
        }
        let node = match self.nodes.get(identity as usize) {
            Some(node) if !node.is_address => identity,
            Some(node) if !node.is_shared && node.first == NOBODY && !node.is_busy => {
                // The first credential of a lone address: it is the address's own.
                self.nodes[identity as usize].first = to;
                identity
            }
            _ => match self.lanes.get(&connection) {
                Some(&node) => node,
                None if self.lanes.len() < MOST => {
                    let node = self.new_node(None, false);
                    self.lanes.insert(connection, node);
                    node
                }
                None => return,
            },
        };
        self.join(node, to);
    }

    /// Says that what a connection said without a credential is the client's that alone showed one
    /// there.
    pub(super) fn join_connections(&mut self) {
        let mut first = std::mem::take(&mut self.first);
        for (connection, node) in std::mem::take(&mut self.later) {
            // What all were given tells nothing.
            if self.nodes.get(node as usize).is_some_and(|node| node.is_shared) {
                continue;
            }
            let is_other = |first: u32| node == NOBODY || self.root(first) != self.root(node);
            if first.get(&connection).copied().is_some_and(is_other) {
                first.remove(&connection);
            }
        }
        for (connection, node) in first {
            if !self.nodes[node as usize].is_shared {
                self.follow(connection, node);
            }
        }
    }

    /// Who an exchange's client is as far as it is known: an address that may be many is none.
    pub(super) fn owner(&mut self, (identity, connection): (u32, u64)) -> ClientSession {
        match self.nodes.get(identity as usize) {
            Some(node) if !node.is_address && !node.is_shared => {
                ClientSession::of_node(self.root(identity))
            }
            _ => ClientSession::lane(connection),
        }
    }

    /// Whether the client of a request that shows nothing may be the one of this credential: both
    /// come from one address.
    pub(super) fn may_follow(&self, of: (u32, u64), credential: u32) -> bool {
        let (identity, connection) = of;
        let node = |number: u32| self.nodes.get(number as usize);
        let is_unknown = node(identity).is_some_and(|node| node.is_address && node.is_shared);
        is_unknown
            && !self.lanes.contains_key(&connection)
            && node(credential)
                .is_some_and(|node| !node.is_address && !node.is_shared && node.first == identity)
    }

    /// Says that the requests of a connection that show nothing are a client's.
    pub(super) fn follow(&mut self, connection: u64, credential: u32) {
        if self.lanes.len() < MOST {
            self.lanes.entry(connection).or_insert(credential);
        }
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        // The earlier one stands for both, so that the outcome does not depend on the order.
        let (root, other) = (a.min(b), a.max(b));
        self.nodes[other as usize].parent = root;
    }

    fn root(&mut self, mut node: u32) -> u32 {
        while self.nodes[node as usize].parent != node {
            let above = self.nodes[self.nodes[node as usize].parent as usize].parent;
            self.nodes[node as usize].parent = above;
            node = above;
        }
        node
    }

    /// Says that a session had more requests under way than one client has.
    pub(super) fn is_many(&mut self, session: ClientSession) {
        if !session.is_lane()
            && let Some(node) = self.nodes.get_mut(session.key() as usize)
        {
            node.is_busy = true;
        }
    }

    /// Whose an exchange is.
    pub(super) fn session(&mut self, identity: u32, connection: u64) -> ClientSession {
        let lane = match self.lanes.get(&connection) {
            Some(&node) => {
                let root = self.root(node);
                Some(root).filter(|&root| !self.nodes[root as usize].is_busy)
            }
            None => None,
        };
        let lane =
            lane.map_or(ClientSession::lane(connection), |root| ClientSession(u64::from(root)));
        let Some(node) = self.nodes.get(identity as usize).copied() else { return lane };
        if node.is_shared || node.is_address && node.is_busy {
            return lane;
        }
        let root = self.root(identity);
        if self.nodes[root as usize].is_busy { lane } else { ClientSession(u64::from(root)) }
    }
}
