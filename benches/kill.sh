#!/usr/bin/env bash
# kill.sh SHADOWTAP [TIMES [TRIAL...]]: ends each command by kill -9 at TIMES (20) different moments of its run, and by SIGTERM and SIGINT at as
# many. Afterwards every file that is there must be whole or readable, the command must run again in the same place, a killed replay or
# capture must have lost less than a second, and a signal must have ended it within one, with 130 (0 or 1 where a mock or a capture ends so).
# Loopback only; captures want root; takes some minutes.
set -uo pipefail
program=$(realpath "${1:?path of shadowtap}"); times=${2:-20}; shift; shift || true; only=" $* "
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd); work=$(mktemp -d); server=
client=
trap 'kill $server $client 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
python3 - <<'PYTHON'
import json
T = "2026-11-22T10:00:%02d.%09dZ"
def exchange(i):
    body = json.dumps({"id": i, "items": list(range(i % 50)), "text": "x" * 200})
    at = T % (i // 200 % 60, i % 200 * 5_000_000)
    return {"id": f"{i % 40}-{i // 40}", "connection": i % 40, "client": f"10.0.0.9:{40000 + i % 40}", "server": "10.0.0.1:8080", "protocol": "http/1",
        "completeness": "complete", "request": {"at": at, "duration_ns": 0, "method": "GET", "target": f"/items/{i}", "version": "1.1",
        "headers": [["Host", "shop.local"]], "body": None, "body_bytes": 0, "framing": "none", "trailers": []},
        "response": {"first_byte_ns": 900000, "last_byte_ns": 950000, "status": 200, "reason": "OK", "version": "1.1",
        "headers": [["Content-Type", "application/json"]], "body": {"utf8": body}, "body_bytes": len(body), "framing": "content-length", "trailers": []}, "interim": []}
with open("v1.jsonl", "w") as out:
    out.write(json.dumps({"format": "shadowtap/exchanges", "version": 1, "created": T % (0, 0), "tool": "shadowtap 0.1.0", "inputs": []}) + "\n")
    for i in range(12_000): out.write(json.dumps(exchange(i)) + "\n")
    out.write(json.dumps({"format": "shadowtap/end", "exchanges": 12_000, "ledger": {"in": 0, "used": 0, "rejected": {}, "noted": {}}}) + "\n")
# One exchange whose answer has members without number: one comparison, one line, one page of the report.
wide = {**exchange(0), "id": "0-0"}
body = "{" + ",".join(f'"j{i}":{i}' for i in range(400_000)) + "}"
wide["response"] = {**wide["response"], "body": {"utf8": body}, "body_bytes": len(body)}
with open("wide.jsonl", "w") as out: out.write(json.dumps(wide) + "\n")
PYTHON
cat > server.py <<'PYTHON'
import asyncio, sys
def answer(body): return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
SMALL = answer(b'{"other":1}')
WIDE = answer(("{" + ",".join(f'"k{i}":{i}' for i in range(400_000)) + "}").encode())
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n"); writer.write(WIDE if b" /items/0 " in head and sys.argv[1:] else SMALL)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError): writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    open("wide-port" if sys.argv[1:] else "port", "w").write(str(server.sockets[0].getsockname()[1])); await server.serve_forever()
asyncio.run(main())
PYTHON
python3 server.py & server=$!
python3 server.py wide & server="$server $!"
for _ in $(seq 100); do [ -s port ] && [ -s wide-port ] && break; sleep .1; done
target=http://127.0.0.1:$(cat port) wide=http://127.0.0.1:$(cat wide-port)
"$program" -q run v1.jsonl --target "$target" --speed max -o whole > /dev/null 2>&1
"$program" -q replay v1.jsonl --target "$target" --speed max --shard 1/2 -o half1 > /dev/null 2>&1
"$program" -q replay v1.jsonl --target "$target" --speed max --shard 2/2 -o half2 > /dev/null 2>&1
cat > check.py <<'PYTHON'
# Every whole line of a file of records is one; only the last may be cut. JSON files are whole.
import glob, json, sys
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    if path.endswith(".json"): json.loads(data)
    if path.endswith(".jsonl"):
        for line in data.split(b"\n")[:-1]: json.loads(line)
PYTHON
failed=0 killed=0 longest=60
wrong() { echo "WRONG: $*"; failed=$((failed + 1)); }
now() { date +%s%N; }
# trial NAME OUT COMMAND...: OUT is what it writes; $work/base, where it is there, is what OUT holds before.
trial() {
  local name=$1 out=$2 base=$3; shift 3
  case $only in "  " | *" $name "*) ;; *) return ;; esac
  fresh() { rm -rf "$out" "$out".part*; [ -z "$base" ] || cp -r "$base" "$out"; }
  fresh; local start took; start=$(now); timeout "$longest" "$program" -q "$@" > stdout 2> err; took=$((($(now) - start) / 1000000))
  [ $took -lt 3500 ] || took=3500
  for signal in KILL TERM INT; do
    for n in $(seq "$times"); do
      fresh
      "$program" -q "$@" > stdout 2> err & local process=$!
      sleep "$(python3 -c "print(($n - .5) * $took / $times / 1000)")"
      start=$(now); kill -$signal $process 2> /dev/null; wait $process 2> /dev/null; local code=$? ended=$((($(now) - start) / 1000000))
      killed=$((killed + 1))
      if [ $signal != KILL ]; then
        # Whoever was done before the signal has its own code.
        case $code in 130 | 0 | 1 | 5 | 143) ;; *) wrong "$name: $signal $n: code $code: $(head -1 err)" ;; esac
        [ $ended -lt 1000 ] || wrong "$name: $signal $n: took $ended ms"
        left=$(find . -path ./traffic -prune -o -name '*.part' -print | head -1); [ -z "$left" ] || wrong "$name: $signal $n: left $left"
      fi
      if [ -e "$out" ]; then
        python3 check.py $(find "$out" -type f -not -name '.*') 2> err || wrong "$name: $signal $n: $(tail -1 err)"
      fi
      case $name in capture-*)
        # What nobody writes any more is damaged at most; it is read up to there.
        if [ -s "$out" ] && ! { timeout 60 "$program" inspect "$out" > stdout 2> err || grep -qE 'no (packet|HTTP exchange) in' err; }; then wrong "$name: $signal $n: $(head -1 err)"; fi
        ! grep -q 'still being written' err stdout || wrong "$name: $signal $n: said to be still being written" ;;
      esac
      if [ -e "$out/run.json" ] && [ -e "$out/outcomes.jsonl" ] && [ ! -e "$out/diff.json" ]; then
        timeout 60 "$program" -q diff "$out" > /dev/null 2> err; ended=$?
        # On a busy machine a comparison may take longer than is waited for, which is no fault of the kill.
        [ $ended != 124 ] || echo "not done within 60 s" > err
        [ $ended = 0 ] || [ "$(wc -l < "$out/outcomes.jsonl")" -lt 2 ] || wrong "$name: $signal $n: diff: $(head -1 err)"
      fi
    done
  done
  fresh; timeout "$longest" "$program" -q "$@" > stdout 2> err
  case $? in 0 | 1 | 5 | 124) ;; *) wrong "$name: again: $(head -1 err)" ;; esac
  # What is left here is no other trial's.
  fresh
  echo "$name: $took ms, $((3 * times)) times"
}
trial parse out.jsonl "" parse v1.jsonl -o out.jsonl
trial parse-redact out.jsonl "" parse v1.jsonl -o out.jsonl --redact default
for kind in stx har gor jsonl.zst; do trial parse-$kind out.$kind "" parse v1.jsonl -o out.$kind; done
for kind in har k6.js curl.sh; do trial export-${kind%%.*} out.$kind "" export v1.jsonl -o out.$kind; done
trial inspect none "" inspect v1.jsonl
trial flows none "" flows v1.jsonl
trial wide-inspect none "" inspect wide.jsonl
trial wide-run out "" run wide.jsonl --target "$wide" --speed max -o out
trial replay out "" replay v1.jsonl --target "$target" -o out
trial replay-max out "" replay v1.jsonl --target "$target" --speed max --baseline "$target" -o out
trial replay-force out whole replay v1.jsonl --target "$target" --speed max -o out --force
trial run out "" run v1.jsonl --target "$target" --speed max -o out
trial run-redact out "" run v1.jsonl --target "$target" --speed max --redact default --compress -o out
trial shard out "" replay v1.jsonl --target "$target" --speed max --shard 1/2 -o out
trial diff out whole diff out
trial report out whole report out
trial gate out whole gate out
trial show none "" show whole items
trial mock-run out "" run v1.jsonl --target "$target" --speed max --mock-listen 127.0.0.1:0 --provider shop.local -o out
trial merge out "" merge half1 half2 -o out
trial merge-force out whole merge half1 half2 -o out --force
longest=15 trial demo out "" demo -o out
trial dry-run none "" replay v1.jsonl --dry-run
longest=4 trial mock out.egress "" mock v1.jsonl --provider shop.local --listen 127.0.0.1:0 --log out.egress
case $only in "  " | *" capture-"*) is_captured=1 ;; *) is_captured= ;; esac
if [ -z "$is_captured" ]; then :
elif "$program" -q capture -i lo --port 9 --duration 10ms -o probe.pcap > /dev/null 2> err; then
  # Whoever ends this loop must not run the script's own end in it, which takes the folder away.
  { trap - EXIT; while :; do timeout 20 "$program" -q replay v1.jsonl --target "$target" --no-marker -o traffic --force; done; } > /dev/null 2>&1 & client=$!
  for kind in pcap pcapng jsonl pcap.zst; do longest=3 trial capture-$kind out.$kind "" capture -i lo --port "${target##*:}" --duration 3s -o out.$kind; done
  kill $client; wait $client 2> /dev/null
else
  echo "captures are left out: $(head -1 err)"
fi
# After 4 s of a replay at least 3 s of it are there.
rm -rf out; "$program" -q replay v1.jsonl --target "$target" -o out > /dev/null 2>&1 & process=$!
for _ in $(seq 200); do [ -e out/outcomes.jsonl ] && break; sleep .05; done
sleep 4; kill -KILL $process; wait $process 2> /dev/null
there=$(python3 - <<'PYTHON'
import json
print(max([json.loads(l).get("due_ns", 0) for l in open("out/outcomes.jsonl", "rb").read().split(b"\n")[:-1]] or [0]) // 1_000_000)
PYTHON
)
[ "$there" -ge 3000 ] || wrong "replay: $there ms of 4 s are readable"
echo "replay killed after 4 s: $there ms are readable; $killed trials, $failed wrong"
[ $failed = 0 ]
