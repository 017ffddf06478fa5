#!/usr/bin/env bash
# Capture beside tcpdump, with nginx in a network namespace under a bounded load, each tool in turn and with the same kernel buffer. Parts:
#   loss     packets lost and processor seconds per million packets, at rising rates; fails where shadowtap loses more than tcpdump
#   latency  v1's p99 without a tap, with one, beside tcpdump; three turns, and what two runs without a tap differ by
#   parse    exchanges made live (.jsonl) beside `tshark -T fields`: processor seconds per thousand exchanges
# Needs root, nginx, h2load, tcpdump; tshark for the last part. Each part takes about two minutes.
#   benches/capture.sh [PROGRAM] [PART ...]          SECONDS_EACH=5 BUFFER_MIB=64 TURNS=3 RATES="1000 4000 8000 16000" PAGE_BYTES=8000
set -euo pipefail
program=$(realpath "${1:-target/release/shadowtap}")
parts=" ${*:2} "
[ "$parts" != "  " ] || parts=" loss latency parse "
seconds=${SECONDS_EACH:-5}
turns=${TURNS:-3}
read -ra rates <<<"${RATES:-1000 4000 8000 16000}"
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
head -c "${PAGE_BYTES:-8000}" < <(base64 -w0 /dev/urandom) >"$work/html/page"
cat >"$work/nginx.conf" <<CONF
user root; worker_processes 1; pid $work/pid; error_log $work/error.log; daemon off;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000; server { listen $port; root $work/html; } }
CONF
ip netns exec "$tag" nginx -c "$work/nginx.conf" &
nginx_pid=$!
for _ in $(seq 100); do curl -sf -o /dev/null "http://10.77.0.2:$port/page" && break; sleep 0.05; done
url="http://10.77.0.2:$port/page"
curl -sf -o /dev/null "$url" || { echo "nginx does not answer: $(cat "$work/error.log")" >&2; exit 1; }

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
median() { sort -g | awk '{v[NR] = $1} END {printf "%s", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", b ? a / b : 0}'; }

start_tcpdump() { start tcpdump -i "$tag" -B $((buffer_mib * 1024)) -s 0 -w "$work/t.pcap" "tcp port $port"; }
start_shadowtap() { start "$program" capture -i "$tag" --port $port --buffer "${buffer_mib}MiB" -o "$work/s.$1" --force; }
dropped_by_shadowtap() { awk -F': ' '/^dropped by/ {sum += $2} END {print sum + 0}' "$work/out"; }

