//! That recordings hide what reports hide: one table of places, in which both must find a secret
//! that is made anew for each case.

use proptest::prelude::*;

use super::rules::RedactRule;
use super::{Masker, Redactor};
use crate::exchange::{Completeness, Exchange, ExchangeId, TimedResponse};
use crate::message::{Body, Headers, Response};
use crate::time::Timestamp;

/// Texts and targets with a secret in the place of `S`, by the type that they are sent with.
const PLACES: &[(&str, &str)] = &[
    ("application/json", r#"{"a":{"nested":{"secret":{"deep":["x",{"y":"S"}]}}}}"#),
    ("application/json", r#"{"passwords":["first","S"]}"#),
    ("application/json", r#"{"session":{"id":"S"},"credit_card":"1"}"#),
    ("application/json", r#"{"credit_card":{"holder":"S"}}"#),
    ("application/json", r#"{"iban":"S","cvv":"S","pan":"S","card_number":"S"}"#),
    ("application/json", r#"{"next":"https://x.example/cb?state=1&access_token=S#x"}"#),
    ("application/json", r#"{"log":"Authorization: Bearer S\nHost: x"}"#),
    ("application/json", r#"{"embedded":"{\"password\":\"S\"}"}"#),
    ("application/json", "{\"a\":1}\n{\"token\":\"S\"}\n"),
    ("text/plain", "[info] Authorization: Bearer S\n"),
    ("text/plain", "Authorization: Bearer S\npassword=1\n"),
    ("text/plain", "GET / HTTP/1.1\r\nCookie: theme=1; sid=S\r\nX-Api-Key: S\r\n\r\n"),
    ("text/plain", "it was Basic S7 that came"),
    ("text/plain", "user=joe password=S host=db"),
    ("text/plain", "see https://x.example/?code=S&state=1 and /cb#id_token=S"),
    ("text/plain", "password: S\n"),
    ("text/html", "<a href=\"/x?a=1&amp;token=S\">t</a>"),
    (
        "text/html",
        "<form><input type=hidden name=csrf_token value=S></form><input id='password' value = 'S'>",
    ),
    ("text/html", "<script>var config = {csrfToken: 'S'}; x(\"a\")</script><!-- password=S -->"),
    ("text/html", "<p data-api-key=\"S\">Authorization: Bearer S</p>"),
    ("text/html", "<meta content=\"S\" name=\"csrf-token\">"),
    ("application/xml", "<u><password>S</password><t token=\"S\"/></u>"),
    (
        "application/xml",
        "<u><c:credentials xmlns:c='urn:c'><a \
         b='S'>S</a><d><![CDATA[S]]></d></c:credentials><e/></u>",
    ),
    (
        "application/x-www-form-urlencoded",
        "a=1&password=S&user%5Btoken%5D=S&next=%2Fcb%3Ftoken%3DS",
    ),
    (
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nS\r\n--bb--\r\n",
    ),
];

/// Values of headers with a secret in the place of `S`.
const HEADERS: &[(&str, &str)] = &[
    ("Location", "/cb?code=S&access_token=S&state=1"),
    ("Location", "https://x.example/cb#access_token=S&token_type=bearer"),
    ("Location", "cb?access_token=S"),
    ("Location", "/#/cb?access_token=S"),
    ("Content-Location", "/x?token=S"),
    ("Link", "<https://x.example/?page=2&api_key=S>; rel=\"next\", </y?token=S>; rel=prev"),
    ("Refresh", "5; url=/x?token=S"),
    ("Referer", "https://x.example/?next=%2Fcb%3Faccess_token%3DS"),
    ("X-Original-Request", "Authorization: Bearer S"),
    ("Authorization", "Bearer S"),
    ("Set-Cookie", "sid=S; Path=/"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn recordings_hide_what_reports_hide_and_equal_secrets_stay_equal(
        one in "[a-z]{4}[A-Z][0-9a-zA-Z_~.-]{6,24}[a-zA-Z0-9]{2}",
        other in "[a-z]{4}[A-Z][0-9a-zA-Z_~.-]{6,24}[a-zA-Z0-9]{2}"
    ) {
        prop_assume!(one != other);
        let (masker, redactor) =
            (Masker::new(b"key"), Redactor::new(&[RedactRule::Default], b"key"));
        let mask = masker.secret(&one).into_owned();
        let gone =
            |text: &str, secret: &str| !text.contains(secret) && !text.contains(&secret[..8]);
        for (kind, template) in PLACES {
            let (text, different) = (template.replace('S', &one), template.replace('S', &other));
            let shown = masker.text(&text).into_owned();
            prop_assert!(gone(&shown, &one) && shown.contains("‹masked:"), "{shown}");
            prop_assert!(shown.contains(&mask) || template.contains("S7"), "{shown}");
            prop_assert_eq!(masker.text(&shown), shown.as_str(), "what is masked stays as it is");
            prop_assert_ne!(masker.text(&different), shown.as_str());
            let mut recorded = message(kind, &text, None);
            prop_assert!(redactor.apply(&mut recorded) > 0, "{text}");
            let body =
                String::from_utf8(recorded.response.unwrap().message.body.bytes.to_vec()).unwrap();
            prop_assert!(gone(&body, &one), "{body}");
            prop_assert_eq!(body.len(), text.len(), "{}", body);
            if *kind == "application/json" && !template.contains('\n') {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
            }
        }
        for (name, template) in HEADERS {
            let value = template.replace('S', &one);
            let shown = masker.header(name, &value).into_owned();
            prop_assert!(gone(&shown, &one) && shown.contains(&mask), "{shown}");
            prop_assert_eq!(masker.header(name, &shown), shown.as_str());
            let mut recorded = message("text/plain", "x", Some((name, &value)));
            prop_assert!(redactor.apply(&mut recorded) > 0, "{value}");
            let new = String::from_utf8(
                recorded.response.unwrap().message.headers.get(name).unwrap().to_vec(),
            )
            .unwrap();
            prop_assert!(gone(&new, &one), "{new}");
            prop_assert_eq!(new.len(), value.len());
        }
    }

    #[test]
    fn masking_takes_any_text(
        text in any::<String>(),
        lines in prop::collection::vec(
            "[a-z<>{}\\[\\]\"'=:;&?#%\\\\ é漢\n]{0,12}(password|token|Bearer|Cookie)?[=: \"'<>\\[{&\
             %]{0,3}",
            0..8,
        )
    ) {
        let masker = Masker::new(b"key");
        for text in [text, lines.concat()] {
            masker.text(&text);
            masker.target(&text);
            masker.header("location", &text);
            masker.place(&text, &text);
            let mut recorded = message("", &text, Some(("Link", &text.replace(['\r', '\n'], " "))));
            let length = text.len();
            Redactor::new(&[RedactRule::Default], b"key").apply(&mut recorded);
            prop_assert_eq!(recorded.response.unwrap().message.body.bytes.len(), length);
        }
    }
}

/// An exchange with nothing in it but a body, and perhaps a header, of the answer.
fn message(kind: &str, body: &str, header: Option<(&str, &str)>) -> Exchange {
    let mut headers = Headers::new();
    headers.push(b"Content-Type", kind.as_bytes());
    if let Some((name, value)) = header {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    let message = Response {
        status: 200,
        headers,
        body: Body::whole(body.as_bytes().to_vec()),
        ..Response::default()
    };
    Exchange {
        carriage: None,
        id: ExchangeId { connection: 1, ordinal: 0 },
        client: "10.0.0.9:40112".parse().unwrap(),
        server: "10.0.0.1:8080".parse().unwrap(),
        protocol: "http/1".to_owned(),
        completeness: Completeness::Complete,
        request: None,
        response: Some(TimedResponse {
            at: Timestamp::default(),
            first_byte_ns: Some(1),
            last_byte_ns: Some(1),
            message,
        }),
        interim: vec![],
        opened_at: None,
        handshake_ns: None,
        marks: vec![],
        closed: vec![],
    }
}
