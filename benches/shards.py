#!/usr/bin/env python3
"""A replay cut into shards that run side by side, held against the one that was not: same differences, and what each costs.

    benches/shards.py [COPIES] [SHARDS]      # 1000 copies of captures/demo.pcap are two million exchanges; 8 shards

Every shard reads the capture and sends its own lanes as fast as it may to a server on loopback, which answers by the path alone.
Merged, the shards' differences, clusters and mismatches must be those of the single run, to the byte. Then what a shard without any
lane costs: reading and planning alone, with flows that each shard looks for by itself, and with those that one shares (--flows).
Uses target/release/shadowtap, or SHADOWTAP.
"""
import asyncio, json, os, pathlib, resource, shutil, struct, subprocess, sys, tempfile, threading, zlib

PROGRAM = os.environ.get("SHADOWTAP", "target/release/shadowtap")
CAPTURE = pathlib.Path(__file__).resolve().parent.parent / "captures" / "demo.pcap"
CONNECTIONS = 512
SAME = ["differences.jsonl", "clusters.jsonl", "mismatches.csv", "noise.jsonl", "diff.json"]


def cloned(copies, path):
    """The capture again and again: each copy at addresses and a time of its own."""
    data = CAPTURE.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    linked = struct.unpack(order + "I", data[20:24])[0] & 0xffff
    ip_at = {1: 14, 101: 0, 113: 16, 276: 20}[linked]
    packets, at = [], 24
    while at + 16 <= len(data):
        seconds, part, length, whole = struct.unpack(order + "4I", data[at:at + 16])
        packets.append((seconds, part, length, whole, data[at + 16:at + 16 + length]))
        at += 16 + length
    span = packets[-1][0] - packets[0][0] + 2
    with open(path, "wb") as out:
        out.write(data[:24])
        for copy in range(copies):
            own = bytes([127, 1 + copy // 250, 1 + copy % 250, 1])
            for seconds, part, length, whole, frame in packets:
                frame = bytearray(frame)
                frame[ip_at + 12:ip_at + 16] = own
                frame[ip_at + 16:ip_at + 20] = own
                out.write(struct.pack(order + "4I", seconds + copy * span, part, length, whole) + frame)


class Answers(asyncio.Protocol):
    """Answers by the path alone, so that what was answered says nothing of when or by whom."""

    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end]
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                           if line.lower().startswith(b"content-length:")), 0)
            if len(self.held) < end + 4 + length:
                return
            self.held = self.held[end + 4 + length:]
            path = head.split(b" ", 2)[1]
            body = b'{"path":"%d"}' % (zlib.crc32(path) % 7)
            status = b"404 Not Found" if zlib.crc32(path) % 11 == 0 else b"200 OK"
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                                 % (status, len(body), body))


def serve():
    # A connection for each lane that is under way.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(Answers, "127.0.0.1", 0, backlog=4096))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def started(*arguments):
    return subprocess.Popen([PROGRAM, *map(str, arguments), "-q"], stdout=subprocess.DEVNULL)


def ended(process):
    """CPU seconds and peak memory in MB."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{process.args} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def without_lanes(replay, work):
    """CPU seconds and memory of a shard that no lane falls into: with nothing bound, with flows of its own, with shared ones."""
    flows = ["--flows", work / "flows"]
    ways = [("nothing bound", ["--bind", "off"], 2), ("flows that it finds", [], 2),
            ("flows that it finds and shares", flows, 1), ("flows that another one shares", flows, 2)]
    for name, more, shard in ways:
        empty = ["--shard", f"{shard}/1000000", "-o", work / "empty", "--force"]
        yield f"a shard without any lane: {name}", *ended(started(*replay, *more, *empty))


def main():
    copies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    shards = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    work = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))
    try:
        cloned(copies, work / "v1.pcap")
        target = serve()
        replay = ["replay", work / "v1.pcap", "--target", target, "--speed", "max", "--host", "shop.example",
                  "--unsafe-methods", "--allow-captured-server", "--timeout", "5m"]
        unbound = [*replay, "--bind", "off"]
        # Both ways with as many connections, and no more than the server here may have.
        most = lambda count: ["--max-connections", CONNECTIONS // count]
        rows = [("single run", *ended(started(*unbound, *most(1), "-o", work / "whole")))]
        running = [started(*unbound, *most(shards), "-o", work / f"part{n}", "--shard", f"{n}/{shards}")
                   for n in range(1, shards + 1)]
        rows += [(f"shard {n} of {shards}", *ended(process)) for n, process in enumerate(running, 1)]
        parts = [work / f"part{n}" for n in range(1, shards + 1)]
        rows.append(("merge", *ended(started("merge", *parts, "-o", work / "merged"))))
        rows.append(("diff of the single run", *ended(started("diff", work / "whole", "--show-secrets"))))
        rows.append(("diff of the merged run", *ended(started("diff", work / "merged", "--show-secrets"))))
        rows += without_lanes(replay, work)
        compared = json.loads((work / "whole" / "diff.json").read_text())["compared"]
        print(f"{(work / 'v1.pcap').stat().st_size} bytes of packets, {compared} exchanges compared\n\n| | CPU s | peak MB |\n|---|---|---|")
        for name, used, memory in rows:
            print(f"| {name} | {used:.1f} | {memory:.0f} |")
        other = [name for name in SAME if (work / "whole" / name).read_bytes() != (work / "merged" / name).read_bytes()]
        lines = sum(1 for _ in open(work / "whole" / "differences.jsonl", "rb"))
        if other or not lines:
            sys.exit(f"not the same: {', '.join(other) or 'nothing differs, so nothing is shown'}")
        print(f"\n{lines} differences, the same in both: {', '.join(SAME)}")
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
