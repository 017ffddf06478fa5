#!/usr/bin/env bash
# Two released versions of a real application, compared: httpbin 0.7.0 (2018) against 0.10.2 (2024), and each against itself, where there
# must be no regression. Clusters are printed; what was thought of each stands in benches/diff/README.md.
#   benches/diff/httpbin.sh [PROGRAM] [FOLDER]
# FOLDER keeps the environments, captures and runs (a temporary one is removed). Needs the right to capture on loopback, and python3 with
# venv and pip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${1:-target/release/shadowtap}")
if [ $# -ge 2 ]; then mkdir -p "$2" && work=$(realpath "$2"); else work=$(mktemp -d); fi
keep=${2:-}
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    [ -n "$keep" ] || rm -rf "$work"
}
trap cleanup EXIT

# The old version needs the libraries of its time.
environment() { # name requirements...
    local folder=$work/$1
    shift
    [ -x "$folder/bin/gunicorn" ] && return
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check gunicorn "$@"
}
environment 0.7.0 httpbin==0.7.0 'flask<2' 'werkzeug<1' 'jinja2<3' 'itsdangerous<2' 'markupsafe<2.1' 'flasgger<0.9.6' 'click<8'
environment 0.10.2 httpbin==0.10.2

# Starts a version on a port of the system's choice; its address is then in $address.
start() { # version
    local log
    log=$(mktemp -p "$work" gunicorn.XXXX)
    HOME=$work "$work/$1/bin/gunicorn" -b 127.0.0.1:0 -w 1 --threads 8 --keep-alive 30 httpbin:app >"$log" 2>&1 &
    pids+=($!)
    for _ in $(seq 200); do grep -q 'Listening at' "$log" && break; sleep 0.05; done
    address=$(sed -n 's|.*Listening at: http://\([0-9.:]*\).*|\1|p' "$log")
    [ -n "$address" ] || { cat "$log"; exit 1; }
    for _ in $(seq 200); do curl -s -o /dev/null "http://$address/get" && return; sleep 0.05; done
    echo "httpbin $1 does not answer"; exit 1
}

record() { # version
    start "$1"
    "$program" -q capture -i lo --port "${address#*:}" -o "$work/$1.pcap" --force >"$work/$1.capture" 2>&1 &
    local tap=$!
    sleep 1
    python3 "$here/httpbin_clients.py" "${address%:*}" "${address#*:}"
    sleep 0.5
    kill -INT "$tap"
    wait "$tap"
}

compare() { # recorded-version version
    start "$2"
    local run=$work/run-$1-$2 code=0
    "$program" -q run "$work/$1.pcap" --target "http://$address" --unsafe-methods --no-marker --force -o "$run" >"$run.log" 2>&1 || code=$?
    [ "$code" -le 1 ] || [ "$code" = 5 ] || { cat "$run.log"; exit "$code"; }
    echo "== httpbin $1 → $2"
    "$program" -q diff "$run"
}

record 0.7.0
record 0.10.2
compare 0.7.0 0.10.2
for version in 0.7.0 0.10.2; do
    compare "$version" "$version"
    ! grep -q '"class":"regression"' "$work/run-$version-$version/clusters.jsonl" || { echo "httpbin $version differs from itself"; exit 1; }
done
