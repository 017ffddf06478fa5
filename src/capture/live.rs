//! Packets from live devices, through libpcap; the only file that names the pcap crate.
//!
//! Reads in batches from the kernel's ring and hands each packet to a [`Sink`] by reference; what the sink does with it is on
//! the path that decides about loss, so it should copy and return.

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

use pcap::{Active, Capture, Device, Linktype, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::filter;
use super::privilege;
use super::writer::{Interface, Stamp, Statistics};
use crate::time::{Monotonic, NANOS_PER_SEC, Timestamp};

/// The device that stands for all of them.
pub const ANY: &str = "any";
/// Longest packet that is kept whole where the user says nothing: libpcap's own maximum, so that segments joined by the
/// network card (GRO, TSO: up to 64 KiB and beyond) are kept.
pub const SNAPLEN: u32 = 262_144;
/// Room for packets in the kernel where the user says nothing: most of a second at 100,000 packets of 800 bytes a second.
pub const BUFFER_BYTES: usize = 64 << 20;
/// How long the kernel may keep packets to hand over more at once.
const BATCH_MS: i32 = 100;
/// Most packets of one device before the others have their turn.
const BATCH_PACKETS: usize = 8192;
/// How often the kernel is asked what it dropped. Its counters have 32 bits and wrap.
const STATISTICS_NS: i64 = NANOS_PER_SEC;
/// How long packets from before the end are waited for.
const DRAIN_NS: i64 = 4 * BATCH_MS as i64 * 1_000_000;
/// LINKTYPE_LINUX_SLL2: as `any` has it, with the device in each packet.
const SLL2: i32 = 276;

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// The devices.
    pub interfaces: Vec<String>,
    /// TCP ports; none for all.
    pub ports: Vec<u16>,
    /// A filter in libpcap's language, beside the ports.
    pub filter: Option<String>,
    /// Longest packet that is kept whole, in bytes.
    pub snaplen: u32,
    /// Room for packets in the kernel, in bytes, of each device.
    pub buffer: usize,
    /// Take frames for others too, as a mirror port needs it.
    pub promiscuous: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            ports: Vec::new(),
            filter: None,
            snaplen: SNAPLEN,
            buffer: BUFFER_BYTES,
            promiscuous: false,
        }
    }
}

/// Why nothing can be captured.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The process may not open devices.
    #[error("capturing needs privileges that this process lacks: {0}")]
    Privilege(String),
    /// There is no device of this name.
    #[error("no interface {name:?} here: there are {}", .known.join(", "))]
    Unknown {
        /// As it was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// libpcap does not understand the filter.
    #[error("the filter {filter:?} is wrong: {message}")]
    Filter {
        /// The user's filter.
        filter: String,
        /// libpcap's words.
        message: String,
    },
    /// The device cannot be opened.
    #[error("cannot open {name}: {message}")]
    Open {
        /// The device.
        name: String,
        /// libpcap's words.
        message: String,
    },
    /// A device went away while it was captured.
    #[error("{name} cannot be read any more: {message}")]
    Read {
        /// The device.
        name: String,
        /// libpcap's words.
        message: String,
    },
}

/// Takes packets.
pub trait Sink {
    /// A packet of `length` bytes on the wire, of which `data` was kept.
    fn packet(&mut self, interface: u32, stamp: Stamp, length: u32, data: &[u8]);
    /// The kernel has no more at the moment, or a batch is full.
    fn pause(&mut self);
    /// What was lost until now, by device.
    fn statistics(&mut self, statistics: &[Statistics]);
}

/// Open devices.
pub struct Tap {
    devices: Vec<Opened>,
    interfaces: Vec<Interface>,
}

struct Opened {
    name: String,
    capture: Capture<Active>,
    /// The kernel's 32-bit counters when they were last asked.
    last: (u32, u32),
    statistics: Statistics,
    /// Packets that were read.
    taken: u64,
    failed: Option<String>,
    drained: bool,
}

/// The devices of this machine, for people.
pub fn devices() -> Vec<String> {
    Device::list().unwrap_or_default().into_iter().map(|device| device.name).filter(|name| !is_special(name)).collect()
}

