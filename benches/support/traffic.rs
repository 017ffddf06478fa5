//! Seeded traffic: captures of any size with a known number of exchanges, made packet by packet so
//! that gigabytes need no memory. The same seed gives the same bytes.

use std::collections::BinaryHeap;
use std::io::{self, Write};

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Exchanges in all.
    pub(crate) exchanges: u64,
    /// Exchanges of a connection.
    pub(crate) per_connection: u64,
    /// Connections that are open at the same time.
    pub(crate) open: usize,
    /// Mean length of a response's body; lengths vary between none and twice that.
    pub(crate) body: usize,
    /// Packets by which a packet may be too late.
    pub(crate) disorder: u64,
    /// Whether the packets are in VXLAN in a VLAN.
    pub(crate) tunnelled: bool,
    /// Where the pseudo-random numbers start.
    pub(crate) seed: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            exchanges: 1_000,
            per_connection: 10,
            open: 64,
            body: 2_100,
            disorder: 0,
            tunnelled: false,
            seed: 1,
        }
    }
}

/// Longest payload of a packet.
const MSS: usize = 1_448;

/// What bodies are made of: JSON with quotes to escape and a character of two bytes.
const FILLER: &[u8] = b"{\"item\": \"caf\xc3\xa9 au lait\", \"price\": 4.20, \"in_stock\": true}, ";

/// xorshift64*: fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }
}

/// A packet that waits for its (disordered) turn: turn, number, bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting(std::cmp::Reverse<(u64, u64)>, Vec<u8>);

struct Writer<W: Write> {
    out: W,
    traffic: Traffic,
    random: Random,
    waiting: BinaryHeap<Waiting>,
    packets: u64,
    bytes: u64,
    nanos: u64,
}

#[derive(Clone)]
struct Connection {
    client: [u8; 4],
    port: u16,
    /// Next sequence number of client and server.
    seq: [u32; 2],
    left: u64,
    ident: u16,
}

/// What was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    /// Packets.
    pub(crate) packets: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Bytes of all response bodies.
    pub(crate) body_bytes: u64,
}

impl Traffic {
    /// Writes the capture (pcap, nanoseconds).
    pub(crate) fn write(self, out: impl Write) -> io::Result<Made> {
        let mut writer = Writer {
            out,
            traffic: self,
            random: Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            waiting: BinaryHeap::new(),
            packets: 0,
            bytes: 24,
            nanos: 1_795_341_600_000_000_000,
        };
        writer.out.write_all(&[
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
        ])?;
        let filler: Vec<u8> = FILLER.iter().copied().cycle().take(self.body * 2 + 64).collect();
        let mut made = Made::default();
        let mut open: Vec<Connection> = Vec::new();
        let (mut started, mut connections) = (0, 0u64);
        loop {
            while open.len() < self.open && started < self.exchanges {
                let left = self.per_connection.min(self.exchanges - started);
                started += left;
                let id = connections;
                connections += 1;
                let client = [10, (id >> 30) as u8 | 1, (id >> 22) as u8, (id >> 14) as u8];
                let mut connection = Connection {
                    client,
                    port: 1_024 + (id & 0x3fff) as u16,
                    seq: [writer.random.next() as u32, writer.random.next() as u32],
                    left,
                    ident: 1,
                };
                writer.packet(&mut connection, true, 2, b"")?;
                writer.packet(&mut connection, false, 18, b"")?;
                writer.packet(&mut connection, true, 16, b"")?;
                open.push(connection);
            }
            if open.is_empty() {
                break;
            }
            let which = writer.random.below(open.len() as u64) as usize;
            made.body_bytes += writer.exchange(&mut open[which], &filler)?;
            if open[which].left == 0 {
                let mut connection = open.swap_remove(which);
                writer.packet(&mut connection, true, 17, b"")?;
                writer.packet(&mut connection, false, 17, b"")?;
                writer.packet(&mut connection, true, 16, b"")?;
            }
        }
        while let Some(Waiting(_, packet)) = writer.waiting.pop() {
            writer.put(&packet)?;
        }
        writer.out.flush()?;
        Ok(Made { packets: writer.packets, bytes: writer.bytes, ..made })
    }
}

