//! URLs signed anew with a test key, their expiry moved to now.
//!
//! A presigned URL says by its parameters how it was signed: AWS Signature Version 4 (S3 and its
//! kin) and V4 of Google Cloud Storage are told by their names. Of others the rule says what is
//! signed; the code's length and writing say how (HMAC with SHA-1, SHA-256, SHA-384 or SHA-512, in
//! hexadecimal or base64). A URL that a flow binds was signed by v2 and is left.

use std::fmt::Write as _;

use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::sign::SigningKey;
use crate::bind::config::UrlRecipe;
use crate::message::encoding::{self, Encoding, hex};
use crate::message::{Headers, target};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Names of parameters that hold a signature, where the rule names none.
const SIGNATURES: [&str; 6] = ["signature", "sig", "hmac", "mac", "hash", "x-signature"];
/// Names of parameters that hold an expiry, where the rule names none.
const EXPIRIES: [&str; 10] = [
    "expires",
    "se",
    "expiry",
    "expire",
    "exp",
    "expires_at",
    "expires-at",
    "valid_until",
    "until",
    "deadline",
];

/// A request as its URL's signature sees it.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method, which some signatures cover.
    pub method: &'a str,
    /// The authority that the URL is for.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The header fields, of which some signatures cover those that they name.
    pub headers: &'a Headers,
    /// The body, where it is at hand.
    pub body: Option<&'a [u8]>,
}

/// A target that was signed anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResignedUrl {
    /// Path and query.
    pub target: String,
    /// The name of the parameter that holds the signature.
    pub signature: String,
}

impl SigningKey {
    /// The target with its expiry moved by so many seconds, signed with this key; none where it is
    /// not signed, or in a way that this key or `recipe` cannot.
    pub fn url(
        &self,
        recipe: &UrlRecipe,
        asked: &SignedRequest<'_>,
        seconds: i64,
    ) -> Option<ResignedUrl> {
        let (path, query) = asked.target.split_once('?')?;
        let pair = |pair| str::split_once(pair, '=').unwrap_or((pair, ""));
        let pairs = QueryPairs(query.split('&').map(pair).collect());
        match FAMILIES.iter().find(|family| pairs.at(&family.named("Credential")).is_some()) {
            Some(family) => self.version_4(family, recipe, asked, path, pairs, seconds),
            None => self.coded(recipe, asked, path, pairs, seconds),
        }
    }

    /// A URL under a plain code of its parts.
    fn coded(
        &self,
        recipe: &UrlRecipe,
        asked: &SignedRequest<'_>,
        path: &str,
        pairs: QueryPairs<'_>,
        seconds: i64,
    ) -> Option<ResignedUrl> {
        let named = |own: Option<&String>, known: &[&str]| match own {
            Some(name) => pairs.at(name),
            None => known.iter().find_map(|name| pairs.at(name)),
        };
        let signature = named(recipe.signature.as_ref(), &SIGNATURES)?;
        let expiry = named(recipe.expires.as_ref(), &EXPIRIES);
        // Without any word of the rule's a pair of both must tell that this is a signed URL.
        if expiry.is_none() && (recipe.signature.is_none() || recipe.expires.is_some()) {
            return None;
        }
        let look = CodeLook::of(&pairs.text(signature))?;
        let mut all: Vec<(String, String)> = pairs.owned();
        if let Some(at) = expiry {
            all[at].1 = Encoding::Form.encoded(&later(&pairs.text(at), seconds)?).into_owned();
        }
        let rest = all.iter().enumerate().filter(|(at, _)| *at != signature).map(|(_, pair)| pair);
        let query = joined(rest);
        let text = match &recipe.signs {
            None if query.is_empty() => path.to_owned(),
            None => format!("{path}?{query}"),
            Some(signs) => filled(signs, |part| match part {
                "method" => asked.method.to_owned(),
                "host" => asked.host.to_owned(),
                "path" => path.to_owned(),
                "query" => query.clone(),
                named => {
                    let name = named.strip_prefix("query:").unwrap_or(named);
                    let pair = all.iter().find(|(own, _)| own == name);
                    pair.map_or_else(String::new, |(_, value)| {
                        Encoding::Form.decoded(value).into_owned()
                    })
                }
            }),
        };
        let code = look.written(&self.code(look.algorithm, text.as_bytes())?);
        all[signature].1 = Encoding::Form.encoded(&code).into_owned();
        Some(pairs.resigned(signature, path, &all))
    }

