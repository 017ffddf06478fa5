//! Values of requests that no flow gives: supplied from elsewhere (`[[flow.supply]]`), made
//! different in each copy (`[[flow.vary]]`), signed anew (`[[flow.sign]]`).
//!
//! A value that a flow binds is left to the flow.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHashMap;

use super::put::Retouch;
use super::sign::SigningKey;
use crate::bind::config::{FlowSection, FlowSpot, SignRule, SupplyRule, VaryRule};
use crate::message::Request;
use crate::message::document::{Bounds, Form, Reader, Value, Walk};
use crate::message::fields;
use crate::message::place::{Place, Trail};

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
        Ok(Self { supply, vary: section.vary.clone(), sign, matched })
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
            let first = self.supply.len() + self.vary.len();
            for (number, (rule, key)) in self.sign.iter().enumerate() {
                if rule.at.is_none() && key.jwt(value.text, 0).is_some() {
                    self.matched[first + number].store(true, Ordering::Relaxed);
                }
            }
        });
        struct WholeTouch<'r, F>(&'r mut Reader<F>, &'r Touching<'r>);
        impl<F: FnMut(&Trail<'_>, Value<'_>)> crate::message::document::Visit for WholeTouch<'_, F> {
            fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
                (self.0.0)(at, value);
                None
            }

            fn inside(&mut self, at: &Trail<'_>, value: Value<'_>) -> bool {
                !self.1.is_whole(at, value.text)
            }
        }
        Walk::new(&mut WholeTouch(&mut visit, &touching), Bounds::default()).request(request);
        let user = user_of(request).filter(|_| !wanted.is_empty());
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
        let rules: Vec<(usize, Option<&FlowSpot>)> = spots
            .enumerate()
            .filter(|(_, spot)| spot.is_none_or(|spot| spot.takes(request)))
            .collect();
        let varied = RefCell::default();
        (!rules.is_empty()).then_some(Touching { touches: self, rules, copy, seconds, varied })
    }
}

/// What is done to one request.
#[derive(Debug)]
pub struct Touching<'t> {
    touches: &'t Touches,
    rules: Vec<(usize, Option<&'t FlowSpot>)>,
    copy: u32,
    seconds: i64,
    /// What was made different: where, from what, into what.
    varied: RefCell<Vec<(Place, String, String)>>,
}

impl Touching<'_> {
    /// The rules that name a place.
    fn covering<'s>(&'s self, at: &'s Trail<'_>) -> impl Iterator<Item = usize> + 's {
        let covers = |spot: &Option<&FlowSpot>| spot.is_some_and(|spot| spot.covers(at));
        self.rules.iter().filter(move |(_, spot)| covers(spot)).map(|(number, _)| *number)
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
        sign[number - vary.len()].1.jwt(text, self.seconds)
    }
}

impl Retouch for Touching<'_> {
    fn retouch(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        let anywhere = self.rules.iter().filter(|(_, spot)| spot.is_none()).map(|rule| rule.0);
        let numbers: Vec<usize> = self.covering(at).chain(anywhere).collect();
        numbers.into_iter().find_map(|number| self.made(number, at, value.text, value.form))
    }

    fn is_whole(&self, at: &Trail<'_>, text: &str) -> bool {
        let is_token = || text.starts_with("ey") && text.matches('.').count() == 2;
        let anywhere = self.rules.iter().any(|(_, spot)| spot.is_none());
        (anywhere && is_token()) || self.covering(at).next().is_some()
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
pub fn user_of(request: &Request) -> Option<String> {
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
    Walk::new(&mut visit, Bounds::default()).request(request);
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
        let changes = put(request, &[], &mut touching).changes;
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
    fn tokens_are_signed_wherever_they_are() {
        let touches = touches("[[sign]]\nkind = \"jwt\"\nkey = \"env:K\"", &[]);
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxMDB9.c2ln";
        let asked = request("/", &[("Authorization", &format!("Bearer {token}"))], "");
        touches.look(&asked);
        assert!(touches.unmatched().is_empty());
        let mut touching = touches.of(&asked, 1, 900).unwrap();
        let changes = put(&asked, &[], &mut touching).changes;
        let value = String::from_utf8(changes.fields[0].1.clone().unwrap()).unwrap();
        let new = value.strip_prefix("Bearer ").unwrap();
        assert_eq!(Some(new), SigningKey::read(b"k").unwrap().jwt(token, 900).as_deref());
        assert_eq!(user_of(&asked).as_deref(), Some("a"));
        let basic = request("/", &[("Authorization", "Basic YW5uOnNlY3JldA==")], "");
        assert_eq!(user_of(&basic).as_deref(), Some("ann"));
    }
}
