//! The proxy between the client transport and v2: it resolves names, is asked for tunnels, and what
//! it fails at is not v2's.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::outcome::{Failure, FailureKind, Owner};
use crate::replay::session::target::{Target, TargetError};

/// Longest answer to a CONNECT, in bytes.
const ANSWER_BYTES: usize = 16 << 10;

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it listens.
    pub target: Target,
    pub(super) address: SocketAddr,
    /// What it is told of who asks.
    pub(super) credentials: Option<String>,
}

impl Proxy {
    /// From its URL, which may hold a name and a password.
    pub fn resolve(url: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError::NotAUrl("--proxy".to_owned());
        let mut url = Url::parse(url).map_err(|_| wrong())?;
        if url.scheme() != "http" {
            return Err(wrong());
        }
        let decoded = |text: &str| {
            let pairs = format!("p={}", text.replace('+', "%2B"));
            let mut pairs = url::form_urlencoded::parse(pairs.as_bytes());
            pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let credentials = (!url.username().is_empty()).then(|| {
            let password = decoded(url.password().unwrap_or_default());
            format!("Basic {}", STANDARD.encode(format!("{}:{password}", decoded(url.username()))))
        });
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| wrong())?;
        url.set_path("");
        let target = Target::resolve(url.as_str())?;
        Ok(Self { address: target.address(0), target, credentials })
    }

    /// What it failed at.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let detail = format!("the proxy {}: {what}", self.target.shown());
        Failure::new(FailureKind::Connect, detail).of(Owner::Proxy)
    }

    /// Why an answer of this status, with these fields, is the proxy's own and not v2's, or may be
    /// either's: a proxy need not say which. `expected` is v1's status.
    pub(super) fn refusal(
        &self,
        status: u16,
        expected: u16,
        has: impl Fn(&str) -> Option<String>,
    ) -> Option<Failure> {
        /// What proxies answer themselves (RFC 9110 §15.5.4, §15.6.3 to §15.6.5, RFC 6585 §6).
        const OF_PROXIES: [u16; 5] = [403, 502, 503, 504, 511];
        let says_so = has("proxy-status").is_some_and(|status| status.contains("error="))
            || has("x-squid-error").is_some();
        if status == 407 || says_so && status >= 400 {
            return Some(self.failure(&format!("it refuses the request with {status}")));
        }
        let may_be_own = OF_PROXIES.contains(&status) && status != expected;
        may_be_own.then(|| {
            self.failure(&format!(
                "{status} came through it, and whether it or v2 answers so is not known: leave out \
                 --proxy, or let it allow what is asked"
            ))
        })
    }

    /// The connection to it ended before there was an answer.
    pub(super) fn closed(&self, failure: Failure) -> Failure {
        match failure.kind {
            FailureKind::Closed if failure.owner.is_none() => {
                self.failure(&format!("no answer came through it: {}", failure.detail))
            }
            _ => failure,
        }
    }

    /// A tunnel to `target` (RFC 9110 §9.3.6).
    pub(super) async fn tunnel(
        &self,
        mut stream: TcpStream,
        target: &Target,
    ) -> Result<TcpStream, Failure> {
        let host = target.url.host_str().unwrap_or(&target.host);
        let end = format!("{host}:{}", target.port);
        let mut head = format!("CONNECT {end} HTTP/1.1\r\nHost: {end}\r\n");
        if let Some(credentials) = &self.credentials {
            head += &format!("Proxy-Authorization: {credentials}\r\n");
        }
        head += "\r\n";
        let broken = |error: std::io::Error| self.failure(&error.to_string());
        stream.write_all(head.as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // Byte by byte: what follows belongs to the tunnel.
            let byte = stream.read_u8().await.map_err(broken)?;
            answer.push(byte);
            if answer.len() > ANSWER_BYTES {
                return Err(self.failure("its answer to CONNECT has no end"));
            }
        }
        let line =
            String::from_utf8_lossy(answer.split(|&byte| byte == b'\r').next().unwrap_or_default());
        let is_open = line.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        if is_open {
            Ok(stream)
        } else {
            Err(self.failure(&format!("it opens no tunnel to {end}: {line}")))
        }
    }
}
