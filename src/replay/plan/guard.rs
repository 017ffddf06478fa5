//! Refuses a target that can be the server that was captured: a replay at production would do
//! everything twice.
//!
//! What is compared is who would be reached, not how it is written: an address and its other forms,
//! all addresses of this machine, the names that the capture's requests were for and what they
//! resolve to now. Another port of a captured address is allowed, since v1 and v2 may share a
//! machine (and on loopback always do). What stands behind a forwarder is looked at once there is a
//! connection ([`crate::replay::session::forward`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;

use rustc_hash::{FxHashMap, FxHashSet};
use url::Host;

use super::names;
use crate::exchange::{Exchange, ExchangeId};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::Request;
use crate::message::target::{host, path_and_query};
use crate::record::har::read::UNKNOWN;
use crate::replay::session::seat::ConnectionSeat;
use crate::replay::session::target::Target;
use crate::schedule::select::{SelectRule, Selection};

/// Ports that a name without one stands for.
const USUAL_PORTS: [u16; 2] = [80, 443];
/// Paths that are kept, to name those that come near a rule.
const PATHS: usize = 1_000;
/// Requests whose header fields are looked at for the same.
const NAMED: usize = 1_000;
const NO_SERVER: &str = "the recording names neither the address nor a host of its server: \
    whether the target is that server is not known";
const WAY_OUT: &str = "; point --target (or --baseline, --map-host, --proxy, --wait-ready) at \
    staging, or add \
                       --allow-captured-server if it is meant";

/// Who served the capture, and under which names.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    servers: FxHashSet<Endpoint>,
    /// Methods and paths of requests: the first ones of each.
    paths: BTreeSet<String>,
    /// Names of their header fields, in small letters: those of the first requests.
    fields: BTreeSet<String>,
    /// … which were so many.
    named: usize,
    /// The hosts of its requests as they stood there, and how many requests were for each.
    hosts: FxHashMap<String, u64>,
    /// Exchanges that were asked for by their ids and were not seen.
    missing: BTreeSet<ExchangeId>,
}

