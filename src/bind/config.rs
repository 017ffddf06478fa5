//! `[flow]` of `shadowtap.toml`: how sure a flow must be to be bound, and what people know of
//! values that the recording does not tell.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::message::Request;
use crate::message::place::{Pattern, Trail};
use crate::record::flows::FlowEvidence;
use crate::route::{self, rpc};

/// How sure a flow must be to be bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bind {
    /// Only flows that leave no doubt.
    #[default]
    Sure,
    /// Also those of a single weak value.
    Likely,
    /// None: requests go as they were recorded.
    Off,
}

impl Bind {
    /// Whether flows of this class are bound.
    pub const fn takes(self, class: FlowEvidence) -> bool {
        match self {
            Self::Sure => matches!(class, FlowEvidence::Sure),
            Self::Likely => matches!(class, FlowEvidence::Sure | FlowEvidence::Likely),
            Self::Off => false,
        }
    }
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sure" => Ok(Self::Sure),
            "likely" => Ok(Self::Likely),
            "off" => Ok(Self::Off),
            _ => Err(format!("{text:?} is none of sure, likely and off")),
        }
    }
}

/// The section.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowSection {
    /// How sure a flow must be to be bound.
    pub bind: BindKey,
    /// The largest share of the requests that may use values which could not be bound: 0 to 1.
    #[serde(deserialize_with = "share")]
    pub max_unbound_rate: f64,
    /// Flows that are none by their look; written `[[flow.bind]]`.
    #[serde(rename = "bind_rule")]
    pub rules: Vec<BindRule>,
    /// Places whose values are never bound.
    pub never: Vec<NeverRule>,
    /// Values that come from elsewhere: sessions older than the capture, redacted passwords.
    pub supply: Vec<SupplyRule>,
    /// Names that clients choose and that collide in copies and loops.
    pub vary: Vec<VaryRule>,
    /// What is signed anew.
    pub sign: Vec<SignRule>,
}

impl Default for FlowSection {
    fn default() -> Self {
        Self {
            bind: BindKey::default(),
            max_unbound_rate: 0.05,
            rules: Vec::new(),
            never: Vec::new(),
            supply: Vec::new(),
            vary: Vec::new(),
            sign: Vec::new(),
        }
    }
}

impl FlowSection {
    /// How sure a flow must be to be bound, where no flag says otherwise.
    pub fn level(&self) -> Bind {
        self.bind.level.unwrap_or_default()
    }

    /// The rules of `[[flow.bind]]`, in either spelling.
    pub fn bind_rules(&self) -> impl Iterator<Item = &BindRule> {
        self.bind.rules.iter().chain(&self.rules)
    }
}

/// The key `bind`, which is a class where it is a text, and rules where it is a list of tables.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(with = "EitherBind")]
pub struct BindKey {
    level: Option<Bind>,
    rules: Vec<BindRule>,
}

/// How the key may be written, for the schema.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema is all of it")]
enum EitherBind {
    Level(Bind),
    Rules(Vec<BindRule>),
}

impl<'de> Deserialize<'de> for BindKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = BindKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"sure\", \"likely\", \"off\" or [[flow.bind]] tables")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BindKey, E> {
                let level = text.parse().map_err(E::custom)?;
                Ok(BindKey { level: Some(level), rules: Vec::new() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<BindKey, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = tables.next_element()? {
                    rules.push(rule);
                }
                Ok(BindKey { level: None, rules })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(de::Error::custom(format!("max_unbound_rate is a share from 0 to 1, not {value}")))
}

/// A flow that people know.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindRule {
    /// Where its values are born.
    pub from: FlowSpot,
    /// Where they are used; wherever they are said where left out.
    #[serde(default)]
    pub to: Option<FlowSpot>,
}

impl fmt::Display for BindRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[flow.bind]] from {}", self.from)?;
        self.to.as_ref().map_or(Ok(()), |to| write!(f, " to {to}"))
    }
}

/// Values that are never bound.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "NeverKeys")]
#[schemars(with = "NeverKeys")]
pub struct NeverRule {
    /// Where they are born or used.
    pub at: FlowSpot,
    /// The name of the field that they stand in.
    pub name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NeverKeys {
    route: Option<RouteIs>,
    place: Option<PlaceIs>,
    name: Option<String>,
}

impl TryFrom<NeverKeys> for NeverRule {
    type Error = String;

