//! What a file is that is no input, by its first bytes, and what to do with it: somebody named the
//! wrong one, or one that another program turns into a recording.

/// A kind of file that people name by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKind {
    /// With its article: `a zip archive`.
    pub name: &'static str,
    /// What to do, as an imperative; empty where there is nothing to be done.
    pub advice: &'static str,
}

const AGAIN: &str = "decompress it, or compress it by gzip or zstd";
const AS_HAR: &str = "export a HAR there";

/// Kinds by the bytes that they begin with.
const BEGINNINGS: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive", "unpack it and name a file in it (of a .saz, export a HAR)"),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"\x7fELF", "a program (ELF)", ""),
    (b"\xff\xfe", "a text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "a text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
    (b"BZh", "compressed by bzip2", AGAIN),
    (b"\xfd7zXZ", "compressed by xz", AGAIN),
    (b"\x04\x22\x4d\x18", "compressed by lz4", AGAIN),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name a file in it"),
    (b"SQLite format 3", "a database of SQLite", ""),
    (b"PAR1", "a table of Parquet", "export its rows as lines of JSON"),
    (b"snoop\0", "a capture of snoop", "convert it: editcap -F pcapng IN OUT"),
    (b"%PDF", "a PDF", ""),
    (b"<?xml", "XML", AS_HAR),
    (
        b"<!DOCTYPE",
        "a page of HTML",
        "look at it: it may be the login page of who should give the file",
    ),
    (
        b"<html",
        "a page of HTML",
        "look at it: it may be the login page of who should give the file",
    ),
    (
        b"timeStamp,elapsed",
        "a table of JMeter's results",
        "they tell no request; record with its HAR recorder",
    ),
    (b"openapi:", "an OpenAPI description", "it holds no recorded request"),
    (b"swagger:", "an OpenAPI description", "it holds no recorded request"),
];

/// Objects of JSON by a member that only they have.
const MEMBERS: &[(&[&str], &str, &str)] = &[
    (&["openapi"], "an OpenAPI description", "it holds no recorded request"),
    (&["swagger"], "an OpenAPI description", "it holds no recorded request"),
    (&["_postman_variable_scope"], "an environment of Postman", "export the collection instead"),
    (&["requests", "order"], "a Postman collection of version 1", "export it as v2.1"),
    (&["requests", "folders"], "a Postman collection of version 1", "export it as v2.1"),
    (&["logEventTypes"], "a net log of Chromium", "save a HAR in the network panel instead"),
    (&["resourceSpans"], "spans of OpenTelemetry", "they hold no messages"),
    (&["__export_format"], "an export of Insomnia", AS_HAR),
];

/// Which kind a file is that begins so, where it is one of those.
pub fn known_kind(beginning: &[u8]) -> Option<KnownKind> {
    let is = |start: &[u8]| {
        beginning.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    let found = BEGINNINGS.iter().find(|(start, ..)| is(start));
    let of_bytes = found.map(|&(_, name, advice)| KnownKind { name, advice });
    of_bytes.or_else(|| flows_of_mitmproxy(beginning)).or_else(|| json(beginning))
}

/// `4:flow;`, `2353:9:websocket;0:~…`: lengths before their texts.
fn flows_of_mitmproxy(beginning: &[u8]) -> Option<KnownKind> {
    let behind_length = |bytes: &'_ [u8]| {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length: usize = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
        (bytes.get(digits) == Some(&b':')).then_some((length, digits + 1))
    };
    let is_text = |bytes: &[u8]| {
        behind_length(bytes).is_some_and(|(length, at)| {
            (1..=64).contains(&length) && bytes.get(at + length) == Some(&b';')
        })
    };
    let (_, first) = behind_length(beginning)?;
    let is_one = is_text(beginning) || is_text(&beginning[first..]);
    is_one.then_some(KnownKind {
        name: "a file of mitmproxy's flows",
        advice: "make a HAR of it: mitmdump -nr FILE --set hardump=FILE.har",
    })
}

fn json(beginning: &[u8]) -> Option<KnownKind> {
    let has = |text: &[u8]| memchr::memmem::find(beginning, text).is_some();
    match beginning.trim_ascii_start().first()? {
        b'{' if has(b"getpostman.com") && has(b"collection/v1") => Some(KnownKind {
            name: "a Postman collection of version 1",
            advice: "export it as v2.1",
        }),
        b'{' => MEMBERS
            .iter()
            .find(|(names, ..)| names.iter().all(|name| has(format!("\"{name}\"").as_bytes())))
            .map(|&(_, name, advice)| KnownKind { name, advice }),
        b'[' => Some(KnownKind {
            name: "a list of JSON",
            advice: "write its items as lines: jq -c '.[]' FILE",
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_people_name_by_mistake_are_called_by_their_names() {
        for (beginning, name) in [
            (&b"PK\x03\x04\x14\0"[..], "zip"),
            (b"\x7fELF\x02\x01", "ELF"),
            (b"\xff\xfe{\0\n\0", "UTF-16"),
            (b"4:flow;", "mitmproxy"),
            (b"2353:9:websocket;0:~8:response;", "mitmproxy"),
            (b"<?XML version", "XML"),
            (b"{\"openapi\":\"3.0.0\",\"paths\":{}}", "OpenAPI"),
            (b"swagger: 2\n", "OpenAPI"),
            (b"{\n\t\"id\": \"1\",\n\t\"order\": [],\n\t\"requests\": []}", "version 1"),
            (
                b"{\"info\":{\"schema\":\"https://schema.getpostman.com/json/collection/v1.0.0/\"}}",
                "version 1",
            ),
            (b"[]\n", "list"),
        ] {
            let known = known_kind(beginning).expect(name);
            assert!(known.name.contains(name), "{known:?}");
        }
        for beginning in [
            &b"hello world"[..],
            b"{\"id\":\"1-0\",\"request\":null}",
            b"10:30 something",
            b"10:30:00 GET /a",
            b"{\"info\":{\"schema\":\"https://schema.getpostman.com/json/collection/v2.1.0/\"}}",
            b"",
        ] {
            let text = String::from_utf8_lossy(beginning);
            assert_eq!(known_kind(beginning), None, "{text}");
        }
    }
}
