//! `shadowtap interfaces`: the devices that can be captured, and which of them leads to a pod.

use std::net::IpAddr;

use super::exit::printable;
use super::output::print;
use super::{Exit, Failure};
use crate::capture::live;
use crate::capture::routing::{self, Lead};

/// Show the interfaces of this machine, or the one that leads to a pod
///
/// With --pod-ip it prints one name: on a node that of the device that the pod's packets go
/// through, inside the pod that of the device that has the address.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap interfaces
  shadowtap capture -i \"$(shadowtap interfaces --pod-ip 10.244.1.7)\" \\
      --port 8080 -o v1.pcap")]
pub struct InterfacesArgs {
    /// A pod's address
    #[arg(help_heading = "Input", long, value_name = "IP")]
    pod_ip: Option<IpAddr>,
}

pub(crate) fn run(args: &InterfacesArgs) -> Result<Exit, Failure> {
    let interfaces = live::interfaces();
    let Some(pod) = args.pod_ip else {
        let lines: String = interfaces
            .iter()
            .map(|interface| {
                let addresses: Vec<String> =
                    interface.addresses.iter().map(ToString::to_string).collect();
                format!("{} {}", interface.name, addresses.join(" ")).trim_end().to_owned() + "\n"
            })
            .map(|line| printable(line.trim_end()) + "\n")
            .collect();
        print(&lines)?;
        return Ok(Exit::Done);
    };
    if let Some(own) = interfaces.iter().find(|interface| interface.addresses.contains(&pod)) {
        print(&format!("{}\n", printable(&own.name)))?;
        return Ok(Exit::Done);
    }
    let lead = routing::lead_to(pod).map_err(|error| {
        Failure::unusable("cannot read this machine's routes in /proc/net").because(&error)
    })?;
    match lead {
        Lead::Direct(name) => {
            print(&format!("{}\n", printable(&name)))?;
            Ok(Exit::Done)
        }
        Lead::Elsewhere => Err(Failure::unusable(format!(
            "{pod} is not behind an interface of this machine, but behind a gateway: run on the \
             pod's node, or capture -i any --filter 'host {pod}'"
        ))),
        Lead::Nowhere => Err(Failure::unusable(format!(
            "this machine has no route to {pod}: run on the pod's node and in its network \
             (hostNetwork), or capture -i any --filter 'host {pod}'"
        ))),
    }
}
