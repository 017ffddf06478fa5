//! Logs whose first lines say what their fields are, by the W3C's draft of an extended log format:
//! IIS, and CloudFront.

use super::logged::Logged;
use crate::message::encoding::percent_bytes;
use crate::time::NANOS_PER_SEC;

/// The names of the fields of the lines that follow, in lower case; none before they are said.
#[derive(Debug, Default)]
pub(super) struct LogFields {
    names: Vec<String>,
    is_cloudfront: bool,
}

impl LogFields {
    /// Takes what a line says behind its `#`.
    pub(super) fn directive(&mut self, said: &str) {
        let Some((name, value)) = said.split_once(':') else { return };
        if name.trim().eq_ignore_ascii_case("fields") {
            self.names = value.split_whitespace().map(str::to_ascii_lowercase).collect();
            self.is_cloudfront = self.names.iter().any(|name| name.starts_with("x-edge"));
        }
    }

    /// Whether lines of these fields tell of requests.
    pub(super) fn are_of_requests(&self) -> bool {
        ["cs-method", "cs-uri-stem"].iter().all(|name| self.names.iter().any(|n| n == name))
    }

    /// What a line tells; none where it has not the fields that were said.
    pub(super) fn read(&self, line: &str) -> Option<Logged> {
        let values: Vec<&str> = match line.contains('\t') {
            true => line.split('\t').collect(),
            false => line.split(' ').collect(),
        };
        if !self.are_of_requests() || values.len() != self.names.len() {
            return None;
        }
        let value = |names: &[&str]| {
            let mut found = self.names.iter().zip(&values).filter(|(_, value)| **value != "-");
            found.find_map(|(name, value)| names.contains(&&**name).then_some(*value))
        };
        let took = value(&["time-taken"]).and_then(|text| text.parse::<f64>().ok());
        // IIS counts milliseconds, CloudFront seconds.
        let unit = if self.is_cloudfront { NANOS_PER_SEC as f64 } else { 1e6 };
        let time = format!("{}T{}Z", value(&["date"])?, value(&["time"])?);
        let own = |names: &[&str]| value(names).unwrap_or_default().to_owned();
        let mut logged = Logged {
            at: time.parse().ok(),
            is_end: true,
            took_ns: took.map(|took| (took * unit) as i64),
            client: own(&["c-ip"]),
            method: own(&["cs-method"]),
            target: own(&["cs-uri-stem"]),
            protocol: own(&["cs-version", "cs-protocol-version"]),
            is_https: matches!(value(&["cs-protocol"]), Some("https" | "wss"))
                || value(&["s-port"]) == Some("443"),
            host: own(&["x-host-header"]),
            status: value(&["sc-status"]).and_then(|text| text.parse().ok()),
            ..Logged::default()
        };
        if logged.host.is_empty() {
            logged.host = own(&["cs-host", "cs(host)"]);
        }
        if let Some(query) = value(&["cs-uri-query"]) {
            logged.target = format!("{}?{query}", logged.target);
        }
        let forwarded = ["x-forwarded-for", "cs(x-forwarded-for)"];
        for (name, names) in [
            ("User-Agent", &["cs(user-agent)"][..]),
            ("Referer", &["cs(referer)"]),
            ("Cookie", &["cs(cookie)"]),
            ("X-Forwarded-For", &forwarded),
        ] {
            logged.field(name, &self.text(value(names).unwrap_or_default()));
        }
        Some(logged)
    }

    /// A value as it was sent: IIS writes blanks as `+`, CloudFront percent-encodes what is not
    /// plain, and the signs of its own encoding as well.
    fn text(&self, value: &str) -> String {
        match self.is_cloudfront {
            true => String::from_utf8_lossy(&percent_bytes(value, false)).into_owned(),
            false => value.replace('+', " "),
        }
    }
}
