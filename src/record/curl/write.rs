//! Exchanges as `curl` lines: each sends what was recorded, and curl adds nothing of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::quoted;
use crate::exchange::Exchange;
use crate::message::fields::{is_framing, is_hop_by_hop};
use crate::message::target::{host, origin_form};

/// Longest text that stands in a line as a word: beyond it the kernel takes no argument (128 KiB),
/// and a pipe gives it.
const WORD_BYTES: usize = 100 << 10;

/// What stands before the first line.
pub fn beginning(tool: &str) -> String {
    format!(
        "#!/bin/bash\n# Recorded requests, in the order of their times, as {tool} knows them.\n\
         # They go to where they were recorded: TARGET=http://v2.staging:8080 sends them \
         elsewhere.\n"
    )
}

/// Appends a line; false of a request that is not whole, or whose head no command line can say.
pub fn write(out: &mut Vec<u8>, exchange: &Exchange) -> bool {
    let Some(request) = exchange.request.as_ref().map(|request| &request.message) else {
        return false;
    };
    let can_be_said = request.headers.unknown() == 0
        && request.headers.iter().all(|(name, value)| is_text(name) && is_text(value));
    if !exchange.completeness.request_is_whole() || request.body.is_cut() || !can_be_said {
        return false;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let body = &request.body.bytes;
    let as_text = std::str::from_utf8(body).ok().filter(|text| !text.contains('\0'));
    let mut line = match as_text {
        Some(_) if body.len() <= WORD_BYTES => String::new(),
        Some(long) => format!("printf %s {} | ", quoted(long)),
        None => format!("printf %s {} | base64 -d | ", STANDARD.encode(body)),
    };
    line.push_str("curl -sS --globoff --path-as-is");
    // What the request asks for would come as bytes that nobody can read.
    if request.headers.all("accept-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity"))
    {
        line.push_str(" --compressed");
    }
    match &request.method[..] {
        b"GET" if body.is_empty() => {}
        b"HEAD" => line.push_str(" --head"),
        method => line.push_str(&format!(" -X {}", quoted(&text(method)))),
    }
    let scheme = if exchange.server.port == 443 { "https" } else { "http" };
    let authority = host(request).map_or_else(|| exchange.server.to_string(), text);
    // It stands where the shell looks for variables and commands.
    if !authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte)) {
        return false;
    }
    let target = quoted(&origin_form(&request.target));
    line.push_str(&format!(" \"${{TARGET:-{scheme}://{authority}}}\"{target}"));
    for (name, value) in request.headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        if !is_hop_by_hop(name) && !is_framing(name) && !name.eq_ignore_ascii_case(b"expect") {
            line.push_str(&format!(" -H {}", quoted(&field(&text(name), &text(value)))));
        }
    }
    for name in ["User-Agent", "Accept", "Content-Type"] {
        let adds = name != "Content-Type" || !body.is_empty();
        if adds && request.headers.get(name).is_none() {
            line.push_str(&format!(" -H {name}:"));
        }
    }
    match as_text {
        _ if body.is_empty() => {}
        Some(text) if body.len() <= WORD_BYTES => {
            line.push_str(&format!(" --data-raw {}", quoted(text)));
        }
        _ => line.push_str(" --data-binary @-"),
    }
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
    true
}

/// curl takes `Name;` for a field without a value.
fn field(name: &str, value: &str) -> String {
    if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(['\0', '\r', '\n']))
}
