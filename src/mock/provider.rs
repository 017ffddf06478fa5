//! Which recorded provider a call is for, whatever name v2 calls it by.
//!
//! v2 is led to the mock by a Service's name, a container's published port or an address of its own
//! making, so that the name in its calls need not be one that v1 called. A name that could be a
//! stranger's on the internet is not taken for a recorded provider: such a call is a miss.

use super::recording::CallRecording;
use crate::message::target::{canonical_authority, host_and_port};

/// What a call says of its provider.
pub(super) struct Named<'n> {
    /// The authority that it names.
    pub(super) authority: &'n str,
    /// Whether it names the provider to a proxy (an absolute target, a tunnel) rather than the
    /// server that it believes to speak to.
    pub(super) to_proxy: bool,
}

/// The names that the mock itself goes by.
pub(super) struct Own<'o> {
    /// Its address, in the forms that a client may call it by.
    pub(super) names: &'o [String],
    /// `:` and its port.
    pub(super) port: &'o str,
    /// Names under which v2 calls providers: `(name, recorded host)`.
    pub(super) aliases: &'o [(String, String)],
}

/// The provider as the recording names it; of an unknown one the name that it was called by.
pub(super) fn find(
    recording: &CallRecording,
    own: &Own<'_>,
    named: &Named<'_>,
    method: &[u8],
    target: &[u8],
) -> String {
    let called = canonical_authority(named.authority);
    let (name, port) = host_and_port(&called);
    let alias = |wanted: &str| own.aliases.iter().find(|(alias, _)| alias == wanted);
    if let Some((_, recorded)) = alias(&called).or_else(|| alias(name)) {
        return recorded.clone();
    }
    if recording.knows_host(&called) {
        return called.into_owned();
    }
    let only_host = || recording.only_host_for(method, target).map(str::to_owned);
    // HTTP/1.0 need not say whom it calls.
    if called.is_empty()
        && let Some(only) = only_host()
    {
        return only;
    }
    // The mock's own address, by whatever name of this machine.
    let names_us = own.names.iter().any(|own| *own == *called)
        || !named.to_proxy && called.ends_with(own.port);
    if names_us && let Some(only) = by_name(recording, name).or_else(only_host) {
        return only;
    }
    // The provider's name with another port: that of the Service before the mock, or none.
    let other_port = port.is_none() || !named.to_proxy;
    if other_port && let Some(same) = by_name(recording, name) {
        return same;
    }
    if !named.to_proxy
        && is_private(name)
        && let Some(only) = only_host()
    {
        return only;
    }
    called.into_owned()
}

/// The only recorded provider of this name, at any port.
fn by_name(recording: &CallRecording, name: &str) -> Option<String> {
    let mut same =
        recording.hosts().map(|(host, _)| host).filter(|host| host_and_port(host).0 == name);
    let first = same.next()?;
    same.next().is_none().then(|| first.to_owned())
}

/// Whether a name can be that of a machine or service of one's own only: an address, a name without
/// a dot, or one that does not end as names on the internet do.
fn is_private(name: &str) -> bool {
    /// The usual ends of public names that are longer than a country's two letters.
    const PUBLIC: [&str; 22] = [
        "com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "name", "app", "dev",
        "cloud", "tech", "online", "store", "shop", "site", "xyz", "example", "invalid", "live",
    ];
    if name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    match name.trim_end_matches('.').rsplit_once('.') {
        None => !name.is_empty(),
        Some((_, end)) => end.len() > 2 && !PUBLIC.contains(&end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_are_private_and_those_of_the_internet_are_not() {
        for name in [
            "mock",
            "10.96.3.4",
            "[::1]",
            "mock.staging.svc.cluster.local",
            "payments.internal",
            "mock.staging",
            "provider.test",
        ] {
            assert!(is_private(name), "{name}");
        }
        for name in ["", "api.stripe.com", "pay.example", "a.co.uk", "queue.eu", "x.Y.dev."] {
            assert!(!is_private(&name.to_ascii_lowercase()), "{name}");
        }
    }
}
