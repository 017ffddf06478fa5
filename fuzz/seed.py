#!/usr/bin/env python3
"""Makes the seed corpora of the fuzz targets below fuzz/corpus, from captures/ and reports/sample/ (and from the folder that
SHADOWTAP_CAPTURES names). Nothing is downloaded, nothing but small files is written; what is there already stays."""

import gzip
import hashlib
import json
import os
import pathlib
import random
import struct
import zlib

HERE = pathlib.Path(__file__).resolve().parent
LINKS = [1, 0, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 276, 239, 14, 1000]  # as in fuzz_targets/decode.rs
LARGEST = 40_000
METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"CONNECT ", b"OPTIONS ", b"HTTP/1.")


def seed(target, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def captures():
    folders = [HERE.parent / "captures"]
    more = os.environ.get("SHADOWTAP_CAPTURES")
    folders += [pathlib.Path(more)] if more else []
    for folder in folders:
        for path in sorted(folder.glob("*.pcap*")):
            if path.suffix in (".pcap", ".pcapng", ".cap") and path.stat().st_size <= 1_000_000:
                yield path.read_bytes()


def frames(capture):
    """Link type and frames of a classic pcap."""
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}.get(capture[:4])
    if order is None:
        return 0, []
    link, at, found = struct.unpack_from(order + "I", capture, 20)[0] & 0xFFFF, 24, []
    while at + 16 <= len(capture):
        captured = struct.unpack_from(order + "I", capture, at + 8)[0]
        found.append(capture[at + 16 : at + 16 + captured])
        at += 16 + captured
    return link, found


def turns(capture):
    """The payloads of the first connection over IPv4 in Ethernet, as they came: whether of the server, and the bytes."""
    link, found = frames(capture)
    first, said = None, []
    for frame in found if link == 1 else []:
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        ip = frame[14 : 14 + struct.unpack_from(">H", frame, 16)[0]]
        tcp = ip[(ip[0] & 15) * 4 :]
        ends = (ip[12:16] + tcp[0:2], ip[16:20] + tcp[2:4])
        first = first or ends
        payload = tcp[(tcp[12] >> 4) * 4 :]
        if payload and set(ends) == set(first):
            said.append((ends != first, payload))
    return said


def captured_paths():
    return sorted((HERE.parent / "captures").glob("*.pcap"))


for path in captured_paths():
    keys = path.with_name(path.name + ".keylog.txt")
    said = turns(path.read_bytes()) if keys.exists() else []
    text = keys.read_bytes()[:4000] if said else b""
    head = struct.pack(">H", len(text)) + text
    for choice, most in ((0, 60), (1, 60), (2, 60), (0, 8)) if said else ():
        whole = b"".join(bytes([side]) + struct.pack(">H", len(part)) + part for side, part in said[:most])
        seed("tls", bytes([choice, 3]) + head + whole)
    if said:
        lost = b"".join(bytes([side | (6 if n == 9 else 0)]) + struct.pack(">H", len(part)) + part for n, (side, part) in enumerate(said[:40]))
        seed("tls", bytes([0, 1]) + head + lost)

