//! Rules of header fields: which are hop-by-hop (RFC 9110 §7.6.1), and how the values of some are
//! built.

use std::collections::{BTreeMap, BTreeSet};

use super::{Headers, Response, encoding};

/// Fields of one connection and not of the message (RFC 9110 §7.6.1), in lower case: a sender that
/// passes a message on makes them anew. `trailer` is end-to-end (§6.6.2), `transfer-encoding` is
/// framing.
pub const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
];

/// Whether a field belongs to the connection.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

/// Whether a field says how the body is framed.
pub fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// Fields by which a request asks for an answer only under a condition (RFC 9110 §13.1).
pub const CONDITIONS: [&str; 5] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];

/// Members of a list with commas (RFC 9110 §5.6.1), blanks trimmed, empty ones left out.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// One `name=value` with where it stands in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crumb<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value, as it is written.
    pub value: &'a [u8],
    /// Where the value begins in the field, in bytes.
    pub at: usize,
}

/// The cookies of a `Cookie` field (RFC 6265 §4.2.1): what has no `=` is a value without a name, as
/// browsers send it.
pub fn cookies(field: &[u8]) -> impl Iterator<Item = Crumb<'_>> {
    pieces(field).map(|(start, piece)| crumb(piece, start))
}

/// The cookie of a `Set-Cookie` field, without its attributes (RFC 6265 §4.1.1).
pub fn set_cookie(field: &[u8]) -> Crumb<'_> {
    let end = memchr::memchr(b';', field).unwrap_or(field.len());
    let piece = field[..end].trim_ascii();
    crumb(piece, end - field[..end].trim_ascii_start().len())
}

/// The cookies that have another name in each installation, of those that one answer sets and
/// another does not, and those that only the other one sets: the names of many systems end with a
/// hash of an address, a port or a key (`SSESS4f0c…`, `DW60ef…`). Only where there is one of each.
pub fn renamed_cookies<'n>(
    lacking: impl Iterator<Item = &'n str>,
    more: impl Iterator<Item = &'n str>,
) -> Vec<(&'n str, &'n str)> {
    let mut alike: BTreeMap<_, [BTreeSet<&str>; 2]> = BTreeMap::new();
    let lacking = lacking.map(|name| (0, name));
    for (side, name) in lacking.chain(more.map(|name| (1, name))) {
        if let Some(key) = around_hash(name.as_bytes()) {
            alike.entry(key).or_default()[side].insert(name);
        }
    }
    let pair = |[one, other]: &[BTreeSet<&'n str>; 2]| {
        let is_one = one.len() == 1 && other.len() == 1;
        is_one.then(|| Some((*one.first()?, *other.first()?)))?
    };
    alike.values().filter_map(pair).collect()
}

/// What stands before and behind the hash in a name, and how long that is; none of a name without
/// one.
fn around_hash(name: &[u8]) -> Option<(&[u8], usize, &[u8])> {
    /// Fewer hexadecimal digits may be a word, a date or a number.
    const DIGITS: usize = 16;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut before = 0;
    for run in name.chunk_by(|a, b| is_digit(a) == is_digit(b)) {
        if run.len() >= DIGITS && is_digit(&run[0]) {
            return Some((&name[..before], run.len(), &name[before + run.len()..]));
        }
        before += run.len();
    }
    None
}

/// An answer without the cookies in whose place it sets another one; none where it has no such.
pub fn settled(answer: &Response) -> Option<Response> {
    let headers = without_overtaken_cookies(&answer.headers)?;
    Some(Response { headers, ..answer.clone() })
}

/// The fields without each `Set-Cookie` whose cookie another one of them sets in its place, as
/// where one path's is taken back and another's set; none where there is no such.
fn without_overtaken_cookies(headers: &Headers) -> Option<Headers> {
    let is_set = |field: &(&[u8], &[u8])| field.0.eq_ignore_ascii_case(b"set-cookie");
    headers.iter().filter(is_set).nth(1)?;
    // The number of the field that counts, by name: the last that takes nothing back, if any.
    let mut counts: BTreeMap<&[u8], (bool, usize)> = BTreeMap::new();
    let mut names = 0;
    for (at, field) in headers.iter().enumerate().filter(|(_, field)| is_set(field)) {
        let best = counts.entry(set_cookie(field.1).name).or_default();
        *best = (*best).max((!takes_back(field.1), at));
        names += 1;
    }
    if counts.len() == names {
        return None;
    }
    let stays = |(at, field): &(usize, (&[u8], &[u8]))| {
        !is_set(field) || counts.get(set_cookie(field.1).name).is_some_and(|best| best.1 == *at)
    };
    Some(headers.iter().enumerate().filter(stays).map(|(_, field)| field).collect())
}

