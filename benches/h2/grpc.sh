#!/bin/bash
# Captures calls of every kind at a server of grpcio, and replays them at it.
set -eu
here=$(realpath "$(dirname "$0")")
program=$(realpath "${SHADOWTAP:-target/release/shadowtap}")
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$folder"
python3 "$here/calls.py" serve "$port" & server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
sleep 2
"$program" capture -i lo --port "$port" -o v1.pcap -q --duration 8s & capture=$!
sleep 1
python3 "$here/calls.py" call "$port"
wait $capture
# Too few samples for a verdict on latency end with 5; differences end with 1.
"$program" run v1.pcap --target "http://127.0.0.1:$port" --allow-captured-server --unsafe-methods -o run || [ $? -eq 5 ]
[ "$(wc -l < run/mismatches.csv)" -eq 1 ]
