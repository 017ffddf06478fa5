//! Values of requests that no flow gives: supplied from elsewhere (`[[flow.supply]]`), made
//! different in each copy (`[[flow.vary]]`), signed anew (`[[flow.sign]]`).
//!
//! A value that a flow binds is left to the flow.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHashMap;

use super::put::Retouch;
use super::sign::SigningKey;
use super::url::{ResignedUrl, SignedRequest};
use crate::bind::config::{FlowSection, SignKind, SignRule, SupplyRule, VaryRule};
use crate::message::document::{Bounds, Form, Reader, Value, Visit, Walk};
use crate::message::edit::Changes;
use crate::message::place::{Pattern, Place, Trail};
use crate::message::protobuf::{Call, Schema};
use crate::message::{Body, Request, fields, target};

/// Names of fields that say who a user is, the surest first.
const USERS: [&str; 8] =
    ["username", "user", "login", "email", "user_name", "preferred_username", "name", "sub"];

/// The rules, with what they need.
#[derive(Debug, Default)]
pub struct Touches {
    supply: Vec<(SupplyRule, FxHashMap<String, String>)>,
    vary: Vec<VaryRule>,
    sign: Vec<(SignRule, SigningKey)>,
    matched: Vec<AtomicBool>,
    schema: Schema,
}

/// A value that is to be supplied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// By which of the rules.
    pub rule: usize,
    /// What was recorded.
    pub recorded: String,
    /// Who sent it, where the request says so.
    pub user: Option<String>,
}

impl Touches {
    /// The rules of `[flow]`. `key` gives the key of a rule, `file` the pairs of recorded and
    /// supplied values of another.
    pub fn new(
        section: &FlowSection,
        mut key: impl FnMut(&SignRule) -> Result<SigningKey, String>,
        mut file: impl FnMut(&SupplyRule) -> Result<FxHashMap<String, String>, String>,
    ) -> Result<Self, String> {
        let supply = section
            .supply
            .iter()
            .map(|rule| Ok((rule.clone(), file(rule)?)))
            .collect::<Result<_, String>>()?;
        let sign = section
            .sign
            .iter()
            .map(|rule| Ok((rule.clone(), key(rule)?)))
            .collect::<Result<_, String>>()?;
        let rules = section.supply.len() + section.vary.len() + section.sign.len();
        let matched = (0..rules).map(|_| AtomicBool::new(false)).collect();
        let schema = Schema::default();
        Ok(Self { supply, vary: section.vary.clone(), sign, matched, schema })
    }

    /// The same, with what names the fields of Protocol Buffers: also of those that a flow binds.
    pub fn with_schema(self, schema: Schema) -> Self {
        Self { schema, ..self }
    }