    /// AWS Signature Version 4 in the query, and what was modelled on it.
    fn version_4(
        &self,
        family: &PresignFamily,
        recipe: &UrlRecipe,
        asked: &SignedRequest<'_>,
        path: &str,
        pairs: QueryPairs<'_>,
        seconds: i64,
    ) -> Option<ResignedUrl> {
        let at = |name: &str| pairs.at(&family.named(name));
        let (signature, dated, named) = (at("Signature")?, at("Date")?, at("Credential")?);
        let algorithm = pairs.text(at("Algorithm")?);
        let signed_headers = pairs.text(at("SignedHeaders")?);
        let date = moved_basic(&pairs.text(dated), seconds)?;
        // ID/20130524/us-east-1/s3/aws4_request; an ID may have slashes.
        let credential = pairs.text(named);
        let mut scope = credential.rsplitn(5, '/');
        let (end, service, region) = (scope.next()?, scope.next()?, scope.next()?);
        let (_, id) = (scope.next()?, scope.next()?);
        let scope = format!("{}/{region}/{service}/{end}", &date[..8]);
        let id = recipe.key_id.as_deref().unwrap_or(id);
        let mut all: Vec<(String, String)> = pairs.owned();
        all[dated].1.clone_from(&date);
        all[named].1 = unreserved(format!("{id}/{scope}").as_bytes(), b"");
        all.remove(signature);
        if recipe.key_id.is_some() {
            // A session's token is of the key that v1 signed with.
            let token = family.named("Security-Token");
            all.retain(|(name, _)| !name.eq_ignore_ascii_case(&token));
        }
        // As it is signed, each is encoded in the one strict way.
        let strict = |text: &str| unreserved(&encoding::percent_bytes(text, false), b"");
        let mut sorted: Vec<(String, String)> =
            all.iter().map(|(name, value)| (strict(name), strict(value))).collect();
        sorted.sort_unstable();
        let is_store = service == "s3" || service.starts_with("s3-") || service == "storage";
        let once = unreserved(&encoding::percent_bytes(path, false), b"/");
        // But for object stores the path is encoded once more than it is sent.
        let path_signed = if is_store { once } else { unreserved(once.as_bytes(), b"/") };
        let headers = canonical_headers(&signed_headers, asked)?;
        let hash_field = "x-amz-content-sha256";
        let payload = match (pairs.of(hash_field), asked.headers.get(hash_field), asked.body) {
            (Some(hash), ..) => hash,
            (None, Some(hash), _) => String::from_utf8_lossy(hash).into_owned(),
            _ if is_store => "UNSIGNED-PAYLOAD".to_owned(),
            (None, None, Some(body)) => hex(&Sha256::digest(body)),
            (None, None, None) => return None,
        };
        let canonical = format!(
            "{}\n{path_signed}\n{}\n{headers}\n{signed_headers}\n{payload}",
            asked.method,
            joined(sorted.iter())
        );
        let text = format!("{algorithm}\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let signed = match algorithm.as_str() {
            "GOOG4-RSA-SHA256" if matches!(self, Self::Rsa(_)) => {
                self.sign("RS256", text.as_bytes())?
            }
            name if name == format!("{}-HMAC-SHA256", family.secret) => {
                let Self::Secret(secret) = self else { return None };
                let first = [family.secret.as_bytes(), secret].concat();
                let parts = [&date[..8], region, service, end];
                let key = parts.iter().fold(first, |key, part| code_256(&key, part));
                code_256(&key, &text)
            }
            _ => return None,
        };
        let name = pairs.0[signature].0.to_owned();
        all.insert(signature.min(all.len()), (name, hex(&signed)));
        Some(pairs.resigned(signature, path, &all))
    }