worse=0
loss() {
    local rate turn name sent kept dropped share per
    echo "== loss and cost; buffer of $buffer_mib MiB, $seconds s each =="
    row tool requests/s packets dropped "lost %" "cpu s/1M pkt"
    for rate in "${rates[@]}"; do
        : >"$work/tcpdump.cost"; : >"$work/shadowtap.cost"; : >"$work/tcpdump.lost"; : >"$work/shadowtap.lost"
        for ((turn = 0; turn < turns; turn++)); do
            for name in tcpdump shadowtap; do
                [ $name = tcpdump ] && start_tcpdump || start_shadowtap pcap
                sent=$(load "$rate")
                stop
                if [ $name = tcpdump ]; then
                    kept=$(awk '/packets captured/ {print $1}' "$work/err")
                    dropped=$(awk '/dropped by kernel/ {print $1}' "$work/err")
                else
                    kept=$(awk -F': ' '/^packets kept/ {print $2}' "$work/out")
                    dropped=$(dropped_by_shadowtap)
                fi
                share=$(awk -v d="$dropped" -v k="$kept" 'BEGIN {printf "%.3f", k + d ? 100 * d / (k + d) : 0}')
                per=$(awk -v t="$used" -v k="$kept" 'BEGIN {printf "%.3f", k ? t / 1e9 / k * 1e6 : 0}')
                row "$name" "$((sent / seconds))" "$kept" "$dropped" "$share" "$per"
                echo "$per" >>"$work/$name.cost"
                echo "$share" >>"$work/$name.lost"
                rm -f "$work"/*.pcap
            done
        done
        local cost_t cost_s lost_t lost_s
        cost_t=$(median <"$work/tcpdump.cost"); cost_s=$(median <"$work/shadowtap.cost")
        lost_t=$(median <"$work/tcpdump.lost"); lost_s=$(median <"$work/shadowtap.lost")
        echo "   at $rate/s, medians: processor time $cost_s against tcpdump's $cost_t ($(ratio "$cost_s" "$cost_t")); lost $lost_s % against $lost_t %"
        awk -v s="$lost_s" -v t="$lost_t" 'BEGIN {exit s > t}' || worse=1
    done
}

# The 99th percentile in microseconds of a load far below what v1 can do, as a busy machine shows its own waiting only.
p99() {
    rm -f "$work/times"
    h2load --h1 -t1 -c16 -D "$seconds" --rps $(( rates[0] / 16 )) --log-file="$work/times" "$url" >"$work/load" 2>&1 || true
    sort -n -k3,3 "$work/times" | awk '{v[NR] = $3} END {printf "%d", v[int(NR * 0.99)]}'
}
latency() {
    local turn name value
    echo "== v1's p99 in microseconds at ${rates[0]}/s, $seconds s each =="
    for name in without with tcpdump again; do : >"$work/$name.p99"; done
    for ((turn = 0; turn < turns; turn++)); do
        for name in without with tcpdump again; do
            case $name in with) start_shadowtap pcap ;; tcpdump) start_tcpdump ;; esac
            value=$(p99)
            case $name in with | tcpdump) stop; rm -f "$work"/*.pcap ;; esac
            echo "$value" >>"$work/$name.p99"
            printf '%-10s %8s\n' "$name" "$value"
        done
    done
    local without again with
    without=$(median <"$work/without.p99"); again=$(median <"$work/again.p99"); with=$(median <"$work/with.p99")
    echo "   medians: without $without and $again, with shadowtap $with, with tcpdump $(median <"$work/tcpdump.p99");" \
        "all runs without: $(cat "$work"/{without,again}.p99 | sort -n | sed -n '1p;$p' | paste -sd' ' | sed 's/ / to /')"
}

parse() {
    local turn name exchanges dropped per sent
    command -v tshark >/dev/null || { echo "parse: no tshark here"; return; }
    echo "== exchanges made live, at ${rates[0]}/s =="
    row tool requests/s exchanges dropped "" "cpu s/1k exch"
    for name in tshark shadowtap; do : >"$work/$name.cost"; done
    for ((turn = 0; turn < turns; turn++)); do
        for name in tshark shadowtap; do
            case $name in
                tshark) start tshark -i "$tag" -B "$buffer_mib" -f "tcp port $port" -l -Y http.response -T fields -e frame.time_epoch -e ip.src \
                    -e tcp.srcport -e http.response.code -e http.file_data -e http.time ;;
                shadowtap) start_shadowtap jsonl ;;
            esac
            sent=$(load "${rates[0]}")
            sleep 1
            stop
            case $name in
                tshark) exchanges=$(wc -l <"$work/out"); dropped=$(awk '/dropped/ {print $1}' "$work/err" | head -1) ;;
                shadowtap) exchanges=$(grep -c '"id"' "$work/s.jsonl"); dropped=$(dropped_by_shadowtap) ;;
            esac
            per=$(awk -v t="$used" -v k="$exchanges" 'BEGIN {printf "%.4f", k ? t / 1e9 / k * 1e3 : 0}')
            echo "$per" >>"$work/$name.cost"
            row "$name" "$((sent / seconds))" "$exchanges" "${dropped:-0}" "" "$per"
            rm -f "$work"/*.jsonl
        done
    done
    local cost_t cost_s
    cost_t=$(median <"$work/tshark.cost"); cost_s=$(median <"$work/shadowtap.cost")
    echo "   medians: $cost_s against tshark's $cost_t ($(ratio "$cost_s" "$cost_t"))"
}

for part in loss latency parse; do
    case $parts in *" $part "*) $part ;; esac
done
exit $worse
