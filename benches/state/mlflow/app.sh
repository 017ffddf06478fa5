# MLflow (PyPI): a tracking server on SQLite; run ids, experiment numbers, page tokens.
install() {
  [ -x v1/bin/mlflow ] || {
    python3 -m venv v1 && v1/bin/pip -q install 'mlflow==2.14.3' 'setuptools<80' 'sqlalchemy<2.1' requests
  }
  [ -x v2/bin/mlflow ] || { python3 -m venv v2 && v2/bin/pip -q install 'mlflow==3.4.0' 'sqlalchemy<2.1'; }
}
up() {
  exec env GIT_PYTHON_REFRESH=quiet PATH="$PWD/${3:-v1}/bin:$PATH" "${3:-v1}/bin/mlflow" server --workers 1 \
    --host 127.0.0.1 --port "$1" --backend-store-uri "sqlite:///$2/db.sqlite" --artifacts-destination "$2/files"
}
ready() { echo /health; }
client() { v1/bin/python "$apps/mlflow/client.py" "$1"; }
