# Kinto (PyPI): records with ids, times as entity tags, pages, batches of requests, accounts; in memory.
install() {
  [ -x v1/bin/kinto ] || { python3 -m venv v1 && v1/bin/pip -q install 'kinto==21.1.1' 'pyramid_multiauth<1.1' 'setuptools<80' kinto-http; }
  [ -x v2/bin/kinto ] || { python3 -m venv v2 && v2/bin/pip -q install 'kinto==26.4.0' 'setuptools<80'; }
}
up() {
  "${3:-v1}/bin/kinto" init --ini "$2/kinto.ini" --backend memory --cache-backend memory >"$2/init.log" 2>&1
  sed -i 's/^kinto.bucket_create_principals.*/kinto.bucket_create_principals = system.Authenticated/' "$2/kinto.ini"
  # Sets have the order of their hashes, which are salted in each process.
  exec env PYTHONHASHSEED=0 "${3:-v1}/bin/kinto" start --ini "$2/kinto.ini" --port "$1"
}
ready() { echo /v1/; }
client() { v1/bin/python "$apps/kinto/client.py" "$1"; }