    /// A URL in a value, signed anew: as for a GET without header fields.
    pub(super) fn url_in(&self, recipe: &UrlRecipe, url: &str, seconds: i64) -> Option<String> {
        let host = target::authority(url.as_bytes()).unwrap_or_default();
        let host = std::str::from_utf8(host).ok()?;
        // Origin and path go on as one: the query is behind them.
        let start = url.find("://").map_or(0, |at| at + 3 + host.len());
        let (before, rest) = url.split_at_checked(start)?;
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(a, b)| (a, Some(b)));
        let headers = Headers::default();
        let asked =
            SignedRequest { method: "GET", host, target: rest, headers: &headers, body: Some(b"") };
        let made = self.url(recipe, &asked, seconds)?.target;
        Some(match fragment {
            Some(fragment) => format!("{before}{made}#{fragment}"),
            None => format!("{before}{made}"),
        })
    }
}

/// Signatures whose parameters begin alike.
struct PresignFamily {
    prefix: &'static str,
    /// What stands before the secret, and before the algorithm's name.
    secret: &'static str,
}

const FAMILIES: [PresignFamily; 2] = [
    // docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    PresignFamily { prefix: "X-Amz-", secret: "AWS4" },
    // cloud.google.com/storage/docs/authentication/signatures
    PresignFamily { prefix: "X-Goog-", secret: "GOOG4" },
];

impl PresignFamily {
    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The pairs of a query as they are written.
struct QueryPairs<'q>(Vec<(&'q str, &'q str)>);

impl QueryPairs<'_> {
    fn at(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(own, _)| Encoding::Form.decoded(own).eq_ignore_ascii_case(name))
    }

    fn text(&self, at: usize) -> String {
        Encoding::Percent.decoded(self.0[at].1).into_owned()
    }

    fn of(&self, name: &str) -> Option<String> {
        self.at(name).map(|at| self.text(at))
    }

    fn resigned(&self, signature: usize, path: &str, all: &[(String, String)]) -> ResignedUrl {
        let name = Encoding::Form.decoded(self.0[signature].0).into_owned();
        ResignedUrl { target: format!("{path}?{}", joined(all.iter())), signature: name }
    }

    fn owned(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

/// How a code is written, told by one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct CodeLook {
    algorithm: hmac::Algorithm,
    writing: CodeWriting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodeWriting {
    Hex { upper: bool },
    Base64 { for_url: bool, padded: bool },
}

impl CodeLook {
    fn of(text: &str) -> Option<Self> {
        let algorithm = |bytes: usize| match bytes {
            20 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            32 => Some(hmac::HMAC_SHA256),
            48 => Some(hmac::HMAC_SHA384),
            64 => Some(hmac::HMAC_SHA512),
            _ => None,
        };
        let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(algorithm) = algorithm(text.len() / 2).filter(|_| is_hex) {
            let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
            return Some(Self { algorithm, writing: CodeWriting::Hex { upper } });
        }
        let padded = text.ends_with('=');
        // Without padding and signs of its own it may be either: most of URLs are for them.
        let for_url = text.contains(['-', '_']) || !padded && !text.contains(['+', '/']);
        let algorithm = algorithm(encoding::base64_bytes(text)?.len())?;
        Some(Self { algorithm, writing: CodeWriting::Base64 { for_url, padded } })
    }

    fn written(self, code: &[u8]) -> String {
        match self.writing {
            CodeWriting::Hex { upper: true } => hex(code).to_ascii_uppercase(),
            CodeWriting::Hex { upper: false } => hex(code),
            CodeWriting::Base64 { for_url, padded } => {
                let text = encoding::base64_of(code, false);
                let text = if padded { &text[..] } else { text.trim_end_matches('=') };
                if for_url { text.replace('+', "-").replace('/', "_") } else { text.to_owned() }
            }
        }
    }
}

/// A time of an expiry so many seconds later, written as it was; a duration stays. None where it is
/// neither.
fn later(text: &str, seconds: i64) -> Option<String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return Some(match text.len() {
            9 | 10 => number.saturating_add(seconds).to_string(),
            13 => number.saturating_add(seconds.saturating_mul(1_000)).to_string(),
            _ => text.to_owned(),
        });
    }
    let at: Timestamp = text.parse().ok()?;
    let moved = at.plus(seconds.saturating_mul(NANOS_PER_SEC)).rfc3339();
    // To the second, in UTC, as most write it.
    Some(format!("{}Z", std::str::from_utf8(&moved[..19]).ok()?))
}

