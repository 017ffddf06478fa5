//! Which headers, fields and query parameters hold a secret, by their name.
//!
//! A name is cut into words (`apiKey`, `api-key`, `API_KEY` are the same two words), so that
//! `max_tokens` or `token_type` are told from `access_token`.

use std::cell::RefCell;
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

/// Words that make a name secret wherever they stand in it, unless its last word is one of
/// [`HARMLESS_ENDS`].
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "apikeys",
    "auth",
    "authorization",
    "bearer",
    "contrasena",
    "contraseña",
    "credential",
    "credentials",
    "creds",
    "csrf",
    "cvc",
    "cvv",
    "hmac",
    "iban",
    "jwt",
    "kennwort",
    "otp",
    "passcode",
    "passcodes",
    "passphrase",
    "passphrases",
    "passwd",
    "password",
    "passwords",
    "passwort",
    "pwd",
    "secret",
    "secrets",
    "senha",
    "sessionid",
    "sig",
    "ssn",
    "token",
    "totp",
    "wachtwoord",
    "xsrf",
    "пароль",
    "密码",
    "adgangskode",
    "cred",
    "haslo",
    "hasło",
    "jelszó",
    "lösenord",
    "psw",
    "pswd",
    "pw",
    "salasana",
    "şifre",
    "パスワード",
    "비밀번호",
    "密碼",
    "geslo",
    "lozinka",
    "passord",
    "कूटशब्द",
    "סיסמה",
    "รหัสผ่าน",
];

/// What a secret's name ends with where its words are run together: `accesstoken`, `newpassword`,
/// `jsessionid`.
const SECRET_ENDS: &[&str] = &[
    "apikey",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "sessionid",
    "token",
    "пароль",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
];

/// Whole names that are secret although their words are common.
const SECRET_NAMES: &[&str] = &[
    "accesskey",
    "aspsessionid",
    "assertion",
    "authentication",
    "authkey",
    "ccnumber",
    "clientassertion",
    "codeverifier",
    "connectsid",
    "devicecode",
    "dpop",
    "encryptionkey",
    "licensekey",
    "mnemonic",
    "confirmpass",
    "motdepasse",
    "newpass",
    "oldpass",
    "oauthverifier",
    "oobcode",
    "pan",
    "pass",
    "phpsessid",
    "pin",
    "samlresponse",
    "securitycode",
    "sessid",
    "signingkey",
    "subscriptionkey",
    "userpass",
    "xamzsecuritytoken",
    "cfturnstileresponse",
    "formkey",
    "grecaptcharesponse",
    "hcaptcharesponse",
    "privkey",
    "psk",
    "requirepass",
    "samlart",
    "samlrequest",
    "sess",
    "skey",
    "tfa",
    "wpnonce",
    "wresult",
];

/// Words that name a password in one language and something else in the same or another one: a
/// word in Italian, an entry in Czech, a key in Spanish, a code in Greek, a cipher in Japanese.
const AMBIGUOUS_WORDS: &[&str] = &["clave", "heslo", "parola", "parole", "κωδικός", "暗号"];
/// Abbreviations that are as ambiguous where they are the whole name.
const AMBIGUOUS_NAMES: &[&str] = &["cred", "pw"];

/// Words that name what machines make: a plain word, a sentence or a small number there says
/// something else (`"session": "morning"`).
const MADE_WORDS: &[&str] = &["cookie", "session", "sid", "signature"];

/// Two words in a row that make a name secret wherever they stand in it.
const SECRET_PAIRS: &[[&str; 2]] = &[
    ["access", "code"],
    ["access", "tokens"],
    ["activation", "code"],
    ["api", "tokens"],
    ["auth", "code"],
    ["authorization", "code"],
    ["backup", "codes"],
    ["card", "number"],
    ["card", "no"],
    ["card", "pan"],
    ["card", "pin"],
    ["connection", "string"],
    ["credit", "card"],
    ["db", "pass"],
    ["debit", "card"],
    ["ftp", "pass"],
    ["mail", "pass"],
    ["redis", "pass"],
    ["root", "pass"],
    ["smtp", "pass"],
    ["factor", "code"],
    ["invite", "code"],
    ["login", "code"],
    ["mfa", "code"],
    ["time", "code"],
    ["pin", "code"],
    ["protection", "bypass"],
    ["recovery", "code"],
    ["recovery", "codes"],
    ["recovery", "phrase"],
    ["refresh", "tokens"],
    ["reset", "code"],
    ["security", "answer"],
    ["seed", "phrase"],
    ["sms", "code"],
    ["social", "security"],
    ["user", "pass"],
    ["user", "pin"],
    ["verification", "code"],
    ["2fa", "code"],
    ["كلمة", "المرور"],
    ["login", "pin"],
    ["pass", "phrase"],
    ["pass", "word"],
];

