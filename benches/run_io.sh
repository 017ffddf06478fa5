#!/usr/bin/env bash
# How often `run` reads and writes a recording, and what reading it costs in each form: bytes that pass through read and write calls
# (/proc/PID/io), beside the recording's length; CPU seconds and the share of them that sending the same requests alone takes.
# nginx is v2, with one fixed answer as long as v1's.
#   benches/run_io.sh [PROGRAM] [EXCHANGES] [ROUNDS]
# Checks that all requests were answered, and that what goes into frames comes back byte by byte. Needs nginx, python3.
set -euo pipefail
program=$(realpath "${1:-target/release/shadowtap}")
exchanges=${2:-100000}
rounds=${3:-3}
work=$(mktemp -d "${TMPDIR:-/tmp}/shadowtap-io.XXXXXX")
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
command -v nginx >/dev/null || { echo "nginx is not here: nothing to send to"; exit 0; }

# A catalogue: answers of 1.5 kB of JSON, twenty requests a connection.
python3 - "$exchanges" "$work" <<'PY'
import json, sys
count, work = int(sys.argv[1]), sys.argv[2]
body = json.dumps({"items": [{"sku": f"A-{n:04d}", "name": "teapot, \"brown\"", "price": n / 4, "stock": n} for n in range(24)]})
open(f"{work}/body", "w").write(body)
time = lambda n: f"2026-11-22T10:{n // 60_000 % 60:02d}:{n // 1_000 % 60:02d}.{n % 1_000:03d}000000Z"
compact = dict(separators=(",", ":"))
with open(f"{work}/v1.jsonl", "w") as out:
    print(json.dumps({"format": "shadowtap/exchanges", "version": 1, "created": time(0), "tool": "bench", "inputs": ["v1.pcap"]}, **compact), file=out)
    for n in range(count):
        print(json.dumps({"id": f"{n // 20}-{n % 20}", "connection": n // 20, "client": f"10.0.0.9:{20_000 + n // 20 % 40_000}", "server": "10.0.0.1:8080",
            "protocol": "http/1", "completeness": "complete",
            "request": {"at": time(n), "duration_ns": 0, "method": "GET", "target": f"/catalogue/{n % 500}", "version": "1.1",
                "headers": [["Host", "shop.example"], ["Accept", "application/json"], ["User-Agent", "bench/1"]], "body": None, "body_bytes": 0,
                "framing": "none", "trailers": []},
            "response": {"first_byte_ns": 1_000_000, "last_byte_ns": 1_000_000, "status": 200, "reason": "OK", "version": "1.1",
                "headers": [["Content-Type", "application/json"], ["Content-Length", str(len(body))]], "body": {"utf8": body}, "body_bytes": len(body),
                "framing": "content-length", "trailers": []}, "interim": []}, **compact), file=out)
    print(json.dumps({"format": "shadowtap/end", "exchanges": count, "ledger": {"in": count, "used": count}}, **compact), file=out)
PY
# Every lane keeps a connection: nginx has to hold as many, beside a few of its own.
connections=$((exchanges / 20 + 1024))
ulimit -n "$(ulimit -Hn)" || true
cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections $connections; }
http { access_log off; keepalive_requests 10000000; client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3;
  uwsgi_temp_path $work/4; scgi_temp_path $work/5; default_type application/json;
  server { listen 127.0.0.1:18946; location / { root $work; try_files /body =404; } } }
CONF
nginx -c "$work/nginx.conf" -e "$work/nginx.log" &
server=$!
for _ in $(seq 100); do
    (exec 3<>/dev/tcp/127.0.0.1/18946) 2>/dev/null && break
    sleep 0.1
done
length=$(stat -c %s "$work/v1.jsonl")
echo "$exchanges exchanges, $((length / 1000000)) MB"

# Bytes read and written, CPU and wall seconds of one command: its shell counts what its children did.
measured() { # name command...
    local name=$1
    shift
    bash -c '"$@" >"$0.out" 2>"$0.err"; code=$?; cat "/proc/$$/io" >"$0.io"; times >"$0.times"; exit $code' "$work/$name" "$@" ||
        { code=$?; [ $code = 1 ] || [ $code = 5 ] || { echo "$name ended with $code"; cat "$work/$name.err"; exit 1; }; }
    python3 - "$work/$name" "$name" "$length" <<'PY'
import re, sys
at, name, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
io = dict(line.split(": ") for line in open(f"{at}.io"))
cpu = sum(int(m) * 60 + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", open(f"{at}.times").read().splitlines()[1]))
print(f"{name:<22} read {int(io['rchar']) / length:6.2f} times, wrote {int(io['wchar']) / length:6.2f} times, {cpu:6.2f} s of CPU")
PY
}

target=http://127.0.0.1:18946
for ((round = 0; round < rounds; round++)); do
    rm -rf "$work/out" "$work/replayed"
    measured run "$program" -q run "$work/v1.jsonl" --target "$target" --speed max -o "$work/out"
    answered=$(grep -c '"status":200' "$work/out/outcomes.jsonl")
    [ "$answered" = "$exchanges" ] || { echo "$answered of $exchanges requests were answered"; exit 1; }
    measured report "$program" -q report "$work/out"
    measured gate "$program" -q gate "$work/out"
    measured replay "$program" -q replay "$work/v1.jsonl" --target "$target" --speed max --bind off --order connection -o "$work/replayed"
    measured parse-to-frames "$program" -q parse "$work/v1.jsonl" -o "$work/v1.stx"
    measured parse-from-frames "$program" -q parse "$work/v1.stx" -o "$work/back.jsonl"
    # As far as the program's own writer writes it.
    [ -e "$work/own.jsonl" ] || "$program" -q parse "$work/v1.jsonl" -o "$work/own.jsonl"
    cmp <(tail -n +2 "$work/back.jsonl") <(tail -n +2 "$work/own.jsonl") || { echo "frames hold something else"; exit 1; }
    measured inspect-lines "$program" -q inspect --no-flows "$work/v1.jsonl"
    measured inspect-frames "$program" -q inspect --no-flows "$work/v1.stx"
done
echo "frames take $(($(stat -c %s "$work/v1.stx") * 100 / length)) % of the lines' bytes"
