# WordPress (Debian's wordpress, mariadb-server, php-cli, php-mysql): posts and pages by the REST API with
# nonces out of pages, comments in forms, moderation by links that carry nonces, media, profiles; on MariaDB.
database() { # database DATA: MariaDB on a socket in this folder
  mariadbd --no-defaults --user="$(id -un)" --datadir="$1/db" --socket="$1/db.sock" --pid-file="$1/db.pid" --skip-networking \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M >"$1/db.log" 2>&1 &
  for _ in $(seq 200); do
    [ ! -S "$1/db.sock" ] || { mariadb-admin --no-defaults -S "$1/db.sock" ping >/dev/null 2>&1 && return 0; }
    sleep 0.1
  done
  return 1
}
install() {
  command -v mariadbd php >/dev/null && [ -d /usr/share/wordpress ] || { echo "apt-get install wordpress mariadb-server php-cli php-mysql" >&2; return 1; }
  [ -x v1/bin/python ] || { python3 -m venv v1 && v1/bin/pip -q install requests; }
  [ -e template/done ] && return
  rm -rf template site; mkdir -p template
  cp -rL /usr/share/wordpress site
  cat >site/wp-config.php <<'P'
<?php
define('DB_NAME', 'blog'); define('DB_USER', getenv('BLOG_USER')); define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:' . getenv('BLOG_SOCKET')); define('DB_CHARSET', 'utf8mb4');
foreach (['AUTH_KEY','SECURE_AUTH_KEY','LOGGED_IN_KEY','NONCE_KEY','AUTH_SALT','SECURE_AUTH_SALT','LOGGED_IN_SALT','NONCE_SALT'] as $name) define($name, "for these data alone $name");
if (isset($_SERVER['HTTP_HOST'])) { define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']); define('WP_SITEURL', WP_HOME); }
define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true); define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
P
  mkdir -p site/wp-content/mu-plugins
  echo '<?php remove_all_filters("wp_is_comment_flood"); add_filter("comment_flood_filter", "__return_false", 99);' >site/wp-content/mu-plugins/people.php
  mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$PWD/template/db" --auth-root-authentication-method=normal >template/install.log 2>&1
  database "$PWD/template"
  mariadb --no-defaults -S template/db.sock -u root -e "create database blog"
  cat >people.php <<'P'
<?php
define('WP_INSTALLING', true); $_SERVER['HTTP_HOST'] = '127.0.0.1:1';
require $argv[1] . '/wp-load.php'; require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Blog', 'admin', 'admin@example.com', true, '', 'pass-word');
update_option('permalink_structure', '/%postname%/'); update_option('comment_moderation', 1); update_option('comment_previously_approved', 0);
for ($n = 0; $n < 3; $n++) wp_insert_user(['user_login' => "editor$n", 'user_pass' => "pass-word-$n", 'user_email' => "e$n@example.com", 'role' => 'administrator', 'display_name' => "Editor $n"]);
P
  BLOG_USER=root BLOG_SOCKET=$PWD/template/db.sock php people.php "$PWD/site" >>template/install.log 2>&1
  mariadb-admin --no-defaults -S template/db.sock -u root shutdown
  for _ in $(seq 100); do [ -e template/db.pid ] || break; sleep 0.1; done
  cat >site/router.php <<'P'
<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path !== '/' && file_exists(__DIR__ . $path)) { if (is_dir(__DIR__ . $path)) { $_SERVER['PHP_SELF'] = $path . 'index.php'; require __DIR__ . $path . '/index.php'; return true; } return false; }
$_SERVER['SCRIPT_NAME'] = '/index.php'; require __DIR__ . '/index.php';
P
  echo 1 >template/done
}
up() {
  cp -r template/db "$2/db"
  cp -r site "$2/site"
  database "$2"
  exec env BLOG_USER=root BLOG_SOCKET="$2/db.sock" PHP_CLI_SERVER_WORKERS=4 php -S "127.0.0.1:$1" -t "$2/site" "$2/site/router.php"
}
ready() { echo /wp-login.php; }
client() { v1/bin/python "$apps/wordpress/client.py" "$1"; }