    /// What names the fields of Protocol Buffers.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.matched.is_empty()
    }

    /// The rules of `[[flow.supply]]`.
    pub fn suppliers(&self) -> impl Iterator<Item = &SupplyRule> {
        self.supply.iter().map(|(rule, _)| rule)
    }

    /// What a rule supplies for a recorded value.
    pub fn supply(&mut self, wanted: Wanted, value: String) {
        self.supply[wanted.rule].1.insert(wanted.recorded, value);
    }

    /// Whether a value is known that a rule supplies.
    pub fn has(&self, wanted: &Wanted) -> bool {
        self.supply[wanted.rule].1.contains_key(&wanted.recorded)
    }

    /// Notes which rules a request is of, and what is to be supplied for it.
    pub fn look(&self, request: &Request) -> Vec<Wanted> {
        let Some(touching) = self.of(request, 1, 0) else { return Vec::new() };
        let mut wanted = Vec::new();
        let mut visit = Reader(|at: &Trail<'_>, value: Value<'_>| {
            for number in touching.covering(at) {
                self.matched[number].store(true, Ordering::Relaxed);
                if number < self.supply.len() {
                    let recorded = value.text.to_owned();
                    wanted.push(Wanted { rule: number, recorded, user: None });
                }
            }
            for number in touching.anywhere() {
                if touching.made(number, at, value.text, value.form).is_some() {
                    self.matched[number].store(true, Ordering::Relaxed);
                }
            }
        });
        struct WholeTouch<'r, F>(&'r mut Reader<F>, &'r Touching<'r>);
        impl<F: FnMut(&Trail<'_>, Value<'_>)> Visit for WholeTouch<'_, F> {
            fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
                (self.0.0)(at, value);
                None
            }

            fn inside(&mut self, at: &Trail<'_>, value: Value<'_>) -> bool {
                !self.1.is_whole(at, value.text)
            }
        }
        let call = Call::of(&self.schema, &request.target);
        let mut visit = WholeTouch(&mut visit, &touching);
        Walk::new(&mut visit, Bounds::default()).of(call.clone()).request(request);
        if let Some((number, _)) = touching.url_of(request, &request.target) {
            self.matched[number].store(true, Ordering::Relaxed);
        }
        let user = user_of(request, call).filter(|_| !wanted.is_empty());
        wanted.iter_mut().for_each(|wanted| wanted.user.clone_from(&user));
        wanted
    }

    /// The rules that matched nothing, as people would write them.
    pub fn unmatched(&self) -> Vec<String> {
        let supply = self.supply.iter().map(|(rule, _)| rule.to_string());
        let vary = self.vary.iter().map(ToString::to_string);
        let sign = self.sign.iter().map(|(rule, _)| rule.to_string());
        let is_idle = |matched: &AtomicBool| !matched.load(Ordering::Relaxed);
        let all = supply.chain(vary).chain(sign).zip(&self.matched);
        all.filter(|(_, matched)| is_idle(matched)).map(|(text, _)| text).collect()
    }

    /// What is done to a request: none where no rule is of it. `copy`: which one it is, from 1;
    /// `seconds`: how much later it is sent than it was recorded.
    pub fn of(&self, request: &Request, copy: u32, seconds: i64) -> Option<Touching<'_>> {
        let spots = self.supply.iter().map(|(rule, _)| Some(&rule.at));
        let spots = spots.chain(self.vary.iter().map(|rule| Some(&rule.at)));
        let spots = spots.chain(self.sign.iter().map(|(rule, _)| rule.at.as_ref()));
        let (mut rules, mut urls) = (Vec::new(), Vec::new());
        for (number, spot) in spots.enumerate() {
            if spot.is_some_and(|spot| !spot.takes(request)) {
                continue;
            }
            match spot.and_then(|spot| spot.place.as_ref()) {
                None if self.signed(number).is_some_and(|(rule, _)| rule.kind == SignKind::Url) => {
                    urls.push(number);
                }
                place => rules.push((number, place)),
            }
        }
        let varied = RefCell::default();
        let any = !rules.is_empty() || !urls.is_empty();
        any.then_some(Touching { touches: self, rules, urls, copy, seconds, varied })
    }

    /// The rule of this number, where it is one of `[[flow.sign]]`.
    fn signed(&self, number: usize) -> Option<&(SignRule, SigningKey)> {
        self.sign.get(number.checked_sub(self.supply.len() + self.vary.len())?)
    }
}

/// What is done to one request.
#[derive(Debug)]
pub struct Touching<'t> {
    touches: &'t Touches,
    /// Rules of values, with their place; none where they are for any.
    rules: Vec<(usize, Option<&'t Pattern>)>,
    /// Rules of the URL that is asked for.
    urls: Vec<usize>,
    copy: u32,
    seconds: i64,
    /// What was made different: where, from what, into what.
    varied: RefCell<Vec<(Place, String, String)>>,
}

impl Touching<'_> {
    /// The rules that name a place.
    fn covering<'s>(&'s self, at: &'s Trail<'_>) -> impl Iterator<Item = usize> + 's {
        let covers = |place: &Option<&Pattern>| place.is_some_and(|place| place.covers(at));
        self.rules.iter().filter(move |(_, place)| covers(place)).map(|(number, _)| *number)
    }

    /// The rules that name none.
    fn anywhere(&self) -> impl Iterator<Item = usize> + '_ {
        self.rules.iter().filter(|(_, place)| place.is_none()).map(|(number, _)| *number)
    }

    /// The URL that a request is to ask for instead of `asked_for`, and the rule that says so.
    fn url_of(&self, request: &Request, asked_for: &[u8]) -> Option<(usize, ResignedUrl)> {
        let asked_for = std::str::from_utf8(asked_for).ok().filter(|_| !self.urls.is_empty())?;
        // An absolute target keeps its origin.
        let (path, _) = target::path_and_query(asked_for.as_bytes());
        let from = path.as_ptr() as usize - asked_for.as_ptr() as usize;
        let from = from.min(asked_for.len());
        let host = target::host(request).and_then(|host| std::str::from_utf8(host).ok());
        let asked = SignedRequest {
            method: std::str::from_utf8(&request.method).ok()?,
            host: host.unwrap_or_default(),
            target: &asked_for[from..],
            headers: &request.headers,
            body: (!request.body.is_cut()).then_some(&request.body.bytes[..]),
        };
        self.urls.iter().find_map(|&number| {
            let (rule, key) = self.touches.signed(number)?;
            let made = key.url(&rule.url, &asked, self.seconds)?;
            let target = format!("{}{}", &asked_for[..from], made.target);
            Some((number, ResignedUrl { target, ..made }))
        })
    }

    /// Signs the URL that a request asks for, as `changes` leave the rest of it: not where
    /// `is_bound` says that a flow gives the parameter that holds its signature.
    pub fn sign(&self, request: &Request, changes: &mut Changes, is_bound: impl Fn(&str) -> bool) {
        if self.urls.is_empty() {
            return;
        }
        let before = changes.target.as_deref().unwrap_or(&request.target);
        let changed = Request {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: changes.fields(&request.headers),
            body: match &changes.body {
                Some(bytes) => Body::whole(bytes.clone()),
                None => request.body.clone(),
            },
            ..Request::default()
        };
        if let Some((_, made)) = self.url_of(&changed, before)
            && made.target.as_bytes() != before
            && !is_bound(&made.signature)
        {
            changes.target = Some(made.target.into_bytes());
        }
    }

    /// What was made different in this copy: where, from what, into what.
    pub fn varied(self) -> Vec<(Place, String, String)> {
        self.varied.into_inner()
    }

    fn made(&self, number: usize, at: &Trail<'_>, text: &str, form: Form) -> Option<String> {
        let Touches { supply, vary, sign, .. } = self.touches;
        if let Some((_, values)) = supply.get(number) {
            return values.get(text).cloned();
        }
        let number = number - supply.len();
        if number < vary.len() {
            let varied = (self.copy > 1).then(|| varied(text, self.copy, form))?;
            let known = (at.place(), text.to_owned(), varied.clone());
            self.varied.borrow_mut().push(known);
            return Some(varied);
        }
        let (rule, key) = &sign[number - vary.len()];
        match rule.kind {
            SignKind::Jwt => key.jwt(text, self.seconds),
            SignKind::Url => key.url_in(&rule.url, text, self.seconds),
        }
    }
}

