# Wagtail (PyPI): pages edited in a browser's way: sessions, CSRF in forms and cookies, uploads; on SQLite.
install() {
  [ -x v1/bin/wagtail ] || { python3 -m venv v1 && v1/bin/pip -q install 'wagtail==5.2.8' 'setuptools<80' requests; }
  [ -x v2/bin/wagtail ] || { python3 -m venv v2 && v2/bin/pip -q install 'wagtail==7.0.8'; }
}
up() {
  python="$PWD/${3:-v1}/bin/python"
  "${3:-v1}/bin/wagtail" start mysite "$2" >"$2.init.log" 2>&1
  cd "$2"
  {
    echo 'SECRET_KEY = "for these data alone"'
    echo 'PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]'
    echo 'DATABASES["default"]["OPTIONS"] = {"timeout": 20}'
    echo 'SILENCED_SYSTEM_CHECKS = ["security.W004"]'
    echo 'WAGTAIL_ENABLE_UPDATE_CHECK = False'
  } >>mysite/settings/dev.py
  "$python" manage.py migrate >>"$2.init.log" 2>&1
  "$python" manage.py shell -c 'from django.contrib.auth import get_user_model as u
for n in range(3): u().objects.create_superuser(f"editor{n}", f"e{n}@example.com", "pass-word")' >>"$2.init.log" 2>&1
  exec "$python" manage.py runserver --noreload --nothreading "127.0.0.1:$1"
}
ready() { echo /admin/login/; }
client() { v1/bin/python "$apps/wagtail/client.py" "$1"; }
