#!/usr/bin/env bash
# Records a client twice against fresh data of each application, and holds the flows that are found
# against what differs. See README.md.
#   truth.sh SHADOWTAP [APPLICATION...]
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: truth.sh SHADOWTAP [APPLICATION...]" >&2; exit 2; }
program=$(realpath "$1"); shift
here=$(cd "$(dirname "$0")" && pwd)
apps=${STATE_APPS:-$here}
work=$(realpath -m "${STATE_WORK:-state-work}")
[ $# -gt 0 ] || set -- radicale mlflow
port=${STATE_PORT:-18250}
server='' tap=''
# Servers are process groups of their own, which end with their workers.
end() {
  [ -z "$tap" ] || kill "$tap" 2>/dev/null || true
  [ -z "$server" ] || kill -- "-$server" 2>/dev/null || true
  for pid in $tap $server; do wait "$pid" 2>/dev/null || true; done
  server='' tap=''
}
trap end EXIT

answers() { # answers URL
  for _ in $(seq 300); do
    curl -s -o /dev/null --max-time 2 "$1" && return 0
    sleep 0.3
  done
  echo "$1 does not answer" >&2
  return 1
}

failed=0
for app in "$@"; do
  mkdir -p "$work/$app"
  cd "$work/$app"
  # shellcheck source=/dev/null
  . "$apps/$app/app.sh"
  install
  for run in first second; do
    rm -rf "data-$run"
    mkdir "data-$run"
    set -m
    up "$port" "$PWD/data-$run" >"$run.log" 2>&1 &
    server=$!
    set +m
    answers "http://127.0.0.1:$port$(ready)"
    rm -f "$run.pcap"
    "$program" capture -i lo --port "$port" -o "$run.pcap" >"$run.capture.log" 2>&1 &
    tap=$!
    sleep 1.5
    client "http://127.0.0.1:$port"
    sleep 1.5
    kill -INT "$tap"
    wait "$tap" || true
    tap=''
    end
    "$program" -q parse "$run.pcap" -o "$run.jsonl" >"$run.parse.log" 2>&1
  done
  echo -n "$app: "
  python3 "$here/truth.py" "$program" first.jsonl second.jsonl || failed=1
done
exit $failed
