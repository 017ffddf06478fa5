//! Which headers, fields and query parameters hold a secret, by their name.
//!
//! A name is cut into words (`apiKey`, `api-key`, `API_KEY` are the same two words), so that
//! `max_tokens` or `token_type` are told from `access_token`.

/// Words that make a name secret wherever they stand in it, unless its last word is one of
/// [`HARMLESS_ENDS`].
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "apikeys",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "creds",
    "csrf",
    "cvc",
    "cvv",
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
    "session",
    "sessionid",
    "sig",
    "signature",
    "ssn",
    "token",
    "totp",
    "xsrf",
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
];

/// Whole names that are secret although their words are common.
const SECRET_NAMES: &[&str] = &[
    "accesskey",
    "aspsessionid",
    "authkey",
    "clientassertion",
    "codeverifier",
    "connectsid",
    "devicecode",
    "encryptionkey",
    "licensekey",
    "pan",
    "pass",
    "phpsessid",
    "pin",
    "samlresponse",
    "securitycode",
    "sessid",
    "sid",
    "signingkey",
    "subscriptionkey",
    "userpass",
    "xamzsecuritytoken",
];

/// Two words in a row that make a name secret wherever they stand in it.
const SECRET_PAIRS: &[[&str; 2]] = &[
    ["access", "tokens"],
    ["api", "tokens"],
    ["backup", "codes"],
    ["card", "number"],
    ["card", "no"],
    ["card", "pan"],
    ["card", "pin"],
    ["credit", "card"],
    ["debit", "card"],
    ["pin", "code"],
    ["recovery", "code"],
    ["recovery", "codes"],
    ["refresh", "tokens"],
    ["user", "pin"],
    ["verification", "code"],
];

/// Pairs of words that name a key to something.
const KEY_KINDS: &[&str] = &[
    "access",
    "account",
    "api",
    "app",
    "auth",
    "client",
    "encrypt",
    "encryption",
    "function",
    "license",
    "master",
    "private",
    "shared",
    "signing",
    "subscription",
];

/// Last words that say the value is about a secret, not the secret.
const HARMLESS_ENDS: &[&str] = &[
    "age",
    "at",
    "consent",
    "count",
    "duration",
    "enabled",
    "endpoint",
    "endpoints",
    "exp",
    "expiration",
    "expires",
    "expiry",
    "in",
    "kind",
    "length",
    "lifetime",
    "limit",
    "method",
    "methods",
    "mode",
    "policy",
    "provider",
    "required",
    "state",
    "status",
    "strength",
    "supported",
    "time",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "usage",
    "used",
    "valid",
    "version",
];

/// Whether a JSON or form field of this name holds a secret.
pub fn is_secret_field(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if words.len() > 1 && HARMLESS_ENDS.contains(&last.as_str()) {
        return false;
    }
    let whole = words.concat();
    words.iter().any(|word| is_secret_word(word))
        || words.windows(2).any(|pair| {
            let key =
                matches!(pair[1].as_str(), "key" | "keys") && KEY_KINDS.contains(&pair[0].as_str());
            key || SECRET_PAIRS.iter().any(|secret| secret == pair)
        })
        || SECRET_NAMES.contains(&whole.as_str())
        || SECRET_PAIRS.iter().any(|secret| whole == secret.concat())
}

fn is_secret_word(word: &str) -> bool {
    // `password2`, `auth0`
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    SECRET_WORDS.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end))
}

/// Whether a query parameter of this name holds a secret: as a field, and also `key` and `code`, by
/// which keys of web APIs and authorisation codes (RFC 6749 §4.1.2) travel.
pub fn is_secret_parameter(name: &str) -> bool {
    name.eq_ignore_ascii_case("key") || name.eq_ignore_ascii_case("code") || is_secret_field(name)
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
    /// The whole value.
    Whole,
}

/// Whether, and how, a header of this name holds a secret.
pub fn header_secret(name: &str) -> Option<HeaderSecret> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("authorization") || is("proxy-authorization") {
        Some(HeaderSecret::Credentials)
    } else if is("cookie") || is("cookie2") {
        Some(HeaderSecret::Cookies)
    } else if is("set-cookie") || is("set-cookie2") {
        Some(HeaderSecret::SetCookie)
    } else if is("www-authenticate") || is("proxy-authenticate") || is("sec-websocket-key") {
        None
    } else {
        (is_secret_field(name) || is("x-functions-key")).then_some(HeaderSecret::Whole)
    }
}

/// The words of a name in lower case: cut at everything that is no letter or digit, and where a
/// capital follows a small letter. `X-` in front does not count.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut small = false;
    for c in name.chars().take(256) {
        if !c.is_alphanumeric() {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            small = false;
            continue;
        }
        if c.is_uppercase() && small {
            words.push(std::mem::take(&mut word));
        }
        small = c.is_lowercase() || c.is_numeric();
        word.extend(c.to_lowercase());
    }
    words.extend((!word.is_empty()).then_some(word));
    if words.len() > 1 && words[0] == "x" {
        words.remove(0);
    }
    words
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
        ] {
            assert!(is_secret_field(name), "{name}");
        }
        for name in [
            "",
            "name",
            "max_tokens",
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
            "tokens",
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
        ] {
            assert!(!is_secret_field(name), "{name}");
        }
        assert!(
            is_secret_parameter("key") && is_secret_parameter("code") && !is_secret_parameter("q")
        );
    }

    #[test]
    fn headers_say_how_they_hold_it() {
        assert_eq!(header_secret("AUTHORIZATION"), Some(HeaderSecret::Credentials));
        assert_eq!(header_secret("Cookie"), Some(HeaderSecret::Cookies));
        assert_eq!(header_secret("Set-Cookie"), Some(HeaderSecret::SetCookie));
        assert_eq!(header_secret("X-API-Key"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("Ocp-Apim-Subscription-Key"), Some(HeaderSecret::Whole));
        for harmless in [
            "Host",
            "Content-Type",
            "ETag",
            "Cache-Control",
            "WWW-Authenticate",
            "X-Request-Id",
            ":authority",
        ] {
            assert_eq!(header_secret(harmless), None, "{harmless}");
        }
    }
}
