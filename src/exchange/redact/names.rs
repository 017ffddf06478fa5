//! Which headers, fields and query parameters hold a secret, by their name.
//!
//! A name is cut into words (`apiKey`, `api-key`, `API_KEY` are the same two words), so that `max_tokens` or `token_type`
//! are told from `access_token`.

/// Words that make a name secret wherever they stand in it, unless its last word is one of [`HARMLESS_ENDS`].
const SECRET_WORDS: &[&str] = &[
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "csrf",
    "cvc",
    "cvv",
    "jwt",
    "otp",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "pwd",
    "secret",
    "session",
    "sessionid",
    "sig",
    "signature",
    "ssn",
    "token",
    "xsrf",
];

/// Whole names that are secret although their words are common.
const SECRET_NAMES: &[&str] = &[
    "accesskey",
    "aspsessionid",
    "authkey",
    "cardnumber",
    "connectsid",
    "encryptionkey",
    "jsessionid",
    "licensekey",
    "pan",
    "phpsessid",
    "pin",
    "privatekey",
    "sessid",
    "sid",
    "signingkey",
    "subscriptionkey",
    "xamzsecuritytoken",
];

/// Pairs of words that name a key to something.
const KEY_KINDS: &[&str] = &[
    "access",
    "account",
    "api",
    "app",
    "auth",
    "client",
    "encryption",
    "function",
    "license",
    "private",
    "shared",
    "signing",
    "subscription",
];

/// Last words that say the value is about a secret, not the secret.
const HARMLESS_ENDS: &[&str] = &[
    "at",
    "count",
    "enabled",
    "exp",
    "expires",
    "expiry",
    "expiration",
    "in",
    "kind",
    "length",
    "limit",
    "method",
    "methods",
    "required",
    "state",
    "status",
    "supported",
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
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
        || words.windows(2).any(|pair| pair[1] == "key" && KEY_KINDS.contains(&pair[0].as_str()))
        || SECRET_NAMES.contains(&words.concat().as_str())
}

/// Whether an object of this (secret) name holds nothing but secrets; one that is called session or cookie holds all kinds of things,
/// whose own names decide.
pub fn holds_secrets_only(name: &str) -> bool {
    !words(name)
        .iter()
        .any(|word| matches!(word.as_str(), "session" | "auth" | "authorization" | "cookie" | "csrf" | "signature"))
}

/// Whether a query parameter of this name holds a secret: as a field, and also `key` and `code`, by which keys of web APIs and
/// authorisation codes (RFC 6749 §4.1.2) travel.
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

/// The words of a name in lower case: cut at everything that is no letter or digit, and where a capital follows a small letter.
/// `X-` in front does not count.
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
        ] {
            assert!(!is_secret_field(name), "{name}");
        }
        assert!(is_secret_parameter("key") && is_secret_parameter("code") && !is_secret_parameter("q"));
    }

    #[test]
    fn headers_say_how_they_hold_it() {
        assert_eq!(header_secret("AUTHORIZATION"), Some(HeaderSecret::Credentials));
        assert_eq!(header_secret("Cookie"), Some(HeaderSecret::Cookies));
        assert_eq!(header_secret("Set-Cookie"), Some(HeaderSecret::SetCookie));
        assert_eq!(header_secret("X-API-Key"), Some(HeaderSecret::Whole));
        assert_eq!(header_secret("Ocp-Apim-Subscription-Key"), Some(HeaderSecret::Whole));
        for harmless in ["Host", "Content-Type", "ETag", "Cache-Control", "WWW-Authenticate", "X-Request-Id", ":authority"] {
            assert_eq!(header_secret(harmless), None, "{harmless}");
        }
    }
}
