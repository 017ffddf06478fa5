"""People with projects, issues, notes, wiki pages and hours, in forms with tokens; and scripts by key."""

import re
import sys

import requests
from browser import Browser
from users import together

URL = sys.argv[1]


def person(number, pause):
    browser = Browser(URL, number, pause)
    name, word = f"person{number}", f"pass-word-{number}"

    def by_script(path, method):
        """What the page's script sends for a link with a method: with the token of the page."""
        token = re.search(r'name="csrf-token" content="([^"]+)"', browser.page.text)[1]
        browser.session.post(URL + path, data={"_method": method, "authenticity_token": token})
        pause()

    browser.get("/")
    browser.get("/login")
    browser.submit("password", username=name, password="wrong")
    browser.submit("password", username=name, password=word)
    browser.get("/my/page")
    home = f"/projects/project-{number}"
    browser.get(home)
    issues = []
    for turn in range(4):
        browser.get(home + "/issues/new")
        browser.submit("issue[subject]", **{"issue[subject]": f"Issue {number} {turn}",
            "issue[description]": "Words.", "issue[priority_id]": "2"})
        issue = re.search(r"/issues/(\d+)", browser.page.url)[1]
        issues.append(issue)
        browser.get(f"/issues/{issue}/edit")
        browser.submit("issue[notes]", **{"issue[notes]": f"A note {turn}.", "issue[done_ratio]": "30"})
        browser.get(f"/issues/{issue}/time_entries/new")
        browser.submit("time_entry[hours]", **{"time_entry[hours]": "1.5", "time_entry[comments]": "work",
            "time_entry[activity_id]": "8"})
        browser.get(f"/issues/{issue}.json")
        browser.get(home + f"/wiki/Page{turn}/edit")
        browser.submit("content[text]", **{"content[text]": f"h1. Page {turn}\n\nsee #{issue}"})
        browser.get(home + f"/wiki/Page{turn}/edit")
        browser.submit("content[text]", **{"content[text]": f"h1. Page {turn}\n\nagain #{issue}"})
        browser.get(home + f"/wiki/Page{turn}/history")
        browser.get(f"/issues/{issue}")
    browser.get(f"/issues/{issues[0]}")
    by_script(f"/issues/{issues[0]}", "delete")
    browser.get(f"/issues/{issues[0]}")
    browser.get(home + "/issues")
    browser.get(home + "/issues.csv")
    browser.get(home + "/activity")
    browser.get(home + "/time_entries")
    browser.get(f"/search?q=Issue+{number}")
    browser.get("/users/current.json")
    key = browser.page.json()["user"]["api_key"]
    script = requests.Session()
    script.headers.update({"X-Redmine-API-Key": key, "User-Agent": f"Script/{number}"})

    def call(method, path, **more):
        answer = script.request(method, URL + path, **more)
        pause()
        return answer.json() if answer.content and answer.ok else answer

    for turn in range(2):
        made = call("POST", "/issues.json", json={"issue": {
            "project_id": f"project-{number}", "subject": f"By script {turn}"}})["issue"]["id"]
        call("PUT", f"/issues/{made}.json", json={"issue": {"notes": "noted", "done_ratio": 50}})
        call("GET", f"/issues/{made}.json?include=journals")
        call("GET", f"/issues.json?project_id=project-{number}&sort=id:desc&limit=3")
        if turn:
            call("DELETE", f"/issues/{made}.json")
            call("GET", f"/issues/{made}.json")
    browser.get("/my/password")
    browser.submit("new_password", password=word, new_password="Other-word9", new_password_confirmation="Other-word9")
    browser.get("/my/account")
    by_script("/logout", "post")
    browser.get("/login")
    browser.submit("password", username=name, password="Other-word9")
    browser.get(home)


together(person)
