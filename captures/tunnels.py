#!/usr/bin/env python3
"""Makes tunnels.pcap and seen-twice.pcap with their truths, in the folder of this file: links and tunnels that few published
captures have. Nothing in them was ever on a wire. `python3 captures/tunnels.py` gives the same bytes again."""

import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
START = 1_795_341_600_000_000_000
EMPTY = hashlib.sha256(b"").hexdigest()


def pack(form, *values):
    return struct.pack(">" + form, *values)


def ether(kind, payload, tags=()):
    head = b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
    return head + b"".join(pack("HH", tpid, vid) for tpid, vid in tags) + pack("H", kind) + payload


def ipv4(protocol, payload, source=b"\x0a\x01\x00\x01", target=b"\x0a\x01\x00\x02", ident=7):
    return pack("BBHHHBBH", 0x45, 0, 20 + len(payload), ident, 0x4000, 64, protocol, 0) + source + target + payload


def ipv6(next_header, payload, source=1, target=2):
    ends = bytes.fromhex("fd00") + bytes(13)
    return pack("IHBB", 6 << 28, len(payload), next_header, 64) + ends + bytes([source]) + ends + bytes([target]) + payload


def udp(port, payload, source=40_000):
    return pack("HHHH", source, port, 8 + len(payload), 0) + payload


class Talk:
    """One connection with one request and its answer; `wrap` makes frames of each of its IP packets."""

    def __init__(self, name, port, wrap, version=4):
        self.name, self.port, self.wrap, self.version = name, port, wrap, version
        body = f"answer through {name}".encode() * 40
        self.request = f"GET /{name} HTTP/1.1\r\nHost: tunnels.example\r\n\r\n".encode()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        self.body = body

    def packet(self, to_server, seq, ack, flags, payload, ident):
        ports = (self.port, 8080) if to_server else (8080, self.port)
        tcp = pack("HHIIBBHHH", *ports, seq, ack, 0x50, flags, 65_535, 0, 0) + payload
        if self.version == 6:
            return self.wrap(tcp, to_server, ident)
        client, server = b"\x0a\x00\x00\x09", b"\x0a\x00\x00\x01"
        ends = (client, server) if to_server else (server, client)
        return self.wrap(ipv4(6, tcp, *ends, ident=ident), to_server, ident)

    def frames(self):
        """Frames in their order; which one begins and ends the request and the answer."""
        half = len(self.answer) // 2
        steps = [
            (True, 0, 0, 2, b""), (False, 0, 1, 18, b""), (True, 1, 1, 16, b""),
            (True, 1, 1, 24, self.request),
            (False, 1, 1 + len(self.request), 16, self.answer[:half]),
            (False, 1 + half, 1 + len(self.request), 24, self.answer[half:]),
            (True, 1 + len(self.request), 1 + len(self.answer), 17, b""),
            (False, 1 + len(self.answer), 2 + len(self.request), 17, b""),
        ]  # fmt: skip
        for number, step in enumerate(steps):
            frames = self.packet(*step, ident=100 + number)
            mark = {3: "request", 4: "first", 5: "last"}.get(number)
            yield mark, frames if isinstance(frames, list) else [frames]

    def ends(self):
        if self.version == 6:
            return f"[fd00::1]:{self.port}", "[fd00::2]:8080"
        return f"10.0.0.9:{self.port}", "10.0.0.1:8080"


