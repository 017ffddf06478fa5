#!/usr/bin/env python3
"""Writes a seeded Poisson trace as exchanges.jsonl: trace.py REQUESTS RATE CONNECTIONS SEED FILE [h1|h2] [ANSWER_US]

Each request has its number in the target (/x?i=N), so that a packet capture of the replay tells which one was when. v1 took ANSWER_US
microseconds for each answer; with h2 requests are streams of HTTP/2, as many at a time as that makes."""
import datetime
import random
import sys

requests, rate, connections, seed, path = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
two = sys.argv[6:7] == ["h2"]
answer = (int(sys.argv[7]) if len(sys.argv) > 7 else 110) * 1000
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
        target = f"/x?i={number}"
        fields = '["Host","bench.invalid"]'
        if two:
            fields = f'[":method","GET"],[":scheme","http"],[":path","{target}"],[":authority","bench.invalid"]'
        version, framing, first = ("2", "frames", '[":status","200"],') if two else ("1.1", "content-length", "")
        out.write(
            '{"id":"%d-%d","connection":%d,"client":"10.0.0.9:%d","server":"10.0.0.1:8080","protocol":"%s",%s'
            '"completeness":"complete","opened_at":"%s","request":{"at":"%s","duration_ns":0,"method":"GET","target":"%s",'
            '"version":"%s","headers":[%s,["user-agent","trace"],["accept","*/*"]],"body":null,"body_bytes":0,'
            '"framing":"none","trailers":[]},"response":{"first_byte_ns":%d,"last_byte_ns":%d,"status":200,"reason":"%s",'
            '"version":"%s","headers":[%s["content-type","text/plain"],["content-length","3"]],"body":{"utf8":"ok\\n"},'
            '"body_bytes":3,"framing":"%s","trailers":[]},"interim":[]}\n'
            % (
                connection, ordinal, connection, 20_000 + connection % 40_000, "http/2" if two else "http/1",
                f'"stream":{2 * ordinal + 1},' if two else "", opened, rfc3339(start + int(now)), target,
                version, fields, answer - min(answer, 10_000), answer, "" if two else "OK", version, first, framing,
            )
        )
    out.write('{"format":"shadowtap/end","exchanges":%d,"ledger":{"in":%d,"used":%d}}\n' % (requests, requests, requests))