impl Retouch for Touching<'_> {
    fn retouch(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        let numbers: Vec<usize> = self.covering(at).chain(self.anywhere()).collect();
        numbers.into_iter().find_map(|number| self.made(number, at, value.text, value.form))
    }

    fn is_whole(&self, at: &Trail<'_>, text: &str) -> bool {
        let is_token = || text.starts_with("ey") && text.matches('.').count() == 2;
        (self.anywhere().next().is_some() && is_token()) || self.covering(at).next().is_some()
    }
}

/// A name that a client chose, for one copy: `ann-2`, `ann-2@shop.example`, `72` for a number.
fn varied(text: &str, copy: u32, form: Form) -> String {
    if form == Form::Bare {
        return format!("{text}{copy}");
    }
    match text.split_once('@') {
        Some((name, host)) => format!("{name}-{copy}@{host}"),
        None => format!("{text}-{copy}"),
    }
}

/// Who sends a request, as far as it says so: the user of Basic credentials, else a field that is
/// named like one, also in a token's claims.
pub fn user_of(request: &Request, call: Call) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    let mut visit = Reader(|at: &Trail<'_>, value: Value<'_>| {
        let Some(name) = at.name() else { return };
        let text = value.text.trim();
        let (rank, text) = match name.to_ascii_lowercase().as_str() {
            "authorization" if is_basic(request) => {
                (0, text.split_once(':').map_or(text, |(user, _)| user))
            }
            name => match USERS.iter().position(|user| *user == name) {
                Some(rank) => (rank + 1, text),
                None => return,
            },
        };
        if !text.is_empty() && best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, text.to_owned()));
        }
    });
    Walk::new(&mut visit, Bounds::default()).of(call).request(request);
    best.map(|(_, user)| user)
}

