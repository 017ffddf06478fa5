#!/usr/bin/env python3
"""Traces, with services that somebody else instrumented: a Flask shop that calls a provider, both
instrumented by OpenTelemetry for Python, and a collector that reads OTLP with OpenTelemetry's own
messages. Shows that v2's spans stand below the replayed requests, that each leads to its exchange,
that the mock knows the cause of equal calls by `tracestate`, and what traces cost.

    benches/traces.py [--program target/release/shadowtap]
"""

import argparse
import collections
import gzip
import http.server
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PACKAGES = [
    "flask",
    "requests",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-flask",
    "opentelemetry-instrumentation-requests",
]
USERS = 40

SHOP = """
import sys, requests
from flask import Flask, jsonify
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

port, provider, collector = sys.argv[1:]
app = Flask(__name__)
if collector != "none":
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=collector)))
    trace.set_tracer_provider(tracers)
    FlaskInstrumentor().instrument_app(app)
    RequestsInstrumentor().instrument()

@app.get("/carts/<cart>/total")
def total(cart):
    answer = requests.post(provider + "/quote", json={"plan": "monthly"}, headers={"Host": "pay.test"})
    return jsonify(cart=cart, quote=answer.json()["quote"])

app.run(host="127.0.0.1", port=int(port), threaded=True)
"""


