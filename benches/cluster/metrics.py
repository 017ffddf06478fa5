#!/usr/bin/env python3
"""A real Prometheus scrapes a tap, a mock and a replay while they run, and evaluates the alert rules: every series that a panel of the
dashboard asks for must be there, v1's requests must be counted as they are replayed, in each loop anew, and the replay must keep its
figures until they were scraped; what was pushed onto a real Pushgateway must be the same. Ends with 1 where not. Runs as root on loopback, for half a minute.

    benches/cluster/metrics.py [SHADOWTAP]         # needs prometheus and prometheus-pushgateway (apt-get install), PyYAML
"""
import contextlib, json, pathlib, shutil, signal, subprocess, sys, tempfile, time, urllib.parse, urllib.request

import yaml

from checks import check, failed, free

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "target/release/shadowtap").resolve())
WORK = pathlib.Path(tempfile.mkdtemp(prefix="metrics-"))
started = []


def start(name, *words):
    log = open(WORK / f"{name}.log", "w")
    started.append(subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, cwd=WORK))
    return started[-1]


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode(), answer.headers.get_content_type()


def until(what, is_so, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if is_so():
                return
        time.sleep(0.2)
    raise SystemExit(f"never: {what}; look at {WORK}")


def main():
    v2, tap, mock, replay, prometheus, gateway = (free() for _ in range(6))
    # As the PodMonitor has them: which port, which path.
    jobs = [("replay", replay, "/metrics"), ("tap", tap, "/metrics"), ("mock", mock, "/-/shadowtap/metrics")]
    told = {endpoint["path"] for endpoint in yaml.safe_load((TOP / "deploy/prometheus/pod-monitor.yaml").read_text())["spec"]["podMetricsEndpoints"]}
    check("the PodMonitor asks at these paths", told == {path for _, _, path in jobs}, told)
    rules = yaml.safe_load((TOP / "deploy/prometheus/rules.yaml").read_text())["spec"]
    (WORK / "rules.yml").write_text(yaml.safe_dump(rules))
    (WORK / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": name, "metrics_path": path, "static_configs": [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"pod": name}}]} for name, port, path in jobs]}))
    start("prometheus", "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={WORK}/data",
          f"--web.listen-address=127.0.0.1:{prometheus}")
    start("gateway", "prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{gateway}")
    start("v2", PROGRAM, "-q", "demo", "serve", "v2", "--listen", f"127.0.0.1:{v2}", "--provider", f"127.0.0.1:{mock}")
    start("mock", PROGRAM, "-q", "mock", TOP / "captures/demo.pcap", "--listen", f"127.0.0.1:{mock}")
    start("tap", PROGRAM, "-q", "capture", "-i", "lo", "--port", v2, "-o", "tap.pcap", "--metrics", f"127.0.0.1:{tap}")
    ask = lambda path: get(f"http://127.0.0.1:{prometheus}{path}")[0]
    until("Prometheus is ready", lambda: "eady" in ask("/-/ready"))
    until("v2 listens", lambda: "listening" in (WORK / "v2.log").read_text())
    query = lambda text: json.loads(ask("/api/v1/query?" + urllib.parse.urlencode({"query": text})))["data"]["result"]
    up = lambda name: any(series["value"][1] == "1" for series in query(f'up{{job="{name}"}}'))
    until("the tap and the mock are scraped", lambda: up("tap") and up("mock"))
    run = start("run", PROGRAM, "-q", "run", TOP / "captures/demo.pcap", "--target", f"http://127.0.0.1:{v2}", "--unsafe-methods",
                "--allow-captured-server", "--host", "shop.example", "--loop", "2", "-o", "run", "--metrics", f"127.0.0.1:{replay}",
                "--metrics-linger", "60s", "--metrics-push", f"http://127.0.0.1:{gateway}/metrics/job/shop/instance/ci-7")
    until("the replay is scraped", lambda: query('shadowtap_requests_total{version="v2"}'))
    # In its first loop, v1's requests are counted as far as they were replayed, not all that were read.
    far = lambda version: sum(float(series["value"][1]) for series in query(f'shadowtap_requests_total{{version="{version}"}}'))
    kind = get(f"http://127.0.0.1:{replay}/metrics")[1]
    check("figures are OpenMetrics", kind == "application/openmetrics-text", kind)
    early = (far("v1"), far("v2"))
    time.sleep(6)
    board = json.loads((TOP / "deploy/grafana/shadowtap.json").read_text())
    ended = run.wait(180)
    check("the replay ends with a verdict once its figures were scraped", ended in (0, 1, 5), (WORK / "run.log").read_text()[-500:])
    outcomes = [json.loads(line) for line in (WORK / "run/outcomes.jsonl").open()]
    sent = sum(1 for outcome in outcomes if outcome.get("sent_ns") is not None)
    last = lambda version: sum(float(series["value"][1]) for series in query(f'last_over_time(shadowtap_requests_total{{version="{version}"}}[2m])'))
    check("the last scrape has the verdict", query("last_over_time(shadowtap_verdict[2m])"))
    check(f"v2's requests of both loops are counted: {sent}", last("v2") == sent, last("v2"))
    check("v1's requests are counted as they are replayed, in each loop anew", last("v1") == sent and early[0] < sent and early[0] > 0,
          (early, last("v1"), sent))
    pushed = get(f"http://127.0.0.1:{gateway}/metrics")[0].splitlines()
    of_group = [line for line in pushed if line.startswith("shadowtap_") and 'instance="ci-7",job="shop"' in line]
    count = lambda version: sum(float(line.rsplit(" ", 1)[1]) for line in of_group
                                if line.startswith("shadowtap_requests_total{") and f'version="{version}"' in line)
    check("the Pushgateway has the last figures", (count("v1"), count("v2")) == (sent, sent), (count("v1"), count("v2"), sent))
    check("with the verdict", any(line.startswith("shadowtap_verdict{") for line in of_group), of_group[:3])
    kinds = {line for line in pushed if line.startswith("# TYPE shadowtap_")}
    for kind in ("requests_total counter", "build_info gauge", "request_duration_seconds histogram"):
        check(f"there it is a {kind}", f"# TYPE shadowtap_{kind}" in kinds, sorted(kinds))
    named = {series["metric"]["job"] for series in query("last_over_time(shadowtap_build_info[2m])")}
    check("what runs is named", named == {"replay", "tap", "mock"}, named)
    for panel in board["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "2m").replace("$route", ".*")
            if "[2m]" not in expression:
                # What is gone is asked for as it was.
                for name in ("shadowtap_in_flight", "shadowtap_waiting_files", "shadowtap_waiting", "shadowtap_differences", "shadowtap_verdict"):
                    if f"({name})" in expression:
                        expression = expression.replace(name, f"last_over_time({name}[2m])")
            found = query(expression)
            # A tap that writes to no store has no files that wait for one.
            expected = "waiting_files" not in expression and "failures_total" not in expression
            check(f"{panel['title']}: {target['legendFormat']}", bool(found) or not expected, expression)
    groups = json.loads(ask("/api/v1/rules"))["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    check(f"alert rules are evaluated: {', '.join(health)}", health and set(health.values()) == {"ok"}, health)


if __name__ == "__main__":
    try:
        main()
    finally:
        for process in reversed(started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
        if failed or sys.exc_info()[0]:
            print(f"left for a look: {WORK}")
        else:
            shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(1 if failed else 0)
