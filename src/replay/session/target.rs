//! Where requests go: a URL, resolved once, its addresses spread over the lanes.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::Duration;

use url::{Host, Url};

/// A place that requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As given, without user information.
    pub url: Url,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, as in the URL; IPv6 without brackets.
    pub host: String,
    /// The port, the scheme's own where the URL names none.
    pub port: u16,
    /// What `host` resolves to; empty only where a proxy resolves it.
    pub addresses: Vec<SocketAddr>,
}

/// Why a URL cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not a URL of this kind.
    #[error("{0:?} is not a target: write a URL like http://v2.staging:8080")]
    NotAUrl(String),
    /// Has parts that a target must not have.
    #[error(
        "the target {0} has {1}: name scheme, host and port only (the paths come from the capture)"
    )]
    TooMuch(String, &'static str),
    /// Its name has no address.
    #[error("the target's name {0:?} has no address")]
    Resolve(String, #[source] std::io::Error),
    /// The resolver did not answer.
    #[error("the target's name {0:?} could not be resolved within {1} s")]
    ResolveTimeout(String, u64),
}

/// Longest wait for the resolver.
const RESOLVE_SECONDS: u64 = 10;

/// A checked URL that is not resolved yet.
pub fn parse_url(text: &str) -> Result<Url, TargetError> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| TargetError::NotAUrl(text.to_owned()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(TargetError::NotAUrl(text.to_owned()));
    }
    let shown = || url.as_str().chars().take(200).collect::<String>();
    if !url.username().is_empty() || url.password().is_some() {
        // The URL is not shown: it holds a secret.
        return Err(TargetError::TooMuch(
            url.host_str().unwrap_or_default().to_owned(),
            "user information",
        ));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(TargetError::TooMuch(shown(), "a path"));
    }
    Ok(url)
}

impl Target {
    /// Checks, and resolves as far as this machine can: a proxy will.
    pub fn behind_proxy(text: &str) -> Result<Self, TargetError> {
        match Self::resolve(text) {
            Err(TargetError::Resolve(..) | TargetError::ResolveTimeout(..)) => {
                Self::with(text, |_, _| Ok(Vec::new()))
            }
            resolved => resolved,
        }
    }

    /// Checks and resolves.
    pub fn resolve(text: &str) -> Result<Self, TargetError> {
        Self::with(text, lookup)
    }

    /// The server that a URL of a resource is asked of, resolved.
    pub fn serving(url: &Url) -> Result<Self, TargetError> {
        let mut origin = url.clone();
        origin.set_path("");
        origin.set_query(None);
        origin.set_fragment(None);
        let anonymous = origin.set_username("").and_then(|()| origin.set_password(None));
        // What has no place for a user names no server; it is not shown, as it may hold a secret.
        anonymous.map_err(|()| TargetError::NotAUrl(String::new()))?;
        Self::resolve(origin.as_str())
    }

    fn with(
        text: &str,
        lookup: impl Fn(&str, u16) -> Result<Vec<SocketAddr>, TargetError>,
    ) -> Result<Self, TargetError> {
        let url = parse_url(text)?;
        let tls = url.scheme() == "https";
        let port = url.port_or_known_default().unwrap_or(if tls { 443 } else { 80 });
        let (host, addresses) = match url.host() {
            Some(Host::Ipv4(address)) => {
                (address.to_string(), vec![SocketAddr::new(address.into(), port)])
            }
            Some(Host::Ipv6(address)) => {
                (address.to_string(), vec![SocketAddr::new(address.into(), port)])
            }
            Some(Host::Domain(name)) => (name.to_owned(), lookup(name, port)?),
            None => return Err(TargetError::NotAUrl(text.to_owned())),
        };
        Ok(Self { url, tls, host, port, addresses })
    }

    /// The address of a lane: lanes are spread over all of them.
    pub fn address(&self, lane: u64) -> SocketAddr {
        self.addresses[(lane % self.addresses.len() as u64) as usize]
    }

    /// `host:port` as a `Host` field would have it: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = match self.url.host() {
            Some(host) => host.to_string(),
            None => self.host.clone(),
        };
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The URL without its closing slash.
    pub fn shown(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }
}

/// Resolves a name on a thread of its own, since the system's resolver cannot be given a bound.
pub(in crate::replay) fn lookup(name: &str, port: u16) -> Result<Vec<SocketAddr>, TargetError> {
    let (sender, receiver) = mpsc::channel();
    let asked = name.to_owned();
    let spawned = std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let _ =
            sender.send((asked.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    });
    spawned.map_err(|error| TargetError::Resolve(name.to_owned(), error))?;
    let mut addresses = match receiver.recv_timeout(Duration::from_secs(RESOLVE_SECONDS)) {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(TargetError::Resolve(name.to_owned(), error)),
        Err(_) => return Err(TargetError::ResolveTimeout(name.to_owned(), RESOLVE_SECONDS)),
    };
    addresses.dedup();
    // A service that listens on one family only is common, `localhost` with both families in the
    // hosts file even more so: spreading lanes over an address that nobody listens on would fail
    // half of them. IPv4 first, IPv6 where there is none.
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    if addresses.is_empty() {
        return Err(TargetError::Resolve(name.to_owned(), std::io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::resolve("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            (target.tls, target.port, target.shown(), target.authority().as_str()),
            (false, 8080, "http://127.0.0.1:8080", "127.0.0.1:8080")
        );
        let target = Target::resolve("https://[::1]").unwrap();
        assert_eq!(
            (target.tls, target.port, target.host.as_str(), target.authority().as_str()),
            (true, 443, "::1", "[::1]")
        );
        assert_eq!(Target::resolve("127.0.0.1:9").unwrap().shown(), "http://127.0.0.1:9");
        for text in [
            "",
            "ftp://a",
            "http://",
            "http://a/path",
            "http://a/?q",
            "http://user:secret@a/",
            "http://a:99999",
        ] {
            let error = parse_url(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_resource_is_asked_of_its_server() {
        let url = Url::parse("http://joe:secret@127.0.0.1:81/health?a=1#b").unwrap();
        assert_eq!(Target::serving(&url).unwrap().shown(), "http://127.0.0.1:81");
        assert!(Target::serving(&Url::parse("mailto:a").unwrap()).is_err());
    }

    #[test]
    fn lanes_are_spread_over_the_addresses() {
        let mut target = Target::resolve("http://127.0.0.1:1").unwrap();
        target.addresses.push("127.0.0.2:1".parse().unwrap());
        assert_ne!(target.address(4), target.address(5));
        assert_eq!(target.address(4), target.address(6));
    }
}
