#!/usr/bin/env bash
# Four small servers against themselves, RUNS (5) times each: nginx with files, httpbin, json-server (npm) on a fresh copy of its data, and
# an application of Flask with ids, tokens, times and random orders. No regression and no failure may be found; a verdict on latency may be
# missing (code 5), as the runs are short.
#   benches/diff/selves.sh [PROGRAM] [RUNS] [APP...]
# Needs the right to capture on loopback, nginx, python3 with venv and pip, and npm.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${1:-target/release/shadowtap}") runs=${2:-5}; shift 2 2>/dev/null || shift $#
apps=("$@"); [ $# -gt 0 ] || apps=(nginx httpbin json-server flask)
work=$(mktemp -d) server=
stop() { if [ -n "$server" ]; then kill "$server"; wait "$server"; server=; fi 2>/dev/null; }
trap 'stop; rm -rf "$work"' EXIT
chmod 755 "$work"
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

install() {
    case $1 in
        httpbin | flask) python3 -m venv "$work/venv" 2>/dev/null
            "$work/venv/bin/pip" install -q --disable-pip-version-check gunicorn flask httpbin==0.10.2 ;;
        json-server) (mkdir -p "$work/npm" && cd "$work/npm" && npm install --silent json-server@0.17 >/dev/null) ;;
        nginx) mkdir -p "$work/www" && for n in $(seq 30); do seq "$n" $((n * 200)) >"$work/www/$n.txt"; done
            echo '{"rates":{"EUR":1.5}}' >"$work/www/rates.json" ;;
    esac
}
# Starts the application with fresh data.
start() {
    case $1 in
        nginx) cat >"$work/nginx.conf" <<N
worker_processes 1; daemon off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 512; }
http { access_log off; root $work/www; default_type text/plain; gzip on; gzip_types text/plain;
  client_body_temp_path $work/c; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$port; autoindex on; location /teapot { return 418; } location /moved { return 301 /rates.json; }
    add_header X-Request-Id \$request_id; } }
N
            nginx -p "$work" -c "$work/nginx.conf" 2>/dev/null & ;;
        httpbin) HOME=$work "$work/venv/bin/gunicorn" -b "127.0.0.1:$port" --threads 4 httpbin:app 2>/dev/null & ;;
        flask) HOME=$work "$work/venv/bin/gunicorn" --chdir "$here" -b "127.0.0.1:$port" --threads 4 selves_app:app 2>/dev/null & ;;
        json-server) cp "$here/selves.json" "$work/db.json"
            "$work/npm/node_modules/.bin/json-server" -q -H 127.0.0.1 -p "$port" "$work/db.json" >/dev/null 2>&1 & ;;
    esac
    server=$!
    for _ in $(seq 300); do curl -s -o /dev/null "http://127.0.0.1:$port/" && return; sleep 0.1; done
    echo "$1 does not answer"; exit 1
}

wrong=0
for app in "${apps[@]}"; do
    install "$app" || { echo "skipped, $app cannot be installed"; continue; }
    port=$(free); start "$app"
    "$program" -q capture -i lo --port "$port" -o "$work/$app.pcap" >/dev/null 2>&1 & tap=$!
    sleep 1
    case $app in
        httpbin) python3 "$here/httpbin_clients.py" 127.0.0.1 "$port" ;;
        *) python3 "$here/selves_clients.py" "$app" "$port" ;;
    esac
    sleep 0.5; kill -INT $tap; wait $tap; stop
    for run in $(seq "$runs"); do
        start "$app"
        "$program" -q run "$work/$app.pcap" --target "http://127.0.0.1:$port" --allow-captured-server --unsafe-methods --no-marker --force \
            -o "$work/run" >"$work/said" 2>&1
        code=$?; stop
        counts=$(python3 - "$work/run/summary.json" <<'P'
import json, sys
diff = json.load(open(sys.argv[1]))["diff"]
print(diff["mismatched"], "of", diff["compared"], "compared exchanges differ,", diff["noisy"], "noisy,", diff["clusters"]["regression"], "regressions")
P
)
        echo "$app, run $run: code $code, $counts"
        if { [ $code != 0 ] && [ $code != 5 ]; } || [[ $counts != *" 0 regressions" ]]; then
            wrong=1; head -n 40 "$work/said"; head -n 12 "$work/run/mismatches.csv" | cut -c1-300
        fi
    done
done
exit $wrong
