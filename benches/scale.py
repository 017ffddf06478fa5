#!/usr/bin/env python3
"""What a rate of ingress needs, from what each stage costs on this machine: CPU seconds and bytes per gigabyte of packets.

    benches/scale.py CAPTURE [GIGABYTES_AN_HOUR]

Replays the capture at `demo serve v1`-like cost (a server of this script's own on loopback), so use a capture of safe requests or expect skips.
Uses target/release/shadowtap, or SHADOWTAP.
"""
import http.server, json, os, pathlib, resource, shutil, subprocess, sys, tempfile, threading

PROGRAM = os.environ.get("SHADOWTAP", "target/release/shadowtap")


class Cheapest(http.server.BaseHTTPRequestHandler):
    """Answers everything with nothing: what is measured is the replayer."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_OPTIONS = do_GET

    def log_message(self, *_):
        pass


def cost(*arguments):
    """CPU seconds of a command and its peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([PROGRAM, *map(str, arguments), "-q"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, after.ru_maxrss / 1024


def main():
    capture = pathlib.Path(sys.argv[1])
    hourly = float(sys.argv[2]) if len(sys.argv) > 2 else 1000.0
    work = pathlib.Path(tempfile.mkdtemp())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cheapest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = f"http://127.0.0.1:{server.server_port}"
    gigabytes = capture.stat().st_size / 1e9
    try:
        stages = {"parse": cost("parse", capture, "-o", work / "v1.jsonl.zst")}
        stages["replay"] = cost("replay", work / "v1.jsonl.zst", "--target", target, "--speed", "max",
                                "--allow-captured-server", "-o", work / "run")
        stages["diff"] = cost("diff", work / "run")
        stages["report"] = cost("report", work / "run")
        stored = (work / "v1.jsonl.zst").stat().st_size / 1e9
        diff = json.loads((work / "run" / "diff.json").read_text())
    finally:
        server.shutdown()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{gigabytes:.3f} GB of packets, {diff['compared']} exchanges compared")
    print("| stage | CPU s per GB | peak MB | cores for %.0f GB/h |\n|---|---|---|---|" % hourly)
    for name, (used, memory) in stages.items():
        print(f"| {name} | {used / gigabytes:.1f} | {memory:.0f} | {used / gigabytes * hourly / 3600:.1f} |")
    print(f"stored as exchanges (zstd): {stored / gigabytes:.2f} GB per GB of packets")


main()
