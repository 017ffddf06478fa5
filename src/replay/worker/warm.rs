//! A datagram that a worker sends to itself over loopback, again and again just before its first
//! request: what the kernel needs to send (its code, its buffers, a processor that is awake) is
//! then as it will be for all requests behind it. The first request is what the times of all others
//! are compared with, so it must not be the one that is late.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// About as long as a small request.
const BYTES: usize = 256;

/// A socket that is connected to itself.
pub(in crate::replay) struct Warm(UdpSocket);

impl Warm {
    /// Not to be had where there is no loopback; a replay does without.
    pub(in crate::replay) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Goes the way once. What fails changes nothing.
    pub(in crate::replay) fn round(&self) -> bool {
        let mut bytes = [0; BYTES];
        matches!((self.0.send(&bytes), self.0.recv(&mut bytes)), (Ok(BYTES), Ok(BYTES)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let warm = Warm::new().unwrap();
        // On a busy machine a datagram may come a little later: then it is there in a later round.
        let comes = |_| {
            (0..1_000).any(|_| {
                let came = warm.round();
                if !came {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                came
            })
        };
        assert!((0..3).all(comes));
    }
}
