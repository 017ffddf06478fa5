#!/usr/bin/env bash
# A capture that sends its files to a real store while the store is stopped and started and the capture is killed at random
# instants; then everything is read back. Nothing may be lost. Runs as root on loopback.
#
#   benches/store/trial.sh s3|azure [ROUNDS]
#
# s3 needs moto_server (pip install 'moto[server,s3]'), azure needs azurite (npm install -g azurite).
set -euo pipefail
kind=${1:-s3} rounds=${2:-6}
program=${SHADOWTAP:-$PWD/target/debug/shadowtap}
work=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
v1=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
store= server= tap=
end() {
    for process in $tap $server $store; do kill "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

case $kind in
s3)
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1
    top=s3://captures
    serve() { MOTO_S3_CUSTOM_ENDPOINTS= moto_server -H 127.0.0.1 -p "$port" >"$work/store.log" 2>&1 & store=$!; }
    up() { curl -sf -o /dev/null "http://127.0.0.1:$port/"; }
    bucket() { curl -sf -o /dev/null -X PUT "http://127.0.0.1:$port/captures"; }
    # moto keeps objects in memory: it is stopped by a signal that lets it keep them.
    away() { kill -STOP "$store"; }
    back() { kill -CONT "$store"; }
    ;;
azure)
    export AZURE_STORAGE_ACCOUNT_NAME=devstoreaccount1 AZURE_STORAGE_USE_EMULATOR=true
    export AZURITE_BLOB_STORAGE_URL=http://127.0.0.1:$port
    top=az://captures
    serve() { azurite-blob --silent --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$port" --location "$work/azure" >"$work/store.log" 2>&1 & store=$!; }
    up() { curl -s -o /dev/null "http://127.0.0.1:$port/"; }
    bucket() { python3 "$(dirname "$0")/container.py" "$port"; }
    away() { kill "$store"; wait "$store" 2>/dev/null || true; }
    back() { serve; until up; do sleep 0.1; done; }
    ;;
*) echo "s3 or azure" >&2; exit 2 ;;
esac
serve
until up; do sleep 0.1; done
bucket
"$program" demo serve v1 --listen "127.0.0.1:$v1" --provider 127.0.0.1:9 -q >"$work/v1.log" & server=$!

asked=0
ask() { for _ in $(seq "$1"); do curl -sf -o /dev/null "http://127.0.0.1:$v1/products/$((100 + asked % 50))?n=$asked" || true; asked=$((asked + 1)); done; }
capture() {
    "$program" capture -i lo --port "$v1" -o "$top/v1/r-%Y%m%dT%H%M%S.pcap" --spool "$work/spool" --rotate-every 1s -q >>"$work/tap.log" 2>&1 & tap=$!
    until ls "$work"/spool/*.part >/dev/null 2>&1; do sleep 0.05; done
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
kill -TERM "$tap"; wait "$tap"; tap=
left=$(find "$work/spool" -type f | wc -l)
"$program" parse "$top/v1/" -o "$top/parsed/v1.jsonl.zst" -q
"$program" parse "$top/parsed/v1.jsonl.zst" -o "$work/v1.jsonl" -q
found=$(grep -o '?n=[0-9]*' "$work/v1.jsonl" | sort -u | wc -l)
echo "$kind: $rounds kills, $asked requests asked, $found found in the store, $left files left here"
[ "$found" = "$asked" ] && [ "$left" = 0 ]
