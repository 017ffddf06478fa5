"""More who talk to each other in peers.py: other engines of HTTP/2 and TLS, and balancers in front of servers."""
import os
import pathlib

from conversations import (H1, H1S, PY, SIMPLE, WS, against_node, apache, certificates, curl, expect_calls, expect_socket, files, holds, js_calls,
                           js_server, modules_of_node, node, python_calls, two_clients, ws_of_node)
from peers import BACK, FILES, HERE, Missing, PORT, TARGETS, need, peer, python_has, sha

THIRD = 9445  # Not captured.


def linked(t, name):
    """A script of this folder where it finds the packages of npm."""
    script = t.path(name, (HERE / name).read_text())
    if not os.path.exists(t.path("node_modules")):
        os.symlink(modules_of_node(), t.path("node_modules"))
    return script


def bin_of_node(name):
    path = modules_of_node() / ".bin" / name
    if not path.exists():
        raise Missing("npm's " + name)
    return path


# Clients.

def engine(name, *flags):
    """Node's script by another engine of JavaScript, whose HTTP/2 and TLS are its own."""
    def call(t, url, targets):
        kind = ("h1", "h2")[t.kind.startswith("h2")]
        t.call(bin_of_node(name), "run", *flags, HERE / "oracle.mjs", "call", kind, url, *targets, keys=False, env={"NODE_TLS_REJECT_UNAUTHORIZED": "0"})
    return call


def of_kind(kind, call):
    def told(t, url, targets):
        t.kind = kind
        call(t, url, targets)
    return told


for kind in ("h1", "h1s", "h2", "h2s"):
    against_node("Bun", kind, of_kind(kind, engine("bun")))
    against_node("Deno", kind, of_kind(kind, engine("deno", "-A", "--unsafely-ignore-certificate-errors")))


def fetching(command):
    def call(t, url, targets):
        script = linked(t, "fetching.mjs")
        t.call(*command(t), script, url, *targets, keys=False, env={"NODE_TLS_REJECT_UNAUTHORIZED": "0"})
    return call


against_node("undici's fetch with h2", "h2s", fetching(lambda t: [need("node") or "node"]))
against_node("Deno's fetch", "h2s", fetching(lambda t: [bin_of_node("deno"), "run", "-A", "--unsafely-ignore-certificate-errors"]))
against_node("Bun's fetch", "h1s", fetching(lambda t: [bin_of_node("bun"), "run"]))


def impersonated(who):
    def call(t, url, targets):
        python_has("curl_cffi")
        t.call(PY, HERE / "oracle.py", "curl_cffi", url, who, *targets, keys=False)
    return call


for who in ("chrome", "firefox", "safari", "chrome99", "safari15_5", "tor145"):
    against_node("curl_cffi as " + who, "h2s", impersonated(who))


def wget2(t, url, targets):
    need("wget2")
    t.call("wget2", "-q", "--no-check-certificate", "--no-hsts", "--max-threads=2", "-O", "/dev/null", *[url + target for target in targets], keys=False)


# It asks for each once.
PLAIN = list(dict.fromkeys(target for target in SIMPLE if "%" not in target))
against_node("wget2", "h2s", wget2, PLAIN)
against_node("wget2", "h1", wget2, PLAIN)


# Servers.

@peer("curl, Deno.serve h2 TLS")
def deno_serve(t):
    cert, key = certificates(t)
    t.serve(bin_of_node("deno"), "run", "-A", HERE / "serving.mjs", PORT, cert, key, keys=False)
    t.expect(TARGETS)
    curl(t, H1S, TARGETS, "--http2")


@peer("curl, Deno.serve")
def deno_clear(t):
    t.serve(bin_of_node("deno"), "run", "-A", HERE / "serving.mjs", PORT, keys=False)
    t.expect(TARGETS, times=2)
    curl(t, H1, TARGETS, "--http2-prior-knowledge")
    curl(t, H1, TARGETS, "--http1.1")


@peer("curl, Bun.serve TLS")
def bun_serve(t):
    cert, key = certificates(t)
    t.serve(bin_of_node("bun"), "run", HERE / "serving.mjs", PORT, cert, key, keys=False)
    t.expect(TARGETS)
    curl(t, H1S, TARGETS, "--http1.1")