/// Pairs of words that name a key to something.
const KEY_KINDS: &[&str] = &[
    "access",
    "account",
    "admin",
    "api",
    "app",
    "application",
    "auth",
    "client",
    "deploy",
    "encrypt",
    "encryption",
    "fastly",
    "function",
    "insert",
    "license",
    "master",
    "private",
    "rapidapi",
    "shared",
    "signing",
    "storage",
    "subscription",
    "webhook",
    "activation",
    "priv",
    "serial",
    "ssh",
];

/// Parameters that let in who has them, or tie the answer to a login to its request, where their
/// value looks drawn at random; as a word it says something else.
const DRAWN_PARAMETERS: &[&str] = &[
    "ct", "hdnea", "hdntl", "hdnts", "nonce", "policy", "rlkey", "sas", "st", "state", "tk",
    "txsecret", "wssecret",
];

/// Last words of names whose value lets in who has it, or ties one message to another, where it
/// looks drawn at random; as a number or a word it says something else (`max_tokens`).
const DRAWN_ENDS: &[&str] = &["challenge", "nonce", "seed", "ticket", "tokens"];

/// First words of headers whose `key` names something and opens nothing.
const NAMING_KEYS: &[&str] = &[
    "cache",
    "correlation",
    "dedup",
    "deduplication",
    "foreign",
    "group",
    "hash",
    "idempotency",
    "idempotent",
    "message",
    "object",
    "ordering",
    "partition",
    "primary",
    "public",
    "request",
    "routing",
    "shard",
    "sort",
    "surrogate",
    "trace",
];

/// Last words that say the value is about a secret, not the secret.
const HARMLESS_ENDS: &[&str] = &[
    "age",
    "at",
    "color",
    "consent",
    "count",
    "description",
    "duration",
    "enabled",
    "endpoint",
    "endpoints",
    "exp",
    "expiration",
    "expires",
    "expiry",
    "field",
    "in",
    "kind",
    "label",
    "length",
    "lifetime",
    "limit",
    "method",
    "methods",
    "mode",
    "name",
    "path",
    "policy",
    "provider",
    "required",
    "state",
    "status",
    "strength",
    "supported",
    "time",
    "timeout",
    "title",
    "ttl",
    "type",
    "uri",
    "url",
    "usage",
    "used",
    "valid",
    "version",
];

/// First words that ask whether there is a secret: `has_password`.
const ASKING: [&str; 4] = ["has", "is", "needs", "requires"];

/// Members whose value is the name of what another member holds.
const NAMING: [&str; 14] = [
    "name",
    "attribute",
    "fieldname",
    "key",
    "field",
    "id",
    "k",
    "n",
    "param",
    "parameter",
    "property",
    "header",
    "variable",
    "type",
];
/// Members that hold what another member names.
const NAMED: [&str; 23] = [
    "value",
    "fieldvalue",
    "from",
    "to",
    "new",
    "old",
    "lhs",
    "rhs",
    "val",
    "v",
    "content",
    "data",
    "text",
    "default",
    "newvalue",
    "oldvalue",
    "values",
    "input",
    "actual",
    "received",
    "rejectedvalue",
    "attemptedvalue",
    "submittedvalue",
];
/// Most names that a thread remembers the answer for.
const REMEMBERED: usize = 4 << 10;
/// Longest name that is remembered, in bytes.
const LONGEST_REMEMBERED: usize = 64;

/// What a name says of its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NameSays {
    field: Option<HeaderSecret>,
    header: Option<HeaderSecret>,
    /// The header's values are of a grammar that leaves no room for a secret.
    closed: bool,
}

thread_local! {
    /// Traffic repeats its names: most are cut into words once.
    static ANSWERS: RefCell<FxHashMap<Box<str>, NameSays>> = RefCell::default();
}

fn answer(name: &str) -> NameSays {
    if name.len() > LONGEST_REMEMBERED {
        return NameSays::of(name);
    }
    ANSWERS.with_borrow_mut(|answers| {
        if let Some(&answer) = answers.get(name) {
            return answer;
        }
        if answers.len() >= REMEMBERED {
            answers.clear();
        }
        let answer = NameSays::of(name);
        answers.insert(name.into(), answer);
        answer
    })
}

