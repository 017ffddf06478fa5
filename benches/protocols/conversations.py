"""Who talks to whom in peers.py."""
import os
import pathlib
import shutil
import subprocess
import sys
import time

from peers import (BACK, FILES, HERE, Missing, PORT, TARGETS, content, modules_of_node, need, node_has, peer, python_has, sha)

H1, H1S = f"http://127.0.0.1:{PORT}", f"https://127.0.0.1:{PORT}"
PY = sys.executable


def certificates(t):
    """A key and a certificate for localhost: RSA, and ECDSA."""
    for name, kind in (("rsa", ["rsa:2048"]), ("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])):
        if not os.path.exists(t.path(name + ".pem")):
            t.call("openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                   "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", t.path(name + ".key"), "-out", t.path(name + ".pem"), keys=False)
    pair = pathlib.Path(t.path("rsa.pem")).read_text() + pathlib.Path(t.path("rsa.key")).read_text()
    t.path("both.pem", pair)
    return t.path("rsa.pem"), t.path("rsa.key")


def files(t):
    """The files that servers of files give out: each is what the oracle would answer."""
    for target in FILES:
        t.path("www" + target, content(target, int(target.split("/")[2])).decode())
        # Of a file that is younger than a second servers say less.
        os.utime(t.path("www" + target), (1_000_000_000, 1_000_000_000))
    os.chmod(t.folder, 0o755)
    return t.path("www")


# Servers.

def node(t, kind, port=PORT, keys=True, env=()):
    node_has()
    pair = certificates(t) if kind.endswith("s") else ()
    log = ["--tls-keylog=" + str(t.keys)] if keys and pair else []
    t.serve("node", *log, HERE / "oracle.mjs", "serve", kind, port, *pair, port=port, keys=False, env=env)


def nginx(t, listen, body, more=""):
    """A server; `more` is what else stands in `http`."""
    need("nginx")
    places = "".join(f"{name}_temp_path {t.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    t.path("nginx.conf", f"""worker_processes 1; daemon off; pid {t.folder}/nginx.pid; error_log {t.folder}/error.log;
events {{ worker_connections 512; }}
http {{ access_log off; default_type text/plain; client_max_body_size 10m; {places} {more}
server {{ listen 127.0.0.1:{PORT} {listen}; {body} }} }}""")
    t.serve("nginx", "-p", t.folder, "-c", t.path("nginx.conf"), keys=False)


def apache(t, body):
    """A server of the files, and what else is said in `body`."""
    need("apache2")
    modules = pathlib.Path("/usr/lib/apache2/modules")
    if not (modules / "mod_http2.so").exists():
        raise Missing("mod_http2")
    loaded = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so"
                       for name in ("mpm_event", "authz_core", "ssl", "http2", "socache_shmcb", "proxy", "proxy_http", "proxy_http2")
                       if (modules / f"mod_{name}.so").exists())
    t.path("apache.conf", f"""ServerRoot {t.folder}
ServerName localhost
PidFile {t.folder}/apache.pid
DefaultRuntimeDir {t.folder}
Listen 127.0.0.1:{PORT}
ErrorLog {t.folder}/error.log
{loaded}
AcceptPathInfo On
User www-data
Group www-data
DocumentRoot {files(t)}
<Directory {files(t)}>
Require all granted
</Directory>
{body}
""")
    t.serve("apache2", "-f", t.path("apache.conf"), "-DFOREGROUND", keys=False)


# Clients.

def curl(t, url, targets, *flags, keys=True, parallel=True):
    """Asks for all, some side by side, and holds each answer to the oracle's."""
    need("curl")
    if url.startswith("http:") and any(flag.startswith("--http2") for flag in flags):
        # curl 7.88 fails where it asks again on such a connection.
        if len(targets) > 1:
            for target in targets:
                curl(t, url, [target], *flags, keys=keys, parallel=False)
            return
        parallel = False
    lines = []
    for at, target in enumerate(targets):
        body = next((int(part[5:]) for part in target.partition("?")[2].split("&") if part.startswith("body=")), 0)
        lines += ["next"] if at else []
        lines += [f'url = "{url}{target}"', f'output = "out{at}"', "insecure", "silent", "path-as-is"]
        lines += [flag.replace("--", "", 1) for flag in flags]
        if body:
            t.path(f"in{at}", content(target, body).decode())
            lines += [f'data-binary = "@in{at}"']
    t.path("curl.conf", "\n".join(lines) + "\n")
    t.call("curl", *(["-Z", "--parallel-max", "6"] if parallel else []), "-K", t.path("curl.conf"), keys=keys)
    for at, target in enumerate(targets):
        wanted = content(target, int(target.split("?")[0].split("/")[2]))
        name = pathlib.Path(t.path(f"out{at}"))
        got = name.read_bytes() if name.exists() else b""
        if got != wanted:
            raise RuntimeError(f"curl got {len(got)} octets for {target}")


def raw_requests(targets):
    """Requests of HTTP/1.1 one after another; the last one closes."""
    lines = []
    for at, target in enumerate(targets):
        close = "connection: close\r\n" if at + 1 == len(targets) else ""
        lines.append(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n{close}\r\n")
    return "".join(lines).encode()


def holds(answers, targets):
    for target in targets:
        if content(target, int(target.split("?")[0].split("/")[2])) not in answers:
            raise RuntimeError(f"no answer for {target} in {len(answers)} octets: {answers[:200]!r}")


SIMPLE = [target for target in TARGETS if "body" not in target and "pieces" not in target and "status" not in target]
CALLS = {"Unary": 32, "Fail": 1, "Slow": 1, "Down": 1, "Up": 1, "Chat": 1, "Endless": 1}


def expect_calls(t):
    for name, times in CALLS.items():
        t.expected["grpc", "/t.T/" + name] += times


# HTTP/2 and HTTP/1.1 of clients against Node's server, which says which fields it got, in which order.

EXTRA = ["/o/500?trailers", "/o/3000?interim&trailers&pieces=3", "/o/5000?gzip"]


def against_node(called, kind, call, targets=TARGETS, env=()):
    @peer(f"{called}, Node {kind}")
    def talk(t):
        node(t, kind, env=env)
        t.expect(targets)
        call(t, H1S if kind.endswith("s") else H1, targets)
    talk.__name__ = called
    return talk


def node_client(kind):
    def call(t, url, targets):
        t.call("node", HERE / "oracle.mjs", "call", kind, url, *targets, keys=False)
    return call


def python_client(kind, *modules, keys=False):
    def call(t, url, targets):
        python_has(*modules)
        t.call(PY, HERE / "oracle.py", kind, url, *targets, keys=keys)
    return call


def java(t, url, targets):
    need("java", "javac")
    t.call("javac", "-d", t.folder, HERE / "Oracle.java", keys=False)
    t.call("java", "-Djdk.internal.httpclient.disableHostnameVerification=true", "-cp", t.folder, "Oracle", url, *targets, keys=False)


def go_program(t, name="oracle", *beside):
    need("go")
    home = {"HOME": str(t.folder), "GO111MODULE": "off", "GOCACHE": "/tmp/peers.gocache", "GOFLAGS": "", "GOPATH": "/usr/share/gocode"}
    # Go takes files of one folder.
    sources = [shutil.copy(one, t.folder) for one in (HERE / (name + ".go"), *beside)]
    t.call("go", "build", "-o", t.path(name), *sources, keys=False, env=home, timeout=300)
    return t.path(name)


def go_calls(t, target, cert=None, env=()):
    if not os.path.isdir("/usr/share/gocode/src/google.golang.org/grpc"):
        raise Missing("gRPC of Go")
    t.call(go_program(t, "calls"), "call", target, *([cert] if cert else []), keys=False, env=env)


def go(t, url, targets):
    t.call(go_program(t), "call", url, *targets, keys=False)


def nghttp(t, url, targets):
    """It asks for each once."""
    need("nghttp")
    for target in targets:
        t.expected["http", target] = 1
    t.call("nghttp", "-n", "--no-verify-peer", *[url + target for target in targets], keys=False)


def h2load(t, url, targets):
    need("h2load")
    t.call("h2load", "-n", str(len(targets)), "-c", "1", "-m", "4", *[url + target for target in targets], keys=False)


for kind in ("h1", "h1s", "h2", "h2s"):
    against_node("Node", kind, node_client(kind), TARGETS + ([] if kind.startswith("h1") else EXTRA))
for kind in ("h1", "h1s"):
    against_node("aiohttp", kind, python_client("aiohttp", "aiohttp"))
    against_node("http.client", kind, python_client("plain"))
for kind in ("h2", "h2s"):
    against_node("httpx", kind, python_client("httpx", "httpx", "h2"))
    against_node("curl", kind, lambda t, url, targets: curl(
        t, url, targets, "--http2-prior-knowledge" if url.startswith("http:") else "--http2", keys=False))
against_node("niquests (jh2)", "h2s", python_client("niquests", "niquests"))
against_node("java.net.http", "h2s", java)
against_node("java.net.http", "h1", java)
against_node("java.net.http, TLS 1.2", "h2s", java, env={"maxVersion": "TLSv1.2"})
against_node("Go", "h2s", go)
against_node("Go, TLS 1.2", "h2s", go, env={"maxVersion": "TLSv1.2"})
against_node("nghttp", "h2", nghttp, SIMPLE + EXTRA)
against_node("nghttp", "h2s", nghttp, SIMPLE + EXTRA)
against_node("h2load", "h2s", h2load, SIMPLE)


# Servers of HTTP/2 with curl, nghttp and httpx.

def small(targets):
    """Without answers that curl 7.88 gives up on where they come with its upgrade."""
    return [target for target in targets if not target.startswith("/o/70000")]


def two_clients(t, url, targets):
    t.expect(targets, times=2)
    curl(t, url, targets, "--http2-prior-knowledge" if url.startswith("http:") else "--http2")
    python_client("httpx", "httpx", "h2", keys=True)(t, url, targets)


@peer("curl, httpx, nginx h2 TLS 1.3")
def nginx_tls13(t):
    cert, key = certificates(t)
    nginx(t, "ssl http2", f"root {files(t)}; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;")
    t.expect(FILES, times=2)
    curl(t, H1S, FILES, "--http2")
    t.call(PY, HERE / "oracle.py", "httpx", H1S, *FILES)


@peer("curl, nginx h2 TLS 1.2, proxying to Node h1")
def nginx_proxy(t):
    cert, key = certificates(t)
    node(t, "h1", port=BACK)
    nginx(t, "ssl http2", f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2; "
          f"location / {{ proxy_pass http://127.0.0.1:{BACK}; }}")
    t.expect(TARGETS, times=2)
    curl(t, H1S, TARGETS, "--http2")


@peer("curl, Apache h2 TLS")
def apache_tls(t):
    cert, key = certificates(t)
    apache(t, f"Protocols h2 http/1.1\nSSLEngine on\nSSLCertificateFile {cert}\nSSLCertificateKeyFile {key}")
    t.expect(FILES)
    curl(t, H1S, FILES, "--http2")


@peer("curl, Apache h2c, by Upgrade and by prior knowledge")
def apache_clear(t):
    apache(t, "Protocols h2c http/1.1")
    t.expect(FILES, times=2)
    curl(t, H1, FILES, "--http2-prior-knowledge")
    curl(t, H1, FILES, "--http1.1")
    t.expect(small(FILES))
    curl(t, H1, small(FILES), "--http2")


@peer("nghttp, Apache h2c, by Upgrade")
def apache_upgrade(t):
    apache(t, "Protocols h2c http/1.1")
    # Apache gives the connection up at nghttp's priorities of idle streams: one request.
    t.expect(FILES[:1])
    t.call("nghttp", "-nu", H1 + FILES[0])


@peer("curl, Apache h2 TLS, proxying to Node h2")
def apache_proxy(t):
    cert, key = certificates(t)
    node(t, "h2", port=BACK)
    apache(t, f"Protocols h2 http/1.1\nSSLEngine on\nSSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n"
           f"ProxyPass / h2c://127.0.0.1:{BACK}/")
    t.expect(TARGETS, times=2)
    curl(t, H1S, TARGETS, "--http2")


def h2o(t, tls, more=""):
    """A server of the files; `more` are other paths."""
    cert, key = certificates(t)
    sealed = f"  ssl:\n    certificate-file: {cert}\n    key-file: {key}\n" if tls else ""
    t.path("h2o.conf", f"""listen:
  host: 127.0.0.1
  port: {PORT}
{sealed}num-threads: 1
user: root
hosts:
  default:
    paths:
      /:
        file.dir: {files(t)}
{more}""")
    t.serve("h2o", "-c", t.path("h2o.conf"), keys=False)


@peer("curl, nghttp, h2o")
def h2o_tls(t):
    h2o(t, True)
    t.expect(FILES)
    curl(t, H1S, FILES, "--http2")


@peer("curl, nghttp -u, h2o h2c")
def h2o_clear(t):
    h2o(t, False)
    t.expect(FILES, times=2)
    curl(t, H1, FILES, "--http2-prior-knowledge")
    t.expect(small(FILES))
    curl(t, H1, small(FILES), "--http2")
    t.call("nghttp", "-nu", *[H1 + target for target in FILES])


def haproxy(t, listen, server, back, client):
    cert, _ = certificates(t)
    node(t, back, port=BACK)
    t.path("haproxy.cfg", f"""defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{PORT} {listen.format(pem=t.path("both.pem"))}
  default_backend b
backend b
  server s 127.0.0.1:{BACK} {server}
""")
    t.serve("haproxy", "-db", "-f", t.path("haproxy.cfg"), keys=False)
    t.expect(TARGETS, times=2)
    client(t)


@peer("curl, HAProxy h2 TLS, to Node h2 TLS")
def haproxy_both(t):
    haproxy(t, "ssl crt {pem} alpn h2,http/1.1", "ssl verify none alpn h2", "h2s", lambda t: curl(t, H1S, TARGETS, "--http2"))


@peer("curl, HAProxy h1, to Node h2")
def haproxy_up(t):
    haproxy(t, "", "proto h2", "h2", lambda t: curl(t, H1, TARGETS, "--http1.1"))


@peer("curl, nghttpx h2 TLS, to Node h2")
def nghttpx(t):
    cert, key = certificates(t)
    node(t, "h2", port=BACK)
    t.serve("nghttpx", f"-f127.0.0.1,{PORT}", f"-b127.0.0.1,{BACK};;proto=h2", "--workers=1", key, cert, keys=False)
    t.expect(TARGETS, times=2)
    curl(t, H1S, TARGETS, "--http2")


@peer("nghttp, h2load, nghttpd TLS")
def nghttpd(t):
    cert, key = certificates(t)
    t.serve("nghttpd", "-a", "127.0.0.1", "-d", files(t), PORT, key, cert, keys=False)
    t.expect(FILES)
    curl(t, H1S, FILES, "--http2")


# Its fields go on to Node in another order each time, and its answers have a type or not.
@peer("curl, Caddy h2 TLS, to Node h2", steady=False)
def caddy(t):
    cert, key = certificates(t)
    node(t, "h2", port=BACK)
    t.path("Caddyfile", f"""{{
  admin off
  auto_https disable_redirects
}}
https://localhost:{PORT}, https://127.0.0.1:{PORT} {{
  tls {cert} {key}
  reverse_proxy h2c://127.0.0.1:{BACK}
}}
""")
    t.serve("caddy", "run", "--config", t.path("Caddyfile"), keys=False, env={"HOME": str(t.folder)}, settle=0.5)
    t.expect(TARGETS, times=2)
    curl(t, H1S, TARGETS, "--http2")


def lighttpd(module):
    @peer(f"curl, lighttpd h2 TLS by {module}", steady=module != "wolfssl")
    def talk(t):
        cert, key = certificates(t)
        t.path("lighttpd.conf", f"""server.modules = ("mod_{module}")
server.document-root = "{files(t)}"
server.bind = "127.0.0.1"
server.port = {PORT}
server.errorlog = "{t.folder}/error.log"
server.feature-flags = ("server.h2proto" => "enable")
ssl.engine = "enable"
ssl.pemfile = "{cert}"
ssl.privkey = "{key}"
""")
        t.serve("lighttpd", "-D", "-f", t.path("lighttpd.conf"), keys=False)
        t.expect(FILES, times=3)
        curl(t, H1S, FILES, "--http2")
        curl(t, H1S, FILES, "--http1.1", "--tls-max 1.2")
        curl(t, H1S, FILES, "--http2", "--tls-max 1.2", "--ciphers ALL:@SECLEVEL=0")
    talk.__name__ = module
for module in ("openssl", "gnutls", "mbedtls", "wolfssl", "nss"):
    lighttpd(module)


@peer("curl, httpx, Hypercorn h2 TLS")
def hypercorn(t):
    python_has("hypercorn")
    cert, key = certificates(t)
    t.serve(PY, "-m", "hypercorn", "-b", f"127.0.0.1:{PORT}", "--certfile", cert, "--keyfile", key, "oracle:app", cwd=HERE, keys=False)
    two_clients(t, H1S, TARGETS)


@peer("curl, Hypercorn h2c, by Upgrade and by prior knowledge")
def hypercorn_clear(t):
    python_has("hypercorn")
    t.serve(PY, "-m", "hypercorn", "-b", f"127.0.0.1:{PORT}", "oracle:app", cwd=HERE, keys=False)
    t.expect(TARGETS)
    curl(t, H1, TARGETS, "--http2-prior-knowledge")
    t.expect(small(SIMPLE))
    curl(t, H1, small(SIMPLE), "--http2")


@peer("aiohttp, http.client, uvicorn TLS")
def uvicorn(t):
    python_has("uvicorn", "aiohttp")
    cert, key = certificates(t)
    t.serve(PY, "-m", "uvicorn", "--host", "127.0.0.1", "--port", PORT, "--ssl-certfile", cert, "--ssl-keyfile", key, "oracle:app",
            cwd=HERE, keys=False)
    t.expect(TARGETS, times=2)
    for kind in ("aiohttp", "plain"):
        t.call(PY, HERE / "oracle.py", kind, H1S, *TARGETS)


@peer("curl, Go h2 TLS")
def go_server(t):
    cert, key = certificates(t)
    t.serve(go_program(t), "serve", PORT, cert, key)
    t.expect(TARGETS + ["/o/500?trailers"], times=1)
    curl(t, H1S, TARGETS + ["/o/500?trailers"], "--http2", keys=False)


# TLS by every suite that OpenSSL and GnuTLS have.

def suites_of_openssl(version):
    listed = subprocess.run(["openssl", "ciphers", "-s", version, "-psk", "-srp", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], capture_output=True, text=True)
    return [name for name in listed.stdout.strip().split(":") if name and "SRP" not in name and name != "NULL-MD5" and not name.startswith("TLS_")]


def s_server(t, *flags):
    need("openssl")
    certificates(t)
    files(t)
    t.serve("openssl", "s_server", "-accept", f"127.0.0.1:{PORT}", "-WWW", "-cert", t.path("rsa.pem"), "-key", t.path("rsa.key"), "-dcert",
            t.path("ec.pem"), "-dkey", t.path("ec.key"), "-quiet", *flags, keys=False, cwd=t.path("www"))


def s_client(t, target, *flags, stdin=None, wait=True):
    """One request by s_client, which is given time for the answer."""
    asked = stdin or f"GET {target} HTTP/1.0\r\nhost: localhost\r\n\r\n".encode()
    told = t.call("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-keylogfile", t.keys, "-ign_eof", "-quiet", *flags, stdin=asked,
                  keys=False, codes=())
    return content(target, int(target.split("/")[2])) in told


for version, flag, etm in (("-tls1", "-tls1", True), ("-tls1_1", "-tls1_1", False), ("-tls1_2", "-tls1_2", True), ("-tls1_2", "-tls1_2", False)):
    def sweep(version=version, flag=flag, etm=etm):
        @peer(f"OpenSSL, every suite of {version[1:]}" + ("" if etm else " without encrypt-then-MAC"))
        def talk(t):
            s_server(t, "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "-psk", "1a2b3c4d", "-serverpref")
            for name in suites_of_openssl(version):
                told = [flag, "-cipher", name + ":@SECLEVEL=0", "-psk", "1a2b3c4d"] + ([] if etm else ["-no_etm"])
                if s_client(t, "/o/2000", *told):
                    t.expect(["/o/2000"])
    sweep()


@peer("OpenSSL, suites and groups of TLS 1.3")
def openssl13(t):
    s_server(t, "-ciphersuites", ":".join(SUITES13), "-groups", "P-384:X25519:P-521", "-record_padding", "512")
    for name in SUITES13:
        assert s_client(t, "/o/70000", "-tls1_3", "-ciphersuites", name, "-groups", "X25519"), name
        # The server wants another group: HelloRetryRequest.
        assert s_client(t, "/o/2000", "-tls1_3", "-ciphersuites", name, "-groups", "X448:P-521"), name
        t.expect(["/o/70000", "/o/2000"])


SUITES13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
            "TLS_AES_128_CCM_8_SHA256"]


@peer("OpenSSL, small fragments, client certificate")
def openssl_fragments(t):
    s_server(t, "-Verify", "1", "-max_send_frag", "512", "-CAfile", t.path("rsa.pem"), "-num_tickets", "3")
    for version in ("-tls1_3", "-tls1_2"):
        for target in ("/o/70000", "/o/10"):
            mine = ["-cert", t.path("ec.pem"), "-key", t.path("ec.key"), "-max_send_frag", "600", "-maxfraglen", "1024"]
            assert s_client(t, target, version, *mine)
            t.expect([target])


@peer("OpenSSL, resumption: tickets, ids, PSK")
def openssl_resumption(t):
    s_server(t, "-psk", "1a2b3c4d")
    for flags in (["-tls1_3"], ["-tls1_2"], ["-tls1_2", "-no_ticket"], ["-tls1_3", "-allow_no_dhe_kex"]):
        for way in (["-sess_out", t.path("session")], ["-sess_in", t.path("session")], ["-sess_in", t.path("session")]):
            assert s_client(t, "/o/2000", *flags, *way)
            t.expect(["/o/2000"])
    assert s_client(t, "/o/10", "-tls1_3", "-psk", "1a2b3c4d")
    t.expect(["/o/10"])


# The whole of HTTP/1.1 by clients that only do TLS, against Node.

def raw(called, command, env=(), versions=("TLSv1.3", "TLSv1.2"), targets=SIMPLE):
    @peer(f"{called}, Node h1s")
    def talk(t):
        node(t, "h1s", env={"ciphers": "ALL:COMPLEMENTOFALL:@SECLEVEL=0:" + ":".join(SUITES13), "minVersion": "TLSv1", **dict(env)})
        for line in command(t):
            try:
                answers = t.call(*line, stdin=raw_requests(targets), keys=False, codes=())
                holds(answers, targets)
            except RuntimeError:
                continue  # Not spoken by both.
            t.expect(targets)
        if not t.expected:
            raise RuntimeError("no client was answered")
    talk.__name__ = called


def patient(*command):
    """Keeps the input of a client open, which would go at its end."""
    return ["sh", "-c", '(cat; sleep 1) | timeout 5 "$@"', "sh", *command]


PRIORITIES = ["NORMAL", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"] + [
    f"NONE:+VERS-TLS1.2:+RSA:+ECDHE-RSA:+DHE-RSA:+{mac}:+{cipher}:+SIGN-ALL:+GROUP-ALL:+COMP-NULL{more}"
    for cipher, mac in (("AES-128-CBC", "SHA1"), ("AES-256-CBC", "SHA256"), ("AES-256-CBC", "SHA384"), ("CAMELLIA-128-CBC", "SHA1"),
                        ("CAMELLIA-256-CBC", "SHA256"), ("CAMELLIA-128-GCM", "AEAD"), ("CAMELLIA-256-GCM", "AEAD"), ("AES-128-CCM", "AEAD"),
                        ("AES-256-CCM-8", "AEAD"), ("CHACHA20-POLY1305", "AEAD"), ("3DES-CBC", "SHA1"))
    for more in ("", ":%NO_ETM")] + [
    f"NONE:+VERS-TLS1.3:+AEAD:+{cipher}:+SIGN-ALL:+GROUP-ALL" for cipher in ("AES-128-CCM", "AES-128-CCM-8", "CHACHA20-POLY1305")]

raw("gnutls-cli, every suite", lambda t: [patient(
    "gnutls-cli", "--no-ca-verification", "--priority", one, "-p", PORT, "localhost") for one in PRIORITIES])


@peer("gnutls-cli, gnutls-serv, every suite")
def gnutls(t):
    need("gnutls-serv", "gnutls-cli")
    cert, key = certificates(t)
    t.path("psk.txt", "user:1a2b3c4d1a2b3c4d\n")
    wide = "NORMAL:+CAMELLIA-128-CBC:+CAMELLIA-256-CBC:+CAMELLIA-128-GCM:+CAMELLIA-256-GCM:+AES-128-CCM-8:+AES-256-CCM-8:+3DES-CBC:+SHA256:" \
        "+SHA384:+ECDHE-PSK:+DHE-PSK:+PSK:+RSA-PSK:+RSA:+DHE-RSA:+VERS-TLS1.0:+VERS-TLS1.1:%SERVER_PRECEDENCE"
    t.serve("gnutls-serv", "--http", "--x509certfile", cert, "--x509keyfile", key, "--pskpasswd", t.path("psk.txt"), "-p", PORT,
            "--priority", wide.replace(":%SERVER_PRECEDENCE", ""), "--earlydata", "--maxearlydata=1000")
    more = [f"NORMAL:-KX-ALL:+{kx}:-VERS-ALL:+VERS-TLS1.2" for kx in ("ECDHE-PSK", "DHE-PSK", "PSK", "RSA-PSK")]
    more += [f"NORMAL:-VERS-ALL:+VERS-TLS1.{minor}" for minor in (0, 1)]
    for priority in PRIORITIES + more:
        answer = t.call("gnutls-cli", "--no-ca-verification", "--priority", priority, "--pskusername", "user", "--pskkey", "1a2b3c4d1a2b3c4d",
                        "-p", PORT, "localhost", keys=False, stdin=b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n", codes=())
        if b"200 OK" in answer:
            t.expect(["/"])


def c_client(flag, *libraries):
    def build(t):
        need("cc")
        name = t.path("raw" + flag)
        done = subprocess.run(["cc", str(HERE / "raw.c"), "-DWITH_" + flag, "-o", name, *["-l" + one for one in libraries]], capture_output=True)
        if done.returncode:
            raise Missing(flag.lower() + " to build with")
        return name
    return build


MBEDTLS = ["", "TLS-ECDHE-RSA-WITH-AES-128-CCM", "TLS-DHE-RSA-WITH-AES-256-CCM-8", "TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256",
           "TLS-ECDHE-RSA-WITH-AES-256-CBC-SHA384", "TLS-RSA-WITH-CAMELLIA-256-CBC-SHA", "TLS-ECDHE-RSA-WITH-CAMELLIA-128-CBC-SHA256",
           "TLS-ECDHE-RSA-WITH-ARIA-256-GCM-SHA384", "TLS-RSA-WITH-AES-128-CBC-SHA256", "TLS-RSA-WITH-NULL-SHA256"]
mbedtls = c_client("MBEDTLS", "mbedtls", "mbedx509", "mbedcrypto")
wolfssl = c_client("WOLFSSL", "wolfssl")
raw("mbedTLS", lambda t: [[mbedtls(t), PORT, "12", *([one] if one else [])] for one in MBEDTLS])
raw("wolfSSL", lambda t: [[wolfssl(t), PORT, *one] for one in (
    ["13"], ["12"], ["13", "TLS13-CHACHA20-POLY1305-SHA256"], ["13", "TLS13-AES128-CCM-SHA256"], ["12", "ECDHE-RSA-AES256-SHA384"],
    ["12", "DHE-RSA-CHACHA20-POLY1305"], ["12", "ECDHE-RSA-AES128-SHA"])])
raw("NSS", lambda t: [patient("tstclnt", "-h", "127.0.0.1", "-p", PORT, "-D", "-o", "-V", one) for one in ("tls1.2:tls1.2", "tls1.3:tls1.3")])


# gRPC.

def python_calls(kind, coding=""):
    def call(t, target, cert=None):
        python_has("grpc")
        told = [one for one in (cert, coding) if one]
        t.call(PY, HERE / "calls.py", kind, target, *told, keys=False)
    return call


def js_calls(t, target, cert=None, env=()):
    node_has("@grpc/grpc-js")
    script = t.path("calls.mjs", (HERE / "calls.mjs").read_text())
    if not os.path.exists(t.path("node_modules")):
        os.symlink(modules_of_node(), t.path("node_modules"))
    t.call("node", script, "call", target, *([cert] if cert else []), keys=False, env=env)


def js_server(t, tls):
    node_has("@grpc/grpc-js")
    script = t.path("calls.mjs", (HERE / "calls.mjs").read_text())
    if not os.path.exists(t.path("node_modules")):
        os.symlink(modules_of_node(), t.path("node_modules"))
    t.serve("node", *(["--tls-keylog=" + str(t.keys)] if tls else []), script, "serve", PORT, *(certificates(t) if tls else ()), keys=False)


for called, call in (("grpcio", python_calls("sync")), ("grpcio aio", python_calls("aio")), ("grpcio, gzip", python_calls("sync", "gzip")),
                     ("grpcio, deflate", python_calls("sync", "deflate")), ("grpc-js", js_calls),
                     ("grpc-js, gzip", lambda t, target, cert=None: js_calls(t, target, cert, {"GZIP": "1"})), ("grpc-go", go_calls),
                     ("grpc-go, gzip", lambda t, target, cert=None: go_calls(t, target, cert, {"GZIP": "1"}))):
    def pair(called=called, call=call):
        @peer(f"{called}, server of grpcio")
        def clear(t):
            python_has("grpc")
            t.serve(PY, HERE / "calls.py", "serve", PORT, keys=False)
            expect_calls(t)
            call(t, f"127.0.0.1:{PORT}")

        @peer(f"{called}, server of grpc-js TLS")
        def sealed(t):
            js_server(t, True)
            expect_calls(t)
            call(t, f"127.0.0.1:{PORT}", t.path("rsa.pem"))

        if "deflate" in called:
            return  # Which Go does not have.

        @peer(f"{called}, server of grpc-go TLS")
        def to_go(t):
            cert, key = certificates(t)
            t.serve(go_program(t, "calls"), "serve", PORT, cert, key)
            expect_calls(t)
            call(t, f"127.0.0.1:{PORT}", cert)
    pair()


# WebSockets.

def expect_socket(t, times=1, target="/ws"):
    t.expected["socket", target] += times


WS, WSS = f"ws://127.0.0.1:{PORT}/ws", f"wss://127.0.0.1:{PORT}/ws"
SCRIPT = HERE / "sockets.py"


def ws_of_node(t, deflate="true", tls=False):
    node_has("ws")
    script = t.path("sockets.mjs", (HERE / "sockets.mjs").read_text())
    if not os.path.exists(t.path("node_modules")):
        os.symlink(modules_of_node(), t.path("node_modules"))
    pair = certificates(t) if tls else ()
    t.serve("node", *(["--tls-keylog=" + str(t.keys)] if tls else []), script, "serve", PORT, *pair, keys=False, env={"DEFLATE": deflate})
    return script


def socket_clients(t, url, script=None):
    for how in ("", "plain", "lone", "small", "pieces"):
        t.call(PY, SCRIPT, "websockets", url, how, keys=False)
    for bits in ("15", "9"):
        t.call(PY, SCRIPT, "aiohttp", url, bits, keys=False)
    expect_socket(t, 7)
    if script:
        for deflate in ("true", "false", '{"clientNoContextTakeover":true}', '{"serverMaxWindowBits":9,"threshold":0}'):
            t.call("node", script, "call", url, keys=False, env={"DEFLATE": deflate})
        expect_socket(t, 4)


@peer("websockets, aiohttp, ws, server ws")
def sockets_node(t):
    python_has("websockets", "aiohttp")
    socket_clients(t, WS, ws_of_node(t, '{"threshold":0}'))


@peer("websockets, aiohttp, ws, server ws TLS")
def sockets_node_tls(t):
    python_has("websockets", "aiohttp")
    socket_clients(t, WSS, ws_of_node(t, '{"threshold":0,"serverNoContextTakeover":true}', tls=True))


@peer("websockets, aiohttp, server websockets")
def sockets_websockets(t):
    python_has("websockets", "aiohttp")
    t.serve(PY, SCRIPT, "serve-websockets", PORT, keys=False)
    socket_clients(t, WS)


@peer("websockets, aiohttp, server websockets with small windows")
def sockets_small(t):
    python_has("websockets", "aiohttp")
    t.serve(PY, SCRIPT, "serve-websockets", PORT, "small", keys=False)
    for how in ("", "lone", "pieces"):
        t.call(PY, SCRIPT, "websockets", WS, how, keys=False)
    expect_socket(t, 3)


@peer("websockets, aiohttp, server aiohttp")
def sockets_aiohttp(t):
    python_has("websockets", "aiohttp")
    t.serve(PY, SCRIPT, "serve-aiohttp", PORT, keys=False)
    socket_clients(t, WS)


@peer("websockets, aiohttp, uvicorn")
def sockets_uvicorn(t):
    python_has("websockets", "aiohttp", "uvicorn")
    t.serve(PY, "-m", "uvicorn", "--host", "127.0.0.1", "--port", PORT, "oracle:app", cwd=HERE, keys=False)
    socket_clients(t, WS)


@peer("websockets, aiohttp, Hypercorn")
def sockets_hypercorn(t):
    python_has("websockets", "aiohttp", "hypercorn")
    t.serve(PY, "-m", "hypercorn", "-b", f"127.0.0.1:{PORT}", "oracle:app", cwd=HERE, keys=False)
    socket_clients(t, WS)


# Browsers.

def browser(called, command):
    @peer(called)
    def talk(t):
        targets = SIMPLE + ["/o/100?body=3000", "/o/5?body=200000"]
        script = """<!doctype html><title>waiting</title><script>(async () => {
const targets = %s; const hex = %s;
await Promise.all(targets.map(async target => {
  const body = Number(new URL(target, location).searchParams.get('body') ?? 0);
  const answer = await fetch(target, body ? { method: 'POST', body: hex[target].repeat(body / 64 + 1).slice(0, body) } : {});
  await answer.arrayBuffer();
}));
document.title = 'done';
await fetch('/o/1?done');
})();</script>""" % (targets, {target: sha(target.encode()) for target in targets})
        t.path("page.html", script)
        node(t, "h2s", keys=False, env={"PAGE": t.path("page.html")})
        t.path("home/.keep", "")
        command(t, f"https://localhost:{PORT}/page", f"https://127.0.0.1:{PORT}/page")
        t.expect(targets + ["/o/1?done", "/page"])
    talk.__name__ = called


def chromium(t, url, _):
    need("chromium")
    t.call("timeout", "25", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--disable-quic",
           f"--user-data-dir={t.path('home')}", "--ssl-key-log-file=" + str(t.keys), "--virtual-time-budget=8000", "--dump-dom", url, codes=(),
           env={"HOME": t.path("home")}, keys=False)


browser("Chromium, Node h2s", chromium)