fn is_basic(request: &Request) -> bool {
    let field = request.headers.get("authorization").unwrap_or_default();
    fields::credentials(field).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::fill::put::put;
    use crate::message::Body;

    fn request(target: &str, fields: &[(&str, &str)], body: &str) -> Request {
        Request {
            method: "POST".into(),
            target: target.to_owned().into(),
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            body: Body::whole(body.as_bytes().to_vec()),
            ..Request::default()
        }
    }

    fn touches(text: &str, supplied: &[(&str, &str)]) -> Touches {
        let section: FlowSection = toml::from_str(text).unwrap();
        let pairs = supplied.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        let pairs: FxHashMap<String, String> = pairs.collect();
        Touches::new(&section, |_| SigningKey::read(b"k"), |_| Ok(pairs.clone())).unwrap()
    }

    fn body(touches: &Touches, request: &Request, copy: u32) -> String {
        let mut touching = touches.of(request, copy, 0).unwrap();
        let changes = put(request, Call::default(), &[], &mut touching).changes;
        String::from_utf8(changes.body.unwrap_or_default()).unwrap()
    }

    #[test]
    fn names_are_other_ones_in_each_copy() {
        let rule = "[[vary]]\nplace = \"POST /accounts $.name\"\n[[vary]]\nplace = \"$.mail\"";
        let touches = touches(rule, &[]);
        let asked = request("/accounts", &[], r#"{"name":"ann","mail":"a@b.c","n":1}"#);
        assert_eq!(body(&touches, &asked, 3), r#"{"name":"ann-3","mail":"a-3@b.c","n":1}"#);
        assert_eq!(body(&touches, &asked, 1), "", "the first is as it was");
        assert!(touches.look(&asked).is_empty() && touches.unmatched().is_empty());
    }

    #[test]
    fn what_is_recorded_is_supplied_from_elsewhere() {
        let rule =
            "[[supply]]\nplace = \"form:password\"\ncommand = \"x\"\n[[vary]]\nplace = \"form:x\"";
        let touches = touches(rule, &[("redacted-1", "real & true")]);
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let asked = request("/login", &form, "email=a%40b&password=redacted-1&k=");
        assert_eq!(body(&touches, &asked, 1), "email=a%40b&password=real+%26+true&k=");
        let wanted = touches.look(&asked);
        let expected =
            Wanted { rule: 0, recorded: "redacted-1".to_owned(), user: Some("a@b".to_owned()) };
        assert_eq!(wanted, [expected]);
        assert!(touches.has(&wanted[0]));
        assert_eq!(touches.unmatched(), ["[[flow.vary]] form:x"]);
    }

    #[test]
    fn urls_are_signed_as_they_will_be_asked_for() {
        let rule = "[[sign]]\nkind = \"url\"\nkey = \"env:K\"\nroute = \"POST /files/{id}\"\n\
                    [[sign]]\nkind = \"url\"\nkey = \"env:K\"\nplace = \"$.next\"";
        let touches = touches(rule, &[]);
        let (old, new) =
            ("11".repeat(32), "627404233339d18c9b857a103e01f147fcb2b5c0bf6b4a1c5917032faa18cfed");
        let url = |id: u8, expires: u64, code: &str| {
            format!("/files/{id}?user=a&expires={expires}&signature={code}")
        };
        let recorded = url(1, 1_795_003_600, &old);
        let asked = request(&recorded, &[], &format!(r#"{{"next":"http://a{recorded}"}}"#));
        assert!(touches.look(&asked).is_empty() && touches.unmatched().is_empty());
        let mut touching = touches.of(&asked, 1, 1_000).unwrap();
        let place: Place = "path[2]".parse().unwrap();
        let puts = [crate::bind::fill::put::Put { place: &place, range: None, old: "1", new: "7" }];
        let mut changes = put(&asked, Call::default(), &puts, &mut touching).changes;
        touching.sign(&asked, &mut changes, |_| false);
        // With what v2 called the file, an hour later than v1's would have ended.
        let expected = url(7, 1_795_004_600, new);
        assert_eq!(changes.target.as_deref(), Some(expected.as_bytes()));
        let body = String::from_utf8(changes.body.clone().unwrap()).unwrap();
        assert!(
            body.starts_with(r#"{"next":"http://a/files/1?user=a&expires=1795004600&"#),
            "{body}"
        );
        let mut changes = put(&asked, Call::default(), &puts, &mut touching).changes;
        touching.sign(&asked, &mut changes, |name| name == "signature");
        assert_eq!(changes.target.as_deref(), Some(url(7, 1_795_003_600, &old).as_bytes()));
        let other = request("/other?expires=1795003600&signature=00", &[], "");
        assert_eq!(touches.of(&other, 1, 0).unwrap().urls.len(), 0);
    }

    #[test]
    fn tokens_are_signed_wherever_they_are() {
        let touches = touches("[[sign]]\nkind = \"jwt\"\nkey = \"env:K\"", &[]);
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxMDB9.c2ln";
        let asked = request("/", &[("Authorization", &format!("Bearer {token}"))], "");
        touches.look(&asked);
        assert!(touches.unmatched().is_empty());
        let mut touching = touches.of(&asked, 1, 900).unwrap();
        let changes = put(&asked, Call::default(), &[], &mut touching).changes;
        let value = String::from_utf8(changes.fields[0].1.clone().unwrap()).unwrap();
        let new = value.strip_prefix("Bearer ").unwrap();
        assert_eq!(Some(new), SigningKey::read(b"k").unwrap().jwt(token, 900).as_deref());
        assert_eq!(user_of(&asked, Call::default()).as_deref(), Some("a"));
        let basic = request("/", &[("Authorization", "Basic YW5uOnNlY3JldA==")], "");
        assert_eq!(user_of(&basic, Call::default()).as_deref(), Some("ann"));
    }
}
