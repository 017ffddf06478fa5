#!/usr/bin/env python3
"""Lets real clients and servers talk, captures them, and holds what `shadowtap parse` makes of it against what they say themselves.

    peers.py SHADOWTAP [--list] [--keep FOLDER] [--cuts N] [--replay] [NAME-PART ...]

Root (for tcpdump, in a network namespace of its own). Peers that are not installed are left out and named. A row tells: exchanges expected,
right, wrong; how many of those that begin behind a cut are there when the capture begins there (`joined`), and that none of the cut
captures, or of those that miss packets, has a wrong one (`false`). With --replay each capture is replayed at the server that served it;
what differs is wrong. Ends with 1 where anything is wrong."""
import argparse
import base64
import collections
import gzip
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
import zlib

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from sockets import said  # noqa: E402

PEERS = []
PORT, BACK = 9443, 9444
TARGETS = [
    "/o/0?empty", "/o/10", "/o/2000?a=b", "/o/70000?large", "/o/100?body=3000", "/o/5?body=200000", "/o/30?status=404",
    "/o/200?status=500&body=10", "/o/4000?pieces=4", "/o/10", "/o/11?%C3%BC=%20", "/o/1500?pieces=3&body=1",
] + [f"/o/{at * 37}?n={at}" for at in range(12)]
FILES = ["/o/10", "/o/2000", "/o/70000", "/o/1", "/o/300"]


class Missing(Exception):
    """A peer that is not installed."""


def sha(octets):
    return hashlib.sha256(octets).hexdigest()


