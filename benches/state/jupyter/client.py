"""People at notebooks: a login in a form, files, checkpoints, kernels, sessions, a logout."""

import re
import sys

import requests
from users import together

URL = sys.argv[1]
CELL = {"cell_type": "code", "id": "a1", "metadata": {}, "source": "1 + 1", "outputs": []}
NOTEBOOK = {
    "cells": [dict(CELL, execution_count=None)],
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def person(number, pause):
    browser = requests.Session()
    browser.headers["User-Agent"] = f"Mozilla/5.0 (X11) Person/{number}"

    def say(method, path, **named):
        if token := browser.cookies.get("_xsrf"):
            named.setdefault("headers", {})["X-XSRFToken"] = token
        answer = browser.request(method, URL + path, **named)
        pause()
        return answer

    say("GET", "/api/contents")  # not yet logged in
    form = say("GET", "/login?next=%2Fapi%2Fstatus")
    token = re.search(r'name="_xsrf" value="([^"]+)"', form.text)[1]
    say("POST", "/login?next=%2Fapi%2Fstatus", data={"_xsrf": token, "password": "wrong"})
    say("POST", "/login?next=%2Fapi%2Fstatus", data={"_xsrf": token, "password": "pass-word"})
    say("GET", "/api/me")
    say("GET", "/api/kernelspecs")
    folder = say("POST", "/api/contents", json={"type": "directory"}).json()["path"]
    mine = f"person{number}"
    say("PATCH", f"/api/contents/{folder}", json={"path": mine})
    for turn in range(3):
        path = say("POST", f"/api/contents/{mine}", json={"type": "notebook"}).json()["path"]
        name = f"{mine}/study-{turn}.ipynb"
        say("PATCH", f"/api/contents/{path}", json={"path": name})
        say("PUT", f"/api/contents/{name}", json={"type": "notebook", "content": NOTEBOOK})
        saved = say("POST", f"/api/contents/{name}/checkpoints").json()
        say("GET", f"/api/contents/{name}?content=1")
        say("POST", f"/api/contents/{name}/checkpoints/{saved['id']}")
    body = {"type": "file", "format": "base64", "content": "aGVsbG8gd29ybGQK"}
    say("PUT", f"/api/contents/{mine}/words.txt", json=body)
    text = say("GET", f"/files/{mine}/words.txt")
    say("GET", f"/files/{mine}/words.txt", headers={"If-None-Match": text.headers.get("ETag", "")})
    say("GET", f"/api/contents/{mine}")
    kernel = say("POST", "/api/kernels", json={"name": "python3"}).json()["id"]
    say("GET", f"/api/kernels/{kernel}")
    session = say(
        "POST",
        "/api/sessions",
        json={
            "path": f"{mine}/study-0.ipynb",
            "type": "notebook",
            "name": "",
            "kernel": {"id": kernel, "name": "python3"},
        },
    ).json()
    say("GET", f"/api/sessions/{session['id']}")
    say("PATCH", f"/api/sessions/{session['id']}", json={"name": f"of person {number}"})
    say("POST", f"/api/kernels/{kernel}/interrupt")
    say("DELETE", f"/api/sessions/{session['id']}")
    say("GET", f"/api/kernels/{kernel}")
    say("DELETE", f"/api/contents/{mine}/study-2.ipynb")
    say("GET", f"/api/contents/{mine}/study-2.ipynb")
    say("GET", "/logout")
    say("GET", "/api/contents")


together(person)
