#!/usr/bin/env bash
# How far each replayed request is from its place in the schedule, seen by tcpdump on loopback (needs root).
# timing.sh [SECONDS] [RUNS]
source "$(dirname "$0")/lib.sh"
seconds=${1:-60}
runs=${2:-5}
start_nginx
failed=0
measure() {
    local label=$1 speed=$2
    shift 2
    python3 "$here/trace.py" $((1000 * seconds * ${speed%.*})) 1000 200 11 "$work/trace.jsonl"
    [ "$speed" = 1 ] || python3 "$here/trace.py" $((1000 * seconds)) "$((1000 / speed))" 200 11 "$work/trace.jsonl"
    local loop=()
    [[ " $* " = *" --realtime "* ]] && loop=(fifo)
    for run in $(seq "$runs"); do
        # What the machine gives to a bare loop in the same minute.
        echo "bare clock_nanosleep ${loop[*]}: $(python3 "$here/wakeups.py" 5 "${loop[@]}")"
        tcpdump -i lo -w "$work/replay.pcap" --time-stamp-precision nano -s 160 -B 65536 "tcp dst port $port" 2> "$work/tcpdump.log" &
        local dump=$!
        sleep 1
        "$shadowtap" -q replay "$work/trace.jsonl" --target "http://127.0.0.1:$port" --speed "$speed" -o "$work/run" --force "$@" > "$work/summary"
        sleep 1
        kill -INT "$dump"
        wait "$dump" || true
        echo "$label, run $run: $(python3 "$here/offsets.py" "$work/trace.jsonl" "$work/replay.pcap" "$speed")" || failed=1
    done
}
# The same rate on the wire, 1,000 a second: at speed 5 the trace holds 200 a second.
measure "speed 1" 1
measure "speed 5" 5
measure "speed 1 --realtime" 1 --realtime
exit $failed