def content(target, length):
    return (sha(target.encode("latin-1")) * (length // 64 + 1))[:length].encode()


def need(*programs):
    for name in programs:
        if not shutil.which(name):
            raise Missing(name)


def python_has(*modules):
    for name in modules:
        if subprocess.run([sys.executable, "-c", "import " + name], capture_output=True).returncode:
            raise Missing("Python's " + name)


def node_has(*modules):
    need("node")
    for name in modules:
        if not (modules_of_node() / name).is_dir():
            raise Missing("npm's " + name)


def modules_of_node():
    return pathlib.Path(os.environ.get("NODE_MODULES", HERE / "node_modules"))


class Trial:
    """A capture under way: its folder, its processes, and what must come out."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.keys = folder / "keys.txt"
        self.env = dict(os.environ, SSLKEYLOGFILE=str(self.keys), PYTHONDONTWRITEBYTECODE="1")
        self.expected = collections.Counter()

    def path(self, name, text=None):
        if text is not None:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        return str(self.folder / name)

    def serve(self, *command, port=PORT, keys=True, env=(), cwd=None, settle=0.0):
        need(command[0])
        log = open(self.folder / "server.log", "ab")
        settings = dict(self.env, **dict(env))
        if not keys:
            settings.pop("SSLKEYLOGFILE", None)
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=log, stderr=log, env=settings,
                                   cwd=cwd or self.folder, start_new_session=True)
        self.processes.append(process)
        for _ in range(200):
            if listens(port):
                break
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: " + (self.folder / "server.log").read_text()[-300:])
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{command[0]} does not listen")
        time.sleep(settle)
        return process

    def call(self, *command, keys=True, env=(), stdin=b"", codes=(0,), cwd=None, timeout=60):
        need(command[0])
        settings = dict(self.env, **dict(env))
        if not keys:
            settings.pop("SSLKEYLOGFILE", None)
        done = subprocess.run([str(part) for part in command], env=settings, input=stdin, capture_output=True, timeout=timeout,
                              cwd=cwd or self.folder)
        if codes and done.returncode not in codes:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]!r} {done.stdout[-200:]!r}")
        return done.stdout

    def expect(self, targets, kind="http", times=1):
        for target in targets:
            self.expected[kind, target] += times

    def end(self):
        for process in self.processes:
            for stop in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, stop)
                    process.wait(3)
                    break
                except subprocess.TimeoutExpired:
                    continue
                except ProcessLookupError:
                    process.wait()
                    break


def listens(port):
    """Whether somebody listens; asked without a connection, which the capture would hold."""
    wanted = f"{port:04X}"
    for name in ("tcp", "tcp6"):
        for line in pathlib.Path("/proc/net/" + name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(":" + wanted) and fields[3] == "0A":
                return True
    return False


# What a record must be.

def octets(value):
    if value is None:
        return None
    if isinstance(value, dict):
        return base64.b64decode(value["base64"]) if "base64" in value else value["utf8"].encode()
    return value.encode()


def fields(pairs):
    return [(octets(name), octets(value)) for name, value in pairs or []]


def one(pairs, name):
    return next((value for known, value in pairs if known is not None and known.lower() == name), None)


def proxied(record):
    """Whether the oracle stood behind somebody else, who may ask otherwise."""
    return (one(fields(record["response"]["headers"]), b"x-port") or b"").decode() != record["server"].rsplit(":", 1)[1]


def wish(target):
    url = urllib.parse.urlsplit(target)
    query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
    return url.path, query


def wrong_http(record):
    request, response = record["request"], record["response"]
    method, target = octets(request["method"]).decode("latin-1"), octets(request["target"]).decode("latin-1")
    path, query = wish(target)
    if path.startswith("http:"):
        path = urllib.parse.urlsplit(path).path
    length = int(path.split("/")[2]) if path.startswith("/o/") else None
    asked, got = octets(request["body"]) or b"", octets(response["body"]) or b""
    heads, told = fields(response["headers"]), fields(request["headers"])
    if response["status"] != int(query.get("status", 200)) and response["status"] != 101:
        return f"status {response['status']}"
    if asked != content(target, int(query.get("body", 0))):
        return f"request of {len(asked)} octets"
    coding = one(heads, b"content-encoding")
    if coding == b"gzip":
        got = gzip.decompress(got)
    if length is not None and method != "HEAD" and got != content(target, length):
        return f"answer of {len(got)} octets"
    heard = one(heads, b"x-got")
    if heard is not None and heard.decode("latin-1") != f"{method} {target} {len(asked)} {sha(asked)}":
        return f"the server got {heard!r}"
    heard = one(heads, b"x-fields")
    if heard and not proxied(record):
        lines = b"".join(name.lower() + b": " + value + b"\n" for name, value in told)
        if sha(lines).encode() != heard:
            return f"the server got other fields than {told}"
    if "trailers" in query and one(fields(response["trailers"]), b"x-sum") != sha(got).encode():
        return f"trailers {response['trailers']}"
    if "interim" in query and [one["status"] for one in record["interim"]] != [103]:
        return f"interim {record['interim']}"
    return None


def messages(body, coding):
    found, at = [], 0
    while at + 5 <= len(body):
        length = struct.unpack(">I", body[at + 1:at + 5])[0]
        message = body[at + 5:at + 5 + length]
        if len(message) < length:
            break
        if body[at] & 1:
            message = zlib.decompress(message, 47 if coding == b"gzip" else 15)
        found.append(message)
        at += 5 + length
    return found


def wrong_grpc(record):
    request, response = record["request"], record["response"]
    target = octets(request["target"]).decode()
    name = target.rsplit("/", 1)[1]
    told, heads, ends = fields(request["headers"]), fields(response["headers"]), fields(response["trailers"])
    asked = messages(octets(request["body"]) or b"", one(told, b"grpc-encoding"))
    got = messages(octets(response["body"]) or b"", one(heads, b"grpc-encoding"))
    status = one(ends, b"grpc-status") or one(heads, b"grpc-status")
    if name == "Endless":
        return None if got == [b"m%d" % at for at in range(len(got))] and len(got) >= 4 else f"messages {got}"
    if name == "Slow":
        return None if one(told, b"grpc-timeout") and got == [] else f"messages {got}"
    if name == "Fail":
        why = urllib.parse.unquote_to_bytes(one(ends, b"grpc-message") or one(heads, b"grpc-message") or b"")
        return None if (status, why.decode()) == (b"5", "nothing of 100 % \u00fc") else f"status {status} {why}"
    if status != b"0":
        return f"status {status}"
    if one(ends, b"x-got") != sha(b"".join(asked)).encode() or one(ends, b"x-said") != sha(b"".join(got)).encode():
        return f"{len(asked)} messages and {len(got)}: {ends}"
    raw = one(ends, b"x-raw-bin")
    # C cores say it to each other as it is, behind a NUL (gRFC G1).
    if raw not in (bytes(range(256)), b"\0" + bytes(range(256))) and base64.b64decode(raw + b"==") != bytes(range(256)):
        return f"metadata {raw}"
    return None


def wrong_socket(record):
    wanted = [("text", message.encode()) if isinstance(message, str) else ("binary", message) for message in said()]
    for side in ("client", "server"):
        heard = [(one["type"], octets(one["data"]) or b"") for one in record.get("messages") or [] if one["from"] == side]
        if [one for one in heard if one[0] in ("text", "binary")] != wanted:
            return f"{len(heard)} messages of the {side}"
    return None


def kind_of(record):
    request, response = record["request"], record["response"]
    told = fields(request["headers"])
    if response["status"] == 101 and b"websocket" in (one(told, b"upgrade") or b"").lower() or one(told, b":protocol"):
        return "socket"
    return "grpc" if (one(told, b"content-type") or b"").startswith(b"application/grpc") else "http"


WRONG = {"http": wrong_http, "grpc": wrong_grpc, "socket": wrong_socket}


def judge(record):
    """(kind, target, what is wrong) of a complete record."""
    kind = kind_of(record)
    try:
        wrong = WRONG[kind](record)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    return kind, octets(record["request"]["target"]).decode("latin-1"), wrong


# Captures.

def packets(name):
    data = pathlib.Path(name).read_bytes()
    head, at, found = data[:24], 24, []
    while at + 16 <= len(data):
        length = struct.unpack("<I", data[at + 8:at + 12])[0]
        found.append(data[at:at + 16 + length])
        at += 16 + length
    return head, found


def parse(program, name, keys):
    told = ["--keylog", str(keys)] if keys.exists() else []
    done = subprocess.run([program, "parse", str(name), "-o", "-", *told], capture_output=True, timeout=120)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"parse ended with {done.returncode}: {done.stderr.decode()[-300:]}")
    lines = (json.loads(line) for line in done.stdout.splitlines())
    return [line for line in lines if "id" in line], done.stderr.decode()


def begins(record):
    moment = record["request"]["at"] if record["request"] else None
    return moment and int(time.mktime(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 10**9 + int(moment[20:-1])


def whole(record):
    return record["completeness"] == "complete"


def replayed(program, made, capture, speed="max"):
    """What differs where the capture is replayed at the server that served it."""
    keys = ["--keylog", str(made.keys)] if made.keys.exists() else []
    # Python's begins with a comment, whether there is a key or not.
    sealed = made.keys.exists() and b"CLIENT_" in made.keys.read_bytes()
    target = f"{'https' if sealed else 'http'}://127.0.0.1:{PORT}"
    command = [program, "run", capture, *keys, "--port", PORT, "--target", target, "--insecure", "--allow-captured-server", "--unsafe-methods",
               "--speed", speed, "--no-marker", "-o", made.folder / "run", "--force"]
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=120, cwd=made.folder)
    # Too few samples for a verdict on latency end with 5.
    if done.returncode not in (0, 1, 5):
        return [f"run ended with {done.returncode}: {done.stderr.decode()[-300:]}"]
    rows = (made.folder / "run" / "mismatches.csv").read_text().splitlines()[1:]
    return ["differs: " + row for row in rows] + not_played(made.folder / "run")


def not_played(run):
    """What is wrong with the WebSockets that HTTP/1 opened: each is played, and each message of v2 is heard."""
    opened = {}
    for line in (run / "exchanges.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record.get("messages") and record["response"]["status"] == 101:
            opened[record["id"]] = sum(1 for one in record["messages"] if one["from"] == "server" and one["type"] in ("text", "binary"))
    heard = {}
    for line in (run / "outcomes.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record.get("id") in opened:
            heard[record["id"]] = sum(1 for one in record.get("messages") or [] if one["type"] in ("text", "binary"))
    return [f"{name}: {heard.get(name)} messages of {count} heard" for name, count in opened.items() if heard.get(name) != count]


def trial(peer, program, folder, cuts, replay):
    """Runs one: how many are expected, how many are right, what is wrong; of those behind cuts how many there are and were; what is false."""
    folder.mkdir(parents=True)
    made = Trial(folder)
    tap = Tap(folder)
    capture = tap.capture
    try:
        peer(made)
        time.sleep(1.3)
        tap.end()
        differs = replayed(program, made, capture) if replay and peer.steady else []
    finally:
        made.end()
        tap.end(kill=True)
    records, ledger = parse(program, capture, made.keys)
    (folder / "ledger.txt").write_text(ledger)
    left, wrong, right = collections.Counter(made.expected), [], 0
    for record in records:
        if not record["request"] or not record["response"]:
            if record["request"] and octets(record["request"]["target"]).decode("latin-1").endswith("/Slow"):
                left["grpc", "/t.T/Slow"] -= 1
                right += 1
                continue
            wrong.append(f"{record['id']} is {record['completeness']}: {record.get('marks')}")
            continue
        if record["response"]["status"] == 101 and kind_of(record) != "socket":
            continue  # The answer to an Upgrade stands in an exchange of its own.
        kind, target, why = judge(record)
        if target == "/favicon.ico":
            continue
        if not whole(record) and not (kind == "grpc" and target.rsplit("/", 1)[1] in ("Slow", "Endless")):
            why = f"{record['completeness']}: {record.get('marks')}"
        if why:
            wrong.append(f"{record['id']} {target}: {why}")
        elif left[kind, target] > 0:
            left[kind, target] -= 1
            right += 1
        else:
            wrong.append(f"{record['id']} {kind} {target}: not expected")
    wrong += [f"{kind} {target} is missing {times} times" for (kind, target), times in left.items() if times > 0]
    joined, false = [0, 0], []
    head, heard = packets(capture)
    seeded = random.Random(peer.__name__)
    for number in range(cuts):
        at = len(heard) * (number + 1) // (cuts + 1)
        cut = folder / "cut.pcap"
        cut.write_bytes(head + b"".join(heard[at:]))
        seconds, micros = struct.unpack("<II", heard[at][:8])
        from_ns = seconds * 10**9 + micros * 1000
        found, _ = parse(program, cut, made.keys)
        known = sum(1 for record in found if record["request"] and begins(record) >= from_ns)
        joined[0] += known
        joined[1] += sum(1 for record in records if record["request"] and begins(record) >= from_ns)
        false += falsehoods(found, f"cut at {at}", made)
        cut.write_bytes(head + b"".join(one for one in heard if seeded.random() > 0.02))
        found, _ = parse(program, cut, made.keys)
        false += falsehoods(found, f"thinned out {number}", made)
    return sum(made.expected.values()), right, wrong + differs, joined, false


def falsehoods(records, where, made):
    for record in records:
        if whole(record) and record["request"] and record["response"]:
            if record["response"]["status"] == 101 and kind_of(record) != "socket":
                continue
            kind, target, why = judge(record)
            if (kind, target) not in made.expected and target != "/favicon.ico":
                why = why or "no such exchange"
            if why and not any("websocket" in mark for mark in record.get("marks") or []):
                yield f"{where}: {record['id']} {target}: {why}"


def peer(called, steady=True):
    """`steady`: its server answers the same to the same, and takes the replay's TLS."""
    def add(function):
        function.called, function.steady = called, steady
        PEERS.append(function)
        return function
    return add


def go_inside():
    """Into a network namespace of its own, whose loopback device has packets as a wire has them."""
    if "PEERS_INSIDE" not in os.environ:
        prepare = "ip link set lo up && (ip link set lo mtu 1500 gso_max_segs 1 || true) && exec \"$@\""
        os.environ["PEERS_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", prepare, "sh", sys.executable, *sys.argv])


class Tap:
    """tcpdump on the loopback device, from when it listens to `end`."""

    def __init__(self, folder):
        self.capture = folder / "v1.pcap"
        log = open(folder / "tcpdump.log", "wb")
        self.process = subprocess.Popen(["tcpdump", "-i", "lo", "-B", "65536", "-U", "-s", "0", "-w", str(self.capture),
                                         f"tcp port {PORT} or tcp port {BACK}"], stdout=log, stderr=log)
        for _ in range(100):
            if self.capture.exists() and self.capture.stat().st_size >= 24:
                break
            time.sleep(0.05)

    def end(self, kill=False):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL if kill else signal.SIGINT)
            self.process.wait()

    def lost(self):
        """How many packets the capture lacks, which a busy machine had no time for."""
        told = re.search(r"(\d+) packets dropped", (self.capture.parent / "tcpdump.log").read_text())
        return int(told[1]) if told else 0


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("shadowtap")
    options.add_argument("names", nargs="*")
    options.add_argument("--list", action="store_true")
    options.add_argument("--keep")
    options.add_argument("--cuts", type=int, default=4)
    options.add_argument("--replay", action="store_true")
    told = options.parse_intermixed_args()
    import conversations  # noqa: F401 - its peers add themselves
    import wider  # noqa: F401 - and these
    chosen = [one for one in PEERS if not told.names or any(part in one.called for part in told.names)]
    if told.list:
        print("\n".join(one.called for one in chosen))
        return 0
    go_inside()
    program = shutil.which(told.shadowtap) or str(pathlib.Path(told.shadowtap).resolve())
    keep = pathlib.Path(told.keep or f"/tmp/peers.{os.getpid()}").resolve()
    keep.mkdir(parents=True, exist_ok=True)
    keep.chmod(0o755)
    failed = False
    print(f"{'peers':58} {'expected':>8} {'right':>6} {'wrong':>6} {'joined':>9} {'false':>6}")
    for one in chosen:
        folder = keep / re.sub(r"[^A-Za-z0-9]+", "-", one.called)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            expected, right, wrong, joined, false = trial(one, program, folder, told.cuts, told.replay)
        except Missing as error:
            print(f"{one.called:58} not tried: no {error}", flush=True)
            continue
        except Exception as error:
            failed = True
            print(f"{one.called:58} failed: {type(error).__name__}: {error}", flush=True)
            continue
        failed |= bool(wrong or false)
        of = f"{joined[0]}/{joined[1]}"
        print(f"{one.called:58} {expected:8} {right:6} {len(wrong):6} {of:>9} {len(false):6}", flush=True)
        for line in wrong[:6] + false[:6]:
            print("    " + line[:300])
        if not told.keep and not wrong and not false:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.modules["peers"] = sys.modules["__main__"]
    sys.exit(main())
