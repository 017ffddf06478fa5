//! Event streams (`text/event-stream`, HTML §9.2) as the list of their events, so that they are
//! compared by structure: `$[3].data.choices[0].delta`.
//!
//! What a client never sees is no part of it: comments, which keep connections open, and an event
//! that no blank line ends. How long to wait before the next connection is told apart.

use crate::record::json as written;

/// An event while its lines are read.
#[derive(Default)]
struct StreamedEvent {
    name: Option<String>,
    id: Option<String>,
    data: Option<String>,
}

/// The events of both streams as arrays in JSON; data that is JSON stands in them as such.
pub(super) fn both_as_json(a: &str, b: &str) -> [Vec<u8>; 2] {
    // A stream that was cut ends inside of an event. Where v1's is whole no client gets what v2
    // did not end.
    let is_whole = a.ends_with("\n\n") || a.ends_with("\r\n\r\n") || a.ends_with("\r\r");
    [array(&each(a, true)), array(&each(b, !is_whole))]
}

/// How long a client is to wait before it connects again, in milliseconds: as it was said last.
pub(super) fn retry(stream: &str) -> Option<&str> {
    let values = lines(stream).filter_map(|line| line.strip_prefix("retry:"));
    let is_number = |value: &&str| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    values.map(|value| value.strip_prefix(' ').unwrap_or(value)).filter(is_number).last()
}

/// The whole events of a stream that a client left, and as many of another one: where that `is_open`
/// still, as far as both go. None where there are none to compare.
pub(super) fn begun(a: &str, b: &str, is_open: bool) -> Option<[Vec<u8>; 2]> {
    let (a, b) = (each(a, false), each(b, false));
    let both = a.len().min(b.len());
    let of_a = if is_open { both } else { a.len() };
    (of_a > 0).then(|| [array(&a[..of_a]), array(&b[..both])])
}

/// How many whole events a stream has.
pub(super) fn count(stream: &str) -> usize {
    each(stream, false).len()
}

fn array(events: &[Vec<u8>]) -> Vec<u8> {
    [b"[", events.join(&b","[..]).as_slice(), b"]"].concat()
}

/// Each event as an object; `cut` takes one without its end too.
fn each(stream: &str, cut: bool) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    let mut event = StreamedEvent::default();
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    // What stands behind the last line end is no blank line.
    let ended = ["\r\n", "\n", "\r"].into_iter().find_map(|end| stream.strip_suffix(end));
    let stream = ended.unwrap_or(stream);
    for line in lines(stream) {
        if line.is_empty() {
            events.extend(std::mem::take(&mut event).object());
        } else {
            event.line(line);
        }
    }
    events.extend(event.object().filter(|_| cut));
    events
}

/// Lines end in CR, LF or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

impl StreamedEvent {
    fn line(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = Some(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
    }

    /// An event without data is none.
    fn object(self) -> Option<Vec<u8>> {
        let data = self.data?;
        let mut object = vec![b'{'];
        let out = &mut object;
        for (name, value) in [("event", self.name), ("id", self.id)] {
            if let Some(value) = value {
                written::string(out, name);
                out.push(b':');
                written::string(out, &value);
                out.push(b',');
            }
        }
        written::string(out, "data");
        out.push(b':');
        let holds = data.trim_ascii_start().starts_with(['{', '[']);
        if holds && crate::message::json::tape::Tape::parse(data.as_bytes()).is_ok() {
            out.extend_from_slice(data.as_bytes());
        } else {
            written::string(out, &data);
        }
        out.push(b'}');
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_lists_of_events() {
        let of = |stream: &str| String::from_utf8(array(&each(stream, true))).unwrap();
        assert_eq!(of(""), "[]");
        assert_eq!(
            of(": ping\r\n\r\ndata: {\"a\": 1}\r\n\r\ndata: [DONE]\r\n\r\n"),
            r#"[{"data":{"a": 1}},{"data":"[DONE]"}]"#
        );
        assert_eq!(
            of("event: tick\nid:7\nretry: 10\ndata: one\ndata: two \"x\"\n\n\n"),
            r#"[{"event":"tick","id":"7","data":"one\ntwo \"x\""}]"#
        );
        let both = begun("data: 1\n\ndata: 2\n\nda", "data: 1\n\ndata: 3\n\ndata: 4\n\n", false);
        assert_eq!(
            both,
            Some(
                [br#"[{"data":"1"},{"data":"2"}]"#, br#"[{"data":"1"},{"data":"3"}]"#]
                    .map(|json| json.to_vec())
            )
        );
        assert_eq!(begun("data: 1", "data: 1\n\n", false), None, "not one is whole");
        let whole = "data: 1\n\ndata: 2\n\n";
        for (a, b, events) in [
            (whole, "data: 1\n\ndata: 2\n", "[{\"data\":\"1\"}]"),
            (whole, "data: 1\r\n\r\ndata: 2\r\n\r\n", "[{\"data\":\"1\"},{\"data\":\"2\"}]"),
            ("data: 1\n\nda", "data: 1\n\ndata: 2", "[{\"data\":\"1\"},{\"data\":\"2\"}]"),
        ] {
            assert_eq!(String::from_utf8_lossy(&both_as_json(a, b)[1]), events, "{b:?}");
        }
        for (stream, wait) in [
            ("retry: 3000\n\ndata: 1\n\n", Some("3000")),
            ("retry:10\ndata: 1\n\nretry: 20\n\n", Some("20")),
            ("retry: soon\n\n", None),
            ("data: retry: 5\n\n", None),
        ] {
            assert_eq!(retry(stream), wait, "{stream:?}");
        }
        assert_eq!(of("event: lost\n\ndata\n\ndata: cut"), r#"[{"data":""},{"data":"cut"}]"#);
    }
}
