//! Puts v2's values into a request, in the place of v1's.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::message::Request;
use crate::message::document::{Bounds, Value, Visit, Walk};
use crate::message::edit::Changes;
use crate::message::place::{Place, Trail};
use crate::message::protobuf::Call;

/// A value to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put<'p> {
    /// Where.
    pub place: &'p Place,
    /// The bytes of it in the decoded value there; none where it is all of it.
    pub range: Option<Range<u32>>,
    /// What must stand there now.
    pub old: &'p str,
    /// What is to stand there.
    pub new: &'p str,
}

/// What else a request's values are made into, beside what is bound: asked of every value that no
/// flow binds.
pub trait Retouch {
    /// The text that is to stand there instead.
    fn retouch(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String>;

    /// Whether it may want the value at this place as a whole, though it holds others.
    fn is_whole(&self, at: &Trail<'_>, text: &str) -> bool;
}

/// Nothing else.
pub struct Untouched;

impl Retouch for Untouched {
    fn retouch(&mut self, _: &Trail<'_>, _: Value<'_>) -> Option<String> {
        None
    }

    fn is_whole(&self, _: &Trail<'_>, _: &str) -> bool {
        false
    }
}

/// What comes of putting values.
#[derive(Debug, Default)]
pub struct Filled<C = Changes> {
    /// What changes; nothing where the new values are the old ones.
    pub changes: C,
    /// How many values now stand where they belong, also those that are as they were.
    pub placed: u32,
}

/// Puts `puts` into a request of this call, each where its old value stands; one that does not
/// stand there (a rule has rewritten the request) is left out.
pub fn put(request: &Request, call: Call, puts: &[Put<'_>], retouch: &mut dyn Retouch) -> Filled {
    let (edited, placed) = walked(puts, call, retouch, |walk| walk.request(request));
    Filled { changes: Changes::of(&request.headers, edited), placed }
}

/// The same for an element of a list in JSON.
pub fn put_element(number: usize, json: &str, puts: &[Put<'_>]) -> Filled<Option<String>> {
    let (changes, placed) =
        walked(puts, Call::default(), &mut Untouched, |walk| walk.list_element(number, json));
    Filled { changes, placed }
}

/// Puts `puts` where a walk leads to; gives what that gives, and how many were placed.
fn walked<T>(
    puts: &[Put<'_>],
    call: Call,
    retouch: &mut dyn Retouch,
    walk: impl FnOnce(&mut Walk<'_>) -> T,
) -> (T, u32) {
    let mut by_place: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (index, put) in puts.iter().enumerate() {
        by_place.entry(put.place.hash()).or_default().push(index);
    }
    // From the back, so that a range still holds when those behind it are replaced.
    let from = |index: &usize| puts[*index].range.as_ref().map_or(0, |range| range.start);
    by_place.values_mut().for_each(|list| list.sort_by_key(|index| std::cmp::Reverse(from(index))));
    let mut visit = Filling { puts, by_place, placed: vec![false; puts.len()], retouch };
    let walked = walk(&mut Walk::new(&mut visit, Bounds::default()).of(call));
    let placed = visit.placed.iter().filter(|placed| **placed).count();
    (walked, placed as u32)
}

struct Filling<'p, 'v> {
    puts: &'p [Put<'p>],
    by_place: FxHashMap<u64, Vec<usize>>,
    placed: Vec<bool>,
    retouch: &'v mut dyn Retouch,
}

impl Filling<'_, '_> {
    /// What is to stand at a place, and whether anything that stands there is bound.
    fn filled(&mut self, at: &Trail<'_>, text: &str) -> (Option<String>, bool) {
        let (mut made, mut is_bound): (Option<String>, bool) = (None, false);
        for &index in self.by_place.get(&at.hash()).into_iter().flatten() {
            let put = &self.puts[index];
            let range = match &put.range {
                Some(range) => range.start as usize..range.end as usize,
                None => 0..text.len(),
            };
            if self.placed[index] || text.get(range.clone()) != Some(put.old) {
                continue;
            }
            (self.placed[index], is_bound) = (true, true);
            if put.new != put.old {
                let whole = made.get_or_insert_with(|| text.to_owned());
                // Those behind it were put before; the text up to its end is as it was.
                whole.replace_range(range, put.new);
            }
            if put.range.is_none() {
                // Another of the same place is for a second value under this name.
                break;
            }
        }
        (made, is_bound)
    }
}

impl Visit for Filling<'_, '_> {
    fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        match self.filled(at, value.text) {
            (filled, true) => filled,
            (_, false) => self.retouch.retouch(at, value).filter(|new| new != value.text),
        }
    }

    fn inside(&mut self, at: &Trail<'_>, value: Value<'_>) -> bool {
        !self.by_place.contains_key(&at.hash()) && !self.retouch.is_whole(at, value.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Body;
    use crate::wire::h1::{encode, patch};

    fn request(target: &str, fields: &[(&str, &str)], body: &str) -> Request {
        let mut headers: crate::message::Headers =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        headers.push(b"Content-Length", body.len().to_string().as_bytes());
        Request {
            method: "POST".into(),
            target: target.to_owned().into(),
            headers,
            body: Body::whole(body.as_bytes().to_vec()),
            ..Request::default()
        }
    }

    fn filled(request: &Request, puts: &[(&str, Option<Range<u32>>, &str, &str)]) -> (String, u32) {
        let places: Vec<Place> = puts.iter().map(|put| put.0.parse().unwrap()).collect();
        let puts: Vec<Put<'_>> = puts
            .iter()
            .zip(&places)
            .map(|((_, range, old, new), place)| Put { place, range: range.clone(), old, new })
            .collect();
        let Filled { changes, placed } = put(request, Call::default(), &puts, &mut Untouched);
        let (mut wire, mut head) = (Vec::new(), Vec::new());
        encode::request(&mut wire, request).unwrap();
        encode::request_head(&mut head, request);
        let mut out = Vec::new();
        patch::patched(&mut out, &wire, head.len(), request, &changes);
        (String::from_utf8(out).unwrap(), placed)
    }

    #[test]
    fn values_are_put_where_v1s_stand() {
        let asked = request(
            "/carts/c-1/items?after=x%2Fy&tag=a&tag=b",
            &[("Authorization", "Bearer t1"), ("Cookie", "sid=s1; k=v"), ("If-Match", "W/\"e1\"")],
            r#"{"uri":"runs:/2/r-1/a/r-1","n":7,"p":"{\"id\":7}"}"#,
        );
        let (wire, placed) = filled(
            &asked,
            &[
                ("path[2]", None, "c-1", "c/22"),
                ("query:after", None, "x/y", "z&"),
                ("query:tag", None, "b", "B"),
                ("header:authorization", None, "t1", "t-two"),
                ("cookie:sid", None, "s1", "s2"),
                ("header:if-match", None, "e1", "e2"),
                ("$.uri", Some(8..11), "r-1", "rr-22"),
                ("$.uri", Some(14..17), "r-1", "rr-22"),
                ("$.n", None, "7", "1007"),
                ("$.p $.id", None, "7", "1007"),
                ("$.missing", None, "7", "8"),
                ("cookie:k", None, "other", "w"),
            ],
        );
        assert_eq!(placed, 10);
        let body = r#"{"uri":"runs:/2/rr-22/a/rr-22","n":1007,"p":"{\"id\":1007}"}"#;
        let head = format!(
            "POST /carts/c%2F22/items?after=z%26&tag=a&tag=B HTTP/1.1\r\n\
             Authorization: Bearer t-two\r\nCookie: sid=s2; k=v\r\nIf-Match: W/\"e2\"\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(wire, format!("{head}{body}"));
    }

    #[test]
    fn a_query_is_written_as_it_was() {
        let asked = request("/dl?t=a:b/c%2Bd==&u=x%3Ay&v=1&w=%2525:", &[], "");
        let puts = [
            ("query:t", None, "a:b/c+d==", "e+f:g/h=&%3A"),
            ("query:u", None, "x:y", "z:w"),
            ("query:v", None, "1", "2/3"),
            ("query:w", None, "%25:", "%3A:"),
        ];
        let (wire, placed) = filled(&asked, &puts);
        assert_eq!(placed, 4);
        let target = "/dl?t=e%2Bf:g/h=%26%253A&u=z%3Aw&v=2%2F3&w=%253A:";
        assert!(wire.starts_with(&format!("POST {target} ")), "{wire}");
    }

    #[test]
    fn a_token_is_put_whole_though_it_holds_claims() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
        let asked = request("/", &[("Authorization", &format!("Bearer {token}"))], "");
        let (wire, placed) = filled(&asked, &[("header:authorization", None, token, "opaque")]);
        assert_eq!(placed, 1);
        assert!(wire.contains("Authorization: Bearer opaque\r\n"), "{wire}");
    }

    proptest! {
        /// Identity bindings send the captured bytes.
        #[test]
        fn values_that_are_the_same_change_no_byte(
            segment in "[a-z0-9%~ -]{1,12}",
            query in "[a-zA-Z0-9%+=&]{0,20}",
            cookie in "[a-z0-9%=; ]{0,20}",
            body in "[{}\\[\\]\":,a-z0-9\\\\ ]{0,40}",
        ) {
            let asked = request(&format!("/{segment}?{query}"), &[("Cookie", &cookie)], &body);
            let mut seen: Vec<(Place, String)> = Vec::new();
            let mut visit = crate::message::document::Reader(|at: &Trail<'_>, value: Value<'_>| {
                seen.push((at.place(), value.text.to_owned()));
            });
            Walk::new(&mut visit, Bounds::default()).request(&asked);
            let puts: Vec<Put<'_>> = seen
                .iter()
                .map(|(place, text)| Put { place, range: None, old: text, new: text })
                .collect();
            let filled = put(&asked, Call::default(), &puts, &mut Untouched);
            prop_assert!(filled.changes.is_empty(), "{:?}", filled.changes);
        }
    }
}
