#!/usr/bin/env bash
# Parses one seeded capture with shadowtap and with its peers, in turns, in one run: medians, ratios, peak memory.
# Usage: benches/parse_peers.sh [EXCHANGES] [ROUNDS] (200000 exchanges are about 570 MB). Peers that are not installed are left out.
# tcpflow prints all flows, in order and binary, to /dev/null (the fastest it can); tshark, which would take minutes, reads the same
# kind of traffic, a twentieth of it. SHADOWTAP, GENERATE: the programs, else they are built.
set -euo pipefail
exchanges=${1:-200000} rounds=${2:-5}
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/shadowtap-peers.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -n "${SHADOWTAP:-}" ] || { cargo build --quiet --release --locked; SHADOWTAP=${CARGO_TARGET_DIR:-target}/release/shadowtap; }
generate() { if [ -n "${GENERATE:-}" ]; then "$GENERATE" "$@"; else cargo bench --quiet --locked --bench generate -- "$@"; fi; }

generate --exchanges "$exchanges" --body 2000 -o "$work/big.pcap" >/dev/null
generate --exchanges $((exchanges / 20)) --body 2000 -o "$work/slice.pcap" >/dev/null
cat "$work"/*.pcap >/dev/null # into the page cache
found=$("$SHADOWTAP" parse -q "$work/big.pcap" -o - | grep -c '"completeness":"complete"')
[ "$found" = "$exchanges" ] || { echo "parse found $found of $exchanges exchanges"; exit 1; }

names=() ; declare -A command input
add() { names+=("$1"); input[$1]=$2; command[$1]=$3; }
big=$work/big.pcap slice=$work/slice.pcap
add cat "$big" "cat $big"
add parse-2 "$big" "$SHADOWTAP parse -q --threads 2 $big -o /dev/null"
add parse-1 "$big" "$SHADOWTAP parse -q --threads 1 $big -o /dev/null"
add parse-file "$big" "$SHADOWTAP parse -q --threads 2 $big -o $work/out.jsonl"
add inspect-2 "$big" "$SHADOWTAP inspect -q --threads 2 $big"
if command -v tcpflow >/dev/null; then add tcpflow "$big" "tcpflow -q -c -B -S enable_report=NO -r $big"; fi
if command -v httpry >/dev/null; then add httpry "$big" "httpry -r $big -o /dev/null"; fi
if command -v tshark >/dev/null; then
    add tshark "$slice" "tshark -r $slice -Y http -T fields -e http.request.uri -e http.response.code -e http.file_data"
fi

# Seconds and peak memory of one run.
once() {
    local begin end
    begin=$(date +%s.%N)
    (cd "$work" && /usr/bin/env time -f %M -o "$work/memory" ${command[$1]} >/dev/null 2>"$work/errors") || { echo "$1 failed:"; cat "$work/errors"; exit 1; }
    end=$(date +%s.%N)
    echo "$(echo "$end - $begin" | bc) $(tail -1 "$work/memory")" >>"$work/$1.runs"
}
for name in "${names[@]}"; do : >"$work/$name.runs"; done
for ((round = 0; round < rounds; round++)); do
    for name in "${names[@]}"; do
        once "$name"
        rm -f "$work/out.jsonl"
    done
done

median() { sort -n "$work/$1.runs" | awk '{v[NR]=$1} END {print v[int((NR + 1) / 2)]}'; }
rate() { awk -v s="$(median "$1")" -v b="$(stat -c %s "${input[$1]}")" 'BEGIN {print b / s / 1e6}'; }
reference=$(rate parse-2)
printf '%-12s %10s %10s %10s\n' run seconds MB/s MB-memory
for name in "${names[@]}"; do
    memory=$(awk '$2 > most {most = $2} END {print most / 1024}' "$work/$name.runs")
    awk -v n="$name" -v s="$(median "$name")" -v b="$(rate "$name")" -v m="$memory" -v r="$reference" \
        'BEGIN {printf "%-12s %10.3f %10.0f %10.0f   parse-2 is %.2f times as fast\n", n, s, b, m, r / b}'
done