@peer("curl, Bun's node:http2 TLS")
def bun_http2(t):
    cert, key = certificates(t)
    t.serve(bin_of_node("bun"), "run", HERE / "oracle.mjs", "serve", "h2s", PORT, cert, key, keys=False)
    t.expect(TARGETS)
    curl(t, H1S, TARGETS, "--http2")


@peer("curl, httpx, Granian h2 TLS")
def granian(t):
    python_has("granian")
    cert, key = certificates(t)
    t.serve(PY, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", PORT, "--ssl-certificate", cert, "--ssl-keyfile", key,
            "--no-ws", "oracle:app", cwd=HERE, keys=False)
    two_clients(t, H1S, TARGETS)


@peer("curl, Granian h2c")
def granian_clear(t):
    python_has("granian")
    t.serve(PY, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", PORT, "--no-ws", "oracle:app", cwd=HERE, keys=False)
    t.expect(TARGETS, times=2)
    curl(t, H1, TARGETS, "--http2-prior-knowledge")
    curl(t, H1, TARGETS, "--http1.1")


@peer("curl, httpx, Daphne (Twisted) h2 TLS")
def daphne(t):
    python_has("daphne", "twisted")
    cert, key = certificates(t)
    t.serve(PY, "-m", "daphne", "-e", f"ssl:{PORT}:privateKey={key}:certKey={cert}:interface=127.0.0.1", "oracle:app", cwd=HERE, keys=False)
    two_clients(t, H1S, TARGETS)


def jetty(t, *told):
    need("java", "javac")
    jars = sorted(str(name) for name in pathlib.Path("/usr/share/java").glob("jetty9-*.jar") if name.is_symlink())
    if not any("http2-server" in name for name in jars):
        raise Missing("Jetty")
    path = ":".join(jars + ["/usr/share/java/servlet-api.jar", str(t.folder)])
    t.call("javac", "-cp", path, "-d", t.folder, HERE / "Jetty.java", keys=False)
    return ["java", "-cp", path, "Jetty", *told]


@peer("curl, httpx, Jetty h2 TLS")
def jetty_tls(t):
    certificates(t)
    t.call("openssl", "pkcs12", "-export", "-inkey", t.path("rsa.key"), "-in", t.path("rsa.pem"), "-passout", "pass:secret", "-out", t.path("store.p12"),
           keys=False)
    t.serve(*jetty(t, str(PORT), t.path("store.p12")), keys=False)
    two_clients(t, H1S, TARGETS + ["/o/500?trailers"])


@peer("curl, httpx, Jetty h2c")
def jetty_clear(t):
    t.serve(*jetty(t, str(PORT)), keys=False)
    two_clients(t, H1, TARGETS)
    t.expect(SIMPLE[:1])
    curl(t, H1, SIMPLE[:1], "--http2")


# WebSockets.

def more_sockets(t, url):
    """Clients that the others have not, with and without compression."""
    for client, how in (("tornado", ""), ("tornado", "deflate"), ("autobahn", ""), ("autobahn", "deflate"), ("autobahn", "1000")):
        t.call(PY, HERE / "sockets.py", client, url, how, keys=False)
    script = linked(t, "said.mjs")
    for command in (["node"], [bin_of_node("deno"), "run", "-A", "--unsafely-ignore-certificate-errors"], [bin_of_node("bun"), "run"]):
        t.call(*command, script, "call", url, keys=False)
    expect_socket(t, 8)


def socket_server(called, serve):
    @peer(f"tornado, autobahn, undici, Deno, Bun, server {called}")
    def talk(t):
        python_has("tornado", "autobahn")
        serve(t)
        more_sockets(t, WS)
    talk.__name__ = called


def by_tornado(*how):
    return lambda t: t.serve(PY, HERE / "sockets.py", "serve-tornado", PORT, *how, keys=False)


socket_server("tornado", by_tornado())
socket_server("tornado, compressed", by_tornado("deflate"))
socket_server("Deno", lambda t: t.serve(bin_of_node("deno"), "run", "-A", HERE / "said.mjs", "serve", PORT, keys=False))
socket_server("Granian", lambda t: t.serve(PY, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", PORT, "oracle:app", cwd=HERE, keys=False))
socket_server("ws", lambda t: ws_of_node(t, '{"threshold":0}'))


# In between.

def envoy(t, front, back, port=PORT):
    program = pathlib.Path(PY).parent / "envoy"
    if not program.exists():
        raise Missing("Envoy")
    cert, key = certificates(t)
    log = lambda where: f'"key_log": {{"path": "{t.keys}"}}' if where == "tls" else ""
    sealed = f"""transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context: {{alpn_protocols: [h2, http/1.1], {log("tls")},
            tls_certificates: [{{certificate_chain: {{filename: "{cert}"}}, private_key: {{filename: "{key}"}}}}]}}""" if front else ""
    upward = f"""transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context: {{alpn_protocols: [h2], {log("tls")}}}""" if back == "h2s" else ""
    options = "http2_protocol_options: {}" if back.startswith("h2") else "http_protocol_options: {}"
    node(t, back, port=BACK, keys=False)
    t.path("envoy.yaml", f"""static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - {sealed or "name: clear"}
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          codec_type: AUTO
          route_config: {{virtual_hosts: [{{name: a, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: b}}}}]}}]}}
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: b
    connect_timeout: 5s
    type: STATIC
    load_assignment: {{cluster_name: b, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {BACK}}}}}}}}}]}}]}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{{options}}}
    {upward}
""")
    t.serve(program, "-c", t.path("envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", port=port, keys=False)
    t.expect(TARGETS, times=2)


# Its fields go on with a request's id of their own.
@peer("curl, Envoy h2 TLS, to Node h2 TLS, keys by Envoy", steady=False)
def envoy_sealed(t):
    envoy(t, True, "h2s")
    curl(t, H1S, TARGETS, "--http2", keys=False)


@peer("curl, Envoy h2c, to Node h1", steady=False)
def envoy_clear(t):
    envoy(t, False, "h1")
    curl(t, H1, TARGETS, "--http2-prior-knowledge")


def nginx_behind(t, listen, port, body):
    need("nginx")
    places = "".join(f"{name}_temp_path {t.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    t.path("nginx.conf", f"""worker_processes 1; daemon off; pid {t.folder}/nginx.pid; error_log {t.folder}/error.log;
events {{ worker_connections 512; }}
http {{ access_log off; default_type text/plain; {places} server {{ listen 127.0.0.1:{port} {listen}; {body} }} }}""")
    t.serve("nginx", "-p", t.folder, "-c", t.path("nginx.conf"), port=port, keys=False)


def proxied(called, sent, listen):
    @peer(f"curl, HAProxy, {called} to nginx", steady=False)
    def talk(t):
        nginx_behind(t, listen + " proxy_protocol", BACK, f"root {files(t)};")
        t.path("haproxy.cfg", f"""defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen f
  bind 127.0.0.1:{PORT}
  server s 127.0.0.1:{BACK} {sent}
""")
        t.serve("haproxy", "-db", "-f", t.path("haproxy.cfg"), keys=False)
        t.expect(FILES, times=2)
        curl(t, H1, FILES, "--http1.1")
    talk.__name__ = sent


proxied("PROXY 1", "send-proxy", "")
proxied("PROXY 2", "send-proxy-v2 proxy-v2-options crc32c,unique-id", "")
proxied("PROXY 2 and h2", "send-proxy-v2 proto h2", "http2")


@peer("curl with PROXY 1, nginx h2 TLS", steady=False)
def proxied_tls(t):
    cert, key = certificates(t)
    nginx_behind(t, "ssl http2 proxy_protocol", PORT, f"root {files(t)}; ssl_certificate {cert}; ssl_certificate_key {key};")
    t.expect(FILES, times=2)
    curl(t, H1S, FILES, "--http2", "--haproxy-protocol")
    curl(t, H1S, FILES, "--http1.1", "--haproxy-protocol", "--tls-max 1.2")


@peer("curl, hitch TLS, PROXY 2 to Varnish", steady=False)
def hitch(t):
    need("hitch", "varnishd")
    certificates(t)
    node(t, "h1", port=THIRD)
    t.serve("varnishd", "-F", "-n", t.path("varnish"), "-a", f"127.0.0.1:{BACK},PROXY", "-b", f"127.0.0.1:{THIRD}", "-p", "feature=+http2", port=BACK,
            keys=False)
    t.serve("hitch", f"--frontend=[127.0.0.1]:{PORT}", f"--backend=[127.0.0.1]:{BACK}", "--write-proxy-v2=on", "--alpn-protos=h2,http/1.1", "-u", "nobody",
            t.path("both.pem"), keys=False)
    wanted = [target for target in TARGETS if "body=200000" not in target]
    t.expect(wanted, times=2)
    curl(t, H1S, wanted, "--http2")


# Browsers.

@peer("Firefox, Node h2s", steady=False)
def firefox(t):
    need("firefox", "certutil")
    targets = SIMPLE + ["/o/100?body=3000", "/o/5?body=200000"]
    hexes = {target: sha(target.encode()) for target in targets}
    t.path("page.html", f"""<!doctype html><title>waiting</title><script>(async () => {{
const targets = {targets}; const hex = {hexes};
await Promise.all(targets.map(async target => {{
  const body = Number(new URL(target, location).searchParams.get('body') ?? 0);
  const answer = await fetch(target, body ? {{ method: 'POST', body: hex[target].repeat(body / 64 + 1).slice(0, body) }} : {{}});
  await answer.arrayBuffer();
}}));
await fetch('/o/1?done');
}})();</script>""")
    for name, subject, more in (("ca", "/CN=oracle", []), ("leaf", "/CN=localhost", ["-CA", t.path("ca.pem"), "-CAkey", t.path("ca.key")])):
        t.call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject, "-keyout", t.path(name + ".key"), "-out",
               t.path(name + ".pem"), *more, *(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"] if more else []), keys=False)
    profile = t.path("profile")
    os.makedirs(profile)
    t.call("certutil", "-N", "--empty-password", "-d", "sql:" + profile, keys=False)
    t.call("certutil", "-A", "-n", "oracle", "-t", "C,,", "-d", "sql:" + profile, "-i", t.path("ca.pem"), keys=False)
    quiet = ["app.update.enabled", "datareporting.policy.dataSubmissionEnabled", "network.captive-portal-service.enabled", "network.connectivity-service.enabled"]
    t.path("profile/user.js", "".join(f'user_pref("{name}", false);\n' for name in quiet))
    t.serve("node", HERE / "oracle.mjs", "serve", "h2s", PORT, t.path("leaf.pem"), t.path("leaf.key"), keys=False, env={"PAGE": t.path("page.html")})
    t.path("home/.keep", "")
    t.call("timeout", "20", "firefox", "--headless", "--no-remote", "--profile", profile, f"https://localhost:{PORT}/page", codes=(),
           env={"HOME": t.path("home"), "MOZ_DISABLE_CONTENT_SANDBOX": "1"})
    t.expect(targets + ["/o/1?done", "/page"])


# What TLS can do besides.

def at_pauses(t, *parts, flags=()):
    """s_client that is told one part after another: it looks for its commands where a part begins."""
    said = "; ".join(f"printf '{part}'; sleep 0.3" for part in parts)
    told = t.call("sh", "-c", f'({said}) | timeout 9 "$@"', "sh", "openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-keylogfile", t.keys, *flags,
                  keys=False, codes=())
    return told


def asking(target, close=False):
    return f"GET {target} HTTP/1.1\\r\\nhost: localhost\\r\\n" + ("connection: close\\r\\n" if close else "") + "\\r\\n"


def asked_between(called, command, *flags):
    @peer(f"OpenSSL, {called} between requests, Node h1s")
    def talk(t):
        node(t, "h1s", keys=False)
        targets = ["/o/10", "/o/2000", "/o/70000", "/o/300"]
        t.expect(targets)
        told = at_pauses(t, asking(targets[0]), command, asking(targets[1]), command, command, asking(targets[2]), asking(targets[3], True), flags=flags)
        holds(told, targets)
    talk.__name__ = called


asked_between("a KeyUpdate that is asked back", "K\\n", "-tls1_3")
asked_between("a KeyUpdate", "k\\n", "-tls1_3")
asked_between("renegotiation", "R\\n", "-tls1_2")


@peer("OpenSSL, early data, nginx", steady=False)
def early_nginx(t):
    cert, key = certificates(t)
    nginx_behind(t, "ssl", PORT, f"root {files(t)}; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_early_data on; ssl_ecdh_curve P-256:P-384; ssl_session_cache shared:s:1m;")
    request = lambda target, close: asking(target, close).replace("\\r\\n", "\r\n")
    t.path("early", request("/o/2000", False))
    t.path("long", "".join(request("/o/300", False) for _ in range(40)))
    t.expect(["/o/10"])
    holds(at_pauses(t, asking("/o/10", True), flags=["-ign_eof", "-tls1_3", "-groups", "P-256", "-sess_out", t.path("session")]), ["/o/10"])
    for early, targets in (("early", ["/o/2000"]), ("long", ["/o/300"] * 40), ("early", ["/o/2000"])):
        t.expect(targets + ["/o/10"])
        flags = ["-ign_eof", "-tls1_3", "-groups", "P-256", "-sess_in", t.path("session"), "-sess_out", t.path("session"), "-early_data", t.path(early)]
        holds(at_pauses(t, asking("/o/10", True), flags=flags), targets[:1] + ["/o/10"])
    # Another group than the one that is offered: the early data is passed over, and said again by nobody.
    t.expect(["/o/10"])
    at_pauses(t, asking("/o/10", True), flags=["-ign_eof", "-tls1_3", "-sess_in", t.path("session"), "-early_data", t.path("early"), "-groups", "X25519:P-256"])


# The replay has one certificate from the start, and none here.
@peer("curl, Apache, which asks for a certificate late", steady=False)
def late_certificates(t):
    cert, key = certificates(t)
    folder = "\n".join(f"<Location {target}>\nSSLVerifyClient optional_no_ca\nSSLVerifyDepth 3\n</Location>" for target in ("/o/2000", "/o/70000"))
    apache(t, f"Protocols http/1.1\nSSLEngine on\nSSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\nSSLProtocol all\nKeepAlive On\n{folder}")
    for version in ("1.2", "1.3"):
        t.expect(FILES)
        curl(t, H1S, FILES, "--http1.1", f"--tls-max {version}", f"--tlsv{version}", f"--cert {t.path('ec.pem')}", f"--key {t.path('ec.key')}", parallel=False)


# gRPC by an engine of its own.

def grpclib_calls(t, target, cert=None):
    python_has("grpclib")
    t.call(PY, HERE / "calls_grpclib.py", "call", target.rsplit(":", 1)[1], *([cert] if cert else []), keys=False)


@peer("grpclib, server of grpcio")
def grpclib_client(t):
    python_has("grpc")
    t.serve(PY, HERE / "calls.py", "serve", PORT, keys=False)
    expect_calls(t)
    grpclib_calls(t, f"127.0.0.1:{PORT}")


@peer("grpclib, server of grpc-js TLS")
def grpclib_js(t):
    js_server(t, True)
    expect_calls(t)
    grpclib_calls(t, f"127.0.0.1:{PORT}", t.path("rsa.pem"))


@peer("grpclib, grpcio, server of grpclib")
def grpclib_server(t):
    python_has("grpclib")
    t.serve(PY, HERE / "calls_grpclib.py", "serve", PORT, keys=False)
    expect_calls(t)
    grpclib_calls(t, f"127.0.0.1:{PORT}")
    expect_calls(t)
    python_calls("sync")(t, f"127.0.0.1:{PORT}")


@peer("grpclib, grpc-js, server of grpclib TLS")
def grpclib_sealed(t):
    python_has("grpclib")
    cert, key = certificates(t)
    t.serve(PY, HERE / "calls_grpclib.py", "serve", PORT, cert, key)
    expect_calls(t)
    grpclib_calls(t, f"127.0.0.1:{PORT}", cert)
    expect_calls(t)
    js_calls(t, f"127.0.0.1:{PORT}", cert)
