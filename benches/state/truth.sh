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
# shellcheck source=serve.sh
. "$here/serve.sh"

failed=0
for app in "$@"; do
  enter "$app"
  for run in first second; do
    serve "$port" "$run" v1
    SERIAL=1 tapped "$run"
    end
    "$program" -q parse "$run.pcap" -o "$run.jsonl" >"$run.parse.log" 2>&1
  done
  echo -n "$app: "
  python3 "$here/truth.py" "$program" first.jsonl second.jsonl || failed=1
done
exit $failed
