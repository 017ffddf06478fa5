#!/usr/bin/env python3
"""What TLS and HTTP/2 cost `shadowtap parse` beside HTTP/1 in clear text: the same requests by h2load at nginx in four forms, captured and parsed in turns.

    speed.py SHADOWTAP [REQUESTS] [TURNS]

Root (for tcpdump, in a network namespace of its own). Prints CPU seconds a form as medians over one thread, the bytes of bodies a second beside
clear HTTP/1, and, where tshark is installed, how many times as long it takes. Ends with 1 where a form's exchanges are not all there."""
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FORMS = {
    "http1": ("http", ["--h1"], 8001),
    "tls-http1": ("https", ["--h1"], 8002),
    "h2": ("http", ["-m", "10"], 8003),
    "tls-h2": ("https", ["-m", "10"], 8004),
}
BODY = 4000
NGINX = """worker_processes 1; daemon off; pid {0}/nginx.pid; error_log {0}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; root {0}/www; default_type application/json; keepalive_requests 1000000;
  client_body_temp_path {0}/c; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
  ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  server {{ listen 127.0.0.1:8001; }}
  server {{ listen 127.0.0.1:8002 ssl; }}
  server {{ listen 127.0.0.1:8003 http2; }}
  server {{ listen 127.0.0.1:8004 ssl http2; }}
}}
"""


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    return done


def cpu_seconds(*command):
    """CPU seconds of a command, of user and kernel."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def capture(folder, form, requests):
    scheme, flags, port = FORMS[form]
    path = folder / (form + ".pcap")
    tap = subprocess.Popen(["tcpdump", "-i", "lo", "-B", "400000", "-s", "0", "-w", path, "port", str(port)], stderr=subprocess.DEVNULL)
    time.sleep(1)
    targets = folder / "targets.txt"
    for first in range(0, requests, 1000):
        numbers = range(first, min(first + 1000, requests))
        targets.write_text("".join(f"{scheme}://127.0.0.1:{port}/data.json?n={number}\n" for number in numbers))
        run("h2load", "-n", len(numbers), "-c", "4", *flags, "-i", targets, env=dict(os.environ, SSLKEYLOGFILE=str(folder / "keys.txt")))
        # So that the tap keeps up.
        time.sleep(0.2)
    time.sleep(1)
    tap.terminate()
    tap.wait(10)
    return path


def main():
    program, *numbers = sys.argv[1:]
    lacking = [tool for tool in ("ethtool", "nginx", "h2load", "tcpdump", "unshare", "ip") if not shutil.which(tool)]
    if lacking:
        sys.exit(f"speed.py needs {', '.join(lacking)}")
    requests, turns = [int(number) for number in numbers] + [20000, 7][len(numbers):]
    if "SPEED_INSIDE" not in os.environ:
        os.environ["SPEED_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    run("ip", "link", "set", "lo", "mtu", "1500", "up")
    run("ethtool", "-K", "lo", "tso", "off", "gso", "off", "gro", "off")
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "www").mkdir()
    text = "[" + ",".join(json.dumps({"id": n, "name": f"tea number {n}", "price": n * 0.25, "stock": n % 7 > 0}) for n in range(200))
    (folder / "www" / "data.json").write_text(text[: BODY - 1] + "]")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    (folder / "nginx.conf").write_text(NGINX.format(folder))
    server = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        time.sleep(1)
        captures = {form: capture(folder, form, requests) for form in FORMS}
        seconds = {form: [] for form in FORMS}
        keys = ["--keylog", folder / "keys.txt"]
        for form, path in captures.items():
            out = folder / "out.jsonl"
            out.unlink(missing_ok=True)
            run(program, "parse", path, *keys, "-o", out)
            found = sum(1 for line in open(out) if (json.loads(line).get("response") or {}).get("status") == 200)
            if found != requests:
                sys.exit(f"{form}: {found} of {requests} exchanges")
        for _ in range(turns):
            for form, path in captures.items():
                seconds[form].append(cpu_seconds(program, "parse", path, *keys, "--threads", "1", "-o", "/dev/null"))
        plain = statistics.median(seconds["http1"])
        for form, path in captures.items():
            took = statistics.median(seconds[form])
            line = f"{form:10} {took:.3f} CPU seconds, {requests * BODY / took / 1e6:.0f} MB/s of bodies, {plain / took:.2f} times clear HTTP/1's"
            if shutil.which("tshark"):
                protocol = "tls" if "tls" in form else "http2" if "h2" in form else "http"
                theirs = cpu_seconds("tshark", "-r", path, "-o", f"tls.keylog_file:{keys[1]}", "-d", f"tcp.port=={FORMS[form][2]},{protocol}",
                                     "-Y", "http or http2", "-T", "fields", "-e", "http2.streamid", "-e", "http.request.uri")
                line += f"; tshark takes {theirs / took:.0f} times as long"
            print(line, flush=True)
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(folder)


main()
