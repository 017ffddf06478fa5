#!/usr/bin/env bash
# CPU seconds of the client per 100,000 small streams of HTTP/2 on 20 connections, ten at a time on each, beside h2load.
# cost.sh [STREAMS] [RUNS]
source "$(dirname "$0")/../replay/lib.sh"
bench=$top/benches/replay
streams=${1:-200000}
runs=${2:-5}
start_nginx
# At 100,000 a second each connection has 5,000, and each of them takes 2 ms: ten at a time.
python3 "$bench/trace.py" "$streams" 100000 20 7 "$work/trace.jsonl" h2 2000
# one NAME COMMAND...: appends CPU seconds per 100,000 streams.
one() {
    local name=$1
    shift
    python3 "$bench/cost.py" "$@" > "$work/out" 2> "$work/err" || { echo "$name failed: $(tail -3 "$work/err")" >&2; exit 1; }
    awk -v sent="$streams" '/^cost / { print ($2 + $3) / sent * 100000 }' "$work/err" >> "$work/cpu.$name"
    awk -v sent="$streams" '/^cost / { print sent / $4 }' "$work/err" >> "$work/rate.$name"
}
for _ in $(seq "$runs"); do
    one shadowtap "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port2" --speed max -o "$work/run" --force
    # Reading, finding flows, planning, and nothing sent.
    one dry-run "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port2" --speed max --dry-run
    one h2load h2load -c 20 -m 10 -n "$streams" "http://127.0.0.1:$port2/x?i=1"
done
answered=$(tail -1 "$work/run/outcomes.jsonl" | python3 -c 'import json, sys; print(json.load(sys.stdin)["generator"]["from_sent"]["count"])')
[ "$answered" = "$streams" ] || { echo "only $answered of $streams were answered" >&2; exit 1; }
echo "client's CPU seconds per 100,000 streams (median of $runs), streams a second of wall time:"
for name in shadowtap dry-run h2load; do
    printf '%-10s %6.3f %9.0f\n' "$name" "$(median < "$work/cpu.$name")" "$(median < "$work/rate.$name")"
done
paste -d ' ' "$work/cpu.shadowtap" "$work/cpu.dry-run" "$work/cpu.h2load" > "$work/all"
awk '{ print ($1 - $2) / $3 }' "$work/all" > "$work/sending"
awk '{ print $1 / $3 }' "$work/all" > "$work/whole"
echo "beside h2load in the same turn: $(median < "$work/sending") times (sending and writing outcomes), $(median < "$work/whole") times (all)"
