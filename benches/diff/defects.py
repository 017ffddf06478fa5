#!/usr/bin/env python3
"""Defects of v2 that look like what varies by itself, and equal versions that vary so: what counts requests, what something took, who
answered, what was drawn. Each is a recording of a hundred different requests without pairs, replayed at a v2 of its own without a
baseline: defects must fail, equal versions must not. Ends with 1 where one does otherwise.

    benches/diff/defects.py [PROGRAM] [NAME...]      # target/release/shadowtap; all cases, or those whose names hold a NAME
"""
import concurrent.futures, datetime, http.server, json, pathlib, random, subprocess, sys, tempfile, threading

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "target/release/shadowtap").resolve())
COUNT, BEGIN = 100, datetime.datetime(2026, 11, 29, 1)
HEX, SMALL = "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz0123456789"


def drawn(dice, letters, length):
    return "".join(dice.choice(letters) for _ in range(length))


def grown(name, v1, v2):
    return name, lambda n, dice: v1(n), lambda n, dice: v2(n)


# (what, member, v1's value, v2's value): values by the request's number and dice of their own.
DEFECTS = [
    *(("one less",) + grown(name, lambda n: 70_000 + n, lambda n: 69_997 + n)
      for name in ("balance", "stock", "order_number", "serial", "request_id", "price_per_view", "version", "position", "port")),
    ("loses a tenth",) + grown("hits", lambda n: 17 + n, lambda n: 17 + n - n // 10),
    ("counts one of five",) + grown("views", lambda n: 17 + 5 * n, lambda n: 17 + n),
    ("stands still",) + grown("hits", lambda n: 17 + n, lambda n: 17),
    ("now and then one more",) + grown("hits", lambda n: 17 + n, lambda n: 17 + n + (n % 5 == 0)),
    ("order in a text",) + grown("message", lambda n: f"Your order #{700 + n} was placed", lambda n: f"Your order #{699 + n} was placed"),
    *(("another row's", name, lambda n, d: d.randrange(120_000, 420_000), lambda n, d: d.randrange(120_000, 420_000))
      for name in ("duration_ms", "trackTimeMillis", "lap_time_ms", "start_time_ms", "max_latency")),
    *(("another setting", "text", lambda n, d, t=text: t % d.randrange(10, 900), lambda n, d, t=text: t % d.randrange(10, 900))
      for text in ("%d ms", "timeout %dms", "Retry after %d seconds", "Ships in %d seconds", "Time: %d s", "all %dms ease")),
    ("a unit lost", "run_time", lambda n, d: f"PT{d.randrange(2, 50)}H", lambda n, d: f"PT{d.randrange(2, 50)}M"),
    *((f"other {length} characters", "code", lambda n, d, k=length: drawn(d, HEX, k), lambda n, d, k=length: drawn(d, HEX, k))
      for length in (4, 5, 6, 7)),
    *(("another host", name, lambda n, d: f"ip-10-0-0-{n % 7}", lambda n, d: f"ip-10-9-0-{n % 7}") for name in ("shard", "primary")),
    ("another model", "model", lambda n, d: "RTX4090Ti", lambda n, d: "RX7900XTX"),
    ("a word for an id", "id", lambda n, d: drawn(d, SMALL, 16), lambda n, d: "undefined" if n % 9 == 0 else drawn(d, SMALL, 16)),
    ("always one id", "id", lambda n, d: drawn(d, SMALL, 16), lambda n, d: "k3j8d72hs81kq0zx"),
    ("another currency", "currency", lambda n, d: "EUR", lambda n, d: "USD" if n % 9 == 0 else "EUR"),
]
EQUAL = [
    *(("counts requests",) + grown(name, lambda n: 1_017 + n, lambda n: 4 + n) for name in ("hits", "requestCount", "visit_count")),
    ("took", "message", lambda n, d: f"done, took {d.randrange(1, 9)}s", lambda n, d: f"done, took {d.randrange(1, 9)}s"),
    ("done in", "message", lambda n, d: f"done in {d.randrange(3, 90)} ms", lambda n, d: f"done in {d.randrange(3, 90)} ms"),
    ("a latency", "latency_ms", lambda n, d: d.randrange(3, 90), lambda n, d: d.randrange(3, 90)),
    ("a temporary name", "file", lambda n, d: f"/tmp/tmp{drawn(d, SMALL, 5)}", lambda n, d: f"/tmp/tmp{drawn(d, SMALL, 5)}"),
    ("a pod", "pod", lambda n, d: "web-7d9c5b8f4-" + d.choice(["x2x9k", "q8vwz"]), lambda n, d: "web-65bd8c6f77-" + d.choice(["j7jhh", "zk2pd"])),
    ("an id", "id", lambda n, d: drawn(d, SMALL, 16), lambda n, d: drawn(d, SMALL, 16)),
]


def recording(path, said):
    written = lambda time: time.isoformat() + ("" if time.microsecond else ".000000") + "000Z"
    lines = [{"format": "shadowtap/exchanges", "version": 1, "created": written(BEGIN), "tool": "defects.py", "inputs": ["v1.pcap"]}]
    for number, (target, body) in enumerate(said):
        lines.append({"id": f"0-{number}", "connection": 0, "client": "10.0.0.9:40112", "server": "10.0.0.1:8080", "protocol": "http/1",
                      "completeness": "complete",
                      "request": {"at": written(BEGIN + datetime.timedelta(milliseconds=200 * number)), "duration_ns": 0, "method": "GET",
                                  "target": target, "version": "1.1", "headers": [["Host", "shop.test"]], "body": None, "body_bytes": 0,
                                  "framing": "none", "trailers": []},
                      "response": {"first_byte_ns": 3_000_000, "last_byte_ns": 3_000_000, "status": 200, "reason": "OK", "version": "1.1",
                                   "headers": [["Content-Type", "application/json"], ["Content-Length", str(len(body))]],
                                   "body": {"utf8": body}, "body_bytes": len(body), "framing": "content-length", "trailers": []},
                      "interim": []})
    lines.append({"format": "shadowtap/end", "exchanges": len(said), "ledger": {"in": len(said), "used": len(said)}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def serve(answers):
    class Answers(http.server.BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", 1 << 16

        def do_GET(self):
            body = answers[self.path].encode()
            self.send_response_only(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def regressions(case):
    """How many differences count against v2."""
    _, member, *values = case
    dice = [random.Random(f"{case[0]} {member} {side}") for side in range(3)]
    targets = [f"/things/{500 + 37 * n % COUNT}?t={drawn(dice[2], SMALL, 12)}" for n in range(COUNT)]
    bodies = [[json.dumps({"name": "fixed", member: values[side](n, dice[side])}) for n in range(COUNT)] for side in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        recording(folder / "v1.jsonl", list(zip(targets, bodies[0])))
        server = serve(dict(zip(targets, bodies[1])))
        ran = subprocess.run([PROGRAM, "-q", "run", "v1.jsonl", "--target", f"http://127.0.0.1:{server.server_port}", "--speed", "max", "-o", "out"],
                             cwd=folder, capture_output=True, text=True, timeout=120)
        server.shutdown()
        server.server_close()
        if ran.returncode not in (0, 1, 5):
            raise SystemExit(ran.stderr)
        clusters = [json.loads(line) for line in (folder / "out/clusters.jsonl").open()]
    return sum(cluster["differences"] for cluster in clusters if cluster["class"] == "regression")


def main():
    asked = lambda case: len(sys.argv) < 3 or any(name in f"{case[0]} {case[1]}" for name in sys.argv[2:])
    cases = [(kind, case) for kind, all_of in (("defect", DEFECTS), ("equal", EQUAL)) for case in all_of if asked(case)]
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (kind, case), count in zip(cases, pool.map(lambda one: regressions(one[1]), cases)):
            is_right = (count > 0) == (kind == "defect")
            wrong += not is_right
            print(f"{'ok   ' if is_right else 'WRONG'} {kind}: {case[0]} ({case[1]}): {count} differences", flush=True)
    print(f"{len(cases)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
