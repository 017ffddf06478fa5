# Redmine (Debian's redmine-sqlite, with puma): issues, wiki pages and hours in forms
# with CSRF tokens that are sent in parts, a REST API by key; on SQLite.
rails_at() { # rails_at DATA COMMAND...
  local data=$1; shift
  (cd /usr/share/redmine && env RAILS_ENV=production DATABASE_URL="sqlite3:$data/redmine.db" SECRET_KEY_BASE=for-these-data-alone \
    RAILS_LOG_TO_STDOUT=1 REDMINE_LANG=en "$@")
}
install() {
  [ -d /usr/share/redmine ] || { echo "apt-get install redmine-sqlite puma" >&2; return 1; }
  [ -x v1/bin/python ] || { python3 -m venv v1 && v1/bin/pip -q install requests; }
  [ -s template/done ] && return
  mkdir -p template
  rails_at "$PWD/template" bundle exec rake db:migrate >template.log 2>&1
  rails_at "$PWD/template" bundle exec rake redmine:load_default_data >>template.log 2>&1
  cat >people.rb <<'R'
Setting.rest_api_enabled = '1'
Setting.force_default_language_for_anonymous = '1'
Setting.default_language = 'en'
3.times do |n|
  u = User.new(firstname: 'Person', lastname: n.to_s, mail: "p#{n}@example.com", language: 'en')
  u.login = "person#{n}"; u.password = u.password_confirmation = "pass-word-#{n}"; u.admin = true; u.save!
  p = Project.new(name: "Project #{n}", identifier: "project-#{n}", is_public: false)
  p.enabled_module_names = %w(issue_tracking time_tracking wiki news boards documents); p.trackers = Tracker.all; p.save!
end
R
  rails_at "$PWD/template" bundle exec rails runner "$PWD/people.rb" >>template.log 2>&1
  echo 1 >template/done
}
up() {
  cp template/redmine.db "$2/"
  cd /usr/share/redmine
  exec env RAILS_ENV=production DATABASE_URL="sqlite3:$2/redmine.db" SECRET_KEY_BASE=for-these-data-alone RAILS_LOG_TO_STDOUT=1 \
    puma -b "tcp://127.0.0.1:$1" -e production config.ru
}
ready() { echo /login; }
client() { v1/bin/python "$apps/redmine/client.py" "$1"; }
