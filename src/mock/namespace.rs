//! One namespace with the replay: values that v2 issued to its clients are turned back into v1's
//! in the calls that it makes, before they are matched, and forth again in what it is answered.
//!
//! What v2 issued is read from the run's `bindings.jsonl`, which grows while the replay runs. What
//! a provider issues needs no turning: the mock answers with the recorded values, and v2 says them
//! back as v1 did. A value that v2 issues in the very answer that makes the call is known only
//! after it; such values are judged by their kind, as before.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use rustc_hash::FxHashMap;

use crate::bind::find::things::{self, Nouns, Stands};
use crate::limits::{MOCK_BINDINGS, WALKED_BODY_BYTES};
use crate::message::document::{Bounds, Form, Value, Visit};
use crate::message::place::Trail;
use crate::message::target::path_and_query;
use crate::message::{Request, Response, edit};
use crate::record::flows::Binding;

/// Bytes of the file that are read for one call; the rest is read for the next ones.
const READ_BYTES: u64 = 16 << 20;
/// Longest value that means something only beside its kind of thing, in bytes.
const LONGEST_WEAK: usize = 64;
/// Longest text in which values are looked for, in bytes.
const LONGEST_TEXT: usize = 64 << 10;

/// Values by what they stand for; none where they stand for several.
type NameTurns = FxHashMap<Box<str>, Option<Box<str>>>;

/// What v2 issued so far.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    path: PathBuf,
    file: Option<File>,
    /// How far the file was read.
    read: u64,
    /// The beginning of a line that was not whole yet.
    rest: Vec<u8>,
    /// v1's value of each of v2's, and the other way.
    back: NameTurns,
    forth: NameTurns,
    /// Bindings beyond the bound.
    beyond: u64,
}

/// v1's values that a call was turned back to, each with v2's: its answer is turned by these first.
pub(super) type TurnedPairs = Vec<(String, String)>;

impl Namespace {
    /// Follows the file at `path`, which need not be there yet.
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, ..Self::default() }
    }

    /// Reads what was written since the last call.
    pub(super) fn update(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(self.read))?;
        self.read += file.take(READ_BYTES).read_to_end(&mut self.rest)? as u64;
        let Some(end) = memchr::memrchr(b'\n', &self.rest) else { return Ok(()) };
        let lines = std::mem::take(&mut self.rest);
        self.rest = lines[end + 1..].to_vec();
        for line in lines[..end].split(|&byte| byte == b'\n') {
            if let Ok(binding) = serde_json::from_slice::<Binding>(line) {
                self.add(&binding);
            }
        }
        Ok(())
    }

    fn add(&mut self, binding: &Binding) {
        let Some(v2) = binding.v2.as_deref().filter(|v2| *v2 != binding.v1) else { return };
        if self.back.len() >= MOCK_BINDINGS {
            if self.beyond == 0 {
                tracing::warn!(
                    "the mock keeps {MOCK_BINDINGS} bindings: further values of v2's are matched \
                     as they are"
                );
            }
            self.beyond += 1;
            return;
        }
        let thing = binding.thing.as_deref();
        add(&mut self.back, key(thing, v2), &binding.v1);
        add(&mut self.forth, key(thing, &binding.v1), v2);
    }

    /// A call as v1 would have made it.
    pub(super) fn back<'r>(&self, request: &'r Request) -> (Cow<'r, Request>, TurnedPairs) {
        if self.back.is_empty() {
            return (Cow::Borrowed(request), TurnedPairs::new());
        }
        let mut turned = request.clone();
        let mut turner = Turner::of(&self.back, &request.target);
        if !edit::request(&mut turned, &mut turner, Bounds::default()) {
            return (Cow::Borrowed(request), TurnedPairs::new());
        }
        let pairs = turner.pairs.into_inner().into_iter().map(|(v2, v1)| (v1, v2)).collect();
        (Cow::Owned(turned), pairs)
    }

    /// A recorded answer as v2 is to read it, where it holds values of v1's that v2 knows by other
    /// names; `pairs` are those of the call.
    pub(super) fn forth(
        &self,
        answer: &Response,
        request: &Request,
        pairs: TurnedPairs,
    ) -> Option<Response> {
        if self.forth.is_empty() || answer.body.bytes.len() > WALKED_BODY_BYTES {
            return None;
        }
        let own: NameTurns = pairs
            .into_iter()
            .map(|(v1, v2)| (v1.into_boxed_str(), Some(v2.into_boxed_str())))
            .collect();
        let mut turned = answer.clone();
        let mut turner = Turner { own: Some(&own), ..Turner::of(&self.forth, &request.target) };
        edit::response(&mut turned, &mut turner, Bounds::default()).then_some(turned)
    }
}

