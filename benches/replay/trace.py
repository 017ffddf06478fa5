#!/usr/bin/env python3
"""Writes a seeded Poisson trace as exchanges.jsonl: trace.py REQUESTS RATE CONNECTIONS SEED FILE [OPEN_SECONDS]

Each request has its number in the target (/x?i=N), so that a packet capture of the replay tells which one was when."""
import datetime
import random
import sys

requests, rate, connections, seed, path = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
rng = random.Random(seed)
start = 1_795_341_600_000_000_000


def rfc3339(nanos):
    seconds, rest = divmod(nanos, 10**9)
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + ".%09dZ" % rest


opened = rfc3339(start - 50_000)
ordinals = [0] * connections
now = 0.0
with open(path, "w", buffering=1 << 20) as out:
    out.write('{"format":"shadowtap/exchanges","version":1,"created":"%s","tool":"trace.py","inputs":[]}\n' % rfc3339(start))
    for number in range(requests):
        now += rng.expovariate(rate) * 1e9
        connection = rng.randrange(connections)
        ordinal = ordinals[connection]
        ordinals[connection] += 1
        out.write(
            '{"id":"%d-%d","connection":%d,"client":"10.0.0.9:%d","server":"10.0.0.1:8080","protocol":"http/1",'
            '"completeness":"complete","opened_at":"%s","request":{"at":"%s","duration_ns":0,"method":"GET","target":"/x?i=%d",'
            '"version":"1.1","headers":[["Host","bench.invalid"],["User-Agent","trace"],["Accept","*/*"]],"body":null,"body_bytes":0,'
            '"framing":"none","trailers":[]},"response":{"first_byte_ns":100000,"last_byte_ns":110000,"status":200,"reason":"OK",'
            '"version":"1.1","headers":[["Content-Type","text/plain"],["Content-Length","3"]],"body":{"utf8":"ok\\n"},'
            '"body_bytes":3,"framing":"content-length","trailers":[]},"interim":[]}\n'
            % (connection, ordinal, connection, 20_000 + connection % 40_000, opened, rfc3339(start + int(now)), number)
        )
    out.write('{"format":"shadowtap/end","exchanges":%d,"ledger":{"in":%d,"used":%d}}\n' % (requests, requests, requests))