    fn try_from(keys: NeverKeys) -> Result<Self, String> {
        let NeverKeys { route, place, name } = keys;
        if route.is_none() && place.is_none() && name.is_none() {
            return Err("[[flow.never]] needs a route, a place or a name".to_owned());
        }
        Ok(Self { at: FlowSpot::new(route, place), name })
    }
}

impl NeverRule {
    /// Whether it is of values at this place.
    pub fn covers(&self, at: &Trail<'_>) -> bool {
        let named = |name: &String| at.name().is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.at.place.as_ref().is_none_or(|place| place.covers(at))
            && self.name.as_ref().is_none_or(named)
    }
}

impl fmt::Display for NeverRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[flow.never]] {}", self.at)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " name {name}"))
    }
}

/// Values that a command or a file gives.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "SupplyKeys")]
#[schemars(with = "SupplyKeys")]
pub struct SupplyRule {
    /// Where they stand in requests.
    pub at: FlowSpot,
    /// What gives them.
    pub by: Supplier,
}

/// What gives values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supplier {
    /// A command, for the shell; what it prints is the value.
    Command(String),
    /// A CSV file of recorded and supplied values.
    File(PathBuf),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SupplyKeys {
    route: Option<RouteIs>,
    place: PlaceIs,
    command: Option<String>,
    file: Option<PathBuf>,
}

impl TryFrom<SupplyKeys> for SupplyRule {
    type Error = String;

    fn try_from(keys: SupplyKeys) -> Result<Self, String> {
        let by = match (keys.command, keys.file) {
            (Some(command), None) => Supplier::Command(command),
            (None, Some(file)) => Supplier::File(file),
            _ => return Err("[[flow.supply]] needs either a command or a file".to_owned()),
        };
        Ok(Self { at: FlowSpot::new(keys.route, Some(keys.place)), by })
    }
}

impl fmt::Display for SupplyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[flow.supply]] {}", self.at)
    }
}

/// A name that clients choose.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "VaryKeys")]
#[schemars(with = "VaryKeys")]
pub struct VaryRule {
    /// Where it stands in requests.
    pub at: FlowSpot,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VaryKeys {
    route: Option<RouteIs>,
    place: PlaceIs,
}

impl TryFrom<VaryKeys> for VaryRule {
    type Error = String;

    fn try_from(keys: VaryKeys) -> Result<Self, String> {
        Ok(Self { at: FlowSpot::new(keys.route, Some(keys.place)) })
    }
}

impl fmt::Display for VaryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[flow.vary]] {}", self.at)
    }
}

/// What is signed anew, and with what.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "SignKeys")]
#[schemars(with = "SignKeys")]
pub struct SignRule {
    /// What it is.
    pub kind: SignKind,
    /// Where the key is: `env:NAME` or `file:PATH`.
    pub key: KeySource,
    /// Where it stands in requests; wherever one is where left out.
    pub at: Option<FlowSpot>,
    /// How URLs are signed, as far as their parameters do not say.
    pub url: UrlRecipe,
}

/// How a URL is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlRecipe {
    /// The parameter that holds the signature.
    pub signature: Option<String>,
    /// The parameter that says until when the URL may be used.
    pub expires: Option<String>,
    /// What is signed: a text with `{method}`, `{host}`, `{path}`, `{query}` (without the
    /// signature) and `{query:NAME}`.
    pub signs: Option<String>,
    /// The name of the key, which takes the place of v1's.
    pub key_id: Option<String>,
}

/// What can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignKind {
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A URL with an expiry and a signature among its parameters.
    Url,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In this variable of the environment.
    Variable(String),
    /// In this file.
    File(PathBuf),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignKeys {
    kind: SignKind,
    key: String,
    route: Option<RouteIs>,
    place: Option<PlaceIs>,
    signature: Option<String>,
    expires: Option<String>,
    signs: Option<String>,
    key_id: Option<String>,
}

impl TryFrom<SignKeys> for SignRule {
    type Error = String;

