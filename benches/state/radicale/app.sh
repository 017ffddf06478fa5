# Radicale (PyPI): CalDAV with entity tags, If-Match and sync tokens; its data are files.
install() {
  [ -x v1/bin/python ] || { python3 -m venv v1 && v1/bin/pip -q install 'radicale==3.1.7' requests; }
  for user in 0 1 2; do echo "user$user:pw"; done >users
}
up() {
  exec v1/bin/python -m radicale --server-hosts "127.0.0.1:$1" --storage-filesystem-folder "$2" \
    --auth-type htpasswd --auth-htpasswd-filename users --auth-htpasswd-encryption plain --auth-delay 0
}
ready() { echo /; }
client() { v1/bin/python "$apps/radicale/client.py" "$1"; }