/// What libpcap lists beside network devices.
fn is_special(name: &str) -> bool {
    ["nflog", "nfqueue", "usbmon", "bluetooth", "dbus"].iter().any(|prefix| name.starts_with(prefix))
}

impl Tap {
    /// Opens all devices, or none.
    pub fn open(options: &Options) -> Result<Self, LiveError> {
        let known = devices();
        if let Some(name) = options.interfaces.iter().find(|name| !known.is_empty() && !known.contains(name)) {
            return Err(LiveError::Unknown { name: name.clone(), known });
        }
        let mut tap = Self { devices: Vec::new(), interfaces: Vec::new() };
        for name in &options.interfaces {
            let (device, interface) = Opened::open(name, options)?;
            tap.devices.push(device);
            tap.interfaces.push(interface);
        }
        Ok(tap)
    }

    /// The devices as files describe them.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Whether stamps are in nanoseconds.
    pub const fn nanos(&self) -> bool {
        NANOS
    }

    /// Reads until `stop` is set, then what the kernel still holds from before; fails where the last device went away.
    pub fn run(mut self, stop: &AtomicBool, sink: &mut impl Sink) -> Result<(), LiveError> {
        let mut asked = Monotonic::now();
        while !stop.load(Ordering::Relaxed) {
            self.wait();
            self.read(None, sink);
            if asked.elapsed() >= STATISTICS_NS {
                asked = Monotonic::now();
                self.ask(sink);
            }
            if self.devices.iter().all(|device| device.failed.is_some()) {
                break;
            }
        }
        let (end, began) = (Timestamp::now(), Monotonic::now());
        while began.elapsed() < DRAIN_NS && !self.devices.iter().all(|device| device.drained || device.failed.is_some()) {
            let ready = self.wait();
            self.read(Some(end), sink);
            // Quiet for longer than the kernel keeps a batch.
            if ready == 0 && began.elapsed() > DRAIN_NS / 2 {
                break;
            }
        }
        sink.pause();
        self.ask(sink);
        match self.devices.into_iter().find_map(|device| device.failed.map(|message| (device.name, message))) {
            Some((name, message)) => Err(LiveError::Read { name, message }),
            None => Ok(()),
        }
    }

    /// Waits for packets of any device, not longer than the kernel keeps them.
    fn wait(&self) -> usize {
        let mut descriptors: Vec<PollFd<'_>> = self
            .devices
            .iter()
            .filter(|device| device.failed.is_none())
            .map(|device| PollFd::from_borrowed_fd(device.capture.as_fd(), PollFlags::IN))
            .collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(BATCH_MS) * 1_000_000 };
        // A signal ends the wait early, and the flag is looked at.
        poll(&mut descriptors, Some(&timeout)).unwrap_or(1)
    }

    /// Takes what the kernel holds; packets from after `end` are not taken and say that the device is drained.
    fn read(&mut self, end: Option<Timestamp>, sink: &mut impl Sink) {
        for (index, device) in self.devices.iter_mut().enumerate() {
            if device.failed.is_some() {
                continue;
            }
            let (mut drained, mut taken) = (false, 0);
            let result = device.capture.dispatch(Some(BATCH_PACKETS), |packet| {
                let header = packet.header;
                let stamp = Stamp { seconds: header.ts.tv_sec as u32, fraction: header.ts.tv_usec as u32 };
                if end.is_some_and(|end| timestamp(stamp) > end) {
                    drained = true;
                } else {
                    taken += 1;
                    sink.packet(index as u32, stamp, header.len, packet.data);
                }
            });
            device.drained |= drained;
            device.taken += taken;
            match result {
                Ok(_) | Err(pcap::Error::TimeoutExpired) => {}
                Err(error) => {
                    let message = words(&error);
                    tracing::warn!("{} cannot be read any more: {message}", device.name);
                    device.failed = Some(message);
                }
            }
        }
        sink.pause();
    }

    fn ask(&mut self, sink: &mut impl Sink) {
        for device in &mut self.devices {
            device.ask();
        }
        let statistics: Vec<Statistics> = self.devices.iter().map(|device| device.statistics).collect();
        sink.statistics(&statistics);
    }
}

