#!/bin/bash
# Captures h2load, nghttp and curl at nginx over HTTP/2 in clear text, and replays that at it.
set -eu
program=$(realpath "${SHADOWTAP:-target/release/shadowtap}")
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$folder"
chmod 755 .
mkdir www
head -c 300000 /dev/urandom | base64 > www/big.txt
echo '{"a":1}' > www/a.json
echo hi > www/index.html
cat > nginx.conf <<N
worker_processes 1; daemon off; pid $folder/nginx.pid; error_log $folder/error.log;
events { worker_connections 512; }
http {
  access_log off; root $folder/www; default_type text/plain;
  client_body_temp_path $folder/c; proxy_temp_path $folder/p; fastcgi_temp_path $folder/f;
  uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
  server { listen 127.0.0.1:$port http2; }
}
N
nginx -p "$folder" -c "$folder/nginx.conf" 2>/dev/null & server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
sleep 1
"$program" capture -i lo --port "$port" -o v1.pcap -q --duration 6s & capture=$!
sleep 1
url=http://127.0.0.1:$port
h2load -n 200 -c 4 -m 10 $url/a.json $url/index.html $url/missing >/dev/null
nghttp -n $url/big.txt $url/a.json
nghttp -n -d www/a.json --trailer 'x-t: v' $url/a.json
# One at a time: curl 7.88 fails by itself on a second one of a connection.
for file in a.json big.txt; do curl -s --http2-prior-knowledge $url/$file -o /dev/null; done
wait $capture
# Too few samples for a verdict on latency end with 5; differences end with 1.
"$program" run v1.pcap --target $url --allow-captured-server --unsafe-methods -o run || [ $? -eq 5 ]
[ "$(wc -l < run/mismatches.csv)" -eq 1 ]