def free_port():
    with http.server.socketserver.TCPServer(("127.0.0.1", 0), None) as one:
        return one.server_address[1]


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as OpenTelemetry's own messages have them."""

    protocol_version = "HTTP/1.1"
    spans = []

    def do_POST(self):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            for scope in group.scope_spans:
                Collector.spans += [(named["service.name"], span) for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers equal calls with another number each time."""

    protocol_version = "HTTP/1.1"
    quotes = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Provider.quotes += 1
        body = json.dumps({"quote": f"q-{Provider.quotes}"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def until_up(port):
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/none", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


def expect(what, is_so):
    print(("right  " if is_so else "WRONG  ") + what)
    expect.wrong += not is_so


expect.wrong = 0


def attribute(span, name):
    found = [pair.value for pair in span.attributes if pair.key == name]
    return (found[0].string_value or found[0].int_value) if found else None


def relations(program, folder, python):
    """v1 is captured while each cart asks one after the other; v2 is asked for all at once."""
    shop = folder / "shop.py"
    shop.write_text(SHOP)
    collector, provider, v1, mock, v2 = (
        serve(Collector), serve(Provider), free_port(), free_port(), free_port())
    started = []

    def start(*command, **more):
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, **more))
        return started[-1]

    try:
        start(python, shop, str(v1), f"http://127.0.0.1:{provider}", "none")
        until_up(v1)
        tap = start(program, "capture", "-i", "lo", "--port", str(v1), "--port", str(provider),
                    "-o", folder / "v1.pcap", "--force")
        time.sleep(1.5)
        for cart in range(USERS):
            urllib.request.urlopen(f"http://127.0.0.1:{v1}/carts/{cart}/total").read()
        time.sleep(1)
        tap.terminate()
        tap.wait()
        mocked = start(program, "mock", folder / "v1.pcap", "--listen", f"127.0.0.1:{mock}",
                       "--provider-port", str(provider), "--log", folder / "egress.jsonl")
        url = f"http://127.0.0.1:{collector}/v1/traces"
        start(python, shop, str(v2), f"http://127.0.0.1:{mock}", url)
        until_up(v2)
        time.sleep(0.5)
        Collector.spans.clear()
        subprocess.run(
            [program, "-q", "run", folder / "v1.pcap", "--port", str(v1), "--speed", "max",
             "--target", f"http://127.0.0.1:{v2}", "--traces", f"otlp://127.0.0.1:{collector}",
             "--trace-link", "https://traces.test/{trace_id}", "-o", folder / "run", "--force"],
            check=False)
        time.sleep(1)
        expect("the mock runs", mocked.poll() is None)
    finally:
        for one in started:
            one.terminate()
            one.wait()
    own = [span for name, span in Collector.spans if name == "shadowtap"]
    theirs = [span for name, span in Collector.spans if name != "shadowtap"]
    by_id = {span.span_id: span for span in own}
    expect(f"{len(own)} spans of {USERS} replayed requests", len(own) == USERS)
    served = [span for span in theirs if span.kind == 2]
    below = [span for span in served if span.parent_span_id in by_id
             and by_id[span.parent_span_id].trace_id == span.trace_id]
    expect(f"{len(below)} of {len(served)} spans of v2's server stand below one",
           len(below) == len(served) == USERS)
    outside = [span for span in below
               if not (by_id[span.parent_span_id].start_time_unix_nano <= span.start_time_unix_nano
                       and span.end_time_unix_nano
                       <= by_id[span.parent_span_id].end_time_unix_nano + 2_000_000)]
    expect(f"{len(outside)} of them lie outside of it in time", not outside)
    called = [span for span in theirs if span.kind == 3]
    expect(f"{len(called)} calls of v2 are in the same traces",
           {span.trace_id for span in called} == {span.trace_id for span in own})
    span = own[0]
    shown = subprocess.run([program, "show", folder / "run", f"trace:{span.trace_id.hex()}",
                            "--json"], capture_output=True, text=True, check=True)
    shown = json.loads(shown.stdout)
    expect("a trace leads to its exchange",
           shown["id"] == attribute(span, "shadowtap.exchange")
           and shown["trace_link"] == "https://traces.test/" + span.trace_id.hex())
    outcomes = [json.loads(line) for line in (folder / "run/outcomes.jsonl").open()]
    recorded = {one["id"]: one for one in
                (json.loads(line) for line in (folder / "run/exchanges.jsonl").open())
                if "id" in one}
    equal = sum(one["response"]["body"] == recorded[one["id"]]["response"]["body"]
                for one in outcomes if one.get("response"))
    expect(f"{equal} of {USERS} equal calls got the answer of their own cart", equal == USERS)


def cost(program, folder):
    """CPU of a replay with and without traces, in turns."""
    count = 20_000
    lines = [f"curl http://shop.test/items/{number % 500}" for number in range(count)]
    (folder / "many.sh").write_text("\n".join(lines) + "\n")
    collector = serve(Collector)

    class Fixed(http.server.BaseHTTPRequestHandler):
        pass

    demo = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"]) \
        if nginx(folder) else None
    if demo is None:
        print("skipped: the cost needs nginx")
        return
    port = int((folder / "port").read_text())
    taken = collections.defaultdict(list)
    try:
        until_listening(port)
        for turn in range(5):
            for flags in ([], ["--traces", "header"], ["--traces", f"otlp://127.0.0.1:{collector}"]):
                Collector.spans.clear()
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                ran = subprocess.run(
                    [program, "replay", folder / "many.sh", "--speed", "max", "--bind", "off",
                     "--target", f"http://127.0.0.1:{port}", "-o", folder / "cost", "--force",
                     *flags], capture_output=True, text=True, check=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                name = flags[1].split(":")[0] if flags else "none"
                taken[name].append(after.ru_utime + after.ru_stime
                                   - before.ru_utime - before.ru_stime)
                if name == "otlp" and "not taken" not in ran.stderr:
                    assert len(Collector.spans) == count, len(Collector.spans)
    finally:
        demo.terminate()
        demo.wait()
    base = statistics.median(taken["none"])
    for name, seconds in taken.items():
        print(f"CPU of {count} requests, --traces {name}: {statistics.median(seconds) / base:.2f}")


def nginx(folder):
    if subprocess.run(["sh", "-c", "command -v nginx"], capture_output=True).returncode:
        return False
    port = free_port()
    (folder / "port").write_text(str(port))
    (folder / "nginx.conf").write_text(
        "daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 yes; }} }} }}\n")
    return True


def until_listening(port):
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
            return
        except OSError:
            time.sleep(0.05)


def main():
    flags = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--program", default="target/release/shadowtap")
    program = pathlib.Path(flags.parse_args().program).resolve()
    if not program.exists():
        sys.exit(f"{program} is not built: cargo build --release")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        home = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
        rooms = home / "shadowtap-traces"
        python = rooms / "bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", rooms], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        if pathlib.Path(sys.prefix) != rooms:
            os.execv(python, [python, *sys.argv])
        relations(program, folder, python)
        cost(program, folder)
    sys.exit(1 if expect.wrong else 0)


if __name__ == "__main__":
    main()