impl NameSays {
    fn of(name: &str) -> Self {
        let field = secret_by_words(name);
        let closed = CLOSED.iter().any(|known| name.eq_ignore_ascii_case(known));
        Self { field, header: header_of(name, field), closed }
    }
}

/// Whether a JSON or form field of this name holds a secret.
pub fn is_secret_field(name: &str) -> bool {
    answer(name).field.is_some()
}

/// The same of a name as it stands in a content.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(is_secret_field)
}

/// Whether a field of this name holds a secret whatever its value looks like.
pub(super) fn is_always_secret(name: &str) -> bool {
    answer(name).field == Some(HeaderSecret::Whole)
}

/// Whether, and how, a JSON or form field of this name holds a secret: as the header does, where it
/// has a header's name.
pub fn field_secret(name: &str) -> Option<HeaderSecret> {
    let answer = answer(name);
    match answer.header {
        Some(kind) if kind.is_of_headers_alone() => Some(kind),
        _ => answer.field,
    }
}

/// The words of the tables above, to be looked up.
struct WordTables {
    words: FxHashSet<&'static str>,
    names: FxHashSet<&'static str>,
    pairs: FxHashSet<[&'static str; 2]>,
    joined_pairs: FxHashSet<String>,
    keys: FxHashSet<&'static str>,
    harmless: FxHashSet<&'static str>,
}

static TABLES: LazyLock<WordTables> = LazyLock::new(|| WordTables {
    words: SECRET_WORDS.iter().copied().collect(),
    names: SECRET_NAMES.iter().copied().collect(),
    pairs: SECRET_PAIRS.iter().copied().collect(),
    joined_pairs: SECRET_PAIRS.iter().map(|pair| pair.concat()).collect(),
    keys: KEY_KINDS.iter().copied().collect(),
    harmless: HARMLESS_ENDS.iter().copied().collect(),
});

/// How a field is secret by the words of its name.
fn secret_by_words(name: &str) -> Option<HeaderSecret> {
    let tables = &*TABLES;
    let words = Words::of(name);
    let last = words.iter().next_back()?;
    let count = words.iter().count();
    let asks = words.iter().next().is_some_and(|first| ASKING.contains(&first));
    if count > 1 && (asks || tables.harmless.contains(last)) {
        return None;
    }
    let joined = words.joined().trim_end_matches(|c: char| c.is_ascii_digit());
    // `api_key_id`: which one it is, and of some services a part of it.
    if last == "id" && matches!(words.iter().rev().nth(1), Some("key" | "token")) {
        return Some(HeaderSecret::NoWord);
    }
    if count == 1 && AMBIGUOUS_NAMES.contains(&joined) {
        return Some(HeaderSecret::NoWord);
    }
    let is_secret = words.iter().any(|word| is_secret_word(tables, word))
        || words.iter().zip(words.iter().skip(1)).any(|(first, second)| {
            let key = matches!(second, "key" | "keys") && tables.keys.contains(first);
            key || tables.pairs.contains(&[first, second])
        })
        || tables.names.contains(joined)
        || tables.joined_pairs.contains(words.joined());
    if is_secret {
        return Some(HeaderSecret::Whole);
    }
    let is_ambiguous =
        |word: &str| AMBIGUOUS_WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()));
    if words.iter().any(is_ambiguous) {
        return Some(HeaderSecret::NoWord);
    }
    let is_made =
        |word: &str| MADE_WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()));
    if words.iter().any(is_made) {
        return Some(HeaderSecret::Made);
    }
    if DRAWN_ENDS.contains(&last) {
        return Some(HeaderSecret::Drawn);
    }
    words.joined().ends_with("usercode").then_some(HeaderSecret::UserCode)
}

fn is_secret_word(tables: &WordTables, word: &str) -> bool {
    // `password2`, `auth0`
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    tables.words.contains(word) || SECRET_ENDS.iter().any(|end| word.ends_with(end))
}

/// Whether a query parameter of this name holds a secret: as a field, and also `key` and `code`, by
/// which keys of web APIs and authorisation codes (RFC 6749 §4.1.2) travel, `ticket` (CAS), and
/// what lets in who follows a link.
pub fn is_secret_parameter(name: &str) -> bool {
    const OPENING: [&str; 5] = ["key", "code", "ticket", "invite", "magic"];
    OPENING.iter().any(|known| name.eq_ignore_ascii_case(known)) || is_secret_field(name)
}