/// Whether a `Set-Cookie` says that its cookie is over, whatever the clock says.
fn takes_back(field: &[u8]) -> bool {
    let over = |attribute: Crumb<'_>| {
        let is = |name: &[u8]| attribute.name.eq_ignore_ascii_case(name);
        let years = [&b" 1970 "[..], b"-1970 ", b"-70 "];
        is(b"max-age") && (attribute.value.starts_with(b"-") || attribute.value == b"0")
            || is(b"expires")
                && years.iter().any(|y| memchr::memmem::find(attribute.value, y).is_some())
    };
    set_cookie(field).value.is_empty() || set_cookie_attributes(field).any(over)
}

/// The client that the nearest proxy says a request comes from: the first of `X-Forwarded-For`,
/// else of `Forwarded` (RFC 7239 §5.2).
pub fn forwarded_for(headers: &Headers) -> Option<String> {
    let text = |name| std::str::from_utf8(headers.get(name)?).ok();
    if let Some(first) = text("x-forwarded-for").and_then(|list| list.split(',').next()) {
        return Some(first.trim().to_owned()).filter(|first| !first.is_empty());
    }
    let first = text("forwarded")?.split(',').next()?;
    let client = first.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"').to_owned())
    });
    client.filter(|client| !client.is_empty() && client != "unknown")
}

/// The attributes of a `Set-Cookie` field.
pub fn set_cookie_attributes(field: &[u8]) -> impl Iterator<Item = Crumb<'_>> {
    pieces(field).skip(1).map(|(start, piece)| match memchr::memchr(b'=', piece) {
        Some(_) => crumb(piece, start),
        None => Crumb { name: piece, value: b"", at: start + piece.len() },
    })
}

/// Pieces between semicolons, trimmed, with where each begins; empty ones after the first are left
/// out.
fn pieces(field: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    field
        .split(|&byte| byte == b';')
        .map(move |piece| {
            let at = start + piece.len() - piece.trim_ascii_start().len();
            start += piece.len() + 1;
            (at, piece.trim_ascii())
        })
        .filter(|(_, piece)| !piece.is_empty())
}

fn crumb(piece: &[u8], start: usize) -> Crumb<'_> {
    let equals = memchr::memchr(b'=', piece);
    let (name, value) = equals.map_or((&b""[..], piece), |at| (&piece[..at], &piece[at + 1..]));
    let name = name.trim_ascii_end();
    let trimmed = value.trim_ascii_start();
    Crumb { name, value: trimmed, at: start + piece.len() - trimmed.len() }
}

/// What `Authorization` and its like hold (RFC 9110 §11.4): the scheme, and what follows with
/// where it begins.
pub fn credentials(field: &[u8]) -> Option<(&[u8], usize)> {
    let blank = field.iter().position(u8::is_ascii_whitespace)?;
    let rest = field[blank..].trim_ascii_start();
    (!rest.is_empty()).then(|| (&field[..blank], field.len() - rest.len()))
}

/// Shortest and longest text that may hide a pair, in bytes.
const SHORTEST_PAIR: usize = 8;
const LONGEST_PAIR: usize = 4 << 10;

