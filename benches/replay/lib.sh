# What the scripts of this folder share: a folder that goes away, nginx on a free port, medians.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
shadowtap=${SHADOWTAP:-$top/target/release/shadowtap}
[ -x "$shadowtap" ] || { echo "build it first: cargo build --release (or set SHADOWTAP)" >&2; exit 1; }
work=$(mktemp -d)
children=()
cleanup() { for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"; }
trap cleanup EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts nginx with one worker that answers "ok", in HTTP/1 at $port and in HTTP/2 at $port2; sets $nginx (its master), too.
start_nginx() {
    port=$(free_port)
    port2=$(free_port)
    cat > "$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 8192; }
http {
    access_log off; keepalive_requests 1000000000; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
    http2_max_concurrent_streams 1024;
    server { listen 127.0.0.1:$port; location / { default_type text/plain; return 200 "ok\n"; } }
    server { listen 127.0.0.1:$port2 http2; location / { default_type text/plain; return 200 "ok\n"; } }
}
CONF
    nginx -c "$work/nginx.conf" -e "$work/error.log" > /dev/null 2>&1 &
    nginx=$!
    children+=("$nginx")
    for _ in $(seq 100); do curl -so /dev/null "http://127.0.0.1:$port/" && return; sleep 0.05; done
    echo "nginx did not start: $(cat "$work/error.log")" >&2
    exit 1
}

has() { command -v "$1" > /dev/null; }

# The median of numbers on standard input, one a line.
median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
