#!/usr/bin/env bash
# A capture that sends its files to a real store while the store is stopped and started and the capture is killed at random
# instants; then all is read back: nothing may be lost. Then a run and its shards go from and to the store, replays, merges and large
# files are written by a program that is killed: they are there whole or not at all. Runs as root on loopback.
#
#   benches/store/trial.sh s3|azure|google [ROUNDS]
#
# s3 needs moto_server (pip install 'moto[server,s3]'), azure needs azurite (npm install -g azurite), google is google.py beside this.
set -euo pipefail
kind=${1:-s3} rounds=${2:-6}
here=$(cd "$(dirname "$0")" && pwd)
program=${SHADOWTAP:-$PWD/target/release/shadowtap}
work=$(mktemp -d)
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free) v1=$(free) v2=$(free)
store= server= other= tap=
end() {
    for process in $tap $server $other $store; do kill -CONT "$process" 2>/dev/null || true; kill "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
fail() { echo "$kind: $1" >&2; tail -n 8 "$work"/*.log | cut -c1-400 >&2; exit 1; }
# Waits for half a minute until a command succeeds.
until_so() {
    local what=$1; shift
    for _ in $(seq 300); do "$@" && return; sleep 0.1; done
    fail "never: $what"
}

case $kind in
s3)
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1
    top=s3://captures
    serve() { MOTO_S3_CUSTOM_ENDPOINTS= moto_server -H 127.0.0.1 -p "$port" >"$work/store.log" 2>&1 & store=$!; }
    bucket() { curl -sf -m 5 -o /dev/null -X PUT "http://127.0.0.1:$port/captures"; }
    # moto keeps objects in memory: it is stopped by a signal that lets it keep them.
    away() { kill -STOP "$store"; }
    back() { kill -CONT "$store"; }
    ;;
azure)
    export AZURE_STORAGE_ACCOUNT_NAME=devstoreaccount1 AZURE_STORAGE_USE_EMULATOR=true
    export AZURITE_BLOB_STORAGE_URL=http://127.0.0.1:$port
    top=az://captures
    serve() {
        azurite-blob --silent --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$port" --location "$work/azure" \
            >"$work/store.log" 2>&1 & store=$!
    }
    bucket() { python3 "$here/container.py" "$port"; }
    ;;
google)
    export STORAGE_EMULATOR_HOST=127.0.0.1:$port
    top=gs://captures
    serve() { python3 "$here/google.py" "$port" "$work/google" >"$work/store.log" 2>&1 & store=$!; }
    bucket() { true; }
    ;;
*) echo "s3, azure or google" >&2; exit 2 ;;
esac
up() { curl -s -m 2 -o /dev/null "http://127.0.0.1:$port/"; }
if [ "$kind" != s3 ]; then
    away() { kill "$store"; wait "$store" 2>/dev/null || true; }
    back() { serve; until_so "the store is back" up; }
fi
serve
until_so "the store is there" up
bucket
"$program" demo serve v1 --listen "127.0.0.1:$v1" --provider 127.0.0.1:9 -q >"$work/v1.log" & server=$!
"$program" demo serve v2 --listen "127.0.0.1:$v2" --provider 127.0.0.1:9 -q >"$work/v2.log" & other=$!
until_so "v1 listens" grep -q listening "$work/v1.log"
until_so "v2 listens" grep -q listening "$work/v2.log"

asked=0
ask() {
    for _ in $(seq "$1"); do
        curl -s -m 5 -o /dev/null "http://127.0.0.1:$v1/products/$((1001 + asked % 40))?n=$asked" || fail "v1 does not answer"
        asked=$((asked + 1))
    done
}
begun() { [ "$(grep -c 'capturing lo' "$work/tap.log")" = "$begins" ]; }
begins=0
capture() {
    begins=$((begins + 1))
    "$program" -v capture -i lo --port "$v1" -o "$top/v1/r-%Y%m%dT%H%M%S.pcap" --spool "$work/spool" --rotate-every 1s \
        >>"$work/tap.log" 2>&1 & tap=$!
    until_so "the tap begins" begun
    sleep 0.3
}
for round in $(seq "$rounds"); do
    capture
    ask 40
    if [ $((round % 2)) = 0 ]; then away; fi
    ask 40
    # What was seen is on disk a second later; a kill may take what is younger.
    sleep 1.5
    sleep "0.$((RANDOM % 10))"
    kill -KILL "$tap"; wait "$tap" 2>/dev/null || true
    if [ $((round % 2)) = 0 ]; then back; fi
done
capture
kill -TERM "$tap"; wait "$tap" || fail "the last capture failed"
tap=
left=$(find "$work/spool" -type f | wc -l)
# Milliseconds of a command that ends with a code.
took() { local before; before=$(date +%s%N); ends "$@"; took=$((($(date +%s%N) - before) / 1000000)); }
# Starts a command that takes so many milliseconds, about, and kills it at a random instant.
struck() {
    local most=$1; shift
    "$program" -q "$@" >>"$work/run.log" 2>&1 & local one=$!
    sleep "$(python3 -c 'import random, sys; print(random.random() * float(sys.argv[1]) / 900)' "$most")"
    kill -KILL "$one" 2>/dev/null && kills=$((kills + 1))
    wait "$one" 2>/dev/null || true
}
quiet() { "$program" -q "$@" >>"$work/run.log" 2>&1; }
ends() { local code=$1 got=0; shift; quiet "$@" || got=$?; [ "$got" = "$code" ] || fail "$* ended with $got and not $code"; }
ends 0 parse "$top/v1/r-*.pcap" -o "$top/parsed/v1.jsonl.zst"
ends 0 parse "$top/parsed/v1.jsonl.zst" -o "$work/v1.jsonl"
found=$(grep -o '?n=[0-9]*' "$work/v1.jsonl" | sort -u | wc -l)
echo "$kind: $rounds kills, $asked requests asked, $found found in the store, $left files left here"
[ "$found" = "$asked" ] && [ "$left" = 0 ] || fail "something was lost"

# A run, and the same in shards that agree on their start in the store.
target="http://127.0.0.1:$v2"
ends 1 run "$top/v1/" --target "$target" --speed max --allow-captured-server -o "$top/runs/whole"
parts=()
for n in 1 2 3; do
    "$program" -q replay "$top/v1/" --target "$target" --speed max --allow-captured-server --shard "$n/3" --start-at +20s \
        --flows "$top/shards/flows" -o "$top/shards/$n" >>"$work/run.log" 2>&1 & parts+=($!)
done
for part in "${parts[@]}"; do wait "$part" || fail "a shard failed"; done
ends 0 merge "$top/shards/" -o "$top/runs/merged"
ends 0 diff "$top/runs/merged"
ends 0 report "$top/runs/merged"
ends 1 gate "$top/runs/merged"
for run in whole merged; do
    ends 0 export "$top/runs/$run" -o "$work/$run.har"
    "$program" -q show "$top/runs/$run" | sed "s/$run/RUN/g" >"$work/$run.txt"
done
cmp "$work/whole.har" "$work/merged.har" && cmp "$work/whole.txt" "$work/merged.txt" || fail "shards are not the whole"
echo "$kind: run, and three shards that merge to the same, from the store and to it"

# Killed on its way to the store, a run is there whole or not at all, and another one may take its place.
kills=0 whole=0
killed() {
    local most=$1 name=$2 code=0; shift 2
    struck "$most" "$@" -o "$top/killed/$name"
    quiet export "$top/killed/$name" -o "$work/killed.har" || code=$?
    case $code in
    0) cmp "$work/whole.har" "$work/killed.har" || fail "killed/$name is not whole"; whole=$((whole + 1)) ;;
    3) ;;
    *) fail "killed/$name: export ended with $code" ;;
    esac
    rm -f "$work/killed.har"
}
replay=(replay "$top/v1/" --target "$target" --speed max --allow-captured-server)
merge=(merge "$top/shards/")
for what in replay merge; do
    declare -n command=$what
    took 0 "${command[@]}" -o "$top/killed/$what"
    for n in $(seq "$rounds"); do killed "$took" "$what$n" "${command[@]}"; done
    for n in $(seq "$rounds"); do killed "$took" "$what" "${command[@]}" --force; done
    ends 0 "${command[@]}" -o "$top/killed/$what" --force
    ends 0 export "$top/killed/$what" -o "$work/killed.har"
    cmp "$work/whole.har" "$work/killed.har" || fail "killed/$what is not whole in the end"
done
echo "$kind: $kills of $((rounds * 4)) replays and merges killed, $whole runs there, each whole; others took their places"

# What takes many parts, by a program that is killed: whole or not there.
python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); import shards; shards.cloned(12, sys.argv[2])' "$here/.." "$work/large.pcap"
ends 0 parse "$work/large.pcap" -o "$work/large.jsonl"
took 0 parse "$work/large.pcap" -o "$top/large/last.jsonl"
kills=0
for n in $(seq "$rounds"); do
    struck "$took" parse "$work/large.pcap" -o "$top/large/$n.jsonl"
done
whole=0
for n in $(seq "$rounds") last; do
    quiet parse "$top/large/$n.jsonl" -o "$work/back.jsonl" || continue
    cmp <(tail -n +2 "$work/large.jsonl") <(tail -n +2 "$work/back.jsonl") || fail "large/$n.jsonl is not whole"
    whole=$((whole + 1))
done
[ "$whole" -ge 1 ] || fail "the last one is not there"
echo "$kind: $(stat -c %s "$work/large.jsonl") bytes, $kills writers killed, $whole of $((rounds + 1)) objects there, each whole"