    fn try_from(keys: SignKeys) -> Result<Self, String> {
        let key = match keys.key.split_once(':') {
            Some(("env", name)) if !name.is_empty() => KeySource::Variable(name.to_owned()),
            Some(("file", path)) if !path.is_empty() => KeySource::File(path.into()),
            _ => return Err("a key is not written here: name it by env:NAME or file:PATH".into()),
        };
        let anywhere = keys.route.is_none() && keys.place.is_none();
        let at = (!anywhere).then(|| FlowSpot::new(keys.route, keys.place));
        let SignKeys { signature, expires, signs, key_id, .. } = keys;
        let url = UrlRecipe { signature, expires, signs, key_id };
        if keys.kind != SignKind::Url && url != UrlRecipe::default() {
            let own = "signature, expires, signs and key_id are of kind = \"url\"";
            return Err(format!("[[flow.sign]]: {own}"));
        }
        if let Some(unknown) = url.signs.as_deref().and_then(unknown_part) {
            return Err(format!(
                "[[flow.sign]] signs: {unknown:?} is none of {{method}}, {{host}}, {{path}}, \
                 {{query}} and {{query:NAME}}"
            ));
        }
        Ok(Self { kind: keys.kind, key, at, url })
    }
}

/// The first part in braces of what is signed that means nothing.
fn unknown_part(signs: &str) -> Option<&str> {
    signs.split('{').skip(1).map(|rest| rest.split_once('}').map_or(rest, |(name, _)| name)).find(
        |name| {
            !matches!(*name, "method" | "host" | "path" | "query")
                && name.strip_prefix("query:").is_none_or(str::is_empty)
        },
    )
}

impl fmt::Display for SignRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SignKind::Jwt => "jwt",
            SignKind::Url => "url",
        };
        write!(f, "[[flow.sign]] {kind}")?;
        self.at.as_ref().map_or(Ok(()), |at| write!(f, " {at}"))
    }
}

/// A route and a place: of all routes where the first is left out, all places where the second is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "SpotKeys")]
#[schemars(with = "SpotKeys")]
pub struct FlowSpot {
    /// Which requests.
    pub route: Option<RouteIs>,
    /// Where in them, or in their answers.
    pub place: Option<Pattern>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpotKeys {
    route: Option<RouteIs>,
    place: Option<PlaceIs>,
}

impl TryFrom<SpotKeys> for FlowSpot {
    type Error = String;

    fn try_from(keys: SpotKeys) -> Result<Self, String> {
        if keys.route.is_none() && keys.place.is_none() {
            return Err("a route or a place is needed".to_owned());
        }
        Ok(Self::new(keys.route, keys.place))
    }
}

impl FlowSpot {
    /// A place that begins with a route (`POST /accounts $.name`) is of that one.
    fn new(route: Option<RouteIs>, place: Option<PlaceIs>) -> Self {
        let (own, place) = place.map_or((None, None), |place| (place.route, Some(place.pattern)));
        Self { route: route.or(own), place }
    }

    /// Whether a request is of the route.
    pub fn takes(&self, request: &Request) -> bool {
        self.route.as_ref().is_none_or(|route| route.is_of(request))
    }

    /// Whether a value stands at the place.
    pub fn covers(&self, at: &Trail<'_>) -> bool {
        self.place.as_ref().is_none_or(|place| place.covers(at))
    }
}

impl fmt::Display for FlowSpot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.route, &self.place) {
            (Some(route), Some(place)) => write!(f, "{route} {place}"),
            (Some(route), None) => write!(f, "{route}"),
            (None, Some(place)) => write!(f, "{place}"),
            (None, None) => f.write_str("everywhere"),
        }
    }
}

/// A route as reports name it: `GET /orders/{id}`, `POST / DynamoDB_20120810.GetItem`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct RouteIs {
    text: String,
    pattern: route::RoutePattern,
    operation: Option<String>,
}

impl RouteIs {
    /// Whether it is the route of a request.
    pub fn is_of(&self, request: &Request) -> bool {
        let method = String::from_utf8_lossy(&request.method);
        self.pattern.matches(&method, &request.target)
            && (self.operation.is_none() || rpc::operation(request) == self.operation)
    }
}

impl TryFrom<String> for RouteIs {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut words = text.trim().splitn(3, ' ');
        let path = [words.next(), words.next()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let operation = words.next().map(|rest| rest.trim().to_owned());
        let pattern = path.parse()?;
        Ok(Self { text, pattern, operation: operation.filter(|name| !name.is_empty()) })
    }
}

impl fmt::Display for RouteIs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A place, perhaps behind a route.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct PlaceIs {
    route: Option<RouteIs>,
    pattern: Pattern,
}

