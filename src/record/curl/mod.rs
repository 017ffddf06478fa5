//! `curl` command lines as requests: those of a browser's "copy as cURL" (bash, cmd), of
//! documentation, and those that this program writes. Nothing is run, and no file that a line names
//! is opened.
//!
//! They tell no times: requests are a second apart, in the order of the lines.

pub(crate) mod form;
mod shell;
pub mod write;

use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use url::Url;

use form::{FORM_TYPE, Form};
pub use shell::quoted;
use shell::{BrokenLine, Pipelines, ShellCommand};

use crate::exchange::{Completeness, Exchange, TimedRequest, UNANSWERED};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::target::origin_form;
use crate::message::{Body, Framing, Headers, Request};
use crate::record::har::read::{ReadEntry, Reason, UNKNOWN};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Said of every exchange of such a list.
pub const MARK: &str = "from a curl line: no time is recorded, requests are a second apart";

/// Whether a text begins with a command line of curl, perhaps behind remarks and a prompt.
pub fn is_one(beginning: &[u8]) -> bool {
    let mut lines = beginning.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| {
        let line = line.strip_prefix(b"$ ").unwrap_or(line);
        line.starts_with(b"curl ") || (line.starts_with(b"printf ") && has(line, b"| curl "))
    })
}

fn has(line: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(line, word).is_some()
}

/// Reads a list; `each` says by an error that it cannot go on.
pub fn read<E: From<io::Error>>(
    mut input: impl BufRead,
    mut each: impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
) -> Result<(), E> {
    let most = limits::BODY_BYTES + limits::HEAD_BYTES;
    let mut pipelines = match shell::has_carets(input.fill_buf()?) {
        true => Pipelines::of_cmd(input, most),
        false => Pipelines::new(input, most),
    };
    let mut at = Timestamp::from_nanos(0);
    while let Some(pipeline) = pipelines.next()? {
        let read = match pipeline {
            Err(BrokenLine::Long) => Err("curl-line-too-long"),
            Err(BrokenLine::Open) => Err("curl-line-with-open-quote"),
            Ok(pipeline) => asked(&pipeline).and_then(|asked| asked.exchange(at)),
        };
        at = at.plus(if read.is_ok() { NANOS_PER_SEC } else { 0 });
        each(read)?;
    }
    Ok(())
}

/// What a command line asks for.
#[derive(Debug, Default)]
struct CurlRequest {
    url: Option<Vec<u8>>,
    method: Option<Vec<u8>>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names of fields that curl shall not add.
    without: Vec<Vec<u8>>,
    data: Option<Vec<u8>>,
    form: Form,
    is_json: bool,
    is_head: bool,
    in_query: bool,
    /// A part of the body is in a file or comes from elsewhere.
    is_cut: bool,
}

/// Options whose value says nothing about the request.
const WITH_VALUE: &[&str] = &[
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-x",
    "--proxy",
    "--cacert",
    "--capath",
    "-E",
    "--cert",
    "--key",
    "--cert-type",
    "--key-type",
    "--resolve",
    "--connect-to",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "-w",
    "--write-out",
    "-D",
    "--dump-header",
    "-c",
    "--cookie-jar",
    "--limit-rate",
    "--interface",
    "--max-redirs",
    "--ciphers",
    "--tls-max",
    "-K",
    "--config",
    "--noproxy",
    "--proxy-user",
    "-U",
    "--unix-socket",
    "--local-port",
    "--keepalive-time",
    "--stderr",
    "--trace",
    "--trace-ascii",
    "-y",
    "-Y",
    "-C",
    "--pinnedpubkey",
];

/// Options whose value is a part of the request, by their short and long names.
const TELLING: &[(&str, &[&str])] = &[
    ("-X", &["--request"]),
    ("-H", &["--header"]),
    ("-d", &["--data", "--data-ascii"]),
    ("", &["--data-raw"]),
    ("", &["--data-binary"]),
    ("", &["--data-urlencode"]),
    ("", &["--json"]),
    ("-F", &["--form", "--form-string"]),
    ("-b", &["--cookie"]),
    ("-u", &["--user"]),
    ("-A", &["--user-agent"]),
    ("-e", &["--referer"]),
    ("-r", &["--range"]),
    ("-T", &["--upload-file"]),
    ("", &["--url"]),
    ("", &["--oauth2-bearer"]),
];

