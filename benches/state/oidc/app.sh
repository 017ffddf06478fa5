# oidc-provider (npm): OpenID Connect; clients that register, code with PKCE, consent in a browser, refresh, devices.
install() {
  for of in "v1 7.14.3" "v2 8.8.1"; do
    set -- $of
    [ -d "$1/node_modules" ] || { mkdir -p "$1" && (cd "$1" && npm init -y >/dev/null && npm install --no-audit --no-fund "oidc-provider@$2" >/dev/null); }
  done
  [ -x cl/bin/python ] || { python3 -m venv cl && cl/bin/pip -q install requests; }
}
up() { exec node "$apps/oidc/server.mjs" "$PWD/${3:-v1}" "$1"; }
ready() { echo /.well-known/openid-configuration; }
client() { cl/bin/python "$apps/oidc/client.py" "$1"; }
