//! What redaction promises, held against generated exchanges: no secret is left in any form, the
//! same secret has the same token, lengths and JSON types are kept, and the exchange can still be
//! read.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;

use super::rules::RedactRule;
use super::token::Tokens;
use super::{AnsweredRequest, KnownTokens, Redactor};
use crate::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use crate::limits;
use crate::message::{Body, Framing, Headers, Request, Response, content};
use crate::record::exchanges;
use crate::time::Timestamp;

/// The secrets of an exchange, by where the rules find them.
#[derive(Clone, Debug)]
struct ExchangeSecrets {
    bearer: String,
    password: String,
    cookie: String,
    key: String,
    card: String,
    email: String,
    pin: u32,
}

fn secret() -> impl Strategy<Value = String> {
    // At least one long run, so that nothing is found by chance; signs that each encoding treats in
    // its own way.
    ("[a-zA-Z0-9]{8,20}", "[a-zA-Z0-9 +/=&%\"\\\\é漢_.!-]{0,12}", "[a-zA-Z0-9]{8}")
        .prop_map(|(a, b, c)| format!("{a}{b}{c}"))
}

fn token68() -> impl Strategy<Value = String> {
    // As above: signs alone stay as they are.
    "[a-zA-Z0-9]{8}[a-zA-Z0-9_~.-]{4,32}"
}

fn secrets() -> impl Strategy<Value = ExchangeSecrets> {
    (
        token68(),
        secret(),
        token68(),
        token68(),
        "4[0-9]{14}",
        "[a-z]{6,12}",
        "[a-z]{6,12}",
        100_000_000u32..999_999_999,
    )
        .prop_map(|(bearer, password, cookie, key, digits, user, host, pin)| {
            let mut card = digits + "0";
            let check = (10 - super::shapes::luhn(card.as_bytes())) % 10;
            card.replace_range(15.., &check.to_string());
            ExchangeSecrets {
                bearer,
                password,
                cookie,
                key,
                card,
                email: format!("{user}@{host}.com"),
                pin,
            }
        })
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn compressed(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(body, 1).unwrap(),
        "br" => {
            let mut out = Vec::new();
            brotli::BrotliCompress(
                &mut &body[..],
                &mut out,
                &brotli::enc::BrotliEncoderParams::default(),
            )
            .unwrap();
            out
        }
        _ => body.to_vec(),
    }
}

