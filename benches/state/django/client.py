"""Editors in Django's admin: logins in forms, things of their own, a new password, a logout."""

import re
import sys

import requests
from users import together

URL = sys.argv[1]


def person(number, pause):
    browser = requests.Session()
    browser.headers["User-Agent"] = f"Mozilla/5.0 (X11) Editor/{number}"

    def get(path):
        answer = browser.get(URL + path)
        pause()
        return answer

    def post(path, page, follow=True, **typed):
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        sent = {"csrfmiddlewaretoken": token, **typed}
        referer = {"Referer": page.url}
        answer = browser.post(URL + path, data=sent, headers=referer, allow_redirects=follow)
        pause()
        return answer

    def login(page, word):
        typed = {"username": f"editor{number}", "password": word, "next": "/admin/"}
        return post("/admin/login/?next=/admin/", page, **typed)

    def add(path, **typed):
        """Adds a thing, and goes on with it: its form, and its path."""
        page = post(path + "add/", get(path + "add/"), **typed, _continue="on")
        return page, re.search(re.escape(path) + r"\d+/", page.url)[0]

    def delete(path):
        # The list behind it is everybody's.
        post(path + "delete/", get(path + "delete/"), follow=False, post="yes")

    login(login(get("/admin/"), "wrong"), "pass-word")
    for turn in range(4):
        name = f"Group {number} {turn}"
        form, group = add("/admin/auth/group/", name=name, permissions=["1", "5"])
        post(group + "change/", form, name=name + " changed", permissions=["2"], _continue="on")
        get(group + "history/")
        page = {"url": f"/page-{number}-{turn}/", "title": f"Page {number} {turn}", "sites": "1"}
        form, path = add("/admin/flatpages/flatpage/", **page, content="Words.")
        post(path + "change/", form, **page, content="Other words.", _continue="on")
        if turn % 2:
            delete(path)
            get(path + "change/")
        delete(group)
        get("/admin/")
    words = {"old_password": "pass-word", "new_password1": "Zx9-other", "new_password2": "Zx9-other"}
    post("/admin/password_change/", get("/admin/password_change/"), **words)
    post("/admin/logout/", get("/admin/"))
    post("/admin/logout/", login(get("/admin/"), "Zx9-other"))
    get("/admin/")


together(person)
