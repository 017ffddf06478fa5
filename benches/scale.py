#!/usr/bin/env python3
"""What a rate of ingress needs, from what each stage costs on this machine: CPU seconds and bytes per gigabyte of packets.

    benches/scale.py CAPTURE [GIGABYTES_AN_HOUR]

Replays the capture at a server of shards.py on loopback, of which nothing is counted here and nothing is changed.
Uses target/release/shadowtap, or SHADOWTAP.
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile

import shards

PROGRAM = os.environ.get("SHADOWTAP", "target/release/shadowtap")


def cost(*arguments):
    """CPU seconds of a command and its peak memory in MB."""
    process = subprocess.Popen([PROGRAM, *map(str, arguments), "-q"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, arguments))} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    capture = pathlib.Path(sys.argv[1])
    hourly = float(sys.argv[2]) if len(sys.argv) > 2 else 1000.0
    work = pathlib.Path(tempfile.mkdtemp())
    target = shards.serve()
    gigabytes = capture.stat().st_size / 1e9
    try:
        stages = {"parse": cost("parse", capture, "-o", work / "v1.jsonl.zst")}
        stages["replay"] = cost("replay", work / "v1.jsonl.zst", "--target", target, "--speed", "max",
                                "--unsafe-methods", "--allow-captured-server", "--max-connections", shards.CONNECTIONS, "-o", work / "run")
        stages["diff"] = cost("diff", work / "run")
        stages["report"] = cost("report", work / "run")
        stored = (work / "v1.jsonl.zst").stat().st_size / 1e9
        diff = json.loads((work / "run" / "diff.json").read_text())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{gigabytes:.3f} GB of packets, {diff['compared']} exchanges compared")
    print("| stage | CPU s per GB | peak MB | cores for %.0f GB/h |\n|---|---|---|---|" % hourly)
    for name, (used, memory) in stages.items():
        print(f"| {name} | {used / gigabytes:.1f} | {memory:.0f} | {used / gigabytes * hourly / 3600:.1f} |")
    print(f"stored as exchanges (zstd): {stored / gigabytes:.2f} GB per GB of packets")


main()
