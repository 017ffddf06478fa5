//! Event streams (`text/event-stream`, HTML §9.2) as the list of their events, so that they are
//! compared by structure: `$[3].data.choices[0].delta`.
//!
//! What a client never sees is no part of it: comments, which keep connections open, and how long
//! to wait before the next connection.

use crate::record::json as written;

/// An event while its lines are read.
#[derive(Default)]
struct StreamedEvent {
    name: Option<String>,
    id: Option<String>,
    data: Option<String>,
}

/// The events as an array in JSON; data that is JSON stands in it as such.
pub(super) fn as_json(stream: &str) -> Vec<u8> {
    // A stream that was cut ends inside of an event.
    array(&each(stream, true))
}

/// The whole events of two streams, as far as both go; none where one of them has none.
pub(super) fn as_far_as_both(a: &str, b: &str) -> Option<[Vec<u8>; 2]> {
    let (a, b) = (each(a, false), each(b, false));
    let both = a.len().min(b.len());
    (both > 0).then(|| [array(&a[..both]), array(&b[..both])])
}

fn array(events: &[Vec<u8>]) -> Vec<u8> {
    [b"[", events.join(&b","[..]).as_slice(), b"]"].concat()
}

/// Each event as an object; `cut` takes one without its end too.
fn each(stream: &str, cut: bool) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    let mut event = StreamedEvent::default();
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
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
        let of = |stream: &str| String::from_utf8(as_json(stream)).unwrap();
        assert_eq!(of(""), "[]");
        assert_eq!(
            of(": ping\r\n\r\ndata: {\"a\": 1}\r\n\r\ndata: [DONE]\r\n\r\n"),
            r#"[{"data":{"a": 1}},{"data":"[DONE]"}]"#
        );
        assert_eq!(
            of("event: tick\nid:7\nretry: 10\ndata: one\ndata: two \"x\"\n\n\n"),
            r#"[{"event":"tick","id":"7","data":"one\ntwo \"x\""}]"#
        );
        let both = as_far_as_both("data: 1\n\ndata: 2\n\nda", "data: 1\n\ndata: 3\n\ndata: 4\n\n");
        assert_eq!(
            both,
            Some(
                [br#"[{"data":"1"},{"data":"2"}]"#, br#"[{"data":"1"},{"data":"3"}]"#]
                    .map(|json| json.to_vec())
            )
        );
        assert_eq!(as_far_as_both("data: 1", "data: 1\n\n"), None, "not one is whole");
        assert_eq!(of("event: lost\n\ndata\n\ndata: cut"), r#"[{"data":""},{"data":"cut"}]"#);
    }
}
