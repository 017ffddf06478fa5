#!/usr/bin/env bash
# Peak memory of a replay of 100,000 and of 5,000,000 exchanges (15 GB of free disk): memory.sh [SMALL] [LARGE]
source "$(dirname "$0")/lib.sh"
start_nginx
for requests in "${1:-100000}" "${2:-5000000}"; do
    python3 "$here/trace.py" "$requests" 20000 500 3 "$work/trace.jsonl"
    python3 "$here/cost.py" "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port" --speed max -o "$work/run" --force \
        > "$work/out" 2> "$work/err"
    awk -v n="$requests" '/^cost / { printf "%d exchanges: peak %.0f MB, %.1f s\n", n, $5 / 1024, $4 }' "$work/err"
    rm -rf "$work/run"
done
