"""Makes the captures of benches/hostile.sh: each would cost a reader without bounds all its memory. Each ends with one
plain exchange on a connection of its own, which must come out whole.

Usage: hostile.py SHAPE FILE [SIZE]"""

import struct
import sys

SYN, ACK, FIN, PUSH = 2, 16, 1, 8
CLIENT, SERVER = 0x0A000009, 0x0A000001


class Capture:
    """Raw IPv4 in a classic pcap, a packet each microsecond."""

    def __init__(self, path):
        self.out = open(path, "wb", buffering=1 << 20)
        self.out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        self.micros = 1_795_341_600_000_000

    def record(self, packet):
        self.micros += 1
        length = len(packet)
        self.out.write(struct.pack("<IIII", self.micros // 1_000_000, self.micros % 1_000_000, length, length) + packet)

    def ip(self, source, target, ident, fragment, protocol, payload):
        self.record(struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, 0, source, target) + payload)

    def tcp(self, port, to_server, seq, ack, flags, payload=b"", client=CLIENT):
        ends = (client, SERVER, port, 8080) if to_server else (SERVER, client, 8080, port)
        head = struct.pack(">HHIIBBHHH", ends[2], ends[3], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 65535, 0, 0)
        self.ip(ends[0], ends[1], self.micros & 0xFFFF, 0x4000, 6, head + payload)

    def handshake(self, port):
        self.tcp(port, True, 0, 0, SYN)
        self.tcp(port, False, 0, 1, SYN | ACK)
        self.tcp(port, True, 1, 1, ACK)

    def plain_exchange(self):
        request, answer = b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"
        self.handshake(65_000)
        self.tcp(65_000, True, 1, 1, ACK | PUSH, request)
        self.tcp(65_000, False, 1, 1 + len(request), ACK | PUSH, answer)
        self.tcp(65_000, True, 1 + len(request), 1 + len(answer), ACK | FIN)


def half_open(capture, size):
    """Connections that only ever send a SYN."""
    for number in range(size):
        capture.tcp(1024 + number % 60_000, True, number, 0, SYN, client=0x0B000000 + number // 60_000)


def head(capture, size):
    """One request whose header fields never end."""
    capture.handshake(40_000)
    capture.tcp(40_000, True, 1, 1, ACK, b"GET /head HTTP/1.1\r\n")
    line, seq = (b"X-Filler: " + b"a" * 1_390 + b"\r\n") * 10, 21
    for _ in range(size // len(line)):
        capture.tcp(40_000, True, seq, 1, ACK, line)
        seq += len(line)


def gap(capture, size):
    """One answer whose first byte never comes, and nobody acknowledges anything."""
    capture.handshake(40_000)
    capture.tcp(40_000, True, 1, 1, ACK, b"GET /gap HTTP/1.1\r\nHost: h\r\n\r\n")
    for seq in range(2, size, 14_000):
        capture.tcp(40_000, False, seq, 1, ACK, b"b" * 14_000)


def backwards(capture, size):
    """A body whose segments come last first."""
    capture.handshake(40_000)
    capture.tcp(40_000, True, 1, 1, ACK, b"GET /backwards HTTP/1.1\r\nHost: h\r\n\r\n")
    for seq in reversed(range(1, size, 1_400)):
        capture.tcp(40_000, False, seq, 38, ACK, b"b" * 1_400)


def fragments(capture, size):
    """First fragments of packets that never become whole."""
    for number in range(size):
        capture.ip(0x0B000000 + (number >> 16), SERVER, number & 0xFFFF, 0x2000, 6, b"f" * 64)


def bodies(capture, size):
    """Uploads on many connections at once, none of which ends."""
    ports = range(2_000, 4_000)
    begin = b"PUT /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n"
    for port in ports:
        capture.handshake(port)
        capture.tcp(port, True, 1, 1, ACK, begin)
    seq, part = 1 + len(begin), b"b" * 14_000
    for _ in range(size // (len(part) * len(ports))):
        for port in ports:
            capture.tcp(port, True, seq, 1, ACK, part)
        seq += len(part)


def pipeline(capture, size):
    """Requests that nobody answers, on one connection."""
    capture.handshake(40_000)
    request, seq = b"GET /pipeline HTTP/1.1\r\nHost: h\r\n\r\n" * 30, 1
    for _ in range(size // 30):
        capture.tcp(40_000, True, seq, 1, ACK, request)
        seq += len(request)


SHAPES = {"half-open": (half_open, 1_000_000), "head": (head, 300_000_000), "gap": (gap, 300_000_000)}
SHAPES |= {"backwards": (backwards, 200_000_000), "fragments": (fragments, 1_000_000), "bodies": (bodies, 500_000_000)}
SHAPES |= {"pipeline": (pipeline, 600_000)}

if __name__ == "__main__":
    make, size = SHAPES[sys.argv[1]]
    made = Capture(sys.argv[2])
    make(made, int(sys.argv[3]) if len(sys.argv) > 3 else size)
    made.plain_exchange()
    made.out.close()
