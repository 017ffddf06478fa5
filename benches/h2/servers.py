#!/usr/bin/env python3
"""Captures real clients of HTTP/2, gRPC and WebSockets at real servers, and replays each capture at the server that served it.

    servers.py SHADOWTAP [--list] [--keep FOLDER] [--speed 1,max] [NAME-PART ...]

Root (for tcpdump, in a network namespace of its own). The servers are those of ../protocols, and its answers follow from their requests: whatever
differs is wrong, as is a request that was made and is not in the recording, or one that was not replayed and whose client had not left it. Servers that
are not installed are left out and named; ../protocols/README.md says what has them. Ends with 1 where anything is wrong."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "protocols"))
import conversations as of  # noqa: E402
import peers  # noqa: E402
from conversations import BACK, H1, H1S, PORT  # noqa: E402

SERVERS = []


def server(called):
    def add(function):
        function.called = called
        SERVERS.append(function)
        return function
    return add


# Clients. Each adds how many requests it made.

def asking(t, url, *steps):
    of.node_has()
    log = ["--tls-keylog=" + str(t.keys)] if url.startswith("https") else []
    t.made += int(t.call("node", *log, HERE / "asking.mjs", url, *steps, keys=False))


def curl(t, url, *asked):
    """One after another, each by a curl of its own: flags and target."""
    spoken = "--http2" if url.startswith("https") else "--http2-prior-knowledge"
    for *flags, target in asked:
        t.call("curl", "-sk", spoken, "-o", t.path("out"), *flags, url + target, codes=None)
        t.made += 1


def all_of_curl(t, url):
    t.path("up", "so it goes " * 20_000)
    curl(t, url, ["/o/10"], ["/o/90000"], ["-I", "/o/70"], ["-X", "DELETE", "/o/5"], ["-T", t.path("up"), "/o/6"],
         ["-H", "expect: 100-continue", "-d", "@" + t.path("up"), "/o/7"], ["-d", "a=b&c=%C3%BC", "-H", "te: trailers", "/o/7?trailers"],
         ["--compressed", "/o/4000?gzip"], ["-H", "range: bytes=1-9", "/f/300"], ["/f/70000"], ["-u", "me:secret", "-b", "a=1; b=2", "/o/9"],
         # It leaves in the middle of the answer, and takes its connection along.
         ["-m", "0.1", "/o/100000?pieces=60"], ["/o/300?status=404"], ["/o/0?status=204"])
    if url.startswith("https"):
        # curl 7.88 fails where it asks again on a connection in clear text.
        t.call("curl", "-sk", "--http2", "-Z", "--parallel-max", "5", "-o", t.path("out#1"), url + "/o/[1-20]?z", codes=None)
        t.made += 20


def nghttp(t, url, *targets):
    t.call("nghttp", "-n", "--no-verify-peer", *[url + target for target in targets], keys=True)
    t.path("small", "small")
    t.call("nghttp", "-n", "--no-verify-peer", "-d", t.path("small"), "--trailer", "x-t: v", url + targets[0])
    t.call("nghttp", "-n", "--no-verify-peer", "--no-push", "-w", "12", "-W", "13", "-p", "7", "-b", "9", url + targets[-1])
    t.made += len(targets) + 2


def h2load(t, url, *targets):
    t.call("h2load", "-n", "120", "-c", "3", "-m", "10", *[url + target for target in targets])
    t.made += 120


def go(t, url, *targets):
    t.call(of.go_program(t, "oracle", *clear()), "call", url, *targets)
    t.made += len(targets)


def clear():
    return [HERE / "clear.go"] if os.path.isdir("/usr/share/gocode/src/golang.org/x/net/http2/h2c") else []


OWN = ["/o/10", "/o/2000?a", "/o/70000?b", "/o/100?body=3000", "/o/5?body=200000", "/o/30?status=404", "/o/4000?pieces=4", "/o/500?trailers"]


def all_clients(t, url, tells=True):
    """`tells`: the server tells its keys, or there are none. nghttp does not."""
    peers.need("curl", "nghttp", "h2load")
    asking(t, url)
    all_of_curl(t, url)
    if tells:
        nghttp(t, url, "/o/3000?interim", "/o/70000", "/f/300")
    h2load(t, url, "/o/1000", "/f/10", "/o/20?pieces=2", "/f/none")
    if url.startswith("https") and shutil.which("go"):
        go(t, url, *OWN)


# Servers of HTTP/2: files below /f/, the oracle of Node below /o/.

def back(t):
    """The oracle, and files that are named as those that it has."""
    of.node(t, "h1", port=BACK)
    for target in peers.FILES:
        name = target.replace("/o/", "/f/")
        t.path("www" + name, peers.content(name, int(name.split("/")[2])).decode())
        os.utime(t.path("www" + name), (1_000_000_000, 1_000_000_000))


def nginx(t, tls, version="TLSv1.3", more=""):
    cert, key = of.certificates(t)
    back(t)
    sealed = f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols {version};" if tls else ""
    of.nginx(t, "ssl http2" if tls else "http2", f"root {of.files(t)}; {sealed} {more} "
             f"location /o/ {{ proxy_http_version 1.1; proxy_pass http://127.0.0.1:{BACK}; }}")
    return H1S if tls else H1


def apache(t, tls, more=""):
    cert, key = of.certificates(t)
    back(t)
    sealed = f"SSLEngine on\nSSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n" if tls else ""
    spoken = "h2" if tls else "h2c"
    of.apache(t, f"Protocols {spoken} http/1.1\n{sealed}ProxyPass /o/ http://127.0.0.1:{BACK}/o/\n{more}")
    return H1S if tls else H1


def h2o(t, tls):
    back(t)
    of.h2o(t, tls, f"      /o/:\n        proxy.reverse.url: http://127.0.0.1:{BACK}/o/\n        proxy.preserve-host: ON\n")
    return H1S if tls else H1


def node(t, tls):
    of.node(t, "h2s" if tls else "h2")
    return H1S if tls else H1


def go_server(t, tls):
    peers.need("go")
    if not tls and not clear():
        raise peers.Missing("h2c of Go")
    t.serve(of.go_program(t, "oracle", *clear()), "serve", PORT, *(of.certificates(t) if tls else ()))
    return H1S if tls else H1


for made, name in ((nginx, "nginx"), (apache, "Apache"), (h2o, "h2o"), (node, "Node"), (go_server, "Go")):
    for tls in (False, True):
        def add(made=made, tls=tls, name=name):
            @server(f"{name}, {'TLS' if tls else 'h2c'}")
            def all_at(t):
                all_clients(t, made(t, tls), not tls or made in (node, go_server))
        add()


@server("nginx, TLS 1.2")
def nginx_tls12(t):
    url = nginx(t, True, "TLSv1.2")
    asking(t, url)
    all_of_curl(t, url)


@server("nginx, GOAWAY behind seven requests")
def nginx_leaves(t):
    url = nginx(t, True, more="keepalive_requests 7;")
    t.call("curl", "-sk", "--http2", "-o", t.path("out#1"), url + "/o/[1-40]?z", codes=None)
    t.made += 40
    go(t, url, *[f"/o/{at}?g" for at in range(30)])


@server("Apache, GOAWAY behind seven requests")
def apache_leaves(t):
    url = apache(t, True, "KeepAlive On\nMaxKeepAliveRequests 7\nH2MaxSessionStreams 20\nKeepAliveTimeout 1")
    t.call("curl", "-sk", "--http2", "-o", t.path("out#1"), url + "/o/[1-40]?z", codes=None)
    t.made += 40
    go(t, url, *[f"/o/{at}?g" for at in range(30)])
    curl(t, url, ["/o/5", "--next", "-sk", "--http2", "-o", t.path("out2"), "--rate", "1/s", url + "/o/6"][:1])


# Calls of gRPC.

def calls(t, client, target, cert=None):
    client(t, target, cert)
    t.made += sum(of.CALLS.values())


CALLERS = (("grpcio", of.python_calls("sync")), ("grpcio aio", of.python_calls("aio")), ("grpcio, gzip", of.python_calls("sync", "gzip")),
           ("grpc-js", of.js_calls), ("grpc-js, gzip", lambda t, target, cert=None: of.js_calls(t, target, cert, {"GZIP": "1"})),
           ("grpc-go", of.go_calls))


def served_by_python(t, cert, key):
    of.python_has("grpc")
    t.serve(of.PY, of.HERE / "calls.py", "serve", PORT, *([cert, key] if cert else []), keys=False)


def served_by_js(t, cert, key):
    of.js_server(t, bool(cert))


def served_by_go(t, cert, key):
    t.serve(of.go_program(t, "calls"), "serve", PORT, *([cert, key] if cert else []), keys=bool(cert))


for name, serves, ways in (("grpcio", served_by_python, (False,)), ("grpc-js", served_by_js, (False, True)), ("grpc-go", served_by_go, (True,))):
    for tls in ways:
        for called, caller in CALLERS:
            def add(name=name, serves=serves, tls=tls, called=called, caller=caller):
                @server(f"{called} at {name}, {'TLS' if tls else 'h2c'}")
                def call_at(t):
                    pair = of.certificates(t) if tls else (None, None)
                    serves(t, *pair)
                    calls(t, caller, f"127.0.0.1:{PORT}", pair[0])
            add()


# WebSockets over HTTP/1.

for one in peers.PEERS:
    if one.called in ("websockets, aiohttp, ws, server ws", "websockets, aiohttp, ws, server ws TLS", "websockets, aiohttp, server websockets",
                      "websockets, aiohttp, server aiohttp", "websockets, aiohttp, uvicorn", "websockets, aiohttp, Hypercorn"):
        def add(one=one):
            @server("WebSockets: " + one.called)
            def play(t):
                one(t)
                t.made += sum(times for (kind, _), times in t.expected.items())
        add()


# The trial.

def records(name, key):
    lines = (json.loads(line) for line in name.read_text().splitlines())
    return [line for line in lines if key in line]


def left_by_its_client(record):
    """Whether the client itself ended it before it was whole: by a reset, a deadline, or by leaving."""
    return record["completeness"] != "complete"


def wrong_run(t, wanted):
    """What is wrong with a run besides differences, and how it went."""
    run = t.folder / "run"
    known = {one["id"]: one for one in records(run / "exchanges.jsonl", "id")}
    outcomes = records(run / "outcomes.jsonl", "id")
    # What a proxy asked its backend, and what an upgrade was answered with, are no requests of a client.
    asked = [one for one in known.values() if one["request"] and one["server"].endswith(f":{PORT}")]
    wrong = [] if len(asked) >= wanted else [f"{wanted} requests were made and {len(asked)} are in the recording"]
    failed, answered = [], 0
    for one in outcomes:
        failure = one.get("failure")
        if not failure:
            answered += 1
        elif not left_by_its_client(known[one["id"].partition("@")[0]]) and "pushed by the server" not in failure["detail"]:
            failed.append(f"{one['id']}: {failure['kind']}: {failure.get('detail')}")
    wrong += [f"{one['id']} was answered with 502" for one in asked if one["response"] and one["response"]["status"] == 502]
    left = sum(1 for one in asked if left_by_its_client(one))
    return wrong + failed, f"{len(asked)} requests, {left} left by their clients, {answered} answered"


def trial(one, program, folder, speeds):
    folder.mkdir(parents=True)
    t = peers.Trial(folder)
    t.made = 0
    tap = peers.Tap(folder)
    rows = []
    try:
        one(t)
        time.sleep(1.3)
        tap.end()
        if tap.lost():
            raise RuntimeError(f"tcpdump lost {tap.lost()} packets: try again when the machine is less busy")
        for speed in speeds:
            differs = peers.replayed(program, t, tap.capture, speed)
            wrong, how = wrong_run(t, t.made)
            rows.append((speed, how, differs + wrong))
            shutil.rmtree(folder / f"run-{speed}", ignore_errors=True)
            (folder / "run").rename(folder / f"run-{speed}")
    finally:
        t.end()
        tap.end(kill=True)
    return rows


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("shadowtap")
    options.add_argument("names", nargs="*")
    options.add_argument("--list", action="store_true")
    options.add_argument("--keep")
    options.add_argument("--speed", default="1,max")
    told = options.parse_intermixed_args()
    chosen = [one for one in SERVERS if not told.names or any(part in one.called for part in told.names)]
    if told.list:
        print("\n".join(one.called for one in chosen))
        return 0
    peers.go_inside()
    program = shutil.which(told.shadowtap) or str(pathlib.Path(told.shadowtap).resolve())
    keep = pathlib.Path(told.keep or f"/tmp/servers.{os.getpid()}").resolve()
    keep.mkdir(parents=True, exist_ok=True)
    keep.chmod(0o755)
    failed = False
    for one in chosen:
        folder = keep / re.sub(r"[^A-Za-z0-9]+", "-", one.called)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            rows = trial(one, program, folder, told.speed.split(","))
        except peers.Missing as error:
            print(f"{one.called}: not tried: no {error}", flush=True)
            continue
        except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            failed = True
            print(f"{one.called}: failed: {type(error).__name__}: {error}", flush=True)
            continue
        for speed, how, wrong in rows:
            failed |= bool(wrong)
            print(f"{one.called}: speed {speed}: {how}, {len(wrong)} wrong", flush=True)
            for line in wrong[:8]:
                print("    " + line[:400])
        if not told.keep and not any(wrong for *_, wrong in rows):
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