for capture in captures():
    if len(capture) <= LARGEST:
        seed("files", capture)
        seed("files", gzip.compress(capture, mtime=0))
        seed("parse", capture)
    else:
        seed("files", capture[: LARGEST // 2])
        seed("parse", capture[:LARGEST])
    link, found = frames(capture)
    if link in LINKS:
        chosen = found[:6] + found[len(found) // 2 :][:2]
        seed("decode", bytes([LINKS.index(link), 0]) + b"".join(struct.pack(">H", len(f)) + f for f in chosen))
    for frame in found:
        starts = [at for at in (frame.find(method, 20) for method in METHODS) if at > 0]
        if starts:
            payload = frame[min(starts) :]
            seed("http", bytes([2 if payload.startswith(b"HTTP") else 0, 7]) + payload)

STREAMS = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\nPOST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n5;x=1\r\nhello\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nA: 1\r\n  folded\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    b"OPTIONS * HTTP/1.1\nHost:h\n\nCONNECT a:1 HTTP/1.1\r\n\r\n\x16\x03\x01rest",
    b"\r\n\r\nGET http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n",
    b"GET /old\r\n",
]
ANSWERS = [
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 204 \r\n\r\n",
    b"HTTP/1.0 200\r\n\r\nup to the end",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nzz\r\n",
]
for number, stream in enumerate(STREAMS):
    for choice in (0, 4, 8):
        seed("http", bytes([choice, number]) + stream)
for number, stream in enumerate(ANSWERS):
    for choice in (2, 6, 10, 18, 26):
        seed("http", bytes([choice, number]) + stream)
for number, (stream, answer) in enumerate(zip(STREAMS, ANSWERS)):
    for choice in (1, 3, 9, 11):
        seed("http", bytes([choice, number]) + stream + b"\xff" + answer + b"\xff\x03" + answer + b"\xff\x08" + b"\xff" + stream)

BLOCKS = [
    bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"),
    bytes.fromhex("828684be58086e6f2d6361636865"),
    bytes.fromhex("3fe11f886196dc34fd280654d27eea0801128166e09c6dabb8d054c5a37f0f13"),
]
for block in BLOCKS:
    seed("hpack", b"\x01\x00" + block + b"\xfe" + block)
seed("hpack", b"\x00\x00" + b"abcdef\xffabcd12\xffabcdef\xffabcdef\xfd\x04aa")
FRAMES = bytes.fromhex("000000040000000000" "00000d010500000001") + BLOCKS[0][:13] + bytes.fromhex("000003000100000001616263" "000004080000000000" "00000010")
for choice in (2, 3):
    seed("hpack", bytes([choice, 9]) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + FRAMES)
    seed("hpack", bytes([choice, 3]) + FRAMES)
for choice in (0, 4, 8):
    seed("h2", bytes([choice, 7]) + FRAMES + b"\xff" + FRAMES)

said = [(0x10, b"hello"), (0x11, b'{"a":1}'), (0x00, bytes.fromhex("818501020304") + b"iguhn"), (0x01, b"\x01\x03abc\x80\x02de\x89\x00"), (0x0E, b"lost")]
turned = b"".join(bytes([what, len(part)]) + part for what, part in said)
packed = zlib.compressobj(wbits=-15)
packed = (packed.compress(b"hello hello hello") + packed.flush(zlib.Z_SYNC_FLUSH))[:-4]
for choice in range(7):
    seed("websocket", bytes([choice, 5]) + turned[: len(turned) if choice & 1 else 16])
    seed("websocket", bytes([choice, 5, 1, len(packed) + 2, 0xC1, len(packed)]) + packed)

MESSAGES = [
    bytes.fromhex("08011085011801"),
    bytes.fromhex("42036162632a04080112001a080a0161120376616c"),
    bytes.fromhex("2a0c08012a0808012a0408012a004d0000803f"),
    bytes.fromhex("52020801620f0a03782f61120808011085011801"),
    bytes.fromhex("2203010203200120028a0108000000000100000082010408071200"),
]
for choice, message in ((choice, message) for choice in (0, 2, 4, 0x80, 0x84) for message in MESSAGES):
    bare = choice & 0x7F == 4
    seed("protobuf", bytes([choice]) + (message if bare else b"\0" + struct.pack(">I", len(message)) + message))
trailers = b"grpc-status: 0\r\n"
seed("protobuf", b"\x02" + b"\0\0\0\0\x02\x08\x01" + b"\x80" + struct.pack(">I", len(trailers)) + trailers)
seed("protobuf", b"\x40" + b"\x01" + struct.pack(">I", len(gzip.compress(MESSAGES[0], mtime=0))) + gzip.compress(MESSAGES[0], mtime=0))
seed("protobuf", b"\x05" + b'\0\0\0\0\x07{"a":1}')

numbers = random.Random(1)
for choice in range(16):
    segments, at = b"", [0, 0]
    for _ in range(40):
        side = numbers.randrange(2)
        start = at[side] + numbers.choice([0, 0, 0, 0, 50, -30, 120])
        length = numbers.randrange(200)
        at[side] = max(at[side], start + length) & 0xFFF
        what = side | numbers.choice([0, 0, 0, 0, 0xC0, 0x30, 0x0E])
        segments += struct.pack(
            ">BHBHBB", what, max(start, 0) & 0xFFF, length, at[1 - side], numbers.choice([0, 255]), numbers.choice([0, 0, 0, 200])
        )
    seed("reassemble", bytes([choice]) + segments)

sample = HERE.parent / "reports" / "sample" / "exchanges.jsonl"
lines = sample.read_bytes().splitlines(keepends=True) if sample.exists() else []
first = b'{"format":"shadowtap/exchanges","version":1,"created":"2026-01-01T00:00:00Z","tool":"x","inputs":["a"]}\n'
last = b'{"format":"shadowtap/end","exchanges":1,"ledger":{"in":5,"used":3,"rejected":{"arp":2},"noted":{"tcp-gaps":1}}}\n'
one = {
    "id": "12-3", "connection": 12, "client": "10.0.0.9:40112", "server": "[::1]:8080", "protocol": "http/1", "completeness": "complete",
    "request": {"at": "2026-11-22T10:00:00.000123456Z", "duration_ns": 0, "method": "POST", "target": {"base64": "L/8="}, "version": "1.1",
                "headers": [["Host", "h"], ["X", {"base64": "AAEC"}]], "body": {"utf8": "{\"item\": 1 }"}, "body_bytes": 12,
                "framing": "content-length", "trailers": []},
    "response": {"first_byte_ns": 1200345, "last_byte_ns": 1300345, "status": 200, "reason": "OK", "version": "1.1",
                 "headers": [], "body": {"base64": "AAEC"}, "body_bytes": 3, "framing": "chunked", "trailers": [["T", "v"]]},
    "interim": [{"first_byte_ns": 1, "last_byte_ns": 2, "status": 103, "reason": "", "version": "1.1", "headers": [], "body": None,
                 "body_bytes": 0, "framing": "none", "trailers": []}],
    "marks": ["gap"],
}  # fmt: skip
text = json.dumps(one, separators=(",", ":")).encode() + b"\n"
seed("exchanges", first + text + last)
for line in lines[:30]:
    if len(line) <= LARGEST:
        seed("exchanges", first + line)
        seed("framed", b"\x02\x00" + line)
        seed("framed", b"\x02\x02\x00\x50\x01\x00\x18\x03" + line)
seed("framed", b"\x02\x00" + text)
seed("framed", b"\x00" + first + text + last)
seed("framed", b"\x00\x89STX\r\n\x1a\n\x01\x00\x02\x00" + bytes(52))

document = b'{"a":[1,2.50,"caf\\u00e9",null,true],"id":"7f8c1c2e-3d7b-4a57-9d9e-0c8f8a0c1a2b","b":{"c":"2026-11-22T10:00:00Z"}}'
for number, packed in enumerate([gzip.compress(document, mtime=0), zlib.compress(document), b"\x0b\x02\x80hello\x03"]):
    seed("content", bytes([number]) + packed)
seed("content", bytes([1]) + zlib.compress(document)[2:-4])
seed("content", bytes([3]) + bytes.fromhex("28b52ffd0405290000") + b"hello" + bytes.fromhex("7a5a3a9c"))
BODIES = [
    (0, document, document.replace(b"2.50", b"2.5").replace(b'"b"', b'"renamed"')),
    (0, b"[1,2,3,4]", b"[4,1,2,3]"),
    (2, b'{"a":1}\n{"a":2}\n', b'{"a":1}\n{"a":3}\n'),
    (3, b"a=1&b=2&b=3", b"b=2&a=%31&c"),
    (4, b'<?xml version="1.0"?><a x="1"><b>t</b><b/></a>', b"<a x='2'><b>u</b><!-- c --><c/></a>"),
    (5, b"<html><body><p>one</p></body></html>", b"<html><body><p>two</p></body></html>"),
    (6, b"one\ntwo\nthree\n", b"one\n2\nthree\nfour"),
    (8, b"a\nb\nc\nd\n", b"b\na\nc\n"),
    (11, b"\x00\x01", b"\x00\x02"),
]  # fmt: skip
for kind, left, right in BODIES:
    seed("diff", bytes([kind]) + struct.pack(">H", len(left)) + left + right)
SECRET = b"Zq7vP2xK9mLd4TnB8wRj"
HIDDEN = [
    (0, b"/a?token=" + SECRET, b'{"password":"' + SECRET + b'","b":[{"name":"secret","value":"x1y2"}]}'),
    (1, b"/", b'{"a":"' + SECRET + b'"}\n{"email":"a@b.de"}\n'),
    (2, b"/reset/" + SECRET, b"password=hunter2&card=4111+1111+1111+1111"),
    (3, b"/", b"<a password='x'><token>" + SECRET + b"</token></a>"),
    (4, b"/", b"<input type=password value=" + SECRET + b">"),
    (6, b"/e", b"data: {\"access_token\":\"" + SECRET + b"\"}\n\n"),
    (7, b"/u", b"--b\r\nContent-Disposition: form-data; name=password\r\n\r\n" + SECRET + b"\r\n--b--\r\n"),
    (8, b"/a.B/C", b"\0\0\0\0\x16\x0a\x14" + SECRET),
    (9, b"/graphql", b'mutation { login(password: "' + SECRET + b'") { token } }'),
    (11, b"/x", gzip.compress(b'{"password":"' + SECRET + b'"}', mtime=0)),
]  # fmt: skip
for kind, target, body in HIDDEN:
    seed("redact", bytes([kind, len(target)]) + target + body)
for folder in sorted((HERE / "corpus").iterdir()):
    print(f"{folder.name}: {sum(1 for _ in folder.iterdir())} seeds")
