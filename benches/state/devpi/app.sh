# devpi-server (PyPI): an index of packages; logins whose tokens go into a header, serials, uploads in forms.
install() {
  [ -x v1/bin/devpi-server ] || { python3 -m venv v1 && v1/bin/pip -q install 'devpi-server==6.10.0' 'setuptools<80' requests; }
  [ -x v2/bin/devpi-server ] || { python3 -m venv v2 && v2/bin/pip -q install 'devpi-server==6.17.0' 'setuptools<80'; }
}
up() {
  "${3:-v1}/bin/devpi-init" --serverdir "$2/s" --no-root-pypi --root-passwd pass-word >"$2/init.log" 2>&1
  exec "${3:-v1}/bin/devpi-server" --serverdir "$2/s" --host 127.0.0.1 --port "$1" --offline-mode
}
ready() { echo /+api; }
client() { v1/bin/python "$apps/devpi/client.py" "$1"; }
