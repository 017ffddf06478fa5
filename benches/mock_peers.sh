#!/usr/bin/env bash
# The egress mock on one core with 100,000 recorded calls: requests a second flat out, and latency at 5,000 a second; mitmproxy's server
# replay and WireMock beside it with the same calls, each told to match in the way that is easiest for it. Every answer of ours is checked
# to be the recorded one.
#   benches/mock_peers.sh [PROGRAM] [CALLS] [SECONDS]
# Needs taskset, wrk, python3. Each comparison is left out where its tool is not there: mitmdump (pip install mitmproxy), and java with
# WIREMOCK=wiremock-standalone.jar (in npm's package wiremock). WireMock looks through all its calls for each request and does not come up
# with 100,000 in minutes: it gets the first 1,000 (WIREMOCK_CALLS), and so do we once more beside it.
set -euo pipefail
program=$(realpath "${1:-target/release/shadowtap}")
calls=${2:-100000}
seconds=${3:-10}
work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

# Charges with a reference each and an idempotency key each; the answer names the reference.
python3 - "$calls" >"$work/calls.jsonl" <<'PY'
import json, sys, uuid, random
random.seed(7)
print(json.dumps({"format": "shadowtap/exchanges", "version": 1, "created": "2026-11-22T10:00:00.000000000Z"}))
for n in range(int(sys.argv[1])):
    body = json.dumps({"amount": 100 + n % 900, "currency": "EUR", "reference": f"c-{n:08d}", "capture": True,
                       "key": str(uuid.UUID(int=random.getrandbits(128), version=4))}, separators=(",", ":"))
    answer = json.dumps({"charge": f"ch-{n:08d}", "status": "succeeded"})
    print(json.dumps({"id": f"{n // 100}-{n % 100}", "client": f"10.0.0.1:{20000 + n // 100}", "server": "192.0.2.7:80",
        "completeness": "complete",
        "request": {"at": f"2026-11-22T10:{n // 60000 % 60:02d}:{n // 1000 % 60:02d}.{n % 1000:03d}000000Z", "method": "POST", "target": "/v1/charges",
            "version": "1.1", "headers": [["Host", "payments.example"], ["Content-Type", "application/json"], ["Content-Length", str(len(body))]],
            "body": {"utf8": body}, "framing": "content-length"},
        "response": {"first_byte_ns": 1000000, "last_byte_ns": 1000000, "status": 200, "version": "1.1",
            "headers": [["Content-Type", "application/json"], ["Content-Length", str(len(answer))]], "body": {"utf8": answer}, "framing": "content-length"},
        "interim": []}, separators=(",", ":")))
PY

# Each thread draws references at random; a new key each time, so that no request equals its recorded one byte for byte.
load() { # calls
cat >"$work/load.lua" <<LUA
local made = 0
function setup(thread) made = made + 1; thread:set("id", made) end
function init(args) math.randomseed(id * 7919); fields = { ["Host"] = "payments.example", ["Content-Type"] = "application/json" } end
function request()
  local n = math.random(0, $1 - 1)
  local body = string.format('{"amount":%d,"currency":"EUR","reference":"c-%08d","capture":true,"key":"%08x-0000-4000-8000-%012x"}',
    100 + n % 900, n, math.random(0, 2147483647), math.random(0, 2147483647))
  return wrk.format("POST", "/v1/charges", fields, body)
end
function response(status, headers, body)
  if status ~= 200 or not body:find('"ch%-') then wrk.thread:stop() end
end
LUA
}
load "$calls"

