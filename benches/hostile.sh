#!/usr/bin/env bash
# Captures that were made to do harm: each must hit a named limit, be accounted for, leave the plain exchange behind it whole, and
# need no more than MOST_MB of memory. Prints size, seconds and peak memory of `parse` and `inspect` for each.
# Usage: benches/hostile.sh [SHAPE...]   (SHADOWTAP: the program; MOST_MB: 300). Needs python3, jq and GNU time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shadowtap=${SHADOWTAP:-$here/../target/release/shadowtap}
most=${MOST_MB:-300}
[ -x "$shadowtap" ] || { echo "build it first: cargo build --release (or set SHADOWTAP)" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/shadowtap-hostile.XXXXXX")
trap 'rm -rf "$work"' EXIT

# What must be in the ledger (noted or rejected), above zero, by shape.
declare -A limit=(
    [half-open]=connections-evicted-by-number [head]=bytes-that-belong-to-no-message [gap]=tcp-bytes-given-up-by-a-limit
    [backwards]=tcp-bytes-given-up-by-a-limit [fragments]=fragment-of-an-incomplete-packet [bodies]=connections-that-held-too-much
    [pipeline]=http/1-connections
)
shapes=("$@")
[ $# -gt 0 ] || shapes=(half-open head gap backwards fragments bodies pipeline)
failed=0
printf '%-12s %8s %10s %9s %10s %9s  %s\n' shape MB parse-s parse-MB inspect-s inspect-MB limit
for shape in "${shapes[@]}"; do
    capture=$work/$shape.pcap
    python3 "$here/hostile.py" "$shape" "$capture"
    for command in parse inspect; do
        output=(-o "$work/out.jsonl"); [ "$command" = parse ] || output=(--json)
        /usr/bin/env time -f '%e %M' -o "$work/$command.cost" "$shadowtap" -q "$command" "$capture" "${output[@]}" >"$work/$command.out"
    done
    read -r parse_s parse_kb <"$work/parse.cost"
    read -r inspect_s inspect_kb <"$work/inspect.cost"
    name=${limit[$shape]}
    count=$(tail -n 1 "$work/out.jsonl" | jq -r --arg name "$name" '.ledger | .noted[$name] // .rejected[$name] // 0')
    balance=$(tail -n 1 "$work/out.jsonl" | jq '.ledger | .in - .used - ([.rejected // {} | .[]] | add // 0)')
    plain=$(grep '"target":"/plain"' "$work/out.jsonl" | grep -c '"completeness":"complete"' || true)
    printf '%-12s %8d %10s %9d %10s %9d  %s: %s\n' "$shape" $(($(stat -c %s "$capture") / 1000000)) "$parse_s" $((parse_kb / 1024)) \
        "$inspect_s" $((inspect_kb / 1024)) "$name" "$count"
    [ "$count" -gt 0 ] || { echo "  the limit was not hit"; failed=1; }
    [ "$balance" -eq 0 ] || { echo "  $balance packets are unaccounted for"; failed=1; }
    [ "$plain" -eq 1 ] || { echo "  the plain exchange behind it is not there, whole"; failed=1; }
    [ $((parse_kb / 1024)) -lt "$most" ] && [ $((inspect_kb / 1024)) -lt "$most" ] || { echo "  more than $most MB"; failed=1; }
    rm -f "$capture" "$work/out.jsonl"
done
exit "$failed"