impl TryFrom<String> for PlaceIs {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut words = text.trim().splitn(3, ' ');
        if let (Some(method), Some(path), Some(place)) = (words.next(), words.next(), words.next())
            && path.starts_with('/')
            && (method == "*" || method.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            let route = RouteIs::try_from(format!("{method} {path}"))?;
            return Ok(Self { route: Some(route), pattern: place.parse()? });
        }
        Ok(Self { route: None, pattern: text.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<FlowSection, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn every_rule_is_read() {
        let read = section(
            r#"
            bind = "likely"
            max_unbound_rate = 0.1
            [[bind_rule]]
            from = { route = "POST /login", place = "$.token" }
            to = { route = "GET /me", place = "header:authorization" }
            [[never]]
            route = "GET /items/{id}"
            place = "$.version"
            [[never]]
            name = "version"
            [[supply]]
            place = "cookie:session"
            command = "./login.sh {user}"
            [[supply]]
            place = "form:password"
            file = "values.csv"
            [[vary]]
            place = "POST /accounts $.name"
            [[sign]]
            kind = "jwt"
            key = "env:STAGING_SIGNING_KEY"
            [[sign]]
            kind = "url"
            key = "file:url.key"
            route = "GET /files/{id}"
            signature = "sig"
            expires = "until"
            signs = "{method} https://{host}{path}?{query}{query:until}"
            "#,
        )
        .expect("all of it is known");
        assert_eq!((read.level(), read.max_unbound_rate), (Bind::Likely, 0.1));
        assert_eq!(read.bind_rules().count(), 1);
        assert_eq!(read.vary[0].at.route.as_ref().map(|r| r.text.as_str()), Some("POST /accounts"));
        assert_eq!(read.vary[0].at.place.as_ref().map(Pattern::text), Some("$.name"));
        assert_eq!(read.supply[1].by, Supplier::File("values.csv".into()));
        assert_eq!(read.sign[0].key, KeySource::Variable("STAGING_SIGNING_KEY".into()));
        assert_eq!(read.sign[1].url.signature.as_deref(), Some("sig"));
        assert_eq!(read.sign[1].to_string(), "[[flow.sign]] url GET /files/{id}");
        let shown = read.bind_rules().next().map(ToString::to_string);
        assert_eq!(
            shown.as_deref(),
            Some("[[flow.bind]] from POST /login $.token to GET /me header:authorization")
        );
    }

    #[test]
    fn bind_is_a_class_or_rules() {
        let rules = section("[[bind]]\nfrom = { place = \"$.token\" }\n").expect("rules");
        assert_eq!((rules.level(), rules.bind_rules().count()), (Bind::Sure, 1));
        assert_eq!(section("bind = \"off\"").map(|read| read.level()), Ok(Bind::Off));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("bind = \"maybe\"", "none of sure, likely and off"),
            ("max_unbound_rate = 5", "a share from 0 to 1"),
            ("max_unbound = 0.5", "unknown field `max_unbound`"),
            ("[[never]]\n", "needs a route, a place or a name"),
            ("[[never]]\nroute = \"items\"", "is not a route"),
            ("[[supply]]\nplace = \"cookie:s\"", "either a command or a file"),
            ("[[sign]]\nkind = \"jwt\"\nkey = \"s3cret\"", "env:NAME or file:PATH"),
            ("[[sign]]\nkind = \"jwt\"\nkey = \"env:K\"\nsigns = \"x\"", "are of kind = \"url\""),
            ("[[sign]]\nkind = \"url\"\nkey = \"env:K\"\nsigns = \"{url}\"", "\"url\" is none of"),
            ("[[vary]]\nplace = \"$$\"", "is no place"),
            ("[[bind_rule]]\nfrom = {}", "a route or a place is needed"),
        ] {
            let error = section(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn routes_are_told_with_their_operation() {
        let of = |text: &str| RouteIs::try_from(text.to_owned()).expect("a route");
        let request = Request {
            method: "POST".to_owned().into(),
            target: "/".to_owned().into(),
            headers: [(&b"X-Amz-Target"[..], &b"DynamoDB_20120810.GetItem"[..])]
                .into_iter()
                .collect(),
            ..Request::default()
        };
        assert!(of("POST / DynamoDB_20120810.GetItem").is_of(&request));
        assert!(!of("POST / DynamoDB_20120810.PutItem").is_of(&request));
        assert!(of("POST /").is_of(&request));
    }
}
