#!/usr/bin/env bash
# Peak memory must not depend on the length of a capture: two seeded captures, one several times the other, through `parse` and
# `inspect`. Fails where one passes MOST_MB or the two differ by more than 10 %.
# Usage: benches/memory.sh [EXCHANGES] [TIMES]   (150000 exchanges are about 0.5 GB; ten times that is read too, one after the other
# on disk). SHADOWTAP, GENERATE: the programs, else they are built. MOST_MB: 300.
set -euo pipefail
exchanges=${1:-150000} times=${2:-10} most=${MOST_MB:-300}
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/shadowtap-memory.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -n "${SHADOWTAP:-}" ] || { cargo build --quiet --release --locked; SHADOWTAP=${CARGO_TARGET_DIR:-target}/release/shadowtap; }
generate() { if [ -n "${GENERATE:-}" ]; then "$GENERATE" "$@"; else cargo bench --quiet --locked --bench generate -- "$@"; fi; }

declare -A peak
for size in "$exchanges" $((exchanges * times)); do
    generate --exchanges "$size" --body 2900 -o "$work/made.pcap" 2>/dev/null
    for command in parse inspect; do
        output=(-o /dev/null); [ "$command" = parse ] || output=(--json)
        # Peaks of the same input differ by a tenth from run to run: the most of three.
        for _ in 1 2 3; do
            /usr/bin/env time -f '%e %M' -o "$work/cost.one" "$SHADOWTAP" -q "$command" "$work/made.pcap" "${output[@]}" >"$work/out"
            cat "$work/cost.one"
        done | sort -k2 -n | tail -1 >"$work/cost"
        [ "$command" = parse ] || [ "$(jq .exchanges "$work/out")" = "$size" ] || { echo "inspect lost exchanges"; exit 1; }
        read -r seconds kb <"$work/cost"
        peak[$command-$size]=$((kb / 1024))
        printf '%-8s %6d MB %8s s %6d MB of memory\n' "$command" $(($(stat -c %s "$work/made.pcap") / 1000000)) "$seconds" $((kb / 1024))
    done
    rm -f "$work/made.pcap"
done
for command in parse inspect; do
    small=${peak[$command-$exchanges]} large=${peak[$command-$((exchanges * times))]}
    [ "$large" -lt "$most" ] || { echo "$command: $large MB, more than $most"; exit 1; }
    [ $((large * 10)) -le $((small * 11)) ] || { echo "$command: $large MB after $small MB: it grows with the capture"; exit 1; }
done