# Paced requests at a fixed rate over 32 connections. Python itself and the machine add to the latency: what they add is seen at nginx,
# which answers the same requests with one fixed answer, in turn.
cat >"$work/paced.py" <<'PY'
import asyncio, random, sys, time
host, port, rate, seconds, calls, check = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), sys.argv[6] == "check"
took = []
async def lane(number, lanes):
    reader, writer = await asyncio.open_connection(host, port)
    rnd, start, due = random.Random(number), time.perf_counter() + 0.2, 0.0
    step = lanes / rate
    due = step * number / lanes
    while due < seconds:
        wait = start + due - time.perf_counter()
        if wait > 0: await asyncio.sleep(wait)
        sent = time.perf_counter()
        n = rnd.randrange(calls)
        body = '{"amount":%d,"currency":"EUR","reference":"c-%08d","capture":true,"key":"%08x-0000-4000-8000-%012x"}' % (100 + n % 900, n, rnd.getrandbits(31), rnd.getrandbits(40))
        writer.write(("POST /v1/charges HTTP/1.1\r\nHost: payments.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
        answer = await reader.readexactly(length)
        took.append(time.perf_counter() - sent)
        assert not check or b"ch-%08d" % n in answer, (n, head, answer)
        due += step
    writer.close()
async def main():
    await asyncio.gather(*(lane(number, 32) for number in range(32)))
    took.sort()
    at = lambda q: took[min(len(took) - 1, int(len(took) * q))] * 1e3
    print(f"{at(.5):.3f} {at(.99):.3f} {len(took) / seconds:.0f}")
asyncio.run(main())
PY

measure() { # name port
    taskset -c 1 wrk -t1 -c32 -d"${seconds}s" -s "$work/load.lua" "http://127.0.0.1:$2" >"$work/$1.txt"
    ! grep -q 'Non-2xx' "$work/$1.txt" || { cat "$work/$1.txt"; echo "$1 gave other answers than the recorded ones"; exit 1; }
    awk -v name="$1" '/Requests\/sec/ { print name ": " $2 " requests/s on one core" }' "$work/$1.txt"
}

taskset -c 0 "$program" mock "$work/calls.jsonl" --listen 127.0.0.1:0 --mock-threads 1 --provider payments.example 2>"$work/mock.err" >"$work/mock.out" &
pids+=($!)
for _ in $(seq 300); do grep -q 'listening on' "$work/mock.err" && break; sleep 0.1; done
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\),.*/\1/p' "$work/mock.err")
measure shadowtap "$port"
paced() { taskset -c 1 python3 "$work/paced.py" 127.0.0.1 "$1" 5000 "$seconds" "$calls" "$2"; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
if command -v nginx >/dev/null; then
    cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events { }
http { access_log off; keepalive_requests 10000000; client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3;
  uwsgi_temp_path $work/4; scgi_temp_path $work/5;
  server { listen 127.0.0.1:18945; location / { default_type application/json; return 200 '{"charge":"ch-00000000","status":"succeeded"}'; } } }
CONF
    taskset -c 0 nginx -c "$work/nginx.conf" -e "$work/nginx.log" &
    pids+=($!)
    sleep 1
    for _ in 1 2 3 4 5; do
        paced "$port" check >>"$work/ours"
        paced 18945 any >>"$work/theirs"
    done
    for what in ours theirs; do
        echo "at 5,000/s, median of five: $([ $what = ours ] && echo shadowtap || echo "nginx's one fixed answer"):" \
            "p50 $(cut -d' ' -f1 "$work/$what" | median) ms, p99 $(cut -d' ' -f2 "$work/$what" | median) ms, $(cut -d' ' -f3 "$work/$what" | median)/s"
    done
else
    paced "$port" check | awk '{ print "at 5,000/s: p50 " $1 " ms, p99 " $2 " ms (nginx is not here to compare with)" }'
fi
echo "shadowtap: $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/${pids[0]}/status") MiB at most"

peer_of_java() {
    [ -n "${WIREMOCK:-}" ] && command -v java >/dev/null || { echo "WireMock is not here (WIREMOCK=…jar, java): no comparison"; return 0; }
    mkdir -p "$work/wiremock/mappings"
    # It looks for the reference in the body's text, and keeps no journal.
    local few=${WIREMOCK_CALLS:-1000}
    load "$few"
    measure "shadowtap, the first $few calls asked for" "$port"
    python3 - "$work/calls.jsonl" "$few" >"$work/wiremock/mappings/all.json" <<'PY'
import json, sys
mappings = []
for line in list(open(sys.argv[1]))[1:int(sys.argv[2]) + 1]:
    call = json.loads(line)
    reference = json.loads(call["request"]["body"]["utf8"])["reference"]
    mappings.append({"request": {"method": "POST", "url": "/v1/charges", "bodyPatterns": [{"contains": reference}]},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": call["response"]["body"]["utf8"]}})
print(json.dumps({"mappings": mappings}))
PY
    taskset -c 0 java -jar "$WIREMOCK" --port 18944 --root-dir "$work/wiremock" --no-request-journal --disable-banner --bind-address 127.0.0.1 >"$work/wiremock.log" 2>&1 &
    pids+=($!)
    local ready=
    for _ in $(seq 600); do curl -s -o /dev/null -m 1 http://127.0.0.1:18944/__admin/health && ready=1 && break; sleep 0.2; done
    if [ -n "$ready" ]; then measure "wiremock, $few calls" 18944; else echo "WireMock did not come up with $few calls in three minutes: no comparison"; fi
    kill "${pids[-1]}" 2>/dev/null || true
    load "$calls"
}
peer_of_java

command -v mitmdump >/dev/null || { echo "mitmproxy is not here: no comparison"; exit 0; }
mitm_python=$(sed -n '1s/^#!//p' "$(command -v mitmdump)")
# mitmproxy compares whole bodies, so it is told to leave the body out and to reuse answers: the easiest case for it.
"$mitm_python" - "$work/calls.jsonl" "$work/flows" <<'PY'
import json, sys
from mitmproxy import http, io
from mitmproxy.test import tflow
with open(sys.argv[2], "wb") as out:
    writer = io.FlowWriter(out)
    for line in list(open(sys.argv[1]))[1:]:
        call = json.loads(line)
        request = http.Request.make("POST", "http://payments.example/v1/charges", call["request"]["body"]["utf8"], {"content-type": "application/json"})
        response = http.Response.make(200, call["response"]["body"]["utf8"], {"content-type": "application/json"})
        writer.add(tflow.tflow(req=request, resp=response))
PY
taskset -c 0 mitmdump -q --mode reverse:http://payments.example@18943 --server-replay "$work/flows" --set server_replay_reuse=true \
    --set server_replay_ignore_content=true --set server_replay_extra=500 --set connection_strategy=lazy >/dev/null 2>&1 &
pids+=($!)
for _ in $(seq 600); do curl -s -o /dev/null -m 1 -X POST -H 'Host: payments.example' http://127.0.0.1:18943/v1/charges && break; sleep 0.2; done
measure mitmproxy 18943
