# DokuWiki (Debian): pages edited in forms with tokens and times, files.
install() {
  [ -x v1/bin/python ] || { python3 -m venv v1 && v1/bin/pip -q install requests; }
  [ -e template/done ] && return
  rm -rf template; mkdir -p template
  cp -rL /usr/share/dokuwiki template/site 2>/dev/null || true
  rm -rf template/site/conf template/site/data
  mkdir -p template/site/conf template/site/data
  cp -rL /etc/dokuwiki/. template/site/conf/ 2>/dev/null || true
  cp -rL /var/lib/dokuwiki/data/. template/site/data/ 2>/dev/null || true
  for d in attic cache index locks media media_attic media_meta meta pages tmp; do mkdir -p template/site/data/$d; done
  sed -i "s#define( 'DOKU_MAIN_CONF'.*#define('DOKU_MAIN_CONF', realpath(dirname(__FILE__).'/../conf').'/');#" template/site/inc/preload.php
  printf "<?php\n\$conf['title']='Wiki';\$conf['useacl']=1;\$conf['superuser']='@admin';\$conf['savedir']='./data';\$conf['authtype']='authplain';\$conf['passcrypt']='md5';\n" >template/site/conf/local.php
  printf "*\t@ALL\t8\n" >template/site/conf/acl.auth.php
  : >template/site/conf/users.auth.php
  for n in 0 1 2; do echo "writer$n:$(php -r 'echo md5($argv[1]);' pass-word-$n):Writer $n:w$n@example.com:admin,user" >>template/site/conf/users.auth.php; done
  echo 1 >template/done
}
up() {
  cp -r template/site "$2/site"
  exec env PHP_CLI_SERVER_WORKERS=4 php -d error_reporting=0 -S "127.0.0.1:$1" -t "$2/site"
}
ready() { echo /doku.php; }
client() { v1/bin/python "$apps/dokuwiki/client.py" "$1"; }
