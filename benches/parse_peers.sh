#!/usr/bin/env bash
# Parses one seeded capture with shadowtap and with its peers, in turns, in one run: medians, ratios, peak memory.
# Usage: benches/parse_peers.sh [EXCHANGES] [ROUNDS] (200000 exchanges are about 570 MB). Peers that are not installed are left out.
set -euo pipefail
exchanges=${1:-200000} rounds=${2:-5}
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/shadowtap-peers.XXXXXX")
trap 'rm -rf "$work"' EXIT

cargo build --quiet --release --locked
binary=${CARGO_TARGET_DIR:-target}/release/shadowtap
cargo bench --quiet --locked --bench generate -- --exchanges "$exchanges" --body 2000 -o "$work/big.pcap" >/dev/null
bytes=$(stat -c %s "$work/big.pcap")
cat "$work/big.pcap" >/dev/null # into the page cache

found=$("$binary" parse -q "$work/big.pcap" -o - | grep -c '"completeness":"complete"')
[ "$found" = "$exchanges" ] || { echo "parse found $found of $exchanges exchanges"; exit 1; }

names=(cat) ; declare -A command
command[cat]="cat $work/big.pcap"
names+=(parse-2) ; command[parse-2]="$binary parse -q --threads 2 $work/big.pcap -o /dev/null"
names+=(parse-1) ; command[parse-1]="$binary parse -q --threads 1 $work/big.pcap -o /dev/null"
names+=(parse-file) ; command[parse-file]="$binary parse -q --force --threads 2 $work/big.pcap -o $work/out.jsonl"
names+=(inspect) ; command[inspect]="$binary inspect -q $work/big.pcap"
command -v tcpflow >/dev/null && { names+=(tcpflow); mkdir "$work/flows"; command[tcpflow]="tcpflow -r $work/big.pcap -o $work/flows -S enable_report=NO -x tcpdemux -e null"; }
command -v httpry >/dev/null && { names+=(httpry); command[httpry]="httpry -r $work/big.pcap -o /dev/null"; }
if command -v tshark >/dev/null; then
    names+=(tshark)
    command[tshark]="tshark -r $work/big.pcap -Y http -T fields -e http.request.uri -e http.response.code"
fi
"$binary" parse --help | grep -q -- --force || command[parse-file]=${command[parse-file]/ --force/}

# Seconds and peak memory of one run.
once() {
    local begin end
    begin=$(date +%s.%N)
    /usr/bin/env time -f %M -o "$work/memory" ${command[$1]} >/dev/null 2>"$work/errors" || { echo "$1 failed:"; cat "$work/errors"; exit 1; }
    end=$(date +%s.%N)
    echo "$(echo "$end - $begin" | bc) $(tail -1 "$work/memory")" >>"$work/$1.runs"
}
for name in "${names[@]}"; do : >"$work/$name.runs"; done
for ((round = 0; round < rounds; round++)); do
    for name in "${names[@]}"; do
        # tshark takes a minute a run; one is enough to be 60 times slower.
        [ "$name" = tshark ] && [ "$round" -gt 0 ] && continue
        once "$name"
        rm -rf "$work/flows"/* "$work/out.jsonl"
    done
done

median() { sort -n "$work/$1.runs" | awk '{v[NR]=$1} END {print v[int((NR + 1) / 2)]}'; }
reference=$(median parse-2)
printf '%-12s %10s %12s %12s %10s\n' run seconds MB/s exchanges/s MB-memory
for name in "${names[@]}"; do
    seconds=$(median "$name")
    memory=$(awk '$2 > most {most = $2} END {print most / 1024}' "$work/$name.runs")
    awk -v n="$name" -v s="$seconds" -v b="$bytes" -v e="$exchanges" -v m="$memory" -v r="$reference" \
        'BEGIN {printf "%-12s %10.3f %12.0f %12.0f %10.0f   %.2f times parse-2\n", n, s, b / s / 1e6, e / s, m, s / r}'
done
