//! A command line that repeats a request: at v2, or at a mock of its provider.

use super::header_table::{BUILT_IN, How};
use crate::message::Request;
use crate::message::target::origin_form;
use crate::record::curl::quoted;
use crate::redact::{Echoes, Masker};

/// Longest body that a command line carries, in bytes.
const MAX_BODY: usize = 4 << 10;

/// Where command lines that repeat outgoing calls send them: a mock on this machine, never a
/// provider.
pub const MOCK: &str = "http://127.0.0.1:9099";

/// `curl …` for an outgoing call, at [`MOCK`] whatever its target's form, secrets masked. `target`
/// is in origin form.
pub fn call(host: &str, target: &str, request: &Request, masker: &Masker) -> String {
    let mut asked = Request {
        method: request.method.clone(),
        target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }
            .into(),
        body: request.body.clone(),
        ..Request::default()
    };
    asked.headers.push(b"Host", host.as_bytes());
    for (name, value) in
        request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"))
    {
        asked.headers.push(name, value);
    }
    curl(MOCK, &asked, masker, None)
}

/// `curl …` for a request of the replay at the server that it was sent to; where its host was
/// `mapped` to that server, with the server's own.
pub fn at(target: &str, mapped: bool, request: &Request, masker: &Masker, id: &str) -> String {
    if !mapped {
        return curl(target, request, masker, Some(id));
    }
    let headers =
        request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host")).collect();
    curl(target, &Request { headers, ..request.clone() }, masker, Some(id))
}

/// `curl …` for `request` at `target`, secrets masked. A body that is no text or too long for a
/// command line is taken from the run's records by the exchange's `id`; where it is not in them the
/// line says so.
pub(super) fn curl(target: &str, request: &Request, masker: &Masker, id: Option<&str>) -> String {
    let mut line = masked(target, request, masker, id);
    Echoes::of(masker, request, &[]).hide(&mut line);
    line
}