/// How a query parameter of this name is secret: see [`is_secret_parameter`], and some only where
/// they look drawn.
pub(super) fn parameter_secret(name: &str) -> Option<HeaderSecret> {
    if is_secret_parameter(name) {
        // `?code=404`, `?key=title`
        const COMMON: [&str; 4] = ["code", "key", "session", "sid"];
        let is_common = COMMON.iter().any(|known| name.eq_ignore_ascii_case(known));
        let otherwise = if is_common { HeaderSecret::Made } else { HeaderSecret::Whole };
        let kind = field_secret(name).filter(|kind| *kind != HeaderSecret::Made);
        return Some(kind.unwrap_or(otherwise));
    }
    is_among(DRAWN_PARAMETERS, name.as_bytes()).then_some(HeaderSecret::Drawn)
}

/// Whether a field of this name says what another one holds.
pub(super) fn is_name_of_other(name: &[u8]) -> bool {
    is_among(&NAMING, name)
}

/// Whether a field of this name holds what another one names.
pub(super) fn is_value_of_other(name: &[u8]) -> bool {
    is_among(&NAMED, name)
}

/// Whether a short name is among these, whatever its case.
pub(super) fn is_among(names: &[&str], key: &[u8]) -> bool {
    (1..=16).contains(&key.len())
        && names
            .iter()
            .any(|name| name.len() == key.len() && key.eq_ignore_ascii_case(name.as_bytes()))
}

/// How a header's value holds its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSecret {
    /// `scheme credentials` (RFC 9110 §11.4): the scheme may be shown.
    Credentials,
    /// `name=value; name=value` (RFC 6265 §4.2): the names may be shown.
    Cookies,
    /// `name=value; Attribute=…` (RFC 6265 §4.1): name and attributes may be shown.
    SetCookie,
    /// `protocol, protocol` (RFC 6455 §11.3.4), among which clients that can set no other header
    /// put a token.
    Protocols,
    /// `user:password@host:port` (RFC 3986 §3.2): the password.
    Authority,
    /// The whole value, but for words that are no secrets and a scheme before it.
    Whole,
    /// The whole value, where it looks drawn at random.
    Drawn,
    /// The whole value, unless it is a plain word.
    NoWord,
    /// The whole value, unless people wrote it: words, or a small number.
    Made,
    /// The whole value, where it is a code by which a device is let in, or looks drawn.
    UserCode,
    /// The whole value, whatever it says.
    All,
}

impl HeaderSecret {
    /// Whether the value has a grammar of headers that a field of a header's name has, too.
    const fn is_of_headers_alone(self) -> bool {
        matches!(self, Self::Credentials | Self::Cookies | Self::SetCookie | Self::Protocols)
    }

    /// Whether it depends on how the value looks.
    pub(super) const fn is_by_look(self) -> bool {
        matches!(self, Self::Drawn | Self::NoWord | Self::Made | Self::UserCode)
    }

    /// Whether the value is secret as a whole, if at all.
    pub(super) const fn is_whole(self) -> bool {
        matches!(self, Self::Whole) || self.is_by_look()
    }
}

/// Whether, and how, a header of this name holds a secret.
pub fn header_secret(name: &str) -> Option<HeaderSecret> {
    answer(name).header
}

/// Fields that name a machine, with a password where a client put one before it.
const AUTHORITIES: &[&str] = &[
    ":authority",
    "alt-used",
    "forwarded",
    "host",
    "via",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-original-host",
];

/// `X-Api-Key` and its like, as lists of names and values by turns have them.
pub(super) fn is_extension(name: &str) -> bool {
    name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
}

/// Fields whose values are dates, numbers, types and names that RFC 9110 and 9111 list.
const CLOSED: &[&str] = &[
    "accept-encoding",
    "accept-ranges",
    "age",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "expires",
    "keep-alive",
    "last-modified",
    "transfer-encoding",
    "vary",
];

/// Whether a header's value is percent-encoded (gRPC over HTTP/2: `Status-Message`).
pub(super) fn is_percent_encoded(name: &str) -> bool {
    name.eq_ignore_ascii_case("grpc-message")
}

/// Whether a header of this name has no room for a secret in its values, but for one that is known
/// from elsewhere.
pub(super) fn is_closed(name: &str) -> bool {
    answer(name).closed
}