/// libpcap gives nanoseconds for every device on Linux; elsewhere the crate cannot tell whether it does.
const NANOS: bool = cfg!(target_os = "linux");

fn timestamp(stamp: Stamp) -> Timestamp {
    let nanos = if NANOS { stamp.fraction } else { stamp.fraction.saturating_mul(1000) };
    Timestamp::from_parts(i64::from(stamp.seconds), i64::from(nanos))
}

impl Opened {
    fn open(name: &str, options: &Options) -> Result<(Self, Interface), LiveError> {
        let failed = |error: &pcap::Error| {
            if privilege::may_capture() {
                LiveError::Open { name: name.to_owned(), message: words(error) }
            } else {
                LiveError::Privilege(privilege::advice())
            }
        };
        let buffer = i32::try_from(options.buffer).unwrap_or(i32::MAX);
        let inactive = Capture::from_device(name)
            .map_err(|error| failed(&error))?
            .snaplen(i32::try_from(options.snaplen).unwrap_or(SNAPLEN as i32))
            .timeout(BATCH_MS)
            // `any` cannot, and says so by an error.
            .promisc(options.promiscuous && name != ANY)
            .precision(if NANOS { Precision::Nano } else { Precision::Micro })
            .buffer_size(buffer);
        let mut capture = inactive.open().map_err(|error| failed(&error))?;
        if name == ANY {
            // Where libpcap is too old for SLL2 the packets come as SLL.
            let _ = capture.set_datalink(Linktype(SLL2));
        }
        let filter = set_filter(&mut capture, name, options)?;
        let mut capture = capture.setnonblock().map_err(|error| failed(&error))?;
        let last = capture.stats().map_or((0, 0), |stats| (stats.dropped, stats.if_dropped));
        let link_type = file_link_type(capture.get_datalink());
        let interface = Interface { name: name.to_owned(), link_type, snaplen: options.snaplen, filter };
        Ok((
            Self {
                name: name.to_owned(),
                capture,
                last,
                statistics: Statistics::default(),
                taken: 0,
                failed: None,
                drained: false,
            },
            interface,
        ))
    }

    fn ask(&mut self) {
        let Ok(stats) = self.capture.stats() else { return };
        self.statistics.dropped_by_kernel += u64::from(stats.dropped.wrapping_sub(self.last.0));
        self.statistics.dropped_by_interface += u64::from(stats.if_dropped.wrapping_sub(self.last.1));
        self.last = (stats.dropped, stats.if_dropped);
        self.statistics.seen = self.taken + self.statistics.dropped_by_kernel;
    }
}

/// Builds and sets the filter; answers what was set.
fn set_filter(capture: &mut Capture<Active>, name: &str, options: &Options) -> Result<String, LiveError> {
    let own = options.filter.as_deref();
    if let Some(own) = own {
        // By itself first, so that the message is about what the user wrote.
        capture.compile(own, true).map_err(|error| LiveError::Filter { filter: own.to_owned(), message: words(&error) })?;
    }
    let mut last = None;
    for tagged in [true, false] {
        let text = filter::expression(&options.ports, own, tagged);
        if text.is_empty() {
            return Ok(text);
        }
        match capture.filter(&text, true) {
            Ok(()) => {
                tracing::info!("{name}: filter {text}");
                return Ok(text);
            }
            // Links without Ethernet frames know no tags.
            Err(error) => last = Some((text, words(&error))),
        }
    }
    let (filter, message) = last.expect("a filter was tried");
    Err(LiveError::Filter { filter, message })
}

/// The LINKTYPE of a file for libpcap's DLT: they differ for raw IP (DLT_RAW is 12 or 14 by system, LINKTYPE_RAW is 101).
fn file_link_type(dlt: Linktype) -> u16 {
    match dlt.0 {
        12 | 14 => 101,
        other => other as u16,
    }
}

/// libpcap's words alone.
fn words(error: &pcap::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("libpcap error: ").unwrap_or(&text).to_owned()
}
