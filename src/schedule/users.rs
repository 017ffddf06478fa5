//! What tells users apart: their connections, or what their requests carry where a proxy sends
//! those of many users over connections of its own.

use sha2::{Digest as _, Sha256};

use crate::exchange::Exchange;
use crate::message::Request;
use crate::message::fields::{cookies, forwarded_for};

/// Text form: `connection`, `cookie:NAME`, `header:NAME`, `forwarded-for`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Users {
    /// A connection is a user.
    #[default]
    Connection,
    /// By the value of a cookie.
    Cookie(String),
    /// By the value of a header field.
    Header(String),
    /// By the client that the nearest proxy names (`X-Forwarded-For`; `Forwarded`, RFC 7239).
    ForwardedFor,
}

impl std::str::FromStr for Users {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':').map(|(by, name)| (by, name.trim())) {
            None if text == "connection" => Ok(Self::Connection),
            None if text == "forwarded-for" => Ok(Self::ForwardedFor),
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.to_owned())),
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name.to_owned())),
            _ => Err(format!(
                "{text:?} tells no users apart: write connection, cookie:NAME, header:NAME or \
                 forwarded-for"
            )),
        }
    }
}

impl std::fmt::Display for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection => f.write_str("connection"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::ForwardedFor => f.write_str("forwarded-for"),
        }
    }
}

impl Users {
    /// The user of an exchange, the same number in every run; none where its request does not say:
    /// then its connection is all that is known.
    pub fn of(&self, exchange: &Exchange) -> Option<u64> {
        let request = &exchange.request.as_ref()?.message;
        let hash = |value: &[u8]| first_eight(&Sha256::digest(value));
        match self {
            Self::Connection => None,
            Self::Cookie(name) => cookie(request, name).map(hash),
            Self::Header(name) => request.headers.get(name).map(hash),
            Self::ForwardedFor => {
                forwarded_for(&request.headers).map(|client| hash(client.as_bytes()))
            }
        }
    }
}

fn cookie<'r>(request: &'r Request, name: &str) -> Option<&'r [u8]> {
    let mut crumbs = request.headers.all("cookie").flat_map(cookies);
    crumbs.find(|crumb| crumb.name == name.as_bytes()).map(|crumb| crumb.value)
}

/// A number of the first bytes of a digest.
pub(super) fn first_eight(digest: &[u8]) -> u64 {
    u64::from_le_bytes(digest[..8].try_into().expect("a digest of SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Completeness, TimedRequest};
    use crate::message::Headers;

    fn exchange(fields: &[(&str, &str)]) -> Exchange {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let message = Request { headers, ..Request::default() };
        let ends = ["192.0.2.1:1", "192.0.2.2:80"].map(|end| end.parse().unwrap());
        Exchange {
            completeness: Completeness::NoResponse,
            request: Some(TimedRequest { message, ..TimedRequest::default() }),
            ..Exchange::between(ends[0], ends[1])
        }
    }

    #[test]
    fn users_are_told_by_what_their_requests_carry() {
        let by = |text: &str| text.parse::<Users>().unwrap();
        let user = |text: &str, fields: &[(&str, &str)]| by(text).of(&exchange(fields));
        let ann = user("cookie:sid", &[("Cookie", "a=1; sid=ann")]);
        assert!(ann.is_some());
        assert_eq!(ann, user("cookie:sid", &[("cookie", "sid=ann; a=2")]));
        assert_ne!(ann, user("cookie:sid", &[("cookie", "sid=bob")]));
        assert_eq!(user("cookie:sid", &[("cookie", "other=ann")]), None);
        assert_eq!(ann, user("header:x-user", &[("X-User", "ann")]));
        assert_eq!(ann, user("forwarded-for", &[("X-Forwarded-For", "ann, 10.0.0.1")]));
        assert_eq!(ann, user("forwarded-for", &[("Forwarded", "proto=https;for=\"ann\"")]));
        assert_eq!(user("connection", &[("Cookie", "sid=ann")]), None);
        for text in ["connection", "cookie:sid", "header:x-user", "forwarded-for"] {
            assert_eq!(by(text).to_string(), text);
        }
        for text in ["", "cookie", "cookie:", "header: ", "user:ann"] {
            assert!(text.parse::<Users>().unwrap_err().contains("cookie:NAME"), "{text}");
        }
    }
}
