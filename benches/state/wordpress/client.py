"""Three editors write, edit, upload, moderate and leave; a visitor comments."""

import re
import sys
import time

import requests
from users import together

base = sys.argv[1]


def field(page, name):
    found = re.search(r'name=["\']%s["\'][^>]*value=["\']([^"\']*)' % re.escape(name), page) \
        or re.search(r'value=["\']([^"\']*)["\'][^>]*name=["\']%s["\']' % re.escape(name), page)
    return found and found.group(1)


def person(number, pause):
    s = requests.Session()
    s.headers["User-Agent"] = f"Mozilla/5.0 (X11; Linux x86_64) editor/{number}"
    def get(path, **more):
        pause()
        return s.get(base + path if path.startswith("/") else path, **more)
    def post(path, **more):
        pause()
        return s.post(base + path if path.startswith("/") else path, **more)
    get("/")
    get("/wp-login.php")
    r = post("/wp-login.php", data={"log": f"editor{number}", "pwd": f"pass-word-{number}", "wp-submit": "Log In",
                                    "redirect_to": base + "/wp-admin/profile.php", "testcookie": "1"})
    page = r.text
    r = post("/wp-admin/profile.php", data={"_wpnonce": field(page, "_wpnonce"), "_wp_http_referer": "/wp-admin/profile.php",
             "from": "profile", "checkuser_id": field(page, "checkuser_id"), "action": "update", "user_id": field(page, "user_id"),
             "first_name": f"First {number}", "last_name": "Last", "nickname": f"nick{number}", "display_name": f"Editor {number}",
             "email": f"e{number}@example.com", "url": "", "description": f"I am {number}."})
    editor = get("/wp-admin/post-new.php").text
    nonce = re.search(r'createNonceMiddleware\(\s*["\']([0-9a-f]{10})', editor).group(1)
    api = {"X-WP-Nonce": nonce}
    draft = field(editor, "post_ID")
    made = []
    for turn in range(2):
        time.sleep(1.1)  # Lists go by the second in which something was written.
        r = post("/wp-json/wp/v2/posts?_locale=user", headers=api, json={"title": f"Note {number}.{turn}", "content": f"<p>Words of {number}, {turn}.</p>",
                 "status": "publish", "slug": f"note-{number}-{turn}"})
        made.append(r.json())
        get(f"/wp-json/wp/v2/posts/{r.json()['id']}?context=edit&_locale=user", headers=api)
    r = post(f"/wp-json/wp/v2/posts/{draft}?_locale=user", headers={**api, "X-HTTP-Method-Override": "PUT"},
             json={"id": int(draft), "title": f"Draft {number}", "status": "draft"})
    r = post("/wp-json/wp/v2/media", headers={**api, "Content-Disposition": f'attachment; filename="p{number}.txt"', "Content-Type": "text/plain"},
             data=f"text of {number}".encode())
    media = r.json()
    post(f"/wp-json/wp/v2/media/{media.get('id')}", headers=api, json={"alt_text": "a text"})
    r = post("/wp-json/wp/v2/tags", headers=api, json={"name": f"tag {number}"})
    tag = r.json()["id"]
    post(f"/wp-json/wp/v2/posts/{made[0]['id']}?_locale=user", headers={**api, "X-HTTP-Method-Override": "PUT"}, json={"tags": [tag]})
    # A visitor reads and comments.
    v = requests.Session()
    v.headers["User-Agent"] = f"Mozilla/5.0 visitor/{number}"
    pause()
    page = v.get(made[0]["link"]).text
    pause()
    r = v.post(base + "/wp-comments-post.php", data={"comment": f"Fine, {number}!", "author": f"Guest {number}", "email": f"g{number}@example.org", "url": "",
               "wp-comment-cookies-consent": "yes", "submit": "Post Comment", "comment_post_ID": field(page, "comment_post_ID"), "comment_parent": "0"})
    pause()
    v.get(made[0]["link"])
    # The editor approves it by the link in the list.
    page = get("/wp-admin/edit-comments.php?p=%d" % made[0]["id"]).text
    found = re.search(r'href=["\']([^"\']*action=approvecomment[^"\']*)', page)
    if found:
        get("/wp-admin/" + found.group(1).replace("&#038;", "&").replace("&amp;", "&"))
    v.get(made[0]["link"])
    # An application's password, and a script that uses it.
    me = get("/wp-json/wp/v2/users/me?context=edit", headers=api).json()
    r = post("/wp-json/wp/v2/users/me/application-passwords", headers=api, json={"name": f"script {number}"})
    if r.ok:
        auth = (f"editor{number}", r.json()["password"])
        requests.get(base + "/wp-json/wp/v2/posts?author=%d&context=edit" % me["id"], auth=auth)
        requests.delete(base + "/wp-json/wp/v2/posts/%d" % made[1]["id"], auth=auth)
        s.delete(base + "/wp-json/wp/v2/users/me/application-passwords/" + r.json()["uuid"], headers=api)
    page = get("/wp-admin/edit.php?author=%d" % me["id"]).text
    found = re.search(r'href=["\']([^"\']*post=%d&amp;action=trash[^"\']*)' % made[0]["id"], page)
    if found:
        get(found.group(1).replace("&#038;", "&").replace("&amp;", "&"), headers={"Referer": base + "/wp-admin/edit.php"})
    post("/wp-admin/admin-ajax.php", data={"action": "heartbeat", "_nonce": re.search(r'heartbeatSettings = \{[^}]*"nonce":"([0-9a-f]+)', page).group(1) if "heartbeatSettings" in page else "",
         "screen_id": "edit-post", "has_focus": "true", "interval": "60"})
    found = re.search(r'href=["\']([^"\']*action=logout[^"\']*)', page)
    if found:
        get(found.group(1).replace("&#038;", "&").replace("&amp;", "&"))
    get("/wp-admin/")


together(person)
