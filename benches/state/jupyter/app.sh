# Jupyter Server (PyPI): a login in a form with _xsrf, notebooks in files, checkpoints, kernels with UUIDs.
install() {
  [ -x v1/bin/jupyter-server ] || {
    python3 -m venv v1 && v1/bin/pip -q install 'jupyter_server==2.7.3' 'setuptools<80' ipykernel requests
  }
  [ -x v2/bin/jupyter-server ] || {
    python3 -m venv v2 && v2/bin/pip -q install 'jupyter_server==2.17.0' ipykernel
  }
}
up() {
  mkdir -p "$2/files"
  word=$("${3:-v1}/bin/python" -c 'from jupyter_server.auth import passwd; print(passwd("pass-word"))')
  exec env JUPYTER_CONFIG_DIR="$2/config" JUPYTER_RUNTIME_DIR="$2/runtime" JUPYTER_DATA_DIR="$2/data" \
    IPYTHONDIR="$2/ipython" "${3:-v1}/bin/jupyter-server" --no-browser --allow-root --ip 127.0.0.1 \
    --port "$1" --ServerApp.root_dir="$2/files" --IdentityProvider.token= \
    --PasswordIdentityProvider.hashed_password="$word"
}
ready() { echo /api; }
client() { v1/bin/python "$apps/jupyter/client.py" "$1"; }
