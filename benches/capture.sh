#!/usr/bin/env bash
# Capture beside tcpdump: packets lost and processor seconds per million packets, at rising loads of nginx in a network namespace,
# both with the same kernel buffer, in turn; then v1's p99 without a tap, with one, and without again; then live parsing beside tshark.
# Needs root, nginx, wrk, h2load, tcpdump; tshark for the last part. Prints tables; fails where shadowtap loses more than tcpdump.
#   benches/capture.sh [PROGRAM] [SECONDS] [RATE ...]
set -euo pipefail
program=$(realpath "${1:-target/release/shadowtap}")
seconds=${2:-5}
rates=("${@:3}")
[ ${#rates[@]} -gt 0 ] || rates=(1000 4000 8000 16000)
buffer_mib=${BUFFER_MIB:-64}
tag=stapbench$$
work=$(mktemp -d)
port=8080

cleanup() {
    [ -z "${nginx_pid:-}" ] || kill "$nginx_pid" 2>/dev/null || true
    ip netns del "$tag" 2>/dev/null || true
    ip link del "$tag" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$tag"
ip link add "$tag" type veth peer name eth0 netns "$tag"
ip addr add 10.77.0.1/24 dev "$tag"
ip link set "$tag" up
ip -n "$tag" addr add 10.77.0.2/24 dev eth0
ip -n "$tag" link set eth0 up
mkdir -p "$work/html"
head -c 6000 /dev/urandom | base64 -w0 >"$work/html/page"
cat >"$work/nginx.conf" <<CONF
worker_processes 1; pid $work/pid; error_log $work/error.log; daemon off;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000; server { listen $port; root $work/html; } }
CONF
ip netns exec "$tag" nginx -c "$work/nginx.conf" &
nginx_pid=$!
for _ in $(seq 100); do curl -s -o /dev/null "http://10.77.0.2:$port/page" && break; sleep 0.05; done
url="http://10.77.0.2:$port/page"

load() { # requests a second for some seconds, whatever the answers take
    h2load --h1 -t1 -c16 -D "$seconds" --rps $(( $1 / 16 )) "$url" >"$work/load" 2>&1 || true
    awk '/requests:/ {print $2}' "$work/load"
}
# Nanoseconds on a processor, of all threads of a process and of its children: tshark captures in one.
spent() {
    local processes=("$1") child
    for child in $(pgrep -P "$1" || true); do processes+=("$child"); done
    for process in "${processes[@]}"; do cat "/proc/$process"/task/*/schedstat 2>/dev/null || true; done | awk '{sum += $1} END {printf "%.0f", sum}'
}

start() { # the command that follows, in the background, until it captures
    "$@" >"$work/out" 2>"$work/err" &
    tool=$!
    sleep 1
    # What starting costs is not what a packet costs.
    before=$(spent "$tool")
}
stop() {
    used=$(($(spent "$tool") - before))
    kill -TERM "$tool"
    wait "$tool" || true
}

row() { printf '%-22s %9s %9s %9s %8s %12s\n' "$@"; }
worse=0
echo "== loss and cost; buffer of $buffer_mib MiB, $seconds s each =="
row tool requests/s packets dropped "lost %" "cpu s/1M pkt"
for rate in "${rates[@]}"; do
    declare -A lost cost
    for name in tcpdump shadowtap tcpdump shadowtap; do
        case $name in
            tcpdump) start tcpdump -i "$tag" -B $((buffer_mib * 1024)) -s 0 -w "$work/t.pcap" "tcp port $port" ;;
            shadowtap) start "$program" capture -i "$tag" --port $port --buffer "${buffer_mib}MiB" -o "$work/s.pcap" --force ;;
        esac
        sent=$(load "$rate")
        stop
        case $name in
            tcpdump)
                kept=$(awk '/packets captured/ {print $1}' "$work/err")
                dropped=$(awk '/dropped by kernel/ {print $1}' "$work/err") ;;
            shadowtap)
                kept=$(awk -F': ' '/^packets kept/ {print $2}' "$work/out")
                dropped=$(awk -F': ' '/^dropped by/ {sum += $2} END {print sum + 0}' "$work/out") ;;
        esac
        share=$(awk -v d="$dropped" -v k="$kept" 'BEGIN {printf "%.3f", k + d ? 100 * d / (k + d) : 0}')
        per=$(awk -v t="$used" -v k="$kept" 'BEGIN {printf "%.3f", k ? t / 1e9 / k * 1e6 : 0}')
        row "$name" "$((sent / seconds))" "$kept" "$dropped" "$share" "$per"
        lost[$name]=$((${lost[$name]:-0} + dropped))
        cost[$name]=$(awk -v a="${cost[$name]:-0}" -v b="$per" 'BEGIN {print a + b}')
        rm -f "$work"/*.pcap
    done
    ratio=$(awk -v s="${cost[shadowtap]}" -v t="${cost[tcpdump]}" 'BEGIN {printf "%.2f", t ? s / t : 0}')
    echo "   at $rate/s: shadowtap's processor time is $ratio of tcpdump's; lost ${lost[shadowtap]} against ${lost[tcpdump]}"
    [ "${lost[shadowtap]}" -le "${lost[tcpdump]}" ] || worse=1
    unset lost cost
done

echo "== v1's latency, without, with, without =="
p99() { wrk -t1 -c8 -d "${seconds}s" --latency "$url" | awk '/99%/ {p = $2} /Requests\/sec/ {r = $2} END {print p, r}'; }
for turn in 1 2; do
    echo "without  $(p99)"
    start "$program" capture -i "$tag" --port $port -o "$work/s.pcap" --force
    echo "with     $(p99)"
    stop; rm -f "$work"/*.pcap
    start tcpdump -i "$tag" -B $((buffer_mib * 1024)) -s 0 -w "$work/t.pcap" "tcp port $port"
    echo "tcpdump  $(p99)"
    stop; rm -f "$work"/*.pcap
done
echo "without  $(p99)"

if command -v tshark >/dev/null && "$program" capture --help | grep -q jsonl; then
    echo "== live parsing, at ${rates[0]}/s =="
    row tool requests/s exchanges dropped "" "cpu s/1k exch"
    for name in tshark shadowtap tshark shadowtap; do
        case $name in
            tshark) start tshark -i "$tag" -B "$buffer_mib" -f "tcp port $port" -l -Y http.response -T fields -e frame.time_epoch -e ip.src -e tcp.srcport \
                -e http.response.code -e http.file_data -e http.time ;;
            shadowtap) start "$program" capture -i "$tag" --port $port --buffer "${buffer_mib}MiB" -o "$work/s.jsonl" --force ;;
        esac
        sent=$(load "${rates[0]}")
        sleep 1
        stop
        case $name in
            tshark) exchanges=$(wc -l <"$work/out"); dropped=$(awk '/dropped/ {print $1}' "$work/err" | head -1) ;;
            shadowtap) exchanges=$(grep -c '"id"' "$work/s.jsonl"); dropped=$(awk -F': ' '/^dropped by/ {sum += $2} END {print sum + 0}' "$work/out") ;;
        esac
        per=$(awk -v t="$used" -v k="$exchanges" 'BEGIN {printf "%.4f", k ? t / 1e9 / k * 1e3 : 0}')
        row "$name" "$((sent / seconds))" "$exchanges" "${dropped:-0}" "" "$per"
        rm -f "$work"/*.jsonl
    done
fi
exit $worse