/// The three that are likest, the likest first.
fn likest<'a>(all: impl Iterator<Item = &'a String>, likeness: impl Fn(&str) -> f64) -> String {
    let mut all: Vec<&String> = all.collect();
    all.sort_unstable_by(|a, b| likeness(b).total_cmp(&likeness(a)).then(a.cmp(b)));
    all.truncate(3);
    all.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the guard found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardFinding {
    /// Why the targets must not be replayed at; none where nothing speaks against it.
    pub objection: Option<String>,
    /// What it could not find out.
    pub unknown: Option<String>,
}

impl Captured {
    /// Takes note of an exchange.
    pub fn add(&mut self, exchange: &Exchange) {
        self.add_server(exchange.server);
        self.missing.remove(&exchange.id);
        if let Some(request) = &exchange.request {
            self.add_path(&request.message);
            self.add_fields(&request.message);
            for name in hosts_of(&request.message) {
                self.count(name);
            }
        }
    }

    fn add_path(&mut self, request: &Request) {
        if self.paths.len() >= PATHS {
            return;
        }
        let path = String::from_utf8_lossy(path_and_query(&request.target).0);
        self.paths.insert(format!("{} {path}", String::from_utf8_lossy(&request.method)));
    }

    fn add_fields(&mut self, request: &Request) {
        if self.named >= NAMED {
            return;
        }
        self.named += 1;
        for (name, _) in request.headers.iter() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if self.fields.len() < PATHS && !self.fields.contains(&name) {
                self.fields.insert(name);
            }
        }
    }

    /// Takes note of an address at which a server was seen.
    pub fn add_server(&mut self, server: Endpoint) {
        if self.servers.len() < limits::CAPTURED_SERVERS {
            self.servers.insert(Endpoint::new(server.address.to_canonical(), server.port));
        }
    }

    /// Counts a request for a host. However many names a scanner made up, one that had more than
    /// its share of the requests stays (Misra and Gries).
    fn count(&mut self, name: String) {
        if let Some(count) = self.hosts.get_mut(&name) {
            *count += 1;
        } else if self.hosts.len() < limits::CAPTURED_HOSTS {
            self.hosts.insert(name, 1);
        } else {
            self.hosts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Looks for exchanges that are asked for by their ids.
    pub(super) fn look_for(&mut self, ids: &[ExchangeId]) {
        self.missing.extend(ids);
    }

    /// The ids that no exchange has, in words; none where each is there.
    pub fn missing(&self) -> Option<String> {
        let named: Vec<String> = self.missing.iter().take(5).map(ToString::to_string).collect();
        let more = match self.missing.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!named.is_empty()).then(|| format!("--id: no such exchange: {}{more}", named.join(", ")))
    }

    /// What of the capture comes nearest to what is selected, in words; none where that names
    /// nothing that is not there.
    pub fn nearest(&self, selection: &Selection) -> Option<String> {
        let Selection { hosts, ports, include, .. } = selection;
        if let Some(missing) = self.missing() {
            return Some(format!("; {missing}"));
        }
        let known =
            |wanted: &String| self.hosts.keys().any(|host| host.starts_with(wanted.as_str()));
        if let Some(wanted) = hosts.iter().find(|wanted| !known(wanted)) {
            let likeness = |host: &str| strsim::jaro_winkler(host, wanted);
            let near = likest(self.hosts.keys(), likeness);
            return Some(format!("; no request is for {wanted}, the nearest are {near}"));
        }
        let served = |port: &u16| self.servers.iter().any(|server| server.port == *port);
        let Some(wanted) = ports.iter().find(|port| !served(port)) else {
            return self.nearest_field(include).or_else(|| self.nearest_path(include));
        };
        let mut all: Vec<u16> = self.servers.iter().map(|server| server.port).collect();
        all.sort_unstable();
        all.dedup();
        let all: Vec<String> = all.iter().take(10).map(ToString::to_string).collect();
        Some(format!("; no server has port {wanted}, there are {}", all.join(", ")))
    }

    /// The names of header fields that are like that of a rule which no request has.
    fn nearest_field(&self, include: &[SelectRule]) -> Option<String> {
        let unknown = |rule: &SelectRule| match rule {
            SelectRule::Header(name, _) => {
                let name = name.to_ascii_lowercase();
                (!self.fields.contains(&name)).then_some(name)
            }
            _ => None,
        };
        let name = include.iter().find_map(unknown)?;
        let near = likest(self.fields.iter(), |field| strsim::jaro_winkler(field, &name));
        (!near.is_empty())
            .then(|| format!("; no request has a header field {name}, the nearest are {near}"))
    }

    /// The paths that are like those of a rule which matches none.
    fn nearest_path(&self, include: &[SelectRule]) -> Option<String> {
        let rule = include.iter().find(|rule| matches!(rule, SelectRule::Path(..)))?.to_string();
        // An expression's signs are in no path.
        let plain = rule.replace(['^', '$', '\\', '(', ')', '+', '?', '*'], "");
        let near = likest(self.paths.iter(), |path| strsim::jaro_winkler(path, &plain));
        (!near.is_empty()).then(|| format!("; nearest to --include '{rule}' come {near}"))
    }

    /// Whether `server` served the capture, under this address or another of the same machine.
    pub fn served_at(&self, server: Endpoint) -> bool {
        let seat = ConnectionSeat::of(server.address);
        let mut known = self.servers.iter().filter(|known| known.port == server.port);
        known.any(|known| ConnectionSeat::of(known.address) == seat)
    }

    /// Why none of `targets` may be replayed at, or that nothing speaks against it.
    pub fn judge(&self, targets: &[&Target]) -> GuardFinding {
        let reached = |target: &&&Target| {
            let ends = target.addresses.iter();
            let mut ends = ends.map(|end| Endpoint::new(end.ip().to_canonical(), end.port()));
            ends.find(|end| self.served_at(*end))
        };
        let by_address = targets.iter().find_map(|target| Some((target, reached(&target)?)));
        if let Some((target, end)) = by_address {
            let why = format!("{} is {end}, which served the capture", target.shown());
            return GuardFinding { objection: Some(why + WAY_OUT), unknown: None };
        }
        let hosts = Hosts {
            servers: self.servers.iter().map(|server| server.address).collect(),
            on_loopback: self.servers.iter().any(|server| server.address.is_loopback()),
            names: self.names(),
            targets,
        };
        let mut objection = hosts.names.iter().find_map(|name| hosts.object(name, &[]));
        let mut unknown = None;
        if objection.is_none() {
            let domains = hosts.domains();
            let asked = domains.iter().map(|(domain, _)| domain.clone()).collect();
            let left = names::resolve(asked, |at, addresses| {
                let mut names = domains[at].1.iter().map(|&name| &hosts.names[name]);
                objection = names.find_map(|name| hosts.object(name, addresses));
                if objection.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            unknown = not_resolved(&left, domains.len());
        }
        if hosts.names.is_empty() && hosts.servers.iter().all(|server| *server == UNKNOWN) {
            unknown = Some(NO_SERVER.to_owned());
        }
        GuardFinding { objection, unknown }
    }

    /// The hosts by how many requests were for them.
    fn names(&self) -> Vec<HostName> {
        let mut hosts: Vec<(u64, &String)> =
            self.hosts.iter().map(|(host, &count)| (count, host)).collect();
        hosts.sort_unstable_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        hosts.into_iter().filter_map(|(_, host)| HostName::read(host)).collect()
    }
}

/// Fields that name the host which a client asked for; proxies add those behind the first two.
const HOST_FIELDS: [&str; 5] =
    ["host", ":authority", "x-forwarded-host", "x-original-host", "x-host"];

/// The hosts that a request names: of an absolute target, of each `Host`, of HTTP/2's `:authority`,
/// and what a proxy says of the request that it got (RFC 7239 §5.3). However many a field lists,
/// without user information.
fn hosts_of(request: &Request) -> impl Iterator<Item = String> {
    let fields = HOST_FIELDS.into_iter().flat_map(|name| request.headers.all(name));
    let forwarded = request.headers.all("forwarded").flat_map(|value| {
        let pairs = value.split(|byte| matches!(byte, b';' | b','));
        pairs.filter_map(|pair| {
            let (name, value) = pair.trim_ascii().split_at_checked(5)?;
            name.eq_ignore_ascii_case(b"host=").then_some(value)
        })
    });
    let named = host(request).into_iter().chain(fields).chain(forwarded);
    named.flat_map(|value| value.split(|byte| *byte == b',')).map(|name| {
        let name = name.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        name.trim_matches(|c: char| c == '"' || c.is_whitespace()).to_ascii_lowercase()
    })
}

/// What is to be compared: the capture's hosts with the targets.
struct Hosts<'a> {
    /// The addresses of captured servers, and whether some are on loopback.
    servers: FxHashSet<IpAddr>,
    on_loopback: bool,
    names: Vec<HostName>,
    targets: &'a [&'a Target],
}

impl Hosts<'_> {
    /// Each name that is to be resolved, in the order of traffic, and which hosts have it.
    fn domains(&self) -> Vec<(String, Vec<usize>)> {
        let mut places: FxHashMap<&str, usize> = FxHashMap::default();
        let mut domains: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, name) in self.names.iter().enumerate() {
            if let (Host::Domain(domain), false) = (&name.host, name.is_local()) {
                let place = *places.entry(domain).or_insert(domains.len());
                if place == domains.len() {
                    domains.push((domain.clone(), Vec::new()));
                }
                domains[place].1.push(at);
            }
        }
        domains
    }

    /// Why one of the targets is the server of `name`, which resolves to `addresses`.
    fn object(&self, name: &HostName, addresses: &[IpAddr]) -> Option<String> {
        let ends: Vec<IpAddr> =
            addresses.iter().copied().chain(name.address()).map(|end| end.to_canonical()).collect();
        let ports = name.ports(ends.iter().any(|&end| self.served_at(end)));
        self.targets.iter().filter(|target| ports.hold(target.port)).find_map(|target| {
            let meets = |at: &SocketAddr| {
                ends.iter().any(|&end| match ports {
                    // On any port, all of a machine's addresses would be too many.
                    NamePorts::Any => end == at.ip().to_canonical(),
                    NamePorts::Usual | NamePorts::One(_) => {
                        ConnectionSeat::of(end) == ConnectionSeat::of(at.ip())
                    }
                })
            };
            let why = if name.is(&target.host) {
                "is the host"
            } else if target.addresses.iter().any(meets) {
                "has the address of"
            } else {
                return None;
            };
            let (shown, written) = (target.shown(), &name.written);
            Some(format!(
                "{shown} {why} {written:?}, which the capture's requests were sent to{WAY_OUT}"
            ))
        })
    }

    /// Whether a captured server has this very address, or both are on loopback.
    fn served_at(&self, address: IpAddr) -> bool {
        self.servers.contains(&address) || (address.is_loopback() && self.on_loopback)
    }
}