fn masked(target: &str, request: &Request, masker: &Masker, id: Option<&str>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A target in absolute form names the captured server, which no line may lead to.
    let path = origin_form(&request.target);
    let path = masker.target(&path);
    let base = target.trim_end_matches('/');
    let slash = if path.starts_with('/') { "" } else { "/" };
    let is_asterisk = &request.target[..] == b"*";
    let url = if is_asterisk { base.to_owned() } else { format!("{base}{slash}{path}") };
    let mut line = String::from("curl -sS --globoff");
    let method = text(&request.method);
    match method.as_str() {
        "GET" => {}
        "HEAD" => line.push_str(" --head"),
        method => line.push_str(&format!(" -X {}", quoted(method))),
    }
    if is_asterisk {
        line.push_str(" --request-target '*'");
    }
    line.push(' ');
    line.push_str(&quoted(&url));
    for (name, value) in request.headers.iter() {
        let (name, value) = (text(name), text(value));
        let lower = name.to_ascii_lowercase();
        let of_connection = BUILT_IN.iter().any(|(known, how, why)| {
            *how == How::Ignored && *known == lower && why.starts_with("of the connection")
        });
        if of_connection || matches!(lower.as_str(), "content-length" | "expect") {
            continue;
        }
        line.push_str(&format!(
            " -H {}",
            quoted(&format!("{name}: {}", masker.header(&name, &value)))
        ));
    }
    let body = &request.body.bytes;
    if body.is_empty() && !request.body.is_cut() {
        return line;
    }
    match (std::str::from_utf8(body), id) {
        (Ok(body), _) if body.len() <= MAX_BODY && !request.body.is_cut() => {
            line + &format!(" --data-raw {}", quoted(&masker.text(body)))
        }
        (text, Some(id)) if !request.body.is_cut() => {
            let (member, decoded) =
                if text.is_ok() { ("utf8", "") } else { ("base64", " | base64 -d") };
            format!(
                "jq -j 'select(.id == \"{id}\").request.body.{member}' exchanges.jsonl{decoded} | \
                 {line} --data-binary @-"
            )
        }
        _ => {
            line + &format!(
                "  # and its body of {} bytes, which is not recorded here",
                request.body.length
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, Headers};

    #[test]
    fn the_command_line_is_safe_to_paste_and_holds_no_secret() {
        let mut headers = Headers::new();
        for (name, value) in [
            ("Host", "shop.local"),
            ("Connection", "close"),
            ("Content-Length", "9"),
            ("Authorization", "Bearer s3cret"),
        ] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let request = Request {
            method: "POST".into(),
            target: "/cart?x=1&n='; rm -rf /'".into(),
            headers,
            body: Body::whole(&b"it's\x1b me"[..]),
            ..Request::default()
        };
        let line = curl("http://v2:8080/", &request, &Masker::new(b"k"), None);
        let target = r"'http://v2:8080/cart?x=1&n='\''; rm -rf /'\'''";
        let start = format!(
            "curl -sS --globoff -X POST {target} -H 'Host: shop.local' \
             -H 'Authorization: Bearer ‹"
        );
        assert!(line.starts_with(&start), "{line}");
        assert!(line.ends_with(r"--data-raw $'it\'s\u001b me'"), "{line}");
        assert!(!line.contains("s3cret"));
        for (target, expected) in [
            ("http://prod.example:8080/a?b=1", "http://v2/a?b=1"),
            ("http://prod.example", "http://v2/"),
            ("prod.example:443", "http://v2/prod.example:443"),
            ("@prod.example/", "http://v2/@prod.example/"),
            ("*", "--request-target * http://v2"),
        ] {
            let request =
                Request { method: "GET".into(), target: target.into(), ..Request::default() };
            let line = curl("http://v2/", &request, &Masker::off(), None);
            assert_eq!(line.replace('\'', ""), format!("curl -sS --globoff {expected}"));
        }
        assert!(!line.contains("s3cret"));
        assert_eq!(
            curl(
                "http://v2",
                &Request { method: "GET".into(), target: "/".into(), ..Request::default() },
                &Masker::off(),
                None
            ),
            "curl -sS --globoff http://v2/"
        );
    }

    #[test]
    fn a_mapped_host_is_the_servers_own() {
        let mut headers = Headers::new();
        headers.push(b"host", b"shop.example");
        let request =
            Request { method: "GET".into(), target: "/a".into(), headers, ..Request::default() };
        let line = |mapped| at("http://v2:81", mapped, &request, &Masker::off(), "1-2");
        assert_eq!(line(true), "curl -sS --globoff http://v2:81/a");
        assert_eq!(line(false), "curl -sS --globoff http://v2:81/a -H 'host: shop.example'");
    }

    #[test]
    fn a_body_that_does_not_fit_comes_from_the_records_where_they_have_it() {
        let of = |body: Body, id| {
            let request =
                Request { method: "PUT".into(), target: "/".into(), body, ..Request::default() };
            curl("http://v2", &request, &Masker::off(), id)
        };
        let line = "curl -sS --globoff -X PUT http://v2/";
        let long = || Body::whole(vec![b'x'; MAX_BODY + 1]);
        assert_eq!(
            of(long(), Some("1-2")),
            format!(
                "jq -j 'select(.id == \"1-2\").request.body.utf8' exchanges.jsonl | {line} \
                 --data-binary @-"
            )
        );
        assert_eq!(
            of(Body::whole(&b"\xff"[..]), Some("1-2")),
            format!(
                "jq -j 'select(.id == \"1-2\").request.body.base64' exchanges.jsonl | base64 -d | \
                 {line} --data-binary @-"
            )
        );
        let cut = Body { length: 9_000, ..Body::whole(&b"beginning"[..]) };
        for (body, id, length) in [(long(), None, MAX_BODY + 1), (cut, Some("1-2"), 9_000)] {
            assert_eq!(
                of(body, id),
                format!("{line}  # and its body of {length} bytes, which is not recorded here")
            );
        }
    }

    #[test]
    fn an_outgoing_call_is_repeated_at_a_mock_and_never_at_its_provider() {
        let mut headers = Headers::new();
        headers.push(b"host", b"elsewhere.example");
        headers.push(b"Accept", b"*/*");
        let request = Request {
            method: "POST".into(),
            target: "http://payments.example/v1/charges".into(),
            headers,
            body: Body::whole(&b"{}"[..]),
            ..Request::default()
        };
        assert_eq!(
            call("payments.example", "/v1/charges", &request, &Masker::off()),
            "curl -sS --globoff -X POST http://127.0.0.1:9099/v1/charges -H 'Host: \
             payments.example' -H 'Accept: */*' --data-raw '{}'"
        );
        let line = call("payments.example", "http://payments.example/", &request, &Masker::off());
        assert!(line.contains(" http://127.0.0.1:9099/http://payments.example/ "), "{line}");
    }
}