/// `20130524T000000Z` so many seconds later.
fn moved_basic(text: &str, seconds: i64) -> Option<String> {
    let part = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    let long = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    Some(later(&long, seconds)?.replace(['-', ':'], ""))
}

/// A text with what `part` gives in the place of its parts in braces.
fn filled(text: &str, part: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').unwrap_or((behind, ""));
        out.push_str(before);
        out.push_str(&part(name));
        rest = after;
    }
    out + rest
}

fn joined<'p>(pairs: impl Iterator<Item = &'p (String, String)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        let and = if out.is_empty() { "" } else { "&" };
        let _ = write!(out, "{and}{name}={value}");
    }
    out
}

/// The header fields that are signed, as AWS Signature Version 4 writes them; none where one of
/// them is not there.
fn canonical_headers(names: &str, asked: &SignedRequest<'_>) -> Option<String> {
    let mut out = String::new();
    for name in names.split(';') {
        let mut values = Vec::new();
        if name == "host" {
            values.push(asked.host.to_owned());
        } else {
            for value in asked.headers.all(name) {
                let words = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
                values.push(words.collect::<Vec<_>>().join(" "));
            }
        }
        if values.is_empty() {
            return None;
        }
        let _ = writeln!(out, "{name}:{}", values.join(","));
    }
    Some(out)
}