/// On which ports a name may lead to the captured server.
#[derive(Clone, Copy)]
enum NamePorts {
    One(u16),
    /// Those that a name without one stands for.
    Usual,
    Any,
}

impl NamePorts {
    fn hold(self, port: u16) -> bool {
        match self {
            Self::One(own) => own == port,
            Self::Usual => USUAL_PORTS.contains(&port),
            Self::Any => true,
        }
    }
}

/// A host as requests named it.
struct HostName {
    written: String,
    host: Host,
    port: Option<u16>,
}

impl HostName {
    /// From a `Host` value.
    fn read(written: &str) -> Option<Self> {
        let (host, port) = match written.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (written, None),
        };
        let host = host.trim_end_matches('.');
        if host.is_empty() {
            return None;
        }
        // What no URL could name is compared as it stands.
        let host = Host::parse(host).unwrap_or_else(|_| Host::Domain(host.to_owned()));
        Some(Self { written: written.to_owned(), host, port })
    }

    /// The address that it is, or that this machine's own name has.
    fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
            Host::Domain(_) => self.is_local().then_some(Ipv4Addr::LOCALHOST.into()),
        }
    }

    fn is_local(&self) -> bool {
        let is_local = |name: &str| name == "localhost" || name.ends_with(".localhost");
        matches!(&self.host, Host::Domain(name) if is_local(name))
    }

    fn is(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        matches!(&self.host, Host::Domain(name) if name.eq_ignore_ascii_case(host))
    }

    /// Where it may lead to the captured server. `straight`: it leads to that server itself, whose
    /// own port was compared; what leads to something before it may lead to it on any.
    fn ports(&self, straight: bool) -> NamePorts {
        match self.port {
            Some(port) => NamePorts::One(port),
            None if straight || self.address().is_some_and(|own| own.is_loopback()) => {
                NamePorts::Usual
            }
            None => NamePorts::Any,
        }
    }
}

