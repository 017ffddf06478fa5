//! Makes small captures: Ethernet, IPv4, TCP connections with a handshake, as a tap would see them.

/// A capture being made.
pub(crate) struct Capture {
    bytes: Vec<u8>,
    now_ns: u64,
    step_ns: u64,
}

const CLIENT: [u8; 4] = [10, 0, 0, 9];
const SERVER: [u8; 4] = [10, 0, 0, 1];
const SERVER_PORT: u16 = 8080;
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

impl Capture {
    /// An empty capture (nanoseconds, little-endian, Ethernet) whose packets come `step_ns` apart.
    pub(crate) fn new(step_ns: u64) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
        bytes.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&262_144_u32.to_le_bytes());
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        Self { bytes, now_ns: 1_795_341_600_000_000_000, step_ns }
    }

    /// Lets time pass.
    pub(crate) fn later(mut self, ns: u64) -> Self {
        self.now_ns += ns;
        self
    }

    /// Adds a connection from `client_port` that carries these exchanges, each as raw bytes of
    /// request and response.
    pub(crate) fn connection(mut self, client_port: u16, exchanges: &[(&str, &str)]) -> Self {
        let (mut client, mut server) = (1_000_u32, 9_000_u32);
        self.segment(client_port, true, client, 0, SYN, b"");
        client += 1;
        self.segment(client_port, false, server, client, SYN | ACK, b"");
        server += 1;
        self.segment(client_port, true, client, server, ACK, b"");
        for (request, response) in exchanges {
            for (to_server, text) in [(true, request), (false, response)] {
                for part in text.as_bytes().chunks(1400) {
                    let (seq, ack) = if to_server { (client, server) } else { (server, client) };
                    self.segment(client_port, to_server, seq, ack, ACK, part);
                    if to_server {
                        client += part.len() as u32
                    } else {
                        server += part.len() as u32
                    }
                }
            }
        }
        self.segment(client_port, true, client, server, FIN | ACK, b"");
        self.segment(client_port, false, server, client + 1, FIN | ACK, b"");
        self.segment(client_port, true, client + 1, server + 1, ACK, b"");
        self
    }

    /// The file's bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn segment(
        &mut self,
        client_port: u16,
        to_server: bool,
        seq: u32,
        ack: u32,
        flags: u8,
        payload: &[u8],
    ) {
        let (source, target) = if to_server { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let (from, to) =
            if to_server { (client_port, SERVER_PORT) } else { (SERVER_PORT, client_port) };
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend_from_slice(&source);
        frame.extend_from_slice(&target);
        frame.extend_from_slice(&from.to_be_bytes());
        frame.extend_from_slice(&to.to_be_bytes());
        frame.extend_from_slice(&seq.to_be_bytes());
        frame.extend_from_slice(&ack.to_be_bytes());
        frame.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend_from_slice(payload);
        let (seconds, nanos) = (self.now_ns / 1_000_000_000, self.now_ns % 1_000_000_000);
        for word in [seconds as u32, nanos as u32, frame.len() as u32, frame.len() as u32] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend_from_slice(&frame);
        self.now_ns += self.step_ns;
    }
}
