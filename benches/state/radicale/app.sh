# Radicale (PyPI): CalDAV with entity tags, If-Match and sync tokens; its data are files.
install() {
  [ -x v1/bin/radicale ] || { python3 -m venv v1 && v1/bin/pip -q install 'radicale==3.1.7' requests; }
  [ -x v2/bin/radicale ] || { python3 -m venv v2 && v2/bin/pip -q install 'radicale==3.5.10'; }
  for user in 0 1 2; do echo "user$user:pw"; done >users
}
up() {
  exec "${3:-v1}/bin/python" -m radicale --server-hosts "127.0.0.1:$1" --storage-filesystem-folder "$2" \
    --auth-type htpasswd --auth-htpasswd-filename users --auth-htpasswd-encryption plain --auth-delay 0
}
ready() { echo /; }
client() { v1/bin/python "$apps/radicale/client.py" "$1"; }
