#!/usr/bin/env bash
# How far each replayed stream of HTTP/2 is from its place in the schedule, beside requests of HTTP/1 and a bare loop in the same run, seen
# by tcpdump on loopback (needs root): 1,000 a second on 20 connections.
# timing.sh [SECONDS] [RUNS]
source "$(dirname "$0")/../replay/lib.sh"
bench=$top/benches/replay
seconds=${1:-60}
runs=${2:-5}
start_nginx
failed=0
# measure NAME TRACE PORT: appends p50, p99 and p99.9 in microseconds to $work/offsets.NAME.
measure() {
    local name=$1 trace=$2 at=$3
    tcpdump -i lo -w "$work/replay.pcap" --time-stamp-precision nano -B 65536 "tcp dst port $at" 2> "$work/tcpdump.log" &
    local dump=$!
    sleep 1
    "$shadowtap" -q replay "$trace" --target "http://127.0.0.1:$at" -o "$work/run" --force > "$work/summary"
    sleep 1
    kill -INT "$dump"
    wait "$dump" || true
    # Both are read the same way: header fields of HTTP/2 are compressed.
    rm -f "$work/replay.jsonl"
    "$shadowtap" -q parse "$work/replay.pcap" -o "$work/replay.jsonl" > "$work/parse.log" 2>&1
    local told
    told=$(python3 "$bench/offsets.py" "$trace" "$work/replay.jsonl" 1) || failed=1
    echo "$name: $told"
    sed -E 's/^p50 ([0-9.]+) .* p99 ([0-9.]+) .* p99\.9 ([0-9.]+) .*/\1 \2 \3/' <<< "$told" >> "$work/offsets.$name"
}
python3 "$bench/trace.py" $((1000 * seconds)) 1000 20 11 "$work/h1.jsonl" h1
python3 "$bench/trace.py" $((1000 * seconds)) 1000 20 11 "$work/h2.jsonl" h2
for run in $(seq "$runs"); do
    bare=$(python3 "$bench/wakeups.py" 5)
    echo "bare: $bare"
    sed -E 's/^p50 ([0-9.]+) .* p99 ([0-9.]+) .* p99\.9 ([0-9.]+) .*/\1 \2 \3/' <<< "$bare" >> "$work/offsets.bare"
    measure h1 "$work/h1.jsonl" "$port"
    measure h2 "$work/h2.jsonl" "$port2"
done
echo "medians of $runs runs of $seconds s, in microseconds:"
for name in bare h1 h2; do
    printf '%-5s' "$name"
    for column in 1 2 3; do printf ' %9s' "$(cut -d ' ' -f "$column" "$work/offsets.$name" | median)"; done
    echo
done
awk 'NR == FNR { one[FNR] = $2; next } { print $2 / one[FNR] }' "$work/offsets.h1" "$work/offsets.h2" > "$work/ratio"
echo "p99 of HTTP/2 over HTTP/1's, run by run: $(median < "$work/ratio") times (median)"
exit $failed
