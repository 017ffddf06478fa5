# Synapse (PyPI): Matrix rooms, events, syncs from tokens, media, device keys; on SQLite.
install() {
  [ -x v1/bin/python ] || { python3 -m venv v1 && v1/bin/pip -q install 'matrix-synapse==1.163.2' requests; }
}
up() {
  python="$PWD/${3:-v1}/bin/python"
  cd "$2"
  cat >homeserver.yaml <<Y
server_name: example.org
listeners: [{port: $1, tls: false, type: http, bind_addresses: [127.0.0.1], resources: [{names: [client, media]}]}]
database: {name: sqlite3, args: {database: $2/db}}
media_store_path: $2/media
signing_key_path: $2/signing.key
report_stats: false
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
macaroon_secret_key: for-these-data-alone
registration_shared_secret: for-these-data-alone
trusted_key_servers: []
rc_message: {per_second: 1000, burst_count: 1000}
rc_registration: {per_second: 1000, burst_count: 1000}
rc_login: {address: {per_second: 1000, burst_count: 1000}, account: {per_second: 1000, burst_count: 1000}, failed_attempts: {per_second: 1000, burst_count: 1000}}
rc_joins: {local: {per_second: 1000, burst_count: 1000}}
rc_invites: {per_room: {per_second: 1000, burst_count: 1000}, per_user: {per_second: 1000, burst_count: 1000}, per_issuer: {per_second: 1000, burst_count: 1000}}
rc_room_creation: {per_second: 1000, burst_count: 1000}
Y
  echo 'ed25519 a_test VmVyeVNlY3JldEtleUZvclRlc3RzT25seTEyMzQ1Njc' >signing.key
  exec env PYTHONHASHSEED=0 "$python" -m synapse.app.homeserver -c homeserver.yaml
}
ready() { echo /_matrix/client/versions; }
client() { v1/bin/python "$apps/synapse/client.py" "$1"; }
