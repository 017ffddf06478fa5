#!/usr/bin/env bash
# Records people at real applications (v1), and replays them at v1 again and at v2, each on fresh
# data. See README.md.
#   pairs.sh SHADOWTAP [APPLICATION...]
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: pairs.sh SHADOWTAP [APPLICATION...]" >&2; exit 2; }
program=$(realpath "$1"); shift
here=$(cd "$(dirname "$0")" && pwd)
apps=${STATE_APPS:-$here}
work=$(realpath -m "${STATE_WORK:-state-work}")
port=${STATE_PORT:-18260}
turns=${STATE_TURNS:-1}
[ $# -gt 0 ] || set -- radicale mlflow kinto jupyter django wagtail oidc wsgidav devpi
# shellcheck source=serve.sh
. "$here/serve.sh"

replayed() { # replayed NAME VERSION PORT: v1's recording at another server
  serve "$3" "$1" "$2"
  local code=0
  rm -rf "run-$1"
  local rules=$apps/$app/shadowtap.toml
  [ -e "$rules" ] || rules=$here/shadowtap.toml
  "$program" --config "$rules" run v1.pcap --target "http://127.0.0.1:$3" --unsafe-methods --allow-captured-server \
    -o "run-$1" >"run-$1.txt" 2>&1 || code=$?
  end
  python3 "$here/verdict.py" "run-$1" "$code" | tee -a "$1.turns"
}

failed=0
for app in "$@"; do
  enter "$app"
  rm -f again.turns v2.turns
  for turn in $(seq "$turns"); do
    serve "$port" v1 v1
    tapped v1
    end
    echo "$app, turn $turn"
    replayed again v1 $((port + 1))
    [ ! -d v2 ] || replayed v2 v2 $((port + 2))
  done
  echo "$app, $turns turns:"
  python3 "$here/verdict.py" --median again.turns || failed=1
  [ ! -e v2.turns ] || python3 "$here/verdict.py" --median v2.turns || true
done
exit $failed