/// The command, and what the ones before it in the pipe give it.
fn asked(pipeline: &[ShellCommand]) -> Result<CurlRequest, Reason> {
    let (curl, before) = pipeline.split_last().ok_or("curl-line-of-another-command")?;
    let start = usize::from(curl.first().is_some_and(|word| word == b"$"));
    if curl.get(start).is_none_or(|word| word != b"curl") {
        return Err("curl-line-of-another-command");
    }
    let mut asked = CurlRequest::default();
    let stdin = given(before);
    let mut words = curl[start + 1..].iter();
    while let Some(word) = words.next() {
        let text = String::from_utf8_lossy(word);
        let Some(option) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            asked.url.get_or_insert_with(|| word.clone());
            continue;
        };
        if let Some(long) = option.strip_prefix('-') {
            let long = format!("--{long}");
            if let Some((_, names)) = TELLING.iter().find(|(_, names)| names.contains(&&*long)) {
                let value = words.next().ok_or("curl-line-cut")?;
                asked.option(names[0], value, stdin.as_deref());
            } else if WITH_VALUE.contains(&&*long) {
                words.next();
            } else {
                asked.switch(&long);
            }
            continue;
        }
        // Short ones may stand together, the last of them with its value: -sXPOST.
        for (at, short) in option.char_indices() {
            let name = format!("-{short}");
            let inside = &word[1 + at + short.len_utf8()..];
            let telling = TELLING.iter().find(|(known, _)| *known == name);
            if telling.is_none() && !WITH_VALUE.contains(&&*name) {
                asked.switch(&name);
                continue;
            }
            let value =
                if inside.is_empty() { words.next().map(Vec::as_slice) } else { Some(inside) };
            let value = value.ok_or("curl-line-cut")?;
            if let Some((_, names)) = telling {
                asked.option(names[0], value, stdin.as_deref());
            }
            break;
        }
    }
    Ok(asked)
}

/// What a pipe gives, where it can be known: `printf %s TEXT`, perhaps through `base64 -d`.
fn given(before: &[ShellCommand]) -> Option<Vec<u8>> {
    let (first, rest) = before.split_first()?;
    let [command, format, text] = &first[..] else { return None };
    if command != b"printf" || format != b"%s" {
        return None;
    }
    match rest {
        [] => Some(text.clone()),
        [decode] if decode.first().is_some_and(|word| word == b"base64") => {
            STANDARD.decode(text).ok()
        }
        _ => None,
    }
}

impl CurlRequest {
    fn switch(&mut self, name: &str) {
        match name {
            "-I" | "--head" => self.is_head = true,
            "-G" | "--get" => self.in_query = true,
            _ => {}
        }
    }

    fn option(&mut self, name: &str, value: &[u8], stdin: Option<&[u8]>) {
        match name {
            "--request" => self.method = Some(value.to_vec()),
            "--url" => self.url = Some(value.to_vec()),
            "--header" => self.header(value),
            "--cookie" if value.contains(&b'=') => self.field(b"Cookie", value),
            "--user-agent" => self.field(b"User-Agent", value),
            "--referer" => self.field(b"Referer", value),
            "--range" => self.field(b"Range", &[b"bytes=", value].concat()),
            "--oauth2-bearer" => self.field(b"Authorization", &[b"Bearer ", value].concat()),
            "--user" => {
                let credentials = format!("Basic {}", STANDARD.encode(value));
                self.field(b"Authorization", credentials.as_bytes());
            }
            "--data-raw" => self.add(value),
            "--json" => {
                self.is_json = true;
                self.add_or_file(value, stdin);
            }
            "--data" | "--data-binary" => self.add_or_file(value, stdin),
            "--data-urlencode" => self.add_encoded(value),
            "--form" => self.part(value),
            "--upload-file" => self.is_cut = true,
            _ => {}
        }
    }

