//! Packets: from live devices, and into files.
//!
//! In: devices (`live`, the only user of libpcap). Out: pcap and pcapng (`writer`), as a row of files (`rotate`), by two threads
//! (`record`). `filter` builds what the kernel is asked for, `privilege` knows what that needs.

pub mod filter;
pub mod live;
pub mod privilege;
pub mod record;
pub mod rotate;
pub mod writer;
