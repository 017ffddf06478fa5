//! The wire transport's socket: non-blocking TCP, with TLS on top where the target speaks it.
//!
//! No scheduling and no HTTP here: bytes out, bytes in, and what the system says when neither goes.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// A socket towards v2.
pub(in crate::replay) struct Socket {
    fd: OwnedFd,
    tls: Option<Box<ClientConnection>>,
}

/// How a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum Handshake {
    /// The session is there.
    Done,
    /// More bytes must come or go.
    Going,
}

impl Socket {
    /// Starts to connect, from `source` where that is given; the socket turns writable when that
    /// ended.
    pub(in crate::replay) fn connect(
        address: SocketAddr,
        source: Option<SocketAddr>,
    ) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        if let Some(source) = source {
            sockopt::set_socket_reuseaddr(&fd, true)?;
            rustix::net::bind(&fd, &source)?;
        }
        match rustix::net::connect(&fd, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => {
                Ok(Self { fd, tls: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends by a reset when it is dropped, so that nothing of it stays behind.
    pub(in crate::replay) fn reset_at_close(&self) {
        // Where that is not to be had, it ends in order.
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    /// How connecting ended.
    pub(in crate::replay) fn connected(&self) -> io::Result<()> {
        sockopt::socket_error(&self.fd)?.map_err(Into::into)
    }

    /// Puts TLS on top.
    pub(in crate::replay) fn start_tls(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), rustls::Error> {
        let mut session = ClientConnection::new(config, name)?;
        // What is written is bounded by the caller, who writes on only when the socket took the
        // last.
        session.set_buffer_limit(None);
        self.tls = Some(Box::new(session));
        Ok(())
    }

    /// Whether TLS is on top.
    pub(in crate::replay) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The protocol that was agreed upon (RFC 7301), where one was.
    pub(in crate::replay) fn agreed(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn_protocol()
    }

    /// Drives the handshake as far as it goes now.
    pub(in crate::replay) fn handshake(&mut self) -> io::Result<Handshake> {
        let Some(session) = &mut self.tls else { return Ok(Handshake::Done) };
        let mut io = FdIo(self.fd.as_fd());
        loop {
            flush_session(session, &mut io)?;
            if !session.is_handshaking() {
                return Ok(Handshake::Done);
            }
            match session.read_tls(&mut io) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "closed during the handshake",
                    ));
                }
                Ok(_) => process(session, &mut io)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Handshake::Going);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether bytes wait for the socket to take them.
    pub(in crate::replay) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Writes some of `bytes`; [`io::ErrorKind::WouldBlock`] where nothing goes now. `more`:
    /// another write follows at once, with which they may share a packet.
    pub(in crate::replay) fn write(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let mut io = FdIo(self.fd.as_fd());
        let Some(session) = &mut self.tls else {
            let flags =
                if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
            return io.send(bytes, flags);
        };
        flush_session(session, &mut io)?;
        if session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = session.writer().write(bytes)?;
        flush_session(session, &mut io)?;
        Ok(taken)
    }

    /// Writes what TLS still holds.
    pub(in crate::replay) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(session) => flush_session(session, &mut FdIo(self.fd.as_fd())),
            None => Ok(()),
        }
    }

    /// Reads; `Ok(0)` is the end in order, [`io::ErrorKind::WouldBlock`] nothing now.
    pub(in crate::replay) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut io = FdIo(self.fd.as_fd());
        let Some(session) = &mut self.tls else { return io.read(buffer) };
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            // Zero is the end of the stream; the reader above then tells whether it was announced.
            session.read_tls(&mut io)?;
            process(session, &mut io)?;
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Writes what TLS holds until the socket takes no more.
fn flush_session(session: &mut ClientConnection, io: &mut FdIo<'_>) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(io) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn process(session: &mut ClientConnection, io: &mut FdIo<'_>) -> io::Result<()> {
    session.process_new_packets().map(drop).map_err(|error| {
        // The peer is told why; that it may not hear it changes nothing.
        let _ = session.write_tls(io);
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}

struct FdIo<'a>(BorrowedFd<'a>);

impl Read for FdIo<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Shorter than `read`, which also goes through all that files have.
        rustix::io::retry_on_intr(|| {
            rustix::net::recv(self.0, &mut *buffer, RecvFlags::empty()).map(|(got, _)| got)
        })
        .map_err(Into::into)
    }
}

impl FdIo<'_> {
    fn send(&self, bytes: &[u8], flags: SendFlags) -> io::Result<usize> {
        rustix::io::retry_on_intr(|| rustix::net::send(self.0, bytes, flags)).map_err(Into::into)
    }
}

impl Write for FdIo<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes, SendFlags::NOSIGNAL)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
