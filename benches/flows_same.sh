#!/usr/bin/env bash
# Holds what two builds find beside each other, byte by byte: flows with their classes and counts, and every use of every value.
#
#     benches/flows_same.sh OLD NEW FILE...
#
# FILE are captures or recordings, folders of them too; what a build cannot read is to be told in the same words.
set -u
old=$1 new=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
different=0 equal=0 flowing=0
while IFS= read -r -d '' file; do
    for mode in "--json" "--json --bind likely" "--uses --show-secrets --bind likely"; do
        # shellcheck disable=SC2086
        "$old" flows "$file" $mode >"$work/old" 2>"$work/old.said"
        echo $? >>"$work/old"
        # shellcheck disable=SC2086
        "$new" flows "$file" $mode >"$work/new" 2>"$work/new.said"
        echo $? >>"$work/new"
        if cmp -s "$work/old" "$work/new" && cmp -s "$work/old.said" "$work/new.said"; then
            equal=$((equal + 1))
        else
            different=$((different + 1))
            echo "different: $file $mode"
        fi
    done
    # Beside the line that a recording ends with, and the exit.
    [ "$(wc -l <"$work/new")" -gt 1 ] && flowing=$((flowing + 1))
done < <(find "$@" -type f \( -name '*.pcap' -o -name '*.pcapng' -o -name '*.jsonl' -o -name '*.har' \) ! -name '*.truth.jsonl' ! -name 'MANIFEST.jsonl' -print0 | sort -z)
echo "$equal equal, $different different; values flow in $flowing files"
[ "$different" -eq 0 ] && [ "$flowing" -gt 0 ]
