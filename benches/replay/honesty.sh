#!/usr/bin/env bash
# A server that stalls for 2 s in a run of 20 s at 500 requests a second: what each tool says of the 99th percentile, next
# to the truth by the schedule.
source "$(dirname "$0")/lib.sh"
seconds=20
rate=500
start_nginx
worker=$(pgrep -P "$nginx" | head -1)
url="http://127.0.0.1:$port/x"
stall() { sleep 10; kill -STOP "$worker"; sleep 2; kill -CONT "$worker"; }
run() {
    stall &
    local stalling=$!
    "$@" > "$work/out" 2> "$work/err" || true
    wait "$stalling"
}
python3 "$here/trace.py" $((seconds * rate)) $rate 50 5 "$work/trace.jsonl"
# Of a steady stream a tenth falls into the stall and waits for what is left of it: the slowest hundredth waits 1.8 s and more.
python3 - <<PY
count = $seconds * $rate
waits = sorted(max(0.0, 2 - (i / $rate - 10)) if 10 <= i / $rate < 12 else 0.0 for i in range(count))
print(f"truth by the schedule:      p99 {waits[int(0.99 * count)] * 1000:7.1f} ms")
PY
for arrivals in causal open; do
    run "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port" -o "$work/run" --force --arrivals $arrivals
    tail -1 "$work/run/outcomes.jsonl" | python3 -c "
import json, sys
own = json.load(sys.stdin)['generator']
for name, of in ('from due ', 'from_due'), ('from sent', 'from_sent'):
    print(f'shadowtap $arrivals, {name}: p99 {own[of][\"p99_ns\"] / 1e6:7.1f} ms')"
done
if has wrk; then run wrk -t1 -c50 -d$seconds --latency "$url"; echo "wrk (closed loop):          p99 $(awk '$1 == "99%" { print $2 }' "$work/out")"; fi
if has wrk2; then run wrk2 -t1 -c50 -d$seconds -R$rate --latency "$url"; echo "wrk2:                       p99 $(awk '$1 == "99.000%" { print $2 }' "$work/out")"; fi
if has oha; then
    run oha --no-tui -c50 -q $rate -z ${seconds}s "$url"; echo "oha:                        p99 $(awk '/99.00%/ { print $3, $4 }' "$work/out")"
    run oha --no-tui -c50 -q $rate -z ${seconds}s --latency-correction "$url"; echo "oha --latency-correction:   p99 $(awk '/99.00%/ { print $3, $4 }' "$work/out")"
fi
if has hey; then run hey -c 50 -q $((rate / 50)) -z ${seconds}s "$url"; echo "hey:                        p99 $(awk '/99% in/ { print $3, $4 }' "$work/out")"; fi
