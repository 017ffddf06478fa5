#!/usr/bin/env python3
"""The commands of deploy/kubernetes/README.md as a real kubectl sends them, against an API server of this script's own that knows the kinds and
keeps what it is sent: objects are applied, the ephemeral container is what the guide wants, patches fit. It enforces nothing. Ends with 1
where a command fails or asks for something else.

    benches/cluster/kubectl.py          # needs kubectl, PyYAML
"""
import http.server, json, os, pathlib, re, subprocess, sys, tempfile, threading
from urllib.parse import urlsplit

from checks import check, failed

TOP = pathlib.Path(__file__).resolve().parents[2]
GROUPS = {"v1": [("namespaces", "Namespace", False), ("pods", "Pod", True), ("services", "Service", True),
                 ("serviceaccounts", "ServiceAccount", True), ("configmaps", "ConfigMap", True), ("secrets", "Secret", True)],
          "apps/v1": [("deployments", "Deployment", True), ("daemonsets", "DaemonSet", True)],
          "batch/v1": [("jobs", "Job", True)],
          "networking.k8s.io/v1": [("networkpolicies", "NetworkPolicy", True)],
          "networking.istio.io/v1": [("virtualservices", "VirtualService", True), ("serviceentries", "ServiceEntry", True)],
          "networking.istio.io/v1alpha3": [("envoyfilters", "EnvoyFilter", True)]}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
objects, patches = {}, []


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def resources(self, version):
        rows = [{"name": name, "singularName": kind.lower(), "namespaced": own, "kind": kind, "verbs": VERBS} for name, kind, own in GROUPS[version]]
        if version == "v1":
            rows.append({"name": "pods/ephemeralcontainers", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get", "patch", "update"]})
        self.say(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": rows})

    def do_GET(self):
        path = urlsplit(self.path).path.rstrip("/")
        if path == "/version":
            return self.say(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0"})
        if path == "/api":
            return self.say(200, {"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            named = {}
            for version in GROUPS:
                if "/" in version:
                    named.setdefault(version.split("/")[0], []).append({"groupVersion": version, "version": version.split("/")[1]})
            groups = [{"name": name, "versions": versions, "preferredVersion": versions[0]} for name, versions in named.items()]
            return self.say(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        for version in GROUPS:
            if path in (f"/api/{version}", f"/apis/{version}"):
                return self.resources(version)
        found = objects.get(path)
        self.say(200, found) if found else self.missing(path)

    def missing(self, path):
        self.say(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                       "message": f"{path} not found", "details": {"name": path.rsplit("/", 1)[1]}})

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def do_POST(self):
        value, path = self.body(), urlsplit(self.path).path
        objects[f"{path}/{value['metadata']['name']}"] = value
        self.say(201, value)

    def do_PATCH(self):
        value, path = self.body(), urlsplit(self.path).path
        own = path.removesuffix("/ephemeralcontainers")
        if own not in objects:
            return self.missing(path)
        patches.append((path, self.headers["content-type"], value))
        self.say(200, objects[own])

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as home:
        config = pathlib.Path(home) / "config"
        config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x", "users": [{"name": "x", "user": {"token": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}))
        environment = {**os.environ, "KUBECONFIG": str(config), "HOME": home}
        guide = (TOP / "deploy/kubernetes/README.md").read_text().replace("\\\n", " ")
        shell = "\n".join(re.findall(r"```sh\n(.*?)```", guide, re.S))

        def does(start, more=""):
            """Runs the only command of the guide that begins so."""
            lines = [line.strip() for line in shell.splitlines() if start in line]
            line = re.split(r" && | \|\| |\s+#|\s+>", lines[0][lines[0].index(start):])[0]
            done = subprocess.run(["bash", "-c", f"{line} {more}"], cwd=TOP, env=environment, capture_output=True, text=True, timeout=60)
            check(line[:150], done.returncode == 0, done.stderr.strip()[-400:])

        for folder in ("demo", "tap", "v2", "replay", "shards"):
            does(f"kubectl apply -k deploy/kubernetes/{folder}", "--validate=false")
        does("kubectl apply -f deploy/kubernetes/istio/tap-filter.yaml", "--validate=false")
        kinds = {value["kind"] for value in objects.values()}
        check(f"{len(objects)} objects were made", {"DaemonSet", "Deployment", "Job", "Service", "NetworkPolicy", "EnvoyFilter"} <= kinds, kinds)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "v1-7d4b9", "namespace": "shop"},
               "spec": {"containers": [{"name": "shop", "image": "x"}]}}
        objects["/api/v1/namespaces/shop/pods/v1-7d4b9"] = pod
        objects["/apis/networking.istio.io/v1/namespaces/shop/virtualservices/shop"] = {
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"http": [{"route": [{"destination": {"host": "v1"}}]}]}}
        does("kubectl -n shop debug pod/v1-7d4b9")
        path, _, value = patches[-1]
        [container] = value["spec"]["ephemeralContainers"]
        wanted = json.loads((TOP / "deploy/kubernetes/ephemeral.json").read_text())
        check("the ephemeral container has the rights of ephemeral.json", container["securityContext"] == wanted["securityContext"],
              container["securityContext"])
        check("it waits, and the image's own program is not asked to", path.endswith("/ephemeralcontainers") and container["command"][0] == "sleep"
              and "args" not in container, container)
        does("kubectl -n shop patch virtualservice shop")
        does("kubectl -n staging patch job shadowtap-merge")
        check("the merge is let go", patches[-1][2] == {"spec": {"suspend": False}}, patches[-1])
    sys.exit(1 if failed else 0)


main()
