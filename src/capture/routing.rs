//! Which device leads to an address: the kernel's main routing tables, as `/proc/net/route` and
//! `/proc/net/ipv6_route` show them (proc_net(5)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The route is usable (`RTF_UP`).
const UP: u32 = 1;
/// It leads to a gateway (`RTF_GATEWAY`).
const GATEWAY: u32 = 2;
/// It refuses (`RTF_REJECT`).
const REJECT: u32 = 0x200;

/// Where packets for an address go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Straight to it, through this device.
    Direct(String),
    /// To a gateway: the address belongs to another machine.
    Elsewhere,
    /// Nowhere.
    Nowhere,
}

/// Where this machine sends packets for `address`.
pub fn lead_to(address: IpAddr) -> io::Result<Lead> {
    Ok(match address {
        IpAddr::V4(address) => {
            best(ipv4(&std::fs::read_to_string("/proc/net/route")?), u32::from(address).into())
        }
        IpAddr::V6(address) => {
            let table = match std::fs::read_to_string("/proc/net/ipv6_route") {
                // A kernel without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                table => table?,
            };
            best(ipv6(&table), address.into())
        }
    })
}

struct KernelRoute<'a> {
    device: &'a str,
    /// The first `length` bits of the destination, in an integer of 32 or 128 bits.
    destination: u128,
    mask: u128,
    metric: u32,
    flags: u32,
}

/// The longest prefix decides, then the smallest metric.
fn best<'a>(routes: impl Iterator<Item = KernelRoute<'a>>, address: u128) -> Lead {
    let fits = |route: &KernelRoute<'_>| {
        route.flags & UP != 0 && route.device != "lo" && address & route.mask == route.destination
    };
    let found =
        routes.filter(fits).max_by_key(|route| (route.mask, std::cmp::Reverse(route.metric)));
    match found {
        None => Lead::Nowhere,
        Some(route) if route.flags & REJECT != 0 => Lead::Nowhere,
        Some(route) if route.flags & GATEWAY != 0 => Lead::Elsewhere,
        Some(route) => Lead::Direct(route.device.to_owned()),
    }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses as the machine stores
/// them.
fn ipv4(table: &str) -> impl Iterator<Item = KernelRoute<'_>> {
    let stored = |text: &str| {
        let bytes = u32::from_str_radix(text, 16).ok()?.to_ne_bytes();
        Some(u128::from(u32::from(Ipv4Addr::from(bytes))))
    };
    table.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [device, destination, _, flags, _, _, metric, mask, ..] = fields.as_slice() else {
            return None;
        };
        Some(KernelRoute {
            device,
            destination: stored(destination)?,
            mask: stored(mask)?,
            metric: metric.parse().ok()?,
            flags: u32::from_str_radix(flags, 16).ok()?,
        })
    })
}

/// `destination length source length gateway metric refcount use flags device`.
fn ipv6(table: &str) -> impl Iterator<Item = KernelRoute<'_>> {
    table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, length, _, _, _, metric, _, _, flags, device] = fields.as_slice() else {
            return None;
        };
        let length = u32::from_str_radix(length, 16).ok().filter(|&length| length <= 128)?;
        Some(KernelRoute {
            device,
            destination: u128::from_str_radix(destination, 16).map(Ipv6Addr::from).ok()?.into(),
            mask: u128::MAX.checked_shl(128 - length).unwrap_or(0),
            metric: u32::from_str_radix(metric, 16).ok()?,
            flags: u32::from_str_radix(flags, 16).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node with a bridge for its pods, a device for one of them, and a default route.
    fn node() -> String {
        let stored = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let line = |device: &str, to, gateway, flags, metric, mask| {
            let (to, gateway, mask) = (stored(to), stored(gateway), stored(mask));
            format!("{device}\t{to}\t{gateway}\t{flags:04X}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        let (none, all) = ([0; 4], [255; 4]);
        String::from("Iface\tDestination\tGateway\n")
            + &line("eth0", none, [192, 168, 0, 1], 3, 100, none)
            + &line("cni0", [10, 244, 1, 0], none, 1, 0, [255, 255, 255, 0])
            + &line("cali1", [10, 244, 1, 7], none, 5, 0, all)
            + &line("flannel.1", [10, 244, 2, 0], [10, 244, 2, 0], 3, 0, [255, 255, 255, 0])
    }

    #[test]
    fn the_longest_prefix_names_the_device_and_a_gateway_is_another_machine() {
        let table = node();
        let lead = |address: [u8; 4]| best(ipv4(&table), u32::from_be_bytes(address).into());
        assert_eq!(lead([10, 244, 1, 7]), Lead::Direct("cali1".to_owned()));
        assert_eq!(lead([10, 244, 1, 8]), Lead::Direct("cni0".to_owned()));
        assert_eq!(lead([10, 244, 2, 8]), Lead::Elsewhere);
        assert_eq!(lead([8, 8, 8, 8]), Lead::Elsewhere);
        assert_eq!(best(ipv4("Iface\n"), 1), Lead::Nowhere);
        assert_eq!(best(ipv4("Iface\nnonsense\n\n"), 1), Lead::Nowhere);
    }

    #[test]
    fn routes_of_ipv6_are_read_too() {
        let table = "\
            fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 00000100 00000001 00000000 00000001 cni0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
            fe800000000000000000000000000001 00000400 00000003 00000000 00000003 eth0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
        let lead = |address: &str| best(ipv6(table), address.parse::<Ipv6Addr>().unwrap().into());
        assert_eq!(lead("fd00::7"), Lead::Direct("cni0".to_owned()));
        assert_eq!(lead("2001:db8::1"), Lead::Elsewhere);
    }
}