/// `user:secret` in a header field of a service's own that has it in base64, as `Basic` has it.
pub fn hidden_pair(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
    // Of ASCII, three bytes begin with one of the first half of the alphabet.
    let ascii = |four: &[u8]| matches!(four[0], b'A'..=b'Z' | b'a'..=b'f' | b'=');
    if !(SHORTEST_PAIR..=LONGEST_PAIR).contains(&text.len())
        || !text.as_bytes().chunks(4).all(ascii)
        || !text.bytes().all(plain)
    {
        return None;
    }
    let pair = encoding::base64_text(text).filter(|pair| pair.is_ascii())?;
    let (user, secret) = pair.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
    let is_pair =
        !secret.is_empty() && user.chars().all(word) && user.contains(char::is_alphanumeric);
    is_pair.then_some(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_cookies_of_one_name_one_counts() {
        let gone = "Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        let kept = |fields: &[&str]| -> Option<Vec<String>> {
            let of = |field| (&b"Set-Cookie"[..], str::as_bytes(field));
            let headers: Headers = std::iter::once((&b"A"[..], &b"b"[..]))
                .chain(fields.iter().copied().map(of))
                .collect();
            let left = without_overtaken_cookies(&headers)?;
            Some(
                left.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect(),
            )
        };
        let (old, new) = (format!("a=x; Path=/1; {gone}"), "a=y; Path=/2");
        let expected = Some(vec!["b".to_owned(), new.to_owned()]);
        assert_eq!(kept(&[&old, new]), expected);
        assert_eq!(kept(&[new, &old]), expected, "whichever comes first");
        assert_eq!(kept(&["a=z; Max-Age=0", new]), expected);
        assert_eq!(kept(&["a=z", new]), expected, "the last one");
        assert_eq!(kept(&[&old, "b=1"]), None);
        assert_eq!(kept(&[new]), None);
    }

    #[test]
    fn a_pair_may_be_hidden_in_base64() {
        assert_eq!(hidden_pair("YW5uOnRva2VuLTE="), Some("ann:token-1".to_owned()));
        for text in ["", "ann:token-1", "3f2a91c07be41d05", "dG9rZW4tb25l", "Og==", "YW5uOgAB"] {
            assert_eq!(hidden_pair(text), None, "{text}");
        }
    }

    #[test]
    fn fields_of_the_connection_are_known_in_any_case() {
        assert!(
            is_hop_by_hop(b"Keep-Alive") && is_hop_by_hop(b"TE") && is_framing(b"Content-Length")
        );
        assert!(!is_hop_by_hop(b"Trailer") && !is_hop_by_hop(b"Host") && !is_framing(b"Host"));
    }

    #[test]
    fn cookies_say_where_their_values_stand() {
        let field = b" a=1;b = two=2 ; c; =d;;e=";
        let found: Vec<_> = cookies(field)
            .map(|crumb| (crumb.name, crumb.value, &field[crumb.at..crumb.at + crumb.value.len()]))
            .collect();
        let expected =
            [(&b"a"[..], &b"1"[..]), (b"b", b"two=2"), (b"", b"c"), (b"", b"d"), (b"e", b"")];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, (name, value)) in found.iter().zip(expected) {
            assert_eq!(*found, (name, value, value));
        }
    }

    #[test]
    fn a_set_cookie_has_one_value_and_attributes() {
        let field = b"sid= x y ; Path=/a; HttpOnly; Max-Age = 5";
        let cookie = set_cookie(field);
        assert_eq!((cookie.name, cookie.value), (&b"sid"[..], &b"x y"[..]));
        assert_eq!(&field[cookie.at..cookie.at + 3], b"x y");
        let attributes: Vec<_> =
            set_cookie_attributes(field).map(|one| (one.name, one.value)).collect();
        assert_eq!(
            attributes,
            [(&b"Path"[..], &b"/a"[..]), (b"HttpOnly", b""), (b"Max-Age", b"5")]
        );
        assert_eq!(set_cookie(b"only").value, b"only");
        assert_eq!(set_cookie(b"").value, b"");
    }

    #[test]
    fn credentials_have_a_scheme() {
        assert_eq!(credentials(b"Bearer  abc"), Some((&b"Bearer"[..], 8)));
        assert_eq!(credentials(b"Digest a=b, c=d"), Some((&b"Digest"[..], 7)));
        assert_eq!(credentials(b"token"), None);
        assert_eq!(credentials(b"Bearer "), None);
        let list: Vec<_> = members(b" a, ,b ,").collect();
        assert_eq!(list, [b"a", b"b"]);
    }
}
