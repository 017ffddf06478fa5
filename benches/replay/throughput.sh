#!/usr/bin/env bash
# CPU seconds of the client per 100,000 small requests over 64 connections, next to load generators that are installed.
# throughput.sh [REQUESTS] [RUNS]
source "$(dirname "$0")/lib.sh"
requests=${1:-200000}
runs=${2:-5}
start_nginx
url="http://127.0.0.1:$port/x"
python3 "$here/trace.py" "$requests" 100000 64 7 "$work/trace.jsonl"

# one NAME COMMAND...: appends CPU seconds per 100,000 requests; wrk is told a time and says how many it sent.
one() {
    local name=$1 sent=$requests
    shift
    python3 "$here/cost.py" "$@" > "$work/out" 2> "$work/err" || { echo "$name failed: $(tail -3 "$work/err")" >&2; return; }
    [ "$name" = wrk ] && sent=$(awk '/requests in/ { print $1 }' "$work/out")
    awk -v sent="$sent" '/^cost / { print ($2 + $3) / sent * 100000 }' "$work/err" >> "$work/cpu.$name"
    awk -v sent="$sent" '/^cost / { print sent / $4 }' "$work/err" >> "$work/rate.$name"
}
for _ in $(seq "$runs"); do
    one shadowtap "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port" --speed max -o "$work/run" --force
    # Reading, finding flows, planning, and nothing sent.
    one dry-run "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port" --speed max -o "$work/dry" --force --dry-run
    has wrk && one wrk wrk -t1 -c64 -d4 "$url"
    has ab && one ab ab -q -k -c64 -n "$requests" "$url"
    has h2load && one h2load h2load --h1 -c64 -n "$requests" "$url"
    has oha && one oha oha --no-tui -c64 -n "$requests" "$url"
    has hey && one hey hey -c 64 -n "$requests" "$url"
done
answered=$(tail -1 "$work/run/outcomes.jsonl" | python3 -c 'import json, sys; print(json.load(sys.stdin)["generator"]["from_sent"]["count"])')
[ "$answered" = "$requests" ] || { echo "only $answered of $requests were answered" >&2; exit 1; }
echo "client's CPU seconds per 100,000 requests (median of $runs), requests a second of wall time:"
for name in wrk shadowtap dry-run ab h2load oha hey; do
    [ -s "$work/cpu.$name" ] && printf '%-10s %6.3f %9.0f\n' "$name" "$(median < "$work/cpu.$name")" "$(median < "$work/rate.$name")"
done
paste -d ' ' "$work/cpu.shadowtap" "$work/cpu.dry-run" | awk '{ print $1 - $2 }' > "$work/cpu.sending"
printf 'sending and writing outcomes, without the dry run: %.3f' "$(median < "$work/cpu.sending")"
if [ -s "$work/cpu.wrk" ]; then
    paste -d ' ' "$work/cpu.sending" "$work/cpu.wrk" | awk '{ print $1 / $2 }' > "$work/ratio"
    printf ', %.2f times wrk in the same turn' "$(median < "$work/ratio")"
fi
echo
