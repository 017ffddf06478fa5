//! Refuses a target that served the capture: a replay at production would do everything twice.
//!
//! Three signs: the target's address and port are those of a captured server; the target's URL is a
//! host and port that the capture's requests were for; such a host resolves to the target's address
//! and port. Another port of a captured address is allowed, since v1 and v2 may share a machine
//! (and on loopback always do).

use std::collections::BTreeSet;

use crate::exchange::Exchange;
use crate::flow::Endpoint;
use crate::schedule::select::host;

use crate::replay::session::target::{Target, lookup, plain};

/// Most servers and hosts that are kept; a capture with more is not of one service.
const SERVERS: usize = 65_536;
const HOSTS: usize = 1_024;
/// Most names that are resolved, so that the check stays quick.
const RESOLVED: usize = 16;

/// Who served the capture, and under which names.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    servers: BTreeSet<Endpoint>,
    hosts: BTreeSet<String>,
}

impl Captured {
    /// Takes note of an exchange.
    pub fn add(&mut self, exchange: &Exchange) {
        if self.servers.len() < SERVERS {
            self.servers
                .insert(Endpoint::new(plain(exchange.server.address), exchange.server.port));
        }
        if let Some(request) = &exchange.request
            && let Some(Ok(name)) = host(&request.message).map(std::str::from_utf8)
            && self.hosts.len() < HOSTS
            && !self.hosts.contains(name)
        {
            self.hosts.insert(name.to_ascii_lowercase());
        }
    }

    /// Why `target` must not be replayed at; none where nothing speaks against it.
    pub fn objection(&self, target: &Target) -> Option<String> {
        let shown = target.shown();
        let hint = "; point --target (or --baseline, --map-host) at staging, or add --allow-captured-server if it is meant";
        for address in &target.addresses {
            let endpoint = Endpoint::new(plain(address.ip()), address.port());
            if self.servers.contains(&endpoint) {
                return Some(format!("{shown} is {endpoint}, which served the capture{hint}"));
            }
        }
        let named = |name: &str| {
            split(name, target.tls)
                .is_some_and(|(host, port)| host == target.host && port == target.port)
        };
        if let Some(name) = self.hosts.iter().find(|name| named(name)) {
            return Some(format!(
                "{shown} is the host {name:?} that the capture's requests were sent to{hint}"
            ));
        }
        for name in self.hosts.iter().take(RESOLVED) {
            // A literal address was compared above, or is that of a proxy in front, which the name
            // check catches.
            let Some((host, port)) = split(name, target.tls) else { continue };
            if port != target.port
                || host.parse::<std::net::IpAddr>().is_ok()
                || host == "localhost"
            {
                continue;
            }
            let addresses = lookup(&host, port).unwrap_or_default();
            if addresses.iter().any(|address| target.addresses.contains(address)) {
                return Some(format!(
                    "{shown} has the address of {name:?}, which the capture's requests were sent to{hint}"
                ));
            }
        }
        None
    }
}

/// A `Host` value as host and port.
fn split(value: &str, tls: bool) -> Option<(String, u16)> {
    let default = if tls { 443 } else { 80 };
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (value, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(server: &str, hosts: &[&str]) -> Captured {
        Captured {
            servers: [server.parse().unwrap()].into(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        }
    }

    #[test]
    fn the_captured_server_is_refused_and_its_neighbour_is_not() {
        let captured =
            captured("127.0.0.1:8080", &["shop.invalid", "127.0.0.1:9000", "[::1]:7000"]);
        for (target, refused) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.0.0.1:8081", false),
            ("http://127.0.0.1:9000", true),
            ("http://[::ffff:127.0.0.1]:8080", true),
            ("http://[::1]:7000", true),
            ("http://[::1]:7001", false),
            ("http://localhost:8080", true),
        ] {
            let objection = captured.objection(&Target::resolve(target).unwrap());
            assert_eq!(objection.is_some(), refused, "{target}: {objection:?}");
        }
        let mut named = Target::resolve("http://127.0.0.1:80").unwrap();
        assert_eq!(captured.objection(&named), None);
        named.host = "shop.invalid".to_owned();
        assert!(captured.objection(&named).is_some());
    }

    #[test]
    fn host_values() {
        for (value, expected) in [
            ("Shop.local", Some(("shop.local", 80))),
            ("shop.local:81", Some(("shop.local", 81))),
            ("[::1]", Some(("::1", 80))),
            ("[::1]:82", Some(("::1", 82))),
            ("a:b", None),
            ("", None),
        ] {
            assert_eq!(
                split(value, false),
                expected.map(|(host, port)| (host.to_owned(), port)),
                "{value}"
            );
        }
    }
}