/// Bytes with all escaped but the unreserved characters (RFC 3986 §2.3) and those of `also`.
fn unreserved(bytes: &[u8], also: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn code_256(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn signed(
        key: &[u8],
        recipe: &UrlRecipe,
        host: &str,
        line: &str,
        later: i64,
    ) -> Option<String> {
        let (method, target) = line.split_once(' ').expect("a request line");
        let headers = Headers::default();
        let asked = SignedRequest { method, host, target, headers: &headers, body: Some(b"") };
        SigningKey::read(key).expect("a key").url(recipe, &asked, later).map(|made| made.target)
    }

    fn presigned(query: &str, signature: &str) -> String {
        format!("GET /test.txt?{query}&X-Amz-Signature={signature}")
    }

    const QUERY: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE\
        %2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z\
        &X-Amz-Expires=86400&X-Amz-SignedHeaders=host";

    /// The example of AWS's documentation, and the same an hour and a day later as Python's `hmac`
    /// computes it.
    #[test]
    fn a_presigned_url_of_s3() {
        let (none, host) = (UrlRecipe::default(), "examplebucket.s3.amazonaws.com");
        let same = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let made = signed(SECRET, &none, host, &presigned(QUERY, "00"), 0);
        assert_eq!(made.as_deref(), presigned(QUERY, same).strip_prefix("GET "));
        let later = "052b02d55e8210bcfd7aba8b20335c44c26391cba86f04feaf0d0a59eb3555d4";
        let made = signed(SECRET, &none, host, &presigned(QUERY, same), 90_000);
        let query = QUERY.replace("20130524T000000Z", "20130525T010000Z");
        let query = query.replace("%2F20130524", "%2F20130525");
        assert_eq!(made.as_deref(), presigned(&query, later).strip_prefix("GET "));
    }

    /// Expected values are computed by Python's `hmac` and `urllib.parse`.
    #[test]
    fn other_services_keys_and_hosts() {
        let recipe = UrlRecipe { key_id: Some("AKIATEST".to_owned()), ..UrlRecipe::default() };
        let line = format!(
            "PUT /b/a%20file+%c3%a9.txt?uploadId=x/y%3d&partNumber=1&X-Amz-Security-Token=t&{QUERY}\
             &X-Amz-Signature=00"
        );
        let made = signed(b"test", &recipe, "127.0.0.1:9000", &line, 90_000).expect("it is signed");
        let expected = "95cbeed789d4d9b77e8e193a550cc63173c9b59c2ea0a9b7acc1549a6da6ba71";
        assert!(made.ends_with(&format!("&X-Amz-Signature={expected}")), "{made}");
        assert!(made.starts_with("/b/a%20file+%c3%a9.txt?uploadId=x/y%3d&partNumber=1&X-Amz-Alg"));
        let none = UrlRecipe::default();
        let line = "GET /b/o.txt?X-Goog-Algorithm=GOOG4-HMAC-SHA256&X-Goog-Signature=00\
             &X-Goog-Credential=GOOG1E%2F20261122%2Fauto%2Fstorage%2Fgoog4_request\
             &X-Goog-Date=20261122T100000Z&X-Goog-Expires=900&X-Goog-SignedHeaders=host";
        let made = signed(b"googsecret", &none, "storage.googleapis.com", line, 0);
        let expected = "097f7a8ed9e05a541a0067e05f2d0dbcb9c35eb52d6f5438056355d6a4246841";
        let expected = line.replace("Signature=00", &format!("Signature={expected}"));
        assert_eq!(made.as_deref(), expected.strip_prefix("GET "));
        let line = "GET /prod/a%20b/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F\
             20261122%2Fus-east-1%2Fexecute-api%2Faws4_request&X-Amz-Date=20261122T100000Z\
             &X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
        let made = signed(SECRET, &none, "api.test", line, 0).expect("it is signed");
        let expected = "b82364332d9cee00969d1fb3e13329cb7d34b5b8e3c6dae6c9e4ce4833039b1a";
        assert!(made.ends_with(expected), "{made}");
    }

    /// The signature is what `openssl dgst -sha256 -sign` makes of the text that Google's
    /// documentation says is signed, in which the time is an hour later.
    #[test]
    fn a_url_of_google_cloud_storage_under_a_key_of_rsa() {
        let key = include_bytes!("made_for_tests.pem");
        let at = |hour: u8, signature: &str| {
            format!(
                "/b/o.txt?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=svc%40test.iam.\
                 gserviceaccount.com%2F20261122%2Fauto%2Fstorage%2Fgoog4_request&X-Goog-Date=\
                 20261122T{hour}0000Z&X-Goog-Expires=900&X-Goog-SignedHeaders=host\
                 &X-Goog-Signature={signature}"
            )
        };
        let line = format!("GET {}", at(10, "00"));
        let (none, host) = (UrlRecipe::default(), "storage.googleapis.com");
        let expected = "\
             a174ab6db1505238c79cc0d6628aaf9743a1c79509865a66eecadf58a5b9c15470cb04a08bf35d98\
             ea8f8f1f6bd45d3cae4a7a83eaf1484acd316361d57e0958521ee546f5e51cd8ce3a8c7982d4e7c8\
             c464ecaf4ebacd38cfdcce360f592aa8f7b1ee55050b83ee540ce823b4273b9762f9df8dabaf3d9c\
             7c84b1a416258e92948c465117b48162b3a53f22b9af266f7c016f7345ce4211782eb4f9d681134b\
             5fd930af9e5d4c7cbadbf1ffed02c7c0bccbf5aa5162939cbebaa7d2e706bd0c4d5d930fbf34c3ed\
             d70dd5d6175f0f4a95b702feb32b758911625082f7757f8dbaaed07614c175869afaa5050fcded77\
             76e95e1bab95d1bf778d3c3f1ae11bd6";
        assert_eq!(signed(key, &none, host, &line, 3_600), Some(at(11, expected)));
        assert_eq!(signed(b"a secret", &none, host, &line, 3_600), None, "no key of RSA");
        let line = line.replace("-RSA-", "-HMAC-");
        assert_eq!(signed(key, &none, host, &line, 3_600), None, "no secret");
    }

    /// Expected values are computed by Python's `hmac`.
    #[test]
    fn plain_codes_in_every_writing() {
        let none = UrlRecipe::default();
        let of = |recipe: &UrlRecipe, target: &str, later: i64| {
            signed(b"k", recipe, "v1.test", &format!("GET {target}"), later)
        };
        let at = |expires: u64, code: &str| {
            format!("/files/7?user=a&expires={expires}&signature={code}")
        };
        let now = "93946914a7b803da5772183ef8b66c6337737f7962e56a98735cc03083ea4174";
        let later = "627404233339d18c9b857a103e01f147fcb2b5c0bf6b4a1c5917032faa18cfed";
        let recorded = at(1_795_003_600, now);
        assert_eq!(of(&none, &recorded, 0).as_deref(), Some(&*recorded), "v1's own key");
        assert_eq!(of(&none, &recorded, 1_000), Some(at(1_795_004_600, later)));
        let recipe = UrlRecipe {
            signature: Some("s".to_owned()),
            expires: Some("e".to_owned()),
            signs: Some("{method}\n{host}\n{path}\n{query:e}".to_owned()),
            key_id: None,
        };
        let recorded = "/files/7?s=QJPlkXH3LUXc4OVFzkqEOGyRLyA&e=1795003600";
        let expected = "/files/7?s=QJPlkXH3LUXc4OVFzkqEOGyRLyk&e=1795004600";
        assert_eq!(of(&recipe, recorded, 1_000).as_deref(), Some(expected));
        let recorded = "/c/blob?se=2026-11-22T10%3A00%3A00Z&sp=r&sig=\
                        AAqR9bKu5zXtaDpcdgrCLz4GkZTuBZZ7KNBWHuokcWU%3D";
        let expected = "/c/blob?se=2026-11-22T11%3A00%3A00Z&sp=r&sig=\
                        dcqR9bKu5zXtaDpcdgrCLz4GkZTuBZZ7KNBWHuokcWU%3D";
        assert_eq!(of(&none, recorded, 3_600).as_deref(), Some(expected));
        let key = SigningKey::read(b"k").expect("a key");
        let made =
            key.url_in(&none, &format!("https://cdn.test{}#p", at(1_795_003_600, now)), 1_000);
        assert_eq!(made, Some(format!("https://cdn.test{}#p", at(1_795_004_600, later))));
    }

    #[test]
    fn what_is_not_signed_is_left() {
        let none = UrlRecipe::default();
        for target in [
            "/a",
            "/a?expires=1795003600",
            "/a?signature=00ff",
            "/a?signature=93946914a7b803da5772183ef8b66c6337737f7962e56a98735cc03083ea4174",
            "/a?expires=soon&sig=93946914a7b803da5772183ef8b66c6337737f7962e56a98735cc03083ea4174",
            "/a?X-Amz-Credential=a%2Fb&X-Amz-Date=2013&X-Amz-Signature=00",
        ] {
            assert_eq!(signed(b"k", &none, "a", &format!("GET {target}"), 5), None, "{target}");
        }
        proptest::proptest!(|(query in "[a-zA-Z0-9%=&/:.é-]{0,60}")| {
            let line = format!("GET /a?expires=1795003600&X-Amz-Credential={query}&sig={query}");
            let _ = signed(b"k", &none, "a", &line, 7);
        });
    }
}