fn not_resolved(left: &[String], all: usize) -> Option<String> {
    let shown: Vec<&str> = left.iter().take(5).map(String::as_str).collect();
    let more = if left.len() > shown.len() { ", …" } else { "" };
    (!left.is_empty()).then(|| {
        format!(
            "{} of the {all} host names in the capture were not resolved within {} s ({}{more}): \
             whether the target is one of them is not known",
            left.len(),
            names::WITHIN.as_secs(),
            shown.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(server: &str, hosts: &[&str]) -> Captured {
        Captured {
            servers: [server.parse().unwrap()].into_iter().collect(),
            paths: ["GET /path", "GET /other"].map(str::to_owned).into(),
            fields: ["host", "x-user", "x-tenant", "accept"].map(str::to_owned).into(),
            named: 1,
            hosts: hosts.iter().map(|&host| (host.to_owned(), 1)).collect(),
            missing: BTreeSet::new(),
        }
    }

    #[test]
    fn ids_that_no_exchange_has_are_named() {
        let mut captured = captured("10.0.0.1:80", &[]);
        let id = |text: &str| text.parse().unwrap();
        captured.look_for(&[id("0-1"), id("99-9")]);
        let seen = Endpoint::new([10, 0, 0, 1].into(), 80);
        captured.add(&Exchange { id: id("0-1"), ..Exchange::between(seen, seen) });
        assert_eq!(captured.missing().unwrap(), "--id: no such exchange: 99-9");
        let wanted = Selection { ids: vec![id("99-9")], ..Selection::default() };
        assert!(captured.nearest(&wanted).unwrap().contains("99-9"));
    }

    fn refused(captured: &Captured, target: &str) -> bool {
        captured.judge(&[&Target::resolve(target).unwrap()]).objection.is_some()
    }

    #[test]
    fn the_captured_server_is_refused_and_its_neighbour_is_not() {
        let captured =
            captured("127.0.0.1:8080", &["shop.invalid", "127.0.0.1:9000", "[::1]:7000"]);
        for (target, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.0.0.1:8081", false),
            ("http://127.0.0.1:9000", true),
            ("http://[::ffff:127.0.0.1]:8080", true),
            ("http://[::1]:7000", true),
            ("http://[::1]:7001", false),
            ("http://localhost:8080", true),
            ("http://0.0.0.0:8080", true),
            ("http://[::]:8080", true),
            ("http://[::1]:8080", true),
            ("http://2130706433:8080", true),
            ("http://0x7f.1:8080", true),
            ("http://0177.0.0.1:8080", true),
            ("http://127.9.9.9:8080", true),
            ("http://0.0.0.0:8081", false),
            ("http://192.0.2.7:8080", false),
        ] {
            assert_eq!(refused(&captured, target), expected, "{target}");
        }
    }

    #[test]
    fn other_forms_of_an_address_are_that_address() {
        let captured = captured("203.0.113.9:8080", &[]);
        for host in [
            "203.0.113.9",
            "[::ffff:203.0.113.9]",
            "[64:ff9b::203.0.113.9]",
            "0xcb007109",
            "[2002:cb00:7109::1]",
        ] {
            assert!(refused(&captured, &format!("http://{host}:8080")), "{host}");
            assert!(!refused(&captured, &format!("http://{host}:8081")), "{host}");
        }
    }

    #[test]
    fn a_name_is_refused_on_the_ports_that_it_may_stand_for() {
        let mut target = Target::resolve("http://127.0.0.1:1").unwrap();
        for (server, host, named, port, expected) in [
            // Something stands before the captured server: any port of it may lead there.
            ("10.0.0.1:8080", "shop.invalid", "shop.invalid", 80, true),
            ("10.0.0.1:8080", "Shop.Invalid.", "shop.invalid", 8443, true),
            ("10.0.0.1:8080", "shop.invalid:80", "shop.invalid", 80, true),
            ("10.0.0.1:8080", "shop.invalid:80", "shop.invalid", 8443, false),
            ("10.0.0.1:8080", "shop.invalid", "staging.shop.invalid", 80, false),
            ("10.0.0.1:8080", "localhost", "localhost", 9000, false),
            ("127.0.0.1:8080", "localhost", "localhost", 80, true),
        ] {
            (target.host, target.port) = (named.to_owned(), port);
            target.addresses = vec![SocketAddr::new([192, 0, 2, 1].into(), port)];
            let host = host.to_ascii_lowercase();
            let finding = captured(server, &[&host]).judge(&[&target]);
            let local = named == "localhost" && port == 80;
            assert!(finding.objection.is_some() == expected || local, "{host} {named}:{port}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused_by_its_addresses() {
        let hosts = Hosts {
            servers: [IpAddr::from([10, 0, 0, 1])].into_iter().collect(),
            on_loopback: false,
            names: vec![],
            targets: &[&Target::resolve("http://198.51.100.3:9000").unwrap()],
        };
        let leads = |host: &str, to: [u8; 4]| {
            hosts.object(&HostName::read(host).unwrap(), &[to.into()]).is_some()
        };
        assert!(leads("prod.invalid", [198, 51, 100, 3]), "a balancer, on any port");
        assert!(leads("prod.invalid:9000", [198, 51, 100, 3]));
        assert!(!leads("prod.invalid:80", [198, 51, 100, 3]));
        assert!(!leads("prod.invalid", [198, 51, 100, 4]));
    }

    #[test]
    fn a_recording_that_names_no_server_is_told() {
        let target = Target::resolve("http://198.51.100.3:9000").unwrap();
        for (hosts, is_told) in [(&[][..], true), (&["198.51.100.4"][..], false)] {
            let finding = captured("192.0.2.0:80", hosts).judge(&[&target]);
            assert_eq!(finding.objection, None);
            assert_eq!(finding.unknown.as_deref() == Some(NO_SERVER), is_told, "{hosts:?}");
        }
        assert_eq!(captured("10.0.0.1:80", &[]).judge(&[&target]), GuardFinding::default());
    }

    #[test]
    fn a_host_with_much_traffic_outlasts_any_number_of_others() {
        let mut captured = Captured::default();
        for n in 0..limits::CAPTURED_HOSTS as u64 * 2 {
            captured.count(format!("scan-{n}.invalid"));
            if n % 16 == 0 {
                captured.count("prod.invalid".to_owned());
            }
        }
        assert!(captured.hosts.contains_key("prod.invalid"));
        assert!(captured.hosts.len() <= limits::CAPTURED_HOSTS);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_comes_near() {
        let captured = captured("10.0.0.1:8080", &["shop.example", "api.example", "shop.test:81"]);
        let near = |host: &str, ports: &[u16]| {
            let hosts = if host.is_empty() { vec![] } else { vec![host.to_owned()] };
            let ports = ports.to_vec();
            captured.nearest(&Selection { hosts, ports, ..Selection::default() })
        };
        let include = vec!["GET ^/pathz$".parse().unwrap()];
        let told = captured.nearest(&Selection { include, ..Selection::default() });
        assert!(told.unwrap().ends_with("'GET ^/pathz$' come GET /path, GET /other"));
        let include = vec!["header:X-Usr=^u1$".parse().unwrap()];
        let told = captured.nearest(&Selection { include, ..Selection::default() });
        assert!(
            told.unwrap().contains("no request has a header field x-usr, the nearest are x-user")
        );
        let include = vec!["header:x-user=^u1$".parse().unwrap()];
        assert_eq!(captured.nearest(&Selection { include, ..Selection::default() }), None);
        assert!(near("shpo.example", &[]).unwrap().contains("nearest are shop.example"));
        assert_eq!(near("shop.example", &[]), None);
        assert_eq!(near("shop.test", &[]), None);
        assert!(near("", &[80]).unwrap().contains("port 80, there are 8080"));
        assert_eq!(near("", &[8080]), None);
    }

    #[test]
    fn host_values() {
        for (value, expected) in [
            ("shop.local", Some(("shop.local", None))),
            ("shop.local.:81", Some(("shop.local", Some(81)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:82", Some(("[::1]", Some(82)))),
            ("2130706433:83", Some(("127.0.0.1", Some(83)))),
            ("a b", Some(("a b", None))),
            ("", None),
            (":80", None),
        ] {
            let read = HostName::read(value).map(|name| (name.host.to_string(), name.port));
            assert_eq!(read, expected.map(|(host, port)| (host.to_owned(), port)), "{value}");
        }
    }
}
