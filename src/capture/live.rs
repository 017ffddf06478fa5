//! Packets from live devices, through libpcap; the only file that names the pcap crate.
//!
//! Reads in batches from the kernel's ring and hands each packet to a [`PacketSink`] by reference;
//! what the sink does with it is on the path that decides about loss, so it should copy and return.

use std::os::fd::AsFd as _;
use std::time::Duration;

use pcap::{Active, Capture, Device, Linktype, Precision, Stat};
use rustix::event::{PollFd, PollFlags, poll};

use super::filter;
use super::privilege;
use super::writer::{Interface, Stamp, Statistics};
use crate::stop::{Stop, timespec};
use crate::time::{Monotonic, Timestamp};

/// The device that stands for all of them.
pub const ANY: &str = "any";
/// Longest packet that is kept whole where the user says nothing: libpcap's own maximum, so that
/// segments joined by the network card (GRO, TSO: up to 64 KiB and beyond) are kept.
pub const SNAPLEN: u32 = 262_144;
/// Room for packets in the kernel where the user says nothing: most of a second at 100,000 packets
/// of 800 bytes a second.
pub const BUFFER_BYTES: usize = 64 << 20;
/// How long the kernel may keep packets where a file of packets is written: with what writing
/// takes, everything up to the last second is on disk, and few packets a second cost as few
/// wakeups. With [`TARDY`] it is also what the end of a capture may wait for.
pub const HOLD_PACKETS: Duration = Duration::from_millis(600);
/// And where somebody waits for what comes of them.
pub const HOLD: Duration = Duration::from_millis(100);
/// Most packets of one device before the others have their turn.
const BATCH_PACKETS: usize = 8192;
/// How often the kernel is asked what it dropped. Its counters have 32 bits and wrap.
const STATISTICS: Duration = Duration::from_secs(1);
/// How much later than it should the kernel may hand over what it kept.
const TARDY: Duration = Duration::from_millis(200);
/// LINKTYPE_LINUX_SLL2: as `any` has it, with the device in each packet.
const SLL2: i32 = 276;

#[expect(unsafe_code, reason = "the pcap crate does not name this function")]
unsafe extern "C" {
    fn pcap_lib_version() -> *const std::ffi::c_char;
}

/// libpcap's version and what it is built with: `1.10.3 (with TPACKET_V3)`.
pub fn library_version() -> String {
    // SAFETY: the function takes nothing, and returns a text that libpcap keeps for as long as the
    // program runs, ended by a NUL (pcap_lib_version(3PCAP)).
    #[expect(unsafe_code, reason = "a call of C")]
    let text = unsafe { std::ffi::CStr::from_ptr(pcap_lib_version()) };
    let text = text.to_string_lossy();
    text.strip_prefix("libpcap version ").unwrap_or(&text).to_owned()
}

/// What to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
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
    /// How long the kernel may keep packets to hand over more at once.
    pub hold: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            ports: Vec::new(),
            filter: None,
            snaplen: SNAPLEN,
            buffer: BUFFER_BYTES,
            promiscuous: false,
            hold: HOLD,
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
pub trait PacketSink {
    /// A packet of `length` bytes on the wire, of which `data` was kept.
    fn packet(&mut self, interface: u32, stamp: Stamp, length: u32, data: &[u8]);
    /// The kernel has no more at the moment, or others have their turn. Answers after which time to
    /// pause again at the latest, where something waits for more.
    fn pause(&mut self) -> Option<Duration>;
    /// What was lost until now, by device.
    fn statistics(&mut self, statistics: &[Statistics]);
}

/// Open devices.
pub struct Tap {
    devices: Vec<OpenedDevice>,
    interfaces: Vec<Interface>,
    hold: Duration,
}

struct OpenedDevice {
    name: String,
    capture: Capture<Active>,
    /// The kernel's 32-bit counters when they were last asked.
    last: Stat,
    statistics: Statistics,
    /// Packets that passed the filter and were not dropped, as the kernel counts.
    passed: u64,
    /// Packets that were read.
    taken: u64,
    failed: Option<String>,
    drained: bool,
}