def write(name, link, talks):
    out, rows, now = [pack("IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link)], [], START
    for stream, talk in enumerate(talks):
        at = {}
        for mark, frames in talk.frames():
            for frame in frames:
                now += 100_000
                out.append(pack("IIII", now // 10**9, now % 10**9, len(frame), len(frame)) + frame)
            at[mark] = now if not getattr(talk, "twice", False) else now - 100_000
        client, server = talk.ends()
        stamp = lambda mark: f"{at[mark] // 10**9}.{at[mark] % 10**9:09}"
        rows.append({
            "proto": "http/1", "tcp_stream": stream, "index": 0, "client": client, "server": server, "method": "GET",
            "uri": f"/{talk.name}", "host": "tunnels.example", "req_version": "1.1", "req_complete": True, "req_framing": "none",
            "req_body_len": 0, "req_body_sha256": EMPTY, "req_time_first": stamp("request"), "status": 200, "reason": "OK",
            "resp_version": "1.1", "resp_complete": True, "resp_framing": "cl", "resp_body_len": len(talk.body),
            "resp_body_sha256": hashlib.sha256(talk.body).hexdigest(), "resp_time_first": stamp("first"),
            "resp_time_last": stamp("last"), "certain": True,
        })  # fmt: skip
    (HERE / name).write_bytes(b"".join(out))
    (HERE / f"{name}.truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def erspan2(packet, _, ident):
    return ether(0x800, ipv4(47, pack("HHI", 0x1000, 0x88BE, ident) + pack("II", 0x1005_0007, 3) + ether(0x800, packet)))


def erspan3(packet, _, ident):
    # With the platform-specific subheader of eight bytes (the last bit says so).
    head = pack("IIHH", 0x2005_0007, ident, 0, 1) + bytes(8)
    return ether(0x800, ipv4(47, pack("HHI", 0x1000, 0x22EB, ident) + head + ether(0x800, packet)))


def gtp(packet, to_server, ident):
    # Sequence number and two extension headers: PDU session container, PDCP number. The tunnel differs by direction.
    extensions = pack("HBB", ident, 0, 0x85) + b"\x01\x10\x05\xc0" + b"\x01\x00\x07\x00"
    payload = extensions + packet
    return ether(0x800, ipv4(17, udp(2152, pack("BBHI", 0x36, 0xFF, len(payload), 17 if to_server else 71) + payload, 2152)))


def pppoe_in_qinq(packet, *_):
    return ether(0x8864, pack("BBHH", 0x11, 0, 9, len(packet) + 2) + b"\x00\x21" + packet, [(0x88A8, 100), (0x8100, 200)])


def geneve_over_vxlan(packet, *_):
    option = pack("HBB", 0x0102, 3, 1) + b"\xab\xcd\xef\x01"
    geneve = pack("BBH", 2, 0, 0x6558) + b"\x00\x00\x2a\x00" + option + ether(0x800, packet)
    return ether(0x800, ipv4(17, udp(4789, b"\x08\x00\x00\x00\x00\x00\x07\x00" + ether(0x800, ipv4(17, udp(6081, geneve))))))


def pseudowire(packet, _, ident):
    # Two labels, a control word, a whole Ethernet frame with a tag in it.
    labels = pack("II", 16 << 12 | 64, 17 << 12 | 0x100 | 64)
    return ether(0x8847, labels + pack("HH", 0, ident) + ether(0x800, packet, [(0x8100, 5)]))


def mpls_vpn(packet, *_):
    return ether(0x8847, pack("III", 100 << 12 | 64, 200 << 12 | 64, 300 << 12 | 0x100 | 64) + packet)


def six_chain(tcp, to_server, ident):
    """Hop-by-hop, destination options, routing and, for what is long, three fragments, last first."""
    ends = (1, 2) if to_server else (2, 1)
    chain = lambda last, payload: (
        bytes([60, 0]) + b"\x01\x04\x00\x00\x00\x00" + bytes([43, 0]) + b"\x01\x04\x00\x00\x00\x00" + bytes([last, 0, 4, 0]) + bytes(4) + payload
    )
    if len(tcp) < 200:
        return ether(0x86DD, ipv6(0, chain(6, tcp), *ends))
    cut, frames = len(tcp) // 3 // 8 * 8, []
    for number, part in reversed(list(enumerate([tcp[:cut], tcp[cut : 2 * cut], tcp[2 * cut :]]))):
        head = pack("BBHI", 6, 0, number * cut | (number < 2), ident)
        frames.append(ether(0x86DD, ipv6(0, chain(44, head + part), *ends)))
    return frames


def authenticated(packet, *_):
    # AH in transport mode around IP in IP.
    return ether(0x800, ipv4(51, pack("BBHII", 4, 4, 0, 1, 1) + bytes(12) + packet))


def twice(packet, *_):
    """As `-i any` sees what passes a bridge: at the port and at the bridge, which is another interface."""
    head = lambda interface, kind: pack("HHIHBB", 0x800, 0, interface, 1, kind, 6) + b"\x02\x00\x00\x00\x00\x01\x00\x00"
    return [head(3, 0) + packet, head(7, 0) + packet]


write("tunnels.pcap", 1, [
    Talk("erspan-ii", 41_001, erspan2),
    Talk("erspan-iii", 41_002, erspan3),
    Talk("gtp-u-extensions", 41_003, gtp),
    Talk("pppoe-in-qinq", 41_004, pppoe_in_qinq),
    Talk("geneve-over-vxlan", 41_005, geneve_over_vxlan),
    Talk("mpls-pseudowire", 41_006, pseudowire),
    Talk("mpls-three-labels", 41_007, mpls_vpn),
    Talk("ipv6-chain-in-fragments", 41_008, six_chain, version=6),
    Talk("ah-ip-in-ip", 41_009, authenticated),
])  # fmt: skip
both = Talk("seen-twice", 41_010, twice)
both.twice = True
write("seen-twice.pcap", 276, [both])
