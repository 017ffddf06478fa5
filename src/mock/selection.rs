//! Which exchanges are v1's outgoing calls, and to whom they went.

use crate::exchange::Exchange;
use crate::message::Request;
use crate::message::target::{self, canonical_authority, host_and_port};

/// Which exchanges of the inputs are v1's outgoing calls; the others are what caused them.
#[derive(Clone, Debug, Default)]
pub struct EgressSelection {
    /// Ports of providers; empty: any.
    pub ports: Vec<u16>,
    /// Hosts of providers (the `Host` of their requests, without port); empty: any.
    pub hosts: Vec<String>,
    /// Ports and hosts that are v1's own, and so no providers.
    pub ingress_ports: Vec<u16>,
    /// The same by host.
    pub ingress_hosts: Vec<String>,
}

impl EgressSelection {
    /// Whether it says anything.
    pub fn is_given(&self) -> bool {
        !(self.ports.is_empty()
            && self.hosts.is_empty()
            && self.ingress_ports.is_empty()
            && self.ingress_hosts.is_empty())
    }

    pub(super) fn takes(&self, port: u16, host: &str) -> bool {
        let bare = host_and_port(host).0;
        (self.ports.is_empty() || self.ports.contains(&port))
            && (self.hosts.is_empty() || self.hosts.iter().any(|own| own == bare || own == host))
            && !self.ingress_ports.contains(&port)
            && !self.ingress_hosts.iter().any(|own| own == bare || own == host)
    }
}

/// The host that a call went to: as it says, else by its address.
pub(super) fn host_of(request: &Request, call: &Exchange) -> String {
    match target::host(request) {
        Some(host) if !host.is_empty() => {
            canonical_authority(&String::from_utf8_lossy(host)).into_owned()
        }
        _ => canonical_authority(&call.server.to_string()).into_owned(),
    }
}
