# WsgiDAV (PyPI): WebDAV with locks whose tokens stand in If headers, entity tags, properties.
install() {
  [ -x v1/bin/wsgidav ] || { python3 -m venv v1 && v1/bin/pip -q install 'wsgidav==4.1.0' cheroot lxml requests; }
  [ -x v2/bin/wsgidav ] || { python3 -m venv v2 && v2/bin/pip -q install 'wsgidav==4.3.3' cheroot lxml; }
}
up() { mkdir "$2/files"; exec "${3:-v1}/bin/wsgidav" --host 127.0.0.1 --port "$1" --root "$2/files" --auth anonymous --server cheroot --no-config; }
ready() { echo /; }
client() { v1/bin/python "$apps/wsgidav/client.py" "$1"; }