fn header_of(name: &str, field: Option<HeaderSecret>) -> Option<HeaderSecret> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("authorization") || is("proxy-authorization") {
        Some(HeaderSecret::Credentials)
    } else if is("cookie") || is("cookie2") {
        Some(HeaderSecret::Cookies)
    } else if is("set-cookie") || is("set-cookie2") {
        Some(HeaderSecret::SetCookie)
    } else if is("sec-websocket-protocol") {
        Some(HeaderSecret::Protocols)
    } else if AUTHORITIES.iter().any(|known| is(known)) {
        Some(HeaderSecret::Authority)
    } else if ["www-authenticate", "proxy-authenticate", "sec-websocket-key"].into_iter().any(is)
        || name.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("access-control-"))
    {
        None
    } else {
        let known = [
            "x-functions-key",
            "x-honeycomb-team",
            "x-amzn-oidc-data",
            "x-arr-clientcert",
            "x-clickhouse-key",
            "x-dpop-proof",
            "x-jfrog-art-api",
            "x-ms-client-principal",
            "x-ovh-consumer",
        ]
        .into_iter()
        .any(is);
        // People write no header fields.
        field
            .map(|kind| if kind == HeaderSecret::Made { HeaderSecret::Whole } else { kind })
            .or_else(|| known.then_some(HeaderSecret::Whole))
            .or_else(|| is_named_key(name).then_some(HeaderSecret::Drawn))
    }
}

/// Whether a header is called a key, what signs a request or what opens a door, as services call
/// their own: `X-Kong-Key`, `CB-ACCESS-SIGN`, `X-Ratelimit-Bypass`.
fn is_named_key(name: &str) -> bool {
    let words = Words::of(name);
    let mut last = words.iter().rev();
    match last.next() {
        Some("key") => last.next().is_some_and(|kind| !NAMING_KEYS.contains(&kind)),
        Some("sign" | "bypass" | "api") => last.next().is_some(),
        _ => false,
    }
}

/// The words of a name in lower case: cut at everything that is no letter or digit, and where a
/// capital follows a small letter. `X-` in front does not count.
struct Words {
    text: String,
    /// Where each word ends.
    ends: Vec<usize>,
}

impl Words {
    fn of(name: &str) -> Self {
        let mut words = Self { text: String::with_capacity(name.len()), ends: Vec::new() };
        let mut small = false;
        for c in name.chars().take(256) {
            if !c.is_alphanumeric() && !is_combining(c) {
                words.end();
                small = false;
                continue;
            }
            if c.is_uppercase() && small {
                words.end();
            }
            small = c.is_lowercase() || c.is_numeric();
            words.text.extend(c.to_lowercase());
        }
        words.end();
        if words.ends.len() > 1 && words.ends[0] == 1 && words.text.starts_with('x') {
            words.text.remove(0);
            words.ends.remove(0);
            words.ends.iter_mut().for_each(|end| *end -= 1);
        }
        words
    }

    /// Ends the word that is under way.
    fn end(&mut self) {
        if self.text.len() > self.ends.last().copied().unwrap_or(0) {
            self.ends.push(self.text.len());
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        (0..self.ends.len()).map(|index| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.text[start..self.ends[index]]
        })
    }

    /// All words in a row.
    fn joined(&self) -> &str {
        &self.text
    }
}