fn add(turns: &mut NameTurns, key: Box<str>, value: &str) {
    turns
        .entry(key)
        .and_modify(|known| {
            if known.as_deref() != Some(value) {
                *known = None;
            }
        })
        .or_insert_with(|| Some(value.into()));
}

/// A value by itself, or as one of a kind of thing.
fn key(thing: Option<&str>, value: &str) -> Box<str> {
    match thing {
        Some(thing) => format!("{thing}\0{value}").into_boxed_str(),
        None => value.into(),
    }
}

/// Turns the values of a message.
struct Turner<'t> {
    turns: &'t NameTurns,
    /// What holds before all others.
    own: Option<&'t NameTurns>,
    nouns: Nouns,
    /// What was turned, and into what.
    pairs: RefCell<TurnedPairs>,
}

impl<'t> Turner<'t> {
    fn of(turns: &'t NameTurns, target: &[u8]) -> Self {
        let path = String::from_utf8_lossy(path_and_query(target).0);
        Self { turns, own: None, nouns: Nouns::of(&path), pairs: RefCell::default() }
    }

    fn get(&self, key: &str) -> Option<&'t str> {
        let own = self.own.and_then(|own| own.get(key));
        own.or_else(|| self.turns.get(key))?.as_deref()
    }

    /// What stands for a whole value.
    fn whole(&self, at: &Trail<'_>, value: &Value<'_>) -> Option<String> {
        if let Some(found) = self.get(value.text) {
            return Some(found.to_owned());
        }
        if value.text.len() > LONGEST_WEAK {
            return None;
        }
        let things = things::at(at, Stands::Said, value.label, &self.nouns).0;
        things.iter().find_map(|thing| self.get(&key(Some(thing), value.text))).map(str::to_owned)
    }

    /// A text with what stands for the values in it; the widest ones first.
    fn within(&self, text: &str, levels: &[fn(char) -> bool]) -> Option<String> {
        let (of, narrower) = levels.split_first()?;
        let mut out = String::new();
        let mut found = false;
        let mut rest = text;
        while !rest.is_empty() {
            let start = rest.find(of).unwrap_or(rest.len());
            let end = start + rest[start..].find(|c| !of(c)).unwrap_or(rest.len() - start);
            let run = &rest[start..end];
            let one = self.get(run).map(str::to_owned);
            if let Some(one) = &one {
                self.pairs.borrow_mut().push((run.to_owned(), one.clone()));
            }
            let turned = one.or_else(|| self.within(run, narrower));
            found |= turned.is_some();
            out.push_str(&rest[..start]);
            out.push_str(turned.as_deref().unwrap_or(run));
            rest = &rest[end..];
        }
        found.then_some(out)
    }
}