    /// `Name: value`; `Name:` takes a field away that curl would add, `Name;` sends an empty one.
    fn header(&mut self, text: &[u8]) {
        let Some(at) = memchr::memchr2(b':', b';', text) else { return };
        let (name, value) = (text[..at].trim_ascii(), text[at + 1..].trim_ascii());
        match (text[at], value.is_empty()) {
            (b':', false) => self.field(name, value),
            (b':', true) => self.without.push(name.to_ascii_lowercase()),
            _ if value.is_empty() => self.field(name, b""),
            _ => {}
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.fields.push((name.to_vec(), value.to_vec()));
    }

    fn add(&mut self, more: &[u8]) {
        match &mut self.data {
            Some(data) => {
                if !self.is_json {
                    data.push(b'&');
                }
                data.extend_from_slice(more);
            }
            None => self.data = Some(more.to_vec()),
        }
    }

    fn add_or_file(&mut self, value: &[u8], stdin: Option<&[u8]>) {
        match (value.strip_prefix(b"@"), stdin) {
            (None, _) => self.add(value),
            (Some(b"-"), Some(stdin)) => self.add(stdin),
            (Some(_), _) => {
                self.is_cut = true;
                self.add(b"");
            }
        }
    }

    /// `content`, `=content`, `name=content`; `@file` and `name@file` cannot be known.
    fn add_encoded(&mut self, value: &[u8]) {
        let encode = |bytes: &[u8]| url::form_urlencoded::byte_serialize(bytes).collect::<String>();
        match memchr::memchr2(b'=', b'@', value) {
            None => self.add(encode(value).as_bytes()),
            Some(at) if value[at] == b'=' => {
                let name = if at > 0 { &value[..=at] } else { &[] };
                let content = encode(&value[at + 1..]);
                self.add(&[name, content.as_bytes()].concat());
            }
            Some(_) => {
                self.is_cut = true;
                self.add(b"");
            }
        }
    }

    /// A part of a form (RFC 7578); a file's content cannot be known.
    fn part(&mut self, value: &[u8]) {
        let at = memchr::memchr(b'=', value).unwrap_or(value.len());
        let (name, content) = (&value[..at], value.get(at + 1..).unwrap_or_default());
        self.is_cut |= content.first().is_some_and(|first| matches!(first, b'@' | b'<'));
        self.form.add(name, content);
    }

    fn exchange(mut self, at: Timestamp) -> Result<ReadEntry, Reason> {
        let url = self.url.take().ok_or("curl-line-without-url")?;
        let url = String::from_utf8(url).map_err(|_| "curl-line-without-url")?;
        let url = without_variable(url);
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err("curl-line-without-url");
        }
        let parsed = Url::parse(&url).map_err(|_| "curl-line-without-url")?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err("curl-line-of-another-scheme");
        }
        let authority = authority(&parsed);
        let port = parsed.port_or_known_default().unwrap_or_default();
        let is_cut = self.is_cut;
        let mut marks = vec![MARK.to_owned(), UNANSWERED.to_owned()];
        if is_cut {
            marks.push("the curl line takes the request's body from a file".to_owned());
        }
        let message = self.request(&url, &authority);
        let exchange = Exchange {
            completeness: if is_cut {
                Completeness::RequestDamaged
            } else {
                Completeness::NoResponse
            },
            request: Some(TimedRequest { at, duration_ns: 0, message }),
            marks,
            ..Exchange::between(Endpoint::new(UNKNOWN, 0), Endpoint::new(UNKNOWN, port))
        };
        Ok(ReadEntry { exchange, key: authority })
    }

    fn request(self, url: &str, authority: &str) -> Request {
        let mut target = origin_form(url.as_bytes());
        if let Some(data) = self.data.as_deref().filter(|_| self.in_query) {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&String::from_utf8_lossy(data));
        }
        let has_form = !self.form.is_empty();
        let data = self.data.filter(|_| !self.in_query);
        let data = data.or_else(|| has_form.then(|| self.form.end()));
        let method = self.method.unwrap_or_else(|| {
            let method: &[u8] = match () {
                () if self.is_head => b"HEAD",
                () if data.is_some() => b"POST",
                () => b"GET",
            };
            method.to_vec()
        });
        let is_given = |name: &str| {
            let is = |other: &[u8]| other.eq_ignore_ascii_case(name.as_bytes());
            self.fields.iter().any(|(field, _)| is(field)) || self.without.iter().any(|n| is(n))
        };
        let mut headers = Headers::new();
        if !is_given("host") {
            headers.push(b"Host", authority.as_bytes());
        }
        for (name, value) in
            self.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"))
        {
            headers.push(name, value);
        }
        if !is_given("accept") {
            let accept: &[u8] = if self.is_json { b"application/json" } else { b"*/*" };
            headers.push(b"Accept", accept);
        }
        let kind = match () {
            () if self.is_json => "application/json".to_owned(),
            () if has_form => FORM_TYPE.to_owned(),
            () => "application/x-www-form-urlencoded".to_owned(),
        };
        let body = data.unwrap_or_default();
        if !body.is_empty() {
            if !is_given("content-type") {
                headers.push(b"Content-Type", kind.as_bytes());
            }
            headers.push(b"Content-Length", body.len().to_string().as_bytes());
        }
        Request {
            method: Bytes::from(method),
            target: Bytes::from(target),
            framing: if body.is_empty() { Framing::None } else { Framing::ContentLength },
            headers,
            body: Body::whole(body),
            ..Request::default()
        }
    }
}

/// Host and port as a `Host` field has them: without a port that the scheme has anyway.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// `${TARGET:-http://shop.example}/a` with what holds where the variable is not set, as `write` has
/// it.
fn without_variable(url: String) -> String {
    let parts = url.strip_prefix("${").and_then(|rest| rest.split_once(":-"));
    match parts.and_then(|(_, rest)| rest.split_once('}')) {
        Some((usual, path)) => format!("{usual}{path}"),
        None => url,
    }
}

#[cfg(test)]
mod tests;
