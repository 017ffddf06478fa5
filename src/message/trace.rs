//! The context of a trace as a request carries it (W3C Trace Context, §3.2).

use std::fmt;
use std::str::FromStr;

use crate::text_form::text_form;

/// The field that tells in which trace a request belongs.
pub const TRACEPARENT: &str = "traceparent";
/// The field that tells what systems along the way want to know again (§3.3).
pub const TRACESTATE: &str = "tracestate";
/// Length of a field's value, in bytes.
pub const TRACEPARENT_BYTES: usize = 55;

/// The value of a `traceparent`: version 00, trace, span, flags. Text form:
/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Which trace; not zero.
    pub trace: u128,
    /// The span that sent it; not zero.
    pub span: u64,
    /// Bit 0: the sender may have recorded its span.
    pub flags: u8,
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_one = || format!("{text:?} is no traceparent of version 00");
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            // Capitals are not allowed (§3.2.2).
            let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
            parts.next().filter(|part| part.len() == length && part.bytes().all(is_digit))
        };
        let fields = (part(2), part(32), part(16), part(2));
        let (Some("00"), Some(trace), Some(span), Some(flags)) = fields else {
            return Err(not_one());
        };
        let trace = u128::from_str_radix(trace, 16).map_err(|_| not_one())?;
        let span = u64::from_str_radix(span, 16).map_err(|_| not_one())?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| not_one())?;
        match parts.next() {
            None if trace != 0 && span != 0 => Ok(Self { trace, span, flags }),
            _ => Err(not_one()),
        }
    }
}

impl TraceParent {
    /// Of a field's value in this or a later version, which may say more behind it (§3.2.1).
    pub fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let (own, more) = text.split_at_checked(TRACEPARENT_BYTES)?;
        let (version, rest) = own.split_at_checked(2)?;
        let is_version = version != "ff" && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_whole = more.is_empty() || version != "00" && more.starts_with('-');
        (is_version && is_whole).then(|| format!("00{rest}").parse().ok())?
    }
}

text_form!(TraceParent);

/// The entry of `tracestate` by which a replayed request names its exchange, and each system that
/// hands the context on with it: `shadowtap=` and 32 digits, of the connection (16), the ordinal
/// (8) and the copy (8). Of one length, so that it can be put in the place of another one.
pub const STATE_KEY: &str = "shadowtap";

/// The entry's value.
pub fn state_value(connection: u64, ordinal: u32, copy: u32) -> String {
    format!("{connection:016x}{ordinal:08x}{copy:08x}")
}

/// The connection and the ordinal that a field's value names.
pub fn exchange_in_state(value: &[u8]) -> Option<(u64, u32)> {
    let value = std::str::from_utf8(value).ok()?;
    let own = value.split(',').find_map(|entry| {
        let (key, value) = entry.trim().split_once('=')?;
        let is_hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        (key == STATE_KEY && value.len() == 32 && is_hex).then_some(value)
    })?;
    let connection = u64::from_str_radix(&own[..16], 16).ok()?;
    let ordinal = u32::from_str_radix(&own[16..24], 16).ok()?;
    Some((connection, ordinal))
}

/// The address of a page that shows a trace: an `http(s)` URL with `{trace_id}` in it, and where it
/// is wanted `{span_id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLink(String);

impl TraceLink {
    /// The page of one trace.
    pub fn of(&self, parent: TraceParent) -> String {
        let TraceParent { trace, span, .. } = parent;
        let whole = self.0.replace("{trace_id}", &format!("{trace:032x}"));
        whole.replace("{span_id}", &format!("{span:016x}"))
    }
}

impl fmt::Display for TraceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TraceLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_page = text.starts_with("https://") || text.starts_with("http://");
        let is_url = text.bytes().all(|byte| byte.is_ascii_graphic());
        let (_, behind) = text.split_once("://").unwrap_or_default();
        if behind.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            return Err("a link stands in reports: leave user and password out of it".to_owned());
        }
        if is_page && is_url && text.contains("{trace_id}") {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} shows no trace: write http(s)://… with {{trace_id}} in it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_as_the_standard_has_it() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!((parent.span, parent.flags), (0x00f0_67aa_0ba9_02b7, 1));
        assert_eq!(parent.to_string(), text);
        assert_eq!(text.len(), TRACEPARENT_BYTES);
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-+0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let one = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for value in [format!("00-{one}"), format!(" 01-{one} "), format!("cc-{one}-more")] {
            let read = TraceParent::read(value.as_bytes()).expect(&value);
            assert_eq!(read.span, 0x00f0_67aa_0ba9_02b7, "{value}");
        }
        for wrong in [format!("00-{one}-more"), format!("01-{one}more"), format!("ff-{one}")] {
            assert_eq!(TraceParent::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(TraceParent::read(b"00-\xff"), None);
    }

    #[test]
    fn a_page_is_one_of_the_web_and_names_the_trace() {
        let parent: TraceParent =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let link: TraceLink = "https://t.example/trace/{trace_id}?span={span_id}".parse().unwrap();
        let page = "https://t.example/trace/4bf92f3577b34da6a3ce929d0e0e4736?span=00f067aa0ba902b7";
        assert_eq!(link.of(parent), page);
        for wrong in [
            "javascript:alert('{trace_id}')",
            "https://t.example/",
            "http://a b{trace_id}",
            "https://t.example/\u{202e}{trace_id}",
            "https://joe:s3cret@t.example/{trace_id}",
        ] {
            assert!(wrong.parse::<TraceLink>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_exchange_is_found_among_what_others_put_beside_it() {
        let own = format!("{STATE_KEY}={}", state_value(12, 3, 2));
        for value in [own.clone(), format!("vendor=a:b,{own}"), format!(" {own} , x=y=z")] {
            assert_eq!(exchange_in_state(value.as_bytes()), Some((12, 3)), "{value}");
        }
        let signed = "shadowtap=+000000000000006+000000+0000001";
        for other in ["", "shadowtap=1", "shadow=0000000000000001", "shadowtap", "a=b,,c", signed] {
            assert_eq!(exchange_in_state(other.as_bytes()), None, "{other}");
        }
        let odd = format!("{STATE_KEY}={}é", "0".repeat(30));
        assert_eq!(exchange_in_state(odd.as_bytes()), None);
        assert_eq!(exchange_in_state(b"shadowtap=\xff"), None);
    }
}
