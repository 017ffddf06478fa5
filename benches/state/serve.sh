# Starts an application, taps its port while a client uses it, and ends both. Sourced by scripts that
# have `program`, `port`, `work`, and `apps` with an `app.sh` of each application; see README.md.
# shellcheck disable=SC2154 # They are the caller's.
# Servers are process groups of their own, which end with their workers.
server='' tap=''
end() {
  [ -z "$tap" ] || kill "$tap" 2>/dev/null || true
  [ -z "$server" ] || kill -- "-$server" 2>/dev/null || true
  for pid in $tap $server; do wait "$pid" 2>/dev/null || true; done
  server='' tap=''
}
trap end EXIT

enter() { # enter APPLICATION: into its own folder, its program installed
  mkdir -p "$work/$1"
  cd "$work/$1"
  # shellcheck source=/dev/null
  . "$apps/$1/app.sh"
  install
}

answers() { # answers URL
  for _ in $(seq 400); do
    curl -s -o /dev/null --max-time 2 "$1" && return 0
    sleep 0.3
  done
  echo "$1 does not answer" >&2
  return 1
}

serve() { # serve PORT NAME VERSION: the application on fresh data
  rm -rf "data-$2"
  mkdir "data-$2"
  set -m
  up "$1" "$PWD/data-$2" "$3" >"$2.log" 2>&1 &
  server=$!
  set +m
  answers "http://127.0.0.1:$1$(ready)"
}

tapped() { # tapped NAME: what the client says to it, as NAME.pcap
  rm -f "$1.pcap"
  "$program" capture -i lo --port "$port" -o "$1.pcap" >"$1.capture.log" 2>&1 &
  tap=$!
  sleep 1.5
  PYTHONPATH=$here client "http://127.0.0.1:$port" || echo "the client ended with $?"
  sleep 1.5
  kill -INT "$tap"
  wait "$tap" || true
  tap=''
}