/// A device with its own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressedDevice {
    /// The kernel's name for it.
    pub name: String,
    /// What it answers to.
    pub addresses: Vec<std::net::IpAddr>,
}

/// The devices of this machine with their addresses; none where they cannot be listed.
pub fn interfaces() -> Vec<AddressedDevice> {
    let addressed = |device: Device| AddressedDevice {
        addresses: device.addresses.iter().map(|address| address.addr).collect(),
        name: device.name,
    };
    let all = Device::list().unwrap_or_default().into_iter().map(addressed);
    all.filter(|device| !is_special(&device.name)).collect()
}

/// The devices of this machine, for people.
pub fn devices() -> Vec<String> {
    interfaces().into_iter().map(|device| device.name).collect()
}

/// What libpcap lists beside network devices.
fn is_special(name: &str) -> bool {
    ["nflog", "nfqueue", "usbmon", "bluetooth", "dbus"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

impl Tap {
    /// Opens all devices, or none.
    pub fn open(options: &LiveOptions) -> Result<Self, LiveError> {
        let known = devices();
        if let Some(name) =
            options.interfaces.iter().find(|name| !known.is_empty() && !known.contains(name))
        {
            return Err(LiveError::Unknown { name: name.clone(), known });
        }
        let mut tap = Self { devices: Vec::new(), interfaces: Vec::new(), hold: options.hold };
        for name in &options.interfaces {
            let (device, interface) = OpenedDevice::open(name, options)?;
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

    /// Reads until `stop` is told, then what the kernel still holds from before; fails where the
    /// last device went away.
    pub fn run(mut self, stop: &Stop, sink: &mut impl PacketSink) -> Result<(), LiveError> {
        let mut asked = Monotonic::now();
        let mut longest = STATISTICS;
        while !stop.is_told() && !self.has_failed() {
            if self.wait(Some(stop), longest) {
                self.read(None, sink);
            }
            if asked.elapsed() >= STATISTICS.as_nanos() as i64 {
                asked = Monotonic::now();
                self.ask(sink);
            }
            longest = sink.pause().map_or(STATISTICS, |left| left.min(STATISTICS));
        }
        self.drain(sink);
        sink.pause();
        self.ask(sink);
        match self
            .devices
            .into_iter()
            .find_map(|device| device.failed.map(|message| (device.name, message)))
        {
            Some((name, message)) => Err(LiveError::Read { name, message }),
            None => Ok(()),
        }
    }

    /// Takes what was captured before now. Over once each device has handed over as many packets as
    /// it had, or one from after now; and where its counters say otherwise (they count packets of
    /// loopback twice), once nothing came for longer than the kernel keeps packets.
    fn drain(&mut self, sink: &mut impl PacketSink) {
        let end = Timestamp::now();
        for device in &mut self.devices {
            device.ask();
            device.drained = device.taken >= device.passed;
        }
        let held: Vec<u64> = self.devices.iter().map(|device| device.passed).collect();
        while self.devices.iter().any(OpenedDevice::is_read) && self.wait(None, self.hold + TARDY) {
            self.read(Some(end), sink);
            sink.pause();
            for (device, &held) in self.devices.iter_mut().zip(&held) {
                device.drained |= device.taken >= held;
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.devices.iter().all(|device| device.failed.is_some())
    }

    /// Waits for packets of any device, for `stop`, or so long; answers whether there are packets,
    /// or may be.
    fn wait(&self, stop: Option<&Stop>, longest: Duration) -> bool {
        let readable = |device| PollFd::from_borrowed_fd(device, PollFlags::IN);
        let devices = self
            .devices
            .iter()
            .filter(|device| device.is_read())
            .map(|device| device.capture.as_fd());
        let mut descriptors: Vec<PollFd<'_>> =
            devices.chain(stop.map(Stop::as_fd)).map(readable).collect();
        let packets = descriptors.len() - usize::from(stop.is_some());
        let answered = poll(&mut descriptors, Some(&timespec(longest)));
        // Interrupted by a signal: what there is to read shows when it is read.
        answered.is_err()
            || descriptors[..packets].iter().any(|device| !device.revents().is_empty())
    }

    /// Takes what the kernel holds; packets from after `end` are not taken and say that the device
    /// is drained.
    fn read(&mut self, end: Option<Timestamp>, sink: &mut impl PacketSink) {
        for (index, device) in self.devices.iter_mut().enumerate() {
            if !device.is_read() {
                continue;
            }
            let (mut drained, mut taken) = (false, 0);
            let result = device.capture.dispatch(Some(BATCH_PACKETS), |packet| {
                let header = packet.header;
                let stamp =
                    Stamp { seconds: header.ts.tv_sec as u32, fraction: header.ts.tv_usec as u32 };
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
    }

    fn ask(&mut self, sink: &mut impl PacketSink) {
        for device in &mut self.devices {
            device.ask();
        }
        let statistics: Vec<Statistics> =
            self.devices.iter().map(|device| device.statistics).collect();
        sink.statistics(&statistics);
    }
}

/// libpcap gives nanoseconds for every device on Linux; elsewhere the crate cannot tell whether it
/// does.
const NANOS: bool = cfg!(target_os = "linux");

fn timestamp(stamp: Stamp) -> Timestamp {
    let nanos = if NANOS { stamp.fraction } else { stamp.fraction.saturating_mul(1000) };
    Timestamp::from_parts(i64::from(stamp.seconds), i64::from(nanos))
}

impl OpenedDevice {
    fn open(name: &str, options: &LiveOptions) -> Result<(Self, Interface), LiveError> {
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
            .timeout(i32::try_from(options.hold.as_millis()).unwrap_or(i32::MAX))
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
        let now = capture.stats().ok();
        // What came before the filter was there counts as passed: libpcap judges it later, and may
        // hand it over.
        let last = Stat {
            received: 0,
            dropped: now.map_or(0, |now| now.dropped),
            if_dropped: now.map_or(0, |now| now.if_dropped),
        };
        let link_type = file_link_type(capture.get_datalink());
        let interface =
            Interface { name: name.to_owned(), link_type, snaplen: options.snaplen, filter };
        Ok((
            Self {
                name: name.to_owned(),
                capture,
                last,
                statistics: Statistics::default(),
                passed: 0,
                taken: 0,
                failed: None,
                drained: false,
            },
            interface,
        ))
    }

    /// Whether it has packets for us, or may have.
    const fn is_read(&self) -> bool {
        self.failed.is_none() && !self.drained
    }

    fn ask(&mut self) {
        let Ok(now) = self.capture.stats() else { return };
        let since = |now: u32, last: u32| u64::from(now.wrapping_sub(last));
        let dropped = since(now.dropped, self.last.dropped);
        self.passed += since(now.received, self.last.received).saturating_sub(dropped);
        self.statistics.dropped_by_kernel += dropped;
        self.statistics.dropped_by_interface += since(now.if_dropped, self.last.if_dropped);
        self.statistics.seen = self.taken + self.statistics.dropped_by_kernel;
        self.last = now;
    }
}

/// Builds and sets the filter; answers what was set.
fn set_filter(
    capture: &mut Capture<Active>,
    name: &str,
    options: &LiveOptions,
) -> Result<String, LiveError> {
    let own = options.filter.as_deref();
    if let Some(own) = own {
        // By itself first, so that the message is about what the user wrote.
        capture.compile(own, true).map_err(|error| LiveError::Filter {
            filter: own.to_owned(),
            message: words(&error),
        })?;
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

/// The LINKTYPE of a file for libpcap's DLT: they differ for raw IP (DLT_RAW is 12 or 14 by system,
/// LINKTYPE_RAW is 101).
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