/// Whether a sign belongs to the letter before it: points of Hebrew, vowels of Arabic, signs of
/// Devanagari and Thai that are no letters by themselves.
const fn is_combining(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}'
        | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{e31}'..='\u{e4e}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_their_words() {
        for name in [
            "password",
            "Password",
            "user[password]",
            "access_token",
            "accessToken",
            "refresh-token",
            "apiKey",
            "api_key",
            "API_KEY",
            "client_secret",
            "X-Api-Key",
            "x-auth-token",
            "csrf_token",
            "cvv",
            "card_number",
            "cardNumber",
            "sessionId",
            "session_id",
            "PHPSESSID",
            "pin",
            "X-Amz-Signature",
            "private_key",
            "passwd",
            "id_token",
            "new-password",
            "newpassword",
            "password2",
            "passwords",
            "accesstoken",
            "access_tokens",
            "clientsecret",
            "csrfmiddlewaretoken",
            "credit_card",
            "creditCardNumber",
            "creditcard",
            "cvv2",
            "pan",
            "iban",
            "IBAN",
            "pwd",
            "pass",
            "passphrase",
            "sid",
            "ssn",
            "otp",
            "apikey",
            "api_keys",
            "credentials",
            "signature",
            "authorization",
            "refreshToken",
            "contraseña",
            "mot_de_passe",
            "пароль",
            "connectionString",
            "securityAnswer",
            "X-2FA-Code",
            "X-RapidAPI-Key",
            "passWord",
            "pw",
            "hasło",
            "パスワード",
            "pass1",
            "ssh_key",
        ] {
            assert!(is_secret_field(name), "{name}");
        }
        for name in [
            "",
            "name",
            "token_type",
            "password_required",
            "key",
            "primary_key",
            "author",
            "authority",
            "spin",
            "pineapple",
            "expires_in",
            "session_timeout",
            "signal",
            "price",
            "code",
            "sidecar",
            "cookies_enabled",
            "tokenize",
            "tokenizer",
            "passenger",
            "passengers",
            "shopping",
            "shipping",
            "secretary",
            "sessions_per_day",
            "token_endpoint",
            "auth_time",
            "company",
            "panel",
            "postcard",
            "card",
            "bypass",
            "boarding_pass",
            "compass",
            "keyboard",
            "design",
            "signal_strength",
            "opinion",
            "connection",
            "answer",
            "insert",
        ] {
            assert!(!is_secret_field(name), "{name}");
        }
        assert!(
            is_secret_parameter("key") && is_secret_parameter("code") && !is_secret_parameter("q")
        );
    }

    #[test]
    fn ambiguous_names_ask_how_the_value_looks() {
        for name in ["pw", "cred", "parola", "nuovaParola", "heslo", "pw2"] {
            assert_eq!(field_secret(name), Some(HeaderSecret::NoWord), "{name}");
        }
        for name in ["session", "sid", "userSession", "signature_dish"] {
            assert_eq!(
                field_secret(name).filter(|kind| kind.is_by_look()),
                Some(HeaderSecret::Made)
            );
        }
        for name in ["tokens", "max_tokens", "seed"] {
            assert_eq!(field_secret(name), Some(HeaderSecret::Drawn), "{name}");
        }
        assert_eq!(field_secret("api_key_id"), Some(HeaderSecret::NoWord));
        for name in ["कूटशब्द", "รหัสผ่าน", "كلمة المرور"] {
            assert_eq!(field_secret(name), Some(HeaderSecret::Whole), "{name}");
        }
        for name in ["db_pw", "parola_token", "password"] {
            assert_eq!(field_secret(name), Some(HeaderSecret::Whole), "{name}");
        }
        assert_eq!(field_secret("user_code"), Some(HeaderSecret::UserCode));
        assert_eq!(field_secret("userCode"), Some(HeaderSecret::UserCode));
    }

    #[test]
    fn headers_say_how_they_hold_it() {
        assert_eq!(header_secret("AUTHORIZATION"), Some(HeaderSecret::Credentials));
        assert_eq!(header_secret("Cookie"), Some(HeaderSecret::Cookies));
        assert_eq!(header_secret("Set-Cookie"), Some(HeaderSecret::SetCookie));
        assert_eq!(header_secret("X-API-Key"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("Sec-WebSocket-Protocol"), Some(HeaderSecret::Protocols));
        for name in ["Host", ":authority", "X-Forwarded-Host"] {
            assert_eq!(header_secret(name), Some(HeaderSecret::Authority), "{name}");
            assert_eq!(field_secret(name), None, "{name}");
        }
        assert_eq!(header_secret("Ocp-Apim-Subscription-Key"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("X-ClickHouse-Key"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("X-Kong-Key"), Some(HeaderSecret::Drawn));
        assert_eq!(field_secret("X-Kong-Key"), None);
        assert_eq!(parameter_secret("state"), Some(HeaderSecret::Drawn));
        assert_eq!(parameter_secret("code"), Some(HeaderSecret::Made));
        for name in ["sig", "Signature", "session_id"] {
            assert_eq!(parameter_secret(name), Some(HeaderSecret::Whole), "{name}");
        }
        assert_eq!(parameter_secret("ticket"), Some(HeaderSecret::Drawn));
        assert_eq!(parameter_secret("invite"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("X-Session-Id"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("X-Ratelimit-Bypass"), Some(HeaderSecret::Drawn));
        for common in ["statement", "e", "h", "hash", "verify"] {
            assert_eq!(parameter_secret(common), None, "{common}");
        }
        for harmless in [
            "Content-Type",
            "ETag",
            "Cache-Control",
            "WWW-Authenticate",
            "X-Request-Id",
            "Idempotency-Key",
            "Surrogate-Key",
            "X-Cache-Key",
            "Access-Control-Allow-Credentials",
        ] {
            assert_eq!(header_secret(harmless), None, "{harmless}");
        }
    }
}