impl Visit for Turner<'_> {
    fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
        /// Of what values are made: parts of a text between blanks and quotes, tokens with dots,
        /// UUIDs, words.
        const LEVELS: [fn(char) -> bool; 4] = [
            |c| !c.is_whitespace() && !"\"'<>&,;()".contains(c),
            |c| c.is_alphanumeric() || "-_.~+=:|!".contains(c),
            |c| c.is_alphanumeric() || matches!(c, '-' | '_'),
            char::is_alphanumeric,
        ];
        if matches!(value.form, Form::Digest | Form::Empty) {
            return None;
        }
        let whole = self.whole(at, &value);
        if let Some(whole) = &whole {
            self.pairs.get_mut().push((value.text.to_owned(), whole.clone()));
        }
        let is_text = value.form == Form::Text && value.text.len() <= LONGEST_TEXT;
        let turned =
            whole.or_else(|| is_text.then(|| self.within(value.text, &LEVELS)).flatten())?;
        let is_number = |text: &str| serde_json::from_str::<serde_json::Number>(text).is_ok();
        if value.form == Form::Bare && !is_number(&turned) {
            return None;
        }
        Some(turned)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::message::Body;

    fn namespace(lines: &[(&str, &str, Option<&str>)]) -> Namespace {
        let mut namespace = Namespace::default();
        for (v1, v2, thing) in lines {
            namespace.add(&binding(v1, v2, *thing));
        }
        namespace
    }

    fn binding(v1: &str, v2: &str, thing: Option<&str>) -> Binding {
        Binding {
            slot: 0,
            id: "0-0".parse().expect("an id"),
            place: "$.id".to_owned(),
            thing: thing.map(str::to_owned),
            flow: None,
            v1: v1.to_owned(),
            v2: Some(v2.to_owned()),
            reason: None,
        }
    }

    fn call(target: &'static str, body: &'static str) -> Request {
        let mut headers = crate::message::Headers::new();
        headers.push(b"Content-Type", b"application/json");
        headers.push(b"Content-Length", body.len().to_string().as_bytes());
        Request {
            method: "POST".into(),
            target: target.into(),
            headers,
            body: Body::whole(body.as_bytes()),
            ..Request::default()
        }
    }

    #[test]
    fn calls_are_turned_back_and_their_answers_forth() {
        let namespace = namespace(&[
            ("ord-3f2a91c07be4", "zz-9911aa22bb33", None),
            ("8", "1008", Some("page")),
        ]);
        let v2 = call(
            "/orders/zz-9911aa22bb33?note=for+zz-9911aa22bb33",
            r#"{"order":"zz-9911aa22bb33","page_id":1008,"n":1008}"#,
        );
        let (v1, pairs) = namespace.back(&v2);
        assert_eq!(&*v1.target, b"/orders/ord-3f2a91c07be4?note=for+ord-3f2a91c07be4");
        assert_eq!(&*v1.body.bytes, br#"{"order":"ord-3f2a91c07be4","page_id":8,"n":1008}"#);
        assert_eq!(
            v1.headers.get("content-length"),
            Some(v1.body.bytes.len().to_string().as_bytes())
        );
        let answer = Response {
            status: 200,
            body: Body::whole(&br#"{"charge":"ch_1","order":"ord-3f2a91c07be4"}"#[..]),
            ..Response::default()
        };
        let turned = namespace.forth(&answer, &v2, pairs).expect("it echoes v2's id");
        assert_eq!(&*turned.body.bytes, br#"{"charge":"ch_1","order":"zz-9911aa22bb33"}"#);
        let other = call("/rates", "{}");
        assert!(matches!(namespace.back(&other), (Cow::Borrowed(_), _)), "nothing to turn");
    }

    #[test]
    fn what_stands_for_several_values_is_left() {
        let namespace =
            namespace(&[("aaaa1111", "cccc3333", None), ("bbbb2222", "cccc3333", None)]);
        let asked = call("/x/cccc3333", "{}");
        let (turned, _) = namespace.back(&asked);
        assert_eq!(&*turned.target, b"/x/cccc3333");
    }

    #[test]
    fn a_growing_file_is_followed_by_whole_lines() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut namespace = Namespace::of(file.path().to_owned());
        let line = serde_json::to_string(&binding("aaaa1111", "cccc3333", None)).expect("JSON");
        let mut out = file.as_file();
        let (first, second) = line.split_at(20);
        write!(out, "{first}").expect("written");
        namespace.update().expect("read");
        assert!(namespace.back.is_empty(), "half a line says nothing");
        writeln!(out, "{second}").expect("written");
        namespace.update().expect("read");
        assert_eq!(namespace.back.len(), 1);
        Namespace::of("/nowhere/at/all".into()).update().expect("it need not be there yet");
    }
}
