//! What `--wait-ready` asks, and when an answer says ready: a resource of HTTP, or the health check
//! of gRPC (`grpc.health.v1.Health/Check`) for `grpc://HOST:PORT/SERVICE` and `grpcs://`.

use hyper::header::{CONTENT_TYPE, TE};
use hyper::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::message::media::MediaType;
use crate::message::{Headers, grpc};
use crate::varint;

/// The media type of calls.
const GRPC: &str = "application/grpc";
/// Field 1 of `HealthCheckRequest` (a string) and of `HealthCheckResponse` (an enumeration).
const SERVICE: u8 = 1 << 3 | 2;
const SERVING_STATUS: u8 = 1 << 3;
/// `HealthCheckResponse.ServingStatus`.
const STATUS_NAMES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// What is asked until it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyCheck {
    /// What is asked over HTTP.
    pub url: Url,
    /// Of a call: its one message, framed.
    call: Option<Vec<u8>>,
}

impl ReadyCheck {
    /// Of an `http`, `https`, `grpc` or `grpcs` URL; none for any other. The path of the last two
    /// is the name of a service, empty for the whole server.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" | "https" => return Some(Self { url: url.clone(), call: None }),
            "grpc" => "http",
            "grpcs" => "https",
            _ => return None,
        };
        // These schemes do not change into one another by `set_scheme`.
        let rest = &url.as_str()[url.scheme().len()..];
        let mut asked = Url::parse(&format!("{scheme}{rest}")).ok()?;
        let service = asked.path().trim_matches('/').to_owned();
        asked.set_path("/grpc.health.v1.Health/Check");
        asked.set_query(None);
        let mut message = Vec::new();
        if !service.is_empty() {
            message.push(SERVICE);
            varint::put(&mut message, service.len() as u64);
            message.extend_from_slice(service.as_bytes());
        }
        Some(Self { url: asked, call: Some(grpc::frame_of(&message)) })
    }

    /// Whether it is a call, which needs HTTP/2.
    pub fn is_call(&self) -> bool {
        self.call.is_some()
    }

    /// The request.
    pub(super) fn ask(&self, client: &reqwest::Client) -> reqwest::RequestBuilder {
        match &self.call {
            None => client.get(self.url.clone()),
            Some(message) => client
                .request(Method::POST, self.url.clone())
                .header(CONTENT_TYPE, GRPC)
                .header(TE, "trailers")
                .body(message.clone()),
        }
    }

    /// Whether an answer says ready; else why not.
    pub(super) fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), String> {
        if status.as_u16() >= 400 || self.is_call() && status != StatusCode::OK {
            return Err(format!("status {}", status.as_u16()));
        }
        if !self.is_call() {
            return Ok(());
        }
        let code = headers.get(grpc::STATUS).and_then(|value| grpc::number(value.as_bytes()));
        if let Some(code) = code.filter(|&code| code != 0) {
            return Err(format!("the health check came to {}", grpc::shown(code)));
        }
        let found = grpc::messages(MediaType::new(GRPC.as_bytes()), &Headers::new(), body);
        match found.messages.first() {
            Some(Some(message)) => match serving(message) {
                Some(1) => Ok(()),
                Some(other) => {
                    let name = usize::try_from(other).ok().and_then(|at| STATUS_NAMES.get(at));
                    Err(format!("it says {}", name.unwrap_or(&"an unknown status")))
                }
                None => Err("its answer is none of a health check".to_owned()),
            },
            _ => Err("the health check came to no answer".to_owned()),
        }
    }
}

/// What a `HealthCheckResponse` says.
fn serving(message: &[u8]) -> Option<u64> {
    match message {
        [] => Some(0),
        [SERVING_STATUS, rest @ ..] => {
            let mut rest = rest;
            varint::take(&mut rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Option<ReadyCheck> {
        ReadyCheck::of(&url.parse().unwrap())
    }

    #[test]
    fn a_url_says_what_is_asked() {
        for (url, asked, message) in [
            ("http://v2/healthz?deep=1", "http://v2/healthz?deep=1", None),
            ("grpc://v2:50051", "http://v2:50051/grpc.health.v1.Health/Check", Some(&b""[..])),
            (
                "grpcs://v2:8443/shop.v1.Shop",
                "https://v2:8443/grpc.health.v1.Health/Check",
                Some(b"\x0a\x0cshop.v1.Shop"),
            ),
        ] {
            let check = check(url).unwrap();
            assert_eq!(check.url.as_str(), asked);
            assert_eq!(check.call, message.map(grpc::frame_of));
        }
        assert_eq!(check("ftp://v2/healthz"), None);
    }

    #[test]
    fn only_who_serves_is_ready() {
        let call = check("grpc://v2:1").unwrap();
        let head = |status: &str| {
            HeaderMap::from_iter([(grpc::STATUS.parse().unwrap(), status.parse().unwrap())])
        };
        let judge = |status: u16, headers: &HeaderMap, body: &[u8]| {
            call.judge(StatusCode::from_u16(status).unwrap(), headers, body)
        };
        let none = HeaderMap::new();
        let says = |message: &[u8]| judge(200, &none, &grpc::frame_of(message));
        assert_eq!(says(b"\x08\x01"), Ok(()));
        assert_eq!(says(b"\x08\x02"), Err("it says NOT_SERVING".to_owned()));
        assert_eq!(says(b""), Err("it says UNKNOWN".to_owned()));
        assert_eq!(says(b"\x08\x63"), Err("it says an unknown status".to_owned()));
        assert!(says(b"\x12\x01a").unwrap_err().contains("none of a health check"));
        assert!(judge(200, &none, b"").unwrap_err().contains("no answer"));
        let unimplemented = judge(200, &head("12"), b"");
        assert_eq!(unimplemented, Err("the health check came to 12 UNIMPLEMENTED".to_owned()));
        assert_eq!(judge(503, &none, b""), Err("status 503".to_owned()));
        assert_eq!(judge(302, &none, b""), Err("status 302".to_owned()));
        let resource = check("https://v2/healthz").unwrap();
        assert_eq!(resource.judge(StatusCode::FOUND, &none, b""), Ok(()));
    }
}
