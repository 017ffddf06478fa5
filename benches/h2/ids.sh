#!/bin/bash
# Captures a client of a service that numbers from 1, and replays it at the service with numbers from 1001, and at one with numbers
# that overlap v1's.
set -eu
here=$(realpath "$(dirname "$0")")
program=$(realpath "${SHADOWTAP:-target/release/shadowtap}")
folder=$(mktemp -d)
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
cd "$folder"
cp "$here"/ids/* .
python3 -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. shop.proto
servers=()
trap 'kill "${servers[@]}"; rm -rf "$folder"' EXIT
v1=$(free)
python3 orders.py serve "$v1" 1 & servers+=($!)
sleep 2
"$program" capture -i lo --port "$v1" -o v1.pcap -q --duration 6s & capture=$!
sleep 2
python3 orders.py call "$v1"
wait $capture
for first in 1001 5; do
    v2=$(free)
    python3 orders.py serve "$v2" "$first" & servers+=($!)
    sleep 2
    # Without a verdict on latency it ends with 5; differences end with 1.
    "$program" --proto . run v1.pcap --target "http://127.0.0.1:$v2" --unsafe-methods -o "run-$first" || [ $? -eq 5 ]
    [ "$(wc -l < "run-$first/mismatches.csv")" -eq 1 ]
done
