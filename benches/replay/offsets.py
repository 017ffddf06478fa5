#!/usr/bin/env python3
"""Compares a packet capture of a replay with the trace it replays: offsets.py TRACE PCAP|JSONL SPEED

A capture of HTTP/2, whose header fields are compressed, is read as `shadowtap parse` writes it.

The error of a request is the difference between its offset from the first request in the replay and in the trace (by speed).
Prints quantiles of the absolute error, the drift, and what was lost or doubled; ends with 1 where something was."""
import datetime
import json
import re
import struct
import sys

trace, capture, speed = sys.argv[1], sys.argv[2], float(sys.argv[3])


def nanos(text):
    whole, rest = text.rstrip("Z").split(".")
    return int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(rest.ljust(9, "0"))


planned = {}
with open(trace) as lines:
    for line in lines:
        if line.startswith('{"id"'):
            request = json.loads(line)["request"]
            planned[int(request["target"].split("=")[1])] = nanos(request["at"])

sent, doubled = {}, 0


def take(number, when):
    global doubled
    doubled += number in sent
    sent.setdefault(number, when)


def from_records():
    with open(capture) as lines:
        for line in lines:
            request = json.loads(line).get("request")
            if request and request.get("target", "").startswith("/x?i="):
                take(int(request["target"].split("=")[1]), nanos(request["at"]))


def from_packets():
    data = open(capture, "rb").read()
    magic = struct.unpack("<I", data[:4])[0]
    scale = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[magic]
    pattern = re.compile(rb"GET /x\?i=(\d+) ")
    at = 24
    while at + 16 <= len(data):
        seconds, part, kept, _ = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        for match in pattern.finditer(packet):
            take(int(match.group(1)), seconds * 10**9 + part * scale)


from_records() if capture.endswith(".jsonl") else from_packets()
first = min(planned)
lost = len(planned) - len(sent)
errors, points = [], []
for number, when in sent.items():
    wanted = (planned[number] - planned[first]) / speed
    error = (when - sent[first]) - wanted
    errors.append(abs(error))
    points.append((wanted, error))
errors.sort()
mean_x = sum(x for x, _ in points) / len(points)
mean_y = sum(y for _, y in points) / len(points)
spread = sum((x - mean_x) ** 2 for x, _ in points) or 1
slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def quantile(q):
    return errors[min(len(errors) - 1, int(q * len(errors)))] / 1000


print(
    f"p50 {quantile(0.5):.1f} µs, p90 {quantile(0.9):.1f} µs, p99 {quantile(0.99):.1f} µs, p99.9 {quantile(0.999):.1f} µs, "
    f"max {errors[-1] / 1000:.1f} µs, drift {slope * 1e6:+.3f} µs/s, lost {lost}, doubled {doubled}"
)
sys.exit(1 if lost or doubled else 0)