impl<W: Write> Writer<W> {
    fn exchange(&mut self, connection: &mut Connection, filler: &[u8]) -> io::Result<u64> {
        connection.left -= 1;
        let item = self.random.below(100_000);
        let request = format!(
            "GET /shop/items/{item}?page={} HTTP/1.1\r\nHost: shop.example.com\r\n\
             User-Agent: traffic/1.0 (seeded)\r\n\
             Accept: application/json\r\nAccept-Encoding: identity\r\n\
             X-Request-Id: {:016x}{:016x}\r\n\
             Cookie: session={:016x}; theme=dark; language=en\r\n\r\n",
            item % 7,
            self.random.next(),
            self.random.next(),
            self.random.next()
        );
        self.packet(connection, true, 24, request.as_bytes())?;
        self.nanos += 200_000 + self.random.below(800_000);
        let body = self.random.below(2 * self.traffic.body as u64 + 1) as usize;
        // Bodies begin at a character's start and end at one: the filler's two-byte character is
        // never cut at the end.
        let body = if filler[body].is_ascii() || body == 0 {
            body
        } else {
            body + usize::from(filler[body] & 0xc0 == 0x80)
        };
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nServer: traffic\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
             Content-Type: application/json\r\n\
             Cache-Control: no-store\r\nContent-Length: {body}\r\n\r\n"
        )
        .into_bytes();
        response.extend_from_slice(&filler[..body]);
        for (n, part) in response.chunks(MSS).enumerate() {
            self.packet(connection, false, 24, part)?;
            if n % 2 == 1 {
                self.packet(connection, true, 16, b"")?;
            }
        }
        self.packet(connection, true, 16, b"")?;
        Ok(body as u64)
    }

    fn packet(
        &mut self,
        connection: &mut Connection,
        from_client: bool,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let (me, other) = if from_client { (0, 1) } else { (1, 0) };
        let server = [10, 0, 0, 1];
        let (source, destination) =
            if from_client { (connection.client, server) } else { (server, connection.client) };
        let (from, to) =
            if from_client { (connection.port, 8_080) } else { (8_080, connection.port) };
        let mut packet = Vec::with_capacity(16 + 120 + payload.len());
        packet.extend_from_slice(&[0; 16]);
        let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let inner = 40 + 12 + payload.len();
        if self.traffic.tunnelled {
            packet.extend_from_slice(&ethernet);
            packet.extend_from_slice(&[0x81, 0, 0, 7, 8, 0]);
            ip(
                &mut packet,
                17,
                [172, 16, 0, 1],
                [172, 16, 0, 2],
                20 + 8 + 8 + 14 + inner,
                connection.ident,
            );
            for field in [40_000u16, 4_789, (8 + 8 + 14 + inner) as u16, 0] {
                packet.extend_from_slice(&field.to_be_bytes());
            }
            packet.extend_from_slice(&[8, 0, 0, 0, 0, 0, 42, 0]);
        }
        packet.extend_from_slice(&ethernet);
        packet.extend_from_slice(&[8, 0]);
        ip(&mut packet, 6, source, destination, inner, connection.ident);
        connection.ident = connection.ident.wrapping_add(1).max(1);
        packet.extend_from_slice(&from.to_be_bytes());
        packet.extend_from_slice(&to.to_be_bytes());
        packet.extend_from_slice(&connection.seq[me].to_be_bytes());
        let ack = if flags & 16 == 0 { 0 } else { connection.seq[other] };
        packet.extend_from_slice(&ack.to_be_bytes());
        packet.extend_from_slice(&[0x80, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(&[1, 1, 8, 10]);
        packet.extend_from_slice(&((self.nanos / 1_000_000) as u32).to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(payload);
        connection.seq[me] =
            connection.seq[me].wrapping_add(payload.len() as u32 + u32::from(flags & 3 != 0));

        self.nanos += 1_000 + self.random.below(20_000);
        let length = (packet.len() - 16) as u32;
        packet[..4].copy_from_slice(&((self.nanos / 1_000_000_000) as u32).to_le_bytes());
        packet[4..8].copy_from_slice(&((self.nanos % 1_000_000_000) as u32).to_le_bytes());
        packet[8..12].copy_from_slice(&length.to_le_bytes());
        packet[12..16].copy_from_slice(&length.to_le_bytes());
        self.packets += 1;
        if self.traffic.disorder == 0 {
            return self.put(&packet);
        }
        // Handshakes keep their place, so that no order is a doubt about who began.
        let late = if flags & 2 == 0 { self.random.below(self.traffic.disorder + 1) } else { 0 };
        self.waiting.push(Waiting(std::cmp::Reverse((self.packets + late, self.packets)), packet));
        while self.waiting.peek().is_some_and(|Waiting(turn, _)| turn.0.0 <= self.packets) {
            if let Some(Waiting(_, packet)) = self.waiting.pop() {
                self.put(&packet)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, packet: &[u8]) -> io::Result<()> {
        self.bytes += packet.len() as u64;
        self.out.write_all(packet)
    }
}

fn ip(
    packet: &mut Vec<u8>,
    protocol: u8,
    source: [u8; 4],
    destination: [u8; 4],
    total: usize,
    ident: u16,
) {
    packet.extend_from_slice(&[0x45, 0]);
    packet.extend_from_slice(&(total as u16).to_be_bytes());
    packet.extend_from_slice(&ident.to_be_bytes());
    packet.extend_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&destination);
}
