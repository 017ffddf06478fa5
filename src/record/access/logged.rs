//! What a line of a log tells of a request, whatever form it has.

use crate::time::Timestamp;

/// What a line tells; what it does not is empty.
#[derive(Debug, Default)]
pub(super) struct Logged {
    pub(super) at: Option<Timestamp>,
    /// `at` is when the answer ended, not when the request began.
    pub(super) is_end: bool,
    pub(super) took_ns: Option<i64>,
    pub(super) client: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) protocol: String,
    pub(super) is_https: bool,
    pub(super) host: String,
    pub(super) status: Option<u16>,
    /// Header fields of the request.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

impl Logged {
    /// `GET /a?b HTTP/1.1`; false of what is none.
    pub(super) fn request_line(&mut self, line: &str) -> bool {
        let Some((method, rest)) = line.split_once(' ') else { return false };
        let (target, protocol) = match rest.rsplit_once(' ') {
            Some((target, protocol)) if protocol.starts_with("HTTP/") => (target, protocol),
            _ => (rest, ""),
        };
        (self.method, self.target) = (method.to_owned(), target.to_owned());
        self.protocol = protocol.to_owned();
        true
    }

    pub(super) fn field(&mut self, name: &str, value: &str) {
        if !matches!(value, "" | "-") {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
    }
}