fn exchange(secrets: &ExchangeSecrets, kind: &str, coding: &str) -> Exchange {
    let ExchangeSecrets { bearer, password, cookie, key, card, email, pin } = secrets;
    let json = serde_json::json!({
        "user": { "name": "joe", "password": password, "pin": pin, "admin": true },
        "cards": [{ "number": card, "exp": "12/30" }],
        "note": format!("mail to {email} about {key}, or {}", percent(password)),
        "session_token": cookie, "null": null, "price": 12.5,
    })
    .to_string();
    let (content_type, content) = match kind {
        "json" => ("application/json", json),
        "form" => (
            "application/x-www-form-urlencoded",
            format!("a=1&password={}&card={card}&mail={}", percent(password), percent(email)),
        ),
        "multipart" => (
            "multipart/form-data; boundary=\"xYz\"",
            format!(
                "--xYz\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{password}\r\n\
                 --xYz\r\nContent-Disposition: form-data; \
                 name=\"data\"\r\nContent-Type: application/json\r\n\r\n{json}\r\n--xYz--\r\n"
            ),
        ),
        "xml" => (
            "text/xml",
            format!(
                "<?xml version=\"1.0\"?><a \
                 token='{key}'><s:sessionToken>{cookie}</s:sessionToken><b>{email} {card}</b></a>"
            ),
        ),
        _ => (
            "text/plain",
            format!("card {card}, {email}; eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
        ),
    };
    let body = compressed(coding, content.as_bytes());
    let mut headers = Headers::new();
    headers.push(b"Host", b"shop.local");
    headers.push(b"Authorization", format!("Bearer {bearer}").as_bytes());
    headers.push(
        b"Proxy-Authorization",
        format!("Basic {}", STANDARD.encode(format!("joe:{password}"))).as_bytes(),
    );
    headers.push(b"Cookie", format!("theme=dark; sid={cookie}").as_bytes());
    headers.push(b"X-Api-Key", key.as_bytes());
    headers.push(b"Content-Type", content_type.as_bytes());
    headers.push(b"Content-Length", body.len().to_string().as_bytes());
    headers.push(b"Content-Encoding", coding.as_bytes());
    // What the answer repeats, where no rule says that there is a secret.
    let echo = format!(
        "you sent {bearer} and {} and {} and {cookie}",
        percent(password),
        STANDARD.encode(format!("xy{key}z"))
    );
    let echo_body = compressed(coding, echo.as_bytes());
    let mut answer = Headers::new();
    answer.push(b"Set-Cookie", format!("sid={cookie}; Path=/; HttpOnly").as_bytes());
    answer.push(b"X-Debug", format!("key was {key}").as_bytes());
    answer.push(b"Location", format!("/next?token={}&q=1", percent(bearer)).as_bytes());
    answer.push(b"Content-Type", b"text/plain");
    answer.push(b"Content-Encoding", coding.as_bytes());
    answer.push(b"Content-Length", echo_body.len().to_string().as_bytes());
    Exchange {
        carriage: None,
        id: ExchangeId { connection: 1, ordinal: 0 },
        client: "10.0.0.9:40112".parse().unwrap(),
        server: "10.0.0.1:8080".parse().unwrap(),
        protocol: "http/1".to_owned(),
        completeness: Completeness::Complete,
        request: Some(TimedRequest {
            at: Timestamp::from_nanos(1_795_341_600_000_123_456),
            duration_ns: 7,
            message: Request {
                method: Bytes::from_static(b"POST"),
                target: Bytes::from(format!(
                    "/login/{}?api_key={key}&mail={}",
                    percent(email),
                    percent(email)
                )),
                headers,
                body: Body::whole(body),
                framing: Framing::ContentLength,
                ..Request::default()
            },
        }),
        response: Some(TimedResponse {
            at: Timestamp::from_nanos(1_795_341_600_000_123_457),
            first_byte_ns: Some(1),
            last_byte_ns: Some(1),
            message: Response {
                status: 200,
                headers: answer,
                body: Body::whole(echo_body),
                framing: Framing::ContentLength,
                ..Response::default()
            },
        }),
        interim: vec![],
        opened_at: None,
        handshake_ns: None,
        marks: vec![],
        closed: vec![],
    }
}

/// An answer that repeats what it was asked with, and holds secrets of its own.
fn answer(echoed: &ExchangeSecrets, own: &ExchangeSecrets, kind: &str, coding: &str) -> Response {
    let mut response = exchange(echoed, kind, coding).response.unwrap().message;
    // The body that a request of this kind would have.
    let own = exchange(own, kind, coding).request.unwrap().message;
    response.body = own.body;
    response.headers =
        response.headers.iter().filter(|(name, _)| !name.starts_with(b"Content-")).collect();
    for name in ["Content-Type", "Content-Length", "Content-Encoding"] {
        response.headers.push(name.as_bytes(), own.headers.get(name).unwrap());
    }
    response
}

/// What each secret is replaced by.
fn tokens(secrets: &ExchangeSecrets, key: &[u8]) -> ExchangeSecrets {
    let tokens = Tokens::new(key);
    let token = |secret: &String| String::from_utf8(tokens.token(secret.as_bytes())).unwrap();
    ExchangeSecrets {
        bearer: token(&secrets.bearer),
        password: token(&secrets.password),
        cookie: token(&secrets.cookie),
        key: token(&secrets.key),
        card: token(&secrets.card),
        email: token(&secrets.email),
        pin: secrets.pin,
    }
}

/// Everything that a reader of the exchange can get at: the line as it is written, and the bodies
/// decoded.
fn all_text(exchange: &Exchange) -> Vec<u8> {
    let mut out = Vec::new();
    exchanges::write(&mut out, exchange);
    let request =
        exchange.request.as_ref().map(|request| (&request.message.headers, &request.message.body));
    let response = exchange
        .response
        .as_ref()
        .map(|response| (&response.message.headers, &response.message.body));
    for (headers, body) in request.into_iter().chain(response) {
        out.extend_from_slice(
            &content::decode(&body.bytes, headers.all("content-encoding"), limits::BODY_BYTES)
                .unwrap(),
        );
        out.push(b'\n');
        for (_, value) in headers.iter() {
            out.extend_from_slice(value);
            // What stands behind the Basic scheme.
            if let Some(decoded) = value
                .rsplit(|&byte| byte == b' ')
                .next()
                .and_then(|word| STANDARD.decode(word).ok())
            {
                out.extend_from_slice(&decoded);
            }
            out.push(b'\n');
        }
    }
    out
}

fn assert_gone(text: &[u8], secret: &str) {
    let mut forms = vec![
        secret.to_owned(),
        percent(secret),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
    ];
    for offset in 0..3 {
        // Without the signs that share bits with what stands around.
        let encoded = STANDARD.encode(format!("{}{secret}", &"xyz"[..offset]));
        forms.push(encoded[4.min(offset * 4)..encoded.len() - 4].to_owned());
    }
    for form in forms {
        let found = memchr::memmem::find(text, form.as_bytes());
        assert!(
            found.is_none(),
            "{secret:?} is left as {form:?} in {}",
            String::from_utf8_lossy(text)
        );
    }
}

fn same_types(old: &serde_json::Value, new: &serde_json::Value) {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match (old, new) {
        (Object(old), Object(new)) => {
            assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
            old.values().zip(new.values()).for_each(|(old, new)| same_types(old, new));
        }
        (Array(old), Array(new)) => {
            assert_eq!(old.len(), new.len());
            old.iter().zip(new).for_each(|(old, new)| same_types(old, new));
        }
        (String(old), String(new)) => assert_eq!(old.len(), new.len()),
        (Number(old), Number(new)) => assert_eq!(old.is_f64(), new.is_f64()),
        (Null, Null) | (Bool(_), Bool(_)) => assert_eq!(old, new),
        _ => panic!("{old} became {new}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_secret_is_left_and_all_forms_are_kept(
        secrets in secrets(),
        kind in prop::sample::select(vec!["json", "form", "multipart", "xml", "text"]),
        coding in prop::sample::select(vec!["identity", "gzip", "br", "zstd"])
    ) {
        let redactor = Redactor::new(&[RedactRule::Default], b"a key for tests");
        let before = exchange(&secrets, kind, coding);
        let mut after = before.clone();
        prop_assert!(redactor.apply(&mut after) > 0);
        let text = all_text(&after);
        for secret in [
            &secrets.bearer,
            &secrets.password,
            &secrets.cookie,
            &secrets.key,
            &secrets.card,
            &secrets.email,
        ] {
            assert_gone(&text, secret);
        }
        if matches!(kind, "json" | "multipart") {
            assert_gone(&text, &secrets.pin.to_string());
        }
        // The same token wherever the secret stood.
        let (request, response) =
            (&after.request.as_ref().unwrap().message, &after.response.as_ref().unwrap().message);
        let header = |headers: &Headers, name: &str| {
            String::from_utf8(headers.get(name).unwrap().to_vec()).unwrap()
        };
        let bearer =
            header(&request.headers, "authorization").strip_prefix("Bearer ").unwrap().to_owned();
        let key = header(&request.headers, "x-api-key");
        let cookie = header(&request.headers, "cookie").split("sid=").nth(1).unwrap().to_owned();
        prop_assert_eq!(
            header(&response.headers, "set-cookie"),
            format!("sid={cookie}; Path=/; HttpOnly")
        );
        prop_assert_eq!(header(&response.headers, "x-debug"), format!("key was {key}"));
        let api_key = format!("?api_key={key}&");
        prop_assert!(String::from_utf8_lossy(&request.target).contains(&api_key));
        let echo = String::from_utf8(response.body.bytes.to_vec()).unwrap();
        prop_assert!(echo.starts_with(&format!("you sent {bearer} and ")), "{}", echo);
        prop_assert!(echo.ends_with(&format!(" and {cookie}")), "{}", echo);
        // Lengths: of every header's value, of the content, and of what Content-Length says.
        let old = &before.request.as_ref().unwrap().message;
        prop_assert_eq!(request.target.len(), old.target.len());
        for name in ["authorization", "proxy-authorization", "cookie", "x-api-key"] {
            prop_assert_eq!(
                header(&request.headers, name).len(),
                header(&old.headers, name).len(),
                "{}",
                name
            );
        }
        let plain = content::decode(
            &old.body.bytes,
            old.headers.all("content-encoding"),
            limits::BODY_BYTES,
        )
        .unwrap();
        prop_assert_eq!(request.body.bytes.len(), plain.len());
        prop_assert_eq!(
            header(&request.headers, "content-length"),
            request.body.bytes.len().to_string()
        );
        prop_assert!(request.headers.get("content-encoding").is_none() || coding == "identity");
        if kind == "json" {
            same_types(
                &serde_json::from_slice(&plain).unwrap(),
                &serde_json::from_slice(&request.body.bytes).unwrap(),
            );
        }
        // It is still an exchange, and another run under the same key says the same.
        let mut line = Vec::new();
        exchanges::write(&mut line, &after);
        let exchanges::Line::Exchange(read) = exchanges::read(line.trim_ascii_end()).unwrap()
        else {
            panic!("not an exchange")
        };
        prop_assert_eq!(&*read, &after);
        let mut again = before;
        redactor.apply(&mut again);
        prop_assert_eq!(again, after);
    }

    /// v2 answers as v1 did: with what the request holds, which are tokens where the recording is
    /// redacted, and with secrets of its own, which are the real ones.
    #[test]
    fn equal_answers_are_equal_once_redacted_and_hold_no_secret(
        secrets in secrets(),
        own in secrets(),
        kind in prop::sample::select(vec!["json", "form", "multipart", "xml", "text"]),
        coding in prop::sample::select(vec!["identity", "gzip", "br", "zstd"]),
        broken_off in any::<bool>()
    ) {
        let key = b"a key for tests";
        let redactor = Redactor::new(&[RedactRule::Default], key);
        let mut v1 = exchange(&secrets, kind, coding);
        let asked = v1.request.as_ref().unwrap().message.clone();
        v1.response.as_mut().unwrap().message = answer(&secrets, &own, kind, coding);
        redactor.apply(&mut v1);
        let (recorded, expected) = (v1.request.unwrap().message, v1.response.unwrap().message);
        let mut known = KnownTokens::default();
        redactor.learn(&recorded, &mut known);
        let real = AnsweredRequest { request: Some(&asked), ..AnsweredRequest::default() };
        let redacted = AnsweredRequest {
            request: Some(&recorded),
            known: Some(&known),
            ..AnsweredRequest::default()
        };
        for (asked, echoed) in [(real, secrets.clone()), (redacted, tokens(&secrets, key))] {
            let mut v2 = answer(&echoed, &own, kind, coding);
            if broken_off {
                let half = v2.body.bytes.len() / 2;
                v2.body.bytes.truncate(half);
            }
            redactor.answer(asked, &mut v2, !broken_off);
            if broken_off {
                prop_assert!(v2.body.bytes.is_empty(), "too near to the cut");
            } else {
                prop_assert_eq!(&v2, &expected);
            }
            let mut outcome = Exchange { request: None, ..exchange(&own, kind, coding) };
            outcome.response.as_mut().unwrap().message = v2;
            let text = all_text(&outcome);
            let ExchangeSecrets { password, cookie, key, card, email, .. } = &own;
            // Those that the body names, or that are known by their look.
            let found = match kind {
                "json" | "multipart" => vec![password, cookie, card, email],
                "form" => vec![password, card, email],
                "xml" => vec![key, cookie, card, email],
                _ => vec![card, email],
            };
            for secret in found {
                assert_gone(&text, secret);
            }
        }
    }

    #[test]
    fn anything_may_come(
        target in prop::collection::vec(any::<u8>(), 0..80),
        value in prop::collection::vec(any::<u8>(), 0..80),
        body in prop::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec!["json", "form", "multipart", "xml", "text"])
    ) {
        let rules: Vec<RedactRule> = ["default", "json:$..a", r"pattern:[a-c]+(\d+)?"]
            .iter()
            .map(|rule| rule.parse().unwrap())
            .collect();
        let redactor = Redactor::new(&rules, b"key");
        let secrets = ExchangeSecrets {
            bearer: String::new(),
            password: String::new(),
            cookie: String::new(),
            key: String::new(),
            card: String::new(),
            email: String::new(),
            pin: 0,
        };
        let mut one = exchange(&secrets, kind, "identity");
        let message = &mut one.request.as_mut().unwrap().message;
        message.target = Bytes::from(target);
        message.headers.push(b"Cookie", &value);
        message.headers.push(b"Authorization", &value);
        message.headers.push(b"Referer", &value);
        message.body = Body::whole(body);
        let length = message.body.bytes.len();
        redactor.apply(&mut one);
        prop_assert_eq!(one.request.unwrap().message.body.bytes.len(), length);
    }
}

#[test]
fn rules_of_the_user_reach_what_they_name_and_nothing_else() {
    let rules: Vec<RedactRule> = [
        "json:$.user.id",
        "header:X-Customer",
        "query:q",
        "form:street",
        "cookie:theme",
        r"pattern:order-(\d+)",
    ]
    .iter()
    .map(|rule| rule.parse().unwrap())
    .collect();
    let redactor = Redactor::new(&rules, b"key");
    let secrets = ExchangeSecrets {
        bearer: "bearer-bearer".to_owned(),
        password: "password-password".to_owned(),
        cookie: "cookie-cookie".to_owned(),
        key: "key-key-key".to_owned(),
        card: String::new(),
        email: String::new(),
        pin: 7,
    };
    let mut one = exchange(&secrets, "json", "identity");
    let message = &mut one.request.as_mut().unwrap().message;
    message.target = Bytes::from_static(b"/order-12345?q=shoes&token=kept");
    message.headers.push(b"X-Customer", b"C-1001");
    message.body = Body::whole(&br#"{"user":{"id": 4711,"password":"kept"},"id":4711}"#[..]);
    assert_eq!(redactor.apply(&mut one), 6, "and q in the answer's Location");
    let message = &one.request.as_ref().unwrap().message;
    let target = String::from_utf8_lossy(&message.target);
    assert!(
        target.starts_with("/order-")
            && !target.contains("12345")
            && !target.contains("shoes")
            && target.ends_with("&token=kept"),
        "{target}"
    );
    let body = String::from_utf8_lossy(&message.body.bytes);
    assert!(
        !body.contains(r#""id": 4711"#) && body.ends_with(r#","password":"kept"},"id":4711}"#),
        "{body}"
    );
    assert_ne!(message.headers.get("x-customer"), Some(&b"C-1001"[..]));
    let cookie = String::from_utf8_lossy(message.headers.get("cookie").unwrap());
    assert!(!cookie.contains("dark") && cookie.ends_with("; sid=cookie-cookie"), "{cookie}");
    assert_eq!(message.headers.get("authorization"), Some(&b"Bearer bearer-bearer"[..]));
}

#[test]
fn a_body_that_cannot_be_decoded_is_left_out() {
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    let secrets = ExchangeSecrets {
        bearer: String::new(),
        password: "hunter2hunter2".to_owned(),
        cookie: String::new(),
        key: String::new(),
        card: String::new(),
        email: String::new(),
        pin: 0,
    };
    let mut one = exchange(&secrets, "json", "gzip");
    let body = &mut one.request.as_mut().unwrap().message.body;
    let whole = body.bytes.len();
    body.bytes = body.bytes.slice(..whole - 10);
    body.length = body.bytes.len() as u64;
    redactor.apply(&mut one);
    assert!(one.request.unwrap().message.body.bytes.is_empty());
    assert_eq!(one.marks, ["body left out by redaction: it cannot be decoded"]);
}

fn json_answer(body: &str) -> Response {
    let mut headers = Headers::new();
    headers.push(b"Content-Type", b"application/json");
    Response {
        status: 200,
        headers,
        body: Body::whole(body.as_bytes().to_vec()),
        ..Response::default()
    }
}

fn text_of(response: &Response) -> String {
    String::from_utf8(response.body.bytes.to_vec()).unwrap()
}

#[test]
fn a_token_that_v2_kept_stays_in_the_answer_to_another_request() {
    let redactor = Redactor::new(&[RedactRule::Default, "json:$.pin".parse().unwrap()], b"key");
    let login = Request {
        target: Bytes::from_static(b"/login?email=joe.black@shop.example&password=open-sesame"),
        body: Body::whole(&br#"{"pin":4711}"#[..]),
        ..Request::default()
    };
    let mut exchange = Exchange { request: None, ..exchange(&nothing(), "text", "identity") };
    exchange.request =
        Some(TimedRequest { at: Timestamp::default(), duration_ns: 0, message: login });
    redactor.apply(&mut exchange);
    let login = exchange.request.take().unwrap().message;
    let target = String::from_utf8(login.target.to_vec()).unwrap();
    let (email, password) =
        target.strip_prefix("/login?email=").unwrap().split_once("&password=").unwrap();
    let pin = text_of(&Response { body: login.body.clone(), ..Response::default() });
    let mut known = KnownTokens::default();
    redactor.learn(&login, &mut known);
    let other = Request::default();
    let asked = AnsweredRequest {
        request: Some(&other),
        known: Some(&known),
        ..AnsweredRequest::default()
    };
    let mut profile = json_answer(&format!(
        r#"{{"mail":"{email}","password":"{password}","token":"v2s-own-token"}}"#
    ));
    redactor.answer(asked, &mut profile, true);
    let shown = text_of(&profile);
    assert!(
        shown.starts_with(&format!(r#"{{"mail":"{email}","password":"{password}","token":""#)),
        "{shown}"
    );
    assert!(!shown.contains("v2s-own-token"), "{shown}");
    // A short one is known only in the answer to its own request: elsewhere it may be a secret that
    // is equal by chance.
    let mut short = json_answer(&pin);
    redactor.answer(asked, &mut short, true);
    assert_ne!(text_of(&short), pin);
    let mut short = json_answer(&pin);
    redactor.answer(AnsweredRequest { request: Some(&login), ..asked }, &mut short, true);
    assert_eq!(text_of(&short), pin);
}

#[test]
fn a_credential_that_was_given_for_the_replay_is_no_token() {
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    let mut headers = Headers::new();
    headers.push(b"authorization", b"Bearer staging-credential");
    let request = Request { headers, ..Request::default() };
    let given = ["Authorization".to_owned()];
    let known = KnownTokens::default();
    let mut answer = json_answer(r#"{"note":"you are staging-credential"}"#);
    redactor.answer(
        AnsweredRequest {
            request: Some(&request),
            given: &given,
            known: Some(&known),
            ..AnsweredRequest::default()
        },
        &mut answer,
        true,
    );
    assert!(!text_of(&answer).contains("staging"), "{answer:?}");
}

#[test]
fn no_half_of_a_secret_is_left_where_a_body_was_cut() {
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    let text = format!("{} joe.black@shop.example", "word ".repeat(20_000));
    let cut_at = text.len() - 8;
    // Cut by a limit, with a hash of all; or broken off, where nothing tells it but the outcome.
    let by_limit = Body {
        bytes: Bytes::from(text[..cut_at].to_owned()),
        length: text.len() as u64,
        sha256: Some([7; 32]),
    };
    let broken_off = Body::whole(text.as_bytes()[..cut_at].to_vec());
    for (body, is_whole) in [(by_limit, true), (broken_off, false)] {
        let mut answer = Response { body: body.clone(), ..json_answer("") };
        redactor.answer(AnsweredRequest::default(), &mut answer, is_whole);
        assert!(!text_of(&answer).contains("joe") && answer.body.bytes.len() > 80_000);
        assert_eq!((answer.body.length, answer.body.sha256), (body.length, body.sha256));
        let mut damaged = Exchange { request: None, ..exchange(&nothing(), "text", "identity") };
        damaged.completeness =
            if is_whole { Completeness::Complete } else { Completeness::ResponseDamaged };
        damaged.response.as_mut().unwrap().message = Response { body, ..json_answer("") };
        redactor.apply(&mut damaged);
        assert_eq!(damaged.response.unwrap().message.body, answer.body, "in a recording too");
    }
    // A whole secret further ahead has its token, and the hash of what held it is gone.
    let mut body = Body::whole(format!("mail jane@shop.example {text}").into_bytes());
    (body.length, body.sha256) = (body.length + 1, Some([7; 32]));
    let mut answer = Response { body, ..json_answer("") };
    redactor.answer(AnsweredRequest::default(), &mut answer, true);
    assert!(
        !text_of(&answer).contains("jane") && answer.body.sha256.is_none() && answer.body.is_cut()
    );
}

fn nothing() -> ExchangeSecrets {
    let none = String::new;
    ExchangeSecrets {
        bearer: none(),
        password: none(),
        cookie: none(),
        key: none(),
        card: none(),
        email: none(),
        pin: 0,
    }
}

/// An answer that repeats a request's body and credentials as a page, a text and a member of JSON.
fn repeated(request: &Request, kind: &str) -> Response {
    let body = String::from_utf8_lossy(&request.body.bytes);
    let credentials = request.headers.get("authorization").unwrap_or_default();
    let said = format!("Authorization: {}\n{body}", String::from_utf8_lossy(credentials));
    let said = match kind {
        "application/json" => serde_json::json!({ "data": said }).to_string(),
        "text/html" => {
            let text = said.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
            format!("<html><body><pre>{text}</pre></body></html>")
        }
        _ => format!("you sent\n{said}\n"),
    };
    let mut headers = Headers::new();
    headers.push(b"Content-Type", kind.as_bytes());
    Response { status: 200, headers, body: Body::whole(said.into_bytes()), ..Response::default() }
}

#[test]
fn what_is_repeated_as_it_was_written_compares_equal_in_a_replay() {
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    let form = "application/x-www-form-urlencoded";
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for (kind, body, authorization) in [
        (form, "password=P%40ssw0rd%21&a=1", String::new()),
        (form, "password=correct+horse+battery", String::new()),
        (form, "password=hunter2hunter2", String::new()),
        (form, "card=4111+1111+1111+1111", String::new()),
        ("application/json", r#"{"password":"pa\"ssw0rd99"}"#, String::new()),
        ("application/json", r#"{"password":"P\u00e4sswort99"}"#, String::new()),
        ("application/json", r#"{"password":"ab\/cd\/efghij"}"#, String::new()),
        ("application/json", r#"{"password":"p&ss<ssw0rd>efghij"}"#, String::new()),
        ("application/xml", "<u><password>p&amp;ssw0rd99</password></u>", String::new()),
        ("text/plain", "nothing", basic("joe:hunter2hunter2")),
        ("text/plain", "nothing", basic("joe:P@ssw0rd!")),
        ("text/plain", "nothing", "Bearer abcDEF123456xyzXYZ".to_owned()),
    ] {
        for answer_kind in ["application/json", "text/html", "text/plain"] {
            let mut recorded = exchange(&nothing(), "text", "identity");
            let mut headers = Headers::new();
            headers.push(b"Content-Type", kind.as_bytes());
            headers.push(b"Authorization", authorization.as_bytes());
            let request = Request {
                method: Bytes::from_static(b"POST"),
                target: Bytes::from_static(b"/echo"),
                headers,
                body: Body::whole(body.as_bytes().to_vec()),
                ..Request::default()
            };
            recorded.response.as_mut().unwrap().message = repeated(&request, answer_kind);
            recorded.request.as_mut().unwrap().message = request;
            redactor.apply(&mut recorded);
            let asked = recorded.request.unwrap().message;
            let v1 = recorded.response.unwrap().message;
            let mut known = KnownTokens::default();
            redactor.learn(&asked, &mut known);
            let mut v2 = repeated(&asked, answer_kind);
            let asked = AnsweredRequest {
                request: Some(&asked),
                known: Some(&known),
                ..AnsweredRequest::default()
            };
            redactor.answer(asked, &mut v2, true);
            assert_eq!(text_of(&v2), text_of(&v1), "{body} {authorization} {answer_kind}");
            for part in ["ssw0rd", "hunter2", "battery", "1111", "sswort", "efghij", "abcDEF"] {
                assert!(!text_of(&v1).contains(part), "{v1:?}");
            }
        }
    }
}
