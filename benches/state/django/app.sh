# Django's admin (PyPI): groups, pages and passwords edited in forms with CSRF, sessions; on SQLite.
install() {
  [ -x v1/bin/django-admin ] || { python3 -m venv v1 && v1/bin/pip -q install 'django==4.2.16' requests; }
  [ -x v2/bin/django-admin ] || { python3 -m venv v2 && v2/bin/pip -q install 'django==5.2.8'; }
}
up() {
  python="$PWD/${3:-v1}/bin/python"
  "${3:-v1}/bin/django-admin" startproject mysite "$2" >"$2.init.log" 2>&1
  cd "$2"
  {
    echo 'SECRET_KEY = "for these data alone"'
    echo 'PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]'
    echo 'DATABASES["default"]["OPTIONS"] = {"timeout": 20}'
    echo 'INSTALLED_APPS += ["django.contrib.sites", "django.contrib.flatpages"]'
    echo 'SITE_ID = 1'
  } >>mysite/settings.py
  "$python" manage.py migrate >>"$2.init.log" 2>&1
  "$python" manage.py shell -c 'from django.contrib.auth import get_user_model as u
for n in range(3): u().objects.create_superuser(f"editor{n}", f"e{n}@example.com", "pass-word")' >>"$2.init.log" 2>&1
  exec "$python" manage.py runserver --noreload --nothreading "127.0.0.1:$1"
}
ready() { echo /admin/login/; }
client() { v1/bin/python "$apps/django/client.py" "$1"; }
